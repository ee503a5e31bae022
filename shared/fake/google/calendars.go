package google

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zone names are judged alike on every machine
)

// calendarState is one calendar. data holds what clients may write.
type calendarState struct {
	id, clientID string
	owner        *account // the data owner
	primary      bool
	created      time.Time
	etag         int64
	rev          int64
	deleted      bool
	deletedAt    time.Time
	outOfReach   bool // of the client that made it
	data         obj
	rules        map[string]*rule
	ruleOrder    []*rule
	events       map[string]*event
	eventOrder   []*event
}

// listEntry is one account's own view of a calendar.
type listEntry struct {
	cal     *calendarState
	data    obj
	etag    int64
	rev     int64
	since   time.Time
	removed bool
}

var roleRank = map[string]int{"": 0, "none": 0, "freeBusyReader": 1, "reader": 2, "writerWithoutPrivateAccess": 3, "writer": 4, "owner": 5}

func (s *Server) newCalendar(acc *account, id, clientID string) *calendarState {
	cal := &calendarState{id: id, clientID: clientID, owner: acc, created: s.now(), etag: s.etag(), rev: s.touch(),
		data: obj{"timeZone": "UTC"}, rules: map[string]*rule{}, events: map[string]*event{}}
	s.cals[id] = cal
	s.calOrder = append(s.calOrder, cal)
	s.setRule(cal, "user", acc.Email, "owner")
	if id != acc.Email {
		s.addDefaultRules(cal)
	}
	s.listAdd(acc, cal)
	return cal
}

func (s *Server) listAdd(acc *account, cal *calendarState) *listEntry {
	e := &listEntry{cal: cal, data: obj{"selected": true, "colorId": "14"}, etag: s.etag(), rev: s.touch(), since: s.now()}
	if old := acc.list[cal.id]; old != nil {
		e.data = old.data
	}
	acc.list[cal.id] = e
	return e
}

func (c *calendarState) zone() *time.Location {
	loc, err := time.LoadLocation(str(c.data, "timeZone"))
	if err != nil {
		return time.UTC
	}
	return loc
}

func (c *calendarState) summary() string { return str(c.data, "summary") }

// role is the highest role that the rules of a calendar give to acc.
func (s *Server) role(cal *calendarState, acc *account) string {
	best := "none"
	_, address := s.spelled("user", acc.Email)
	for _, r := range cal.ruleOrder {
		if r.kind == "user" && !strings.EqualFold(r.value, address) && !strings.EqualFold(r.value, acc.Email) || r.kind == "group" ||
			r.kind == "domain" && !strings.EqualFold(r.value, domainOf(acc.Email)) {
			continue
		}
		if role := s.sees(cal, r, acc); roleRank[role] > roleRank[best] {
			best = role
		}
	}
	return best
}

// find gives the calendar of the call if it exists for this token and the
// account's role is at least need; otherwise 404 or 403.
func (c *call) find(id, need string) (*calendarState, string, *apiError) {
	if id == "primary" {
		id = c.acc.Email
	}
	cal := c.s.cals[id]
	if cal == nil || cal.deleted || (c.appOnly && (cal.clientID == "" || cal.clientID != c.tok.client)) {
		return nil, "", notFound()
	}
	if err := c.outOfReach(cal); err != nil {
		return nil, "", err
	}
	role := c.s.role(cal, c.acc)
	if role == "none" || (c.ownedOnly && role != "owner") {
		return nil, "", notFound()
	}
	if c.freeBusy {
		role = "freeBusyReader"
	}
	if roleRank[role] < roleRank[need] {
		return nil, "", accessLevel(need)
	}
	return cal, role, nil
}

func (c *call) calendarJSON(cal *calendarState) obj {
	c.etagOut = quoteETag(cal.etag)
	out := obj{"kind": "calendar#calendar", "etag": c.etagOut, "id": cal.id}
	c.s.showCalendar(cal, out, false, c.entry.Write)
	out["conferenceProperties"] = obj{"allowedConferenceSolutionTypes": []any{"hangoutsMeet"}}
	out["dataOwner"] = cal.owner.Email
	return out
}

// calendarData checks and normalises what a client may write into a calendar.
func (s *Server) calendarData(in obj) (obj, *apiError) {
	out := obj{}
	for _, f := range []struct {
		name string
		max  int
	}{{"summary", 1024}, {"description", 8192}, {"location", 1024}} {
		v, err := s.text(in, f.name, f.max)
		if err != nil {
			return nil, err
		}
		if v != "" {
			out[f.name] = v
		}
	}
	if str(out, "summary") == "" {
		return nil, invalidf("required", "Missing summary.")
	}
	if tz := str(in, "timeZone"); tz != "" {
		if !s.knownZone(tz) {
			return nil, invalidf("invalid", "Invalid time zone definition: %s", tz)
		}
		out["timeZone"] = tz
	}
	if v, ok := in["autoAcceptInvitations"].(bool); ok {
		out["autoAcceptInvitations"] = v
	}
	return out, nil
}

func calendarsInsert(c *call) (obj, *apiError) {
	data, err := c.s.calendarData(c.body)
	if err != nil {
		return nil, err
	}
	if err := c.create(kindCalendars); err != nil {
		return nil, err
	}
	if data["timeZone"] == nil {
		data["timeZone"] = "UTC"
	}
	cal := c.s.newCalendar(c.acc, "c_"+c.s.hex(32)+"@group.calendar.google.com", c.tok.client)
	cal.data = data
	c.entry.CalendarID = cal.id
	c.s.tellCalendar(cal)
	return c.calendarJSON(cal), nil
}

func calendarsGet(c *call) (obj, *apiError) {
	cal, _, err := c.find(c.path["calendarId"], "reader")
	if err != nil {
		return nil, err
	}
	return c.calendarJSON(cal), nil
}

func calendarsWrite(c *call) (obj, *apiError) {
	cal, _, err := c.find(c.path["calendarId"], "writer")
	if err == nil {
		err = c.ifMatch(quoteETag(cal.etag))
	}
	if err != nil {
		return nil, err
	}
	in := c.body
	if id := str(in, "id"); id != "" && id != cal.id {
		return nil, invalidf("invalid", "Invalid resource id value.")
	}
	if c.m.HTTPMethod == http.MethodPatch {
		in = mergePatch(cal.data, in)
	} else if in["timeZone"] == nil {
		in["timeZone"] = cal.data["timeZone"]
	}
	data, err := c.s.calendarData(in)
	if err != nil {
		return nil, err
	}
	if data["timeZone"] == nil {
		data["timeZone"] = cal.data["timeZone"]
	}
	c.s.setCalendar(cal, data)
	return c.calendarJSON(cal), nil
}

func (s *Server) setCalendar(cal *calendarState, data obj) {
	cal.data, cal.etag, cal.rev = data, s.etag(), s.touch()
	for _, a := range s.order {
		if e := a.list[cal.id]; e != nil {
			e.etag, e.rev = s.etag(), cal.rev
		}
	}
	s.tellCalendar(cal)
}

func calendarsDelete(c *call) (obj, *apiError) {
	cal, _, err := c.find(c.path["calendarId"], "owner")
	if err == nil {
		err = c.ifMatch(quoteETag(cal.etag))
	}
	if err != nil {
		return nil, err
	}
	if cal.primary {
		return nil, errorf(http.StatusForbidden, "forbidden", "The primary calendar cannot be deleted.")
	}
	c.s.dropCalendar(cal)
	c.noContent = true
	return nil, nil
}

// dropCalendar deletes for everybody. Its state is kept for snapshots.
func (s *Server) dropCalendar(cal *calendarState) {
	cal.deleted, cal.deletedAt, cal.etag, cal.rev = true, s.now(), s.etag(), s.touch()
	for _, a := range s.order {
		if e := a.list[cal.id]; e != nil {
			e.removed, e.etag, e.rev = true, s.etag(), cal.rev
		}
	}
	s.tellCalendar(cal)
}

func calendarsClear(c *call) (obj, *apiError) {
	cal, _, err := c.find(c.path["calendarId"], "owner")
	if err != nil {
		return nil, err
	}
	if !cal.primary {
		return nil, invalidf("invalid", "Only a primary calendar can be cleared.")
	}
	for _, ev := range cal.eventOrder {
		if !ev.cancelled() {
			c.s.cancelEvent(ev, false)
		}
	}
	c.noContent = true
	return nil, nil
}

func (c *call) entryJSON(e *listEntry, role string) obj {
	c.etagOut = quoteETag(e.etag)
	out := obj{"kind": "calendar#calendarListEntry", "etag": c.etagOut, "id": e.cal.id}
	if (e.removed || e.cal.deleted) && !c.s.stale(c.acc, e) {
		out["deleted"] = true
		return out
	}
	c.s.showCalendar(e.cal, out, true, false)
	maps.Copy(out, e.data)
	out["accessRole"] = role
	out["defaultReminders"] = orEmpty(e.data["defaultReminders"])
	out["dataOwner"] = e.cal.owner.Email
	out["conferenceProperties"] = obj{"allowedConferenceSolutionTypes": []any{"hangoutsMeet"}}
	if e.cal.primary && e.cal.owner == c.acc {
		out["primary"] = true
	}
	if out["backgroundColor"] == nil {
		out["backgroundColor"], out["foregroundColor"] = calendarColor(str(out, "colorId")), "#000000"
	}
	return out
}

func orEmpty(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

// listed gives the account's entry for a calendar which it can still see.
func (c *call) listed(id string) (*listEntry, string, *apiError) {
	cal, role, err := c.find(id, "freeBusyReader")
	if err != nil {
		return nil, "", err
	}
	e := c.acc.list[cal.id]
	if e == nil || e.removed {
		return nil, "", notFound()
	}
	return e, role, nil
}

func listGet(c *call) (obj, *apiError) {
	e, role, err := c.listed(c.path["calendarId"])
	if err != nil {
		return nil, err
	}
	return c.entryJSON(e, role), nil
}

func listInsert(c *call) (obj, *apiError) {
	cal, role, err := c.find(str(c.body, "id"), "freeBusyReader")
	if err != nil {
		return nil, err
	}
	data, err := c.entryData(c.body)
	if err != nil {
		return nil, err
	}
	e := c.acc.list[cal.id]
	if e == nil || e.removed {
		e = c.s.listAdd(c.acc, cal)
	}
	maps.Copy(e.data, data)
	return c.entryJSON(e, role), nil
}

func listDelete(c *call) (obj, *apiError) {
	e, _, err := c.listed(c.path["calendarId"])
	if err == nil {
		err = c.ifMatch(quoteETag(e.etag))
	}
	if err != nil {
		return nil, err
	}
	if e.cal.owner == c.acc {
		// Since 2025 the data owner cannot unsubscribe from an own calendar.
		return nil, errorf(http.StatusForbidden, "cannotUnsubscribe", "The data owner cannot unsubscribe from the calendar.")
	}
	e.removed, e.etag, e.rev = true, c.s.etag(), c.s.touch()
	c.noContent = true
	return nil, nil
}

func listWrite(c *call) (obj, *apiError) {
	e, role, err := c.listed(c.path["calendarId"])
	if err == nil {
		err = c.ifMatch(quoteETag(e.etag))
	}
	if err != nil {
		return nil, err
	}
	in := c.body
	if c.m.HTTPMethod == http.MethodPatch {
		in = mergePatch(e.data, in)
	}
	data, err := c.entryData(in)
	if err != nil {
		return nil, err
	}
	e.data, e.etag, e.rev = data, c.s.etag(), c.s.touch()
	return c.entryJSON(e, role), nil
}

func (c *call) entryData(in obj) (obj, *apiError) {
	out := obj{}
	for _, k := range []string{"colorId", "defaultReminders", "hidden", "notificationSettings", "selected", "summaryOverride"} {
		if v := in[k]; v != nil {
			out[k] = v
		}
	}
	if c.flag("colorRgbFormat") {
		for _, k := range []string{"backgroundColor", "foregroundColor"} {
			if v := in[k]; v != nil {
				out[k] = v
			}
		}
	}
	if id := str(out, "colorId"); id != "" && !slices.Contains(calendarColorIDs(), id) {
		return nil, invalidf("invalid", "Invalid color ID: %s", id)
	}
	return out, nil
}

func listList(c *call) (obj, *apiError) {
	pg, err := c.openPage("calendarList", c.acc.Email, 100, 250, []string{"minAccessRole"})
	if err != nil {
		return nil, err
	}
	if pg.syncing && c.query.Get("showDeleted") == "false" {
		return nil, invalidf("badRequest", "showDeleted cannot be false with a sync token.")
	}
	showDeleted := c.flag("showDeleted") || pg.syncing
	for _, id := range sortedKeys(c.acc.list) {
		e := c.acc.list[id]
		role := c.s.role(e.cal, c.acc)
		gone := (e.removed || e.cal.deleted) && !c.s.stale(c.acc, e) || role == "none"
		if gone && !showDeleted || pg.syncing && e.rev <= pg.since ||
			!pg.syncing && str2bool(e.data["hidden"]) && !c.flag("showHidden") ||
			!gone && roleRank[role] < roleRank[c.query.Get("minAccessRole")] ||
			c.late(e) {
			continue
		}
		c.entry.Listed = append(c.entry.Listed, e.cal.id)
		pg.add(id, 0, func() obj {
			if role == "none" {
				return obj{"kind": "calendar#calendarListEntry", "etag": quoteETag(e.etag), "id": e.cal.id, "deleted": true}
			}
			return c.entryJSON(e, role)
		})
	}
	out := obj{"kind": "calendar#calendarList", "etag": quoteETag(c.s.rev)}
	pg.close(out)
	c.etagOut = ""
	return out, nil
}

func str2bool(v any) bool { b, _ := v.(bool); return b }

// stale reports whether the row of a deleted calendar still stands in its owner's
// list.
func (s *Server) stale(acc *account, e *listEntry) bool {
	lasts := s.opt.Ways.StaleRows
	if lasts == 0 || !e.cal.deleted || e.cal.owner != acc || lasts > 0 && !s.now().Before(e.cal.deletedAt.Add(lasts)) {
		return false
	}
	s.meet(wayStaleRows)
	return true
}

// late reports whether a calendar is too new to be listed.
func (c *call) late(e *listEntry) bool {
	if e.cal.primary {
		return false
	}
	if c.now.Before(e.since.Add(c.s.opt.CalendarListDelay)) {
		return true
	}
	most := c.s.opt.Ways.ListDelayUpTo
	if most <= 0 || !c.now.Before(e.since.Add(time.Duration(share(e.cal.id, uint64(most))))) {
		return false
	}
	c.s.meet(wayListDelay)
	return true
}
