package simulation

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/inprocess"
)

// The hosts of the bubble's network. There are no sockets: a request is served
// in its caller's goroutine, between two waits.
const (
	googleHost = "google.test"
	erpHost    = "erp.test"
)

// transport carries the calls of one instance.
type transport struct{ i *instance }

// RoundTrip makes one call: the way there, the effect, the way back. An instance that
// dies meanwhile gets no answer.
func (l *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w, ctx := l.i.w, r.Context()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() { _ = r.Body.Close() }()
	name := drawName(ctx, r.Method+" "+r.URL.Host+r.URL.Path)
	if !pause(ctx, w.latency(name, "there")) {
		return nil, context.Cause(ctx)
	}
	if err := l.i.before(); err != nil {
		return nil, err
	}
	var res *http.Response
	var err error
	answering, cancel := w.withSilenceLimit(ctx)
	defer cancel() // by then the whole answer has come
	switch r.URL.Host {
	case googleHost:
		res, err = w.google.Transport().RoundTrip(r.WithContext(answering))
	case erpHost:
		res, err = serveERP(w.erp, r.WithContext(answering))
	default:
		return nil, fmt.Errorf("simulation: there is no host %s", r.URL.Host)
	}
	if killed := l.i.after(); killed != nil {
		return nil, killed
	}
	if err != nil {
		return nil, err
	}
	if !pause(ctx, w.latency(name, "back")) {
		return nil, context.Cause(ctx)
	}
	if killed := l.i.after(); killed != nil {
		return nil, killed
	}
	return res, nil
}

// latency is some milliseconds, now and then seconds. Only the way back is slow: the
// budget is judged by when calls arrive, and a network that delays them on the way there
// could bunch even well-spaced ones.
func (w *world) latency(name, way string) time.Duration {
	high := 60 * time.Millisecond
	switch p := w.dice.pick(1000, "slow", name, way); {
	case way == "there":
		high = 40 * time.Millisecond
	case p < 3:
		high = 9 * time.Second
	case p < 30:
		high = time.Second
	}
	return w.brief(w.dice.between(time.Millisecond, high, "latency", name, way))
}

// serveERP answers as a server would.
func serveERP(h http.Handler, r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "192.0.2.7:443"
	answer := inprocess.Ask(h, in)
	if err := r.Context().Err(); err != nil {
		return nil, context.Cause(r.Context())
	}
	return answer.Response(r)
}
