package userside_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// each runs a test with both ways to send.
func each(t *testing.T, test func(t *testing.T, tr transport)) {
	t.Helper()
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			test(t, tr)
		})
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	cases := []struct {
		event string
		want  map[string][]int64
	}{
		{"TASK_CREATED", map[string][]int64{"tasks": {7, 9}}},
		{"TASK_CHANGED", map[string][]int64{"tasks": {7, 9}}},
		{"TASK_DELETED", map[string][]int64{"tasks deleted": {7, 9}}},
		{"TASK_COMMENT_DELETED", map[string][]int64{"tasks": {7, 9}}}, // vouches for no task's absence
		{"EMPLOYEE_CHANGED", map[string][]int64{"employees": {7, 9}}},
		{"EMPLOYEE_DELETED", map[string][]int64{"employees deleted": {7, 9}}},
		{"OWN_THING", map[string][]int64{"tasks": {7, 9}}},         // named by the configuration
		{"TASK_STATE_CHANGE", map[string][]int64{"tasks": {7, 9}}}, // named otherwise than TASK_CREATED
		{"COMMENT_ADD", map[string][]int64{"tasks": {7, 9}}},       // of something else, with a task
		{"TASK_CHANGE_BEFORE", nil},
		{"TASK_FORM_VALIDATE", nil},
		{"TASK_LIST_FILTER", nil},
		{"CUSTOMER_STATUS_CHANGE_BEFORE", nil},
		{"CUSTOMER_CARD_PRIMARY_CONTENT_RENDER", nil},
		{"task_state_change", map[string][]int64{"tasks": {7, 9}}},
		{"task_state_change_before", map[string][]int64{"tasks": {7, 9}}},
		{"own_thing", map[string][]int64{"employees": {4}}},
		{"inventory_transfer", nil},
	}
	each(t, func(t *testing.T, tr transport) {
		for _, way := range []struct {
			name        string
			environment []string
		}{{"after the page", []string{finishes, strict}}, {"by cron", []string{strict}}} {
			t.Run(way.name, func(t *testing.T) {
				n := newNotifier(t)
				s := newSite(t, n.URL, tr)
				s.configure("events", "['OWN_THING' => ['task.changed', 'thing'], 'NOT_OF_THIS_VERSION' => ['task.changed', 'id']]",
					"legacy_events", "['own_thing' => ['employee.changed', 'employee_id']]")
				e := s.start(way.environment...)
				for _, c := range cases {
					n.mu.Lock()
					clear(n.published)
					n.asked = nil
					n.mu.Unlock()
					e.fire(c.event, 7, 9, 7)
					e.settle()
					if way.name == "by cron" {
						if len(n.requests()) > 0 {
							t.Errorf("%s: Notify was called while the browser waited", c.event)
						}
						s.deliver(0)
					}
					n.want(t, c.want)
					if got := len(n.requests()); got != min(1, len(c.want)) {
						t.Errorf("%s: %d notifications of one request", c.event, got)
					}
				}
				if waiting := s.read("spool"); waiting != "" {
					t.Errorf("the spool holds %q", waiting)
				}
			})
		}
	})
}

// A wrong secret is mended in time: nothing is lost, each is signed anew under its own id.
func TestRefusedUntilTheSecretIsMended(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		s := newSite(t, n.URL, tr)
		s.configure("secret", fmt.Sprintf("%q", otherSecret))
		e := s.start(finishes)
		e.fire("TASK_CHANGED", 1)
		e.fire("TASK_DELETED", 2)
		e.settle()
		if got := n.requests(); len(got) != 1 || got[0].status != http.StatusUnauthorized {
			t.Fatalf("asked %v, want one refusal and then a pause", got)
		}
		s.deliver(1)
		s.configure("secret", fmt.Sprintf("%q", secret))
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": {1}, "tasks deleted": {2}})
		got := n.requests()
		if len(got) != 4 || got[0].id != got[1].id || got[1].id != got[2].id || got[2].id == got[3].id {
			t.Errorf("the ids of the requests: %v, want the first's kept over three", got)
		}
		if lost := s.lost(); len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
		e.fire("TASK_CHANGED", 3) // the pause ended with the delivery
		e.settle()
		n.want(t, map[string][]int64{"tasks": {1, 3}, "tasks deleted": {2}})
	})
}

// While Notify does not answer, the browser has its page, the process is taken for one
// second, and the next requests do not even try.
func TestSlow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		release := make(chan struct{})
		n.setFault(func(w http.ResponseWriter, r *http.Request) bool {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.settle()
		if p := e.fire("TASK_CHANGED", upTo(3000)...); p.took > 900*time.Millisecond {
			t.Errorf("the page came after %v", p.took)
		}
		after := e.settle()
		if after < 500*time.Millisecond || after > 2500*time.Millisecond {
			t.Errorf("the process was free again %v after its page, want about 1 s", after)
		}
		e.fire("TASK_CHANGED", 4000)
		if again := e.settle(); again > 800*time.Millisecond {
			t.Errorf("the next request tried again: %v", again)
		}
		close(release)
		n.setFault(nil)
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": append(upTo(3000), 4000)})
	})
}

// An answer that trickles in is cut off at the same second.
func TestTricklingAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		n.setFault(func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusOK)
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range 100 {
				if _, err := w.Write([]byte("<p>")); err != nil {
					break
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					break
				}
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return true
				}
			}
			return true
		})
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.fire("TASK_CHANGED", 1)
		if after := e.settle(); after > 2500*time.Millisecond {
			t.Errorf("the process was free again %v after its page, want about 1 s", after)
		}
		n.setFault(nil)
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": {1}})
	})
}

func TestDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		s := newSite(t, nobody(t), tr)
		e := s.start(finishes)
		e.fire("TASK_CHANGED", 1, 2)
		e.fire("EMPLOYEE_CHANGED", 3)
		e.settle()
		s.deliver(1)
		kept := s.read("spool")
		n := newNotifier(t)
		s.configure("url", fmt.Sprintf("%q", n.URL))
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": {1, 2}, "employees": {3}})
		for _, a := range n.requests() {
			if !strings.Contains(kept, a.id) {
				t.Errorf("the webhook-id %s is not that of the first attempt: %s", a.id, kept)
			}
		}
	})
}

// RFC 6761: the name cannot exist. How long a resolver takes to say so is not ours.
func TestDNSFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		s := newSite(t, "http://notify.erp-calendar.invalid", tr)
		e := s.start(finishes)
		e.settle()
		if p := e.fire("TASK_CHANGED", 1); p.took > 900*time.Millisecond {
			t.Errorf("the page came after %v", p.took)
		}
		after := e.settle()
		t.Logf("the process was free again %v after its page", after.Round(time.Millisecond))
		if tr.name == "curl" && after > 2500*time.Millisecond {
			t.Errorf("the process was free again %v after its page, want at most about 1 s", after)
		}
		if !strings.Contains(s.read("spool"), `"ids":[1]`) {
			t.Errorf("the spool holds %q", s.read("spool"))
		}
		out, code := s.run("check.php")
		if code != 1 || !strings.Contains(out, "BAD   DNS: the name notify.erp-calendar.invalid is not found") {
			t.Errorf("check.php ended with %d and said\n%s", code, out)
		}
	})
}

// Notify's clock is ten minutes ahead of the ERP's: nothing is believed until it is mended.
func TestClockSkewed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		n.setSkew(10 * time.Minute)
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.fire("TASK_CHANGED", 1)
		e.settle()
		s.deliver(1)
		out, code := s.run("check.php")
		if code != 1 || !strings.Contains(out, "this machine's clock is 600 s behind that of Notify") && !strings.Contains(out, "this machine's clock is 599 s behind") {
			t.Errorf("check.php ended with %d and said\n%s", code, out)
		}
		n.setSkew(0)
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": {1}})
		if lost := s.lost(); len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
	})
}

func TestManyIDs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		for _, environment := range []string{finishes, "ERP_FINISH=off"} {
			n := newNotifier(t)
			s := newSite(t, n.URL, tr)
			e := s.start(environment)
			for count, want := range map[int64][]int{1000: {1000}, 2500: {500, 1000, 1000}} {
				n.mu.Lock()
				clear(n.published)
				n.asked = nil
				n.mu.Unlock()
				e.fire("TASK_CHANGED", upTo(count)...)
				e.settle()
				s.run("deliver.php")
				n.want(t, map[string][]int64{"tasks": upTo(count)})
				var sizes []int
				for _, a := range n.requests() {
					sizes = append(sizes, a.ids)
				}
				slices.Sort(sizes)
				if !slices.Equal(sizes, want) {
					t.Errorf("%s, %d ids: notifications of %v, want %v", environment, count, sizes, want)
				}
			}
		}
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := unstartedNotifier(t)
		n.StartTLS()
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.fire("TASK_CHANGED", 1)
		e.settle()
		s.deliver(1)
		if got := n.requests(); len(got) > 0 {
			t.Fatalf("spoke to a server whose certificate nobody vouches for: %v", got)
		}
		out, _ := s.run("check.php")
		if !strings.Contains(out, "its certificate does not fit or is not trusted") {
			t.Errorf("check.php said\n%s", out)
		}
		ca := s.dir + "/ca.pem"
		writeCertificate(t, ca, n.Certificate().Raw)
		s.configure("ca_file", fmt.Sprintf("%q", ca))
		e.fire("TASK_CHANGED", upTo(2000)...) // pauses, and is spooled
		e.settle()
		s.deliver(0)
		e.fire("TASK_CHANGED", 2001)
		e.settle()
		n.want(t, map[string][]int64{"tasks": upTo(2001)})
	})
}

// What Notify itself says can never succeed is dropped and counted. The same status from
// something in between is not believed, and holds up nothing else.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		for _, status := range []int{400, 413, 415} {
			n := newNotifier(t)
			refuse := func(kind string) {
				n.setFault(func(w http.ResponseWriter, r *http.Request) bool {
					return r.ContentLength >= 200 && says(status, kind)(w, r)
				})
			}
			refuse("text/html")
			s := newSite(t, n.URL, tr)
			e := s.start()
			e.fire("TASK_CHANGED", upTo(500)...)
			e.fire("TASK_CHANGED", 501)
			e.settle()
			s.deliver(1)
			n.want(t, map[string][]int64{"tasks": {501}})
			if lost := s.lost(); len(lost) > 0 {
				t.Errorf("%d of a proxy: lost %v", status, lost)
			}
			refuse("application/problem+json")
			s.deliver(0)
			if lost := s.lost(); lost["refused"] != 500 {
				t.Errorf("%d of Notify: lost %v, want 500 refused", status, lost)
			}
			if out, _ := s.run("check.php"); !strings.Contains(out, "500 ids dropped because Notify refused them for good") {
				t.Errorf("check.php said\n%s", out)
			}
		}
	})
}

// Statuses that waiting or a person can mend keep the notification.
func TestKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.settle()
		for i, status := range []int{200, 204, 301, 401, 403, 404, 405, 408, 429, 500, 502, 503} {
			n.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(status)
				return true
			})
			e.fire("TASK_CHANGED", int64(i)+1)
			e.settle()
			s.deliver(1)
			if want := fmt.Sprintf(`"ids":[%d]`, i+1); !strings.Contains(s.read("spool"), want) {
				t.Errorf("%d: the notification is gone", status)
			}
			if err := os.Remove(s.spool() + "/pause"); err != nil {
				t.Errorf("%d made no pause: %v", status, err)
			}
		}
		n.setFault(nil)
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": upTo(12)})
		if lost := s.lost(); len(lost) > 0 {
			t.Errorf("lost %v", lost)
		}
	})
}

// A hardened server takes functions away that it can do without.
func TestHardenedPHP(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, transport{"hardened", sockets().php, []string{
		"-d", "disable_functions=curl_init,ignore_user_abort,chown,usleep,touch,error_log,posix_geteuid,disk_free_space,exec,putenv",
	}})
	e := s.start(finishes, strict)
	e.fire("TASK_CHANGED", 1)
	e.settle()
	n.want(t, map[string][]int64{"tasks": {1}})
	n.setFault(says(http.StatusInternalServerError, "text/plain"))
	e.fire("TASK_CHANGED", 2)
	e.fire("TASK_CHANGED", 3)
	e.settle()
	if got := len(n.requests()); got != 2 {
		t.Errorf("%d requests, want the second to make a pause", got)
	}
	n.setFault(nil)
	s.deliver(0)
	n.want(t, map[string][]int64{"tasks": {1, 2, 3}})
	if out, code := s.run("check.php"); code != 0 {
		t.Errorf("check.php ended with %d and said\n%s", code, out)
	}
	s.flags[len(s.flags)-1] += ",flock"
	if out, code := s.run("check.php"); code != 1 || !strings.Contains(out, "BAD   PHP lacks flock") {
		t.Errorf("check.php ended with %d and said\n%s", code, out)
	}
}
