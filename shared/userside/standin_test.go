package userside

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	standin "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// served is a RoundTripper onto a handler.
func served(h http.Handler) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Result(), nil
	}
}

// The whole client against the stand-in in every spelling it knows: the same
// company must come out of each.
func TestAgainstTheStandIn(t *testing.T) {
	mixed := standin.NewSpelling()
	mixed.MixedKeys = true
	refusing := standin.OldSpelling()
	refusing.UnknownTask = standin.UnknownTaskError
	refusing.DateLayout, refusing.ClockLayout, refusing.NoDate = "02.01.2006 15:04", "02.01.2006 15:04", "-"
	listed := standin.NewSpelling()
	listed.DivisionsAsList, listed.IDsAsStrings, listed.CountAsString, listed.Customer = true, true, true, standin.CustomerList
	for name, sp := range map[string]standin.Spelling{
		"new": standin.NewSpelling(), "old": standin.OldSpelling(), "mixed keys": mixed, "refusing": refusing, "lists": listed,
	} {
		t.Run(name, func(t *testing.T) {
			zone := time.FixedZone("ERP", 2*3600)
			now := time.Date(2026, 11, 22, 10, 0, 0, 0, zone)
			srv := standin.New(standin.Options{Now: func() time.Time { return now }, Location: zone, APIKey: testKey, Spelling: &sp})
			srv.Load(standin.Data{
				Divisions:      []standin.Division{{ID: 3, Name: "North & East"}, {ID: 4, Name: "South"}},
				Types:          []standin.TaskType{{ID: 20, Name: "Repair", HourOnDoing: 2}},
				States:         []standin.TaskState{{ID: 30, Name: "New", Role: standin.RoleNotCompleted}, {ID: 31, Name: "Done", Role: standin.RoleCompleted}},
				EmployeeFields: []standin.Field{{ID: 12, Caption: "Calendar", Kind: standin.FieldText}},
				Employees: []standin.Employee{
					{ID: 7, Name: `Ann "A" O'Neil`, Email: "ann@example.com", Fields: map[int64]string{12: "x"},
						Memberships: []standin.Membership{{DivisionID: 3, Current: true}, {DivisionID: 4, Left: now}}},
					{ID: 8, Name: "Bob", Dismissed: true},
				},
				Tasks: []standin.Task{
					{ID: 100, TypeID: 20, StateID: 30, Todo: now.Add(time.Hour), Created: now, Updated: now, RuntimeHours: 3,
						Description: "a < b\n\"c\"", Executors: []int64{7}, Address: standin.Address{ID: 1, Text: "Main 5/7", Apartment: "12"}},
					{ID: 101, TypeID: 20, StateID: 31, Created: now, Updated: now, Executors: []int64{8}, Divisions: []int64{3}},
				},
			})
			c := clientFor(t, served(http.StripPrefix("/sub", srv)))

			tasks, err := c.Tasks(t.Context(), taskIDs{100, 101, 999})
			if err != nil {
				t.Fatal(err)
			}
			got := tasks[100].Task
			if got == nil {
				t.Fatalf("task 100: %+v", tasks[100])
			}
			if at := got.Start.Or(calendarsync.LocalTime{}); at.Wall.Format(wallLayout) != "2026-11-22 11:00:00" || at.DateOnly {
				t.Errorf("starts %v", at)
			}
			if got.Type != 20 || got.TypeName != "Repair" || got.State != calendarsync.Say(calendarsync.StateID(30)) || got.RuntimeHours != 3 ||
				got.Description != "a < b\n\"c\"" || got.Address != "Main 5/7, 12" || !slices.Equal(got.Executors.Or(nil), employeeIDs{7}) {
				t.Errorf("task 100: %+v", got)
			}
			if other := tasks[101].Task; other == nil || !other.Start.Or(at("2026-01-01")).IsZero() ||
				!slices.Equal(other.Divisions.Or(nil), divisionIDs{3}) {
				t.Errorf("task 101: %+v", tasks[101])
			}
			if tasks[999].Absent != calendarsync.ProofKnownID {
				t.Errorf("task 999: %+v", tasks[999])
			}
			// Alone, by a client that knows no task yet.
			alone, err := clientFor(t, served(http.StripPrefix("/sub", srv))).Tasks(t.Context(), taskIDs{999})
			if err != nil || alone[999].Absent != calendarsync.ProofKnownID {
				t.Errorf("task 999 alone: %+v, %v", alone[999], err)
			}
			if len(srv.Viewed(100))+len(srv.Viewed(101)) != 0 {
				t.Error("reading left a trace in a task's history")
			}

			for _, tc := range []struct {
				filter TaskFilter
				want   taskIDs
			}{
				{TaskFilter{}, taskIDs{100, 101}},
				{TaskFilter{Employee: 7}, taskIDs{100}},
				{TaskFilter{Division: 3}, taskIDs{101}},
				{TaskFilter{States: []calendarsync.StateID{30}}, taskIDs{100}},
				{TaskFilter{ChangedFrom: at("2026-11-22 09:00:00"), ChangedTo: at("2026-11-22 11:00:00"), Limit: 1}, taskIDs{100}},
				{TaskFilter{DoFrom: at("2026-11-23")}, nil},
			} {
				ids, err := c.ListTasks(t.Context(), tc.filter)
				if err != nil || !slices.Equal(ids, tc.want) {
					t.Errorf("%+v: %v, %v; want %v", tc.filter, ids, err, tc.want)
				}
			}

			people, err := c.Employees(t.Context(), employeeIDs{7, 8, 9})
			if err != nil {
				t.Fatal(err)
			}
			ann, bob := people[7].Employee, people[8].Employee
			if ann == nil || ann.Name != `Ann "A" O'Neil` || ann.Email != calendarsync.Say("ann@example.com") || !ann.Working.Or(false) ||
				ann.Fields.Or(nil)[12] != "x" || !slices.Equal(ann.Divisions.Or(nil), divisionIDs{3}) {
				t.Errorf("employee 7: %+v", people[7])
			}
			if bob == nil || bob.Working.Or(true) || bob.Email != calendarsync.Say("") || people[9].Absent != calendarsync.ProofKnownID {
				t.Errorf("employees 8 and 9: %+v, %+v", people[8], people[9])
			}

			catalogue, err := c.Catalogue(t.Context())
			if err != nil || !slices.Equal(catalogue.StatesWithRoles([]calendarsync.RoleID{calendarsync.RoleID(standin.RoleNotCompleted)}), []calendarsync.StateID{30}) ||
				catalogue.Types[20].HourOnDoing != 2 {
				t.Errorf("catalogue: %+v, %v", catalogue, err)
			}
			divisions, err := c.Divisions(t.Context())
			if err != nil || divisions[3] != "North & East" {
				t.Errorf("divisions: %v, %v", divisions, err)
			}
			clock, err := c.Clock(t.Context())
			if err != nil || clock.Offset != 2*time.Hour || !clock.Unix.Equal(now) || clock.Version == "" {
				t.Errorf("clock: %+v, %v", clock, err)
			}

			if err := c.SetEmployeeField(t.Context(), 7, 12, "cal&1@example.com"); err != nil {
				t.Error(err)
			}
			if people, err = c.Employees(t.Context(), employeeIDs{7}); err != nil || people[7].Employee.Fields.Or(nil)[12] != "cal&1@example.com" {
				t.Errorf("after the write: %+v, %v", people[7], err)
			}
			for _, r := range srv.Requests(nil) {
				if r.Method != http.MethodPost || r.KeyIn != "body" || r.Write && !r.Silent {
					t.Errorf("request %+v", r)
				}
			}
		})
	}
}

// A wrong key, and an ERP that limits the key's sections, are our own
// configuration's fault; an ERP that has nothing at all says so.
func TestStandInRefusals(t *testing.T) {
	srv := standin.New(standin.Options{APIKey: "another"})
	if _, err := clientFor(t, served(http.StripPrefix("/sub", srv))).Divisions(t.Context()); !failure.Is(err, failure.Misconfigured) {
		t.Errorf("wrong key: %v", err)
	}
	srv = standin.New(standin.Options{APIKey: testKey, KeyInQuery: true})
	u, err := url.Parse("https://erp.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URL: u, Key: testKey, KeyInQuery: true}, served(srv), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Tasks(t.Context(), taskIDs{5, 6})
	if err != nil || got[5].Absent != calendarsync.ProofEmptyList || got[6].Absent != calendarsync.ProofEmptyList {
		t.Errorf("an empty ERP: %v, %v", got, err)
	}
	if _, err := c.AllEmployees(t.Context(), nil); !failure.Is(err, failure.SourceInvalid) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := c.Catalogue(t.Context()); !failure.Is(err, failure.SourceInvalid) {
		t.Errorf("no catalogue: %v", err)
	}
}

// Whichever way the ERP is, the same comes out of it, but for what is bad itself.
func TestWhicheverWayTheERPIs(t *testing.T) {
	met := map[string]bool{}
	for seed := range uint64(60) {
		ways := standin.Draw(rand.New(rand.NewPCG(seed, 14)))
		ways.BadTasks, ways.OddRoles, ways.OddHours = []int64{103}, map[int64]any{32: "abc"}, map[int64]any{21: "1,5"}
		now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		srv := standin.New(standin.Options{Now: func() time.Time { return now }, APIKey: testKey, Ways: ways, KeyInQuery: ways.Parameters == standin.ParametersInQuery})
		data := standin.Data{
			Types:          []standin.TaskType{{ID: 20, Name: "Repair", HourOnDoing: 2}, {ID: 21, Name: "Odd"}},
			States:         []standin.TaskState{{ID: 30, Name: "New", Role: standin.RoleNotCompleted}, {ID: 32, Name: "Odd", Role: standin.RoleCompleted}},
			EmployeeFields: []standin.Field{{ID: 12, Caption: "Calendar", Kind: standin.FieldText}},
			Employees:      []standin.Employee{{ID: 7, Name: "Ann", Email: "ann@example.com", Fields: map[int64]string{12: "0"}}},
		}
		for id := int64(100); id < 180; id++ {
			task := standin.Task{ID: id, TypeID: 20, StateID: 30, Todo: now.Add(time.Hour), Created: now, Updated: now, Executors: []int64{7}}
			if id == 101 {
				task.Executors, task.Todo = nil, time.Time{}
			}
			data.Tasks = append(data.Tasks, task)
		}
		srv.Load(data)
		u, err := url.Parse("https://erp.example")
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(Config{URL: u, Key: testKey, KeyInQuery: ways.Parameters == standin.ParametersInQuery}, served(srv), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			ids := taskIDs{999}
			for id := calendarsync.TaskID(100); id < 180; id++ {
				ids = append(ids, id)
			}
			tasks, err := c.Tasks(t.Context(), ids)
			if err != nil || len(tasks) != 81 {
				t.Fatalf("seed %d, %s: %d readings, %v", seed, ways, len(tasks), err)
			}
			for id, r := range tasks {
				switch {
				case id == 999 || id == 103:
					if (r.Invalid != nil) != (id == 103) || (r.Absent != 0) != (id == 999) {
						t.Errorf("seed %d, %s: task %d: %+v", seed, ways, id, r)
					}
				case r.Task == nil:
					t.Errorf("seed %d, %s: task %d: %+v", seed, ways, id, r)
				case id == 101:
					executors, said := r.Task.Executors.Get()
					if start, dated := r.Task.Start.Get(); !dated || !start.IsZero() || len(executors) != 0 || said == (ways.ExecutorsLeftOut && ways.UnassignedIgnored) {
						t.Errorf("seed %d, %s: task 101: %+v", seed, ways, r.Task)
					}
				default:
					if start := r.Task.Start.Or(calendarsync.LocalTime{}); start.Wall.Format(wallLayout) != "2026-11-22 11:00:00" || !slices.Equal(r.Task.Executors.Or(nil), employeeIDs{7}) {
						t.Errorf("seed %d, %s: task %d: %+v", seed, ways, id, r.Task)
					}
				}
			}
			catalogue, err := c.Catalogue(t.Context())
			role := calendarsync.RoleID(standin.RoleNotCompleted)
			if ways.RolesAsText { // then each text is a role of its own, the odd one too
				role = TextRole("Not completed")
			}
			if err != nil || catalogue.States[30].Role != role || (catalogue.OddStates[32] == nil) != ways.RolesAsText || catalogue.Types[20].HourOnDoing != 2 {
				t.Errorf("seed %d, %s: %+v, %v", seed, ways, catalogue, err)
			}
			people, err := c.AllEmployees(t.Context(), nil)
			if err != nil || people[7].Employee == nil || people[7].Employee.Email.Or("") != "ann@example.com" || calendarsync.On(people[7].Employee.Fields.Or(nil)[12]) {
				t.Errorf("seed %d, %s: %+v, %v", seed, ways, people[7], err)
			}
		})
		for way := range srv.Met() {
			met[way] = true
		}
	}
	if len(met) < 12 {
		t.Errorf("met were only %v", met)
	}
}
