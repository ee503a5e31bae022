package firestore_test

import (
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

func TestContract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Backend { return open(t, testenv.Firestore(t), "") })
}

func open(t *testing.T, e testenv.Emulator, database string) *firestore.Backend {
	t.Helper()
	b, err := firestore.New(t.Context(), e.Project, database, e.ClientOptions(t)...)
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

type note struct {
	Text string `firestore:"text" json:"text"`
}

func TestDatabases(t *testing.T) {
	e := testenv.Firestore(t)
	one, same, other := open(t, e, ""), open(t, e, "(default)"), open(t, e, "other")
	ref := store.Ref{Collection: store.Employees, ID: "1"}
	err := one.Transact(t.Context(), func(tx store.Tx) error { return tx.Set(ref, note{"x"}) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    store.Backend
		want bool
	}{{"another client", same, true}, {"another database", other, false}} {
		if found, err := c.b.Get(t.Context(), ref, &note{}); err != nil || found != c.want {
			t.Errorf("%s: found %v, error %v", c.name, found, err)
		}
	}
}

func TestNoProject(t *testing.T) {
	if b, err := firestore.New(t.Context(), "", ""); err == nil {
		t.Error("made a backend without a project", b.Close())
	}
}
