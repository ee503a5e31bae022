// Package world sets up a small provider for tests: both stand-ins, the product
// deployed in one process, and a connected account. Tests change the ERP or act
// as the account's owner and judge from the stand-ins' state. It must never be
// imported by anything but tests.
package world

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// What the world is made of.
const (
	Account  = "calendars@provider.example"
	Admin    = "admin@provider.example"
	Sub      = "1002"
	ClientID = "test.apps.googleusercontent.com"
	Zone     = "Europe/Kyiv"
	Binding  = 1 // the binding field
	Type     = 1 // a task type without a duration of its own
	Open     = 1 // a state "Not completed"
	Working  = 2 // a state "In progress"
	Closed   = 3 // a state "Completed"

	notifySecret = "whsec_d29ybGQtd29ybGQtd29ybGQtd29ybGQtd29ybGQ="
	tokenKey     = "local:d29ybGQtd29ybGQtd29ybGQtd29ybGQtd29ybGQtd28="
	clientSecret = "world-client-secret"
	erpKey       = "world-erp-key"
)

// Options change the world from its default.
type Options struct {
	// Backend keeps the state; nil is an embedded store in the test's folder.
	Backend store.Backend
	// Settings are JSON fields laid over the default ones.
	Settings string
	// Env are further variables of the functions.
	Env map[string]string
	// Disconnected leaves the account unconnected.
	Disconnected bool
	// Quiet lets no notification reach the product.
	Quiet bool
	// Bubble makes a world without sockets, for a testing/synctest bubble; the test's
	// requests go through Client.
	Bubble bool
}

// World is a running one.
type World struct {
	T          *testing.T
	ERP        *fakeerp.Server
	Google     *fakegoogle.Server
	Store      *store.Store
	Deployment *deployment.Deployment
	URL        string
	Log        *Buffer
	// Since is when this product was started.
	Since time.Time

	// transport reaches the URL.
	transport http.RoundTripper
	bubble    bool

	mu      sync.Mutex
	quiet   bool
	backend store.Backend
	// product is what the URL serves beside the stand-ins; Again replaces it.
	product http.Handler
}

// Buffer collects log lines of several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String gives everything logged so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// New starts a world with no employees and no tasks, and the product in it.
func New(t *testing.T, o Options) *World {
	t.Helper()
	w := NewOutside(t, o)
	w.start(o)
	return w
}

// NewOutside starts a world without the product: what Serve is given serves its
// functions.
func NewOutside(t *testing.T, o Options) *World {
	t.Helper()
	w := &World{T: t, Log: &Buffer{}, quiet: o.Quiet, bubble: o.Bubble}
	listener, err := w.listen()
	if err != nil {
		t.Fatal(err)
	}
	w.URL = "http://" + listener.Addr().String()
	zone, err := time.LoadLocation(Zone)
	if err != nil {
		t.Fatal(err)
	}
	w.Google = fakegoogle.New(fakegoogle.Options{
		BaseURL: w.URL + "/google", ClientID: ClientID, ClientSecret: clientSecret,
		RedirectURIs: []string{w.URL + "/OAuth/callback"},
		Accounts:     []fakegoogle.Account{{Sub: "1001", Email: Admin, Name: "Admin"}, {Sub: Sub, Email: Account, Name: "Calendars"}},
	})
	w.ERP = fakeerp.New(fakeerp.Options{
		Location: zone, APIKey: erpKey,
		Notify: func(changes ...fakeerp.Change) {
			for _, c := range changes {
				w.mu.Lock()
				quiet := w.quiet
				w.mu.Unlock()
				if !quiet {
					w.Notify(c.Type, c.IDs...)
				}
			}
		},
	})
	w.ERP.Load(fakeerp.Data{
		States: []fakeerp.TaskState{
			{ID: Open, Name: "New", Role: fakeerp.RoleNotCompleted},
			{ID: Working, Name: "Under way", Role: fakeerp.RoleInProgress},
			{ID: Closed, Name: "Done", Role: fakeerp.RoleCompleted},
		},
		Types: []fakeerp.TaskType{{ID: Type, Name: "Repair"}},
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h := w.product
		w.mu.Unlock()
		h.ServeHTTP(rw, r)
	})
	mux.Handle("/google/", http.StripPrefix("/google", w.Google))
	mux.Handle("/erp/", http.StripPrefix("/erp", w.ERP))
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if t.Failed() {
			t.Logf("the functions' log:\n%s", w.Log)
		}
	})
	if o.Backend != nil {
		w.Store = store.New(o.Backend)
	}
	return w
}

// listen gives the world its way in, and its transport. In a bubble, where the clock
// says 2000, it also waits until 2027: the same hour on every run, no daylight saving
// time near, and tests' dates of 2030 ahead.
func (w *World) listen() (net.Listener, error) {
	if !w.bubble {
		w.transport = http.DefaultTransport
		return new(net.ListenConfig).Listen(w.T.Context(), "tcp", "127.0.0.1:0")
	}
	<-time.After(time.Until(time.Date(2027, 2, 2, 9, 0, 0, 0, time.UTC)))
	p := newPipes()
	transport := &http.Transport{DialContext: p.dial, MaxIdleConnsPerHost: 100}
	w.transport = transport
	w.T.Cleanup(transport.CloseIdleConnections)
	return p, nil
}

// Client makes requests to the world's URL.
func (w *World) Client() *http.Client { return &http.Client{Transport: w.transport} }

// Backend is the database the product stands on, to start it again on the same.
func (w *World) Backend() store.Backend { return w.backend }

// Serve makes the world's URL serve a product that a test has set up itself.
func (w *World) Serve(h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.product = h
}

// Again stops the product and starts it anew beside the same ERP and Google, on
// another database: the empty one, unless the options name one.
func (w *World) Again(o Options) *World {
	w.T.Helper()
	if err := w.Deployment.Close(); err != nil {
		w.T.Fatal(err)
	}
	w.start(o)
	return w
}

// Environment is what the functions need to live in this world.
func (w *World) Environment(o Options) map[string]string {
	t := w.T
	t.Helper()
	settings := map[string]any{
		"enabled": true, "confirmed": true, "time_zone": Zone,
		"shown_roles": []int64{fakeerp.RoleNotCompleted, fakeerp.RoleInProgress}, "binding_field": Binding,
	}
	if o.Settings != "" {
		if err := json.Unmarshal([]byte(o.Settings), &settings); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"GOOGLE_CLOUD_PROJECT": "world-test", "ERP_URL": w.URL + "/erp", "ERP_API_KEY": erpKey, "ALLOW_HTTP_ERP": "true",
		"OAUTH_CLIENT_ID": ClientID, "OAUTH_CLIENT_SECRET": clientSecret, "OAUTH_URL": w.URL + "/OAuth", "CONSOLE_URL": w.URL + "/Console",
		"ADMIN_EMAILS": Admin, "INTEGRATION_ACCOUNT": Account, "SESSION_KEY": strings.TrimPrefix(tokenKey, "local:"),
		"NOTIFY_SECRETS": notifySecret, "TOKEN_KEY": tokenKey, "DEFAULT_SETTINGS": string(text),
		"GOOGLE_ISSUER": w.URL + "/google", "CALENDAR_ENDPOINT": w.URL + "/google/calendar/v3/",
		// The pace is the budget's own test; here it would only slow the others.
		"CALENDAR_REQUESTS_PER_MINUTE": "60000", "CALENDARS_PER_HOUR": "1000", "CALENDARS_PER_DAY": "1000", "SHARES_PER_DAY": "1000",
	}
	for k, v := range o.Env {
		env[k] = v
	}
	return env
}

// start deploys the product on a store.
func (w *World) start(o Options) {
	t := w.T
	t.Helper()
	var err error
	backend := o.Backend
	if backend == nil {
		if backend, err = bolt.Open(filepath.Join(t.TempDir(), "state.db"), time.Now, bolt.NoSync()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = backend.Close() })
	}
	w.Store, w.backend = store.New(backend), backend
	env := w.Environment(o)
	d, err := deployment.Start(t.Context(), deployment.Options{
		Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Store:  w.Store, Transport: w.transport, Now: time.Now, Log: logging.New(w.Log, "world-test"),
		MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second, Bubble: w.bubble,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.bubble { // what came before did not happen at the same time
		<-time.After(time.Millisecond)
	}
	w.Deployment, w.Since = d, time.Now()
	w.Serve(d.Handler)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Logf("closing the deployment: %v", err)
		}
	})
	if !o.Disconnected {
		w.Connect()
	}
}

// Connect records a grant of the account as OAuth does after a consent.
func (w *World) Connect() {
	w.T.Helper()
	cipher, err := seal.NewLocal(w.key())
	if err != nil {
		w.T.Fatal(err)
	}
	scopes := append([]string{"openid", "email"}, googlecalendar.Scopes()...)
	refresh := w.Google.RefreshToken(Account, scopes...)
	sealed, err := cipher.Seal(w.T.Context(), []byte(refresh), seal.Additional(store.SealPath(Sub), Sub))
	if err != nil {
		w.T.Fatal(err)
	}
	if _, err := w.Store.Connect(w.T.Context(), store.AccountRecord{Sub: Sub, Email: Account, ClientID: ClientID, Scopes: scopes, Sealed: sealed}, false); err != nil {
		w.T.Fatal(err)
	}
}

// SetQuiet stops or lets through the ERP's notifications.
func (w *World) SetQuiet(quiet bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = quiet
}

// Notify sends a signed notification, as the ERP's connector does.
func (w *World) Notify(kind string, ids ...int64) {
	w.T.Helper()
	body, header, err := deployment.Notification(notifySecret, kind, ids...)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Post("/Notify/", body, header, http.StatusAccepted)
}

// Post calls a function and requires a status.
func (w *World) Post(path string, body []byte, header http.Header, want int) []byte {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+path, bytes.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header = header
	res, err := w.Client().Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	if res.StatusCode != want {
		w.T.Fatalf("POST %s: status %d, want %d: %s", path, res.StatusCode, want, answer)
	}
	return answer
}

// Poll runs the function Poll, as Scheduler does.
func (w *World) Poll() {
	w.T.Helper()
	w.Post("/Poll/", []byte("{}"), http.Header{"Content-Type": {"application/json"}}, http.StatusOK)
	w.Idle()
}

// Reconcile runs a full run, as Scheduler does at night.
func (w *World) Reconcile() {
	w.T.Helper()
	w.Post("/Reconcile/", []byte("{}"), http.Header{"Content-Type": {"application/json"}}, http.StatusAccepted)
	w.Idle()
}

// TakeOver has the functions find what is in the account after their database was lost,
// and an admin say that it is theirs. The next full run takes it over.
func (w *World) TakeOver() {
	w.T.Helper()
	w.Reconcile()
	found, _, asked, err := w.Store.Found(w.T.Context())
	if err == nil && !asked {
		w.T.Fatal("an admin is asked nothing")
	}
	if err == nil {
		err = w.Store.TakeOver(w.T.Context(), found.Hash, found.Calendars[0].Tenant)
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// InBubble reports whether no wait takes time here.
func (w *World) InBubble() bool { return w.bubble }

// Idle waits until no message is under way: at most five minutes, which take no time in a
// bubble, and outside it only where the test fails or the machine is very busy.
func (w *World) Idle() {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), 5*time.Minute)
	defer cancel()
	if err := w.Deployment.PubSub.Idle(ctx); err != nil {
		w.T.Fatalf("the queue does not come to rest: %v", err)
	}
}

// Employee adds a bound employee with an address of their own.
func (w *World) Employee(name string) int64 {
	w.T.Helper()
	return w.ERP.AddEmployee(fakeerp.Employee{
		Name: name, Email: strings.ToLower(name) + "@provider.example", Fields: map[int64]string{Binding: "1"},
	})
}

// Task adds an open task of an hour's length for executors.
func (w *World) Task(start time.Time, executors ...int64) int64 {
	w.T.Helper()
	return w.ERP.AddTask(fakeerp.Task{
		TypeID: Type, StateID: Open, Todo: start, Executors: executors,
		Address: fakeerp.Address{Text: "Sadova St, 1"}, Description: "Call before coming",
	})
}

// Tomorrow is an hour of tomorrow in the ERP's zone.
func (w *World) Tomorrow(hour int) time.Time {
	zone, err := time.LoadLocation(Zone)
	if err != nil {
		w.T.Fatal(err)
	}
	now := time.Now().In(zone)
	return time.Date(now.Year(), now.Month(), now.Day()+1, hour, 0, 0, 0, zone)
}

// Calendar gives the id of an employee's live calendar, "" without one; two are
// a failure.
func (w *World) Calendar(employee int64) string {
	w.T.Helper()
	found := ""
	for _, c := range w.Google.Calendars() {
		if !c.Deleted && strings.Contains(c.Description, " employee="+strconv.FormatInt(employee, 10)+" ") {
			if found != "" {
				w.T.Fatalf("employee %d has two calendars", employee)
			}
			found = c.ID
		}
	}
	return found
}

// Events lists the live events of an employee's calendar by start.
func (w *World) Events(employee int64) []*calendar.Event {
	w.T.Helper()
	var out []*calendar.Event
	for _, e := range w.Google.Events(w.Calendar(employee)) {
		if e.Status != "cancelled" {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *calendar.Event) int {
		return strings.Compare(a.Start.DateTime+a.Start.Date, b.Start.DateTime+b.Start.Date)
	})
	return out
}

// Starts lists when the live events of an employee's calendar start.
func (w *World) Starts(employee int64) []time.Time {
	w.T.Helper()
	var out []time.Time
	for _, e := range w.Events(employee) {
		at, err := time.Parse(time.RFC3339, e.Start.DateTime)
		if err != nil {
			w.T.Fatalf("event %s starts at %q", e.Id, e.Start.DateTime)
		}
		out = append(out, at.UTC())
	}
	return out
}

// WantStarts requires exactly these events, by their starts, in a calendar.
func (w *World) WantStarts(employee int64, want ...time.Time) {
	w.T.Helper()
	got := w.Starts(employee)
	same := slices.EqualFunc(got, want, func(a, b time.Time) bool { return a.Equal(b) })
	if !same {
		w.T.Fatalf("employee %d has events at %v, want %v", employee, got, want)
	}
}

// Calls gives the Calendar requests since the last reset.
func (w *World) Calls() []fakegoogle.Request {
	return w.Google.Requests(fakegoogle.Filter{Method: "calendar.*"})
}

// WantCalls requires exactly these Calendar requests since the last reset.
func (w *World) WantCalls(methods ...string) {
	w.T.Helper()
	var got []string
	for _, r := range w.Calls() {
		got = append(got, r.Method)
	}
	if !slices.Equal(got, methods) {
		w.T.Fatalf("Calendar calls %v, want %v", got, methods)
	}
}

func (w *World) key() []byte {
	key, ok := config.TokenKey{Value: config.NewSecret(tokenKey)}.Local()
	if !ok {
		w.T.Fatal("the world's token key cannot be read")
	}
	return key
}
