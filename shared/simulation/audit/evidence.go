package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

const (
	// cacheAge is how old settings and catalogues may be (functions/README.md, Settings).
	cacheAge = time.Minute
	// catalogueKept is how long a catalogue that cannot be read is as it was read last.
	catalogueKept = 24 * time.Hour
	// employeePassAge is how long after its reading of the ERP an employee's pass may
	// still write (rule 7.3), with time for one more call.
	employeePassAge = 5 * time.Minute
	// divisionsKept is how long an employee's divisions may be remembered after a change
	// that no notification reported: until the nightly reconcile at the latest, paused days
	// not counted.
	divisionsKept = 24 * time.Hour
)

// taskPassAge is how long after a reading of a task its events may be written: the
// lease, with time for one more call (rules 1.2 and 1.5).
func (a *Auditor) taskPassAge() time.Duration { return a.w.Lease + time.Minute }

// rolesSince are the catalogues that an instance may have held at some time since then,
// those from faulty answers included.
func (a *Auditor) rolesSince(t time.Time) []map[int64]int64 {
	var out []map[int64]int64
	t = a.lastSound(t.Add(-cacheAge))
	for i := len(a.catalogues) - 1; i >= 0; i-- {
		out = append(out, a.catalogues[i].roles)
		if !a.catalogues[i].from.After(t) {
			break
		}
	}
	for _, f := range a.faultyCatalogues {
		if !f.at.Before(t) && f.faulty.parse().readable {
			out = append(out, f.faulty.roles())
		}
	}
	return out
}

// lastSound is when the catalogue was read well that may still be in force at a time: while
// it cannot be read, of which the ERP's stand-in need not see anything, it is as it was read
// last, for a day (rule 4.15).
func (a *Auditor) lastSound(t time.Time) time.Time {
	n, _ := slices.BinarySearchFunc(a.soundCatalogues, t, time.Time.Compare)
	if n > 0 && t.Sub(a.soundCatalogues[n-1]) < catalogueKept {
		return a.soundCatalogues[n-1]
	}
	return t
}

// memberships are the divisions that an instance may have taken an employee to belong
// to: of one who is no longer in the ERP those they had last, because nothing says
// otherwise (rule 4.2).
func (a *Auditor) memberships(employee int64) [][]int64 {
	p := a.people[employee]
	now := a.w.Now()
	var out [][]int64
	if !slices.ContainsFunc(a.settings, func(v settingsVersion) bool { return v.IncludeDepartments }) {
		return [][]int64{nil}
	}
	for _, e := range p.lastSince(now.Add(-divisionsKept - a.pausedFor())) {
		out = append(out, divisionsOf(e))
	}
	if len(out) == 0 {
		out = append(out, nil)
	}
	return out
}

// pausedFor is how long settings that pause everything were in force, of all that passed.
func (a *Auditor) pausedFor() (paused time.Duration) {
	for i, s := range a.settings {
		if end := a.w.Now(); !s.Enabled {
			if i+1 < len(a.settings) {
				end = a.settings[i+1].since
			}
			paused += end.Sub(s.since)
		}
	}
	return paused
}

// lastShown is when the ERP last showed an employee well; zero: never.
func (a *Auditor) lastShown(employee int64) time.Time {
	for _, r := range slices.Backward(a.personReads(employee)) {
		if e, _ := r.v.(*fakeerp.Employee); r.faulty == nil && e != nil {
			return r.at
		}
	}
	return time.Time{}
}

// showedSinceLoss reports whether the ERP has shown an employee by themselves with an address,
// well, since the database was lost: then the product is to remember it.
func (a *Auditor) showedSinceLoss(employee int64, address string) bool {
	p := a.people[employee]
	return p != nil && slices.ContainsFunc(p.reads, func(r reading) bool {
		e, _ := r.v.(*fakeerp.Employee)
		return r.faulty == nil && e != nil && r.at.After(a.wiped) && calendarsync.NormalAddress(e.Email) == calendarsync.NormalAddress(address)
	})
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
		out = append(out, newReading(r.at, p.at(r.at), true, r.faulty))
	}
	return out
}

// showTask is what a reading showed of a task; ok is false where it showed nothing.
func (a *Auditor) showTask(id int64, r reading) (v taskView, complete, ok bool) {
	if r.faulty == nil {
		t, _ := r.v.(*fakeerp.Task)
		return a.viewTask(t, r.unassigned), r.complete, true
	}
	ans := r.faulty.parse()
	if !ans.readable {
		return v, false, false
	}
	return viewFaultyTask(ans.entries[id]), len(ans.entries) > 0, true
}

func showPerson(id int64, r reading) (v personView, complete, ok bool) {
	if r.faulty == nil {
		e, _ := r.v.(*fakeerp.Employee)
		return viewPerson(e), r.complete, true
	}
	ans := r.faulty.parse()
	if !ans.readable {
		return v, false, false
	}
	return viewFaultyPerson(ans.entries[id]), r.complete && len(ans.entries) > 0, true
}

// grounds are what a deletion rests on.
type grounds int

const (
	none grounds = iota
	explicit
	counted // absence, or a state that changed its role (rule 4.3)
)

// taskGrounds finds in the readings what justifies deleting a task's event; why says
// what is missing where nothing does.
func (a *Auditor) taskGrounds(task, employee int64, c *trackedCalendar) (g grounds, why string) {
	history := a.tasks[task]
	if history == nil {
		return none, "the task was never read"
	}
	begin := a.w.Now().Add(-a.taskPassAge())
	judge := a.taskJudge(task, employee, c, begin)
	closedBy := explicit
	if a.roleChanged(task) {
		closedBy = counted
	}
	found := newestEvidence(history.reads, begin, judge, closedBy, explanations{
		unread:  "no reading of the task in the time of its lease",
		missing: "only one complete reading lacks it",
		wanted:  "the ERP says that it is open, dated and theirs",
	})
	if found.grounds == none && a.absentBefore(history.reads, found.absence, judge) {
		return counted, ""
	}
	return found.grounds, found.why
}

// taskJudge judges readings of a task in every way in which the product may have taken
// them, by the settings, roles and divisions that were in force or remembered.
func (a *Auditor) taskJudge(task, employee int64, c *trackedCalendar, begin time.Time) func(reading) verdicts {
	settings, members := a.inForce(begin.Add(-cacheAge)), a.memberships(employee)
	return func(r reading) verdicts {
		v, complete, ok := a.showTask(task, r)
		if !ok {
			return 0
		}
		if v.absent {
			_, vouched := a.vouched[fmt.Sprintf("task.deleted/%d", task)]
			return absenceVerdict(complete, vouched)
		}
		var all verdicts
		for _, s := range settings {
			for _, roles := range a.rolesSince(r.at) {
				for _, m := range members {
					all |= setOf(judgeTask(s, roles, v, employee, m, c.mark.From))
				}
			}
		}
		return all
	}
}

// absenceVerdict judges an answer that lacks what was asked for: a signed notification
// vouches for it, a complete answer may be one of the two that prove it, any other says
// nothing (rules 4.1 and 4.2).
func absenceVerdict(complete, vouched bool) verdicts {
	switch {
	case vouched:
		return setOf(over)
	case complete:
		return setOf(unsure)
	}
	return 0
}

// evidence is what the newest readings say.
type evidence struct {
	grounds grounds
	// absence is when the newest reading was made that says nothing either way: with
	// an older one it may prove an absence. Zero where there is none.
	absence time.Time
	// why is what is missing where there are no grounds.
	why string
}

// explanations say why there are no grounds.
type explanations struct {
	unread, missing, wanted string
}

// newestEvidence goes through the readings since begin, the newest first, until one
// says explicitly that the thing ought to go. closedBy is what a state's role counts for.
func newestEvidence(reads []reading, begin time.Time, judge func(reading) verdicts, closedBy grounds, because explanations) evidence {
	e := evidence{why: because.unread}
	for i := len(reads) - 1; i >= 0 && !reads[i].at.Before(begin); i-- {
		switch all := judge(reads[i]); {
		case all.has(over), all.has(closed) && closedBy == explicit:
			return evidence{grounds: explicit}
		case all.has(closed):
			e.grounds = closedBy
		case all.has(unsure):
			if e.absence.IsZero() {
				e.absence = reads[i].at
			}
			e.why = because.missing
		case all.has(due) && e.absence.IsZero():
			e.why = because.wanted
		}
	}
	return e
}

// absentBefore reports whether a reading old enough did not want the thing either, so
// that it and the newest one prove an absence (rule 4.2).
func (a *Auditor) absentBefore(reads []reading, newest time.Time, judge func(reading) verdicts) bool {
	if newest.IsZero() {
		return false
	}
	for _, r := range reads {
		if newest.Sub(r.at) < a.absenceApart() {
			return false
		}
		if judge(r).against() {
			return true
		}
	}
	return false
}

// absenceApart is how far two readings must lie apart to prove an absence (rule 4.2).
// It is a little less than the product waits, which measures from when its leases
// began: the readings come some time after that.
func (a *Auditor) absenceApart() time.Duration {
	return a.w.Absence - min(time.Minute, a.w.Absence/10)
}

// roleChanged reports whether the state that a task is in was ever given another role
// while the task may have been in it, by the ERP itself or by a false answer.
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
	for _, f := range a.faultyCatalogues {
		if role, ok := f.faulty.roles()[t.StateID]; ok {
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

// personGrounds finds in the readings since then what takes an employee their calendar:
// one that was shared with an address, or with one of several. why says what is missing
// where nothing does.
func (a *Auditor) personGrounds(employee int64, since time.Time, addresses ...string) (g grounds, why string) {
	judge := a.personJudge(employee, since, addresses)
	reads := a.personReads(employee)
	found := newestEvidence(reads, since, judge, explicit, explanations{
		unread:  "no reading of the employee in the time of the pass",
		missing: "only one complete reading lacks them",
		wanted:  "the ERP says that they work, are bound and have this address",
	})
	switch {
	case found.grounds != none || found.absence.IsZero():
		return found.grounds, found.why
	case endedBefore(reads, judge):
		return explicit, ""
	case a.absentBefore(reads, found.absence, judge):
		return counted, ""
	}
	return none, found.why
}

// personJudge judges readings of an employee by every settings that were in force.
func (a *Auditor) personJudge(employee int64, since time.Time, addresses []string) func(reading) verdicts {
	settings := a.inForce(since.Add(-cacheAge))
	return func(r reading) verdicts {
		v, complete, ok := showPerson(employee, r)
		if !ok {
			return 0
		}
		if v.absent {
			_, vouched := a.vouched[fmt.Sprintf("employee.deleted/%d", employee)]
			return absenceVerdict(complete, vouched && complete)
		}
		var all verdicts
		for _, s := range settings {
			all |= setOf(judgePerson(s, v))
		}
		if all.has(due) && slices.ContainsFunc(addresses, func(had string) bool { return !sameAddress(v.email.v, had) }) {
			all = all&^setOf(due) | setOf(over) // theirs is another calendar
		}
		return all
	}
}

// endedBefore reports whether the last reading that showed the employee took the
// calendar from them: what it began may be finished although they vanished besides.
func endedBefore(reads []reading, judge func(reading) verdicts) bool {
	for i := len(reads) - 1; i >= 0; i-- {
		switch all := judge(reads[i]); {
		case all.has(due):
			return false
		case all.has(over):
			return true
		}
	}
	return false
}

// unfounded says why no fresh reading of a task asks for an event at a time; "" where
// one does.
func (a *Auditor) unfounded(task, employee int64, c *trackedCalendar, start time.Time, allDay bool) string {
	history := a.tasks[task]
	if history == nil {
		return "the task was never read"
	}
	begin := a.w.Now().Add(-a.taskPassAge())
	why := "no reading of the task in the time of its lease"
	for i := len(history.reads) - 1; i >= 0 && !history.reads[i].at.Before(begin); i-- {
		r := history.reads[i]
		if r.faulty != nil {
			if r.faulty.parse().readable {
				return "" // it may have shown anything
			}
			continue
		}
		t, _ := r.v.(*fakeerp.Task)
		if t == nil {
			why = "the task was not there"
			continue
		}
		for _, s := range a.inForce(begin.Add(-cacheAge)) {
			if why = a.unwantedAt(s, r, *t, employee, c, start, allDay); why == "" {
				return ""
			}
		}
	}
	return why
}

// unwantedAt says why a task, as a reading showed it, asks for no event at a time; "" where it does.
func (a *Auditor) unwantedAt(s settingsVersion, r reading, t fakeerp.Task, employee int64, c *trackedCalendar, start time.Time, allDay bool) string {
	want := timesOf(s, t, 0)
	if want.allDay != allDay || !want.start.Equal(start) {
		return "it starts at " + start.UTC().Format(time.RFC3339) + " and the task at " + want.start.UTC().Format(time.RFC3339)
	}
	for _, roles := range a.rolesSince(r.at) {
		for _, m := range a.memberships(employee) {
			if judgeTask(s, roles, viewTask(&t), employee, m, c.mark.From) == due {
				return ""
			}
		}
	}
	return "the task ought not to be in this calendar"
}

// entitled reports whether a recent reading gives an employee a calendar.
func (a *Auditor) entitled(employee int64) bool {
	_, kept := a.kept[keyOf("employees", employee)]
	_, before := a.keptBefore[keyOf("employees", employee)]
	if kept || before && a.within(a.reopened, employeePassAge) {
		return true // an admin decided that they have one
	}
	since := a.w.Now().Add(-employeePassAge)
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
