package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// shownPage is a page that everybody has to be able to use.
type shownPage struct {
	name, path string
	// set prepares the world; nil is that of populate.
	set func(w *world)
}

// shownPages are all pages, in the states that look different: whoever makes a page adds it.
func shownPages() []shownPage {
	return []shownPage{
		{"overview", "/", nil},
		{"overview-first", "/", func(*world) {}},
		{"overview-down", "/", (*world).down},
		{"overview-alarms", "/", (*world).outOfReach},
		{"overview-found", "/", func(w *world) { w.found(twoInstallations()) }},
		{"overview-rows", "/", func(w *world) { w.found(store.FoundRecord{Account: "200", Dead: 5}) }},
		{"person-replace", "/employees/42/replace", (*world).outOfReach},
		{"person-outside", "/employees/42", (*world).outsider},
		{"connections-refused", "/connections", (*world).refused},
		{"failures-causes", "/failures", (*world).fails},
		{"people", "/employees", nil},
		{"people-counted", "/employees?state=error", nil},
		{"failures-counted", "/failures?state=gave-up", nil},
		{"person", "/employees/42?asked=1795341800", explainedWorld},
		{"person-compared", "/employees/42?erp=now", explainedWorld},
		{"person-none", "/employees/48", nil},
		{"task", "/tasks/1114", explainedWorld},
		{"task-missing", "/tasks/99", explainedWorld},
		{"task-find", "/tasks?id=x", nil},
		{"people-first", "/employees?q=nobody", nil},
		{"settings", "/settings", nil},
		{"settings-first", "/settings", func(*world) {}},
		{"settings-blind", "/settings", func(w *world) { w.erp.err = errDown }},
		{"settings-faults", "/settings", (*world).runs},
		{"settings-preview", "/settings", (*world).runs},
		{"settings-plan", "/settings", (*world).runs},
		{"settings-unsure", "/settings", (*world).runs},
		{"settings-counting", "/settings/plan", (*world).counts},
		{"setup-first", "/setup", func(*world) {}},
		{"setup-ready", "/setup", func(w *world) { w.connectAccount(); w.chosen() }},
		{"setup-blind", "/setup", func(w *world) { w.erp.err = errDown }},
		{"settings-history", "/settings/history", (*world).ran},
		{"purge", "/purge", nil},
		{"takeover", "/takeover", func(w *world) { w.found(twoInstallations()) }},
		{"takeover-rows", "/takeover", func(w *world) { w.found(store.FoundRecord{Account: "200", Dead: 5}) }},
		{"takeover-blank", "/takeover", func(w *world) {
			w.found(store.FoundRecord{Account: "200", Blank: []string{"a", "b", "c"}, Dead: 1})
		}},
		{"held", "/held", nil},
		{"held-none", "/held", func(*world) {}},
		{"failures", "/failures", nil},
		{"activity", "/activity", nil},
		{"connections", "/connections", nil},
		{"connections-doctor", "/connections", (*world).runs},
		{"figures", "/figures", (*world).busy},
		{"figures-first", "/figures", func(*world) {}},
		{"message", "/nowhere", nil},
	}
}

// TestEverybodyCanUseEveryPage shows each page at a desktop's and a phone's width, light and
// dark, in every language: axe finds no fault against WCAG 2.2 AA, nothing is wider than the
// screen, and the text is in the language that was chosen. With SCREENSHOTS it keeps pictures.
func TestEverybodyCanUseEveryPage(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	profile := testenv.Profiles(t)
	for _, p := range shownPages() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ctx, w := profile(t), newServedWorld(t)
			if p.set == nil {
				w.populate()
			} else {
				p.set(w)
			}
			do(ctx, t, "sign in", chromedp.Navigate(w.base+"/console/"), chromedp.WaitVisible(chromedp.CSS("main h1")))
			faults := map[string][]string{}
			for _, lang := range i18n.Languages() {
				evaluate[int](ctx, t, fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams({to: %q})}).then((r) => r.status)`, w.base+"/console/language", lang))
				do(ctx, t, lang, chromedp.Navigate(w.base+"/console"+p.path), chromedp.WaitVisible(chromedp.CSS(`html[lang="`+lang+`"] main`)))
				evaluate[string](ctx, t, typedInto()[p.name]+`;""`)
				for _, step := range pressed()[p.name] {
					do(ctx, t, "press", chromedp.Click(chromedp.CSS(step[0])), chromedp.WaitVisible(chromedp.CSS(step[1])))
				}
				evaluate[string](ctx, t, string(axe)+`;""`) // once a document: it is far larger than any page
				for _, width := range []int64{testenv.Desktop, testenv.Phone} {
					for _, theme := range []string{"light", "dark"} {
						do(ctx, t, theme, inTheme(theme))
						testenv.Screenshot(ctx, t, p.name+"-"+lang+"-"+theme, width)
						for _, found := range findings(ctx, t) {
							faults[found] = append(faults[found], fmt.Sprintf("%s %s %d", lang, theme, width))
						}
					}
				}
			}
			for found, where := range faults {
				t.Errorf("%s: %s", strings.Join(where, ", "), found)
			}
		})
	}
}

// typedInto is what is typed on a page before a button is pressed, as a script.
func typedInto() map[string]string {
	const set = `const put = (name, value) => { document.querySelector("[name=" + name + "]").value = value; };
document.querySelectorAll("[name=shown_roles][type=checkbox]").forEach((box) => { box.checked = box.value === "1"; });
`
	plan := set + `put("binding_field", "7"); put("calendar_id_field", "8"); put("calendar_name", "Tasks of {{.Employee.Name}}"); put("event_title", "{{.Task.ID}}")`
	return map[string]string{
		"settings-faults": set + `put("backfill_hours", "99999"); put("event_title", "{{.Task.Nope}}"); put("time_zone", "Kyiv")`,
		"settings-plan":   plan, "settings-unsure": plan,
	}
}

// pressed are the buttons to press on a page, each with what then is to be seen.
func pressed() map[string][][2]string {
	save, plan := ".save button", "form[action$='/settings/apply']"
	return map[string][][2]string{
		"settings-faults":    {{save, "#faults"}},
		"connections-doctor": {{"form[action$='/connections/doctor'] button", ".findings"}},
		"settings-preview":   {{".save [name=preview]", ".phone"}},
		"settings-plan":      {{save, plan}},
		"settings-unsure":    {{save, plan}, {plan + " .button", "#faults"}},
	}
}

// inBrowser gives a world with a server, and a browser that has not been there yet.
func inBrowser(t *testing.T) (context.Context, *world) {
	t.Helper()
	return testenv.Browser(t), newServedWorld(t)
}

// newServedWorld makes a world with a server.
func newServedWorld(t *testing.T) *world {
	t.Helper()
	var w *world
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w = newWorldAt(t, server.URL)
	return w
}

// do has the browser do something.
func do(ctx context.Context, t *testing.T, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// evaluate runs a script in the page, and waits for what it promises.
func evaluate[T any](ctx context.Context, t *testing.T, script string) T {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.60s: %v", script, err)
	}
	return got
}

// inTheme shows pages as to somebody who prefers light or dark.
func inTheme(theme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	})
}

// findings are what axe, which the document has loaded, finds on the page shown: the rule,
// what is wrong, and where.
func findings(ctx context.Context, t *testing.T) []string {
	t.Helper()
	report := evaluate[string](ctx, t, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], rules: {"label-content-name-mismatch": {enabled: true}}, resultTypes: ["violations"]})
  .then((r) => JSON.stringify(r.violations.map((v) => ({rule: v.id, help: v.help, where: v.nodes.map((n) => n.html)}))))`)
	var violations []struct {
		Rule, Help string
		Where      []string
	}
	if err := json.Unmarshal([]byte(report), &violations); err != nil {
		t.Fatalf("axe: %v: %.200s", err, report)
	}
	var out []string
	for _, v := range violations {
		out = append(out, fmt.Sprintf("%s: %s\n\t%s", v.Rule, v.Help, strings.Join(v.Where[:min(3, len(v.Where))], "\n\t")))
	}
	if twice := evaluate[string](ctx, t, namesakes); twice != "" {
		out = append(out, "the same name for different things: "+twice)
	}
	if crowded := evaluate[string](ctx, t, crowded); crowded != "" {
		out = append(out, "wider than its place: "+crowded)
	}
	return out
}

// namesakes lists, in a browser, what a list of a page's links or buttons would show more than
// once for different places: nine links were all named "Open".
const namesakes = `(() => {
  const name = (e) => (e.getAttribute("aria-label") || e.textContent).replace(/\s+/g, " ").trim();
  const to = new Map();
  const note = (key, where) => to.set(key, (to.get(key) ?? new Set()).add(where));
  for (const a of document.querySelectorAll("a[href]")) if (a.checkVisibility()) note("link " + name(a), a.href.replace(/#.*/, ""));
  for (const b of document.querySelectorAll("form button")) {
    if (!b.checkVisibility() || b.type === "button") continue;
    const fields = [...b.form.elements].filter((e) => e.type === "hidden" && !["csrf", "back"].includes(e.name)).map((e) => e.name + e.value).join();
    note("button " + name(b), (b.formAction || b.form.action) + b.name + b.value + fields);
  }
  return [...to].filter(([, where]) => where.size > 1).map(([key]) => key).join("; ");
})()`

// crowded lists, in a browser, texts that reach out of their place, into what stands beside them,
// and choices that do not fit into their field: on a phone, "Задержанные удаления" ran into its
// number, and "Собственный цвет кал" was what every colour showed.
const crowded = `(() => { return [...document.querySelectorAll("main :is(dt, dd, th, td, li, p, h1, h2, h3, label, button, .button, .chip, .mark)")]
  .filter((e) => e.checkVisibility() && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && !e.closest(".unseen, .chart, svg") && getComputedStyle(e).overflowX === "visible" && !e.querySelector(".unseen, .chart"))
  .map((e) => e.textContent.replace(/\s+/g, " ").trim().slice(0, 60))
  .concat([...document.querySelectorAll("main select")].filter((e) => e.checkVisibility() && chosenWidth(e) > e.offsetWidth + 1).map((e) => e.selectedOptions[0].label)).join("; ");
function chosenWidth(select) {
  const alone = select.cloneNode(false);
  alone.append(select.selectedOptions[0].cloneNode(true));
  Object.assign(alone.style, {position: "absolute", width: "auto", maxWidth: "none"});
  select.after(alone);
  const width = alone.offsetWidth;
  alone.remove();
  return width;
} })()`

// down is a company whose ERP has answered 503 for three quarters of an hour.
func (w *world) down() {
	w.runs()
	w.connectAccount()
	w.polled(store.PollResult{Clock: &store.ClockResult{}})
	w.erp.err = &failure.Error{Kind: failure.Source, Status: http.StatusServiceUnavailable, Op: "read the ERP's clock", Detail: "the ERP answered with status 503"}
	w.polled(store.PollResult{ERP: w.erp.err})
	w.wait(45 * time.Minute)
	w.polled(store.PollResult{ERP: w.erp.err})
}

// refused is one whose Calendar API is off.
func (w *world) refused() {
	w.runs()
	w.connectAccount()
	if err := w.store.RaiseIncident(w.t.Context(), "200", store.Refusal{At: store.AtAPI, Status: http.StatusForbidden, Reason: "accessNotConfigured"}); err != nil {
		w.t.Fatal(err)
	}
}

// outOfReach is one whose client reaches its calendars no more, in which much else is wrong.
func (w *world) outOfReach() {
	w.populate()
	w.works()
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Reason, e.Calendar.GoneSince = string(calendarsync.ReasonCalendarUnreachable), w.clock()
	}, nil)
	n := 12
	w.polled(store.PollResult{Clock: &store.ClockResult{}, Unreached: &n, RunMissed: true,
		SameAddress: &[]store.SharedAddress{{Employees: []int64{42, 43}}}, Unreadable: &[]string{"task 77: date.todo"}})
	w.wait(10 * time.Minute)
}

// outsider is one in which somebody has a calendar and an address outside the account's domain.
func (w *world) outsider() {
	w.populate()
	w.works()
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Address, e.Calendar.RuleID, e.Calendar.SharedAt, e.Calendar.Filled = "olena@gmail.com", "user:olena", w.clock(), w.clock()
	}, nil)
}

// fails is one in which tasks and employees fail for several causes.
func (w *world) fails() {
	w.runs()
	for id := int64(301); id <= 307; id++ {
		w.failTask(id, []int64{1}, &failure.Error{Kind: failure.SourceInvalid, Op: "read task", Detail: "the ERP gave a date that cannot be read"})
	}
	w.failTask(400, []int64{3}, &failure.Error{Kind: failure.Invalid, Status: http.StatusBadRequest, Reason: "invalid", Op: "insert the event of task 400", Detail: "Invalid start time"})
	w.failTask(402, []int64{3}, &failure.Error{Kind: failure.RateLimited, Status: http.StatusForbidden, Reason: "rateLimitExceeded", Op: "insert the event of task 402"})
	w.employee(5, func(*store.EmployeeRecord) {}, &failure.Error{Kind: failure.Forbidden, Status: http.StatusForbidden, Reason: "domainPolicy", Op: "share the calendar of employee 5"})
	if err := w.store.RecordDeadLetter(w.t.Context(), store.EmployeeKey(9), "notify", 100); err != nil {
		w.t.Fatal(err)
	}
}

// TestWhatIsFoundOnAPageIsFound: faults that pages once had are put on one, and told.
func TestWhatIsFoundOnAPageIsFound(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, w := inBrowser(t)
	do(ctx, t, "open", chromedp.Navigate(w.base+"/console/"), chromedp.WaitVisible(chromedp.CSS("main h1")))
	evaluate[string](ctx, t, string(axe)+`;""`)
	if found := findings(ctx, t); len(found) > 0 {
		t.Fatalf("before: %v", found)
	}
	evaluate[string](ctx, t, `document.querySelector("main").insertAdjacentHTML("beforeend", '<a href="/a">Open</a> <a href="/b">Open</a> <button aria-label="Look at Olena now">Sync now</button><p id="narrow">Overwhelming</p>'); document.getElementById("narrow").style.width = "3rem"; ""`)
	found := strings.Join(findings(ctx, t), "\n")
	for _, want := range []string{"the same name for different things: link Open", "label-content-name-mismatch", "wider than its place: Overwhelming"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q is not found: %s", want, found)
		}
	}
}
