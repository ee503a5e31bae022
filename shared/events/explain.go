package events

import (
	"context"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Explained is what a pass over a task finds about one employee, for whoever asks why an
// event is, or is not, in a calendar.
type Explained struct {
	ID int64
	// Employee is their record; zero where there is none yet.
	Employee store.EmployeeRecord
	// Active: they have a calendar that may be written, and Decision says what ought to be
	// in it.
	Active   bool
	Decision calendarsync.Decision
	// Mapping is what is remembered of the event; Live: it is in the present calendar.
	Mapping store.Mapping
	Live    bool
	// Step is what a pass would do next, as far as is remembered. A deletion may still have
	// to wait: for a second reading (rule 4.2) or for an admin (rule 4.3).
	Step calendarsync.Action
}

// Explain decides about everybody whom a task concerns or once concerned, by ascending id,
// with the code that a pass decides with. It asks nobody but the store, and writes nothing (rule 7.9).
func Explain(ctx context.Context, s Records, rules *calendarsync.Rules, reading calendarsync.TaskReading, rec store.TaskRecord) ([]Explained, error) {
	parties, err := gather(ctx, s, rules, reading, rec, map[int64]bool{})
	if err != nil {
		return nil, err
	}
	out := make([]Explained, 0, len(parties))
	for i := range parties {
		out = append(out, explain(&parties[i], rules, reading, rec.Vouched))
	}
	return out, nil
}

// ExplainFor is Explain for one employee, whether the task concerns them or not.
func ExplainFor(e store.EmployeeRecord, rules *calendarsync.Rules, reading calendarsync.TaskReading, rec store.TaskRecord) Explained {
	p := party{id: e.ID, record: e, active: e.Calendar != nil && e.Receives(e.Calendar.Epoch)}
	p.mapping, p.mapped = rec.Mapping(e.ID)
	return explain(&p, rules, reading, rec.Vouched)
}

func explain(p *party, rules *calendarsync.Rules, reading calendarsync.TaskReading, vouched bool) Explained {
	present := p.mapped && p.record.Calendar != nil && p.mapping.Epoch == p.record.Calendar.Epoch
	x := Explained{ID: p.id, Employee: p.record, Active: p.active, Mapping: p.mapping,
		Live: present && (p.mapping.State == store.MappingLive || p.mapping.State == store.MappingDeleting)}
	switch {
	case x.Live:
		p.actual = calendarsync.Actual{Presence: calendarsync.Live, Sent: p.mapping.Sent, Returned: p.mapping.Returned}
	case present:
		p.actual.Presence = calendarsync.Cancelled
	}
	x.Decision = rules.Decide(reading, recipient(p.record, via(p)), vouched)
	x.Step = calendarsync.Step(x.Decision, p.actual)
	return x
}
