package functions_test

import (
	"net/http"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// Every kind of change whose notification was lost is found by the next two polls;
// what only absence tells, by the first poll after the second reading is due.
func TestEveryLostNotificationIsHealedByThePoll(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}, Settings: `{"include_departments":true,"delete_guard_percent":100}`}, func(t *testing.T, w *world.World) {
		// More than two, so that the delete guard lets as many calendars go as rows take.
		ids := withCalendars(t, w, "Olena", "Petro", "Roman", "Taras", "Mykola", "Oksana", "Iryna", "Vasyl")[:2]
		olena, petro := ids[0], ids[1]
		crew := w.ERP.AddDivision(fakeerp.Division{Name: "Crew"})
		w.Task(w.Tomorrow(8), ids...) // there all the time
		w.Idle()
		w.Poll()
		w.SetQuiet(true)
		var task, ivan int64
		starts := func(id int64, hours ...int) func() bool {
			return func() bool {
				got := w.Starts(id)
				if len(got) != len(hours) {
					return false
				}
				for i, h := range hours {
					if !got[i].Equal(w.Tomorrow(h)) {
						return false
					}
				}
				return true
			}
		}
		both := func(checks ...func() bool) func() bool {
			return func() bool {
				for _, c := range checks {
					if !c() {
						return false
					}
				}
				return true
			}
		}
		has := func(id *int64, there bool) func() bool {
			return func() bool { return (w.Calendar(*id) != "") == there }
		}
		named := func(id int64, name string) func() bool {
			return func() bool { return calendarNamed(t, w, w.Calendar(id)).Summary == name }
		}
		for _, row := range []struct {
			what   string
			change func()
			healed func() bool
			absent bool // only its absence tells
		}{
			{what: "a task created", change: func() { task = w.Task(w.Tomorrow(9), olena) }, healed: starts(olena, 8, 9)},
			{what: "a task moved", change: func() { must(t, w.ERP.MoveTask(task, w.Tomorrow(11))) }, healed: starts(olena, 8, 11)},
			{what: "a task reassigned", change: func() {
				must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: []int64{petro}, RemoveExecutors: []int64{olena}}))
			}, healed: both(starts(olena, 8), starts(petro, 8, 11))},
			{what: "a task described otherwise", change: func() {
				must(t, w.ERP.UpdateTask(task, func(t *fakeerp.Task) { t.Address.Text = "Lisova St, 2" }))
			}, healed: func() bool {
				e := w.Events(petro)
				return len(e) == 2 && e[1].Location == "Lisova St, 2"
			}},
			{what: "a task closed", change: func() { must(t, w.ERP.CloseTask(task)) }, healed: starts(petro, 8)},
			{what: "a task opened again", change: func() { must(t, w.ERP.ReopenTask(task)) }, healed: starts(petro, 8, 11)},
			{what: "a task undated", change: func() { must(t, w.ERP.MoveTask(task, time.Time{})) }, healed: starts(petro, 8)},
			{what: "a task dated again", change: func() { must(t, w.ERP.MoveTask(task, w.Tomorrow(12))) }, healed: starts(petro, 8, 12)},
			{what: "a task of a department", change: func() {
				must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddDivisions: []int64{crew}, RemoveExecutors: []int64{petro}}))
			}, healed: starts(petro, 8)},
			{what: "somebody joined the department", change: func() { must(t, w.ERP.SetMembership(olena, crew, true)) }, healed: starts(olena, 8, 12)},
			{what: "somebody left the department", change: func() { must(t, w.ERP.SetMembership(olena, crew, false)) }, healed: starts(olena, 8)},
			{what: "a task given back", change: func() {
				must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: []int64{petro}}))
			}, healed: starts(petro, 8, 12)},
			{what: "a task deleted", change: func() { must(t, w.ERP.DeleteTask(task)) }, healed: starts(petro, 8), absent: true},
			{what: "an employee came", change: func() { ivan = w.Employee("Ivan") }, healed: has(&ivan, true)},
			{what: "an employee renamed", change: func() {
				must(t, w.ERP.UpdateEmployee(olena, func(e *fakeerp.Employee) { e.Name = "Olena Bondar" }))
			}, healed: named(olena, "Olena Bondar")},
			{what: "an employee unbound", change: func() { must(t, w.ERP.SetField(ivan, world.Binding, "")) }, healed: has(&ivan, false)},
			{what: "an employee bound", change: func() { must(t, w.ERP.SetField(ivan, world.Binding, "1")) }, healed: has(&ivan, true)},
			{what: "an employee dismissed", change: func() { must(t, w.ERP.DismissEmployee(ivan)) }, healed: has(&ivan, false)},
			{what: "an employee dismissed again, whom the polls only ever saw dismissed", change: func() {
				w.SetQuiet(false)
				must(t, w.ERP.RehireEmployee(ivan))
				eventually(t, has(&ivan, true))
				w.Idle()
				w.SetQuiet(true)
				must(t, w.ERP.DismissEmployee(ivan))
			}, healed: has(&ivan, false)},
			{what: "an employee rehired", change: func() { must(t, w.ERP.RehireEmployee(ivan)) }, healed: has(&ivan, true)},
			{what: "another address", change: func() { setAddress(t, w, ivan, "ivan.new@provider.example") }, healed: func() bool {
				c := w.Calendar(ivan)
				return c != "" && calendarNamed(t, w, c).Role("ivan.new@provider.example") == "reader"
			}},
			{what: "the address removed", change: func() { setAddress(t, w, ivan, "") }, healed: has(&ivan, false)},
			{what: "an address given", change: func() { setAddress(t, w, ivan, "ivan@provider.example") }, healed: has(&ivan, true)},
			{what: "an employee deleted", change: func() { must(t, w.ERP.DeleteEmployee(ivan)) }, healed: has(&ivan, false), absent: true},
		} {
			if row.change(); row.healed() {
				t.Fatalf("%s: nothing to heal", row.what)
			}
			for range 2 {
				w.Poll()
			}
			if row.absent {
				eventually(t, func() bool { w.Poll(); return row.healed() })
			}
			if !row.healed() {
				t.Fatalf("%s: not healed by two polls; Olena has events at %v, Petro at %v", row.what, w.Starts(olena), w.Starts(petro))
			}
		}
	})
}

// Beyond what the live lane takes, a poll's tasks go by the employees they concern,
// and their calendars are then compared with the tasks and not only with the card.
func TestAMassChangeThatNobodyToldIsHealedByOnePoll(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		// A calendar begins with two writes a second.
		ids := withCalendars(t, w, "Olena", "Petro", "Ivan", "Roman", "Taras", "Mykola", "Oksana", "Iryna", "Vasyl", "Stepan", "Maria", "Hanna")
		each := 10
		many := each * len(ids)
		var tasks []int64
		w.SetQuiet(true)
		for i := range many {
			tasks = append(tasks, w.Task(w.Tomorrow(8).Add(time.Duration(i)*time.Minute), ids[i%len(ids)]))
		}
		w.Reconcile()
		w.Poll()
		w.Poll()
		moved := func(id int64, by time.Duration) int {
			n := 0
			for _, s := range w.Starts(id) {
				if !s.Before(w.Tomorrow(8).Add(by)) {
					n++
				}
			}
			return n
		}
		for i, id := range tasks {
			must(t, w.ERP.MoveTask(id, w.Tomorrow(8).Add(time.Duration(i)*time.Minute+10*time.Hour)))
		}
		w.Google.ResetRequests()
		w.Poll()
		for _, id := range ids {
			if n := moved(id, 10*time.Hour); n != each {
				t.Errorf("employee %d: %d of %d events moved", id, n, each)
			}
		}
		updates := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.events.update"}))
		lists := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.events.list"}))
		t.Logf("%d tasks moved: %d updates, %d lists of events", many, updates, lists)
		if updates != many {
			t.Errorf("%d updates for %d changes", updates, many)
		}
	})
}

// The ERP of a new installation may have nobody yet, or not be there: the full run
// of connecting burns no delivery attempt over it, and whoever comes is found.
func TestConnectingToAnERPWithNobodyOrNoAnswer(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault  fakeerp.Fault
		waits  bool
		nobody bool
	}{
		"nobody":         {nobody: true},
		"an error":       {fault: fakeerp.ErrorResult("No access", http.StatusOK), waits: true},
		"a refused key":  {fault: fakeerp.Status(http.StatusForbidden), waits: true},
		"the login page": {fault: fakeerp.HTMLPage(http.StatusOK), waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Quiet: true}, func(t *testing.T, w *world.World) {
				if !row.nobody {
					w.Employee("Olena")
					w.ERP.Inject(fakeerp.Rule{Count: -1, Fault: row.fault})
				}
				full := func() {
					t.Helper()
					must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
					w.Idle()
				}
				full()
				if n := refusals(t, w); n != 0 {
					t.Errorf("%d refused deliveries", n)
				}
				put, err := w.Store.PutOff(t.Context())
				must(t, err)
				if waits := !put.DueAt.IsZero(); waits != row.waits || waits && put.Cause != "console" {
					t.Errorf("put off: %+v, want one: %v", put, row.waits)
				}
				if !row.nobody {
					w.ERP.ClearFaults()
					full() // as Poll publishes it when it is due
					if put, err := w.Store.PutOff(t.Context()); err != nil || put.Count != 0 {
						t.Errorf("after it could begin: %+v, %v", put, err)
					}
					if len(w.Google.Calendars()) < 2 {
						t.Error("no calendar was made")
					}
					return
				}
				w.Poll()
				first := w.Employee("Olena")
				w.Poll()
				if w.Calendar(first) == "" {
					t.Error("the first employee was not found")
				}
			})
		})
	}
}

// A notification may overtake the ERP's own commit: a look that found no change is
// repeated at the next poll, and only at that one.
func TestANotificationThatOvertookTheCommitIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Poll()
		w.Poll()
		w.ERP.SetCommitDelay(time.Second)
		told := time.Now()
		must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9))
		if work := taskWork(t, w, task); work.DueAt.IsZero() || work.Dirty != 0 {
			t.Fatalf("after a look that found no change: %+v", work)
		}
		eventually(t, func() bool { return time.Since(told) > 2*time.Second })
		w.Poll()
		w.WantStarts(who, w.Tomorrow(10))
		if work := taskWork(t, w, task); !work.DueAt.IsZero() {
			t.Errorf("after the repetition: %+v", work)
		}
	})
}

// refusals counts the deliveries that workers refused.
func refusals(t *testing.T, w *world.World) int {
	t.Helper()
	n := 0
	for _, name := range []string{"sync-task", "sync-employee"} {
		c, err := w.Deployment.PubSub.Counts(name)
		must(t, err)
		n += c.Nacked
	}
	return n
}

// A change between the fill's look and the very first poll, of which nobody told, is
// found like any other: the first poll has no list to compare with, but what the fill
// recorded.
func TestAChangeBeforeTheFirstPollIsHealed(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}, Settings: `{"delete_guard_percent":100}`}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro", "Roman")
		w.Task(w.Tomorrow(8), ids[0])
		moved, deleted := w.Task(w.Tomorrow(9), ids[0]), w.Task(w.Tomorrow(10), ids[0])
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(8), w.Tomorrow(9), w.Tomorrow(10))
		w.SetQuiet(true)
		must(t, w.ERP.MoveTask(moved, w.Tomorrow(12)))
		must(t, w.ERP.DeleteTask(deleted))
		must(t, w.ERP.SetField(ids[1], world.Binding, ""))
		came := w.Employee("Ivan")
		eventually(t, func() bool {
			w.Poll()
			starts := w.Starts(ids[0])
			return len(starts) == 2 && starts[1].Equal(w.Tomorrow(12)) && w.Calendar(ids[1]) == "" && w.Calendar(came) != ""
		})
		if w.Calendar(ids[2]) == "" {
			t.Error("a third person's calendar went")
		}
	})
}

// What came, was told of and got its events, and was deleted before any poll had
// listed it, of which nobody told, is missed all the same.
func TestWhatNoPollEverListedDoesNotStay(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}, Settings: `{"delete_guard_percent":100}`}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		w.Task(w.Tomorrow(8), ids...)
		w.Poll()
		w.Poll()
		task, came := w.Task(w.Tomorrow(9), ids[0]), w.Employee("Ivan")
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(8), w.Tomorrow(9))
		if w.Calendar(came) == "" {
			t.Fatal("who came has no calendar")
		}
		w.SetQuiet(true)
		must(t, w.ERP.DeleteTask(task))
		must(t, w.ERP.DeleteEmployee(came))
		eventually(t, func() bool { w.Poll(); return len(w.Starts(ids[0])) == 1 && w.Calendar(came) == "" })
	})
}
