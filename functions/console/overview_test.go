package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

var checkLine = regexp.MustCompile(`<span class="dot (\w+)"></span>([^<]+)</dt><dd>([^<]*) <span`)

// checks are the lines of "what was checked": by name its level and text.
func (b *browser) checks() map[string][2]string {
	b.w.t.Helper()
	out := map[string][2]string{}
	for _, m := range checkLine.FindAllStringSubmatch(b.get("/").body, -1) {
		out[m[2]] = [2]string{m[1], m[3]}
	}
	return out
}

// polled records how a poll went.
func (w *world) polled(r store.PollResult) {
	w.t.Helper()
	if err := w.store.RecordPoll(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
}

// Rule 3.9: that the client reaches its calendars no more is told with how many they are, since
// when, what it means and what to do, and leads to whom it concerns.
func TestCalendarsOutOfReachAreToldWithWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.works()
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Reason, e.Calendar.GoneSince = string(calendarsync.ReasonCalendarUnreachable), w.clock()
	}, nil)
	n := 12
	w.polled(store.PollResult{Clock: &store.ClockResult{}, Unreached: &n})
	since := w.clock()
	w.wait(10 * time.Minute)
	b := w.signedIn()
	for lang, words := range map[string][2]string{
		"en": {"Google keeps 12 calendars from this connection.", "have a new calendar made on each employee’s page"},
		"uk": {"Google не дає цьому підключенню доступу до 12 календарів.", "створіть новий календар на сторінці кожного працівника"},
		"ru": {"Google не даёт этому подключению доступа к 12 календарям.", "создайте новый календарь на странице каждого сотрудника"},
	} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(t, b.get("/").body, words[0], words[1], `href="/console/employees?state=attention"`, since.UTC().Format(time.RFC3339))
		wantIn(t, b.get("/employees?state=attention").body, `href="/console/employees/42`)
	}
	wantIn(t, b.get("/employees/42").body, `href="/console/employees/42/replace"`)
	wantIn(t, b.get("/api/status").body, `"kind":"calendars-out-of-reach","level":"bad","since":"`+since.UTC().Format(time.RFC3339)+`","count":12`, `"state":"trouble"`)
	n = 0
	w.polled(store.PollResult{Clock: &store.ClockResult{}, Unreached: &n})
	if p := b.get("/api/status"); strings.Contains(p.body, "out-of-reach") {
		t.Errorf("afterwards: %s", p.body)
	}
}

// TestNothingIsSaidToBeRightThatWasNotChecked: what the poll compared an hour ago is not green,
// and while nothing can be written, the page of an employee says so.
func TestNothingIsSaidToBeRightThatWasNotChecked(t *testing.T) {
	w := newWorld(t)
	w.apply(map[int64]string{1: "Anna"})
	w.connectAccount()
	b := w.signedIn()
	clock := func(apart time.Duration) *store.ClockResult {
		return &store.ClockResult{Apart: apart, Wrong: apart > time.Minute}
	}
	w.polled(store.PollResult{Clock: clock(time.Second)})
	if got := b.checks(); got["The ERP’s clock"] != [2]string{"good", "agrees with the settings"} || got["ERP read"][0] != "good" {
		t.Errorf("just after a poll: %v", got)
	}
	w.wait(time.Hour)
	if got := b.checks(); got["The ERP’s clock"] != [2]string{"wait", "agreed 1 h ago, not checked since"} || got["ERP read"][0] != "wait" || got["Last poll"][0] != "bad" {
		t.Errorf("an hour without a poll: %v", got)
	}
	wantIn(t, b.get("/connections").body, "The ERP has not been read lately")

	w.polled(store.PollResult{ERP: &failure.Error{Kind: failure.Source, Status: http.StatusServiceUnavailable, Op: "read the ERP's clock"}})
	if got := b.checks(); got["ERP read"][0] != "bad" || got["The ERP’s clock"][0] != "wait" {
		t.Errorf("while the ERP answers 503: %v", got)
	}
	wantIn(t, b.get("/employees/1").body, "Nothing is written just now.", "The ERP cannot be read", `href="/console/connections"`)
	wantIn(t, b.get("/connections").body, "Its server answers with an error (status 503).")

	w.polled(store.PollResult{Clock: clock(2 * time.Hour)})
	if got := b.checks(); got["The ERP’s clock"] != [2]string{"bad", "2 h off"} {
		t.Errorf("while the clock is wrong: %v", got)
	}
	for _, path := range []string{"/employees", "/employees/1"} {
		wantIn(t, b.get(path).body, "Nothing is written just now.", "The ERP’s clock does not agree with the time zone in the settings.")
	}
	wantIn(t, b.get("/connections").body, "The ERP can be read, but its clock is wrong")
}
