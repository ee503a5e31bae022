package storetest

import (
	"errors"
	"fmt"
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
		{"one decides whose the calendars are", oneDecision},
		{"slots do not overlap", slotsApart},
		{"creations are counted", creationsCounted},
		{"one refusal pauses", onePause},
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
		equal(r, string(c)+": outcomes", outcomes.n, map[store.Outcome]int{store.Acquired: 1, store.Busy: callers - 1})
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

func oneTaker(r *rig) {
	r.must(r.s.PutTicket(r.ctx, store.TicketRecord{ID: "t", Email: "e"}, time.Minute))
	var signIns, tickets counts[bool]
	r.together(func(int) {
		first, err := r.s.FinishSignIn(r.ctx, "s", time.Minute)
		r.must(err)
		signIns.add(first)
		ticket, found, err := r.s.TakeTicket(r.ctx, "t")
		if err != nil || (found && ticket.Email != "e") {
			r.Errorf("ticket %+v, error %v", ticket, err)
		}
		tickets.add(found)
	})
	want := map[bool]int{true: 1, false: callers - 1}
	equal(r, "who finished the sign-in", signIns.n, want)
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
