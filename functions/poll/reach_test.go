package poll_test

import (
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 3.9: that Google keeps calendars from the client is told once after an hour, if it is
// three, or all where fewer have one, and is over when it is fewer.
func TestThatCalendarsAreOutOfReachIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=calendars-out-of-reach incident=out-of-reach-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	is := func(id int64, reason calendarsync.Reason) {
		lease, _, err := w.store.AcquireEmployee(t.Context(), id, store.Claim{TTL: time.Minute, Token: w.now.String()})
		must(t, err)
		must(t, w.store.SaveEmployee(t.Context(), &lease, func(e *store.EmployeeRecord) {
			e.State, e.Reason = store.StateActive, string(reason)
		}))
		_, err = w.store.SettleEmployee(t.Context(), &lease, store.Result{})
		must(t, err)
	}
	shown := func(n int, since time.Time) {
		t.Helper()
		o, _, err := w.store.PollOutcome(t.Context())
		if must(t, err); o.Unreached != n || !o.UnreachedSince.Equal(since) {
			t.Errorf("the poll recorded %d since %v, want %d since %v", o.Unreached, o.UnreachedSince, n, since)
		}
	}
	polls := func(n int) {
		for range n {
			w.poll()
		}
	}
	for id := range int64(5) {
		is(id+1, "")
	}
	is(1, calendarsync.ReasonCalendarUnreachable)
	is(2, calendarsync.ReasonCalendarUnreachable)
	polls(14)
	want("two of five", 0, 0)
	shown(0, time.Time{})
	is(3, calendarsync.ReasonCalendarUnreachable)
	polls(1)
	since := w.now
	polls(11)
	want("not yet", 0, 0)
	shown(3, since)
	polls(4)
	want("after an hour", 1, 0)
	if !strings.Contains(w.log.String(), "calendars=3 since="+since.Format(time.RFC3339)) {
		t.Errorf("it does not say how many, or since when: %s", w.log.String())
	}
	is(4, calendarsync.ReasonCalendarUnreachable)
	w.set.Enabled = false
	polls(2)
	want("more of them, while syncing is off", 1, 0)
	shown(4, since)
	is(1, calendarsync.ReasonCalendarGone)
	is(2, "")
	polls(2)
	want("fewer", 1, 1)
	shown(0, time.Time{})
	is(1, calendarsync.ReasonCalendarUnreachable)
	polls(2)
	want("another time, not yet", 1, 1)
}
