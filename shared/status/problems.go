package status

import (
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Level says whom a problem needs.
type Level string

// The levels, the worst first.
const (
	Bad  Level = "bad"  // somebody has to do something now
	Warn Level = "warn" // somebody should look
	Wait Level = "wait" // it goes on by itself
)

// Kind names a problem; the values are part of the contract (functions/README.md, Status).
type Kind string

// The kinds.
const (
	TakeoverNeeded     Kind = "takeover-needed"
	TakingOver         Kind = "taking-over"
	Purging            Kind = "purging"
	SettingsFaulty     Kind = "settings-faulty"
	SettingsIncomplete Kind = "settings-incomplete"
	NotConnected       Kind = "not-connected"
	ConnectionLost     Kind = "connection-lost"
	AccountRefused     Kind = "account-refused"
	OutOfReach         Kind = "calendars-out-of-reach"
	ERPKeyRefused      Kind = "erp-key-refused"
	ERPUnread          Kind = "erp-unread"
	ERPOdd             Kind = "erp-odd"
	ClockWrong         Kind = "clock-wrong"
	PollOverdue        Kind = "poll-overdue"
	ServiceRefused     Kind = "service-refused"
	DeletionsHeld      Kind = "deletions-held"
	GaveUp             Kind = "gave-up"
	EmployeesFailed    Kind = "employees-failed"
	FullRunMissed      Kind = "full-run-missed"
	GrantEnding        Kind = "grant-ending"
	Unconfirmed        Kind = "unconfirmed"
	Paused             Kind = "paused"
	OtherAccount       Kind = "other-account"
	Suspect            Kind = "suspect"
	ChangeLate         Kind = "change-late"
	TasksFailed        Kind = "tasks-failed"
	Kept               Kind = "kept"
	SameAddress        Kind = "same-address"
	GooglePause        Kind = "google-pause"
	CreationsPause     Kind = "creations-pause"
	DailyLimit         Kind = "daily-limit"
	Queue              Kind = "queue"
	NotPolled          Kind = "not-polled"
	MarkUnreadable     Kind = "mark-unreadable"
	ERPUnreadable      Kind = "erp-unreadable"
	NoNotifications    Kind = "no-notifications"
	CardsRefused       Kind = "cards-refused"
)

// Problem is one thing that is not as it ought to be.
type Problem struct {
	Kind  Kind
	Level Level
	// Since is when it began and Until when it ends by itself; zero where that is not known.
	Since, Until time.Time
	// Count is how many it concerns; 0 where that is no question.
	Count int
	// Detail is what the other side said, in technical words; "" for nothing.
	Detail string
}

const (
	// PollEvery is how often Poll is called.
	PollEvery = 5 * time.Minute
	// PollSilent is how long it may be missing: what it looked at longer ago is not known any more.
	PollSilent = 15 * time.Minute
	// LateChange is the age from which a change that is not applied is a problem.
	LateChange = 10 * time.Minute
	// grantNotice is how long before a grant's end that is one.
	grantNotice = 48 * time.Hour
)

// Problems lists what is wrong, the worst first. Nothing means that all is right: the
// account, the ERP and its clock, the poll, the queue, what is held and what gave up were
// looked at, within the last poll's time.
func (s Status) Problems() []Problem {
	var out []Problem
	out = append(out, s.ofSettings()...)
	out = append(out, s.ofAccount()...)
	out = append(out, s.ofERP()...)
	// What keeps everything waiting is told, not what waits because of it.
	stopped := slices.ContainsFunc(out, func(p Problem) bool { return p.Level == Bad || p.Kind == Unconfirmed || p.Kind == Paused })
	out = append(out, s.ofWork(stopped)...)
	slices.SortStableFunc(out, func(a, b Problem) int { return levelRank(a.Level) - levelRank(b.Level) })
	return out
}

func levelRank(l Level) int { return slices.Index([]Level{Bad, Warn, Wait}, l) }

func (s Status) ofSettings() []Problem {
	var out []Problem
	switch in := s.Installation; {
	case in.Undecided():
		out = append(out, Problem{Kind: TakeoverNeeded, Level: Bad, Since: in.TakeoverAsked, Count: s.Found.There()})
	case in.TakingOver != "":
		out = append(out, Problem{Kind: TakingOver, Level: Wait, Since: in.TakingOverSince})
	}
	purge := s.Installation.Purge
	if purge.Open() {
		out = append(out, Problem{Kind: Purging, Level: Bad, Since: purge.StartedAt, Count: purge.Calendars})
	}
	switch {
	case len(s.Saved.Faults) > 0:
		out = append(out, Problem{Kind: SettingsFaulty, Level: Bad, Detail: s.Saved.Faults.Error()})
	case len(s.Saved.Missing) > 0:
		out = append(out, Problem{Kind: SettingsIncomplete, Level: Bad, Count: len(s.Saved.Missing)})
	case purge.Open():
	case !s.Saved.Settings.Enabled:
		out = append(out, Problem{Kind: Paused, Level: Warn, Since: s.Saved.At})
	case !s.Saved.Settings.Confirmed:
		out = append(out, Problem{Kind: Unconfirmed, Level: Warn, Since: s.Saved.At})
	}
	if purge != nil && !purge.Open() && !purge.Stopped && purge.Kept > 0 && !s.Saved.Settings.Enabled {
		out = append(out, Problem{Kind: Kept, Level: Warn, Since: purge.EndedAt, Count: purge.Kept})
	}
	return out
}

func (s Status) ofAccount() []Problem {
	a := s.Account
	switch {
	case !s.Ever:
		return []Problem{{Kind: NotConnected, Level: Bad}}
	case !s.Connected:
		return []Problem{{Kind: ConnectionLost, Level: Bad, Since: a.DisconnectedAt, Detail: a.Disconnected}}
	}
	var out []Problem
	if in := a.Incident; in != nil {
		kind := ServiceRefused
		if in.StopsAll() {
			kind = AccountRefused
		}
		out = append(out, Problem{Kind: kind, Level: Bad, Since: in.Since, Detail: incidents.Text(in.Refusal)})
	}
	if end := a.GrantExpiresAt; !end.IsZero() && end.Sub(s.Now) <= grantNotice {
		out = append(out, Problem{Kind: GrantEnding, Level: Bad, Until: end})
	}
	if s.Expected != "" && !signin.SameAddress(a.Email, s.Expected) {
		out = append(out, Problem{Kind: OtherAccount, Level: Warn, Detail: a.Email})
	}
	if m := s.Installation.Unreadable; m != nil {
		out = append(out, Problem{Kind: MarkUnreadable, Level: Bad, Since: m.Since})
	}
	if !a.SuspectSince.IsZero() {
		out = append(out, Problem{Kind: Suspect, Level: Warn, Since: a.SuspectSince})
	}
	switch {
	case s.Now.Before(a.PausedUntil):
		out = append(out, Problem{Kind: pauseKind(GooglePause, a, s.Now), Level: Wait, Since: a.PausedSince(s.Now), Until: a.PausedUntil})
	case s.Now.Before(a.CreationsPausedUntil):
		out = append(out, Problem{Kind: pauseKind(CreationsPause, a, s.Now), Level: Wait, Since: a.PausedSince(s.Now), Until: a.CreationsPausedUntil})
	}
	return out
}

// pauseKind is a pause's kind: the day's limit is the project's, and another thing to do
// something about.
func pauseKind(kind Kind, a store.AccountRecord, now time.Time) Kind {
	if a.PausedFor(now) == failure.ReasonDailyLimit {
		return DailyLimit
	}
	return kind
}

// ofERP judges the ERP and the poll by the last poll's record. While syncing is off, Poll
// does not read the ERP, and nothing is known of it.
func (s Status) ofERP() []Problem {
	o := s.Poll
	if !s.Polled {
		return []Problem{{Kind: NotPolled, Level: Wait}}
	}
	var out []Problem
	if s.Now.Sub(o.RanAt) > PollSilent {
		out = append(out, Problem{Kind: PollOverdue, Level: Bad, Since: o.RanAt})
	}
	if o.Paused {
		return out
	}
	if f := o.Failing; f != nil {
		kind := ERPUnread
		switch f.Kind {
		case failure.Misconfigured:
			kind = ERPKeyRefused
		case failure.SourceInvalid:
			kind = ERPOdd
		}
		out = append(out, Problem{Kind: kind, Level: Bad, Since: o.FailingSince, Detail: f.Message})
	} else if n := len(o.Unreadable); n > 0 {
		out = append(out, Problem{Kind: ERPUnreadable, Level: Warn, Since: o.UnreadableSince, Count: n, Detail: strings.Join(o.Unreadable, "; ")})
	}
	if !o.ApartSince.IsZero() {
		out = append(out, Problem{Kind: ClockWrong, Level: Bad, Since: o.ApartSince, Count: int(o.Apart / 60)})
	}
	if !o.RunMissedSince.IsZero() {
		out = append(out, Problem{Kind: FullRunMissed, Level: Bad, Since: o.RunMissedSince})
	}
	if n := s.Notifications; n.Silent(s.Now) {
		out = append(out, Problem{Kind: NoNotifications, Level: Warn, Since: n.LastAt, Count: n.Polled})
	}
	if c := s.Tally.RefusedCards; c.Count > 0 && s.Saved.Settings.CalendarIDField != 0 {
		out = append(out, Problem{Kind: CardsRefused, Level: Warn, Since: c.Since, Count: c.Count, Detail: c.Why})
	}
	if n := len(o.SameAddress); n > 0 {
		out = append(out, Problem{Kind: SameAddress, Level: Warn, Since: o.SameAddressSince, Count: n})
	}
	return out
}

// ofWork judges what is done and what is not.
func (s Status) ofWork(stopped bool) []Problem {
	var out []Problem
	add := func(kind Kind, level Level, n int, since time.Time) {
		if n > 0 {
			out = append(out, Problem{Kind: kind, Level: level, Since: since, Count: n})
		}
	}
	add(DeletionsHeld, Bad, s.Tally.HeldEmployees+s.Tally.HeldTasks, s.Tally.HeldSince)
	add(GaveUp, Bad, s.Tally.DeadLetters, s.Tally.GaveUpSince)
	add(EmployeesFailed, Bad, s.Tally.Employees[store.StateError], s.Tally.ErrorSince)
	if n := s.Poll.Unreached; n > 0 && s.Connected {
		out = append(out, Problem{Kind: OutOfReach, Level: Bad, Since: s.Poll.UnreachedSince, Count: n})
	}
	if !stopped {
		since := s.Tally.OldestPending()
		if len(s.Waiting) > 0 {
			since = s.Tally.OldestTask // who waits for a calendar is told of by itself
		}
		if !since.IsZero() && s.Now.Sub(since) > LateChange {
			out = append(out, Problem{Kind: ChangeLate, Level: Warn, Since: since, Count: s.Tally.PendingTasks})
		}
		add(TasksFailed, Warn, s.Tally.FailedTasks, s.Tally.FailedSince)
	}
	if n := len(s.Waiting); n > 0 {
		out = append(out, Problem{Kind: Queue, Level: Wait, Count: n, Since: s.Waiting[0].Asked, Until: s.Waiting[n-1].At})
	}
	return out
}
