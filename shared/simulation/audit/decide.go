package audit

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// verdict is what ought to become of something, judged from one reading.
type verdict int

const (
	// due: it ought to be there.
	due verdict = iota + 1
	// over: something explicit says that it ought not (rule 4.1).
	over
	// closed: over, because of its state's role.
	closed
	// unsure: nothing explicit either way.
	unsure
)

// verdicts is the set of the ways in which one reading can be judged.
type verdicts int

func setOf(v verdict) verdicts { return 1 << v }

func (all verdicts) has(v verdict) bool { return all&setOf(v) != 0 }

// against reports whether a reading may have been the first of two that prove an
// absence. One that is explicit by the stand-in's state counts, too: in the ERP's
// spelling it may merely have lacked something.
func (all verdicts) against() bool { return all&^setOf(due) != 0 }

// judgeTask judges one task for one employee's calendar.
func judgeTask(s settingsVersion, roles map[int64]int64, v taskView, employee int64, memberOf []int64, from time.Time) verdict {
	if v.absent || !v.state.ok {
		return unsure
	}
	role, known := roles[v.state.v]
	if !known {
		return unsure
	}
	if !slices.Contains(s.ShownRoles, calendarsync.RoleID(role)) {
		// A catalogue that lacks a shown role is not trusted.
		for _, shown := range s.ShownRoles {
			if !slices.Contains(valuesOf(roles), int64(shown)) {
				return unsure
			}
		}
		return closed
	}
	if !v.wall.ok {
		return unsure
	}
	if v.wall.v == "" {
		return over
	}
	has := slices.Contains(v.executors.v, employee) ||
		s.IncludeDepartments && slices.ContainsFunc(v.divisions.v, func(d int64) bool { return slices.Contains(memberOf, d) })
	switch {
	case !has && v.executors.ok:
		return over
	case !has:
		return unsure
	}
	if v.task == nil {
		v.task = &fakeerp.Task{TodoWall: v.wall.v}
	}
	t := timesOf(s, *v.task, 0)
	begins := t.start
	if t.allDay {
		// An all-day event counts until its last day is over (rule 3.5).
		begins = t.end.Add(-time.Nanosecond)
	}
	if begins.Before(from) {
		return over
	}
	return due
}

func valuesOf(m map[int64]int64) []int64 {
	out := make([]int64, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// judgePerson judges whether an employee ought to have a calendar.
func judgePerson(s settingsVersion, v personView) verdict {
	switch {
	case v.absent, !v.working.ok:
		return unsure
	case !v.working.v:
		return over
	}
	if s.BindingField != 0 {
		value, there := v.fields.v[int64(s.BindingField)]
		if !there {
			return unsure
		}
		if off(value) {
			return over
		}
	}
	switch {
	case !v.email.ok:
		return unsure
	case visible(v.email.v) == "":
		return over
	case !mailable(v.email.v):
		return unsure
	}
	return due
}

// off reports whether a checkbox field says that it is not ticked (rule 4.1).
func off(value string) bool {
	switch strings.ToLower(visible(value)) {
	case "", "0", "0.0", "false", "no", "n", "off", "ні", "нет":
		return true
	}
	return false
}

// visible is a text without what nobody sees (rule 5.1).
func visible(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s))
}

var addressForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\\.)+[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$")

// mailable reports whether a text is one plain address (RFC 5321's lengths).
func mailable(s string) bool {
	s = visible(s)
	return len(s) <= 254 && strings.IndexByte(s, '@') <= 64 && addressForm.MatchString(s)
}

func sameAddress(a, b string) bool {
	return strings.EqualFold(oneSpelling(a), oneSpelling(b))
}

// oneSpelling is an address as Gmail knows it, to whom dots are nothing (G8).
func oneSpelling(address string) string {
	address = strings.ToLower(visible(address))
	if local, domain, ok := strings.Cut(address, "@"); ok && (domain == "gmail.com" || domain == "googlemail.com") {
		return strings.ReplaceAll(local, ".", "") + "@gmail.com"
	}
	return address
}

// divisionsOf are the divisions an employee belongs to now (rule 5.4).
func divisionsOf(e *fakeerp.Employee) []int64 {
	var out []int64
	if e != nil {
		for _, m := range e.Memberships {
			if m.Current {
				out = append(out, m.DivisionID)
			}
		}
	}
	return out
}

// times are when an event ought to be.
type times struct {
	allDay     bool
	start, end time.Time
}

// timesOf computes them (rules 9.1 and 9.3). typeHours is the type's usual duration.
func timesOf(s settingsVersion, t fakeerp.Task, typeHours int64) times {
	wall, err := time.Parse(fakeerp.WallLayout, t.TodoWall)
	zone := s.zone
	if err != nil || zone == nil {
		return times{}
	}
	const year = 366 * 24 // hours; longer durations are cut
	if s.MidnightIsAllDay && wall.Format(time.TimeOnly) == "00:00:00" {
		days := 1
		if t.RuntimeHours > 24 {
			days = int((min(t.RuntimeHours, year) + 23) / 24)
		}
		return times{true, instant(wall, zone), instant(wall.AddDate(0, 0, days), zone)}
	}
	length := time.Duration(s.DefaultDurationMinutes) * time.Minute
	if typeHours > 0 {
		length = time.Duration(min(typeHours, year)) * time.Hour
	}
	if t.RuntimeHours > 0 {
		length = time.Duration(min(t.RuntimeHours, year)) * time.Hour
	}
	start := instant(wall, zone)
	return times{false, start, start.Add(length)}
}

// instant is when a zone's clocks show a wall time: the first time, if twice; as
// much later as the clocks jump, if never.
func instant(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	shown := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	want := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, time.UTC)
	if shown.Before(want) {
		// In a gap Go goes back by the jump, where the rule goes forward.
		return t.Add(want.Sub(shown))
	}
	if shown.After(want) {
		return t
	}
	if began, _ := t.ZoneBounds(); !began.IsZero() {
		_, now := t.Zone()
		_, before := began.Add(-time.Second).Zone()
		back := time.Duration(before-now) * time.Second
		if back > 0 && t.Sub(began) < back {
			return t.Add(-back)
		}
	}
	return t
}
