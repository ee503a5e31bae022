package userside

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// waysERP has an employee, their task, one without executors and one that is done.
func waysERP(ways Ways) *Server {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := New(Options{Now: func() time.Time { return now }, APIKey: testKey, Ways: ways})
	s.Load(Data{
		Types:          []TaskType{{ID: 20, Name: "Repair", HourOnDoing: 2}},
		States:         []TaskState{{ID: 30, Name: "New", Role: RoleNotCompleted}, {ID: 31, Name: "Done", Role: RoleCompleted}},
		EmployeeFields: []Field{{ID: 12, Caption: "Calendar", Kind: FieldText}},
		Employees:      []Employee{{ID: 7, Name: "Ann", Email: "ann@example.com", Fields: map[int64]string{12: "0"}}},
		Tasks: []Task{
			{ID: 100, TypeID: 20, StateID: 30, Todo: now, Created: now, Updated: now.Add(-time.Hour), Executors: []int64{7}},
			{ID: 101, TypeID: 20, StateID: 30, Created: now, Updated: now},
		},
	})
	return s
}

// Each way shows in answers, is counted, and nothing of it shows where it is not set.
func TestEachWayShowsAndIsCounted(t *testing.T) {
	ask := func(s *Server, query string, pairs ...string) (int, string) {
		v := form(pairs...)
		v.Set("key", testKey)
		v.Set("subcat", v.Get("action"))
		r := postForm("/api.php"+query, v)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const divisions = "?key=" + testKey + "&cat=employee&action=get_data"
	both := []string{"cat", "task", "action", "show", "id", "100,101"}
	states, types := []string{"cat", "task", "action", "get_catalog_state"}, []string{"cat", "task", "action", "get_catalog_type"}
	people := []string{"cat", "employee", "action", "get_data"}
	for _, row := range []struct {
		name  string
		ways  Ways
		query string
		ask   []string
		with  string // in the answer with the way
		bare  string // in the answer without it
	}{
		{wayQuery, Ways{Parameters: ParametersInQuery}, "", people, `"ERROR"`, "ann@"},
		{wayBody, Ways{Parameters: ParametersInBody}, divisions, []string{"x", "y"}, `"ERROR"`, "ann@"},
		{wayBadRecord, Ways{BadTasks: []int64{101}, Spoiled: SpoiledPage}, "", both, "Fatal error", `"101":{`},
		{wayBadRecord, Ways{BadEmployees: []int64{7}, Spoiled: SpoiledCut}, "", people, `{"1":{"id":1,"na`, "ann@"},
		{wayMaxShow, Ways{MaxShow: 1, Spoiled: SpoiledPage}, "", both, "Fatal error", `"101":{`},
		{wayRoles, Ways{OddRoles: map[int64]any{31: "-"}}, "", states, `"system_role":"-"`, `"system_role":`},
		{wayHours, Ways{OddHours: map[int64]any{20: "1,5"}}, "", types, `"hour_on_doing":"1,5"`, `"hour_on_doing":2`},
		{wayRoleText, Ways{RolesAsText: true}, "", states, `"system_role":"Not completed"`, `"system_role":`},
		{wayLeftOut, Ways{ExecutorsLeftOut: true}, "", []string{"cat", "task", "action", "show", "id", "101"}, `"staff":{"division":[]}`, `"employee":[]`},
		{wayIgnored, Ways{UnassignedIgnored: true}, "", []string{"cat", "task", "action", "get_list", "employee_id", "-1"}, `"list":"100,101"`, `"list":"101"`},
		{wayDates, Ways{Dates: "2006-01-02T15:04:05"}, "", both, `"todo":"2026-11-22T10:00:00"`, `"todo":"2026-11-22 10:00:00"`},
		{wayNoDate, Ways{NoDate: "-0001-11-30 00:00:00"}, "", both, `"todo":"-0001-11-30 00:00:00"`, `"todo":null`},
		{wayHidden, Ways{Hidden: "\u200b"}, "", people, "a\u200bnn@example.com", "ann@example.com"},
		{wayOff, Ways{Off: "Нет"}, "", people, "Нет", `{"value":"0"}`},
	} {
		s := waysERP(row.ways)
		if _, got := ask(s, row.query, row.ask...); !strings.Contains(got, row.with) || s.Met()[row.name] == 0 || len(s.Met()) != 1 {
			t.Errorf("%s: %s, met %v", row.name, got, s.Met())
		}
		if names := row.ways.Names(); !slices.Equal(names, []string{row.name}) {
			t.Errorf("%s is named %q", row.name, names)
		}
		s = waysERP(Ways{})
		if _, got := ask(s, row.query, row.ask...); !strings.Contains(got, row.bare) || strings.Contains(got, row.with) || len(s.Met()) != 0 {
			t.Errorf("without %s: %s, met %v", row.name, got, s.Met())
		}
	}
	for spoiled, want := range map[Spoiling]int{SpoiledEmpty: http.StatusOK, SpoiledError: http.StatusInternalServerError} {
		if code, got := ask(waysERP(Ways{BadTasks: []int64{100}, Spoiled: spoiled}), "", both...); code != want || got != "" {
			t.Errorf("spoiled %q: %d %q", spoiled, code, got)
		}
	}
}

// E8: executors change without the date, anything else with it.
func TestADateThatExecutorsDoNotMove(t *testing.T) {
	for _, undated := range []bool{false, true} {
		s := waysERP(Ways{})
		s.ChangeWays(func(w *Ways) { w.ExecutorsUndated = undated })
		updated := func() time.Time {
			task, _ := s.Task(100)
			return task.Updated
		}
		before := updated()
		if err := s.Reassign(100, Reassignment{RemoveExecutors: []int64{7}}); err != nil {
			t.Fatal(err)
		}
		if moved := !updated().Equal(before); moved == undated {
			t.Errorf("undated %v: moved %v", undated, moved)
		}
		if err := s.CloseTask(100); err != nil {
			t.Fatal(err)
		}
		if updated().Equal(before) {
			t.Error("a change of the state left the date")
		}
	}
}

// Seeds give the same ways each, and all together every way but those that need ids.
func TestWaysAreDrawnFromASeed(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		w := Draw(rand.New(rand.NewPCG(seed, 1)))
		if again := Draw(rand.New(rand.NewPCG(seed, 1))); again.String() != w.String() {
			t.Fatalf("seed %d: %s, then %s", seed, w, again)
		}
		for _, name := range w.Names() {
			seen[name] = true
		}
	}
	if len(seen) != 13 {
		t.Errorf("drawn were %v", seen)
	}
	if got := (Ways{}).String(); got != "as assumed" {
		t.Errorf("no way is %q", got)
	}
}

// E7: only some events, or none, reach the connector's handlers.
func TestEventsThatReachNoHandler(t *testing.T) {
	for set, want := range map[EventSet]int{EventsAll: 5, EventsPublic: 2, EventsNone: 0} {
		told := 0
		s := New(Options{Now: time.Now, APIKey: "key", Notify: func(...Change) { told++ }, Ways: Ways{Events: set}})
		s.Load(Data{
			Types:     []TaskType{{ID: 1}},
			States:    []TaskState{{ID: 1, Role: RoleNotCompleted}, {ID: 2, Role: RoleCompleted}},
			Employees: []Employee{{ID: 7}},
		})
		id := s.AddTask(Task{TypeID: 1, Executors: []int64{7}})
		for _, err := range []error{
			s.MoveTask(id, time.Now()), s.CloseTask(id), s.UpdateEmployee(7, func(e *Employee) { e.Name = "Olena" }), s.DeleteTask(id),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if told != want {
			t.Errorf("%q: told of %d, want %d", set, told, want)
		}
	}
}
