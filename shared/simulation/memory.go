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
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

// maxTries is how often a transaction is run before it gives up. Each try that
// fails means that another transaction was committed.
const maxTries = 30

// Memory is a store.Backend in memory that behaves as Firestore does under
// contention: transactions run side by side, see one state of the database, and
// are committed only if what they read is still so; otherwise they are run
// again. Unlike the embedded store nothing makes them wait for each other.
type Memory struct {
	clock *document.Clock

	mu      sync.Mutex
	docs    map[store.Collection]map[string]versioned
	version int64
}

var _ store.Backend = (*Memory)(nil)

// versioned is a document as one transaction wrote it; its tree never changes.
type versioned struct {
	tree    document.Tree
	version int64
}

// NewMemory makes an empty backend whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{clock: document.NewClock(now), docs: map[store.Collection]map[string]versioned{}}
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

// Now gives the backend's clock.
func (m *Memory) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, failure.Wrap(failure.Transient, "read the store's clock", err)
	}
	return m.clock.Now(), nil
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
	return document.Read(ref, tree, into)
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
		docs[i] = document.Found(store.Ref{Collection: q.Collection, ID: c.id}, c.tree)
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
		t := &try{ctx: ctx, m: m, reads: map[store.Ref]int64{}}
		writes, err := document.NewTx(t.read).Run(f)
		if t.torn {
			continue
		}
		if err == nil {
			err = failure.Wrap(failure.Transient, op, ctx.Err())
		}
		if err != nil {
			return err
		}
		if m.commit(t.reads, writes) {
			return nil
		}
	}
	return failure.Wrap(failure.Transient, op, store.ErrContention)
}

func (m *Memory) commit(reads map[store.Ref]int64, writes []document.Write) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.current(reads) {
		return false
	}
	if len(writes) == 0 {
		return true
	}
	m.version++
	for _, w := range writes {
		docs := m.docs[w.Ref.Collection]
		if docs == nil {
			docs = map[string]versioned{}
			m.docs[w.Ref.Collection] = docs
		}
		if w.Tree == nil {
			delete(docs, w.Ref.ID)
		} else {
			docs[w.Ref.ID] = versioned{w.Tree, m.version}
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

// try is one try of a transaction.
type try struct {
	ctx   context.Context
	m     *Memory
	reads map[store.Ref]int64 // versions; 0: there was none
	// torn: what was read together never was so, and the try is over.
	torn bool
}

func (t *try) read(ref store.Ref, op string) (document.Tree, time.Time, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, time.Time{}, failure.Wrap(failure.Transient, op, err)
	}
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	if t.torn = !t.m.current(t.reads); t.torn {
		return nil, time.Time{}, failure.Wrap(failure.Transient, op, store.ErrContention)
	}
	d := t.m.docs[ref.Collection][ref.ID]
	t.reads[ref] = d.version
	return d.tree, t.m.clock.Now(), nil
}
