package userside_test

import (
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
