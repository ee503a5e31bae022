package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// attempts is how often the admin tries something before giving up.
const attempts = 8

// act has the admin do something on the console's pages. Where a fault or a killed
// instance prevents it, they start again from the page, as a person does. do reports
// whether it is done, and what page came; once faults have ended it has to succeed.
func (w *world) act(what string, do func(b *browser) (done bool, shown *page, err error)) (done bool) {
	var why string
	for try := range attempts {
		done, shown, err := do(w.browser)
		switch {
		case done:
			return true
		case errors.Is(err, errNoAnswer):
			why = err.Error()
		case err != nil:
			w.fail(fmt.Errorf("%s: %w", what, err))
			return false
		default:
			why = shown.String()
		}
		w.browser.reloadAfter(w.ctx, try)
	}
	if w.calm.Load() && w.ctx.Err() == nil {
		w.violate("the admin can act", "%s: %d times to no effect, at last %s", what, attempts, why)
	}
	w.note("the admin gives up to %s: %s", what, why)
	return false
}

// connect has the admin connect the central account, with its owner's consent.
func (w *world) connect() {
	w.act("connect the account", func(b *browser) (bool, *page, error) {
		w.auditor.Connecting()
		p, err := b.open("/connect")
		if err != nil {
			return false, p, err
		}
		if p.status == http.StatusConflict {
			return false, p, w.bringWithinReach()
		}
		switch p.at.Query().Get("connected") {
		case "unqueued":
			return w.press(b, p, "/run", "queued")
		case "":
			return false, p, nil
		}
		return true, p, nil
	})
}

// press sends the page's form for a path. It is done when the console then shows an
// address that has the parameter.
func (w *world) press(b *browser, p *page, path, parameter string) (bool, *page, error) {
	f, ok := p.form(path)
	if !ok {
		return false, p, nil
	}
	p, err := b.press(f)
	if err != nil {
		return false, p, err
	}
	return p.at.Host == consoleHost && p.at.Query().Has(parameter), p, nil
}

// onOverview opens the overview and presses the button that choose finds there;
// errNothingToDo where it finds none.
func (w *world) onOverview(what string, choose func(p *page) (form, bool)) error {
	return w.onPage("/", what, choose)
}

// queued reports whether the console says that what was pressed is on its way: on the page
// of one employee or task it waits for the outcome.
func (p *page) queued() bool {
	return p.at.Host == consoleHost && (p.at.Query().Has("queued") || p.at.Query().Has("asked"))
}

// shows reports whether this is a page of the console, and not the one after a sign-in: who
// has to sign in first opens the page again.
func (p *page) shows(path string) bool {
	return p.status == http.StatusOK && p.at.Host == consoleHost && p.at.Path == path
}

// onPage is onOverview on another page.
func (w *world) onPage(path, what string, choose func(p *page) (form, bool)) error {
	found := false
	w.act(what, func(b *browser) (bool, *page, error) {
		p, err := b.open(path)
		if err != nil || !p.shows(path) {
			return false, p, err
		}
		f, ok := choose(p)
		if !ok {
			return true, p, nil
		}
		found = true
		p, err = b.press(f)
		if err != nil {
			return false, p, err
		}
		return p.queued() || p.status == http.StatusConflict, p, nil
	})
	if !found {
		return errNothingToDo
	}
	return nil
}

// runAll starts a full run.
func (w *world) runAll() error {
	return w.onOverview("check everything", func(p *page) (form, bool) { return p.form("/run") })
}

// pick gives one of the overview's forms for an action, and the id it is for.
func pick(p *page, action string, n int) (form, int64, bool) {
	var all []form
	for _, f := range p.forms {
		if strings.HasSuffix(f.path(), "/"+action) && idIn(f.path()) > 0 {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return form{}, 0, false
	}
	f := all[n%len(all)]
	return f, idIn(f.path()), true
}

// idIn reads the id in "/employees/5/sync"; 0 where there is none.
func idIn(path string) int64 {
	if parts := strings.Split(path, "/"); len(parts) == 4 {
		if id, err := strconv.ParseInt(parts[2], 10, 64); err == nil {
			return id
		}
	}
	return 0
}

// pressSync presses one of a page's buttons that have one task or employee synced.
func (w *world) pressSync(path string, n int) error {
	return w.onPage(path, "look at one again", func(p *page) (form, bool) {
		f, _, ok := pick(p, "sync", n)
		if ok {
			w.note("the admin presses %s", f.path())
		}
		return f, ok
	})
}

// peoplePage lists the employees.
const peoplePage = "/employees"

// somebody gives the employee's number of a row of the page of employees, among those of whom
// wanted says so of what is known of them; 0 where there is none.
func (w *world) somebody(p *page, n int, wanted func(store.EmployeeRecord) bool) int64 {
	var ids []int64
	for c := range p.root.Descendants() {
		text, row := strings.CutPrefix(attribute(c, "id"), "employee-")
		if !row || c.Data != "tr" {
			continue
		}
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue
		}
		if rec, _, err := store.New(w.memory).Employee(w.ctx, id); err == nil && wanted(rec) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0
	}
	return ids[n%len(ids)]
}

// syncSomebody has one employee of the list looked at again.
func (w *world) syncSomebody(n int) error {
	return w.onPage(peoplePage, "look at one again", func(p *page) (form, bool) {
		id := w.somebody(p, n, func(store.EmployeeRecord) bool { return true })
		f, ok := p.form(peoplePage + "/sync")
		if !ok || id == 0 {
			return f, false
		}
		f.values.Set("employee", strconv.FormatInt(id, 10))
		w.note("the admin has %d looked at again", id)
		return f, true
	})
}

// invite has an employee invited once more.
func (w *world) invite(n int) error {
	return w.onPage(peoplePage, "invite again", func(p *page) (form, bool) {
		id := w.somebody(p, n, func(e store.EmployeeRecord) bool { return e.MayInvite(time.Now()) })
		f, ok := p.form(peoplePage + "/sync")
		if !ok || id == 0 {
			return f, false
		}
		f.action = strings.TrimSuffix(f.action, "/sync") + "/invite" // the form's other button
		f.values.Set("employee", strconv.FormatInt(id, 10))
		w.note("the admin has %d invited again", id)
		w.auditor.Allow(fmt.Sprintf("invite/%d", id))
		return f, true
	})
}

// rebuild has an employee's calendar emptied and filled again.
func (w *world) rebuild(n int) error {
	return w.onOne("rebuild", n, func(e store.EmployeeRecord) bool {
		return e.State == store.StateActive && e.Calendar != nil && e.Calendar.ID != "" && e.Calendar.GoneSince.IsZero()
	})
}

// replace has another calendar made in the place of one that Google denies, at once.
func (w *world) replace(n int) error {
	return w.onOne("replace", n, func(e store.EmployeeRecord) bool { return e.MayReplace() })
}

// onOne has something done with the calendar of one employee, among those of whom wanted
// says so, which the console asks about first.
func (w *world) onOne(action string, n int, wanted func(store.EmployeeRecord) bool) error {
	who := int64(0)
	w.act(action+" a calendar", func(b *browser) (bool, *page, error) {
		p, err := b.open(peoplePage)
		if err != nil || p.status != http.StatusOK || p.at.Host != consoleHost {
			return false, p, err
		}
		if who == 0 {
			who = w.somebody(p, n, wanted)
		}
		if who == 0 {
			return true, p, nil
		}
		path := fmt.Sprintf("%s/%d/%s", peoplePage, who, action)
		if p, err = b.open(path); err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		w.note("the admin says: %s the calendar of %d", action, who)
		w.auditor.Allow(fmt.Sprintf("%s/%d", action, who))
		f, ok := p.form(path)
		if !ok {
			return false, p, nil
		}
		p, err = b.press(f)
		done := err == nil && p.queued()
		// It may have been deleted, or shown, meanwhile.
		return done || err == nil && p.status == http.StatusConflict, p, err
	})
	if who == 0 {
		return errNothingToDo
	}
	return nil
}

// The decisions about what is held.
const (
	heldConfirm, heldAgain, heldDrop = "/held/confirm", "/held/again", "/held/drop"
	heldReopen                       = "/held/reopen"
)

// decideHeld makes a decision about everything that is held, and gives its keys.
func (w *world) decideHeld(decision string) (keys []string) {
	switch decision {
	case heldConfirm, heldDrop:
		return w.reviewHeld(decision)
	case heldReopen:
		if w.onPage("/held", "decide again about what was kept", func(p *page) (form, bool) {
			f, ok := p.form(heldReopen)
			f.values.Del("key") // everything that was kept
			return f, ok
		}) == nil {
			w.auditor.Reopened()
		}
	default:
		_ = w.onPage("/held", "look at what is held again", func(p *page) (form, bool) { return p.form(decision) })
	}
	return nil
}

// reviewHeld decides about everything that is held: first the page that names it, then the
// decision, which names the same.
func (w *world) reviewHeld(decision string) (keys []string) {
	w.act("decide about what is held", func(b *browser) (bool, *page, error) {
		p, err := b.open("/held")
		if err != nil || !p.shows("/held") {
			return false, p, err
		}
		f, ok := p.form("/held/review")
		if !ok {
			keys = nil
			return true, p, nil
		}
		f.values.Set("all", "1")
		if decision == heldDrop {
			f.values.Set("keep", "1")
		}
		if p, err = b.press(f); err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		if f, ok = p.form(decision); !ok {
			return false, p, nil
		}
		if keys = f.values["key"]; decision == heldConfirm {
			w.auditor.Allow(keys...)
		}
		w.note("%s %s", decision, strings.Join(keys, " "))
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		return p.queued() || p.status == http.StatusConflict, p, nil
	})
	if decision == heldDrop {
		w.auditor.Keep(keys...)
	}
	return keys
}

// configure has the admin save settings on top of those in force.
func (w *world) configure(change func(*calendarsync.Settings)) error {
	next := w.settings
	next.Colors, next.ShownRoles = maps.Clone(next.Colors), slices.Clone(next.ShownRoles)
	change(&next)
	done := w.act("save settings", func(b *browser) (bool, *page, error) {
		p, err := b.open("/settings")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		f, ok := p.form("/settings")
		if !ok {
			return false, p, nil
		}
		fill(f, next)
		// From now on either may be in force.
		w.inForce(next)
		w.inForce(w.settings)
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		// What changes something is a plan first; the admin means it.
		if f, planned := p.form("/settings/apply"); planned && p.status == http.StatusOK {
			f.values.Set("sure", "yes")
			f.values.Del("later")
			if p, err = b.press(f); err != nil {
				return false, p, err
			}
		}
		if p.at.Query().Get("queued") == "saved-unqueued" {
			if p, err = b.open("/"); err != nil {
				return false, p, err
			}
			return w.press(b, p, "/run", "queued")
		}
		return p.at.Query().Get("queued") == "saved", p, nil
	})
	if err := w.readSettings(); err != nil {
		return err
	}
	s := w.settings
	if want := typed(next); done && !maps.Equal(typed(s), want) {
		w.violate("settings are kept as they were typed", "%v instead of %v", typed(s), want)
	}
	w.note("settings saved: enabled %v, zone %s, departments %v, binding %d, roles %v", s.Enabled, s.TimeZone, s.IncludeDepartments, s.BindingField, s.ShownRoles)
	return nil
}

// readSettings reads which settings are in force, and tells the auditor.
func (w *world) readSettings() error {
	saved, err := settings.NewSource(store.New(w.memory), w.config.DefaultSettings.JSON, w.config.ERP.URL, time.Now).Saved(w.ctx)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	w.settings = saved.Settings
	w.inForce(w.settings)
	return nil
}

// typed are settings as they are typed into the form, each colour and role by itself.
func typed(s calendarsync.Settings) map[string]string {
	out := map[string]string{
		"time_zone": s.TimeZone, "binding_field": strconv.FormatInt(int64(s.BindingField), 10), "calendar_id_field": strconv.FormatInt(int64(s.CalendarIDField), 10),
		"backfill_hours": strconv.Itoa(s.BackfillHours), "default_duration_minutes": strconv.Itoa(s.DefaultDurationMinutes),
		"calendar_name": s.CalendarName, "event_title": s.EventTitle, "event_description": s.EventDescription, "task_url": s.TaskURL,
		"language": s.Language, "delete_guard_percent": strconv.Itoa(s.DeleteGuardPercent),
	}
	for name, on := range map[string]bool{"enabled": s.Enabled, "include_departments": s.IncludeDepartments, "midnight_is_all_day": s.MidnightIsAllDay} {
		if on {
			out[name] = "true"
		}
	}
	for kind, color := range s.Colors {
		out["color_"+kind] = strconv.Itoa(color)
	}
	for _, r := range s.ShownRoles {
		out["role "+strconv.FormatInt(int64(r), 10)] = "shown"
	}
	return out
}

// fill types settings into the form, and chooses from the ERP's catalogue where the
// page shows it.
func fill(f form, s calendarsync.Settings) {
	for _, name := range []string{"enabled", "include_departments", "midnight_is_all_day", "shown_roles"} {
		f.values.Del(name)
	}
	var colors []string
	for name := range f.boxes {
		f.values.Del(name)
	}
	for _, name := range f.names {
		if strings.HasPrefix(name, "color_") {
			f.values.Set(name, "")
		}
	}
	for name, value := range typed(s) {
		if kind, ok := strings.CutPrefix(name, "color_"); ok && !slices.Contains(f.names, name) {
			colors = append(colors, kind+" = "+value)
		} else if !strings.HasPrefix(name, "role ") {
			f.values.Set(name, value)
		}
	}
	for _, color := range colors {
		if kind, _, _ := strings.Cut(color, " = "); !slices.Contains(f.names, "colors") {
			delete(s.Colors, kind) // the ERP showed half its catalogue: it cannot be picked
		}
	}
	if slices.Contains(f.names, "colors") {
		slices.Sort(colors)
		f.values.Set("colors", strings.Join(colors, "\n"))
	}
	var rest []string
	for _, r := range s.ShownRoles {
		id := strconv.FormatInt(int64(r), 10)
		if slices.Contains(f.boxes["shown_roles"], id) {
			f.values.Add("shown_roles", id)
		} else {
			rest = append(rest, id)
		}
	}
	f.values.Add("shown_roles", strings.Join(rest, ", "))
}

// purge has the admin delete everything, stop that halfway or wait for its end, and
// switch syncing on again.
func (w *world) purge(s Step) error {
	if s.N[0]%3 == 0 {
		w.mistype()
	}
	began := false
	w.act("delete everything", func(b *browser) (bool, *page, error) {
		p, err := b.open("/purge")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		if p.at.Path != "/purge" {
			_, began = p.form("/purge/stop") // the answer was lost
			return began, p, nil
		}
		f, ok := p.form("/purge")
		if !ok {
			return false, p, nil
		}
		if phrase(p) == "delete 0 calendars" {
			return true, p, nil // there is nothing to delete
		}
		f.values.Set("typed", phrase(p))
		w.note("the admin types %q", phrase(p))
		w.auditor.Purge()
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		began = p.at.Query().Get("queued") == "purge"
		return began, p, nil
	})
	in, err := store.New(w.memory).Installation(w.ctx)
	if err != nil {
		return fmt.Errorf("read the installation: %w", err)
	}
	if !in.Purge.Open() {
		if began {
			w.violate("a purge that was begun is under way", "%+v", in.Purge)
		}
		w.auditor.PurgeStopped()
		return w.readSettings()
	}
	if err := w.readSettings(); err != nil {
		return err
	}
	if s.N[1]%2 == 0 {
		w.advance(time.Duration(s.N[2]) * 200 * time.Millisecond)
		return w.afterPurge(true)
	}
	for range 12 {
		w.advance(w.pollEvery)
		if !w.purging() {
			break
		}
	}
	return w.afterPurge(false)
}

// mistype has the admin type something other than is asked for: nothing may happen.
func (w *world) mistype() {
	w.act("mistype", func(b *browser) (bool, *page, error) {
		p, err := b.open("/purge")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		f, ok := p.form("/purge")
		if !ok {
			return p.at.Path == "/", p, nil
		}
		f.values.Set("typed", phrase(p)+"!")
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		return p.status == http.StatusUnprocessableEntity, p, nil
	})
}

// phrase is what the page asks the admin to type.
func phrase(p *page) string {
	label := find(p.root, "label", func(n *html.Node) bool { return attribute(n, "for") == "typed" })
	if label == nil {
		return ""
	}
	if strong := find(label, "strong", func(*html.Node) bool { return true }); strong != nil {
		return text(strong)
	}
	return ""
}

// purging reports whether the overview shows a purge under way.
func (w *world) purging() bool {
	under := false
	w.act("see how far the deletion is", func(b *browser) (bool, *page, error) {
		p, err := b.open("/")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		_, under = p.form("/purge/stop")
		return true, p, nil
	})
	return under
}

// afterPurge switches syncing on again after a purge that is over, and with stop after
// stopping one that is not. Without stop a purge under way continues.
func (w *world) afterPurge(stop bool) error {
	in, err := store.New(w.memory).Installation(w.ctx)
	if err != nil {
		return fmt.Errorf("read the installation: %w", err)
	}
	switch {
	case !in.Purge.Open() && w.settings.Enabled:
		return nil
	case !in.Purge.Open():
		w.note("everything is deleted")
		w.auditor.Purged()
	case !stop:
		return nil
	default:
		_ = w.onOverview("stop the deletion", func(p *page) (form, bool) { return p.form("/purge/stop") })
		w.note("the deletion is stopped")
		if in, err = store.New(w.memory).Installation(w.ctx); err != nil || in.Purge.Open() {
			return err
		}
		w.auditor.PurgeStopped()
	}
	return w.configure(func(c *calendarsync.Settings) { c.Enabled = true })
}

// checkStatus has the admin read /api/status once everything is at rest: it must say so.
func (w *world) checkStatus() {
	var status struct {
		Connected, Enabled, Confirmed bool
		Employees                     struct{ Active, Pending, Held, Error int }
		OldestPending                 int64                       `json:"oldest_pending_seconds"`
		HeldDeletions                 int                         `json:"held_deletions"`
		DeadLetters                   int                         `json:"dead_letters"`
		LastPoll                      *time.Time                  `json:"last_poll"`
		LastReconcile                 *struct{ Ended *time.Time } `json:"last_reconcile"`
	}
	var body string
	if !w.act("read the status", func(b *browser) (bool, *page, error) {
		p, err := b.open("/api/status")
		if err == nil && p.status == http.StatusUnauthorized {
			p, err = b.open("/") // signs in
			return false, p, err
		}
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		body = string(p.body)
		return true, p, json.Unmarshal(p.body, &status)
	}) {
		return
	}
	switch s := status; {
	case !s.Connected, !s.Enabled, !s.Confirmed, s.Employees.Pending > 0, s.Employees.Held > 0, s.OldestPending != 0, s.HeldDeletions > 0, s.DeadLetters > 0,
		s.LastPoll == nil, s.LastReconcile == nil || s.LastReconcile.Ended == nil, s.Employees.Active != w.auditor.Entitled():
		w.violate("the status says so", "all is right, with %d calendars, and it says %s", w.auditor.Entitled(), body)
	}
}

// tryAgain has a key ("employees/7") synced now.
func (w *world) tryAgain(key string) error {
	return w.onOverview("try again", func(p *page) (form, bool) {
		f, ok := p.form("/run")
		f.action = "https://" + consoleHost + "/" + key + "/sync"
		f.values = url.Values{"csrf": f.values["csrf"]}
		return f, ok
	})
}

// inForce tells the auditor of settings from now on.
// inForce tells the auditor of settings. It knows roles by their numbers.
func (w *world) inForce(s calendarsync.Settings) {
	s.ShownRoles = byNumber(s.ShownRoles)
	w.auditor.Settings(s)
}

// startAuditor has an auditor listen from now on.
func (w *world) startAuditor() error {
	w.auditor = audit.New(audit.World{
		Google: w.google, ERP: w.erp, ExecutorsLeftOut: w.setup.ERP.ExecutorsLeftOut, UnassignedIgnored: w.setup.ERP.UnassignedIgnored,
		Account: account, ERPURL: w.config.ERP.URL, RequestsPerMinute: w.setup.RequestsPerMinute, CalendarsPerHour: w.setup.CalendarsPerHour,
		Lease: w.config.Lease, Absence: w.config.Absence, Now: time.Now,
	})
	w.auditor.MarksLost(w.marksLost())
	return w.readSettings()
}
