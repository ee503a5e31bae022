package calendars

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// remove deletes the calendar of an employee who is to have none. The order is that of
// rule 5.2: the delete guard is asked before an absence costs even the share, then the
// share goes, then the calendar.
func (p *employeePass) remove(ctx context.Context) error {
	return inOrder(ctx,
		p.recoverIntent, // a creation of unknown outcome has to be known before it can be undone
		p.dequeueUnwanted,
		p.permitAbsent,
		p.retireCalendar,
		p.showDeleting,
		p.unshareRetiring,
		p.deleteRetiring,
		p.holdRemaining,
		p.recordRemoved,
	)
}

// dequeueUnwanted gives up the place in the queue of one who wants no calendar any
// more, so that nobody waits behind them. Of whom that is not certain yet, the place
// stays, and by and by counts no more.
func (p *employeePass) dequeueUnwanted(ctx context.Context) error {
	if p.rec().Creation == nil || p.absent && p.employee != nil {
		return nil
	}
	return p.Store.DequeueCreation(ctx, &p.lease)
}

// permitAbsent asks the delete guard before anything is taken from one whom the ERP
// merely lacks. What it holds goes on meanwhile (rule 4.4).
func (p *employeePass) permitAbsent(ctx context.Context) error {
	c := p.rec().Calendar
	if c == nil || !p.absent {
		return nil
	}
	permitted, err := p.permit(ctx)
	if err != nil {
		return err
	}
	if !permitted {
		// One that its owner deleted cannot be held: its tasks would wait for ever.
		gone, err := p.presentGone(ctx)
		if err != nil || gone {
			return err
		}
		return p.hold(ctx, true)
	}
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.Permitted, c.PermittedAt = true, p.term.AcquiredAt() }))
}

// retireCalendar retires the calendar of one who is to have none, nor one that was
// replaced and might turn up.
func (p *employeePass) retireCalendar(ctx context.Context) error {
	if slices.ContainsFunc(p.rec().Retiring, wasReplaced) {
		if err := p.save(ctx, func(r *store.EmployeeRecord) {
			r.Retiring = slices.Clone(r.Retiring)
			for i := range r.Retiring {
				r.Retiring[i].ReplacedAt = time.Time{}
			}
		}); err != nil {
			return err
		}
	}
	return p.retire(ctx)
}

// retire moves the present calendar to those that are on their way out; from now on no
// event is written to it (rule 1.6).
func (p *employeePass) retire(ctx context.Context) error {
	return p.retireAs(ctx, time.Time{}, nil)
}

// retireAs retires the present calendar after a change of its record; nil for none. from is
// that of the calendar to come, zero for one of its own (rule 3.5).
func (p *employeePass) retireAs(ctx context.Context, from time.Time, change func(*store.CalendarRecord)) error {
	if p.rec().Calendar == nil {
		return nil
	}
	if p.older {
		return errOlder
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		if r.Calendar == nil {
			return
		}
		if r.Calendar.ID != "" {
			c := *r.Calendar
			c.ReplaceAsked = time.Time{} // that was for a new one, and not to forget this one sooner
			if c.Address == "" {
				// Adopted after the database was lost, and not looked into since: shared, if at
				// all, with the address on the card.
				c.Address = r.Address
			}
			if change != nil {
				change(&c)
			}
			r.Retiring = append(slices.Clone(r.Retiring), c)
		}
		r.Calendar, r.State, r.KeptFrom = nil, store.StatePending, from
	})
}

func (p *employeePass) showDeleting(ctx context.Context) error {
	if len(p.rec().Retiring) == 0 || p.rec().Held != "" || p.rec().State == store.StateDeleting {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason = store.StateDeleting, p.reason })
}

// deleteRetiring forgets the events of the calendars that are retiring and deletes
// them, each only after its mark was read in this very pass (rule 3.6).
func (p *employeePass) deleteRetiring(ctx context.Context) error {
	if len(p.rec().Retiring) == 0 {
		return nil
	}
	// First, because nobody would look for them once the calendars are forgotten.
	if err := p.forgetEvents(ctx); err != nil {
		return err
	}
	for _, c := range slices.Clone(p.rec().Retiring) {
		if err := p.extend(ctx); err != nil {
			return err
		}
		refused := p.deleteIfAllowed(ctx, c)
		if err := p.goOn(ctx, refused); err != nil {
			return err
		}
		if refused != nil {
			p.undeleted = append(p.undeleted, c.ID)
		}
	}
	return nil
}

// forgetEvents drops what tasks remember of events in calendars of the employee that
// are no longer theirs: their epoch is dead, so nobody can announce a write to one.
func (p *employeePass) forgetEvents(ctx context.Context) error {
	alive := ""
	if c := p.rec().Calendar; c != nil {
		alive = c.Epoch
	}
	recs, err := p.Store.TasksOf(ctx, int64(p.id))
	if err != nil {
		return err
	}
	stale := slices.DeleteFunc(recs, func(rec store.TaskRecord) bool {
		m, mapped := rec.Mapping(int64(p.id))
		return !mapped || m.Epoch == alive
	})
	if err := p.countEvents(ctx, stale); err != nil {
		return err
	}
	for batch := range slices.Chunk(stale, batchSize) {
		if err := p.extend(ctx); err != nil {
			return err
		}
		for _, task := range batch {
			if err := p.Store.ForgetMapping(ctx, task.ID, int64(p.id), alive); err != nil {
				return err
			}
		}
	}
	return nil
}

// countEvents remembers how many events the retiring calendars hold, before the tasks
// forget them: an admin who decides about a held calendar is told.
func (p *employeePass) countEvents(ctx context.Context, tasks []store.TaskRecord) error {
	counts := map[string]int{}
	for _, t := range tasks {
		if m, mapped := t.Mapping(int64(p.id)); mapped && m.State == store.MappingLive {
			counts[m.Epoch]++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		r.Retiring = slices.Clone(r.Retiring)
		for i := range r.Retiring {
			// A pass that died behind this counts what it had not forgotten once more.
			r.Retiring[i].Events = max(r.Retiring[i].Events, counts[r.Retiring[i].Epoch])
		}
	})
}

// deleteIfAllowed does with one retiring calendar what judgeRetiring says.
func (p *employeePass) deleteIfAllowed(ctx context.Context, c store.CalendarRecord) error {
	if !c.Cleared.IsZero() {
		// A purge that was stopped found in it what others put there, and emptied it of
		// everything else already: it goes no further than the purge would have gone.
		return p.purgeCalendar(ctx, c)
	}
	found, err := p.inspect(ctx, c, c.Extra)
	if err != nil {
		return err
	}
	if c.Extra && found.marked {
		p.drift.Add(DriftCalendarExtra, 1)
	}
	fate := judgeRetiring(found, c.Extra)
	if kept, err := p.replacedOutOfReach(ctx, c, found, fate); err != nil || kept {
		return err
	}
	switch {
	case fate == inDoubt:
		return nil
	case fate == notThere:
		return p.deleteCalendar(ctx, c, false)
	case wasReplaced(c):
		// It turned up in this moment: the next pass decides which of the two stays.
		p.Again(p.term.AcquiredAt())
		return nil
	case (fate == madeTheirs || fate == holdsOthers) && shared(c):
		return nil // forgotten, the access would stay
	case fate == madeTheirs:
		return p.save(ctx, withoutRetiring(c.ID))
	case fate == unmarked && p.keptByAdmin():
		return nil
	case fate == unmarked:
		return failure.New(failure.Forbidden, fmt.Sprintf("delete calendar %s of employee %d", c.ID, p.id),
			"its description does not carry this product's mark any more; delete it by hand if it is not needed")
	case fate == holdsOthers:
		return p.relinquish(ctx, c)
	}
	if permitted, err := p.permitRetiring(ctx, c); err != nil || !permitted {
		return err
	}
	return p.deleteCalendar(ctx, c, true)
}

// inspection is what was read of a retiring calendar in this very pass.
type inspection struct {
	exists bool
	// doubtful: Google says that it is gone, and that is not certain yet (rule 3.9), or does
	// not give marks back, so that what is whose cannot be seen (rule 3.14).
	doubtful bool
	// marked: it carries the very mark that it was made with.
	marked bool
	head   googlecalendar.Calendar
	// ours are the product's events in it, misplaced those that it made for others'
	// calendars; others: somebody else has some too.
	ours, misplaced []googlecalendar.Event
	others          bool
}

// marked reports whether a calendar carries the very mark that it was made with.
func (p *employeePass) marked(have googlecalendar.Calendar, c store.CalendarRecord) bool {
	return have.Marked && have.Mark.Tenant == p.tenant && have.Mark.Employee == p.id && have.Mark.Epoch == c.Epoch
}

// inspect reads a retiring calendar before anything is decided about it, and, of a
// marked one, its events where they matter.
func (p *employeePass) inspect(ctx context.Context, c store.CalendarRecord, events bool) (found inspection, err error) {
	var all []googlecalendar.Event
	if found.head, err = p.Google.Calendar(p.calls(ctx), c.ID); err == nil {
		found.exists, found.marked = true, p.marked(found.head, c)
		if events && found.marked {
			_, all, err = p.Google.Events(p.calls(ctx), c.ID)
			found.ours, found.misplaced, _ = ownEvents(all, p.tenant, p.id)
			found.others = len(found.ours)+len(found.misplaced) < len(all)
		}
	}
	if failure.Is(err, failure.Gone) {
		// Forgotten too early, nobody would look for it, or it would pass for one that
		// nobody remembers.
		sure, err := p.goneForSure(ctx, c, retiringOne(c.ID))
		return inspection{doubtful: !sure}, err
	}
	if err == nil {
		err = p.notGone(ctx, c, retiringOne(c.ID))
	}
	if err == nil {
		found.doubtful, err = p.marksDoubtful(ctx, found, c, all)
	}
	return found, err
}

// fate is what may become of a retiring calendar.
type fate int

const (
	// inDoubt: Google says that it is gone, or shows no marks, and neither is believed yet.
	inDoubt fate = iota
	// notThere: its owner deleted it; there is nothing left to do but to forget it.
	notThere
	// unmarked: without its mark nothing says that it is the product's to delete.
	unmarked
	// madeTheirs: the same, and whoever took the mark off is to have it.
	madeTheirs
	// holdsOthers: somebody else has events in it.
	holdsOthers
	// deletable, if the delete guard grants it or nobody has to ask.
	deletable
)

// judgeRetiring decides what may become of a retiring calendar: only one that carries
// its own mark may be deleted. Where others are spared, which is of extras (rule 3.6) and
// in a purge (rule 4.10), it must hold nobody else's events either.
func judgeRetiring(found inspection, spareOthers bool) fate {
	switch {
	case found.doubtful:
		return inDoubt
	case !found.exists:
		return notThere
	case !found.marked && spareOthers:
		return madeTheirs
	case !found.marked:
		return unmarked
	case spareOthers && found.others:
		return holdsOthers
	default:
		return deletable
	}
}

// relinquish leaves a further calendar to whoever has events in it. The next full run
// reports it again (rule 3.6).
func (p *employeePass) relinquish(ctx context.Context, c store.CalendarRecord) error {
	alone, err := p.Store.Relinquish(ctx, &p.lease, c.ID)
	switch {
	case err == nil && alone:
		p.Log.WarnContext(ctx, "a further calendar holds events of somebody else and is left alone", "employee", p.id, "calendar", c.ID)
	case err == nil:
		p.Again(p.term.AcquiredAt()) // a purge has begun
	}
	return err
}

// deleteCalendar deletes a calendar whose mark was just read, or forgets one that does
// not exist.
func (p *employeePass) deleteCalendar(ctx context.Context, c store.CalendarRecord, exists bool) error {
	w := write{action: "calendar.delete", calendar: c.ID, done: withoutRetiring(c.ID)}
	if exists {
		w.call = func(calls context.Context) error {
			err := p.Google.DeleteCalendar(calls, c.ID)
			if failure.Is(err, failure.Gone) {
				// It was there a moment ago, and an answer may have been lost: the next pass looks.
				err = failure.Wrap(failure.Transient, "delete calendar "+c.ID, err)
			}
			if err == nil {
				p.Log.InfoContext(ctx, "calendar deleted", "employee", p.id, "calendar", c.ID, "cause", p.order.Cause)
			}
			return err
		}
	}
	if err := p.write(ctx, w); err != nil {
		return err
	}
	return p.forgetMarksOf(ctx, c.ID)
}

// holdRemaining has what the delete guard did not let go wait for an admin.
func (p *employeePass) holdRemaining(ctx context.Context) error {
	switch remaining := p.rec().Retiring; {
	case slices.ContainsFunc(remaining, p.awaitsAdmin):
		return p.hold(ctx, false)
	case len(remaining) > 0:
		return errLater
	}
	return nil
}

// recordRemoved records that the employee has no calendar any more, and forgets one who
// is not in the ERP either.
func (p *employeePass) recordRemoved(ctx context.Context) error {
	if p.rec().State != store.StateNone || p.rec().Reason != p.reason {
		if err := p.save(ctx, func(r *store.EmployeeRecord) {
			r.State, r.Reason, r.KeptFrom = store.StateNone, p.reason, time.Time{}
			r.Held, r.AllowedAt, r.KeptFor = "", time.Time{}, ""
		}); err != nil {
			return err
		}
	}
	if p.employee == nil {
		p.forgotten = true
		return nil
	}
	return p.writeCard(ctx)
}
