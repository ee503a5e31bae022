package store

import (
	"context"
	"slices"
	"time"
)

// KnownRoles is how the ERP has spelled the roles of its states (rule 4.16).
type KnownRoles struct {
	// At is when they were read that are stored.
	At time.Time `firestore:"at,omitempty" json:"at,omitzero"`
	// States are the states' roles as read last, those of states that are gone included, by id.
	States []StateRole `firestore:"states,omitempty" json:"states,omitempty"`
	// Spellings are all that were met, by number and text.
	Spellings []RoleSpelling `firestore:"spellings,omitempty" json:"spellings,omitempty"`
	// Odd are what the latest reading had that nobody has met before, by number and text.
	Odd []OddRole `firestore:"odd,omitempty" json:"odd,omitempty"`
}

// OddRole is a text, or where that is empty a number, of which it is not known what role it
// means, and since when it is read.
type OddRole struct {
	Number int64     `firestore:"number,omitempty" json:"number,omitempty"`
	Text   string    `firestore:"text,omitempty" json:"text,omitempty"`
	Since  time.Time `firestore:"since" json:"since"`
}

// StateRole is the role of a state.
type StateRole struct {
	State int64 `firestore:"state" json:"state"`
	Role  int64 `firestore:"role" json:"role"`
}

// RoleSpelling says which role a text means, or a number where there is no text.
type RoleSpelling struct {
	Role   int64  `firestore:"role" json:"role"`
	Number int64  `firestore:"number,omitempty" json:"number,omitempty"`
	Text   string `firestore:"text,omitempty" json:"text,omitempty"`
}

// Same reports whether both say the same, whenever they were read.
func (k KnownRoles) Same(other KnownRoles) bool {
	return slices.Equal(k.States, other.States) && slices.Equal(k.Spellings, other.Spellings) && slices.EqualFunc(k.Odd, other.Odd, func(a, b OddRole) bool {
		return a.Number == b.Number && a.Text == b.Text && a.Since.Equal(b.Since)
	})
}

func knownRolesRef() Ref { return Ref{Polls, "known-roles"} }

// KnownRoles reads how the ERP has spelled its roles.
func (s *Store) KnownRoles(ctx context.Context) (KnownRoles, error) {
	rec, _, err := get[KnownRoles](ctx, s, "read the known roles", knownRolesRef())
	return rec, err
}

// SaveKnownRoles stores a later reading. What another has learned meanwhile stays.
func (s *Store) SaveKnownRoles(ctx context.Context, read KnownRoles) error {
	return change(ctx, s, "save the known roles", knownRolesRef(), func(rec *KnownRoles, _ bool, _ time.Time) effect {
		if !read.At.After(rec.At) || len(read.States) > mostKnown || len(read.Spellings) > mostKnown || len(read.Odd) > mostKnown {
			return nothing
		}
		next := KnownRoles{At: read.At, States: read.States, Spellings: slices.Clone(read.Spellings), Odd: read.Odd}
		for _, s := range rec.Spellings {
			if !slices.ContainsFunc(next.Spellings, func(n RoleSpelling) bool { return n.Number == s.Number && n.Text == s.Text }) {
				next.Spellings = append(next.Spellings, s)
			}
		}
		*rec = next
		return set
	})
}
