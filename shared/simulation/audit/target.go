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
	// mark is the mark that the product wrote; marked reports whether it is there.
	mark   calendarsync.CalendarMark
	marked bool
	// name and zone are as the product wrote them last; the account's owner may have
	// named it otherwise since, which is not the product's to repair.
	name, zone string
	denied     time.Time // when an injected fault last said that it is gone
	addresses  []string  // the employee's, as it may have been read when it was made
	events     map[string]*eventStory
	rules      map[string]*ruleStory
	// refused: Google refused for good to share it.
	refused bool
	// left: its share was taken away with reason, and not given again; it goes, even
	// if its employee comes back meanwhile (rule 5.2).
	left bool
	pace [3]time.Time // of the last writes
}

// ours reports whether the product made it and marked it.
func (c *calendarStory) ours() bool { return c.client != "" && c.mark.Epoch != "" && !c.disowned }

// owns reports whether an event of this calendar is the product's.
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
	least   int         // how many may always go (rule 4.3)
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
