package poll_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
	if _, err := w.store.PauseCreations(t.Context(), "1", failure.ReasonQuota); err != nil {
		t.Fatal(err)
	}
	want("paused", 1, 0)
	if _, err := w.store.PauseWrites(t.Context(), "1", failure.ReasonQuota); err != nil {
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
	if _, err := w.store.StartRun(t.Context(), "of-nobody", "reconcile", nil); err != nil {
		t.Fatal(err)
	}
	want("within two days", 2, 1)
	want("told once", 2, 1)
	w.connect()
	want("connected for good", 2, 2)
}

// The instance that disconnects the account may die before it tells, and the one
// that connects it again too: Poll tells for them, once. What was told is left.
func TestALostGrantIsToldWhateverBecomesOfItsTeller(t *testing.T) {
	for name, lives := range map[string]bool{"it tells": true, "it dies": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must("first", nil)
			want := func(what string, begun, ended int) {
				t.Helper()
				all := strings.Count(w.log.String(), "alarm=grant-revoked incident=grant-1")
				if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
					t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
				}
			}
			tells := func(version int64) {
				t.Helper()
				if !lives {
					return
				}
				if err := w.store.GrantAlarmed(t.Context(), "1", version); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the first refusal only makes the grant suspect
				if _, err := w.store.GrantRefused(t.Context(), "1", 1, "invalid_grant", 0); err != nil {
					t.Fatal(err)
				}
			}
			w.pollNow()
			want("left to the instance for a while", 0, 0)
			tells(1)
			byPoll := 0
			if !lives {
				byPoll = 1
			}
			for range 2 {
				w.poll()
				want("lost", byPoll, 0)
			}
			w.set.Enabled = false
			w.poll()
			want("paused", byPoll, 0)
			w.set.Enabled = true
			w.connect()
			w.pollNow()
			want("the end is left to the console for a while", byPoll, 0)
			tells(0)
			for range 2 {
				w.poll()
				want("back", byPoll, byPoll)
			}
		})
	}
}

// TestAnIncidentIsToldWhateverBecomesOfItsFinder shows rule 7.7: Poll tells an incident
// from the account's record, so the one who found it may die at once; and where Poll dies
// before it notes the alarm, the next poll tells the same incident again.
func TestAnIncidentIsToldWhateverBecomesOfItsFinder(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=account-refused incident=account-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}); err != nil {
		t.Fatal(err)
	}
	w.pollNow()
	want("told", 1, 0)
	if log := w.log.String(); !strings.Contains(log, "reason=accessNotConfigured") || !strings.Contains(log, "cure=") {
		t.Errorf("reason or cure is missing: %s", log)
	}
	w.poll()
	want("told once", 1, 0)
	if err := w.store.SaveAlarms(t.Context(), nil); err != nil { // it died before it noted it
		t.Fatal(err)
	}
	w.poll()
	want("told again", 2, 0)
	if err := w.store.EndIncident(t.Context(), "1", "events.list"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.poll()
		want("over", 2, 1)
	}
}

// While nothing can be written, all that is due would only be parked again.
func TestDuringAnIncidentAFewDueKeysAreSent(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	for id := range int64(10) {
		if err := w.store.MarkDirty(t.Context(), store.TaskKey(100+id), w.now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtAPI, Status: 403, Reason: "accessNotConfigured"}); err != nil {
		t.Fatal(err)
	}
	if status, sum := w.poll(); status != http.StatusOK || sum.DueTasks != 3 {
		t.Errorf("%d due tasks were sent, status %d", sum.DueTasks, status)
	}
	if err := w.store.EndIncident(t.Context(), "1", "events.list"); err != nil {
		t.Fatal(err)
	}
	if status, sum := w.poll(); status != http.StatusOK || sum.DueTasks != 10 {
		t.Errorf("%d due tasks were sent, status %d", sum.DueTasks, status)
	}
}

// Nothing is polled while settings are off, but a grant dies all the same.
func TestAlarmsAreToldDuringAPause(t *testing.T) {
	w := newWorld(t)
	w.set.Enabled = false
	if err := w.store.RaiseIncident(t.Context(), "1", store.Refusal{At: store.AtToken, Status: 401, Reason: "invalid_client"}); err != nil {
		t.Fatal(err)
	}
	count := func() (int, int) {
		return strings.Count(w.log.String(), "alarm=client-refused"), strings.Count(w.log.String(), "ended=true")
	}
	for range 3 {
		w.poll()
		if all, ended := count(); all != 1 || ended != 0 {
			t.Fatalf("told %d times, ended %d: %s", all, ended, w.log.String())
		}
	}
	if err := w.store.GrantWorks(t.Context(), "1", 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.poll()
	}
	if all, ended := count(); all != 2 || ended != 1 {
		t.Errorf("told %d times, ended %d: %s", all-ended, ended, w.log.String())
	}
}

// TestWhatIsFoundIsToldOnceAndWaitsForTheDecision shows rule 3.13: Poll tells it from the
// record, with the settings confirmed or not, and sends nothing that is due meanwhile.
func TestWhatIsFoundIsToldOnceAndWaitsForTheDecision(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=takeover-needed incident=takeover-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	found := store.FoundRecord{Account: "1", Calendars: []store.FoundCalendar{{ID: "c", Tenant: "old", Employee: 7, Written: store.WrittenElsewhere}}}
	if _, err := w.store.AskTakeover(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := w.store.MarkDirty(t.Context(), store.EmployeeKey(7), w.now); err != nil {
		t.Fatal(err)
	}
	w.set.Confirmed = false
	w.pollNow()
	want("told", 1, 0)
	w.set.Confirmed = true
	for range 2 {
		w.poll()
		want("told once", 1, 0)
	}
	if n := len(w.published["employees"]); n > 0 {
		t.Errorf("%d messages about what only waits", n)
	}
	shown, _, _, err := w.store.Found(t.Context())
	if err == nil {
		err = w.store.TakeOver(t.Context(), shown.Hash, "old")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.poll()
	want("decided", 1, 1)
	if len(w.published["employees"]) == 0 {
		t.Error("what waited does not follow the decision")
	}
}
