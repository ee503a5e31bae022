package calendars_test

import (
	"testing"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// withTask is an employee with one event, at nine.
func withTask(t *testing.T) (b *bench, i *instance, who, task int64) {
	t.Helper()
	b = newBench(t)
	i, ids := b.staffed("Olena")
	task = b.addTask(b.hour(9), ids[0])
	i.task(task)
	b.want(ids[0], b.hour(9))
	b.clock.advance(time.Minute)
	b.google.ResetRequests()
	return b, i, ids[0], task
}

// A shown role gone from the catalogue takes nothing at once.
func TestARoleGoneFromTheCatalogueIsAbsence(t *testing.T) {
	t.Parallel()
	b, i, who, task := withTask(t)
	remove := b.erp.Inject(fakeerp.Rule{Count: -1, Fault: fakeerp.RoleGone(fakeerp.RoleNotCompleted)})
	b.clock.advance(time.Minute)
	i.task(task)
	i.employee(queue.CauseReconcile, who)
	b.want(who, b.hour(9))
	remove()
	b.clock.advance(time.Minute)
	i.rest()
	b.want(who, b.hour(9))
	b.wantQuiet(who)
}

func TestWhatTakesACalendarAtOnceAndWhatOnlyTwice(t *testing.T) {
	t.Parallel()
	data := func(f fakeerp.Fault) fakeerp.Rule {
		return fakeerp.Rule{Cat: "employee", Action: "get_data", Count: -1, Fault: f}
	}
	rows := []struct {
		name   string
		fault  fakeerp.Fault
		absent bool
	}{
		{"e-mail key missing", fakeerp.Missing("email"), true},
		{"e-mail invalid", fakeerp.Replace("email", "olena at provider"), true},
		{"is_work missing", fakeerp.Missing("is_work"), true},
		{"e-mail empty", fakeerp.Replace("email", ""), false},
		{"dismissed", fakeerp.Replace("is_work", 0), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b, i, who, _ := withTask(t)
			before := b.calendar(who)
			remove := b.erp.Inject(data(row.fault))
			i.employee(queue.CauseNotify, who)
			if !row.absent {
				if c := b.calendar(who); c != "" {
					t.Fatalf("calendar %s stays", c)
				}
				return
			}
			if b.calendar(who) != before || b.record(who).AbsentSince.IsZero() {
				t.Fatalf("calendar %q, record %+v", b.calendar(who), b.record(who))
			}
			b.clock.advance(absenceTime - time.Second)
			remove()
			i.employee(queue.CauseNotify, who)
			if rec := b.record(who); b.calendar(who) != before || !rec.AbsentSince.IsZero() || rec.State != store.StateActive {
				t.Fatalf("after the recovery: %+v", rec)
			}
			i.rest()
			b.wantQuiet(who)
			remove = b.erp.Inject(data(row.fault))
			defer remove()
			b.clock.advance(time.Hour)
			i.employee(queue.CauseNotify, who)
			if b.calendar(who) != before {
				t.Fatal("gone at the first reading of a new absence")
			}
			i.rest()
			if c := b.calendar(who); c != "" {
				t.Fatalf("calendar %s stays after two readings", c)
			}
		})
	}
}
