package functions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// Rule 8.9: an employee who spoils every answer that they are in stops no poll, no full run
// and nobody else's calendar. They keep what they have, and the console shows why.
func TestOneBadEmployeeStopsNobodyElse(t *testing.T) {
	t.Parallel()
	for _, spoiled := range []fakeerp.Spoiling{fakeerp.SpoiledEmpty, fakeerp.SpoiledCut, fakeerp.SpoiledError, fakeerp.SpoiledPage} {
		for when, late := range map[string]bool{"from the beginning": false, "from some day on": true} {
			t.Run(string(spoiled)+" "+when, func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
					// Nobody hears of them before one of them is spoiled.
					w.SetQuiet(true)
					first, bad, last := w.Employee("Anna"), w.Employee("Bohdan"), w.Employee("Vira")
					w.SetQuiet(false)
					spoil := func() {
						w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.BadEmployees, ways.Spoiled = []int64{bad}, spoiled })
					}
					if late {
						w.Task(w.Tomorrow(8), bad)
						w.Reconcile()
						w.Idle()
						spoil()
					} else {
						spoil()
						w.Reconcile()
						w.Idle()
					}
					w.Task(w.Tomorrow(9), first, last)
					w.Poll()
					w.Idle()
					w.WantStarts(first, w.Tomorrow(9))
					w.WantStarts(last, w.Tomorrow(9))

					// A card that changes without a notification is found, and so is who is hired.
					w.SetQuiet(true)
					if err := w.ERP.UpdateEmployee(first, func(e *fakeerp.Employee) { e.Email = "" }); err != nil {
						t.Fatal(err)
					}
					hired := w.Employee("Hanna")
					for range 2 {
						w.Poll()
						w.Idle()
					}
					if w.Calendar(first) != "" || w.Calendar(hired) == "" {
						t.Errorf("calendars of who lost the address: %q, of who was hired: %q", w.Calendar(first), w.Calendar(hired))
					}
					w.Reconcile()
					w.Idle()
					rec, found, err := w.Store.Employee(t.Context(), bad)
					if err != nil || !found || rec.Failure == nil || rec.Failure.Kind != failure.SourceInvalid {
						t.Errorf("record of the bad one: %v, %+v, %v", found, rec.Failure, err)
					}
					if kept := w.Calendar(bad) != ""; kept != late {
						t.Errorf("the bad one has a calendar: %v", kept)
					}
					if run, found, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || !found || run.Ended.IsZero() {
						t.Errorf("the full run: %+v, %v", run, err)
					}

					// Nobody is taken for deleted meanwhile, not even who is.
					if err := w.ERP.DeleteEmployee(last); err != nil {
						t.Fatal(err)
					}
					for range 4 {
						w.Poll()
						w.Idle()
						<-time.After(10 * time.Minute)
					}
					if w.Calendar(last) == "" {
						t.Error("an absence among unreadable answers deleted a calendar")
					}
					w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.BadEmployees = nil })
					<-time.After(8 * time.Hour)
					for range 4 {
						w.Poll()
						w.Idle()
						<-time.After(20 * time.Minute)
					}
					if w.Calendar(last) != "" || w.Calendar(bad) == "" {
						t.Errorf("mended: calendars of who was deleted: %q, of the bad one: %q", w.Calendar(last), w.Calendar(bad))
					}
				})
			})
		}
	}
}

// Rule 8.10, E7: where no event reaches the connector, the poll finds every change, and its
// silence is told; where some do, it is not.
func TestAnERPWhoseEventsReachNobodyIsTold(t *testing.T) {
	t.Parallel()
	for _, events := range []fakeerp.EventSet{fakeerp.EventsNone, fakeerp.EventsPublic} {
		t.Run(string(events), func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				who := w.Employee("Olena")
				w.Idle()
				<-time.After(25 * time.Hour) // whatever came was a day ago
				w.Poll()
				w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.Events = events })
				var ids []int64
				for range 21 {
					ids = append(ids, w.Task(w.Tomorrow(9), who))
				}
				w.Poll()
				for _, id := range ids {
					must(t, w.ERP.MoveTask(id, w.Tomorrow(10)))
				}
				for range 5 {
					<-time.After(5 * time.Minute)
					w.Poll()
				}
				for _, at := range w.Starts(who) {
					if !at.Equal(w.Tomorrow(10)) {
						t.Errorf("an event at %v", at)
					}
				}
				told := strings.Contains(w.Log.String(), `"alarm":"no-notifications"`)
				if silent := events == fakeerp.EventsNone; told != silent {
					t.Errorf("told: %v", told)
				}
				n, err := w.Store.Notifications(t.Context(), time.Now(), "notify", "poll")
				must(t, err)
				if n.Polled < 21 && n.Notified < 21 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}
