package events

import (
	"cmp"
	"context"
	"slices"

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
	// Misplaced: they are own events of others' calendars that somebody moved into this
	// one; what is remembered of theirs is not touched.
	Misplaced bool
	Events    []googlecalendar.Event
	Cause     queue.Cause
}

// Cleared is what came of a Clearing.
type Cleared struct {
	Writes int
	// Busy counts the events whose task another holds: they may soon be free.
	Busy int
	// Refused is why Google did not delete the first of those that it refuses; nil for none.
	Refused error
}

// Clear deletes the events, each in a pass over its task. It reads no ERP: that they
// go was decided by an admin who saw how many there are, whatever the ERP says
// (rules 4.10 and 4.12). One that Google refuses to delete costs none of the others
// (rule 7.2); any other failure ends it.
func (s *Syncer) Clear(ctx context.Context, c Clearing) (Cleared, error) {
	// The highest generation last: it is what is remembered (rule 3.3).
	slices.SortFunc(c.Events, func(a, b googlecalendar.Event) int {
		return cmp.Or(cmp.Compare(a.Mark.Task, b.Mark.Task), cmp.Compare(a.Mark.Generation, b.Mark.Generation))
	})
	var sum Cleared
	for _, e := range c.Events {
		done, err := s.clear(ctx, c, e)
		switch {
		case pass.ConcernsOneThing(err):
			sum.Refused = cmp.Or(sum.Refused, err)
		case err != nil:
			return sum, err
		case done:
			sum.Writes++
		default:
			sum.Busy++
		}
	}
	return sum, nil
}

// clear deletes one event under its task's lease. done is false where another holds the
// task, or the calendar is not to be written any more.
func (s *Syncer) clear(ctx context.Context, c Clearing, e googlecalendar.Event) (done bool, err error) {
	t, outcome, err := s.acquireOne(ctx, Order{Cause: c.Cause}, e.Mark.Task, s.Now())
	if err != nil || outcome != store.Acquired {
		return false, err
	}
	t.basis.tenant = e.Mark.Tenant
	calls, cancel := t.term.Calls(ctx, s.Now())
	defer cancel()
	t.begin()
	atRest := t.atRestBut(int64(c.Employee))
	erase := t.erase
	if c.Misplaced {
		erase = t.eraseMisplaced
	}
	done, failed := erase(ctx, calls, c, e)
	for released := false; !released; {
		if !atRest {
			// For Poll, at once: the task was not looked at.
			t.result.Wait(t.acquiredAt())
		}
		if released, err = t.settle(ctx); err != nil {
			return false, err
		}
		atRest = false // marked dirty meanwhile
	}
	return done, failed
}

// atRestBut reports whether nothing was known before the lease, but for one
// employee's event, that is still to be looked at: a change not applied, a failure,
// an open intent, a reading to be repeated.
func (t *taskPass) atRestBut(employee int64) bool {
	rec := t.lease.Record
	return t.lease.Dirty == 1 && rec.Failure == nil && !slices.ContainsFunc(rec.Mapped(), func(id int64) bool {
		m, _ := rec.Mapping(id)
		return id != employee && (m.Open() || !m.AbsentSince.IsZero() || !m.HeldSince.IsZero())
	})
}

// erase announces the deletion of one event, makes it, and notes what it came to.
func (t *taskPass) erase(ctx, calls context.Context, c Clearing, e googlecalendar.Event) (done bool, err error) {
	id := int64(c.Employee)
	p := &party{
		id: id, record: store.EmployeeRecord{ID: id, Calendar: &store.CalendarRecord{ID: c.Calendar, Epoch: c.Epoch}},
		mapping: store.Mapping{Epoch: c.Epoch, EventID: e.ID, Generation: e.Mark.Generation, Sequence: e.Sequence}, mapped: true,
	}
	p.actual.Sent = e.Mark.Hash
	w := &write{party: p, judgement: judgement{action: calendarsync.Delete}, retiring: c.Retiring}
	before, mapped := t.lease.Record.Mapping(id)
	t.prepare(w)
	if w.before = &before; !mapped {
		w.before = nil
	}
	rejected, err := t.announce(ctx, []write{*w})
	if err != nil || len(rejected) > 0 {
		return false, err
	}
	found, err := t.deleteOwn(calls, p, e.ID, e.ETag)
	err = listedAndNotFound(e, found, err)
	t.record(ctx, w, written{gone: true, err: err})
	if err == nil {
		t.doubles = slices.DeleteFunc(slices.Clone(t.lease.Record.Doubles), func(d store.Double) bool {
			return d.Employee == id && (c.Retiring || d.Generation == e.Mark.Generation)
		})
	}
	if err == nil && c.Retiring {
		t.mappings[id] = nil
		t.concerned = slices.DeleteFunc(slices.Clone(t.lease.Record.Employees), func(e int64) bool { return e == id })
	}
	return err == nil, err
}

// listedAndNotFound makes a failure of it that Google does not find an event that a list
// has just shown: the next list tells which was wrong (rule 3.9).
func listedAndNotFound(e googlecalendar.Event, found bool, err error) error {
	if err == nil && !found {
		return failure.New(failure.Gone, "delete "+e.String(), "a list shows it, and it is not found")
	}
	return err
}

// eraseMisplaced deletes an event that is ours and stands in a calendar that it was not
// made for (rule 3.11), announced like any other write.
func (t *taskPass) eraseMisplaced(ctx, calls context.Context, c Clearing, e googlecalendar.Event) (done bool, err error) {
	p := &party{id: int64(c.Employee), record: store.EmployeeRecord{Calendar: &store.CalendarRecord{ID: c.Calendar, Epoch: c.Epoch}}}
	a := t.newActivity(p, "event.delete-misplaced", e.ID, e.Mark.Hash)
	rejected, err := t.s.Store.IntendTask(ctx, &t.lease, []store.Intent{{
		Employee: p.id, Mapping: store.Mapping{Epoch: c.Epoch}, Activity: a, Unmapped: true, Retiring: c.Retiring,
	}})
	if err != nil || len(rejected) > 0 {
		return false, err
	}
	owner := *p
	owner.id = int64(e.Mark.Employee)
	found, err := t.deleteOwn(calls, &owner, e.ID, e.ETag)
	err = listedAndNotFound(e, found, err)
	t.activity = append(t.activity, pass.Outcome(a, err))
	return err == nil, err
}
