package calendars

import (
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// emptyForRebuild empties the calendar where an admin asked for that; the fill that
// follows puts back what ought to be there, under the same calendar id (rule 4.12).
func (p *employeePass) emptyForRebuild(ctx context.Context) error {
	if p.rec().RebuildAsked.IsZero() {
		return nil
	}
	p.emptied = true
	_, listing, err := p.list(ctx)
	if failure.Is(err, failure.Gone) {
		return nil // the fill makes another
	}
	if err != nil {
		return err
	}
	c := p.rec().Calendar
	order := events.Clearing{Employee: p.id, Calendar: c.ID, Epoch: c.Epoch, Cause: p.order.Cause}
	for _, of := range listing.Events {
		order.Events = append(order.Events, of...)
	}
	if done, err := p.clear(ctx, order); err != nil {
		return err
	} else if !done {
		return errLater
	}
	p.Log.InfoContext(ctx, "calendar emptied for a rebuild", "employee", p.id, "calendar", c.ID, "events", len(order.Events))
	return p.save(ctx, func(r *store.EmployeeRecord) { r.RebuildAsked = time.Time{} })
}

// clear deletes events a few at a time. done is false where the rest is left to another
// pass.
func (p *employeePass) clear(ctx context.Context, c events.Clearing) (done bool, err error) {
	for batch := range slices.Chunk(c.Events, batchSize) {
		if p.late() {
			p.unfinished = true
			return false, nil
		}
		if err := p.extend(ctx); err != nil {
			return false, err
		}
		part := c
		part.Events = batch
		writes, remaining, err := p.Events.Clear(ctx, part)
		p.repaired += writes
		if err != nil {
			return false, err
		}
		if remaining > 0 {
			// Another holds the task; its lease ends before long.
			p.Wait(p.term.AcquiredAt().Add(p.waits.Lease))
			return false, nil
		}
	}
	return true, nil
}
