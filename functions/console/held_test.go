package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// holdEmployee has the deletion of an employee's calendar wait, whose share is gone.
func (w *world) holdEmployee(id int64, name, reason string, events int) {
	w.t.Helper()
	w.employee(id, func(e *store.EmployeeRecord) {
		e.Name, e.State, e.Reason, e.Held = name, store.StateHeld, reason, store.HeldWaiting
		e.Retiring = []store.CalendarRecord{{ID: "c", Epoch: "e", Events: events}}
	}, nil)
}

// holdTask has the deletion of a task's events wait.
func (w *world) holdTask(id int64, title, start, reason string, employees ...int64) {
	w.t.Helper()
	l, _, err := w.store.AcquireTask(w.t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
	if err != nil {
		w.t.Fatal(err)
	}
	o := store.TaskOutcome{Mappings: map[int64]*store.Mapping{}, Concerned: employees}
	for _, e := range employees {
		o.Mappings[e] = &store.Mapping{Epoch: "e", EventID: fmt.Sprintf("e%d", e), State: store.MappingLive, HeldSince: w.clock(), HeldFor: reason, HeldTitle: title, HeldStart: start}
	}
	if _, err := w.store.SettleTask(w.t.Context(), &l, o); err != nil {
		w.t.Fatal(err)
	}
}

var hidden = regexp.MustCompile(`name="(hash|key)" value="([^"]*)"`)

// review ticks keys on the page of what is held, and gives the form of the page that names them.
func (b *browser) review(t *testing.T, values url.Values) (form url.Values, shown page) {
	t.Helper()
	shown = b.post("/held/review", values)
	form = url.Values{"back": {"/held"}}
	for _, m := range hidden.FindAllStringSubmatch(shown.body, -1) {
		form.Add(m[1], m[2])
	}
	return form, shown
}

func (w *world) employeeRecord(id int64) store.EmployeeRecord {
	w.t.Helper()
	e, _, err := w.store.Employee(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// "0 events and 3 calendars" that hold 11, rows that are bare numbers: an admin decides about
// titles, times, people and real counts, and is told what has been taken away already.
func TestHeldSaysWhatWouldGo(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.employee(7, func(e *store.EmployeeRecord) { e.Name = "Taras Melnyk" }, nil)
	w.holdEmployee(42, "Olena Kovalenko", "dismissed", 11)
	w.holdEmployee(43, "Ivan Petrenko", "no-address", 0)
	w.holdTask(1014, "Repair: Shevchenko St. 5", "2026-12-01T07:30:00Z", "missing", 7, 8)
	body := b.get("/held").body
	for _, want := range []string{
		"2 events, and 2 calendars with 11 events in them, would be deleted",
		"Olena Kovalenko", "1 calendar with 11 events", "they do not see the calendar any more", "Does not work here any more",
		"Keeping it shares the calendar with them again", "there is no address to share it with",
		"Repair: Shevchenko St. 5", "2026-12-01 09:30", "Taras Melnyk", "#8", "Nothing yet.", "The ERP does not have this task",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// What is ticked goes after a page that names it; exactly that, and nothing that changed since (rule 4.5).
func TestHeldDeletionsAreConfirmedAsTheyWereShown(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.holdEmployee(42, "Olena", "dismissed", 11)
	w.holdEmployee(43, "Ivan", "dismissed", 0)
	allowed := func(id int64) bool { return !w.employeeRecord(id).AllowedAt.IsZero() }

	if _, shown := b.review(t, url.Values{"back": {"/held"}}); shown.status != http.StatusUnprocessableEntity || !strings.Contains(shown.body, "Nothing is ticked.") {
		t.Errorf("nothing ticked: %d", shown.status)
	}
	form, shown := b.review(t, url.Values{"back": {"/held?page=1"}, "key": {"employees/42"}})
	if shown.status != http.StatusOK || !strings.Contains(shown.body, "Olena") || strings.Contains(shown.body, "Ivan") || !strings.Contains(shown.body, "1 calendar with 11 events") || !strings.Contains(shown.body, "/held?page=1") {
		t.Errorf("the page before deleting: %d\n%s", shown.status, shown.body)
	}
	// Another calendar of hers is held meanwhile: it is not what was shown.
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Retiring = append(e.Retiring, store.CalendarRecord{ID: "d", Epoch: "f"})
	}, nil)
	for name, sent := range map[string]url.Values{"a list that changed": form, "no list": {}, "another hash": {"key": {"employees/43"}, "hash": form["hash"]}, "a key that is not held": {"key": {"employees/42", "tasks/5"}, "hash": form["hash"]}} {
		if p := b.post("/held/confirm", sent); p.status != http.StatusConflict || allowed(42) || allowed(43) || len(w.sent.messages) > 0 || !strings.Contains(p.body, "The list has changed.") {
			t.Errorf("%s: %d, %v, %v", name, p.status, allowed(42), allowed(43))
		}
	}
	form, _ = b.review(t, url.Values{"key": {"employees/42"}})
	if p := b.post("/held/confirm", form); p.status != http.StatusSeeOther || !allowed(42) || allowed(43) || !strings.HasSuffix(p.header.Get("Location"), "/held?queued=confirmed") {
		t.Errorf("confirmed: %d to %s, %v, %v", p.status, p.header.Get("Location"), allowed(42), allowed(43))
	}
	want := map[string][]queue.Message{"employee-changes": {{IDs: []int64{42}, Cause: queue.CauseConsole, Lane: queue.LaneLive}}}
	if !reflect.DeepEqual(w.sent.messages, want) {
		t.Errorf("published %+v", w.sent.messages)
	}
	form, _ = b.review(t, url.Values{"all": {"1"}})
	if p := b.post("/held/confirm", form); p.status != http.StatusSeeOther || !allowed(43) {
		t.Errorf("all confirmed: %d", p.status)
	}
	if p := b.post("/held/again", nil); p.status != http.StatusSeeOther || len(w.sent.messages["employee-changes"]) != 3 {
		t.Errorf("another look: %d, published %v", p.status, w.sent.messages)
	}
}

// Of many the page names the first twenty, and how many more there are.
func TestHeldReviewNamesTheFirstTwenty(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	for id := range int64(25) {
		w.holdEmployee(100+id, fmt.Sprintf("Person %d", id), "unbound", 1)
	}
	form, shown := b.review(t, url.Values{"all": {"1"}})
	if !strings.Contains(shown.body, "Person 19") || strings.Contains(shown.body, "Person 20") || !strings.Contains(shown.body, "And 5 more.") || len(form["key"]) != 25 || !strings.Contains(shown.body, "25 calendars with 25 events") {
		t.Errorf("%d keys:\n%s", len(form["key"]), shown.body)
	}
}

// What is held can be kept: what was ticked, and it can be taken back.
func TestHeldDeletionsCanBeDropped(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.holdEmployee(42, "Olena", "dismissed", 3)
	form, shown := b.review(t, url.Values{"key": {"employees/42"}, "keep": {"1"}})
	if !strings.Contains(shown.body, "Keeping it shares the calendar with them again") || !strings.Contains(shown.body, `action="/console/held/drop"`) {
		t.Errorf("the page before keeping:\n%s", shown.body)
	}
	if p := b.post("/held/drop", url.Values{"key": {"employees/42"}, "hash": {"other"}}); p.status != http.StatusConflict || w.employeeRecord(42).Held != store.HeldWaiting {
		t.Errorf("another list: %d", p.status)
	}
	if p := b.post("/held/drop", form); p.status != http.StatusSeeOther || w.employeeRecord(42).Held != store.HeldDropped || w.employeeRecord(42).KeptFor != "dismissed" {
		t.Errorf("dropped: %d, %+v", p.status, w.employeeRecord(42))
	}
	if body := b.get("/held").body; !strings.Contains(body, "Nothing is held.") || !strings.Contains(body, "Kept by an admin") || !strings.Contains(body, "Olena") {
		t.Error("the page still shows the plan, or does not say what was kept")
	}
	if p := b.post("/held/reopen", url.Values{"key": {"employees/42"}}); p.status != http.StatusSeeOther || w.employeeRecord(42).Held != store.HeldWaiting || w.employeeRecord(42).KeptFor != "" {
		t.Errorf("reopened: %d, %+v", p.status, w.employeeRecord(42))
	}
}
