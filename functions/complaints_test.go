package functions_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// complaint is what users of other products complain about (section 11 of
// shared/README.md), as the behaviour that answers it. o is what the world was made of, to start it again.
type complaint struct {
	name      string
	o         world.Options
	behaviour func(t *testing.T, w *world.World, o world.Options)
}

func with(variable, value string) world.Options {
	return world.Options{Env: map[string]string{variable: value}}
}

// TestComplaints answers the twenty complaints of section 11 of shared/README.md on Google's
// Firestore emulator, judged by what the stand-ins of Google and of the ERP hold afterwards.
func TestComplaints(t *testing.T) {
	t.Parallel()
	for _, c := range []complaint{
		{"01 duplicates: none after a lost answer, a doubled message and a lost database", world.Options{}, noDuplicates},
		{"02 token revoked: one alarm, nothing deleted while blind, all caught up after the consent", with("LEASE_SECONDS", lease), tokenRevoked},
		{"03 old events: what is unwanted goes, remembered or not, and nothing foreign", world.Options{}, oldEventsGo},
		{"04 nothing is deleted when the source cannot be read: beyond the usual it is held, with one alarm", world.Options{}, unreadableSource},
		{"05 time zone: one explicit zone, DST gap and overlap, the end of a day is exclusive", world.Options{Settings: `{"midnight_is_all_day":true}`}, timeZones},
		{"06 quota: one budget for everything, what Google refuses is retried and never dropped", with("CALENDAR_REQUESTS_PER_MINUTE", "180"), quota},
		{"07 delay: seconds from the edit to the event, one poll when the notification is lost", world.Options{}, seconds},
		{"08 unwanted mail: one invitation a calendar in its whole life and nothing else", world.Options{}, noMail},
		{"09 recreate: assigned again the same event is back, or another where its id is burnt", world.Options{}, recreated},
		{"10 says OK but is not: the status shows the oldest change not applied, and whose", with("LEASE_SECONDS", lease), honestStatus},
		{"11 undo: a plan with counts, a typed confirmation, a purge of ours alone", with("LEASE_SECONDS", lease), cleanUndo},
		{"12 backfill: what was there before comes too, resumed after a kill, with progress and ETA", world.Options{Disconnected: true, Env: map[string]string{"LEASE_SECONDS": lease, "CALENDARS_PER_HOUR": "2"}}, backfill},
		{"13 colours: kept by updates, repaired when changed", world.Options{Settings: `{"colors":{"1":11}}`}, coloursStay},
		{"14 several assignees: one task in many calendars, a failure in one is of that one, nobody twice", world.Options{Settings: `{"include_departments":true}`, Env: short()}, severalAssignees},
		{"15 not visible on the phone: the card links to adding the calendar", world.Options{}, addLink},
		{"16 reminders: left to the readers, and documented", world.Options{}, reminders},
		{"17 OAuth pain: the redirect URI is shown, each refusal names its cure, a test token's end is told", world.Options{Disconnected: true}, oauthPain},
		{"18 fake updates: a second pass writes nothing", world.Options{}, secondPass},
		{"19 shared key: only the admin's own project and client", world.Options{}, ownClient},
		{"20 database lost or put back: not one duplicate", world.Options{}, databaseRestored},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.Backend = emulated(t)
			c.behaviour(t, world.New(t, c.o), c.o)
		})
	}
}

func noDuplicates(t *testing.T, w *world.World, o world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	lost := w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", LoseResponse: true})
	task := w.Task(w.Tomorrow(9), who)
	w.Idle()
	if lost.Hits() != 1 {
		t.Error("no answer was lost")
	}
	w.WantStarts(who, w.Tomorrow(9))
	cal, event := w.Calendar(who), w.Events(who)[0].Id
	doubled := func() {
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { w.Notify("task.changed", task) })
			both.Go(func() { w.Notify("employee.changed", who) })
		}
		both.Wait()
		w.Idle()
	}
	w.Google.ResetRequests()
	doubled()
	if n := writesOf(w); n != 0 { // two at once about an employee may be a reason to look
		t.Errorf("doubled messages made %d writes", n)
	}
	o.Backend = emulated(t)
	w.Again(o)
	doubled() // before anything was looked through
	w.TakeOver()
	doubled()
	w.Reconcile()
	w.WantStarts(who, w.Tomorrow(9))
	if w.Calendar(who) != cal || w.Events(who)[0].Id != event {
		t.Errorf("calendar %s with event %s, had %s with %s", w.Calendar(who), w.Events(who)[0].Id, cal, event)
	}
	mark, ok := calendarsync.ReadMark(w.Events(who)[0].ExtendedProperties.Private)
	if !ok || !mark.Owns(event) || mark.Task != calendarsync.TaskID(task) {
		t.Errorf("mark %+v of event %s", mark, event)
	}
	wantCalendars(t, w, 1)
}

func tokenRevoked(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	moved, closed := w.Task(w.Tomorrow(9), ids[0]), w.Task(w.Tomorrow(10), ids[0])
	w.Idle()
	must(t, w.Google.RevokeGrant(world.Account))
	must(t, w.ERP.MoveTask(moved, w.Tomorrow(15)))
	must(t, w.ERP.CloseTask(closed))
	must(t, w.ERP.DismissEmployee(ids[1]))
	eventually(t, func() bool {
		w.Notify("task.changed", moved)
		w.Idle()
		a, err := w.Store.Account(t.Context())
		must(t, err)
		return !a.Connected
	})
	w.Poll()
	w.Reconcile()
	w.WantStarts(ids[0], w.Tomorrow(9), w.Tomorrow(10))
	wantCalendars(t, w, 2)
	if n := alarms(w, "grant-revoked"); n != 1 {
		t.Errorf("%d alarms, want one", n)
	}
	admin := newVisitor(t, w)
	wantText(t, "the overview", admin.visit("/Console/", world.Admin), "The connection to Google is lost.", "Nothing was deleted")
	wantText(t, "the page after the consent", admin.visit("/Console/connect", world.Account), "The account is connected.")
	w.Idle()
	eventually(t, func() bool { w.Poll(); return w.Calendar(ids[1]) == "" && len(w.Events(ids[0])) == 1 })
	w.WantStarts(ids[0], w.Tomorrow(15))
	if n := alarms(w, "grant-revoked"); n != 2 {
		t.Errorf("%d alarm entries, want the beginning and the end", n)
	}
	wantNoMailsButShares(t, w, 2)
}

func oldEventsGo(t *testing.T, w *world.World, o world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	w.Task(w.Tomorrow(8), who)
	closed, binned := w.Task(w.Tomorrow(9), who), w.Task(w.Tomorrow(10), who)
	w.Idle()
	restored := w.Events(who)[2].Id
	must(t, w.ERP.CloseTask(binned))
	w.Idle()
	cal, foreign := ownersEvent(t, w, who)
	w.SetQuiet(true)
	must(t, w.Google.RestoreEvent(cal, restored))
	must(t, w.ERP.CloseTask(closed))
	if n := len(w.Events(who)); n != 4 {
		t.Fatalf("%d events, want both old ones there", n)
	}
	o.Backend = emulated(t)
	w.Again(o).TakeOver() // knows of none of them
	w.Reconcile()
	if starts := ownStarts(t, w, who); len(starts) != 1 || !starts[0].Equal(w.Tomorrow(8)) {
		t.Errorf("events at %v, want the open task's alone", starts)
	}
	if !slices.ContainsFunc(w.Events(who), func(e *calendar.Event) bool { return e.Id == foreign }) {
		t.Error("the owner's event is gone")
	}
}

func unreadableSource(t *testing.T, w *world.World, o world.Options) {
	people := withCalendars(t, w, "Olena", "Petro", "Ivan", "Roman")
	var tasks []int64
	for i := range 14 {
		tasks = append(tasks, w.Task(w.Tomorrow(8).Add(time.Duration(i)*30*time.Minute), people[i%4]))
	}
	w.Task(w.Tomorrow(20), people[0])
	w.Idle()
	w.Poll()
	l := &liar{w: w, people: people, tasks: tasks}
	before := l.held()
	for name, fault := range map[string]fakeerp.Fault{
		"an error": fakeerp.ErrorResult("No access", http.StatusOK), "the login page": fakeerp.HTMLPage(http.StatusOK),
		"nothing": fakeerp.EmptyList(), "half": fakeerp.HalfList(),
	} {
		w.Google.ResetRequests()
		refused := l.refused()
		remove := w.ERP.Inject(fakeerp.Rule{Count: -1, Fault: fault})
		w.Notify("task.changed", tasks...)
		w.Notify("employee.changed", people...)
		w.Post("/Reconcile/", []byte("{}"), http.Header{"Content-Type": {"application/json"}}, http.StatusAccepted)
		for range 2 { // what two polls miss has vanished
			l.poll()
			l.rest(refused)
		}
		if got := l.held(); !slices.Equal(got, before) || writesOf(w) != 0 {
			t.Errorf("while the ERP says %s: %d writes, Google holds\n%s", name, writesOf(w), strings.Join(got, "\n"))
		}
		remove()
		w.Idle()
	}
	// Beyond doubt, but more than is usual.
	w.SetQuiet(true)
	for _, id := range tasks {
		must(t, w.ERP.DeleteTask(id))
	}
	o.Backend, o.Env = w.Backend(), map[string]string{"ABSENCE_SECONDS": "1"}
	w.Again(o)
	w.Notify("task.changed", tasks...)
	w.Idle()
	eventually(t, func() bool {
		w.Poll()
		plan, err := w.Store.Held(t.Context())
		must(t, err)
		return plan.Events == 4
	})
	held(t, w, 4, 0)
	left := 0
	for _, id := range people {
		left += len(w.Events(id))
	}
	if left != 5 || alarms(w, "deletions-held") != 1 {
		t.Errorf("%d events left, want the held ones and the one that stays; %d alarms, want one", left, alarms(w, "deletions-held"))
	}
}

func timeZones(t *testing.T, w *world.World, _ world.Options) {
	who := withCalendars(t, w, "Olena")[0]
	// Clocks in Kyiv go forward on 31 March and back on 27 October 2030.
	for _, row := range []struct{ wall, start, end string }{
		{"2030-03-31 02:30:00", "2030-03-31T02:30:00+02:00", "2030-03-31T04:30:00+03:00"},
		{"2030-03-31 03:30:00", "2030-03-31T04:30:00+03:00", "2030-03-31T05:30:00+03:00"},
		{"2030-10-27 03:30:00", "2030-10-27T03:30:00+03:00", "2030-10-27T03:30:00+02:00"},
		{"2030-05-31 00:00:00", "2030-05-31", "2030-06-01"},
		{"2030-12-31 23:30:00", "2030-12-31T23:30:00+02:00", "2031-01-01T00:30:00+02:00"},
	} {
		task := w.Task(w.Tomorrow(9), who)
		must(t, w.ERP.MoveTaskWall(task, row.wall))
		w.Idle()
		var got *calendar.Event
		for _, e := range w.Events(who) {
			if e.ExtendedProperties.Private[calendarsync.MarkTask] == itoa(task) {
				got = e
			}
		}
		if got == nil {
			t.Errorf("%s: no event", row.wall)
			continue
		}
		for at, want := range map[*calendar.EventDateTime]string{got.Start: row.start, got.End: row.end} {
			if at.Date != "" || len(want) == len(time.DateOnly) {
				if at.Date != want {
					t.Errorf("%s: %q, want %q", row.wall, at.Date, want)
				}
				continue
			}
			instant, err := time.Parse(time.RFC3339, at.DateTime)
			must(t, err)
			if wanted, err := time.Parse(time.RFC3339, want); err != nil || !instant.Equal(wanted) || at.TimeZone != world.Zone {
				t.Errorf("%s: %s in %q, want %s in %s", row.wall, at.DateTime, at.TimeZone, want, world.Zone)
			}
		}
	}
	if z := calendarNamed(t, w, w.Calendar(who)).TimeZone; z != world.Zone {
		t.Errorf("the calendar is in zone %q", z)
	}
	night(t, w)
	w.Google.ResetRequests()
	if run := night(t, w); writesOf(w) != 0 || run.Repaired != 0 {
		t.Errorf("a second pass made %d writes", writesOf(w))
	}
}

func quota(t *testing.T, w *world.World, _ world.Options) {
	limited := w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.insert", Nth: 3, Count: 2, Status: 403, Reason: "userRateLimitExceeded"})
	var ids []int64
	for _, name := range []string{"Olena", "Petro", "Ivan"} {
		ids = append(ids, w.Employee(name))
	}
	var starts []time.Time
	for hour := 8; hour < 12; hour++ {
		w.Task(w.Tomorrow(hour), ids...)
		starts = append(starts, w.Tomorrow(hour))
	}
	w.Idle()
	for _, id := range ids {
		w.WantStarts(id, starts...)
	}
	if limited.Hits() != 2 {
		t.Errorf("%d calls were refused, want 2", limited.Hits())
	}
	// Live and bulk lane together, retries counted: three a second, and what a busy
	// machine bunches.
	const window, most = 4 * time.Second, 4*3 + 4
	calls := w.Calls()
	if len(calls) < most+3 {
		t.Fatalf("%d calls are too few to show a pace", len(calls))
	}
	busiest := 0
	for i, first := range calls {
		n := 0
		for _, r := range calls[i:] {
			if r.Time.Sub(first.Time) < window {
				n++
			}
		}
		busiest = max(busiest, n)
	}
	t.Logf("%d calls, at most %d in %s at 3 a second", len(calls), busiest, window)
	if busiest > most {
		t.Errorf("%d calls within %s, want %d at most", busiest, window, most)
	}
}

func seconds(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro", "Ivan")
	var tasks []int64
	for _, id := range ids {
		tasks = append(tasks, w.Task(w.Tomorrow(9), id))
	}
	w.Idle()
	w.Poll()
	w.Google.Inject(fakegoogle.Fault{Method: "calendar.*", Count: -1, Delay: 50 * time.Millisecond, DelayAfter: 50 * time.Millisecond})
	var took []time.Duration
	for i := range 9 { // in turn: a calendar begins with two writes a second
		w.Google.ResetRequests()
		edited := time.Now()
		must(t, w.ERP.MoveTask(tasks[i%3], w.Tomorrow(10+i)))
		w.Idle()
		w.WantStarts(ids[i%3], w.Tomorrow(10+i))
		writes := written(w)
		took = append(took, writes[len(writes)-1].Done.Sub(edited))
	}
	slices.Sort(took)
	t.Logf("from the edit to the event, Google answering after 100 ms: median %d ms, slowest %d ms", took[len(took)/2].Milliseconds(), took[len(took)-1].Milliseconds())
	if slowest := took[len(took)-1]; slowest > 5*time.Second {
		t.Errorf("an edit took %s", slowest)
	}
	w.SetQuiet(true)
	must(t, w.ERP.MoveTask(tasks[0], w.Tomorrow(20)))
	w.Idle()
	w.WantStarts(ids[0], w.Tomorrow(16)) // the notification is lost
	w.Poll()
	w.WantStarts(ids[0], w.Tomorrow(20))
	schedule, err := os.ReadFile(filepath.Join("..", "terraform", "scheduler.tf"))
	must(t, err)
	wantText(t, "terraform/scheduler.tf", string(schedule), `"*/5 * * * *"`)
}

func noMail(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	task := w.Task(w.Tomorrow(9), ids[0])
	w.Idle()
	for _, change := range []func() error{
		func() error { return w.ERP.MoveTask(task, w.Tomorrow(12)) },
		func() error {
			return w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: ids[1:], RemoveExecutors: ids[:1]})
		},
		func() error { return w.ERP.CloseTask(task) },
		func() error { return w.ERP.ReopenTask(task) },
		func() error {
			return w.ERP.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Name = "Olena Bondar" })
		},
		func() error { return w.ERP.SetField(ids[1], world.Binding, "") },
		func() error { return w.ERP.SetField(ids[1], world.Binding, "1") },
		func() error { return w.Google.DeleteEvent(w.Calendar(ids[1]), w.Events(ids[1])[0].Id) },
		func() error { night(t, w); return nil },
		func() error { return w.ERP.DeleteTask(task) },
		func() error {
			return w.ERP.UpdateEmployee(ids[0], func(e *fakeerp.Employee) { e.Email = "olena.new@provider.example" })
		},
	} {
		must(t, change())
		w.Idle()
	}
	for _, r := range written(w) {
		if strings.HasPrefix(r.Method, "calendar.events.") && r.Query.Get("sendUpdates") != "none" {
			t.Errorf("a %s with %v", r.Method, r.Query)
		}
	}
	invitations := map[string]int{}
	for _, m := range w.Google.Mails() {
		if m.Kind != "share" {
			t.Errorf("a mail of kind %s to %s", m.Kind, m.To)
		}
		invitations[m.CalendarID]++
	}
	made := 0
	for _, c := range w.Google.Calendars() {
		if c.Primary {
			continue
		}
		if made++; invitations[c.ID] != 1 {
			t.Errorf("%d invitations to calendar %s (deleted: %v), want one", invitations[c.ID], c.ID, c.Deleted)
		}
	}
	if made != 4 || len(invitations) != 4 {
		t.Errorf("%d calendars made and %d invited to, want 4: two at first, one bound again, one of a new address", made, len(invitations))
	}
}

func recreated(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	task := w.Task(w.Tomorrow(9), ids...)
	w.Idle()
	first := w.Events(ids[0])[0].Id
	away := func() {
		t.Helper()
		must(t, w.ERP.Reassign(task, fakeerp.Reassignment{RemoveExecutors: ids[:1]}))
		w.Idle()
		w.WantStarts(ids[0])
	}
	back := func() string {
		t.Helper()
		must(t, w.ERP.Reassign(task, fakeerp.Reassignment{AddExecutors: ids[:1]}))
		w.Idle()
		w.WantStarts(ids[0], w.Tomorrow(9))
		return w.Events(ids[0])[0].Id
	}
	away()
	if got := back(); got != first {
		t.Errorf("assigned again: event %s, want %s restored", got, first)
	}
	away()
	must(t, w.Google.EmptyBin(w.Calendar(ids[0]))) // 409 to an insert, 404 to a look
	second := back()
	e := w.Events(ids[0])[0]
	if mark, ok := calendarsync.ReadMark(e.ExtendedProperties.Private); second == first || !ok || !mark.Owns(second) {
		t.Errorf("with the id burnt: event %s after %s, mark %+v", second, first, mark)
	}
	w.WantStarts(ids[1], w.Tomorrow(9))
}

func honestStatus(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	task := w.Task(w.Tomorrow(9), ids[1])
	w.Task(w.Tomorrow(10), ids[0])
	w.Idle()
	admin := newVisitor(t, w)
	admin.visit("/Console/", world.Admin)
	if s := admin.status(); s.OldestPending != 0 || s.Employees.Active != 2 {
		t.Fatalf("status %+v with everything applied", s)
	}
	refused := w.Google.Inject(fakegoogle.Fault{Method: "calendar.events.update", CalendarID: w.Calendar(ids[1]), Status: 403, Reason: "forbidden", Count: -1})
	must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
	w.Idle()
	eventually(t, func() bool { return admin.status().OldestPending >= 1 })
	eventually(t, func() bool {
		return strings.Contains(admin.visit("/Console/", world.Admin), "1 task could not be applied.")
	})
	wantText(t, "the failures", admin.visit("/Console/failures", world.Admin), "/tasks/"+itoa(task))
	wantText(t, "the employee", admin.visit("/Console/employees/"+itoa(ids[1]), world.Admin), "/tasks/"+itoa(task))
	if page := admin.visit("/Console/employees/"+itoa(ids[0]), world.Admin); strings.Contains(page, "/tasks/"+itoa(task)) {
		t.Error("the task is shown as another's")
	}
	refused.Remove()
	untilRight(t, w, store.TaskKey(task), func() bool { return w.Starts(ids[1])[0].Equal(w.Tomorrow(11)) })
	eventually(t, func() bool { return admin.status().OldestPending == 0 })
	if page := admin.visit("/Console/", world.Admin); strings.Contains(page, "could not be applied") {
		t.Error("applied, but shown as failed")
	}
}

func cleanUndo(t *testing.T, w *world.World, _ world.Options) {
	ids := withCalendars(t, w, "Olena", "Petro")
	w.Task(w.Tomorrow(9), ids...)
	w.Idle()
	kept, foreign := ownersEvent(t, w, ids[0])
	byHand, err := w.Google.CreateCalendar(world.Account, "Private", world.Zone)
	must(t, err)
	admin := newVisitor(t, w)
	admin.visit("/Console/", world.Admin)
	plan := admin.visit("/Console/purge", world.Admin)
	wantText(t, "the plan", plan, "2 calendars with 2 events will be deleted", "delete 2 calendars")
	w.Google.ResetRequests()
	if status := admin.submit(plan, "/Console/purge", url.Values{"typed": {"yes"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("another phrase: status %d", status)
	}
	w.Idle()
	if writesOf(w) != 0 {
		t.Error("something was written without the confirmation")
	}
	if status := admin.submit(plan, "/Console/purge", url.Values{"typed": {"delete 2 calendars"}}); status != http.StatusSeeOther {
		t.Fatalf("confirmed: status %d", status)
	}
	eventually(t, func() bool { w.Poll(); return w.Calendar(ids[0]) == "" && w.Calendar(ids[1]) == "" })
	for _, c := range w.Google.Calendars() {
		if stays := c.Primary || c.ID == byHand || c.ID == kept; c.Deleted == stays {
			t.Errorf("calendar %s is deleted: %v", c.ID, c.Deleted)
		}
	}
	wantReaders(t, w, kept)
	for _, e := range w.Google.Events(kept) {
		if (e.Status == "cancelled") == (e.Id == foreign) {
			t.Errorf("event %s is %s", e.Id, e.Status)
		}
	}
}
