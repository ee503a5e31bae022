// Package memory keeps documents in memory: the backend of shared/store for simulations
// and tests, which behaves as Firestore does under contention. It must never be laxer
// than Firestore.
package memory

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

// Backend is a store.Backend in memory. Transactions run side by side, see one state
// of the database, and are committed only if what they read is still so; otherwise
// they are run again. Unlike the embedded store nothing makes them wait for each other.
type Backend struct {
	clock *document.Clock

	mu      sync.Mutex
	docs    map[store.Collection]map[string]versioned
	version int64
}

var _ store.Backend = (*Backend)(nil)

// versioned is a document as one transaction wrote it; its tree never changes.
type versioned struct {
	tree    document.Tree
	version int64
	// before is what the document was before, of version beforeVersion; 0 for nothing.
	before        document.Tree
	beforeVersion int64
}

// New makes an empty backend whose clock is now.
func New(now func() time.Time) *Backend {
	return &Backend{clock: document.NewClock(now), docs: map[store.Collection]map[string]versioned{}}
}

// Close does nothing.
func (*Backend) Close() error { return nil }

// Wipe loses every document, as a database restored empty.
func (b *Backend) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.docs = map[store.Collection]map[string]versioned{}
	b.version++
}

// Now gives the backend's clock.
func (b *Backend) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, failure.Wrap(failure.Transient, "read the store's clock", err)
	}
	return b.clock.Now(), nil
}

// Get reads one document.
func (b *Backend) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if err := document.Check(ref); err != nil {
		return false, err
	}
	op := "read " + document.Name(ref)
	if err := ctx.Err(); err != nil {
		return false, failure.Wrap(failure.Transient, op, err)
	}
	b.mu.Lock()
	tree := b.docs[ref.Collection][ref.ID].tree
	b.mu.Unlock()
	return document.Read(ref, tree, into)
}

// Count answers from one moment.
func (b *Backend) Count(ctx context.Context, q store.Query) (int, error) {
	docs, err := b.Query(ctx, q)
	return len(docs), err
}

// Query answers from one moment.
func (b *Backend) Query(ctx context.Context, q store.Query) ([]store.Document, error) {
	s, err := document.Select(q)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, failure.Wrap(failure.Transient, document.Describe(q), err)
	}
	var found []candidate
	b.mu.Lock()
	for id, d := range b.docs[q.Collection] {
		if c, ok := selected(s, id, d.tree); ok {
			found = append(found, c)
		}
	}
	b.mu.Unlock()
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
		return c, rank(value) == rank(s.Bound) && compare(value, s.Bound) >= 0 && (s.Under == nil || compare(value, s.Under) < 0)
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
func (b *Backend) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	const op = "transaction"
	fresh := false
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return failure.Wrap(failure.Transient, op, err)
		}
		t := &try{ctx: ctx, b: b, fresh: fresh, reads: map[store.Ref]int64{}}
		writes, err := document.NewTxKnowing(t.read, t.known).Run(f)
		if fresh = true; t.torn || t.trusted && (err != nil || len(writes) == 0) {
			continue
		}
		if err == nil {
			err = failure.Wrap(failure.Transient, op, ctx.Err())
		}
		if err != nil {
			return err
		}
		if b.commit(t.reads, writes) {
			return nil
		}
	}
	return failure.Wrap(failure.Transient, op, store.ErrContention)
}

func (b *Backend) commit(reads map[store.Ref]int64, writes []document.Write) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.current(reads) {
		return false
	}
	if len(writes) == 0 {
		return true
	}
	b.version++
	for _, w := range writes {
		docs := b.docs[w.Ref.Collection]
		if docs == nil {
			docs = map[string]versioned{}
			b.docs[w.Ref.Collection] = docs
		}
		if w.Tree == nil {
			delete(docs, w.Ref.ID)
		} else {
			was := docs[w.Ref.ID]
			docs[w.Ref.ID] = versioned{w.Tree, b.version, was.tree, was.version}
		}
	}
	return true
}

// current reports whether everything read is still so. The lock is held.
func (b *Backend) current(reads map[store.Ref]int64) bool {
	for ref, version := range reads {
		if b.docs[ref.Collection][ref.ID].version != version {
			return false
		}
	}
	return true
}

// try is one try of a transaction.
type try struct {
	ctx   context.Context
	b     *Backend
	reads map[store.Ref]int64 // versions; 0: there was none
	// torn: what was read together never was so, and the try is over.
	torn bool
	// trusted: something was given as it was before; fresh: nothing may be.
	trusted, fresh bool
}

// known gives every other document as it was before it was last written, as a process
// sees it that did not write it.
func (t *try) known(ref store.Ref, op string) (document.Tree, time.Time, error) {
	t.b.mu.Lock()
	doc := t.b.docs[ref.Collection][ref.ID]
	t.b.mu.Unlock()
	if _, read := t.reads[ref]; t.fresh || read || doc.beforeVersion == 0 || doc.version%2 == 0 {
		return t.read(ref, op)
	}
	t.reads[ref], t.trusted = doc.beforeVersion, true
	return doc.before, t.b.clock.Now(), nil
}

func (t *try) read(ref store.Ref, op string) (document.Tree, time.Time, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, time.Time{}, failure.Wrap(failure.Transient, op, err)
	}
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	if t.torn = !t.b.current(t.reads); t.torn {
		return nil, time.Time{}, failure.Wrap(failure.Transient, op, store.ErrContention)
	}
	d := t.b.docs[ref.Collection][ref.ID]
	t.reads[ref] = d.version
	return d.tree, t.b.clock.Now(), nil
}
