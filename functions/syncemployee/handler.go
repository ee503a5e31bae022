// Package syncemployee is the function SyncEmployee: it makes employees'
// calendars right, fills and audits them, on the bulk lane. It must never answer
// 2xx for a message of which something could neither be done nor recorded.
package syncemployee

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// atMost is how long one message is worked on before the rest is left to a
// message of its own (protocol.md §7.3).
const atMost = 240 * time.Second

// Config is what the function reads from its environment.
type Config = workers.Config

// Keeper makes employees' calendars right; calendars.Keeper is one.
type Keeper interface {
	Sync(ctx context.Context, o calendars.Order) (calendars.Report, error)
	All(ctx context.Context, cause queue.Cause, run string) error
}

// Deps are what the handler works with.
type Deps struct {
	Keeper    Keeper
	Publisher queue.Publisher
	// Refresh forgets settings read before, where an admin has just changed them.
	Refresh func()
	Now     func() time.Time
	Log     *slog.Logger
}

// FromEnvironment makes the handler with Google's own services.
func FromEnvironment(ctx context.Context) (http.Handler, error) {
	cfg, parts, err := cloud.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return New(cfg, Deps{Keeper: parts.Keeper, Publisher: parts.Publisher, Refresh: parts.Settings.Forget, Now: time.Now, Log: parts.Log}), nil
}

// New makes the handler: POST / with a push of the employee topic; the answers
// are those of SyncTask.
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
		if d.Cause == queue.CauseConsole {
			deps.Refresh()
		}
		ctx := budget.WithLane(r.Context(), d.Lane)
		if d.All {
			// The message's id names the run: delivered again it is the same run.
			err = deps.Keeper.All(ctx, d.Cause, d.ID)
		} else {
			err = one(ctx, cfg, deps, d)
		}
		if err != nil {
			deps.Log.WarnContext(ctx, "message refused, to come again", "message", d.ID, "employees", len(d.IDs), "attempt", d.Attempt, "error", err)
			serve.Problem(w, http.StatusServiceUnavailable, "Not done", "The message has to come again.")
			return
		}
		deps.Log.InfoContext(ctx, "employees looked at", "message", d.ID, "employees", len(d.IDs), "all", d.All, "cause", d.Cause, "lane", d.Lane)
		w.WriteHeader(http.StatusNoContent)
	})
}

func one(ctx context.Context, cfg Config, deps Deps, d queue.Delivery) error {
	ids := make([]calendarsync.EmployeeID, len(d.IDs))
	for i, id := range d.IDs {
		ids[i] = calendarsync.EmployeeID(id)
	}
	until := deps.Now().Add(atMost)
	if deadline, ok := ctx.Deadline(); ok {
		// A shorter time-out of the platform leaves room for the last employee.
		if left := time.Until(deadline); left < atMost+time.Minute {
			until = deps.Now().Add(left * 3 / 5)
		}
	}
	report, err := deps.Keeper.Sync(ctx, calendars.Order{
		Employees: ids, Message: d.ID, Cause: d.Cause, Deleted: d.Deleted, Run: d.Run, Until: until,
	})
	if err != nil {
		return err
	}
	if len(report.Left) > 0 {
		rest := make([]int64, len(report.Left))
		for i, id := range report.Left {
			rest[i] = int64(id)
		}
		cause := d.Cause
		if cause == queue.CauseNotify || cause == queue.CausePoll {
			cause = queue.CauseFill
		}
		next := queue.Message{IDs: rest, Cause: cause, Deleted: d.Deleted, Lane: queue.LaneBulk, Run: d.Run}
		if err := deps.Publisher.Publish(ctx, cfg.Employee, next); err != nil {
			return err
		}
	}
	if len(report.Redelivered) > 0 {
		return errors.New("the lease taken for this message still lives")
	}
	return nil
}
