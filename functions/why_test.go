package functions_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// An admin asks why a task is not in the calendar, has it looked at, and sees in place what
// came of it, from the asking through the workers to Google.
func TestAnAdminFindsOutWhyAndHasItMended(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Quiet: true})
	w.Connect()
	olena, ivan := w.Employee("Olena"), w.ERP.AddEmployee(fakeerp.Employee{Name: "Ivan", Email: "ivan@provider.example", Fields: map[int64]string{world.Binding: "0"}})
	task := w.Task(w.Tomorrow(9), olena, ivan)
	w.Reconcile()
	w.Idle()
	w.WantStarts(olena, w.Tomorrow(9))
	admin := newVisitor(t, w)
	admin.visit("/Console/", world.Admin)
	page := func() string { return admin.visit("/Console/tasks/"+itoa(task), world.Admin) }

	wantText(t, "the page of a task with an event", page(), "It is in 1 of 2 calendars.", "The event says what the ERP says.",
		"Ivan", "The calendar is not ticked on their card in the ERP.")

	// The ERP's notification is lost; nobody has looked yet.
	must(t, w.ERP.MoveTask(task, w.Tomorrow(14)))
	wantText(t, "the page of a task that was moved", page(), "The event is there, and is not up to date yet.")
	w.WantStarts(olena, w.Tomorrow(9)) // looking changes nothing

	form := page()
	if status := admin.submit(form, "/Console/tasks/"+itoa(task)+"/sync", nil); status != http.StatusSeeOther {
		t.Fatalf("asking again: %d", status)
	}
	w.Idle()
	w.WantStarts(olena, w.Tomorrow(14))
	asked := "/Console/tasks/" + itoa(task) + "?asked=" + itoa(time.Now().Unix()-5)
	wantText(t, "the page after it was looked at", admin.visit(asked, world.Admin), "Looked at, and put right:", "Event changed", "Sync of a task asked for")

	must(t, w.ERP.CloseTask(task))
	wantText(t, "the page of a task that is done", page(), "The event goes, and is still there.", "Its state is not one of those that are shown.")
	person := admin.visit("/Console/employees/"+itoa(olena)+"?erp=now", world.Admin)
	wantText(t, "the employee's page", person, "The event goes, and is still there.", "In the calendar (1)")
	if status := admin.submit(person, "/Console/employees/"+itoa(olena)+"/sync", url.Values{}); status != http.StatusSeeOther {
		t.Fatalf("asking for the employee: %d", status)
	}
	w.Idle()
	w.WantStarts(olena)
	wantText(t, "the page at the end", page(), "It is in no calendar. Its state is not one of those that are shown.")
	if text := admin.visit("/Console/employees?q=ivan", world.Admin); !strings.Contains(text, "The calendar is not ticked") || strings.Contains(text, ">Olena<") {
		t.Errorf("the search for Ivan shows:\n%s", text)
	}
}
