package calendars

// The kinds of drift that are found at calendars and their rules (rule 8.4); package
// events has those at events.
const (
	DriftCalendarRenamed  = "calendar.renamed"
	DriftCalendarZone     = "calendar.zone"
	DriftCalendarUnmarked = "calendar.unmarked"
	// DriftCalendarDeleted is a calendar that Google says is gone, for the first time.
	DriftCalendarDeleted = "calendar.deleted"
	DriftCalendarEmptied = "calendar.emptied"
	// DriftCalendarExtra is a further calendar of one employee.
	DriftCalendarExtra = "calendar.extra"
	DriftShareMissing  = "share.missing"
	DriftShareWidened  = "share.widened"
	// DriftShareForeign is a rule that is not the product's: reported, left alone.
	DriftShareForeign = "share.foreign"
)

// reportDriftCount says how many things of a kind there are: what is only reported is
// met again by every pass.
func (p *employeePass) reportDriftCount(kind string, n int64) {
	delete(p.drift, kind)
	if n > 0 {
		p.drift.Add(kind, n)
	}
}
