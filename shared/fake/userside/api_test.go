package userside

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOldGenerationUnderstandsOnlySubcat(t *testing.T) {
	f := setup(t, oldERP)
	v := form("key", testKey, "cat", "system", "action", "get_system_info")
	want(t, "action alone", f.do(postForm("/api.php", v)).status, http.StatusNotFound)
	v.Set("subcat", "get_system_info")
	want(t, "subcat", f.do(postForm("/api.php", v)).status, http.StatusOK)
	f = setup(t, nil)
	v = form("key", testKey, "cat", "system", "subcat", "get_system_info")
	want(t, "subcat in the new one", f.do(postForm("/api.php", v)).status, http.StatusNotFound)
}

func TestKeyIsAcceptedInBodyAndQuery(t *testing.T) {
	f := setup(t, nil)
	get := func(q string) answer { return f.do(httptest.NewRequest(http.MethodGet, "/api.php?"+q, nil)) }
	body := func(url string, pairs ...string) answer { return f.do(postForm(url, form(pairs...))) }
	const call = "cat=system&action=get_system_info"
	want(t, "query", get(call+"&key="+testKey).status, http.StatusOK)
	want(t, "body", body("/api.php?"+call, "key", testKey).status, http.StatusOK)
	want(t, "none", get(call).status, http.StatusForbidden)
	want(t, "wrong", body("/api.php?"+call, "key", "other").status, http.StatusForbidden)
	want(t, "wrong in the body wins", body("/api.php?"+call+"&key="+testKey, "key", "other").status, http.StatusForbidden)
}

func TestKeyInQueryOnly(t *testing.T) {
	f := setup(t, func(o *Options) { o.KeyInQuery = true })
	want(t, "body", f.post("system", "get_system_info").status, http.StatusForbidden)
	r := postForm("/api.php?key="+testKey, form("cat", "system", "action", "get_system_info"))
	want(t, "query", f.do(r).status, http.StatusOK)
	want(t, "log", f.Requests(nil)[1].KeyIn, "query")
}

func TestKeyLimitedToAnAddress(t *testing.T) {
	f := setup(t, func(o *Options) { o.KeyIP = "203.0.113.9" })
	want(t, "other", f.post("system", "get_system_info").status, http.StatusForbidden)
	r := postForm("/api.php", form("key", testKey, "cat", "system", "action", "get_system_info"))
	r.RemoteAddr = "203.0.113.9:4711"
	want(t, "own", f.do(r).status, http.StatusOK)
}

func TestSectionAllowList(t *testing.T) {
	f := setup(t, func(o *Options) { o.Sections = []string{"task"} })
	want(t, "employee", f.post("employee", "get_data").status, http.StatusForbidden)
	want(t, "task", f.post("task", "get_list").status, http.StatusOK)
}

func TestLastOfARepeatedParameterCounts(t *testing.T) {
	f := setup(t, nil)
	r := httptest.NewRequest(http.MethodGet, "/api.php?cat=task&cat=employee&action=get_data&id=11&id=10&key="+testKey, nil)
	a := f.do(r)
	if a.status != http.StatusOK || !a.has("data.10") || a.has("data.11") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestMultipartFormIsRead(t *testing.T) {
	f := setup(t, nil)
	var buf bytes.Buffer
	mw := multipart.NewWriter(&buf)
	for k, v := range map[string]string{"key": testKey, "cat": "system", "action": "get_system_info"} {
		if err := mw.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := mw.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/api.php", &buf)
	r.Header.Set("Content-Type", mw.FormDataContentType())
	want(t, "status", f.do(r).status, http.StatusOK)
}

func TestVeryLongURLIsRefused(t *testing.T) {
	f := setup(t, nil)
	r := httptest.NewRequest(http.MethodGet, "/api.php?cat=task&action=show&id="+strings.Repeat("1,", 4000), nil)
	want(t, "status", f.do(r).status, http.StatusRequestURITooLong)
}

func TestGetListFilters(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20, StateID: 30, Todo: f.at(24), Created: f.at(-48), Executors: []int64{10}, Customers: []Customer{{ID: 70}}})
	f.clock.add(time.Hour)
	f.AddTask(Task{ID: 101, TypeID: 21, StateID: 31, Todo: f.at(-24), Created: f.at(-24), Divisions: []int64{1}, DeadlineHours: 48})
	f.clock.add(time.Hour)
	f.AddTask(Task{ID: 102, TypeID: 21, StateID: 30, Todo: f.at(-48), Created: f.at(-60), Executors: []int64{11}, Divisions: []int64{2}})
	f.clock.add(time.Hour)
	f.AddTask(Task{ID: 103, TypeID: 20, StateID: 30, Created: f.at(-70)})
	if err := f.CloseTask(103); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ filter, list string }{
		{"", "100,101,102,103"},
		{"employee_id=10", "100"},
		{"employee_id=10,11", "100,102"},
		{"employee_id=-1", "101,103"},
		{"employee_id=-1,11", "101,102,103"},
		{"staff_id=10", "100,101,102,103"}, // the old name is not known here
		{"division_id=1", "101"},
		{"division_id=1,2", "101,102"},
		{"division_id_with_staff=1", "100,101"},
		{"state_id=31,32", "101,103"},
		{"type_id=21", "101,102"},
		{"customer_id=70", "100"},
		{"date_do_from=2026-11-22 00:00:00", "100"},
		{"date_do_from=2026-11-21 10:00:00&date_do_to=2026-11-23 10:00:00", "100,101"},
		{"date_do_to=2026-11-20", "102"}, // the whole day
		{"date_do_to=21.11.2026", "101,102"},
		{"date_add_from=2026-11-21 10:00", "101"},
		{"date_add_to=20.11.2026 10:00", "100,102,103"},
		{"date_change_from=2026-11-22 11:00:00&date_change_to=2026-11-22 12:00:00", "101,102"},
		{"date_change_from=2026-11-22 12:00:01", "103"},
		{"date_finish_from=2026-11-22", "103"},
		{"date_finish_to=2026-11-21", ""},
		{"is_expired=1", "102"},
		{"is_expired=0&state_id=31", "101"},
		{"order_by=date_do", "103,102,101,100"},
		{"order_by=date_add", "103,102,100,101"},
		{"order_by=date_change", "100,101,102,103"},
		{"order_by=date_finish", "100,101,102,103"},
		{"order_by=state_id", "100,102,101,103"},
		{"order_by=type_id", "100,103,101,102"},
		{"limit=2", "100,101"},
		{"limit=2&offset=1", "101,102"},
		{"offset=3", "103"},
		{"offset=9", ""},
		{"state_id=999", ""},
	} {
		var pairs []string
		for _, p := range strings.Split(c.filter, "&") {
			k, v, _ := strings.Cut(p, "=")
			pairs = append(pairs, k, v)
		}
		a := f.ok("task", "get_list", pairs...)
		want(t, c.filter, a.body["list"], any(c.list))
		n := 0
		if c.list != "" {
			n = strings.Count(c.list, ",") + 1
		}
		want(t, c.filter+" count", a.body["count"], any(float64(n)))
		want(t, c.filter+" data", a.has("data"), false)
	}
}

func TestOldNameOfTheExecutorFilter(t *testing.T) {
	f := setup(t, oldERP)
	f.AddTask(Task{ID: 100, TypeID: 20, Executors: []int64{10}})
	f.AddTask(Task{ID: 101, TypeID: 20})
	want(t, "staff_id", f.list("staff_id", "10"), "100")
	want(t, "employee_id", f.list("employee_id", "10"), "100,101")
	want(t, "count", f.ok("task", "get_list").body["count"], any("2"))
}

func TestDepartmentFilterKnowsOnlyPresentMembers(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20, Executors: []int64{10}})
	want(t, "past division", f.list("division_id_with_staff", "2"), "")
	if err := f.SetMembership(10, 1, false); err != nil {
		t.Fatal(err)
	}
	want(t, "left", f.list("division_id_with_staff", "1"), "")
}

func TestShowSeveralGivesErrorForTheUnknown(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	a := f.ok("task", "show", "id", "100,555")
	want(t, "known", a.get("data.100.id"), any(100.))
	want(t, "unknown", a.get("data.555"), any("error"))
}

func TestShowOneUnknownHasNoData(t *testing.T) {
	f := setup(t, nil)
	if a := f.ok("task", "show", "id", "555"); a.has("data") {
		t.Error(a.text)
	}
	f = setup(t, newWith(func(sp *Spelling) { sp.UnknownTask = UnknownTaskError }))
	if a := f.post("task", "show", "id", "555"); a.has("data") || a.status != http.StatusNotFound || a.body["result"] != "ERROR" {
		t.Error(a.text)
	}
}

func TestShowWithoutComments(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	want(t, "with", f.ok("task", "show", "id", "100").has("data.comments"), true)
	want(t, "with", f.ok("task", "show", "id", "100", "is_without_comments", "0").has("data.comments"), true)
	want(t, "without", f.ok("task", "show", "id", "100", "is_without_comments", "1").has("data.comments"), false)
}

func TestShowWithEmployeeWritesViewedIntoTheHistory(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	before, _ := f.Task(100)
	f.ok("task", "show", "id", "100")
	want(t, "quiet reading", len(f.Viewed(100)), 0)
	f.ok("task", "show", "id", "100", "employee_id", "10")
	if got := f.Viewed(100); !slices.Equal(got, []int64{10}) {
		t.Errorf("viewed: %v", got)
	}
	after, _ := f.Task(100)
	want(t, "date.update", after.Updated, before.Updated)
}

func TestEmployeesByID(t *testing.T) {
	f := setup(t, nil)
	a := f.ok("employee", "get_data", "id", "10,999")
	want(t, "keyed even for one", a.get("data.10.id"), any(10.))
	want(t, "others", len(a.data()), 1)
	want(t, "everybody", len(f.ok("employee", "get_data").data()), 2)
}

func TestNewGenerationWritesByPostOnly(t *testing.T) {
	for name, ep := range endpoints {
		if !ep.write {
			continue
		}
		f := setup(t, nil)
		f.AddTask(Task{ID: 100, TypeID: 20, Executors: []int64{10}})
		before, _ := f.Task(100)
		cat, action, _ := strings.Cut(name, "/")
		f.hook.take()
		v := form("key", testKey, "cat", cat, "action", action, "id", "100", "value", "2026-11-25 10:00:00", "state_id", "32",
			"employee_id", "10", "division_id", "1", "work_typer", "20", "cat_id", "1", "field_id", "1", "object_id", "10")
		a := f.do(httptest.NewRequest(http.MethodGet, "/api.php?"+v.Encode(), nil))
		after, _ := f.Task(100)
		if a.status != http.StatusMethodNotAllowed || fmt.Sprint(before) != fmt.Sprint(after) || len(f.Tasks()) != 1 || len(f.hook.take()) != 0 {
			t.Errorf("%s by GET: %d %s", name, a.status, a.text)
		}
	}
}

func TestOldGenerationWritesByGetToo(t *testing.T) {
	f := setup(t, oldERP)
	f.AddTask(Task{ID: 100, TypeID: 20})
	v := form("key", testKey, "cat", "task", "subcat", "delete", "id", "100")
	want(t, "status", f.do(httptest.NewRequest(http.MethodGet, "/api.php?"+v.Encode(), nil)).status, http.StatusOK)
	want(t, "tasks", len(f.Tasks()), 0)
}

func TestTaskWrites(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20, Description: "old"})
	for _, c := range []struct {
		action string
		params []string
		check  func(Task) bool
	}{
		{"change_date_work", []string{"value", "25.12.2026 08:30"}, func(k Task) bool { return k.TodoWall == "2026-12-25 08:30:00" && !k.Todo.IsZero() }},
		{"change_date_work", []string{"value", ""}, func(k Task) bool { return k.TodoWall == "" && k.Todo.IsZero() }},
		{"change_state", []string{"state_id", "32"}, func(k Task) bool { return k.StateID == 32 && !k.Completed.IsZero() }},
		{"change_state", []string{"state_id", "31"}, func(k Task) bool { return k.StateID == 31 && k.Completed.IsZero() }},
		{"employee_add", []string{"employee_id", "11"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{11}) }},
		{"employee_add", []string{"employee_id", "10"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{10, 11}) }},
		{"employee_add", []string{"employee_id", "10"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{10, 11}) }},
		{"employee_delete", []string{"employee_id", "11"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{10}) }},
		{"division_add", []string{"division_id", "2"}, func(k Task) bool { return slices.Equal(k.Divisions, []int64{2}) }},
		{"division_delete", []string{"division_id", "2"}, func(k Task) bool { return len(k.Divisions) == 0 }},
		{"edit", []string{"opis", "new", "work_typer", "21"}, func(k Task) bool { return k.Description == "new" && k.TypeID == 21 }},
		{"edit", []string{"work_datedo", "2026-12-01 10:00:00"}, func(k Task) bool { return k.Description == "new" && k.TodoWall == "2026-12-01 10:00:00" }},
	} {
		f.clock.add(time.Minute)
		f.ok("task", c.action, append([]string{"id", "100"}, c.params...)...)
		k, _ := f.Task(100)
		if !c.check(k) || !k.Updated.Equal(f.clock.now()) {
			t.Errorf("%s %v: %+v", c.action, c.params, k)
		}
		got := f.hook.take()
		if last := got[len(got)-1]; last.Type != TaskChanged || !slices.Equal(last.IDs, []int64{100}) {
			t.Errorf("%s: hook %v", c.action, got)
		}
	}
	f.ok("task", "delete", "id", "100")
	if got := f.hook.take(); len(got) != 1 || got[0].Type != TaskDeleted {
		t.Errorf("hook %v", got)
	}
	want(t, "tasks", len(f.Tasks()), 0)
}

func TestTaskAddReturnsItsId(t *testing.T) {
	f := setup(t, nil)
	a := f.ok("task", "add", "work_typer", "21", "work_datedo", "2026-11-30 09:00:00", "employee_id", "10", "division_id", "1", "opis", "text", "customer_id", "7")
	id, ok := a.body["Id"].(float64)
	if !ok {
		t.Fatal(a.text)
	}
	k, _ := f.Task(int64(id))
	if k.TypeID != 21 || k.TodoWall != "2026-11-30 09:00:00" || !slices.Equal(k.Executors, []int64{10}) ||
		!slices.Equal(k.Divisions, []int64{1}) || k.Description != "text" || k.StateID != 30 || k.Customers[0].ID != 7 {
		t.Errorf("%+v", k)
	}
}

func TestWritesRefuseWhatDoesNotExist(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	f.hook.take()
	before, _ := f.Task(100)
	for _, c := range []struct{ cat, action, params string }{
		{"task", "change_state", "id=100&state_id=99"},
		{"task", "change_state", "id=100"},
		{"task", "change_date_work", "id=100"},
		{"task", "change_date_work", "id=100&value=soon"},
		{"task", "change_date_work", "id=5&value=2026-11-30"},
		{"task", "employee_add", "id=100&employee_id=99"},
		{"task", "employee_add", "id=100"},
		{"task", "employee_delete", "id=100"},
		{"task", "division_add", "id=100&division_id=99"},
		{"task", "division_delete", "id=100&division_id=x"},
		{"task", "add", "opis=no+type"},
		{"task", "add", "work_typer=99"},
		{"task", "edit", "id=100&work_typer=99"},
		{"task", "delete", "id=1,2"},
		{"additional_data", "change_value", "cat_id=1&field_id=99&object_id=10&value=1"},
		{"additional_data", "change_value", "cat_id=1&field_id=1&object_id=99&value=1"},
		{"additional_data", "change_value", "cat_id=1&field_id=1&object_id=10"},
		{"additional_data", "change_value", "field_id=1&object_id=10&value=1"},
	} {
		r := postForm("/api.php?"+c.params, form("key", testKey, "cat", c.cat, "action", c.action))
		if a := f.do(r); a.status < 400 || a.body["result"] != "ERROR" {
			t.Errorf("%s %s: %d %s", c.action, c.params, a.status, a.text)
		}
	}
	after, _ := f.Task(100)
	if fmt.Sprint(before) != fmt.Sprint(after) || len(f.hook.take()) != 0 || len(f.Tasks()) != 1 {
		t.Error("a refused write left a trace")
	}
}

func TestChangeValueSetsAnEmployeesField(t *testing.T) {
	f := setup(t, nil)
	f.ok("additional_data", "change_value", "cat_id", "4", "field_id", "2", "object_id", "10", "value", "cal/1@x")
	e, _ := f.Employee(10)
	want(t, "field", e.Fields[2], "cal/1@x")
	want(t, "escaped", f.ok("employee", "get_data").get("data.10.additional_data.2.value"), any("cal&#047;1@x"))
	if got := f.hook.take(); len(got) != 1 || got[0].Type != EmployeeChanged || got[0].IDs[0] != 10 {
		t.Errorf("hook %v", got)
	}
}

func TestSkipInternalAPIFiresNoHook(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	f.hook.take()
	f.ok("task", "change_date_work", "id", "100", "value", "2026-11-30", "skip_internal_api", "1")
	f.ok("task", "add", "work_typer", "20", "skip_internal_api", "1")
	f.ok("additional_data", "change_value", "cat_id", "4", "field_id", "2", "object_id", "10", "value", "x", "skip_internal_api", "1")
	f.ok("task", "delete", "id", "100", "skip_internal_api", "1")
	if got := f.hook.take(); len(got) != 0 {
		t.Errorf("hook %v", got)
	}
	f.ok("additional_data", "change_value", "cat_id", "4", "field_id", "2", "object_id", "10", "value", "y", "skip_internal_api", "0")
	want(t, "with 0", len(f.hook.take()), 1)
}

func TestRequestLog(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	f.ok("task", "show", "id", "100")
	f.clock.add(time.Minute)
	f.ok("task", "change_state", "id", "100", "state_id", "32", "skip_internal_api", "1")
	f.post("task", "show")
	all := f.Requests(nil)
	want(t, "count", len(all), 3)
	if strings.Contains(fmt.Sprintf("%+v", all), testKey) {
		t.Error("the key is in the log")
	}
	r := f.Requests(Writes)[0]
	if r.Action != "change_state" || !r.Write || !r.Silent || r.Method != http.MethodPost || r.KeyIn != "body" ||
		r.Status != http.StatusOK || r.Params["state_id"] != "32" || !r.Time.Equal(f.clock.now()) {
		t.Errorf("%+v", r)
	}
	shows := f.Requests(Call("task", "show"))
	if len(shows) != 2 || shows[0].Write || shows[0].Silent || shows[1].Status != http.StatusBadRequest {
		t.Errorf("%+v", shows)
	}
	shows[0].Params["id"] = "changed"
	want(t, "copies", f.Requests(nil)[0].Params["id"], "100")
	f.ResetRequests()
	want(t, "reset", len(f.Requests(nil)), 0)
}

func TestRequestLogIsBounded(t *testing.T) {
	f := setup(t, func(o *Options) { o.LogLimit = 10 })
	for i := range 25 {
		f.ok("task", "get_list", "limit", fmt.Sprint(i+1))
	}
	got := f.Requests(nil)
	if len(got) > 10 || got[len(got)-1].Params["limit"] != "25" {
		t.Errorf("%d, last %v", len(got), got[len(got)-1].Params)
	}
}
