package functions_test

import (
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
					first, bad, last := w.Employee("Anna"), w.Employee("Bohdan"), w.Employee("Vira")
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
						time.Sleep(10 * time.Minute)
					}
					if w.Calendar(last) == "" {
						t.Error("an absence among unreadable answers deleted a calendar")
					}
					w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.BadEmployees = nil })
					time.Sleep(8 * time.Hour)
					for range 4 {
						w.Poll()
						w.Idle()
						time.Sleep(20 * time.Minute)
					}
					if w.Calendar(last) != "" || w.Calendar(bad) == "" {
						t.Errorf("mended: calendars of who was deleted: %q, of the bad one: %q", w.Calendar(last), w.Calendar(bad))
					}
				})
			})
		}
	}
}
