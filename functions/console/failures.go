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

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// mostFailing is how many failing keys of a kind are read at most.
	mostFailing = 1000
	// firstOfCause is how many keys of a cause the list of causes names.
	firstOfCause = 5
	// givenUp is the cause of a dead letter whose key has no failure of its own.
	givenUp = "given-up"
	// stateDismissed is the filter of what is dismissed; stateTasks and stateGaveUp are those of
	// what the overview counts (tally).
	stateDismissed, stateTasks, stateGaveUp = "dismissed", "tasks", "gave-up"
	// mostNamedKeys is how many keys the record of an action names.
	mostNamedKeys = 20
)

const failuresPath = "/failures"

// failing is one key whose last pass failed, or whose message gave up.
type failing struct {
	key     store.Key
	failure *store.Failure // nil where only the message gave up
	dead    *store.DeadLetterRecord
	since   time.Time // the change that waits
	next    time.Time // the next try; zero where none is planned
	name    string    // of an employee
}

// causeID names what failing keys have in common: the kind, the status and the other side's
// word for it.
func (f failing) causeID() string {
	if f.failure == nil {
		return givenUp
	}
	return fmt.Sprintf("%s-%d-%s", f.failure.Kind, f.failure.Status, f.failure.Reason)
}

func (f failing) dismissed() bool { return f.failure != nil && f.failure.Dismissed && f.dead == nil }

// person reports whether somebody has to do something about it.
func (f failing) person() bool { return f.failure == nil || personsFailure(f.failure.Kind) }

func (f failing) last() time.Time {
	if f.failure != nil {
		return f.failure.At
	}
	return f.dead.Last()
}

// failingCause is what keys fail for, with those that do.
type failingCause struct {
	ID          string
	Cause       cause
	Level       string // "bad" where it needs a person
	Code        string // the other side's word for it, by which causes of one text differ; "" for none
	Keys        int
	Concerned   string // "7 tasks", "1 employee"
	First, Last stamp
	Next        string // when the next of them is tried; "" where none is planned
	Rows        []failingRow
	All         string // the page of all of them; "" where Rows has them all
}

type failingRow struct {
	Task           bool
	ID             int64
	Name           string // of an employee
	ERP            string // the task in the ERP
	Key            string // "tasks/12", as forms name it
	Details        string
	Tries          int
	Since, Last    stamp
	Next           string
	GivenUp        bool
	SyncPath, Page string
}

type failuresView struct {
	Chips  []chip
	Causes []failingCause
	Pager  pager
	More   bool // more fail than were read
	// Dismissed: the list is of those that are.
	Dismissed bool
	Empty     empty
}

// showFailures serves what could not be applied, by cause.
func (h *handler) showFailures(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	c, link, ok := h.settled(w, r)
	if !ok {
		return
	}
	all, err := h.failing(ctx)
	if err != nil {
		h.trouble(w, r, "read what fails", err)
		return
	}
	list := listing{path: failuresPath, query: r.URL.Query()}
	state, only := list.query.Get("state"), list.query.Get("cause")
	open := failingOf(all, "")
	shown := failingOf(all, state)
	v := failuresView{More: len(all) >= mostFailing, Dismissed: state == stateDismissed, Empty: empty{Title: c.T("failures.empty.title"), Text: c.T("failures.empty.text")}}
	waiting := list.chip("", c.T("failures.open"), len(open))
	if slices.ContainsFunc(open, failing.person) {
		waiting.Level = "bad"
	}
	v.Chips = []chip{waiting, list.chip(stateDismissed, c.T("failures.dismissed"), len(failingOf(all, stateDismissed)))}
	switch state {
	case stateDismissed:
		v.Empty = empty{Title: c.T("failures.none-dismissed.title"), Text: c.T("failures.none-dismissed.text")}
	case stateTasks, stateGaveUp: // offered while it is chosen
		v.Chips = append(v.Chips, list.chip(state, c.T("overview.tile."+state), len(shown)))
	}
	for _, keys := range byCause(shown) {
		if only != "" && keys[0].causeID() != only {
			continue
		}
		from, to := 0, min(firstOfCause, len(keys))
		if only != "" {
			v.Pager = list.pager(c.Texts, len(keys))
			from = min((list.number()-1)*pageRows, (len(keys)-1)/pageRows*pageRows)
			to = min(from+pageRows, len(keys))
		}
		v.Causes = append(v.Causes, causeOf(c, keys, from, to, list, link))
	}
	h.show(w, r, http.StatusOK, view{Page: "failures", Title: c.T("frame.failures"), Session: &s, Body: v})
}

// failing reads all keys that fail or gave up.
func (h *handler) failing(ctx context.Context) ([]failing, error) {
	var tasks []store.TaskRecord
	var employees []store.EmployeeRecord
	var dead []store.DeadLetterRecord
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { tasks, err = h.Store.FailedTasks(gctx, mostFailing); return err })
	g.Go(func() (err error) { employees, err = h.Store.FailedEmployees(gctx, mostFailing); return err })
	g.Go(func() (err error) { dead, err = h.Store.DeadLetters(gctx, mostDeadLetters); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []failing
	for _, t := range tasks {
		out = append(out, failing{key: store.TaskKey(t.ID), failure: t.Failure, since: t.PendingSince, next: t.DueAt})
	}
	for _, e := range employees {
		out = append(out, failing{key: store.EmployeeKey(e.ID), failure: e.Failure, since: e.PendingSince, next: e.DueAt, name: e.Name})
	}
	out = slices.DeleteFunc(out, func(f failing) bool { return f.failure == nil })
	for _, d := range dead {
		key := store.Key{Collection: store.Collection(d.Collection), ID: d.Key}
		if i := slices.IndexFunc(out, func(f failing) bool { return f.key == key }); i >= 0 {
			out[i].dead = &d
			continue
		}
		out = append(out, failing{key: key, dead: &d, since: d.At})
	}
	return out, nil
}

// failingOf are those of a filter: "" and what is none are all that are not dismissed.
func failingOf(all []failing, filter string) []failing {
	var out []failing
	for _, f := range all {
		shown := !f.dismissed()
		switch filter {
		case stateDismissed:
			shown = !shown
		case stateTasks:
			shown = f.key.Collection == store.Tasks && f.failure != nil && !f.failure.Dismissed
		case stateGaveUp:
			shown = f.dead != nil
		}
		if shown {
			out = append(out, f)
		}
	}
	return out
}

// byCause puts keys that fail for one cause together: first the causes that need a person,
// then by how many there are.
func byCause(all []failing) [][]failing {
	groups := map[string][]failing{}
	for _, f := range all {
		groups[f.causeID()] = append(groups[f.causeID()], f)
	}
	var out [][]failing
	for _, keys := range groups {
		slices.SortFunc(keys, func(a, b failing) int {
			return cmp.Or(cmp.Compare(a.key.Collection, b.key.Collection), cmp.Compare(a.key.ID, b.key.ID))
		})
		out = append(out, keys)
	}
	rank := func(f failing) int {
		if f.person() {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(a, b []failing) int {
		return cmp.Or(cmp.Compare(rank(a[0]), rank(b[0])), cmp.Compare(len(b), len(a)), cmp.Compare(a[0].causeID(), b[0].causeID()))
	})
	return out
}

// causeOf shows one cause with the keys from one place in its list to another.
func causeOf(c locale, keys []failing, from, to int, list listing, link func(int64) string) failingCause {
	v := failingCause{ID: keys[0].causeID(), Cause: failureCause(c.Texts, keys[0].failure), Keys: len(keys)}
	v.Cause.Details = "" // each row has its own
	if keys[0].failure == nil {
		v.Cause = cause{What: c.T("failures.given-up.what"), Do: c.T("failures.given-up.do"), Person: true}
	}
	if v.Cause.Person {
		v.Level = "bad"
	}
	if f := keys[0].failure; f != nil && !ownReason(f.Reason) {
		v.Code = f.Reason
	}
	v.Concerned = concernedWords(c, keys)
	var first, last, next time.Time
	for _, f := range keys {
		first = earlier(first, cmp.Or(f.since, f.last()))
		if f.last().After(last) {
			last = f.last()
		}
		next = earlier(next, f.next)
	}
	v.First, v.Last, v.Next = c.stamp(first), c.stamp(last), nextTry(c, next)
	for _, f := range keys[from:to] {
		v.Rows = append(v.Rows, failingRowOf(c, f, link))
	}
	if len(v.Rows) < len(keys) && list.query.Get("cause") == "" {
		v.All = list.link("cause", v.ID)
	}
	return v
}

// concernedWords counts tasks and employees.
func concernedWords(c locale, keys []failing) string {
	tasks := 0
	for _, f := range keys {
		if f.key.Collection == store.Tasks {
			tasks++
		}
	}
	var out []string
	if tasks > 0 {
		out = append(out, c.N("count.tasks", tasks))
	}
	if n := len(keys) - tasks; n > 0 {
		out = append(out, c.N("count.employees", n))
	}
	return strings.Join(out, ", ")
}

func nextTry(c locale, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return c.about(at)
}

func failingRowOf(c locale, f failing, link func(int64) string) failingRow {
	row := failingRow{Task: f.key.Collection == store.Tasks, ID: f.key.ID, Key: formKey(f.key),
		Since: c.stamp(f.since), Last: c.stamp(f.last()), Next: nextTry(c, f.next), GivenUp: f.dead != nil}
	if f.failure != nil {
		row.Details, row.Tries = failureCause(c.Texts, f.failure).Details, f.failure.Count
	}
	if f.dead != nil {
		row.Tries = max(row.Tries, f.dead.Attempts)
	}
	if row.Task {
		row.ERP = link(f.key.ID)
	} else {
		row.Name = cmp.Or(f.name, c.T("people.unnamed", "ID", f.key.ID))
	}
	row.Page = "/" + row.Key
	row.SyncPath = row.Page + "/sync"
	return row
}

// formKey names a key in a form: "tasks/12", "employees/7".
func formKey(k store.Key) string {
	return string(k.Collection) + "/" + strconv.FormatInt(k.ID, 10)
}

// retryFailures has all keys of a cause tried again.
func (h *handler) retryFailures(w http.ResponseWriter, r *http.Request, _ signin.Session) {
	keys, ok := h.chosenFailures(w, r)
	if !ok {
		return
	}
	if h.publishKeys(w, r, keys) {
		noteChange(r, "", keysText(keys))
		h.goBack(w, r, "queued", "tried", "id", strconv.Itoa(len(keys)))
	}
}

// dismissFailures hides keys until they fail otherwise or somebody changes them.
func (h *handler) dismissFailures(w http.ResponseWriter, r *http.Request, s signin.Session) {
	keys, ok := h.chosenFailures(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	for _, k := range keys {
		if err := h.Store.DismissFailure(ctx, k); err != nil {
			h.trouble(w, r, "dismiss a failure", err)
			return
		}
	}
	noteChange(r, "", keysText(keys))
	h.Log.InfoContext(r.Context(), "failures dismissed", "sub", s.Sub, "keys", len(keys))
	h.goBack(w, r, "queued", "dismissed", "id", strconv.Itoa(len(keys)))
}

// keysText names keys, the first of many, for the record of an action.
func keysText(keys []store.Key) string {
	var out []string
	for i, k := range keys {
		if i == mostNamedKeys {
			out = append(out, "…")
			break
		}
		out = append(out, formKey(k))
	}
	return strings.Join(out, ", ")
}

// chosenFailures are the keys that a form names: one, or all of a cause as they are now; of those that
// its page shows.
func (h *handler) chosenFailures(w http.ResponseWriter, r *http.Request) ([]store.Key, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	all, err := h.failing(ctx)
	if err != nil {
		h.trouble(w, r, "read what fails", err)
		return nil, false
	}
	one, cause := r.PostForm.Get("key"), r.PostForm.Get("cause")
	var keys []store.Key
	for _, f := range failingOf(all, back(r, failuresPath).Query().Get("state")) {
		if one != "" && formKey(f.key) == one || one == "" && f.causeID() == cause {
			keys = append(keys, f.key)
		}
	}
	if len(keys) == 0 {
		noteNothing(r)
	}
	return keys, true
}

// publishKeys asks for a pass over each key.
func (h *handler) publishKeys(w http.ResponseWriter, r *http.Request, keys []store.Key) bool {
	ids := map[string][]int64{}
	for _, k := range keys {
		topic := h.cfg.TaskTopic
		if k.Collection == store.Employees {
			topic = h.cfg.EmployeeTopic
		}
		ids[topic] = append(ids[topic], k.ID)
	}
	for topic, list := range ids {
		for _, m := range queue.Split(queue.Message{IDs: list, Cause: queue.CauseConsole, Lane: queue.LaneLive}) {
			if !h.publish(w, r, topic, m) {
				return false
			}
		}
	}
	return true
}
