package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func nan() float64 { return math.NaN() }

// ids gives the ids that a query selects, and never nil; counting them gives as many.
func ids(t *testing.T, b store.Backend, q store.Query) []string {
	t.Helper()
	docs, err := b.Query(testContext(t), q)
	if err != nil {
		t.Fatalf("query %+v: %v", q, err)
	}
	if n, err := b.Count(testContext(t), q); err != nil || n != len(docs) {
		t.Errorf("query %+v: %d documents, counted %d, %v", q, len(docs), n, err)
	}
	out := make([]string, len(docs))
	for i, d := range docs {
		out[i] = d.ID
	}
	return out
}

// fill writes documents in one transaction.
func fill(t *testing.T, b store.Backend, docs map[string]employee) {
	t.Helper()
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		for id, doc := range docs {
			if err := tx.Set(ref(id), doc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func queryEvery(t *testing.T, b store.Backend) {
	all := store.Query{Collection: store.Employees}
	same(t, ids(t, b, all), []string{})
	fill(t, b, map[string]employee{"b": {Count: 2}, "a": {Count: 1}, "B": {Count: 3}, "ü": {Count: 4}, "10": {Count: 5}})
	set(t, b, store.Ref{Collection: store.Tasks, ID: "a2"}, employee{})
	same(t, ids(t, b, all), []string{"10", "B", "a", "b", "ü"})

	// Paging to the end, also behind an id that is gone.
	var pages [][]string
	q := store.Query{Collection: store.Employees, Limit: 2}
	for {
		page := ids(t, b, q)
		if len(page) == 0 {
			break
		}
		pages = append(pages, page)
		q.After = page[len(page)-1]
		if err := b.Transact(testContext(t), func(tx store.Tx) error { return tx.Delete(ref(q.After)) }); err != nil {
			t.Fatal(err)
		}
	}
	same(t, pages, [][]string{{"10", "B"}, {"a", "b"}, {"ü"}})

	docs, err := b.Query(testContext(t), all)
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents, error %v", len(docs), err)
	}
	got := employee{State: "old"}
	if err := docs[1].Decode(&got); err != nil {
		t.Fatal(err)
	}
	same(t, got, employee{Count: 1})
	if err := docs[1].Decode(got); !failure.Is(err, failure.Invalid) {
		t.Errorf("decoded into no pointer: %v", err)
	}
}

func queryEqual(t *testing.T, b store.Backend) {
	fill(t, b, map[string]employee{
		"c": {State: "active"}, "a": {State: "active"}, "b": {State: "activ"}, "d": {}, "e": {State: "active\x00"},
		"f": {State: "actives"}, "t": {Due: moment(1)}, "u": {Due: moment(2)},
	})
	type state string
	state0 := store.Query{Collection: store.Employees, Field: "state", Op: store.Equal, Value: "active"}
	same(t, ids(t, b, state0), []string{"a", "c"})
	state0.Value = state("active")
	same(t, ids(t, b, state0), []string{"a", "c"})
	state0.Limit = 1
	same(t, ids(t, b, state0), []string{"a"})
	state0.Value = ""
	same(t, ids(t, b, state0), []string{})
	state0.Value = int64(1)
	same(t, ids(t, b, state0), []string{})
	// A time is compared as it is stored: in microseconds, whatever its zone.
	same(t, ids(t, b, store.Query{Collection: store.Employees, Field: "due_at", Op: store.Equal, Value: moment(1)}), []string{"t"})
	same(t, ids(t, b, store.Query{Collection: store.Employees, Field: "due_at", Op: store.Equal, Value: stored(2)}), []string{"u"})
}

func queryAtMost(t *testing.T, b store.Backend) {
	old := time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC)
	fill(t, b, map[string]employee{
		"late": {Due: moment(9)}, "z1": {Due: moment(1)}, "a1": {Due: moment(1)}, "m0": {Due: moment(0)},
		"old": {Due: old}, "none": {State: "x"}, "n2": {Due: moment(2)}, "after2": {Due: moment(2).Add(time.Microsecond)},
	})
	due := store.Query{Collection: store.Employees, Field: "due_at", Op: store.AtMost, Value: moment(2)}
	same(t, ids(t, b, due), []string{"old", "m0", "a1", "z1", "n2"})
	due.Limit = 3
	same(t, ids(t, b, due), []string{"old", "m0", "a1"})
	due.Descending = true
	same(t, ids(t, b, due), []string{"n2", "z1", "a1"})
	due.Limit = 0
	same(t, ids(t, b, due), []string{"n2", "z1", "a1", "m0", "old"})
	due.Value = old.Add(-time.Second)
	same(t, ids(t, b, due), []string{})
	due.Value = time.Time{}
	same(t, ids(t, b, due), []string{})

	since := store.Query{Collection: store.Employees, Field: "due_at", Op: store.AtLeast, Value: moment(1)}
	same(t, ids(t, b, since), []string{"a1", "z1", "n2", "after2", "late"})
	since.Limit = 3
	same(t, ids(t, b, since), []string{"a1", "z1", "n2"})
	since.Descending = true
	same(t, ids(t, b, since), []string{"late", "after2", "n2"})
	since.Limit, since.Value = 0, moment(9).Add(time.Microsecond)
	same(t, ids(t, b, since), []string{})
	between := store.Query{Collection: store.Employees, Field: "due_at", Op: store.AtLeast, Value: moment(1), Below: moment(2).Add(time.Microsecond)}
	same(t, ids(t, b, between), []string{"a1", "z1", "n2"})
	between.Limit = 2
	same(t, ids(t, b, between), []string{"a1", "z1"})
	between.Below = moment(1)
	same(t, ids(t, b, between), []string{})

	// Strings, and values of another type, which are not comparable.
	fill(t, b, map[string]employee{"s1": {State: "a"}, "s2": {State: "ab"}, "s3": {State: "a\x00b"}})
	state := store.Query{Collection: store.Employees, Field: "state", Op: store.AtMost, Value: "ab"}
	same(t, ids(t, b, state), []string{"s1", "s3", "s2"})
	state.Value = int64(5)
	same(t, ids(t, b, state), []string{})

	type numbered struct {
		State int64 `firestore:"state" json:"state"`
	}
	for id, n := range map[string]int64{"n-": -5, "n0": 0, "n7": 7, "n99": math.MaxInt64} {
		set(t, b, ref(id), numbered{n})
	}
	state.Value = int64(7)
	same(t, ids(t, b, state), []string{"n-", "n0", "n7"})
	state.Value, state.Descending = int64(math.MaxInt64), true
	same(t, ids(t, b, state), []string{"n99", "n7", "n0", "n-"})
}

func queryExists(t *testing.T, b store.Backend) {
	type task struct {
		Pending time.Time `firestore:"pending_since" json:"pending_since"`
		Failed  *string   `firestore:"failed" json:"failed"`
	}
	put := func(id string, doc task) { set(t, b, store.Ref{Collection: store.Tasks, ID: id}, doc) }
	// Neither tag says omitempty: zero times and nil pointers are left out all the same.
	put("none", task{})
	put("second", task{Pending: moment(2)})
	put("third", task{Pending: moment(3), Failed: new("yes")})
	put("first", task{Pending: moment(1), Failed: new("")})
	put("first too", task{Pending: moment(1)})
	q := store.Query{Collection: store.Tasks, Field: "pending_since", Op: store.Exists}
	same(t, ids(t, b, q), []string{"first", "first too", "second", "third"})
	q.Limit = 3
	same(t, ids(t, b, q), []string{"first", "first too", "second"})
	q.Descending = true
	same(t, ids(t, b, q), []string{"third", "second", "first too"})
	same(t, ids(t, b, store.Query{Collection: store.Tasks, Field: "failed", Op: store.Exists}), []string{"first", "third"})
	same(t, ids(t, b, store.Query{Collection: store.Tasks, Field: "failed", Op: store.Exists, Descending: true, Limit: 1}), []string{"third"})
}

func queryContainsAny(t *testing.T, b store.Backend) {
	fill(t, b, map[string]employee{
		"c": {Divisions: []int64{1, 2}}, "a": {Divisions: []int64{2, 2, 3}}, "b": {Divisions: []int64{3}},
		"d": {Divisions: []int64{}}, "e": {}, "f": {Divisions: []int64{-2, 258}},
	})
	in := func(limit int, divisions ...int64) []string {
		t.Helper()
		return ids(t, b, store.Query{Collection: store.Employees, Field: "divisions", Op: store.ContainsAny, Value: divisions, Limit: limit})
	}
	same(t, in(0, 2), []string{"a", "c"})
	same(t, in(0, 3, 1, 1), []string{"a", "b", "c"})
	same(t, in(2, 3, 1), []string{"a", "b"})
	same(t, in(0, -2), []string{"f"})
	same(t, in(0, 77), []string{})
	same(t, in(0), []string{})
	thirty := make([]int64, 30)
	for i := range thirty {
		thirty[i] = int64(i) + 2
	}
	same(t, in(0, thirty...), []string{"a", "b", "c"})
}

// indexesFollow changes one document step by step; each query must select it or
// not, as the document is then.
func indexesFollow(t *testing.T, b store.Backend) {
	set(t, b, ref("other"), employee{Due: moment(5), State: "s1", Divisions: []int64{1, 2, 3}})
	for i, step := range []struct {
		doc *employee // nil: deleted
	}{
		{&employee{Due: moment(1), State: "s1", Divisions: []int64{1, 2, 2, 3}}},
		{&employee{Due: moment(3), State: "s2", Divisions: []int64{1, 2}}}, // changed, shrunk
		{&employee{Due: moment(3), State: "s2", Divisions: []int64{2}}},    // partly the same
		{&employee{State: "s2", Count: 1}},                                 // removed
		{&employee{Due: moment(2), State: "s1", Divisions: []int64{3}}},    // back
		{nil},
		{nil},
		{&employee{Due: moment(4)}},
	} {
		err := b.Transact(testContext(t), func(tx store.Tx) error {
			if step.doc == nil {
				return tx.Delete(ref("a"))
			}
			return tx.Set(ref("a"), step.doc)
		})
		if err != nil {
			t.Fatal(err)
		}
		check := func(want bool, q store.Query) {
			t.Helper()
			q.Collection = store.Employees
			n := 0
			for _, id := range ids(t, b, q) {
				if id == "a" {
					n++
				}
			}
			if n > 1 || want != (n == 1) {
				t.Errorf("step %d: %+v selects it %d times, wanted %v", i, q, n, want)
			}
		}
		doc := step.doc
		if doc == nil {
			doc = &employee{}
		}
		for n := range 5 {
			check(!doc.Due.IsZero() && !doc.Due.After(moment(n)), store.Query{Field: "due_at", Op: store.AtMost, Value: moment(n)})
			check(!doc.Due.IsZero() && !doc.Due.Before(moment(n)), store.Query{Field: "due_at", Op: store.AtLeast, Value: moment(n)})
		}
		for _, s := range []string{"s1", "s2"} {
			check(doc.State == s, store.Query{Field: "state", Op: store.Equal, Value: s})
		}
		check(doc.State != "", store.Query{Field: "state", Op: store.Exists})
		check(!doc.Due.IsZero(), store.Query{Field: "due_at", Op: store.Exists, Descending: true})
		for n := range int64(5) {
			want := false
			for _, d := range doc.Divisions {
				want = want || d == n
			}
			check(want, store.Query{Field: "divisions", Op: store.ContainsAny, Value: []int64{n}})
		}
		check(step.doc != nil, store.Query{})
	}
}

func refusedQueries(t *testing.T, b store.Backend) {
	many := make([]int64, 31)
	for i := range many {
		many[i] = int64(i)
	}
	for i, q := range []store.Query{
		{},
		{Collection: store.Employees, Field: "due_at"},
		{Collection: store.Employees, Value: "x"},
		{Collection: store.Employees, Limit: -1},
		{Collection: store.Employees, Descending: true},
		{Collection: store.Employees, After: "a/b"},
		{Collection: store.Employees, Field: "count", Op: store.Equal, Value: int64(1)},
		{Collection: store.Employees, Op: store.Exists},
		{Collection: store.Employees, Field: "due_at", Op: store.Exists, After: "a"},
		{Collection: store.Employees, Field: "due_at", Op: store.Exists, Value: "a"},
		{Collection: store.Employees, Field: "due_at", Op: store.AtMost},
		{Collection: store.Employees, Field: "due_at", Op: store.AtLeast},
		{Collection: store.Employees, Field: "due_at", Op: store.AtLeast, Value: moment(1), Below: "x"},
		{Collection: store.Employees, Field: "due_at", Op: store.AtLeast, Value: moment(1), Below: moment(2), Descending: true},
		{Collection: store.Employees, Field: "due_at", Op: store.AtMost, Value: moment(2), Below: moment(1)},
		{Collection: store.Employees, Field: "state", Op: store.Equal, Value: true},
		{Collection: store.Employees, Field: "state", Op: store.Equal, Value: "x", Descending: true},
		{Collection: store.Employees, Field: "divisions", Op: store.Equal, Value: []int64{1}},
		{Collection: store.Employees, Field: "divisions", Op: store.ContainsAny, Value: int64(1)},
		{Collection: store.Employees, Field: "divisions", Op: store.ContainsAny, Value: many},
		{Collection: store.Employees, Field: "due_at", Op: store.Op(99), Value: "x"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if docs, err := b.Query(testContext(t), q); !failure.Is(err, failure.Invalid) {
				t.Errorf("%+v: %d documents, error %v", q, len(docs), err)
			}
			if n, err := b.Count(testContext(t), q); !failure.Is(err, failure.Invalid) {
				t.Errorf("%+v: counted %d, error %v", q, n, err)
			}
		})
	}
}
