// Package store keeps the product's state: employees with their calendars, tasks
// with their mappings, leases with dirty counters, accounts with sealed tokens,
// settings, the ledger of slots, the delete guard and its holds, polls, full runs,
// activity; each in a file of its own. Store speaks the product's own terms once; a
// Backend is the database beneath it (store/firestore in the cloud, store/bolt
// embedded, store/memory in simulations), held to one contract by storetest. It must
// never call the ERP or Google, and never hold a secret that is not sealed.
//
// What holds for every method of Store, unless its comment says otherwise:
//   - It is one transaction, or one read: all of it took effect, or nothing.
//   - Its times are the database's, in UTC, whole microseconds.
//   - Made again after an error whose outcome is unknown (failure.IsAmbiguous), it
//     does no harm: it finds its own work done, or does it.
//   - Errors say what was being done to which document and wrap the backend's, whose
//     kind they keep: failure.Transient (ErrContention among them), Misconfigured, or
//     Invalid for what cannot be stored or read.
//   - With a lease it needs that the lease is held, and gives ErrLeaseLost otherwise;
//     after success the lease has the record as stored, after an error as it was.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrLeaseLost means that the lease ended and somebody else may hold the key.
	ErrLeaseLost = errors.New("store: lease lost")
	// ErrStale means that somebody else saved first.
	ErrStale = errors.New("store: saved by somebody else meanwhile")
	// ErrPurging means that a purge is under way.
	ErrPurging = errors.New("store: a purge is under way")
	// ErrNotConnected means that no account was ever connected.
	ErrNotConnected = errors.New("store: no account is connected")
	// ErrOtherAccount means that the account or client that owns calendars would be
	// replaced (rule 3.7).
	ErrOtherAccount = errors.New("store: another account or client owns the calendars")
)

// Store is the product's state, in its own terms, on any Backend. It is safe for
// concurrent use.
type Store struct {
	b Backend
}

// New makes a Store on a backend.
func New(b Backend) *Store { return &Store{b: b} }

// Close closes the backend.
func (s *Store) Close() error { return s.b.Close() }

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.b.Now(ctx) }

// transact runs f as a transaction; doing says for errors what it does.
func (s *Store) transact(ctx context.Context, doing string, f func(tx Tx) error) error {
	return wrapped(doing, s.b.Transact(ctx, f))
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// get reads one document; missing is the zero value.
func get[T any](ctx context.Context, s *Store, doing string, ref Ref) (rec T, found bool, err error) {
	found, err = s.b.Get(ctx, ref, &rec)
	return rec, found, wrapped(doing, err)
}

// query reads the documents that q selects.
func query[T any](ctx context.Context, s *Store, doing string, q Query) ([]T, error) {
	docs, err := s.b.Query(ctx, q)
	if err != nil {
		return nil, wrapped(doing, err)
	}
	out := make([]T, len(docs))
	for i, d := range docs {
		if err := d.Decode(&out[i]); err != nil {
			return nil, fmt.Errorf("%s: decode %s/%s: %w", doing, q.Collection, d.ID, err)
		}
	}
	return out, nil
}

// effect is what a transaction does with the document that it is about.
type effect int

const (
	nothing effect = iota
	set
	remove
)

func (e effect) on(tx Tx, ref Ref, rec any) error {
	switch e {
	case set:
		return tx.Set(ref, rec)
	case remove:
		return tx.Delete(ref)
	}
	return nil
}

// change reads a document and sets it if f changed it. With no document f gets the
// zero value.
func change[T any](ctx context.Context, s *Store, doing string, ref Ref, f func(rec *T, found bool, now time.Time) effect) error {
	return s.transact(ctx, doing, func(tx Tx) error {
		var rec T
		found, err := tx.Get(ref, &rec)
		if err != nil {
			return err
		}
		return f(&rec, found, tx.Now()).on(tx, ref, &rec)
	})
}

// docID pads the number so that the order of ids is that of numbers.
func docID(id int64) string { return fmt.Sprintf("%019d", id) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
