package audit

import (
	"cmp"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf16"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// texts are the texts of an event as its reader ought to see them. There may be several
// right descriptions, because not every release of the ERP names the customer.
type texts struct {
	title, location string
	descriptions    []string
	link            string
	// wild: the ERP's text holds what may be a tag or an entity, so that only
	// letters and digits are compared.
	wild bool
}

// templateDot is what the settings' templates see (functions/README.md, Settings).
type templateDot struct {
	Employee templateEmployee
	Task     templateTask
}

type templateEmployee struct {
	ID   int64
	Name string
}

type templateTask struct {
	ID                                          int64
	Type, State, Customer, Address, Description string
	Priority                                    int64
	URL                                         string
	Executors                                   []string
}

// erpWorld is the ERP stand-in's state, read once.
type erpWorld struct {
	s         settingsVersion
	employees map[int64]fakeerp.Employee
	tasks     []fakeerp.Task
	types     map[int64]fakeerp.TaskType
	states    map[int64]fakeerp.TaskState
	roles     map[int64]int64
	taskURL   string
	templates map[string]*template.Template
}

func (a *Auditor) erpWorld(s settingsVersion) (erpWorld, error) {
	w := erpWorld{
		s: s, employees: map[int64]fakeerp.Employee{}, tasks: a.w.ERP.Tasks(), types: map[int64]fakeerp.TaskType{},
		states: map[int64]fakeerp.TaskState{}, roles: map[int64]int64{}, taskURL: s.TaskURL, templates: map[string]*template.Template{},
	}
	if w.taskURL == "" {
		w.taskURL = strings.TrimRight(a.w.ERPURL, "/") + "/task/{id}"
	}
	for _, e := range a.w.ERP.Employees() {
		w.employees[e.ID] = e
	}
	for _, t := range a.w.ERP.Types() {
		w.types[t.ID] = t
	}
	for _, st := range a.w.ERP.States() {
		w.states[st.ID], w.roles[st.ID] = st, st.Role
	}
	for name, text := range map[string]string{"name": s.CalendarName, "title": s.EventTitle, "description": s.EventDescription} {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return w, fmt.Errorf("template %s: %w", name, err)
		}
		w.templates[name] = t
	}
	return w, nil
}

func (w erpWorld) render(name string, dot templateDot) (string, bool) {
	var b strings.Builder
	err := w.templates[name].Execute(&b, dot)
	return b.String(), err == nil
}

func (w erpWorld) employeeName(e fakeerp.Employee) string {
	if name := flat(e.Name); name != "" {
		return name
	}
	return flat(e.ShortName)
}

// calendarName is what an employee's calendar is called.
func (w erpWorld) calendarName(e fakeerp.Employee) (string, bool) {
	out, ok := w.render("name", templateDot{Employee: templateEmployee{e.ID, w.employeeName(e)}})
	if out = flat(out); out == "" {
		out = "#" + strconv.FormatInt(e.ID, 10)
	}
	return out, ok
}

// texts are the texts of a task for one employee; ok is false where a template
// fails on it.
func (w erpWorld) texts(t fakeerp.Task, e fakeerp.Employee) (texts, bool) {
	dot := templateDot{
		Employee: templateEmployee{e.ID, w.employeeName(e)},
		Task: templateTask{
			ID: t.ID, Type: flat(w.types[t.TypeID].Name), State: flat(w.states[t.StateID].Name), Address: place(t.Address),
			Description: strings.TrimSpace(t.Description), Priority: t.Priority,
			URL: strings.ReplaceAll(w.taskURL, "{id}", strconv.FormatInt(t.ID, 10)),
		},
	}
	for _, id := range t.Executors {
		name := "#" + strconv.FormatInt(id, 10)
		if who := w.employeeName(w.employees[id]); who != "" {
			name = who
		}
		dot.Task.Executors = append(dot.Task.Executors, name)
	}
	out := texts{location: dot.Task.Address, link: dot.Task.URL, wild: t.RawDescription ||
		markup.MatchString(strings.Join([]string{t.Description, t.Address.Text, t.OptionalCustomerName, dot.Task.Type, dot.Task.State}, " "))}
	title, ok := w.render("title", dot)
	if out.title = strings.Trim(flat(title), ", "); out.title == "" {
		out.title = "#" + strconv.FormatInt(t.ID, 10)
	}
	customers := []string{flat(t.OptionalCustomerName)}
	if len(t.Customers) > 0 {
		customers = append(customers, flat(t.Customers[0].FullName))
	}
	for _, c := range customers {
		dot.Task.Customer = c
		d, fine := w.render("description", dot)
		ok = ok && fine
		out.descriptions = append(out.descriptions, flat(strings.TrimSuffix(strings.TrimSpace(d), dot.Task.URL)+"\n"+dot.Task.URL))
	}
	return out, ok
}

// place is the address with the apartment, named once.
func place(p fakeerp.Address) string {
	text, flatNo := flat(p.Text), flat(p.Apartment)
	if flatNo == "" || flatNo == "0" {
		return text
	}
	if text == "" {
		return flatNo
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) > 1 && words[len(words)-1] == flatNo {
		return text
	}
	return text + ", " + flatNo
}

// flat is a text on one line, without the characters that no calendar shows: line breaks
// and the width of white space are not judged.
func flat(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u200d':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

var (
	markup = regexp.MustCompile(`<[A-Za-z/!]|&[A-Za-z#]`)
	tag    = regexp.MustCompile(`<[^>]*>`)
)

// lettersOnly are the letters and digits of a text, without tags and entities.
func lettersOnly(s string) string {
	for range 3 {
		s = tag.ReplaceAllString(html.UnescapeString(s), " ")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}

// sameText compares what ought to be with what is, where a text may be cut at most
// characters, the last being an ellipsis.
func sameText(want, have string, wild bool, most int) bool {
	have = flat(have)
	if units(want) > most {
		head, cut := strings.CutSuffix(have, "…")
		return cut && units(have) <= most && (wild || strings.HasPrefix(want, strings.TrimSpace(head)))
	}
	if wild {
		return lettersOnly(want) == lettersOnly(have)
	}
	return want == have
}

// differences names the fields of an event that are not as they ought to be,
// never their content.
func (w erpWorld) differences(t fakeerp.Task, e fakeerp.Employee, have shownEvent) []string {
	var out []string
	note := func(bad bool, field string) {
		if bad {
			out = append(out, field)
		}
	}
	want := timesOf(w.s, t, w.types[t.TypeID].HourOnDoing)
	note(!at(have.start, want.allDay, want, false, w.s.TimeZone), "start")
	note(!at(have.end, want.allDay, want, true, w.s.TimeZone), "end")
	note(have.color != w.color(t), "colour")
	note(have.status != "" && have.status != "confirmed", "status")
	note(have.visibility != "" && have.visibility != "default", "visibility")
	note(have.transparency != "" && have.transparency != "opaque", "transparency")
	note(have.recurs, "recurrence")
	note(have.attended, "attendees")
	text, ok := w.texts(t, e)
	if !ok {
		return out // where a template fails, the texts stay as they are
	}
	note(!sameText(text.title, have.title, text.wild, calendarsync.MaxTitle), "title")
	note(!sameText(text.location, have.location, text.wild, calendarsync.MaxLocation), "location")
	note(!slices.ContainsFunc(text.descriptions, func(d string) bool { return sameDescription(d, text, have.description) }), "description")
	return out
}

// color is the colour of a task: its priority's, else its state's, else its type's (rule 8.11).
func (w erpWorld) color(t fakeerp.Task) string {
	of := func(what string, id int64) int { return w.s.Colors[what+strconv.FormatInt(id, 10)] }
	if c := cmp.Or(of("priority:", t.Priority), of("state:", t.StateID), of("", t.TypeID)); c > 0 {
		return strconv.Itoa(c)
	}
	return ""
}

// shownEvent is a live event as its owner sees it.
type shownEvent struct {
	id, status, title, location, description string
	color, visibility, transparency          string
	recurs, attended                         bool
	start, end                               shownTime
}

// shownTime is a date, or a time and its zone.
type shownTime struct{ date, at, zone string }

// eventsOf are the live events of a calendar.
func (a *Auditor) eventsOf(id string) []shownEvent {
	var out []shownEvent
	for _, e := range a.w.Google.Events(id) {
		if e.Status == "cancelled" || e.Start == nil || e.End == nil {
			continue
		}
		out = append(out, shownEvent{
			id: e.Id, status: e.Status, title: e.Summary, location: e.Location, description: e.Description,
			color: e.ColorId, visibility: e.Visibility, transparency: e.Transparency, recurs: len(e.Recurrence) > 0, attended: len(e.Attendees) > 0,
			start: shownTime{e.Start.Date, e.Start.DateTime, e.Start.TimeZone}, end: shownTime{e.End.Date, e.End.DateTime, e.End.TimeZone},
		})
	}
	return out
}

// units is how long a text is in UTF-16 units.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// sameDescription compares Google's HTML with plain text that ends with the link.
func sameDescription(want string, text texts, have string) bool {
	plain := html.UnescapeString(have)
	if strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(plain) != have {
		return false // an unescaped tag or entity
	}
	if !strings.HasSuffix(plain, text.link) {
		return false
	}
	if room := calendarsync.MaxDescription * 3 / 4; units(have) > room {
		// It was cut, or nearly: then only its length, beginning and link are checked.
		n := min(len([]rune(want)), 200)
		return units(have) <= calendarsync.MaxDescription && (text.wild || strings.HasPrefix(flat(plain), string([]rune(want)[:n])))
	}
	if text.wild {
		return lettersOnly(want) == lettersOnly(plain)
	}
	return flat(plain) == want
}

// at compares one end of an event with the times it ought to have.
func at(have shownTime, allDay bool, want times, end bool, zone string) bool {
	t := want.start
	if end {
		t = want.end
	}
	if allDay {
		return have.date == t.Format("2006-01-02") && have.at == ""
	}
	got, err := parseTime(have.at)
	return err == nil && have.date == "" && got.Equal(t) && sameZone(have.zone, zone, t)
}
