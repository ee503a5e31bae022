package google

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	codeLifetime   = 10 * time.Minute
	accessLifetime = time.Hour
	unusedLifetime = 180 * 24 * time.Hour // a refresh token not used for six months dies
	maxRefresh     = 100                  // per account and client; the oldest dies
	emailScope     = scopePrefix + "userinfo.email"
	profileScope   = scopePrefix + "userinfo.profile"
)

type authCode struct {
	acc                        *account
	client, redirect, nonce    string
	challenge, challengeMethod string
	scopes                     []string
	offline, used              bool
	firstConsent               bool
	expires                    time.Time
}

type refreshToken struct {
	token        string
	acc          *account
	client       string
	scopes       []string
	issued, used time.Time
	n            int
}

type accessToken struct {
	acc     *account
	client  string
	scopes  []string
	expires time.Time
}

// canonicalScope gives the spelling with which Google answers.
func canonicalScope(s string) string {
	switch s {
	case "email":
		return emailScope
	case "profile":
		return profileScope
	}
	return s
}

func (s *Server) knownScope(scope string) bool {
	return scope == "openid" || scope == emailScope || scope == profileScope || slices.Contains(s.table.Scopes, scope)
}

// bearer gives the live access token of an Authorization header, or nil.
func (s *Server) bearer(header string) *accessToken {
	kind, tok, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(kind, "Bearer") {
		return nil
	}
	t := s.access[strings.TrimSpace(tok)]
	if t == nil || !s.now().Before(t.expires) {
		return nil
	}
	return t
}

func (s *Server) newAccess(acc *account, client string, scopes []string) string {
	if len(s.access) > 10_000 { // a long simulation must not keep all it ever minted
		for k, t := range s.access {
			if !s.now().Before(t.expires) {
				delete(s.access, k)
			}
		}
	}
	token := "ya29." + s.hex(40)
	s.access[token] = &accessToken{acc: acc, client: client, scopes: slices.Clone(scopes), expires: s.now().Add(accessLifetime)}
	return token
}

func (s *Server) newRefresh(acc *account, client string, scopes []string) string {
	s.seq++
	t := &refreshToken{token: "1//" + s.hex(40), acc: acc, client: client, scopes: slices.Clone(scopes), issued: s.now(), used: s.now(), n: s.seq}
	s.refresh[t.token] = t
	var mine []*refreshToken
	for _, o := range s.refresh {
		if o.acc == acc && o.client == client {
			mine = append(mine, o)
		}
	}
	sort.Slice(mine, func(i, j int) bool { return mine[i].n < mine[j].n })
	for len(mine) > maxRefresh {
		delete(s.refresh, mine[0].token)
		mine = mine[1:]
	}
	return t.token
}

func (s *Server) liveRefresh(token string) *refreshToken {
	t, now := s.refresh[token], s.now()
	if t == nil || (s.opt.RefreshTokenLifetime > 0 && now.Sub(t.issued) >= s.opt.RefreshTokenLifetime) || now.Sub(t.used) >= unusedLifetime {
		return nil
	}
	return t
}

// revokeGrant ends everything that acc granted to client ("" = to all clients).
func (s *Server) revokeGrant(acc *account, client string) {
	s.loseReach(acc, client)
	for k, t := range s.refresh {
		if t.acc == acc && (client == "" || t.client == client) {
			delete(s.refresh, k)
		}
	}
	for k, t := range s.access {
		if t.acc == acc && (client == "" || t.client == client) {
			delete(s.access, k)
		}
	}
	for k := range s.consents {
		if strings.HasPrefix(k, acc.Sub+"\x00") && (client == "" || k == consentKey(acc, client)) {
			delete(s.consents, k)
		}
	}
}

func consentKey(acc *account, client string) string { return acc.Sub + "\x00" + client }

// serveOAuth runs an endpoint that answers JSON through log, faults and latency.
func (s *Server) serveOAuth(w http.ResponseWriter, r *http.Request, name string, effect func(*Request, *http.Request, url.Values) answer) {
	var form url.Values
	if r.Method == http.MethodPost {
		raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler) // the request never arrived whole
		}
		// What does not parse lacks its fields and is refused for that.
		form, _ = url.ParseQuery(string(raw))
	}
	// The form of the token endpoint holds secrets: it is not logged.
	e := &Request{Method: name, HTTPMethod: r.Method, Write: false, ClientID: form.Get("client_id")}
	s.perform(w, r, operation{
		entry:  e,
		effect: func(*Fault) answer { return effect(e, r, form) },
		refuse: func(ae *apiError) answer {
			a := oauthError(ae.status, ae.reason, ae.message)
			ae.headers(a.header)
			return a
		},
	})
}

func oauthError(status int, code, description string) answer {
	return jsonAnswer(status, obj{"error": code, "error_description": description}, code)
}

func (s *Server) discovery(*Request, *http.Request, url.Values) answer {
	b := s.opt.BaseURL
	return jsonAnswer(http.StatusOK, obj{
		"issuer":                                b,
		"authorization_endpoint":                b + "/o/oauth2/v2/auth",
		"token_endpoint":                        b + "/token",
		"userinfo_endpoint":                     b + "/v1/userinfo",
		"revocation_endpoint":                   b + "/revoke",
		"jwks_uri":                              b + "/oauth2/v3/certs",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "email", "profile"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
		"claims_supported":                      []string{"aud", "email", "email_verified", "exp", "iat", "iss", "name", "sub"},
		"code_challenge_methods_supported":      []string{"plain", "S256"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
	}, "")
}

const keyID = "stand-in-1"

// signingKey makes the key when it is first needed: most tests never need it.
func (s *Server) signingKey() (*rsa.PrivateKey, error) {
	if s.key == nil {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("making the key of id_tokens: %w", err)
		}
		s.key = k
	}
	return s.key, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *Server) certs(*Request, *http.Request, url.Values) answer {
	k, err := s.signingKey()
	if err != nil {
		return oauthError(http.StatusInternalServerError, "internal_failure", err.Error())
	}
	a := jsonAnswer(http.StatusOK, obj{"keys": []any{obj{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": keyID,
		"n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}}}, "")
	a.header.Set("Cache-Control", "public, max-age=3600")
	return a
}

func (s *Server) idToken(code *authCode, accessToken string) (string, error) {
	k, err := s.signingKey()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(accessToken))
	now := s.now()
	claims := obj{"iss": s.opt.BaseURL, "azp": code.client, "aud": code.client, "sub": code.acc.Sub, "at_hash": b64(sum[:16]),
		"iat": now.Unix(), "exp": now.Add(accessLifetime).Unix()}
	if code.nonce != "" {
		claims["nonce"] = code.nonce
	}
	if code.acc.HostedDomain != "" {
		claims["hd"] = code.acc.HostedDomain
	}
	if slices.Contains(code.scopes, emailScope) {
		claims["email"], claims["email_verified"] = code.acc.Email, !code.acc.EmailUnverified
	}
	if slices.Contains(code.scopes, profileScope) {
		claims["name"] = code.acc.Name
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding an id_token: %w", err)
	}
	signed := b64([]byte(`{"alg":"RS256","kid":"`+keyID+`","typ":"JWT"}`)) + "." + b64(body)
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing an id_token: %w", err)
	}
	return signed + "." + b64(sig), nil
}

// client authenticates by client_secret_basic or client_secret_post.
func (s *Server) client(r *http.Request, form url.Values) (Client, bool) {
	id, secret, basic := r.BasicAuth()
	if basic {
		// RFC 6749 §2.3.1: both are form-encoded inside the header.
		uid, err1 := url.QueryUnescape(id)
		usec, err2 := url.QueryUnescape(secret)
		if err1 != nil || err2 != nil {
			return Client{}, false
		}
		id, secret = uid, usec
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	c, ok := s.clients[id]
	return c, ok && subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1
}

func (s *Server) token(e *Request, r *http.Request, form url.Values) answer {
	if r.Method != http.MethodPost {
		return oauthError(http.StatusMethodNotAllowed, "invalid_request", "The request must be a POST.")
	}
	client, ok := s.client(r, form)
	if !ok {
		return oauthError(http.StatusUnauthorized, "invalid_client", "Unauthorized")
	}
	e.ClientID = client.ID
	switch form.Get("grant_type") {
	case "authorization_code":
		return s.exchange(e, client, form)
	case "refresh_token":
		t := s.liveRefresh(form.Get("refresh_token"))
		if t == nil || t.client != client.ID {
			return oauthError(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		}
		e.Account = t.acc.Email
		t.used = s.now()
		return jsonAnswer(http.StatusOK, s.tokenReply(s.newAccess(t.acc, t.client, t.scopes), t.scopes), "")
	case "":
		return oauthError(http.StatusBadRequest, "invalid_request", "Required parameter is missing: grant_type")
	}
	return oauthError(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
}

func (s *Server) tokenReply(access string, scopes []string) obj {
	return obj{"access_token": access, "expires_in": int(accessLifetime/time.Second) - 1, "scope": strings.Join(scopes, " "), "token_type": "Bearer"}
}

func (s *Server) exchange(e *Request, client Client, form url.Values) answer {
	bad := func(code, why string) answer { return oauthError(http.StatusBadRequest, code, why) }
	code := s.codes[form.Get("code")]
	if code == nil || code.client != client.ID {
		return bad("invalid_grant", "Malformed auth code.")
	}
	e.Account = code.acc.Email
	if code.used || !s.now().Before(code.expires) {
		return bad("invalid_grant", "Bad Request")
	}
	if form.Get("redirect_uri") != code.redirect {
		return bad("redirect_uri_mismatch", "Bad Request")
	}
	if code.challenge != "" {
		v := form.Get("code_verifier")
		got := v
		if code.challengeMethod == "S256" {
			sum := sha256.Sum256([]byte(v))
			got = b64(sum[:])
		}
		if v == "" {
			return bad("invalid_grant", "Missing code verifier.")
		}
		if subtle.ConstantTimeCompare([]byte(got), []byte(code.challenge)) != 1 {
			return bad("invalid_grant", "Invalid code verifier.")
		}
	}
	code.used = true
	access := s.newAccess(code.acc, code.client, code.scopes)
	out := s.tokenReply(access, code.scopes)
	if slices.Contains(code.scopes, "openid") {
		id, err := s.idToken(code, access)
		if err != nil {
			return oauthError(http.StatusInternalServerError, "internal_failure", err.Error())
		}
		out["id_token"] = id
	}
	if code.offline && code.firstConsent {
		out["refresh_token"] = s.newRefresh(code.acc, code.client, code.scopes)
		if s.opt.RefreshTokenLifetime > 0 {
			out["refresh_token_expires_in"] = int(s.opt.RefreshTokenLifetime/time.Second) - 1
		}
	}
	return jsonAnswer(http.StatusOK, out, "")
}

func (s *Server) revoke(e *Request, r *http.Request, form url.Values) answer {
	if r.Method != http.MethodPost {
		return oauthError(http.StatusMethodNotAllowed, "invalid_request", "The request must be a POST.")
	}
	token := form.Get("token")
	if t := s.liveRefresh(token); t != nil {
		e.Account, e.ClientID = t.acc.Email, t.client
		s.revokeGrant(t.acc, t.client)
	} else if t := s.access[token]; t != nil && s.now().Before(t.expires) {
		e.Account, e.ClientID = t.acc.Email, t.client
		s.revokeGrant(t.acc, t.client)
	} else {
		return oauthError(http.StatusBadRequest, "invalid_token", "Token expired or revoked")
	}
	return jsonAnswer(http.StatusOK, obj{}, "")
}

func (s *Server) userinfo(e *Request, r *http.Request, _ url.Values) answer {
	t := s.bearer(r.Header.Get("Authorization"))
	if t == nil || !slices.Contains(t.scopes, "openid") && !slices.Contains(t.scopes, emailScope) {
		return oauthError(http.StatusUnauthorized, "invalid_request", "Invalid Credentials")
	}
	e.Account, e.ClientID = t.acc.Email, t.client
	out := obj{"sub": t.acc.Sub}
	if slices.Contains(t.scopes, emailScope) {
		out["email"], out["email_verified"] = t.acc.Email, !t.acc.EmailUnverified
	}
	if slices.Contains(t.scopes, profileScope) {
		out["name"] = t.acc.Name
	}
	return jsonAnswer(http.StatusOK, out, "")
}
