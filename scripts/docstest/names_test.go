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

// A name in a document: `calendars.TestKilledBetweenAnyTwoEffects`, with cases in
// brackets behind it, or `store.Permit`.
var (
	named = regexp.MustCompile("`((?:[a-z0-9]+/)*[a-z0-9]+)\\.([A-Z]\\w+)`")
	cases = regexp.MustCompile("(?s)`((?:[a-z0-9]+/)*[a-z0-9]+)\\.(Test\\w+)`\\s+\\((\"[^)]*\")\\)")
	case1 = regexp.MustCompile(`"([^"]+)"`)
	// filePath is a file or folder named in a document.
	filePath = regexp.MustCompile("`(?:\\./)?((?:functions|shared|scripts|terraform|\\.github)/[\\w.-]+(?:/[\\w.-]+)*)/?`")
)

// sources joins the Go files of each folder.
func sources(files repository) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		if path.Ext(name) == ".go" {
			out[path.Dir(name)] += text
		}
	}
	return out
}

// packages gives the folders that a document may mean by a package's name.
func packages(all map[string]string, name string) []string {
	var out []string
	for folder := range all {
		if folder == name || strings.HasSuffix(folder, "/"+name) {
			out = append(out, folder)
		}
	}
	return out
}

func TestNamesInDocumentsExist(t *testing.T) {
	t.Parallel()
	files := read(t)
	all := sources(files)
	contract := all["shared/store/storetest"]
	var f faults
	for name, text := range files {
		if path.Ext(name) != ".md" || strings.HasSuffix(name, "CHANGELOG.md") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			folders := packages(all, m[1])
			if m[1] == "functions" && !strings.HasPrefix(m[2], "Test") {
				continue // of Google's functions framework
			}
			declared := m[2]
			if strings.HasPrefix(m[2], "Test") || strings.HasPrefix(m[2], "Fuzz") {
				declared = "\nfunc " + m[2] + "("
			}
			if len(folders) > 0 && !slices.ContainsFunc(folders, func(d string) bool { return strings.Contains(all[d], declared) }) {
				f.add("%s names %s.%s, which is not there", name, m[1], m[2])
			}
			if len(folders) == 0 && strings.HasPrefix(m[2], "Test") {
				f.add("%s names %s.%s: there is no such package", name, m[1], m[2])
			}
		}
		for _, m := range filePath.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil && path.Ext(m[1]) != ".tfvars" { // each makes their own
				f.add("%s names %s, which is not there", name, m[1])
			}
		}
		for _, m := range cases.FindAllStringSubmatch(text, -1) {
			for _, c := range case1.FindAllStringSubmatch(m[3], -1) {
				if !slices.ContainsFunc(packages(all, m[1]), func(d string) bool {
					return strings.Contains(all[d]+contract, `"`+strings.Join(strings.Fields(c[1]), " "))
				}) {
					f.add("%s: %s.%s has no case %q", name, m[1], m[2], c[1])
				}
			}
		}
	}
	f.report(t)
}

func TestEachRuleNamesItsTest(t *testing.T) {
	t.Parallel()
	all, _ := rules(read(t))
	var f faults
	for _, r := range all {
		if !strings.Contains(r.text, ".Test") {
			f.add("rule %s names no test", r.number)
		}
	}
	f.report(t)
}
