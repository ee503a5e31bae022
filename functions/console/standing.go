package console

import (
	"cmp"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/status"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// standing is how an employee's calendar is doing, in words.
type standing struct {
	group group
	// Level is "bad" where it needs a person, "wait" while it goes on by itself, "good" or "".
	Level, Label string
	cause
	Since stamp
	Next  string // when it is tried again, where that is known
}

// group is the kind of standing that a list can be narrowed to.
type group string

// The groups, the most urgent first.
const (
	groupAttention group = "attention" // somebody has to do something
	groupWaiting   group = "waiting"   // it goes on by itself
	groupOrder     group = "order"     // has a calendar, and nothing is wrong
	groupWithout   group = "without"   // gets none, and that is as it ought to be
)

func groups() []group { return []group{groupAttention, groupWaiting, groupOrder, groupWithout} }

func (g group) urgency() int {
	for i, other := range groups() {
		if g == other {
			return i
		}
	}
	return len(groups())
}

// standingOf says how an employee's calendar is doing. queued is their place in the queue for
// new calendars, nil for those who are not in it.
func standingOf(c locale, e store.EmployeeRecord, queued *store.QueuedCreation) standing {
	s := c.standingByState(e, queued)
	if s.Level == "bad" || e.Failure == nil {
		return s
	}
	// What was wrong at the last pass comes first, but for what is known better: whoever
	// waits for Google's limit has not failed.
	f := failureCause(c.Texts, e.Failure)
	if queued != nil && !f.Person {
		return s
	}
	s.cause, s.Since, s.Next = f, c.stamp(e.PendingSince), c.next(e.Work)
	s.Level, s.group = "wait", groupWaiting
	if f.Person {
		s.Level, s.group, s.Label = "bad", groupAttention, c.T("standing.label.attention")
	}
	return s
}

func (c locale) standingByState(e store.EmployeeRecord, queued *store.QueuedCreation) standing {
	reason := employeeCause(c.Texts, e.Reason)
	switch e.CardState() {
	case store.StateHeld:
		reason.Do, reason.Person = c.T("standing.held.do"), true
		reason = reason.on(c.Texts, heldPath)
		reason.What = c.T("standing.held.what") + " " + reason.What
		return standing{groupAttention, "bad", c.T("standing.label.held"), reason, c.stamp(cmp.Or(e.HeldSince, e.AbsentSince)), ""}
	case store.StateDeleting:
		return standing{groupWaiting, "wait", c.T("standing.label.deleting"), reason, stamp{}, c.next(e.Work)}
	case store.StateError:
		s := standing{groupAttention, "bad", c.T("standing.label.attention"), reason, c.stamp(cmp.Or(e.ErrorSince, e.PendingSince)), c.next(e.Work)}
		if f := failureCause(c.Texts, e.Failure); s.What == "" {
			s.cause = f
		}
		return s
	case store.StatePending:
		s := standing{groupWaiting, "wait", c.T("standing.label.waiting"), reason, c.stamp(asked(e)), ""}
		switch {
		case queued != nil:
			s.cause = cause{What: c.T("standing.queue.what", "Place", queued.Before+1), Do: c.promise(c.T("standing.queue.do"))}
			s.Next = c.T("standing.turn", "At", c.about(queued.At))
		case s.What == "":
			s.cause = cause{What: c.T("standing.making.what"), Do: c.promise(c.T("standing.making.do"))}
		}
		return s
	case store.StateActive:
		return c.standingActive(e)
	case store.StateNone:
	}
	s := standing{groupWithout, "", c.T("standing.label.none"), reason, c.stamp(e.SeenAt), ""}
	switch {
	case reason.Person:
		s.group, s.Level = groupAttention, "bad"
	case reason.What == "":
		s.group, s.Level, s.cause = groupWaiting, "wait", cause{What: c.T("standing.unread.what"), Do: c.T("standing.unread.do")}
	case waits(e.Reason):
		s.group, s.Level = groupWaiting, "wait"
	}
	return s
}

// waits reports whether somebody without a calendar is to get one later.
func waits(reason string) bool {
	switch calendarsync.Reason(reason) {
	case calendarsync.ReasonUnconfirmed, calendarsync.ReasonPaused, calendarsync.ReasonNotConnected, calendarsync.ReasonPurged, calendarsync.ReasonMissing:
		return true
	}
	return false
}

func (c locale) standingActive(e store.EmployeeRecord) standing {
	s := standing{groupOrder, "good", c.T("standing.label.order"), employeeCause(c.Texts, e.Reason), stamp{}, ""}
	k := e.Calendar
	switch {
	case k == nil:
		return s
	case e.MayReplace():
		s.group, s.Level, s.Label = groupAttention, "bad", c.T("standing.label.attention")
		s.Since, s.Next = c.stamp(k.GoneSince), c.next(e.Work)
	case s.Person:
		s.group, s.Level, s.Label = groupAttention, "bad", c.T("standing.label.attention")
		s.Since = c.stamp(e.AbsentSince)
	case s.What != "":
		s.group, s.Level, s.Since, s.Next = groupWaiting, "wait", c.stamp(e.AbsentSince), c.next(e.Work)
	case !e.PendingSince.IsZero() && c.now.Sub(e.PendingSince) > status.LateChange:
		s.group, s.Level, s.Label = groupWaiting, "wait", c.T("standing.label.late")
		s.cause, s.Since, s.Next = cause{What: c.T("standing.late.what"), Do: c.promise(c.T("standing.late.do"))}, c.stamp(e.PendingSince), c.next(e.Work)
	case k.RuleID == "" || k.ShareAgain:
		s.group, s.Level, s.Label, s.cause = groupWaiting, "wait", c.T("standing.label.waiting"), cause{What: c.T("standing.sharing.what"), Do: c.promise(c.T("standing.making.do"))}
	case k.Filled.IsZero():
		s.group, s.Level, s.Label, s.cause, s.Since = groupWaiting, "wait", c.T("standing.label.waiting"), cause{What: c.T("standing.filling.what"), Do: c.promise(c.T("standing.making.do"))}, c.stamp(k.SharedAt)
	case !k.InviteAsked.IsZero():
		s.cause, s.Since = cause{What: c.T("standing.inviting.what")}, c.stamp(k.InviteAsked)
	case !k.RuleSeen && !k.Unseen.IsZero():
		s.cause, s.Since = cause{What: c.T("standing.unseen.what"), Do: c.T("standing.unseen.do")}, c.stamp(k.SharedAt)
	case e.CardFailure != nil:
		s.cause, s.Since, s.Next = cardCause(c.Texts, e.CardFailure), c.stamp(e.CardFailure.At), c.T("standing.next", "At", c.about(e.CardAgain))
	default:
		s.cause, s.Since = cause{What: c.T("standing.order.what")}, c.stamp(k.Filled)
	}
	return s
}

// asked is when a calendar that is not made yet was asked for first.
func asked(e store.EmployeeRecord) time.Time {
	if e.Creation != nil {
		return e.Creation.Asked
	}
	return e.PendingSince
}

// next says when a key is looked at again by itself; "" where nothing is due.
func (c locale) next(w store.Work) string {
	if w.DueAt.IsZero() {
		return ""
	}
	return c.T("standing.next", "At", c.about(w.DueAt))
}
