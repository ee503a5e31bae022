package events_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// clearing orders the deletion of all own events of an employee's calendar.
func (w *world) clearing(id int64, retiring bool) events.Clearing {
	w.t.Helper()
	rec, _, err := w.store.Employee(w.t.Context(), id)
	w.must(err)
	return events.Clearing{Employee: calendarsync.EmployeeID(id), Calendar: rec.Calendar.ID, Epoch: rec.Calendar.Epoch,
		Retiring: retiring, Events: w.owned(id), Cause: queue.CauseConsole}
}

// Rules 4.10 and 4.12: an admin's order deletes whatever the ERP says, announced like any
// write, past the delete guard; of a calendar that is still the employee's, tombstones
// stay, to be revived.
func TestClearDeletesWhateverTheERPSays(t *testing.T) {
	for name, retiring := range map[string]bool{"rebuilt": false, "retiring": true} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				ids := w.many()
				order := w.clearing(4, retiring)
				if retiring {
					w.retire(4)
				}
				reads := w.erp.reads
				cleared, err := w.syncer.Clear(t.Context(), order)
				if want := (events.Cleared{Writes: len(ids)}); err != nil || cleared != want || w.erp.reads != reads {
					t.Fatalf("%+v, %v; %d reads", cleared, err, w.erp.reads-reads)
				}
				for _, e := range w.google.Events(order.Calendar) {
					if e.Status != "cancelled" {
						t.Errorf("event %s stays", e.Id)
					}
				}
				if a := w.activity()[0]; a.Action != "event.delete" || a.Result != "done" || a.Cause != "console" || a.Before == "" {
					t.Errorf("activity %+v", a)
				}
				if retiring {
					if recs, err := w.store.TasksOf(t.Context(), 4); err != nil || len(recs) != 0 {
						t.Errorf("%d tasks still concern the employee: %v", len(recs), err)
					}
					return
				}
				if m := w.mapping(ids[0], 4); m.State != store.MappingTombstone || m.GoneAt.IsZero() {
					t.Errorf("remembered as %+v", m)
				}
				w.sync(ids...)
				if n := len(w.live(4)); n != len(ids) {
					t.Errorf("%d events come back, want %d", n, len(ids))
				}
			})
		})
	}
}

// Rules 3.3 and 4.10: with the events of a calendar goes what is remembered of its doubles.
func TestClearForgetsDoubles(t *testing.T) {
	in(t, func(w *world) {
		w.doubled()
		w.way.before = lost
		w.audit(4)
		w.way.before = nil
		order := w.clearing(4, true)
		w.retire(4)
		if cleared, err := w.syncer.Clear(t.Context(), order); err != nil || cleared.Writes != 2 {
			t.Fatalf("%+v, %v", cleared, err)
		}
		if doubles := w.record(7).Doubles; len(doubles) > 0 {
			t.Errorf("still remembered: %+v", doubles)
		}
	}, webDeletionForbidsRevival)
}

// What another holds remains for another try, and what changed since it was listed is read; what
// was known of a task before is still to be looked at (rules 1.3 and 4.12).
func TestClearLeavesWhatItMayNotTouch(t *testing.T) {
	for name, row := range map[string]struct {
		before func(w *world)
		busy   int
		due    bool
	}{
		"at rest": {func(*world) {}, 0, false},
		"held by another": {func(w *world) {
			_, _, err := w.store.AcquireTask(w.t.Context(), 7, store.Claim{TTL: leaseTime, Token: "another"})
			w.must(err)
		}, 1, true},
		"changed since": {func(w *world) { w.must(w.google.MoveEvent(w.calendar(4), w.live(4)[0].Id, w.hour(20))) }, 0, false},
		"with a change not yet applied": {func(w *world) {
			w.must(w.store.MarkDirty(w.t.Context(), store.TaskKey(7), time.Now()))
		}, 0, true},
		"with a failure": {func(w *world) {
			w.hire(5)
			w.open(7, 9, 4, 5)
			w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", Status: http.StatusForbidden, Reason: "forbidden"})
			w.sync(7)
		}, 0, true},
		"told of a change meanwhile": {func(w *world) {
			w.way.before = func(string, string) error {
				w.way.before = nil
				w.sync(7)
				return nil
			}
		}, 0, true},
		"gone already": {func(w *world) { w.must(w.google.DeleteEvent(w.calendar(4), w.live(4)[0].Id)) }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				order := w.clearing(4, false)
				row.before(w)
				before := w.mapping(7, 4)
				cleared, err := w.syncer.Clear(t.Context(), order)
				if want := (events.Cleared{Writes: 1 - row.busy, Busy: row.busy}); err != nil || cleared != want {
					t.Fatalf("%+v, %v", cleared, err)
				}
				if row.busy == 1 && w.mapping(7, 4) != before {
					t.Errorf("remembered as %+v, before %+v", w.mapping(7, 4), before)
				}
				if due := !w.record(7).DueAt.IsZero(); due != row.due {
					t.Errorf("due: %v, want %v", due, row.due)
				}
			})
		})
	}
}

// Rule 3.9: an event that is to be cleared and that Google does not find is listed again.
func TestClearDoesNotBelieveAGone(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.delete", Status: http.StatusNotFound, Count: 2})
		for range 2 {
			if cleared, err := w.syncer.Clear(t.Context(), w.clearing(4, false)); err != nil || cleared.Writes != 0 || !failure.Is(cleared.Refused, failure.Gone) {
				t.Fatalf("%+v, %v", cleared, err)
			}
		}
		if cleared, err := w.syncer.Clear(t.Context(), w.clearing(4, false)); err != nil || cleared.Writes != 1 {
			t.Fatalf("%+v, %v", cleared, err)
		}
		w.want(4)
	})
}

// Rule 7.2: an event that Google refuses to clear costs none of the others; what it refuses
// to the account, or cannot do just now, ends it.
func TestClearGoesOnAfterARefusal(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		writes int
	}{
		"refused":         {&failure.Error{Kind: failure.Forbidden, Status: http.StatusForbidden}, 23},
		"changed again":   {&failure.Error{Kind: failure.Conflict, Status: http.StatusPreconditionFailed}, 23},
		"for the account": {&failure.Error{Kind: failure.Forbidden, Status: http.StatusForbidden, AccountWide: true}, 0},
		"not just now":    {&failure.Error{Kind: failure.Transient, Status: http.StatusServiceUnavailable}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				ids := w.many()
				order := w.clearing(4, false)
				first := w.mapping(ids[0], 4).EventID
				w.way.before = func(_, event string) error {
					if event == first {
						return row.err
					}
					return nil
				}
				cleared, err := w.syncer.Clear(t.Context(), order)
				if refused := row.writes > 0; cleared.Writes != row.writes || (cleared.Refused != nil) != refused || (err != nil) == refused {
					t.Errorf("%+v, %v", cleared, err)
				}
				if m := w.mapping(ids[0], 4); m.State != store.MappingLive {
					t.Errorf("remembered as %+v", m)
				}
			})
		})
	}
}

// Rule 2.4: a deletion whose outcome is not known leaves its intent open, and the event
// is read before it is written again.
func TestAClearingOfUnknownOutcomeStaysOpen(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.way.after = lost
		if _, err := w.syncer.Clear(t.Context(), w.clearing(4, false)); !failure.IsAmbiguous(err) {
			t.Fatalf("%v", err)
		}
		w.way.after = nil
		if m := w.mapping(7, 4); m.State != store.MappingDeleting || m.Owner == "" {
			t.Errorf("remembered as %+v", m)
		}
		w.google.ResetRequests()
		w.rest()
		if calls := w.calls(); len(calls) < 2 || calls[0] != "get" {
			t.Errorf("called %v", calls)
		}
		w.want(4, 9) // the task is still open
		w.wantQuiet(4)
	})
}

// Rule 3.3: of several generations the highest is what is remembered of a cleared
// calendar.
func TestClearRemembersTheHighestGeneration(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		lower := w.live(4)[0].Id
		w.must(w.google.DeleteEvent(w.calendar(4), lower))
		w.audit(4)
		w.must(w.google.RestoreEvent(w.calendar(4), lower))
		order := w.clearing(4, false)
		slices.SortFunc(order.Events, func(a, b googlecalendar.Event) int { return b.Mark.Generation - a.Mark.Generation })
		if cleared, err := w.syncer.Clear(t.Context(), order); err != nil || cleared.Writes != 2 {
			t.Fatalf("%+v, %v", cleared, err)
		}
		w.want(4)
		if m := w.mapping(7, 4); m.Generation != 1 || m.State != store.MappingTombstone {
			t.Errorf("remembered as %+v", m)
		}
	}, webDeletionForbidsRevival)
}
