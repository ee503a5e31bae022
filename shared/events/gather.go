package events

import (
	"context"
	"maps"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// party is an employee whom a task concerns or once concerned.
type party struct {
	id     int64
	record store.EmployeeRecord
	active bool // has a calendar that may be written
	// mapping is what is remembered of the event, or what the listing gives to
	// remember (adopt); mapped is false without either.
	mapping store.Mapping
	mapped  bool
	observation
}

// gather finds everybody whom the task concerns or once concerned: those with an
// event, the executors and division members of the reading, and the employee whose
// listed calendar shows the task. They come by ascending id.
func (t *taskPass) gather(ctx context.Context) ([]party, error) {
	ids := map[int64]bool{}
	for _, id := range t.lease.Record.Mapped() {
		ids[id] = true
	}
	if l := t.order.Listed; l != nil && len(l.Events[t.id]) > 0 {
		ids[int64(l.Employee)] = true
	}
	records, err := t.targets(ctx, ids)
	if err != nil {
		return nil, err
	}
	parties := make([]party, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		rec, known := records[id]
		if !known {
			if rec, known, err = t.s.Store.Employee(ctx, id); err != nil {
				return nil, err
			}
		}
		p := party{id: id}
		p.mapping, p.mapped = t.lease.Record.Mapping(id)
		if known {
			p.record = rec
			p.active = rec.Calendar != nil && rec.Receives(rec.Calendar.Epoch)
		}
		parties = append(parties, p)
	}
	return parties, nil
}

// targets adds to ids whom the reading names, and gives the records of those whom
// it names by their division.
func (t *taskPass) targets(ctx context.Context, ids map[int64]bool) (map[int64]store.EmployeeRecord, error) {
	task := t.reading().Task
	if task == nil {
		return nil, nil
	}
	executors, divisions := t.basis.rules.Targets(*task)
	for _, id := range executors {
		ids[int64(id)] = true
	}
	if len(divisions) == 0 {
		return nil, nil
	}
	members, err := t.s.Store.EmployeesOfDivisions(ctx, calendarsync.IDs[int64](divisions))
	if err != nil {
		return nil, err
	}
	records := map[int64]store.EmployeeRecord{}
	for _, m := range members {
		records[m.ID], ids[m.ID] = m, true
	}
	return records, nil
}

// dropFormer forgets an event whose calendar is gone, or going with all it holds.
func (t *taskPass) dropFormer(p *party) {
	if p.mapped && (p.record.Calendar == nil || p.mapping.Epoch != p.record.Calendar.Epoch) {
		t.mappings[p.id] = nil
		p.mapped, p.mapping = false, store.Mapping{}
	}
}

// recipient is an employee as decisions need them; via is how they have the event.
func recipient(rec store.EmployeeRecord, via string) calendarsync.Recipient {
	r := calendarsync.Recipient{ID: calendarsync.EmployeeID(rec.ID), Name: rec.Name, Via: via}
	if rec.Calendar != nil {
		r.From = rec.Calendar.From
	}
	for _, d := range rec.Divisions {
		r.Divisions = append(r.Divisions, calendarsync.DivisionID(d))
	}
	return r
}
