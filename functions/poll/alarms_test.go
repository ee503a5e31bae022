package poll_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestAClockOffTheZoneAlarmsOnceAndSaysWhenItIsRight(t *testing.T) {
	w := newWorld(t)
	kyiv := w.zone
	alarms := func(ended bool) int {
		n := 0
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "alarm=clock-wrong") && strings.Contains(line, "ended=true") == ended {
				n++
			}
		}
		return n
	}
	w.zone = time.UTC
	for range 3 {
		w.must("wrong", nil)
	}
	if alarms(false) != 1 || alarms(true) != 0 {
		t.Fatalf("while it is wrong: %s", w.log.String())
	}
	w.zone = kyiv
	for range 3 {
		w.must("right", nil)
	}
	if alarms(false) != 1 || alarms(true) != 1 {
		t.Fatalf("when it is right: %s", w.log.String())
	}
}

func TestTheAlarmOfAHoldEndsWhenNothingIsHeldAnyMore(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	ended := func() int { return strings.Count(w.log.String(), "ended=true") }
	for range 4 { // three calendars may go in a day
		if _, _, err := w.store.Permit(t.Context(), store.GuardedCalendars, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	lease, _, err := w.store.AcquireEmployee(t.Context(), 7, store.Claim{TTL: time.Hour, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(held string) {
		t.Helper()
		if err := w.store.SaveEmployee(t.Context(), &lease, func(e *store.EmployeeRecord) { e.Held = held }); err != nil {
			t.Fatal(err)
		}
	}
	if w.poll(); ended() != 0 {
		t.Fatal("ended before the look that was refused could record it")
	}
	hold("yes")
	w.now = w.now.Add(6 * time.Minute)
	if w.poll(); ended() != 0 {
		t.Fatal("ended while something is held")
	}
	hold("")
	for range 2 {
		if w.poll(); ended() != 1 {
			t.Fatalf("%d ends, want one: %s", ended(), w.log.String())
		}
	}
}

func TestAPauseOfGoogleAndAGrantThatEndsAreToldOnceEach(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		w.poll()
		all := strings.Count(w.log.String(), "alarm=")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	want("at rest", 0, 0)
	if _, err := w.store.PauseCreations(t.Context(), "1", failure.ReasonQuota); err != nil {
		t.Fatal(err)
	}
	want("paused", 1, 0)
	if _, err := w.store.PauseWrites(t.Context(), "1", failure.ReasonQuota); err != nil {
		t.Fatal(err)
	}
	want("paused for longer", 1, 0)
	w.now = w.now.Add(2 * time.Hour)
	want("over", 1, 1)
	want("still over", 1, 1)
	expiring := store.AccountRecord{Sub: "1", Email: "calendars@provider.example", ClientID: "client", GrantExpiresAt: w.now.Add(72 * time.Hour)}
	if _, err := w.store.Connect(t.Context(), expiring, false); err != nil {
		t.Fatal(err)
	}
	want("three days ahead", 1, 1)
	w.now = w.now.Add(30 * time.Hour)
	if _, err := w.store.StartRun(t.Context(), "of-nobody", "reconcile", nil); err != nil {
		t.Fatal(err)
	}
	want("within two days", 2, 1)
	want("told once", 2, 1)
	w.connect()
	want("connected for good", 2, 2)
}

// Other parts that fail must not make an incident new at every poll.
func TestAClockOffTheZoneIsToldOnceThoughTheListsFail(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	w.zone = time.UTC
	w.broken = "states"
	for range 3 {
		w.poll()
	}
	w.broken = "changes"
	for range 3 {
		w.poll()
	}
	if n := strings.Count(w.log.String(), "alarm=clock-wrong"); n != 1 {
		t.Fatalf("told %d times: %s", n, w.log.String())
	}
}

// The instance that disconnects the account may die before it tells, and the one
// that connects it again too: Poll tells for them, once. What was told is left.
func TestALostGrantIsToldWhateverBecomesOfItsTeller(t *testing.T) {
	for name, lives := range map[string]bool{"it tells": true, "it dies": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must("first", nil)
			want := func(what string, begun, ended int) {
				t.Helper()
				all := strings.Count(w.log.String(), "alarm=grant-revoked incident=grant-1")
				if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
					t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
				}
			}
			tells := func(version int64) {
				t.Helper()
				if !lives {
					return
				}
				if err := w.store.GrantAlarmed(t.Context(), "1", version); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the first refusal only makes the grant suspect
				if _, err := w.store.GrantRefused(t.Context(), "1", 1, "invalid_grant", 0); err != nil {
					t.Fatal(err)
				}
			}
			w.pollNow()
			want("left to the instance for a while", 0, 0)
			tells(1)
			byPoll := 0
			if !lives {
				byPoll = 1
			}
			for range 2 {
				w.poll()
				want("lost", byPoll, 0)
			}
			w.set.Enabled = false
			w.poll()
			want("paused", byPoll, 0)
			w.set.Enabled = true
			w.connect()
			w.pollNow()
			want("the end is left to the console for a while", byPoll, 0)
			tells(0)
			for range 2 {
				w.poll()
				want("back", byPoll, byPoll)
			}
		})
	}
}

// TestAnIncidentIsToldWhateverBecomesOfItsFinder shows rule 7.7: Poll tells an incident
// from the account's record, so the one who found it may die at once; and where Poll dies
// before it notes the alarm, the next poll tells the same incident again.
func TestAnIncidentIsToldWhateverBecomesOfItsFinder(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=account-refused incident=account-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}); err != nil {
		t.Fatal(err)
	}
	w.pollNow()
	want("told", 1, 0)
	if log := w.log.String(); !strings.Contains(log, "reason=accessNotConfigured") || !strings.Contains(log, "cure=") {
		t.Errorf("reason or cure is missing: %s", log)
	}
	w.poll()
	want("told once", 1, 0)
	if err := w.store.SaveAlarms(t.Context(), nil); err != nil { // it died before it noted it
		t.Fatal(err)
	}
	w.poll()
	want("told again", 2, 0)
	if err := w.store.EndIncident(t.Context(), "1", "events.list"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.poll()
		want("over", 2, 1)
	}
}

// While nothing can be written, all that is due would only be parked again.
func TestDuringAnIncidentAFewDueKeysAreSent(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	for id := range int64(10) {
		if err := w.store.MarkDirty(t.Context(), store.TaskKey(100+id), w.now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}); err != nil {
		t.Fatal(err)
	}
	if status, sum := w.poll(); status != http.StatusOK || sum.DueTasks != 3 {
		t.Errorf("%d due tasks were sent, status %d", sum.DueTasks, status)
	}
	if err := w.store.EndIncident(t.Context(), "1", "events.list"); err != nil {
		t.Fatal(err)
	}
	if status, sum := w.poll(); status != http.StatusOK || sum.DueTasks != 10 {
		t.Errorf("%d due tasks were sent, status %d", sum.DueTasks, status)
	}
}

// Nothing is polled while settings are off, but a grant dies all the same.
func TestAlarmsAreToldDuringAPause(t *testing.T) {
	w := newWorld(t)
	w.set.Enabled = false
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtToken, Status: 401, Reason: "invalid_client"}); err != nil {
		t.Fatal(err)
	}
	count := func() (int, int) {
		return strings.Count(w.log.String(), "alarm=client-refused"), strings.Count(w.log.String(), "ended=true")
	}
	for range 3 {
		w.poll()
		if all, ended := count(); all != 1 || ended != 0 {
			t.Fatalf("told %d times, ended %d: %s", all, ended, w.log.String())
		}
	}
	if err := w.store.GrantWorks(t.Context(), "1", 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.poll()
	}
	if all, ended := count(); all != 2 || ended != 1 {
		t.Errorf("told %d times, ended %d: %s", all-ended, ended, w.log.String())
	}
}

// The nightly full run can stay away, or begin every night and never end: both are
// told once, though nothing ever was there before. What cannot run is not missed.
func TestAFullRunThatIsMissedIsToldOnce(t *testing.T) {
	w := newWorld(t)
	want := func(what string, begun, ended int) {
		t.Helper()
		for range 2 {
			w.poll()
		}
		all := strings.Count(w.log.String(), "alarm=full-run-missed")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	start := func(id string) string {
		t.Helper()
		parts, err := w.store.StartRun(t.Context(), id, "reconcile", []int{1})
		if err != nil {
			t.Fatal(err)
		}
		return parts[0]
	}
	finish := func(part string) {
		t.Helper()
		if _, err := w.store.AdvanceRun(t.Context(), part, store.RunResult{Employee: 1}); err != nil {
			t.Fatal(err)
		}
	}
	want("just connected", 0, 0)
	w.now = w.now.Add(24 * time.Hour)
	want("a day after", 0, 0)
	w.now = w.now.Add(time.Hour)
	want("never ran", 1, 0)
	start("1")
	want("begun", 1, 0)
	finish(start("2")) // supersedes the first
	want("ran", 1, 1)
	w.now = w.now.Add(24 * time.Hour)
	start("3")
	want("under way", 1, 1)
	w.now = w.now.Add(2 * time.Hour)
	start("4")
	want("begun anew and never ended", 2, 1)

	w.set.Enabled = false
	want("paused", 2, 2)
	w.now = w.now.Add(72 * time.Hour)
	w.set.Enabled = true
	want("resumed", 2, 2)
	w.now = w.now.Add(25 * time.Hour)
	want("resumed and never ran", 3, 2)
}

// What stays unreadable for an hour is told once, with what it is, and told to be over.
func TestWhatStaysUnreadableForAnHourIsToldOnce(t *testing.T) {
	odd := &failure.Error{Kind: failure.SourceInvalid, Op: "userside: read task 7", Detail: "unreadable field date.todo"}
	settle := func(w *world, c store.Collection, err error) {
		t.Helper()
		claim := store.Claim{TTL: time.Minute, Token: w.now.String()}
		if c == store.Tasks {
			lease, _, acquired := w.store.AcquireTask(t.Context(), 7, claim)
			_, settled := w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Result: store.Result{Err: err}})
			must(t, errors.Join(acquired, settled))
			return
		}
		lease, _, acquired := w.store.AcquireEmployee(t.Context(), 7, claim)
		_, settled := w.store.SettleEmployee(t.Context(), &lease, store.Result{Err: err})
		must(t, errors.Join(acquired, settled))
	}
	for name, row := range map[string]struct {
		begin, end func(w *world)
		told       string
	}{
		"a task": {
			func(w *world) { settle(w, store.Tasks, odd) }, func(w *world) { settle(w, store.Tasks, nil) },
			"unreadable field date.todo",
		},
		"an employee": {
			func(w *world) { settle(w, store.Employees, odd) }, func(w *world) { settle(w, store.Employees, nil) },
			"employees/7",
		},
		"an entry of a catalogue": {
			func(w *world) {
				w.odd = []error{failure.New(failure.SourceInvalid, "read state 5", "")}
				must(t, w.store.SaveCatalogueFaults(t.Context(), []string{"read state 5"}))
			},
			func(w *world) { w.odd = nil },
			"read state 5",
		},
		"the catalogue of types": {
			func(w *world) {
				w.broken = "types"
				must(t, w.store.SaveCatalogueFaults(t.Context(), []string{"test: the ERP is down"}))
			},
			func(w *world) { w.broken = "" },
			"the ERP is down",
		},
		"a refused key": {
			func(w *world) {
				w.broken, w.brokenBy = "employees", failure.New(failure.Misconfigured, "read employees", "the ERP refused the API key")
			}, func(w *world) { w.broken, w.brokenBy = "", nil }, "refused the API key",
		},
		"the catalogue of states": {
			func(w *world) { w.broken, w.brokenBy = "catalogue", odd }, func(w *world) { w.broken = "" },
			"unreadable field date.todo",
		},
		"the list of changes": {func(w *world) { w.broken = "changes" }, func(w *world) { w.broken = "" }, "the ERP is down"},
		"everybody":           {func(w *world) { w.broken = "employees" }, func(w *world) { w.broken = "" }, "the ERP is down"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must("first", nil)
			want := func(what string, begun, ended int) {
				t.Helper()
				all := strings.Count(w.log.String(), "alarm=erp-unreadable")
				if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
					t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
				}
			}
			row.begin(w)
			for range 11 {
				w.poll()
			}
			want("not yet", 0, 0)
			for range 4 {
				w.poll()
			}
			want("after an hour", 1, 0)
			for line := range strings.Lines(w.log.String()) {
				if strings.Contains(line, "alarm=erp-unreadable") && !strings.Contains(line, row.told) {
					t.Errorf("not told what it is: %s", line)
				}
			}
			row.end(w)
			w.poll()
			w.poll()
			want("over", 1, 1)
			row.begin(w)
			w.poll()
			want("another time", 1, 1)
		})
	}
}

// Rule 5.9: that the ERP takes nobody's card is told once after an hour, and is over once it
// takes one or none is to be written.
func TestThatNobodysCardIsTakenIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	w.set.CalendarIDField = 12
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=cards-refused")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	polls := func(n int) {
		for range n {
			w.poll()
		}
	}
	refuse := func(id int64) {
		lease, _, err := w.store.AcquireEmployee(t.Context(), id, store.Claim{TTL: time.Minute, Token: w.now.String()})
		must(t, err)
		must(t, w.store.SaveEmployee(t.Context(), &lease, func(e *store.EmployeeRecord) {
			e.State, e.CardFailure = store.StateActive, &store.Failure{Message: "no such field"}
		}))
		_, err = w.store.SettleEmployee(t.Context(), &lease, store.Result{})
		must(t, err)
		must(t, w.store.CardRefused(t.Context(), id, "no such field"))
	}
	refuse(1)
	polls(11)
	want("not yet", 0, 0)
	polls(4)
	want("after an hour", 1, 0)
	if !strings.Contains(w.log.String(), "no such field") {
		t.Error("it is not told why")
	}
	must(t, w.store.CardTaken(t.Context()))
	polls(2)
	want("one is taken", 1, 1)
	refuse(1)
	polls(15)
	want("anew", 2, 1)
	w.set.CalendarIDField = 0
	polls(2)
	want("none is to be written", 2, 2)
}

// A catalogue that cannot be read stops no poll, only what needs it.
func TestAnUnreadableCatalogueStopsNoPoll(t *testing.T) {
	w := newWorld(t)
	w.change(1, time.Hour, open)
	w.change(2, time.Hour, open)
	w.must("first", nil)
	w.broken, w.brokenBy = "catalogue", &failure.Error{Kind: failure.SourceInvalid, Op: "read it"}
	delete(w.tasks, 1)
	w.change(2, -time.Minute, open)
	w.must("a change is found", tasks(2))
	w.must("and what vanished is nobody's evidence", nil)
	w.broken = ""
	w.must("once more", nil)
	w.must("until it can be read again", tasks(1))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsFoundIsToldOnceAndWaitsForTheDecision shows rule 3.13: Poll tells it from the
// record, with the settings confirmed or not, and sends nothing that is due meanwhile.
func TestWhatIsFoundIsToldOnceAndWaitsForTheDecision(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=takeover-needed incident=takeover-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	found := store.FoundRecord{Account: "1", Calendars: []store.FoundCalendar{{ID: "c", Tenant: "old", Employee: 7, Written: store.WrittenElsewhere}}}
	if _, err := w.store.AskTakeover(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := w.store.MarkDirty(t.Context(), store.EmployeeKey(7), w.now); err != nil {
		t.Fatal(err)
	}
	w.set.Confirmed = false
	w.pollNow()
	want("told", 1, 0)
	w.set.Confirmed = true
	for range 2 {
		w.poll()
		want("told once", 1, 0)
	}
	if n := len(w.published["employees"]); n > 0 {
		t.Errorf("%d messages about what only waits", n)
	}
	shown, _, _, err := w.store.Found(t.Context())
	if err == nil {
		err = w.store.TakeOver(t.Context(), shown.Hash, "old")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.poll()
	want("decided", 1, 1)
	if len(w.published["employees"]) == 0 {
		t.Error("what waited does not follow the decision")
	}
}

// writes records writes to Google of a cause, one for each task, and lets some minutes pass.
func (w *world) writes(cause string, first, last int64) {
	w.t.Helper()
	lease, _, err := w.store.AcquireEmployee(w.t.Context(), 99, store.Claim{TTL: time.Minute, Token: fmt.Sprint(cause, first, w.now)})
	must(w.t, err)
	for id := first; id <= last; id++ {
		for _, employee := range []int64{1, 2} { // a task of two people is one change
			must(w.t, w.store.SaveEmployee(w.t.Context(), &lease, func(*store.EmployeeRecord) {}, store.ActivityRecord{
				ID: fmt.Sprint(cause, id, employee, w.now), At: w.now, Cause: cause, Task: id, Employee: employee, Result: "done", ExpiresAt: w.now.Add(time.Hour)}))
		}
	}
	_, err = w.store.SettleEmployee(w.t.Context(), &lease, store.Result{})
	must(w.t, err)
	w.now = w.now.Add(20 * time.Minute)
}

// Rule 8.10: each change is counted once, by what told of it.
func TestWhatOnlyThePollFoundIsCounted(t *testing.T) {
	w := newWorld(t)
	want := func(what string, notified, polled int) {
		t.Helper()
		w.poll()
		n, err := w.store.Notifications(t.Context(), w.now, "notify", "poll")
		must(t, err)
		if n.Notified != notified || n.Polled != polled {
			t.Errorf("%s: %+v, want %d and %d", what, n, notified, polled)
		}
	}
	want("nothing yet", 0, 0)
	w.writes("notify", 1, 5)
	w.writes("poll", 6, 7)
	w.writes("fill", 8, 9)
	w.writes("reconcile", 10, 11)
	want("once each", 5, 2)
	want("and not again", 5, 2)
	w.writes("poll", 6, 6)
	want("another change of one", 5, 3)
	w.now = w.now.Add(3 * time.Hour)
	w.writes("notify", 1, 1)
	want("hours later", 6, 3)
	w.now = w.now.Add(22 * time.Hour)
	want("the first are a day ago", 1, 0)
	w.now = w.now.Add(3 * time.Hour)
	want("all are", 0, 0)
}

// The connector's silence is told when the poll had to find many changes itself.
func TestASilentConnectorIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		w.poll()
		all, over := 0, 0
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "alarm=no-notifications") {
				all++
				if strings.Contains(line, "ended=true") {
					over++
				}
			}
		}
		if over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	w.writes("poll", 1, 19)
	want("19 changes", 0, 0)
	must(t, w.store.NotificationCame(t.Context(), "1.1"))
	w.writes("poll", 20, 40)
	want("40 changes, and a notification", 0, 0)
	w.now = w.now.Add(23*time.Hour + 35*time.Minute)
	w.writes("poll", 1, 20)
	want("none for a day", 1, 0)
	want("told once", 1, 0)
	must(t, w.store.NotificationCame(t.Context(), "1.1"))
	want("one came", 1, 1)

	w = newWorld(t)
	w.must("first", nil)
	w.writes("poll", 1, 20)
	want("none ever came", 1, 0)
	w.now = w.now.Add(26 * time.Hour)
	want("nothing changes", 1, 1)
}
