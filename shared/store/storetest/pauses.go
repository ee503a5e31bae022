package storetest

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// pausing is one of the two pauses.
type pausing struct {
	pause func(s *store.Store, ctx context.Context, sub, reason string) (time.Time, error)
	works func(s *store.Store, ctx context.Context, sub string) error
	until func(a store.AccountRecord) time.Time
	other func(a store.AccountRecord) time.Time
}

func writesPause() pausing {
	return pausing{(*store.Store).PauseWrites, (*store.Store).WritesWork,
		func(a store.AccountRecord) time.Time { return a.PausedUntil }, func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }}
}

func creationsPause() pausing {
	return pausing{(*store.Store).PauseCreations, (*store.Store).CreationsWork,
		func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }, func(a store.AccountRecord) time.Time { return a.PausedUntil }}
}

// pause pauses writes and wants the end, if given, to be so.
func (r *rig) pause(sub string, want time.Time) time.Time {
	r.Helper()
	until, err := r.s.PauseWrites(r.ctx, sub, "quotaExceeded")
	r.must(err)
	if !want.IsZero() {
		equal(r, "paused until", until, want)
	}
	return until
}

// The doubling is the account's: each step is by another instance, as it were, for
// none of them keeps anything.
func pauses(r *rig, p pausing) {
	r.connected("a", "client", false)
	refused := func(what string, want time.Duration) {
		r.Helper()
		until, err := p.pause(r.s, r.ctx, "a", "quotaExceeded")
		r.must(err)
		equal(r, what, until.Sub(r.b.now()), want)
		equal(r, what+", stored", p.until(r.account()), until)
	}
	works := func() { r.Helper(); r.must(p.works(r.s, r.ctx, "a")) }
	refused("first refusal", 15*time.Minute)
	r.b.advance(time.Minute)
	refused("a call that was on its way", 14*time.Minute)
	r.unchanged("a success that was on its way", works)
	r.b.advance(14 * time.Minute)
	for _, want := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 6 * time.Hour} {
		refused("refused again", want)
		r.b.advance(want)
	}
	r.connected("a", "client", true)
	refused("connected anew", 6*time.Hour)
	r.b.advance(7 * time.Hour)
	works()
	equal(r, "not paused", p.until(r.account()), time.Time{})
	r.unchanged("works as before", works)
	refused("after a success", 15*time.Minute)
	equal(r, "the other pause", p.other(r.account()), time.Time{})
}

// The day's limit ends with Google's day, at midnight Pacific time, and the next day begins
// with a short pause again.
func dailyLimit(r *rig, p pausing) {
	const limit = "dailyLimitExceeded"
	r.connected("a", "client", false)
	refused := func(what string, want time.Time) {
		r.Helper()
		until, err := p.pause(r.s, r.ctx, "a", limit)
		r.must(err)
		equal(r, what, until.UTC(), want.UTC())
		equal(r, what+", why", r.account().PausedFor(r.b.now()), limit)
	}
	r.b.advance(time.Date(2041, 5, 7, 1, 0, 0, 0, time.UTC).Sub(r.b.now())) // six in the evening there
	for _, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		refused("during the day", r.b.now().Add(want))
		r.b.advance(want)
	}
	midnight := time.Date(2041, 5, 7, 7, 0, 0, 0, time.UTC) // in summer
	refused("not beyond the day", midnight)
	r.b.advance(midnight.Sub(r.b.now()))
	equal(r, "over", r.account().PausedFor(r.b.now()), "")
	r.must(p.works(r.s, r.ctx, "a"))
	r.b.advance(time.Date(2041, 12, 1, 7, 50, 0, 0, time.UTC).Sub(r.b.now()))
	refused("in winter", time.Date(2041, 12, 1, 8, 0, 0, 0, time.UTC))
	r.b.advance(10 * time.Minute)
	refused("on the next day", r.b.now().Add(20*time.Minute))
	r.connected("a", "client", true)
	equal(r, "connected anew", r.account().PausedFor(r.b.now()), limit)
	r.b.advance(20 * time.Minute)
	r.must(p.works(r.s, r.ctx, "a"))
	equal(r, "the end", [2]string{r.account().PauseReason, r.account().CreationsPauseReason}, [2]string{})
}

func onePause(r *rig) {
	r.connected("a", "client", false)
	var ends counts[time.Time]
	r.together(func(int) {
		until, err := r.s.PauseWrites(r.ctx, "a", "quotaExceeded")
		if err != nil {
			r.Error(err)
		}
		ends.add(until)
	})
	equal(r, "ends told", ends.n, map[time.Time]int{r.began.Add(15 * time.Minute): callers})
}
