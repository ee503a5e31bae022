// Package budget paces all calls to Google's Calendar API on one account's
// budget that every instance of every function shares (protocol.md §6). It must
// never let a call pass without a slot: where the store does not answer, the
// call is refused.
package budget

import (
	"context"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// The figures of protocol.md §6.
const (
	pace      = 0.97 // of the limit
	liveAhead = 5 * time.Second
	bulkAhead = time.Second
	liveTake  = 1
	bulkTake  = 10
	storeWait = 2 * time.Second
)

// Slots is the shared book of slots; store.Store is it.
type Slots interface {
	ReserveSlots(ctx context.Context, account string, k int, spacing, ahead time.Duration) (got int, wait time.Duration, err error)
}

// Pacer hands out slots of one account. It is safe for concurrent use.
type Pacer struct {
	slots   Slots
	spacing time.Duration
	now     func() time.Time

	mu    sync.Mutex
	stash []time.Time // bulk slots reserved and not used yet
	// writes are the moments of the last two writes to each calendar, the later last.
	writes map[string][2]time.Time
}

// New makes a Pacer for a limit in requests per minute.
func New(slots Slots, perMinute int, now func() time.Time) *Pacer {
	return &Pacer{
		slots:   slots,
		spacing: time.Duration(float64(time.Minute) / (float64(perMinute) * pace)),
		now:     now,
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
	for {
		if at, ok := p.stashed(ctx); ok {
			return p.sleepUntil(ctx, at)
		}
		at, got, err := p.reserve(ctx, account)
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

// stashed takes a bulk slot reserved before; those whose time has passed lapse.
func (p *Pacer) stashed(ctx context.Context) (time.Time, bool) {
	if LaneOf(ctx) != queue.LaneBulk {
		return time.Time{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for len(p.stash) > 0 {
		at := p.stash[0]
		p.stash = p.stash[1:]
		if !now.After(at.Add(p.spacing)) {
			return at, true
		}
	}
	return time.Time{}, false
}

// reserve books slots. Without one, got is false and at says when to ask again.
func (p *Pacer) reserve(ctx context.Context, account string) (at time.Time, got bool, err error) {
	take, ahead := bulkTake, bulkAhead
	if LaneOf(ctx) == queue.LaneLive {
		take, ahead = liveTake, liveAhead
	}
	asking, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	n, wait, err := p.slots.ReserveSlots(asking, account, take, p.spacing, ahead)
	if err != nil {
		return time.Time{}, false, failure.Wrap(failure.Transient, "reserve a slot of Google's budget", err)
	}
	now := p.now()
	if n == 0 {
		return now.Add(max(wait-ahead, p.spacing)), false, nil
	}
	first := now.Add(wait)
	if n > 1 {
		p.mu.Lock()
		for i := 1; i < n; i++ {
			p.stash = append(p.stash, first.Add(time.Duration(i)*p.spacing))
		}
		p.mu.Unlock()
	}
	return first, true, nil
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
