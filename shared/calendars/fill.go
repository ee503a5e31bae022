package calendars

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

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
	// readSize is how many tasks are read from the ERP at a time (rule 8.3).
	readSize = 100
)

// fill makes the calendar hold exactly what it ought to: one list of its events,
// the ERP's tasks of the employee, and what is remembered, compared; only what
// differs is looked at under its task's lease.
func (l *employeePass) fill(ctx context.Context, rules *calendarsync.Rules, name, address string) error {
	head, seen, err := l.list(ctx)
	if failure.Is(err, failure.Gone) {
		if waiting, err := l.replace(ctx, name, address); err != nil || waiting {
			return err
		}
		head, seen, err = l.list(ctx)
	}
	if err != nil {
		return err
	}
	if err := l.restore(ctx, head, name); err != nil {
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
	l.noticeEmptied(recs, seen)
	ids, err := l.candidates(ctx, rules, known, seen)
	if err != nil {
		return err
	}
	// A tombstone past its time is dropped by a look at its task.
	differing := l.expired(recs)
	compare := func(readings map[calendarsync.TaskID]calendarsync.TaskReading, ids []calendarsync.TaskID) {
		for _, id := range ids {
			rec, ok := known[id]
			if !ok {
				rec = store.TaskRecord{ID: int64(id)}
			}
			if events.Differs(rules, readings[id], rec, *l.rec(), seen) {
				differing = append(differing, id)
			}
		}
	}
	readings, rest := l.readAhead(ids)
	compare(readings, slices.Collect(maps.Keys(readings)))
	for part := range slices.Chunk(rest, readSize) {
		if err := l.extend(ctx); err != nil {
			return err
		}
		calls, cancel := l.calls(ctx)
		readings, err := l.k.ERP.Tasks(calls, part)
		cancel()
		if err != nil {
			return err
		}
		compare(readings, part)
	}
	slices.Sort(differing)
	differing = slices.Compact(differing)
	if len(differing) > 0 {
		l.k.Log.InfoContext(ctx, "calendar differs", "employee", l.id, "tasks", len(differing), "of", len(ids), "cause", l.order.Cause)
	}
	first, err := l.sync(ctx, differing, seen)
	if err != nil || l.unfinished {
		return err
	}
	// What somebody held is most often held for another executor of this very run,
	// and free by now.
	again, err := l.sync(ctx, first.Busy, seen)
	if err != nil || l.unfinished {
		return err
	}
	unseen, parked := first.Unseen-len(first.Busy)+again.Unseen, first.ParkedUntil
	if again.ParkedUntil.After(parked) {
		parked = again.ParkedUntil
	}
	c := l.rec().Calendar
	if l.rec().State != store.StateActive {
		return failure.New(failure.Transient, fmt.Sprintf("fill the calendar of employee %d", l.id), "it is not shared yet")
	}
	if unseen > 0 {
		// What the list showed of those tasks was not made use of. Their holder goes by
		// what it remembers: "no mapping" still does not mean "no event" (rule 3.4),
		// and what somebody changed is not noticed. Waiting leaves a mark on the
		// employee, by which the next look is an audit again.
		again := l.taken().Add(l.k.waits.Lease)
		if parked.After(again) {
			again = parked
		}
		l.wait(again)
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

// sync has the tasks looked at a few at a time; where the message's time is over,
// the rest is left to another, in which it differs still (rule 7.3).
func (l *employeePass) sync(ctx context.Context, tasks []calendarsync.TaskID, seen *events.Listing) (events.Report, error) {
	var sum events.Report
	for part := range slices.Chunk(tasks, batchSize) {
		if !l.order.Until.IsZero() && l.k.Deps.Now().After(l.order.Until) {
			l.unfinished = true
			return sum, nil
		}
		if err := l.extend(ctx); err != nil {
			return sum, err
		}
		report, err := l.k.Events.Sync(ctx, events.Order{Tasks: part, Cause: l.order.Cause, Listed: seen})
		if err != nil {
			return sum, err
		}
		l.repaired += report.Writes
		l.drift, l.fields = summed(l.drift, report.Drift), summed(l.fields, report.Fields)
		sum.Unseen += report.Unseen
		sum.Busy = append(sum.Busy, report.Busy...)
		if report.ParkedUntil.After(sum.ParkedUntil) {
			sum.ParkedUntil = report.ParkedUntil
		}
	}
	return sum, nil
}

// list reads all events of the calendar and sorts out the product's own.
func (l *employeePass) list(ctx context.Context) (googlecalendar.Calendar, *events.Listing, error) {
	if err := l.extend(ctx); err != nil {
		return googlecalendar.Calendar{}, nil, err
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	c := l.rec().Calendar
	head, all, err := l.k.Google.Events(calls, c.ID)
	if err != nil {
		return head, nil, err
	}
	seen := &events.Listing{Employee: l.id, Epoch: c.Epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{}}
	var copies int64
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
	l.found(events.DriftCopied, copies)
	if copies > 0 {
		l.k.Log.WarnContext(ctx, "copies of events left alone", "employee", l.id, "calendar", c.ID, "copies", copies)
	}
	return head, seen, nil
}

// candidates are the tasks that are or might have to be in the calendar: the
// employee's open ones, their divisions' where the setting is on, those
// remembered, and those seen.
func (l *employeePass) candidates(ctx context.Context, rules *calendarsync.Rules, known map[calendarsync.TaskID]store.TaskRecord, seen *events.Listing) ([]calendarsync.TaskID, error) {
	calls, cancel := l.calls(ctx)
	defer cancel()
	states := rules.Catalogue.StatesWithRoles(rules.Settings.ShownRoles)
	var ids []calendarsync.TaskID
	if len(states) > 0 {
		// No lower bound of the date: an open task stays however old it gets.
		own, err := l.listTasks(calls, userside.TaskFilter{Employee: l.id, States: states})
		if err != nil {
			return nil, err
		}
		ids = append(ids, own...)
		if rules.Settings.IncludeDepartments {
			// Whether a filter by employee covers tasks of their divisions is not
			// documented (shared/userside/README.md), so each division is asked for.
			for _, d := range l.rec().Divisions {
				shared, err := l.listTasks(calls, userside.TaskFilter{Division: calendarsync.DivisionID(d), States: states})
				if err != nil {
					return nil, err
				}
				ids = append(ids, shared...)
			}
		}
	}
	for id, rec := range known {
		// What has no event here and is not to have one is not read again every night:
		// the ERP does not list it among the open tasks, nor the calendar among its
		// events. A deleted event that somebody restored is among those.
		if m, mapped := rec.Mapping(int64(l.id)); mapped && !settled(m, l.rec().Calendar.Epoch) {
			ids = append(ids, id)
		}
	}
	for id := range seen.Events {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// settled reports whether a mapping only remembers that an event was deleted.
func settled(m store.Mapping, epoch string) bool {
	return m.State == store.MappingTombstone && m.Epoch == epoch && m.HeldSince.IsZero() && m.AbsentSince.IsZero()
}

// expired are the tasks whose event was deleted so long ago that its memory may go.
func (l *employeePass) expired(recs []store.TaskRecord) []calendarsync.TaskID {
	var ids []calendarsync.TaskID
	for _, rec := range recs {
		if m, mapped := rec.Mapping(int64(l.id)); mapped && settled(m, l.rec().Calendar.Epoch) && m.Expired(l.taken()) {
			ids = append(ids, calendarsync.TaskID(rec.ID))
		}
	}
	return ids
}

// noticeEmptied reports a calendar that lost all of several events at once.
func (l *employeePass) noticeEmptied(recs []store.TaskRecord, seen *events.Listing) {
	live := 0
	for _, rec := range recs {
		if m, mapped := rec.Mapping(int64(l.id)); mapped && m.State == store.MappingLive && m.Epoch == seen.Epoch {
			live++
		}
	}
	if live > 1 && len(seen.Events) == 0 {
		l.notice(DriftCalendarEmptied)
	}
}

func summed(a, b map[string]int64) map[string]int64 {
	for k, n := range b {
		if a == nil {
			a = map[string]int64{}
		}
		a[k] += n
	}
	return a
}

// replace makes a new calendar for one that was deleted by hand: a new epoch,
// the same from (rule 3.5). The old one is taken down like any that
// leaves: should it be there after all, it does not stay beside the new one.
func (l *employeePass) replace(ctx context.Context, name, address string) (waiting bool, err error) {
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
	l.notice(DriftCalendarDeleted)
	if waiting, err := l.create(ctx, name, address); err != nil || waiting {
		return waiting, err
	}
	l.repaired++
	return l.share(ctx, address)
}
