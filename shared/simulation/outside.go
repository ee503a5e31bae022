package simulation

import (
	"log/slog"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// RunOutside runs a history on a database of the real world, and so on the real
// clock: a gRPC client would stop a bubble's. Leases and waits are those of a
// test, every pause is short, and what makes the product wait for minutes
// (failures of Google and of the ERP) is left out: what is to be seen here is
// how instances meet in the database.
func (r *Runner) RunOutside(t *testing.T, h History, backend store.Backend) (result Result) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if r.Log != nil {
		log = slog.New(slog.NewTextHandler(r.Log, nil))
	}
	var steps []Step
	for _, s := range h.Steps {
		switch s.Kind {
		case FaultGoogle, FaultERP, FaultStore, FaultQueue, Wipe, OwnerRevoke, AdminPause, ERPCommitsLater,
			// Settings and catalogue are in force within a minute, which is longer than all this.
			AdminSettings, AdminPurge, CatalogueRole, CatalogueType, CatalogueState:
			continue
		}
		steps = append(steps, s)
	}
	w, err := open(t.Context(), r.env, h.Seed, Plant{}, log, backend)
	if err != nil {
		t.Error(err)
		return result
	}
	began := time.Now()
	result = w.live(History{Seed: h.Seed, Steps: steps})
	result.Took = time.Since(began)
	if err := w.close(); err != nil {
		result.Violations = append(result.Violations, Violation{"the simulation ends", err.Error()})
	}
	return result
}

// moveOut puts the world on the real clock and another database.
func (w *world) moveOut(backend store.Backend) {
	w.outside, w.memory, w.backoff, w.pollEvery = true, backend, 300*time.Millisecond, time.Second
	w.setup.RequestsPerMinute, w.setup.CalendarsPerHour, w.setup.Google.RequestsPerMinute = 6000, 1000, 0
	w.setup.Google.CalendarListDelay, w.setup.Unaided = 0, false
	w.config.Lease, w.config.Intent, w.config.Absence = 6*time.Second, 5*time.Second, time.Second
}

// brief shortens a wait on the real clock.
func (w *world) brief(d time.Duration) time.Duration {
	if w.outside {
		return min(d/10, 150*time.Millisecond)
	}
	return d
}
