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
	"github.com/erp-calendar/erp-calendar/shared/status"
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
		wantIn(t, b.get("/").body, words[0], words[1], `href="/console/employees?state=unreachable"`, since.UTC().Format(time.RFC3339))
		wantIn(t, b.get("/employees?state=unreachable").body, `href="/console/employees/42`)
	}
	b.post("/language", url.Values{"to": {"en"}, "back": {"/"}})
	wantIn(t, b.get("/employees/42").body, `href="/console/employees/42/replace"`)
	wantIn(t, b.get("/connections").body, "Google keeps 12 calendars from this connection")
	// It exists: who asks for another one is told what becomes of it, and not that it is gone.
	asked := b.get("/employees/42/replace").body
	wantIn(t, asked, "although it still exists", "disappears for its reader at once", "no other one is made")
	if strings.Contains(asked, "does not exist") {
		t.Errorf("the page says that the calendar does not exist:\n%s", asked)
	}
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

// While something keeps everything waiting, a change that waits with it is no problem of its own;
// it is not green for that.
func TestAChangeThatWaitsLongIsNotGreen(t *testing.T) {
	w := newWorld(t)
	w.apply(map[int64]string{1: "Anna"})
	w.connectAccount()
	w.polled(store.PollResult{Clock: &store.ClockResult{}})
	b := w.signedIn()
	w.failTask(77, []int64{1}, failure.New(failure.Transient, "write the event of task 77", "no answer"))
	if got := b.checks()["Waiting changes"]; got != [2]string{"good", "for 0 s"} {
		t.Errorf("at first: %v", got)
	}
	w.wait(status.LateChange + time.Minute)
	w.polled(store.PollResult{ERP: failure.New(failure.Source, "read the ERP's clock", "no answer")})
	if got := b.checks()["Waiting changes"]; got != [2]string{"wait", "for 11 min"} {
		t.Errorf("after eleven minutes with the ERP down: %v", got)
	}
}

// TestNobodyIsCountedToBeInOrderUnseen: the overview counts who has a calendar, and does not say
// that all of them are in order: the list, which looks at each, knows.
func TestNobodyIsCountedToBeInOrderUnseen(t *testing.T) {
	w := newWorld(t)
	w.populate()
	w.works()
	b := w.signedIn()
	tiles := map[string]string{}
	for _, m := range regexp.MustCompile(`href="/console([^"]*)"><span class="tile-label">([^<]*)</span> <span class="tile-value">2<`).FindAllStringSubmatch(b.get("/").body, -1) {
		tiles[m[2]] = m[1]
	}
	if tiles["With a calendar"] != "/employees?state=active" {
		t.Errorf("of two, of whom neither calendar is filled, the overview says %v", tiles)
	}
	wantIn(t, b.get("/employees?state=order").body, `class="count">0<`)
}

// TestNothingIsPromisedWhileNothingIsWritten: where nothing is written for anybody, no page says
// that something is done within minutes.
func TestNothingIsPromisedWhileNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	pages := map[string]string{
		"/employees/45":         "it takes a minute or two",
		"/employees/42?erp=now": "It happens by itself within minutes.",
		"/tasks/1114":           "It happens by itself within minutes.",
	}
	for path, promise := range pages {
		wantIn(t, b.get(path).body, promise)
	}
	if err := w.store.RaiseIncident(t.Context(), "200", store.Refusal{At: store.AtAPI, Status: http.StatusForbidden, Reason: "accessNotConfigured"}); err != nil {
		t.Fatal(err)
	}
	for path, promise := range pages {
		body := b.get(path).body
		wantIn(t, body, "Nothing is written just now.")
		if strings.Contains(body, promise) {
			t.Errorf("%s promises %q", path, promise)
		}
	}
}
