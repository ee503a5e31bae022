package events_test

import (
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// marksLost has Google give no marks of events back, or give them back again.
func (w *world) marksLost(lost bool) {
	w.google.ChangeWays(func(to *fakegoogle.Ways) { to.PropertiesLost = lost })
}

// witness gives another employee an event, whose mark the syncer sees.
func (w *world) witness() {
	w.t.Helper()
	w.hire(5)
	w.open(8, 12, 5)
	w.sync(8)
	w.want(5, 12)
}

// noted is what the installation notes of an event's mark that did not come back.
func (w *world) noted() *store.UnreadableMark {
	w.t.Helper()
	in, err := w.store.Installation(w.t.Context())
	w.must(err)
	return in.UnreadableEvent
}

// Rule 3.14: an id that the product announced is taken, and what is under it shows no mark:
// while nothing shows that marks come back, that is the event of an insert whose answer was
// lost. The task gets no other, and all is right once marks come back.
func TestAnInsertWhoseAnswerWasLostIsNotDoubledWhileMarksAreLost(t *testing.T) {
	for name, row := range map[string]struct {
		before    func(w *world)
		meanwhile func(w *world)
		want      []int
	}{
		"the first event of all":   {meanwhile: func(*world) {}, want: []int{9}},
		"another's mark was seen":  {before: (*world).witness, meanwhile: func(*world) {}, want: []int{9}},
		"by another instance":      {before: (*world).witness, meanwhile: func(w *world) { w.syncer = w.newSyncer() }, want: []int{9}},
		"the task moves":           {meanwhile: func(w *world) { w.open(7, 11, 4) }, want: []int{11}},
		"the task is closed":       {meanwhile: func(w *world) { w.closed(7, 9, 4) }},
		"the memory of it is lost": {meanwhile: func(w *world) { w.forget(7, 4) }, want: []int{9}},
		"a full run": {meanwhile: func(w *world) {
			advance(time.Hour)
			w.audit(4)
		}, want: []int{9}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.hire(4)
				if row.before != nil {
					row.before(w)
				}
				w.marksLost(true)
				w.open(7, 9, 4)
				w.google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
				w.sync(7)
				id := w.mapping(7, 4).EventID
				row.meanwhile(w)
				for range 4 {
					advance(3 * time.Hour)
					w.sync(7)
					if e := w.live(4); len(e) != 1 || e[0].Id != id {
						t.Fatalf("%d events", len(e))
					}
				}
				if u := w.noted(); u == nil || u.Event != id {
					t.Errorf("noted %+v", u)
				}
				rec := w.record(7)
				if m, mapped := rec.Mapping(4); mapped && (!m.Open() || m.Generation != 0) {
					t.Errorf("remembered as %+v", m)
				}
				w.marksLost(false)
				w.rest()
				w.want(4, row.want...)
				if all := w.google.Events(w.calendar(4)); len(all) != 1 {
					t.Errorf("%d events were made", len(all))
				}
				w.wantQuiet(4)
			})
		})
	}
}

// forget has a task remember nothing of an employee's event.
func (w *world) forget(task calendarsync.TaskID, employee int64) {
	w.t.Helper()
	lease, _, err := w.store.AcquireTask(w.t.Context(), int64(task), store.Claim{TTL: leaseTime, Token: w.newID()})
	w.must(err)
	_, err = w.store.SettleTask(w.t.Context(), &lease, store.TaskOutcome{Mappings: map[int64]*store.Mapping{employee: nil}})
	w.must(err)
}

// Rule 3.14: a remembered event is not taken for somebody else's where no mark is seen,
// whatever the first pass over it asks for: what nobody changed is ours, and what somebody
// did is once another event shows that marks are lost.
func TestARememberedEventIsNotDoubledWhenMarksAreLost(t *testing.T) {
	for name, row := range map[string]struct {
		before, do func(w *world)
		lost, back []int
	}{
		"moved":                         {do: func(w *world) { w.open(7, 11, 4) }, lost: []int{11}, back: []int{11}},
		"listed":                        {do: func(w *world) { w.audit(4) }, lost: []int{9}, back: []int{9}},
		"edited, and another's is seen": {before: (*world).witness, do: (*world).edit, lost: []int{9}, back: []int{9}},
		"edited, and nothing is seen":   {do: (*world).edit, lost: []int{13}, back: []int{9}},
		"edited, and closed": {before: (*world).witness, do: func(w *world) {
			w.must(w.google.MoveEvent(w.calendar(4), w.live(4)[0].Id, w.hour(13)))
			w.closed(7, 9, 4)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(w *world) {
				w.withEvent()
				if row.before != nil {
					row.before(w)
				}
				w.marksLost(true)
				row.do(w)
				for range 3 {
					w.sync(7)
					advance(time.Hour)
				}
				w.want(4, row.lost...)
				w.marksLost(false)
				w.audit(4)
				w.rest()
				w.want(4, row.back...)
				if all := w.google.Events(w.calendar(4)); len(all) != 1 {
					t.Errorf("%d events were made", len(all))
				}
				w.wantQuiet(4)
			})
		})
	}
}

// edit has the owner move the event of task 7, and a full run find it.
func (w *world) edit() {
	w.must(w.google.MoveEvent(w.calendar(4), w.live(4)[0].Id, w.hour(13)))
	w.audit(4)
}

// Rules 3.2 and 3.14: an event whose mark somebody took away, and nothing else to be seen:
// its task waits, and nobody else does.
func TestAnEventWithoutItsMarkWaitsForAnother(t *testing.T) {
	in(t, func(w *world) {
		w.withEvent()
		w.must(w.google.EditEvent(w.calendar(4), w.live(4)[0].Id, func(e *calendar.Event) { e.ExtendedProperties = nil }))
		w.audit(4)
		w.want(4, 9)
		if u := w.noted(); u != nil {
			t.Errorf("noted %+v", u)
		}
		w.witness()
		w.audit(4)
		w.rest()
		w.want(4, 9, 9)
		w.wantQuiet(4)
	})
}
