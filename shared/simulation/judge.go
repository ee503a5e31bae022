package simulation

import (
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
)

// collectViolations takes over what the auditor has found.
func (w *world) collectViolations() { w.report(w.auditor.Watch()) }

func (w *world) report(violations []audit.Violation) {
	for _, v := range violations {
		w.violate(string(v.Rule), "%s", v)
	}
}

// judgeState has the auditor compare what is with what ought to be.
func (w *world) judgeState() {
	if err := w.keepActivity(); err != nil {
		w.fail(err)
		return
	}
	activity := make([]audit.Activity, len(w.kept)) // duplicates do no harm
	for i, r := range w.kept {
		activity[i] = audit.Activity{At: r.At, Action: r.Action, Calendar: r.Calendar, Event: r.Event, Task: r.Task, Employee: r.Employee}
	}
	w.report(w.auditor.Judge(activity))
}

// judge has the auditor compare, and then requires that one more reconcile writes nothing.
func (w *world) judge() {
	if w.judgeState(); len(w.violations) > 0 {
		return
	}
	w.checkStatus()
	w.auditor.Quiet()
	w.scheduled("Reconcile")
	w.idle()
	w.poll()
	w.idle()
	w.report(w.auditor.AfterQuiet())
}

func (w *world) calls() []google.Request {
	return w.google.Requests(google.Filter{Method: "calendar.*"})
}
