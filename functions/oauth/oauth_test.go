package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestSignInHandsAnAdminOverToTheConsole(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	google := b.begin()
	for name, want := range map[string]string{"scope": "openid email", "redirect_uri": oauthURL + "/callback", "code_challenge_method": "S256", "access_type": "", "include_granted_scopes": ""} {
		if got := param(google, name); got != want {
			t.Errorf("%s at Google is %q, want %q", name, got, want)
		}
	}
	p := b.open(w.consent(google, admin))
	value := param(p.location, "ticket")
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, consoleURL+"/signin/finish?ticket=") {
		t.Fatalf("got %d to %q: %s", p.status, p.location, p.body)
	}
	ticket, found, err := w.store.TakeTicket(t.Context(), signin.Hash(value))
	if err != nil || !found {
		t.Fatalf("ticket: found %v, %v", found, err)
	}
	want := store.TicketRecord{ID: signin.Hash(value), Sub: "100", Email: admin, Purpose: "signin", Console: signin.Hash(hello), ExpiresAt: w.clock().Add(time.Minute)}
	if !ticket.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("ticket expires %v, want %v", ticket.ExpiresAt, want.ExpiresAt)
	}
	ticket.ExpiresAt = want.ExpiresAt
	if !reflect.DeepEqual(ticket, want) {
		t.Errorf("ticket is %+v, want %+v", ticket, want)
	}
	if w.connected() {
		t.Error("a sign-in connected an account")
	}
	checkNoSecrets(t, w, value, param(google, "state"))
}

// checkNoSecrets looks for what must never be logged.
func checkNoSecrets(t *testing.T, w *world, more ...string) {
	t.Helper()
	for _, secret := range append(more, secretText, "ya29.", "1//", "4/0A", admin, integration) {
		if secret != "" && strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, w.logs)
		}
	}
}

func TestCallbackRefuses(t *testing.T) {
	const used = "finished before"
	for _, row := range []struct {
		name string
		// break changes the callback's address, the world or the browser.
		broken func(w *world, b **browser, back string) string
		status int
		says   string
	}{
		{"a state used before", func(_ *world, b **browser, back string) string { (*b).open(back); return back }, 400, used},
		{"a state never issued", func(_ *world, _ **browser, back string) string {
			return strings.Replace(back, param(back, "state"), signin.Random(), 1)
		}, 400, "finished before or took too long"},
		{"a malformed state", func(*world, **browser, string) string { return oauthURL + "/callback?code=x&state=../x" }, 400, "lacks the mark"},
		{"no state", func(*world, **browser, string) string { return oauthURL + "/callback?code=x" }, 400, "lacks the mark"},
		{"a state too old", func(w *world, _ **browser, back string) string { w.wait(10*time.Minute + time.Second); return back }, 400, "took too long"},
		{"no cookie", func(w *world, b **browser, back string) string { *b = w.browser(); return back }, 400, "did not come back"},
		{"another browser's cookie", func(w *world, b **browser, back string) string {
			victim := w.browser()
			victim.begin()
			// The attacker's cookie is named after the attacker's state; even one planted
			// under that name does not fit.
			u, _ := url.Parse(oauthURL)
			name := "__Host-erp_calendar_oauth_" + signin.Hash(param(back, "state"))[:12]
			victim.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: signin.Random(), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}})
			*b = victim
			return back
		}, 400, "not the one that came back"},
		{"no code", func(_ *world, _ **browser, back string) string {
			return strings.Replace(back, "code=", "other=", 1)
		}, 400, "incomplete"},
		{"a code of nobody", func(_ *world, _ **browser, back string) string {
			return strings.Replace(back, url.QueryEscape(param(back, "code")), "4%2F0Aforged", 1)
		}, 400, "no longer accepts the code"},
		{"access_denied", func(_ *world, _ **browser, back string) string {
			return oauthURL + "/callback?error=access_denied&state=" + param(back, "state")
		}, 403, "access_denied"},
		{"Google out of order", func(_ *world, _ **browser, back string) string {
			return oauthURL + "/callback?error=temporarily_unavailable&state=" + param(back, "state")
		}, 403, "out of order"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			back := w.consent(b.begin(), admin)
			address := row.broken(w, &b, back)
			p := b.open(address)
			if p.status != row.status || !strings.Contains(plainText(p.body), row.says) {
				t.Fatalf("got %d, want %d and %q in:\n%s", p.status, row.status, row.says, p.body)
			}
			if p.location != "" {
				t.Errorf("it leads on to %q", p.location)
			}
			if !strings.Contains(p.body, "What to do") || !strings.Contains(p.body, consoleURL) {
				t.Error("the page names no cure or no way back")
			}
			for _, secret := range []string{param(back, "state"), param(back, "code")} {
				if strings.Contains(p.body, secret) {
					t.Error("the page repeats the state or the code")
				}
			}
			checkNoSecrets(t, w, param(back, "state"))
		})
	}
}

// plainText undoes the escaping that the rows' texts meet.
func plainText(body string) string {
	return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&").Replace(body)
}

// A code that Google issued for another sign-in fits neither the verifier nor the
// nonce of this one.
func TestForeignCodesAndTokensAreRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		back   func(w *world, at string) string
		status int
	}{
		{"the code of another sign-in", func(w *world, at string) string {
			stolen := w.consent(w.browser().begin(), admin)
			return strings.Replace(stolen, param(stolen, "state"), param(at, "state"), 1)
		}, 400},
		{"another nonce", func(w *world, at string) string {
			return w.consent(strings.Replace(at, param(at, "nonce"), signin.Random(), 1), admin)
		}, 400},
		{"another challenge", func(w *world, at string) string {
			return w.consent(strings.Replace(at, param(at, "code_challenge"), signin.Random(), 1), admin)
		}, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			if p := b.open(row.back(w, b.begin())); p.status != row.status || p.location != "" {
				t.Errorf("got %d to %q, want %d", p.status, p.location, row.status)
			}
		})
	}
}

func TestASignInEndsWithItsRefusalAndOnlyInItsOwnBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	back := w.consent(b.begin(), admin)
	if p := w.browser().open(back); p.status != http.StatusBadRequest {
		t.Fatalf("without the cookie: %d", p.status)
	}
	if p := b.open(strings.Replace(back, "code=", "other=", 1)); p.status != http.StatusBadRequest {
		t.Fatalf("without a code: %d", p.status)
	}
	if p := b.open(back); p.status != http.StatusBadRequest || p.location != "" {
		t.Errorf("a refused sign-in got %d to %q", p.status, p.location)
	}
	back = w.consent(b.begin(), admin)
	w.browser().open(back)
	if p := b.open(back); p.status != http.StatusSeeOther {
		t.Errorf("after somebody else opened the address: %d", p.status)
	}
}

func TestTwoTabsDoNotDisturbEachOther(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first, second := b.begin(), b.begin()
	for _, address := range []string{first, second} {
		if p := b.open(w.consent(address, admin)); p.status != http.StatusSeeOther {
			t.Errorf("got %d: %s", p.status, p.body)
		}
	}
}

func TestSignInRefusesAccounts(t *testing.T) {
	for _, row := range []struct {
		name, account, says string
		change              func(*google.Options)
	}{
		{"not on the list", stranger, "not on the list", nil},
		{"the integration account, which is no admin", integration, "not on the list", nil},
		{"an address that Google has not verified", admin, "not verified", func(o *google.Options) { o.Accounts[0].EmailUnverified = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var change []func(*google.Options)
			if row.change != nil {
				change = append(change, row.change)
			}
			w := newWorld(t, change...)
			b := w.browser()
			p := b.open(w.consent(b.begin(), row.account))
			if p.status != http.StatusForbidden || !strings.Contains(plainText(p.body), row.says) || p.location != "" {
				t.Errorf("got %d to %q: %s", p.status, p.location, p.body)
			}
		})
	}
}

func TestSignInWithoutHandOver(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"", "short", strings.Repeat("a", 44), "https://evil.example"} {
		if p := w.browser().open(oauthURL + "/signin?n=" + url.QueryEscape(n)); p.status != http.StatusBadRequest {
			t.Errorf("n=%q: %d", n, p.status)
		}
	}
}

func TestHeadUsesNothingUp(t *testing.T) {
	w := newWorld(t)
	value := w.ticket(signin.Connect, admin)
	b := w.browser()
	if p := b.send(http.MethodHead, oauthURL+"/connect?ticket="+value); p.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD got %d", p.status)
	}
	if p := b.open(oauthURL + "/connect?ticket=" + value); p.status != http.StatusSeeOther {
		t.Errorf("the ticket is gone: %d", p.status)
	}
}

func TestDiscoveryIsRetried(t *testing.T) {
	w := newWorld(t)
	down := true
	through := w.google.Transport()
	w.deps.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if down {
			return nil, errors.New("no route")
		}
		return through.RoundTrip(r)
	})}
	w.start()
	b := w.browser()
	if p := b.open(oauthURL + "/signin?n=" + signin.Hash(hello)); p.status != http.StatusBadGateway {
		t.Errorf("got %d", p.status)
	}
	down = false
	b.begin()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWrongClientSecretIsNamed(t *testing.T) {
	w := newWorld(t)
	w.cfg.ClientSecret = "wrong"
	w.start()
	b := w.browser()
	p := b.open(w.consent(b.begin(), admin))
	if p.status != http.StatusInternalServerError || !strings.Contains(p.body, "OAUTH_CLIENT_SECRET") {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}

func TestOtherPaths(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/callback/", "/accounts", "/signin/finish"} {
		if p := w.browser().open(oauthURL + path); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	if p := w.browser().send(http.MethodPost, oauthURL+"/signin"); p.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /signin: %d", p.status)
	}
}
