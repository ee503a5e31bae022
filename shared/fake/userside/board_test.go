package userside

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browser is the fixture behind a real server under a prefix, as a host mounts it.
type browser struct {
	*fixture
	base   string
	client *http.Client
}

func browse(t *testing.T) browser {
	t.Helper()
	f := setup(t, nil)
	SampleCompany(f.Server, f.clock.now())
	srv := httptest.NewServer(http.StripPrefix("/erp", f))
	t.Cleanup(srv.Close)
	return browser{f, srv.URL + "/erp/", clientOf(srv)}
}

// open gets a page and its text.
func (b browser) open(path string) (int, string, *http.Response) {
	b.t.Helper()
	res, err := b.client.Get(b.base + path)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.read(res)
}

func (b browser) read(res *http.Response) (int, string, *http.Response) {
	b.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(body), res
}

// submit posts a form, follows the redirect and says where it led.
func (b browser) submit(path string, pairs ...string) (int, string) {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	res, err := b.client.PostForm(b.base+path, v)
	if err != nil {
		b.t.Fatal(err)
	}
	status, _, res := b.read(res)
	return status, strings.TrimPrefix(res.Request.URL.String(), b.base)
}

func TestBoardShowsTheDays(t *testing.T) {
	b := browse(t)
	if err := b.UpdateTask(1030, func(k *Task) {
		k.TodoWall, k.Address = "2026-11-24 09:15:00", Address{Text: "Board <b>St</b>, 7", Apartment: "8"}
		k.StateID, k.TypeID, k.RuntimeHours, k.Executors, k.Divisions = 12, 303, 3, []int64{206}, []int64{SampleFibre}
	}); err != nil {
		t.Fatal(err)
	}
	status, page, res := b.open("?from=2026-11-24&days=1")
	want(t, "status", status, http.StatusOK)
	for _, text := range []string{"09:15–12:15", "Fibre splicing", "Board &lt;b&gt;St&lt;/b&gt;, 7, 8", "On the way", "O&#39;Hara M.", "Fibre &amp; network", `action="./tasks/1030/move"`} {
		if !strings.Contains(page, text) {
			t.Errorf("%q is not on the board", text)
		}
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Error(csp)
	}
	if _, page, _ = b.open("?from=2026-11-25&days=1"); strings.Contains(page, "tasks/1030/") {
		t.Error("the task is on the wrong day")
	}
	if err := b.CloseTask(1030); err != nil {
		t.Fatal(err)
	}
	if _, page, _ = b.open("?from=2026-11-24&days=1"); strings.Contains(page, "tasks/1030/") {
		t.Error("a closed task shows without being asked for")
	}
	if _, page, _ = b.open("?from=2026-11-24&days=1&closed=1"); !strings.Contains(page, "tasks/1030/reopen") {
		t.Error("a closed task does not show")
	}
	if _, page, _ = b.open("?from=2026-11-24&days=1&closed=1&division=101"); strings.Contains(page, "tasks/1030/") {
		t.Error("the department filter lets a strange task through")
	}
	if _, page, _ = b.open("?days=1&from=2026-01-01"); !strings.Contains(page, "tasks/1024/move") {
		t.Error("a task without a date must be offered whatever the days are")
	}
}

func TestBoardByEmployeeShowsATaskInEachExecutorsRow(t *testing.T) {
	b := browse(t)
	if err := b.UpdateTask(1030, func(k *Task) {
		k.TodoWall, k.StateID, k.Executors = "2026-11-24 09:15:00", 3, []int64{202, 206, SampleDismissed}
	}); err != nil {
		t.Fatal(err)
	}
	_, page, _ := b.open("?view=people&from=2026-11-24&days=1")
	want(t, "cards", strings.Count(page, `data-task="1030"`), 3)
	for _, from := range []string{"202", "206", "212"} {
		if !strings.Contains(page, `data-task="1030" data-from="`+from+`"`) {
			t.Errorf("no card of %s", from)
		}
	}
	if !strings.Contains(page, "No executor") || !strings.Contains(page, `data-to="201"`) {
		t.Error("an employee without tasks and the row for nobody must be there")
	}
}

func TestBoardForms(t *testing.T) {
	b := browse(t)
	const id = 1030
	task := func() Task { k, _ := b.Task(id); return k }
	back := "?days=3&from=2026-11-24&view=days"
	for _, c := range []struct {
		path  string
		form  []string
		check func(Task) bool
	}{
		{"tasks/1030/move", []string{"todo", "2026-12-05T07:45"}, func(k Task) bool { return k.TodoWall == "2026-12-05 07:45:00" }},
		{"tasks/1030/drop", []string{"date", "2026-12-06"}, func(k Task) bool { return k.TodoWall == "2026-12-06 07:45:00" }},
		{"tasks/1030/drop", []string{"undate", "1"}, func(k Task) bool { return k.TodoWall == "" && k.Todo.IsZero() }},
		{"tasks/1030/drop", []string{"date", "2026-12-07"}, func(k Task) bool { return k.TodoWall == "2026-12-07 09:00:00" }},
		{"tasks/1030/move", []string{"day", "2026-12-07", "time", "13:30"}, func(k Task) bool { return k.TodoWall == "2026-12-07 13:30:00" }},
		{"tasks/1030/move", []string{"day", "2026-12-08", "time", ""}, func(k Task) bool { return k.TodoWall == "2026-12-08 09:00:00" }},
		{"tasks/1030/move", []string{"day", "", "time", "10:00"}, func(k Task) bool { return k.TodoWall == "" }},
		{"tasks/1030/move", []string{"todo", ""}, func(k Task) bool { return k.TodoWall == "" }},
		{"tasks/1030/assign", []string{"executor", "202", "executor", "203", "division", "101"}, func(k Task) bool {
			return slices.Equal(k.Executors, []int64{202, 203}) && slices.Equal(k.Divisions, []int64{101})
		}},
		{"tasks/1030/drop", []string{"from", "203", "to", "206", "date", "2026-12-08"}, func(k Task) bool {
			return slices.Equal(k.Executors, []int64{202, 206}) && k.TodoWall == "2026-12-08 09:00:00"
		}},
		{"tasks/1030/drop", []string{"from", "206", "to", "206", "date", "2026-12-09"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{202, 206}) }},
		{"tasks/1030/drop", []string{"from", "202", "to", "0"}, func(k Task) bool { return slices.Equal(k.Executors, []int64{206}) }},
		{"tasks/1030/drop", []string{"to", "207"}, func(k Task) bool {
			return slices.Equal(k.Executors, []int64{207}) && k.TodoWall == "2026-12-09 09:00:00"
		}},
		{"tasks/1030/assign", nil, func(k Task) bool { return len(k.Executors) == 0 && len(k.Divisions) == 0 }},
		{"tasks/1030/edit", []string{"type", "304", "hours", "6", "priority", "2", "address", " New St ", "apartment", "9", "description", "a\r\nb", "customer", "C"},
			func(k Task) bool {
				return k.TypeID == 304 && k.RuntimeHours == 6 && k.Priority == 2 && k.Address.Text == "New St" &&
					k.Address.Apartment == "9" && k.Description == "a\nb" && k.OptionalCustomerName == "C"
			}},
		{"tasks/1030/state", []string{"state", "15"}, func(k Task) bool { return k.StateID == 15 }},
		{"tasks/1030/close", nil, func(k Task) bool { return k.StateID == 20 && !k.Completed.IsZero() }},
		{"tasks/1030/reopen", nil, func(k Task) bool { return k.StateID == 3 && k.Completed.IsZero() }},
	} {
		b.clock.add(time.Minute)
		status, led := b.submit(c.path, append([]string{"back", back}, c.form...)...)
		if status != http.StatusOK || led != back {
			t.Errorf("%s %v: %d, led to %s", c.path, c.form, status, led)
		}
		if k := task(); !c.check(k) || !k.Updated.Equal(b.clock.now()) {
			t.Errorf("%s %v: %+v", c.path, c.form, k)
		}
		if got := b.hook.take(); len(got) != 1 || got[0].Type != TaskChanged || got[0].IDs[0] != id {
			t.Errorf("%s: hook %v", c.path, got)
		}
	}
	status, led := b.submit("tasks/1030/delete", "back", "task/1030")
	if _, there := b.Task(id); there || status != http.StatusOK || led != "?" && led != "" {
		t.Errorf("delete: %d, led to %q", status, led)
	}
	want(t, "hook", b.hook.take()[0].Type, TaskDeleted)
}

func TestBoardAddsATask(t *testing.T) {
	b := browse(t)
	status, led := b.submit("tasks/add", "back", "?days=1", "type", "302", "todo", "2026-11-25T10:00", "hours", "3",
		"address", "A", "apartment", "1", "customer", "C", "executor", "202", "division", "", "description", "D")
	if status != http.StatusOK || led != "?days=1" {
		t.Errorf("%d %s", status, led)
	}
	tasks := b.Tasks()
	k := tasks[len(tasks)-1]
	if k.TypeID != 302 || k.TodoWall != "2026-11-25 10:00:00" || k.RuntimeHours != 3 || k.Address.Text != "A" ||
		k.OptionalCustomerName != "C" || !slices.Equal(k.Executors, []int64{202}) || len(k.Divisions) != 0 || k.StateID != 3 {
		t.Errorf("%+v", k)
	}
}

func TestBoardRefusesWhatItCannotRead(t *testing.T) {
	b := browse(t)
	for _, c := range []struct {
		path   string
		form   []string
		status int
	}{
		{"tasks/1030/move", []string{"todo", "soon"}, http.StatusBadRequest},
		{"tasks/1030/drop", []string{"date", "soon"}, http.StatusBadRequest},
		{"tasks/1030/drop", []string{"to", "x"}, http.StatusBadRequest},
		{"tasks/1030/assign", []string{"executor", "x"}, http.StatusBadRequest},
		{"tasks/1030/state", []string{"state", "999"}, http.StatusBadRequest},
		{"tasks/1030/explode", nil, http.StatusNotFound},
		{"tasks/9999/close", nil, http.StatusNotFound},
		{"tasks/x/close", nil, http.StatusNotFound},
		{"employees/202/save", []string{"name", " "}, http.StatusBadRequest},
		{"employees/9999/dismiss", nil, http.StatusNotFound},
		{"employees/add", nil, http.StatusBadRequest},
	} {
		if status, _ := b.submit(c.path, c.form...); status != c.status {
			t.Errorf("%s %v: %d", c.path, c.form, status)
		}
	}
	if got := b.hook.take(); len(got) != 0 {
		t.Errorf("hook %v", got)
	}
}

func TestFormsNeverLeadAway(t *testing.T) {
	b := browse(t)
	for _, back := range []string{"https://evil.example/", "//evil.example", "/etc", "../../x", "javascript:alert(1)", "task/1/../../x", `\\evil`} {
		status, led := b.submit("tasks/1030/reopen", "back", back)
		if status != http.StatusOK || led != "" {
			t.Errorf("%s led to %d %s", back, status, led)
		}
	}
	if status, led := b.submit("tasks/1030/reopen", "back", "task/1030"); status != http.StatusOK || led != "task/1030" {
		t.Errorf("%d %s", status, led)
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	b := browse(t)
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r := postForm("/tasks/1030/delete", nil)
		r.Header.Set(header, value)
		want(t, header, b.do(r).status, http.StatusForbidden)
	}
	if _, there := b.Task(1030); !there {
		t.Error("deleted from another site")
	}
}

func TestEmployeesPage(t *testing.T) {
	b := browse(t)
	_, page, _ := b.open("employees")
	for _, text := range []string{"Олена Коваленко", "dismissed", "taras.bondar(at)example.com", "Google calendar", "Calendar id", `placeholder="none"`} {
		if !strings.Contains(page, text) {
			t.Errorf("%q is not on the page", text)
		}
	}
	person := func(id int64) Employee { e, _ := b.Employee(id); return e }
	for _, c := range []struct {
		path  string
		form  []string
		check func() bool
	}{
		{"employees/202/field", []string{"field", "1", "value", "0"}, func() bool { return person(202).Fields[1] == "0" }},
		{"employees/202/field", []string{"field", "1", "value", "1"}, func() bool { return person(202).Fields[1] == "1" }},
		{"employees/202/save", []string{"name", "New Name", "email", " new@example.com", "position", "P", "division", "102"}, func() bool {
			e := person(202)
			return e.Name == "New Name" && e.Email == " new@example.com" && e.Position == "P" && e.isMember(102) && !e.isMember(101) && len(e.Memberships) == 2
		}},
		{"employees/202/dismiss", nil, func() bool { return person(202).Dismissed }},
		{"employees/202/return", nil, func() bool { return !person(202).Dismissed }},
	} {
		status, led := b.submit(c.path, c.form...)
		if status != http.StatusOK || !strings.HasPrefix(led, "employees") || !c.check() {
			t.Errorf("%s: %d, led to %s: %+v", c.path, status, led, person(202))
		}
		if got := b.hook.take(); len(got) != 1 || got[0].Type != EmployeeChanged || got[0].IDs[0] != 202 {
			t.Errorf("%s: hook %v", c.path, got)
		}
	}
	b.submit("employees/202/delete")
	if _, there := b.Employee(202); there || b.hook.take()[0].Type != EmployeeDeleted {
		t.Error("not deleted")
	}
	b.submit("employees/add", "name", "Fresh", "email", "fresh@example.com", "division", "101")
	all := b.Employees()
	if e := all[len(all)-1]; e.Name != "Fresh" || !e.isMember(101) || e.Fields[1] != "" {
		t.Errorf("%+v", e)
	}
}

func TestTaskLinksOfBothGenerationsOpen(t *testing.T) {
	b := browse(t)
	for _, path := range []string{"task/1023", "oper/?core_section=task&action=show&id=1023"} {
		status, page, _ := b.open(path)
		if status != http.StatusOK || !strings.Contains(page, "Task 1023") || !strings.Contains(page, `action="../tasks/1023/move"`) {
			t.Errorf("%s: %d", path, status)
		}
		// What an old release stored is shown as a person reads it.
		if !strings.Contains(page, "Абонент: &#34;Ранок&#34;\nПод&#39;їзд 3, код 12/К\n&lt;терміново&gt;") {
			t.Errorf("%s: the raw description is not readable", path)
		}
	}
	for _, path := range []string{"task/9999", "task/x", "oper/?core_section=customer&id=1", "nothing"} {
		if status, _, _ := b.open(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestSavingUntouchedKeepsARawDescription(t *testing.T) {
	b := browse(t)
	k, _ := b.Task(1023)
	b.submit("tasks/1023/edit", "type", key(k.TypeID), "description", strings.ReplaceAll(k.plain(), "\n", "\r\n"))
	if after, _ := b.Task(1023); after.Description != k.Description || !after.RawDescription {
		t.Errorf("%+v", after)
	}
}

// TestPagesUseRelativeLinksAndNothingInline walks every link, form and asset of
// every page: relative, working, and nothing the Content-Security-Policy stops.
func TestPagesUseRelativeLinksAndNothingInline(t *testing.T) {
	b := browse(t)
	seen := map[string]bool{}
	for _, path := range []string{"", "?view=people", "task/1023", "oper/?core_section=task&action=show&id=1023", "employees", "task/9999"} {
		_, text, res := b.open(path)
		doc, err := html.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "style" || n.Data == "script" && n.FirstChild != nil {
				t.Errorf("%s: inline %s", path, n.Data)
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
					t.Errorf("%s: inline %s", path, a.Key)
				case a.Key == "action" && n.Data == "form", a.Key == "href" && a.Val != "data:,", a.Key == "src":
					if !strings.HasPrefix(a.Val, "./") && !strings.HasPrefix(a.Val, "../") || strings.Contains(a.Val, "ZgotmplZ") {
						t.Errorf("%s: %s=%q", path, a.Key, a.Val)
						continue
					}
					u, err := res.Request.URL.Parse(a.Val)
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(u.String(), b.base) {
						t.Errorf("%s: %s leads out of the mount", path, a.Val)
					}
					if a.Key != "action" {
						seen[u.String()] = true
					}
				}
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d links", len(seen))
	}
	task := regexp.MustCompile(`/task/\d+$`)
	tasks := 0
	for link := range seen {
		if task.MatchString(link) {
			if tasks++; tasks > 3 {
				continue
			}
		}
		res, err := b.client.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _ := b.read(res); status != http.StatusOK {
			t.Errorf("%s: %d", link, status)
		}
	}
}

func TestAssetsNeedNothingFromOutside(t *testing.T) {
	for _, name := range []string{"assets/board.css", "assets/board.js"} {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`https?://|@import|url\(`).Match(data) {
			t.Errorf("%s refers to something else", name)
		}
	}
}

func TestMountedWithoutALeadingSlash(t *testing.T) {
	f := setup(t, nil)
	w := httptest.NewRecorder()
	http.StripPrefix("/erp/", f).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/erp/employees", nil))
	want(t, "status", w.Code, http.StatusOK)
}
