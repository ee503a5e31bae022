package calendarsync_test

import (
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

func timedEvent() Event {
	at := time.Date(2026, 12, 10, 7, 30, 0, 0, time.UTC)
	return Event{Title: "Repair", Location: "Main St 1", Description: "d", Color: "3",
		Start: EventTime{Instant: at, Zone: "Europe/Kyiv"}, End: EventTime{Instant: at.Add(time.Hour), Zone: "Europe/Kyiv"}}
}

func returned(e Event) Fields {
	return Fields{Title: e.Title, Location: e.Location, Description: e.Description, Color: e.Color, Start: e.Start, End: e.End}
}

func TestStepForEachVerdictAndPresence(t *testing.T) {
	ev := timedEvent()
	live := Actual{Presence: Live, Sent: ev.Hash()}
	for _, row := range []struct {
		name   string
		d      Decision
		actual Actual
		want   Action
	}{
		{"wanted, never there", Decision{Verdict: Keep, Event: ev}, Actual{}, Insert},
		{"wanted, deleted before", Decision{Verdict: Keep, Event: ev}, Actual{Presence: Cancelled, Sent: ev.Hash()}, Revive},
		{"wanted and there", Decision{Verdict: Keep, Event: ev}, live, Nothing},
		{"wanted otherwise", Decision{Verdict: Keep, Event: ev}, Actual{Presence: Live, Sent: "old"}, Update},
		{"wanted and there, what was sent forgotten", Decision{Verdict: Keep, Event: ev}, Actual{Presence: Live}, Update},
		{"unwanted and there", Decision{Verdict: Remove}, live, Delete},
		{"unwanted, never there", Decision{Verdict: Remove}, Actual{}, Nothing},
		{"unwanted, deleted before", Decision{Verdict: Remove}, Actual{Presence: Cancelled}, Nothing},
		{"in doubt and there", Decision{Verdict: Absent}, live, Nothing},
		{"in doubt, never there", Decision{Verdict: Absent}, Actual{}, Nothing},
		{"left and there", Decision{Verdict: Unknown}, live, Nothing},
		{"left, deleted before", Decision{Verdict: Unknown}, Actual{Presence: Cancelled}, Nothing},
		{"no verdict", Decision{}, live, Nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := Step(row.d, row.actual); got != row.want {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

// rule 2.3: drift is measured against what Google returned; without a
// memory of that, against the content.
func TestDriftIsWhatSomebodyChanged(t *testing.T) {
	ev := timedEvent()
	asGiven := returned(ev)
	asGiven.Description = "d, as Google spells it"
	for _, row := range []struct {
		name     string
		memory   string
		observed *Fields
		change   func(*Fields)
		drifted  bool
	}{
		{name: "not looked at", memory: asGiven.Hash(), drifted: false},
		{name: "as returned, though otherwise than sent", memory: asGiven.Hash(), observed: &asGiven, drifted: false},
		{name: "changed since", memory: asGiven.Hash(), observed: &asGiven, change: func(f *Fields) { f.Title = "mine" }, drifted: true},
		{name: "made private since", memory: asGiven.Hash(), observed: &asGiven, change: func(f *Fields) { f.Visibility = "private" }, drifted: true},
		{name: "no memory, otherwise than wanted", observed: &asGiven, drifted: true},
		{name: "no memory, as wanted", observed: new(returned(ev)), drifted: false},
		{name: "no memory, defaults spelled out", observed: new(returned(ev)), change: func(f *Fields) { f.Visibility, f.Transparency = "default", "opaque" }, drifted: false},
		{name: "no memory, another label of the zone", observed: new(returned(ev)), change: func(f *Fields) { f.Start.Instant = f.Start.Instant.In(time.FixedZone("", 3600)) }, drifted: false},
		{name: "no memory, another title", observed: new(returned(ev)), change: func(f *Fields) { f.Title += "!" }, drifted: true},
		{name: "no memory, another place", observed: new(returned(ev)), change: func(f *Fields) { f.Location = "" }, drifted: true},
		{name: "no memory, another colour", observed: new(returned(ev)), change: func(f *Fields) { f.Color = "" }, drifted: true},
		{name: "no memory, moved", observed: new(returned(ev)), change: func(f *Fields) { f.Start.Instant = f.Start.Instant.Add(time.Minute) }, drifted: true},
		{name: "no memory, longer", observed: new(returned(ev)), change: func(f *Fields) { f.End.Instant = f.End.Instant.Add(time.Minute) }, drifted: true},
		{name: "no memory, all-day", observed: new(returned(ev)), change: func(f *Fields) { f.Start = EventTime{Date: "2026-12-10"} }, drifted: true},
		{name: "no memory, private", observed: new(returned(ev)), change: func(f *Fields) { f.Visibility = "private" }, drifted: true},
		{name: "no memory, free", observed: new(returned(ev)), change: func(f *Fields) { f.Transparency = "transparent" }, drifted: true},
		{name: "no memory, repeated", observed: new(returned(ev)), change: func(f *Fields) { f.Recurrence = []string{"RRULE:FREQ=DAILY"} }, drifted: true},
		{name: "no memory, with guests", observed: new(returned(ev)), change: func(f *Fields) { f.Attendees = 1 }, drifted: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := Actual{Presence: Live, Sent: ev.Hash(), Returned: row.memory}
			if row.observed != nil {
				seen := *row.observed
				if row.change != nil {
					row.change(&seen)
				}
				a.Observed = &seen
			}
			if got := a.Drifted(ev); got != row.drifted {
				t.Errorf("drifted %v, want %v", got, row.drifted)
			}
			want := Nothing
			if row.drifted {
				want = Update
			}
			if got := Step(Decision{Verdict: Keep, Event: ev}, a); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestActionsHaveNames(t *testing.T) {
	for action, name := range map[Action]string{
		Nothing: "nothing", Insert: "event.insert", Update: "event.update", Revive: "event.revive", Delete: "event.delete",
	} {
		if action.String() != name {
			t.Errorf("%d is %q, want %q", int(action), action, name)
		}
	}
}
