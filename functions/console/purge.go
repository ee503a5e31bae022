package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/status"
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
		noteNothing(r)
		h.redirect(w, h.console.URL("/", nil))
		return
	}
	if h.undecided(w, r, in) {
		return
	}
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	if !saved.Ready() {
		h.say(w, r, http.StatusConflict, "settings-first", "/settings")
		return
	}
	calendars, events, counted := h.owned(w, r, s)
	if !counted {
		return
	}
	c := h.locale(r, saved.Settings.TimeZone)
	v := askView{
		Title: c.T("ask.purge.title"), Action: "/purge", Button: c.N("ask.purge.button", calendars),
		Facts: []string{
			c.T("ask.purge.goes", "Calendars", c.N("count.calendars", calendars), "Events", c.N("count.events", events)),
			c.T("ask.purge.off"), c.T("ask.purge.others"), paceWords(c, calendars),
		},
		Phrase: purgePhrase(c.Texts, calendars), Typed: typed, Wrong: status != http.StatusOK,
		Calendars: calendars, Events: events, Version: saved.Version, Back: "/",
	}
	h.show(w, r, status, view{Page: "ask", Menu: "overview", Title: v.Title, Session: &s, Body: v})
}

// owned counts the calendars and events that a purge would delete, as the records have them. In a
// large company the page counts in parts; counted is false where it answered with how far it is.
func (h *handler) owned(w http.ResponseWriter, r *http.Request, s signin.Session) (calendars, events int, counted bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	k, err := h.countOwned(ctx, signin.Hash(s.Sub))
	if err == nil {
		calendars, err = h.Store.OwnedCalendars(ctx)
	}
	switch {
	case err != nil:
		h.trouble(w, r, "count the calendars", err)
		return 0, 0, false
	case !k.eventsDone():
		noteNothing(r)
		c := h.texts(r)
		h.showCounting(w, r, s, countingView{Title: c.T("plan.counting.events"), Menu: "overview", Heading: c.T("ask.purge.title"), Path: purgePath, Back: overviewPath,
			Done: k.Counted, Of: max(k.Records, k.Counted)})
		return 0, 0, false
	}
	for _, n := range k.Events.Live {
		events += n
	}
	return calendars, events, true
}

// countOwned counts one part more of all events.
func (h *handler) countOwned(ctx context.Context, by string) (*counting, error) {
	rec, found, err := h.Store.SettingsCount(ctx, by)
	if err != nil {
		return nil, err
	}
	k := new(counting)
	if !found || rec.For != purgePath || h.Now().Sub(rec.At) > countLasts || json.Unmarshal([]byte(rec.Progress), k) != nil {
		k = &counting{Events: new(plan.Count)}
		if k.Records, err = h.Store.CountTasks(ctx); err != nil {
			return nil, err
		}
	}
	if k.eventsDone() {
		return k, nil
	}
	if err := h.countOn(ctx, proposal{}, k); err != nil || k.Records < mostAtOnce {
		return k, err // of a small company it is counted anew each time
	}
	return k, h.saveCount(ctx, by, store.SettingsCount{For: purgePath}, k)
}

// purgePath is the page of the purge, and what its count is kept under.
const purgePath = "/purge"

// purgePhrase is what has to be typed: it names the count, so that it cannot be
// typed by habit.
func purgePhrase(t i18n.Texts, calendars int) string { return t.N("ask.purge.phrase", calendars) }

var thousands = regexp.MustCompile(`(\d)[, ](\d{3})`)

// asTyped is a phrase however its blanks, its capitals and the thousands of its count are typed.
func asTyped(phrase string) string {
	phrase = strings.ToLower(strings.Join(strings.Fields(phrase), " "))
	return thousands.ReplaceAllString(phrase, "$1$2")
}

// paceWords estimates how long a purge takes: for each calendar its rules, its mark,
// its events and the deletions, of which the bulk lane makes about eight a second.
func paceWords(c locale, calendars int) string {
	d := time.Duration(calendars) * 5 * time.Second / 8
	if d < time.Minute {
		return c.T("ask.purge.pace")
	}
	return c.T("ask.purge.pace-about", "Age", c.age(d))
}

// purge starts one, if the admin typed what was asked and the counts are still
// those of the page.
func (h *handler) purge(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	calendars, events, counted := h.owned(w, r, s)
	if !counted {
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
	if asTyped(r.PostFormValue("typed")) != asTyped(purgePhrase(h.texts(r), calendars)) {
		h.askPurge(w, r, s, http.StatusUnprocessableEntity, r.PostFormValue("typed"))
		return
	}
	saved, ok := h.saved(w, r)
	if !ok {
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
		h.say(w, r, http.StatusConflict, "saved-meanwhile", "/purge")
		return
	case err != nil && !errors.Is(err, store.ErrPurging):
		h.trouble(w, r, "start the purge", err)
		return
	}
	noteDone(r)
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
}

// purgeOf says how far an open purge is, from what is still there; nil where there is none.
func purgeOf(c locale, s status.Status) *purgeView {
	purge := s.Installation.Purge
	if !purge.Open() {
		return nil
	}
	there := s.Calendars()
	v := &purgeView{Of: max(purge.Calendars, there)}
	v.Gone = v.Of - there
	v.Remaining = remaining(c, c.now.Sub(purge.StartedAt), v.Gone, v.Of)
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
	c := h.locale(r, "")
	v := askView{
		Title: c.T("ask.rebuild.title", "Name", e.Name), Action: fmt.Sprintf("/employees/%d/rebuild", e.ID), Button: c.T("ask.rebuild.button"),
		Facts: []string{
			c.T("ask.rebuild.goes", "Events", c.N("count.events", events), "Age", c.age(time.Duration(max(events, 1))*time.Second)),
			c.T("ask.rebuild.stays"), c.T("ask.rebuild.first"),
		},
		Back: personPath(e.ID), Events: events,
	}
	h.show(w, r, http.StatusOK, view{Page: "ask", Menu: "people", Title: v.Title, Session: &s, Body: v})
}

// rebuild asks that an employee's calendar be emptied and filled again.
func (h *handler) rebuild(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "rebuild", h.Store.AskRebuild, "no-rebuild")
}

// showReplace shows what it means to replace a calendar that is gone at once.
func (h *handler) showReplace(w http.ResponseWriter, r *http.Request, s signin.Session) {
	e, ok := h.employee(w, r, s)
	if !ok {
		return
	}
	t := h.texts(r)
	v := askView{
		Title: t.T("ask.replace.title", "Name", e.Name), Action: fmt.Sprintf("/employees/%d/replace", e.ID), Button: t.T("ask.replace.button"),
		Facts: []string{t.T("ask.replace.asked"), t.T("ask.replace.made", "Name", e.Name), t.T("ask.replace.otherwise")},
		Back:  personPath(e.ID),
	}
	if e.Reason == string(calendarsync.ReasonCalendarUnreachable) { // it exists: who reads it loses it
		v.Facts = []string{t.T("ask.replace.kept-away"), t.T("ask.replace.made", "Name", e.Name), t.T("ask.replace.lost"), t.T("ask.replace.waits")}
	}
	h.show(w, r, http.StatusOK, view{Page: "ask", Menu: "people", Title: v.Title, Session: &s, Body: v})
}

// replace asks that a calendar that is gone be replaced without further waiting.
func (h *handler) replace(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "replace", h.Store.AskReplacement, "no-replacement")
}

// invite asks that the invitation be sent again.
func (h *handler) invite(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.askEmployee(w, r, s, "invite", h.Store.AskInvitation, "no-invitation")
}

func (h *handler) askEmployee(w http.ResponseWriter, r *http.Request, s signin.Session, what string, ask func(context.Context, int64) (bool, error), refusal string) {
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
		h.say(w, r, http.StatusConflict, refusal, personPath(e.ID))
		return
	}
	noteDone(r)
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
