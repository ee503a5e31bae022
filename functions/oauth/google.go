package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// provider is what Google's discovery document says.
type provider struct {
	*oidc.Provider
	revoke string
}

// discover reads the discovery document at the first use; a failed reading is
// tried again at the next.
func (h *handler) discover(ctx context.Context) (*provider, error) {
	if p := h.provider.Load(); p != nil {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, h.HTTP), callDeadline)
	defer cancel()
	found, err := oidc.NewProvider(ctx, h.cfg.Issuer)
	var more struct {
		Revoke string `json:"revocation_endpoint"`
	}
	if err == nil {
		err = found.Claims(&more)
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadGateway, log: "discovery", err: plain(err), title: "Google did not answer",
			cause: "Google's sign-in service could not be reached or did not answer as expected.",
			cures: []string{"Wait a minute and start again from the console.", "If it stays, check GOOGLE_ISSUER and the network's way out."},
			link:  h.console.URL("/", nil), linkText: "Open the console"}
	}
	p := &provider{Provider: found, revoke: more.Revoke}
	h.provider.Store(p)
	return p, nil
}

// identity is whom Google's id_token vouches for.
type identity struct {
	Sub      string
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	// HostedDomain is the Workspace that owns the account, "" for none.
	HostedDomain string `json:"hd"`
	// AuthorizedParty is the client that asked, where Google names it.
	AuthorizedParty string `json:"azp"`
}

// exchange turns the code into tokens and a checked identity.
func (h *handler) exchange(ctx context.Context, google *provider, code, verifier, nonce string) (*oauth2.Token, identity, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, h.HTTP), callDeadline)
	defer cancel()
	token, err := h.client(google, nil).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, identity{}, h.exchangeRefused(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		// The browser carries the scopes to Google, and may have dropped openid.
		return token, identity{}, h.startAgain("no id_token", "Google's answer does not say who signed in.")
	}
	checked, err := google.Verifier(&oidc.Config{ClientID: h.cfg.ClientID, Now: h.Now}).Verify(ctx, raw)
	if err != nil {
		return token, identity{}, h.badIdentity("id_token", plain(err))
	}
	if checked.Nonce != nonce || nonce == "" {
		// The browser carries the nonce to Google.
		return token, identity{}, h.startAgain("nonce", "Google's answer belongs to another sign-in.")
	}
	who := identity{Sub: checked.Subject}
	if err := checked.Claims(&who); err != nil || who.Sub == "" {
		return token, identity{}, h.badIdentity("claims", nil)
	}
	if who.AuthorizedParty != h.cfg.ClientID && (who.AuthorizedParty != "" || len(checked.Audience) > 1) {
		return token, identity{}, h.badIdentity("azp", nil)
	}
	return token, who, nil
}

func (h *handler) badIdentity(log string, err error) error {
	return &refusal{status: http.StatusBadGateway, log: log, err: err, title: "Google's answer could not be trusted",
		cause: "The proof of who signed in did not pass the checks, so it was not used. Nothing was stored.",
		cures: []string{"Start again from the console.", "If it stays, check that OAUTH_CLIENT_ID and GOOGLE_ISSUER belong together."},
		link:  h.console.URL("/", nil), linkText: "Open the console"}
}

// exchangeRefused explains why Google gave no tokens for the code.
func (h *handler) exchangeRefused(err error) error {
	r := &refusal{status: http.StatusBadGateway, log: "exchange", err: plain(err), title: "Google did not finish the sign-in",
		cause: "Google's sign-in service failed while it was asked to confirm the sign-in. Nothing was stored.",
		cures: []string{"Start again from the console."}, link: h.console.URL("/", nil), linkText: "Open the console"}
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		switch said.ErrorCode {
		case "invalid_grant":
			r.status, r.title = http.StatusBadRequest, "This sign-in is too old"
			r.cause = "Google no longer accepts the code that your browser brought: it was used before or has expired. Nothing was stored."
		case "invalid_client", "unauthorized_client":
			r.status, r.title = http.StatusInternalServerError, "Google does not accept this installation's OAuth client"
			r.cause = "OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET do not belong together, or the client was deleted."
			r.cures = []string{"In the Google Cloud console, open APIs & Services, Credentials, and compare the web client's id and secret with the configuration.", "Then start again from the console."}
		case "redirect_uri_mismatch":
			r.status, r.title = http.StatusInternalServerError, "The redirect URI is not registered"
			r.cause = "Google does not know the address it was asked to come back to."
			r.cures = []string{"Register exactly this redirect URI at the OAuth client: " + h.redirectURI(), "Then start again from the console."}
		}
	}
	return r
}

// plain takes what may be logged out of a library's error: never a body, an
// address with parameters or a token (rule 10.2).
func plain(err error) error {
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		e := failure.New(failure.Forbidden, "exchange the code", "")
		if said.Response != nil {
			e.Status = said.Response.StatusCode
		}
		e.Reason = said.ErrorCode
		return e
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return failure.Wrap(failure.Transient, "call Google", u.Err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return failure.Wrap(failure.Transient, "call Google", context.DeadlineExceeded)
	}
	if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return failure.Wrap(failure.Invalid, "check the id_token", late)
	}
	return failure.New(failure.Invalid, "check Google's answer", "")
}

// revoke gives a grant back that nobody will use. Google then forgets everything
// this account ever granted the client, so the grant that is in use must never
// be revoked along with a refused one: see handler.refuse.
func (h *handler) revoke(ctx context.Context, google *provider, token *oauth2.Token) {
	value := token.RefreshToken
	if value == "" {
		value = token.AccessToken
	}
	if google.revoke == "" || value == "" {
		return
	}
	// The grant is given back even if the browser has gone meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callDeadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, google.revoke, strings.NewReader(url.Values{"token": {value}}.Encode()))
	if err != nil {
		h.Log.WarnContext(ctx, "could not revoke a refused grant", "error", plain(err))
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := h.HTTP.Do(req)
	if err != nil {
		h.Log.WarnContext(ctx, "could not revoke a refused grant", "error", plain(err))
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		h.Log.WarnContext(ctx, "could not revoke a refused grant", "status", resp.StatusCode)
	}
}
