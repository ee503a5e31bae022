package store

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// Tally says how many keys are how, from counts and a few records, however many keys there
// are.
type Tally struct {
	// Employees are counted by the state that their card shows.
	Employees map[EmployeeState]int
	// HeldEmployees and HeldTasks have a deletion that waits for an admin.
	HeldEmployees, HeldTasks int
	// FailedTasks are those whose last pass failed, PendingTasks those with a change not yet
	// applied.
	FailedTasks, PendingTasks int
	DeadLetters               int
	// RefusedCards are the employees whose card the ERP does not take (rule 5.9).
	RefusedCards RefusedCards
	// OldestTask and OldestEmployee are since when the oldest change is known that is not
	// applied; zero for none.
	OldestTask, OldestEmployee time.Time
}

// RefusedCards says of how many employees the ERP does not take the card, since when of the
// first of them, and why of that one: our own sentence, never content.
type RefusedCards struct {
	Count int
	Since time.Time
	Why   string
}

// mostHeldRead bounds how many held employees are read to find their card's state; beyond,
// some count as active besides being held.
const mostHeldRead = 200

// Tally counts keys. Its counts are not of one moment.
func (s *Store) Tally(ctx context.Context) (Tally, error) {
	const doing = "count the keys"
	t := Tally{Employees: map[EmployeeState]int{}}
	g, ctx := errgroup.WithContext(ctx)
	count := func(into *int, c Collection, field string, op Op, value any) {
		g.Go(func() (err error) {
			*into, err = s.b.Count(ctx, Query{Collection: c, Field: field, Op: op, Value: value})
			return wrapped(doing, err)
		})
	}
	states := []EmployeeState{StateNone, StatePending, StateActive, StateHeld, StateDeleting, StateError}
	byState := make([]int, len(states))
	for i, state := range states {
		count(&byState[i], Employees, "state", Equal, string(state))
	}
	count(&t.HeldEmployees, Employees, "held", Equal, HeldWaiting)
	count(&t.HeldTasks, Tasks, "held", Equal, HeldWaiting)
	count(&t.FailedTasks, Tasks, "failed", Equal, "yes")
	count(&t.PendingTasks, Tasks, "pending_since", Exists, nil)
	count(&t.DeadLetters, DeadLetters, "at", Exists, nil)
	count(&t.RefusedCards.Count, Employees, "card_since", Exists, nil)
	g.Go(func() error {
		first, err := query[EmployeeRecord](ctx, s, doing, Query{Collection: Employees, Field: "card_since", Op: Exists, Limit: 1})
		if err == nil && len(first) > 0 && first[0].CardFailure != nil {
			t.RefusedCards.Since, t.RefusedCards.Why = first[0].CardSince, first[0].CardFailure.Message
		}
		return err
	})
	var held []EmployeeRecord
	g.Go(func() (err error) {
		held, err = query[EmployeeRecord](ctx, s, doing, Query{Collection: Employees, Field: "held", Op: Equal, Value: HeldWaiting, Limit: mostHeldRead})
		return err
	})
	for c, into := range map[Collection]*time.Time{Employees: &t.OldestEmployee, Tasks: &t.OldestTask} {
		g.Go(func() error {
			first, err := query[struct {
				PendingSince time.Time `firestore:"pending_since,omitempty" json:"pending_since,omitzero"`
			}](ctx, s, doing, Query{Collection: c, Field: "pending_since", Op: Exists, Limit: 1})
			if err == nil && len(first) > 0 {
				*into = first[0].PendingSince
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Tally{}, err
	}
	for i, state := range states {
		t.Employees[state] = byState[i]
	}
	for _, e := range held {
		if shown := e.CardState(); shown != e.State {
			t.Employees[e.State]--
			t.Employees[shown]++
		}
	}
	return t, nil
}

// OldestPending is since when the oldest change is known that is not applied; zero for none.
func (t Tally) OldestPending() time.Time { return earlier(t.OldestTask, t.OldestEmployee) }
