package audit

import (
	"slices"
	"time"
)

// purge is the time in which an admin had everything deleted.
type purge struct {
	from time.Time
	to   time.Time // zero while it goes on
}

// wish is how long what an admin asked for may take to come about: the longest
// pause that a failing key gets, and what leads up to it.
const wish = 24 * time.Hour

// Purge tells that an admin is confirming the deletion of everything.
func (a *Auditor) Purge() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.purges = append(a.purges, purge{from: a.w.Now()})
}

// PurgeStopped tells that the deletion was stopped, or not begun: what is under
// way may still come to its end.
func (a *Auditor) PurgeStopped() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endPurge()
}

func (a *Auditor) endPurge() {
	for i := range a.purges {
		if a.purges[i].to.IsZero() {
			a.purges[i].to = a.w.Now()
		}
	}
}

// Purged tells that the deletion is said to be over: nothing of the product's may
// be left but what others have something in, and that bears no mark any more
// (rule 4.6).
func (a *Auditor) Purged() {
	a.mu.Lock()
	defer a.mu.Unlock()
	began := time.Time{}
	for _, p := range a.purges {
		if p.to.IsZero() {
			began = p.from
		}
	}
	a.endPurge()
	// It may have been over for a while, and syncing switched on again.
	i := slices.IndexFunc(a.settings, func(v settingsVersion) bool { return v.Enabled && v.since.After(began) })
	for _, c := range a.order {
		if c.deleted || !c.ours() || !c.marked || began.IsZero() || i >= 0 && c.made.After(a.settings[i].since) {
			continue
		}
		v := Violation{Rule: RuleCalendar, Calendar: c.id, Employee: int64(c.mark.Employee)}
		a.report(v, "it is left after everything was deleted")
	}
}

// purging reports whether a deletion may be the purge's.
func (a *Auditor) purging() bool {
	return slices.ContainsFunc(a.purges, func(p purge) bool {
		return p.to.IsZero() || a.w.Now().Sub(p.to) <= employeeWork
	})
}

// purged judges the deletion of a calendar by a purge: not of one in which others
// have had something for so long that the look that deleted it has seen it.
func (a *Auditor) purged(c *calendarStory, v Violation) {
	for _, e := range c.events {
		if e.live && !c.owns(e) && !a.lately(e.since, a.taskWork()) && c.denied.IsZero() {
			v.Rule, v.Event = RuleForeign, e.id
			a.report(v, "a calendar was deleted in which others have an event")
			return
		}
	}
}

// disowned judges a calendar whose mark a purge took off: it stays because of what
// others have in it, and nothing of the product's does.
func (a *Auditor) disowned(c *calendarStory, v Violation) {
	foreign := false
	for _, e := range c.events {
		switch {
		case e.live && c.owns(e):
			v.Rule, v.Event = RuleExtra, e.id
			a.report(v, "it is left in a calendar that the product gave up")
		case e.live:
			foreign = true
		case !e.owned && a.lately(e.ended, a.purgeLasts()):
			foreign = true // it was there when the purge looked
		}
	}
	if v.Event = ""; !foreign {
		v.Rule = RuleCalendar
		a.report(v, "a purge left it, although others have nothing in it")
	}
	for _, r := range c.rules {
		if r.ours && r.Role != "none" {
			v.Rule = RuleShare
			a.report(v, "%s can still read a calendar that the product gave up", r.ID)
		}
	}
	c.disowned, c.disownedAt = true, a.w.Now()
}

// cleared reports whether a purge, under way or stopped, has taken out of a calendar
// everything of the product's but its mark: it leaves, whatever the ERP says.
func (a *Auditor) cleared(c *calendarStory) bool {
	if !a.purgedSince(c.made) {
		return false
	}
	for _, e := range c.events {
		if e.live && c.owns(e) && !e.byHand {
			return false
		}
	}
	for _, r := range c.rules {
		if r.ours && r.Role != "none" {
			return false
		}
	}
	return true
}

// purgedSince reports whether an admin had everything deleted after a time.
func (a *Auditor) purgedSince(t time.Time) bool {
	return slices.ContainsFunc(a.purges, func(p purge) bool { return p.from.After(t) })
}

// purgeLasts is how long ago the latest purge began.
func (a *Auditor) purgeLasts() time.Duration {
	if len(a.purges) == 0 {
		return 0
	}
	return a.w.Now().Sub(a.purges[len(a.purges)-1].from)
}

// rebuilds reports whether an admin has asked for an employee's calendar to be
// emptied and filled again, and that may still be under way. A pause puts it off.
func (a *Auditor) rebuilds(employee int64) bool {
	asked := a.allowed[keyOf("rebuild", employee)]
	if len(asked) == 0 {
		return false
	}
	since := asked[len(asked)-1]
	if n := len(a.connecting); n > 0 && a.connecting[n-1].After(since) {
		since = a.connecting[n-1] // without a connection it waited
	}
	for i, s := range a.settings {
		if s.Enabled && s.Confirmed || i+1 == len(a.settings) {
			continue
		}
		if ended := a.settings[i+1].since; ended.After(since) {
			since = ended
		}
	}
	return a.w.Now().Sub(since) <= wish
}

// mostUnpaced is how many calls a connection makes before anything is known of the
// account, and so before there is a budget to take them from: the list of calendars,
// repeated three times at most when Google fails, and a look at three of them.
const mostUnpaced = 7

// Connecting tells that an admin is connecting the account.
func (a *Auditor) Connecting() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connecting = append(a.connecting, a.w.Now())
}

// unpaced is how many calls of the last minute may have been connections'.
func (a *Auditor) unpaced(now time.Time) int {
	n := 0
	for _, at := range a.connecting {
		if now.Sub(at) < 2*time.Minute {
			n += mostUnpaced
		}
	}
	return n
}

// Keep tells of an admin's decision that what is held stays ("tasks/12").
func (a *Auditor) Keep(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		a.kept[k] = a.w.Now()
	}
}

// Reopened tells that an admin wants to decide anew about all that is kept.
func (a *Auditor) Reopened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.kept)
}

// checkKept reports a deletion that an admin decided against, unless the ERP, the
// settings or the catalogue said something new since (functions/README.md, Console).
func (a *Auditor) checkKept(v Violation, key string) {
	kept, is := a.kept[key]
	if !is || a.lately(kept, employeeWork) || a.allowedSince(key) {
		return
	}
	news := a.settings[len(a.settings)-1].since.After(kept)
	for _, c := range a.catalogues {
		news = news || c.from.After(kept)
	}
	if v.Task != 0 {
		news = news || a.tasks[v.Task].changed(kept)
	}
	news = news || a.people[v.Employee].changed(kept)
	if news {
		return
	}
	v.Rule = RuleGuard
	a.report(v, "it was deleted although an admin decided that it stays")
}

// changed reports whether a story went on, or was told otherwise than it is, since
// then.
func (s *story[T]) changed(since time.Time) bool {
	if s == nil {
		return false
	}
	if n := len(s.spans); n > 0 && s.spans[n-1].from.After(since) {
		return true
	}
	return slices.ContainsFunc(s.reads, func(r reading) bool { return r.bent != nil && r.at.After(since) })
}

// Entitled counts the employees who are to have a calendar now.
func (a *Auditor) Entitled() int {
	a.mu.Lock()
	s := a.settings[len(a.settings)-1]
	a.mu.Unlock()
	n := 0
	for _, e := range a.w.ERP.Employees() {
		if judgePerson(s, viewPerson(&e)) == due {
			n++
		}
	}
	return n
}
