// Package calendars_test judges the two syncers, of events and of calendars, together
// from the state of the stand-ins: on a clock that tests move, on a store and a way to
// Google that can be cut between any two effects.
package calendars_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
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

// bubble runs a test on fake time, where the product waits by itself: between tries of
// a call, or for a deadline.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
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
	// perDay and sharesPerDay are the day's caps of the instances started from now on.
	perDay, sharesPerDay int
	// erpAddress is ERP_URL of the instances started from now on.
	erpAddress string
	// undecided: no admin lets go what is held.
	undecided bool
}

type option func(*fakegoogle.Options)

func newBench(t *testing.T, options ...option) *bench {
	t.Helper()
	b := &bench{t: t, clock: &clock{now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}, perHour: 1000, perDay: 1000, sharesPerDay: 1000, erpAddress: "https://erp.example"}
	o := fakegoogle.Options{Now: b.clock.Now, Seed: 7, Accounts: []fakegoogle.Account{{Sub: sub, Email: account}}, ClientID: "client"}
	for _, opt := range options {
		opt(&o)
	}
	b.google = fakegoogle.New(o)
	kyiv, err := time.LoadLocation(zone)
	must(t, err)
	b.erp = fakeerp.New(fakeerp.Options{Now: b.clock.Now, Location: kyiv, APIKey: "key",
		Sleep: func(_ context.Context, d time.Duration) error { b.clock.advance(d); return nil }})
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
	b.backend = memory.New(b.clock.Now)
	b.store = store.New(b.backend)
	must(b.t, b.connect())
}

// connect connects the account, for the first time or again.
func (b *bench) connect() error {
	_, err := b.store.Connect(b.t.Context(), store.AccountRecord{Sub: sub, Email: account, ClientID: "client"}, false)
	return err
}

func (b *bench) newID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", b.ids)
}

func (b *bench) record(employee int64) store.EmployeeRecord {
	b.t.Helper()
	rec, _, err := b.store.Employee(b.t.Context(), employee)
	must(b.t, err)
	return rec
}

// change changes an employee's record, as an earlier pass might have left it.
func (b *bench) change(employee int64, change func(*store.EmployeeRecord)) {
	b.t.Helper()
	due := b.record(employee).DueAt
	lease, got, err := b.store.AcquireEmployee(b.t.Context(), employee, store.Claim{Message: b.newID(), TTL: leaseTime, Token: b.newID()})
	must(b.t, err)
	if got != store.Acquired {
		b.t.Fatalf("employee %d is %v", employee, got)
	}
	must(b.t, b.store.SaveEmployee(b.t.Context(), &lease, change))
	_, err = b.store.SettleEmployee(b.t.Context(), &lease, store.Result{RetryAt: due})
	must(b.t, err)
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

// wantQuiet requires that what is remembered is what is there: a complete pass
// finds nothing to write, and no intent is open.
func (b *bench) wantQuiet(employees ...int64) {
	b.t.Helper()
	i := b.start(0)
	b.google.ResetRequests()
	i.employee(queue.CauseReconcile, employees...)
	if wrote := b.google.Requests(fakegoogle.Filter{Writes: true}); len(wrote) > 0 {
		b.t.Fatalf("a complete pass still writes: %s %s (%d in all)", wrote[0].Method, wrote[0].EventID, len(wrote))
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

// creationLost is a hook that loses the answers to creations.
func creationLost(call, _ string) error {
	if call == "create" {
		return lost()
	}
	return nil
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
