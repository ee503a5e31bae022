package simulation

import (
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// inForce tells the auditor of settings from now on.
func (w *world) inForce(calendarsync.Settings) {}

// watch checks what must hold at all times.
func (w *world) watch() {}

// judge checks what must hold at rest.
func (w *world) judge() {
	for _, e := range w.erp.Employees() {
		n := 0
		for _, c := range w.calendars() {
			if strings.Contains(c.Description, " employee="+itoa(e.ID)+" ") {
				n++
			}
		}
		if n > 1 {
			w.violate("one calendar each", "employee %d has %d", e.ID, n)
		}
	}
	before := len(w.writes())
	w.scheduled("Reconcile")
	w.idle()
	w.poll()
	w.idle()
	if after := w.writes(); len(after) > before {
		w.violate("one more reconcile writes nothing", "%s", after[before].Method)
	}
}

func (w *world) writes() []google.Request {
	return w.google.Requests(google.Filter{Method: "calendar.*", Writes: true})
}
