package userside

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) writer() writer { return writer{s: s, sp: s.spell} }

// span is one date filter as wall clocks, both ends included; "" is open.
type span struct{ from, to string }

func (c call) span(name string) (span, error) {
	from, _, err := parseWall(c.params[name+"_from"])
	if err != nil {
		return span{}, err
	}
	to, dateOnly, err := parseWall(c.params[name+"_to"])
	if err != nil {
		return span{}, err
	}
	if dateOnly {
		// Not documented; a day as the end means the whole day.
		to = to[:len(time.DateOnly)] + " 23:59:59"
	}
	return span{from, to}, nil
}

func (f span) holds(wall string) bool {
	if f.from == "" && f.to == "" {
		return true
	}
	return wall != "" && (f.from == "" || wall >= f.from) && (f.to == "" || wall <= f.to)
}

// dates are a task's wall clocks in the order get_list names them.
func (s *Server) dates(t *Task) map[string]string {
	return map[string]string{
		"date_do": t.TodoWall, "date_add": s.wall(t.Created),
		"date_change": s.wall(t.Updated), "date_finish": s.wall(t.Completed),
	}
}

func (s *Server) taskList(c call) (reply, error) {
	filters := map[string][]int64{}
	for _, name := range []string{s.spell.StaffFilter, "division_id", "division_id_with_staff", "state_id", "type_id", "customer_id"} {
		ids, err := c.ids(name)
		if err != nil {
			return reply{}, err
		}
		if len(ids) > 0 {
			filters[name] = ids
		}
	}
	spans := map[string]span{}
	for _, name := range []string{"date_do", "date_add", "date_change", "date_finish"} {
		f, err := c.span(name)
		if err != nil {
			return reply{}, err
		}
		spans[name] = f
	}
	limit, err := c.numberRead("limit")
	if err != nil {
		return reply{}, err
	}
	offset, err := c.numberRead("offset")
	if err != nil {
		return reply{}, err
	}
	var found []*Task
	for _, t := range s.visibleTasks() {
		if s.matches(t, filters) && (!c.flag("is_expired") || s.expired(t, c.now)) && inSpans(s.dates(t), spans) {
			found = append(found, t)
		}
	}
	if err := s.order(found, c.params["order_by"]); err != nil {
		return reply{}, err
	}
	found = found[min(max(int(offset), 0), len(found)):]
	if limit > 0 {
		found = found[:min(int(limit), len(found))]
	}
	ids := make([]string, len(found))
	for i, t := range found {
		ids[i] = key(t.ID)
	}
	// Whether count is of the page or of everything is not documented: of the page.
	return reply{top: object{"count": s.writer().count(len(ids)), "list": strings.Join(ids, ",")}}, nil
}

func inSpans(dates map[string]string, spans map[string]span) bool {
	for name, f := range spans {
		if !f.holds(dates[name]) {
			return false
		}
	}
	return true
}

func (s *Server) matches(t *Task, filters map[string][]int64) bool {
	for name, want := range filters {
		ok := false
		switch name {
		case "division_id":
			ok = overlap(t.Divisions, want)
		case "division_id_with_staff":
			ok = overlap(t.Divisions, want) || s.staffIn(t, want)
		case "state_id":
			ok = slices.Contains(want, t.StateID)
		case "type_id":
			ok = slices.Contains(want, t.TypeID)
		case "customer_id":
			ok = slices.ContainsFunc(t.Customers, func(cu Customer) bool { return slices.Contains(want, cu.ID) })
		default: // the executors, under the generation's name; -1 = nobody
			if s.opt.Ways.UnassignedIgnored && slices.Contains(want, -1) {
				s.meet(wayIgnored)
				continue
			}
			ok = overlap(t.Executors, want) || len(t.Executors) == 0 && slices.Contains(want, -1)
		}
		if !ok {
			return false
		}
	}
	return true
}

func overlap(a, b []int64) bool {
	return slices.ContainsFunc(a, func(id int64) bool { return slices.Contains(b, id) })
}

func (s *Server) staffIn(t *Task, divisions []int64) bool {
	at := s.opt.Now()
	return slices.ContainsFunc(t.Executors, func(id int64) bool {
		e := s.visibleEmployee(id, at)
		return e != nil && slices.ContainsFunc(divisions, e.isMember)
	})
}

// expired reports whether a task is still open past its start and its due-by allowance.
// More about it is not documented.
func (s *Server) expired(t *Task, now time.Time) bool {
	return !t.Todo.IsZero() && t.Completed.IsZero() &&
		t.Todo.Add(time.Duration(t.DeadlineHours)*time.Hour).Before(now)
}

// order sorts ascending, by id within equals; the direction is not documented.
func (s *Server) order(tasks []*Task, by string) error {
	var compare func(a, b *Task) int
	switch by {
	case "":
		return nil
	case "date_add", "date_change", "date_do", "date_finish":
		compare = func(a, b *Task) int { return cmp.Compare(s.dates(a)[by], s.dates(b)[by]) }
	case "state_id":
		compare = func(a, b *Task) int { return cmp.Compare(a.StateID, b.StateID) }
	case "type_id":
		compare = func(a, b *Task) int { return cmp.Compare(a.TypeID, b.TypeID) }
	default:
		return fail(http.StatusBadRequest, "Wrong parameter: order_by")
	}
	slices.SortStableFunc(tasks, compare)
	return nil
}

func (s *Server) taskShow(c call) (reply, error) {
	ids, err := c.ids("id")
	if err != nil {
		return reply{}, err
	}
	viewer, err := c.numberRead("employee_id")
	if err != nil {
		return reply{}, err
	}
	w, at := s.writer(), s.opt.Now()
	withComments := !c.flag("is_without_comments")
	show := func(id int64) (object, bool) {
		t := s.visibleTask(id, at)
		if t == nil {
			return nil, false
		}
		if live := s.tasks[id]; live != nil && viewer != 0 {
			// A trace of reading, not a change: date.update stays.
			live.History = append(live.History, HistoryEntry{Time: s.now(), EmployeeID: viewer, Kind: HistoryViewed})
		}
		return w.task(t, withComments), true
	}
	switch len(ids) {
	case 0:
		return reply{}, fail(http.StatusBadRequest, "Missing parameter: id")
	case 1:
		if o, ok := show(ids[0]); ok {
			return withData(o), nil
		}
		if s.spell.UnknownTask == UnknownTaskError {
			return reply{}, fail(http.StatusNotFound, "Task not found")
		}
		return reply{}, nil
	}
	m := keyed{}
	for _, id := range ids {
		if o, ok := show(id); ok {
			m[key(id)] = o
		} else {
			m[key(id)] = "error"
		}
	}
	return withData(m), nil
}

func (s *Server) catalogStates(call) (reply, error) {
	w, m := s.writer(), keyed{}
	for _, st := range s.states {
		m[key(st.ID)] = object{"id": w.id(st.ID), "name": w.text(st.Name), w.sp.CatalogRoleKey: w.oddRole(st)}
	}
	return withData(m), nil
}

func (s *Server) catalogTypes(call) (reply, error) {
	w, m := s.writer(), keyed{}
	for _, t := range s.types {
		m[key(t.ID)] = object{
			"id": w.id(t.ID), "name": w.text(t.Name),
			"timescale": object{"hour_on_doing": w.oddHours(t)},
		}
	}
	return withData(m), nil
}

func (s *Server) employeeData(c call) (reply, error) {
	ids, err := c.ids("id")
	if err != nil {
		return reply{}, err
	}
	w, m := s.writer(), keyed{}
	for _, e := range s.visibleEmployees() {
		if len(ids) == 0 || slices.Contains(ids, e.ID) {
			m[key(e.ID)] = w.employee(e)
		}
	}
	return withData(m), nil
}

func (s *Server) divisionList(call) (reply, error) {
	w, m := s.writer(), keyed{}
	for _, d := range s.divisions {
		m[key(d.ID)] = w.division(d)
	}
	return withData(m), nil
}

func (s *Server) divisionOne(c call) (reply, error) {
	id, err := c.oneID("id")
	if err != nil {
		return reply{}, err
	}
	d, ok := s.divisions[id]
	if !ok {
		return reply{}, fail(http.StatusNotFound, "Division not found")
	}
	w := s.writer()
	o := w.division(d)
	o["staff"] = w.divisionStaff(id)
	return withData(o), nil
}

func (s *Server) systemInfo(c call) (reply, error) {
	return withData(object{
		s.spell.VersionKey: s.version,
		"date_time_unix":   c.now.Unix(),
		"date_time_string": c.now.In(s.loc).Format(s.spell.ClockLayout),
	}), nil
}

// known checks ids that a write refers to against a part of the state.
func known[T any](s *Server, c call, param string, in func() map[int64]T) ([]int64, error) {
	ids, err := c.ids(param)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if _, ok := in()[id]; !ok {
			return nil, fail(http.StatusNotFound, "Unknown %s: %d", param, id)
		}
	}
	return ids, nil
}

func (s *Server) allEmployees() map[int64]*Employee { return s.employees }
func (s *Server) allDivisions() map[int64]Division  { return s.divisions }
func (s *Server) allTypes() map[int64]TaskType      { return s.types }
func (s *Server) allStates() map[int64]TaskState    { return s.states }

func (s *Server) taskAdd(c call) (reply, error) {
	typ, err := known(s, c, "work_typer", s.allTypes)
	if err != nil {
		return reply{}, err
	}
	if len(typ) != 1 {
		return reply{}, fail(http.StatusBadRequest, "Missing parameter: work_typer")
	}
	executors, err := known(s, c, "employee_id", s.allEmployees)
	if err != nil {
		return reply{}, err
	}
	divisions, err := known(s, c, "division_id", s.allDivisions)
	if err != nil {
		return reply{}, err
	}
	wall, _, err := parseWall(c.params["work_datedo"])
	if err != nil {
		return reply{}, err
	}
	customers, err := c.ids("customer_id")
	if err != nil {
		return reply{}, err
	}
	t := Task{
		TypeID: typ[0], TodoWall: wall, Description: c.params["opis"],
		Executors: executors, Divisions: divisions,
	}
	for _, id := range customers {
		t.Customers = append(t.Customers, Customer{ID: id})
	}
	id := s.addTask(t, c.firesEvents())
	s.mu.Lock()
	defer s.mu.Unlock()
	return reply{top: object{"Id": s.writer().id(id)}}, nil
}

func (s *Server) taskEdit(c call) (reply, error) {
	typ, err := known(s, c, "work_typer", s.allTypes)
	if err != nil {
		return reply{}, err
	}
	wall, _, err := parseWall(c.params["work_datedo"])
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "edited", func(t *Task) {
		if len(typ) > 0 {
			t.TypeID = typ[0]
		}
		if c.has("work_datedo") {
			t.setWall(wall)
		}
		if c.has("opis") {
			t.Description, t.RawDescription = c.params["opis"], false
		}
	})
}

// writeTask runs a change of the task `id` names.
func (s *Server) writeTask(c call, kind string, fn func(*Task)) (reply, error) {
	id, err := c.oneID("id")
	if err != nil {
		return reply{}, err
	}
	return reply{}, s.changeTask(id, kind, c.firesEvents(), func(t *Task) error { fn(t); return nil })
}

func (s *Server) taskDelete(c call) (reply, error) {
	id, err := c.oneID("id")
	if err != nil {
		return reply{}, err
	}
	return reply{}, s.deleteTask(id, c.firesEvents())
}

func (s *Server) taskChangeDate(c call) (reply, error) {
	if !c.has("value") {
		return reply{}, fail(http.StatusBadRequest, "Missing parameter: value")
	}
	wall, _, err := parseWall(c.params["value"])
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "moved", func(t *Task) { t.setWall(wall) })
}

func (s *Server) taskChangeState(c call) (reply, error) {
	state, err := known(s, c, "state_id", s.allStates)
	if err != nil {
		return reply{}, err
	}
	if len(state) != 1 {
		return reply{}, fail(http.StatusBadRequest, "Missing parameter: state_id")
	}
	return s.writeTask(c, "state", func(t *Task) { t.StateID = state[0] })
}

func (s *Server) taskEmployeeAdd(c call) (reply, error) {
	ids, err := required(known(s, c, "employee_id", s.allEmployees))
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "staff", func(t *Task) { t.Executors = append(t.Executors, ids...) })
}

func (s *Server) taskEmployeeDelete(c call) (reply, error) {
	ids, err := required(c.ids("employee_id"))
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "staff", func(t *Task) { t.Executors = without(t.Executors, ids) })
}

func (s *Server) taskDivisionAdd(c call) (reply, error) {
	ids, err := required(known(s, c, "division_id", s.allDivisions))
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "staff", func(t *Task) { t.Divisions = append(t.Divisions, ids...) })
}

func (s *Server) taskDivisionDelete(c call) (reply, error) {
	ids, err := required(c.ids("division_id"))
	if err != nil {
		return reply{}, err
	}
	return s.writeTask(c, "staff", func(t *Task) { t.Divisions = without(t.Divisions, ids) })
}

func required(ids []int64, err error) ([]int64, error) {
	if err == nil && len(ids) == 0 {
		err = fail(http.StatusBadRequest, "Missing parameter: the id to add or take away")
	}
	return ids, err
}

// changeValue sets an additional field of an employee. Which cat_id stands for
// employees is not documented, so any number is taken for it.
func (s *Server) changeValue(c call) (reply, error) {
	if _, err := c.oneID("cat_id"); err != nil {
		return reply{}, err
	}
	field, err := c.oneID("field_id")
	if err != nil {
		return reply{}, err
	}
	object, err := c.oneID("object_id")
	if err != nil {
		return reply{}, err
	}
	if !c.has("value") {
		return reply{}, fail(http.StatusBadRequest, "Missing parameter: value")
	}
	s.mu.Lock()
	_, ok := s.empFields[field]
	s.mu.Unlock()
	if !ok {
		return reply{}, fail(http.StatusNotFound, "Unknown field_id: %d", field)
	}
	return reply{}, s.changeEmployee(object, c.firesEvents(), func(e *Employee) { e.setField(field, c.params["value"]) })
}
