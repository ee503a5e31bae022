package events_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	tenant   = "tenant"
	employee = calendarsync.EmployeeID(4)
	epoch    = "epoch"
	shown    = calendarsync.StateID(1)
	hidden   = calendarsync.StateID(2)
)

func rules(t *testing.T) *calendarsync.Rules {
	t.Helper()
	s := calendarsync.DefaultSettings()
	s.TimeZone, s.ShownRoles = "Europe/Kyiv", []calendarsync.RoleID{1}
	s.TaskURL = "http://erp.test/task/{id}"
	r, err := calendarsync.NewRules(s, calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{
		shown: {ID: shown, Role: 1}, hidden: {ID: hidden, Role: 3},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func task(change func(*calendarsync.Task)) calendarsync.TaskReading {
	task := &calendarsync.Task{
		ID: 7, TypeName: "Repair", State: calendarsync.Say(shown), Executors: calendarsync.Say([]calendarsync.EmployeeID{employee}),
		Start: calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}),
	}
	if change != nil {
		change(task)
	}
	return calendarsync.TaskReading{Task: task}
}

// TestDiffersAsksForALookWhereverOneIsDue holds the filter before the look to
// account: what it passes over, nobody looks at.
func TestDiffersAsksForALookWhereverOneIsDue(t *testing.T) {
	t.Parallel()
	r := rules(t)
	person := store.EmployeeRecord{ID: int64(employee), State: store.StateActive, Calendar: &store.CalendarRecord{ID: "c", Epoch: epoch}}
	noon := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	content := r.Decide(task(nil), calendarsync.Recipient{ID: employee}, false).Event
	id := calendarsync.EventID(tenant, 7, employee, 0)
	fields := calendarsync.Fields{Title: content.Title, Start: content.Start, End: content.End}
	right := store.Mapping{Epoch: epoch, EventID: id, State: store.MappingLive, Sent: content.Hash(), Returned: fields.Hash(), Via: calendarsync.ViaExecutor}
	there := googlecalendar.Event{ID: id, Fields: fields, Marked: true, Owned: true,
		Mark: calendarsync.Mark{Tenant: tenant, Task: 7, Employee: employee, Hash: content.Hash()}}
	moved := there
	moved.Fields.Location = "elsewhere"
	another := there
	another.ID, another.Mark.Generation = calendarsync.EventID(tenant, 7, employee, 1), 1
	with := func(change func(*store.Mapping)) *store.Mapping {
		m := right
		change(&m)
		return &m
	}
	state := func(s store.MappingState) *store.Mapping { return with(func(m *store.Mapping) { m.State = s }) }
	list := func(e ...googlecalendar.Event) []googlecalendar.Event { return e }
	closed := task(func(t *calendarsync.Task) { t.State = calendarsync.Say(hidden) })
	absent := calendarsync.TaskReading{Absent: calendarsync.ProofKnownID}
	nothing := calendarsync.TaskReading{Absent: calendarsync.ProofEmptyList}
	invalid := calendarsync.TaskReading{Invalid: failure.New(failure.SourceInvalid, "read", "no task")}
	rows := []struct {
		name    string
		mapping *store.Mapping
		seen    []googlecalendar.Event
		reading calendarsync.TaskReading
		want    bool
	}{
		// The list was begun at noon.
		{"written since the list", with(func(m *store.Mapping) { m.AnnouncedAt = noon.Add(time.Second) }), nil, task(nil), false},
		{"written since the list, not wanted any more", with(func(m *store.Mapping) { m.AnnouncedAt = noon.Add(time.Second) }), nil, closed, true},
		{"written since the list, which shows it as it was", with(func(m *store.Mapping) { m.AnnouncedAt = noon.Add(time.Second) }), list(moved), task(nil), false},
		{"written since the list, and there twice", with(func(m *store.Mapping) { m.AnnouncedAt = noon.Add(time.Second) }), list(another, there), task(nil), true},
		{"written when the list was begun", with(func(m *store.Mapping) { m.AnnouncedAt = noon }), nil, task(nil), true},
		{"all as it ought to be", &right, list(there), task(nil), false},
		{"nothing there, nothing wanted", nil, nil, closed, false},
		{"wanted, not there", nil, nil, task(nil), true},
		{"there, unknown to us", nil, list(there), task(nil), true},
		{"there, unknown to us and not wanted", nil, list(there), closed, true},
		{"changed at Google", &right, list(moved), task(nil), true},
		{"deleted at Google", &right, nil, task(nil), true},
		{"deleted at Google and not wanted", &right, nil, closed, true},
		{"there twice", &right, list(another, there), task(nil), true},
		{"another generation", &right, list(another), task(nil), true},
		{"other content wanted", with(func(m *store.Mapping) { m.Sent = "old" }), list(there), task(nil), true},
		{"not wanted any more", &right, list(there), closed, true},
		{"in doubt", &right, list(there), absent, true},
		{"intended", state(store.MappingIntended), list(there), task(nil), true},
		{"deleting", state(store.MappingDeleting), nil, closed, true},
		{"of a former calendar", with(func(m *store.Mapping) { m.Epoch = "former" }), nil, closed, true},
		{"deleted by us, not wanted", state(store.MappingTombstone), nil, closed, false},
		{"deleted by us, wanted again", state(store.MappingTombstone), nil, task(nil), true},
		{"deleted by us, there again", state(store.MappingTombstone), list(there), closed, true},
		{"deleted by us, gone from the ERP", state(store.MappingTombstone), nil, absent, false},
		{"deleted by us, an ERP without tasks", state(store.MappingTombstone), nil, nothing, false},
		{"there, an ERP without tasks", &right, list(there), nothing, true},
		{"there, unreadable in the ERP", &right, list(there), invalid, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			rec := store.TaskRecord{ID: 7}
			if row.mapping != nil {
				rec.Mappings = map[string]store.Mapping{strconv.FormatInt(int64(employee), 10): *row.mapping}
			}
			seen := &events.Listing{Employee: employee, Epoch: epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{7: row.seen}, Began: noon}
			if got := events.Differs(r, row.reading, rec, person, seen); got != row.want {
				t.Errorf("differs: %v, want %v", got, row.want)
			}
		})
	}
}
