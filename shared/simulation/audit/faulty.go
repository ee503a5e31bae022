package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// faultyAnswer is an answer of the ERP that an injected fault was in. Where it can
// still be read, what it says may be false.
type faultyAnswer struct {
	status int
	body   []byte
	parsed *parsedAnswer
	list   bool // of tasks without executors
}

// parsedAnswer is what a faulty answer says by id; readable is false where nobody
// could learn anything from it.
type parsedAnswer struct {
	readable bool
	entries  map[int64]map[string]any
}

// parse decodes the answer once, in any spelling.
func (b *faultyAnswer) parse() *parsedAnswer {
	if b.parsed != nil {
		return b.parsed
	}
	b.parsed = &parsedAnswer{entries: map[int64]map[string]any{}}
	var top map[string]any
	dec := json.NewDecoder(bytes.NewReader(b.body))
	dec.UseNumber()
	if len(b.body) == 0 || b.status >= 300 || dec.Decode(&top) != nil {
		return b.parsed
	}
	if strings.EqualFold(word(pick(top, "result", "Result")), "ERROR") {
		return b.parsed
	}
	b.parsed.readable = true
	switch data := pick(top, "data", "Data").(type) {
	case map[string]any:
		if id, single := number(data["id"]); single {
			b.parsed.entries[id] = data
			return b.parsed
		}
		for k, v := range data {
			id, err := strconv.ParseInt(k, 10, 64)
			if entry, ok := v.(map[string]any); ok && err == nil {
				b.parsed.entries[id] = entry
			}
		}
	case []any:
		for _, v := range data {
			entry, ok := v.(map[string]any)
			if id, numbered := number(entry["id"]); ok && numbered {
				b.parsed.entries[id] = entry
			}
		}
	}
	return b.parsed
}

// listed are the ids of an answer that is a list; none where it cannot be read.
func (b *faultyAnswer) listed() []int64 {
	var top struct {
		List string `json:"list"`
	}
	if b.status >= 300 || json.Unmarshal(b.body, &top) != nil {
		return nil
	}
	return idsOf(top.List)
}

func pick(o map[string]any, names ...string) any {
	for _, n := range names {
		if v, ok := o[n]; ok {
			return v
		}
	}
	return nil
}

func word(v any) string {
	if v == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(v))
}

func number(v any) (int64, bool) {
	n, err := strconv.ParseInt(word(v), 10, 64)
	return n, err == nil
}

// optional is a value that the ERP may have left out.
type optional[T any] struct {
	v  T
	ok bool
}

func some[T any](v T) optional[T] { return optional[T]{v, true} }

// taskView is what one reading showed of a task.
type taskView struct {
	absent    bool
	state     optional[int64]
	wall      optional[string] // fakeerp.WallLayout; "" is no date
	executors optional[[]int64]
	divisions optional[[]int64]
	task      *fakeerp.Task // where no fault was in the reading
}

func viewTask(t *fakeerp.Task) taskView {
	if t == nil {
		return taskView{absent: true}
	}
	return taskView{state: some(t.StateID), wall: some(t.TodoWall), executors: some(t.Executors), divisions: some(t.Divisions), task: t}
}

// viewTask is what the ERP shows of a task; unassigned: it lists it among those without
// executors.
func (a *Auditor) viewTask(t *fakeerp.Task, unassigned bool) taskView {
	v := viewTask(t)
	if t != nil && len(t.Executors) == 0 && a.w.ExecutorsLeftOut && !unassigned {
		v.executors = optional[[]int64]{} // a missing map is no evidence
	}
	return v
}

// viewFaultyTask reads a task out of a faulty answer.
func viewFaultyTask(o map[string]any) taskView {
	if o == nil {
		return taskView{absent: true}
	}
	var v taskView
	state := o["state"]
	if in, ok := state.(map[string]any); ok {
		state = in["id"]
	}
	if id, ok := number(state); ok {
		v.state = some(id)
	}
	if date, ok := o["date"].(map[string]any); ok {
		if todo, there := date["todo"]; there {
			v.wall = wallOf(todo)
		}
	}
	if staff, ok := o["staff"].(map[string]any); ok {
		v.executors, v.divisions = idSet(pick(staff, "employee", "worker")), idSet(staff["division"])
	}
	return v
}

func wallOf(v any) optional[string] {
	s := word(v)
	if s == "" || s == "-" || strings.HasPrefix(s, "-0001-11-30") || strings.HasPrefix(s, "30.11.-0001") || strings.HasPrefix(s, "0000-00-00") {
		return some("")
	}
	for _, layout := range []string{fakeerp.WallLayout, "2006-01-02T15:04:05", "02.01.2006, 15:04", "2006-01-02 15:04", "02.01.2006 15:04:05", "02.01.2006 15:04", "2006-01-02", "02.01.2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return some(t.Format(fakeerp.WallLayout))
		}
	}
	return optional[string]{}
}

// idSet reads a map by id or a list of ids.
func idSet(v any) optional[[]int64] {
	out := []int64{}
	switch m := v.(type) {
	case map[string]any:
		for k := range m {
			if id, err := strconv.ParseInt(k, 10, 64); err == nil {
				out = append(out, id)
			}
		}
	case []any:
		for _, e := range m {
			if id, ok := number(e); ok {
				out = append(out, id)
			}
		}
	default:
		return optional[[]int64]{}
	}
	slices.Sort(out)
	return some(out)
}

// personView is what one reading showed of an employee.
type personView struct {
	absent  bool
	working optional[bool]
	email   optional[string]
	fields  optional[map[int64]string]
}

func viewPerson(e *fakeerp.Employee) personView {
	if e == nil {
		return personView{absent: true}
	}
	return personView{working: some(!e.Dismissed), email: some(e.Email), fields: some(e.Fields)}
}

func viewFaultyPerson(o map[string]any) personView {
	if o == nil {
		return personView{absent: true}
	}
	var v personView
	if n, ok := number(o["is_work"]); ok {
		v.working = some(n == 1)
	}
	if email, ok := o["email"].(string); ok {
		v.email = some(email)
	}
	if m, ok := pick(o, "additional_data", "additional_fields").(map[string]any); ok {
		fields := map[int64]string{}
		for k, f := range m {
			if in, ok := f.(map[string]any); ok {
				f = in["value"]
			}
			if id, err := strconv.ParseInt(k, 10, 64); err == nil && f != nil {
				fields[id] = word(f)
			}
		}
		v.fields = some(fields)
	} else if l, ok := pick(o, "additional_data", "additional_fields").([]any); ok && len(l) == 0 {
		v.fields = some(map[int64]string{}) // PHP's empty map
	}
	return v
}

// roles reads the catalogue of states out of a faulty answer.
func (b *faultyAnswer) roles() map[int64]int64 {
	out := map[int64]int64{}
	for id, o := range b.parse().entries {
		spelled := pick(o, "system_role", "systemRole", "sysrole")
		if role, ok := number(spelled); ok {
			out[id] = role
		} else if text, ok := spelled.(string); ok {
			if role, ok := fakeerp.RoleOf(text); ok {
				out[id] = role
			}
		}
	}
	return out
}
