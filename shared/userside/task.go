package userside

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// maxHours bounds durations, so that a wrong one cannot overflow a time.Duration later;
// no task lasts ten years.
const maxHours = 10 * 366 * 24

// fieldReader reads the fields of one object and remembers the first unreadable one.
type fieldReader struct{ bad string }

func (f *fieldReader) fail(name string) {
	if f.bad == "" {
		f.bad = name
	}
}

// check notes an unreadable field.
func (f *fieldReader) check(ok bool, name string) {
	if !ok {
		f.fail(name)
	}
}

// sub is an object inside o; nil where it is missing, null or PHP's empty list.
func (f *fieldReader) sub(o object, name string) object {
	v := o[name]
	if v == nil || emptyCollection(v) {
		return nil
	}
	in, ok := v.(object)
	f.check(ok, name)
	return in
}

// line is a text on one line; missing is "".
func (f *fieldReader) line(v any, name string) string {
	s, ok := scalar(v)
	f.check(ok, name)
	return plainLine(s)
}

func (f *fieldReader) text(v any, name string) string {
	s, ok := scalar(v)
	f.check(ok, name)
	return plainText(s)
}

// id is a number; missing, null and "" are 0.
func (f *fieldReader) id(v any, name string) int64 {
	if empty(v) {
		return 0
	}
	n, ok := integer(v)
	f.check(ok, name)
	return n
}

// set is the first of the keys in o that says something, as a set of ids.
func set[T ~int64](f *fieldReader, o object, path string, keys, inner []string) calendarsync.Given[[]T] {
	for _, k := range keys {
		v := o[k]
		if v == nil {
			continue
		}
		ids, ok := idSet(v, inner...)
		if !ok {
			f.fail(path + "." + k)
			return calendarsync.Given[[]T]{}
		}
		out := make([]T, len(ids))
		for i, id := range ids {
			out[i] = T(id)
		}
		return calendarsync.Say(out)
	}
	return calendarsync.Given[[]T]{}
}

// readTask decodes a task of show whose id must be want. An error is of kind
// source-invalid and names the first unreadable field.
func readTask(want calendarsync.TaskID, v any, extras calendarsync.Extras) calendarsync.TaskReading {
	t, bad := decodeTask(want, v)
	if bad == "" {
		readExtras(t, v, extras)
	}
	if bad != "" {
		return calendarsync.TaskReading{Invalid: unreadable("task", int64(want), bad)}
	}
	return calendarsync.TaskReading{Task: t}
}

// unreadable is the error of one entry; it names a field and never its content.
func unreadable(what string, id int64, field string) error {
	return &failure.Error{Kind: failure.SourceInvalid, Op: fmt.Sprintf("userside: read %s %d", what, id),
		Detail: "unreadable field " + field}
}

func decodeTask(want calendarsync.TaskID, v any) (*calendarsync.Task, string) {
	o, ok := v.(object)
	if !ok {
		return nil, "(the task itself)"
	}
	if id, ok := identifier(o["id"]); !ok || calendarsync.TaskID(id) != want {
		return nil, "id"
	}
	f := &fieldReader{}
	t := &calendarsync.Task{ID: want}

	// Parent and priority decide nothing, so an odd one costs nobody their event.
	if n, ok := integer(first(o, "parentTaskId", "parent_task_id")); ok {
		t.ParentID = calendarsync.TaskID(n)
	}
	priority := o["priority"]
	if in, ok := priority.(object); ok {
		priority = in["id"]
	}
	t.Priority, _ = integer(priority)

	if _, plain := scalar(o["type"]); plain {
		t.Type = calendarsync.TypeID(f.id(o["type"], "type"))
	} else {
		typ := f.sub(o, "type")
		t.Type = calendarsync.TypeID(f.id(typ["id"], "type.id"))
		t.TypeName = f.line(typ["name"], "type.name")
	}

	state := o["state"]
	if _, plain := scalar(state); !plain {
		in := f.sub(o, "state")
		state = in["id"]
		t.StateName = f.line(in["name"], "state.name")
	}
	if !empty(state) {
		id, ok := integer(state)
		f.check(ok, "state.id")
		t.State = calendarsync.Say(calendarsync.StateID(id))
	}

	date := f.sub(o, "date")
	if todo, there := date["todo"]; there {
		// The one null that says something: no date (rule 4.1).
		s, isText := todo.(string)
		f.check(isText || todo == nil, "date.todo")
		at, ok := parseDate(s)
		f.check(ok, "date.todo")
		t.Start = calendarsync.Say(at)
	}
	updated, ok := scalar(date["update"])
	f.check(ok, "date.update")
	t.Updated = strings.TrimSpace(updated)
	if hours := first(date, "runtime_individual_hour"); !empty(hours) {
		n, ok := decimal(hours)
		// Documented in whole hours. An event that is half an hour too long misleads less
		// than none.
		n = math.Ceil(n)
		f.check(ok && n >= 0 && n <= maxHours, "date.runtime_individual_hour")
		t.RuntimeHours = int64(n)
	}

	t.Customer = customerName(f, o)
	t.Address = addressText(f, o)
	t.Description = f.text(o["description"], "description")
	if t.Description == "" {
		t.Description = f.text(o["description_short"], "description_short")
	}

	staff := f.sub(o, "staff")
	t.Executors = set[calendarsync.EmployeeID](f, staff, "staff", []string{"employee", "worker"}, []string{"employee_id", "id"})
	t.Divisions = set[calendarsync.DivisionID](f, staff, "staff", []string{"division"}, []string{"division_id", "id"})

	if f.bad != "" {
		return nil, f.bad
	}
	return t, ""
}

// customerName is the customer's full name in the old form, else the prospect's name. The
// newer forms give ids only, and the API key cannot read customers' cards.
func customerName(f *fieldReader, o object) string {
	if c, ok := o["customer"].(object); ok {
		if name, ok := scalar(first(c, "fullName", "full_name", "name")); ok && plainLine(name) != "" {
			return plainLine(name)
		}
	}
	return f.line(o["optional_customer_name"], "optional_customer_name")
}

// addressText is the address with the apartment, unless the text ends with it already.
func addressText(f *fieldReader, o object) string {
	if s, plain := scalar(o["address"]); plain {
		return plainLine(s)
	}
	a := f.sub(o, "address")
	text := f.line(a["text"], "address.text")
	flat := f.line(first(a, "apartament", "apartment"), "address.apartament")
	if flat == "" || flat == "0" {
		return text
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case text == "":
		return flat
	case len(words) > 1 && slices.Contains(words[len(words)-1:], flat):
		return text
	}
	return text + ", " + flat
}
