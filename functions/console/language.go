package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

const (
	// languageCookie holds what a browser's user chose.
	languageCookie = "erp_calendar_language"
	languageLasts  = 365 * 24 * time.Hour
)

// languageKey is where page keeps the language of an admin who chose none.
type languageKey struct{}

// withLanguage gives a request the installation's language for whoever chose none. Only
// requests with a session read it: those of strangers touch nothing shared.
func (h *handler) withLanguage(r *http.Request) *http.Request {
	if _, err := r.Cookie(h.console.CookieName(languageCookie)); err == nil {
		return r
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		return r // the page itself says that the database does not answer
	}
	return r.WithContext(context.WithValue(r.Context(), languageKey{}, saved.Settings.Language))
}

// texts gives a request's texts: in the language chosen in this browser, else in the
// installation's, and for strangers in the one that their browser asks for.
func (h *handler) texts(r *http.Request) i18n.Texts {
	if c, err := r.Cookie(h.console.CookieName(languageCookie)); err == nil && slices.Contains(i18n.Languages(), c.Value) {
		return h.translations.For(c.Value)
	}
	if l, found := r.Context().Value(languageKey{}).(string); found {
		return h.translations.For(l)
	}
	return h.translations.For(i18n.Match(r.Header.Get("Accept-Language")))
}

// chooseLanguage remembers the language in this browser and shows the page again. It needs
// no session: the guide has none.
func (h *handler) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	if to := r.PostFormValue("to"); slices.Contains(i18n.Languages(), to) {
		http.SetCookie(w, h.console.Cookie(languageCookie, to, languageLasts))
	}
	h.goBack(w, r)
}
