package calendars_test

import (
	"testing"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// TestAnEventMovedIntoAnothersCalendarIsRemovedThere shows rule 3.11: whether its task
// goes on or was closed since. A copy and somebody's own event stay (rule 3.2).
func TestAnEventMovedIntoAnothersCalendarIsRemovedThere(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		b := newBench(t)
		i, ids := b.staffed("Olena", "Petro")
		task := b.addTask(b.hour(9), ids[0])
		i.task(task, b.addTask(b.hour(10), ids[1]))
		event := b.moved(ids[0], ids[1])
		if closed {
			must(t, b.erp.CloseTask(task))
			i.task(task)
		}
		copied, err := b.google.CopyEvent(b.calendar(ids[1]), b.events(ids[1])[0].Id, b.calendar(ids[1]))
		must(t, err)
		b.google.ResetRequests()
		i.employee(queue.CauseReconcile, ids...)
		i.rest()
		for _, r := range b.google.Requests(fakegoogle.Filter{Method: "calendar.events.delete"}) {
			if r.EventID != event {
				t.Errorf("closed %t: event %s was deleted", closed, r.EventID)
			}
		}
		must(t, b.google.DeleteEvent(b.calendar(ids[1]), copied))
		b.want(ids[1], b.hour(10))
		if closed {
			b.want(ids[0])
		} else {
			b.want(ids[0], b.hour(9))
		}
		b.wantQuiet(ids...)
	}
}
