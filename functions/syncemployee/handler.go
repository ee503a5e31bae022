// Package syncemployee is the function SyncEmployee: it makes employees'
// calendars right, fills and audits them, on the bulk lane. It must never answer
// 2xx for a message of which something could neither be done nor recorded.
package syncemployee

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/workers"
)

// atMost is how long one message is worked on before the rest is left to a
// message of its own (rule 7.3).
const atMost = 240 * time.Second

// Config is what the function reads from its environment.
type Config struct{ EmployeeTopic string }

// Syncer makes employees' calendars right; calendars.Syncer is one.
type Syncer interface {
	Sync(ctx context.Context, o calendars.Order) (calendars.Report, error)
	StartFullRun(ctx context.Context, cause queue.Cause, id string) error
}

// Deps are what the handler works with.
type Deps struct {
	Calendars Syncer
	Publisher queue.Publisher
	// Forget drops settings read before, where an admin has just changed them.
	Forget func()
	Now    func() time.Time
	Log    *slog.Logger
}

// New makes the handler of the employee topic's push subscription.
func New(cfg Config, deps Deps) http.Handler {
	return workers.Handler(deps.Log, deps.Forget, func(ctx context.Context, d queue.Delivery) error {
		var err error
		if d.All {
			// The message's id names the run: delivered again it is the same run.
			err = deps.Calendars.StartFullRun(ctx, d.Cause, d.ID)
		} else {
			err = some(ctx, cfg, deps, d)
		}
		if err == nil {
			deps.Log.InfoContext(ctx, "employees looked at", "message", d.ID, "employees", len(d.IDs), "all", d.All, "cause", d.Cause, "lane", d.Lane)
		}
		return err
	})
}

func some(ctx context.Context, cfg Config, deps Deps, d queue.Delivery) error {
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
	report, err := deps.Calendars.Sync(ctx, calendars.Order{
		Employees: ids, Message: d.ID, Cause: d.Cause, Deleted: d.Deleted, Run: d.Run, Until: until,
	})
	if err != nil {
		return err
	}
	if len(report.Remaining) > 0 {
		rest := make([]int64, len(report.Remaining))
		for i, id := range report.Remaining {
			rest[i] = int64(id)
		}
		cause := d.Cause
		if cause == queue.CauseNotify || cause == queue.CausePoll {
			cause = queue.CauseFill
		}
		next := queue.Message{IDs: rest, Cause: cause, Deleted: d.Deleted, Lane: queue.LaneBulk, Run: d.Run}
		if err := deps.Publisher.Publish(ctx, cfg.EmployeeTopic, next); err != nil {
			return err
		}
	}
	if len(report.Redelivered) > 0 {
		return failure.New(failure.Transient, "look at the employees", "the lease taken for this message still lives")
	}
	return nil
}
