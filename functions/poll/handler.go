// Package poll is the function Poll, the net under lost notifications: every few
// minutes it publishes the keys that are due and whatever changed in the ERP
// without being told (rules 1.4, 8.1 and 8.2). It must never look at a
// calendar, never decide what a change leads to, and never move its watermark
// past something that was not published.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	storeDeadline   = 15 * time.Second
	publishDeadline = 15 * time.Second
	erpDeadline     = 3 * time.Minute // a whole reading; userside bounds each attempt
	// maxDue is how many due keys of a collection one poll publishes; what is left
	// is due still at the next.
	maxDue = 2000
	// suspicious is how many may be missing from a list before some of them are
	// asked for by id, in one call.
	suspicious = 20
	// maxLive is how many tasks one poll sends on the live lane; beyond, a poll's
	// changes go by employee (rule 6.3).
	maxLive = 100
)

// The names under which Poll remembers; the console reads the tasks' one.
const (
	RecordTasks     = "tasks"
	RecordEmployees = "employees"
)

// Config is what the function has to know.
type Config struct{ TaskTopic, EmployeeTopic string }

// ERP reads the ERP; userside.Client does.
type ERP interface {
	Clock(ctx context.Context) (userside.Clock, error)
	States(ctx context.Context) (calendarsync.Catalogue, error)
	ListTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error)
	Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error)
	Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
	AllEmployees(ctx context.Context) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error)
}

// Settings gives the settings in force; settings.Source does.
type Settings interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
}

// Store is what the function needs of store.Store.
type Store interface {
	Account(ctx context.Context) (store.AccountRecord, error)
	GrantAlarmed(ctx context.Context, sub string, version int64) error
	Held(ctx context.Context) (store.HeldPlan, error)
	HoldEnded(ctx context.Context) (ended time.Time, err error)
	Installation(ctx context.Context) (store.InstallationRecord, error)
	FinishPurge(ctx context.Context) (ended bool, err error)
	Now(ctx context.Context) (time.Time, error)
	DueKeys(ctx context.Context, c store.Collection, now time.Time, limit int) ([]int64, error)
	Poll(ctx context.Context, what string) (rec store.PollRecord, found bool, err error)
	SavePoll(ctx context.Context, what string, rec store.PollRecord) error
	Task(ctx context.Context, id int64) (rec store.TaskRecord, found bool, err error)
	SeenSince(ctx context.Context, since time.Time) (map[int64]string, error)
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	InsertedSince(ctx context.Context, since time.Time) ([]int64, error)
	TasksOf(ctx context.Context, employee int64) ([]store.TaskRecord, error)
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)
	PutOff(ctx context.Context) (store.PutOffRecord, error)
	RunSent(ctx context.Context, due time.Time) error
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
	// Paused tells that settings are off or incomplete: nothing was published and
	// the watermark stays, so that the changes of the pause are found afterwards.
	Paused       bool `json:"paused"`
	DueTasks     int  `json:"due_tasks"`
	DueEmployees int  `json:"due_employees"`
	Changed      int  `json:"changed"`
	Missing      int  `json:"missing"`
	Employees    int  `json:"employees"`
	// Everybody tells that so much had changed that a full run was started instead.
	Everybody bool `json:"everybody,omitempty"`
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	sum, err := h.run(ctx)
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

func (h *handler) run(ctx context.Context) (Summary, error) {
	var sum Summary
	in, err := h.Settings.Settings(ctx)
	p := &pass{handler: h, settings: in, sum: &sum, sent: map[int64]bool{}}
	switch {
	case failure.Is(err, failure.Misconfigured):
		// Until an admin completes the settings nothing can be judged.
		h.Log.WarnContext(ctx, "the settings are incomplete: nothing is polled", "error", err)
		sum.Paused = true
	case err != nil:
		return sum, fmt.Errorf("poll: %w", err)
	case !in.Enabled:
		sum.Paused = true
	}
	p.learn(ctx)
	if sum.Paused {
		// A grant dies whether anybody makes use of it or not.
		return sum, errors.Join(p.purge(ctx), p.alarms(ctx))
	}
	// Each part stands by itself: an ERP that is down must not keep due keys waiting.
	return sum, errors.Join(p.due(ctx), p.putOff(ctx), p.tasks(ctx), p.employees(ctx), p.endHold(ctx), p.alarms(ctx))
}

// learn reads once what several parts need of the store.
func (p *pass) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	var err error
	if p.account, err = p.Store.Account(ctx); err != nil && !errors.Is(err, store.ErrNotConnected) {
		p.unknown = fmt.Errorf("poll: %w", err)
		return
	}
	if p.now, err = p.Store.Now(ctx); err != nil {
		p.unknown = fmt.Errorf("poll: read the store's clock: %w", err)
	}
}

// purge brings up what an open purge still has to take down, and ends one that has
// nothing left: a pause keeps everything else.
func (p *pass) purge(ctx context.Context) error {
	read, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	in, err := p.Store.Installation(read)
	if err != nil || !in.Purge.Open() {
		return err
	}
	ended, err := p.Store.FinishPurge(read)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if ended {
		p.Log.WarnContext(ctx, "purge finished", "calendars", in.Purge.Calendars, "kept", in.Purge.Kept)
		return nil
	}
	if p.unknown != nil {
		return p.unknown
	}
	return p.dueEmployees(ctx)
}

// pass is one run.
type pass struct {
	*handler
	settings calendarsync.Settings
	sum      *Summary
	// account and now are what the store said at the beginning, unless unknown tells
	// why it did not; account is zero where none was ever connected.
	account store.AccountRecord
	now     time.Time
	unknown error
	// clock is the ERP's, nil where it could not be read.
	clock *userside.Clock
	// sent are the tasks published in this run: one message each is enough.
	sent map[int64]bool
}

// due publishes what waits for its time: leases whose holder died, failures whose
// pause is over, second looks.
func (p *pass) due(ctx context.Context) error {
	if p.unknown != nil || !p.mayWrite() {
		return p.unknown
	}
	tasks, err := p.dueKeys(ctx, store.Tasks)
	if err != nil {
		return err
	}
	// Also what is beyond the live share goes by task: only a look at the task itself
	// ends its being due.
	live := min(len(tasks), maxLive)
	if err := p.publish(ctx, p.cfg.TaskTopic, queue.CauseRetry, queue.LaneLive, tasks[:live]); err != nil {
		return err
	}
	if err := p.publish(ctx, p.cfg.TaskTopic, queue.CauseRetry, queue.LaneBulk, tasks[live:]); err != nil {
		return err
	}
	for _, id := range tasks {
		p.sent[id] = true
	}
	p.sum.DueTasks = len(tasks)
	return p.dueEmployees(ctx)
}

func (p *pass) dueKeys(ctx context.Context, c store.Collection) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	ids, err := p.Store.DueKeys(ctx, c, p.now, maxDue)
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	return ids, nil
}

func (p *pass) dueEmployees(ctx context.Context) error {
	employees, err := p.dueKeys(ctx, store.Employees)
	if err != nil {
		return err
	}
	if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CauseRetry, queue.LaneBulk, employees); err != nil {
		return err
	}
	p.sum.DueEmployees = len(employees)
	return nil
}

// settling is longer than any look at a key lasts.
const settling = 6 * time.Minute

// endHold ends the alarm once nothing is held any more.
func (p *pass) endHold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	plan, err := p.Store.Held(ctx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if plan.Since.IsZero() || len(plan.Keys) > 0 {
		return nil
	}
	// What the guard has just refused is on its key only when that look has ended.
	if p.unknown != nil || p.now.Before(plan.Since.Add(settling)) {
		return p.unknown
	}
	since, err := p.Store.HoldEnded(ctx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if !since.IsZero() {
		logging.AlarmEnded(ctx, p.Log, logging.DeletionsHeld, "held-"+since.UTC().Format(time.RFC3339), "Nothing is held any more")
	}
	return nil
}

// mayWrite reports whether a look could write anything: without a confirmation or
// an account, due keys would only be read from the ERP and parked again, every
// poll anew (rules 4.7 and 7.5).
func (p *pass) mayWrite() bool { return p.account.Connected && p.settings.Confirmed }

// putOff publishes the full run that could not begin and is due again.
func (p *pass) putOff(ctx context.Context) error {
	if p.unknown != nil {
		return nil // told by due
	}
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	run, err := p.Store.PutOff(ctx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if run.DueAt.IsZero() || p.now.Before(run.DueAt) {
		return nil
	}
	if err := p.everybody(ctx, queue.Cause(run.Cause)); err != nil {
		return err
	}
	if err := p.Store.RunSent(ctx, run.DueAt); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

// everybody starts a full run.
func (p *pass) everybody(ctx context.Context, cause queue.Cause) error {
	p.sum.Everybody = true
	return p.send(ctx, p.cfg.EmployeeTopic, queue.Message{All: true, Cause: cause, Lane: queue.LaneBulk})
}

func (p *pass) publish(ctx context.Context, topic string, cause queue.Cause, lane queue.Lane, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return p.send(ctx, topic, queue.Split(queue.Message{IDs: ids, Cause: cause, Lane: lane})...)
}

func (p *pass) send(ctx context.Context, topic string, messages ...queue.Message) error {
	ctx, cancel := context.WithTimeout(ctx, publishDeadline)
	defer cancel()
	if err := p.Publisher.Publish(ctx, topic, messages...); err != nil {
		return fmt.Errorf("poll: publish %d messages to %s: %w", len(messages), topic, err)
	}
	return nil
}

func (p *pass) remembered(ctx context.Context, what string) (store.PollRecord, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return p.Store.Poll(ctx, what)
}

func (p *pass) remember(ctx context.Context, what string, rec store.PollRecord) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return p.Store.SavePoll(ctx, what, rec)
}
