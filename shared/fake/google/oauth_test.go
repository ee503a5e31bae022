package google

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// form posts a form without a network.
func (w *world) form(path string, kv ...string) (int, map[string]any) {
	w.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		v.Add(kv[i], kv[i+1])
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.opt.BaseURL+path, strings.NewReader(v.Encode()))
	w.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := w.Transport().RoundTrip(req)
	w.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	w.ok(err)
	out := map[string]any{"location": resp.Header.Get("Location"), "text": string(b)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		w.ok(json.Unmarshal(b, &out))
	}
	return resp.StatusCode, out
}

func (w *world) config() *oauth2.Config {
	return &oauth2.Config{ClientID: clientID, ClientSecret: secret, RedirectURL: redirect,
		Scopes:   fullScopes(productScopes),
		Endpoint: oauth2.Endpoint{AuthURL: w.opt.BaseURL + "/o/oauth2/v2/auth", TokenURL: w.opt.BaseURL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
}

// code lets account consent and gives the callback's parameters.
func (w *world) code(authURL, account string, scopes ...string) url.Values {
	w.t.Helper()
	back, err := w.Approve(authURL, account, scopes...)
	w.ok(err)
	u, err := url.Parse(back)
	w.ok(err)
	if !strings.HasPrefix(back, redirect+"?") {
		w.t.Fatalf("the callback is %s", back)
	}
	return u.Query()
}

func (w *world) http() *http.Client { return &http.Client{Transport: w.Transport()} }

func TestSignInWithOIDCLibrary(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Accounts[0].HostedDomain = "firm.example" })
	ctx := oidc.ClientContext(t.Context(), w.http())
	provider, err := oidc.NewProvider(ctx, w.opt.BaseURL)
	w.ok(err)
	cfg := w.config()
	cfg.Endpoint = provider.Endpoint()
	verifier := oauth2.GenerateVerifier()
	q := w.code(cfg.AuthCodeURL("state-1", oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier), oidc.Nonce("nonce-1")), owner)
	if q.Get("state") != "state-1" || q.Get("code") == "" {
		t.Fatalf("callback %v", q)
	}
	tok, err := cfg.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(verifier))
	w.ok(err)
	raw, _ := tok.Extra("id_token").(string)
	id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: clientID, Now: w.clock.now}).Verify(ctx, raw)
	w.ok(err)
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		HD       string `json:"hd"`
	}
	w.ok(id.Claims(&claims))
	if id.Subject != "1001" || id.Nonce != "nonce-1" || claims.Email != owner || !claims.Verified || claims.HD != "firm.example" || id.VerifyAccessToken(tok.AccessToken) != nil {
		t.Fatalf("id token %+v %+v", id, claims)
	}
	if tok.RefreshToken == "" {
		t.Fatal("no refresh token on first offline consent")
	}
	scopes, _ := tok.Extra("scope").(string)
	if got := strings.Fields(scopes); !slices.Contains(got, "https://www.googleapis.com/auth/userinfo.email") || slices.Contains(got, "email") || len(got) != 5 {
		t.Fatalf("granted scopes %v: Google spells email as a URL", got)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tok))
	w.ok(err)
	if info.Subject != "1001" || info.Email != owner {
		t.Fatalf("user info %+v", info)
	}
}

func TestRefreshTokenOnlyWhenGoogleGivesOne(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	ctx := oidc.ClientContext(t.Context(), w.http())
	get := func(opts ...oauth2.AuthCodeOption) bool {
		t.Helper()
		tok, err := cfg.Exchange(ctx, w.code(cfg.AuthCodeURL("s", opts...), owner).Get("code"))
		w.ok(err)
		return tok.RefreshToken != ""
	}
	if get() {
		t.Error("online access gave a refresh token")
	}
	w.ok(w.RevokeGrant(owner))
	if !get(oauth2.AccessTypeOffline) {
		t.Error("the first offline consent gave none")
	}
	if get(oauth2.AccessTypeOffline) {
		t.Error("the second consent gave one without prompt=consent")
	}
	if !get(oauth2.AccessTypeOffline, oauth2.SetAuthURLParam("prompt", "consent select_account")) {
		t.Error("prompt=consent gave none")
	}
}

func TestUntickedScopesAreNotGranted(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	ctx := oidc.ClientContext(t.Context(), w.http())
	tok, err := cfg.Exchange(ctx, w.code(cfg.AuthCodeURL("s", oauth2.AccessTypeOffline), owner, "calendar.app.created").Get("code"))
	w.ok(err)
	scopes, _ := tok.Extra("scope").(string)
	if strings.Contains(scopes, "calendar.acls") || !strings.Contains(scopes, "calendar.app.created") || !strings.Contains(scopes, "openid") {
		t.Fatalf("granted %s", scopes)
	}
}

func TestConsentForm(t *testing.T) {
	w := newWorld(t)
	u, err := url.Parse(w.config().AuthCodeURL("s&<>", oauth2.AccessTypeOffline))
	w.ok(err)
	status, page, h := w.raw(w.http(), "GET", "/o/oauth2/v2/auth?"+u.RawQuery+"&login_hint="+reader, "")
	text, _ := page["text"].(string)
	if status != 200 || !strings.Contains(text, `value="`+reader+`" required checked`) || !strings.Contains(text, `value="`+scopePrefix+`calendar.acls" checked`) || strings.Contains(text, "s&<>") {
		t.Fatalf("consent page: %d %s", status, text)
	}
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Fatalf("policy %q", csp)
	}
	var kv []string
	for k, v := range u.Query() {
		kv = append(kv, k, v[0])
	}
	status, out := w.form("/o/oauth2/v2/auth", append(slices.Clone(kv), "account", reader, "grant", scopePrefix+"calendar.acls", "decision", "allow")...)
	loc, err := url.Parse(fmt.Sprint(out["location"]))
	w.ok(err)
	if status != http.StatusFound || loc.Query().Get("code") == "" || loc.Query().Get("state") != "s&<>" || strings.Contains(loc.Query().Get("scope"), "app.created") {
		t.Fatalf("allowed: %d %v", status, loc)
	}
	status, out = w.form("/o/oauth2/v2/auth", append(kv, "decision", "deny")...)
	if loc, _ := out["location"].(string); status != http.StatusFound || !strings.Contains(loc, "error=access_denied") || strings.Contains(loc, "code=") {
		t.Fatalf("denied: %d %s", status, loc)
	}
	back, err := w.Deny(u.String())
	w.ok(err)
	if !strings.Contains(back, "error=access_denied") {
		t.Fatalf("Deny gave %s", back)
	}
}

func TestAutoApprove(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.AutoApprove = true })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.config().AuthCodeURL("s", oauth2.SetAuthURLParam("login_hint", reader)), nil)
	w.ok(err)
	resp, err := w.Transport().RoundTrip(req)
	w.ok(err)
	loc, err := resp.Location()
	w.ok(err)
	tok, err := w.config().Exchange(oidc.ClientContext(t.Context(), w.http()), loc.Query().Get("code"))
	w.ok(err)
	if w.access[tok.AccessToken].acc.Email != reader {
		t.Fatal("login_hint was not followed")
	}
}

func TestFaultyAuthorizationNeverReachesTheApplication(t *testing.T) {
	w := newWorld(t)
	good, err := url.Parse(w.config().AuthCodeURL("s"))
	w.ok(err)
	for name, row := range map[string]struct {
		key, value string
		status     int
		code       string
	}{
		"redirect":  {"redirect_uri", "http://evil.example/", 400, "redirect_uri_mismatch"},
		"slash":     {"redirect_uri", redirect + "/", 400, "redirect_uri_mismatch"},
		"client":    {"client_id", "other", 401, "invalid_client"},
		"type":      {"response_type", "token", 400, "unsupported_response_type"},
		"scope":     {"scope", "openid calendar.everything", 400, "invalid_scope"},
		"no scope":  {"scope", "", 400, "invalid_request"},
		"challenge": {"code_challenge_method", "S512", 400, "invalid_request"},
	} {
		q := good.Query()
		q.Set(row.key, row.value)
		status, page, h := w.raw(w.http(), "GET", "/o/oauth2/v2/auth?"+q.Encode(), "")
		if text, _ := page["text"].(string); status != row.status || h.Get("Location") != "" || !strings.Contains(text, row.code) {
			t.Errorf("%s: %d %q", name, status, h.Get("Location"))
		}
		if _, err := w.Approve(w.opt.BaseURL+"/o/oauth2/v2/auth?"+q.Encode(), owner); err == nil {
			t.Errorf("%s: Approve went through", name)
		}
	}
}

func TestTokenEndpointRefusals(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	verifier := oauth2.GenerateVerifier()
	code := func() string {
		return w.code(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), owner).Get("code")
	}
	used := code()
	post := func(change ...string) (int, map[string]any) {
		kv := map[string]string{"grant_type": "authorization_code", "redirect_uri": redirect, "client_id": clientID, "client_secret": secret, "code_verifier": verifier}
		for i := 0; i+1 < len(change); i += 2 {
			kv[change[i]] = change[i+1]
		}
		var list []string
		for k, v := range kv {
			list = append(list, k, v)
		}
		return w.form("/token", list...)
	}
	if status, out := post("code", used); status != 200 {
		t.Fatalf("good exchange: %d %v", status, out)
	}
	if status, out := post("code", used); status != 400 || out["error"] != "invalid_grant" {
		t.Fatalf("a code reused at once: %d %v", status, out)
	}
	late := code()
	w.clock.advance(11 * time.Minute)
	for name, row := range map[string]struct {
		change []string
		want   string
	}{
		"expired code":    {[]string{"code", late}, "400 invalid_grant"},
		"unknown code":    {[]string{"code", "4/x"}, "400 invalid_grant"},
		"wrong verifier":  {[]string{"code", code(), "code_verifier", "wrong"}, "400 invalid_grant"},
		"no verifier":     {[]string{"code", code(), "code_verifier", ""}, "400 invalid_grant"},
		"wrong secret":    {[]string{"code", code(), "client_secret", "wrong"}, "401 invalid_client"},
		"unknown client":  {[]string{"code", code(), "client_id", "x"}, "401 invalid_client"},
		"other redirect":  {[]string{"code", code(), "redirect_uri", "http://x/"}, "400 redirect_uri_mismatch"},
		"grant type":      {[]string{"grant_type", "password"}, "400 unsupported_grant_type"},
		"no grant type":   {[]string{"grant_type", ""}, "400 invalid_request"},
		"refresh unknown": {[]string{"grant_type", "refresh_token", "refresh_token", "1//x"}, "400 invalid_grant"},
	} {
		status, out := post(row.change...)
		code, _ := out["error"].(string)
		if got := jsonText(status) + " " + code; got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func TestClientSecretBasic(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	_, err := cfg.Exchange(oidc.ClientContext(t.Context(), w.http()), w.code(cfg.AuthCodeURL("s"), owner).Get("code"))
	w.ok(err)
	cfg.ClientSecret = "wrong"
	_, err = cfg.Exchange(oidc.ClientContext(t.Context(), w.http()), w.code(cfg.AuthCodeURL("s"), owner).Get("code"))
	if err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Fatalf("wrong secret: %v", err)
	}
}

func (w *world) refreshWith(token string) string {
	w.t.Helper()
	status, out := w.form("/token", "grant_type", "refresh_token", "refresh_token", token, "client_id", clientID, "client_secret", secret)
	code, _ := out["error"].(string)
	return strings.TrimSpace(jsonText(status) + " " + code)
}

func TestHowRefreshTokensDie(t *testing.T) {
	dead := "400 invalid_grant"
	t.Run("revoked by the person", func(t *testing.T) {
		w := newWorld(t)
		r, access := w.RefreshToken(owner, productScopes...), w.Token(owner, productScopes...)
		if got := w.refreshWith(r); got != "200" {
			t.Fatal(got)
		}
		w.ok(w.RevokeGrant(owner))
		if got := w.refreshWith(r); got != dead {
			t.Fatal(got)
		}
		status, _, _ := w.raw(w.http(), "GET", "/calendar/v3/users/me/calendarList", "", "Authorization", "Bearer "+access)
		if status != 401 {
			t.Fatalf("the access token lives on: %d", status)
		}
	})
	t.Run("revoked at the endpoint", func(t *testing.T) {
		w := newWorld(t)
		r := w.RefreshToken(owner, productScopes...)
		if status, _ := w.form("/revoke", "token", r); status != 200 {
			t.Fatal(status)
		}
		if got := w.refreshWith(r); got != dead {
			t.Fatal(got)
		}
		if status, out := w.form("/revoke", "token", r); status != 400 || out["error"] != "invalid_token" {
			t.Fatalf("revoking again: %d %v", status, out)
		}
	})
	t.Run("seven days in testing", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.RefreshTokenLifetime = 7 * 24 * time.Hour })
		r := w.RefreshToken(owner, productScopes...)
		w.clock.advance(7*24*time.Hour - time.Second)
		if got := w.refreshWith(r); got != "200" {
			t.Fatal(got)
		}
		w.clock.advance(time.Second)
		if got := w.refreshWith(r); got != dead {
			t.Fatal(got)
		}
	})
	t.Run("six months unused", func(t *testing.T) {
		w := newWorld(t)
		r := w.RefreshToken(owner, productScopes...)
		for range 3 {
			w.clock.advance(100 * 24 * time.Hour)
			if got := w.refreshWith(r); got != "200" {
				t.Fatal(got)
			}
		}
		w.clock.advance(180 * 24 * time.Hour)
		if got := w.refreshWith(r); got != dead {
			t.Fatal(got)
		}
	})
	t.Run("oldest past a hundred", func(t *testing.T) {
		w := newWorld(t)
		first, second := w.RefreshToken(owner, productScopes...), w.RefreshToken(owner, productScopes...)
		for range 99 {
			w.RefreshToken(owner, productScopes...)
		}
		if a, b := w.refreshWith(first), w.refreshWith(second); a != dead || b != "200" {
			t.Fatalf("oldest: %s, second: %s", a, b)
		}
	})
	t.Run("another client's", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MoreClients = []Client{{ID: "client-2", Secret: "s2"}} })
		status, out := w.form("/token", "grant_type", "refresh_token", "refresh_token", w.RefreshToken(owner, "openid"), "client_id", "client-2", "client_secret", "s2")
		if status != 400 || out["error"] != "invalid_grant" {
			t.Fatalf("%d %v", status, out)
		}
	})
}

func TestAccessTokensLiveAnHour(t *testing.T) {
	w := newWorld(t)
	tok := w.Token(owner, productScopes...)
	get := func(auth string) (int, string) {
		status, body, _ := w.raw(w.http(), "GET", "/calendar/v3/users/me/calendarList", "", "Authorization", auth)
		return status, jsonText(body)
	}
	if status, body := get("Bearer " + tok); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	w.clock.advance(time.Hour)
	if status, body := get("Bearer " + tok); status != 401 || !strings.Contains(body, "authError") {
		t.Fatalf("expired: %d %s", status, body)
	}
	if status, body := get("Bearer nonsense"); status != 401 || !strings.Contains(body, "authError") {
		t.Fatalf("unknown: %d %s", status, body)
	}
	if status, body := get(""); status != 401 || !strings.Contains(body, "required") {
		t.Fatalf("none: %d %s", status, body)
	}
}

func TestTokenRequestsAreLoggedWithoutSecrets(t *testing.T) {
	w := newWorld(t)
	r := w.RefreshToken(owner, productScopes...)
	w.refreshWith(r)
	log := w.Requests(Filter{Method: "oauth2.token"})
	if len(log) != 1 || log[0].Status != 200 || log[0].Account != owner || log[0].ClientID != clientID {
		t.Fatalf("log %s", jsonText(log))
	}
	for _, s := range []string{r, secret} {
		if strings.Contains(jsonText(log), s) {
			t.Fatal("the log holds a secret")
		}
	}
}
