package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// syncEmployee asks for a pass over one employee; a dead letter of theirs clears
// itself when that pass succeeds.
func (h *handler) syncEmployee(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.ask(w, r, s, store.Employees, "employee")
}

// syncTask asks for a pass over one task.
func (h *handler) syncTask(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.ask(w, r, s, store.Tasks, "task")
}

// ask asks for a pass over one key. The key's own page shows what comes of it, in place; any
// other page says that it was asked.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, s signin.Session, of store.Collection, what string) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		h.notFound(w, r, s)
		return
	}
	own, asked := taskPath(id), h.Now()
	if of == store.Employees {
		own = personPath(id)
	}
	if !h.askFor(w, r, of, []int64{id}) {
		return
	}
	if back(r, own).Path != own {
		h.goBackOr(w, r, own, "queued", what, "id", strconv.FormatInt(id, 10))
		return
	}
	h.goBackOr(w, r, own, askedField, strconv.FormatInt(asked.Unix(), 10))
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
		said := "not-queued"
		if isDone(r) {
			said = "not-told" // what was decided is in the store
		}
		h.say(w, r, http.StatusServiceUnavailable, said, back(r, "/").String())
		return false
	}
	return true
}
