package docstest_test

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
)

const contractFile = "functions/README.md"

// section gives what stands under a heading of the second order.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// table gives the rows of all tables in a text by their first cell, without code marks.
func table(text string) map[string][]string {
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[strings.Trim(cells[0], "`")] = cells[1:]
	}
	return rows
}

var (
	variableTag  = regexp.MustCompile("`env:\"([A-Z_]+)\"`")
	variableRule = regexp.MustCompile(`"([A-Z_]+)":\s+(optional|required)\(("[^"]*"|[^,]+),`)
	group        = regexp.MustCompile(`(?ms)^type (\w+) struct \{(.*?)^\}`)
	embedded     = regexp.MustCompile(`(?m)^\s*config\.([A-Z]\w+)(?:\s*//.*)?$`)
)

// users gives the functions that read each variable, by the groups of shared/config
// that they embed, as the table names them.
func users(files repository) map[string]string {
	reads := map[string][]string{} // by group
	for name, text := range files {
		if path.Ext(name) != ".go" || isTest(name) {
			continue
		}
		function := ""
		if rest, in := strings.CutPrefix(name, "functions/"); in {
			function, _, _ = strings.Cut(rest, "/")
		} else if strings.HasPrefix(name, "shared/workers/") {
			function = "the workers"
		}
		if function == "" {
			continue
		}
		for _, m := range embedded.FindAllStringSubmatch(text, -1) {
			reads[m[1]] = append(reads[m[1]], function)
		}
	}
	order := []string{"notify", "oauth", "console", "the workers", "poll", "reconcile", "deadletter"}
	titles := map[string]string{"notify": "Notify", "oauth": "OAuth", "console": "Console", "the workers": "the workers", "poll": "Poll", "reconcile": "Reconcile", "deadletter": "DeadLetter"}
	users := map[string][]string{} // of a variable, which may be in more than one group
	for _, m := range group.FindAllStringSubmatch(files["shared/config/config.go"], -1) {
		for _, v := range variableTag.FindAllStringSubmatch(m[2], -1) {
			users[v[1]] = append(users[v[1]], reads[m[1]]...)
		}
	}
	out := map[string]string{}
	for variable, functions := range users {
		var names []string
		for _, function := range order {
			if slices.Contains(functions, function) {
				names = append(names, titles[function])
			}
		}
		if out[variable] = strings.Join(names, ", "); len(names) == len(order) {
			out[variable] = "all"
		}
	}
	return out
}

func TestEveryVariableIsInTheTable(t *testing.T) {
	t.Parallel()
	files := read(t)
	rows := table(section(t, files[contractFile], "Configuration"))
	delete(rows, "Variable")
	readBy := users(files)
	var f faults
	known := map[string]bool{}
	for _, m := range variableRule.FindAllStringSubmatch(files["shared/config/rules.go"], -1) {
		variable, how, text := m[1], m[2], strings.Trim(m[3], `"`)
		known[variable] = true
		row := rows[variable]
		if len(row) != 3 {
			f.add("%s is not in the table, or not with meaning, default and users", variable)
			continue
		}
		want := "`" + text + "`"
		switch {
		case how == "required":
			want = "required"
		case text == "":
			want = "none"
		}
		if row[1] != want {
			f.add("%s: the default is %s, not %s", variable, want, row[1])
		}
		if readBy[variable] != row[2] {
			f.add("%s is used by %q, not by %q", variable, readBy[variable], row[2])
		}
	}
	for variable := range rows {
		if !known[variable] {
			f.add("no function knows %s", variable)
		}
	}
	if len(known) != len(readBy) {
		f.add("shared/config has rules for %d variables and reads %d", len(known), len(readBy))
	}
	f.report(t)
}

func TestEverySettingIsInTheTableAndInTheForm(t *testing.T) {
	t.Parallel()
	files := read(t)
	rows, form := table(section(t, files[contractFile], "Settings")), sources(files)["functions/console"]
	delete(rows, "Field")
	text, err := json.Marshal(calendarsync.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	var defaults map[string]any
	if err := json.Unmarshal(text, &defaults); err != nil {
		t.Fatal(err)
	}
	var f faults
	for _, field := range settings.Fields() {
		row, there := rows[field]
		if !there || len(row) != 2 {
			f.add("%s is not in the table, or not with meaning and default", field)
			continue
		}
		switch v := defaults[field].(type) {
		case bool, float64:
			if want := fmt.Sprintf("`%v`", v); row[1] != want {
				f.add("%s: the default is %s, not %s", field, want, row[1])
			}
		}
		// The plan's page sets it, so that nobody ticks it without having seen the plan (rule 4.14).
		if field != "confirmed" && !strings.Contains(form, `{Name: "`+field+`"`) {
			f.add("%s is not in the console's form", field)
		}
		if slices.Contains(settings.Missing(calendarsync.DefaultSettings()), field) != (row[1] == "required") {
			f.add("%s: required or not?", field)
		}
	}
	for field := range rows {
		if !slices.Contains(settings.Fields(), field) {
			f.add("there is no setting %s", field)
		}
	}
	f.report(t)
}

// What the contract has to name, by where it is declared.
var declared = []struct {
	folder, heading, what string
	form                  *regexp.Regexp
}{
	{"shared/queue", "Messages", "cause", regexp.MustCompile(`Cause\w+ +Cause += "([a-z]+)"`)},
	{"shared/store", "Card", "state of a card", regexp.MustCompile(`State\w+ +EmployeeState += "([a-z]+)"`)},
	{"shared/logging", "Alarms", "kind of alarm", regexp.MustCompile(`\w+ +AlarmKind += "([a-z-]+)"`)},
}

var route = regexp.MustCompile(`HandleFunc\("((?:GET|POST) /[^"]*)"`)

func TestTheContractNamesEveryCauseStateAlarmAndPath(t *testing.T) {
	t.Parallel()
	files := read(t)
	var f faults
	for _, d := range declared {
		rows, found := table(section(t, files[contractFile], d.heading)), 0
		for name, text := range files {
			if path.Dir(name) != d.folder || isTest(name) || path.Ext(name) != ".go" {
				continue
			}
			for _, m := range d.form.FindAllStringSubmatch(text, -1) {
				found++
				if _, there := rows[m[1]]; !there {
					f.add("%s, %s: the %s %q is missing", contractFile, d.heading, d.what, m[1])
				}
			}
		}
		if found == 0 {
			f.add("%s declares no %s: is its form another?", d.folder, d.what)
		}
	}
	for name, text := range files {
		if !strings.HasPrefix(name, "functions/") || isTest(name) {
			continue
		}
		for _, m := range route.FindAllStringSubmatch(text, -1) {
			if p := strings.Replace(m[1], "/{$}", "/", 1); !strings.Contains(files[contractFile], "`"+p+"`") {
				f.add("%s: %s of %s is missing", contractFile, p, name)
			}
		}
	}
	f.report(t)
}

func TestEveryFolderIsInTheReadme(t *testing.T) {
	t.Parallel()
	files := read(t)
	readme := files["README.md"]
	folders := map[string]bool{}
	for name := range files {
		parts := strings.Split(name, "/")
		if len(parts) > 2 && slices.Contains([]string{"functions", "shared", "scripts", "terraform"}, parts[0]) {
			folders[parts[0]+"/"+parts[1]] = true
		}
	}
	var f faults
	for folder := range folders {
		if !strings.Contains(readme, "`"+folder+"`") {
			f.add("README.md does not name the folder %s", folder)
		}
	}
	for _, m := range regexp.MustCompile("`((?:functions|shared|scripts|terraform)/[a-z]+)`").FindAllStringSubmatch(readme, -1) {
		if _, file := files[m[1]]; !folders[m[1]] && !file {
			f.add("README.md names %s, which is not there", m[1])
		}
	}
	f.report(t)
}
