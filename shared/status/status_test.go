package status_test

import (
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// well is an installation in which everything was looked at, and is right.
func well(now time.Time) status.Status {
	return status.Status{
		Now: now, Ever: true, Connected: true, Expected: "calendars@example.com",
		Account: store.AccountRecord{Email: "calendars@example.com", Connected: true},
		Saved:   settings.Saved{Settings: calendarsync.Settings{Enabled: true, Confirmed: true}},
		Tally:   store.Tally{Employees: map[store.EmployeeState]int{store.StateActive: 9}},
		Poll:    store.PollOutcome{RanAt: now.Add(-time.Minute), ReadAt: now.Add(-time.Minute), ClockAt: now.Add(-time.Minute)}, Polled: true,
	}
}

// TestAllIsRightOnlyWhenEverythingWasLookedAt: each thing by itself keeps the overview from
// saying that all is right, with whom it needs.
func TestAllIsRightOnlyWhenEverythingWasLookedAt(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	if s := well(now); len(s.Problems()) > 0 || s.Answer().State != "ok" {
		t.Fatalf("all is right, and it says %+v", s.Problems())
	}
	ago := now.Add(-time.Hour)
	for _, row := range []struct {
		name   string
		change func(s *status.Status)
		want   status.Kind
		level  status.Level
	}{
		{"never connected", func(s *status.Status) { s.Ever, s.Connected = false, false }, status.NotConnected, status.Bad},
		{"the grant is revoked", func(s *status.Status) { s.Connected, s.Account.DisconnectedAt = false, ago }, status.ConnectionLost, status.Bad},
		{"the client secret is wrong", func(s *status.Status) {
			s.Account.Incident = &store.IncidentRecord{Refusal: store.Refusal{At: store.AtToken, Status: 401, Reason: "invalid_client"}, Since: ago}
		}, status.AccountRefused, status.Bad},
		{"one thing is refused", func(s *status.Status) {
			s.Account.Incident = &store.IncidentRecord{Refusal: store.Refusal{At: "acl.insert", Status: 403, Reason: "x"}, Since: ago}
		}, status.ServiceRefused, status.Bad},
		{"all calendars are out of reach", func(s *status.Status) { s.Poll.Unreached, s.Poll.UnreachedSince = 12, ago }, status.OutOfReach, status.Bad},
		{"the grant ends tomorrow", func(s *status.Status) { s.Account.GrantExpiresAt = now.Add(24 * time.Hour) }, status.GrantEnding, status.Bad},
		{"another account", func(s *status.Status) { s.Account.Email = "other@example.com" }, status.OtherAccount, status.Warn},
		{"Google asks for a pause", func(s *status.Status) { s.Account.PausedUntil = now.Add(time.Hour) }, status.GooglePause, status.Wait},
		{"an older record asks for a pause of creations", func(s *status.Status) { s.Account.CreationsPausedUntil = now.Add(time.Hour) }, status.CreationsPause, status.Wait},
		{"the day's calls are used up", func(s *status.Status) {
			s.Account.PausedUntil, s.Account.PauseReason = now.Add(time.Hour), "dailyLimitExceeded"
		}, status.DailyLimit, status.Wait},
		{"the day's calls are used up while sharing", func(s *status.Status) {
			s.Account.CreationsPausedUntil, s.Account.CreationsPauseReason = now.Add(time.Hour), "dailyLimitExceeded"
		}, status.DailyLimit, status.Wait},
		{"a pause after a day's limit that is over", func(s *status.Status) {
			s.Account.PausedUntil, s.Account.PauseReason = ago, "dailyLimitExceeded"
			s.Account.CreationsPausedUntil, s.Account.CreationsPauseReason = now.Add(time.Hour), "quotaExceeded"
		}, status.CreationsPause, status.Wait},
		{"the ERP is down", func(s *status.Status) {
			s.Poll.Failing, s.Poll.FailingSince = &store.Failure{Kind: failure.Source, Message: "503"}, ago
		}, status.ERPUnread, status.Bad},
		{"the ERP refuses the key", func(s *status.Status) {
			s.Poll.Failing, s.Poll.FailingSince = &store.Failure{Kind: failure.Misconfigured}, ago
		}, status.ERPKeyRefused, status.Bad},
		{"the ERP answers nonsense", func(s *status.Status) {
			s.Poll.Failing, s.Poll.FailingSince = &store.Failure{Kind: failure.SourceInvalid}, ago
		}, status.ERPOdd, status.Bad},
		{"its clock is two hours off", func(s *status.Status) { s.Poll.Apart, s.Poll.ApartSince = 7200, ago }, status.ClockWrong, status.Bad},
		{"the poll stays away", func(s *status.Status) { s.Poll.RanAt = ago }, status.PollOverdue, status.Bad},
		{"nobody has polled", func(s *status.Status) { s.Polled, s.Poll = false, store.PollOutcome{} }, status.NotPolled, status.Wait},
		{"733 wait until Wednesday", func(s *status.Status) {
			s.Waiting = make([]store.QueuedCreation, 733)
			s.Waiting[732].At = now.Add(72 * time.Hour)
		}, status.Queue, status.Wait},
		{"something is held", func(s *status.Status) { s.Tally.HeldTasks = 1 }, status.DeletionsHeld, status.Bad},
		{"something gave up", func(s *status.Status) { s.Tally.DeadLetters = 1 }, status.GaveUp, status.Bad},
		{"a calendar has an error", func(s *status.Status) { s.Tally.Employees[store.StateError] = 1 }, status.EmployeesFailed, status.Bad},
		{"a change is late", func(s *status.Status) { s.Tally.OldestTask, s.Tally.PendingTasks = ago, 1 }, status.ChangeLate, status.Warn},
		{"a task failed", func(s *status.Status) { s.Tally.FailedTasks = 1 }, status.TasksFailed, status.Warn},
		{"no full run", func(s *status.Status) { s.Poll.RunMissedSince = ago }, status.FullRunMissed, status.Bad},
		{"two share an address", func(s *status.Status) { s.Poll.SameAddress = []store.SharedAddress{{Employees: []int64{1, 2}}} }, status.SameAddress, status.Warn},
		{"syncing is off", func(s *status.Status) { s.Saved.Settings.Enabled = false }, status.Paused, status.Warn},
		{"not confirmed", func(s *status.Status) { s.Saved.Settings.Confirmed = false }, status.Unconfirmed, status.Warn},
		{"settings lack something", func(s *status.Status) { s.Saved.Missing = []string{"time_zone"} }, status.SettingsIncomplete, status.Bad},
		{"everything is being deleted", func(s *status.Status) { s.Installation.Purge = &store.PurgeRecord{ID: "p", StartedAt: ago} }, status.Purging, status.Bad},
		{"calendars are found", func(s *status.Status) { s.Installation.TakeoverAsked = ago }, status.TakeoverNeeded, status.Bad},
	} {
		s := well(now)
		row.change(&s)
		got := s.Problems()
		if len(got) != 1 || got[0].Kind != row.want || got[0].Level != row.level {
			t.Errorf("%s: %+v, want %s %s alone", row.name, got, row.level, row.want)
		}
	}
}

// TestTheWorstComesFirst, and what waits only because of it is not told besides.
func TestTheWorstComesFirst(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := well(now)
	s.Account.PausedUntil = now.Add(time.Hour)
	s.Poll.SameAddress = []store.SharedAddress{{Employees: []int64{1, 2}}}
	s.Poll.Failing, s.Poll.FailingSince = &store.Failure{Kind: failure.Source}, now.Add(-time.Hour)
	s.Tally.OldestTask, s.Tally.PendingTasks, s.Tally.FailedTasks = now.Add(-time.Hour), 300, 300
	var kinds []status.Kind
	for _, p := range s.Problems() {
		kinds = append(kinds, p.Kind)
	}
	if want := []status.Kind{status.ERPUnread, status.SameAddress, status.GooglePause}; !slices.Equal(kinds, want) {
		t.Errorf("told %v, want %v", kinds, want)
	}
	if a := s.Answer(); a.State != "trouble" || len(a.Problems) != 3 {
		t.Errorf("programs are told %+v", a)
	}
}
