package budget_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

const (
	account = "1001"
	limit   = 600
	spacing = time.Minute * 100 / (97 * limit) // rule 6.1
)

// slack is for the store's clock, which counts in microseconds.
const slack = 100 * time.Microsecond

// ledger is the real store on bolt, slowed down as the cloud's is, with a count of
// the transactions.
type ledger struct {
	store *store.Store
	// latency bounds the time one answer takes; half before the transaction.
	latency time.Duration
	// spike bounds what one answer in fifty takes besides, after the transaction.
	spike time.Duration
	asked atomic.Int64
}

func newLedger(t *testing.T, latency time.Duration) *ledger {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "store"), time.Now, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &ledger{store: store.New(b), latency: latency}
}

// SlowCalendar passes a refusal on.
func (b *ledger) SlowCalendar(ctx context.Context, account, calendar string) error {
	return b.store.SlowCalendar(ctx, account, calendar)
}

func (b *ledger) ReserveSlots(ctx context.Context, r store.SlotRequest) (store.Reservation, error) {
	b.asked.Add(1)
	b.lag()
	defer b.lag()
	if b.spike > 0 && rand.N(50) == 0 {
		defer func() { <-time.After(rand.N(b.spike)) }()
	}
	return b.store.ReserveSlots(ctx, r)
}

// lag waits on the bubble's clock for a part of the latency.
func (b *ledger) lag() {
	if b.latency > 0 {
		<-time.After(rand.N(b.latency / 2))
	}
}

// calls are the moments at which calls were made.
type calls struct {
	mu sync.Mutex
	at []time.Time
}

func (c *calls) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
}

// most is the largest number of calls in any window of that length.
func (c *calls) most(window time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.at, time.Time.Compare)
	most, first := 0, 0
	for i, at := range c.at {
		for at.Sub(c.at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.at)
}

// keepCalling makes calls one after another until ctx ends.
func keepCalling(ctx context.Context, p *budget.Pacer, calendar string, made *calls) {
	for p.Wait(ctx, account, calendar) == nil {
		made.add()
	}
}

func TestPaceOfManyCallersAndPacers(t *testing.T) {
	for _, row := range []struct {
		name                  string
		pacers, callers, live int
		latency               time.Duration
		// least is how much of the pace must be used, in percent.
		least int
	}{
		{"one caller alone", 1, 1, 0, 0, 99},
		{"many callers", 3, 40, 0, 0, 99},
		{"both lanes", 3, 30, 10, 0, 99},
		{"a store that takes its time", 3, 40, 0, 80 * time.Millisecond, 90},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const span = 3 * time.Minute
				b, made := newLedger(t, row.latency), &calls{}
				ctx, cancel := context.WithTimeout(t.Context(), span)
				defer cancel()
				var wg sync.WaitGroup
				for range row.pacers {
					p := budget.New(b, limit, time.Now)
					for i := range row.callers {
						lane := queue.LaneBulk
						if i < row.live {
							lane = queue.LaneLive
						}
						wg.Go(func() { keepCalling(budget.WithLane(ctx, lane), p, "", made) })
					}
				}
				wg.Wait()
				// Two more than the pace: windows are closed on one side only, and a slot may
				// be used up to one spacing late.
				if got, most := made.most(time.Minute), limit*97/100+2; row.latency == 0 && got > most {
					t.Errorf("%d calls within a minute, at most %d keep the pace", got, most)
				}
				if got := made.most(time.Minute); got > limit {
					t.Errorf("%d calls within a minute are over Google's limit of %d", got, limit)
				}
				if got, least := made.len(), int(span/spacing)*row.least/100; got < least {
					t.Errorf("%d calls in %s; the pace allows %d, and at least %d must be used", got, span, span/spacing, least)
				}
			})
		})
	}
}

// TestLiveWaitsAtMostASecondBehindBulk shows rule 6.2.
func TestLiveWaitsAtMostASecondBehindBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLedger(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 {
			p := budget.New(b, limit, time.Now)
			for range 50 {
				wg.Go(func() { keepCalling(ctx, p, "", &calls{}) })
			}
		}
		live := budget.New(b, limit, time.Now)
		longest := time.Duration(0)
		for i := range 40 {
			// At changing moments of the bulk's rhythm.
			<-time.After(time.Second + time.Duration(i)*37*time.Millisecond)
			from := time.Now()
			if err := live.Wait(budget.WithLane(ctx, queue.LaneLive), account, ""); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(from))
		}
		cancel()
		wg.Wait()
		if longest > time.Second+2*spacing {
			t.Errorf("a live call waited %s behind bulk work", longest)
		}
		if longest == 0 {
			t.Error("the budget was never taken by bulk: the test shows nothing")
		}
	})
}

func TestBulkLooksASecondAheadAndLiveFive(t *testing.T) {
	for lane, want := range map[queue.Lane]struct{ least, most time.Duration }{
		// Bulk waits until several slots are worth a transaction, while the ledger holds half
		// of what the lane may look ahead: how full it is depends on how the callers came.
		queue.LaneBulk: {time.Second / 2, time.Second}, "": {time.Second / 2, time.Second},
		queue.LaneLive: {5*time.Second - 3*spacing, 5 * time.Second},
	} {
		t.Run("lane "+string(lane), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newLedger(t, 0)
				ctx := t.Context()
				if lane != "" {
					ctx = budget.WithLane(ctx, lane)
				}
				// Many at one moment: what the ledger then holds is what the lane took ahead.
				ctx, cancel := context.WithCancel(ctx)
				p := budget.New(b, limit, time.Now)
				var wg sync.WaitGroup
				for range 200 {
					wg.Go(func() { keepCalling(ctx, p, "", &calls{}) })
				}
				synctest.Wait()
				res, err := b.store.ReserveSlots(t.Context(), store.SlotRequest{Account: account, Spacing: spacing, Ahead: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				if wait := res.Free; wait < want.least || wait > want.most+spacing {
					t.Errorf("the ledger is taken for the next %s, want %s to %s", wait, want.least, want.most)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

func TestUnusedSlotsLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLedger(t, 0)
		p := budget.New(b, limit, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for p.Wait(ctx, account, "") == nil {
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()

		// Half a minute of slots went unused: they must not be made up for.
		<-time.After(30 * time.Second)
		made := &calls{}
		start := time.Now()
		for range 20 {
			wg.Go(func() {
				if err := p.Wait(t.Context(), account, ""); err != nil {
					t.Error(err)
				}
				made.add()
			})
		}
		wg.Wait()
		if got := time.Since(start); got < 19*spacing-slack || got > 20*spacing {
			t.Errorf("20 calls after an idle time took %s, want 19 times %s", got, spacing)
		}
		if got := made.most(spacing - slack); got > 1 {
			t.Errorf("%d calls within one slot's time", got)
		}
	})
}

// Every waiting caller asked the store again for each single slot: with 100 of
// them, a hundred empty transactions on one document for one call.
func TestFewerReservationsThanCallsWhenManyWait(t *testing.T) {
	for lane, share := range map[queue.Lane]int64{queue.LaneBulk: 4, queue.LaneLive: 2} {
		t.Run(string(lane), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, made := newLedger(t, 0), &calls{}
				p := budget.New(b, limit, time.Now)
				var wg sync.WaitGroup
				for range 200 {
					wg.Go(func() {
						if err := p.Wait(budget.WithLane(t.Context(), lane), account, ""); err != nil {
							t.Error(err)
						}
						made.add()
					})
				}
				wg.Wait()
				if asked := b.asked.Load(); asked > 200/share {
					t.Errorf("%d reservations for 200 calls, want at most %d", asked, 200/share)
				}
			})
		})
	}
}

// from are the calls made from a moment on.
func (c *calls) from(at time.Time) *calls {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := &calls{}
	for _, made := range c.at {
		if !made.Before(at) {
			late.at = append(late.at, made)
		}
	}
	return late
}

// The moment of a write was booked before the wait for its slot: behind a full
// budget, writes booked seconds apart came out together.
func TestACalendarsPaceRisesUntilGoogleRefuses(t *testing.T) {
	for name, writers := range map[string]int{"many writers": 12, "one writer": 1} {
		for _, crowd := range []int{0, 60} {
			t.Run(fmt.Sprintf("%s, %d others", name, crowd), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := budget.New(newLedger(t, 0), limit, time.Now)
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					defer cancel()
					began := time.Now()
					made, other := &calls{}, &calls{}
					var wg sync.WaitGroup
					for range crowd {
						wg.Go(func() { keepCalling(ctx, p, "", &calls{}) })
					}
					for range writers {
						wg.Go(func() { keepCalling(budget.WithLane(ctx, queue.LaneLive), p, "calendar-1", made) })
					}
					wg.Go(func() { keepCalling(budget.WithLane(ctx, queue.LaneLive), p, "calendar-2", other) })
					<-time.After(time.Minute)
					for calendar, c := range map[string]*calls{"calendar-1": made, "calendar-2": other} {
						if got := c.len(); crowd == 0 && got < 250 {
							t.Errorf("%d writes to %s in a minute, want over 250", got, calendar)
						}
					}
					if err := p.Refused(ctx, account, "calendar-1"); err != nil {
						t.Fatal(err)
					}
					wg.Wait()
					for calendar, c := range map[string]*calls{"calendar-1": made, "calendar-2": other} {
						if got := c.most(time.Second); got > 5 {
							t.Errorf("%d writes to %s within a second, want 5 at most", got, calendar)
						}
						early := &calls{at: slices.DeleteFunc(slices.Clone(c.at), func(at time.Time) bool { return at.After(began.Add(2 * time.Second)) })}
						if got := early.most(time.Second); got > 3 {
							t.Errorf("%d writes to %s within a second of the first two", got, calendar)
						}
					}
					// What was given before the refusal starts at most five seconds after it.
					slow := made.from(began.Add(65 * time.Second))
					if got := slow.most(time.Second); got > 2 {
						t.Errorf("%d writes within a second after a refusal, want 2 at most", got)
					}
					if got := slow.len(); crowd == 0 && got < 94 {
						t.Errorf("%d writes in 55 seconds after a refusal, want about 100", got)
					}
					if fast := other.from(began.Add(65 * time.Second)).len(); crowd == 0 && fast < 200 {
						t.Errorf("%d writes to another calendar, want over 200: nothing of it was refused", fast)
					}
				})
			})
		}
	}
}

// TestACalendarThatRestsBeginsAnew shows rule 6.4.
func TestACalendarThatRestsBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := budget.New(newLedger(t, 0), limit, time.Now)
		round := func(d time.Duration) *calls {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			made := &calls{}
			keepCalling(budget.WithLane(ctx, queue.LaneLive), p, "calendar-1", made)
			return made
		}
		if got := round(20 * time.Second).most(time.Second); got < 4 {
			t.Errorf("%d writes within a second, want 4 or 5", got)
		}
		<-time.After(6 * time.Second)
		if got := round(2 * time.Second).most(time.Second); got > 3 {
			t.Errorf("%d writes within a second after a rest, want 2 or 3", got)
		}
		if err := p.Refused(t.Context(), account, "calendar-1"); err != nil {
			t.Fatal(err)
		}
		<-time.After(23 * time.Hour)
		if got := round(20 * time.Second).most(time.Second); got > 2 {
			t.Errorf("%d writes within a second a day after a refusal, want 2", got)
		}
		<-time.After(2 * time.Hour)
		if got := round(20 * time.Second).most(time.Second); got < 4 {
			t.Errorf("%d writes within a second more than a day after a refusal, want 4 or 5", got)
		}
	})
}

// silent never answers.
type silent struct{ asked atomic.Int64 }

func (s *silent) SlowCalendar(ctx context.Context, _, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s *silent) ReserveSlots(ctx context.Context, _ store.SlotRequest) (store.Reservation, error) {
	s.asked.Add(1)
	<-ctx.Done()
	return store.Reservation{}, ctx.Err()
}

// Those who queued behind the one who asked waited their two seconds one after
// another: the eighth of a full instance 16 s, the time its lease needs.
func TestSilentStoreRefusesEverybodyAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silent{}
		p := budget.New(s, limit, time.Now)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			calendar := ""
			if i%2 == 0 {
				calendar = fmt.Sprintf("calendar-%d", i)
			}
			wg.Go(func() {
				err := p.Wait(t.Context(), account, calendar)
				if !failure.Is(err, failure.Transient) {
					t.Errorf("error %v, want one of kind transient", err)
				}
				if failure.IsAmbiguous(err) {
					t.Errorf("%v counts as ambiguous, but no call was made", err)
				}
			})
		}
		wg.Wait()
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("refused after %s, want 2s", got)
		}
		// A later caller asks anew: the store may be back.
		asked := s.asked.Load()
		if err := p.Wait(t.Context(), account, ""); !failure.Is(err, failure.Transient) || s.asked.Load() != asked+1 {
			t.Errorf("the next caller got %v after %d more questions, want one of its own", err, s.asked.Load()-asked)
		}
	})
}

// failing answers with an error at once.
type failing struct{ err error }

func (f failing) ReserveSlots(_ context.Context, r store.SlotRequest) (store.Reservation, error) {
	return store.Reservation{Slots: make([]store.Slot, len(r.Calls))}, f.err
}

func (f failing) SlowCalendar(context.Context, string, string) error { return f.err }

func TestFailingStoreLetsNoCallPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := budget.New(failing{store.ErrContention}, limit, time.Now)
		err := p.Wait(t.Context(), account, "")
		if !failure.Is(err, failure.Transient) || !errors.Is(err, store.ErrContention) {
			t.Errorf("error %v, want transient with its cause", err)
		}
	})
}

func TestDeadlineTooNearIsToldAtOnce(t *testing.T) {
	for name, calendar := range map[string]string{"behind the budget": "", "behind the calendar's other writes": "calendar-1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := budget.New(newLedger(t, 0), limit, time.Now)
				busy, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 300 {
					wg.Go(func() { keepCalling(busy, p, calendar, &calls{}) })
				}
				<-time.After(time.Second / 3)
				synctest.Wait()
				ctx, stop := context.WithTimeout(t.Context(), 80*time.Millisecond)
				defer stop()
				from := time.Now()
				err := p.Wait(ctx, account, calendar)
				if !failure.Is(err, failure.RateLimited) {
					t.Errorf("error %v, want one of kind rate-limited", err)
				}
				if got := time.Since(from); got != 0 {
					t.Errorf("told after %s, want at once", got)
				}
				cancel()
				wg.Wait()
			})
		})
	}
}

func TestEndedContextIsTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := budget.New(newLedger(t, 0), limit, time.Now)
		for _, calendar := range []string{"", "calendar-1"} {
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for range 30 {
				wg.Go(func() {
					if err := p.Wait(ctx, account, calendar); err != nil && (!failure.Is(err, failure.Transient) || !errors.Is(err, context.Canceled)) {
						t.Errorf("error %v, want transient for the ended context", err)
					}
				})
			}
			synctest.Wait()
			cancel()
			from := time.Now()
			wg.Wait()
			if got := time.Since(from); got != 0 {
				t.Errorf("waited %s after the end", got)
			}
		}
	})
}

func TestLaneOfContext(t *testing.T) {
	if got := budget.LaneOf(t.Context()); got != queue.LaneBulk {
		t.Errorf("a context that says nothing is of lane %q, want bulk", got)
	}
	if got := budget.LaneOf(budget.WithLane(t.Context(), queue.LaneLive)); got != queue.LaneLive {
		t.Errorf("lane %q, want live", got)
	}
}
