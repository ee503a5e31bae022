package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

// Work is what every key carries: its lease, its dirty counter, when Poll has to
// publish it again, and what went wrong last (rules 1.3, 1.4 and 7.2).
type Work struct {
	// Dirty counts the notifications that no pass has applied yet, those of the pass
	// under way included; 0 means that everything known was applied.
	Dirty        int64     `firestore:"dirty,omitempty" json:"dirty,omitempty"`
	LeaseToken   string    `firestore:"lease_token,omitempty" json:"lease_token,omitempty"`
	LeaseUntil   time.Time `firestore:"lease_until,omitempty" json:"lease_until,omitzero"`
	LeaseMessage string    `firestore:"lease_message,omitempty" json:"lease_message,omitempty"`
	// LeaseSince is when the lease was acquired.
	LeaseSince time.Time `firestore:"lease_since,omitempty" json:"lease_since,omitzero"`
	// DueAt is when Poll publishes the key: at the end of a lease whose holder
	// died, after a failure's pause, for the second reading of an absence.
	DueAt time.Time `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	// Owed tells that a pass was still to come, at DueAt, when the lease was acquired for
	// another: that one may do its work and be too early for its own (rule 8.1).
	Owed bool `firestore:"owed,omitempty" json:"owed,omitempty"`
	// PendingSince is when the oldest change not yet applied became known.
	PendingSince time.Time `firestore:"pending_since,omitempty" json:"pending_since,omitzero"`
	Failure      *Failure  `firestore:"failure,omitempty" json:"failure,omitempty"`
	// Failed is FailedOpen while Failure is set, or FailedDismissed; indexed. FailedSince is since
	// when it is FailedOpen; indexed, of a task.
	Failed      string    `firestore:"failed,omitempty" json:"failed,omitempty"`
	FailedSince time.Time `firestore:"failed_since,omitempty" json:"failed_since,omitzero"`
	// UnreadableSince is since when what the ERP says of it cannot be read; indexed.
	UnreadableSince time.Time `firestore:"unreadable_since,omitempty" json:"unreadable_since,omitzero"`
	// DeadLetter tells that a message for this key was dead-lettered.
	DeadLetter bool `firestore:"dead_letter,omitempty" json:"dead_letter,omitempty"`
	// Vouched is set when a signed notification said that the thing was deleted.
	Vouched bool `firestore:"vouched,omitempty" json:"vouched,omitempty"`
}

// What a key's Failed says.
const (
	// FailedOpen: its last pass failed.
	FailedOpen = "yes"
	// FailedDismissed: it failed for a cause that an admin does not want to be shown again.
	FailedDismissed = "dismissed"
)

// Failure is a recorded fault of a key: never a body, only kind, status, reason
// and our own sentence (rule 10.2).
type Failure struct {
	Kind    failure.Kind `firestore:"kind" json:"kind"`
	Status  int          `firestore:"status,omitempty" json:"status,omitempty"`
	Reason  string       `firestore:"reason,omitempty" json:"reason,omitempty"`
	Message string       `firestore:"message" json:"message"`
	At      time.Time    `firestore:"at" json:"at"`
	Count   int          `firestore:"count" json:"count"`
	// Dismissed: an admin has seen it and does not want to be shown it again, for as long
	// as the key fails for the same cause.
	Dismissed bool `firestore:"dismissed,omitempty" json:"dismissed,omitempty"`
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
		f.Dismissed = before.Dismissed && before.Kind == f.Kind && before.Status == f.Status && before.Reason == f.Reason
	}
	return f
}

// Outcome is what came of a claim.
type Outcome int

const (
	// Acquired: the lease is the caller's.
	Acquired Outcome = iota + 1
	// Busy: somebody holds it; the key was marked dirty and is left to the holder.
	Busy
	// Redelivered: the live lease was acquired for this very message, whose holder
	// may be dead: the message is to be nacked, so that it comes again (rule 1.4).
	Redelivered
)

// Lease is the right to act on one key until Until.
type Lease struct {
	Key   Key
	Token string
	// Until is the end by the database's clock.
	Until time.Time
	// Dirty is the dirty counter as noted before the present pass.
	Dirty int64
	// Pass counts the passes under this lease, from 1.
	Pass int
}

// Leased is a held lease with the record of its key as it is stored.
type Leased[R any] struct {
	Lease
	Record R
}

type (
	// TaskLease is a held lease on a task.
	TaskLease = Leased[TaskRecord]
	// EmployeeLease is a held lease on an employee.
	EmployeeLease = Leased[EmployeeRecord]
)

// Claim says for what a lease is acquired.
type Claim struct {
	// Message is the id of the message being served; empty for none.
	Message string
	// TTL is how long the lease lasts without being extended.
	TTL time.Duration
	// Deleted tells that a signed notification vouched for an absence.
	Deleted bool
	// Token must be fresh and random for each claim.
	Token string
	// ReadAt is when all was read that the claim rests on; zero for a claim that rests on
	// what may be told nowhere else, such as a notification. Whoever acquired the lease
	// after that reads later, and is not asked for another pass (rule 1.4).
	ReadAt time.Time
}

// Result is how a pass over a key ended.
type Result struct {
	// Err is the failure to record, nil for success.
	Err error
	// RetryAt is when Poll shall publish the key again: after a failure, or for the
	// second reading of an absence; zero for never.
	RetryAt time.Time
	// Waiting tells that nothing failed and yet the change is not applied: it waits
	// for its place in a queue or for the outcome of an earlier write until RetryAt.
	Waiting bool
}

// AcquireTask acquires the lease of a task, or marks the task dirty for its holder.
// Made again with the same token it finds the lease that it acquired.
func (s *Store) AcquireTask(ctx context.Context, id int64, c Claim) (TaskLease, Outcome, error) {
	return acquire(ctx, s, TaskKey(id), newTask, c)
}

// AcquireEmployee is AcquireTask for an employee.
func (s *Store) AcquireEmployee(ctx context.Context, id int64, c Claim) (EmployeeLease, Outcome, error) {
	return acquire(ctx, s, EmployeeKey(id), newEmployee, c)
}

func acquire[R any, P record[R]](ctx context.Context, s *Store, key Key, fresh func(id int64) P, c Claim) (lease Leased[R], outcome Outcome, err error) {
	err = changeKey(ctx, s, "acquire the lease of", key, Tx.Get, fresh, func(tx Tx, rec P) (effect, error) {
		w := rec.work()
		// A rerun after a commit whose answer was lost finds its own token; a lease
		// that has ended since is acquired anew.
		again := w.LeaseToken == c.Token && w.leased(tx.Now())
		if again {
			lease, outcome = Leased[R]{Lease{key, c.Token, w.LeaseUntil, w.Dirty, 1}, *rec}, Acquired
			return nothing, nil
		}
		lease.Lease, outcome = w.acquire(c, key, tx.Now())
		lease.Record = *rec
		if outcome == Redelivered || outcome == Busy && w.readsLater(c) {
			return nothing, nil
		}
		return set, nil
	})
	if err != nil {
		return Leased[R]{}, 0, err
	}
	return lease, outcome, nil
}

// Extend prolongs a lease that is still held to ttl from now.
func (s *Store) Extend(ctx context.Context, l *Lease, ttl time.Duration) error {
	var until time.Time
	err := s.changeAny(ctx, "extend the lease of", l.Key, func(tx Tx, rec keyed) (effect, error) {
		w := rec.work()
		if !w.holds(*l, tx.Now()) {
			return nothing, ErrLeaseLost
		}
		until = tx.Now().Add(ttl)
		w.LeaseUntil, w.DueAt = until, until
		return set, nil
	})
	if err == nil {
		l.Until = until
	}
	return err
}

// MarkDirty records a change of a key without a pass over it, due at a time, so
// that Poll brings it up: for work that is known but must wait. Made twice it counts
// twice, which costs one more pass.
func (s *Store) MarkDirty(ctx context.Context, key Key, due time.Time) error {
	return s.changeAny(ctx, "mark dirty", key, func(tx Tx, rec keyed) (effect, error) {
		w, now := rec.work(), tx.Now()
		w.markDirty(now)
		// What was due has just been brought up, to be put off; left due it would
		// come up at every poll. A live lease's end stays: its holder may die.
		if w.DueAt.IsZero() || due.Before(w.DueAt) || (!w.leased(now) && !w.DueAt.After(now)) {
			w.DueAt = due
		}
		return set, nil
	})
}

// DueKeys lists the keys of a collection that Poll has to publish now, the
// longest due first; limit 0 means all.
func (s *Store) DueKeys(ctx context.Context, c Collection, now time.Time, limit int) ([]int64, error) {
	docs, err := s.b.Query(ctx, Query{Collection: c, Field: "due_at", Op: AtMost, Value: now, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list due %s: %w", c, err)
	}
	ids := make([]int64, len(docs))
	for i, d := range docs {
		if ids[i], err = strconv.ParseInt(d.ID, 10, 64); err != nil {
			return nil, fmt.Errorf("list due %s: document %q has no number: %w", c, d.ID, err)
		}
	}
	return ids, nil
}

// Unreadable is a key of which what the ERP says cannot be read.
type Unreadable struct {
	Key   Key
	Since time.Time
	Why   string // our own sentence, never content
}

// UnreadableSince lists the keys that are unreadable since a time or before, tasks first,
// the longest first; at most limit of each kind.
func (s *Store) UnreadableSince(ctx context.Context, until time.Time, limit int) ([]Unreadable, error) {
	var out []Unreadable
	for _, c := range []Collection{Tasks, Employees} {
		docs, err := s.b.Query(ctx, Query{Collection: c, Field: "unreadable_since", Op: AtMost, Value: until, Limit: limit})
		if err != nil {
			return nil, fmt.Errorf("list unreadable %s: %w", c, err)
		}
		for _, d := range docs {
			var rec struct {
				ID int64 `firestore:"id" json:"id"`
				Work
			}
			if err := d.Decode(&rec); err != nil {
				return nil, fmt.Errorf("list unreadable %s: decode %s: %w", c, d.ID, err)
			}
			u := Unreadable{Key: Key{c, rec.ID}, Since: rec.UnreadableSince}
			if rec.Failure != nil {
				u.Why = rec.Failure.Message
			}
			out = append(out, u)
		}
	}
	return out, nil
}

// leased reports whether somebody holds the key.
func (w *Work) leased(now time.Time) bool { return w.LeaseToken != "" && now.Before(w.LeaseUntil) }

// holds reports whether the lease is still the key's, by the database's clock.
// An expired lease that nobody else acquired since does not count: its holder's
// deadline has passed, and another may acquire it any moment.
func (w *Work) holds(l Lease, now time.Time) bool {
	return w.LeaseToken == l.Token && now.Before(w.LeaseUntil)
}

// markDirty counts a notification.
func (w *Work) markDirty(now time.Time) {
	w.Dirty++
	w.pending(now)
}

func (w *Work) pending(now time.Time) {
	if w.PendingSince.IsZero() {
		w.PendingSince = now
	}
}

// acquire applies a claim to a key's work at the database's time now.
func (w *Work) acquire(c Claim, key Key, now time.Time) (Lease, Outcome) {
	w.pending(now)
	w.Vouched = w.Vouched || c.Deleted
	if w.leased(now) {
		if c.Message != "" && w.LeaseMessage == c.Message {
			return Lease{}, Redelivered
		}
		if !w.readsLater(c) {
			w.Dirty++
		}
		return Lease{}, Busy
	}
	w.Dirty++
	w.Owed = !w.DueAt.IsZero()
	w.LeaseToken, w.LeaseMessage, w.LeaseUntil, w.LeaseSince = c.Token, c.Message, now.Add(c.TTL), now
	// Should the holder die, Poll finds the key by this.
	w.DueAt = w.LeaseUntil
	return Lease{Key: key, Token: c.Token, Until: w.LeaseUntil, Dirty: w.Dirty, Pass: 1}, Acquired
}

// readsLater reports whether the holder of the lease reads after all was read that a
// claim rests on.
func (w *Work) readsLater(c Claim) bool {
	return !c.Deleted && !c.ReadAt.IsZero() && !w.LeaseSince.Before(c.ReadAt)
}

// settle ends a pass: true if the key was released, false if it became dirty
// meanwhile and the holder has to make another pass (rule 1.3).
func (w *Work) settle(l *Lease, r Result, now time.Time) bool {
	if w.Dirty != l.Dirty {
		l.Dirty = w.Dirty
		l.Pass++
		return false
	}
	w.LeaseToken, w.LeaseMessage, w.LeaseUntil, w.LeaseSince = "", "", time.Time{}, time.Time{}
	w.DueAt, w.Owed = r.RetryAt, false
	if r.Err != nil {
		// Dirty and PendingSince stay: the change is not applied.
		w.Failure = FailureOf(r.Err, w.Failure, now)
		w.failed(now)
		w.unreadable(w.Failure.Kind, now)
		return true
	}
	w.Failure, w.UnreadableSince = nil, time.Time{}
	w.failed(now)
	if r.Waiting {
		return true
	}
	w.Dirty, w.PendingSince = 0, time.Time{}
	// What was vouched for holds for the pass that is still to come.
	w.Vouched = w.Vouched && !r.RetryAt.IsZero()
	return true
}

// failed renews Failed and FailedSince from Failure.
func (w *Work) failed(now time.Time) {
	was := w.Failed
	switch {
	case w.Failure == nil:
		w.Failed = ""
	case w.Failure.Dismissed:
		w.Failed = FailedDismissed
	default:
		w.Failed = FailedOpen
	}
	w.FailedSince = turned(w.FailedSince, was == FailedOpen, w.Failed == FailedOpen, now)
}

// turned is since when something is so that was so before or not: what a record of before such
// times were kept does not know is not made up.
func turned(at time.Time, was, is bool, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case !was:
		return now
	}
	return at
}

// unreadable notes since when a key cannot be read. Where the ERP was not reached, nothing is
// known of that.
func (w *Work) unreadable(kind failure.Kind, now time.Time) {
	switch kind {
	case failure.SourceInvalid:
		if w.UnreadableSince.IsZero() {
			w.UnreadableSince = now
		}
	case failure.Source, failure.Transient:
	default:
		w.UnreadableSince = time.Time{}
	}
}

// settle ends a pass in a transaction. A key whose pass came to a clean end has no
// dead letter any more; while the pass has to be repeated it stays, for it may have
// come during the pass.
func settle(tx Tx, l *Lease, w *Work, r Result) (released bool, err error) {
	released = w.settle(l, r, tx.Now())
	if released && w.DeadLetter && r.Err == nil {
		w.DeadLetter = false
		err = tx.Delete(deadLetterRef(l.Key))
	}
	return released, err
}

// keyed is a record that carries Work.
type keyed interface {
	work() *Work
	// watch gives what dates what a change makes of the record, once it was made.
	watch() (changed func(now time.Time))
}

// record is a keyed record by its type.
type record[R any] interface {
	*R
	keyed
}

// changeKey runs step, in a transaction, on the record of a key, or on a fresh one
// where there is none, and does with it what step says. step may be run several times.
// get is Tx.Get, or Tx.Known where this process wrote the record last.
func changeKey[P keyed](ctx context.Context, s *Store, doing string, key Key, get func(Tx, Ref, any) (bool, error), fresh func(id int64) P, step func(tx Tx, rec P) (effect, error)) error {
	return s.transact(ctx, doing+" "+key.String(), func(tx Tx) error {
		rec := fresh(key.ID)
		if _, err := get(tx, key.ref(), rec); err != nil {
			return err
		}
		changed := rec.watch()
		e, err := step(tx, rec)
		if err != nil {
			return err
		}
		changed(tx.Now())
		return e.on(tx, key.ref(), rec)
	})
}

// changeAny is changeKey for a key of either kind.
func (s *Store) changeAny(ctx context.Context, doing string, key Key, step func(tx Tx, rec keyed) (effect, error)) error {
	switch key.Collection {
	case Tasks:
		return changeKey(ctx, s, doing, key, Tx.Get, func(id int64) keyed { return newTask(id) }, step)
	case Employees:
		return changeKey(ctx, s, doing, key, Tx.Get, func(id int64) keyed { return newEmployee(id) }, step)
	}
	return fmt.Errorf("%s %s: store: that is no key", doing, key)
}

// withLease is changeKey for a key whose lease is l: ErrLeaseLost if it is not held
// any more. step gets the lease with the record as stored, and what it makes of
// both is the caller's after the commit.
func withLease[R any, P record[R]](ctx context.Context, s *Store, doing string, l *Leased[R], fresh func(id int64) P, step func(tx Tx, held *Leased[R]) (effect, error)) error {
	var held Leased[R]
	read := func(id int64) P {
		held = Leased[R]{l.Lease, *fresh(id)}
		return P(&held.Record)
	}
	// Whoever holds the lease wrote the record last, unless somebody marked it dirty.
	err := changeKey(ctx, s, doing, l.Key, Tx.Known, read, func(tx Tx, rec P) (effect, error) {
		if !rec.work().holds(l.Lease, tx.Now()) {
			return nothing, ErrLeaseLost
		}
		return step(tx, &held)
	})
	if err == nil {
		*l = held
	}
	return err
}

// withTask is withLease for a task.
func (s *Store) withTask(ctx context.Context, doing string, l *TaskLease, step func(tx Tx, held *TaskLease) (effect, error)) error {
	return withLease(ctx, s, doing, l, newTask, step)
}

// withEmployee is withLease for an employee.
func (s *Store) withEmployee(ctx context.Context, doing string, l *EmployeeLease, step func(tx Tx, held *EmployeeLease) (effect, error)) error {
	return withLease(ctx, s, doing, l, newEmployee, step)
}
