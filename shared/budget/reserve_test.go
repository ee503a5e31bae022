package budget_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// TestASlotIsReservedBesideTheAnnouncement shows rule 6.2: a live write has its slot
// when it has been announced; one that nobody comes for lapses, one that comes too late
// gets another, and bulk reserves none beforehand.
func TestASlotIsReservedBesideTheAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := newLedger(t, 0)
		p := budget.New(ledger, limit, time.Now)
		ctx := budget.WithLane(t.Context(), queue.LaneLive)
		if p.Reserve(t.Context(), account, "calendar-1") != nil {
			t.Error("bulk reserved a slot")
		}
		for _, row := range []struct {
			what         string
			announced    time.Duration
			latest       time.Duration
			reservations int64
		}{
			{"in time", 60 * time.Millisecond, 60 * time.Millisecond, 1},
			{"at once", 0, 45 * time.Millisecond, 1},
			{"too late", 500 * time.Millisecond, 700 * time.Millisecond, 2},
		} {
			before, began := ledger.asked.Load(), time.Now()
			wait := p.Reserve(ctx, account, "calendar-1")
			<-time.After(row.announced)
			if err := wait(ctx); err != nil {
				t.Fatalf("%s: %v", row.what, err)
			}
			if took := time.Since(began); took > row.latest+time.Millisecond {
				t.Errorf("%s: the call goes %s after the announcement was begun, want %s at most", row.what, took, row.latest)
			}
			if n := ledger.asked.Load() - before; n != row.reservations {
				t.Errorf("%s: %d reservations, want %d", row.what, n, row.reservations)
			}
			<-time.After(10 * time.Second)
		}
		// Nobody comes for it: the next call is not held up for long.
		_ = p.Reserve(ctx, account, "calendar-1")
		began := time.Now()
		if err := p.Wait(ctx, account, ""); err != nil || time.Since(began) > 2*spacing {
			t.Errorf("the next call waited %s: %v", time.Since(began), err)
		}
	})
}
