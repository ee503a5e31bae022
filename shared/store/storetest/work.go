package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
