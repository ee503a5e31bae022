package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// covered says what has the focus and cannot be seen: it is out of the window, or something else
// lies over it. "" where all is well or nothing has it.
const covered = `(() => {
  const at = document.activeElement;
  if (!at || at === document.body) return "";
  const name = () => (at.name || at.id || at.textContent || at.tagName).trim().slice(0, 60);
  const r = at.getClientRects()[0] ?? at.getBoundingClientRect(); // a link may go over two lines
  if (r.width === 0 || r.height === 0) return "without a size: " + name();
  const x = Math.min(innerWidth - 1, Math.max(0, r.left + Math.min(r.width / 2, 40)));
  const y = r.top + Math.min(r.height / 2, 12);
  if (y < 0 || y > innerHeight) return "out of the window: " + name();
  const there = document.elementFromPoint(x, y);
  return there && (at.contains(there) || there.contains(at) || there.closest("label")?.contains(at)) ? "" : "under " + (there?.className || there?.tagName) + ": " + name();
})()`

// tabTo presses Tab until what has the focus matches a selector.
func tabTo(ctx context.Context, t *testing.T, selector string) {
	t.Helper()
	for range 150 {
		do(ctx, t, "tab", chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](ctx, t, `document.activeElement.matches(`+"`"+selector+"`"+`)`) {
			return
		}
	}
	t.Fatalf("the keyboard does not reach %s", selector)
}

// TestTheFocusIsNeverCovered: whoever goes through a page by keyboard sees where they are, at both
// widths, forwards and backwards.
func TestTheFocusIsNeverCovered(t *testing.T) {
	ctx, w := inBrowser(t)
	explainedWorld(w)
	for _, path := range []string{"/", "/employees", "/employees/42", "/tasks/1114", "/held", "/failures", "/activity", "/connections", "/setup", "/settings/history", "/purge"} {
		for _, width := range []int64{testenv.Desktop, testenv.Phone} {
			do(ctx, t, "open", chromedp.EmulateViewport(width, 700), chromedp.Navigate(w.base+"/console"+path), chromedp.WaitVisible(chromedp.CSS("main h1")))
			seen := map[string]bool{}
			for n := range 45 {
				key := kb.Tab
				step := chromedp.KeyEvent(key)
				if n >= 35 {
					step = chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))
				}
				do(ctx, t, "tab", step)
				if at := evaluate[string](ctx, t, covered); at != "" && !seen[at] {
					seen[at] = true
					t.Errorf("%s at %d: %s", path, width, at)
				}
			}
		}
	}
}

// TestSetupByKeyboard: from the first step to the plan that is applied, without a mouse.
func TestSetupByKeyboard(t *testing.T) {
	ctx, w := inBrowser(t)
	open := func(path, wait string) {
		t.Helper()
		do(ctx, t, "open "+path, chromedp.Navigate(w.base+"/console"+path), chromedp.WaitVisible(chromedp.CSS(wait)))
	}
	press := func(wait string) {
		t.Helper()
		do(ctx, t, "press", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(wait)))
		if at := evaluate[string](ctx, t, covered); at != "" {
			t.Errorf("after it the focus is %s", at)
		}
	}
	open("/setup", "ol.steps")
	tabTo(ctx, t, `.step a[href$="/connect"]`)
	press("#flash")
	open("/setup", "ol.steps")
	tabTo(ctx, t, `.step a[href$="/settings#people"]`)
	press(".save")
	if at := evaluate[string](ctx, t, `location.hash`); at != "#people" {
		t.Errorf("the step leads to %q", at)
	}
	tabTo(ctx, t, `[name=binding_field]`)
	do(ctx, t, "choose", chromedp.KeyEvent("Field 7"))
	if got := evaluate[string](ctx, t, `document.activeElement.value`); got != "7" {
		t.Fatalf("the keyboard chose %q", got)
	}
	tabTo(ctx, t, `.save button`)
	press("form[action$='/settings/apply']")
	tabTo(ctx, t, `form[action$='/settings/apply'] button[name=later]`)
	press("#flash")
	if s := w.saved().Settings; s.Confirmed || s.BindingField != 7 || len(w.sent.all("employee-changes")) == 0 {
		t.Errorf("saved for later: %+v", s)
	}
	open("/setup", "ol.steps")
	tabTo(ctx, t, `form[action$='/setup'] button`)
	press("form[action$='/settings/apply']")
	tabTo(ctx, t, `form[action$='/settings/apply'] .button:not(.second)`)
	press("#flash")
	if !w.saved().Settings.Confirmed {
		t.Error("what was applied by keyboard is not in force")
	}
}

// TestHeldByKeyboard: nothing ticked leads to what is wrong; what was ticked goes after the page
// that names it.
func TestHeldByKeyboard(t *testing.T) {
	ctx, w := inBrowser(t)
	w.populate()
	do(ctx, t, "open", chromedp.Navigate(w.base+"/console/held"), chromedp.WaitVisible(chromedp.CSS(".held-rows")))
	tabTo(ctx, t, `form[action$='/held/review'] .button:not(.second)`)
	do(ctx, t, "nothing", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#fault")))
	if at := evaluate[string](ctx, t, `document.activeElement.id`); at != "fault" {
		t.Errorf("after deciding about nothing the focus is at %q", at)
	}
	tabTo(ctx, t, `[name=key][value="tasks/1014"]`)
	do(ctx, t, "tick", chromedp.KeyEvent(" "))
	if at := evaluate[string](ctx, t, covered); at != "" {
		t.Errorf("the box ticked is %s", at)
	}
	tabTo(ctx, t, `form[action$='/held/review'] .button:not(.second)`)
	do(ctx, t, "review", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("form[action$='/held/confirm']")))
	if text := evaluate[string](ctx, t, `document.querySelector("main").innerText`); !strings.Contains(text, "5 Shevchenko Street") || strings.Contains(text, "Oksana") {
		t.Errorf("the page that names what goes says %s", text)
	}
	tabTo(ctx, t, `form[action$='/held/confirm'] button`)
	do(ctx, t, "delete", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#flash")))
	if m := w.sent.all("task-changes"); len(m) != 1 || m[0].IDs[0] != 1014 {
		t.Errorf("published %+v", m)
	}
}

// refreshed has an open page bring itself up to date now.
func refreshed(ctx context.Context, t *testing.T, until string) {
	t.Helper()
	evaluate[string](ctx, t, `document.dispatchEvent(new Event("visibilitychange")); ""`)
	do(ctx, t, "refresh", chromedp.WaitVisible(chromedp.CSS(until)))
}

// TestNothingIsReplacedUnderAReader: while somebody reads a table, has ticked a box, typed a word,
// opened details or stands on a link, the page refreshes around them: every table and form is the
// very same, and the focus stays.
func TestNothingIsReplacedUnderAReader(t *testing.T) {
	ctx, w := inBrowser(t)
	explainedWorld(w)
	w.polled(store.PollResult{ERP: &failure.Error{Kind: failure.Source, Op: "read the ERP's clock", Detail: "no answer"}})
	const mark = `document.querySelectorAll("table, form, tr, [data-row], main details").forEach((e) => { e.dataset.mine = "1"; }); ""`
	const lost = `(() => {
  const now = [...document.querySelectorAll("table, form, tr, [data-row]")];
  return now.filter((e) => !e.dataset.mine).map((e) => e.tagName + " " + e.textContent.trim().slice(0, 40)).join("; ");
})()`
	for _, page := range []struct{ path, act, holds string }{
		{"/", `const a = document.querySelector('.tiles a'); a.focus(); ""`, `document.activeElement.matches(".tiles a")`},
		{"/", `const d = document.querySelector('#verdict details'); d.open = true; d.querySelector('summary').focus(); ""`, `document.activeElement.matches("summary") && document.querySelector('#verdict details').open`},
		{"/employees", `const b = document.querySelector('[name=employee]'); b.checked = true; b.focus(); ""`, `document.querySelector('[name=employee]').checked && document.activeElement.name === "employee"`},
		{"/employees/42?asked=1795341800", `document.querySelector('.crumb a').focus(); ""`, `document.activeElement.matches(".crumb a")`},
		{"/held", `document.querySelector('[name=key]').checked = true; document.querySelector('[name=key]').focus(); ""`, `document.querySelector('[name=key]').checked && document.activeElement.name === "key"`},
		{"/failures", `document.querySelector('main li button').focus(); ""`, `document.activeElement.matches("main li button")`},
		{"/activity", `const q = document.querySelector('[name=q]'); q.value = "half a wor"; q.focus(); ""`, `document.activeElement.value === "half a wor"`},
		{"/connections", `document.querySelector('#report').focus(); ""`, `document.activeElement.id === "report"`},
		{"/settings", `const f = document.querySelector('[name=event_title]'); f.value = "half"; f.focus(); ""`, `document.activeElement.value === "half"`},
	} {
		do(ctx, t, "open", chromedp.Navigate(w.base+"/console"+page.path), chromedp.WaitVisible(chromedp.CSS("main h1")))
		evaluate[string](ctx, t, mark)
		evaluate[string](ctx, t, page.act)
		w.failTask(500, []int64{43}, &failure.Error{Kind: failure.SourceInvalid, Op: "read task", Detail: "another one"})
		w.write(901, 42)
		// The refresh is over once its answer was taken in, or the page has none.
		evaluate[string](ctx, t, `(async () => { document.dispatchEvent(new Event("visibilitychange")); await new Promise((r) => setTimeout(r, 400)); return ""; })()`)
		if gone := evaluate[string](ctx, t, lost); gone != "" {
			t.Errorf("%s: replaced under the reader: %s", page.path, gone)
		}
		if !evaluate[bool](ctx, t, page.holds) {
			t.Errorf("%s: what was typed, ticked, open or focused is gone; the focus is at %s", page.path, evaluate[string](ctx, t, `document.activeElement.outerHTML.slice(0, 120)`))
		}
	}
}

// TestNewAlarmsAreSaidOnceInOnePoliteRegion: each page has one such region; what is wrong already
// when it is opened is read and not said, what comes is said once, and again once it was over.
func TestNewAlarmsAreSaidOnceInOnePoliteRegion(t *testing.T) {
	ctx, w := inBrowser(t)
	w.apply(map[int64]string{1: "Anna"})
	w.connectAccount()
	down := &failure.Error{Kind: failure.Source, Status: http.StatusServiceUnavailable, Op: "read the ERP's clock"}
	w.polled(store.PollResult{ERP: down})
	for _, path := range []string{"/", "/employees", "/employees/1", "/held", "/failures", "/activity", "/connections", "/settings", "/setup", "/figures", "/tasks", "/purge"} {
		do(ctx, t, "open", chromedp.Navigate(w.base+"/console"+path), chromedp.WaitVisible(chromedp.CSS("main h1")))
		if n := evaluate[int](ctx, t, `document.querySelectorAll('[aria-live]').length`); n != 1 || !evaluate[bool](ctx, t, `document.querySelector('[aria-live]').getAttribute("aria-live") === "polite"`) {
			t.Errorf("%s has %d live regions", path, n)
		}
	}
	do(ctx, t, "overview", chromedp.Navigate(w.base+"/console/"), chromedp.WaitVisible(chromedp.CSS(`[data-alarm="erp-unread"]`)))
	// said counts how often something is said from now on.
	evaluate[string](ctx, t, `window.said = []; new MutationObserver(() => { const s = document.getElementById("live").textContent; if (s) window.said.push(s); }).observe(document.getElementById("live"), { childList: true, characterData: true, subtree: true }); ""`)
	said := func() string { t.Helper(); return evaluate[string](ctx, t, `window.said.join(" | ")`) }
	w.holdTask(1014, "Repair", "2026-12-01T07:30:00Z", "missing", 1)
	refreshed(ctx, t, `[data-alarm="deletions-held"]`)
	if got := said(); got != "1 deletion is held." {
		t.Errorf("said %q", got)
	}
	evaluate[string](ctx, t, `(async () => { document.dispatchEvent(new Event("visibilitychange")); await new Promise((r) => setTimeout(r, 300)); return ""; })()`)
	if got := said(); got != "1 deletion is held." {
		t.Errorf("said again: %q", got)
	}
	w.polled(store.PollResult{Clock: &store.ClockResult{}})
	evaluate[string](ctx, t, `(async () => { document.dispatchEvent(new Event("visibilitychange")); await new Promise((r) => setTimeout(r, 300)); return ""; })()`)
	w.polled(store.PollResult{ERP: down})
	refreshed(ctx, t, `[data-alarm="erp-unread"]`)
	if got := said(); got != "1 deletion is held. | The ERP cannot be read." {
		t.Errorf("after it came back: %q", got)
	}
}
