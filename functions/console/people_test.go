package console_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// shows reports for each name whether the page's table has a row of it.
func shows(p page, names ...string) []bool {
	var out []bool
	for _, name := range names {
		out = append(out, strings.Contains(p.body, `">`+name+`</a>`))
	}
	return out
}

// "Why has Vasyl no calendar?" could not be searched: whoever has no calendar is found by
// name, address or number, with the reason.
func TestWhoHasNoCalendarIsFoundAndToldWhy(t *testing.T) {
	w := newWorld(t)
	w.populate()
	b := w.signedIn()
	for query, want := range map[string]string{"lysenko": "Iryna Lysenko", "IRYNA@": "Iryna Lysenko", "#48": "Iryna Lysenko", "iryna lys": "Iryna Lysenko", "48": "Iryna Lysenko"} {
		p := b.get("/employees?" + url.Values{"q": {query}}.Encode())
		if got := shows(p, want, "Petro Boyko", "Olena Kovalenko"); !slices.Equal(got, []bool{true, false, false}) {
			t.Errorf("%q finds %v", query, got)
		}
		if !strings.Contains(p.body, "The calendar is not ticked on their card in the ERP.") {
			t.Errorf("%q does not say why", query)
		}
	}
	if p := b.get("/employees?q=nobody"); !strings.Contains(p.body, "Nobody matches “nobody”.") || !strings.Contains(p.body, `href="/console/employees"`) {
		t.Errorf("an empty list shows no way on:\n%s", p.body)
	}
}

// What is normal is not shown as a fault: red is for what needs a person.
func TestOnlyWhatNeedsAPersonIsRed(t *testing.T) {
	w := newWorld(t)
	w.populate()
	b := w.signedIn()
	for state, want := range map[string][]string{
		"attention": {"Maria Shevchenko-Bondarenko", "Oksana Tkachenko"},
		"waiting":   {"Taras Melnyk", "Ivan Petrenko", "Olena Kovalenko"},
		"without":   {"Petro Boyko", "Iryna Lysenko"},
	} {
		p := b.get("/employees?state=" + state)
		if slices.Contains(shows(p, want...), false) || strings.Count(p.body, `<tr id="employee-`) != len(want) {
			t.Errorf("%s: %v of %v:\n%s", state, shows(p, want...), want, p.body)
		}
		if red := strings.Count(p.body, `class="mark bad"`); state == "attention" && red != len(want) || state != "attention" && red > 0 {
			t.Errorf("%s: %d are red", state, red)
		}
	}
}

// Rule 5.9: a card that lacks the calendar's id is told with its cause, and leaves the calendar
// in order.
func TestARefusedCardIsToldAndIsNoFaultOfTheCalendar(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.employee(42, func(e *store.EmployeeRecord) {
		e.CardFailure = &store.Failure{Kind: failure.Source, Message: "write field 12: the ERP answered with an error", At: w.clock(), Count: 3}
		e.CardTried, e.CardAgain = "12=cal", w.clock().Add(time.Hour)
		e.Calendar.RuleID, e.Calendar.RuleSeen, e.Calendar.SharedAt, e.Calendar.Filled = "user:olena", true, w.clock(), w.clock()
	}, nil)
	p := w.signedIn().get("/employees/42")
	for _, want := range []string{"In order", "its id could not be written into their card", "Next try", "write field 12"} {
		if !strings.Contains(p.body, want) {
			t.Errorf("does not say %q", want)
		}
	}
	if strings.Contains(p.body, `class="mark bad"`) || strings.Contains(p.body, `class="mark wait"`) {
		t.Error("it looks like a fault of the calendar")
	}
}

// Several that are ticked are looked at together; the browser comes back to its page of the
// list, which says what was asked.
func TestSeveralAreSyncedTogetherAndThePlaceIsKept(t *testing.T) {
	w := newWorld(t)
	w.populate()
	b := w.signedIn()
	p := b.post("/employees/sync", url.Values{"employee": {"42", "47", "42", "x", "-1"}, "back": {"/employees?state=without&q=e"}})
	if p.at.Path != "/console/employees" || p.at.Query().Get("state") != "without" || p.at.Query().Get("q") != "e" || !strings.Contains(p.body, "Queued for a check: 2.") {
		t.Errorf("ended at %s:\n%s", p.at, p.body)
	}
	sent := w.sent.all("employee-changes")
	if len(sent) != 1 || !slices.Equal(sent[0].IDs, []int64{42, 47}) {
		t.Errorf("sent %+v", sent)
	}
	for _, id := range []int64{42, 47} {
		if e, _, err := w.store.Employee(t.Context(), id); err != nil || e.Dirty == 0 || e.DueAt.IsZero() {
			t.Errorf("employee %d is not brought up should the message get lost: %+v, %v", id, e.Work, err)
		}
	}
	if p := b.post("/employees/sync", nil); p.status != http.StatusOK || !strings.Contains(p.body, "Nobody was ticked.") {
		t.Errorf("nobody ticked: %d\n%s", p.status, p.body)
	}
}

// Only whom an invitation can help gets another one.
func TestSeveralAreInvitedAgain(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.employee(43, func(e *store.EmployeeRecord) {
		e.Calendar.RuleID, e.Calendar.SharedAt = "user:ivan", w.clock().Add(-48*time.Hour)
	}, nil)
	b := w.signedIn()
	p := b.post("/employees/invite", url.Values{"employee": {"42", "43", "47"}})
	if !strings.Contains(p.body, "Invitations being sent again: 1.") {
		t.Errorf("says:\n%s", p.body)
	}
	if sent := w.sent.all("employee-changes"); len(sent) != 1 || !slices.Equal(sent[0].IDs, []int64{43}) {
		t.Errorf("sent %+v", sent)
	}
	if p := b.post("/employees/invite", url.Values{"employee": {"47"}}); !strings.Contains(p.body, "Nobody was invited again.") {
		t.Errorf("says:\n%s", p.body)
	}
}

// A company of a thousand is served page by page: at most 50 rows, quickly, and small.
func TestAThousandEmployeesArePaged(t *testing.T) {
	w := newWorld(t)
	for id := int64(1); id <= 1000; id++ {
		if _, err := w.store.AdoptCalendar(t.Context(), id, store.CalendarRecord{ID: fmt.Sprintf("c%d@group.calendar.google.com", id), Epoch: "e"}); err != nil {
			t.Fatal(err)
		}
	}
	b := w.signedIn()
	p := b.get("/employees?sort=name")
	for i := 1; ; i++ {
		if n := strings.Count(p.body, `<tr id="employee-`); n != 50 {
			t.Fatalf("page %d has %d rows", i, n)
		}
		if !strings.Contains(p.body, fmt.Sprintf("%d–%s of 1,000", i*50-49, strings.Replace(fmt.Sprint(i*50), "1000", "1,000", 1))) {
			t.Errorf("page %d does not say where it is", i)
		}
		if i == 20 {
			break
		}
		p = b.get(fmt.Sprintf("/employees?page=%d&sort=name", i+1))
	}
	began := processorTime(t)
	p = b.get("/employees?q=7&sort=since")
	if took := processorTime(t) - began; took > 300*time.Millisecond {
		t.Errorf("a search took %s", took)
	}
	if n := zipped(t, p.body); n > 60<<10 {
		t.Errorf("the page is %d bytes compressed", n)
	}
}

// processorTime is what this process has used, whatever else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func zipped(t *testing.T, body string) int {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}
