package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func dueAt(r *rig, c store.Collection) {
	at := func(what string, want time.Time) {
		r.Helper()
		equal(r, "due "+what, r.work(c, 7).DueAt, want)
	}
	h := r.take(c, 7, "m1")
	at("while held", h.lease().Until)
	r.b.advance(time.Second)
	r.must(r.s.Extend(r.ctx, h.lease(), ttl))
	at("while held longer", r.began.Add(time.Second+ttl))
	retry := r.began.Add(10 * time.Minute)
	r.release(h, store.Result{Err: errors.New("cut short"), RetryAt: retry})
	at("after a failure", retry)
	w := r.work(c, 7)
	if w.Dirty == 0 || w.Failed != "yes" || w.Failure == nil || w.LeaseToken != "" || !w.LeaseUntil.IsZero() || w.LeaseMessage != "" {
		r.Errorf("after a failure the work is %+v, want it dirty, failed and released", w)
	}

	h = r.take(c, 7, "m2")
	at("while held after a failure", h.lease().Until)
	second := r.began.Add(20 * time.Minute)
	r.release(h, store.Result{RetryAt: second})
	equal(r, "work awaiting the second pass", r.work(c, 7), store.Work{DueAt: second})

	r.release(r.take(c, 7, "m3"), store.Result{})
	equal(r, "work after success", r.work(c, 7), store.Work{})
}

func dueKeys(r *rig, c, other store.Collection) {
	later := func(d time.Duration) time.Time { return r.began.Add(d) }
	r.take(c, 1, "dead") // due at 90 s
	r.release(r.take(c, 2, "fails"), store.Result{Err: errors.New("x"), RetryAt: later(time.Minute)})
	r.release(r.take(c, 3, "succeeds"), store.Result{})
	r.release(r.take(c, 4, "in doubt"), store.Result{RetryAt: later(10 * time.Minute)})
	r.must(r.s.MarkDirty(r.ctx, key(c, 5), later(30*time.Second)))
	alive := r.take(c, 6, "alive")
	r.take(other, 8, "other")
	r.b.advance(time.Minute)
	r.must(r.s.Extend(r.ctx, alive.lease(), ttl)) // due at 150 s

	for _, at := range []struct {
		now  time.Duration
		want []int64
	}{
		{30*time.Second - time.Microsecond, []int64{}},
		{30 * time.Second, []int64{5}},
		{time.Minute, []int64{5, 2}},
		{ttl - time.Microsecond, []int64{5, 2}},
		{ttl, []int64{5, 2, 1}},
		{150 * time.Second, []int64{5, 2, 1, 6}},
		{time.Hour, []int64{5, 2, 1, 6, 4}},
	} {
		got, err := r.s.DueKeys(r.ctx, c, later(at.now), 0)
		r.must(err)
		equal(r, fmt.Sprintf("due after %v", at.now), got, at.want)
	}
	got, err := r.s.DueKeys(r.ctx, c, later(time.Hour), 2)
	r.must(err)
	equal(r, "the two longest due", got, []int64{5, 2})

	// Taken over and finished, the dead holder's key is due no more.
	r.b.advance(ttl)
	r.release(r.take(c, 1, "next"), store.Result{})
	got, err = r.s.DueKeys(r.ctx, c, later(ttl), 0)
	r.must(err)
	equal(r, "due once the dead holder's key was taken over", got, []int64{5, 2})
}

func pendingSince(r *rig, c store.Collection) {
	at := func(what string, want time.Time) {
		r.Helper()
		equal(r, "pending "+what, r.work(c, 7).PendingSince, want)
	}
	h := r.take(c, 7, "m1")
	for range 2 {
		r.b.advance(time.Second)
		r.acquire(c, 7, r.claim("m2"))
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), r.b.now()))
		at("while others notify", r.began)
		if released, err := r.settle(h, store.Result{}); released || err != nil {
			r.Fatalf("released %v, error %v", released, err)
		}
		at("while the pass is repeated", r.began)
	}
	r.release(h, store.Result{Err: errors.New("x"), RetryAt: r.began})
	at("after a failure", r.began)
	r.b.advance(time.Minute)
	r.release(r.take(c, 7, "m3"), store.Result{Err: errors.New("x"), RetryAt: r.began})
	at("after another failure", r.began)
	equal(r, "count of failures", r.work(c, 7).Failure.Count, 2)
	r.take(c, 7, "killed")
	r.b.advance(2 * ttl)
	h = r.take(c, 7, "m4")
	at("after a dead holder", r.began)
	r.release(h, store.Result{})
	at("after success", time.Time{})
	r.b.advance(time.Minute)
	h = r.take(c, 7, "m5")
	at("by the next change", r.b.now())
	r.release(h, store.Result{RetryAt: r.b.now()})
	at("while a second pass is due", time.Time{})
	h = r.take(c, 7, "m6")
	since := r.b.now()
	r.release(h, store.Result{Waiting: true, RetryAt: since.Add(time.Minute)})
	at("while it waits for its turn", since)
	if w := r.work(c, 7); w.Dirty == 0 || w.Failure != nil || w.LeaseToken != "" {
		r.Errorf("waiting: %+v", w)
	}
	r.b.advance(2 * time.Minute)
	r.release(r.take(c, 7, "m7"), store.Result{})
	at("after its turn", time.Time{})

	if c != store.Tasks {
		return
	}
	r.must(r.s.MarkDirty(r.ctx, store.TaskKey(12), r.b.now()))
	r.b.advance(time.Second)
	r.take(c, 11, "m")
	recs, err := r.s.PendingTasks(r.ctx, 10)
	r.must(err)
	equal(r, "pending tasks", taskIDs(recs), []int64{12, 11})
	recs, err = r.s.PendingTasks(r.ctx, 1)
	r.must(err)
	equal(r, "the longest pending task", taskIDs(recs), []int64{12})
}

func taskIDs(recs []store.TaskRecord) []int64 {
	out := make([]int64, len(recs))
	for i, rec := range recs {
		out[i] = rec.ID
	}
	return out
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

func markedDirty(r *rig) {
	for _, c := range []store.Collection{store.Tasks, store.Employees} {
		now := r.b.now()
		due := now.Add(time.Hour)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), due))
		equal(r, "a new key", r.work(c, 7), store.Work{Dirty: 1, DueAt: due, PendingSince: now})
		r.b.advance(time.Second)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), due.Add(time.Hour)))
		equal(r, "due already before", r.work(c, 7), store.Work{Dirty: 2, DueAt: due, PendingSince: now})
		sooner := due.Add(-time.Minute)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), sooner))
		equal(r, "due sooner", r.work(c, 7), store.Work{Dirty: 3, DueAt: sooner, PendingSince: now})

		// Brought up and put off: left due, it would come up at every poll.
		r.b.advance(sooner.Sub(r.b.now()))
		later := r.b.now().Add(time.Hour)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), later))
		equal(r, "due already, put off", r.work(c, 7), store.Work{Dirty: 4, DueAt: later, PendingSince: now})

		// While somebody holds it, the lease's end stays: they may die.
		h := r.take(c, 7, "m")
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), later))
		equal(r, "put off while held", r.work(c, 7).DueAt, h.lease().Until)
		soon := r.b.now().Add(time.Second)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), soon))
		r.b.advance(time.Second)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), later))
		equal(r, "due already while held", r.work(c, 7).DueAt, soon)
		r.b.advance(ttl)
		r.must(r.s.MarkDirty(r.ctx, key(c, 7), later))
		equal(r, "put off after the holder's death", r.work(c, 7).DueAt, later)
	}
	rec, found, err := r.s.Employee(r.ctx, 7)
	r.must(err)
	if !found || rec.State != store.StateNone || rec.ID != 7 {
		r.Errorf("a new employee is %+v, found %v", rec, found)
	}
	r.unchanged("a key of no kind", func() {
		if err := r.s.MarkDirty(r.ctx, store.Key{Collection: store.Polls, ID: 1}, r.began); err == nil {
			r.Error("a key of no kind was marked dirty")
		}
	})
}

// What a signed notification vouches for holds until a pass succeeds, whoever
// makes it (rule 4.1).
func vouched(r *rig) {
	for _, c := range []store.Collection{store.Tasks, store.Employees} {
		h := r.take(c, 7, "m1")
		equal(r, "vouched by nobody", h.work().Vouched, false)
		claim := r.claim("m2")
		claim.Deleted = true
		r.acquire(c, 7, claim)
		equal(r, "vouched while held", r.work(c, 7).Vouched, true)
		if released, err := r.settle(h, store.Result{}); released || err != nil {
			r.Fatalf("released %v, error %v", released, err)
		}
		equal(r, "vouched, as the holder sees", h.work().Vouched, true)
		r.release(h, store.Result{Err: errors.New("x"), RetryAt: r.began})
		h = r.take(c, 7, "m3")
		equal(r, "vouched, after a failure", h.work().Vouched, true)
		r.release(h, store.Result{RetryAt: r.began})
		h = r.take(c, 7, "m4")
		equal(r, "vouched, for the second pass", h.work().Vouched, true)
		r.release(h, store.Result{})
		equal(r, "vouched, after success", r.work(c, 7).Vouched, false)
	}
}

func failedTasks(r *rig) {
	cause := &failure.Error{
		Kind: failure.Forbidden, Op: "write the event", Status: 403, Reason: "forbidden",
		Detail: "the calendar refuses", Err: errors.New("a body with a secret"),
	}
	for id, err := range map[int64]error{1: cause, 2: nil, 3: errors.New("a text with a secret")} {
		r.release(r.take(store.Tasks, id, "m"), store.Result{Err: err, RetryAt: r.began})
	}
	list := func(limit int) []store.TaskRecord {
		recs, err := r.s.FailedTasks(r.ctx, limit)
		r.must(err)
		slices.SortFunc(recs, func(a, b store.TaskRecord) int { return int(a.ID - b.ID) })
		return recs
	}
	recs := list(0)
	if diff := cmp.Diff([]int64{1, 3}, taskIDs(recs)); diff != "" {
		r.Fatalf("failed tasks: got + want -:\n%s", diff)
	}
	equal(r, "failure", recs[0].Failure, &store.Failure{
		Kind: failure.Forbidden, Status: 403, Reason: "forbidden",
		Message: "write the event: the calendar refuses", At: r.began, Count: 1,
	})
	equal(r, "failure without a kind", recs[1].Failure, &store.Failure{
		Kind: failure.Transient, Message: "the work was cut short", At: r.began, Count: 1,
	})
	equal(r, "at most one", len(list(1)), 1)
	r.release(r.take(store.Tasks, 1, "m"), store.Result{})
	equal(r, "failed tasks once one succeeded", taskIDs(list(0)), []int64{3})
}

func unreadableSince(r *rig, c store.Collection) {
	odd := &failure.Error{Kind: failure.SourceInvalid, Op: "userside: read it", Detail: "unreadable field x"}
	fail := func(id int64, err error) {
		r.release(r.take(c, id, "m"), store.Result{Err: err})
	}
	since := func(until time.Time, want ...store.Unreadable) {
		r.Helper()
		got, err := r.s.UnreadableSince(r.ctx, until, 10)
		r.must(err)
		equal(r, "unreadable", got, want)
	}
	first := r.b.now()
	fail(1, odd)
	fail(2, &failure.Error{Kind: failure.Source, Op: "x"})
	entry := func(id int64, at time.Time) store.Unreadable {
		return store.Unreadable{Key: store.Key{Collection: c, ID: id}, Since: at, Why: "userside: read it: unreadable field x"}
	}
	since(first, entry(1, first))
	since(first.Add(-time.Second))
	r.b.advance(time.Minute)
	fail(3, odd)
	// Neither that the ERP could not be asked nor a repetition begins it anew.
	fail(1, &failure.Error{Kind: failure.Source, Op: "x"})
	fail(1, odd)
	since(r.b.now(), entry(1, first), entry(3, r.b.now()))
	fail(1, &failure.Error{Kind: failure.Forbidden, Op: "write"})
	fail(3, nil)
	since(r.b.now())
}
