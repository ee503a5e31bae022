package calendars

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// purge removes everything that the employee has: an admin saw the counts and confirmed
// them by typing, so neither the ERP nor the delete guard is asked (rule 4.10).
// What others put into a calendar is not touched: such a calendar loses the share, the
// product's events and the mark, and stays.
func (p *employeePass) purge(ctx context.Context) error {
	return inOrder(ctx,
		p.recoverIntent, // a creation of unknown outcome has to be known before it can be undone
		// One adopted after the database was lost, and not looked into since, may stay
		// with what others have in it, but not with the employee's access.
		p.recall,
		p.retireCalendar,
		p.showPurging,
		p.unshareRetiring,
		p.purgeRetiring,
		p.recordPurged,
		p.writeCard,
	)
}

func (p *employeePass) showPurging(ctx context.Context) error {
	if r := p.rec(); len(r.Retiring) == 0 || r.State == store.StateDeleting && r.Held == "" {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		r.State, r.Reason = store.StateDeleting, string(calendarsync.ReasonPurged)
		r.Held, r.AllowedAt = "", time.Time{}
	})
}

// purgeRetiring purges each calendar, and then forgets their events.
func (p *employeePass) purgeRetiring(ctx context.Context) error {
	for _, c := range slices.Clone(p.rec().Retiring) {
		if err := p.extend(ctx); err != nil {
			return err
		}
		if err := p.goOn(ctx, p.purgeCalendar(ctx, c)); err != nil {
			return err
		}
		if p.unfinished {
			return errLater
		}
	}
	if len(p.rec().Retiring) > 0 {
		return errLater // what is remembered tells whose an event without its mark is
	}
	return p.forgetEvents(ctx)
}

func (p *employeePass) recordPurged(ctx context.Context) error {
	return p.save(ctx, func(r *store.EmployeeRecord) {
		r.State, r.Reason, r.Held, r.AllowedAt, r.KeptFor = store.StateNone, string(calendarsync.ReasonPurged), "", time.Time{}, ""
		r.KeptFrom, r.AbsentSince, r.RebuildAsked = time.Time{}, time.Time{}, time.Time{}
	})
}

// purgeCalendar deletes one calendar, or takes the product's part out of it.
func (p *employeePass) purgeCalendar(ctx context.Context, c store.CalendarRecord) error {
	found, err := p.inspect(ctx, c, true)
	if err != nil {
		return err
	}
	switch fate := judgeRetiring(found, true); {
	case fate == inDoubt, (fate == madeTheirs || fate == holdsOthers) && shared(c):
		return nil // forgotten, the access would stay
	case fate == madeTheirs:
		// Or an earlier pass took the mark off and died before it said so.
		p.Log.WarnContext(ctx, "calendar without the mark left alone", "employee", p.id, "calendar", c.ID)
		return p.write(ctx, write{action: "calendar.keep", calendar: c.ID, record: p.keepFromPurge(c.ID)})
	case fate == holdsOthers:
		return p.clearForOthers(ctx, found, c)
	}
	return p.deleteCalendar(ctx, c, found.exists)
}

// clearForOthers takes the product's events and its mark out of a calendar that stays
// because of what others have in it. A call announced before the calendar was retired
// may still be on its way, so it is listed once more when that cannot be any longer;
// only then is the mark taken off.
func (p *employeePass) clearForOthers(ctx context.Context, found inspection, c store.CalendarRecord) error {
	order := events.Clearing{Employee: p.id, Calendar: c.ID, Epoch: c.Epoch, Retiring: true, Misplaced: true, Events: found.misplaced, Cause: p.order.Cause}
	done, refused, err := p.clear(ctx, order)
	if err != nil || !done {
		return err
	}
	order.Misplaced, order.Events = false, found.ours
	done, refusedToo, err := p.clear(ctx, order)
	// The mark is not taken off a calendar that still holds events of ours.
	if err = cmp.Or(err, refused, refusedToo); err != nil || !done {
		return err
	}
	if c.Cleared.IsZero() {
		c.Cleared = p.term.AcquiredAt()
		if err := p.save(ctx, ofRetiring(c.ID, func(have *store.CalendarRecord) { have.Cleared = c.Cleared })); err != nil {
			return err
		}
	}
	if quiet := c.Cleared.Add(2 * p.waits.Lease); p.term.AcquiredAt().Before(quiet) {
		p.Wait(quiet)
		return nil
	}
	return p.write(ctx, write{
		action: "calendar.keep", calendar: c.ID,
		call: func(calls context.Context) error {
			err := p.Google.Disown(calls, found.head)
			if err == nil {
				p.Log.WarnContext(ctx, "calendar stays, because others have events in it", "employee", p.id, "calendar", c.ID)
			}
			return err
		},
		record: p.keepFromPurge(c.ID),
	})
}

func (p *employeePass) keepFromPurge(calendar string) func(context.Context, store.ActivityRecord) error {
	return func(ctx context.Context, a store.ActivityRecord) error {
		return p.Store.KeepFromPurge(ctx, &p.lease, calendar, a)
	}
}
