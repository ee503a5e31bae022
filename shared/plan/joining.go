package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// JoiningStates are the states in which open tasks may get an event that they have not, for
// which only the ERP's tasks can be counted; none where nothing joins.
func (p Plan) JoiningStates(b Basis) []calendarsync.StateID {
	switch {
	case len(p.Made) > 0 || p.NewDivisions:
		return b.Catalogue.StatesWithRoles(b.Next.ShownRoles)
	default:
		return p.NewStates
	}
}

// Joining counts, by person, the events that tasks just read would get and have not. now is
// when calendars to be made would be.
func Joining(b Basis, p Plan, tasks map[calendarsync.TaskID]calendarsync.TaskReading, now time.Time) ([]Person, error) {
	rules, err := calendarsync.NewRules(b.Next, b.Catalogue, nil)
	if err != nil {
		return nil, err
	}
	counts := map[calendarsync.EmployeeID]int{}
	for _, to := range recipients(b, p, now) {
		for _, reading := range tasks {
			d := rules.Decide(reading, to.Recipient, false)
			if d.Verdict == calendarsync.Keep && (to.made || p.joins(*reading.Task, d.Via)) {
				counts[to.ID]++
			}
		}
	}
	out := make([]Person, 0, len(counts))
	m := maker{Basis: b, records: recordsOf(b.Employees)}
	for id, n := range counts {
		out = append(out, Person{ID: id, Name: m.name(int64(id)), Events: n})
	}
	slices.SortFunc(out, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// joins reports whether a task's event in a calendar that exists is new.
func (p Plan) joins(t calendarsync.Task, via string) bool {
	return slices.Contains(p.NewStates, t.State.Or(0)) || p.NewDivisions && via == calendarsync.ViaDivision
}

// recipient is whoever has a calendar after the save.
type recipient struct {
	calendarsync.Recipient
	made bool
}

func recipients(b Basis, p Plan, now time.Time) []recipient {
	var out []recipient
	for _, one := range p.Made {
		r := recipient{Recipient: calendarsync.Recipient{ID: one.ID, Name: one.Name, From: now.Add(-time.Duration(b.Next.BackfillHours) * time.Hour)}, made: true}
		if e := b.Cards[one.ID].Employee; e != nil {
			r.Divisions = e.Divisions.Or(nil)
		}
		out = append(out, r)
	}
	loses := func(e store.EmployeeRecord) bool {
		return slices.ContainsFunc(slices.Concat(p.Deleted, p.Leaving), func(one Person) bool { return int64(one.ID) == e.ID })
	}
	for _, e := range b.Employees {
		if e.Calendar != nil && !loses(e) {
			out = append(out, recipient{Recipient: calendarsync.Recipient{ID: calendarsync.EmployeeID(e.ID), Name: e.Name, From: e.Calendar.From,
				Divisions: calendarsync.IDs[calendarsync.DivisionID](e.Divisions)}})
		}
	}
	return out
}

func recordsOf(employees []store.EmployeeRecord) map[calendarsync.EmployeeID]store.EmployeeRecord {
	out := map[calendarsync.EmployeeID]store.EmployeeRecord{}
	for _, e := range employees {
		out[calendarsync.EmployeeID(e.ID)] = e
	}
	return out
}
