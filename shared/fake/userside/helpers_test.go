package userside

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const testKey = "key-of-the-test"

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// hook collects the changes that the hook was called with.
type hook struct {
	mu   sync.Mutex
	seen []Change
}

func (h *hook) notify(c ...Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, c...)
}

func (h *hook) take() []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.seen
	h.seen = nil
	return out
}

// fixture is a tiny company: two employees, two divisions, three states, two types.
type fixture struct {
	*Server
	t     *testing.T
	clock *clock
	hook  *hook
}

func kyiv(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func setup(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	loc := kyiv(t)
	f := &fixture{t: t, clock: &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, loc)}, hook: &hook{}}
	opt := Options{Now: f.clock.now, Location: loc, APIKey: testKey, Notify: f.hook.notify}
	if change != nil {
		change(&opt)
	}
	f.Server = New(opt)
	f.Load(Data{
		Divisions: []Division{{ID: 1, Name: "Repair"}, {ID: 2, Name: "Fibre & co", ParentID: 1, Comment: "a/b"}},
		Employees: []Employee{
			{ID: 10, Name: "Anna \"A\" O'Neil", Email: "anna@example.com", Phone: "+1", Position: "Fitter", Hired: f.at(-1000),
				Memberships: []Membership{{DivisionID: 1, Current: true, Added: f.at(-900)}, {DivisionID: 2, Added: f.at(-999), Left: f.at(-901)}},
				Fields:      map[int64]string{1: "1", 2: ""}},
			{ID: 11, Name: "Borys", Email: "borys@example.com", Dismissed: true, Blocked: true},
		},
		Types:          []TaskType{{20, "Repair", 2}, {21, "Survey", 0}},
		States:         []TaskState{{30, "New", RoleNotCompleted}, {31, "Running", RoleInProgress}, {32, "Done", RoleCompleted}},
		EmployeeFields: []Field{{1, "Google calendar", FieldCheckbox}, {2, "Calendar id", FieldText}},
		TaskFields:     []Field{{5, "Access", FieldText}},
	})
	return f
}

func spelled(sp Spelling) func(*Options) { return func(o *Options) { o.Spelling = &sp } }

func newWith(change func(*Spelling)) func(*Options) {
	sp := NewSpelling()
	change(&sp)
	return spelled(sp)
}

func oldERP(o *Options) { o.Generation = GenerationOld }

// at is a time some hours from the fixture's start.
func (f *fixture) at(hours int) time.Time {
	return time.Date(2026, 11, 22, 10, 0, 0, 0, f.loc).Add(time.Duration(hours) * time.Hour)
}

// clientOf is a client of srv that gives up on a server that hangs.
func clientOf(srv *httptest.Server) *http.Client {
	c := srv.Client()
	c.Timeout = 20 * time.Second
	return c
}

// answer is a reply of api.php.
type answer struct {
	status int
	text   string
	body   map[string]any
}

func (a answer) data() map[string]any {
	m, _ := a.body["data"].(map[string]any)
	if m == nil {
		m, _ = a.body["Data"].(map[string]any)
	}
	return m
}

// get walks into nested objects by a dotted path; nil when it leads nowhere.
func (a answer) get(path string) any {
	var v any = a.body
	for p := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// objects is the list of objects at a path, which must be one.
func (a answer) objects(t *testing.T, path string) []map[string]any {
	t.Helper()
	list, ok := a.get(path).([]any)
	if !ok {
		t.Fatalf("%s is no list: %s", path, a.text)
	}
	out := make([]map[string]any, len(list))
	for i, v := range list {
		if out[i], ok = v.(map[string]any); !ok {
			t.Fatalf("%s.%d is no object: %s", path, i, a.text)
		}
	}
	return out
}

// has reports whether a path exists, null included.
func (a answer) has(path string) bool {
	i := strings.LastIndex(path, ".")
	m := a.body
	if i >= 0 {
		m, _ = a.get(path[:i]).(map[string]any)
	}
	_, ok := m[path[i+1:]]
	return ok
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func (f *fixture) do(r *http.Request) answer {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	a := answer{status: w.Code, text: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
		a.body = nil
	}
	return a
}

func postForm(path string, v url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// post calls as a careful client does: both names of the action, key in the body.
func (f *fixture) post(cat, action string, pairs ...string) answer {
	f.t.Helper()
	v := form(pairs...)
	v.Set("cat", cat)
	v.Set("action", action)
	v.Set("subcat", action)
	v.Set("key", testKey)
	return f.do(postForm("/api.php", v))
}

// ok is post that must succeed.
func (f *fixture) ok(cat, action string, pairs ...string) answer {
	f.t.Helper()
	a := f.post(cat, action, pairs...)
	if r := a.body["result"]; a.status != http.StatusOK || r != "OK" && a.body["Result"] != "OK" {
		f.t.Fatalf("%s/%s: %d %s", cat, action, a.status, a.text)
	}
	return a
}

// list is the ids get_list gives.
func (f *fixture) list(pairs ...string) string {
	f.t.Helper()
	s, ok := f.ok("task", "get_list", pairs...).body["list"].(string)
	if !ok {
		f.t.Fatal("no list")
	}
	return s
}

func want(t *testing.T, what string, got, expected any) {
	t.Helper()
	if got != expected {
		t.Errorf("%s: got %#v, want %#v", what, got, expected)
	}
}
