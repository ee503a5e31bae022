package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
)

func TestConnectStoresTheSealedGrant(t *testing.T) {
	w := newWorld(t, func(o *google.Options) { o.RefreshTokenLifetime = 7 * 24 * time.Hour })
	b := w.browser()
	at := b.beginConnect()
	for name, want := range map[string]string{
		"scope":       "openid email " + scopes + "calendar.app.created " + scopes + "calendar.acls " + scopes + "calendar.calendarlist.readonly",
		"access_type": "offline", "prompt": "consent select_account", "login_hint": integration, "include_granted_scopes": "",
	} {
		if got := param(at, name); got != want {
			t.Errorf("%s at Google is %q, want %q", name, got, want)
		}
	}
	p := b.open(w.consent(at, integration))
	if p.status != http.StatusSeeOther || p.location != consoleURL+"/?connected=1" {
		t.Fatalf("got %d to %q: %s", p.status, p.location, p.body)
	}
	a, err := w.store.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a.Sub != "200" || a.Email != integration || a.ClientID != "client-1" || a.Version != 1 || !a.Connected {
		t.Errorf("account is %+v", a)
	}
	if left := a.GrantExpiresAt.Sub(w.clock()); left < 7*24*time.Hour-time.Minute || left > 7*24*time.Hour {
		t.Errorf("the grant ends in %v", left)
	}
	if refresh := w.refreshToken(); !w.alive(refresh) {
		t.Error("the stored refresh token does not work")
	} else if strings.Contains(string(a.Sealed), refresh) {
		t.Error("the refresh token is stored in the clear")
	}
	want := []queue.Message{{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}}
	if got := w.sent.messages["employee-changes"]; !reflect.DeepEqual(got, want) {
		t.Errorf("published %+v, want %+v", got, want)
	}
	for _, c := range p.header.Values("Set-Cookie") {
		if strings.Contains(c, "session") {
			t.Errorf("a connection set the cookie %q", c)
		}
	}
	checkNoSecrets(t, w, w.refreshToken())
}

func TestConnectRefusesTickets(t *testing.T) {
	for _, row := range []struct {
		name   string
		ticket func(w *world) string
		status int
	}{
		{"none", func(*world) string { return "" }, 400},
		{"malformed", func(*world) string { return "../accounts" }, 400},
		{"never issued", func(*world) string { return signin.Random() }, 400},
		{"used before", func(w *world) string {
			v := w.ticket(signin.Connect, admin)
			w.browser().open(oauthURL + "/connect?ticket=" + v)
			return v
		}, 400},
		{"too old", func(w *world) string { v := w.ticket(signin.Connect, admin); w.wait(61 * time.Second); return v }, 400},
		{"made for a sign-in", func(w *world) string { return w.ticket(signin.SignIn, admin) }, 400},
		{"of somebody no longer on the list", func(w *world) string { return w.ticket(signin.Connect, stranger) }, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.browser().open(oauthURL + "/connect?ticket=" + url.QueryEscape(row.ticket(w)))
			if p.status != row.status || p.location != "" {
				t.Errorf("got %d to %q, want %d", p.status, p.location, row.status)
			}
		})
	}
}

func TestConnectRefusesGrants(t *testing.T) {
	all := []string{"calendar.app.created", "calendar.acls", "calendar.calendarlist.readonly"}
	for _, row := range []struct {
		name, account string
		granted       []string
		says          string
		change        func(*google.Options)
	}{
		{"another account", stranger, all, "you chose " + stranger, nil},
		{"an admin's own account", admin, all, "not the integration account", nil},
		{"without making calendars", integration, all[1:], "calendar.app.created", nil},
		{"without sharing", integration, []string{all[0], all[2]}, "calendar.acls", nil},
		{"without the list", integration, all[:2], "calendar.calendarlist.readonly", nil},
		{"an unverified address", integration, all, "not verified", func(o *google.Options) { o.Accounts[1].EmailUnverified = true }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var change []func(*google.Options)
			if row.change != nil {
				change = append(change, row.change)
			}
			w := newWorld(t, change...)
			standing := w.google.RefreshToken(row.account) // any grant of the account dies with the refused one
			p := w.connect(row.account, row.granted...)
			body := plainText(p.body)
			if p.status != http.StatusForbidden || !strings.Contains(body, row.says) || !strings.Contains(body, "Nothing was stored") {
				t.Errorf("got %d: %s", p.status, body)
			}
			if w.connected() {
				t.Error("it was connected all the same")
			}
			if w.alive(standing) {
				t.Error("the refused grant was not handed back")
			}
			if len(w.sent.messages) > 0 {
				t.Error("a run was started")
			}
		})
	}
}

// Google revokes everything an account granted to a client at once. An admin who
// connects again and forgets a tick must not thereby kill the connection in use.
func TestRefusedReconnectLeavesTheConnectionInUse(t *testing.T) {
	w := newWorld(t)
	if p := w.connect(integration); p.status != http.StatusSeeOther {
		t.Fatalf("first connection: %d", p.status)
	}
	before := w.refreshToken()
	p := w.connect(integration, "calendar.app.created")
	if p.status != http.StatusForbidden || !strings.Contains(p.body, "goes on working") {
		t.Errorf("got %d: %s", p.status, p.body)
	}
	if !w.connected() || w.refreshToken() != before || !w.alive(before) {
		t.Error("the connection in use was lost")
	}
}

func TestConnectAgainMakesANewVersion(t *testing.T) {
	w := newWorld(t)
	w.connect(integration)
	w.give(42)
	for range 2 { // suspect, then disconnected
		if _, err := w.store.GrantRefused(t.Context(), "200", 1, "invalid_grant", 0); err != nil {
			t.Fatal(err)
		}
	}
	if p := w.connect(integration); p.status != http.StatusSeeOther {
		t.Fatalf("got %d: %s", p.status, p.body)
	}
	a, err := w.store.Account(t.Context())
	if err != nil || a.Version != 2 || !a.Connected {
		t.Errorf("account is %+v, %v", a, err)
	}
	if log := w.logs.String(); !strings.Contains(log, "incident=grant-1") || !strings.Contains(log, "ended=true") {
		t.Errorf("the alarm of the lost connection did not end:\n%s", log)
	}
}

// TestAnotherOwnerIsRefusedWhileCalendarsAreKnown shows rule 3.7.
func TestAnotherOwnerIsRefusedWhileCalendarsAreKnown(t *testing.T) {
	for _, row := range []struct {
		name, account, says string
		change              func(w *world)
	}{
		{"another account", stranger, "were made by the account " + integration, func(w *world) { w.cfg.IntegrationAccount = stranger }},
		{"another client", integration, "another OAuth client id", func(w *world) { w.cfg.ClientID = "client-2" }},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.connect(integration)
			before := w.refreshToken()
			w.give(42)
			row.change(w)
			w.start()
			p := w.connect(row.account)
			if p.status != http.StatusConflict || !strings.Contains(plainText(p.body), row.says) || !strings.Contains(plainText(p.body), "delete the collections employees and tasks in Firestore") {
				t.Errorf("got %d: %s", p.status, p.body)
			}
			w.cfg.ClientID = "client-1"
			if a, err := w.store.Account(t.Context()); err != nil || a.Sub != "200" || a.Version != 1 || !w.alive(before) {
				t.Errorf("the connection before was touched: %+v, %v", a, err)
			}
		})
	}
	t.Run("without calendars it is let in", func(t *testing.T) {
		w := newWorld(t)
		w.connect(integration)
		w.cfg.IntegrationAccount = stranger
		w.start()
		if p := w.connect(stranger); p.status != http.StatusSeeOther {
			t.Errorf("got %d: %s", p.status, p.body)
		}
	})
}

// made is a marked calendar, as a client's installation made it before the database
// was lost.
func (w *world) made(client string) {
	w.t.Helper()
	ctx := w.t.Context()
	token := w.google.TokenFor(client, integration, "calendar.app.created", "calendar.calendarlist.readonly")
	api, err := calendar.NewService(ctx, option.WithEndpoint(issuer+"/calendar/v3/"), option.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer "+token)
		return w.google.Transport().RoundTrip(r)
	})}))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := api.Calendars.Insert(&calendar.Calendar{Summary: "Olena",
		Description: "erp-calendar/1 tenant=t employee=42 epoch=e from=2026-11-21T10:00:00Z"}).Context(ctx).Do(); err != nil {
		w.t.Fatal(err)
	}
}

func TestMarksThatAnotherClientMadeAreRefused(t *testing.T) {
	w := newWorld(t)
	w.made("client-1")
	w.cfg.ClientID = "client-2"
	w.start()
	p := w.connect(integration)
	if p.status != http.StatusConflict || !strings.Contains(plainText(p.body), "Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET back") || w.connected() {
		t.Errorf("got %d, connected %v: %s", p.status, w.connected(), p.body)
	}
	w.cfg.ClientID = "client-1"
	w.start()
	if p := w.connect(integration); p.status != http.StatusSeeOther || !w.connected() {
		t.Errorf("the client that made them got %d: %s", p.status, p.body)
	}
}

// deleteAllBut deletes the account's calendars, whose rows may stay, but for so many.
func (w *world) deleteAllBut(n int) {
	w.t.Helper()
	var ids []string
	for _, c := range w.google.Calendars() {
		if !c.Primary {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	for _, id := range ids[:len(ids)-n] {
		if err := w.google.DeleteCalendar(id); err != nil {
			w.t.Fatal(err)
		}
	}
}

// The rows of deleted calendars may stay in the list, and sort first (G2). They are no
// calendars: an empty database is connected by whichever client (rules 3.7 and 3.13).
// Among them a living one of another client is found, which is refused with every cure.
func TestDeadRowsAreNoOtherClients(t *testing.T) {
	for _, row := range []struct {
		name           string
		client         string
		living, status int
	}{
		{"one lives", "client-1", 1, http.StatusSeeOther},
		{"none lives", "client-1", 0, http.StatusSeeOther},
		{"one lives of another client", "client-2", 1, http.StatusConflict},
		{"none lives of another client", "client-2", 0, http.StatusSeeOther},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(o *google.Options) { o.Ways.StaleRows = -1 })
			for range 7 {
				w.made("client-1")
			}
			w.deleteAllBut(row.living)
			w.cfg.ClientID = row.client
			w.start()
			p := w.connect(integration)
			if p.status != row.status || w.connected() != (row.status == http.StatusSeeOther) {
				t.Errorf("got %d: %s", p.status, p.body)
			}
			if cure := "press Unsubscribe"; strings.Contains(plainText(p.body), cure) != (row.status == http.StatusConflict) {
				t.Errorf("the page says: %s", plainText(p.body))
			}
		})
	}
}

// What cannot be told is refused: a calendar that nobody may read, or more rows than are
// looked at.
func TestRowsOfWhichNothingIsCertainAreRefused(t *testing.T) {
	t.Run("rules that nobody may list", func(t *testing.T) {
		w := newWorld(t)
		w.made("client-1")
		w.google.Inject(google.Fault{Method: "calendar.acl.list", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
		w.cfg.ClientID = "client-2"
		w.start()
		if p := w.connect(integration); p.status != http.StatusConflict {
			t.Errorf("got %d: %s", p.status, p.body)
		}
	})
	// Rows that no client can tell from another client's calendars, and rows of deleted ones
	// whose rules are listed all the same (G16).
	for name, rules := range map[string]google.Rules{"rules of own calendars only": google.RulesOfOwn, "rules of deleted calendars": google.RulesOfDeleted} {
		for what, row := range map[string]struct {
			client         string
			living, status int
		}{
			"one lives":                       {"client-1", 1, http.StatusSeeOther},
			"none lives":                      {"client-1", 0, http.StatusConflict},
			"one lives of another client":     {"client-2", 1, http.StatusConflict},
			"all live, of another client":     {"client-2", 4, http.StatusConflict},
			"nothing lives of another client": {"client-2", 0, http.StatusConflict},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				w := newWorld(t, func(o *google.Options) { o.Ways.StaleRows, o.Ways.Rules = -1, rules })
				for range 4 {
					w.made("client-1")
				}
				w.deleteAllBut(row.living)
				w.cfg.ClientID = row.client
				w.start()
				p := w.connect(integration)
				if p.status != row.status || w.connected() != (row.status == http.StatusSeeOther) {
					t.Errorf("got %d: %s", p.status, plainText(p.body))
				}
				for _, cure := range []string{"Set OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET back", "delete those calendars first", "press Unsubscribe"} {
					if strings.Contains(plainText(p.body), cure) != (row.status == http.StatusConflict) {
						t.Errorf("of %q the page says: %s", cure, plainText(p.body))
					}
				}
			})
		}
	}
	t.Run("too many rows", func(t *testing.T) {
		w := newWorld(t, func(o *google.Options) { o.Ways.StaleRows = -1 })
		for range 51 {
			w.made("client-1")
		}
		w.deleteAllBut(0)
		if p := w.connect(integration); p.status != http.StatusConflict || !strings.Contains(plainText(p.body), "press Unsubscribe") {
			t.Errorf("got %d: %s", p.status, p.body)
		}
	})
}

// An installation that knows its account and client connects again when nobody has a
// calendar any more, however many rows stay (found by the simulation).
func TestDeadRowsAloneDoNotKeepTheClientOnRecordOut(t *testing.T) {
	w := newWorld(t, func(o *google.Options) { o.Ways.StaleRows = -1 })
	w.connect(integration)
	if _, err := w.store.SetTenant(t.Context(), "tenant-1"); err != nil {
		t.Fatal(err)
	}
	for range 51 {
		w.made("client-1")
	}
	w.deleteAllBut(0)
	if p := w.connect(integration); p.status != http.StatusSeeOther {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}

func TestCalendarsThatCannotBeLookedThroughAreNoConnection(t *testing.T) {
	w := newWorld(t)
	lie := w.google.Inject(google.Fault{Method: "calendar.calendarList.list", Count: -1, Status: http.StatusForbidden, Reason: "accessNotConfigured"})
	p := w.connect(integration)
	if p.status != http.StatusBadGateway || !strings.Contains(plainText(p.body), "Google Calendar API is enabled") || w.connected() {
		t.Errorf("got %d, connected %v: %s", p.status, w.connected(), p.body)
	}
	lie.Remove()
	if p := w.connect(integration); p.status != http.StatusSeeOther || !w.connected() {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}

func TestConnectedButNotQueued(t *testing.T) {
	w := newWorld(t)
	w.sent.err = errors.New("no queue")
	if p := w.connect(integration); p.location != consoleURL+"/?connected=unqueued" || !w.connected() {
		t.Errorf("got %d to %q", p.status, p.location)
	}
}
