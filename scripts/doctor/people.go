package main

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

func (d *doctor) employeeChecks() []check {
	return []check{
		{id: "employees.read", group: groupEmployees, title: "employees", needs: []string{"erp.section.employee"}, within: 130 * time.Second, run: d.checkCards},
		{id: "employees.fields", group: groupEmployees, title: "fields of the cards", needs: []string{"employees.read"}, after: []string{"settings.read"}, run: d.checkFields},
		{id: "employees.calendars", group: groupEmployees, title: "calendars to be", needs: []string{"employees.read", "settings.read"}, after: []string{"env.admins"}, run: d.checkPeople},
	}
}

func (d *doctor) checkCards(ctx context.Context) verdict {
	readings, captions, err := d.erp.EmployeeCards(ctx, nil)
	if errors.Is(err, userside.ErrNobody) {
		return bad("Look into the ERP: either nobody works there, or the API key may not see employees.", "the ERP shows no employee at all")
	}
	if err != nil {
		return bad("Ask the ERP for cat=employee&action=get_data by hand and see what it answers.", "the employees could not be read: %s", detailOf(err))
	}
	d.readings, d.captions = readings, captions
	var odd []string
	for _, id := range slices.Sorted(maps.Keys(readings)) {
		if r := readings[id]; r.Invalid != nil {
			odd = append(odd, "employee "+itoa(int64(id))+": "+detailOf(r.Invalid))
		}
	}
	if len(odd) > 0 {
		v := warn("Look at these cards in the ERP. Such an employee's calendar is left as it is.",
			"%s, of which %d cannot be understood", plural(len(readings), "employee", "employees"), len(odd))
		v.Details = odd
		return v
	}
	return ok("%s, all understood", plural(len(readings), "employee", "employees"))
}

// field is an additional field of the employees' cards: what kind of values it
// holds, and never one of them.
type field struct {
	ID      int64  `json:"id"`
	Caption string `json:"caption,omitempty"`
	Kind    string `json:"kind"`
	// Cards have the field, Filled ones with something in it.
	Cards  int    `json:"cards"`
	Filled int    `json:"filled"`
	Use    string `json:"use,omitempty"`
}

const (
	kindEmpty    = "always empty"
	kindCheckbox = "checkbox"
	kindCalendar = "calendar ids"
	kindNumber   = "numbers"
	kindText     = "text"
)

// kindOf tells what a value looks like.
func kindOf(value string) string {
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

// fieldsSeen sums up the additional fields of all cards.
func (d *doctor) fieldsSeen() []field {
	seen := map[calendarsync.FieldID]*field{}
	for _, r := range d.readings {
		if r.Employee == nil {
			continue
		}
		values, _ := r.Employee.Fields.Get()
		for id, value := range values {
			f := seen[id]
			if f == nil {
				f = &field{ID: int64(id), Caption: d.captions[id], Kind: kindEmpty}
				seen[id] = f
			}
			f.Cards++
			kind := kindOf(value)
			if kind == kindEmpty {
				continue
			}
			f.Filled++
			switch {
			case f.Kind == kindEmpty:
				f.Kind = kind
			case f.Kind != kind && slices.Contains([]string{kindCheckbox, kindNumber}, f.Kind) && slices.Contains([]string{kindCheckbox, kindNumber}, kind):
				f.Kind = kindNumber
			case f.Kind != kind:
				f.Kind = kindText
			}
		}
	}
	var out []field
	for id, f := range seen {
		switch id {
		case d.settings.BindingField:
			f.Use = "binding_field"
		case d.settings.CalendarIDField:
			f.Use = "calendar_id_field"
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b field) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (f field) line() string {
	s := "field " + itoa(f.ID)
	if f.Caption != "" {
		s += " “" + f.Caption + "”"
	}
	s += ": " + f.Kind + ", on " + plural(f.Cards, "card", "cards") + ", filled on " + itoa(f.Filled)
	if f.Use != "" {
		s += "   (" + f.Use + ")"
	}
	return s
}

func (d *doctor) checkFields(context.Context) verdict {
	fields := d.fieldsSeen()
	find := func(use string) *field {
		i := slices.IndexFunc(fields, func(f field) bool { return f.Use == use })
		if i < 0 {
			return nil
		}
		return &fields[i]
	}
	binding, calendar := find("binding_field"), find("calendar_id_field")
	v := ok("%s on the employees' cards", plural(len(fields), "additional field", "additional fields"))
	switch s := d.settings; {
	case s.BindingField != 0 && binding == nil:
		v = bad("Choose a checkbox of those listed at the console's page /settings, or make one in the ERP for employees' cards. With binding_field 0 everybody who works and has an address gets a calendar.",
			"no card has field %d, which binding_field names: nobody is bound", s.BindingField)
	case binding != nil && binding.Kind != kindCheckbox && binding.Kind != kindEmpty:
		v = warn("Choose a checkbox as binding_field. Everything but empty, 0, false, no and off counts as ticked.",
			"field %d, which binding_field names, holds %s and does not look like a checkbox", s.BindingField, binding.Kind)
	case s.CalendarIDField != 0 && calendar == nil:
		v = warn("See in the ERP that field "+itoa(int64(s.CalendarIDField))+" is a text field of the employees' cards; some ERPs leave empty fields out of their answers, then all is well.",
			"no card shows field %d, which calendar_id_field names", s.CalendarIDField)
	case calendar != nil && calendar.Kind != kindCalendar && calendar.Kind != kindEmpty:
		v = warn("Choose a text field of its own as calendar_id_field, or 0: what stands in it is overwritten.",
			"field %d, which calendar_id_field names, holds %s that are no calendar ids", s.CalendarIDField, calendar.Kind)
	case s.BindingField != 0:
		v = ok("%s; binding_field %d is among them", plural(len(fields), "additional field", "additional fields"), s.BindingField)
	}
	for _, f := range fields {
		v.Details = append(v.Details, f.line())
	}
	if fields == nil {
		fields = []field{}
	}
	v.Data = map[string]any{"fields": fields}
	return v
}

// reasonWords continue a number of employees.
func reasonWords(r calendarsync.Reason) string {
	switch r {
	case calendarsync.ReasonDismissed:
		return "dismissed (is_work = 0)"
	case calendarsync.ReasonNoAddress:
		return "without an e-mail address on the card"
	case calendarsync.ReasonInvalidAddress:
		return "with an e-mail address that is not valid"
	case calendarsync.ReasonUnbound:
		return "without a tick in the checkbox that binding_field names"
	case calendarsync.ReasonBindingMissing:
		return "whose card lacks the field that binding_field names"
	case calendarsync.ReasonAddressMissing:
		return "whose card came without the e-mail field"
	case calendarsync.ReasonWorkMissing:
		return "whose card came without is_work, so that nobody knows whether they work there"
	case calendarsync.ReasonInvalid:
		return "with a card that cannot be understood"
	}
	return string(r)
}

func (d *doctor) checkPeople(context.Context) verdict {
	reasons := map[calendarsync.Reason]int{}
	addresses := map[string]int{}
	keep, own := 0, false
	for _, reading := range d.readings {
		decision, reason := calendarsync.DecideEmployee(d.settings, reading, false)
		if decision != calendarsync.Keep {
			reasons[reason]++
			continue
		}
		keep++
		address := reading.Employee.Email.Or("")
		addresses[strings.ToLower(strings.TrimSpace(address))]++
		own = own || signin.SameAddress(address, d.env.admins.IntegrationAccount)
	}
	shared := 0
	for _, n := range addresses {
		if n > 1 {
			shared += n
		}
	}
	without := map[string]int{}
	var lines []string
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		without[string(r)] = reasons[r]
		lines = append(lines, itoa(reasons[r])+" "+reasonWords(r))
	}
	v := ok("%d of %s would get a calendar", keep, plural(len(d.readings), "employee", "employees"))
	switch {
	case keep == 0 && reasons[calendarsync.ReasonUnbound] > 0:
		v = bad("Tick field "+itoa(int64(d.settings.BindingField))+" on the card of each employee who is to get a calendar, and see that the card has an e-mail address.",
			"nobody would get a calendar")
	case keep == 0:
		v = bad("See the reasons; mend the cards in the ERP, or binding_field at the console's page /settings.", "nobody would get a calendar")
	case own:
		v = warn("Give that employee an address of their own: the account that owns the calendars cannot be invited to one.",
			"%s; one of them has the central account's own address", v.Text)
	case shared > 0:
		v = warn("See in the ERP that each has an address of their own; otherwise both calendars are shared with the same person.",
			"%s; %d of them share an address with another", v.Text, shared)
	}
	v.Details = lines
	v.Data = map[string]any{"employees": len(d.readings), "with_calendar": keep, "sharing_an_address": shared, "without_by_reason": without}
	return v
}
