package settings

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // rule 9.5: zones must be known on every host
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// The limits of the numbers.
const (
	MaxBackfillHours   = 8760 // a year
	MaxDurationMinutes = 7 * 24 * 60
	MaxColor           = 11 // Calendar's colorId of events
	maxTemplate        = 4000
)

// Languages lists the languages of the calendars' texts.
func Languages() []string { return []string{"en", "uk", "ru"} }

// Missing lists the required settings that are not set.
func Missing(s calendarsync.Settings) []string {
	var missing []string
	if s.TimeZone == "" {
		missing = append(missing, "time_zone")
	}
	if len(s.ShownRoles) == 0 {
		missing = append(missing, "shown_roles")
	}
	return missing
}

// Check gives every fault of complete settings; nil if there is none.
func Check(s calendarsync.Settings) Faults {
	var f Faults
	checkZone(&f, s.TimeZone)
	checkRoles(&f, s.ShownRoles)
	between := func(field string, v, least, most int, unit string) {
		if v < least || v > most {
			f.add(field, "must be between %d and %d%s", least, most, unit)
			f.say("between", "Least", strconv.Itoa(least), "Most", strconv.Itoa(most)) // as they are typed
		}
	}
	if s.BindingField < 0 {
		f.add("binding_field", "must be the number of a field, or 0 for none")
		f.say("field-number")
	}
	if s.CalendarIDField < 0 {
		f.add("calendar_id_field", "must be the number of a field, or 0 for none")
		f.say("field-number")
	}
	if s.PhoneField < 0 {
		f.add("phone_field", "must be the number of a field, or 0 for none")
		f.say("field-number")
	}
	if s.BindingField > 0 && s.BindingField == s.CalendarIDField {
		// Writing the id into the checkbox would tick or untick it.
		f.add("calendar_id_field", "must be another field than binding_field")
		f.say("same-field")
	}
	between("backfill_hours", s.BackfillHours, 0, MaxBackfillHours, " hours")
	between("default_duration_minutes", s.DefaultDurationMinutes, 1, MaxDurationMinutes, " minutes")
	checkTemplates(&f, s)
	checkTaskURL(&f, s.TaskURL)
	checkColors(&f, s.Colors)
	if !slices.Contains(Languages(), s.Language) {
		f.add("language", "must be one of %s", strings.Join(Languages(), ", "))
		f.say("language", "Languages", strings.Join(Languages(), ", "))
	}
	between("delete_guard_percent", s.DeleteGuardPercent, 1, 100, " per cent")
	return f
}

// The forms in which text/template says what is wrong.
var (
	unknownField    = regexp.MustCompile(`can't evaluate field (\w+)`)
	unknownFunction = regexp.MustCompile(`function "(\w+)" not defined`)
	sayingNothing   = regexp.MustCompile(`gives an empty text`)
)

// templateFault names what is wrong with a template in terms of what was typed.
func templateFault(err error) (code, name, value string) {
	text := err.Error()
	if m := unknownField.FindStringSubmatch(text); m != nil {
		return "template-field", "Typed", m[1]
	}
	if m := unknownFunction.FindStringSubmatch(text); m != nil {
		return "template-word", "Typed", m[1]
	}
	if sayingNothing.MatchString(text) {
		return "template-empty", "Typed", ""
	}
	return "template", "Detail", text[strings.LastIndex(text, ": ")+1:]
}

func checkColors(f *Faults, colors map[string]int) {
	for _, key := range slices.Sorted(maps.Keys(colors)) {
		number, what, least := key, "task type", int64(1)
		if n, is := strings.CutPrefix(key, calendarsync.ColorOfState); is {
			number, what, least = n, "state", 0
		} else if n, is := strings.CutPrefix(key, calendarsync.ColorOfPriority); is {
			number, what, least = n, "priority", 0
		}
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || id < least || strconv.FormatInt(id, 10) != number {
			f.add("colors", "%q is not the number of a task type, nor %s or %s with a number", key, calendarsync.ColorOfState, calendarsync.ColorOfPriority)
			f.say("color-type", "Typed", key)
		} else if c := colors[key]; c < 1 || c > MaxColor {
			f.add("colors", "%s %s: the colour must be between 1 and %d", what, number, MaxColor)
			f.say("color", "Type", key, "Most", MaxColor)
		}
	}
}

func checkZone(f *Faults, zone string) {
	switch {
	case zone == "":
		f.add("time_zone", "must be set to the ERP's time zone, such as Europe/Kyiv")
		f.say("zone-missing")
	case strings.EqualFold(zone, "local"):
		// time.LoadLocation takes this for the host's own zone.
		f.add("time_zone", "must be the name of a zone, such as Europe/Kyiv, not the machine's own")
		f.say("zone")
	default:
		if _, err := time.LoadLocation(zone); err != nil {
			f.add("time_zone", "is not the name of a time zone (they look like Europe/Kyiv)")
			f.say("zone")
		}
	}
}

func checkRoles(f *Faults, roles []calendarsync.RoleID) {
	if len(roles) == 0 {
		f.add("shown_roles", "must name at least one system role")
		f.say("role-missing")
	}
	seen := map[calendarsync.RoleID]bool{}
	for _, r := range roles {
		switch {
		case r < 0:
			f.add("shown_roles", "%d is not the number of a system role", r)
			f.say("role", "Typed", r)
		case seen[r]:
			f.add("shown_roles", "%d is named twice", r)
			f.say("role-twice", "Typed", r)
		}
		seen[r] = true
	}
}

func checkTaskURL(f *Faults, address string) {
	if address == "" {
		// Only Source knows ERP_URL, which the default is made of.
		return
	}
	u, err := url.Parse(strings.ReplaceAll(address, "{id}", "1"))
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil,
		strings.ContainsFunc(address, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		f.add("task_url", "must be a full address that starts with https:// or http://")
		f.say("address")
	case !strings.Contains(address, "{id}"):
		f.add("task_url", "must contain {id}, where the task's number goes")
		f.say("address-id")
	}
}

// checkTemplates runs each template on a sample by itself, so that a fault is
// reported at its own field.
func checkTemplates(f *Faults, s calendarsync.Settings) {
	for _, one := range []struct {
		field, text string
		put         func(t *calendarsync.Settings)
	}{
		{"calendar_name", s.CalendarName, func(t *calendarsync.Settings) { t.CalendarName = s.CalendarName }},
		{"event_title", s.EventTitle, func(t *calendarsync.Settings) { t.EventTitle = s.EventTitle }},
		{"event_description", s.EventDescription, func(t *calendarsync.Settings) { t.EventDescription = s.EventDescription }},
	} {
		if len(one.text) > maxTemplate {
			f.add(one.field, "is longer than %d characters", maxTemplate)
			f.say("long", "Most", maxTemplate)
			continue
		}
		sample := calendarsync.DefaultSettings()
		sample.TaskURL, sample.TimeZone, sample.Language = "https://erp.example/task/{id}", "UTC", "en"
		one.put(&sample)
		if err := calendarsync.CheckTemplates(sample); err != nil {
			// The field's name stands before it already.
			f.add(one.field, "%s", strings.TrimPrefix(err.Error(), one.field+": "))
			code, name, value := templateFault(err)
			f.say(code, name, value)
		}
	}
}
