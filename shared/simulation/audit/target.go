package audit

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// calendarStory is a calendar at Google as it is, and what it was.
type calendarStory struct {
	id      string
	client  string
	primary bool
	deleted bool
	byHand  bool // deleted by hand
	// disowned: a purge left it to others, at that time.
	disowned   bool
	disownedAt time.Time
	made       time.Time
	// mark is the mark that the product wrote; marked tells whether it is there.
	mark   calendarsync.CalendarMark
	marked bool
	// name and zone are as the product wrote them last; the account's owner may have
	// named it otherwise since, which is not the product's to repair (design.md §1.5).
	name, zone string
	denied     time.Time // when an injected fault last said that it is gone
	addresses  []string  // the employee's, as it may have been read when it was made
	events     map[string]*eventStory
	rules      map[string]*ruleStory
	// refused: Google refused for good to share it.
	refused bool
	// left: its share was taken away with reason, and not given again; it goes, even
	// if its employee comes back meanwhile (protocol.md §5.2).
	left bool
	pace [3]time.Time // of the last writes
}

// ours tells whether the product made it and marked it.
func (c *calendarStory) ours() bool { return c.client != "" && c.mark.Epoch != "" && !c.disowned }

// owns tells whether an event of this calendar is the product's.
func (c *calendarStory) owns(e *eventStory) bool {
	return e.owned && c.ours() && e.mark.Tenant == c.mark.Tenant && e.mark.Employee == c.mark.Employee
}

type eventStory struct {
	id     string
	live   bool
	owned  bool // a whole mark, and the id is its hash
	mark   calendarsync.Mark
	byHand bool      // brought to life by hand
	since  time.Time // when it came to life
	ended  time.Time // when it was cancelled
	denied time.Time // when an injected fault last said that it is gone or forbidden
}

type ruleStory struct {
	fakegoogle.RuleSnapshot
	ours   bool // as the product made it
	once   bool // the product made it once
	listed int  // how often the product saw it in a list
	// lost: removed by hand before the product had surely seen it.
	lost bool
}

// write is one change made by the product.
type write struct {
	at              time.Time
	kind            string // as in Activity.Action, of events "event.write" and "event.delete"
	calendar, event string
	task, employee  int64
}

// target listens to the Google stand-in.
type target struct{ a *Auditor }

func (t target) counts(r fakegoogle.Request) bool {
	return strings.HasPrefix(r.Method, "calendar.") && (r.Account == "" || strings.EqualFold(r.Account, t.a.w.Account))
}

func (t target) Arrived(r fakegoogle.Request) {
	if !t.counts(r) {
		return
	}
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.w.Now()
	v := Violation{At: now, Calendar: r.CalendarID, Event: r.EventID}
	a.spend(now, r.Units)
	if r.Units > 1 {
		v.Rule = RulePatch
		a.report(v, "%s costs %d units", r.Method, r.Units)
	}
	if !r.Write {
		return
	}
	if a.quiet {
		v.Rule = RuleRest
		a.report(v, "%s although nothing had changed", r.Method)
	}
	if c := a.cals[r.CalendarID]; c != nil {
		if oldest := c.pace[0]; !oldest.IsZero() && now.Sub(oldest) < time.Second {
			v.Rule = RulePace
			a.report(v, "%s is the fourth write in %s", r.Method, now.Sub(oldest))
		}
		c.pace = [3]time.Time{c.pace[1], c.pace[2], now}
	}
	if !strings.HasPrefix(r.Method, "calendar.events.") {
		return
	}
	if r.Query.Get("sendUpdates") != "none" {
		v.Rule = RuleMail
		a.report(v, "%s with sendUpdates=%q", r.Method, r.Query.Get("sendUpdates"))
	}
	if (r.Method == "calendar.events.update" || r.Method == "calendar.events.delete") && r.IfMatch == "" {
		v.Rule = RuleCondition
		a.report(v, "%s without If-Match", r.Method)
	}
}

// spend counts units in the sliding minute; a minute that is over is told once.
func (a *Auditor) spend(now time.Time, units int) {
	a.units = append(a.units, spent{now, units})
	a.spent += units
	for now.Sub(a.units[0].at) >= time.Minute {
		a.spent -= a.units[0].units
		a.units = a.units[1:]
	}
	over := a.w.RequestsPerMinute > 0 && a.spent > a.w.RequestsPerMinute+a.unpaced(now)
	if over && !a.overSince {
		a.report(Violation{Rule: RuleBudget}, "%d units in a minute, %d are allowed", a.spent, a.w.RequestsPerMinute)
	}
	a.overSince = over
}

func (t target) Answered(r fakegoogle.Request) {
	if !t.counts(r) {
		return
	}
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cals[r.CalendarID]
	if c == nil {
		return
	}
	if r.Fault == "status" && (r.Status == http.StatusForbidden || r.Status == http.StatusNotFound || r.Status == http.StatusGone) {
		if e := c.events[r.EventID]; e != nil {
			e.denied = a.w.Now()
		} else if r.EventID == "" {
			c.denied = a.w.Now()
		}
	}
	switch r.Method {
	case "calendar.acl.list":
		if r.Status == http.StatusOK && r.Fault == "" {
			for _, rule := range c.rules {
				if !rule.Hidden && rule.Role != "none" {
					rule.listed++
				}
			}
		}
	case "calendar.acl.insert":
		if r.Fault == "" {
			c.refused = r.Status == http.StatusBadRequest || r.Status == http.StatusForbidden && (r.Reason == "forbidden" || r.Reason == "cannotChangeOwnAcl")
		}
	}
}

func (t target) Changed(ch fakegoogle.Change) {
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch.Request != nil && !t.counts(*ch.Request) {
		ch.Request = nil // another account's client is a stranger
	}
	c := a.cals[ch.CalendarID]
	if c == nil {
		c = &calendarStory{id: ch.CalendarID, made: a.w.Now(), events: map[string]*eventStory{}, rules: map[string]*ruleStory{}}
		a.cals[ch.CalendarID] = c
		a.order = append(a.order, c)
	}
	switch {
	case ch.Calendar != nil:
		a.calendarChanged(c, *ch.Calendar, ch.Request)
	case ch.Rule != nil:
		a.ruleChanged(c, *ch.Rule, ch.Request)
	case ch.Event != nil:
		a.eventChanged(c, *ch.Event, ch.Request)
	}
}

func (a *Auditor) calendarChanged(c *calendarStory, now fakegoogle.CalendarChange, by *fakegoogle.Request) {
	before := *c
	c.client, c.primary, c.deleted = now.ClientID, now.Primary, now.Deleted
	mark, marked := calendarsync.ReadCalendarMark(now.Description)
	if by != nil || c.mark.Epoch == "" {
		if c.marked = marked; marked {
			c.mark = mark
		}
	} else {
		// What a person wrote there binds nobody.
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
	a.paused(v, by.Method)
	switch {
	case by.Method == "calendar.calendars.insert":
		w.kind = "calendar.create"
		a.madeCalendar(c, v)
	case c.deleted && !before.deleted:
		w.kind = "calendar.delete"
		a.deletedCalendar(c, before, v)
	default:
		w.kind = "calendar.update"
		switch {
		case before.disowned && !c.marked && a.lately(c.disownedAt, a.taskWork()):
			w.kind = "calendar.keep" // said again, because the first answer was lost
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

func (a *Auditor) madeCalendar(c *calendarStory, v Violation) {
	if !c.marked {
		v.Rule = RuleMark
		a.report(v, "a calendar was made without a mark")
		return
	}
	if a.tenant != "" && a.tenant != c.mark.Tenant {
		for _, other := range a.order {
			if other != c && !other.deleted && other.marked && other.ours() && other.mark.Tenant != c.mark.Tenant {
				v.Rule = RuleMark
				a.report(v, "a new tenant, although calendar %s bears the old one", other.id)
				break
			}
		}
	}
	a.tenant = c.mark.Tenant
	// Which of the readings within the lease was the look's own, nobody can see: others
	// read everybody meanwhile.
	reads := a.personReads(v.Employee)
	for i := len(reads) - 1; i >= 0 && (len(c.addresses) == 0 || a.lately(reads[i].at, a.w.Lease)); i-- {
		if seen, _, ok := showPerson(v.Employee, reads[i]); ok && seen.email.v != "" {
			c.addresses = append(c.addresses, seen.email.v)
		}
	}
	if !a.entitled(v.Employee) {
		v.Rule = RuleUnfounded
		a.report(v, "a calendar for an employee who, as last read, is to have none")
	}
	a.checkFrom(c, v)
	for _, other := range a.order {
		if other == c || other.deleted || !other.marked || !other.ours() || other.mark.Employee != c.mark.Employee ||
			a.lately(other.denied, employeeWork) {
			continue
		}
		// Beside one that leaves, a new one is right (protocol.md §5.2).
		if a.cleared(other) {
			continue
		}
		if g, _ := a.personGrounds(v.Employee, other.made, other.sharedWith()...); g == none {
			v.Rule = RuleDouble
			a.report(v, "the employee has calendar %s already", other.id)
		}
	}
}

// lately tells whether something happened within a time.
func (a *Auditor) lately(at time.Time, within time.Duration) bool {
	return !at.IsZero() && a.w.Now().Sub(at) <= within
}

// checkFrom requires that a new calendar begins where it ought to (protocol.md
// §3.5): as one deleted by hand, or backfill_hours ago.
func (a *Auditor) checkFrom(c *calendarStory, v Violation) {
	now := a.w.Now()
	for _, s := range a.inForce(now.Add(-employeeWork)) {
		apart := now.Add(-time.Duration(s.BackfillHours) * time.Hour).Sub(c.mark.From)
		if apart.Abs() <= employeeWork+a.w.Skew {
			return
		}
	}
	for _, other := range a.order {
		// One that a stopped purge had deleted, with nobody to tell that it had, was not
		// given back: it is replaced as one deleted by hand.
		if other != c && other.mark.Employee == c.mark.Employee &&
			(other.deleted && (other.byHand || a.purgedSince(other.made)) || !other.denied.IsZero()) &&
			other.mark.From.Equal(c.mark.From) {
			return
		}
	}
	v.Rule = RuleMark
	a.report(v, "it begins at %s, neither backfill_hours ago nor as one deleted by hand", c.mark.From.Format(time.RFC3339))
}

// sharedWith is the address that the product shared a calendar with last, or those
// of which it was made for one.
func (c *calendarStory) sharedWith() []string {
	address := ""
	for _, r := range c.rules {
		if r.once && (address == "" || r.Role != "none") {
			address = r.Value
		}
	}
	if address == "" {
		return c.addresses
	}
	return []string{address}
}

func (a *Auditor) deletedCalendar(c *calendarStory, before calendarStory, v Violation) {
	if !before.ours() || !before.marked {
		v.Rule = RuleForeign
		a.report(v, "a calendar without the product's mark was deleted")
		return
	}
	g, why := a.personGrounds(v.Employee, a.w.Now().Add(-employeeWork), c.sharedWith()...)
	if g == none {
		g, why = a.replaced(c, why)
	}
	if g == none && !c.left && (a.purging() || a.cleared(c)) {
		a.purged(c, v)
		a.deletedUnshared(c, v)
		return
	}
	if g == none && !c.left {
		v.Rule = RuleEvidence
		a.report(v, "the calendar was deleted: %s", why)
	}
	a.checkKept(v, keyOf("employees", v.Employee))
	a.count(RuleCalendar, !a.purging() && !a.cleared(c), v, keyOf("employees", v.Employee))
	a.deletedUnshared(c, v)
}

// deletedUnshared requires that a calendar that is deleted was unshared before.
func (a *Auditor) deletedUnshared(c *calendarStory, v Violation) {
	for _, r := range c.rules {
		// Share, then calendar (protocol.md §5.2), unless Google denied to have it, or
		// the database that knew of the share was lost.
		if r.ours && r.Role != "none" && c.denied.IsZero() && c.made.After(a.wiped) {
			v.Rule = RuleShare
			a.report(v, "it was deleted while %s could still read it", r.ID)
		}
	}
}

// replaced tells whether another calendar of the employee stands in the place of one.
func (a *Auditor) replaced(c *calendarStory, why string) (grounds, string) {
	for _, other := range a.order {
		if other == c || other.deleted || !other.marked || !other.ours() || other.mark.Employee != c.mark.Employee {
			continue
		}
		if other.mark.Epoch == c.mark.Epoch {
			return explicit, ""
		}
		// A purge that is stopped gives back whichever it has not come to.
		purged := a.purgedSince(c.made) && a.purgedSince(other.made)
		if g, _ := a.personGrounds(int64(c.mark.Employee), c.made, c.sharedWith()...); g != none || other.made.After(c.made) || purged {
			return explicit, ""
		}
	}
	return none, why
}

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

// everHad tells whether an address was ever an employee's, or ever told to be.
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

func (a *Auditor) eventChanged(c *calendarStory, now fakegoogle.EventChange, by *fakegoogle.Request) {
	e := c.events[now.ID]
	if e == nil {
		e = &eventStory{id: now.ID}
		c.events[now.ID] = e
	}
	before := *e
	mark, marked := calendarsync.ReadMark(now.Private)
	e.live, e.mark, e.owned = !now.Cancelled, mark, marked && mark.Owns(now.ID)
	if e.live && !before.live {
		e.byHand, e.since = by == nil, a.w.Now()
	} else if before.live && !e.live {
		e.ended = a.w.Now()
	}
	wasOurs, isOurs := before.live && c.owns(&before), e.live && c.owns(e)
	if isOurs && !wasOurs {
		a.owned++
		a.most = max(a.most, a.owned)
	} else if wasOurs && !isOurs {
		a.owned--
	}
	if by == nil {
		return
	}
	v := Violation{Calendar: c.id, Event: now.ID, Task: int64(mark.Task), Employee: int64(c.mark.Employee)}
	w := write{at: a.w.Now(), kind: "event.write", calendar: c.id, event: now.ID, task: v.Task, employee: v.Employee}
	if !e.live {
		w.kind = "event.delete"
	}
	a.paused(v, by.Method)
	switch {
	case !c.ours():
		v.Rule = RuleForeign
		a.report(v, "an event was written in a calendar that is not the product's")
	case before.live && !wasOurs:
		v.Rule = RuleForeign
		a.report(v, "%s touched an event without the product's mark", by.Method)
	case wasOurs && !e.live:
		a.deletedEvent(c, before, v)
	case !e.live:
		// What was cancelled already is so again.
	case !isOurs:
		v.Rule = RuleMark
		a.report(v, "%s wrote an event whose mark and id do not belong together, or to the calendar", by.Method)
	default:
		if !before.live {
			a.checkDouble(c, e, v)
		}
		if why := a.founded(v.Task, v.Employee, c, now.Start, now.AllDay); why != "" {
			v.Rule = RuleUnfounded
			a.report(v, "%s: %s", by.Method, why)
		}
	}
	a.writes = append(a.writes, w)
}

// twin is another live owned event of the same task in a calendar.
func (c *calendarStory) twin(e eventStory, wanted func(*eventStory) bool) *eventStory {
	for _, other := range c.events {
		if other.id != e.id && other.live && c.owns(other) && other.mark.Task == e.mark.Task && wanted(other) {
			return other
		}
	}
	return nil
}

func (a *Auditor) checkDouble(c *calendarStory, e *eventStory, v Violation) {
	// One that its owner brought back is there through no fault of the product's.
	// One that Google denied to have is not to be known of.
	if other := c.twin(*e, func(o *eventStory) bool { return !o.byHand && !a.lately(o.denied, a.taskWork()) }); other != nil {
		v.Rule = RuleDouble
		a.report(v, "the task has event %s in this calendar already", other.id)
	}
}

func (a *Auditor) deletedEvent(c *calendarStory, before eventStory, v Violation) {
	if a.purging() || a.rebuilds(v.Employee) || before.byHand && a.cleared(c) {
		return
	}
	twin := c.twin(before, func(*eventStory) bool { return true })
	if twin != nil && twin.mark.Generation > before.mark.Generation {
		return // of several the highest generation stays (protocol.md §3.3)
	}
	g, why := a.taskGrounds(v.Task, v.Employee, c)
	if g == none && twin != nil {
		v.Rule = RuleDouble
		a.report(v, "of two events the one with the lower generation stays")
		return
	}
	if g == none {
		v.Rule = RuleEvidence
		a.report(v, "the event was deleted: %s", why)
	}
	if g == counted {
		a.checkKept(v, keyOf("tasks", v.Task))
	}
	a.count(RuleExtra, g == counted, v, keyOf("tasks", v.Task))
}

// paused reports a write that settings forbade for so long that every instance
// must have known, and every look that began before must have ended.
func (a *Auditor) paused(v Violation, method string) {
	if a.purging() && (strings.HasSuffix(method, ".delete") || method == "calendar.calendars.update") {
		return
	}
	for _, s := range a.inForce(a.w.Now().Add(-believed - employeeWork)) {
		if s.Enabled && s.Confirmed {
			return
		}
	}
	v.Rule = RulePaused
	a.report(v, "%s while settings forbid writing", method)
}

// deletions are those of one kind within the last day.
type deletions struct {
	least   int         // how many may always go (protocol.md §4.3)
	counted []time.Time // those that nobody may have meant
	all     []time.Time
	most    int // the most there were in a day, with what was lost by kills
}

// count enters a deletion; one too many is a violation of the guard.
func (a *Auditor) count(kind Rule, counts bool, v Violation, key string) {
	// The guard counts permissions, which come a little before the deletions.
	const day = 24*time.Hour - 10*time.Minute
	now, d := a.w.Now(), a.gone[kind]
	within := func(times []time.Time, window time.Duration) []time.Time {
		for len(times) > 0 && now.Sub(times[0]) >= window {
			times = times[1:]
		}
		return times
	}
	d.all = append(within(d.all, 25*time.Hour), now)
	d.most = max(d.most, len(d.all))
	if !counts || a.allowedSince(key) {
		return
	}
	d.counted = append(within(d.counted, day), now)
	owned := a.most
	if kind == RuleCalendar {
		owned = 0
		for _, c := range a.order {
			if c.ours() {
				owned++ // those that are gone, too: a bound from above
			}
		}
	}
	percent := 0
	for _, s := range a.inForce(now.Add(-25 * time.Hour)) {
		percent = max(percent, s.DeleteGuardPercent)
	}
	if limit := max(d.least, owned*percent/100); len(d.counted) > limit {
		v.Rule = RuleGuard
		a.report(v, "%d deletions in a day that nobody confirmed, %d may go", len(d.counted), limit)
	}
}

func keyOf(kind string, id int64) string { return kind + "/" + strconv.FormatInt(id, 10) }
