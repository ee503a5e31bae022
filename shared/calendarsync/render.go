package calendarsync

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf16"
)

// The longest that each text of an event or calendar may be, in UTF-16 units, since
// nobody knows in what Google counts (shared/googlecalendar/README.md, G14). It takes 1,024
// for title and location, 254 for the name of a calendar and 8,192 for the description;
// the rest is room for its own escaping.
const (
	MaxTitle       = 300
	MaxLocation    = 500
	MaxDescription = 7500
	MaxName        = 200
)

// TemplateEmployee is what a template sees as .Employee.
type TemplateEmployee struct {
	ID   EmployeeID
	Name string
}

// TemplateTask is what a template sees as .Task.
type TemplateTask struct {
	ID          TaskID
	Type        string
	State       string
	Customer    string
	Address     string
	Description string
	Priority    int64
	URL         string
	Executors   []string
	// Fields are the additional fields by id, as a text, and by caption.
	Fields map[string]string
	// Phone is the field chosen for it, with "tel:" before each number.
	Phone string
	// Comment is the latest one, Division the names of the task's divisions.
	Comment, Division string
}

// TemplateData is the dot of every template.
type TemplateData struct {
	Employee TemplateEmployee
	Task     TemplateTask
}

// Texts are the compiled templates of some settings.
type Texts struct {
	name, title, description *template.Template
	taskURL                  string
	// NeedsExecutors is set where a template shows the executors, whose names then have to
	// be looked up.
	NeedsExecutors bool
	// NeedsDivisions is the same for the names of divisions, and Extras for what else has to
	// be read of each task.
	NeedsDivisions bool
	Extras         Extras
}

// NewTexts compiles the templates of settings; the error names the field.
func NewTexts(s Settings) (*Texts, error) {
	t := &Texts{taskURL: s.TaskURL}
	shows := func(text, field string) bool { return strings.Contains(text, "."+field) }
	var faults []error
	for _, part := range []struct {
		field, text string
		into        **template.Template
	}{
		{"calendar_name", s.CalendarName, &t.name},
		{"event_title", s.EventTitle, &t.title},
		{"event_description", s.EventDescription, &t.description},
	} {
		tmpl, err := template.New(part.field).Option("missingkey=zero").Parse(part.text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", part.field, err))
			continue
		}
		for _, defined := range tmpl.Templates() {
			if defined.Tree != nil {
				countSteps(defined.Root)
			}
		}
		*part.into = tmpl
		t.NeedsExecutors = t.NeedsExecutors || shows(part.text, "Executors")
		t.NeedsDivisions = t.NeedsDivisions || shows(part.text, "Division")
		t.Extras.Fields = t.Extras.Fields || shows(part.text, "Fields")
		t.Extras.Comment = t.Extras.Comment || shows(part.text, "Comment")
		if shows(part.text, "Phone") {
			t.Extras.Field = s.PhoneField
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return t, nil
}

// CheckTemplates compiles the templates of settings and runs them on samples, a
// full task and an empty one; each fault names its field. A calendar must have a
// name and an event a title.
func CheckTemplates(s Settings) error {
	t, err := NewTexts(s)
	if err != nil {
		return err
	}
	var faults []error
	full := TemplateData{
		Employee: TemplateEmployee{ID: 42, Name: "Olena Kovalenko"},
		Task: TemplateTask{ID: 123, Type: "Connection", State: "New", Customer: "Ivan Petrenko", Address: "Main St 1, 4",
			Description: "Call before", Priority: 1, URL: t.TaskURL(123), Executors: []string{"Olena Kovalenko"},
			Fields: map[string]string{"12": "+380 67 123 45 67", "Phone": "+380 67 123 45 67"}, Phone: "tel:+380671234567", Comment: "Bring a ladder", Division: "North"},
	}
	empty := TemplateData{Employee: TemplateEmployee{ID: 42, Name: "Olena Kovalenko"}, Task: TemplateTask{ID: 123, URL: t.TaskURL(123)}}
	for _, part := range []struct {
		field string
		tmpl  *template.Template
		must  bool
	}{{"calendar_name", t.name, true}, {"event_title", t.title, true}, {"event_description", t.description, false}} {
		samples := []TemplateData{full, empty}
		if part.field == "calendar_name" {
			// A calendar's name is rendered without any task.
			samples = []TemplateData{{Employee: full.Employee}}
		}
		for i, data := range samples {
			out, err := run(part.tmpl, data)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", part.field, err))
				break
			}
			// The sample does not have the ERP's own fields.
			if part.must && i == 0 && strings.TrimSpace(out) == "" && !t.Extras.Fields {
				faults = append(faults, fmt.Errorf("%s: gives an empty text", part.field))
			}
		}
	}
	return errors.Join(faults...)
}

// numberRun is what may be a telephone number: digits with what people write between them.
var numberRun = regexp.MustCompile(`\+?[0-9(][0-9 ().\-\x{2011}\x{2013}\x{00a0}]*`)

// phoneText is a field with telephone numbers as links that phones understand; where there
// is no number, as it is.
func phoneText(field string) string {
	var links []string
	for _, run := range numberRun.FindAllString(field, maxPhones) {
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, run)
		if len(digits) < leastDigits {
			continue
		}
		if strings.HasPrefix(run, "+") {
			digits = "+" + digits
		}
		links = append(links, "tel:"+digits)
	}
	if len(links) == 0 {
		return field
	}
	return strings.Join(links, ", ")
}

const (
	maxPhones   = 5
	leastDigits = 3 // shorter ones are rooms and floors
)

// TaskURL is the address that opens the task in the ERP.
func (t *Texts) TaskURL(id TaskID) string {
	return strings.ReplaceAll(t.taskURL, "{id}", strconv.FormatInt(int64(id), 10))
}

// CalendarName renders the name of an employee's calendar.
func (t *Texts) CalendarName(e TemplateEmployee) (string, error) {
	out, err := run(t.name, TemplateData{Employee: e})
	if err != nil {
		return "", fmt.Errorf("calendar_name: %w", err)
	}
	name := oneLine(out)
	if name == "" {
		// Google takes no calendar without a name; an employee may have none.
		name = "#" + strconv.FormatInt(int64(e.ID), 10)
	}
	return cut(name, MaxName), nil
}

func (t *Texts) eventTitle(d TemplateData) (string, error) {
	out, err := run(t.title, d)
	if err != nil {
		return "", fmt.Errorf("event_title: %w", err)
	}
	title := strings.Trim(oneLine(out), ", ")
	if title == "" {
		// A task without type and address still has to be recognisable.
		title = "#" + strconv.FormatInt(int64(d.Task.ID), 10)
	}
	return cut(title, MaxTitle), nil
}

// eventDescription renders the description as Google's HTML. It always ends with
// the task's link, which cutting never touches.
func (t *Texts) eventDescription(d TemplateData) (string, error) {
	out, err := run(t.description, d)
	if err != nil {
		return "", fmt.Errorf("event_description: %w", err)
	}
	link := escape(d.Task.URL)
	body := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(clean(out)), d.Task.URL))
	room := MaxDescription - units(link) - 1
	// Escaping lengthens, so the cut is made on the plain text until it fits.
	for limit := room; ; limit = limit * 3 / 4 {
		escaped := escape(cut(body, limit))
		if units(escaped) <= room || limit < 16 {
			if escaped == "" {
				return link, nil
			}
			return escaped + "\n" + link, nil
		}
	}
}

// escape writes plain text in Google's HTML. Quotes stay as they are: only what
// could start a tag or an entity is touched.
func escape(s string) string {
	if !strings.ContainsAny(s, "&<>") {
		return s
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// clean drops what no calendar shows: control characters, broken UTF-8, runs of
// empty lines, blanks at line ends. Google would normalise some of it away.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r' || r == '\u00a0':
			return ' '
		case r < ' ' || r == 0x7f || r == '\ufeff':
			return -1
		}
		return r
	}, s)
	lines := strings.Split(s, "\n")
	out := lines[:0]
	for _, l := range lines {
		l = strings.TrimRight(l, " ")
		if l == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, l)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// units is how long a text is in UTF-16 units.
func units(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut shortens to at most n UTF-16 units, the last being an ellipsis, and never within a
// character. s is valid UTF-8.
func cut(s string, n int) string {
	if len(s) <= n || units(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	room := n - 1
	for i, r := range s {
		if room -= utf16.RuneLen(r); room < 0 {
			s = s[:i]
			break
		}
	}
	return strings.TrimRight(s, " \n") + "…"
}
