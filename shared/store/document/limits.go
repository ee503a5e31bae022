package document

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Firestore's limits, in bytes (firebase.google.com/docs/firestore/quotas).
const (
	MaxSize        = 1 << 20
	MaxTransaction = 10 << 20
	MaxID          = 1500
	// MaxIndexed is the longest string that an index keeps whole.
	MaxIndexed = 1500
	// MaxContainsAny is the most values of one ContainsAny.
	MaxContainsAny = 30
)

// Check refuses a reference that Firestore would refuse, with kind failure.Invalid.
func Check(ref store.Ref) error {
	op := "address a document of " + string(ref.Collection)
	switch id := ref.ID; {
	case badName(string(ref.Collection)):
		return failure.New(failure.Invalid, op, fmt.Sprintf("%q cannot be a collection", ref.Collection))
	case len(id) > MaxID || !utf8.ValidString(id):
		return failure.New(failure.Invalid, op, "an id has at most 1500 bytes of UTF-8")
	case badName(id):
		return failure.New(failure.Invalid, op, fmt.Sprintf("%q cannot be an id", id))
	}
	return nil
}

func badName(s string) bool {
	return s == "" || s == "." || s == ".." || reserved(s) || strings.Contains(s, "/")
}

// Prepare encodes what is to be written at ref and holds it to Firestore's
// limits and to what the indexes of store.Indexed can keep. size is what the
// document counts for in a transaction. Errors have the kind failure.Invalid.
func Prepare(ref store.Ref, doc any) (tree Tree, size int, err error) {
	if err := Check(ref); err != nil {
		return nil, 0, err
	}
	op := "write " + Name(ref)
	tree, err = Encode(doc)
	if err != nil {
		return nil, 0, failure.Wrap(failure.Invalid, op, err)
	}
	// Name: 16 bytes of its own, and one more per part than the part has.
	size = 16 + len(ref.Collection) + 1 + len(ref.ID) + 1 + sizeOf(tree)
	if size > MaxSize {
		return nil, 0, failure.New(failure.Invalid, op, fmt.Sprintf("%d bytes; a document may have %d", size, MaxSize))
	}
	for _, field := range store.IndexedFields(ref.Collection) {
		if value, ok := tree[field]; ok && !indexable(value) {
			return nil, 0, failure.New(failure.Invalid, op, fmt.Sprintf("the indexed field %q must be a time, an int64, a string of at most %d bytes or an array of int64", field, MaxIndexed))
		}
	}
	return tree, size, nil
}

// Name writes a reference as it appears in errors and logs.
func Name(ref store.Ref) string { return string(ref.Collection) + "/" + ref.ID }

func indexable(value any) bool {
	switch x := value.(type) {
	case time.Time, int64:
		return true
	case string:
		return len(x) <= MaxIndexed
	case []any:
		return !slices.ContainsFunc(x, func(e any) bool { _, ok := e.(int64); return !ok })
	}
	return false
}

// sizeOf follows firebase.google.com/docs/firestore/storage-size.
func sizeOf(value any) int {
	switch x := value.(type) {
	case bool:
		return 1
	case string:
		return len(x) + 1
	case []byte:
		return len(x)
	case []any:
		n := 0
		for _, e := range x {
			n += sizeOf(e)
		}
		return n
	case map[string]any:
		n := 32
		for k, e := range x {
			n += len(k) + 1 + sizeOf(e)
		}
		return n
	}
	return 8
}

// Selection is a Query that was checked, its value in the form of a tree.
type Selection struct {
	store.Query
	// Bound is the value of Equal, AtMost and AtLeast.
	Bound any
	// Under is the value of Below, nil for none.
	Under any
	// Any are the distinct values of ContainsAny, ascending; none selects nothing.
	Any []int64
}

// Select checks a query against what every backend can answer: fields of
// store.Indexed only, Descending with AtMost, AtLeast and Exists only (Firestore has no
// descending order of ids without an index of its own). Errors have the kind
// failure.Invalid.
func Select(q store.Query) (Selection, error) {
	s := Selection{Query: q}
	refuse := func(why string) (Selection, error) {
		return Selection{}, failure.New(failure.Invalid, Describe(q), why)
	}
	if badName(string(q.Collection)) {
		return refuse("no such collection")
	}
	if q.Limit < 0 {
		return refuse("a limit cannot be negative")
	}
	if q.Descending && q.Op != store.AtMost && q.Op != store.AtLeast && q.Op != store.Exists {
		return refuse("this comparison has no descending order")
	}
	if q.After != "" && (q.Op != store.Every || Check(store.Ref{Collection: q.Collection, ID: q.After}) != nil) {
		return refuse("only Every continues behind an id")
	}
	if q.Op == store.Every {
		if q.Field != "" || q.Value != nil {
			return refuse("Every takes neither field nor value")
		}
		return s, nil
	}
	if !slices.Contains(store.IndexedFields(q.Collection), q.Field) {
		return refuse("the field is not indexed")
	}
	if q.Below != nil {
		under, err := Value(q.Below)
		if err != nil {
			return Selection{}, failure.Wrap(failure.Invalid, Describe(q), err)
		}
		if q.Op != store.AtLeast || q.Descending || reflect.TypeOf(q.Below) != reflect.TypeOf(q.Value) {
			return refuse("only AtLeast has a second bound, of the same type")
		}
		s.Under = under
	}
	switch q.Op {
	case store.Exists:
		if q.Value != nil {
			return refuse("Exists takes no value")
		}
	case store.Equal, store.AtMost, store.AtLeast:
		bound, err := Value(q.Value)
		if err != nil {
			return Selection{}, failure.Wrap(failure.Invalid, Describe(q), err)
		}
		if _, array := bound.([]any); array || !indexable(bound) {
			return refuse(fmt.Sprintf("a %T cannot be compared with", q.Value))
		}
		s.Bound = bound
	case store.ContainsAny:
		values, ok := q.Value.([]int64)
		if !ok {
			return refuse(fmt.Sprintf("ContainsAny takes []int64, not %T", q.Value))
		}
		s.Any = slices.Compact(slices.Sorted(slices.Values(values)))
		if len(s.Any) > MaxContainsAny {
			return refuse(fmt.Sprintf("%d values; Firestore takes at most %d", len(s.Any), MaxContainsAny))
		}
	default:
		return refuse("no such comparison")
	}
	return s, nil
}

// Describe says what a query does, without its value.
func Describe(q store.Query) string {
	s := "query " + string(q.Collection)
	if q.Field != "" {
		s += " by " + q.Field
	}
	return s
}
