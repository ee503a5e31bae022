package userside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

type employeeReadings = map[calendarsync.EmployeeID]calendarsync.EmployeeReading

// cards are readings under way, with the captions of the cards' additional fields where
// somebody wants them; nil: nobody does.
type cards struct {
	readings employeeReadings
	captions map[calendarsync.FieldID]string
}

// Employees reads employees. Either every asked id has a reading or the whole call is an
// error. What gives no answer together is asked for in halves, and what gives none alone is
// Invalid (rule 8.9). Those who do not come back are looked for among all employees: only
// who is missing there is Absent (shared/userside/README.md), and where that list cannot be
// read they are Invalid.
func (c *Client) Employees(ctx context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	ids = distinct(ids)
	if len(ids) > 0 && ids[0] <= 0 {
		return nil, failure.New(failure.Invalid, "userside: read employees", "an id is not above 0")
	}
	d := c.employeeDivider(cards{readings: make(employeeReadings, len(ids))})
	if len(ids) <= batch {
		if err := d.readAll(ctx, ids, false); err != nil {
			return nil, err
		}
	}
	rest := withoutReading(ids, d.out)
	if len(rest) == 0 {
		return d.out, nil
	}
	all, err := c.everybody(ctx, nil)
	if spoiled(err) && ctx.Err() == nil {
		return c.withoutEverybody(ctx, d, rest, err)
	}
	if err != nil {
		return nil, err
	}
	for id, r := range d.out {
		if _, there := all[id]; r.Employee != nil && !there {
			return nil, distrust("userside: read "+describe("employee", ids), "the list of all employees lacks one that was just shown")
		}
	}
	for _, id := range rest {
		r, ok := all[id]
		if !ok {
			r.Absent = calendarsync.ProofKnownID
		}
		d.out[id] = r
	}
	return d.out, nil
}

// withoutReading gives the ids that have none.
func withoutReading(ids []calendarsync.EmployeeID, readings employeeReadings) []calendarsync.EmployeeID {
	return slices.DeleteFunc(slices.Clone(ids), func(id calendarsync.EmployeeID) bool {
		_, read := readings[id]
		return read
	})
}

// withoutEverybody completes a reading where the list of everybody, which alone shows who
// is missing, gives no usable answer.
func (c *Client) withoutEverybody(ctx context.Context, d *employeeDivider, rest []calendarsync.EmployeeID, why error) (employeeReadings, error) {
	switch alive, err := d.isAlive(ctx, rest); {
	case err != nil:
		return nil, err
	case !alive:
		return nil, why
	}
	// More than are asked for at once were not asked for yet.
	if len(rest) > batch {
		if err := d.readAll(ctx, rest, true); err != nil {
			return nil, err
		}
		rest = withoutReading(rest, d.out)
	}
	leaveOpen(rest, why, d.out)
	return d.out, nil
}

// leaveOpen gives ids that did not come back a reading that says nothing of whether they
// are there: what comes of an answer that cannot be read is no absence (rule 4.2).
func leaveOpen(ids []calendarsync.EmployeeID, why error, out employeeReadings) {
	for _, id := range ids {
		out[id] = calendarsync.EmployeeReading{Invalid: &failure.Error{Kind: failure.SourceInvalid, Op: fmt.Sprintf("userside: read employee %d", id),
			Detail: "the ERP does not show it, and gives no usable list of everybody", Err: why}}
	}
}

type employeeDivider = divider[calendarsync.EmployeeID, calendarsync.EmployeeReading]

func (c *Client) employeeDivider(out cards) *employeeDivider {
	return &employeeDivider{
		bearing: c.employees, kind: "employee", out: out.readings, shows: c.showsAnybody,
		read: func(ctx context.Context, ids []calendarsync.EmployeeID, once bool) error {
			return c.readEmployees(ctx, ids, once, out)
		},
		isShown: func(r calendarsync.EmployeeReading) bool { return r.Employee != nil },
		invalid: func(err error) calendarsync.EmployeeReading { return calendarsync.EmployeeReading{Invalid: err} },
	}
}

// readEmployees puts the readings of those of ids who come back into out.
func (c *Client) readEmployees(ctx context.Context, ids []calendarsync.EmployeeID, once bool, out cards) error {
	last := c.lastShown()
	if !once || len(ids) != 1 || last == 0 || last == ids[0] {
		return c.askForEmployees(ctx, ids, ids, once, out)
	}
	// What an ERP answers about one unknown number is not documented.
	err := c.askForEmployees(ctx, append(slices.Clone(ids), last), ids, once, out)
	if !mayBeSpoiled(err) {
		return err
	}
	// It may be the other one who spoils the answer by now.
	other := cards{readings: employeeReadings{}}
	if c.askForEmployees(ctx, []calendarsync.EmployeeID{last}, []calendarsync.EmployeeID{last}, once, other) == nil && other.readings[last].Employee != nil {
		return err
	}
	c.forgetShown(last)
	return c.askForEmployees(ctx, ids, ids, once, out)
}

// askForEmployees asks for some and puts the readings of those of ids who come back into
// out.
func (c *Client) askForEmployees(ctx context.Context, ask, ids []calendarsync.EmployeeID, once bool, out cards) error {
	op := "userside: read " + describe("employee", ids)
	timeout := timeoutFor(len(ids))
	if once {
		timeout = partTimeout
	}
	rep, err := c.do(ctx, call{op: op, cat: "employee", action: "get_data", timeout: timeout, tolerate: true, once: once, divisible: len(ids) > 1,
		params: url.Values{"id": {joined(ask)}}})
	if err != nil {
		return err
	}
	if rep.isError && rep.status >= http.StatusInternalServerError {
		return &spoiledError{&failure.Error{Kind: failure.Source, Op: op, Status: rep.status, Reason: "ERROR", Detail: "the ERP answered with an error"}}
	}
	came, err := collectEmployees(op, rep, ids, len(ask) > 1, out)
	if err != nil {
		return err
	}
	c.employees.cleared(came)
	c.rememberShown(came, out.readings)
	return nil
}

// rememberShown keeps one who came back, to see later whether the ERP shows anybody.
func (c *Client) rememberShown(ids []calendarsync.EmployeeID, readings employeeReadings) {
	i := slices.IndexFunc(ids, func(id calendarsync.EmployeeID) bool { return readings[id].Employee != nil })
	if i < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = ids[i]
}

// neighbours is how many numbers around those who give no answer are asked for together.
const neighbours = 10

// showsAnybody reports whether the ERP shows any employee: one who came back lately, or one
// of the numbers asked for or next to them.
func (c *Client) showsAnybody(ctx context.Context, asked []calendarsync.EmployeeID) (bool, error) {
	low, high := slices.Min(asked), slices.Max(asked)
	samples := [][]calendarsync.EmployeeID{{c.lastShown()}, {low - 1}, {high + 1}, idsFrom(low-neighbours, neighbours), idsFrom(high+1, neighbours)}
	if len(asked) > 1 {
		for _, id := range c.employees.samples(asked) {
			samples = append(samples, []calendarsync.EmployeeID{id})
		}
	}
	for _, ids := range samples {
		ids = slices.DeleteFunc(ids, func(id calendarsync.EmployeeID) bool { return id <= 0 })
		if len(ids) == 0 {
			continue
		}
		out := cards{readings: employeeReadings{}}
		if err := c.readEmployees(ctx, ids, true, out); err != nil && !mayBeSpoiled(err) {
			return false, err
		}
		for _, r := range out.readings {
			if r.Employee != nil {
				return true, nil
			}
		}
	}
	c.employees.shownNone()
	return false, nil
}

func (c *Client) lastShown() calendarsync.EmployeeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

func (c *Client) forgetShown(id calendarsync.EmployeeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shown == id {
		c.shown = 0
	}
}

func idsFrom(low calendarsync.EmployeeID, n int) []calendarsync.EmployeeID {
	ids := make([]calendarsync.EmployeeID, n)
	for i := range ids {
		ids[i] = low + calendarsync.EmployeeID(i)
	}
	return ids
}

// collectEmployees puts those of ids that came back into out and lists them; several: more
// than one was asked for.
func collectEmployees(op string, rep reply, ids []calendarsync.EmployeeID, several bool, out cards) ([]calendarsync.EmployeeID, error) {
	data := rep.data()
	switch v := data.(type) {
	case nil, string, bool: // nobody; for one id this is not documented, and proves nothing
		if several {
			return nil, &spoiledError{distrust(op, "the answer has no employee, nor an empty list")}
		}
		return nil, nil
	case object:
		if id, single := v["id"]; single {
			n, ok := identifier(id)
			if !ok {
				return nil, &spoiledError{distrust(op, "an employee of the answer has no id")}
			}
			data = object{strconv.FormatInt(n, 10): v}
		}
	}
	members, ok := collection(data)
	if !ok {
		return nil, &spoiledError{distrust(op, "the answer is not keyed by employee")}
	}
	var came []calendarsync.EmployeeID
	for _, m := range members {
		id := calendarsync.EmployeeID(m.id)
		s, isText := m.value.(string)
		if slices.Contains(ids, id) && !(isText && strings.EqualFold(strings.TrimSpace(s), "error")) {
			out.readings[id] = readEmployee(id, m.value)
			out.addCaptions(m.value)
			came = append(came, id)
		}
	}
	return came, nil
}

// ErrNobody is the cause where a well-formed answer has no employee at all: a false one,
// unless the ERP is new.
var ErrNobody = errors.New("the ERP has no employee")

// AllEmployees reads all employees. Where the list of everybody gives no usable answer they
// are read by their numbers: those of known, and those above until none comes back; then
// who is known and does not come back is Invalid, so that nobody known is missing without
// the ERP having said so (rule 8.9). That there is nobody (ErrNobody), or nobody readable,
// is an error of kind source-invalid, because who is missing here is taken for dismissed.
func (c *Client) AllEmployees(ctx context.Context, known []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	return c.allCards(ctx, func(context.Context) ([]calendarsync.EmployeeID, error) { return known, nil }, nil)
}

// Known gives those who are known, asked for only where the ERP has to be read by numbers.
type Known func(ctx context.Context) ([]calendarsync.EmployeeID, error)

// NobodyKnown is Known where nobody is.
func NobodyKnown(context.Context) ([]calendarsync.EmployeeID, error) { return nil, nil }

// EmployeeCards is AllEmployees with the captions of the cards' additional fields, where
// this ERP sends them (most do not).
func (c *Client) EmployeeCards(ctx context.Context, known Known) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, map[calendarsync.FieldID]string, error) {
	captions := map[calendarsync.FieldID]string{}
	readings, err := c.allCards(ctx, known, captions)
	if err != nil {
		return nil, nil, err
	}
	return readings, captions, nil
}

// allCards reads all employees, and puts the captions of the cards' fields into captions
// unless that is nil.
func (c *Client) allCards(ctx context.Context, whom Known, captions map[calendarsync.FieldID]string) (employeeReadings, error) {
	readings, err := c.everybody(ctx, captions)
	if !spoiled(err) || ctx.Err() != nil {
		return readings, err
	}
	known, failed := whom(ctx)
	if failed != nil {
		return nil, failed
	}
	known = slices.DeleteFunc(distinct(known), func(id calendarsync.EmployeeID) bool { return id <= 0 })
	d := c.employeeDivider(cards{employeeReadings{}, captions})
	d.beginParts(ctx)
	asked := known
	if len(asked) == 0 {
		asked = idsFrom(1, neighbours)
	}
	switch alive, deadErr := d.isAlive(ctx, asked); {
	case deadErr != nil:
		return nil, deadErr
	case !alive:
		return nil, err // the ERP is down
	}
	if err := c.readByNumber(ctx, d, known); err != nil {
		return nil, err
	}
	leaveOpen(withoutReading(known, d.out), err, d.out)
	return d.out, nil
}

// readByNumber reads those who are known, and by the hundred those above until two hundreds
// in a row have nobody: an ERP counts upwards, and nothing lists the numbers it has given.
func (c *Client) readByNumber(ctx context.Context, d *employeeDivider, known []calendarsync.EmployeeID) error {
	if err := d.readAll(ctx, known, true); err != nil {
		return err
	}
	top := calendarsync.EmployeeID(0)
	if len(known) > 0 {
		top = slices.Max(known)
	}
	d.mayBe = func(id calendarsync.EmployeeID) bool { _, is := slices.BinarySearch(known, id); return !is }
	for empty := 0; empty < 2 && !d.spent() && ctx.Err() == nil; top += batch {
		before := len(d.out)
		if err := d.readAll(ctx, idsFrom(top+1, batch), true); err != nil {
			return err
		}
		if empty++; len(d.out) > before {
			empty = 0
		}
	}
	return ctx.Err()
}

// everybody reads the list of everybody. While somebody is known to spoil it, it is asked
// for once only.
func (c *Client) everybody(ctx context.Context, captions map[calendarsync.FieldID]string) (employeeReadings, error) {
	members, err := c.allEmployees(ctx, c.employees.suspects())
	if err != nil {
		return nil, err
	}
	readings, err := readEverybody(members)
	if err == nil {
		for _, m := range members {
			cards{readings, captions}.addCaptions(m.value)
		}
		ids := slices.Sorted(maps.Keys(readings))
		c.employees.clear()
		c.rememberShown(ids, readings)
	}
	return readings, err
}

// addCaptions notes the captions of one card's fields.
func (c cards) addCaptions(card any) {
	if c.captions == nil {
		return
	}
	o, _ := card.(object)
	fields, _ := collection(first(o, "additional_data", "additional_fields"))
	for _, f := range fields {
		in, _ := f.value.(object)
		if text, ok := scalar(in["caption"]); ok && text != "" {
			c.captions[calendarsync.FieldID(f.id)] = plainLine(text)
		}
	}
}

const allEmployeesOp = "userside: read all employees"

func (c *Client) allEmployees(ctx context.Context, once bool) ([]entry, error) {
	rep, err := c.do(ctx, call{op: allEmployeesOp, cat: "employee", action: "get_data", timeout: longTimeout, once: once, divisible: true})
	if err != nil {
		return nil, err
	}
	members, ok := collection(rep.data())
	if !ok {
		return nil, &spoiledError{distrust(allEmployeesOp, "the answer is not keyed by employee")}
	}
	return members, nil
}

func readEverybody(members []entry) (employeeReadings, error) {
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
