package console_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func forbidden(op string) error {
	return &failure.Error{Kind: failure.Forbidden, Status: 403, Reason: "cannotShare", Op: op, Detail: "a policy"}
}

func unreadable(op string) error {
	return &failure.Error{Kind: failure.SourceInvalid, Op: op, Detail: "the date is malformed"}
}

// Reasons that nobody can act on become a cause, since when and a cure; keys that fail for one
// cause are one entry, and the internals stay behind the details.
func TestFailuresAreShownByCause(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.employee(42, func(e *store.EmployeeRecord) { e.Name = "Olena" }, forbidden("share calendar c_cc65 of employee 42"))
	w.employee(43, func(e *store.EmployeeRecord) { e.Name = "Ivan" }, forbidden("share calendar c_dd77 of employee 43"))
	w.failTask(77, []int64{42}, unreadable("read task 77"))
	if err := w.store.RecordDeadLetter(t.Context(), store.TaskKey(90), "poll", 100); err != nil {
		t.Fatal(err)
	}
	body := b.get("/failures").body
	for _, want := range []string{"Google forbids it.", "2 employees", "Olena", "Ivan", "What the ERP answered cannot be believed.", "Task 77", "the date is malformed",
		"A message was given up after many tries.", "Task 90", "100 tries", "Try all 2 now", `action="/console/employees/42/sync"`, `action="/console/tasks/77/sync"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(body, "Google forbids it. <code class=\"soft\">cannotShare</code></h2>"); n != 1 {
		t.Errorf("one cause is shown %d times", n)
	}
}

// One, or all of a cause, is tried again at once.
func TestAllOfACauseAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.employee(42, nothing, forbidden("share"))
	w.employee(43, nothing, forbidden("share"))
	w.failTask(77, []int64{42}, unreadable("read task 77"))
	if p := b.post("/failures/retry", url.Values{"cause": {"forbidden-403-cannotShare"}, "back": {"/failures"}}); p.status != http.StatusSeeOther || !strings.Contains(p.header.Get("Location"), "/failures?id=2&queued=tried") {
		t.Errorf("%d to %s", p.status, p.header.Get("Location"))
	}
	if m := w.sent.all("employee-changes"); len(m) != 1 || !slices.Equal(m[0].IDs, []int64{42, 43}) || m[0].Lane != queue.LaneLive || len(w.sent.all("task-changes")) != 0 {
		t.Errorf("published %+v", w.sent.messages)
	}
}

// What is dismissed is hidden while it fails for the same cause, and shown again for another.
func TestADismissedFailureComesBackForAnotherCause(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.failTask(77, []int64{42}, unreadable("read task 77"))
	if err := w.store.RecordDeadLetter(t.Context(), store.TaskKey(77), "poll", 100); err != nil {
		t.Fatal(err)
	}
	shown := func(path string) bool { t.Helper(); return strings.Contains(b.get(path).body, "Task 77") }
	if p := b.post("/failures/dismiss", url.Values{"key": {"tasks/77"}}); p.status != http.StatusSeeOther || shown("/failures") || !shown("/failures?state=dismissed") {
		t.Errorf("dismissed: %d, shown %v, among the dismissed %v", p.status, shown("/failures"), shown("/failures?state=dismissed"))
	}
	if dead, err := w.store.DeadLetters(t.Context(), 0); err != nil || len(dead) != 0 {
		t.Errorf("%d messages that gave up, %v", len(dead), err)
	}
	w.failTask(77, []int64{42}, unreadable("read task 77"))
	if shown("/failures") {
		t.Error("shown again for the same cause")
	}
	w.failTask(77, []int64{42}, forbidden("write task 77"))
	if !shown("/failures") || shown("/failures?state=dismissed") {
		t.Error("not shown for another cause")
	}
}

func nothing(*store.EmployeeRecord) {}

// A dismissed cause can be tried again from its own page, and is not offered to be dismissed again.
func TestWhatIsDismissedIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.employee(42, nothing, forbidden("share"))
	w.employee(43, nothing, forbidden("share"))
	if p := b.post("/failures/dismiss", url.Values{"cause": {"forbidden-403-cannotShare"}}); p.status != http.StatusSeeOther {
		t.Fatalf("dismissed: %d", p.status)
	}
	body := b.get("/failures?state=dismissed").body
	if !strings.Contains(body, "Try all 2 now") || strings.Contains(body, "/failures/dismiss") {
		t.Error("the page of what is dismissed lacks the button to try again, or offers to dismiss it")
	}
	p := b.post("/failures/retry", url.Values{"cause": {"forbidden-403-cannotShare"}, "back": {"/failures?state=dismissed"}})
	if m := w.sent.all("employee-changes"); p.status != http.StatusSeeOther || len(m) != 1 || !slices.Equal(m[0].IDs, []int64{42, 43}) {
		t.Errorf("%d, published %+v", p.status, w.sent.messages)
	}
	if body := b.get("/activity?kind=admin").body; !strings.Contains(body, "Employee 42, Employee 43") {
		t.Error("the activity does not say what was dismissed")
	}
}

// Red is for what needs a person: what is tried again by itself is counted without it.
func TestWhatHealsByItselfIsNotRed(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.employee(42, nothing, &failure.Error{Kind: failure.Transient, Status: 503, Op: "share calendar"})
	if body := b.get("/failures").body; !strings.Contains(body, `class="chip"`) || strings.Contains(body, `class="chip bad"`) {
		t.Error("a failure that is tried again by itself is red")
	}
	w.employee(43, nothing, forbidden("share"))
	if body := b.get("/failures").body; !strings.Contains(body, `class="chip bad"`) {
		t.Error("a failure that needs a person is not red")
	}
}
