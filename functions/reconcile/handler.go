// Package reconcile is the function Reconcile: Scheduler calls it at night to
// start a full run, which SyncEmployee fans out and does (rule 8.3). It
// must never read the ERP or Google itself: a start that fails is simply tried
// again by Scheduler.
package reconcile

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
)

const publishDeadline = 10 * time.Second

// Config is what the function has to know.
type Config struct{ EmployeeTopic string }

// Deps are what the function works with.
type Deps struct {
	Publisher queue.Publisher
	Log       *slog.Logger
}

// New makes the function's handler: POST / publishes the start of a full run and
// answers 202.
func New(cfg Config, deps Deps) http.Handler {
	return serve.PostOnly(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), publishDeadline)
		defer cancel()
		start := queue.Message{All: true, Cause: queue.CauseReconcile, Lane: queue.LaneBulk}
		if err := deps.Publisher.Publish(ctx, cfg.EmployeeTopic, start); err != nil {
			deps.Log.ErrorContext(r.Context(), "the full run was not started", "error", err)
			serve.Problem(w, http.StatusServiceUnavailable, "Not started", "The full run could not be started; try again.")
			return
		}
		deps.Log.InfoContext(r.Context(), "full run started")
		serve.JSON(w, http.StatusAccepted, struct {
			Started bool `json:"started"`
		}{true})
	})
}
