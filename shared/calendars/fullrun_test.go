package calendars_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// shown counts the tasks that the ERP was asked to show.
func (b *bench) shown() int {
	n := 0
	for _, r := range b.erp.Requests(fakeerp.Call("task", "show")) {
		n += len(strings.Split(r.Params["id"], ","))
	}
	b.erp.ResetRequests()
	return n
}

// A closed task is not read every night for ever, and is forgotten in the end; its
// event is found all the same, when the owner restores it or the task comes back (rule 2.7).
func TestWhatIsDeletedIsNotReadAgainAndForgottenAfterAMonth(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	deleted := b.events(who)[0].Id
	must(t, b.erp.CloseTask(task))
	i.task(task)
	b.want(who)
	b.shown()
	i.employee(queue.CauseReconcile, who)
	if n := b.shown(); n != 0 {
		t.Errorf("the next night read %d tasks, want none", n)
	}
	if m := b.mapping(task, who); m.State != store.MappingTombstone || m.GoneAt.IsZero() {
		t.Fatalf("mapping %+v", m)
	}

	must(t, b.google.RestoreEvent(b.calendar(who), deleted))
	i.employee(queue.CauseReconcile, who)
	b.want(who)

	b.clock.advance(31 * 24 * time.Hour)
	i.employee(queue.CauseReconcile, who)
	if rec, found, err := b.store.Task(t.Context(), task); err != nil || found {
		t.Errorf("still remembered: %+v, %v", rec, err)
	}
	b.shown()
	b.wantQuiet(who)
	if n := b.shown(); n != 0 {
		t.Errorf("forgotten, and %d tasks read", n)
	}

	must(t, b.google.RestoreEvent(b.calendar(who), deleted))
	i.employee(queue.CauseReconcile, who)
	b.want(who)
	b.clock.advance(31 * 24 * time.Hour)
	i.employee(queue.CauseReconcile, who)
	must(t, b.erp.ReopenTask(task))
	i.task(task)
	b.want(who, b.hour(9))
	if got := b.events(who)[0].Id; got != deleted {
		t.Errorf("event %s, want the one that was deleted, %s", got, deleted)
	}
	b.wantQuiet(who)
}

// What a complete pass listed of a task that somebody held was not made use of: the next
// pass is complete again, whatever asked for it.
func TestACompletePassThatMetABusyTaskIsRepeated(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	lease, _, err := b.store.AcquireTask(t.Context(), task, store.Claim{TTL: leaseTime, Token: "somebody"})
	must(t, err)
	must(t, b.google.MoveEvent(b.calendar(who), b.events(who)[0].Id, b.hour(20)))
	i.employee(queue.CauseReconcile, who)
	b.want(who, b.hour(20))
	rec := b.record(who)
	if rec.DueAt.IsZero() || rec.Dirty == 0 {
		t.Fatalf("no further pass is asked for: %+v", rec.Work)
	}
	for released := false; !released; {
		released, err = b.store.SettleTask(t.Context(), &lease, store.TaskOutcome{})
		must(t, err)
	}
	b.clock.advance(rec.DueAt.Sub(b.clock.Now()))
	i.employee(queue.CausePoll, who)
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

// The lower of two generations goes; whenever its remover dies, there is a record
// of the deletion.
func TestTheRemovalOfADoubleIsAnnouncedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
		i, ids := b.staffed("Olena")
		task := b.addTask(b.hour(9), ids[0])
		i.task(task)
		lower := b.events(ids[0])[0].Id
		must(t, b.google.DeleteEvent(b.calendar(ids[0]), lower))
		i.employee(queue.CauseReconcile, ids[0])
		i.rest()
		must(t, b.google.RestoreEvent(b.calendar(ids[0]), lower))
		b.google.ResetRequests()
		mortal := b.start(n)
		mortal.deliver(delivery{id: b.newID(), employees: ids, cause: queue.CauseReconcile})
		recs, err := b.store.RecentActivity(t.Context(), 20)
		must(t, err)
		written := len(b.writes()) > 0
		recorded := slices.ContainsFunc(recs, func(a store.ActivityRecord) bool { return a.Event == lower && a.Action == "event.delete-double" })
		if written && !recorded {
			t.Fatalf("killed at effect %d: the double is gone, and nothing says so", n)
		}
		heir := b.start(0)
		b.clock.advance(2 * leaseTime)
		heir.rest()
		heir.employee(queue.CauseReconcile, ids[0])
		if e := b.events(ids[0]); len(e) != 1 || e[0].Id == lower {
			t.Fatalf("killed at effect %d: %d events", n, len(e))
		}
		if mortal.death.state() == nil {
			if n < 5 {
				t.Errorf("only %d effects", n-1)
			}
			return
		}
	}
}

// Rule 3.3: a double that could not be deleted is remembered, and goes by a pass over its task.
func TestADoubleThatCouldNotBeDeletedGoesLater(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = true })
	i, ids := b.staffed("Olena")
	i.task(b.addTask(b.hour(9), ids[0]))
	lower := b.events(ids[0])[0].Id
	must(t, b.google.DeleteEvent(b.calendar(ids[0]), lower))
	i.employee(queue.CauseReconcile, ids[0])
	i.rest()
	must(t, b.google.RestoreEvent(b.calendar(ids[0]), lower))
	b.google.Inject(fakegoogle.Fault{Method: "calendar.events.delete", Count: -1, Status: http.StatusServiceUnavailable})
	i.employee(queue.CauseReconcile, ids[0])
	b.google.ClearFaults()
	if e := b.events(ids[0]); len(e) != 2 {
		t.Fatalf("%d events before the second try", len(e))
	}
	i.rest()
	if e := b.events(ids[0]); len(e) != 1 || e[0].Id == lower {
		t.Errorf("%d events", len(e))
	}
}

// between lets something happen before an employee's lease is taken, when the
// message has read the ERP already.
type between struct {
	calendars.Store
	of     int64
	happen func()
}

func (s *between) AcquireEmployee(ctx context.Context, id int64, c store.Claim) (store.EmployeeLease, store.Outcome, error) {
	if id == s.of && s.happen != nil {
		happen := s.happen
		s.happen = nil
		happen()
	}
	return s.Store.AcquireEmployee(ctx, id, c)
}

// What a message read for all of its employees is older than their leases, so that
// nothing is written from it (rule 1.2).
func TestNothingIsWrittenFromWhatWasReadBeforeTheLease(t *testing.T) {
	t.Parallel()
	unbind := func(b *bench, who int64) { must(b.t, b.erp.SetField(who, binding, "")) }
	noCalendar := func(b *bench, who int64) {
		b.t.Helper()
		if c := b.calendar(who); c != "" {
			b.t.Errorf("an unbound employee has calendar %s", c)
		}
	}
	for name, c := range map[string]struct {
		before, between func(b *bench, who int64)
		check           func(b *bench, who int64)
	}{
		"unbound, and removed by another": {between: func(b *bench, who int64) {
			unbind(b, who)
			b.start(0).employee(queue.CauseNotify, who)
		}, check: noCalendar},
		"unbound, and the share was removed by hand": {before: func(b *bench, who int64) {
			must(b.t, b.google.RemoveShare(b.calendar(who), "olena@provider.example"))
		}, between: unbind, check: noCalendar},
		"unbound, and the calendar was deleted by hand": {before: func(b *bench, who int64) {
			must(b.t, b.google.DeleteCalendar(b.calendar(who)))
		}, between: unbind, check: noCalendar},
		"unbound, and the calendar was renamed by hand": {before: func(b *bench, who int64) {
			must(b.t, b.google.EditCalendar(b.calendar(who), func(c *calendar.Calendar) { c.Summary = "Mine" }))
		}, between: unbind, check: noCalendar},
		"renamed before, and nobody told": {before: func(b *bench, who int64) {
			must(b.t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Name = "Olena Bondar" }))
		}, between: func(*bench, int64) {}, check: func(b *bench, who int64) {
			if got := b.live(who)[0].Summary; got != "Olena Bondar" {
				b.t.Errorf("the calendar is called %q", got)
			}
		}},
		"another address before, and nobody told": {before: func(b *bench, who int64) {
			must(b.t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "new@provider.example" }))
		}, between: func(*bench, int64) {}, check: func(b *bench, who int64) { wantShares(b, "new@provider.example", 1) }},
		"renamed, and told": {between: func(b *bench, who int64) {
			must(b.t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Name = "Olena Bondar" }))
			b.start(0).employee(queue.CauseNotify, who)
		}, check: func(b *bench, who int64) {
			if got := b.live(who)[0].Summary; got != "Olena Bondar" {
				b.t.Errorf("the calendar is called %q", got)
			}
		}},
		"a task moved, and told": {between: func(b *bench, who int64) {
			recs, err := b.store.TasksOf(b.t.Context(), who)
			must(b.t, err)
			must(b.t, b.erp.MoveTask(recs[0].ID, b.hour(14)))
			b.start(0).task(recs[0].ID)
		}, check: func(b *bench, who int64) { b.want(who, b.hour(14)) }},
		"a mark that somebody else left": {between: func(b *bench, who int64) {
			unbind(b, who)
			must(b.t, b.store.MarkDirty(b.t.Context(), store.EmployeeKey(who), b.clock.Now().Add(time.Hour)))
		}, check: noCalendar},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena", "Petro")
			i.task(b.addTask(b.hour(9), ids[0]))
			i.employee(queue.CauseReconcile, ids...) // the shares have been seen
			if c.before != nil {
				c.before(b, ids[0])
			}
			mails := b.shares("olena@provider.example")
			i.calendars.Store = &between{Store: i.calendars.Store, of: ids[0], happen: func() { c.between(b, ids[0]) }}
			i.employee(queue.CauseReconcile, ids...)
			c.check(b, ids[0])
			if got := b.shares("olena@provider.example"); got != mails {
				t.Errorf("%d more invitations", got-mails)
			}
		})
	}
}

// What a run without drift costs: Google is asked for one list of events and one of
// rules a calendar, the ERP for each task once a message. In a bubble, with a Google that
// takes its time: else the machine's scheduler would decide how often two executors of one
// task meet over it.
func TestWhatAQuietNightCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, quietNight)
}

func quietNight(t *testing.T) {
	const people, each = 100, 10
	b := newBench(t, func(o *fakegoogle.Options) { o.Latency = 100 * time.Millisecond })
	var names []string
	for n := range people {
		names = append(names, fmt.Sprintf("person%d", n))
	}
	i, ids := b.staffed(names...)
	var tasks []int64
	for n := range people * each / 2 {
		// Every task has two executors, in the same message or not.
		tasks = append(tasks, b.addTask(b.hour(8).Add(time.Duration(n%48)*10*time.Minute), ids[n%people], ids[(n*7+1)%people]))
	}
	for _, id := range tasks[:50] {
		must(t, b.erp.CloseTask(id))
	}
	// night gives how many employees need another pass after it.
	night := func(id string) int {
		t.Helper()
		b.clock.advance(24 * time.Hour)
		b.google.ResetRequests()
		b.erp.ResetRequests()
		i.outbox = nil
		must(t, i.calendars.StartFullRun(t.Context(), queue.CauseReconcile, id))
		for _, m := range i.outbox {
			o := calendars.Order{Message: b.newID(), Cause: m.Cause, Run: m.Run}
			for _, e := range m.IDs {
				o.Employees = append(o.Employees, calendarsync.EmployeeID(e))
			}
			if report, err := i.calendars.Sync(t.Context(), o); err != nil || len(report.Remaining)+len(report.Redelivered) > 0 {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		i.outbox = nil
		due, err := b.store.DueKeys(t.Context(), store.Employees, b.clock.Now().Add(time.Hour), people)
		must(t, err)
		t.Logf("%s: %d of %d employees need another pass", id, len(due), people)
		return len(due)
	}
	again := night("fill")
	i.rest()
	for _, id := range tasks[50:100] {
		must(t, b.erp.CloseTask(id))
	}
	again += night("closed")
	i.rest()
	if again > 2*people/10 {
		t.Errorf("%d of %d passes that wrote have to be made again: their tasks were held by each other", again, 2*people)
	}
	if again := night("quiet"); again > 0 {
		t.Errorf("%d employees need another pass, and nothing was written", again)
	}
	google, erp := map[string]int{}, map[string]int{}
	for _, r := range b.google.Requests(fakegoogle.Filter{Method: "calendar.*"}) {
		google[r.Method]++
	}
	for _, r := range b.erp.Requests(func(fakeerp.Request) bool { return true }) {
		erp[r.Cat+"/"+r.Action]++
	}
	shown := b.shown()
	t.Logf("%d employees, %d open tasks, %d closed: Google %v, ERP %v, %d tasks shown", people, len(tasks)-100, 100, google, erp, shown)
	if google["calendar.events.list"] != people || google["calendar.acl.list"] != people || len(google) != 3 || google["calendar.calendarList.list"] > 2 {
		t.Errorf("Google calls %v", google)
	}
	// Two messages: each reads its people at once, and in hundreds what is on their lists.
	if erp["employee/get_data"] != 1+2 || erp["task/get_list"] != people || shown > 2*(len(tasks)-100) || erp["task/show"] > 2*((len(tasks)-100+99)/100) {
		t.Errorf("ERP calls %v, %d tasks shown", erp, shown)
	}
	if run, _, err := b.store.LastRun(t.Context(), "reconcile"); err != nil || run.Done != people || run.Repaired != 0 || run.Failed != 0 || run.Ended.IsZero() {
		t.Errorf("run %+v, %v", run, err)
	}
}

// A run counts each employee once and ends, wherever the worker of its message dies.
func TestARunCountsEverybodyOnceWhereverItsWorkerDies(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		survived := false
		ok := t.Run(fmt.Sprintf("at effect %d", n), func(t *testing.T) {
			b := newBench(t)
			_, ids := b.staffed("Olena", "Petro", "Iryna")
			starter := b.start(0)
			must(t, starter.calendars.StartFullRun(t.Context(), queue.CauseReconcile, "night"))
			must(t, starter.calendars.StartFullRun(t.Context(), queue.CauseReconcile, "night")) // the start comes again
			m := starter.outbox[0]
			o := calendars.Order{Message: b.newID(), Cause: m.Cause, Run: m.Run}
			for _, id := range m.IDs {
				o.Employees = append(o.Employees, calendarsync.EmployeeID(id))
			}
			mortal := b.start(n)
			_, _ = mortal.calendars.Sync(mortal.ctx, o)
			survived = mortal.death.state() == nil
			heir := b.start(0)
			for tries := 0; ; tries++ {
				report, err := heir.calendars.Sync(heir.ctx, o)
				if err == nil && len(report.Redelivered) == 0 {
					break
				}
				if tries > 10 {
					t.Fatalf("nacked for ever: %v", err)
				}
				b.clock.advance(20 * time.Second)
			}
			run, _, err := b.store.LastRun(t.Context(), "reconcile")
			must(t, err)
			if run.Ended.IsZero() || run.Done != int64(len(ids)) || run.Total != int64(len(ids)) || run.Failed != 0 || run.Repaired != 0 {
				t.Errorf("run %+v", run)
			}
		})
		if !ok || survived {
			if n < 10 {
				t.Errorf("only %d effects", n-1)
			}
			return
		}
	}
}

// TestAMessageOfARunThatComesAgainGoesOnWhereItWas shows rule 7.3.
func TestAMessageOfARunThatComesAgainGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro", "Iryna")
	parts, err := b.store.StartRun(t.Context(), "night", "reconcile", []int{3, 1})
	must(t, err)
	_, err = b.store.AdvanceRun(t.Context(), parts[0], store.RunResult{Employee: ids[0]}, store.RunResult{Employee: ids[2]})
	must(t, err)
	b.google.ResetRequests()
	o := calendars.Order{Message: b.newID(), Cause: queue.CauseReconcile, Run: parts[0]}
	for _, id := range ids {
		o.Employees = append(o.Employees, calendarsync.EmployeeID(id))
	}
	_, err = i.calendars.Sync(t.Context(), o)
	must(t, err)
	for _, r := range b.google.Requests(fakegoogle.Filter{}) {
		if r.CalendarID != b.calendar(ids[1]) {
			t.Errorf("%s of calendar %s, whose employee was counted", r.Method, r.CalendarID)
		}
	}
	if run, _, err := b.store.LastRun(t.Context(), "reconcile"); err != nil || run.Done != 3 || !run.Ended.IsZero() {
		t.Errorf("run %+v, %v", run, err)
	}
}

// A later full run takes in everybody, so the messages of the one before are let go (rule 8.7).
func TestASupersededRunIsLetGo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena", "Petro")
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseReconcile, "night"))
	must(t, i.calendars.StartFullRun(t.Context(), queue.CauseConsole, "settings"))
	old, now := i.outbox[0], i.outbox[1]
	b.google.ResetRequests()
	order := func(m queue.Message) calendars.Order {
		o := calendars.Order{Message: b.newID(), Cause: m.Cause, Run: m.Run}
		for _, id := range m.IDs {
			o.Employees = append(o.Employees, calendarsync.EmployeeID(id))
		}
		return o
	}
	_, err := i.calendars.Sync(t.Context(), order(old))
	must(t, err)
	if n := len(b.google.Requests(fakegoogle.Filter{})); n > 0 {
		t.Errorf("%d calls for a superseded run", n)
	}
	_, err = i.calendars.Sync(t.Context(), order(now))
	must(t, err)
	runs, err := b.store.Runs(t.Context(), 5)
	must(t, err)
	if len(runs) != 2 || runs[0].Done != int64(len(ids)) || runs[0].Ended.IsZero() || runs[1].Superseded != "settings" || runs[1].Ended.IsZero() {
		t.Errorf("runs %+v", runs)
	}
}
