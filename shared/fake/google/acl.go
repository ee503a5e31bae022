package google

import (
	"net/http"
	"net/mail"
	"strings"
)

// rule is one access-control rule. A removed one has role none and stays.
type rule struct {
	id, kind, value string
	role            string
	etag            int64
	rev             int64
	n               int64 // order of creation
	hidden          bool  // invited, not shown until accepted
	inborn          bool  // the calendar came with it
}

func ruleID(kind, value string) string {
	if kind == "default" {
		return "default"
	}
	return kind + ":" + strings.ToLower(value)
}

// setRule makes or changes the rule of a scope, as far as the policy lets it; role
// none removes it.
func (s *Server) setRule(cal *calendarState, kind, value, role string) *rule {
	kind, value = s.spelled(kind, value)
	role = s.lowered(cal, kind, value, role)
	id := ruleID(kind, value)
	r := cal.rules[id]
	if r == nil {
		r = &rule{id: id, kind: kind, value: value, n: int64(len(cal.ruleOrder))}
		cal.rules[id] = r
		cal.ruleOrder = append(cal.ruleOrder, r)
	}
	r.role, r.etag, r.rev = role, s.etag(), s.touch()
	for _, a := range s.order {
		if e := a.list[cal.id]; e != nil {
			e.rev = r.rev
		}
	}
	s.tellRule(cal, r)
	return r
}

func (r *rule) json() obj {
	scope := obj{"type": r.kind}
	if r.kind != "default" {
		scope["value"] = r.value
	}
	return obj{"kind": "calendar#aclRule", "etag": quoteETag(r.etag), "id": r.id, "scope": scope, "role": r.role}
}

func (c *call) aclCalendar(need string) (*calendarState, *apiError) {
	cal, _, err := c.find(c.path["calendarId"], need)
	if err == nil && c.deniesRules(cal) {
		return nil, notFound()
	}
	return cal, err
}

// aclRule gives an existing rule and the calendar, for an owner. What is hidden can
// only be removed.
func (c *call) aclRule(hiddenToo bool) (*calendarState, *rule, *apiError) {
	cal, err := c.aclCalendar("owner")
	if err != nil {
		return nil, nil, err
	}
	r := cal.rules[strings.ToLower(c.path["ruleId"])]
	if r == nil || r.role == "none" || r.hidden && !hiddenToo {
		return nil, nil, notFound()
	}
	return cal, r, nil
}

func aclInsert(c *call) (obj, *apiError) {
	cal, err := c.aclCalendar("owner")
	if err != nil {
		return nil, err
	}
	scope, ok := c.body["scope"].(obj)
	if !ok {
		return nil, invalidf("required", "Missing scope.")
	}
	kind, value := str(scope, "type"), strings.TrimSpace(str(scope, "value"))
	role, err := checkRole(str(c.body, "role"))
	if err == nil {
		err = checkScope(kind, value)
	}
	if err == nil {
		err = c.mayShare(cal, kind, value)
	}
	if err == nil {
		err = c.create(kindShares)
	}
	if err != nil {
		return nil, err
	}
	isNew := cal.rules[ruleID(c.s.spelled(kind, value))] == nil
	r := c.s.setRule(cal, kind, value, role)
	if isNew && c.s.hides(r) {
		r.hidden = true
		c.s.tellRule(cal, r)
	}
	c.shared(cal, r)
	c.etagOut = quoteETag(r.etag)
	return r.json(), nil
}

func checkRole(role string) (string, *apiError) {
	if role == "" {
		return "", invalidf("required", "Missing role.")
	}
	if _, ok := roleRank[role]; !ok {
		return "", invalidf("invalid", "Invalid role value: %s", role)
	}
	return role, nil
}

func checkScope(kind, value string) *apiError {
	bad := invalidf("invalid", "Invalid scope value.")
	switch kind {
	case "default":
		if value != "" {
			return bad
		}
	case "user", "group":
		if a, err := mail.ParseAddress(value); err != nil || a.Address != value || !strings.Contains(value, "@") {
			return bad
		}
	case "domain":
		if !strings.Contains(value, ".") || strings.ContainsAny(value, "@ ") {
			return bad
		}
	default:
		return invalidf("invalid", "Invalid scope type: %q", kind)
	}
	return nil
}

func (c *call) mayShare(cal *calendarState, kind, value string) *apiError {
	if kind == "user" && (strings.EqualFold(value, c.acc.Email) || strings.EqualFold(value, cal.owner.Email)) {
		return errorf(http.StatusForbidden, "cannotChangeOwnAcl", "Users cannot modify their own access level.")
	}
	refused := kind == "user" && c.s.opt.ShareAllowed != nil && !c.s.opt.ShareAllowed(strings.ToLower(value))
	if c.s.opt.Ways.Outside == OutsideRefused && (kind == "user" || kind == "group") && cal.outside(value) {
		c.s.meet(wayOutsideRefused)
		refused = true
	}
	if refused {
		return errorf(http.StatusForbidden, "forbidden", "The sharing settings of the domain do not allow this.")
	}
	return nil
}

// shared sends the mail that Google sends unless told not to; removals send none.
func (c *call) shared(cal *calendarState, r *rule) {
	if c.query.Get("sendNotifications") != "false" && r.role != "none" && (r.kind == "user" || r.kind == "group") {
		c.s.mail(Mail{Kind: "share", To: r.value, CalendarID: cal.id, Summary: cal.summary(), Role: r.role})
	}
}

func aclGet(c *call) (obj, *apiError) {
	_, r, err := c.aclRule(false)
	if err != nil {
		return nil, err
	}
	c.etagOut = quoteETag(r.etag)
	return r.json(), nil
}

func aclWrite(c *call) (obj, *apiError) {
	cal, r, err := c.aclRule(false)
	if err == nil {
		err = c.ifMatch(quoteETag(r.etag))
	}
	if err != nil {
		return nil, err
	}
	scope, ok := c.body["scope"].(obj)
	if !ok && c.m.HTTPMethod == http.MethodPut {
		return nil, invalidf("required", "Missing scope.")
	}
	if ok && ruleID(c.s.spelled(str(scope, "type"), str(scope, "value"))) != r.id {
		return nil, invalidf("invalid", "The scope of a rule cannot be changed.")
	}
	role := str(c.body, "role")
	if role == "" && c.m.HTTPMethod == http.MethodPatch {
		role = r.role
	}
	if role, err = checkRole(role); err != nil {
		return nil, err
	}
	if err = c.mayShare(cal, r.kind, r.value); err != nil {
		return nil, err
	}
	c.s.setRule(cal, r.kind, r.value, role)
	c.shared(cal, r)
	c.etagOut = quoteETag(r.etag)
	return r.json(), nil
}

func aclDelete(c *call) (obj, *apiError) {
	cal, r, err := c.aclRule(true)
	if err == nil {
		err = c.ifMatch(quoteETag(r.etag))
	}
	if err == nil {
		err = c.mayShare(cal, r.kind, r.value)
	}
	if err != nil && err.reason != "forbidden" { // policy restricts sharing, not its end
		return nil, err
	}
	c.s.setRule(cal, r.kind, r.value, "none")
	c.noContent = true
	return nil, nil
}

func aclList(c *call) (obj, *apiError) {
	cal, err := c.aclCalendar("writer")
	if deleted := c.deletedRules(c.path["calendarId"]); deleted != nil {
		cal, err = deleted, nil
	}
	if err != nil {
		return nil, err
	}
	pg, err := c.openPage("acl", cal.id, 100, 250, nil)
	if err != nil {
		return nil, err
	}
	if pg.syncing && c.query.Get("showDeleted") == "false" {
		return nil, invalidf("badRequest", "showDeleted cannot be false with a sync token.")
	}
	for _, r := range cal.ruleOrder {
		if r.hidden || r.role == "none" && !c.flag("showDeleted") && !pg.syncing || pg.syncing && r.rev <= pg.since {
			continue
		}
		pg.add("", r.n, r.json)
	}
	out := obj{"kind": "calendar#acl", "etag": quoteETag(cal.etag + c.s.rev)}
	pg.close(out)
	return out, nil
}
