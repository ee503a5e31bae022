package userside

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// diary writes down what an observer is told.
type diary struct{ lines []string }

func (d *diary) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) TaskCommitted(id int64, t *Task, delay time.Duration) {
	d.add("task %d there=%t after %s", id, t != nil, delay)
}

func (d *diary) EmployeeCommitted(id int64, e *Employee, _ time.Duration) {
	d.add("employee %d there=%t", id, e != nil)
}

func (d *diary) CatalogueCommitted(states map[int64]TaskState, types map[int64]TaskType) {
	d.add("catalogue %d %d", len(states), len(types))
}

func (d *diary) Read(r Read) {
	d.add("read %s %s faulty=%t", r.Action, r.Params["id"], r.Faulty)
}

func (d *diary) FaultyAnswer(number, status int, body []byte) {
	d.add("faulty %d %d %s", number, status, strings.TrimSpace(string(body)))
}

// TestObserve: an observer hears of commits and reads in their order, of a commit
// from when it can be seen, and of a faulty answer what was really sent.
func TestObserve(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := New(Options{Now: func() time.Time { return now }})
	s.AddState(TaskState{ID: 1, Role: RoleNotCompleted})
	s.AddEmployee(Employee{ID: 5, Name: "Olena"})
	d := &diary{}
	s.Observe(d)
	s.AddTask(Task{ID: 7})
	s.SetCommitDelay(time.Minute)
	if err := s.DeleteTask(7); err != nil {
		t.Fatal(err)
	}
	show := func() {
		form := url.Values{"cat": {"task"}, "action": {"show"}, "id": {"7,8"}}
		r := httptest.NewRequest(http.MethodPost, "/api.php", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	now = now.Add(time.Minute)
	show()
	s.Inject(Rule{Action: "show", Fault: Missing("data")})
	show()
	s.Inject(Rule{Action: "show", Fault: HTMLPage(http.StatusOK), AfterEffect: true})
	show()
	want := []string{
		"catalogue 1 0", "employee 5 there=true",
		"task 7 there=true after 0s", "task 7 there=false after 1m0s",
		"read show 7,8 faulty=false",
		"read show 7,8 faulty=true", `faulty 2 200 {"result":"OK"}`,
		"read show 7,8 faulty=true",
	}
	if !slices.Equal(d.lines, want) {
		t.Errorf("told\n%q\nwant\n%q", d.lines, want)
	}
}
