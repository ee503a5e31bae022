// Package functions_test shows the product's behaviour with all functions
// running: on the embedded store and on Google's Firestore emulator, judged from
// the state of the stand-ins and the Google stand-in's request log.
package functions_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// onBoth runs a behaviour on both stores.
func onBoth(t *testing.T, o world.Options, behaviour func(t *testing.T, w *world.World)) {
	t.Helper()
	inBubbleAndOnFirestore(t, o, behaviour, behaviour)
}

// inBubbleAndOnFirestore is onBoth with a behaviour of its own on each.
func inBubbleAndOnFirestore(t *testing.T, o world.Options, embedded, firestore func(t *testing.T, w *world.World)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		inBubble(t, o, embedded)
	})
	t.Run("firestore", func(t *testing.T) {
		t.Parallel()
		o := o
		o.Backend = emulated(t)
		firestore(t, world.New(t, o))
	})
}

// inBubble runs a behaviour on the embedded store in a bubble, where no wait takes
// time and none is cut short by a busy machine.
func inBubble(t *testing.T, o world.Options, behaviour func(t *testing.T, w *world.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Bubble = true
		behaviour(t, world.New(t, o))
	})
}

func emulated(t *testing.T) store.Backend {
	t.Helper()
	emulator := testenv.Firestore(t)
	backend, err := firestore.New(context.Background(), emulator.Project, "(default)", emulator.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	return backend
}

// withCalendars adds employees and waits for their calendars; it returns their
// ids with the request log empty. In a bubble the first try makes them. Against the real
// clock a busy machine may let it run out of its time: then the next one does, as anywhere.
func withCalendars(t *testing.T, w *world.World, names ...string) []int64 {
	t.Helper()
	var ids []int64
	for _, name := range names {
		ids = append(ids, w.Employee(name))
	}
	w.Idle()
	lacks := func(id int64) bool { return w.Calendar(id) == "" }
	if w.InBubble() && slices.ContainsFunc(ids, lacks) {
		t.Fatalf("of the employees %d not all have a calendar", ids)
	}
	eventually(t, func() bool {
		if !slices.ContainsFunc(ids, lacks) {
			return true
		}
		w.Poll()
		w.Idle()
		return false
	})
	w.Google.ResetRequests()
	return ids
}

func TestATaskAppearsMovesAndVanishes(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9))
		e := w.Events(who)[0]
		if e.Summary != "Repair, Sadova St, 1" || e.Location != "Sadova St, 1" || !strings.HasSuffix(e.Description, w.URL+"/erp/task/"+itoa(task)) {
			t.Errorf("event %q at %q with %q", e.Summary, e.Location, e.Description)
		}
		if e.Start.TimeZone != world.Zone || e.Visibility == "private" || len(e.Attendees) > 0 {
			t.Errorf("event in zone %q, visibility %q, %d attendees", e.Start.TimeZone, e.Visibility, len(e.Attendees))
		}

		must(t, w.ERP.MoveTask(task, w.Tomorrow(14)))
		w.Idle()
		w.WantStarts(who, w.Tomorrow(14))

		must(t, w.ERP.CloseTask(task))
		w.Idle()
		w.WantStarts(who)

		must(t, w.ERP.ReopenTask(task))
		w.Idle()
		w.WantStarts(who, w.Tomorrow(14))

		must(t, w.ERP.MoveTask(task, time.Time{}))
		w.Idle()
		w.WantStarts(who)

		must(t, w.ERP.MoveTask(task, w.Tomorrow(10)))
		w.Idle()
		w.WantStarts(who, w.Tomorrow(10))

		must(t, w.ERP.DeleteTask(task))
		w.Idle()
		w.WantStarts(who)
		wantNoMailsButShares(t, w, 1)
	})
}

func TestATaskIsReassigned(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		task := w.Task(w.Tomorrow(9), ids[0])
		w.Idle()
		must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: ids[1:], RemoveExecutors: ids[:1]}))
		w.Idle()
		w.WantStarts(ids[0])
		w.WantStarts(ids[1], w.Tomorrow(9))
		must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: ids[:1]}))
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(9))
		w.WantStarts(ids[1], w.Tomorrow(9))
	})
}

func TestOneRescheduleCostsExactlyOneCalendarCall(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.WantCalls("calendar.events.insert")
		w.Google.ResetRequests()
		must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
		w.Idle()
		w.WantCalls("calendar.events.update")
		w.WantStarts(who, w.Tomorrow(11))
	})
}

func TestANotificationThatChangesNothingCostsNoCalendarCall(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Google.ResetRequests()
		w.Notify("task.changed", task)
		w.Notify("employee.changed", who)
		w.Idle()
		w.WantCalls()
		// The look is repeated by the next poll (rule 8.1), as idle.
		w.Poll()
		w.WantCalls()
	})
}

// TestFiftyNotificationsAtOnceCostNoMoreCallsThanContents shows rule 1.1.
func TestFiftyNotificationsAtOnceCostNoMoreCallsThanContents(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Quiet: true}, func(t *testing.T, w *world.World) {
		w.SetQuiet(false)
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Google.ResetRequests()
		w.SetQuiet(true)
		must(t, w.ERP.MoveTask(task, w.Tomorrow(12)))
		var burst sync.WaitGroup
		for range 50 {
			burst.Go(func() { w.Notify("task.changed", task) })
		}
		burst.Wait()
		w.Idle()
		w.WantCalls("calendar.events.update")
		w.WantStarts(who, w.Tomorrow(12))

		// The content changes while notifications pour in: at most a call a content.
		w.Google.ResetRequests()
		for i := range 50 {
			burst.Go(func() {
				if i%10 == 0 {
					if err := w.ERP.MoveTask(task, w.Tomorrow(13+i/10)); err != nil {
						t.Error(err)
					}
				}
				w.Notify("task.changed", task)
			})
		}
		burst.Wait()
		w.Idle()
		if n := len(w.Calls()); n < 1 || n > 5 {
			t.Errorf("%d calls for 5 contents", n)
		}
		final, _ := w.ERP.Task(task)
		w.WantStarts(who, final.Todo)
	})
}

func TestASecondFullRunWritesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		for hour := 8; hour < 14; hour++ {
			w.Task(w.Tomorrow(hour), ids[hour%2], ids[(hour+1)%2])
		}
		w.Idle()
		w.Google.ResetRequests()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Writes: true})); n != 0 {
			t.Errorf("a full run without drift made %d writes", n)
		}
		if run, found, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || !found || run.Ended.IsZero() || run.Done != 2 || run.Repaired != 0 {
			t.Errorf("run %+v, found %v, error %v", run, found, err)
		}
	})
}

func TestAFullRunRepairsWhatWasChangedAtGoogle(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		for hour := 8; hour < 12; hour++ {
			w.Task(w.Tomorrow(hour), who)
		}
		w.Idle()
		calendar, events := w.Calendar(who), w.Events(who)
		must(t, w.Google.MoveEvent(calendar, events[0].Id, w.Tomorrow(20)))
		must(t, w.Google.DeleteEvent(calendar, events[1].Id))
		copied, err := w.Google.CopyEvent(calendar, events[2].Id, calendar)
		must(t, err)
		must(t, w.Google.RemoveShare(calendar, "olena@provider.example"))
		w.Reconcile()
		var starts []time.Time
		for _, e := range w.Events(who) {
			if e.Id == copied {
				continue // a copy is not ours to touch
			}
			at, err := time.Parse(time.RFC3339, e.Start.DateTime)
			must(t, err)
			starts = append(starts, at)
		}
		if len(starts) != 4 || !starts[0].Equal(w.Tomorrow(8)) || !starts[1].Equal(w.Tomorrow(9)) {
			t.Errorf("events at %v", starts)
		}
		w.Google.ResetRequests()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Writes: true})); n != 0 {
			t.Errorf("a second full run made %d writes", n)
		}
	})
}

func TestACalendarDeletedByHandComesBackWithTheSameBeginning(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Task(w.Tomorrow(9), who)
		w.Idle()
		before := w.Calendar(who)
		from := markField(t, w, before, "from=")
		must(t, w.Google.DeleteCalendar(before))
		w.Reconcile()
		w.SetQuiet(true)
		eventually(t, func() bool {
			w.Poll()
			return w.Calendar(who) != ""
		})
		after := w.Calendar(who)
		if after == "" || after == before {
			t.Fatalf("calendar %q after %q", after, before)
		}
		if got := markField(t, w, after, "from="); got != from {
			t.Errorf("from %s, want %s", got, from)
		}
		w.WantStarts(who, w.Tomorrow(9))
	})
}

func TestAnEmployeeIsUnboundBoundAndDismissed(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Task(w.Tomorrow(9), who)
		w.Idle()
		first := w.Calendar(who)
		must(t, w.ERP.SetField(who, world.Binding, ""))
		w.Idle()
		if w.Calendar(who) != "" {
			t.Fatal("an unbound employee keeps the calendar")
		}
		must(t, w.ERP.SetField(who, world.Binding, "1"))
		w.Idle()
		if c := w.Calendar(who); c == "" || c == first {
			t.Fatalf("bound again: calendar %q after %q", c, first)
		}
		w.WantStarts(who, w.Tomorrow(9))
		must(t, w.ERP.DismissEmployee(who))
		w.Idle()
		if w.Calendar(who) != "" {
			t.Fatal("a dismissed employee keeps the calendar")
		}
	})
}

func TestANewAddressGetsACalendarOfItsOwn(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Task(w.Tomorrow(9), who)
		w.Idle()
		first := w.Calendar(who)
		must(t, w.ERP.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "olena.new@provider.example" }))
		w.Idle()
		second := w.Calendar(who)
		if second == "" || second == first {
			t.Fatalf("calendar %q after %q", second, first)
		}
		for _, c := range w.Google.Calendars() {
			if c.ID == first && (!c.Deleted || c.Role("olena@provider.example") == "reader") {
				t.Error("the old address still sees the old calendar")
			}
			if c.ID == second && c.Role("olena.new@provider.example") != "reader" {
				t.Error("the new address does not see the new calendar")
			}
		}
		w.WantStarts(who, w.Tomorrow(9))
	})
}

// TestARenamedEmployeeRenamesTheCalendar shows rule 5.6.
func TestARenamedEmployeeRenamesTheCalendar(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		before := w.Calendar(who)
		must(t, w.ERP.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Name = "Olena Bondar" }))
		w.Idle()
		if w.Calendar(who) != before {
			t.Fatal("a rename made another calendar")
		}
		for _, c := range w.Google.Calendars() {
			if c.ID == before && c.Summary != "Olena Bondar" {
				t.Errorf("calendar is called %q", c.Summary)
			}
		}
	})
}

func TestAMalformedTaskIsRecordedWhileTheOthersGoOn(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Quiet: true}, func(t *testing.T, w *world.World) {
		w.SetQuiet(false)
		who := withCalendars(t, w, "Olena")[0]
		w.SetQuiet(true)
		bad, good := w.Task(w.Tomorrow(9), who), w.Task(w.Tomorrow(10), who)
		remove := w.ERP.Inject(fakeerp.Rule{Cat: "task", Action: "show", Count: -1,
			Fault: fakeerp.Replace(itoa(bad)+".date.todo", "next week or so")})
		w.Notify("task.changed", bad, good)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(10))
		failed, err := w.Store.FailedTasks(t.Context(), 10)
		if err != nil || len(failed) != 1 || failed[0].ID != bad || !strings.Contains(failed[0].Failure.Message, "todo") {
			t.Fatalf("recorded: %+v, %v", failed, err)
		}
		remove()
		w.Notify("task.changed", bad)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9), w.Tomorrow(10))
		if failed, err := w.Store.FailedTasks(t.Context(), 10); err != nil || len(failed) != 0 {
			t.Errorf("still recorded: %+v, %v", failed, err)
		}
	})
}

func TestTheResponseLostAfterCommitMakesNoDouble(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9))
		w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.update", LoseResponse: true})
		must(t, w.ERP.MoveTask(task, w.Tomorrow(15)))
		w.Idle()
		w.WantStarts(who, w.Tomorrow(15))
		w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.delete", LoseResponse: true})
		must(t, w.ERP.CloseTask(task))
		w.Idle()
		w.WantStarts(who)
	})
}

func TestLostNotificationsAreFoundByPoll(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		kept := w.Task(w.Tomorrow(8), who)
		moved := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Poll()
		w.SetQuiet(true)
		must(t, w.ERP.MoveTask(moved, w.Tomorrow(13)))
		w.Task(w.Tomorrow(16), who)
		w.Poll()
		w.WantStarts(who, w.Tomorrow(8), w.Tomorrow(13), w.Tomorrow(16))
		newcomer := w.Employee("Petro")
		w.Poll()
		if w.Calendar(newcomer) == "" {
			t.Error("the poll did not find the new employee")
		}
		_ = kept
	})
}

func TestNothingIsDeletedWhileTheERPCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]fakeerp.Fault{
		"a login page": fakeerp.HTMLPage(http.StatusOK), "an error": fakeerp.ErrorResult("no", http.StatusOK), "cut short": fakeerp.Truncated(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				who := withCalendars(t, w, "Olena")[0]
				task := w.Task(w.Tomorrow(9), who)
				w.Idle()
				w.Google.ResetRequests()
				remove := w.ERP.Inject(fakeerp.Rule{Count: -1, Fault: lie})
				w.Notify("task.deleted", task)
				w.Notify("employee.deleted", who)
				w.Idle()
				w.WantStarts(who, w.Tomorrow(9))
				w.WantCalls()
				remove()
				if pending, err := w.Store.PendingTasks(t.Context(), 10); err != nil || len(pending) != 1 {
					t.Errorf("pending %v, %v", pending, err)
				}
			})
		})
	}
}

// TestAnAbsentTaskGoesOnlyAfterTheSecondReading shows rule 4.2.
func TestAnAbsentTaskGoesOnlyAfterTheSecondReading(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Task(w.Tomorrow(8), who)
		gone := w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.SetQuiet(true)
		must(t, w.ERP.DeleteTask(gone))
		// Not vouched for: the notification only says that it changed.
		w.Notify("task.changed", gone)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(8), w.Tomorrow(9))
		eventually(t, func() bool {
			w.Poll()
			return len(w.Events(who)) == 1
		})
		w.WantStarts(who, w.Tomorrow(8))
	})
}

func TestBeforeSettingsAreConfirmedNothingIsWritten(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Settings: `{"confirmed":false}`}, func(t *testing.T, w *world.World) {
		who := w.Employee("Olena")
		w.Task(w.Tomorrow(9), who)
		w.Idle()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Writes: true, Method: "calendar.*"})); n != 0 {
			t.Errorf("%d writes", n)
		}
		if rec, found, err := w.Store.Employee(t.Context(), who); err != nil || !found || rec.Reason != "unconfirmed" || rec.State != store.StatePending {
			t.Errorf("employee %+v, %v, %v", rec, found, err)
		}
	})
}

// TestADatabaseLostIsRebuiltWithoutADouble shows rule 3.1.
func TestADatabaseLostIsRebuiltWithoutADouble(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		for hour := 8; hour < 12; hour++ {
			w.Task(w.Tomorrow(hour), ids...)
		}
		w.Idle()
		calendars := []string{w.Calendar(ids[0]), w.Calendar(ids[1])}

		again := w.Again(world.Options{})
		again.TakeOver()
		again.Reconcile()
		for i, id := range ids {
			if got := again.Calendar(id); got != calendars[i] {
				t.Errorf("employee %d: calendar %s, had %s", id, got, calendars[i])
			}
			again.WantStarts(id, w.Tomorrow(8), w.Tomorrow(9), w.Tomorrow(10), w.Tomorrow(11))
		}
		if n := len(again.Google.Requests(fakegoogle.Filter{Writes: true, Method: "calendar.*", Since: again.Since})); n != 0 {
			t.Errorf("rebuilding wrote %d times", n)
		}
	})
}

func wantNoMailsButShares(t *testing.T, w *world.World, shares int) {
	t.Helper()
	got := 0
	for _, m := range w.Google.Mails() {
		if m.Kind != "share" {
			t.Errorf("a mail of kind %s to %s", m.Kind, m.To)
		}
		got++
	}
	if got != shares {
		t.Errorf("%d invitations, want %d", got, shares)
	}
}

func markField(t *testing.T, w *world.World, calendar, field string) string {
	t.Helper()
	for _, c := range w.Google.Calendars() {
		if c.ID == calendar {
			_, rest, _ := strings.Cut(c.Description, field)
			value, _, _ := strings.Cut(rest, " ")
			return value
		}
	}
	t.Fatalf("no calendar %s", calendar)
	return ""
}
