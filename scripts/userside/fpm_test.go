package userside_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// fpm is the ERP behind a real PHP-FPM with one worker. Its web server is this test,
// which speaks FastCGI and takes the page as ended when PHP says so.
type fpm struct {
	*site
	socket string
}

// startFPM starts it with settings more, as lines of a pool: it does not take php's flags.
func (s *site) startFPM(workers int, settings []string, environment ...string) *fpm {
	s.t.Helper()
	program := testenv.PHPFPM(s.t)
	// A socket's path is limited to some 100 bytes, which t.TempDir may exceed.
	dir, err := os.MkdirTemp("", "fpm")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &fpm{s, filepath.Join(dir, "socket")}
	lines := append([]string{
		"[global]", "daemonize = no", "error_log = " + filepath.Join(dir, "log"),
		"[erp]", "listen = " + f.socket, "pm = static", fmt.Sprintf("pm.max_children = %d", workers), "clear_env = no",
		"php_admin_value[display_errors] = 1", "php_admin_value[error_reporting] = -1", "php_admin_value[log_errors] = 1",
		"php_admin_value[error_log] = " + filepath.Join(dir, "errors"), "php_admin_value[session.save_path] = " + dir,
	}, settings...)
	args := []string{"--nodaemonize", "--fpm-config", filepath.Join(dir, "conf")}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-to-run-as-root")
		lines = append(lines, "user = root", "group = root")
	}
	s.write(filepath.Join(dir, "conf"), strings.Join(lines, "\n")+"\n")
	cmd := exec.Command(program, args...)
	cmd.Env = s.environment(environment...)
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		endGroup(cmd)
		if b, err := os.ReadFile(filepath.Join(dir, "errors")); err == nil {
			_, _ = s.said.Write(b)
		}
	})
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for range 4000 {
		if c, err := net.DialTimeout("unix", f.socket, time.Second); err == nil {
			_ = c.Close()
			return f
		}
		<-again.C
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	s.t.Fatalf("PHP-FPM did not start:\n%s", log)
	return nil
}

// FastCGI's records, of version 1 and request 1.
const (
	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
)

func record(b *bytes.Buffer, kind byte, content []byte) {
	b.Write([]byte{1, kind, 0, 1})
	_ = binary.Write(b, binary.BigEndian, uint16(len(content)))
	b.Write([]byte{0, 0})
	b.Write(content)
}

// ask sends one request and reads until PHP says that it is answered.
func (f *fpm) ask(method, body string) page {
	f.t.Helper()
	script, err := filepath.Abs("testdata/erp.php")
	if err != nil {
		f.t.Fatal(err)
	}
	var pairs bytes.Buffer
	for _, p := range [][2]string{
		{"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", method}, {"CONTENT_TYPE", "application/json"},
		{"CONTENT_LENGTH", strconv.Itoa(len(body))}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_URI", "/"},
		{"HTTP_COOKIE", "PHPSESSID=thedispatcher"},
	} {
		pairs.Write([]byte{byte(len(p[0]))})
		_ = binary.Write(&pairs, binary.BigEndian, uint32(len(p[1]))|1<<31)
		pairs.WriteString(p[0] + p[1])
	}
	var request bytes.Buffer
	record(&request, beginRequest, []byte{0, 1, 0, 0, 0, 0, 0, 0}) // a responder, the connection is not kept
	record(&request, params, pairs.Bytes())
	record(&request, params, nil)
	for chunk := range slices.Chunk([]byte(body), 60000) {
		record(&request, stdin, chunk)
	}
	record(&request, stdin, nil)

	begin := time.Now()
	conn, err := net.DialTimeout("unix", f.socket, 5*time.Second)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(30*time.Second)), func() error { _, err := conn.Write(request.Bytes()); return err }()); err != nil {
		f.t.Fatal(err)
	}
	text, err := answer(bufio.NewReader(conn))
	if err != nil {
		f.t.Fatalf("PHP-FPM: %v\n%s", err, f.said)
	}
	_, page0, _ := strings.Cut(text, "\r\n\r\n")
	return page{status: http.StatusOK, body: page0, took: time.Since(begin)}
}

func answer(r io.Reader) (string, error) {
	var out strings.Builder
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return "", fmt.Errorf("reading a record: %w", err)
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:6]))+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return "", fmt.Errorf("reading a record: %w", err)
		}
		switch head[1] {
		case stdout:
			out.Write(content[:binary.BigEndian.Uint16(head[4:6])])
		case endRequest:
			return out.String(), nil
		}
	}
}

// fire is a dispatcher's click.
func (f *fpm) fire(event string, ids ...int64) page {
	f.t.Helper()
	return f.ask(http.MethodPost, fmt.Sprintf(`{"event":%q,"ids":[%s]}`, event, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ids)), ","), "[]")))
}

func (f *fpm) settle() time.Duration {
	f.t.Helper()
	return f.ask(http.MethodGet, "").took
}

var fpmTransports = map[string][]string{
	"curl":    nil,
	"sockets": {"php_admin_value[disable_functions] = curl_init"},
}

// The real fastcgi_finish_request: the dispatcher has the same page at once while Notify
// hangs.
func TestBehindFPM(t *testing.T) {
	t.Parallel()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			n := newNotifier(t)
			s := newSite(t, n.URL, tr)
			want := s.startFPM(1, nil, without).fire("TASK_CHANGED", 1)
			if !strings.HasSuffix(want.body, "</html>\n") {
				t.Fatalf("without the connector: %q", want.body)
			}
			f := s.startFPM(1, fpmTransports[tr.name], strict)
			for id := range int64(3) {
				if got := f.fire("TASK_CHANGED", id+1); got.body != want.body {
					t.Errorf("the page is another: %s", difference(got.body, want.body))
				}
				n.await(t, 1)
			}
			if got := f.fire("TASK_CHANGED", upTo(2500)...); got.body != want.body {
				t.Errorf("the page is another: %s", difference(got.body, want.body))
			}
			n.await(t, 3)
			n.want(t, map[string][]int64{"tasks": upTo(2500)})

			hang := make(chan struct{})
			n.setFault(func(w http.ResponseWriter, r *http.Request) bool {
				select {
				case <-hang:
				case <-r.Context().Done():
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			if got := f.fire("TASK_CHANGED", 2501); got.body != want.body || got.took > 900*time.Millisecond {
				t.Errorf("while Notify hangs: after %v %s", got.took, difference(got.body, want.body))
			}
			if busy := f.settle(); busy < 500*time.Millisecond || busy > 2500*time.Millisecond {
				t.Errorf("the worker was free again %v after the page, want about 1 s", busy)
			}
			close(hang)
			n.setFault(nil)
			s.deliver(0)
			n.want(t, map[string][]int64{"tasks": upTo(2501)})
		})
	}
}

// PHP locks a person's session until the request's end. The same person's next page, on
// another worker, must not wait for what is sent behind the last.
func TestSessionIsNotHeldBehindFPM(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	reached := make(chan struct{}, 1)
	n.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		reached <- struct{}{}
		<-r.Context().Done()
		return true
	})
	s := newSite(t, n.URL, sockets())
	f := s.startFPM(2, fpmTransports["sockets"], strict, "ERP_SESSION=on")
	f.fire("TASK_CHANGED", 1)
	<-reached
	if took := f.settle(); took > 700*time.Millisecond {
		t.Errorf("the next page of the same session came after %v", took)
	}
}

// The same measure as TestTimeAddedToThePage, behind the real PHP-FPM.
func TestTimeAddedBehindFPM(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			n := newNotifier(t)
			s := newSite(t, n.URL, tr)
			settings := append(slices.Clone(fpmTransports[tr.name]), "php_admin_value[opcache.enable] = 1")
			compare(t, []way{
				{"PHP-FPM without the connector", s.startFPM(1, settings, without)},
				{"PHP-FPM with it", s.startFPM(1, settings)},
			})
			if got := len(n.requests()); got < 100 {
				t.Errorf("only %d notifications came of it", got)
			}
		})
	}
}
