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

func everybody() queue.Message {
	return queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}
}

// confirmHeld lets exactly the deletions go that the admin was shown: the form
// names the list by its hash (rule 4.5). Each key is read again and goes
// only if it is still due.
func (h *handler) confirmHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.decideHeld(w, r, s, "confirmed", h.Store.Allow)
}

// dropHeld keeps exactly what the admin was shown, until its source says something
// new.
func (h *handler) dropHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.decideHeld(w, r, s, "dropped", h.Store.Drop)
}

func (h *handler) decideHeld(w http.ResponseWriter, r *http.Request, s signin.Session, decided string, decide func(context.Context, store.Key) error) {
	plan, ok := h.heldPlan(w, r)
	if !ok {
		return
	}
	if r.PostFormValue("hash") != plan.Hash || plan.Hash == "" {
		h.message(w, r, http.StatusConflict, message{Title: "The list has changed",
			Text: "Since you opened the page, other deletions were held or dropped out, so nothing was decided. Look at the list again.",
			Link: h.console.URL("/", nil), LinkText: "Back to the status page"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	for _, k := range plan.Keys {
		if err := decide(ctx, k.Key); err != nil {
			h.trouble(w, r, "decide about the held deletions", err)
			return
		}
	}
	h.Log.InfoContext(r.Context(), "held deletions decided", "how", decided, "sub", s.Sub, "plan", plan.Hash, "events", plan.Events, "calendars", plan.Calendars)
	h.askHeld(w, r, plan.Keys, decided)
}

// reopenHeld puts what was dropped back into the list, to be decided anew.
func (h *handler) reopenHeld(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	keys, err := h.Store.Dropped(ctx)
	for _, k := range keys {
		if err == nil {
			err = h.Store.Reopen(ctx, k.Key)
		}
	}
	if err != nil {
		h.trouble(w, r, "put the dropped deletions back", err)
		return
	}
	h.askHeld(w, r, keys, "held")
}

// recheckHeld asks for a pass over what is held: what recovered drops out.
func (h *handler) recheckHeld(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	if plan, ok := h.heldPlan(w, r); ok {
		h.askHeld(w, r, plan.Keys, "held")
	}
}

func (h *handler) heldPlan(w http.ResponseWriter, r *http.Request) (store.HeldPlan, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	plan, err := h.Store.Held(ctx)
	if err != nil {
		h.trouble(w, r, "read what is held", err)
	}
	return plan, err == nil
}

func (h *handler) askHeld(w http.ResponseWriter, r *http.Request, keys []store.HeldKey, queued string) {
	ids := map[string][]int64{}
	for _, k := range keys {
		topic := h.cfg.TaskTopic
		if k.Collection == store.Employees {
			topic = h.cfg.EmployeeTopic
		}
		ids[topic] = append(ids[topic], k.ID)
	}
	for topic, list := range ids {
		for _, m := range queue.Split(queue.Message{IDs: list, Cause: queue.CauseConsole, Lane: queue.LaneLive}) {
			if !h.publish(w, r, topic, m) {
				return
			}
		}
	}
	h.goBack(w, r, "queued", queued)
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
