package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// askView is a page on which an admin sees what an action would do, with counts,
// before doing it.
type askView struct {
	Title, Button, Action string
	Facts                 []string
	// Phrase is to be typed; "" asks for nothing. Counts name what the admin saw.
	Phrase, Typed     string
	Wrong             bool
	Calendars, Events int
	Version           int64
	Back              string
}

// showPurge shows what a purge would delete.
func (h *handler) showPurge(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askPurge(w, r, s, http.StatusOK, "")
}

func (h *handler) askPurge(w http.ResponseWriter, r *http.Request, s signin.Session, status int, typed string) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	in, err := h.Store.Installation(ctx)
	if err != nil {
		h.trouble(w, r, "read the installation", err)
		return
	}
	if in.Purge.Open() {
		h.redirect(w, h.console.URL("/", nil))
		return
	}
	if h.undecided(w, r, in) {
		return
	}
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		h.trouble(w, r, "read settings", err)
		return
	}
	if !saved.Ready() {
		h.message(w, r, http.StatusConflict, message{Title: "The settings have to be mended first",
			Text: "A purge switches syncing off, which is a setting; but the settings cannot be used as they are.",
			Link: h.console.URL("/settings", nil), LinkText: "Open the settings"})
		return
	}
	calendars, events, err := h.Store.Owned(ctx)
	if err != nil {
		h.trouble(w, r, "count the calendars", err)
		return
	}
	v := askView{
		Title: "Delete everything", Action: "/purge", Button: "Delete " + plural(calendars, "calendar", "calendars"),
		Facts: []string{
			plural(calendars, "calendar", "calendars") + " with " + plural(events, "event", "events") + " will be deleted at Google, and nobody will see them any more.",
			"Syncing is switched off at the same moment and stays off until you switch it on in the settings; then every calendar is made anew, and every employee is invited again.",
			"A calendar in which somebody has put events of their own is not deleted: it loses the share, the tasks' events and this product's mark, and stays in the account.",
			"It goes at the pace of Google's limit" + paceWords(h.locale(r, saved.Settings.TimeZone), calendars) + ". You can stop it on the status page; what is gone by then stays gone.",
		},
		Phrase: purgePhrase(calendars), Typed: typed, Wrong: status != http.StatusOK,
		Calendars: calendars, Events: events, Version: saved.Version, Back: "/",
	}
	h.show(w, r, status, view{Page: "ask", Title: v.Title, Session: &s, Body: v})
}

// purgePhrase is what has to be typed: it names the count, so that it cannot be
// typed by habit.
func purgePhrase(calendars int) string { return "delete " + plural(calendars, "calendar", "calendars") }

// paceWords estimates how long a purge takes: for each calendar its rules, its mark,
// its events and the deletions, of which the bulk lane makes about eight a second.
func paceWords(c locale, calendars int) string {
	d := time.Duration(calendars) * 5 * time.Second / 8
	if d < time.Minute {
		return ""
	}
	return ": about " + c.age(d)
}

// purge starts one, if the admin typed what was asked and the counts are still
// those of the page.
func (h *handler) purge(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	calendars, events, err := h.Store.Owned(ctx)
	if err != nil {
		h.trouble(w, r, "count the calendars", err)
		return
	}
	in, err := h.Store.Installation(ctx)
	if err != nil {
		h.trouble(w, r, "read the installation", err)
		return
	}
	if h.undecided(w, r, in) {
		return
	}
	typed := strings.ToLower(strings.Join(strings.Fields(r.PostFormValue("typed")), " "))
	if typed != purgePhrase(calendars) {
		h.askPurge(w, r, s, http.StatusUnprocessableEntity, r.PostFormValue("typed"))
		return
	}
	saved, err := h.Settings.Saved(ctx)
	if err != nil {
		h.trouble(w, r, "read settings", err)
		return
	}
	next := saved.Settings
	next.Enabled = false
	text, err := settings.Encode(next)
	if err != nil {
		h.trouble(w, r, "switch syncing off", err)
		return
	}
	version := int64(-1)
	if n, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64); err == nil && saved.Ready() {
		version = n
	}
	err = h.Store.StartPurge(ctx, store.PurgeRecord{ID: rand.Text(), By: s.Email, Calendars: calendars, Events: events}, string(text), version)
	switch {
	case errors.Is(err, store.ErrStale):
		h.message(w, r, http.StatusConflict, message{Title: "The settings were saved meanwhile",
			Text: "Nothing was deleted. Somebody else is at work here; talk to them, then open the page again.",
			Link: h.console.URL("/purge", nil), LinkText: "Open the page again"})
		return
	case err != nil && !errors.Is(err, store.ErrPurging):
		h.trouble(w, r, "start the purge", err)
		return
	}
	h.Log.WarnContext(r.Context(), "purge started", "sub", s.Sub, "calendars", calendars, "events", events)
	if h.publish(w, r, h.cfg.EmployeeTopic, everybody()) {
		h.goBack(w, r, "queued", "purge")
	}
}

// stopPurge ends an open purge; what is gone by then stays gone.
func (h *handler) stopPurge(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	if err := h.Store.StopPurge(ctx); err != nil {
		h.trouble(w, r, "stop the purge", err)
		return
	}
	h.Log.WarnContext(r.Context(), "purge stopped", "sub", s.Sub)
	h.goBack(w, r, "queued", "stopped")
}

// purgeView is the progress of a purge under way.
type purgeView struct {
	Gone, Of  int
	Remaining string // about how long it will take; "" while that cannot be estimated
	Since     stamp
}

// purgeOf says how far an open purge is, from what is still there.
func purgeOf(c locale, o overview) *purgeView {
	if !o.purge.Open() {
		return nil
	}
	there := 0
	for _, e := range o.employees {
		if e.Calendar != nil {
			there++
		}
		there += len(e.Retiring)
	}
	v := &purgeView{Of: max(o.purge.Calendars, there), Since: c.stamp(o.purge.StartedAt)}
	v.Gone = v.Of - there
	v.Remaining = remaining(c, c.now.Sub(o.purge.StartedAt), v.Gone, v.Of)
	return v
}

// remaining estimates from the pace so far how long the rest takes.
func remaining(c locale, elapsed time.Duration, done, of int) string {
	if done <= 0 || elapsed <= 0 || done >= of {
		return ""
	}
	return c.age(time.Duration(float64(elapsed) / float64(done) * float64(of-done)))
}

// showRebuild shows what a rebuild of an employee's calendar would do.
func (h *handler) showRebuild(w http.ResponseWriter, r *http.Request, s signin.Session) {
	e, ok := h.employee(w, r, s)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	tasks, err := h.Store.TasksOf(ctx, e.ID)
	if err != nil {
		h.trouble(w, r, "count the events", err)
		return
	}
	events := 0
	for _, t := range tasks {
		if m, ok := t.Mapping(e.ID); ok && m.State == store.MappingLive {
			events++
		}
	}
	v := askView{
		Title: "Rebuild the calendar of " + e.Name, Action: fmt.Sprintf("/employees/%d/rebuild", e.ID), Button: "Rebuild the calendar",
		Facts: []string{
			plural(events, "event", "events") + " of this product will be deleted and made again from the ERP. For " + h.locale(r, "").age(time.Duration(max(events, 1))*time.Second) + " or so the calendar is not complete.",
			"The calendar keeps its address and its share: nobody is invited again. Events that others put there are not touched.",
			"Usually “Sync now” is enough: it repairs what differs. Rebuild only what that does not mend.",
		},
		Back: personPath(e.ID), Events: events,
	}
	h.show(w, r, http.StatusOK, view{Page: "ask", Title: v.Title, Session: &s, Body: v})
}

// rebuild asks that an employee's calendar be emptied and filled again.
func (h *handler) rebuild(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "rebuild", h.Store.AskRebuild, message{Title: "There is no calendar to rebuild",
		Text: "The employee's calendar is not active, so nothing was done. The status page says why."})
}

// showReplace shows what it means to replace a calendar that is gone at once.
func (h *handler) showReplace(w http.ResponseWriter, r *http.Request, s signin.Session) {
	e, ok := h.employee(w, r, s)
	if !ok {
		return
	}
	v := askView{
		Title: "Make a new calendar for " + e.Name, Action: fmt.Sprintf("/employees/%d/replace", e.ID), Button: "Make a new one now",
		Facts: []string{
			"Google says that the calendar does not exist. It is asked once more: if the calendar is there, nothing happens.",
			"Otherwise a new calendar is made at once and filled from the ERP, and " + e.Name + " is invited to it by mail.",
			"Without this the calendar is looked for again first, because Google has said so of calendars that came back by themselves.",
		},
		Back: personPath(e.ID),
	}
	h.show(w, r, http.StatusOK, view{Page: "ask", Title: v.Title, Session: &s, Body: v})
}

// replace asks that a calendar that is gone be replaced without further waiting.
func (h *handler) replace(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "replace", h.Store.AskReplacement, message{Title: "There is no calendar to replace",
		Text: "Google does not say that the employee's calendar is gone, or a new one was asked for already, so nothing was done."})
}

// invite asks that the invitation be sent again.
func (h *handler) invite(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "invite", h.Store.AskInvitation, message{Title: "The invitation was not sent again",
		Text: "Either Google shows the share by now, or the last invitation was sent less than a day ago. Ask the employee to look for it in the mailbox, also among unwanted mail."})
}

func (h *handler) askEmployee(w http.ResponseWriter, r *http.Request, s signin.Session, what string, ask func(context.Context, int64) (bool, error), notAsked message) {
	e, ok := h.employee(w, r, s)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	asked, err := ask(ctx, e.ID)
	if err != nil {
		h.trouble(w, r, "ask for it", err)
		return
	}
	if !asked {
		notAsked.Link, notAsked.LinkText = h.console.URL(personPath(e.ID), nil), "Back to the employee"
		h.message(w, r, http.StatusConflict, notAsked)
		return
	}
	h.Log.InfoContext(r.Context(), "asked for by an admin", "what", what, "employee", e.ID, "sub", s.Sub)
	h.ask(w, r, s, store.Employees, what)
}

// employee reads the employee whom a path names.
func (h *handler) employee(w http.ResponseWriter, r *http.Request, s signin.Session) (store.EmployeeRecord, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		h.notFound(w, r, s)
		return store.EmployeeRecord{}, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	e, found, err := h.Store.Employee(ctx, id)
	if err != nil {
		h.trouble(w, r, "read the employee", err)
		return e, false
	}
	if !found {
		h.notFound(w, r, s)
	}
	return e, found
}
