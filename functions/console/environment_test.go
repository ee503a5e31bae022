package console_test

import (
	"errors"
	"testing"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/shared/config"
)

func TestEveryFaultOfTheEnvironmentIsNamed(t *testing.T) {
	names := []string{"GOOGLE_CLOUD_PROJECT", "ERP_URL", "ERP_API_KEY", "OAUTH_URL", "CONSOLE_URL", "ADMIN_EMAILS", "INTEGRATION_ACCOUNT", "SESSION_KEY"}
	for _, n := range names {
		t.Setenv(n, "")
	}
	t.Setenv("SESSION_KEY", "short")
	_, err := console.FromEnvironment(t.Context())
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
		"ERP_URL": "https://erp.example.com", "ERP_API_KEY": "k", "OAUTH_URL": "https://site.test/oauth", "CONSOLE_URL": "https://site.test/console",
		"ADMIN_EMAILS": admin, "INTEGRATION_ACCOUNT": integration, "SESSION_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	} {
		t.Setenv(name, value)
	}
	if h, err := console.FromEnvironment(t.Context()); err != nil || h == nil {
		t.Errorf("got %v", err)
	}
}
