package packagetest_test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// A function's image may know no time zone, so each binary brings them along (rule 9.5).
func TestEveryFunctionCarriesTheZones(t *testing.T) {
	t.Parallel()
	folders, err := exec.CommandContext(t.Context(), "go", "list", "../../functions/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(folders)) {
		if path.Base(pkg) == "functions" {
			continue // only tests
		}
		deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		names := strings.Fields(string(deps))
		rendersEvents := slices.ContainsFunc(names, func(d string) bool { return strings.HasSuffix(d, "/shared/calendarsync") })
		if rendersEvents && !slices.Contains(names, "time/tzdata") {
			t.Errorf("%s does not carry time/tzdata", path.Base(pkg))
		}
	}
}
