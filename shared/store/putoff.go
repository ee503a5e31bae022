package store

import (
	"context"
	"time"
)

// PutOffRecord is a full run that could not begin, for Poll to start again. It
// stands for what a key's due_at is to a key.
type PutOffRecord struct {
	Cause string `firestore:"cause" json:"cause"`
	// DueAt is zero while the message is on its way again.
	DueAt time.Time `firestore:"due_at,omitempty" json:"due_at,omitzero"`
	// Count is how often in a row it could not begin.
	Count int `firestore:"count" json:"count"`
	// Kind is why, the last time.
	Kind string `firestore:"kind" json:"kind"`
}

func putOffRef() Ref { return Ref{Polls, "put-off"} }

// PutOffRun records that a full run could not begin and gives when it is due
// again: in a minute, doubling to an hour.
func (s *Store) PutOffRun(ctx context.Context, cause, kind string) (due time.Time, err error) {
	err = change(ctx, s, "put off a full run", putOffRef(), func(rec *PutOffRecord, _ bool, now time.Time) effect {
		due = now.Add(min(time.Minute<<min(rec.Count, 6), time.Hour))
		*rec = PutOffRecord{Cause: cause, DueAt: due, Count: rec.Count + 1, Kind: kind}
		return set
	})
	if err != nil {
		return time.Time{}, err
	}
	return due, nil
}

// PutOff reads the full run that waits to begin; the zero value for none.
func (s *Store) PutOff(ctx context.Context) (PutOffRecord, error) {
	rec, _, err := get[PutOffRecord](ctx, s, "read the full run that was put off", putOffRef())
	return rec, err
}

// RunSent notes that the full run that was put off until due was published again. One
// that was put off anew meanwhile stays due.
func (s *Store) RunSent(ctx context.Context, due time.Time) error {
	return change(ctx, s, "note that a full run was sent", putOffRef(), func(rec *PutOffRecord, found bool, _ time.Time) effect {
		if !found || !rec.DueAt.Equal(due) {
			return nothing
		}
		rec.DueAt = time.Time{}
		return set
	})
}

// RunBegan notes that a full run began, so that none waits any more.
func (s *Store) RunBegan(ctx context.Context) error {
	return change(ctx, s, "note that a full run began", putOffRef(), func(_ *PutOffRecord, found bool, _ time.Time) effect {
		if found {
			return remove
		}
		return nothing
	})
}
