// Package deadletter is the function DeadLetter: it records each key whose
// message gave up, for the console to show and retry. The record clears itself
// when the key later succeeds (rule 7.2). It must never drop a message
// without a trace: what it cannot read is an alarm.
package deadletter

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const storeDeadline = 10 * time.Second

// Config is what the function has to know.
type Config struct{ TaskTopic, EmployeeTopic string }

// Store records; store.Store does.
type Store interface {
	RecordDeadLetter(ctx context.Context, key store.Key, cause string, attempts int) error
	AdvanceRun(ctx context.Context, part string, results ...store.RunResult) (over bool, err error)
}

// Deps are what the function works with.
type Deps struct {
	Store Store
	Log   *slog.Logger
}

type handler struct {
	Deps
	cfg Config
}

// New makes the function's handler: a push is answered 204 once all of its keys
// are recorded, or once an alarm tells of what cannot be; 503 to get it again.
func New(cfg Config, deps Deps) http.Handler {
	h := &handler{deps, cfg}
	return serve.PostOnly(h.serve)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	if err := h.recordAll(r); err != nil {
		h.Log.ErrorContext(r.Context(), "dead letter not recorded", "error", err)
		serve.Problem(w, http.StatusServiceUnavailable, "Not recorded", "The message was not recorded; send it again.")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) recordAll(r *http.Request) error {
	ctx := r.Context()
	push, err := queue.ReadPush(r)
	if err != nil && !failure.Is(err, failure.Invalid) {
		return err
	}
	source, attempts := push.DeadLetter()
	// An alarm ends the matter: nacked, the message would only come back here until
	// Pub/Sub's retention drops it without a trace.
	alarm := func(why string, attrs ...any) error {
		incident := push.ID
		if incident == "" {
			incident = "unknown"
		}
		logging.Alarm(ctx, h.Log, logging.DeadLetterUnreadable, incident, why,
			append([]any{"subscription", source, "attempts", attempts}, attrs...)...)
		return nil
	}
	if err != nil {
		return alarm("a dead letter cannot be read", "error", err)
	}
	d, err := push.Delivery()
	if err != nil {
		return alarm("a dead letter cannot be read", "error", err)
	}
	if d.All {
		return alarm("a full run gave up; start it again in the console", "cause", string(d.Cause))
	}
	key := h.keyOf(push.Attributes[queue.AttributeTopic], source)
	if key == nil {
		return alarm("a dead letter comes from no known topic", "ids", d.IDs)
	}
	for _, id := range d.IDs {
		if err := h.record(ctx, key(id), d.Cause, attempts); err != nil {
			return err
		}
	}
	if err := h.endPart(ctx, d); err != nil {
		return err
	}
	h.Log.WarnContext(ctx, "dead letter recorded", "collection", string(key(1).Collection), "ids", d.IDs,
		"cause", string(d.Cause), "subscription", source, "attempts", attempts, "message", d.ID)
	return nil
}

func (h *handler) record(ctx context.Context, key store.Key, cause queue.Cause, attempts int) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return h.Store.RecordDeadLetter(ctx, key, string(cause), attempts)
}

// endPart lets the full run that the message belonged to end: its employees count as
// failed, and their keys become due by themselves.
func (h *handler) endPart(ctx context.Context, d queue.Delivery) error {
	if d.Run == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	results := make([]store.RunResult, len(d.IDs))
	for i, id := range d.IDs {
		results[i] = store.RunResult{Employee: id, Failed: true}
	}
	_, err := h.Store.AdvanceRun(ctx, d.Run, results...)
	return err
}

// keyOf tells tasks' messages from employees': by the topic that they were published
// to, which our publisher notes, or else by the name of the subscription that gave
// up. nil: by neither.
func (h *handler) keyOf(topic, subscription string) func(int64) store.Key {
	task, employee := short(h.cfg.TaskTopic), short(h.cfg.EmployeeTopic)
	switch topic {
	case task:
		return store.TaskKey
	case employee:
		return store.EmployeeKey
	}
	for _, names := range [][2]string{{task, employee}, {"task", "employee"}} {
		isTask, isEmployee := strings.Contains(subscription, names[0]), strings.Contains(subscription, names[1])
		switch {
		case isTask && !isEmployee:
			return store.TaskKey
		case isEmployee && !isTask:
			return store.EmployeeKey
		}
	}
	return nil
}

func short(topic string) string { return topic[strings.LastIndexByte(topic, '/')+1:] }
