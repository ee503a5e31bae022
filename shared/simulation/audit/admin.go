package audit

import (
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// purge is the time in which an admin had everything deleted.
type purge struct {
	from time.Time
	to   time.Time // zero while it goes on
}

// longestPause is how long it may take until what an admin asked for is done: the
// longest pauses that Google wants after a limit (rule 6.6) and that a failing key gets,
// and the failures before them.
const longestPause = 48 * time.Hour

// Purge notes that an admin is confirming the deletion of everything.
func (a *Auditor) Purge() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.purges = append(a.purges, purge{from: a.w.Now()})
}

// PurgeStopped notes that the deletion was stopped, or never began. Passes under way
// may still finish.
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

// Purged judges the state after a deletion that the product says is over: of its
// calendars only those may remain that hold something of others', and those bear no
// mark any more (rule 4.6).
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
		if first := c.gone.first; c.proved.After(began) || !first.IsZero() && a.w.Now().Sub(first) >= a.absenceApart() {
			continue // Google denied it for as long as absence has to be believed (rule 3.9)
		}
		v := Violation{Rule: RuleCalendar, Calendar: c.id, Employee: int64(c.mark.Employee)}
		a.report(v, "it remains after everything was deleted")
	}
}

// purging reports whether a deletion may be the purge's.
func (a *Auditor) purging() bool {
	return slices.ContainsFunc(a.purges, func(p purge) bool {
		return p.to.IsZero() || a.w.Now().Sub(p.to) <= employeePassAge
	})
}

// checkPurgedCalendar judges the deletion of a calendar by a purge. It must stay where
// others have had an event in it for so long that the pass must have seen it.
func (a *Auditor) checkPurgedCalendar(c *trackedCalendar, v Violation) {
	for _, e := range c.events {
		if e.live && !c.owns(e) && !c.misplaced(e) && !a.within(e.since, a.taskPassAge()) && c.falselyGone.IsZero() {
			v.Rule, v.Event = RuleForeign, e.id
			a.report(v, "a calendar was deleted in which others have an event")
			return
		}
	}
}

// disowned judges a calendar whose mark a purge took off: it may stay only because of
// what others have in it, and nothing of the product's may stay in it.
func (a *Auditor) disowned(c *trackedCalendar, v Violation) {
	foreign := false
	for _, e := range c.events {
		switch {
		case e.live && c.owns(e) && e.byHand && e.since.After(c.shown):
			// Brought back between the look that showed no more of them and this call.
		case e.live && c.owns(e):
			v.Rule, v.Event = RuleExtra, e.id
			a.report(v, "it remains in a calendar that the product gave up")
		case e.live && c.misplaced(e): // moved here, since the purge looked or before
			if !a.within(e.since, a.purgeLasts()) {
				v.Rule, v.Event = RuleExtra, e.id
				a.report(v, "it remains in a calendar of somebody else that the product gave up")
			}
		case e.live:
			foreign = true
		case !e.owned && a.within(e.ended, a.purgeLasts()):
			foreign = true // it was there when the purge looked
		}
	}
	if v.Event = ""; !foreign {
		v.Rule = RuleCalendar
		a.report(v, "a purge left it, although others have nothing in it")
	}
	for _, r := range c.rules {
		// After a lost database an address that no list shows is known from the ERP alone (rule 5.3).
		// One that changed before any pass read it is remembered by nobody.
		employee := int64(c.mark.Employee)
		unknown := r.Hidden && c.made.Before(a.wiped) && (!a.within(a.lastShown(employee), a.purgeLasts()) || !a.showedSinceLoss(employee, r.Value))
		if r.ours && r.Role != "none" && !unknown {
			v.Rule = RuleShare
			a.report(v, "%s can still read a calendar that the product gave up", r.ID)
		}
	}
	c.disowned, c.disownedAt = true, a.w.Now()
}

// cleared reports whether a purge, under way or stopped, has removed everything of the
// product's from a calendar but its mark: it is retired, whatever the ERP says.
func (a *Auditor) cleared(c *trackedCalendar) bool {
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

// purgeLasts is how long ago the latest purge began; 0 where there was none.
func (a *Auditor) purgeLasts() time.Duration {
	if len(a.purges) == 0 {
		return 0
	}
	return a.w.Now().Sub(a.purges[len(a.purges)-1].from)
}

// rebuilds reports whether an employee's calendar may still be being emptied and filled
// again, as an admin asked. While syncing is off or the account is not connected, it waits.
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
	return a.w.Now().Sub(since) <= longestPause
}

// replacedByAdmin reports whether an admin asked for another calendar in the place of this
// one, which Google denied (rule 3.9), at most so long ago that it may not be made yet.
func (a *Auditor) replacedByAdmin(c *trackedCalendar) bool {
	asked := a.allowed[keyOf("replace", int64(c.mark.Employee))]
	return len(asked) > 0 && a.within(asked[len(asked)-1], longestPause) && a.within(c.denied, longestPause)
}

// askedForBySettings reports whether something goes because an admin saved settings within the
// last day under which it is not to be there, and was under those before (rule 4.14). The
// console shows what a save does before it does it, so that this is no accident.
func (a *Auditor) askedForBySettings(v Violation) bool {
	var acted []settingsVersion
	for _, s := range a.settings {
		if s.Acts() {
			acted = append(acted, s)
		}
	}
	for i := 1; i < len(acted); i++ {
		before, after := acted[i-1], acted[i]
		if !a.within(after.since, 24*time.Hour+employeePassAge) {
			continue
		}
		if v.Task != 0 && a.hides(before, after, v.Task) || v.Task == 0 && a.unbinds(before, after, v.Employee) {
			return true
		}
	}
	return false
}

// hides reports whether a task's state has a role that is shown no more.
func (a *Auditor) hides(before, after settingsVersion, task int64) bool {
	t := a.tasks[task].at(a.w.Now())
	if t == nil {
		return false
	}
	for _, roles := range a.rolesSince(after.since) {
		role, known := roles[t.StateID]
		if known && slices.Contains(before.ShownRoles, calendarsync.RoleID(role)) && !slices.Contains(after.ShownRoles, calendarsync.RoleID(role)) {
			return true
		}
	}
	return false
}

// unbinds reports whether an employee had the box that counted and has not the one that counts
// now, by any reading since then.
func (a *Auditor) unbinds(before, after settingsVersion, employee int64) bool {
	for _, r := range a.personReads(employee) {
		if v, _, ok := showPerson(employee, r); ok && a.within(r.at, 25*time.Hour) && judgePerson(before, v) == due && judgePerson(after, v) != due {
			return true
		}
	}
	return false
}

// mostUnpaced is how many calls connecting the account makes at most before there is a
// budget to reserve them from: the list of calendars, repeated up to three times when
// Google fails, a look for 50 calendars and a read of 10.
const mostUnpaced = 64

// Connecting notes that an admin is connecting the account.
func (a *Auditor) Connecting() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connecting = append(a.connecting, a.w.Now())
}

// unpaced is how many calls of the last minute may have been made while connecting.
func (a *Auditor) unpaced(now time.Time) int {
	n := 0
	for _, at := range a.connecting {
		if now.Sub(at) < 2*time.Minute {
			n += mostUnpaced
		}
	}
	return n
}

// Keep notes an admin's decision to keep what is held ("tasks/12").
func (a *Auditor) Keep(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		a.kept[k] = a.w.Now()
	}
}

// Reopened notes that an admin wants to decide again about everything that was kept.
func (a *Auditor) Reopened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keptBefore, a.reopened = maps.Clone(a.kept), a.w.Now()
	clear(a.kept)
}

// checkKept reports the deletion of something that an admin decided to keep, unless the
// ERP, the settings or the catalogue have changed since (functions/README.md, Console).
func (a *Auditor) checkKept(v Violation, key string) {
	kept, is := a.kept[key]
	if !is || a.within(kept, employeePassAge) || a.allowedSince(key) {
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

// changed reports whether the object changed since then, or a faulty answer may have
// shown it otherwise than it is.
func (s *timeline[T]) changed(since time.Time) bool {
	if s == nil {
		return false
	}
	if n := len(s.versions); n > 0 && s.versions[n-1].from.After(since) {
		return true
	}
	return slices.ContainsFunc(s.reads, func(r reading) bool { return r.faulty != nil && r.at.After(since) })
}

// Entitled counts the employees who ought to have a calendar now.
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
