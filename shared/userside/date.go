package userside

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// wallLayout is how the ERP is told a date.
const wallLayout = "2006-01-02 15:04:05"

// dateForms are the spellings of shared/userside/README.md, without an offset. Go reads
// fractions of a second though no form has them.
var dateForms = []struct {
	layout   string
	dateOnly bool
}{
	{wallLayout, false},
	{"2006-01-02 15:04", false},
	{"02.01.2006 15:04:05", false},
	{"02.01.2006 15:04", false},
	{"02.01.2006", true},
	{"2006-01-02", true},
}

var (
	// dateAndTime is a date, T or spaces or a comma, and a time of day.
	dateAndTime = regexp.MustCompile(`^([0-9.-]{10,11})(?:T|, *| +)([0-9:.]+)$`)
	// offsetForm is an offset from UTC at the end of a time of day.
	offsetForm = regexp.MustCompile(`^(.*:[0-9.]+) ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)$`)
	// zeroDate is what MySQL writes for no date, and what PHP makes of that: the day before
	// the year 0 began. Whatever the time of day is, it is a zone's oldest offset.
	zeroDate = regexp.MustCompile(`^(0000-00-00|00\.00\.0000|-0001-11-30|30\.11\.-0001)($|[T, ][0-9T:., ]*(Z| ?[+-][0-9:]+)?$)`)
	// endOfDay is midnight as the day's last moment.
	endOfDay = regexp.MustCompile(`^24:00(:00(\.0*)?)?$`)
)

// parseDate reads a date of the ERP. "", "-" and zero dates are no date (the zero
// LocalTime, ok). Fractions of a second are dropped.
func parseDate(s string) (calendarsync.LocalTime, bool) {
	s = strings.Join(strings.Fields(calendarsync.Visible(s)), " ")
	if s == "" || strings.Trim(s, "-") == "" || zeroDate.MatchString(s) {
		return calendarsync.LocalTime{}, true
	}
	var offset time.Duration
	absolute := false
	if m := offsetForm.FindStringSubmatch(s); m != nil {
		var ok bool
		if offset, ok = parseOffset(m[2]); !ok {
			return calendarsync.LocalTime{}, false
		}
		s, absolute = m[1], true
	}
	at, ok := parseReading(s)
	if ok && absolute {
		at.Wall, at.Absolute = at.Wall.Add(-offset), true
	}
	// No ERP has other years. One of them is the zero time, which means "no date" to the
	// domain and must not come from anything else.
	if y := at.Wall.Year(); !ok || y < 1900 || y > 9999 {
		return calendarsync.LocalTime{}, false
	}
	return at, true
}

// parseClock reads what stands on the ERP's own clock, whatever offset it adds.
func parseClock(s string) (calendarsync.LocalTime, bool) {
	at, ok := parseDate(s)
	if m := offsetForm.FindStringSubmatch(strings.Join(strings.Fields(s), " ")); at.Absolute && m != nil {
		return parseReading(m[1])
	}
	return at, ok
}

// parseReading reads a date without an offset.
func parseReading(s string) (calendarsync.LocalTime, bool) {
	days := 0
	if m := dateAndTime.FindStringSubmatch(s); m != nil {
		if endOfDay.MatchString(m[2]) {
			m[2], days = "00:00", 1
		}
		s = m[1] + " " + m[2]
	}
	for _, f := range dateForms {
		t, err := time.Parse(f.layout, s)
		if err != nil {
			continue
		}
		return calendarsync.LocalTime{Wall: t.Truncate(time.Second).AddDate(0, 0, days), DateOnly: f.dateOnly}, true
	}
	return calendarsync.LocalTime{}, false
}

// parseOffset reads Z, +02, +0200 and +02:00.
func parseOffset(s string) (time.Duration, bool) {
	if s == "Z" {
		return 0, true
	}
	digits := strings.ReplaceAll(s[1:], ":", "") + "00"
	hours, err1 := strconv.Atoi(digits[:2])
	minutes, err2 := strconv.Atoi(digits[2:4])
	if err1 != nil || err2 != nil || hours > 15 || minutes > 59 {
		return 0, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// dateParameter is a date as get_list's filters take it.
func dateParameter(l calendarsync.LocalTime) string { return l.Wall.Format(wallLayout) }
