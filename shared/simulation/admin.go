package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
			w.allow(keys)
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

// allow tells the auditor what an admin confirms.
func (w *world) allow(keys []string) {
	replacements := w.heldReplacements()
	for _, key := range keys {
		if slices.Contains(replacements, key) {
			w.auditor.AllowReplacements(key)
		} else {
			w.auditor.Allow(key)
		}
	}
}

// heldReplacements are those of whom only the replacement of a calendar that is gone is held.
func (w *world) heldReplacements() (keys []string) {
	s := store.New(w.memory)
	for _, e := range w.erp.Employees() {
		rec, _, err := s.Employee(w.ctx, e.ID)
		w.fail(err)
		if rec.Held == store.HeldWaiting && rec.Calendar != nil && !rec.Calendar.GoneSince.IsZero() && rec.AbsentSince.IsZero() {
			keys = append(keys, store.EmployeeKey(e.ID).String())
		}
	}
	return keys
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
