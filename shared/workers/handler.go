package workers

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Hooks are what a message leads to besides its work.
type Hooks struct {
	// Forget drops cached settings where an admin has just changed them.
	Forget func()
	// Came notes that a notification of the ERP has come; nil: nobody asks.
	Came func(ctx context.Context, connector string)
}

// NotificationStore keeps when the last notification came.
type NotificationStore interface {
	NotificationCame(ctx context.Context, connector string) error
}

// Came notes that a notification has come, once a minute at most. A worker does, because
// Notify, which strangers reach, may not write.
func Came(s NotificationStore, now func() time.Time, log *slog.Logger) func(ctx context.Context, connector string) {
	var mu sync.Mutex
	var noted time.Time
	var by string
	return func(ctx context.Context, connector string) {
		mu.Lock()
		known := by == connector && now().Before(noted.Add(store.NotificationEvery))
		if !known {
			noted, by = now(), connector
		}
		mu.Unlock()
		if known {
			return
		}
		if err := s.NotificationCame(ctx, connector); err != nil {
			log.WarnContext(ctx, "the time of the last notification was not noted", "error", err)
		}
	}
}

// Handler serves a push subscription: POST / with a message, done by do on the
// message's lane. 204: done, recorded or in another's care; 400 (kind invalid): no
// message of this topic, it ends as a dead letter; 503: nacked, Pub/Sub sends it again.
func Handler(log *slog.Logger, hooks Hooks, do func(ctx context.Context, d queue.Delivery) error) http.Handler {
	return serve.PostOnly(func(w http.ResponseWriter, r *http.Request) {
		d, err := queue.FromPush(r)
		if err == nil {
			if d.Cause == queue.CauseConsole {
				hooks.Forget()
			}
			err = do(budget.WithLane(r.Context(), d.Lane), d)
			if d.Cause == queue.CauseNotify && hooks.Came != nil {
				hooks.Came(r.Context(), d.Connector)
			}
		}
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case failure.Is(err, failure.Invalid):
			log.ErrorContext(r.Context(), "message nacked for good", "message", d.ID, "error", err)
			serve.Problem(w, http.StatusBadRequest, "No message", "The push holds no message of this topic.")
		default:
			log.WarnContext(r.Context(), "message nacked", "message", d.ID, "ids", len(d.IDs), "attempt", d.Attempt, "error", err)
			serve.Problem(w, http.StatusServiceUnavailable, "Not done", "The message has to come again.")
		}
	})
}
