package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/plan"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// A plan tells how many events go and come. In a small company that is counted while its page
// is made. In a large one it would take seconds to minutes, so that a page of its own counts a
// part each time it is looked at, says how far it is, and loads itself again; at the end it is
// the plan, with exact numbers.

const (
	planPath = "/settings/plan"
	// mostAtOnce is how many tasks' records a page counts, and mostReadAtOnce how many tasks it
	// reads from the ERP for that.
	mostAtOnce, mostReadAtOnce = 1000, 200
	// mostListed is how many tasks of the ERP are counted at all: their numbers are kept in one
	// record in between, which Firestore bounds at 1 MiB.
	mostListed = 50_000
	// countLasts is how long a count is of use.
	countLasts = 10 * time.Minute
)

// counting is how far the count for a proposal is.
type counting struct {
	// Records is how many tasks' records there were when it began, Counted how many were counted,
	// After the last of them; Events is nil where none have to be.
	Events  *plan.Count `json:"events,omitempty"`
	Records int         `json:"records,omitempty"`
	Counted int         `json:"counted,omitempty"`
	After   int64       `json:"after,omitempty"`
	All     bool        `json:"all,omitempty"`
	// Joining is nil where nothing joins; Tasks are those that the ERP has yet to be asked for,
	// of as many as Listed.
	Joining *plan.Joining         `json:"joining,omitempty"`
	Tasks   []calendarsync.TaskID `json:"tasks,omitempty"`
	Listed  int                   `json:"listed,omitempty"`
}

func (k *counting) eventsDone() bool  { return k.Events == nil || k.All }
func (k *counting) joiningDone() bool { return k.Joining == nil || len(k.Tasks) == 0 }

// countingStore has the tasks to be counted, and keeps the count.
type countingStore interface {
	// SettingsCount reads the count of an admin, given by their sub's hash; found is false where
	// they counted nothing yet.
	SettingsCount(ctx context.Context, by string) (rec store.SettingsCount, found bool, err error)
	// SaveSettingsCount replaces an admin's count.
	SaveSettingsCount(ctx context.Context, by string, rec store.SettingsCount) error
	// TasksAfter lists the records of some tasks behind an id (0: from the first), by id.
	TasksAfter(ctx context.Context, id int64, limit int) ([]store.TaskRecord, error)
}

// countFor gives what was counted for a plan; nil where that is nothing, or too long ago.
func (h *handler) countFor(ctx context.Context, p proposal, hash string) (*counting, error) {
	if p.afresh {
		return nil, nil
	}
	text, err := settings.Encode(p.next)
	if err != nil {
		return nil, err
	}
	rec, found, err := h.Store.SettingsCount(ctx, p.by)
	if err != nil || !found || rec.For != string(text) || rec.Version != p.saved.Version || rec.Plan != hash || h.Now().Sub(rec.At) > countLasts {
		return nil, err
	}
	k := new(counting)
	return k, json.Unmarshal([]byte(rec.Progress), k)
}

// beginCount begins a count for a plan, and leads to the page that goes on with it.
func (h *handler) beginCount(w http.ResponseWriter, r *http.Request, p proposal, made madePlan, k *counting) {
	text, err := settings.Encode(p.next)
	if err == nil {
		err = h.saveCount(r.Context(), p.by, store.SettingsCount{For: string(text), Version: p.saved.Version, Plan: made.Hash()}, k)
	}
	if err != nil {
		h.trouble(w, r, "begin to count what the settings concern", err)
		return
	}
	h.redirect(w, h.console.URL(planPath, nil))
}

func (h *handler) saveCount(ctx context.Context, by string, rec store.SettingsCount, k *counting) error {
	progress, err := json.Marshal(k)
	if err != nil {
		return err
	}
	rec.Progress = string(progress)
	return h.Store.SaveSettingsCount(ctx, by, rec)
}

// countingView is the page of a count under way.
type countingView struct {
	// Heading is the page's, Path its own, and Back where to go without it.
	Heading, Path, Back, Menu string
	Title, Text               string
	Done, Of                  int
	// Enough leads to the plan without the rest of the count; "" while that cannot be left out.
	Enough string
}

// showCounted counts on, and shows how far it is, or the plan once it is done.
func (h *handler) showCounted(w http.ResponseWriter, r *http.Request, s signin.Session) {
	rec, found, err := h.Store.SettingsCount(r.Context(), signin.Hash(s.Sub))
	if err != nil {
		h.trouble(w, r, "read the count", err)
		return
	}
	saved, ok := h.saved(w, r)
	if !ok {
		return
	}
	k := new(counting)
	next, wrong := settings.Parse([]byte(rec.For), saved.Settings)
	if !found || wrong != nil || json.Unmarshal([]byte(rec.Progress), k) != nil || rec.Version != saved.Version || h.Now().Sub(rec.At) > countLasts {
		h.redirect(w, h.console.URL(settingsPath, url.Values{"queued": {"uncounted"}}))
		return
	}
	p := proposal{by: signin.Hash(s.Sub), saved: saved, next: next}
	enough := r.URL.Query().Has("enough")
	if !k.eventsDone() || !k.joiningDone() && !enough {
		if err := h.countOn(r.Context(), p, k); err != nil {
			h.trouble(w, r, "count what the settings concern", err)
			return
		}
		if err := h.saveCount(r.Context(), p.by, rec, k); err != nil {
			h.trouble(w, r, "keep the count", err)
			return
		}
	}
	c := h.locale(r, next.TimeZone)
	page := countingView{Heading: c.T("plan.title"), Menu: "settings", Path: planPath, Back: settingsPath}
	switch {
	case !k.eventsDone():
		page.Title, page.Done, page.Of = c.T("plan.counting.events"), k.Counted, max(k.Records, k.Counted)
		h.showCounting(w, r, s, page)
	case !k.joiningDone() && !enough:
		page.Title, page.Done, page.Of, page.Enough = c.T("plan.counting.joining"), k.Listed-len(k.Tasks), k.Listed, planPath+"?enough"
		h.showCounting(w, r, s, page)
	default:
		p.erp = h.readERP(r)
		made, err := h.makePlan(r.Context(), p)
		if err != nil {
			h.trouble(w, r, "count what the settings would do", err)
			return
		}
		h.showPlan(w, r, http.StatusOK, s, p, made, planView{Enough: enough})
	}
}

func (h *handler) showCounting(w http.ResponseWriter, r *http.Request, s signin.Session, v countingView) {
	c := h.locale(r, "")
	v.Text = c.N("plan.counting.progress", v.Of, "Done", v.Done, "Of", v.Of)
	h.show(w, r, http.StatusOK, view{Page: "counting", Menu: v.Menu, Title: v.Heading, Session: &s, Body: v, Again: true})
}

// countOn counts one part more.
func (h *handler) countOn(ctx context.Context, p proposal, k *counting) error {
	if !k.eventsDone() {
		tasks, err := h.Store.TasksAfter(ctx, k.After, mostAtOnce)
		if err != nil {
			return err
		}
		k.Events.Add(tasks)
		k.Counted += len(tasks)
		if k.All = len(tasks) < mostAtOnce; !k.All {
			k.After = tasks[len(tasks)-1].ID
		}
		return nil
	}
	some := k.Tasks[:min(mostReadAtOnce, len(k.Tasks))]
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	catalogue, err := h.ERP.Catalogue(ctx)
	var readings map[calendarsync.TaskID]calendarsync.TaskReading
	if err == nil {
		readings, err = h.ERP.TasksWith(ctx, some, calendarsync.Extras{})
	}
	if err != nil {
		// A slow ERP costs the number only: the plan says how many tasks there are at most.
		h.Log.WarnContext(ctx, "the tasks that would join could not be read", "error", err)
		k.Joining, k.Tasks = nil, nil
		return nil
	}
	if err := k.Joining.Add(p.applied(), catalogue, readings); err != nil {
		return err
	}
	k.Tasks = k.Tasks[len(some):]
	return nil
}

// joining is what of the ERP's tasks gets an event: by person, or only how many tasks are in
// question, where they could not be read.
type joining struct {
	people []plan.Person
	tasks  int
	known  bool // the ERP said so
	// begun is a count to be gone on with: there are too many tasks to read for a page.
	begun *counting
}

// joining counts what joins. The answer is for the reader only: nothing is decided by it, so
// that a slow ERP costs its lines and not the page.
func (h *handler) joining(ctx context.Context, p proposal, made madePlan) (joining, error) {
	if p.erp.err != nil {
		return joining{}, nil
	}
	b := p.basis()
	states := made.JoiningStates(b)
	if len(states) == 0 {
		return joining{}, nil
	}
	done, err := h.countFor(ctx, p, made.Hash())
	if err != nil {
		return joining{}, err
	}
	if done != nil && done.Listed > 0 {
		j := joining{known: true, tasks: done.Listed}
		if done.Joining != nil && done.joiningDone() {
			j.people, j.tasks = done.Joining.People(), 0
		}
		return j, nil
	}
	listing, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	ids, err := h.ERP.ListTasks(listing, userside.TaskFilter{States: states})
	if err != nil {
		h.Log.WarnContext(ctx, "the tasks that would join could not be counted", "error", err)
		return joining{}, nil
	}
	j := joining{tasks: len(ids), known: true}
	if len(ids) == 0 || len(ids) > mostListed {
		return j, nil
	}
	if b.Employees, err = h.Store.Employees(ctx); err != nil {
		return j, err
	}
	k := &counting{Joining: made.NewJoining(b, h.Now()), Tasks: ids, Listed: len(ids)}
	if done != nil {
		k.Events, k.Records, k.Counted, k.After, k.All = done.Events, done.Records, done.Counted, done.After, done.All
	}
	if len(ids) > mostReadAtOnce {
		j.begun = k
		return j, nil
	}
	at := &counting{Joining: k.Joining, Tasks: ids}
	if err := h.countOn(ctx, p, at); err != nil {
		return j, err
	}
	if at.Joining != nil {
		j.people, j.tasks = at.Joining.People(), 0
	}
	return j, nil
}
