package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Key addresses what a message points to: a task or an employee.
type Key struct {
	Collection Collection
	ID         int64
}

// TaskKey is the key of a task.
func TaskKey(id int64) Key { return Key{Tasks, id} }

// EmployeeKey is the key of an employee.
func EmployeeKey(id int64) Key { return Key{Employees, id} }

// String gives a form for logs, such as "tasks/17".
func (k Key) String() string { return fmt.Sprintf("%s/%d", k.Collection, k.ID) }

func (k Key) ref() Ref { return Ref{k.Collection, docID(k.ID)} }

// docID pads the number so that the order of ids is that of numbers.
func docID(id int64) string { return fmt.Sprintf("%019d", id) }

// Work is what every key carries: its lease, its dirty counter, when Poll has to
// look at it again, and what went wrong last (rules 1.3, 1.4 and 7.2).
type Work struct {
	// Dirty counts the notifications not yet looked at, the one under way
	// included; 0 means that everything known was applied.
	Dirty        int64     `firestore:"dirty,omitempty" json:"dirty,omitempty"`
	LeaseToken   string    `firestore:"lease_token,omitempty" json:"lease_token,omitempty"`
	LeaseUntil   time.Time `firestore:"lease_until,omitempty" json:"lease_until,omitzero"`
	LeaseMessage string    `firestore:"lease_message,omitempty" json:"lease_message,omitempty"`
	// DueAt is when Poll publishes the key: at the end of a lease whose holder
	// died, after a failure's pause, for the second look at an absence.
	DueAt time.Time `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	// PendingSince is when the oldest change not yet applied became known.
	PendingSince time.Time `firestore:"pending_since,omitempty" json:"pending_since,omitzero"`
	Failure      *Failure  `firestore:"failure,omitempty" json:"failure,omitempty"`
	// Failed is "yes" while Failure is set; a string because it is indexed.
	Failed string `firestore:"failed,omitempty" json:"failed,omitempty"`
	// DeadLetter tells that a message for this key was dead-lettered.
	DeadLetter bool `firestore:"dead_letter,omitempty" json:"dead_letter,omitempty"`
	// Vouched is set when a signed notification said that the thing was deleted.
	Vouched bool `firestore:"vouched,omitempty" json:"vouched,omitempty"`
}

// Failure is a recorded fault of a key: never a body, only kind, status, reason
// and our own sentence (rule 10.2).
type Failure struct {
	Kind    failure.Kind `firestore:"kind" json:"kind"`
	Status  int          `firestore:"status,omitempty" json:"status,omitempty"`
	Reason  string       `firestore:"reason,omitempty" json:"reason,omitempty"`
	Message string       `firestore:"message" json:"message"`
	At      time.Time    `firestore:"at" json:"at"`
	Count   int          `firestore:"count" json:"count"`
}

// FailureOf makes the recordable form of err, counting on from the one before.
func FailureOf(err error, before *Failure, now time.Time) *Failure {
	f := &Failure{Kind: failure.KindOf(err), At: now, Count: 1}
	if e, ok := errors.AsType[*failure.Error](err); ok {
		f.Status, f.Reason, f.Message = e.Status, e.Reason, e.Op
		if e.Detail != "" {
			f.Message += ": " + e.Detail
		}
	} else {
		f.Message = "the work was cut short"
	}
	if before != nil {
		f.Count = before.Count + 1
	}
	return f
}

// Outcome is what came of trying to take a lease.
type Outcome int

const (
	// Acquired: the lease is the caller's.
	Acquired Outcome = iota + 1
	// Busy: somebody holds it; the key was marked dirty and is left to the holder.
	Busy
	// Redelivered: the live lease was taken for this very message, whose holder
	// may be dead: refuse the message, to come again (rule 1.4).
	Redelivered
)

// Lease is the right to act on one key until Until.
type Lease struct {
	Key   Key
	Token string
	// Until is the end by the database's clock.
	Until time.Time
	// Dirty is the counter as noted before the present look.
	Dirty int64
	// Look counts the looks taken under this lease, from 1.
	Look int
}

// ErrLeaseLost means that the lease ended and somebody else may hold the key.
var ErrLeaseLost = errors.New("store: lease lost")

// Claim says for what a lease is taken.
type Claim struct {
	// Message is the id of the message being served; empty for none.
	Message string
	// TTL is how long the lease lasts without being extended.
	TTL time.Duration
	// Deleted tells that a signed notification vouched for an absence.
	Deleted bool
	// Token must be fresh and random for each claim.
	Token string
}

// take applies a claim to a key's work at the database's time now.
func (w *Work) take(c Claim, key Key, now time.Time) (Lease, Outcome) {
	if w.PendingSince.IsZero() {
		w.PendingSince = now
	}
	w.Vouched = w.Vouched || c.Deleted
	if w.LeaseToken != "" && now.Before(w.LeaseUntil) {
		if c.Message != "" && w.LeaseMessage == c.Message {
			return Lease{}, Redelivered
		}
		w.Dirty++
		return Lease{}, Busy
	}
	w.Dirty++
	w.LeaseToken, w.LeaseMessage, w.LeaseUntil = c.Token, c.Message, now.Add(c.TTL)
	// Should the holder die, Poll finds the key by this.
	w.DueAt = w.LeaseUntil
	return Lease{Key: key, Token: c.Token, Until: w.LeaseUntil, Dirty: w.Dirty, Look: 1}, Acquired
}

// holds reports whether the lease is still the key's, by the database's clock.
// An expired lease that nobody else took since is still refused: its holder's
// deadline has passed, and another may take it any moment.
func (w *Work) holds(l Lease, now time.Time) bool {
	return w.LeaseToken == l.Token && now.Before(w.LeaseUntil)
}

// Result is how a look at a key ended.
type Result struct {
	// Err is the failure to record, nil for success.
	Err error
	// RetryAt is when Poll shall look again: after a failure, or for the second
	// reading of an absence; zero for never.
	RetryAt time.Time
	// Waiting tells that nothing failed and yet the change is not applied: it
	// waits for its turn or for the outcome of an earlier write until RetryAt.
	Waiting bool
}

// settle ends a look: true if the key was released, false if it became dirty
// meanwhile and the holder has to look again (rule 1.3).
func (w *Work) settle(l *Lease, r Result, now time.Time) bool {
	if w.Dirty != l.Dirty {
		l.Dirty = w.Dirty
		l.Look++
		return false
	}
	w.LeaseToken, w.LeaseMessage, w.LeaseUntil = "", "", time.Time{}
	w.DueAt = r.RetryAt
	if r.Err != nil {
		// Dirty and PendingSince stay: the change is not applied.
		w.Failure, w.Failed = FailureOf(r.Err, w.Failure, now), "yes"
		return true
	}
	w.Failure, w.Failed = nil, ""
	if r.Waiting {
		return true
	}
	w.Dirty, w.PendingSince = 0, time.Time{}
	// What was vouched for holds for the look that is still to come.
	w.Vouched = w.Vouched && !r.RetryAt.IsZero()
	return true
}

// Store is the product's state, in its own terms, on any Backend.
type Store struct {
	b Backend
}

// New makes a Store on a backend.
func New(b Backend) *Store { return &Store{b: b} }

// Close closes the backend.
func (s *Store) Close() error { return s.b.Close() }

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.b.Now(ctx) }

// DueKeys lists the keys of a collection that Poll has to publish now, the
// longest due first.
func (s *Store) DueKeys(ctx context.Context, c Collection, now time.Time, limit int) ([]int64, error) {
	docs, err := s.b.Query(ctx, Query{Collection: c, Field: "due_at", Op: AtMost, Value: now, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list due %s: %w", c, err)
	}
	ids := make([]int64, 0, len(docs))
	for _, d := range docs {
		var id int64
		if _, err := fmt.Sscanf(d.ID, "%d", &id); err != nil {
			return nil, fmt.Errorf("list due %s: document %q has no number: %w", c, d.ID, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// MarkDirty records a change of a key without looking at it, due at a time, so
// that Poll brings it up: for work that is known but must wait.
func (s *Store) MarkDirty(ctx context.Context, key Key, due time.Time) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec, err := readKey(tx, key)
		if err != nil {
			return err
		}
		w := rec.work()
		w.Dirty++
		now := tx.Now()
		if w.PendingSince.IsZero() {
			w.PendingSince = now
		}
		// What was due has just been brought up, to be put off; left due it would
		// come up at every poll. A live lease's end stays: its holder may die.
		held := w.LeaseToken != "" && now.Before(w.LeaseUntil)
		if w.DueAt.IsZero() || due.Before(w.DueAt) || (!held && !w.DueAt.After(now)) {
			w.DueAt = due
		}
		return tx.Set(key.ref(), rec)
	})
	if err != nil {
		return fmt.Errorf("mark %s dirty: %w", key, err)
	}
	return nil
}

// keyed is a record that carries Work.
type keyed interface{ work() *Work }

// readKey reads a key's record, or a new empty one.
func readKey(tx Tx, key Key) (keyed, error) {
	var rec keyed
	switch key.Collection {
	case Tasks:
		rec = &TaskRecord{ID: key.ID}
	case Employees:
		rec = &EmployeeRecord{ID: key.ID, State: StateNone}
	default:
		return nil, fmt.Errorf("store: %s is no key", key)
	}
	_, err := tx.Get(key.ref(), rec)
	return rec, err
}

// Extend prolongs a lease that is still held.
func (s *Store) Extend(ctx context.Context, l *Lease, ttl time.Duration) error {
	var until time.Time
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec, err := readKey(tx, l.Key)
		if err != nil {
			return err
		}
		w := rec.work()
		if !w.holds(*l, tx.Now()) {
			return ErrLeaseLost
		}
		until = tx.Now().Add(ttl)
		w.LeaseUntil, w.DueAt = until, until
		return tx.Set(l.Key.ref(), rec)
	})
	if err != nil {
		return fmt.Errorf("extend lease of %s: %w", l.Key, err)
	}
	l.Until = until
	return nil
}
