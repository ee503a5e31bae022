package document_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

type level int

func (l level) IsZero() bool { return l == 7 }

type inner struct {
	V int `json:"v,omitempty"`
}

func TestWhatIsLeftOut(t *testing.T) {
	when := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		doc  any
		want document.Tree
	}{
		"plain zero values stay": {struct {
			S string  `json:"s"`
			N int     `json:"n"`
			B bool    `json:"b"`
			F float64 `json:"f"`
			I inner   `json:"i"`
		}{}, document.Tree{"s": "", "n": int64(0), "b": false, "f": 0.0, "i": document.Tree{}}},
		"empty ones go whatever the tag says": {struct {
			T time.Time      `json:"t"`
			P *inner         `json:"p"`
			L []int64        `json:"l"`
			M map[string]int `json:"m"`
			B []byte         `json:"b"`
		}{L: []int64{}, M: map[string]int{}, B: []byte{}}, document.Tree{}},
		"omitempty": {struct {
			S string `json:"s,omitempty"`
			N int    `json:"n,omitempty"`
			B bool   `json:"b,omitempty"`
			I inner  `json:"i,omitempty"`
			P *inner `json:"p,omitempty"`
		}{P: &inner{}}, document.Tree{"i": document.Tree{}, "p": document.Tree{}}},
		"omitzero": {struct {
			I inner `json:"i,omitzero"`
			L level `json:"l,omitzero"`
			Z level `json:"z,omitzero"`
		}{L: 7}, document.Tree{"z": int64(0)}},
		"the firestore tag decides": {struct {
			S string    `firestore:"s" json:"s,omitempty"`
			T time.Time `firestore:"t,omitempty" json:"t,omitzero"`
		}{T: when}, document.Tree{"s": "", "t": when}},
		"not of the document": {struct {
			Not string `firestore:"-" json:"-"`
			own string
		}{"x", "y"}, document.Tree{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := document.Encode(c.doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeLeavesForeignFieldsAlone(t *testing.T) {
	type doc struct {
		V   int    `json:"v"`
		W   int    `json:"w"`
		Not string `json:"-"`
		own string
	}
	got := doc{V: 1, W: 1, Not: "x", own: "y"}
	if err := document.Decode(document.Tree{"v": int64(2), "unknown": "z"}, &got); err != nil {
		t.Fatal(err)
	}
	if want := (doc{V: 2, Not: "x", own: "y"}); got != want {
		t.Errorf("got %+v", got)
	}
	// A failed decoding changes nothing.
	if err := document.Decode(document.Tree{"v": int64(3), "w": "text"}, &got); !failure.Is(err, failure.Invalid) || got.V != 2 {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestDecodeRefusesOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		tree document.Tree
		into any
	}{
		"int8": {document.Tree{"v": int64(128)}, &struct {
			V int8 `json:"v"`
		}{}},
		"negative": {document.Tree{"v": int64(-1)}, &struct {
			V uint8 `json:"v"`
		}{}},
		"fraction": {document.Tree{"v": 1.5}, &struct {
			V int `json:"v"`
		}{}},
		"time": {document.Tree{"v": "2026-03-01T12:00:00Z"}, &struct {
			V time.Time `json:"v"`
		}{}},
		"object": {document.Tree{"v": document.Tree{}}, &struct {
			V time.Time `json:"v"`
		}{}},
	} {
		if err := document.Decode(c.tree, c.into); !failure.Is(err, failure.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The fields are those of the example in firebase.google.com/docs/firestore/storage-size:
// 71 bytes, and 32 for the document; the name is shorter here.
func TestSize(t *testing.T) {
	_, size, err := document.Prepare(store.Ref{Collection: "tasks", ID: "my_task_id"}, struct {
		Type        string `json:"type"`
		Done        bool   `json:"done"`
		Priority    int    `json:"priority"`
		Description string `json:"description"`
	}{"Personal", false, 1, "Learn Cloud Firestore"})
	if want := 71 + 32 + 6 + 11 + 16; err != nil || size != want {
		t.Errorf("%d bytes, wanted %d, error %v", size, want, err)
	}
}

func TestErrorsNameTheField(t *testing.T) {
	type part struct {
		Bad any `json:"bad"`
	}
	_, err := document.Encode(struct {
		Parts []part `json:"parts"`
	}{[]part{{1}}})
	if err == nil || !strings.Contains(err.Error(), "parts") || !strings.Contains(err.Error(), "bad") {
		t.Errorf("got %v", err)
	}
}
