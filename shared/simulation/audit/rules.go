package audit

import (
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

func (a *Auditor) ruleChanged(c *calendarStory, now fakegoogle.RuleSnapshot, by *fakegoogle.Request) {
	r := c.rules[now.ID]
	if r == nil {
		r = &ruleStory{RuleSnapshot: fakegoogle.RuleSnapshot{Role: "none"}}
		c.rules[now.ID] = r
	}
	before := r.RuleSnapshot
	r.RuleSnapshot = now
	if by == nil {
		if before.Role != "none" && now.Role == "none" {
			// What was seen once may be forgotten by an instance that died then.
			r.lost = r.ours && r.listed < 2
		} else if before.Role == "none" {
			r.ours, r.lost = false, false
		}
		if now.Role == "none" {
			r.listed = 0
		}
		return
	}
	if by.Method == "calendar.calendars.insert" || before.Role == now.Role && before.Hidden != now.Hidden {
		return // the owner's own rule; the second half of an invitation
	}
	employee := int64(c.mark.Employee)
	v := Violation{Calendar: c.id, Employee: employee}
	w := write{at: a.w.Now(), calendar: c.id, employee: employee, kind: "rule.insert"}
	a.paused(v, by.Method)
	switch {
	case !c.ours():
		v.Rule = RuleForeign
		a.report(v, "a rule of a calendar that is not the product's was written")
	case !r.ours && before.Role != "none" && !a.everHad(employee, now.Value):
		v.Rule = RuleForeign
		a.report(v, "rule %s, which is not the product's, became %s", now.ID, now.Role)
	case now.Role == "none" && a.purging():
	case now.Role == "none":
		g, why := a.personGrounds(employee, a.w.Now().Add(-employeeWork), now.Value)
		if g == none {
			// A calendar that leaves loses its share even if the old address comes back.
			if old, _ := a.personGrounds(employee, c.made, now.Value); old != none {
				g = old
			} else {
				g, why = a.replaced(c, why)
			}
		}
		if g == none {
			v.Rule = RuleEvidence
			a.report(v, "the share was removed: %s", why)
		}
		c.left = g != none
	case now.Role != "reader" || now.Type != "user":
		v.Rule = RuleShare
		a.report(v, "shared with %s as %s", now.ID, now.Role)
	case !a.everHad(employee, now.Value):
		v.Rule = RuleShare
		a.report(v, "shared with %s, which was never the employee's address", now.ID)
	}
	switch {
	case now.Role == "none":
		w.kind = "rule.delete"
		r.listed = 0
	case by.Method != "calendar.acl.insert":
		w.kind = "rule.narrow"
	}
	if now.Role != "none" && by.Query.Get("sendNotifications") != "false" && before.Role != "none" && !a.invites(employee) {
		v.Rule = RuleMail
		a.report(v, "another invitation to %s", now.ID)
	}
	r.ours, r.once, r.lost = true, true, false
	c.left = c.left && now.Role == "none"
	a.writes = append(a.writes, w)
}

// invites uses up an admin's wish to invite an employee once more.
func (a *Auditor) invites(employee int64) bool {
	key := keyOf("invite", employee)
	if len(a.allowed[key]) == 0 {
		return false
	}
	a.allowed[key] = a.allowed[key][1:]
	return true
}

// everHad reports whether an address was ever an employee's, or ever told to be.
func (a *Auditor) everHad(employee int64, address string) bool {
	p := a.people[employee]
	if p == nil {
		return false
	}
	for _, s := range p.spans {
		if s.v != nil && sameAddress(s.v.Email, address) {
			return true
		}
	}
	for _, r := range a.personReads(employee) {
		if r.bent != nil {
			if v, _, ok := showPerson(employee, r); ok && sameAddress(v.email.v, address) {
				return true
			}
		}
	}
	return false
}
