package console_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// uncovered says, in a browser, what has the focus, and whether the bar that sticks to the
// bottom covers any of it.
const uncovered = `(() => {
  const at = document.activeElement, bar = document.querySelector(".save");
  if (!bar || at === document.body || bar.contains(at)) return "";
  const a = at.getBoundingClientRect(), b = bar.getBoundingClientRect();
  const below = Math.min(a.bottom, innerHeight) > b.top + 1 && a.top < b.bottom;
  const away = a.bottom < 0 || a.top > innerHeight;
  return below || away ? (at.name || at.id || at.textContent).trim() : "";
})()`

// TestSettingsByKeyboard: whoever tabs through the form sees each field, never under the bar; a
// refused save leads to the summary of its faults, and that to the field; a plan is applied
// without a mouse.
func TestSettingsByKeyboard(t *testing.T) {
	ctx, w := inBrowser(t)
	w.runs()
	press := func(what, key string) {
		t.Helper()
		do(ctx, t, what, chromedp.KeyEvent(key))
	}
	for _, width := range []int64{testenv.Desktop, testenv.Phone} {
		do(ctx, t, "open", chromedp.EmulateViewport(width, 900), chromedp.Navigate(w.base+"/console/settings"), chromedp.WaitVisible(chromedp.CSS(".save")))
		seen := map[string]bool{}
		for range 90 {
			press("tab", kb.Tab)
			if hidden := evaluate[string](ctx, t, uncovered); hidden != "" {
				t.Errorf("at a width of %d the bar covers %s", width, hidden)
			}
			seen[evaluate[string](ctx, t, `document.activeElement.name || ""`)] = true
		}
		for _, name := range []string{"enabled", "binding_field", "shown_roles", "time_zone", "event_title", "delete_guard_percent", "preview"} {
			if !seen[name] {
				t.Errorf("at a width of %d the keyboard does not reach %s", width, name)
			}
		}
	}
	evaluate[string](ctx, t, `document.querySelector("[name=backfill_hours]").value = "99999"; document.querySelector("[name=binding_field]").value = "7"; document.querySelector("[name=backfill_hours]").focus(); ""`)
	press("save", kb.Enter)
	do(ctx, t, "wait", chromedp.WaitVisible(chromedp.CSS("#faults")))
	if at := evaluate[string](ctx, t, `document.activeElement.id`); at != "faults" {
		t.Errorf("after a refused save the focus is at %q", at)
	}
	press("tab", kb.Tab)
	press("follow", kb.Enter)
	if at := evaluate[string](ctx, t, `location.hash`); at != "#field-backfill_hours" {
		t.Errorf("the fault leads to %q", at)
	}
	press("tab", kb.Tab)
	if at := evaluate[string](ctx, t, `document.activeElement.name`); at != "backfill_hours" {
		t.Errorf("behind the link the keyboard is at %q", at)
	}
	evaluate[string](ctx, t, `document.activeElement.value = "24"; ""`)
	press("save", kb.Enter)
	do(ctx, t, "wait", chromedp.WaitVisible(chromedp.CSS("form[action$='/settings/apply']")))
	evaluate[string](ctx, t, `document.querySelector("form[action$='/settings/apply'] .button").focus(); ""`)
	press("apply", kb.Enter)
	do(ctx, t, "wait", chromedp.WaitVisible(chromedp.CSS("#flash")))
	if w.saved().Settings.BindingField != 7 {
		t.Error("what was applied by keyboard is not saved")
	}
}

// TestAFieldIsInsertedWhereTheCursorIs: the buttons below a text write into it.
func TestAFieldIsInsertedWhereTheCursorIs(t *testing.T) {
	ctx, w := inBrowser(t)
	do(ctx, t, "open", chromedp.Navigate(w.base+"/console/settings"), chromedp.WaitVisible(chromedp.CSS(".save")))
	evaluate[string](ctx, t, `const title = document.getElementById("f-event_title"); title.value = "No. "; title.setSelectionRange(4, 4); ""`)
	do(ctx, t, "insert", chromedp.Click(chromedp.CSS(`#field-event_title [data-insert="{{.Task.ID}}"]`)))
	if got := evaluate[string](ctx, t, `document.getElementById("f-event_title").value`); got != "No. {{.Task.ID}}" {
		t.Errorf("the text is %q", got)
	}
}
