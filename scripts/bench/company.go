package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

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
