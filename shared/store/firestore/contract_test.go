package firestore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/store/storetest"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

func TestContract(t *testing.T) {
	storetest.Contract(t, func(t *testing.T) store.Backend { return open(t, testenv.Firestore(t), "") })
}

func TestProduct(t *testing.T) {
	storetest.Product(t, func(t *testing.T) store.Backend { return open(t, testenv.Firestore(t), "") })
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

// A burst on one document must not bring the product to a halt: rivals that wait
// for each other's locks would need a minute (the emulator breaks them up every 2 s).
func TestManyWritersOfOneDocument(t *testing.T) {
	const writers = 50
	b := open(t, testenv.Firestore(t), "")
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	type counter struct {
		N int64 `firestore:"n" json:"n"`
	}
	var burst sync.WaitGroup
	for range writers {
		burst.Go(func() {
			err := b.Transact(ctx, func(tx store.Tx) error {
				var c counter
				if _, err := tx.Get(place, &c); err != nil {
					return err
				}
				c.N++
				return tx.Set(place, c)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	burst.Wait()
	var c counter
	if _, err := b.Get(t.Context(), place, &c); err != nil || c.N != writers {
		t.Errorf("counted %d of %d, error %v", c.N, writers, err)
	}
}

// A document that is read and not written must hold at the commit too: else each of
// two doctors leaves duty because it saw the other on duty (write skew).
func TestWriteSkew(t *testing.T) {
	b := open(t, testenv.Firestore(t), "")
	refs := []store.Ref{{Collection: store.Employees, ID: "a"}, {Collection: store.Employees, ID: "b"}}
	type duty struct {
		On bool `firestore:"on" json:"on"`
	}
	err := b.Transact(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Set(refs[0], duty{true}), tx.Set(refs[1], duty{true}))
	})
	if err != nil {
		t.Fatal(err)
	}
	var both, done sync.WaitGroup
	both.Add(2)
	for i := range refs {
		first := sync.OnceFunc(func() { both.Done(); both.Wait() })
		done.Go(func() {
			err := b.Transact(t.Context(), func(tx store.Tx) error {
				var other duty
				_, err := tx.Get(refs[1-i], &other)
				first() // both have read before either writes
				if err != nil || !other.On {
					return err
				}
				return tx.Set(refs[i], duty{false})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	on := 0
	for _, ref := range refs {
		var d duty
		if _, err := b.Get(t.Context(), ref, &d); err != nil {
			t.Fatal(err)
		}
		if d.On {
			on++
		}
	}
	if on != 1 {
		t.Errorf("%d are on duty", on)
	}
}

// What was read as missing and is deleted must still be missing at the commit.
func TestDeleteOfWhatWasMissing(t *testing.T) {
	b := open(t, testenv.Firestore(t), "")
	gone, other := store.Ref{Collection: store.Employees, ID: "gone"}, store.Ref{Collection: store.Employees, ID: "other"}
	runs := 0
	err := b.Transact(t.Context(), func(tx store.Tx) error {
		runs++
		found, err := tx.Get(gone, &note{})
		if err != nil {
			return err
		}
		if !found {
			// Another transaction makes it, once.
			err = b.Transact(t.Context(), func(tx store.Tx) error { return tx.Set(gone, note{"made"}) })
		}
		return errors.Join(err, tx.Delete(gone), tx.Set(other, note{fmt.Sprint(found)}))
	})
	var got note
	_, readErr := b.Get(t.Context(), other, &got)
	if err := errors.Join(err, readErr); err != nil || runs != 2 || got.Text != "true" {
		t.Errorf("%d runs, %+v, error %v", runs, got, err)
	}
	if found, err := b.Get(t.Context(), gone, &note{}); found || err != nil {
		t.Errorf("found %v, error %v", found, err)
	}
}

func TestEmulatorOfTheEnvironment(t *testing.T) {
	e := testenv.Firestore(t)
	for _, host := range []string{e.Host, "http://" + e.Host} {
		t.Setenv("FIRESTORE_EMULATOR_HOST", host)
		b, err := firestore.New(t.Context(), e.Project, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Now(t.Context()); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		// The rights of an owner: rules do not apply.
		if err := b.Transact(t.Context(), func(tx store.Tx) error { return tx.Set(place, note{"x"}) }); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNoProject(t *testing.T) {
	if b, err := firestore.New(t.Context(), "", ""); err == nil {
		t.Error("made a backend without a project", b.Close())
	}
}
