package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// instanceStore is the store as one instance sees it. Other threads run in between
// before and after every call, a transaction's function may run more than once, and the
// armed faults strike: a call fails, or it is committed and seems to have failed.
type instanceStore struct {
	inner store.Backend
	i     *instance
}

var _ store.Backend = (*instanceStore)(nil)

// errRolledBack undoes the first run of a transaction that is run again.
var errRolledBack = errors.New("simulation: the transaction is run again")

// enter lets other threads run and has the read's fault strike. of names what is read:
// one actor's goroutines may begin at the same instant, in no fixed order, and only what
// each of them does distinguishes their draws.
func (f *instanceStore) enter(ctx context.Context, what, of string) (name string, err error) {
	w := f.i.w
	name = drawName(ctx, what+" "+of)
	pause(ctx, w.brief(w.dice.between(0, 8*time.Millisecond, "store", name)))
	fault := w.faults.next("store", what)
	if fault == faultSlow {
		pause(ctx, w.shorter(w.dice.between(500*time.Millisecond, 12*time.Second, "slow store", name)))
	}
	if err := f.i.before(); err != nil {
		return name, err
	}
	if fault == faultUnavailable {
		return name, failure.New(failure.Transient, what, "the simulated store is unavailable")
	}
	return name, nil
}

// leave lets other threads run after the call, whose effect remains.
func (f *instanceStore) leave(ctx context.Context, name string) error {
	if err := f.i.after(); err != nil {
		return err
	}
	pause(ctx, f.i.w.brief(f.i.w.dice.between(0, 8*time.Millisecond, "store left", name)))
	return f.i.after()
}

// Get reads a document.
func (f *instanceStore) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	name, err := f.enter(ctx, "get", drawKey(ref))
	if err != nil {
		return false, err
	}
	found, err := f.inner.Get(ctx, ref, into)
	if err != nil {
		return found, err
	}
	return found, f.leave(ctx, name)
}

// drawKey names a document for draws. The records of a sign-in are named without their
// id, which is the hash of a secret and differs in every replay.
func drawKey(ref store.Ref) string {
	if secret(ref) {
		return string(ref.Collection)
	}
	return document.Name(ref)
}

func secret(ref store.Ref) bool {
	return ref.Collection == store.SignIns || ref.Collection == store.Tickets || (ref.Collection == store.Sessions && ref.ID != store.AllSessions)
}

// Query reads documents.
func (f *instanceStore) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	name, err := f.enter(ctx, "query", fmt.Sprint(q.Collection, q.Field, q.Op, q.Value))
	if err != nil {
		return nil, err
	}
	docs, err := f.inner.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	return docs, f.leave(ctx, name)
}

// Count counts documents.
func (f *instanceStore) Count(ctx context.Context, q store.Query) (int, error) {
	name, err := f.enter(ctx, "count", fmt.Sprint(q.Collection, q.Field, q.Op, q.Value))
	if err != nil {
		return 0, err
	}
	n, err := f.inner.Count(ctx, q)
	if err != nil {
		return 0, err
	}
	return n, f.leave(ctx, name)
}

// Now reads the clock.
func (f *instanceStore) Now(ctx context.Context) (time.Time, error) {
	name, err := f.enter(ctx, "now", "")
	if err != nil {
		return time.Time{}, err
	}
	now, err := f.inner.Now(ctx)
	if err != nil {
		return now, err
	}
	return now, f.leave(ctx, name)
}

// Close does nothing: the database outlives its instances.
func (*instanceStore) Close() error { return nil }

// Transact runs a transaction, now and then twice, as Firestore may.
func (f *instanceStore) Transact(ctx context.Context, do func(tx store.Tx) error) error {
	slow := &instanceTx{f: f, ctx: ctx}
	run := func(tx store.Tx) error {
		slow.Tx = tx
		if err := do(slow); err != nil {
			return err
		}
		if slow.name != "" && !slow.rolledBack && f.i.w.dice.chance(60, "trial", slow.name) {
			slow.rolledBack = true
			return errRolledBack
		}
		return nil
	}
	err := f.inner.Transact(ctx, run)
	if errors.Is(err, errRolledBack) {
		err = f.inner.Transact(ctx, run)
	}
	if err != nil {
		return err
	}
	if err := f.leave(ctx, slow.name); err != nil {
		return err
	}
	if slow.fault == faultLost {
		return &failure.Error{Kind: failure.Transient, Op: "transaction", Detail: "the commit's answer was lost", Ambiguous: true}
	}
	return nil
}

// instanceTx lets other threads run between a transaction's reads and its commit. Its
// fault and its draws are those of its first read.
type instanceTx struct {
	store.Tx
	f          *instanceStore
	ctx        context.Context
	name       string
	fault      callFault
	rolledBack bool
}

// Get reads a document, then waits.
func (t *instanceTx) Get(ref store.Ref, into any) (bool, error) { return t.get(ref, into, t.Tx.Get) }

// Known does the same.
func (t *instanceTx) Known(ref store.Ref, into any) (bool, error) {
	return t.get(ref, into, t.Tx.Known)
}

func (t *instanceTx) get(ref store.Ref, into any, get func(store.Ref, any) (bool, error)) (bool, error) {
	w := t.f.i.w
	first := t.name == ""
	if first {
		t.name = drawName(t.ctx, "transact "+drawKey(ref))
		pause(t.ctx, w.brief(w.dice.between(0, 8*time.Millisecond, "store", t.name)))
		t.fault = w.faults.next("store", "transact")
		if t.fault == faultSlow {
			pause(t.ctx, w.shorter(w.dice.between(500*time.Millisecond, 12*time.Second, "slow store", t.name)))
		}
		if err := t.f.i.before(); err != nil {
			return false, err
		}
		switch t.fault {
		case faultUnavailable:
			return false, failure.New(failure.Transient, "transaction", "the simulated store is unavailable")
		case faultAborted:
			return false, failure.Wrap(failure.Transient, "transaction", store.ErrContention)
		}
	}
	found, err := get(ref, into)
	high, id := 4*time.Millisecond, ref.ID
	if secret(ref) {
		id = ""
	}
	if w.dice.chance(20, "long transaction", t.name, id) {
		high = 800 * time.Millisecond
	}
	pause(t.ctx, w.brief(w.dice.between(0, high, "read", t.name, id)))
	return found, err
}
