package store_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestPackedIDsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfDistinct(rapid.Int64Min(1), func(v int64) int64 { return v }).Draw(t, "ids")
		slices.Sort(ids)
		packed, err := store.PackIDs(ids)
		if err != nil {
			t.Fatal(err)
		}
		back, err := store.UnpackIDs(packed)
		if err != nil || !slices.Equal(ids, back) {
			t.Fatalf("%v became %v, %v", ids, back, err)
		}
	})
}

// A hundred thousand ids with gaps must fit a document with room to spare.
func TestPackedIDsAreSmall(t *testing.T) {
	ids := make([]int64, 100_000)
	for i := range ids {
		ids[i] = int64(3*i + i%3 + 1_000_000)
	}
	packed, err := store.PackIDs(ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > 100_000 {
		t.Errorf("%d bytes", len(packed))
	}
}

func TestUnpackRefusesDamage(t *testing.T) {
	packed, err := store.PackIDs([]int64{1, 5, 9})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"another version": append([]byte{9}, packed[1:]...), "cut": packed[:len(packed)-3], "nonsense": {packed[0], 1, 2, 3},
	} {
		if ids, err := store.UnpackIDs(b); err == nil {
			t.Errorf("%s: %v", name, ids)
		}
	}
	if ids, err := store.UnpackIDs(nil); err != nil || ids != nil {
		t.Errorf("nothing: %v, %v", ids, err)
	}
	if _, err := store.PackIDs([]int64{2, 1}); err == nil {
		t.Error("ids out of order were packed")
	}
}
