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
	"github.com/erp-calendar/erp-calendar/shared/signin"
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
	if err := w.store.SaveSettingsCount(w.t.Context(), signin.Hash("100"), store.SettingsCount{For: string(text), Version: 1, Progress: string(progress)}); err != nil {
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

// TestTwoAdminsCountApart: what one of them proposed is never the page of the other.
func TestTwoAdminsCountApart(t *testing.T) {
	w := newWorld(t)
	w.apply(map[int64]string{1: "Anna", 2: "Bohdan"})
	w.openTasks(700)
	browser := w.signedIn()
	form := browser.form(browser.get("/settings").body)
	form["shown_roles"] = append(form["shown_roles"], "3")
	p := browser.post("/settings", form)
	wantIn(t, p.body, "data-until")
	if err := w.store.SaveSettingsCount(t.Context(), signin.Hash("another"), store.SettingsCount{For: "{}", Version: 1, Progress: "{}"}); err != nil {
		t.Fatal(err)
	}
	for n := 0; strings.Contains(p.body, "data-until") && n < 20; n++ {
		p = browser.get("/settings/plan")
	}
	wantIn(t, p.body, "700 events of 1 person are made")
}

// TestACountThatIsOverSaysSo: a page that was left open longer than a count lasts leads to the
// settings, and says that nothing was changed.
func TestACountThatIsOverSaysSo(t *testing.T) {
	w := newWorld(t)
	w.counts()
	browser := w.signedIn()
	wantIn(t, browser.get("/settings/plan").body, "data-until")
	w.wait(11 * time.Minute)
	wantIn(t, browser.get("/settings/plan").body, "The plan has to be counted anew.", "Nothing was changed")
}
