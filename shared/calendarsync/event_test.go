package calendarsync_test

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

const tenant = "6f1d3a52-5a0c-4a0e-9d5b-0f6c3a1b2c3d"

// The task's own hours, else its type's, else the setting's (rule 9.1).
func TestDurationRule(t *testing.T) {
	for _, row := range []struct {
		name     string
		own      int64
		typ      TypeID
		usual    float64 // of typeConnect
		fallback int
		want     time.Duration
	}{
		{"own hours win", 3, typeConnect, 1.5, 60, 3 * time.Hour},
		{"else the type's", 0, typeConnect, 1.5, 60, 90 * time.Minute},
		{"a type's third of an hour is whole minutes", 0, typeConnect, 1.0 / 3, 60, 20 * time.Minute},
		{"a type's second is a minute", 0, typeConnect, 1.0 / 3600, 60, time.Minute},
		{"else the setting's", 0, typeRepair, 1.5, 45, 45 * time.Minute},
		{"an unknown type has no duration", 0, 99, 1.5, 45, 45 * time.Minute},
		{"negative hours are not set", -2, typeConnect, 1.5, 60, 90 * time.Minute},
		{"a type's negative hours are not set", 0, typeConnect, -1, 60, time.Hour},
		{"a type's endless hours are not set", 0, typeConnect, math.Inf(1), 60, time.Hour},
		{"a type's hours that are no number are not set", 0, typeConnect, math.NaN(), 60, time.Hour},
		{"own hours beyond belief are a year", math.MaxInt64, typeRepair, 1.5, 60, 366 * 24 * time.Hour},
		{"a type's hours beyond belief are a year", 0, typeConnect, 1e300, 60, 366 * 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := catalogue()
			c.Types[typeConnect] = TaskType{ID: typeConnect, HourOnDoing: row.usual}
			r, err := NewRules(settings(func(s *Settings) { s.DefaultDurationMinutes = row.fallback }), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			d := r.Decide(read(task(func(x *Task) { x.RuntimeHours, x.Type = row.own, row.typ })), recipient(), false)
			if got := d.Event.End.Instant.Sub(d.Event.Start.Instant); got != row.want {
				t.Errorf("lasts %v, want %v", got, row.want)
			}
		})
	}
}

// TestSpanOfTimedAndAllDayEvents shows rule 9.3.
func TestSpanOfTimedAndAllDayEvents(t *testing.T) {
	midnightDay := func(s *Settings) { s.MidnightIsAllDay = true }
	in := func(zone string) func(*Settings) { return func(s *Settings) { s.TimeZone = zone } }
	for _, row := range []struct {
		name     string
		settings func(*Settings)
		start    string
		hours    int64
		from, to string // dates are all-day, the end exclusive
	}{
		{"timed", nil, "2026-12-10 09:30", 2, "2026-12-10T09:30:00+02:00", "2026-12-10T11:30:00+02:00"},
		{"timed over midnight", nil, "2026-12-10 23:00", 2, "2026-12-10T23:00:00+02:00", "2026-12-11T01:00:00+02:00"},
		{"timed over several days", nil, "2026-12-10 09:30", 49, "2026-12-10T09:30:00+02:00", "2026-12-12T10:30:00+02:00"},
		{"hours are absolute where summer time begins", nil, "2026-03-29 02:30", 2, "2026-03-29T02:30:00+02:00", "2026-03-29T05:30:00+03:00"},
		{"hours are absolute where summer time ends", nil, "2026-10-25 02:30", 2, "2026-10-25T02:30:00+03:00", "2026-10-25T03:30:00+02:00"},
		{"start in the gap keeps its length", nil, "2026-03-29 03:30", 1, "2026-03-29T04:30:00+03:00", "2026-03-29T05:30:00+03:00"},
		{"start in the overlap is the first", nil, "2026-10-25 03:30", 1, "2026-10-25T03:30:00+03:00", "2026-10-25T03:30:00+02:00"},
		{"half-hour summer time", in("Australia/Lord_Howe"), "2026-10-04 01:45", 1, "2026-10-04T01:45:00+10:30", "2026-10-04T03:15:00+11:00"},
		{"midnight is a time", nil, "2026-12-10 00:00", 1, "2026-12-10T00:00:00+02:00", "2026-12-10T01:00:00+02:00"},
		{"midnight that there is not is a time", in("America/Sao_Paulo"), "2018-11-04 00:00", 1, "2018-11-04T01:00:00-02:00", "2018-11-04T02:00:00-02:00"},

		{"midnight is a day where set", midnightDay, "2026-12-10 00:00", 0, "2026-12-10", "2026-12-11"},
		{"a second past midnight is a time", midnightDay, "2026-12-10 00:00:01", 1, "2026-12-10T00:00:01+02:00", "2026-12-10T01:00:01+02:00"},
		{"noon is a time", midnightDay, "2026-12-10 12:00", 1, "2026-12-10T12:00:00+02:00", "2026-12-10T13:00:00+02:00"},
		{"midnight that there is not is a day where set", func(s *Settings) { s.MidnightIsAllDay, s.TimeZone = true, "Asia/Beirut" }, "2022-03-27 00:00", 0, "2022-03-27", "2022-03-28"},
		{"a date alone is a day whatever is set", nil, "2026-12-10", 0, "2026-12-10", "2026-12-11"},
		{"a date alone is a day where midnight is, too", midnightDay, "2026-12-10", 0, "2026-12-10", "2026-12-11"},
		{"a few hours are still one day", nil, "2026-12-10", 24, "2026-12-10", "2026-12-11"},
		{"more than a day are two", nil, "2026-12-10", 25, "2026-12-10", "2026-12-12"},
		{"three days", nil, "2026-12-10", 72, "2026-12-10", "2026-12-13"},
		{"a day of 23 hours", nil, "2026-03-29", 0, "2026-03-29", "2026-03-30"},
		{"a day of 25 hours", nil, "2026-10-25", 0, "2026-10-25", "2026-10-26"},
		{"days across a change of time", nil, "2026-10-24", 72, "2026-10-24", "2026-10-27"},
		{"over the end of a year", nil, "2026-12-31", 0, "2026-12-31", "2027-01-01"},
		{"a leap day", nil, "2028-02-28", 48, "2028-02-28", "2028-03-01"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := settings()
			if row.settings != nil {
				row.settings(&s)
			}
			ev := kept(t, s, task(func(x *Task) { x.Start, x.RuntimeHours = Say(wall(t, row.start)), row.hours }))
			show := func(e EventTime) string {
				if e.Date != "" {
					if !e.Instant.IsZero() || e.Zone != "" {
						t.Errorf("a date with a time: %+v", e)
					}
					return e.Date
				}
				if e.Zone != s.TimeZone {
					t.Errorf("zone %q, want %q", e.Zone, s.TimeZone)
				}
				return e.Instant.In(zone(t, s.TimeZone)).Format(time.RFC3339)
			}
			if from, to := show(ev.Start), show(ev.End); from != row.from || to != row.to {
				t.Errorf("from %s to %s, want %s to %s", from, to, row.from, row.to)
			}
		})
	}
}

// A date with an offset of its own is an instant; the zone only says what it is called.
func TestADateWithAnOffsetIsAnInstant(t *testing.T) {
	absolute := func(s string) LocalTime {
		at := wall(t, s)
		at.Absolute = true
		return at
	}
	midnight := settings(func(s *Settings) { s.MidnightIsAllDay = true })
	for _, row := range []struct {
		name          string
		start         LocalTime
		date, instant string
	}{
		{"winter", absolute("2026-12-10 07:30"), "", "2026-12-10T07:30:00Z"},
		{"summer", absolute("2026-07-10 07:30"), "", "2026-07-10T07:30:00Z"},
		{"the second of two readings", absolute("2026-10-25 01:30"), "", "2026-10-25T01:30:00Z"},
		{"the first of two readings", absolute("2026-10-25 00:30"), "", "2026-10-25T00:30:00Z"},
		{"midnight in Kyiv", absolute("2026-12-09 22:00"), "2026-12-10", ""},
		{"midnight in Greenwich", absolute("2026-12-10 00:00"), "", "2026-12-10T00:00:00Z"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := kept(t, midnight, task(func(x *Task) { x.Start = Say(row.start) })).Start
			if got.Date != row.date || row.instant != "" && !got.Instant.Equal(instant(t, row.instant)) {
				t.Errorf("starts %+v", got)
			}
		})
	}
}

func TestColorComesFromTheTasksType(t *testing.T) {
	s := settings(func(s *Settings) { s.Colors = map[string]int{"6": 11, "5": 3, "7": 0} })
	for typ, want := range map[TypeID]string{typeRepair: "11", typeConnect: "3", 7: "", 8: ""} {
		if ev := kept(t, s, task(func(x *Task) { x.Type = typ })); ev.Color != want {
			t.Errorf("type %d has colour %q, want %q", typ, ev.Color, want)
		}
	}
	if ev := kept(t, settings(func(s *Settings) { s.Colors = nil }), task()); ev.Color != "" {
		t.Errorf("colour %q without any setting", ev.Color)
	}
}

// The vectors were made with coreutils and openssl:
// printf '%s' '<tenant>/123/42/0' | sha256sum. A changed id would double every event.
func TestEventIDIsStable(t *testing.T) {
	if got := EventID(tenant, 123, 42, 0); got != "e3bc18e4eaa404b06206b3c46e6eb174c25e42e6c" {
		t.Errorf("generation 0: %s", got)
	}
	if got := EventID(tenant, 123, 42, 1); got != "ec781842de69c51ad92549705895fbb754ff1313b" {
		t.Errorf("generation 1: %s", got)
	}
}

func TestEventIDsDifferByEveryPart(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-v]{5,}$`) // Google's, with at most 1,024
	seen := map[string][]any{}
	for _, tn := range []string{tenant, "another"} {
		for _, task := range []TaskID{1, 11, 111, math.MaxInt64} {
			for _, employee := range []EmployeeID{1, 11, 111} {
				for _, generation := range []int{0, 1, 11} {
					id := EventID(tn, task, employee, generation)
					if !form.MatchString(id) || len(id) > 1024 {
						t.Errorf("Google takes no id %q", id)
					}
					if other, taken := seen[id]; taken {
						t.Errorf("%s/%d/%d/%d has the id of %v", tn, task, employee, generation, other)
					}
					seen[id] = []any{tn, task, employee, generation}
				}
			}
		}
	}
}

func TestMarkFitsGooglesProperties(t *testing.T) {
	m := Mark{Tenant: tenant, Task: math.MaxInt64, Employee: math.MaxInt64, Generation: math.MaxInt32, Hash: Event{Title: "x"}.Hash()}
	p := m.Properties()
	for _, key := range []string{"erpTenant", "erpTask", "erpEmployee", "erpGeneration", "erpHash"} {
		if p[key] == "" || len(key) > 44 || len(p[key]) > 1024 {
			t.Errorf("property %s is %q", key, p[key])
		}
	}
	if len(p) != 5 {
		t.Errorf("properties %v", p)
	}
}

// rule 3.2: owned means the mark is there and the id is the hash of what
// it says; another id is a copy.
func TestOnlyAnEventWithItsOwnIDIsOwned(t *testing.T) {
	m := Mark{Tenant: tenant, Task: 123, Employee: 42, Generation: 1, Hash: "h"}
	if !m.Owns(EventID(tenant, 123, 42, 1)) {
		t.Error("an event of ours is not owned")
	}
	for name, id := range map[string]string{
		"a copy":             "0qk3h1v9copy",
		"another generation": EventID(tenant, 123, 42, 0),
		"another task":       EventID(tenant, 124, 42, 1),
		"another employee":   EventID(tenant, 123, 43, 1),
		"another tenant":     EventID("another", 123, 42, 1),
		"no id":              "",
	} {
		if m.Owns(id) {
			t.Errorf("%s is owned", name)
		}
	}
}

func TestMarkThatIsNotWholeIsNone(t *testing.T) {
	whole := Mark{Tenant: tenant, Task: 123, Employee: 42, Generation: 0, Hash: "h"}
	for _, row := range []struct {
		name, key, value string
		ok               bool
	}{
		{"whole", MarkHash, "h", true},
		{"without a hash", MarkHash, "", true},
		{"no tenant", MarkTenant, "", false},
		{"no task", MarkTask, "", false},
		{"task zero", MarkTask, "0", false},
		{"a negative task", MarkTask, "-1", false},
		{"a task that is no number", MarkTask, "12x", false},
		{"a task beyond all numbers", MarkTask, "9223372036854775808", false},
		{"no employee", MarkEmployee, "", false},
		{"employee zero", MarkEmployee, "0", false},
		{"no generation", MarkGeneration, "", false},
		{"a negative generation", MarkGeneration, "-1", false},
		{"a generation that is no number", MarkGeneration, "one", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := whole.Properties()
			p[row.key] = row.value
			got, ok := ReadMark(p)
			if ok != row.ok || (!ok && got != Mark{}) {
				t.Errorf("read %+v, %v", got, ok)
			}
		})
	}
	if _, ok := ReadMark(nil); ok {
		t.Error("a foreign event has a mark")
	}
}

// Equal instants are equal content however they are labelled, so that reading
// back never causes an endless repair (rule 2.3).
func TestHashIgnoresHowAnInstantIsLabelled(t *testing.T) {
	at := time.Date(2026, 12, 10, 7, 30, 0, 0, time.UTC)
	kyiv := at.In(zone(t, "Europe/Kyiv"))
	a := Event{Title: "x", Start: EventTime{Instant: at, Zone: "Europe/Kyiv"}, End: EventTime{Instant: at.Add(time.Hour), Zone: "Europe/Kyiv"}}
	b := a
	b.Start.Instant, b.End.Instant = kyiv, kyiv.Add(time.Hour)
	if a.Hash() != b.Hash() {
		t.Error("content hash depends on the label")
	}
	if (Fields{Start: a.Start, End: a.End}).Hash() != (Fields{Start: b.Start, End: b.End, Recurrence: []string{}}).Hash() {
		t.Error("fields' hash depends on the label or on an empty list")
	}
	if b.Start.Instant != kyiv {
		t.Error("hashing changed the event")
	}
}

// Stored hashes must survive a new release: another value here rewrites every
// event of every calendar once. The vector is sha256sum of the JSON named.
func TestHashesAreStable(t *testing.T) {
	at := time.Date(2026, 12, 10, 7, 30, 0, 0, time.UTC)
	ev := Event{Title: "Repair", Location: "Main St 1", Description: "d", Color: "3",
		Start: EventTime{Instant: at, Zone: "Europe/Kyiv"}, End: EventTime{Instant: at.Add(time.Hour), Zone: "Europe/Kyiv"}}
	// printf '%s' '{"title":"Repair","location":"Main St 1","description":"d","color":"3","start":{"instant":"2026-12-10T07:30:00Z","zone":"Europe/Kyiv"},"end":{"instant":"2026-12-10T08:30:00Z","zone":"Europe/Kyiv"}}' | sha256sum | cut -c1-32
	if got := ev.Hash(); got != "49070c3af010b437075b1e94c3d9b6ef" {
		t.Errorf("timed: %s", got)
	}
	f := Fields{Title: "Repair", Start: EventTime{Date: "2026-12-10"}, End: EventTime{Date: "2026-12-11"}, Visibility: "default"}
	// Of each field: printf '%s' '"Repair"' | sha256sum | cut -c1-8
	if got := f.Hash(); got != "b2d092f7"+"12ae32cb"+"12ae32cb"+"12ae32cb"+"1c6dbd5c"+"f707d595"+"1080a608"+"12ae32cb"+"74234e98"+"5feceb66" {
		t.Errorf("all-day: %s", got)
	}
	if strings.Contains(ev.Hash(), "Repair") || len(ev.Hash()) != 32 {
		t.Errorf("hash %q", ev.Hash())
	}
}
