package console_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/memory"
)

var (
	tileLink = regexp.MustCompile(`<a href="/console([^"]*)"><span class="tile-label">([^<]*)</span> <span class="tile-value">([^<]*)<`)
	// listed are the rows of lists: of employees, of what is held, of what fails.
	listed    = regexp.MustCompile(`<tr id="employee-|name="key" value="[^"]*" id="|<a href="/console/(?:tasks|employees)/\d+">[^<]*</a></strong>\s*<span class="soft">(?:Given up\. )?\d* ?(?:tr|last)`)
	hereCount = regexp.MustCompile(`aria-current="true">[^<]*<span class="count">([^<]*)<`)
)

// TestEveryCountListsWhatItCounts: a number of the overview, on a tile or in a notice, leads to a
// list of exactly those, and not to one that holds others too.
func TestEveryCountListsWhatItCounts(t *testing.T) {
	w := newWorld(t)
	w.works()
	w.populate()
	// Beside the seven of populate: a second with an error, one whose pass fails without one, one
	// being deleted, and one whose address nobody could share with, which needs attention without
	// an error. Of the tasks one is dismissed, and an employee gave up.
	at := func(id int64, state store.EmployeeState, reason string, fault error) {
		w.employee(id, func(e *store.EmployeeRecord) { e.Name, e.State, e.Reason = fmt.Sprint("Person ", id), state, reason }, fault)
	}
	at(50, store.StateError, "", forbidden("share the calendar of employee 50"))
	at(51, store.StateNone, "", forbidden("read employee 51"))
	at(52, store.StateDeleting, "dismissed", nil)
	at(53, store.StateNone, string(calendarsync.ReasonInvalidAddress), nil)
	w.failTask(78, []int64{43}, unreadable("read task 78"))
	w.failTask(79, []int64{43}, unreadable("read task 79"))
	if err := w.store.DismissFailure(t.Context(), store.TaskKey(78)); err != nil {
		t.Fatal(err)
	}
	if err := w.store.RecordDeadLetter(t.Context(), store.EmployeeKey(42), "poll", 100); err != nil {
		t.Fatal(err)
	}
	n := 1
	w.polled(store.PollResult{Clock: &store.ClockResult{}, Unreached: &n})
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Reason, e.Calendar.GoneSince = string(calendarsync.ReasonCalendarUnreachable), w.clock()
	}, nil)
	if err := w.store.RecordDeadLetter(t.Context(), store.EmployeeKey(42), "poll", 100); err != nil {
		t.Fatal(err)
	}
	b := w.signedIn()
	lists := map[string]string{}
	tiles := tileLink.FindAllStringSubmatch(b.get("/").body, -1)
	if len(tiles) != 7 {
		t.Fatalf("the tiles are %q", tiles)
	}
	for _, m := range tiles {
		lists[html.UnescapeString(m[1])] = m[3]
		if m[3] == "0" {
			t.Errorf("%q counts nothing: the test shows nothing of it", m[2])
		}
	}
	var answer struct {
		Problems []struct {
			Kind  string
			Count int
		}
	}
	if err := json.Unmarshal([]byte(b.get("/api/status").body), &answer); err != nil {
		t.Fatal(err)
	}
	notices := map[string]string{"deletions-held": "/held", "gave-up": "/failures?state=gave-up", "employees-failed": "/employees?state=error",
		"tasks-failed": "/failures?state=tasks", "calendars-out-of-reach": "/employees?state=unreachable"}
	for _, p := range answer.Problems {
		path, counts := notices[p.Kind]
		if !counts {
			continue
		}
		delete(notices, p.Kind)
		if before, told := lists[path]; told && before != fmt.Sprint(p.Count) {
			t.Errorf("%s counts %d, its tile %s", p.Kind, p.Count, before)
		}
		lists[path] = fmt.Sprint(p.Count)
		wantIn(t, b.get("/").body, `data-alarm="`+p.Kind+`"`, `href="/console`+path+`"`)
	}
	delete(notices, "tasks-failed") // it is told only while nothing keeps everything waiting
	if len(notices) > 0 {
		t.Errorf("not told: %v", notices)
	}
	for path, count := range lists {
		body := b.get(path).body
		if got := fmt.Sprint(len(listed.FindAllString(body, -1))); got != count {
			t.Errorf("%s lists %s, and %s are counted", path, got, count)
		}
		if here := hereCount.FindStringSubmatch(body); path != "/held" && (here == nil || here[1] != count) {
			t.Errorf("%s: the filter says %q, and %s are counted", path, here, count)
		}
	}
}

// TestQueuedAreListed: whom the overview says to wait for a new calendar are listed, and no others.
func TestQueuedAreListed(t *testing.T) {
	w := newWorld(t)
	w.works()
	w.populate()
	queued := func(id int64) {
		l, _, err := w.store.AcquireEmployee(t.Context(), id, store.Claim{TTL: time.Minute, Token: fmt.Sprint("q", id)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.ReserveCreation(t.Context(), &l, store.NewCreation{Intent: store.CalendarRecord{Epoch: fmt.Sprint("e", id), Account: "200"}, PerHour: 1, Activity: store.ActivityRecord{ID: fmt.Sprint("c", id), At: w.clock()}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.SettleEmployee(t.Context(), &l, store.Result{Waiting: true, RetryAt: w.clock().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	for id := int64(60); id < 64; id++ {
		w.employee(id, func(e *store.EmployeeRecord) { e.Name, e.State = fmt.Sprint("Person ", id), store.StatePending }, nil)
		queued(id)
	}
	b := w.signedIn()
	m := regexp.MustCompile(`data-alarm="queue"><p><strong>(\d+) employees? waits? for a calendar\.`).FindStringSubmatch(strings.ReplaceAll(b.get("/").body, "employees wait for", "employees waits for"))
	if m == nil {
		t.Fatal("nobody is told to wait")
	}
	body := b.get("/employees?state=queued").body
	if n := fmt.Sprint(strings.Count(body, `<tr id="employee-`)); n != m[1] || n == "0" {
		t.Errorf("%s are listed, and %s are counted", n, m[1])
	}
}

// TestAFilteredCauseIsTriedAsItIsShown: what a button counts is what it does, on a filtered page too.
func TestAFilteredCauseIsTriedAsItIsShown(t *testing.T) {
	w := newWorld(t)
	w.employee(42, nothing, forbidden("share"))
	w.failTask(77, []int64{42}, forbidden("write task 77"))
	w.failTask(78, []int64{42}, forbidden("write task 78"))
	b := w.signedIn().stay()
	wantIn(t, b.get("/failures?state=tasks").body, "Try all 2 now", "2 tasks<")
	b.post("/failures/retry", url.Values{"cause": {"forbidden-403-cannotShare"}, "back": {"/failures?state=tasks"}})
	if e, m := w.sent.all("employee-changes"), w.sent.all("task-changes"); len(e) != 0 || len(m) != 1 || len(m[0].IDs) != 2 {
		t.Errorf("sent %+v and %+v", e, m)
	}
}

// TestSinceWhenIsToldInEveryLanguage: what is held, gave up or has an error is told with its
// beginning, which another failure does not move (rule 7.8).
func TestSinceWhenIsToldInEveryLanguage(t *testing.T) {
	w := newWorld(t)
	w.works()
	w.populate()
	began := w.clock().Add(-3*time.Minute - 20*time.Second) // populate waits at its end
	w.wait(5 * time.Hour)
	w.employee(44, nothing, forbidden("share the calendar of employee 44"))
	w.failTask(77, []int64{43}, unreadable("read task 77"))
	if err := w.store.RecordDeadLetter(t.Context(), store.TaskKey(90), "poll", 100); err != nil {
		t.Fatal(err)
	}
	b := w.signedIn()
	for lang, word := range map[string]string{"en": "Since 2026-11-22 12:00.", "uk": "З 22.11.2026 12:00.", "ru": "С 22.11.2026 12:00."} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		for _, notice := range regexp.MustCompile(`(?s)<li class="notice bad" data-alarm="([^"]*)">.*?</li>`).FindAllStringSubmatch(b.get("/").body, -1) {
			switch notice[1] {
			case "deletions-held", "gave-up", "employees-failed":
				wantIn(t, notice[0], word, `datetime="`+began.Format(time.RFC3339)+`"`)
			}
		}
	}
	b.post("/language", url.Values{"to": {"en"}, "back": {"/"}})
	wantIn(t, b.get("/employees?state=error").body, `<time datetime="`+began.Format(time.RFC3339)+`"`)
	wantIn(t, b.get("/employees/46").body, "2026-11-22 12:00")
}

// written are texts that a page has as they are, whatever the language: dates, addresses, names and
// the numbers of tasks and employees, of which the fixture's are told by their words.
var asTheyAre = regexp.MustCompile(`(?s)<script.*?</script>|<pre.*?</pre>|<svg.*?</svg>|<[^>]*>|\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4}|(?:Чудернацький|Task|Задача|Employee|Працівник|Сотрудник|№|No\.|#) ?\d+|[\w.]+@[\w.]+`)

// TestCountsAreGroupedEverywhere: a count of four digits and more has its thousands apart, as the
// language writes them, on every page: tiles had it, and tables had not.
func TestCountsAreGroupedEverywhere(t *testing.T) {
	var backend store.Backend
	w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { backend = memory.New(now); return backend })
	large(t, backend, 1_100, 100_400, w.clock())
	w.connectAccount()
	next := w.saved().Settings
	next.Confirmed = true
	if err := w.deps.Settings.Apply(t.Context(), next, admin, 0, &store.SettingsPlan{At: w.clock(), Made: 1234, Events: 12345}); err != nil {
		t.Fatal(err)
	}
	if err := backend.Transact(t.Context(), func(tx store.Tx) error {
		if err := tx.Set(store.Ref{Collection: store.Days, ID: "2026-11-22"}, &store.DayRecord{Day: "2026-11-22", Hours: map[string]store.HourTally{"09": {Changes: 1234, All: 2345, Calls: 34567, Delays: map[string]int64{"5": 1234}}}}); err != nil {
			return err
		}
		return tx.Set(store.Ref{Collection: store.Runs, ID: "run"}, &store.RunRecord{ID: "run", Cause: "reconcile", Started: w.clock().Add(-time.Hour), Ended: w.clock(), Total: 1_100,
			RunTally: store.RunTally{Done: 1_100, Failed: 1234, Repaired: 4567, Drift: map[string]int64{"event.edited": 5678}, Fields: map[string]int64{"title": 6789}}})
	}); err != nil {
		t.Fatal(err)
	}
	b := w.signedIn()
	ungrouped, grouped := regexp.MustCompile(`\d{4,}`), map[string]*regexp.Regexp{"en": regexp.MustCompile(`\d,\d{3}`), "uk": regexp.MustCompile(`\d\x{a0}\d{3}`), "ru": regexp.MustCompile(`\d\x{a0}\d{3}`)}
	for _, lang := range i18n.Languages() {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		for _, path := range []string{"/", "/employees", "/employees?state=error", "/held", "/failures", "/failures?state=tasks", "/connections", "/figures", "/purge", "/activity", "/settings/history", "/employees?queued=several&id=1234", "/failures?queued=tried&id=1234"} {
			p := b.get(path)
			text := html.UnescapeString(asTheyAre.ReplaceAllString(p.body, " "))
			if found := ungrouped.FindAllString(text, -1); p.status != http.StatusOK || len(found) > 0 {
				t.Errorf("%s %s: %d, %q have no thousands", lang, path, p.status, found)
			}
			if path != "/employees?state=error" && path != "/activity" && !grouped[lang].MatchString(text) {
				t.Errorf("%s %s: no count of this page is large, so that it shows nothing", lang, path)
			}
		}
	}
}

// TestAPurgeIsTypedHoweverItsCountIs: with or without its thousands apart.
func TestAPurgeIsTypedHoweverItsCountIs(t *testing.T) {
	for _, typed := range []string{"delete 1,234 calendars", "Delete 1234 calendars", "delete 1 234 calendars"} {
		var backend store.Backend
		w := newWorldOn(t, "https://site.test", func(now func() time.Time) store.Backend { backend = memory.New(now); return backend })
		w.works()
		for id := int64(1); id <= 1234; id++ {
			if _, err := w.store.AdoptCalendar(t.Context(), id, store.CalendarRecord{ID: fmt.Sprint("c", id), Epoch: "e"}); err != nil {
				t.Fatal(err)
			}
		}
		b := w.signedIn()
		body := b.get("/purge").body
		wantIn(t, body, "<strong>delete 1,234 calendars</strong>")
		form := b.form(body)
		form.Set("typed", strings.Replace(typed, "1", "2", 1))
		if b.post("/purge", form); w.purgeRecord().Open() {
			t.Fatal("another count was taken")
		}
		form.Set("typed", typed)
		if b.post("/purge", form); !w.purgeRecord().Open() {
			t.Errorf("%q is not taken", typed)
		}
	}
}

// TestWordsAreNotAsTheyAreStored: what a record holds in a word of its own is told in the reader's.
func TestWordsAreNotAsTheyAreStored(t *testing.T) {
	states := map[store.MappingState][3]string{
		store.MappingLive:      {"in the calendar.", "є в календарі.", "есть в календаре."},
		store.MappingIntended:  {"a write of it is announced", "запис оголошено", "запись объявлена"},
		store.MappingDeleting:  {"its deletion is announced", "видалення оголошено", "удаление объявлено"},
		store.MappingTombstone: {"deleted.", "видалена.", "удалено."},
	}
	for state, words := range states {
		w := newWorld(t)
		explainedWorld(w)
		w.event(1114, 42, store.Mapping{EventID: "e1114", State: state, StateID: 2})
		b := w.signedIn()
		for i, lang := range i18n.Languages() {
			b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
			body := b.get("/tasks/1114").body
			wantIn(t, body, "e1114: "+words[i])
			if text := html.UnescapeString(tags.ReplaceAllString(body, " ")); regexp.MustCompile(`[ ,]`+string(state)+`\.`).MatchString(text) && !strings.Contains(words[0], string(state)) {
				t.Errorf("%s: %q is told as it is stored", lang, state)
			}
		}
	}
	// Why nothing is there is told in the words of the reason.
	w := newWorld(t)
	explainedWorld(w)
	b := w.signedIn()
	for _, path := range []string{"/tasks/1115", "/tasks/1119"} {
		if text := b.get(path).body; strings.Contains(text, "Reason: ") || strings.Contains(text, "unknown-state") {
			t.Errorf("%s tells a reason as it is stored", path)
		}
	}
	// What an admin's settings were, and whose they were.
	saved := w.saved()
	next := saved.Settings
	next.Language, next.Colors, next.PhoneField, next.ShownRoles = "uk", map[string]int{"5": 11, "state:3": 4, "priority:1": 1}, 12, []calendarsync.RoleID{1}
	if err := w.deps.Settings.Apply(t.Context(), next, admin, saved.Version, nil); err != nil {
		t.Fatal(err)
	}
	for lang, words := range map[string][]string{
		"en": {"Українська", "Type 5 = Tomato", "State 3 = Flamingo", "Priority 1 = Lavender", "Field 12", "Role 1<"},
		"uk": {"Українська", "Тип 5 = Помідор", "Стан 3 = Фламінго", "Пріоритет 1 = Лаванда", "Поле 12", "Роль 1<"},
		"ru": {"Українська", "Тип 5 = Помидор", "Состояние 3 = Фламинго", "Приоритет 1 = Лаванда", "Поле 12", "Роль 1<"},
	} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(t, b.get("/settings/history").body, words...)
	}
	// Which tasks and employees cannot be read.
	w.polled(store.PollResult{Unreadable: &[]string{"tasks/7: read task 7: date.todo", "employees/8: is_work"}, Clock: &store.ClockResult{}})
	for lang, words := range map[string][2]string{"en": {"Task 7: ", "Employee 8: "}, "uk": {"Задача 7: ", "Працівник 8: "}, "ru": {"Задача 7: ", "Сотрудник 8: "}} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(t, b.get("/").body, words[0], words[1])
	}
	// What several were asked for.
	b.post("/employees/sync", url.Values{"employee": {"42", "43"}})
	b.post("/language", url.Values{"to": {"uk"}, "back": {"/"}})
	wantIn(t, b.get("/activity").body, "Працівник 42, Працівник 43")
	if f := failure.Forbidden; strings.Contains(b.get("/activity").body, string(f)) {
		t.Errorf("%q is told as it is stored", f)
	}
}
