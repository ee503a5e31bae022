package console

import (
	"cmp"
	"maps"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// runRow is a full run as the page shows it.
type runRow struct {
	Cause     string
	Started   stamp
	Level     string // "good" for one that ended and failed for nobody
	Progress  string // "120 of 1000", or how long it took
	Remaining string // how long it still takes, while that can be estimated
	Text      string // what asked for it, when it began, what it wrote
	Repaired  string // how much it wrote
	Failed    string
	// Drift lists the differences at Google, one line a kind, the most frequent first.
	Drift []string
}

func runRows(c locale, runs []store.RunRecord) []runRow {
	var out []runRow
	for _, r := range runs {
		row := runRow{Cause: causeWords(c, r.Cause), Started: c.stamp(r.Started),
			Repaired: c.N("run.writes", int(r.Repaired)),
			Text:     c.T("run.started", "Cause", causeWords(c, r.Cause), "At", c.moment(r.Started), "Writes", c.N("run.writes", int(r.Repaired)))}
		switch {
		case r.Superseded != "":
			row.Progress = c.T("run.superseded", "Done", int(r.Done), "Total", int(r.Total))
		case r.Ended.IsZero():
			row.Progress = c.T("run.under-way", "Done", int(r.Done), "Total", int(r.Total))
			if d := r.Remaining(c.now); d > 0 {
				row.Remaining = c.T("overview.remaining", "Time", c.age(d))
			}
		default:
			row.Progress = c.T("run.done", "Employees", c.N("count.employees", int(r.Total)), "Time", c.age(r.Ended.Sub(r.Started)))
			if r.Failed == 0 {
				row.Level = "good"
			}
		}
		if r.Failed > 0 {
			row.Failed = c.N("run.failed", int(r.Failed))
		}
		row.Drift = driftLines(c, r)
		out = append(out, row)
	}
	return out
}

func driftLines(c locale, r store.RunRecord) []string {
	byCount := func(m map[string]int64) []string {
		return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
			return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
		})
	}
	var out []string
	for _, kind := range byCount(r.Drift) {
		out = append(out, c.T("run.count", "What", c.T("drift."+kind), "N", int(r.Drift[kind])))
	}
	for _, field := range byCount(r.Fields) {
		out = append(out, c.T("run.count", "What", c.T("field."+field+"-changed"), "N", int(r.Fields[field])))
	}
	return out
}
