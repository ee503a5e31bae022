package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ActivityRecord is one write to Google: what, to which key, by which cause, with hashes
// before and after and never people's data; or one action of an admin, with the admin's
// address (rule 10.3).
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
	// By is the address of the admin who did it in the console; "" of a write.
	By string `firestore:"by,omitempty" json:"by,omitempty"`
	// Result is empty while announced, then "done" or the failure's kind.
	Result string `firestore:"result,omitempty" json:"result,omitempty"`
	// Known is since when the change was known that is written, and Ended when its pass was
	// settled; only of a task's events.
	Known     time.Time `firestore:"known,omitempty" json:"known,omitzero"`
	Ended     time.Time `firestore:"ended,omitempty" json:"ended,omitzero"`
	ExpiresAt time.Time `firestore:"expires_at" json:"expires_at"`
}

// ActivityKept is how long activity is kept: deleted by the database's TTL.
const ActivityKept = 30 * 24 * time.Hour

// RecentActivity lists the latest activity first; limit 0 means all.
func (s *Store) RecentActivity(ctx context.Context, limit int) ([]ActivityRecord, error) {
	return query[ActivityRecord](ctx, s, "list activity", Query{Collection: Activity, Field: "at", Op: Exists, Descending: true, Limit: limit})
}

// ActivityOf lists what was written for one task or employee, the latest first. A limit is
// needed: what is read is at most so many records.
func (s *Store) ActivityOf(ctx context.Context, key Key, limit int) ([]ActivityRecord, error) {
	field := "of_task"
	if key.Collection == Employees {
		field = "of_employee"
	}
	// "~" is behind every time; what comes before the key's records is another key's.
	recs, err := query[activityDocument](ctx, s, "list activity of "+key.String(),
		Query{Collection: Activity, Field: field, Op: AtMost, Value: docID(key.ID) + " ~", Descending: true, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]ActivityRecord, 0, len(recs))
	for _, r := range recs {
		of := r.OfTask
		if key.Collection == Employees {
			of = r.OfEmployee
		}
		if !strings.HasPrefix(of, docID(key.ID)+" ") {
			break
		}
		out = append(out, r.ActivityRecord)
	}
	return out, nil
}

// activityDocument is a record with what it is found by: its task and its employee, each
// with the time, so that one index of one field gives a key's latest records.
type activityDocument struct {
	ActivityRecord
	OfTask     string `firestore:"of_task,omitempty" json:"of_task,omitempty"`
	OfEmployee string `firestore:"of_employee,omitempty" json:"of_employee,omitempty"`
}

func document(a ActivityRecord) activityDocument {
	of := func(id int64) string {
		if id == 0 {
			return ""
		}
		return fmt.Sprintf("%s %019d", docID(id), a.At.UnixMicro())
	}
	return activityDocument{ActivityRecord: a, OfTask: of(a.Task), OfEmployee: of(a.Employee)}
}

// ActivityBefore lists activity of before a moment, the latest first. Of that very moment it
// gives what stands before an id; "" for all of it. An answer with nothing means that there
// is no more; limit is about how many to give.
func (s *Store) ActivityBefore(ctx context.Context, at time.Time, id string, limit int) ([]ActivityRecord, error) {
	for ; ; limit *= 2 {
		read, err := query[ActivityRecord](ctx, s, "list activity", Query{Collection: Activity, Field: "at", Op: AtMost, Value: at, Descending: true, Limit: limit})
		if err != nil {
			return nil, err
		}
		recs := slices.DeleteFunc(slices.Clone(read), func(a ActivityRecord) bool { return id != "" && a.At.Equal(at) && a.ID >= id })
		// More of one moment than were asked for: behind them there is more.
		if len(recs) > 0 || len(read) < limit {
			return recs, nil
		}
	}
}

// RecordAction records what an admin did in the console.
func (s *Store) RecordAction(ctx context.Context, a ActivityRecord) error {
	return s.transact(ctx, "record an admin's action", func(tx Tx) error { return recordActivity(tx, a) })
}

// recordActivity records writes, replacing what was announced under the same ids.
func recordActivity(tx Tx, activity ...ActivityRecord) error {
	for _, a := range activity {
		if err := tx.Set(Ref{Activity, a.ID}, document(a)); err != nil {
			return err
		}
	}
	return nil
}
