package console

import (
	"context"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/serve"
)

// How many records a page reads at most.
const (
	mostFailed      = 100
	mostDeadLetters = 1000
)

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// apiStatus answers GET /api/status. Without a session it answers with a problem: a
// program would take a redirect to a page for an answer.
func (h *handler) apiStatus(w http.ResponseWriter, r *http.Request) {
	_, found, allowed, err := h.session(r)
	switch {
	case err != nil:
		h.Log.ErrorContext(r.Context(), "look whether the session was ended", "error", err)
		serve.Problem(w, http.StatusServiceUnavailable, "No database", "The database did not answer.")
		return
	case !found:
		serve.Problem(w, http.StatusUnauthorized, "Not signed in", "There is no session, or it has expired. Sign in at the console.")
		return
	case !allowed:
		serve.Problem(w, http.StatusForbidden, "Not allowed", "This account is not on the list of admins.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	o, err := h.status(ctx)
	if err != nil {
		h.Log.ErrorContext(r.Context(), "read the status", "error", err)
		serve.Problem(w, http.StatusServiceUnavailable, "No database", "The database did not answer.")
		return
	}
	serve.JSON(w, http.StatusOK, o.Answer())
}
