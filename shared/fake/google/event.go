package google

import (
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of event fields. Those of extended properties are documented
// (shared/googlecalendar/README.md), those of text are what users report.
const (
	maxSummary      = 1024
	maxLocation     = 1024
	maxDescription  = 8192
	maxPropKey      = 44
	maxPropValue    = 1024
	maxProps        = 300
	maxPropsBytes   = 32 << 10
	maxOverrides    = 5
	maxReminderMins = 40320
)

// event is one event; data holds the normalised fields that clients write,
// status among them.
type event struct {
	id               string
	cal              *calendarState
	data             obj
	n                int64 // order of creation
	rev, etag        int64
	sequence         int64
	created, updated time.Time
	creator          string
	clientID         string
	start, end       time.Time
	cancelledAt      time.Time
	webDeleted       bool // deleted in the web UI
	purged           bool // gone from the bin: only the id stays taken
}

func (e *event) cancelled() bool { return str(e.data, "status") == "cancelled" }

func str(o obj, k string) string { s, _ := o[k].(string); return s }

// text gives a normalised text field: line ends as LF, no control characters, no
// white space at the end.
func (s *Server) text(in obj, name string, limit int) (string, *apiError) {
	v := str(in, name)
	if !utf8.ValidString(v) {
		return "", invalidf("invalid", "Invalid value for: %s is not valid UTF-8", name)
	}
	v = strings.ReplaceAll(v, "\r\n", "\n")
	v = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, v)
	v = strings.TrimRight(v, " \t\n\u00a0")
	if n := s.length(v); n > limit {
		return "", invalidf("invalid", "The %s is too long: %d characters, at most %d are allowed.", name, n, limit)
	}
	return v, nil
}

func validID(id string) bool {
	if len(id) < 5 || len(id) > 1024 {
		return false
	}
	for _, r := range id {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'v') {
			return false
		}
	}
	return true
}

// mergePatch applies patch semantics: null removes, objects merge, the rest replaces.
func mergePatch(old, patch obj) obj {
	out := maps.Clone(old)
	for k, v := range patch {
		switch x := v.(type) {
		case nil:
			delete(out, k)
		case obj:
			before, _ := out[k].(obj)
			if before == nil {
				before = obj{}
			}
			out[k] = mergePatch(before, x)
		default:
			out[k] = v
		}
	}
	return out
}

// moment reads one EventDateTime. The result is normalised as Google returns it,
// but for the offset, which is a matter of rendering.
func (s *Server) moment(in any, which string, zone *time.Location) (t time.Time, allDay bool, out obj, err *apiError) {
	o, _ := in.(obj)
	date, stamp, tz := str(o, "date"), str(o, "dateTime"), str(o, "timeZone")
	fail := func(reason, format string, args ...any) (time.Time, bool, obj, *apiError) {
		return time.Time{}, false, nil, invalidf(reason, format, args...)
	}
	if tz != "" && !s.knownZone(tz) {
		return fail("invalid", "Invalid time zone definition for %s time.", which)
	}
	switch {
	case date == "" && stamp == "":
		return fail("required", "Missing %s time.", which)
	case date != "" && stamp != "":
		return fail("invalid", "Invalid %s time.", which)
	case date != "":
		d, e := time.ParseInLocation(time.DateOnly, date, zone)
		if e != nil {
			return fail("invalid", "Invalid value for: Invalid format: %q", date)
		}
		out = obj{"date": date}
		if tz != "" {
			out["timeZone"] = tz
		}
		return d, true, out, nil
	}
	t, e := time.Parse(time.RFC3339, stamp)
	if e != nil {
		if t, e = time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(stamp, ".000")); e != nil {
			return fail("invalid", "Invalid value for: Invalid format: %q", stamp)
		}
		if tz == "" {
			return fail("required", "Missing time zone definition for %s time.", which)
		}
		loc, e := time.LoadLocation(tz)
		if e != nil {
			return fail("invalid", "Invalid time zone definition for %s time.", which)
		}
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, loc)
	}
	if tz == "" {
		tz = zone.String()
	}
	t = t.Truncate(time.Second).UTC()
	return t, false, obj{"dateTime": t.Format(time.RFC3339), "timeZone": tz}, nil
}

// eventData checks the writable fields of in and gives them normalised.
func (c *call) eventData(in obj, cal *calendarState) (out obj, start, end time.Time, err *apiError) {
	out = obj{}
	spanned := func(in, out obj) (err *apiError) {
		start, end, err = c.s.span(in, out, cal.zone())
		return err
	}
	for _, check := range []func(in, out obj) *apiError{
		c.s.texts, spanned, noRecurrence, choices, color, guestRights, extendedProperties, source, reminders, c.attendees,
	} {
		if err := check(in, out); err != nil {
			return nil, time.Time{}, time.Time{}, err
		}
	}
	if v := in["attachments"]; v != nil && c.flag("supportsAttachments") {
		out["attachments"] = v
	}
	return out, start, end, nil
}

// span reads start and end.
func (s *Server) span(in, out obj, zone *time.Location) (start, end time.Time, err *apiError) {
	start, dayA, a, err := s.moment(in["start"], "start", zone)
	if err != nil {
		return start, end, err
	}
	end, dayB, b, err := s.moment(in["end"], "end", zone)
	switch {
	case err != nil:
		return start, end, err
	case dayA != dayB:
		return start, end, invalidf("invalid", "Start and end times must either both be date or both be dateTime.")
	case !end.After(start):
		return start, end, invalidf("timeRangeEmpty", "The specified time range is empty.")
	}
	out["start"], out["end"] = a, b
	return start, end, nil
}

func (s *Server) texts(in, out obj) *apiError {
	for name, limit := range map[string]int{"summary": maxSummary, "location": maxLocation, "description": maxDescription} {
		v, err := s.text(in, name, limit)
		if err != nil {
			return err
		}
		if v != "" {
			out[name] = v
		}
	}
	return nil
}

func noRecurrence(in, _ obj) *apiError {
	if list, _ := in["recurrence"].([]any); len(list) > 0 {
		return errorf(http.StatusNotImplemented, "notImplemented", "This stand-in of Google does not do recurring events.")
	}
	return nil
}

// choices are the fields that take one of a few words, the default first: only what
// differs from it is stored and returned, but for the status.
func choices(in, out obj) *apiError {
	for name, allowed := range map[string][]string{
		"status":       {"confirmed", "tentative", "cancelled"},
		"visibility":   {"default", "public", "private", "confidential"},
		"transparency": {"opaque", "transparent"},
		"eventType":    {"default"},
	} {
		v := str(in, name)
		if v == "" {
			continue
		}
		if !slices.Contains(allowed, v) {
			return invalidf("invalid", "Invalid value for: %s: %q", name, v)
		}
		if v != allowed[0] || name == "status" {
			out[name] = v
		}
	}
	return nil
}

func color(in, out obj) *apiError {
	id := str(in, "colorId")
	if id == "" {
		return nil
	}
	if n, e := strconv.Atoi(id); e != nil || n < 1 || n > 11 || strconv.Itoa(n) != id {
		return invalidf("invalid", "Invalid color ID: %s", id)
	}
	out["colorId"] = id
	return nil
}

// guestRights keeps what differs from the default.
func guestRights(in, out obj) *apiError {
	for _, name := range []string{"guestsCanInviteOthers", "guestsCanModify", "guestsCanSeeOtherGuests", "anyoneCanAddSelf"} {
		if v, ok := in[name].(bool); ok && v != (name == "guestsCanInviteOthers" || name == "guestsCanSeeOtherGuests") {
			out[name] = v
		}
	}
	return nil
}

// extendedProperties drops keys over 44 characters and cuts values at 1,024,
// both without a word, as Google does.
func extendedProperties(in, out obj) *apiError {
	ext, _ := in["extendedProperties"].(obj)
	kept, count, size := obj{}, 0, 0
	for _, kind := range []string{"private", "shared"} {
		props, _ := ext[kind].(obj)
		norm := obj{}
		for k, v := range props {
			value, ok := v.(string)
			if !ok || utf8.RuneCountInString(k) > maxPropKey {
				continue
			}
			if utf8.RuneCountInString(value) > maxPropValue {
				value = string([]rune(value)[:maxPropValue])
			}
			norm[k] = value
			count++
			size += len(k) + len(value)
		}
		if len(norm) > 0 {
			kept[kind] = norm
		}
	}
	if count > maxProps || size > maxPropsBytes {
		return invalidf("invalid", "Too many extended properties: %d of %d bytes.", count, size)
	}
	if len(kept) > 0 {
		out["extendedProperties"] = kept
	}
	return nil
}

func source(in, out obj) *apiError {
	src, ok := in["source"].(obj)
	if !ok || len(src) == 0 {
		return nil
	}
	u, err := url.Parse(str(src, "url"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return invalidf("invalid", "Invalid source URL.")
	}
	out["source"] = obj{"url": str(src, "url"), "title": strings.TrimSpace(str(src, "title"))}
	return nil
}

func reminders(in, out obj) *apiError {
	rem, ok := in["reminders"].(obj)
	if !ok {
		return nil
	}
	list, _ := rem["overrides"].([]any)
	useDefault, _ := rem["useDefault"].(bool)
	if useDefault && len(list) > 0 {
		return invalidf("cannotUseDefaultRemindersAndSpecifyOverride", "Cannot specify both default reminders and overrides at the same time.")
	}
	if len(list) > maxOverrides {
		return invalidf("invalid", "Too many reminder overrides.")
	}
	for _, e := range list {
		o, _ := e.(obj)
		mins, ok := o["minutes"].(int64)
		if m := str(o, "method"); (m != "popup" && m != "email") || !ok || mins < 0 || mins > maxReminderMins {
			return invalidf("invalid", "Invalid reminder override.")
		}
	}
	norm := obj{"useDefault": useDefault}
	if len(list) > 0 {
		norm["overrides"] = list
	}
	out["reminders"] = norm
	return nil
}

func (c *call) attendees(in, out obj) *apiError {
	list, _ := in["attendees"].([]any)
	var norm []any
	for _, e := range list {
		o, _ := e.(obj)
		if a, err := mail.ParseAddress(str(o, "email")); err != nil || a.Address != str(o, "email") {
			return invalidf("invalid", "Invalid attendee email.")
		}
		n := maps.Clone(o)
		if str(n, "responseStatus") == "" {
			n["responseStatus"] = "needsAction"
		}
		norm = append(norm, n)
	}
	if len(norm) > 0 {
		out["attendees"] = norm
	}
	return nil
}

// significant fields make the iCalendar sequence grow when they change.
func significant(a, b obj) bool {
	for _, k := range []string{"start", "end", "location", "status"} {
		if jsonText(a[k]) != jsonText(b[k]) {
			return true
		}
	}
	return false
}

// put stores data as ev's new state. sequence is what the writer asked for.
func (s *Server) put(ev *event, data obj, start, end time.Time, sequence int64) {
	if sequence <= ev.sequence {
		sequence = ev.sequence
		if ev.data != nil && significant(ev.data, data) {
			sequence++
		}
	}
	onlyReminders := false
	if ev.data != nil {
		a, b := maps.Clone(ev.data), maps.Clone(data)
		changed := jsonText(a["reminders"]) != jsonText(b["reminders"])
		delete(a, "reminders")
		delete(b, "reminders")
		onlyReminders = changed && jsonText(a) == jsonText(b)
	}
	ev.data, ev.start, ev.end, ev.sequence = data, start, end, sequence
	ev.etag, ev.rev = s.etag(), s.touch()
	if !onlyReminders {
		ev.updated = s.now()
	}
	if !ev.cancelled() {
		ev.webDeleted, ev.cancelledAt = false, time.Time{}
	} else if ev.cancelledAt.IsZero() {
		ev.cancelledAt = s.now()
	}
	s.tellEvent(ev)
}

// addEvent makes an event that did not exist.
func (s *Server) addEvent(cal *calendarState, id string, creator, clientID string, data obj, start, end time.Time, sequence int64) *event {
	ev := &event{id: id, cal: cal, n: int64(len(cal.eventOrder)), created: s.now(), creator: creator, clientID: clientID, sequence: sequence}
	if data["status"] == nil {
		data["status"] = "confirmed"
	}
	if str(data, "iCalUID") == "" {
		data["iCalUID"] = id + "@google.com"
	}
	cal.events[id] = ev
	cal.eventOrder = append(cal.eventOrder, ev)
	s.put(ev, data, start, end, sequence)
	return ev
}

// cancelEvent deletes: the tombstone keeps the id and the details.
func (s *Server) cancelEvent(ev *event, web bool) {
	data := maps.Clone(ev.data)
	data["status"] = "cancelled"
	s.put(ev, data, ev.start, ev.end, ev.sequence)
	ev.webDeleted = web
}

// view says who looks at an event, and in which zone.
type view struct {
	role    string
	account string
	zone    *time.Location
	minimal bool // a tombstone in an incremental sync: the id and no details
	written bool // the answer to a write
	stored  bool // as it is stored, and not as answers show it
}

// renderEvent gives ev as Google returns it to that viewer.
func (s *Server) renderEvent(cal *calendarState, ev *event, v view) obj {
	etag := quoteETag(ev.etag)
	if ev.cancelled() && (v.minimal || !v.stored && s.bare(ev)) {
		return obj{"kind": "calendar#event", "etag": etag, "id": ev.id, "status": "cancelled"}
	}
	out := obj{
		"kind": "calendar#event", "etag": etag, "id": ev.id, "iCalUID": str(ev.data, "iCalUID"), "sequence": ev.sequence,
		"created": stamp(ev.created.Truncate(time.Second)), "updated": stamp(ev.updated), "eventType": "default",
		"htmlLink": s.opt.BaseURL + "/?event=" + url.QueryEscape(ev.id),
	}
	private := str(ev.data, "visibility") == "private" || str(ev.data, "visibility") == "confidential"
	hide := v.role == "freeBusyReader" || private && roleRank[v.role] < roleRank["writer"]
	for k, val := range ev.data {
		if shown, is := s.renderField(ev, k, val, v, hide); is {
			out[k] = shown
		}
	}
	if out["reminders"] == nil {
		out["reminders"] = obj{"useDefault": true}
	}
	if hide {
		return out
	}
	out["creator"] = obj{"email": ev.creator}
	if strings.EqualFold(ev.creator, cal.id) {
		out["creator"] = obj{"email": ev.creator, "self": true}
	}
	out["organizer"] = obj{"email": cal.id, "displayName": s.renderText(cal.summary(), v), "self": true}
	return out
}

// renderField gives a field as that viewer sees it; is is false for one that they do
// not. hide keeps back what the event is about.
func (s *Server) renderField(ev *event, name string, val any, v view, hide bool) (shown any, is bool) {
	switch name {
	case "start", "end":
		return s.renderTime(val, v), true
	case "status", "visibility", "transparency", "iCalUID":
		return val, true
	case "reminders": // they belong to the owner
		return val, roleRank[v.role] >= roleRank["writer"]
	case "extendedProperties":
		if props, ok := val.(obj); ok && !v.stored && s.opt.Ways.PropertiesLost && props["private"] != nil {
			s.meet(wayPropertiesLost)
			shared := maps.Clone(props)
			delete(shared, "private")
			return shared, !hide
		}
		return val, !hide
	case "source":
		return val, strings.EqualFold(v.account, ev.creator)
	case "summary", "location":
		words, _ := val.(string)
		return s.renderText(words, v), !hide
	}
	return val, !hide
}

func (s *Server) renderText(text string, v view) string {
	if v.stored {
		return text
	}
	return s.folded(text, v.written)
}

func (s *Server) renderTime(val any, v view) any {
	o, _ := val.(obj)
	out := maps.Clone(o)
	if t, err := time.Parse(time.RFC3339, str(o, "dateTime")); err == nil {
		out["dateTime"] = t.In(v.zone).Format(time.RFC3339)
	}
	if alias := s.opt.ZoneAliases[str(o, "timeZone")]; alias != "" {
		out["timeZone"] = alias
	} else if name := str(o, "timeZone"); name != "" && !v.stored {
		out["timeZone"] = s.aliased(name)
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// eventMail records what Google would send for a write to ev.
func (c *call) eventMail(cal *calendarState, ev *event, kind string) {
	send := c.query.Get("sendUpdates")
	if send == "none" || (send == "" && c.query.Get("sendNotifications") == "false") {
		return
	}
	list, _ := ev.data["attendees"].([]any)
	for _, e := range list {
		o, _ := e.(obj)
		c.s.mail(Mail{Kind: kind, To: str(o, "email"), CalendarID: cal.id, EventID: ev.id, Summary: str(ev.data, "summary")})
	}
	if len(list) == 0 {
		c.s.mail(Mail{Kind: "unaddressed", CalendarID: cal.id, EventID: ev.id, Summary: str(ev.data, "summary")})
	}
}

// zone is the zone in which the call wants times: the parameter timeZone, or the
// calendar's.
func (c *call) zone(cal *calendarState) (*time.Location, *apiError) {
	name := c.query.Get("timeZone")
	if name == "" {
		return cal.zone(), nil
	}
	if !c.s.knownZone(name) {
		return nil, invalidf("invalid", "Invalid time zone: %s", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, errorf(http.StatusInternalServerError, "internalError", "%s", fmt.Sprint("loading a zone: ", err))
	}
	return loc, nil
}
