package calendars

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// batchSize is how many tasks are looked at between two looks at the lease and the clock.
	batchSize = 10
	// readSize is how many tasks are read from the ERP at a time (rule 8.3).
	readSize = 100
	// fewTasks are so few that comparing them costs as many calls as it could save.
	fewTasks = 30
	// misplacedAgain is how soon an event in another's calendar is tried again.
	misplacedAgain = 10 * time.Second
)

// emptyForRebuild empties the calendar where an admin asked for that; the fill that
// follows puts back what ought to be there, under the same calendar id (rule 4.12).
func (p *employeePass) emptyForRebuild(ctx context.Context) error {
	if p.rec().RebuildAsked.IsZero() {
		return nil
	}
	p.emptied = true
	_, listing, err := p.list(ctx)
	if failure.Is(err, failure.Gone) {
		return nil // the fill makes another
	}
	if err != nil {
		return err
	}
	c := p.rec().Calendar
	all := slices.Concat(slices.Collect(maps.Values(listing.Events))...)
	order := events.Clearing{Employee: p.id, Calendar: c.ID, Epoch: c.Epoch, Events: all, Cause: p.order.Cause}
	done, refused, err := p.clear(ctx, order)
	// What Google does not delete stays as it is, and the fill makes it right.
	if err = cmp.Or(err, p.goOn(ctx, refused)); err != nil {
		return err
	}
	if !done {
		return errLater
	}
	p.Log.InfoContext(ctx, "calendar emptied for a rebuild", "employee", p.id, "calendar", c.ID, "events", len(all))
	return p.save(ctx, func(r *store.EmployeeRecord) { r.RebuildAsked = time.Time{} })
}

// clear deletes events a few at a time. done is false where the rest is left to another
// pass; refused is why Google does not delete one of them, nil for none.
func (p *employeePass) clear(ctx context.Context, c events.Clearing) (done bool, refused, err error) {
	for batch := range slices.Chunk(c.Events, batchSize) {
		if p.late() {
			p.unfinished = true
			return false, refused, nil
		}
		if err := p.extend(ctx); err != nil {
			return false, refused, err
		}
		c.Events = batch
		cleared, err := p.Events.Clear(ctx, c)
		p.repaired += cleared.Writes
		refused = cmp.Or(refused, cleared.Refused)
		if err != nil {
			return false, refused, err
		}
		if cleared.Busy > 0 {
			// Another holds the task; its lease ends before long.
			p.Wait(p.term.AcquiredAt().Add(p.waits.Lease))
			return false, refused, nil
		}
	}
	return true, refused, nil
}

// fill makes the calendar hold exactly what it ought to: one list of its events, the
// ERP's tasks of the employee, and what is remembered, compared; only a task that
// differs gets a pass under its lease.
func (p *employeePass) fill(ctx context.Context) error {
	if p.unruled != nil {
		return p.unruled
	}
	head, listing, err := p.list(ctx)
	if failure.Is(err, failure.Gone) && p.knownToGoogle(*p.rec().Calendar) {
		if err := p.replace(ctx); err != nil {
			return err
		}
		head, listing, err = p.list(ctx)
	}
	if err != nil {
		return err
	}
	if err := p.restore(ctx, head); err != nil {
		return err
	}
	differing, err := p.differing(ctx, listing)
	if err != nil {
		return err
	}
	first, err := p.syncEvents(ctx, differing, listing)
	if err != nil || p.unfinished {
		return err
	}
	// What somebody held is most often held for another executor of this very message,
	// and done by now, or free.
	busy, err := p.notDoneByOthers(ctx, first.Busy, listing)
	if err != nil {
		return err
	}
	again, err := p.syncEvents(ctx, busy, listing)
	if err != nil || p.unfinished {
		return err
	}
	if err := p.removeMisplaced(ctx); err != nil {
		return err
	}
	if unread := cmp.Or(first.Unread, again.Unread); unread != nil {
		return unread // as where all the tasks cannot be read
	}
	return p.recordFilled(ctx, first.Unlisted-len(first.Busy)+again.Unlisted, pass.Later(first.ParkedUntil, again.ParkedUntil))
}

// list reads all events of the calendar and sorts out the product's own.
func (p *employeePass) list(ctx context.Context) (googlecalendar.Calendar, *events.Listing, error) {
	if err := p.extend(ctx); err != nil {
		return googlecalendar.Calendar{}, nil, err
	}
	c, began := p.rec().Calendar, p.term.At(p.Now())
	head, all, err := p.Google.Events(p.calls(ctx), c.ID)
	if err == nil {
		err = p.presentShown(ctx)
	}
	if err == nil {
		err = p.reconsiderEvent(ctx, all)
	}
	if err == nil {
		err = p.awaitEventMarks(ctx, all)
	}
	if err != nil {
		return head, nil, err
	}
	ours, misplaced, copies := ownEvents(all, p.tenant, p.id)
	p.misplaced = misplaced
	p.reportDriftCount(events.DriftCopied, copies)
	if copies > 0 {
		p.Log.WarnContext(ctx, "copies of events left alone", "employee", p.id, "calendar", c.ID, "copies", copies)
	}
	listing := &events.Listing{Employee: p.id, Epoch: c.Epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{}, Began: began}
	for _, e := range ours {
		listing.Events[e.Mark.Task] = append(listing.Events[e.Mark.Task], e)
	}
	for _, of := range listing.Events {
		slices.SortFunc(of, func(a, b googlecalendar.Event) int { return cmp.Compare(b.Mark.Generation, a.Mark.Generation) })
	}
	return head, listing, nil
}

// ownEvents sorts out the events that the product made for the employee and those that
// it made for others and that somebody moved here (rule 3.11), and counts those that
// carry its mark all the same: copies, which are left alone (rule 3.2).
func ownEvents(all []googlecalendar.Event, tenant string, employee calendarsync.EmployeeID) (ours, misplaced []googlecalendar.Event, copies int64) {
	for _, e := range all {
		switch {
		case e.Owned && e.Mark.Tenant == tenant && e.Mark.Employee == employee:
			ours = append(ours, e)
		case e.Owned && e.Mark.Tenant == tenant:
			misplaced = append(misplaced, e)
		case e.Marked:
			copies++
		}
	}
	return ours, misplaced, copies
}

// removeMisplaced deletes what the list showed of events that were made for others'
// calendars, where they are made again.
func (p *employeePass) removeMisplaced(ctx context.Context) error {
	if len(p.misplaced) == 0 {
		return nil
	}
	if p.older {
		return errOlder
	}
	c := p.rec().Calendar
	p.reportDriftCount(events.DriftMisplaced, int64(len(p.misplaced)))
	p.Log.WarnContext(ctx, "events of others' calendars are removed", "employee", p.id, "calendar", c.ID, "events", len(p.misplaced))
	done, refused, err := p.clear(ctx, events.Clearing{Employee: p.id, Calendar: c.ID, Epoch: c.Epoch, Misplaced: true, Events: p.misplaced, Cause: p.order.Cause})
	err = cmp.Or(err, p.goOn(ctx, refused))
	if err == nil && !done {
		// Most often the task is held by the pass over the calendar that it belongs to.
		p.Again(p.term.AcquiredAt().Add(misplacedAgain))
		return errLater
	}
	return err
}

// differing finds the tasks whose events are not what they ought to be, as far as the
// list, the ERP and what is remembered say; a pass over each decides.
func (p *employeePass) differing(ctx context.Context, listing *events.Listing) ([]calendarsync.TaskID, error) {
	recs, err := p.Store.TasksOf(ctx, int64(p.id))
	if err != nil {
		return nil, err
	}
	open, differing, live := sortRemembered(recs, int64(p.id), listing.Epoch, p.term.AcquiredAt())
	if live > 1 && len(listing.Events) == 0 {
		p.drift.Add(DriftCalendarEmptied, 1)
	}
	ids, err := p.candidates(ctx, open, listing)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 && len(listing.Events) == 0 && len(ids) <= fewTasks {
		// Nothing is remembered and nothing is there, so whatever is to be in the calendar
		// differs. Reading the few tasks here could only tell those that are not to be in it,
		// which the reading under their leases tells as well.
		listing.ReadAt = p.term.At(p.Now())
		return append(differing, ids...), nil
	}
	known := map[calendarsync.TaskID]store.TaskRecord{}
	for _, r := range recs {
		known[calendarsync.TaskID(r.ID)] = r
	}
	readings, err := p.readTasks(ctx, ids, p.rules.Texts.Extras)
	if err != nil {
		return nil, err
	}
	listing.ReadAt = p.term.At(p.Now())
	for _, id := range ids {
		rec := known[id]
		rec.ID = int64(id)
		if events.Differs(p.rules, readings[id], rec, *p.rec(), listing) {
			differing = append(differing, id)
		}
	}
	slices.Sort(differing)
	differing = slices.Compact(differing)
	if len(differing) > 0 {
		p.Log.InfoContext(ctx, "calendar differs", "employee", p.id, "tasks", len(differing), "of", len(ids), "cause", p.order.Cause)
	}
	return differing, nil
}

// candidates are the tasks that are or might have to be in the calendar: the
// employee's open ones, their divisions' where the setting is on, those remembered,
// and those listed.
func (p *employeePass) candidates(ctx context.Context, ids []calendarsync.TaskID, listing *events.Listing) ([]calendarsync.TaskID, error) {
	states := p.rules.Catalogue.StatesWithRoles(p.rules.Settings.ShownRoles)
	for _, l := range openLists(p.rules.Settings, p.id, calendarsync.IDs[calendarsync.DivisionID](p.rec().Divisions)) {
		tasks, err := p.listTasks(ctx, l, states)
		if err != nil {
			return nil, err
		}
		ids = append(ids, tasks...)
	}
	ids = slices.AppendSeq(ids, maps.Keys(listing.Events))
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// sortRemembered sorts what tasks remember of the employee's events. open are those to be read:
// what has no event and is not to have one is not read again every night, since the ERP
// does not list it among the open tasks, nor the calendar among its events (a deleted
// event that somebody restored is among those). expired are those deleted so long ago
// that a pass may drop the memory of them; live counts the events that ought to be there.
func sortRemembered(recs []store.TaskRecord, employee int64, epoch string, now time.Time) (open, expired []calendarsync.TaskID, live int) {
	for _, rec := range recs {
		m, mapped := rec.Mapping(employee)
		switch settled := m.State == store.MappingTombstone && m.Epoch == epoch && m.HeldSince.IsZero() && m.AbsentSince.IsZero(); {
		case !mapped || settled && !m.Expired(now):
		case settled:
			expired = append(expired, calendarsync.TaskID(rec.ID))
		default:
			open = append(open, calendarsync.TaskID(rec.ID))
		}
		if mapped && m.State == store.MappingLive && m.Epoch == epoch {
			live++
		}
	}
	return open, expired, live
}

// syncEvents has the tasks' events made right, a few tasks at a time; where the
// message's time is over, the rest is left to another, which finds it differing still
// (rule 7.3). The next few are begun beside the last of those before, so that the
// calendar need not wait while their leases are acquired and they are read.
func (p *employeePass) syncEvents(ctx context.Context, tasks []calendarsync.TaskID, listing *events.Listing) (sum events.Report, err error) {
	var batches errgroup.Group
	batches.SetLimit(2)
	var mu sync.Mutex
	var failed atomic.Bool
	nearly := make(chan struct{})
	close(nearly)
	for len(tasks) > 0 {
		part := tasks[:events.Batch(len(tasks), events.MaxLeases)]
		tasks = tasks[len(part):]
		<-nearly
		if failed.Load() {
			break
		}
		if p.late() {
			p.unfinished = true
			break
		}
		if err := p.extend(ctx); err != nil {
			return sum, errors.Join(err, batches.Wait())
		}
		next := make(chan struct{})
		begin := sync.OnceFunc(func() { close(next) })
		nearly = next
		batches.Go(func() error {
			defer begin()
			report, err := p.Events.Sync(ctx, events.Order{Tasks: part, Cause: p.order.Cause, Listed: listing, Nearly: begin})
			if err != nil {
				failed.Store(true)
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			p.repaired += report.Writes
			p.drift.AddAll(report.Drift)
			p.fields.AddAll(report.Fields)
			sum.Unlisted += report.Unlisted
			sum.Unread = cmp.Or(sum.Unread, report.Unread)
			sum.Busy = append(sum.Busy, report.Busy...)
			sum.ParkedUntil = pass.Later(sum.ParkedUntil, report.ParkedUntil)
			return nil
		})
	}
	return sum, batches.Wait()
}

// notDoneByOthers gives those of the tasks that somebody held whose events are not right
// by now. One is right that was written since the list was begun, in a pass that read the
// ERP after this one did, and that nothing is left to be done about: a further pass would
// read the same and write nothing.
func (p *employeePass) notDoneByOthers(ctx context.Context, tasks []calendarsync.TaskID, listing *events.Listing) ([]calendarsync.TaskID, error) {
	var remaining []calendarsync.TaskID
	for _, id := range tasks {
		rec, _, err := p.Store.Task(ctx, int64(id))
		if err != nil {
			return nil, err
		}
		m, mapped := rec.Mapping(int64(p.id))
		done := mapped && m.State == store.MappingLive && m.Epoch == listing.Epoch && m.AnnouncedAt.After(listing.ReadAt) &&
			rec.Dirty == 0 && rec.DueAt.IsZero() && rec.Failure == nil && len(listing.Events[id]) == 0
		if !done {
			remaining = append(remaining, id)
		}
	}
	return remaining, nil
}

// recordFilled records that the calendar holds what it ought to, unless what the list
// showed of some tasks was not made use of: their holder goes by what it remembers, "no
// mapping" still does not mean "no event" (rule 3.4), and what somebody changed is not
// noticed. Waiting leaves the employee dirty, by which the next pass compares the
// calendar again.
func (p *employeePass) recordFilled(ctx context.Context, unseen int, parkedUntil time.Time) error {
	c := p.rec().Calendar
	if p.rec().State != store.StateActive {
		return failure.New(failure.Transient, fmt.Sprintf("fill the calendar of employee %d", p.id), "it is not shared yet")
	}
	if unseen > 0 {
		p.Wait(pass.Later(p.term.AcquiredAt().Add(p.waits.Lease), parkedUntil))
		return nil
	}
	if c.Listed && !c.Filled.IsZero() {
		return nil
	}
	now := p.Now().UTC()
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) {
		c.Listed = true
		if c.Filled.IsZero() {
			c.Filled = now
		}
	}))
}
