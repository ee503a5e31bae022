package console

import (
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// cause is why something is as it is (rule 7.8): What is a sentence, Do what somebody can do about it,
// and Details what only a programmer reads. Person is set where nothing happens by itself.
type cause struct {
	What, Do, Details string
	Person            bool
	// Link is the console's page on which it can be done, by LinkText; "" for none.
	Link, LinkText string
}

// on gives a cause the page on which something can be done about it.
func (c cause) on(t i18n.Texts, path string) cause {
	switch path {
	case settingsPath:
		c.Link, c.LinkText = path, t.T("frame.settings")
	case heldPath:
		c.Link, c.LinkText = path, t.T("frame.held")
	case overviewPath:
		c.Link, c.LinkText = path, t.T("frame.overview")
	case connectionsPath:
		c.Link, c.LinkText = path, t.T("frame.connections")
	}
	return c
}

// The pages on which causes are mended.
const (
	overviewPath    = "/"
	settingsPath    = "/settings"
	heldPath        = "/held"
	connectionsPath = "/connections"
)

// pageOf is the page on which something can be done about a reason; "" where it is done in
// the ERP or at Google.
func pageOf(r calendarsync.Reason) string {
	switch r {
	case calendarsync.ReasonUnconfirmed, calendarsync.ReasonPaused, calendarsync.ReasonPurged, calendarsync.ReasonSettings,
		calendarsync.ReasonBindingMissing, calendarsync.ReasonCatalogue, calendarsync.ReasonRefusedContent, calendarsync.ReasonBefore:
		return settingsPath
	case calendarsync.ReasonNotConnected:
		return connectionsPath
	case calendarsync.ReasonUndecided, calendarsync.ReasonMarkUnreadable:
		return overviewPath
	}
	return ""
}

// employeeCause says why an employee has no calendar, or is to lose it. A reason that has no
// text is one of another version's, which may be stored: it is shown as a detail.
func employeeCause(t i18n.Texts, reason string) cause {
	if reason == "" {
		return cause{}
	}
	if !t.Has("reason.employee." + reason + ".what") {
		return cause{What: t.T("reason.unknown"), Details: reason}
	}
	return cause{What: t.T("reason.employee." + reason + ".what"), Do: t.T("reason.employee." + reason + ".do"), Person: personsReason(calendarsync.Reason(reason))}.
		on(t, pageOf(calendarsync.Reason(reason)))
}

// taskCause is employeeCause for a task that is not in a calendar.
func taskCause(t i18n.Texts, reason string) cause {
	if reason == "" {
		return cause{}
	}
	if !t.Has("reason.task." + reason + ".what") {
		return cause{What: t.T("reason.unknown"), Details: reason}
	}
	return cause{What: t.T("reason.task." + reason + ".what"), Do: t.T("reason.task." + reason + ".do"), Person: personsReason(calendarsync.Reason(reason))}.
		on(t, pageOf(calendarsync.Reason(reason)))
}

// personsReason reports whether a reason is a fault that lasts until somebody mends it: the
// others are how the company wants it, or pass by themselves.
func personsReason(r calendarsync.Reason) bool {
	switch r {
	case calendarsync.ReasonInvalidAddress, calendarsync.ReasonInvalid, calendarsync.ReasonShareLowered, calendarsync.ReasonCalendarUnreachable,
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
	switch f.Kind {
	case failure.Misconfigured:
		c = c.on(t, settingsPath)
	case failure.Revoked, failure.Source:
		c = c.on(t, connectionsPath)
	}
	switch known := employeeCause(t, f.Reason); {
	case ownReason(f.Reason):
		// It says more than its kind.
		c.What, c.Do, c.Link, c.LinkText = known.What, known.Do, known.Link, known.LinkText
	case f.Reason != "":
		c.Details += " (" + f.Reason + ")"
	}
	return c
}

// ownReason reports whether a failure's reason is one that a text explains. Others are Google's
// words, some of which ("invalid", "deleted") mean another thing in ours.
func ownReason(reason string) bool {
	return reason == string(calendarsync.ReasonShareLowered) || reason == failure.ReasonDailyLimit
}

// cardCause says why a calendar's id is not on its employee's card (rule 5.9). The calendar
// itself is in order.
func cardCause(t i18n.Texts, f *store.Failure) cause {
	why := failureCause(t, f)
	return cause{What: t.T("standing.card.what") + " " + why.What, Do: t.T("standing.card.do"), Details: why.Details}
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
