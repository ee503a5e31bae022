package events_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// installations counts how often the installation is read.
type installations struct {
	events.Tenant
	reads int
}

func (i *installations) Installation(ctx context.Context) (store.InstallationRecord, error) {
	i.reads++
	return i.Tenant.Installation(ctx)
}

// Rule 1.9: an update reads no installation, since the event's id proves the tenant;
// whatever is inserted, or was made by another tenant, does.
func TestWhatNeedsTheInstallation(t *testing.T) {
	in(t, func(w *world) {
		read := &installations{Tenant: w.store}
		w.syncer = events.New(events.Waits{Lease: leaseTime, Absence: absenceTime}, events.Deps{
			Store: w.store, ERP: w.erp, Google: w.way, Rules: w.rules, Account: w, Tenant: read,
			NewID: w.newID, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		w.hire(4)
		w.hire(5)
		pass := func(what string, hour, want int, executors ...calendarsync.EmployeeID) {
			t.Helper()
			read.reads = 0
			w.open(7, hour, executors...)
			w.sync(7)
			if read.reads != want {
				t.Errorf("%s: the installation was read %d times, want %d", what, read.reads, want)
			}
		}
		pass("the first insert", 9, 1, 4)
		w.want(4, 9)
		pass("an update", 10, 0, 4)
		w.want(4, 10)
		pass("an update that adds somebody", 11, 1, 4, 5)
		w.want(4, 11)
		w.want(5, 11)
		pass("an update of both", 12, 0, 4, 5)
		w.must(w.store.NoteUnreadable(t.Context(), store.UnreadableMark{Employee: 9, Calendar: "c", Event: "e"}))
		w.hire(6)
		pass("an update while marks do not come back, which adds somebody", 13, 1, 4, 5, 6)
		w.want(4, 13)
		w.want(6) // rule 3.14: nothing is inserted

		// What another tenant made is no proof of this one.
		lease, _, err := w.store.AcquireTask(t.Context(), 8, store.Claim{TTL: leaseTime, Token: w.newID()})
		w.must(err)
		rec, _, err := w.store.Employee(t.Context(), 4)
		w.must(err)
		_, err = w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Mappings: map[int64]*store.Mapping{4: {
			Epoch: rec.Calendar.Epoch, EventID: calendarsync.EventID("another", 8, 4, 0), State: store.MappingLive}}})
		w.must(err)
		read.reads = 0
		w.sync(8)
		if read.reads != 1 {
			t.Errorf("of another tenant: read %d times", read.reads)
		}
	})
}
