package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func readAfterWrite(t *testing.T, b store.Backend) {
	for name, write := range map[string]func(tx store.Tx) error{
		"set":    func(tx store.Tx) error { return tx.Set(ref("a"), employee{State: "x"}) },
		"delete": func(tx store.Tx) error { return tx.Delete(ref("b")) },
	} {
		err := b.Transact(testContext(t), func(tx store.Tx) error {
			if err := write(tx); err != nil {
				return err
			}
			_, err := tx.Get(ref("other"), &employee{})
			return err
		})
		if !failure.Is(err, failure.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, found := get[employee](t, b, ref("a")); found {
		t.Error("written nevertheless")
	}
}

func refusedDocuments(t *testing.T, b store.Backend) {
	type one[T any] struct {
		V T `firestore:"v" json:"v"`
	}
	type twoNames struct {
		V int `firestore:"v" json:"w"`
	}
	type twice struct {
		Deep
		Other int64 `firestore:"deepest" json:"deepest"`
	}
	type wrongIndex struct {
		State bool `firestore:"state" json:"state"`
	}
	secret := "marker-of-contents"
	for name, doc := range map[string]any{
		"no struct":            map[string]string{"a": secret},
		"nil":                  nil,
		"nil pointer":          (*employee)(nil),
		"no tag":               struct{ V string }{secret},
		"two names":            twoNames{1},
		"name used twice":      twice{},
		"uint64":               one[uint64]{1},
		"interface":            one[any]{secret},
		"function":             one[func()]{func() {}},
		"not a number":         one[float64]{nan()},
		"array in array":       one[[][]int64]{[][]int64{{1}}},
		"nil in array":         one[[]*Part]{[]*Part{nil}},
		"number as key":        one[map[int]string]{map[int]string{1: secret}},
		"empty key":            one[map[string]string]{map[string]string{"": secret}},
		"reserved key":         one[map[string]string]{map[string]string{"__time__": secret}},
		"no UTF-8":             one[string]{secret + "\xff"},
		"year 10000":           one[time.Time]{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"index of a boolean":   wrongIndex{true},
		"index of a long text": employee{State: strings.Repeat(secret, 100)},
	} {
		err := b.Transact(testContext(t), func(tx store.Tx) error { return tx.Set(ref("a"), doc) })
		if !failure.Is(err, failure.Invalid) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells contents: %v", name, err)
		}
	}
	set(t, b, ref("text"), one[string]{secret})
	_, err := b.Get(testContext(t), ref("text"), &one[int64]{})
	if !failure.Is(err, failure.Invalid) || strings.Contains(err.Error(), secret) {
		t.Errorf("text read as a number: %v", err)
	}
	_, err = b.Get(testContext(t), ref("text"), one[string]{})
	if !failure.Is(err, failure.Invalid) {
		t.Errorf("read into no pointer: %v", err)
	}
}

func refusedRefs(t *testing.T, b store.Backend) {
	for _, id := range []string{"", ".", "..", "a/b", "__x__", "\xff", strings.Repeat("x", 1501)} {
		if _, err := b.Get(testContext(t), ref(id), &employee{}); !failure.Is(err, failure.Invalid) {
			t.Errorf("get %q: %v", id, err)
		}
		err := b.Transact(testContext(t), func(tx store.Tx) error { return tx.Set(ref(id), employee{}) })
		if !failure.Is(err, failure.Invalid) {
			t.Errorf("set %q: %v", id, err)
		}
	}
	for _, id := range []string{strings.Repeat("x", 1500), "mail@example.org:1 ü", "..."} {
		set(t, b, ref(id), employee{State: "ok"})
		if got, _ := get[employee](t, b, ref(id)); got.State != "ok" {
			t.Errorf("%.20q: got %v", id, got)
		}
	}
}

func sizeLimit(t *testing.T, b store.Backend) {
	set(t, b, ref("large"), Everything{Bytes: make([]byte, 1<<20-1000)})
	got, _ := get[Everything](t, b, ref("large"))
	same(t, len(got.Bytes), 1<<20-1000)
	err := b.Transact(testContext(t), func(tx store.Tx) error {
		return tx.Set(ref("large"), Everything{Bytes: make([]byte, 1<<20)})
	})
	if !failure.Is(err, failure.Invalid) {
		t.Errorf("1 MiB and more: %v", err)
	}
	err = b.Transact(testContext(t), func(tx store.Tx) error {
		for i := range 11 {
			if err := tx.Set(ref(fmt.Sprint(i)), Everything{Bytes: make([]byte, 1<<20-1000)}); err != nil {
				return err
			}
		}
		return nil
	})
	if !failure.Is(err, failure.Invalid) {
		t.Errorf("11 MiB at once: %v", err)
	}
}
