package deadletter_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/erp-calendar/erp-calendar/functions/deadletter"
	"github.com/erp-calendar/erp-calendar/shared/config"
)

func TestFromEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"GOOGLE_CLOUD_PROJECT": "", "ERP_URL": "", "ERP_API_KEY": "", "TASK_TOPIC": "", "EMPLOYEE_TOPIC": "",
		"FIRESTORE_DATABASE": "", "DEFAULT_SETTINGS": "", "ALLOW_HTTP_ERP": "", "ERP_KEY_IN_QUERY": "",
		"PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	_, err := deadletter.FromEnvironment(t.Context())
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var named []string
	for _, f := range faults.List {
		named = append(named, f.Variable)
	}
	if want := []string{"GOOGLE_CLOUD_PROJECT"}; !slices.Equal(named, want) {
		t.Errorf("named %v, want %v", named, want)
	}

	t.Setenv("GOOGLE_CLOUD_PROJECT", "p")
	t.Setenv("ERP_URL", "https://erp.example.com")
	t.Setenv("ERP_API_KEY", "k")
	if h, err := deadletter.FromEnvironment(t.Context()); err != nil || h == nil {
		t.Errorf("with everything set: %v", err)
	}
}
