package poll_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// counted counts what a database is asked for, and weighs what it is given.
type counted struct {
	store.Backend
	mu            sync.Mutex
	reads, writes int
	largest       map[store.Ref]int // bytes of JSON, near what Firestore counts
}

func (c *counted) add(reads, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads, c.writes = c.reads+reads, c.writes+writes
}

func (c *counted) take() (reads, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reads, writes = c.reads, c.writes
	c.reads, c.writes = 0, 0
	return reads, writes
}

func (c *counted) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	c.add(1, 0)
	return c.Backend.Get(ctx, ref, into)
}

// Query counts as Firestore bills it: a read for each document, one for none.
func (c *counted) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	docs, err := c.Backend.Query(ctx, q)
	c.add(max(1, len(docs)), 0)
	return docs, err
}

func (c *counted) Count(ctx context.Context, q store.Query) (int, error) {
	n, err := c.Backend.Count(ctx, q)
	c.add(max(1, (n+999)/1000), 0)
	return n, err
}

func (c *counted) Now(ctx context.Context) (time.Time, error) {
	c.add(1, 0)
	return c.Backend.Now(ctx)
}

func (c *counted) Transact(ctx context.Context, f func(store.Tx) error) error {
	return c.Backend.Transact(ctx, func(tx store.Tx) error { return f(countedTx{tx, c}) })
}

type countedTx struct {
	store.Tx
	c *counted
}

func (t countedTx) Get(ref store.Ref, into any) (bool, error) {
	t.c.add(1, 0)
	return t.Tx.Get(ref, into)
}

func (t countedTx) Known(ref store.Ref, into any) (bool, error) {
	t.c.add(1, 0)
	return t.Tx.Known(ref, into)
}

func (t countedTx) Set(ref store.Ref, doc any) error {
	t.c.add(0, 1)
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	t.c.mu.Lock()
	t.c.largest[ref] = max(t.c.largest[ref], len(text))
	t.c.mu.Unlock()
	return t.Tx.Set(ref, doc)
}

// handlerTransport calls a handler without a network.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

type fixed calendarsync.Settings

func (f fixed) Settings(context.Context) (calendarsync.Settings, error) {
	return calendarsync.Settings(f), nil
}

// outbox counts what is published.
type outbox struct{ messages, ids, all int }

func (o *outbox) Publish(_ context.Context, _ string, messages ...queue.Message) error {
	for _, m := range messages {
		o.messages++
		o.ids += len(m.IDs)
		if m.All {
			o.all++
		}
	}
	return nil
}

// firm is Poll beside the real ERP client, on the ERP's stand-in and the embedded
// store, with one clock.
type firm struct {
	t       *testing.T
	at      time.Time
	erp     *fakeerp.Server
	backend *counted
	store   *store.Store
	out     outbox
	handler http.Handler
	tasks   []int64
	people  []int64
}

func newFirm(t *testing.T, tasks, people int) *firm {
	t.Helper()
	f := &firm{t: t, at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	now := func() time.Time { return f.at }
	zone, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Fatal(err)
	}
	f.erp = fakeerp.New(fakeerp.Options{Location: zone, APIKey: "key", Now: now, LogLimit: 100_000})
	f.erp.Load(fakeerp.Data{
		States: []fakeerp.TaskState{{ID: 1, Name: "New", Role: fakeerp.RoleNotCompleted}, {ID: 3, Name: "Done", Role: fakeerp.RoleCompleted}},
		Types:  []fakeerp.TaskType{{ID: 1, Name: "Repair"}},
	})
	for i := range people {
		f.people = append(f.people, f.erp.AddEmployee(fakeerp.Employee{Name: fmt.Sprintf("Employee %d", i), Email: fmt.Sprintf("e%d@provider.example", i), Fields: map[int64]string{1: "1"}}))
	}
	for i := range tasks {
		f.tasks = append(f.tasks, f.erp.AddTask(fakeerp.Task{TypeID: 1, StateID: 1, Todo: f.at.Add(time.Duration(i) * time.Minute), Executors: []int64{f.people[i%people]}}))
	}
	b, err := bolt.Open(filepath.Join(t.TempDir(), "db"), now, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	f.backend = &counted{Backend: b, largest: map[store.Ref]int{}}
	f.store = store.New(f.backend)
	if _, err := f.store.Connect(t.Context(), store.AccountRecord{Sub: "1", Email: "calendars@provider.example", ClientID: "client"}, false); err != nil {
		t.Fatal(err)
	}
	client, err := userside.New(userside.Config{URL: &url.URL{Scheme: "https", Host: "erp.example"}, Key: "key"}, handlerTransport{f.erp}, now)
	if err != nil {
		t.Fatal(err)
	}
	set := calendarsync.Settings{Enabled: true, Confirmed: true, TimeZone: "Europe/Kyiv", BindingField: 1,
		ShownRoles: []calendarsync.RoleID{calendarsync.RoleID(fakeerp.RoleNotCompleted)}}
	f.handler = poll.New(poll.Config{TaskTopic: "tasks", EmployeeTopic: "employees"},
		poll.Deps{ERP: client, Settings: fixed(set), Store: f.store, Publisher: &f.out, Log: slog.New(slog.DiscardHandler)})
	f.at = f.at.Add(time.Hour)
	return f
}

// cost is what one poll took.
type cost struct {
	erp, reads, writes int
	out                outbox
	took               time.Duration
}

func (f *firm) poll() cost {
	f.t.Helper()
	f.at = f.at.Add(5 * time.Minute)
	f.erp.ResetRequests()
	f.backend.take()
	f.out = outbox{}
	began := time.Now()
	answer := httptest.NewRecorder()
	f.handler.ServeHTTP(answer, httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, "/", bytes.NewReader(nil)))
	if answer.Code != http.StatusOK {
		f.t.Fatalf("answered %d", answer.Code)
	}
	reads, writes := f.backend.take()
	return cost{erp: len(f.erp.Requests(nil)), reads: reads, writes: writes, out: f.out, took: time.Since(began)}
}

// At rest a poll costs five calls of the ERP and a few documents, however many
// tasks there are, and whatever happens its documents stay under Firestore's
// limit of 1 MiB.
func TestWhatAPollCosts(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ tasks, people int }{{20, 10}, {20_000, 1_000}} {
		t.Run(fmt.Sprintf("%d tasks, %d employees", size.tasks, size.people), func(t *testing.T) {
			t.Parallel()
			f := newFirm(t, size.tasks, size.people)
			report := func(what string, c cost) {
				t.Helper()
				t.Logf("%s: %d ERP calls, %d reads, %d writes, %d messages of %d ids and %d full runs, %v",
					what, c.erp, c.reads, c.writes, c.out.messages, c.out.ids, c.out.all, c.took.Round(time.Millisecond))
			}
			report("first", f.poll())
			for range 2 {
				c := f.poll()
				report("at rest", c)
				if c.erp > 5 || c.reads > 26 || c.writes > 2 || c.out.messages > 0 {
					t.Errorf("at rest: %+v; want at most 5 ERP calls, 26 reads, 2 writes, no message", c)
				}
			}
			// A mass change: every task is moved, every employee renamed.
			for _, id := range f.tasks {
				if err := f.erp.MoveTask(id, f.at.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			for i, id := range f.people {
				if err := f.erp.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Name = fmt.Sprintf("Renamed %d", i) }); err != nil {
					t.Fatal(err)
				}
			}
			runs := 0
			for range 5 {
				c := f.poll()
				report("a mass change and its overlap", c)
				runs += c.out.all
				if c.erp > 7 {
					t.Errorf("%d ERP calls", c.erp)
				}
			}
			if want := size.tasks / 20_000; runs != want {
				t.Errorf("%d full runs, want %d", runs, want)
			}
			// Half of everything is lacking from the lists, again and again.
			remove := f.erp.Inject(fakeerp.Rule{Cat: "task", Action: "get_list", Count: -1, Fault: fakeerp.HalfList()})
			removeToo := f.erp.Inject(fakeerp.Rule{Cat: "employee", Action: "get_data", Count: -1, Where: func(p map[string]string) bool { return p["id"] == "" }, Fault: fakeerp.HalfList()})
			for range 3 {
				c := f.poll()
				report("half lists", c)
				if size.tasks > 100 && (c.out.messages > 0 || c.erp > 7) {
					t.Errorf("half lists: %+v", c)
				}
			}
			remove()
			removeToo()
			report("whole again", f.poll())
			c := f.poll()
			report("at rest", c)
			if c.erp > 5 || c.out.messages > 0 {
				t.Errorf("at rest again: %+v", c)
			}
			for ref, bytes := range f.backend.largest {
				t.Logf("%s/%s: at most %d bytes", ref.Collection, ref.ID, bytes)
				if bytes > 1<<20 {
					t.Errorf("%s/%s: %d bytes, and a document may have 1 MiB", ref.Collection, ref.ID, bytes)
				}
			}
		})
	}
}
