package userside

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// ErrNotFound is wrapped by every method that was given an id it does not know.
var ErrNotFound = errors.New("not found")

// ErrInvalid is wrapped by every method whose arguments cannot be.
var ErrInvalid = errors.New("invalid")

// Load replaces the whole content and fires no hook. Entries without an id get one.
func (s *Server) Load(d Data) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
	for _, v := range d.Divisions {
		v.ID = s.reserveID(v.ID)
		s.divisions[v.ID] = v
	}
	for _, v := range d.Types {
		v.ID = s.reserveID(v.ID)
		s.types[v.ID] = v
	}
	for _, v := range d.States {
		v.ID = s.reserveID(v.ID)
		s.states[v.ID] = v
	}
	for _, v := range d.EmployeeFields {
		s.empFields[v.ID] = v
	}
	for _, v := range d.TaskFields {
		s.taskFields[v.ID] = v
	}
	for i := range d.Employees {
		e := d.Employees[i].clone()
		e.ID = s.reserveID(e.ID)
		s.employees[e.ID] = e
	}
	for i := range d.Tasks {
		t := d.Tasks[i].clone()
		t.ID = s.reserveID(t.ID)
		s.normalise(&Task{}, t)
		s.tasks[t.ID] = t
	}
	s.observeAll()
}

// reserveID reserves the wanted id, or the next free one for 0. One sequence for
// everything, so that a task's id passed for an employee's is noticed.
func (s *Server) reserveID(want int64) int64 {
	if want == 0 {
		want = s.nextID + 1
	}
	s.nextID = max(s.nextID, want)
	return want
}

// normalise brings a task's two forms of the start together after a change and
// cuts times to the seconds the ERP keeps. The lock is held.
func (s *Server) normalise(before, t *Task) {
	switch {
	case !t.Todo.Equal(before.Todo):
		t.TodoWall = ""
		if !t.Todo.IsZero() {
			t.TodoWall = t.Todo.In(s.loc).Format(WallLayout)
		}
	case t.TodoWall != before.TodoWall:
		t.Todo = time.Time{}
		if w, err := time.ParseInLocation(WallLayout, t.TodoWall, s.loc); err == nil {
			t.Todo = w
		} else {
			t.TodoWall = ""
		}
	}
	t.Todo = t.Todo.Truncate(time.Second)
	t.Created = t.Created.Truncate(time.Second)
	t.Updated = t.Updated.Truncate(time.Second)
	t.Completed = t.Completed.Truncate(time.Second)
	t.Executors = uniq(t.Executors)
	t.Divisions = uniq(t.Divisions)
}

func uniq(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// fire calls the hook of an event of a kind; the lock must not be held.
func (s *Server) fire(typ, kind string, ids ...int64) {
	if s.opt.Notify != nil && len(ids) > 0 && s.hears(kind) {
		s.opt.Notify(Change{Type: typ, IDs: slices.Clone(ids)})
	}
}

// putTask commits a task (nil deletes it). The lock is held.
func (s *Server) putTask(id int64, t *Task) {
	if s.observer != nil {
		s.observer.TaskCommitted(id, t, s.commitDelay)
	}
	if s.commitDelay > 0 {
		at := s.opt.Now()
		s.oldTasks[id] = shadow[Task]{before: s.visibleTask(id, at), until: at.Add(s.commitDelay)}
	}
	if t == nil {
		delete(s.tasks, id)
		return
	}
	s.tasks[id] = t
}

func (s *Server) putEmployee(id int64, e *Employee) {
	if s.observer != nil {
		s.observer.EmployeeCommitted(id, e, s.commitDelay)
	}
	if s.commitDelay > 0 {
		at := s.opt.Now()
		s.oldPeople[id] = shadow[Employee]{before: s.visibleEmployee(id, at), until: at.Add(s.commitDelay)}
	}
	if e == nil {
		delete(s.employees, id)
		return
	}
	s.employees[id] = e
}

// AddTask creates a task and returns its id. A zero id, state or creation time
// is filled in: the next id, the first state of RoleNotCompleted, now.
func (s *Server) AddTask(t Task) int64 { return s.addTask(t, true) }

func (s *Server) addTask(t Task, tell bool) int64 {
	s.mu.Lock()
	n := t.clone()
	n.ID = s.reserveID(n.ID)
	if n.StateID == 0 {
		n.StateID = s.stateOfRole(RoleNotCompleted)
	}
	if n.Created.IsZero() {
		n.Created = s.now()
	}
	n.Updated = s.now()
	n.History = append(n.History, HistoryEntry{Time: n.Updated, EmployeeID: n.AuthorID, Kind: "created"})
	s.normalise(&Task{}, n)
	s.putTask(n.ID, n)
	s.mu.Unlock()
	if tell {
		s.fire(TaskChanged, eventCreated, n.ID)
	}
	return n.ID
}

// UpdateTask changes a task through fn, which must not keep the pointer nor
// call the Server. date.update follows, whatever fn does.
func (s *Server) UpdateTask(id int64, fn func(*Task)) error {
	return s.changeTask(id, "changed", true, func(t *Task) error { fn(t); return nil })
}

func (s *Server) changeTask(id int64, kind string, tell bool, fn func(*Task) error) error {
	if err := s.commitTask(id, kind, fn); err != nil {
		return err
	}
	if tell {
		s.fire(TaskChanged, kind, id)
	}
	return nil
}

func (s *Server) commitTask(id int64, kind string, fn func(*Task) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.tasks[id]
	if !ok {
		return fmt.Errorf("change task %d: %w", id, ErrNotFound)
	}
	t := before.clone()
	if err := fn(t); err != nil {
		return fmt.Errorf("change task %d: %w", id, err)
	}
	t.ID = id
	if t.StateID != before.StateID && t.Completed.Equal(before.Completed) {
		s.enterState(t, t.StateID)
	}
	t.Updated = before.Updated
	if other := before.clone(); reflect.DeepEqual(withStaff(other, t), t) {
		t.Updated = s.undated(before.Updated, s.now())
	} else {
		t.Updated = s.now()
	}
	t.History = append(t.History, HistoryEntry{Time: s.now(), Kind: kind})
	s.normalise(before, t)
	s.putTask(id, t)
	return nil
}

// withStaff gives a task the executors and divisions of another.
func withStaff(t, of *Task) *Task {
	t.Executors, t.Divisions = of.Executors, of.Divisions
	return t
}

// MoveTask schedules a task; the zero time removes its date.
func (s *Server) MoveTask(id int64, todo time.Time) error {
	return s.UpdateTask(id, func(t *Task) { t.Todo = todo.Truncate(time.Second) })
}

// MoveTaskWall schedules a task by the ERP's wall clock (WallLayout), which may
// name a time that a DST change skips or repeats; "" removes its date.
func (s *Server) MoveTaskWall(id int64, wall string) error {
	if wall != "" {
		if _, err := time.ParseInLocation(WallLayout, wall, s.loc); err != nil {
			return fmt.Errorf("move task %d: wall time: %w", id, ErrInvalid)
		}
	}
	return s.changeTask(id, "moved", true, func(t *Task) error { t.setWall(wall); return nil })
}

// setWall sets the start by the wall clock only; normalise finds the instant.
func (t *Task) setWall(wall string) {
	if wall == "" {
		t.Todo = time.Time{}
		return
	}
	t.TodoWall = wall
}

// Reassignment names who joins and who leaves a task.
type Reassignment struct {
	AddExecutors, RemoveExecutors []int64
	AddDivisions, RemoveDivisions []int64
}

// Reassign changes a task's executors and divisions in one commit.
func (s *Server) Reassign(id int64, r Reassignment) error {
	return s.UpdateTask(id, func(t *Task) {
		t.Executors = without(append(t.Executors, r.AddExecutors...), r.RemoveExecutors)
		t.Divisions = without(append(t.Divisions, r.AddDivisions...), r.RemoveDivisions)
	})
}

func without(ids, drop []int64) []int64 {
	return slices.DeleteFunc(ids, func(id int64) bool { return slices.Contains(drop, id) })
}

// CloseTask gives a task the first state of RoleCompleted.
func (s *Server) CloseTask(id int64) error { return s.setRole(id, RoleCompleted) }

// ReopenTask gives a task the first state of RoleNotCompleted.
func (s *Server) ReopenTask(id int64) error { return s.setRole(id, RoleNotCompleted) }

func (s *Server) setRole(id, role int64) error {
	return s.changeTask(id, "state", true, func(t *Task) error {
		state := s.stateOfRole(role)
		if state == 0 {
			return fmt.Errorf("no state of role %d: %w", role, ErrNotFound)
		}
		t.StateID = state
		return nil
	})
}

// SetTaskState gives a task any state, also one the catalogue does not know.
func (s *Server) SetTaskState(id, state int64) error {
	return s.changeTask(id, "state", true, func(t *Task) error { t.StateID = state; return nil })
}

// enterState sets the state and what follows from its role. The lock is held.
func (s *Server) enterState(t *Task, state int64) {
	t.StateID = state
	if !isClosed(s.states[state].Role) {
		t.Completed = time.Time{}
	} else if t.Completed.IsZero() {
		t.Completed = s.now()
	}
}

func isClosed(role int64) bool { return role == RoleCompleted || role == RoleCancelled }

// stateOfRole is the smallest state id of a role, 0 if there is none. The lock is held.
func (s *Server) stateOfRole(role int64) int64 {
	var best int64
	for id, st := range s.states {
		if st.Role == role && (best == 0 || id < best) {
			best = id
		}
	}
	return best
}

// DeleteTask removes a task outright.
func (s *Server) DeleteTask(id int64) error { return s.deleteTask(id, true) }

func (s *Server) deleteTask(id int64, tell bool) error {
	s.mu.Lock()
	_, ok := s.tasks[id]
	if ok {
		s.putTask(id, nil)
	}
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("delete task %d: %w", id, ErrNotFound)
	}
	if tell {
		s.fire(TaskDeleted, eventOther, id)
	}
	return nil
}

// AddEmployee adds a person and returns the id; a zero id gets the next one.
func (s *Server) AddEmployee(e Employee) int64 {
	s.mu.Lock()
	n := e.clone()
	n.ID = s.reserveID(n.ID)
	if n.Hired.IsZero() {
		n.Hired = s.now()
	}
	s.putEmployee(n.ID, n)
	s.mu.Unlock()
	s.fire(EmployeeChanged, eventOther, n.ID)
	return n.ID
}

// UpdateEmployee changes a person through fn, which must not keep the pointer
// nor call the Server.
func (s *Server) UpdateEmployee(id int64, fn func(*Employee)) error {
	return s.changeEmployee(id, true, fn)
}

func (s *Server) changeEmployee(id int64, tell bool, fn func(*Employee)) error {
	s.mu.Lock()
	before, ok := s.employees[id]
	if ok {
		e := before.clone()
		fn(e)
		e.ID = id
		s.putEmployee(id, e)
	}
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("change employee %d: %w", id, ErrNotFound)
	}
	if tell {
		s.fire(EmployeeChanged, eventOther, id)
	}
	return nil
}

// DismissEmployee sets is_work to 0.
func (s *Server) DismissEmployee(id int64) error {
	return s.UpdateEmployee(id, func(e *Employee) { e.Dismissed = true })
}

// RehireEmployee sets is_work to 1 again.
func (s *Server) RehireEmployee(id int64) error {
	return s.UpdateEmployee(id, func(e *Employee) { e.Dismissed = false })
}

// SetField sets an additional field of an employee's card.
func (s *Server) SetField(id, field int64, value string) error {
	return s.UpdateEmployee(id, func(e *Employee) { e.setField(field, value) })
}

func (e *Employee) setField(field int64, value string) {
	if e.Fields == nil {
		e.Fields = map[int64]string{}
	}
	e.Fields[field] = value
}

// DeleteEmployee removes a person outright. Tasks keep the id among their
// executors: nothing is known that would remove it.
func (s *Server) DeleteEmployee(id int64) error {
	s.mu.Lock()
	_, ok := s.employees[id]
	if ok {
		s.putEmployee(id, nil)
	}
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("delete employee %d: %w", id, ErrNotFound)
	}
	s.fire(EmployeeDeleted, eventOther, id)
	return nil
}

// SetMembership puts an employee into a division or ends the membership, which
// then stays as history.
func (s *Server) SetMembership(employee, division int64, current bool) error {
	now := s.now()
	return s.UpdateEmployee(employee, func(e *Employee) { e.setMembership(division, current, now) })
}

func (e *Employee) setMembership(division int64, current bool, now time.Time) {
	for i := range e.Memberships {
		m := &e.Memberships[i]
		if m.DivisionID != division || !m.Current {
			continue
		}
		if !current {
			m.Current, m.Left = false, now
		}
		return
	}
	if current {
		e.Memberships = append(e.Memberships, Membership{
			DivisionID: division, Position: e.Position, Current: true, Added: now,
		})
	}
}

// AddDivision adds or replaces a division and returns its id. No hook is known
// for the catalogues, so none fires here nor below.
func (s *Server) AddDivision(d Division) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.ID = s.reserveID(d.ID)
	s.divisions[d.ID] = d
	return d.ID
}

// AddType adds or replaces a task type and returns its id.
func (s *Server) AddType(t TaskType) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.ID = s.reserveID(t.ID)
	s.types[t.ID] = t
	s.tellCatalogue()
	return t.ID
}

// AddState adds or replaces a state and returns its id. Replacing is how an
// admin gives a state another role.
func (s *Server) AddState(st TaskState) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.ID = s.reserveID(st.ID)
	s.states[st.ID] = st
	s.tellCatalogue()
	return st.ID
}

// DeleteState removes a state from the catalogue; tasks keep its id.
func (s *Server) DeleteState(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, id)
	s.tellCatalogue()
}

// AddEmployeeField declares an additional field of the employee card.
func (s *Server) AddEmployeeField(f Field) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empFields[f.ID] = f
}

// AddTaskField declares an additional field of tasks.
func (s *Server) AddTaskField(f Field) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taskFields[f.ID] = f
}

// Tasks are copies of all tasks by id.
func (s *Server) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Task, 0, len(s.tasks))
	for _, t := range s.tasks {
		out = append(out, *t.clone())
	}
	slices.SortFunc(out, func(a, b Task) int { return int(a.ID - b.ID) })
	return out
}

// Task is a copy of one task.
func (s *Server) Task(id int64) (Task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[id]
	if !ok {
		return Task{}, false
	}
	return *t.clone(), true
}

// Employees are copies of all employees by id, the dismissed too.
func (s *Server) Employees() []Employee {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Employee, 0, len(s.employees))
	for _, e := range s.employees {
		out = append(out, *e.clone())
	}
	slices.SortFunc(out, func(a, b Employee) int { return int(a.ID - b.ID) })
	return out
}

// Employee is a copy of one employee.
func (s *Server) Employee(id int64) (Employee, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.employees[id]
	if !ok {
		return Employee{}, false
	}
	return *e.clone(), true
}

// Divisions are the divisions by id.
func (s *Server) Divisions() []Division {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.divisions)
}

// Types are the task types by id.
func (s *Server) Types() []TaskType {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.types)
}

// States are the task states by id.
func (s *Server) States() []TaskState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.states)
}

// EmployeeFields are the declared fields of the employee card by id.
func (s *Server) EmployeeFields() []Field {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sorted(s.empFields)
}

func sorted[T any](m map[int64]T) []T {
	ids := keysOf(m, map[int64]T(nil))
	out := make([]T, 0, len(ids))
	for _, id := range ids {
		out = append(out, m[id])
	}
	return out
}

// Viewed are the employees the history of a task claims to have looked at it. A
// client that never sends employee_id to `show` keeps it empty.
func (s *Server) Viewed(id int64) []int64 {
	t, _ := s.Task(id)
	var out []int64
	for _, h := range t.History {
		if strings.EqualFold(h.Kind, HistoryViewed) {
			out = append(out, h.EmployeeID)
		}
	}
	return out
}
