package functions_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// configure saves settings as the console does, on top of the version in force,
// has everybody looked at and waits until that is done.
func configure(t *testing.T, w *world.World, change func(*calendarsync.Settings)) {
	t.Helper()
	source := settings.NewSource(w.Store, w.Environment(world.Options{})["DEFAULT_SETTINGS"], w.URL+"/erp", time.Now)
	saved, err := source.Saved(t.Context())
	must(t, err)
	change(&saved.Settings)
	must(t, source.Save(t.Context(), saved.Settings, world.Admin, saved.Version))
	must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
	w.Idle()
}

func setAddress(t *testing.T, w *world.World, id int64, address string) {
	t.Helper()
	must(t, w.ERP.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Email = address }))
}

// tasksOf adds a task of one employee at each hour of tomorrow and gives their starts.
func tasksOf(w *world.World, id int64, hours ...int) []time.Time {
	var starts []time.Time
	for _, hour := range hours {
		w.Task(w.Tomorrow(hour), id)
		starts = append(starts, w.Tomorrow(hour))
	}
	return starts
}

// done is a write to Google that took effect; an empty calendar is any.
type done struct{ method, calendar string }

func (d done) first(requests []fakegoogle.Request) int {
	return slices.IndexFunc(requests, func(r fakegoogle.Request) bool {
		return r.Method == d.method && (d.calendar == "" || r.CalendarID == d.calendar)
	})
}

func written(w *world.World) []fakegoogle.Request {
	return w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true, Committed: true})
}

// wantOrder requires that the first of each of the writes came after the first
// of the one before it.
func wantOrder(t *testing.T, w *world.World, writes ...done) {
	t.Helper()
	last, requests := -1, written(w)
	for _, d := range writes {
		at := d.first(requests)
		if at <= last {
			var log []string
			for _, r := range requests {
				log = append(log, r.Method+" "+r.CalendarID)
			}
			t.Fatalf("%s %s is at place %d, want it behind place %d of\n%s", d.method, d.calendar, at, last, strings.Join(log, "\n"))
		}
		last = at
	}
}

// filledBefore counts the events put into a calendar before a write.
func filledBefore(w *world.World, calendar string, d done) int {
	requests, n := written(w), 0
	for _, r := range requests[:max(0, d.first(requests))] {
		if r.Method == "calendar.events.insert" && r.CalendarID == calendar {
			n++
		}
	}
	return n
}

func wantOneUpdateEach(t *testing.T, w *world.World, ids []int64) {
	t.Helper()
	updates := map[string]int{}
	for _, r := range written(w) {
		switch r.Method {
		case "calendar.events.update":
			updates[r.EventID]++
		case "calendar.calendars.patch", "calendar.calendars.update":
		default:
			t.Errorf("a %s", r.Method)
		}
	}
	for _, id := range ids {
		for _, e := range w.Events(id) {
			if updates[e.Id] != 1 {
				t.Errorf("event %s of employee %d was updated %d times", e.Id, id, updates[e.Id])
			}
		}
	}
}

// wantTakenDown requires that an employee's only calendar went, and lost its
// share before.
func wantTakenDown(t *testing.T, w *world.World, id int64, calendar string) {
	t.Helper()
	if got := w.Calendar(id); got != "" {
		t.Fatalf("employee %d has calendar %s", id, got)
	}
	if !calendarNamed(t, w, calendar).Deleted {
		t.Errorf("calendar %s is still there", calendar)
	}
	wantReaders(t, w, calendar)
	wantOrder(t, w, done{"calendar.acl.delete", calendar}, done{"calendar.calendars.delete", calendar})
}

func calendarNamed(t *testing.T, w *world.World, id string) fakegoogle.CalendarSnapshot {
	t.Helper()
	for _, c := range w.Google.Calendars() {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no calendar %q", id)
	return fakegoogle.CalendarSnapshot{}
}

// wantReaders requires that, beside its owner, exactly these may read a calendar.
func wantReaders(t *testing.T, w *world.World, calendar string, addresses ...string) {
	t.Helper()
	var got []string
	for _, r := range calendarNamed(t, w, calendar).Rules {
		if r.Role == "reader" {
			got = append(got, strings.ToLower(r.Value))
		} else if r.Role != "none" && r.Role != "owner" {
			t.Errorf("%s is %s of calendar %s", r.Value, r.Role, calendar)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, addresses) {
		t.Errorf("calendar %s is read by %v, want %v", calendar, got, addresses)
	}
}

func wantReason(t *testing.T, w *world.World, id int64, state store.EmployeeState, reason calendarsync.Reason) {
	t.Helper()
	rec, found, err := w.Store.Employee(t.Context(), id)
	if err != nil || !found || rec.State != state || rec.Reason != string(reason) {
		t.Errorf("employee %d: state %q for %q (found %v, error %v), want %q for %q", id, rec.State, rec.Reason, found, err, state, reason)
	}
}

// beginning reads from when on a calendar holds tasks.
func beginning(t *testing.T, w *world.World, calendar string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, markField(t, w, calendar, "from="))
	must(t, err)
	return at
}

// card asks Notify for an employee's card, signed as the ERP's connector does.
func card(t *testing.T, w *world.World, id int64) (status int, body map[string]any) {
	t.Helper()
	key, err := webhook.ParseKey(w.Environment(world.Options{})["NOTIFY_SECRETS"])
	must(t, err)
	path := "/employees/" + itoa(id)
	header, err := webhook.Sign(key, "card_"+itoa(time.Now().UnixNano()), time.Now(), []byte("GET "+path))
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/Notify"+path, nil)
	must(t, err)
	req.Header = header
	res, err := w.Client().Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	must(t, json.Unmarshal(text, &body))
	return res.StatusCode, body
}

func sameObject(a, b map[string]any) bool {
	left, err := json.Marshal(a)
	if err != nil {
		return false
	}
	right, err := json.Marshal(b)
	return err == nil && string(left) == string(right)
}
