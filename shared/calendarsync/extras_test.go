package calendarsync_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

// withExtras is a task of which everything was read that a template may show.
func withExtras(x *Task) {
	x.Fields = []TaskField{
		{ID: 12, Caption: "Contact", Value: "+38 (067) 123-45-67; 044 222 33 44"}, {ID: 13, Caption: "Контакт на місці", Value: "Петро & Co"},
		{ID: 14, Caption: "12", Value: "a caption that is another's number"}, {ID: 15, Caption: "", Value: "x"},
	}
	x.Comment, x.Divisions = "Bring\na ladder", Say([]DivisionID{4, 3, 9})
}

func TestTemplatesSeeMoreOfATask(t *testing.T) {
	for template, want := range map[string]string{
		`{{index .Task.Fields "13"}} {{.Task.Fields.Contact}}`:             "Петро & Co +38 (067) 123-45-67; 044 222 33 44",
		`{{index .Task.Fields "Контакт на місці"}}`:                        "Петро & Co",
		`[{{.Task.Fields.Missing}}{{index .Task.Fields "99"}}]`:            "[]",
		`{{index .Task.Fields "12"}}`:                                      "+38 (067) 123-45-67; 044 222 33 44",
		`{{.Task.Phone}}`:                                                  "tel:+380671234567, tel:0442223344",
		`{{.Task.Comment}}`:                                                "Bring a ladder",
		`{{.Task.Division}}`:                                               "East, North",
		`{{range $id, $value := .Task.Fields}}{{$value}}{{break}}{{end}}.`: "+38 (067) 123-45-67; 044 222 33 44.",
	} {
		s := settings(func(s *Settings) { s.EventTitle, s.PhoneField = template, 12 })
		r := rulesOf(t, s)
		r.DivisionNames = map[DivisionID]string{3: "North", 4: "East"}
		d := r.Decide(read(task(withExtras)), recipient(func(e *Recipient) { e.From = time.Time{} }), false)
		if d.Event.Title != want {
			t.Errorf("%s: %q, want %q (%v)", template, d.Event.Title, want, d.Err)
		}
		if err := CheckTemplates(s); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
}

func TestPhonesAreShownAsLinks(t *testing.T) {
	for field, want := range map[string]string{
		"": "", "+380671234567": "tel:+380671234567", "067 123-45-67": "tel:0671234567", "067.123.45.67, (044)2223344": "tel:0671234567, tel:0442223344",
		"067 123 45 67\n044 222 33 44": "tel:0671234567, tel:0442223344", "Olena 067 123 45 67": "tel:0671234567",
		"ask at the office": "ask at the office", "12": "12", "00380671234567": "tel:00380671234567",
	} {
		x := task(func(x *Task) { x.Fields = []TaskField{{ID: 12, Value: field}} })
		ev := kept(t, settings(func(s *Settings) { s.EventTitle, s.PhoneField = "Call {{.Task.Phone}}", 12 }), x)
		if got := strings.TrimSpace(strings.TrimPrefix(ev.Title, "Call")); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}

// What no template shows is not asked for, and changes no event.
func TestExtrasAreWhatTemplatesShow(t *testing.T) {
	for template, want := range map[string]Extras{
		`{{.Task.Type}}`:  {},
		`{{.Task.Phone}}`: {Field: 12},
		`{{index .Task.Fields "13"}} {{.Task.Phone}}`:    {Fields: true, Field: 12},
		`{{with .Task}}{{.Comment}}{{end}}`:              {Comment: true},
		`{{$t := .Task}}{{$t.Division}} {{$t.Comment}}x`: {Comment: true},
	} {
		s := settings(func(s *Settings) { s.EventDescription, s.PhoneField = template, 12 })
		texts, err := NewTexts(s)
		if err != nil {
			t.Fatal(err)
		}
		if texts.Extras != want || texts.NeedsDivisions != strings.Contains(template, "Division") {
			t.Errorf("%s: %+v, want %+v", template, texts.Extras, want)
		}
		if same := kept(t, s, task()).Hash() == kept(t, s, task(withExtras)).Hash(); same != (want == Extras{} || template == `x`) {
			t.Errorf("%s: the same event %v", template, same)
		}
	}
	for _, row := range []struct {
		read, shown Extras
		covers      bool
	}{
		{Extras{}, Extras{}, true}, {Extras{}, Extras{Comment: true}, false}, {Extras{Fields: true}, Extras{Field: 3}, true},
		{Extras{Field: 3}, Extras{Field: 4}, false}, {Extras{Field: 3}, Extras{Fields: true}, false}, {Extras{Fields: true, Comment: true}, Extras{Comment: true}, true},
	} {
		if row.read.Cover(row.shown) != row.covers {
			t.Errorf("%+v covers %+v: want %v", row.read, row.shown, row.covers)
		}
	}
}

func TestColoursByTypeStateOrPriority(t *testing.T) {
	for name, row := range map[string]struct {
		colors map[string]int
		want   string
	}{
		"none":                       {nil, ""},
		"type":                       {map[string]int{"7": 3}, "3"},
		"state":                      {map[string]int{"state:1": 4}, "4"},
		"priority":                   {map[string]int{"priority:2": 5}, "5"},
		"state before type":          {map[string]int{"7": 3, "state:1": 4}, "4"},
		"priority before all":        {map[string]int{"7": 3, "state:1": 4, "priority:2": 5}, "5"},
		"others' are not this one's": {map[string]int{"8": 3, "state:2": 4, "priority:1": 5}, ""},
	} {
		x := task(func(x *Task) { x.Type, x.State, x.Priority = 7, Say(StateID(1)), 2 })
		s := settings(func(s *Settings) { s.Colors = row.colors })
		r, err := NewRules(s, Catalogue{States: map[StateID]State{1: {ID: 1, Role: roleOpen}, 3: {ID: 3, Role: roleStarted}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Decide(read(x), recipient(func(e *Recipient) { e.From = time.Time{} }), false); d.Event.Color != row.want {
			t.Errorf("%s: %q, want %q", name, d.Event.Color, row.want)
		}
	}
}
