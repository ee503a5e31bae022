package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/seal"
)

func local(t *testing.T, fill byte) *seal.Local {
	t.Helper()
	c, err := seal.NewLocal(bytes.Repeat([]byte{fill}, seal.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLocal(t *testing.T) {
	ctx := t.Context()
	c := local(t, 1)
	place := seal.Additional("accounts/1", "1")
	for _, plain := range [][]byte{{}, []byte("1//refresh"), bytes.Repeat([]byte("x"), seal.MaxPlaintext)} {
		sealed, err := c.Seal(ctx, plain, place)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 0 && bytes.Contains(sealed, plain) {
			t.Error("the plaintext shows")
		}
		opened, err := c.Open(ctx, sealed, place)
		if err != nil || !bytes.Equal(opened, plain) {
			t.Errorf("opened %d bytes, %v; want %d", len(opened), err, len(plain))
		}
		again, err := c.Seal(ctx, plain, place)
		if err != nil || bytes.Equal(again, sealed) {
			t.Error("sealing twice gave the same bytes: the nonce is not random")
		}
	}
	if _, err := c.Seal(ctx, make([]byte, seal.MaxPlaintext+1), place); err == nil {
		t.Error("took more than KMS would")
	}
}

func TestLocalRefusesWhatIsNotItsOwn(t *testing.T) {
	ctx := t.Context()
	c := local(t, 1)
	place := seal.Additional("accounts/1", "1")
	sealed, err := c.Seal(ctx, []byte("secret"), place)
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string, c *seal.Local, sealed, place []byte) {
		t.Helper()
		if got, err := c.Open(ctx, sealed, place); !errors.Is(err, seal.ErrOpen) || got != nil {
			t.Errorf("%s: opened as %q, %v", name, got, err)
		}
	}
	open("another place", c, sealed, seal.Additional("accounts/2", "1"))
	open("another account", c, sealed, seal.Additional("accounts/1", "2"))
	open("another key", local(t, 2), sealed, place)
	open("nothing", c, nil, place)
	open("only a version", c, sealed[:1], place)
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 0x40
		open(fmt.Sprintf("byte %d damaged", i), c, damaged, place)
		open(fmt.Sprintf("cut at %d", i), c, sealed[:i], place)
	}
}

func TestNewLocalWantsAWholeKey(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := seal.NewLocal(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken for a key", n)
		}
	}
}

func TestAdditionalIsUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for _, pair := range [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"a/", "b"}, {"a", "/b"}, {"a\x01b", ""}, {"a", "\x01b"}} {
		joined := string(seal.Additional(pair[0], pair[1]))
		if before, taken := seen[joined]; taken {
			t.Errorf("%q and %q are joined alike", pair, before)
		}
		seen[joined] = fmt.Sprint(pair)
	}
}
