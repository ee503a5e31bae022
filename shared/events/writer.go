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
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The figures of rules 1.2 and 1.5.
const (
	// maxLeases is how many task leases one worker holds at a time.
	maxLeases = 10
	// atOnce is how many of the held tasks are worked on at the same time.
	atOnce = 4
)

// Store is what the writer needs of the state.
type Store interface {
	AcquireTask(ctx context.Context, id int64, c store.Claim) (store.TaskLease, store.Outcome, error)
	IntendTask(ctx context.Context, l *store.TaskLease, intents []store.Intent) (refused []int64, err error)
	SettleTask(ctx context.Context, l *store.TaskLease, o store.TaskOutcome) (released bool, err error)
	pass.Marker
	Employee(ctx context.Context, id int64) (store.EmployeeRecord, bool, error)
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)
	pass.Guard
	pass.WritesStore
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
	Account pass.Account
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
	pause *pass.Pause // of all writes
}

// New makes a Writer.
func New(waits Waits, deps Deps) *Syncer {
	return &Syncer{Deps: deps, waits: waits, pause: pass.NewWritesPause(deps.Store, deps.Account, deps.Now, deps.Log)}
}

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
	Drift, Fields pass.Tally
}

func (r *Report) add(o Report) {
	r.Redelivered = append(r.Redelivered, o.Redelivered...)
	r.Writes += o.Writes
	r.Failed += o.Failed
	r.Unseen += o.Unseen
	r.Busy = append(r.Busy, o.Busy...)
	r.Relist = append(r.Relist, o.Relist...)
	r.Drift.AddAll(o.Drift)
	r.Fields.AddAll(o.Fields)
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
		if stop, err := pass.Stopped(ctx, "look at tasks", w.Rules, w.Account, w.pause); err != nil {
			return report, err
		} else if stop.By != pass.Nobody {
			report.Unseen += len(ids) - n
			report.ParkedUntil = stop.Until
			return report, w.park(ctx, ids[n:], stop)
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

// park keeps tasks dirty without looking at them.
func (w *Syncer) park(ctx context.Context, ids []calendarsync.TaskID, stop pass.Stop) error {
	keys := make([]store.Key, len(ids))
	for i, id := range ids {
		keys[i] = store.TaskKey(int64(id))
	}
	return pass.Park(ctx, w.Store, w.Log, keys, stop)
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
				held = append(held, &taskPass{w: w, order: o, id: id, lease: lease, term: pass.NewTerm(began, lease.Until, w.waits.Lease)})
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
	if len(held) == 0 {
		return report, failed
	}
	// The leases were all acquired after one moment of this instance's clock.
	calls, cancel := held[0].term.Calls(ctx, w.Deps.Now())
	defer cancel()
	for len(held) > 0 {
		left, err := w.lookAt(ctx, calls, held, &report)
		if err != nil {
			return report, errors.Join(failed, err)
		}
		held = left
	}
	return report, failed
}

// lookAt reads the held tasks at once and makes each right; it returns those
// that became dirty meanwhile. ctx is for recording, calls ends with the leases.
func (w *Syncer) lookAt(ctx, calls context.Context, held []*taskPass, report *Report) ([]*taskPass, error) {
	ids := make([]calendarsync.TaskID, len(held))
	for i, l := range held {
		ids[i] = l.id
	}
	readings, err := w.ERP.Tasks(calls, ids)
	readAt := w.Deps.Now()
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
				l.rules, l.tenant, l.readAt = rules, tenant, l.term.At(readAt)
				l.run(calls, readings[l.id])
			}
			released, err := l.settle(ctx)
			mu.Lock()
			defer mu.Unlock()
			report.Writes += l.writes
			report.Relist = append(report.Relist, l.audit...)
			report.Drift.AddAll(l.drift)
			report.Fields.AddAll(l.fields)
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
			case l.result.Err != nil:
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
