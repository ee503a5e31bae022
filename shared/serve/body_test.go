package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/serve"
)

// raw sends what it is given and gives the answer, however much of the body is missing.
func raw(t *testing.T, h http.Handler, sent string) *http.Response {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

const (
	never     = time.Hour
	withBody  = "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1000\r\n\r\n{"
	inChunks  = "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
	wholeBody = "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\n\r\n{}"
)

// A body has seconds to arrive, or its place is free again (rule 10.14).
func TestASlowBodyIsCutOff(t *testing.T) {
	for name, request := range map[string]string{"of a known length": withBody, "in chunks": inChunks} {
		t.Run(name, func(t *testing.T) {
			h := serve.BoundBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the body ended with %v", err)
				}
				w.WriteHeader(http.StatusRequestTimeout)
			}), 50*time.Millisecond, never)
			if answer := raw(t, h, request); answer.StatusCode != http.StatusRequestTimeout {
				t.Errorf("got %s", answer.Status)
			}
		})
	}
}

// Whoever is refused by headers alone is not waited for, and neither is their body.
func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	for name, request := range map[string]string{"of a known length": withBody, "in chunks": inChunks} {
		t.Run(name, func(t *testing.T) {
			h := serve.BoundBody(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
			}), never, 20*time.Millisecond)
			if answer := raw(t, h, request); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("got %s", answer.Status)
			}
		})
	}
}

// The deadline is the body's only: a worker goes on for minutes.
func TestWorkMayTakeLongerThanItsBody(t *testing.T) {
	for name, read := range map[string]bool{"the body is read": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			const deadline = 30 * time.Millisecond
			h := serve.BoundBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if read {
					if _, err := io.ReadAll(r.Body); err != nil {
						t.Error(err)
					}
				}
				select {
				case <-r.Context().Done():
					t.Error("the request was given up")
				case <-time.After(5 * deadline):
				}
				_, _ = fmt.Fprint(w, "done")
			}), deadline, deadline)
			answer := raw(t, h, wholeBody)
			if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "done" {
				t.Errorf("got %s %q, %v", answer.Status, text, err)
			}
		})
	}
}

// Browsers are told to come by https only, whatever a function answers (rule 10.15).
func TestHSTSIsSent(t *testing.T) {
	var out output
	for name, connect := range map[string]serve.Connect{
		"an answer": func(context.Context) (http.Handler, error) { return http.HandlerFunc(ok), nil },
		"a panic": func(context.Context) (http.Handler, error) {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }), nil
		},
		"no connection": func(context.Context) (http.Handler, error) { return nil, errors.New("x") },
	} {
		if got := ask(serve.New("F", out.logger(), time.Minute, connect)).Header().Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=31536000") {
			t.Errorf("%s: Strict-Transport-Security is %q", name, got)
		}
	}
}
