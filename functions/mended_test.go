package functions_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func TestADoubtRefutedByAFullRunIsNoFirstReading(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"ABSENCE_SECONDS": "2"}}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		task := w.Task(w.Tomorrow(9), who)
		w.Idle()
		lie := fakeerp.Rule{Cat: "task", Action: "show", Count: -1, Fault: fakeerp.Missing("staff")}
		remove := w.ERP.Inject(lie)
		w.Notify("task.changed", task)
		w.Idle()
		first := time.Now()
		remove()
		w.Reconcile()
		eventually(t, func() bool { return time.Since(first) > 2*time.Second })
		w.ERP.Inject(lie)
		w.Notify("task.changed", task)
		w.Idle()
		w.WantStarts(who, w.Tomorrow(9))
	})
}

func TestANewZoneReachesTheCalendarToo(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.ERP.Inject(fakeerp.Rule{Count: -1, Fault: fakeerp.ClockOffset(-time.Hour)})
		configure(t, w, func(s *calendarsync.Settings) { s.TimeZone = "Europe/Warsaw" })
		w.Reconcile()
		if z := calendarNamed(t, w, w.Calendar(who)).TimeZone; z != "Europe/Warsaw" {
			t.Errorf("calendar in zone %s", z)
		}
	})
}

func TestAMendedSlipLeavesNoReason(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		w.Reconcile() // the share has been seen
		setAddress(t, w, who, "olena@provider")
		w.Idle()
		setAddress(t, w, who, "olena@provider.example")
		w.Idle()
		wantReason(t, w, who, store.StateActive, "")
	})
}

func TestAnotherFieldGetsTheCalendarsID(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		w.ERP.AddEmployeeField(fakeerp.Field{ID: 7, Kind: fakeerp.FieldText})
		w.ERP.AddEmployeeField(fakeerp.Field{ID: 8, Kind: fakeerp.FieldText})
		who := withCalendars(t, w, "Olena")[0]
		configure(t, w, func(s *calendarsync.Settings) { s.CalendarIDField = 7 })
		configure(t, w, func(s *calendarsync.Settings) { s.CalendarIDField = 8 })
		if e, _ := w.ERP.Employee(who); e.Fields[8] != w.Calendar(who) {
			t.Errorf("fields %v", e.Fields)
		}
	})
}

func TestAMissingNameRenamesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		for _, f := range []string{"name", "short_name"} {
			w.ERP.Inject(fakeerp.Rule{Cat: "employee", Action: "get_data", Count: -1, Fault: fakeerp.Missing(f)})
		}
		w.Notify("employee.changed", who)
		w.Idle()
		if got := calendarNamed(t, w, w.Calendar(who)).Summary; got != "Olena" {
			t.Errorf("calendar is called %q", got)
		}
	})
}
