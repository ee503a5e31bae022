package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/serve"
)

// output is a log that goroutines may write to.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}
func (o *output) String() string       { o.mu.Lock(); defer o.mu.Unlock(); return o.buf.String() }
func (o *output) logger() *slog.Logger { return logging.New(o, "p") }

func ask(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	return w
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestBuiltOnceForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		var built atomic.Int32
		release := make(chan struct{})
		h := serve.New("F", out.logger(), time.Minute, func(context.Context) (http.Handler, error) {
			built.Add(1)
			<-release
			return http.HandlerFunc(ok), nil
		})
		answers := make(chan int, 20)
		for range 20 {
			go func() { answers <- ask(h).Code }()
		}
		synctest.Wait()
		close(release)
		for range 20 {
			if code := <-answers; code != 204 {
				t.Errorf("answered %d", code)
			}
		}
		if built.Load() != 1 {
			t.Errorf("built %d times", built.Load())
		}
	})
}

func TestTheFirstCallerHangingUpDoesNotSpoilTheBuilding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		release := make(chan struct{})
		h := serve.New("F", out.logger(), time.Minute, func(ctx context.Context) (http.Handler, error) {
			<-release
			return http.HandlerFunc(ok), ctx.Err()
		})
		ctx, hangUp := context.WithCancel(t.Context())
		first := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			h(w, httptest.NewRequestWithContext(ctx, "POST", "/", nil))
			first <- w.Code
		}()
		synctest.Wait()
		hangUp()
		if code := <-first; code != 503 {
			t.Errorf("the caller that hung up: %d", code)
		}
		close(release)
		if code := ask(h).Code; code != 204 {
			t.Errorf("the next caller: %d", code)
		}
	})
}

func TestFaultyConfiguration(t *testing.T) {
	var out output
	built := 0
	h := serve.New("F", out.logger(), time.Minute, func(context.Context) (http.Handler, error) {
		built++
		return nil, &config.Faults{List: []config.Fault{{Variable: "ERP_URL", Problem: "is not set"}, {Variable: "TOKEN_KEY", Problem: "is odd"}}}
	})
	for range 3 {
		w := ask(h)
		if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("answered %d %s", w.Code, w.Header())
		}
		if strings.Contains(w.Body.String(), "ERP_URL") {
			t.Errorf("the caller is told %s", w.Body)
		}
	}
	if built != 1 {
		t.Errorf("built %d times", built)
	}
	log := out.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"severity":"ERROR"`) || !strings.Contains(log, `"ERP_URL":"is not set"`) || !strings.Contains(log, `"TOKEN_KEY":"is odd"`) {
		t.Errorf("logged %s", log)
	}
}

func TestAPassingFailureIsTriedAgain(t *testing.T) {
	var out output
	built := 0
	h := serve.New("F", out.logger(), time.Minute, func(context.Context) (http.Handler, error) {
		built++
		switch built {
		case 1:
			return nil, errors.New("no network")
		case 2:
			panic("odd")
		case 3:
			return nil, nil
		}
		return http.HandlerFunc(ok), nil
	})
	var codes []int
	for range 5 {
		codes = append(codes, ask(h).Code)
	}
	if diff := cmp.Diff([]int{503, 503, 503, 204, 204}, codes); diff != "" {
		t.Error(diff)
	}
	if built != 4 {
		t.Errorf("built %d times", built)
	}
	if !strings.Contains(out.String(), "no network") {
		t.Errorf("logged %s", out.String())
	}
}

func TestConnectGetsTheLoggerAndALastingContext(t *testing.T) {
	var out output
	logger := out.logger()
	kept := make(chan context.Context, 1)
	h := serve.New("F", logger, time.Minute, func(ctx context.Context) (http.Handler, error) {
		kept <- ctx
		if logging.From(ctx) != logger {
			t.Error("another logger")
		}
		return http.HandlerFunc(ok), nil
	})
	ask(h)
	ctx := <-kept
	if _, limited := ctx.Deadline(); limited || ctx.Err() != nil {
		t.Error("the clients' context ends with the request")
	}
}

func TestPanicDeadlineAndTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		h := serve.New("F", out.logger(), time.Minute, func(context.Context) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if until, limited := r.Context().Deadline(); !limited || time.Until(until) != time.Minute {
					t.Errorf("deadline %v", until)
				}
				if r.URL.Path == "/late" {
					w.WriteHeader(http.StatusAccepted)
				}
				panic("SECRET thing")
			}), nil
		})
		for path, want := range map[string]int{"/": 500, "/late": 202} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, path, nil)
			r.Header.Set("X-Cloud-Trace-Context", "105445aa7843bc8bf206b12000100000/1")
			h(w, r)
			if w.Code != want || strings.Contains(w.Body.String(), "SECRET") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if log := out.String(); strings.Count(log, "SECRET thing") != 2 || strings.Count(log, "projects/p/traces/105445aa7843bc8bf206b12000100000") != 2 {
			t.Errorf("logged %s", log)
		}
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					t.Error("ErrAbortHandler was swallowed")
				}
			}()
			ask(serve.Recover(out.logger(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
		}()
	})
}

func TestTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": serve.DefaultTimeout, "x": serve.DefaultTimeout, "-1": serve.DefaultTimeout,
		"300": 295 * time.Second, "10": 9 * time.Second,
	} {
		if got := serve.Timeout(func(string) (string, bool) { return text, text != "" }); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestProblem(t *testing.T) {
	w := httptest.NewRecorder()
	serve.Problem(w, 415, "Unsupported media type", `Send "application/json" in Content-Type.`)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"type": "about:blank", "title": "Unsupported media type", "status": 415.0, "detail": `Send "application/json" in Content-Type.`}
	if diff := cmp.Diff(want, got); diff != "" || w.Code != 415 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), diff)
	}
}

func TestPostOnly(t *testing.T) {
	h := serve.PostOnly(ok)
	for _, c := range []struct {
		method, path string
		want         int
	}{{"POST", "/", 204}, {"GET", "/", 405}, {"POST", "/x", 404}, {"PUT", "/", 405}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want || (c.want == 405) != (w.Header().Get("Allow") == "POST") {
			t.Errorf("%s %s: %d %v", c.method, c.path, w.Code, w.Header())
		}
	}
}
