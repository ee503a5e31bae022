package console

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// activityRead is how many records are read at a time, and activityLooks how often a page
	// does so at most before it offers to look further back.
	activityRead, activityLooks = 200, 10
	// mostRunsShown is how many full runs of 30 days are listed: one a night, and those asked for.
	mostRunsShown = 200
	// mostExported is how many rows a CSV has at most.
	mostExported = 20000
	// mostNamed is how many employees a page names at once.
	mostNamed = 2 * pageRows
)

// activityFilter is what of the activity is shown.
type activityFilter struct {
	kind  string // "events", "calendars", "admin" or "runs"; "" is all
	query string // a task's or an employee's number, or a part of an employee's name
	id    int64  // query as a number; 0 if it is none
	named map[int64]bool
}

// cursor is where a list of activity goes on: behind a record.
type cursor struct {
	at time.Time
	id string
}

func (c cursor) String() string { return c.at.UTC().Format(time.RFC3339Nano) + "~" + c.id }

// parseCursor reads one; what is none begins with the latest.
func parseCursor(s string, now time.Time) cursor {
	at, id, _ := strings.Cut(s, "~")
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		return cursor{t, id}
	}
	return cursor{at: now.Add(time.Minute)} // of a database whose clock is a little ahead
}

// kinds are the values of activityFilter.kind, in the order of the page.
func kinds() []string { return []string{"", "events", "calendars", "admin", "runs"} }

// shows reports whether a record passes the filter.
func (f activityFilter) shows(a store.ActivityRecord) bool {
	subject, _, _ := strings.Cut(a.Action, ".")
	switch f.kind {
	case "events":
		if subject != "event" {
			return false
		}
	case "calendars":
		if subject != "calendar" && subject != "rule" {
			return false
		}
	case "admin":
		if a.By == "" {
			return false
		}
	case "runs":
		return false
	}
	switch {
	case f.query == "":
		return true
	case f.id != 0:
		return a.Task == f.id || a.Employee == f.id
	default:
		return f.named[a.Employee]
	}
}

// activityLine is a write, an action of an admin, or a full run.
type activityLine struct {
	At             stamp
	What, By       string // who or what caused it
	Result, Level  string
	Task, Employee int64
	Name           string
	Before, After  string
	Why            string // why something was deleted
	Run            *runRow
}

type activityView struct {
	Kinds []option
	Query string
	Rows  []activityLine
	Pager pager
	CSV   string
	Empty empty
}

// showActivity serves what was done in the last 30 days.
func (h *handler) showActivity(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	c, _, ok := h.settled(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	f, err := h.activityFilter(ctx, q)
	if err != nil {
		h.trouble(w, r, "find employees by name", err)
		return
	}
	from := parseCursor(q.Get("before"), c.now)
	list := listing{path: "/activity", query: q}
	v := activityView{Query: f.query}
	if f.kind != "runs" { // they have no columns of their own
		v.CSV = listing{path: "/activity.csv", query: q}.link("before", "")
	}
	for _, k := range kinds() {
		v.Kinds = append(v.Kinds, option{Value: k, Label: c.T("activity.kind." + cmp.Or(k, "all")), Chosen: k == f.kind})
	}
	records, next, err := h.activity(ctx, f, from)
	if err != nil {
		h.trouble(w, r, "read the activity", err)
		return
	}
	runs, err := h.runsWithin(ctx, f, from, next)
	if err != nil {
		h.trouble(w, r, "read the full runs", err)
		return
	}
	var ids []int64
	for _, a := range records {
		ids = append(ids, a.Employee)
	}
	names, err := h.names(ctx, ids)
	if err != nil {
		h.trouble(w, r, "read the employees' names", err)
		return
	}
	v.Rows = activityLines(c, records, runs, names)
	if !next.at.IsZero() {
		v.Pager = pager{Text: c.T("activity.until", "At", c.stamp(next.at).Full), Next: list.link("before", next.String())}
	}
	if q.Get("before") != "" {
		v.Pager.Previous = list.link("before", "")
		v.Pager.Text = cmp.Or(v.Pager.Text, c.T("activity.end"))
	}
	v.Empty = empty{Title: c.T("activity.empty.title"), Text: c.T("activity.empty.text")}
	h.show(w, r, http.StatusOK, view{Page: "activity", Title: c.T("frame.activity"), Session: &s, Body: v})
}

// settled gives what pages of records need of the settings: the reader's locale and links to
// the ERP's tasks. ok is false where the page of a fault was served.
func (h *handler) settled(w http.ResponseWriter, r *http.Request) (c locale, link func(int64) string, ok bool) {
	saved, ok := h.saved(w, r)
	if !ok {
		return locale{}, nil, false
	}
	return h.locale(r, saved.Settings.TimeZone), taskLink(saved.Settings.TaskURL), true
}

func (h *handler) activityFilter(ctx context.Context, q url.Values) (activityFilter, error) {
	f := activityFilter{kind: q.Get("kind"), query: strings.TrimSpace(q.Get("q"))}
	if !slices.Contains(kinds(), f.kind) {
		f.kind = ""
	}
	if f.query == "" {
		return f, nil
	}
	if id, err := strconv.ParseInt(f.query, 10, 64); err == nil && id > 0 {
		f.id = id
		return f, nil
	}
	employees, err := h.Store.Employees(ctx)
	if err != nil {
		return f, err
	}
	f.named = map[int64]bool{}
	for _, e := range employees {
		if strings.Contains(strings.ToLower(e.Name), strings.ToLower(f.query)) {
			f.named[e.ID] = true
		}
	}
	return f, nil
}

// activity reads a page of records. next is where the following page begins; zero at the end.
func (h *handler) activity(ctx context.Context, f activityFilter, from cursor) (found []store.ActivityRecord, next cursor, err error) {
	if f.kind == "runs" {
		return nil, cursor{}, nil
	}
	for range activityLooks {
		read, err := h.Store.ActivityBefore(ctx, from.at, from.id, activityRead)
		if err != nil {
			return nil, cursor{}, err
		}
		if len(read) == 0 {
			return found, cursor{}, nil
		}
		for _, a := range read {
			from = cursor{a.At, a.ID}
			if !f.shows(a) {
				continue
			}
			if found = append(found, a); len(found) == pageRows {
				return found, from, nil
			}
		}
	}
	return found, from, nil
}

// runsWithin are the full runs that began between two moments of a page, the latest first.
func (h *handler) runsWithin(ctx context.Context, f activityFilter, from, to cursor) ([]store.RunRecord, error) {
	if f.kind != "" && f.kind != "runs" || f.query != "" {
		return nil, nil
	}
	runs, err := h.Store.Runs(ctx, mostRunsShown)
	return slices.DeleteFunc(runs, func(r store.RunRecord) bool { return r.Started.After(from.at) || r.Started.Before(to.at) }), err
}

// names gives the names of employees.
func (h *handler) names(ctx context.Context, ids []int64) (map[int64]string, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := make([]string, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, id := range ids {
		if id == 0 || i >= mostNamed {
			continue
		}
		g.Go(func() error {
			e, _, err := h.Store.Employee(ctx, id)
			found[i] = e.Name
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for i, id := range ids {
		if found[i] != "" {
			names[id] = found[i]
		}
	}
	return names, nil
}

// activityLines puts records and runs into one list, the latest first.
func activityLines(c locale, records []store.ActivityRecord, runs []store.RunRecord, names map[int64]string) []activityLine {
	type dated struct {
		at   time.Time
		line activityLine
	}
	var all []dated
	for _, a := range records {
		all = append(all, dated{a.At, activityOf(c, a, names)})
	}
	for i, row := range runRows(c, runs) {
		all = append(all, dated{runs[i].Started, activityLine{At: row.Started, What: c.T("activity.run"), By: row.Cause, Run: &row, Level: row.Level}})
	}
	slices.SortStableFunc(all, func(a, b dated) int { return b.at.Compare(a.at) })
	out := make([]activityLine, len(all))
	for i, d := range all {
		out[i] = d.line
	}
	return out
}

func activityOf(c locale, a store.ActivityRecord, names map[int64]string) activityLine {
	row := activityLine{At: c.stamp(a.At), What: actionWords(c, a.Action), By: cmp.Or(a.By, causeWords(c, a.Cause)),
		Task: a.Task, Employee: a.Employee, Name: cmp.Or(names[a.Employee], "#"+strconv.FormatInt(a.Employee, 10))}
	if a.By != "" {
		row.Before, row.After = changeWords(c, a, a.Before), changeWords(c, a, a.After)
	}
	if a.Reason != "" {
		row.Why = taskCause(c.Texts, a.Reason).What
		if a.Task == 0 {
			row.Why = employeeCause(c.Texts, a.Reason).What
		}
	}
	switch a.Result {
	case "":
		row.Result = c.T("activity.under-way")
	case "done":
		row.Result, row.Level = c.T("activity.done"), "good"
	default:
		row.Result, row.Level = failureCause(c.Texts, &store.Failure{Kind: failure.Kind(a.Result)}).What, "warn"
	}
	return row
}

// changeWords puts what an admin's action changed, as it is recorded, into words.
func changeWords(c locale, a store.ActivityRecord, recorded string) string {
	var events, calendars int
	if n, _ := fmt.Sscanf(recorded, heldFigures, &events, &calendars); n == 2 {
		var out []string
		if events > 0 {
			out = append(out, c.N("count.events", events))
		}
		if calendars > 0 {
			out = append(out, c.N("count.calendars", calendars))
		}
		return strings.Join(out, ", ")
	}
	if version, err := strconv.Atoi(recorded); err == nil && strings.HasPrefix(a.Action, "admin.settings") {
		return c.T("activity.version", "N", int64(version))
	}
	return keyWords(c.Texts, recorded)
}

// exportActivity serves the same list as CSV, for a spreadsheet.
func (h *handler) exportActivity(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), 6*storeDeadline)
	defer cancel()
	f, err := h.activityFilter(ctx, r.URL.Query())
	if err != nil {
		h.trouble(w, r, "find employees by name", err)
		return
	}
	from := parseCursor("", h.Now())
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="activity.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write([]string{"at", "action", "task", "employee", "calendar", "event", "cause", "by", "reason", "before", "after", "result"})
	for rows := 0; rows < mostExported; {
		read, err := h.Store.ActivityBefore(ctx, from.at, from.id, activityRead)
		if err != nil {
			// Half a table must not look like a whole one.
			h.Log.ErrorContext(ctx, "read the activity for export", "error", err)
			_ = out.Write([]string{"", fmt.Sprintf("cut off after %d rows: the database did not answer", rows)})
			break
		}
		if len(read) == 0 {
			break
		}
		for _, a := range read {
			from = cursor{a.At, a.ID}
			if !f.shows(a) {
				continue
			}
			rows++
			_ = out.Write(cells(a.At.UTC().Format(time.RFC3339), a.Action, number(a.Task), number(a.Employee), a.Calendar, a.Event, a.Cause, a.By, a.Reason, a.Before, a.After, a.Result))
		}
	}
	out.Flush()
}

func number(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// cells makes a row that a spreadsheet reads as text: what begins like a formula would be run.
func cells(values ...string) []string {
	for i, v := range values {
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			values[i] = "'" + v
		}
	}
	return values
}
