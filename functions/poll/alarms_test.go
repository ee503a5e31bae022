package poll_test

import (
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestAClockOffTheZoneAlarmsOnceAndSaysWhenItIsRight(t *testing.T) {
	w := newWorld(t)
	kyiv := w.zone
	alarms := func(ended bool) int {
		n := 0
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "alarm=clock-wrong") && strings.Contains(line, "ended=true") == ended {
				n++
			}
		}
		return n
	}
	w.zone = time.UTC
	for range 3 {
		w.must("wrong", nil)
	}
	if alarms(false) != 1 || alarms(true) != 0 {
		t.Fatalf("while it is wrong: %s", w.log.String())
	}
	w.zone = kyiv
	for range 3 {
		w.must("right", nil)
	}
	if alarms(false) != 1 || alarms(true) != 1 {
		t.Fatalf("when it is right: %s", w.log.String())
	}
}

func TestTheAlarmOfAHoldEndsWhenNothingIsHeldAnyMore(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	ended := func() int { return strings.Count(w.log.String(), "ended=true") }
	for range 4 { // three calendars may go in a day
		if _, _, err := w.store.Permit(t.Context(), store.GuardedCalendars, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	lease, _, err := w.store.AcquireEmployee(t.Context(), 7, store.Claim{TTL: time.Hour, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(held string) {
		t.Helper()
		if err := w.store.SaveEmployee(t.Context(), &lease, func(e *store.EmployeeRecord) { e.Held = held }); err != nil {
			t.Fatal(err)
		}
	}
	if w.poll(); ended() != 0 {
		t.Fatal("ended before the look that was refused could record it")
	}
	hold("yes")
	w.now = w.now.Add(6 * time.Minute)
	if w.poll(); ended() != 0 {
		t.Fatal("ended while something is held")
	}
	hold("")
	for range 2 {
		if w.poll(); ended() != 1 {
			t.Fatalf("%d ends, want one: %s", ended(), w.log.String())
		}
	}
}

func TestAPauseOfGoogleAndAGrantThatEndsAreToldOnceEach(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		w.poll()
		all := strings.Count(w.log.String(), "alarm=")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	want("at rest", 0, 0)
	if err := w.store.PauseCreations(t.Context(), "1", w.now.Add(30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	want("paused", 1, 0)
	if err := w.store.PauseWrites(t.Context(), "1", w.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want("paused for longer", 1, 0)
	w.now = w.now.Add(2 * time.Hour)
	want("over", 1, 1)
	want("still over", 1, 1)
	expiring := store.AccountRecord{Sub: "1", Email: "calendars@provider.example", ClientID: "client", GrantExpiresAt: w.now.Add(72 * time.Hour)}
	if _, err := w.store.Connect(t.Context(), expiring, false); err != nil {
		t.Fatal(err)
	}
	want("three days ahead", 1, 1)
	w.now = w.now.Add(30 * time.Hour)
	want("within two days", 2, 1)
	want("told once", 2, 1)
	w.connect()
	want("connected for good", 2, 2)
}
