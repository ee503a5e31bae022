package checkup

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// EmployeeChecks are those of the ERP's employees.
func (s *Subject) EmployeeChecks() []Check {
	return []Check{
		s.check("employees.read", "employees", s.checkCards).needs("erp.section.employee").within(130 * time.Second),
		s.check("employees.fields", "employees", s.checkFields).needs("employees.read").after("settings.read"),
		s.check("employees.calendars", "employees", s.checkCalendars).needs("employees.read", "settings.read"),
	}
}

func (s *Subject) checkCards(ctx context.Context) Verdict {
	readings, captions, err := s.ERP.EmployeeCards(ctx, userside.NobodyKnown)
	if errors.Is(err, userside.ErrNobody) {
		return s.bad("employees.read.nobody")
	}
	if err != nil {
		return s.failed("employees.read.unread", err)
	}
	s.readings, s.captions = readings, captions
	var odd []string
	for _, id := range slices.Sorted(maps.Keys(readings)) {
		if r := readings[id]; r.Invalid != nil {
			odd = append(odd, s.Texts.T("people.unnamed", "ID", id)+": "+DetailOf(r.Invalid))
		}
	}
	everybody := s.Texts.N("count.employees", len(readings))
	if len(odd) > 0 {
		v := s.warn("employees.read.odd", "Employees", everybody, "Odd", len(odd))
		v.Details = odd
		return v
	}
	return s.good("employees.read.good", "Employees", everybody)
}

// field is an additional field of the employees' cards: what kind of values it
// holds, and never one of them.
type field struct {
	ID      int64  `json:"id"`
	Caption string `json:"caption,omitempty"`
	Kind    kind   `json:"kind"`
	// Cards have the field, Filled ones with something in it.
	Cards  int    `json:"cards"`
	Filled int    `json:"filled"`
	Use    string `json:"use,omitempty"`
}

// kind is what a field's values look like.
type kind string

const (
	kindEmpty    kind = "always empty"
	kindCheckbox kind = "checkbox"
	kindCalendar kind = "calendar ids"
	kindNumber   kind = "numbers"
	kindText     kind = "text"
)

// words is the kind for people.
func (s *Subject) words(k kind) string {
	return s.Texts.T("doctor.employees.fields.kind." + map[kind]string{
		kindEmpty: "empty", kindCheckbox: "checkbox", kindCalendar: "calendar", kindNumber: "number", kindText: "letters"}[k])
}

// kindOf tells what a value looks like.
func kindOf(value string) kind {
	switch value = strings.ToLower(strings.TrimSpace(value)); {
	case value == "":
		return kindEmpty
	case slices.Contains([]string{"0", "1", "true", "false", "yes", "no", "on", "off"}, value):
		return kindCheckbox
	case strings.HasSuffix(value, "@group.calendar.google.com"):
		return kindCalendar
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return kindNumber
	}
	return kindText
}

// merged is the kind of a field that holds values of both kinds.
func merged(a, b kind) kind {
	numeric := func(k kind) bool { return k == kindCheckbox || k == kindNumber }
	switch {
	case a == b, b == kindEmpty:
		return a
	case a == kindEmpty:
		return b
	case numeric(a) && numeric(b):
		return kindNumber
	}
	return kindText
}

// fieldsSeen sums up the additional fields of all cards.
func (s *Subject) fieldsSeen() []field {
	seen := map[calendarsync.FieldID]*field{}
	for _, r := range s.readings {
		if r.Employee == nil {
			continue
		}
		values, _ := r.Employee.Fields.Get()
		for id, value := range values {
			f := seen[id]
			if f == nil {
				f = &field{ID: int64(id), Caption: s.captions[id], Kind: kindEmpty}
				seen[id] = f
			}
			f.Cards++
			k := kindOf(value)
			f.Kind = merged(f.Kind, k)
			if k != kindEmpty {
				f.Filled++
			}
		}
	}
	out := []field{}
	for id, f := range seen {
		switch id {
		case s.Settings.BindingField:
			f.Use = "binding_field"
		case s.Settings.CalendarIDField:
			f.Use = "calendar_id_field"
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b field) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (s *Subject) fieldLine(f field) string {
	key := "line"
	if f.Caption != "" {
		key = "named"
	}
	line := s.Texts.T("doctor.employees.fields."+key, "ID", f.ID, "Caption", f.Caption, "Kind", s.words(f.Kind), "Cards", f.Cards, "Filled", f.Filled)
	if f.Use != "" {
		line += "   (" + f.Use + ")"
	}
	return line
}

func (s *Subject) checkFields(context.Context) Verdict {
	fields := s.fieldsSeen()
	v := s.judgeFields(fields)
	for _, f := range fields {
		v.Details = append(v.Details, s.fieldLine(f))
	}
	v.Data = map[string]any{"fields": fields}
	return v
}

func (s *Subject) judgeFields(fields []field) Verdict {
	find := func(use string) *field {
		i := slices.IndexFunc(fields, func(f field) bool { return f.Use == use })
		if i < 0 {
			return nil
		}
		return &fields[i]
	}
	binding, calendar := find("binding_field"), find("calendar_id_field")
	switch in := s.Settings; {
	case in.BindingField != 0 && binding == nil:
		return s.bad("employees.fields.gone", "Field", in.BindingField)
	case binding != nil && binding.Kind != kindCheckbox && binding.Kind != kindEmpty:
		return s.warn("employees.fields.no-box", "Field", in.BindingField, "Kind", s.words(binding.Kind))
	case in.CalendarIDField != 0 && calendar == nil:
		return s.warn("employees.fields.unseen", "Field", in.CalendarIDField)
	case calendar != nil && calendar.Kind != kindCalendar && calendar.Kind != kindEmpty:
		return s.warn("employees.fields.taken", "Field", in.CalendarIDField, "Kind", s.words(calendar.Kind))
	case in.BindingField != 0:
		return s.good("employees.fields.bound", "Fields", len(fields), "Field", in.BindingField)
	}
	return s.good("employees.fields.good", "Fields", len(fields))
}

// people is who would get a calendar.
type people struct {
	keep, sharing int
	own           bool // one of them has the central account's address
	reasons       map[calendarsync.Reason]int
}

func (s *Subject) people() people {
	p := people{reasons: map[calendarsync.Reason]int{}}
	addresses := map[string]int{}
	for _, reading := range s.readings {
		decision, reason := calendarsync.DecideEmployee(s.Settings, reading, false)
		if decision != calendarsync.Keep {
			p.reasons[reason]++
			continue
		}
		p.keep++
		address := reading.Employee.Email.Or("")
		addresses[strings.ToLower(strings.TrimSpace(address))]++
		p.own = p.own || signin.SameAddress(address, s.Expected())
	}
	for _, n := range addresses {
		if n > 1 {
			p.sharing += n
		}
	}
	return p
}

func (s *Subject) checkCalendars(context.Context) Verdict {
	p := s.people()
	values := []any{"Keep", p.keep, "Employees", s.Texts.N("count.employees", len(s.readings)), "Sharing", p.sharing, "Field", s.Settings.BindingField}
	v := s.good("employees.calendars.good", values...)
	switch {
	case p.keep == 0 && p.reasons[calendarsync.ReasonUnbound] > 0:
		v = s.bad("employees.calendars.unticked", values...)
	case p.keep == 0:
		v = s.bad("employees.calendars.nobody", values...)
	case p.own:
		v = s.warn("employees.calendars.own", values...)
	case p.sharing > 0:
		v = s.warn("employees.calendars.sharing", values...)
	}
	without := map[string]int{}
	for _, r := range slices.Sorted(maps.Keys(p.reasons)) {
		without[string(r)] = p.reasons[r]
		line := strconv.Itoa(p.reasons[r]) + " " + string(r)
		if s.Texts.Has("doctor.employees.without." + string(r)) {
			line = s.Texts.T("doctor.employees.without."+string(r), "N", p.reasons[r])
		}
		v.Details = append(v.Details, line)
	}
	v.Data = map[string]any{"employees": len(s.readings), "with_calendar": p.keep, "sharing_an_address": p.sharing, "without_by_reason": without}
	return v
}
