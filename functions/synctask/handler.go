// Package synctask is the function SyncTask: it makes tasks' events right, on
// the live lane. It must never answer 2xx for a message of which something could
// neither be done nor recorded.
package synctask

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// Config is what the function reads from its environment.
type Config = workers.Config

// Writer makes tasks' events right; events.Writer is one.
type Writer interface {
	Sync(ctx context.Context, o events.Order) (events.Report, error)
}

// Deps are what the handler works with.
type Deps struct {
	Writer    Writer
	Publisher queue.Publisher
	// Refresh forgets settings read before, where an admin has just changed them.
	Refresh func()
	Log     *slog.Logger
}

// FromEnvironment makes the handler with Google's own services.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	cfg, parts, err := cloud.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return New(cfg, Deps{Writer: parts.Events, Publisher: parts.Publisher, Refresh: parts.Settings.Forget, Log: parts.Log}), nil
}

// New makes the handler: POST / with a push of the task topic. 204: done,
// recorded or left to another; 400: no message of ours (it dead-letters); 503:
// refused, to come again.
func New(cfg Config, deps Deps) http.Handler {
	return serve.PostOnly(func(w http.ResponseWriter, r *http.Request) {
		d, err := queue.FromPush(r)
		if err != nil {
			deps.Log.ErrorContext(r.Context(), "message refused", "error", err)
			if failure.Is(err, failure.Invalid) {
				serve.Problem(w, http.StatusBadRequest, "No message", "The push holds no message of this topic.")
			} else {
				serve.Problem(w, http.StatusServiceUnavailable, "Not read", "The push could not be read.")
			}
			return
		}
		if d.All {
			deps.Log.ErrorContext(r.Context(), "message refused: all is for employees only", "message", d.ID)
			serve.Problem(w, http.StatusBadRequest, "No message", "all is for employees only.")
			return
		}
		if d.Cause == queue.CauseConsole {
			deps.Refresh()
		}
		ids := make([]calendarsync.TaskID, len(d.IDs))
		for i, id := range d.IDs {
			ids[i] = calendarsync.TaskID(id)
		}
		ctx := budget.WithLane(r.Context(), d.Lane)
		report, err := deps.Writer.Sync(ctx, events.Order{Tasks: ids, Message: d.ID, Cause: d.Cause, Deleted: d.Deleted})
		if err == nil && len(report.Audit) > 0 {
			err = deps.Publisher.Publish(ctx, cfg.Employee, queue.Split(queue.Message{IDs: report.Audit, Cause: queue.CauseFill, Lane: queue.LaneBulk})...)
		}
		if err == nil && len(report.Redelivered) > 0 {
			err = errors.New("the lease taken for this message still lives")
		}
		if err != nil {
			deps.Log.WarnContext(ctx, "message refused, to come again", "message", d.ID, "tasks", len(ids), "attempt", d.Attempt, "error", err)
			serve.Problem(w, http.StatusServiceUnavailable, "Not done", "The message has to come again.")
			return
		}
		deps.Log.InfoContext(ctx, "tasks looked at", "message", d.ID, "tasks", len(ids), "cause", d.Cause, "lane", d.Lane,
			"writes", report.Writes, "failed", report.Failed)
		w.WriteHeader(http.StatusNoContent)
	})
}
