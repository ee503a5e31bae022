package functions_test

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	gcp "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/erp-calendar/erp-calendar/functions/console"
	"github.com/erp-calendar/erp-calendar/functions/deadletter"
	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/functions/oauth"
	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/functions/reconcile"
	"github.com/erp-calendar/erp-calendar/functions/syncemployee"
	"github.com/erp-calendar/erp-calendar/functions/synctask"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/serve"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// TestTheFunctionsOnGooglesEmulators runs every function as the cloud does, from
// nothing but its environment, on Google's Firestore and Pub/Sub emulators with
// real push subscriptions.
func TestTheFunctionsOnGooglesEmulators(t *testing.T) {
	fs, ps := testenv.Firestore(t), testenv.PubSub(t)
	backend, err := firestore.New(t.Context(), fs.Project, "(default)", fs.ClientOptions(t)...)
	must(t, err)
	t.Cleanup(func() { _ = backend.Close() })
	w := world.NewOutside(t, world.Options{Backend: backend})

	env := w.Environment(world.Options{})
	env["GOOGLE_CLOUD_PROJECT"] = fs.Project
	env["FIRESTORE_EMULATOR_HOST"], env["PUBSUB_EMULATOR_HOST"] = fs.Host, ps.Host
	for name, value := range env {
		t.Setenv(name, value)
	}
	mux := http.NewServeMux()
	for name, connect := range map[string]func(context.Context) (http.Handler, error){
		"Notify": notify.FromEnvironment, "OAuth": oauth.FromEnvironment, "Console": console.FromEnvironment,
		"SyncTask": synctask.FromEnvironment, "SyncEmployee": syncemployee.FromEnvironment,
		"Reconcile": reconcile.FromEnvironment, "Poll": poll.FromEnvironment, "DeadLetter": deadletter.FromEnvironment,
	} {
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, serve.OnFirstRequest(name, connect)))
	}
	w.Serve(mux)
	subscribe(t, ps, fs.Project, w.URL, map[string]string{"task-changes": "/SyncTask/", "employee-changes": "/SyncEmployee/", "dead-letters": "/DeadLetter/"})
	w.Connect()

	who := w.Employee("Olena")
	eventually(t, func() bool { return w.Calendar(who) != "" })
	task := w.Task(w.Tomorrow(9), who)
	eventually(t, func() bool { return len(w.Events(who)) == 1 })
	w.WantStarts(who, w.Tomorrow(9))
	must(t, w.ERP.MoveTask(task, w.Tomorrow(12)))
	eventually(t, func() bool { return w.Starts(who)[0].Equal(w.Tomorrow(12)) })
	must(t, w.ERP.CloseTask(task))
	eventually(t, func() bool { return len(w.Events(who)) == 0 })
	w.Post("/Poll/", []byte("{}"), nil, http.StatusOK)
	w.Post("/Reconcile/", []byte("{}"), nil, http.StatusAccepted)
	eventually(t, func() bool {
		run, found, err := w.Store.LastRun(t.Context(), "reconcile")
		must(t, err)
		return found && !run.Ended.IsZero()
	})
	must(t, w.ERP.DismissEmployee(who))
	eventually(t, func() bool { return w.Calendar(who) == "" })

	// What cannot be understood ends as a dead letter; what can is not lost there.
	client, err := gcp.NewClient(t.Context(), fs.Project)
	must(t, err)
	defer func() { _ = client.Close() }()
	_, err = client.Publisher("dead-letters").Publish(t.Context(), &gcp.Message{
		Data: []byte(`{"ids":[77],"cause":"notify"}`), Attributes: map[string]string{"lane": "live", "topic": "task-changes"},
	}).Get(t.Context())
	must(t, err)
	eventually(t, func() bool {
		letters, err := w.Store.DeadLetters(t.Context(), 10)
		must(t, err)
		return len(letters) == 1 && letters[0].Key == 77 && letters[0].Collection == string(store.Tasks)
	})
}

// subscribe makes the topics and push subscriptions that Terraform makes.
func subscribe(t *testing.T, ps testenv.Emulator, project, base string, topics map[string]string) {
	t.Helper()
	client, err := gcp.NewClient(t.Context(), project, ps.ClientOptions(t)...)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	for topic := range topics {
		_, err := client.TopicAdminClient.CreateTopic(t.Context(), &pb.Topic{Name: "projects/" + project + "/topics/" + topic})
		must(t, err)
	}
	for topic, path := range topics {
		sub := &pb.Subscription{
			Name: "projects/" + project + "/subscriptions/" + topic, Topic: "projects/" + project + "/topics/" + topic,
			PushConfig: &pb.PushConfig{PushEndpoint: base + path}, AckDeadlineSeconds: 60,
			RetryPolicy: &pb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second), MaximumBackoff: durationpb.New(10 * time.Second)},
		}
		if topic != "dead-letters" {
			sub.DeadLetterPolicy = &pb.DeadLetterPolicy{DeadLetterTopic: "projects/" + project + "/topics/dead-letters", MaxDeliveryAttempts: 100}
		}
		_, err := client.SubscriptionAdminClient.CreateSubscription(t.Context(), sub)
		must(t, err)
	}
}

// TestMain serves one function, as Cloud Run does, in a process that a test has
// started for it; otherwise it runs the tests.
func TestMain(m *testing.M) {
	if os.Getenv("SERVE_FUNCTION_ON") != "" {
		if err := funcframework.StartHostPort("127.0.0.1", os.Getenv("SERVE_FUNCTION_ON")); err != nil {
			panic(err)
		}
		return
	}
	// On Firestore tests wait for the emulator, a pace or the end of a lease, most of
	// their time: more of them fit side by side than a small machine has cores. A number
	// asked for on the command line is parsed after this, and wins.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	m.Run()
}

// TestEachFunctionIsRegisteredAndNamesEveryFaultyVariable starts each function
// alone under its name with an environment that lacks what it needs. It is to name
// exactly that: a variable it could do without would be a privilege too many.
func TestEachFunctionIsRegisteredAndNamesEveryFaultyVariable(t *testing.T) {
	t.Parallel()
	worker := []string{"GOOGLE_CLOUD_PROJECT", "ERP_URL", "ERP_API_KEY", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "CONSOLE_URL", "TOKEN_KEY", "TASK_TOPIC", "EMPLOYEE_TOPIC", "LEASE_SECONDS"}
	all := map[string]bool{}
	functions := map[string][]string{
		"Notify": {"GOOGLE_CLOUD_PROJECT", "NOTIFY_SECRETS", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
		"OAuth": {"GOOGLE_CLOUD_PROJECT", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_URL", "CONSOLE_URL", "ADMIN_EMAILS",
			"INTEGRATION_ACCOUNT", "TOKEN_KEY", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
		"Console": {"GOOGLE_CLOUD_PROJECT", "SESSION_KEY", "OAUTH_URL", "CONSOLE_URL", "ADMIN_EMAILS", "INTEGRATION_ACCOUNT",
			"ERP_URL", "ERP_API_KEY", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
		"SyncTask": worker, "SyncEmployee": worker,
		"Reconcile":  {"GOOGLE_CLOUD_PROJECT", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
		"Poll":       {"GOOGLE_CLOUD_PROJECT", "ERP_URL", "ERP_API_KEY", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
		"DeadLetter": {"GOOGLE_CLOUD_PROJECT", "TASK_TOPIC", "EMPLOYEE_TOPIC"},
	}
	for _, needs := range functions {
		for _, variable := range needs {
			all[variable] = true
		}
	}
	for name, needs := range functions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			var log world.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = []string{"FUNCTION_TARGET=" + name, "SERVE_FUNCTION_ON=" + port, "LEASE_SECONDS=soon", "TASK_TOPIC=?", "EMPLOYEE_TOPIC=?"}
			cmd.Stdout, cmd.Stderr = &log, &log
			must(t, cmd.Start())
			defer func() {
				cancel()
				_ = cmd.Wait()
			}()
			client, status := &http.Client{Timeout: 20 * time.Second}, 0
			eventually(t, func() bool {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/", strings.NewReader("{}"))
				must(t, err)
				res, err := client.Do(req)
				if err != nil {
					return false // not listening yet
				}
				status = res.StatusCode
				_ = res.Body.Close()
				return true
			})
			if status != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", status)
			}
			// The process's output arrives by a pipe, perhaps after its answer.
			eventually(t, func() bool { return strings.Contains(log.String(), `"severity":"ERROR"`) })
			entries := 0
			for line := range strings.Lines(log.String()) {
				var entry struct {
					Severity string `json:"severity"`
				}
				if json.Unmarshal([]byte(line), &entry) != nil || entry.Severity != "ERROR" {
					continue
				}
				entries++
				for variable := range all {
					if named, want := strings.Contains(line, variable), slices.Contains(needs, variable); named != want {
						t.Errorf("%s named: %v, want %v, in %s", variable, named, want, line)
					}
				}
			}
			if entries != 1 {
				t.Errorf("%d log entries of severity ERROR, want one:\n%s", entries, &log)
			}
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}
