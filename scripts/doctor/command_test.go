package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gcp "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// TestTheCommandOnGooglesEmulators runs the built command as a person does, on the
// Firestore and Pub/Sub emulators and the stand-ins of the ERP and of Google.
func TestTheCommandOnGooglesEmulators(t *testing.T) {
	fire, pub := testenv.Firestore(t), testenv.PubSub(t)
	backend, err := firestore.New(t.Context(), fire.Project, "", fire.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	client, err := gcp.NewClient(t.Context(), fire.Project, pub.ClientOptions(t)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for _, topic := range []string{"task-changes", "employee-changes"} {
		if _, err := client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/" + fire.Project + "/topics/" + topic}); err != nil {
			t.Fatal(err)
		}
	}
	r := newWorld(t, setup{backend: backend})
	r.env["GOOGLE_CLOUD_PROJECT"] = fire.Project
	r.env["FIRESTORE_EMULATOR_HOST"], r.env["PUBSUB_EMULATOR_HOST"] = fire.Host, pub.Host
	before, err := backend.Query(t.Context(), store.Query{Collection: store.Accounts})
	if err != nil || len(before) != 1 {
		t.Fatalf("%d accounts, %v", len(before), err)
	}

	program := filepath.Join(t.TempDir(), "doctor")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	doctor := func(change map[string]string, args ...string) (int, string) {
		t.Helper()
		env := maps.Clone(r.env)
		maps.Copy(env, change)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if ended, failed := errors.AsType[*exec.ExitError](err); failed {
			return ended.ExitCode(), out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0, out.String()
	}

	code, out := doctor(nil)
	if code != 0 || strings.Contains(out, "  FAULT ") || !strings.Contains(out, "Nothing was changed.") {
		t.Errorf("healthy: exit status %d\n%s", code, out)
	}
	code, out = doctor(map[string]string{"EMPLOYEE_TOPIC": "no-such-topic", "OAUTH_CLIENT_SECRET": "MARKER-wrong"}, "-json")
	var found report
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != 1 || found.OK || found.Counts.Fault != 3 {
		t.Errorf("broken: exit status %d, %v, %+v\n%s", code, err, found.Counts, out)
	}
	for _, id := range []string{"cloud.employee_topic", "oauth.client_secret", "account.grant"} {
		if !slices.ContainsFunc(found.Checks, func(f finding) bool { return f.ID == id && f.State == fault && f.Cure != "" }) {
			t.Errorf("%s is not told\n%s", id, out)
		}
	}
	if code, out = doctor(nil, "-colour"); code != 2 {
		t.Errorf("wrong usage: exit status %d\n%s", code, out)
	}
	// Nothing listens there: told as such, and not waited for without end.
	if code, out = doctor(map[string]string{"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}); code != 1 ||
		!strings.Contains(out, "Firestore could not be reached") || !strings.Contains(out, "Pub/Sub could not be reached") {
		t.Errorf("no emulators: exit status %d\n%s", code, out)
	}
	account, err := r.store.Account(t.Context())
	if err != nil || account.Version != 1 || !account.SuspectSince.IsZero() {
		t.Errorf("the account's record was changed: version %d, suspect %v, %v", account.Version, account.SuspectSince, err)
	}
}
