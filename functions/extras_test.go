package functions_test

import (
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// Rule 8.11: what a template shows of a task is in its event, follows the ERP, and is asked
// for only then.
func TestTemplatesShowMoreOfATask(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		w.ERP.AddTaskField(fakeerp.Field{ID: 31, Caption: "Contact", Kind: fakeerp.FieldText})
		who := w.Employee("Olena")
		w.ERP.AddTask(fakeerp.Task{
			TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(9), Executors: []int64{who}, Priority: 2,
			Fields: map[int64]string{31: "+38 067 123-45-67"}, Comments: []fakeerp.Comment{{ID: 1, Added: time.Now(), EmployeeID: who, Text: "Bring a ladder"}},
		})
		w.Idle()
		comments := func() (with, without int) {
			for _, r := range w.ERP.Requests(func(r fakeerp.Request) bool { return r.Action == "show" }) {
				if r.Params["is_without_comments"] == "1" {
					without++
				} else {
					with++
				}
			}
			return with, without
		}
		if with, _ := comments(); with > 0 {
			t.Errorf("%d readings of comments that no template shows", with)
		}
		w.ERP.ResetRequests()
		configure(t, w, func(s *calendarsync.Settings) {
			s.EventDescription = `{{index .Task.Fields "31"}} {{.Task.Fields.Contact}} {{.Task.Phone}} {{.Task.Comment}}`
			s.PhoneField, s.Colors = 31, map[string]int{"priority:2": 11}
		})
		events := w.Events(who)
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		want := "+38 067 123-45-67 +38 067 123-45-67 tel:+380671234567 Bring a ladder"
		if e := events[0]; !strings.HasPrefix(e.Description, want) || e.ColorId != "11" {
			t.Errorf("description %q, colour %q", e.Description, e.ColorId)
		}
		if with, without := comments(); with == 0 || without > 0 {
			t.Errorf("%d readings with comments and %d without", with, without)
		}
		w.Google.ResetRequests()
		w.Reconcile()
		for _, r := range w.Google.Requests(fakegoogle.Filter{Writes: true}) {
			t.Errorf("another full run made a write: %+v", r)
		}
	})
}
