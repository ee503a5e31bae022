package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// Field is an additional field of employees' cards, as the cards show it.
type Field struct {
	ID      calendarsync.FieldID
	Caption string // "" where the ERP sends none
	// Cards counts the cards of whoever works, Ticked those that have something other than
	// "off" in it, Filled those that have anything.
	Cards, Ticked, Filled int
	// Odd are the people in whose field stands what is no checkbox's value, in To.
	Odd []Person
}

// Box reports whether everything that stands in the field can be a checkbox's value.
func (f Field) Box() bool { return f.Filled > 0 && len(f.Odd) == 0 }

// Fields lists the fields that cards show or the ERP has captions for, by number. A field that
// is empty on every card may be missing: not every ERP sends those.
func Fields(cards map[calendarsync.EmployeeID]calendarsync.EmployeeReading, captions map[calendarsync.FieldID]string) []Field {
	found := map[calendarsync.FieldID]*Field{}
	for id, caption := range captions {
		found[id] = &Field{ID: id, Caption: caption}
	}
	working := 0
	for _, id := range slices.Sorted(maps.Keys(cards)) {
		e := cards[id].Employee
		if e == nil || !e.Working.Or(false) {
			continue
		}
		working++
		for field, value := range e.Fields.Or(nil) {
			f := found[field]
			if f == nil {
				f = &Field{ID: field, Caption: captions[field]}
				found[field] = f
			}
			f.add(Person{ID: id, Name: e.Name, To: strings.TrimSpace(value)})
		}
	}
	out := make([]Field, 0, len(found))
	for _, f := range found {
		f.Cards = working
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Field) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (f *Field) add(one Person) {
	if one.To != "" {
		f.Filled++
	}
	if calendarsync.On(one.To) {
		f.Ticked++
	}
	if !calendarsync.IsCheckbox(one.To) {
		f.Odd = append(f.Odd, one)
	}
}

// FieldTrouble is why a field may not be the one that was meant.
type FieldTrouble string

const (
	// NoSuchField: no card has it, so that nobody would get a calendar.
	NoSuchField FieldTrouble = "no-such-field"
	// NoBox: something other than a checkbox stands in it, which would count as ticked.
	NoBox FieldTrouble = "no-box"
	// UnseenField: no card has it; it may be empty everywhere, or not exist.
	UnseenField FieldTrouble = "unseen-field"
)

// CheckBinding judges a new number for the checkbox field; "" is no trouble.
func CheckBinding(fields []Field, id calendarsync.FieldID) FieldTrouble {
	i := slices.IndexFunc(fields, func(f Field) bool { return f.ID == id })
	switch {
	case id == 0:
		return ""
	case i < 0:
		return NoSuchField
	case len(fields[i].Odd) > 0:
		return NoBox
	}
	return ""
}

// CheckCalendarField judges a new number for the field that calendars' ids are written into.
func CheckCalendarField(fields []Field, id calendarsync.FieldID) FieldTrouble {
	if id == 0 || slices.ContainsFunc(fields, func(f Field) bool { return f.ID == id }) {
		return ""
	}
	return UnseenField
}
