package google

import "slices"

// Rules is of which calendars an account's client, whose only right to sharing is
// calendar.acls, is answered what their rules are.
type Rules string

// The ways of the scope.
const (
	// RulesOfAll answers for all that are there, whichever client made them.
	RulesOfAll Rules = ""
	// RulesOfOwn denies, as if they were not there, those that this client did not make:
	// the account's own among them.
	RulesOfOwn Rules = "own"
	// RulesOfDeleted lists besides the rules of calendars that were deleted.
	RulesOfDeleted Rules = "deleted"
)

// deniesRules reports whether the calendar's rules are kept from a client because it did not
// make the calendar.
func (c *call) deniesRules(cal *calendarState) bool {
	if c.s.opt.Ways.Rules != RulesOfOwn || !c.aclsOnly || cal.clientID != "" && cal.clientID == c.tok.client {
		return false
	}
	c.s.meet(wayRulesOwn)
	return true
}

// deletedRules gives a deleted calendar whose rules are listed all the same, nil for none.
func (c *call) deletedRules(id string) *calendarState {
	cal := c.s.cals[id]
	if c.s.opt.Ways.Rules != RulesOfDeleted || cal == nil || !cal.deleted || cal.owner != c.acc {
		return nil
	}
	c.s.meet(wayRulesDeleted)
	return cal
}

// only reports whether all that admits a call is among some scopes.
func only(have []string, names ...string) bool {
	return !slices.ContainsFunc(have, func(h string) bool { return !slices.Contains(names, h) })
}
