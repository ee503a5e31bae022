package console

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const peoplePath = "/employees"

// The orders of the list; the first is the one where none is chosen.
const (
	sortUrgency = ""
	sortName    = "name"
	sortSince   = "since"
)

// peopleStore is what the list of employees reads.
type peopleStore interface {
	// Employees lists all employees' records by id.
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	// Account reads the central account; store.ErrNotConnected where none ever was.
	Account(ctx context.Context) (store.AccountRecord, error)
	// CreationQueue lists who waits for a new calendar, in order; none is made before notBefore.
	CreationQueue(ctx context.Context, account string, now, notBefore time.Time) ([]store.QueuedCreation, error)
	// MarkDirty has a key looked at, should the message that asks for it get lost.
	MarkDirty(ctx context.Context, key store.Key, due time.Time) error
}

// peopleView is the list of employees.
type peopleView struct {
	Path, Query, State, Sort string
	Sorts                    []option
	Chips                    []chip
	Rows                     []personRow
	Pager                    pager
	Empty                    *empty
	Standstill               *cause // why nothing is written for anybody
	Queue                    string // how many wait for a calendar, and until when
}

// personRow is an employee as a list shows them.
type personRow struct {
	ID            int64
	Name, Address string
	Standing      standing
	AddURL        string // adds the calendar to its reader's list; "" where there is none
	order         []byte // sorts the name
}

// showPeople serves the list of employees.
func (h *handler) showPeople(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	known, err := h.known(ctx)
	if err != nil {
		h.trouble(w, r, "list the employees", err)
		return
	}
	c := h.locale(r, known.saved.Settings.TimeZone)
	q := r.URL.Query()
	l := listing{path: peoplePath, query: lasting(q)}
	h.show(w, r, http.StatusOK, view{Page: "people", Title: c.T("people.title"), Session: &s, Body: peopleOf(c, l, known)})
}

// knownPeople is what is known of all employees.
type knownPeople struct {
	conditions
	employees []store.EmployeeRecord
}

// known reads what is known of all employees. A search may ask for any part of a name, so
// every record is read; they are a company's employees, not its tasks.
func (h *handler) known(ctx context.Context) (knownPeople, error) {
	var k knownPeople
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { k.conditions, err = h.conditions(ctx); return err })
	g.Go(func() (err error) { k.employees, err = h.Store.Employees(ctx); return err })
	return k, g.Wait()
}

// peopleOf makes the page of a list: whom the search finds, counted by group, and of the
// group asked for those of the page asked for.
func peopleOf(c locale, l listing, known knownPeople) peopleView {
	v := peopleView{Path: l.path, Query: strings.TrimSpace(l.query.Get("q")), State: l.query.Get("state"), Sort: l.query.Get("sort"),
		Standstill: known.standstill(c), Queue: known.queueWords(c)}
	for _, sort := range []string{sortUrgency, sortName, sortSince} {
		v.Sorts = append(v.Sorts, option{Value: sort, Label: c.T("people.sort." + cmp.Or(sort, "urgency")), Chosen: sort == v.Sort})
	}
	counts := map[group]int{}
	counted := tallyOf(v.State)
	var rows []personRow
	found := 0
	for _, e := range known.employees {
		if !matches(e, v.Query) {
			continue
		}
		found++
		row := personRowOf(c, e, known.place(e))
		counts[row.Standing.group]++
		if v.State == "" || v.State == string(row.Standing.group) || counted != nil && counted.counts(e, known.queue) {
			rows = append(rows, row)
		}
	}
	v.Chips = append(v.Chips, l.chip("", c.T("people.state.all"), found))
	for _, g := range groups() {
		chip := l.chip(string(g), c.T("people.state."+string(g)), counts[g])
		if g == groupAttention {
			chip.Level = "bad"
		}
		v.Chips = append(v.Chips, chip)
	}
	if counted != nil {
		v.Chips = append(v.Chips, l.chip(v.State, c.T(counted.label), len(rows)))
	}
	sortPeople(c, rows, v.Sort)
	v.Pager = l.pager(c.Texts, len(rows))
	v.Rows = paged(l, rows)
	if len(rows) == 0 {
		v.Empty = noPeople(c, l, len(known.employees), v.Query)
	}
	return v
}

// tally lists exactly those whom a count of the overview counts: the groups are another division,
// by what a reader has to do. It is offered while it is chosen.
type tally struct {
	label  string
	counts func(e store.EmployeeRecord, queue map[int64]store.QueuedCreation) bool
}

// The filters of the overview's counts.
const (
	countsActive      = "active"
	countsMoving      = "moving"
	countsError       = "error"
	countsNone        = "none"
	countsQueued      = "queued"
	countsUnreachable = "unreachable"
)

// tallyOf is the tally of a filter; nil where that is none.
func tallyOf(filter string) *tally {
	of := func(label string, states ...store.EmployeeState) *tally {
		return &tally{label, func(e store.EmployeeRecord, _ map[int64]store.QueuedCreation) bool {
			return slices.Contains(states, e.CardState())
		}}
	}
	switch filter {
	case countsActive:
		return of("overview.tile.active", store.StateActive)
	case countsMoving:
		return of("overview.tile.waiting", store.StatePending, store.StateDeleting)
	case countsError:
		return of("overview.tile.attention", store.StateError)
	case countsNone:
		return of("overview.tile.without", store.StateNone)
	case countsQueued:
		return &tally{"people.state.queued", func(e store.EmployeeRecord, queue map[int64]store.QueuedCreation) bool {
			_, queued := queue[e.ID]
			return queued
		}}
	case countsUnreachable:
		return &tally{"people.state.unreachable", func(e store.EmployeeRecord, _ map[int64]store.QueuedCreation) bool {
			return e.Reason == string(calendarsync.ReasonCalendarUnreachable)
		}}
	}
	return nil
}

// counted is the list of those whom a count of the overview counts.
func counted(filter string) string { return peoplePath + "?state=" + filter }

// matches reports whether a search finds an employee: by their number, or by words that are
// all in name or address.
func matches(e store.EmployeeRecord, query string) bool {
	text := strings.ToLower(e.Name + " " + e.Address)
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(text, word) && strings.TrimPrefix(word, "#") != strconv.FormatInt(e.ID, 10) {
			return false
		}
	}
	return true
}

func personRowOf(c locale, e store.EmployeeRecord, place *store.QueuedCreation) personRow {
	row := personRow{ID: e.ID, Name: nameOf(c, e), Address: e.Address, Standing: standingOf(c, e, place)}
	if e.Calendar != nil && e.Calendar.ID != "" {
		row.AddURL = calendarsync.AddURL(e.Calendar.ID)
	}
	return row
}

// nameOf is an employee's name, or what stands in for one that the ERP did not give.
func nameOf(c locale, e store.EmployeeRecord) string {
	if e.Name != "" {
		return e.Name
	}
	return c.T("people.unnamed", "ID", e.ID)
}

// sortPeople puts rows in order, names as the reader's language does.
func sortPeople(c locale, rows []personRow, by string) {
	order, buffer := collate.New(language.Make(c.Language), collate.IgnoreCase), &collate.Buffer{}
	for i := range rows {
		rows[i].order = order.KeyFromString(buffer, rows[i].Name)
	}
	slices.SortFunc(rows, func(a, b personRow) int {
		first := 0
		switch by {
		case sortName:
		case sortSince:
			// The longest first, and those last of whom it is not known.
			first = cmp.Compare(cmp.Or(a.Standing.Since.Machine, "~"), cmp.Or(b.Standing.Since.Machine, "~"))
		default:
			first = cmp.Compare(a.Standing.group.urgency(), b.Standing.group.urgency())
		}
		return cmp.Or(first, bytes.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID))
	})
}

// noPeople says why a list of employees has no rows, and where to go from there.
func noPeople(c locale, l listing, known int, query string) *empty {
	switch {
	case known == 0:
		return &empty{Title: c.T("people.none.title"), Text: c.T("people.none.text")}
	case query != "":
		return &empty{Title: c.T("people.unfound.title", "Query", query), Text: c.T("people.unfound.text"), Link: l.link("q", "", "state", ""), LinkText: c.T("people.everybody")}
	}
	return &empty{Title: c.T("people.empty.title"), Link: l.link("state", ""), LinkText: c.T("people.everybody")}
}

// syncPeople asks for a pass over each employee that was ticked.
func (h *handler) syncPeople(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ids := ticked(r)
	if len(ids) == 0 {
		noteNothing(r)
		h.goBackOr(w, r, peoplePath, "queued", "nobody")
		return
	}
	if h.askFor(w, r, store.Employees, ids) {
		h.Log.InfoContext(r.Context(), "asked for by an admin", "what", "sync", "employees", ids, "sub", s.Sub)
		noteChange(r, "", keysText(employeeKeys(ids)))
		h.goBackOr(w, r, peoplePath, "queued", "several", "id", strconv.Itoa(len(ids)))
	}
}

// invitePeople asks for another invitation of each employee that was ticked and may be invited.
func (h *handler) invitePeople(w http.ResponseWriter, r *http.Request, s signin.Session) {
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	var invited []int64
	for _, id := range ticked(r) {
		asked, err := h.Store.AskInvitation(ctx, id)
		if err != nil {
			h.trouble(w, r, "ask for an invitation", err)
			return
		}
		if asked {
			invited = append(invited, id)
		}
	}
	if len(invited) == 0 {
		noteNothing(r)
		h.goBackOr(w, r, peoplePath, "queued", "uninvited")
		return
	}
	noteDone(r)
	noteChange(r, "", keysText(employeeKeys(invited)))
	if h.askFor(w, r, store.Employees, invited) {
		h.Log.InfoContext(r.Context(), "asked for by an admin", "what", "invite", "employees", invited, "sub", s.Sub)
		h.goBackOr(w, r, peoplePath, "queued", "invited", "id", strconv.Itoa(len(invited)))
	}
}

func employeeKeys(ids []int64) []store.Key {
	var keys []store.Key
	for _, id := range ids {
		keys = append(keys, store.EmployeeKey(id))
	}
	return keys
}

// ticked are the employees that a form names, each once; at most a page of them.
func ticked(r *http.Request) []int64 {
	var ids []int64
	for _, value := range r.PostForm["employee"] {
		if id, err := strconv.ParseInt(value, 10, 64); err == nil && id > 0 && !slices.Contains(ids, id) && len(ids) < pageRows {
			ids = append(ids, id)
		}
	}
	return ids
}

// askFor has keys looked at (rule 7.9): each is marked first, so that Poll brings up what the queue
// loses, and so that the page can tell that nobody has looked yet.
func (h *handler) askFor(w http.ResponseWriter, r *http.Request, of store.Collection, ids []int64) bool {
	topic := h.cfg.TaskTopic
	if of == store.Employees {
		topic = h.cfg.EmployeeTopic
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeDeadline)
	defer cancel()
	for _, id := range ids {
		if err := h.Store.MarkDirty(ctx, store.Key{Collection: of, ID: id}, h.Now()); err != nil {
			h.trouble(w, r, fmt.Sprintf("mark %s/%d", of, id), err)
			return false
		}
	}
	for _, m := range queue.Split(queue.Message{IDs: ids, Cause: queue.CauseConsole, Lane: queue.LaneLive}) {
		if !h.publish(w, r, topic, m) {
			return false
		}
	}
	return true
}
