package poll

import (
	"context"
	"fmt"
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
	tasks, err := p.dueKeys(ctx, store.Tasks)
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

func (p *poll) dueKeys(ctx context.Context, c store.Collection) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	ids, err := p.Store.DueKeys(ctx, c, p.now, maxDue)
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	return ids, nil
}

func (p *poll) dueEmployees(ctx context.Context) error {
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

// putOff publishes the full run that could not begin and is due again.
func (p *poll) putOff(ctx context.Context) error {
	if p.unknown != nil {
		return nil // due returns it
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

// purge publishes the calendars that an open purge still has to delete, and ends a
// purge that is done. Everything else waits for the end of the pause.
func (p *poll) purge(ctx context.Context) error {
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

// settling is longer than any pass over a key takes.
const settling = 6 * time.Minute

// endHold ends the alarm once nothing is held any more.
func (p *poll) endHold(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	plan, err := p.Store.Held(ctx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if plan.Since.IsZero() || len(plan.Keys) > 0 {
		return nil
	}
	// What the guard has just declined is on its key only when that pass has ended.
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
