package calendars_test

import (
	"net/http"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

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
