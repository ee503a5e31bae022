package poll_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func everybody(cause queue.Cause) sent {
	return sent{"employees": {{All: true, Cause: cause, Lane: queue.LaneBulk}}}
}

// The overlap lists a mass change at three polls or more; one full run is enough (rule 8.6).
func TestAMassChangeStartsOneFullRun(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	const many = 2500
	mass := func() {
		w.now = w.now.Add(5 * time.Minute)
		for id := range calendarsync.TaskID(many) {
			w.change(id+1, 2*time.Minute, open)
		}
		w.now = w.now.Add(-5 * time.Minute)
	}
	mass()
	w.must("the mass change", everybody(queue.CauseFill))
	w.change(7, -time.Minute, open)      // changed again after it
	w.change(many+1, -time.Minute, open) // one that was not among them
	w.must("in the overlap", tasks(7, many+1))
	w.must("in the overlap", nil)
	w.change(8, -time.Minute, open)
	w.must("in the overlap, another", tasks(8))
	for range 4 {
		w.must("at rest", nil)
	}
	rec, _, err := w.store.TaskPoll(t.Context())
	if err != nil || len(rec.Flood) != 0 {
		t.Errorf("%d bytes are kept of the flood, %v", len(rec.Flood), err)
	}
	w.change(7, -time.Minute, open)
	w.must("long after it", tasks(7))
	mass()
	w.must("another mass change", everybody(queue.CauseFill))
	w.change(9, 0, open)
	w.must("in the overlap", tasks(9))
	mass()
	w.must("and another of the same tasks", everybody(queue.CauseFill))
	w.must("in the overlap of both", nil)
}

// The hour that the wall clock shows twice tells no order: a run in half an hour.
func TestAMassChangeInTheNightOfAZoneChange(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 10, 25, 0, 45, 0, 0, time.UTC) // Kyiv goes from +3 to +2 at 01:00 UTC
	w.must("first", nil)
	for id := range calendarsync.TaskID(2500) {
		w.change(id+1, -time.Minute, open)
	}
	runs := 0
	for range 24 {
		if _, sum := w.poll(); sum.Everybody {
			runs++
		}
		if len(w.published["tasks"]) > 0 {
			t.Errorf("at %s: %v", w.now, w.published["tasks"])
		}
	}
	if runs < 1 || runs > 4 {
		t.Errorf("%d full runs in the two hours of an ambiguous clock", runs)
	}
	t.Logf("%d full runs in the two hours around the zone change", runs)
}

// Two half lists in a row, and more of them, look like half of everything gone (rule 8.5).
func TestHalfListsPublishNothing(t *testing.T) {
	w := newWorld(t)
	for id := range calendarsync.TaskID(3000) {
		w.change(id+1, time.Hour, open)
	}
	for id := range calendarsync.EmployeeID(200) {
		w.people[id+1] = person("A", "a@example.com", map[calendarsync.FieldID]string{5: "1"})
	}
	w.must("first", nil)
	w.halved = true
	for range 4 {
		w.must("half of everything", nil)
	}
	if w.asked == 0 || w.asked > 200 {
		t.Errorf("%d employees were asked for by id, want a sample at each poll", w.asked)
	}
	// What changes meanwhile is found all the same.
	w.change(1, -time.Minute, open)
	w.people[1] = person("A", "a2@example.com", map[calendarsync.FieldID]string{5: "1"})
	w.must("changes beside the lie", sent{"tasks": tasks(1)["tasks"], "employees": {message(queue.CausePoll, queue.LaneBulk, 1)}})
	w.halved = false
	w.must("the whole lists are back", nil)
	// What went while the lists lacked it is found afterwards.
	w.halved = true
	w.must("half again", nil)
	w.must("half again", nil)
	delete(w.tasks, 4)
	delete(w.people, 4)
	w.halved = false
	w.must("gone under cover of the lie", sent{"tasks": tasks(4)["tasks"], "employees": {message(queue.CausePoll, queue.LaneBulk, 4)}})
	w.must("told once", nil)
}

// Really gone is believed, however many: what may be deleted is the workers' to judge.
func TestManyThatReallyVanishAreLookedAt(t *testing.T) {
	w := newWorld(t)
	for id := range calendarsync.TaskID(2500) {
		w.change(id+1, time.Hour, open)
	}
	for id := range calendarsync.EmployeeID(60) {
		w.people[id+1] = person("A", "a@example.com", map[calendarsync.FieldID]string{5: "1"})
	}
	w.must("first", nil)
	for id := range calendarsync.TaskID(150) {
		delete(w.tasks, id+1)
	}
	for id := range calendarsync.EmployeeID(40) {
		delete(w.people, id+1)
	}
	w.must("missing once", nil)
	_, sum := w.poll()
	if sum.Missing != 150 || sum.Employees != 40 || sum.Everybody {
		t.Errorf("%+v", sum)
	}
	clear(w.tasks)
	w.must("missing once", nil)
	w.must("all of them gone: a full run", everybody(queue.CauseFill))
	w.must("at rest", nil)
}

// An ERP without employees is no fault of a new installation; whoever comes first
// is published and not taken for the fill's business.
func TestAnERPWithoutEmployees(t *testing.T) {
	w := newWorld(t)
	w.nobody = true
	w.must("nobody yet", nil)
	w.must("nobody yet", nil)
	w.nobody = false
	w.people[1] = person("A", "a@example.com", map[calendarsync.FieldID]string{5: "1"})
	here := sent{"employees": {message(queue.CausePoll, queue.LaneBulk, 1)}}
	w.must("the first one", here)
	w.nobody = true
	for range 3 {
		if code, _ := w.poll(); code != 503 || len(w.published) > 0 {
			t.Errorf("nobody any more: %d, published %v", code, w.published)
		}
	}
}

// A full run that could not begin is started again, once each time it is due.
func TestAFullRunThatWasPutOffIsStartedAgain(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	put := func() time.Time {
		t.Helper()
		due, err := w.store.PutOffRun(t.Context(), "console", string(failure.Source))
		if err != nil {
			t.Fatal(err)
		}
		return due
	}
	put()
	w.must("due", everybody(queue.CauseConsole))
	w.must("on its way", nil)
	waits := []time.Duration{}
	for range 8 {
		waits = append(waits, put().Sub(w.now))
	}
	if diff := cmp.Diff([]time.Duration{2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour}, waits); diff != "" {
		t.Error(diff)
	}
	w.publishes = false
	w.now = w.now.Add(time.Hour)
	if code, _ := w.poll(); code != 503 {
		t.Errorf("answered %d", code)
	}
	w.publishes = true
	w.must("not lost", everybody(queue.CauseConsole))
	if err := w.store.RunBegan(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.must("began", nil)
	if rec, err := w.store.PutOff(t.Context()); err != nil || rec != (store.PutOffRecord{}) {
		t.Errorf("%+v, %v", rec, err)
	}
}
