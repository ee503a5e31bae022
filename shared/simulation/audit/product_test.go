package audit_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
)

// TestProduct: the real product lives rightly through a short day.
func TestProduct(t *testing.T) { synctest.Test(t, liveThroughADay) }

func liveThroughADay(t *testing.T) {
	w := world.New(t, world.Options{Env: map[string]string{"CALENDAR_REQUESTS_PER_MINUTE": "6000"}, Bubble: true})
	a := audit.New(audit.World{
		Google: w.Google, ERP: w.ERP, Account: world.Account, ERPURL: w.URL + "/erp", RequestsPerMinute: 6000, Now: time.Now,
	})
	s := calendarsync.DefaultSettings()
	check(t, json.Unmarshal([]byte(w.Environment(world.Options{})["DEFAULT_SETTINGS"]), &s))
	a.Settings(s)
	watch := func() {
		t.Helper()
		w.Idle()
		for _, v := range a.Watch() {
			t.Error(v)
		}
	}
	olena, petro, ivan := w.Employee("Olena"), w.Employee("Petro"), w.Employee("Ivan")
	first, second, third := w.Task(w.Tomorrow(9), olena), w.Task(w.Tomorrow(11), olena, petro), w.Task(w.Tomorrow(14), ivan)
	watch()
	check(t, w.ERP.MoveTask(first, w.Tomorrow(10)))
	check(t, w.ERP.UpdateTask(second, func(t *fakeerp.Task) { t.Description = "Ask for \"Ivan\" & call <before>\n\nsecond line" }))
	watch()
	check(t, w.ERP.Reassign(first, fakeerp.Reassignment{AddExecutors: []int64{petro}, RemoveExecutors: []int64{olena}}))
	check(t, w.ERP.CloseTask(third))
	watch()
	check(t, w.ERP.DismissEmployee(ivan))
	watch()
	check(t, w.ERP.UpdateEmployee(petro, func(e *fakeerp.Employee) { e.Email = "petro.new@provider.example" }))
	watch()
	check(t, w.ERP.ReopenTask(third))
	check(t, w.ERP.Reassign(third, fakeerp.Reassignment{AddExecutors: []int64{olena}}))
	watch()
	check(t, w.Google.DeleteEvent(w.Calendar(olena), w.Events(olena)[0].Id))
	check(t, w.Google.DeleteCalendar(w.Calendar(petro)))
	w.Reconcile()
	watch()
	// The calendar that was not found is believed to be gone when that is said again (rule 3.9).
	<-time.After(11 * time.Minute)
	w.Poll()
	watch()
	records, err := w.Store.RecentActivity(t.Context(), 1000)
	check(t, err)
	var activity []audit.Activity
	for _, r := range records {
		activity = append(activity, audit.Activity{At: r.At, Action: r.Action, Calendar: r.Calendar, Event: r.Event, Task: r.Task, Employee: r.Employee})
	}
	for _, v := range a.Judge(activity) {
		t.Error(v)
	}
	if len(activity) < 15 || len(w.Events(olena)) != 2 || len(w.Events(petro)) != 2 || w.Calendar(ivan) != "" {
		t.Errorf("a life of %d writes, Olena with %d events, Petro with %d", len(activity), len(w.Events(olena)), len(w.Events(petro)))
	}
	a.Quiet()
	w.Reconcile()
	w.Reconcile()
	for _, v := range a.AfterQuiet() {
		t.Error(v)
	}
}
