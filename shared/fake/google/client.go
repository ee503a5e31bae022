package google

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Token mints an access token (1 h) of account for the first OAuth client, with
// scopes as full URLs or the part after .../auth/. It gives "" when there is no
// such account.
func (s *Server) Token(account string, scopes ...string) string {
	return s.TokenFor(s.opt.ClientID, account, scopes...)
}

// TokenFor is Token for a given OAuth client.
func (s *Server) TokenFor(client, account string, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return ""
	}
	return s.newAccess(acc, client, fullScopes(scopes))
}

// RefreshToken mints a refresh token as a consent would.
func (s *Server) RefreshToken(account string, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return ""
	}
	s.consents[consentKey(acc, s.opt.ClientID)] = true
	return s.newRefresh(acc, s.opt.ClientID, fullScopes(scopes))
}

func fullScopes(scopes []string) []string {
	out := make([]string, len(scopes))
	for i, sc := range scopes {
		sc = canonicalScope(sc)
		if sc != "openid" && !strings.Contains(sc, "://") {
			sc = scopePrefix + sc
		}
		out[i] = sc
	}
	return out
}

// Client gives an HTTP client that is signed in as account, and needs no network.
// Its access token is new with every request, so it does not expire; after
// RevokeGrant it works on. Use Token for what shall die.
func (s *Server) Client(account string, scopes ...string) *http.Client {
	return &http.Client{Transport: bearerTransport{s: s, account: account, scopes: scopes}}
}

type bearerTransport struct {
	s       *Server
	account string
	scopes  []string
}

func (t bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	token := t.s.Token(t.account, t.scopes...)
	r.Header.Set("Authorization", "Bearer "+token)
	defer func() {
		t.s.mu.Lock()
		defer t.s.mu.Unlock()
		delete(t.s.access, token)
	}()
	return t.s.Transport().RoundTrip(r)
}

// Transport answers requests to BaseURL in the caller's goroutine, without a
// network. A connection which the server breaks off is an error that wraps
// io.ErrUnexpectedEOF. Not for the event stream of the page, which never ends.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	base, err := url.Parse(t.s.opt.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("the stand-in's base URL: %w", err)
	}
	if r.URL.Host != base.Host || !strings.HasPrefix(r.URL.EscapedPath(), base.EscapedPath()+"/") {
		return nil, fmt.Errorf("%s is no address of the stand-in at %s", r.URL.Redacted(), t.s.opt.BaseURL)
	}
	rec := &recorder{header: http.Header{}}
	// StripPrefix keeps the escaped form of the path in step with the plain one.
	broken := rec.serve(http.StripPrefix(base.Path, t.s), r)
	if err := r.Context().Err(); err != nil && broken {
		return nil, context.Cause(r.Context())
	}
	if broken && rec.status == 0 {
		return nil, fmt.Errorf("the connection was broken off: %w", io.ErrUnexpectedEOF)
	}
	var body io.Reader = &rec.body
	if broken {
		body = io.MultiReader(body, brokenBody{})
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", rec.status, http.StatusText(rec.status)), StatusCode: rec.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.header, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}, nil
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// recorder collects an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// serve reports whether the handler broke the connection off, which net/http's
// handlers do by panicking with ErrAbortHandler; any other panic goes on.
func (r *recorder) serve(h http.Handler, req *http.Request) (broken bool) {
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(error)
			if !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p) //nolint:forbidigo // not ours to swallow
			}
			broken = true
		}
	}()
	h.ServeHTTP(r, req)
	return false
}
