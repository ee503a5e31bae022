package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// heldFigures is how the record of a decision says how much it is about.
const heldFigures = "%d events, %d calendars"

// mostReviewed is how many of the chosen deletions a page names before they go.
const mostReviewed = 20

// heldRow is one task or employee whose deletions wait for an admin.
type heldRow struct {
	Key        string // "tasks/12", as forms name it
	Task       bool
	ID         int64
	Title      string // of the event, or the employee's name
	At         string // when the event is, in the installation's zone
	People     []string
	Count      string // "2 events", "1 calendar with 11 events"
	Why        cause
	Since      stamp
	Withdrawn  bool
	ERP        string
	GivesBack  string // what keeping it gives back; "" where nothing was taken
	Checkbox   string // the id of its box
	EmployeeID int64
}

type heldView struct {
	Rows             []heldRow
	Events, Within   string
	Calendars        string
	HasEvents        bool
	HasCalendars     bool
	HasWithin        bool
	Since            stamp
	Hash             string
	Total            int
	Pager            pager
	Dropped          []heldRow
	Empty            empty
	Nothing, Changed bool
}

// showHeld serves the plan of what the delete guard holds.
func (h *handler) showHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.held(w, r, s, http.StatusOK, heldView{})
}

func (h *handler) held(w http.ResponseWriter, r *http.Request, s signin.Session, status int, v heldView) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	c, link, ok := h.settled(w, r)
	if !ok {
		return
	}
	plan, ok := h.heldPlan(w, r)
	if !ok {
		return
	}
	dropped, err := h.Store.Dropped(ctx)
	if err != nil {
		h.trouble(w, r, "read what an admin kept", err)
		return
	}
	list := listing{path: "/held", query: r.URL.Query()}
	v.Total, v.Hash, v.Since = len(plan.Keys), plan.Hash, c.stamp(plan.Since)
	v.Pager = list.pager(c.Texts, len(plan.Keys))
	from := min((list.number()-1)*pageRows, max(0, (len(plan.Keys)-1)/pageRows*pageRows))
	shown := plan.Keys[from:min(from+pageRows, len(plan.Keys))]
	dropped = dropped[:min(len(dropped), pageRows)]
	names, err := h.names(ctx, concerned(slices.Concat(shown, dropped)))
	if err != nil {
		h.trouble(w, r, "read the employees' names", err)
		return
	}
	v.counts(c, plan)
	for _, k := range shown {
		v.Rows = append(v.Rows, heldRowOf(c, k, names, link))
	}
	for _, k := range dropped {
		v.Dropped = append(v.Dropped, heldRowOf(c, k, names, link))
	}
	v.Empty = empty{Title: c.T("held.empty.title"), Text: c.T("held.empty.text")}
	h.show(w, r, status, view{Page: "held", Title: c.T("frame.held"), Session: &s, Body: v})
}

// counts puts what a plan would delete into numbers.
func (v *heldView) counts(c locale, plan store.HeldPlan) {
	v.Events, v.Calendars, v.Within = c.N("count.events", plan.Events), c.N("count.calendars", plan.Calendars), c.N("count.events", plan.Within)
	v.HasEvents, v.HasCalendars, v.HasWithin = plan.Events > 0, plan.Calendars > 0, plan.Within > 0
}

// concerned are the employees that rows name.
func concerned(keys []store.HeldKey) []int64 {
	var ids []int64
	for _, k := range keys {
		if k.Collection == store.Employees {
			ids = append(ids, k.ID)
		}
		ids = append(ids, k.Employees...)
	}
	return ids
}

func heldRowOf(c locale, k store.HeldKey, names map[int64]string, link func(int64) string) heldRow {
	name := func(id int64) string { return cmp.Or(names[id], "#"+strconv.FormatInt(id, 10)) }
	row := heldRow{Key: formKey(k.Key), ID: k.ID, Since: c.stamp(k.Since), Checkbox: string(k.Collection) + "-" + strconv.FormatInt(k.ID, 10)}
	if k.Collection == store.Employees {
		row.Title, row.Why, row.EmployeeID = name(k.ID), employeeCause(c.Texts, k.Reason), k.ID
		row.Count = c.N("count.calendars", k.Calendars)
		if k.Within > 0 {
			row.Count = c.N("held.calendars-with", k.Calendars, "Events", c.N("count.events", k.Within))
		}
		row.Withdrawn = k.Withdrawn
		if k.Withdrawn {
			row.GivesBack = c.T("held.gives-back")
			switch calendarsync.Reason(k.Reason) {
			case calendarsync.ReasonNoAddress, calendarsync.ReasonInvalidAddress, calendarsync.ReasonDeleted:
				row.GivesBack = c.T("held.gives-nothing-back")
			}
		}
		return row
	}
	row.Task, row.Title, row.At, row.ERP = true, k.Title, heldStart(c, k.Start), link(k.ID)
	row.Why, row.Count = taskCause(c.Texts, k.Reason), c.N("count.events", k.Events)
	for _, id := range k.Employees {
		row.People = append(row.People, name(id))
	}
	return row
}

// heldStart is when a held event begins: a date, or a time in the installation's zone.
func heldStart(c locale, start string) string {
	if at, err := time.Parse(time.RFC3339, start); err == nil {
		return c.moment(at)
	}
	if day, err := time.Parse(time.DateOnly, start); err == nil {
		return day.Format(c.day())
	}
	return ""
}

// reviewHeld shows what would go of what was ticked, by name and in numbers, before it goes.
func (h *handler) reviewHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	c, _, ok := h.settled(w, r)
	if !ok {
		return
	}
	plan, ok := h.heldPlan(w, r)
	if !ok {
		return
	}
	keys := heldKeys(r.PostForm["key"])
	if r.PostForm.Get("all") != "" {
		keys = nil
		for _, k := range plan.Keys {
			keys = append(keys, k.Key)
		}
	}
	part, complete := plan.Only(keys)
	switch {
	case len(keys) == 0:
		h.held(w, r, s, http.StatusUnprocessableEntity, heldView{Nothing: true})
		return
	case !complete:
		h.held(w, r, s, http.StatusConflict, heldView{Changed: true})
		return
	}
	named := part.Keys[:min(len(part.Keys), mostReviewed)]
	names, err := h.names(ctx, concerned(named))
	if err != nil {
		h.trouble(w, r, "read the employees' names", err)
		return
	}
	v := heldReview{Hash: part.Hash, Keep: r.PostForm.Get("keep") != "", Back: back(r, "/held").String()}
	v.counts(c, part)
	for _, k := range part.Keys {
		v.Keys = append(v.Keys, formKey(k.Key))
	}
	for _, k := range named {
		v.Rows = append(v.Rows, heldRowOf(c, k, names, func(int64) string { return "" }))
	}
	if n := len(part.Keys) - len(named); n > 0 {
		v.Others = c.N("held.others", n)
	}
	h.show(w, r, http.StatusOK, view{Page: "held-review", Menu: "held", Title: c.T("held.review.title"), Session: &s, Body: v})
}

// heldReview is what an admin chose, with the hash that the decision names.
type heldReview struct {
	heldView
	Hash   string
	Keys   []string
	Keep   bool // keeping is asked for, and not deleting
	Others string
	Back   string
}

// heldKeys reads keys as forms name them; what is none is left out.
func heldKeys(values []string) []store.Key {
	var keys []store.Key
	for _, v := range values {
		collection, number, _ := strings.Cut(v, "/")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || collection != string(store.Tasks) && collection != string(store.Employees) {
			continue
		}
		if k := (store.Key{Collection: store.Collection(collection), ID: id}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// confirmHeld lets exactly the deletions go that the admin was shown: the form names them
// and their hash (rule 4.5). Each key is read again and goes only if it is still due.
func (h *handler) confirmHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.decideHeld(w, r, s, "confirmed", h.Store.Allow)
}

// dropHeld keeps exactly what the admin was shown, until its source says something new.
func (h *handler) dropHeld(w http.ResponseWriter, r *http.Request, s signin.Session) {
	h.decideHeld(w, r, s, "dropped", h.Store.Drop)
}

func (h *handler) decideHeld(w http.ResponseWriter, r *http.Request, s signin.Session, decided string, decide func(context.Context, store.Key) error) {
	plan, ok := h.heldPlan(w, r)
	if !ok {
		return
	}
	keys := heldKeys(r.PostForm["key"])
	part, complete := plan.Only(keys)
	if !complete || part.Hash == "" || r.PostForm.Get("hash") != part.Hash {
		h.held(w, r, s, http.StatusConflict, heldView{Changed: true})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	for _, k := range part.Keys {
		if err := decide(ctx, k.Key); err != nil {
			h.trouble(w, r, "decide about the held deletions", err)
			return
		}
	}
	noteDone(r)
	noteChange(r, "", fmt.Sprintf(heldFigures, part.Events, part.Calendars))
	h.Log.InfoContext(r.Context(), "held deletions decided", "how", decided, "sub", s.Sub, "plan", part.Hash, "events", part.Events, "calendars", part.Calendars)
	h.askHeld(w, r, part.Keys, decided)
}

// reopenHeld puts what was dropped back into the list, to be decided anew.
func (h *handler) reopenHeld(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	dropped, err := h.Store.Dropped(ctx)
	chosen := heldKeys(r.PostForm["key"])
	var keys []store.HeldKey
	for _, k := range dropped {
		if err != nil || len(chosen) > 0 && !slices.Contains(chosen, k.Key) {
			continue
		}
		if err = h.Store.Reopen(ctx, k.Key); err == nil {
			keys = append(keys, k)
		}
	}
	if err != nil {
		h.trouble(w, r, "put the dropped deletions back", err)
		return
	}
	noteDone(r)
	h.askHeld(w, r, keys, "reopened")
}

// recheckHeld asks for a pass over what is held: what recovered drops out.
func (h *handler) recheckHeld(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	if plan, ok := h.heldPlan(w, r); ok {
		h.askHeld(w, r, plan.Keys, "held")
	}
}

func (h *handler) heldPlan(w http.ResponseWriter, r *http.Request) (store.HeldPlan, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	plan, err := h.Store.Held(ctx)
	if err != nil {
		h.trouble(w, r, "read what is held", err)
	}
	return plan, err == nil
}

// askHeld asks for a pass over each key, and says once what was decided.
func (h *handler) askHeld(w http.ResponseWriter, r *http.Request, held []store.HeldKey, queued string) {
	var keys []store.Key
	for _, k := range held {
		keys = append(keys, k.Key)
	}
	if h.publishKeys(w, r, keys) {
		h.goBack(w, r, "queued", queued)
	}
}

// everybody is the message that asks for a full run.
func everybody() queue.Message {
	return queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}
}
