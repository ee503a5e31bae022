package console

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// expiryWarning is how long before a grant's end the page says so.
	expiryWarning = 48 * time.Hour
	// pollSilent is how long a poll, due every 5 minutes, may be missing.
	pollSilent = 15 * time.Minute
	// lateChange is the age from which a change not applied is mentioned.
	lateChange = 10 * time.Minute
)

// notice is something an admin has to know; Level is "bad", "warn" or "good".
type notice struct {
	Level, Title, Text, Link, LinkText string
}

type tile struct {
	Label, Value, Note, Level string
	When                      stamp
}

// stamp is a moment as a page shows it.
type stamp struct{ Ago, Full, Machine string }

type employeeRow struct {
	ID                     int64
	Name, Address          string
	State, Label, Why      string
	Calendar, CalendarLink string
	Pending                stamp
	Waiting                int // tasks with a change not yet applied
	Failure                string
	FailedAt               stamp
	Invited                string
	Invite, Rebuild        bool // may be asked for
	Replace                bool
}

type connection struct {
	Level, Title, Text    string
	Account, Button       string
	Since, Expires        stamp
	RedirectURI, Expected string
}

type homeView struct {
	Notices    []notice
	Tiles      []tile
	Connection connection
	Employees  []employeeRow
	Without    []employeeRow
	Purge      *purgeView
	Runs       []runRow
	Now        stamp
}

// home serves the status page.
func (h *handler) home(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	o, err := h.overview(ctx)
	if err != nil {
		h.trouble(w, r, "read the status", err)
		return
	}
	failed, err := h.Store.FailedTasks(ctx, mostFailed)
	if err != nil {
		h.trouble(w, r, "read the failed tasks", err)
		return
	}
	c := h.locale(r, o.saved.Settings.TimeZone)
	v := homeView{Connection: h.connection(c, o), Now: c.stamp(c.now)}
	v.Notices = h.notices(c, o, len(failed))
	v.Tiles = h.tiles(c, o)
	v.Employees, v.Without = h.people(c, o)
	v.Runs = runRows(c, o.runs)
	v.Purge = purgeOf(c, o)
	h.show(w, r, http.StatusOK, view{Page: "home", Title: "Status", Session: &s, Body: v})
}

// notices lists what needs an admin, the worst first.
func (h *handler) notices(c locale, o overview, failed int) []notice {
	var bad, warn []notice
	add := func(list *[]notice, level, title, text, path, linkText string) {
		n := notice{Level: level, Title: title, Text: text, LinkText: linkText}
		if path != "" {
			n.Link = h.console.URL(path, nil)
		}
		*list = append(*list, n)
	}
	s := o.saved
	if p := purgeOf(c, o); p != nil {
		remaining := ""
		if p.Remaining != "" {
			remaining = ", about " + p.Remaining + " left"
		}
		add(&bad, "bad", "Everything is being deleted.", fmt.Sprintf("%d of %s are gone%s. %s asked for it.", p.Gone, plural(p.Of, "calendar", "calendars"), remaining, o.purge.By), "", "")
	} else if o.purge != nil && !o.purge.Stopped && o.purge.Kept > 0 && !s.Settings.Enabled {
		add(&warn, "warn", plural(o.purge.Kept, "calendar was not deleted.", "calendars were not deleted."), "Somebody has put events of their own there. They carry this product's mark no more; delete them by hand if they are not needed.", "", "")
	}
	switch {
	case len(s.Faults) > 0:
		add(&bad, "bad", "The settings cannot be used.", s.Faults.Error()+". Nothing is written until they are mended.", "/settings", "Open the settings")
	case len(s.Missing) > 0:
		add(&bad, "bad", "The settings are not complete.", "Still to be set: "+fieldLabels(c.Texts, s.Missing)+". Nothing is written until then.", "/settings", "Open the settings")
	case o.purge.Open():
	case !s.Settings.Enabled:
		add(&warn, "warn", "Syncing is paused.", "Calendars stay as they are: nothing is written or deleted.", "/settings", "Open the settings")
	case !s.Settings.Confirmed:
		add(&warn, "warn", "The settings are not confirmed.", "Until they are, calendars are only looked at: none is made, shared or deleted.", "/settings", "Check and confirm")
	}
	if n, is := h.takeoverNotice(c, o); is {
		bad = append([]notice{n}, bad...)
	}
	if n, is := incidentNotice(c, o); is {
		bad = append(bad, n)
	}
	if until := o.account.CreationsPausedUntil; o.connected && c.now.Before(until) && !c.now.Before(o.account.PausedUntil) {
		add(&warn, "warn", "Google has asked for a pause in making calendars.", "Events go on; the next calendar is made in "+c.age(until.Sub(c.now))+".", "", "")
	}
	if o.connected && c.now.Before(o.account.PausedUntil) {
		add(&warn, "warn", "Google has asked for a pause.", "The account reached a usage limit; writing goes on by itself in "+c.age(o.account.PausedUntil.Sub(c.now))+".", "", "")
	}
	if !o.lastPoll.IsZero() && c.now.Sub(o.lastPoll) > pollSilent {
		add(&bad, "bad", "The poll is overdue.", "It runs every 5 minutes, but the last one was "+c.age(c.now.Sub(o.lastPoll))+" ago. Lost notifications stay unnoticed. Check the Scheduler job and the log of Poll.", "", "")
	}
	for _, shared := range sharedAddresses(o.employees) {
		add(&warn, "warn", strings.Join(shared, " and ")+" have one address.", "Each has a calendar of their own, and whoever reads that address sees both.", "", "")
	}
	n := o.counts()
	if held := o.held.Events + o.held.Calendars; held > 0 {
		add(&bad, "bad", plural(held, "deletion is held.", "deletions are held."), "More would be deleted than is usual in a day. Check in the ERP whether that is meant, then decide.", "/held", "Decide about them")
	}
	if n.Error > 0 {
		add(&bad, "bad", plural(n.Error, "employee has no calendar because of an error.", "employees have no calendar because of an error."), "The table below says why.", "", "")
	}
	if len(o.dead) > 0 {
		add(&bad, "bad", plural(len(o.dead), "message gave up.", "messages gave up."), "It was tried again and again without success.", "/failures", "What gave up")
	}
	if failed > 0 {
		add(&warn, "warn", plural(failed, "task could not be applied.", "tasks could not be applied."), "It is tried again by itself.", "/failures", "What fails, and why")
	}
	if since := o.oldestPending(); !since.IsZero() && c.now.Sub(since) > lateChange {
		add(&warn, "warn", "A change has been waiting for "+c.age(c.now.Sub(since))+".", "The table below shows whose.", "", "")
	}
	if len(bad)+len(warn) == 0 && o.connected {
		return []notice{{Level: "good", Title: "Everything is up to date.", Text: "Every change known from the ERP is in the calendars, or on its way for less than ten minutes."}}
	}
	return append(bad, warn...)
}

// incidentNotice tells what keeps the whole account out (rule 7.7).
func incidentNotice(c locale, o overview) (n notice, is bool) {
	in := o.account.Incident
	if !o.connected || in == nil {
		return notice{}, false
	}
	title := "Google refuses one thing for everybody alike."
	if in.StopsAll() {
		title = "Google refuses the whole account: nothing can be written."
	}
	return notice{Level: "bad", Title: title, Text: "It answers " + incidents.Text(in.Refusal) + ", for " + c.age(c.now.Sub(in.Since)) + " now. " +
		incidents.Cure(in.Refusal) + " Nothing is deleted, changes are kept, and Google is asked once a minute."}, true
}

func (h *handler) tiles(c locale, o overview) []tile {
	n := o.counts()
	level := func(n int, otherwise string) string {
		if n > 0 {
			return otherwise
		}
		return ""
	}
	tiles := []tile{
		{Label: "Calendars", Value: strconv.Itoa(n.Active)},
		{Label: "On their way", Value: strconv.Itoa(n.Pending), Note: queueWords(c, o.queue)},
		{Label: "Held", Value: strconv.Itoa(o.held.Events + o.held.Calendars), Level: level(o.held.Events+o.held.Calendars, "bad")},
		{Label: "Errors", Value: strconv.Itoa(n.Error), Level: level(n.Error, "bad")},
	}
	oldest := tile{Label: "Oldest change waiting", Value: "none"}
	if since := o.oldestPending(); !since.IsZero() {
		oldest.Value, oldest.When = c.age(c.now.Sub(since)), c.stamp(since)
		if c.now.Sub(since) > lateChange {
			oldest.Level = "warn"
		}
	}
	poll := tile{Label: "Last poll", Value: "never"}
	if !o.lastPoll.IsZero() {
		poll.Value, poll.When = c.age(c.now.Sub(o.lastPoll))+" ago", c.stamp(o.lastPoll)
	}
	run := tile{Label: "Last full check", Value: "never"}
	if len(o.runs) > 0 {
		last := o.runs[0]
		run.Value, run.Note, run.When = fmt.Sprintf("%d of %d", last.Done, last.Total), "under way", c.stamp(last.Started)
		if !last.Ended.IsZero() {
			run.Value, run.Note, run.When = c.age(c.now.Sub(last.Ended))+" ago", plural(int(last.Repaired), "repair", "repairs"), c.stamp(last.Ended)
		}
	}
	return append(tiles, oldest, poll, run)
}

// connection puts the state of the central account into words.
func (h *handler) connection(c locale, o overview) connection {
	v := connection{RedirectURI: h.oauth.URL("/callback", nil), Expected: h.cfg.IntegrationAccount, Account: o.account.Email, Button: "Connect"}
	a := o.account
	switch {
	case !o.ever:
		v.Level, v.Title = "bad", "No Google account is connected"
		v.Text = "Connect " + h.cfg.IntegrationAccount + ", the account that will own the calendars. Before the first time, register the redirect URI below at the OAuth client in the Google Cloud console, character by character."
		return v
	case !o.connected:
		v.Level, v.Title = "bad", "The connection is lost"
		v.Text = "Google no longer accepts the permission of " + a.Email + " (" + disconnectedWords(a.Disconnected) + "). Nothing was deleted; changes are kept and applied once you connect again."
		v.Since, v.Button = c.stamp(a.DisconnectedAt), "Connect again"
		return v
	}
	v.Level, v.Title, v.Button = "good", "Connected", "Connect again"
	v.Since = c.stamp(a.ConnectedAt)
	if !signin.SameAddress(a.Email, h.cfg.IntegrationAccount) {
		v.Level, v.Title = "warn", "Connected to another account than configured"
		v.Text = "INTEGRATION_ACCOUNT is " + h.cfg.IntegrationAccount + ", but the calendars belong to " + a.Email + "."
	}
	if !a.SuspectSince.IsZero() {
		v.Level, v.Title = "warn", "Google refused the connection once"
		v.Text = "It is asked again in a moment. If it refuses again, you have to connect again."
	}
	if a.Incident.StopsAll() {
		v.Level, v.Title, v.Text = "bad", "Connected, but Google refuses the account", incidents.Cure(a.Incident.Refusal)
	}
	if !a.GrantExpiresAt.IsZero() {
		v.Expires = c.stamp(a.GrantExpiresAt)
		remaining := a.GrantExpiresAt.Sub(c.now)
		switch {
		case remaining <= 0:
			v.Level, v.Title = "bad", "The permission has expired"
		case remaining <= expiryWarning:
			v.Level, v.Title = "warn", "The permission ends in "+c.age(remaining)
		}
		if remaining <= expiryWarning {
			v.Text = "Google ends permissions after 7 days while the OAuth consent screen is in test mode. Connect again now, and publish the app (or make it Internal) to end this for good."
		}
	}
	return v
}

func disconnectedWords(reason string) string {
	if reason == "invalid_grant" {
		return "invalid_grant: it was revoked, has expired, or was not used for six months"
	}
	return cmp.Or(reason, "no reason given")
}

// people makes the rows of those with, and of those without a calendar.
func (h *handler) people(c locale, o overview) (with, without []employeeRow) {
	type waiting struct {
		since time.Time
		tasks int
	}
	waits := map[int64]waiting{}
	for _, t := range o.pending {
		for _, e := range t.Employees {
			w := waits[e]
			waits[e] = waiting{earlier(w.since, t.PendingSince), w.tasks + 1}
		}
	}
	queued := map[int64]store.QueuedCreation{}
	for _, q := range o.queue {
		queued[q.Employee] = q
	}
	for _, e := range o.employees {
		row := employeeRow{ID: e.ID, Name: cmp.Or(e.Name, "Employee "+strconv.FormatInt(e.ID, 10)), Address: e.Address,
			State: string(e.CardState()), Label: stateWords(e.CardState()), Why: reasonWords(e.Reason), Waiting: waits[e.ID].tasks,
			Pending: c.stamp(earlier(e.PendingSince, waits[e.ID].since))}
		if e.Calendar != nil && e.Calendar.ID != "" {
			row.Calendar, row.CalendarLink = e.Calendar.ID, calendarsync.AddURL(e.Calendar.ID)
			row.Invited, row.Invite = invited(c, e), e.MayInvite(c.now)
			if row.Replace = e.MayReplace(); row.Replace {
				row.Why += " " + goneWords(c, e)
			}
			row.Rebuild = e.State == store.StateActive && e.Calendar.GoneSince.IsZero()
		}
		if q, waits := queued[e.ID]; waits && e.State == store.StatePending {
			row.Why = queuedWords(c, q)
		}
		if e.Failure != nil {
			row.Failure, row.FailedAt = e.Failure.Message, c.stamp(e.Failure.At)
		}
		if e.State == store.StateNone && row.Calendar == "" && len(e.Retiring) == 0 {
			without = append(without, row)
		} else {
			with = append(with, row)
		}
	}
	byName := func(a, b employeeRow) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(with, byName)
	slices.SortFunc(without, byName)
	return with, without
}

// urgency puts what needs attention first.
func urgency(r employeeRow) int {
	switch store.EmployeeState(r.State) {
	case store.StateError, store.StateHeld:
		return 0
	case store.StatePending, store.StateDeleting:
		return 2
	case store.StateActive, store.StateNone:
	}
	if r.Failure != "" {
		return 1
	}
	return 3
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

// sharedAddresses gives the names of those who get their calendars at one address
// (rule 5.1), one list for each address.
func sharedAddresses(employees []store.EmployeeRecord) [][]string {
	names := map[string][]string{}
	for _, e := range employees {
		if e.Calendar != nil && e.Address != "" {
			address := calendarsync.NormalAddress(e.Address)
			names[address] = append(names[address], cmp.Or(e.Name, fmt.Sprintf("#%d", e.ID)))
		}
	}
	var out [][]string
	for _, address := range slices.Sorted(maps.Keys(names)) {
		if len(names[address]) > 1 {
			out = append(out, names[address])
		}
	}
	return out
}
