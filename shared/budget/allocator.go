package budget

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// allocator reserves slots for the callers of one account and lane. While somebody
// waits, one goroutine reserves for all of them, in the order in which they came,
// except that a calendar that may not be written to yet holds up nobody else.
type allocator struct {
	p       *Pacer
	account string
	share   share
	// wake tells the one who reserves that somebody came or all have gone.
	wake chan struct{}

	mu      sync.Mutex
	serving bool
	waiting []*reservation
	// ready is until when the ledger is known to have nothing worth a transaction for
	// this lane; free is before when it is known to have no free slot.
	ready, free time.Time
	calendars   map[string]nextWrite // pruned when past
	misses      int                  // requests in a row that gave nothing
	lost        int                  // and those that failed because of others
}

// nextWrite is what is known of a calendar's next write.
type nextWrite struct {
	earliest time.Time
	ask      time.Time // not worth asking before
	// window is the time in which it takes two; zero is not known.
	window time.Duration
}

// reservation is that of one caller who waits.
type reservation struct {
	calendar string
	lead     time.Duration // how long from now the slot may start at the earliest
	deadline time.Time     // zero for none
	// done is closed when the slot's start or an error is there.
	done chan struct{}
	at   time.Time
	err  error
}

// slot gives the start of a slot that is now the caller's.
func (a *allocator) slot(ctx context.Context, calendar string, lead time.Duration) (time.Time, error) {
	t := &reservation{calendar: calendar, lead: lead, done: make(chan struct{})}
	if err := a.join(ctx, t); err != nil {
		return time.Time{}, err
	}
	select {
	case <-t.done:
		return t.at, t.err
	case <-ctx.Done():
		a.leave(t)
		return time.Time{}, failure.Wrap(failure.Transient, waiting, ctx.Err())
	}
}

func (a *allocator) join(ctx context.Context, t *reservation) error {
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, waiting, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		t.deadline = a.p.now().Add(time.Until(deadline))
	}
	if a.hopeless(t) {
		return tooLate()
	}
	a.waiting = append(a.waiting, t)
	if !a.serving {
		a.serving = true
		// It reserves for others too, who do not end with this one's context.
		go a.serve(context.WithoutCancel(ctx))
	}
	a.nudge()
	return nil
}

// hopeless reports whether a reservation's deadline comes before any slot that it
// could still get.
func (a *allocator) hopeless(t *reservation) bool {
	if t.deadline.IsZero() {
		return false
	}
	soonest := a.free
	if t.calendar != "" {
		from := a.p.now()
		if next := a.calendars[t.calendar].earliest; next.After(from) {
			from = next
		}
		before := 0
		for _, o := range a.waiting {
			if o == t {
				break
			}
			if o.calendar == t.calendar {
				before++
			}
		}
		// As if it became as fast as may be: only what cannot be is hopeless.
		from = from.Add(time.Duration(before/2) * shortest)
		if from.After(soonest) {
			soonest = from
		}
	}
	return t.deadline.Before(soonest)
}

func (a *allocator) leave(t *reservation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(t)
	a.nudge()
}

func (a *allocator) remove(t *reservation) {
	a.waiting = slices.DeleteFunc(a.waiting, func(o *reservation) bool { return o == t })
}

func (a *allocator) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// serve reserves until nobody waits.
func (a *allocator) serve(ctx context.Context) {
	for {
		batch, pause, more := a.next()
		switch {
		case !more:
			return
		case len(batch) > 0:
			a.reserve(ctx, batch)
		default:
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-a.wake:
			}
			t.Stop()
		}
	}
}

// next gives those for whom to ask now, or how long there is nothing to ask for.
func (a *allocator) next() (batch []*reservation, pause time.Duration, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.serving = false
		return nil, 0, false
	}
	now := a.p.now()
	if a.ready.After(now) {
		return nil, a.ready.Sub(now), true
	}
	// More writes to one calendar than fit in what the lane may look ahead would
	// only take the place of others in the request.
	most := func(w nextWrite) int { return 2 + 2*int(a.share.ahead/cmp.Or(w.window, window)) }
	asked := map[string]int{}
	soonest := now.Add(time.Minute)
	for _, t := range a.waiting {
		if len(batch) == a.share.batch {
			break
		}
		if t.calendar != "" {
			known := a.calendars[t.calendar]
			if known.ask.After(now) {
				if known.ask.Before(soonest) {
					soonest = known.ask
				}
				continue
			}
			if asked[t.calendar] == most(known) {
				continue
			}
			asked[t.calendar]++
		}
		batch = append(batch, t)
	}
	return batch, soonest.Sub(now), true
}

// reserve asks the ledger for slots and assigns them.
func (a *allocator) reserve(ctx context.Context, batch []*reservation) {
	r := store.SlotRequest{Account: a.account, Spacing: a.p.spacing, Window: window, Shortest: shortest, Ahead: a.share.ahead}
	for _, t := range batch {
		r.Calls = append(r.Calls, t.calendar)
		r.Leads = append(r.Leads, t.lead)
	}
	if a.share.patient {
		// Half of what was hoped for: others may have been quicker.
		r.Least = (min(len(batch), a.worthwhile()) + 1) / 2
	}
	asking, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	type answer struct {
		res store.Reservation
		err error
	}
	came := make(chan answer, 1)
	asked := a.p.now()
	// A store that does not even heed the context must not hold up anybody either.
	go func() {
		res, err := a.p.slots.ReserveSlots(asking, r)
		came <- answer{res, err}
	}()
	var got answer
	select {
	case got = <-came:
	case <-asking.Done():
		select {
		case got = <-came: // it says more
		case <-time.After(minPause):
			got.err = asking.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case got.err == nil:
		a.lost = 0
		a.assign(batch, got.res, asked)
	case errors.Is(got.err, store.ErrContention) && a.lost < mostLost:
		// The store answers; others were quicker.
		a.lost++
		a.miss(a.p.now())
	case asking.Err() != nil:
		// Two seconds in all, not for each of those who wait (rule 6.4).
		a.fail(slices.Clone(a.waiting), failure.Wrap(failure.Transient, reserving, got.err))
	default:
		a.fail(batch, failure.Wrap(failure.Transient, reserving, got.err))
	}
}

// mostLost is how many requests in a row may be lost to others before those they
// were for fail.
const mostLost = 3

// miss puts off the next request after one that gave nothing. Other processes
// are quicker: each that asks less often leaves them and the document more room,
// and the ledger is kept full by them. At random, so that all do not come back at
// one moment.
func (a *allocator) miss(now time.Time) {
	pause := min(minPause<<min(a.misses, 10), a.share.ahead/4)
	a.misses++
	soonest := now.Add(pause/2 + rand.N(pause)) //nolint:gosec // no secret
	if a.ready.Before(soonest) {
		a.ready = soonest
	}
}

// worthwhile is how many slots are worth waiting for, while the ledger has half of
// what the lane may look ahead reserved.
func (a *allocator) worthwhile() int {
	return min(a.share.batch, 1+int(a.share.ahead/2/a.p.spacing))
}

func (a *allocator) fail(reservations []*reservation, err error) {
	for _, t := range reservations {
		a.finish(t, time.Time{}, err)
	}
}

// finish ends a reservation, unless its caller has gone.
func (a *allocator) finish(t *reservation, at time.Time, err error) {
	if !slices.Contains(a.waiting, t) {
		return
	}
	a.remove(t)
	t.at, t.err = at, err
	close(t.done)
}

// assign gives out what was reserved and notes when to ask for those that remain.
func (a *allocator) assign(batch []*reservation, res store.Reservation, asked time.Time) {
	now := a.p.now()
	then := a.p.when(res.At, asked, now)
	a.free = then.Add(res.Free)
	for calendar, w := range a.calendars {
		if !w.earliest.After(now) {
			delete(a.calendars, calendar)
		}
	}
	given := 0
	for i, t := range batch {
		if res.Slots[i].Given {
			given++
			a.finish(t, then.Add(res.Slots[i].In), nil)
		}
		if t.calendar != "" {
			next := then.Add(res.Slots[i].Again)
			// A little later a second write fits as well, and two are worth a transaction
			// more than one.
			a.calendars[t.calendar] = nextWrite{earliest: next, ask: next.Add(-a.share.ahead * 3 / 4), window: res.Slots[i].Window}
		}
	}
	// The next request is worth its transaction when it gives slots to several of
	// those that remain, as long as half of ahead stays reserved: at no moment may
	// the ledger run empty while somebody waits.
	several := max(1, min(len(a.waiting), a.worthwhile()))
	a.ready = a.free.Add(time.Duration(several-1)*a.p.spacing - a.share.ahead)
	if given > 0 {
		a.misses = 0
	} else {
		a.miss(now)
	}
	for _, t := range slices.Clone(a.waiting) {
		if a.hopeless(t) {
			a.finish(t, time.Time{}, tooLate())
		}
	}
}
