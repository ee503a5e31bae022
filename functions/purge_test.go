package functions_test

import (
	"testing"

	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func ownersEvent(t *testing.T, w *world.World, who int64) (calendarID, eventID string) {
	t.Helper()
	c := w.Calendar(who)
	e, err := w.Google.CreateEvent(c, &calendar.Event{Summary: "Holiday",
		Start: &calendar.EventDateTime{Date: "2026-12-24"}, End: &calendar.EventDateTime{Date: "2026-12-25"}})
	must(t, err)
	return c, e
}

// withSyncing gives the settings in force with syncing switched on or off.
func withSyncing(t *testing.T, w *world.World, on bool) (text string, version int64) {
	t.Helper()
	saved, err := settings.NewSource(w.Store, w.Environment(world.Options{})["DEFAULT_SETTINGS"], w.URL+"/erp", nil).Saved(t.Context())
	must(t, err)
	next := saved.Settings
	next.Enabled = on
	data, err := settings.Encode(next)
	must(t, err)
	return string(data), saved.Version
}

func everybody(t *testing.T, w *world.World) {
	t.Helper()
	must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
	w.Idle()
}

// TestAPurgeDeletesEverythingOfOursAndNothingElse shows rule 4.10.
func TestAPurgeDeletesEverythingOfOursAndNothingElse(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{Env: map[string]string{"LEASE_SECONDS": lease}}, func(t *testing.T, w *world.World) {
		ids := withCalendars(t, w, "Anna", "Bohdan", "Daria", "Fedir", "Halyna")
		w.Task(w.Tomorrow(9), ids...)
		w.Idle()
		kept, foreign := ownersEvent(t, w, ids[0])
		w.Google.ResetRequests()
		text, version := withSyncing(t, w, false)
		must(t, w.Store.StartPurge(t.Context(), store.PurgeRecord{ID: "p", By: world.Admin, Calendars: 5, Events: 5}, text, version))
		everybody(t, w)
		// Neither the ERP nor a notification brings anything back meanwhile.
		w.Task(w.Tomorrow(12), ids...)
		w.Idle()
		eventually(t, func() bool {
			w.Poll()
			in, err := w.Store.Installation(t.Context())
			must(t, err)
			return in.Purge.Kept == 1
		})
		for _, id := range ids {
			if c := w.Calendar(id); c != "" {
				t.Errorf("employee %d still has calendar %s", id, c)
			}
		}
		for _, c := range w.Google.Calendars() {
			if c.Deleted == (c.ID == kept || c.Primary) {
				t.Errorf("calendar %s is deleted: %v", c.ID, c.Deleted)
			}
			for _, r := range c.Rules {
				if r.Role == "reader" {
					t.Errorf("calendar %s is still shared with %s", c.ID, r.ID)
				}
			}
		}
		for _, e := range w.Google.Events(kept) {
			if (e.Status == "cancelled") == (e.Id == foreign) {
				t.Errorf("event %s is %s", e.Id, e.Status)
			}
		}
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.calendars.delete", Committed: true})); n != 4 {
			t.Errorf("%d calendars were deleted, want 4", n)
		}
		held(t, w, 0, 0)

		must(t, w.Store.StopPurge(t.Context())) // as its first minute is not over
		text, version = withSyncing(t, w, true)
		must(t, w.Store.SaveSettings(t.Context(), text, world.Admin, version))
		w.Again(world.Options{Backend: w.Backend()})
		everybody(t, w)
		for _, id := range ids {
			w.WantStarts(id, w.Tomorrow(9), w.Tomorrow(12))
		}
	})
}

// TestARebuildEmptiesAndFillsTheSameCalendar shows rule 4.12.
func TestARebuildEmptiesAndFillsTheSameCalendar(t *testing.T) {
	t.Parallel()
	onBoth(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Task(w.Tomorrow(9), who)
		w.Task(w.Tomorrow(12), who)
		w.Idle()
		before, foreign := ownersEvent(t, w, who)
		w.Google.ResetRequests()
		asked, err := w.Store.AskRebuild(t.Context(), who)
		must(t, err)
		if !asked {
			t.Fatal("not asked")
		}
		w.Poll() // the message of the console may be lost
		if n := len(w.Google.Requests(fakegoogle.Filter{Method: "calendar.events.delete", Committed: true})); n != 2 {
			t.Errorf("%d events were deleted, want 2", n)
		}
		if got := w.Calendar(who); got != before {
			t.Errorf("calendar %q, want %q", got, before)
		}
		must(t, w.Google.DeleteEvent(before, foreign)) // it was there to be deleted
		w.WantStarts(who, w.Tomorrow(9), w.Tomorrow(12))
		w.Google.ResetRequests()
		w.Reconcile()
		if n := len(w.Google.Requests(fakegoogle.Filter{Writes: true, Method: "calendar.*"})); n != 0 {
			t.Errorf("a full run afterwards made %d writes", n)
		}
	})
}
