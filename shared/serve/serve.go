// Package serve stands between the functions framework and a function's handler:
// it builds the handler on the first request, gives every request a deadline and a
// trace, and turns a panic into an answer. It must never tell a caller what is
// wrong inside: details go to the log.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/logging"
)

const (
	// DefaultTimeout is a request's deadline where the platform names none.
	DefaultTimeout = 5 * time.Minute
	// margin is what is left to answer after the handler's own deadline, before
	// Cloud Run cuts the request off.
	margin = 5 * time.Second
	// connecting bounds building the handler; clients themselves dial later.
	connecting = time.Minute
)

// Connect builds a function's handler from the environment. Its context carries
// the logger (logging.From) and lives as long as the process, because Google's
// clients keep it; it has no deadline of its own.
type Connect func(ctx context.Context) (http.Handler, error)

// OnFirstRequest makes what functions.HTTP registers under a name: a handler that
// is built by connect on the first request, once for all requests that wait for
// it. A fault of the configuration (*config.Faults) is logged once with every
// variable, and each request is answered 500 from then on; any other failure
// answers 503 and connect is run again at the next request.
func OnFirstRequest(name string, connect func(ctx context.Context) (http.Handler, error)) http.HandlerFunc {
	logger := logging.New(os.Stdout, os.Getenv("GOOGLE_CLOUD_PROJECT")).With(logging.Labels("function", name))
	return New(name, logger, Timeout(os.LookupEnv), connect)
}

// Timeout is how long a handler may take: CLOUD_RUN_TIMEOUT_SECONDS less a margin
// for the answer, or DefaultTimeout.
func Timeout(lookup func(string) (string, bool)) time.Duration {
	text, _ := lookup("CLOUD_RUN_TIMEOUT_SECONDS")
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds <= 0 {
		return DefaultTimeout
	}
	whole := time.Duration(seconds) * time.Second
	return whole - min(margin, whole/10)
}

// New is OnFirstRequest with logger and time-out passed in.
func New(name string, logger *slog.Logger, timeout time.Duration, connect Connect) http.HandlerFunc {
	l := &lazy{name: name, logger: logger, connect: connect}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(logging.WithTrace(r.Context(), r), timeout)
		defer cancel()
		// run.app is https only, a domain of the admin's own may not be (rule 10.15).
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		BoundBody(Recover(logger, l), bodyDeadline, restDeadline).ServeHTTP(w, r.WithContext(ctx))
	}
}

// lazy builds its handler on first use.
type lazy struct {
	name    string
	logger  *slog.Logger
	connect Connect

	mu      sync.Mutex
	built   http.Handler // set once
	faulty  bool         // the configuration is at fault, for good
	attempt *attempt     // the building under way, if any
}

type attempt struct {
	done    chan struct{}
	handler http.Handler
	err     error
}

// errConfiguration stands for faults that are in the log already.
var errConfiguration = errors.New("serve: the configuration is at fault")

func (l *lazy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := l.handler(r.Context())
	switch {
	case err == nil:
		h.ServeHTTP(w, r)
	case errors.Is(err, errConfiguration):
		Problem(w, http.StatusInternalServerError, "Not configured", "The function's configuration is at fault; its log names the variables.")
	default:
		w.Header().Set("Retry-After", "5")
		Problem(w, http.StatusServiceUnavailable, "Not ready", "The function could not start; try again.")
	}
}

func (l *lazy) handler(ctx context.Context) (http.Handler, error) {
	l.mu.Lock()
	if l.built != nil || l.faulty {
		defer l.mu.Unlock()
		if l.faulty {
			return nil, errConfiguration
		}
		return l.built, nil
	}
	a := l.attempt
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		l.attempt = a
		// In a goroutine of its own: the first caller may hang up, and others wait for
		// the same handler.
		go l.build(ctx, a)
	}
	l.mu.Unlock()

	timer := time.NewTimer(connecting)
	defer timer.Stop()
	select {
	case <-a.done:
		return a.handler, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("start %s: %w", l.name, ctx.Err())
	case <-timer.C:
		return nil, fmt.Errorf("start %s: not within %s", l.name, connecting)
	}
}

func (l *lazy) build(request context.Context, a *attempt) {
	// The request's values (its trace) are for the log here; what connect gets is
	// free of them, because clients keep their context for good.
	trace := context.WithoutCancel(request)
	defer close(a.done)
	func() {
		defer func() {
			if p := recover(); p != nil {
				l.logger.ErrorContext(trace, "panic while starting", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				a.err = fmt.Errorf("start %s: panic", l.name)
			}
		}()
		a.handler, a.err = l.connect(logging.Into(context.Background(), l.logger))
		if a.err == nil && a.handler == nil {
			a.err = fmt.Errorf("start %s: no handler", l.name)
		}
		if faults, ok := errors.AsType[*config.Faults](a.err); ok {
			var variables []any
			for _, f := range faults.List {
				variables = append(variables, slog.String(f.Variable, f.Problem))
			}
			l.logger.ErrorContext(trace, "the configuration is wrong", slog.Group("variables", variables...))
			a.err = errConfiguration
		} else if a.err != nil {
			l.logger.ErrorContext(trace, "the function could not start", "error", a.err)
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt = nil
	switch {
	case a.err == nil:
		l.built = a.handler
	case errors.Is(a.err, errConfiguration):
		l.faulty = true
	}
}

// Recover answers a panic of next with 500 and logs it. http.ErrAbortHandler goes
// through: it is net/http's own way of hanging up.
func Recover(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &tracker{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			logger.ErrorContext(r.Context(), "panic", "panic", fmt.Sprint(p), "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
			if !tracked.began {
				Problem(w, http.StatusInternalServerError, "Internal error", "The request failed inside; the log says why.")
			}
		}()
		next.ServeHTTP(tracked, r)
	})
}

// tracker knows whether an answer has begun.
type tracker struct {
	http.ResponseWriter
	began bool
}

func (t *tracker) WriteHeader(status int) {
	t.began = t.began || status >= 200
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracker) Write(b []byte) (int, error) {
	t.began = true
	return t.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (t *tracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Problem answers with an RFC 9457 problem. Title is the same for all problems of
// a kind; detail is about this one, and names the field or header at fault.
func Problem(w http.ResponseWriter, status int, title, detail string) {
	write(w, status, "application/problem+json", struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", title, status, detail})
}

// JSON answers with v.
func JSON(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

func write(w http.ResponseWriter, status int, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// Only a type that can never be encoded, which its handler's test shows.
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A caller that hung up is no concern of ours.
	_, _ = w.Write(append(body, '\n'))
}

// PostOnly answers anything but POST / for functions that Scheduler and Pub/Sub
// call: 404 for another path, 405 with Allow for another method.
func PostOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/" && r.URL.Path != "":
			Problem(w, http.StatusNotFound, "Not found", "There is nothing at this path.")
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			Problem(w, http.StatusMethodNotAllowed, "Method not allowed", "Only POST is served here.")
		default:
			next(w, r)
		}
	})
}
