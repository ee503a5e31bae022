package calendars_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// quotaExceeded on an event stops all event writes until its end, also those of
// the same message, and each refusal in a row doubles the pause (rule 6.6).
func TestGooglesLimitPausesAllEventWrites(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	var tasks []int64
	var want []time.Time
	for h := range 24 {
		tasks = append(tasks, b.addTask(b.hour(h), ids[0]))
		want = append(want, b.hour(h))
	}
	fault := b.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
	b.google.ResetRequests()
	i.task(tasks...)
	// Those under way when it came were already on the road.
	if n := fault.Hits(); n < 1 || n > 4 {
		t.Errorf("%d refused calls", n)
	}
	until := func() time.Time {
		a, err := b.store.Account(t.Context())
		must(t, err)
		return a.PausedUntil
	}
	if got := until().Sub(b.clock.Now()); got != 15*time.Minute {
		t.Errorf("paused for %v", got)
	}
	if _, pending := b.pending(); pending != len(tasks) {
		t.Errorf("%d tasks pending, want %d", pending, len(tasks))
	}
	before := fault.Hits()
	for b.clock.Now().Before(until()) {
		i.due()
		b.clock.advance(time.Minute)
	}
	if n := fault.Hits() - before; n != 0 {
		t.Errorf("%d calls during the pause", n)
	}
	b.clock.advance(time.Minute)
	for range 5 {
		i.due()
	}
	if got := until().Sub(b.clock.Now()); got < 25*time.Minute || got > 31*time.Minute {
		t.Errorf("the second pause is %v", got)
	}
	fault.Remove()
	i.rest()
	b.want(ids[0], want...)
	b.wantQuiet(ids...)
}

func TestGooglesLimitPausesCreations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := []int64{b.hire("Olena"), b.hire("Petro")}
	fault := b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
	i.employee(queue.CauseNotify, who[0])
	i.employee(queue.CauseNotify, who[1])
	i.employee(queue.CauseConsole, who...)
	if n := fault.Hits(); n != 1 {
		t.Errorf("%d tries", n)
	}
	fault.Remove()
	i.rest()
	for _, id := range who {
		if b.calendar(id) == "" {
			t.Errorf("employee %d has no calendar: %+v", id, b.record(id))
		}
	}
	b.wantQuiet(who...)
}

func TestGooglesLimitOnSharingPausesSharing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := b.start(0)
	who := []int64{b.hire("Olena"), b.hire("Petro")}
	fault := b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
	b.addTask(b.hour(9), who...)
	i.employee(queue.CauseNotify, who[0])
	i.employee(queue.CauseConsole, who[0])
	i.employee(queue.CauseConsole, who[0])
	if n := fault.Hits(); n != 1 {
		t.Errorf("%d tries", n)
	}
	fault.Remove()
	i.employee(queue.CauseNotify, who[1])
	i.rest()
	for _, id := range who {
		b.want(id, b.hour(9))
	}
	b.wantQuiet(who...)
}

// Disconnected in the middle: what is known stays dirty, nothing is deleted, and
// everything goes on after the next connection.
func TestDisconnectedInTheMiddleNothingIsLost(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	second := b.addTask(b.hour(15), who)
	gone := false
	b.accountIs = func() error {
		if gone {
			return failure.New(failure.Revoked, "read the account", "disconnected")
		}
		return nil
	}
	must(t, b.erp.CloseTask(task))
	i.google.before = func(string, string) error {
		gone = true
		return failure.New(failure.Revoked, "call Google", "disconnected")
	}
	i.task(task)
	i.task(second)
	i.employee(queue.CauseConsole, who)
	i.google.before = nil
	b.want(who, b.hour(9))
	for _, id := range []int64{task, second} {
		if w := b.taskRecord(id).Work; w.Dirty == 0 || w.DueAt.IsZero() {
			t.Errorf("task %d is at rest: %+v", id, w)
		}
	}
	if w := b.record(who).Work; w.Dirty == 0 {
		t.Errorf("the employee is at rest: %+v", w)
	}
	gone = false
	i.rest()
	b.want(who, b.hour(15))
	b.wantQuiet(who)
}

// Put off until the pause ends, a due key does not come up at every poll.
func TestKeysPutOffDuringAPauseAreNotDueBeforeItsEnd(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	must(t, b.erp.MoveTask(task, b.hour(11)))
	b.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: http.StatusForbidden, Reason: "forbidden"})
	i.task(task)
	until, err := b.store.PauseWrites(t.Context(), sub)
	must(t, err)
	b.clock.advance(14 * time.Minute) // the task's own rest is over, the pause is not
	if !i.due() {
		t.Fatal("nothing was due")
	}
	if due := b.taskRecord(task).DueAt; !due.Equal(until) {
		t.Fatalf("due at %v, the pause ends at %v", due, until)
	}
	i.rest()
	b.want(who, b.hour(11))
	b.wantQuiet(who)
}
