package google

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// reply renders ev for the caller.
func (c *call) reply(cal *calendarState, ev *event, role string) (obj, *apiError) {
	zone, err := c.zone(cal)
	if err != nil {
		return nil, err
	}
	c.etagOut = quoteETag(ev.etag)
	return c.s.renderEvent(cal, ev, view{role: role, account: c.acc.Email, zone: zone, written: c.entry.Write}), nil
}

// event gives the event of the path, in whatever status.
func (c *call) event(need string) (*calendarState, *event, string, *apiError) {
	cal, role, err := c.find(c.path["calendarId"], need)
	if err != nil {
		return nil, nil, "", err
	}
	ev := cal.events[c.path["eventId"]]
	if ev == nil || c.s.vanished(ev) {
		return nil, nil, "", notFound()
	}
	private := str(ev.data, "visibility") == "private" || str(ev.data, "visibility") == "confidential"
	if roleRank[need] >= roleRank["writerWithoutPrivateAccess"] && private && role == "writerWithoutPrivateAccess" {
		return nil, nil, "", accessLevel("writer")
	}
	return cal, ev, role, nil
}

func eventsGet(c *call) (obj, *apiError) {
	cal, ev, role, err := c.event("freeBusyReader")
	if err != nil {
		return nil, err
	}
	return c.reply(cal, ev, role)
}

func eventsInsert(c *call) (obj, *apiError) { return c.insertEvent(false) }

func eventsImport(c *call) (obj, *apiError) { return c.insertEvent(true) }

func (c *call) insertEvent(importing bool) (obj, *apiError) {
	cal, role, err := c.find(c.path["calendarId"], "writerWithoutPrivateAccess")
	if err != nil {
		return nil, err
	}
	id, uid := str(c.body, "id"), str(c.body, "iCalUID")
	switch {
	case importing && uid == "":
		return nil, invalidf("required", "Missing iCalUID.")
	case importing && id != "":
		return nil, invalidf("invalid", "An imported event gets its id from Google.")
	case id != "" && uid != "":
		return nil, invalidf("invalid", "Only one of id and iCalUID can be given.")
	case id != "" && !validID(id):
		return nil, invalidf("invalid", "Invalid resource id value.")
	}
	data, start, end, err := c.eventData(c.body, cal)
	if err != nil {
		return nil, err
	}
	sequence, _ := c.body["sequence"].(int64)
	if sequence < 0 {
		return nil, invalidf("invalid", "Invalid sequence value.")
	}
	if cal.events[id] != nil {
		return nil, duplicate()
	}
	if uid != "" {
		for _, ev := range cal.eventOrder {
			if str(ev.data, "iCalUID") != uid {
				continue
			}
			if !importing {
				return nil, duplicate()
			}
			// Importing what exists already updates it.
			if sequence < ev.sequence {
				return nil, sequenceError()
			}
			data["iCalUID"] = uid
			c.s.put(ev, withStatus(data, ev), start, end, sequence)
			return c.reply(cal, ev, role)
		}
		data["iCalUID"] = uid
	}
	if err := c.create(kindEvents); err != nil {
		return nil, err
	}
	if id == "" {
		id = c.s.eventID()
		c.entry.EventID = id
	}
	ev := c.s.addEvent(cal, id, c.acc.Email, c.tok.client, data, start, end, sequence)
	if !importing {
		c.eventMail(cal, ev, "invitation")
	}
	return c.reply(cal, ev, role)
}

func withStatus(data obj, ev *event) obj {
	if data["status"] == nil {
		data["status"] = ev.data["status"]
	}
	return data
}

func sequenceError() *apiError {
	return invalidf("invalid", "Invalid sequence value. The specified sequence number is below the current sequence number of the resource. Re-fetch the resource and use its sequence number on the following request.")
}

func eventsWrite(c *call) (obj, *apiError) {
	cal, ev, role, err := c.event("writerWithoutPrivateAccess")
	if err == nil {
		err = c.ifMatch(quoteETag(ev.etag))
	}
	if err != nil {
		return nil, err
	}
	in, patch := c.body, c.m.HTTPMethod == http.MethodPatch
	if id := str(in, "id"); id != "" && id != ev.id {
		return nil, invalidf("invalid", "Invalid resource id value.")
	}
	if uid := str(in, "iCalUID"); uid != "" && uid != str(ev.data, "iCalUID") {
		return nil, invalidf("invalid", "Invalid iCalUID value.")
	}
	sequence, given := in["sequence"].(int64)
	if patch && !given {
		sequence = ev.sequence
	}
	if sequence < ev.sequence && !c.s.bare(ev) {
		return nil, sequenceError()
	}
	if patch {
		in = mergePatch(ev.data, in)
	}
	data, start, end, err := c.eventData(in, cal)
	if err != nil {
		return nil, err
	}
	// A PUT that does not know attachments keeps them.
	if data["attachments"] == nil && ev.data["attachments"] != nil && !c.flag("supportsAttachments") {
		data["attachments"] = ev.data["attachments"]
	}
	data["iCalUID"] = ev.data["iCalUID"]
	data = withStatus(data, ev)
	kind := "update"
	switch {
	case ev.cancelled() && str(data, "status") != "cancelled":
		if ev.webDeleted && c.s.opt.WebDeletionForbidsRevival {
			return nil, errorf(http.StatusForbidden, "forbidden", "Forbidden")
		}
		kind = "invitation"
	case !ev.cancelled() && str(data, "status") == "cancelled":
		kind = "cancellation"
	}
	c.s.put(ev, data, start, end, sequence)
	c.eventMail(cal, ev, kind)
	return c.reply(cal, ev, role)
}

func eventsDelete(c *call) (obj, *apiError) {
	cal, ev, _, err := c.event("writerWithoutPrivateAccess")
	if err != nil {
		return nil, err
	}
	if ev.cancelled() {
		return nil, deletedAlready()
	}
	if err := c.ifMatch(quoteETag(ev.etag)); err != nil {
		return nil, err
	}
	c.s.cancelEvent(ev, false)
	c.eventMail(cal, ev, "cancellation")
	c.noContent = true
	return nil, nil
}

func eventsMove(c *call) (obj, *apiError) {
	_, ev, role, err := c.event("writer")
	if err != nil {
		return nil, err
	}
	to, _, err := c.find(c.query.Get("destination"), "writer")
	if err != nil {
		return nil, err
	}
	if ev.cancelled() {
		return nil, deletedAlready()
	}
	if to.events[ev.id] != nil {
		return nil, duplicate()
	}
	moved := c.s.moveEvent(to, ev)
	c.eventMail(to, moved, "update")
	return c.reply(to, moved, role)
}

// moveEvent takes ev to another calendar; a tombstone stays behind.
func (s *Server) moveEvent(to *calendarState, ev *event) *event {
	data := mergePatch(ev.data, nil)
	s.cancelEvent(ev, false)
	return s.addEvent(to, ev.id, ev.creator, ev.clientID, data, ev.start, ev.end, ev.sequence)
}

func eventsList(c *call) (obj, *apiError) {
	cal, role, err := c.find(c.path["calendarId"], "freeBusyReader")
	if err != nil {
		return nil, err
	}
	zone, err := c.zone(cal)
	if err != nil {
		return nil, err
	}
	pg, err := c.openPage("events", cal.id, 250, 2500, []string{"iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "updatedMin"})
	if err != nil {
		return nil, err
	}
	if c.query.Get("syncToken") != "" && (c.query.Has("timeMin") || c.query.Has("timeMax")) {
		return nil, invalidf("badRequest", "Sync token cannot be used with other query restrictions.")
	}
	if pg.syncing && c.query.Get("showDeleted") == "false" {
		return nil, invalidf("badRequest", "showDeleted cannot be false with a sync token.")
	}
	f, err := c.eventFilter(pg)
	if err != nil {
		return nil, err
	}
	for _, ev := range cal.eventOrder {
		if c.s.vanished(ev) || !f.keeps(ev) {
			continue
		}
		key := ""
		switch c.query.Get("orderBy") {
		case "startTime":
			key = stamp(ev.start)
		case "updated":
			key = stamp(ev.updated)
		}
		pg.add(key, ev.n, func() obj {
			return c.s.renderEvent(cal, ev, view{role: role, account: c.acc.Email, zone: zone, minimal: pg.syncing && !c.flag("showDeleted")})
		})
	}
	out := obj{"kind": "calendar#events", "etag": quoteETag(cal.etag + c.s.rev), "summary": c.s.folded(cal.summary(), false),
		"timeZone": c.s.aliased(zone.String()), "accessRole": role, "updated": stamp(f.newest(cal)), "defaultReminders": []any{}}
	if d := str(cal.data, "description"); d != "" {
		out["description"] = c.s.described(d, true)
	}
	pg.close(out)
	return out, nil
}

// eventFilter holds the restrictions of one events.list.
type eventFilter struct {
	c               *call
	min, max, upMin time.Time
	showDeleted     bool
	syncing         bool
	since           int64
	props           map[string][][2]string // private, shared: name, value
	q, uid          string
	types           []string
}

func (c *call) eventFilter(pg *pager) (*eventFilter, *apiError) {
	f := &eventFilter{c: c, syncing: pg.syncing, since: pg.since, q: strings.ToLower(c.query.Get("q")), uid: c.query.Get("iCalUID"), types: c.query["eventTypes"], props: map[string][][2]string{}}
	if !pg.syncing {
		pg.min, pg.max = c.query.Get("timeMin"), c.query.Get("timeMax")
	}
	for _, p := range []struct {
		name, value string
		to          *time.Time
	}{{"timeMin", pg.min, &f.min}, {"timeMax", pg.max, &f.max}, {"updatedMin", c.query.Get("updatedMin"), &f.upMin}} {
		if p.value == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, p.value)
		if err != nil {
			return nil, invalidf("badRequest", "Bad Request: %s must be an RFC 3339 time with an offset.", p.name)
		}
		*p.to = t.Truncate(time.Second) // milliseconds are ignored
	}
	if !f.min.IsZero() && !f.max.IsZero() && !f.min.Before(f.max) {
		return nil, invalidf("timeRangeEmpty", "The specified time range is empty.")
	}
	if !f.upMin.IsZero() && c.now.Sub(f.upMin) > 28*24*time.Hour {
		return nil, errorf(http.StatusGone, "updatedMinTooLongAgo", "The requested minimum modification time lies too far in the past.")
	}
	if c.query.Get("orderBy") == "startTime" && !c.flag("singleEvents") {
		return nil, invalidf("badRequest", "The requested ordering is not available for the particular query.")
	}
	for kind, name := range map[string]string{"private": "privateExtendedProperty", "shared": "sharedExtendedProperty"} {
		for _, v := range c.query[name] {
			k, val, ok := strings.Cut(v, "=")
			if !ok || k == "" {
				return nil, invalidf("invalid", "Invalid extended property constraint: %q", v)
			}
			f.props[kind] = append(f.props[kind], [2]string{k, val})
		}
	}
	// An incremental sync and updatedMin always tell what was deleted.
	f.showDeleted = c.flag("showDeleted") || pg.syncing || !f.upMin.IsZero()
	return f, nil
}

func (f *eventFilter) keeps(ev *event) bool {
	switch {
	case f.syncing && ev.rev <= f.since,
		ev.cancelled() && !f.showDeleted,
		!f.upMin.IsZero() && ev.updated.Before(f.upMin),
		f.uid != "" && str(ev.data, "iCalUID") != f.uid,
		len(f.types) > 0 && !slices.Contains(f.types, "default"):
		return false
	}
	// A deletion is told in a sync even if the event lies outside the window.
	if !(f.syncing && ev.cancelled()) {
		if !f.min.IsZero() && !ev.end.After(f.min) || !f.max.IsZero() && !ev.start.Before(f.max) {
			return false
		}
	}
	return f.hasProps(ev) && f.hasWords(ev)
}

func (f *eventFilter) hasProps(ev *event) bool {
	ext, _ := ev.data["extendedProperties"].(obj)
	if len(f.props) > 0 && f.c.s.bare(ev) {
		return false
	}
	for kind, list := range f.props {
		have, _ := ext[kind].(obj)
		for _, p := range list {
			if v, ok := have[p[0]].(string); !ok || v != p[1] {
				return false
			}
		}
	}
	return true
}

// hasWords reports whether every word of q stands in one of the event's texts.
func (f *eventFilter) hasWords(ev *event) bool {
	texts := strings.ToLower(str(ev.data, "summary") + "\n" + str(ev.data, "description") + "\n" + str(ev.data, "location"))
	return !slices.ContainsFunc(strings.Fields(f.q), func(word string) bool { return !strings.Contains(texts, word) })
}

func (f *eventFilter) newest(cal *calendarState) time.Time {
	t := cal.created
	for _, ev := range cal.eventOrder {
		if ev.updated.After(t) {
			t = ev.updated
		}
	}
	return t
}

// Colors of Google Calendar's classic palette, by id.
var eventColors = []string{"#a4bdfc", "#7ae7bf", "#dbadff", "#ff887c", "#fbd75b", "#ffb878", "#46d6db", "#e1e1e1", "#5484ed", "#51b749", "#dc2127"}

var calendarColors = []string{"#ac725e", "#d06b64", "#f83a22", "#fa573c", "#ff7537", "#ffad46", "#42d692", "#16a765", "#7bd148", "#b3dc6c", "#fbe983", "#fad165",
	"#92e1c0", "#9fe1e7", "#9fc6e7", "#4986e7", "#9a9cff", "#b99aff", "#c2c2c2", "#cabdbf", "#cca6ac", "#f691b2", "#cd74e6", "#a47ae2"}

// bare reports whether nothing is left of a cancelled event but its id.
func (s *Server) bare(ev *event) bool {
	if !s.opt.Ways.CancelledBare || !ev.cancelled() {
		return false
	}
	s.meet(wayBare)
	return true
}

// vanished reports whether a cancelled event cannot be found any more.
func (s *Server) vanished(ev *event) bool {
	after := s.opt.Ways.CancelledGoneAfter
	if after > 0 && ev.cancelled() && !s.now().Before(ev.cancelledAt.Add(after)) {
		s.meet(wayVanished)
		return true
	}
	return ev.purged
}
