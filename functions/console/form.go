package console

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/settings"
)

// colorNames are Calendar's names of the event colours 1 to 11, as keys of their texts.
var colorNames = [...]string{"lavender", "sage", "grape", "flamingo", "banana", "tangerine", "peacock", "graphite", "blueberry", "basil", "tomato"}

// otherSuffix ends the name of the input in which another number than those offered is typed.
const otherSuffix = "_other"

// colorPrefix begins the name of a task type's own colour field.
const colorPrefix = "color_"

// typed are the settings as an admin typed them: what cannot be read keeps its
// text, so that nothing typed is lost.
type typed struct {
	text map[string]string
	on   map[string]bool
	// roles and colors hold what was picked; rolesText and colorsText what was
	// written into the free fields.
	roles                 []calendarsync.RoleID
	colors                map[string]int
	rolesText, colorsText string
}

// typedFrom fills the form from settings.
func typedFrom(s calendarsync.Settings) typed {
	t := typed{
		text: map[string]string{
			"time_zone": s.TimeZone, "binding_field": strconv.FormatInt(int64(s.BindingField), 10),
			"calendar_id_field": strconv.FormatInt(int64(s.CalendarIDField), 10),
			"phone_field":       strconv.FormatInt(int64(s.PhoneField), 10),
			"backfill_hours":    strconv.Itoa(s.BackfillHours), "default_duration_minutes": strconv.Itoa(s.DefaultDurationMinutes),
			"calendar_name": s.CalendarName, "event_title": s.EventTitle, "event_description": s.EventDescription,
			"task_url": s.TaskURL, "language": s.Language, "delete_guard_percent": strconv.Itoa(s.DeleteGuardPercent),
		},
		on: map[string]bool{
			"enabled":             s.Enabled,
			"include_departments": s.IncludeDepartments, "midnight_is_all_day": s.MidnightIsAllDay,
		},
		roles: slices.Clone(s.ShownRoles), colors: maps.Clone(s.Colors),
	}
	for _, id := range slices.Sorted(maps.Keys(s.Colors)) {
		t.colorsText += fmt.Sprintf("%s = %d\n", id, s.Colors[id])
	}
	return t
}

// readForm reads a sent form over the settings before it: text fields that the
// form left out keep their value; a checkbox that is left out is off, because
// that is how browsers send it.
func readForm(v url.Values, before calendarsync.Settings) (typed, calendarsync.Settings, settings.Faults) {
	t, s := typedFrom(before), before
	var faults settings.Faults
	for name := range t.on {
		t.on[name] = v.Get(name) != ""
	}
	for name := range t.text {
		if v.Has(name) {
			t.text[name] = strings.ReplaceAll(v.Get(name), "\r\n", "\n")
		}
		// A field's number is chosen, or typed where no card shows it.
		if other := strings.TrimSpace(v.Get(name + otherSuffix)); other != "" {
			t.text[name] = other
		}
	}
	line := func(name string) string { return strings.TrimSpace(t.text[name]) }
	whole := func(name string) int {
		n, err := strconv.Atoi(line(name))
		if err != nil {
			faults = append(faults, settings.Fault{Field: name, Problem: "must be a whole number", Code: "whole"})
		}
		return n
	}
	s.Enabled = t.on["enabled"]
	s.IncludeDepartments, s.MidnightIsAllDay = t.on["include_departments"], t.on["midnight_is_all_day"]
	s.TimeZone, s.Language, s.TaskURL = line("time_zone"), line("language"), line("task_url")
	s.CalendarName, s.EventTitle, s.EventDescription = t.text["calendar_name"], t.text["event_title"], t.text["event_description"]
	s.BindingField, s.CalendarIDField = calendarsync.FieldID(whole("binding_field")), calendarsync.FieldID(whole("calendar_id_field"))
	s.PhoneField = calendarsync.FieldID(whole("phone_field"))
	s.BackfillHours, s.DefaultDurationMinutes = whole("backfill_hours"), whole("default_duration_minutes")
	s.DeleteGuardPercent = whole("delete_guard_percent")
	readRoles(v, &t, &s, &faults)
	readColors(v, &t, &s, &faults)
	// A field that could not even be read has its fault already.
	for _, f := range settings.Check(s) {
		if faults.Of(f.Field) == "" {
			faults = append(faults, f)
		}
	}
	return t, s, faults
}

func readRoles(v url.Values, t *typed, s *calendarsync.Settings, faults *settings.Faults) {
	t.roles, t.rolesText = nil, ""
	for _, part := range v["shown_roles"] {
		words := strings.FieldsFunc(part, func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
		for _, word := range words {
			id, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				t.rolesText = part
				*faults = append(*faults, settings.Fault{Field: "shown_roles", Problem: fmt.Sprintf("%q is not the number of a system role", word), Code: "role", Values: []any{"Typed", word}})
				continue
			}
			// Ticked and written as well is no mistake.
			if !slices.Contains(t.roles, calendarsync.RoleID(id)) {
				t.roles = append(t.roles, calendarsync.RoleID(id))
			}
		}
	}
	slices.Sort(t.roles)
	s.ShownRoles = slices.Clone(t.roles)
}

func readColors(v url.Values, t *typed, s *calendarsync.Settings, faults *settings.Faults) {
	bad := func(text string) {
		*faults = append(*faults, settings.Fault{Field: "colors", Problem: fmt.Sprintf("%q does not read like “12 = 11” (number of the task type = number of the colour)", text), Code: "color-line", Values: []any{"Typed", text}})
	}
	picked := false
	colors := map[string]int{}
	if v.Has("colors") {
		picked = true
		t.colorsText = strings.ReplaceAll(v.Get("colors"), "\r\n", "\n")
		for row := range strings.Lines(t.colorsText) {
			row = strings.TrimSpace(row)
			if row == "" {
				continue
			}
			kind, color, ok := strings.Cut(row, "=")
			n, err := strconv.Atoi(strings.TrimSpace(color))
			if !ok || err != nil {
				bad(row)
				continue
			}
			colors[strings.TrimSpace(kind)] = n
		}
	}
	for name := range v {
		kind, ok := strings.CutPrefix(name, colorPrefix)
		if !ok {
			continue
		}
		picked = true
		value := strings.TrimSpace(v.Get(name))
		if value == "" {
			delete(colors, kind)
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			bad(value)
			continue
		}
		colors[kind] = n
	}
	if picked {
		t.colors, s.Colors = colors, maps.Clone(colors)
	}
}

// label is a setting's name in the form; what is none is given as it is.
func label(t i18n.Texts, name string) string {
	if !t.Has("settings.label." + name) {
		return name
	}
	return t.T("settings.label." + name)
}

// differences lists where what was typed differs from what is saved.
func differences(t i18n.Texts, mine, theirs calendarsync.Settings) []difference {
	var out []difference
	a, b := typedFrom(mine), typedFrom(theirs)
	roles := func(ids []calendarsync.RoleID) string {
		var words []string
		for _, id := range ids {
			words = append(words, t.T("settings.role.number", "ID", id))
		}
		return strings.Join(words, ", ")
	}
	for _, name := range settings.Fields() {
		var x, y string
		switch name {
		case "shown_roles":
			x, y = roles(a.roles), roles(b.roles)
		case "binding_field", "calendar_id_field", "phone_field":
			x, y = fieldWords(t, name, a.text[name]), fieldWords(t, name, b.text[name])
		case "colors":
			x, y = colorWords(t, mine.Colors), colorWords(t, theirs.Colors)
		case "language":
			x, y = languageName(a.text[name]), languageName(b.text[name])
		default:
			if _, flag := a.on[name]; flag {
				x, y = onOff(t, a.on[name]), onOff(t, b.on[name])
			} else {
				x, y = a.text[name], b.text[name]
			}
		}
		if x != y {
			out = append(out, difference{Label: label(t, name), Mine: x, Theirs: y})
		}
	}
	return out
}

// colorWords lists colours by what they are for, without the names that the ERP gives.
func colorWords(t i18n.Texts, colors map[string]int) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(colors)) {
		kind, id := "number", key
		if n, is := strings.CutPrefix(key, calendarsync.ColorOfPriority); is {
			kind, id = "priority", n
		} else if n, is := strings.CutPrefix(key, calendarsync.ColorOfState); is {
			kind, id = "state-number", n
		}
		color := strconv.Itoa(colors[key])
		if n := colors[key]; n >= 1 && n <= len(colorNames) {
			color = t.T("settings.color." + colorNames[n-1])
		}
		lines = append(lines, t.T("settings.type."+kind, "ID", id)+" = "+color)
	}
	return strings.Join(lines, "\n")
}

func onOff(t i18n.Texts, on bool) string {
	if on {
		return t.T("settings.on")
	}
	return t.T("settings.off")
}

// difference is one setting's value here and there.
type difference struct{ Label, Mine, Theirs string }
