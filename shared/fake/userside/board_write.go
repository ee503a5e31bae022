package userside

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// backPlaces are the pages to which a form may return; any other returns to the board.
var backPlaces = regexp.MustCompile(`^(task/[0-9]+|employees)?(\?[A-Za-z0-9=&%._-]*)?(#[a-z0-9]+)?$`)

// post runs a form's change and leads back with a relative redirect: the prefix
// under which a host mounts the board is unknown here.
func (b *board) post(change func(*http.Request) (back string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			b.problem(w, r, http.StatusBadRequest, "The form could not be read.")
			return
		}
		back, err := change(r)
		switch {
		case errors.Is(err, ErrNotFound):
			b.problem(w, r, http.StatusNotFound, "That is no longer there. Somebody may have deleted it.")
			return
		case err != nil:
			b.problem(w, r, http.StatusBadRequest, err.Error())
			return
		}
		if back == "" {
			back = r.PostForm.Get("back")
		}
		if !backPlaces.MatchString(back) {
			back = ""
		}
		w.Header().Set("Location", rootOf(r)+back)
		w.WriteHeader(http.StatusSeeOther)
	}
}

func formIDs(f url.Values, name string) ([]int64, error) {
	var ids []int64
	for _, v := range f[name] {
		if v == "" {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("field %s is no number: %w", name, ErrInvalid)
		}
		ids = append(ids, n)
	}
	return ids, nil
}

func formNumber(f url.Values, name string) (int64, error) {
	ids, err := formIDs(f, name)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[0], nil
}

// formTodo reads a datetime-local field, or a date and a time field, as a wall
// clock; empty is none, a day without a time starts at nine.
func formTodo(f url.Values) (string, error) {
	v := f.Get("todo")
	if day := f.Get("day"); day != "" {
		v = day + "T" + cmp.Or(f.Get("time"), "09:00")
	}
	if v == "" {
		return "", nil
	}
	for _, layout := range []string{inputLayout, inputLayout + ":05"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Format(WallLayout), nil
		}
	}
	return "", fmt.Errorf("the date is not understood: %w", ErrInvalid)
}

// formText is a text field with the line breaks the ERP keeps.
func formText(f url.Values, name string) string {
	return strings.TrimSpace(strings.ReplaceAll(f.Get(name), "\r\n", "\n"))
}

func (b *board) addTask(r *http.Request) (string, error) {
	f := r.PostForm
	t := Task{
		OptionalCustomerName: formText(f, "customer"), Description: formText(f, "description"),
		Address: Address{Text: formText(f, "address"), Apartment: formText(f, "apartment")}, Priority: 1,
	}
	var err, all error
	t.TodoWall, err = formTodo(f)
	all = errors.Join(all, err)
	t.TypeID, err = formNumber(f, "type")
	all = errors.Join(all, err)
	t.RuntimeHours, err = formNumber(f, "hours")
	all = errors.Join(all, err)
	t.Executors, err = formIDs(f, "executor")
	all = errors.Join(all, err)
	t.Divisions, err = formIDs(f, "division")
	if all = errors.Join(all, err); all != nil {
		return "", all
	}
	b.s.AddTask(t)
	return "", nil
}

func (b *board) changeTask(r *http.Request) (string, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return "", ErrNotFound
	}
	f := r.PostForm
	switch r.PathValue("what") {
	case "move":
		wall, err := formTodo(f)
		if err != nil {
			return "", err
		}
		return "", b.s.MoveTaskWall(id, wall)
	case "edit":
		return "", b.editTask(id, f)
	case "assign":
		return "", b.assign(id, f)
	case "drop":
		return "", b.drop(id, f)
	case "state":
		state, err := formNumber(f, "state")
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(b.s.States(), func(st TaskState) bool { return st.ID == state }) {
			return "", fmt.Errorf("the catalogue has no such state: %w", ErrInvalid)
		}
		return "", b.s.SetTaskState(id, state)
	case "close":
		return "", b.s.CloseTask(id)
	case "reopen":
		return "", b.s.ReopenTask(id)
	case "delete":
		if err := b.s.DeleteTask(id); err != nil {
			return "", err
		}
		if strings.HasPrefix(f.Get("back"), "task/") {
			return "?", nil // its own page is gone with it
		}
		return "", nil
	}
	return "", ErrNotFound
}

func (b *board) editTask(id int64, f url.Values) error {
	typ, err := formNumber(f, "type")
	if err != nil {
		return err
	}
	hours, err := formNumber(f, "hours")
	if err != nil {
		return err
	}
	priority, err := formNumber(f, "priority")
	if err != nil {
		return err
	}
	return b.s.UpdateTask(id, func(t *Task) {
		t.TypeID, t.RuntimeHours, t.Priority = typ, hours, priority
		t.Address.Text, t.Address.Apartment = formText(f, "address"), formText(f, "apartment")
		if f.Has("customer") {
			t.OptionalCustomerName = formText(f, "customer")
		}
		if d := formText(f, "description"); d != strings.TrimSpace(t.plain()) {
			t.Description, t.RawDescription = d, false
		}
	})
}

func (b *board) assign(id int64, f url.Values) error {
	executors, err := formIDs(f, "executor")
	if err != nil {
		return err
	}
	divisions, err := formIDs(f, "division")
	if err != nil {
		return err
	}
	return b.s.UpdateTask(id, func(t *Task) { t.Executors, t.Divisions = executors, divisions })
}

// drop is a card that was moved: `date` is another day at the same time of day, `to`
// another employee in place of `from` (absent: in place of all).
func (b *board) drop(id int64, f url.Values) error {
	from, err := formNumber(f, "from")
	if err != nil {
		return err
	}
	to, err := formNumber(f, "to")
	if err != nil {
		return err
	}
	day := f.Get("date")
	if day != "" {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("the day is not understood: %w", ErrInvalid)
		}
	}
	return b.s.UpdateTask(id, func(t *Task) {
		switch {
		case f.Get("undate") == "1":
			t.setWall("")
		case day != "" && t.TodoWall == "":
			t.setWall(day + " 09:00:00")
		case day != "":
			t.setWall(day + t.TodoWall[len(time.DateOnly):])
		}
		if !f.Has("to") || f.Has("from") && from == to {
			return
		}
		if !f.Has("from") {
			t.Executors = nil
		}
		t.Executors = without(t.Executors, []int64{from})
		if to != 0 {
			t.Executors = append(t.Executors, to)
		}
	})
}

func (b *board) addPerson(r *http.Request) (string, error) {
	f := r.PostForm
	name := formText(f, "name")
	if name == "" {
		return "", fmt.Errorf("an employee needs a name: %w", ErrInvalid)
	}
	divisions, err := formIDs(f, "division")
	if err != nil {
		return "", err
	}
	e := Employee{Name: name, ShortName: name, Email: formText(f, "email"), Position: formText(f, "position"), Fields: map[int64]string{}}
	for _, fd := range b.s.EmployeeFields() {
		e.Fields[fd.ID] = ""
	}
	for _, d := range divisions {
		e.setMembership(d, true, b.s.now())
	}
	b.s.AddEmployee(e)
	return "employees", nil
}

func (b *board) changePerson(r *http.Request) (string, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return "", ErrNotFound
	}
	back := "employees#e" + key(id)
	f := r.PostForm
	switch r.PathValue("what") {
	case "save":
		return back, b.savePerson(id, f)
	case "field":
		field, err := formNumber(f, "field")
		if err != nil {
			return "", err
		}
		return back, b.s.SetField(id, field, formText(f, "value"))
	case "dismiss":
		return back, b.s.DismissEmployee(id)
	case "return":
		return back, b.s.RehireEmployee(id)
	case "delete":
		return "employees", b.s.DeleteEmployee(id)
	}
	return "", ErrNotFound
}

func (b *board) savePerson(id int64, f url.Values) error {
	name := formText(f, "name")
	if name == "" {
		return fmt.Errorf("an employee needs a name: %w", ErrInvalid)
	}
	divisions, err := formIDs(f, "division")
	if err != nil {
		return err
	}
	all, now := b.s.Divisions(), b.s.now()
	return b.s.UpdateEmployee(id, func(e *Employee) {
		if e.Name != name {
			e.Name, e.ShortName = name, name
		}
		e.Position = formText(f, "position")
		// Not trimmed: the integration must cope with a dispatcher's stray blanks.
		e.Email = f.Get("email")
		for _, d := range all {
			e.setMembership(d.ID, slices.Contains(divisions, d.ID), now)
		}
	})
}
