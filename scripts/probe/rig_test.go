package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
)

const (
	account  = "calendars@firm.example"
	outsider = "ivan.petrov@gmail.com"
	client1  = "test.apps.googleusercontent.com"
	secret1  = "PROBESECRET"
)

// clock is moved by the probe's own pauses.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pause(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return ctx.Err()
}

// signingKey takes long to make.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil // the stand-in makes its own
	}
	return key
})

// rig is a Google and the probe's surroundings.
type rig struct {
	t      *testing.T
	google *google.Server
	server *httptest.Server
	clock  *clock
	// browser answers a consent; nil approves as the account of the login hint.
	browser func(address string) string
	errs    bytes.Buffer
	addr    string // where the browser comes back
}

// freeAddress is one at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := redirectHost(l.Addr())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

func newRig(t *testing.T, change ...func(*google.Options)) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{t: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}}
	r.addr = freeAddress(t)
	mux := http.NewServeMux()
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	o := google.Options{
		BaseURL: r.server.URL + "/google", Now: r.clock.now, ClientID: client1, ClientSecret: secret1, Seed: 11, SigningKey: signingKey(), RedirectURIs: []string{"http://" + r.addr + callbackPath},
		Accounts: []google.Account{{Sub: "1", Email: account, Name: "Calendars"}, {Sub: "2", Email: outsider, Name: "Ivan"}},
	}
	for _, f := range change {
		f(&o)
	}
	r.google = google.New(o)
	mux.Handle("/google/", http.StripPrefix("/google", r.google))
	return r
}

func (r *rig) lookup(name string) (string, bool) {
	v, ok := map[string]string{"OAUTH_CLIENT_ID": client1, "OAUTH_CLIENT_SECRET": secret1, "INTEGRATION_ACCOUNT": account,
		"GOOGLE_ISSUER": r.server.URL + "/google", "CALENDAR_ENDPOINT": r.server.URL + "/google/calendar/v3/"}[name]
	return v, ok
}

// open is a browser: it consents and follows the redirect.
func (r *rig) open(address string) {
	back, err := "", error(nil)
	if r.browser != nil {
		back = r.browser(address)
	} else {
		u, _ := url.Parse(address)
		back, err = r.google.Approve(address, u.Query().Get("login_hint"))
	}
	if err != nil {
		r.t.Errorf("consenting: %v", err)
		return
	}
	go func() { // the listener serves while the probe waits
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, back, nil)
		if err != nil {
			return
		}
		if res, err := r.server.Client().Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
}

// probe runs the command with -json and gives exit status and report.
func (r *rig) probe(ctx context.Context, args ...string) (int, report) {
	r.t.Helper()
	var out bytes.Buffer
	args = append([]string{"-json", "-addr", r.addr}, args...)
	code := run(ctx, args, &out, &r.errs, surroundings{lookup: r.lookup, http: r.server.Client(), now: r.clock.now, pause: r.clock.pause, open: r.open})
	var found report
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		r.t.Fatalf("exit %d, no report: %v\n%s\n%s", code, err, out.Bytes(), r.errs.Bytes())
	}
	for _, word := range []string{secret1, "ya29.", account, outsider} {
		if strings.Contains(out.String(), word) {
			r.t.Errorf("the report holds %q", word)
		}
	}
	return code, found
}

// clean fails where something of the probe is left at Google, or anything else was
// written.
func (r *rig) clean(before int) {
	r.t.Helper()
	for _, c := range r.google.Calendars()[before:] {
		if !c.Deleted {
			r.t.Errorf("calendar %q is left", c.Summary)
		}
	}
	mine := map[string]bool{"": true}
	for _, c := range r.google.Calendars()[before:] {
		mine[c.ID] = true
	}
	for _, q := range r.google.Requests(google.Filter{Method: "calendar.*", Writes: true}) {
		if !mine[q.CalendarID] {
			r.t.Errorf("%s wrote to %s", q.Method, q.CalendarID)
		}
	}
}

func (r *report) of(id string) finding {
	for _, one := range r.Findings {
		if one.ID == id {
			return one
		}
	}
	return finding{}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}
