package functions_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The second half of the behaviours of TestComplaints, and what they look with.

func backfill(t *testing.T, w *world.World, o world.Options) {
	gate := &unreliable{Backend: o.Backend}
	o.Backend = gate
	w.Again(o)
	var ids []int64
	for _, name := range []string{"Olena", "Petro", "Ivan"} {
		ids = append(ids, w.Employee(name))
	}
	now := time.Now().Truncate(time.Minute)
	w.Task(now.Add(-48*time.Hour), ids...) // before all calendars begin
	w.Task(now.Add(-3*time.Hour), ids...)
	for hour := 8; hour < 11; hour++ {
		w.Task(w.Tomorrow(hour), ids...)
	}
	w.Idle()
	w.Connect()
	must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
	inserted := func() map[string]int {
		out := map[string]int{}
		for _, r := range w.Google.Requests(fakegoogle.Filter{Method: "calendar.events.insert", Committed: true}) {
			out[r.CalendarID+"/"+r.EventID]++
		}
		return out
	}
	eventually(t, func() bool { return len(inserted()) >= 2 })
	// Killed in the middle of it: nothing reaches the store or Google any more, and
	// the messages are lost with it.
	gate.away.Store(true)
	unreachable := w.Google.Inject(fakegoogle.Fault{Method: "*", Drop: true, Count: -1})
	done := len(inserted())
	o.Backend = gate.Backend
	w.Again(o)
	unreachable.Remove()
	if done >= 8 {
		t.Fatalf("%d events were there already: nothing was interrupted", done)
	}
	eventually(t, func() bool { w.Poll(); return len(inserted()) == 8 }) // two calendars an hour
	for event, n := range inserted() {
		if n != 1 {
			t.Errorf("event %s was made %d times", event, n)
		}
	}
	admin := newVisitor(t, w)
	wantText(t, "the overview", admin.visit("/Console/", world.Admin), "1 employee waits for a calendar.", "the last one is made about ")
	wantText(t, "the employees", admin.visit("/Console/employees", world.Admin), "Waits for its turn", "Its turn comes about ")
	if s := admin.status(); s.Employees.Active != 2 || s.Employees.Pending != 1 {
		t.Errorf("status %+v, want two and one to come", s)
	}

	// With the limit gone the last one follows, and a check shows how far it is.
	o.Env = nil
	w.Again(o)
	for _, id := range ids {
		if w.Calendar(id) == "" {
			untilRight(t, w, store.EmployeeKey(id), func() bool { return w.Calendar(id) != "" && len(w.Events(id)) == 4 })
		}
	}
	// The second employee takes five seconds and the third fifteen; on a busy machine the check
	// may be over before the page was made, and then there is another.
	progress := regexp.MustCompile(`2 of 3, under way</strong> About [1-9]\d* (s|min) left`)
	seen := false
	for range 5 {
		before, _, err := w.Store.LastRun(t.Context(), "reconcile")
		must(t, err)
		for i, slow := range []time.Duration{5500 * time.Millisecond, 15 * time.Second} {
			w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.list", CalendarID: w.Calendar(ids[i]), Delay: slow})
		}
		w.Post("/Reconcile/", []byte("{}"), http.Header{"Content-Type": {"application/json"}}, http.StatusAccepted)
		eventually(t, func() bool {
			seen = progress.MatchString(admin.visit("/Console/", world.Admin))
			run, _, err := w.Store.LastRun(t.Context(), "reconcile")
			return seen || err == nil && run.ID != before.ID && !run.Ended.IsZero()
		})
		if seen {
			break
		}
		w.Idle()
	}
	if !seen {
		t.Error("the overview never said how far a check was")
	}
	w.Idle()
	if run, _, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || run.Ended.IsZero() || run.Done != 3 || run.Repaired != 0 {
		t.Errorf("run %+v, %v", run, err)
	}
}

func coloursStay(t *testing.T, w *world.World, _ world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	other := w.ERP.AddType(fakeerp.TaskType{Name: "Call"})
	task := w.Task(w.Tomorrow(9), who)
	w.ERP.AddTask(fakeerp.Task{TypeID: other, StateID: world.Open, Todo: w.Tomorrow(20), Executors: []int64{who}})
	w.Idle()
	for what, change := range map[string]func() error{
		"moved": func() error { return w.ERP.MoveTask(task, w.Tomorrow(11)) },
		"described": func() error {
			return w.ERP.UpdateTask(task, func(t *fakeerp.Task) { t.Description = "Bring a ladder" })
		},
		"taken away and back": func() error {
			must(t, w.ERP.CloseTask(task))
			w.Idle()
			return w.ERP.ReopenTask(task)
		},
		"coloured by hand": func() error {
			must(t, w.Google.EditEvent(w.Calendar(who), w.Events(who)[0].Id, func(e *calendar.Event) { e.ColorId = "4" }))
			night(t, w)
			return nil
		},
	} {
		must(t, change())
		w.Idle()
		if e := w.Events(who); len(e) != 2 || e[0].ColorId != "11" || e[1].ColorId != "" {
			t.Errorf("%s: %d events in colours %q and %q, want \"11\" and none", what, len(e), e[0].ColorId, e[1].ColorId)
		}
	}
}

func severalAssignees(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro", "Ivan")
	crew := w.ERP.AddDivision(fakeerp.Division{Name: "Crew"})
	must(t, w.ERP.SetMembership(ids[0], crew, true))
	must(t, w.ERP.SetMembership(ids[2], crew, true))
	w.Idle()
	w.Google.ResetRequests()
	refused := w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", CalendarID: w.Calendar(ids[1]), Status: 403, Reason: "forbidden", Count: -1})
	task := w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(9), Executors: ids[:2], Divisions: []int64{crew}})
	w.Idle()
	w.WantStarts(ids[0], w.Tomorrow(9)) // her own and her department's: once
	w.WantStarts(ids[1])
	w.WantStarts(ids[2], w.Tomorrow(9))
	rec, _, err := w.Store.Task(t.Context(), task)
	must(t, err)
	if rec.Failure == nil || rec.Failure.Kind != failure.Forbidden {
		t.Errorf("recorded: %+v", rec.Failure)
	}
	for i, id := range ids {
		if m, _ := rec.Mapping(id); (m.State == store.MappingLive) != (i != 1) {
			t.Errorf("employee %d: state %q", id, m.State)
		}
	}
	refused.Remove()
	untilRight(t, w, store.TaskKey(task), func() bool { return len(w.Events(ids[1])) == 1 })
	if n := len(written(w)); n != 3 {
		t.Errorf("%d writes for three calendars", n)
	}
	must(t, w.ERP.MoveTask(task, w.Tomorrow(14)))
	w.Idle()
	for _, id := range ids {
		w.WantStarts(id, w.Tomorrow(14))
	}
}

func addLink(t *testing.T, w *world.World, _ world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	status, body := card(t, w, who)
	link, _ := body["add_url"].(string)
	u, err := url.Parse(link)
	must(t, err)
	added, err := base64.RawURLEncoding.DecodeString(u.Query().Get("cid"))
	if err != nil || status != http.StatusOK || u.Scheme+"://"+u.Host+u.Path != "https://calendar.google.com/calendar/r" || string(added) != w.Calendar(who) {
		t.Errorf("link %q (status %d) adds calendar %q, want %q", link, status, added, w.Calendar(who))
	}
	if row := employeeRow(t, newVisitor(t, w).visit("/Console/employees", world.Admin), who); !strings.Contains(html.UnescapeString(row), `href="`+link+`"`) {
		t.Errorf("the console does not link to %s: %s", link, row)
	}
	wantReaders(t, w, w.Calendar(who), "olena@provider.example") // who adds it sees it
}

func reminders(t *testing.T, w *world.World, _ world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	task := w.Task(w.Tomorrow(9), who)
	w.Idle()
	must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
	w.Idle()
	writes := written(w)
	for _, r := range writes {
		var body map[string]json.RawMessage
		must(t, json.Unmarshal(r.Body, &body))
		if _, said := body["reminders"]; said || len(body) == 0 {
			t.Errorf("a %s with the body %s", r.Method, r.Body)
		}
	}
	if len(writes) != 2 {
		t.Errorf("%d writes, want 2", len(writes))
	}
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	must(t, err)
	wantText(t, "README.md", string(readme), "A reader's reminders are the reader's own")
}

func oauthPain(t *testing.T, w *world.World, _ world.Options) {
	w.Employee("Olena")
	w.Idle()
	admin, redirect := newVisitor(t, w), w.URL+"/OAuth/callback"
	wantText(t, "the connections", admin.visit("/Console/connections", world.Admin), "redirect_uri_mismatch", ">"+redirect+"<")
	connect := func(how func(address string) (string, error)) string { return admin.follow("/Console/connect", how) }
	allow := func(account string, scopes ...string) func(string) (string, error) {
		return func(address string) (string, error) { return w.Google.Approve(address, account, scopes...) }
	}
	wantText(t, "after Cancel", connect(w.Google.Deny), "access_denied", "What to do", "add the account as a test user", "after 7 days", "choose the account "+world.Account)
	wantText(t, "another account", connect(allow(world.Admin)), "This is not the integration account", "What to do", "choose "+world.Account)
	wantText(t, "an unticked box", connect(allow(world.Account, googlecalendar.Scopes()[:1]...)), "A permission was not granted", "What to do", "tick every box")
	for reason, cure := range map[string]string{
		"redirect_uri_mismatch": "Register exactly this redirect URI at the OAuth client: " + redirect,
		"invalid_client":        "compare the web client's id and secret with the configuration",
	} {
		w.Google.Inject(fakegoogle.Fault{Method: "oauth2.token", Status: http.StatusBadRequest, Reason: reason})
		wantText(t, reason, connect(allow(world.Account)), "What to do", cure)
	}
	if s := admin.status(); s.Connected {
		t.Error("connected by a refusal")
	}
	wantText(t, "allowed", connect(allow(world.Account)), "The account is connected.")
	w.Idle()

	// A consent screen in testing: the grant has an end, which is told a day before.
	a, err := w.Store.Account(t.Context())
	must(t, err)
	a.GrantExpiresAt = time.Now().Add(30 * time.Hour)
	_, err = w.Store.Connect(t.Context(), a, true)
	must(t, err)
	w.Poll()
	w.Poll()
	if n := alarms(w, "grant-expiring"); n != 1 {
		t.Errorf("%d alarms of the end to come, want one", n)
	}
	wantText(t, "the overview", admin.visit("/Console/", world.Admin), "The permission of Google ends", "publish the app")
	wantText(t, "the connections", admin.visit("/Console/connections", world.Admin), "The permission ends in 29 h", "Publish the app")
}

func secondPass(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	var tasks []int64
	for i, text := range []string{
		"plain", "  blanks  \r\n\r\n at both ends \t", "a < b && c > d", "<b>Call</b> &amp; come<br/>in", "тёмный дім 🏠 e\u0301", strings.Repeat("long ", 3000),
	} {
		tasks = append(tasks, w.ERP.AddTask(fakeerp.Task{
			TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(8 + i), Executors: ids, Description: text, RawDescription: i == 3,
			Address: fakeerp.Address{Text: " Sadova St,  1 " + text}, Customers: []fakeerp.Customer{{ID: 7, FullName: "Smith & Sons " + text}},
		}))
	}
	midnight := w.Task(w.Tomorrow(9), ids[0])
	must(t, w.ERP.MoveTaskWall(midnight, "2030-03-31 03:30:00"))
	w.Idle()
	if n := len(w.Events(ids[0])); n != 7 {
		t.Fatalf("%d events, want 7", n)
	}
	for range 2 {
		w.Google.ResetRequests()
		if run := night(t, w); writesOf(w) != 0 || run.Repaired != 0 || len(run.Drift)+len(run.Fields) != 0 {
			t.Errorf("a second pass made %d writes, reports %+v", writesOf(w), run.RunTally)
		}
	}
	w.Google.ResetRequests()
	w.Notify("task.changed", tasks...)
	w.Idle()
	w.WantCalls()
}

func ownClient(t *testing.T, w *world.World, o world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	w.Task(w.Tomorrow(9), who)
	w.Idle()
	for _, r := range w.Calls() {
		if r.ClientID != world.ClientID || r.Account != world.Account || r.Query.Has("key") {
			t.Errorf("a %s as %s through client %q", r.Method, r.Account, r.ClientID)
		}
	}
	if len(w.Calls()) == 0 {
		t.Error("no call")
	}
	variables := w.Environment(o)
	for _, name := range []string{"GOOGLE_CLOUD_PROJECT", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"} {
		delete(variables, name)
	}
	_, err := deployment.Start(t.Context(), deployment.Options{Lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok }})
	if err == nil {
		t.Fatal("it starts without a project and a client of one's own")
	}
	wantText(t, "the configuration's fault", err.Error(), "GOOGLE_CLOUD_PROJECT", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET")

	declared, err := os.ReadFile(filepath.Join("..", "terraform", "variables.tf"))
	must(t, err)
	for _, name := range []string{"project_id", "oauth_client_id"} {
		_, rest, found := strings.Cut(string(declared), `variable "`+name+`" {`)
		block, _, _ := strings.Cut(rest, "\n}")
		if !found || regexp.MustCompile(`(?m)^\s*default\s*=`).MatchString(block) {
			t.Errorf("terraform: variable %s (found: %v) is not required", name, found)
		}
	}
	shared := regexp.MustCompile(`[0-9]+-[a-z0-9]{8,}\.apps\.googleusercontent\.com|AIza[0-9A-Za-z_-]{20,}`)
	for _, folder := range []string{".", filepath.Join("..", "shared")} {
		must(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if shared.Match(source) {
				t.Errorf("%s brings a client or a key along", path)
			}
			return err
		}))
	}
}

func databaseRestored(t *testing.T, w *world.World, o world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	moved, closed := w.Task(w.Tomorrow(9), ids...), w.Task(w.Tomorrow(10), ids...)
	w.Task(w.Tomorrow(11), ids...)
	w.Idle()
	backup := w.Backend()

	o.Backend = emulated(t)
	w.Again(o).TakeOver()
	w.Reconcile()
	if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true, Since: w.Since})); n != 0 {
		t.Errorf("rebuilding from an empty database wrote %d times", n)
	}
	must(t, w.ERP.MoveTask(moved, w.Tomorrow(15)))
	must(t, w.ERP.CloseTask(closed))
	newcomer := w.Employee("Ivan")
	w.Task(w.Tomorrow(16), ids[0], newcomer)
	w.Idle()

	right := func(when string) {
		t.Helper()
		// Who met a task in another's hands looks again a minute later.
		eventually(t, func() bool {
			hasten(t, w)
			return len(w.Events(ids[0])) == 3 && len(w.Events(ids[1])) == 2 && len(w.Events(newcomer)) == 1
		})
		w.WantStarts(ids[0], w.Tomorrow(11), w.Tomorrow(15), w.Tomorrow(16))
		w.WantStarts(ids[1], w.Tomorrow(11), w.Tomorrow(15))
		w.WantStarts(newcomer, w.Tomorrow(16))
		wantCalendars(t, w, 3)
		wantNoMailsButShares(t, w, 3)
		if t.Failed() {
			t.Fatal(when)
		}
	}
	right("after the loss")
	o.Backend = backup // which knows nothing of all that
	w.Again(o).Reconcile()
	right("after the restore")
	w.Google.ResetRequests()
	if run := night(t, w); writesOf(w) != 0 || run.Repaired != 0 {
		t.Errorf("another pass made %d writes, %+v", writesOf(w), run.RunTally)
	}
	for _, id := range ids {
		tasks := map[string]int{}
		for _, e := range w.Events(id) {
			tasks[e.ExtendedProperties.Private[calendarsync.MarkTask]]++
		}
		for task, n := range tasks {
			if n != 1 {
				t.Errorf("task %s is %d times in the calendar of employee %d", task, n, id)
			}
		}
	}
}

// hasten brings forward what is recorded as still to be done, and nothing else.
func hasten(t *testing.T, w *world.World) {
	t.Helper()
	past := time.Now().Add(-time.Second)
	tasks, err := w.Store.PendingTasks(t.Context(), 100)
	must(t, err)
	for _, rec := range tasks {
		must(t, w.Store.MarkDirty(t.Context(), store.TaskKey(rec.ID), past))
	}
	people, err := w.Store.Employees(t.Context())
	must(t, err)
	for _, rec := range people {
		if !rec.DueAt.IsZero() {
			must(t, w.Store.MarkDirty(t.Context(), store.EmployeeKey(rec.ID), past))
		}
	}
	w.Poll()
}

// wantCalendars requires that the account has so many calendars beside its own.
func wantCalendars(t *testing.T, w *world.World, want int) {
	t.Helper()
	n := 0
	for _, c := range w.Google.Calendars() {
		if !c.Primary && !c.Deleted {
			n++
		}
	}
	if n != want {
		t.Errorf("%d calendars, want %d", n, want)
	}
}

func wantText(t *testing.T, place, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(html.UnescapeString(text), part) {
			t.Errorf("%s lacks %q:\n%s", place, part, text)
		}
	}
}

// employeeRow is what the console's page shows of an employee.
func employeeRow(t *testing.T, page string, id int64) string {
	t.Helper()
	_, rest, found := strings.Cut(page, `<tr id="employee-`+itoa(id)+`"`)
	if !found {
		t.Fatalf("the page shows no employee %d:\n%s", id, page)
	}
	row, _, _ := strings.Cut(rest, "</tr>")
	return row
}

// status is GET /api/status, as far as it is judged here.
type status struct {
	Connected     bool
	OldestPending int `json:"oldest_pending_seconds"`
	Employees     struct{ Active, Pending int }
}

func (v *visitor) status() (s status) {
	v.t.Helper()
	must(v.t, json.Unmarshal([]byte(v.visit("/Console/api/status", world.Admin)), &s))
	return s
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// submit sends the form of a page with what was typed, and gives the status.
func (v *visitor) submit(page, path string, typed url.Values) int {
	v.t.Helper()
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for name, values := range typed {
		form[name] = values
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.w.URL+path, strings.NewReader(form.Encode()))
	must(v.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := v.client.Do(req)
	must(v.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	must(v.t, errors.Join(err, res.Body.Close()))
	return res.StatusCode
}
