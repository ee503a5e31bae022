package calendars

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// employeePass is one held employee under way: from reading to settling, as often as
// they become dirty meanwhile.
type employeePass struct {
	// message is the pass's own copy: a later pass goes by no reading ahead, and a
	// purge by the tenant of its own.
	message
	id       calendarsync.EmployeeID
	lease    store.EmployeeLease
	term     pass.Term
	ahead    *readAhead // nil for nothing
	writes   int        // numbers the activity of this lease
	settings calendarsync.Settings
	// unreadable is a calendar's mark that did not come back from Google, unreadableEvent an
	// event's, as was known when the pass began; nil for none.
	unreadable, unreadableEvent *store.UnreadableMark

	presentPass

	// Over all passes under this lease: what was repaired, and what had drifted, by
	// kind and, of events, by field.
	repaired      int
	drift, fields pass.Tally
}

// presentPass is what the present pass has come to.
type presentPass struct {
	pass.Result
	// older: the pass goes by a reading of the employee made before the lease, from which
	// nothing may be written.
	older bool
	// refill: something changed that decides which tasks the calendar holds.
	refill bool
	// unfinished: the fill goes on in another message.
	unfinished bool
	// stalled: nothing may be written until a person acts.
	stalled bool
	// forgotten: the record is to be removed.
	forgotten bool
	// employee is whom the pass concerns as read, nil for one who is not in the ERP.
	employee *calendarsync.Employee
	// name, address and rules are what a calendar that is kept ought to have.
	name, address string
	rules         *calendarsync.Rules
	// unruled is why there are no rules, and the calendar cannot be filled; nil where there are.
	unruled error
	// reason is why the employee is to have none. absent: nobody said so; it follows from
	// two readings that lack them.
	reason string
	absent bool
	// misplaced are own events of others' calendars that the list showed in this one.
	misplaced []googlecalendar.Event
	// unwritten: Google refused name, zone or mark of the calendar.
	unwritten bool
	// undeleted are the retiring calendars that Google refused to delete.
	undeleted []string
	// created and emptied tell that this pass made the calendar, or emptied it.
	created, emptied bool
}

func (p *employeePass) begin() { p.presentPass = presentPass{} }

func (p *employeePass) rec() *store.EmployeeRecord { return &p.lease.Record }

// extend prolongs the lease to its full length.
func (p *employeePass) extend(ctx context.Context) error {
	began := p.Now()
	if err := p.Store.Extend(ctx, &p.lease.Lease, p.waits.Lease); err != nil {
		return err
	}
	p.term = pass.Term{Began: began, Until: p.lease.Until, Length: p.waits.Lease}
	return nil
}

// calls bounds calls out by the present term of the lease, and by ctx, which ends with
// the pass.
func (p *employeePass) calls(ctx context.Context) context.Context {
	calls, cancel := p.term.Calls(ctx, p.Now())
	context.AfterFunc(ctx, cancel)
	return calls
}

// save changes the record under the lease; a nil change only adds the activity.
func (p *employeePass) save(ctx context.Context, change func(*store.EmployeeRecord), activity ...store.ActivityRecord) error {
	if change == nil {
		change = func(*store.EmployeeRecord) {}
	}
	return p.Store.SaveEmployee(ctx, &p.lease, change, activity...)
}

// ofCalendar changes the employee's present calendar.
func ofCalendar(change func(*store.CalendarRecord)) func(*store.EmployeeRecord) {
	return func(r *store.EmployeeRecord) {
		if r.Calendar != nil {
			c := *r.Calendar
			change(&c)
			r.Calendar = &c
		}
	}
}

// ofRetiring changes one calendar that is retiring.
func ofRetiring(id string, change func(*store.CalendarRecord)) func(*store.EmployeeRecord) {
	return func(r *store.EmployeeRecord) {
		r.Retiring = slices.Clone(r.Retiring)
		for i := range r.Retiring {
			if r.Retiring[i].ID == id {
				change(&r.Retiring[i])
			}
		}
	}
}

// withoutRetiring drops one calendar from those that are retiring.
func withoutRetiring(id string) func(*store.EmployeeRecord) {
	return func(r *store.EmployeeRecord) {
		r.Retiring = slices.DeleteFunc(slices.Clone(r.Retiring), func(c store.CalendarRecord) bool { return c.ID == id })
	}
}

// write is one write to a calendar or its rules.
type write struct {
	action, calendar string
	// announced is changed together with the announcement; nil for nothing.
	announced func(*store.EmployeeRecord)
	// call makes it; nil where there turned out to be nothing to write.
	call func(calls context.Context) error
	// done is changed together with the record of its success; nil for nothing.
	done func(*store.EmployeeRecord)
	// record, if set, stands for done: a record in a transaction of its own.
	record func(ctx context.Context, a store.ActivityRecord) error
}

// write announces a write, makes it, and records what came of it: every write at
// Google leaves a record, even if its maker dies (rule 2.1).
func (p *employeePass) write(ctx context.Context, w write) error {
	activity := p.activity(w.action, w.calendar)
	if w.call != nil {
		if p.older {
			return errOlder
		}
		if err := p.save(ctx, w.announced, activity); err != nil {
			return err
		}
		if err := w.call(p.calls(ctx)); err != nil {
			// What could not be recorded is to be looked into, whatever the call said.
			return cmp.Or(p.save(ctx, nil, pass.Outcome(activity, err)), err)
		}
	}
	activity = pass.Outcome(activity, nil)
	if w.record != nil {
		return w.record(ctx, activity)
	}
	return p.save(ctx, w.done, activity)
}

// activity describes a write to a calendar or rule; its result is empty while it is
// only announced.
func (p *employeePass) activity(action, calendar string) store.ActivityRecord {
	p.writes++
	now := p.Now().UTC()
	reason := p.reason
	if p.planned() {
		reason = string(calendarsync.ReasonSettings)
	}
	return store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d", p.lease.Token, p.writes), At: now, Action: action, Employee: int64(p.id),
		Calendar: calendar, Cause: string(p.order.Cause), Reason: reason, ExpiresAt: now.Add(store.ActivityKept),
	}
}

// errLater ends a pass without a failure: what remains is for another one, which has
// been asked for.
var errLater = errors.New("calendars: for a later pass")

// later asks for another pass at a time, and ends this one.
func (p *employeePass) later(at time.Time) error {
	p.Wait(at)
	return errLater
}

// inOrder takes one step after another, until one ends the pass.
func inOrder(ctx context.Context, steps ...func(ctx context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// perform makes one pass and records why it failed, if it did.
func (p *employeePass) perform(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	err := p.decide(ctx)
	p.unshareAgain()
	if err == nil || errors.Is(err, errLater) {
		return
	}
	p.Fail(err, p.term.AcquiredAt(), p.rec().Failure)
	if failure.Is(err, failure.Exhausted) {
		p.Again(p.pause.Refused(ctx, err))
	}
	p.showError(ctx)
}

// goOn notes a failure that says that Google refuses one thing, and has the pass go on with
// all else: refused for good, it would keep the calendar from being filled for good
// (rule 7.2). Any other failure ends the pass.
func (p *employeePass) goOn(ctx context.Context, err error) error {
	if !pass.ConcernsOneThing(err) {
		return err
	}
	p.Log.WarnContext(ctx, "Google refuses one thing, the others are done", "employee", p.id, "kind", failure.KindOf(err), "error", err.Error())
	p.Fail(err, p.term.AcquiredAt(), p.rec().Failure)
	return nil
}

// showError makes a failure that needs a person visible as the card's state.
func (p *employeePass) showError(ctx context.Context) {
	if p.rec().State != store.StatePending {
		return
	}
	switch failure.KindOf(p.Err) {
	case failure.Forbidden, failure.Invalid, failure.SourceInvalid:
		if err := p.save(ctx, func(e *store.EmployeeRecord) { e.State = store.StateError }); err != nil {
			p.Log.WarnContext(ctx, "could not record the state", "employee", p.id, "error", err)
		}
	}
}

// decide finds out what is to become of the employee's calendar, and does it: a purge
// goes before everything, what was read ahead may do where nothing changed, and
// otherwise the ERP is read under the lease.
func (p *employeePass) decide(ctx context.Context) error {
	var err error
	if p.settings, err = p.Rules.Settings(p.calls(ctx)); err != nil {
		return err
	}
	// Read under the lease: a pass that begins after a purge did must not make anything.
	in, err := p.Store.Installation(p.calls(ctx))
	if err != nil {
		return err
	}
	p.unreadable, p.unreadableEvent = in.Unreadable, in.UnreadableEvent
	if in.Purge.Open() {
		if _, err := p.Account.Account(p.calls(ctx)); err != nil {
			return p.keptBack(err)
		}
		p.tenant = in.Tenant
		return p.purge(ctx)
	}
	if done, err := p.keepAsReadAhead(ctx); done || err != nil {
		return err
	}
	// A calendar to be made or filled needs lists of now: whoever was told of a task
	// before it was there left it to the fill.
	p.ahead = nil
	return p.judge(ctx)
}

// keepAsReadAhead goes by what was read ahead, where it says nothing new. done is
// false where the ERP has to be read again.
func (p *employeePass) keepAsReadAhead(ctx context.Context) (done bool, err error) {
	if p.readsAhead == nil || p.stopped() || p.order.Deleted || !atRest(*p.rec()) {
		return false, nil
	}
	began := p.Now()
	p.ahead = p.readsAhead()
	if p.Now().Sub(began) > p.waits.Lease/9 {
		if err := p.extend(ctx); err != nil {
			return false, err
		}
	}
	if p.employee = p.asReadAhead(); p.employee == nil {
		return false, nil
	}
	p.older = true
	if err := p.keep(ctx); !errors.Is(err, errOlder) {
		return true, err
	}
	// Something is to be written after all: from a reading of now, and in a lease of
	// full length.
	p.begin()
	return false, p.extend(ctx)
}

// stopped reports whether nothing may be written just now.
func (p *employeePass) stopped() bool { return p.stop.Err != nil }

// judge reads the employee, and keeps or removes the calendar by what the ERP says.
func (p *employeePass) judge(ctx context.Context) error {
	readings, err := p.ERP.Employees(p.calls(ctx), []calendarsync.EmployeeID{p.id})
	if err != nil {
		return err
	}
	reading := readings[p.id]
	p.employee = reading.Employee
	verdict, reason := calendarsync.DecideEmployee(p.settings, reading, p.rec().Vouched || p.order.Deleted)
	if verdict != calendarsync.Unknown {
		if err := p.learn(ctx); err != nil {
			return err
		}
	}
	if p.stop.Err != nil {
		return p.showStopped(ctx, verdict, reason)
	}
	p.reason, p.absent = string(reason), verdict == calendarsync.Absent
	entitled, err := p.confirm(ctx, verdict, reason)
	if err != nil {
		return err
	}
	switch {
	case verdict == calendarsync.Unknown && reading.Invalid != nil:
		return reading.Invalid
	case verdict == calendarsync.Unknown:
		return failure.New(failure.SourceInvalid, fmt.Sprintf("read employee %d", p.id), "the ERP's answer cannot be believed")
	case entitled:
		p.reason = "" // it is not to go
		return p.keep(ctx)
	}
	return p.remove(ctx)
}

// confirm waits for what a second reading has to confirm, and ends what an earlier one left
// behind. entitled: the employee is to have a calendar, by what the ERP says or because an
// admin kept it (rule 4.9); what may be in doubt then is only for whom.
func (p *employeePass) confirm(ctx context.Context, verdict calendarsync.Verdict, reason calendarsync.Reason) (entitled bool, err error) {
	if p.absent && p.rec().Reason == string(calendarsync.ReasonPurged) {
		// What a stopped purge left is theirs again, until a second reading lacks them too.
		if err := p.reinstate(ctx); err != nil {
			return false, err
		}
	}
	doubtful, why := verdict, reason
	if verdict == calendarsync.Remove && p.employee != nil && p.keptByAdmin() {
		doubtful, why = calendarsync.DecideAddress(*p.employee)
	}
	if err := p.confirmAbsence(ctx, doubtful, why); err != nil {
		return false, err
	}
	return doubtful == calendarsync.Keep, p.forgetDecision(ctx, verdict, reason)
}

// keptByAdmin reports whether an admin decided that the calendar stays although the ERP
// gives the reason of this pass against it (rule 4.9): without an address there is nobody
// to share it with, and it only is not deleted.
func (p *employeePass) keptByAdmin() bool {
	kept := p.rec().KeptFor
	return kept != "" && kept == p.reason
}

// forgetDecision ends what an admin decided about a calendar that was to go, once the ERP
// says something else about its employee.
func (p *employeePass) forgetDecision(ctx context.Context, verdict calendarsync.Verdict, reason calendarsync.Reason) error {
	if kept := p.rec().KeptFor; kept == "" || verdict == calendarsync.Unknown || kept == string(reason) {
		return nil
	}
	return p.save(ctx, func(r *store.EmployeeRecord) { r.KeptFor = "" })
}

// showStopped shows what would become of an employee while nothing may be written
// (rules 4.6 and 4.7): the key stays dirty, and Poll brings it up when it may.
func (p *employeePass) showStopped(ctx context.Context, verdict calendarsync.Verdict, reason calendarsync.Reason) error {
	if p.rec().Calendar != nil || len(p.rec().Retiring) > 0 {
		return p.keptBack(p.stop.Err)
	}
	state := store.StateNone
	if verdict == calendarsync.Keep {
		state, reason = store.StatePending, p.stoppedBy()
	}
	if p.rec().State != state || p.rec().Reason != string(reason) {
		if err := p.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason = state, string(reason) }); err != nil {
			return err
		}
	}
	return p.keptBack(p.stop.Err)
}

// keptBack ends a pass that may write nothing. What waits for a person, for the settings, an
// account or a decision, is no failure of its own (rule 7.8).
func (p *employeePass) keptBack(stop error) error {
	if !pass.NeedsPerson(stop) {
		return stop
	}
	p.stalled = true
	return p.later(p.term.AcquiredAt())
}

func (p *employeePass) stoppedBy() calendarsync.Reason {
	switch {
	case !p.settings.Enabled:
		return calendarsync.ReasonPaused
	case !p.settings.Confirmed:
		return calendarsync.ReasonUnconfirmed
	case errors.Is(p.stop.Err, errUndecided):
		return calendarsync.ReasonUndecided
	case !pass.NeedsPerson(p.stop.Err):
		return "" // it passes by itself, and is recorded as a failure
	default:
		return calendarsync.ReasonNotConnected
	}
}

// confirmAbsence waits for the second complete reading before an absence takes a
// calendar (rule 4.2), and forgets the first one of whoever is not absent any more.
func (p *employeePass) confirmAbsence(ctx context.Context, verdict calendarsync.Verdict, reason calendarsync.Reason) error {
	since := p.rec().AbsentSince
	if verdict != calendarsync.Absent || p.rec().Calendar == nil {
		if since.IsZero() {
			return nil
		}
		return p.save(ctx, func(e *store.EmployeeRecord) { e.AbsentSince, e.Reason = time.Time{}, "" })
	}
	if since.IsZero() || p.rec().Reason != string(reason) {
		// From the reading, not from the lease: the ERP may have been slow.
		since = p.term.At(p.Now())
		if err := p.save(ctx, func(e *store.EmployeeRecord) { e.AbsentSince, e.Reason = since, string(reason) }); err != nil {
			return err
		}
	}
	if second := since.Add(p.waits.Absence); p.term.AcquiredAt().Before(second) {
		p.Log.InfoContext(ctx, "calendar in doubt", "employee", p.id, "reason", reason, "again", second)
		p.Again(second)
		return errLater
	}
	return nil
}

// learn records what concerns others of an employee's card, the name and the
// divisions whose tasks they share, and the digest of all that matters of it: Poll
// compares lists, and would miss what changed and changed back between two of them
// (rule 8.2).
func (p *employeePass) learn(ctx context.Context) error {
	rec := p.rec()
	name, address, divisions, seen := rec.Name, rec.Address, rec.Divisions, calendarsync.NoCard
	if e := p.employee; e != nil {
		name, address, divisions = learned(*rec, *e)
		seen = e.Digest(p.settings.BindingField)
	}
	if name == rec.Name && address == rec.Address && slices.Equal(divisions, rec.Divisions) && seen == rec.Seen {
		return nil
	}
	if !slices.Equal(divisions, rec.Divisions) {
		p.refill = true
	}
	at, listed := p.term.At(p.Now()), p.Polled.Card(ctx, p.id, seen)
	return p.save(ctx, func(r *store.EmployeeRecord) {
		if r.Address != address {
			rememberReader(r, p.tenant, r.Address)
		}
		r.Name, r.Address, r.Divisions = name, address, divisions
		if r.Seen != seen && !listed {
			r.SeenAt = at
		}
		r.Seen = seen
	})
}

// learned is what is to be remembered of a card; what it leaves out stays.
func learned(rec store.EmployeeRecord, e calendarsync.Employee) (name, address string, divisions []int64) {
	divisions = rec.Divisions
	if said, ok := e.Divisions.Get(); ok {
		divisions = calendarsync.IDs[int64](said)
		slices.Sort(divisions)
		divisions = slices.Compact(divisions)
	}
	address = rec.Address
	if said, ok := e.Email.Get(); ok {
		address = strings.TrimSpace(said)
	}
	// A name left out renames nobody.
	return cmp.Or(e.Name, rec.Name), address, divisions
}

// settle records the pass and releases the employee unless they became dirty.
func (p *employeePass) settle(ctx context.Context) (released bool, err error) {
	if p.Err != nil {
		p.Log.WarnContext(ctx, "employee not right yet", "employee", p.id, "cause", p.order.Cause,
			"kind", failure.KindOf(p.Err), "error", p.Err.Error(), "again", p.RetryAt)
	}
	if p.forgotten && p.Err == nil {
		return true, p.Store.ForgetEmployee(ctx, &p.lease)
	}
	return p.Store.SettleEmployee(ctx, &p.lease, p.Recorded())
}

// complete reports whether the calendar itself has to be compared, and not only the
// employee's card.
func (p *employeePass) complete() bool {
	// More marks than this message's own: one of them may have asked for more (rule 1.7).
	return comparesCalendar(p.order.Cause) || p.refill || p.lease.Dirty > 1
}

// comparesCalendar reports whether a cause by itself asks for that.
func comparesCalendar(c queue.Cause) bool { return c != queue.CauseNotify && c != queue.CausePoll }
