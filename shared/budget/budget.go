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

	mu sync.Mutex
	// writes are the moments of the last two writes to each calendar, the later last.
	writes map[string][2]time.Time
}

// desk is where the callers of one lane queue for slots.
type desk struct {
	waiting atomic.Int32
	// turn is held by the one who reserves.
	turn  chan struct{}
	stash []time.Time // reserved for those who wait; guarded by turn
}

// New makes a Pacer for a limit in requests per minute.
func New(slots Slots, perMinute int, now func() time.Time) *Pacer {
	return &Pacer{
		slots:   slots,
		spacing: time.Duration(float64(time.Minute) / (float64(perMinute) * pace)),
		now:     now,
		live:    desk{turn: make(chan struct{}, 1)},
		bulk:    desk{turn: make(chan struct{}, 1)},
		writes:  map[string][2]time.Time{},
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
// not empty) at most twice a second per calendar. Its errors are transient: the
// context ended, or the store was silent for two seconds.
func (p *Pacer) Wait(ctx context.Context, account, calendar string) error {
	if calendar != "" {
		if err := p.sleepUntil(ctx, p.nextWrite(calendar)); err != nil {
			return err
		}
	}
	d, s := &p.bulk, shareOf(LaneOf(ctx))
	if LaneOf(ctx) == queue.LaneLive {
		d = &p.live
	}
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	for {
		at, got, err := p.slot(ctx, d, s, account)
		if err != nil {
			return err
		}
		if err := p.sleepUntil(ctx, at); err != nil {
			return err
		}
		if got {
			return nil
		}
	}
}

// slot takes a slot reserved by another caller of the process, or reserves for
// all who wait. Without one, got is false and at says when to ask again.
func (p *Pacer) slot(ctx context.Context, d *desk, s share, account string) (at time.Time, got bool, err error) {
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
	asking, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	n, wait, err := p.slots.ReserveSlots(asking, account, min(int(d.waiting.Load()), s.take), p.spacing, s.ahead)
	if err != nil {
		return time.Time{}, false, failure.Wrap(failure.Transient, "reserve a slot of Google's budget", err)
	}
	now = p.now()
	if n == 0 {
		return now.Add(max(wait-s.ahead, p.spacing)), false, nil
	}
	at = now.Add(wait)
	for i := 1; i < n; i++ {
		d.stash = append(d.stash, at.Add(time.Duration(i)*p.spacing))
	}
	return at, true, nil
}

// nextWrite books the next moment at which a calendar may be written to: never
// more than two writes within a second.
func (p *Pacer) nextWrite(calendar string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	last := p.writes[calendar]
	at := last[0].Add(time.Second)
	if at.Before(now) {
		at = now
	}
	p.writes[calendar] = [2]time.Time{last[1], at}
	if len(p.writes) > 10_000 {
		for c, t := range p.writes {
			if t[1].Add(time.Second).Before(now) {
				delete(p.writes, c)
			}
		}
	}
	return at
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
