package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// overviewView is what an admin needs in their five minutes a month: whether all is right,
// and if not, what to do first.
type overviewView struct {
	Level, Title string // of the whole
	Problems     []overviewProblem
	Checks       []check
	Tiles        []tile
	Purge        *purgeView
	Runs         []runRow
	// Mailed are the addresses that alerts go to; empty where that is not configured.
	Mailed []string
	Now    stamp
	Zone   string
}

// overviewProblem is one thing that is not as it ought to be: what, since when, what to do.
type overviewProblem struct {
	Kind, Level, Title, Text string
	Since                    stamp
	Link, LinkText           string
	Detail                   string // what the other side said, for whoever wants to know
}

// check is one thing that was looked at, and what came of it.
type check struct{ Level, Name, Text, State string }

// tile is a count that leads to what it counts.
type tile struct {
	Label, Value, Note, Level, Link string
}

// stamp is a moment as a page shows it.
type stamp struct{ Ago, Full, Machine string }

// notice is something that a page says above all else; Level is "bad", "warn" or "good".
type notice struct {
	Level, Title, Text, Link, LinkText string
}

// overview serves the first page.
func (h *handler) overview(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	st, err := h.status(ctx)
	if err != nil {
		h.trouble(w, r, "read the status", err)
		return
	}
	c := h.locale(r, st.Saved.Settings.TimeZone)
	names, err := h.sharing(ctx, c, st.Poll.SameAddress)
	if err != nil {
		h.trouble(w, r, "read who shares an address", err)
		return
	}
	h.show(w, r, http.StatusOK, view{Page: "overview", Title: c.T("overview.title"), Session: &s, Body: h.overviewOf(c, st, names)})
}

// taskLink gives the links that open tasks in the ERP; without an http address none.
func taskLink(form string) func(int64) string {
	return func(id int64) string {
		if !strings.HasPrefix(form, "https://") && !strings.HasPrefix(form, "http://") {
			return ""
		}
		return strings.ReplaceAll(form, "{id}", strconv.FormatInt(id, 10))
	}
}

// status reads how the installation is.
func (h *handler) status(ctx context.Context) (status.Status, error) {
	return status.Read(ctx, h.Store, h.Settings, h.cfg.IntegrationAccount, h.Now())
}

// overviewOf puts the status into words; sharing are the names of those who share an address.
func (h *handler) overviewOf(c locale, s status.Status, sharing string) overviewView {
	v := overviewView{Mailed: h.cfg.AlertEmails, Purge: purgeOf(c, s), Runs: runRows(c, s.Runs), Now: c.stamp(c.now), Zone: c.zone.String()}
	found := s.Problems()
	for _, p := range found {
		v.Problems = append(v.Problems, problemOf(c, p, s, sharing))
	}
	v.Level, v.Title = headline(c, found)
	v.Checks = checksOf(c, s, found)
	v.Tiles = tilesOf(c, s)
	return v
}

// mostSharing bounds whose names are read to be told.
const mostSharing = 6

// sharing names those who share an address with others, the first of them.
func (h *handler) sharing(ctx context.Context, c locale, shared []store.SharedAddress) (string, error) {
	var out []string
	read := 0
	for _, s := range shared {
		var names []string
		for _, id := range s.Employees {
			if read++; read > mostSharing {
				return strings.Join(append(out, "…"), "; "), nil
			}
			e, _, err := h.Store.Employee(ctx, id)
			if err != nil {
				return "", err
			}
			names = append(names, nameOf(c, e))
		}
		out = append(out, strings.Join(names, ", "))
	}
	return strings.Join(out, "; "), nil
}

func headline(c locale, found []status.Problem) (level, title string) {
	if len(found) == 0 {
		return "good", c.T("overview.good")
	}
	worst := found[0].Level
	n := 0
	for _, p := range found {
		if p.Level == worst {
			n++
		}
	}
	switch worst {
	case status.Bad:
		return "bad", c.N("overview.bad", n)
	case status.Warn:
		return "warn", c.N("overview.warn", n)
	}
	return "wait", c.T("overview.wait")
}

// countedKinds are those whose title says how many.
func countedKinds() []status.Kind {
	return []status.Kind{status.DeletionsHeld, status.GaveUp, status.EmployeesFailed, status.TasksFailed,
		status.Kept, status.SameAddress, status.Queue, status.ChangeLate, status.OutOfReach, status.CardsRefused}
}

func problemOf(c locale, p status.Problem, s status.Status, sharing string) overviewProblem {
	values := []any{"N", p.Count, "Account", s.Account.Email, "Expected", s.Expected, "Until", c.about(p.Until),
		"Remaining", c.age(p.Until.Sub(c.now)), "Age", c.age(c.now.Sub(p.Since)), "Names", sharing}
	kind := string(p.Kind)
	out := overviewProblem{Kind: kind, Level: string(p.Level), Since: c.stamp(p.Since), Detail: p.Detail, Link: problemLink(p.Kind)}
	switch p.Kind {
	case status.TakeoverNeeded:
		out.Title, out.Text, out.LinkText = foundTitle(c, s.Found), c.T("takeover.notice.text"), c.T("takeover.notice.link")
		if s.Found.There() > 0 && s.Found.Dead > 0 {
			out.Text += " " + c.N("takeover.dead", s.Found.Dead)
		}
		return out
	case status.TakingOver:
		out.Title, out.Text = c.T("flash.takeover.title"), c.T("flash.takeover.text")
		return out
	case status.Purging:
		out.Title, out.Text = c.T("problem.purging.title"), purgingText(c, s)
		return out
	}
	out.Title, out.Text = c.T("problem."+kind+".title", values...), c.T("problem."+kind+".text", values...)
	if slices.Contains(countedKinds(), p.Kind) {
		out.Title = c.N("problem."+kind+".title", p.Count, values...)
	}
	if p.Kind == status.ERPUnreadable {
		out.Detail = keyWords(c.Texts, p.Detail)
	}
	if p.Kind == status.AccountRefused || p.Kind == status.ServiceRefused {
		out.Text = cureOf(c, s.Account.Incident) + " " + out.Text
	}
	if out.Link != "" {
		page, filter, _ := strings.Cut(strings.Trim(out.Link, "/"), "?state=")
		out.LinkText = c.T("problem.link." + strings.TrimSuffix(page+"-"+filter, "-"))
	}
	return out
}

// foundTitle says how many calendars were found that no database remembers: of those that do not
// answer, or are not known to be the product's, that is not said.
func foundTitle(c locale, f store.FoundRecord) string {
	switch {
	case len(f.Calendars) > 0:
		return c.N("takeover.notice.title", len(f.Calendars))
	case len(f.Blank) > 0:
		return c.N("takeover.blank", len(f.Blank))
	}
	return c.N("takeover.rows", f.Dead)
}

// problemLink is the page on which an admin can do something about a problem.
func problemLink(k status.Kind) string {
	switch k {
	case status.TakeoverNeeded:
		return "/takeover"
	case status.SettingsIncomplete, status.Unconfirmed:
		return "/setup"
	case status.SettingsFaulty, status.Paused, status.ClockWrong, status.CardsRefused:
		return "/settings"
	case status.NotConnected, status.ConnectionLost, status.AccountRefused, status.ServiceRefused, status.GrantEnding, status.OtherAccount,
		status.Suspect, status.ERPKeyRefused, status.ERPUnread, status.ERPOdd, status.MarkUnreadable, status.NoNotifications:
		return "/connections"
	case status.DeletionsHeld:
		return "/held"
	case status.GaveUp:
		return failuresPath + "?state=" + stateGaveUp
	case status.TasksFailed:
		return failuresPath + "?state=" + stateTasks
	case status.ERPUnreadable:
		return failuresPath
	case status.EmployeesFailed:
		return counted(countsError)
	case status.OutOfReach:
		return counted(countsUnreachable)
	case status.Queue:
		return counted(countsQueued)
	case status.ChangeLate:
		return peoplePath + "?state=" + string(groupWaiting)
	}
	return ""
}

// cureOf says what to do about what keeps the account out.
func cureOf(c locale, in *store.IncidentRecord) string {
	if in == nil {
		return ""
	}
	return incidents.Cure(c.Texts, in.Refusal)
}

func purgingText(c locale, s status.Status) string {
	p := purgeOf(c, s)
	if p == nil {
		return ""
	}
	text := c.T("problem.purging.text", "Gone", p.Gone, "Of", c.N("count.calendars", p.Of), "By", s.Installation.Purge.By)
	if p.Remaining != "" {
		text += " " + c.T("overview.remaining", "Time", p.Remaining)
	}
	return text
}

// checksOf lists what "all is right" means, each with what was found.
func checksOf(c locale, s status.Status, found []status.Problem) []check {
	level := func(kinds ...status.Kind) string {
		for _, p := range found {
			if slices.Contains(kinds, p.Kind) {
				return string(p.Level)
			}
		}
		return "good"
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return c.T("overview.never")
		}
		return c.T("overview.ago", "Time", c.age(c.now.Sub(t)))
	}
	account := check{Level: level(status.NotConnected, status.ConnectionLost, status.AccountRefused, status.ServiceRefused, status.OutOfReach, status.MarkUnreadable, status.GrantEnding, status.OtherAccount, status.Suspect, status.GooglePause, status.CreationsPause, status.DailyLimit), Name: c.T("overview.account"), Text: cmp.Or(s.Account.Email, c.T("overview.none"))}
	erp := check{Level: level(status.ERPKeyRefused, status.ERPUnread, status.ERPOdd, status.ERPUnreadable, status.NotPolled), Name: c.T("overview.erp"), Text: ago(s.Poll.ReadAt)}
	if erp.Level == "good" && (s.Poll.Paused || stale(c, s.Poll.ReadAt)) {
		erp.Level = "wait"
	}
	clock := clockCheck(c, s.Poll, level(status.ClockWrong))
	poll := check{Level: level(status.PollOverdue, status.NotPolled), Name: c.T("overview.poll"), Text: ago(s.Poll.RanAt)}
	queue := check{Level: level(status.Queue, status.ChangeLate), Name: c.T("overview.queue"), Text: c.T("overview.none")}
	if n := len(s.Waiting); n > 0 {
		queue.Text = c.T("overview.until", "N", n, "At", c.about(s.Waiting[n-1].At))
	} else if since := s.Tally.OldestPending(); !since.IsZero() {
		queue.Text = c.T("overview.since", "Time", c.age(c.now.Sub(since)))
		if queue.Level == "good" && c.now.Sub(since) > status.LateChange {
			queue.Level = "wait" // it is no problem of its own while something else keeps everything waiting
		}
	}
	held := check{Level: level(status.DeletionsHeld), Name: c.T("overview.held"), Text: c.count(s.Tally.HeldEmployees + s.Tally.HeldTasks)}
	gaveUp := check{Level: level(status.GaveUp), Name: c.T("overview.gave-up"), Text: c.count(s.Tally.DeadLetters)}
	all := []check{account, erp, clock, poll, queue, held, gaveUp}
	for i := range all {
		all[i].State = c.T("overview.state." + all[i].Level)
	}
	return all
}

// clockCheck says how the ERP's clock was when Poll compared it last. What was right a while
// ago is not said to be right.
func clockCheck(c locale, o store.PollOutcome, level string) check {
	v := check{Level: level, Name: c.T("overview.clock"), Text: c.T("overview.agrees")}
	switch {
	case o.ClockAt.IsZero():
		v.Level, v.Text = "wait", c.T("overview.unchecked")
	case level != "good":
		v.Text = c.T("overview.apart", "Time", c.age(time.Duration(o.Apart)*time.Second))
	case o.Paused || stale(c, o.ClockAt):
		v.Level, v.Text = "wait", c.T("overview.agreed", "Time", c.age(c.now.Sub(o.ClockAt)))
	}
	return v
}

// stale reports whether what Poll looked at is no longer known.
func stale(c locale, at time.Time) bool { return c.now.Sub(at) > status.PollSilent }

// count is a number, or the word for none.
func (c locale) count(n int) string {
	if n == 0 {
		return c.T("overview.none")
	}
	return c.Figure(n)
}

func tilesOf(c locale, s status.Status) []tile {
	n := s.Tally.Employees
	level := func(n int, level string) string {
		if n == 0 {
			return ""
		}
		return level
	}
	waiting, held := n[store.StatePending]+n[store.StateDeleting], s.Tally.HeldEmployees+s.Tally.HeldTasks
	return []tile{
		{Label: c.T("overview.tile.active"), Value: c.Figure(n[store.StateActive]), Link: counted(countsActive)},
		{Label: c.T("overview.tile.waiting"), Value: c.Figure(waiting), Link: counted(countsMoving)},
		{Label: c.T("overview.tile.attention"), Value: c.Figure(n[store.StateError]), Level: level(n[store.StateError], "bad"), Link: counted(countsError)},
		{Label: c.T("overview.tile.without"), Value: c.Figure(n[store.StateNone]), Link: counted(countsNone)},
		{Label: c.T("overview.tile.held"), Value: c.Figure(held), Level: level(held, "bad"), Link: problemLink(status.DeletionsHeld)},
		{Label: c.T("overview.tile.tasks"), Value: c.Figure(s.Tally.FailedTasks), Level: level(s.Tally.FailedTasks, "warn"), Link: problemLink(status.TasksFailed)},
		{Label: c.T("overview.tile.gave-up"), Value: c.Figure(s.Tally.DeadLetters), Level: level(s.Tally.DeadLetters, "bad"), Link: problemLink(status.GaveUp)},
	}
}
