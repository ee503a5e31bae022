package console_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func (w *world) did(id, action string, task, employee int64) {
	w.t.Helper()
	w.wait(time.Second)
	if err := w.store.RecordAction(w.t.Context(), store.ActivityRecord{ID: id, At: w.clock(), Action: action, Task: task, Employee: employee, Cause: "notify", Result: "done"}); err != nil {
		w.t.Fatal(err)
	}
}

// Thirty days can be searched: by task, person and kind, page by page, each entry once.
func TestActivityIsFilteredAndPaged(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.employee(7, func(e *store.EmployeeRecord) { e.Name = "Olena Kovalenko" }, nil)
	for n := range 120 {
		w.did(fmt.Sprintf("a%03d", n), "event.update", int64(1000+n), 8)
	}
	w.did("b", "calendar.create", 0, 7)
	next := regexp.MustCompile(`href="/console(/activity\?[^"]*)" rel="next"`)
	seen, path := map[string]int{}, "/activity?kind=events"
	for pages := 0; path != ""; pages++ {
		if pages == 5 {
			t.Fatal("the pages do not end")
		}
		body := b.get(path).body
		for _, m := range regexp.MustCompile(`>Task (\d+)<`).FindAllStringSubmatch(body, -1) {
			seen[m[1]]++
		}
		path = ""
		if m := next.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 120 {
		t.Errorf("%d tasks were shown, want 120", len(seen))
	}
	for task, n := range seen {
		if n != 1 {
			t.Errorf("task %s is shown %d times", task, n)
		}
	}
	for _, row := range []struct{ query, want, not string }{
		{"q=1003", "Task 1003", "Task 1004"},
		{"q=kovalenko", "Calendar made", "Task 1003"},
		{"kind=calendars", "Olena Kovalenko", "Task 1003"},
		{"kind=admin", "Nothing of the kind.", "Task 1003"},
	} {
		if body := b.get("/activity?" + row.query).body; !strings.Contains(body, row.want) || strings.Contains(body, row.not) {
			t.Errorf("%s: lacks %q or shows %q", row.query, row.want, row.not)
		}
	}
}

// The table for a spreadsheet has what the filter shows, and runs no formula.
func TestActivityAsATable(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	w.did("a", "event.insert", 1000, 7)
	w.did("b", "=HYPERLINK(1)", 1001, 7)
	w.did("c", "event.delete", 1002, 8)
	p := b.get("/activity.csv?q=7")
	rows, err := csv.NewReader(strings.NewReader(p.body)).ReadAll()
	if err != nil || p.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(p.header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%v: %v", p.header, err)
	}
	if len(rows) != 3 || rows[1][1] != "'=HYPERLINK(1)" || rows[2][1] != "event.insert" || rows[2][2] != "1000" {
		t.Errorf("%q", rows)
	}
}

// What admins do is kept, with who did it; what was refused is not.
func TestWhatAdminsDoIsRecorded(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.holdEmployee(42, "Olena", "dismissed", 3)
	b.post("/employees/42/sync", nil)
	form, _ := b.review(t, url.Values{"key": {"employees/42"}})
	b.post("/held/confirm", url.Values{"key": {"employees/42"}, "hash": {"wrong"}})
	b.post("/held/confirm", form)
	b.post("/run", url.Values{"csrf": {"wrong"}})
	body := b.get("/activity?kind=admin").body
	for _, want := range []string{"Sync of a person asked for", "Held deletions confirmed", admin, "1 calendar</span>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(body, admin+"</span></td>"); n != 2 {
		t.Errorf("%d actions are shown, want the two that were done", n)
	}
}

// Every action of an admin has its name in every language.
func TestEveryActionHasAName(t *testing.T) {
	source, err := os.ReadFile("handler.go")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`"POST /([^"]+)", h\.action\(`).FindAllStringSubmatch(string(source), -1)
	if len(routes) < 10 {
		t.Fatalf("%d actions found", len(routes))
	}
	for _, m := range routes {
		key := "action.admin." + strings.ReplaceAll(strings.ReplaceAll(m[1], "/{id}", ""), "/", "-")
		if slices.Contains([]string{"held/review", "settings/edit", "settings/restore", "setup", "connections/test", "connections/doctor"}, m[1]) {
			continue // shows a page, and does nothing
		}
		for _, l := range i18n.Languages() {
			if !texts.For(l).Has(key) {
				t.Errorf("%s lacks %s", l, key)
			}
		}
	}
}

// An action that did nothing is not recorded; one that was decided is, although the queue did
// not answer, and the page does not say that nothing was started.
func TestWhatIsRecordedIsWhatWasDone(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.holdEmployee(42, "Olena", "dismissed", 3)
	b.post("/employees/sync", nil)
	b.post("/employees/invite", url.Values{"employee": {"42"}})
	b.post("/failures/retry", url.Values{"cause": {"none"}})
	form, _ := b.review(t, url.Values{"key": {"employees/42"}})
	w.sent.err = errDown
	p := b.post("/held/confirm", form)
	if p.status != http.StatusServiceUnavailable || !strings.Contains(p.body, "What you decided is kept.") {
		t.Errorf("the queue is down: %d: %s", p.status, p.body)
	}
	body := b.get("/activity?kind=admin").body
	if n := strings.Count(body, admin+"</span></td>"); n != 1 || !strings.Contains(body, "Held deletions confirmed") {
		t.Errorf("%d actions are shown, want the one that was done", n)
	}
}
