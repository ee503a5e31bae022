package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("parse a time: %w", err)
	}
	return t, nil
}

// sameZone compares zones by what their clocks show: Google renames some.
func sameZone(a, b string, t time.Time) bool {
	za, err1 := time.LoadLocation(a)
	zb, err2 := time.LoadLocation(b)
	return err1 == nil && err2 == nil && t.In(za).Format(fakeerp.WallLayout) == t.In(zb).Format(fakeerp.WallLayout)
}

// judgeState compares every calendar with what it ought to be.
func (a *Auditor) judgeState() {
	a.mu.Lock()
	settings := slices.Clone(a.settings)
	a.mu.Unlock()
	if len(settings) == 0 {
		return
	}
	s := settings[len(settings)-1]
	if !s.Enabled || !s.Confirmed {
		return // what is there stays as it is (rule 4.6)
	}
	// The stand-ins are asked before the lock is acquired: they hold theirs when they
	// call the observers.
	world, err := a.erpWorld(s)
	events := map[string][]shownEvent{}
	for _, c := range a.w.Google.Calendars() {
		if !c.Deleted && c.ClientID != "" {
			events[c.ID] = a.eventsOf(c.ID)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.report(Violation{Rule: RuleField}, "the settings cannot be judged by: %v", err)
		return
	}
	j := judgement{a: a, w: world, events: events}
	owners := map[int64][]*trackedCalendar{}
	for _, c := range a.order {
		if !c.deleted && c.ours() {
			owners[int64(c.mark.Employee)] = append(owners[int64(c.mark.Employee)], c)
		}
	}
	for id := range world.employees {
		if _, has := owners[id]; !has {
			owners[id] = nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		j.employee(id, owners[id])
	}
}

// judgement is one comparison of what is with what ought to be.
type judgement struct {
	a      *Auditor
	w      erpWorld
	events map[string][]shownEvent
}

func (j judgement) employee(id int64, have []*trackedCalendar) {
	// The product may have given up one whose mark was removed by hand.
	if marked := slices.DeleteFunc(slices.Clone(have), func(c *trackedCalendar) bool { return !c.marked }); len(marked) > 0 {
		have = marked
	}
	e, there := j.w.employees[id]
	view := personView{absent: true}
	if there {
		view = viewPerson(&e)
	}
	entitled := judgePerson(j.w.s, view)
	v := Violation{Rule: RuleCalendar, Employee: id}
	if entitled != due {
		for _, c := range have {
			v.Calendar = c.id
			j.unwanted(c, v, entitled == over)
		}
		return
	}
	if len(have) == 0 {
		j.a.report(v, "there is no calendar")
		return
	}
	// The newest is the current one, unless only another is shared with the address.
	present := have[len(have)-1]
	for _, c := range have {
		if j.reader(present, e.Email) == nil && j.reader(c, e.Email) != nil {
			present = c
		}
	}
	for _, c := range have {
		if c != present {
			v.Calendar = c.id
			j.unwanted(c, v, true)
		}
	}
	v.Calendar = present.id
	if name, ok := j.w.calendarName(e); ok && !sameText(name, present.name, markup.MatchString(e.Name), calendarsync.MaxName) {
		j.a.report(v, "its name is not the employee's")
	}
	if !sameZone(present.zone, j.w.s.TimeZone, j.a.w.Now()) {
		j.a.report(v, "its zone is %s", present.zone)
	}
	j.shares(present, e.Email, v)
	j.tasks(present, e)
}

// reader is the rule that lets an address read a calendar.
func (j judgement) reader(c *trackedCalendar, address string) *trackedRule {
	for _, r := range c.rules {
		if (r.Type == "user" || r.Type == "group") && sameAddress(r.Value, address) && r.Role != "none" {
			return r
		}
	}
	return nil
}

// unwanted judges a calendar that ought not to be there. It may wait for an admin where
// the day's deletions have reached what the guard grants (rules 4.3 and 4.4), and stays where
// Google does not let the product delete it.
func (j judgement) unwanted(c *trackedCalendar, v Violation, explicit bool) {
	if !c.proved.IsZero() && !c.named {
		return // denied for as long as has to be believed, and in no list since (rule 3.9)
	}
	if c.unknown() && c.holds(func(e *trackedEvent) bool { return !c.owns(e) }) {
		return // one that Google listed too late stays because of what others have in it (rule 3.6)
	}
	if d := j.a.deletions[RuleCalendar]; d.most < d.least && !c.unreachable {
		j.a.report(v, "the calendar ought not to be there")
	}
	if !explicit {
		return
	}
	for _, r := range c.rules {
		if r.ours && r.Role != "none" {
			v.Rule = RuleShare
			j.a.report(v, "%s can still read it", r.ID)
		}
	}
}

func (j judgement) shares(c *trackedCalendar, address string, v Violation) {
	v.Rule = RuleShare
	r := j.reader(c, address)
	switch {
	case sameAddress(address, j.a.w.Account):
		// The account's own rule is the owner's, and nobody may change it.
	case r != nil && r.Hidden:
		// Until it is accepted, no list shows it, whatever somebody made of it (G8).
	case r != nil && r.Role != "reader":
		j.a.report(v, "the employee is its %s", r.Role)
	case r == nil && !c.cannotShare && !j.lost(c, address):
		j.a.report(v, "it is not shared with the employee")
	}
	for _, r := range c.rules {
		if r.ours && r.Role != "none" && !sameAddress(r.Value, address) {
			j.a.report(v, "it is still shared with %s", r.ID)
		}
	}
}

// lost reports whether only an admin may share it again: the share was removed by hand
// before the product had seen it (rule 5.3).
func (j judgement) lost(c *trackedCalendar, address string) bool {
	for _, r := range c.rules {
		if sameAddress(r.Value, address) && r.lost {
			return true
		}
	}
	return false
}

func (j judgement) tasks(c *trackedCalendar, e fakeerp.Employee) {
	owned := map[int64][]shownEvent{}
	for _, ev := range j.events[c.id] {
		if s := c.events[ev.id]; s != nil && c.owns(s) {
			owned[int64(s.mark.Task)] = append(owned[int64(s.mark.Task)], ev)
		}
	}
	for _, t := range j.w.tasks {
		have := owned[t.ID]
		delete(owned, t.ID)
		if j.a.unreadable[t.ID] {
			continue
		}
		v := Violation{Calendar: c.id, Task: t.ID, Employee: e.ID}
		switch j.task(t, c, e) {
		case due:
			j.wanted(t, e, have, v)
		case over:
			j.extra(have, v, false)
		case closed, unsure:
			j.extra(have, v, true)
		}
	}
	for _, ev := range j.events[c.id] {
		if s := c.events[ev.id]; s != nil && c.misplaced(s) {
			j.a.report(Violation{Rule: RuleExtra, Calendar: c.id, Event: ev.id, Task: int64(s.mark.Task), Employee: e.ID}, "it was made for employee %d", s.mark.Employee)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(owned)) {
		j.extra(owned[id], Violation{Calendar: c.id, Task: id, Employee: e.ID}, true)
	}
}

func (j judgement) task(t fakeerp.Task, c *trackedCalendar, e fakeerp.Employee) verdict {
	return judgeTask(j.w.s, j.w.roles, j.a.viewTask(&t, !j.a.w.UnassignedIgnored), e.ID, divisionsOf(&e), c.mark.From)
}

func (j judgement) wanted(t fakeerp.Task, e fakeerp.Employee, have []shownEvent, v Violation) {
	switch len(have) {
	case 0:
		v.Rule = RuleMissing
		j.a.report(v, "the task has no event")
	case 1:
		v.Event = have[0].id
		if bad := j.w.differences(t, e, have[0]); len(bad) > 0 {
			v.Rule = RuleField
			j.a.report(v, "differs in %s", strings.Join(bad, ", "))
		}
	default:
		v.Rule, v.Event = RuleDouble, have[1].id
		j.a.report(v, "the task has %d events", len(have))
	}
}

// extra judges events that ought not to be there; held reports whether the guard may
// hold their deletion.
func (j judgement) extra(have []shownEvent, v Violation, held bool) {
	if d := j.a.deletions[RuleExtra]; held && d.most >= d.least {
		return
	}
	for _, ev := range have {
		v.Rule, v.Event = RuleExtra, ev.id
		j.a.report(v, "the task ought to have no event here")
	}
}

// checkActivity looks for the record of every write. The lock is held.
func (a *Auditor) checkActivity(activity []Activity) {
	type key struct{ kind, calendar, event string }
	records := map[key][]Activity{}
	for _, r := range activity {
		k := key{r.Action, r.Calendar, ""}
		switch {
		case strings.HasPrefix(r.Action, "event.delete"):
			k = key{"event.delete", r.Calendar, r.Event}
		case strings.HasPrefix(r.Action, "event."):
			k = key{"event.write", r.Calendar, r.Event}
		}
		records[k] = append(records[k], r)
	}
	for _, w := range a.writes {
		// The record of a creation whose answer was lost does not have the id.
		candidates := records[key{w.kind, w.calendar, w.event}]
		if w.kind == "calendar.create" {
			candidates = append(slices.Clone(candidates), records[key{w.kind, "", ""}]...)
		}
		if !slices.ContainsFunc(candidates, func(r Activity) bool {
			return r.Employee == w.employee && (r.Task == w.task || w.task == 0) &&
				!r.At.Before(w.at.Add(-a.w.Lease-a.w.Skew)) && !r.At.After(w.at.Add(a.w.Skew))
		}) {
			a.report(Violation{Rule: RuleActivity, At: w.at, Calendar: w.calendar, Event: w.event, Task: w.task, Employee: w.employee},
				"%s without an activity record", w.kind)
		}
	}
	a.writes = nil
}
