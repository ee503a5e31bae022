package notify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/fake/pubsub"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

func TestFromEnvironmentNamesEveryFault(t *testing.T) {
	for name, value := range map[string]string{"GOOGLE_CLOUD_PROJECT": "", "NOTIFY_SECRETS": "whsec_AAAA", "TASK_TOPIC": "!", "EMPLOYEE_TOPIC": "", "FIRESTORE_DATABASE": ""} {
		t.Setenv(name, value)
	}
	_, err := notify.FromEnvironment(t.Context())
	faults, ok := errors.AsType[*config.Faults](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var named []string
	for _, f := range faults.List {
		named = append(named, f.Variable)
	}
	if want := []string{"GOOGLE_CLOUD_PROJECT", "NOTIFY_SECRETS", "TASK_TOPIC"}; !slices.Equal(named, want) {
		t.Errorf("named %v, want %v", named, want)
	}
}

// With Google's own client against a server that speaks Pub/Sub's API.
func TestFromEnvironmentPublishes(t *testing.T) {
	server, err := pubsub.Start(t.Context(), pubsub.Options{Project: "p", Topics: []string{"task-changes", "employee-changes"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	secret := "whsec_" + strings.Repeat("AAAA", 8)
	for name, value := range map[string]string{
		"GOOGLE_CLOUD_PROJECT": "p", "NOTIFY_SECRETS": secret, "TASK_TOPIC": "", "EMPLOYEE_TOPIC": "", "FIRESTORE_DATABASE": "",
		"PUBSUB_EMULATOR_HOST": server.Addr(), "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	if os.Getenv("K_SERVICE") != "" {
		t.Fatal("this test is not for the cloud")
	}
	h, err := notify.FromEnvironment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := webhook.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	text := body("employee.deleted", 7)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
	if r.Header, err = webhook.Sign(key, "m", time.Now(), []byte(text)); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 202 {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	messages := server.Messages()
	if len(messages) != 1 || string(messages[0].Data) != `{"ids":[7],"cause":"notify","deleted":true}` ||
		messages[0].Attributes["lane"] != "live" || messages[0].Topic != "projects/p/topics/employee-changes" {
		t.Errorf("Pub/Sub holds %+v", messages)
	}
}
