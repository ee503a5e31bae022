package store

import (
	"cmp"
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

// mostUnderWay bounds how many tasks are read for the writes that are under way: more than
// all workers together hold.
const mostUnderWay = 1000

// underWay lists the writes that were announced and whose pass is not settled, the latest
// first. They stand in their tasks' records until then (rule 2.5). Whoever lists what ended
// asks for these before it: what ends meanwhile is met twice, and never missed.
func (s *Store) underWay(ctx context.Context, of func(ActivityRecord) bool) ([]ActivityRecord, error) {
	tasks, err := query[TaskRecord](ctx, s, "list writes under way",
		Query{Collection: Tasks, Field: "announced_at", Op: Exists, Descending: true, Limit: mostUnderWay})
	if err != nil {
		return nil, err
	}
	var out []ActivityRecord
	for _, t := range tasks {
		for _, a := range t.Announced {
			if of(a) {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// withOpen adds writes that are under way to records of what ended, the latest first.
func withOpen(ended, open []ActivityRecord) []ActivityRecord {
	all := slices.Clone(ended)
	for _, a := range open {
		if !slices.ContainsFunc(ended, func(e ActivityRecord) bool { return e.ID == a.ID }) {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, latestFirst)
	return all
}

// latestFirst is the order of lists of activity.
func latestFirst(a, b ActivityRecord) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
}

// atMost cuts a list to its limit; 0 is none.
func atMost(recs []ActivityRecord, limit int) []ActivityRecord {
	if limit > 0 && len(recs) > limit {
		return recs[:limit]
	}
	return recs
}

// RecentActivity lists the latest activity first; limit 0 means all.
func (s *Store) RecentActivity(ctx context.Context, limit int) ([]ActivityRecord, error) {
	open, err := s.underWay(ctx, func(ActivityRecord) bool { return true })
	if err != nil {
		return nil, err
	}
	ended, err := query[ActivityRecord](ctx, s, "list activity", Query{Collection: Activity, Field: "at", Op: Exists, Descending: true, Limit: limit})
	if err != nil {
		return nil, err
	}
	return atMost(withOpen(ended, open), limit), nil
}

// ActivityOf lists what was written, or is being written, for one task or employee, the
// latest first. A limit is needed: of what ended, at most so many records are read.
func (s *Store) ActivityOf(ctx context.Context, key Key, limit int) ([]ActivityRecord, error) {
	open, err := s.openOf(ctx, key)
	if err != nil {
		return nil, err
	}
	ended, err := s.endedOf(ctx, key, limit)
	if err != nil {
		return nil, err
	}
	return atMost(withOpen(ended, open), limit), nil
}

// openOf lists the writes under way for one task or employee.
func (s *Store) openOf(ctx context.Context, key Key) ([]ActivityRecord, error) {
	if key.Collection == Employees {
		return s.underWay(ctx, func(a ActivityRecord) bool { return a.Employee == key.ID })
	}
	rec, _, err := s.Task(ctx, key.ID)
	return rec.Announced, err
}

// endedOf lists what was written for one task or employee, as far as its end is settled.
func (s *Store) endedOf(ctx context.Context, key Key, limit int) ([]ActivityRecord, error) {
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
// is no more; limit is about how many to give. What is under way stands where its record
// will.
func (s *Store) ActivityBefore(ctx context.Context, at time.Time, id string, limit int) ([]ActivityRecord, error) {
	before := func(a ActivityRecord) bool {
		return a.At.Before(at) || a.At.Equal(at) && (id == "" || a.ID < id)
	}
	open, err := s.underWay(ctx, before)
	if err != nil {
		return nil, err
	}
	for ; ; limit *= 2 {
		read, err := query[ActivityRecord](ctx, s, "list activity", Query{Collection: Activity, Field: "at", Op: AtMost, Value: at, Descending: true, Limit: limit})
		if err != nil {
			return nil, err
		}
		recs := slices.DeleteFunc(slices.Clone(read), func(a ActivityRecord) bool { return !before(a) })
		// More of one moment than were asked for: behind them there is more.
		if len(recs) > 0 || len(read) < limit {
			if len(read) == limit { // what is under way before the last of these comes after it
				last := recs[len(recs)-1]
				open = slices.DeleteFunc(open, func(a ActivityRecord) bool { return latestFirst(a, last) > 0 })
			}
			return withOpen(recs, open), nil
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
