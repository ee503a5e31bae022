package calendarsync

import "time"

// Resolve gives the instant of a wall clock's reading in a zone (rule 9.2):
// a reading that a DST gap skips moves forward by the gap; of one that
// occurs twice the first is meant.
func Resolve(wall time.Time, zone *time.Location) time.Time {
	u := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, time.UTC)
	// No zone has two transitions within two days, so the offsets a day before
	// and a day after are all that can be in force.
	before, after := offsetAt(u.Add(-24*time.Hour), zone), offsetAt(u.Add(24*time.Hour), zone)
	first := u.Add(-before)
	if before == after || offsetAt(first, zone) == before {
		// The old offset holds at that instant: the only reading, or the first of two.
		return first.In(zone)
	}
	second := u.Add(-after)
	if offsetAt(second, zone) == after {
		return second.In(zone)
	}
	// In the gap: with the old offset the instant is later by the gap.
	return first.In(zone)
}

func offsetAt(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// MaxApart is how far the ERP's UTC offset may be from that of the settings' zone
// (rule 9.4). Beyond it every event would be at a wrong hour.
const MaxApart = 10 * time.Minute

// Apart is how far the ERP's UTC offset at an instant is from the zone's.
func Apart(zone *time.Location, at time.Time, offset time.Duration) time.Duration {
	return (offset - offsetAt(at, zone)).Abs()
}
