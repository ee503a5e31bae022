package console

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// deedKey is where an action's request carries what it changed.
type deedKey struct{}

// deed is what an admin's action changed, in words or figures of the handler's own. done and
// nothing are set where the answer does not tell whether it did anything.
type deed struct {
	before, after string
	done, nothing bool
}

// noteChange tells what an action changed, for the record of it.
func noteChange(r *http.Request, before, after string) {
	if d, found := r.Context().Value(deedKey{}).(*deed); found {
		d.before, d.after = before, after
	}
}

// noteDone tells that an action did what was asked, even if it answers with a page.
func noteDone(r *http.Request) {
	if d, found := r.Context().Value(deedKey{}).(*deed); found {
		d.done = true
	}
}

// noteNothing tells that an action did nothing, although it leads back to a page.
func noteNothing(r *http.Request) {
	if d, found := r.Context().Value(deedKey{}).(*deed); found {
		d.nothing = true
	}
}

// isDone reports whether noteDone was told.
func isDone(r *http.Request) bool {
	d, found := r.Context().Value(deedKey{}).(*deed)
	return found && d.done
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the writer beneath.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recorded serves an action and records it under the admin's address if it did anything: an
// action that did ends by leading somewhere else, unless it says otherwise by noteNothing or
// noteDone; what only shows something, and every refusal, answers with a page.
func (h *handler) recorded(next withSession) withSession {
	return func(w http.ResponseWriter, r *http.Request, s signin.Session) {
		d, out := &deed{}, &statusWriter{ResponseWriter: w}
		next(out, r.WithContext(context.WithValue(r.Context(), deedKey{}, d)), s)
		if d.nothing || out.status != http.StatusSeeOther && !d.done {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
		defer cancel()
		if err := h.Store.RecordAction(ctx, actionRecord(h, r, s, *d)); err != nil {
			// What was done is done, and the log has it.
			h.Log.ErrorContext(r.Context(), "an admin's action could not be recorded", "action", actionName(r.Pattern), "sub", s.Sub, "error", err)
		}
	}
}

func actionRecord(h *handler, r *http.Request, s signin.Session, d deed) store.ActivityRecord {
	now := h.Now().UTC()
	a := store.ActivityRecord{ID: "admin-" + signin.Random(), At: now, Action: "admin." + actionName(r.Pattern), By: s.Email,
		Before: d.before, After: d.after, Result: "done", ExpiresAt: now.Add(store.ActivityKept)}
	if id, err := strconv.ParseInt(r.PathValue("id"), 10, 64); err == nil {
		if strings.Contains(r.Pattern, "/tasks/") {
			a.Task = id
		} else {
			a.Employee = id
		}
	}
	return a
}

// wildcard is the part of a route that stands for an id.
var wildcard = regexp.MustCompile(`/\{[^}]*\}`)

// actionName names an action by its route: "POST /employees/{id}/sync" is employees-sync.
func actionName(route string) string {
	_, path, _ := strings.Cut(route, " ")
	return strings.ReplaceAll(strings.Trim(wildcard.ReplaceAllString(path, ""), "/"), "/", "-")
}
