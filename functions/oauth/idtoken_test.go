package oauth_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// resigner stands between OAuth and Google's stand-in and signs each id_token anew, with
// other claims.
type resigner struct {
	next   http.RoundTripper
	key    *rsa.PrivateKey
	signer *rsa.PrivateKey // key, unless somebody else signs
	change func(claims map[string]any)
}

func (s *resigner) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var answer any
	switch {
	case strings.HasSuffix(r.URL.Path, "/certs"):
		answer = map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k",
			"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes())}}}
	case strings.HasSuffix(r.URL.Path, "/token"):
		var tokens map[string]any
		if err := json.NewDecoder(res.Body).Decode(&tokens); err != nil {
			return nil, err
		}
		text, _ := tokens["id_token"].(string)
		if tokens["id_token"], err = s.sign(text); err != nil {
			return nil, err
		}
		answer = tokens
	default:
		return res, nil
	}
	body, err := json.Marshal(answer)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, err
}

func (s *resigner) sign(token string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return "", err
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		return "", err
	}
	s.change(claims)
	if raw, err = json.Marshal(claims); err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(raw)
	digest := sha256.Sum256([]byte(signed))
	sum, err := rsa.SignPKCS1v15(nil, s.signer, crypto.SHA256, digest[:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(sum), err
}

// An id_token is believed only if it was made for this client, by Google, now
// (rule 10.10).
func TestIDTokensThatAreNotForUsAreRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	for _, row := range []struct {
		name   string
		change func(map[string]any)
		signer *rsa.PrivateKey
		status int
	}{
		{"as Google made it", func(map[string]any) {}, key, 303},
		{"without azp", func(c map[string]any) { delete(c, "azp") }, key, 303},
		{"for us among others, asked for by us", set("aud", []string{"client-1", "client-9"}), key, 303},
		{"asked for by another client", set("azp", "client-9"), key, 502},
		{"for us among others, asked for by nobody named", func(c map[string]any) { c["aud"] = []string{"client-1", "client-9"}; delete(c, "azp") }, key, 502},
		{"for another client", set("aud", "client-9"), key, 502},
		{"of another issuer", set("iss", "https://evil.example"), key, 502},
		{"too old", set("exp", time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).Unix()), key, 502},
		{"without a subject", set("sub", ""), key, 502},
		{"signed by somebody else", func(map[string]any) {}, other, 502},
		{"unverified", set("email_verified", false), key, 403},
		{"without an address", func(c map[string]any) { delete(c, "email") }, key, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.deps.HTTP = &http.Client{Transport: &resigner{w.google.Transport(), key, row.signer, row.change}}
			w.start()
			b := w.browser()
			p := b.open(w.consent(b.begin(), admin))
			if p.status != row.status || (p.location != "") != (row.status == 303) {
				t.Errorf("got %d to %q, want %d", p.status, p.location, row.status)
			}
		})
	}
}
