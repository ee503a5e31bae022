package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// callback takes Google's answer. Until Google has said who it is, nothing is stored
// (rule 10.9); then the sign-in is marked as finished before it has any effect.
func (h *handler) callback(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	state := query.Get("state")
	if !signin.WellFormed(state) {
		return h.startAgain("state missing", "The address lacks the mark that ties it to a sign-in begun here.")
	}
	id := signin.Hash(state)
	begun, err := h.begunBy(w, r, id)
	if err != nil {
		return err
	}
	if refused := query.Get("error"); refused != "" {
		return h.googleRefused(refused, begun.Purpose)
	}
	code := query.Get("code")
	if code == "" {
		return h.startAgain("code missing", "Google's answer is incomplete.")
	}
	google, err := h.discover(r.Context())
	if err != nil {
		return err
	}
	token, who, err := h.exchange(r.Context(), google, code, begun.Verifier, begun.Nonce)
	switch begun.Purpose {
	case signin.Connect:
		if err == nil {
			err = h.connected(w, r, google, token, who, id)
		} else if token != nil {
			// Whose grant it is is unknown, so it may be the one in use: see refuse.
			h.Log.InfoContext(r.Context(), "a grant without trusted identity was left unrevoked")
		}
	case signin.SignIn:
		if err == nil {
			err = h.signedIn(w, r, who, id, begun.Console)
		}
	default:
		err = h.startAgain("purpose unknown", "It was started by another version of this program.")
	}
	return err
}

// finish marks a sign-in as finished; nil if nobody finished it before.
func (h *handler) finish(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	// The cookie may have been made just now, and is read by an instance with another clock.
	first, err := h.Store.FinishSignIn(ctx, id, 2*signInLasts)
	if err != nil {
		return h.storeTrouble(err)
	}
	if !first {
		return h.startAgain("finished before", "Each sign-in works once; this one was finished before.")
	}
	return nil
}

// believe refuses an address that Google does not vouch for and that came with another
// account before (rule 10.10).
func (h *handler) believe(ctx context.Context, who identity) error {
	if !who.Verified {
		return h.unverified()
	}
	if signin.Authoritative(who.Email, who.HostedDomain) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	pinned, err := h.Store.PinAdmin(ctx, signin.AddressHash(who.Email), who.Sub)
	if err != nil {
		return h.storeTrouble(err)
	}
	if pinned != who.Sub {
		return &refusal{status: http.StatusForbidden, log: "address of another account", title: "This address came with another Google account before",
			cause: "Google does not run the mail of this address, so it cannot say whose it is today. The account that signed in with it first may go on; this is another one.",
			cures: []string{"Sign in with the account that was used before.",
				"Or, if the address has changed hands: let whoever runs erp-calendar delete the document " + string(store.Admins) + "/" + signin.AddressHash(who.Email) + " in Firestore, then start again."},
			link: h.console.URL("/signin", nil), linkText: "Sign in with another account"}
	}
	return nil
}

func (h *handler) startAgain(log, cause string, cures ...string) error {
	return &refusal{status: http.StatusBadRequest, log: log, title: "This sign-in cannot be finished", cause: cause + " Nothing was changed.",
		cures: append(cures, "Open the console and start again."), link: h.console.URL("/", nil), linkText: "Open the console"}
}

// googleRefused explains the errors that Google sends to the callback. The browser
// brings them and may have made them up, so that they are never a fault of ours
// (rule 10.11).
func (h *handler) googleRefused(code string, purpose signin.Purpose) error {
	r := &refusal{status: http.StatusForbidden, log: "google refused", reason: "other", title: "Google refused",
		cause: "Google ended the sign-in with an error of its own. Nothing was changed.",
		cures: []string{"Start again from the console."}, link: h.console.URL("/", nil), linkText: "Open the console"}
	switch code {
	case "access_denied":
		r.reason, r.title = code, "Access was not granted"
		r.cause = "Google reports access_denied: somebody pressed Cancel, or the account is not allowed to use this application. Nothing was changed."
		if purpose == signin.Connect {
			r.cures = []string{
				"Press Connect again, choose the account " + h.cfg.IntegrationAccount + " and allow what is asked for.",
				"If Google says that the app is being tested: add the account as a test user on the OAuth consent screen (Google Cloud console, Audience). In test mode each connection ends after 7 days; publish the app, or make it Internal, to end that.",
				"If Google says that an administrator blocks the app: let the Workspace admin trust its client id (Admin console, Security, API controls).",
			}
		}
	case "admin_policy_enforced":
		r.reason = code
		r.cause = "The Google Workspace administrator does not allow this application. Nothing was changed."
		r.cures = []string{"Let the Workspace admin trust the client id (Admin console, Security, API controls), then start again from the console."}
	case "temporarily_unavailable", "server_error":
		r.reason = code
		r.cause = "Google's sign-in service is out of order for the moment. Nothing was changed."
		r.cures = []string{"Wait a few minutes and start again from the console."}
	case "invalid_scope":
		r.reason = code
		r.cause = "Google does not let this OAuth client ask for the calendar permissions. Nothing was changed."
		r.cures = []string{"In the Google Cloud console, enable the Google Calendar API and add the scopes on the page Data Access, then start again from the console."}
	}
	return r
}

// signedIn gives the console a ticket for an admin; Google's tokens are dropped.
func (h *handler) signedIn(w http.ResponseWriter, r *http.Request, who identity, id, console string) error {
	// First the list: what strangers bring is not stored.
	if !h.admins.Allows(who.Email) {
		return h.notListed()
	}
	if err := h.believe(r.Context(), who); err != nil {
		return err
	}
	if err := h.finish(r.Context(), id); err != nil {
		return err
	}
	value := signin.Random()
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	err := h.Store.PutTicket(ctx, store.TicketRecord{ID: signin.Hash(value), Sub: who.Sub, Email: who.Email,
		Purpose: string(signin.SignIn), Console: console}, ticketLasts)
	if err != nil {
		return h.storeTrouble(err)
	}
	h.Log.InfoContext(r.Context(), "an admin signed in", "sub", who.Sub)
	h.toConsole(w, "/signin/finish", url.Values{"ticket": {value}})
	return nil
}

func (h *handler) unverified() *refusal {
	return &refusal{status: http.StatusForbidden, log: "e-mail not verified", title: "The account's e-mail address is not verified",
		cause: "Google does not vouch that this address belongs to the account, so it proves nothing.",
		cures: []string{"Verify the address at https://myaccount.google.com/email, then start again."}, link: h.console.URL("/signin", nil), linkText: "Sign in again"}
}

// connected checks a grant and records it; whatever is refused is given back.
func (h *handler) connected(w http.ResponseWriter, r *http.Request, google *provider, token *oauth2.Token, who identity, id string) error {
	if err := h.checkGrant(token, who); err != nil {
		return h.refuse(r.Context(), google, token, who, err)
	}
	if err := h.believe(r.Context(), who); err != nil {
		return h.refuse(r.Context(), google, token, who, err)
	}
	if err := h.finish(r.Context(), id); err != nil {
		return h.refuse(r.Context(), google, token, who, err)
	}
	now := h.Now().UTC()
	rec := store.AccountRecord{Sub: who.Sub, Email: who.Email, ClientID: h.cfg.ClientID, Scopes: granted(token)}
	if s, ok := token.Extra("refresh_token_expires_in").(float64); ok && s > 0 {
		rec.GrantExpiresAt = now.Add(time.Duration(s) * time.Second)
	}
	ctx, cancel := context.WithTimeout(r.Context(), callDeadline)
	defer cancel()
	var err error
	rec.Sealed, err = h.Sealer.Seal(ctx, []byte(token.RefreshToken), seal.Additional(store.SealPath(who.Sub), who.Sub))
	if err != nil {
		return h.refuse(r.Context(), google, token, who, &refusal{status: http.StatusServiceUnavailable, log: "seal", err: err,
			title: "The connection could not be locked away", cause: "The key that encrypts the connection could not be used, so nothing was stored.",
			cures: []string{"Check TOKEN_KEY and that this function may encrypt with it, then press Connect again."}})
	}
	known, err := h.ownsCalendars(ctx)
	if err != nil {
		return h.refuse(r.Context(), google, token, who, h.storeTrouble(err))
	}
	before, err := h.Store.Account(ctx)
	if err != nil && !errors.Is(err, store.ErrNotConnected) {
		return h.refuse(r.Context(), google, token, who, h.storeTrouble(err))
	}
	in, err := h.Store.Installation(ctx)
	if err != nil {
		return h.refuse(r.Context(), google, token, who, h.storeTrouble(err))
	}
	// What bears the tenant's mark was made by the client on record: rows that do not answer
	// are those of deleted calendars, and others' are of no concern.
	same := in.Tenant != "" && before.Sub == rec.Sub && before.ClientID == rec.ClientID
	if !known && !same {
		look, stop := context.WithTimeout(r.Context(), lookDeadline)
		defer stop()
		if err := h.checkMarks(look, token, who); err != nil {
			return h.refuse(r.Context(), google, token, who, err)
		}
		ctx, cancel = context.WithTimeout(r.Context(), callDeadline)
		defer cancel()
	}
	rec, err = h.Store.Connect(ctx, rec, known)
	if errors.Is(err, store.ErrOtherAccount) {
		return h.refuse(r.Context(), google, token, who, h.otherOwner(before))
	}
	if err != nil {
		// It may have been recorded although the answer was lost: revoking the grant
		// now could kill the connection in use.
		return h.storeTrouble(err)
	}
	h.Log.InfoContext(r.Context(), "the central account is connected", "sub", rec.Sub, "version", rec.Version)
	h.endIncident(r.Context(), before)
	done := "1"
	err = h.Publisher.Publish(ctx, h.cfg.EmployeeTopic, queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk})
	if err != nil {
		h.Log.ErrorContext(r.Context(), "the full run after connecting could not be queued", "error", err)
		done = "unqueued"
	}
	h.toConsole(w, "/", url.Values{"connected": {done}})
	return nil
}

// checkGrant tells what a grant lacks for a connection.
func (h *handler) checkGrant(token *oauth2.Token, who identity) *refusal {
	if !signin.SameAddress(who.Email, h.cfg.IntegrationAccount) {
		return &refusal{status: http.StatusForbidden, log: "wrong account", title: "This is not the integration account",
			cause: "The calendars may belong to " + h.cfg.IntegrationAccount + " only, but you chose " + who.Email + ".",
			cures: []string{"Press Connect again and choose " + h.cfg.IntegrationAccount + ".",
				"If another account is to own the calendars, change INTEGRATION_ACCOUNT first."}}
	}
	if missing := lacking(token); len(missing) > 0 {
		return &refusal{status: http.StatusForbidden, log: "scopes missing", title: "A permission was not granted",
			cause: "Without these permissions the calendars cannot be kept right:", list: missing,
			cures: []string{"Press Connect again and tick every box that Google shows."}}
	}
	if token.RefreshToken == "" {
		return &refusal{status: http.StatusBadGateway, log: "no refresh token", title: "Google gave no lasting permission",
			cause: "The answer holds no refresh token, so the connection would end within the hour.",
			cures: []string{"Open https://myaccount.google.com/connections as " + h.cfg.IntegrationAccount + ", remove this application's access, then press Connect again."}}
	}
	return nil
}

func granted(token *oauth2.Token) []string {
	text, _ := token.Extra("scope").(string)
	scopes := strings.Fields(text)
	slices.Sort(scopes)
	return scopes
}

// lacking names the permissions that a grant lacks, in Google's words and ours.
// openid and email need no look: the id_token with its address proves them.
func lacking(token *oauth2.Token) []string {
	var missing []string
	scopes := granted(token)
	for _, s := range googlecalendar.Scopes() {
		if !slices.Contains(scopes, s) {
			missing = append(missing, scopeWords(s))
		}
	}
	return missing
}

func scopeWords(scope string) string {
	name := scope[strings.LastIndexByte(scope, '/')+1:]
	return cmp.Or(map[string]string{
		"calendar.app.created":           "make calendars and change the events in them",
		"calendar.acls":                  "share those calendars with employees",
		"calendar.calendarlist.readonly": "see the list of calendars, to find its own again",
	}[name], "use Google Calendar") + " (" + name + ")"
}

// refuse explains a refusal and gives the new grant back. The grant of an account
// that is connected at this moment is left: Google revokes per account and
// client, so that the connection in use would die with the refused one.
func (h *handler) refuse(ctx context.Context, google *provider, token *oauth2.Token, who identity, why error) error {
	r, ok := errors.AsType[*refusal](why)
	if !ok {
		return why
	}
	if r.link == "" {
		r.link, r.linkText = h.console.URL("/", nil), "Open the console"
	}
	lookup, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeDeadline)
	defer cancel()
	now, err := h.Store.Account(lookup)
	switch {
	case err == nil && now.Connected && now.Sub == who.Sub:
		r.note = "Nothing was stored. The connection made before stays as it is and goes on working."
	case err == nil || errors.Is(err, store.ErrNotConnected):
		r.note = "Nothing was stored, and the permission given just now was handed back to Google."
		h.revoke(ctx, google, token)
	default:
		// Not knowing whether it is in use, it must not be revoked.
		r.note = "Nothing was stored."
	}
	return r
}

// ownsCalendars reports whether any calendar is known (rule 3.7).
func (h *handler) ownsCalendars(ctx context.Context) (bool, error) {
	employees, err := h.Store.Employees(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(employees, func(e store.EmployeeRecord) bool {
		return e.Calendar != nil || len(e.Retiring) > 0
	}), nil
}

// emptied is how what is known of calendars that nobody can delete is forgotten.
const emptied = "let whoever runs erp-calendar delete the collections " + string(store.Employees) + " and " + string(store.Tasks) +
	" in Firestore, then press Connect again"

func (h *handler) otherOwner(before store.AccountRecord) *refusal {
	r := &refusal{status: http.StatusConflict, log: "other owner", title: "Another account owns the calendars",
		cause: "The employees' calendars were made by the account " + before.Email + ". A new account could neither see nor change them, and every employee would get everything twice.",
		cures: []string{"Set INTEGRATION_ACCOUNT back to " + before.Email + " and connect that account.",
			"Or delete the calendars first, with the old account connected, and connect the new one after that.",
			"Or, if the old account does not exist any more: " + emptied + ". Everybody gets a new calendar then."}}
	if signin.SameAddress(before.Email, h.cfg.IntegrationAccount) {
		r.title = "Another OAuth client made the calendars"
		r.cause = "The calendars were made with another OAuth client id. Google lets an application change only calendars that it made itself, so they would be out of reach."
		r.cures = []string{"Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET back to the client that was used before; one that was deleted can be restored for 30 days at https://console.cloud.google.com/auth/clients.",
			"Or delete the calendars first, with the old client, and connect with the new one after that.",
			"Or, if the old client cannot be restored: delete the calendars in Google Calendar as " + before.Email + "; " + emptied + ". Everybody gets a new calendar then."}
	}
	return r
}

// endIncident ends the alarm that grant began when the connection was lost.
func (h *handler) endIncident(ctx context.Context, before store.AccountRecord) {
	if before.Sub == "" || before.Connected {
		return
	}
	logging.AlarmEnded(ctx, h.Log, logging.GrantRevoked, "grant-"+strconv.FormatInt(before.Version, 10), "The central account is connected again")
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	// Otherwise Poll tells the end.
	if err := h.Store.GrantAlarmed(ctx, before.Sub, 0); err != nil {
		h.Log.WarnContext(ctx, "could not note that the end of the alarm was told", "error", err)
	}
}
