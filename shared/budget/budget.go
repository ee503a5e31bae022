// Package budget paces all calls to Google's Calendar API on one account's
// budget that every instance of every function shares (section 6 of shared/README.md). It must
// never let a call pass without a slot: where the store does not answer, the
// call fails.
package budget

import (
	"context"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The figures of rules 6.1 and 6.2.
const (
	pace      = 0.97 // of the limit
	storeWait = 2 * time.Second
	// window is the time in which a calendar has slots for two writes, to begin with and
	// after a refusal. What is more than a second leaves room for lateness: of three writes
	// the first may come 100 ms later after its slot than the third, and still no second
	// holds them all. shortest is what it comes down to: five writes a second.
	window   = 1100 * time.Millisecond
	shortest = 400 * time.Millisecond
	// lateWrite and lateSlots are how late a slot may be used, a write's in time and
	// any in slots' lengths. Later, another is taken: slots of others have begun. Five
	// of the 582 slots of a minute leave 12 calls more room below the limit. Whatever
	// the limit, the slots of 61.8 s are fewer than it: with a small one no call may be
	// later than lateCall (found by the simulation).
	lateWrite = 80 * time.Millisecond
	lateSlots = 5
	lateCall  = 1800 * time.Millisecond
	// announcing is how much later a slot may start that is reserved while the write is
	// announced: about as long as that takes beside the reservation itself.
	announcing = 40 * time.Millisecond
	// minPause is how soon a store that had nothing is asked again at the earliest.
	minPause = 10 * time.Millisecond
)

// share is what a lane may reserve at a time.
type share struct {
	batch int           // slots in one request
	ahead time.Duration // how far from now they may start
	// patient: few slots are not worth a request while there is time.
	patient bool
}

func shareOf(lane queue.Lane) share {
	if lane == queue.LaneLive {
		return share{batch: 3, ahead: 5 * time.Second}
	}
	return share{batch: 10, ahead: time.Second, patient: true}
}

// Slots is the shared ledger of slots; store.Store is it.
type Slots interface {
	ReserveSlots(ctx context.Context, r store.SlotRequest) (store.Reservation, error)
	// SlowCalendar lets a calendar be written to at the slowest pace for a day.
	SlowCalendar(ctx context.Context, account, calendar string) error
}

// Pacer hands out slots. It is safe for concurrent use: callers of one process
// and lane reserve together, so that they do not contend for the ledger.
type Pacer struct {
	slots   Slots
	spacing time.Duration
	now     func() time.Time

	mu         sync.Mutex
	allocators map[allocatorKey]*allocator
	clock      clock
}

type allocatorKey struct {
	account string
	lane    queue.Lane
}

// New makes a Pacer for a limit in requests per minute.
func New(slots Slots, perMinute int, now func() time.Time) *Pacer {
	spacing := time.Duration(float64(time.Minute) / (float64(perMinute) * pace))
	return &Pacer{
		slots: slots,
		// As the store counts it, so that what is reckoned here and there agrees.
		spacing:    (spacing + time.Microsecond - 1).Truncate(time.Microsecond),
		now:        now,
		allocators: map[allocatorKey]*allocator{},
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
// not empty) at the calendar's own pace, over all instances. Errors are
// of kind rate-limited where the slot would come after the context's deadline,
// told at once, and else transient: the context ended, or the store was silent
// for two seconds.
func (p *Pacer) Wait(ctx context.Context, account, calendar string) error {
	a := p.allocator(account, LaneOf(ctx))
	for {
		at, err := a.slot(ctx, calendar, 0)
		if err != nil {
			return err
		}
		if used, err := p.use(ctx, calendar, at); used || err != nil {
			return err
		}
	}
}

// use waits for a slot, and reports whether it is not too late for it.
func (p *Pacer) use(ctx context.Context, calendar string, at time.Time) (used bool, err error) {
	late := min(lateSlots*p.spacing, lateCall)
	if calendar != "" {
		late = min(late, lateWrite)
	}
	if err := p.sleepUntil(ctx, at); err != nil {
		return false, err
	}
	return !p.now().After(at.Add(late)), nil
}

// Reserve begins to reserve a live call's slot and gives what waits for it, as Wait
// does: somebody is waiting for the call, and meanwhile it can be announced. A slot that
// nobody comes for lapses, and one that is missed is replaced. nil for the bulk lane,
// which uses all that there is and has nothing to lapse.
func (p *Pacer) Reserve(ctx context.Context, account, calendar string) (wait func(ctx context.Context) error) {
	if LaneOf(ctx) != queue.LaneLive {
		return nil
	}
	type answer struct {
		at  time.Time
		err error
	}
	came := make(chan answer, 1)
	go func() {
		at, err := p.allocator(account, queue.LaneLive).slot(ctx, calendar, announcing)
		came <- answer{at, err}
	}()
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return failure.Wrap(failure.Transient, waiting, ctx.Err())
		case got := <-came:
			if got.err != nil {
				return got.err
			}
			if used, err := p.use(ctx, calendar, got.at); used || err != nil {
				return err
			}
			return p.Wait(ctx, account, calendar)
		}
	}
}

// Refused notes that Google refused a write to a calendar for its limits: from now on
// it is written to at the slowest pace (rule 6.4). Whether the calendar or the account
// was meant, Google does not tell. Where the store does not answer, the next refusal
// says it again.
func (p *Pacer) Refused(ctx context.Context, account, calendar string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	return p.slots.SlowCalendar(ctx, account, calendar)
}

func (p *Pacer) allocator(account string, lane queue.Lane) *allocator {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lane != queue.LaneLive {
		lane = queue.LaneBulk
	}
	key := allocatorKey{account, lane}
	a := p.allocators[key]
	if a == nil {
		a = &allocator{p: p, account: account, share: shareOf(lane), wake: make(chan struct{}, 1), calendars: map[string]nextWrite{}}
		p.allocators[key] = a
	}
	return a
}

func (p *Pacer) sleepUntil(ctx context.Context, at time.Time) error {
	d := at.Sub(p.now())
	if d <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return tooLate()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return failure.Wrap(failure.Transient, waiting, ctx.Err())
	case <-t.C:
		return nil
	}
}

const (
	waiting   = "wait for a slot of Google's budget"
	reserving = "reserve a slot of Google's budget"
)

func tooLate() error {
	return failure.New(failure.RateLimited, waiting, "there is none before this pass's deadline")
}
