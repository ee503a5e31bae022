package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
)

func open(t testing.TB, path string, now func() time.Time, opts ...bolt.Option) *bolt.Backend {
	t.Helper()
	b, err := bolt.Open(path, now, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestContract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Backend {
		return open(t, filepath.Join(t.TempDir(), "store"), time.Now, bolt.NoSync())
	})
}

func TestProduct(t *testing.T) {
	storetest.Product(t, func(t *testing.T) store.Backend {
		return open(t, filepath.Join(t.TempDir(), "store"), time.Now, bolt.NoSync())
	})
}

func employeeRef(id string) store.Ref { return store.Ref{Collection: store.Employees, ID: id} }

type expiring struct {
	Expires time.Time `firestore:"expires_at,omitempty" json:"expires_at,omitzero"`
}

func put(t testing.TB, b store.Backend, ref store.Ref, doc any) {
	t.Helper()
	if err := b.Transact(t.Context(), func(tx store.Tx) error { return tx.Set(ref, doc) }); err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, b store.Backend, ref store.Ref) bool {
	t.Helper()
	found, err := b.Get(t.Context(), ref, &struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFileIsPrivateAndLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b := open(t, path, time.Now)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	// A second opening of the file is to the lock what another process is.
	_, err = bolt.Open(path, time.Now, bolt.LockTimeout(time.Millisecond))
	if e, ok := errors.AsType[*failure.Error](err); !ok || e.Kind != failure.Misconfigured || e.Detail == "" {
		t.Errorf("opened twice: %v", err)
	}
	put(t, b, employeeRef("a"), expiring{})
	if !has(t, b, employeeRef("a")) {
		t.Error("the holder lost the file")
	}
}

func TestNoStoreFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(path, time.Now); !failure.Is(err, failure.Misconfigured) {
		t.Errorf("got %v", err)
	}
}

func TestReopen(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	path := filepath.Join(t.TempDir(), "store")
	first, err := bolt.Open(path, clock)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) expiring { return expiring{now.Add(d)} }
	kept := []store.Ref{
		{Collection: store.SignIns, ID: "later"}, {Collection: store.Tickets, ID: "never"},
		{Collection: store.Activity, ID: "later"},
	}
	gone := []store.Ref{
		{Collection: store.SignIns, ID: "passed"}, {Collection: store.Tickets, ID: "now"},
		// No query names expires_at in Activity, yet it is purged by it.
		{Collection: store.Activity, ID: "passed"},
	}
	put(t, first, kept[0], at(2*time.Hour))
	put(t, first, kept[1], expiring{})
	put(t, first, kept[2], at(2*time.Hour))
	put(t, first, gone[0], at(time.Minute))
	put(t, first, gone[1], at(time.Hour))
	put(t, first, gone[2], at(time.Minute))
	// More than one batch.
	err = first.Transact(t.Context(), func(tx store.Tx) error {
		for i := range 1200 {
			if err := tx.Set(store.Ref{Collection: store.Tickets, ID: fmt.Sprint(i)}, at(time.Second)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range gone {
		if !has(t, first, ref) {
			t.Fatalf("%v was not written", ref)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	now = now.Add(time.Hour)
	second := open(t, path, clock)
	for _, ref := range kept {
		if !has(t, second, ref) {
			t.Errorf("%v was purged", ref)
		}
	}
	for _, ref := range gone {
		if has(t, second, ref) {
			t.Errorf("%v was kept", ref)
		}
	}
	docs, err := second.Query(t.Context(), store.Query{Collection: store.Tickets})
	if err != nil || len(docs) != 1 {
		t.Errorf("%d tickets are left, error %v", len(docs), err)
	}
	now = now.Add(2 * time.Hour)
	if n, err := second.Purge(t.Context()); n != 2 || err != nil {
		t.Errorf("purged %d, error %v", n, err)
	}
	docs, err = second.Query(t.Context(), store.Query{Collection: store.SignIns, Field: "expires_at", Op: store.Exists})
	if err != nil || len(docs) != 0 {
		t.Errorf("the index still has %d entries, error %v", len(docs), err)
	}
}

// A damaged file: the index has entries without a document, or with one that does
// not expire yet. They must neither hold up Open nor cost that document.
func TestPurgeOfADamagedIndex(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	path := filepath.Join(t.TempDir(), "store")
	b, err := bolt.Open(path, clock)
	if err != nil {
		t.Fatal(err)
	}
	ticket := func(id string) store.Ref { return store.Ref{Collection: store.Tickets, ID: id} }
	err = b.Transact(t.Context(), func(tx store.Tx) error {
		var errs []error
		for i := range 501 { // more than a batch
			errs = append(errs, tx.Set(ticket(fmt.Sprint(i)), expiring{now.Add(time.Minute)}))
		}
		return errors.Join(append(errs, tx.Set(ticket("passed"), expiring{now.Add(2 * time.Minute)}),
			tx.Set(ticket("later"), expiring{now.Add(time.Minute)}))...)
	})
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		docs := tx.Bucket([]byte("documents/tickets"))
		// As a file of before has it.
		later := []byte(`{"expires_at":{"__time__":"2027-03-01T12:01:00Z"}}`)
		errs := []error{docs.Put([]byte("later"), later)}
		for i := range 501 {
			errs = append(errs, docs.Delete([]byte(fmt.Sprint(i))))
		}
		return errors.Join(errs...)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}

	entriesLeft := func(b *bolt.Backend) int {
		t.Helper()
		docs, err := b.Query(t.Context(), store.Query{Collection: store.Tickets, Field: "expires_at", Op: store.Exists})
		if err != nil {
			t.Fatal(err)
		}
		return len(docs)
	}
	before, err := bolt.Open(path, clock)
	if err != nil {
		t.Fatal(err)
	}
	if n := entriesLeft(before); n != 2 {
		t.Errorf("%d documents by an index of 503 entries for 2 documents", n)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	after := open(t, path, clock)
	if has(t, after, ticket("passed")) {
		t.Error("a document behind the damage was kept")
	}
	if !has(t, after, ticket("later")) {
		t.Error("a document that does not expire yet was purged")
	}
	if n := entriesLeft(after); n != 0 {
		t.Errorf("%d stale entries are left", n)
	}
}

// A file written by a program with other indexes must answer the queries of this
// one: here all index buckets, and what is remembered of them, are removed.
func TestIndexesAreMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	b, err := bolt.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	due := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	put(t, b, taskRef(1), task{ID: 1, Due: due, Employees: []int64{7}})
	put(t, b, taskRef(2), task{ID: 2, Due: due.Add(-time.Hour)})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.DeleteBucket([]byte("index/tasks/due_at")), tx.DeleteBucket([]byte("index/tasks/employees")),
			tx.Bucket([]byte("meta")).Put([]byte("indexes"), []byte("{}")))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b = open(t, path, time.Now)
	for want, q := range map[int]store.Query{
		2: {Collection: store.Tasks, Field: "due_at", Op: store.AtMost, Value: due},
		1: {Collection: store.Tasks, Field: "employees", Op: store.ContainsAny, Value: []int64{7}},
	} {
		docs, err := b.Query(t.Context(), q)
		if err != nil || len(docs) != want {
			t.Errorf("%s: %d documents, error %v", q.Field, len(docs), err)
		}
	}
}

// The clock passed in may be set back; the database's must not follow.
func TestClockIsMonotonic(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 1999, time.FixedZone("east", 3600))
	b := open(t, filepath.Join(t.TempDir(), "store"), func() time.Time { return now })
	want := time.Date(2026, 3, 1, 11, 0, 0, 1000, time.UTC)
	for range 2 {
		if got, err := b.Now(t.Context()); err != nil || got != want {
			t.Errorf("got %v, error %v", got, err)
		}
		now = now.Add(-time.Hour)
	}
}

// In a bubble of time the deadline passes only once everybody waits, however busy the
// machine is: one that had passed before the call would be no contention.
func TestWaitForTheWriterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, filepath.Join(t.TempDir(), "store"), time.Now)
		inside, done := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := b.Transact(context.Background(), func(tx store.Tx) error {
				close(inside)
				<-done
				return tx.Set(employeeRef("a"), expiring{})
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-inside
		// Readers do not wait for a writer, and do not see what is not committed.
		if has(t, b, employeeRef("a")) {
			t.Error("read what was not committed")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.Transact(ctx, func(store.Tx) error { t.Error("two writers at once"); return nil })
		if !errors.Is(err, store.ErrContention) || !errors.Is(err, context.DeadlineExceeded) || failure.IsAmbiguous(err) {
			t.Errorf("got %v", err)
		}
		close(done)
		wg.Wait()
		if !has(t, b, employeeRef("a")) {
			t.Error("the first writer's document is missing")
		}
	})
}

// A panic in f must not leave the store locked.
func TestPanicReleasesTheWriter(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "store"), time.Now)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = b.Transact(t.Context(), func(tx store.Tx) error {
			_ = tx.Set(employeeRef("a"), expiring{})
			panic("planted")
		})
	}()
	put(t, b, employeeRef("b"), expiring{})
	if has(t, b, employeeRef("a")) {
		t.Error("written in spite of the panic")
	}
}
