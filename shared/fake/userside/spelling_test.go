package userside

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// fullTask has something in every field of shared/userside/README.md.
func (f *fixture) fullTask() Task {
	return Task{
		ID: 100, ParentID: 90, Priority: 3, TypeID: 20, StateID: 31, Todo: f.at(24), Created: f.at(-5),
		RuntimeHours: 4, DeadlineHours: 8, Customers: []Customer{{ID: 70, FullName: "A & B", Login: "ab"}},
		OptionalCustomerName: "Prospect", Address: Address{ID: 60, Text: "Main St, 1/2", Apartment: "5"},
		Description: "He said \"now\"\n<urgent> it's A/B & C", AuthorID: 11, Executors: []int64{10}, Divisions: []int64{2},
		Comments: []Comment{{ID: 7, Added: f.at(-1), EmployeeID: 10, Text: "x<y"}}, Fields: map[int64]string{5: "a&b"},
	}
}

func TestTaskNewSpelling(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	a := f.ok("task", "show", "id", "100")
	for path, v := range map[string]any{
		"result":  "OK",
		"data.id": 100., "data.parentTaskId": 90., "data.priority": 3.,
		"data.type.id": 20., "data.type.name": "Repair",
		"data.date.create": "2026-11-22 05:00:00", "data.date.todo": "2026-11-23 10:00:00",
		"data.date.update": "2026-11-22 10:00:00", "data.date.complete": nil,
		"data.date.runtime_individual_hour": 4., "data.date.deadline_individual_hour": 8.,
		"data.state.id": 31., "data.state.name": "Running", "data.state.system_role": float64(RoleInProgress),
		"data.state.system_role_text": "In progress", "data.state.systemRole": nil,
		"data.customer.70": 70., "data.optional_customer_name": "Prospect",
		"data.address.text": "Main St, 1&#047;2", "data.address.addressId": 60., "data.address.apartament": "5",
		"data.description":          "He said &quot;now&quot;\n&lt;urgent&gt; it&#039;s A&#047;B &amp; C",
		"data.author_employee_id":   11.,
		"data.staff.employee.10":    10.,
		"data.staff.division.2":     2.,
		"data.comments.7.comment":   "x&lt;y",
		"data.comments.7.dateAdd":   "2026-11-22 09:00:00",
		"data.additional_data.5.id": 5., "data.additional_data.5.caption": "Access", "data.additional_data.5.value": "a&amp;b",
	} {
		want(t, path, a.get(path), v)
	}
	if _, ok := a.get("data.history").([]any); !ok {
		t.Error("history is not a list")
	}
	if !a.has("data.date.complete") {
		t.Error("date.complete must be there as null")
	}
}

func TestTaskOldSpelling(t *testing.T) {
	f := setup(t, oldERP)
	f.AddTask(f.fullTask())
	a := f.ok("task", "show", "id", "100")
	for path, v := range map[string]any{
		"Result": "OK", "Data.id": "100", "Data.type.id": "20",
		"Data.state.systemRole": "14", "Data.state.system_role": nil, "Data.state.system_role_text": nil,
		"Data.customer.id": "70", "Data.customer.fullName": "A &amp; B", "Data.customer.login": "ab",
		"Data.description":     "He said &quot;now&quot;<br />&lt;urgent&gt; it&#039;s A&#047;B &amp; C",
		"Data.authorId":        "11",
		"Data.staff.worker.10": "10", "Data.staff.employee": nil, "Data.staff.division.2": "2",
		"Data.additional_fields.5.value": "a&amp;b", "Data.additional_data": nil, "Data.date.complete": "",
	} {
		want(t, path, a.get(path), v)
	}
}

func TestEmptyMapsAreLists(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	a := f.ok("task", "show", "id", "100")
	for _, path := range []string{"data.customer", "data.staff.employee", "data.staff.division", "data.comments", "data.additional_data"} {
		if l, ok := a.get(path).([]any); !ok || len(l) != 0 {
			t.Errorf("%s: got %#v, want []", path, a.get(path))
		}
	}
	f.Load(Data{})
	for _, c := range [][2]string{{"employee", "get_data"}, {"employee", "get_division_list"}, {"task", "get_catalog_state"}, {"task", "get_catalog_type"}} {
		if got := f.ok(c[0], c[1]).text; !strings.Contains(got, `"data":[]`) {
			t.Errorf("%s: %s", c[1], got)
		}
	}
}

func TestOldOmitsEmptyStaff(t *testing.T) {
	f := setup(t, oldERP)
	f.AddTask(Task{ID: 100, TypeID: 20})
	f.AddTask(Task{ID: 101, TypeID: 20, Divisions: []int64{2}})
	a := f.ok("task", "show", "id", "100,101")
	if a.has("Data.100.staff") {
		t.Error("staff of a task without anybody must be missing")
	}
	if a.has("Data.101.staff.worker") || !a.has("Data.101.staff.division") {
		t.Errorf("staff: %v", a.get("Data.101.staff"))
	}
	if a.has("Data.100.customer") {
		t.Error("an old customer that is not there must be absent")
	}
}

func TestIDsAsNumericStrings(t *testing.T) {
	f := setup(t, newWith(func(sp *Spelling) { sp.IDsAsStrings, sp.CountAsString = true, true }))
	f.AddTask(f.fullTask())
	want(t, "id", f.ok("task", "show", "id", "100").get("data.id"), any("100"))
	want(t, "is_work", f.ok("employee", "get_data").get("data.11.is_work"), any("0"))
	want(t, "role", f.ok("task", "get_catalog_state").get("data.30.system_role"), any("11"))
	want(t, "count", f.ok("task", "get_list").body["count"], any("1"))
	sp := NewSpelling()
	f.SetSpelling(sp)
	want(t, "count", f.ok("task", "get_list").body["count"], any(1.))
	want(t, "is_work", f.ok("employee", "get_data").get("data.10.is_work"), any(1.))
}

func TestCustomerForms(t *testing.T) {
	for form, check := range map[CustomerForm]func(answer) bool{
		CustomerMap:     func(a answer) bool { return a.get("data.customer.70") == 70. },
		CustomerList:    func(a answer) bool { l, ok := a.get("data.customer").([]any); return ok && l[0] == 70. },
		CustomerObject:  func(a answer) bool { return a.get("data.customer.fullName") == "A &amp; B" },
		CustomerOmitted: func(a answer) bool { return !a.has("data.customer") },
	} {
		f := setup(t, newWith(func(sp *Spelling) { sp.Customer = form }))
		f.AddTask(f.fullTask())
		if a := f.ok("task", "show", "id", "100"); !check(a) {
			t.Errorf("form %d: %v", form, a.get("data.customer"))
		}
	}
}

func TestDateForms(t *testing.T) {
	for layout, todo := range map[string]string{
		"2006-01-02 15:04:05": "2026-11-23 10:00:00", "2006-01-02 15:04": "2026-11-23 10:00",
		"02.01.2006 15:04": "23.11.2026 10:00", "02.01.2006": "23.11.2026", "2006-01-02": "2026-11-23",
	} {
		f := setup(t, newWith(func(sp *Spelling) { sp.DateLayout = layout }))
		f.AddTask(f.fullTask())
		want(t, layout, f.ok("task", "show", "id", "100").get("data.date.todo"), any(todo))
		want(t, "clock", f.ok("system", "get_system_info").get("data.date_time_string"), any("2026-11-22 10:00:00"))
	}
	for spelling, v := range map[string]any{"": "", "-": "-", NoDateNull: nil} {
		f := setup(t, newWith(func(sp *Spelling) { sp.NoDate = spelling }))
		f.AddTask(Task{ID: 100, TypeID: 20})
		a := f.ok("task", "show", "id", "100")
		if !a.has("data.date.todo") || a.get("data.date.todo") != v {
			t.Errorf("no date as %q: %#v", spelling, a.get("data.date.todo"))
		}
	}
}

func TestApartmentAlsoSpelledRight(t *testing.T) {
	f := setup(t, newWith(func(sp *Spelling) { sp.ApartmentKey = "apartment" }))
	f.AddTask(f.fullTask())
	a := f.ok("task", "show", "id", "100")
	want(t, "apartment", a.get("data.address.apartment"), any("5"))
	want(t, "apartament", a.has("data.address.apartament"), false)
}

func TestAdditionalFieldsPlainOrWithValue(t *testing.T) {
	f := setup(t, newWith(func(sp *Spelling) { sp.PlainTaskFields, sp.PlainEmployeeFields = true, true }))
	f.AddTask(f.fullTask())
	want(t, "task", f.ok("task", "show", "id", "100").get("data.additional_data.5"), any("a&amp;b"))
	want(t, "employee", f.ok("employee", "get_data").get("data.10.additional_data.1"), any("1"))
	f.SetSpelling(NewSpelling())
	a := f.ok("employee", "get_data")
	want(t, "employee", a.get("data.10.additional_data.1.value"), any("1"))
	if !a.has("data.10.additional_data.2.value") || a.has("data.11.additional_data.1") {
		t.Error("an empty field is sent, an unset one is not")
	}
}

func TestMixedResultKeysWithinOneVersion(t *testing.T) {
	f := setup(t, newWith(func(sp *Spelling) { sp.MixedKeys = true }))
	seen := map[string]bool{}
	for range 12 {
		a := f.post("employee", "get_division", "id", "1")
		for k := range a.body {
			seen[k] = true
		}
		for k := range f.post("employee", "get_division", "id", "99").body {
			seen[k] = true
		}
		f.ok("employee", "get_data")
	}
	for _, k := range []string{"Result", "result", "Data", "data", "ErrorText", "error", "Error"} {
		if !seen[k] {
			t.Errorf("%s never came: %v", k, seen)
		}
	}
}

func TestRawDescriptionGoesOutAsItIs(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20, Description: "a&quot;b<br />c&nbsp;<b>d</b>", RawDescription: true})
	want(t, "description", f.ok("task", "show", "id", "100").get("data.description"), any("a&quot;b<br />c&nbsp;<b>d</b>"))
}

func TestSystemInfoNamesTheVersionByGeneration(t *testing.T) {
	f := setup(t, nil)
	a := f.ok("system", "get_system_info")
	want(t, "erp_version", a.get("data.erp_version"), any("3.21"))
	want(t, "unix", a.get("data.date_time_unix"), any(float64(f.at(0).Unix())))
	want(t, "string", a.get("data.date_time_string"), any("2026-11-22 10:00:00"))
	f = setup(t, func(o *Options) { oldERP(o); o.Version = "3.14" })
	want(t, "userside_version", f.ok("system", "get_system_info").get("Data.userside_version"), any("3.14"))
}

func TestEmployeeFields(t *testing.T) {
	f := setup(t, nil)
	a := f.ok("employee", "get_data")
	for path, v := range map[string]any{
		"data.10.id": 10., "data.10.name": "Anna &quot;A&quot; O&#039;Neil", "data.10.email": "anna@example.com",
		"data.10.phone": "+1", "data.10.position": "Fitter", "data.10.is_work": 1., "data.10.is_blocked": 0.,
		"data.11.is_work": 0., "data.11.is_blocked": 1., "data.11.date_in": nil,
		"data.10.division.1.division_id": 1., "data.10.division.1.is_work": 1., "data.10.division.1.date_out": nil,
		"data.10.division.2.is_work": 0.,
	} {
		want(t, path, a.get(path), v)
	}
	for _, k := range []string{"short_name", "login", "profile_id", "division.2.date_out", "division.1.position"} {
		if !a.has("data.10." + k) {
			t.Errorf("%s is missing", k)
		}
	}
	f = setup(t, oldERP)
	if l, ok := f.ok("employee", "get_data").get("Data.10.division").([]any); !ok || len(l) != 2 {
		t.Error("old: division is a list with its history")
	}
}

func TestPastMembershipNeverHidesThePresentOne(t *testing.T) {
	f := setup(t, nil)
	for _, on := range []bool{false, true, false, true} {
		if err := f.SetMembership(10, 1, on); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "is_work", f.ok("employee", "get_data").get("data.10.division.1.is_work"), any(1.))
}

func TestDivisions(t *testing.T) {
	f := setup(t, nil)
	a := f.ok("employee", "get_division_list")
	want(t, "name", a.get("data.2.name"), any("Fibre &amp; co"))
	want(t, "parent", a.get("data.2.parent_id"), any(1.))
	want(t, "root", a.get("data.1.parent_id"), any(0.))
	want(t, "comment", a.get("data.2.comment"), any("a&#047;b"))
	work := f.ok("employee", "get_division", "id", "1").objects(t, "data.staff.work")
	if len(work) != 1 || work[0]["employee_id"] != 10. {
		t.Errorf("work: %v", work)
	}
	a = f.ok("employee", "get_division", "id", "2")
	if ex := a.objects(t, "data.staff.ex"); len(ex) != 1 || ex[0]["date_out"] == nil {
		t.Errorf("ex: %v", ex)
	}
	if work := a.objects(t, "data.staff.work"); len(work) != 0 {
		t.Errorf("work: %v", work)
	}
}

func TestCatalogues(t *testing.T) {
	f := setup(t, nil)
	want(t, "role", f.ok("task", "get_catalog_state").get("data.31.system_role"), any(float64(RoleInProgress)))
	want(t, "hours", f.ok("task", "get_catalog_type").get("data.20.timescale.hour_on_doing"), any(2.))
	f = setup(t, oldERP)
	a := f.ok("task", "get_catalog_state")
	want(t, "sysrole", a.get("Data.31.sysrole"), any("14"))
	want(t, "system_role", a.has("Data.31.system_role"), false)
}

func TestWallClockThatDSTSkipsStaysAsItIs(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	const gap = "2026-03-29 03:30:00" // Kyiv goes from 03:00 to 04:00
	f.ok("task", "change_date_work", "id", "100", "value", gap)
	want(t, "todo", f.ok("task", "show", "id", "100").get("data.date.todo"), any(gap))
	task, _ := f.Task(100)
	want(t, "wall", task.TodoWall, gap)
	if err := f.MoveTaskWall(100, "2026-10-25 03:30:00"); err != nil {
		t.Fatal(err)
	}
	want(t, "overlap", f.ok("task", "show", "id", "100").get("data.date.todo"), any("2026-10-25 03:30:00"))
	if err := f.MoveTaskWall(100, "soon"); err == nil {
		t.Error("a wall time that is none was taken")
	}
}

func TestErrorStatus(t *testing.T) {
	f := setup(t, nil)
	for _, c := range []struct {
		status      int
		cat, action string
		params      []string
	}{
		{http.StatusNotFound, "nothing", "x", nil},
		{http.StatusNotFound, "task", "x", nil},
		{http.StatusBadRequest, "task", "show", nil},
		{http.StatusBadRequest, "task", "get_list", []string{"date_do_from", "yesterday"}},
		{http.StatusBadRequest, "task", "get_list", []string{"order_by", "name"}},
		{http.StatusNotFound, "task", "delete", []string{"id", "5"}},
	} {
		a := f.post(c.cat, c.action, c.params...)
		if a.status != c.status || a.body["result"] != "ERROR" || a.body["error"] == "" {
			t.Errorf("%s/%s: %d %s", c.cat, c.action, a.status, a.text)
		}
	}
	f = setup(t, newWith(func(sp *Spelling) { sp.ErrorStatus = 500; sp.ErrorKey = "Error" }))
	a := f.post("task", "x")
	if a.status != 500 || a.body["Error"] == nil {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestStartByInstantIsWrittenInTheERPsZone(t *testing.T) {
	f := setup(t, nil)
	id := f.AddTask(Task{TypeID: 20, Todo: time.Date(2026, 7, 1, 12, 0, 0, 500, time.UTC)})
	want(t, "todo", f.ok("task", "show", "id", key(id)).get("data.date.todo"), any("2026-07-01 15:00:00"))
}
