package poll

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// due publishes what waits for its time: leases whose holder died, failures whose
// back-off is over, second readings.
func (p *poll) due(ctx context.Context) error {
	if p.unknown != nil || !p.mayWrite() {
		return p.unknown
	}
	tasks, err := p.Store.DueKeys(ctx, store.Tasks, p.now, p.mostDue())
	if err != nil {
		return err
	}
	// What exceeds the live share goes by task, too: only a pass over the task itself
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

// mostDue is how many due keys of a collection this poll publishes.
func (p *poll) mostDue() int {
	if p.account.Incident.StopsAll() {
		return probes // the rest would only be parked again
	}
	if p.account.Incident != nil {
		return fewDue // most would only be kept back again, and among them may be others
	}
	return maxDue
}

func (p *poll) dueEmployees(ctx context.Context) error {
	employees, err := p.Store.DueKeys(ctx, store.Employees, p.now, p.mostDue())
	if err != nil {
		return err
	}
	if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CauseRetry, queue.LaneBulk, employees); err != nil {
		return err
	}
	p.sum.DueEmployees = len(employees)
	return nil
}

// putOff publishes the full run that could not begin and is due again.
func (p *poll) putOff(ctx context.Context) error {
	if p.unknown != nil {
		return nil //nolint:nilerr // due returns it
	}
	run, err := p.Store.PutOff(ctx)
	if err != nil || run.DueAt.IsZero() || p.now.Before(run.DueAt) {
		return err
	}
	if err := p.everybody(ctx, queue.Cause(run.Cause)); err != nil {
		return err
	}
	return p.Store.RunSent(ctx, run.DueAt)
}

// purge publishes the calendars that an open purge still has to delete, and ends a
// purge that is done. Everything else waits for the end of the pause.
func (p *poll) purge(ctx context.Context) error {
	in, err := p.Store.Installation(ctx)
	if err != nil || !in.Purge.Open() {
		return err
	}
	ended, err := p.Store.FinishPurge(ctx)
	if err != nil {
		return err
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

// settling is longer than any pass over a key takes.
const settling = 6 * time.Minute

// endHold ends the alarm once nothing is held any more.
func (p *poll) endHold(ctx context.Context) error {
	plan, err := p.Store.Held(ctx)
	if err != nil || plan.Since.IsZero() || len(plan.Keys) > 0 {
		return err
	}
	// What the guard has just declined is on its key only when that pass has ended.
	if p.unknown != nil || p.now.Before(plan.Since.Add(settling)) {
		return p.unknown
	}
	since, err := p.Store.HoldEnded(ctx)
	if !since.IsZero() {
		logging.AlarmEnded(ctx, p.Log, logging.DeletionsHeld, "held-"+since.UTC().Format(time.RFC3339), "Nothing is held any more")
	}
	return err
}
