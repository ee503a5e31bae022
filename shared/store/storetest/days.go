package storetest

import (
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// activityCounted shows what the console draws: writes and their delay hour by hour, each
// counted once however often it is asked.
func activityCounted(r *rig) {
	fold := func() {
		r.Helper()
		r.must(r.s.Fold(r.ctx, "account", r.b.now(), func(cause string) bool { return cause == "notify" }))
	}
	// write settles one write of a task's event, its change known that long before.
	write := func(task int64, cause string, known time.Duration, result string) {
		r.Helper()
		r.must(r.s.MarkDirty(r.ctx, store.TaskKey(task), r.b.now()))
		r.b.advance(known)
		h := r.take(store.Tasks, task, "m")
		_, err := r.s.SettleTask(r.ctx, h.task, store.TaskOutcome{Activity: []store.ActivityRecord{{
			ID: fmt.Sprintf("w%d-%s", task, r.b.now().Format("150405.000000")), At: r.b.now(), Action: "event.update", Task: task, Employee: 1,
			Cause: cause, Result: result, ExpiresAt: r.b.now().Add(store.ActivityKept)}}})
		r.must(err)
	}
	// Before an account is connected there are no calls to count, and nothing fails.
	r.must(r.s.Fold(r.ctx, "", r.b.now(), func(string) bool { return true }))
	sum := func() (all store.HourTally) {
		r.Helper()
		days, err := r.s.DaysSince(r.ctx, r.began.Add(-24*time.Hour).UTC().Format(time.DateOnly))
		r.must(err)
		for _, d := range days {
			for _, h := range d.Hours {
				all = all.Add(h)
			}
		}
		return all
	}
	fold()
	for i := range int64(18) {
		write(1+i, "notify", time.Second, "done")
	}
	write(50, "notify", 100*time.Second, "done")
	write(51, "notify", 100*time.Second, "done")
	write(52, "fill", 10*time.Second, "done")
	write(53, "notify", time.Second, "rate-limited")
	_, err := r.s.ReserveSlots(r.ctx, store.SlotRequest{Account: "account", Calls: []string{"", "", ""}, Spacing: time.Second, Window: time.Second, Ahead: time.Minute})
	r.must(err)
	fold()
	if got := sum(); got.Changes != 0 || got.Calls != 3 {
		r.Errorf("what may still be under way is counted: %+v", got)
	}
	r.b.advance(20 * time.Minute)
	for range 2 {
		fold()
		got := sum()
		if got.Changes != 20 || got.All != 21 || got.Calls != 3 {
			r.Errorf("counted %+v", got)
		}
		if median, slow := got.Delay(0.5), got.Delay(0.95); median < 900*time.Millisecond || median > 1100*time.Millisecond || slow < 90*time.Second || slow > 110*time.Second {
			r.Errorf("median %v, 95th percentile %v", median, slow)
		}
	}
	equal(r, "by cause", sum().By, map[string]int64{"notify": 20, "fill": 1})
	told := func() store.Notifications {
		r.Helper()
		n, err := r.s.Notifications(r.ctx, r.b.now(), "notify", "fill")
		r.must(err)
		return n
	}
	equal(r, "what told of the changes", told(), store.Notifications{Notified: 20, Polled: 1})
	equal(r, "the share of the others", told().PolledPercent(), 5)
	r.b.advance(24 * time.Hour)
	equal(r, "what told of the changes, a day later", told(), store.Notifications{})
	equal(r, "the share of nothing", told().PolledPercent(), 0)
	equal(r, "the delay of nothing", store.HourTally{}.Delay(0.5), time.Duration(0))
}

// pollOutcome shows what people are told of polls: what began keeps its time until it is over.
func pollOutcome(r *rig) {
	_, found, err := r.s.PollOutcome(r.ctx)
	r.must(err)
	equal(r, "before the first poll", found, false)
	record := func(p store.PollResult) store.PollOutcome {
		r.Helper()
		r.b.advance(5 * time.Minute)
		r.must(r.s.RecordPoll(r.ctx, p))
		o, _, err := r.s.PollOutcome(r.ctx)
		r.must(err)
		equal(r, "ran at", o.RanAt, r.b.now())
		return o
	}
	down := &failure.Error{Kind: failure.Source, Status: 503, Op: "userside: list tasks", Detail: "the ERP answered with an error"}
	shared := []store.SharedAddress{{Employees: []int64{1, 2}}}
	good := record(store.PollResult{SameAddress: &shared, Clock: &store.ClockResult{Apart: calendarsync.MaxApart}})
	read := good.ReadAt
	equal(r, "good", good, store.PollOutcome{RanAt: read, ReadAt: read, ClockAt: read, Apart: 600, SameAddress: shared, SameAddressSince: read})
	unreached := 12
	first := record(store.PollResult{ERP: down, Clock: &store.ClockResult{Apart: 2 * time.Hour, Wrong: true}, RunMissed: true, Unreached: &unreached})
	second := record(store.PollResult{ERP: down, RunMissed: true})
	equal(r, "down", second, store.PollOutcome{
		RanAt: second.RanAt, ReadAt: read, FailingSince: first.RanAt, SameAddress: shared, SameAddressSince: read,
		Failing: &store.Failure{Kind: failure.Source, Status: 503, Message: "userside: list tasks: the ERP answered with an error", At: second.RanAt, Count: 1},
		ClockAt: first.RanAt, Apart: 7200, ApartSince: first.RanAt, RunMissedSince: first.RanAt,
		Unreached: 12, UnreachedSince: first.RanAt,
	})
	unreached = 3
	third := record(store.PollResult{ERP: down, Unreached: &unreached})
	equal(r, "fewer are out of reach", third.Unreached, 3)
	equal(r, "fewer are out of reach since", third.UnreachedSince, first.RanAt)
	paused := record(store.PollResult{Paused: true})
	if paused.Failing == nil || !paused.Paused {
		r.Errorf("a pause says that the ERP can be read: %+v", paused)
	}
	none := []store.SharedAddress{}
	unreached = 0
	well := record(store.PollResult{SameAddress: &none, Clock: &store.ClockResult{}, Unreached: &unreached})
	equal(r, "well again", well, store.PollOutcome{RanAt: well.RanAt, ReadAt: well.RanAt, ClockAt: well.RanAt})
}
