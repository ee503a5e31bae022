package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// What strangers may send never locks or writes anything, and reads at most the one
// document that it names (rule 10.9).
func TestNothingIsStoredForAStranger(t *testing.T) {
	for _, row := range []struct {
		name string
		ask  func(w *world, b *browser)
		own  store.Collection // whose document it may read
	}{
		{"a sign-in begun", func(_ *world, b *browser) { b.begin() }, ""},
		{"many sign-ins begun", func(w *world, _ *browser) {
			for range 40 {
				w.browser().begin()
			}
		}, ""},
		{"a connection without a ticket", func(_ *world, b *browser) { b.open(oauthURL + "/connect") }, ""},
		{"a connection with a ticket never issued", func(_ *world, b *browser) { b.open(oauthURL + "/connect?ticket=" + signin.Random()) }, store.Tickets},
		{"a callback of nothing", func(_ *world, b *browser) { b.open(oauthURL + "/callback?code=x&state=" + signin.Random()) }, ""},
		{"a callback with an error", func(_ *world, b *browser) {
			b.open(oauthURL + "/callback?error=x&state=" + param(b.begin(), "state"))
		}, ""},
		{"a callback with a code of nobody", func(_ *world, b *browser) {
			b.open(oauthURL + "/callback?code=x&state=" + param(b.begin(), "state"))
		}, ""},
		{"somebody whom Google knows, but nobody here", func(w *world, b *browser) { b.open(w.consent(b.begin(), stranger)) }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			w.touched.Take()
			row.ask(w, b)
			for _, touch := range w.touched.Take() {
				if touch.Write || touch.Ref.Collection != row.own || touch.Ref == (store.Ref{}) {
					t.Errorf("it touched %+v", touch)
				}
			}
			if len(w.sent.messages) > 0 {
				t.Errorf("it published %v", w.sent.messages)
			}
		})
	}
}

// Keeping and taking a ticket, too, leave alone what everybody else needs: strangers may
// make the console issue many.
func TestASignInLocksNoSharedDocument(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	w.touched.Take()
	if p := b.open(w.consent(b.begin(), admin)); p.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", p.status, p.body)
	}
	for _, touch := range w.touched.Take() {
		switch touch.Ref.Collection {
		case store.SignIns, store.Tickets, store.Admins:
		default:
			t.Errorf("it touched %+v", touch)
		}
	}
}

// A whole browser copied before it came back, cookie and all, finishes one sign-in.
func TestASignInIsFinishedOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	at := b.begin()
	u, err := url.Parse(oauthURL)
	if err != nil {
		t.Fatal(err)
	}
	copied := w.browser()
	copied.jar.SetCookies(u, withPath(b.jar.Cookies(u)))
	first := w.consent(at, admin)
	if p := b.open(first); p.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", p.status, p.body)
	}
	// Google makes a second code for the same state, nonce and challenge.
	for name, back := range map[string]string{"the same code": first, "another code": w.consent(at, admin)} {
		if p := copied.open(back); p.status != http.StatusBadRequest || p.location != "" {
			t.Errorf("%s: got %d to %q", name, p.status, p.location)
		}
		copied.jar.SetCookies(u, withPath(b.jar.Cookies(u)))
	}
	// And a reload in the browser itself.
	if p := b.open(first); p.status != http.StatusBadRequest {
		t.Errorf("a reload got %d", p.status)
	}
}

func withPath(cookies []*http.Cookie) []*http.Cookie {
	for _, c := range cookies {
		c.Path, c.Secure, c.HttpOnly, c.SameSite = "/", true, true, http.SameSiteLaxMode
	}
	return cookies
}

// Whatever a browser can say by itself is its own fault: 4xx at INFO, never an alarm
// (rule 10.11).
func TestWhatABrowserSaysIsNoAlarm(t *testing.T) {
	back := func(query string) func(*world, *browser) string {
		return func(_ *world, b *browser) string {
			return oauthURL + "/callback?" + query + "&state=" + param(b.begin(), "state")
		}
	}
	rows := map[string]func(*world, *browser) string{
		"no state":           func(*world, *browser) string { return oauthURL + "/callback?error=x" },
		"a state of nobody":  func(*world, *browser) string { return oauthURL + "/callback?error=x&state=" + signin.Random() },
		"no code":            back("x=y"),
		"a code of nobody":   back("code=x"),
		"a ticket of nobody": func(*world, *browser) string { return oauthURL + "/connect?ticket=" + signin.Random() },
		"no hand-over":       func(*world, *browser) string { return oauthURL + "/signin?n=x" },
		"another nonce": func(w *world, b *browser) string {
			at := b.begin()
			return w.consent(strings.Replace(at, param(at, "nonce"), signin.Random(), 1), stranger)
		},
		"without openid": func(w *world, b *browser) string {
			return w.consent(strings.Replace(b.begin(), "openid", "", 1), stranger)
		},
		"another challenge": func(w *world, b *browser) string {
			at := b.begin()
			return w.consent(strings.Replace(at, param(at, "code_challenge"), signin.Random(), 1), stranger)
		},
		"somebody not on the list": func(w *world, b *browser) string { return w.consent(b.begin(), stranger) },
	}
	for _, code := range []string{"x", "access_denied", "admin_policy_enforced", "temporarily_unavailable", "server_error", "invalid_scope", "invalid_client"} {
		rows["error="+code] = back("error=" + code)
	}
	for name, address := range rows {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			p := b.open(address(w, b))
			if p.status < 400 || p.status > 499 {
				t.Errorf("got %d: %s", p.status, p.body)
			}
			if strings.Contains(w.logs.String(), "level=ERROR") || strings.Contains(w.logs.String(), "level=WARN") {
				t.Errorf("the log says more than INFO:\n%s", w.logs)
			}
		})
	}
}

// Whose address it is must be known from Google, or be the person's who came first
// (rule 10.10).
func TestAnAddressIsBelievedOnlyFromWhoeverOwnsIt(t *testing.T) {
	const own = "owner@own.example"
	account := func(sub, address, hd string) google.Account {
		return google.Account{Sub: sub, Email: address, HostedDomain: hd}
	}
	for _, row := range []struct {
		name   string
		list   string
		before *google.Account // signed in before
		who    google.Account
		status int
	}{
		{"a gmail address", "olena.k@gmail.com", nil, account("9", "olena.k@gmail.com", ""), 303},
		{"of the domain's Workspace", own, nil, account("9", own, "own.example"), 303},
		{"of the Workspace, another before", own, &google.Account{Sub: "8", Email: own, HostedDomain: "own.example"}, account("9", own, "own.example"), 303},
		{"an address that Google does not own, the first", own, nil, account("9", own, ""), 303},
		{"an address that Google does not own, the same again", own, &google.Account{Sub: "9", Email: own}, account("9", own, ""), 303},
		{"an address that Google does not own, another person", own, &google.Account{Sub: "8", Email: own}, account("9", own, ""), 403},
		{"of another domain's Workspace, another person", own, &google.Account{Sub: "8", Email: own}, account("9", own, "evil.example"), 403},
		{"of a Workspace whose domain only looks the same", "olena@kyiv.example", &google.Account{Sub: "8", Email: "olena@kyiv.example"}, account("9", "olena@kyiv.example", "\u212ayiv.example"), 403},
		{"not a k", "kate@own.example", nil, account("9", "\u212aate@own.example", "own.example"), 403},
		{"a list with a Kelvin sign", "\u212aate@own.example", nil, account("9", "kate@own.example", "own.example"), 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(o *google.Options) { o.Accounts = nil })
			w.cfg.AdminEmails = []string{row.list}
			w.start()
			sign := func(a google.Account) page {
				stand := google.New(google.Options{BaseURL: issuer, Now: w.clock, ClientID: "client-1", ClientSecret: secretText,
					RedirectURIs: []string{oauthURL + "/callback"}, Accounts: []google.Account{a}, Seed: 1})
				w.google, w.deps.HTTP = stand, &http.Client{Transport: stand.Transport()}
				w.start()
				b := w.browser()
				return b.open(w.consent(b.begin(), a.Email))
			}
			if row.before != nil {
				if p := sign(*row.before); p.status != http.StatusSeeOther {
					t.Fatalf("the one before got %d: %s", p.status, p.body)
				}
			}
			if p := sign(row.who); p.status != row.status {
				t.Errorf("got %d, want %d: %s", p.status, row.status, p.body)
			}
		})
	}
}

// The account that is connected has to be the address's owner's, too.
func TestTheIntegrationAccountIsPinned(t *testing.T) {
	w := newWorld(t)
	if p := w.connect(integration); p.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", p.status, p.body)
	}
	stand := google.New(google.Options{BaseURL: issuer, Now: w.clock, ClientID: "client-1", ClientSecret: secretText,
		RedirectURIs: []string{oauthURL + "/callback"}, Accounts: []google.Account{{Sub: "201", Email: integration}}, Seed: 1})
	w.google, w.deps.HTTP = stand, &http.Client{Transport: stand.Transport()}
	w.start()
	if p := w.connect(integration); p.status != http.StatusForbidden {
		t.Errorf("another person under the same address got %d: %s", p.status, p.body)
	}
}

// A stranger may share a calendar with the account and write anything into it
// (rule 10.12).
func TestAStrangersCalendarDoesNotStandInTheWay(t *testing.T) {
	const mark = "erp-calendar/1 tenant=t employee=42 epoch=e from=2026-11-21T10:00:00Z"
	w := newWorld(t)
	token := w.google.Token(stranger, "calendar")
	api, err := calendar.NewService(t.Context(), option.WithEndpoint(issuer+"/calendar/v3/"), option.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer "+token)
		return w.google.Transport().RoundTrip(r)
	})}))
	if err != nil {
		t.Fatal(err)
	}
	made, err := api.Calendars.Insert(&calendar.Calendar{Summary: "Gift", Description: mark}).Do()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Acl.Insert(made.Id, &calendar.AclRule{Role: "owner", Scope: &calendar.AclRuleScope{Type: "user", Value: integration}}).Do(); err != nil {
		t.Fatal(err)
	}
	if err := w.google.AcceptShare(made.Id, integration); err != nil {
		t.Fatal(err)
	}
	if p := w.connect(integration); p.status != http.StatusSeeOther || !w.connected() {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}

func TestTheCalendarInTheWayIsNamed(t *testing.T) {
	w := newWorld(t)
	w.made("client-1")
	w.cfg.ClientID = "client-2"
	w.start()
	if p := w.connect(integration); p.status != http.StatusConflict || !strings.Contains(plainText(p.body), "Olena") {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}

// What OAuth keeps in the browser cannot be read, changed or used for another sign-in.
func TestTheCookieIsSealed(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	at := b.begin()
	u, err := url.Parse(oauthURL)
	if err != nil {
		t.Fatal(err)
	}
	kept := b.jar.Cookies(u)
	if len(kept) != 1 {
		t.Fatalf("%d cookies", len(kept))
	}
	for _, secret := range []string{param(at, "state"), param(at, "nonce"), signin.Hash(hello)} {
		if strings.Contains(kept[0].Value, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
	other := w.browser()
	back := w.consent(other.begin(), admin)
	for name, value := range map[string]string{"of another sign-in": kept[0].Value, "changed": kept[0].Value[:len(kept[0].Value)-2] + "AA", "no seal": "x"} {
		theirs := withPath(other.jar.Cookies(u))
		theirs[0].Value = value //nolint:gosec // a copy of one that has them
		b := w.browser()
		b.jar.SetCookies(u, theirs)
		if p := b.open(back); p.status != http.StatusBadRequest || p.location != "" {
			t.Errorf("%s: got %d to %q", name, p.status, p.location)
		}
	}
	w.wait(10*time.Minute + time.Second)
	other.jar.SetCookies(u, nil)
	if p := other.open(back); p.status != http.StatusBadRequest {
		t.Errorf("too late: got %d", p.status)
	}
}
