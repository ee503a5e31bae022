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
	// wantedCookie is the page that somebody wanted who had to sign in first.
	wantedCookie = "erp_calendar_wanted"
	ticketLasts  = 60 * time.Second
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
	refuse := func(status int, key string) {
		// Reloaded, or a second tab: signed in already.
		if _, _, allowed, err := h.session(r); err == nil && allowed {
			h.redirect(w, h.console.URL("/", nil))
			return
		}
		h.Log.InfoContext(r.Context(), "sign-in refused", "cause", key)
		t := h.texts(r)
		h.message(w, r, status, message{Title: t.T("signin.refused"), Text: t.T("signin." + key), Link: h.console.URL("/signin", nil), LinkText: t.T("signin.again")})
	}
	if !signin.WellFormed(value) {
		refuse(http.StatusBadRequest, "ticket-malformed")
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
		refuse(http.StatusBadRequest, "ticket-unknown")
	case ticket.Purpose != string(signin.SignIn):
		refuse(http.StatusBadRequest, "ticket-of-another-purpose")
	case noCookie != nil:
		refuse(http.StatusBadRequest, "cookie-missing")
	case !signin.Matches(cookie.Value, ticket.Console):
		refuse(http.StatusBadRequest, "cookie-of-another-browser")
	case !h.admins.Allows(ticket.Email):
		refuse(http.StatusForbidden, "not-on-the-allow-list")
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
	wanted := "/"
	if c, err := r.Cookie(h.console.CookieName(wantedCookie)); err == nil {
		http.SetCookie(w, h.console.Cookie(wantedCookie, "", 0))
		if value, err := url.QueryUnescape(c.Value); err == nil {
			wanted = ownAddress(value, "/").String()
		}
	}
	h.redirect(w, h.console.URL(wanted, nil))
}

// signOut ends the session wherever its cookie is (rule 10.13).
func (h *handler) signOut(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	if err := h.Store.EndSession(ctx, signin.Hash(s.ID), signin.SessionLasts); err != nil {
		h.trouble(w, r, "end a session", err)
		return
	}
	h.signedOut(w, r, "one")
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
	h.signedOut(w, r, "all")
}

// signedOut answers what has just been done with a page of its own: at an address, it
// would tell whoever follows a link to it that sessions have ended.
func (h *handler) signedOut(w http.ResponseWriter, r *http.Request, whose string) {
	noteDone(r)
	http.SetCookie(w, h.console.Cookie(sessionCookie, "", 0))
	t := h.texts(r)
	h.message(w, r, http.StatusOK, message{Title: t.T("signin.out." + whose + ".title"), Text: t.T("signin.out." + whose + ".text"), Link: h.console.URL("/signin", nil), LinkText: t.T("signin.again")})
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
