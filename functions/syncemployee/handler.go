// Package syncemployee is the function SyncEmployee: it makes employees'
// calendars right and fills them, on the bulk lane. It must never answer
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

// atMost is how long one message is worked on before the rest gets a message of its
// own (rule 7.3).
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
	Hooks     workers.Hooks
	Now       func() time.Time
	Log       *slog.Logger
}

// New makes the handler of the employee topic's push subscription.
func New(cfg Config, deps Deps) http.Handler {
	return workers.Handler(deps.Log, deps.Hooks, func(ctx context.Context, d queue.Delivery) error {
		var err error
		if d.All {
			// The message's id names the run: delivered again it is the same run.
			err = deps.Calendars.StartFullRun(ctx, d.Cause, d.ID)
		} else {
			err = some(ctx, cfg, deps, d)
		}
		if err == nil {
			deps.Log.InfoContext(ctx, "employees synced", "message", d.ID, "employees", len(d.IDs), "all", d.All, "cause", d.Cause, "lane", d.Lane)
		}
		return err
	})
}

// some works on the employees that a message names.
func some(ctx context.Context, cfg Config, deps Deps, d queue.Delivery) error {
	report, err := deps.Calendars.Sync(ctx, calendars.Order{
		Employees: calendarsync.IDs[calendarsync.EmployeeID](d.IDs), Message: d.ID, Cause: d.Cause,
		Deleted: d.Deleted, Run: d.Run, Until: deps.Now().Add(share(ctx)),
	})
	if err != nil {
		return err
	}
	if len(report.Remaining) > 0 {
		if err := deps.Publisher.Publish(ctx, cfg.EmployeeTopic, rest(d, report.Remaining)); err != nil {
			return err
		}
	}
	if len(report.Redelivered) > 0 {
		return failure.New(failure.Transient, "sync the employees", "the lease acquired for this message still lives")
	}
	return nil
}

// share is how long employees are begun: atMost, or less where the platform's time-out
// is shorter, so that there is time for the last one.
func share(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		if remaining := time.Until(deadline); remaining < atMost+time.Minute {
			return remaining * 3 / 5
		}
	}
	return atMost
}

// rest is the message for the employees of d that there was no time for.
func rest(d queue.Delivery, employees []calendarsync.EmployeeID) queue.Message {
	cause := d.Cause
	if cause == queue.CauseNotify || cause == queue.CausePoll {
		cause = queue.CauseFill
	}
	return queue.Message{IDs: calendarsync.IDs[int64](employees), Cause: cause, Deleted: d.Deleted, Lane: queue.LaneBulk, Run: d.Run}
}
