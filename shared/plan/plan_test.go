package plan_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The states of the company: two roles are shown, "done" has a third.
const (
	stateNew, stateOnSite, stateDone = 1, 2, 3
	roleOpen, roleGoing, roleDone    = 1, 2, 3
	boxField, idField                = 7, 8
)

func catalogue() calendarsync.Catalogue {
	return calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{
		stateNew: {ID: stateNew, Name: "New", Role: roleOpen}, stateOnSite: {ID: stateOnSite, Name: "On site", Role: roleGoing},
		stateDone: {ID: stateDone, Name: "Done", Role: roleDone},
	}}
}

func inForce() calendarsync.Settings {
	s := calendarsync.DefaultSettings()
	s.Confirmed, s.TimeZone, s.TaskURL = true, "Europe/Kyiv", "https://erp.example/task/{id}"
	s.ShownRoles = []calendarsync.RoleID{roleOpen, roleGoing}
	return s
}

// card is an employee who works, with a box and what stands in the id's field.
func card(id int64, name, box, field string) calendarsync.EmployeeReading {
	fields := map[calendarsync.FieldID]string{boxField: box}
	if field != "" {
		fields[idField] = field
	}
	return calendarsync.EmployeeReading{Employee: &calendarsync.Employee{
		ID: calendarsync.EmployeeID(id), Name: name, Working: calendarsync.Say(true), Email: calendarsync.Say(name + "@example.com"), Fields: calendarsync.Say(fields)}}
}

// has is the record of somebody with a calendar.
func has(id int64, name string) store.EmployeeRecord {
	n := strconv.FormatInt(id, 10)
	return store.EmployeeRecord{ID: id, Name: name, State: store.StateActive,
		Calendar: &store.CalendarRecord{ID: "c" + n, Epoch: "e" + n, Name: name, Zone: "Europe/Kyiv"}}
}

// task is a task with an event in each of some calendars.
func task(id, state int64, via string, employees ...int64) store.TaskRecord {
	t := store.TaskRecord{ID: id}
	for _, e := range employees {
		t.SetMapping(e, store.Mapping{Epoch: "e" + strconv.FormatInt(e, 10), State: store.MappingLive, StateID: state, Via: via})
	}
	return t
}

// company is three people with calendars and one without; Anna and Bohdan have the box.
func company(next calendarsync.Settings) plan.Basis {
	now := inForce()
	gone := card(5, "Hryhorii", "1", "")
	gone.Employee.Working = calendarsync.Say(false)
	return plan.Basis{
		Before: &now, InForce: now, Next: next, Catalogue: catalogue(),
		Cards: map[calendarsync.EmployeeID]calendarsync.EmployeeReading{
			1: card(1, "Anna", "1", ""), 2: card(2, "Bohdan", "1", "+380 44"), 3: card(3, "Vasyl", "0", "c3"), 4: card(4, "Daria", "0", ""), 5: gone,
		},
		Employees: []store.EmployeeRecord{has(1, "Anna"), has(2, "Bohdan"), has(3, "Vasyl")},
		Tasks: []store.TaskRecord{
			task(10, stateNew, calendarsync.ViaExecutor, 1, 3), task(11, stateOnSite, calendarsync.ViaExecutor, 1),
			task(12, stateOnSite, calendarsync.ViaDivision, 2, 3),
		},
		TaskCount: 3,
	}
}

// summary is a plan in short: who and how many.
func summary(p plan.Plan) map[string]any {
	out := map[string]any{}
	for name, list := range map[string][]plan.Person{"made": p.Made, "without": p.Without, "deleted": p.Deleted, "leaving": p.Leaving,
		"emptied": p.Emptied, "renamed": p.Renamed, "overwritten": p.Overwritten} {
		var who []string
		for _, one := range list {
			text := one.Name
			if one.Events > 0 {
				text += " " + strconv.Itoa(one.Events)
			}
			who = append(who, text)
		}
		if who != nil {
			out[name] = who
		}
	}
	for name, n := range map[string]int{"rezoned": p.Rezoned, "rewritten": p.Rewritten, "written": p.Written} {
		if n > 0 {
			out[name] = n
		}
	}
	for name, on := range map[string]bool{"pauses": p.Pauses, "resumes": p.Resumes, "divisions": p.Divisions, "new divisions": p.NewDivisions} {
		if on {
			out[name] = true
		}
	}
	if len(p.States) > 0 {
		out["states"] = p.States
	}
	if len(p.NewStates) > 0 {
		out["new states"] = p.NewStates
	}
	return out
}

func TestWhatASaveWouldDo(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(b *plan.Basis)
		want   map[string]any
	}{
		{"nothing", func(*plan.Basis) {}, map[string]any{"without": []string{"Hryhorii"}}},
		{"a box that two have", func(b *plan.Basis) { b.Next.BindingField = boxField },
			map[string]any{"deleted": []string{"Vasyl 2"}, "without": []string{"Daria", "Hryhorii"}}},
		{"a box that no card has", func(b *plan.Basis) { b.Next.BindingField = 77 },
			map[string]any{"deleted": []string{"Anna 2", "Bohdan 1", "Vasyl 2"}, "without": []string{"Daria", "Hryhorii"}}},
		{"a role less", func(b *plan.Basis) { b.Next.ShownRoles = []calendarsync.RoleID{roleOpen} },
			map[string]any{"emptied": []string{"Anna 1", "Bohdan 1", "Vasyl 1"}, "states": []calendarsync.StateID{stateOnSite}, "without": []string{"Hryhorii"}}},
		{"a role more", func(b *plan.Basis) { b.Next.ShownRoles = append(b.Next.ShownRoles, roleDone) },
			map[string]any{"new states": []calendarsync.StateID{stateDone}, "without": []string{"Hryhorii"}}},
		{"departments off", func(b *plan.Basis) { b.Before.IncludeDepartments, b.InForce.IncludeDepartments = true, true },
			map[string]any{"divisions": true, "emptied": []string{"Bohdan 1", "Vasyl 1"}, "without": []string{"Hryhorii"}}},
		{"departments on", func(b *plan.Basis) { b.Next.IncludeDepartments = true },
			map[string]any{"new divisions": true, "without": []string{"Hryhorii"}}},
		{"another name", func(b *plan.Basis) { b.Next.CalendarName = "Tasks of {{.Employee.Name}}" },
			map[string]any{"renamed": []string{"Anna", "Bohdan", "Vasyl"}, "without": []string{"Hryhorii"}}},
		{"another zone", func(b *plan.Basis) { b.Next.TimeZone = "Europe/Warsaw" },
			map[string]any{"rezoned": 3, "rewritten": 3, "without": []string{"Hryhorii"}}},
		{"another title", func(b *plan.Basis) { b.Next.EventTitle = "{{.Task.ID}}" }, map[string]any{"rewritten": 3, "without": []string{"Hryhorii"}}},
		{"how far back", func(b *plan.Basis) { b.Next.BackfillHours = 48 }, map[string]any{"without": []string{"Hryhorii"}}},
		{"ids over what stands there", func(b *plan.Basis) { b.Next.CalendarIDField = idField },
			map[string]any{"written": 3, "overwritten": []string{"Bohdan"}, "without": []string{"Hryhorii"}}},
		{"ids over the box", func(b *plan.Basis) { b.Next.CalendarIDField = boxField },
			map[string]any{"written": 4, "overwritten": []string{"Anna", "Bohdan", "Daria", "Vasyl"}, "without": []string{"Hryhorii"}}},
		{"off", func(b *plan.Basis) { b.Next.Enabled = false }, map[string]any{"pauses": true}},
		{"on again, and somebody was dismissed meanwhile", func(b *plan.Basis) {
			b.InForce.Enabled = false
			b.Cards[1].Employee.Working = calendarsync.Say(false)
		}, map[string]any{"resumes": true, "leaving": []string{"Anna 2"}, "made": []string{"Daria"}, "without": []string{"Hryhorii"}}},
		{"on again, and an admin keeps the calendar of somebody dismissed", func(b *plan.Basis) {
			b.InForce.Enabled = false
			b.Cards[1].Employee.Working = calendarsync.Say(false)
			b.Employees[0].KeptFor = string(calendarsync.ReasonDismissed)
		}, map[string]any{"resumes": true, "made": []string{"Daria"}, "without": []string{"Hryhorii"}}},
		{"on again with another box", func(b *plan.Basis) { b.InForce.Enabled, b.Next.BindingField = false, boxField },
			map[string]any{"resumes": true, "deleted": []string{"Vasyl 2"}, "without": []string{"Daria", "Hryhorii"}}},
		{"the first, for everybody", func(b *plan.Basis) { b.Before, b.InForce.Confirmed, b.Employees, b.Tasks = nil, false, nil, nil },
			map[string]any{"resumes": true, "made": []string{"Anna", "Bohdan", "Daria", "Vasyl"}, "without": []string{"Hryhorii"}}},
		{"the first, for whoever has the box", func(b *plan.Basis) {
			b.Before, b.InForce.Confirmed, b.Employees, b.Tasks, b.Next.BindingField = nil, false, nil, nil, boxField
		}, map[string]any{"resumes": true, "made": []string{"Anna", "Bohdan"}, "without": []string{"Daria", "Hryhorii", "Vasyl"}}},
		{"without the ERP", func(b *plan.Basis) { b.Cards, b.ByStore, b.Next.EventTitle = nil, true, "x" }, map[string]any{"rewritten": 3}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := company(inForce())
			row.change(&b)
			p, err := plan.Make(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(p); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got  %v\nwant %v", got, row.want)
			}
		})
	}
}

// TestACountInPartsIsThatOfAllAtOnce: records are counted some at a time, with JSON in between.
func TestACountInPartsIsThatOfAllAtOnce(t *testing.T) {
	b := company(inForce())
	b.Next.ShownRoles, b.Next.BindingField = b.Next.ShownRoles[:1], boxField
	at, err := plan.Make(b)
	if err != nil {
		t.Fatal(err)
	}
	count := at.NewCount()
	for _, task := range b.Tasks {
		kept, err := json.Marshal(count)
		if err != nil {
			t.Fatal(err)
		}
		count = new(plan.Count)
		if err := json.Unmarshal(kept, count); err != nil {
			t.Fatal(err)
		}
		count.Add([]store.TaskRecord{task})
	}
	want := summary(at)
	b.Tasks, b.Counted = nil, count
	if at, err = plan.Make(b); err != nil {
		t.Fatal(err)
	}
	if got := summary(at); !reflect.DeepEqual(got, want) || at.EventsDeleted() == 0 {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWhatThePlanLetsGo(t *testing.T) {
	b := company(inForce())
	b.Next.BindingField, b.Next.ShownRoles = boxField, []calendarsync.RoleID{roleOpen}
	p, err := plan.Make(b)
	if err != nil {
		t.Fatal(err)
	}
	want := calendarsync.Applied{Employees: []calendarsync.EmployeeID{3}, States: []calendarsync.StateID{stateOnSite}}
	if got := p.Applied(); !reflect.DeepEqual(got, want) {
		t.Errorf("let go are %+v, want %+v", got, want)
	}
	// Whom the ERP dismisses is the ERP's doing: the delete guard counts that.
	b.InForce.Enabled = false
	b.Cards[1].Employee.Working = calendarsync.Say(false)
	if p, err = plan.Make(b); err != nil || slices.Contains(p.Applied().Employees, 1) {
		t.Errorf("a dismissal is let go: %+v, %v", p.Applied(), err)
	}
}

// TestThePlanIsNamedByWhatCannotBeTakenBack shows that one more event is the same plan, and one
// more person another.
func TestThePlanIsNamedByWhatCannotBeTakenBack(t *testing.T) {
	hash := func(change func(b *plan.Basis)) string {
		b := company(inForce())
		b.Next.BindingField = boxField
		change(&b)
		p, err := plan.Make(b)
		if err != nil {
			t.Fatal(err)
		}
		return p.Hash()
	}
	first := hash(func(*plan.Basis) {})
	if hash(func(b *plan.Basis) { b.Tasks = append(b.Tasks, task(13, stateNew, calendarsync.ViaExecutor, 3)) }) != first {
		t.Error("one more event makes another plan")
	}
	if hash(func(b *plan.Basis) { b.Cards[2] = card(2, "Bohdan", "0", "") }) == first {
		t.Error("one more deletion is the same plan")
	}
}

// TestWhatJoins: events are counted that the tasks just read would get, and have not.
func TestWhatJoins(t *testing.T) {
	read := func(id, state int64, division int64, executors ...calendarsync.EmployeeID) calendarsync.TaskReading {
		return calendarsync.TaskReading{Task: &calendarsync.Task{ID: calendarsync.TaskID(id), State: calendarsync.Say(calendarsync.StateID(state)),
			Start:     calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}),
			Executors: calendarsync.Say(executors), Divisions: calendarsync.Say([]calendarsync.DivisionID{calendarsync.DivisionID(division)})}}
	}
	tasks := map[calendarsync.TaskID]calendarsync.TaskReading{
		20: read(20, stateNew, 0, 1, 4), 21: read(21, stateDone, 0, 1), 22: read(22, stateNew, 9, 2), 23: read(23, stateNew, 0, 5),
		24: {Task: nil, Absent: calendarsync.ProofKnownID},
	}
	for _, row := range []struct {
		name   string
		change func(b *plan.Basis)
		want   []string
	}{
		{"nothing", func(*plan.Basis) {}, nil},
		{"a role more", func(b *plan.Basis) { b.Next.ShownRoles = append(b.Next.ShownRoles, roleDone) }, []string{"Anna 1"}},
		{"departments", func(b *plan.Basis) { b.Next.IncludeDepartments = true }, []string{"Anna 1"}},
		{"the first", func(b *plan.Basis) { b.Before, b.InForce.Confirmed, b.Employees = nil, false, nil }, []string{"Anna 1", "Bohdan 1", "Daria 1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := company(inForce())
			b.Employees[0].Divisions = []int64{9}
			row.change(&b)
			p, err := plan.Make(b)
			if err != nil {
				t.Fatal(err)
			}
			joining := p.NewJoining(b, time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
			for id, reading := range tasks {
				// In parts, each of which begins from what was kept of the one before.
				kept, err := json.Marshal(joining)
				if err != nil {
					t.Fatal(err)
				}
				joining = new(plan.Joining)
				if err := json.Unmarshal(kept, joining); err != nil {
					t.Fatal(err)
				}
				if err := joining.Add(b.Next, b.Catalogue, map[calendarsync.TaskID]calendarsync.TaskReading{id: reading}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, one := range joining.People() {
				got = append(got, one.Name+" "+strconv.Itoa(one.Events))
			}
			if !slices.Equal(got, row.want) || (len(p.JoiningStates(b)) > 0) != (row.want != nil) {
				t.Errorf("got %v, want %v; states %v", got, row.want, p.JoiningStates(b))
			}
		})
	}
}
