package events_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
		lower := w.doubled()
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

// Rules 2.2 and 3.3: the lower of two live generations goes also where it was changed since
// it was listed, or Google only says so: the pass after this one has no list, and would take
// the task for right.
func TestALowerGenerationThatWasChangedGoesAllTheSame(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world, lower string) error{
		"changed": func(w *world, lower string) error {
			return w.google.MoveEvent(w.calendar(4), lower, w.hour(11))
		},
		"412 without a change": func(*world, string) error {
			return failure.New(failure.Conflict, "delete an event", "conditionNotMet")
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				lower := w.doubled()
				refused := false
				w.way.before = func(call, event string) error {
					if refused || call != "delete" || event != lower {
						return nil
					}
					refused = true
					return meanwhile(w, lower)
				}
				w.audit(4)
				w.rest()
				if e := w.live(4); len(e) != 1 || e[0].Id == lower || !refused {
					w.t.Fatalf("%d events", len(e))
				}
				w.wantQuiet(4)
			}, webDeletionForbidsRevival)
		})
	}
}

// Rule 3.3: a lower generation that could not be deleted is remembered, since only a list
// shows it, and goes by a pass over its task, which tells nobody else.
func TestALowerGenerationThatStaysIsRemembered(t *testing.T) {
	for name, row := range map[string]struct {
		refuse, again func(w *world)
		failed        int
	}{
		"refused": {refuse: func(w *world) { w.way.before = lost }, failed: 1},
		"not found": {
			refuse: func(w *world) {
				w.google.Inject(fakegoogle.Fault{Method: "calendar.events.delete", Status: http.StatusNotFound})
			},
			again: func(*world) { advance(absenceTime) },
		},
		"while the one that stays is not known to be there": {
			refuse: func(w *world) {
				w.open(7, 11, 4)
				w.way.before = func(call, event string) error {
					if call == "update" {
						return lost(call, event)
					}
					return nil
				}
			},
			// The write that was lost may still be on its way.
			again: func(*world) { advance(leaseTime + pass.IntentGrace(leaseTime)) }, failed: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				lower := w.doubled()
				row.refuse(w)
				if report := w.audit(4); report.Unlisted != 0 || report.Failed != row.failed || len(report.Relist) > 0 {
					w.t.Errorf("reported as %+v", report)
				}
				if doubles := w.record(7).Doubles; len(w.live(4)) != 2 || len(doubles) != 1 || doubles[0].Generation != 0 {
					w.t.Errorf("remembered as %+v", doubles)
				}
				w.way.before = nil
				if row.again != nil {
					row.again(w)
				}
				w.sync(7)
				if e := w.live(4); len(e) != 1 || e[0].Id == lower {
					w.t.Fatalf("%d events", len(e))
				}
				w.rest()
				w.wantQuiet(4)
				if doubles := w.record(7).Doubles; len(doubles) > 0 {
					w.t.Errorf("still remembered: %+v", doubles)
				}
			}, webDeletionForbidsRevival)
		})
	}
}

// Rules 3.3 and 3.9: a lower generation that is not there any more when it is to be deleted
// is forgotten: at once where Google shows it as deleted, and after a second look where it
// only does not find it. One whose mark was taken off is somebody's, and stays.
func TestALowerGenerationThatIsNotThereIsForgotten(t *testing.T) {
	for name, row := range map[string]struct {
		meanwhile func(w *world, lower string)
		again     time.Duration
		live      int
	}{
		"deleted": {meanwhile: func(w *world, lower string) { w.must(w.google.DeleteEvent(w.calendar(4), lower)) }, live: 1},
		"not found": {meanwhile: func(w *world, lower string) {
			w.must(w.google.DeleteEvent(w.calendar(4), lower))
			w.must(w.google.EmptyBin(w.calendar(4)))
		}, again: absenceTime, live: 1},
		"somebody's": {meanwhile: func(w *world, lower string) {
			w.must(w.google.EditEvent(w.calendar(4), lower, func(e *calendar.Event) { e.ExtendedProperties = nil }))
		}, live: 2},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				lower := w.doubled()
				w.way.before = lost
				w.audit(4)
				w.way.before = nil
				row.meanwhile(w, lower)
				w.sync(7)
				if doubles := w.record(7).Doubles; row.again > 0 && (len(doubles) != 1 || doubles[0].GoneSince.IsZero()) {
					w.t.Fatalf("remembered as %+v", doubles)
				}
				advance(row.again)
				w.sync(7)
				if rec := w.record(7); len(rec.Doubles) > 0 || rec.Failure != nil || rec.Dirty != 0 {
					w.t.Errorf("still remembered: %+v", rec)
				}
				if n := len(w.live(4)); n != row.live {
					w.t.Errorf("%d events", n)
				}
			}, webDeletionForbidsRevival)
		})
	}
}

// Rule 3.9: one that a list still shows is not forgotten, however long Google does not find it.
func TestALowerGenerationIsNotForgottenInALongSpell(t *testing.T) {
	in(t, func(w *world) {
		lower := w.doubled()
		w.way.before = lost
		w.audit(4)
		w.way.before = nil
		w.google.Begin(fakegoogle.Spell{Fault: fakegoogle.Fault{Method: "calendar.events.*", EventID: lower, Status: http.StatusNotFound, Count: -1}, For: 3 * absenceTime})
		w.sync(7)
		advance(absenceTime)
		w.due()
		if rec := w.record(7); len(rec.Doubles) != 1 || !rec.DueAt.After(time.Now()) {
			w.t.Errorf("remembered as %+v", rec)
		}
		w.rest()
		if rec := w.record(7); len(rec.Doubles) > 0 || len(w.live(4)) != 1 {
			w.t.Errorf("%d events, remembered: %+v", len(w.live(4)), rec)
		}
	}, webDeletionForbidsRevival)
}

// Rule 2.7: a tombstone ends after 30 days.
func TestATombstoneEnds(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.closed(7, 9, 4)
		w.sync(7)
		advance(29 * 24 * time.Hour)
		w.sync(7)
		w.due()
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

// Rule 3.2: an event whose mark somebody took away, while that of another is seen, is nobody's
// any more: it stays, and the task gets another.
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
				w.witness()
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

// doubled gives the task two live events, and the id of that with the lower generation.
func (w *world) doubled() (lower string) {
	w.t.Helper()
	w.withEvent()
	lower = w.live(4)[0].Id
	w.must(w.google.DeleteEvent(w.calendar(4), lower))
	w.audit(4)
	w.rest()
	w.want(4, 9)
	w.must(w.google.RestoreEvent(w.calendar(4), lower))
	w.want(4, 9, 9)
	return lower
}
