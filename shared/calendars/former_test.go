package calendars_test

import (
	"net/http"
	"testing"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// moveAll gives everybody another address at once, while one calendar may be made an hour, and
// makes a pass over each.
func (b *bench) moveAll(staff []int64) *instance {
	b.t.Helper()
	b.perHour = 1
	i := b.start(0)
	for _, id := range staff {
		must(b.t, b.erp.UpdateEmployee(id, func(e *fakeerp.Employee) { e.Email = "new." + e.Email }))
		i.employee(queue.CauseNotify, id)
	}
	return i
}

// A former address is never invited while its calendar waits to be replaced (rule 5.8): one
// that was never shared, as with addresses that were wrong and are mended, waits for nothing.
func TestAFormerAddressThatNeverReadIsNotInvited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	remove := b.google.Inject(fakegoogle.Fault{Method: "calendar.acl.insert", Status: http.StatusForbidden, Reason: "forbidden", Count: -1})
	i := b.start(0)
	staff := []int64{b.hire("Olena"), b.hire("Petro")}
	i.employee(queue.CauseNotify, staff...)
	remove.Remove()
	i = b.moveAll(staff)
	i.rest()
	for _, name := range []string{"olena", "petro"} {
		if wrong, right := b.shares(name+"@provider.example"), b.shares("new."+name+"@provider.example"); wrong != 0 || right != 1 {
			t.Errorf("%s: the former address is invited %d times, the new one %d", name, wrong, right)
		}
	}
	b.wantQuiet(staff...)
}

// Nor is one invited again that somebody took off by hand meanwhile.
func TestAFormerAddressTakenOffByHandIsNotInvitedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i, staff := b.staffed("Olena", "Petro")
	i.employee(queue.CauseReconcile, staff...) // the shares have been seen
	i = b.moveAll(staff)
	calendar := b.calendar(staff[1])
	if b.live(staff[1])[0].Role("petro@provider.example") != "reader" {
		t.Fatal("the former address does not read any more")
	}
	must(t, b.google.RemoveShare(calendar, "petro@provider.example"))
	i.employee(queue.CauseReconcile, staff[1])
	b.clock.advance(2 * absenceTime)
	i.employee(queue.CauseReconcile, staff[1])
	wantShares(b, "petro@provider.example", 1)
	i.rest()
	if got := b.live(staff[1]); len(got) != 1 || got[0].ID == calendar || got[0].Role("new.petro@provider.example") != "reader" {
		t.Errorf("%+v", got)
	}
	wantShares(b, "petro@provider.example", 1)
	wantShares(b, "new.petro@provider.example", 1)
	b.wantQuiet(staff...)
}
