package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// ttl is how long the leases of these tests last.
const ttl = 90 * time.Second

// held is the lease of a task or of an employee.
type held struct {
	task     *store.TaskLease
	employee *store.EmployeeLease
}

func (h held) lease() *store.Lease {
	if h.task != nil {
		return &h.task.Lease
	}
	return &h.employee.Lease
}

// work is the key's work as the lease shows it.
func (h held) work() store.Work {
	if h.task != nil {
		return h.task.Record.Work
	}
	return h.employee.Record.Work
}

func key(c store.Collection, id int64) store.Key { return store.Key{Collection: c, ID: id} }

// claim is one with a fresh token.
func (r *rig) claim(message string) store.Claim {
	r.n++
	return store.Claim{Message: message, TTL: ttl, Token: fmt.Sprintf("token-%d", r.n)}
}

func (r *rig) acquire(c store.Collection, id int64, claim store.Claim) (held, store.Outcome) {
	r.Helper()
	if c == store.Tasks {
		l, outcome, err := r.s.AcquireTask(r.ctx, id, claim)
		r.must(err)
		return held{task: &l}, outcome
	}
	l, outcome, err := r.s.AcquireEmployee(r.ctx, id, claim)
	r.must(err)
	return held{employee: &l}, outcome
}

// take wants the lease.
func (r *rig) take(c store.Collection, id int64, message string) held {
	r.Helper()
	h, outcome := r.acquire(c, id, r.claim(message))
	if outcome != store.Acquired {
		r.Fatalf("%s/%d: outcome %v, want it taken", c, id, outcome)
	}
	return h
}

// settle ends a pass; a task keeps concerning employee 1, so that it is remembered.
func (r *rig) settle(h held, result store.Result) (bool, error) {
	if h.task != nil {
		return r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Result: result, Concerned: []int64{1}})
	}
	return r.s.SettleEmployee(r.ctx, h.employee, result)
}

// release wants the key to be released.
func (r *rig) release(h held, result store.Result) {
	r.Helper()
	released, err := r.settle(h, result)
	r.must(err)
	if !released {
		r.Fatalf("%s was not released", h.lease().Key)
	}
}

// work reads a key's work; a missing record's is zero.
func (r *rig) work(c store.Collection, id int64) store.Work {
	r.Helper()
	if c == store.Tasks {
		rec, _, err := r.s.Task(r.ctx, id)
		r.must(err)
		return rec.Work
	}
	rec, _, err := r.s.Employee(r.ctx, id)
	r.must(err)
	return rec.Work
}

// refuses wants everything that a lease allows to be refused, leaving no trace.
func (r *rig) refuses(what string, h held) {
	r.Helper()
	r.unchanged(what, func() {
		before := *h.lease()
		_, err := r.settle(h, store.Result{})
		r.is(err, store.ErrLeaseLost)
		r.is(r.s.Extend(r.ctx, h.lease(), ttl), store.ErrLeaseLost)
		activity := store.ActivityRecord{ID: "late", At: r.b.now(), ExpiresAt: r.b.now().Add(time.Hour)}
		if h.task != nil {
			_, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{{Employee: 1, Activity: activity}})
			r.is(err, store.ErrLeaseLost)
		} else {
			change := func(e *store.EmployeeRecord) { e.Name = "late" }
			r.is(r.s.SaveEmployee(r.ctx, h.employee, change, activity), store.ErrLeaseLost)
			r.is(r.s.ForgetEmployee(r.ctx, h.employee), store.ErrLeaseLost)
		}
		equal(r, what+": the lease", *h.lease(), before)
	})
}

func leaseTaken(r *rig, c store.Collection) {
	h, outcome := r.acquire(c, 7, store.Claim{Message: "m1", TTL: ttl, Token: "mine"})
	equal(r, "outcome", outcome, store.Acquired)
	until := r.began.Add(ttl)
	equal(r, "lease", *h.lease(), store.Lease{Key: key(c, 7), Token: "mine", Until: until, Dirty: 1, Pass: 1})
	want := store.Work{
		Dirty: 1, LeaseToken: "mine", LeaseUntil: until, LeaseMessage: "m1", LeaseSince: r.began, DueAt: until, PendingSince: r.began,
	}
	equal(r, "work of the lease", h.work(), want)
	equal(r, "work stored", r.work(c, 7), want)
	equal(r, "another key", r.work(c, 8), store.Work{})
}

// Without the moved clock, a lease is reckoned from the backend's.
func ownClock(t *testing.T, b store.Backend) {
	s := store.New(b)
	ctx := testContext(t)
	now := func() time.Time {
		t.Helper()
		now, err := s.Now(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	before := now()
	l, outcome, err := s.AcquireTask(ctx, 7, store.Claim{Message: "m1", TTL: time.Hour, Token: "mine"})
	if err != nil || outcome != store.Acquired {
		t.Fatalf("outcome %v, error %v", outcome, err)
	}
	if earliest, latest := before.Add(time.Hour), now().Add(time.Hour); l.Until.Before(earliest) || l.Until.After(latest) {
		t.Errorf("an hour's lease lasts until %v, want %v to %v", l.Until, earliest, latest)
	}
	if _, outcome, err := s.AcquireTask(ctx, 7, store.Claim{Message: "m2", TTL: time.Hour, Token: "other"}); err != nil || outcome != store.Busy {
		t.Errorf("while held: outcome %v, error %v", outcome, err)
	}
	if released, err := s.SettleTask(ctx, &l, store.TaskOutcome{}); err != nil || released {
		t.Errorf("released %v although notified, error %v", released, err)
	}
	if released, err := s.SettleTask(ctx, &l, store.TaskOutcome{}); err != nil || !released {
		t.Errorf("released %v, error %v", released, err)
	}
}

func leaseBusy(r *rig, c store.Collection) {
	h := r.take(c, 7, "m1")
	before := r.work(c, 7)
	for i, message := range []string{"m2", "", "m3"} {
		r.b.advance(time.Second)
		other, outcome := r.acquire(c, 7, r.claim(message))
		equal(r, "outcome", outcome, store.Busy)
		equal(r, "lease of whom found it busy", *other.lease(), store.Lease{})
		want := before
		want.Dirty = int64(2 + i)
		equal(r, "work", r.work(c, 7), want)
	}
	equal(r, "the holder's lease", h.lease().Dirty, 1)

	// Without messages nobody can tell one claim from another.
	r.take(c, 8, "")
	if _, outcome := r.acquire(c, 8, r.claim("")); outcome != store.Busy {
		r.Errorf("two claims without a message: outcome %v, want busy", outcome)
	}
}

// owed shows what rule 8.1 rests on: whoever acquires a lease knows whether another pass was
// still to come.
func owed(r *rig, c store.Collection) {
	want := func(what string, owed bool) {
		r.Helper()
		equal(r, "owed "+what, r.work(c, 7).Owed, owed)
	}
	h := r.take(c, 7, "m1")
	want("at first", false)
	r.acquire(c, 7, r.claim("m2"))
	_, err := r.settle(h, store.Result{})
	r.must(err)
	want("while a lease ends", false)
	soon := r.began.Add(time.Minute)
	r.release(h, store.Result{RetryAt: soon})
	want("at rest", false)

	h = r.take(c, 7, "m3")
	want("beside another look", true)
	equal(r, "of the lease", h.work().Owed, true)
	r.acquire(c, 7, r.claim("m4"))
	_, err = r.settle(h, store.Result{})
	r.must(err)
	want("in the pass after", true)
	r.release(h, store.Result{Err: errors.New("cut short"), RetryAt: soon})
	want("after a failure", false)

	r.take(c, 7, "m5")
	want("beside what failed", true)
	r.b.advance(ttl + time.Second)
	h = r.take(c, 7, "m6")
	want("where the holder died", true)
	r.release(h, store.Result{})
	r.take(c, 7, "m7")
	want("beside nothing", false)
}

// leaseOfALaterReader shows rule 1.4: whoever acquired the lease after all was read that a
// claim rests on is not asked for another pass.
func leaseOfALaterReader(r *rig, c store.Collection) {
	r.b.advance(time.Minute)
	since := r.b.now()
	r.take(c, 7, "m1")
	before := r.work(c, 7)
	r.b.advance(time.Second)
	for i, row := range []struct {
		readAt  time.Time
		deleted bool
		dirty   int64
	}{
		{since, false, 1}, {since.Add(-time.Hour), false, 1},
		// Read while the lease was held: its holder may have read before.
		{since.Add(time.Microsecond), false, 2}, {r.b.now(), false, 3},
		// Vouched for: that is told nowhere else.
		{since, true, 4}, {time.Time{}, false, 5},
	} {
		claim := r.claim("m2")
		claim.ReadAt, claim.Deleted = row.readAt, row.deleted
		_, outcome := r.acquire(c, 7, claim)
		equal(r, "outcome", outcome, store.Busy)
		want := before
		want.Dirty, want.Vouched = row.dirty, i >= 4
		equal(r, fmt.Sprintf("work after claim %d", i), r.work(c, 7), want)
	}
}

func redelivered(r *rig, c store.Collection) {
	r.take(c, 7, "m1")
	r.unchanged("the lease taken for the message that comes again", func() {
		r.b.advance(time.Second)
		h, outcome := r.acquire(c, 7, r.claim("m1"))
		equal(r, "outcome", outcome, store.Redelivered)
		equal(r, "lease", *h.lease(), store.Lease{})
	})
	r.b.advance(ttl)
	h, outcome := r.acquire(c, 7, r.claim("m1"))
	equal(r, "outcome once the dead holder's lease ended", outcome, store.Acquired)
	equal(r, "dirty", h.lease().Dirty, 2)
	r.release(h, store.Result{})
	if _, outcome := r.acquire(c, 7, r.claim("m1")); outcome != store.Acquired {
		r.Errorf("a message that comes again after the release: outcome %v, want taken", outcome)
	}
}

func leaseExpires(r *rig, c store.Collection) {
	first := r.take(c, 7, "m1")
	r.b.advance(ttl - time.Microsecond)
	if _, outcome := r.acquire(c, 7, r.claim("m2")); outcome != store.Busy {
		r.Errorf("a microsecond before the end: outcome %v, want busy", outcome)
	}
	r.b.advance(time.Microsecond)
	// Nobody took it yet; but somebody may, any moment.
	r.refuses("a lease that expired", first)
	second, outcome := r.acquire(c, 7, r.claim("m2"))
	equal(r, "outcome at the end", outcome, store.Acquired)
	equal(r, "dirty", second.lease().Dirty, 3)
	equal(r, "end", second.lease().Until, r.began.Add(2*ttl))
	r.refuses("a lease that another took over", first)
	r.release(second, store.Result{})
	r.refuses("a lease that another released", first)
	r.refuses("a lease already released", second)
}

// A claim whose answer was lost is made again with the same token.
func ownToken(r *rig, c store.Collection) {
	claim := r.claim("m1")
	first, _ := r.acquire(c, 7, claim)
	r.b.advance(time.Second)
	r.unchanged("the claim made again", func() {
		again, outcome := r.acquire(c, 7, claim)
		equal(r, "outcome", outcome, store.Acquired)
		equal(r, "lease", *again.lease(), *first.lease())
	})
	r.b.advance(ttl)
	late, outcome := r.acquire(c, 7, claim)
	equal(r, "outcome after the lease's end", outcome, store.Acquired)
	if until := r.b.now().Add(ttl); !late.lease().Until.Equal(until) {
		r.Errorf("a lease that ended %v is given as taken, want one until %v", late.lease().Until, until)
	}
	r.release(late, store.Result{})
}

func settleRefused(r *rig, c store.Collection) {
	h := r.take(c, 7, "m1")
	for pass, notify := range []func(){
		func() { r.acquire(c, 7, r.claim("m2")) },
		func() { r.must(r.s.MarkDirty(r.ctx, key(c, 7), r.b.now())) },
		func() { r.must(r.s.RecordDeadLetter(r.ctx, key(c, 7), "notify", 100)) },
		func() {
			r.acquire(c, 7, r.claim("m3"))
			r.acquire(c, 7, r.claim("m4"))
		},
	} {
		r.b.advance(time.Second)
		notify()
		before := r.work(c, 7)
		released, err := r.settle(h, store.Result{RetryAt: r.b.now().Add(time.Hour)})
		r.must(err)
		if released {
			r.Fatalf("released although notification %d came during the pass", pass)
		}
		equal(r, "pass", h.lease().Pass, pass+2)
		equal(r, "dirty noted before the next pass", h.lease().Dirty, before.Dirty)
		equal(r, "work stays", r.work(c, 7), before)
		equal(r, "work of the lease", h.work(), before)
	}
	r.release(h, store.Result{})
	equal(r, "work at rest", r.work(c, 7), store.Work{})

	// A failed pass is no less overtaken by a notification.
	h = r.take(c, 7, "m5")
	r.acquire(c, 7, r.claim("m6"))
	released, err := r.settle(h, store.Result{Err: failure.New(failure.Source, "read", ""), RetryAt: r.began})
	r.must(err)
	if released || r.work(c, 7).Failure != nil {
		r.Error("a failure was recorded for a pass that has to be repeated at once")
	}
}

func extended(r *rig) {
	for _, c := range []store.Collection{store.Tasks, store.Employees} {
		h := r.take(c, 7, "m1")
		// Half way: the lease ends a full TTL from now, not from its old end.
		r.b.advance(ttl / 2)
		until := r.b.now().Add(ttl)
		r.must(r.s.Extend(r.ctx, h.lease(), ttl))
		equal(r, "end told", h.lease().Until, until)
		w := r.work(c, 7)
		equal(r, "end stored", w.LeaseUntil, until)
		equal(r, "dirty", w.Dirty, 1)
		r.b.advance(ttl - time.Microsecond)
		if _, outcome := r.acquire(c, 7, r.claim("m2")); outcome != store.Busy {
			r.Errorf("%s: an extended lease: outcome %v, want busy", c, outcome)
		}
		r.must(r.s.Extend(r.ctx, h.lease(), ttl))
		r.b.advance(ttl)
		r.refuses("extended too late", h)
	}
}
