package audit

import (
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

func (a *Auditor) calendarChanged(c *trackedCalendar, now fakegoogle.CalendarChange, by *fakegoogle.Request) {
	before := *c
	c.client, c.primary, c.deleted = now.ClientID, now.Primary, now.Deleted
	mark, marked := calendarsync.ReadCalendarMark(now.Description)
	if by != nil || c.mark.Epoch == "" {
		if c.marked = marked; marked {
			c.mark = mark
		}
	} else {
		// A mark that a person wrote does not count as the product's.
		c.marked = marked && mark.Line() == c.mark.Line()
	}
	if c.deleted && !before.deleted {
		c.byHand = by == nil
		for _, e := range c.events {
			if e.live && c.owns(e) {
				a.owned--
			}
		}
	}
	if by == nil {
		return
	}
	c.name, c.zone = now.Summary, now.TimeZone
	employee := int64(c.mark.Employee)
	v := Violation{Calendar: c.id, Employee: employee}
	w := write{at: a.w.Now(), calendar: c.id, employee: employee}
	a.checkPaused(v, by.Method)
	switch {
	case by.Method == "calendar.calendars.insert":
		w.kind = "calendar.create"
		a.checkLost(madeCalendar, v)
		a.madeCalendar(c, v)
	case c.deleted && !before.deleted:
		w.kind = "calendar.delete"
		a.deletedCalendar(c, before, v)
	default:
		w.kind = "calendar.update"
		switch {
		case before.disowned && !c.marked && a.within(c.disownedAt, a.taskPassAge()):
			w.kind = "calendar.keep" // written again, because the first answer was lost
		case !before.ours():
			v.Rule = RuleForeign
			a.report(v, "a calendar that is not the product's was changed")
		case !c.marked && (a.purging() || a.cleared(c)):
			w.kind = "calendar.keep"
			a.disowned(c, v)
		case !c.marked || c.mark.Line() != before.mark.Line():
			v.Rule = RuleMark
			a.report(v, "the calendar's mark changed from %q", before.mark.Line())
		}
	}
	a.writes = append(a.writes, w)
}

func (a *Auditor) madeCalendar(c *trackedCalendar, v Violation) {
	if !c.marked {
		v.Rule = RuleMark
		a.report(v, "a calendar was made without a mark")
		return
	}
	if a.tenant != "" && a.tenant != c.mark.Tenant {
		for _, other := range a.order {
			if other != c && !other.deleted && !other.unreachable && other.marked && other.ours() && other.mark.Tenant != c.mark.Tenant {
				v.Rule = RuleMark
				a.report(v, "a new tenant, although calendar %s bears the old one", other.id)
				break
			}
		}
	}
	a.tenant = c.mark.Tenant
	// Which of the readings within the lease was this pass's own cannot be seen from
	// outside: polls read everybody meanwhile.
	reads := a.personReads(v.Employee)
	for i := len(reads) - 1; i >= 0 && (len(c.addresses) == 0 || a.within(reads[i].at, a.w.Lease)); i-- {
		if shown, _, ok := showPerson(v.Employee, reads[i]); ok && shown.email.v != "" {
			c.addresses = append(c.addresses, shown.email.v)
		}
	}
	if !a.entitled(v.Employee) {
		v.Rule = RuleUnfounded
		a.report(v, "a calendar for an employee who, as last read, is to have none")
	}
	a.checkFrom(c, v)
	for _, other := range a.order {
		if other == c || other.deleted || !other.marked || !other.ours() || other.mark.Employee != c.mark.Employee ||
			a.within(other.proved, longestPause) || other.unknown() {
			continue
		}
		other.replaced = other.replaced || a.replacedByAdmin(other)
		// Beside a retiring one, a new one is right (rule 5.2).
		if a.cleared(other) || a.replacedByAdmin(other) || other.unreachable && other.mark.Tenant != c.mark.Tenant {
			continue
		}
		if g, _ := a.personGrounds(v.Employee, other.made, other.sharedWith()...); g == none {
			v.Rule = RuleDouble
			a.report(v, "the employee has calendar %s already", other.id)
		}
	}
}

// unknown reports whether the product cannot know that the calendar exists, or came to know it
// too late: two lists of the account's calendars lacked it before any showed it, and nothing was
// done with it (rule 3.6).
func (c *trackedCalendar) unknown() bool {
	return (c.late || !c.listed && c.lacked >= 2) && !c.holds(c.owns) &&
		!slices.ContainsFunc(slices.Collect(maps.Values(c.rules)), func(r *trackedRule) bool { return r.everOurs })
}

// holds reports whether there is a living event of a kind in the calendar.
func (c *trackedCalendar) holds(kind func(*trackedEvent) bool) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(c.events)), func(e *trackedEvent) bool { return e.live && kind(e) })
}

// within reports whether something happened, at most so long ago.
func (a *Auditor) within(at time.Time, within time.Duration) bool {
	return !at.IsZero() && a.w.Now().Sub(at) <= within
}

// checkFrom requires that a new calendar begins where it ought to (rule 3.5): where one
// deleted by hand began, or backfill_hours ago.
func (a *Auditor) checkFrom(c *trackedCalendar, v Violation) {
	now := a.w.Now()
	for _, s := range a.inForce(now.Add(-employeePassAge)) {
		apart := now.Add(-time.Duration(s.BackfillHours) * time.Hour).Sub(c.mark.From)
		if apart.Abs() <= employeePassAge+a.w.Skew {
			return
		}
	}
	for _, other := range a.order {
		// One that a stopped purge had deleted unnoticed is replaced like one deleted by hand.
		if other != c && other.mark.Employee == c.mark.Employee &&
			(other.deleted && (other.byHand || a.purgedSince(other.made)) || !other.proved.IsZero() || a.replacedByAdmin(other)) &&
			other.mark.From.Equal(c.mark.From) {
			return
		}
	}
	v.Rule = RuleMark
	a.report(v, "it begins at %s, neither backfill_hours ago nor as one deleted by hand", c.mark.From.Format(time.RFC3339))
}

// sharedWith is the address that the product shared a calendar with last; where it never
// did, the addresses for one of which it was made.
func (c *trackedCalendar) sharedWith() []string {
	address := ""
	for _, r := range c.rules {
		if r.everOurs && (address == "" || r.Role != "none") {
			address = r.Value
		}
	}
	if address == "" {
		return c.addresses
	}
	return []string{address}
}

func (a *Auditor) deletedCalendar(c *trackedCalendar, before trackedCalendar, v Violation) {
	if !before.ours() || !before.marked {
		v.Rule = RuleForeign
		a.report(v, "a calendar without the product's mark was deleted")
		return
	}
	g, why := a.personGrounds(v.Employee, a.w.Now().Add(-employeePassAge), c.sharedWith()...)
	if g == none {
		g, why = a.replaced(c, why)
	}
	if g == none && !c.unsharedRightly && (a.purging() || a.cleared(c)) {
		a.checkPurgedCalendar(c, v)
		a.deletedUnshared(c, v)
		return
	}
	if g == none && !c.unsharedRightly {
		v.Rule = RuleEvidence
		a.report(v, "the calendar was deleted: %s", why)
	}
	a.checkKept(v, keyOf("employees", v.Employee))
	a.count(RuleCalendar, !a.purging() && !a.cleared(c) && !a.replacedByAdmin(c), v, keyOf("employees", v.Employee))
	a.deletedUnshared(c, v)
}

// deletedUnshared requires that a calendar was unshared before it was deleted (rule 5.2).
func (a *Auditor) deletedUnshared(c *trackedCalendar, v Violation) {
	for _, r := range c.rules {
		// Except where a fault said that the calendar was gone, or the database that knew
		// of the share was lost, or where no list shows the share and its answer was lost (G8).
		if r.ours && r.Role != "none" && !r.Hidden && c.falselyGone.IsZero() && c.made.After(a.wiped) {
			v.Rule = RuleShare
			a.report(v, "it was deleted while %s could still read it", r.ID)
		}
	}
}

// replaced gives explicit grounds where another calendar of the employee has taken the
// place of this one, and otherwise none, with why.
func (a *Auditor) replaced(c *trackedCalendar, why string) (grounds, string) {
	for _, other := range a.order {
		if other == c || other.deleted || !other.marked || !other.ours() || other.mark.Employee != c.mark.Employee {
			continue
		}
		if other.mark.Epoch == c.mark.Epoch || (!other.proved.IsZero() || other.replaced) && other.made.Before(c.made) {
			return explicit, "" // the latter turned up, after this one had taken its place (rule 3.10)
		}
		// Of several calendars a stopped purge reinstates whichever it had not come to.
		purged := a.purgedSince(c.made) && a.purgedSince(other.made)
		if g, _ := a.personGrounds(int64(c.mark.Employee), c.made, c.sharedWith()...); g != none || other.made.After(c.made) || purged {
			return explicit, ""
		}
	}
	return none, why
}
