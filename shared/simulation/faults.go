package simulation

import (
	"net/http"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// applyFault arms one fault for some of the next calls.
func (w *world) applyFault(s Step, on string) error {
	switch on {
	case "google":
		f := googleFault(s)
		if w.setup.Unaided && (f.Status == http.StatusNotFound || f.Status == http.StatusGone) {
			return errNothingToDo // an event that seems gone is replaced, and only a reconcile finds that there are two
		}
		w.note("Google: %s from the call no. %d on, %d times: status %d %s, %+v", f.Method, f.Nth, f.Count, f.Status, f.Reason, flags(f))
		f.Delay, f.DelayAfter, f.RetryAfter = w.shorter(f.Delay), w.shorter(f.DelayAfter), w.shorter(f.RetryAfter)
		w.google.Inject(f)
	case "spell":
		spell, drawn := w.spell(s)
		if !drawn || w.realClock {
			return errNothingToDo
		}
		w.note("Google: %s on %s%v for %v, one calendar in %d", spell.Name, spell.Method, spell.Methods, spell.For, max(spell.OneCalendarIn, 1))
		w.google.Begin(spell)
	case "erp":
		r := erpFault(s, w.draws("E2"))
		w.note("ERP: %s/%s from the call no. %d on, %d times: %s", r.Cat, r.Action, r.Nth, r.Count, r.Fault)
		w.erp.Inject(r)
	case "store":
		f := []callFault{faultUnavailable, faultAborted, faultLost, faultSlow, faultLost}[s.N[0]%5]
		w.note("store: fault %d from the call no. %d on, %d times", f, 1+s.N[1]%8, 1+s.N[2]%3)
		of := ""
		if f == faultAborted || f == faultLost {
			of = "transact" // the others strike reads as well
		}
		w.faults.arm(armedFault{what: "store", of: of, fault: f, first: 1 + s.N[1]%8, count: 1 + s.N[2]%3})
	case "queue":
		f := []callFault{faultUnavailable, faultLost}[s.N[0]%2]
		w.note("queue: fault %d from the call no. %d on, %d times", f, 1+s.N[1]%3, 1+s.N[2]%2)
		w.faults.arm(armedFault{what: "publish", fault: f, first: 1 + s.N[1]%3, count: 1 + s.N[2]%2})
	}
	return nil
}

func flags(f google.Fault) []string {
	var out []string
	for name, on := range map[string]bool{"drop": f.Drop, "response lost": f.LoseResponse, "hang": f.Hang, "truncated": f.TruncateBody} {
		if on {
			out = append(out, name)
		}
	}
	return out
}

// googleFault is one way in which Google or the network fails, on one method or on all.
func googleFault(s Step) google.Fault {
	methods := []string{
		"calendar.*", "calendar.events.insert", "calendar.events.update", "calendar.events.delete", "calendar.events.get", "calendar.events.list",
		"calendar.calendars.insert", "calendar.calendars.get", "calendar.calendars.update", "calendar.calendars.delete",
		"calendar.acl.insert", "calendar.acl.list", "calendar.acl.delete", "calendar.calendarList.list", "oauth2.token", "calendar.events.*",
	}
	faults := []google.Fault{
		{LoseResponse: true}, {LoseResponse: true}, {Drop: true}, {Hang: true}, {TruncateBody: true}, {DelayAfter: 25 * time.Second}, {Delay: 12 * time.Second},
		{Status: http.StatusForbidden, Reason: "rateLimitExceeded"}, {Status: http.StatusForbidden, Reason: "userRateLimitExceeded"},
		{Status: http.StatusForbidden, Reason: "quotaExceeded"}, {Status: http.StatusForbidden, Reason: "forbidden"},
		{Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second}, {Status: http.StatusTooManyRequests},
		{Status: http.StatusNotFound}, {Status: http.StatusConflict}, {Status: http.StatusGone}, {Status: http.StatusPreconditionFailed},
		{Status: http.StatusInternalServerError}, {Status: http.StatusServiceUnavailable}, {Status: http.StatusBadGateway},
		{ShortPage: -1}, {ShortPage: 1}, {Status: http.StatusUnauthorized}, {Status: http.StatusBadRequest},
	}
	f := faults[s.N[1]%len(faults)]
	f.Method = methods[s.N[0]%len(methods)]
	f.Nth, f.Count = 1+s.N[2]%3, 1+s.N[2]/3%3
	if f.Status == http.StatusNotFound || f.Status == http.StatusGone {
		// Once, it may be false; repeated for every method it is what Google says of
		// something that is gone.
		f.Count = 1
	}
	return f
}

// erpFault is a false answer or a failure of the ERP, on one call or on all. deep: also one
// too deep to be read.
func erpFault(s Step, deep bool) userside.Rule {
	calls := [][2]string{{}, {"task", "show"}, {"task", "get_list"}, {"employee", "get_data"}, {"task", "get_catalog_state"}, {"system", "get_system_info"}, {"task", "show"}, {"employee", "get_data"}}
	faults := []userside.Fault{
		userside.HTMLPage(http.StatusOK), userside.HTMLPage(http.StatusInternalServerError), userside.Truncated(), userside.ErrorResult("no data", 0),
		userside.Status(http.StatusServiceUnavailable), userside.EmptyList(), userside.EmptyList(), userside.HalfList(), userside.HalfList(),
		userside.Missing("data"), userside.Missing("list"), userside.Missing("staff"), userside.Missing("date.todo"), userside.Missing("email"),
		userside.Missing("is_work"), userside.Missing("additional_data"), userside.UnknownState(99), userside.RoleGone(userside.RoleNotCompleted),
		userside.StateRole(stateOpen, userside.RoleCompleted), userside.Delay(8 * time.Second), userside.Delay(30 * time.Second), userside.Hang(), userside.Drop(),
		userside.RedirectToLogin(), userside.ClockOffset(time.Hour), userside.Missing("state"),
	}
	if deep {
		var nest any = "x"
		for range 100 {
			nest = []any{nest}
		}
		faults = append(faults, userside.Replace("name", nest))
	}
	call := calls[s.N[0]%len(calls)]
	return userside.Rule{Cat: call[0], Action: call[1], Fault: faults[s.N[1]%len(faults)], Nth: 1 + s.N[2]%2, Count: 1 + s.N[2]/2%4, AfterEffect: s.N[2]%5 == 0}
}
