package userside_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samples are the PHP texts of README.md, with the connector's folder as it is here.
func samples(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```php\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		out = append(out, here(t, m[1]))
	}
	return out
}

func here(t *testing.T, text string) string {
	t.Helper()
	folder, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, "/opt/erp-calendar", folder)
}

// sample is the one that contains a text.
func sample(t *testing.T, with string) string {
	t.Helper()
	for _, s := range samples(t) {
		if strings.Contains(s, with) {
			return "<?php\n" + s
		}
	}
	t.Fatalf("README.md has no sample with %q", with)
	return ""
}

// An ERP of the older form forbids what the dispatcher does where api_function returns
// anything but true: README's sample lets it, also when the connector is not there.
func TestAPIFunctionLetsTheERPGoOn(t *testing.T) {
	t.Parallel()
	good := sample(t, "function api_function")
	if !strings.Contains(good, "return true;") {
		t.Fatalf("the sample returns nothing:\n%s", good)
	}
	for name, c := range map[string]struct {
		function  string
		forbidden bool
	}{
		"README's sample":         {good, false},
		"the connector not there": {strings.ReplaceAll(good, "legacy.php", "nothing.php"), false},
		"the same without true":   {strings.Replace(good, "return true;", "", 1), true},
		"the adapter's answer":    {"<?php function api_function($name, $a) { include_once '" + here(t, "/opt/erp-calendar") + "/legacy.php'; return erp_calendar_api_function($name, $a); }", false},
		"the connector misplaced": {"<?php function api_function($name, $a) { include_once '" + here(t, "/opt/erp-calendar") + "/legacy.php'; return erp_calendar_api_function(null, []); }", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nobody(t), sockets())
			file := s.dir + "/api_function.php"
			s.write(file, c.function)
			e := s.start(strict, "ERP_API_FUNCTION="+file)
			for _, event := range []string{"task_state_change", "task_state_change_before", "inventory_transfer"} {
				if p := e.fire(event, 7); (p.status == http.StatusConflict) != c.forbidden || strings.Contains(p.body, "FORBIDDEN") != c.forbidden {
					t.Errorf("%s: status %d, forbidden: %v", event, p.status, !c.forbidden)
				}
			}
		})
	}
}

// install puts handlers into an ERP's folder.
func (s *site) install(handlers string) (root, cache string) {
	s.t.Helper()
	root = filepath.Join(s.dir, "erp")
	folder := filepath.Join(root, "evolution/CustomEvents/v2")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.write(folder+"/handlers.php", handlers)
	return root, filepath.Join(root, "var/cache/CustomEvents/handlers.v2.cache.php")
}

// README's lines, in an ERP that runs its handlers.
func TestHandlersThatAreRun(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	root, _ := s.install(sample(t, "erp_calendar_events("))
	e := s.start(finishes, strict, "ERP_ROOT="+root)
	if p := e.fire("TASK_CREATED", 7); p.status != http.StatusOK {
		t.Errorf("status %d: %.200s", p.status, p.body)
	}
	e.settle()
	n.want(t, map[string][]int64{"tasks": {7}})
}

// An ERP that scans its handlers finds no event in README's lines, and check.php says what
// it needs; the literal lines work, once the ERP's cache is deleted.
func TestHandlersThatAreScanned(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	root, cache := s.install(sample(t, "erp_calendar_events("))
	e := s.start(finishes, strict, "ERP_ROOT="+root, "ERP_SCAN=on")
	e.fire("TASK_CREATED", 1)
	e.settle()
	n.want(t, nil)
	s.alive()
	if out, _ := s.run("check.php"); !strings.Contains(out, "warn  events: the ERP has never called the connector\n") || !strings.Contains(out, "handlers.v2.cache.php") || !strings.Contains(out, "check.php --handlers") {
		t.Errorf("check.php said\n%s", out)
	}

	example, err := os.ReadFile("handlers-v2.static.php")
	if err != nil {
		t.Fatal(err)
	}
	lines, code := s.run("check.php", "--handlers")
	if _, literal, _ := strings.Cut(here(t, string(example)), "*/\n\n"); code != 0 || !strings.HasSuffix(lines, "\n"+literal) {
		t.Errorf("check.php --handlers ended with %d and printed\n%s\nwant\n%s", code, lines, literal)
	}
	s.install(here(t, string(example)))
	e.fire("TASK_CREATED", 2)
	e.settle()
	n.want(t, nil) // the cache is as it was
	s.remove(cache)
	for _, event := range []string{"TASK_CREATED", "TASK_CHANGED"} { // the second has no line
		if p := e.fire(event, 3); p.status != http.StatusOK {
			t.Errorf("%s: status %d", event, p.status)
		}
		e.settle()
	}
	n.want(t, map[string][]int64{"tasks": {3}})
	if out, _ := s.run("check.php"); !strings.Contains(out, "      TASK_CREATED: not of the class, came 0 s ago with 1 id, its handler returned true\n") &&
		!strings.Contains(out, "      TASK_CREATED: not of the class, came 1 s ago with 1 id, its handler returned true\n") {
		t.Errorf("check.php said\n%s", out)
	}
}

var age = regexp.MustCompile(`[0-9]+ s ago`)

// check.php shows which events the ERP has, which are taken, and what came.
func TestCheckShowsTheEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	e := s.start(strict)
	e.ask(http.MethodGet, "") // any page of the ERP lists them
	events := func() string {
		out, _ := s.run("check.php")
		_, list, _ := strings.Cut(out, "  events: ")
		list, _, _ = strings.Cut(list, "\nDNS")
		var lines []string
		for line := range strings.Lines(list) {
			if len(lines) > 0 && !strings.HasPrefix(line, "      ") {
				break
			}
			lines = append(lines, age.ReplaceAllString(strings.TrimSpace(line), "N s ago"))
		}
		return strings.Join(lines, "\n")
	}
	if got := events(); !strings.HasPrefix(got, "14 exist in this ERP, 9 are taken, none has come yet\n-> change a task in the ERP; ") {
		t.Errorf("before any event:\n%s", got)
	}
	e.fire("TASK_STATE_CHANGE", 7, 9)
	e.fire("TASK_CHANGE_BEFORE", 7) // has no handler of ours
	e.fire("OWN_THING", 7)          // names no task
	e.fire("task_state_change", 5)
	e.fire("inventory_transfer", 5)
	e.settle()
	want := `14 exist in this ERP, 9 are taken, the last one came N s ago
COMMENT_ADD: taken, has never come
CUSTOMER_CARD_PRIMARY_CONTENT_RENDER: left alone
CUSTOMER_STATUS_CHANGE_BEFORE: left alone
EMPLOYEE_CHANGED: taken, has never come
EMPLOYEE_DELETED: taken, has never come
OWN_THING: taken, came N s ago with 0 ids, its handler returned true
TASK_CHANGED: taken, has never come
TASK_CHANGE_BEFORE: left alone
TASK_COMMENT_DELETED: taken, has never come
TASK_CREATED: taken, has never come
TASK_DELETED: taken, has never come
TASK_FORM_VALIDATE: left alone
TASK_LIST_FILTER: left alone
TASK_STATE_CHANGE: taken, came N s ago with 1 id, its handler returned true
inventory_transfer: not of the class, came N s ago with 0 ids, its handler returned true
task_state_change: not of the class, came N s ago with 1 id, its handler returned true`
	if diff := cmp.Diff(want, events()); diff != "" {
		t.Errorf("check.php (-want +got):\n%s", diff)
	}
	for _, secretive := range []string{"[7", "[9", ":7", ":9"} {
		if strings.Contains(s.read("events"), secretive) {
			t.Errorf("the list of events holds ids: %s", s.read("events"))
		}
	}
}

// What others can put into a file or an answer must not reach the admin's terminal as it is.
func TestCheckPrintsNoControlCharacters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		const nasty = "\x1b]0;x\x07\x9b2J\u009b1m\u202e\r"
		n.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"detail": "` + nasty + `"}`))
			return true
		})
		s := newSite(t, n.URL, tr)
		s.write(s.spool()+"/state", fmt.Sprintf(`{"failed_at":1,"failed":%q}`, "\\u001b[2J\u202e"))
		s.write(s.spool()+"/events", `{"came":{"\u001b[31mX":[1,1]},"exist":{"\u001b[31mY\r":1}}`)
		s.link("/dev/null", "x\x1b[2Jy\n")
		out, code := s.run("check.php")
		if code != 1 || !strings.Contains(out, "the signature is refused (?") || !strings.Contains(out, "?[31mX") || !strings.Contains(out, "is a link") {
			t.Errorf("ended with %d and said\n%q", code, out)
		}
		for _, r := range out {
			if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\ufffd' {
				t.Fatalf("printed %q:\n%q", r, out)
			}
		}
	})
}

// Every notification says which version of the connector sent it.
func TestNotificationsCarryTheVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		agents := make(chan string, 10)
		n.setFault(func(_ http.ResponseWriter, r *http.Request) bool {
			agents <- r.UserAgent()
			return false
		})
		s := newSite(t, n.URL, tr)
		e := s.start(finishes)
		e.fire("TASK_CREATED", 1)
		e.settle()
		out, _ := s.run("check.php")
		version := regexp.MustCompile(`(?m)^ok    connector ([0-9.]+)$`).FindStringSubmatch(out)
		close(agents)
		if version == nil {
			t.Fatalf("check.php said\n%s", out)
		}
		count := 0
		for agent := range agents {
			count++
			if agent != "erp-calendar-connector/"+version[1] {
				t.Errorf("sent by %q, want version %s", agent, version[1])
			}
		}
		if count < 2 {
			t.Errorf("%d requests, want the notification's and the check's", count)
		}
	})
}
