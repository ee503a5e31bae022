package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

const (
	account = "calendars@provider.example"
	sub     = "1002"

	leaseTime   = 90 * time.Second
	absenceTime = 10 * time.Minute
)

// world is what one test has: the product's state, Google's stand-in, and an ERP
// whose readings the test writes down. Its time is that of a synctest bubble.
type world struct {
	t      *testing.T
	google *fakegoogle.Server
	erp    *erp
	rules  *rulebook
	store  *hookedStore
	way    *hookedGoogle // to Google
	syncer *events.Syncer
	log    *strings.Builder
	// accountErr, if set, is what reading the account gives.
	accountErr error

	mu  sync.Mutex
	ids int
}

// in runs a test in a world of its own.
func in(t *testing.T, test func(w *world), options ...func(*fakegoogle.Options)) {
	t.Helper()
	t.Parallel()
	_ = t.Context().Done() // made outside of the bubble, where it is closed
	synctest.Test(t, func(t *testing.T) {
		o := fakegoogle.Options{Now: time.Now, Seed: 7, Accounts: []fakegoogle.Account{{Sub: sub, Email: account}}, ClientID: "client"}
		for _, option := range options {
			option(&o)
		}
		w := &world{t: t, google: fakegoogle.New(o), log: &strings.Builder{}, rules: newRulebook(),
			erp: &erp{tasks: map[calendarsync.TaskID]calendarsync.TaskReading{}}}
		backend, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), time.Now, bolt.NoSync())
		w.must(err)
		t.Cleanup(func() { _ = backend.Close() })
		w.store = &hookedStore{Store: store.New(backend)}
		_, err = w.store.Connect(t.Context(), store.AccountRecord{Sub: sub, Email: account, ClientID: "client"}, false)
		w.must(err)
		_, err = w.store.SetTenant(t.Context(), tenant)
		w.must(err)
		gateway, err := googlecalendar.New(t.Context(), w.google.Client(account, googlecalendar.Scopes()...),
			"http://google.test/calendar/v3/", freePace{}, func(context.Context) (string, error) { return sub, nil })
		w.must(err)
		w.way = &hookedGoogle{Gateway: gateway}
		w.syncer = w.newSyncer()
		test(w)
	})
}

func webDeletionForbidsRevival(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true }

// advance lets the time of the world go on.
func advance(d time.Duration) {
	<-time.After(d) // the bubble's time, which takes none
}

// newSyncer is another instance, which knows nothing of what others heard.
func (w *world) newSyncer() *events.Syncer {
	return events.New(events.Waits{Lease: leaseTime, Absence: absenceTime}, events.Deps{
		Store: w.store, ERP: w.erp, Google: w.way, Rules: w.rules, Account: w, Tenant: w.store,
		NewID: w.newID, Now: time.Now, Log: slog.New(slog.NewJSONHandler(w, nil)),
	})
}

// Account gives the account's record.
func (w *world) Account(ctx context.Context) (store.AccountRecord, error) {
	if w.accountErr != nil {
		return store.AccountRecord{}, w.accountErr
	}
	return w.store.Account(ctx)
}

// Write keeps the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("id-%04d", w.ids)
}

// erp says of each task what the test wrote down; of others that it is not there.
type erp struct {
	mu     sync.Mutex
	tasks  map[calendarsync.TaskID]calendarsync.TaskReading
	before func(ctx context.Context) error
	reads  int
}

func (e *erp) TasksWith(ctx context.Context, ids []calendarsync.TaskID, _ calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	e.mu.Lock()
	e.reads++
	before := e.before
	e.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[calendarsync.TaskID]calendarsync.TaskReading{}
	for _, id := range ids {
		reading, there := e.tasks[id]
		if !there {
			reading = calendarsync.TaskReading{Absent: calendarsync.ProofKnownID}
		}
		out[id] = reading
	}
	return out, nil
}

// rulebook is the settings and the catalogue in force.
type rulebook struct {
	settings  calendarsync.Settings
	catalogue calendarsync.Catalogue
	err       error
}

func newRulebook() *rulebook {
	s := calendarsync.DefaultSettings()
	s.Confirmed, s.TimeZone, s.ShownRoles, s.IncludeDepartments = true, "Europe/Kyiv", []calendarsync.RoleID{1}, true
	s.TaskURL = "http://erp.test/task/{id}"
	return &rulebook{settings: s, catalogue: calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{
		shown: {ID: shown, Role: 1}, hidden: {ID: hidden, Role: 3},
	}}}
}

func (r *rulebook) Settings(context.Context) (calendarsync.Settings, error) { return r.settings, r.err }

func (r *rulebook) Knowing(context.Context, []calendarsync.StateID) (*calendarsync.Rules, error) {
	return calendarsync.NewRules(r.settings, r.catalogue, nil)
}

type freePace struct{}

func (freePace) Refused(context.Context, string, string) error { return nil }

func (freePace) Wait(ctx context.Context, _, _ string) error { return ctx.Err() }

// hookedStore lets a test step in before writes are announced.
type hookedStore struct {
	*store.Store
	beforeIntend func(intents []store.Intent)
}

func (s *hookedStore) IntendTask(ctx context.Context, l *store.TaskLease, intents []store.Intent) ([]int64, error) {
	if s.beforeIntend != nil {
		s.beforeIntend(intents)
	}
	return s.Store.IntendTask(ctx, l, intents)
}

// hookedGoogle lets a test step in before and after calls that write; what a hook
// gives is what the syncer gets to hear.
type hookedGoogle struct {
	*googlecalendar.Gateway
	before, after func(call, event string) error
}

func (h *hookedGoogle) around(call, event string, do func() (googlecalendar.Event, error)) (googlecalendar.Event, error) {
	if h.before != nil {
		if err := h.before(call, event); err != nil {
			return googlecalendar.Event{}, err
		}
	}
	ev, err := do()
	if h.after != nil {
		if lost := h.after(call, event); lost != nil {
			return googlecalendar.Event{}, lost
		}
	}
	return ev, err
}

func (h *hookedGoogle) InsertEvent(ctx context.Context, c string, d googlecalendar.Draft) (googlecalendar.Event, error) {
	return h.around("insert", d.ID, func() (googlecalendar.Event, error) { return h.Gateway.InsertEvent(ctx, c, d) })
}

func (h *hookedGoogle) UpdateEvent(ctx context.Context, c string, d googlecalendar.Draft) (googlecalendar.Event, error) {
	return h.around("update", d.ID, func() (googlecalendar.Event, error) { return h.Gateway.UpdateEvent(ctx, c, d) })
}

func (h *hookedGoogle) DeleteEvent(ctx context.Context, c, id, etag string) error {
	_, err := h.around("delete", id, func() (googlecalendar.Event, error) {
		return googlecalendar.Event{}, h.Gateway.DeleteEvent(ctx, c, id, etag)
	})
	return err
}

// lost is an answer that never came, of a call that may have taken effect.
func lost(string, string) error {
	return &failure.Error{Kind: failure.Transient, Op: "test", Detail: "the answer was lost", Ambiguous: true}
}

// hour is an hour of the day after the world's first.
func (w *world) hour(h int) time.Time {
	w.t.Helper()
	kyiv, err := time.LoadLocation(w.rules.settings.TimeZone)
	w.must(err)
	return time.Date(2000, 1, 2, h, 0, 0, 0, kyiv)
}

// hire makes an employee with an active calendar.
func (w *world) hire(id int64, divisions ...int64) {
	w.t.Helper()
	epoch := w.newID()
	from := time.Now().Add(-24 * time.Hour).UTC()
	c, err := w.way.CreateCalendar(w.t.Context(), "somebody", "Europe/Kyiv", calendarsync.CalendarMark{
		Tenant: tenant, Employee: calendarsync.EmployeeID(id), Epoch: epoch, From: from})
	w.must(err)
	w.change(id, func(e *store.EmployeeRecord) {
		e.Name, e.Divisions, e.State = "Somebody", divisions, store.StateActive
		e.Calendar = &store.CalendarRecord{ID: c.ID, Epoch: epoch, From: from, Account: sub, Listed: true}
	})
}

// change changes an employee's record under its lease.
func (w *world) change(id int64, change func(*store.EmployeeRecord)) {
	w.t.Helper()
	lease, _, err := w.store.AcquireEmployee(w.t.Context(), id, store.Claim{TTL: leaseTime, Token: w.newID()})
	w.must(err)
	w.must(w.store.SaveEmployee(w.t.Context(), &lease, change))
	_, err = w.store.SettleEmployee(w.t.Context(), &lease, store.Result{})
	w.must(err)
}

// retire takes an employee's calendar out of use.
func (w *world) retire(id int64) {
	w.t.Helper()
	w.change(id, func(e *store.EmployeeRecord) {
		e.Retiring, e.Calendar, e.State = []store.CalendarRecord{*e.Calendar}, nil, store.StatePending
	})
}

func (w *world) calendar(id int64) string {
	w.t.Helper()
	rec, _, err := w.store.Employee(w.t.Context(), id)
	w.must(err)
	if rec.Calendar == nil {
		w.t.Fatalf("employee %d has no calendar", id)
	}
	return rec.Calendar.ID
}

// says writes down what the ERP says of a task; change is applied to an open task.
func (w *world) says(id calendarsync.TaskID, hour int, executors []calendarsync.EmployeeID, change func(*calendarsync.Task)) {
	task := calendarsync.Task{
		ID: id, TypeName: "Repair", State: calendarsync.Say(shown), Executors: calendarsync.Say(executors),
		Divisions: calendarsync.Say[[]calendarsync.DivisionID](nil), Updated: time.Now().String(),
		Start: calendarsync.Say(calendarsync.LocalTime{Wall: time.Date(2000, 1, 2, hour, 0, 0, 0, time.UTC)}),
	}
	if change != nil {
		change(&task)
	}
	w.erp.mu.Lock()
	defer w.erp.mu.Unlock()
	w.erp.tasks[id] = calendarsync.TaskReading{Task: &task}
}

// open writes down an open task.
func (w *world) open(id calendarsync.TaskID, hour int, executors ...calendarsync.EmployeeID) {
	w.says(id, hour, executors, nil)
}

// closed writes down a task in a state that is not shown.
func (w *world) closed(id calendarsync.TaskID, hour int, executors ...calendarsync.EmployeeID) {
	w.says(id, hour, executors, func(t *calendarsync.Task) { t.State = calendarsync.Say(hidden) })
}

// deleted lets the ERP have the task no more.
func (w *world) deleted(id calendarsync.TaskID) {
	w.erp.mu.Lock()
	defer w.erp.mu.Unlock()
	delete(w.erp.tasks, id)
}

// serve is an order that has to be acknowledged.
func (w *world) serve(o events.Order) events.Report {
	w.t.Helper()
	if o.Message == "" {
		o.Message = w.newID()
	}
	report, err := w.syncer.Sync(w.t.Context(), o)
	w.must(err)
	return report
}

// syncUnanswered is a pass whose writes take effect, and whose answers are lost.
func (w *world) syncUnanswered(ids ...calendarsync.TaskID) {
	w.t.Helper()
	w.way.after = lost
	w.sync(ids...)
	w.way.after = nil
}

// sync serves a notification of tasks.
func (w *world) sync(ids ...calendarsync.TaskID) events.Report {
	w.t.Helper()
	return w.serve(events.Order{Tasks: ids, Cause: queue.CauseNotify})
}

// audit has all tasks of an employee looked at, with a complete list of the calendar.
func (w *world) audit(id int64) events.Report {
	w.t.Helper()
	rec, _, err := w.store.Employee(w.t.Context(), id)
	w.must(err)
	listing := &events.Listing{Employee: calendarsync.EmployeeID(id), Epoch: rec.Calendar.Epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{}}
	o := events.Order{Cause: queue.CauseReconcile, Listed: listing}
	for _, e := range w.owned(id) {
		listing.Events[e.Mark.Task] = append(listing.Events[e.Mark.Task], e)
		o.Tasks = append(o.Tasks, e.Mark.Task)
	}
	for _, shown := range listing.Events {
		slices.SortFunc(shown, func(a, b googlecalendar.Event) int { return b.Mark.Generation - a.Mark.Generation })
	}
	recs, err := w.store.TasksOf(w.t.Context(), id)
	w.must(err)
	for _, r := range recs {
		o.Tasks = append(o.Tasks, calendarsync.TaskID(r.ID))
	}
	return w.serve(o)
}

// owned lists the product's own events of an employee's calendar.
func (w *world) owned(id int64) []googlecalendar.Event {
	w.t.Helper()
	_, all, err := w.way.Events(w.t.Context(), w.calendar(id))
	w.must(err)
	return slices.DeleteFunc(all, func(e googlecalendar.Event) bool {
		return !e.Owned || e.Mark.Tenant != tenant || e.Mark.Employee != calendarsync.EmployeeID(id)
	})
}

// rest does what Poll would bring up, moving time from one due moment to the next,
// until nothing is due.
func (w *world) rest() {
	w.t.Helper()
	for range 100 {
		ids, err := w.store.DueKeys(w.t.Context(), store.Tasks, time.Now().Add(1000*time.Hour), 100)
		w.must(err)
		if len(ids) == 0 {
			return
		}
		advance(max(0, time.Until(w.record(calendarsync.TaskID(ids[0])).DueAt)))
		for _, id := range ids {
			if !w.record(calendarsync.TaskID(id)).DueAt.After(time.Now()) {
				w.serve(events.Order{Tasks: []calendarsync.TaskID{calendarsync.TaskID(id)}, Cause: queue.CauseRetry})
			}
		}
	}
	w.t.Fatal("it does not come to rest")
}

func (w *world) record(task calendarsync.TaskID) store.TaskRecord {
	w.t.Helper()
	rec, _, err := w.store.Task(w.t.Context(), int64(task))
	w.must(err)
	return rec
}

func (w *world) mapping(task calendarsync.TaskID, employee int64) store.Mapping {
	w.t.Helper()
	rec := w.record(task)
	m, mapped := rec.Mapping(employee)
	if !mapped {
		w.t.Fatalf("task %d has no mapping of employee %d", task, employee)
	}
	return m
}

// live lists the events of an employee's calendar that are not deleted.
func (w *world) live(employee int64) []*calendar.Event {
	w.t.Helper()
	return slices.DeleteFunc(w.google.Events(w.calendar(employee)), func(e *calendar.Event) bool { return e.Status == "cancelled" })
}

// want requires exactly events at these hours in an employee's calendar.
func (w *world) want(employee int64, hours ...int) {
	w.t.Helper()
	var got, want []string
	for _, e := range w.live(employee) {
		at, err := time.Parse(time.RFC3339, e.Start.DateTime)
		w.must(err)
		got = append(got, at.UTC().Format(time.RFC3339))
	}
	for _, h := range hours {
		want = append(want, w.hour(h).UTC().Format(time.RFC3339))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Fatalf("employee %d has events at %v, want %v", employee, got, want)
	}
}

// wantQuiet requires that what is remembered is what is there: a look at everything
// writes nothing, and nothing is open.
func (w *world) wantQuiet(employees ...int64) {
	w.t.Helper()
	w.google.ResetRequests()
	for _, id := range employees {
		w.audit(id)
		recs, err := w.store.TasksOf(w.t.Context(), id)
		w.must(err)
		for _, rec := range recs {
			if m, mapped := rec.Mapping(id); rec.Dirty != 0 || rec.Failure != nil || mapped && m.Open() {
				w.t.Fatalf("task %d is not at rest: %+v, %+v", rec.ID, rec.Work, m)
			}
		}
	}
	if wrote := w.writes(); len(wrote) > 0 {
		w.t.Fatalf("a look at everything still writes: %v", wrote)
	}
}

// writes lists the methods of the calls that wrote, since the last reset.
func (w *world) writes() []string { return w.methods(fakegoogle.Filter{Writes: true}) }

func (w *world) calls() []string { return w.methods(fakegoogle.Filter{Method: "calendar.*"}) }

func (w *world) methods(f fakegoogle.Filter) []string {
	var out []string
	for _, r := range w.google.Requests(f) {
		out = append(out, strings.TrimPrefix(r.Method, "calendar.events."))
	}
	return out
}

func (w *world) activity() []store.ActivityRecord {
	w.t.Helper()
	recs, err := w.store.RecentActivity(w.t.Context(), 0)
	w.must(err)
	return recs
}

// withEvent is an employee, 4, with one task, 7, at nine.
func (w *world) withEvent() {
	w.t.Helper()
	w.hire(4)
	w.open(7, 9, 4)
	w.sync(7)
	w.want(4, 9)
	advance(time.Minute)
	w.google.ResetRequests()
}
