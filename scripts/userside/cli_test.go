package userside_test

import (
	"os"
	"strings"
	"testing"
)

// Scripts of the ERP (imports, daemons) run for hours: what they change does not wait for
// their end.
func TestLongScript(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	out, code := s.run("-r", `
		include "legacy.php";
		erp_calendar_api_function("task_state_change", ["taskId" => 5]);
		erp_calendar_api_function("task_state_change", 6, 1, 2);
		clearstatcache(); echo is_file($argv[1] . "/spool") ? "early" : "", "\n";
		usleep(2100000);
		erp_calendar_api_function("task_state_change", ["7", "1"]);
		clearstatcache(); echo file_get_contents($argv[1] . "/spool");
		erp_calendar_api_function("task_state_change", ["taskId" => 8]);
	`, s.spool())
	if code != 0 || !strings.HasPrefix(out, "\n") || !strings.Contains(out, `"ids":[5,6,7]`) {
		t.Errorf("the script ended with %d and said %q", code, out)
	}
	if !strings.Contains(s.read("spool"), `"ids":[8]`) {
		t.Errorf("the spool holds %q", s.read("spool"))
	}
}

// A script that root runs leaves files that the web server can write.
func TestScriptOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not root: nothing to see")
		return
	}
	s := newSite(t, nobody(t), sockets())
	const somebody = 65534
	if err := os.Chown(s.spool(), somebody, somebody); err != nil {
		t.Fatal(err)
	}
	s.run("-r", `include "legacy.php"; erp_calendar_api_function("task_state_change", 6);`)
	out, code := s.run("-r", `foreach (glob($argv[1] . "/*") as $f) { echo basename($f), fileowner($f) === 65534 ? "" : " of another", "\n"; }`, s.spool())
	if code != 0 || strings.Contains(out, "of another") || !strings.Contains(out, "spool\n") || !strings.Contains(out, "state\n") || !strings.Contains(out, "pause\n") {
		t.Errorf("the spool's files:\n%s", out)
	}
	for _, script := range []string{"deliver.php", "check.php"} {
		out, code := s.run(script)
		if code != 1 || !strings.Contains(out, "own") && !strings.Contains(out, "belongs to") {
			t.Errorf("%s of another user ended with %d and said\n%s", script, code, out)
		}
	}
}
