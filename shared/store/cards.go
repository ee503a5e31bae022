package store

import (
	"context"
	"slices"
	"time"
)

// CardsRecord is whose cards the ERP has refused since it last took one.
type CardsRecord struct {
	Since time.Time `firestore:"since" json:"since"`
	// Employees are the first of them.
	Employees []int64 `firestore:"employees" json:"employees"`
	// Why is our own sentence about the latest refusal, never content.
	Why string `firestore:"why" json:"why"`
}

// enoughCards is how many refused cards, with none taken meanwhile, are taken for everybody's.
const enoughCards = 3

func cardsRef() Ref { return Ref{Polls, "cards"} }

// CardRefused notes that the ERP did not take what was to be written into an employee's card
// (rule 5.9).
func (s *Store) CardRefused(ctx context.Context, employee int64, why string) error {
	return change(ctx, s, "note a refused card", cardsRef(), func(rec *CardsRecord, _ bool, now time.Time) effect {
		before := *rec
		if len(rec.Employees) == 0 {
			rec.Since = now
		}
		if !slices.Contains(rec.Employees, employee) && len(rec.Employees) < enoughCards {
			rec.Employees = append(slices.Clone(rec.Employees), employee)
		}
		if rec.Why = why; before.Why == why && len(before.Employees) == len(rec.Employees) {
			return nothing
		}
		return set
	})
}

// CardTaken notes that the ERP took one.
func (s *Store) CardTaken(ctx context.Context) error {
	return change(ctx, s, "note a card that was taken", cardsRef(), func(rec *CardsRecord, found bool, _ time.Time) effect {
		if !found || len(rec.Employees) == 0 {
			return nothing
		}
		*rec = CardsRecord{}
		return set
	})
}

// RefusedCards reads whose cards the ERP refuses. everybody reports whether it takes nobody's:
// those of three, or of as many as have a calendar, and none since the first was refused.
func (s *Store) RefusedCards(ctx context.Context) (rec CardsRecord, everybody bool, err error) {
	rec, _, err = get[CardsRecord](ctx, s, "read whose cards are refused", cardsRef())
	if err != nil || len(rec.Employees) == 0 {
		return CardsRecord{}, false, err
	}
	refused := 0
	for _, id := range rec.Employees {
		e, _, err := s.Employee(ctx, id)
		if err != nil {
			return CardsRecord{}, false, err
		}
		if e.CardFailure != nil {
			refused++
		}
	}
	if refused == 0 || refused >= enoughCards {
		return rec, refused > 0, nil
	}
	active, err := s.b.Count(ctx, Query{Collection: Employees, Field: "state", Op: Equal, Value: string(StateActive)})
	return rec, active <= refused, wrapped("count the calendars", err)
}
