package calendars_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// dayOfPolls lets a day pass, with a poll every five minutes.
func (i *instance) dayOfPolls() {
	i.b.t.Helper()
	for range 24 * 12 {
		i.due()
		i.b.clock.advance(5 * time.Minute)
	}
}

// counted counts the calls of a method since the requests were reset.
func (b *bench) counted(method string) int {
	return len(b.google.Requests(fakegoogle.Filter{Method: method}))
}

// forbid has Google refuse a method for good, of one event or of all.
func (b *bench) forbid(method, event string) *fakegoogle.Injected {
	return b.google.Inject(fakegoogle.Fault{Method: method, EventID: event, Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
}

// triesOfADay is how often at most something is tried in a day that rests ten minutes,
// doubling to six hours (rule 7.2).
const triesOfADay = 10

// doubled gives an employee a second event of one task.
func (b *bench) doubled(i *instance, employee int64) (task int64, lower string) {
	b.t.Helper()
	task = b.addTask(b.hour(9), employee)
	i.task(task)
	lower = b.events(employee)[0].Id
	must(b.t, b.google.DeleteEvent(b.calendar(employee), lower))
	i.employee(queue.CauseReconcile, employee)
	i.rest()
	must(b.t, b.google.RestoreEvent(b.calendar(employee), lower))
	return task, lower
}

// Rules 3.3 and 7.2: a double that Google does not delete is the failure of its task, tried
// with it, resting ever longer, until it goes. The calendar is not listed again for it, and
// all else goes on.
func TestADoubleThatGoogleRefusesToDeleteCostsItselfAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
	i, ids := b.staffed("Olena")
	task, lower := b.doubled(i, ids[0])
	refused := b.forbid("calendar.events.delete", lower)
	i.employee(queue.CauseReconcile, ids[0])
	b.google.ResetRequests()
	i.dayOfPolls()
	if lists, deletions := b.counted("calendar.events.list"), b.counted("calendar.events.delete"); lists > 0 || deletions == 0 || deletions > triesOfADay {
		t.Errorf("in a day %d lists and %d deletions", lists, deletions)
	}
	if f := b.taskRecord(task).Failure; f == nil || f.Kind != failure.Forbidden || f.Reason != "forbidden" || f.Count < 5 {
		t.Errorf("recorded as %+v", f)
	}
	if w := b.record(ids[0]).Work; w.Dirty != 0 || w.Failure != nil {
		t.Errorf("the employee waits for it: %+v", w)
	}
	must(t, b.erp.MoveTask(task, b.hour(11)))
	i.task(task)
	b.want(ids[0], b.hour(9), b.hour(11))
	refused.Remove()
	b.google.ResetRequests()
	i.dayOfPolls()
	b.want(ids[0], b.hour(11))
	if lists := b.counted("calendar.events.list"); lists > 0 {
		t.Errorf("%d lists", lists)
	}
	b.wantQuiet(ids[0])
}
