package functions_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// What a full run finds, reports and repairs (rules 8.3 and 8.4), judged from
// what the Google stand-in holds afterwards and from the run's record.

// night makes a full run and gives its record.
func night(t *testing.T, w *world.World) store.RunRecord {
	t.Helper()
	w.Reconcile()
	run, found, err := w.Store.LastRun(t.Context(), "reconcile")
	must(t, err)
	if !found || run.Ended.IsZero() || run.Done != run.Total {
		t.Fatalf("the run has not ended: %+v", run)
	}
	return run
}

func wantDrift(t *testing.T, run store.RunRecord, drift, fields map[string]int64) {
	t.Helper()
	if !maps.Equal(run.Drift, drift) || !maps.Equal(run.Fields, fields) {
		t.Errorf("reported %v, fields %v; want %v, fields %v", run.Drift, run.Fields, drift, fields)
	}
}

func writesOf(w *world.World) int {
	return len(w.Google.Requests(fakegoogle.Filter{Writes: true, Method: "calendar.*"}))
}

func TestDriftOfEveryKindIsFoundReportedAndRepaired(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		who := ids[0]
		starts := tasksOf(w, who, 8, 9, 10, 11)
		closed := w.Task(w.Tomorrow(15), who)
		w.Idle()
		must(t, w.ERP.CloseTask(closed))
		w.Idle()
		wantDrift(t, night(t, w), nil, nil) // the shares have been seen

		cal, other := w.Calendar(who), w.Calendar(ids[1])
		event := func(n int) string { return w.Events(who)[n].Id }
		edit := func(n int, change func(*calendar.Event)) error { return w.Google.EditEvent(cal, event(n), change) }
		for _, c := range []struct {
			name          string
			change        func() error
			drift, fields map[string]int64
			// stays is what a second run still reports, because it is left alone.
			stays map[string]int64
		}{
			{name: "an event edited", change: func() error {
				return edit(1, func(e *calendar.Event) { e.Summary, e.Location = "Lunch", "Elsewhere" })
			}, drift: map[string]int64{"event.edited": 1}, fields: map[string]int64{"title": 1, "location": 1}},
			{name: "an event hidden", change: func() error {
				return edit(1, func(e *calendar.Event) { e.Transparency, e.ColorId = "transparent", "4" })
			}, drift: map[string]int64{"event.edited": 1}, fields: map[string]int64{"transparency": 1, "color": 1}},
			{name: "an event moved in time", change: func() error { return w.Google.MoveEvent(cal, event(2), w.Tomorrow(20)) },
				drift: map[string]int64{"event.moved": 1}, fields: map[string]int64{"start": 1, "end": 1}},
			{name: "an event deleted", change: func() error { return w.Google.DeleteEvent(cal, event(0)) },
				drift: map[string]int64{"event.deleted": 1}},
			{name: "the calendar emptied", change: func() error {
				for range starts {
					if err := w.Google.DeleteEvent(cal, event(0)); err != nil {
						return err
					}
				}
				return nil
			}, drift: map[string]int64{"event.deleted": 4, "calendar.emptied": 1}},
			{name: "a deleted event restored", change: func() error {
				for _, e := range w.Google.Events(cal) {
					if e.Status == "cancelled" && e.ExtendedProperties.Private[calendarsync.MarkTask] == itoa(closed) {
						return w.Google.RestoreEvent(cal, e.Id)
					}
				}
				t.Error("the closed task's event is not there to be restored")
				return nil
			}, drift: map[string]int64{"event.restored": 1}},
			{name: "the share widened", change: func() error { return w.Google.SetShare(cal, "olena@provider.example", "writer") },
				drift: map[string]int64{"share.widened": 1}},
			{name: "the share removed", change: func() error { return w.Google.RemoveShare(cal, "olena@provider.example") },
				drift: map[string]int64{"share.missing": 1}},
			{name: "the calendar renamed", change: func() error {
				return w.Google.EditCalendar(cal, func(c *calendar.Calendar) { c.Summary = "Mine" })
			}, drift: map[string]int64{"calendar.renamed": 1}},
			{name: "the calendar put into another zone", change: func() error {
				return w.Google.EditCalendar(cal, func(c *calendar.Calendar) { c.TimeZone = "America/New_York" })
			}, drift: map[string]int64{"calendar.zone": 1}},
			{name: "the calendar's mark removed", change: func() error {
				return w.Google.EditCalendar(cal, func(c *calendar.Calendar) { c.Description = "For Olena" })
			}, drift: map[string]int64{"calendar.unmarked": 1}},
			// What is left alone comes last: it is reported by every run.
			{name: "an event copied", change: func() error { _, err := w.Google.CopyEvent(cal, event(0), cal); return err },
				drift: map[string]int64{"event.copied": 1}, stays: map[string]int64{"event.copied": 1}},
			{name: "an event moved to another calendar", change: func() error { return w.Google.MoveEventTo(cal, event(3), other) },
				drift: map[string]int64{"event.copied": 1, "event.deleted": 1, "event.misplaced": 1}, stays: map[string]int64{"event.copied": 1}},
			{name: "a foreign rule and a foreign event", change: func() error {
				_, err := w.Google.CreateEvent(cal, &calendar.Event{Summary: "Private", Start: &calendar.EventDateTime{Date: "2030-01-01"}, End: &calendar.EventDateTime{Date: "2030-01-02"}})
				must(t, err)
				return w.Google.SetShare(cal, "boss@provider.example", "writer")
			}, drift: map[string]int64{"event.copied": 1, "share.foreign": 1}, stays: map[string]int64{"event.copied": 1, "share.foreign": 1}},
		} {
			must(t, c.change())
			w.Google.ResetRequests()
			run := night(t, w)
			t.Logf("%s: reported %v, fields %v; %d writes", c.name, run.Drift, run.Fields, writesOf(w))
			if !maps.Equal(run.Drift, c.drift) || !maps.Equal(run.Fields, c.fields) {
				t.Errorf("%s: reported %v, fields %v; want %v, fields %v", c.name, run.Drift, run.Fields, c.drift, c.fields)
			}
			if got := ownStarts(t, w, who); !slices.EqualFunc(got, starts, time.Time.Equal) {
				t.Errorf("%s: events at %v, want %v", c.name, got, starts)
			}
			if c.drift["share.missing"] > 0 { // looked for again before anybody is mailed
				eventually(t, func() bool {
					w.Poll()
					return calendarNamed(t, w, cal).Role("olena@provider.example") == "reader"
				})
				night(t, w) // the share has been seen
			}
			if c.drift["event.misplaced"] > 0 { // its task may be held by the calendar that it belongs to
				eventually(t, func() bool {
					w.Poll()
					return len(w.Events(ids[1])) == 0
				})
			}
			have := calendarNamed(t, w, cal)
			if have.Summary != "Olena" || have.TimeZone != world.Zone || have.Role("olena@provider.example") != "reader" || !strings.Contains(have.Description, "erp-calendar/1 tenant=") {
				t.Errorf("%s: calendar %q in %s, described as %q, shared as %q", c.name, have.Summary, have.TimeZone, have.Description, have.Role("olena@provider.example"))
			}
			w.Google.ResetRequests()
			run = night(t, w)
			if n := writesOf(w); n != 0 || run.Repaired != 0 {
				t.Errorf("%s: a second run made %d writes and reports %d", c.name, n, run.Repaired)
			}
			wantDrift(t, run, c.stays, nil)
		}
		if r := calendarNamed(t, w, cal).Role("boss@provider.example"); r != "writer" {
			t.Errorf("the foreign rule is %q", r)
		}
		if !slices.ContainsFunc(w.Events(who), func(e *calendar.Event) bool { return e.Summary == "Private" }) {
			t.Error("the foreign event is gone")
		}

		must(t, w.Google.DeleteCalendar(cal))
		wantDrift(t, night(t, w), map[string]int64{"calendar.deleted": 1}, nil)
		eventually(t, func() bool {
			w.Poll()
			return w.Calendar(who) != ""
		})
		w.Idle()
		w.WantStarts(who, starts...)
	})
}

// ownStarts lists the starts of the events that carry their own mark.
func ownStarts(t *testing.T, w *world.World, who int64) []time.Time {
	t.Helper()
	var out []time.Time
	for _, e := range w.Events(who) {
		if e.ExtendedProperties == nil {
			continue
		}
		mark, ok := calendarsync.ReadMark(e.ExtendedProperties.Private)
		if !ok || !mark.Owns(e.Id) {
			continue
		}
		at, err := time.Parse(time.RFC3339, e.Start.DateTime)
		must(t, err)
		out = append(out, at)
	}
	return out
}

// asTheApp is the Calendar API as this product's client uses it.
func asTheApp(t *testing.T, w *world.World) *calendar.Service {
	t.Helper()
	api, err := calendar.NewService(t.Context(), option.WithHTTPClient(w.Google.Client(world.Account, googlecalendar.Scopes()...)),
		option.WithEndpoint(w.URL+"/google/calendar/v3/"))
	must(t, err)
	return api
}

// double makes a second calendar with the mark of an employee's.
func double(t *testing.T, w *world.World, cal string) string {
	t.Helper()
	c, err := asTheApp(t, w).Calendars.Insert(&calendar.Calendar{Summary: "Double", Description: calendarNamed(t, w, cal).Description}).Do()
	must(t, err)
	return c.Id
}

func gone(t *testing.T, w *world.World, cal string) bool {
	t.Helper()
	return calendarNamed(t, w, cal).Deleted
}

func TestOfTwoCalendarsWithOneMarkOneGoes(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		w.Task(w.Tomorrow(9), ids...)
		w.Idle()
		night(t, w)
		cal, second := w.Calendar(ids[0]), w.Calendar(ids[1])
		extra, kept := double(t, w, cal), double(t, w, second)
		// Of one every event is the product's, in the other somebody made one.
		_, err := w.Google.CreateEvent(kept, &calendar.Event{Summary: "Private", Start: &calendar.EventDateTime{Date: "2030-01-01"}, End: &calendar.EventDateTime{Date: "2030-01-02"}})
		must(t, err)
		wantDrift(t, night(t, w), map[string]int64{"calendar.extra": 2}, nil)
		if !gone(t, w, extra) || gone(t, w, cal) || gone(t, w, second) || gone(t, w, kept) {
			t.Errorf("gone: the double %v, the recorded %v and %v, the one with a foreign event %v; want only the first",
				gone(t, w, extra), gone(t, w, cal), gone(t, w, second), gone(t, w, kept))
		}
		w.Google.ResetRequests()
		wantDrift(t, night(t, w), map[string]int64{"calendar.extra": 1}, nil)
		if n := writesOf(w); n != 0 {
			t.Errorf("the next run made %d writes", n)
		}
		wantNoMailsButShares(t, w, 2)
	})
}

func TestAfterALostDatabaseNothingIsDoubledAndTheLoserGoes(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro", "Iryna")
		starts := tasksOf(w, ids[0], 8, 9)
		w.Idle()
		night(t, w)
		var before []string
		for _, id := range ids {
			before = append(before, w.Calendar(id))
		}
		// Two of one epoch: the smaller id wins, whichever is older.
		extra := double(t, w, before[0])
		winner, loser := min(before[0], extra), max(before[0], extra)

		again := w.Again(world.Options{})
		again.TakeOver()
		run := night(t, again)
		t.Logf("from nothing: %+v", run.RunTally)
		for i, id := range ids {
			want := before[i]
			if i == 0 {
				want = winner
			}
			if got := again.Calendar(id); got != want {
				t.Errorf("employee %d: calendar %s, want %s", id, got, want)
			}
		}
		if !gone(t, w, loser) {
			t.Error("the loser is still there")
		}
		again.WantStarts(ids[0], starts...)
		again.Google.ResetRequests()
		night(t, again)
		if n := writesOf(again); n != 0 {
			t.Errorf("the next run made %d writes", n)
		}
		for _, m := range again.Google.Mails() {
			if m.To != "olena@provider.example" && m.Kind != "share" {
				t.Errorf("a mail of kind %s to %s", m.Kind, m.To)
			}
		}
		// Olena's calendar may be the double, which was never shared.
		if n := len(again.Google.Mails()); n > 4 || (winner == before[0] && n != 3) {
			t.Errorf("%d invitations", n)
		}
	})
}

func TestTooManyFurtherCalendarsAreHeld(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro", "Iryna", "Taras", "Oksana")
		night(t, w)
		var extras []string
		for _, id := range ids {
			extras = append(extras, double(t, w, w.Calendar(id)))
		}
		night(t, w)
		left := slices.DeleteFunc(slices.Clone(extras), func(c string) bool { return gone(t, w, c) })
		plan, err := w.Store.Held(t.Context())
		must(t, err)
		if len(left) != 2 || plan.Calendars != 2 {
			t.Errorf("%d further calendars left, %d held; three may go in a day", len(left), plan.Calendars)
		}
	})
}

func TestAQuietNightCostsTwoGoogleCallsACalendar(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Settings: `{"include_departments":true}`}, func(t *testing.T, w *world.World) {
		names := []string{"Olena", "Petro", "Iryna", "Taras", "Oksana", "Danylo"}
		ids := withCalendars(t, w, names...)
		var tasks []int64
		for hour := 8; hour < 16; hour++ {
			tasks = append(tasks, w.Task(w.Tomorrow(hour), ids...))
		}
		w.Idle()
		for _, id := range tasks[:3] {
			must(t, w.ERP.CloseTask(id))
		}
		w.Idle()
		night(t, w)
		w.Google.ResetRequests()
		w.ERP.ResetRequests()
		run := night(t, w)
		google := map[string]int{}
		for _, r := range w.Calls() {
			google[r.Method]++
		}
		erp := map[string]int{}
		for _, r := range w.ERP.Requests(func(fakeerp.Request) bool { return true }) {
			erp[r.Cat+"/"+r.Action]++
		}
		t.Logf("a quiet run of %d employees with %d open tasks: Google %v, ERP %v", run.Total, len(tasks)-3, google, erp)
		if google["calendar.events.list"] != len(ids) || google["calendar.acl.list"] != len(ids) || len(w.Calls()) != 2*len(ids)+1 {
			t.Errorf("Google calls %v, want one list of events and one of rules a calendar, and one of calendars", google)
		}
		// Everybody at the start and once for the message, each one's list, and the
		// tasks of all of them at once, the closed ones not among them.
		if erp["task/show"] != 1 || erp["employee/get_data"] != 2 || erp["task/get_list"] != len(ids) {
			t.Errorf("ERP calls %v", erp)
		}
	})
}

func TestARunEndsWhateverBecomesOfItsEmployees(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		withCalendars(t, w, "Olena", "Petro")
		remove := w.Google.Inject(fakegoogle.Fault{Method: "calendar.acl.list", Count: -1, Status: http.StatusForbidden, Reason: "forbidden"})
		run := night(t, w)
		if run.Failed != 2 {
			t.Errorf("run %+v, want two failed", run)
		}
		remove.Remove()
		configure(t, w, func(s *calendarsync.Settings) { s.Enabled = false })
		if run := night(t, w); run.Failed != 2 {
			t.Errorf("paused: run %+v, want two failed", run)
		}
	})
}

func TestSavingTemplatesIsARunWithProgress(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Olena", "Petro")
		tasksOf(w, ids[0], 8, 9, 10)
		w.Idle()
		night(t, w)
		configure(t, w, func(s *calendarsync.Settings) { s.EventTitle = "Visit {{.Task.ID}}" })
		runs, err := w.Store.Runs(t.Context(), 5)
		must(t, err)
		if len(runs) < 2 || runs[0].Cause != "console" || runs[0].Ended.IsZero() || runs[0].Done != 2 || runs[0].Repaired != 3 {
			t.Errorf("runs %+v", runs)
		}
		for _, e := range w.Events(ids[0]) {
			if !strings.HasPrefix(e.Summary, "Visit ") {
				t.Errorf("event %q", e.Summary)
			}
		}
		if run, _, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || run.Repaired != 0 {
			t.Errorf("the last reconcile is %+v, %v", run, err)
		}
	})
}
