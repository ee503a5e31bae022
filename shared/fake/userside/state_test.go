package userside

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestEveryMethodTellsItsChangeAndDatesIt(t *testing.T) {
	f := setup(t, nil)
	id := f.AddTask(Task{TypeID: 20})
	person := f.AddEmployee(Employee{Name: "New"})
	if got := f.hook.take(); len(got) != 2 || got[0].Type != TaskChanged || got[0].IDs[0] != id ||
		got[1].Type != EmployeeChanged || got[1].IDs[0] != person {
		t.Fatalf("adding: %v", got)
	}
	for _, c := range []struct {
		name, typ string
		id        int64
		do        func() error
	}{
		{"update", TaskChanged, id, func() error { return f.UpdateTask(id, func(k *Task) { k.Description = "x" }) }},
		{"move", TaskChanged, id, func() error { return f.MoveTask(id, f.at(5)) }},
		{"move by wall", TaskChanged, id, func() error { return f.MoveTaskWall(id, "") }},
		{"reassign", TaskChanged, id, func() error { return f.Reassign(id, Reassignment{AddExecutors: []int64{10}}) }},
		{"state", TaskChanged, id, func() error { return f.SetTaskState(id, 777) }},
		{"close", TaskChanged, id, func() error { return f.CloseTask(id) }},
		{"reopen", TaskChanged, id, func() error { return f.ReopenTask(id) }},
		{"update employee", EmployeeChanged, person, func() error { return f.UpdateEmployee(person, func(e *Employee) { e.Email = "x" }) }},
		{"dismiss", EmployeeChanged, person, func() error { return f.DismissEmployee(person) }},
		{"take back", EmployeeChanged, person, func() error { return f.RehireEmployee(person) }},
		{"field", EmployeeChanged, person, func() error { return f.SetField(person, 1, "1") }},
		{"membership", EmployeeChanged, person, func() error { return f.SetMembership(person, 1, true) }},
		{"delete", TaskDeleted, id, func() error { return f.DeleteTask(id) }},
		{"delete employee", EmployeeDeleted, person, func() error { return f.DeleteEmployee(person) }},
	} {
		f.clock.add(time.Minute)
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := f.hook.take()
		if len(got) != 1 || got[0].Type != c.typ || !slices.Equal(got[0].IDs, []int64{c.id}) {
			t.Errorf("%s: %v", c.name, got)
		}
		if k, ok := f.Task(id); ok && c.typ == TaskChanged && !k.Updated.Equal(f.clock.now()) {
			t.Errorf("%s: date.update is %v", c.name, k.Updated)
		}
	}
	for _, c := range []func() error{
		func() error { return f.CloseTask(id) }, func() error { return f.DeleteTask(id) },
		func() error { return f.DismissEmployee(person) }, func() error { return f.DeleteEmployee(person) },
	} {
		if err := c(); !errors.Is(err, ErrNotFound) {
			t.Errorf("gone: %v", err)
		}
	}
	if got := f.hook.take(); len(got) != 0 {
		t.Errorf("a rejected change was reported: %v", got)
	}
}

func TestHookRunsAfterTheCommitOutsideTheLock(t *testing.T) {
	var f *fixture
	var seen []string
	f = setup(t, func(o *Options) {
		o.Notify = func(cs ...Change) {
			for _, c := range cs {
				k, ok := f.Task(c.IDs[0]) // would deadlock under the lock
				seen = append(seen, fmt.Sprint(c.Type, " ", ok, " ", k.Description))
			}
		}
	})
	id := f.AddTask(Task{TypeID: 20, Description: "one"})
	f.ok("task", "edit", "id", key(id), "opis", "two")
	if err := f.DeleteTask(id); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []string{"task.changed true one", "task.changed true two", "task.deleted false "}) {
		t.Errorf("%q", seen)
	}
}

func TestClosingSetsTheFinishAndReopeningClearsIt(t *testing.T) {
	f := setup(t, nil)
	id := f.AddTask(Task{TypeID: 20})
	if err := f.CloseTask(id); err != nil {
		t.Fatal(err)
	}
	k, _ := f.Task(id)
	want(t, "state", k.StateID, int64(32))
	want(t, "complete", k.Completed.Equal(f.clock.now()), true)
	if err := f.ReopenTask(id); err != nil {
		t.Fatal(err)
	}
	k, _ = f.Task(id)
	want(t, "state", k.StateID, int64(30))
	want(t, "complete", k.Completed.IsZero(), true)
	f.DeleteState(32)
	if err := f.CloseTask(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("no state to close with: %v", err)
	}
}

func TestReassignAddsAndRemovesInOneChange(t *testing.T) {
	f := setup(t, nil)
	id := f.AddTask(Task{TypeID: 20, Executors: []int64{10}, Divisions: []int64{1}})
	f.hook.take()
	err := f.Reassign(id, Reassignment{AddExecutors: []int64{11, 11}, RemoveExecutors: []int64{10}, AddDivisions: []int64{2}, RemoveDivisions: []int64{1}})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := f.Task(id)
	if !slices.Equal(k.Executors, []int64{11}) || !slices.Equal(k.Divisions, []int64{2}) || len(f.hook.take()) != 1 {
		t.Errorf("%+v", k)
	}
}

func TestGettersGiveDeepCopies(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	k, _ := f.Task(100)
	k.Executors[0], k.Fields[5], k.Comments[0].Text, k.Customers[0].Login = 99, "z", "z", "z"
	f.Tasks()[0].Executors[0] = 98
	e, _ := f.Employee(10)
	e.Fields[1], e.Memberships[0].DivisionID = "z", 99
	f.Employees()[0].Fields[1] = "y"
	k, _ = f.Task(100)
	e, _ = f.Employee(10)
	if k.Executors[0] != 10 || k.Fields[5] != "a&b" || k.Comments[0].Text != "x<y" || k.Customers[0].Login != "ab" ||
		e.Fields[1] != "1" || e.Memberships[0].DivisionID != 1 {
		t.Errorf("%+v %+v", k, e)
	}
	given := Task{ID: 200, TypeID: 20, Executors: []int64{10}}
	f.AddTask(given)
	given.Executors[0] = 55
	k, _ = f.Task(200)
	want(t, "what was given", k.Executors[0], int64(10))
}

func TestChangingTheInstantOrTheWallClock(t *testing.T) {
	f := setup(t, nil)
	id := f.AddTask(Task{TypeID: 20, TodoWall: "2026-12-01 10:00:00"})
	k, _ := f.Task(id)
	want(t, "instant", k.Todo.UTC().Format(WallLayout), "2026-12-01 08:00:00")
	if err := f.UpdateTask(id, func(k *Task) { k.Todo = k.Todo.Add(time.Hour) }); err != nil {
		t.Fatal(err)
	}
	k, _ = f.Task(id)
	want(t, "wall", k.TodoWall, "2026-12-01 11:00:00")
}

func TestDeletedEmployeeStaysOnTheTask(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	if err := f.DeleteEmployee(10); err != nil {
		t.Fatal(err)
	}
	want(t, "executor", f.ok("task", "show", "id", "100").get("data.staff.employee.10"), any(10.))
	want(t, "employees", f.ok("employee", "get_data").has("data.10"), false)
}

func TestLoadFiresNothing(t *testing.T) {
	f := setup(t, nil)
	SampleCompany(f.Server, f.clock.now())
	want(t, "hook", len(f.hook.take()), 0)
	id := f.AddTask(Task{TypeID: 301})
	if id < SampleFirstTask+SampleTaskCount {
		t.Errorf("the next id %d collides", id)
	}
}

func TestConcurrentUse(t *testing.T) {
	f := setup(t, func(o *Options) { o.Location = time.UTC })
	SampleCompany(f.Server, f.clock.now())
	f.Inject(Rule{Nth: 3, Count: -1, Action: "get_data", Fault: HalfList()})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 8 {
				id := SampleFirstTask + int64((w*8+i)%SampleTaskCount)
				switch i % 4 {
				case 0:
					_ = f.MoveTask(id, f.at(i)) // a deleted task is no failure here
				case 1:
					_ = f.SetField(202, 2, fmt.Sprint(i))
				case 2:
					f.AddTask(Task{TypeID: 301})
				}
				pages := []string{"/?days=2", "/employees", "/?view=people&days=2", "/task/" + key(id)}
				f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, pages[i%4], nil))
				f.post("task", "show", "id", key(id)+",1", "employee_id", "201")
				f.post("task", "get_list", "order_by", "date_do")
				f.post("employee", "get_data")
				f.Requests(Writes)
				f.Tasks()
			}
		})
	}
	wg.Wait()
	want(t, "tasks", len(f.Tasks()), SampleTaskCount+4*2)
}
