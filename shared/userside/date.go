package userside

import (
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// wallLayout is how the ERP is told a date.
const wallLayout = "2006-01-02 15:04:05"

// dateForms are the spellings of shared/userside/README.md.
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

// parseDate reads a date of the ERP's wall clock. "", "-" and MySQL's zero dates
// are no date (the zero LocalTime, ok). Fractions of a second are dropped.
func parseDate(s string) (calendarsync.LocalTime, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "-") == "" || zeroDate(s) {
		return calendarsync.LocalTime{}, true
	}
	for _, f := range dateForms {
		t, err := time.Parse(f.layout, s)
		if err != nil {
			continue
		}
		// No ERP has such years. One of them is the zero time, which means "no date" to the
		// domain and must not come from anything else.
		if t.Year() < 1900 {
			return calendarsync.LocalTime{}, false
		}
		return calendarsync.LocalTime{Wall: t.Truncate(time.Second), DateOnly: f.dateOnly}, true
	}
	return calendarsync.LocalTime{}, false
}

// zeroDate reports whether a text is what MySQL writes for no date: 0000-00-00 with or
// without a time, or the same with the day first.
func zeroDate(s string) bool {
	return strings.HasPrefix(s, "0000-00-00") && strings.Trim(s[len("0000-00-00"):], "0:. ") == "" ||
		strings.HasPrefix(s, "00.00.0000") && strings.Trim(s[len("00.00.0000"):], "0:. ") == ""
}

// dateParameter is a date as get_list's filters take it.
func dateParameter(l calendarsync.LocalTime) string { return l.Wall.Format(wallLayout) }
