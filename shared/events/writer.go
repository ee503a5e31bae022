// Package events writes tasks' events: the only place that does. A
// task is looked at under its lease, from an ERP read made after the lease was taken;
// every write is announced before it is made and confirmed after it (rules 1.2 and
// 2.1). It must never write an event outside its task's lease, touch an event without
// the product's mark, or delete for what was not read.
package events

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The figures of rules 1.2 and 1.5.
const (
	// maxLeases is how many task leases one worker holds at a time.
	maxLeases = 10
	// margin is left between the last call's deadline and the end of the lease.
	margin = 10 * time.Second
	// atOnce is how many of the held tasks are worked on at the same time.
	atOnce = 4
)

// Store is what the writer needs of the state.
type Store interface {
	AcquireTask(ctx context.Context, id int64, c store.Claim) (store.TaskLease, store.Outcome, error)
	IntendTask(ctx context.Context, l *store.TaskLease, intents []store.Intent) (refused []int64, err error)
	SettleTask(ctx context.Context, l *store.TaskLease, o store.TaskOutcome) (released bool, err error)
	MarkDirty(ctx context.Context, key store.Key, due time.Time) error
	Employee(ctx context.Context, id int64) (store.EmployeeRecord, bool, error)
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)
	Permit(ctx context.Context, what store.Guarded, want, percent int) (granted int, began time.Time, err error)
	PauseWrites(ctx context.Context, sub string) (until time.Time, err error)
	WritesWork(ctx context.Context, sub string) error
	Now(ctx context.Context) (time.Time, error)
}

// ERP reads tasks.
type ERP interface {
	Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
}

// Google writes events.
type Google interface {
	InsertEvent(ctx context.Context, calendarID string, d googlecalendar.Draft) (googlecalendar.Event, error)
	UpdateEvent(ctx context.Context, calendarID string, d googlecalendar.Draft) (googlecalendar.Event, error)
	DeleteEvent(ctx context.Context, calendarID, eventID, etag string) error
	Event(ctx context.Context, calendarID, eventID string) (googlecalendar.Event, error)
}

// Rules gives the rules in force.
type Rules interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
	Knowing(ctx context.Context, states []calendarsync.StateID) (*calendarsync.Rules, error)
}

// Account tells whose calendars are written and whether they may be.
type Account interface {
	Account(ctx context.Context) (store.AccountRecord, error)
}

// Tenant gives the installation's mark; "" before there is one.
type Tenant interface {
	Installation(ctx context.Context) (store.InstallationRecord, error)
}

// Waits are the waits of rules 1.5 and 4.2.
type Waits struct {
	Lease   time.Duration
	Absence time.Duration
}

// Deps are what a Writer works with.
type Deps struct {
	Store   Store
	ERP     ERP
	Google  Google
	Rules   Rules
	Account Account
	Tenant  Tenant
	// NewID gives fresh random ids for lease tokens.
	NewID func() string
	Now   func() time.Time
	Log   *slog.Logger
}

// Syncer makes tasks' events right. It is safe for concurrent use.
type Syncer struct {
	Deps
	waits Waits

	mu          sync.Mutex
	pausedUntil time.Time // as this process heard of it
	// unproven tells that Google took no write yet since the latest pause.
	unproven bool
}

// New makes a Writer.
func New(waits Waits, deps Deps) *Syncer { return &Syncer{Deps: deps, waits: waits} }

// Order says which tasks to look at and why.
type Order struct {
	Tasks   []calendarsync.TaskID
	Message string // id of the message served; empty for none
	Cause   queue.Cause
	Deleted bool // a signed notification vouches for an absence
	// Listed is a calendar just listed completely, nil without one.
	Listed *Listing
}

// Listing is what a complete list of one employee's calendar showed.
type Listing struct {
	Employee calendarsync.EmployeeID
	Epoch    string
	// Events are the product's own events by task, the highest generation first.
	Events map[calendarsync.TaskID][]googlecalendar.Event
}

// Report tells what came of an order.
type Report struct {
	// Redelivered tasks are held by a live lease taken for this very message.
	Redelivered []calendarsync.TaskID
	// Writes counts the calls that changed something at Google.
	Writes int
	// Failed counts the tasks whose failure was recorded.
	Failed int
	// Unseen counts the tasks for which the order's Sighting was not made use of:
	// held by another, parked, or not readable.
	Unseen int
	// Busy are those of Unseen that another held: soon they may be looked at.
	Busy []calendarsync.TaskID
	// Relist are the employees whose calendar must be listed before anything can
	// be inserted (rule 3.4).
	Relist []int64
	// ParkedUntil is when Google may take writes again, where it refused.
	ParkedUntil time.Time
	// Drift counts by kind what the Sighting showed otherwise than it had been
	// left, and Fields the fields of events that somebody had changed.
	Drift, Fields map[string]int64
}

func (r *Report) add(o Report) {
	r.Redelivered = append(r.Redelivered, o.Redelivered...)
	r.Writes += o.Writes
	r.Failed += o.Failed
	r.Unseen += o.Unseen
	r.Busy = append(r.Busy, o.Busy...)
	r.Relist = append(r.Relist, o.Relist...)
	r.Drift, r.Fields = added(r.Drift, o.Drift), added(r.Fields, o.Fields)
}

// Sync looks at the tasks until each is right, recorded as failed, or left to
// another holder. An error means that something could not even be recorded: the
// message must be refused.
func (w *Syncer) Sync(ctx context.Context, o Order) (Report, error) {
	var report Report
	ids := slices.Clone(o.Tasks)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for n := 0; n < len(ids); n += maxLeases {
		// Before each batch, since the one before may have met Google's refusal.
		if stopped, until, err := w.stopped(ctx); err != nil {
			return report, err
		} else if stopped != nil {
			report.Unseen += len(ids) - n
			report.ParkedUntil = until
			return report, w.park(ctx, ids[n:], stopped, until)
		}
		batch := ids[n:min(n+maxLeases, len(ids))]
		part, err := w.syncBatch(ctx, o, batch)
		report.add(part)
		if err != nil {
			return report, err
		}
	}
	slices.Sort(report.Relist)
	report.Relist = slices.Compact(report.Relist)
	return report, nil
}

// stopped tells why nothing may be written now, if so: paused or unconfirmed by
// the admin (rules 4.6 and 4.7), disconnected (rule 7.5), or paused by Google.
func (w *Syncer) stopped(ctx context.Context) (why error, until time.Time, err error) {
	s, err := w.Rules.Settings(ctx)
	if err != nil {
		if failure.Is(err, failure.Misconfigured) {
			return err, time.Time{}, nil
		}
		return nil, time.Time{}, err
	}
	if !s.Enabled || !s.Confirmed {
		return failure.New(failure.Misconfigured, "look at tasks", "paused by the settings"), time.Time{}, nil
	}
	a, err := w.Account.Account(ctx)
	if err != nil {
		switch failure.KindOf(err) {
		case failure.Revoked, failure.Misconfigured:
			return err, time.Time{}, nil
		}
		return nil, time.Time{}, err
	}
	until = a.PausedUntil
	if heard := w.refused(); heard.After(until) {
		until = heard
	}
	if a.PauseSeconds > 0 {
		w.doubt()
	}
	if w.Deps.Now().Before(until) {
		return failure.New(failure.Exhausted, "look at tasks", "Google refuses writes until "+until.Format(time.RFC3339)), until, nil
	}
	return nil, time.Time{}, nil
}

// unheard is how long writes pause where Google's refusal could not be recorded.
const unheard = 15 * time.Minute

// refuse records Google's refusal of all writes, and remembers it for this
// process at once: what is read of the account may be some seconds old. How long
// the pause is the account's record knows, for every instance (rule 6.6).
func (w *Syncer) refuse(ctx context.Context, sub string) {
	until, err := w.Deps.Store.PauseWrites(ctx, sub)
	if err != nil {
		w.Log.WarnContext(ctx, "could not record Google's pause", "error", err)
		until = w.Deps.Now().Add(unheard)
	}
	w.Log.WarnContext(ctx, "Google refuses all writes", "until", until)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pausedUntil = until
}

// accepted records, once after each pause, that Google takes writes again.
func (w *Syncer) accepted(ctx context.Context, sub string) {
	w.mu.Lock()
	unproven := w.unproven
	w.unproven = false
	w.mu.Unlock()
	if !unproven {
		return
	}
	if err := w.Deps.Store.WritesWork(ctx, sub); err != nil {
		w.Log.WarnContext(ctx, "could not record the end of Google's pause", "error", err)
		w.doubt()
	}
}

// doubt notes that the account's record still counts pauses.
func (w *Syncer) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unproven = true
}

func (w *Syncer) refused() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pausedUntil
}

// park keeps keys dirty without looking at them; Poll brings them up when it may.
func (w *Syncer) park(ctx context.Context, ids []calendarsync.TaskID, why error, until time.Time) error {
	now, err := w.Deps.Store.Now(ctx)
	if err != nil {
		return err
	}
	if until.Before(now) {
		until = now
	}
	for _, id := range ids {
		if err := w.Deps.Store.MarkDirty(ctx, store.TaskKey(int64(id)), until); err != nil {
			return err
		}
	}
	w.Log.InfoContext(ctx, "tasks parked", "tasks", len(ids), "reason", string(failure.KindOf(why)), "error", why.Error())
	return nil
}

// syncBatch takes the leases of up to maxLeases tasks and looks at them until
// none is left.
func (w *Syncer) syncBatch(ctx context.Context, o Order, ids []calendarsync.TaskID) (Report, error) {
	var (
		report Report
		mu     sync.Mutex
		held   []*taskPass
	)
	began := w.Deps.Now()
	var taking errgroup.Group
	taking.SetLimit(atOnce)
	for _, id := range ids {
		taking.Go(func() error {
			lease, outcome, err := w.Deps.Store.AcquireTask(ctx, int64(id), store.Claim{
				Message: o.Message, TTL: w.waits.Lease, Deleted: o.Deleted, Token: w.NewID(),
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			switch outcome {
			case store.Acquired:
				held = append(held, &taskPass{w: w, order: o, id: id, lease: lease})
			case store.Redelivered:
				report.Redelivered = append(report.Redelivered, id)
			case store.Busy:
				report.Unseen++
				report.Busy = append(report.Busy, id)
				w.Log.InfoContext(ctx, "task left to its holder", "task", id)
			}
			return nil
		})
	}
	// What could be taken is done all the same; the message comes again for the rest.
	failed := taking.Wait()
	// The deadline is counted from before the leases were taken, so it holds
	// whatever the instance's clock says (rule 1.5).
	deadline := began.Add(w.waits.Lease - w.margin())
	calls, cancel := context.WithTimeout(ctx, deadline.Sub(w.Deps.Now()))
	defer cancel()
	for len(held) > 0 {
		left, err := w.lookAt(ctx, calls, began, held, &report)
		if err != nil {
			return report, errors.Join(failed, err)
		}
		held = left
	}
	return report, failed
}

// margin shrinks with leases that are shorter than in production.
func (w *Syncer) margin() time.Duration { return min(margin, w.waits.Lease/4) }

// intentGrace is how long after its deadline another's open intent is left alone
// (rule 2.4: 60 s at the default lease of 90 s).
func (w *Syncer) intentGrace() time.Duration { return w.waits.Lease * 2 / 3 }

// lookAt reads the held tasks at once and makes each right; it returns those
// that became dirty meanwhile. ctx is for recording, calls ends with the leases.
func (w *Syncer) lookAt(ctx, calls context.Context, began time.Time, held []*taskPass, report *Report) ([]*taskPass, error) {
	ids := make([]calendarsync.TaskID, len(held))
	for i, l := range held {
		ids[i] = l.id
	}
	readings, err := w.ERP.Tasks(calls, ids)
	took := w.Deps.Now().Sub(began)
	var rules *calendarsync.Rules
	if err == nil {
		rules, err = w.Rules.Knowing(calls, statesOf(readings))
	}
	tenant := ""
	if err == nil {
		var in store.InstallationRecord
		if in, err = w.Tenant.Installation(calls); err == nil {
			tenant = in.Tenant
		}
	}
	var (
		mu   sync.Mutex
		left []*taskPass
	)
	working := errgroup.Group{}
	working.SetLimit(atOnce)
	for _, l := range held {
		working.Go(func() error {
			if err != nil {
				l.begin()
				l.fail(err)
			} else {
				l.rules, l.tenant, l.readAt = rules, tenant, l.taken().Add(took)
				l.run(calls, readings[l.id])
			}
			released, err := l.settle(ctx)
			mu.Lock()
			defer mu.Unlock()
			report.Writes += l.writes
			report.Relist = append(report.Relist, l.audit...)
			report.Drift, report.Fields = added(report.Drift, l.drift), added(report.Fields, l.fields)
			// A look that has to be repeated reports its further writes only.
			l.writes, l.drift, l.fields = 0, nil, nil
			switch {
			case errors.Is(err, store.ErrLeaseLost):
				// Somebody else has it, or Poll will find it due.
				report.Unseen++
				w.Log.WarnContext(ctx, "lease lost", "task", l.id)
				return nil
			case err != nil:
				return err
			case !released:
				left = append(left, l)
				return nil
			case l.failed != nil:
				report.Failed++
			}
			if l.unseen {
				report.Unseen++
			}
			return nil
		})
	}
	return left, working.Wait()
}

func statesOf(readings map[calendarsync.TaskID]calendarsync.TaskReading) []calendarsync.StateID {
	var out []calendarsync.StateID
	for _, r := range readings {
		if r.Task != nil {
			if id, ok := r.Task.State.Get(); ok {
				out = append(out, id)
			}
		}
	}
	return out
}
