package workers

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/erp-calendar/erp-calendar/shared/budget"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
)

// Handler serves a push subscription: POST / with a message, done by do on the
// message's lane. 204: done, recorded or in another's care; 400 (kind invalid): no
// message of this topic, it ends as a dead letter; 503: nacked, Pub/Sub sends it again.
// forget drops cached settings where an admin has just changed them.
func Handler(log *slog.Logger, forget func(), do func(ctx context.Context, d queue.Delivery) error) http.Handler {
	return serve.PostOnly(func(w http.ResponseWriter, r *http.Request) {
		d, err := queue.FromPush(r)
		if err == nil {
			if d.Cause == queue.CauseConsole {
				forget()
			}
			err = do(budget.WithLane(r.Context(), d.Lane), d)
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
