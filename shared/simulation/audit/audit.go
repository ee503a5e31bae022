// Package audit judges a running installation from outside: from what both
// stand-ins were asked, showed and became, and from nothing that the product says
// of itself but its activity records. What ought to be in the calendars is decided
// here a second time, from the ERP stand-in's state, independently of the
// product's own decision. It must never import the product's decision, writing or store
// code, never change a stand-in, and never wait: it lives in its caller's time, also
// inside a synctest bubble.
//
// An Auditor listens from New on. The caller tells it what neither stand-in can see:
// the settings in force, an admin's decisions, the signed notifications of deletions
// that were delivered, and when the database was lost.
package audit

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// Rule names what was broken.
type Rule string

// The rules. Those of the state are judged by Judge, the others as it happens.
const (
	// RuleCalendar: one calendar per entitled employee, rightly named and zoned; none for others.
	RuleCalendar Rule = "calendar"
	// RuleShare: shared as reader with the present address and nobody else of ours.
	RuleShare Rule = "share"
	// RuleMissing, RuleExtra: an event that ought to be there, or ought not.
	RuleMissing Rule = "missing"
	RuleExtra   Rule = "extra"
	// RuleField: an event's field is not what the task says.
	RuleField Rule = "field"
	// RuleDouble: two live events of the product's for one task, or two calendars for one employee.
	RuleDouble Rule = "double"
	// RuleForeign: something was touched that is not the product's.
	RuleForeign Rule = "foreign"
	// RuleMark: something was made or changed without its right mark (rule 3.2).
	RuleMark Rule = "mark"
	// RuleMail: mail was sent, or could have been.
	RuleMail Rule = "mail"
	// RuleBudget: more units in 60 seconds than Google allows (rule 6.1).
	RuleBudget Rule = "budget"
	// RulePace: more than five writes a second to one calendar, with one in tolerance.
	RulePace Rule = "pace"
	// RulePatch: a call that costs three units (rule 2.2).
	RulePatch Rule = "patch"
	// RuleCondition: an event changed or deleted without If-Match (rule 1.5).
	RuleCondition Rule = "condition"
	// RuleEvidence: a deletion that nothing read from the ERP justifies (rules 4.1 and 4.2).
	RuleEvidence Rule = "evidence"
	// RuleUnfounded: a write that no fresh reading of the ERP asked for (rule 1.2).
	RuleUnfounded Rule = "unfounded"
	// RuleGuard: more deletions in a day than may go unconfirmed (rule 4.3).
	RuleGuard Rule = "guard"
	// RulePaused: a write while settings forbade any (rules 4.6 and 4.7).
	RulePaused Rule = "paused"
	// RuleActivity: a write without an activity record.
	RuleActivity Rule = "activity"
	// RuleRest: a write although all was as it ought to be.
	RuleRest Rule = "rest"
)

// Violation is one rule broken once.
type Violation struct {
	Rule            Rule
	At              time.Time
	Calendar, Event string
	Task, Employee  int64
	Detail          string
}

// String is the violation on one line.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", v.At.UTC().Format("2006-01-02T15:04:05.000"), v.Rule)
	for _, part := range []struct {
		name string
		id   int64
	}{{"task", v.Task}, {"employee", v.Employee}} {
		if part.id != 0 {
			fmt.Fprintf(&b, " %s %d", part.name, part.id)
		}
	}
	for _, part := range [][2]string{{"calendar", v.Calendar}, {"event", v.Event}} {
		if part[1] != "" {
			fmt.Fprintf(&b, " %s %s", part[0], part[1])
		}
	}
	return b.String() + " " + v.Detail
}

// Activity is an activity record of the product, as plain data.
type Activity struct {
	At              time.Time // by the writing instance's clock
	Action          string    // "event.insert", "rule.delete", …
	Calendar, Event string
	Task, Employee  int64
}

// World is what is judged. Durations that are zero take the defaults that are named.
type World struct {
	Google *fakegoogle.Server
	ERP    *fakeerp.Server
	// ExecutorsLeftOut: the ERP leaves the executors of a task out that has none, which is
	// no evidence; UnassignedIgnored: it lists all tasks where it is asked for those, which is
	// none either.
	ExecutorsLeftOut, UnassignedIgnored bool
	// Account is the central account; only its calls count.
	Account string
	// ERPURL is where task links lead that settings name no address for.
	ERPURL string
	// RequestsPerMinute is Google's limit; 0 judges no budget.
	RequestsPerMinute int
	// CalendarsPerHour is CALENDARS_PER_HOUR; 0 judges no queue of new calendars.
	CalendarsPerHour int
	// Lease and Absence are LEASE_SECONDS and ABSENCE_SECONDS; 90 s and 10 min where zero.
	Lease, Absence time.Duration
	// Skew is how far an instance's clock may be off; 2 min where zero.
	Skew time.Duration
	// Now is the time by which everything is ordered.
	Now func() time.Time
}

// Auditor judges a World. Its methods may be called from several goroutines.
type Auditor struct {
	w World

	mu               sync.Mutex
	settings         []settingsVersion
	catalogues       []catalogue
	faultyCatalogues []faultyCatalogue
	soundCatalogues  []time.Time // when the catalogue was read well
	tasks            map[int64]*timeline[fakeerp.Task]
	people           map[int64]*timeline[fakeerp.Employee]
	faulty           map[int]*faultyAnswer
	allReads         []reading // of all employees at once
	vouched          map[string]time.Time
	allowed          map[string][]time.Time
	purges           []purge
	connecting       []time.Time
	unreadable       map[int64]bool       // tasks of which the ERP gives no answer
	kept             map[string]time.Time // what an admin decided to keep, and when
	keptBefore       map[string]time.Time // the same before an admin wanted to decide again, at reopened
	reopened         time.Time

	lostMarks map[string]*lostMarks // of calendars and of events, by the kind of write that makes them

	parted map[int64]time.Time // who lost a share to a new address, and when

	tenant string
	cals   map[string]*trackedCalendar
	order  []*trackedCalendar
	owned  int // live owned events
	most   int // the most there ever were

	units      []spentUnits
	spent      int
	overBudget bool
	writes     []write
	deletions  map[Rule]*deletions
	quiet      bool
	wiped      time.Time // when the database was lost last

	violations []Violation // since the last Watch
}

// settingsVersion are settings and from when they are in force.
type settingsVersion struct {
	calendarsync.Settings
	since time.Time
	zone  *time.Location // nil where there is none of that name
}

type spentUnits struct {
	at    time.Time
	units int
}

// New begins to listen to both stand-ins.
func New(w World) *Auditor {
	setDuration(&w.Lease, 90*time.Second)
	setDuration(&w.Absence, 10*time.Minute)
	setDuration(&w.Skew, 2*time.Minute)
	a := &Auditor{
		w: w, tasks: map[int64]*timeline[fakeerp.Task]{}, people: map[int64]*timeline[fakeerp.Employee]{},
		faulty: map[int]*faultyAnswer{}, vouched: map[string]time.Time{}, allowed: map[string][]time.Time{}, kept: map[string]time.Time{},
		parted: map[int64]time.Time{}, lostMarks: map[string]*lostMarks{madeCalendar: {}, madeEvent: {}}, cals: map[string]*trackedCalendar{}, deletions: map[Rule]*deletions{RuleExtra: {least: 10}, RuleCalendar: {least: 3}},
	}
	w.ERP.Observe(erpObserver{a})
	w.Google.Observe(googleObserver{a})
	return a
}

func setDuration(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

// Settings notes which settings are in force from now on. Before the first ones the
// product may write nothing.
func (a *Auditor) Settings(s calendarsync.Settings) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := settingsVersion{Settings: s, since: a.w.Now()}
	if zone, err := time.LoadLocation(s.TimeZone); err == nil {
		v.zone = zone
	}
	a.settings = append(a.settings, v)
}

// Allow notes what an admin allowed: held keys ("tasks/12", "employees/5"), one more
// invitation ("invite/5"), a rebuild ("rebuild/5"), a new calendar in the place of one that
// Google denies ("replace/5").
func (a *Auditor) Allow(keys ...string) {
	a.AllowReplacements(keys...)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		delete(a.kept, k)
	}
}

// AllowReplacements is Allow for held keys of which only the replacement of a calendar that is
// gone is held: what an admin decided before about what the ERP says of the employee stays.
func (a *Auditor) AllowReplacements(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		a.allowed[k] = append(a.allowed[k], a.w.Now())
	}
}

// Vouched notes that a signed notification of a deletion ("task.deleted",
// "employee.deleted") was delivered: it vouches for an absence (rule 4.1).
func (a *Auditor) Vouched(kind string, ids ...int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		key := fmt.Sprintf("%s/%d", kind, id)
		if _, before := a.vouched[key]; !before {
			a.vouched[key] = a.w.Now()
		}
	}
}

// Wiped notes that the database was lost. With it the product forgot how much it had
// deleted, and which shares Google had shown it.
func (a *Auditor) Wiped() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wiped = a.w.Now()
	a.forgetLost(a.w.Now())
	// That events' marks do not come back shows once their calendars are taken over and listed;
	// of calendars' marks the product is told before it makes one.
	a.lostMarks[madeEvent].tried()
	for _, d := range a.deletions {
		d.counted = nil
	}
	for _, c := range a.cals {
		for _, r := range c.rules {
			r.listed, r.toldLower = 0, 0
		}
	}
}

// Killed notes that an instance was killed. What the guard had granted it may stay
// counted although it was never deleted, so that other deletions are held sooner.
func (a *Auditor) Killed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLost(a.w.Now().Add(-time.Minute))
	a.deletions[RuleCalendar].most++
	a.deletions[RuleExtra].most += 3 // the guard grants one task's events together
}

// Unreadable notes of which tasks the ERP gives no answer from now on: their events are
// not judged, and everything else is (rule 8.9).
func (a *Auditor) Unreadable(tasks ...int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unreadable = map[int64]bool{}
	for _, id := range tasks {
		a.unreadable[id] = true
	}
}

// Watch gives the violations found since the last call.
func (a *Auditor) Watch() []Violation {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.violations
	a.violations = nil
	return out
}

// Quiet begins a time in which nothing has to be written: any write is a violation
// until AfterQuiet.
func (a *Auditor) Quiet() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.quiet = true
}

// AfterQuiet ends the time that Quiet began and gives the violations found since the
// last Watch.
func (a *Auditor) AfterQuiet() []Violation {
	a.mu.Lock()
	a.quiet = false
	a.mu.Unlock()
	return a.Watch()
}

// Judge compares the calendars of a world at rest with what ought to be in them, and
// the writes since its last call with their activity records. It gives all violations
// found since the last Watch.
func (a *Auditor) Judge(activity []Activity) []Violation {
	a.judgeState()
	a.mu.Lock()
	a.checkActivity(activity)
	a.mu.Unlock()
	return a.Watch()
}

// report keeps a violation. The lock is held.
func (a *Auditor) report(v Violation, format string, args ...any) {
	if v.At.IsZero() {
		v.At = a.w.Now()
	}
	v.Detail = fmt.Sprintf(format, args...)

	a.violations = append(a.violations, v)
}

// inForce are the settings that may have been in force at some time since then.
func (a *Auditor) inForce(since time.Time) []settingsVersion {
	var out []settingsVersion
	for i, v := range a.settings {
		if i+1 < len(a.settings) && a.settings[i+1].since.Before(since) {
			continue
		}
		out = append(out, v)
	}
	return out
}

// allowedSince reports whether an admin allowed a key within the last day, for which a
// confirmation is valid.
func (a *Auditor) allowedSince(key string) bool {
	times := a.allowed[key]
	return len(times) > 0 && a.w.Now().Sub(times[len(times)-1]) <= 24*time.Hour
}
