package oauth_test

import (
	"errors"
	"testing"

	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/shared/config"
)

func TestEveryFaultOfTheEnvironmentIsNamed(t *testing.T) {
	names := []string{"GOOGLE_CLOUD_PROJECT", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_URL", "CONSOLE_URL", "ADMIN_EMAILS", "INTEGRATION_ACCOUNT", "TOKEN_KEY"}
	for _, n := range names {
		t.Setenv(n, "")
	}
	_, err := oauth.FromEnvironment(t.Context())
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	told := map[string]bool{}
	for _, f := range faults.List {
		told[f.Variable] = true
	}
	for _, n := range names {
		if !told[n] {
			t.Errorf("%s is not named in %v", n, err)
		}
	}
}

func TestFromEnvironmentOnTheEmulators(t *testing.T) {
	for name, value := range map[string]string{
		"GOOGLE_CLOUD_PROJECT": "test-project", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
		"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "s", "OAUTH_URL": "https://site.test/oauth", "CONSOLE_URL": "https://site.test/console",
		"ADMIN_EMAILS": admin, "INTEGRATION_ACCOUNT": integration, "TOKEN_KEY": "local:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	} {
		t.Setenv(name, value)
	}
	if h, err := oauth.FromEnvironment(t.Context()); err != nil || h == nil {
		t.Errorf("got %v", err)
	}
}
