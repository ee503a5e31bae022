package deployment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// Judge says what ought to be in the calendars and what is, from the stand-ins'
// state alone: it shares no code with the product.
type Judge struct {
	ERP    *userside.Server
	Google *google.Server
	// BindingField is the setting of that name.
	BindingField int64
	// Since is when a calendar begins that does not exist yet.
	Since time.Time
}

// Entry is one event as its reader sees it.
type Entry struct {
	Start, End time.Time
	Title      string
}

// Wanted lists, for each employee who is to have a calendar, the tasks in it.
func (j Judge) Wanted() map[int64]map[int64]Entry {
	out := map[int64]map[int64]Entry{}
	for _, e := range j.ERP.Employees() {
		at := strings.LastIndexByte(e.Email, '@')
		if !e.Dismissed && e.Fields[j.BindingField] == "1" && at > 0 && strings.Contains(e.Email[at:], ".") {
			out[e.ID] = map[int64]Entry{}
		}
	}
	shown := map[int64]bool{}
	for _, s := range j.ERP.States() {
		shown[s.ID] = s.Role == userside.RoleNotCompleted || s.Role == userside.RoleInProgress
	}
	hours := map[int64]int64{}
	for _, t := range j.ERP.Types() {
		hours[t.ID] = t.HourOnDoing
	}
	begins := j.begins()
	for _, t := range j.ERP.Tasks() {
		if t.Todo.IsZero() || !shown[t.StateID] {
			continue
		}
		length := cmp.Or(t.RuntimeHours, hours[t.TypeID], 1)
		for _, id := range t.Executors {
			from, begun := begins[id]
			if !begun {
				from = j.Since
			}
			if out[id] != nil && !t.Todo.Before(from) {
				out[id][t.ID] = Entry{Start: t.Todo, End: t.Todo.Add(time.Duration(length) * time.Hour)}
			}
		}
	}
	return out
}

// begins reads from the calendars' marks when each begins.
func (j Judge) begins() map[int64]time.Time {
	out := map[int64]time.Time{}
	for _, c := range j.Google.Calendars() {
		_, mark, _ := strings.Cut(c.Description, " employee=")
		var id int64
		var epoch, from string
		if c.Deleted {
			continue
		}
		if _, err := fmt.Sscanf(mark, "%d epoch=%s from=%s", &id, &epoch, &from); err != nil {
			continue
		}
		if at, err := time.Parse(time.RFC3339, from); err == nil {
			out[id] = at
		}
	}
	return out
}

// Calendars finds each employee's live calendar by its mark; two of one employee
// are a fault.
func (j Judge) Calendars() (map[int64]google.CalendarSnapshot, error) {
	out := map[int64]google.CalendarSnapshot{}
	for _, c := range j.Google.Calendars() {
		_, rest, marked := strings.Cut(c.Description, " employee=")
		if c.Deleted || !marked {
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("calendar %s: mark without an employee", c.ID)
		}
		if out[id].ID != "" {
			return nil, fmt.Errorf("employee %d has two calendars", id)
		}
		out[id] = c
	}
	return out, nil
}

// Shown lists the live events of a calendar by task; a task twice is a fault.
func (j Judge) Shown(calendar string) (map[int64]Entry, error) {
	out := map[int64]Entry{}
	for _, e := range j.Google.Events(calendar) {
		if e.Status == "cancelled" {
			continue
		}
		if e.ExtendedProperties == nil {
			return nil, fmt.Errorf("calendar %s: event %s without a mark", calendar, e.Id)
		}
		task, err := strconv.ParseInt(e.ExtendedProperties.Private["erpTask"], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("calendar %s: event %s without a task", calendar, e.Id)
		}
		if _, twice := out[task]; twice {
			return nil, fmt.Errorf("calendar %s: task %d twice", calendar, task)
		}
		start, err1 := time.Parse(time.RFC3339, e.Start.DateTime)
		end, err2 := time.Parse(time.RFC3339, e.End.DateTime)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("calendar %s: task %d without times", calendar, task)
		}
		out[task] = Entry{Start: start, End: end, Title: e.Summary}
	}
	return out, nil
}

// Differences says everything that is not as it ought to be.
func (j Judge) Differences() []string {
	calendars, err := j.Calendars()
	if err != nil {
		return []string{err.Error()}
	}
	wanted := j.Wanted()
	var out []string
	for id := range calendars {
		if wanted[id] == nil {
			out = append(out, fmt.Sprintf("employee %d has a calendar and ought not", id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		c, there := calendars[id]
		if !there {
			out = append(out, fmt.Sprintf("employee %d has no calendar", id))
			continue
		}
		if e, _ := j.ERP.Employee(id); c.Role(e.Email) != "reader" {
			out = append(out, fmt.Sprintf("employee %d: the calendar is not shared with them", id))
		}
		shown, err := j.Shown(c.ID)
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		out = append(out, differences(id, wanted[id], shown)...)
	}
	return out
}

// differences compares one employee's events.
func differences(employee int64, wanted, shown map[int64]Entry) []string {
	var out []string
	for task, w := range wanted {
		switch s, ok := shown[task]; {
		case !ok:
			out = append(out, fmt.Sprintf("employee %d: task %d is missing", employee, task))
		case !s.Start.Equal(w.Start) || !s.End.Equal(w.End):
			out = append(out, fmt.Sprintf("employee %d: task %d is at %s–%s and ought to be at %s–%s", employee, task,
				s.Start.Format(time.DateTime), s.End.Format(time.TimeOnly), w.Start.Format(time.DateTime), w.End.Format(time.TimeOnly)))
		}
	}
	for task := range shown {
		if _, ok := wanted[task]; !ok {
			out = append(out, fmt.Sprintf("employee %d: task %d ought not to be there", employee, task))
		}
	}
	return out
}
