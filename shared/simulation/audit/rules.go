package audit

import (
	"encoding/json"
	"slices"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

func (a *Auditor) ruleChanged(c *trackedCalendar, now fakegoogle.RuleSnapshot, by *fakegoogle.Request) {
	r := c.rules[now.ID]
	if r == nil {
		r = &trackedRule{RuleSnapshot: fakegoogle.RuleSnapshot{Role: "none"}}
		c.rules[now.ID] = r
	}
	before := r.RuleSnapshot
	r.RuleSnapshot = now
	if by == nil {
		r.changedByHand(before.Role)
		return
	}
	if by.Method == "calendar.calendars.insert" || before.Role == now.Role && before.Hidden != now.Hidden {
		return // the owner's own rule; the second half of an invitation
	}
	employee := int64(c.mark.Employee)
	v := Violation{Calendar: c.id, Employee: employee}
	a.checkPaused(v, by.Method)
	switch {
	case !c.ours():
		v.Rule = RuleForeign
		a.report(v, "a rule of a calendar that is not the product's was written")
	case !r.ours && before.Role != "none" && !a.everHad(employee, now.Value):
		v.Rule = RuleForeign
		a.report(v, "rule %s, which is not the product's, became %s", now.ID, now.Role)
	case now.Role == "none":
		a.checkUnshared(c, now, v)
	case now.Role == lowered && askedFor(by) == "reader":
		// A policy of the owner's organisation: not the product's doing, and not to be undone.
		if r.toldLower > 1 && !a.invites(employee) {
			v.Rule = RuleShare
			a.report(v, "raised what Google had lowered before: %s", now.ID)
		}
		r.lowered, r.loweredBy = true, by.ID
	case now.Role != "reader" || now.Type != "user" && now.Type != "group":
		v.Rule = RuleShare
		a.report(v, "shared with %s as %s", now.ID, now.Role)
	case !a.everHad(employee, now.Value):
		v.Rule = RuleShare
		a.report(v, "shared with %s, which was never the employee's address", now.ID)
	}
	if now.Role != "none" && now.Role != lowered && by.Query.Get("sendNotifications") != "false" && before.Role != "none" && !before.Hidden && !a.invites(employee) {
		v.Rule = RuleMail
		a.report(v, "another invitation to %s", now.ID)
	}
	if now.Role == "none" {
		r.listed, r.lowered, r.toldLower = 0, false, 0 // a new share is not the lowered one raised
	}
	r.ours, r.everOurs, r.lost = true, true, false
	c.unsharedRightly = c.unsharedRightly && now.Role == "none"
	a.writes = append(a.writes, write{at: a.w.Now(), calendar: c.id, employee: employee, kind: ruleWrite(now.Role, by.Method)})
}

// lowered is what a policy makes of a reader outside the organisation (G6).
const lowered = "freeBusyReader"

// askedFor is the role that a write of a rule asked for.
func askedFor(r *fakegoogle.Request) string {
	var body struct {
		Role string `json:"role"`
	}
	if json.Unmarshal(r.Body, &body) != nil {
		return ""
	}
	return body.Role
}

// ruleWrite is the kind of a write to a rule, as in Activity.Action.
func ruleWrite(role, method string) string {
	switch {
	case role == "none":
		return "rule.delete"
	case method != "calendar.acl.insert":
		return "rule.narrow"
	}
	return "rule.insert"
}

// changedByHand notes that somebody else changed the rule from a role to what it is now.
func (r *trackedRule) changedByHand(from string) {
	switch {
	case from != "none" && r.Role == "none":
		// Where Google had listed it only once, the instance that saw it may have died.
		r.lost = r.ours && r.listed < 2
	case from == "none":
		r.ours, r.lost = false, false
	}
	if r.Role == "none" {
		r.listed = 0
	}
}

// checkUnshared requires grounds for removing a share, unless a purge does it.
func (a *Auditor) checkUnshared(c *trackedCalendar, rule fakegoogle.RuleSnapshot, v Violation) {
	if a.purging() {
		return
	}
	g, why := a.personGrounds(v.Employee, a.w.Now().Add(-employeePassAge), rule.Value)
	if g == none {
		// A retiring calendar loses its share even if the old address comes back.
		if earlier, _ := a.personGrounds(v.Employee, c.made, rule.Value); earlier != none {
			g = earlier
		} else if a.replacedByAdmin(c) {
			g = explicit
		} else {
			g, why = a.replaced(c, why)
		}
	}
	if g == none {
		v.Rule = RuleEvidence
		a.report(v, "the share was removed: %s", why)
	}
	c.unsharedRightly = g != none
	a.checkParting(c, rule.Value, v)
}

// checkParting reports that more people lost the calendar of a former address than there can
// be turns for new ones: with many new addresses at once the others wait (rule 5.8).
func (a *Auditor) checkParting(c *trackedCalendar, address string, v Violation) {
	p := a.people[v.Employee]
	if a.w.CalendarsPerHour == 0 || !a.entitledNow(v.Employee) || sameAddress(p.at(a.w.Now()).Email, address) || a.within(c.denied, longestPause) {
		return
	}
	if !p.changed(a.w.Now().Add(-23 * time.Hour)) {
		return // a day is the most that anybody waits
	}
	a.parted[v.Employee] = a.w.Now()
	waiting := 0
	for employee, at := range a.parted {
		made := slices.ContainsFunc(a.order, func(c *trackedCalendar) bool { return int64(c.mark.Employee) == employee && c.made.After(at) })
		if !made && a.within(at, time.Hour) && a.entitledNow(employee) {
			waiting++
		}
	}
	// One alone waits for nothing, and of turns there are in an hour those that were saved up
	// besides those that come.
	if waiting > 2*a.w.CalendarsPerHour+1 {
		v.Rule = RuleShare
		a.report(v, "the %dth to see nothing because of a new address, with %d new calendars an hour", waiting, a.w.CalendarsPerHour)
	}
}

// invites reports whether an admin asked for another invitation, and uses that up.
func (a *Auditor) invites(employee int64) bool {
	key := keyOf("invite", employee)
	if len(a.allowed[key]) == 0 {
		return false
	}
	a.allowed[key] = a.allowed[key][1:]
	return true
}

// everHad reports whether an address was ever an employee's, or a faulty answer ever
// said so.
func (a *Auditor) everHad(employee int64, address string) bool {
	p := a.people[employee]
	if p == nil {
		return false
	}
	for _, s := range p.versions {
		if s.v != nil && sameAddress(s.v.Email, address) {
			return true
		}
	}
	for _, r := range a.personReads(employee) {
		if r.faulty != nil {
			if v, _, ok := showPerson(employee, r); ok && sameAddress(v.email.v, address) {
				return true
			}
		}
	}
	return false
}
