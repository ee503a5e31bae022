package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

type option struct {
	Value, Label string
	Chosen       bool
}

type roleChoice struct {
	ID      calendarsync.RoleID
	States  string
	Checked bool
}

type colorChoice struct {
	Type, Name string
	Color      int
	Options    []option
}

// field is one field of the form. Kind is the input's form: check, text, number,
// area, select, zone, roles or colors.
type field struct {
	Name, Label, Help, Kind string
	Min, Max                int
	Unit                    string

	Value   string
	On      bool
	Fault   string
	Options []option
	// Roles and Colors are to be picked from the catalogue, if it could be read.
	Roles  []roleChoice
	Colors []colorChoice
	ERP    bool // the catalogue could be read
}

// faultLine leads to a faulty field; Link is empty where the fault has none.
type faultLine struct{ Link, Label, Problem string }

type section struct {
	Title  string
	Fields []field
}

type settingsView struct {
	Version int64
	SavedBy string
	SavedAt stamp
	Flash   *notice
	// Faults lists what is wrong; NotSaved is set where that kept a form from being
	// saved, and not where what is stored is faulty.
	Faults   []faultLine
	NotSaved bool
	Sections []section
	// Stale is set when somebody else saved meanwhile; Differences tell where.
	Stale       bool
	Differences []difference
	ERP         bool
}

// sections is the form: every setting of functions/README.md, in the order of its use.
func sections() []section {
	const most = 1 << 31
	return []section{
		{"Running", []field{
			{Name: "enabled", Kind: "check", Label: "Sync calendars", Help: "Off pauses everything: nothing is written and nothing is deleted."},
			{Name: "confirmed", Kind: "check", Label: "I have checked these settings",
				Help: "Until this is ticked, erp-calendar only looks: it takes back calendars that it made before and shows what it finds, but makes, shares and deletes nothing. Tick it when the time zone, the roles and the checkbox field below are right."},
		}},
		{"What is shown", []field{
			{Name: "time_zone", Kind: "zone", Label: "Time zone of the ERP", Help: "The zone of the ERP's clock, such as Europe/Kyiv. All dates of tasks are read in it."},
			{Name: "shown_roles", Kind: "roles", Label: "System roles of the tasks to show", Help: "Usually the two roles that mean “Not completed” and “In progress”. A task leaves the calendar when its state has another role."},
			{Name: "include_departments", Kind: "check", Label: "Show tasks of the employee's departments, too", Help: "Otherwise only tasks that name the employee as executor."},
			{Name: "backfill_hours", Kind: "number", Label: "How far back a new calendar begins", Unit: "hours", Max: settings.MaxBackfillHours, Help: "Tasks scheduled earlier than this before the calendar was made do not enter it. A change concerns new calendars only."},
		}},
		{"Whose calendars", []field{
			{Name: "binding_field", Kind: "number", Label: "Number of the checkbox field", Max: most, Help: "The additional field of the employee's card that says who gets a calendar. 0: every working employee with an e-mail address."},
			{Name: "calendar_id_field", Kind: "number", Label: "Number of the field for the calendar's id", Max: most, Help: "The id is written into this additional field of the employee's card. 0: nowhere."},
		}},
		{"Events", []field{
			{Name: "default_duration_minutes", Kind: "number", Label: "Duration where the ERP says none", Unit: "minutes", Min: 1, Max: settings.MaxDurationMinutes},
			{Name: "midnight_is_all_day", Kind: "check", Label: "A task at 00:00 is an all-day event"},
			{Name: "calendar_name", Kind: "text", Label: "Name of a calendar", Help: "May contain {{.Employee.Name}} and {{.Employee.ID}}."},
			{Name: "event_title", Kind: "text", Label: "Title of an event", Help: "May contain .Task.ID, .Task.Type, .Task.State, .Task.Customer, .Task.Address, .Task.Description, .Task.Priority, .Task.URL, .Task.Executors and those above, each in double braces (Go text/template)."},
			{Name: "event_description", Kind: "area", Label: "Description of an event", Help: "The same; the link to the task is always at the end."},
			{Name: "task_url", Kind: "text", Label: "Address of a task in the ERP", Help: "{id} stands for the task's number. Older ERPs: …/oper/?core_section=task&action=show&id={id}"},
			{Name: "colors", Kind: "colors", Label: "Colours by type of task"},
			{Name: "language", Kind: "select", Label: "Language of the calendars' texts"},
		}},
		{"Safety", []field{
			{Name: "delete_guard_percent", Kind: "number", Label: "Hold deletions beyond", Unit: "per cent in 24 hours", Min: 1, Max: 100, Help: "If more than this share of the calendars or events would go within a day, the rest is held until you have looked."},
		}},
	}
}

// showSettings serves the form with what is in force.
func (h *handler) showSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		h.trouble(w, r, "read settings", err)
		return
	}
	t := typedFrom(saved.Settings)
	// Saving is what confirms (rule 4.7), so the first time it is ticked.
	t.on["confirmed"] = t.on["confirmed"] || saved.Version == 0
	v := settingsView{}
	switch r.URL.Query().Get("saved") {
	case "1":
		v.Flash = &notice{Level: "good", Title: "Saved.", Text: "The settings are in force everywhere within a minute; all calendars are being checked against them."}
	case "unqueued":
		v.Flash = &notice{Level: "warn", Title: "Saved, but the check of all calendars could not be queued.", Text: "Press “Check everything now” on the status page."}
	}
	h.form(w, r, http.StatusOK, s, saved, t, saved.Faults, v)
}

// saveSettings checks and stores a sent form.
func (h *handler) saveSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		h.trouble(w, r, "read settings", err)
		return
	}
	t, next, faults := readForm(r.PostForm, saved.Settings)
	in, err := h.Store.Installation(ctx)
	if err != nil {
		h.trouble(w, r, "read the installation", err)
		return
	}
	if in.Purge.Open() && next.Enabled {
		faults = append(faults, settings.Fault{Field: "enabled", Problem: "cannot be ticked while everything is being deleted; stop that on the status page first"})
	}
	seen, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil {
		seen = -1 // never a version, so the form is shown again as out of date
	}
	if len(faults) > 0 {
		// The version the admin saw stays, so that a later save is still compared.
		saved.Version = seen
		h.form(w, r, http.StatusUnprocessableEntity, s, saved, t, faults, settingsView{NotSaved: true})
		return
	}
	err = h.Settings.Save(ctx, next, s.Email, seen)
	if errors.Is(err, store.ErrStale) {
		// Read again: the other save may have come after the reading above.
		if saved, err = h.Settings.Saved(ctx); err == nil {
			h.form(w, r, http.StatusConflict, s, saved, t, nil, settingsView{Stale: true, Differences: differences(next, saved.Settings)})
			return
		}
	}
	if err != nil {
		h.trouble(w, r, "save settings", err)
		return
	}
	h.Log.InfoContext(r.Context(), "settings saved", "by", s.Sub, "version", seen+1, "enabled", next.Enabled, "confirmed", next.Confirmed)
	done := "1"
	publish, stop := context.WithTimeout(r.Context(), publishDeadline)
	defer stop()
	if err := h.Publisher.Publish(publish, h.cfg.EmployeeTopic, everybody()); err != nil {
		h.Log.ErrorContext(r.Context(), "the full run after saving settings could not be queued", "error", err)
		done = "unqueued"
	}
	h.redirect(w, h.console.URL("/settings", url.Values{"saved": {done}}))
}

// form shows the form with what was typed and the faults beside their fields.
func (h *handler) form(w http.ResponseWriter, r *http.Request, status int, s signin.Session, saved settings.Saved, t typed, faults settings.Faults, v settingsView) {
	ctx, cancel := context.WithTimeout(r.Context(), erpDeadline)
	defer cancel()
	catalogue, err := h.Catalogue.Catalogue(ctx)
	if err != nil {
		// The page says so, and numbers can be typed; half a catalogue would mislead.
		catalogue = calendarsync.Catalogue{}
		h.Log.WarnContext(r.Context(), "the ERP's catalogue could not be read for the settings page", "error", err)
	}
	v.ERP = err == nil
	v.Version, v.SavedBy, v.SavedAt = saved.Version, saved.By, h.locale(r, saved.Settings.TimeZone).stamp(saved.At)
	for _, f := range faults {
		line := faultLine{Label: label(f.Field), Problem: f.Problem}
		if slices.Contains(settings.Fields(), f.Field) {
			line.Link = "#field-" + f.Field
		}
		v.Faults = append(v.Faults, line)
	}
	v.Sections = sections()
	for i := range v.Sections {
		for j := range v.Sections[i].Fields {
			f := &v.Sections[i].Fields[j]
			f.Value, f.On, f.ERP = t.text[f.Name], t.on[f.Name], v.ERP
			f.Fault = faults.Of(f.Name)
			switch f.Kind {
			case "roles":
				f.Roles, f.Value = roleChoices(catalogue, t)
			case "colors":
				f.Colors, f.Value = colorChoices(catalogue, t), t.colorsText
			case "select":
				f.Options = languages(f.Value)
			}
		}
	}
	h.show(w, r, status, view{Page: "settings", Title: "Settings", Session: &s, Body: v})
}

// roleChoices lists the roles of the ERP's states, and in rest the roles chosen
// that no state has.
func roleChoices(c calendarsync.Catalogue, t typed) (choices []roleChoice, rest string) {
	states := map[calendarsync.RoleID][]string{}
	for _, s := range c.States {
		states[s.Role] = append(states[s.Role], s.Name)
	}
	for role, names := range states {
		slices.Sort(names)
		choices = append(choices, roleChoice{role, strings.Join(slices.Compact(names), ", "), slices.Contains(t.roles, role)})
	}
	slices.SortFunc(choices, func(a, b roleChoice) int { return cmp.Compare(a.ID, b.ID) })
	if t.rolesText != "" {
		return choices, t.rolesText
	}
	var other []string
	for _, r := range t.roles {
		if _, known := states[r]; !known {
			other = append(other, strconv.FormatInt(int64(r), 10))
		}
	}
	return choices, strings.Join(other, ", ")
}

// colorChoices lists the ERP's types of task, and those with a colour that the
// ERP no longer has.
func colorChoices(c calendarsync.Catalogue, t typed) []colorChoice {
	names := map[string]string{}
	for kind := range t.colors {
		names[kind] = "Type " + kind + " (not in the ERP)"
	}
	for id, one := range c.Types {
		names[strconv.FormatInt(int64(id), 10)] = cmp.Or(one.Name, "Type "+strconv.FormatInt(int64(id), 10))
	}
	var out []colorChoice
	for kind, name := range names {
		choice := colorChoice{Type: kind, Name: name, Color: t.colors[kind], Options: []option{{Value: "", Label: "Calendar's own colour", Chosen: t.colors[kind] == 0}}}
		for i, color := range colorNames {
			choice.Options = append(choice.Options, option{Value: strconv.Itoa(i + 1), Label: color, Chosen: t.colors[kind] == i+1})
		}
		out = append(out, choice)
	}
	slices.SortFunc(out, func(a, b colorChoice) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Type, b.Type))
	})
	return out
}

func languages(chosen string) []option {
	names := map[string]string{"en": "English", "uk": "Українська", "ru": "Русский"}
	var out []option
	for _, l := range settings.Languages() {
		out = append(out, option{Value: l, Label: names[l], Chosen: l == chosen})
	}
	return out
}
