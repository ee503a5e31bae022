package console_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// twoInstallations are what a lost database meets: three calendars that were this
// installation's, and one of another.
func twoInstallations() store.FoundRecord {
	return store.FoundRecord{Account: "200", Dead: 1, Calendars: []store.FoundCalendar{
		{ID: "x", Tenant: "another", Employee: 1, Name: "Ivan <the first>", Written: store.WrittenElsewhere},
		{ID: "a", Tenant: "ours", Employee: 1, Name: "Olena", Written: store.WrittenHere},
		{ID: "b", Tenant: "ours", Employee: 2, Name: "Petro", Written: store.WrittenHere},
		{ID: "c", Tenant: "ours", Employee: 3, Name: "Oksana", Written: store.WrittenUnknown},
	}}
}

func (w *world) found(f store.FoundRecord) (hash string) {
	w.t.Helper()
	if _, err := w.store.AskTakeover(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
	shown, _, _, err := w.store.Found(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return shown.Hash
}

var tags = regexp.MustCompile(`<[^>]*>`)

// takeover is what /api/status says of what was found.
func (b *browser) takeover() any {
	b.w.t.Helper()
	var answer map[string]any
	if err := json.Unmarshal([]byte(b.get("/api/status").body), &answer); err != nil {
		b.w.t.Fatal(err)
	}
	return answer["takeover"]
}

// tellsFound expects the overview to say what was found, in each language, and /api/status, with
// how many calendars are there: rows that do not answer are told apart.
func (b *browser) tellsFound(words map[string][2]string, answer map[string]any, there float64) {
	b.w.t.Helper()
	for _, lang := range i18n.Languages() {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(b.w.t, b.get("/").body, words[lang][0], words[lang][1], `href="/console/takeover"`)
	}
	b.post("/language", url.Values{"to": {"en"}, "back": {"/"}})
	if diff := cmp.Diff(answer, b.takeover()); diff != "" {
		b.w.t.Errorf("status: %s", diff)
	}
	var status struct {
		Problems []struct {
			Kind  string
			Count float64
		}
	}
	if err := json.Unmarshal([]byte(b.get("/api/status").body), &status); err != nil || len(status.Problems) == 0 || status.Problems[0].Kind != "takeover-needed" || status.Problems[0].Count != there {
		b.w.t.Errorf("%v, problems %+v, want %v calendars there", err, status.Problems, there)
	}
}

// TestWhatIsFoundIsShown: rule 3.13, the page shows what was found, whose it is by name and
// whose ERP's address wrote it, in the reader's language.
func TestWhatIsFoundIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn().stay()
	if p := b.get("/takeover"); p.status != http.StatusOK || !strings.Contains(p.body, "There is nothing to decide") || b.takeover() != nil {
		t.Errorf("before anything is found: %d", p.status)
	}
	w.employee(1, func(e *store.EmployeeRecord) { e.Name = "Olena" }, nil)
	w.found(twoInstallations())
	b.tellsFound(map[string][2]string{
		"en": {"4 calendars are in the account that no database remembers.", "Google lists 1 more and says that it does not exist."},
		"uk": {"В акаунті є 4 календарі, про які не знає жодна база даних.", "У списку Google є ще 1, про який Google каже, що його не існує."},
		"ru": {"В аккаунте есть 4 календаря, о которых не знает ни одна база данных.", "В списке Google есть ещё 1, о котором Google говорит, что его не существует."},
	}, map[string]any{"calendars": 4.0, "unanswered": 1.0, "since": "2026-11-22T10:00:00Z"}, 4)
	text := html.UnescapeString(strings.Join(strings.Fields(tags.ReplaceAllString(b.get("/takeover").body, " ")), " "))
	for _, want := range []string{"3 calendars 2 were written by this ERP's address 1 is from a version", "1 calendar 1 was written by another ERP's address",
		"Ivan <the first> employee 1; in this ERP: Olena", "Olena employee 1 Petro employee 2 Oksana employee 3", "Take over these 3 calendars",
		"Take over this 1 calendar", "Google lists 1 more and says that it does not exist", "Start afresh"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q: %s", want, text)
		}
	}
	if strings.Index(text, "3 calendars") > strings.Index(text, "1 calendar ") {
		t.Error("the larger part does not come first")
	}
	for lang, want := range map[string]string{"uk": "Узяти під керування 3 календарі", "ru": "Взять под управление 3 календаря"} {
		if p := b.post("/language", url.Values{"to": {lang}, "back": {"/takeover"}}); p.status != http.StatusSeeOther {
			t.Errorf("%s: %d", lang, p.status)
		}
		if !strings.Contains(b.get("/takeover").body, want) {
			t.Errorf("%s: the page lacks %q", lang, want)
		}
	}
}

// TestWhatIsFoundIsDecided: rule 3.13, the decision concerns what was shown, is made once,
// and starts a check of everybody.
func TestWhatIsFoundIsDecided(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		tenant string
		want   store.InstallationRecord
		// again is the answer to pressing again where the queue was down at first: what is taken
		// over is sent then, and a new beginning is made, and sent by Poll.
		again int
	}{
		"taken over": {"ours", store.InstallationRecord{TakingOver: "ours", TakingOverSince: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}, http.StatusSeeOther},
		"afresh":     {"", store.InstallationRecord{Tenant: "of its own"}, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.signedIn().stay()
			former := w.found(store.FoundRecord{Account: "200", Calendars: twoInstallations().Calendars[:2]})
			hash := w.found(twoInstallations())
			w.sent.messages = map[string][]queue.Message{}
			for refused, form := range map[string]url.Values{
				"another list":   {"hash": {former}, "tenant": {row.tenant}},
				"no list":        {"tenant": {row.tenant}},
				"not found":      {"hash": {hash}, "tenant": {"nobody's"}},
				"not our form's": {"hash": {hash}, "tenant": {row.tenant}, "csrf": {"forged"}},
			} {
				if p := b.post("/takeover", form); p.status != http.StatusConflict && p.status != http.StatusForbidden || len(w.sent.messages) > 0 {
					t.Errorf("%s: %d, sent %v", refused, p.status, w.sent.messages)
				}
			}
			decide := url.Values{"hash": {hash}, "tenant": {row.tenant}}
			w.sent.err = errDown
			if p := b.post("/takeover", decide); p.status != http.StatusServiceUnavailable {
				t.Errorf("with the queue down: %d", p.status)
			}
			w.sent.err = nil
			if p := b.post("/takeover", decide); p.status != row.again {
				t.Errorf("pressed again: %d", p.status)
			}
			if sent := w.sent.all("employee-changes"); row.again == http.StatusSeeOther && (len(sent) != 1 || !sent[0].All) {
				t.Errorf("sent %v", sent)
			}
			if body := b.get("/?queued=takeover").body; row.want.TakingOver != "" && strings.Count(body, "The calendars are being taken over.") != 2 {
				t.Error("the page does not say what was decided, and that it is under way")
			}
			in, err := w.store.Installation(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if uuid.Validate(in.Tenant) == nil {
				in.Tenant = "of its own"
			}
			if in.Account = ""; !cmp.Equal(row.want, in) {
				t.Errorf("the installation is %+v", in)
			}
			if b.takeover() != nil || !strings.Contains(b.get("/takeover").body, "There is nothing to decide") {
				t.Error("there is still something to decide")
			}
		})
	}
}

// TestTwoAdminsDecideAtOnce: rule 3.13, of two who press at the same time, one to take over and
// one to start afresh, one decides and the other is told that the list is another by now; what is
// sent to the workers is for the one decision, once.
func TestTwoAdminsDecideAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hash := w.found(twoInstallations())
	w.sent.messages = map[string][]queue.Message{}
	tenants := []string{"ours", ""}
	pages := make([]page, len(tenants))
	ready, pressed := make(chan struct{}), sync.WaitGroup{}
	for i, tenant := range tenants {
		b := w.signedIn().stay()
		form := url.Values{"hash": {hash}, "tenant": {tenant}, "csrf": {b.csrf()}}
		pressed.Go(func() {
			<-ready
			pages[i] = b.post("/takeover", form)
		})
	}
	close(ready)
	pressed.Wait()
	in, err := w.store.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decided := 0
	if in.TakingOver == "" {
		decided = 1
	}
	if is := uuid.Validate(in.Tenant) == nil; is != (decided == 1) || in.TakingOver != "" && in.TakingOver != "ours" || in.Undecided() {
		t.Errorf("the installation is %+v", in)
	}
	flash := []string{"queued=takeover", "queued=afresh"}[decided]
	if p := pages[decided]; p.status != http.StatusSeeOther || !strings.Contains(p.header.Get("Location"), flash) {
		t.Errorf("who decided: %d, to %q", p.status, p.header.Get("Location"))
	}
	if p := pages[1-decided]; p.status != http.StatusConflict || !strings.Contains(p.body, "somebody has decided. Nothing was done.") {
		t.Errorf("the other: %d:\n%s", p.status, p.body)
	}
	if sent := w.sent.all("employee-changes"); len(sent) != 1 || !sent[0].All {
		t.Errorf("sent %+v", sent)
	}
}

// A purge is not planned on counts that leave out what nobody has decided about.
func TestAPurgeIsNotPlannedBeforeTheDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn().stay()
	hash := w.found(twoInstallations())
	for name, p := range map[string]page{"planned": b.get("/purge"), "typed": b.post("/purge", url.Values{"typed": {"delete 0 calendars"}, "version": {"0"}})} {
		if p.status != http.StatusConflict || !strings.Contains(p.body, "Decide first whose the calendars are") {
			t.Errorf("%s: %d", name, p.status)
		}
	}
	if err := w.store.TakeOver(t.Context(), hash, "ours"); err != nil {
		t.Fatal(err)
	}
	if p := b.get("/purge"); p.status != http.StatusConflict || !strings.Contains(p.body, "The calendars are being taken over") {
		t.Errorf("while they are taken over: %d", p.status)
	}
	if _, err := w.store.SetTenant(t.Context(), "ours"); err != nil {
		t.Fatal(err)
	}
	if p := b.get("/purge"); p.status != http.StatusOK {
		t.Errorf("after the decision: %d", p.status)
	}
}

// TestCalendarsWithoutAnyDescriptionSayWhatToDo: rule 3.14, calendars that may be the product's
// and of which Google gives no mark back are shown with how to tell, and not as deleted ones.
func TestCalendarsWithoutAnyDescriptionSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn().stay()
	w.found(store.FoundRecord{Account: "sub", Blank: []string{"a", "b", "c"}, Dead: 2})
	b.tellsFound(map[string][2]string{
		"en": {"3 calendars in the account were made with this OAuth client, and Google gives nothing of their descriptions back.", "Google lists 2 more and says that they do not exist."},
		"uk": {"В акаунті є 3 календарі, створені цим клієнтом OAuth", "У списку Google є ще 2, про які Google каже, що їх не існує."},
		"ru": {"В аккаунте есть 3 календаря, созданных этим клиентом OAuth", "В списке Google есть ещё 2, о которых Google говорит, что их не существует."},
	}, map[string]any{"calendars": 0.0, "unmarked": 3.0, "unanswered": 2.0, "since": "2026-11-22T10:00:00Z"}, 3)
	text := b.get("/takeover").body
	for _, want := range []string{"3 calendars in the account were made with this OAuth client", "erp-calendar/1", "Look again", "Start afresh"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if more := strings.Index(text, "Google lists 2 more"); more < strings.Index(text, "3 calendars in the account") {
		t.Error("what is more does not come after what there is")
	}
	if strings.Contains(text, "Most likely they are deleted") {
		t.Error("the page takes them for deleted")
	}
}

// TestRowsAloneSayWhatToDo: rule 3.13, rows of calendars that do not answer are shown with
// what to do about them, and starting afresh is open.
func TestRowsAloneSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.signedIn().stay()
	w.found(store.FoundRecord{Account: "sub", Dead: 2})
	b.tellsFound(map[string][2]string{
		"en": {"Google lists 2 calendars, and none of them answers", "Nothing is written until you have decided"},
		"uk": {"У списку Google є 2 календарі, і жоден не відповідає", "Нічого не записується, доки ви не вирішите"},
		"ru": {"В списке Google есть 2 календаря, и ни один не отвечает", "Ничего не записывается, пока вы не решите"},
	}, map[string]any{"calendars": 0.0, "unanswered": 2.0, "since": "2026-11-22T10:00:00Z"}, 0)
	text := b.get("/takeover").body
	for _, want := range []string{"Google lists 2 calendars, and none of them answers", "nobody can tell", "Unsubscribe", "Look again", "Start afresh"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "2 more") || strings.Contains(text, "already has calendars of erp-calendar") {
		t.Error("the page counts them beside others, or knows whose they are")
	}
}
