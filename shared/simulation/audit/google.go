package audit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// trackedCalendar is a calendar at Google as it is, and what happened to it.
type trackedCalendar struct {
	id      string
	client  string
	primary bool
	deleted bool
	byHand  bool // deleted by hand
	// disowned: a purge gave it up because of what others have in it, at that time.
	disowned   bool
	disownedAt time.Time
	made       time.Time
	// mark is the mark that the product wrote last; marked is whether it is still there.
	mark   calendarsync.CalendarMark
	marked bool
	// name and zone are as the product wrote them last; the account's owner may have
	// named it otherwise since, which is not the product's to repair.
	name, zone string
	// falselyGone is when an injected fault last said that it is gone.
	falselyGone time.Time
	// gone is what Google has said of its absence since it last showed it.
	gone looks
	// unreachable: Google denies it to the product without any fault, although it exists (G13).
	unreachable bool
	// shown is when its events were listed last, from the first page on.
	shown time.Time
	// denied is when an answer last said that it is gone.
	denied time.Time
	// proved is when that last proved that it is gone (rule 3.9), as far as can be known.
	proved time.Time
	// replaced: another was made in its place, as an admin had asked because Google denied it.
	replaced bool
	// listed reports whether a list of the account's calendars has ever named it, named
	// whether the last one did, and lacked is how many have not.
	listed, named bool
	lacked        int
	// late: two lists lacked it before one named it.
	late bool
	// addresses are those of the employee that may have been read when it was made.
	addresses []string
	events    map[string]*trackedEvent
	rules     map[string]*trackedRule
	// cannotShare: Google does not let it be shared with the employee's address.
	cannotShare bool
	// unsharedRightly: its share was removed on evidence and not given again. The
	// calendar is retiring, even if its employee comes back meanwhile (rule 5.2).
	unsharedRightly bool
	lastWrites      [6]time.Time
}

// ours reports whether the product made the calendar, marked it and has not given it up.
func (c *trackedCalendar) ours() bool { return c.client != "" && c.mark.Epoch != "" && !c.disowned }

// misplaced reports whether an event is the product's, made for another employee's calendar
// and moved into this one by its owner (rule 3.11): its id is the hash of its mark wherever
// it stands.
func (c *trackedCalendar) misplaced(e *trackedEvent) bool {
	return e.owned && c.ours() && e.mark.Tenant == c.mark.Tenant && e.mark.Employee != c.mark.Employee
}

// owns reports whether an event of this calendar is the product's.
func (c *trackedCalendar) owns(e *trackedEvent) bool {
	return e.owned && c.ours() && e.mark.Tenant == c.mark.Tenant && e.mark.Employee == c.mark.Employee
}

type trackedEvent struct {
	id     string
	live   bool
	owned  bool // a whole mark, and the id is its hash
	mark   calendarsync.Mark
	byHand bool      // brought to life by hand
	since  time.Time // when it came to life
	ended  time.Time // when it was cancelled
	// falselyGone is when an injected fault last said that it is gone or forbidden.
	falselyGone time.Time
}

type trackedRule struct {
	fakegoogle.RuleSnapshot
	ours     bool // it is as the product made it
	everOurs bool // the product made it at some time
	// lowered: the product asked for a reader, and Google gave less; by which request, and how
	// often its answers said so. A list that shows it counts as two answers: of one, whoever
	// read it may have died before it was recorded.
	lowered   bool
	loweredBy int
	toldLower int
	listed    int // how often Google showed it to the product in a list
	// lost: it was removed by hand before the product can be sure to have seen it.
	lost bool
}

// write is one change made by the product.
type write struct {
	at              time.Time
	kind            string // as in Activity.Action, of events "event.write" and "event.delete"
	calendar, event string
	task, employee  int64
}

// googleObserver listens to the Google stand-in.
type googleObserver struct{ a *Auditor }

func (t googleObserver) counts(r fakegoogle.Request) bool {
	return strings.HasPrefix(r.Method, "calendar.") && (r.Account == "" || strings.EqualFold(r.Account, t.a.w.Account))
}

func (t googleObserver) Arrived(r fakegoogle.Request) {
	if !t.counts(r) {
		return
	}
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.w.Now()
	v := Violation{At: now, Calendar: r.CalendarID, Event: r.EventID}
	a.spendUnits(now, r.Units)
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
		if oldest := c.lastWrites[0]; !oldest.IsZero() && now.Sub(oldest) < time.Second {
			v.Rule = RulePace
			a.report(v, "%s is the seventh write in %s", r.Method, now.Sub(oldest))
		}
		c.lastWrites = [6]time.Time(append(c.lastWrites[1:6:6], now))
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

// spendUnits counts units in a sliding minute; a minute over budget is reported once.
func (a *Auditor) spendUnits(now time.Time, units int) {
	a.units = append(a.units, spentUnits{now, units})
	a.spent += units
	for now.Sub(a.units[0].at) >= time.Minute {
		a.spent -= a.units[0].units
		a.units = a.units[1:]
	}
	over := a.w.RequestsPerMinute > 0 && a.spent > a.w.RequestsPerMinute+a.unpaced(now)
	if over && !a.overBudget {
		a.report(Violation{Rule: RuleBudget}, "%d units in a minute, %d are allowed", a.spent, a.w.RequestsPerMinute)
	}
	a.overBudget = over
}

func (t googleObserver) Answered(r fakegoogle.Request) {
	if !t.counts(r) {
		return
	}
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method == "calendar.calendarList.list" && r.Status == http.StatusOK && r.Query.Get("pageToken") == "" {
		a.calendarsListed(r)
	}
	c := a.cals[r.CalendarID]
	if c == nil {
		return
	}
	a.noteLook(c, r)
	a.noteLost(r)
	if refused(r) {
		if e := c.events[r.EventID]; e != nil {
			e.falselyGone = a.w.Now()
		} else if r.EventID == "" {
			c.falselyGone = a.w.Now()
		}
	}
	switch r.Method {
	case "calendar.acl.list":
		if r.Status == http.StatusOK && r.Fault == "" {
			for _, rule := range c.rules {
				if !rule.Hidden && rule.Role != "none" {
					rule.listed++
					if rule.lowered && rule.Role == lowered {
						rule.toldLower += 2
					}
				}
			}
		}
	case "calendar.acl.insert", "calendar.acl.update":
		for _, rule := range c.rules {
			if rule.lowered && rule.loweredBy == r.ID && r.Fault == "" {
				rule.toldLower++
			}
		}
		if r.Fault == "" && r.Method == "calendar.acl.insert" {
			c.cannotShare = r.Status == http.StatusBadRequest || r.Status == http.StatusForbidden && (r.Reason == "forbidden" || r.Reason == "cannotChangeOwnAcl")
		}
	}
}

func (t googleObserver) Changed(ch fakegoogle.Change) {
	a := t.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch.Request != nil && !t.counts(*ch.Request) {
		ch.Request = nil // another account's client is a stranger
	}
	c := a.cals[ch.CalendarID]
	if c == nil {
		c = &trackedCalendar{id: ch.CalendarID, made: a.w.Now(), events: map[string]*trackedEvent{}, rules: map[string]*trackedRule{}}
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

// refused reports whether an injected fault made Google say that something is gone or
// forbidden, or of a rule's removal that it is none.
func refused(r fakegoogle.Request) bool {
	if r.Fault == "" {
		return false
	}
	return r.Status == http.StatusForbidden || r.Status == http.StatusNotFound || r.Status == http.StatusGone ||
		r.Status == http.StatusBadRequest && r.Method == "calendar.acl.delete"
}

// looks are when both ways of reading a calendar first and last said that it is gone.
type looks struct {
	list, get   bool      // of the first look
	first, last time.Time // both ways; zero where they have not
}

// noteLook notes what an answer says about whether a calendar exists (rule 3.9). Only
// Google's own error counts; a page in its place says nothing.
func (a *Auditor) noteLook(c *trackedCalendar, r fakegoogle.Request) {
	list, get := r.Method == "calendar.events.list", r.Method == "calendar.calendars.get"
	if list || get {
		c.unreachable = !c.deleted && r.Fault == "" && (r.Status == http.StatusNotFound || r.Status == http.StatusForbidden)
	}
	switch {
	case r.Method == "calendar.acl.list":
		if r.Status == http.StatusOK && r.Fault == "" {
			c.gone = looks{} // what has rules exists
		}
	case !list && !get:
	case r.Status == http.StatusNotFound && r.Reason == "notFound", r.Status == http.StatusGone && r.Reason == "deleted":
		c.denied = a.w.Now()
		c.gone.list, c.gone.get = c.gone.list || list, c.gone.get || get
		if !c.gone.list || !c.gone.get {
			return
		}
		if c.gone.first.IsZero() {
			c.gone.first = a.w.Now()
		}
		c.gone.last = a.w.Now()
		c.prove(a.absenceApart())
	case r.Status == http.StatusOK && r.Fault == "":
		c.gone = looks{}
		if list && r.Query.Get("pageToken") == "" {
			c.shown = a.w.Now()
		}
	}
}

// calendarsListed notes which calendars a list of the account's names.
func (a *Auditor) calendarsListed(r fakegoogle.Request) {
	for _, c := range a.order {
		if c.named = slices.Contains(r.Listed, c.id); c.named {
			c.late = c.late || !c.listed && c.lacked >= 2
			c.listed = true
			continue
		}
		c.lacked++
		c.prove(a.absenceApart())
	}
}

// prove notes whether looks so far apart have shown that the calendar is gone: a day, where
// the account's list still names it (rule 3.9).
func (c *trackedCalendar) prove(apart time.Duration) {
	if c.named {
		apart += 23 * time.Hour
	}
	if took := c.gone.last.Sub(c.gone.first); !c.gone.first.IsZero() && took >= apart {
		c.proved = c.gone.last
	}
}

// checkPaused reports a write that settings had forbidden for so long that every
// instance must have known, and every pass that began before must have ended.
func (a *Auditor) checkPaused(v Violation, method string) {
	if a.purging() && (strings.HasSuffix(method, ".delete") || method == "calendar.calendars.update") {
		return
	}
	for _, s := range a.inForce(a.w.Now().Add(-cacheAge - employeePassAge)) {
		if s.Enabled && s.Confirmed {
			return
		}
	}
	v.Rule = RulePaused
	a.report(v, "%s while settings forbid writing", method)
}

// deletions are those of one kind within the last day.
type deletions struct {
	least   int         // how many may always go (rule 4.3)
	counted []time.Time // those that the delete guard counts
	all     []time.Time
	most    int // the most there were in a day, with the permissions that kills may have lost
}

// count notes a deletion; one that the delete guard should have held is a violation.
func (a *Auditor) count(kind Rule, counts bool, v Violation, key string) {
	// The guard counts what it grants, a little before it is deleted.
	const day = 24*time.Hour - 10*time.Minute
	now, d := a.w.Now(), a.deletions[kind]
	within := func(times []time.Time, window time.Duration) []time.Time {
		for len(times) > 0 && now.Sub(times[0]) >= window {
			times = times[1:]
		}
		return times
	}
	d.all = append(within(d.all, 25*time.Hour), now)
	d.most = max(d.most, len(d.all))
	if !counts || a.allowedSince(key) || a.askedForBySettings(v) {
		return
	}
	d.counted = append(within(d.counted, day), now)
	owned := a.most
	if kind == RuleCalendar {
		owned = 0
		for _, c := range a.order {
			if c.ours() {
				owned++ // those deleted, too: an upper bound
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
