package userside

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object with fixed names.
type object map[string]any

// keyed is a collection by id. PHP writes an empty one as `[]` (shared/userside/README.md).
type keyed map[string]any

func (k keyed) MarshalJSON() ([]byte, error) {
	if len(k) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(map[string]any(k))
}

func key(id int64) string { return strconv.FormatInt(id, 10) }

// writer renders the state in a spelling. It is used with the Server's lock held
// and keeps no reference to what it reads.
type writer struct {
	s  *Server
	sp Spelling
}

func (w writer) id(n int64) any {
	if w.sp.IDsAsStrings {
		return key(n)
	}
	return n
}

func (w writer) flag(b bool) any {
	if b {
		return w.id(1)
	}
	return w.id(0)
}

func (w writer) count(n int) any {
	if w.sp.CountAsString {
		return strconv.Itoa(n)
	}
	return n
}

// escape does what the ERP was seen to do: PHP's htmlspecialchars and the slash.
func escape(s string) string {
	if !strings.ContainsAny(s, `&<>"'/`) {
		return s
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#039;", "/", "&#047;").Replace(s)
}

func (w writer) text(s string) string {
	if w.sp.EscapeHTML {
		return escape(s)
	}
	return s
}

func (w writer) description(t *Task, limit int) string {
	d := t.Description
	if limit > 0 {
		if r := []rune(d); len(r) > limit {
			d = string(r[:limit])
		}
		d = strings.ReplaceAll(d, "\n", " ")
	}
	if t.RawDescription {
		return d
	}
	d = w.text(d)
	if w.sp.BreakTags {
		d = strings.ReplaceAll(d, "\n", "<br />")
	}
	return d
}

// date writes a wall clock of WallLayout, "" for none.
func (w writer) date(wall string) any {
	if wall == "" {
		return w.noDate()
	}
	// Parsed as UTC only to change its form: a wall clock that DST skips stays as it is.
	at, err := time.Parse(WallLayout, wall)
	if err != nil {
		return wall
	}
	return at.Format(w.dateLayout())
}

func (w writer) instant(t time.Time) any { return w.date(w.s.wall(t)) }

// wall is the ERP's wall clock at an instant, "" for the zero time.
func (s *Server) wall(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(s.loc).Format(WallLayout)
}

// idMap is the object id→id that `staff` and `customer` use.
func (w writer) idMap(ids []int64) keyed {
	m := keyed{}
	for _, id := range ids {
		m[key(id)] = w.id(id)
	}
	return m
}

func (w writer) task(t *Task, withComments bool) object {
	o := object{
		"id":           w.id(t.ID),
		"parentTaskId": w.id(t.ParentID),
		"priority":     w.id(t.Priority),
		"type":         object{"id": w.id(t.TypeID), "name": w.text(w.s.types[t.TypeID].Name)},
		"date": object{
			"create":                   w.instant(t.Created),
			"todo":                     w.date(t.TodoWall),
			"update":                   w.instant(t.Updated),
			"complete":                 w.instant(t.Completed),
			"runtime_individual_hour":  w.id(t.RuntimeHours),
			"deadline_individual_hour": w.id(t.DeadlineHours),
		},
		"state":                  w.taskState(t.StateID),
		"optional_customer_name": w.text(t.OptionalCustomerName),
		"address": object{
			"text":            w.text(t.Address.Text),
			"addressId":       w.id(t.Address.ID),
			w.sp.ApartmentKey: w.text(t.Address.Apartment),
		},
		"description":       w.description(t, 0),
		"description_short": w.description(t, 60),
		w.sp.AuthorKey:      w.id(t.AuthorID),
		w.sp.TaskFieldsKey:  w.taskFields(t),
		"history":           w.history(t),
	}
	w.customer(o, t)
	w.staff(o, t)
	if withComments {
		c := keyed{}
		for _, m := range t.Comments {
			c[key(m.ID)] = object{
				"id": w.id(m.ID), "dateAdd": w.instant(m.Added),
				"employee_id": w.id(m.EmployeeID), "comment": w.text(m.Text),
			}
		}
		o["comments"] = c
	}
	return o
}

func (w writer) taskState(id int64) object {
	st, known := w.s.states[id]
	o := object{"id": w.id(id), "name": w.text(st.Name)}
	if !known {
		// A state that was removed from the catalogue has no role.
		return o
	}
	o[w.sp.RoleKey] = w.id(st.Role)
	if w.sp.RoleText {
		o["system_role_text"] = RoleText(st.Role)
	}
	return o
}

// RoleText is what the ERP calls a role.
func RoleText(role int64) string {
	switch role {
	case RoleNotCompleted:
		return "Not completed"
	case RoleInProgress:
		return "In progress"
	case RoleCompleted:
		return "Completed"
	case RoleCancelled:
		return "Cancelled"
	case RolePostponed:
		return "Postponed"
	}
	return fmt.Sprintf("Role %d", role)
}

// RoleOf is the role that the ERP calls so; false where there is none.
func RoleOf(text string) (role int64, ok bool) {
	for _, r := range []int64{RoleNotCompleted, RoleInProgress, RoleCompleted, RoleCancelled, RolePostponed} {
		if RoleText(r) == text {
			return r, true
		}
	}
	return 0, false
}

func (w writer) customer(o object, t *Task) {
	switch w.sp.Customer {
	case CustomerObject:
		if len(t.Customers) > 0 {
			c := t.Customers[0]
			o["customer"] = object{"id": w.id(c.ID), "fullName": w.text(c.FullName), "login": w.text(c.Login)}
		}
	case CustomerMap:
		m := keyed{}
		for _, c := range t.Customers {
			m[key(c.ID)] = w.id(c.ID)
		}
		o["customer"] = m
	case CustomerList:
		l := []any{}
		for _, c := range t.Customers {
			l = append(l, w.id(c.ID))
		}
		o["customer"] = l
	}
}

func (w writer) staff(o object, t *Task) {
	st := object{}
	if len(t.Executors) > 0 || !w.leavesOutExecutors() {
		st[w.sp.ExecutorsKey] = w.idMap(t.Executors)
	}
	if len(t.Divisions) > 0 || !w.sp.OmitEmptyStaff {
		st["division"] = w.idMap(t.Divisions)
	}
	if len(st) > 0 {
		o["staff"] = st
	}
}

func (w writer) taskFields(t *Task) keyed {
	m := keyed{}
	for id, v := range t.Fields {
		if w.sp.PlainTaskFields {
			m[key(id)] = w.text(v)
			continue
		}
		m[key(id)] = object{"id": w.id(id), "caption": w.text(w.s.taskFields[id].Caption), "value": w.text(v)}
	}
	return m
}

func (w writer) history(t *Task) []any {
	l := []any{}
	for _, h := range t.History {
		l = append(l, object{"date": w.instant(h.Time), "employee_id": w.id(h.EmployeeID), "type": h.Kind})
	}
	return l
}

func (w writer) employee(e *Employee) object {
	fields := keyed{}
	for id, v := range e.Fields {
		if w.sp.PlainEmployeeFields {
			fields[key(id)] = w.field(v)
			continue
		}
		fields[key(id)] = object{"value": w.field(v)}
	}
	return object{
		"id": w.id(e.ID), "name": w.text(e.Name), "short_name": w.text(e.ShortName),
		"login": w.text(e.Login), "email": w.email(e.Email), "phone": w.text(e.Phone),
		"position": w.text(e.Position), "is_work": w.flag(!e.Dismissed), "is_blocked": w.flag(e.Blocked),
		"date_in": w.instant(e.Hired), "division": w.memberships(e), "profile_id": w.id(e.ProfileID),
		w.sp.EmployeeFieldsKey: fields,
	}
}

func (w writer) memberships(e *Employee) any {
	list, byID := []any{}, keyed{}
	for _, m := range e.Memberships {
		o := object{
			"division_id": w.id(m.DivisionID), "position": w.text(m.Position), "is_work": w.flag(m.Current),
			"date_add": w.instant(m.Added), "date_out": w.instant(m.Left),
		}
		list = append(list, o)
		if _, ok := byID[key(m.DivisionID)]; ok && !m.Current {
			continue // one entry per division: a past membership never hides the present one
		}
		byID[key(m.DivisionID)] = o
	}
	if w.sp.DivisionsAsList {
		return list
	}
	return byID
}

func (w writer) division(d Division) object {
	return object{
		"id": w.id(d.ID), "name": w.text(d.Name), "parent_id": w.id(d.ParentID), "comment": w.text(d.Comment),
	}
}

// divisionStaff is the `staff` of get_division: who is in it and who was.
func (w writer) divisionStaff(id int64) object {
	work, ex := []any{}, []any{}
	for _, e := range w.s.visibleEmployees() {
		for _, m := range e.Memberships {
			if m.DivisionID != id {
				continue
			}
			o := object{
				"employee_id": w.id(e.ID), "position": w.text(m.Position), "date_add": w.instant(m.Added),
				"position_type": w.id(0), "date_out": w.instant(m.Left),
			}
			if m.Current {
				work = append(work, o)
			} else {
				ex = append(ex, o)
			}
		}
	}
	return object{"work": work, "ex": ex}
}
