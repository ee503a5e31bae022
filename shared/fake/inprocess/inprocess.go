// Package inprocess serves requests in their caller's goroutine, without a socket, as a
// server of net/http would: so that a testing/synctest bubble sees all that waits, and a
// handler can break its connection off.
package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Answer is what a handler answered.
type Answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	// Broken: the handler broke the connection off, which net/http's handlers do by panicking
	// with ErrAbortHandler.
	Broken bool
}

// Ask has a handler serve a request. Any panic but ErrAbortHandler goes on.
func Ask(h http.Handler, r *http.Request) (a *Answer) {
	a = &Answer{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p) //nolint:forbidigo // not ours to swallow
			}
			a.Broken = true
		}
	}()
	h.ServeHTTP(writer{a}, r)
	return a
}

// Status is the answer's status.
func (a *Answer) Status() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// Header is the answer's header.
func (a *Answer) Header() http.Header { return a.header }

// Body is what came of the answer's body.
func (a *Answer) Body() []byte { return a.body.Bytes() }

// Response is the answer to a request as a client gets it: an error where the connection
// broke off before a status, and a body that ends with one where it did behind it.
func (a *Answer) Response(r *http.Request) (*http.Response, error) {
	if a.Broken {
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		if a.status == 0 {
			return nil, fmt.Errorf("the connection was broken off: %w", io.ErrUnexpectedEOF)
		}
	}
	var body io.Reader = &a.body
	if a.Broken {
		body = io.MultiReader(body, brokenOff{})
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.Status(), http.StatusText(a.Status())), StatusCode: a.Status(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}, nil
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// writer is how a handler answers.
type writer struct{ a *Answer }

func (w writer) Header() http.Header { return w.a.header }

func (w writer) WriteHeader(status int) {
	if w.a.status == 0 {
		w.a.status = status
	}
}

func (w writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.a.body.Write(b)
}
