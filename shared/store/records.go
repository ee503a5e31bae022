package store

import (
	"context"
	"fmt"
	"time"
)

// ActivityRecord is one write to Google: what, to which key, by which cause,
// with hashes before and after and never people's data (rule 10.3).
type ActivityRecord struct {
	ID       string    `firestore:"id" json:"id"`
	At       time.Time `firestore:"at" json:"at"`
	Action   string    `firestore:"action" json:"action"` // e.g. "event.update"
	Task     int64     `firestore:"task,omitempty" json:"task,omitempty"`
	Employee int64     `firestore:"employee,omitempty" json:"employee,omitempty"`
	Calendar string    `firestore:"calendar,omitempty" json:"calendar,omitempty"`
	Event    string    `firestore:"event,omitempty" json:"event,omitempty"`
	Cause    string    `firestore:"cause,omitempty" json:"cause,omitempty"`
	Before   string    `firestore:"before,omitempty" json:"before,omitempty"`
	After    string    `firestore:"after,omitempty" json:"after,omitempty"`
	// Result is empty while announced, then "done" or the failure's kind.
	Result    string    `firestore:"result,omitempty" json:"result,omitempty"`
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// ActivityKept is how long activity is kept: deleted by the database's TTL.
const ActivityKept = 30 * 24 * time.Hour

// RecentActivity lists the latest activity first.
func (s *Store) RecentActivity(ctx context.Context, limit int) ([]ActivityRecord, error) {
	recs, err := query[ActivityRecord](ctx, s.b, Query{Collection: Activity, Field: "at", Op: Exists, Descending: true, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list activity: %w", err)
	}
	return recs, nil
}

// SettingsRecord holds the settings an admin saved, as JSON text.
type SettingsRecord struct {
	JSON    string    `firestore:"json" json:"json"`
	SavedAt time.Time `firestore:"saved_at" json:"saved_at"`
	SavedBy string    `firestore:"saved_by,omitempty" json:"saved_by,omitempty"`
	Version int64     `firestore:"version" json:"version"`
}

// SavedSettings reads the saved settings; found is false before the first save.
func (s *Store) SavedSettings(ctx context.Context) (rec SettingsRecord, found bool, err error) {
	found, err = s.b.Get(ctx, settingsRef(), &rec)
	if err != nil {
		return rec, false, fmt.Errorf("read settings: %w", err)
	}
	return rec, found, nil
}

// ErrStale means that somebody else saved first.
var ErrStale = fmt.Errorf("store: saved by somebody else meanwhile")

// SaveSettings stores settings on top of the version the admin saw (0: none yet).
func (s *Store) SaveSettings(ctx context.Context, json, by string, seen int64) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var rec SettingsRecord
		if _, err := tx.Get(settingsRef(), &rec); err != nil {
			return err
		}
		if rec.Version == seen+1 && rec.JSON == json && rec.SavedBy == by {
			return nil // saved already: the answer to the commit was lost
		}
		if rec.Version != seen {
			return ErrStale
		}
		return tx.Set(settingsRef(), &SettingsRecord{JSON: json, SavedAt: tx.Now(), SavedBy: by, Version: seen + 1})
	})
	if err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	return nil
}

// SignInRecord is a sign-in or connection under way at OAuth (functions/README.md,
// Sign-in hand-over). It is found by the hash of the state parameter.
type SignInRecord struct {
	ID      string `firestore:"id" json:"id"`
	Purpose string `firestore:"purpose" json:"purpose"`
	// Browser is the hash of OAuth's own cookie, Console that of the console's N.
	Browser   string    `firestore:"browser" json:"browser"`
	Console   string    `firestore:"console" json:"console"`
	Verifier  string    `firestore:"verifier" json:"verifier"`
	Nonce     string    `firestore:"nonce" json:"nonce"`
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// TicketRecord hands a result from one site to the other, once.
type TicketRecord struct {
	ID        string    `firestore:"id" json:"id"` // H(ticket)
	Sub       string    `firestore:"sub" json:"sub"`
	Email     string    `firestore:"email" json:"email"`
	Purpose   string    `firestore:"purpose" json:"purpose"`
	Console   string    `firestore:"console" json:"console"` // H(N)
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// PutSignIn keeps a sign-in until it is taken or expires after ttl.
func (s *Store) PutSignIn(ctx context.Context, rec SignInRecord, ttl time.Duration) error {
	return s.putExpiring(ctx, Ref{SignIns, rec.ID}, func(until time.Time) any { rec.ExpiresAt = until; return &rec }, ttl)
}

// TakeSignIn consumes a sign-in; found is false if there is none (any more).
func (s *Store) TakeSignIn(ctx context.Context, id string) (rec SignInRecord, found bool, err error) {
	found, err = s.takeExpiring(ctx, Ref{SignIns, id}, func() any { rec = SignInRecord{}; return &rec }, func() time.Time { return rec.ExpiresAt })
	return rec, found, err
}

// PutTicket keeps a ticket until it is taken or expires after ttl.
func (s *Store) PutTicket(ctx context.Context, rec TicketRecord, ttl time.Duration) error {
	return s.putExpiring(ctx, Ref{Tickets, rec.ID}, func(until time.Time) any { rec.ExpiresAt = until; return &rec }, ttl)
}

// TakeTicket consumes a ticket; found is false if there is none (any more).
func (s *Store) TakeTicket(ctx context.Context, id string) (rec TicketRecord, found bool, err error) {
	found, err = s.takeExpiring(ctx, Ref{Tickets, id}, func() any { rec = TicketRecord{}; return &rec }, func() time.Time { return rec.ExpiresAt })
	return rec, found, err
}

func (s *Store) putExpiring(ctx context.Context, ref Ref, doc func(until time.Time) any, ttl time.Duration) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		// The read gives the database's clock.
		if _, err := tx.Get(installationRef(), &InstallationRecord{}); err != nil {
			return err
		}
		return tx.Set(ref, doc(tx.Now().Add(ttl)))
	})
	if err != nil {
		return fmt.Errorf("keep %s: %w", ref.Collection, err)
	}
	return nil
}

func (s *Store) takeExpiring(ctx context.Context, ref Ref, into func() any, expires func() time.Time) (bool, error) {
	taken := false
	err := s.b.Transact(ctx, func(tx Tx) error {
		taken = false
		found, err := tx.Get(ref, into())
		if err != nil || !found {
			return err
		}
		// TTL deletes only within about a day, so expiry is judged here.
		taken = tx.Now().Before(expires())
		return tx.Delete(ref)
	})
	if err != nil {
		return false, fmt.Errorf("take %s: %w", ref.Collection, err)
	}
	return taken, nil
}

// DeadLetterRecord is a message that gave up, kept until its key succeeds.
type DeadLetterRecord struct {
	ID         string    `firestore:"id" json:"id"`
	Collection string    `firestore:"collection" json:"collection"`
	Key        int64     `firestore:"key" json:"key"`
	Cause      string    `firestore:"cause,omitempty" json:"cause,omitempty"`
	Attempts   int       `firestore:"attempts,omitempty" json:"attempts,omitempty"`
	At         time.Time `firestore:"at" json:"at"`
}

// RecordDeadLetter records that a message for a key gave up.
func (s *Store) RecordDeadLetter(ctx context.Context, key Key, cause string, attempts int) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec, err := readKey(tx, key)
		if err != nil {
			return err
		}
		w := rec.work()
		now := tx.Now()
		w.DeadLetter = true
		w.Dirty++
		if w.PendingSince.IsZero() {
			w.PendingSince = now
		}
		// Nobody else brings up a key at rest whose message is gone (rule 1.4).
		if w.DueAt.IsZero() {
			w.DueAt = now
		}
		ref := deadLetterRef(key)
		if err := tx.Set(ref, &DeadLetterRecord{ID: ref.ID, Collection: string(key.Collection), Key: key.ID, Cause: cause, Attempts: attempts, At: now}); err != nil {
			return err
		}
		return tx.Set(key.ref(), rec)
	})
	if err != nil {
		return fmt.Errorf("record the dead letter of %s: %w", key, err)
	}
	return nil
}

// DeadLetters lists what gave up, the oldest first.
func (s *Store) DeadLetters(ctx context.Context, limit int) ([]DeadLetterRecord, error) {
	recs, err := query[DeadLetterRecord](ctx, s.b, Query{Collection: DeadLetters, Field: "at", Op: Exists, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return recs, nil
}

// PollRecord is what Poll remembers between its runs.
type PollRecord struct {
	// Watermark is the ERP's wall clock up to which changes are published, as the
	// ERP spells dates ("2006-01-02 15:04:05").
	Watermark string    `firestore:"watermark,omitempty" json:"watermark,omitempty"`
	RanAt     time.Time `firestore:"ran_at,omitempty" json:"ran_at,omitzero"`
	// Offset is the ERP's UTC offset in seconds at the last run.
	Offset int `firestore:"offset,omitempty" json:"offset,omitempty"`
	// Alarms are the incidents that Poll has raised and not ended, by kind.
	Alarms map[string]string `firestore:"alarms,omitempty" json:"alarms,omitempty"`
	// Shown is the compact set of the ids of tasks in shown states; Missing those
	// that the last poll lacked for the first time.
	Shown   []byte  `firestore:"shown,omitempty" json:"shown,omitempty"`
	Missing []int64 `firestore:"missing,omitempty" json:"missing,omitempty"`
	// Flood is the compact set of the ids for which a full run was started because
	// too many had changed at once, as long as the overlap lists them; FloodedAt is
	// that moment by the ERP's clock.
	Flood     []byte    `firestore:"flood,omitempty" json:"flood,omitempty"`
	FloodedAt time.Time `firestore:"flooded_at,omitempty" json:"flooded_at,omitzero"`
	// Changed maps task ids seen in the overlap to their date.update.
	Changed map[string]string `firestore:"changed,omitempty" json:"changed,omitempty"`
	// Before is the database's time before what is remembered was listed.
	Before time.Time `firestore:"before,omitempty" json:"before,omitzero"`
	// Hashes maps employee ids to a hash of what matters of their card.
	Hashes map[string]string `firestore:"hashes,omitempty" json:"hashes,omitempty"`
}

// Poll reads what Poll remembers under a name ("tasks", "employees").
func (s *Store) Poll(ctx context.Context, what string) (rec PollRecord, found bool, err error) {
	found, err = s.b.Get(ctx, pollRef(what), &rec)
	if err != nil {
		return rec, false, fmt.Errorf("read poll %s: %w", what, err)
	}
	return rec, found, nil
}

// SavePoll stores what Poll remembers, at the database's time.
func (s *Store) SavePoll(ctx context.Context, what string, rec PollRecord) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var before PollRecord
		if _, err := tx.Get(pollRef(what), &before); err != nil {
			return err
		}
		rec.RanAt = tx.Now()
		return tx.Set(pollRef(what), &rec)
	})
	if err != nil {
		return fmt.Errorf("save poll %s: %w", what, err)
	}
	return nil
}

// PutOffRecord is a full run that could not begin, for Poll to start again. It
// stands for what a key's due_at is to a key.
type PutOffRecord struct {
	Cause string `firestore:"cause" json:"cause"`
	// DueAt is zero while the message is on its way again.
	DueAt time.Time `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	// Count is how often in a row it could not begin.
	Count int `firestore:"count" json:"count"`
	// Kind is why, the last time.
	Kind string `firestore:"kind" json:"kind"`
}

func putOffRef() Ref { return Ref{Polls, "put-off"} }

// PutOffRun records that a full run could not begin and gives when it is due
// again: in a minute, doubling to an hour.
func (s *Store) PutOffRun(ctx context.Context, cause, kind string) (due time.Time, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		var rec PutOffRecord
		if _, err := tx.Get(putOffRef(), &rec); err != nil {
			return err
		}
		due = tx.Now().Add(min(time.Minute<<min(rec.Count, 6), time.Hour))
		return tx.Set(putOffRef(), &PutOffRecord{Cause: cause, DueAt: due, Count: rec.Count + 1, Kind: kind})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("put off a full run: %w", err)
	}
	return due, nil
}

// PutOff reads the full run that waits to begin; the zero value for none.
func (s *Store) PutOff(ctx context.Context) (PutOffRecord, error) {
	var rec PutOffRecord
	if _, err := s.b.Get(ctx, putOffRef(), &rec); err != nil {
		return rec, fmt.Errorf("read the full run that was put off: %w", err)
	}
	return rec, nil
}

// RunSent notes that a put-off run was published again; RunBegan that one began,
// so that none is waiting any more.
func (s *Store) RunSent(ctx context.Context, due time.Time) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var rec PutOffRecord
		found, err := tx.Get(putOffRef(), &rec)
		if err != nil || !found || !rec.DueAt.Equal(due) {
			return err // put off anew meanwhile
		}
		rec.DueAt = time.Time{}
		return tx.Set(putOffRef(), &rec)
	})
	if err != nil {
		return fmt.Errorf("note that a full run was sent: %w", err)
	}
	return nil
}

// RunBegan notes that a full run began: see RunSent.
func (s *Store) RunBegan(ctx context.Context) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		found, err := tx.Get(putOffRef(), &PutOffRecord{})
		if err != nil || !found {
			return err
		}
		return tx.Delete(putOffRef())
	})
	if err != nil {
		return fmt.Errorf("note that a full run began: %w", err)
	}
	return nil
}
