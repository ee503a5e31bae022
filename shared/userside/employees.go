package userside

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

type employeeReadings = map[calendarsync.EmployeeID]calendarsync.EmployeeReading

// Employees reads employees. Either every asked id has a reading or the whole call is an
// error. Those who do not come back are looked for among all employees: only who is
// missing there is Absent (shared/userside/README.md).
func (c *Client) Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	ids = distinct(ids)
	op := "userside: read " + describe("employee", ids)
	if len(ids) > 0 && ids[0] <= 0 {
		return nil, failure.New(failure.Invalid, "userside: read employees", "an id is not above 0")
	}
	out := make(employeeReadings, len(ids))
	rest := ids
	if len(ids) > 0 && len(ids) <= batch {
		rep, err := c.do(ctx, call{op: op, cat: "employee", action: "get_data", timeout: timeoutFor(len(ids)), tolerate: true,
			params: url.Values{"id": {joined(ids)}}})
		if err != nil {
			return nil, err
		}
		if rest, err = collectEmployees(op, rep, ids, out); err != nil {
			return nil, err
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	all, err := c.AllEmployees(ctx)
	if err != nil {
		return nil, err
	}
	for id, r := range out {
		if _, there := all[id]; r.Employee != nil && !there {
			return nil, distrust(op, "the list of all employees lacks one that was just shown")
		}
	}
	for _, id := range rest {
		r, ok := all[id]
		if !ok {
			r.Absent = calendarsync.ProofKnownID
		}
		out[id] = r
	}
	return out, nil
}

// collectEmployees puts the asked ones that came back into out and gives the rest.
func collectEmployees(op string, rep reply, ids []calendarsync.EmployeeID, out employeeReadings) ([]calendarsync.EmployeeID, error) {
	data := rep.data()
	switch v := data.(type) {
	case nil, string, bool: // nobody; for one id this is not documented, and proves nothing
		return ids, nil
	case object:
		if id, single := v["id"]; single {
			n, ok := identifier(id)
			if !ok {
				return nil, distrust(op, "an employee of the answer has no id")
			}
			data = object{strconv.FormatInt(n, 10): v}
		}
	}
	members, ok := collection(data)
	if !ok {
		return nil, distrust(op, "the answer is not keyed by employee")
	}
	for _, m := range members {
		id := calendarsync.EmployeeID(m.id)
		s, isText := m.value.(string)
		if slices.Contains(ids, id) && !(isText && strings.EqualFold(strings.TrimSpace(s), "error")) {
			out[id] = readEmployee(id, m.value)
		}
	}
	var rest []calendarsync.EmployeeID
	for _, id := range ids {
		if _, ok := out[id]; !ok {
			rest = append(rest, id)
		}
	}
	return rest, nil
}

// ErrNobody is the cause where a well-formed answer has no employee at all: a false one,
// unless the ERP is new.
var ErrNobody = errors.New("the ERP has no employee")

// AllEmployees reads all employees. That there are none (ErrNobody), or none readable, is
// an error of kind source-invalid, because who is missing here is taken for dismissed.
func (c *Client) AllEmployees(ctx context.Context) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	members, err := c.allEmployees(ctx)
	if err != nil {
		return nil, err
	}
	return readAll(members)
}

// EmployeeCards is AllEmployees with the captions of the cards' additional fields, where
// this ERP sends them (most do not).
func (c *Client) EmployeeCards(ctx context.Context) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, map[calendarsync.FieldID]string, error) {
	members, err := c.allEmployees(ctx)
	if err != nil {
		return nil, nil, err
	}
	readings, err := readAll(members)
	if err != nil {
		return nil, nil, err
	}
	captions := map[calendarsync.FieldID]string{}
	for _, m := range members {
		o, _ := m.value.(object)
		fields, _ := collection(first(o, "additional_data", "additional_fields"))
		for _, f := range fields {
			in, _ := f.value.(object)
			if text, ok := scalar(in["caption"]); ok && text != "" {
				captions[calendarsync.FieldID(f.id)] = plainLine(text)
			}
		}
	}
	return readings, captions, nil
}

const allEmployeesOp = "userside: read all employees"

func (c *Client) allEmployees(ctx context.Context) ([]entry, error) {
	rep, err := c.do(ctx, call{op: allEmployeesOp, cat: "employee", action: "get_data", timeout: longTimeout})
	if err != nil {
		return nil, err
	}
	members, ok := collection(rep.data())
	if !ok {
		return nil, distrust(allEmployeesOp, "the answer is not keyed by employee")
	}
	return members, nil
}

func readAll(members []entry) (employeeReadings, error) {
	if len(members) == 0 {
		return nil, failure.Wrap(failure.SourceInvalid, allEmployeesOp, ErrNobody)
	}
	out := make(employeeReadings, len(members))
	readable := false
	for _, m := range members {
		id := calendarsync.EmployeeID(m.id)
		if id <= 0 {
			continue // the ERP's own pseudo-users; nobody can be asked for by such an id
		}
		out[id] = readEmployee(id, m.value)
		readable = readable || out[id].Employee != nil
	}
	if !readable {
		return nil, distrust(allEmployeesOp, "the ERP shows no employee at all")
	}
	return out, nil
}

func readEmployee(want calendarsync.EmployeeID, v any) calendarsync.EmployeeReading {
	e, bad := decodeEmployee(want, v)
	if bad != "" {
		return calendarsync.EmployeeReading{Invalid: unreadable("employee", int64(want), bad)}
	}
	return calendarsync.EmployeeReading{Employee: e}
}

func decodeEmployee(want calendarsync.EmployeeID, v any) (*calendarsync.Employee, string) {
	o, ok := v.(object)
	if !ok {
		return nil, "(the employee itself)"
	}
	if id, ok := identifier(o["id"]); !ok || calendarsync.EmployeeID(id) != want {
		return nil, "id"
	}
	f := &fieldReader{}
	e := &calendarsync.Employee{ID: want}
	if e.Name = f.line(o["name"], "name"); e.Name == "" {
		e.Name = f.line(o["short_name"], "short_name")
	}
	if v := o["is_work"]; v != nil {
		// "" does not count as 0: a dismissal must be explicit (rule 4.1).
		working, ok := flag(v)
		f.check(ok, "is_work")
		e.Working = calendarsync.Say(working)
	}
	if v := o["email"]; v != nil {
		s, ok := v.(string)
		f.check(ok, "email")
		e.Email = calendarsync.Say(plainLine(calendarsync.Visible(plainLine(s))))
	}
	if v := first(o, "additional_data", "additional_fields"); v != nil {
		values, ok := additionalFields(v)
		f.check(ok, "additional_data")
		e.Fields = calendarsync.Say(values)
	}
	if v := o["division"]; v != nil {
		ids, ok := currentDivisions(v)
		f.check(ok, "division")
		e.Divisions = calendarsync.Say(ids)
	}
	if f.bad != "" {
		return nil, f.bad
	}
	return e, ""
}

// additionalFields reads the fields of a card: keyed by field id with a plain
// value or {value}, or a list of {id, value}. A null value says nothing, so the
// field is left out.
func additionalFields(v any) (map[calendarsync.FieldID]string, bool) {
	out := map[calendarsync.FieldID]string{}
	put := func(id int64, v any) {
		if in, ok := v.(object); ok {
			if inner, there := in["value"]; there {
				v = inner
			}
		}
		if v == nil {
			return
		}
		if s, plain := scalar(v); plain {
			out[calendarsync.FieldID(id)] = plainText(s)
		} else if emptyCollection(v) {
			out[calendarsync.FieldID(id)] = ""
		} else if raw, err := json.Marshal(v); err == nil {
			// A kind of field that is not documented (several choices, a file). It must not
			// look empty: an empty checkbox is explicit evidence against a calendar (rule 4.1).
			out[calendarsync.FieldID(id)] = string(raw)
		}
	}
	switch v := v.(type) {
	case object:
		for k, member := range v {
			// A key that is no id cannot be a configured field.
			if id, ok := identifier(k); ok {
				put(id, member)
			}
		}
		return out, true
	case []any:
		for _, member := range v {
			o, _ := member.(object)
			id, ok := identifier(first(o, "id", "field_id"))
			if !ok {
				return nil, false
			}
			put(id, o["value"])
		}
		return out, true
	}
	return nil, false
}

// currentDivisions reads the divisions an employee belongs to now: memberships by id or
// in a list, or plain ids.
func currentDivisions(v any) ([]calendarsync.DivisionID, bool) {
	out := []calendarsync.DivisionID{}
	read := func(key string, member any) bool {
		id, current, ok := membership(key, member)
		if ok && current {
			out = append(out, id)
		}
		return ok
	}
	switch v := v.(type) {
	case object:
		for key, member := range v {
			if !read(key, member) {
				return nil, false
			}
		}
	case []any:
		for _, member := range v {
			if !read("", member) {
				return nil, false
			}
		}
	default:
		return nil, false
	}
	return distinct(out), true
}

// membership reads one membership; key is its key where memberships are keyed.
func membership(key string, member any) (id calendarsync.DivisionID, current, ok bool) {
	if member == nil {
		return 0, false, true // newer releases have such members in lists
	}
	o, isObject := member.(object)
	if !isObject {
		n, ok := identifier(member)
		if k, keyed := identifier(key); keyed && k != n {
			ok = false
		}
		return calendarsync.DivisionID(n), true, ok
	}
	if current, ok = isCurrent(o); !ok || !current {
		return 0, false, ok
	}
	// The key may be that of the membership, not of the division.
	n, ok := identifier(o["division_id"])
	if o["division_id"] == nil {
		n, ok = identifier(key)
	}
	return calendarsync.DivisionID(n), true, ok
}

// isCurrent reports whether a membership has not ended; one that does not say is_work
// has ended when it has a date_out.
func isCurrent(membership object) (current, ok bool) {
	if v := membership["is_work"]; v != nil {
		return flag(v)
	}
	s, plain := scalar(membership["date_out"])
	at, ok := parseDate(s)
	return plain && ok && at.IsZero(), true
}
