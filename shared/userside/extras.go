package userside

import (
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// readExtras reads what templates show besides. What cannot be read of it is left out: an
// odd field must not cost anybody their event.
func readExtras(t *calendarsync.Task, v any, extras calendarsync.Extras) {
	o, _ := v.(object)
	if extras.Fields || extras.Field != 0 {
		for _, e := range looseEntries(first(o, "additional_data", "additional_fields")) {
			if id := calendarsync.FieldID(e.id); extras.Fields || id == extras.Field {
				if f, ok := taskField(id, e.value); ok {
					t.Fields = append(t.Fields, f)
				}
			}
		}
	}
	if extras.Comment {
		t.Comment = latestComment(o["comments"])
	}
}

// looseEntries are the members of a collection that have an id, in ascending order of it.
func looseEntries(v any) []entry {
	var out []entry
	switch v := v.(type) {
	case object:
		for k, member := range v {
			if id, ok := identifier(k); ok {
				out = append(out, entry{id, member})
			}
		}
	case []any:
		for _, member := range v {
			o, _ := member.(object)
			if id, ok := identifier(o["id"]); ok {
				out = append(out, entry{id, member})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return int(max(-1, min(1, a.id-b.id))) })
	return slices.CompactFunc(out, func(a, b entry) bool { return a.id == b.id })
}

// taskField reads one additional field: {caption, value}, or a plain value.
func taskField(id calendarsync.FieldID, v any) (calendarsync.TaskField, bool) {
	f := calendarsync.TaskField{ID: id}
	if in, ok := v.(object); ok {
		caption, _ := scalar(in["caption"])
		f.Caption = plainLine(caption)
		v = in["value"]
	}
	if v == nil {
		return f, false
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	var texts []string
	for _, one := range list {
		text, ok := scalar(one)
		if !ok {
			return f, false
		}
		texts = append(texts, plainText(text))
	}
	f.Value = strings.Join(texts, ", ")
	return f, true
}

// latestComment is the text of the comment that was made last: by its date, or its number.
func latestComment(v any) string {
	latest, found := "", false
	var at calendarsync.LocalTime
	for _, e := range looseEntries(v) {
		o, _ := e.value.(object)
		text, isText := first(o, "comment", "text").(string)
		if !isText {
			continue
		}
		s, _ := scalar(first(o, "dateAdd", "date_add"))
		made, ok := parseDate(s)
		if found && ok && made.Wall.Before(at.Wall) {
			continue
		}
		latest, at, found = plainText(text), made, true
	}
	return latest
}
