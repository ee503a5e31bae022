package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Clearing is an order of an admin to delete the product's own events of one
// calendar, as a complete list has just shown them.
type Clearing struct {
	Employee calendarsync.EmployeeID
	Calendar string
	Epoch    string
	// Retiring: the calendar is no longer the employee's, and what is remembered of
	// its events goes too. Otherwise they are tombstones, to be revived.
	Retiring bool
	Events   []googlecalendar.Event
	Cause    queue.Cause
}

// Clear deletes the events, each under its task's lease and announced like every
// write. It reads no ERP: that they go was decided by an admin who saw how many
// there are, whatever the ERP says (rule 4.6). left counts those whose task
// another holds, and those changed since the list; they are to be listed and tried
// again. The first failure ends it.
func (w *Syncer) Clear(ctx context.Context, c Clearing) (writes, left int, err error) {
	// The highest generation last: it is what is remembered (rule 3.3).
	slices.SortFunc(c.Events, func(a, b googlecalendar.Event) int {
		return cmp.Or(cmp.Compare(a.Mark.Task, b.Mark.Task), cmp.Compare(a.Mark.Generation, b.Mark.Generation))
	})
	for _, e := range c.Events {
		done, err := w.clear(ctx, c, e)
		switch {
		case err != nil:
			return writes, left, err
		case done:
			writes++
		default:
			left++
		}
	}
	return writes, left, nil
}

func (w *Syncer) clear(ctx context.Context, c Clearing, e googlecalendar.Event) (done bool, err error) {
	began := w.Deps.Now()
	lease, outcome, err := w.Deps.Store.AcquireTask(ctx, int64(e.Mark.Task), store.Claim{TTL: w.waits.Lease, Token: w.NewID()})
	if err != nil || outcome != store.Acquired {
		return false, err
	}
	term := pass.NewTerm(began, lease.Until, w.waits.Lease)
	calls, cancel := term.Calls(ctx, w.Deps.Now())
	defer cancel()
	id := int64(c.Employee)
	m := store.Mapping{
		Epoch: c.Epoch, EventID: e.ID, Generation: e.Mark.Generation, State: store.MappingDeleting,
		Sequence: e.Sequence, Deadline: term.IntentDeadline(),
	}
	now := w.Deps.Now().UTC()
	activity := store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d", lease.Token, id), At: now, Action: calendarsync.Delete.String(), Task: int64(e.Mark.Task), Employee: id,
		Calendar: c.Calendar, Event: e.ID, Cause: string(c.Cause), Before: e.Mark.Hash, ExpiresAt: now.Add(store.ActivityKept),
	}
	// What was known before the lease, and is not the event's own, is still to be
	// looked at: a change not applied, a failure, a reading to be repeated.
	rests := lease.Dirty == 1 && lease.Record.Failure == nil && atRest(lease.Record, id)
	before, mapped := lease.Record.Mapping(id)
	refused, failed := w.Deps.Store.IntendTask(ctx, &lease, []store.Intent{{Employee: id, Mapping: m, Activity: activity, Retiring: c.Retiring}})
	o := store.TaskOutcome{Mappings: map[int64]*store.Mapping{}}
	if failed == nil && len(refused) == 0 {
		failed = w.Google.DeleteEvent(calls, c.Calendar, e.ID, e.ETag)
		if failure.Is(failed, failure.Gone) {
			// Nobody looks for it again: it has to be said twice.
			failed = w.Google.DeleteEvent(calls, c.Calendar, e.ID, e.ETag)
		}
		activity.Result = "done"
		switch {
		case failed == nil || failure.Is(failed, failure.Gone):
			done, failed = true, nil
			m.State, m.ETag, m.Owner, m.Deadline = store.MappingTombstone, "", "", time.Time{}
			m.GoneAt = term.AcquiredAt()
			if o.Mappings[id] = &m; c.Retiring {
				o.Mappings[id] = nil
				o.Concerned = slices.DeleteFunc(slices.Clone(lease.Record.Employees), func(e int64) bool { return e == id })
			}
		case failure.IsAmbiguous(failed) || errors.Is(failed, context.DeadlineExceeded):
			// The intent stays open: the event is read before the next write.
			activity.Result = string(failure.KindOf(failed))
		default:
			activity.Result = string(failure.KindOf(failed))
			if o.Mappings[id] = &before; !mapped {
				o.Mappings[id] = nil
			}
			if failure.Is(failed, failure.Conflict) {
				failed = nil // changed since it was listed
			}
		}
		o.Activity = []store.ActivityRecord{activity}
		w.Log.InfoContext(ctx, "event cleared", "task", e.Mark.Task, "employee", id, "event", e.ID, "cause", c.Cause, "result", activity.Result)
	}
	if !rests {
		o.Result = store.Result{Waiting: true, RetryAt: term.AcquiredAt()}
	}
	for {
		released, err := w.Deps.Store.SettleTask(ctx, &lease, o)
		if err != nil {
			return false, err
		}
		if released {
			return done, failed
		}
		// Marked dirty meanwhile: for Poll, at once.
		o.Result = store.Result{Waiting: true, RetryAt: term.AcquiredAt()}
	}
}

// atRest reports whether nothing is under way or in doubt for anybody else.
func atRest(rec store.TaskRecord, but int64) bool {
	for _, id := range rec.Mapped() {
		if m, _ := rec.Mapping(id); id != but && (m.Open() || !m.AbsentSince.IsZero() || !m.HeldSince.IsZero()) {
			return false
		}
	}
	return true
}
