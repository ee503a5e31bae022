package userside

import (
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"
)

// catalogue is what the forms choose from and the cards take names from.
type catalogue struct {
	Employees []Employee
	Divisions []Division
	Types     []TaskType
	States    []TaskState
}

func (b *board) catalogue() catalogue {
	return catalogue{b.s.Employees(), b.s.Divisions(), b.s.Types(), b.s.States()}
}

func (c catalogue) person(id int64) string {
	for _, e := range c.Employees {
		if e.ID == id {
			return e.Name
		}
	}
	return fmt.Sprintf("Employee %d", id)
}

func (c catalogue) short(id int64) string {
	for _, e := range c.Employees {
		if e.ID == id && e.ShortName != "" {
			return e.ShortName
		}
	}
	return c.person(id)
}

func (c catalogue) division(id int64) string {
	for _, d := range c.Divisions {
		if d.ID == id {
			return d.Name
		}
	}
	return fmt.Sprintf("Department %d", id)
}

func (c catalogue) inDivision(t *Task, division int64) bool {
	return slices.Contains(t.Divisions, division) || slices.ContainsFunc(c.Employees, func(e Employee) bool {
		return slices.Contains(t.Executors, e.ID) && e.isMember(division)
	})
}

// Working are the employees who are not dismissed.
func (c catalogue) Working() []Employee {
	return slices.DeleteFunc(slices.Clone(c.Employees), func(e Employee) bool { return e.Dismissed })
}

// choices are the boxes of the reassign form.
func (c catalogue) choices(t *Task) (staff, depts []choice) {
	known := map[int64]bool{}
	for _, e := range c.Employees {
		on := slices.Contains(t.Executors, e.ID)
		known[e.ID] = true
		if !e.Dismissed || on {
			note := e.Position
			if e.Dismissed {
				note = "dismissed"
			}
			staff = append(staff, choice{e.ID, e.Name, note, on})
		}
	}
	for _, id := range t.Executors {
		if !known[id] {
			staff = append(staff, choice{id, c.person(id), "deleted", true})
		}
	}
	for _, d := range c.Divisions {
		depts = append(depts, choice{d.ID, d.Name, d.Comment, slices.Contains(t.Divisions, d.ID)})
	}
	return staff, depts
}

// card is a task on the board.
type card struct {
	ID         int64
	Time       string
	Date       string
	Todo       string // as a datetime-local value
	Day, Clock string // the same as a date and a time value
	Type       string
	Tone       int // colour by type, 0-7
	Address    string
	Customer   string
	Text       string
	State      string
	StateID    int64
	Phase      string // open, active, waiting, closed, lost
	Closed     bool
	Executors  []string
	Divisions  []string
	From       int64 // in the employee view: whose row
	Back       string
	Priority   int64
	Individual bool // the duration is the task's own
}

// inputLayout is the value of a datetime-local field.
const inputLayout = "2006-01-02T15:04"

func (c catalogue) card(s *Server, t *Task) card {
	k := card{
		ID: t.ID, Type: fmt.Sprintf("Type %d", t.TypeID), State: fmt.Sprintf("State %d", t.StateID),
		StateID: t.StateID, Phase: "lost", Address: t.Address.Text, Customer: t.OptionalCustomerName,
		Text: t.plain(), Priority: t.Priority, Individual: t.RuntimeHours > 0, Time: "no date",
	}
	if t.Address.Apartment != "" {
		k.Address += ", " + t.Address.Apartment
	}
	if len(t.Customers) > 0 {
		k.Customer = t.Customers[0].FullName
		if k.Customer == "" {
			k.Customer = fmt.Sprintf("Customer %d", t.Customers[0].ID)
		}
	}
	hours := t.RuntimeHours
	for i, typ := range c.Types {
		if typ.ID == t.TypeID {
			k.Type, k.Tone = typ.Name, i%8
			if hours == 0 {
				hours = typ.HourOnDoing
			}
		}
	}
	for _, st := range c.States {
		if st.ID == t.StateID {
			k.State, k.Phase, k.Closed = st.Name, phase(st.Role), isClosed(st.Role)
		}
	}
	for _, id := range t.Executors {
		k.Executors = append(k.Executors, c.short(id))
	}
	for _, id := range t.Divisions {
		k.Divisions = append(k.Divisions, c.division(id))
	}
	if at, err := time.Parse(WallLayout, t.TodoWall); err == nil {
		k.Date, k.Todo, k.Time = at.Format("Mon 2 Jan"), at.Format(inputLayout), at.Format("15:04")
		k.Day, k.Clock = at.Format(time.DateOnly), k.Time
		switch {
		case k.Time == "00:00" && hours == 0:
			k.Time = "any time"
		case hours > 0:
			// From the instant, as the calendar will: end = start + duration (rule 9.1).
			k.Time += "–" + t.Todo.Add(time.Duration(hours)*time.Hour).In(s.loc).Format("15:04")
		}
	}
	return k
}

func phase(role int64) string {
	switch role {
	case RoleNotCompleted:
		return "open"
	case RoleInProgress:
		return "active"
	case RoleCompleted, RoleCancelled:
		return "closed"
	}
	return "waiting"
}

// plain is a task's description as a person reads it.
func (t *Task) plain() string {
	if !t.RawDescription {
		return t.Description
	}
	var out strings.Builder
	rest := t.Description
	for rest != "" {
		text, tail, _ := strings.Cut(rest, "<")
		out.WriteString(text)
		tag, after, closed := strings.Cut(tail, ">")
		if !closed {
			break
		}
		if strings.HasPrefix(strings.ToLower(tag), "br") {
			out.WriteByte('\n')
		}
		rest = after
	}
	return html.UnescapeString(out.String())
}

// byTime are all tasks by their start, then id.
func (s *Server) byTime() []Task {
	tasks := s.Tasks()
	slices.SortStableFunc(tasks, func(a, b Task) int { return strings.Compare(a.TodoWall, b.TodoWall) })
	return tasks
}

// personCard is an employee on the employees page.
type personCard struct {
	Employee
	Depts []choice
	Boxes []fieldValue // checkbox fields
	Texts []fieldValue // the others
	Open  int          // open tasks
}

type fieldValue struct {
	Field
	Value string
	On    bool
}

// isOn reads a checkbox as the integration does: empty, 0 and false are off (rule 4.1).
func isOn(v string) bool {
	v = strings.ToLower(strings.TrimSpace(v))
	return v != "" && v != "0" && v != "false"
}

func (b *board) people(w http.ResponseWriter, r *http.Request) {
	c := b.catalogue()
	open := map[int64]int{}
	for _, t := range b.s.Tasks() {
		if c.card(b.s, &t).Closed {
			continue
		}
		for _, id := range t.Executors {
			open[id]++
		}
	}
	p := struct {
		page
		catalogue
		People []personCard
		Fields []Field
	}{page: b.page(r, "Employees", "employees"), catalogue: c, Fields: b.s.EmployeeFields()}
	p.Back = "employees"
	for _, e := range c.Employees {
		k := personCard{Employee: e, Open: open[e.ID]}
		for _, d := range c.Divisions {
			k.Depts = append(k.Depts, choice{d.ID, d.Name, "", e.isMember(d.ID)})
		}
		for _, f := range p.Fields {
			v := fieldValue{f, e.Fields[f.ID], isOn(e.Fields[f.ID])}
			if f.Kind == FieldCheckbox {
				k.Boxes = append(k.Boxes, v)
			} else {
				k.Texts = append(k.Texts, v)
			}
		}
		p.People = append(p.People, k)
	}
	b.render(w, http.StatusOK, "employees.html", p)
}
