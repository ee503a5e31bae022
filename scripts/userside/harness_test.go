// Package userside tests the ERP's connector, which is PHP, against the real Notify: PHP's
// built-in server plays the ERP (testdata/erp.php), real processes of deliver.php and
// check.php play cron and the admin. It must never reach a network outside this machine
// (one test looks for a name that cannot exist).
package userside_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/notify"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

const (
	secret      = "whsec_dGhlLXNlY3JldC10aGF0LXNpZ25zLW5vdGlmaWNhdGlvbnM="
	otherSecret = "whsec_c29tZWJvZHktZWxzZSdzLXNlY3JldC1vZi0zMi1ieXRlcw=="
)

// notifier is the real Notify on a server of its own, with faults in front of it. It is
// also Notify's publisher, and the employees it knows (none).
type notifier struct {
	*httptest.Server
	handler http.Handler

	mu        sync.Mutex
	published map[string][]int64 // type of message → ids, as often as published
	asked     []asked
	skew      time.Duration
	fault     func(w http.ResponseWriter, r *http.Request) bool // true: answered
	accepted  chan struct{}                                     // one for each 202
}

// asked is one request and what came of it.
type asked struct {
	id, stamp string
	ids       int
	status    int
}

func (n *notifier) Publish(_ context.Context, topic string, messages ...queue.Message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range messages {
		name := topic
		if m.Deleted {
			name += " deleted"
		}
		n.published[name] = append(n.published[name], m.IDs...)
	}
	return nil
}

func (*notifier) Employee(context.Context, int64) (store.EmployeeRecord, bool, error) {
	return store.EmployeeRecord{}, false, nil
}

func (n *notifier) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.skew)
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (n *notifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var sent struct {
		Data struct{ IDs []int64 }
	}
	_ = json.Unmarshal(body, &sent)
	rec := &recorder{w, http.StatusOK}
	w.Header().Set("Date", n.now().UTC().Format(http.TimeFormat))
	n.mu.Lock()
	fault := n.fault
	n.mu.Unlock()
	if fault == nil || !fault(rec, r) {
		n.handler.ServeHTTP(rec, r)
	}
	n.mu.Lock()
	n.asked = append(n.asked, asked{r.Header.Get(webhook.HeaderID), r.Header.Get(webhook.HeaderTimestamp), len(sent.Data.IDs), rec.status})
	n.mu.Unlock()
	if rec.status == http.StatusAccepted {
		n.accepted <- struct{}{}
	}
}

// newNotifier starts Notify; https is with a certificate that only s.config's ca_file knows.
func newNotifier(t *testing.T) *notifier {
	t.Helper()
	n := unstartedNotifier(t)
	n.Start()
	return n
}

func unstartedNotifier(t *testing.T) *notifier {
	t.Helper()
	key, err := webhook.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	n := &notifier{published: map[string][]int64{}, accepted: make(chan struct{}, 10000)}
	n.handler = notify.New(notify.Config{Keys: []webhook.Key{key}, TaskTopic: "tasks", EmployeeTopic: "employees"},
		notify.Deps{Publisher: n, Employees: n, Now: n.now, Log: slog.New(slog.DiscardHandler)})
	n.Server = httptest.NewUnstartedServer(n)
	n.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // refused handshakes
	t.Cleanup(n.Close)
	return n
}

func (n *notifier) setFault(f func(w http.ResponseWriter, r *http.Request) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = f
}

func (n *notifier) setSkew(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.skew = d
}

// requests gives the notifications that were asked for so far.
func (n *notifier) requests() []asked {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// await waits until Notify has accepted count notifications more.
func (n *notifier) await(t *testing.T, count int) {
	t.Helper()
	end := time.After(20 * time.Second)
	for i := range count {
		select {
		case <-n.accepted:
		case <-end:
			t.Fatalf("Notify accepted %d of %d notifications in 20 s; it was asked %v", i, count, n.requests())
		}
	}
}

// want compares what was published, as sets.
func (n *notifier) want(t *testing.T, want map[string][]int64) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.published {
		if _, wanted := want[name]; !wanted {
			t.Errorf("published to %s: %d ids, want none", name, len(n.published[name]))
		}
	}
	for name, ids := range want {
		got := slices.Sorted(slices.Values(n.published[name]))
		got = slices.Compact(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
			t.Errorf("published to %s: %v, want %v", name, brief(got), brief(ids))
		}
	}
}

func brief(ids []int64) string {
	if len(ids) > 12 {
		return fmt.Sprintf("%d ids %v...", len(ids), ids[:12])
	}
	return fmt.Sprint(ids)
}

// site is one installation of the connector.
type site struct {
	t      *testing.T
	php    string
	flags  []string // of every php
	dir    string   // of configuration and spool
	values map[string]string
	said   *output // all that PHP processes wrote to their error log and output
	undo   []func()
}

// output is safe for several processes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// transport is one way to send.
type transport struct {
	name  string
	php   func(testing.TB) string
	flags []string
}

// transports begins with the one that is always there: where the other is missing, a test
// that tries both has done the first before it is skipped.
func transports() []transport {
	return []transport{
		{"sockets", testenv.PHP, []string{"-d", "disable_functions=curl_init"}},
		{"curl", testenv.PHPCurl, nil},
	}
}

// newSite makes a configuration that sends to url. At the end of the test it is judged
// by what must hold always: no secret anywhere, files closed to others, no PHP error.
func newSite(t *testing.T, url string, tr transport) *site {
	t.Helper()
	s := &site{
		t: t, php: tr.php(t), dir: t.TempDir(), said: &output{},
		flags: append([]string{"-d", "display_errors=1", "-d", "error_reporting=-1", "-d", "log_errors=1", "-d", "html_errors=0"}, tr.flags...),
	}
	s.values = map[string]string{
		"url": fmt.Sprintf("%q", url), "secret": fmt.Sprintf("%q", secret), "spool": fmt.Sprintf("%q", s.spool()), "allow_http": "true",
	}
	if err := os.Mkdir(s.spool(), 0o700); err != nil {
		t.Fatal(err)
	}
	s.configure()
	t.Cleanup(s.judge)
	return s
}

func (s *site) spool() string  { return filepath.Join(s.dir, "spool") }
func (s *site) config() string { return filepath.Join(s.dir, "config.php") }

// configure writes the configuration; pairs of name and PHP expression change it.
func (s *site) configure(pairs ...string) {
	s.t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		s.values[pair[0]] = pair[1]
	}
	var b strings.Builder
	b.WriteString("<?php\nreturn [\n")
	for name, value := range s.values {
		fmt.Fprintf(&b, "  '%s' => %s,\n", name, value)
	}
	b.WriteString("];\n")
	s.write(s.config(), b.String())
}

func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.spool(), name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(b)
}

// phpErrors are what PHP writes of a fault in the connector's code.
var phpErrors = regexp.MustCompile(`(?i)(warning|notice|deprecated|fatal error|parse error):`)

func (s *site) judge() {
	s.t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		s.t.Fatal(err)
	}
	hides := func(where, text string) {
		for _, marker := range []string{strings.TrimPrefix(secret, "whsec_"), string(key), strings.TrimPrefix(otherSecret, "whsec_"), "v1,"} {
			if strings.Contains(text, marker) {
				s.t.Errorf("%s holds the secret or a signature", where)
			}
		}
	}
	hides("PHP's log", s.said.String())
	if m := phpErrors.FindString(s.said.String()); m != "" {
		s.t.Errorf("PHP was not content:\n%s", s.said)
	}
	entries, err := os.ReadDir(s.spool())
	if err != nil {
		return // some tests take the folder away
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if info.Mode().Perm() != 0o600 {
			s.t.Errorf("the file %s has the mode %v", e.Name(), info.Mode())
		}
		hides(e.Name(), s.read(e.Name()))
	}
}

func (s *site) environment(extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ERP_") })
	return append(append(env, "ERP_CALENDAR_CONFIG="+s.config()), extra...)
}

// run runs a script of the connector to its end.
func (s *site) run(args ...string) (out string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.php, append(slices.Clone(s.flags), args...)...)
	cmd.Env = s.environment()
	b, err := cmd.CombinedOutput()
	_, _ = s.said.Write(b)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(b), exit.ExitCode()
	}
	if err != nil {
		s.t.Fatalf("php %v: %v\n%s", args, err, b)
	}
	return string(b), 0
}

// deliver is cron's run; it must say nothing.
func (s *site) deliver(wantCode int) {
	s.t.Helper()
	out, code := s.run("deliver.php")
	if code != wantCode || out != "" {
		s.t.Errorf("deliver.php ended with %d, want %d, and said %q", code, wantCode, out)
	}
}

// erp is a running ERP.
type erp struct {
	*site
	url    string
	client *http.Client
}

// What the ERP can be started with.
const (
	finishes = "ERP_FINISH=on" // PHP can give the page away before it ends, as PHP-FPM can
	strict   = "ERP_STRICT=on"
	without  = "ERP_CONNECTOR=off"
)

// start runs the ERP on PHP's built-in server. It serves one request after the other,
// so that an answer tells that the request before has ended altogether.
func (s *site) start(environment ...string) *erp {
	return s.startBy([]string{s.php}, environment...)
}

var started = regexp.MustCompile(`Development Server \((http://127\.0\.0\.1:[1-9][0-9]*)\) started`)

func (s *site) startBy(command []string, environment ...string) *erp {
	s.t.Helper()
	return s.startIn(".", command, environment...)
}

func (s *site) startIn(dir string, command []string, environment ...string) *erp {
	s.t.Helper()
	args := append(slices.Clone(command[1:]), s.flags...)
	cmd := exec.Command(command[0], append(args, "-S", "127.0.0.1:0", "testdata/erp.php")...)
	cmd.Dir, cmd.Env = dir, s.environment(environment...)
	began := len(s.said.String())
	cmd.Stdout, cmd.Stderr = s.said, s.said
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { endGroup(cmd) })
	e := &erp{site: s, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	end := time.After(20 * time.Second)
	for {
		if m := started.FindStringSubmatch(s.said.String()[began:]); m != nil {
			e.url = m[1]
			return e
		}
		select {
		case <-again.C:
		case <-end:
			s.t.Fatalf("PHP's server did not start:\n%s", s.said)
		}
	}
}

// page is what the browser got.
type page struct {
	status int
	header http.Header
	body   string
	took   time.Duration // from the request to the page's last byte
}

// fire is a dispatcher's click: the page that comes of an event.
func (e *erp) fire(event string, ids ...int64) page {
	e.t.Helper()
	body, err := json.Marshal(map[string]any{"event": event, "ids": ids})
	if err != nil {
		e.t.Fatal(err)
	}
	return e.ask(http.MethodPost, string(body))
}

func (e *erp) ask(method, body string) page {
	e.t.Helper()
	p, err := e.request(method, body)
	if err != nil {
		e.t.Fatal(err)
	}
	return p
}

func (e *erp) request(method, body string) (page, error) {
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+"/", strings.NewReader(body))
	if err != nil {
		return page{}, err
	}
	begin := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(b), time.Since(begin)}, err
}

// settle waits until the request before has ended, also what it does behind the page.
func (e *erp) settle() time.Duration {
	e.t.Helper()
	return e.ask(http.MethodGet, "").took
}

// upTo gives the ids 1 to n.
func upTo(n int64) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i) + 1
	}
	return ids
}

// lost reads the counts of what was dropped.
func (s *site) lost() map[string]int {
	s.t.Helper()
	var state struct{ Lost map[string]int }
	if text := s.read("state"); text != "" {
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			s.t.Fatalf("the state %q: %v", text, err)
		}
	}
	return state.Lost
}

// nobody is the address of a server that is down.
func nobody(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

func writeCertificate(t *testing.T, path string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
