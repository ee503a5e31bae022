package calendars_test

import (
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// apply saves the bench's settings with what an admin saw of their consequences.
func (b *bench) apply(plan *store.SettingsPlan) {
	b.t.Helper()
	rec, _, err := b.store.SavedSettings(b.t.Context())
	must(b.t, err)
	must(b.t, b.store.ApplySettings(b.t.Context(), store.SettingsRecord{JSON: b.set, SavedBy: "olena@example.com", Plan: plan}, rec.Version))
}

// TestWhatAnAdminAppliedAfterAPlanIsNeverHeld: of eight people without the new box, six were in
// the plan and go at once; the others are counted as ever (rule 4.14).
func TestWhatAnAdminAppliedAfterAPlanIsNeverHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.undecided = true
	_, staff := b.staffed("Anna", "Bohdan", "Daria", "Fedir", "Halyna", "Ivan", "Kateryna", "Lesia", "Maksym", "Nina", "Orest")
	for _, id := range staff {
		must(t, b.erp.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Fields[2] = "0" }))
	}
	planned, others := staff[:6], staff[6:]
	b.use(map[string]any{"binding_field": 2})
	b.apply(&store.SettingsPlan{Employees: planned})
	i := b.start(0)
	i.employee(queue.CauseConsole, staff...)
	for _, id := range planned {
		if b.calendar(id) != "" || b.record(id).State != store.StateNone {
			t.Errorf("of the plan, and not gone: %+v", b.record(id))
		}
	}
	held := 0
	for _, id := range others {
		if b.record(id).Held != "" {
			held++
		}
	}
	if held != 2 {
		t.Errorf("%d of the five that the plan did not name are held, want the two beyond three a day", held)
	}
	recs, err := b.store.RecentActivity(t.Context(), 0)
	must(t, err)
	reasons := map[string]int{}
	for _, a := range recs {
		if strings.HasSuffix(a.Action, "calendar.delete") {
			reasons[a.Reason]++
		}
	}
	if reasons[string(calendarsync.ReasonSettings)] != 6 || reasons[string(calendarsync.ReasonUnbound)] != 3 {
		t.Errorf("deleted for %v", reasons)
	}
}

// TestEventsOfAStateThatAPlanHidAreNeverHeld: an admin who shows a role less has seen how many
// events go; the delete guard asks nothing (rule 4.14), and a day later it does again.
func TestEventsOfAStateThatAPlanHidAreNeverHeld(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		b := newBench(t)
		b.undecided = true
		i, staff := b.staffed("Olena")
		var tasks []int64
		for n := range 14 {
			tasks = append(tasks, b.erp.AddTask(fakeerp.Task{TypeID: typeRepair, StateID: stateWorking, Todo: b.hour(6 + n), Executors: staff}))
		}
		i.task(tasks...)
		if n := len(b.events(staff[0])); n != 14 {
			t.Fatalf("%d events", n)
		}
		b.use(map[string]any{"shown_roles": []int64{fakeerp.RoleNotCompleted}})
		b.apply(&store.SettingsPlan{States: []int64{stateWorking}})
		if late {
			b.clock.advance(25 * time.Hour)
		}
		i = b.start(0)
		i.employee(queue.CauseConsole, staff...)
		plan, err := b.store.Held(t.Context())
		must(t, err)
		want := 0
		if late {
			want = 4
		}
		if n := len(b.events(staff[0])); n != want || plan.Events != want {
			t.Errorf("late %t: %d events are left and %d held, want %d", late, n, plan.Events, want)
		}
	}
}
