package calendars

import (
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// purge takes down everything that the employee has: an admin saw the counts and
// confirmed them by typing, so neither the ERP nor the delete guard is asked
// (rules 4.5 and 4.6). What others put into a calendar is not touched: such a
// calendar loses the share, the product's events and the mark, and stays.
func (l *employeePass) purge(ctx context.Context) error {
	if c := l.rec().Calendar; c != nil && c.ID == "" {
		// A creation of unknown outcome has to be known before it can be undone.
		if waiting, err := l.recoverIntent(ctx); err != nil || waiting {
			return err
		}
	}
	if l.rec().Calendar != nil {
		// One adopted after the database was lost, and not looked at since, may stay with
		// what others have in it, but not with the employee's access.
		if err := l.recall(ctx, l.rec().Address); err != nil {
			return err
		}
		if err := l.leave(ctx, time.Time{}); err != nil {
			return err
		}
	}
	if r := l.rec(); len(r.Retiring) > 0 && (r.State != store.StateDeleting || r.Held != "") {
		if err := l.save(ctx, func(r *store.EmployeeRecord) {
			r.State, r.Reason = store.StateDeleting, string(calendarsync.ReasonPurged)
			r.Held, r.AllowedAt = "", time.Time{}
		}); err != nil {
			return err
		}
	}
	if err := l.unshareLeaving(ctx); err != nil {
		return err
	}
	for _, c := range slices.Clone(l.rec().Retiring) {
		if err := l.extend(ctx); err != nil {
			return err
		}
		if err := l.purgeCalendar(ctx, c); err != nil {
			return err
		}
		if l.unfinished {
			return nil
		}
	}
	if err := l.forgetEvents(ctx); err != nil {
		return err
	}
	if len(l.rec().Retiring) > 0 {
		return nil // waiting
	}
	if err := l.save(ctx, func(r *store.EmployeeRecord) {
		r.State, r.Reason, r.Held, r.AllowedAt = store.StateNone, string(calendarsync.ReasonPurged), "", time.Time{}
		r.KeptFrom, r.AbsentSince, r.RebuildAsked = time.Time{}, time.Time{}, time.Time{}
	}); err != nil {
		return err
	}
	return l.blankCard(ctx)
}

// blankCard takes the calendar's id off the ERP's card, where it was written.
func (l *employeePass) blankCard(ctx context.Context) error {
	field := l.settings.CalendarIDField
	if l.rec().Card == "" || field == 0 {
		return nil
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	if err := l.k.ERP.SetEmployeeField(calls, l.id, field, ""); err != nil {
		return err
	}
	return l.save(ctx, func(r *store.EmployeeRecord) { r.Card = "" })
}

func (l *employeePass) purgeCalendar(ctx context.Context, c store.CalendarRecord) error {
	calls, cancel := l.calls(ctx)
	defer cancel()
	have, err := l.k.Google.Calendar(calls, c.ID)
	switch {
	case failure.Is(err, failure.Gone):
		return l.purgedByOthers(ctx, calls, c)
	case err != nil:
		return err
	case !l.marked(have, c):
		// Somebody made it theirs, or an earlier look did and died before it said so.
		l.k.Log.WarnContext(ctx, "calendar without the mark left alone", "employee", l.id, "calendar", c.ID)
		return l.k.Store.KeepFromPurge(ctx, &l.lease, c.ID, result(l.activity("calendar.keep", c.ID), nil))
	}
	_, all, err := l.k.Google.Events(calls, c.ID)
	if failure.Is(err, failure.Gone) {
		return l.purgedByOthers(ctx, calls, c)
	}
	if err != nil {
		return err
	}
	var ours []googlecalendar.Event
	for _, e := range all {
		if e.Owned && e.Mark.Tenant == l.tenant && e.Mark.Employee == l.id {
			ours = append(ours, e)
		}
	}
	if len(ours) == len(all) {
		return l.deleteLeaving(ctx, calls, c, true)
	}
	return l.clearForOthers(ctx, have, c, ours)
}

// purgedByOthers forgets a calendar that its owner deleted. A single "not found" is
// not believed: after the purge nobody would look for it any more.
func (l *employeePass) purgedByOthers(ctx, calls context.Context, c store.CalendarRecord) error {
	there, err := l.stillThere(ctx, c.ID)
	if err != nil {
		return err
	}
	if there {
		return failure.New(failure.Transient, "delete calendar "+c.ID, "Google says that it is gone, and shows it")
	}
	return l.deleteLeaving(ctx, calls, c, false)
}

// clearForOthers takes the product's events and its mark out of a calendar that
// stays because of what others have in it. A call announced before the calendar
// left may still be on its way, so it is listed once more when that cannot be any
// longer; only then is the mark taken off.
func (l *employeePass) clearForOthers(ctx context.Context, have googlecalendar.Calendar, c store.CalendarRecord, ours []googlecalendar.Event) error {
	done, err := l.clear(ctx, events.Clearing{Employee: l.id, Calendar: c.ID, Epoch: c.Epoch, Retiring: true, Events: ours, Cause: l.order.Cause})
	if err != nil || !done {
		return err
	}
	if c.Cleared.IsZero() {
		c.Cleared = l.taken()
		if err := l.save(ctx, func(r *store.EmployeeRecord) {
			r.Retiring = slices.Clone(r.Retiring)
			for i := range r.Retiring {
				if r.Retiring[i].ID == c.ID {
					r.Retiring[i].Cleared = c.Cleared
				}
			}
		}); err != nil {
			return err
		}
	}
	if quiet := c.Cleared.Add(2 * l.k.waits.Lease); l.taken().Before(quiet) {
		l.wait(quiet)
		return nil
	}
	calls, cancel := l.calls(ctx)
	defer cancel()
	activity := l.activity("calendar.keep", c.ID)
	if err := l.announced(ctx, activity, unchanged); err != nil {
		return err
	}
	if err := l.k.Google.Disown(calls, have); err != nil {
		if saveErr := l.save(ctx, unchanged, result(activity, err)); saveErr != nil {
			return saveErr
		}
		return err
	}
	l.k.Log.WarnContext(ctx, "calendar stays, because others have events in it", "employee", l.id, "calendar", c.ID)
	return l.k.Store.KeepFromPurge(ctx, &l.lease, c.ID, result(activity, nil))
}

// clear deletes events a few at a time. done is false where the rest is left to
// another look.
func (l *employeePass) clear(ctx context.Context, c events.Clearing) (done bool, err error) {
	for batch := range slices.Chunk(c.Events, batchSize) {
		if !l.order.Until.IsZero() && l.k.Deps.Now().After(l.order.Until) {
			l.unfinished = true
			return false, nil
		}
		if err := l.extend(ctx); err != nil {
			return false, err
		}
		part := c
		part.Events = batch
		writes, left, err := l.k.Events.Clear(ctx, part)
		l.repaired += writes
		if err != nil {
			return false, err
		}
		if left > 0 {
			// Another holds the task; its lease ends before long.
			l.wait(l.taken().Add(l.k.waits.Lease))
			return false, nil
		}
	}
	return true, nil
}

// wipe empties the calendar for a rebuild that an admin asked for; the fill that
// follows puts back what ought to be there, under the same calendar id. done is
// false where the rest is left to another look.
func (l *employeePass) wipe(ctx context.Context) (done bool, err error) {
	if l.rec().RebuildAsked.IsZero() {
		return true, nil
	}
	_, seen, err := l.list(ctx)
	if failure.Is(err, failure.Gone) {
		return true, nil // the fill makes another
	}
	if err != nil {
		return false, err
	}
	c := l.rec().Calendar
	order := events.Clearing{Employee: l.id, Calendar: c.ID, Epoch: c.Epoch, Cause: l.order.Cause}
	for _, of := range seen.Events {
		order.Events = append(order.Events, of...)
	}
	if done, err := l.clear(ctx, order); err != nil || !done {
		return false, err
	}
	l.k.Log.InfoContext(ctx, "calendar emptied for a rebuild", "employee", l.id, "calendar", c.ID, "events", len(order.Events))
	return true, l.save(ctx, func(r *store.EmployeeRecord) { r.RebuildAsked = time.Time{} })
}

// adoptForPurge puts calendars with the product's mark that the state does not know
// on their employees' records, so that the purge finds them.
func (k *Syncer) adoptForPurge(ctx context.Context, tenant string) error {
	account, err := k.Account.Account(ctx)
	if err != nil {
		return err
	}
	list, err := k.Google.Calendars(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if !c.Marked || c.Mark.Tenant != tenant {
			continue
		}
		if err := k.Store.AddRetiring(ctx, int64(c.Mark.Employee), remembered(c, account)); err != nil {
			return err
		}
	}
	return nil
}
