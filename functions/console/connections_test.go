package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// TestTheConsoleSeesAnERPThatFails: an ERP that is down was not a word on the page, and that of
// the key neither.
func TestTheConsoleSeesAnERPThatFails(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	poll := func(r store.PollResult) {
		t.Helper()
		w.wait(5 * time.Minute)
		if err := w.store.RecordPoll(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	says := func(when, path string, wanted ...string) {
		t.Helper()
		body := b.get(path).body
		for _, want := range wanted {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %s lacks %q", when, path, want)
			}
		}
	}
	poll(store.PollResult{Clock: &store.ClockResult{}})
	says("well", "/connections", "The ERP can be read", "agrees with Europe/Kyiv", "<dt>Found by the poll only</dt><dd>–</dd>")
	poll(store.PollResult{ERP: &failure.Error{Kind: failure.Source, Op: "userside: list tasks", Detail: "the ERP answered with an error"}})
	says("down", "/", "The ERP cannot be read.", "2026-11-22 12:10", "the ERP answered with an error", "/console/connections")
	says("down", "/connections", "The ERP cannot be read", "2026-11-22 12:05", "Check ERP_URL", "userside: list tasks")
	b.post("/language", url.Values{"to": {"uk"}})
	says("down", "/connections", "ERP не вдається прочитати", "Перевірте ERP_URL")
	b.post("/language", url.Values{"to": {"en"}})
	poll(store.PollResult{ERP: failure.New(failure.Misconfigured, "userside: list tasks", "the ERP refused the API key")})
	says("refused", "/", "The ERP refuses the API key.", "Compare ERP_API_KEY")
	poll(store.PollResult{Clock: &store.ClockResult{Apart: 2 * time.Hour, Wrong: true}})
	says("two hours off", "/", "The ERP’s clock does not agree with the time zone in the settings.", "2 h off")
	w.wait(20 * time.Minute)
	says("no poll", "/", "The poll is overdue.", "last seen 20 min ago")
}

// TestTheERPIsTestedAtOnce: an admin need not wait for the next poll.
func TestTheERPIsTestedAtOnce(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if p := b.post("/connections/test", nil); p.status != http.StatusOK || !strings.Contains(p.body, "Reachable, and the key is accepted") || !strings.Contains(p.body, "states: 4, types: 2") {
		t.Errorf("%d: the page does not say what the ERP answered", p.status)
	}
	w.erp.err = failure.New(failure.Misconfigured, "userside: read the clock", "the ERP refused the API key")
	if p := b.post("/connections/test", nil); !strings.Contains(p.body, "It refuses the API key. Check ERP_API_KEY") || !strings.Contains(p.body, "userside: read the clock") {
		t.Error("the page does not say that the key is refused, and what to do")
	}
}

// TestTheReportNamesNobody: what is copied for support holds no address and no name.
func TestTheReportNamesNobody(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if _, err := w.store.Connect(t.Context(), store.AccountRecord{Sub: "200", Email: "other@example.com", ClientID: "client-1"}, false); err != nil {
		t.Fatal(err)
	}
	w.employee(42, func(e *store.EmployeeRecord) {
		e.Name, e.Address, e.State = "Olena Kovalenko", "olena.k@example.com", store.StateError
	}, nil)
	_, report, _ := strings.Cut(b.get("/connections").body, `id="report"`)
	report, _, _ = strings.Cut(report, "</pre>")
	if !strings.Contains(report, "problem: other-account warn") || !strings.Contains(report, "employees: error 1") {
		t.Errorf("the report lacks what is wrong: %s", report)
	}
	for _, secret := range []string{"@", "Olena", "client-1"} {
		if strings.Contains(report, secret) {
			t.Errorf("the report holds %q", secret)
		}
	}
}

// TestTheDoctorLooksFromThePage: its checks are made live, in the reader's language, with what to
// do and as text to copy; they change nothing and are no deed of an admin's.
func TestTheDoctorLooksFromThePage(t *testing.T) {
	w := newWorld(t)
	w.runs()
	w.connectAccount()
	b := w.signedIn()
	if strings.Contains(b.get("/connections").body, "accepted") {
		t.Error("something was examined before anybody asked")
	}
	requests := len(w.google.Requests(google.Filter{}))
	p := b.post("/connections/doctor", nil)
	wantIn(t, p.body, "1 thing is wrong.", "https://erp.example answers as an API", "+02:00 from UTC, as time_zone Europe/Kyiv", "role 1: New, Assigned   (shown)", "30 employees, all understood",
		"[fault] permissions: permissions that were not granted", "Press Connect in the console again and tick every box that Google shows.", `data-copy="checkup"`)
	for _, secret := range []string{"Коваленко", "e1@example.com", integration} {
		if text := p.body[strings.Index(p.body, `id="checkup"`):]; strings.Contains(text[:strings.Index(text, "</pre>")], secret) {
			t.Errorf("the text to copy has %q in it", secret)
		}
	}
	b.post("/language", url.Values{"to": {"uk"}})
	wantIn(t, b.post("/connections/doctor", nil).body, "Знайдено 1 несправність.", "30 працівників, усі зрозумілі", "роль 1: New, Assigned   (показується)")
	w.erp.err = &failure.Error{Kind: failure.Source, Op: "userside: probe system", Err: context.DeadlineExceeded}
	wantIn(t, b.post("/connections/doctor", nil).body, "https://erp.example недосяжна: вона не відповіла вчасно", "чекає на «доступність» (Система ERP)")
	if now := len(w.google.Requests(google.Filter{})); now != requests {
		t.Errorf("Google was asked %d times", now-requests)
	}
	if strings.Contains(b.get("/activity?kind=admin").body, "doctor") {
		t.Error("looking is told as something that was done")
	}
}
