package bolt

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

func values() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) }).AsAny(),
		rapid.Map(rapid.Int64Range(-62135596800e6, 253402300799e6), func(us int64) any { return time.UnixMicro(us).UTC() }),
	)
	deep := rapid.Deferred(func() *rapid.Generator[any] { return values() })
	return rapid.OneOf(scalar, scalar, rapid.SliceOfN(scalar, 0, 3).AsAny(), rapid.MapOfN(rapid.StringMatching(`[a-z_.$"]{1,9}`), deep, 0, 3).AsAny())
}

// Whatever a tree holds, its JSON gives back the same values of the same types.
func TestJSONKeepsTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := document.Tree{"v": values().Draw(t, "value")}
		data, err := marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unmarshal(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(tree, got); diff != "" {
			t.Fatalf("%s: %s", data, diff)
		}
	})
}

// The order of index keys is that of the values, whatever ids follow.
func TestIndexKeysSortAsValues(t *testing.T) {
	check := func(t *rapid.T, less bool, a, b any) {
		low := append(prefixOf(a), rapid.String().Draw(t, "id of a")...)
		high := append(prefixOf(b), rapid.String().Draw(t, "id of b")...)
		if less && string(low) >= string(high) {
			t.Fatalf("%v < %v, but %x >= %x", a, b, low, high)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching("[\x00\x01a\xc3\xbc]{0,4}")
		s, u := text.Draw(t, "s"), text.Draw(t, "u")
		check(t, s < u, s, u)
		n, m := rapid.Int64().Draw(t, "n"), rapid.Int64().Draw(t, "m")
		check(t, n < m, n, m)
		at, to := time.UnixMicro(n/1000), time.UnixMicro(m/1000)
		check(t, at.Before(to), at, to)
		check(t, true, n, at)
		check(t, true, to, s)
	})
}
