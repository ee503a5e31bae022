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

// unreadableAgain is how often one who waits because marks do not come back is looked at.
const unreadableAgain = time.Hour

// createAlone has this process make one calendar at a time until it has seen a mark come
// back: where Google loses them, one calendar is enough to find out (rule 3.14). release
// lets the next one go.
func (p *employeePass) createAlone(ctx context.Context) (release func(), err error) {
	if p.markSeen.Load() != 0 {
		return func() {}, nil
	}
	if err := p.creating.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	release = func() { p.creating.Release(1) }
	// It may have waited for others, and for what they found out.
	err = p.extend(ctx)
	if err == nil {
		var in store.InstallationRecord
		in, err = p.Store.Installation(p.calls(ctx))
		p.unreadable, p.unreadableEvent = in.Unreadable, in.UnreadableEvent
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// awaitReadable ends the pass while marks do not come back: what is made now would never
// be found again.
func (p *employeePass) awaitReadable(ctx context.Context) error {
	for _, noted := range []**store.UnreadableMark{&p.unreadable, &p.unreadableEvent} {
		if err := p.forgetUnseen(ctx, noted); err != nil {
			return err
		}
	}
	if now := p.term.AcquiredAt(); !p.unreadable.Stops(now) && !p.unreadableEvent.Stops(now) {
		return nil
	}
	if reason := string(calendarsync.ReasonMarkUnreadable); p.rec().State != store.StatePending || p.rec().Reason != reason {
		if err := p.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason = store.StatePending, reason }); err != nil {
			return err
		}
	}
	return p.later(p.term.AcquiredAt().Add(unreadableAgain))
}

// forgetUnseen takes back what was noted of a calendar that is no longer the employee's, or of
// an event in one that nobody remembers. Nobody would ever see its mark again: the next thing
// to be made shows whether they come back.
func (p *employeePass) forgetUnseen(ctx context.Context, noted **store.UnreadableMark) error {
	u := *noted
	if u == nil {
		return nil
	}
	whose, _, err := p.Store.Employee(ctx, u.Employee)
	current := whose.Calendar != nil && whose.Calendar.ID == u.Calendar
	retiring := slices.ContainsFunc(whose.Retiring, func(c store.CalendarRecord) bool { return c.ID == u.Calendar })
	if err != nil || current || retiring && u.Event != "" {
		return err
	}
	return p.noteReadable(ctx, noted)
}

// forgetMarksOf takes back what was noted of a calendar that is no more, or of an event in it: an
// alarm that nobody could end any more.
func (p *employeePass) forgetMarksOf(ctx context.Context, calendar string) error {
	for _, noted := range []**store.UnreadableMark{&p.unreadable, &p.unreadableEvent} {
		if *noted != nil && (*noted).Calendar == calendar {
			if err := p.noteReadable(ctx, noted); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMark looks for the mark in the answer to a creation, and, where it is not, in the
// calendar itself, once.
func (p *employeePass) checkMark(ctx context.Context, made googlecalendar.Calendar, mark calendarsync.CalendarMark) error {
	carries := func(c googlecalendar.Calendar) bool { return c.Marked && c.Mark.Line() == mark.Line() }
	if !carries(made) {
		have, err := p.Google.Calendar(p.calls(ctx), made.ID)
		if err != nil || !carries(have) {
			return p.noteUnreadable(ctx, made.ID)
		}
	}
	p.markSeen.Store(p.Now().UnixNano())
	return nil
}

func (p *employeePass) noteUnreadable(ctx context.Context, calendar string) error {
	p.Log.ErrorContext(ctx, "Google does not give a calendar's mark back: nothing is created until it does", "employee", p.id, "calendar", calendar)
	u := store.UnreadableMark{Employee: int64(p.id), Calendar: calendar}
	p.unreadable = &u
	if err := p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.MarkLost = c.MarkLost || c.ID == calendar })); err != nil {
		return err
	}
	return p.Store.NoteUnreadable(ctx, u)
}

// noteReadable takes back what was noted.
func (p *employeePass) noteReadable(ctx context.Context, noted **store.UnreadableMark) error {
	u := **noted
	p.Log.InfoContext(ctx, "nothing is known any more of a mark that cannot be read", "calendar", u.Calendar, "event", u.Event)
	*noted = nil
	return p.Store.NoteReadable(ctx, u)
}

// marksLost reports whether calendars' marks do not come back, so that writing this one's
// again would be for nothing. One calendar is written all the same, by each full run, to
// see whether they do.
func (p *employeePass) marksLost() bool {
	return p.unreadable != nil && (p.created || !p.concerns(p.unreadable))
}

// concerns reports whether what was noted is of the employee's calendar, or of an event in it.
func (p *employeePass) concerns(u *store.UnreadableMark) bool {
	return u != nil && p.rec().Calendar != nil && u.Calendar == p.rec().Calendar.ID
}

// reconsiderEvent takes back what was noted of an event that the list shows with its
// mark, or not at all, or that nobody's calendar has any more.
func (p *employeePass) reconsiderEvent(ctx context.Context, all []googlecalendar.Event) error {
	if !p.concerns(p.unreadableEvent) {
		return p.forgetUnseen(ctx, &p.unreadableEvent)
	}
	event := p.unreadableEvent.Event
	if slices.ContainsFunc(all, func(e googlecalendar.Event) bool { return e.ID == event && !e.Marked }) {
		return nil
	}
	return p.noteReadable(ctx, &p.unreadableEvent)
}

// awaitEventMarks ends the pass over a calendar that was never listed as it is, where the list
// shows events that may be the product's and none of their marks: what is remembered of them
// was lost with the database, and their ids alone do not tell of which generation they are.
// Whatever was inserted then would be there twice once marks come back (rules 3.4 and 3.14).
func (p *employeePass) awaitEventMarks(ctx context.Context, all []googlecalendar.Event) error {
	c := p.rec().Calendar
	if c.Listed || !marksMissing(all) {
		return nil
	}
	if !p.unreadableEvent.Stops(p.term.AcquiredAt()) && !p.concerns(p.unreadableEvent) {
		event := all[slices.IndexFunc(all, mayBeOurs)].ID
		p.Log.ErrorContext(ctx, "Google does not give events' marks back: nothing is created until it does", "employee", p.id, "calendar", c.ID, "event", event)
		if err := p.Store.NoteUnreadable(ctx, store.UnreadableMark{Employee: int64(p.id), Calendar: c.ID, Event: event}); err != nil {
			return err
		}
	}
	return p.later(p.term.AcquiredAt().Add(unreadableAgain))
}

// marksMissing reports whether a list shows what may be the product's events, and no mark.
func marksMissing(all []googlecalendar.Event) bool {
	marked := slices.ContainsFunc(all, func(e googlecalendar.Event) bool { return e.Marked })
	return !marked && slices.ContainsFunc(all, mayBeOurs)
}

// mayBeOurs reports whether an event may be the product's, although it shows no mark.
func mayBeOurs(e googlecalendar.Event) bool { return e.Bare && calendarsync.LooksOwn(e.ID) }

// blankDoubtful reports whether a retiring calendar without any description may have its mark all
// the same, as all have while Google gives none back: nothing shows one just now. Taken for
// somebody else's, it stayed for ever.
func (p *employeePass) blankDoubtful(ctx context.Context, calendar string) (bool, error) {
	shown, err := p.marksShown(ctx, calendar)
	if err != nil || shown {
		return false, err
	}
	p.Log.ErrorContext(ctx, "Google shows no calendar's mark: none is given up for lacking it", "employee", p.id, "calendar", calendar)
	u := store.UnreadableMark{Employee: int64(p.id), Calendar: calendar}
	p.unreadable = &u
	p.Again(p.term.AcquiredAt().Add(unreadableAgain))
	return true, p.Store.NoteUnreadable(ctx, u)
}

const (
	// shownLately is how long a mark that was seen tells that Google gives marks back.
	shownLately = time.Minute
	// mostAsked is how many calendars are asked for their mark to see that.
	mostAsked = 3
)

// marksShown reports whether Google shows the mark of a calendar, but for one, or has just done so.
func (p *employeePass) marksShown(ctx context.Context, but string) (bool, error) {
	if p.Now().Sub(time.Unix(0, p.markSeen.Load())) < shownLately {
		return true, nil
	}
	list, err := p.Google.Calendars(p.calls(ctx))
	if err != nil {
		return false, err
	}
	list = slices.DeleteFunc(list, func(c googlecalendar.Calendar) bool { return c.ID == but })
	// Those first that the list shows with their marks.
	slices.SortStableFunc(list, func(a, b googlecalendar.Calendar) int {
		switch {
		case a.Marked == b.Marked:
			return 0
		case a.Marked:
			return -1
		}
		return 1
	})
	for _, other := range list[:min(len(list), mostAsked)] {
		have, err := p.Google.Calendar(p.calls(ctx), other.ID)
		switch {
		case failure.Is(err, failure.Gone) || failure.Is(err, failure.Forbidden):
		case err != nil:
			return false, err
		case have.Marked:
			p.markSeen.Store(p.Now().UnixNano())
			return true, nil
		}
	}
	return false, nil
}

// marksDoubtful reports whether a retiring calendar, or an event in it, may carry a mark that
// Google does not give back: given up for lacking it, it would stay for ever (rule 3.14).
func (p *employeePass) marksDoubtful(ctx context.Context, found inspection, c store.CalendarRecord, all []googlecalendar.Event) (bool, error) {
	lost := p.unreadable != nil
	if found.marked {
		p.markSeen.Store(p.Now().UnixNano())
	}
	switch {
	case lost && found.marked && !found.others:
		return false, p.noteReadable(ctx, &p.unreadable)
	case found.exists && found.head.Description == "" && c.Cleared.IsZero() && !lost && !c.MarkLost:
		return p.blankDoubtful(ctx, c.ID)
	case !found.marked && (lost || c.MarkLost):
		p.Again(p.term.AcquiredAt().Add(unreadableAgain))
		return true, nil
	case !found.others:
		return false, nil
	case marksMissing(all):
		p.Again(p.term.AcquiredAt().Add(unreadableAgain))
		return true, nil
	}
	recs, err := p.Store.TasksOf(ctx, int64(p.id))
	if err != nil {
		return false, err
	}
	remembered := map[string]bool{}
	for _, rec := range recs {
		if m, mapped := rec.Mapping(int64(p.id)); mapped && m.Epoch == c.Epoch {
			remembered[m.EventID] = true
		}
	}
	if !slices.ContainsFunc(all, func(e googlecalendar.Event) bool { return !e.Marked && remembered[e.ID] }) {
		return false, nil
	}
	p.Again(p.term.AcquiredAt().Add(unreadableAgain))
	return true, nil
}
