package calendars

import (
	"context"
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// adjust renames the calendar and renews its zone when the settings or the employee's
// name changed (rule 5.6).
func (p *employeePass) adjust(ctx context.Context) error {
	c := *p.rec().Calendar
	if c.Name == p.name && (c.Zone == "" || c.Zone == p.settings.TimeZone) {
		return nil
	}
	have, err := p.Google.Calendar(p.calls(ctx), c.ID)
	if failure.Is(err, failure.Gone) {
		p.refill = true // the fill looks into it, and writes what it finds otherwise
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.rewrite(ctx, have); err != nil {
		p.unwritten = true
		return p.goOn(ctx, err)
	}
	return nil
}

// restore gives a calendar back what somebody changed of its name, zone or mark. head
// is what the list of its events said of it; should that be older than the calendar
// itself, the calendar decides.
func (p *employeePass) restore(ctx context.Context, head googlecalendar.Calendar) error {
	if _, differs := p.differs(head); !differs || p.unwritten {
		return p.reconsiderMark(ctx, head)
	}
	have, err := p.Google.Calendar(p.calls(ctx), head.ID)
	if err != nil {
		return err
	}
	kinds, differs := p.differs(have)
	if !differs {
		return p.reconsiderMark(ctx, have)
	}
	if err := p.rewrite(ctx, have); err != nil {
		return p.goOn(ctx, err)
	}
	lost, err := p.learnForm(ctx, have)
	if err != nil {
		return err
	}
	if lost {
		kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == DriftCalendarUnmarked })
	}
	for _, kind := range kinds {
		p.drift.Add(kind, 1)
	}
	if len(kinds) > 0 {
		p.repaired++
	}
	return nil
}

// differs reports whether a calendar is to be written again, and what of it somebody
// changed. For whom it is may never have been written; that is nobody's doing. Nor is the
// ERP's having moved, and marks of before there was a digest of it wait for another reason
// to be written.
func (p *employeePass) differs(have googlecalendar.Calendar) (kinds []string, differs bool) {
	c := *p.rec().Calendar
	mark := p.mark(c)
	kinds = differences(have, c, p.name, p.settings.TimeZone, mark)
	if p.marksLost() {
		kinds = slices.DeleteFunc(kinds, func(kind string) bool { return kind == DriftCalendarUnmarked })
		return kinds, len(kinds) > 0
	}
	moved := have.Mark.ERP != "" && have.Mark.ERP != mark.ERP
	return kinds, len(kinds) > 0 || have.Mark.For != mark.For || moved
}

// reconsiderMark takes back that the calendar's mark did not come back, where it does.
func (p *employeePass) reconsiderMark(ctx context.Context, have googlecalendar.Calendar) error {
	if !p.concerns(p.unreadable) || !have.Marked {
		return nil
	}
	return p.noteReadable(ctx, &p.unreadable)
}

// rewrite writes name, zone and mark of a calendar read before.
func (p *employeePass) rewrite(ctx context.Context, have googlecalendar.Calendar) error {
	return p.write(ctx, write{
		action: "calendar.update", calendar: have.ID,
		call: func(calls context.Context) error {
			return p.Google.UpdateCalendar(calls, have, p.name, p.settings.TimeZone, p.mark(*p.rec().Calendar))
		},
		done: ofCalendar(func(c *store.CalendarRecord) {
			c.Name, c.Zone, c.ReturnedName, c.ReturnedZone = p.name, p.settings.TimeZone, "", ""
		}),
	})
}

// learnForm looks once more at a calendar that was only written back. If Google gives
// the very name or zone that was taken for somebody's change, that is its own form of
// what it was sent, and from now on what to expect (rule 2.8). lost: the mark did not come
// back, which is noted (rule 3.14).
func (p *employeePass) learnForm(ctx context.Context, before googlecalendar.Calendar) (lost bool, err error) {
	now, err := p.Google.Calendar(p.calls(ctx), before.ID)
	if err != nil {
		// It is written, and looked at again after the next repair.
		p.Log.WarnContext(ctx, "could not read the calendar after its repair", "employee", p.id, "calendar", before.ID, "error", err)
		return false, nil
	}
	if !now.Marked && !p.marksLost() {
		lost = true
		if err := p.noteUnreadable(ctx, now.ID); err != nil {
			return lost, err
		}
	}
	if err := p.reconsiderMark(ctx, now); err != nil {
		return lost, err
	}
	name, zone := returned(now, p.name, p.settings.TimeZone)
	if now.Name != before.Name {
		name = ""
	}
	if now.TimeZone != before.TimeZone {
		zone = ""
	}
	if name == "" && zone == "" {
		return lost, nil
	}
	p.Log.WarnContext(ctx, "Google gives the calendar back in a form of its own", "employee", p.id, "calendar", before.ID, "name", name != "", "zone", zone != "")
	return lost, p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.ReturnedName, c.ReturnedZone = name, zone }))
}

// returned is what Google gave back for a name and a zone, each "" if that is what was sent.
func returned(have googlecalendar.Calendar, name, zone string) (returnedName, returnedZone string) {
	if have.Name != name {
		returnedName = have.Name
	}
	if have.TimeZone != zone {
		returnedZone = have.TimeZone
	}
	return returnedName, returnedZone
}

// differences lists the kinds of drift of a calendar. A zone that is not known to have
// been written is nobody's change.
func differences(have googlecalendar.Calendar, c store.CalendarRecord, name, zone string, mark calendarsync.CalendarMark) []string {
	var kinds []string
	// Google gives a name back without the space around it.
	if strings.TrimSpace(have.Name) != strings.TrimSpace(name) && (c.ReturnedName == "" || have.Name != c.ReturnedName) {
		kinds = append(kinds, DriftCalendarRenamed)
	}
	if c.Zone != "" && (c.ReturnedZone == "" || have.TimeZone != c.ReturnedZone) && !calendarsync.SameZone(have.TimeZone, zone) {
		kinds = append(kinds, DriftCalendarZone)
	}
	if !have.Marked || have.Mark.Line() != mark.Line() {
		kinds = append(kinds, DriftCalendarUnmarked)
	}
	return kinds
}

// mark is what a calendar of the employee carries (rules 3.5, 3.8 and 3.12).
func (p *employeePass) mark(c store.CalendarRecord) calendarsync.CalendarMark {
	mark := calendarsync.CalendarMark{Tenant: p.tenant, Employee: p.id, Epoch: c.Epoch, From: c.From, For: c.AddressDigest,
		ERP: calendarsync.ERPDigest(p.tenant, p.ERPAddress)}
	if c.Address != "" {
		mark.For = calendarsync.AddressDigest(p.tenant, c.Address)
	}
	return mark
}
