package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakepubsub "github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// What must never be in any output. Each says MARKER, so that one search finds all.
const (
	markedERPKey  = "MARKER-erp-key"
	markedSecret  = "MARKER-client-secret"
	markedAccount = "marker.calendars@provider.example"
	markedAdmin   = "marker.admin@provider.example"
	markedKey     = "local:MARKERMARKERMARKERMARKERMARKERMARKERMARKERM="
	markedNotify  = "whsec_MARKERMARKERMARKERMARKERMARKERMARKERMARKERM="
	clientID      = "123-world.apps.googleusercontent.com"
	sub           = "1002"
	bindingField  = 1
	calendarField = 2
	firstAnn      = 7 // the employees
	firstBob      = 8
)

// world is a whole installation with stand-ins, and the doctor before it.
type world struct {
	t      *testing.T
	url    string
	erp    *fakeerp.Server
	google *fakegoogle.Server
	pubsub *fakepubsub.Server
	store  *store.Store
	file   string
	env    map[string]string
	with   surroundings
	// refresh is the grant's token: a secret.
	refresh string
}

// setup is what can only be decided before the world is built.
type setup struct {
	erp       fakeerp.Options
	google    func(*fakegoogle.Options)
	topics    []string
	account   func(*store.AccountRecord)
	apart     bool // not connected
	employees []fakeerp.Employee
	backend   store.Backend // nil: an embedded one
}

func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	r := &world{t: t, file: filepath.Join(t.TempDir(), "state.db")}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + listener.Addr().String()
	r.startERP(s)
	options := fakegoogle.Options{
		BaseURL: r.url + "/google", ClientID: clientID, ClientSecret: markedSecret, RedirectURIs: []string{r.url + "/OAuth/callback"},
		Accounts: []fakegoogle.Account{{Sub: "1001", Email: markedAdmin}, {Sub: sub, Email: markedAccount}},
	}
	if s.google != nil {
		s.google(&options)
	}
	r.google = fakegoogle.New(options)
	mux := http.NewServeMux()
	mux.Handle("/google/", http.StripPrefix("/google", r.google))
	mux.Handle("/erp/", http.StripPrefix("/erp", r.erp))
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.startCloud(s)
	r.env = map[string]string{
		"GOOGLE_CLOUD_PROJECT": "world", "ERP_URL": r.url + "/erp", "ERP_API_KEY": markedERPKey, "ALLOW_HTTP_ERP": "true",
		"OAUTH_CLIENT_ID": clientID, "OAUTH_CLIENT_SECRET": markedSecret, "OAUTH_URL": r.url + "/OAuth", "CONSOLE_URL": r.url + "/Console",
		"ADMIN_EMAILS": markedAdmin, "INTEGRATION_ACCOUNT": markedAccount, "SESSION_KEY": strings.TrimPrefix(markedKey, "local:"),
		"NOTIFY_SECRETS": markedNotify, "TOKEN_KEY": markedKey, "GOOGLE_ISSUER": r.url + "/google", "CALENDAR_ENDPOINT": r.url + "/google/calendar/v3/",
		"DEFAULT_SETTINGS": `{"confirmed":true,"time_zone":"Europe/Kyiv","shown_roles":[11,14],"binding_field":1,"calendar_id_field":2}`,
	}
	return r
}

func (r *world) startERP(s setup) {
	t := r.t
	zone, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	s.erp.Location, s.erp.APIKey = zone, markedERPKey
	r.erp = fakeerp.New(s.erp)
	employees := s.employees
	if employees == nil {
		employees = []fakeerp.Employee{
			{ID: firstAnn, Name: "Marker Ann", Email: "marker.ann@provider.example", Phone: "+38 MARKER 1", Fields: map[int64]string{bindingField: "1", calendarField: ""}},
			{ID: firstBob, Name: "Marker Bob", Email: "marker.bob@provider.example", Phone: "+38 MARKER 2", Fields: map[int64]string{bindingField: "1", calendarField: "MARKER@group.calendar.google.com"}},
			{ID: 9, Name: "Marker Eve", Email: "marker.eve@provider.example", Fields: map[int64]string{bindingField: "0", calendarField: ""}},
			{ID: 10, Name: "Marker Old", Dismissed: true, Fields: map[int64]string{bindingField: "1", calendarField: ""}},
		}
	}
	now := time.Now()
	r.erp.Load(fakeerp.Data{
		States: []fakeerp.TaskState{
			{ID: 3, Name: "New", Role: fakeerp.RoleNotCompleted}, {ID: 12, Name: "On the way", Role: fakeerp.RoleInProgress},
			{ID: 20, Name: "Done", Role: fakeerp.RoleCompleted},
		},
		Types:     []fakeerp.TaskType{{ID: 1, Name: "Repair", HourOnDoing: 1}},
		Employees: employees,
		Tasks: []fakeerp.Task{
			{ID: 100, TypeID: 1, StateID: 3, Todo: now.Add(time.Hour), Created: now, Executors: []int64{firstAnn},
				Address: fakeerp.Address{Text: "MARKER St, 1"}, Description: "MARKER: ring twice"},
			{ID: 101, TypeID: 1, StateID: 20, Created: now, Executors: []int64{firstBob}},
		},
	})
}

func (r *world) startCloud(s setup) {
	t := r.t
	backend := s.backend
	var err error
	if backend == nil {
		if backend, err = bolt.Open(r.file, time.Now); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = backend.Close() })
	}
	r.store = store.New(backend)
	topics := s.topics
	if topics == nil {
		topics = []string{"task-changes", "employee-changes"}
	}
	r.pubsub, err = fakepubsub.Start(t.Context(), fakepubsub.Options{Project: "world", Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.pubsub.Close() })
	if !s.apart {
		r.connect(s.account)
	}
	r.with = surroundings{
		lookup:    func(name string) (string, bool) { v, ok := r.env[name]; return v, ok },
		transport: http.DefaultTransport, now: time.Now,
		database: func(context.Context, config.Store) (store.Backend, error) { return unclosed{backend}, nil },
		topics: func(ctx context.Context, project string) (topicReader, error) {
			options, err := r.pubsub.ClientOptions()
			if err != nil {
				return nil, err
			}
			return pubsub.New(ctx, project, options...)
		},
		cipher: func(_ context.Context, cfg config.TokenKey) (seal.Cipher, error) {
			key, _ := cfg.Local()
			return seal.NewLocal(key)
		},
	}
}

// unclosed survives the doctor, so that a test can look at it afterwards.
type unclosed struct{ store.Backend }

func (unclosed) Close() error { return nil }

func (r *world) connect(change func(*store.AccountRecord)) {
	t := r.t
	key, ok := config.TokenKey{Value: config.NewSecret(markedKey)}.Local()
	if !ok {
		t.Fatal("the world's key cannot be read")
	}
	cipher, err := seal.NewLocal(key)
	if err != nil {
		t.Fatal(err)
	}
	rec := store.AccountRecord{Sub: sub, Email: markedAccount, ClientID: clientID, Scopes: append([]string{"openid", "email"}, googlecalendar.Scopes()...)}
	if change != nil {
		change(&rec)
	}
	r.refresh = r.google.RefreshToken(markedAccount, rec.Scopes...)
	if rec.Sealed, err = cipher.Seal(t.Context(), []byte(r.refresh), seal.Additional(store.SealPath(sub), sub)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Connect(t.Context(), rec, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.SetTenant(t.Context(), "8c7f1f0e-0000-4000-8000-000000000001"); err != nil {
		t.Fatal(err)
	}
	// A calendar of ours, and one of the owner's own.
	ctx := t.Context()
	gateway, err := googlecalendar.New(ctx, r.google.Client(markedAccount, googlecalendar.Scopes()...), r.url+"/google/calendar/v3/", unpaced{}, func(context.Context) (string, error) { return sub, nil })
	if err != nil {
		t.Fatal(err)
	}
	mark := calendarsync.CalendarMark{Tenant: "8c7f1f0e-0000-4000-8000-000000000001", Employee: firstAnn, Epoch: "e1", From: time.Now()}
	if _, err := gateway.CreateCalendar(ctx, "Marker Ann", "Europe/Kyiv", mark); err != nil {
		t.Fatal(err)
	}
	r.google.ResetRequests()
}

// examined is what one run of the doctor gave.
type examined struct {
	t      *testing.T
	code   int
	people string
	report report
}

// examine runs the doctor twice, for people and for machines, and holds every
// output to what must never be in one and every system to what it was before.
func (r *world) examine() examined {
	t := r.t
	t.Helper()
	before := r.everything()
	var people, machines, errs bytes.Buffer
	code := run(t.Context(), nil, &people, &errs, r.with)
	if again := run(t.Context(), []string{"-json"}, &machines, &errs, r.with); again != code {
		t.Errorf("exit status %d for people and %d for machines", code, again)
	}
	if diff := cmp.Diff(before, r.everything(), cmp.AllowUnexported(fakegoogle.CalendarSnapshot{})); diff != "" {
		t.Errorf("the doctor changed something: %s", diff)
	}
	for name, out := range map[string]string{"for people": people.String(), "for machines": machines.String(), "errors": errs.String()} {
		for _, secret := range append([]string{r.refresh, "ya29.", "1//", "provider.example"}, "MARKER", "Marker", "marker") {
			if secret != "" && strings.Contains(out, secret) {
				t.Errorf("%q is in the output %s:\n%s", secret, name, out)
			}
		}
	}
	if strings.Contains(people.String(), "\x1b") {
		t.Error("colour without a terminal")
	}
	e := examined{t: t, code: code, people: people.String()}
	dec := json.NewDecoder(&machines)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e.report); err != nil {
		t.Fatalf("the JSON cannot be read: %v", err)
	}
	return e
}

// everything is the state of each system that could be changed.
func (r *world) everything() map[string]any {
	t := r.t
	t.Helper()
	calendars := r.google.Calendars()
	events := map[string]int{}
	for _, c := range calendars {
		events[c.ID] = len(r.google.Events(c.ID))
	}
	var wrote []string
	for _, q := range r.google.Requests(fakegoogle.Filter{}) {
		if q.Write || q.Method == "oauth2.revoke" {
			wrote = append(wrote, "google "+q.Method)
		}
	}
	for _, q := range r.erp.Requests(nil) {
		// Only of show does it write: into the task's history. Nothing read is nothing asked.
		viewed := q.Params["employee_id"] != "" && q.Action != "get_list"
		if q.Write || viewed || !strings.HasPrefix(q.Action, "get_") && q.Action != "show" && q.Action != "" {
			wrote = append(wrote, "erp "+q.Cat+"/"+q.Action)
		}
		if q.KeyIn == "query" && r.env["ERP_KEY_IN_QUERY"] == "" {
			wrote = append(wrote, "the key was sent in "+q.KeyIn)
		}
	}
	file, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"calendars": calendars, "events": events, "mails": r.google.Mails(), "writes": wrote,
		"state": sha256.Sum256(file), "messages": len(r.pubsub.Messages()),
	}
}

func (e examined) finding(id string) finding {
	e.t.Helper()
	i := slices.IndexFunc(e.report.Checks, func(f finding) bool { return f.ID == id })
	if i < 0 {
		e.t.Fatalf("there is no check %q", id)
	}
	return e.report.Checks[i]
}

// want requires states; every other check must be ok, a warning where allowed, or
// waiting for one of the faults.
func (e examined) want(states map[string]state) {
	e.t.Helper()
	for id, want := range states {
		f := e.finding(id)
		if f.State != want {
			e.t.Errorf("%s is %s, want %s: %s", id, f.State, want, f.Text)
		}
		if (f.State == fault || f.State == warning) && f.Cure == "" {
			e.t.Errorf("%s has no cure: %s", id, f.Text)
		}
	}
	for _, f := range e.report.Checks {
		if _, named := states[f.ID]; named {
			continue
		}
		if f.State == fault || f.State == warning && f.ID != "erp.method" {
			e.t.Errorf("%s is %s besides: %s", f.ID, f.State, f.Text)
		}
		if f.State == unchecked && states[f.Because] != fault && states[f.Because] != unchecked {
			e.t.Errorf("%s is not checked because of %q: %s", f.ID, f.Because, f.Text)
		}
	}
	faults := slices.ContainsFunc(e.report.Checks, func(f finding) bool { return f.State == fault })
	if want := map[bool]int{true: 1, false: 0}[faults]; e.code != want || e.report.OK == faults {
		e.t.Errorf("exit status %d, ok %v, faults %v", e.code, e.report.OK, faults)
	}
	if e.t.Failed() {
		e.t.Log("\n" + e.people)
	}
}

// refusing is a cipher that fails.
type refusing struct{ reason string }

func (c refusing) Seal(context.Context, []byte, []byte) ([]byte, error) {
	return nil, refused(c.reason)
}
func (c refusing) Open(context.Context, []byte, []byte) ([]byte, error) {
	return nil, refused(c.reason)
}

func refused(reason string) error {
	return &failure.Error{Kind: failure.Misconfigured, Op: "test", Reason: reason}
}
