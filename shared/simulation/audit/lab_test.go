package audit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
)

const (
	account = "calendars@provider.example"
	tenant  = "0b5c4f0e-0000-4000-8000-000000000001"
	zone    = "Europe/Kyiv"
	binding = 1

	open   = 1
	done   = 3
	repair = 5

	olena = 11
	petro = 12
	early = 21 // Olena's
	later = 22 // Olena's and Petro's
)

// lab is a small installation whose product is the test itself: it reads the ERP
// and writes to Google as the real one does, or as it must not.
type lab struct {
	t      *testing.T
	mu     sync.Mutex
	now    time.Time
	google *fakegoogle.Server
	erp    *fakeerp.Server
	api    *calendar.Service
	audit  *audit.Auditor
	s      calendarsync.Settings

	activity []audit.Activity
	cals     map[int64]string
	epochs   int
}

func (l *lab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// pass lets time go by; no two writes of the lab are at one instant.
func (l *lab) pass(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newLab has two employees with two tasks and no calendar yet.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), cals: map[int64]string{}}
	kyiv, err := time.LoadLocation(zone)
	check(t, err)
	l.google = fakegoogle.New(fakegoogle.Options{
		Now: l.clock, ClientID: "lab", Seed: 3, Accounts: []fakegoogle.Account{{Email: account}},
	})
	l.erp = fakeerp.New(fakeerp.Options{Now: l.clock, Location: kyiv})
	l.erp.Load(fakeerp.Data{
		States: []fakeerp.TaskState{{ID: open, Name: "New", Role: fakeerp.RoleNotCompleted}, {ID: 2, Name: "Under way", Role: fakeerp.RoleInProgress},
			{ID: done, Name: "Done", Role: fakeerp.RoleCompleted}},
		Types:     []fakeerp.TaskType{{ID: repair, Name: "Repair", HourOnDoing: 2}},
		Divisions: []fakeerp.Division{{ID: 31, Name: "Fibre"}},
		Employees: []fakeerp.Employee{
			{ID: olena, Name: "Olena  Kovalenko", Email: "Olena@provider.example ", Fields: map[int64]string{binding: "1"}},
			{ID: petro, Name: "Petro", Email: "petro@provider.example", Fields: map[int64]string{binding: "1"}},
		},
		Tasks: []fakeerp.Task{
			{ID: early, TypeID: repair, StateID: open, TodoWall: "2026-11-23 09:00:00", Executors: []int64{olena},
				Address: fakeerp.Address{Text: "Sadova St, 1", Apartment: "4"}, Description: "Call before,\nask for \"Ivan\" & co"},
			{ID: later, TypeID: repair, StateID: open, TodoWall: "2026-11-24 14:30:00", RuntimeHours: 3, Executors: []int64{olena, petro}},
		},
	})
	l.api, err = calendar.NewService(t.Context(), option.WithEndpoint("http://google.test/calendar/v3/"),
		option.WithHTTPClient(l.google.Client(account, "calendar.app.created", "calendar.acls", "calendar.calendarlist.readonly")))
	check(t, err)
	l.audit = audit.New(audit.World{
		Google: l.google, ERP: l.erp, Account: account, ERPURL: "https://erp.example", RequestsPerMinute: 600, CalendarsPerHour: 1, Now: l.clock,
	})
	l.s = calendarsync.DefaultSettings()
	l.s.Confirmed, l.s.TimeZone, l.s.BindingField = true, zone, binding
	l.s.ShownRoles = []calendarsync.RoleID{calendarsync.RoleID(fakeerp.RoleNotCompleted), calendarsync.RoleID(fakeerp.RoleInProgress)}
	l.s.Colors = map[string]int{strconv.Itoa(repair): 7}
	l.audit.Settings(l.s)
	return l
}

// lookInVain reads Petro's calendar in both ways, and Google says each time that there is
// none.
func (l *lab) lookInVain(body fakegoogle.BodyForm) {
	l.t.Helper()
	spell := l.google.Begin(fakegoogle.NotFoundSpell(body, "calendar.events.list", "calendar.calendars.get"))
	defer spell.Remove()
	_, errList := l.api.Events.List(l.cals[petro]).Do()
	_, errGet := l.api.Calendars.Get(l.cals[petro]).Do()
	if errList == nil || errGet == nil {
		l.t.Fatal("Google showed it")
	}
}

// replaceCalendar gives Petro another calendar in place of his.
func (l *lab) replaceCalendar() {
	old := l.cals[petro]
	l.readEmployee(petro)
	l.create(petro)
	l.note("rule.delete", old, "", 0, petro)
	check(l.t, l.api.Acl.Delete(old, "user:petro@provider.example").Do())
	l.share(l.cals[petro], "petro@provider.example")
	l.readTasks(later)
	l.insert(later, petro, 0)
	l.note("calendar.delete", old, "", 0, petro)
	check(l.t, l.api.Calendars.Delete(old).Do())
}

// settle makes everything right, as a product would.
func (l *lab) settle() {
	for _, id := range []int64{olena, petro} {
		l.readEmployee(id)
		l.create(id)
		e, _ := l.erp.Employee(id)
		l.share(l.cals[id], strings.TrimSpace(e.Email))
	}
	l.readTasks(early, later)
	l.insert(early, olena, 0)
	l.insert(later, olena, 0)
	l.insert(later, petro, 0)
}

func (l *lab) call(params url.Values) {
	r := httptest.NewRequest(http.MethodPost, "/api.php", strings.NewReader(params.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	l.erp.ServeHTTP(httptest.NewRecorder(), r)
}

func (l *lab) readTasks(ids ...int64) {
	var list []string
	for _, id := range ids {
		list = append(list, strconv.FormatInt(id, 10))
	}
	l.call(url.Values{"cat": {"task"}, "action": {"show"}, "id": {strings.Join(list, ",")}})
	l.pass(time.Second)
}

func (l *lab) readUnassigned() {
	l.call(url.Values{"cat": {"task"}, "action": {"get_list"}, "employee_id": {"-1"}})
	l.pass(time.Second)
}

func (l *lab) readEmployee(id int64) {
	l.call(url.Values{"cat": {"employee"}, "action": {"get_data"}, "id": {strconv.FormatInt(id, 10)}})
}

func (l *lab) readEverybody() { l.call(url.Values{"cat": {"employee"}, "action": {"get_data"}}) }

func (l *lab) readCatalogue() { l.call(url.Values{"cat": {"task"}, "action": {"get_catalog_state"}}) }

func (l *lab) note(action, calendar, event string, task, employee int64) {
	l.activity = append(l.activity, audit.Activity{At: l.clock(), Action: action, Calendar: calendar, Event: event, Task: task, Employee: employee})
}

func (l *lab) mark(employee int64) calendarsync.CalendarMark {
	l.epochs++
	return calendarsync.CalendarMark{Tenant: tenant, Employee: calendarsync.EmployeeID(employee), Epoch: fmt.Sprintf("epoch%d", l.epochs), From: l.clock().Add(-24 * time.Hour)}
}

func (l *lab) create(employee int64) { l.createMarked(employee, l.mark(employee).Line()) }

func (l *lab) createMarked(employee int64, description string) {
	l.t.Helper()
	e, _ := l.erp.Employee(employee)
	l.note("calendar.create", "", "", 0, employee)
	c, err := l.api.Calendars.Insert(&calendar.Calendar{Summary: strings.Join(strings.Fields(e.Name), " "), Description: description, TimeZone: zone}).Do()
	check(l.t, err)
	l.cals[employee] = c.Id
	l.pass(time.Second)
}

// writeCalendar writes a calendar's data as the product does when it renames it.
func (l *lab) writeCalendar(employee int64, change func(*calendar.Calendar)) {
	l.t.Helper()
	cal := l.cals[employee]
	c, err := l.api.Calendars.Get(cal).Do()
	check(l.t, err)
	change(c)
	l.note("calendar.update", cal, "", 0, employee)
	_, err = l.api.Calendars.Update(cal, &calendar.Calendar{Summary: c.Summary, Description: c.Description, TimeZone: c.TimeZone}).Do()
	check(l.t, err)
	l.pass(time.Second)
}

func (l *lab) share(cal, address string) {
	l.t.Helper()
	l.note("rule.insert", cal, "", 0, l.of(cal))
	_, err := l.api.Acl.Insert(cal, &calendar.AclRule{Role: "reader", Scope: &calendar.AclRuleScope{Type: "user", Value: address}}).SendNotifications(true).Do()
	check(l.t, err)
	l.pass(time.Second)
}

func (l *lab) unshare(cal, address string) {
	l.t.Helper()
	l.note("rule.delete", cal, "", 0, l.of(cal))
	check(l.t, l.api.Acl.Delete(cal, "user:"+strings.ToLower(address)).Do())
	l.pass(time.Second)
}

// giveUp has a purge empty Petro's calendar and take its mark off, because of what others have
// in it; last happens between the two. The purge is stopped, and he gets another. unshare names
// whose access it takes away.
func (l *lab) giveUp(last func(cleared string), unshare ...string) {
	l.t.Helper()
	_, err := l.google.CreateEvent(l.cals[petro], &calendar.Event{
		Summary: "Lunch", Start: l.content(later, petro, 0).Start, End: l.content(later, petro, 0).End,
	})
	check(l.t, err)
	l.audit.Purge()
	for _, address := range unshare {
		l.unshare(l.cals[petro], address)
	}
	l.remove(later, petro, 0)
	last(l.content(later, petro, 0).Id)
	l.writeCalendar(petro, func(c *calendar.Calendar) { c.Description = "" })
	l.activity[len(l.activity)-1].Action = "calendar.keep"
	l.audit.PurgeStopped()
	l.readEmployee(petro)
	l.create(petro)
	e, _ := l.erp.Employee(petro)
	l.share(l.cals[petro], e.Email)
	l.readTasks(later)
	l.insert(later, petro, 0)
}

// giveUpHidden has a purge leave Petro's former address the access by an invitation that no list
// shows, after the database was lost; meanwhile happens before the address changes.
func (l *lab) giveUpHidden(meanwhile func()) {
	l.t.Helper()
	l.google.ChangeWays(func(w *fakegoogle.Ways) { w.InvitationsHidden = true })
	check(l.t, l.google.DeleteCalendar(l.cals[petro]))
	l.readEmployee(petro)
	l.create(petro)
	l.share(l.cals[petro], "petro@provider.example")
	l.readTasks(later)
	l.insert(later, petro, 0)
	l.audit.Wiped()
	l.pass(time.Second)
	meanwhile()
	check(l.t, l.erp.UpdateEmployee(petro, func(e *fakeerp.Employee) { e.Email = "p@provider.example" }))
	l.giveUp(func(string) { l.readEmployee(petro) })
}

// listEvents reads what a calendar holds.
func (l *lab) listEvents(cal string) {
	l.t.Helper()
	_, err := l.api.Events.List(cal).Do()
	check(l.t, err)
	l.pass(time.Second)
}

func (l *lab) of(cal string) int64 {
	for id, c := range l.cals {
		if c == cal {
			return id
		}
	}
	return 0
}

func (l *lab) removeCalendar(cal string) {
	l.t.Helper()
	l.note("calendar.delete", cal, "", 0, l.of(cal))
	check(l.t, l.api.Calendars.Delete(cal).Do())
	l.pass(time.Second)
}

// content is a task's event, written down by hand.
func (l *lab) content(task, employee int64, generation int) *calendar.Event {
	ev := &calendar.Event{
		Id: calendarsync.EventID(tenant, calendarsync.TaskID(task), calendarsync.EmployeeID(employee), generation), Status: "confirmed", ColorId: "7",
		ExtendedProperties: &calendar.EventExtendedProperties{Private: calendarsync.Mark{
			Tenant: tenant, Task: calendarsync.TaskID(task), Employee: calendarsync.EmployeeID(employee), Generation: generation, Hash: "h",
		}.Properties()},
		ForceSendFields: []string{"Sequence"},
	}
	at := func(s string) *calendar.EventDateTime { return &calendar.EventDateTime{DateTime: s, TimeZone: zone} }
	switch task {
	case early:
		ev.Summary, ev.Location = "Repair, Sadova St, 1, 4", "Sadova St, 1, 4"
		ev.Description = "Call before,\nask for \"Ivan\" &amp; co\nhttps://erp.example/task/21"
		ev.Start, ev.End = at("2026-11-23T09:00:00+02:00"), at("2026-11-23T11:00:00+02:00")
	default:
		ev.Summary, ev.Description = "Repair", fmt.Sprintf("https://erp.example/task/%d", task)
		ev.Start, ev.End = at("2026-11-24T14:30:00+02:00"), at("2026-11-24T17:30:00+02:00")
	}
	return ev
}

func (l *lab) insert(task, employee int64, generation int) {
	l.t.Helper()
	l.insertInto(l.cals[employee], task, employee, l.content(task, employee, generation))
}

func (l *lab) insertInto(cal string, task, employee int64, ev *calendar.Event) {
	l.t.Helper()
	l.note("event.insert", cal, ev.Id, task, employee)
	_, err := l.api.Events.Insert(cal, ev).SendUpdates("none").Do()
	check(l.t, err)
	l.pass(time.Second)
}

// update writes a changed event as it ought to be written.
func (l *lab) update(task, employee int64, change func(*calendar.Event)) {
	l.t.Helper()
	l.write(l.cals[employee], task, employee, l.content(task, employee, 0), change)
}

func (l *lab) write(cal string, task, employee int64, ev *calendar.Event, change func(*calendar.Event)) {
	l.t.Helper()
	now, err := l.api.Events.Get(cal, ev.Id).Do()
	check(l.t, err)
	change(ev)
	ev.Sequence = now.Sequence
	l.note("event.update", cal, ev.Id, task, employee)
	c := l.api.Events.Update(cal, ev.Id, ev).SendUpdates("none")
	c.Header().Set("If-Match", now.Etag)
	_, err = c.Do()
	check(l.t, err)
	l.pass(time.Second)
}

func (l *lab) remove(task, employee int64, generation int) {
	l.t.Helper()
	cal, id := l.cals[employee], l.content(task, employee, generation).Id
	now, err := l.api.Events.Get(cal, id).Do()
	check(l.t, err)
	l.note("event.delete", cal, id, task, employee)
	c := l.api.Events.Delete(cal, id).SendUpdates("none")
	c.Header().Set("If-Match", now.Etag)
	check(l.t, c.Do())
	l.pass(time.Second)
}

// rules are the names of what was broken, each once.
func rules(vs []audit.Violation) []audit.Rule {
	var out []audit.Rule
	for _, v := range vs {
		out = append(out, v.Rule)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (l *lab) judge() []audit.Violation { return l.audit.Judge(l.activity) }
