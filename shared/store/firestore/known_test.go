package firestore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// TestWhatAnotherWroteIsNoticedAtTheCommit shows rule 1.8: a transaction that begins from
// what its process saw last counts only if that still holds.
func TestWhatAnotherWroteIsNoticedAtTheCommit(t *testing.T) {
	e := testenv.Firestore(t)
	mine, theirs := open(t, e, ""), open(t, e, "")
	ref := func(id string) store.Ref { return store.Ref{Collection: store.Employees, ID: id} }
	write := func(b store.Backend, id, text string) {
		t.Helper()
		if err := b.Transact(t.Context(), func(tx store.Tx) error { return tx.Set(ref(id), note{text}) }); err != nil {
			t.Fatal(err)
		}
	}
	saw := func(id string) {
		t.Helper()
		if _, err := mine.Get(t.Context(), ref(id), &note{}); err != nil {
			t.Fatal(err)
		}
	}
	// append adds to a document what it and another hold.
	appended := func(id, other string) string {
		t.Helper()
		var own, beside note
		err := mine.Transact(t.Context(), func(tx store.Tx) error {
			own, beside = note{}, note{}
			_, err := tx.Known(ref(id), &own)
			_, err2 := tx.Known(ref(other), &beside)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			own.Text += beside.Text
			return tx.Set(ref(id), own)
		})
		if err != nil {
			t.Fatal(err)
		}
		return own.Text
	}
	write(theirs, "a", "1")
	write(theirs, "b", "2")
	saw("a")
	saw("b")
	if got := appended("a", "b"); got != "12" {
		t.Errorf("nothing changed meanwhile: %q", got)
	}
	if got := appended("a", "b"); got != "122" {
		t.Errorf("written by this process itself: %q", got)
	}
	write(theirs, "a", "x")
	if got := appended("a", "b"); got != "x2" {
		t.Errorf("what is written was changed by another: %q", got)
	}
	write(theirs, "b", "y")
	if got := appended("a", "b"); got != "x2y" {
		t.Errorf("what is only read was changed by another: %q", got)
	}
	if got := appended("a", "missing"); got != "x2y" {
		t.Errorf("beside one that is not there: %q", got)
	}
	saw("missing")
	write(theirs, "missing", "!")
	if got := appended("a", "missing"); got != "x2y!" {
		t.Errorf("made by another: %q", got)
	}
	// Neither an error nor doing nothing follows from what does not hold any more.
	write(theirs, "a", "right")
	for name, f := range map[string]func(tx store.Tx, n note) error{
		"an error": func(_ store.Tx, n note) error {
			if n.Text != "right" {
				return fmt.Errorf("it holds %q", n.Text)
			}
			return nil
		},
		"nothing": func(_ store.Tx, _ note) error { return nil },
	} {
		write(theirs, "a", "wrong")
		saw("a")
		write(theirs, "a", "right")
		var n note
		err := mine.Transact(t.Context(), func(tx store.Tx) error {
			n = note{}
			if _, err := tx.Known(ref("a"), &n); err != nil {
				return err
			}
			return f(tx, n)
		})
		if err != nil || n.Text != "right" {
			t.Errorf("%s: %v, it holds %q", name, err, n.Text)
		}
	}
	at, err := theirs.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saw("a")
	err = mine.Transact(t.Context(), func(tx store.Tx) error {
		_, err := tx.Known(ref("a"), &note{})
		if now := tx.Now(); now.Before(at) {
			t.Errorf("the database's clock is reckoned as %v, and was %v before", now, at)
		}
		return errors.Join(err, tx.Set(ref("a"), note{"again"}))
	})
	if err != nil {
		t.Fatal(err)
	}
}
