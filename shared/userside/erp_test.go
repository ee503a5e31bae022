package userside

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

const testKey = "marker+KEY/8c1e="

// erp answers requests in place of the ERP and remembers them.
type erp struct {
	answer func(n int, form url.Values) (status int, body string)

	mu   sync.Mutex
	seen []url.Values
}

func (e *erp) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.seen = append(e.seen, r.PostForm)
	n := len(e.seen)
	e.mu.Unlock()
	status, body := e.answer(n, r.PostForm)
	rec.WriteHeader(status)
	_, _ = rec.WriteString(body)
	return rec.Result(), nil
}

// asked lists the actions asked for, with the ids where there were any.
func (e *erp) asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, f := range e.seen {
		s := f.Get("action")
		if id := f.Get("id"); id != "" {
			s += " " + id
		}
		out = append(out, s)
	}
	return out
}

// clientFor makes a client whose ERP is rt.
func clientFor(t testing.TB, rt http.RoundTripper) *Client {
	t.Helper()
	u, err := url.Parse("https://erp.example/sub")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: u, Key: testKey}, rt, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// saying is an ERP that gives each action a fixed body; what is not named is an
// ERROR.
func saying(bodies map[string]string) *erp {
	return &erp{answer: func(_ int, f url.Values) (int, string) {
		if b, ok := bodies[f.Get("action")]; ok {
			return http.StatusOK, b
		}
		return http.StatusOK, `{"result":"ERROR","error":"unexpected"}`
	}}
}

// hurried is a context that announces a near deadline, so that nothing waits for
// a second attempt, and never ends by it, so that a slow machine fails no test.
type hurried struct{ context.Context }

func (hurried) Deadline() (time.Time, bool) { return time.Now().Add(100 * time.Millisecond), true }

func shortly(t testing.TB) context.Context { return hurried{t.Context()} }
