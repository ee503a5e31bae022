package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// running is a world in which calendars are written by settings that an admin applied, for
// everybody in the ERP: Anna, Bohdan and Vasyl.
func running(t *testing.T) (*world, *browser) {
	t.Helper()
	w := newWorld(t)
	w.apply(map[int64]string{1: "Anna", 2: "Bohdan", 3: "Vasyl"})
	return w, w.signedIn()
}

// runs is a company of thirty whose calendars have events; some have no box, and something in
// field 8.
func (w *world) runs() {
	names := map[int64]string{}
	for id := int64(1); id <= 30; id++ {
		names[id] = fmt.Sprintf("%s %c.", []string{"Коваленко", "Шевченко", "Бондаренко", "Ткаченко", "Мельник"}[id%5], 'А'+rune(id%20))
		box, text := "1", ""
		if id > 6 {
			box = "0"
		}
		if id%3 == 0 {
			text = "+380 44 123 45 67"
		}
		w.erp.cards[calendarsync.EmployeeID(id)] = card(calendarsync.EmployeeID(id), names[id], box, text)
	}
	w.apply(names)
	for id := int64(1); id <= 30; id++ {
		w.events(id, "e-"+names[id], 1+2*(id%2), 100+id, 200+id)
	}
	task := calendarsync.Task{ID: 1014, TypeName: "Ремонт", Address: "вул. Садова, 1, кв. 4", Customer: "Іван Петренко", Description: "Зателефонувати перед виїздом.",
		State: calendarsync.Say[calendarsync.StateID](1), Start: calendarsync.Say(calendarsync.LocalTime{Wall: w.clock().Add(24 * time.Hour)}),
		Executors: calendarsync.Say([]calendarsync.EmployeeID{2})}
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{1014: {Task: &task}}
}

// ran is a company whose settings were saved three times.
func (w *world) ran() {
	w.apply(map[int64]string{1: "Anna"})
	next := w.saved().Settings
	next.ShownRoles, next.CalendarName = []calendarsync.RoleID{1}, "Tasks of {{.Employee.Name}}"
	if err := w.deps.Settings.Apply(w.t.Context(), next, "petro@example.com", 1, &store.SettingsPlan{States: []int64{3}, Events: 29, Renamed: 12}); err != nil {
		w.t.Fatal(err)
	}
	next.Enabled = false
	if err := w.deps.Settings.Apply(w.t.Context(), next, admin, 2, nil); err != nil {
		w.t.Fatal(err)
	}
}

// apply puts settings in force under which everybody in names has a calendar.
func (w *world) apply(names map[int64]string) {
	t := w.t
	t.Helper()
	next := w.saved().Settings
	next.Confirmed = true
	if err := w.deps.Settings.Apply(t.Context(), next, admin, 0, nil); err != nil {
		t.Fatal(err)
	}
	for id, name := range names {
		w.employee(id, func(r *store.EmployeeRecord) { r.Name, r.Address = name, strings.ToLower(name)+"@example.com" }, nil)
		c := store.CalendarRecord{ID: strings.ToLower(name) + "@group.calendar.google.com", Epoch: "e-" + name, From: w.clock(), Name: name, Zone: next.TimeZone}
		if _, err := w.store.AdoptCalendar(t.Context(), id, c); err != nil {
			t.Fatal(err)
		}
	}
}

// events gives somebody's calendar events of tasks in a state.
func (w *world) events(employee int64, epoch string, state int64, tasks ...int64) {
	w.t.Helper()
	for _, id := range tasks {
		l, _, err := w.store.AcquireTask(w.t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
		if err != nil {
			w.t.Fatal(err)
		}
		m := store.Mapping{Epoch: epoch, EventID: "e" + signin.Random(), State: store.MappingLive, StateID: state, Via: calendarsync.ViaExecutor}
		if _, err := w.store.SettleTask(w.t.Context(), &l, store.TaskOutcome{Mappings: map[int64]*store.Mapping{employee: &m}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// change is the form of the settings in force with some values changed.
func (b *browser) change(pairs ...string) page {
	b.w.t.Helper()
	form := b.form(b.get("/settings").body)
	for i := 0; i+1 < len(pairs); i += 2 {
		form[pairs[i]] = strings.Split(pairs[i+1], ",")
	}
	return b.post("/settings", form)
}

func wantIn(t *testing.T, body string, texts ...string) {
	t.Helper()
	body = html.UnescapeString(body)
	for _, text := range texts {
		if !strings.Contains(body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
}

// TestTheFirstSaveMakesNothingBeforeItsPlan: nothing is ticked beforehand, and the page names
// whom field 0 would invite before anybody is. Saved without going on, nothing is made.
func TestTheFirstSaveMakesNothingBeforeItsPlan(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	form := filled()
	form.Set("binding_field", "0")
	form.Set("language", "en")
	p := b.post("/settings", form)
	wantIn(t, p.body, "3 calendars are made, and 3 people are invited by mail", "<li>Anna</li>", "<li>Vasyl</li>", "Nothing has been saved or changed yet.", "Apply and make 3 calendars")
	if w.saved().Version != 0 || len(w.sent.all("employee-changes")) > 0 {
		t.Fatal("something was saved or started before the plan was applied")
	}
	later := b.apply(p, "later", "1")
	if s := w.saved(); later.status != http.StatusOK || s.Version != 1 || s.Settings.Confirmed {
		t.Errorf("saved for later: %d, %+v", later.status, s)
	}
	form.Set("version", "1")
	b.save(form)
	if s := w.saved(); s.Version != 2 || !s.Settings.Confirmed {
		t.Errorf("applied: %+v", s)
	}
	if m := w.sent.all("employee-changes"); len(m) != 2 || !reflect.DeepEqual(m[1], queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}) {
		t.Errorf("published %+v", m)
	}
}

// TestWhoIsOutsideIsToldBeforehand: rule 5.7, whose address is outside the account's domain may see
// busy times only, of which Google need not tell. The plan says so before anybody is invited, and
// the person's page afterwards, without calling it a fault.
func TestWhoIsOutsideIsToldBeforehand(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	form := filled()
	form.Set("binding_field", "0")
	form.Set("language", "en")
	if p := b.post("/settings", form); strings.Contains(p.body, "of these address") {
		t.Errorf("nobody is outside:\n%s", p.body)
	}
	vasyl := w.erp.cards[3].Employee
	vasyl.Email = calendarsync.Say("vasyl@gmail.com")
	for lang, title := range map[string]string{
		"uk": "1 із цих адрес не з домену example.com", "ru": "1 из этих адресов не из домена example.com", "en": "1 of these addresses is outside example.com",
	} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(t, b.post("/settings", form).body, title, "External sharing options")
	}
	b.post("/language", url.Values{"to": {"en"}, "back": {"/"}})
	p := b.post("/settings", form)
	at := strings.Index(p.body, "of these addresses is outside")
	if at < 0 || !strings.Contains(p.body[at:], "<li>"+vasyl.Name+"</li>") || strings.Contains(p.body[at:], "<li>Anna</li>") {
		t.Errorf("it does not name who is outside:\n%s", p.body)
	}
	for address, is := range map[string]bool{"vasyl@gmail.com": true, "vasyl@example.com": false} {
		w.employee(3, func(e *store.EmployeeRecord) {
			e.Address, e.State = address, store.StateActive
			e.Calendar = &store.CalendarRecord{ID: "c3", Epoch: "e", Address: address, RuleID: "user:" + address, RuleSeen: true, SharedAt: w.clock(), Filled: w.clock()}
		}, nil)
		p := b.get("/employees/3")
		if strings.Contains(p.body, "This address is outside example.com.") != is || strings.Contains(p.body, `class="mark bad"`) {
			t.Errorf("%s, outside %t:\n%s", address, is, p.body)
		}
	}
}

// TestAWrongFieldDeletesNothingBeforeItsPlan: swapped numbers would delete a calendar with its
// events and write ids over the ERP's checkbox. Both are said by name, and going back is free.
func TestAWrongFieldDeletesNothingBeforeItsPlan(t *testing.T) {
	w, b := running(t)
	w.events(3, "e-Vasyl", 1, 101, 102, 103)
	p := b.change("binding_field", "7")
	wantIn(t, p.body, "1 calendar with 3 events is deleted", "<li>Vasyl: 3 events</li>", "Apply and delete 1 calendar", "All who work and have an address", ">Field 7<")
	if w.saved().Version != 1 {
		t.Fatal("saved before the plan was applied")
	}
	p = b.change("calendar_id_field", "7")
	wantIn(t, p.body, "Field 7 of 3 cards in the ERP is overwritten", "Anna: “1” is lost", "Yes, that is what I mean")
	if again := b.apply(p); again.status != http.StatusUnprocessableEntity || w.saved().Version != 1 {
		t.Errorf("applied without being sure: %d", again.status)
	}
	if b.apply(p, "sure", "yes"); w.saved().Settings.CalendarIDField != 7 {
		t.Error("what an admin is sure of is not saved")
	}
}

// TestAFieldThatDoesNotExistIsRefused: number 77 is on nobody's card.
func TestAFieldThatDoesNotExistIsRefused(t *testing.T) {
	w, b := running(t)
	p := b.change("binding_field", "77")
	if p.status != http.StatusUnprocessableEntity || w.saved().Version != 1 {
		t.Errorf("got %d", p.status)
	}
	wantIn(t, p.body, `id="e-binding_field"`, "has field 77")
	p = b.change("calendar_id_field", "77")
	wantIn(t, p.body, "No card in the ERP shows field 77.", "Yes, that is what I mean")
	p = b.change("binding_field_other", "8")
	w.erp.cards[1] = card(1, "Anna", "1", "+380 44 1234567")
	p = b.change("binding_field_other", "8")
	wantIn(t, p.body, "Field 8 does not look like a checkbox: 1 card holds something else (Anna: “+380 44 1234567”)")
}

// TestAWrongRoleDeletesNothingBeforeItsPlan: how many events of whom go is said before, and what
// is applied is kept for the workers, so that the delete guard does not hold it under a reason
// that is not true.
func TestAWrongRoleDeletesNothingBeforeItsPlan(t *testing.T) {
	w, b := running(t)
	w.events(1, "e-Anna", 3, 101, 102, 103, 104)
	w.events(2, "e-Bohdan", 3, 105)
	w.events(2, "e-Bohdan", 1, 106)
	p := b.change("shown_roles", "1")
	wantIn(t, p.body, "5 events of 2 people are deleted", "<li>Anna: 4 events</li>", "<li>Bohdan: 1 event</li>", "Tasks in these states are shown no more: “On site”.")
	if w.saved().Version != 1 {
		t.Fatal("saved before the plan was applied")
	}
	b.apply(p)
	applied := w.saved().Settings.Applied
	if applied == nil || !applied.Hides(3, w.clock()) || applied.Hides(3, w.clock().Add(25*time.Hour)) || applied.Hides(1, w.clock()) {
		t.Errorf("kept of the plan: %+v", applied)
	}
	p = b.change("shown_roles", "1,9")
	if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.body, "No state of the ERP has role 9.") {
		t.Errorf("a role that no state has: %d", p.status)
	}
}

// TestAPlanThatChangedIsShownOnceMore: between the page and the button one more lost the tick.
func TestAPlanThatChangedIsShownOnceMore(t *testing.T) {
	w, b := running(t)
	p := b.change("binding_field", "7")
	w.erp.cards[2] = card(2, "Bohdan", "0", "")
	p = b.apply(p)
	if p.status != http.StatusConflict || w.saved().Version != 1 {
		t.Fatalf("got %d", p.status)
	}
	wantIn(t, p.body, "Meanwhile something changed.", "2 calendars with 0 events are deleted", "<li>Bohdan: 0 events</li>")
	if b.apply(p); w.saved().Version != 2 {
		t.Error("the plan as it is now cannot be applied")
	}
}

// TestGoingBackKeepsWhatWasTyped: nothing is saved, and the form has what the plan was about.
func TestGoingBackKeepsWhatWasTyped(t *testing.T) {
	w, b := running(t)
	p := b.change("binding_field", "7", "calendar_name", "Tasks of {{.Employee.Name}}")
	back := b.form(p.body[strings.Index(p.body, "/settings/apply"):])
	got := b.post("/settings/edit", back)
	wantIn(t, got.body, `value="Tasks of {{.Employee.Name}}"`, `<option value="7" selected>Field 7: Calendar (ticked for 2 of 3)</option>`)
	if w.saved().Version != 1 {
		t.Error("going back saved something")
	}
}

// TestWhatChangesNothingIsSavedAtOnce: how much may go in a day concerns nothing that exists.
func TestWhatChangesNothingIsSavedAtOnce(t *testing.T) {
	w, b := running(t)
	if p := b.change("delete_guard_percent", "35", "backfill_hours", "48"); p.at.RawQuery != "queued=saved" || w.saved().Settings.DeleteGuardPercent != 35 {
		t.Errorf("got %d at %s", p.status, p.at)
	}
}

// TestPreview: an event is shown as it would be, from a task of the ERP that somebody has.
func TestPreview(t *testing.T) {
	w, b := running(t)
	task := calendarsync.Task{ID: 1014, TypeName: "Repair", Address: "Sadova St 1", Customer: "Ivan", State: calendarsync.Say[calendarsync.StateID](1),
		Start:     calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)}),
		Executors: calendarsync.Say([]calendarsync.EmployeeID{2})}
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{1014: {Task: &task}}
	p := b.change("preview", "1", "event_title", "No. {{.Task.ID}} for {{.Employee.Name}}")
	wantIn(t, p.body, "No. 1014 for Bohdan", "2026-11-23, 09:30–10:30", "Sadova St 1", "Made from task 1014 of the ERP.")
	if w.saved().Version != 1 {
		t.Error("a preview saved something")
	}
	w.erp.tasks = nil
	wantIn(t, b.change("preview", "1").body, "Connection, Sadova St 1, 4", "Made from a made-up task")
}

// TestEarlierSettingsAreRestoredAfterAPlan: each version says what it changed and what came of
// it; going back is a save of its own, with its plan.
func TestEarlierSettingsAreRestoredAfterAPlan(t *testing.T) {
	w := newWorld(t)
	w.ran()
	b := w.signedIn()
	p := b.get("/settings/history")
	wantIn(t, p.body, "Version 3", "Version 2", "Version 1", "petro@example.com · 29 events to be deleted · 12 calendars to be renamed",
		`<td data-label="Before">{{.Employee.Name}}</td><td data-label="Then">Tasks of {{.Employee.Name}}</td>`)
	plan := b.post("/settings/restore", url.Values{"version": {"1"}})
	wantIn(t, plan.body, "What saving would do", "Apply")
	if w.saved().Version != 3 {
		t.Fatal("going back was saved before its plan was applied")
	}
	b.apply(plan)
	if s := w.saved(); s.Version != 4 || !reflect.DeepEqual(s.Settings.ShownRoles, []calendarsync.RoleID{1, 2}) || s.Settings.CalendarName != "{{.Employee.Name}}" || !s.Settings.Enabled {
		t.Errorf("restored %+v", s)
	}
	if p := b.post("/settings/restore", url.Values{"version": {"77"}}); p.status != http.StatusNotFound {
		t.Errorf("a version that never was: %d", p.status)
	}
}

// TestWhatJoinsIsCountedFromTheERP: a role more is said by the events that it brings, counted in
// parts where there are too many tasks to read for a page; a slow ERP costs the line only.
func TestWhatJoinsIsCountedFromTheERP(t *testing.T) {
	w, b := running(t)
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{}
	add := func(from, to calendarsync.TaskID) {
		for id := from; id <= to; id++ {
			w.erp.tasks[id] = calendarsync.TaskReading{Task: &calendarsync.Task{ID: id, State: calendarsync.Say[calendarsync.StateID](4),
				Start:     calendarsync.Say(calendarsync.LocalTime{Wall: w.clock().Add(24 * time.Hour)}),
				Executors: calendarsync.Say([]calendarsync.EmployeeID{2})}}
		}
	}
	add(1, 12)
	wantIn(t, b.change("shown_roles", "1,2,3").body, "12 events of 1 person are made", "<li>Bohdan: 12 events</li>", "Open tasks in these states get an event: “Done”.")
	add(13, 300)
	p := b.change("shown_roles", "1,2,3")
	wantIn(t, p.body, "Counting the events that would be made…", "200 of 300 tasks", `<noscript><meta http-equiv="refresh" content="2"></noscript>`)
	wantIn(t, b.get("/settings/plan?enough").body, "At most 300 open tasks get events")
	wantIn(t, b.get("/settings/plan").body, "300 events of 1 person are made", "<li>Bohdan: 300 events</li>")
	w.erp.tasks = nil
	wantIn(t, b.change("shown_roles", "1,2,3").body, "More tasks may be shown; at present there are none")
}

// TestOneBadEmployeeKeepsNothingFromBeingSaved: with somebody who spoils the ERP's list of everybody, set-up and the
// settings are as they are without, and that one is named as unreadable.
func TestOneBadEmployeeKeepsNothingFromBeingSaved(t *testing.T) {
	t.Parallel()
	for _, spoiled := range []fakeerp.Spoiling{fakeerp.SpoiledEmpty, fakeerp.SpoiledCut, fakeerp.SpoiledError, fakeerp.SpoiledPage} {
		t.Run(string(spoiled), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.answersAsAPI(fakeerp.Ways{BadEmployees: []int64{2}, Spoiled: spoiled})
			b := w.signedIn()
			w.connectAccount()
			w.chosen()
			wantIn(t, b.get("/setup").body, "It answers and takes the key.", "1 person’s card cannot be read", "1 calendar is made", "Anna")
			if b.apply(b.post("/setup", nil)); !w.saved().Settings.Confirmed {
				t.Fatal("set-up did not end")
			}
			for id, name := range map[int64]string{1: "Anna", 2: "Bohdan"} {
				w.employee(id, func(r *store.EmployeeRecord) { r.Name, r.Address = name, strings.ToLower(name)+"@example.com" }, nil)
				if _, err := w.store.AdoptCalendar(t.Context(), id, store.CalendarRecord{ID: name, Epoch: "e-" + name, From: w.clock(), Name: name, Zone: "Europe/Kyiv"}); err != nil {
					t.Fatal(err)
				}
			}
			p := b.change("calendar_name", "Tasks of {{.Employee.Name}}", "binding_field", "8")
			wantIn(t, p.body, "1 calendar with 0 events is deleted", "<li>Anna: 0 events</li>", "1 person’s card cannot be read", "<li>Bohdan</li>")
			if strings.Contains(html.UnescapeString(p.body), "Bohdan: ") {
				t.Error("the plan says of the unreadable one that they lose something")
			}
			if b.apply(p); w.saved().Settings.BindingField != 8 {
				t.Error("not saved")
			}
		})
	}
}

// answersAsAPI has the console read the ERP's stand-in with the client of production: three people whose field 7 is
// ticked but for the third's.
func (w *world) answersAsAPI(ways fakeerp.Ways) {
	w.t.Helper()
	zone, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		w.t.Fatal(err)
	}
	server := fakeerp.New(fakeerp.Options{Now: w.clock, Location: zone, APIKey: "k", Ways: ways})
	data := fakeerp.Data{Types: []fakeerp.TaskType{{ID: 5, Name: "Connection"}}, States: []fakeerp.TaskState{{ID: 1, Name: "New", Role: 1}, {ID: 3, Name: "On site", Role: 2}},
		EmployeeFields: []fakeerp.Field{{ID: 7, Caption: "Calendar", Kind: fakeerp.FieldCheckbox}, {ID: 8, Caption: "Text", Kind: fakeerp.FieldText}}}
	for i, name := range []string{"Anna", "Bohdan", "Vasyl"} {
		data.Employees = append(data.Employees, fakeerp.Employee{ID: int64(i + 1), Name: name, Email: strings.ToLower(name) + "@example.com",
			Fields: map[int64]string{7: []string{"1", "1", "0"}[i], 8: ""}})
	}
	server.Load(data)
	client, err := userside.New(userside.Config{URL: &url.URL{Scheme: "https", Host: "erp.example"}, Key: "k"}, roundTrip(func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		in := r.Clone(r.Context())
		in.RequestURI = r.URL.RequestURI()
		server.ServeHTTP(rec, in)
		return rec.Result(), nil
	}), w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	w.deps.ERP = client
	w.deploy()
}
