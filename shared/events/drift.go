package events

import (
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// The kinds of drift found at events: what is otherwise at Google than it had been
// left (rule 8.4).
const (
	// DriftMoved: start or end was changed, whatever else was.
	DriftMoved    = "event.moved"
	DriftEdited   = "event.edited"
	DriftDeleted  = "event.deleted"
	DriftRestored = "event.restored"
	// DriftDoubled: a further event of the same task and employee, removed.
	DriftDoubled = "event.doubled"
	// DriftCopied: a marked event under an id that is not its own, left alone.
	DriftCopied = "event.copied"
)

// reportDrift compares what Google said of an event that the listing had shown
// otherwise than remembered with what it had been left as (rule 2.3).
func (t *taskPass) reportDrift(p *party) {
	live := p.actual.Presence == calendarsync.Live
	switch {
	case p.restored && live:
		t.drift.Add(DriftRestored, 1)
	case p.restored:
		// The list was older than our own deletion.
	case !live:
		t.drift.Add(DriftDeleted, 1)
	case p.mapping.Returned == "" || p.actual.Observed.Hash() == p.mapping.Returned:
		// Just adopted, with no memory of it; or the list was older than a write.
	default:
		fields := p.actual.Observed.Changed(p.mapping.Returned)
		for _, f := range fields {
			t.fields.Add(f, 1)
		}
		if slices.Contains(fields, calendarsync.FieldStart) || slices.Contains(fields, calendarsync.FieldEnd) {
			t.drift.Add(DriftMoved, 1)
		} else {
			t.drift.Add(DriftEdited, 1)
		}
	}
}
