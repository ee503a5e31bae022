package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// face is the store as one instance sees it. At every call others come between;
// closures are run more than once; what the fault injector has armed fails, or
// is committed and then seems to have failed.
type face struct {
	inner store.Backend
	i     *instance
}

var _ store.Backend = (*face)(nil)

// errTrial undoes a try.
var errTrial = errors.New("simulation: only tried")

// enter lets others come between and gives the fault that befalls the call.
func (f *face) enter(ctx context.Context, what string, c store.Collection) (name string, fault faultOf, err error) {
	w := f.i.w
	name = turn(ctx, what+" "+string(c))
	fault = w.faults.take("store", string(c))
	wait := w.dice.between(0, 8*time.Millisecond, "store", name)
	if fault == faultSlow {
		wait = w.dice.between(500*time.Millisecond, 12*time.Second, "slow store", name)
	}
	pause(ctx, wait)
	if err := f.i.before(); err != nil {
		return name, fault, err
	}
	if fault == faultUnavailable {
		return name, fault, failure.New(failure.Transient, what, "the simulated store is unavailable")
	}
	return name, fault, nil
}

// leave lets others come between after the call; what was done stays done.
func (f *face) leave(ctx context.Context, name string) error {
	if err := f.i.after(); err != nil {
		return err
	}
	pause(ctx, f.i.w.dice.between(0, 8*time.Millisecond, "store left", name))
	return f.i.after()
}

// Get reads a document.
func (f *face) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	name, _, err := f.enter(ctx, "get", ref.Collection)
	if err != nil {
		return false, err
	}
	found, err := f.inner.Get(ctx, ref, into)
	if err != nil {
		return found, err
	}
	return found, f.leave(ctx, name)
}

// Query reads documents.
func (f *face) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	name, _, err := f.enter(ctx, "query", q.Collection)
	if err != nil {
		return nil, err
	}
	docs, err := f.inner.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	return docs, f.leave(ctx, name)
}

// Now reads the clock.
func (f *face) Now(ctx context.Context) (time.Time, error) {
	name, _, err := f.enter(ctx, "now", "")
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
func (*face) Close() error { return nil }

// Transact runs a transaction.
func (f *face) Transact(ctx context.Context, do func(tx store.Tx) error) error {
	const op = "transaction"
	w := f.i.w
	name, fault, err := f.enter(ctx, "transact", "")
	if err != nil {
		return err
	}
	slowly := func(tx store.Tx) error { return do(&slowTx{Tx: tx, ctx: ctx, w: w, name: name}) }
	if w.dice.chance(60, "trial", name) {
		err := f.inner.Transact(ctx, func(tx store.Tx) error {
			if err := slowly(tx); err != nil {
				return err
			}
			return errTrial
		})
		if !errors.Is(err, errTrial) {
			return err
		}
	}
	if fault == faultAborted {
		return failure.Wrap(failure.Transient, op, store.ErrContention)
	}
	if err := f.inner.Transact(ctx, slowly); err != nil {
		return err
	}
	if err := f.leave(ctx, name); err != nil {
		return err
	}
	if fault == faultLost {
		return &failure.Error{Kind: failure.Transient, Op: op, Detail: "the commit's answer was lost", Ambiguous: true}
	}
	return nil
}

// slowTx lets others come between what a transaction reads and its commit.
type slowTx struct {
	store.Tx
	ctx  context.Context
	w    *world
	name string
	gets int
}

// Get reads a document, then waits.
func (t *slowTx) Get(ref store.Ref, into any) (bool, error) {
	found, err := t.Tx.Get(ref, into)
	t.gets++
	high := 4 * time.Millisecond
	if t.w.dice.chance(20, "long transaction", t.name, ref.ID) {
		high = 800 * time.Millisecond
	}
	pause(t.ctx, t.w.dice.between(0, high, "read", t.name, ref.ID))
	return found, err
}
