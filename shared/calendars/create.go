package calendars

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// createTimeout bounds the call that makes a calendar; its intent's deadline.
const createTimeout = 25 * time.Second

// create makes a calendar where there is none, once the queue for calendars grants one
// (rule 6.5) and Google wants it.
func (p *employeePass) create(ctx context.Context) error {
	if p.rec().Calendar != nil {
		return nil
	}
	p.created = true
	release, err := p.createAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := p.awaitReadable(ctx); err != nil {
		return err
	}
	account, err := p.Account.Account(ctx)
	if err != nil {
		return err
	}
	if found, err := p.searchLost(ctx); err != nil || found {
		return err
	}
	// The lease may have run for a while; a creation gets a full stretch.
	if err := p.extend(ctx); err != nil {
		return err
	}
	activity := p.activity("calendar.create", "")
	intent := p.newIntent(account)
	calls, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	if err := p.reserve(ctx, intent, activity, account); err != nil {
		return err
	}
	made, err := p.Google.CreateCalendar(calls, intent.Name, intent.Zone, p.mark(intent))
	activity.Calendar = made.ID
	empty := intentMade(made.ID, true) // just made, it is empty: "no mapping" means "no event"
	learned := ofCalendar(func(c *store.CalendarRecord) {
		c.ReturnedName, c.ReturnedZone = returned(made, intent.Name, intent.Zone)
	})
	var change func(*store.EmployeeRecord)
	lost := failure.IsAmbiguous(err)
	p.countRefused(ctx, err, store.CreatingCalendars, account)
	switch {
	case err == nil:
		change = func(r *store.EmployeeRecord) { empty(r); learned(r) }
		p.pause.Accepted(ctx)
		p.Log.InfoContext(ctx, "calendar created", "employee", p.id, "calendar", made.ID, "cause", p.order.Cause)
	case lost:
	default:
		change = func(r *store.EmployeeRecord) { r.Calendar = nil }
	}
	if err := p.save(ctx, change, pass.Outcome(activity, err)); err != nil {
		return err
	}
	if err == nil {
		return p.checkMark(ctx, made, p.mark(intent))
	}
	if lost {
		// It may have been made: the list shows it, but not yet (rule 3.6).
		return p.later(intent.Deadline.Add(p.waits.Intent))
	}
	return err
}

// reserve writes the intent, if the employee is first in the queue.
func (p *employeePass) reserve(ctx context.Context, intent store.CalendarRecord, activity store.ActivityRecord, account store.AccountRecord) error {
	position, err := p.Store.ReserveCreation(ctx, &p.lease, store.NewCreation{
		Intent: intent, PerHour: p.waits.CalendarsPerHour, Caps: p.caps(account), NotBefore: p.pause.Until(account), Activity: activity,
	})
	if err != nil || position.Granted {
		return err
	}
	if position.At.IsZero() {
		position.At = p.term.AcquiredAt() // one was adopted meanwhile: another pass
	}
	p.Log.InfoContext(ctx, "calendar waits in the queue", "employee", p.id, "before", position.Before, "about", position.At)
	return p.laterInQueue(position.At)
}

// queueAgain is how often at least who waits for a calendar or a share asks again: there may
// be room earlier than they were told, where Google refused what somebody else had reserved.
const queueAgain = time.Hour

// laterInQueue ends the pass of one who was told when there is room.
func (p *employeePass) laterInQueue(at time.Time) error {
	if soon := p.term.AcquiredAt().Add(queueAgain); soon.Before(at) {
		at = soon
	}
	return p.later(at)
}

// caps are those of creations in force: the configured ones, and what refusals taught.
func (p *employeePass) caps(account store.AccountRecord) store.Caps {
	return account.Learned.In(store.Caps{
		CalendarsPerHour: p.waits.CalendarsPerHour, CalendarsPerDay: p.waits.CalendarsPerDay, SharesPerDay: p.waits.SharesPerDay,
	}, p.term.AcquiredAt())
}

// countRefused has a calendar or share that Google refused count no more, so that one whom it
// refuses again and again uses up nobody's day; what a limit of Google's teaches is recorded
// with it (rule 6.5), before the pause, which then holds for every instance. What may have
// been made all the same counts as made.
func (p *employeePass) countRefused(ctx context.Context, refusal error, what store.Creation, account store.AccountRecord) {
	f, refused := errors.AsType[*failure.Error](refusal)
	if !refused || f.Ambiguous {
		return
	}
	p.countOut(ctx, what, account.Sub, f.Kind == failure.Exhausted && f.Reason == failure.ReasonQuota)
}

// countOut has what was not made count no more. Where that fails it counts for its day.
func (p *employeePass) countOut(ctx context.Context, what store.Creation, account string, limit bool) {
	if err := p.Store.CreationRefused(ctx, account, what, limit); err != nil {
		p.Log.WarnContext(ctx, "could not count out what was not made", "employee", p.id, "of", what, "error", err)
	}
}

// newIntent describes the calendar to be made: with a life of its own, and the from of
// the one that it replaces (rule 3.5).
func (p *employeePass) newIntent(account store.AccountRecord) store.CalendarRecord {
	from := p.rec().KeptFrom
	if from.IsZero() {
		// RFC 3339 in the mark has no fractions.
		from = p.term.AcquiredAt().Add(-time.Duration(p.settings.BackfillHours) * time.Hour).UTC().Truncate(time.Second)
	}
	return store.CalendarRecord{
		Epoch: p.NewID(), From: from, Name: p.name, Zone: p.settings.TimeZone, Address: p.address, Account: account.Sub,
		Deadline: p.term.AcquiredAt().Add(createTimeout),
	}
}

// intentMade records the calendar that an intent led to.
func intentMade(id string, listed bool) func(*store.EmployeeRecord) {
	return func(r *store.EmployeeRecord) {
		ofCalendar(func(c *store.CalendarRecord) { c.ID, c.Listed = id, listed })(r)
		// Nothing is left to be emptied of one that an admin asked to rebuild.
		r.KeptFrom, r.Creation, r.RebuildAsked, r.Lost = time.Time{}, nil, time.Time{}, nil
	}
}

// search looks in the account's list for the calendar of an intent, by its mark, and records it
// as the employee's.
func (p *employeePass) search(ctx context.Context, intent store.CalendarRecord) (found bool, err error) {
	list, err := p.Google.Calendars(p.calls(ctx))
	if err != nil {
		return false, err
	}
	// Of two with one epoch the smaller id wins (rule 3.6).
	list = slices.DeleteFunc(ofTenant(list, p.tenant), func(have googlecalendar.Calendar) bool {
		return have.Mark.Employee != p.id || have.Mark.Epoch != intent.Epoch
	})
	if list, err = p.preferAnswering(p.calls(ctx), list, store.FoundRecord{}); err != nil || len(list) == 0 {
		return false, err
	}
	p.Log.InfoContext(ctx, "calendar found by its mark", "employee", p.id, "calendar", list[0].ID, "of", len(list))
	return true, p.save(ctx, func(r *store.EmployeeRecord) {
		r.Calendar = &intent
		intentMade(list[0].ID, false)(r)
		r.Retiring = slices.Clone(r.Retiring)
		for _, further := range list[1:] {
			extra := *r.Calendar
			extra.ID, extra.Extra = further.ID, true
			r.Retiring = append(r.Retiring, extra)
		}
	})
}

// lostLasts is for how long a creation whose answer was lost is searched for once more before
// another is made: nobody knows how late a list may be (rule 3.6).
const lostLasts = 24 * time.Hour

// searchLost searches for such a creation. Its lists are apart like those before.
func (p *employeePass) searchLost(ctx context.Context) (found bool, err error) {
	lost := p.rec().Lost
	if lost == nil || calendarsync.NormalAddress(lost.Address) != calendarsync.NormalAddress(p.address) {
		return false, nil // of a former address it is nobody's any more, and the full run's
	}
	if since := p.term.AcquiredAt().Sub(lost.Deadline); since < p.waits.Intent/5 || since > lostLasts {
		return false, nil
	}
	if err := p.extend(ctx); err != nil {
		return false, err
	}
	return p.search(ctx, *lost)
}

// recoverIntent looks for a calendar whose creation was announced and never confirmed
// (rule 3.6): it has to be known before anything else. Not too early, since the call may
// still be on its way; and only what two lists lack was never made.
func (p *employeePass) recoverIntent(ctx context.Context) error {
	if p.rec().Calendar == nil || p.rec().Calendar.ID != "" {
		return nil
	}
	c := *p.rec().Calendar
	if due := c.Deadline.Add(p.waits.Intent + time.Duration(c.Searches)*p.waits.Intent/5); p.term.AcquiredAt().Before(due) {
		return p.later(due)
	}
	if err := p.extend(ctx); err != nil {
		return err
	}
	found, err := p.search(ctx, c)
	switch {
	case err != nil || found:
		return err
	case c.Searches == 0:
		if err := p.save(ctx, ofCalendar(func(c *store.CalendarRecord) {
			c.Searches = 1
			// However late the first search came, the second keeps its distance.
			if late := p.term.AcquiredAt().Add(-p.waits.Intent); late.After(c.Deadline) {
				c.Deadline = late
			}
		})); err != nil {
			return err
		}
		return p.later(p.term.AcquiredAt().Add(p.waits.Intent / 5))
	default:
		// Twice not there: the call never took effect, and counts for nothing (rule 6.5). Should
		// the list be a late one, it is searched once more before another is made.
		c.Deadline = p.term.AcquiredAt()
		if err := p.save(ctx, func(r *store.EmployeeRecord) { r.Calendar, r.Lost = nil, &c }); err != nil {
			return err
		}
		p.countOut(ctx, store.CreatingCalendars, c.Account, false)
		return nil
	}
}
