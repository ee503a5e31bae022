package deploytest_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The script and the configuration speak of the same four secrets.
func TestTheSecretsAreTheConfigurations(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("../../terraform/variables.tf")
	must(t, err)
	var ephemeral []string
	for _, block := range strings.Split(string(config), "\nvariable ")[1:] {
		if regexp.MustCompile(`(?m)^  ephemeral\s*=\s*true`).MatchString(block) {
			ephemeral = append(ephemeral, strings.Split(block, `"`)[1])
		}
	}
	script, err := os.ReadFile("../deploy")
	must(t, err)
	m := regexp.MustCompile(`(?m)^secrets=\((.*)\)$`).FindSubmatch(script)
	if m == nil {
		t.Fatal("the script names no secrets")
	}
	named := strings.Fields(string(m[1]))
	slices.Sort(named)
	slices.Sort(ephemeral)
	if !slices.Equal(named, ephemeral) {
		t.Errorf("the script knows %v, the configuration %v", named, ephemeral)
	}
	secrets, err := os.ReadFile("../../terraform/secrets.tf")
	must(t, err)
	for _, name := range named {
		// stored_versions reads the state by this key, in_secret_manager asks by this id.
		key, id := strings.ToUpper(name), strings.ReplaceAll(name, "_", "-")
		if !regexp.MustCompile(`(?m)^\s+` + key + `\s+= \{ id = "` + id + `"`).Match(secrets) {
			t.Errorf("secrets.tf has no %s with the id %s", key, id)
		}
	}
}

// Mocked tests and the provider's own checks see what is known at plan: no grant takes
// an attribute of a service account that only Google fills in. The grants' values
// themselves: terraform/tests/least_privilege.tftest.hcl.
func TestNoGrantTakesWhatOnlyGoogleFillsIn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../terraform/*.tf")
	must(t, err)
	tests, err := os.ReadFile("../../terraform/tests/least_privilege.tftest.hcl")
	must(t, err)
	filled := regexp.MustCompile(`google_service_account\.\w+(\[[^\]]*\])?\.(member|email|name|id|unique_id)\b`)
	grant := regexp.MustCompile(`(?m)^resource "(google_\w+_iam_member)" "(\w+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if found := filled.Find(text); found != nil {
			t.Errorf("%s takes %s: build it from account_id", filepath.Base(file), found)
		}
		for _, m := range grant.FindAllStringSubmatch(string(text), -1) {
			if _, members, _ := strings.Cut(string(tests), `run "members_are_known_at_plan"`); !strings.Contains(members, m[1]+"."+m[2]) {
				t.Errorf("%s.%s is not among the members that the test looks at", m[1], m[2])
			}
		}
	}
}

// The state holds the source of every function, as Terraform packs it.
func TestTheREADMEKnowsTheSizeOfTheState(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../terraform/README.md")
	must(t, err)
	m := regexp.MustCompile(`The state is about (\d+) MB`).FindSubmatch(readme)
	if m == nil {
		t.Fatal("terraform/README.md does not say how large the state is")
	}
	said, err := strconv.ParseFloat(string(m[1]), 64)
	must(t, err)
	var packed int
	for _, root := range []string{"../../functions", "../../shared"} {
		must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			name, _ := filepath.Rel("../..", filepath.ToSlash(path))
			for _, not := range []string{"shared/fake/", "shared/simulation/", "shared/testenv/", "shared/store/storetest/"} {
				if strings.HasPrefix(name, not) {
					return err
				}
			}
			if err != nil || e.IsDir() || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") ||
				!slices.Contains([]string{".go", ".html", ".css", ".js", ".svg", ".toml"}, filepath.Ext(name)) {
				return err
			}
			content, err := os.ReadFile(path)
			must(t, err)
			escaped, err := json.Marshal(string(content))
			packed += len(escaped)
			return err
		}))
	}
	if mb := float64(8*packed) / 1e6; mb < said-2 || mb > said+2 {
		t.Errorf("the README says %g MB, eight functions' sources make %.1f MB", said, mb)
	}
}
