package bolt

import (
	"context"
	"fmt"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

// tx is a transaction under way. Writes are kept back until f returned.
type tx struct {
	ctx    context.Context
	b      *Backend
	btx    *bbolt.Tx
	writes []write
	size   int
	read   time.Time
	// err makes the transaction fail even if f overlooks it.
	err error
}

// write sets a document, or deletes it if tree is nil.
type write struct {
	ref  store.Ref
	tree document.Tree
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
	if len(t.writes) > 0 {
		return false, t.fail(failure.Wrap(failure.Invalid, op, document.ErrReadAfterWrite))
	}
	if err := t.ctx.Err(); err != nil {
		return false, t.fail(failure.Wrap(failure.Transient, op, err))
	}
	tree, err := load(t.btx, ref)
	if err != nil {
		return false, t.fail(failure.Wrap(failure.Transient, op, err))
	}
	t.read = t.b.clock()
	if tree == nil {
		return false, nil
	}
	if err := document.Decode(tree, into); err != nil {
		return false, t.fail(failure.Wrap(failure.Invalid, op, err))
	}
	return true, nil
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
	t.size += size
	if t.size > document.MaxTransaction {
		return t.fail(failure.New(failure.Invalid, "write "+document.Name(ref), "the transaction is larger than 10 MiB"))
	}
	t.writes = append(t.writes, write{ref, tree})
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
	t.writes = append(t.writes, write{ref: ref})
	return nil
}

// Now is the clock at the latest Get; without one the transaction fails.
func (t *tx) Now() time.Time {
	if t.read.IsZero() {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", document.ErrNowBeforeGet))
	}
	return t.read
}

func (w write) apply(btx *bbolt.Tx) error {
	before, err := load(btx, w.ref)
	if err != nil {
		return err
	}
	bucket, err := btx.CreateBucketIfNotExists(documentsBucket(w.ref.Collection))
	if err != nil {
		return fmt.Errorf("open collection %s: %w", w.ref.Collection, err)
	}
	if w.tree == nil {
		err = bucket.Delete([]byte(w.ref.ID))
	} else {
		var data []byte
		if data, err = marshal(w.tree); err == nil {
			err = bucket.Put([]byte(w.ref.ID), data)
		}
	}
	if err != nil {
		return err
	}
	return reindex(btx, w.ref, before, w.tree)
}
