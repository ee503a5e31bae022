package store

import (
	"cmp"
	"context"
	"time"
	_ "time/tzdata" // rule 9.5: Google's day is Pacific time on every host

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// AccountRecord is the central Google account: who it is and its sealed grant.
type AccountRecord struct {
	// Sub is Google's stable id of the account, and the record's id.
	Sub      string   `firestore:"sub" json:"sub"`
	Email    string   `firestore:"email" json:"email"`
	ClientID string   `firestore:"client_id" json:"client_id"`
	Scopes   []string `firestore:"scopes,omitempty" json:"scopes,omitempty"`
	// Sealed is the encrypted refresh token; SealPath(sub) and Sub are bound in
	// as additional data.
	Sealed []byte `firestore:"sealed,omitempty" json:"sealed,omitempty"`
	// Version grows with every connection, so that an error of an old token never
	// disconnects a new one (rule 7.5).
	Version     int64     `firestore:"version" json:"version"`
	Connected   bool      `firestore:"connected" json:"connected"`
	ConnectedAt time.Time `firestore:"connected_at" json:"connected_at"`
	// GrantExpiresAt is when the grant will die by itself; zero when it will not.
	GrantExpiresAt time.Time `firestore:"grant_expires_at,omitempty" json:"grant_expires_at,omitzero"`
	// SuspectSince is when this version was first refused with invalid_grant.
	SuspectSince   time.Time `firestore:"suspect_since,omitempty" json:"suspect_since,omitzero"`
	DisconnectedAt time.Time `firestore:"disconnected_at,omitempty" json:"disconnected_at,omitzero"`
	Disconnected   string    `firestore:"disconnected,omitempty" json:"disconnected,omitempty"`
	// Alarmed is the version whose lost grant was told in an alarm that has not ended;
	// 0: none.
	Alarmed int64 `firestore:"alarmed,omitempty" json:"alarmed,omitempty"`
	// Incident is what keeps the whole account out, nil for nothing; Suspected are
	// refusals that may come to be one (rule 7.7).
	Incident  *IncidentRecord  `firestore:"incident,omitempty" json:"incident,omitempty"`
	Suspected []IncidentRecord `firestore:"suspected,omitempty" json:"suspected,omitempty"`
	// PausedUntil holds writes back after `quotaExceeded` (rule 6.6).
	PausedUntil time.Time `firestore:"paused_until,omitempty" json:"paused_until,omitzero"`
	// PauseSeconds is the length of the latest such pause, from which the next one
	// doubles; 0 once Google took a write again.
	PauseSeconds int64 `firestore:"pause_seconds,omitempty" json:"pause_seconds,omitempty"`
	// PauseReason is Google's word for why; "" in records of before it was kept.
	PauseReason string `firestore:"pause_reason,omitempty" json:"pause_reason,omitempty"`
	// CreationsPausedUntil and its neighbours are the same for a pause of making and
	// sharing calendars alone.
	CreationsPausedUntil  time.Time `firestore:"creations_paused_until,omitempty" json:"creations_paused_until,omitzero"`
	CreationsPauseSeconds int64     `firestore:"creations_pause_seconds,omitempty" json:"creations_pause_seconds,omitempty"`
	CreationsPauseReason  string    `firestore:"creations_pause_reason,omitempty" json:"creations_pause_reason,omitempty"`
	// Learned are the caps of creations that refusals have taught; nil for none.
	Learned *LearnedCaps `firestore:"learned,omitempty" json:"learned,omitempty"`
}

// creationsAfter is how long after a pause of all writes, which nothing has proved to be
// over, calendars wait for what is live: Poll, which sends that first, comes every five
// minutes.
const creationsAfter = 6 * time.Minute

// CreationsResume is when calendars may be made and shared again: a pause of all writes
// pauses that, too, and what is live goes first after it.
func (a AccountRecord) CreationsResume() time.Time {
	writes := a.PausedUntil
	if a.PauseSeconds > 0 {
		writes = writes.Add(creationsAfter)
	}
	return later(a.CreationsPausedUntil, writes)
}

// PausedFor is Google's reason for the pause that is in force, of all writes before one of
// creations; "" while there is none.
func (a AccountRecord) PausedFor(now time.Time) string {
	switch {
	case now.Before(a.PausedUntil):
		return cmp.Or(a.PauseReason, failure.ReasonQuota)
	case now.Before(a.CreationsPausedUntil):
		return cmp.Or(a.CreationsPauseReason, failure.ReasonQuota)
	}
	return ""
}

// PausedSince is when the pause that is in force began; zero while there is none.
func (a AccountRecord) PausedSince(now time.Time) time.Time {
	length := func(seconds int64) time.Duration { return time.Duration(seconds) * time.Second }
	switch {
	case now.Before(a.PausedUntil) && a.PauseSeconds > 0:
		return a.PausedUntil.Add(-length(a.PauseSeconds))
	case now.Before(a.PausedUntil):
	case now.Before(a.CreationsPausedUntil) && a.CreationsPauseSeconds > 0:
		return a.CreationsPausedUntil.Add(-length(a.CreationsPauseSeconds))
	}
	return time.Time{}
}

// SealPath names the record of the account sub; its Sealed is bound to this name.
func SealPath(sub string) string { return string(Accounts) + "/" + sub }

func accountRef(sub string) Ref { return Ref{Accounts, sub} }

// Account reads the account that the installation uses, ErrNotConnected if none. It
// is two reads: an account that replaces this one in between is missed.
func (s *Store) Account(ctx context.Context) (AccountRecord, error) {
	in, err := s.Installation(ctx)
	if err != nil {
		return AccountRecord{}, err
	}
	return s.AccountOf(ctx, in)
}

// AccountOf reads the account that an installation as read before uses,
// ErrNotConnected if none.
func (s *Store) AccountOf(ctx context.Context, in InstallationRecord) (AccountRecord, error) {
	if in.Account == "" {
		return AccountRecord{}, ErrNotConnected
	}
	a, found, err := get[AccountRecord](ctx, s, "read the account", accountRef(in.Account))
	if err == nil && !found {
		err = ErrNotConnected
	}
	return a, err
}

// Connect records a new grant under the next version. While calendars are owned
// (known tells), another account or client is ErrOtherAccount. Made again it counts
// the version once more.
func (s *Store) Connect(ctx context.Context, a AccountRecord, known bool) (AccountRecord, error) {
	err := s.transact(ctx, "record the connection", func(tx Tx) error {
		var in InstallationRecord
		if _, err := tx.Get(installationRef(), &in); err != nil {
			return err
		}
		var before AccountRecord
		if _, err := tx.Get(accountRef(a.Sub), &before); err != nil {
			return err
		}
		if known && in.Account != "" && (in.Account != a.Sub || before.ClientID != a.ClientID) {
			return ErrOtherAccount
		}
		a.Version = before.Version + 1
		a.Connected, a.ConnectedAt = true, tx.Now()
		a.SuspectSince, a.DisconnectedAt, a.Disconnected = time.Time{}, time.Time{}, ""
		a.PausedUntil, a.CreationsPausedUntil = before.PausedUntil, before.CreationsPausedUntil
		a.Alarmed = before.Alarmed
		a.PauseSeconds, a.CreationsPauseSeconds = before.PauseSeconds, before.CreationsPauseSeconds
		a.PauseReason, a.CreationsPauseReason = before.PauseReason, before.CreationsPauseReason
		a.Incident, a.Learned = before.afterConnecting(), before.Learned
		if in.Account != a.Sub {
			in.Account = a.Sub
			if err := tx.Set(installationRef(), &in); err != nil {
				return err
			}
		}
		return tx.Set(accountRef(a.Sub), &a)
	})
	if err != nil {
		return AccountRecord{}, err
	}
	return a, nil
}

// GrantRefused records that Google refused the grant of a version for good. The
// first refusal only makes it suspect; one that comes at least repeat later
// disconnects (rule 7.5). A newer version stays as it is. It reports whether this
// call disconnected it.
func (s *Store) GrantRefused(ctx context.Context, sub string, version int64, reason string, repeat time.Duration) (disconnected bool, err error) {
	err = s.changeAccount(ctx, "record the refused grant", sub, func(a *AccountRecord, now time.Time) bool {
		disconnected = false
		switch {
		case a.Version != version || !a.Connected:
			return false
		case a.SuspectSince.IsZero():
			a.SuspectSince = now
		case now.Sub(a.SuspectSince) < repeat:
			return false
		default:
			a.Connected, a.DisconnectedAt, a.Disconnected = false, now, reason
			disconnected = true
		}
		return true
	})
	return disconnected && err == nil, err
}

// GrantAlarmed remembers that the alarm of a version's lost grant was told, or
// with version 0 that it was ended, so that Poll tells only what its maker did not
// live to tell.
func (s *Store) GrantAlarmed(ctx context.Context, sub string, version int64) error {
	return s.changeAccount(ctx, "remember the alarm of the grant", sub, func(a *AccountRecord, _ time.Time) bool {
		changed := a.Alarmed != version
		a.Alarmed = version
		return changed
	})
}

// afterConnecting is what stays of an incident when a new grant was just given: the
// token endpoint works, and the Calendar API is asked at once.
func (a AccountRecord) afterConnecting() *IncidentRecord {
	if a.Incident == nil || a.Incident.At == AtToken {
		return nil
	}
	in := *a.Incident
	in.ProbedAt = time.Time{}
	return &in
}

// GrantWorks clears a suspicion against a version, and ends an incident of the token
// endpoint.
func (s *Store) GrantWorks(ctx context.Context, sub string, version int64) error {
	return s.changeAccount(ctx, "clear the suspicion", sub, func(a *AccountRecord, _ time.Time) bool {
		if a.Version != version {
			return false
		}
		suspect := !a.SuspectSince.IsZero()
		a.SuspectSince = time.Time{}
		return a.works(AtToken) || suspect
	})
}

// nextDay is when Google counts a day's calls anew: the next midnight Pacific time.
func nextDay(now time.Time) time.Time {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		zone = time.FixedZone("PST", -8*60*60) // an hour late in summer
	}
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone).UTC()
}

// How long Google's `quotaExceeded` pauses what it concerns: doubling with each
// refusal in a row (rule 6.6).
const (
	firstPause   = 15 * time.Minute
	longestPause = 6 * time.Hour
)

// pauseFields are where an account keeps one of its pauses.
type pauseFields func(*AccountRecord) (until *time.Time, seconds *int64, reason *string)

func writesPause(a *AccountRecord) (until *time.Time, seconds *int64, reason *string) {
	return &a.PausedUntil, &a.PauseSeconds, &a.PauseReason
}

func creationsPause(a *AccountRecord) (until *time.Time, seconds *int64, reason *string) {
	return &a.CreationsPausedUntil, &a.CreationsPauseSeconds, &a.CreationsPauseReason
}

// PauseWrites records that Google refused an event for a limit of that reason, and gives
// until when all writes pause; a limit of the day ends with Google's day. Refusals during a pause, of calls that were on
// their way when it began, do not lengthen it. An account nobody knows does not
// pause: the time is zero.
func (s *Store) PauseWrites(ctx context.Context, sub, reason string) (until time.Time, err error) {
	return s.pause(ctx, sub, reason, writesPause)
}

// PauseCreations is PauseWrites for a refusal of making or sharing a calendar,
// which pauses only that.
func (s *Store) PauseCreations(ctx context.Context, sub, reason string) (until time.Time, err error) {
	return s.pause(ctx, sub, reason, creationsPause)
}

// WritesWork records that Google accepted an event's write: the next pause is a
// first one again. During a pause it changes nothing, for then the write was on
// its way before the refusal.
func (s *Store) WritesWork(ctx context.Context, sub string) error {
	return s.endPause(ctx, sub, writesPause)
}

// CreationsWork is WritesWork for making and sharing calendars.
func (s *Store) CreationsWork(ctx context.Context, sub string) error {
	return s.endPause(ctx, sub, creationsPause)
}

func (s *Store) pause(ctx context.Context, sub, reason string, fields pauseFields) (end time.Time, err error) {
	err = s.changeAccount(ctx, "record the pause", sub, func(a *AccountRecord, now time.Time) bool {
		until, seconds, why := fields(a)
		begins := !now.Before(*until)
		if begins {
			length := min(max(firstPause, 2*time.Duration(*seconds)*time.Second), longestPause)
			if reason == failure.ReasonDailyLimit {
				// What is left of the day may be less than a second, and is a pause all the same.
				length = min(length, max(time.Second, nextDay(now).Sub(now)))
			}
			*until, *seconds, *why = now.Add(length), int64(length/time.Second), reason
		}
		end = *until
		return begins
	})
	if err != nil {
		return time.Time{}, err
	}
	return end, nil
}

func (s *Store) endPause(ctx context.Context, sub string, fields pauseFields) error {
	return s.changeAccount(ctx, "record the pause's end", sub, func(a *AccountRecord, now time.Time) bool {
		until, seconds, why := fields(a)
		if *seconds == 0 || now.Before(*until) {
			return false
		}
		*until, *seconds, *why = time.Time{}, 0, ""
		return true
	})
}

// changeAccount changes an account that is known, if f says that it did.
func (s *Store) changeAccount(ctx context.Context, doing, sub string, f func(a *AccountRecord, now time.Time) (changed bool)) error {
	return change(ctx, s, doing, accountRef(sub), func(a *AccountRecord, found bool, now time.Time) effect {
		if found && f(a, now) {
			return set
		}
		return nothing
	})
}
