package calendarsync_test

import (
	"errors"
	"html"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

// What Google takes, in characters.
const (
	googleTitle       = 1024
	googleDescription = 8192
)

func TestDefaultTexts(t *testing.T) {
	for _, row := range []struct {
		name                         string
		change                       func(*Task)
		title, location, description string
	}{
		{"everything", func(*Task) {}, "Repair, Main St 1, 4", "Main St 1, 4", "Ivan Petrenko\nCall before\nhttps://erp.example/task/123"},
		{"no address", func(x *Task) { x.Address = "" }, "Repair", "", "Ivan Petrenko\nCall before\nhttps://erp.example/task/123"},
		{"no type but an address", func(x *Task) { x.Type, x.TypeName = 0, "" }, "Main St 1, 4", "Main St 1, 4", "Ivan Petrenko\nCall before\nhttps://erp.example/task/123"},
		{"type named by the catalogue alone", func(x *Task) { x.Type, x.TypeName = typeConnect, "" }, "Connection, Main St 1, 4", "Main St 1, 4", "Ivan Petrenko\nCall before\nhttps://erp.example/task/123"},
		{"nothing at all", func(x *Task) { x.Type, x.TypeName, x.Address, x.Customer, x.Description = 0, "", " ", "\t", "\n" }, "#123", "", "https://erp.example/task/123"},
		{"several lines", func(x *Task) { x.Description, x.Address = "one\r\n\r\n\r\n two \r\nthree", "Main St 1,\n4" }, "Repair, Main St 1, 4", "Main St 1, 4",
			"Ivan Petrenko\none\n\n two\nthree\nhttps://erp.example/task/123"},
		{"characters that no calendar shows", func(x *Task) { x.Address, x.Description = "Main\x00\u00a0St\x07\ufeff", "a\tb\xff\x1bc\x7f" }, "Repair, Main St", "Main St",
			"Ivan Petrenko\na bc\nhttps://erp.example/task/123"},
		{"what looks like HTML", func(x *Task) { x.Address, x.Description = "A & B <b>", `5 < 6 && "x" &lt;` }, "Repair, A & B <b>", "A & B <b>",
			"Ivan Petrenko\n5 &lt; 6 &amp;&amp; \"x\" &amp;lt;\nhttps://erp.example/task/123"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ev := kept(t, settings(), task(row.change))
			if ev.Title != row.title || ev.Location != row.location || ev.Description != row.description {
				t.Errorf("title %q\nlocation %q\ndescription %q", ev.Title, ev.Location, ev.Description)
			}
		})
	}
}

func TestTemplatesSeeTheirFields(t *testing.T) {
	s := settings(func(s *Settings) {
		s.EventTitle = `{{.Task.ID}} {{.Task.State}} p{{.Task.Priority}} {{.Employee.ID}} {{.Employee.Name}}`
		s.EventDescription = `{{range .Task.Executors}}[{{.}}]{{end}}`
		s.TaskURL = "https://erp.example/oper/?core_section=task&action=show&id={id}"
	})
	x := task(func(x *Task) { x.Executors, x.StateName = Say([]EmployeeID{petro, olena}), "" })
	ev := kept(t, s, x)
	if ev.Title != "123 New p2 42 Olena Kovalenko" {
		t.Errorf("title %q", ev.Title)
	}
	// Names that are not known are numbers; the order is fixed; the link is HTML.
	if ev.Description != "[Olena Kovalenko][#43]\nhttps://erp.example/oper/?core_section=task&amp;action=show&amp;id=123" {
		t.Errorf("description %q", ev.Description)
	}
	texts, err := NewTexts(s)
	if err != nil || !texts.NeedsExecutors {
		t.Errorf("the executors' names are not asked for: %v", err)
	}
	if texts, err = NewTexts(settings()); err != nil || texts.NeedsExecutors {
		t.Errorf("the executors' names are asked for in vain: %v", err)
	}
}

func TestDescriptionEndsWithTheLinkOnce(t *testing.T) {
	const link = "https://erp.example/task/123"
	for name, template := range map[string]string{
		"a template with the link":      "{{.Task.Description}}\n{{.Task.URL}}",
		"with blanks after it":          "{{.Task.Description}}\n{{.Task.URL}} \n\n",
		"a template without it":         "{{.Task.Description}}",
		"the link alone":                "{{.Task.URL}}",
		"no template at all":            "",
		"a template that is only space": " \n ",
	} {
		ev := kept(t, settings(func(s *Settings) { s.EventDescription = template }), task())
		if strings.Count(ev.Description, link) != 1 || !strings.HasSuffix("\n"+ev.Description, "\n"+link) {
			t.Errorf("%s gives %q", name, ev.Description)
		}
	}
	ev := kept(t, settings(func(s *Settings) { s.EventDescription = "{{.Task.URL}} first" }), task())
	if ev.Description != link+" first\n"+link {
		t.Errorf("a link elsewhere does not count: %q", ev.Description)
	}
}

// units is how long a text is where Google counts in UTF-16 (G14).
func units(s string) int { return len(utf16.Encode([]rune(s))) }

func TestCuttingKeepsTheLinkAndWholeEntities(t *testing.T) {
	const link = "https://erp.example/task/123"
	for name, unit := range map[string]string{
		"letters": "щ", "ampersands": "&", "entities": "&amp;", "tags": "<b>", "words": "word ", "lines": "x\n", "pictures": "🛠",
	} {
		for _, length := range []int{100, 7400, 7500, 8192, 40_000, 200_000} {
			text := strings.Repeat(unit, length/utf8.RuneCountInString(unit)+1)
			ev := kept(t, settings(), task(func(x *Task) { x.Customer, x.Address, x.Description = text, text, text }))
			if n := units(ev.Description); n > MaxDescription || n > googleDescription {
				t.Errorf("%s of %d: a description of %d", name, length, n)
			}
			if !strings.HasSuffix(ev.Description, "\n"+link) {
				t.Errorf("%s of %d: the link is lost", name, length)
			}
			// Whole entities only: what is shown, written again, is what was sent.
			plain := html.UnescapeString(ev.Description)
			if again := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(plain); again != ev.Description {
				t.Errorf("%s of %d: an entity is split", name, length)
			}
			if length > MaxDescription && !strings.HasSuffix(plain, "…\n"+link) {
				t.Errorf("%s of %d: nothing tells that it was cut: %q", name, length, plain[len(plain)-60:])
			}
			if n := units(plain); length > MaxDescription && n < MaxDescription/10 {
				t.Errorf("%s of %d: only %d characters are left", name, length, n)
			}
			if n := units(ev.Title); n > MaxTitle || n > googleTitle {
				t.Errorf("%s of %d: a title of %d", name, length, n)
			}
			if n := units(ev.Location); n > MaxLocation || n > googleTitle {
				t.Errorf("%s of %d: a location of %d", name, length, n)
			}
		}
	}
}

func TestTextAtItsLimitIsNotCut(t *testing.T) {
	title := func(s *Settings) { s.EventTitle = `{{.Task.Customer}}` }
	exact := strings.Repeat("щ", MaxTitle)
	if ev := kept(t, settings(title), task(func(x *Task) { x.Customer = exact })); ev.Title != exact {
		t.Errorf("a title of %d characters was cut", MaxTitle)
	}
	ev := kept(t, settings(title), task(func(x *Task) { x.Customer = exact + "щ" }))
	if ev.Title != exact[:len(exact)-len("щ")]+"…" {
		t.Errorf("one too many gives %d characters", utf8.RuneCountInString(ev.Title))
	}
}

func TestCalendarName(t *testing.T) {
	for _, row := range []struct{ name, template, employee, want string }{
		{"default", "{{.Employee.Name}}", "Olena Kovalenko", "Olena Kovalenko"},
		{"with more", "Tasks: {{.Employee.Name}} ({{.Employee.ID}})", "Olena", "Tasks: Olena (42)"},
		{"one line", "{{.Employee.Name}}", " Olena\n\tKovalenko ", "Olena Kovalenko"},
		{"an employee without a name", "{{.Employee.Name}}", " ", "#42"},
		{"too many units", "{{.Employee.Name}}", strings.Repeat("🛠", MaxName/2+1), strings.Repeat("🛠", MaxName/2-1) + "…"},
		{"too long", "{{.Employee.Name}}", strings.Repeat("щ", MaxName+1), strings.Repeat("щ", MaxName-1) + "…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			texts, err := NewTexts(settings(func(s *Settings) { s.CalendarName = row.template }))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := texts.CalendarName(TemplateEmployee{ID: olena, Name: row.employee}); err != nil || got != row.want {
				t.Errorf("name %q, %v; want %q", got, err, row.want)
			}
		})
	}
	texts, err := NewTexts(settings(func(s *Settings) { s.CalendarName = `{{slice .Employee.Name 0 9}}` }))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := texts.CalendarName(TemplateEmployee{ID: olena, Name: "Olena"}); got != "" || !names(err, "calendar_name") {
		t.Errorf("a template that fails gives %q, %v", got, err)
	}
}

// A template is run on samples before it is saved; each fault names its field.
func TestTemplateCheckNamesTheField(t *testing.T) {
	put := map[string]func(*Settings, string){
		"calendar_name":     func(s *Settings, text string) { s.CalendarName = text },
		"event_title":       func(s *Settings, text string) { s.EventTitle = text },
		"event_description": func(s *Settings, text string) { s.EventDescription = text },
	}
	faults := map[string]string{
		"no template":              "{{",
		"no such function":         "{{shell}}",
		"no such field":            "{{.Task.Password}}",
		"no such field in a block": "{{with .Task.Address}}{{$.Task.Flat}}{{else}}{{.Task.Flat}}{{end}}",
		"fails on an empty task":   "x{{if not .Task.Type}}{{index .Task.Executors 5}}{{end}}",
		"too much text":            `{{range 100}}{{printf "%1000d" 1}}{{end}}`,
		"a loop without an end":    `x{{range 2000000000}}{{end}}`,
		"a loop that is continued": `x{{range 2000000000}}{{continue}}{{end}}`,
		"a loop inside a block":    `x{{if true}}{{with .Employee}}{{range 2000000000}}{{end}}{{end}}{{end}}`,
		"a loop in another's else": `x{{range 0}}{{else}}{{range 2000000000}}{{end}}{{end}}`,
		"a loop in a definition":   `{{define "a"}}{{range 2000000000}}{{end}}{{end}}x{{template "a"}}`,
		"a template within itself": `{{define "a"}}{{template "a"}}{{template "a"}}{{end}}x{{template "a"}}`,
		"templates that multiply":  `{{define "a"}}{{end}}{{define "b"}}{{range 2000}}{{template "a"}}{{end}}{{end}}x{{range 2000}}{{template "b"}}{{end}}`,
	}
	for field, set := range put {
		for name, text := range faults {
			if field == "calendar_name" && (name == "fails on an empty task" || name == "no such field in a block") {
				text = strings.ReplaceAll(strings.ReplaceAll(text, ".Task.Address", ".Employee.Name"), "{{else}}{{.Task.Flat}}", "")
			}
			t.Run(field+"/"+name, func(t *testing.T) {
				s := settings()
				set(&s, text)
				err := CheckTemplates(s)
				if err == nil {
					t.Fatal("no fault is found")
				}
				for other := range put {
					if names(err, other) != (other == field) {
						t.Errorf("a fault of %s: %v", field, err)
					}
				}
			})
		}
	}
	s := settings()
	for _, set := range put {
		set(&s, "{{")
	}
	for field := range put {
		if err := CheckTemplates(s); !names(err, field) {
			t.Errorf("three faults, but %s is not told: %v", field, err)
		}
	}
}

func TestTemplateCheckDemandsNameAndTitle(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Settings)
		field  string
	}{
		{"the defaults", func(*Settings) {}, ""},
		{"no name", func(s *Settings) { s.CalendarName = " " }, "calendar_name"},
		{"a name made of a task, which a calendar has not", func(s *Settings) { s.CalendarName = "{{.Task.Type}}" }, "calendar_name"},
		{"no title", func(s *Settings) { s.EventTitle = "{{/* none */}}" }, "event_title"},
		{"a title that an empty task has not", func(s *Settings) { s.EventTitle = "{{.Task.Customer}}" }, ""},
		{"no description", func(s *Settings) { s.EventDescription = "" }, ""},
		{"a few hundred turns", func(s *Settings) { s.EventDescription = "{{range 500}}{{$.Task.ID}} {{end}}" }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := CheckTemplates(settings(row.change))
			if (err != nil) != (row.field != "") || (err != nil && !names(err, row.field)) {
				t.Errorf("error %v, want a fault of %q", err, row.field)
			}
		})
	}
}

// A template that only turns out at work to run away leaves the event alone.
func TestRunawayTemplateAtWorkIsRefused(t *testing.T) {
	s := settings(func(s *Settings) { s.EventDescription = `{{range .Task.Priority}}{{end}}` })
	if err := CheckTemplates(s); err != nil {
		t.Fatalf("the sample shows it already: %v", err)
	}
	d := rulesOf(t, s).Decide(read(task(func(x *Task) { x.Priority = 2_000_000_000 })), recipient(), false)
	if d.Verdict != Unknown || d.Reason != ReasonRefusedContent || errors.Unwrap(d.Err) == nil {
		t.Errorf("verdict %v, %q, %v", d.Verdict, d.Reason, d.Err)
	}
}

func TestTaskURLNamesTheTask(t *testing.T) {
	for text, want := range map[string]string{
		"https://erp.example/task/{id}":         "https://erp.example/task/123",
		"https://erp.example/{id}?again={id}#x": "https://erp.example/123?again=123#x",
		"https://erp.example/":                  "https://erp.example/",
		"":                                      "",
	} {
		texts, err := NewTexts(settings(func(s *Settings) { s.TaskURL = text }))
		if err != nil {
			t.Fatal(err)
		}
		if got := texts.TaskURL(123); got != want {
			t.Errorf("%q gives %q", text, got)
		}
	}
}
