package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

// The company's ground.
const (
	accountEmail = "calendars@provider.example"
	accountSub   = "1002"
	adminEmail   = "admin@provider.example"
	zoneName     = "Europe/Kyiv"
	bindingField = 1
	stateOpen    = 1
	stateClosed  = 2
	typeRepair   = 1
)

func scopes() []string { return append([]string{"openid", "email"}, googlecalendar.Scopes()...) }

// company is the ERP's content. Every employee is bound; the tasks are open and
// theirs by turns, one in twenty a second employee's too; one in forty lies
// before what enters a calendar. Nothing changed in the last days.
func company(employees, tasks int, now time.Time) fakeerp.Data {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same company each time, no secret
	d := fakeerp.Data{
		States: []fakeerp.TaskState{
			{ID: stateOpen, Name: "New", Role: fakeerp.RoleNotCompleted},
			{ID: stateClosed, Name: "Done", Role: fakeerp.RoleCompleted},
		},
		Types: []fakeerp.TaskType{{ID: typeRepair, Name: "Repair"}},
	}
	const first = 10
	for i := range employees {
		d.Employees = append(d.Employees, fakeerp.Employee{
			ID: int64(first + i), Name: fmt.Sprintf("Employee %d", i+1), Email: fmt.Sprintf("employee%d@provider.example", i+1),
			Fields: map[int64]string{bindingField: "1"},
		})
	}
	old := now.Add(-72 * time.Hour)
	for i := range tasks {
		t := fakeerp.Task{
			ID: int64(first + employees + i), TypeID: typeRepair, StateID: stateOpen, Created: old, Updated: old,
			// On the hour, so that the minutes are the live changes' own.
			Todo:        now.Truncate(time.Hour).Add(time.Duration(24+rnd.IntN(24*30)) * time.Hour),
			Address:     fakeerp.Address{Text: fmt.Sprintf("Sadova St, %d", 1+i%200), Apartment: strconv.Itoa(1 + i%90)},
			Description: fmt.Sprintf("No link since the storm; the customer asks to be called half an hour before. Contract %d.", 100000+i),
			Executors:   []int64{int64(first + i%employees)},
		}
		if rnd.IntN(20) == 0 {
			t.Executors = append(t.Executors, int64(first+(i+employees/2)%employees))
		}
		if rnd.IntN(40) == 0 {
			t.Todo = now.Truncate(time.Hour).Add(-60 * time.Hour)
		}
		d.Tasks = append(d.Tasks, t)
	}
	return d
}

// judge says what ought to be in the calendars and what is, from the stand-ins'
// state alone: it shares no code with the product.
type judge struct {
	erp    *fakeerp.Server
	google *fakegoogle.Server
	// from is when the calendars begin: far from every task of the company.
	from time.Time
}

// wanted gives for each employee the start of each task that ought to be there.
func (j judge) wanted() map[int64]map[int64]time.Time {
	out := map[int64]map[int64]time.Time{}
	for _, e := range j.erp.Employees() {
		out[e.ID] = map[int64]time.Time{}
	}
	for _, t := range j.erp.Tasks() {
		if t.StateID != stateOpen || t.Todo.Before(j.from) {
			continue
		}
		for _, id := range t.Executors {
			out[id][t.ID] = t.Todo
		}
	}
	return out
}

// calendars gives each employee's live calendar by its mark, and counts further
// calendars of the same employee.
func (j judge) calendars() (of map[int64]fakegoogle.CalendarSnapshot, doubled int) {
	of = map[int64]fakegoogle.CalendarSnapshot{}
	for _, c := range j.google.Calendars() {
		id, ok := marked(c.Description)
		if c.Deleted || !ok {
			continue
		}
		if _, twice := of[id]; twice {
			doubled++
		}
		of[id] = c
	}
	return of, doubled
}

// wrong counts what is not as it ought to be, and gives the first example.
func (j judge) wrong() (n int, example string) {
	note := func(format string, args ...any) {
		if n++; n == 1 {
			example = fmt.Sprintf(format, args...)
		}
	}
	of, doubled := j.calendars()
	if doubled > 0 {
		n += doubled
		example = fmt.Sprintf("%d employees have a second calendar", doubled)
	}
	for id, tasks := range j.wanted() {
		c, ok := of[id]
		if !ok {
			note("employee %d has no calendar", id)
			continue
		}
		e, _ := j.erp.Employee(id)
		if c.Role(e.Email) != "reader" {
			note("the calendar of employee %d is not shared with them", id)
		}
		found := 0
		for _, e := range j.google.Events(c.ID) {
			if e.Status == "cancelled" {
				continue
			}
			task := int64(0)
			if e.ExtendedProperties != nil {
				task, _ = strconv.ParseInt(e.ExtendedProperties.Private["erpTask"], 10, 64)
			}
			start, ok := tasks[task]
			if !ok {
				note("employee %d: an event of task %d ought not to be there", id, task)
				continue
			}
			found++
			begin, err1 := time.Parse(time.RFC3339, e.Start.DateTime)
			end, err2 := time.Parse(time.RFC3339, e.End.DateTime)
			if err1 != nil || err2 != nil || !begin.Equal(start) || end.Sub(begin) != time.Hour {
				note("employee %d: the event of task %d is not at its time", id, task)
			}
		}
		if found != len(tasks) {
			note("employee %d: %d events of %d", id, found, len(tasks))
		}
	}
	return n, example
}

// marked reads the employee from a calendar's mark (rule 3.5).
func marked(description string) (employee int64, ok bool) {
	_, rest, ok := strings.Cut(description, " employee=")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, " ")
	employee, err := strconv.ParseInt(number, 10, 64)
	return employee, err == nil
}
