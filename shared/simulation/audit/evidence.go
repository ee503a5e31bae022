package audit

import (
	"fmt"
	"slices"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

const (
	// believed is how old settings and catalogues may be (functions/README.md, Settings).
	believed = time.Minute
	// employeeWork is how long a look at an employee may go on after its reading
	// (rule 7.3), with a call's time over.
	employeeWork = 5 * time.Minute
	// divisionsKept is how long an employee's divisions may be remembered beyond a
	// change that nobody told of: until the nightly reconcile at the latest.
	divisionsKept = 24 * time.Hour
)

// taskWork is how long after a reading of a task its events may be written: the
// lease, with a call's time over (rules 1.2 and 1.5).
func (a *Auditor) taskWork() time.Duration { return a.w.Lease + time.Minute }

// rolesSince are the catalogues that may have been believed at some time since
// then, what bent readings told included.
func (a *Auditor) rolesSince(t time.Time) []map[int64]int64 {
	var out []map[int64]int64
	t = t.Add(-believed)
	for i := len(a.catalogues) - 1; i >= 0; i-- {
		out = append(out, a.catalogues[i].roles)
		if !a.catalogues[i].from.After(t) {
			break
		}
	}
	for _, l := range a.lies {
		if !l.at.Before(t) && l.bent.read().readable {
			out = append(out, l.bent.rolesOf())
		}
	}
	return out
}

// memberships are the divisions an employee may have been taken to belong to: of
// one who is not in the ERP any more, those they had last, because nothing tells
// others (rule 4.2).
func (a *Auditor) memberships(employee int64) [][]int64 {
	p := a.people[employee]
	now := a.w.Now()
	var out [][]int64
	if !slices.ContainsFunc(a.settings, func(v settingsVersion) bool { return v.IncludeDepartments }) {
		return [][]int64{nil}
	}
	for _, e := range p.lastSince(now.Add(-divisionsKept)) {
		out = append(out, divisionsOf(e))
	}
	if len(out) == 0 {
		out = append(out, nil)
	}
	return out
}

// personReads are all readings of one employee, alone or with all others.
func (a *Auditor) personReads(employee int64) []reading {
	p := a.people[employee]
	var single []reading
	if p != nil {
		single = p.reads
	}
	out := make([]reading, 0, len(single)+len(a.allReads))
	i, j := 0, 0
	for i < len(single) || j < len(a.allReads) {
		if j == len(a.allReads) || i < len(single) && !single[i].at.After(a.allReads[j].at) {
			out = append(out, single[i])
			i++
			continue
		}
		r := a.allReads[j]
		j++
		out = append(out, seen(r.at, p.at(r.at), true, r.bent))
	}
	return out
}

// showTask is what a reading showed of a task; ok is false where it showed nothing.
func showTask(id int64, r reading) (v taskView, complete, ok bool) {
	if r.bent == nil {
		t, _ := r.v.(*fakeerp.Task)
		return viewTask(t), r.complete, true
	}
	ans := r.bent.read()
	if !ans.readable {
		return v, false, false
	}
	return viewBentTask(ans.entries[id]), len(ans.entries) > 0, true
}

func showPerson(id int64, r reading) (v personView, complete, ok bool) {
	if r.bent == nil {
		e, _ := r.v.(*fakeerp.Employee)
		return viewPerson(e), r.complete, true
	}
	ans := r.bent.read()
	if !ans.readable {
		return v, false, false
	}
	return viewBentPerson(ans.entries[id]), r.complete && len(ans.entries) > 0, true
}

// grounds are what a deletion rests on.
type grounds int

const (
	none grounds = iota
	explicit
	counted // absence, or a state that changed its role (rule 4.3)
)

// taskGrounds finds in the readings what lets an event go.
func (a *Auditor) taskGrounds(task, employee int64, c *calendarStory) (g grounds, why string) {
	now := a.w.Now()
	story := a.tasks[task]
	if story == nil {
		return none, "the task was never read"
	}
	begin := now.Add(-a.taskWork())
	settings, members := a.inForce(begin.Add(-believed)), a.memberships(employee)
	// One reading can be taken in several ways, by what was in force and remembered.
	judge := func(r reading) verdicts {
		v, complete, ok := showTask(task, r)
		if !ok {
			return 0
		}
		if v.absent {
			_, told := a.told[fmt.Sprintf("task.deleted/%d", task)]
			switch {
			case told:
				return one(over)
			case complete:
				return one(unsure)
			}
			return 0
		}
		var all verdicts
		for _, s := range settings {
			for _, roles := range a.rolesSince(r.at) {
				for _, m := range members {
					all |= one(judgeTask(s, roles, v, employee, m, c.mark.From))
				}
			}
		}
		return all
	}
	why = "no reading of the task in the time of its lease"
	var second time.Time
	for i := len(story.reads) - 1; i >= 0 && !story.reads[i].at.Before(begin); i-- {
		switch all := judge(story.reads[i]); {
		case all.has(over), all.has(closed) && !a.roleChanged(task):
			return explicit, ""
		case all.has(closed):
			g = counted
		case all.has(unsure):
			if second.IsZero() {
				second = story.reads[i].at
			}
			why = "only one complete reading lacks it"
		case all.has(due):
			if second.IsZero() {
				why = "the ERP says that it is open, dated and theirs"
			}
		}
	}
	if g != none || second.IsZero() {
		return g, why
	}
	for _, r := range story.reads {
		if second.Sub(r.at) < a.apart() {
			break
		}
		if judge(r).against() {
			return counted, ""
		}
	}
	return none, why
}

// apart is how far two readings must lie apart. They come some time after the
// lease by whose beginning the product measures.
func (a *Auditor) apart() time.Duration {
	return a.w.Absence - min(time.Minute, a.w.Absence/10)
}

// roleChanged reports whether the state that a task is in ever had another role, by
// truth or by a lie, while the task may have been in it.
func (a *Auditor) roleChanged(task int64) bool {
	t := a.tasks[task].at(a.w.Now())
	if t == nil {
		return false
	}
	roles := map[int64]bool{}
	for _, c := range a.catalogues {
		if role, ok := c.roles[t.StateID]; ok {
			roles[role] = true
		}
	}
	for _, l := range a.lies {
		if role, ok := l.bent.rolesOf()[t.StateID]; ok {
			roles[role] = true
		}
	}
	if len(roles) < 2 {
		return false
	}
	// A task that was moved into the state lately is closed explicitly.
	for _, v := range a.tasks[task].since(a.w.Now().Add(-time.Hour)) {
		if v == nil || v.StateID != t.StateID {
			return false
		}
	}
	return true
}

// personGrounds finds in the readings since then what takes an employee their
// calendar, or one that was shared with an address, or with one of several.
func (a *Auditor) personGrounds(employee int64, since time.Time, addresses ...string) (g grounds, why string) {
	settings := a.inForce(since.Add(-believed))
	judge := func(r reading) verdicts {
		v, complete, ok := showPerson(employee, r)
		if !ok {
			return 0
		}
		if v.absent {
			_, told := a.told[fmt.Sprintf("employee.deleted/%d", employee)]
			switch {
			case told && complete:
				return one(over)
			case complete:
				return one(unsure)
			}
			return 0
		}
		var all verdicts
		for _, s := range settings {
			all |= one(judgePerson(s, v))
		}
		if all.has(due) && slices.ContainsFunc(addresses, func(had string) bool { return !sameAddress(v.email.v, had) }) {
			all = all&^one(due) | one(over) // theirs is another calendar
		}
		return all
	}
	why = "no reading of the employee in the time of the look"
	var second time.Time
	reads := a.personReads(employee)
	for i := len(reads) - 1; i >= 0 && !reads[i].at.Before(since); i-- {
		switch all := judge(reads[i]); {
		case all.has(over):
			return explicit, ""
		case all.has(unsure):
			if second.IsZero() {
				second = reads[i].at
			}
			why = "only one complete reading lacks them"
		case all.has(due):
			if second.IsZero() {
				why = "the ERP says that they work, are bound and have this address"
			}
		}
	}
	if second.IsZero() {
		return none, why
	}
	for i := len(reads) - 1; i >= 0; i-- {
		// What something explicit had begun may be finished when they vanish besides.
		if all := judge(reads[i]); all.has(due) {
			break
		} else if all.has(over) {
			return explicit, ""
		}
	}
	for _, r := range reads {
		if second.Sub(r.at) < a.apart() {
			break
		}
		if judge(r).against() {
			return counted, ""
		}
	}
	return none, why
}

// founded reports whether a fresh reading of a task asks for an event at a time.
func (a *Auditor) founded(task, employee int64, c *calendarStory, start time.Time, allDay bool) string {
	now := a.w.Now()
	begin := now.Add(-a.taskWork())
	story := a.tasks[task]
	if story == nil {
		return "the task was never read"
	}
	why := "no reading of the task in the time of its lease"
	for i := len(story.reads) - 1; i >= 0 && !story.reads[i].at.Before(begin); i-- {
		r := story.reads[i]
		if r.bent != nil {
			if r.bent.read().readable {
				return "" // what it said may have been anything
			}
			continue
		}
		t, _ := r.v.(*fakeerp.Task)
		if t == nil {
			why = "the task was not there"
			continue
		}
		for _, s := range a.inForce(begin.Add(-believed)) {
			want := timesOf(s, *t, 0)
			if want.allDay != allDay || !want.start.Equal(start) {
				why = "it starts at " + start.UTC().Format(time.RFC3339) + " and the task at " + want.start.UTC().Format(time.RFC3339)
				continue
			}
			for _, roles := range a.rolesSince(r.at) {
				for _, m := range a.memberships(employee) {
					if judgeTask(s, roles, viewTask(t), employee, m, c.mark.From) == due {
						return ""
					}
				}
			}
			why = "the task ought not to be in this calendar"
		}
	}
	return why
}

// entitled reports whether a recent reading gives an employee a calendar.
func (a *Auditor) entitled(employee int64) bool {
	since := a.w.Now().Add(-employeeWork)
	settings := a.inForce(since)
	for _, r := range a.personReads(employee) {
		if r.at.Before(since) {
			continue
		}
		if v, _, ok := showPerson(employee, r); ok && anyDue(settings, v) {
			return true
		}
	}
	return false
}

func anyDue(settings []settingsVersion, v personView) bool {
	for _, s := range settings {
		if judgePerson(s, v) == due {
			return true
		}
	}
	return false
}
