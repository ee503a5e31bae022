package status_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/logging"
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
	for _, row := range troubles(now, ago) {
		s := well(now)
		row.change(&s)
		got := s.Problems()
		if len(got) != 1 || got[0].Kind != row.want || got[0].Level != row.level {
			t.Errorf("%s: %+v, want %s %s alone", row.name, got, row.level, row.want)
		}
	}
}

// trouble is one thing that is not right, and how it is told.
type trouble struct {
	name   string
	change func(s *status.Status)
	want   status.Kind
	level  status.Level
}

func troubles(now, ago time.Time) []trouble {
	return []trouble{
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
		{"Google asks for a pause", func(s *status.Status) { s.Account.PausedUntil, s.Account.PauseSeconds = now.Add(time.Hour), 7200 }, status.GooglePause, status.Wait},
		{"an older record asks for a pause of creations", func(s *status.Status) {
			s.Account.CreationsPausedUntil, s.Account.CreationsPauseSeconds = now.Add(time.Hour), 7200
		}, status.CreationsPause, status.Wait},
		{"the day's calls are used up", func(s *status.Status) {
			s.Account.PausedUntil, s.Account.PauseReason, s.Account.PauseSeconds = now.Add(time.Hour), "dailyLimitExceeded", 7200
		}, status.DailyLimit, status.Wait},
		{"the day's calls are used up while sharing", func(s *status.Status) {
			s.Account.CreationsPausedUntil, s.Account.CreationsPauseReason, s.Account.CreationsPauseSeconds = now.Add(time.Hour), "dailyLimitExceeded", 7200
		}, status.DailyLimit, status.Wait},
		{"a pause after a day's limit that is over", func(s *status.Status) {
			s.Account.PausedUntil, s.Account.PauseReason, s.Account.PauseSeconds = ago, "dailyLimitExceeded", 60
			s.Account.CreationsPausedUntil, s.Account.CreationsPauseReason, s.Account.CreationsPauseSeconds = now.Add(time.Hour), "quotaExceeded", 7200
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
			s.Waiting[0].Asked, s.Waiting[732].At = ago, now.Add(72*time.Hour)
		}, status.Queue, status.Wait},
		{"something is held", func(s *status.Status) { s.Tally.HeldTasks, s.Tally.HeldSince = 1, ago }, status.DeletionsHeld, status.Bad},
		{"something gave up", func(s *status.Status) { s.Tally.DeadLetters, s.Tally.GaveUpSince = 1, ago }, status.GaveUp, status.Bad},
		{"a calendar has an error", func(s *status.Status) { s.Tally.Employees[store.StateError], s.Tally.ErrorSince = 1, ago }, status.EmployeesFailed, status.Bad},
		{"a change is late", func(s *status.Status) { s.Tally.OldestTask, s.Tally.PendingTasks = ago, 1 }, status.ChangeLate, status.Warn},
		{"a task failed", func(s *status.Status) { s.Tally.FailedTasks, s.Tally.FailedSince = 1, ago }, status.TasksFailed, status.Warn},
		{"no full run", func(s *status.Status) { s.Poll.RunMissedSince = ago }, status.FullRunMissed, status.Bad},
		{"two share an address", func(s *status.Status) {
			s.Poll.SameAddress, s.Poll.SameAddressSince = []store.SharedAddress{{Employees: []int64{1, 2}}}, ago
		}, status.SameAddress, status.Warn},
		{"syncing is off", func(s *status.Status) { s.Saved.Settings.Enabled, s.Saved.At = false, ago }, status.Paused, status.Warn},
		{"not confirmed", func(s *status.Status) { s.Saved.Settings.Confirmed, s.Saved.At = false, ago }, status.Unconfirmed, status.Warn},
		{"settings lack something", func(s *status.Status) { s.Saved.Missing = []string{"time_zone"} }, status.SettingsIncomplete, status.Bad},
		{"everything is being deleted", func(s *status.Status) { s.Installation.Purge = &store.PurgeRecord{ID: "p", StartedAt: ago} }, status.Purging, status.Bad},
		{"calendars are found", func(s *status.Status) { s.Installation.TakeoverAsked = ago }, status.TakeoverNeeded, status.Bad},
		{"what was found is being taken over", func(s *status.Status) { s.Installation.TakingOver, s.Installation.TakingOverSince = "tenant", ago }, status.TakingOver, status.Wait},
		{"the settings cannot be read", func(s *status.Status) { s.Saved.Faults = settings.Faults{{Field: "time_zone", Problem: "is no zone"}} }, status.SettingsFaulty, status.Bad},
		{"the connection is doubted", func(s *status.Status) { s.Account.SuspectSince = ago }, status.Suspect, status.Warn},
		{"a mark does not come back", func(s *status.Status) { s.Installation.Unreadable = &store.UnreadableMark{Since: ago} }, status.MarkUnreadable, status.Bad},
		{"a task is unreadable", func(s *status.Status) {
			s.Poll.Unreadable, s.Poll.UnreadableSince = []string{"tasks/7: date.todo"}, ago
		}, status.ERPUnreadable, status.Warn},
		{"the connector is silent", func(s *status.Status) {
			s.Notifications = store.Notifications{LastAt: now.Add(-25 * time.Hour), Polled: 20}
		}, status.NoNotifications, status.Warn},
		{"cards are refused", func(s *status.Status) {
			s.Saved.Settings.CalendarIDField, s.Tally.RefusedCards = 7, store.RefusedCards{Count: 2, Since: ago, Why: "no such field"}
		}, status.CardsRefused, status.Warn},
	}
}

// kept is a purge that left something, which ended with syncing off.
func kept(ago time.Time) trouble {
	return trouble{"a calendar was not deleted", func(s *status.Status) {
		s.Installation.Purge = &store.PurgeRecord{ID: "p", StartedAt: ago.Add(-time.Hour), EndedAt: ago, Kept: 1}
		s.Saved.Settings.Enabled, s.Saved.At = false, ago // as after every purge, which is told besides
	}, status.Kept, status.Warn}
}

// TestEveryProblemSaysSinceWhen: whoever is told of one is told since when, but for what nothing
// knows the beginning of.
func TestEveryProblemSaysSinceWhen(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	ago := now.Add(-time.Hour)
	unknown := map[status.Kind]string{
		status.NotConnected:       "nothing was ever there",
		status.NotPolled:          "nothing was ever there",
		status.SettingsFaulty:     "what was saved was right; a release takes it no more",
		status.SettingsIncomplete: "nothing was ever there",
		status.OtherAccount:       "the configuration was changed, of which no time is known",
		status.GrantEnding:        "it is to come: it says until when",
	}
	for _, row := range append(troubles(now, ago), kept(ago)) {
		s := well(now)
		row.change(&s)
		for _, p := range s.Answer().Problems {
			_, allowed := unknown[p.Kind]
			switch {
			case p.Since == nil && !allowed:
				t.Errorf("%s: %s does not say since when", row.name, p.Kind)
			case p.Since != nil && (allowed || p.Since.After(ago)):
				t.Errorf("%s: %s is since %s", row.name, p.Kind, p.Since)
			}
		}
	}
}

// constants are the values of a type's constants in a file.
func constants(t *testing.T, file, of string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == of {
				if value, ok := spec.Values[0].(*ast.BasicLit); ok {
					out = append(out, strings.Trim(value.Value, `"`))
				}
			}
		}
		return true
	})
	return out
}

// TestEveryAlarmAndEveryProblemIsTold (rule 7.4): whoever watches GET /api/status sees each alarm whose
// incident lasts, and there is no kind of problem that nothing brings about.
func TestEveryAlarmAndEveryProblemIsTold(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	told := map[status.Kind]bool{}
	ago := now.Add(-time.Hour)
	for _, row := range append(troubles(now, ago), kept(ago)) {
		s := well(now)
		row.change(&s)
		for _, p := range s.Answer().Problems {
			told[p.Kind] = true
		}
	}
	kinds := constants(t, "problems.go", "Kind")
	if len(kinds) < 30 {
		t.Fatalf("the kinds of problems are %q", kinds)
	}
	for _, kind := range kinds {
		if !told[status.Kind(kind)] {
			t.Errorf("nothing brings about the problem %s", kind)
		}
	}
	as := map[logging.AlarmKind][]status.Kind{
		logging.GrantRevoked: {status.ConnectionLost}, logging.GrantExpiring: {status.GrantEnding},
		logging.ClientRefused: {status.AccountRefused}, logging.AccountRefused: {status.AccountRefused, status.ServiceRefused},
		logging.MarkUnreadable: {status.MarkUnreadable}, logging.CalendarsOutOfReach: {status.OutOfReach}, logging.DeletionsHeld: {status.DeletionsHeld},
		logging.TakeoverNeeded: {status.TakeoverNeeded}, logging.ClockWrong: {status.ClockWrong},
		logging.QuotaExhausted: {status.GooglePause, status.CreationsPause, status.DailyLimit},
		logging.FullRunMissed:  {status.FullRunMissed}, logging.NoNotifications: {status.NoNotifications}, logging.CardsRefused: {status.CardsRefused},
		logging.ERPUnreadable: {status.ERPUnreadable, status.ERPUnread, status.ERPOdd, status.ERPKeyRefused},
		// It is over when it is told: nothing of it lasts, and nothing is kept of the message.
		logging.DeadLetterUnreadable: nil,
	}
	alarms := constants(t, "../logging/alarms.go", "AlarmKind")
	if len(alarms) < 14 {
		t.Fatalf("the alarms are %q", alarms)
	}
	for _, kind := range alarms {
		problems, known := as[logging.AlarmKind(kind)]
		if !known {
			t.Errorf("the alarm %s is no problem of the status", kind)
		}
		for _, p := range problems {
			if !told[p] {
				t.Errorf("the alarm %s is not told as %s", kind, p)
			}
		}
	}
}

// TestARefusedCardIsTold with how many there are, since when and why (rule 5.9), and only while
// cards are to be written.
func TestARefusedCardIsTold(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := well(now)
	s.Saved.Settings.CalendarIDField, s.Tally.RefusedCards = 7, store.RefusedCards{Count: 2, Since: now.Add(-time.Hour), Why: "no such field"}
	got := s.Answer()
	if since := now.Add(-time.Hour); got.State != "warning" || len(got.Problems) != 1 ||
		!reflect.DeepEqual(got.Problems[0], status.Trouble{Kind: "cards-refused", Level: status.Warn, Since: &since, Count: 2, Cause: "no such field"}) {
		t.Errorf("told %+v", got)
	}
	if s.Saved.Settings.CalendarIDField = 0; s.Answer().State != "ok" {
		t.Errorf("without a field: %+v", s.Problems())
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
