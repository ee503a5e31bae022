// Package pass is what a worker's pass over one held key is made of, whatever the
// key: how long a lease's term lets calls out, how a failed key backs off, when
// Google's pauses end, and why nothing may be written at all. Packages events and
// calendars are built from it. It must never decide anything about a task or an employee,
// and never call Google or the ERP.
package pass

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// maxMargin is what is left between the last call's deadline and the end of the
// lease, at a lease of production's length (rule 1.5).
const maxMargin = 10 * time.Second

// IntentGrace is how long after its deadline another's open intent is left alone:
// 60 s at the default lease of 90 s (rule 2.4).
func IntentGrace(lease time.Duration) time.Duration { return lease * 2 / 3 }

// Term is one term of a lease, from its acquisition or extension to its end. The
// end is known by the database's clock alone; by the instance's own it is counted
// from before the store was asked, so that it holds however wrong that clock is
// (rule 1.5).
type Term struct {
	Began  time.Time // the instance's clock, before the store was asked
	Until  time.Time // the database's clock
	Length time.Duration
}

func (t Term) margin() time.Duration { return min(maxMargin, t.Length/4) }

// AcquiredAt is when the term began, by the database's clock.
func (t Term) AcquiredAt() time.Time { return t.Until.Add(-t.Length) }

// At is a moment of the instance's clock by the database's, or a little later.
func (t Term) At(now time.Time) time.Time { return t.AcquiredAt().Add(now.Sub(t.Began)) }

// IntentDeadline is when every call of the term has ended, by the database's clock.
func (t Term) IntentDeadline() time.Time { return t.Until.Add(-t.margin()) }

// Calls bounds calls out by the term. now is the instance's clock.
func (t Term) Calls(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.Began.Add(t.Length-t.margin()).Sub(now))
}

// Result gathers what a pass comes to: the first failure, and the earliest of the
// times at which another pass was asked for.
type Result struct{ store.Result }

// Again asks for another pass at a time.
func (r *Result) Again(at time.Time) {
	if r.RetryAt.IsZero() || at.Before(r.RetryAt) {
		r.RetryAt = at
	}
}

// Wait asks for another pass at a time, until which the change is not applied.
func (r *Result) Wait(at time.Time) {
	r.Again(at)
	r.Waiting = true
}

// Fail notes a failure at a time, counting on from the one before.
func (r *Result) Fail(err error, at time.Time, before *store.Failure) {
	if r.Err == nil {
		r.Err = err
	}
	r.Again(at.Add(Backoff(err, before)))
}

// Recorded is what is recorded of the pass. What an incident of the whole account kept
// back is no failure of the key: it waits, and is looked at again when it is sent
// (rule 7.7).
func (r *Result) Recorded() store.Result {
	out := r.Result
	if f, ok := errors.AsType[*failure.Error](r.Err); ok && f.AccountWide {
		out.Err, out.Waiting = nil, true
	}
	return out
}

// Backoff is how long a failed key rests, by the failure's kind, doubling with the
// failures before it in a row; 0 where Poll waits by itself until it may.
func Backoff(err error, before *store.Failure) time.Duration {
	first, most := 30*time.Second, time.Hour
	switch failure.KindOf(err) {
	case failure.Exhausted:
		first, most = 15*time.Minute, 6*time.Hour
	case failure.RateLimited:
		// Windows of a minute: it is over soon, and an hour's rest helps nobody.
		first, most = time.Minute, 10*time.Minute
	case failure.Forbidden, failure.Invalid, failure.SourceInvalid:
		first, most = 10*time.Minute, 6*time.Hour
	case failure.Revoked, failure.Misconfigured:
		return 0
	}
	if before != nil {
		for range min(before.Count, 10) {
			first *= 2
		}
	}
	return min(first, most)
}

// ConcernsOneThing reports whether a failure says that Google refuses one thing and nothing
// else: whatever is to be done besides is done all the same (rule 7.2).
func ConcernsOneThing(err error) bool {
	if f, ok := errors.AsType[*failure.Error](err); !ok || f.AccountWide {
		return false
	}
	switch failure.KindOf(err) {
	case failure.Forbidden, failure.Invalid, failure.Conflict, failure.Gone:
		return true
	}
	return false
}

// Outcome is the activity with how its call ended: "done" or the failure's kind.
func Outcome(a store.ActivityRecord, err error) store.ActivityRecord {
	a.Result = "done"
	if err != nil {
		a.Result = string(failure.KindOf(err))
	}
	return a
}

// Each does something with each item, a few at a time. It gives the first error when all
// are done: one's failure must not cut off another's call half-way.
func Each[T any](items []T, atOnce int, do func(i int, item T) error) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, item := range items {
		group.Go(func() error { return do(i, item) })
	}
	return group.Wait()
}

// Tally counts by name. The zero value is ready for use.
type Tally map[string]int64

// Add counts n more of a name.
func (t *Tally) Add(name string, n int64) {
	if *t == nil {
		*t = Tally{}
	}
	(*t)[name] += n
}

// AddAll counts what another tally has counted.
func (t *Tally) AddAll(other Tally) {
	for name, n := range other {
		t.Add(name, n)
	}
}
