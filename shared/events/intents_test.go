package events_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 2.4: an update took effect, and its maker died; the next pass finds all well.
// When the task then moves back to where it was before that update, the event has to
// follow: what was remembered before the lost update is not what is there.
func TestAnUpdateThatOutlivedItsMakerIsRemembered(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.syncUnanswered(7)
		w.google.ResetRequests()
		w.rest()
		w.want(4, 11)
		if wrote := w.writes(); len(wrote) != 0 {
			t.Errorf("wrote %v over what had arrived", wrote)
		}
		w.open(7, 9, 4)
		w.sync(7)
		w.want(4, 9)
		w.wantQuiet(4)
	})
}

// The same where what follows the recovery is refused (rule 2.4).
func TestARefusedWriteAfterARecoveryKeepsWhatWasRead(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.syncUnanswered(7)
		w.open(7, 12, 4)
		refuse := w.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: http.StatusForbidden, Reason: "forbidden", Count: -1})
		advance(10 * time.Minute)
		w.sync(7)
		if refuse.Hits() != 1 {
			t.Fatalf("%d refusals", refuse.Hits())
		}
		refuse.Remove()
		w.open(7, 9, 4)
		w.sync(7)
		w.want(4, 9)
		w.wantQuiet(4)
	})
}

// Rule 2.4: an open intent of an owner who may still be at it is left alone until its
// deadline and the grace are over; then the event is read before it is written.
func TestAnOpenIntentIsLeftUntilItCannotArriveAnyMore(t *testing.T) {
	for name, lose := range map[string]func(w *world, hook func(string, string) error){
		"it arrived":       func(w *world, hook func(string, string) error) { w.way.after = hook },
		"it never arrived": func(w *world, hook func(string, string) error) { w.way.before = hook },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.hire(4)
				w.open(7, 9, 4)
				lose(w, lost)
				w.sync(7)
				w.way.before, w.way.after = nil, nil
				until := w.mapping(7, 4).Deadline.Add(leaseTime * 2 / 3)
				w.google.ResetRequests()
				for time.Now().Before(until) {
					w.sync(7)
					if calls := w.calls(); len(calls) > 0 {
						t.Fatalf("%v at %v, open until %v", calls, time.Now(), until)
					}
					advance(10 * time.Second)
				}
				if due := w.record(7).DueAt; due.After(until) || due.IsZero() {
					t.Fatalf("due at %v, the intent ends at %v", due, until)
				}
				w.rest()
				if calls := w.calls(); len(calls) == 0 || calls[0] != "get" {
					t.Fatalf("called %v, and did not read first", calls)
				}
				w.want(4, 9)
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 2.4: the vouching of a signed deletion outlives the wait for an open intent, so
// that the ERP's last task can go.
func TestASignedDeletionIsNotForgottenWhileAnIntentIsOpen(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.syncUnanswered(7)
		w.erp.tasks[7] = calendarsync.TaskReading{Absent: calendarsync.ProofEmptyList}
		w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: queue.CauseNotify, Deleted: true})
		began := time.Now()
		w.rest()
		w.want(4)
		if took := time.Since(began); took >= absenceTime {
			t.Errorf("took %v: as for an absence that nobody vouched for", took)
		}
		w.wantQuiet(4)
	})
}

// Rule 2.5, found by a simulated history: an insert whose answer was lost is repeated
// in place, its id is taken, and Google does not show the event: the next id is used,
// and both were written to.
func TestEachIDThatWasTriedKeepsItsRecord(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.open(7, 9, 4)
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.get", Status: http.StatusNotFound, Count: -1})
		w.sync(7)
		w.rest()
		made := w.google.Events(w.calendar(4))
		if len(made) != 2 {
			t.Fatalf("%d events were made, want one of each generation", len(made))
		}
		for _, e := range made {
			if !slices.ContainsFunc(w.activity(), func(a store.ActivityRecord) bool { return a.Event == e.Id && a.Result != "" }) {
				t.Errorf("no record of the write to %s", e.Id)
			}
		}
	})
}

// Rule 2.6, found by the simulation: an insert whose answer was lost is refused when it
// is repeated, because its id is taken; if what is there cannot be read just then, it is
// not forgotten.
func TestAnEventUnderATakenIDThatCannotBeReadIsNotForgotten(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.get", Status: http.StatusForbidden, Reason: "forbidden", Count: 2})
		w.open(7, 9, 4)
		w.sync(7)
		w.want(4, 9) // it is there, and nobody knows
		w.closed(7, 9, 4)
		w.sync(7)
		w.rest()
		w.want(4)
		w.wantQuiet(4)
	})
}

// Rule 2.4, found by the simulation: a write took effect and its answer was lost; repeated it is
// refused, and what is there cannot be read just then. When the task moves back to where it was
// before, the event has to follow.
func TestAWriteThatIsRefusedAfterItTookEffectIsNotTakenForUndone(t *testing.T) {
	refusal := func(method string) fakegoogle.Fault {
		return fakegoogle.Fault{Method: "calendar.events." + method, Status: http.StatusConflict, Reason: "duplicate", Count: 2}
	}
	for name, row := range map[string]struct {
		change func(w *world)
		faults []fakegoogle.Fault
	}{
		"an update": {func(w *world) { w.open(7, 11, 4) }, []fakegoogle.Fault{
			{Method: "calendar.events.update", LoseResponse: true}, refusal("get")}},
		"a deletion": {func(w *world) { w.closed(7, 9, 4) }, []fakegoogle.Fault{
			{Method: "calendar.events.delete", LoseResponse: true}, refusal("delete"), refusal("get")}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				for _, f := range row.faults {
					w.google.Inject(f)
				}
				row.change(w)
				w.sync(7)
				w.google.ClearFaults()
				w.open(7, 9, 4)
				w.sync(7)
				w.rest()
				w.want(4, 9)
				w.wantQuiet(4)
			})
		})
	}
}
