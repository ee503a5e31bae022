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
