package store

import (
	"context"
	"time"
)

// DeadLetterRecord is a message that gave up, kept until its key succeeds.
type DeadLetterRecord struct {
	ID         string `firestore:"id" json:"id"`
	Collection string `firestore:"collection" json:"collection"`
	Key        int64  `firestore:"key" json:"key"`
	Cause      string `firestore:"cause,omitempty" json:"cause,omitempty"`
	Attempts   int    `firestore:"attempts,omitempty" json:"attempts,omitempty"`
	// At is since when it has given up, and LastAt when it did so last; zero where that is once.
	At     time.Time `firestore:"at" json:"at"`
	LastAt time.Time `firestore:"last_at,omitempty" json:"last_at,omitzero"`
}

// Last is when it gave up last.
func (d DeadLetterRecord) Last() time.Time { return later(d.At, d.LastAt) }

func deadLetterRef(key Key) Ref {
	return Ref{DeadLetters, string(key.Collection) + "-" + docID(key.ID)}
}

// RecordDeadLetter records that a message for a key gave up, and marks the key dirty.
func (s *Store) RecordDeadLetter(ctx context.Context, key Key, cause string, attempts int) error {
	return s.changeAny(ctx, "record the dead letter of", key, func(tx Tx, rec keyed) (effect, error) {
		w, now, ref := rec.work(), tx.Now(), deadLetterRef(key)
		letter := DeadLetterRecord{At: now}
		if _, err := tx.Get(ref, &letter); err != nil {
			return nothing, err
		}
		if letter.At.Before(now) {
			letter.LastAt = now
		}
		letter.ID, letter.Collection, letter.Key, letter.Cause, letter.Attempts = ref.ID, string(key.Collection), key.ID, cause, attempts
		w.DeadLetter = true
		w.markDirty(now)
		// Nobody else brings up a key at rest whose message is gone (rule 1.4).
		if w.DueAt.IsZero() {
			w.DueAt = now
		}
		return set, tx.Set(ref, &letter)
	})
}

// DismissFailure hides why a key's last pass failed for as long as it fails for the same
// cause, and forgets that a message of it gave up. The key is tried again all the same. It
// needs no lease.
func (s *Store) DismissFailure(ctx context.Context, key Key) error {
	return s.changeAny(ctx, "dismiss the failure of", key, func(tx Tx, rec keyed) (effect, error) {
		w := rec.work()
		if w.Failure == nil && !w.DeadLetter {
			return nothing, nil
		}
		if w.Failure != nil {
			f := *w.Failure
			f.Dismissed = true
			w.Failure = &f
			w.failed(tx.Now())
		}
		if !w.DeadLetter {
			return set, nil
		}
		w.DeadLetter = false
		return set, tx.Delete(deadLetterRef(key))
	})
}

// DeadLetters lists what gave up and did not succeed since, the longest first; limit 0
// means all.
func (s *Store) DeadLetters(ctx context.Context, limit int) ([]DeadLetterRecord, error) {
	return query[DeadLetterRecord](ctx, s, "list dead letters", Query{Collection: DeadLetters, Field: "at", Op: Exists, Limit: limit})
}
