// Package synctask is the function SyncTask: it makes tasks' events right, on
// the live lane. It must never answer 2xx for a message of which something could
// neither be done nor recorded.
package synctask

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// Config is what the function reads from its environment.
type Config struct{ EmployeeTopic string }

// Syncer makes tasks' events right; events.Syncer is one.
type Syncer interface {
	Sync(ctx context.Context, o events.Order) (events.Report, error)
}

// Deps are what the handler works with.
type Deps struct {
	Events    Syncer
	Publisher queue.Publisher
	Hooks     workers.Hooks
	Log       *slog.Logger
}

// New makes the handler of the task topic's push subscription.
func New(cfg Config, deps Deps) http.Handler {
	return workers.Handler(deps.Log, deps.Hooks, func(ctx context.Context, d queue.Delivery) error {
		if d.All {
			return failure.New(failure.Invalid, "read message "+d.ID, "all is for employees only")
		}
		ids := calendarsync.IDs[calendarsync.TaskID](d.IDs)
		report, err := deps.Events.Sync(ctx, events.Order{Tasks: ids, Message: d.ID, Cause: d.Cause, Deleted: d.Deleted})
		if err != nil {
			return err
		}
		deps.Log.InfoContext(ctx, "tasks synced", "message", d.ID, "tasks", len(ids), "cause", d.Cause, "lane", d.Lane,
			"writes", report.Writes, "failed", report.Failed)
		if len(report.Relist) > 0 {
			relist := queue.Message{IDs: report.Relist, Cause: queue.CauseFill, Lane: queue.LaneBulk}
			if err := deps.Publisher.Publish(ctx, cfg.EmployeeTopic, queue.Split(relist)...); err != nil {
				return err
			}
		}
		if len(report.Redelivered) > 0 {
			return failure.New(failure.Transient, "sync the tasks", "the lease acquired for this message still lives")
		}
		return nil
	})
}
