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

// enter lets others come between and gives the fault that befalls the read. of
// says what is read: goroutines of one actor begin at one moment, in no certain
// order, and only what each does tells their draws apart.
func (f *face) enter(ctx context.Context, what, of string) (name string, err error) {
	w := f.i.w
	name = turn(ctx, what+" "+of)
	pause(ctx, w.brief(w.dice.between(0, 8*time.Millisecond, "store", name)))
	fault := w.faults.take("store", what)
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

// leave lets others come between after the call; what was done stays done.
func (f *face) leave(ctx context.Context, name string) error {
	if err := f.i.after(); err != nil {
		return err
	}
	pause(ctx, f.i.w.brief(f.i.w.dice.between(0, 8*time.Millisecond, "store left", name)))
	return f.i.after()
}

// Get reads a document.
func (f *face) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	name, err := f.enter(ctx, "get", named(ref))
	if err != nil {
		return false, err
	}
	found, err := f.inner.Get(ctx, ref, into)
	if err != nil {
		return found, err
	}
	return found, f.leave(ctx, name)
}

// named names a document for draws. What a sign-in leaves bears the hash of a
// secret, which is another in every replay.
func named(ref store.Ref) string {
	if secret(ref) {
		return string(ref.Collection)
	}
	return document.Name(ref)
}

func secret(ref store.Ref) bool {
	return ref.Collection == store.SignIns || ref.Collection == store.Tickets
}

// Query reads documents.
func (f *face) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
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

// Now reads the clock.
func (f *face) Now(ctx context.Context) (time.Time, error) {
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
func (*face) Close() error { return nil }

// Transact runs a transaction: more than once now and then, as Firestore may.
func (f *face) Transact(ctx context.Context, do func(tx store.Tx) error) error {
	slow := &slowTx{f: f, ctx: ctx}
	run := func(tx store.Tx) error {
		slow.Tx = tx
		if err := do(slow); err != nil {
			return err
		}
		if slow.name != "" && !slow.tried && f.i.w.dice.chance(60, "trial", slow.name) {
			slow.tried = true
			return errTrial
		}
		return nil
	}
	err := f.inner.Transact(ctx, run)
	if errors.Is(err, errTrial) {
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

// slowTx lets others come between what a transaction reads and its commit. Its
// fault and its draws are those of its first read.
type slowTx struct {
	store.Tx
	f     *face
	ctx   context.Context
	name  string
	fault faultOf
	tried bool
}

// Get reads a document, then waits.
func (t *slowTx) Get(ref store.Ref, into any) (bool, error) {
	w := t.f.i.w
	first := t.name == ""
	if first {
		t.name = turn(t.ctx, "transact "+named(ref))
		pause(t.ctx, w.brief(w.dice.between(0, 8*time.Millisecond, "store", t.name)))
		t.fault = w.faults.take("store", "transact")
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
	found, err := t.Tx.Get(ref, into)
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
