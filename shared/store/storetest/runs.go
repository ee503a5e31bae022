package storetest

import (
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// start begins a run.
func (r *rig) start(id, cause string, sizes ...int) []string {
	r.Helper()
	parts, err := r.s.StartRun(r.ctx, id, cause, sizes)
	r.must(err)
	return parts
}

// advanceRun counts results and reports whether the run is over.
func (r *rig) advanceRun(part string, results ...store.RunResult) bool {
	r.Helper()
	over, err := r.s.AdvanceRun(r.ctx, part, results...)
	r.must(err)
	return over
}

// result is the pass over an employee that found an edited title and repaired it.
func result(employee int64) store.RunResult {
	return store.RunResult{Employee: employee, Repaired: 1, Drift: map[string]int64{"event.edited": 1}, Fields: map[string]int64{"title": 1}}
}

func tally(done, failed, repaired, edited int64) store.RunTally {
	t := store.RunTally{Done: done, Failed: failed, Repaired: repaired}
	if edited > 0 {
		t.Drift, t.Fields = map[string]int64{"event.edited": edited}, map[string]int64{"title": edited}
	}
	return t
}

func fullRuns(r *rig) {
	run := func(what string, want store.RunRecord) {
		r.Helper()
		got, found, err := r.s.LastRun(r.ctx, "reconcile")
		r.must(err)
		equal(r, what+": found", found, want.ID != "")
		equal(r, what, got, want)
	}
	run("before the first", store.RunRecord{})
	equal(r, "over before the first", r.advanceRun("one-0000", result(1)), false)
	run("never started", store.RunRecord{})

	equal(r, "parts", r.start("one", "reconcile", 2, 1), []string{"one-0000", "one-0001"})
	want := store.RunRecord{ID: "one", Cause: "reconcile", Started: r.began, Total: 3, Parts: 2, ExpiresAt: r.began.Add(store.ActivityKept)}
	run("started", want)
	r.b.advance(time.Second)
	equal(r, "over", r.advanceRun("one-0000", result(2)), false)
	want.RunTally = tally(1, 0, 1, 1)
	run("under way", want)
	// The message that starts it came again, and so did the one that was counted.
	r.start("one", "reconcile", 2, 1)
	r.advanceRun("one-0000", result(2))
	run("told twice", want)
	r.advanceRun("one-0000", store.RunResult{Employee: 1, Failed: true}, result(2))
	want.RunTally, want.Complete = tally(2, 1, 1, 1), []int64{0}
	run("a part through", want)
	done, over, err := r.s.RunPart(r.ctx, "one-0000")
	r.must(err)
	equal(r, "done", done, []int64{1, 2})
	equal(r, "over", over, false)
	// Somebody is not through: what was done counts, once, and they do not yet.
	unfinished := result(3)
	unfinished.Unfinished = "token"
	r.advanceRun("one-0001", unfinished)
	r.advanceRun("one-0001", unfinished)
	want.RunTally = tally(2, 1, 2, 2)
	run("not through", want)
	r.b.advance(time.Second)
	equal(r, "over", r.advanceRun("one-0001", result(3)), true)
	want.RunTally, want.Complete, want.Ended = tally(3, 1, 3, 3), []int64{0, 1}, r.b.now()
	run("ended", want)
	equal(r, "still over", r.advanceRun("one-0001", result(4)), true)
	run("after the end", want)
	equal(r, "remaining", want.Remaining(r.b.now()), 0)

	r.b.advance(time.Second)
	r.start("two", "console", 1, 3)
	run("the console's run is another", want)
	two := store.RunRecord{ID: "two", Cause: "console", Started: r.b.now(), Total: 4, Parts: 2, ExpiresAt: r.b.now().Add(store.ActivityKept)}
	r.b.advance(10 * time.Second)
	r.advanceRun("two-0001", result(7))
	two.RunTally = tally(1, 0, 1, 1)
	equal(r, "remaining", two.Remaining(r.b.now()), 30*time.Second)
	list := func(what string, limit int, want ...store.RunRecord) {
		r.Helper()
		got, err := r.s.Runs(r.ctx, limit)
		r.must(err)
		equal(r, what, got, want)
	}
	list("the latest first", 5, two, want)
	list("one only", 1, two)

	// The next passes over everybody whom the one before had left.
	r.b.advance(time.Second)
	r.start("three", "reconcile", 1)
	two.Ended, two.Superseded = r.b.now(), "three"
	three := store.RunRecord{ID: "three", Cause: "reconcile", Started: r.b.now(), Total: 1, Parts: 1, ExpiresAt: r.b.now().Add(store.ActivityKept)}
	list("superseded", 2, three, two)
	equal(r, "superseded is over", r.advanceRun("two-0000", result(8)), true)
	_, over, err = r.s.RunPart(r.ctx, "two-0000")
	r.must(err)
	equal(r, "superseded is over", over, true)
	list("late progress of the one before", 2, three, two)

	complete := func(what string, since time.Time, want bool) {
		r.Helper()
		got, err := r.s.CompleteRunSince(r.ctx, since)
		r.must(err)
		equal(r, what, got, want)
	}
	complete("at its very end", want.Ended, true)
	complete("only superseded and under way since", want.Ended.Add(time.Millisecond), false)
	r.start("nobody", "reconcile")
	complete("over nobody", r.b.now(), true)
	run("over nobody", store.RunRecord{ID: "nobody", Cause: "reconcile", Started: r.b.now(), Ended: r.b.now(), ExpiresAt: r.b.now().Add(store.ActivityKept)})
}
