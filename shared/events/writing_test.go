package events_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 2.1: each write is announced before its call, with its activity, and recorded
// after it.
func TestEachWriteIsAnnouncedAndRecorded(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		announced := map[string]store.MappingState{}
		w.way.before = func(call, event string) error {
			m := w.mapping(7, 4)
			if m.EventID != event || m.Owner == "" || !m.Deadline.After(time.Now()) {
				t.Errorf("%s of %s, announced %+v", call, event, m)
			}
			announced[call] = m.State
			if open := w.activity()[0]; open.Event != event || open.Result != "" || open.Action != "event."+call {
				t.Errorf("%s of %s, activity %+v", call, event, open)
			}
			return nil
		}
		w.open(7, 9, 4)
		w.sync(7)
		advance(time.Second)
		w.open(7, 11, 4)
		w.sync(7)
		if m := w.mapping(7, 4); m.State != store.MappingLive || m.Owner != "" || !m.Deadline.IsZero() || m.Sent == "" || m.Returned == "" || m.ETag == "" || m.Via != calendarsync.ViaExecutor {
			t.Errorf("remembered as %+v", m)
		}
		advance(time.Second)
		w.closed(7, 11, 4)
		w.sync(7)
		if m := w.mapping(7, 4); m.State != store.MappingTombstone || m.GoneAt.IsZero() || m.Sent != "" {
			t.Errorf("remembered as %+v", m)
		}
		if len(announced) != 3 || announced["insert"] != store.MappingIntended || announced["update"] != store.MappingIntended || announced["delete"] != store.MappingDeleting {
			t.Errorf("announced %v", announced)
		}
		recs := w.activity()
		if len(recs) != 3 {
			t.Fatalf("%d activities", len(recs))
		}
		for _, a := range recs {
			if a.Result != "done" || a.Cause != "notify" || a.Task != 7 || a.Employee != 4 {
				t.Errorf("activity %+v", a)
			}
		}
		// The latest first: each begins with what the one before it left.
		if recs[0].Before != recs[1].After || recs[1].Before != recs[2].After || recs[2].Before != "" || recs[0].After != "" {
			t.Errorf("hashes: %+v", recs)
		}
	})
}

// Rule 2.2: nothing to send and no drift costs no call, and two divisions' members and
// executors cost one each.
func TestNoCallForNothing(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.hire(5, 20)
		w.says(7, 9, []calendarsync.EmployeeID{4}, func(t *calendarsync.Task) { t.Divisions = calendarsync.Say([]calendarsync.DivisionID{20, 21}) })
		w.google.ResetRequests()
		w.sync(7)
		w.want(5, 9)
		if calls := w.calls(); !slices.Equal(calls, []string{"insert"}) {
			t.Errorf("called %v", calls)
		}
		w.google.ResetRequests()
		w.sync(7)
		if calls := w.calls(); len(calls) != 0 {
			t.Errorf("called %v for nothing", calls)
		}
		if via := w.mapping(7, 5).Via; via != calendarsync.ViaDivision {
			t.Errorf("via %q", via)
		}
	})
}

// Rules 2.2, 2.3 and 3.3: whatever the owner did meanwhile is read, and overwritten.
func TestWhatTheOwnerDidMeanwhileIsReadAndOverwritten(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world, c, e string) error{
		"moved": func(w *world, c, e string) error { return w.google.MoveEvent(c, e, w.hour(20)) },
		"edited": func(w *world, c, e string) error {
			return w.google.EditEvent(c, e, func(e *calendar.Event) { e.Summary = "No" })
		},
		"deleted": func(w *world, c, e string) error { return w.google.DeleteEvent(c, e) },
		"deleted for good": func(w *world, c, e string) error {
			return errors.Join(w.google.DeleteEvent(c, e), w.google.EmptyBin(c))
		},
		"deleted and restored": func(w *world, c, e string) error {
			return errors.Join(w.google.DeleteEvent(c, e), w.google.RestoreEvent(c, e))
		},
		"sequence raised": func(w *world, _, _ string) error {
			// Another client of the account, with the API: the sequence grows.
			w.google.Inject(fakegoogle.Fault{Method: "calendar.events.update", Status: http.StatusBadRequest, Reason: "invalid"})
			return nil
		},
	} {
		for forbids, options := range map[string][]func(*fakegoogle.Options){"revivable": nil, "not revivable": {webDeletionForbidsRevival}} {
			for cause, act := range map[string]struct {
				do   func(w *world)
				want []int
			}{
				"move":  {func(w *world) { w.open(7, 11, 4); w.sync(7) }, []int{11}},
				"close": {func(w *world) { w.closed(7, 9, 4); w.sync(7) }, nil},
				"audit": {func(w *world) { w.audit(4) }, []int{9}},
			} {
				t.Run(name+"/"+forbids+"/"+cause, func(t *testing.T) {
					in(t, func(w *world) {
						w.withEvent()
						w.must(meanwhile(w, w.calendar(4), w.live(4)[0].Id))
						act.do(w)
						if name != "deleted for good" { // which is believed when it is said again (rule 3.9)
							w.want(4, act.want...)
						}
						w.rest()
						w.want(4, act.want...)
						w.wantQuiet(4)
					}, options...)
				})
			}
		}
	}
}

// Rules 2.3 and 8.4: what the listing shows otherwise is counted by kind, and by the
// fields that differ.
func TestDriftIsReported(t *testing.T) {
	for name, row := range map[string]struct {
		do     func(w *world, c, e string) error
		kind   string
		fields []string
	}{
		"moved": {func(w *world, c, e string) error { return w.google.MoveEvent(c, e, w.hour(20)) }, events.DriftMoved, []string{"start", "end"}},
		"edited": {func(w *world, c, e string) error {
			return w.google.EditEvent(c, e, func(e *calendar.Event) { e.Summary = "No" })
		}, events.DriftEdited, []string{"title"}},
		"deleted": {func(w *world, c, e string) error { return w.google.DeleteEvent(c, e) }, events.DriftDeleted, nil},
		"restored": {func(w *world, c, e string) error {
			w.closed(7, 9, 4)
			w.sync(7)
			return w.google.RestoreEvent(c, e)
		}, events.DriftRestored, nil},
		"nothing": {func(*world, string, string) error { return nil }, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				w.must(row.do(w, w.calendar(4), w.live(4)[0].Id))
				report := w.audit(4)
				if row.kind == "" {
					if len(report.Drift) != 0 || report.Writes != 0 {
						t.Errorf("%+v", report)
					}
					return
				}
				if report.Drift[row.kind] != 1 || len(report.Drift) != 1 || len(report.Fields) != len(row.fields) {
					t.Errorf("drift %v, fields %v", report.Drift, report.Fields)
				}
				for _, f := range row.fields {
					if report.Fields[f] != 1 {
						t.Errorf("fields %v, want %v", report.Fields, row.fields)
					}
				}
				w.wantQuiet(4)
			})
		})
	}
}

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

// Rule 3.9: an id that is taken and not found is doubted like any absence: what is under
// it may be the event. Believed at once, a spell of 404 doubled it.
func TestATakenIDThatIsNotFoundIsDoubted(t *testing.T) {
	for name, spell := range map[string]time.Duration{"a moment": 0, "some minutes": absenceTime / 2} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.hire(4)
				w.open(7, 9, 4)
				w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
				missing := w.google.Inject(fakegoogle.Fault{Method: "calendar.events.get", Status: http.StatusNotFound, Count: -1})
				report := w.sync(7)
				if report.Failed != 0 || len(w.google.Events(w.calendar(4))) != 1 {
					w.t.Fatalf("%+v, %d events", report, len(w.google.Events(w.calendar(4))))
				}
				if m := w.mapping(7, 4); !m.Open() || m.Generation != 0 || m.GoneSince.IsZero() {
					w.t.Errorf("remembered as %+v", m)
				}
				advance(spell)
				w.sync(7)
				missing.Remove()
				w.rest()
				w.want(4, 9)
				if n := len(w.google.Events(w.calendar(4))); n != 1 {
					w.t.Errorf("%d events were made", n)
				}
				w.wantQuiet(4)
			})
		})
	}
}

// Rules 3.3 and 3.9: of an event that we deleted long ago Google may remember the id
// alone; then the next generation takes its place at once.
func TestADeletedEventThatGoogleForgotComesBackAtOnce(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.closed(7, 9, 4)
		w.sync(7)
		advance(time.Hour)
		w.open(7, 9, 4)
		w.sync(7)
		w.want(4, 9)
		if m := w.mapping(7, 4); m.Generation != 1 {
			t.Errorf("remembered as %+v", m)
		}
		w.wantQuiet(4)
	}, func(o *fakegoogle.Options) { o.Ways.CancelledGoneAfter = time.Minute })
}

// Rules 2.5 and 3.3: of two live generations the lower goes, announced like any write.
func TestOfTwoLiveGenerationsTheLowerGoes(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		lower := w.live(4)[0].Id
		w.must(w.google.DeleteEvent(w.calendar(4), lower))
		w.audit(4)
		w.rest()
		w.want(4, 9)
		w.must(w.google.RestoreEvent(w.calendar(4), lower))
		w.want(4, 9, 9)
		double := func(a store.ActivityRecord) bool { return a.Event == lower && a.Action == "event.delete-double" }
		w.way.before = func(call, event string) error {
			if call != "delete" || event != lower {
				t.Errorf("%s of %s", call, event)
			}
			if !slices.ContainsFunc(w.activity(), double) {
				t.Error("not announced")
			}
			return nil
		}
		report := w.audit(4)
		if e := w.live(4); len(e) != 1 || e[0].Id == lower {
			t.Fatalf("%d events", len(e))
		}
		if report.Drift[events.DriftDoubled] != 1 {
			t.Errorf("drift %v", report.Drift)
		}
		if i := slices.IndexFunc(w.activity(), double); w.activity()[i].Result != "done" {
			t.Errorf("recorded as %+v", w.activity()[i])
		}
		w.wantQuiet(4)
	}, webDeletionForbidsRevival)
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

// Rule 2.7: a tombstone ends after 30 days.
func TestATombstoneEnds(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.closed(7, 9, 4)
		w.sync(7)
		advance(29 * 24 * time.Hour)
		w.sync(7)
		if m := w.mapping(7, 4); m.State != store.MappingTombstone {
			t.Fatalf("remembered as %+v", m)
		}
		advance(2 * 24 * time.Hour)
		w.audit(4)
		if rec, found, err := w.store.Task(t.Context(), 7); err != nil || found {
			t.Errorf("still remembered: %+v, %v", rec, err)
		}
		// Its id is taken at Google all the same.
		w.open(7, 11, 4)
		w.sync(7)
		w.want(4, 11)
		w.wantQuiet(4)
	})
}

// Rule 3.2: an event whose mark somebody took away is nobody's any more: it stays, and
// the task gets another.
func TestAnEventWithoutItsMarkIsNotTouched(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(w *world)
		want int
	}{
		"message": {func(w *world) { w.open(7, 11, 4); w.sync(7) }, 2},
		"audit":   {func(w *world) { w.open(7, 11, 4); w.audit(4) }, 2},
		"closed":  {func(w *world) { w.closed(7, 9, 4); w.sync(7) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				stripped := w.live(4)[0].Id
				w.must(w.google.EditEvent(w.calendar(4), stripped, func(e *calendar.Event) { e.ExtendedProperties, e.Summary = nil, "Mine" }))
				row.do(w)
				w.rest()
				all := w.live(4)
				kept := slices.ContainsFunc(all, func(e *calendar.Event) bool { return e.Id == stripped && e.Summary == "Mine" })
				if len(all) != row.want || !kept {
					t.Fatalf("%d events, kept %v", len(all), kept)
				}
				w.wantQuiet(4)
			})
		})
	}
}

// Rule 3.2: copies, and what people put there, stay.
func TestWhatIsNotOursStays(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		c, own := w.calendar(4), w.live(4)[0].Id
		foreign, err := w.google.CreateEvent(c, &calendar.Event{Summary: "Dentist",
			Start: &calendar.EventDateTime{DateTime: "2000-01-02T09:00:00+02:00"}, End: &calendar.EventDateTime{DateTime: "2000-01-02T10:00:00+02:00"}})
		w.must(err)
		copied, err := w.google.CopyEvent(c, own, c)
		w.must(err)
		w.closed(7, 9, 4)
		w.audit(4)
		w.rest()
		var stay []string
		for _, e := range w.live(4) {
			stay = append(stay, e.Id)
		}
		if len(stay) != 2 || !slices.Contains(stay, foreign) || !slices.Contains(stay, copied) {
			t.Fatalf("these stay: %v", stay)
		}
	})
}

// Rule 3.3: a refused revival moves to the next generation, written ahead of its use.
func TestTheNextGenerationIsWrittenAheadOfItsUse(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		first := w.live(4)[0].Id
		w.must(w.google.DeleteEvent(w.calendar(4), first))
		var ahead store.Mapping
		w.way.before = func(call, event string) error {
			if call == "insert" {
				if ahead = w.mapping(7, 4); ahead.EventID != event {
					t.Errorf("insert of %s, announced %s", event, ahead.EventID)
				}
			}
			return nil
		}
		w.audit(4)
		if ahead.State != store.MappingIntended || ahead.Generation != 1 || ahead.EventID == first {
			t.Fatalf("announced %+v", ahead)
		}
		w.want(4, 9)
		w.wantQuiet(4)
	}, webDeletionForbidsRevival)
}

// Rule 3.3: a calendar that was retired between two generations gets neither.
func TestTheNextGenerationNeedsACalendarToo(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		c := w.calendar(4)
		w.must(w.google.DeleteEvent(c, w.live(4)[0].Id))
		w.store.beforeIntend = func(intents []store.Intent) {
			if intents[0].Mapping.Generation == 1 {
				w.store.beforeIntend = nil
				w.retire(4)
			}
		}
		report := w.audit(4)
		if report.Failed != 1 || !slices.Equal(report.Relist, []int64{4}) {
			t.Errorf("%+v", report)
		}
		for _, e := range w.google.Events(c) {
			if e.Status != "cancelled" {
				t.Errorf("event %s in a retired calendar", e.Id)
			}
		}
	}, webDeletionForbidsRevival)
}

// Rules 3.2 and 3.3: an id that is taken by another mark is left to it.
func TestAnIDThatIsTakenByAnotherMarkIsLeftToIt(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		id := calendarsync.EventID(tenant, 7, 4, 0)
		w.open(7, 9, 4)
		w.sync(7)
		w.must(w.google.EditEvent(w.calendar(4), id, func(e *calendar.Event) { e.ExtendedProperties.Private["erpTask"] = "4711" }))
		// The memory of it is lost; the id is what an insert would use.
		lease, _, err := w.store.AcquireTask(t.Context(), 7, store.Claim{TTL: leaseTime, Token: "forget"})
		w.must(err)
		_, err = w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Mappings: map[int64]*store.Mapping{4: nil}})
		w.must(err)
		w.sync(7)
		w.rest()
		all := w.live(4)
		if len(all) != 2 || !slices.ContainsFunc(all, func(e *calendar.Event) bool { return e.Id == id && e.ExtendedProperties.Private["erpTask"] == "4711" }) {
			t.Fatalf("%d events", len(all))
		}
		if m := w.mapping(7, 4); m.Generation != 1 || m.State != store.MappingLive {
			t.Fatalf("mapping %+v", m)
		}
		w.wantQuiet(4)
	})
}

// Rule 3.3: a pass goes on to so many ids and no further.
func TestGenerationsAreBounded(t *testing.T) {
	in(t, func(w *world) {
		w.hire(4)
		w.open(7, 9, 4)
		start, end := calendarsync.EventTime{Instant: w.hour(20), Zone: "Europe/Kyiv"}, calendarsync.EventTime{Instant: w.hour(21), Zone: "Europe/Kyiv"}
		for generation := range 6 {
			_, err := w.way.InsertEvent(t.Context(), w.calendar(4), googlecalendar.Draft{
				ID: calendarsync.EventID(tenant, 7, 4, generation), Content: calendarsync.Event{Title: "Theirs", Start: start, End: end},
				Mark: calendarsync.Mark{Tenant: "another", Task: 4711, Employee: 4, Hash: "h"},
			})
			w.must(err)
		}
		w.google.ResetRequests()
		if report := w.sync(7); report.Failed != 1 || len(w.methods(fakegoogle.Filter{Method: "calendar.events.insert"})) != 4 {
			t.Errorf("%+v after %v", report, w.calls())
		}
		w.rest()
		if owned := w.owned(4); len(owned) != 1 || owned[0].Mark.Generation != 6 {
			t.Errorf("%+v", owned)
		}
		w.wantQuiet(4)
	})
}

// Rule 3.4: no mapping is no event only in a calendar that was listed completely.
func TestAnUnlistedCalendarIsListedBeforeAnythingIsInserted(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.must(w.google.DeleteEvent(w.calendar(4), w.live(4)[0].Id))
		w.audit(4)
		w.rest()
		if m := w.mapping(7, 4); m.Generation != 1 {
			t.Fatalf("generation %d", m.Generation)
		}
		lease, _, err := w.store.AcquireTask(t.Context(), 7, store.Claim{TTL: leaseTime, Token: "forget"})
		w.must(err)
		_, err = w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Mappings: map[int64]*store.Mapping{4: nil}})
		w.must(err)
		w.change(4, func(e *store.EmployeeRecord) {
			c := *e.Calendar
			c.Listed = false
			e.Calendar = &c
		})
		w.google.ResetRequests()
		if report := w.sync(7); !slices.Equal(report.Relist, []int64{4}) || len(w.writes()) != 0 {
			t.Fatalf("%+v, wrote %v", report, w.writes())
		}
		w.audit(4)
		if m := w.mapping(7, 4); m.Generation != 1 || len(w.writes()) != 0 {
			t.Errorf("adopted generation %d, wrote %v", m.Generation, w.writes())
		}
		w.want(4, 9)
	}, webDeletionForbidsRevival)
}
