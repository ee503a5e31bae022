package store

import (
	"context"
	"time"
)

// ActivityRecord is one write to Google: what, to which key, by which cause,
// with hashes before and after and never people's data (rule 10.3).
type ActivityRecord struct {
	ID       string    `firestore:"id" json:"id"`
	At       time.Time `firestore:"at" json:"at"`
	Action   string    `firestore:"action" json:"action"` // e.g. "event.update"
	Task     int64     `firestore:"task,omitempty" json:"task,omitempty"`
	Employee int64     `firestore:"employee,omitempty" json:"employee,omitempty"`
	Calendar string    `firestore:"calendar,omitempty" json:"calendar,omitempty"`
	Event    string    `firestore:"event,omitempty" json:"event,omitempty"`
	Cause    string    `firestore:"cause,omitempty" json:"cause,omitempty"`
	// Reason is why something was deleted, a calendarsync.Reason.
	Reason string `firestore:"reason,omitempty" json:"reason,omitempty"`
	Before string `firestore:"before,omitempty" json:"before,omitempty"`
	After  string `firestore:"after,omitempty" json:"after,omitempty"`
	// Result is empty while announced, then "done" or the failure's kind.
	Result    string    `firestore:"result,omitempty" json:"result,omitempty"`
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// ActivityKept is how long activity is kept: deleted by the database's TTL.
const ActivityKept = 30 * 24 * time.Hour

// RecentActivity lists the latest activity first; limit 0 means all.
func (s *Store) RecentActivity(ctx context.Context, limit int) ([]ActivityRecord, error) {
	return query[ActivityRecord](ctx, s, "list activity", Query{Collection: Activity, Field: "at", Op: Exists, Descending: true, Limit: limit})
}

// recordActivity records writes, replacing what was announced under the same ids.
func recordActivity(tx Tx, activity ...ActivityRecord) error {
	for _, a := range activity {
		if err := tx.Set(Ref{Activity, a.ID}, a); err != nil {
			return err
		}
	}
	return nil
}
