package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// active gives the world an employee with a calendar.
func (w *world) active(id int64, name string, seen bool) {
	w.t.Helper()
	w.employee(id, func(e *store.EmployeeRecord) {
		e.Name, e.Address, e.State = name, strings.ToLower(name)+"@example.com", store.StateActive
		e.Calendar = &store.CalendarRecord{ID: fmt.Sprintf("c%d", id), Epoch: "e", RuleID: "user:" + e.Address, RuleSeen: seen, SharedAt: w.clock()}
	}, nil)
}

func (w *world) purgeRecord() *store.PurgeRecord {
	w.t.Helper()
	in, err := w.store.Installation(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return in.Purge
}

// A purge starts only for who typed what the page asks for, with the counts of now;
// it switches syncing off in the same moment and can be stopped.
func TestAPurgeIsTypedAndCountedAndCanBeStopped(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.active(1, "Olena", true)
	w.active(2, "Petro", true)
	page := b.get("/purge").body
	if !strings.Contains(page, "delete 2 calendars") || !strings.Contains(page, "2 calendars with 0 events") {
		t.Fatalf("the page does not say what would go:\n%s", page)
	}
	w.sent.messages = map[string][]queue.Message{}
	refused := func(what, typed string, version string) {
		t.Helper()
		p := b.post("/purge", url.Values{"typed": {typed}, "version": {version}})
		if p.status/100 != 4 || w.purgeRecord() != nil || len(w.sent.messages) > 0 || !w.saved().Settings.Enabled {
			t.Errorf("%s: %d, purge %+v, sent %v", what, p.status, w.purgeRecord(), w.sent.messages)
		}
	}
	refused("nothing typed", "", "0")
	refused("another phrase", "delete everything", "0")
	refused("another count", "delete 3 calendars", "0")
	refused("settings saved meanwhile", "delete 2 calendars", "7")
	refused("no version", "delete 2 calendars", "")
	w.active(3, "Ivan", true)
	refused("the count of before", "delete 2 calendars", "0")

	if p := b.post("/purge", url.Values{"typed": {" Delete 3  calendars "}, "version": {"0"}}); p.status != http.StatusSeeOther {
		t.Fatalf("refused: %d %s", p.status, p.body)
	}
	p := w.purgeRecord()
	if !p.Open() || p.By != admin || p.Calendars != 3 || w.saved().Settings.Enabled {
		t.Fatalf("purge %+v, enabled %v", p, w.saved().Settings.Enabled)
	}
	want := map[string][]queue.Message{"employee-changes": {{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}}}
	if !reflect.DeepEqual(w.sent.messages, want) {
		t.Errorf("published %+v", w.sent.messages)
	}
	// One of three is gone after half a minute: a minute is left.
	w.wait(30 * time.Second)
	w.employee(3, func(e *store.EmployeeRecord) { e.Calendar, e.State, e.Reason = nil, store.StateNone, "purged" }, nil)
	if body := b.get("/").body; !strings.Contains(body, "1 of 3 calendars are gone. olena@example.com asked for it. About 1 min left.") || !strings.Contains(body, "/purge/stop") {
		t.Error("the page does not show the progress")
	}
	form := filled()
	form.Set("version", "1")
	if p := b.post("/settings", form); p.status != http.StatusUnprocessableEntity {
		t.Errorf("syncing was switched on beside a purge: %d", p.status)
	}
	if p := b.get("/purge"); p.status != http.StatusSeeOther {
		t.Errorf("a second purge beside the first: %d", p.status)
	}
	if p := b.post("/purge/stop", nil); p.status != http.StatusSeeOther || w.purgeRecord().Open() || !w.purgeRecord().Stopped {
		t.Errorf("not stopped: %d %+v", p.status, w.purgeRecord())
	}
	if w.saved().Settings.Enabled {
		t.Error("stopping switched syncing on")
	}
}

func TestRebuildAndInvitationAreAskedForOnlyWhereTheyHelp(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.active(1, "Olena", true)
	w.active(2, "Petro", false)
	w.employee(3, func(e *store.EmployeeRecord) { e.Name, e.State, e.Reason = "Ivan", store.StateNone, "unbound" }, nil)
	// offers reports whether the page of an employee has an action.
	offers := func(id int64, action string) bool {
		t.Helper()
		return strings.Contains(b.get(fmt.Sprintf("/employees/%d", id)).body, fmt.Sprintf("/employees/%d/%s", id, action))
	}
	for id, want := range map[int64]bool{1: true, 2: true, 3: false} {
		if got := offers(id, "rebuild"); got != want {
			t.Errorf("rebuild of %d offered: %v", id, got)
		}
		if offers(id, "invite") {
			t.Errorf("an invitation of %d is offered at once", id)
		}
	}
	w.sent.messages = map[string][]queue.Message{}
	for _, path := range []string{"/employees/3/rebuild", "/employees/1/invite", "/employees/2/invite", "/employees/3/invite"} {
		if p := b.post(path, nil); p.status != http.StatusConflict || len(w.sent.messages) > 0 {
			t.Errorf("%s: %d, sent %v", path, p.status, w.sent.messages)
		}
	}
	for _, path := range []string{"/employees/9/rebuild", "/employees/x/invite"} {
		if p := b.post(path, nil); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	if p := b.get("/employees/1/rebuild"); p.status != http.StatusOK || !strings.Contains(p.body, "0 events of this product") {
		t.Errorf("the page before a rebuild: %d", p.status)
	}
	w.wait(25 * time.Hour)
	b = w.signedIn().stay() // the session is over
	if !offers(2, "invite") || offers(1, "invite") {
		t.Error("after a day another invitation is not offered, or it is for a share that is seen")
	}
	for path, id := range map[string]int64{"/employees/1/rebuild": 1, "/employees/2/invite": 2} {
		w.sent.messages = map[string][]queue.Message{}
		p := b.post(path, nil)
		want := map[string][]queue.Message{"employee-changes": {{IDs: []int64{id}, Cause: queue.CauseConsole, Lane: queue.LaneLive}}}
		if p.status != http.StatusSeeOther || !reflect.DeepEqual(w.sent.messages, want) {
			t.Errorf("%s: %d, sent %+v", path, p.status, w.sent.messages)
		}
		e, _, err := w.store.Employee(t.Context(), id)
		if err != nil || e.Dirty == 0 || e.DueAt.IsZero() {
			t.Errorf("%s: employee %+v, %v; Poll would not find it", path, e.Work, err)
		}
	}
}

// Whatever the reason for having no calendar, it stands there in plain words.
func TestEveryEmployeeWithoutACalendarHasAReasonInPlainWords(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	reasons := []calendarsync.Reason{
		calendarsync.ReasonDismissed, calendarsync.ReasonNoAddress, calendarsync.ReasonInvalidAddress, calendarsync.ReasonUnbound,
		calendarsync.ReasonDeleted, calendarsync.ReasonMissing, calendarsync.ReasonInvalid, calendarsync.ReasonWorkMissing,
		calendarsync.ReasonAddressMissing, calendarsync.ReasonBindingMissing, calendarsync.ReasonUnconfirmed, calendarsync.ReasonPaused,
		calendarsync.ReasonNotConnected, calendarsync.ReasonPurged,
	}
	for i, r := range reasons {
		w.employee(int64(i+1), func(e *store.EmployeeRecord) { e.Name, e.State, e.Reason = "Somebody", store.StateNone, string(r) }, nil)
	}
	body := b.get("/employees").body
	if n := strings.Count(body, `">Somebody</a>`); n != len(reasons) {
		t.Fatalf("%d employees are shown, want %d", n, len(reasons))
	}
	for _, r := range reasons {
		if strings.Contains(body, ">"+string(r)+"<") {
			t.Errorf("%q stands there as it is recorded", r)
		}
	}
}

// A calendar that Google says is gone is shown so, and may be replaced at once (rule 3.9).
func TestACalendarThatIsGoneMayBeReplacedAtOnce(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	w.active(1, "Olena", true)
	w.active(2, "Petro", true)
	since := w.clock().Add(-5 * time.Minute)
	w.employee(2, func(e *store.EmployeeRecord) {
		c := *e.Calendar
		c.GoneSince = since
		e.Calendar, e.Reason = &c, string(calendarsync.ReasonCalendarGone)
	}, nil)
	body := b.get("/employees/2").body
	if !strings.Contains(body, "/employees/2/replace") || strings.Contains(b.get("/employees/1").body, "/employees/1/replace") || strings.Contains(body, "/employees/2/rebuild") {
		t.Error("the page offers it for another, or not for this one, or a rebuild of what is gone")
	}
	if !strings.Contains(body, "2026-11-22 11:55") {
		t.Error("the page does not say since when")
	}
	if p := b.get("/employees/2/replace"); p.status != http.StatusOK || !strings.Contains(p.body, "invited to it by mail") {
		t.Errorf("the page before it: %d", p.status)
	}
	w.sent.messages = map[string][]queue.Message{}
	if p := b.post("/employees/1/replace", nil); p.status != http.StatusConflict || len(w.sent.messages) > 0 {
		t.Errorf("of one that is not gone: %d, sent %v", p.status, w.sent.messages)
	}
	if p := b.post("/employees/2/replace", nil); p.status != http.StatusSeeOther || len(w.sent.messages) != 1 {
		t.Errorf("%d, sent %v", p.status, w.sent.messages)
	}
	e, _, err := w.store.Employee(t.Context(), 2)
	if err != nil || e.Calendar.ReplaceAsked.IsZero() {
		t.Errorf("not asked for: %+v, %v", e.Calendar, err)
	}
}
