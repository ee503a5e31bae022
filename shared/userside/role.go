package userside

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// role is a state's system role as the catalogue spells it: by number, by text, or both.
type role struct {
	unsaid bool // missing, null or ""
	number calendarsync.RoleID
	isSet  bool   // whether number is said
	name   string // the text; "" where there is none
}

func readRole(state object) role {
	v := first(state, "system_role", "systemRole", "sysrole")
	text, _ := scalar(state["system_role_text"])
	if in, ok := v.(object); ok && len(in) > 0 {
		if v = in["id"]; text == "" {
			text, _ = scalar(first(in, "name", "text"))
		}
	}
	r := role{unsaid: empty(v), name: plainLine(text)}
	if n, ok := integer(v); ok {
		r.number, r.isSet = calendarsync.RoleID(n), true
	} else if s, ok := v.(string); ok {
		r.name = plainLine(s)
	}
	return r
}

// roleNumbers gives the reading of a catalogue's roles. Where any state has a number,
// texts are only other names of numbers, as far as states have both: among numbers a text
// that nobody knows is a slip, and taken for a role of its own it would be evidence against
// every task of its state. Where no state has a number, each text is a role.
func roleNumbers(roles []role) func(role) (calendarsync.RoleID, bool) {
	numbered := false
	known := map[string]calendarsync.RoleID{}
	ambiguous := map[string]bool{}
	for _, r := range roles {
		if !r.isSet {
			continue
		}
		numbered = true
		key := roleKey(r.name)
		if before, twice := known[key]; twice && before != r.number {
			ambiguous[key] = true
		}
		known[key] = r.number
	}
	return func(r role) (calendarsync.RoleID, bool) {
		key := roleKey(r.name)
		switch {
		case r.isSet:
			return r.number, true
		case !strings.ContainsFunc(key, unicode.IsLetter):
			return 0, false
		case numbered:
			n, ok := known[key]
			return n, ok && !ambiguous[key]
		}
		return textRole(key), true
	}
}

func roleKey(name string) string {
	return strings.ToLower(strings.TrimSpace(calendarsync.Visible(name)))
}

// textRole is the number of a role that the ERP knows by text only: the same for the same
// text, above whatever an ERP counts to, and exact as a number of JSON (below 2^53).
func textRole(key string) calendarsync.RoleID {
	sum := sha256.Sum256([]byte(key))
	return calendarsync.RoleID(1<<48 | binary.BigEndian.Uint64(sum[:8])>>16)
}
