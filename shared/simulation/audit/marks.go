package audit

import (
	"maps"
	"net/http"
	"slices"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// The methods that make what carries a mark.
const (
	madeCalendar = "calendar.calendars.insert"
	madeEvent    = "calendar.events.insert"
)

// lostMarks are marks of calendars, or of events, that Google keeps but does not give back
// (rule 3.14).
type lostMarks struct {
	lost bool
	// told is when the answer to an insert showed that to an instance which lived on; zero
	// while none has. in are the calendars that such answers were about, of the events.
	told time.Time
	in   []string
	of   []*trackedEvent
}

// triedAgain is when an event is inserted once more although marks do not come back; a
// little less, because the product counts from its lease.
const triedAgain = 24*time.Hour - 10*time.Minute

// MarksLost notes whether Google gives marks of calendars and of events back from now on:
// while it does not, one of them is made, and no more.
func (a *Auditor) MarksLost(calendars, events bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for method, lost := range map[string]bool{madeCalendar: calendars, madeEvent: events} {
		*a.lostMarks[method] = lostMarks{lost: lost}
	}
}

// forgetLost: what was told since then may not be known to the product.
func (a *Auditor) forgetLost(since time.Time) {
	for _, l := range a.lostMarks {
		if !l.told.Before(since) {
			l.tried()
		}
	}
}

// tried: one more is made, to see whether its mark comes back.
func (l *lostMarks) tried() { l.told, l.in, l.of = time.Time{}, nil, nil }

// noteLost notes an answer in which a mark was missing.
func (a *Auditor) noteLost(r fakegoogle.Request) {
	l := a.lostMarks[r.Method]
	if l == nil || !l.lost || r.Status != http.StatusOK || r.Fault != "" {
		return
	}
	if l.told.IsZero() {
		l.told = a.w.Now()
	}
	l.in = append(l.in, r.CalendarID)
	if c := a.cals[r.CalendarID]; r.Method == madeEvent && c.events[r.EventID] != nil {
		l.of = append(l.of, c.events[r.EventID])
	}
}

// checkLost reports something that is made although its mark would not come back: so long
// after the product was told that every pass which began before must have ended.
func (a *Auditor) checkLost(method string, v Violation) {
	for lostIn, l := range a.lostMarks {
		// Whoever makes a calendar reads first what is known of marks.
		passAge := map[string]time.Duration{madeCalendar: time.Minute, madeEvent: employeePassAge}[lostIn]
		if !l.lost || l.told.IsZero() || a.within(l.told, passAge) || lostIn == madeCalendar && method == madeEvent {
			continue
		}
		if lostIn == madeEvent && !a.within(l.told, triedAgain) || slices.ContainsFunc(l.in, func(id string) bool { return a.maySettleLost(a.cals[id], l.told) }) ||
			slices.ContainsFunc(l.of, func(e *trackedEvent) bool { return !e.live }) {
			l.tried()
			continue
		}
		v.Rule = RuleMark
		a.report(v, "%s although marks do not come back", method)
	}
}

// maySettleLost reports whether the product may have given up the calendar by which it would
// see that marks come back: then the next one shows whether they do.
func (a *Auditor) maySettleLost(c *trackedCalendar, told time.Time) bool {
	if c == nil || c.deleted || a.purgedSince(told) || a.replacedByAdmin(c) || !a.entitledNow(int64(c.mark.Employee)) || a.people[int64(c.mark.Employee)].changed(told) {
		return true
	}
	return c.denied.After(told) || a.former(c)
}

// former reports whether a calendar is not, or no longer, shared with the address that its
// person has now.
func (a *Auditor) former(c *trackedCalendar) bool {
	address := a.people[int64(c.mark.Employee)].at(a.w.Now()).Email
	return !slices.ContainsFunc(slices.Collect(maps.Values(c.rules)), func(r *trackedRule) bool { return r.ours && sameAddress(r.Value, address) })
}

// entitledNow reports whether an employee, as the ERP has them now, is to have a calendar.
func (a *Auditor) entitledNow(employee int64) bool {
	return judgePerson(a.settings[len(a.settings)-1], viewPerson(a.people[employee].at(a.w.Now()))) == due
}
