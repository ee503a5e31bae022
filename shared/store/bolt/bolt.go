// Package bolt keeps documents in one file of go.etcd.io/bbolt: the embedded
// backend of shared/store for local runs, tests and simulations. It enforces
// Firestore's rules (all reads before the first write, sizes, ids, indexed
// fields), so that what works on it also works in the cloud. It must never be
// laxer than Firestore, never scan a collection to answer a query by a field,
// and never put a document's contents into an error.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bbolt "go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

const (
	// operationTimeout bounds the wait for the writer when ctx has no deadline.
	operationTimeout = 10 * time.Second
	lockTimeout      = 3 * time.Second
	// mapped is the address space reserved at once, so that a reader under way
	// never makes a writer wait for the file to be mapped anew. It costs no memory.
	mapped = 256 << 20
	// pageSize is of new files, in bytes. All that is in a page is read into memory for
	// each write to it, so that small ones take half as much for a transaction.
	pageSize   = 1 << 10
	purgeBatch = 500
)

// Backend is a store.Backend in a file. It is safe for concurrent use; writing
// transactions run one after another, readers beside them.
type Backend struct {
	db    *bbolt.DB
	clock *document.Clock
	// writer is the lock of writing transactions: bbolt's own cannot be waited for
	// with a context.
	writer *semaphore.Weighted
}

var _ store.Backend = (*Backend)(nil)

type options struct {
	noSync      bool
	lockTimeout time.Duration
}

// Option changes how the file is opened.
type Option func(*options)

// NoSync leaves out fsync: 0.1 ms instead of 0.7 ms for a get and a set on an SSD
// (BenchmarkTransact). A transaction that returned may then be lost, or the file
// damaged, if the machine (not merely the process) stops. For tests, simulations
// and local runs whose state can be made again.
func NoSync() Option { return func(o *options) { o.noSync = true } }

// Open opens the file at path (mode 0600), or makes it, and purges expired
// documents. now is the database's clock. A file in use by another process is a
// failure.Misconfigured.
func Open(path string, now func() time.Time, opts ...Option) (*Backend, error) {
	o := options{lockTimeout: lockTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	op := "open store " + path
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         o.lockTimeout,
		NoSync:          o.noSync,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		PageSize:        pageSize,
		NoStatistics:    true,
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, &failure.Error{Kind: failure.Misconfigured, Op: op, Detail: "the file is in use by another process", Err: err}
	}
	if err != nil {
		return nil, failure.Wrap(failure.Misconfigured, op, err)
	}
	b := &Backend{db: db, clock: document.NewClock(now), writer: semaphore.NewWeighted(1)}
	if err := b.prepare(path); err != nil {
		return nil, errors.Join(failure.Wrap(failure.Misconfigured, op, err), db.Close())
	}
	return b, nil
}

func (b *Backend) prepare(path string) error {
	// The file may have been made by something else, or copied.
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	if err := b.db.Update(ensureIndexes); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := b.Purge(ctx)
	return err
}

// Close waits for what is under way and closes the file.
func (b *Backend) Close() error { return b.db.Close() }

// Now gives the clock that was passed to Open, never running backwards.
func (b *Backend) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, failure.Wrap(failure.Transient, "read the store's clock", err)
	}
	return b.clock.Now(), nil
}

// Get reads one document as the latest transaction left it.
func (b *Backend) Get(ctx context.Context, ref store.Ref, into any) (bool, error) {
	if err := document.Check(ref); err != nil {
		return false, err
	}
	op := "read " + document.Name(ref)
	if err := ctx.Err(); err != nil {
		return false, failure.Wrap(failure.Transient, op, err)
	}
	var tree document.Tree
	err := b.db.View(func(btx *bbolt.Tx) (err error) {
		tree, err = load(btx, ref)
		return err
	})
	if err != nil {
		return false, failure.Wrap(failure.Transient, op, err)
	}
	return document.Read(ref, tree, into)
}

// load reads a document's tree; nil if there is none.
func load(btx *bbolt.Tx, ref store.Ref) (document.Tree, error) {
	bucket := btx.Bucket(documentsBucket(ref.Collection))
	if bucket == nil {
		return nil, nil
	}
	data := bucket.Get([]byte(ref.ID))
	if data == nil {
		return nil, nil
	}
	return unmarshal(data)
}

// Transact runs f alone among writers and commits its writes in one bbolt
// transaction with their index entries. f's own error is returned as it is.
// Without a deadline, the wait for other writers ends after 10 s.
func (b *Backend) Transact(ctx context.Context, f func(tx store.Tx) error) error {
	const op = "transaction"
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.writer.Release(1)
	btx, err := b.db.Begin(true)
	if err != nil {
		return failure.Wrap(failure.Transient, op, err)
	}
	// After a commit this only says that there is nothing to roll back.
	defer func() { _ = btx.Rollback() }()

	read := map[store.Ref]document.Tree{}
	writes, err := document.NewTx(func(ref store.Ref, op string) (document.Tree, time.Time, error) {
		if err := ctx.Err(); err != nil {
			return nil, time.Time{}, failure.Wrap(failure.Transient, op, err)
		}
		tree, err := load(btx, ref)
		read[ref] = tree
		return tree, b.clock.Now(), failure.Wrap(failure.Transient, op, err)
	}).Run(f)
	if err != nil {
		return err
	}
	for _, w := range writes {
		before, known := read[w.Ref]
		if !known {
			if before, err = load(btx, w.Ref); err != nil {
				return failure.Wrap(failure.Transient, op+": write "+document.Name(w.Ref), err)
			}
		}
		if err := apply(btx, w, before); err != nil {
			return failure.Wrap(failure.Transient, op+": write "+document.Name(w.Ref), err)
		}
		read[w.Ref] = w.Tree
	}
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, op, err)
	}
	if len(writes) == 0 {
		return nil
	}
	if err := btx.Commit(); err != nil {
		return &failure.Error{Kind: failure.Transient, Op: op, Err: err, Ambiguous: true}
	}
	return nil
}

// apply makes one write and keeps the indexes in step; before is what is there, nil for
// nothing.
func apply(btx *bbolt.Tx, w document.Write, before document.Tree) error {
	bucket, err := btx.CreateBucketIfNotExists(documentsBucket(w.Ref.Collection))
	if err != nil {
		return fmt.Errorf("open collection %s: %w", w.Ref.Collection, err)
	}
	if w.Tree == nil {
		err = bucket.Delete([]byte(w.Ref.ID))
	} else {
		var data []byte
		if data, err = marshal(w.Tree); err == nil {
			err = bucket.Put([]byte(w.Ref.ID), data)
		}
	}
	if err != nil {
		return err
	}
	return reindex(btx, w.Ref, before, w.Tree)
}

// lock waits until no other transaction writes.
func (b *Backend) lock(ctx context.Context) error {
	const op = "wait for the store's writer"
	if err := ctx.Err(); err != nil {
		return failure.Wrap(failure.Transient, op, err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, operationTimeout)
		defer cancel()
	}
	if err := b.writer.Acquire(ctx, 1); err != nil {
		return failure.Wrap(failure.Transient, op, fmt.Errorf("%w: %w", store.ErrContention, err))
	}
	return nil
}

// Purge deletes all documents whose field expires_at has come, as Firestore's TTL
// policies do in the cloud, and tells how many. Open calls it; a process that
// runs for long may do so again.
func (b *Backend) Purge(ctx context.Context) (int, error) {
	total := 0
	for {
		n, more, err := b.purgeSome(ctx)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
}

// purgeSome deletes a batch and reports whether there may be more to do.
func (b *Backend) purgeSome(ctx context.Context) (n int, more bool, err error) {
	if err := b.lock(ctx); err != nil {
		return 0, false, err
	}
	defer b.writer.Release(1)
	err = b.db.Update(func(btx *bbolt.Tx) error {
		all, err := collections(btx)
		if err != nil {
			return err
		}
		now, room := b.clock.Now(), purgeBatch
		for _, c := range all {
			ids, done, err := expired(btx, c, now, room)
			if err != nil {
				return err
			}
			for _, id := range ids {
				ref := store.Ref{Collection: c, ID: id}
				before, err := load(btx, ref)
				if err == nil {
					err = apply(btx, document.Write{Ref: ref}, before)
				}
				if err != nil {
					return err
				}
			}
			n += len(ids)
			if room -= done; room == 0 {
				more = true
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return 0, false, failure.Wrap(failure.Transient, "purge expired documents", err)
	}
	return n, more, nil
}
