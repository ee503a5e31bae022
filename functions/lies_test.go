package functions_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// lie is one way in which the ERP says something that is not so.
type lie struct {
	name  string
	rules []fakeerp.Rule
	// unkept: what is lied about is kept for half a minute by an instance; a fresh
	// one believes it at once.
	unkept bool
	// retried: the ERP's client asks again for a second or two before it gives up,
	// so everything that could delete goes on at the same time.
	retried bool
	// onFirestore: told there too. All are told on the embedded store.
	onFirestore bool
}

func always(cat, action string, faults ...fakeerp.Fault) []fakeerp.Rule {
	var rules []fakeerp.Rule
	for _, f := range faults {
		rules = append(rules, fakeerp.Rule{Cat: cat, Action: action, Count: -1, Fault: f})
	}
	return rules
}

func TestNothingIsDeletedWhileTheERPLiesOfTasks(t *testing.T) {
	t.Parallel()
	onBothFor(t, func(t *testing.T, l *liar) {
		first := itoa(l.tasks[0])
		l.tell(t, []lie{
			{name: "an error", rules: always("task", "", fakeerp.ErrorResult("No access", http.StatusOK))},
			{name: "the login page", rules: always("task", "", fakeerp.HTMLPage(http.StatusOK)), retried: true},
			{name: "truncated JSON", rules: always("task", "", fakeerp.Truncated()), retried: true},
			{name: "nothing of what was asked for", rules: always("task", "show", fakeerp.EmptyList())},
			{name: "an empty list", rules: always("task", "get_list", fakeerp.EmptyList())},
			{name: "an empty list and nothing of what was asked for", rules: append(always("task", "get_list", fakeerp.EmptyList()), always("task", "show", fakeerp.EmptyList())...)},
			{name: "an empty catalogue", rules: always("task", "get_catalog_state", fakeerp.EmptyList()), unkept: true},
			{name: "half of what was asked for", rules: always("task", "show", fakeerp.HalfList())},
			{name: "half a list", rules: always("task", "get_list", fakeerp.HalfList())},
			{name: "half a list and half of what was asked for", rules: append(always("task", "get_list", fakeerp.HalfList()), always("task", "show", fakeerp.HalfList())...), onFirestore: true},
			{name: "no data", rules: always("task", "show", fakeerp.Missing("data"))},
			{name: "no list", rules: always("task", "get_list", fakeerp.Missing("list"))},
			{name: "no staff", rules: always("task", "show", fakeerp.Missing("staff")), onFirestore: true},
			{name: "no executors", rules: always("task", "show", fakeerp.Missing("staff.employee"))},
			{name: "no divisions and no executors", rules: always("task", "show", fakeerp.Missing("staff.employee"), fakeerp.Missing("staff.division"))},
			{name: "no dates", rules: always("task", "show", fakeerp.Missing("date"))},
			{name: "no scheduled date", rules: always("task", "show", fakeerp.Missing("date.todo"))},
			{name: "no state", rules: always("task", "show", fakeerp.Missing("state"))},
			{name: "a state without id", rules: always("task", "show", fakeerp.Missing("state.id"))},
			{name: "a date that is none", rules: always("task", "show", fakeerp.Replace("date.todo", "soon"))},
			{name: "a task that is only an error", rules: always("task", "show", fakeerp.Replace(first, "error"))},
			{name: "an unknown state", rules: always("task", "show", fakeerp.UnknownState(99)), onFirestore: true},
			{name: "a shown role gone from the catalogue", rules: always("task", "get_catalog_state", fakeerp.RoleGone(fakeerp.RoleNotCompleted)), unkept: true},
			{name: "a state gone from the catalogue", rules: always("task", "get_catalog_state", fakeerp.Missing(itoa(world.Open))), unkept: true},
		})
	})
}

func TestNothingIsDeletedWhileTheERPLiesOfEmployees(t *testing.T) {
	t.Parallel()
	onBothFor(t, func(t *testing.T, l *liar) {
		one := itoa(l.people[0])
		l.tell(t, []lie{
			{name: "an error", rules: always("employee", "", fakeerp.ErrorResult("No access", http.StatusOK))},
			{name: "the login page", rules: always("employee", "", fakeerp.HTMLPage(http.StatusOK)), retried: true},
			{name: "truncated JSON", rules: always("employee", "", fakeerp.Truncated()), retried: true},
			{name: "nobody", rules: always("employee", "get_data", fakeerp.EmptyList())},
			{name: "half of everybody", rules: always("employee", "get_data", fakeerp.HalfList()), onFirestore: true},
			{name: "no data", rules: always("employee", "get_data", fakeerp.Missing("data"))},
			{name: "nothing of whether they work", rules: always("employee", "get_data", fakeerp.Missing("is_work"))},
			{name: "an empty word for whether they work", rules: always("employee", "get_data", fakeerp.Replace("is_work", ""))},
			{name: "no e-mail field", rules: always("employee", "get_data", fakeerp.Missing("email"))},
			{name: "no additional fields", rules: always("employee", "get_data", fakeerp.Missing("additional_data"))},
			{name: "no binding field", rules: always("employee", "get_data", fakeerp.Missing("additional_data."+itoa(world.Binding))), onFirestore: true},
			{name: "no value of the binding field", rules: always("employee", "get_data", fakeerp.Replace("additional_data."+itoa(world.Binding)+".value", nil))},
			{name: "no divisions", rules: always("employee", "get_data", fakeerp.Missing("division"))},
			{name: "an employee who is only an error", rules: always("employee", "get_data", fakeerp.Replace(one, "error"))},
			{name: "an employee left out", rules: always("employee", "get_data", fakeerp.Missing(one))},
			{name: "connections broken off", rules: always("", "", fakeerp.Drop()), retried: true},
			{name: "everything an error", rules: always("", "", fakeerp.ErrorResult("The database is away", http.StatusServiceUnavailable)), retried: true},
		})
	})
}

// liar is a world in order, about which the ERP is going to lie. Absence counts
// only after the default 10 minutes, which no lie here lasts.
type liar struct {
	w      *world.World
	o      world.Options
	people []int64
	tasks  []int64 // one of each person, one of two, one of the department
	hour   int     // at which the first task starts
	closed bool    // whether the second task is

	onFirestore bool
}

func onBothFor(t *testing.T, behaviour func(t *testing.T, l *liar)) {
	t.Helper()
	o := world.Options{Settings: `{"include_departments":true}`}
	told := func(onFirestore bool) func(t *testing.T, w *world.World) {
		return func(t *testing.T, w *world.World) {
			l := &liar{w: w, o: o, hour: 8, onFirestore: onFirestore}
			l.o.Backend = w.Backend()
			l.people = withCalendars(t, w, "Olena", "Petro", "Ivan")
			crew := w.ERP.AddDivision(fakeerp.Division{Name: "Crew"})
			must(t, w.ERP.SetMembership(l.people[2], crew, true))
			w.Idle()
			l.tasks = []int64{
				w.Task(w.Tomorrow(8), l.people[0]),
				w.Task(w.Tomorrow(10), l.people[1]),
				w.Task(w.Tomorrow(11), l.people[:2]...),
				w.ERP.AddTask(fakeerp.Task{TypeID: world.Type, StateID: world.Working, Todo: w.Tomorrow(12), Divisions: []int64{crew}}),
			}
			w.Idle()
			w.Poll()
			l.wantRight(t)
			behaviour(t, l)
		}
	}
	inBubbleAndOnFirestore(t, o, told(false), told(true))
}

func embedded(t *testing.T) store.Backend {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "state.db"), time.Now, bolt.NoSync())
	must(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// tell tells lie after lie, each with a notification, polls and a full run in it,
// and requires that nothing goes meanwhile and that afterwards all is right.
func (l *liar) tell(t *testing.T, lies []lie) {
	t.Helper()
	for _, x := range lies {
		if l.onFirestore && !x.onFirestore {
			continue
		}
		// No subtest: a bubble has none.
		if l.one(t, x); t.Failed() {
			t.Fatalf("that was during %s", x.name) // what it has broken would be held against the next one
		}
	}
}

func (l *liar) one(t *testing.T, x lie) {
	t.Helper()
	w := l.w
	w.Google.ResetRequests()
	w.ERP.ResetRequests()
	before := l.held()
	for _, r := range x.rules {
		w.ERP.Inject(r)
	}
	if x.unkept {
		l.renew()
	}
	met := 0
	unharmed := func(during string) {
		t.Helper()
		met += len(w.ERP.Requests(func(r fakeerp.Request) bool { return r.Fault != "" }))
		if got := l.held(); !slices.Equal(got, before) {
			t.Errorf("after %s Google holds\n%s\nand held\n%s", during, strings.Join(got, "\n"), strings.Join(before, "\n"))
		}
		for _, r := range w.Google.Requests(fakegoogle.Filter{Method: "calendar.*", Writes: true}) {
			t.Errorf("after %s: a %s", during, r.Method)
		}
		w.ERP.ResetRequests()
		w.Google.ResetRequests()
	}
	notify := func() {
		w.Notify("task.changed", l.tasks...)
		w.Notify("task.changed", l.tasks[0])
		w.Notify("employee.changed", l.people...)
		w.Notify("employee.changed", l.people[1])
	}
	// A full run that cannot even begin comes again by itself.
	run := func() {
		w.Post("/Reconcile/", []byte("{}"), http.Header{"Content-Type": {"application/json"}}, http.StatusAccepted)
	}
	refused := l.refused()
	if x.retried {
		notify()
		run()
		l.poll()
		l.rest(refused)
		unharmed("notifications, a full run and a poll")
	} else {
		notify()
		l.rest(refused)
		unharmed("notifications")
		// What is missing in two polls counts as vanished, and is then looked at.
		for range 3 {
			l.poll()
			l.rest(refused)
		}
		unharmed("polls")
		run()
		l.rest(refused)
		unharmed("a full run")
	}

	if met == 0 {
		t.Fatalf("nothing came upon %s", x.name)
	}

	// The ERP goes on under its lies; nobody hears of it.
	w.SetQuiet(true)
	l.hour = 8 + (l.hour+1-8)%2
	must(t, w.ERP.MoveTask(l.tasks[0], w.Tomorrow(l.hour)))
	if l.closed = !l.closed; l.closed {
		must(t, w.ERP.CloseTask(l.tasks[1]))
	} else {
		must(t, w.ERP.ReopenTask(l.tasks[1]))
	}
	w.SetQuiet(false)
	w.ERP.ClearFaults()
	if x.unkept {
		l.renew()
	}
	w.Idle()
	w.Reconcile()
	l.wantRight(t)
	// What was recorded while the ERP lied ends with the next look.
	w.Notify("task.changed", l.tasks...)
	w.Notify("employee.changed", l.people...)
	w.Idle()
	l.wantRight(t)
	l.wantNoTrace(t)
}

// renew replaces the instances by fresh ones on the same state.
func (l *liar) renew() {
	l.w.Again(l.o)
}

// refused counts the messages that workers refused, to come again.
func (l *liar) refused() int {
	l.w.T.Helper()
	n := 0
	for _, name := range []string{"sync-task", "sync-employee"} {
		c, err := l.w.Deployment.PubSub.Counts(name)
		must(l.w.T, err)
		n += c.Nacked
	}
	return n
}

// rest waits until the queue is idle, or will be only once the ERP can be read:
// messages were refused beyond a count.
func (l *liar) rest(refused int) {
	l.w.T.Helper()
	eventually(l.w.T, func() bool { return l.w.Deployment.PubSub.Outstanding() == 0 || l.refused() > refused })
}

// poll runs Poll, which answers 503 where the ERP could not be read.
func (l *liar) poll() {
	l.w.T.Helper()
	ctx, cancel := context.WithTimeout(l.w.T.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.w.URL+"/Poll/", strings.NewReader("{}"))
	must(l.w.T, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := l.w.Client().Do(req)
	must(l.w.T, err)
	_, err = io.Copy(io.Discard, res.Body)
	must(l.w.T, err)
	must(l.w.T, res.Body.Close())
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		l.w.T.Fatalf("Poll answered %d", res.StatusCode)
	}
}

// held lists what Google holds: calendars, their readers, their events.
func (l *liar) held() []string {
	var out []string
	for _, c := range l.w.Google.Calendars() {
		if c.Deleted || c.Primary {
			continue
		}
		out = append(out, fmt.Sprintf("calendar %s %q", c.ID, c.Summary))
		for _, r := range c.Rules {
			out = append(out, fmt.Sprintf("rule %s %s %s", c.ID, r.ID, r.Role))
		}
		for _, e := range l.w.Google.Events(c.ID) {
			out = append(out, fmt.Sprintf("event %s %s %s %s", c.ID, e.Id, e.Status, e.Start.DateTime))
		}
	}
	return out
}

func (l *liar) wantRight(t *testing.T) {
	t.Helper()
	w := l.w
	w.WantStarts(l.people[0], w.Tomorrow(l.hour), w.Tomorrow(11))
	if l.closed {
		w.WantStarts(l.people[1], w.Tomorrow(11))
	} else {
		w.WantStarts(l.people[1], w.Tomorrow(10), w.Tomorrow(11))
	}
	w.WantStarts(l.people[2], w.Tomorrow(12))
	for i, id := range l.people {
		wantReaders(t, w, w.Calendar(id), []string{"olena@provider.example", "petro@provider.example", "ivan@provider.example"}[i])
	}
}

// wantNoTrace requires that no doubt and no failure outlives the lie: a doubt
// that stayed would make the next lie the second reading.
func (l *liar) wantNoTrace(t *testing.T) {
	t.Helper()
	for _, id := range l.people {
		rec, found, err := l.w.Store.Employee(t.Context(), id)
		if err != nil || !found || rec.State != store.StateActive || rec.Failure != nil || !rec.AbsentSince.IsZero() || !rec.PendingSince.IsZero() {
			t.Errorf("employee %d: %+v, %v, %v", id, rec, found, err)
		}
	}
	for _, id := range l.tasks {
		rec, _, err := l.w.Store.Task(t.Context(), id)
		if err != nil || rec.Failure != nil || !rec.PendingSince.IsZero() {
			t.Errorf("task %d: %+v, %v", id, rec, err)
		}
		for _, who := range rec.Mapped() {
			if m, _ := rec.Mapping(who); !m.AbsentSince.IsZero() {
				t.Errorf("task %d of employee %d is in doubt still", id, who)
			}
		}
	}
}
