// Package docstest holds the documents to the code: what they name is there, what
// comments cite is written down, and the tables of variables, settings and folders
// are whole. It must never be imported.
package docstest_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// repository is every text file by its path from the root, with slashes.
type repository map[string]string

const root = "../.."

// once reads the repository for all tests of this package.
var once = sync.OnceValues(walk)

func read(t *testing.T) repository {
	t.Helper()
	files, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func walk() (repository, error) {
	files := repository{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case d.IsDir() && (d.Name() == ".terraform" || slices.Contains([]string{".git", ".local", ".ci", "dist"}, name)):
			return filepath.SkipDir
		case d.IsDir(), name == ".git": // a worktree's is a file
			return nil
		case slices.Contains([]string{".tfstate", ".tfvars", ".tfplan", ".env"}, path.Ext(name)):
			return nil // an operator's own
		}
		text, err := os.ReadFile(file)
		if err == nil && !bytes.ContainsRune(text[:min(len(text), 512)], 0) {
			files[name] = string(text)
		}
		return err
	})
	return files, err
}

// faults are told together, each with its file.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func (f *faults) report(t *testing.T) {
	t.Helper()
	slices.Sort(*f)
	for _, one := range slices.Compact(*f) {
		t.Error(one)
	}
}

// lines gives the lines of a text that hold one of the words, each with the one that
// follows: expressions take seconds for all of the repository under the race detector.
func lines(text string, words ...string) string {
	var b strings.Builder
	follows := false
	for line := range strings.Lines(text) {
		holds := slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
		if holds || follows {
			b.WriteString(line)
		}
		follows = holds
	}
	return b.String()
}

const rulesFile = "shared/README.md"

// rule is one rule of shared/README.md.
type rule struct {
	number, text string
}

var (
	ruleHeading    = regexp.MustCompile(`(?m)^### (\d+\.\d+) .+$`)
	sectionHeading = regexp.MustCompile(`(?m)^## (\d+)\. `)
)

func rules(files repository) (all []rule, sections map[string]bool) {
	text := files[rulesFile]
	sections = map[string]bool{}
	for _, m := range sectionHeading.FindAllStringSubmatch(text, -1) {
		sections[m[1]] = true
	}
	heads := ruleHeading.FindAllStringSubmatchIndex(text, -1)
	for _, h := range heads {
		body, _, _ := strings.Cut(text[h[1]:], "\n#")
		all = append(all, rule{text[h[2]:h[3]], body})
	}
	return all, sections
}

// The forms of a citation: "rule 4.1", "rules 4.6 and 4.7", "rules 1.5, 3.6 and 4.2",
// "section 5 of shared/README.md".
var (
	citation        = regexp.MustCompile(`\b[Rr]ules? (\d+\.\d+(?:(?:, and |, | and |, or | or | to )\d+\.\d+)*)`)
	number          = regexp.MustCompile(`\d+\.\d+`)
	wholeSection    = regexp.MustCompile(`\b[Rr]ules? \d+(?:[^.\d]|\.\D|$)`)
	overTwoLines    = regexp.MustCompile(`\b[Rr]ules?[ \t]*\n[ \t]*(?://|#|\*)?[ \t]*\d+\.\d`)
	oneOfSeveral    = regexp.MustCompile(`\brule \d+\.\d+, \d+\.\d+`)
	sectionCitation = regexp.MustCompile(`section (\d+) of shared/README\.md`)
)

func cited(text string) []string {
	var out []string
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		out = append(out, number.FindAllString(m[1], -1)...)
	}
	return out
}

// isTest reports whether a file is part of a test: also the stores' contract, which
// stands in a package of its own, and the simulation's auditor.
func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "shared/store/storetest/")
}

// isCode reports whether a file's comments cite rules.
func isCode(name string) bool {
	return slices.Contains([]string{".go", ".tf", ".hcl", ".php", ".yml", ".sh", ""}, path.Ext(name)) && !strings.HasPrefix(name, "scripts/docstest/")
}

func TestCitedRulesExistAndEachIsCitedByATest(t *testing.T) {
	t.Parallel()
	files := read(t)
	all, sections := rules(files)
	if len(all) < 50 {
		t.Fatalf("%s has only %d rules: is the form of its headings another?", rulesFile, len(all))
	}
	known, shown := map[string]bool{}, map[string]bool{}
	var f faults
	for _, r := range all {
		if known[r.number] {
			f.add("%s: rule %s is there twice", rulesFile, r.number)
		}
		known[r.number] = true
	}
	for name, text := range files {
		if strings.HasPrefix(name, "scripts/docstest/") {
			continue
		}
		text = lines(text, "ule", "section ")
		for _, n := range cited(text) {
			if !known[n] {
				f.add("%s cites rule %s, which %s does not have", name, n, rulesFile)
			}
			if isTest(name) {
				shown[n] = true
			}
		}
		for _, m := range sectionCitation.FindAllStringSubmatch(text, -1) {
			if !sections[m[1]] {
				f.add("%s cites section %s, which %s does not have", name, m[1], rulesFile)
			}
		}
		if isCode(name) {
			wrongForms(&f, name, text)
		}
	}
	for n := range known {
		if !shown[n] {
			f.add("no test cites rule %s: say so in the comment of the test that shows it", n)
		}
	}
	f.report(t)
}

// wrongForms finds citations that a search for one rule would miss.
func wrongForms(f *faults, name, text string) {
	for form, why := range map[*regexp.Regexp]string{
		wholeSection: `cite a rule ("rule 4.1") or "section 4 of shared/README.md"`,
		overTwoLines: "keep a citation on one line",
		oneOfSeveral: `write "rules 4.6 and 4.7"`,
	} {
		for _, found := range form.FindAllString(text, -1) {
			f.add("%s: %q: %s", name, strings.TrimSpace(found), why)
		}
	}
}

// Section signs of RFCs are theirs.
var sectionSign = regexp.MustCompile(`(?:RFC \d+ )?§+ ?\d`)

// Documents that the rules were written from are not in the repository.
var outside = regexp.MustCompile(`\b(?:protocol|design|peers|unknowns)\.md|(?:^|[^/\w])(?:google|userside)\.md|/work/|terraform-offline|\bissue \d+`)

func TestNothingRefersToWhatIsNotInTheRepository(t *testing.T) {
	t.Parallel()
	var f faults
	for name, text := range read(t) {
		if strings.HasPrefix(name, "scripts/docstest/") {
			continue
		}
		text = lines(text, ".md", "/work/", "-offline", "issue ", "§")
		for _, found := range outside.FindAllString(text, -1) {
			f.add("%s refers to %q", name, found)
		}
		for _, found := range sectionSign.FindAllString(text, -1) {
			if !strings.HasPrefix(found, "RFC") {
				f.add("%s cites %q: of what?", name, found)
			}
		}
	}
	f.report(t)
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code   = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	anchor = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors are the fragments by which a document's headings are linked to.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range anchor.FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(m[1])) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				b.WriteRune(r)
			}
		}
		out[b.String()] = true
	}
	return out
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	files := read(t)
	var f faults
	for name, text := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			to, fragment, _ := strings.Cut(m[1], "#")
			target := name
			if to != "" {
				target = path.Join(path.Dir(name), to)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil || strings.HasPrefix(target, "..") {
				f.add("%s: %s leads nowhere", name, m[1])
			} else if fragment != "" && !anchors(files[target])[fragment] {
				f.add("%s: %s has no such heading", name, m[1])
			}
		}
	}
	f.report(t)
}
