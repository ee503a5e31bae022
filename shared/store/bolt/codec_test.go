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

// Whatever a tree holds, its stored form gives back the same values of the same types; cut
// short it is damaged.
func TestStoredFormKeepsTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := document.Tree{"v": values().Draw(t, "value")}
		data, err := marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unmarshal(data)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if diff := cmp.Diff(tree, got); diff != "" {
			t.Fatalf("%q: %s", data, diff)
		}
		for n := range data {
			if cut, err := unmarshal(data[:n]); err == nil {
				t.Fatalf("%q: %v", data[:n], cut)
			}
		}
		if long, err := unmarshal(append(data, 0)); err == nil {
			t.Fatalf("with something behind it: %v", long)
		}
	})
}

// What a file of before holds as JSON is read as what it was.
func TestJSONIsReadStill(t *testing.T) {
	got, err := unmarshal([]byte(`{"a":[1,"x",true],"b":{"__bytes__":"AAE="},"f":2.0,"m":{"n":{"k":-3}},"s":"ü","t":{"__time__":"2026-11-22T10:00:00.000001Z"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := document.Tree{
		"a": []any{int64(1), "x", true}, "b": []byte{0, 1}, "f": 2.0, "m": map[string]any{"n": map[string]any{"k": int64(-3)}}, "s": "ü",
		"t": time.Date(2026, 11, 22, 10, 0, 0, 1000, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, damaged := range []string{"", "{", `{"a":1e999}`, "\x01", "\x02", "\x01s\x01a"} {
		if got, err := unmarshal([]byte(damaged)); err == nil {
			t.Errorf("%q: %v", damaged, got)
		}
	}
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
