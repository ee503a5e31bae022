package poll_test

import (
	"errors"
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
