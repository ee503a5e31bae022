package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestSigningInLeadsToACleanAddress(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn() // checks the address
	u, _ := url.Parse(w.base + "/console/")
	names := map[string]bool{}
	for _, c := range b.Jar.Cookies(u) {
		names[c.Name] = true
	}
	if !names["erp_calendar_session"] || names["erp_calendar_handover"] {
		t.Errorf("cookies afterwards: %v", names)
	}
	for _, secret := range []string{admin, "ticket=", "state="} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, w.logs)
		}
	}
}

func TestNothingWithoutASession(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ method, path string }{
		{http.MethodGet, "/"}, {http.MethodGet, "/settings"}, {http.MethodGet, "/connect"}, {http.MethodGet, "/nowhere"},
		{http.MethodPost, "/settings"}, {http.MethodPost, "/run"}, {http.MethodPost, "/employees/1/sync"}, {http.MethodPost, "/tasks/1/sync"}, {http.MethodPost, "/signout"},
	} {
		b := w.browser().stay()
		var form url.Values
		if row.method == http.MethodPost {
			form = url.Values{"csrf": {"x"}}
		}
		p := b.do(b.request(row.method, row.path, form))
		if p.status != http.StatusSeeOther || p.header.Get("Location") != w.base+"/console/signin" {
			t.Errorf("%s %s: %d to %q", row.method, row.path, p.status, p.header.Get("Location"))
		}
	}
	if len(w.sent.messages) > 0 {
		t.Errorf("published %v", w.sent.messages)
	}
}

func TestStatusAPIRefusesInItsOwnForm(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	for _, row := range []struct {
		name   string
		change func() *browser
		status int
	}{
		{"no session", w.browser, http.StatusUnauthorized},
		{"a session of somebody taken off the list", func() *browser { w.admit("new@example.com"); return b }, http.StatusForbidden},
		{"an expired session", func() *browser { w.admit(admin); w.wait(9 * time.Hour); return b }, http.StatusUnauthorized},
	} {
		p := row.change().stay().get("/api/status")
		var problem struct {
			Title  string
			Status int
		}
		if err := json.Unmarshal([]byte(p.body), &problem); err != nil || p.status != row.status || problem.Status != row.status || problem.Title == "" ||
			p.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %q", row.name, p.status, p.header.Get("Content-Type"), p.body)
		}
	}
}

func TestAllowListHoldsAtEveryRequest(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	token := b.csrf()
	w.admit("somebody.else@example.com")
	for _, path := range []string{"/", "/settings", "/connect"} {
		if p := b.get(path); p.status != http.StatusSeeOther || !strings.HasSuffix(p.header.Get("Location"), "/signin") {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	if p := b.do(b.request(http.MethodPost, "/run", url.Values{"csrf": {token}})); p.status != http.StatusSeeOther || len(w.sent.all("employee-changes")) > 0 {
		t.Errorf("POST /run: %d, published %v", p.status, w.sent.messages)
	}
}

// finishes are the ways in which a ticket is not good.
func TestFinishRefuses(t *testing.T) {
	put := func(w *world, rec store.TicketRecord) string {
		value := signin.Random()
		rec.ID = signin.Hash(value)
		if err := w.store.PutTicket(w.t.Context(), rec, time.Minute); err != nil {
			w.t.Fatal(err)
		}
		return value
	}
	for _, row := range []struct {
		name   string
		ticket func(w *world, b *browser, n string) string
		status int
		says   string
	}{
		{"none", func(*world, *browser, string) string { return "" }, 400, "carries no ticket"},
		{"malformed", func(*world, *browser, string) string { return "../x" }, 400, "carries no ticket"},
		{"never issued", func(*world, *browser, string) string { return signin.Random() }, 400, "took too long"},
		{"expired", func(w *world, _ *browser, n string) string {
			v := put(w, store.TicketRecord{Sub: "100", Email: admin, Purpose: "signin", Console: signin.Hash(n)})
			w.wait(61 * time.Second)
			return v
		}, 400, "took too long"},
		{"made for connecting", func(w *world, _ *browser, n string) string {
			return put(w, store.TicketRecord{Sub: "100", Email: admin, Purpose: "connect", Console: signin.Hash(n)})
		}, 400, "something else"},
		{"for another browser's N", func(w *world, _ *browser, _ string) string {
			return put(w, store.TicketRecord{Sub: "100", Email: admin, Purpose: "signin", Console: signin.Hash(signin.Random())})
		}, 400, "another browser"},
		{"without the cookie", func(w *world, b *browser, n string) string {
			b.Jar = w.browser().Jar
			return put(w, store.TicketRecord{Sub: "100", Email: admin, Purpose: "signin", Console: signin.Hash(n)})
		}, 400, "did not come back"},
		{"of somebody not on the list", func(w *world, _ *browser, n string) string {
			return put(w, store.TicketRecord{Sub: "666", Email: "mallory@example.net", Purpose: "signin", Console: signin.Hash(n)})
		}, 403, "not on the list"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser().stay()
			b.get("/signin")
			u, _ := url.Parse(w.base + "/console/")
			var n string
			for _, c := range b.Jar.Cookies(u) {
				n = c.Value
			}
			value := row.ticket(w, b, n)
			p := b.get("/signin/finish?ticket=" + url.QueryEscape(value))
			if p.status != row.status || !strings.Contains(p.body, row.says) {
				t.Errorf("got %d, want %d and %q in:\n%s", p.status, row.status, row.says, p.body)
			}
			for _, c := range b.Jar.Cookies(u) {
				if c.Name == "erp_calendar_session" {
					t.Error("a session was made")
				}
			}
		})
	}
}

func TestTicketsWorkOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser().stay()
	// Walk by hand up to the ticket.
	next := b.get("/signin").header.Get("Location")
	for !strings.Contains(next, "ticket=") {
		next = b.get(next).header.Get("Location")
	}
	thief := w.browser().stay()
	if p := thief.get(next); p.status != http.StatusBadRequest {
		t.Errorf("a thief without N got %d", p.status)
	}
	if p := b.get(next); p.status != http.StatusBadRequest {
		t.Errorf("the ticket was good a second time: %d", p.status)
	}
}

func TestFormsNeedTheTokenAndTheirOwnSite(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	token := b.csrf()
	for _, row := range []struct {
		name   string
		change func(r *http.Request)
		token  string
		status int
	}{
		{"our own form", nil, token, http.StatusSeeOther},
		{"no token", nil, "", http.StatusForbidden},
		{"a wrong token", nil, signin.Random(), http.StatusForbidden},
		{"from another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, token, http.StatusForbidden},
		{"from a sibling host", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, token, http.StatusForbidden},
		{"an old browser on another origin", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") }, token, http.StatusForbidden},
		{"an old browser on ours", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://site.test") }, token, http.StatusSeeOther},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := len(w.sent.all("employee-changes"))
			r := b.request(http.MethodPost, "/run", url.Values{"csrf": {row.token}})
			if row.change != nil {
				row.change(r)
			}
			p := b.do(r)
			published := len(w.sent.all("employee-changes")) - before
			if p.status != row.status || (published == 1) != (row.status == http.StatusSeeOther) {
				t.Errorf("got %d and %d messages, want %d", p.status, published, row.status)
			}
		})
	}
}

func TestTwoEmployeesWithOneAddressAreToldOf(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	for id, e := range map[int64]struct{ name, address string }{1: {"Petro", "van@example.com"}, 2: {"Ivan", " VAN@example.com"}, 3: {"Olena", "olena@example.com"}} {
		w.employee(id, func(r *store.EmployeeRecord) {
			r.Name, r.Address, r.State, r.Calendar = e.name, e.address, store.StateActive, &store.CalendarRecord{ID: "c", Epoch: "e"}
		}, nil)
	}
	if err := w.store.RecordPoll(t.Context(), store.PollResult{SameAddress: &[]store.SharedAddress{{Employees: []int64{1, 2}}}}); err != nil {
		t.Fatal(err)
	}
	if body := b.get("/").body; !strings.Contains(body, "1 e-mail address belongs to several employees.") || !strings.Contains(body, "Petro, Ivan") {
		t.Error("the page does not say that Petro and Ivan have one address")
	}
}

func TestWhoWaitsForACalendarIsToldWhen(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if _, err := w.store.Connect(t.Context(), store.AccountRecord{Sub: "200", Email: integration}, false); err != nil {
		t.Fatal(err)
	}
	ask := func(id int64, name string) {
		t.Helper()
		l, _, err := w.store.AcquireEmployee(t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.SaveEmployee(t.Context(), &l, func(e *store.EmployeeRecord) { e.Name = name }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.ReserveCreation(t.Context(), &l, store.NewCreation{
			Intent: store.CalendarRecord{Epoch: name, Account: "200"}, PerHour: 2, Activity: store.ActivityRecord{ID: name}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.SettleEmployee(t.Context(), &l, store.Result{Waiting: true}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, texts ...string) {
		t.Helper()
		body := b.get("/").body + b.get("/employees").body
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%s: the page lacks %q", when, text)
			}
		}
	}
	for id, name := range []string{"Olena", "Petro", "Iryna", "Taras"} {
		ask(int64(id+1), name)
	}
	if strings.Contains(b.get("/employees").body, "Place 3 in the queue") {
		t.Error("more wait than there are")
	}
	want("asked", "Place 1 in the queue", "Its turn comes about 12:30", "Place 2 in the queue", "Its turn comes about 13:00", "2 employees wait for a calendar.", "the last one is made about 13:00")
	if _, err := w.store.PauseCreations(t.Context(), "200", failure.ReasonQuota); err != nil {
		t.Fatal(err)
	}
	w.wait(14 * time.Minute)
	if _, err := w.store.PauseWrites(t.Context(), "200", failure.ReasonQuota); err != nil {
		t.Fatal(err)
	}
	w.wait(10 * time.Minute)
	ask(5, "Ivan")
	// What is live goes on first for six minutes (rule 6.6).
	want("later, and paused till 12:29", "Its turn comes about 12:35", "Place 3 in the queue", "Its turn comes about 13:30")
	w.wait(12 * time.Minute)
	want("its turn has come", "Its turn comes now", "3 employees wait for a calendar.", "the last one is made about 13:30")
}

func TestActionsPublish(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	console := func(m queue.Message) []queue.Message { m.Cause = queue.CauseConsole; return []queue.Message{m} }
	for _, row := range []struct {
		path, topic, to string
		want            []queue.Message
	}{
		{"/employees/42/sync", "employee-changes", "/employees/42?asked=1795341600", console(queue.Message{IDs: []int64{42}, Lane: queue.LaneLive})},
		{"/tasks/7/sync", "task-changes", "/tasks/7?asked=1795341600", console(queue.Message{IDs: []int64{7}, Lane: queue.LaneLive})},
		{"/run", "employee-changes", "/?queued=all", console(queue.Message{All: true, Lane: queue.LaneBulk})},
	} {
		w.sent.messages = map[string][]queue.Message{}
		p := b.post(row.path, nil)
		if p.status != http.StatusSeeOther || p.header.Get("Location") != w.base+"/console"+row.to || !reflect.DeepEqual(w.sent.messages, map[string][]queue.Message{row.topic: row.want}) {
			t.Errorf("%s: %d to %q, published %+v", row.path, p.status, p.header.Get("Location"), w.sent.messages)
		}
	}
	for _, path := range []string{"/employees/0/sync", "/employees/-1/sync", "/tasks/x/sync"} {
		if p := b.post(path, nil); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	w.sent.err = errDown
	if p := b.post("/run", nil); p.status != http.StatusServiceUnavailable {
		t.Errorf("without a queue: %d", p.status)
	}
}

func TestConnectingGoesThroughOAuth(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	p := b.get("/connect")
	if p.status != http.StatusOK || p.at.String() != w.base+"/console/?connected=1" || !strings.Contains(p.body, "The account is connected.") {
		t.Fatalf("got %d at %s", p.status, p.at)
	}
	a, err := w.store.Account(t.Context())
	if err != nil || a.Email != integration || !a.Connected {
		t.Errorf("account: %+v, %v", a, err)
	}
	want := []queue.Message{{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}}
	if got := w.sent.all("employee-changes"); !reflect.DeepEqual(got, want) {
		t.Errorf("published %+v", got)
	}
}

func TestStatusJSON(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	read := func() map[string]any {
		t.Helper()
		p := b.get("/api/status")
		var got map[string]any
		if err := json.Unmarshal([]byte(p.body), &got); err != nil || p.status != http.StatusOK || p.header.Get("Content-Type") != "application/json" {
			t.Fatalf("got %d %s: %q", p.status, p.header.Get("Content-Type"), p.body)
		}
		return got
	}
	want := map[string]any{
		"connected": false, "account": "", "enabled": true, "confirmed": false,
		"employees":              map[string]any{"active": 0., "pending": 0., "held": 0., "error": 0.},
		"oldest_pending_seconds": 0., "held_deletions": 0., "dead_letters": 0., "last_poll": nil, "last_reconcile": nil,
		"incident": nil, "takeover": nil, "last_erp_read": nil, "state": "trouble",
		"notifications": map[string]any{"last": nil, "connector": "", "changes": 0., "polled_percent": 0.},
	}
	trouble := func(kind, level string) map[string]any {
		return map[string]any{"kind": kind, "level": level, "since": nil}
	}
	with := func(p map[string]any, name string, value any) map[string]any { p[name] = value; return p }
	want["problems"] = []any{trouble("not-connected", "bad"), trouble("unconfirmed", "warn"), trouble("not-polled", "wait")}
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("at first: %v\nwant: %v", got, want)
	}

	b.get("/connect")
	for id, state := range map[int64]store.EmployeeState{1: store.StateActive, 2: store.StateActive, 3: store.StatePending, 4: store.StateHeld, 5: store.StateError, 6: store.StateNone} {
		w.employee(id, func(e *store.EmployeeRecord) {
			if e.State = state; state == store.StateHeld {
				e.Held, e.Retiring = "yes", []store.CalendarRecord{{ID: "c", Epoch: "e"}}
			}
		}, nil)
	}
	if err := w.store.RecordPoll(t.Context(), store.PollResult{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.StartRun(t.Context(), "run-1", "reconcile", []int{1}); err != nil {
		t.Fatal(err)
	}
	w.failTask(77, []int64{1}, failure.New(failure.Source, "read task 77", ""))
	w.wait(90 * time.Second)
	if err := w.store.RecordDeadLetter(t.Context(), store.TaskKey(9), "poll", 100); err != nil {
		t.Fatal(err)
	}
	if err := w.store.NotificationCame(t.Context(), "1.1"); err != nil {
		t.Fatal(err)
	}
	want["notifications"] = map[string]any{"last": "2026-11-22T10:01:30Z", "connector": "1.1", "changes": 0., "polled_percent": 0.}
	want["connected"], want["account"] = true, integration
	want["employees"] = map[string]any{"active": 2., "pending": 1., "held": 1., "error": 1.}
	want["oldest_pending_seconds"], want["held_deletions"], want["dead_letters"] = 90., 1., 1.
	want["last_poll"], want["last_erp_read"] = "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"
	since := func(problem map[string]any, at string) map[string]any {
		return with(with(problem, "count", 1.), "since", at)
	}
	rest := []any{since(trouble("deletions-held", "bad"), "2026-11-22T10:00:00Z"), since(trouble("gave-up", "bad"), "2026-11-22T10:01:30Z"),
		since(trouble("employees-failed", "bad"), "2026-11-22T10:00:00Z"), trouble("unconfirmed", "warn")}
	want["problems"] = rest
	want["last_reconcile"] = map[string]any{"started": "2026-11-22T10:00:00Z", "ended": nil, "repaired": 0.}
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("later: %v\nwant: %v", got, want)
	}
	if _, err := w.store.AdvanceRun(t.Context(), "run-1-0000", store.RunResult{Employee: 1, Repaired: 3}); err != nil {
		t.Fatal(err)
	}
	want["last_reconcile"] = map[string]any{"started": "2026-11-22T10:00:00Z", "ended": "2026-11-22T10:01:30Z", "repaired": 3.}
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("at last: %v\nwant: %v", got, want)
	}
	if err := w.store.RaiseIncident(t.Context(), "200", store.Refusal{At: store.AtAPI, Status: 403, Reason: "notACalendarUser"}); err != nil {
		t.Fatal(err)
	}
	want["problems"] = append([]any{with(with(trouble("account-refused", "bad"), "since", "2026-11-22T10:01:30Z"), "cause", "403 notACalendarUser from the Calendar API")}, rest...)
	want["incident"] = map[string]any{"reason": "403 notACalendarUser from the Calendar API", "since": "2026-11-22T10:01:30Z"}
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("refused: %v\nwant: %v", got, want)
	}
}

func TestPageShowsTheLastRuns(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	advance := func(part string, r store.RunResult) {
		t.Helper()
		if _, err := w.store.AdvanceRun(t.Context(), part, r); err != nil {
			t.Fatal(err)
		}
	}
	start := func(id, cause string, size int) {
		t.Helper()
		if _, err := w.store.StartRun(t.Context(), id, cause, []int{size}); err != nil {
			t.Fatal(err)
		}
	}
	says := func(when string, words ...string) {
		t.Helper()
		body := b.get("/").body
		for _, word := range words {
			if !strings.Contains(body, word) {
				t.Errorf("%s: the page lacks %q", when, word)
			}
		}
	}
	start("night", "reconcile", 1)
	w.wait(3 * time.Minute)
	advance("night-0000", store.RunResult{Employee: 1, Repaired: 3, Drift: map[string]int64{events.DriftEdited: 2, calendars.DriftShareMissing: 1}, Fields: map[string]int64{"title": 2}})
	says("ended", "1 employee in 3 min", "nightly check", "3 writes", "events edited: 2", "shares removed: 1", "title changed: 2")
	start("saved", "console", 4)
	w.wait(time.Minute)
	advance("saved-0000", store.RunResult{Employee: 1, Failed: true})
	says("under way", "1 of 4, under way", "About 3 min left.", "1 employee could not be checked")
	start("again", "console", 4)
	says("superseded", "1 of 4, then left to the next check", "0 of 4, under way", "1 employee in 3 min")
}

func TestPageShowsWhatIsWrongAndForWhom(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if body := b.get("/").body; !strings.Contains(body, "No Google account is connected.") || !strings.Contains(body, "/console/connections") {
		t.Error("the page does not say what to do at first")
	}
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Name, e.Address, e.State = `Ivan <script>`, "ivan@example.com", store.StateActive
		e.Calendar = &store.CalendarRecord{ID: "abc@group.calendar.google.com", Epoch: "e"}
	}, nil)
	w.employee(43, func(e *store.EmployeeRecord) { e.Name, e.State, e.Reason = "Petro", store.StateNone, "no-address" }, nil)
	w.employee(44, func(e *store.EmployeeRecord) { e.Name, e.State = "Ann", store.StateError }, failure.New(failure.Forbidden, "share the calendar of employee 44", "the address is outside the organisation"))
	w.failTask(77, []int64{42}, failure.New(failure.SourceInvalid, "read task 77", "the date is malformed"))
	if err := w.store.RecordDeadLetter(t.Context(), store.EmployeeKey(43), "poll", 100); err != nil {
		t.Fatal(err)
	}
	w.wait(12 * time.Minute)
	body := b.get("/").body + b.get("/employees").body + b.get("/employees/42").body
	for _, want := range []string{
		"Ivan &lt;script&gt;", "ivan@example.com", "https://calendar.google.com/calendar/r?cid=",
		"1 message gave up.", "1 employee’s calendar has an error.",
		"The settings are not confirmed.", `action="/console/employees/42/sync"`, `href="/console/failures"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "Ivan <script>") {
		t.Error("a name is not escaped")
	}
	if i, j := strings.Index(body, "employee-44"), strings.Index(body, "employee-42"); i < 0 || j < i {
		t.Error("the employee with an error does not come first")
	}
}

func TestConnectionBoxSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name, says string
		change     func(a *store.AccountRecord, now time.Time)
		refused    int
	}{
		{"expires soon", "The permission ends in 47 h", func(a *store.AccountRecord, now time.Time) { a.GrantExpiresAt = now.Add(47*time.Hour + time.Minute) }, 0},
		{"refused once", "Google refused the connection once", nil, 1},
		{"lost", "The connection is lost", nil, 2},
		{"another account", "Connected to another account than configured", func(a *store.AccountRecord, _ time.Time) { a.Email = "old@example.com" }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.signedIn()
			a := store.AccountRecord{Sub: "200", Email: integration, ClientID: "client-1"}
			if row.change != nil {
				row.change(&a, w.clock())
			}
			if _, err := w.store.Connect(t.Context(), a, false); err != nil {
				t.Fatal(err)
			}
			for range row.refused {
				if _, err := w.store.GrantRefused(t.Context(), "200", 1, "invalid_grant", 0); err != nil {
					t.Fatal(err)
				}
			}
			if body := b.get("/connections").body; !strings.Contains(body, row.says) {
				t.Errorf("the page lacks %q", row.says)
			}
		})
	}
}

// TestAnIncidentOfTheAccountIsShownWithItsCure shows rule 7.7.
func TestAnIncidentOfTheAccountIsShownWithItsCure(t *testing.T) {
	for name, row := range map[string]struct {
		refusal store.Refusal
		says    []string
	}{
		"the API is off":      {store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}, []string{"Google refuses the whole account", "403 accessNotConfigured from the Calendar API", "Enable it there"}},
		"the client is gone":  {store.Refusal{At: store.AtToken, Status: 401, Reason: "deleted_client"}, []string{"Google refuses the whole account", "401 deleted_client", "Restore it"}},
		"an unknown code":     {store.Refusal{At: store.AtToken, Status: 400, Reason: "made_up_tomorrow"}, []string{"400 made_up_tomorrow", "Look the code up"}},
		"the zone is refused": {store.Refusal{At: "events.insert", Status: 400, Reason: "invalid"}, []string{"one thing for everybody alike", "400 invalid at events.insert", "time zone in the settings"}},
		"an unknown reason":   {store.Refusal{At: "acl.insert", Status: 403, Reason: "madeUp"}, []string{"403 madeUp at acl.insert", "Look the reason up"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.signedIn()
			if _, err := w.store.Connect(t.Context(), store.AccountRecord{Sub: "200", Email: integration, ClientID: "client-1"}, false); err != nil {
				t.Fatal(err)
			}
			if err := w.store.RaiseIncident(t.Context(), "200", row.refusal); err != nil {
				t.Fatal(err)
			}
			w.wait(2 * time.Hour)
			body := b.get("/").body
			for _, says := range append(row.says, "Since 2026-11-22 12:00.") {
				if !strings.Contains(body, says) {
					t.Errorf("the page lacks %q", says)
				}
			}
			if err := w.store.EndIncident(t.Context(), "200", row.refusal.At); err != nil {
				t.Fatal(err)
			}
			if body := b.get("/").body; strings.Contains(body, row.says[0]) {
				t.Errorf("the page still says %q", row.says[0])
			}
		})
	}
}

func TestSigningOut(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if p := b.post("/signout", nil); p.status != http.StatusOK || !strings.Contains(p.body, "You are signed out") {
		t.Errorf("got %d: %s", p.status, p.body)
	}
	if p := b.stay().get("/"); p.status != http.StatusSeeOther {
		t.Errorf("the session is still good: %d", p.status)
	}
}

func TestStaticFiles(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	body := b.get("/").body
	for _, name := range []string{"app.css", "app.js", "icon.svg"} {
		i := strings.Index(body, "/console/static/"+name)
		if i < 0 {
			t.Errorf("the page does not load %s", name)
			continue
		}
		address, _, _ := strings.Cut(body[i:], `"`)
		p := w.browser().get(strings.TrimPrefix(address, "/console"))
		if p.status != http.StatusOK || !strings.Contains(p.header.Get("Cache-Control"), "immutable") || len(p.body) < 100 {
			t.Errorf("%s: %d, %q", address, p.status, p.header.Get("Cache-Control"))
		}
	}
	for _, bad := range []string{"/static/none.css", "/static/..%2fhandler.go"} {
		if p := b.get(bad); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", bad, p.status)
		}
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "style=") || strings.Contains(body, "onclick") {
		t.Error("the page has inline script or style")
	}
}

func TestPathWithoutSlash(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	// A host that mounts at "/Console/" and strips all of it.
	w.mux.Handle("/console", http.StripPrefix("/console", w.deployed()))
	if p := b.get(w.base + "/console"); p.status != http.StatusOK || !strings.Contains(p.body, admin) {
		t.Errorf("got %d", p.status)
	}
}
