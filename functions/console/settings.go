package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

type option struct {
	Value, Label string
	Chosen       bool
}

type roleChoice struct {
	ID      calendarsync.RoleID
	Name    string
	States  string
	Checked bool
}

type colorChoice struct {
	Type, Name string
	Color      int
	Options    []option
}

// field is one field of the form. Kind is the input's form: check, text, number, area,
// select, zone, roles, colors or cards, which is a field of employees' cards.
type field struct {
	Name, Kind        string
	Label, Help, Unit string
	Min, Max          int
	// Inserts are what a template may contain, each a button beside it.
	Inserts []insert

	Value   string
	On      bool
	Fault   string
	Note    string // what the ERP says to it
	Options []option
	// Roles and Colors are to be picked from the catalogue, if it could be read.
	Roles  []roleChoice
	Colors []colorChoice
	ERP    bool // the ERP could be read
}

// insert is a field of templates, and what it is called.
type insert struct{ Code, Label string }

// faultLine leads to a faulty field; Link is empty where the fault has none.
type faultLine struct{ Link, Label, Problem string }

type section struct {
	ID, Title string
	Fields    []field
}

type settingsView struct {
	Version int64
	SavedBy string
	SavedAt stamp
	// Faults lists what is wrong; NotSaved is set where that kept a form from being
	// saved, and not where what is stored is faulty.
	Faults   []faultLine
	NotSaved bool
	Sections []section
	// Stale is set when somebody else saved meanwhile; Differences tell where.
	Stale       bool
	Differences []difference
	ERP         bool
	Preview     *preview
}

// sections is the form: every setting of functions/README.md, by what it is about.
func sections() []section {
	const most = 1 << 31
	return []section{
		{ID: "running", Fields: []field{
			{Name: "enabled", Kind: "check"},
			{Name: "language", Kind: "select"},
		}},
		{ID: "people", Fields: []field{
			{Name: "binding_field", Kind: "cards", Max: most},
			{Name: "calendar_name", Kind: "text", Inserts: inserts("Employee.Name", "Employee.ID")},
			{Name: "calendar_id_field", Kind: "cards", Max: most},
		}},
		{ID: "shown", Fields: []field{
			{Name: "shown_roles", Kind: "roles"},
			{Name: "include_departments", Kind: "check"},
			{Name: "time_zone", Kind: "zone"},
			{Name: "backfill_hours", Kind: "number", Unit: "hours", Max: settings.MaxBackfillHours},
		}},
		{ID: "events", Fields: []field{
			{Name: "event_title", Kind: "text", Inserts: inserts(taskFields()...)},
			{Name: "event_description", Kind: "area", Inserts: inserts(taskFields()...)},
			{Name: "phone_field", Kind: "number", Max: most},
			{Name: "default_duration_minutes", Kind: "number", Unit: "minutes", Min: 1, Max: settings.MaxDurationMinutes},
			{Name: "midnight_is_all_day", Kind: "check"},
			{Name: "colors", Kind: "colors"},
			{Name: "task_url", Kind: "text"},
		}},
		{ID: "safety", Fields: []field{
			{Name: "delete_guard_percent", Kind: "number", Unit: "percent", Min: 1, Max: 100},
		}},
	}
}

// taskFields are what the texts of an event may contain.
func taskFields() []string {
	return []string{"Task.Type", "Task.Address", "Task.Customer", "Task.Description", "Task.State", "Task.ID", "Task.Priority",
		"Task.Executors", "Task.Division", "Task.Phone", "Task.Comment", "Task.URL", "Employee.Name"}
}

// inserts makes buttons of fields; put names them.
func inserts(fields ...string) []insert {
	out := make([]insert, len(fields))
	for i, f := range fields {
		out[i].Code = "." + f
	}
	return out
}

// knownERP is what the ERP says, for an admin to pick from and for a plan.
type knownERP struct {
	catalogue calendarsync.Catalogue
	cards     map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	fields    []plan.Field
	clock     userside.Clock
	err       error // why it could not be read; then the rest is empty
}

// readERP asks the ERP for what the settings are about. A page that is only looked at does not
// wait long; one on which something is saved does.
func (h *handler) readERP(r *http.Request) knownERP {
	deadline := erpDeadline
	if r.Method == http.MethodPost {
		deadline = planERPDeadline
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	var k knownERP
	var captions map[calendarsync.FieldID]string
	g, each := errgroup.WithContext(ctx)
	g.Go(func() (err error) { k.catalogue, err = h.ERP.Catalogue(each); return err })
	g.Go(func() (err error) { k.cards, captions, err = h.ERP.EmployeeCards(each, h.knownEmployees); return err })
	g.Go(func() (err error) { k.clock, err = h.ERP.Clock(each); return err })
	if err := g.Wait(); err != nil {
		// The page says so, and numbers can be typed; half an ERP would mislead.
		h.Log.WarnContext(ctx, "the ERP could not be read for the settings page", "error", err)
		return knownERP{err: err}
	}
	k.fields = plan.Fields(k.cards, captions)
	return k
}

// knownEmployees are those with a record. Only where one bad card spoils the ERP's list of
// everybody are they asked for by their numbers (rule 8.9).
func (h *handler) knownEmployees(ctx context.Context) ([]calendarsync.EmployeeID, error) {
	records, err := h.Store.Employees(ctx)
	ids := make([]calendarsync.EmployeeID, len(records))
	for i, r := range records {
		ids[i] = calendarsync.EmployeeID(r.ID)
	}
	return ids, err
}

// saved reads the settings with what is known of them; ok is false where the page of a fault was
// served.
func (h *handler) saved(w http.ResponseWriter, r *http.Request) (saved settings.Saved, ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		h.trouble(w, r, "read settings", err)
	}
	return saved, err == nil
}

// showSettings serves the form with what is in force.
func (h *handler) showSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	h.form(w, r, http.StatusOK, s, saved, typedFrom(saved.Settings), saved.Faults, h.readERP(r), settingsView{})
}

// saveSettings checks a sent form, and shows what saving it would do where that changes
// anything that exists (rule 4.14).
func (h *handler) saveSettings(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	t, next, faults := readForm(r.PostForm, saved.Settings)
	in, err := h.Store.Installation(ctx)
	if err != nil {
		h.trouble(w, r, "read the installation", err)
		return
	}
	if in.Purge.Open() && next.Enabled {
		faults = append(faults, settings.Fault{Field: "enabled", Problem: "cannot be ticked while everything is being deleted; stop that first", Code: "purging"})
	}
	seen, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil {
		seen = -1 // never a version, so the form is shown again as out of date
	}
	erp := h.readERP(r)
	again := func(status int, faults settings.Faults, v settingsView) {
		h.form(w, r, status, s, saved, t, faults, erp, v)
	}
	switch {
	case r.PostForm.Has("preview"):
		saved.Version = seen
		v := settingsView{NotSaved: len(faults) > 0}
		if len(faults) == 0 {
			v.Preview = h.preview(r.Context(), h.locale(r, next.TimeZone), next, erp)
		}
		again(http.StatusOK, faults, v)
		return
	case len(faults) > 0:
		// The version the admin saw stays, so that a later save is still compared.
		saved.Version = seen
		again(http.StatusUnprocessableEntity, faults, settingsView{NotSaved: true})
		return
	case seen != saved.Version:
		again(http.StatusConflict, nil, settingsView{Stale: true, Differences: differences(h.texts(r), next, saved.Settings)})
		return
	}
	if faults = checkAgainstERP(saved, next, erp); len(faults) > 0 {
		again(http.StatusUnprocessableEntity, faults, settingsView{NotSaved: true})
		return
	}
	h.propose(w, r, s, proposal{by: signin.Hash(s.Sub), saved: saved, next: next, erp: erp})
}

// form shows the form with what was typed and the faults beside their fields.
func (h *handler) form(w http.ResponseWriter, r *http.Request, status int, s signin.Session, saved settings.Saved, t typed, faults settings.Faults, erp knownERP, v settingsView) {
	c := h.locale(r, saved.Settings.TimeZone)
	v.ERP = erp.err == nil
	v.Version, v.SavedBy, v.SavedAt = saved.Version, saved.By, c.stamp(saved.At)
	for _, f := range faults {
		line := faultLine{Label: label(c.Texts, f.Field), Problem: problem(c.Texts, f)}
		if slices.Contains(settings.Fields(), f.Field) {
			line.Link = "#field-" + f.Field
		}
		v.Faults = append(v.Faults, line)
	}
	v.Sections = sections()
	for i := range v.Sections {
		v.Sections[i].Title = c.T("settings.section." + v.Sections[i].ID)
		for j := range v.Sections[i].Fields {
			f := &v.Sections[i].Fields[j]
			f.put(c, t, erp)
			if fault := slices.IndexFunc(faults, func(x settings.Fault) bool { return x.Field == f.Name }); fault >= 0 {
				f.Fault = problem(c.Texts, faults[fault])
			}
		}
	}
	h.show(w, r, status, view{Page: "settings", Title: c.T("settings.title"), Session: &s, Body: v})
}

// put fills a field in with what was typed and what the ERP has to choose from.
func (f *field) put(c locale, t typed, erp knownERP) {
	f.Label = label(c.Texts, f.Name)
	if c.Has("settings.help." + f.Name) {
		f.Help = c.T("settings.help." + f.Name)
	}
	if f.Unit != "" {
		f.Unit = c.T("settings.unit." + f.Unit)
	}
	for i := range f.Inserts {
		f.Inserts[i].Label = c.T("insert." + strings.ToLower(strings.ReplaceAll(f.Inserts[i].Code[1:], ".", "-")))
	}
	f.Value, f.On, f.ERP = t.text[f.Name], t.on[f.Name], erp.err == nil
	switch f.Kind {
	case "roles":
		f.Roles, f.Value = roleChoices(c.Texts, erp.catalogue, t)
	case "colors":
		f.Colors, f.Value = colorChoices(c.Texts, erp.catalogue, t), t.colorsText
	case "select":
		f.Options = languages(f.Value)
	case "cards":
		f.Options = cardChoices(c.Texts, f.Name, erp, f.Value)
	case "zone":
		f.Note = clockWords(c, erp, f.Value)
	}
}

// problem puts a fault into the reader's language.
func problem(t i18n.Texts, f settings.Fault) string {
	if f.Code != "" && t.Has("fault."+f.Code) {
		return t.T("fault."+f.Code, f.Values...)
	}
	return f.Problem
}

// clockWords compares the ERP's clock with a zone.
func clockWords(c locale, erp knownERP, zone string) string {
	if erp.err != nil {
		return ""
	}
	in := erp.clock.Local.Wall.Format(c.day() + " 15:04")
	apart, known := clockApart(erp.clock, zone)
	switch {
	case !known:
		return c.T("settings.clock.is", "At", in)
	case apart:
		return c.T("settings.clock.apart", "At", in)
	}
	return c.T("settings.clock.agrees", "At", in)
}

// clockApart reports whether the ERP's clock is another than a zone's (rule 9.4); known is
// false where the zone is none.
func clockApart(clock userside.Clock, zone string) (apart, known bool) {
	at, ok := location(zone)
	if !ok {
		return false, false
	}
	return calendarsync.Apart(at, clock.Unix, clock.Offset) > calendarsync.MaxApart, true
}

// cardChoices lists the fields of employees' cards by name, and what is chosen although no
// card shows it.
func cardChoices(t i18n.Texts, name string, erp knownERP, chosen string) []option {
	if erp.err != nil {
		return nil
	}
	chosen = cmp.Or(strings.TrimSpace(chosen), "0")
	out := []option{{Value: "0", Label: t.T("settings.field.none." + name), Chosen: chosen == "0"}}
	for _, f := range erp.fields {
		out = append(out, option{Value: digits(f.ID), Label: cardField(t, name, f), Chosen: chosen == digits(f.ID)})
	}
	if !slices.ContainsFunc(out, func(o option) bool { return o.Chosen }) {
		out = append(out, option{Value: chosen, Label: t.T("settings.field.unseen", "ID", chosen), Chosen: true})
	}
	return out
}

// cardField names a field of the cards: "7: Calendar (ticked for 10 of 12)".
func cardField(t i18n.Texts, name string, f plan.Field) string {
	text := t.T("settings.field.number", "ID", f.ID)
	if f.Caption != "" {
		text = t.T("settings.field.named", "ID", f.ID, "Caption", f.Caption)
	}
	if name == "binding_field" && len(f.Odd) == 0 {
		return t.T("settings.field.ticked", "Field", text, "N", f.Ticked, "Of", f.Cards)
	}
	return t.T("settings.field.filled", "Field", text, "N", f.Filled, "Of", f.Cards)
}

func digits[T ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// roleChoices lists the roles of the ERP's states, and in rest the roles chosen
// that no state has.
func roleChoices(t i18n.Texts, c calendarsync.Catalogue, typed typed) (choices []roleChoice, rest string) {
	states, names := map[calendarsync.RoleID][]string{}, map[calendarsync.RoleID]string{}
	for _, s := range c.States {
		states[s.Role] = append(states[s.Role], s.Name)
		names[s.Role] = cmp.Or(names[s.Role], s.RoleName)
	}
	for role, all := range states {
		slices.Sort(all)
		name := t.T("settings.role.number", "ID", role)
		if names[role] != "" {
			name = t.T("settings.role.named", "ID", role, "Name", names[role])
		}
		choices = append(choices, roleChoice{role, name, strings.Join(slices.Compact(all), ", "), slices.Contains(typed.roles, role)})
	}
	slices.SortFunc(choices, func(a, b roleChoice) int { return cmp.Compare(a.ID, b.ID) })
	if typed.rolesText != "" {
		return choices, typed.rolesText
	}
	var other []string
	for _, r := range typed.roles {
		if _, known := states[r]; !known {
			other = append(other, digits(r))
		}
	}
	return choices, strings.Join(other, ", ")
}

// usualPriorities is how many priorities, from 1 on, can be picked: the ERP does not list them.
const usualPriorities = 3

// colorName names what a colour is for where the ERP does not.
func colorName(t i18n.Texts, key string) string {
	if n, is := strings.CutPrefix(key, calendarsync.ColorOfPriority); is {
		return t.T("settings.type.priority", "ID", n)
	}
	if n, is := strings.CutPrefix(key, calendarsync.ColorOfState); is {
		return t.T("settings.type.state-gone", "ID", n)
	}
	return t.T("settings.type.gone", "ID", key)
}

// colorChoices lists the ERP's types of task, and those with a colour that the
// ERP no longer has.
func colorChoices(t i18n.Texts, c calendarsync.Catalogue, typed typed) []colorChoice {
	names := map[string]string{}
	for kind := range typed.colors {
		names[kind] = colorName(t, kind)
	}
	for id, one := range c.States {
		key := calendarsync.ColorOfState + digits(id)
		names[key] = t.T("settings.type.state", "Name", cmp.Or(one.Name, digits(id)))
	}
	for n := range usualPriorities {
		key := calendarsync.ColorOfPriority + strconv.Itoa(n+1)
		names[key] = colorName(t, key)
	}
	for id, one := range c.Types {
		names[digits(id)] = cmp.Or(one.Name, t.T("settings.type.number", "ID", id))
	}
	var out []colorChoice
	for kind, name := range names {
		choice := colorChoice{Type: kind, Name: name, Color: typed.colors[kind], Options: []option{{Value: "", Label: t.T("settings.color.none"), Chosen: typed.colors[kind] == 0}}}
		for i, color := range colorNames {
			choice.Options = append(choice.Options, option{Value: strconv.Itoa(i + 1), Label: t.T("settings.color." + color), Chosen: typed.colors[kind] == i+1})
		}
		out = append(out, choice)
	}
	slices.SortFunc(out, func(a, b colorChoice) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Type, b.Type))
	})
	return out
}

func languages(chosen string) []option {
	var out []option
	for _, l := range settings.Languages() {
		out = append(out, option{Value: l, Label: languageName(l), Chosen: l == chosen})
	}
	return out
}

// languageName is what a language calls itself; what is none is given as it is.
func languageName(l string) string {
	return cmp.Or(map[string]string{"en": "English", "uk": "Українська", "ru": "Русский"}[l], l)
}
