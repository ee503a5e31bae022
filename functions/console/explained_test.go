package console_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// explainedWorld has Olena (42) with a calendar that holds task 1113, Ivan (43) with an empty
// one and Iryna (48) without any; and an ERP with tasks for each reason.
func explainedWorld(w *world) {
	w.t.Helper()
	w.populate()
	w.works()
	for id, name := range map[int64]string{42: "Olena Kovalenko", 43: "Ivan Petrenko"} {
		w.employee(id, func(e *store.EmployeeRecord) {
			e.Name = name
			e.Calendar.From, e.Calendar.RuleID, e.Calendar.SharedAt, e.Calendar.Filled, e.Calendar.RuleSeen = w.clock().Add(-24*time.Hour), "user:x", w.clock().Add(-72*time.Hour), w.clock(), true
		}, nil)
	}
	w.employee(43, func(e *store.EmployeeRecord) {
		e.Calendar.RuleSeen, e.Calendar.Unseen = false, w.clock().Add(-time.Hour)
	}, nil)
	task := func(id calendarsync.TaskID, state calendarsync.StateID, hour int, executors ...calendarsync.EmployeeID) *calendarsync.Task {
		return &calendarsync.Task{ID: id, TypeName: "Connection", Address: "Main St 1", State: calendarsync.Say(state), StateName: "New",
			Start: calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC)}), Executors: calendarsync.Say(executors)}
	}
	undated := task(1116, 1, 9, 42)
	undated.Start = calendarsync.Say(calendarsync.LocalTime{})
	before := task(1117, 1, 9, 42)
	before.Start = calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)})
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{
		1113: {Task: task(1113, 1, 9, 42)}, 1114: {Task: task(1114, 2, 11, 42, 43, 48)}, 1115: {Task: task(1115, 4, 13, 42)},
		1116: {Task: undated}, 1117: {Task: before}, 1118: {Task: task(1118, 1, 9)}, 1119: {Task: task(1119, 9, 9, 42)},
		1120: {Invalid: failure.New(failure.SourceInvalid, "read task 1120", "unreadable field date.todo")},
	}
	w.event(1113, 42, store.Mapping{State: store.MappingLive, EventID: "e1", Via: "executor"})
	w.event(1114, 42, store.Mapping{State: store.MappingLive, EventID: "e2", Via: "executor"})
}

// works makes it an installation that is connected and whose settings are confirmed.
func (w *world) works() {
	w.t.Helper()
	w.connectAccount()
	saved := w.saved()
	saved.Settings.Confirmed = true
	if err := w.deps.Settings.Apply(w.t.Context(), saved.Settings, admin, saved.Version, nil); err != nil {
		w.t.Fatal(err)
	}
}

// event records a task's event in an employee's present calendar.
func (w *world) event(task, employee int64, m store.Mapping) {
	w.t.Helper()
	e, _, err := w.store.Employee(w.t.Context(), employee)
	if err != nil {
		w.t.Fatal(err)
	}
	m.Epoch = e.Calendar.Epoch
	l, _, err := w.store.AcquireTask(w.t.Context(), task, store.Claim{TTL: time.Minute, Token: signin.Random()})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SettleTask(w.t.Context(), &l, store.TaskOutcome{Mappings: map[int64]*store.Mapping{employee: &m}, Concerned: []int64{employee}}); err != nil {
		w.t.Fatal(err)
	}
}

// "Why is task 1114 not in the calendar?" is answered for each person, from the ERP as it is
// now, with what to do about it.
func TestWhyATaskIsNotInTheCalendar(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	for path, want := range map[string][]string{
		"/tasks/1114": {"It is in 1 of 3 calendars.", "Olena Kovalenko", "Ivan Petrenko", "The event is not there yet.", "Iryna Lysenko", "The calendar is not ticked on their card in the ERP.",
			"2026-11-24 11:00", "Assigned – is shown", "by rule 1.2", `href="https://erp.example/task/1114"`},
		"/tasks/1115":                  {"It is in no calendar. Its state is not one of those that are shown.", "Done – is not shown", "by rule 4.1"},
		"/tasks/1116":                  {"It is in no calendar. The task has no date.", "Give it a date in the ERP."},
		"/tasks/1117":                  {"The task is dated before this calendar begins.", "by rule 3.5"},
		"/tasks/1118":                  {"It is in no calendar: nobody is its executor.", "Assign it to somebody in the ERP."},
		"/tasks/1119":                  {"The ERP’s own list of states does not have its state.", "by rule 4.2"},
		"/tasks/1120":                  {"What the ERP says about the task cannot be read."},
		"/tasks/99":                    {"It is in no calendar. The ERP does not have this task.", "Check the number."},
		"/tasks?id=%231114":            {"Task 1114"},
		"/tasks?id=" + "Main%20Street": {"This is not a number."},
	} {
		p := b.get(path)
		for _, text := range want {
			if p.status != http.StatusOK || !strings.Contains(p.body, text) {
				t.Errorf("%s does not say %q (%d):\n%s", path, text, p.status, p.body)
			}
		}
	}
	if p := b.get("/tasks/0"); p.status != http.StatusNotFound {
		t.Errorf("task 0: %d", p.status)
	}
}

// Looking changes nothing: neither what is stored nor what is queued (rule 7.9).
func TestAskingWhyChangesNothing(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	before, _, err := w.store.Task(t.Context(), 1114)
	if err != nil {
		t.Fatal(err)
	}
	w.erp.catalogue.Odd = []error{errDown}
	b.get("/tasks/1114")
	b.get("/tasks/1120")
	b.get("/employees/42?erp=now")
	after, _, err := w.store.Task(t.Context(), 1114)
	if err != nil || after.Dirty != before.Dirty || !maps.Equal(after.Mappings, before.Mappings) {
		t.Errorf("the record became %+v, %v", after, err)
	}
	if _, found, _ := w.store.Task(t.Context(), 1120); found {
		t.Error("a task is recorded because somebody asked")
	}
	if faults, err := w.store.CatalogueFaults(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("the catalogue's faults became %v, %v", faults, err)
	}
	if n := len(w.sent.all("task-changes")) + len(w.sent.all("employee-changes")); n > 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// An ERP that cannot be read is said to be the reason, and what is recorded is shown.
func TestAnERPThatCannotBeReadIsTheAnswer(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	for name, row := range map[string]struct {
		spoil func()
		says  string
	}{
		"down":             {func() { w.erp.err = &failure.Error{Kind: failure.Source, Op: "read", Status: 503} }, "The ERP could not be read."},
		"an unknown fault": {func() { w.erp.err = errors.New("secret body of the ERP") }, "did not answer"},
		"clock off":        {func() { w.erp.err = nil; w.erp.clock.Offset = 4 * time.Hour }, "The ERP could not be read."},
	} {
		row.spoil()
		for _, path := range []string{"/tasks/1114", "/employees/42?erp=now"} {
			p := b.get(path)
			if p.status != http.StatusOK || !strings.Contains(p.body, row.says) || strings.Contains(p.body, "secret body") {
				t.Errorf("%s, %s: %d\n%s", name, path, p.status, p.body)
			}
			if strings.HasPrefix(path, "/employees") && !strings.Contains(p.body, `href="/console/tasks/1113"`) {
				t.Errorf("%s: %s does not show what is recorded", name, path)
			}
		}
	}
}

// The page of an employee says what is in the calendar, what is not and why; the link to it
// can be handed over, with a message in each language.
func TestAPersonsPage(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	p := b.get("/employees/42")
	for _, text := range []string{"Olena Kovalenko", "The calendar holds every task that belongs in it.", `href="/console/tasks/1113"`, `<svg viewBox="0 0`,
		"signed in as olena.kovalenko@example.com", "Вітаємо, Olena Kovalenko!", "Здравствуйте, Olena Kovalenko!", "https://site.test/console/guide/uk",
		"mailto:olena.kovalenko%40example.com?subject=Your%20tasks", "Event made"} {
		if !strings.Contains(p.body, text) {
			t.Errorf("the page does not say %q:\n%s", text, p.body)
		}
	}
	p = b.get("/employees/42?erp=now")
	for _, text := range []string{"Connection, Main St 1", "2026-11-24 09:00", "The task has no date.", "The task is dated before this calendar begins.", "The ERP was read for this page at"} {
		if !strings.Contains(p.body, text) {
			t.Errorf("compared with the ERP, the page does not say %q:\n%s", text, p.body)
		}
	}
	if p := b.get("/employees/48"); !strings.Contains(p.body, "Tick the field on the card if they are to have one.") || strings.Contains(p.body, "<svg viewBox") {
		t.Errorf("without a calendar:\n%s", p.body)
	}
	if p := b.get("/employees/4711"); p.status != http.StatusNotFound {
		t.Errorf("nobody: %d", p.status)
	}
}

// "Sync now" lost the place and never said what came of it: the page that asked says so, from
// the asking to the end.
func TestWhatCameOfASyncIsSaidInPlace(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	p := b.post("/employees/42/sync", url.Values{"back": {"/employees/42"}})
	here := p.at
	says := func(when, text string, live bool) {
		t.Helper()
		p := b.get(strings.TrimPrefix(here.RequestURI(), "/console"))
		if !strings.Contains(p.body, text) || strings.Contains(p.body, `data-live="soon"`) != live {
			t.Errorf("%s the page does not say %q (live %t):\n%s", when, text, live, p.body)
		}
	}
	if here.Path != "/console/employees/42" || here.Query().Get("asked") == "" {
		t.Fatalf("ended at %s", here)
	}
	says("at first", "it is looked at within seconds", true)
	l, _, err := w.store.AcquireEmployee(t.Context(), 42, store.Claim{TTL: time.Minute, Token: signin.Random()})
	if err != nil {
		t.Fatal(err)
	}
	says("under way", "Is being looked at now.", true)
	w.wait(5 * time.Second)
	if _, err := w.store.SettleEmployee(t.Context(), &l, store.Result{Err: failure.New(failure.Forbidden, "share calendar c_cc65", "not allowed"), RetryAt: w.clock().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	says("failed", "Google forbids it.", false)
	says("failed", "Next try", false)
	w.write(1114, 42)
	w.employee(42, func(*store.EmployeeRecord) {}, nil)
	says("done", "Looked at, and put right:", false)
	says("done", "Event changed · Task 1114", false)

	// Asked for again, with nothing to do.
	w.wait(time.Minute)
	here = b.post("/employees/42/sync", url.Values{"back": {here.RequestURI()[len("/console"):]}}).at
	w.employee(42, func(*store.EmployeeRecord) {}, nil)
	says("with nothing to do", "nothing had to be written", false)
	w.wait(2 * time.Hour)
	if p := b.get(strings.TrimPrefix(here.RequestURI(), "/console")); strings.Contains(p.body, "nothing had to be written") {
		t.Error("an outcome is shown for ever")
	}
}

// The page follows by itself, without a reload, what comes of what was asked on it.
func TestAnOpenPageFollowsWhatWasAsked(t *testing.T) {
	ctx, w := inBrowser(t)
	explainedWorld(w)
	do(ctx, t, "open", chromedp.Navigate(w.base+"/console/"), chromedp.WaitVisible(chromedp.CSS("main h1")),
		chromedp.Navigate(w.base+"/console/employees/42"), chromedp.WaitVisible(chromedp.CSS("#standing")),
		chromedp.Click(chromedp.CSS(`form[action$="/employees/42/sync"] button`)), chromedp.WaitVisible(chromedp.CSS(`#outcome[data-live="soon"] .notice`)))
	marked := evaluate[string](ctx, t, `document.querySelector("h1").dataset.sameDocument = "yes"; document.querySelector("#outcome").textContent`)
	if !strings.Contains(marked, "looked at within seconds") {
		t.Errorf("at first it says %q", marked)
	}
	w.employee(42, func(*store.EmployeeRecord) {}, nil)
	do(ctx, t, "follow", chromedp.WaitVisible(chromedp.CSS("#outcome .notice.good")), chromedp.WaitVisible(chromedp.CSS(`h1[data-same-document="yes"]`)))
	if live := evaluate[string](ctx, t, `document.querySelector("#outcome").dataset.live`); live != "" {
		t.Errorf("what is over is still asked for: %q", live)
	}
}

// While nothing is written for anybody, each page says so, and so does what came of an action;
// "Everything is up to date" while 733 of 753 people wait is no answer.
func TestAStandstillIsSaidWhereItIsMet(t *testing.T) {
	w := newWorld(t)
	w.populate()
	b := w.signedIn()
	save := func(change func(*calendarsync.Settings)) {
		t.Helper()
		saved := w.saved()
		change(&saved.Settings)
		if err := w.deps.Settings.Apply(t.Context(), saved.Settings, admin, saved.Version, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		set  func()
		says string
	}{
		{func() {}, "Waits until a Google account is connected."},
		{w.connectAccount, "Waits until the settings are confirmed."},
		{func() { save(func(s *calendarsync.Settings) { s.Confirmed, s.Enabled = true, false }) }, "Waits until syncing is switched on."},
		{func() { save(func(s *calendarsync.Settings) { s.Enabled = true }) }, ""},
	} {
		row.set()
		for _, path := range []string{"/employees", "/employees/42", "/tasks/1114"} {
			p := b.get(path)
			if still := strings.Contains(p.body, "Nothing is written just now."); still != (row.says != "") || !strings.Contains(p.body, row.says) {
				t.Errorf("%s does not say %q:\n%s", path, row.says, p.body)
			}
		}
		if row.says == "" {
			continue
		}
		if p := b.post("/tasks/1114/sync", url.Values{"back": {"/tasks/1114"}}); !strings.Contains(p.body, "It is done as soon as something is written again.") || strings.Contains(p.body, `data-live="soon"`) {
			t.Errorf("what was asked meanwhile:\n%s", p.body)
		}
	}
}

// The day's limit is shown as what it is, with when it is tried again and what to do, on the
// overview, where everything stands still, and to programs; once it is over, nowhere.
func TestADailyLimitIsShownAsWhatItIs(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	w.connectAccount()
	saved := w.saved()
	saved.Settings.Confirmed, saved.Settings.Enabled = true, true
	if err := w.deps.Settings.Apply(t.Context(), saved.Settings, admin, saved.Version, nil); err != nil {
		t.Fatal(err)
	}
	until, err := w.store.PauseWrites(t.Context(), "200", failure.ReasonDailyLimit)
	if err != nil {
		t.Fatal(err)
	}
	b := w.signedIn()
	for lang, words := range map[string][2]string{
		"en": {"The calls to Google of this day are used up.", "the project has used up the calls to Google of this day"},
		"uk": {"Звернення до Google на сьогодні вичерпано.", "проєкт вичерпав кількість звернень"},
		"ru": {"Обращения к Google на сегодня исчерпаны.", "проект исчерпал число обращений"},
	} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		if p := b.get("/"); !strings.Contains(p.body, words[0]) || !strings.Contains(p.body, "dailyLimitExceeded") || strings.Contains(p.body, "&lt;no value&gt;") {
			t.Errorf("%s: the overview does not say so:\n%s", lang, p.body)
		}
		for _, path := range []string{"/employees", "/tasks/1114"} {
			if p := b.get(path); !strings.Contains(p.body, words[1]) {
				t.Errorf("%s: %s does not say so:\n%s", lang, path, p.body)
			}
		}
	}
	if p := b.get("/api/status"); !strings.Contains(p.body, `"kind":"daily-limit"`) || !strings.Contains(p.body, `"until":"`+until.UTC().Format(time.RFC3339)) {
		t.Errorf("programs are told %s", p.body)
	}
	w.wait(until.Sub(w.clock()))
	if p := b.get("/api/status"); strings.Contains(p.body, "daily-limit") {
		t.Errorf("afterwards programs are told %s", p.body)
	}
}

// Who waits for Google's limit is told their place and when it comes, and the list until when
// the last one waits.
func TestWhoWaitsForGooglesLimitIsToldUntilWhen(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.connectAccount()
	for id := int64(45); id < 48; id++ {
		w.employee(id, func(e *store.EmployeeRecord) {
			e.State, e.Calendar, e.Held, e.Reason, e.Retiring = store.StatePending, nil, "", "", nil
		}, nil)
		l, _, err := w.store.AcquireEmployee(t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.ReserveCreation(t.Context(), &l, store.NewCreation{Intent: store.CalendarRecord{Epoch: "e" + strconv.FormatInt(id, 10), Account: "200"}, PerHour: 1, Activity: store.ActivityRecord{ID: "c" + strconv.FormatInt(id, 10), At: w.clock()}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.SettleEmployee(t.Context(), &l, store.Result{Waiting: true}); err != nil {
			t.Fatal(err)
		}
	}
	b := w.signedIn()
	if p := b.get("/employees?state=waiting"); !strings.Contains(p.body, "wait for a calendar, as Google allows only so many new ones; the last gets theirs about") || !strings.Contains(p.body, "Place 2 in the queue.") {
		t.Errorf("the list says:\n%s", p.body)
	}
	if p := b.get("/employees/47"); !strings.Contains(p.body, "Place 2 in the queue.") || !strings.Contains(p.body, "Its turn comes about") {
		t.Errorf("the page says:\n%s", p.body)
	}
}

// Somebody with very many tasks has a page that is small and quick all the same.
func TestAPersonWithManyTasks(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	for id := int64(5000); id < 5500; id++ {
		w.event(id, 42, store.Mapping{State: store.MappingLive, EventID: "e", Via: "executor"})
	}
	b := w.signedIn()
	began := processorTime(t)
	p := b.get("/employees/42")
	if took := processorTime(t) - began; took > 300*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	if n := zipped(t, p.body); n > 60<<10 {
		t.Errorf("it is %d bytes compressed", n)
	}
	if !strings.Contains(p.body, "and 303 more tasks") {
		t.Errorf("it does not say that there are more:\n%.2000s", p.body)
	}
}
