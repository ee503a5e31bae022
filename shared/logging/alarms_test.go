package logging_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rule 7.4: each kind of alarm has an alert of its own, each alert's kind is raised
// somewhere, and no caller makes up a kind.
func TestEveryAlarmHasAnAlert(t *testing.T) {
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	declared, raised := map[string]string{}, map[string]bool{} // kinds by constant
	for _, m := range regexp.MustCompile(`(\w+) AlarmKind = "([^"]+)"`).FindAllStringSubmatch(read("alarms.go"), -1) {
		declared[m[1]] = m[2]
	}
	alerts := map[string]bool{}
	_, block, _ := strings.Cut(read("../../terraform/alerts.tf"), "alarm_kinds = {")
	block, _, _ = strings.Cut(block, "\n  }\n")
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z-]+)\s+= "`).FindAllStringSubmatch(block, -1) {
		alerts[m[1]] = true
	}
	used, literal := regexp.MustCompile(`logging\.(\w+)`), regexp.MustCompile(`logging\.Alarm(?:Ended)?\([^,\n]+,[^,\n]+, "`)
	for _, root := range []string{"../../functions", "../../shared"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text := read(path)
			for _, m := range used.FindAllStringSubmatch(text, -1) {
				if kind, ok := declared[m[1]]; ok {
					raised[kind] = true
				}
			}
			if found := literal.FindString(text); found != "" {
				t.Errorf("%s: %s...: a kind that is not one of alarms.go", path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]bool{}
	for _, kind := range declared {
		kinds[kind] = true
	}
	if len(kinds) == 0 || len(kinds) != len(declared) {
		t.Fatalf("the constants of alarms.go: %v", declared)
	}
	if diff := cmp.Diff(kinds, alerts); diff != "" {
		t.Errorf("kinds of alarms (-) and Terraform's alerts (+):\n%s", diff)
	}
	if diff := cmp.Diff(kinds, raised); diff != "" {
		t.Errorf("kinds of alarms (-) and those that something raises (+):\n%s", diff)
	}
}
