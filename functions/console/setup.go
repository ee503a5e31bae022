package console

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// setupView leads through what has to be done before the first calendar is made.
type setupView struct {
	Steps   []setupStep
	Preview *preview
	Lines   []planLine // what the last step will do
	// Ready: everything before the last step is done.
	Ready bool
}

// setupStep is one of them. State is "done", "todo" or "bad", the latter where something is
// wrong that was done already; Cure says what to do then.
type setupStep struct {
	State, Title, Text, Cure string
	Facts                    []string
	Link, LinkText           string
}

// showSetup shows how far setting up is; afterwards it leads to the overview.
func (h *handler) showSetup(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	account, err := h.Store.Account(ctx)
	if err != nil && !errors.Is(err, store.ErrNotConnected) {
		h.trouble(w, r, "read the account", err)
		return
	}
	if saved.Settings.Confirmed && account.Connected && saved.Ready() {
		h.redirect(w, h.console.URL("/", nil))
		return
	}
	c := h.locale(r, saved.Settings.TimeZone)
	erp := h.readERP(r)
	v := setupView{Steps: []setupStep{
		accountStep(c, account, h.cfg.IntegrationAccount), erpStep(c, erp, saved.Settings.TimeZone), shownStep(c, saved, erp), peopleStep(c, saved, erp),
	}}
	v.Ready = !slices.ContainsFunc(v.Steps, func(s setupStep) bool { return s.State != "done" })
	if saved.Ready() && erp.err == nil {
		p := proposal{by: signin.Hash(s.Sub), saved: saved, next: saved.Settings, erp: erp}
		made, err := h.makePlan(r.Context(), p)
		if err != nil {
			h.trouble(w, r, "count what the settings would do", err)
			return
		}
		joins, err := h.joining(r.Context(), p, made)
		if err != nil {
			h.trouble(w, r, "count what joins", err)
			return
		}
		p.takes, p.account = h.pace(len(made.Made)), h.cfg.IntegrationAccount
		if made.uncounted == nil {
			v.Lines = planLines(c, p, made.Plan, joins)
		}
		v.Preview = h.preview(r.Context(), c, saved.Settings, erp)
	}
	h.show(w, r, http.StatusOK, view{Page: "setup", Menu: "overview", Title: c.T("setup.title"), Session: &s, Body: v})
}

// startSetup shows the plan of the settings as they are: the last step, which says what it will
// do before it does it.
func (h *handler) startSetup(w http.ResponseWriter, r *http.Request, s signin.Session) {
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	p := proposal{by: signin.Hash(s.Sub), saved: saved, next: saved.Settings, erp: h.readERP(r), afresh: true}
	faults := slices.Concat(saved.Faults, settings.Check(saved.Settings), checkAgainstERP(saved, saved.Settings, p.erp))
	if len(faults) > 0 {
		h.form(w, r, http.StatusUnprocessableEntity, s, saved, typedFrom(saved.Settings), faults, p.erp, settingsView{NotSaved: true})
		return
	}
	made, err := h.makePlan(r.Context(), p)
	if err != nil {
		h.trouble(w, r, "count what the settings would do", err)
		return
	}
	h.showPlan(w, r, http.StatusOK, s, p, made, planView{})
}

// accountStep is the connection of the central account.
func accountStep(c locale, a store.AccountRecord, expected string) setupStep {
	s := setupStep{State: "todo", Title: c.T("setup.account.title"), Text: c.T("setup.account.todo", "Account", expected), Link: "/connect", LinkText: c.T("setup.account.connect")}
	switch {
	case a.Connected && a.Incident.StopsAll():
		s.State, s.Text, s.Cure = "bad", c.T("setup.account.refused", "Account", a.Email), c.T("setup.account.cure")
		s.LinkText = c.T("setup.account.again")
	case a.Connected:
		s.State, s.Text, s.Link = "done", c.T("setup.account.done", "Account", a.Email), ""
	}
	return s
}

// erpStep is whether the ERP answers, takes the key and has the right time.
func erpStep(c locale, erp knownERP, zone string) setupStep {
	s := setupStep{State: "done", Title: c.T("setup.erp.title"), Link: "/setup", LinkText: c.T("setup.again")}
	if erp.err != nil {
		s.State, s.Text, s.Cure = "bad", c.T("setup.erp.silent"), erpCure(c.Texts, store.FailureOf(erp.err, nil, c.now))
		return s
	}
	s.Text = c.T("setup.erp.done", "People", c.N("count.employees", working(erp)), "States", len(erp.catalogue.States))
	if erp.clock.Version != "" {
		s.Facts = append(s.Facts, c.T("setup.erp.version", "Version", erp.clock.Version))
	}
	s.Facts = append(s.Facts, clockWords(c, erp, zone))
	if n := unreadable(erp); n > 0 {
		s.Facts = append(s.Facts, c.N("plan.unreadable.title", n))
	}
	if apart, known := clockApart(erp.clock, zone); known && apart {
		s.State, s.Cure = "bad", c.T("setup.erp.clock")
	}
	if s.State == "done" {
		s.Link = ""
	}
	return s
}

// working counts who works, by their cards.
func working(erp knownERP) (n int) {
	for _, card := range erp.cards {
		if card.Employee != nil && card.Employee.Working.Or(false) {
			n++
		}
	}
	return n
}

// unreadable counts whose cards the ERP gives no usable answer about.
func unreadable(erp knownERP) (n int) {
	for _, card := range erp.cards {
		if card.Invalid != nil {
			n++
		}
	}
	return n
}

// erpCure says what to do about an ERP that could not be read, by how it failed.
func erpCure(t i18n.Texts, f *store.Failure) string {
	switch {
	case f.Status == http.StatusUnauthorized, f.Status == http.StatusForbidden, f.Kind == failure.Misconfigured, f.Kind == failure.Forbidden:
		return t.T("setup.erp.key")
	case f.Status >= http.StatusInternalServerError:
		return t.T("setup.erp.failing", "Status", f.Status)
	case f.Kind == failure.SourceInvalid:
		return t.T("setup.erp.broken")
	}
	return t.T("setup.erp.unreachable")
}

// shownStep is which tasks are shown, by the roles' names.
func shownStep(c locale, saved settings.Saved, erp knownERP) setupStep {
	s := setupStep{State: "todo", Title: c.T("setup.shown.title"), Text: c.T("setup.shown.todo"), Link: "/settings#shown", LinkText: c.T("setup.choose")}
	if len(saved.Settings.ShownRoles) == 0 || saved.Settings.TimeZone == "" || saved.Version == 0 {
		return s
	}
	choices, unknown := roleChoices(c.Texts, erp.catalogue, typedFrom(saved.Settings))
	var names []string
	for _, choice := range choices {
		if choice.Checked {
			names = append(names, choice.Name+": "+choice.States)
		}
	}
	if erp.err != nil {
		for _, role := range saved.Settings.ShownRoles {
			names = append(names, c.T("settings.role.number", "ID", role))
		}
	}
	s.State, s.Text, s.Facts, s.LinkText = "done", c.T("setup.shown.done", "Zone", saved.Settings.TimeZone), names, c.T("setup.change")
	if erp.err == nil && unknown != "" {
		s.State, s.Cure = "bad", c.T("fault.role-unknown", "Typed", unknown)
	}
	return s
}

// peopleStep is who gets a calendar, by the field's name.
func peopleStep(c locale, saved settings.Saved, erp knownERP) setupStep {
	s := setupStep{State: "todo", Title: c.T("setup.people.title"), Text: c.T("setup.people.todo"), Link: "/settings#people", LinkText: c.T("setup.choose")}
	if saved.Version == 0 {
		return s
	}
	s.State, s.LinkText, s.Text = "done", c.T("setup.change"), c.T("setup.people.done")
	for _, o := range cardChoices(c.Texts, "binding_field", erp, digits(saved.Settings.BindingField)) {
		if o.Chosen {
			s.Facts = []string{o.Label}
		}
	}
	if erp.err != nil {
		s.Facts = []string{fieldWords(c.Texts, "binding_field", digits(saved.Settings.BindingField))}
		return s
	}
	get := 0
	for _, card := range erp.cards {
		if verdict, _ := calendarsync.DecideEmployee(saved.Settings, card, false); verdict == calendarsync.Keep {
			get++
		}
	}
	s.Facts = append(s.Facts, c.N("setup.people.count", get))
	return s
}

// fieldWords says which field of the card is chosen for a setting, without the name that the ERP
// gives it; "0" is none.
func fieldWords(t i18n.Texts, setting, id string) string {
	if id == "0" {
		return t.T("settings.field.none." + setting)
	}
	return t.T("settings.field.number", "ID", id)
}
