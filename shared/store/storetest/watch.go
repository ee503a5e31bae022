package storetest

import (
	"context"
	"sync"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Watch is a backend that remembers which documents were touched, for tests of what a
// request costs.
type Watch struct {
	store.Backend

	mu      sync.Mutex
	touched []Touch
}

// Touch is one read or write of a document. A read in a transaction also locks it.
type Touch struct {
	Ref store.Ref
	// Write tells a write or deletion; Locks tells what happened in a transaction.
	Write, Locks bool
}

// Take gives what was touched since the last Take, in order.
func (w *Watch) Take() []Touch {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.touched
	w.touched = nil
	return out
}

func (w *Watch) touch(t Touch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched = append(w.touched, t)
}

// Get reads one document.
func (w *Watch) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	w.touch(Touch{Ref: ref})
	return w.Backend.Get(ctx, ref, into)
}

// Query reads documents; it is remembered under its collection.
func (w *Watch) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	w.touch(Touch{Ref: store.Ref{Collection: q.Collection}})
	return w.Backend.Query(ctx, q)
}

// Count counts documents; it is remembered under its collection.
func (w *Watch) Count(ctx context.Context, q store.Query) (int, error) {
	w.touch(Touch{Ref: store.Ref{Collection: q.Collection}})
	return w.Backend.Count(ctx, q)
}

// Transact runs f with a transaction that is watched.
func (w *Watch) Transact(ctx context.Context, f func(store.Tx) error) error {
	return w.Backend.Transact(ctx, func(tx store.Tx) error { return f(watchedTx{tx, w}) })
}

type watchedTx struct {
	store.Tx
	w *Watch
}

func (t watchedTx) Get(ref store.Ref, into any) (bool, error) {
	t.w.touch(Touch{Ref: ref, Locks: true})
	return t.Tx.Get(ref, into)
}

func (t watchedTx) Known(ref store.Ref, into any) (bool, error) {
	t.w.touch(Touch{Ref: ref, Locks: true})
	return t.Tx.Known(ref, into)
}

func (t watchedTx) Set(ref store.Ref, doc any) error {
	t.w.touch(Touch{ref, true, true})
	return t.Tx.Set(ref, doc)
}

func (t watchedTx) Delete(ref store.Ref) error {
	t.w.touch(Touch{ref, true, true})
	return t.Tx.Delete(ref)
}
