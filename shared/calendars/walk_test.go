package calendars_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// TestWhateverHappensTheCalendarsEndUpRight walks at random: the ERP changes, the
// account's owner meddles, answers get lost, instances die, messages get lost or
// come twice. Once all that ends, a complete pass and what is due make every calendar
// hold exactly its tasks, and a further one writes nothing. Where the owner
// keeps off and no message is lost for good, what is due alone has to do.
func TestWhateverHappensTheCalendarsEndUpRight(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			walk(t, seed)
		})
	}
}

func walk(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	tidy := seed%4 >= 2
	b := newBench(t, func(o *fakegoogle.Options) { o.WebDeletionForbidsRevival = seed%2 == 1 })
	_, staff := b.staffed("Olena", "Petro", "Ivan")
	foreign := map[string]string{}
	var history []string
	note := func(format string, args ...any) {
		history = append(history, fmt.Sprintf(format, args...))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(history, "\n"))
		}
	})
	var tasks []int64
	someTask := func() int64 { return tasks[r.IntN(len(tasks))] }
	someone := func() int64 { return staff[r.IntN(len(staff))] }
	tasks = append(tasks, b.addTask(b.hour(8), someone()))

	for step := range 40 {
		var d delivery
		switch r.IntN(13) {
		case 0, 1:
			id := b.addTask(b.hour(r.IntN(24)), someone())
			tasks = append(tasks, id)
			d.tasks = []int64{id}
		case 2, 3:
			id := someTask()
			_ = b.erp.MoveTask(id, b.hour(r.IntN(24)))
			d.tasks = []int64{id}
		case 4:
			id := someTask()
			_ = b.erp.CloseTask(id)
			d.tasks = []int64{id}
		case 5:
			id := someTask()
			_ = b.erp.ReopenTask(id)
			d.tasks = []int64{id}
		case 6:
			id := someTask()
			add, drop := someone(), someone()
			_ = b.erp.Reassign(id, fakeerp.Reassignment{AddExecutors: []int64{add}, RemoveExecutors: []int64{drop}})
			d.tasks = []int64{id}
		case 7:
			id := someTask()
			_ = b.erp.DeleteTask(id)
			d.tasks, d.deleted = []int64{id}, true
		case 8:
			id := someone()
			must(t, b.erp.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Email = fmt.Sprintf("e%d-%d@provider.example", id, step) }))
			d.employees = []int64{id}
		case 9:
			id := someone()
			must(t, b.erp.SetField(id, binding, []string{"", "1"}[r.IntN(2)]))
			d.employees = []int64{id}
		case 10, 11:
			if tidy {
				d.employees = []int64{someone()}
				break
			}
			note("%d: the owner meddles: %s", step, meddle(b, r, someone(), foreign))
			d.employees = []int64{someone()}
		case 12:
			d.employees = staff
		}
		d.cause = []queue.Cause{queue.CauseNotify, queue.CausePoll, queue.CauseReconcile}[r.IntN(3)]
		d.id = b.newID()
		at := 0
		if r.IntN(2) == 0 {
			at = 1 + r.IntN(14)
		}
		i := b.start(at)
		var loss atomic.Value // employees and their tasks call at once
		loss.Store("")
		if r.IntN(4) == 0 {
			hook := func(call, _ string) error { loss.Store(call); return lost() }
			if r.IntN(2) == 0 {
				i.google.after = hook
			} else {
				i.google.before = hook
			}
		}
		switch choice := r.IntN(5); {
		case tidy:
			note("%d: %+v, killed at %d, lost %q", step, d, at, loss.Load())
			if !i.deliver(d) {
				heir := b.start(0)
				for tries := 0; !heir.deliver(d); tries++ {
					if tries > 20 {
						t.Fatal("the message is nacked for ever")
					}
					b.clock.advance(10 * time.Second)
				}
			}
		case choice == 0: // the message is lost
			note("%d: %+v lost", step, d)
		case choice == 1:
			i.deliver(d)
			b.start(0).deliver(d)
			note("%d: %+v twice, killed at %d, lost %q", step, d, at, loss.Load())
		default:
			i.deliver(d)
			note("%d: %+v, killed at %d, lost %q", step, d, at, loss.Load())
		}
		b.clock.advance(time.Duration(r.IntN(200)) * time.Second)
		if r.IntN(4) == 0 {
			b.start(0).due()
		}
	}
	last := b.start(0)
	b.clock.advance(2 * leaseTime)
	if !tidy {
		last.employee(queue.CauseReconcile, staff...)
	}
	last.rest()
	for c, e := range foreign {
		if !b.isLive(c) {
			continue
		}
		if !slices.ContainsFunc(b.google.Events(c), func(have *calendar.Event) bool { return have.Id == e && have.Status != "cancelled" }) {
			t.Fatalf("the foreign event %s is gone", e)
		}
		must(t, b.google.DeleteEvent(c, e))
	}
	for _, id := range staff {
		e, _ := b.erp.Employee(id)
		if e.Fields[binding] == "" {
			if c := b.calendar(id); c != "" {
				t.Fatalf("unbound employee %d has calendar %s", id, c)
			}
			continue
		}
		var want []time.Time
		for _, task := range b.erp.Tasks() {
			if task.StateID != stateClosed && !task.Todo.IsZero() && slices.Contains(task.Executors, id) {
				want = append(want, task.Todo)
			}
		}
		slices.SortFunc(want, time.Time.Compare)
		b.want(id, want...)
		if role := b.live(id)[0].Role(e.Email); role != "reader" {
			t.Fatalf("employee %d is %q of the calendar", id, role)
		}
	}
	b.wantQuiet(staff...)
}

// meddle does something as the account's owner.
func meddle(b *bench, r *rand.Rand, who int64, foreign map[string]string) string {
	live := b.live(who)
	if len(live) == 0 {
		return "nothing"
	}
	c := live[0].ID
	events := b.google.Events(c)
	var e *calendar.Event
	for _, have := range events {
		if have.ExtendedProperties != nil && (e == nil || r.IntN(2) == 0) {
			e = have
		}
	}
	switch what := r.IntN(7); {
	case what == 0:
		_ = b.google.DeleteCalendar(c)
		return "calendar deleted"
	case what == 1 && foreign[c] == "":
		id, err := b.google.CreateEvent(c, &calendar.Event{Summary: "Mine",
			Start: &calendar.EventDateTime{Date: "2026-03-08"}, End: &calendar.EventDateTime{Date: "2026-03-09"}})
		must(b.t, err)
		foreign[c] = id
		return "foreign event"
	case e == nil:
		return "nothing"
	case what == 2:
		_ = b.google.MoveEvent(c, e.Id, b.hour(3))
		return "event moved " + e.Id
	case what == 3:
		_ = b.google.DeleteEvent(c, e.Id)
		return "event deleted " + e.Id
	case what == 4:
		_ = b.google.DeleteEvent(c, e.Id)
		_ = b.google.EmptyBin(c)
		return "event purged " + e.Id
	case what == 5:
		_ = b.google.RestoreEvent(c, e.Id)
		return "event restored " + e.Id
	default:
		_ = b.google.EditEvent(c, e.Id, func(e *calendar.Event) { e.Description = "?" })
		return "event edited " + e.Id
	}
}
