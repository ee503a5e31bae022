package calendars

import (
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// goneThoughNamed is how long a calendar has to be gone that the account's list still
	// names, or whose rules are listed: both of a deleted one may stay
	// (shared/googlecalendar/README.md, G2 and G16).
	goneThoughNamed = 24 * time.Hour
	// listedWithin is within what time of its making a calendar that exists is taken to be in the
	// account's list (shared/googlecalendar/README.md, G15).
	listedWithin = 24 * time.Hour
	// listedLooks is how often such a calendar is looked for at most; with the usual waits that is a
	// day, too.
	listedLooks = 24
	// goneAgain is how often such a calendar is looked for meanwhile.
	goneAgain = time.Hour
)

// ofOne changes one calendar of the employee's record: ofCalendar, or retiringOne.
type ofOne func(change func(*store.CalendarRecord)) func(*store.EmployeeRecord)

func retiringOne(id string) ofOne {
	return func(change func(*store.CalendarRecord)) func(*store.EmployeeRecord) { return ofRetiring(id, change) }
}

// goneForSure reports whether a calendar counts as gone of which Google has just said
// so: after two complete looks far enough apart, with nothing between them that said
// otherwise (rule 3.9). Until then it stays what it is, and another look is asked for.
func (p *employeePass) goneForSure(ctx context.Context, c store.CalendarRecord, of ofOne) (bool, error) {
	if p.older {
		return false, errOlder
	}
	if err := p.extend(ctx); err != nil {
		return false, err
	}
	calls := p.calls(ctx)
	if err := p.lookForGone(calls, c.ID); err != nil {
		if !failure.Is(err, failure.Gone) {
			return false, err
		}
	} else {
		if err := p.notGone(ctx, c, of); err != nil {
			return false, err
		}
		return false, failure.New(failure.Transient, "read calendar "+c.ID, "Google said that it is gone, and shows it")
	}
	since := c.GoneSince
	if since.IsZero() {
		// From the answer, not from the lease: the second look has to be that much later.
		since = p.term.At(p.Now())
		p.Log.WarnContext(ctx, "calendar not found at Google", "employee", p.id, "calendar", c.ID)
		if err := p.save(ctx, of(func(c *store.CalendarRecord) { c.GoneSince = since })); err != nil {
			return false, err
		}
	}
	if !c.ReplaceAsked.IsZero() {
		return true, nil
	}
	named := false
	if second := since.Add(p.waits.Absence); !p.term.AcquiredAt().Before(second) {
		list, err := p.Google.Calendars(calls)
		if err != nil {
			return false, err
		}
		named = slices.ContainsFunc(list, func(have googlecalendar.Calendar) bool { return have.ID == c.ID })
		if !named { // a new one may be listed late, and what has rules exists (G15)
			if named, err = p.listsRules(ctx, c); err != nil {
				return false, err
			}
		}
	}
	again := lookAgain(since, p.term.AcquiredAt(), p.waits.Absence, named)
	if again.IsZero() {
		if again = p.mayBeListedYet(c); again.IsZero() {
			return true, nil
		}
	}
	p.Again(again)
	return false, nil
}

// mayBeListedYet is when to look again for a retiring calendar that no list names because it is
// a new one (G15); zero: it is none. Forgotten, it would keep its reader if it turned up.
func (p *employeePass) mayBeListedYet(c store.CalendarRecord) time.Time {
	if present := p.rec().Calendar; present != nil && present.ID == c.ID {
		return time.Time{} // its employee waits for another one; of two, one goes (rule 3.10)
	}
	now, listed := p.term.AcquiredAt(), c.Deadline.Add(min(listedWithin, listedLooks*p.goneAgain()))
	if !now.Before(listed) {
		return time.Time{}
	}
	if again := now.Add(p.goneAgain()); again.Before(listed) {
		return again
	}
	return listed
}

// goneAgain is how long such a calendar is left alone between two looks: an hour, and less where
// ABSENCE_SECONDS is set to less than the usual ten minutes.
func (p *employeePass) goneAgain() time.Duration { return min(goneAgain, 6*p.waits.Absence) }

// lookForGone asks Google for a calendar in both ways in which it can be read: it is
// gone only if both say so.
func (p *employeePass) lookForGone(calls context.Context, calendar string) error {
	if _, _, err := p.Google.Events(calls, calendar); !failure.Is(err, failure.Gone) {
		return err
	}
	_, err := p.Google.Calendar(calls, calendar)
	return err
}

// lookAgain is when to look again for a calendar that is gone since a time; zero: it
// is gone for sure. named: the account's list still names it, or its rules are listed.
func lookAgain(since, now time.Time, absence time.Duration, named bool) time.Time {
	if second := since.Add(absence); now.Before(second) {
		return second
	}
	if last := since.Add(max(absence, goneThoughNamed)); named && now.Before(last) {
		if again := now.Add(goneAgain); again.Before(last) {
			return again
		}
		return last
	}
	return time.Time{}
}

// notGone takes back that a calendar was said to be gone: Google has shown it.
func (p *employeePass) notGone(ctx context.Context, c store.CalendarRecord, of ofOne) error {
	if c.GoneSince.IsZero() && c.ReplaceAsked.IsZero() {
		return nil
	}
	p.Log.InfoContext(ctx, "calendar is there after all", "employee", p.id, "calendar", c.ID)
	return p.save(ctx, func(r *store.EmployeeRecord) {
		of(func(c *store.CalendarRecord) { c.GoneSince, c.ReplaceAsked = time.Time{}, time.Time{} })(r)
		switch calendarsync.Reason(r.Reason) {
		case calendarsync.ReasonCalendarGone, calendarsync.ReasonCalendarUnreachable:
			r.Reason = ""
		}
	})
}

// presentShown notes that Google has shown the employee's calendar.
func (p *employeePass) presentShown(ctx context.Context) error {
	if p.rec().Calendar == nil {
		return nil
	}
	return p.notGone(ctx, *p.rec().Calendar, ofCalendar)
}

// replace makes a new calendar for one that was deleted by hand, once that is certain:
// a new epoch, the same from (rule 3.5).
func (p *employeePass) replace(ctx context.Context) error {
	gone := *p.rec().Calendar
	sure, err := p.goneForSure(ctx, gone, ofCalendar)
	if err != nil {
		return err
	}
	if gone.GoneSince.IsZero() {
		p.drift.Add(DriftCalendarDeleted, 1) // by this run, which does not wait for the second look
	}
	exists, err := p.listsRules(ctx, gone)
	switch {
	case err != nil:
		return err
	case exists && gone.ReplaceAsked.IsZero():
		// Another one beside it would be a second that nobody can delete.
		p.Again(p.term.AcquiredAt().Add(goneAgain))
		return p.showReason(ctx, calendarsync.ReasonCalendarUnreachable)
	case gone.ReplaceAsked.IsZero() && p.rec().Reason == string(calendarsync.ReasonCalendarUnreachable):
		// It existed when its rules were listed last: only from now on can it be gone.
		since := p.term.At(p.Now())
		if err := p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.GoneSince = since })); err != nil {
			return err
		}
		p.Again(since.Add(p.waits.Absence))
		return p.showReason(ctx, calendarsync.ReasonCalendarGone)
	case !sure:
		return p.showReason(ctx, calendarsync.ReasonCalendarGone)
	}
	if err := p.permitReplacement(ctx); err != nil {
		return err
	}
	p.Log.WarnContext(ctx, "calendar is replaced", "employee", p.id, "calendar", gone.ID, "exists", exists)
	// The old one retires like any other, but is looked for anew, and one that was gone
	// may turn up.
	if err := p.retireAs(ctx, gone.From, func(c *store.CalendarRecord) {
		c.GoneSince = time.Time{}
		if !exists {
			c.ReplacedAt = p.term.AcquiredAt()
		}
	}); err != nil {
		return err
	}
	if err := p.unshareRetiring(ctx); err != nil {
		return err
	}
	if err := p.create(ctx); err != nil {
		return err
	}
	p.repaired++
	return p.share(ctx)
}

// presentGone reports whether the employee's calendar is gone for sure.
func (p *employeePass) presentGone(ctx context.Context) (bool, error) {
	c := *p.rec().Calendar
	if _, err := p.Google.Calendar(p.calls(ctx), c.ID); failure.Is(err, failure.Gone) {
		sure, err := p.goneForSure(ctx, c, ofCalendar)
		if err != nil || !sure {
			return false, err
		}
		exists, err := p.listsRules(ctx, c)
		return !exists, err
	} else if err != nil {
		return false, err
	}
	return false, p.notGone(ctx, c, ofCalendar)
}

// rulesShown notes that a calendar in doubt exists, because its rules were listed.
func (p *employeePass) rulesShown(ctx context.Context) error {
	unreachable := string(calendarsync.ReasonCalendarUnreachable)
	if p.rec().Calendar.GoneSince.IsZero() || p.rec().Reason == unreachable {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) { r.Reason = unreachable })
}

// listsRules reports whether Google lists who reads a calendar that it says is gone. Then
// the calendar exists: it is out of this client's reach, which rules are not (rule 3.9).
func (p *employeePass) listsRules(ctx context.Context, c store.CalendarRecord) (bool, error) {
	_, err := p.Google.Rules(p.calls(ctx), c.ID)
	if failure.Is(err, failure.Gone) {
		return false, nil
	}
	return err == nil, err
}

// showReason has the employee's state say why nothing is written, and ends the pass.
func (p *employeePass) showReason(ctx context.Context, reason calendarsync.Reason) error {
	if p.rec().Reason != string(reason) {
		if err := p.save(ctx, func(r *store.EmployeeRecord) { r.Reason = string(reason) }); err != nil {
			return err
		}
	}
	return errLater
}

// permitReplacement asks the delete guard before a calendar that is gone is replaced:
// many at once are rather Google's mistake than their owner's doing (rule 4.3). What an
// admin asked for by name is granted.
func (p *employeePass) permitReplacement(ctx context.Context) error {
	c := *p.rec().Calendar
	if c.ReplaceAsked.IsZero() && !(c.Permitted && p.term.AcquiredAt().Sub(c.PermittedAt) <= permission) {
		permitted, err := p.permit(ctx)
		if err != nil {
			return err
		}
		if !permitted {
			p.reason = string(calendarsync.ReasonCalendarGone)
			return p.hold(ctx, true)
		}
	}
	return p.save(ctx, func(r *store.EmployeeRecord) {
		ofCalendar(func(c *store.CalendarRecord) { c.Permitted, c.PermittedAt = true, p.term.AcquiredAt() })(r)
		r.Held, r.AllowedAt, r.Reason = "", time.Time{}, ""
	})
}

// knownToGoogle reports whether Google ought to know the calendar by now: one just made
// can be unknown for a while.
func (p *employeePass) knownToGoogle(c store.CalendarRecord) bool {
	return p.rec().State == store.StateActive || p.term.AcquiredAt().After(c.Deadline.Add(p.waits.Intent))
}
