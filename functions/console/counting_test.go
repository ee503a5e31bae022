package console_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// openTasks gives the ERP tasks in the state "Done", which is not shown, of the second employee.
func (w *world) openTasks(n calendarsync.TaskID) {
	w.erp.tasks = map[calendarsync.TaskID]calendarsync.TaskReading{}
	for id := calendarsync.TaskID(1); id <= n; id++ {
		w.erp.tasks[id] = calendarsync.TaskReading{Task: &calendarsync.Task{ID: id, State: calendarsync.Say[calendarsync.StateID](4),
			Start:     calendarsync.Say(calendarsync.LocalTime{Wall: w.clock().Add(24 * time.Hour)}),
			Executors: calendarsync.Say([]calendarsync.EmployeeID{2})}}
	}
}

// counts is a company for which a save is being counted, that never ends while it is looked at.
func (w *world) counts() {
	w.apply(map[int64]string{1: "Anna", 2: "Bohdan"})
	w.openTasks(1)
	next := w.saved().Settings
	next.ShownRoles = append(next.ShownRoles, 3)
	text, err := settings.Encode(next)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := make([]calendarsync.TaskID, 20_000)
	for i := range ids {
		ids[i] = calendarsync.TaskID(i + 1)
	}
	progress, err := json.Marshal(map[string]any{"joining": plan.Joining{}, "tasks": ids[6000:], "listed": len(ids)})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.SaveSettingsCount(w.t.Context(), store.SettingsCount{For: string(text), Version: 1, Progress: string(progress)}); err != nil {
		w.t.Fatal(err)
	}
}

// TestACountGoesOnByItself: an open page counts to the end, without being loaded anew and again,
// and then is the plan.
func TestACountGoesOnByItself(t *testing.T) {
	ctx, w := inBrowser(t)
	w.apply(map[int64]string{1: "Anna", 2: "Bohdan"})
	w.openTasks(700)
	do(ctx, t, "open", chromedp.Navigate(w.base+"/console/settings"), chromedp.WaitVisible(chromedp.CSS(".save")))
	evaluate[string](ctx, t, `document.querySelector("[name=shown_roles][value='3']").checked = true; ""`)
	do(ctx, t, "save", chromedp.Click(chromedp.CSS(".save button")), chromedp.WaitVisible(chromedp.CSS("#counted")))
	evaluate[string](ctx, t, `document.querySelector(".buttons a").focus(); ""`)
	do(ctx, t, "wait", chromedp.WaitVisible(chromedp.CSS("form[action$='/settings/apply']")))
	if text := evaluate[string](ctx, t, `document.querySelector("main").innerText`); !strings.Contains(text, "700 events of 1 person are made") {
		t.Errorf("the plan is %s", text)
	}
}
