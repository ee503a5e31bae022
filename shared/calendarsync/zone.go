package calendarsync

import (
	"errors"
	"time"
)

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

// The years in which the rules of two zones are compared: nothing that the product writes
// lies outside.
const (
	firstYear = 2000
	lastYear  = 2060
)

// SameZone reports whether two names mean one zone: the same offset at every instant from
// firstYear to lastYear (rule 2.8). Google may give Europe/Kyiv back as Europe/Kiev.
func SameZone(a, b string) bool {
	if a == b {
		return true
	}
	zoneA, errA := loadZone(a)
	zoneB, errB := loadZone(b)
	if errA != nil || errB != nil {
		return false
	}
	end := time.Date(lastYear, time.December, 31, 0, 0, 0, 0, time.UTC)
	for at := time.Date(firstYear, time.January, 1, 0, 0, 0, 0, time.UTC); at.Before(end); {
		if offsetAt(at, zoneA) != offsetAt(at, zoneB) {
			return false
		}
		next := end
		// ZoneBounds may end where it was asked for; no two changes are within two days.
		soonest := at.Add(24 * time.Hour)
		for _, zone := range []*time.Location{zoneA, zoneB} {
			if _, until := at.In(zone).ZoneBounds(); !until.IsZero() && until.Before(next) {
				next = until
			}
		}
		at = next
		if at.Before(soonest) {
			at = soonest
		}
	}
	return true
}

// loadZone refuses the names by which Go means the zone of the machine.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errNoZone
	}
	return time.LoadLocation(name)
}

var errNoZone = errors.New("not the name of a zone")

// LinkName gives the other name by which Google knows a zone that was renamed, "" where
// there is none.
func LinkName(zone string) string {
	switch zone {
	case "Europe/Kyiv":
		return "Europe/Kiev"
	case "Europe/Kiev":
		return "Europe/Kyiv"
	case "Asia/Kolkata":
		return "Asia/Calcutta"
	case "Asia/Ho_Chi_Minh":
		return "Asia/Saigon"
	case "Asia/Yangon":
		return "Asia/Rangoon"
	case "Asia/Kathmandu":
		return "Asia/Katmandu"
	case "America/Nuuk":
		return "America/Godthab"
	}
	return ""
}
