package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/signin"
)

// consentTime is how long a person may take in the browser.
const consentTime = 10 * time.Minute

// callbackPath is where scripts/local has its redirect URI too.
const callbackPath = "/OAuth/callback"

// consenting has people consent in a browser, and comes back to a loopback address.
type consenting struct {
	client, secret string
	issuer         string
	addr           string
	http           *http.Client
	now            func() time.Time
	// open shows a person the address at which to consent.
	open func(address string)
}

// refusedToken is an error of Google's sign-in or of the token endpoint.
type refusedToken struct {
	status int
	code   string
}

func (r *refusedToken) Error() string {
	return fmt.Sprintf("Google's sign-in answered %s (status %d)", r.code, r.status)
}

// session is an access token of one account: for an hour, without a refresh token, so
// that nothing is left of it and no grant in use is touched.
type session struct {
	token  string
	revoke string // endpoint
}

// sign has account consent to the scopes. An account other than that is refused, and
// so is a consent with a scope missing.
func (c consenting) sign(ctx context.Context, account string, scopes []string) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, consentTime)
	defer cancel()
	ctx = oidc.ClientContext(ctx, c.http)
	google, err := oidc.NewProvider(ctx, c.issuer)
	if err != nil {
		return session{}, errors.New("Google's discovery document could not be read") //nolint:staticcheck // a name begins it
	}
	var more struct {
		Revoke string `json:"revocation_endpoint"`
	}
	if err := google.Claims(&more); err != nil {
		return session{}, fmt.Errorf("read Google's discovery document: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.addr)
	if err != nil {
		return session{}, fmt.Errorf("listen on %s: %w (is scripts/local running? choose -addr)", c.addr, err)
	}
	cfg := &oauth2.Config{ClientID: c.client, ClientSecret: c.secret, Endpoint: google.Endpoint(), RedirectURL: "http://" + redirectHost(listener.Addr()) + callbackPath,
		Scopes: append([]string{oidc.ScopeOpenID, "email"}, scopes...)}
	cfg.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	state, nonce, verifier := signin.Random(), signin.Random(), oauth2.GenerateVerifier()
	code, err := c.wait(ctx, listener, state, cfg.AuthCodeURL(state, oauth2.AccessTypeOnline, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent select_account"), oauth2.SetAuthURLParam("login_hint", account)))
	if err != nil {
		return session{}, err
	}
	token, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return session{}, plain(err)
	}
	raw, _ := token.Extra("id_token").(string)
	checked, err := google.Verifier(&oidc.Config{ClientID: c.client, Now: c.now}).Verify(ctx, raw)
	if err != nil || checked.Nonce != nonce {
		return session{}, errors.New("the proof of who consented did not pass the checks")
	}
	var who struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := checked.Claims(&who); err != nil || !who.Verified || !strings.EqualFold(who.Email, account) {
		return session{}, errors.New("another account consented than the one that was asked for")
	}
	granted, _ := token.Extra("scope").(string)
	for _, scope := range scopes {
		if !slices.Contains(strings.Fields(granted), scope) {
			return session{}, fmt.Errorf("the consent leaves out %s: leave all boxes ticked", scope)
		}
	}
	return session{token: token.AccessToken, revoke: more.Revoke}, nil
}

// redirectHost is how a browser reaches the listener: by the name localhost, which is
// what OAuth clients register.
func redirectHost(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && (t.IP.IsLoopback() || t.IP.IsUnspecified()) {
		return fmt.Sprintf("localhost:%d", t.Port)
	}
	return a.String()
}

// wait shows the address and waits for the browser to come back with a code.
func (c consenting) wait(ctx context.Context, listener net.Listener, state, address string) (string, error) {
	type outcome struct {
		code string
		err  error
	}
	came := make(chan outcome, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("state") != state {
			http.Error(w, "This is not the sign-in that was begun.", http.StatusBadRequest)
			return
		}
		o := outcome{code: q.Get("code")}
		if said := q.Get("error"); said != "" || o.code == "" {
			o.err = &refusedToken{status: http.StatusFound, code: said}
		}
		select {
		case came <- o:
		default: // the browser came twice
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("The probe goes on in the terminal. This page can be closed.\n"))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
	}()
	c.open(address)
	select {
	case o := <-came:
		return o.code, o.err
	case <-ctx.Done():
		return "", fmt.Errorf("nobody consented: %w", ctx.Err())
	}
}

// revoke ends what the account granted. Only for an account other than the central
// one: Google ends every grant of the account to this client with it.
func (c consenting) revoke(ctx context.Context, s session) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.revoke, strings.NewReader(url.Values{"token": {s.token}}.Encode()))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.http.Do(req)
	if err != nil {
		return errors.New("the revocation endpoint did not answer")
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the revocation endpoint answered %d", res.StatusCode)
	}
	return nil
}

// plain is what may be told of an error of the token endpoint: never a body or a
// token.
func plain(err error) error {
	said, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return errors.New("the token endpoint did not answer")
	}
	out := &refusedToken{code: said.ErrorCode}
	if said.Response != nil {
		out.status = said.Response.StatusCode
	}
	return out
}
