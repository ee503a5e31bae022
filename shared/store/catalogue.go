package store

import (
	"context"
	"slices"
	"time"
)

// KnownCatalogue is the last good reading of each of the ERP's catalogues, each by the order of
// its ids, and when it was made; zero times for none (rule 4.15).
type KnownCatalogue struct {
	States      []KnownState    `firestore:"states,omitempty" json:"states,omitempty"`
	StatesAt    time.Time       `firestore:"states_at,omitempty" json:"states_at,omitzero"`
	Types       []KnownType     `firestore:"types,omitempty" json:"types,omitempty"`
	TypesAt     time.Time       `firestore:"types_at,omitempty" json:"types_at,omitzero"`
	Divisions   []KnownDivision `firestore:"divisions,omitempty" json:"divisions,omitempty"`
	DivisionsAt time.Time       `firestore:"divisions_at,omitempty" json:"divisions_at,omitzero"`
}

// KnownState is a task state as it was read.
type KnownState struct {
	ID       int64  `firestore:"id" json:"id"`
	Name     string `firestore:"name,omitempty" json:"name,omitempty"`
	Role     int64  `firestore:"role" json:"role"`
	RoleName string `firestore:"role_name,omitempty" json:"role_name,omitempty"`
}

// KnownType is a task type as it was read; Hours is its usual duration, 0 for none.
type KnownType struct {
	ID    int64   `firestore:"id" json:"id"`
	Name  string  `firestore:"name,omitempty" json:"name,omitempty"`
	Hours float64 `firestore:"hours,omitempty" json:"hours,omitempty"`
}

// KnownDivision is a division as it was read.
type KnownDivision struct {
	ID   int64  `firestore:"id" json:"id"`
	Name string `firestore:"name,omitempty" json:"name,omitempty"`
}

const (
	// knownAgain is how much older than a reading what is stored may be that says the same.
	knownAgain = time.Hour
	// mostKnown bounds each catalogue, so that the document stays small.
	mostKnown = 2000
)

func knownCatalogueRef() Ref { return Ref{Polls, "known-catalogue"} }

// KnownCatalogue reads the last good reading of each catalogue.
func (s *Store) KnownCatalogue(ctx context.Context) (KnownCatalogue, error) {
	rec, _, err := get[KnownCatalogue](ctx, s, "read the last good catalogues", knownCatalogueRef())
	return rec, err
}

// SaveKnownCatalogue stores good readings; a catalogue without a time stays as it is stored,
// and so does one that says the same and was read lately.
func (s *Store) SaveKnownCatalogue(ctx context.Context, read KnownCatalogue) error {
	return change(ctx, s, "save the last good catalogues", knownCatalogueRef(), func(rec *KnownCatalogue, _ bool, _ time.Time) effect {
		states := renew(&rec.States, &rec.StatesAt, read.States, read.StatesAt)
		types := renew(&rec.Types, &rec.TypesAt, read.Types, read.TypesAt)
		divisions := renew(&rec.Divisions, &rec.DivisionsAt, read.Divisions, read.DivisionsAt)
		if !states && !types && !divisions {
			return nothing
		}
		return set
	})
}

func renew[E comparable](stored *[]E, storedAt *time.Time, read []E, at time.Time) bool {
	if at.IsZero() || len(read) > mostKnown || at.Sub(*storedAt) < knownAgain && slices.Equal(*stored, read) {
		return false
	}
	*stored, *storedAt = read, at
	return true
}
