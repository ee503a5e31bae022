package firestore

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

// tx is one run of a transaction.
type tx struct {
	ctx   context.Context
	b     *Backend
	ftx   *firestore.Transaction
	wrote bool
	size  int
	read  time.Time
	// err makes the transaction fail even if f overlooks it.
	err error
}

func (t *tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// Get reads a document, before the first write.
func (t *tx) Get(ref store.Ref, into any) (bool, error) {
	if t.err != nil {
		return false, t.err
	}
	if err := document.Check(ref); err != nil {
		return false, t.fail(err)
	}
	op := "read " + document.Name(ref)
	if t.wrote {
		return false, t.fail(failure.Wrap(failure.Invalid, op, document.ErrReadAfterWrite))
	}
	snaps, err := t.ftx.GetAll([]*firestore.DocumentRef{t.b.ref(ref)})
	if err != nil {
		return false, t.fail(classify(t.ctx, op, err))
	}
	// Each read has a time of its own; the clock must not step back between them.
	if at := document.Time(snaps[0].ReadTime); at.After(t.read) {
		t.read = at
	}
	found, err := decode(ref, snaps[0], into)
	if err != nil {
		return false, t.fail(err)
	}
	return found, nil
}

// Set notes the document for the commit, as it is now.
func (t *tx) Set(ref store.Ref, doc any) error {
	if t.err != nil {
		return t.err
	}
	tree, size, err := document.Prepare(ref, doc)
	if err != nil {
		return t.fail(err)
	}
	op := "write " + document.Name(ref)
	t.size += size
	if t.size > document.MaxTransaction {
		return t.fail(failure.New(failure.Invalid, op, "the transaction is larger than 10 MiB"))
	}
	t.wrote = true
	if err := t.ftx.Set(t.b.ref(ref), tree); err != nil {
		return t.fail(failure.Wrap(failure.Invalid, op, err))
	}
	return nil
}

// Delete notes the deletion for the commit.
func (t *tx) Delete(ref store.Ref) error {
	if t.err != nil {
		return t.err
	}
	if err := document.Check(ref); err != nil {
		return t.fail(err)
	}
	t.wrote = true
	if err := t.ftx.Delete(t.b.ref(ref)); err != nil {
		return t.fail(failure.Wrap(failure.Invalid, "delete "+document.Name(ref), err))
	}
	return nil
}

// Now is the read time of the latest Get; without one the transaction fails.
func (t *tx) Now() time.Time {
	if t.read.IsZero() {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", document.ErrNowBeforeGet))
	}
	return t.read
}
