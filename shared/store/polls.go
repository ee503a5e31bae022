package store

import (
	"context"
	"time"
)

// PollRecord is what Poll remembers between its runs.
type PollRecord struct {
	// Watermark is the ERP's wall clock up to which changes are published, as the
	// ERP spells dates ("2006-01-02 15:04:05").
	Watermark string    `firestore:"watermark,omitempty" json:"watermark,omitempty"`
	RanAt     time.Time `firestore:"ran_at,omitempty" json:"ran_at,omitzero"`
	// Offset is the ERP's UTC offset in seconds at the last run.
	Offset int `firestore:"offset,omitempty" json:"offset,omitempty"`
	// Alarms are the incidents that Poll has raised and not ended, by kind.
	Alarms map[string]string `firestore:"alarms,omitempty" json:"alarms,omitempty"`
	// Shown is the compact set of the ids of tasks in shown states; Missing those
	// that the last poll lacked for the first time.
	Shown   []byte  `firestore:"shown,omitempty" json:"shown,omitempty"`
	Missing []int64 `firestore:"missing,omitempty" json:"missing,omitempty"`
	// Flood is the compact set of the ids for which a full run was started because
	// too many had changed at once, as long as the overlap lists them; FloodedAt is
	// that moment by the ERP's clock.
	Flood     []byte    `firestore:"flood,omitempty" json:"flood,omitempty"`
	FloodedAt time.Time `firestore:"flooded_at,omitempty" json:"flooded_at,omitzero"`
	// Changed maps task ids seen in the overlap to their date.update.
	Changed map[string]string `firestore:"changed,omitempty" json:"changed,omitempty"`
	// Before is the database's time before what is remembered was listed.
	Before time.Time `firestore:"before,omitempty" json:"before,omitzero"`
	// Hashes maps employee ids to a hash of what matters of their card.
	Hashes map[string]string `firestore:"hashes,omitempty" json:"hashes,omitempty"`
}

func pollRef(what string) Ref { return Ref{Polls, what} }

// Poll reads what Poll remembers under a name ("tasks", "employees").
func (s *Store) Poll(ctx context.Context, what string) (rec PollRecord, found bool, err error) {
	return get[PollRecord](ctx, s, "read poll "+what, pollRef(what))
}

// SavePoll stores what Poll remembers, at the database's time.
func (s *Store) SavePoll(ctx context.Context, what string, rec PollRecord) error {
	return change(ctx, s, "save poll "+what, pollRef(what), func(stored *PollRecord, _ bool, now time.Time) effect {
		*stored = rec
		stored.RanAt = now
		return set
	})
}
