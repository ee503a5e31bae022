// Package poll is the function Poll, the net under lost notifications: every few
// minutes it publishes the keys that are due and whatever changed in the ERP
// without a notification (rules 1.4, 8.1 and 8.2), and raises and ends the alarms about
// what only clocks and records show (rule 7.4). It must never call Google, never decide
// what a change leads to, and never move its watermark past something that was not
// published.
package poll

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	partDeadline    = 30 * time.Second // a part that calls no ERP
	storeDeadline   = 15 * time.Second
	publishDeadline = 15 * time.Second
	erpDeadline     = 3 * time.Minute // a whole reading; userside bounds each attempt
	// maxDue is how many due keys of a collection one poll publishes; the rest is still
	// due at the next.
	maxDue = 2000
	// probes is how many of them where Google keeps the whole account out, to see
	// whether it still does (rule 7.7).
	probes = 3
	// fewDue is how many where Google refuses one thing for everybody alike.
	fewDue = 200
	// suspicious is how many may be missing from a list before some of them are
	// asked for by id, in one call.
	suspicious = 20
	// maxLive is how many tasks one poll sends on the live lane; beyond, a poll's
	// changes go by employee (rule 6.3).
	maxLive = 100
)

// Config is what the function has to know.
type Config struct{ TaskTopic, EmployeeTopic string }

// ERP reads the ERP; userside.Client does.
type ERP interface {
	rulebook.ERP // of which polls need the states and the clock, and, where something was odd, the rest
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
	Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	AllEmployees(ctx context.Context, known []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
}

// Settings gives the settings in force; settings.Source does.
type Settings interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
}

// Deps are what the function works with.
type Deps struct {
	ERP       ERP
	Settings  Settings
	Store     Store
	Publisher queue.Publisher
	Log       *slog.Logger
}

type handler struct {
	Deps
	cfg Config
}

// New makes the function's handler: POST / runs one poll and answers 200 with its
// counts, or 503 when a part of it failed; the other parts are done all the same.
func New(cfg Config, deps Deps) http.Handler {
	h := &handler{deps, cfg}
	return serve.PostOnly(h.serve)
}

// Summary is what one poll published.
type Summary struct {
	// Paused: the settings are off or incomplete. Nothing was published, and the
	// watermark stays, so that the first poll after the pause lists its changes.
	Paused       bool `json:"paused"`
	DueTasks     int  `json:"due_tasks"`
	DueEmployees int  `json:"due_employees"`
	Changed      int  `json:"changed"`
	Missing      int  `json:"missing"`
	Employees    int  `json:"employees"`
	// Everybody: so much had changed that a full run was started instead.
	Everybody bool `json:"everybody,omitempty"`
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	sum, err := h.poll(ctx)
	attrs := []any{"due_tasks", sum.DueTasks, "due_employees", sum.DueEmployees, "changed", sum.Changed,
		"missing", sum.Missing, "employees", sum.Employees, "everybody", sum.Everybody, "paused", sum.Paused}
	if err != nil {
		h.Log.ErrorContext(ctx, "poll failed in part", append(attrs, "error", err, "kind", string(failure.KindOf(err)))...)
		serve.Problem(w, http.StatusServiceUnavailable, "Poll failed", "A part of the poll failed; the next one takes it up.")
		return
	}
	h.Log.InfoContext(ctx, "polled", attrs...)
	serve.JSON(w, http.StatusOK, sum)
}
