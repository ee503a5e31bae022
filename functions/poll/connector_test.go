package poll_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// writes records writes to Google of a cause, one for each task, and lets some minutes pass.
func (w *world) writes(cause string, first, last int64) {
	w.t.Helper()
	lease, _, err := w.store.AcquireEmployee(w.t.Context(), 99, store.Claim{TTL: time.Minute, Token: fmt.Sprint(cause, first, w.now)})
	must(w.t, err)
	for id := first; id <= last; id++ {
		for _, employee := range []int64{1, 2} { // a task of two people is one change
			must(w.t, w.store.SaveEmployee(w.t.Context(), &lease, func(*store.EmployeeRecord) {}, store.ActivityRecord{
				ID: fmt.Sprint(cause, id, employee, w.now), At: w.now, Cause: cause, Task: id, Employee: employee, Result: "done", ExpiresAt: w.now.Add(time.Hour)}))
		}
	}
	_, err = w.store.SettleEmployee(w.t.Context(), &lease, store.Result{})
	must(w.t, err)
	w.now = w.now.Add(20 * time.Minute)
}

// Rule 8.10: each change is counted once, by what told of it.
func TestWhatOnlyThePollFoundIsCounted(t *testing.T) {
	w := newWorld(t)
	want := func(what string, notified, polled int) {
		t.Helper()
		w.poll()
		n, err := w.store.Notifications(t.Context(), w.now, "notify", "poll")
		must(t, err)
		if n.Notified != notified || n.Polled != polled {
			t.Errorf("%s: %+v, want %d and %d", what, n, notified, polled)
		}
	}
	want("nothing yet", 0, 0)
	w.writes("notify", 1, 5)
	w.writes("poll", 6, 7)
	w.writes("fill", 8, 9)
	w.writes("reconcile", 10, 11)
	want("once each", 5, 2)
	want("and not again", 5, 2)
	w.writes("poll", 6, 6)
	want("another change of one", 5, 3)
	w.now = w.now.Add(3 * time.Hour)
	w.writes("notify", 1, 1)
	want("hours later", 6, 3)
	w.now = w.now.Add(22 * time.Hour)
	want("the first are a day ago", 1, 0)
	w.now = w.now.Add(3 * time.Hour)
	want("all are", 0, 0)
}

// The connector's silence is told when the poll had to find many changes itself.
func TestASilentConnectorIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		w.poll()
		all, over := 0, 0
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "alarm=no-notifications") {
				all++
				if strings.Contains(line, "ended=true") {
					over++
				}
			}
		}
		if over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	w.writes("poll", 1, 19)
	want("19 changes", 0, 0)
	must(t, w.store.NotificationCame(t.Context(), "1.1"))
	w.writes("poll", 20, 40)
	want("40 changes, and a notification", 0, 0)
	w.now = w.now.Add(23*time.Hour + 35*time.Minute)
	w.writes("poll", 1, 20)
	want("none for a day", 1, 0)
	want("told once", 1, 0)
	must(t, w.store.NotificationCame(t.Context(), "1.1"))
	want("one came", 1, 1)

	w = newWorld(t)
	w.must("first", nil)
	w.writes("poll", 1, 20)
	want("none ever came", 1, 0)
	w.now = w.now.Add(26 * time.Hour)
	want("nothing changes", 1, 1)
}
