// Package calendars keeps employees' calendars right: made, shared, renamed,
// filled, audited, taken down (sections 3 and 5 of shared/README.md). Calendar and
// ACL writes happen under the employee's lease and are announced before they are
// made. It must never delete a calendar whose mark it has not read in the same
// pass, and writes events only through the events package.
package calendars

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// Store is what the keeper needs of the state.
type Store interface {
	AcquireEmployee(ctx context.Context, id int64, c store.Claim) (store.EmployeeLease, store.Outcome, error)
	SaveEmployee(ctx context.Context, l *store.EmployeeLease, change func(*store.EmployeeRecord), activity ...store.ActivityRecord) error
	SettleEmployee(ctx context.Context, l *store.EmployeeLease, r store.Result) (released bool, err error)
	ForgetEmployee(ctx context.Context, l *store.EmployeeLease) error
	Extend(ctx context.Context, l *store.Lease, ttl time.Duration) error
	AdoptCalendar(ctx context.Context, employee int64, cal store.CalendarRecord) (adopted bool, err error)
	NoteExtra(ctx context.Context, employee int64, cal store.CalendarRecord) (noted bool, err error)
	Installation(ctx context.Context) (store.InstallationRecord, error)
	SetTenant(ctx context.Context, tenant string) (string, error)
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	Permit(ctx context.Context, what store.Guarded, want, percent int) (granted int, began time.Time, err error)
	Renew(ctx context.Context, what store.Guarded, granted time.Time) (renewed bool, err error)
	ReserveCreation(ctx context.Context, l *store.EmployeeLease, c store.NewCreation) (store.QueuePosition, error)
	DequeueCreation(ctx context.Context, l *store.EmployeeLease) error
	PauseCreations(ctx context.Context, sub string) (until time.Time, err error)
	CreationsWork(ctx context.Context, sub string) error
	MarkDirty(ctx context.Context, key store.Key, due time.Time) error
	Now(ctx context.Context) (time.Time, error)
	StartRun(ctx context.Context, id, cause string, sizes []int) (parts []string, err error)
	AdvanceRun(ctx context.Context, part string, results ...store.RunResult) (over bool, err error)
	RunPart(ctx context.Context, part string) (done []int64, over bool, err error)
	PutOffRun(ctx context.Context, cause, kind string) (due time.Time, err error)
	RunBegan(ctx context.Context) error
	ForgetMapping(ctx context.Context, task, employee int64, alive string) error
	Relinquish(ctx context.Context, l *store.EmployeeLease, calendar string) (alone bool, err error)
	KeepFromPurge(ctx context.Context, l *store.EmployeeLease, calendar string, activity store.ActivityRecord) error
	AddRetiring(ctx context.Context, employee int64, cal store.CalendarRecord) error
	FinishPurge(ctx context.Context) (ended bool, err error)
}

// ERP reads employees and lists tasks.
type ERP interface {
	Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	AllEmployees(ctx context.Context) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
	SetEmployeeField(ctx context.Context, id calendarsync.EmployeeID, field calendarsync.FieldID, value string) error
}

// Google makes, shares and deletes calendars and lists what is in them.
type Google interface {
	CreateCalendar(ctx context.Context, name, zone string, mark calendarsync.CalendarMark) (googlecalendar.Calendar, error)
	Calendar(ctx context.Context, id string) (googlecalendar.Calendar, error)
	UpdateCalendar(ctx context.Context, c googlecalendar.Calendar, name, zone string, mark calendarsync.CalendarMark) error
	DeleteCalendar(ctx context.Context, id string) error
	Calendars(ctx context.Context) ([]googlecalendar.Calendar, error)
	Rules(ctx context.Context, calendarID string) ([]googlecalendar.Rule, error)
	Share(ctx context.Context, calendarID, address string) (googlecalendar.Rule, error)
	ForceReader(ctx context.Context, calendarID string, rule googlecalendar.Rule) error
	Unshare(ctx context.Context, calendarID, ruleID string) error
	Events(ctx context.Context, calendarID string) (googlecalendar.Calendar, []googlecalendar.Event, error)
	Disown(ctx context.Context, c googlecalendar.Calendar) error
}

// Rulebook gives settings and rules in force.
type Rulebook interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
	Rules(ctx context.Context) (*calendarsync.Rules, error)
	Knowing(ctx context.Context, states []calendarsync.StateID) (*calendarsync.Rules, error)
}

// EventSyncer makes tasks' events right; events.Writer is one.
type EventSyncer interface {
	Sync(ctx context.Context, o events.Order) (events.Report, error)
	Clear(ctx context.Context, c events.Clearing) (writes, left int, err error)
}

// Waits are the waits of rules 1.5, 3.6 and 4.2, and the creation budget.
type Waits struct {
	Lease            time.Duration
	Intent           time.Duration
	Absence          time.Duration
	CalendarsPerHour int
}

// Deps are what a Keeper works with.
type Deps struct {
	Store   Store
	ERP     ERP
	Google  Google
	Rules   Rulebook
	Account pass.Account
	Events  EventSyncer
	Queue   queue.Publisher
	// Topic is the employee topic, to continue long fills.
	Topic string
	NewID func() string
	Now   func() time.Time
	Log   *slog.Logger
}

// Syncer makes employees' calendars right. It is safe for concurrent use.
type Syncer struct {
	Deps
	waits Waits

	mu          sync.Mutex
	pausedUntil time.Time // of creating and sharing, as this process heard of it
}

// unheard is how long creating pauses where Google's refusal could not be recorded.
const unheard = 15 * time.Minute

// refused records that Google wants no creating and sharing for a while, and
// gives until when; event writes go on. How long that is the account's record
// knows, for every instance (rule 6.6).
func (k *Syncer) refused(ctx context.Context) (until time.Time) {
	account, err := k.Account.Account(ctx)
	if err == nil {
		until, err = k.Store.PauseCreations(ctx, account.Sub)
	}
	if err != nil {
		k.Log.WarnContext(ctx, "could not record Google's pause", "error", err)
		until = k.Deps.Now().Add(unheard)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pausedUntil = until
	return until
}

// taken records, once after each pause, that Google created or shared again.
func (k *Syncer) taken(ctx context.Context, a store.AccountRecord) {
	if a.CreationsPauseSeconds == 0 {
		return
	}
	if err := k.Store.CreationsWork(ctx, a.Sub); err != nil {
		k.Log.WarnContext(ctx, "could not record the end of Google's pause", "error", err)
	}
}

// mayNot gives until when Google wants no creating and sharing; zero if it does.
func (k *Syncer) mayNot(a store.AccountRecord) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	until := a.PausedUntil
	for _, other := range []time.Time{a.CreationsPausedUntil, k.pausedUntil} {
		if other.After(until) {
			until = other
		}
	}
	if !k.Deps.Now().Before(until) {
		return time.Time{}
	}
	return until
}

// New makes a Keeper.
func New(waits Waits, deps Deps) *Syncer { return &Syncer{Deps: deps, waits: waits} }

// Order says which employees to look at and why.
type Order struct {
	Employees []calendarsync.EmployeeID
	Message   string
	Cause     queue.Cause
	Deleted   bool
	// Run is the part of a full run that the order is; empty for none.
	Run string
	// Until is when to stop and leave the rest to a message of its own
	// (rule 7.3).
	Until time.Time
}

// Report tells what came of an order.
type Report struct {
	Redelivered []calendarsync.EmployeeID
	// Left are the employees not finished before Until.
	Left []calendarsync.EmployeeID
}

// atOnce is how many employees of one order are looked at at the same time: a
// calendar takes two writes a second, the account ten.
const atOnce = 4

// recordDeadline bounds the recording of a full run that could not begin.
const recordDeadline = 10 * time.Second

// margin is left between the last call's deadline and the end of the lease.
const margin = 10 * time.Second

// Sync looks at the employees, a few at a time. An error means that something
// could not even be recorded: the message must be refused.
func (k *Syncer) Sync(ctx context.Context, o Order) (Report, error) {
	var report Report
	ids := slices.Clone(o.Employees)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	run, ids, err := k.follow(ctx, o, ids)
	if err != nil || len(ids) == 0 {
		return report, err
	}
	if _, err := k.Rules.Settings(ctx); failure.Is(err, failure.Misconfigured) {
		if err := k.park(ctx, ids, err); err != nil {
			return report, err
		}
		return report, run.gaveUp(ctx, ids)
	}
	stopped, err := k.stopped(ctx)
	if err != nil {
		return report, err
	}
	tenant := ""
	if stopped == nil {
		if tenant, err = k.Tenant(ctx); err != nil {
			// What Google or the grant refuses is recorded on the keys (rule 7.2).
			if _, theirs := errors.AsType[*failure.Error](err); !theirs {
				return report, err
			}
			stopped = err
		}
	}
	var ahead *batch
	if stopped == nil {
		ahead = k.ahead(ctx, o, ids)
	}
	var mu sync.Mutex
	// One employee's failure must not cut off another's call half-way.
	var working errgroup.Group
	working.SetLimit(atOnce)
	for i, id := range ids {
		working.Go(func() error {
			if run.isOver() {
				return nil // a later run looks at everybody
			}
			late := i >= atOnce && !o.Until.IsZero() && k.Deps.Now().After(o.Until)
			unfinished, redelivered := late, false
			if !late {
				var err error
				if unfinished, redelivered, err = k.syncOne(ctx, o, run, ahead, stopped, tenant, id); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if redelivered {
				report.Redelivered = append(report.Redelivered, id)
			} else if unfinished {
				report.Left = append(report.Left, id)
			}
			return nil
		})
	}
	err = errors.Join(working.Wait(), run.flush(ctx))
	if err == nil {
		err = k.finishPurge(ctx)
	}
	slices.Sort(report.Left)
	return report, err
}

// finishPurge ends a purge whose last calendar has just gone.
func (k *Syncer) finishPurge(ctx context.Context) error {
	ended, err := k.Store.FinishPurge(ctx)
	if ended {
		k.Log.WarnContext(ctx, "purge finished")
	}
	return err
}

// stopped tells why nothing may be written now, if so.
func (k *Syncer) stopped(ctx context.Context) (why, err error) {
	s, err := k.Rules.Settings(ctx)
	if err != nil {
		return nil, err
	}
	if !s.Enabled || !s.Confirmed {
		return failure.New(failure.Misconfigured, "look at employees", "paused by the settings"), nil
	}
	if _, err := k.Account.Account(ctx); err != nil && !stops(err) {
		return nil, err
	} else if err != nil {
		return err, nil
	}
	return nil, nil
}

// stops reports whether a failure stops all writing until a person acts.
func stops(err error) bool {
	kind := failure.KindOf(err)
	return kind == failure.Revoked || kind == failure.Misconfigured
}

func (k *Syncer) park(ctx context.Context, ids []calendarsync.EmployeeID, why error) error {
	now, err := k.Store.Now(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := k.Store.MarkDirty(ctx, store.EmployeeKey(int64(id)), now); err != nil {
			return err
		}
	}
	k.Log.InfoContext(ctx, "employees parked", "employees", len(ids), "kind", failure.KindOf(why), "error", why.Error())
	return nil
}

// Tenant gives the installation's tenant. The first time it reads the account's
// calendars once: marks found there name the tenant of a database that was lost,
// and their calendars are adopted before any other is made (rules 3.1
// and 3.6).
func (k *Syncer) Tenant(ctx context.Context) (string, error) {
	in, err := k.Store.Installation(ctx)
	if err != nil || in.Tenant != "" {
		return in.Tenant, err
	}
	account, err := k.Account.Account(ctx)
	if err != nil {
		return "", err
	}
	list, err := k.Google.Calendars(ctx)
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	for _, c := range list {
		if c.Marked {
			count[c.Mark.Tenant]++
		}
	}
	tenant, most := k.NewID(), 0
	for t, n := range count {
		if n > most || (n == most && t < tenant) {
			tenant, most = t, n
		}
	}
	if _, err := k.recognise(ctx, ofTenant(list, tenant), account); err != nil {
		return "", err
	}
	return k.Store.SetTenant(ctx, tenant)
}

// All publishes messages of up to 50 employees, everybody the ERP or the state
// knows (rule 8.3). A run that cannot begin because of the ERP or Google is
// recorded for Poll to start again, so that no delivery attempts are burnt (rule 7.2).
func (k *Syncer) All(ctx context.Context, cause queue.Cause, run string) error {
	err := k.all(ctx, cause, run)
	if _, theirs := errors.AsType[*failure.Error](err); !theirs {
		return err
	}
	// The ERP may have used up the time of the message.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordDeadline)
	defer cancel()
	if in, readErr := k.Store.Installation(record); readErr != nil || in.Purge.Open() {
		// Poll, which a purge finds paused, would not start it again.
		return errors.Join(err, readErr)
	}
	due, recordErr := k.Store.PutOffRun(record, string(cause), string(failure.KindOf(err)))
	if recordErr != nil {
		return errors.Join(err, recordErr)
	}
	k.Log.WarnContext(ctx, "full run put off", "cause", cause, "kind", failure.KindOf(err), "error", err.Error(), "again", due)
	return nil
}

func (k *Syncer) all(ctx context.Context, cause queue.Cause, run string) error {
	stopped, err := k.stopped(ctx)
	if err != nil {
		return err
	}
	in, err := k.Store.Installation(ctx)
	if err != nil {
		return err
	}
	if stopped == nil || in.Purge.Open() {
		// A purge too has to know whose calendars are to go, after a lost database.
		if in.Tenant, err = k.Tenant(ctx); err != nil && !stops(err) {
			return err
		}
	}
	known, err := k.Store.Employees(ctx)
	if err != nil {
		return err
	}
	readings := map[calendarsync.EmployeeID]calendarsync.EmployeeReading{}
	if in.Purge.Open() {
		// It concerns what there is, whatever the ERP says.
		if err = k.adoptForPurge(ctx, in.Tenant); err == nil || stops(err) {
			known, err = k.Store.Employees(ctx)
		}
	} else if readings, err = k.ERP.AllEmployees(ctx); errors.Is(err, userside.ErrNobody) && len(known) == 0 {
		// Nobody to be missed: the ERP is new. Poll finds who comes.
		err = nil
	}
	if err != nil {
		return err
	}
	ids := make([]int64, 0, len(readings))
	if stopped == nil && !in.Purge.Open() {
		whose, err := k.findExtras(ctx, known)
		if err != nil {
			// The run is worth more than what few of them need; the next one looks again.
			k.Log.WarnContext(ctx, "the account's calendars could not be listed", "error", err)
		}
		ids = append(ids, whose...)
	}
	for id := range readings {
		ids = append(ids, int64(id))
	}
	for _, e := range known {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var messages []queue.Message
	if len(ids) > 0 {
		messages = queue.Split(queue.Message{IDs: ids, Cause: cause, Lane: queue.LaneBulk})
	}
	if err := k.Store.RunBegan(ctx); err != nil {
		return err
	}
	sizes := make([]int, len(messages))
	for i, m := range messages {
		sizes[i] = len(m.IDs)
	}
	parts, err := k.Store.StartRun(ctx, run, string(cause), sizes)
	if err != nil || len(messages) == 0 {
		return err
	}
	for i := range messages {
		messages[i].Run = parts[i]
	}
	k.Log.InfoContext(ctx, "full run started", "cause", cause, "run", run, "employees", len(ids), "messages", len(messages))
	return k.Queue.Publish(ctx, k.Topic, messages...)
}

// syncOne looks at one employee until they are right, recorded as failed, or
// left to another holder. unfinished tells that the fill must go on in another
// message.
func (k *Syncer) syncOne(ctx context.Context, o Order, run *progress, ahead *batch, stopped error, tenant string, id calendarsync.EmployeeID) (unfinished, redelivered bool, err error) {
	began := k.Deps.Now()
	lease, outcome, err := k.Store.AcquireEmployee(ctx, int64(id), store.Claim{
		Message: o.Message, TTL: k.waits.Lease, Deleted: o.Deleted, Token: k.NewID(),
	})
	switch {
	case err != nil:
		return false, false, err
	case outcome == store.Redelivered:
		return false, true, nil
	case outcome == store.Busy:
		k.Log.InfoContext(ctx, "employee left to the holder", "employee", id)
		return false, false, run.done(ctx, store.RunResult{Employee: int64(id)})
	}
	if lease.Dirty > 1 {
		ahead = nil // others asked for a look, maybe after it was read
	}
	l := &employeePass{k: k, order: o, batch: ahead, stopped: stopped, tenant: tenant, id: id, lease: lease, deadline: began.Add(k.waits.Lease - k.margin())}
	for {
		l.begin()
		l.run(ctx)
		released, err := l.settle(ctx)
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			// Somebody else has them, or Poll will find them due.
			k.Log.WarnContext(ctx, "lease lost", "employee", id)
			return false, false, run.done(ctx, l.result())
		case err != nil:
			return false, false, err
		case released:
			return l.unfinished, false, run.done(ctx, l.result())
		}
		// Marked dirty meanwhile: look again, in a lease of full length.
		l.batch = nil
		if err := l.extend(ctx); err != nil {
			return false, false, err
		}
	}
}

func (k *Syncer) margin() time.Duration { return min(margin, k.waits.Lease/4) }
