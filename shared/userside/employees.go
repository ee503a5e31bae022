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

// Employees reads employees. Either every asked id has a reading or the whole
// call is an error. Whoever does not come back is looked for among all employees:
// Absent is only who is missing there (shared/userside/README.md).
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
		if rest, err = takeEmployees(op, rep, ids, out); err != nil {
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

// takeEmployees puts the asked ones that came back into out and gives the rest.
func takeEmployees(op string, rep reply, ids []calendarsync.EmployeeID, out employeeReadings) ([]calendarsync.EmployeeID, error) {
	data := rep.data()
	switch v := data.(type) {
	case nil, string, bool: // nobody; not documented for one id, and proves nothing
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

// ErrNobody is the cause where the ERP answers well and has no employee at all: a
// lie, unless the ERP is new.
var ErrNobody = errors.New("the ERP has no employee")

// AllEmployees reads everybody. Nobody at all, or nobody readable, is an error of
// kind source-invalid: who is missing here counts as dismissed. ErrNobody tells the former.
func (c *Client) AllEmployees(ctx context.Context) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	members, err := c.allEmployees(ctx)
	if err != nil {
		return nil, err
	}
	return readAll(members)
}

// EmployeeCards is AllEmployees with the captions of the cards' additional
// fields, as far as this ERP tells them (most tell none).
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
	f := &fields{}
	e := &calendarsync.Employee{ID: want}
	if e.Name = f.line(o["name"], "name"); e.Name == "" {
		e.Name = f.line(o["short_name"], "short_name")
	}
	if v := o["is_work"]; v != nil {
		// "" is not taken for 0: a dismissal must be said (rule 4.1).
		working, ok := flag(v)
		f.check(ok, "is_work")
		e.Working = calendarsync.Say(working)
	}
	if v := o["email"]; v != nil {
		s, ok := v.(string)
		f.check(ok, "email")
		e.Email = calendarsync.Say(plainLine(s))
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
			// A field of a kind that is not documented (several choices, a file). It must
			// not look empty: an empty checkbox unbinds the employee (rule 4.1).
			out[calendarsync.FieldID(id)] = string(raw)
		}
	}
	switch v := v.(type) {
	case object:
		for k, member := range v {
			// Keys that are no id are no field anybody can have configured.
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

// currentDivisions reads the divisions an employee belongs to now. An entry that
// does not say is_work is current if it has no date_out.
func currentDivisions(v any) ([]calendarsync.DivisionID, bool) {
	var members []any
	var keys []string
	switch v := v.(type) {
	case object:
		for k, member := range v {
			keys, members = append(keys, k), append(members, member)
		}
	case []any:
		keys, members = make([]string, len(v)), v
	default:
		return nil, false
	}
	out := []calendarsync.DivisionID{}
	for i, member := range members {
		if member == nil {
			continue // met among the members of a list in newer releases
		}
		o, isObject := member.(object)
		if !isObject {
			id, ok := identifier(member)
			if key, keyed := identifier(keys[i]); !ok || keyed && key != id {
				return nil, false
			}
			out = append(out, calendarsync.DivisionID(id))
			continue
		}
		current := false
		if said := o["is_work"]; said != nil {
			var ok bool
			if current, ok = flag(said); !ok {
				return nil, false
			}
		} else {
			s, plain := scalar(o["date_out"])
			at, ok := parseDate(s)
			current = plain && ok && at.IsZero()
		}
		if !current {
			continue
		}
		// The key may be that of the membership, not of the division.
		id, ok := identifier(o["division_id"])
		if o["division_id"] == nil {
			id, ok = identifier(keys[i])
		}
		if !ok {
			return nil, false
		}
		out = append(out, calendarsync.DivisionID(id))
	}
	return distinct(out), true
}
