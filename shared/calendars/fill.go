package calendars

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	// batchSize is how many tasks are handed to the event writer at a time.
	batchSize = 10
	// readSize is how many tasks are read from the ERP at a time (protocol.md §8.3).
	readSize = 100
)

// fill makes the calendar hold exactly what it ought to: one list of its events,
// the ERP's tasks of the employee, and what is remembered, compared; only what
// differs is looked at under its task's lease.
func (l *look) fill(ctx context.Context, rules *calendarsync.Rules, name, address string) error {
	seen, err := l.list(ctx)
	if failure.Is(err, failure.Gone) {
		if waiting, err := l.replace(ctx, name, address); err != nil || waiting {
			return err
		}
		seen, err = l.list(ctx)
	}
	if err != nil {
		return err
	}
	recs, err := l.k.Store.TasksOf(ctx, int64(l.id))
	if err != nil {
		return err
	}
	known := map[calendarsync.TaskID]store.TaskRecord{}
	for _, r := range recs {
		known[calendarsync.TaskID(r.ID)] = r
	}
	ids, err := l.candidates(ctx, rules, known, seen)
	if err != nil {
		return err
	}
	var differing []calendarsync.TaskID
	for part := range slices.Chunk(ids, readSize) {
		if err := l.extend(ctx); err != nil {
			return err
		}
		calls, cancel := l.calls(ctx)
		readings, err := l.k.ERP.Tasks(calls, part)
		cancel()
		if err != nil {
			return err
		}
		for _, id := range part {
			rec, ok := known[id]
			if !ok {
				rec = store.TaskRecord{ID: int64(id)}
			}
			if events.Differs(rules, readings[id], rec, *l.rec(), seen) {
				differing = append(differing, id)
			}
		}
	}
	if len(differing) > 0 {
		l.k.Log.InfoContext(ctx, "calendar differs", "employee", l.id, "tasks", len(differing), "of", len(ids), "cause", l.order.Cause)
	}
	unseen := 0
	for part := range slices.Chunk(differing, batchSize) {
		if !l.order.Until.IsZero() && l.k.Deps.Now().After(l.order.Until) {
			// The rest differs still when the next message looks (protocol.md §7.3).
			l.unfinished = true
			return nil
		}
		if err := l.extend(ctx); err != nil {
			return err
		}
		report, err := l.k.Events.Sync(ctx, events.Order{Tasks: part, Cause: l.order.Cause, Seen: seen})
		if err != nil {
			return err
		}
		l.repaired += report.Writes
		unseen += report.Unseen
	}
	c := l.rec().Calendar
	if l.rec().State != store.StateActive {
		return failure.New(failure.Transient, fmt.Sprintf("fill the calendar of employee %d", l.id), "it is not shared yet")
	}
	if !c.Listed && unseen > 0 {
		// What the list showed of those tasks is remembered nowhere yet, so that
		// "no mapping" still does not mean "no event" (protocol.md §3.4).
		l.wait(l.taken().Add(time.Minute))
		return nil
	}
	if c.Listed && !c.Filled.IsZero() {
		return nil
	}
	now := l.k.Deps.Now().UTC()
	return l.save(ctx, func(r *store.EmployeeRecord) {
		c := *r.Calendar
		c.Listed = true
		if c.Filled.IsZero() {
			c.Filled = now
		}
		r.Calendar = &c
	})
}

// list reads all events of the calendar and sorts out the product's own.
func (l *look) list(ctx context.Context) (*events.Sighting, error) {
	if err := l.extend(ctx); err != nil {
		return nil, err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	c := l.rec().Calendar
	all, err := l.k.Google.Events(calls, c.ID)
	if err != nil {
		return nil, err
	}
	seen := &events.Sighting{Employee: l.id, Epoch: c.Epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{}}
	copies := 0
	for _, e := range all {
		if e.Owned && e.Mark.Tenant == l.tenant && e.Mark.Employee == l.id {
			seen.Events[e.Mark.Task] = append(seen.Events[e.Mark.Task], e)
		} else if e.Marked {
			copies++
		}
	}
	for task := range seen.Events {
		slices.SortFunc(seen.Events[task], func(a, b googlecalendar.Event) int { return cmp.Compare(b.Mark.Generation, a.Mark.Generation) })
	}
	if copies > 0 {
		l.k.Log.WarnContext(ctx, "copies of events left alone", "employee", l.id, "calendar", c.ID, "copies", copies)
	}
	return seen, nil
}

// candidates are the tasks that are or might have to be in the calendar: the
// employee's open ones, their divisions' where the setting is on, those
// remembered, and those seen.
func (l *look) candidates(ctx context.Context, rules *calendarsync.Rules, known map[calendarsync.TaskID]store.TaskRecord, seen *events.Sighting) ([]calendarsync.TaskID, error) {
	calls, cancel := l.calls(ctx)
	defer cancel()
	states := rules.Catalogue.StatesWithRoles(rules.Settings.ShownRoles)
	var ids []calendarsync.TaskID
	if len(states) > 0 {
		// No lower bound of the date: an open task stays however old it gets.
		own, err := l.k.ERP.ListTasks(calls, userside.TaskFilter{Employee: l.id, States: states})
		if err != nil {
			return nil, err
		}
		ids = append(ids, own...)
		if rules.Settings.IncludeDepartments {
			// Whether a filter by employee covers tasks of their divisions is not
			// documented (userside.md §3), so each division is asked for.
			for _, d := range l.rec().Divisions {
				shared, err := l.k.ERP.ListTasks(calls, userside.TaskFilter{Division: calendarsync.DivisionID(d), States: states})
				if err != nil {
					return nil, err
				}
				ids = append(ids, shared...)
			}
		}
	}
	for id := range known {
		ids = append(ids, id)
	}
	for id := range seen.Events {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// replace makes a new calendar for one that was deleted by hand: a new epoch,
// the same from (protocol.md §3.5). The old one is taken down like any that
// leaves: should it be there after all, it does not stay beside the new one.
func (l *look) replace(ctx context.Context, name, address string) (waiting bool, err error) {
	gone := *l.rec().Calendar
	calls, cancel := l.calls(ctx)
	defer cancel()
	if _, err := l.k.Google.Calendar(calls, gone.ID); err == nil {
		return false, failure.New(failure.Transient, "list the events of calendar "+gone.ID, "Google has the calendar, but not its events")
	} else if !failure.Is(err, failure.Gone) {
		return false, err
	}
	l.k.Log.WarnContext(ctx, "calendar was deleted at Google", "employee", l.id, "calendar", gone.ID)
	if err := l.leave(ctx, gone.From); err != nil {
		return false, err
	}
	if waiting, err := l.create(ctx, name, address); err != nil || waiting {
		return waiting, err
	}
	l.repaired++
	return l.share(ctx, address)
}
