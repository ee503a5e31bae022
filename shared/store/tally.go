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
	// FailedTasks are those whose last pass failed and that nobody dismissed, PendingTasks those
	// with a change not yet applied.
	FailedTasks, PendingTasks int
	DeadLetters               int
	// HeldSince, FailedSince, GaveUpSince and ErrorSince are since when anything is held, a task
	// fails, a message gave up and an employee's calendar has an error; zero for never, and where
	// that is not known.
	HeldSince, FailedSince, GaveUpSince, ErrorSince time.Time
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
	count(&t.FailedTasks, Tasks, "failed", Equal, FailedOpen)
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
	first := func(into *time.Time, c Collection, field string, at func(firstOf) time.Time) {
		g.Go(func() error {
			first, err := query[firstOf](ctx, s, doing, Query{Collection: c, Field: field, Op: Exists, Limit: 1})
			if err == nil && len(first) > 0 {
				*into = at(first[0])
			}
			return err
		})
	}
	var began, employee, task time.Time
	g.Go(func() (err error) { began, err = s.holdBegan(ctx); return err })
	first(&employee, Employees, "held_since", func(f firstOf) time.Time { return f.HeldSince })
	first(&task, Tasks, "held_since", func(f firstOf) time.Time { return f.HeldSince })
	first(&t.OldestEmployee, Employees, "pending_since", func(f firstOf) time.Time { return f.PendingSince })
	first(&t.OldestTask, Tasks, "pending_since", func(f firstOf) time.Time { return f.PendingSince })
	first(&t.FailedSince, Tasks, "failed_since", func(f firstOf) time.Time { return f.FailedSince })
	first(&t.GaveUpSince, DeadLetters, "at", func(f firstOf) time.Time { return f.At })
	first(&t.ErrorSince, Employees, "error_since", func(f firstOf) time.Time { return f.ErrorSince })
	if err := g.Wait(); err != nil {
		return Tally{}, err
	}
	for i, state := range states {
		t.Employees[state] = byState[i]
	}
	if t.HeldEmployees+t.HeldTasks > 0 {
		if t.HeldSince = began; began.IsZero() {
			t.HeldSince = earlier(employee, task) // an admin reopened something after its end
		}
	}
	for _, e := range held {
		if shown := e.CardState(); shown != e.State {
			t.Employees[e.State]--
			t.Employees[shown]++
		}
	}
	return t, nil
}

// firstOf is when something is so first, of the records that an index puts first.
type firstOf struct {
	PendingSince time.Time `firestore:"pending_since,omitempty" json:"pending_since,omitzero"`
	FailedSince  time.Time `firestore:"failed_since,omitempty" json:"failed_since,omitzero"`
	ErrorSince   time.Time `firestore:"error_since,omitempty" json:"error_since,omitzero"`
	HeldSince    time.Time `firestore:"held_since,omitempty" json:"held_since,omitzero"`
	At           time.Time `firestore:"at,omitempty" json:"at,omitzero"`
}

// OldestPending is since when the oldest change is known that is not applied; zero for none.
func (t Tally) OldestPending() time.Time { return earlier(t.OldestTask, t.OldestEmployee) }
