package calendarsync_test

import (
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// Rule 9.2: the instants are those of the tz database, worked out with
// Python's zoneinfo and zdump.
func TestWallClockBecomesAnInstant(t *testing.T) {
	for _, row := range []struct{ name, zone, wall, want string }{
		{"winter", "Europe/Kyiv", "2026-01-15 09:30", "2026-01-15T09:30:00+02:00"},
		{"summer", "Europe/Kyiv", "2026-07-15 09:30", "2026-07-15T09:30:00+03:00"},
		{"last moment of winter time", "Europe/Kyiv", "2026-03-29 02:59:59", "2026-03-29T02:59:59+02:00"},
		{"start of the gap moves by the gap", "Europe/Kyiv", "2026-03-29 03:00", "2026-03-29T04:00:00+03:00"},
		{"in the gap moves by the gap", "Europe/Kyiv", "2026-03-29 03:30", "2026-03-29T04:30:00+03:00"},
		{"end of the gap", "Europe/Kyiv", "2026-03-29 04:00", "2026-03-29T04:00:00+03:00"},
		{"just before the overlap", "Europe/Kyiv", "2026-10-25 02:59:59", "2026-10-25T02:59:59+03:00"},
		{"start of the overlap is the first", "Europe/Kyiv", "2026-10-25 03:00", "2026-10-25T03:00:00+03:00"},
		{"in the overlap is the first", "Europe/Kyiv", "2026-10-25 03:30", "2026-10-25T03:30:00+03:00"},
		{"end of the overlap", "Europe/Kyiv", "2026-10-25 04:00", "2026-10-25T04:00:00+02:00"},
		{"a zone by its former name", "Europe/Kiev", "2026-07-15 09:30", "2026-07-15T09:30:00+03:00"},
		{"Kyiv under Moscow's time", "Europe/Kyiv", "1985-01-15 09:30", "1985-01-15T09:30:00+03:00"},
		{"Kyiv leaves Moscow's time: first of two", "Europe/Kyiv", "1990-07-01 01:30", "1990-07-01T01:30:00+04:00"},

		{"offset of 45 minutes", "Asia/Kathmandu", "2026-05-01 12:00", "2026-05-01T12:00:00+05:45"},
		{"offset of half an hour", "Asia/Kolkata", "2026-05-01 12:00", "2026-05-01T12:00:00+05:30"},
		{"negative half hour", "America/St_Johns", "2026-01-10 12:00", "2026-01-10T12:00:00-03:30"},
		{"negative half hour, gap", "America/St_Johns", "2026-03-08 02:30", "2026-03-08T03:30:00-02:30"},
		{"12:45 with summer time, gap", "Pacific/Chatham", "2026-09-27 03:00", "2026-09-27T04:00:00+13:45"},
		{"furthest east", "Pacific/Kiritimati", "2026-05-01 00:00", "2026-05-01T00:00:00+14:00"},
		{"furthest west", "Pacific/Pago_Pago", "2026-05-01 23:59", "2026-05-01T23:59:00-11:00"},

		{"gap of half an hour", "Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-04T02:40:00+11:00"},
		{"after the gap of half an hour", "Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-04T02:30:00+11:00"},
		{"overlap of half an hour", "Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-05T01:45:00+11:00"},
		{"after the overlap of half an hour", "Australia/Lord_Howe", "2026-04-05 02:00", "2026-04-05T02:00:00+10:30"},

		{"no midnight in Sao Paulo", "America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04T01:00:00-02:00"},
		{"half past no midnight in Sao Paulo", "America/Sao_Paulo", "2018-11-04 00:30", "2018-11-04T01:30:00-02:00"},
		{"Sao Paulo gave up summer time", "America/Sao_Paulo", "2026-11-04 00:30", "2026-11-04T00:30:00-03:00"},
		{"two last hours of a day in Sao Paulo", "America/Sao_Paulo", "2018-02-17 23:30", "2018-02-17T23:30:00-02:00"},
		{"no midnight in Beirut", "Asia/Beirut", "2022-03-27 00:00", "2022-03-27T01:00:00+03:00"},
		{"two last hours of a day in Beirut", "Asia/Beirut", "2022-10-29 23:30", "2022-10-29T23:30:00+03:00"},
		{"no midnight in Cairo", "Africa/Cairo", "2026-04-24 00:15", "2026-04-24T01:15:00+03:00"},
		{"winter time below zero", "Europe/Dublin", "2026-03-29 01:30", "2026-03-29T02:30:00+01:00"},
		{"summer time pauses for Ramadan", "Africa/Casablanca", "2026-02-15 02:30", "2026-02-15T02:30:00+01:00"},
		{"a whole day was left out", "Pacific/Apia", "2011-12-30 12:00", "2011-12-31T12:00:00+14:00"},
		{"after the day that was left out", "Pacific/Apia", "2011-12-31 00:00", "2011-12-31T00:00:00+14:00"},
		{"a leap day", "Europe/Kyiv", "2028-02-29 23:59:59", "2028-02-29T23:59:59+02:00"},
		{"no summer time at all", "UTC", "2026-03-29 03:30", "2026-03-29T03:30:00Z"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Resolve(wall(t, row.wall).Wall, zone(t, row.zone))
			if !got.Equal(instant(t, row.want)) {
				t.Errorf("%s in %s is %s, want %s", row.wall, row.zone, got.Format(time.RFC3339), row.want)
			}
			if got.Location().String() != row.zone {
				t.Errorf("the instant is in %s", got.Location())
			}
		})
	}
}

// The label of the wall clock's reading must not matter: it has no zone.
func TestWallClockIgnoresItsLabel(t *testing.T) {
	kyiv := zone(t, "Europe/Kyiv")
	want := instant(t, "2026-07-15T09:30:00+03:00")
	for _, label := range []*time.Location{time.UTC, kyiv, time.FixedZone("", -39600)} {
		if got := Resolve(time.Date(2026, 7, 15, 9, 30, 0, 5, label), kyiv); !got.Equal(want) {
			t.Errorf("labelled %v: %v", label, got)
		}
	}
}

// Rule 2.8: a zone is what its rules are, whatever it is called.
func TestZonesAreComparedByTheirRules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"Europe/Kyiv", "Europe/Kyiv", true},
		{"Europe/Kyiv", "Europe/Kiev", true},
		{"Asia/Kolkata", "Asia/Calcutta", true},
		{"UTC", "Etc/GMT", true},
		{"Europe/Kyiv", "Europe/Warsaw", false},
		{"Europe/Kyiv", "Europe/Istanbul", false}, // the same until 2016
		{"Europe/Kyiv", "Etc/GMT-2", false},       // the same in winter
		{"Europe/Kyiv", "", false},
		{"UTC", "Local", false},
		{"Europe/Kyiv", "Nowhere/Land", false},
	} {
		if SameZone(row.a, row.b) != row.same || SameZone(row.b, row.a) != row.same {
			t.Errorf("%q and %q: want %v", row.a, row.b, row.same)
		}
	}
}

// Rule 2.8: another name for the zone is no drift, and hides none.
func TestAnotherNameForTheZoneIsNoDrift(t *testing.T) {
	t.Parallel()
	at := func(hour int, zone string) EventTime {
		return EventTime{Instant: time.Date(2026, 9, 1, hour, 0, 0, 0, time.UTC), Zone: zone}
	}
	for _, row := range []struct {
		name, remembered, now string
		end                   int
		drifted               bool
	}{
		{"as remembered", "Europe/Kyiv", "Europe/Kyiv", 10, false},
		{"the old name now", "Europe/Kyiv", "Europe/Kiev", 10, false},
		{"the new name now", "Europe/Kiev", "Europe/Kyiv", 10, false},
		{"another zone", "Europe/Kyiv", "Europe/Warsaw", 10, true},
		{"the old name and another end", "Europe/Kyiv", "Europe/Kiev", 11, true},
	} {
		was := Fields{Title: "Repair", Start: at(9, row.remembered), End: at(10, row.remembered)}
		now := Fields{Title: "Repair", Start: at(9, row.now), End: at(row.end, row.now)}
		want := Event{Title: "Repair", Start: at(9, "Europe/Kyiv"), End: at(10, "Europe/Kyiv")}
		actual := Actual{Presence: Live, Sent: want.Hash(), Returned: was.Hash(), Observed: &now}
		if actual.Drifted(want) != row.drifted {
			t.Errorf("%s: drifted %v", row.name, !row.drifted)
		}
	}
}
