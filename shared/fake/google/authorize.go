package google

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authRequest is a checked authorization request.
type authRequest struct {
	client   Client
	redirect *url.URL
	scopes   []string
	query    url.Values
}

// pageError is a fault which Google shows on a page of its own and never tells
// the application.
type pageError struct {
	status       int
	code, detail string
}

func (e *pageError) Error() string { return e.code + ": " + e.detail }

func (s *Server) checkAuth(q url.Values) (*authRequest, *pageError) {
	client, ok := s.clients[q.Get("client_id")]
	if !ok {
		return nil, &pageError{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found."}
	}
	if !slices.Contains(client.RedirectURIs, q.Get("redirect_uri")) {
		return nil, &pageError{http.StatusBadRequest, "redirect_uri_mismatch", "The redirect URI in the request does not match the ones authorized for the OAuth client."}
	}
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		return nil, &pageError{http.StatusBadRequest, "invalid_request", "The redirect URI is malformed."}
	}
	a := &authRequest{client: client, redirect: redirect, query: q}
	if q.Get("response_type") != "code" {
		return nil, &pageError{http.StatusBadRequest, "unsupported_response_type", "Only response_type=code is supported."}
	}
	for _, sc := range strings.Fields(q.Get("scope")) {
		sc = canonicalScope(sc)
		if !s.knownScope(sc) {
			return nil, &pageError{http.StatusBadRequest, "invalid_scope", "Some requested scopes were invalid: " + sc}
		}
		if !slices.Contains(a.scopes, sc) {
			a.scopes = append(a.scopes, sc)
		}
	}
	if len(a.scopes) == 0 {
		return nil, &pageError{http.StatusBadRequest, "invalid_request", "Missing required parameter: scope"}
	}
	if m := q.Get("code_challenge_method"); m != "" && m != "S256" && m != "plain" {
		return nil, &pageError{http.StatusBadRequest, "invalid_request", "Invalid code_challenge_method."}
	}
	return a, nil
}

// optional scopes can be unticked; who somebody is cannot.
func optional(scope string) bool {
	return scope != "openid" && scope != emailScope && scope != profileScope
}

// grant makes the code for what acc consented to and gives the callback's URL.
func (s *Server) grant(a *authRequest, acc *account, granted []string) string {
	// Google answers in an order of its own.
	scopes := slices.Clone(granted)
	slices.Sort(scopes)
	key := consentKey(acc, a.client.ID)
	prompt := strings.Fields(a.query.Get("prompt"))
	code := &authCode{
		acc: acc, client: a.client.ID, redirect: a.query.Get("redirect_uri"), nonce: a.query.Get("nonce"),
		challenge: a.query.Get("code_challenge"), challengeMethod: a.query.Get("code_challenge_method"), scopes: scopes,
		offline: a.query.Get("access_type") == "offline", firstConsent: !s.consents[key] || slices.Contains(prompt, "consent"),
		expires: s.now().Add(codeLifetime),
	}
	s.consents[key] = true
	id := "4/0A" + s.hex(30)
	s.codes[id] = code
	return a.back(url.Values{"code": {id}, "scope": {strings.Join(scopes, " ")}, "authuser": {"0"}, "prompt": {"consent"}})
}

// back gives the callback's URL with the answer and the state.
func (a *authRequest) back(answer url.Values) string {
	u := *a.redirect
	q := u.Query()
	for k, v := range answer {
		q[k] = v
	}
	if a.query.Has("state") {
		q.Set("state", a.query.Get("state"))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Approve answers the authorization request at authURL as its person would in a
// browser: account (e-mail or sub) consents. Without scopes everything asked for
// is granted, otherwise those of the list that were asked for, and who they are.
// It gives the URL of the callback. An error is what Google would show on a page
// of its own.
func (s *Server) Approve(authURL, account string, scopes ...string) (string, error) {
	a, acc, err := s.decide(authURL, account)
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	granted := a.scopes
	if len(scopes) > 0 {
		granted = nil
		for _, sc := range a.scopes {
			if !optional(sc) || slices.ContainsFunc(scopes, func(g string) bool { return canonicalScope(g) == sc || scopePrefix+g == sc }) {
				granted = append(granted, sc)
			}
		}
	}
	return s.grant(a, acc, granted), nil
}

// Deny is Approve's opposite: the callback's URL carries error=access_denied.
func (s *Server) Deny(authURL string) (string, error) {
	a, _, err := s.decide(authURL, "")
	if err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	return a.back(url.Values{"error": {"access_denied"}}), nil
}

// decide checks authURL and leaves the lock held unless it fails.
func (s *Server) decide(authURL, account string) (*authRequest, *account, error) {
	u, err := url.Parse(authURL)
	if err != nil {
		return nil, nil, errors.New("the authorization URL is malformed")
	}
	s.mu.Lock()
	a, perr := s.checkAuth(u.Query())
	if perr != nil {
		s.mu.Unlock()
		return nil, nil, fmt.Errorf("the authorization request was refused: %w", perr)
	}
	acc := s.account(account)
	if account != "" && acc == nil {
		s.mu.Unlock()
		return nil, nil, fmt.Errorf("there is no account %q", account)
	}
	return a, acc, nil
}

func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form is malformed.", http.StatusBadRequest)
		return
	}
	q := r.Form // query on GET, the hidden fields on POST
	e := &Request{Method: "oauth2.authorize", HTTPMethod: r.Method, ClientID: q.Get("client_id")}
	s.perform(w, r, operation{
		entry:  e,
		effect: func(*Fault) answer { return s.authorize(e, r, q) },
		refuse: func(ae *apiError) answer {
			return s.errorPage(&pageError{ae.status, ae.reason, ae.message})
		},
	})
}

func (s *Server) authorize(e *Request, r *http.Request, q url.Values) answer {
	a, perr := s.checkAuth(q)
	if perr != nil {
		return s.errorPage(perr)
	}
	to := func(where string) answer {
		return answer{status: http.StatusFound, header: http.Header{"Location": {where}, "Cache-Control": {"no-store"}, "Referrer-Policy": {"no-referrer"}}}
	}
	hinted := s.account(q.Get("login_hint"))
	switch {
	case r.Method == http.MethodPost && q.Get("decision") == "deny":
		return to(a.back(url.Values{"error": {"access_denied"}}))
	case r.Method == http.MethodPost && q.Get("decision") == "allow":
		acc := s.account(q.Get("account"))
		if acc == nil {
			return s.errorPage(&pageError{http.StatusBadRequest, "invalid_request", "Choose an account."})
		}
		var granted []string
		for _, sc := range a.scopes {
			if !optional(sc) || slices.Contains(q["grant"], sc) {
				granted = append(granted, sc)
			}
		}
		e.Account = acc.Email
		return to(s.grant(a, acc, granted))
	case r.Method != http.MethodGet:
		return s.errorPage(&pageError{http.StatusBadRequest, "invalid_request", "The decision is missing."})
	case q.Get("prompt") == "none":
		return to(a.back(url.Values{"error": {"interaction_required"}}))
	case s.opt.AutoApprove && len(s.order) > 0:
		if hinted == nil {
			hinted = s.order[0]
		}
		e.Account = hinted.Email
		return to(s.grant(a, hinted, a.scopes))
	}
	return s.consentPage(a, hinted)
}
