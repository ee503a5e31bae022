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
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// employeePass is one held employee under way.
type employeePass struct {
	k        *Syncer
	order    Order
	tenant   string
	id       calendarsync.EmployeeID
	lease    store.EmployeeLease
	deadline time.Time // of calls, by the instance's clock

	// stopped is why nothing may be written to Google; nil when it may.
	stopped  error
	settings calendarsync.Settings
	failed   error
	retryAt  time.Time
	waiting  bool
	steps    int // numbers the activity of this lease
	// batch is what was read ahead; older tells that the present look goes by the
	// employee's reading of it.
	batch *batch
	older bool

	// unfinished: the fill goes on in another message.
	unfinished bool
	// forgotten: the record is to be removed.
	forgotten bool
	repaired  int
	// What was found otherwise than it had been left, over all looks: by kind, and
	// the events' fields by name.
	drift, fields map[string]int64
	// refill: something changed that concerns which tasks the calendar holds.
	refill bool
}

func (l *employeePass) begin() {
	l.waiting = false
	l.failed, l.retryAt, l.unfinished, l.forgotten, l.refill = nil, time.Time{}, false, false, false
}

func (l *employeePass) rec() *store.EmployeeRecord { return &l.lease.Record }

// taken is when the present stretch of the lease began, by the database's clock.
func (l *employeePass) taken() time.Time { return l.lease.Until.Add(-l.k.waits.Lease) }

// now is the present moment by the database's clock, or a little later.
func (l *employeePass) now() time.Time {
	began := l.deadline.Add(l.k.margin() - l.k.waits.Lease)
	return l.taken().Add(l.k.Deps.Now().Sub(began))
}

func (l *employeePass) again(at time.Time) {
	if l.retryAt.IsZero() || at.Before(l.retryAt) {
		l.retryAt = at
	}
}

// wait asks for another look at a time; until then the change is not applied.
func (l *employeePass) wait(at time.Time) {
	l.again(at)
	l.waiting = true
}

// fail records a failure; the first one stays.
func (l *employeePass) fail(err error) {
	if l.failed == nil {
		l.failed = err
	}
	first, most := 30*time.Second, time.Hour
	switch failure.KindOf(err) {
	case failure.Exhausted:
		first, most = 15*time.Minute, 6*time.Hour
	case failure.Forbidden, failure.Invalid, failure.SourceInvalid:
		first, most = 10*time.Minute, 6*time.Hour
	case failure.Revoked, failure.Misconfigured:
		l.again(l.taken())
		return
	}
	if before := l.rec().Failure; before != nil {
		for range min(before.Count, 10) {
			first *= 2
		}
	}
	l.again(l.taken().Add(min(first, most)))
}

// extend prolongs the lease to its full length.
func (l *employeePass) extend(ctx context.Context) error {
	began := l.k.Deps.Now()
	if err := l.k.Store.Extend(ctx, &l.lease.Lease, l.k.waits.Lease); err != nil {
		return err
	}
	l.deadline = began.Add(l.k.waits.Lease - l.k.margin())
	return nil
}

// calls bounds calls out by the present stretch of the lease.
func (l *employeePass) calls(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.deadline.Sub(l.k.Deps.Now()))
}

// save changes the record under the lease.
func (l *employeePass) save(ctx context.Context, change func(*store.EmployeeRecord), activity ...store.ActivityRecord) error {
	return l.k.Store.SaveEmployee(ctx, &l.lease, change, activity...)
}

// activity describes a write to a calendar or rule; its result is empty while
// only announced.
func (l *employeePass) activity(action, calendar string) store.ActivityRecord {
	l.steps++
	now := l.k.Deps.Now().UTC()
	return store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d", l.lease.Token, l.steps), At: now, Action: action, Employee: int64(l.id),
		Calendar: calendar, Cause: string(l.order.Cause), ExpiresAt: now.Add(store.ActivityKept),
	}
}

// announced records that a write is about to be made, and gives what records how
// it went: every write to Google leaves a record, even if its maker dies.
func (l *employeePass) announced(ctx context.Context, a store.ActivityRecord, change func(*store.EmployeeRecord)) error {
	if err := l.fresh(); err != nil {
		return err
	}
	return l.save(ctx, change, a)
}

func unchanged(*store.EmployeeRecord) {}

func result(a store.ActivityRecord, err error) store.ActivityRecord {
	a.Result = "done"
	if err != nil {
		a.Result = string(failure.KindOf(err))
	}
	return a
}

// run looks at the employee once.
func (l *employeePass) run(ctx context.Context) {
	if err := l.try(ctx); err != nil {
		l.fail(err)
		if failure.Is(err, failure.Exhausted) {
			until := l.k.refused(ctx)
			l.again(until)
			l.k.Log.WarnContext(ctx, "Google refuses to create and share", "employee", l.id, "until", until, "error", err.Error())
		}
		l.showError(ctx)
	}
}

// showError makes a failure that needs a person visible as the card's state.
func (l *employeePass) showError(ctx context.Context) {
	if l.rec().State != store.StatePending {
		return
	}
	switch failure.KindOf(l.failed) {
	case failure.Forbidden, failure.Invalid, failure.SourceInvalid:
		if err := l.save(ctx, func(e *store.EmployeeRecord) { e.State = store.StateError }); err != nil {
			l.k.Log.WarnContext(ctx, "could not record the state", "employee", l.id, "error", err)
		}
	}
}

func (l *employeePass) try(ctx context.Context) error {
	calls, cancel := l.calls(ctx)
	defer cancel()
	var err error
	if l.settings, err = l.k.Rules.Settings(calls); err != nil {
		return err
	}
	// Read under the lease: who looks after a purge began must not make anything.
	in, err := l.k.Store.Installation(calls)
	if err != nil {
		return err
	}
	if in.Purge.Open() {
		if _, err := l.k.Account.Account(calls); err != nil {
			return err
		}
		l.tenant = in.Tenant
		return l.purge(ctx)
	}
	if e, ok := l.quiet(); ok {
		l.older = true
		err := l.keep(ctx, *e)
		l.older = false
		if !errors.Is(err, errOlder) {
			return err
		}
		// Something is to be written after all: from a reading of now, and in a lease
		// of full length.
		l.failed, l.retryAt, l.waiting, l.unfinished = nil, time.Time{}, false, false
		if err := l.extend(ctx); err != nil {
			return err
		}
		calls, cancel = l.calls(ctx)
		defer cancel()
	}
	// A calendar to be made or filled needs lists of now: whoever was told of a task
	// before it was there left it to the fill.
	l.batch = nil
	readings, err := l.k.ERP.Employees(calls, []calendarsync.EmployeeID{l.id})
	if err != nil {
		return err
	}
	reading := readings[l.id]
	verdict, reason := calendarsync.DecideEmployee(l.settings, reading, l.rec().Vouched || l.order.Deleted)
	if verdict != calendarsync.Unknown {
		if err := l.learn(calls, reading.Employee); err != nil {
			return err
		}
	}
	if l.stopped != nil {
		return l.report(calls, verdict, reason)
	}
	if verdict == calendarsync.Absent && l.rec().Reason == string(calendarsync.ReasonPurged) {
		// What a stopped purge left is theirs again, until a second reading lacks them too.
		if err := l.takeBack(calls); err != nil {
			return err
		}
	}
	if verdict == calendarsync.Absent && l.rec().Calendar != nil {
		if verdict, err = l.doubt(calls, reason); err != nil || verdict == calendarsync.Unknown {
			return err
		}
	} else if !l.rec().AbsentSince.IsZero() {
		if err := l.save(calls, func(e *store.EmployeeRecord) { e.AbsentSince, e.Reason = time.Time{}, "" }); err != nil {
			return err
		}
	}
	switch verdict {
	case calendarsync.Keep:
		return l.keep(ctx, *reading.Employee)
	case calendarsync.Unknown:
		if reading.Invalid != nil {
			return reading.Invalid
		}
		return failure.New(failure.SourceInvalid, fmt.Sprintf("read employee %d", l.id), "the ERP's answer cannot be believed")
	default:
		return l.remove(ctx, reason, reading.Employee, verdict == calendarsync.Absent)
	}
}

// report shows what would become of an employee while nothing may be written
// (rules 4.6 and 4.7): the key stays dirty, and Poll brings it up when it may.
func (l *employeePass) report(ctx context.Context, verdict calendarsync.Verdict, reason calendarsync.Reason) error {
	if l.rec().Calendar != nil || len(l.rec().Retiring) > 0 {
		return l.stopped
	}
	state := store.StateNone
	if verdict == calendarsync.Keep {
		state, reason = store.StatePending, l.stoppedBy()
	}
	if l.rec().State != state || l.rec().Reason != string(reason) {
		if err := l.save(ctx, func(r *store.EmployeeRecord) { r.State, r.Reason = state, string(reason) }); err != nil {
			return err
		}
	}
	return l.stopped
}

func (l *employeePass) stoppedBy() calendarsync.Reason {
	switch {
	case !l.settings.Enabled:
		return calendarsync.ReasonPaused
	case !l.settings.Confirmed:
		return calendarsync.ReasonUnconfirmed
	case !stops(l.stopped):
		return "" // it passes by itself, and is recorded as a failure
	default:
		return calendarsync.ReasonNotConnected
	}
}

// doubt waits for the second complete reading before absence takes a calendar
// (rule 4.2).
func (l *employeePass) doubt(ctx context.Context, reason calendarsync.Reason) (calendarsync.Verdict, error) {
	since := l.rec().AbsentSince
	if since.IsZero() || l.rec().Reason != string(reason) {
		// From the reading, not from the lease: the ERP may have been slow.
		since = l.now()
		if err := l.save(ctx, func(e *store.EmployeeRecord) { e.AbsentSince, e.Reason = since, string(reason) }); err != nil {
			return calendarsync.Unknown, err
		}
	}
	second := since.Add(l.k.waits.Absence)
	if l.taken().Before(second) {
		l.k.Log.InfoContext(ctx, "calendar in doubt", "employee", l.id, "reason", reason, "again", second)
		l.again(second)
		return calendarsync.Unknown, nil
	}
	return calendarsync.Absent, nil
}

// learn records what concerns others of an employee's card, the name and the
// divisions whose tasks they share, and the digest of all that matters of it: Poll
// compares lists, and would miss what changed and changed back between two of them
// (rule 8.2). e is nil for one who is not in the ERP.
func (l *employeePass) learn(ctx context.Context, e *calendarsync.Employee) error {
	rec := l.rec()
	name, address, divisions, seen := rec.Name, rec.Address, rec.Divisions, calendarsync.NoCard
	if e != nil {
		name, address, divisions = learned(*rec, *e)
		seen = e.Digest(l.settings.BindingField)
	}
	if name == rec.Name && address == rec.Address && slices.Equal(divisions, rec.Divisions) && seen == rec.Seen {
		return nil
	}
	if !slices.Equal(divisions, rec.Divisions) {
		l.refill = true
	}
	at := l.now()
	return l.save(ctx, func(r *store.EmployeeRecord) {
		r.Name, r.Address, r.Divisions = name, address, divisions
		if r.Seen != seen {
			r.Seen, r.SeenAt = seen, at
		}
	})
}

// learned is what is to be remembered of a card; what it leaves out stays.
func learned(rec store.EmployeeRecord, e calendarsync.Employee) (name, address string, divisions []int64) {
	divisions = rec.Divisions
	if said, ok := e.Divisions.Get(); ok {
		divisions = make([]int64, 0, len(said))
		for _, d := range said {
			divisions = append(divisions, int64(d))
		}
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

// settle records the look and releases the employee unless they became dirty.
func (l *employeePass) settle(ctx context.Context) (bool, error) {
	if l.failed != nil {
		l.k.Log.WarnContext(ctx, "employee not right yet", "employee", l.id, "cause", l.order.Cause,
			"kind", failure.KindOf(l.failed), "error", l.failed.Error(), "again", l.retryAt)
	}
	if l.forgotten && l.failed == nil {
		return true, l.k.Store.ForgetEmployee(ctx, &l.lease)
	}
	return l.k.Store.SettleEmployee(ctx, &l.lease, store.Result{Err: l.failed, RetryAt: l.retryAt, Waiting: l.waiting})
}

// audits reports whether the cause asks for a complete look at the calendar, and
// not only at the employee's card.
func (l *employeePass) audits() bool {
	// More marks than this message's own: one of them may have asked for more.
	return audits(l.order.Cause) || l.refill || l.lease.Dirty > 1
}
