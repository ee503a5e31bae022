package userside

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// RoleMemory remembers how the ERP has spelled its roles (rule 4.16); store.Store does.
type RoleMemory interface {
	KnownRoles(ctx context.Context) (store.KnownRoles, error)
	SaveKnownRoles(ctx context.Context, read store.KnownRoles) error
}

// RememberRoles has a client know a role again that the ERP spells otherwise than before.
func (c *Client) RememberRoles(m RoleMemory) { c.roleMemory = m }

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
		// A negative one is no role, and does not make a catalogue one of numbers.
		r.number, r.isSet = calendarsync.RoleID(n), n >= 0
	} else if s, ok := v.(string); ok {
		r.name = plainLine(s)
	}
	return r
}

// key is the text by which a role is known; "" where there is none.
func (r role) key() string {
	key := strings.ToLower(strings.TrimSpace(calendarsync.Visible(r.name)))
	if !strings.ContainsFunc(key, unicode.IsLetter) {
		return ""
	}
	return key
}

// TextRole is the number of a role that the ERP knows by text only: the same for the same
// text, above whatever an ERP counts to, and exact as a number of JSON (below 2^53).
func TextRole(name string) calendarsync.RoleID {
	sum := sha256.Sum256([]byte(role{name: name}.key()))
	return calendarsync.FirstTextRole | calendarsync.RoleID(binary.BigEndian.Uint64(sum[:8])>>16)
}

// understand tells which roles the states of a catalogue have; without one is a state whose
// role cannot be told.
func (c *Client) understand(ctx context.Context, read catalogueRoles) (map[int]calendarsync.RoleID, error) {
	if c.roleMemory == nil {
		return newRoleBook(store.KnownRoles{}).read(read), nil
	}
	c.mu.Lock()
	known := c.roles
	c.mu.Unlock()
	if known == nil || !newRoleBook(*known).knows(read) {
		// Another process may have met the spelling before, when it knew better what it is.
		stored, err := c.roleMemory.KnownRoles(ctx)
		if err != nil {
			return nil, err
		}
		known = &stored
	}
	book := newRoleBook(*known)
	roles := book.read(read)
	next := book.record(read.at)
	if !next.Same(*known) {
		if err := c.roleMemory.SaveKnownRoles(ctx, next); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	c.roles = &next
	c.mu.Unlock()
	return roles, nil
}
