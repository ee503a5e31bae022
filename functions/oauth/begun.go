package oauth

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/signin"
)

// begun is a sign-in or connection under way. It is kept in the browser that began it,
// sealed, because whatever a stranger begins must not be stored (rule 10.9).
type begun struct {
	Purpose  signin.Purpose `json:"purpose"`
	Console  string         `json:"console"` // H(N)
	Verifier string         `json:"verifier"`
	Nonce    string         `json:"nonce"`
	Expires  time.Time      `json:"expires"`
}

// newCookieSeal derives the key from the client's secret: only this function needs it,
// and no further secret has to be given to a function that strangers reach.
func newCookieSeal(clientSecret string) (*seal.Local, error) {
	key, err := hkdf.Key(sha256.New, []byte(clientSecret), nil, "erp-calendar sign-in under way v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of OAuth's cookie: %w", err)
	}
	return seal.NewLocal(key)
}

// keep sets the cookie of a sign-in under way. It is bound to id, the state's hash.
func (h *handler) keep(ctx context.Context, w http.ResponseWriter, id string, b begun) error {
	b.Expires = h.Now().Add(signInLasts)
	text, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode a sign-in: %w", err)
	}
	sealed, err := h.cookies.Seal(ctx, text, []byte(id))
	if err != nil {
		return fmt.Errorf("seal a sign-in: %w", err)
	}
	http.SetCookie(w, h.oauth.Cookie(cookieName(id), base64.RawURLEncoding.EncodeToString(sealed), signInLasts))
	return nil
}

// begunBy reads the cookie of a sign-in and removes it, so that a browser comes back
// with it once. The refusal is for the person at the browser.
func (h *handler) begunBy(w http.ResponseWriter, r *http.Request, id string) (begun, error) {
	name := cookieName(id)
	cookie, err := r.Cookie(h.oauth.CookieName(name))
	if err != nil {
		return begun{}, h.startAgain("cookie missing", "Each sign-in works once and for ten minutes, in the browser in which it was started. This one was finished before or took too long, or the cookie set at its start did not come back. Going back in the browser can cause it, too.",
			"Allow cookies for this site, and finish in the browser in which you started.")
	}
	http.SetCookie(w, h.oauth.Cookie(name, "", 0))
	var b begun
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err == nil {
		var text []byte
		if text, err = h.cookies.Open(r.Context(), sealed, []byte(id)); err == nil {
			err = json.Unmarshal(text, &b)
		}
	}
	switch {
	case err != nil:
		return begun{}, h.startAgain("cookie of another sign-in", "The cookie set at its start is not the one that came back.")
	case !h.Now().Before(b.Expires):
		return begun{}, h.startAgain("sign-in too old", "It took too long: ten minutes at most.")
	}
	return b, nil
}
