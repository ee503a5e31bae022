package store

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// enoughUnreached is how many calendars that Google keeps from the client are no fault of one
// calendar any more.
const enoughUnreached = 3

// Unreached counts the employees of whom the record gives the reason why their calendar cannot
// be reached (rule 3.9). many reports whether that is no fault of one calendar: it is so of
// three, or of all who have one. However many there are, a few records are read.
func (s *Store) Unreached(ctx context.Context, reason string) (n int, many bool, err error) {
	of := Query{Collection: Employees, Field: "reason", Op: Equal, Value: reason}
	n, err = s.b.Count(ctx, of)
	if err != nil || n == 0 || n >= enoughUnreached {
		return n, n > 0, wrapped("count who cannot be reached", err)
	}
	var active int
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		active, err = s.b.Count(ctx, Query{Collection: Employees, Field: "state", Op: Equal, Value: string(StateActive)})
		return wrapped("count the calendars", err)
	})
	var few []EmployeeRecord
	g.Go(func() (err error) {
		of.Limit = enoughUnreached
		few, err = query[EmployeeRecord](ctx, s, "read who cannot be reached", of)
		return err
	})
	if err := g.Wait(); err != nil {
		return 0, false, err
	}
	for _, e := range few {
		if e.State == StateActive {
			active--
		}
	}
	return n, active <= 0, nil
}
