// Package budget paces all calls to Google's Calendar API on one account's
// budget that every instance of every function shares (protocol.md §6). It must
// never let a call pass without a slot: where the store does not answer, the
// call is refused.
package budget

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// The figures of protocol.md §6.
const (
	pace      = 0.97 // of the limit
	storeWait = 2 * time.Second
	// minPause is how soon a store that had nothing is asked again at the earliest.
	minPause = 10 * time.Millisecond
)

// share is what a lane may take of the book at a time.
type share struct {
	take  int           // slots in one reservation
	ahead time.Duration // how far from now they may start
}

func shareOf(lane queue.Lane) share {
	if lane == queue.LaneLive {
		return share{3, 5 * time.Second}
	}
	return share{10, time.Second}
}

// Slots is the shared book of slots; store.Store is it.
type Slots interface {
	ReserveSlots(ctx context.Context, account string, k int, spacing, ahead time.Duration) (got int, wait time.Duration, err error)
}

// Pacer hands out slots of one account. It is safe for concurrent use: callers of
// one process reserve together, so that they do not contend for the shared book.
type Pacer struct {
	slots   Slots
	spacing time.Duration
	now     func() time.Time

	live, bulk desk

	mu     sync.Mutex
	writes map[string]*gate
}

// desk is where the callers of one lane queue for slots.
type desk struct {
	waiting atomic.Int32
	// turn is held by the one who reserves; it guards the rest.
	turn  chan struct{}
	stash []time.Time // reserved for those who wait
	// full is until when the book is known to hold nothing for this lane: without
	// it everybody who waits would ask the store again for every single slot.
	full time.Time
	// silent is when the store last failed to answer in time.
	silent time.Time
}

// gate lets the writers to one calendar through, one at a time, until each has
// its slot: the rule is about when calls are made, not about when they were asked
// for, and between the two lies the wait for the slot.
type gate struct {
	users int // inside or before the gate; guarded by Pacer.mu
	turn  chan struct{}
	// last are the moments of the last two writes, the later last; guarded by turn.
	last [2]time.Time
}

// New makes a Pacer for a limit in requests per minute.
func New(slots Slots, perMinute int, now func() time.Time) *Pacer {
	return &Pacer{
		slots:   slots,
		spacing: time.Duration(float64(time.Minute) / (float64(perMinute) * pace)),
		now:     now,
		live:    desk{turn: make(chan struct{}, 1)},
		bulk:    desk{turn: make(chan struct{}, 1)},
		writes:  map[string]*gate{},
	}
}

type laneKey struct{}

// WithLane says which lane the calls made with the context belong to.
func WithLane(ctx context.Context, lane queue.Lane) context.Context {
	return context.WithValue(ctx, laneKey{}, lane)
}

// LaneOf gives the lane of a context; bulk where none was said, so that nothing
// takes the live lane by forgetting.
func LaneOf(ctx context.Context) queue.Lane {
	if lane, ok := ctx.Value(laneKey{}).(queue.Lane); ok {
		return lane
	}
	return queue.LaneBulk
}

// Wait returns when a call may be made: at its slot, and for a write (calendar
// not empty) at most twice a second per calendar. Errors are of kind rate-limited
// where the slot would come after the context's deadline, told at once, and else
// transient: the context ended, or the store was silent for two seconds.
func (p *Pacer) Wait(ctx context.Context, account, calendar string) error {
	find := p.slot
	if calendar != "" {
		find = func(ctx context.Context, account string) (time.Time, error) {
			return p.writeSlot(ctx, account, calendar)
		}
	}
	at, err := find(ctx, account)
	if err != nil {
		return err
	}
	return p.sleepUntil(ctx, at)
}

// slot gives the start of a slot that is now the caller's.
func (p *Pacer) slot(ctx context.Context, account string) (time.Time, error) {
	d, s := &p.bulk, shareOf(LaneOf(ctx))
	if LaneOf(ctx) == queue.LaneLive {
		d = &p.live
	}
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	for came := p.now(); ; {
		at, got, err := p.ask(ctx, d, s, account, came)
		if err != nil || got {
			return at, err
		}
		if err := p.sleepUntil(ctx, at); err != nil {
			return time.Time{}, err
		}
	}
}

// ask takes a slot reserved by another caller of the process, or reserves for
// all who wait. Without one, got is false and at says when to ask again.
func (p *Pacer) ask(ctx context.Context, d *desk, s share, account string, came time.Time) (at time.Time, got bool, err error) {
	const op = "reserve a slot of Google's budget"
	select {
	case <-ctx.Done():
		return time.Time{}, false, failure.Wrap(failure.Transient, "wait for a slot of Google's budget", ctx.Err())
	case d.turn <- struct{}{}:
	}
	defer func() { <-d.turn }()
	now := p.now()
	for len(d.stash) > 0 {
		at, d.stash = d.stash[0], d.stash[1:]
		// A slot whose time has passed lapses: others may be using the time since.
		if !now.After(at.Add(p.spacing)) {
			return at, true, nil
		}
	}
	switch {
	case d.silent.After(came):
		// Two seconds in all, not for each of those who wait (protocol.md §6.4).
		return time.Time{}, false, failure.New(failure.Transient, op, "the store did not answer")
	case now.Before(d.full):
		return d.full, false, nil
	}
	asking, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	waiting := int(d.waiting.Load())
	n, wait, err := p.slots.ReserveSlots(asking, account, min(waiting, s.take), p.spacing, s.ahead)
	now = p.now()
	if err != nil {
		if asking.Err() != nil && ctx.Err() == nil {
			d.silent = now
		}
		return time.Time{}, false, failure.Wrap(failure.Transient, op, err)
	}
	at = now.Add(wait)
	// The next reservation is worth its transaction when it gives slots to several
	// of those left over, as long as the book keeps half of ahead: at no moment may
	// it run empty while somebody waits.
	several := min(waiting-n, s.take, 1+int(s.ahead/2/p.spacing))
	d.full = at.Add(time.Duration(n+max(several, 1)-1)*p.spacing - s.ahead)
	if n == 0 {
		if soonest := now.Add(minPause); d.full.Before(soonest) {
			d.full = soonest
		}
		return d.full, false, nil
	}
	for i := 1; i < n; i++ {
		d.stash = append(d.stash, at.Add(time.Duration(i)*p.spacing))
	}
	return at, true, nil
}

// writeSlot gives the start of a slot at which the calendar may be written to:
// never more than two writes within a second.
func (p *Pacer) writeSlot(ctx context.Context, account, calendar string) (time.Time, error) {
	const op = "wait for the turn to write to a calendar"
	g, before := p.enter(calendar)
	defer p.leave(g)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Duration(before/2)*time.Second {
		return time.Time{}, failure.New(failure.RateLimited, op, "there is none before this look's deadline")
	}
	select {
	case <-ctx.Done():
		return time.Time{}, failure.Wrap(failure.Transient, op, ctx.Err())
	case g.turn <- struct{}{}:
	}
	defer func() { <-g.turn }()
	if err := p.sleepUntil(ctx, g.last[0].Add(time.Second)); err != nil {
		return time.Time{}, err
	}
	at, err := p.slot(ctx, account)
	if err != nil {
		return time.Time{}, err
	}
	if now := p.now(); at.Before(now) {
		at = now
	}
	// A slot may lie before that of the write before; the later one stays last.
	g.last[0] = at
	if g.last[1].Before(at) {
		g.last[0], g.last[1] = g.last[1], at
	}
	return at, nil
}

func (p *Pacer) enter(calendar string) (g *gate, before int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g = p.writes[calendar]
	if g == nil {
		g = &gate{turn: make(chan struct{}, 1)}
		p.writes[calendar] = g
	}
	g.users++
	return g, g.users - 1
}

func (p *Pacer) leave(g *gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g.users--
	if len(p.writes) <= 10_000 {
		return
	}
	now := p.now()
	for c, g := range p.writes {
		if g.users == 0 && g.last[1].Add(time.Second).Before(now) {
			delete(p.writes, c)
		}
	}
}

func (p *Pacer) sleepUntil(ctx context.Context, at time.Time) error {
	d := at.Sub(p.now())
	if d <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return failure.New(failure.RateLimited, "wait for a slot of Google's budget", "there is none before this look's deadline")
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return failure.Wrap(failure.Transient, "wait for a slot of Google's budget", ctx.Err())
	case <-t.C:
		return nil
	}
}
