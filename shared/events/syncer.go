// Package events writes tasks' events: the only package that does. A pass over a task
// runs under the task's lease, from an ERP read made after the lease was acquired;
// every write is announced before it is made and confirmed after it (rules 1.2, 2.1).
// It must never write an event outside its task's lease, touch an event without the
// product's mark, or delete for what was not read.
package events

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/polled"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// MaxLeases is how many task leases one order holds at a time (rule 1.2).
	MaxLeases = 12
	// atOnce is how many of the held tasks are worked on at the same time.
	atOnce = 4
)

// Batch gives how many of n tasks are to be held first, so that the batches of at most so
// many are as few and as even as can be: each is a call to the ERP.
func Batch(n, most int) int {
	batches := max(1, (n+most-1)/most)
	return (n + batches - 1) / batches
}

// Store is what the syncer needs of the state.
type Store interface {
	// AcquireTask gives the task's lease, or marks the task dirty for its holder.
	AcquireTask(ctx context.Context, id int64, c store.Claim) (store.TaskLease, store.Outcome, error)
	// IntendTask announces writes, and gives the employees whose calendar may not be
	// written any more: nothing is announced for those.
	IntendTask(ctx context.Context, l *store.TaskLease, intents []store.Intent) (rejected []int64, err error)
	// SettleTask records a pass and releases the task unless it became dirty.
	SettleTask(ctx context.Context, l *store.TaskLease, o store.TaskOutcome) (released bool, err error)
	// NoteUnreadable notes that a mark did not come back from Google, NoteReadable that
	// marks do.
	NoteUnreadable(ctx context.Context, u store.UnreadableMark) error
	NoteReadable(ctx context.Context, u store.UnreadableMark) error
	Records
	pass.Guard
	pass.Marker
	pass.WritesStore
}

// ERP reads tasks.
type ERP interface {
	TasksWith(ctx context.Context, ids []calendarsync.TaskID, extras calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
}

// Google writes events.
type Google interface {
	InsertEvent(ctx context.Context, calendarID string, d googlecalendar.Draft) (googlecalendar.Event, error)
	UpdateEvent(ctx context.Context, calendarID string, d googlecalendar.Draft) (googlecalendar.Event, error)
	DeleteEvent(ctx context.Context, calendarID, eventID, etag string) error
	Event(ctx context.Context, calendarID, eventID string) (googlecalendar.Event, error)
	Events(ctx context.Context, calendarID string) (googlecalendar.Calendar, []googlecalendar.Event, error)
}

// Slots reserves, while a write is announced, the slot of its call.
type Slots interface {
	// Reserve gives a context whose first write to the calendar has a slot on its way.
	Reserve(ctx context.Context, calendarID string) context.Context
}

// Rules gives the settings and rules in force.
type Rules interface {
	pass.Settings
	// Knowing gives rules whose catalogue was read again if it lacked a state.
	Knowing(ctx context.Context, states []calendarsync.StateID) (*calendarsync.Rules, error)
}

// Tenant gives the installation's mark; "" before there is one.
type Tenant interface {
	Installation(ctx context.Context) (store.InstallationRecord, error)
}

// Waits are how long a lease lasts, and how far apart the two readings are that let
// an absent event go (rule 4.2).
type Waits struct {
	Lease   time.Duration
	Absence time.Duration
}

// Deps are what a Syncer works with.
type Deps struct {
	Store  Store
	ERP    ERP
	Google Google
	// Polled says which tasks Poll has listed, and misses by itself; nil for none.
	Polled *polled.Lists
	// Slots reserves the slots of writes; nil for none.
	Slots   Slots
	Rules   Rules
	Account pass.Account
	Tenant  Tenant
	// Incidents says when nothing is asked of Google but by a probe (rule 7.7); nil for never.
	Incidents *incidents.Watch
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
	// tenant is the installation's as it was read last; nil before there was one.
	tenant atomic.Pointer[string]
	// witnesses are events whose marks this process has seen (rule 3.14).
	witnesses witnesses
}

// New makes a Syncer.
func New(waits Waits, deps Deps) *Syncer {
	return &Syncer{Deps: deps, waits: waits, pause: pass.NewWritesPause(deps.Store, deps.Account, deps.Now, deps.Log)}
}

// Order says which tasks to make right and why.
type Order struct {
	Tasks   []calendarsync.TaskID
	Message string // id of the message served; empty for none
	Cause   queue.Cause
	Deleted bool // a signed notification vouches for an absence
	// Listed is a calendar just listed completely, nil without one.
	Listed *Listing
	// Nearly, if set, is called once, when so few of the tasks remain that others may be
	// begun beside them, and in any case before Sync returns.
	Nearly func()

	remaining *remaining
}

// readAt is when all was read for which the order asks for passes. What only the list of
// the calendar told is looked at again by whoever gives the order (Report.Busy).
func (o Order) readAt() time.Time {
	if o.Listed == nil || o.Deleted {
		return time.Time{}
	}
	return o.Listed.ReadAt
}

// remaining counts the tasks of an order that are not done yet.
type remaining struct {
	n      atomic.Int64
	nearly func()
}

func (r *remaining) done(tasks int) {
	if r != nil && r.n.Add(-int64(tasks)) <= atOnce {
		r.nearly()
	}
}

// Listing is what a complete list of one employee's calendar showed.
type Listing struct {
	Employee calendarsync.EmployeeID
	Epoch    string
	// Events are the product's own events by task, the highest generation first.
	Events map[calendarsync.TaskID][]googlecalendar.Event
	// Began is when the list was begun, and ReadAt when the ERP had been read to compare
	// with it, both by the database's clock, or a little later; zero is not known.
	Began, ReadAt time.Time
}

// olderThan reports whether the list was begun before the latest write to a mapped event
// was announced, so that it cannot tell how that left the event.
func (l *Listing) olderThan(m store.Mapping) bool {
	return !l.Began.IsZero() && m.AnnouncedAt.After(l.Began)
}

// Report is what came of an order.
type Report struct {
	// Redelivered tasks are held by a live lease acquired for this very message.
	Redelivered []calendarsync.TaskID
	// Writes counts the calls that changed something at Google.
	Writes int
	// Failed counts the tasks whose failure was recorded.
	Failed int
	// Unlisted counts the tasks for which the order's listing was not made use of:
	// held by another, parked or not readable.
	Unlisted int
	// Unread is why the first of the unlisted was not looked at that failed; nil for none.
	Unread error
	// Busy are those of the unlisted that another held: they may soon be free.
	Busy []calendarsync.TaskID
	// Relist are the employees whose calendar must be listed before anything can
	// be inserted (rule 3.4).
	Relist []int64
	// ParkedUntil is when Google may want writes again, where it paused them.
	ParkedUntil time.Time
	// Drift counts by kind what the listing showed otherwise than it had been left,
	// and Fields the fields of events that somebody had changed (rule 8.4).
	Drift, Fields pass.Tally
}

func (r *Report) add(o Report) {
	r.Redelivered = append(r.Redelivered, o.Redelivered...)
	r.Writes += o.Writes
	r.Failed += o.Failed
	r.Unlisted += o.Unlisted
	r.Unread = cmp.Or(r.Unread, o.Unread)
	r.Busy = append(r.Busy, o.Busy...)
	r.Relist = append(r.Relist, o.Relist...)
	r.Drift.AddAll(o.Drift)
	r.Fields.AddAll(o.Fields)
}

// Sync passes over the tasks until each is right, recorded as failed, or left to
// another holder. An error means that something could not even be recorded: the
// message must be nacked.
func (s *Syncer) Sync(ctx context.Context, o Order) (Report, error) {
	var report Report
	ids := slices.Compact(slices.Sorted(slices.Values(o.Tasks)))
	if o.Nearly != nil {
		o.remaining = &remaining{nearly: sync.OnceFunc(o.Nearly)}
		o.remaining.n.Store(int64(len(ids)))
		defer o.remaining.nearly()
	}
	for n := 0; n < len(ids); {
		// Before each batch, since the one before may have met Google's refusal.
		stop, most, err := s.stopped(ctx)
		if err != nil {
			return report, err
		}
		if stop.Err != nil {
			report.Unlisted += len(ids) - n
			report.ParkedUntil = stop.Until
			return report, pass.Park(ctx, s.Store, s.Log, store.TaskKey, ids[n:], stop)
		}
		batch := ids[n : n+Batch(len(ids)-n, most)]
		n += len(batch)
		part, err := s.syncBatch(ctx, o, batch)
		report.add(part)
		if err != nil {
			return report, err
		}
	}
	report.Relist = slices.Compact(slices.Sorted(slices.Values(report.Relist)))
	return report, nil
}

// stopped finds out why nothing may be written now, and how many tasks may be passed
// over at a time otherwise: one where it probes whether an incident lasts.
func (s *Syncer) stopped(ctx context.Context) (stop pass.Stop, most int, err error) {
	stop, err = pass.Stopped(ctx, "look at tasks", s.Rules, s.Account, s.pause)
	if err != nil || stop.Err != nil {
		return stop, 0, err
	}
	v := s.Incidents.Stop(ctx)
	if v.Probing {
		return pass.Stop{}, 1, nil
	}
	return pass.Stop{Err: v.KeptBack, Until: v.Until}, MaxLeases, nil
}

// syncBatch acquires the leases of up to MaxLeases tasks and passes over them until
// none is held any more (rule 1.3).
func (s *Syncer) syncBatch(ctx context.Context, o Order, ids []calendarsync.TaskID) (Report, error) {
	held, report, failed := s.acquire(ctx, o, ids)
	if len(held) == 0 {
		return report, failed
	}
	// The leases were all acquired after one moment of this instance's clock.
	calls, cancel := held[0].term.Calls(ctx, s.Now())
	defer cancel()
	var err error
	for len(held) > 0 && err == nil {
		held, err = s.passOver(ctx, calls, held, &report)
	}
	return report, errors.Join(failed, err)
}

// acquire acquires the leases of tasks. What could be acquired is done even if some
// failed; the message comes again for the rest.
func (s *Syncer) acquire(ctx context.Context, o Order, ids []calendarsync.TaskID) (held []*taskPass, report Report, err error) {
	var mu sync.Mutex
	began := s.Now()
	err = pass.Each(ids, atOnce, func(_ int, id calendarsync.TaskID) error {
		t, outcome, err := s.acquireOne(ctx, o, id, began)
		if err != nil {
			return err
		}
		if outcome != store.Acquired {
			o.remaining.done(1)
		}
		mu.Lock()
		defer mu.Unlock()
		switch outcome {
		case store.Acquired:
			held = append(held, t)
		case store.Redelivered:
			report.Redelivered = append(report.Redelivered, id)
		case store.Busy:
			report.Unlisted++
			report.Busy = append(report.Busy, id)
			s.Log.InfoContext(ctx, "task left to its holder", "task", id)
		}
		return nil
	})
	return held, report, err
}

// acquireOne acquires one task's lease; began is the instance's clock before it.
func (s *Syncer) acquireOne(ctx context.Context, o Order, id calendarsync.TaskID, began time.Time) (*taskPass, store.Outcome, error) {
	lease, outcome, err := s.Store.AcquireTask(ctx, int64(id), store.Claim{
		Message: o.Message, TTL: s.waits.Lease, Deleted: o.Deleted, Token: s.NewID(), ReadAt: o.readAt(),
	})
	return &taskPass{s: s, order: o, id: id, lease: lease, term: pass.Term{Began: began, Until: lease.Until, Length: s.waits.Lease}}, outcome, err
}

// basis is what the tasks of a batch are judged by.
type basis struct {
	readings map[calendarsync.TaskID]calendarsync.TaskReading
	// at is when the ERP had answered, by the instance's clock.
	at     time.Time
	rules  *calendarsync.Rules
	tenant string
	// unreadable is an event's mark that Google did not give back; nil for none. Neither it nor the
	// tenant was read unless read says so: then the tenant is proven (provenTenant).
	unreadable *store.UnreadableMark
	read       bool
	// employees are the records of those whom the tasks concerned before, read beside the
	// ERP. One that changes before a write is announced is noticed then (rule 1.6).
	employees map[int64]*store.EmployeeRecord
}

// read reads the held tasks in one call, beside it the employees whom they concern, and
// what they are judged by.
func (s *Syncer) read(ctx context.Context, held []*taskPass) (basis, error) {
	in := store.InstallationRecord{Tenant: s.provenTenant(held)}
	unproven := in.Tenant == ""
	var employees map[int64]*store.EmployeeRecord
	var beside errgroup.Group
	beside.Go(func() error { employees = s.concerned(ctx, held); return nil })
	if unproven {
		beside.Go(func() (err error) { in, err = s.installation(ctx); return err })
	}
	b, err := s.readERP(ctx, held)
	err = cmp.Or(err, beside.Wait())
	b.employees, b.tenant, b.unreadable, b.read = employees, in.Tenant, in.UnreadableEvent, unproven
	return b, err
}

// installation reads the installation, and remembers its tenant.
func (s *Syncer) installation(ctx context.Context) (store.InstallationRecord, error) {
	in, err := s.Tenant.Installation(ctx)
	if err == nil && in.Tenant != "" {
		s.tenant.Store(&in.Tenant)
	}
	return in, err
}

// provenTenant gives the tenant without reading it, where the held tasks have nothing but
// live events whose ids are hashes of the one that is remembered: it made them, and an
// installation keeps its tenant (rule 3.1). What else the installation tells, that a mark
// did not come back, concerns what is inserted (rule 3.14), for which it is read all the
// same. "" where it has to be read (rule 1.9).
func (s *Syncer) provenTenant(held []*taskPass) string {
	tenant := s.tenant.Load()
	if tenant == nil {
		return ""
	}
	for _, t := range held {
		rec := &t.lease.Record
		if t.order.Listed != nil || len(rec.Mappings) == 0 {
			return ""
		}
		for _, id := range rec.Mapped() {
			m, _ := rec.Mapping(id)
			if m.State != store.MappingLive || m.EventID != calendarsync.EventID(*tenant, t.id, calendarsync.EmployeeID(id), m.Generation) {
				return ""
			}
		}
	}
	return *tenant
}

// readERP reads the held tasks, with rules that know their states and whose templates
// show nothing that was not read.
func (s *Syncer) readERP(ctx context.Context, held []*taskPass) (b basis, err error) {
	ids := make([]calendarsync.TaskID, len(held))
	for i, t := range held {
		ids[i] = t.id
	}
	if b.rules, err = s.Rules.Knowing(ctx, nil); err != nil {
		return b, err
	}
	for range 2 {
		extras := b.rules.Texts.Extras
		b.readings, err = s.ERP.TasksWith(ctx, ids, extras)
		b.at = s.Now()
		if err != nil {
			return b, err
		}
		var states []calendarsync.StateID
		for _, r := range b.readings {
			if r.Task != nil {
				if id, said := r.Task.State.Get(); said {
					states = append(states, id)
				}
			}
		}
		if b.rules, err = s.Rules.Knowing(ctx, states); err != nil {
			return b, err
		}
		if extras.Cover(b.rules.Texts.Extras) {
			break
		}
		// A template saved meanwhile shows what was not read.
	}
	return b, nil
}

// concerned reads the employees whom the held tasks concern as far as is remembered.
// Whoever cannot be read is read again where they are needed.
func (s *Syncer) concerned(ctx context.Context, held []*taskPass) map[int64]*store.EmployeeRecord {
	var ids []int64
	for _, t := range held {
		ids = append(append(ids, t.lease.Record.Mapped()...), t.lease.Record.Employees...)
		if t.order.Listed != nil {
			ids = append(ids, int64(t.order.Listed.Employee))
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	read := make([]*store.EmployeeRecord, len(ids))
	_ = pass.Each(ids, MaxLeases, func(i int, id int64) error {
		if rec, found, err := s.Store.Employee(ctx, id); err == nil && found {
			read[i] = &rec
		}
		return nil
	})
	out := map[int64]*store.EmployeeRecord{}
	for i, id := range ids {
		if read[i] != nil {
			out[id] = read[i]
		}
	}
	return out
}

// passOver makes one pass over each of the held tasks and gives those that became
// dirty meanwhile. ctx is for recording, calls ends before the leases do.
func (s *Syncer) passOver(ctx, calls context.Context, held []*taskPass, report *Report) (remaining []*taskPass, err error) {
	basis, failed := s.read(calls, held)
	var mu sync.Mutex
	err = pass.Each(held, atOnce, func(_ int, t *taskPass) error {
		t.begin()
		if failed != nil {
			t.fail(failed)
		} else {
			t.basis = basis
			t.run(calls)
		}
		released, err := t.settle(ctx)
		if released {
			t.order.remaining.done(1)
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			// Somebody else has it, or Poll will find it due.
			s.Log.WarnContext(ctx, "lease lost", "task", t.id)
			t.Unlisted, err = 1, nil
		case !released:
			// It is repeated: how it ended is told by the last pass.
			t.Unlisted, remaining = 0, append(remaining, t)
		case t.result.Err != nil:
			t.Failed = 1
			if t.Unlisted > 0 {
				t.Unread = t.result.Err
			}
		}
		report.add(t.Report)
		return err
	})
	return remaining, err
}
