package calendars_test

import (
	"strings"
	"testing"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// marked reads the mark of an employee's only calendar.
func (b *bench) marked(employee int64) calendarsync.CalendarMark {
	b.t.Helper()
	live := b.live(employee)
	if len(live) != 1 {
		b.t.Fatalf("employee %d has %d calendars", employee, len(live))
	}
	mark, found := calendarsync.ReadCalendarMark(live[0].Description)
	if !found {
		b.t.Fatalf("no mark in %q", live[0].Description)
	}
	return mark
}

// Rule 3.12: a calendar is born with the digest of the ERP's address. An ERP that moved
// costs each calendar one write and is nobody's drift; a mark of before the digest gets it
// with what is written for another reason.
func TestMarksFollowTheERPsAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, ids := b.staffed("Olena")
	who := ids[0]
	want := func(doing string, i *instance, writes int, address string) {
		t.Helper()
		b.google.ResetRequests()
		i.employee(queue.CauseReconcile, who)
		i.rest()
		if got := b.writes(); len(got) != writes {
			t.Errorf("%s: wrote %v, want %d writes", doing, got, writes)
		}
		digest := ""
		if mark := b.marked(who); address != "" {
			digest = calendarsync.ERPDigest(mark.Tenant, address)
		}
		if got := b.marked(who); got.ERP != digest || got.For == "" {
			t.Errorf("%s: the mark says %+v", doing, got)
		}
	}
	want("as it was made", i, 0, "https://erp.example")
	b.erpAddress = "https://erp.example/"
	want("spelled otherwise", b.start(0), 0, "https://erp.example")
	b.erpAddress = "https://new.example"
	i = b.start(0)
	want("moved", i, 1, "https://new.example")
	want("moved, the second time", i, 0, "https://new.example")
	mark := b.marked(who)
	must(t, b.google.EditCalendar(b.calendar(who), func(c *calendar.Calendar) {
		c.Description = strings.Replace(c.Description, " erp="+mark.ERP, "", 1)
	}))
	want("of before the digest", i, 0, "")
	must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Name = "Olha" }))
	want("of before the digest, and renamed", i, 1, "https://new.example")
	b.wantQuiet(who)
}
