package console

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	sessionCookie = "erp_calendar_session"
	// handoverCookie is N of functions/README.md: it ties the ticket to this browser.
	handoverCookie = "erp_calendar_handover"
	handoverLasts  = 10 * time.Minute
	ticketLasts    = 60 * time.Second
)

// signIn starts the hand-over: N stays in this browser, OAuth learns its hash.
func (h *handler) signIn(w http.ResponseWriter, r *http.Request) {
	n := signin.Random()
	// Two tabs that sign in at once share N, so that the first is not cut off.
	if c, err := r.Cookie(h.console.CookieName(handoverCookie)); err == nil && signin.WellFormed(c.Value) {
		n = c.Value
	}
	http.SetCookie(w, h.console.Cookie(handoverCookie, n, handoverLasts))
	w.Header().Set("Referrer-Policy", "no-referrer")
	h.redirect(w, h.oauth.URL("/signin", url.Values{"n": {signin.Hash(n)}}))
}

// finish takes the ticket that OAuth issued, once, and makes a fresh session.
func (h *handler) finish(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet { // a HEAD must not use the ticket up
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	value := r.URL.Query().Get("ticket")
	cookie, noCookie := r.Cookie(h.console.CookieName(handoverCookie))
	refuse := func(status int, log, text string) {
		// Reloaded, or a second tab: signed in already.
		if _, _, allowed, err := h.session(r); err == nil && allowed {
			h.redirect(w, h.console.URL("/", nil))
			return
		}
		h.Log.InfoContext(r.Context(), "sign-in refused", "cause", log)
		h.message(w, r, status, message{Title: "You are not signed in", Text: text, Link: h.console.URL("/signin", nil), LinkText: "Sign in"})
	}
	if !signin.WellFormed(value) {
		refuse(http.StatusBadRequest, "ticket malformed", "The address carries no ticket from the sign-in. Please start again.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	ticket, found, err := h.Store.TakeTicket(ctx, signin.Hash(value))
	if err != nil {
		h.trouble(w, r, "take a ticket", err)
		return
	}
	switch {
	case !found:
		refuse(http.StatusBadRequest, "ticket unknown", "The sign-in took too long or was finished before: it works once and within a minute. Please start again.")
	case ticket.Purpose != string(signin.SignIn):
		refuse(http.StatusBadRequest, "ticket of another purpose", "The address was made for something else. Please start again.")
	case noCookie != nil:
		refuse(http.StatusBadRequest, "cookie missing", "The cookie set at the start did not come back. Allow cookies for this site, and finish in the browser in which you started.")
	case !signin.Matches(cookie.Value, ticket.Console):
		refuse(http.StatusBadRequest, "cookie of another browser", "The sign-in was started in another browser. Please start again in this one.")
	case !h.admins.Allows(ticket.Email):
		refuse(http.StatusForbidden, "not on the allow-list", "This account is not on the list of admins. Sign in with another one, or ask for it to be added to ADMIN_EMAILS.")
	default:
		h.begin(w, r, ticket)
	}
}

func (h *handler) begin(w http.ResponseWriter, r *http.Request, ticket store.TicketRecord) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	generation, err := h.Store.SessionGeneration(ctx)
	if err != nil {
		h.trouble(w, r, "begin a session", err)
		return
	}
	_, value, err := h.sessions.Issue(ticket.Sub, ticket.Email, generation)
	if err != nil {
		h.trouble(w, r, "issue a session", err)
		return
	}
	http.SetCookie(w, h.console.Cookie(sessionCookie, value, signin.SessionLasts))
	http.SetCookie(w, h.console.Cookie(handoverCookie, "", 0))
	h.redirect(w, h.console.URL("/", nil))
}

// signOut ends the session wherever its cookie is (rule 10.13).
func (h *handler) signOut(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	if err := h.Store.EndSession(ctx, signin.Hash(s.ID), signin.SessionLasts); err != nil {
		h.trouble(w, r, "end a session", err)
		return
	}
	h.signedOut(w, r, "You are signed out",
		"Your session has ended, in this browser and wherever it was copied to. On a shared computer, sign out of Google, too.")
}

// signOutAll ends every session, for when a browser or the allow-list fell into wrong hands.
func (h *handler) signOutAll(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	if err := h.Store.EndAllSessions(ctx); err != nil {
		h.trouble(w, r, "end all sessions", err)
		return
	}
	h.Log.InfoContext(r.Context(), "all sessions ended", "sub", s.Sub)
	h.signedOut(w, r, "Everybody is signed out",
		"All sessions have ended, in every browser. Whoever is on the list of admins can sign in again.")
}

// signedOut answers what has just been done with a page of its own: at an address, it
// would tell whoever follows a link to it that sessions have ended.
func (h *handler) signedOut(w http.ResponseWriter, r *http.Request, title, text string) {
	http.SetCookie(w, h.console.Cookie(sessionCookie, "", 0))
	h.message(w, r, http.StatusOK, message{Title: title, Text: text, Link: h.console.URL("/signin", nil), LinkText: "Sign in again"})
}

// connect hands this admin over to OAuth with a ticket for connecting.
func (h *handler) connect(w http.ResponseWriter, r *http.Request, s signin.Session) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	value := signin.Random()
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	err := h.Store.PutTicket(ctx, store.TicketRecord{ID: signin.Hash(value), Sub: s.Sub, Email: s.Email,
		Purpose: string(signin.Connect), Console: signin.Hash(s.ID)}, ticketLasts)
	if err != nil {
		h.trouble(w, r, "keep a ticket", err)
		return
	}
	h.redirect(w, h.oauth.URL("/connect", url.Values{"ticket": {value}}))
}
