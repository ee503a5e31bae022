package events_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rules 4.1 and 4.2: evidence deletes at once, absence only in two readings far enough
// apart, and with a recovery in between not at all.
func TestEvidenceDeletesAtOnceAndAbsenceOnlyTwice(t *testing.T) {
	type change = func(*calendarsync.Task)
	for name, row := range map[string]struct {
		change change // nil: the ERP lacks the task
		absent bool
	}{
		"another state":    {func(t *calendarsync.Task) { t.State = calendarsync.Say(hidden) }, false},
		"undated":          {func(t *calendarsync.Task) { t.Start = calendarsync.Say(calendarsync.LocalTime{}) }, false},
		"reassigned":       {func(t *calendarsync.Task) { t.Executors = calendarsync.Say([]calendarsync.EmployeeID{5}) }, false},
		"task missing":     {nil, true},
		"executors absent": {func(t *calendarsync.Task) { t.Executors = calendarsync.Given[[]calendarsync.EmployeeID]{} }, true},
		"date absent":      {func(t *calendarsync.Task) { t.Start = calendarsync.Given[calendarsync.LocalTime]{} }, true},
		"state absent":     {func(t *calendarsync.Task) { t.State = calendarsync.Given[calendarsync.StateID]{} }, true},
		"unknown state":    {func(t *calendarsync.Task) { t.State = calendarsync.Say(calendarsync.StateID(77)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				vanish := func() {
					if row.change == nil {
						w.deleted(7)
					} else {
						w.says(7, 9, []calendarsync.EmployeeID{4}, row.change)
					}
				}
				vanish()
				w.sync(7)
				if !row.absent {
					w.want(4)
					w.open(7, 9, 4)
					w.sync(7)
					w.want(4, 9)
					w.wantQuiet(4)
					return
				}
				w.want(4, 9)
				since := w.mapping(7, 4).AbsentSince
				if since.IsZero() {
					t.Fatal("no absence is recorded")
				}
				advance(absenceTime - time.Minute)
				w.sync(7)
				w.want(4, 9)
				if got := w.mapping(7, 4).AbsentSince; !got.Equal(since) {
					t.Fatalf("absent since %v, then %v", since, got)
				}
				w.open(7, 9, 4)
				w.sync(7)
				if !w.mapping(7, 4).AbsentSince.IsZero() {
					t.Fatal("the absence outlived the recovery")
				}
				w.rest()
				vanish()
				began := time.Now()
				w.sync(7)
				w.want(4, 9)
				w.rest()
				w.want(4)
				if took := time.Since(began); took < absenceTime {
					t.Errorf("gone after %v", took)
				}
				w.open(7, 9, 4)
				w.sync(7)
				w.want(4, 9)
				w.rest()
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 4.1: a signed deletion together with a reading that lacks the task is evidence,
// also where the ERP has no task left.
func TestASignedDeletionIsEvidence(t *testing.T) {
	for name, reading := range map[string]calendarsync.TaskReading{
		"others are there": {Absent: calendarsync.ProofKnownID}, "none is left": {Absent: calendarsync.ProofEmptyList},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				w.erp.tasks[7] = reading
				w.serve(events.Order{Tasks: []calendarsync.TaskID{7}, Cause: queue.CauseNotify, Deleted: true})
				w.want(4)
				w.rest()
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 4.1: an ERP that has no tasks at all, one that is not believable, and an answer
// that lacks the task prove nothing.
func TestWhatCannotBeBelievedDeletesNothing(t *testing.T) {
	for name, reading := range map[string]calendarsync.TaskReading{
		"no tasks at all": {Absent: calendarsync.ProofEmptyList},
		"not believable":  {Invalid: failure.New(failure.SourceInvalid, "read task 7", "")},
		"left out":        {},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				w.erp.tasks[7] = reading
				for range 5 {
					w.sync(7)
					advance(absenceTime)
				}
				w.want(4, 9)
				if f := w.record(7).Failure; f == nil || f.Kind != failure.SourceInvalid {
					t.Errorf("recorded as %+v", f)
				}
				w.open(7, 9, 4)
				w.rest()
				w.want(4, 9)
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 4.1: an adopted event does not say why it is there, so that divisions left out
// are no evidence against it.
func TestAnAdoptedEventMayHaveComeByADivision(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		lease, _, err := w.store.AcquireTask(t.Context(), 7, store.Claim{TTL: leaseTime, Token: "forget"})
		w.must(err)
		_, err = w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Mappings: map[int64]*store.Mapping{4: nil}})
		w.must(err)
		w.says(7, 9, nil, func(t *calendarsync.Task) { t.Divisions = calendarsync.Given[[]calendarsync.DivisionID]{} })
		w.audit(4)
		w.want(4, 9)
		if w.mapping(7, 4).AbsentSince.IsZero() {
			t.Error("no absence is recorded")
		}
	})
}

// Rule 4.2: it is the readings that are ten minutes apart, not the leases around them.
func TestAbsenceIsCountedFromTheReading(t *testing.T) {
	const slow = 40 * time.Second
	in(t, func(w *world) {
		w.withEvent()
		w.deleted(7)
		w.erp.before = func(context.Context) error { advance(slow); return nil }
		began := time.Now()
		w.sync(7)
		w.erp.before = nil
		advance(absenceTime - slow + time.Second) // ten minutes after the lease
		if time.Since(began) < absenceTime {
			t.Fatal("too early to tell")
		}
		w.sync(7)
		w.want(4, 9)
		advance(slow)
		w.sync(7)
		w.want(4)
	})
}

// Rule 4.2: two readings that lack different things are each a first one.
func TestReadingsThatLackDifferentThingsDoNotAddUp(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.says(7, 9, nil, func(t *calendarsync.Task) { t.Executors = calendarsync.Given[[]calendarsync.EmployeeID]{} })
		w.sync(7)
		advance(absenceTime + time.Minute)
		w.deleted(7)
		w.sync(7)
		w.want(4, 9)
		advance(absenceTime + time.Minute)
		w.sync(7)
		w.want(4)
	})
}

// many gives an employee, 4, one event an hour of the day.
func (w *world) many() (ids []calendarsync.TaskID) {
	w.t.Helper()
	w.hire(4)
	for h := range 24 {
		w.open(calendarsync.TaskID(100+h), h, 4)
		ids = append(ids, calendarsync.TaskID(100+h))
	}
	w.sync(ids...)
	advance(time.Minute)
	return ids
}

func (w *world) alarms() int { return strings.Count(w.log.String(), `"alarm":"deletions-held"`) }

// Rules 4.3, 4.4 and 4.5: absence takes ten events a day; the rest is held under one
// alarm, while what is not held goes on, and goes once an admin has confirmed it.
func TestAbsenceTakesTenEventsADayAndHoldsTheRest(t *testing.T) {
	in(t, func(w *world) {
		ids := w.many()
		w.hire(5, 20)
		for _, id := range ids[:20] {
			w.says(id, 9, nil, func(t *calendarsync.Task) { t.Executors = calendarsync.Given[[]calendarsync.EmployeeID]{} })
		}
		w.sync(ids...)
		w.rest()
		if n := len(w.live(4)); n != 14 || w.alarms() != 1 {
			t.Fatalf("%d events, want 14; %d alarms", n, w.alarms())
		}
		plan, err := w.store.Held(t.Context())
		if err != nil || plan.Events != 10 {
			t.Fatalf("%d events are held: %v", plan.Events, err)
		}
		held := calendarsync.TaskID(plan.Keys[0].ID)
		if m := w.mapping(held, 4); m.HeldFor != string(calendarsync.ReasonStaffMissing) || m.AbsentSince.IsZero() {
			t.Errorf("held as %+v", m)
		}
		// Another's event of the same task comes all the same (rule 4.4).
		w.says(held, 9, nil, func(t *calendarsync.Task) {
			t.Executors, t.Divisions = calendarsync.Given[[]calendarsync.EmployeeID]{}, calendarsync.Say([]calendarsync.DivisionID{20})
		})
		w.sync(held)
		if here, there := len(w.live(4)), len(w.live(5)); here != 14 || there != 1 {
			t.Errorf("%d and %d events, want 14 and 1", here, there)
		}
		// One recovers, the others are confirmed (rule 4.5).
		w.open(held, 9, 4)
		w.sync(held)
		if m := w.mapping(held, 4); !m.HeldSince.IsZero() || m.HeldFor != "" {
			t.Errorf("still held: %+v", m)
		}
		for _, k := range plan.Keys[1:] {
			w.must(w.store.Allow(t.Context(), k.Key))
		}
		w.rest()
		if n := len(w.live(4)); n != 5 || w.alarms() != 1 {
			t.Errorf("%d events, want 5; %d alarms", n, w.alarms())
		}
		w.wantQuiet(4)
	})
}

// Rule 4.5: a confirmation holds for a day.
func TestAConfirmationEnds(t *testing.T) {
	in(t, func(w *world) {
		ids := w.many()
		for _, id := range ids {
			w.says(id, 9, nil, func(t *calendarsync.Task) { t.Executors = calendarsync.Given[[]calendarsync.EmployeeID]{} })
		}
		w.sync(ids...)
		w.rest()
		plan, err := w.store.Held(t.Context())
		w.must(err)
		key := plan.Keys[0].Key
		before := len(w.live(4))
		w.must(w.store.Allow(t.Context(), key))
		advance(25 * time.Hour)
		w.sync(calendarsync.TaskID(key.ID))
		if n := len(w.live(4)); n != before {
			t.Errorf("%d events, want %d: the confirmation is old", n, before)
		}
		w.must(w.store.Allow(t.Context(), key))
		w.sync(calendarsync.TaskID(key.ID))
		if n := len(w.live(4)); n != before-1 {
			t.Errorf("%d events, want %d", n, before-1)
		}
	})
}

// Rule 4.3: closing tasks one by one never counts; a state that changed its role does.
func TestClosingIsNotCountedButAChangedRoleIs(t *testing.T) {
	for name, row := range map[string]struct {
		close func(w *world, ids []calendarsync.TaskID)
		stay  int
	}{
		"closed": {func(w *world, ids []calendarsync.TaskID) {
			for _, id := range ids {
				w.closed(id, 9, 4)
			}
		}, 0},
		"the role changed": {func(w *world, _ []calendarsync.TaskID) {
			w.rules.catalogue.States[99] = calendarsync.State{ID: 99, Role: 1}
			w.rules.catalogue.States[shown] = calendarsync.State{ID: shown, Role: 3}
		}, 14},
		// A shown role gone from the catalogue is absence (rule 4.1).
		"the role is gone": {func(w *world, _ []calendarsync.TaskID) {
			w.rules.catalogue.States[shown] = calendarsync.State{ID: shown, Role: 3}
		}, 14},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				ids := w.many()
				row.close(w, ids)
				w.sync(ids...)
				w.rest()
				if n := len(w.live(4)); n != row.stay {
					t.Errorf("%d events stay, want %d", n, row.stay)
				}
				if held := row.stay > 0; held != (w.alarms() == 1) {
					t.Errorf("%d alarms", w.alarms())
				}
			})
		})
	}
}

// Rules 4.6, 4.7 and 7.5: while nothing may be written, nothing is read or written, and
// the keys stay dirty for Poll to bring up.
func TestNothingIsDoneWhileNothingMayBeWritten(t *testing.T) {
	for name, row := range map[string]struct{ stop, start func(w *world) }{
		"paused":      {func(w *world) { w.rules.settings.Enabled = false }, func(w *world) { w.rules.settings.Enabled = true }},
		"unconfirmed": {func(w *world) { w.rules.settings.Confirmed = false }, func(w *world) { w.rules.settings.Confirmed = true }},
		"misconfigured": {func(w *world) { w.rules.err = failure.New(failure.Misconfigured, "read settings", "") },
			func(w *world) { w.rules.err = nil }},
		"disconnected": {func(w *world) { w.accountErr = failure.New(failure.Revoked, "read the account", "") },
			func(w *world) { w.accountErr = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				w.closed(7, 9, 4)
				row.stop(w)
				reads := w.erp.reads
				if report := w.sync(7); report.Unlisted != 1 || report.Failed != 0 {
					t.Errorf("%+v", report)
				}
				if rec := w.record(7); rec.Dirty == 0 || rec.DueAt.IsZero() || rec.Failure != nil {
					t.Errorf("at rest: %+v", rec.Work)
				}
				if w.erp.reads != reads || len(w.calls()) != 0 {
					t.Errorf("read the ERP %d times, called %v", w.erp.reads-reads, w.calls())
				}
				w.want(4, 9)
				row.start(w)
				w.rest()
				w.want(4)
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 3.9: a deletion that is answered 404 is done only when that is said again long
// enough afterwards; 410 is definite.
func TestADeletionThatFindsNothingIsLookedAtAgain(t *testing.T) {
	for name, row := range map[string]struct {
		status  int
		methods []string
		lasts   time.Duration
		vanish  bool // the event is really gone
		open    bool // after the deletion
	}{
		"404 once":                {http.StatusNotFound, []string{"calendar.events.delete"}, absenceTime / 2, false, true},
		"404 of both for a while": {http.StatusNotFound, []string{"calendar.events.delete", "calendar.events.get"}, absenceTime / 2, false, true},
		"404 of both for long":    {http.StatusNotFound, []string{"calendar.events.delete", "calendar.events.get"}, 3 * absenceTime, false, true},
		"404 of all for long":     {http.StatusNotFound, []string{"calendar.*"}, 3 * absenceTime, false, true},
		"it is gone":              {http.StatusNotFound, nil, 0, true, true},
		"410":                     {http.StatusGone, []string{"calendar.events.delete"}, absenceTime / 2, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				if row.vanish {
					m := w.mapping(7, 4)
					w.must(w.google.DeleteEvent(w.calendar(4), m.EventID))
					w.must(w.google.EmptyBin(w.calendar(4)))
				}
				for _, method := range row.methods {
					w.google.Begin(fakegoogle.Spell{Fault: fakegoogle.Fault{Method: method, Status: row.status, Count: -1}, For: row.lasts})
				}
				w.closed(7, 9, 4)
				w.sync(7)
				if m := w.mapping(7, 4); m.Open() != row.open || row.open == m.GoneSince.IsZero() {
					t.Errorf("remembered as %+v", m)
				}
				w.rest()
				if m := w.mapping(7, 4); m.State != store.MappingTombstone || !m.GoneSince.IsZero() {
					t.Errorf("in the end it is %+v", m)
				}
				w.want(4)
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 3.2: a deletion that meets an event that was changed meanwhile reads it, and leaves
// one that lost its mark.
func TestADeletionLeavesWhatLostItsMark(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.witness()
		id := w.live(4)[0].Id
		w.must(w.google.EditEvent(w.calendar(4), id, func(e *calendar.Event) { e.ExtendedProperties = nil }))
		w.closed(7, 9, 4)
		w.sync(7)
		w.want(4, 9)
		if m := w.mapping(7, 4); m.State != store.MappingTombstone {
			t.Errorf("remembered as %+v", m)
		}
	})
}
