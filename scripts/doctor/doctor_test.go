package main

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/config"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

type states = map[string]state

func TestAHealthyInstallationHasNoFault(t *testing.T) {
	r := newWorld(t, setup{})
	e := r.examine()
	e.want(states{"erp.method": warning}) // plain http to the stand-in
	if e.code != 0 || e.report.Counts.NotChecked != 0 || e.report.Counts.OK != len(e.report.Checks)-1 {
		t.Errorf("exit status %d, %+v", e.code, e.report.Counts)
	}
	if e.report.RedirectURI != r.url+"/OAuth/callback" || !strings.Contains(e.people, e.report.RedirectURI) {
		t.Errorf("redirect URI %q", e.report.RedirectURI)
	}
	for _, words := range []string{"role 11: New", "role 14: On the way", "role 12: Done", "2 of 4 employees would get a calendar", "1 calendar of employees",
		"field 1: checkbox; on cards: 4, filled: 4", "field 2: calendar ids; on cards: 4, filled: 1", "Nothing was changed."} {
		if !strings.Contains(e.people, words) {
			t.Errorf("%q is not said:\n%s", words, e.people)
		}
	}
	// What machines rely on.
	data, _ := e.finding("employees.calendars").Data.(map[string]any)
	if data["employees"] != 4.0 || data["with_calendar"] != 2.0 {
		t.Errorf("data of the employees: %v", data)
	}
	reasons, _ := data["without_by_reason"].(map[string]any)
	if reasons["unbound"] != 1.0 || reasons["dismissed"] != 1.0 || len(reasons) != 2 {
		t.Errorf("reasons %v", reasons)
	}
}

func TestMissingVariablesStopOnlyWhatNeedsThem(t *testing.T) {
	r := newWorld(t, setup{})
	for _, name := range []string{"OAUTH_CLIENT_SECRET", "SESSION_KEY", "ADMIN_EMAILS"} {
		delete(r.env, name)
	}
	e := r.examine()
	e.want(states{"env.client": fault, "env.session": fault, "env.admins": fault, "erp.method": warning})
	for id, want := range (states{"employees.calendars": isOK, "account.connected": isOK, "oauth.client_secret": unchecked, "account.calendar": unchecked, "cloud.key": isOK}) {
		if f := e.finding(id); f.State != want {
			t.Errorf("%s is %s, want %s: %s", id, f.State, want, f.Text)
		}
	}
	if !strings.Contains(e.people, "OAUTH_CLIENT_SECRET is not set") || !strings.Contains(e.people, "→ Set OAUTH_CLIENT_SECRET") {
		t.Errorf("the variable is not named:\n%s", e.people)
	}
}

func TestNothingSet(t *testing.T) {
	r := newWorld(t, setup{})
	clear(r.env)
	e := r.examine()
	if e.code != 1 || e.finding("env.erp").State != fault || e.finding("erp.reach").Because != "env.erp" || e.finding("account.calendar").State != unchecked {
		t.Errorf("exit status %d\n%s", e.code, e.people)
	}
}

func TestAddressesAreNotQuoted(t *testing.T) {
	r := newWorld(t, setup{})
	r.env["ADMIN_EMAILS"] = "marker.admin-without-an-at"
	r.examine().want(states{"env.admins": fault})
}

func TestEachCureBeginsItsOwnLine(t *testing.T) {
	r := newWorld(t, setup{apart: true})
	e := r.examine()
	for _, line := range []string{"→ Open " + r.url + "/Console, press Connect", "→ If Google shows redirect_uri_mismatch:", "→ If Google shows access_denied,", "→ While the consent screen is in Testing,"} {
		if !strings.Contains(e.people, strings.Repeat(" ", textColumn)+line) {
			t.Errorf("no line begins with %q", line)
		}
	}
	for line := range strings.SplitSeq(e.people, "\n") {
		if n := len([]rune(line)); n > lineWidth {
			t.Errorf("%d characters wide: %s", n, line)
		}
	}
	if t.Failed() {
		t.Log("\n" + e.people)
	}
}

func TestWhatTheERPSaysCannotSteerATerminal(t *testing.T) {
	r := newWorld(t, setup{})
	r.erp.Load(fakeerp.Data{States: []fakeerp.TaskState{{ID: 3, Name: "New\x1b[2J\u202e", Role: fakeerp.RoleNotCompleted}, {ID: 4, Name: "Way", Role: fakeerp.RoleInProgress}},
		Types: []fakeerp.TaskType{{ID: 1, Name: "T"}}})
	e := r.examine()
	if !strings.Contains(e.people, "role 11: New") || strings.ContainsAny(e.people, "\x1b\u202e") {
		t.Errorf("%q", e.people)
	}
	// The ERP's client cleans names already; this is the doctor's own net.
	if got := printable("a\x1b[31mb\u202ec\r\nd\te “ж”"); got != "a[31mbc\nde “ж”" {
		t.Errorf("%q", got)
	}
}

func TestColoursForTerminalsOnly(t *testing.T) {
	r := newWorld(t, setup{})
	r.with.terminal = true
	var out, errs bytes.Buffer
	if code := run(t.Context(), nil, &out, &errs, r.with); code != 0 || !strings.Contains(out.String(), "\x1b[32mok") {
		t.Errorf("exit status %d:\n%s", code, out.String())
	}
	out.Reset()
	if run(t.Context(), []string{"-json"}, &out, &errs, r.with); strings.Contains(out.String(), "\x1b") {
		t.Error("colour in the JSON")
	}
}

// TestBrokenInstallations is the table of what goes wrong and what is said of it.
func TestBrokenInstallations(t *testing.T) {
	erpFault := func(cat, action string, f fakeerp.Fault) func(r *world) {
		return func(r *world) { r.erp.Inject(fakeerp.Rule{Cat: cat, Action: action, Count: -1, Fault: f}) }
	}
	googleFault := func(f fakegoogle.Fault) func(r *world) {
		return func(r *world) { f.Count = -1; r.google.Inject(f) }
	}
	env := func(name, value string) func(r *world) { return func(r *world) { r.env[name] = value } }
	cipher := func(reason string) func(r *world) {
		return func(r *world) {
			r.with.cipher = func(context.Context, config.TokenKey) (seal.Cipher, error) { return refusing{reason}, nil }
		}
	}
	database := func(reason string) func(r *world) {
		return func(r *world) {
			r.with.database = func(context.Context, config.Store) (store.Backend, error) { return deadDatabase{reason: reason}, nil }
		}
	}
	settings := func(json string) func(r *world) { return env("DEFAULT_SETTINGS", json) }
	one := func(e fakeerp.Employee) []fakeerp.Employee {
		e.ID, e.Name = firstAnn, "Marker Ann"
		return []fakeerp.Employee{e}
	}
	bound := map[int64]string{bindingField: "1", calendarField: ""}
	for _, c := range []struct {
		name  string
		setup setup
		with  func(r *world)
		want  states
		says  string // in the finding or its cure
	}{
		// The ERP.
		{"nothing listens", setup{}, env("ERP_URL", "http://127.0.0.1:1"), states{"erp.reach": fault}, "nothing listens"},
		{"https where the ERP speaks http", setup{}, func(r *world) { r.env["ERP_URL"] = strings.Replace(r.url, "http:", "https:", 1) + "/erp" }, states{"erp.reach": fault}, "does not speak https"},
		{"unknown host", setup{}, env("ERP_URL", "https://erp.invalid"), states{"erp.reach": fault}, "DNS"},
		{"a wrong folder", setup{}, func(r *world) { r.env["ERP_URL"] = r.url + "/elsewhere" }, states{"erp.reach": fault}, "page instead of JSON"},
		{"a login page", setup{}, erpFault("", "", fakeerp.HTMLPage(200)), states{"erp.reach": fault}, "page instead of JSON"},
		{"a redirect", setup{}, erpFault("", "", fakeerp.RedirectToLogin()), states{"erp.reach": fault}, "redirects"},
		{"a cut answer", setup{}, erpFault("", "", fakeerp.Truncated()), states{"erp.reach": fault}, "not the API's JSON"},
		{"dropped connections", setup{}, erpFault("", "", fakeerp.Drop()), states{"erp.reach": fault}, "broke the connection off"},
		{"a wrong key", setup{}, env("ERP_API_KEY", "MARKER-wrong"), states{"erp.key": fault}, "ERP_API_KEY"},
		{"a key for another address", setup{erp: fakeerp.Options{KeyIP: "203.0.113.7"}}, nil, states{"erp.key": fault}, "“ip”"},
		{"an ERP that wants the key in the URL", setup{erp: fakeerp.Options{KeyInQuery: true}}, nil, states{"erp.key": fault}, "ERP_KEY_IN_QUERY=true"},
		{"the key in the URL without need", setup{}, env("ERP_KEY_IN_QUERY", "true"), states{"erp.method": warning}, "Unset ERP_KEY_IN_QUERY"},
		{"an ERP that insists, and gets it", setup{erp: fakeerp.Options{KeyInQuery: true}}, env("ERP_KEY_IN_QUERY", "true"), states{"erp.method": warning}, "insists"},
		{"a key without employees", setup{erp: fakeerp.Options{Sections: []string{"task", "system", "additional_data"}}}, nil, states{"erp.section.employee": fault}, "“employee”"},
		{"a key without tasks", setup{erp: fakeerp.Options{Sections: []string{"employee", "system", "additional_data"}}}, nil, states{"erp.section.task": fault}, "“task”"},
		{"a key without the clock", setup{erp: fakeerp.Options{Sections: []string{"employee", "task", "additional_data"}}}, nil, states{"erp.section.system": fault}, "“system”"},
		{"a key without fields", setup{erp: fakeerp.Options{Sections: []string{"employee", "task", "system"}}}, nil, states{"erp.section.additional_data": fault}, "calendar_id_field"},
		{"an old ERP", setup{erp: fakeerp.Options{Generation: fakeerp.GenerationOld}}, nil, states{"erp.version": warning}, "older than 3.18"},
		{"a clock an hour off", setup{}, erpFault("system", "get_system_info", fakeerp.ClockOffset(time.Hour)), states{"erp.clock": fault}, "nothing is written"},
		{"a wrong zone in the settings", setup{}, settings(`{"confirmed":true,"time_zone":"Asia/Tokyo","shown_roles":[11,14]}`), states{"erp.clock": fault}, "time_zone Asia/Tokyo"},
		{"a clock that is behind", setup{erp: fakeerp.Options{Now: func() time.Time { return time.Now().Add(-20 * time.Minute) }}}, nil, states{"erp.clock": warning}, "behind"},
		{"no clock", setup{}, erpFault("system", "get_system_info", fakeerp.Missing("date_time_string")), states{"erp.version": fault}, "date_time_string"},
		{"a role gone", setup{}, erpFault("task", "get_catalog_state", fakeerp.RoleGone(fakeerp.RoleInProgress)), states{"erp.roles": fault}, "role 14"},
		{"no roles at all", setup{}, erpFault("task", "get_catalog_state", fakeerp.Replace("system_role", "-")), states{"erp.states": fault}, "system_role"},
		{"one odd state", setup{}, erpFault("task", "get_catalog_state", fakeerp.Replace("20.system_role", "-")), states{"erp.states": warning}, "system_role"},
		{"one odd type", setup{}, erpFault("task", "get_catalog_type", fakeerp.Replace("timescale", "1:30")), states{"erp.states": warning}, "timescale"},
		{"every role shown", setup{}, settings(`{"confirmed":true,"time_zone":"Europe/Kyiv","shown_roles":[11,12,14]}`), states{"erp.roles": warning}, "every role"},
		{"a task that cannot be read", setup{}, erpFault("task", "show", fakeerp.Replace("date.todo", "MARKER nonsense")), states{"erp.tasks": warning, "erp.dates": warning}, "Task 100"},
		// The employees.
		{"nobody bound", setup{employees: one(fakeerp.Employee{Email: "marker@provider.example", Fields: map[int64]string{bindingField: "0", calendarField: ""}})}, nil, states{"employees.calendars": fault}, "Tick field 1"},
		{"no such checkbox", setup{employees: one(fakeerp.Employee{Email: "marker@provider.example", Fields: map[int64]string{calendarField: ""}})}, nil, states{"employees.fields": fault, "employees.calendars": fault}, "no card has field 1"},
		{"a binding field of text", setup{employees: one(fakeerp.Employee{Email: "marker@provider.example", Fields: map[int64]string{bindingField: "MARKER", calendarField: ""}})}, nil, states{"employees.fields": warning}, "does not look like a checkbox"},
		{"a calendar field in use", setup{employees: one(fakeerp.Employee{Email: "marker@provider.example", Fields: map[int64]string{bindingField: "1", calendarField: "MARKER"}})}, nil, states{"employees.fields": warning}, "overwritten"},
		{"no calendar field", setup{employees: one(fakeerp.Employee{Email: "marker@provider.example", Fields: map[int64]string{bindingField: "1"}})}, nil, states{"employees.fields": warning}, "calendar_id_field"},
		{"no address", setup{employees: one(fakeerp.Employee{Fields: bound})}, nil, states{"employees.calendars": fault}, "1 without an e-mail address"},
		{"the account's own address", setup{employees: one(fakeerp.Employee{Email: markedAccount, Fields: bound})}, nil, states{"employees.calendars": warning}, "own address"},
		{"one address for two", setup{employees: []fakeerp.Employee{{ID: 7, Name: "Marker", Email: "marker@provider.example", Fields: bound}, {ID: 8, Name: "Marker", Email: "Marker@provider.example", Fields: bound}}}, nil, states{"employees.calendars": warning}, "share an address"},
		{"a card that cannot be read", setup{}, erpFault("employee", "get_data", fakeerp.Replace("8.is_work", "MARKER")), states{"employees.read": warning}, "Employee 8"},
		{"no employees", setup{}, erpFault("employee", "get_data", fakeerp.EmptyList()), states{"employees.read": fault}, "no employee at all"},
		// The settings.
		{"nothing set", setup{}, settings(`{}`), states{"settings.read": fault, "erp.clock": unchecked}, "time_zone, shown_roles"},
		{"unconfirmed and off", setup{}, settings(`{"enabled":false,"time_zone":"Europe/Kyiv","shown_roles":[11,14],"binding_field":1}`), states{"settings.confirmed": warning, "settings.enabled": warning}, "nothing is created"},
		{"saved settings broken", setup{}, func(r *world) { r.save(`{"time_zone":"Nowhere/Land"}`) }, states{"settings.read": fault, "erp.clock": unchecked}, "time_zone"},
		// Sign-in.
		{"no client id", setup{}, env("OAUTH_CLIENT_ID", "my-client"), states{"oauth.client_id": fault, "account.connected": fault}, ".apps.googleusercontent.com"},
		{"an unknown client", setup{account: func(a *store.AccountRecord) { a.ClientID = "999-x.apps.googleusercontent.com" }}, env("OAUTH_CLIENT_ID", "999-x.apps.googleusercontent.com"),
			states{"oauth.client_secret": fault, "oauth.registered": fault, "account.grant": fault}, "invalid_client"},
		{"a wrong client secret", setup{}, env("OAUTH_CLIENT_SECRET", "MARKER-other"), states{"oauth.client_secret": fault, "account.grant": fault}, "do not belong together"},
		{"a redirect URI that is not registered", setup{google: func(o *fakegoogle.Options) { o.RedirectURIs = []string{o.RedirectURIs[0] + "/"} }}, nil, states{"oauth.registered": fault}, "redirect_uri_mismatch"},
		{"a redirect URI that cannot be registered", setup{}, env("OAUTH_URL", "https://oauth.provider.local/OAuth"), states{"oauth.redirect_uri": fault, "env.token": warning}, "top-level domain"},
		{"an IP address", setup{}, env("OAUTH_URL", "https://203.0.113.7/OAuth"), states{"oauth.redirect_uri": fault, "env.token": warning}, "IP address"},
		{"Google down", setup{}, googleFault(fakegoogle.Fault{Drop: true}), states{"oauth.discovery": fault}, "broke the connection off"},
		{"no discovery document", setup{}, env("GOOGLE_ISSUER", "http://127.0.0.1:1"), states{"oauth.discovery": fault}, "nothing listens"},
		{"another issuer", setup{}, func(r *world) {
			r.env["GOOGLE_ISSUER"] = strings.Replace(r.url, "127.0.0.1", "localhost", 1) + "/google"
		}, states{"oauth.discovery": fault}, "names the issuer"},
		{"half a stand-in", setup{}, env("CALENDAR_ENDPOINT", ""), states{"env.google": fault}, "CALENDAR_ENDPOINT"},
		{"the token endpoint out of order", setup{}, googleFault(fakegoogle.Fault{Method: "oauth2.token", Status: 503}), states{"oauth.client_secret": unchecked, "account.grant": fault}, "neither yes nor no"},
		// The account.
		{"not connected", setup{apart: true}, nil, states{"account.connected": fault}, "access_denied"},
		{"disconnected", setup{}, func(r *world) { r.disconnect() }, states{"account.connected": fault}, "seven days"},
		{"another account", setup{account: func(a *store.AccountRecord) { a.Email = "marker.other@provider.example" }}, nil, states{"account.connected": fault}, "INTEGRATION_ACCOUNT"},
		{"another client", setup{account: func(a *store.AccountRecord) { a.ClientID = "1-other.apps.googleusercontent.com" }}, nil, states{"account.connected": fault}, "another OAuth client"},
		{"a permission missing", setup{account: func(a *store.AccountRecord) { a.Scopes = a.Scopes[:len(a.Scopes)-1] }}, nil, states{"account.scopes": fault, "account.calendar": fault}, "tick every box"},
		{"a grant of seven days", setup{account: func(a *store.AccountRecord) { a.GrantExpiresAt = time.Now().Add(6*24*time.Hour + time.Minute) }}, nil, states{"account.expiry": warning}, "in 6 days, because the consent screen is in Testing"},
		{"a grant about to end", setup{account: func(a *store.AccountRecord) { a.GrantExpiresAt = time.Now().Add(30*time.Hour + time.Minute) }}, nil, states{"account.expiry": warning}, "30 h: the consent screen is in Testing. Then nothing"},
		{"a grant that ended", setup{account: func(a *store.AccountRecord) { a.GrantExpiresAt = time.Now().Add(-time.Hour) }}, func(r *world) { r.must(r.google.RevokeGrant(markedAccount)) }, states{"account.expiry": fault, "account.grant": fault}, "invalid_grant"},
		{"another token key", setup{}, env("TOKEN_KEY", "local:"+strings.Repeat("A", 43)+"="), states{"account.grant": fault}, "not sealed by the key"},
		{"the Calendar API off", setup{}, googleFault(fakegoogle.Fault{Method: "calendar.*", Status: 403, Reason: "accessNotConfigured"}), states{"account.calendar": fault}, "gcloud services enable calendar-json"},
		{"no Calendar user", setup{}, googleFault(fakegoogle.AccountRefusal("notACalendarUser").Fault), states{"account.calendar": fault}, "has no Google Calendar"},
		{"the client deleted", setup{}, googleFault(fakegoogle.TokenRefusal("deleted_client").Fault), states{"oauth.client_secret": fault, "account.grant": fault}, "was deleted. Restore it"},
		{"a code that nobody knows", setup{}, googleFault(fakegoogle.TokenRefusal("made_up_tomorrow").Fault), states{"oauth.client_secret": unchecked, "account.grant": fault}, "made_up_tomorrow"},
		{"an incident that is known", setup{}, func(r *world) { r.incident() }, states{"account.connected": warning}, "403 accessNotConfigured"},
		{"Google's pause", setup{}, googleFault(fakegoogle.Fault{Method: "calendar.*", Status: 403, Reason: "quotaExceeded"}), states{"account.calendar": fault}, "paused"},
		{"Calendar out of order", setup{}, googleFault(fakegoogle.Fault{Method: "calendar.*", Status: 400}), states{"account.calendar": fault}, "fails"},
		{"pauses that are known", setup{}, func(r *world) { r.pause("quotaExceeded") }, states{"account.quota": warning}, "paused all writes"},
		{"the day's calls used up", setup{}, func(r *world) { r.pause("dailyLimitExceeded") }, states{"account.quota": warning}, "midnight Pacific time"},
		{"a budget above Google's", setup{}, env("CALENDAR_REQUESTS_PER_MINUTE", "6000"), states{"account.quota": warning}, "Queries per minute per user"},
		{"too many calendars", setup{}, env("CALENDARS_PER_HOUR", "500"), states{"account.quota": warning}, "CALENDARS_PER_HOUR"},
		{"another installation's calendar", setup{}, func(r *world) { r.foreignCalendar() }, states{"account.calendar": warning}, "another installation"},
		// The project.
		{"no database", setup{}, database("NotFound"), states{"cloud.firestore": fault, "settings.read": warning}, "no Firestore database (default)"},
		{"a database in Datastore mode", setup{}, database("FailedPrecondition"), states{"cloud.firestore": fault, "settings.read": warning}, "native mode"},
		{"no right to look", setup{}, database("PermissionDenied"), states{"cloud.firestore": unchecked, "settings.read": warning}, "roles/datastore.viewer"},
		{"no credentials", setup{}, func(r *world) {
			r.with.database = func(context.Context, config.Store) (store.Backend, error) { return nil, refused("none") }
		}, states{"cloud.firestore": unchecked, "settings.read": warning}, "gcloud auth application-default login"},
		{"Firestore silent", setup{}, database("Unavailable"), states{"cloud.firestore": fault, "settings.read": warning}, "could not be reached"},
		{"no index", setup{}, func(r *world) { r.wrapDatabase(func(b store.Backend) store.Backend { return unindexed{b} }) }, states{"cloud.indexes": fault}, "tasks.held"},
		{"TTL not in force", setup{}, func(r *world) { r.oldSignIn() }, states{"cloud.ttl": warning}, "TTL"},
		{"Poll stopped", setup{}, func(r *world) { r.pollLongAgo() }, states{"cloud.poll": warning}, "Cloud Scheduler"},
		{"a topic missing", setup{topics: []string{"task-changes"}}, nil, states{"cloud.employee_topic": fault}, "no topic employee-changes"},
		{"another name of a topic", setup{}, env("TASK_TOPIC", "tasks"), states{"cloud.task_topic": fault}, "no topic tasks"},
		{"no key", setup{}, cipher("NotFound"), states{"cloud.key": fault, "account.grant": fault}, "does not exist"},
		{"a disabled key", setup{}, cipher("FailedPrecondition"), states{"cloud.key": fault, "account.grant": fault}, "disabled"},
		{"no right to the key", setup{}, cipher("PermissionDenied"), states{"cloud.key": unchecked, "account.grant": unchecked}, "cryptoKeyDecrypter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newWorld(t, c.setup)
			if c.with != nil {
				c.with(r)
			}
			e := r.examine()
			e.want(c.want)
			told := ""
			for _, id := range slices.Sorted(maps.Keys(c.want)) {
				f := e.finding(id)
				told += f.Text + "\n" + f.Cure + "\n" + strings.Join(f.Details, "\n") + "\n"
			}
			if !strings.Contains(told, c.says) {
				t.Errorf("%q is not said:\n%s", c.says, told)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "Exit status: 0 no fault"},
		{[]string{"-nonsense"}, 2, "not defined"},
		{[]string{"everything"}, 2, "unexpected argument"},
	} {
		var out, errs bytes.Buffer
		asked := func(string) (string, bool) { t.Error("the environment was read"); return "", false }
		code := run(t.Context(), c.args, &out, &errs, surroundings{lookup: asked, transport: http.DefaultTransport, now: time.Now})
		if code != c.code || !strings.Contains(errs.String(), c.says) || out.Len() > 0 {
			t.Errorf("%v: exit status %d, %q", c.args, code, errs.String())
		}
	}
}

// TestTheListIsSound: every dependency stands for a check that is there, and none
// waits for itself, or a run would never end.
func TestTheListIsSound(t *testing.T) {
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]check{}
	for _, c := range newDoctor(surroundings{}, texts.For(i18n.Default)).checks() {
		if _, twice := byID[c.ID]; twice || c.ID == "" || c.Group == "" || c.Run == nil {
			t.Errorf("check %q is there twice or incomplete", c.ID)
		}
		if n := len([]rune(c.Title)); n == 0 || n > titleWidth {
			t.Errorf("the title %q of %s does not fit its column", c.Title, c.ID)
		}
		byID[c.ID] = c
	}
	var visit func(id string, path []string)
	visit = func(id string, path []string) {
		c, there := byID[id]
		if !there || slices.Contains(path, id) {
			t.Fatalf("%s is missing or waits for itself: %v", id, path)
		}
		for _, before := range slices.Concat(c.Needs, c.After) {
			visit(before, append(slices.Clone(path), id))
		}
	}
	for id := range byID {
		visit(id, nil)
	}
}
