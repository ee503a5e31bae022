package google

import (
	"net/http"
	"time"
)

// Spell is a fault that befalls Google for a while, as a row of the unproved
// questions has it. Its Name begins with the row.
type Spell struct {
	Fault
	// After is how long it waits once it was begun, For how long it then lasts;
	// 0 lasts until it is removed.
	After, For time.Duration
}

// Begin puts a spell in force. Injected.Remove ends it before its time, and so does
// ClearFaults.
func (s *Server) Begin(spell Spell) *Injected {
	f := spell.Fault
	f.From = s.now().Add(spell.After)
	if spell.For > 0 {
		f.Until = f.From.Add(spell.For)
	}
	return s.Inject(f)
}

// BodyForm is the form in which an injected status is answered.
type BodyForm string

// The forms of the body of an error.
const (
	// BodyDefault is JSON, with "status" if Options.StatusErrors says so.
	BodyDefault BodyForm = ""
	// BodyWithStatus and BodyWithoutStatus are the two documented JSON bodies.
	BodyWithStatus    BodyForm = "json"
	BodyWithoutStatus BodyForm = "json without status"
	// BodyDetailsOnly is JSON with status and details, and no list of errors.
	BodyDetailsOnly BodyForm = "json details only"
	// BodyHTML is a page, as a front end of Google's answers.
	BodyHTML BodyForm = "html"
	// BodyEmpty is nothing.
	BodyEmpty BodyForm = "empty"
)

// NotFoundSpell answers 404 for calendars that exist: with that body, on the given
// methods, or on all that name a calendar; Fault.CalendarID, Account or OneCalendarIn
// narrow it. G1: google-api-java-client 702, google-api-javascript-client 34,
// Netflix/dispatch PR 165, all of which healed by themselves.
func NotFoundSpell(body BodyForm, methods ...string) Spell {
	name := "G1 404 " + string(body)
	if body == BodyDefault {
		name += "json"
	}
	everywhere := len(methods) == 0
	if everywhere {
		methods = []string{"calendar.calendars.*", "calendar.events.*", "calendar.acl.*"}
	}
	return Spell{Fault: Fault{Name: name, Methods: methods, NamesCalendar: everywhere, Count: -1, Status: http.StatusNotFound, Message: "Not Found", Body: body}}
}

// AccountRefusal answers 403 with a reason on every method of the Calendar API. G10:
// accessNotConfigured (the API is not enabled, with SERVICE_DISABLED in the details),
// notACalendarUser (GAM 806), dailyLimitExceeded, or any other.
func AccountRefusal(reason string) Spell {
	message := map[string]string{
		"accessNotConfigured": "Google Calendar API has not been used in project 1234567890 before or it is disabled.",
		"notACalendarUser":    "The user must be signed up for Google Calendar.",
		"dailyLimitExceeded":  "Daily Limit Exceeded",
	}[reason]
	return Spell{Fault: Fault{Name: "G10 " + reason, Method: "calendar.*", Count: -1, Status: http.StatusForbidden, Reason: reason, Message: message}}
}

// TokenRefusal answers every refresh and exchange with an OAuth error. G10:
// deleted_client (google-api-nodejs-client 1256) and disabled_client with 401;
// admin_policy_enforced, org_internal, access_denied and any other with 400.
func TokenRefusal(code string) Spell {
	status := http.StatusBadRequest
	switch code {
	case "deleted_client", "disabled_client", "invalid_client", "unauthorized_client":
		status = http.StatusUnauthorized
	}
	return Spell{Fault: Fault{Name: "G10 token " + code, Method: "oauth2.token", Count: -1, Status: status, Reason: code, Message: "The request was refused."}}
}

// WritesLocked answers every write of the Calendar API with 403 quotaExceeded, as
// when too much was created. G9: "read-only for several hours".
func WritesLocked() Spell {
	return Spell{Fault: Fault{Name: "G9 all writes locked", Method: "calendar.*", Writes: true, Count: -1, Status: http.StatusForbidden,
		Reason: "quotaExceeded", Message: "Calendar usage limits exceeded."}}
}

// PreconditionSpell answers 412 to writes that carry an If-Match, though nothing
// changed. G11.
func PreconditionSpell() Spell {
	return Spell{Fault: Fault{Name: "G11 412 spell", Method: "calendar.*", IfMatched: true, Count: -1, Status: http.StatusPreconditionFailed, Message: "Precondition Failed"}}
}

// strayPrecondition reports whether a write whose If-Match is right is refused all
// the same (Ways.PreconditionsOneIn).
func (c *call) strayPrecondition() bool {
	n := c.s.opt.Ways.PreconditionsOneIn
	if n < 2 || c.match == "" {
		return false
	}
	c.s.matches++
	if c.s.matches%n != 0 {
		return false
	}
	c.s.meet(wayPrecondition)
	return true
}

// inForm gives an error's answer the body that a fault asks for.
func (a answer) inForm(form BodyForm) answer {
	switch form {
	case BodyHTML:
		a.header = http.Header{"Content-Type": {"text/html; charset=UTF-8"}, "Referrer-Policy": {"no-referrer"}}
		a.body = []byte("<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n<title>Error " + http.StatusText(a.status) +
			"!!1</title>\n<p>The requested URL was not found on this server. <ins>That’s all we know.</ins>\n")
	case BodyEmpty:
		a.header, a.body = http.Header{"Content-Type": {"text/html; charset=UTF-8"}}, nil
	default:
		return a
	}
	a.reason = "" // the body names none
	return a
}
