package console_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
)

// The largest company that the console is made for, and what a page of it may weigh and take.
const (
	manyEmployees, manyTasks = 1000, 20_000
	mostCompressed           = 60 << 10
	mostTime                 = 300 * time.Millisecond
)

// counted counts the documents that a page reads: what a query gives, and one for each thousand
// that are counted.
type counted struct {
	store.Backend
	reads atomic.Int64
}

func (c *counted) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	c.reads.Add(1)
	return c.Backend.Get(ctx, ref, into)
}

func (c *counted) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	docs, err := c.Backend.Query(ctx, q)
	c.reads.Add(int64(max(1, len(docs))))
	return docs, err
}

func (c *counted) Count(ctx context.Context, q store.Query) (int, error) {
	n, err := c.Backend.Count(ctx, q)
	c.reads.Add(int64(1 + n/1000))
	return n, err
}

// large fills a database with a company: everybody has a calendar, every tenth waits for one,
// some have errors, and tasks wait, fail and are held.
func large(t *testing.T, b store.Backend, employees, tasks int, now time.Time) {
	t.Helper()
	write := func(n int, doc func(i int) (store.Ref, any)) {
		for from := 0; from < n; from += 400 {
			err := b.Transact(t.Context(), func(tx store.Tx) error {
				for i := from; i < min(n, from+400); i++ {
					ref, rec := doc(i)
					if err := tx.Set(ref, rec); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(employees, func(i int) (store.Ref, any) {
		e := store.EmployeeRecord{ID: int64(i + 1), Name: fmt.Sprintf("Працівник Довгопрізвищенко-Чудернацький %d", i), Address: fmt.Sprintf("employee.number.%d@provider.example", i), State: store.StateActive,
			Calendar: &store.CalendarRecord{ID: fmt.Sprintf("%064x@group.calendar.google.com", i), Epoch: "e", From: now, RuleSeen: true}}
		switch {
		case i%10 == 3:
			e.State, e.Calendar = store.StatePending, nil
			e.PendingSince = now
		case i%50 == 7:
			e.State, e.Failed = store.StateError, "yes"
			e.Failure = &store.Failure{Kind: "forbidden", At: now, Count: 3, Message: "share the calendar"}
		default:
			e.CardSince, e.CardFailure = now, &store.Failure{Kind: "forbidden", At: now, Count: 1, Message: "write the card"}
		}
		return store.Ref{Collection: store.Employees, ID: fmt.Sprintf("%019d", e.ID)}, &e
	})
	write(tasks, func(i int) (store.Ref, any) {
		who := int64(i%employees + 1)
		rec := store.TaskRecord{ID: int64(i + 1), Employees: []int64{who}}
		rec.SetMapping(who, store.Mapping{Epoch: "e", EventID: fmt.Sprintf("event%d", i), State: store.MappingLive, Sent: "hash", StateID: 3})
		switch i % 100 {
		case 1:
			rec.PendingSince = now
		case 2:
			rec.Failed, rec.Failure = "yes", &store.Failure{Kind: "source-invalid", At: now, Count: 2, Message: "read the task"}
		case 3:
			m, _ := rec.Mapping(who)
			m.HeldSince, m.HeldFor, m.HeldTitle = now, "missing", "Підключення, вул. Довга 12"
			rec.SetMapping(who, m)
			rec.Held = store.HeldWaiting
		}
		return store.Ref{Collection: store.Tasks, ID: fmt.Sprintf("%019d", rec.ID)}, &rec
	})
}

// overviewReads counts what the overview reads of a company of a size.
func overviewReads(t *testing.T, employees, tasks int) int64 {
	t.Helper()
	b := &counted{}
	w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { b.Backend = memory.New(now); return b })
	large(t, b, employees, tasks, w.clock())
	browser := w.signedIn()
	b.reads.Store(0)
	if p := browser.get("/"); p.status != http.StatusOK {
		t.Fatalf("%d", p.status)
	}
	return b.reads.Load()
}

// TestTheOverviewReadsAFewRecordsWhateverTheCompany: a look at it costs a large company no
// more than what counting a thousand costs, and what is bounded.
func TestTheOverviewReadsAFewRecordsWhateverTheCompany(t *testing.T) {
	small, many := overviewReads(t, 10, 200), overviewReads(t, manyEmployees, manyTasks)
	t.Logf("%d reads of 10 employees, %d of %d", small, many, manyEmployees)
	if many > small+10 || many > 60 {
		t.Errorf("%d reads of 10 employees, %d of %d", small, many, manyEmployees)
	}
}

// TestAPlanOfALargeCompanyIsExact: a role that is shown no more, and one that is shown now, over
// 20,000 tasks: no page takes long, none says a number that is not right, and in the end there
// are both.
func TestAPlanOfALargeCompanyIsExact(t *testing.T) {
	var b store.Backend
	w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { b = memory.New(now); return b })
	large(t, b, manyEmployees, manyTasks, w.clock())
	next := w.saved().Settings
	next.Confirmed = true
	if err := w.deps.Settings.Apply(t.Context(), next, admin, 0, nil); err != nil {
		t.Fatal(err)
	}
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{}
	for id := calendarsync.EmployeeID(1); id <= manyEmployees; id++ {
		w.erp.cards[id] = card(id, fmt.Sprintf("Працівник %d", id), "1", "")
	}
	for id := calendarsync.TaskID(1); id <= manyTasks/4; id++ {
		w.erp.tasks[id] = calendarsync.TaskReading{Task: &calendarsync.Task{ID: id, State: calendarsync.Say[calendarsync.StateID](4),
			Start:     calendarsync.Say(calendarsync.LocalTime{Wall: w.clock().Add(24 * time.Hour)}),
			Executors: calendarsync.Say([]calendarsync.EmployeeID{calendarsync.EmployeeID(id%10) + 1})}}
	}
	browser := w.signedIn()
	form := browser.form(browser.get("/settings").body)
	form["shown_roles"] = []string{"1", "3"}
	p := browser.post("/settings", form)
	var took []time.Duration
	for strings.Contains(p.body, "data-until") && len(took) < 200 {
		if strings.Contains(p.body, "are deleted") || strings.Contains(p.body, "are made") {
			t.Fatal("a number is said before it is counted")
		}
		began := processorTime(t)
		p = browser.get("/settings/plan")
		took = append(took, processorTime(t)-began)
	}
	// Of each hundred tasks large holds one and has every tenth employee wait: their events are
	// not those of a calendar that stays.
	wantIn(t, p.body, "18,000 events of 900 people are deleted", "events of 9 people are made")
	slices.Sort(took)
	t.Logf("%d pages, half of them in %v, the slowest in %v", len(took), took[len(took)/2], took[len(took)-1])
	if half := took[len(took)/2]; half > mostTime { // the collector may be busy with what was before
		t.Errorf("half of the %d pages took %v and more", len(took), half)
	}
}

// TestNoPageReadsEveryTask: of 20,000 tasks a page reads what it shows, and a page that counts
// them a part.
func TestNoPageReadsEveryTask(t *testing.T) {
	b := &counted{}
	w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { b.Backend = memory.New(now); return b })
	large(t, b, manyEmployees, manyTasks, w.clock())
	w.connectAccount()
	next := w.saved().Settings
	next.Confirmed = true
	if err := w.deps.Settings.Apply(t.Context(), next, admin, 0, nil); err != nil {
		t.Fatal(err)
	}
	browser := w.signedIn()
	read := func(path string) (page, int64) {
		b.reads.Store(0)
		p := browser.get(path)
		return p, b.reads.Load()
	}
	// Only a save has to do with everybody.
	switch p, n := read("/settings"); {
	case p.status != http.StatusOK || n > 50:
		t.Errorf("/settings: %d, %d reads", p.status, n)
	default:
		t.Logf("%-20s %d", "/settings", n)
	}
	for _, path := range []string{"/", "/employees", "/employees/8", "/held", "/failures", "/activity", "/connections", "/figures", "/settings/history", "/setup", "/tasks/3", "/purge", "/employees/8/rebuild", "/api/status"} {
		p, n := read(path)
		t.Logf("%-20s %d", path, n)
		// Each employee's record once or twice, and a part of the tasks.
		if p.status != http.StatusOK || n > 2*manyEmployees+1000+100 {
			t.Errorf("%s: %d, %d reads", path, p.status, n)
		}
	}
	p, _ := read("/purge")
	for n := 0; strings.Contains(p.body, "data-until") && n < 40; n++ {
		var looks int64
		if p, looks = read("/purge"); looks > manyEmployees+1000+100 {
			t.Fatalf("%d reads for a part", looks)
		}
	}
	wantIn(t, p.body, "20,000 events")
}

// TestPagesOfALargeCompanyAreLight shows each page of 1,000 employees and 20,000 tasks as it
// travels: compressed, and made in time, which is the processor's: what else the machine does
// has no part in it.
func TestPagesOfALargeCompanyAreLight(t *testing.T) {
	var b store.Backend
	w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { b = memory.New(now); return b })
	large(t, b, manyEmployees, manyTasks, w.clock())
	browser := w.signedIn()
	for _, path := range []string{"/", "/employees", "/employees?q=900", "/employees/8", "/held", "/failures", "/activity", "/connections", "/figures", "/settings", "/tasks/3", "/purge", "/settings/history", "/guide/uk"} {
		best, size := time.Hour, 0
		for range 5 { // the collector may be busy with what was before
			r := browser.request(http.MethodGet, path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			began := processorTime(t)
			p := browser.do(r)
			best = min(best, processorTime(t)-began)
			if p.status != http.StatusOK {
				t.Fatalf("%s: %d", path, p.status)
			}
			if size = len(p.body); p.header.Get("Content-Encoding") != "gzip" && size > 2048 {
				t.Errorf("%s: %d bytes, not compressed", path, size)
			}
		}
		t.Logf("%-18s %6d bytes %v", path, size, best.Round(time.Millisecond))
		if size > mostCompressed || best > mostTime {
			t.Errorf("%s: %d bytes in %v", path, size, best.Round(time.Millisecond))
		}
	}
	if !strings.Contains(browser.get("/").body, "<html") {
		t.Error("who takes no gzip gets none of it")
	}
}
