package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// callers is how many goroutines meet at one document.
const callers = 20

// together runs f in all callers at once, without trials: they lose against each
// other often enough.
func (r *rig) together(f func(i int)) {
	r.b.trial = false
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// counts is a count that goroutines share.
type counts[K comparable] struct {
	mu sync.Mutex
	n  map[K]int
}

func (c *counts[K]) add(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[K]int{}
	}
	c.n[k]++
}

func concurrent(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, test := range []struct {
		name string
		run  func(r *rig)
	}{
		{"one lease", oneLease},
		{"one tenant", oneTenant},
		{"slots do not overlap", slotsApart},
		{"creations are counted", creationsCounted},
		{"a sign-in and a ticket go to one", oneTaker},
		{"settings are saved by one", oneSaver},
		{"one refusal disconnects", oneDisconnects},
		{"the delete guard counts them all", guardCounts},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newRig(t, open(t))) })
	}
}

func oneLease(r *rig) {
	for _, c := range []store.Collection{store.Tasks, store.Employees} {
		var outcomes counts[store.Outcome]
		r.together(func(i int) {
			claim := store.Claim{Message: fmt.Sprint(i), TTL: ttl, Token: fmt.Sprintf("%s-%d", c, i)}
			var outcome store.Outcome
			var err error
			if c == store.Tasks {
				_, outcome, err = r.s.AcquireTask(r.ctx, 7, claim)
			} else {
				_, outcome, err = r.s.AcquireEmployee(r.ctx, 7, claim)
			}
			if err != nil {
				r.Error(err)
			}
			outcomes.add(outcome)
		})
		equal(r, string(c)+": outcomes", outcomes.n, map[store.Outcome]int{store.Taken: 1, store.Busy: callers - 1})
		equal(r, string(c)+": notifications counted", r.work(c, 7).Dirty, callers)
	}
}

func oneTenant(r *rig) {
	var tenants counts[string]
	r.together(func(i int) {
		got, err := r.s.SetTenant(r.ctx, fmt.Sprint("tenant-", i))
		if err != nil {
			r.Error(err)
		}
		tenants.add(got)
	})
	in, err := r.s.Installation(r.ctx)
	r.must(err)
	equal(r, "tenants told", tenants.n, map[string]int{in.Tenant: callers})
}

func slotsApart(r *rig) {
	const (
		spacing = 100 * time.Millisecond
		ahead   = 4950 * time.Millisecond
		most    = 50 // slots that start up to 4.95 s ahead: at 0, 100 ... 4900 ms
	)
	// The clock stands, so that a slot's start is its wait.
	type slot struct{ start, end time.Duration }
	var mu sync.Mutex
	var taken []slot
	r.together(func(i int) {
		k := 1 + i%5 // 60 slots are asked for
		got, wait, err := r.s.ReserveSlots(r.ctx, "a", k, spacing, ahead)
		if err != nil {
			r.Error(err)
			return
		}
		if got > k {
			r.Errorf("asked for %d slots, got %d", k, got)
		}
		if got == 0 {
			if wait <= ahead {
				r.Errorf("no slot, although the next starts in %v", wait)
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for j := range got {
			start := wait + time.Duration(j)*spacing
			taken = append(taken, slot{start, start + spacing})
		}
	})
	slices.SortFunc(taken, func(a, b slot) int { return cmp.Compare(a.start, b.start) })
	for i, s := range taken {
		if i > 0 && s.start < taken[i-1].end {
			r.Errorf("slots overlap: one ends at %v, the next starts at %v", taken[i-1].end, s.start)
		}
		if s.start > ahead {
			r.Errorf("a slot starts %v ahead, more than %v", s.start, ahead)
		}
	}
	if len(taken) != most {
		r.Errorf("%d slots were given, want all %d", len(taken), most)
	}
}

func creationsCounted(r *rig) {
	const perHour = 7
	var waits counts[bool]
	r.together(func(int) {
		wait, err := r.s.ReserveCreation(r.ctx, "a", perHour)
		if err != nil {
			r.Error(err)
		}
		waits.add(wait > 0)
	})
	equal(r, "who has to wait", waits.n, map[bool]int{false: perHour, true: callers - perHour})
}

func oneTaker(r *rig) {
	r.must(r.s.PutSignIn(r.ctx, store.SignInRecord{ID: "s", Verifier: "v"}, time.Minute))
	r.must(r.s.PutTicket(r.ctx, store.TicketRecord{ID: "t", Email: "e"}, time.Minute))
	var signIns, tickets counts[bool]
	r.together(func(int) {
		signIn, found, err := r.s.TakeSignIn(r.ctx, "s")
		if err != nil || (found && signIn.Verifier != "v") {
			r.Errorf("sign-in %+v, error %v", signIn, err)
		}
		signIns.add(found)
		ticket, found, err := r.s.TakeTicket(r.ctx, "t")
		if err != nil || (found && ticket.Email != "e") {
			r.Errorf("ticket %+v, error %v", ticket, err)
		}
		tickets.add(found)
	})
	want := map[bool]int{true: 1, false: callers - 1}
	equal(r, "who got the sign-in", signIns.n, want)
	equal(r, "who got the ticket", tickets.n, want)
}

func oneSaver(r *rig) {
	var saved counts[string]
	var stale counts[bool]
	r.together(func(i int) {
		by := fmt.Sprint("admin-", i)
		err := r.s.SaveSettings(r.ctx, "{}", by, 0)
		stale.add(errors.Is(err, store.ErrStale))
		switch {
		case err == nil:
			saved.add(by)
		case !errors.Is(err, store.ErrStale):
			r.Error(err)
		}
	})
	equal(r, "who came too late", stale.n, map[bool]int{false: 1, true: callers - 1})
	rec, _, err := r.s.SavedSettings(r.ctx)
	r.must(err)
	equal(r, "who saved", saved.n, map[string]int{rec.SavedBy: 1})
	equal(r, "version", rec.Version, 1)
}

func oneDisconnects(r *rig) {
	r.connected("a", "client", false)
	r.refuse("a", 1, false)
	r.b.advance(time.Minute)
	var gone counts[bool]
	r.together(func(int) {
		disconnected, err := r.s.GrantRefused(r.ctx, "a", 1, "invalid_grant", 30*time.Second)
		if err != nil {
			r.Error(err)
		}
		gone.add(disconnected)
	})
	equal(r, "who disconnected it", gone.n, map[bool]int{true: 1, false: callers - 1})
}
