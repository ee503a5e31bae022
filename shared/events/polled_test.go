package events_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/polled"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 8.2: a fill records for Poll only the tasks that Poll has not listed; Poll reads the
// record of each.
func TestAFillRecordsForPollOnlyWhatPollHasNotListed(t *testing.T) {
	in(t, func(w *world) {
		w.hire(1)
		shown, err := store.PackIDs([]int64{7, 8})
		w.must(err)
		w.must(w.store.SaveTaskPoll(t.Context(), store.TaskPollRecord{Shown: shown, Before: time.Now()}))
		w.syncer = events.New(events.Waits{Lease: leaseTime, Absence: absenceTime}, events.Deps{
			Store: w.store, ERP: w.erp, Google: w.way, Rules: w.rules, Account: w, Tenant: w.store,
			Polled: polled.New(w.store, time.Now, slog.New(slog.DiscardHandler)),
			NewID:  w.newID, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		ids := []calendarsync.TaskID{7, 8, 9}
		for _, id := range ids {
			w.open(id, 9, 1)
		}
		rec, _, err := w.store.Employee(t.Context(), 1)
		w.must(err)
		began := time.Now()
		w.sync(8) // a notification of it: nobody knows in which list it is
		w.serve(events.Order{Tasks: ids, Cause: queue.CauseFill, Listed: &events.Listing{
			Employee: 1, Epoch: rec.Calendar.Epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{}, Began: time.Now(), ReadAt: time.Now()}})
		if n := len(w.live(1)); n != 3 {
			t.Errorf("%d events", n)
		}
		got, err := w.store.InsertedSince(t.Context(), began)
		w.must(err)
		if len(got) != 2 || got[0] != 8 || got[1] != 9 {
			t.Errorf("recorded for Poll: %v, want 8 and 9", got)
		}
	})
}
