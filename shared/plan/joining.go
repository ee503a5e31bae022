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

// Joining counts, by person, the events that tasks of the ERP would get and have not. Like a
// Count it is added up in parts, and kept as JSON in between.
type Joining struct {
	Recipients []recipient            `json:"recipients,omitempty"`
	States     []calendarsync.StateID `json:"states,omitempty"`
	Divisions  bool                   `json:"divisions,omitempty"`
	// Events are those counted so far, by employee.
	Events map[calendarsync.EmployeeID]int `json:"events,omitempty"`
}

// NewJoining begins to count what joins. now is when calendars to be made would be.
func (p Plan) NewJoining(b Basis, now time.Time) *Joining {
	return &Joining{Recipients: recipients(b, p, now), States: p.NewStates, Divisions: p.NewDivisions}
}

// Add counts some more tasks, just read; none may be added twice.
func (j *Joining) Add(next calendarsync.Settings, catalogue calendarsync.Catalogue, tasks map[calendarsync.TaskID]calendarsync.TaskReading) error {
	rules, err := calendarsync.NewRules(next, catalogue, nil)
	if err != nil {
		return err
	}
	if j.Events == nil {
		j.Events = map[calendarsync.EmployeeID]int{}
	}
	for _, to := range j.Recipients {
		for _, reading := range tasks {
			d := rules.Decide(reading, to.Recipient, false)
			if d.Verdict == calendarsync.Keep && (to.Made || j.joins(*reading.Task, d.Via)) {
				j.Events[to.ID]++
			}
		}
	}
	return nil
}

// People are those who get events, by name.
func (j *Joining) People() []Person {
	var out []Person
	for _, to := range j.Recipients {
		if n := j.Events[to.ID]; n > 0 {
			out = append(out, Person{ID: to.ID, Name: to.Name, Events: n})
		}
	}
	slices.SortFunc(out, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// joins reports whether a task's event in a calendar that exists is new.
func (j *Joining) joins(t calendarsync.Task, via string) bool {
	return slices.Contains(j.States, t.State.Or(0)) || j.Divisions && via == calendarsync.ViaDivision
}

// recipient is whoever has a calendar after the save.
type recipient struct {
	calendarsync.Recipient
	Made bool `json:"made,omitempty"`
}

func recipients(b Basis, p Plan, now time.Time) []recipient {
	var out []recipient
	for _, one := range p.Made {
		r := recipient{Recipient: calendarsync.Recipient{ID: one.ID, Name: one.Name, From: now.Add(-time.Duration(b.Next.BackfillHours) * time.Hour)}, Made: true}
		if e := b.Cards[one.ID].Employee; e != nil {
			r.Divisions = e.Divisions.Or(nil)
		}
		out = append(out, r)
	}
	m := maker{Basis: b, records: recordsOf(b.Employees)}
	loses := func(e store.EmployeeRecord) bool {
		return slices.ContainsFunc(slices.Concat(p.Deleted, p.Leaving), func(one Person) bool { return int64(one.ID) == e.ID })
	}
	for _, e := range b.Employees {
		if e.Calendar != nil && !loses(e) {
			out = append(out, recipient{Recipient: calendarsync.Recipient{ID: calendarsync.EmployeeID(e.ID), Name: m.name(e.ID), From: e.Calendar.From,
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
