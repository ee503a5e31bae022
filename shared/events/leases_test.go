package events_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 1.1: a message that is late, or comes twice, brings nothing back.
func TestAMessageIsOnlyAPointer(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.sync(7)
		w.want(4, 11)
		w.google.ResetRequests()
		w.sync(7, 7)
		w.want(4, 11)
		if calls := w.calls(); len(calls) != 0 {
			t.Errorf("a message that came again called %v", calls)
		}
	})
}

// Rule 1.2: the ERP is read under the lease, for at most twelve tasks at a time in one
// call.
func TestTasksAreReadTogetherUnderTheirLeases(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		var ids []calendarsync.TaskID
		var hours []int
		for h := range 23 {
			id := calendarsync.TaskID(100 + h)
			w.open(id, h, 4)
			ids, hours = append(ids, id), append(hours, h)
		}
		var held []int
		w.erp.before = func(context.Context) error {
			n := 0
			for _, id := range ids {
				if rec := w.record(id); rec.LeaseToken != "" && time.Now().Before(rec.LeaseUntil) {
					n++
				}
			}
			held = append(held, n)
			return nil
		}
		w.sync(ids...)
		w.want(4, hours...)
		if !slices.Equal(held, []int{12, 11}) {
			t.Errorf("read under %v leases", held)
		}
	})
}

// Rule 1.3: what came while the task was held is looked at by its holder.
func TestABusyTaskIsLeftToItsHolderWhoLooksAgain(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 10, 4)
		once := false
		w.way.before = func(string, string) error {
			if !once {
				once = true
				w.open(7, 12, 4)
				report := w.sync(7) // acknowledged, and nothing written
				if !slices.Equal(report.Busy, []calendarsync.TaskID{7}) || len(w.writes()) != 0 {
					t.Errorf("the second worker: %+v, wrote %v", report, w.writes())
				}
			}
			return nil
		}
		if report := w.sync(7); report.Writes != 2 {
			t.Errorf("%d writes counted", report.Writes)
		}
		w.want(4, 12)
		if wrote := w.writes(); !slices.Equal(wrote, []string{"update", "update"}) {
			t.Errorf("wrote %v", wrote)
		}
		if rec := w.record(7); rec.Dirty != 0 || rec.LeaseToken != "" {
			t.Errorf("record %+v", rec.Work)
		}
		w.wantQuiet(4)
	})
}

// Rule 1.4: only the message for which a live lease was acquired comes again, since
// its holder may be dead.
func TestARedeliveredMessageIsNackedWhileItsOwnLeaseLives(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 10, 4)
		_, outcome, err := w.store.AcquireTask(t.Context(), 7, store.Claim{Message: "same", TTL: leaseTime, Token: "dead"})
		if err != nil || outcome != store.Acquired {
			t.Fatal(outcome, err)
		}
		order := events.Order{Tasks: []calendarsync.TaskID{7}, Message: "same", Cause: queue.CauseNotify}
		if report := w.serve(order); !slices.Equal(report.Redelivered, []calendarsync.TaskID{7}) {
			t.Errorf("its own message: %+v", report)
		}
		if report := w.sync(7); len(report.Redelivered) != 0 || len(report.Busy) != 1 {
			t.Errorf("another message: %+v", report)
		}
		w.want(4, 9)
		advance(leaseTime)
		if report := w.serve(order); len(report.Redelivered) != 0 {
			t.Errorf("after the lease's end: %+v", report)
		}
		w.want(4, 10)
		w.wantQuiet(4)
	})
}

// Rule 1.5: an ERP that hangs costs no more than the time before the lease's end, and
// the key is recorded with the time of its next pass.
func TestAHangingERPIsRecordedBeforeTheLeaseEnds(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.erp.before = func(ctx context.Context) error {
			<-ctx.Done()
			return failure.Wrap(failure.Source, "read the tasks", ctx.Err())
		}
		began := time.Now()
		report := w.sync(7)
		if took := time.Since(began); took != leaseTime-10*time.Second || report.Failed != 1 || report.Unlisted != 1 {
			t.Errorf("took %v of a lease of %v: %+v", took, leaseTime, report)
		}
		rec := w.record(7)
		if rec.Failure == nil || rec.Failure.Kind != failure.Source || rec.DueAt.IsZero() || rec.Dirty == 0 || rec.LeaseToken != "" {
			t.Fatalf("recorded: %+v", rec.Work)
		}
		w.erp.before = nil
		w.rest()
		w.want(4, 9)
		w.wantQuiet(4)
	})
}

// Rule 1.5: a worker that comes too late settles nothing over its successor's record.
func TestALostLeaseSettlesNothing(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 10, 4)
		heir := w.newSyncer()
		once := false
		w.way.after = func(string, string) error {
			if !once {
				once = true
				advance(3 * leaseTime)
				w.open(7, 12, 4)
				if _, err := heir.Sync(t.Context(), events.Order{Tasks: []calendarsync.TaskID{7}, Message: "heir", Cause: queue.CauseNotify}); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		if report := w.sync(7); report.Unlisted != 1 {
			t.Errorf("%+v", report)
		}
		w.want(4, 12)
		w.way.after = nil
		w.rest()
		w.want(4, 12)
		w.wantQuiet(4)
	})
}

// Rules 1.5 and 2.2: one call for a change, and it names what it changes.
func TestChangesCarryIfMatch(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.sync(7)
		w.closed(7, 11, 4)
		w.sync(7)
		w.want(4)
		calls := w.google.Requests(fakegoogle.Filter{Method: "calendar.*"})
		if got := w.calls(); !slices.Equal(got, []string{"update", "delete"}) {
			t.Fatalf("called %v", got)
		}
		for _, c := range calls {
			if c.IfMatch == "" {
				t.Errorf("%s without If-Match", c.Method)
			}
		}
		w.wantQuiet(4)
	})
}

// Rule 1.6: a calendar that was retired since the pass read it gets no event.
func TestARetiredCalendarIsNotWritten(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.hire(5)
		w.open(7, 9, 4, 5)
		calendar := w.calendar(4)
		w.store.beforeIntend = func([]store.Intent) {
			w.store.beforeIntend = nil
			w.retire(4)
		}
		if report := w.sync(7); report.Writes != 1 || report.Failed != 0 {
			t.Errorf("%+v", report)
		}
		if n := len(w.google.Events(calendar)); n != 0 {
			t.Errorf("%d events in a retired calendar", n)
		}
		w.want(5, 9)
		w.sync(7)
		rec := w.record(7)
		if got := rec.Mapped(); !slices.Equal(got, []int64{5}) {
			t.Errorf("events of %v are remembered", got)
		}
	})
}

// What a calendar held that is gone is forgotten, and the new one gets its event
// (rule 1.6).
func TestAnotherCalendarGetsItsOwnEvent(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		former := w.mapping(7, 4).Epoch
		w.retire(4)
		w.sync(7)
		if rec := w.record(7); len(rec.Mapped()) != 0 {
			t.Errorf("still remembered: %+v", rec.Mappings)
		}
		w.hire(4)
		w.sync(7)
		w.want(4, 9)
		if m := w.mapping(7, 4); m.Epoch == former {
			t.Error("remembered for the former calendar")
		}
		w.wantQuiet(4)
	})
}
