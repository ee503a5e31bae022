package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// startDeadline bounds an emulator's start: gcloud and a Java machine on a cold,
// busy computer. The usual time is some 5 s.
const startDeadline = 90 * time.Second

// Emulator is a running emulator with a project of the caller's own on it.
type Emulator struct {
	// Host is host:port, as FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST hold it.
	Host string
	// Project was never used before, so it holds nothing. Parallel tests do not meet.
	Project string
}

// Firestore returns a fresh, empty project on Google's Firestore emulator.
func Firestore(t testing.TB) Emulator {
	t.Helper()
	return emulator(t, "Firestore", "FIRESTORE_EMULATOR_HOST", &firestore, "emulators", "firestore", "start")
}

// PubSub returns a fresh project, without topics, on Google's Pub/Sub emulator.
// For push with back-off and dead-lettering in-process see shared/fake/pubsub.
func PubSub(t testing.TB) Emulator {
	t.Helper()
	return emulator(t, "Pub/Sub", "PUBSUB_EMULATOR_HOST", &pubsub, "beta", "emulators", "pubsub", "start")
}

// ClientOptions make Google's clients talk to the emulator with the rights of an
// owner, whatever the environment says; so parallel tests need no t.Setenv. The
// options hold one connection, which the client closes: ask anew for each client.
func (e Emulator) ClientOptions(t testing.TB) []option.ClientOption {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+e.Host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(owner{}),
	)
	if err != nil {
		t.Fatalf("connecting to the emulator at %s: %v", e.Host, err)
	}
	return []option.ClientOption{option.WithGRPCConn(conn)}
}

// owner is the emulators' fixed token that passes every security rule.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// process is one emulator of this test process.
type process struct {
	once sync.Once
	host string
	err  error
}

// One emulator per test process serves all its tests; a start takes seconds, and
// package testing offers no place to keep such a thing but package variables.
//
//nolint:gochecknoglobals // see above
var firestore, pubsub process

func emulator(t testing.TB, name, env string, p *process, args ...string) Emulator {
	t.Helper()
	leftOut(t, "the "+name+" emulator")
	host := os.Getenv(env)
	if host == "" {
		for _, program := range []string{"gcloud", "java"} {
			if _, err := exec.LookPath(program); err != nil {
				missing(t, name+" emulator needs "+program+", which is not installed",
					"https://cloud.google.com/sdk/docs/install, then `gcloud components install beta cloud-firestore-emulator pubsub-emulator` and a Java 17 or newer")
			}
		}
		p.once.Do(func() { p.host, p.err = start(args) })
		if p.err != nil {
			missing(t, fmt.Sprintf("the %s emulator did not start (%v)", name, p.err),
				"`gcloud components install beta cloud-firestore-emulator pubsub-emulator` and a Java 17 or newer")
		}
		host = p.host
	} else if err := answers(t.Context(), host, 10*time.Second); err != nil {
		// Somebody promised an emulator there: not the case of a missing one.
		t.Fatalf("%s=%s: %v", env, host, err)
	}
	// Project ids: 6 to 30 of a-z, 0-9 and hyphen, a letter first.
	return Emulator{Host: host, Project: "test-" + strings.ToLower(rand.Text()[:20])}
}

// watchdog runs the emulator ("$@") with its output in $LOG, and kills it once this
// test process is gone: gcloud leaves its Java child behind when it is killed alone,
// and a test binary has no last moment of its own to do it in. The pipe on standard
// input, which ends with us however we end, tells. Two groups are killed: the one
// gcloud makes itself the head of as it starts, and our own (0), in which it still is
// when the end comes before that.
const watchdog = `"$@" >"$LOG" 2>&1 </dev/null &
cat >/dev/null
rm -f "$LOG"
kill -KILL -$! 2>/dev/null
kill -KILL 0`

// start runs gcloud with args on a free port and waits until it answers.
func start(args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	host, err := freePort(ctx)
	if err != nil {
		return "", err
	}
	log := filepath.Join(os.TempDir(), "erp-calendar-emulator-"+rand.Text()+".log")
	gcloud := append([]string{"-c", watchdog, "sh", "gcloud"}, args...)
	// Not CommandContext: the emulator outlives this function; the watchdog ends it.
	cmd := exec.Command("sh", append(gcloud, "--host-port="+host)...) //nolint:noctx // see above
	// Java's second compiler takes more than it gives back in the minutes that tests take.
	cmd.Env = append(os.Environ(), "LOG="+log, "CLOUDSDK_CORE_DISABLE_PROMPTS=1", "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe() // never written to nor closed: see watchdog
	if err != nil {
		return "", fmt.Errorf("starting gcloud: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("starting gcloud: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	if err := answers(ctx, host, startDeadline); err != nil {
		said := lastLines(log)
		_ = stdin.Close()
		return "", fmt.Errorf("%w; its last lines:\n%s", err, said)
	}
	return host, nil
}

func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	host := l.Addr().String()
	return host, l.Close()
}

// answers waits until both emulators' sign of life comes: 200 to GET /.
func answers(ctx context.Context, host string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		if last = ask(ctx, host); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s within %v: %w", host, within, last)
		case <-again.C:
		}
	}
}

func ask(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return err
	}
	// A proxy from the environment has no business between us and 127.0.0.1.
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
	}
	return err
}

func lastLines(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
