package poll_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	wall      = "2006-01-02 15:04:05"
	shownRole = calendarsync.RoleID(1)
	open      = calendarsync.StateID(10)
	closed    = calendarsync.StateID(20)
)

// erpTask is a task of the scripted ERP.
type erpTask struct {
	updated   string
	state     calendarsync.StateID
	executors []calendarsync.EmployeeID
	divisions []calendarsync.DivisionID
}

// world is an ERP, a real store on bolt, the queue and the settings in one, with
// one clock: the instant, of which the ERP shows the wall clock of Kyiv.
type world struct {
	log       bytes.Buffer
	t         *testing.T
	now       time.Time
	zone      *time.Location
	store     *store.Store
	set       calendarsync.Settings
	setErr    error
	tasks     map[calendarsync.TaskID]*erpTask
	people    map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	broken    string // the ERP's call that fails
	brokenBy  error  // how; nil: the ERP is down
	halved    bool   // the ERP's lists lack every other one
	nobody    bool   // the ERP has no employee
	asked     int    // employees asked for by id
	from      []string
	listed    string // by which date changes are listed; "" for date.update itself
	published map[string][]queue.Message
	publishes bool
	odd       []error // entries of the catalogue
	handler   http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), zone: zone, publishes: true,
		tasks: map[calendarsync.TaskID]*erpTask{}, people: map[calendarsync.EmployeeID]calendarsync.EmployeeReading{},
		set: calendarsync.Settings{Enabled: true, Confirmed: true, TimeZone: "Europe/Kyiv", ShownRoles: []calendarsync.RoleID{shownRole}, BindingField: 5, CalendarIDField: 6}}
	b, err := bolt.Open(filepath.Join(t.TempDir(), "db"), func() time.Time { return w.now }, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	w.store = store.New(b)
	w.connect()
	w.handler = poll.New(poll.Config{TaskTopic: "tasks", EmployeeTopic: "employees"},
		poll.Deps{ERP: w, Settings: w, Store: w.store, Publisher: w, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	return w
}

func (w *world) connect() {
	if _, err := w.store.Connect(w.t.Context(), store.AccountRecord{Sub: "1", Email: "calendars@provider.example", ClientID: "client"}, false); err != nil {
		w.t.Fatal(err)
	}
}

var errDown = failure.New(failure.Source, "test", "the ERP is down")

func (w *world) fails(call string) error {
	if w.broken == call {
		if w.brokenBy != nil {
			return w.brokenBy
		}
		return errDown
	}
	return nil
}

func (w *world) Clock(context.Context) (userside.Clock, error) {
	local := w.now.In(w.zone)
	_, offset := local.Zone()
	at, err := time.Parse(wall, local.Format(wall))
	if err != nil {
		return userside.Clock{}, err
	}
	return userside.Clock{Unix: w.now, Local: calendarsync.LocalTime{Wall: at}, Offset: time.Duration(offset) * time.Second}, w.fails("clock")
}

func (w *world) States(context.Context) (calendarsync.Catalogue, error) {
	return calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{
		open: {ID: open, Role: shownRole}, closed: {ID: closed, Role: 9},
	}, Odd: w.odd}, w.fails("catalogue")
}

func (w *world) Types(context.Context) (map[calendarsync.TypeID]calendarsync.TaskType, []error, error) {
	return map[calendarsync.TypeID]calendarsync.TaskType{1: {ID: 1}}, nil, w.fails("types")
}

func (w *world) Divisions(context.Context) (map[calendarsync.DivisionID]string, error) {
	return nil, w.fails("divisions")
}

func (w *world) ListTasks(_ context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error) {
	var ids []calendarsync.TaskID
	if len(f.States) > 0 {
		for id, task := range w.tasks {
			if slices.Contains(f.States, task.state) && !(w.halved && id%2 == 0) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids, w.fails("states")
	}
	if f.ChangedFrom.IsZero() {
		return nil, errors.New("asked for every task there is")
	}
	w.from = append(w.from, f.ChangedFrom.Wall.Format(wall))
	for id, task := range w.tasks {
		if date(w.listed, task.updated) >= f.ChangedFrom.Wall.Format(wall) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, w.fails("changes")
}

func (w *world) Tasks(_ context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	out := map[calendarsync.TaskID]calendarsync.TaskReading{}
	for _, id := range ids {
		if task, ok := w.tasks[id]; ok {
			out[id] = calendarsync.TaskReading{Task: &calendarsync.Task{ID: id, Updated: task.updated, State: calendarsync.Say(task.state),
				Executors: calendarsync.Say(task.executors), Divisions: calendarsync.Say(task.divisions)}}
		} else {
			out[id] = calendarsync.TaskReading{Absent: calendarsync.ProofKnownID}
		}
	}
	return out, w.fails("show")
}

func (w *world) AllEmployees(context.Context, []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	if w.nobody {
		return nil, failure.Wrap(failure.SourceInvalid, "test", userside.ErrNobody)
	}
	out := maps.Clone(w.people)
	if w.halved {
		maps.DeleteFunc(out, func(id calendarsync.EmployeeID, _ calendarsync.EmployeeReading) bool { return id%2 == 0 })
	}
	return out, w.fails("employees")
}

func (w *world) Employees(_ context.Context, ids []calendarsync.EmployeeID) (map[calendarsync.EmployeeID]calendarsync.EmployeeReading, error) {
	w.asked += len(ids)
	out := map[calendarsync.EmployeeID]calendarsync.EmployeeReading{}
	for _, id := range ids {
		r, there := w.people[id]
		if !there {
			r.Absent = calendarsync.ProofKnownID
		}
		out[id] = r
	}
	return out, w.fails("employee")
}

func (w *world) Settings(context.Context) (calendarsync.Settings, error) { return w.set, w.setErr }

func (w *world) Publish(_ context.Context, topic string, messages ...queue.Message) error {
	if !w.publishes {
		return errors.New("Pub/Sub is down")
	}
	w.published[topic] = append(w.published[topic], messages...)
	return nil
}

// date is by which date the ERP lists a change.
func date(listed, updated string) string {
	if listed != "" {
		return listed
	}
	return updated
}

// change sets a task's date.update to some time ago.
func (w *world) change(id calendarsync.TaskID, ago time.Duration, state calendarsync.StateID) {
	if w.tasks[id] == nil {
		w.tasks[id] = &erpTask{}
	}
	w.tasks[id].updated, w.tasks[id].state = w.now.Add(-ago).In(w.zone).Format(wall), state
}

// poll lets five minutes pass and runs one.
func (w *world) poll() (int, poll.Summary) {
	w.t.Helper()
	w.now = w.now.Add(5 * time.Minute)
	return w.pollNow()
}

func (w *world) pollNow() (int, poll.Summary) {
	w.t.Helper()
	w.published = map[string][]queue.Message{}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", nil))
	var sum poll.Summary
	if answer.Code == 200 {
		if err := json.Unmarshal(answer.Body.Bytes(), &sum); err != nil {
			w.t.Fatal(err)
		}
	}
	return answer.Code, sum
}

// must polls and wants success and exactly these messages.
func (w *world) must(name string, want map[string][]queue.Message) {
	w.t.Helper()
	if code, _ := w.poll(); code != 200 {
		w.t.Errorf("%s: answered %d", name, code)
	}
	if want == nil {
		want = map[string][]queue.Message{}
	}
	if diff := cmp.Diff(want, w.published); diff != "" {
		w.t.Errorf("%s: %s", name, diff)
	}
}

func message(cause queue.Cause, lane queue.Lane, ids ...int64) queue.Message {
	return queue.Message{IDs: ids, Cause: cause, Lane: lane}
}

type sent = map[string][]queue.Message

func tasks(ids ...int64) sent {
	return sent{"tasks": {message(queue.CausePoll, queue.LaneLive, ids...)}}
}

func person(name, email string, fields map[calendarsync.FieldID]string) calendarsync.EmployeeReading {
	return calendarsync.EmployeeReading{Employee: &calendarsync.Employee{Name: name, Email: calendarsync.Say(email),
		Working: calendarsync.Say(true), Fields: calendarsync.Say(fields), Divisions: calendarsync.Say([]calendarsync.DivisionID{2, 1})}}
}
