package google

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/fake/inprocess"
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
	// StripPrefix keeps the escaped form of the path in step with the plain one.
	return inprocess.Ask(http.StripPrefix(base.Path, t.s), r).Response(r)
}
