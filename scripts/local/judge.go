package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// judge says what ought to be in the calendars and what is, from the stand-ins'
// state alone: it shares no code with the product.
type judge struct {
	app   *app
	since time.Time // tasks before it never enter a calendar that is yet to be made
}

// entry is one event as its reader sees it.
type entry struct {
	Task       int64
	Start, End time.Time
	Title      string
}

// wanted lists, for each employee who is to have a calendar, the tasks in it.
func (j judge) wanted() map[int64]map[int64]entry {
	out := map[int64]map[int64]entry{}
	shown := map[int64]bool{}
	for _, s := range j.app.erp.States() {
		if s.Role == fakeerp.RoleNotCompleted || s.Role == fakeerp.RoleInProgress {
			shown[s.ID] = true
		}
	}
	hours := map[int64]int64{}
	for _, t := range j.app.erp.Types() {
		hours[t.ID] = t.HourOnDoing
	}
	for _, e := range j.app.erp.Employees() {
		at := strings.LastIndexByte(e.Email, '@')
		if !e.Dismissed && e.Fields[fakeerp.SampleBindingField] == "1" && at > 0 && strings.Contains(e.Email[at:], ".") {
			out[e.ID] = map[int64]entry{}
		}
	}
	begins := j.begins()
	for _, t := range j.app.erp.Tasks() {
		if t.Todo.IsZero() || !shown[t.StateID] {
			continue
		}
		length := t.RuntimeHours
		if length == 0 {
			length = hours[t.TypeID]
		}
		if length == 0 {
			length = 1
		}
		for _, id := range t.Executors {
			if from, ok := begins[id]; out[id] != nil && !t.Todo.Before(from) && (ok || !t.Todo.Before(j.since)) {
				out[id][t.ID] = entry{Task: t.ID, Start: t.Todo, End: t.Todo.Add(time.Duration(length) * time.Hour)}
			}
		}
	}
	return out
}

// begins reads from the calendars' marks when each begins.
func (j judge) begins() map[int64]time.Time {
	out := map[int64]time.Time{}
	for _, c := range j.app.google.Calendars() {
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

// calendars finds each employee's live calendar by its mark; two of one employee
// are a fault.
func (j judge) calendars() (map[int64]string, error) {
	out := map[int64]string{}
	for _, c := range j.app.google.Calendars() {
		if c.Deleted {
			continue
		}
		_, rest, ok := strings.Cut(c.Description, " employee=")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("calendar %s: mark without an employee", c.ID)
		}
		if out[id] != "" {
			return nil, fmt.Errorf("employee %d has two calendars", id)
		}
		out[id] = c.ID
	}
	return out, nil
}

// shown lists the live events of a calendar by task; a task twice is a fault.
func (j judge) shown(calendar string) (map[int64]entry, error) {
	out := map[int64]entry{}
	for _, e := range j.app.google.Events(calendar) {
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
		out[task] = entry{Task: task, Start: start, End: end, Title: e.Summary}
	}
	return out, nil
}

// address is the employee's e-mail in the ERP.
func (j judge) address(id int64) string {
	e, _ := j.app.erp.Employee(id)
	return e.Email
}

// differences says everything that is not as it ought to be.
func (j judge) differences() []string {
	calendars, err := j.calendars()
	if err != nil {
		return []string{err.Error()}
	}
	wanted := j.wanted()
	roles := map[string]func(string) string{}
	for _, c := range j.app.google.Calendars() {
		roles[c.ID] = c.Role
	}
	var out []string
	for id := range calendars {
		if wanted[id] == nil {
			out = append(out, fmt.Sprintf("employee %d has a calendar and ought not", id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if calendars[id] == "" {
			out = append(out, fmt.Sprintf("employee %d has no calendar", id))
			continue
		}
		if address := j.address(id); roles[calendars[id]](address) != "reader" {
			out = append(out, fmt.Sprintf("employee %d: the calendar is not shared with them", id))
		}
		shown, err := j.shown(calendars[id])
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		for task, w := range wanted[id] {
			switch s, ok := shown[task]; {
			case !ok:
				out = append(out, fmt.Sprintf("employee %d: task %d is missing", id, task))
			case !s.Start.Equal(w.Start) || !s.End.Equal(w.End):
				out = append(out, fmt.Sprintf("employee %d: task %d is at %s–%s and ought to be at %s–%s", id, task,
					s.Start.Format(time.DateTime), s.End.Format(time.TimeOnly), w.Start.Format(time.DateTime), w.End.Format(time.TimeOnly)))
			}
		}
		for task := range shown {
			if _, ok := wanted[id][task]; !ok {
				out = append(out, fmt.Sprintf("employee %d: task %d ought not to be there", id, task))
			}
		}
	}
	return out
}
