package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// desk is where the callers of one account and lane queue for slots. While
// somebody waits, one goroutine reserves for all of them, in the order in which
// they came, except that a calendar whose turn has not come holds up nobody else.
type desk struct {
	p       *Pacer
	account string
	share   share
	// wake tells the one who reserves that somebody came or all have gone.
	wake chan struct{}

	mu      sync.Mutex
	serving bool
	waiting []*ticket
	// ready is until when the book is known to hold nothing worth a transaction for
	// this lane; free is before when it is known to have no free slot.
	ready, free time.Time
	calendars   map[string]turn // what is known of calendars' turns; pruned when past
	misses      int             // reservations in a row that gave nothing
	lost        int             // and those that failed because of others
}

// turn is what is known of a calendar's next write.
type turn struct {
	next time.Time // not before
	ask  time.Time // not worth asking before
}

// ticket is one caller who waits.
type ticket struct {
	calendar string
	deadline time.Time // zero for none
	// done is closed when the slot's start or an error is there.
	done chan struct{}
	at   time.Time
	err  error
}

// slot gives the start of a slot that is now the caller's.
func (d *desk) slot(ctx context.Context, calendar string) (time.Time, error) {
	t := &ticket{calendar: calendar, done: make(chan struct{})}
	if err := d.join(ctx, t); err != nil {
		return time.Time{}, err
	}
	select {
	case <-t.done:
		return t.at, t.err
	case <-ctx.Done():
		d.leave(t)
		return time.Time{}, failure.Wrap(failure.Transient, waiting, ctx.Err())
	}
}

func (d *desk) join(ctx context.Context, t *ticket) error {
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, waiting, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok {
		t.deadline = d.p.now().Add(time.Until(deadline))
	}
	if d.hopeless(t) {
		return tooLate()
	}
	d.waiting = append(d.waiting, t)
	if !d.serving {
		d.serving = true
		// It reserves for others too, who do not end with this one's context.
		go d.serve(context.WithoutCancel(ctx))
	}
	d.nudge()
	return nil
}

// hopeless reports whether a ticket's deadline comes before any slot that it could
// still get.
func (d *desk) hopeless(t *ticket) bool {
	if t.deadline.IsZero() {
		return false
	}
	soonest := d.free
	if t.calendar != "" {
		from := d.p.now()
		if next := d.calendars[t.calendar].next; next.After(from) {
			from = next
		}
		before := 0
		for _, o := range d.waiting {
			if o == t {
				break
			}
			if o.calendar == t.calendar {
				before++
			}
		}
		from = from.Add(time.Duration(before/2) * window)
		if from.After(soonest) {
			soonest = from
		}
	}
	return t.deadline.Before(soonest)
}

func (d *desk) leave(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(t)
	d.nudge()
}

func (d *desk) remove(t *ticket) {
	d.waiting = slices.DeleteFunc(d.waiting, func(o *ticket) bool { return o == t })
}

func (d *desk) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// serve reserves until nobody waits.
func (d *desk) serve(ctx context.Context) {
	for {
		batch, pause, more := d.next()
		switch {
		case !more:
			return
		case len(batch) > 0:
			d.reserve(ctx, batch)
		default:
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-d.wake:
			}
			t.Stop()
		}
	}
}

// next gives those for whom to ask now, or how long there is nothing to ask for.
func (d *desk) next() (batch []*ticket, pause time.Duration, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting) == 0 {
		d.serving = false
		return nil, 0, false
	}
	now := d.p.now()
	if d.ready.After(now) {
		return nil, d.ready.Sub(now), true
	}
	// More writes to one calendar than fit in what the lane may look ahead would
	// only take the place of others in the request.
	most := 2 + 2*int(d.share.ahead/window)
	asked := map[string]int{}
	soonest := now.Add(time.Minute)
	for _, t := range d.waiting {
		if len(batch) == d.share.take {
			break
		}
		if t.calendar != "" {
			if ask := d.calendars[t.calendar].ask; ask.After(now) {
				if ask.Before(soonest) {
					soonest = ask
				}
				continue
			}
			if asked[t.calendar] == most {
				continue
			}
			asked[t.calendar]++
		}
		batch = append(batch, t)
	}
	return batch, soonest.Sub(now), true
}

// reserve asks the book for slots and hands them out.
func (d *desk) reserve(ctx context.Context, batch []*ticket) {
	r := store.SlotRequest{Account: d.account, Spacing: d.p.spacing, Window: window, Ahead: d.share.ahead}
	for _, t := range batch {
		r.Calls = append(r.Calls, t.calendar)
	}
	if d.share.patient {
		// Half of what was hoped for: others may have been quicker.
		r.Least = (min(len(batch), d.worthwhile()) + 1) / 2
	}
	asking, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	type answer struct {
		res store.Reservation
		err error
	}
	came := make(chan answer, 1)
	// A store that does not even heed the context must not hold up anybody either.
	go func() {
		res, err := d.p.slots.ReserveSlots(asking, r)
		came <- answer{res, err}
	}()
	var a answer
	select {
	case a = <-came:
	case <-asking.Done():
		select {
		case a = <-came: // it says more
		case <-time.After(minPause):
			a.err = asking.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case a.err == nil:
		d.lost = 0
		d.hand(batch, a.res)
	case errors.Is(a.err, store.ErrContention) && d.lost < mostLost:
		// The store answers; others were quicker.
		d.lost++
		d.miss(d.p.now())
	case asking.Err() != nil:
		// Two seconds in all, not for each of those who wait (rule 6.4).
		d.refuse(slices.Clone(d.waiting), failure.Wrap(failure.Transient, reserving, a.err))
	default:
		d.refuse(batch, failure.Wrap(failure.Transient, reserving, a.err))
	}
}

// mostLost is how many reservations in a row may be lost to others before those
// they were for are refused.
const mostLost = 3

// miss puts off the next reservation after one that gave nothing. Other processes
// are quicker: each that asks less often leaves them and the document more room,
// and the book is kept full by them. At random, so that all do not come back at
// one moment.
func (d *desk) miss(now time.Time) {
	pause := min(minPause<<min(d.misses, 10), d.share.ahead/4)
	d.misses++
	soonest := now.Add(pause/2 + rand.N(pause)) //nolint:gosec // no secret
	if d.ready.Before(soonest) {
		d.ready = soonest
	}
}

// worthwhile is how many slots are worth waiting for, while the book holds half of
// what the lane may look ahead.
func (d *desk) worthwhile() int {
	return min(d.share.take, 1+int(d.share.ahead/2/d.p.spacing))
}

func (d *desk) refuse(tickets []*ticket, err error) {
	for _, t := range tickets {
		d.finish(t, time.Time{}, err)
	}
}

// finish ends a ticket, unless its caller has gone.
func (d *desk) finish(t *ticket, at time.Time, err error) {
	if !slices.Contains(d.waiting, t) {
		return
	}
	d.remove(t)
	t.at, t.err = at, err
	close(t.done)
}

// hand hands out what was reserved and notes when to ask for those left over.
func (d *desk) hand(batch []*ticket, res store.Reservation) {
	now := d.p.now()
	then := d.p.when(res.At, now)
	d.free = then.Add(res.Free)
	for calendar, t := range d.calendars {
		if !t.next.After(now) {
			delete(d.calendars, calendar)
		}
	}
	given := 0
	for i, t := range batch {
		if res.Slots[i].Given {
			given++
			d.finish(t, then.Add(res.Slots[i].In), nil)
		}
		if t.calendar != "" {
			next := then.Add(res.Slots[i].Again)
			// A little later a second write fits as well, and two are worth a transaction
			// more than one.
			d.calendars[t.calendar] = turn{next: next, ask: next.Add(-d.share.ahead * 3 / 4)}
		}
	}
	// The next reservation is worth its transaction when it gives slots to several
	// of those left over, as long as the book keeps half of ahead: at no moment may
	// it run empty while somebody waits.
	several := max(1, min(len(d.waiting), d.worthwhile()))
	d.ready = d.free.Add(time.Duration(several-1)*d.p.spacing - d.share.ahead)
	if given > 0 {
		d.misses = 0
	} else {
		d.miss(now)
	}
	for _, t := range slices.Clone(d.waiting) {
		if d.hopeless(t) {
			d.finish(t, time.Time{}, tooLate())
		}
	}
}
