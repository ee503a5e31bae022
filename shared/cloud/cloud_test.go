package cloud_test

import (
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/cloud"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

func TestALocalCipherNeedsNoCloud(t *testing.T) {
	key := config.TokenKey{Value: config.NewSecret("local:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")}
	c, err := cloud.Cipher(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Seal(t.Context(), []byte("token"), []byte("place"))
	if err != nil {
		t.Fatal(err)
	}
	// Another instance with the same key opens it.
	again, err := cloud.Cipher(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open(t.Context(), sealed, []byte("place")); err != nil || string(plain) != "token" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestNoKeyIsAFault(t *testing.T) {
	for _, text := range []string{"", "local:short"} {
		if c, err := cloud.Cipher(t.Context(), config.TokenKey{Value: config.NewSecret(text)}); !failure.Is(err, failure.Misconfigured) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

// The emulators' hosts are enough to make the clients: nothing is dialled and no
// credentials are looked for until the first use.
func TestClientsOfTheEmulators(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	t.Setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
	s, err := cloud.Store(t.Context(), config.Store{Project: "p", Database: "(default)"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	p, err := cloud.Publisher(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
