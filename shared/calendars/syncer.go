// Package calendars keeps employees' calendars right: created, shared, named, filled
// and, when they are not wanted any more, deleted (sections 3 and 5 of
// shared/README.md). It writes to calendars and ACL rules under the employee's lease
// only, and announces every write before it makes it. It must never delete a calendar
// whose mark it has not read in the same pass, and never write an event itself: events
// does.
package calendars

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/polled"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// Store is what the package needs of the state. A method that takes a lease fails with
// store.ErrLeaseLost once another may hold it.
type Store interface {
	pass.Marker
	pass.Guard
	pass.CreationsStore

	// Employees' records, each changed only by the holder of its lease.

	// AcquireEmployee takes the lease, or leaves the employee dirty to its holder.
	AcquireEmployee(ctx context.Context, id int64, c store.Claim) (store.EmployeeLease, store.Outcome, error)
	// Extend makes the lease last for ttl from now.
	Extend(ctx context.Context, l *store.Lease, ttl time.Duration) error
	// SaveEmployee applies change to the record as stored, perhaps more than once, and
	// records the activity with it.
	SaveEmployee(ctx context.Context, l *store.EmployeeLease, change func(*store.EmployeeRecord), activity ...store.ActivityRecord) error
	// SettleEmployee records how a pass ended; released is false where the employee
	// became dirty meanwhile.
	SettleEmployee(ctx context.Context, l *store.EmployeeLease, r store.Result) (released bool, err error)
	// ForgetEmployee removes the record of one who has no calendar, with the lease.
	ForgetEmployee(ctx context.Context, l *store.EmployeeLease) error
	// Task reads one task's record.
	Task(ctx context.Context, id int64) (rec store.TaskRecord, found bool, err error)
	// TasksOf lists the tasks that concern an employee or once did.
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	// ForgetMapping drops a task's memory of an event in any calendar of the employee
	// but the one whose epoch is alive.
	ForgetMapping(ctx context.Context, task, employee int64, alive string) error
	// Installation names the tenant and the purge under way, always as they are now.
	Installation(ctx context.Context) (store.InstallationRecord, error)
	// Employee reads the record of another employee.
	Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error)
	// NoteUnreadable notes that a mark did not come back from Google, NoteReadable that it
	// did, or that what carried it is not there any more.
	NoteUnreadable(ctx context.Context, u store.UnreadableMark) error
	NoteReadable(ctx context.Context, u store.UnreadableMark) error

	// CardRefused notes that the ERP did not take what was to be written into the employee's
	// card, CardTaken that it took somebody's.
	CardRefused(ctx context.Context, employee int64, why string) error
	CardTaken(ctx context.Context) error

	// How many deletions went in a rolling day (rule 4.3).

	// Renew counts a deletion granted at a time as one of now, if it still counts.
	Renew(ctx context.Context, what store.Guarded, granted time.Time) (renewed bool, err error)

	// The queue for new calendars.

	// ReserveCreation writes the intent of a calendar, or the place in the queue.
	ReserveCreation(ctx context.Context, l *store.EmployeeLease, c store.NewCreation) (store.QueuePosition, error)
	// ReserveReplacement asks for one ahead, for a calendar to be replaced.
	ReserveReplacement(ctx context.Context, l *store.EmployeeLease, account string, perHour int, caps store.Caps, notBefore time.Time) (store.QueuePosition, bool, error)
	// ReserveShare counts a share, or tells when one may be made.
	ReserveShare(ctx context.Context, l *store.EmployeeLease, account string, caps store.Caps) (at time.Time, granted bool, err error)
	// CreationRefused counts a calendar or share out that Google refused; limit: and records
	// what that teaches of how many it takes.
	CreationRefused(ctx context.Context, sub string, what store.Creation, limit bool) error
	// DequeueCreation gives the place up.
	DequeueCreation(ctx context.Context, l *store.EmployeeLease) error

	// What is found at Google and remembered nowhere (rule 3.6).

	// SetTenant names the installation once and for all, and gives the name in force; ""
	// while an admin has to decide, or has decided otherwise.
	SetTenant(ctx context.Context, tenant string) (string, error)
	// AskTakeover has an admin decide about what was found; undecided is false where it
	// is decided already.
	AskTakeover(ctx context.Context, f store.FoundRecord) (undecided bool, err error)
	// Found reads what an admin is asked about; found is false where there is nothing.
	Found(ctx context.Context) (rec store.FoundRecord, asked time.Time, found bool, err error)
	// StartAfresh gives the installation a tenant of its own, though something was found.
	StartAfresh(ctx context.Context, hash, tenant string) error
	// TakingOver reads the list on which an admin decided to take calendars over.
	TakingOver(ctx context.Context) (store.FoundRecord, error)
	// AdoptCalendar makes a calendar that of an employee who has none.
	AdoptCalendar(ctx context.Context, employee int64, cal store.CalendarRecord) (adopted bool, err error)
	// NoteExtra puts a further calendar among those of the employee that are retiring.
	NoteExtra(ctx context.Context, employee int64, cal store.CalendarRecord) (noted bool, err error)
	// Relinquish forgets an extra calendar that stays as it is, unless a purge is open.
	Relinquish(ctx context.Context, l *store.EmployeeLease, calendar string) (alone bool, err error)

	// The progress of a purge.

	// AddRetiring puts a calendar that no record names among those to be purged.
	AddRetiring(ctx context.Context, employee int64, cal store.CalendarRecord) error
	// KeepFromPurge forgets a retiring calendar that stays at Google, and counts it.
	KeepFromPurge(ctx context.Context, l *store.EmployeeLease, calendar string, activity store.ActivityRecord) error
	// FinishPurge ends the purge if nothing is left for it to do.
	FinishPurge(ctx context.Context) (ended bool, err error)

	// The records of full runs and of their parts, one a message.

	// Employees lists everybody who is known.
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	// StartRun begins a full run, and supersedes the one before; the same id again
	// gives the same parts.
	StartRun(ctx context.Context, id, cause string, sizes []int) (parts []string, err error)
	// RunPart lists who of a part was counted; over once the full run is.
	RunPart(ctx context.Context, part string) (done []int64, over bool, err error)
	// AdvanceRun counts results, each employee once.
	AdvanceRun(ctx context.Context, part string, results ...store.RunResult) (over bool, err error)
	// PutOffRun has Poll start a full run again that could not begin.
	PutOffRun(ctx context.Context, cause, kind string) (due time.Time, err error)
	// RunBegan takes back a PutOffRun.
	RunBegan(ctx context.Context) error
}

// ERP reads employees and lists tasks.
type ERP interface {
	Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	AllEmployees(ctx context.Context, known []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	TasksWith(ctx context.Context, ids []calendarsync.TaskID, extras calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
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
}

// EventSyncer makes tasks' events right; events.Syncer is one.
type EventSyncer interface {
	Sync(ctx context.Context, o events.Order) (events.Report, error)
	Clear(ctx context.Context, c events.Clearing) (events.Cleared, error)
}

// Waits are the waits of rules 1.5, 3.6 and 4.2, and the creation budget.
type Waits struct {
	Lease            time.Duration
	Intent           time.Duration
	Absence          time.Duration
	CalendarsPerHour int
	// CalendarsPerDay and SharesPerDay bound what is made in any day; 0 is no bound.
	CalendarsPerDay, SharesPerDay int
}

// Deps are what a Syncer works with.
type Deps struct {
	Store   Store
	ERP     ERP
	Google  Google
	Rules   Rulebook
	Account pass.Account
	Events  EventSyncer
	// Polled says which cards Poll has listed, and compares by itself; nil for none.
	Polled *polled.Lists
	// Incidents says when nothing is asked of Google but by a probe (rule 7.7); nil for never.
	Incidents *incidents.Watch
	Queue     queue.Publisher
	// Topic is the employee topic, for the messages of a full run.
	Topic string
	// ERPAddress is the ERP's base URL, of which marks carry a digest (rule 3.12).
	ERPAddress string
	NewID      func() string
	Now        func() time.Time
	Log        *slog.Logger
}

// Syncer makes employees' calendars right. It is safe for concurrent use.
type Syncer struct {
	Deps
	waits Waits
	pause *pass.Pause // of creating and sharing
	spare *semaphore.Weighted
	// markSeen is when this process saw a mark come back last, in nanoseconds since 1970; 0: not
	// yet, and until then creating lets it make one calendar at a time.
	markSeen atomic.Int64
	creating *semaphore.Weighted
}

// New makes a Syncer.
func New(waits Waits, deps Deps) *Syncer {
	return &Syncer{Deps: deps, waits: waits, creating: semaphore.NewWeighted(1), pause: pass.NewCreationsPause(deps.Store, deps.Account, deps.Now, deps.Log), spare: semaphore.NewWeighted(spare)}
}

// Order says whose calendars to make right, and why.
type Order struct {
	Employees []calendarsync.EmployeeID
	Message   string
	Cause     queue.Cause
	Deleted   bool
	// Run is the part of a full run that the order is; empty for none.
	Run string
	// Until is when to stop and leave the rest to a message of its own (rule 7.3).
	Until time.Time
}

// Report is what came of an order.
type Report struct {
	// Redelivered employees are held by a live lease acquired for this very message.
	Redelivered []calendarsync.EmployeeID
	// Remaining are the employees not finished before Until, ascending.
	Remaining []calendarsync.EmployeeID
}

const (
	// atOnce is how many employees of one order are worked on at the same time: a calendar
	// that is being filled begins with two writes a second, and the account takes ten.
	atOnce = 4
	// spare is how many more all orders of one instance may work on together, so that a
	// company of one message uses the account's limit, and a large one does not hold more
	// leases than it can write within them.
	spare = 4
)

// message is what the passes over the employees of one message have in common.
type message struct {
	*Syncer
	order Order
	// run counts them for the full run that the message is a part of.
	run *progress
	// stop is why nothing may be written to Google.
	stop   pass.Stop
	tenant string
	// readsAhead reads what concerns all of them, once, when the first of them asks for it,
	// and gives nil where that failed; nil where nothing is to be read ahead.
	readsAhead func() *readAhead
}

// Sync makes the employees' calendars right, a few at a time. An error means that
// something could not even be recorded: the message must be nacked.
func (s *Syncer) Sync(ctx context.Context, o Order) (Report, error) {
	ids := slices.Compact(slices.Sorted(slices.Values(o.Employees)))
	run, ids, err := s.joinRun(ctx, o, ids)
	if err != nil || len(ids) == 0 {
		return Report{}, err
	}
	m := message{Syncer: s, order: o, run: run}
	if m.stop, err = s.stopped(ctx); err != nil {
		return Report{}, err
	}
	switch {
	case m.stop.BadSettings:
		return Report{}, m.park(ctx, m.stop, ids)
	case m.stop.Err == nil:
		err = m.prepare(ctx, ids)
	}
	if err != nil {
		return Report{}, err
	}
	report, err := m.syncAll(ctx, ids)
	if err = errors.Join(err, run.count(ctx, true)); err != nil {
		return report, err
	}
	// The last calendar of a purge may just have gone.
	ended, err := s.Store.FinishPurge(ctx)
	if ended {
		s.Log.WarnContext(ctx, "purge finished")
	}
	return report, err
}

// park keeps employees dirty, and counts them as failed: without settings, or while
// Google keeps the whole account out, nothing can be done about any.
func (m *message) park(ctx context.Context, stop pass.Stop, ids []calendarsync.EmployeeID) error {
	if err := pass.Park(ctx, m.Store, m.Log, store.EmployeeKey, ids, stop); err != nil {
		return err
	}
	failed := make([]store.RunResult, len(ids))
	for i, id := range ids {
		failed[i] = store.RunResult{Employee: int64(id), Failed: true}
	}
	return m.run.count(ctx, true, failed...)
}

// prepare finds out whose calendars the employees' are, and what the ERP says of all
// the employees together.
func (m *message) prepare(ctx context.Context, ids []calendarsync.EmployeeID) (err error) {
	ahead := !m.Incidents.Open(ctx) // otherwise they are all but parked
	m.tenant, err = m.Tenant(ctx)
	if _, theirs := errors.AsType[*failure.Error](err); theirs {
		// What Google or the grant fails with is recorded on the keys (rule 7.2).
		m.stop, err = pass.Stop{Err: err}, nil
	} else if err == nil && ahead {
		// Not before somebody at rest asks: of a calendar that is to be made or filled
		// everything is read again.
		m.readsAhead = once(func() *readAhead { return m.readAhead(ctx, ids) })
	}
	return err
}

// once gives what read gives, which it calls at most once. Unlike sync.OnceValue it has
// others wait where a testing/synctest bubble sees it.
func once[T any](read func() T) func() T {
	var begun atomic.Bool
	var value T
	done := make(chan struct{})
	return func() T {
		if begun.Swap(true) {
			<-done
			return value
		}
		defer close(done)
		value = read()
		return value
	}
}

// syncAll makes a pass over each employee, until the order's time is over.
func (m *message) syncAll(ctx context.Context, ids []calendarsync.EmployeeID) (report Report, err error) {
	spared := int64(0)
	for int(spared) < min(spare, len(ids)-atOnce) && m.spare.TryAcquire(1) {
		spared++
	}
	defer m.spare.Release(spared)
	most := atOnce + int(spared)
	var mu sync.Mutex
	err = pass.Each(ids, most, func(i int, id calendarsync.EmployeeID) error {
		if m.run != nil && m.run.over.Load() {
			return nil // a later full run takes in everybody
		}
		if v := m.incident(ctx); v.KeptBack != nil {
			return m.park(ctx, pass.Stop{Err: v.KeptBack, Until: v.Until}, []calendarsync.EmployeeID{id})
		}
		to := &report.Remaining
		if i < most || !m.late() {
			unfinished, redelivered, err := m.sync(ctx, id)
			if err != nil || !unfinished && !redelivered {
				return err
			}
			if redelivered {
				to = &report.Redelivered
			}
		}
		mu.Lock()
		defer mu.Unlock()
		*to = append(*to, id)
		return nil
	})
	slices.Sort(report.Remaining)
	return report, err
}

// incident is why no employee may be passed over now, but for one at times, to see
// whether it lasts (rule 7.7). Where nothing may be written anyway, that is shown.
func (m *message) incident(ctx context.Context) incidents.Verdict {
	if m.stop.Err != nil {
		return incidents.Verdict{}
	}
	return m.Incidents.Stop(ctx)
}

// late reports whether the order's time is over (rule 7.3).
func (m *message) late() bool { return !m.order.Until.IsZero() && m.Now().After(m.order.Until) }

// sync holds an employee's lease until a pass is clean (rule 1.3), or leaves them to
// whoever holds it (rule 1.4). unfinished: the rest of the fill needs another message.
func (m *message) sync(ctx context.Context, id calendarsync.EmployeeID) (unfinished, redelivered bool, err error) {
	began := m.Now()
	lease, got, err := m.Store.AcquireEmployee(ctx, int64(id), store.Claim{
		Message: m.order.Message, TTL: m.waits.Lease, Deleted: m.order.Deleted, Token: m.NewID(),
	})
	switch {
	case err != nil:
		return false, false, err
	case got == store.Redelivered:
		return false, true, nil
	case got == store.Busy:
		m.Log.InfoContext(ctx, "employee left to the holder", "employee", id)
		return false, false, m.run.count(ctx, false, store.RunResult{Employee: int64(id)})
	}
	p := &employeePass{message: *m, id: id, lease: lease, term: pass.Term{Began: began, Until: lease.Until, Length: m.waits.Lease}}
	if lease.Dirty > 1 {
		p.readsAhead = nil // others asked for a pass, maybe after it was read
	}
	for {
		p.begin()
		p.perform(ctx)
		released, err := p.settle(ctx)
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			// Somebody else has them, or Poll will find them due.
			m.Log.WarnContext(ctx, "lease lost", "employee", id)
			return false, false, m.run.count(ctx, false, p.runResult())
		case err != nil:
			return false, false, err
		case released:
			return p.unfinished, false, m.run.count(ctx, false, p.runResult())
		}
		// Marked dirty meanwhile: another pass, in a lease of full length.
		p.readsAhead, p.ahead = nil, nil
		if err := p.extend(ctx); err != nil {
			return false, false, err
		}
	}
}

// stopped finds out why nothing may be written now. Google's pause of creating and
// sharing stops those alone, and is asked for where they are to be done.
func (s *Syncer) stopped(ctx context.Context) (pass.Stop, error) {
	return pass.Stopped(ctx, "look at employees", s.Rules, s.Account, nil)
}
