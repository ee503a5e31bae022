package console

import (
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// cause is why something is as it is: What is a sentence, Do what somebody can do about it,
// and Details what only a programmer reads. Person is set where nothing happens by itself.
type cause struct {
	What, Do, Details string
	Person            bool
}

// employeeCause says why an employee has no calendar, or is to lose it. A reason that has no
// text is shown as it is: one of a later version may be stored.
func employeeCause(t i18n.Texts, reason string) cause {
	if reason == "" {
		return cause{}
	}
	if !t.Has("reason.employee." + reason + ".what") {
		return cause{What: reason}
	}
	return cause{What: t.T("reason.employee." + reason + ".what"), Do: t.T("reason.employee." + reason + ".do"), Person: personsReason(calendarsync.Reason(reason))}
}

// taskCause is employeeCause for a task that is not in a calendar.
func taskCause(t i18n.Texts, reason string) cause {
	if reason == "" {
		return cause{}
	}
	if !t.Has("reason.task." + reason + ".what") {
		return cause{What: reason}
	}
	return cause{What: t.T("reason.task." + reason + ".what"), Do: t.T("reason.task." + reason + ".do"), Person: personsReason(calendarsync.Reason(reason))}
}

// personsReason reports whether a reason is a fault that lasts until somebody mends it: the
// others are how the company wants it, or pass by themselves.
func personsReason(r calendarsync.Reason) bool {
	switch r {
	case calendarsync.ReasonInvalidAddress, calendarsync.ReasonInvalid, calendarsync.ReasonShareLowered,
		calendarsync.ReasonWorkMissing, calendarsync.ReasonAddressMissing, calendarsync.ReasonBindingMissing,
		calendarsync.ReasonUnknownState, calendarsync.ReasonCatalogue, calendarsync.ReasonStateMissing,
		calendarsync.ReasonDateMissing, calendarsync.ReasonStaffMissing, calendarsync.ReasonRefusedContent:
		return true
	}
	return false
}

// failureCause says why the last pass over a key failed.
func failureCause(t i18n.Texts, f *store.Failure) cause {
	if f == nil {
		return cause{}
	}
	c := cause{What: t.T("reason.failure." + string(f.Kind) + ".what"), Do: t.T("reason.failure." + string(f.Kind) + ".do"),
		Details: f.Message, Person: personsFailure(f.Kind)}
	switch known := employeeCause(t, f.Reason); {
	case known.Do != "":
		// A reason of our own says more than its kind.
		c.What, c.Do = known.What, known.Do
	case f.Reason != "":
		c.Details += " (" + f.Reason + ")"
	}
	return c
}

// personsFailure reports whether a failure lasts until somebody does something: the others
// are tried again by themselves.
func personsFailure(k failure.Kind) bool {
	switch k {
	case failure.Revoked, failure.Forbidden, failure.Invalid, failure.SourceInvalid, failure.Misconfigured:
		return true
	case failure.Gone, failure.Conflict, failure.Transient, failure.RateLimited, failure.Exhausted, failure.Source:
	}
	return false
}
