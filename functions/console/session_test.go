package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// copied is another browser with the same cookies.
func (b *browser) copied() *browser {
	u, err := url.Parse(b.w.base + "/console/")
	if err != nil {
		b.w.t.Fatal(err)
	}
	c := b.w.browser()
	for _, cookie := range b.Jar.Cookies(u) {
		cookie.Path, cookie.Secure, cookie.HttpOnly, cookie.SameSite = "/console", true, true, http.SameSiteLaxMode
		c.Jar.SetCookies(u, []*http.Cookie{cookie})
	}
	return c.stay()
}

// out reports whether a browser is let in nowhere.
func (b *browser) out(token string) bool {
	b.w.t.Helper()
	before := len(b.w.sent.all("employee-changes"))
	for _, path := range []string{"/", "/settings", "/purge", "/connect"} {
		if p := b.get(path); p.status != http.StatusSeeOther || !strings.HasSuffix(p.header.Get("Location"), "/signin") {
			return false
		}
	}
	b.do(b.request(http.MethodPost, "/run", url.Values{"csrf": {token}}))
	return b.get("/api/status").status == http.StatusUnauthorized && len(b.w.sent.all("employee-changes")) == before
}

// A session that was copied is worth nothing once its owner signed out (rule 10.13).
func TestSigningOutEndsTheSessionEverywhere(t *testing.T) {
	w := newWorld(t)
	b, other := w.signedIn(), w.signedIn().stay()
	token := b.csrf()
	thief := b.copied()
	if thief.out(token) {
		t.Fatal("the copied session is no session")
	}
	b.post("/signout", nil)
	if !thief.out(token) || !b.stay().out(token) {
		t.Error("the session goes on elsewhere")
	}
	if p := other.get("/"); p.status != http.StatusOK {
		t.Errorf("another session of the same admin got %d", p.status)
	}
}

func TestAnAdminEndsAllSessions(t *testing.T) {
	w := newWorld(t)
	b, other := w.signedIn(), w.signedIn().stay()
	token := other.csrf()
	if !strings.Contains(b.get("/").body, `action="/console/signout/all"`) {
		t.Error("the page has no button for it")
	}
	if p := b.post("/signout/all", nil); p.status != http.StatusOK || !strings.Contains(p.body, "Everybody is signed out") {
		t.Errorf("got %d: %s", p.status, p.body)
	}
	if !other.out(token) || !b.copied().out(token) {
		t.Error("a session goes on")
	}
	if body := w.signedIn().get("/activity?kind=admin").body; !strings.Contains(body, "All sessions ended") {
		t.Error("the activity does not say who ended all sessions")
	}
	if p := w.signedIn().get("/"); p.status != http.StatusOK {
		t.Errorf("a session begun since got %d", p.status)
	}
}

// silent is a store that does not say whether a session was ended.
type silent struct{ console.Store }

func (silent) SessionEnded(context.Context, string, int64) (bool, error) {
	return false, errors.New("no answer")
}

func TestASessionThatCannotBeLookedUpDoesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	token := b.csrf()
	w.deps.Store = silent{w.store}
	w.deploy()
	for _, path := range []string{"/", "/settings", "/connect"} {
		if p := b.stay().get(path); p.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	if p := b.get("/api/status"); p.status != http.StatusServiceUnavailable || p.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the status: %d %s", p.status, p.body)
	}
	b.do(b.request(http.MethodPost, "/run", url.Values{"csrf": {token}}))
	if sent := w.sent.all("employee-changes"); len(sent) > 0 {
		t.Errorf("published %v", sent)
	}
}

// Whoever is signed in lands in the console, whatever comes back from the sign-in of
// another tab (rule 10.13).
func TestTheSecondOfTwoTabsLandsInTheConsole(t *testing.T) {
	w := newWorld(t)
	b := w.browser().stay()
	walk := func() string {
		next := b.get("/signin").header.Get("Location")
		for !strings.Contains(next, "ticket=") {
			next = b.get(next).header.Get("Location")
		}
		return next
	}
	first, second, third := walk(), walk(), walk()
	for name, address := range map[string]string{"the first": first} {
		if p := b.get(address); p.header.Get("Location") != "https://site.test/console/" {
			t.Fatalf("%s got %d to %q", name, p.status, p.header.Get("Location"))
		}
	}
	for name, address := range map[string]string{
		"the second": second, "the first, reloaded": first, "the third": third,
		"one of another browser": strings.Replace(first, "ticket=", "ticket=A", 1),
	} {
		if p := b.get(address); p.status != http.StatusSeeOther || p.header.Get("Location") != "https://site.test/console/" {
			t.Errorf("%s got %d to %q: %s", name, p.status, p.header.Get("Location"), p.body)
		}
	}
	if p := b.get("/"); p.status != http.StatusOK {
		t.Errorf("the console: %d", p.status)
	}
}

// Deployed, the console has an origin of its own and its cookies are named so that no
// neighbour can plant one (rule 10.15).
func TestASessionOnAnOriginOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.cfg.ConsoleURL, w.cfg.OAuthURL = "https://console.test", "https://oauth.test"
	w.deploy()
	var cookies []*http.Cookie
	get := func(path string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		rec := httptest.NewRecorder()
		w.deployed().ServeHTTP(rec, r)
		res := rec.Result()
		for _, c := range res.Cookies() {
			if !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || !c.Secure || c.Domain != "" {
				t.Errorf("the cookie %s", c)
			}
		}
		cookies = append(cookies, res.Cookies()...)
		return res
	}
	get("/signin")
	value := signin.Random()
	if err := w.store.PutTicket(t.Context(), store.TicketRecord{ID: signin.Hash(value), Sub: "100", Email: admin, Purpose: "signin",
		Console: signin.Hash(cookies[0].Value)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if res := get("/signin/finish?ticket=" + value); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %s", res.Status)
	}
	if res := get("/"); res.StatusCode != http.StatusOK {
		t.Errorf("the console: %s", res.Status)
	}
	for _, c := range cookies {
		c.Name = strings.TrimPrefix(c.Name, "__Host-")
	}
	if res := get("/"); res.StatusCode != http.StatusSeeOther {
		t.Errorf("with cookies that a neighbour may have planted: %s", res.Status)
	}
}

// A link from an alarm leads to its page also for whoever has to sign in first, and nowhere else.
func TestSigningInLeadsToThePageThatWasAskedFor(t *testing.T) {
	for asked, want := range map[string]string{
		"/failures?state=dismissed": "/console/failures?state=dismissed",
		"/employees/42":             "/console/employees/42",
		"/":                         "/console/",
		"/people?queued=task&id=7":  "/console/people",
	} {
		w := newWorld(t)
		w.employee(42, nothing, nil)
		if p := w.browser().get(asked); p.at.RequestURI() != want {
			t.Errorf("%s leads to %s, want %s", asked, p.at.RequestURI(), want)
		}
	}
	w := newWorld(t)
	b := w.browser()
	u, err := url.Parse(w.base + "/console/")
	if err != nil {
		t.Fatal(err)
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "erp_calendar_wanted", Value: url.QueryEscape("//evil.example/"), Path: "/console", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}})
	if p := b.get("/signin"); p.at.Host != u.Host || p.at.Path != "/console/" {
		t.Errorf("a planted address leads to %s", p.at)
	}
}
