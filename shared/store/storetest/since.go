package storetest

import (
	"errors"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// wrongSince shows since when each thing is wrong that is counted: from the first of them, however
// often it comes again, until it is over.
func wrongSince(r *rig) {
	tally := func() store.Tally {
		r.Helper()
		t, err := r.s.Tally(r.ctx)
		r.must(err)
		return t
	}
	later := func() time.Time { r.b.advance(time.Hour); return r.b.now() }
	none := store.Tally{}
	equal(r, "in the beginning", sinceOf(tally()), sinceOf(none))

	fail := func(id int64, err error) {
		r.Helper()
		r.release(r.take(store.Tasks, id, "m"), store.Result{Err: err})
	}
	failed := later()
	fail(70, errors.New("x"))
	later()
	fail(70, errors.New("x"))
	fail(71, errors.New("x"))
	equal(r, "tasks fail since", tally().FailedSince, failed)
	equal(r, "failing tasks", tally().FailedTasks, 2)
	r.must(r.s.DismissFailure(r.ctx, store.TaskKey(70)))
	equal(r, "of those not dismissed, since", tally().FailedSince, failed.Add(time.Hour))
	equal(r, "those not dismissed", tally().FailedTasks, 1)
	all, err := r.s.FailedTasks(r.ctx, 0)
	r.must(err)
	equal(r, "all that fail, the dismissed last", []int64{all[0].ID, all[1].ID}, []int64{71, 70})
	fail(70, errors.New("x")) // for the same cause
	equal(r, "dismissed still", tally().FailedTasks, 1)
	fail(71, nil)
	fail(70, nil)
	equal(r, "no task fails since", tally().FailedSince, time.Time{})

	gaveUp := later()
	r.must(r.s.RecordDeadLetter(r.ctx, store.TaskKey(72), "poll", 100))
	later()
	r.must(r.s.RecordDeadLetter(r.ctx, store.TaskKey(72), "poll", 100))
	r.must(r.s.RecordDeadLetter(r.ctx, store.TaskKey(73), "poll", 100))
	equal(r, "gave up since", tally().GaveUpSince, gaveUp)
	r.must(r.s.DismissFailure(r.ctx, store.TaskKey(72)))
	equal(r, "the other gave up since", tally().GaveUpSince, r.b.now())

	r.active(7, "e7")
	broken := later()
	state := func(s store.EmployeeState) { r.change(func(e *store.EmployeeRecord) { e.State = s }) }
	state(store.StateError)
	later()
	state(store.StateError)
	equal(r, "an error since", tally().ErrorSince, broken)
	state(store.StateActive)
	equal(r, "no error since", tally().ErrorSince, time.Time{})

	// An employee's calendar that is held, dropped and reopened waits since the reopening.
	held := later()
	r.change(func(e *store.EmployeeRecord) { e.Held, e.Reason = store.HeldWaiting, "dismissed" })
	later()
	r.change(func(e *store.EmployeeRecord) { e.Name = "N" })
	plan, err := r.s.Held(r.ctx)
	r.must(err)
	equal(r, "held since", []time.Time{tally().HeldSince, plan.Since, plan.Keys[0].Since}, []time.Time{held, held, held})
	r.must(r.s.Drop(r.ctx, store.EmployeeKey(7)))
	equal(r, "nothing is held since", tally().HeldSince, time.Time{})
	reopened := later()
	r.must(r.s.Reopen(r.ctx, store.EmployeeKey(7)))
	equal(r, "reopened since", tally().HeldSince, reopened)
	// An alarm's incident began with the first that was held, even if that one is decided by now.
	_, began, err := r.s.Permit(r.ctx, store.GuardedEvents, 12, 20)
	r.must(err)
	later()
	h := r.take(store.Tasks, 74, "m")
	m := store.Mapping{Epoch: "e", EventID: "e", State: store.MappingLive, HeldSince: r.b.now()}
	_, err = r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Mappings: map[int64]*store.Mapping{7: &m}})
	r.must(err)
	r.must(r.s.Drop(r.ctx, store.EmployeeKey(7)))
	equal(r, "the incident since", tally().HeldSince, began)
	_, err = r.s.HoldEnded(r.ctx)
	r.must(err)
	equal(r, "the task since", tally().HeldSince, r.b.now())
}

func sinceOf(t store.Tally) []time.Time {
	return []time.Time{t.HeldSince, t.FailedSince, t.GaveUpSince, t.ErrorSince}
}
