package document

import (
	"errors"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

var (
	// ErrReadAfterWrite means that a transaction read after its first write, which
	// Firestore does not have. It is a fault of the program.
	ErrReadAfterWrite = errors.New("store: read after a write in a transaction")
	// ErrNowBeforeGet means that a transaction asked for the database's clock before
	// it had read anything. It is a fault of the program.
	ErrNowBeforeGet = errors.New("store: Now before the first Get of a transaction")
)

// Write sets a document, or deletes it if Tree is nil.
type Write struct {
	Ref  store.Ref
	Tree Tree
}

// Tx is the store.Tx of every backend: it holds a transaction to Firestore's rules
// and keeps its writes back until the backend commits them. Its first error
// sticks: the transaction fails even if its function overlooks it.
type Tx struct {
	read, known func(ref store.Ref, op string) (Tree, time.Time, error)

	writes []Write
	size   int
	now    time.Time
	err    error
}

var _ store.Tx = (*Tx)(nil)

// NewTx begins a transaction that reads with read: it gives a document's tree, nil
// if there is none, and the database's time of that; op says what it does, for errors.
func NewTx(read func(ref store.Ref, op string) (Tree, time.Time, error)) *Tx {
	return &Tx{read: read, known: read}
}

// NewTxKnowing begins a transaction whose Known reads with known: the backend runs it
// again where what that gave does not hold.
func NewTxKnowing(read, known func(ref store.Ref, op string) (Tree, time.Time, error)) *Tx {
	return &Tx{read: read, known: known}
}

// Run runs f once and gives what there is to commit, in the order in which it was
// written. f's own error goes before that of the transaction.
func (t *Tx) Run(f func(tx store.Tx) error) ([]Write, error) {
	if err := f(t); err != nil {
		return nil, err
	}
	return t.writes, t.err
}

func (t *Tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// Get reads a document, before the first write.
func (t *Tx) Get(ref store.Ref, into any) (bool, error) { return t.get(ref, into, t.read) }

// Known reads a document, before the first write, or gives what was last seen of it.
func (t *Tx) Known(ref store.Ref, into any) (bool, error) { return t.get(ref, into, t.known) }

func (t *Tx) get(ref store.Ref, into any, read func(ref store.Ref, op string) (Tree, time.Time, error)) (bool, error) {
	if t.err != nil {
		return false, t.err
	}
	if err := Check(ref); err != nil {
		return false, t.fail(err)
	}
	op := "read " + Name(ref)
	if len(t.writes) > 0 {
		return false, t.fail(failure.Wrap(failure.Invalid, op, ErrReadAfterWrite))
	}
	tree, now, err := read(ref, op)
	if err != nil {
		return false, t.fail(err)
	}
	t.now = now
	found, err := Read(ref, tree, into)
	if err != nil {
		return false, t.fail(err)
	}
	return found, nil
}

// Set notes the document for the commit, as it is now.
func (t *Tx) Set(ref store.Ref, doc any) error {
	if t.err != nil {
		return t.err
	}
	tree, size, err := Prepare(ref, doc)
	if err != nil {
		return t.fail(err)
	}
	if t.size += size; t.size > MaxTransaction {
		return t.fail(failure.New(failure.Invalid, "write "+Name(ref), "the transaction is larger than 10 MiB"))
	}
	t.writes = append(t.writes, Write{ref, tree})
	return nil
}

// Delete notes the deletion for the commit.
func (t *Tx) Delete(ref store.Ref) error {
	if t.err != nil {
		return t.err
	}
	if err := Check(ref); err != nil {
		return t.fail(err)
	}
	t.writes = append(t.writes, Write{Ref: ref})
	return nil
}

// Now is the database's time at the latest Get; without one the transaction fails.
func (t *Tx) Now() time.Time {
	if t.now.IsZero() {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", ErrNowBeforeGet))
	}
	return t.now
}

// Read decodes what a backend read at ref; a nil tree is a missing document.
func Read(ref store.Ref, tree Tree, into any) (found bool, err error) {
	if tree == nil {
		return false, nil
	}
	if err := Decode(tree, into); err != nil {
		return false, failure.Wrap(failure.Invalid, "read "+Name(ref), err)
	}
	return true, nil
}

// Found is a document as the result of a query.
func Found(ref store.Ref, tree Tree) store.Document {
	return store.Document{ID: ref.ID, Decode: func(into any) error {
		_, err := Read(ref, tree, into)
		return err
	}}
}

// Clock gives the times of a database that has no clock of its own, as a database
// keeps them. It never runs backwards.
type Clock struct {
	now  func() time.Time
	mu   sync.Mutex
	last time.Time
}

// NewClock makes a Clock that follows now.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := Time(c.now()); t.After(c.last) {
		c.last = t
	}
	return c.last
}
