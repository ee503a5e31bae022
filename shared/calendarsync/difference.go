package calendarsync

// Action is what has to be done to one event.
type Action int

const (
	// Nothing: it is as it ought to be, or nothing may be done.
	Nothing Action = iota
	// Insert: there is none under any generation.
	Insert
	// Update: it is there, but otherwise than it ought to be.
	Update
	// Revive: its id is taken by a cancelled event.
	Revive
	// Delete: it is there and ought not.
	Delete
)

// String names the action for logs and activity.
func (a Action) String() string {
	return [...]string{"nothing", "event.insert", "event.update", "event.revive", "event.delete"}[a]
}

// Presence is how an event stands as far as is known.
type Presence int

const (
	// Never: no event of ours was ever made there.
	Never Presence = iota
	// Live: it is there.
	Live
	// Cancelled: it was deleted; its id stays taken.
	Cancelled
)

// Actual is what is known of one event.
type Actual struct {
	Presence Presence
	// Sent is the hash of the content last sent.
	Sent string
	// Returned is the hash of the fields that Google gave back for it; "" after
	// the mapping was lost.
	Returned string
	// Observed are the fields as just read from Google; nil when not looked at.
	Observed *Fields
}

// Drifted reports whether somebody changed the event on Google's side since it was
// written.
func (a Actual) Drifted(want Event) bool {
	if a.Observed == nil {
		return false
	}
	if a.Returned != "" {
		return a.Observed.SpelledAs(a.Returned, want.Start.Zone).Hash() != a.Returned
	}
	// Without a memory of what Google returned, the content itself is compared; a
	// false alarm costs one write, after which there is a memory.
	return !want.matches(*a.Observed)
}

// matches compares content with fields as Google gave them.
func (e Event) matches(f Fields) bool {
	same := func(a, b EventTime) bool { return a.Date == b.Date && a.Instant.Equal(b.Instant) }
	return e.Title == f.Title && e.Location == f.Location && e.Description == f.Description && e.Color == f.Color &&
		same(e.Start, f.Start) && same(e.End, f.End) &&
		(f.Visibility == "" || f.Visibility == "default") && (f.Transparency == "" || f.Transparency == "opaque") &&
		len(f.Recurrence) == 0 && f.Attendees == 0
}

// Step is what a decision asks for, given what is there.
func Step(d Decision, a Actual) Action {
	switch d.Verdict {
	case Keep:
		switch {
		case a.Presence == Never:
			return Insert
		case a.Presence == Cancelled:
			return Revive
		case a.Sent != d.Event.Hash() || a.Drifted(d.Event):
			return Update
		}
	case Remove:
		if a.Presence == Live {
			return Delete
		}
	}
	return Nothing
}
