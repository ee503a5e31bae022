package docstest_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A command in a document, and what it names: packages, and after -run tests.
var (
	command = regexp.MustCompile(`(?:\./scripts/(?:test|deploy)|go (?:test|run))\b[^` + "`\n#]*")
	target  = regexp.MustCompile(` \./([a-z0-9/]+)`)
	runFlag = regexp.MustCompile(` -run '?([^' ]+)'?`)
	testIn  = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// testsOf lists the tests of a package, whose files those of its cases may join.
func testsOf(files repository, folder string) []string {
	var out []string
	for name, text := range files {
		if path.Dir(name) != folder || !strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range testIn.FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// A promise whose command runs no test would be kept by nobody.
func TestCommandsInDocumentsRunSomething(t *testing.T) {
	t.Parallel()
	files := read(t)
	var f faults
	for name, text := range files {
		if path.Ext(name) != ".md" || strings.HasPrefix(name, "terraform/") {
			continue
		}
		for _, line := range command.FindAllString(text, -1) {
			var tests []string
			for _, m := range target.FindAllStringSubmatch(line, -1) {
				folder := strings.TrimSuffix(m[1], "/...")
				folder = strings.TrimSuffix(folder, "/")
				if _, err := os.Stat(filepath.Join(root, folder)); err != nil {
					f.add("%s: %q: there is no %s", name, line, folder)
				}
				tests = append(tests, testsOf(files, folder)...)
			}
			run := runFlag.FindStringSubmatch(line)
			if run == nil || strings.Contains(line, "/...") {
				continue
			}
			for pattern := range strings.SplitSeq(run[1], "|") {
				if one, err := regexp.Compile(pattern); err != nil || !slices.ContainsFunc(tests, one.MatchString) {
					f.add("%s: %q: no test is called %s", name, line, pattern)
				}
			}
		}
	}
	f.report(t)
}
