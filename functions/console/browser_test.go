package console_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// TestInARealBrowser goes an admin's first way: sign in, connect, save settings,
// ask for another look; and looks at each page on desktop and phone.
func TestInARealBrowser(t *testing.T) {
	ctx := testenv.Browser(t)
	var w *world
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w = newWorldAt(t, server.URL)
	run := func(what string, actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	read := func(what string, action chromedp.Action[string]) string {
		t.Helper()
		text, err := chromedp.Run(ctx, action)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return text
	}
	shot := func(name string) {
		t.Helper()
		testenv.Screenshot(ctx, t, name, testenv.Phone)
		testenv.Screenshot(ctx, t, name, testenv.Desktop)
	}

	run("sign in", chromedp.Navigate(server.URL+"/console/"), chromedp.WaitVisible(chromedp.CSS("#checks")))
	if at := read("address", chromedp.Location()); at != server.URL+"/console/" {
		t.Fatalf("signing in ended at %s", at)
	}
	shot("console-first")

	run("connections", chromedp.Click(chromedp.CSS(`.problems a[href$="/connections"]`)), chromedp.WaitVisible(chromedp.CSS("#google")))
	shot("connections-first")
	run("connect", chromedp.Click(chromedp.CSS("#google a.button")), chromedp.WaitVisible(chromedp.CSS(".notice.good")))
	text, at := read("message", chromedp.Text(chromedp.CSS("[role=status]"))), read("address", chromedp.Location())
	if text == "" || at != server.URL+"/console/" {
		t.Errorf("connecting shows %q at %s (the query should be gone)", text, at)
	}

	run("save settings", chromedp.Click(chromedp.CSS(`nav a[href$="/settings"]`)), chromedp.WaitVisible(chromedp.CSS("form[action$='/settings']")),
		chromedp.SetValue(chromedp.CSS(`[name=backfill_hours]`), "9999"), chromedp.Click(chromedp.CSS(`.save button`)), chromedp.WaitVisible(chromedp.CSS("#e-backfill_hours")))
	shot("settings-fault")
	run("mend settings", chromedp.SetValue(chromedp.CSS(`[name=backfill_hours]`), "48"), chromedp.SetValue(chromedp.CSS(`[name=color_6]`), "11"), chromedp.Click(chromedp.CSS(`.save button`)),
		chromedp.WaitVisible(chromedp.CSS("form[action$='/settings/apply']")))
	shot("settings-plan")
	run("apply", chromedp.Click(chromedp.CSS("form[action$='/settings/apply'] .button")), chromedp.WaitVisible(chromedp.CSS("[role=status]")))
	if s := w.saved(); s.Settings.BackfillHours != 48 || s.Settings.Colors["6"] != 11 || !s.Settings.Confirmed {
		t.Errorf("saved %+v", s.Settings)
	}
	shot("settings")

	// An open page keeps its counts up to date, and nothing that somebody may be reading is
	// replaced: new rows are there once the page is loaded again.
	run("status", chromedp.Navigate(server.URL+"/console/"), chromedp.WaitVisible(chromedp.CSS("#checks")))
	w.populate()
	read("refresh", chromedp.Evaluate[string](`document.activeElement.blur(); document.dispatchEvent(new Event("visibilitychange")); ""`))
	run("refreshed", chromedp.WaitVisible(chromedp.CSS(`#verdict [data-alarm="deletions-held"]`)))
	if said := evaluate[string](ctx, t, `document.getElementById("live").textContent`); !strings.Contains(said, "2 deletions are held.") || strings.Contains(said, "decide") {
		t.Errorf("the new alarm is said as %q", said)
	}
	run("employee", chromedp.Navigate(server.URL+"/console/employees"), chromedp.WaitVisible(chromedp.CSS("#employee-42")),
		chromedp.Click(chromedp.CSS("#employee-42 a")), chromedp.WaitVisible(chromedp.CSS("#standing")))

	run("sync", chromedp.Click(chromedp.CSS(`form[action$="/employees/42/sync"] button`)), chromedp.WaitVisible(chromedp.CSS("#flash, #outcome[data-live]")))
	sent := w.sent.all("employee-changes")
	if last := sent[len(sent)-1]; len(last.IDs) != 1 || last.IDs[0] != 42 || last.Lane != queue.LaneLive {
		t.Errorf("published %+v; the page says %q", last, read("message", chromedp.Text(chromedp.CSS("[role=status]"))))
	}

	run("rebuild", chromedp.Navigate(server.URL+"/console/employees/42/rebuild"), chromedp.WaitVisible(chromedp.CSS(".lone h1")))
	shot("rebuild")
	run("purge", chromedp.Navigate(server.URL+"/console/"), chromedp.Click(chromedp.CSS(`a[href$="/purge"]`)), chromedp.WaitVisible(chromedp.CSS("#typed")),
		chromedp.SendKeys(chromedp.CSS("#typed"), "no"), chromedp.Click(chromedp.CSS(".lone button")), chromedp.WaitVisible(chromedp.CSS("#e-typed")))
	shot("purge-refused")
	run("purge typed", chromedp.SetValue(chromedp.CSS("#typed"), read("phrase", chromedp.Text(chromedp.CSS("label strong")))),
		chromedp.Click(chromedp.CSS(".lone button")), chromedp.WaitVisible(chromedp.CSS(`form[action$="/purge/stop"]`)))
	shot("purging")
	if p := w.purgeRecord(); !p.Open() {
		t.Errorf("no purge after typing what was asked: %+v", p)
	}

	run("sign out", chromedp.Click(chromedp.CSS("form.who button")), chromedp.WaitVisible(chromedp.CSS(".lone")))
	if text := read("heading", chromedp.Text(chromedp.CSS(".lone h1"))); text != "You are signed out" {
		t.Errorf("signing out shows %q", text)
	}
	shot("signed-out")
	run("oauth refusal", chromedp.Navigate(server.URL+"/oauth/callback?state=x"), chromedp.WaitVisible(chromedp.CSS("main h1")))
	shot("oauth-refusal")
}

// populate gives the world people in all states.
func (w *world) populate() {
	w.t.Helper()
	at := w.clock()
	calendar := func(id string, seen bool) *store.CalendarRecord {
		return &store.CalendarRecord{ID: id + "0123456789abcdef0123456789abcdef0123456789@group.calendar.google.com", Epoch: "e", From: at, RuleSeen: seen}
	}
	for _, e := range []store.EmployeeRecord{
		{ID: 42, Name: "Olena Kovalenko", Address: "olena.kovalenko@example.com", State: store.StateActive, Calendar: calendar("c42", true)},
		{ID: 43, Name: "Ivan Petrenko", Address: "ivan.petrenko@example.com", State: store.StateActive, Calendar: calendar("c43", false)},
		{ID: 44, Name: "Maria Shevchenko-Bondarenko", Address: "maria.shevchenko.bondarenko@a-very-long-domain.example.com", State: store.StateError},
		{ID: 45, Name: "Taras Melnyk", Address: "taras@example.com", State: store.StatePending},
		{ID: 46, Name: "Oksana Tkachenko", Address: "oksana@example.com", State: store.StateHeld, Reason: "dismissed", Held: "yes", Retiring: []store.CalendarRecord{*calendar("c46", true)}},
		{ID: 47, Name: "Petro Boyko", State: store.StateNone, Reason: "no-address"},
		{ID: 48, Name: "Iryna Lysenko", Address: "iryna@example.com", State: store.StateNone, Reason: "unbound"},
	} {
		var fault error
		if e.State == store.StateError {
			fault = &failure.Error{Kind: failure.Forbidden, Status: 403, Op: "share the calendar of employee 44", Detail: "Google does not allow sharing outside the organisation"}
		}
		w.employee(e.ID, func(r *store.EmployeeRecord) {
			r.Name, r.Address, r.State, r.Reason, r.Calendar, r.Held, r.Retiring = e.Name, e.Address, e.State, e.Reason, e.Calendar, e.Held, e.Retiring
		}, fault)
	}
	if _, err := w.store.AdoptCalendar(w.t.Context(), 42, *calendar("c42", true)); err != nil {
		w.t.Fatal(err)
	}
	w.write(101, 42)
	w.holdTask(1014, "Repair: 5 Shevchenko Street, flat 12", "2026-12-01T07:30:00Z", "missing", 42, 43)
	w.failTask(77, []int64{43}, &failure.Error{Kind: failure.SourceInvalid, Op: "read task 77", Detail: "the ERP gave a date that cannot be read"})
	if err := w.store.RecordDeadLetter(w.t.Context(), store.TaskKey(90), "poll", 100); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.SaveTaskPoll(w.t.Context(), store.TaskPollRecord{}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.StartRun(w.t.Context(), "run-1", "reconcile", []int{1}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.AdvanceRun(w.t.Context(), "run-1-0000", store.RunResult{Employee: 1, Repaired: 2,
		Drift: map[string]int64{"event.edited": 2, "share.missing": 1}, Fields: map[string]int64{"title": 2}}); err != nil {
		w.t.Fatal(err)
	}
	w.wait(3*time.Minute + 20*time.Second)
}

// write records activity as a worker that writes an event does.
func (w *world) write(task, employee int64) {
	w.t.Helper()
	l, _, err := w.store.AcquireTask(w.t.Context(), task, store.Claim{TTL: time.Minute, Token: "write"})
	if err != nil {
		w.t.Fatal(err)
	}
	record := func(id, action, result string) store.ActivityRecord {
		return store.ActivityRecord{ID: id, At: w.clock(), Action: action, Task: task, Employee: employee, Cause: "notify", Result: result, ExpiresAt: w.clock().Add(store.ActivityKept)}
	}
	if _, err := w.store.SettleTask(w.t.Context(), &l, store.TaskOutcome{Concerned: []int64{employee},
		Activity: []store.ActivityRecord{record("a1", "event.insert", "done"), record("a2", "event.update", "done"), record("a3", "calendar.insert", "rate-limited")}}); err != nil {
		w.t.Fatal(err)
	}
}
