package functions_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// held waits for the plan of what is held to name so many events and calendars.
func held(t *testing.T, w *world.World, events, calendars int) store.HeldPlan {
	t.Helper()
	plan, err := w.Store.Held(t.Context())
	must(t, err)
	if plan.Events != events || plan.Calendars != calendars {
		t.Fatalf("%d events and %d calendars are held, want %d and %d: %+v", plan.Events, plan.Calendars, events, calendars, plan.Keys)
	}
	return plan
}

// confirm lets everything of a plan go, as the console does.
func confirm(t *testing.T, w *world.World, plan store.HeldPlan) {
	t.Helper()
	for _, k := range plan.Keys {
		must(t, w.Store.Allow(t.Context(), k.Key))
		topic := "task-changes"
		if k.Collection == store.Employees {
			topic = "employee-changes"
		}
		must(t, w.Deployment.Publisher.Publish(t.Context(), topic, queue.Message{IDs: []int64{k.ID}, Cause: queue.CauseConsole, Lane: queue.LaneLive}))
	}
	w.Idle()
}

func alarms(w *world.World, kind string) int {
	return strings.Count(w.Log.String(), `"alarm":"`+kind+`"`)
}

func TestAbsenceTakesTenEventsADayAndHoldsTheRest(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "1"}}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		var ids []int64
		for i := range 14 {
			ids = append(ids, w.Task(w.Tomorrow(8).Add(time.Duration(i)*30*time.Minute), who))
		}
		kept := w.Task(w.Tomorrow(20), who)
		w.Idle()
		w.SetQuiet(true)
		for _, id := range ids {
			must(t, w.ERP.DeleteTask(id))
		}
		w.Notify("task.changed", ids...)
		w.Idle()
		eventually(t, func() bool {
			w.Poll()
			plan, err := w.Store.Held(t.Context())
			must(t, err)
			return plan.Events == 4
		})
		plan := held(t, w, 4, 0)
		for _, k := range plan.Keys {
			// The events of the fourteen begin every half hour from eight o'clock.
			start, err := time.Parse(time.RFC3339, k.Start)
			if at := start.Sub(w.Tomorrow(8)); err != nil || k.Title == "" || at < 0 || at > 7*time.Hour || !slices.Equal(k.Employees, []int64{who}) || k.Since.IsZero() {
				t.Errorf("held is %+v: no title, time and person (%v)", k, err)
			}
		}
		if part, complete := plan.Only([]store.Key{plan.Keys[1].Key, store.TaskKey(1 << 40)}); complete || part.Events != 1 || part.Hash == plan.Hash {
			t.Errorf("a part of the plan with a key that is not in it: %+v, complete %v", part, complete)
		}
		if n := len(w.Events(who)); n != 5 {
			t.Fatalf("%d events are left, want the held ones and the one that stays", n)
		}
		if n := alarms(w, "deletions-held"); n != 1 {
			t.Errorf("%d alarms, want one", n)
		}
		// Neither a full run nor another notification lets them go, and others go on.
		must(t, w.ERP.MoveTask(kept, w.Tomorrow(21)))
		w.Notify("task.changed", append(ids, kept)...)
		w.Idle()
		w.Reconcile()
		held(t, w, 4, 0)
		if starts := w.Starts(who); len(starts) != 5 || !starts[4].Equal(w.Tomorrow(21)) {
			t.Errorf("events at %v", starts)
		}
		confirm(t, w, plan)
		w.WantStarts(who, w.Tomorrow(21))
		held(t, w, 0, 0)
		for _, id := range ids {
			recs, err := w.Store.TasksOf(t.Context(), who)
			must(t, err)
			for _, r := range recs {
				if m, _ := r.Mapping(who); r.ID == id && (m.HeldTitle != "" || m.HeldStart != "") {
					t.Errorf("task %d: what its event said is still remembered", id)
				}
			}
		}
	})
}

// An ERP that leaves the map of executors out says by another list that there are none.
func TestTasksThatLoseTheirLastExecutorGoAtOnceAndAreNeverHeld(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		spelling := fakeerp.NewSpelling()
		spelling.OmitEmptyStaff = true
		w.ERP.SetSpelling(spelling)
		who := withCalendars(t, w, "Olena")[0]
		var ids []int64
		for i := range 14 {
			ids = append(ids, w.Task(w.Tomorrow(8).Add(time.Duration(i)*30*time.Minute), who))
		}
		w.Task(w.Tomorrow(20), who)
		w.Idle()
		w.SetQuiet(true)
		for _, id := range ids {
			must(t, w.ERP.Reassign(id, fakeerp.Reassignment{RemoveExecutors: []int64{who}}))
		}
		w.Notify("task.changed", ids...)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(20))
		held(t, w, 0, 0)
		if n := alarms(w, "deletions-held"); n != 0 {
			t.Errorf("%d alarms", n)
		}
	})
}

func TestClosingManyTasksIsNeverHeld(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		var ids []int64
		for i := range 15 {
			ids = append(ids, w.Task(w.Tomorrow(8).Add(time.Duration(i)*30*time.Minute), who))
		}
		w.Idle()
		for _, id := range ids {
			must(t, w.ERP.CloseTask(id))
		}
		w.Idle()
		w.WantStarts(who)
		held(t, w, 0, 0)
	})
}

func TestAStateThatChangedItsRoleTakesTenEventsADay(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		for i := range 14 {
			w.Task(w.Tomorrow(8).Add(time.Duration(i)*30*time.Minute), who)
		}
		// Another state keeps the role in the catalogue, so that it is believed.
		w.ERP.AddState(fakeerp.TaskState{ID: 9, Name: "Fresh", Role: fakeerp.RoleNotCompleted})
		w.Idle()
		w.ERP.AddState(fakeerp.TaskState{ID: world.Open, Name: "New", Role: fakeerp.RoleCompleted})
		w.Again(world.Options{Backend: w.Backend()}) // the catalogue is kept for half a minute
		w.Reconcile()
		if n := len(w.Events(who)); n != 4 {
			t.Errorf("%d events are left, want 4", n)
		}
		held(t, w, 4, 0)
		w.ERP.AddState(fakeerp.TaskState{ID: world.Open, Name: "New", Role: fakeerp.RoleNotCompleted})
		w.Again(world.Options{Backend: w.Backend()})
		w.Reconcile()
		if n := len(w.Events(who)); n != 14 {
			t.Errorf("%d events after the role is back, want 14", n)
		}
		held(t, w, 0, 0)
	})
}

// TestAMassDismissalIsHeldAndCanBeGotThrough shows rule 4.4.
// What an admin keeps is given back as it was: the share goes at once on a dismissal, and
// a calendar that stays without it is one that nobody sees (rule 4.9).
func TestWhatAnAdminKeepsIsGivenBack(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Anna", "Bohdan", "Daria", "Fedir", "Halyna")
		w.Task(w.Tomorrow(9), ids...)
		w.Task(w.Tomorrow(11), ids...)
		w.Idle()
		before := map[int64]string{}
		for _, id := range ids {
			before[id] = w.Calendar(id)
			must(t, w.ERP.DismissEmployee(id))
			w.Idle()
		}
		plan := held(t, w, 0, 2)
		for _, k := range plan.Keys {
			if !k.Withdrawn || k.Within != 2 {
				t.Errorf("employee %d: withdrawn %v, %d events within, want withdrawn and 2", k.ID, k.Withdrawn, k.Within)
			}
			must(t, w.Store.Drop(t.Context(), k.Key))
			must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{IDs: []int64{k.ID}, Cause: queue.CauseConsole, Lane: queue.LaneLive}))
		}
		w.Idle()
		held(t, w, 0, 0)
		back := func(when string) {
			t.Helper()
			for _, k := range plan.Keys {
				if got := w.Calendar(k.ID); got == "" || got != before[k.ID] {
					t.Errorf("%s: calendar %q of employee %d, want %q", when, got, k.ID, before[k.ID])
				}
				w.WantStarts(k.ID, w.Tomorrow(9), w.Tomorrow(11))
			}
		}
		back("kept")
		w.Reconcile()
		back("after a full run")
		dropped, err := w.Store.Dropped(t.Context())
		must(t, err)
		if len(dropped) != 2 {
			t.Errorf("%d kept by an admin, want 2", len(dropped))
		}
		// Back at work and dismissed again: something new, and nobody decided about that.
		id := plan.Keys[0].ID
		must(t, w.ERP.RehireEmployee(id))
		w.Idle()
		must(t, w.ERP.DismissEmployee(id))
		w.Idle()
		if again := held(t, w, 0, 1); !again.Keys[0].Withdrawn {
			t.Error("who is dismissed anew still sees the calendar")
		}
	})
}

func TestAMassDismissalIsHeldAndCanBeGotThrough(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Anna", "Bohdan", "Daria", "Fedir", "Halyna")
		w.Task(w.Tomorrow(9), ids...)
		w.Idle()
		for _, id := range ids {
			must(t, w.ERP.DismissEmployee(id))
			w.Idle()
		}
		plan := held(t, w, 0, 2)
		if n := alarms(w, "deletions-held"); n != 1 {
			t.Errorf("%d alarms, want one", n)
		}
		left := 0
		for _, c := range w.Google.Calendars() {
			if !c.Deleted && !c.Primary {
				left++
				for _, r := range c.Rules {
					if r.Role == "reader" {
						t.Errorf("a dismissed employee still sees calendar %s", c.ID)
					}
				}
			}
		}
		if left != 2 {
			t.Errorf("%d calendars are left, want 2", left)
		}
		// One of them is taken back: the old calendar, invited to again.
		back := plan.Keys[0].ID
		before := w.Calendar(back)
		must(t, w.ERP.RehireEmployee(back))
		w.Idle()
		if got := w.Calendar(back); got != before || got == "" {
			t.Errorf("calendar %q after %q", got, before)
		}
		w.WantStarts(back, w.Tomorrow(9))
		plan = held(t, w, 0, 1)
		confirm(t, w, plan)
		held(t, w, 0, 0)
		if w.Calendar(plan.Keys[0].ID) != "" {
			t.Error("the confirmed calendar is still there")
		}
		w.Google.ResetRequests()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Writes: true, Method: "calendar.*"})); n != 0 {
			t.Errorf("a full run afterwards made %d writes", n)
		}
	})
}
