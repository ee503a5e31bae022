// Package storetest holds the contracts of shared/store: the same tests for every
// backend, so that what is proven on the embedded one also holds in the cloud. It
// must never be imported by product code.
//
// To add a backend:
//
//   - Implement store.Backend in a package of its own under shared/store, named after
//     the database. Everything that backends share is in shared/store/document: Encode
//     and Decode between structs and trees of plain values, which are what you store;
//     Check, Prepare and Select, which refuse what Firestore would refuse; Read and
//     Found for documents as they were read; Clock, if the database has none of its
//     own. shared/store/memory is the shortest example.
//
//   - Transact needs no store.Tx of your own. document.NewTx(read).Run(f) runs the
//     function once, reading by your read (a document's tree, nil for none, and the
//     database's time), and gives the writes to commit in order. What is left to you:
//     that all reads of one run show one moment, or the run fails; that the commit
//     takes place only if what was read still holds, and else f runs again (a run that
//     failed for that is no error of f's); that all writes are committed or none.
//
//   - An error has a kind (shared/failure): Invalid for what document refuses,
//     Misconfigured for what an operator has to mend, else Transient. Losing against
//     others until the context ends wraps store.ErrContention. After a commit whose
//     answer was lost it is Ambiguous. No error quotes what is in a document.
//
//   - Indexes: every field of store.Indexed, kept in step with the documents in the
//     same commit. A document without the field is in no answer by it.
//
//   - Test it with both suites, and give each call an empty database:
//
//     func TestContract(t *testing.T) { storetest.Contract(t, open) }
//     func TestProduct(t *testing.T)  { storetest.Product(t, open) }
//
//     where open makes a backend for one subtest and closes it by t.Cleanup. Contract
//     asks for what store.Backend says, Product for all that store.Store makes of it,
//     with every transaction run twice, lost, or committed without an answer. Subtests
//     run in parallel. What only this backend can get wrong (a damaged file, a broken
//     connection) is for tests of its own beside them.
//
//   - Open it where the others are opened (shared/cloud for the functions), let the
//     linter's rule in .golangci.yml (depguard, adapters) allow the database's library
//     in the new package alone, and run the simulation's histories on it
//     (shared/simulation, as on the Firestore emulator).
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// What documents are made of besides plain types.
type (
	// Name is a kind of string, as identifiers and states are.
	Name string
	// Number is a kind of integer, as ids are.
	Number int64
	// Part is an object inside a document.
	Part struct {
		Label  string    `firestore:"label" json:"label"`
		At     time.Time `firestore:"at,omitempty" json:"at,omitzero"`
		Count  int64     `firestore:"count,omitempty" json:"count,omitempty"`
		Nested *Part     `firestore:"nested,omitempty" json:"nested,omitempty"`
	}
	// Embedded is flattened into the document that embeds it.
	Embedded struct {
		Flat   string    `firestore:"flat,omitempty" json:"flat,omitempty"`
		FlatAt time.Time `firestore:"flat_at,omitempty" json:"flat_at,omitzero"`
		Deep
	}
	// Deep is flattened through Embedded.
	Deep struct {
		Deepest int64 `firestore:"deepest" json:"deepest"`
	}
)

// Everything has a field of each kind that a document may have.
type Everything struct {
	Text    string           `firestore:"text" json:"text"`
	Flag    bool             `firestore:"flag" json:"flag"`
	Int     int              `firestore:"int" json:"int"`
	Big     int64            `firestore:"big" json:"big"`
	Small   int32            `firestore:"small" json:"small"`
	Byte    uint8            `firestore:"byte" json:"byte"`
	Ratio   float64          `firestore:"ratio" json:"ratio"`
	Name    Name             `firestore:"name" json:"name"`
	Number  Number           `firestore:"number" json:"number"`
	At      time.Time        `firestore:"at" json:"at"`
	AtPtr   *time.Time       `firestore:"at_ptr" json:"at_ptr"`
	IntPtr  *int64           `firestore:"int_ptr" json:"int_ptr"`
	Bytes   []byte           `firestore:"bytes" json:"bytes"`
	Ints    []int64          `firestore:"ints" json:"ints"`
	Numbers []Number         `firestore:"numbers" json:"numbers"`
	Texts   []string         `firestore:"texts" json:"texts"`
	Times   []time.Time      `firestore:"times" json:"times"`
	Parts   []Part           `firestore:"parts" json:"parts"`
	Part    Part             `firestore:"part" json:"part"`
	PartPtr *Part            `firestore:"part_ptr" json:"part_ptr"`
	ByName  map[string]Part  `firestore:"by_name" json:"by_name"`
	Ptrs    map[string]*Part `firestore:"ptrs" json:"ptrs"`
	Counts  map[Name]int64   `firestore:"counts" json:"counts"`
	Skipped string           `firestore:"-" json:"-"`
	hidden  string
	Embedded
}

// employee is a document of the indexed collection Employees.
type employee struct {
	Due       time.Time `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	State     string    `firestore:"state,omitempty" json:"state,omitempty"`
	Divisions []int64   `firestore:"divisions,omitempty" json:"divisions,omitempty"`
	Count     int64     `firestore:"count,omitempty" json:"count,omitempty"`
}

// Contract holds a backend to the contract. open gives an empty one for each
// subtest and closes it by t.Cleanup.
func Contract(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b store.Backend)
	}{
		{"round trip", roundTrip},
		{"zero values", zeroValues},
		{"embedded structs are flattened", flattened},
		{"reading replaces what the struct held", readReplaces},
		{"not found leaves the struct alone", notFound},
		{"set replaces the whole document", setReplaces},
		{"delete", deletes},
		{"several writes to one document", lastWriteCounts},
		{"an error rolls back everything", rollsBack},
		{"overlooked errors fail the transaction", overlookedErrors},
		{"set takes the value of the moment", setCopies},
		{"increments are isolated", increments},
		{"two documents keep their sum", transfers},
		{"read after write is refused", readAfterWrite},
		{"refused documents", refusedDocuments},
		{"refused references", refusedRefs},
		{"size limit", sizeLimit},
		{"cancelled context", cancelled},
		{"clock", clock},
		{"a write is seen at once", seenAtOnce},
		{"every", queryEvery},
		{"equal", queryEqual},
		{"at most", queryAtMost},
		{"exists", queryExists},
		{"contains any", queryContainsAny},
		{"indexes follow changes", indexesFollow},
		{"refused queries", refusedQueries},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func set(t *testing.T, b store.Backend, ref store.Ref, doc any) {
	t.Helper()
	if err := b.Transact(testContext(t), func(tx store.Tx) error { return tx.Set(ref, doc) }); err != nil {
		t.Fatalf("set %v: %v", ref, err)
	}
}

func get[T any](t *testing.T, b store.Backend, ref store.Ref) (doc T, found bool) {
	t.Helper()
	found, err := b.Get(testContext(t), ref, &doc)
	if err != nil {
		t.Fatalf("get %v: %v", ref, err)
	}
	return doc, found
}

func ref(id string) store.Ref { return store.Ref{Collection: store.Employees, ID: id} }

func same(t *testing.T, got, want any) {
	t.Helper()
	allow := cmp.AllowUnexported(Everything{}, employee{})
	if diff := cmp.Diff(want, got, allow); diff != "" {
		t.Errorf("got + want -:\n%s", diff)
	}
}

// moment has a fraction beyond the databases' precision and a zone of its own.
func moment(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, n, 123456789, time.FixedZone("east", 3*3600))
}

// stored is moment as a database gives it back.

func stored(n int) time.Time { return time.Date(2026, 3, 1, 9, 0, n, 123456000, time.UTC) }

func roundTrip(t *testing.T, b store.Backend) {
	at, storedAt, n := moment(1), stored(1), int64(0)
	doc := Everything{
		Text: "Zażółć <b>&\x00 \u2028 \"q\"", Flag: true, Int: -7, Big: 1<<63 - 1, Small: -1 << 31, Byte: 255,
		Ratio: 3, Name: "n", Number: 9007199254740993, At: at, AtPtr: &at, IntPtr: &n,
		Bytes: []byte{0, 1, 254, 255}, Ints: []int64{3, -1, 3, 1 << 62}, Numbers: []Number{5}, Texts: []string{"", "a"},
		Times: []time.Time{moment(2), moment(3)},
		Parts: []Part{{Label: "one", At: moment(4)}, {}},
		Part:  Part{Label: "own", Nested: &Part{Label: "inner", Count: 2, Nested: &Part{}}},
		ByName: map[string]Part{
			"17": {Label: "seventeen", At: moment(5)}, "dotted.key/with `marks`": {Count: 1}, "zero": {},
		},
		PartPtr: &Part{Label: "pointer"}, Ptrs: map[string]*Part{"p": {Label: "in a map"}},
		Counts: map[Name]int64{"a": 1, "b": -2}, Skipped: "not stored", hidden: "neither",
		Embedded: Embedded{Flat: "flat", FlatAt: moment(6), Deep: Deep{Deepest: 11}},
	}
	set(t, b, ref("a"), &doc)
	got, found := get[Everything](t, b, ref("a"))
	want := doc
	want.At, want.AtPtr, want.FlatAt = storedAt, &storedAt, stored(6)
	want.Times = []time.Time{stored(2), stored(3)}
	want.Parts = []Part{{Label: "one", At: stored(4)}, {}}
	want.ByName = map[string]Part{"17": {Label: "seventeen", At: stored(5)}, "dotted.key/with `marks`": {Count: 1}, "zero": {}}
	want.Skipped, want.hidden = "", ""
	same(t, found, true)
	same(t, got, want)
	if !doc.At.Equal(at) || doc.At.Location() != at.Location() {
		t.Error("the document written was changed")
	}
	for name, ratio := range map[string]float64{"fraction": 0.1, "huge": 1e300, "negative": -2} {
		set(t, b, ref(name), Everything{Ratio: ratio})
		if got, _ := get[Everything](t, b, ref(name)); got.Ratio != ratio {
			t.Errorf("%s: got %v", name, got.Ratio)
		}
	}
	edge := Everything{At: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), AtPtr: new(time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC))}
	set(t, b, ref("edge"), edge)
	got, _ = get[Everything](t, b, ref("edge"))
	same(t, got, edge)
}

func zeroValues(t *testing.T, b store.Backend) {
	set(t, b, ref("zero"), Everything{})
	got, found := get[Everything](t, b, ref("zero"))
	same(t, found, true)
	same(t, got, Everything{})

	empty := Everything{Bytes: []byte{}, Ints: []int64{}, ByName: map[string]Part{}, Parts: []Part{}, AtPtr: new(time.Time{})}
	set(t, b, ref("empty"), empty)
	got, _ = get[Everything](t, b, ref("empty"))
	same(t, got, Everything{})

	// All fields left out: the document is there nevertheless.
	set(t, b, ref("nothing"), employee{})
	_, found = get[employee](t, b, ref("nothing"))
	same(t, found, true)
}

func flattened(t *testing.T, b store.Backend) {
	set(t, b, ref("a"), Everything{Embedded: Embedded{Flat: "x", Deep: Deep{Deepest: 4}}})
	type flat struct {
		Flat    string `firestore:"flat" json:"flat"`
		Deepest int64  `firestore:"deepest" json:"deepest"`
	}
	got, _ := get[flat](t, b, ref("a"))
	same(t, got, flat{"x", 4})
}

func readReplaces(t *testing.T, b store.Backend) {
	set(t, b, ref("a"), employee{Count: 1})
	doc := employee{Due: stored(1), State: "old", Divisions: []int64{1}, Count: 9}
	if _, err := b.Get(testContext(t), ref("a"), &doc); err != nil {
		t.Fatal(err)
	}
	same(t, doc, employee{Count: 1})
	doc = employee{State: "old"}
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		_, err := tx.Get(ref("a"), &doc)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, doc, employee{Count: 1})
}

func notFound(t *testing.T, b store.Backend) {
	doc := employee{State: "mine"}
	found, err := b.Get(testContext(t), ref("none"), &doc)
	if err != nil || found {
		t.Fatalf("found %v, error %v", found, err)
	}
	err = b.Transact(testContext(t), func(tx store.Tx) error {
		found, err := tx.Get(ref("none"), &doc)
		if found {
			t.Error("found within a transaction")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, doc, employee{State: "mine"})
	// The same id elsewhere is another document.
	set(t, b, store.Ref{Collection: store.Tasks, ID: "none"}, employee{})
	if _, found := get[employee](t, b, ref("none")); found {
		t.Error("found in another collection")
	}
}

func setReplaces(t *testing.T, b store.Backend) {
	set(t, b, ref("a"), Everything{Text: "x", ByName: map[string]Part{"1": {Label: "one"}, "2": {}}})
	set(t, b, ref("a"), Everything{Flag: true, ByName: map[string]Part{"2": {}}})
	got, _ := get[Everything](t, b, ref("a"))
	same(t, got, Everything{Flag: true, ByName: map[string]Part{"2": {}}})
}

func deletes(t *testing.T, b store.Backend) {
	set(t, b, ref("a"), employee{State: "x"})
	set(t, b, ref("b"), employee{State: "x"})
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		return errors.Join(tx.Delete(ref("a")), tx.Delete(ref("never was")))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, found := get[employee](t, b, ref("a")); found {
		t.Error("still there")
	}
	if _, found := get[employee](t, b, ref("b")); !found {
		t.Error("another document went with it")
	}
}

func lastWriteCounts(t *testing.T, b store.Backend) {
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		return errors.Join(
			tx.Set(ref("a"), employee{State: "one"}), tx.Set(ref("a"), employee{State: "two"}),
			tx.Set(ref("b"), employee{State: "one"}), tx.Delete(ref("b")),
			tx.Delete(ref("c")), tx.Set(ref("c"), employee{State: "one"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, ids(t, b, store.Query{Collection: store.Employees, Field: "state", Op: store.Exists}), []string{"c", "a"})
	a, _ := get[employee](t, b, ref("a"))
	same(t, a, employee{State: "two"})
}

func rollsBack(t *testing.T, b store.Backend) {
	set(t, b, ref("kept"), employee{State: "before"})
	mine := errors.New("no")
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		if _, err := tx.Get(ref("kept"), &employee{}); err != nil {
			return err
		}
		err := errors.Join(tx.Set(ref("kept"), employee{State: "after"}), tx.Set(ref("new"), employee{State: "after"}))
		if err != nil {
			return err
		}
		return fmt.Errorf("so: %w", mine)
	})
	if !errors.Is(err, mine) {
		t.Fatalf("got %v", err)
	}
	if e, ok := errors.AsType[*failure.Error](err); ok {
		t.Errorf("the function's own error was given a kind: %v", e)
	}
	got, _ := get[employee](t, b, ref("kept"))
	same(t, got, employee{State: "before"})
	if _, found := get[employee](t, b, ref("new")); found {
		t.Error("a write of a failed transaction is there")
	}
	same(t, len(ids(t, b, store.Query{Collection: store.Employees, Field: "state", Op: store.Equal, Value: "after"})), 0)
}

func overlookedErrors(t *testing.T, b store.Backend) {
	for name, fault := range map[string]func(tx store.Tx){
		"refused document":      func(tx store.Tx) { _ = tx.Set(ref("bad"), struct{ NoTag int }{}) },
		"refused reference":     func(tx store.Tx) { _ = tx.Delete(ref("")) },
		"read after write":      func(tx store.Tx) { _, _ = tx.Get(ref("a"), &employee{}) },
		"clock before any read": func(tx store.Tx) { tx.Now() },
	} {
		err := b.Transact(testContext(t), func(tx store.Tx) error {
			if err := tx.Set(ref("a"), employee{}); err != nil {
				return err
			}
			fault(tx)
			return nil
		})
		if !failure.Is(err, failure.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, found := get[employee](t, b, ref("a")); found {
			t.Errorf("%s: written nevertheless", name)
		}
	}
}

func setCopies(t *testing.T, b store.Backend) {
	doc := &employee{Divisions: []int64{1}}
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		doc.Divisions[0] = 1
		err := tx.Set(ref("a"), doc)
		doc.Divisions[0] = 2
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := get[employee](t, b, ref("a"))
	same(t, got, employee{Divisions: []int64{1}})
}

// increments also proves that runs of f that lost left nothing behind: each run
// writes a marker of its own.
func increments(t *testing.T, b store.Backend) {
	const n = 20
	ctx := testContext(t)
	var runs atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			// A caller tries again after contention, as the contract asks.
			for {
				err := b.Transact(ctx, func(tx store.Tx) error {
					var doc employee
					if _, err := tx.Get(ref("counter"), &doc); err != nil {
						return err
					}
					doc.Count++
					marker := store.Ref{Collection: store.Runs, ID: fmt.Sprint(runs.Add(1))}
					return errors.Join(tx.Set(ref("counter"), doc), tx.Set(marker, doc))
				})
				if err == nil || !errors.Is(err, store.ErrContention) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	got, _ := get[employee](t, b, ref("counter"))
	same(t, got.Count, int64(n))
	same(t, len(ids(t, b, store.Query{Collection: store.Runs})), n)
	t.Logf("%d commits in %d runs", n, runs.Load())
}

// transfers moves units between two documents while others read both in one
// transaction: no reader may see a sum that never was (write skew, torn reads).
func transfers(t *testing.T, b store.Backend) {
	ctx := testContext(t)
	set(t, b, ref("a"), employee{Count: 10})
	set(t, b, ref("b"), employee{Count: 10})
	read := func(tx store.Tx) (x, y employee, err error) {
		if _, err = tx.Get(ref("a"), &x); err == nil {
			_, err = tx.Get(ref("b"), &y)
		}
		return x, y, err
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 3 {
				var x, y employee
				err := b.Transact(ctx, func(tx store.Tx) (err error) {
					// A run that is not the last may have seen what never was.
					if x, y, err = read(tx); err != nil || i%2 == 1 {
						return err
					}
					x.Count--
					y.Count++
					return errors.Join(tx.Set(ref("a"), x), tx.Set(ref("b"), y))
				})
				if err != nil {
					t.Error(err)
				} else if x.Count+y.Count != 20 {
					t.Errorf("read %d and %d", x.Count, y.Count)
				}
			}
		})
	}
	wg.Wait()
	x, _ := get[employee](t, b, ref("a"))
	y, _ := get[employee](t, b, ref("b"))
	same(t, []int64{x.Count, y.Count}, []int64{4, 16})
}

func cancelled(t *testing.T, b store.Backend) {
	ctx, cancel := context.WithCancel(testContext(t))
	err := b.Transact(ctx, func(tx store.Tx) error {
		err := tx.Set(ref("a"), employee{State: "x"})
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) || !failure.Is(err, failure.Transient) || failure.IsAmbiguous(err) {
		t.Errorf("cancelled before the commit: %v", err)
	}
	if _, found := get[employee](t, b, ref("a")); found {
		t.Error("written nevertheless")
	}
	ran := false
	err = b.Transact(ctx, func(store.Tx) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("transaction: %v, run: %v", err, ran)
	}
	if _, err := b.Get(ctx, ref("a"), &employee{}); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := b.Query(ctx, store.Query{Collection: store.Employees}); !errors.Is(err, context.Canceled) {
		t.Errorf("query: %v", err)
	}
	if _, err := b.Now(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("now: %v", err)
	}
}

func clock(t *testing.T, b store.Backend) {
	ctx := testContext(t)
	near := func(what string, at time.Time) {
		t.Helper()
		// Backends under test run on this machine's clock.
		if d := time.Since(at); d < -time.Minute || d > time.Minute {
			t.Errorf("%s: %v off", what, d)
		}
		if at.Location() != time.UTC || at.Nanosecond()%1000 != 0 {
			t.Errorf("%s: %v is no UTC time of microseconds", what, at)
		}
	}
	set(t, b, ref("there"), employee{})
	start, err := b.Now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	near("Now", start)
	latest := start
	for range 3 {
		err := b.Transact(ctx, func(tx store.Tx) error {
			for _, id := range []string{"missing", "there", "missing"} {
				if _, err := tx.Get(ref(id), &employee{}); err != nil {
					return err
				}
				at := tx.Now()
				near("transaction", at)
				if at.Before(latest) {
					t.Errorf("the clock went back from %v to %v", latest, at)
				}
				latest = at
				if again := tx.Now(); !again.Equal(at) {
					t.Errorf("without a read the clock went from %v to %v", at, again)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	end, err := b.Now(ctx)
	if err != nil || end.Before(latest) {
		t.Errorf("Now went back from %v to %v (%v)", latest, end, err)
	}
}

func seenAtOnce(t *testing.T, b store.Backend) {
	for i := range int64(10) {
		set(t, b, ref("a"), employee{Count: i + 1, State: fmt.Sprint(i)})
		done := make(chan employee)
		go func() {
			got, _ := get[employee](t, b, ref("a"))
			done <- got
		}()
		same(t, (<-done).Count, i+1)
		same(t, ids(t, b, store.Query{Collection: store.Employees, Field: "state", Op: store.Equal, Value: fmt.Sprint(i)}), []string{"a"})
	}
}
