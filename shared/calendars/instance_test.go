package calendars_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/rulebook"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

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

func (m mortal) Count(ctx context.Context, q store.Query) (int, error) {
	if err := m.state(); err != nil {
		return 0, err
	}
	return m.Backend.Count(ctx, q)
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

func (freePace) Refused(context.Context, string, string) error { return nil }

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
	rec, err := a.s.Account(ctx)
	if errors.Is(err, store.ErrNotConnected) || err == nil && !rec.Connected {
		err = failure.New(failure.Revoked, "read the account", "not connected") // as grant.Source says
	}
	return rec, err
}

// instance is one process of the product.
type instance struct {
	b         *bench
	ctx       context.Context
	death     *death
	store     *store.Store
	events    *events.Syncer
	calendars *calendars.Syncer
	source    *settings.Source
	outbox    []queue.Message
	google    *hooked
}

// hooked lets a test step in before calls of the event syncer; nil does nothing.
type hooked struct {
	*googlecalendar.Gateway
	before func(call, event string) error
	after  func(call, event string) error
	// answered changes the answer to a creation.
	answered func(c *googlecalendar.Calendar)
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
	if h.answered != nil {
		h.answered(&c)
	}
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
	rules := rulebook.New(source, erp, s, b.clock.Now, log)
	i := &instance{b: b, ctx: ctx, death: d, store: s, source: source, google: &hooked{Gateway: gateway}}
	i.events = events.New(events.Waits{Lease: leaseTime, Absence: absenceTime}, events.Deps{
		Store: s, ERP: erp, Google: i.google, Rules: rules, Account: accounts{b, s}, Tenant: s, NewID: b.newID, Now: b.clock.Now, Log: log,
	})
	i.calendars = calendars.New(calendars.Waits{Lease: leaseTime, Intent: intentTime, Absence: absenceTime, CalendarsPerHour: b.perHour, CalendarsPerDay: b.perDay, SharesPerDay: b.sharesPerDay}, calendars.Deps{
		Store: s, ERP: erp, Google: i.google, Rules: rules, Account: accounts{b, s}, Events: i.events, Queue: i, Topic: "employees", ERPAddress: b.erpAddress,
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

// Publish keeps what is published.
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

// deliver serves a message as the functions do; false: nacked.
func (i *instance) deliver(d delivery) bool {
	ok := true
	if len(d.tasks) > 0 {
		o := events.Order{Message: d.id, Cause: d.cause, Deleted: d.deleted}
		for _, id := range d.tasks {
			o.Tasks = append(o.Tasks, calendarsync.TaskID(id))
		}
		report, err := i.events.Sync(i.ctx, o)
		if len(report.Relist) > 0 {
			i.outbox = append(i.outbox, queue.Message{IDs: report.Relist, Cause: queue.CauseFill})
		}
		ok = err == nil && len(report.Redelivered) == 0
	}
	if len(d.employees) > 0 {
		o := calendars.Order{Message: d.id, Cause: d.cause, Deleted: d.deleted}
		for _, id := range d.employees {
			o.Employees = append(o.Employees, calendarsync.EmployeeID(id))
		}
		report, err := i.calendars.Sync(i.ctx, o)
		for _, id := range report.Remaining {
			i.outbox = append(i.outbox, queue.Message{IDs: []int64{int64(id)}, Cause: queue.CauseFill})
		}
		ok = ok && err == nil && len(report.Redelivered) == 0
	}
	return ok
}

func (i *instance) task(ids ...int64) {
	i.b.t.Helper()
	if !i.deliver(delivery{id: i.b.newID(), tasks: ids, cause: queue.CauseNotify}) {
		i.b.t.Fatalf("tasks %v nacked", ids)
	}
}

func (i *instance) employee(cause queue.Cause, ids ...int64) {
	i.b.t.Helper()
	if !i.deliver(delivery{id: i.b.newID(), employees: ids, cause: cause}) {
		i.b.t.Fatalf("employees %v nacked", ids)
	}
}

// paused reports whether syncing is switched off.
func (i *instance) paused() bool {
	s, err := i.source.Settings(i.b.t.Context())
	must(i.b.t, err)
	return !s.Enabled
}

// mayWrite reports whether Poll would send what is due.
func (i *instance) mayWrite() bool {
	s, err := i.source.Settings(i.b.t.Context())
	must(i.b.t, err)
	in, err := i.store.Installation(i.b.t.Context())
	must(i.b.t, err)
	return s.Confirmed && !in.Undecided()
}

// due does once what Poll would publish now; false: nothing was due.
func (i *instance) due() bool {
	t := i.b.t
	t.Helper()
	now, err := i.store.Now(t.Context())
	must(t, err)
	var tasks []int64
	if !i.paused() { // a purge under way concerns employees only
		tasks, err = i.store.DueKeys(t.Context(), store.Tasks, now, 100)
		must(t, err)
	}
	employees, err := i.store.DueKeys(t.Context(), store.Employees, now, 100)
	must(t, err)
	if !i.mayWrite() {
		tasks, employees = nil, nil
	}
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
			t.Fatalf("due tasks %v nacked", part)
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
		if !i.mayWrite() {
			return
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
		if !i.paused() {
			earliest(store.Tasks, func(id int64) time.Time { return i.b.taskRecord(id).DueAt })
		}
		earliest(store.Employees, func(id int64) time.Time { return i.b.record(id).DueAt })
		if next.IsZero() || next.Sub(i.b.clock.Now()) > time.Hour/2 {
			// What the delete guard holds waits for an admin, who confirms it here; tasks whose
			// calendar is gone and held are tried meanwhile.
			plan, err := i.store.Held(t.Context())
			must(t, err)
			if next.IsZero() && (len(plan.Keys) == 0 || i.b.undecided) {
				return
			}
			if len(plan.Keys) == 0 || i.b.undecided {
				i.b.clock.advance(next.Sub(i.b.clock.Now()))
				continue
			}
			for _, k := range plan.Keys {
				must(t, i.store.Allow(t.Context(), k.Key))
			}
			continue
		}
		i.b.clock.advance(max(next.Sub(i.b.clock.Now()), 0))
	}
	t.Fatal("it does not come to rest")
}
