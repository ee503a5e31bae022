package console_test

import (
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	nethtml "golang.org/x/net/html"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/settings"
)

// filled is the form as a browser sends it for sound settings.
func filled() url.Values {
	return url.Values{
		"version": {"0"}, "enabled": {"true"}, "time_zone": {"Europe/Warsaw"}, "shown_roles": {"1", " 2, 3"},
		"binding_field": {"7"}, "calendar_id_field": {"8"}, "backfill_hours": {"48"}, "default_duration_minutes": {"90"},
		"midnight_is_all_day": {"true"}, "calendar_name": {"{{.Employee.Name}}"}, "event_title": {"{{.Task.Type}}"},
		"event_description": {"a\r\n{{.Task.URL}}"}, "task_url": {"https://erp.example/t/{id}"}, "color_5": {"11"}, "color_6": {""},
		"language": {"uk"}, "delete_guard_percent": {"30"},
	}
}

// apply presses the button of a plan's page that applies it.
func (b *browser) apply(p page, more ...string) page {
	b.w.t.Helper()
	if p.status/100 == 5 || !strings.Contains(p.body, "/settings/apply") {
		b.w.t.Fatalf("there is no plan: %d at %s\n%s", p.status, p.at, p.body)
	}
	form := b.form(p.body[strings.Index(p.body, "/settings/apply"):])
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.post("/settings/apply", form)
}

// form reads what a page's forms would send as they are shown, but for the search of the frame.
func (b *browser) form(body string) url.Values {
	b.w.t.Helper()
	root, err := nethtml.Parse(strings.NewReader(body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	form := url.Values{}
	attribute := func(n *nethtml.Node, name string) (string, bool) {
		i := slices.IndexFunc(n.Attr, func(a nethtml.Attribute) bool { return a.Key == name })
		if i < 0 {
			return "", false
		}
		return n.Attr[i].Val, true
	}
	for n := range root.Descendants() {
		name, _ := attribute(n, "name")
		value, _ := attribute(n, "value")
		kind, _ := attribute(n, "type")
		_, checked := attribute(n, "checked")
		switch {
		case name == "" || n.Data == "button" || kind == "checkbox" && !checked:
		case n.Data == "input":
			form.Add(name, value)
		case n.Data == "textarea" && n.FirstChild != nil:
			form.Add(name, n.FirstChild.Data)
		case n.Data == "select":
			for o := range n.Descendants() {
				if _, selected := attribute(o, "selected"); selected {
					value, _ := attribute(o, "value")
					form.Add(name, value)
				}
			}
		}
	}
	return form
}

// save saves settings, and applies their plan.
func (b *browser) save(form url.Values) page {
	b.w.t.Helper()
	return b.apply(b.post("/settings", form))
}

func (w *world) saved() settings.Saved {
	w.t.Helper()
	s, err := w.deps.Settings.Saved(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestSettingsAreSavedAndARunIsStarted(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	p := b.save(filled())
	if p.status != http.StatusOK || p.at.String() != w.base+"/console/settings?queued=saved" || !strings.Contains(p.body, "Збережено.") {
		t.Fatalf("got %d at %s:\n%s", p.status, p.at, p.body)
	}
	got := w.saved()
	want := calendarsync.Settings{Enabled: true, Confirmed: true, TimeZone: "Europe/Warsaw", ShownRoles: []calendarsync.RoleID{1, 2, 3},
		BindingField: 7, CalendarIDField: 8, BackfillHours: 48, DefaultDurationMinutes: 90, MidnightIsAllDay: true,
		CalendarName: "{{.Employee.Name}}", EventTitle: "{{.Task.Type}}", EventDescription: "a\n{{.Task.URL}}",
		TaskURL: "https://erp.example/t/{id}", Colors: map[string]int{"5": 11}, Language: "uk", DeleteGuardPercent: 30}
	got.Settings.Applied = nil
	if !reflect.DeepEqual(got.Settings, want) || got.By != admin || got.Version != 1 {
		t.Errorf("saved %+v by %s, version %d\nwant %+v", got.Settings, got.By, got.Version, want)
	}
	if m := w.sent.all("employee-changes"); !reflect.DeepEqual(m, []queue.Message{{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}}) {
		t.Errorf("published %+v", m)
	}
	for _, shown := range []string{`value="Europe/Warsaw"`, `<option value="11" selected>`, "Стани: Assigned, New", admin} {
		if !strings.Contains(p.body, shown) {
			t.Errorf("the form lacks %s", shown)
		}
	}
}

func TestFaultsAreShownBesideTheirFieldsAndNothingTypedIsLost(t *testing.T) {
	for _, row := range []struct {
		field, typed, says, kept string
	}{
		{"time_zone", "Kyiv/Europe", "not the name of a time zone", `value="Kyiv/Europe"`},
		{"time_zone", "", "has to be set", `name="time_zone" value=""`},
		{"shown_roles", "two", "is not the number of a role", `value="two"`},
		{"shown_roles", "", "At least one role", ""},
		{"backfill_hours", "a day", "has to be a whole number", `value="a day"`},
		{"backfill_hours", "9999", "between 0 and 8760", `value="9999"`},
		{"default_duration_minutes", "0", "between 1 and", `value="0"`},
		{"event_title", "{{.Task.Nope}}", "Nope", `value="{{.Task.Nope}}"`},
		{"event_description", "{{", "cannot be read", "\n{{</textarea>"},
		{"task_url", "erp/{id}", "full address", `value="erp/{id}"`},
		{"colors", "red = 3", "neither the number of a type", ""},
		{"color_5", "99", "between 1 and 11", ""},
		{"language", "de", "one of en, uk, ru", ""},
		{"delete_guard_percent", "", "whole number", ""},
		{"calendar_id_field", "7", "another field", `value="7"`},
	} {
		t.Run(row.field+"="+row.typed, func(t *testing.T) {
			w := newWorld(t)
			b := w.signedIn()
			form := filled()
			form[row.field] = []string{row.typed}
			form.Set("calendar_name", "kept {{.Employee.ID}}")
			p := b.post("/settings", form)
			if p.status != http.StatusUnprocessableEntity {
				t.Fatalf("got %d", p.status)
			}
			body := strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(p.body)
			name := row.field
			if strings.HasPrefix(name, "color") {
				name = "colors"
			}
			fault := regexp.MustCompile(`<p class="fault" id="e-` + name + `">([^<]*)</p>`).FindStringSubmatch(body)
			if fault == nil || !strings.Contains(fault[1], row.says) {
				t.Errorf("beside the field stands %q, want %q", fault, row.says)
			}
			for _, kept := range []string{row.kept, "kept {{.Employee.ID}}", "Nothing was saved."} {
				if !strings.Contains(body, kept) {
					t.Errorf("the form lacks %q", kept)
				}
			}
			if w.saved().Version != 0 || len(w.sent.messages) > 0 {
				t.Error("something was saved or started")
			}
		})
	}
}

func TestSomebodySavedMeanwhile(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	theirs := w.saved().Settings
	theirs.Language, theirs.BackfillHours = "ru", 12
	if err := w.deps.Settings.Apply(t.Context(), theirs, "petro@example.com", 0, nil); err != nil {
		t.Fatal(err)
	}
	p := b.post("/settings", filled())
	if p.status != http.StatusConflict {
		t.Fatalf("got %d", p.status)
	}
	for _, want := range []string{"petro@example.com: настройки сохранены", `<td data-label="Сохранено сейчас">Русский</td><td data-label="Ваше">Українська</td>`, `value="Europe/Warsaw"`, `name="version" value="1"`} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if now := w.saved(); now.Settings.Language != "ru" || now.Version != 1 {
		t.Errorf("the other's save was lost: %+v", now)
	}
	// Saving again, knowingly.
	again := filled()
	again.Set("version", "1")
	if p := b.save(again); p.status != http.StatusOK || w.saved().Settings.Language != "uk" {
		t.Errorf("saving again: %d", p.status)
	}
}

func TestUntickedBoxesAreOff(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	b.save(filled())
	form := filled()
	form.Set("version", "1")
	for _, box := range []string{"enabled", "midnight_is_all_day", "include_departments"} {
		form.Del(box)
	}
	// Pausing deletes nothing and has to be possible at once: it needs no plan.
	b.post("/settings", form)
	if s := w.saved().Settings; s.Enabled || s.MidnightIsAllDay || s.IncludeDepartments || !s.Confirmed {
		t.Errorf("saved %+v", s)
	}
}

// TestWithoutTheERPNothingIsSavedThatDependsOnIt: numbers can be typed, texts and colours
// saved, and everything paused; who would lose what nobody can say.
func TestWithoutTheERPNothingIsSavedThatDependsOnIt(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	b.save(filled())
	w.erp.err = errDown
	body := b.get("/settings").body
	for _, want := range []string{`name="shown_roles" value="1, 2, 3"`, `<textarea name="colors"`, `type="number" name="binding_field" value="7"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	form := filled()
	form.Set("version", "1")
	form.Del("color_5")
	form.Del("color_6")
	form.Set("shown_roles", "4; 5")
	form.Set("colors", "12 = 3\r\n\r\n 13=4 ")
	if p := b.post("/settings", form); p.status != http.StatusUnprocessableEntity || !strings.Contains(p.body, `value="4, 5"`) || w.saved().Version != 1 {
		t.Errorf("roles nobody could check are saved: %d", p.status)
	}
	form.Set("shown_roles", "1, 2, 3")
	b.post("/settings", form)
	if s := w.saved().Settings; !reflect.DeepEqual(s.Colors, map[string]int{"12": 3, "13": 4}) {
		t.Errorf("saved %v", s.Colors)
	}
	form.Set("version", "2")
	form.Del("enabled")
	form.Set("binding_field", "0")
	if b.post("/settings", form); w.saved().Settings.Enabled {
		t.Error("syncing cannot be paused while the ERP is away")
	}
	w.erp.err = nil
	if body := b.get("/settings").body; !strings.Contains(body, "Тип 12 (в ERP його немає)") {
		t.Error("a colour of a type that the ERP lacks is not shown")
	}
}

func TestFaultyStoredSettingsCanBeMended(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if err := w.store.SaveSettings(t.Context(), `{"time_zone":"Gone/Zone","shown_roles":[1]}`, "x", 0); err != nil {
		t.Fatal(err)
	}
	if body := b.get("/").body; !strings.Contains(body, "The settings cannot be used.") {
		t.Error("the overview does not say so")
	}
	form := filled()
	form.Set("version", "1")
	if p := b.save(form); p.status != http.StatusOK || !w.saved().Ready() {
		t.Errorf("got %d", p.status)
	}
}

func TestSavedButNotQueued(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.sent.err = errDown
	if p := b.save(filled()); !strings.Contains(p.body, "не вдалося поставити в чергу") || w.saved().Version != 1 {
		t.Errorf("got %d: %s", p.status, p.body)
	}
}
