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
// message's lane. 204: done, recorded or left to another; 400 (kind invalid): no
// message of this topic, it ends as a dead letter; 503: refused, to come again.
// forget drops settings read before, where an admin has just changed them.
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
			log.ErrorContext(r.Context(), "message refused for good", "message", d.ID, "error", err)
			serve.Problem(w, http.StatusBadRequest, "No message", "The push holds no message of this topic.")
		default:
			log.WarnContext(r.Context(), "message refused, to come again", "message", d.ID, "ids", len(d.IDs), "attempt", d.Attempt, "error", err)
			serve.Problem(w, http.StatusServiceUnavailable, "Not done", "The message has to come again.")
		}
	})
}
