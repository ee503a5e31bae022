package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
)

// syncEmployee asks for a pass over one employee; a dead letter of theirs clears
// itself when that pass succeeds.
func (h *handler) syncEmployee(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.ask(w, r, s, h.cfg.EmployeeTopic, "employee")
}

// syncTask asks for a pass over one task.
func (h *handler) syncTask(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.ask(w, r, s, h.cfg.TaskTopic, "task")
}

func (h *handler) ask(w http.ResponseWriter, r *http.Request, s signin.Session, topic, kind string) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		h.notFound(w, r, s)
		return
	}
	m := queue.Message{IDs: []int64{id}, Cause: queue.CauseConsole, Lane: queue.LaneLive}
	if h.publish(w, r, topic, m) {
		h.goBack(w, r, "queued", kind, "id", strconv.FormatInt(id, 10))
	}
}

// run asks for a full run.
func (h *handler) run(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	if h.publish(w, r, h.cfg.EmployeeTopic, everybody()) {
		h.goBack(w, r, "queued", "all")
	}
}

func (h *handler) publish(w http.ResponseWriter, r *http.Request, topic string, m queue.Message) bool {
	ctx, cancel := context.WithTimeout(r.Context(), publishDeadline)
	defer cancel()
	if err := h.Publisher.Publish(ctx, topic, m); err != nil {
		h.Log.ErrorContext(r.Context(), "publish", "topic", topic, "error", err)
		h.message(w, r, http.StatusServiceUnavailable, message{Title: "The request could not be queued",
			Text: "The message queue did not answer, so nothing was started. Wait a minute and press the button again.",
			Link: h.console.URL("/", nil), LinkText: "Back to the status page"})
		return false
	}
	return true
}
