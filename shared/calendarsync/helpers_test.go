package calendarsync_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones are judged alike on every machine

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

// The installation of these tests: its catalogue, one employee, one task.
const (
	roleOpen    RoleID = 1
	roleStarted RoleID = 2
	roleClosed  RoleID = 3

	stateNew    StateID = 10
	stateOnSite StateID = 11
	stateDone   StateID = 12

	typeConnect TypeID = 5 // usually takes an hour and a half
	typeRepair  TypeID = 6 // no usual duration

	olena EmployeeID = 42
	petro EmployeeID = 43

	north DivisionID = 7
	south DivisionID = 8
)

func catalogue() Catalogue {
	return Catalogue{
		States: map[StateID]State{
			stateNew:    {ID: stateNew, Name: "New", Role: roleOpen},
			stateOnSite: {ID: stateOnSite, Name: "On site", Role: roleStarted},
			stateDone:   {ID: stateDone, Name: "Done", Role: roleClosed},
		},
		Types: map[TypeID]TaskType{
			typeConnect: {ID: typeConnect, Name: "Connection", HourOnDoing: 1.5},
			typeRepair:  {ID: typeRepair, Name: "Repair"},
		},
	}
}

func settings(change ...func(*Settings)) Settings {
	s := DefaultSettings()
	s.TimeZone = "Europe/Kyiv"
	s.ShownRoles = []RoleID{roleOpen, roleStarted}
	s.TaskURL = "https://erp.example/task/{id}"
	for _, c := range change {
		c(&s)
	}
	return s
}

func rulesOf(t interface {
	Helper()
	Fatal(...any)
}, s Settings) *Rules {
	t.Helper()
	r, err := NewRules(s, catalogue(), map[EmployeeID]string{olena: "Olena Kovalenko"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wall reads "2006-01-02 15:04[:05]" or, as a date only, "2006-01-02".
func wall(t testing.TB, s string) LocalTime {
	t.Helper()
	for _, form := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, s); err == nil {
			return LocalTime{Wall: at, DateOnly: form == time.DateOnly}
		}
	}
	t.Fatalf("%q is no date", s)
	return LocalTime{}
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// task is Olena's task 123 on 10 December 2026, 09:30 in Kyiv.
func task(change ...func(*Task)) Task {
	task := Task{
		ID: 123, Type: typeRepair, TypeName: "Repair", Priority: 2,
		State: Say(stateNew), StateName: "New",
		Start:    Say(LocalTime{Wall: time.Date(2026, 12, 10, 9, 30, 0, 0, time.UTC)}),
		Customer: "Ivan Petrenko", Address: "Main St 1, 4", Description: "Call before",
		Executors: Say([]EmployeeID{olena}), Divisions: Say([]DivisionID{}),
	}
	for _, c := range change {
		c(&task)
	}
	return task
}

func read(task Task) TaskReading { return TaskReading{Task: &task} }

func recipient(change ...func(*Recipient)) Recipient {
	e := Recipient{ID: olena, Name: "Olena Kovalenko", From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range change {
		c(&e)
	}
	return e
}

// kept decides and demands an event.
func kept(t testing.TB, s Settings, task Task) Event {
	t.Helper()
	d := rulesOf(t, s).Decide(read(task), recipient(func(e *Recipient) { e.From = time.Time{} }), false)
	if d.Verdict != Keep {
		t.Fatalf("verdict %v for %q (%v), want an event", d.Verdict, d.Reason, d.Err)
	}
	return d.Event
}

// names reports whether an error's text names a settings field.
func names(err error, field string) bool { return err != nil && strings.Contains(err.Error(), field) }
