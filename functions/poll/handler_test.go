package poll_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestOnlyPostToTheRoot(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]int{"/": 405, "/x": 404} {
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("GET %s: %d", path, answer.Code)
		}
	}
}

func TestChangesSinceTheWatermark(t *testing.T) {
	w := newWorld(t)
	w.change(1, time.Hour, open)
	w.change(2, time.Minute, open)
	w.must("the first poll floods nobody", nil)

	w.must("what was there lately is looked at once, for it may have been committed after the first poll", tasks(2))
	w.must("and not again", nil)
	w.now = w.now.Add(time.Minute)
	w.change(1, 30*time.Second, open)
	w.must("a change", tasks(1))
	w.must("its overlap is skipped", nil)
	w.change(1, time.Minute, open)
	w.change(3, time.Minute, closed)
	w.must("another change and a task in a hidden state", tasks(1, 3))
	w.must("at rest", nil)
}

// A task changed again in the very second of the poll bears the date.update that
// the poll has seen already.
func TestAChangeInTheSecondOfThePoll(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	w.now = w.now.Add(5 * time.Minute)
	w.change(1, 0, open)
	w.now = w.now.Add(-5 * time.Minute)
	w.must("seen in its own second", tasks(1))
	w.must("looked at once more", tasks(1))
	w.must("then at rest", nil)
}

// However finely the ERP writes a date.update: a later change that bears the same is found.
func TestAChangeUnderTheSameDateIsFound(t *testing.T) {
	for form, again := range map[string]int{
		"2006-01-02 15:04:05": 0, "2006-01-02T15:04:05": 0, "02.01.2006, 15:04:05": 0, "2006-01-02 15:04:05.000": 0,
		// The poll is in the minute of the change.
		"2006-01-02 15:04": 1, "02.01.2006, 15:04": 1, "2006-01-02T15:04": 1,
		// Of no known form.
		"Monday, 15:04": 1, "2006-01-02 15:04:05 MST": 1,
	} {
		t.Run(form, func(t *testing.T) {
			w := newWorld(t)
			w.now = w.now.Add(30 * time.Second)
			w.must("first", nil)
			w.change(1, -5*time.Minute+10*time.Second, open) // ten seconds before the next poll
			at, err := time.Parse(wall, w.tasks[1].updated)
			if err != nil {
				t.Fatal(err)
			}
			w.tasks[1].updated, w.listed = at.Format(form), w.tasks[1].updated
			w.must("changed", tasks(1))
			for range again {
				w.must("it may have changed again under the same date", tasks(1))
			}
			w.must("at rest", nil)
		})
	}
}

func TestTheWatermarkWaitsForThePublishing(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	before, _, err := w.store.TaskPoll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.change(1, -time.Minute, open)
	w.publishes = false
	for range 6 { // longer than the overlap
		if code, _ := w.poll(); code != 503 {
			t.Fatalf("answered %d while nothing could be published", code)
		}
	}
	after, _, err := w.store.TaskPoll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Watermark != after.Watermark {
		t.Errorf("the watermark went from %s to %s", before.Watermark, after.Watermark)
	}
	w.publishes = true
	w.must("found afterwards", tasks(1))
}

func TestThePauseKeepsTheWatermark(t *testing.T) {
	for name, pause := range map[string]func(*world){
		"off":        func(w *world) { w.set.Enabled = false },
		"incomplete": func(w *world) { w.setErr = failure.New(failure.Misconfigured, "settings", "no zone") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must("first", nil)
			if err := w.store.MarkDirty(t.Context(), store.TaskKey(9), w.now); err != nil {
				t.Fatal(err)
			}
			w.change(1, -time.Minute, open)
			pause(w)
			for range 10 {
				if code, sum := w.poll(); code != 200 || !sum.Paused || len(w.published) > 0 {
					t.Fatalf("%d %+v, published %v", code, sum, w.published)
				}
			}
			w.set.Enabled, w.setErr = true, nil
			w.must("afterwards", sent{"tasks": {message(queue.CauseRetry, queue.LaneLive, 9), message(queue.CausePoll, queue.LaneLive, 1)}})
		})
	}
	w := newWorld(t)
	w.setErr = failure.New(failure.Transient, "settings", "the store is down")
	if code, _ := w.poll(); code != 503 {
		t.Errorf("settings that cannot be read: %d", code)
	}
}

func TestDueKeys(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	mark := func(key store.Key, in time.Duration) {
		t.Helper()
		if err := w.store.MarkDirty(t.Context(), key, w.now.Add(in)); err != nil {
			t.Fatal(err)
		}
	}
	mark(store.TaskKey(1), time.Minute)
	mark(store.TaskKey(2), time.Hour)
	mark(store.EmployeeKey(3), time.Minute)
	// A worker that died: its lease runs out within the five minutes.
	if _, outcome, err := w.store.AcquireTask(t.Context(), 4, store.Claim{Message: "m", TTL: 90 * time.Second, Token: "t"}); err != nil || outcome != store.Acquired {
		t.Fatal(outcome, err)
	}
	due := sent{"tasks": {message(queue.CauseRetry, queue.LaneLive, 1, 4)}, "employees": {message(queue.CauseRetry, queue.LaneBulk, 3)}}
	w.must("due", due)
	// An ERP that is down keeps nobody's retry waiting.
	w.broken = "clock"
	if code, _ := w.poll(); code != 503 {
		t.Errorf("answered %d", code)
	}
	if diff := cmp.Diff(due, w.published); diff != "" {
		t.Error(diff)
	}
}

// While nothing could be written, due keys wait: a look would only read the ERP
// and park them again, at every poll anew.
func TestDueKeysWaitForAnAccountAndAConfirmation(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	if err := w.store.MarkDirty(t.Context(), store.TaskKey(1), w.now); err != nil {
		t.Fatal(err)
	}
	due := sent{"tasks": {message(queue.CauseRetry, queue.LaneLive, 1)}}
	w.set.Confirmed = false
	w.must("unconfirmed", nil)
	w.set.Confirmed = true
	w.must("confirmed", due)
	for range 2 { // the first refusal only makes the grant suspect
		if _, err := w.store.GrantRefused(t.Context(), "1", 1, "invalid_grant", 0); err != nil {
			t.Fatal(err)
		}
	}
	w.must("disconnected", nil)
	w.connect()
	w.must("connected again", due)
}

// A task that is due and changed is sent once.
func TestOneMessageForEachTask(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	w.change(1, -time.Minute, open)
	if err := w.store.MarkDirty(t.Context(), store.TaskKey(1), w.now); err != nil {
		t.Fatal(err)
	}
	w.must("due and changed", sent{"tasks": {message(queue.CauseRetry, queue.LaneLive, 1)}})
}

// TestVanishedTasks shows rule 8.2.
func TestVanishedTasks(t *testing.T) {
	w := newWorld(t)
	for id := range calendarsync.TaskID(5) {
		w.change(id+1, time.Hour, open)
	}
	w.must("first", nil)
	task := w.tasks[2]
	delete(w.tasks, 2)
	delete(w.tasks, 4)
	w.must("missing once", nil)
	w.tasks[2] = task // the list was read while the task moved in it
	w.must("missing twice", tasks(4))
	w.must("told once", nil)
	w.change(5, -time.Minute, closed)
	w.must("closed: known by its change", tasks(5))
	w.now = w.now.Add(time.Hour)
	w.must("and not taken for vanished", nil)
}

// A task that left the shown states is listed as changed at the poll that misses
// it, or at the one after where the ERP commits late: it was looked at for that.
func TestAClosedTaskIsNotTakenForVanished(t *testing.T) {
	w := newWorld(t)
	w.change(1, time.Hour, open)
	w.change(2, time.Hour, open)
	w.must("first", nil)
	w.must("at rest", nil)
	w.change(1, 12*time.Minute, closed) // listed at the next poll for the last time
	w.tasks[2].state = closed           // its date.update comes late
	w.must("one is listed, both are missing", tasks(1))
	w.change(2, time.Minute, closed)
	w.must("the other is listed", tasks(2))
	w.now = w.now.Add(time.Hour)
	w.must("at rest", nil)
	w.must("at rest", nil)
}

func TestARoleThatLeftTheCatalogueMakesNothingVanish(t *testing.T) {
	w := newWorld(t)
	w.change(1, time.Hour, open)
	w.must("first", nil)
	w.set.ShownRoles = []calendarsync.RoleID{77}
	w.must("no state is shown", nil)
	w.must("no state is shown", nil)
	w.set.ShownRoles = []calendarsync.RoleID{shownRole}
	delete(w.tasks, 1)
	w.must("missing once", nil)
	w.must("missing twice", tasks(1))
}

func TestManyChangesGoByEmployee(t *testing.T) {
	w := newWorld(t)
	w.set.IncludeDepartments = true
	w.must("first", nil)
	for id := range calendarsync.TaskID(120) {
		w.change(id+1, -time.Minute, open)
	}
	w.tasks[101].executors = []calendarsync.EmployeeID{7}
	w.tasks[102].divisions = []calendarsync.DivisionID{30}
	w.change(1, -time.Minute, open)
	w.tasks[1].executors = []calendarsync.EmployeeID{99} // is in the live share
	// 8 belongs to the division, 9 has an event of task 103 so far.
	lease, _, err := w.store.AcquireEmployee(t.Context(), 8, store.Claim{TTL: time.Minute, Token: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.SaveEmployee(t.Context(), &lease, func(e *store.EmployeeRecord) { e.Divisions = []int64{30} }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.SettleEmployee(t.Context(), &lease, store.Result{}); err != nil {
		t.Fatal(err)
	}
	task, _, err := w.store.AcquireTask(t.Context(), 103, store.Claim{TTL: time.Minute, Token: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.SettleTask(t.Context(), &task, store.TaskOutcome{Concerned: []int64{9}}); err != nil {
		t.Fatal(err)
	}
	code, sum := w.poll()
	if code != 200 || sum.Changed != 120 {
		t.Fatalf("%d %+v", code, sum)
	}
	live := 0
	for _, m := range w.published["tasks"] {
		if m.Lane != queue.LaneLive || len(m.IDs) > queue.MaxIDs {
			t.Errorf("sent %d ids on lane %s", len(m.IDs), m.Lane)
		}
		live += len(m.IDs)
	}
	if live != 100 {
		t.Errorf("%d tasks live", live)
	}
	if diff := cmp.Diff([]queue.Message{message(queue.CauseFill, queue.LaneBulk, 7, 8, 9)}, w.published["employees"]); diff != "" {
		t.Error(diff)
	}
}

func TestAfterALongPauseAFullRun(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	for id := range calendarsync.TaskID(2001) {
		w.change(id+1, -time.Minute, open)
	}
	code, sum := w.poll()
	if want := (sent{"employees": {{All: true, Cause: queue.CauseFill, Lane: queue.LaneBulk}}}); code != 200 || !sum.Everybody || !cmp.Equal(want, w.published) {
		t.Errorf("%d %+v, published %v", code, sum, w.published)
	}
}

func TestEmployees(t *testing.T) {
	type fields = map[calendarsync.FieldID]string
	to := func(ids ...int64) sent {
		return sent{"employees": {message(queue.CausePoll, queue.LaneBulk, ids...)}}
	}
	w := newWorld(t)
	w.people[1] = person("A", "a@example.com", fields{5: "1"})
	w.people[2] = person("B", "b@example.com", fields{5: "1"})
	w.must("first", nil)
	w.must("at rest", nil)

	w.people[1] = person("A", "a2@example.com", fields{5: "1"})
	w.must("another address", to(1))
	w.people[1] = person("A", "a2@example.com", fields{5: "0"})
	w.must("unbound", to(1))
	w.people[1] = person("A", "a2@example.com", fields{})
	w.must("the field left out", to(1))
	w.people[1] = person("A", "a2@example.com", fields{6: "c_x", 9: "z"})
	w.must("the calendar's own field and another's", nil)
	same := person("A", "a2@example.com", fields{})
	same.Employee.Divisions = calendarsync.Say([]calendarsync.DivisionID{1, 2})
	w.people[1] = same
	w.must("divisions in another order", nil)
	moved := person("A", "a2@example.com", fields{})
	moved.Employee.Divisions = calendarsync.Say([]calendarsync.DivisionID{1})
	w.people[1] = moved
	w.must("left a division", to(1))
	mute := person("A", "", fields{})
	mute.Employee.Divisions = calendarsync.Say([]calendarsync.DivisionID{1})
	w.people[1] = mute
	w.must("the address empty", to(1))
	silent := mute
	silent.Employee = &calendarsync.Employee{Name: "A", Working: calendarsync.Say(true), Fields: calendarsync.Say(fields{}), Divisions: calendarsync.Say([]calendarsync.DivisionID{1})}
	w.people[1] = silent
	w.must("the address not said", to(1))

	w.people[3] = person("C", "c@example.com", fields{})
	delete(w.people, 2)
	w.must("one came, one is missing", to(3))
	w.must("missing twice", to(2))
	w.must("told once", nil)
	readable := w.people[3]
	w.people[3] = calendarsync.EmployeeReading{Invalid: errors.New("odd")}
	w.must("unreadable: a pass over them records it", to(3))
	w.must("told once", nil)
	w.people[3] = readable
	w.must("readable again, unchanged", nil)
	w.broken = "employees"
	if code, _ := w.poll(); code != 503 || len(w.published) > 0 {
		t.Errorf("%d, published %v", code, w.published)
	}
}

// Whatever call fails: 503, but for the catalogue, and the change is found at the next poll.
func TestNothingIsLostByAFailure(t *testing.T) {
	for call, during := range map[string]sent{"clock": {}, "changes": {}, "show": {},
		// What was published need not be so again while another part fails.
		"catalogue": tasks(1), "states": tasks(1)} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(t)
			w.change(2, time.Hour, open)
			w.must("first", nil)
			w.change(1, -time.Minute, open)
			w.broken = call
			want := during
			for range 5 {
				if code, _ := w.poll(); (code == 503) == (call == "catalogue") {
					t.Errorf("answered %d", code)
				}
				if diff := cmp.Diff(want, w.published); diff != "" {
					t.Errorf("while it fails: %s", diff)
				}
				want = sent{}
			}
			w.broken = ""
			if len(during) == 0 {
				w.must("afterwards", tasks(1))
			} else {
				w.must("afterwards", nil)
			}
			delete(w.tasks, 2)
			w.must("missing once", nil)
			w.must("missing twice", tasks(2))
		})
	}
}

func TestOverlapAroundAZoneChange(t *testing.T) {
	// Kyiv leaves summer time on 2026-10-25 at 01:00 UTC (04:00 becomes 03:00).
	for _, c := range []struct {
		now  time.Time // of the second poll
		want time.Duration
	}{
		{time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), 15 * time.Minute},
		{time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC), 75 * time.Minute},
		{time.Date(2026, 10, 25, 1, 2, 0, 0, time.UTC), 75 * time.Minute},
		{time.Date(2026, 10, 25, 2, 0, 0, 0, time.UTC), 75 * time.Minute},
		{time.Date(2026, 10, 25, 3, 0, 0, 0, time.UTC), 15 * time.Minute},
	} {
		w := newWorld(t)
		w.now = c.now.Add(-10 * time.Minute)
		w.must("first", nil)
		rec, _, err := w.store.TaskPoll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mark, err := time.Parse(wall, rec.Watermark)
		if err != nil {
			t.Fatal(err)
		}
		w.must("second", nil)
		if want := []string{mark.Add(-c.want).Format(wall)}; !slices.Equal(w.from, want) {
			t.Errorf("%s: listed from %v, want %v", c.now, w.from, want)
		}
	}
	// The ERP's offset changed although the zone of the settings did not.
	w := newWorld(t)
	w.must("first", nil)
	w.zone = time.FixedZone("", 3*3600)
	w.must("second", nil)
	if want := []string{"2026-11-22 10:50:00"}; !slices.Equal(w.from, want) {
		t.Errorf("listed from %v, want %v", w.from, want)
	}
}

func TestManyDueTasksAreSpread(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	for i := range int64(130) {
		if err := w.store.MarkDirty(t.Context(), store.TaskKey(i+1), w.now); err != nil {
			t.Fatal(err)
		}
	}
	if code, sum := w.poll(); code != 200 || sum.DueTasks != 130 {
		t.Fatalf("%d %+v", code, sum)
	}
	lanes := map[queue.Lane]int{}
	for _, m := range w.published["tasks"] {
		lanes[m.Lane] += len(m.IDs)
	}
	if got := fmt.Sprint(lanes); got != "map[bulk:30 live:100]" {
		t.Errorf("lanes %s", got)
	}
}
