package events_test

import (
	"context"
	"net/http"
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

func (w *world) pausedUntil() time.Time {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context())
	w.must(err)
	return a.PausedUntil
}

// due serves once what Poll would publish now.
func (w *world) due() {
	w.t.Helper()
	ids, err := w.store.DueKeys(w.t.Context(), store.Tasks, time.Now(), 100)
	w.must(err)
	for _, id := range ids {
		w.serve(events.Order{Tasks: []calendarsync.TaskID{calendarsync.TaskID(id)}, Cause: queue.CauseRetry})
	}
}

// Rule 6.6: quotaExceeded on an event stops all event writes until its end, also those
// of the same message, and each refusal in a row doubles the pause.
func TestGooglesLimitPausesAllEventWrites(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		var ids []calendarsync.TaskID
		var hours []int
		for h := range 24 {
			w.open(calendarsync.TaskID(100+h), h, 4)
			ids, hours = append(ids, calendarsync.TaskID(100+h)), append(hours, h)
		}
		fault := w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
		report := w.sync(ids...)
		// Those under way when it came were already on the road.
		if n := fault.Hits(); n < 1 || n > 4 {
			t.Errorf("%d refused calls", n)
		}
		if until := w.pausedUntil(); time.Until(until) != 15*time.Minute || !report.ParkedUntil.Equal(until) || report.Unlisted != 12 {
			t.Errorf("paused until %s at %s: %+v", until, time.Now(), report)
		}
		if recs, err := w.store.PendingTasks(t.Context(), 100); err != nil || len(recs) != len(ids) {
			t.Errorf("%d tasks pending, want %d: %v", len(recs), len(ids), err)
		}
		before := fault.Hits()
		for time.Now().Before(w.pausedUntil()) {
			w.due()
			advance(time.Minute)
		}
		if n := fault.Hits() - before; n != 0 {
			t.Errorf("%d calls during the pause", n)
		}
		advance(time.Minute)
		w.due()
		if got := time.Until(w.pausedUntil()); got != 30*time.Minute {
			t.Errorf("the second pause is %v", got)
		}
		fault.Remove()
		w.rest()
		w.want(4, hours...)
		if a, err := w.store.Account(t.Context()); err != nil || a.PauseSeconds != 0 {
			t.Errorf("the end of the pause is not recorded: %+v, %v", a, err)
		}
		w.wantQuiet(4)
	})
}

// Rule 6.6: what is due comes up again when the pause ends, not at every poll.
func TestKeysPutOffDuringAPauseAreNotDueBeforeItsEnd(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: http.StatusForbidden, Reason: "forbidden"})
		w.sync(7)
		until, err := w.store.PauseWrites(t.Context(), sub, failure.ReasonQuota)
		w.must(err)
		advance(14 * time.Minute) // the task's own rest is over, the pause is not
		w.due()
		if due := w.record(7).DueAt; !due.Equal(until) {
			t.Fatalf("due at %v, the pause ends at %v", due, until)
		}
		w.rest()
		w.want(4, 11)
		w.wantQuiet(4)
	})
}

// Rules 6.6 and 2.6: also the refusal of a write whose id is taken pauses all writes, and
// what is under the id is not forgotten.
func TestARefusalOfATakenIDPausesToo(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.open(7, 9, 4)
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
		w.google.Inject(fakegoogle.Fault{Method: "calendar.events.get", Status: http.StatusForbidden, Reason: "quotaExceeded"})
		w.sync(7)
		if !w.pausedUntil().After(time.Now()) {
			t.Error("not paused")
		}
		if m := w.mapping(7, 4); !m.Open() {
			t.Errorf("remembered as %+v", m)
		}
		w.rest()
		w.want(4, 9)
		w.wantQuiet(4)
	})
}

// Rule 7.2: a failure is recorded on its key with the time of the next pass, by its kind
// and longer each time; other tasks go on.
func TestAFailureIsRecordedOnItsKey(t *testing.T) {
	for name, row := range map[string]struct {
		status int
		reason string
		kind   failure.Kind
		rests  [2]time.Duration
	}{
		"forbidden": {http.StatusForbidden, "forbidden", failure.Forbidden, [2]time.Duration{10 * time.Minute, 20 * time.Minute}},
		"invalid":   {http.StatusBadRequest, "invalid", failure.Invalid, [2]time.Duration{10 * time.Minute, 20 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				w.open(7, 11, 4)
				w.open(8, 15, 4)
				fault := w.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: row.status, Reason: row.reason, Count: -1})
				for i, rest := range row.rests {
					began := time.Now()
					report := w.sync(7, 8)
					rec := w.record(7)
					if rec.Failure == nil || rec.Failure.Kind != row.kind || rec.Failure.Count != i+1 || rec.DueAt.Sub(began) != rest || report.Failed != 1 {
						t.Errorf("failure %d: %+v, due after %s", i+1, rec.Failure, rec.DueAt.Sub(began))
					}
					advance(rest)
				}
				w.want(4, 9, 15)
				fault.Remove()
				w.rest()
				w.want(4, 11, 15)
				w.wantQuiet(4)
			})
		})
	}
}

// A calendar that is gone is found out about by the employee's own pass (rule 3.4).
func TestACalendarThatIsGoneIsRelisted(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(7, 11, 4)
		w.must(w.google.DeleteCalendar(w.calendar(4)))
		if report := w.sync(7); !slices.Equal(report.Relist, []int64{4}) || report.Failed != 1 {
			t.Errorf("%+v", report)
		}
	})
}

// Rule 8.1: a notification may overtake the ERP's own commit: a pass that finds nothing
// new is repeated at the next poll, once.
func TestANotificationThatFindsNothingNewIsLookedAtAgain(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.sync(7)
		if w.record(7).DueAt.IsZero() {
			t.Fatal("nobody looks again")
		}
		w.open(7, 11, 4) // the commit
		w.due()
		w.want(4, 11)
		w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: queue.CauseRetry})
		if !w.record(7).DueAt.IsZero() {
			t.Error("looked at for ever")
		}
	})
}

// Rule 8.1, found by the simulation: a pass before one that was still to come may do its
// work, and come too early for its own.
func TestAPassBeforeOneThatIsStillToComeIsLookedAtAgain(t *testing.T) {
	causes := []queue.Cause{queue.CauseNotify, queue.CausePoll, queue.CauseReconcile, queue.CauseConsole, queue.CauseFill}
	for name, first := range map[string]func(w *world){
		"a notification too early": func(w *world) {
			w.sync(7)
			w.open(7, 11, 4)
		},
		"a failure": func(w *world) {
			w.open(7, 11, 4)
			fault := w.google.Inject(fakegoogle.Fault{Method: "calendar.events.*", Status: http.StatusBadRequest, Count: -1})
			w.sync(7)
			fault.Remove()
		},
	} {
		for _, cause := range causes {
			t.Run(name+", then "+string(cause), func(t *testing.T) {
				in(t, func(w *world) {
					w.withEvent()
					first(w)
					w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: cause}) // overtook the second change
					w.want(4, 11)
					w.wantLookedAtOnce()
				})
			})
		}
	}
}

// Rule 8.1: a notification that comes during a pass may have overtaken its commit, too,
// whatever the pass is for and whatever it leaves to the next.
func TestANotificationDuringAPassIsLookedAtAgain(t *testing.T) {
	for _, cause := range []queue.Cause{queue.CauseNotify, queue.CauseRetry} {
		for name, leave := range map[string]func(w *world, reading int) error{
			"found at once": func(w *world, reading int) error {
				if reading == 1 {
					w.open(7, 11, 4)
				}
				return nil
			},
			"found by the next": func(w *world, reading int) error {
				if reading == 2 {
					w.open(7, 11, 4)
				}
				return nil
			},
			"not read": func(w *world, reading int) error {
				w.open(7, 11, 4)
				if reading == 1 {
					return failure.New(failure.Source, "read", "")
				}
				return nil
			},
			"not written": func(w *world, reading int) error {
				w.open(7, 11, 4)
				if reading == 1 {
					w.google.Inject(fakegoogle.Fault{Method: "calendar.events.*", Status: http.StatusBadRequest, Count: 1})
				}
				return nil
			},
		} {
			t.Run(string(cause)+", "+name, func(t *testing.T) {
				in(t, func(w *world) {
					w.withEvent()
					reading := 0
					w.erp.before = func(context.Context) error {
						reading++
						if reading == 1 {
							w.sync(7) // finds the lease held
						}
						return leave(w, reading)
					}
					w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: cause})
					w.erp.before = nil
					w.want(4, 11)
					w.wantLookedAtOnce()
				})
			})
		}
	}
}

// wantLookedAtOnce has the ERP commit what a notification told of before, and wants the
// next poll to find it, and none after it to look.
func (w *world) wantLookedAtOnce() {
	w.t.Helper()
	w.open(7, 12, 4)
	w.due()
	w.want(4, 12)
	if !w.record(7).DueAt.IsZero() {
		w.t.Error("looked at for ever")
	}
}

// Rule 8.2, found by the simulation: a deletion that is told before the ERP shows it is
// looked for once more: no list of changes would tell of it later.
func TestADeletionToldBeforeTheERPShowsItIsLookedForAgain(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: queue.CauseNotify, Deleted: true})
		w.want(4, 9) // as the ERP still has it
		w.deleted(7)
		advance(time.Minute)
		w.due()
		w.want(4)
		w.rest()
		w.wantQuiet(4)
	})
}

// Rule 7.5: disconnected in the middle of a message, what is known stays dirty, nothing
// is deleted, and everything goes on after the next connection.
func TestDisconnectedInTheMiddleNothingIsLost(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.open(8, 15, 4)
		w.closed(7, 9, 4)
		revoked := failure.New(failure.Revoked, "call Google", "disconnected")
		w.way.before = func(string, string) error {
			w.accountErr = revoked
			return revoked
		}
		w.sync(7)
		w.sync(8)
		w.want(4, 9)
		for _, id := range []calendarsync.TaskID{7, 8} {
			if rec := w.record(id); rec.Dirty == 0 || rec.DueAt.IsZero() {
				t.Errorf("task %d is at rest: %+v", id, rec.Work)
			}
		}
		w.way.before, w.accountErr = nil, nil
		w.rest()
		w.want(4, 15)
		w.wantQuiet(4)
	})
}

// Before there is a tenant nothing can be marked, so nothing is written (rule 3.1).
func TestNothingIsWrittenWithoutATenant(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.open(7, 9, 4)
		w.syncer.Tenant = noTenant{}
		w.sync(7)
		w.want(4)
		if f := w.record(7).Failure; f == nil || f.Kind != failure.Misconfigured {
			t.Errorf("recorded as %+v", f)
		}
	})
}

type noTenant struct{}

func (noTenant) Installation(context.Context) (store.InstallationRecord, error) {
	return store.InstallationRecord{}, nil
}
