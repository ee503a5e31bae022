package console

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// locale is how a page speaks to its reader: in which language, at what time, in which zone.
type locale struct {
	i18n.Texts
	now  time.Time
	zone *time.Location
}

// locale gives that of a request; zone is the installation's.
func (h *handler) locale(r *http.Request, zone string) locale {
	loc, known := location(zone)
	if !known {
		loc = time.UTC
	}
	return locale{Texts: h.texts(r), now: h.Now(), zone: loc}
}

// location is the zone of a name; known is false where it is none.
func location(zone string) (at *time.Location, known bool) {
	at, err := time.LoadLocation(zone)
	return at, err == nil && zone != "" && !strings.EqualFold(zone, "local")
}

func (c locale) stamp(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	return stamp{Ago: c.age(c.now.Sub(t)), Full: c.moment(t), Machine: t.UTC().Format(time.RFC3339)}
}

// moment gives a time as the language writes it, in the installation's zone.
func (c locale) moment(t time.Time) string { return t.In(c.zone).Format(c.day() + " 15:04") }

// day is the form of a date.
func (c locale) day() string {
	if c.Language == i18n.Default {
		return time.DateOnly
	}
	return "02.01.2006"
}

// age puts a duration into words, rounded down.
func (c locale) age(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())
	switch {
	case d < time.Minute:
		return c.T("time.seconds", "S", max(0, int(d.Seconds())))
	case d < time.Hour:
		return c.T("time.minutes", "M", minutes)
	case d < 10*time.Hour && minutes%60 > 0:
		return c.T("time.hours-minutes", "H", hours, "M", minutes%60)
	case d < 48*time.Hour:
		return c.T("time.hours", "H", hours)
	default:
		return c.N("time.days", hours/24)
	}
}

// about puts a time to come into words: the hour, and the day if it is another.
func (c locale) about(t time.Time) string {
	if !t.After(c.now) {
		return c.T("time.now")
	}
	t = t.In(c.zone)
	form := c.day() + " 15:04"
	if day := time.DateOnly; t.Format(day) == c.now.In(c.zone).Format(day) {
		form = "15:04"
	}
	return c.T("time.about", "At", t.Format(form))
}

// queuedWords gives an employee's place in the queue for calendars.
func queuedWords(c locale, q store.QueuedCreation) string {
	return fmt.Sprintf("Waits for its turn, as Google limits new calendars: %s (%d before).", c.about(q.At), q.Before)
}

// queueWords gives the length of the queue for calendars and when it will be done;
// nothing where nobody waits.
func queueWords(c locale, queue []store.QueuedCreation) string {
	if len(queue) == 0 {
		return ""
	}
	return plural(len(queue), "waits for its turn", "wait for their turn") + ", the last " + c.about(queue[len(queue)-1].At)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func stateWords(s store.EmployeeState) string {
	switch s {
	case store.StateNone:
		return "No calendar"
	case store.StatePending:
		return "On its way"
	case store.StateActive:
		return "Active"
	case store.StateHeld:
		return "Deletion held"
	case store.StateDeleting:
		return "Being deleted"
	case store.StateError:
		return "Error"
	}
	return string(s)
}

// reasonWords says in a sentence what a recorded reason means; one that is not
// known is shown as it is.
func reasonWords(reason string) string {
	switch calendarsync.Reason(reason) {
	case calendarsync.ReasonDismissed:
		return "Does not work here any more."
	case calendarsync.ReasonNoAddress:
		return "Has no e-mail address in the ERP."
	case calendarsync.ReasonInvalidAddress:
		return "The e-mail address in the ERP is not valid."
	case calendarsync.ReasonUnbound:
		return "The calendar is not ticked on the employee's card."
	case calendarsync.ReasonDeleted:
		return "Was deleted from the ERP."
	case calendarsync.ReasonMissing:
		return "Is not in the ERP's list any more; it is read a second time before anything is deleted."
	case calendarsync.ReasonInvalid:
		return "The ERP gave data that cannot be believed."
	case calendarsync.ReasonWorkMissing:
		return "The ERP does not say whether this employee works here."
	case calendarsync.ReasonAddressMissing:
		return "The ERP did not give the e-mail field."
	case calendarsync.ReasonBindingMissing:
		return "The ERP did not give the checkbox field named in the settings."
	case calendarsync.ReasonUnconfirmed:
		return "Waits until the settings are confirmed."
	case calendarsync.ReasonPaused:
		return "Waits until syncing is switched on."
	case calendarsync.ReasonPurged:
		return "Was deleted with all the others, because an admin asked for it."
	case calendarsync.ReasonCalendarGone:
		return "Google says that the calendar does not exist; it is looked for again before another is made."
	case calendarsync.ReasonMarkUnreadable:
		return "Waits: Google does not give back what the product knows its calendars by, so no further one is made."
	case calendarsync.ReasonShareLowered:
		return "Google lets them see busy times only: a sharing setting of the central account's Workspace forbids more."
	case calendarsync.ReasonUndecided:
		return "Waits until an admin has said whose the calendars are that were found."
	case calendarsync.ReasonNotConnected:
		return "Waits until a Google account is connected."
	}
	return reason
}

// goneWords says since when a calendar is gone, and when it is looked for again.
func goneWords(c locale, e store.EmployeeRecord) string {
	since := "It first said so " + c.age(c.now.Sub(e.Calendar.GoneSince)) + " ago"
	if !e.DueAt.After(c.now) {
		return since + "."
	}
	return since + "; the next look is in " + c.age(e.DueAt.Sub(c.now)) + "."
}

// invited says what is known of a share that Google does not show yet.
func invited(c locale, e store.EmployeeRecord) string {
	k := e.Calendar
	switch {
	case e.State != store.StateActive || k.RuleSeen || k.RuleID == "":
		return ""
	case !k.InviteAsked.IsZero():
		return "being invited again"
	case k.Unseen.IsZero():
		return "invited " + c.age(c.now.Sub(k.SharedAt)) + " ago"
	default:
		return "invited " + c.age(c.now.Sub(k.SharedAt)) + " ago, not visible"
	}
}

// causeWords says what made a pass: a notification, the poll, the nightly check.
func causeWords(c locale, cause string) string {
	if cause == "" || !c.Has("cause."+cause) {
		return cause
	}
	return c.T("cause." + cause)
}

// actionWords reads actions such as "event.update". One of an earlier version that is not
// known any more is shown as it is.
func actionWords(c locale, action string) string {
	if !c.Has("action." + action) {
		return action
	}
	return c.T("action." + action)
}
