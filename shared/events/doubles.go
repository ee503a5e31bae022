package events

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// removeDoubles deletes further own events of the same task and employee: of several the
// highest generation stays. One that cannot be deleted is remembered, since only a list of
// the calendar shows it, and tried again with its task (rule 3.3).
func (t *taskPass) removeDoubles(ctx context.Context, parties []party) {
	t.doubles = []store.Double{}
	for i := range parties {
		p := &parties[i]
		for _, d := range t.doublesOf(p) {
			// Unless it is certain that the one is there that is to stay, both do.
			if p.settled {
				t.removeDouble(ctx, p, d)
			} else {
				t.doubles = append(t.doubles, d.Double)
			}
		}
	}
}

// double is a further event that is to be deleted. Its ETag and hash are "" where no list
// has just shown it.
type double struct {
	store.Double
	id, etag, hash string
}

// doublesOf are the further events of a party: those that the list shows, and those that
// are remembered.
func (t *taskPass) doublesOf(p *party) []double {
	if p.record.Calendar == nil {
		return nil
	}
	epoch, employee := p.record.Calendar.Epoch, calendarsync.EmployeeID(p.id)
	var all []double
	add := func(d double) {
		if d.id != p.mapping.EventID && !slices.ContainsFunc(all, func(have double) bool { return have.id == d.id }) {
			all = append(all, d)
		}
	}
	for _, d := range t.lease.Record.Doubles {
		if d.Employee != p.id || d.Epoch != epoch {
			continue
		}
		of := double{Double: d, id: calendarsync.EventID(t.basis.tenant, t.id, employee, d.Generation)}
		if i := slices.IndexFunc(p.extras, func(e googlecalendar.Event) bool { return e.ID == of.id }); i >= 0 {
			of.GoneSince, of.etag, of.hash = time.Time{}, p.extras[i].ETag, p.extras[i].Mark.Hash
		}
		add(of)
	}
	for _, e := range p.extras {
		if e.Ours(t.basis.tenant, t.id, employee) {
			add(double{store.Double{Employee: p.id, Epoch: epoch, Generation: e.Mark.Generation}, e.ID, e.ETag, e.Mark.Hash})
		}
	}
	return all
}

// removeDouble deletes one event that no mapping knows, announced like every other
// write: whoever makes it may die behind it (rule 2.5).
func (t *taskPass) removeDouble(ctx context.Context, p *party, d double) {
	a := t.newActivity(p, "event.delete-double", d.id, d.hash)
	a.ID += "-" + strconv.Itoa(d.Generation)
	rejected, err := t.s.Store.IntendTask(ctx, &t.lease, []store.Intent{{
		Employee: p.id, Mapping: store.Mapping{Epoch: d.Epoch}, Activity: a, Unmapped: true,
	}})
	if err == nil && len(rejected) > 0 {
		// A calendar that is not to be written any more is settled by its own pass.
		return
	}
	found := false
	if err == nil {
		found, err = t.deleteOwn(ctx, p, d.id, d.etag)
		a = pass.Outcome(a, err)
		if err == nil && !found {
			a.Result = string(failure.Gone)
		}
		t.activity = append(t.activity, a)
	}
	t.react(ctx, p.id, written{gone: true, err: err})
	switch {
	case err != nil:
		d.GoneSince = time.Time{}
	case found:
		t.Drift.Add(DriftDoubled, 1)
		return
	case d.GoneSince.IsZero():
		d.GoneSince = t.term.At(t.s.Now())
	case t.goneForSure(ctx, p, d.id, d.GoneSince):
		return
	}
	if err == nil {
		t.result.Again(doubtedAgain(d.GoneSince, t.acquiredAt(), t.s.waits.Absence))
	}
	t.doubles = append(t.doubles, d.Double)
}
