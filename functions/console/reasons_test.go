package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Every reason that can be recorded says in each language what it is and what to do: an
// identifier is nothing that an admin can act on (rule 7.8).
func TestEveryReasonCanBeActedOn(t *testing.T) {
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for reason, file := range constants(t, "../../shared/calendarsync/*.go", "Reason") {
		for _, lang := range i18n.Languages() {
			l := texts.For(lang)
			task, employee := taskCause(l, reason), employeeCause(l, reason)
			if task.Do == "" && employee.Do == "" {
				t.Errorf("%s: nothing says what %q of %s means, and what to do", lang, reason, file)
			}
		}
	}
	for kind := range constants(t, "../../shared/failure/failure.go", "Kind") {
		for _, lang := range i18n.Languages() {
			c := failureCause(texts.For(lang), &store.Failure{Kind: failure.Kind(kind), Message: "open c_1"})
			if strings.HasPrefix(c.What, "reason.") || c.Do == "" || strings.HasPrefix(c.Do, "reason.") || strings.Contains(c.What+c.Do, "c_1") || c.Details != "open c_1" {
				t.Errorf("%s: a failure of kind %q is shown as %+v", lang, kind, c)
			}
		}
	}
}

// constants gives the values of a type's constants that are not empty, with the file of each.
func constants(t *testing.T, glob, typ string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`(?m)^\s+\w+\s+` + typ + `\s+= "([^"]+)"`)
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range form.FindAllStringSubmatch(string(text), -1) {
			found[m[1]] = filepath.Base(file)
		}
	}
	if len(found) < 5 {
		t.Fatalf("found only %v in %s", found, glob)
	}
	return found
}

// A reason of our own says more than the kind of failure that it came with, and one of Google's,
// or of another version, is none of ours.
func TestAReasonOfOurOwnSaysMoreThanItsKind(t *testing.T) {
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := failureCause(texts.For("en"), &store.Failure{Kind: failure.Forbidden, Reason: "share-lowered", Message: "share calendar c_1"})
	if !strings.Contains(c.What, "only when they are busy") || !c.Person {
		t.Errorf("got %+v", c)
	}
	// Google's own words are never taken for ours, which mean another thing.
	for _, reason := range []string{"invalid", "deleted"} {
		if c := failureCause(texts.For("en"), &store.Failure{Kind: failure.Invalid, Reason: reason, Message: "insert event"}); !strings.Contains(c.What, "cannot be written so") || !strings.Contains(c.Details, reason) {
			t.Errorf("%s: got %+v", reason, c)
		}
	}
	// One that another version stored is said to be unknown, and is no sentence by itself.
	if c := employeeCause(texts.For("uk"), "of-tomorrow"); c.What == "of-tomorrow" || c.Details != "of-tomorrow" || c.Do != "" {
		t.Errorf("got %+v", c)
	}
}
