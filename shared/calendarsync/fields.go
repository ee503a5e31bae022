package calendarsync

// The names of the owned fields, as a report of drift calls them.
const (
	FieldTitle        = "title"
	FieldLocation     = "location"
	FieldDescription  = "description"
	FieldColor        = "color"
	FieldStart        = "start"
	FieldEnd          = "end"
	FieldVisibility   = "visibility"
	FieldTransparency = "transparency"
	FieldRecurrence   = "recurrence"
	FieldAttendees    = "attendees"
)

// fieldPrint is the fingerprint of one field.
type fieldPrint struct{ name, hash string }

// printSize is how many characters of each field's hash are kept: enough to see a change,
// and with ten fields still short.
const printSize = 8

func (f Fields) prints() []fieldPrint {
	f.Start.Instant, f.End.Instant = f.Start.Instant.UTC(), f.End.Instant.UTC()
	if len(f.Recurrence) == 0 {
		f.Recurrence = nil
	}
	var out []fieldPrint
	for _, p := range []struct {
		name  string
		value any
	}{
		{FieldTitle, f.Title}, {FieldLocation, f.Location}, {FieldDescription, f.Description}, {FieldColor, f.Color},
		{FieldStart, f.Start}, {FieldEnd, f.End}, {FieldVisibility, f.Visibility}, {FieldTransparency, f.Transparency},
		{FieldRecurrence, f.Recurrence}, {FieldAttendees, f.Attendees},
	} {
		out = append(out, fieldPrint{p.name, hashOf(p.value)[:printSize]})
	}
	return out
}

// Hash fingerprints the fields as Google returned them (rule 2.3), each by itself, so that
// Changed can name those that differ in a later reading.
func (f Fields) Hash() string {
	var out []byte
	for _, p := range f.prints() {
		out = append(out, p.hash...)
	}
	return string(out)
}

// Changed names the fields that differ from those whose Hash is before, never their
// content (rule 8.4). Nil where before is not a Hash of this form.
func (f Fields) Changed(before string) []string {
	now := f.prints()
	if len(before) != len(now)*printSize {
		return nil
	}
	var out []string
	for i, p := range now {
		if before[i*printSize:(i+1)*printSize] != p.hash {
			out = append(out, p.name)
		}
	}
	return out
}

// SpelledAs gives the fields with the name of their zone spelled as in those whose Hash is
// before, if it means the same zone as zone: another name for it is nobody's change
// (rule 2.8).
func (f Fields) SpelledAs(before, zone string) Fields {
	best, least := f, len(f.Changed(before))
	if least == 0 || f.Start.Zone == "" {
		return f
	}
	for _, name := range []string{zone, LinkName(zone)} {
		spelled := f
		spelled.Start.Zone, spelled.End.Zone = name, name
		if n := len(spelled.Changed(before)); n < least && SameZone(f.Start.Zone, name) && SameZone(f.End.Zone, name) {
			best, least = spelled, n
		}
	}
	return best
}
