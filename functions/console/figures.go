package console

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// figuresKept is how far back the pictures reach.
const figuresKept = 14 * 24 * time.Hour

// figuresView is two weeks in pictures, with the figures as tables beneath.
type figuresView struct {
	Delays, Changes, Calls chart
	Days, Hours            []figuresRow
	Day                    string // the day whose hours are shown
	Quota                  string
	Empty                  *empty
}

// figuresRow is a day or an hour in figures.
type figuresRow struct {
	When, Link           string
	Here                 bool
	Changes, All, Calls  string
	Median, Slow, Budget string
}

// chart is a picture in a plane of chartWidth by chartHeight.
type chart struct {
	Width, Height int
	Text          string // what it shows, for whoever does not see it
	Lines         []chartLine
	Bars          []chartBar
	Across, Up    []chartMark
}

// chartLine is a line through points, as an SVG path.
type chartLine struct{ Class, Path string }

// chartBar is one bar.
type chartBar struct{ X, Y, Width, Height string }

// chartMark is a line of the grid with its label.
type chartMark struct{ At, Text string }

// The picture's plane, and the margins for the labels in it.
const (
	chartWidth, chartHeight         = 960, 240
	chartLeft, chartTop, chartBelow = 56, 10, 26
)

// showFigures serves the pictures of the last two weeks.
func (h *handler) showFigures(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	days, err := h.Store.DaysSince(ctx, h.Now().UTC().Add(-figuresKept).Format(time.DateOnly))
	if err != nil {
		h.trouble(w, r, "read what was counted", err)
		return
	}
	c := h.locale(r, saved.Settings.TimeZone)
	h.show(w, r, http.StatusOK, view{Page: "figures", Menu: "overview", Title: c.T("figures.title"), Session: &s,
		Body: figuresOf(c, days, r.URL.Query().Get("day"), h.cfg.RequestsPerMinute*60)})
}

// figuresOf makes pictures and tables; quota is how many calls Google allows an hour.
func figuresOf(c locale, days []store.DayRecord, day string, quota int) figuresView {
	from := c.now.Add(-figuresKept).UTC().Truncate(time.Hour)
	hours := hoursOf(days, from, c.now)
	v := figuresView{Quota: c.T("figures.quota", "N", quota)}
	if len(hours) == 0 {
		v.Empty = &empty{Title: c.T("figures.none.title"), Text: c.T("figures.none.text")}
		return v
	}
	v.Delays = delayChart(c, from, hours)
	v.Changes = barChart(c, from, hours, c.T("figures.changes.text"), func(h hourOf) int64 { return h.Changes })
	v.Calls = barChart(c, from, hours, c.T("figures.calls.text"), func(h hourOf) int64 { return h.Calls })
	v.Days, v.Hours, v.Day = figureTables(c, hours, day, quota)
	return v
}

// hourOf is what one hour came to.
type hourOf struct {
	At time.Time
	store.HourTally
}

// hoursOf lists the hours between two times of which something is recorded, ascending.
func hoursOf(days []store.DayRecord, from, to time.Time) []hourOf {
	byDay := map[string]store.DayRecord{}
	for _, d := range days {
		byDay[d.Day] = d
	}
	var out []hourOf
	for at := from.UTC().Truncate(time.Hour); at.Before(to); at = at.Add(time.Hour) {
		if tally, found := byDay[at.Format(time.DateOnly)].Hours[at.Format("15")]; found {
			out = append(out, hourOf{at, tally})
		}
	}
	return out
}

// figureTables sums hours up by day, the latest first, and lists those of one day: the one
// asked for, or the latest.
func figureTables(c locale, hours []hourOf, day string, quota int) (days, ofDay []figuresRow, shown string) {
	sums, busiest := map[string]store.HourTally{}, map[string]int64{}
	var order []string
	for _, h := range hours {
		name := h.At.In(c.zone).Format(time.DateOnly)
		if _, known := sums[name]; !known {
			order = append(order, name)
		}
		sums[name] = sums[name].Add(h.HourTally)
		busiest[name] = max(busiest[name], h.Calls)
	}
	slices.Reverse(order)
	if !slices.Contains(order, day) {
		day = order[0]
	}
	for _, name := range order {
		row := figuresRowOf(c, c.date(name), sums[name], busiest[name], quota)
		row.Link, row.Here = "/figures?day="+name, name == day
		days = append(days, row)
	}
	for _, h := range hours {
		if at := h.At.In(c.zone); at.Format(time.DateOnly) == day {
			ofDay = append(ofDay, figuresRowOf(c, at.Format("15:04"), h.HourTally, h.Calls, quota))
		}
	}
	return days, ofDay, c.date(day)
}

func figuresRowOf(c locale, when string, t store.HourTally, busiest int64, quota int) figuresRow {
	row := figuresRow{When: when, Changes: c.Figure(int(t.Changes)), All: c.Figure(int(t.All)), Calls: c.Figure(int(t.Calls)), Median: "–", Slow: "–", Budget: "–"}
	if len(t.Delays) > 0 {
		row.Median, row.Slow = c.brief(t.Delay(0.5)), c.brief(t.Delay(0.95))
	}
	if quota > 0 {
		row.Budget = c.T("connections.percent", "N", int((100*busiest+int64(quota)-1)/int64(quota)))
	}
	return row
}

// date writes a date as the language does.
func (c locale) date(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format(c.day())
}

// brief is a duration to about a tenth.
func (c locale) brief(d time.Duration) string {
	if d < 10*time.Second {
		seconds := strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
		if c.Language != i18n.Default {
			seconds = strings.Replace(seconds, ".", ",", 1)
		}
		return c.T("figures.seconds", "S", seconds)
	}
	return c.age(d)
}

func newChart(c locale, from time.Time, text string) chart {
	p := chart{Width: chartWidth, Height: chartHeight, Text: text}
	form := "02.01"
	if c.Language == i18n.Default {
		form = "01-02"
	}
	for at := from.In(c.zone); at.Before(c.now); at = at.Add(time.Hour) {
		if at.Hour() == 0 && at.Day()%2 == 0 {
			p.Across = append(p.Across, chartMark{coordinate(acrossOf(from, at)), at.Format(form)})
		}
	}
	return p
}

// acrossOf is where a time lies across the plane.
func acrossOf(from, at time.Time) float64 {
	return chartLeft + (chartWidth-chartLeft)*float64(at.Sub(from))/float64(figuresKept+time.Hour)
}

// upOf is where a share (0 to 1) lies up the plane.
func upOf(share float64) float64 {
	return chartTop + (chartHeight-chartTop-chartBelow)*(1-min(max(share, 0), 1))
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// delayChart draws median and 95th percentile by hour, on a scale of powers.
func delayChart(c locale, from time.Time, hours []hourOf) chart {
	const least = 100 * time.Millisecond
	p := newChart(c, from, c.T("figures.delays.text"))
	most := 10 * time.Second
	for _, h := range hours {
		most = max(most, h.Delay(0.95))
	}
	share := func(d time.Duration) float64 {
		return math.Log(float64(max(d, least))/float64(least)) / math.Log(float64(most)/float64(least))
	}
	for _, d := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		if d <= most {
			p.Up = append(p.Up, chartMark{coordinate(upOf(share(d))), c.age(d)})
		}
	}
	for class, of := range map[string]float64{"median": 0.5, "slow": 0.95} {
		var path strings.Builder
		var last time.Time
		for _, h := range hours {
			if len(h.Delays) == 0 {
				continue
			}
			command := "L"
			if h.At.Sub(last) > time.Hour {
				command = "M" // hours without a change are a gap
			}
			x, y := acrossOf(from, h.At.Add(30*time.Minute)), upOf(share(h.Delay(of)))
			fmt.Fprintf(&path, "%s%.1f %.1f", command, x, y)
			if command == "M" {
				fmt.Fprintf(&path, "h.1") // an hour alone is a dot
			}
			last = h.At
		}
		p.Lines = append(p.Lines, chartLine{class, path.String()})
	}
	slices.SortFunc(p.Lines, func(a, b chartLine) int { return strings.Compare(b.Class, a.Class) })
	return p
}

// barChart draws a count by hour.
func barChart(c locale, from time.Time, hours []hourOf, text string, count func(hourOf) int64) chart {
	p := newChart(c, from, text)
	most := int64(4)
	for _, h := range hours {
		most = max(most, count(h))
	}
	for _, part := range []int64{1, 2, 4} {
		n := most * part / 4
		p.Up = append(p.Up, chartMark{coordinate(upOf(float64(n) / float64(most))), c.Figure(int(n))})
	}
	wide := (chartWidth - chartLeft) / (figuresKept.Hours() + 1)
	for _, h := range hours {
		if n := count(h); n > 0 {
			y := upOf(float64(n) / float64(most))
			p.Bars = append(p.Bars, chartBar{coordinate(acrossOf(from, h.At)), coordinate(y), coordinate(max(1, wide-0.6)), coordinate(upOf(0) - y)})
		}
	}
	return p
}
