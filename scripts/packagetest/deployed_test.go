package packagetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gcp "cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// TestTheArchivesRunAsDeployed looks into every archive, builds it, starts it without
// what it needs, and then lets all eight programs do their work together.
func TestTheArchivesRunAsDeployed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	root, names := copyRepository(t, at), copyRepository(t, at)
	testenv.Terraform(t)
	terraform(t, filepath.Join(root, "terraform"), "", "init", "-backend=false", "-input=false", "-no-color")
	shareProviders(t, root, names)
	archives := allArchives(t, names)
	declared, ofNames := sourceHashes(t, root), sourceHashes(t, names)
	t.Run("same source same hash", func(t *testing.T) { sameSourceSameHash(t, root, declared) })
	// One archive with its contents, the one that embeds most, stands for how all are made.
	t.Run("contents", func(t *testing.T) {
		const name = "Console"
		planned := terraformArchives(t, root, archives[name].address)[name]
		holdsOneFunction(t, root, name, planned, declared[name])
		if whole := archives[name].withContents(t, root); !maps.Equal(planned.files, whole.files) {
			t.Errorf("%s holds something else than the repository's files of its names", planned.address)
		}
	})
	programs, bin := map[string]string{}, t.TempDir()
	for name, a := range archives {
		// One after the other: each build takes all processors by itself, and all
		// after the first find its packages in the build cache.
		programs[name] = filepath.Join(bin, name)
		if !t.Run("build "+name, func(t *testing.T) {
			holdsOneFunction(t, names, name, a, ofNames[name])
			build(t, a.withContents(t, root).packed, programs[name])
		}) {
			delete(programs, name) // told already
		}
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holdsOnly(t, name, program)
			answersNotConfigured(t, name, program)
		})
	}
	if len(programs) < len(functions) {
		return
	}
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		workTogether(t, programs)
	})
}

// answersNotConfigured starts a program in an empty environment: the function must
// be there under its name, and say what it lacks in one log entry.
func answersNotConfigured(t *testing.T, name, program string) {
	p := start(t, name, program, nil)
	res, body := p.post(t, "/anything", "{}")
	var problem struct {
		Title  string
		Status int
	}
	if err := json.Unmarshal(body, &problem); err != nil || res.StatusCode != http.StatusInternalServerError ||
		res.Header.Get("Content-Type") != "application/problem+json" || problem.Title != "Not configured" || problem.Status != res.StatusCode {
		t.Errorf("answered %d %s %s, want 500 problem+json \"Not configured\"", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	p.post(t, "/", "{}")
	eventually(t, func() bool { return len(p.errors()) > 0 })
	if entries := p.errors(); len(entries) != 1 || !strings.Contains(entries[0], "GOOGLE_CLOUD_PROJECT") {
		t.Errorf("logged %q, want one entry that names GOOGLE_CLOUD_PROJECT", entries)
	}
}

// workTogether runs a small provider's day on the eight programs and Google's
// emulators: the way to sign in, a notification by push to the calendar, poll,
// reconcile and a dead letter.
func workTogether(t *testing.T, programs map[string]string) {
	fs, ps := testenv.Firestore(t), testenv.PubSub(t)
	backend, err := firestore.New(t.Context(), fs.Project, "(default)", fs.ClientOptions(t)...)
	must(t, err)
	t.Cleanup(func() { _ = backend.Close() })
	w := world.NewOutside(t, world.Options{Backend: backend})
	env := w.Environment(world.Options{})
	env["GOOGLE_CLOUD_PROJECT"] = fs.Project
	env["FIRESTORE_EMULATOR_HOST"], env["PUBSUB_EMULATOR_HOST"] = fs.Host, ps.Host

	mux := http.NewServeMux()
	for name, program := range programs {
		at, err := url.Parse("http://" + start(t, name, program, env).host)
		must(t, err)
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, httputil.NewSingleHostReverseProxy(at)))
	}
	w.Serve(mux)
	subscribe(t, ps, fs.Project, w.URL, map[string]string{"task-changes": "/SyncTask/", "employee-changes": "/SyncEmployee/", "dead-letters": "/DeadLetter/"})
	w.Post("/Notify/", []byte(`{"type":"task.changed","data":{"ids":[1]}}`), http.Header{"Content-Type": {"application/json"}}, http.StatusUnauthorized)
	// From the console by way of OAuth to Google's own page.
	if at := visit(t, w.URL+"/Console/signin"); !strings.HasPrefix(at, w.URL+"/google/") {
		t.Errorf("signing in at the console led to %s, want Google's page", at)
	}
	w.Connect()

	who := w.Employee("Olena")
	eventually(t, func() bool { return w.Calendar(who) != "" })
	task := w.Task(w.Tomorrow(9), who)
	eventually(t, func() bool { return len(w.Events(who)) == 1 })
	w.WantStarts(who, w.Tomorrow(9))
	must(t, w.ERP.MoveTask(task, w.Tomorrow(12)))
	eventually(t, func() bool { return w.Starts(who)[0].Equal(w.Tomorrow(12)) })
	w.Post("/Poll/", []byte("{}"), nil, http.StatusOK)
	w.Post("/Reconcile/", []byte("{}"), nil, http.StatusAccepted)
	eventually(t, func() bool {
		run, found, err := w.Store.LastRun(t.Context(), "reconcile")
		must(t, err)
		return found && !run.Ended.IsZero()
	})

	client, err := gcp.NewClient(t.Context(), fs.Project, ps.ClientOptions(t)...)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
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

// visit follows redirects as a browser does and tells where they end.
func visit(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	must(t, err)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		t.Errorf("%s answered %d", res.Request.URL, res.StatusCode)
	}
	return res.Request.URL.String()
}

// subscribe makes the topics and the push subscriptions to the functions.
func subscribe(t *testing.T, ps testenv.Emulator, project, base string, topics map[string]string) {
	t.Helper()
	client, err := gcp.NewClient(t.Context(), project, ps.ClientOptions(t)...)
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	for topic, at := range topics {
		full := "projects/" + project + "/topics/" + topic
		_, err := client.TopicAdminClient.CreateTopic(t.Context(), &pb.Topic{Name: full})
		must(t, err)
		_, err = client.SubscriptionAdminClient.CreateSubscription(t.Context(), &pb.Subscription{
			Name: "projects/" + project + "/subscriptions/" + topic, Topic: full,
			PushConfig: &pb.PushConfig{PushEndpoint: base + at}, AckDeadlineSeconds: 60,
			RetryPolicy: &pb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second), MaximumBackoff: durationpb.New(10 * time.Second)},
		})
		must(t, err)
	}
}

// process is a running function.
type process struct {
	host string

	mu  sync.Mutex
	log []string
}

// start runs a program as Cloud Run does, with nothing in its environment but what
// is given; it is killed at the end of the test.
func start(t *testing.T, name, program string, env map[string]string) *process {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	p := &process{host: l.Addr().String()}
	must(t, l.Close())
	_, port, err := net.SplitHostPort(p.host)
	must(t, err)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"FUNCTION_TARGET=" + name, "PORT=" + port}
	for variable, value := range env {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	out, err := cmd.StdoutPipe()
	must(t, err)
	var faults bytes.Buffer
	cmd.Stderr = &faults
	must(t, cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s\n%s", name, strings.Join(p.log, "\n"), &faults)
		}
	})
	eventually(t, func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.host)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return p
}

// errors are the log entries of severity ERROR so far.
func (p *process) errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, line := range p.log {
		var entry struct{ Severity string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Severity == "ERROR" {
			found = append(found, line)
		}
	}
	return found
}

func (p *process) post(t *testing.T, at, body string) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.host+at, strings.NewReader(body))
	must(t, err)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	var content bytes.Buffer
	_, err = content.ReadFrom(res.Body)
	must(t, err)
	return res, content.Bytes()
}

// eventually tries a condition until it holds or a minute has passed.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatal("did not come true within a minute")
		case <-pace.C:
		}
	}
}
