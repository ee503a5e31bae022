package poll_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 8.2: a worker that knows only the list before the last one records nothing of a
// task that was in it. If the task left the shown states before the last list, came back
// and was deleted, no list of states tells of that.
func TestATaskThatLeftTheListOfChangesIsLookedAt(t *testing.T) {
	w := newWorld(t)
	w.change(1, time.Hour, open)
	w.change(2, time.Hour, open)
	w.must("first", nil)
	w.change(1, -time.Minute, closed)
	w.change(2, -time.Minute, closed)
	w.must("closed", tasks(1, 2))
	delete(w.tasks, 1) // reopened, filled and deleted
	w.broken, w.brokenBy = "catalogue", failure.New(failure.SourceInvalid, "test", "odd")
	w.must("nothing can be compared", nil)
	w.broken = ""
	w.must("missing once", nil)
	w.must("missing twice", tasks(1))
	for range 6 {
		w.must("what only grew too old for the list is not missing", nil)
	}
}

// The same of a card: it is compared once more with what a pass read of it.
func TestACardThatChangedIsComparedOnceMore(t *testing.T) {
	w := newWorld(t)
	w.people[1] = person("A", "a@example.com", nil)
	w.must("first", nil)
	was := w.people[1].Employee.Digest(w.set.BindingField)
	w.people[1] = person("B", "b@example.com", nil)
	to := sent{"employees": {message(queue.CausePoll, queue.LaneBulk, 1)}}
	w.must("changed", to)
	// A pass read it as the first list had it, while it was so again for a moment.
	lease, _, err := w.store.AcquireEmployee(t.Context(), 1, store.Claim{TTL: time.Minute, Token: "t"})
	if err == nil {
		err = w.store.SaveEmployee(t.Context(), &lease, func(r *store.EmployeeRecord) { r.Seen = was })
	}
	if err == nil {
		_, err = w.store.SettleEmployee(t.Context(), &lease, store.Result{})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.must("read otherwise than it is now", to)
	w.must("told once", nil)
}
