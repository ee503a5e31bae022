package calendarsync

import (
	"slices"
	"testing"
	"time"
)

// TestEachChangedFieldIsNamed shows rule 10.3.
func TestEachChangedFieldIsNamed(t *testing.T) {
	at := EventTime{Instant: time.Date(2026, 12, 10, 9, 0, 0, 0, time.UTC), Zone: "Europe/Kyiv"}
	before := Fields{Title: "Repair", Location: "Sadova St", Start: at, End: at, Visibility: "default"}
	for name, change := range map[string]func(*Fields){
		FieldTitle: func(f *Fields) { f.Title += "s" }, FieldLocation: func(f *Fields) { f.Location = "" },
		FieldDescription: func(f *Fields) { f.Description = "x" }, FieldColor: func(f *Fields) { f.Color = "3" },
		FieldStart: func(f *Fields) { f.Start.Instant = f.Start.Instant.Add(time.Second) }, FieldEnd: func(f *Fields) { f.End = EventTime{Date: "2026-12-10"} },
		FieldVisibility: func(f *Fields) { f.Visibility = "private" }, FieldTransparency: func(f *Fields) { f.Transparency = "transparent" },
		FieldRecurrence: func(f *Fields) { f.Recurrence = []string{"RRULE:FREQ=DAILY"} }, FieldAttendees: func(f *Fields) { f.Attendees = 1 },
	} {
		after := before
		change(&after)
		if got := after.Changed(before.Hash()); !slices.Equal(got, []string{name}) {
			t.Errorf("%s changed: named %v", name, got)
		}
		if after.Hash() == before.Hash() {
			t.Errorf("%s changed: the hash is the same", name)
		}
	}
	if got := before.Changed(before.Hash()); got != nil {
		t.Errorf("nothing changed: named %v", got)
	}
	if got := before.Changed("of another form"); got != nil {
		t.Errorf("of another form: named %v", got)
	}
}
