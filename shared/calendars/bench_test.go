// Package calendars_test judges the keeper and the event writer together from
// the state of the stand-ins: on a clock that tests move, on a store and a way to
// Google that can be cut between any two effects.
package calendars_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	account = "calendars@provider.example"
	sub     = "1002"
	binding = 1
	zone    = "Europe/Kyiv"

	stateOpen, stateWorking, stateClosed = 1, 2, 3
	typeRepair                           = 1

	leaseTime   = 90 * time.Second
	intentTime  = 10 * time.Minute
	absenceTime = 10 * time.Minute
)

// clock is the time of the store, of both stand-ins and of every instance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is the world of one test.
type bench struct {
	t       *testing.T
	clock   *clock
	google  *fakegoogle.Server
	erp     *fakeerp.Server
	backend store.Backend
	store   *store.Store
	ids     int
	mu      sync.Mutex
	set     string
	// accountIs, if set, stands before the stored account.
	accountIs func() error
	perHour   int
}

type option func(*fakegoogle.Options)

func newBench(t *testing.T, options ...option) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}, perHour: 1000}
	o := fakegoogle.Options{Now: b.clock.Now, Seed: 7, Accounts: []fakegoogle.Account{{Sub: sub, Email: account}}, ClientID: "client"}
	for _, opt := range options {
		opt(&o)
	}
	b.google = fakegoogle.New(o)
	kyiv, err := time.LoadLocation(zone)
	must(t, err)
	b.erp = fakeerp.New(fakeerp.Options{Now: b.clock.Now, Location: kyiv, APIKey: "key"})
	b.erp.Load(fakeerp.Data{
		States: []fakeerp.TaskState{
			{ID: stateOpen, Name: "New", Role: fakeerp.RoleNotCompleted},
			{ID: stateWorking, Name: "Under way", Role: fakeerp.RoleInProgress},
			{ID: stateClosed, Name: "Done", Role: fakeerp.RoleCompleted},
		},
		Types: []fakeerp.TaskType{{ID: typeRepair, Name: "Repair"}},
	})
	b.use(map[string]any{})
	b.freshStore()
	return b
}

// use lays settings over the bench's own.
func (b *bench) use(over map[string]any) {
	all := map[string]any{
		"enabled": true, "confirmed": true, "time_zone": zone, "binding_field": binding,
		"shown_roles": []int64{fakeerp.RoleNotCompleted, fakeerp.RoleInProgress},
	}
	for k, v := range over {
		all[k] = v
	}
	text, err := json.Marshal(all)
	must(b.t, err)
	b.set = string(text)
}

// freshStore begins on an empty database, as after the loss of one.
func (b *bench) freshStore() {
	backend, err := bolt.Open(filepath.Join(b.t.TempDir(), "state.db"), b.clock.Now, bolt.NoSync())
	must(b.t, err)
	b.t.Cleanup(func() { _ = backend.Close() })
	b.backend, b.store = backend, store.New(backend)
	_, err = b.store.Connect(b.t.Context(), store.AccountRecord{Sub: sub, Email: account, ClientID: "client"}, false)
	must(b.t, err)
}

func (b *bench) newID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", b.ids)
}

// death cuts an instance off at its at-th effect and ever after.
type death struct {
	mu     sync.Mutex
	at, n  int
	dead   bool
	cancel context.CancelFunc
}

var errDead = errors.New("the instance was killed")

func (d *death) effect() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.at > 0 && d.n >= d.at {
		d.dead = true
		d.cancel()
	}
	return d.stateLocked()
}

func (d *death) state() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stateLocked()
}

func (d *death) stateLocked() error {
	if d.dead {
		return errDead
	}
	return nil
}

// mortal is a database as a mortal instance reaches it.
type mortal struct {
	store.Backend
	*death
}

func (m mortal) Transact(ctx context.Context, f func(store.Tx) error) error {
	if err := m.effect(); err != nil {
		return err
	}
	return m.Backend.Transact(ctx, f)
}

func (m mortal) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if err := m.state(); err != nil {
		return false, err
	}
	return m.Backend.Get(ctx, ref, into)
}

func (m mortal) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	if err := m.state(); err != nil {
		return nil, err
	}
	return m.Backend.Query(ctx, q)
}

// road is the way to Google.
type road struct {
	base http.RoundTripper
	*death
}

func (r road) RoundTrip(req *http.Request) (*http.Response, error) {
	check := r.effect
	if req.Method == http.MethodGet {
		check = r.state
	}
	if err := check(); err != nil {
		return nil, err
	}
	return r.base.RoundTrip(req)
}

// erpRoad calls the ERP's stand-in without a network.
type erpRoad struct{ erp http.Handler }

func (r erpRoad) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	broken := func() (broken bool) {
		defer func() {
			if p := recover(); p != nil {
				broken = true
			}
		}()
		r.erp.ServeHTTP(rec, req)
		return false
	}()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if broken {
		return nil, errors.New("broken off")
	}
	return rec.Result(), nil
}

type freePace struct{}

func (freePace) Wait(ctx context.Context, _, _ string) error { return ctx.Err() }

type accounts struct {
	b *bench
	s *store.Store
}

func (a accounts) Account(ctx context.Context) (store.AccountRecord, error) {
	if a.b.accountIs != nil {
		if err := a.b.accountIs(); err != nil {
			return store.AccountRecord{}, err
		}
	}
	return a.s.Account(ctx)
}

// instance is one process of the product.
type instance struct {
	b      *bench
	ctx    context.Context
	death  *death
	store  *store.Store
	writer *events.Writer
	keeper *calendars.Keeper
	source *settings.Source
	outbox []queue.Message
	google *hooked
}

// hooked lets a test step in before calls of the writer; nil does nothing.
type hooked struct {
	*googlecalendar.Gateway
	before func(call, event string) error
	after  func(call, event string) error
}

func (h *hooked) run(f func(call, event string) error, call, event string) error {
	if f == nil {
		return nil
	}
	return f(call, event)
}

func (h *hooked) InsertEvent(ctx context.Context, c string, d googlecalendar.Draft) (googlecalendar.Event, error) {
	if err := h.run(h.before, "insert", d.ID); err != nil {
		return googlecalendar.Event{}, err
	}
	ev, err := h.Gateway.InsertEvent(ctx, c, d)
	if lost := h.run(h.after, "insert", d.ID); lost != nil {
		return googlecalendar.Event{}, lost
	}
	return ev, err
}

func (h *hooked) UpdateEvent(ctx context.Context, c string, d googlecalendar.Draft) (googlecalendar.Event, error) {
	if err := h.run(h.before, "update", d.ID); err != nil {
		return googlecalendar.Event{}, err
	}
	ev, err := h.Gateway.UpdateEvent(ctx, c, d)
	if lost := h.run(h.after, "update", d.ID); lost != nil {
		return googlecalendar.Event{}, lost
	}
	return ev, err
}

func (h *hooked) DeleteEvent(ctx context.Context, c, id, etag string) error {
	if err := h.run(h.before, "delete", id); err != nil {
		return err
	}
	err := h.Gateway.DeleteEvent(ctx, c, id, etag)
	if lost := h.run(h.after, "delete", id); lost != nil {
		return lost
	}
	return err
}

func (h *hooked) CreateCalendar(ctx context.Context, name, zone string, m calendarsync.CalendarMark) (googlecalendar.Calendar, error) {
	if err := h.run(h.before, "create", ""); err != nil {
		return googlecalendar.Calendar{}, err
	}
	c, err := h.Gateway.CreateCalendar(ctx, name, zone, m)
	if lost := h.run(h.after, "create", ""); lost != nil {
		return googlecalendar.Calendar{}, lost
	}
	return c, err
}

// start runs an instance that dies at its at-th effect; 0: never.
func (b *bench) start(at int) *instance {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	d := &death{at: at, cancel: cancel}
	s := store.New(mortal{b.backend, d})
	log := slog.New(slog.NewTextHandler(testLog{b.t}, nil))
	gateway, err := googlecalendar.New(ctx,
		&http.Client{Transport: road{b.google.Client(account, googlecalendar.Scopes()...).Transport, d}},
		"http://google.test/calendar/v3/", freePace{}, func(context.Context) (string, error) { return sub, nil })
	must(b.t, err)
	base, err := url.Parse("http://erp.test")
	must(b.t, err)
	erp, err := userside.New(userside.Config{URL: base, Key: "key", AllowHTTP: true}, erpRoad{b.erp}, b.clock.Now)
	must(b.t, err)
	source := settings.NewSource(s, b.set, "http://erp.test", b.clock.Now)
	book := rulebook.New(source, erp, s, b.clock.Now)
	i := &instance{b: b, ctx: ctx, death: d, store: s, source: source, google: &hooked{Gateway: gateway}}
	i.writer = events.New(events.Waits{Lease: leaseTime, Absence: absenceTime}, events.Deps{
		Store: s, ERP: erp, Google: i.google, Rules: book, Account: accounts{b, s}, Tenant: s, NewID: b.newID, Now: b.clock.Now, Log: log,
	})
	i.keeper = calendars.New(calendars.Waits{Lease: leaseTime, Intent: intentTime, Absence: absenceTime, CalendarsPerHour: b.perHour}, calendars.Deps{
		Store: s, ERP: erp, Google: i.google, Rules: book, Account: accounts{b, s}, Events: i.writer, Queue: i, Topic: "employees",
		NewID: b.newID, Now: b.clock.Now, Log: log,
	})
	return i
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil && testing.Verbose() {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// Publish keeps what the keeper publishes.
func (i *instance) Publish(_ context.Context, _ string, messages ...queue.Message) error {
	i.outbox = append(i.outbox, messages...)
	return nil
}

// delivery is a message of either topic.
type delivery struct {
	id        string
	tasks     []int64
	employees []int64
	cause     queue.Cause
	deleted   bool
}

// deliver serves a message as the functions do; false: refused.
func (i *instance) deliver(d delivery) bool {
	ok := true
	if len(d.tasks) > 0 {
		o := events.Order{Message: d.id, Cause: d.cause, Deleted: d.deleted}
		for _, id := range d.tasks {
			o.Tasks = append(o.Tasks, calendarsync.TaskID(id))
		}
		report, err := i.writer.Sync(i.ctx, o)
		if len(report.Audit) > 0 {
			i.outbox = append(i.outbox, queue.Message{IDs: report.Audit, Cause: queue.CauseFill})
		}
		ok = err == nil && len(report.Redelivered) == 0
	}
	if len(d.employees) > 0 {
		o := calendars.Order{Message: d.id, Cause: d.cause, Deleted: d.deleted}
		for _, id := range d.employees {
			o.Employees = append(o.Employees, calendarsync.EmployeeID(id))
		}
		report, err := i.keeper.Sync(i.ctx, o)
		for _, id := range report.Left {
			i.outbox = append(i.outbox, queue.Message{IDs: []int64{int64(id)}, Cause: queue.CauseFill})
		}
		ok = ok && err == nil && len(report.Redelivered) == 0
	}
	return ok
}

func (i *instance) task(ids ...int64) {
	i.b.t.Helper()
	if !i.deliver(delivery{id: i.b.newID(), tasks: ids, cause: queue.CauseNotify}) {
		i.b.t.Fatalf("tasks %v refused", ids)
	}
}

func (i *instance) employee(cause queue.Cause, ids ...int64) {
	i.b.t.Helper()
	if !i.deliver(delivery{id: i.b.newID(), employees: ids, cause: cause}) {
		i.b.t.Fatalf("employees %v refused", ids)
	}
}

// due does once what Poll would publish now; false: nothing was due.
func (i *instance) due() bool {
	t := i.b.t
	t.Helper()
	now, err := i.store.Now(t.Context())
	must(t, err)
	tasks, err := i.store.DueKeys(t.Context(), store.Tasks, now, 100)
	must(t, err)
	employees, err := i.store.DueKeys(t.Context(), store.Employees, now, 100)
	must(t, err)
	box := i.outbox
	i.outbox = nil
	for _, m := range box {
		i.employee(m.Cause, m.IDs...)
	}
	if len(tasks)+len(employees)+len(box) == 0 {
		return false
	}
	for part := range slices.Chunk(tasks, 50) {
		if !i.deliver(delivery{id: i.b.newID(), tasks: part, cause: queue.CauseRetry}) {
			t.Fatalf("due tasks %v refused", part)
		}
	}
	if len(employees) > 0 {
		i.employee(queue.CauseRetry, employees...)
	}
	return true
}

// rest polls, moving the clock from one due moment to the next, until nothing is due.
func (i *instance) rest() {
	t := i.b.t
	t.Helper()
	for range 200 {
		if i.due() {
			continue
		}
		next := time.Time{}
		earliest := func(c store.Collection, due func(id int64) time.Time) {
			ids, err := i.store.DueKeys(t.Context(), c, i.b.clock.Now().Add(1000*time.Hour), 1)
			must(t, err)
			for _, id := range ids {
				if at := due(id); next.IsZero() || at.Before(next) {
					next = at
				}
			}
		}
		earliest(store.Tasks, func(id int64) time.Time { return i.b.taskRecord(id).DueAt })
		earliest(store.Employees, func(id int64) time.Time { return i.b.record(id).DueAt })
		if next.IsZero() {
			return
		}
		i.b.clock.advance(max(next.Sub(i.b.clock.Now()), 0))
	}
	t.Fatal("it does not come to rest")
}

func (b *bench) record(employee int64) store.EmployeeRecord {
	b.t.Helper()
	rec, _, err := b.store.Employee(b.t.Context(), employee)
	must(b.t, err)
	return rec
}

func (b *bench) taskRecord(task int64) store.TaskRecord {
	b.t.Helper()
	rec, _, err := b.store.Task(b.t.Context(), task)
	must(b.t, err)
	return rec
}

func (b *bench) mapping(task, employee int64) store.Mapping {
	b.t.Helper()
	rec := b.taskRecord(task)
	m, ok := rec.Mapping(employee)
	if !ok {
		b.t.Fatalf("task %d has no mapping of employee %d", task, employee)
	}
	return m
}

// hire adds an employee who is to have a calendar.
func (b *bench) hire(name string) int64 {
	return b.erp.AddEmployee(fakeerp.Employee{Name: name, Email: strings.ToLower(name) + "@provider.example", Fields: map[int64]string{binding: "1"}})
}

// staffed hires people and makes their calendars.
func (b *bench) staffed(names ...string) (*instance, []int64) {
	b.t.Helper()
	i := b.start(0)
	var ids []int64
	for _, n := range names {
		ids = append(ids, b.hire(n))
	}
	i.employee(queue.CauseNotify, ids...)
	i.rest()
	for _, id := range ids {
		if b.calendar(id) == "" {
			b.t.Fatalf("employee %d has no calendar", id)
		}
	}
	return i, ids
}

// hour is an hour of the day after the bench's first.
func (b *bench) hour(h int) time.Time {
	kyiv, err := time.LoadLocation(zone)
	must(b.t, err)
	return time.Date(2026, 3, 4, h, 0, 0, 0, kyiv)
}

func (b *bench) addTask(start time.Time, executors ...int64) int64 {
	return b.erp.AddTask(fakeerp.Task{TypeID: typeRepair, StateID: stateOpen, Todo: start, Executors: executors,
		Address: fakeerp.Address{Text: "Sadova St, 1"}, Description: "Call before coming"})
}

// live lists an employee's calendars that exist.
func (b *bench) live(employee int64) []fakegoogle.CalendarSnapshot {
	var out []fakegoogle.CalendarSnapshot
	for _, c := range b.google.Calendars() {
		if !c.Deleted && strings.Contains(c.Description, " employee="+strconv.FormatInt(employee, 10)+" ") {
			out = append(out, c)
		}
	}
	return out
}

// calendar is the id of an employee's only calendar, "" without one.
func (b *bench) calendar(employee int64) string {
	b.t.Helper()
	switch l := b.live(employee); len(l) {
	case 0:
		return ""
	case 1:
		return l[0].ID
	default:
		b.t.Fatalf("employee %d has %d calendars", employee, len(l))
		return ""
	}
}

func (b *bench) events(employee int64) []*calendar.Event {
	b.t.Helper()
	var out []*calendar.Event
	for _, e := range b.google.Events(b.calendar(employee)) {
		if e.Status != "cancelled" {
			out = append(out, e)
		}
	}
	return out
}

// want requires exactly these starts in an employee's calendar.
func (b *bench) want(employee int64, starts ...time.Time) {
	b.t.Helper()
	var got []time.Time
	for _, e := range b.events(employee) {
		at, err := time.Parse(time.RFC3339, e.Start.DateTime)
		must(b.t, err)
		got = append(got, at.UTC())
	}
	slices.SortFunc(got, time.Time.Compare)
	if !slices.EqualFunc(got, starts, func(x, y time.Time) bool { return x.Equal(y) }) {
		b.t.Fatalf("employee %d has events at %v, want %v", employee, got, starts)
	}
}

// wantQuiet requires that what is remembered is what is there: a complete audit
// finds nothing to write, and no intent is open.
func (b *bench) wantQuiet(employees ...int64) {
	b.t.Helper()
	i := b.start(0)
	b.google.ResetRequests()
	i.employee(queue.CauseReconcile, employees...)
	if wrote := b.google.Requests(fakegoogle.Filter{Writes: true}); len(wrote) > 0 {
		b.t.Fatalf("an audit still writes: %s %s (%d in all)", wrote[0].Method, wrote[0].EventID, len(wrote))
	}
	for _, e := range employees {
		recs, err := b.store.TasksOf(b.t.Context(), e)
		must(b.t, err)
		for _, rec := range recs {
			if m, ok := rec.Mapping(e); ok && m.Open() {
				b.t.Fatalf("task %d has an open intent: %+v", rec.ID, m)
			}
			if rec.Dirty != 0 || rec.Failure != nil {
				b.t.Fatalf("task %d is not at rest: %+v", rec.ID, rec.Work)
			}
		}
		if w := b.record(e).Work; w.Dirty != 0 || w.Failure != nil {
			b.t.Fatalf("employee %d is not at rest: %+v", e, w)
		}
	}
}

func (b *bench) shares(address string) int {
	n := 0
	for _, m := range b.google.Mails() {
		if m.Kind == "share" && strings.EqualFold(m.To, address) {
			n++
		}
	}
	return n
}

func (b *bench) writes() []string {
	var out []string
	for _, r := range b.google.Requests(fakegoogle.Filter{Writes: true}) {
		out = append(out, strings.TrimPrefix(r.Method, "calendar."))
	}
	return out
}

// lost is an answer that never came, of a call that may have taken effect.
func lost() error {
	return &failure.Error{Kind: failure.Transient, Op: "test", Detail: "the answer was lost", Ambiguous: true}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// orderUntil is an order whose time is over at a moment.
func orderUntil(employee int64, until time.Time) calendars.Order {
	return calendars.Order{Employees: []calendarsync.EmployeeID{calendarsync.EmployeeID(employee)}, Cause: queue.CauseNotify, Until: until}
}
