package userside

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHTMLPageInsteadOfJSON(t *testing.T) {
	f := setup(t, nil)
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError} {
		f.Inject(Rule{Fault: HTMLPage(status)})
		a := f.post("task", "get_list")
		if a.status != status || a.body != nil || !strings.Contains(a.text, "<!DOCTYPE html>") {
			t.Errorf("%d %s", a.status, a.text)
		}
		f.ok("task", "get_list") // one call only
	}
}

func TestTruncatedJSON(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: Truncated()})
	a := f.post("employee", "get_data")
	if a.status != http.StatusOK || json.Valid([]byte(a.text)) || !strings.HasPrefix(a.text, "{") {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestErrorResultWithText(t *testing.T) {
	f := setup(t, oldERP)
	f.Inject(Rule{Cat: "task", Action: "show", Fault: ErrorResult("database is away", 0)})
	a := f.post("task", "show", "id", "1")
	if a.status != http.StatusOK || a.body["Result"] != "ERROR" || a.body["ErrorText"] != "database is away" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestOtherStatusWithAGoodBody(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: Status(502)})
	a := f.post("employee", "get_data")
	if a.status != 502 || a.body["result"] != "OK" || len(a.data()) != 2 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func TestEmptyAndHalfLists(t *testing.T) {
	f := setup(t, nil)
	for id := range int64(5) {
		f.AddTask(Task{ID: 100 + id, TypeID: 20})
	}
	f.Inject(Rule{Action: "get_list", Fault: EmptyList()})
	a := f.ok("task", "get_list")
	want(t, "list", a.body["list"], any(""))
	want(t, "count", a.body["count"], any(0.))
	f.Inject(Rule{Action: "get_list", Fault: HalfList()})
	a = f.ok("task", "get_list")
	want(t, "half", a.body["list"], any("100,101"))
	want(t, "count", a.body["count"], any(2.))
	f.Inject(Rule{Action: "get_data", Fault: EmptyList()})
	if a := f.ok("employee", "get_data"); !strings.Contains(a.text, `"data":[]`) {
		t.Error(a.text)
	}
	f.Inject(Rule{Action: "get_data", Fault: HalfList()})
	if a := f.ok("employee", "get_data"); len(a.data()) != 1 || !a.has("data.10") {
		t.Error(a.text)
	}
	f.Inject(Rule{Action: "show", Fault: HalfList()})
	if a := f.ok("task", "show", "id", "100,101,102,103"); len(a.data()) != 2 {
		t.Error(a.text)
	}
}

func TestMissingNamedKeys(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	for _, c := range []struct{ cat, action, id, path, where string }{
		{"employee", "get_data", "", "data", "data"},
		{"task", "get_list", "", "list", "list"},
		{"task", "get_list", "", "result", "result"},
		{"task", "show", "100", "staff", "data.staff"},
		{"task", "show", "100", "staff.employee", "data.staff.employee"},
		{"task", "show", "100,101", "date.todo", "data.100.date.todo"},
		{"employee", "get_data", "", "email", "data.10.email"},
		{"employee", "get_data", "", "11.is_work", "data.11.is_work"},
		{"employee", "get_data", "", "additional_data.1", "data.10.additional_data.1"},
		{"task", "get_catalog_state", "", "31", "data.31"},
	} {
		call := func() answer { return f.post(c.cat, c.action, "id", c.id) }
		if !call().has(c.where) {
			t.Fatalf("%s is never there", c.where)
		}
		f.Inject(Rule{Cat: c.cat, Action: c.action, Fault: Missing(c.path)})
		if a := call(); a.body == nil || a.has(c.where) {
			t.Errorf("%s still there: %s", c.where, a.text)
		}
		if !call().has(c.where) {
			t.Errorf("%s was cut out of the state", c.where)
		}
	}
	f.Inject(Rule{Fault: Missing("11.is_work")})
	if a := f.ok("employee", "get_data"); !a.has("data.10.is_work") {
		t.Error("a path with an id must hit that id only")
	}
}

func TestReplaceAndUnknownState(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(f.fullTask())
	f.Inject(Rule{Fault: Replace("email", nil)})
	a := f.ok("employee", "get_data")
	if !a.has("data.10.email") || a.get("data.10.email") != nil {
		t.Error(a.text)
	}
	f.Inject(Rule{Fault: UnknownState(99)})
	want(t, "state", f.ok("task", "show", "id", "100").get("data.state.id"), any(99.))
	f = setup(t, oldERP)
	f.AddTask(f.fullTask())
	f.Inject(Rule{Fault: UnknownState(99)})
	want(t, "state", f.ok("task", "show", "id", "100").get("Data.state.id"), any("99"))
}

func TestRoleGoneFromTheCatalogue(t *testing.T) {
	f := setup(t, oldERP)
	f.Inject(Rule{Count: -1, Fault: RoleGone(RoleInProgress)})
	a := f.ok("task", "get_catalog_state")
	if a.has("Data.31") || !a.has("Data.30") {
		t.Error(a.text)
	}
	f.ClearFaults()
	want(t, "afterwards", f.ok("task", "get_catalog_state").has("Data.31"), true)
}

func TestStateThatChangedItsRole(t *testing.T) {
	for _, gen := range []func(*Options){nil, oldERP} {
		f := setup(t, gen)
		f.AddTask(f.fullTask()) // state 31
		f.Inject(Rule{Count: -1, Fault: StateRole(31, RolePostponed)})
		text := f.ok("task", "get_catalog_state").text + f.ok("task", "show", "id", "100").text + f.ok("task", "show", "id", "100,1").text
		if strings.Contains(text, `:14`) || strings.Contains(text, `:"14"`) || strings.Count(text, "15") < 3 {
			t.Error(text)
		}
	}
	// Without a false answer: the admin edits the catalogue.
	f := setup(t, nil)
	f.AddState(TaskState{ID: 31, Name: "Running", Role: RolePostponed})
	want(t, "role", f.ok("task", "get_catalog_state").get("data.31.system_role"), any(float64(RolePostponed)))
	f.DeleteState(31)
	f.AddTask(f.fullTask())
	if a := f.ok("task", "show", "id", "100"); a.get("data.state.id") != 31. || a.has("data.state.system_role") {
		t.Error(a.text)
	}
}

func TestWrongClockOffset(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: ClockOffset(-time.Hour)})
	a := f.ok("system", "get_system_info")
	want(t, "string", a.get("data.date_time_string"), any("2026-11-22 09:00:00"))
	want(t, "unix", a.get("data.date_time_unix"), any(float64(f.at(0).Unix())))
}

func TestRedirectToLoginPage(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: RedirectToLogin()})
	srv := httptest.NewServer(http.StripPrefix("/erp", f))
	defer srv.Close()
	res, err := clientOf(srv).PostForm(srv.URL+"/erp/api.php", form("key", testKey))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Request.URL.Path != "/erp/login" || !strings.Contains(string(body), "Password") {
		t.Errorf("led to %s: %s", res.Request.URL, body)
	}
	want(t, "logged status", f.Requests(nil)[0].Status, http.StatusFound)
}

func TestRulesCountTheCallsTheyFit(t *testing.T) {
	f := setup(t, nil)
	remove := f.Inject(Rule{Cat: "task", Action: "get_list", Nth: 2, Count: 2, Fault: Status(503),
		Where: func(p map[string]string) bool { return p["state_id"] == "30" }})
	var got []int
	for range 5 {
		got = append(got, f.post("task", "get_list", "state_id", "30").status)
		f.ok("task", "get_list", "state_id", "31")
		f.ok("employee", "get_data")
	}
	for i, status := range []int{200, 503, 503, 200, 200} {
		want(t, "call", got[i], status)
	}
	remove()
	remove = f.Inject(Rule{Count: -1, Fault: Status(503)})
	want(t, "for ever", f.post("task", "get_list").status+f.post("employee", "get_data").status, 1006)
	remove()
	f.ok("task", "get_list")
	if log := f.Requests(func(r Request) bool { return r.Fault != "" }); len(log) != 4 || log[0].Fault != "status" {
		t.Errorf("%+v", log)
	}
}

func TestReplyLostAfterTheEffect(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20})
	f.hook.take()
	f.Inject(Rule{Fault: HTMLPage(500)})
	f.post("task", "delete", "id", "100")
	want(t, "before the effect", len(f.Tasks()), 1)
	f.Inject(Rule{AfterEffect: true, Fault: HTMLPage(500)})
	want(t, "status", f.post("task", "delete", "id", "100").status, 500)
	want(t, "after the effect", len(f.Tasks()), 0)
	want(t, "hook", len(f.hook.take()), 1)
}

func TestDroppedConnection(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: Drop()})
	srv := httptest.NewServer(f)
	defer srv.Close()
	res, err := clientOf(srv).PostForm(srv.URL+"/api.php", form("key", testKey, "cat", "task", "action", "get_list"))
	if err == nil {
		res.Body.Close()
		t.Fatal("an answer came")
	}
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	f.ok("task", "get_list")
}

func TestDroppedConnectionThatCannotBeTakenOver(t *testing.T) {
	f := setup(t, nil)
	f.Inject(Rule{Fault: Drop()})
	defer func() {
		got := recover()
		if err, ok := got.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v", got)
		}
	}()
	f.post("task", "get_list")
}

func TestDelayAndHangInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := setup(t, func(o *Options) { o.Now = time.Now })
		f.Inject(Rule{Fault: Delay(40 * time.Second)})
		began := time.Now()
		f.ok("task", "get_list")
		want(t, "delay", time.Since(began), 40*time.Second)

		f.Inject(Rule{Fault: Hang()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		w := httptest.NewRecorder()
		f.ServeHTTP(w, postForm("/api.php", form("key", testKey)).WithContext(ctx))
		want(t, "hang", time.Since(began), time.Minute)
		want(t, "answer", w.Body.Len(), 0)

		// A delay that the client does not wait for has no effect.
		f.AddTask(Task{ID: 100, TypeID: 20})
		f.Inject(Rule{Fault: Delay(time.Hour)})
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		v := form("key", testKey, "cat", "task", "action", "delete", "id", "100")
		f.ServeHTTP(httptest.NewRecorder(), postForm("/api.php", v).WithContext(ctx))
		want(t, "tasks", len(f.Tasks()), 1)
	})
}

func TestCommitDelayFiresTheHookBeforeTheChangeIsVisible(t *testing.T) {
	f := setup(t, nil)
	f.AddTask(Task{ID: 100, TypeID: 20, StateID: 30})
	f.AddTask(Task{ID: 101, TypeID: 20, StateID: 30})
	f.hook.take()
	f.SetCommitDelay(5 * time.Second)
	if err := f.CloseTask(100); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteTask(101); err != nil {
		t.Fatal(err)
	}
	f.AddTask(Task{ID: 102, TypeID: 20})
	if err := f.SetField(10, 1, "0"); err != nil {
		t.Fatal(err)
	}
	want(t, "hooks", len(f.hook.take()), 4)
	check := func(when string, list string, state float64, field string) {
		t.Helper()
		want(t, when, f.list(), list)
		want(t, when, f.ok("task", "show", "id", "100,1").get("data.100.state.id"), any(state))
		want(t, when, f.ok("employee", "get_data").get("data.10.additional_data.1.value"), any(field))
	}
	check("before", "100,101", 30, "1")
	f.clock.add(4 * time.Second)
	// A second change inside the delay must not let the first one through early.
	if err := f.MoveTask(100, f.at(50)); err != nil {
		t.Fatal(err)
	}
	check("still before", "100,101", 30, "1")
	f.clock.add(time.Second)
	check("first delay over", "100,102", 30, "0")
	f.clock.add(4 * time.Second)
	check("all over", "100,102", 32, "0")
	// The change is dated when it was made, not when it came to light.
	k, _ := f.Task(100)
	want(t, "date.update", k.Updated, f.at(0).Add(4*time.Second))
	f.ClearFaults()
	if err := f.ReopenTask(100); err != nil {
		t.Fatal(err)
	}
	check("no delay", "100,102", 30, "0")
}
