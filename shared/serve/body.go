package serve

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// bodyDeadline is how long a body may take to arrive (rule 10.14). The largest, a form
	// or a notification of 256 KiB, takes a second at 2 Mbit/s.
	bodyDeadline = 5 * time.Second
	// restDeadline is how long the rest of a body is waited for once the answer is known:
	// a connection that is closed while it arrives would lose the answer.
	restDeadline = 500 * time.Millisecond
)

// BoundBody gives a request's body read to arrive, and what next has not read of it
// when it answers rest. What the work itself takes is not bounded here. A writer that
// knows no deadlines, as in tests without a network, is left alone.
func BoundBody(next http.Handler, read, rest time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		if control.SetReadDeadline(time.Now().Add(read)) != nil {
			next.ServeHTTP(w, r)
			return
		}
		body := &timedBody{ReadCloser: r.Body, control: control}
		in := *r
		in.Body = body
		next.ServeHTTP(&restBound{ResponseWriter: w, body: body, rest: rest}, &in)
	})
}

// timedBody lifts the deadline once the body is there: net/http goes on reading, to see
// whether the caller hangs up, and would give the request up when the deadline passes.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	ended   atomic.Bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended.Swap(true) && errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// restBound bounds the rest of a body when the answer begins: net/http reads it first.
type restBound struct {
	http.ResponseWriter
	body  *timedBody
	rest  time.Duration
	began bool
}

func (b *restBound) begin() {
	if !b.began && !b.body.ended.Load() {
		_ = b.body.control.SetReadDeadline(time.Now().Add(b.rest))
	}
	b.began = true
}

func (b *restBound) WriteHeader(status int) {
	if status >= http.StatusOK {
		b.begin()
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *restBound) Write(p []byte) (int, error) {
	b.begin()
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (b *restBound) Unwrap() http.ResponseWriter { return b.ResponseWriter }
