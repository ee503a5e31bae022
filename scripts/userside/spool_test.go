package userside_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sockets is for what does not depend on how it is sent.
func sockets() transport { return transports()[0] }

// entry is one sound line of the spool.
func entry(t *testing.T, at time.Time, ids ...int64) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"id": fmt.Sprintf("msg_%032x", ids[0]), "type": "task.changed", "at": at.Unix(), "ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// Lines that are none of ours are kept aside and counted; those around them are delivered.
func TestSpoolCorrupt(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	now := time.Now()
	bad := []string{
		"garbage", "\x00\xff\xfe", "{}", "[]", "null", `{"id":"msg_1","type":"task.changed","at":1,"ids":[1]}`,
		strings.Replace(entry(t, now, 90), "task.changed", "task.moved", 1),
		strings.Replace(entry(t, now, 90), "[90]", `["90"]`, 1),
		strings.Replace(entry(t, now, 90), "[90]", `[-90]`, 1),
		strings.Replace(entry(t, now, 90), "[90]", `{"a":90}`, 1),
		strings.Replace(entry(t, now, 90), "[90]", `[]`, 1),
		strings.Replace(entry(t, now, 90), `","ids"`, `\r\nX: y","ids"`, 1),
		strings.Repeat("[", 5000),
	}
	var b strings.Builder
	for i, line := range bad {
		b.WriteString(entry(t, now, int64(i)+1))
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	torn := entry(t, now, 99)
	b.WriteString("\n\n" + torn[:len(torn)/2]) // its writer was killed
	s.write(s.spool()+"/spool", b.String())
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": upTo(int64(len(bad)))})
	if lost := s.lost(); lost["corrupt"] != len(bad)+1 {
		t.Errorf("lost %v, want %d damaged lines", lost, len(bad)+1)
	}
	if left := s.read("spool"); left != "" {
		t.Errorf("the spool still holds %q", left)
	}
	aside := s.read("corrupt")
	for _, line := range append(bad, torn[:len(torn)/2]) {
		if !strings.Contains(aside, strings.TrimSuffix(line, "\n")+"\n") {
			t.Errorf("%q was not kept aside", line[:min(len(line), 40)])
		}
	}
	if out, _ := s.run("check.php"); !strings.Contains(out, fmt.Sprintf("%d lines of the spool that were damaged", len(bad)+1)) {
		t.Errorf("check.php said\n%s", out)
	}
	s.deliver(0)
	if got := len(n.requests()); got != len(bad)+2 { // and two of check.php
		t.Errorf("%d requests, want no more than one for each line", got)
	}
}

// A line torn by a writer's death does not take the next writer's line with it.
func TestTornLineBeforeAnother(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	s.write(s.spool()+"/spool", `{"id":"msg_`)
	e := s.start()
	e.fire("TASK_CHANGED", 5)
	e.settle()
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": {5}})
	if lost := s.lost(); lost["corrupt"] != 1 {
		t.Errorf("lost %v, want 1 damaged line", lost)
	}
}

// The spool does not grow beyond its bound; what does not fit is counted.
func TestSpoolBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	s.configure("spool_max_bytes", "4096")
	e := s.start()
	for range 10 {
		e.fire("TASK_CHANGED", upTo(200)...)
	}
	e.settle()
	size := len(s.read("spool"))
	kept := strings.Count(s.read("spool"), "\n")
	if size > 4096 || size < 2048 || s.lost()["full"] != (10-kept)*200 {
		t.Errorf("%d bytes hold %d notifications, lost %v", size, kept, s.lost())
	}
	if out, code := s.run("check.php"); code != 1 || !strings.Contains(out, fmt.Sprintf("%d ids dropped because the spool was at its bound", (10-kept)*200)) {
		t.Errorf("check.php ended with %d and said\n%s", code, out)
	}
	n := newNotifier(t)
	s.configure("url", fmt.Sprintf("%q", n.URL))
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": upTo(200)})
	if got := s.read("spool"); got != "" {
		t.Errorf("the spool keeps %d bytes", len(got))
	}
}

// What has waited longer than the nightly run needs is dropped and counted, and does not
// hold up the rest.
func TestExpired(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	s.configure("spool_max_hours", "2")
	s.write(s.spool()+"/spool", entry(t, time.Now().Add(-3*time.Hour), 1, 2)+entry(t, time.Now().Add(-time.Hour), 3))
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": {3}})
	if lost := s.lost(); lost["expired"] != 2 {
		t.Errorf("lost %v, want 2 expired", lost)
	}
}

// A deliverer that is killed in the middle leaves what it had not delivered, and does not
// repeat what it had.
func TestDelivererKilled(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	reached := make(chan struct{})
	n.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
		if len(n.requests()) < 3 {
			return false
		}
		close(reached)
		<-r.Context().Done()
		return true
	})
	s := newSite(t, n.URL, sockets())
	var b strings.Builder
	for id := range int64(6) {
		b.WriteString(entry(t, time.Now(), id+1))
	}
	s.write(s.spool()+"/spool", b.String())
	cmd := exec.CommandContext(t.Context(), s.php, append(slices.Clone(s.flags), "deliver.php", "--for=30")...)
	cmd.Env = s.environment()
	cmd.Stdout, cmd.Stderr = s.said, s.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(20 * time.Second):
		t.Error("the fourth notification did not come")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	n.setFault(nil)
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": upTo(6)})
	times := map[string]int{}
	for _, a := range n.requests() {
		if a.status == http.StatusAccepted {
			times[a.id]++
		}
	}
	for id, count := range times {
		if count != 1 {
			t.Errorf("%s was accepted %d times", id, count)
		}
	}
}

// Four processes of the web server write while three deliverers and a check are at work:
// everything arrives, nothing is torn.
func TestProcessesAtOnce(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	e := s.start("PHP_CLI_SERVER_WORKERS=4")
	const writers, each = 4, 50
	done := make(chan struct{})
	var writing, delivering sync.WaitGroup
	for w := range int64(writers) {
		writing.Go(func() {
			for i := range int64(each) {
				body := fmt.Sprintf(`{"event":"TASK_CHANGED","ids":[%d,%d]}`, 1+2*(w*each+i), 2+2*(w*each+i))
				if _, err := e.request(http.MethodPost, body); err != nil {
					t.Errorf("the ERP: %v", err)
				}
			}
		})
	}
	for _, script := range []string{"deliver.php", "deliver.php", "deliver.php", "check.php"} {
		delivering.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
				cmd := exec.CommandContext(ctx, s.php, append(slices.Clone(s.flags), script)...)
				cmd.Env = s.environment()
				out, _ := cmd.CombinedOutput() // 1 when something came behind it
				cancel()
				if script == "deliver.php" && len(out) > 0 {
					t.Errorf("deliver.php said %s", out)
				}
				_, _ = s.said.Write(out)
			}
		})
	}
	writing.Wait()
	close(done)
	delivering.Wait()
	// A page's process may still be writing when the browser has the page; the four
	// workers answer in no order. The spool says when all is there.
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 200 {
		s.deliver(0)
		n.mu.Lock()
		got := len(n.published["tasks"])
		n.mu.Unlock()
		if got >= 2*writers*each {
			break
		}
		<-again.C
	}
	n.want(t, map[string][]int64{"tasks": upTo(2 * writers * each)})
	if lost := s.lost(); len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
	accepted := map[string]int{}
	for _, a := range n.requests() {
		if a.status == http.StatusAccepted {
			accepted[a.id]++
		}
	}
	if len(accepted) != writers*each {
		t.Errorf("%d notifications, want %d", len(accepted), writers*each)
	}
	for id, count := range accepted {
		if count != 1 {
			t.Errorf("%s was sent %d times by deliverers that knew of each other", id, count)
		}
	}
}

// Writers that do nothing but write, while a deliverer tidies between their lines.
func TestWritersAtOnce(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	const writers, each = 4, 400
	write := func(first int64) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, s.php, append(slices.Clone(s.flags), "-r", `
			namespace ErpCalendar;
			include "lib/load.php";
			for ($i = 0; $i < $argv[2]; $i++) {
				(new Spool(Config::get()))->keep(Notification::of("task.changed", [$argv[1] + $i], time()), 10);
			}`, fmt.Sprint(first), fmt.Sprint(each))...)
		cmd.Env = s.environment()
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("a writer: %v %s", err, out)
		}
	}
	var writing sync.WaitGroup
	for w := range int64(writers) {
		writing.Go(func() { write(1 + w*each) })
	}
	for range 3 {
		s.run("deliver.php")
	}
	writing.Wait()
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": upTo(writers * each)})
	if lost := s.lost(); len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
}

// disk is a way for writes to fail as on a full disk.
type disk struct {
	name string
	// prepare fills the spool's disk once the spool holds what it holds, and gives the
	// command in front of php.
	prepare func(s *site) []string
	// marks reports whether bytes that are there can still be overwritten, as on a real disk.
	marks bool
}

func disks(t *testing.T) []disk {
	t.Helper()
	all := []disk{{"limit", func(*site) []string {
		// 8 blocks are at most 8 KiB, which the spool has already; the signal that goes
		// with it would end PHP.
		return []string{"sh", "-c", `trap "" XFSZ; ulimit -f 8; exec "$@"`, "sh"}
	}, false}}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Log("without root no small disk can be mounted: only a limit on the file's size")
		return all
	}
	return append(all, disk{"small disk", func(s *site) []string {
		s.write(s.spool()+"/ballast", "")
		f, err := os.OpenFile(s.spool()+"/ballast", os.O_WRONLY, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		for err == nil {
			_, err = f.Write(bytes.Repeat([]byte("x"), 4096))
		}
		_ = f.Close()
		return nil
	}, true})
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, d := range disks(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			n := newNotifier(t)
			s := newSite(t, n.URL, sockets())
			if d.marks {
				mount := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", s.spool())
				if out, err := mount.CombinedOutput(); err != nil {
					t.Logf("no small disk can be mounted here (%s): only a limit on the file's size", bytes.TrimSpace(out))
					return
				}
				// After judge(), before the folder is removed.
				unmounts(t, s)
			}
			want := s.start(without).fire("TASK_CHANGED", upTo(1000)...)
			empty := s.start(strict)
			empty.fire("TASK_CHANGED", upTo(2500)...)
			empty.settle()
			s.run("deliver.php", "--for=wrong") // makes nothing
			before := s.read("spool")
			if strings.Count(before, "\n") != 3 {
				t.Fatalf("the spool begins with %d lines", strings.Count(before, "\n"))
			}
			// The state is there from the first delivery on; here nothing was delivered yet.
			n.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			s.deliver(1)
			command := append(d.prepare(s), s.php)
			e := s.startBy(command, strict)
			for range 3 {
				if got := e.fire("TASK_CHANGED", upTo(1000)...); got.body != want.body || got.status != want.status {
					t.Errorf("the page is another: %d %.200s", got.status, got.body)
				}
			}
			e.settle()
			if after := s.read("spool"); after != before {
				t.Errorf("the spool has %d bytes, had %d", len(after), len(before))
			}
			if lost := s.lost(); lost["unwritten"] != 3000 {
				t.Errorf("lost %v, want 3000 unwritten", lost)
			}
			if !strings.Contains(s.said.String(), "1000 ids were lost, the spool was not written (disk full?); the poll will find what changed") {
				t.Errorf("PHP's log says\n%s", s.said)
			}
			n.setFault(nil)
			s.deliver(0) // on the small disk, while it is full
			n.want(t, map[string][]int64{"tasks": upTo(2500)})
			if left := s.read("spool"); left != "" {
				t.Errorf("the spool still holds %d bytes", len(left))
			}
			if out, _ := s.run("check.php"); !strings.Contains(out, "3000 ids dropped because the spool could not be written") {
				t.Errorf("check.php said\n%s", out)
			}
		})
	}
}

func unmounts(t *testing.T, s *site) {
	t.Cleanup(func() {
		s.judge()
		if out, err := exec.Command("umount", "-l", s.spool()).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
}

// Done lines in front of a long rest are given back while the rest still waits.
func TestSpoolIsTidiedInPlace(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	var b strings.Builder
	for id := range int64(40) {
		b.WriteString(entry(t, time.Now(), id+1, id+1001))
	}
	s.write(s.spool()+"/spool", b.String())
	n.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
		if len(n.requests()) < 30 {
			return false
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	s.deliver(1)
	if lines := strings.Split(s.read("spool"), "\n"); len(lines) != 11 || !strings.Contains(lines[0], `"ids":[31,1031]`) {
		t.Errorf("the spool has %d lines, the first %q", len(lines)-1, lines[0])
	}
	n.setFault(nil)
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": append(upTo(40), func() []int64 {
		var more []int64
		for id := range int64(40) {
			more = append(more, id+1001)
		}
		return more
	}()...)})
}

// cron's job stays for its time and takes what comes at once: Apache's module has no other way.
func TestDelivererStaysAndTakesWhatComes(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	e := s.start()
	cmd := exec.Command(s.php, append(slices.Clone(s.flags), "deliver.php", "--for=600")...)
	cmd.Env = s.environment()
	cmd.Stdout, cmd.Stderr = s.said, s.said
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endGroup(cmd) })
	var waits []time.Duration
	for id := range int64(8) {
		begin := time.Now()
		e.fire("TASK_CHANGED", id+1)
		n.await(t, 1)
		waits = append(waits, time.Since(begin))
	}
	slices.Sort(waits)
	t.Logf("from the click to Notify by deliver.php --for: median %v, most %v", waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
	// A second one leaves it alone.
	if out, code := s.run("deliver.php"); code != 0 || out != "" {
		t.Errorf("a second deliverer ended with %d and said %q", code, out)
	}
	n.want(t, map[string][]int64{"tasks": upTo(8)})
}

// Nothing but ids and times is kept, in files that only their owner reads.
func TestSpoolHoldsNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	e := s.start(finishes)
	e.fire("TASK_CHANGED", 1)
	e.settle()
	s.deliver(1)
	line := regexp.MustCompile(`^\{"id":"msg_[0-9a-f]{32}","type":"task\.changed","at":[0-9]+,"ids":\[1\]\}\n$`)
	if got := s.read("spool"); !line.MatchString(got) {
		t.Errorf("the spool holds %q", got)
	}
	names, err := filepath.Glob(s.spool() + "/*")
	if err != nil || len(names) < 4 {
		t.Errorf("the spool's files: %v, %v", names, err)
	}
}
