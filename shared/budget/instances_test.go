package budget_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// The same promise as that of the eight processes, at the real limit over real
// minutes, by instances on the embedded store with a store as slow as a cloud's.
func TestEightInstancesShareOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			span      = 10 * time.Minute
			filling   = 16 // calendars of each of six instances, each filled by two
			perMinute = limit
		)
		b := newLedger(t, 80*time.Millisecond)
		b.spike = 1500 * time.Millisecond // slots that are told too late must not be used
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		var mu sync.Mutex
		var seen []arrival
		arrives := func(calendar string, changed time.Time) {
			<-time.After(rand.N(20 * time.Millisecond)) // on the way to Google
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, arrival{at: time.Now(), calendar: calendar, changed: changed})
		}
		var wg sync.WaitGroup
		for instance := range 6 {
			p := budget.New(b, perMinute, time.Now)
			for n := range filling {
				calendar := fmt.Sprint("calendar-", n+filling*(instance%3))
				wg.Go(func() {
					for p.Wait(ctx, account, calendar) == nil {
						arrives(calendar, time.Time{})
					}
				})
			}
		}
		for range 2 {
			p := budget.New(b, perMinute, time.Now)
			live := budget.WithLane(ctx, queue.LaneLive)
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					changes := 1
					if n%10 == 9 {
						changes = 8
					}
					for range changes {
						calendar, changed := fmt.Sprint("calendar-", rand.N(3*filling)), time.Now()
						wg.Go(func() {
							if p.Wait(live, account, "") == nil {
								arrives("", time.Time{})
								if p.Wait(live, account, calendar) == nil {
									arrives(calendar, changed)
								}
							}
						})
					}
					<-time.After(rand.N(5 * time.Second))
				}
			})
		}
		wg.Wait()
		began := seen[0].at
		most, least, mean := windows(seen, time.Minute, began.Add(time.Second), began.Add(span-6*time.Second))
		writes, calendar := busiest(seen, func(a arrival) time.Time { return a.at })
		took := latencies(seen)
		p50, p95 := took[len(took)/2], took[len(took)*95/100]
		t.Logf("calls a minute (limit %d): at most %d, mean %.1f, least %d; %.1f %% of the limit used; writes to one calendar within a second: at most %d",
			perMinute, most, mean, least, 100*mean/perMinute, writes)
		t.Logf("%d live changes: p50 %v, p95 %v, longest %v; one reservation for %.1f calls, %.1f a second",
			len(took), p50.Round(time.Millisecond), p95.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond),
			float64(len(seen))/float64(b.asked.Load()), float64(b.asked.Load())/span.Seconds())
		if most > perMinute {
			t.Errorf("%d calls within a minute, the limit is %d", most, perMinute)
		}
		if mean < perMinute*95/100 {
			t.Errorf("%.1f calls a minute while there was work, want 95 %% of %d", mean, perMinute)
		}
		// Five slots, and a sixth call where the first used its slot late.
		if writes > 6 {
			t.Errorf("%d writes to %s within a second, want 6 at most", writes, calendar)
		}
		if p95 > 5*time.Second {
			t.Errorf("live changes took %v (p95), want 5 s at most", p95)
		}
	})
}

// hanging is a backend that stops answering, as Firestore does when its network
// is gone: until the context ends, or (deaf) for ever.
type hanging struct {
	store.Backend
	mu    sync.Mutex
	hangs bool
	deaf  chan struct{} // nil: it heeds the context
}

func (h *hanging) hang(hangs bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hangs = hangs
}

func (h *hanging) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	h.mu.Lock()
	hangs := h.hangs
	h.mu.Unlock()
	if !hangs {
		return h.Backend.Transact(ctx, f)
	}
	if h.deaf != nil {
		<-h.deaf
		return context.Canceled
	}
	<-ctx.Done()
	return ctx.Err()
}

// Firestore silent for two seconds: no call, refused (rule 6.4); and when
// it is back, so are the calls.
func TestAHangingBackendLetsNoCallPassUntilItIsBack(t *testing.T) {
	for name, deaf := range map[string]bool{"ends with the context": false, "heeds nothing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := bolt.Open(filepath.Join(t.TempDir(), "store"), time.Now, bolt.NoSync())
				if err != nil {
					t.Fatal(err)
				}
				h := &hanging{Backend: inner}
				if deaf {
					h.deaf = make(chan struct{})
				}
				p := budget.New(store.New(h), limit, time.Now)
				wait := func(lane queue.Lane, calendar string) error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					return p.Wait(budget.WithLane(ctx, lane), account, calendar)
				}
				if err := wait(queue.LaneLive, ""); err != nil {
					t.Fatal(err)
				}
				h.hang(true)
				var wg sync.WaitGroup
				for i := range 30 {
					wg.Go(func() {
						<-time.After(time.Duration(i) * 100 * time.Millisecond)
						from := time.Now()
						err := wait([]queue.Lane{queue.LaneLive, queue.LaneBulk}[i%2], []string{"", "calendar-1", "calendar-2"}[i%3])
						if !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) {
							t.Errorf("caller %d got %v, want a refusal of kind transient", i, err)
						}
						if took := time.Since(from); took > 2*time.Second+20*time.Millisecond {
							t.Errorf("caller %d was refused after %v", i, took)
						}
					})
				}
				wg.Wait()
				h.hang(false)
				from := time.Now()
				for _, lane := range []queue.Lane{queue.LaneLive, queue.LaneBulk} {
					if err := wait(lane, "calendar-1"); err != nil {
						t.Errorf("lane %s after its return: %v", lane, err)
					}
				}
				if took := time.Since(from); took > time.Second {
					t.Errorf("the first calls after its return took %v", took)
				}
				if h.deaf != nil {
					close(h.deaf)
				}
				synctest.Wait()
				if err := inner.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slowAnswer delays the answers to single reservations.
type slowAnswer struct {
	*ledger
	after time.Duration
}

func (s *slowAnswer) ReserveSlots(ctx context.Context, r store.SlotRequest) (store.Reservation, error) {
	res, err := s.ledger.ReserveSlots(ctx, r)
	<-time.After(s.after)
	s.after = 20 * time.Millisecond
	return res, err
}

// A slot whose answer comes too late has begun long ago: others may be calling
// now, and a calendar's next write is near. Another one is taken.
func TestASlotToldTooLateIsNotUsed(t *testing.T) {
	for _, row := range []struct {
		calendar string
		after    time.Duration
		asked    int64
	}{
		{"", 500 * time.Millisecond, 1}, {"", 600 * time.Millisecond, 2},
		{"calendar-1", 90 * time.Millisecond, 1}, {"calendar-1", 160 * time.Millisecond, 2},
		// Not to be taken for a clock that was set.
		{"", 1500 * time.Millisecond, 2}, {"calendar-1", 1500 * time.Millisecond, 2},
	} {
		t.Run(fmt.Sprint(row.calendar, " after ", row.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowAnswer{newLedger(t, 0), 20 * time.Millisecond}
				p := budget.New(s, limit, time.Now)
				// How long a quick answer takes tells the database's clock.
				if err := p.Wait(t.Context(), account, ""); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Minute)
				s.after = row.after
				s.asked.Store(0)
				from := time.Now()
				if err := p.Wait(t.Context(), account, row.calendar); err != nil {
					t.Fatal(err)
				}
				if got := s.asked.Load(); got != row.asked {
					t.Errorf("called after %d reservations, want %d", got, row.asked)
				}
				if took := time.Since(from); took > row.after+2*spacing {
					t.Errorf("waited %v", took)
				}
			})
		})
	}
}
