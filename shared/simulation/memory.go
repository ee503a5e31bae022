package simulation

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore/document"
)

// maxTries is how often a transaction is run before it gives up. Each try that
// fails means that another transaction was committed.
const maxTries = 30

// Memory is a store.Backend in memory that behaves as Firestore does under
// contention: transactions run side by side, see one state of the database, and
// are committed only if what they read is still so; otherwise they are run
// again. Unlike the embedded store nothing makes them wait for each other.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	docs    map[store.Collection]map[string]versioned
	version int64
	last    time.Time
}

var _ store.Backend = (*Memory)(nil)

// versioned is a document as one transaction wrote it; its tree never changes.
type versioned struct {
	tree    document.Tree
	version int64
}

// NewMemory makes an empty backend whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, docs: map[store.Collection]map[string]versioned{}}
}

// Close does nothing.
func (*Memory) Close() error { return nil }

// Wipe loses every document, as a database restored empty.
func (m *Memory) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.docs = map[store.Collection]map[string]versioned{}
	m.version++
}

// clock never runs backwards. The lock is held.
func (m *Memory) clock() time.Time {
	if t := document.Time(m.now()); t.After(m.last) {
		m.last = t
	}
	return m.last
}

// Now gives the backend's clock.
func (m *Memory) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, failure.Wrap(failure.Transient, "read the store's clock", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clock(), nil
}

// Get reads one document.
func (m *Memory) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if err := document.Check(ref); err != nil {
		return false, err
	}
	op := "read " + document.Name(ref)
	if err := ctx.Err(); err != nil {
		return false, failure.Wrap(failure.Transient, op, err)
	}
	m.mu.Lock()
	tree := m.docs[ref.Collection][ref.ID].tree
	m.mu.Unlock()
	if tree == nil {
		return false, nil
	}
	if err := document.Decode(tree, into); err != nil {
		return false, failure.Wrap(failure.Invalid, op, err)
	}
	return true, nil
}

// Query answers from one moment.
func (m *Memory) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	s, err := document.Select(q)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, failure.Wrap(failure.Transient, document.Describe(q), err)
	}
	var found []candidate
	m.mu.Lock()
	for id, d := range m.docs[q.Collection] {
		if c, ok := selected(s, id, d.tree); ok {
			found = append(found, c)
		}
	}
	m.mu.Unlock()
	slices.SortFunc(found, func(a, b candidate) int {
		c := cmp.Or(compare(a.value, b.value), strings.Compare(a.id, b.id))
		if s.Descending {
			return -c
		}
		return c
	})
	if s.Limit > 0 && len(found) > s.Limit {
		found = found[:s.Limit]
	}
	docs := make([]store.Document, len(found))
	for i, c := range found {
		docs[i] = store.Document{ID: c.id, Decode: func(into any) error {
			if err := document.Decode(c.tree, into); err != nil {
				return failure.Wrap(failure.Invalid, "read "+document.Name(store.Ref{Collection: q.Collection, ID: c.id}), err)
			}
			return nil
		}}
	}
	return docs, nil
}

// candidate is a document that a query selects; value orders it, nil where ids do.
type candidate struct {
	id    string
	tree  document.Tree
	value any
}

func selected(s document.Selection, id string, tree document.Tree) (candidate, bool) {
	c := candidate{id: id, tree: tree}
	value := tree[s.Field]
	switch s.Op {
	case store.Every:
		return c, id > s.After
	case store.Equal:
		return c, rank(value) == rank(s.Bound) && compare(value, s.Bound) == 0
	case store.AtMost:
		// Values of another type are not comparable, in Firestore too.
		c.value = value
		return c, rank(value) == rank(s.Bound) && compare(value, s.Bound) <= 0
	case store.AtLeast:
		c.value = value
		return c, rank(value) == rank(s.Bound) && compare(value, s.Bound) >= 0
	case store.Exists:
		c.value = value
		return c, rank(value) > 0
	case store.ContainsAny:
		array, _ := value.([]any)
		return c, slices.ContainsFunc(array, func(e any) bool {
			n, ok := e.(int64)
			return ok && slices.Contains(s.Any, n)
		})
	}
	return c, false
}

// rank orders values of different types as Firestore does; 0 is no value that an
// index keeps.
func rank(value any) int {
	switch value.(type) {
	case int64:
		return 1
	case time.Time:
		return 2
	case string:
		return 3
	}
	return 0
}

func compare(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case int64:
		y, _ := b.(int64)
		return cmp.Compare(x, y)
	case time.Time:
		y, _ := b.(time.Time)
		return x.Compare(y)
	case string:
		y, _ := b.(string)
		return strings.Compare(x, y)
	}
	return 0
}

// Transact runs f until what it read is still so at its commit.
func (m *Memory) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	const op = "transaction"
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return failure.Wrap(failure.Transient, op, err)
		}
		t := &memoryTx{ctx: ctx, m: m, reads: map[store.Ref]int64{}}
		err := f(t)
		switch {
		case t.torn:
			continue
		case err != nil:
			return err
		case t.err != nil:
			return t.err
		}
		if err := ctx.Err(); err != nil {
			return failure.Wrap(failure.Transient, op, err)
		}
		if m.commit(t) {
			return nil
		}
	}
	return failure.Wrap(failure.Transient, op, store.ErrContention)
}

func (m *Memory) commit(t *memoryTx) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.current(t.reads) {
		return false
	}
	if len(t.writes) == 0 {
		return true
	}
	m.version++
	for _, w := range t.writes {
		docs := m.docs[w.ref.Collection]
		if docs == nil {
			docs = map[string]versioned{}
			m.docs[w.ref.Collection] = docs
		}
		if w.tree == nil {
			delete(docs, w.ref.ID)
		} else {
			docs[w.ref.ID] = versioned{w.tree, m.version}
		}
	}
	return true
}

// current reports whether everything read is still so. The lock is held.
func (m *Memory) current(reads map[store.Ref]int64) bool {
	for ref, version := range reads {
		if m.docs[ref.Collection][ref.ID].version != version {
			return false
		}
	}
	return true
}

// memoryTx is one try of a transaction.
type memoryTx struct {
	ctx    context.Context
	m      *Memory
	reads  map[store.Ref]int64 // versions; 0: there was none
	writes []memoryWrite
	size   int
	read   time.Time
	// torn: what was read together never was so, and the try is over.
	torn bool
	// err makes the transaction fail even if f overlooks it.
	err error
}

// memoryWrite sets a document, or deletes it if tree is nil.
type memoryWrite struct {
	ref  store.Ref
	tree document.Tree
}

func (t *memoryTx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// Get reads a document, before the first write.
func (t *memoryTx) Get(ref store.Ref, into any) (bool, error) {
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
	t.m.mu.Lock()
	t.torn = !t.m.current(t.reads)
	d := t.m.docs[ref.Collection][ref.ID]
	t.read = t.m.clock()
	t.m.mu.Unlock()
	if t.torn {
		return false, t.fail(failure.Wrap(failure.Transient, op, store.ErrContention))
	}
	t.reads[ref] = d.version
	if d.tree == nil {
		return false, nil
	}
	if err := document.Decode(d.tree, into); err != nil {
		return false, t.fail(failure.Wrap(failure.Invalid, op, err))
	}
	return true, nil
}

// Set notes the document for the commit, as it is now.
func (t *memoryTx) Set(ref store.Ref, doc any) error {
	if t.err != nil {
		return t.err
	}
	tree, size, err := document.Prepare(ref, doc)
	if err != nil {
		return t.fail(err)
	}
	if t.size += size; t.size > document.MaxTransaction {
		return t.fail(failure.New(failure.Invalid, "write "+document.Name(ref), "the transaction is larger than 10 MiB"))
	}
	t.writes = append(t.writes, memoryWrite{ref, tree})
	return nil
}

// Delete notes the deletion for the commit.
func (t *memoryTx) Delete(ref store.Ref) error {
	if t.err != nil {
		return t.err
	}
	if err := document.Check(ref); err != nil {
		return t.fail(err)
	}
	t.writes = append(t.writes, memoryWrite{ref: ref})
	return nil
}

// Now is the clock at the latest Get; without one the transaction fails.
func (t *memoryTx) Now() time.Time {
	if t.read.IsZero() {
		_ = t.fail(failure.Wrap(failure.Invalid, "transaction", document.ErrNowBeforeGet))
	}
	return t.read
}
