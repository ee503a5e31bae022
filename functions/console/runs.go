package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendars"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/events"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// mostRuns is how many full runs the page shows.
const mostRuns = 5

// runRow is a full run as the page shows it.
type runRow struct {
	Cause     string
	Started   stamp
	Progress  string // "120 of 1000", or how long it took
	Remaining string // how long it still takes, while that can be estimated
	Level     string // "good" for one that ended and failed for nobody
	Repaired  string
	Failed    string
	// Drift lists the differences at Google, one line a kind, the most frequent first.
	Drift []string
}

func runRows(c locale, runs []store.RunRecord) []runRow {
	var out []runRow
	for _, r := range runs {
		row := runRow{Cause: causeWords(c, r.Cause), Started: c.stamp(r.Started), Repaired: plural(int(r.Repaired), "write", "writes")}
		switch {
		case r.Superseded != "":
			row.Progress = fmt.Sprintf("%d of %d, then left to the next check", r.Done, r.Total)
		case r.Ended.IsZero():
			row.Progress = fmt.Sprintf("%d of %d, under way", r.Done, r.Total)
			if d := r.Remaining(c.now); d > 0 {
				row.Remaining = "about " + c.age(d) + " left"
			}
		default:
			row.Progress = fmt.Sprintf("%s in %s", c.N("count.employees", int(r.Total)), c.age(r.Ended.Sub(r.Started)))
			if r.Failed == 0 {
				row.Level = "good"
			}
		}
		if r.Failed > 0 {
			row.Failed = c.N("count.employees", int(r.Failed)) + " could not be checked; tried again by itself"
		}
		row.Drift = driftLines(r)
		out = append(out, row)
	}
	return out
}

func driftLines(r store.RunRecord) []string {
	byCount := func(m map[string]int64) []string {
		return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
			return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
		})
	}
	var out []string
	for _, kind := range byCount(r.Drift) {
		out = append(out, fmt.Sprintf("%s: %d", driftWords(kind), r.Drift[kind]))
	}
	for _, field := range byCount(r.Fields) {
		out = append(out, fmt.Sprintf("field %s changed: %d", fieldWords(field), r.Fields[field]))
	}
	return out
}

// driftWords puts a kind of drift into words.
func driftWords(kind string) string {
	return cmp.Or(map[string]string{
		events.DriftEdited: "events edited", events.DriftMoved: "events moved", events.DriftDeleted: "events deleted",
		events.DriftMisplaced: "events in another's calendar",
		events.DriftCopied:    "copies of events, left alone", events.DriftDoubled: "events twice", events.DriftRestored: "deleted events restored",
		calendars.DriftShareMissing: "shares removed", calendars.DriftShareWidened: "shares widened",
		calendars.DriftShareForeign: "shares with others, left alone",
		calendars.DriftCalendarZone: "calendars in another zone", calendars.DriftCalendarUnmarked: "calendars without their mark",
		calendars.DriftCalendarRenamed: "calendars renamed", calendars.DriftCalendarDeleted: "calendars not found",
		calendars.DriftCalendarEmptied: "calendars emptied", calendars.DriftCalendarExtra: "further calendars of one employee",
	}[kind], kind)
}

func fieldWords(field string) string {
	return cmp.Or(map[string]string{
		calendarsync.FieldStart: "start", calendarsync.FieldEnd: "end", calendarsync.FieldColor: "colour",
	}[field], field)
}
