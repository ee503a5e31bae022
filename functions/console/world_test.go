package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	admin       = "olena@example.com"
	integration = "calendars@example.com"
	defaults    = `{"time_zone":"Europe/Kyiv","shown_roles":[1,2]}`
)

// world is Console beside OAuth, the stand-in of Google and the embedded store.
type world struct {
	t      *testing.T
	base   string
	google *google.Server
	store  *store.Store
	sent   *outbox
	erp    *erp
	logs   *bytes.Buffer
	cfg    console.Config
	deps   console.Deps
	mux    *http.ServeMux

	mu      sync.Mutex
	now     time.Time
	console http.Handler // the function, as it was deployed last
}

type outbox struct {
	mu       sync.Mutex
	messages map[string][]queue.Message
	err      error
}

func (o *outbox) Publish(_ context.Context, topic string, m ...queue.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.messages[topic] = append(o.messages[topic], m...)
	}
	return o.err
}

func (o *outbox) all(topic string) []queue.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages[topic]
}

// erp is an ERP as the console reads it.
type erp struct {
	catalogue calendarsync.Catalogue
	cards     map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	captions  map[calendarsync.FieldID]string
	clock     userside.Clock
	tasks     map[calendarsync.TaskID]calendarsync.TaskReading
	err       error
}

func (e *erp) Catalogue(context.Context) (calendarsync.Catalogue, error) { return e.catalogue, e.err }

func (e *erp) States(context.Context) (calendarsync.Catalogue, error) { return e.catalogue, e.err }

func (e *erp) Types(context.Context) (map[calendarsync.TypeID]calendarsync.TaskType, []error, error) {
	return e.catalogue.Types, nil, e.err
}

func (e *erp) EmployeeCards(context.Context, userside.Known) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, map[calendarsync.FieldID]string, error) {
	return e.cards, e.captions, e.err
}

func (e *erp) Clock(context.Context) (userside.Clock, error) { return e.clock, e.err }

func (e *erp) ListTasks(context.Context, userside.TaskFilter) ([]calendarsync.TaskID, error) {
	return slices.Sorted(maps.Keys(e.tasks)), e.err
}

func (e *erp) Divisions(context.Context) (map[calendarsync.DivisionID]string, error) {
	return map[calendarsync.DivisionID]string{}, e.err
}

// TasksWith reads tasks; one that is not there is shown to be absent.
func (e *erp) TasksWith(_ context.Context, ids []calendarsync.TaskID, _ calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	out := map[calendarsync.TaskID]calendarsync.TaskReading{}
	for _, id := range ids {
		reading, there := e.tasks[id]
		if !there {
			reading.Absent = calendarsync.ProofKnownID
		}
		out[id] = reading
	}
	return out, e.err
}

func (e *erp) Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	return e.TasksWith(ctx, ids, calendarsync.Extras{})
}

func (e *erp) Probe(context.Context, string, string) (userside.Probe, error) {
	return userside.Probe{Answer: userside.AnswerData, Status: http.StatusOK}, e.err
}

func (e *erp) Places(context.Context, string, string) (userside.Places, error) {
	return userside.Places{Query: true, Body: true}, e.err
}

func (e *erp) Sample(context.Context, []calendarsync.TaskID) (userside.TaskSample, error) {
	return userside.TaskSample{Dates: map[string]int{"9999-99-99 99:99:99": len(e.tasks)}}, e.err
}

func (e *erp) HeedsUnassigned(context.Context, []calendarsync.StateID) (heeds, known bool, unassigned []calendarsync.TaskID, err error) {
	return true, true, nil, e.err
}

func (e *erp) Bears() int { return 1000 }

// card is an employee who works, with what stands in fields 7 (a checkbox) and 8.
func card(id calendarsync.EmployeeID, name, box, text string) calendarsync.EmployeeReading {
	return calendarsync.EmployeeReading{Employee: &calendarsync.Employee{ID: id, Name: name, Working: calendarsync.Say(true),
		Email: calendarsync.Say(fmt.Sprintf("e%d@example.com", id)), Fields: calendarsync.Say(map[calendarsync.FieldID]string{7: box, 8: text})}}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldAt(t, "https://site.test") }

func newWorldAt(t *testing.T, base string) *world {
	t.Helper()
	return newWorldOn(t, base, func(now func() time.Time) store.Backend {
		backend, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), now, bolt.NoSync())
		if err != nil {
			t.Fatal(err)
		}
		return backend
	})
}

// newWorldOn makes a world on a database of its own.
func newWorldOn(t *testing.T, base string, open func(now func() time.Time) store.Backend) *world {
	t.Helper()
	w := &world{t: t, base: base, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		sent: &outbox{messages: map[string][]queue.Message{}}, logs: &bytes.Buffer{}}
	w.google = google.New(google.Options{BaseURL: base + "/google", Now: w.clock, ClientID: "client-1", ClientSecret: "s",
		RedirectURIs: []string{base + "/oauth/callback"}, AutoApprove: true, Seed: 1,
		Accounts: []google.Account{{Sub: "100", Email: admin, Name: "Olena"}, {Sub: "200", Email: integration}}})
	w.store = store.New(open(w.clock))
	t.Cleanup(func() { _ = w.store.Close() })
	w.erp = &erp{catalogue: calendarsync.Catalogue{
		States: map[calendarsync.StateID]calendarsync.State{
			1: {ID: 1, Name: "New", Role: 1}, 2: {ID: 2, Name: "Assigned", Role: 1}, 3: {ID: 3, Name: "On site", Role: 2}, 4: {ID: 4, Name: "Done", Role: 3}},
		Types: map[calendarsync.TypeID]calendarsync.TaskType{5: {ID: 5, Name: "Connection"}, 6: {ID: 6, Name: "Repair"}},
	}, cards: map[calendarsync.EmployeeID]calendarsync.EmployeeReading{
		1: card(1, "Anna", "1", ""), 2: card(2, "Bohdan", "1", ""), 3: card(3, "Vasyl", "0", ""),
	}, captions: map[calendarsync.FieldID]string{7: "Calendar"},
		clock: userside.Clock{Unix: w.now, Local: calendarsync.LocalTime{Wall: w.now.Add(2 * time.Hour)}, Offset: 2 * time.Hour}}
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	w.cfg = console.Config{OAuthURL: base + "/oauth", ConsoleURL: base + "/console", AdminEmails: []string{admin}, AlertEmails: []string{"duty@example.com"}, RequestsPerMinute: 600, CalendarsPerHour: 20, CalendarsPerDay: 50, IntegrationAccount: integration, ERPURL: "https://erp.example",
		SessionKey: bytes.Repeat([]byte{3}, 32), TaskTopic: "task-changes", EmployeeTopic: "employee-changes"}
	w.deps = console.Deps{Store: w.store, Settings: settings.NewSource(w.store, defaults, "https://erp.example", w.clock), ERP: w.erp, Examined: func(bool) (checkup.ERP, error) { return w.erp, nil },
		Publisher: w.sent, Now: w.clock, Log: log}
	cipher, err := seal.NewLocal(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := oauth.New(oauth.Config{ClientID: "client-1", ClientSecret: "s", OAuthURL: base + "/oauth", ConsoleURL: base + "/console",
		AdminEmails: []string{admin}, IntegrationAccount: integration, EmployeeTopic: "employee-changes", Issuer: base + "/google", CalendarEndpoint: base + "/google/calendar/v3/"},
		oauth.Deps{Store: w.store, Sealer: cipher, Publisher: w.sent, HTTP: &http.Client{Transport: w.google.Transport()}, Now: w.clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.mux = http.NewServeMux()
	w.mux.Handle("/oauth/", http.StripPrefix("/oauth", other))
	w.mux.Handle("/google/", http.StripPrefix("/google", w.google))
	w.mux.Handle("/console/", http.StripPrefix("/console", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.deployed().ServeHTTP(rw, r) })))
	w.deploy()
	return w
}

// deploy makes the function from cfg and deps: whoever changes them deploys.
func (w *world) deploy() {
	w.t.Helper()
	h, err := console.New(w.cfg, w.deps)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.console = h
}

func (w *world) deployed() http.Handler {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.console
}

// admit deploys the console for these admins.
func (w *world) admit(admins ...string) {
	w.t.Helper()
	w.cfg.AdminEmails = admins
	w.deploy()
}

// browser is an HTTP client with cookies whose network is the world.
type browser struct {
	*http.Client
	w *world
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{&http.Client{Jar: jar}, w}
	b.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		in := r.Clone(r.Context())
		in.RequestURI = r.URL.RequestURI()
		if in.Body == nil {
			in.Body = http.NoBody
		}
		in.Host = r.URL.Host
		rec := httptest.NewRecorder()
		w.mux.ServeHTTP(rec, in)
		res := rec.Result()
		res.Request = r
		if strings.HasPrefix(r.URL.Path, "/console/") {
			checkHeaders(w.t, r.URL.Path, res)
		}
		return res, nil
	})
	return b
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func checkHeaders(t *testing.T, path string, res *http.Response) {
	t.Helper()
	csp := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: Content-Security-Policy %q lacks %s", path, csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("%s: Content-Security-Policy %q is lax", path, csp)
	}
	referrer := "same-origin"
	if strings.HasPrefix(path, "/console/signin") || path == "/console/connect" && res.Header.Get("Location") != "" && !strings.HasSuffix(res.Header.Get("Location"), "/signin") {
		referrer = "no-referrer"
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": referrer} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", path, name, got, want)
		}
	}
	if cache := res.Header.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(path, "/console/static/") && !strings.HasPrefix(path, "/console/guide/") {
		t.Errorf("%s: Cache-Control is %q", path, cache)
	}
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.Path != "/console" {
			t.Errorf("%s: cookie %s is not Secure, HttpOnly, Lax, host-only and of the site's path", path, c.Name)
		}
	}
}

// page is where a browser ended.
type page struct {
	status int
	body   string
	at     *url.URL
	header http.Header
}

func (b *browser) do(r *http.Request) page {
	b.w.t.Helper()
	res, err := b.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return page{res.StatusCode, string(body), res.Request.URL, res.Header}
}

func (b *browser) get(path string) page {
	b.w.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	b.w.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	address := path
	if strings.HasPrefix(path, "/") {
		address = b.w.base + "/console" + path
	}
	r, err := http.NewRequestWithContext(b.w.t.Context(), method, address, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

// stay makes the browser show redirects instead of following them.
func (b *browser) stay() *browser {
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// signedIn gives a browser in which the admin is signed in, by the whole way
// through OAuth and Google. The stand-in consents as its first account.
func (w *world) signedIn() *browser {
	w.t.Helper()
	b := w.browser()
	p := b.get("/")
	if p.status != http.StatusOK || p.at.Path != "/console/" || p.at.RawQuery != "" || !strings.Contains(p.body, admin) {
		w.t.Fatalf("signing in ended with %d at %s:\n%s", p.status, p.at, p.body)
	}
	return b
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// csrf reads the token from a page.
func (b *browser) csrf() string {
	b.w.t.Helper()
	m := csrfField.FindStringSubmatch(b.get("/settings").body)
	if m == nil {
		b.w.t.Fatal("the page has no CSRF token")
	}
	return m[1]
}

func (b *browser) post(path string, form url.Values) page {
	b.w.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("csrf") {
		form.Set("csrf", b.csrf())
	}
	return b.do(b.request(http.MethodPost, path, form))
}

// hold changes an employee's record as a worker does.
func (w *world) employee(id int64, change func(*store.EmployeeRecord), fault error) {
	w.t.Helper()
	l, _, err := w.store.AcquireEmployee(w.t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.SaveEmployee(w.t.Context(), &l, change); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SettleEmployee(w.t.Context(), &l, store.Result{Err: fault}); err != nil {
		w.t.Fatal(err)
	}
}

// failTask records a task whose last look failed.
func (w *world) failTask(id int64, employees []int64, fault error) {
	w.t.Helper()
	l, _, err := w.store.AcquireTask(w.t.Context(), id, store.Claim{TTL: time.Minute, Token: signin.Random()})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SettleTask(w.t.Context(), &l, store.TaskOutcome{Result: store.Result{Err: fault}, Concerned: employees}); err != nil {
		w.t.Fatal(err)
	}
}

var errDown = errors.New("down")
