// Package settings reads, checks and keeps what an admin decides
// (functions/README.md, Settings): strict JSON in, calendarsync.Settings out, with every
// fault named by its field. It must never guess a value that has no default: a
// missing time zone or role list is reported, and nothing is written until it is set.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// Fault is what is wrong with one field.
type Fault struct {
	// Field is the JSON name; empty where the document as a whole is wrong.
	Field string
	// Problem is a sentence for an admin, without the field's name.
	Problem string
	// Code names the problem, for a text in the reader's language, with Values in turn a name
	// and a value; "" where there is none.
	Code   string
	Values []any
}

// Faults are all faults of one reading, in the order of the form.
type Faults []Fault

// Error gives every fault in one line.
func (f Faults) Error() string {
	parts := make([]string, len(f))
	for i, fault := range f {
		parts[i] = fault.Problem
		if fault.Field != "" {
			parts[i] = fault.Field + ": " + fault.Problem
		}
	}
	return strings.Join(parts, "; ")
}

// Of gives the problem of a field, empty if it has none.
func (f Faults) Of(field string) string {
	for _, fault := range f {
		if fault.Field == field {
			return fault.Problem
		}
	}
	return ""
}

// FaultsOf gives the faults that err is made of.
func FaultsOf(err error) (Faults, bool) { return errors.AsType[Faults](err) }

func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// say names the latest problem, with names and values for its text.
func (f *Faults) say(code string, values ...any) {
	last := &(*f)[len(*f)-1]
	last.Code, last.Values = code, values
}

// reader stores one JSON value in the settings.
type reader func(s *calendarsync.Settings, raw json.RawMessage) error

func into[T any](field func(s *calendarsync.Settings) *T, form string) reader {
	return func(s *calendarsync.Settings, raw json.RawMessage) error {
		// encoding/json takes null for "leave it", which would hide a mistake.
		if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
			return errors.New("must be " + form + ", not null")
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return errors.New("must be " + form)
		}
		*field(s) = v
		return nil
	}
}

type set = calendarsync.Settings

// readers name the contract's fields in the order of the form.
func readers() map[string]reader {
	const flag, whole, text = "true or false", "a whole number", "a text"
	return map[string]reader{
		"enabled":                  into(func(s *set) *bool { return &s.Enabled }, flag),
		"confirmed":                into(func(s *set) *bool { return &s.Confirmed }, flag),
		"time_zone":                into(func(s *set) *string { return &s.TimeZone }, text),
		"shown_roles":              into(func(s *set) *[]calendarsync.RoleID { return &s.ShownRoles }, "a list of whole numbers"),
		"include_departments":      into(func(s *set) *bool { return &s.IncludeDepartments }, flag),
		"binding_field":            into(func(s *set) *calendarsync.FieldID { return &s.BindingField }, whole),
		"calendar_id_field":        into(func(s *set) *calendarsync.FieldID { return &s.CalendarIDField }, whole),
		"phone_field":              into(func(s *set) *calendarsync.FieldID { return &s.PhoneField }, whole),
		"backfill_hours":           into(func(s *set) *int { return &s.BackfillHours }, whole),
		"default_duration_minutes": into(func(s *set) *int { return &s.DefaultDurationMinutes }, whole),
		"midnight_is_all_day":      into(func(s *set) *bool { return &s.MidnightIsAllDay }, flag),
		"calendar_name":            into(func(s *set) *string { return &s.CalendarName }, text),
		"event_title":              into(func(s *set) *string { return &s.EventTitle }, text),
		"event_description":        into(func(s *set) *string { return &s.EventDescription }, text),
		"task_url":                 into(func(s *set) *string { return &s.TaskURL }, text),
		"colors":                   into(func(s *set) *map[string]int { return &s.Colors }, `an object such as {"3": 11}`),
		"language":                 into(func(s *set) *string { return &s.Language }, text),
		"delete_guard_percent":     into(func(s *set) *int { return &s.DeleteGuardPercent }, whole),
	}
}

// Fields lists the JSON names of all settings in the order of the form.
func Fields() []string {
	return []string{
		"enabled", "confirmed", "time_zone", "shown_roles", "include_departments",
		"binding_field", "calendar_id_field", "phone_field", "backfill_hours", "default_duration_minutes",
		"midnight_is_all_day", "calendar_name", "event_title", "event_description",
		"task_url", "colors", "language", "delete_guard_percent",
	}
}

// Parse reads a JSON document of settings over base, which gives the fields that
// the document leaves out. Unknown and repeated fields, wrong types and values
// out of range are faults, all reported at once as Faults. Required fields that
// neither names are no fault here: Missing lists them.
func Parse(data []byte, base calendarsync.Settings) (calendarsync.Settings, error) {
	s := clone(base)
	given, faults := object(data)
	known := readers()
	for name := range given {
		if known[name] == nil {
			faults.add(name, "is not a known setting")
		}
	}
	for name, read := range known {
		raw, ok := given[name]
		if !ok {
			continue
		}
		if err := read(&s, raw); err != nil {
			faults.add(name, "%s", err.Error())
		}
	}
	for _, f := range Check(s) {
		_, ok := given[f.Field]
		required := slices.Contains(Missing(s), f.Field)
		// A field of a wrong type has its fault already.
		if faults.Of(f.Field) == "" && (ok || !required) {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		order(faults)
		return base, faults
	}
	return s, nil
}

// order sorts faults as the form shows their fields.
func order(faults Faults) {
	fields := Fields()
	place := func(f Fault) int {
		if i := slices.Index(fields, f.Field); i >= 0 {
			return i
		}
		return len(fields)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		if c := place(a) - place(b); c != 0 {
			return c
		}
		return strings.Compare(a.Field, b.Field)
	})
}

// object takes a JSON object apart. encoding/json would let the last of two equal
// names win, so the names are read one by one.
func object(data []byte) (map[string]json.RawMessage, Faults) {
	given := map[string]json.RawMessage{}
	var faults Faults
	if len(bytes.TrimSpace(data)) == 0 {
		return given, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, Faults{{Problem: "the settings must be one JSON object"}}
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, Faults{{Problem: "the settings are not well-formed JSON"}}
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, Faults{{Problem: "the settings are not well-formed JSON"}}
		}
		key, _ := name.(string)
		if _, twice := given[key]; twice {
			faults.add(key, "is given twice")
		}
		given[key] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, Faults{{Problem: "the settings are not well-formed JSON"}}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Faults{{Problem: "there is something after the settings' JSON object"}}
	}
	return given, faults
}

// Encode writes all settings as one JSON document that Parse reads back.
func Encode(s calendarsync.Settings) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return data, nil
}

// clone copies what a reading must not share with its base.
func clone(s calendarsync.Settings) calendarsync.Settings {
	s.ShownRoles = slices.Clone(s.ShownRoles)
	s.Colors = maps.Clone(s.Colors)
	if s.Applied != nil {
		a := *s.Applied
		a.Employees, a.States = slices.Clone(a.Employees), slices.Clone(a.States)
		s.Applied = &a
	}
	return s
}
