package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// MappingState is where one event of one task in one calendar stands.
type MappingState string

// The states of rule 2.1.
const (
	// MappingIntended: a write was announced and its end is not known yet.
	MappingIntended MappingState = "intended"
	// MappingLive: the event is there as the mapping says.
	MappingLive MappingState = "live"
	// MappingDeleting: a deletion was announced and its end is not known yet.
	MappingDeleting MappingState = "deleting"
	// MappingTombstone: the event was deleted; its id stays taken at Google.
	MappingTombstone MappingState = "tombstone"
)

// Mapping is what is known of one task's event in one employee's calendar.
type Mapping struct {
	Epoch      string       `firestore:"epoch" json:"epoch"`
	EventID    string       `firestore:"event_id" json:"event_id"`
	Generation int          `firestore:"generation,omitempty" json:"generation,omitempty"`
	State      MappingState `firestore:"state" json:"state"`
	Sequence   int64        `firestore:"sequence,omitempty" json:"sequence,omitempty"`
	ETag       string       `firestore:"etag,omitempty" json:"etag,omitempty"`
	// Returned is the hash of the owned fields as Google gave them back.
	Returned string `firestore:"returned,omitempty" json:"returned,omitempty"`
	// Sent is the hash of the content as sent.
	Sent string `firestore:"sent,omitempty" json:"sent,omitempty"`
	// Via is "executor" or "division": why the employee has the event.
	Via string `firestore:"via,omitempty" json:"via,omitempty"`
	// Owner is the lease token of an open intent, Deadline the end of its call.
	Owner    string    `firestore:"owner,omitempty" json:"owner,omitempty"`
	Deadline time.Time `firestore:"deadline,omitempty" json:"deadline,omitzero"`
	// AbsentSince is when a complete reading first lacked the reason for the event.
	AbsentSince time.Time `firestore:"absent_since,omitempty" json:"absent_since,omitzero"`
	// AbsentFor is what that reading lacked: a second one lacks the same, or is a first.
	AbsentFor string `firestore:"absent_for,omitempty" json:"absent_for,omitempty"`
	// StateID is the task's state when the event was last right: the same state
	// with another role is a change of the catalogue (rule 4.3).
	StateID int64 `firestore:"state_id,omitempty" json:"state_id,omitempty"`
	// HeldSince is when the delete guard held this event's deletion, HeldFor what
	// for, AllowedAt when an admin confirmed it, and DroppedAt when an admin decided
	// that it stays.
	HeldSince time.Time `firestore:"held_since,omitempty" json:"held_since,omitzero"`
	HeldFor   string    `firestore:"held_for,omitempty" json:"held_for,omitempty"`
	AllowedAt time.Time `firestore:"allowed_at,omitempty" json:"allowed_at,omitzero"`
	DroppedAt time.Time `firestore:"dropped_at,omitempty" json:"dropped_at,omitzero"`
	// GoneAt is when the event was found or made deleted, of a tombstone.
	GoneAt time.Time `firestore:"gone_at,omitempty" json:"gone_at,omitzero"`
}

// tombstoneKept is how long a deleted event is remembered. Its id stays taken at
// Google for good, which an insert under it finds out by itself (rule 3.3).
const tombstoneKept = 30 * 24 * time.Hour

// Expired reports whether a tombstone may be forgotten. One of a later generation
// stays: an insert that begins anew would meet each of its dead predecessors.
func (m Mapping) Expired(now time.Time) bool {
	return m.State == MappingTombstone && m.Generation == 0 && !m.GoneAt.IsZero() && now.After(m.GoneAt.Add(tombstoneKept))
}

// Release forgets that a deletion was held: it happened, or its reason is gone.
func (m *Mapping) Release() {
	m.HeldSince, m.HeldFor, m.AllowedAt, m.DroppedAt = time.Time{}, "", time.Time{}, time.Time{}
}

// Open reports whether a write was announced and not confirmed.
func (m Mapping) Open() bool { return m.State == MappingIntended || m.State == MappingDeleting }

// TaskRecord is what is known of one task: its mappings by employee and its work.
type TaskRecord struct {
	ID int64 `firestore:"id" json:"id"`
	// Employees lists whom the task concerns (those of the mappings and those of
	// the last reading), for queries by employee.
	Employees []int64            `firestore:"employees,omitempty" json:"employees,omitempty"`
	Mappings  map[string]Mapping `firestore:"mappings,omitempty" json:"mappings,omitempty"`
	// Updated is the task's date.update at the last look, the ERP's spelling.
	Updated string `firestore:"updated,omitempty" json:"updated,omitempty"`
	// InsertedAt is when an event of the task was announced last where there was none;
	// indexed.
	InsertedAt time.Time `firestore:"inserted_at,omitempty" json:"inserted_at,omitzero"`
	// Held is HeldWaiting while the deletion of an event is held, HeldDropped while
	// an admin has decided that all such events stay; indexed.
	Held string `firestore:"held,omitempty" json:"held,omitempty"`
	Work
}

func (t *TaskRecord) work() *Work { return &t.Work }

// Mapping gives the mapping of an employee.
func (t *TaskRecord) Mapping(employee int64) (Mapping, bool) {
	m, ok := t.Mappings[strconv.FormatInt(employee, 10)]
	return m, ok
}

// SetMapping records the mapping of an employee.
func (t *TaskRecord) SetMapping(employee int64, m Mapping) {
	if t.Mappings == nil {
		t.Mappings = map[string]Mapping{}
	}
	t.Mappings[strconv.FormatInt(employee, 10)] = m
}

// DropMapping forgets the mapping of an employee.
func (t *TaskRecord) DropMapping(employee int64) {
	delete(t.Mappings, strconv.FormatInt(employee, 10))
}

// Mapped lists the employees that have a mapping, ascending.
func (t *TaskRecord) Mapped() []int64 {
	ids := make([]int64, 0, len(t.Mappings))
	for k := range t.Mappings {
		if id, err := strconv.ParseInt(k, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// concern renews Employees from the mappings and the employees last read.
func (t *TaskRecord) concern(read []int64) {
	all := append(t.Mapped(), read...)
	slices.Sort(all)
	t.Employees = slices.Compact(all)
}

// holding renews Held from the mappings.
func (t *TaskRecord) holding() {
	t.Held = ""
	for _, m := range t.Mappings {
		switch {
		case m.HeldSince.IsZero():
		case m.DroppedAt.IsZero():
			t.Held = HeldWaiting
			return
		default:
			t.Held = HeldDropped
		}
	}
}

// TaskLease is a held lease on a task with the record as it was when taken.
type TaskLease struct {
	Lease
	Record TaskRecord
}

// AcquireTask takes the lease of a task, or marks the task dirty for its holder.
func (s *Store) AcquireTask(ctx context.Context, id int64, c Claim) (TaskLease, Outcome, error) {
	key := TaskKey(id)
	var lease TaskLease
	var outcome Outcome
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := TaskRecord{ID: id}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		// A rerun after a commit whose answer was lost finds its own token; a lease
		// that has ended since is taken anew.
		if rec.LeaseToken == c.Token && tx.Now().Before(rec.LeaseUntil) {
			lease = TaskLease{Lease{key, c.Token, rec.LeaseUntil, rec.Dirty, 1}, rec}
			outcome = Acquired
			return nil
		}
		lease.Lease, outcome = rec.take(c, key, tx.Now())
		lease.Record = rec
		if outcome == Redelivered {
			return nil
		}
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return TaskLease{}, 0, fmt.Errorf("take lease of %s: %w", key, err)
	}
	return lease, outcome, nil
}

// Intent announces one write to one event.
type Intent struct {
	Employee int64
	Mapping  Mapping
	Activity ActivityRecord
	// Unmapped announces a write to an event that no mapping tells of: only the
	// Mapping's epoch is looked at, and only the activity recorded.
	Unmapped bool
	// Retiring: the event goes with a calendar that is no longer the employee's.
	Retiring bool
}

// IntendTask announces writes before they are made (rules 2.1 and 1.6): in
// one transaction it requires the lease, and for each write that the employee is
// active with the mapping's epoch, or that the calendar of that epoch leaves; those
// that are not are returned as refused and nothing is announced for them.
func (s *Store) IntendTask(ctx context.Context, l *TaskLease, intents []Intent) (refused []int64, err error) {
	var record TaskRecord
	err = s.b.Transact(ctx, func(tx Tx) error {
		refused = nil
		rec := TaskRecord{ID: l.Key.ID}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		var accepted []Intent
		for _, in := range intents {
			var e EmployeeRecord
			if _, err := tx.Get(EmployeeKey(in.Employee).ref(), &e); err != nil {
				return err
			}
			may := e.Receives(in.Mapping.Epoch)
			if in.Retiring {
				may = slices.ContainsFunc(e.Retiring, func(c CalendarRecord) bool { return c.Epoch == in.Mapping.Epoch })
			}
			if !may {
				refused = append(refused, in.Employee)
				continue
			}
			accepted = append(accepted, in)
		}
		for _, in := range accepted {
			if !in.Unmapped {
				if before, there := rec.Mapping(in.Employee); in.Mapping.State == MappingIntended && (!there || before.State == MappingTombstone) {
					rec.InsertedAt = tx.Now()
				}
				in.Mapping.Owner = l.Token
				rec.SetMapping(in.Employee, in.Mapping)
			}
			if err := tx.Set(Ref{Activity, in.Activity.ID}, in.Activity); err != nil {
				return err
			}
		}
		rec.concern(rec.Employees)
		record = rec
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return nil, fmt.Errorf("announce writes for %s: %w", l.Key, err)
	}
	l.Record = record
	return refused, nil
}

// TaskOutcome is what a look at a task found and did.
type TaskOutcome struct {
	Result
	// Mappings are the confirmed ones to record; nil values are forgotten.
	Mappings map[int64]*Mapping
	// Concerned are the employees of the reading; nil leaves the list as it was.
	Concerned []int64
	// Updated is the task's date.update as read; "" leaves it.
	Updated  string
	Activity []ActivityRecord
}

// SettleTask confirms what was done and releases the task, unless it became
// dirty since the look began: then it stays held, released is false, and the
// holder looks again (rule 1.3).
func (s *Store) SettleTask(ctx context.Context, l *TaskLease, o TaskOutcome) (released bool, err error) {
	next := *l
	cleared := false
	err = s.b.Transact(ctx, func(tx Tx) error {
		next, cleared = *l, false
		rec := TaskRecord{ID: l.Key.ID}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		for employee, m := range o.Mappings {
			if m == nil {
				rec.DropMapping(employee)
			} else {
				rec.SetMapping(employee, *m)
			}
		}
		concerned := o.Concerned
		if concerned == nil {
			concerned = rec.Employees
		}
		// Renewed in any case: mappings may have come by adoption, without an intent.
		rec.concern(concerned)
		if o.Updated != "" {
			rec.Updated = o.Updated
		}
		rec.holding()
		released = rec.settle(&next.Lease, o.Result, tx.Now())
		// Kept while the look has to be repeated: the letter may have come during it.
		if released && rec.DeadLetter && o.Err == nil {
			rec.DeadLetter, cleared = false, true
		}
		next.Record = rec
		for _, a := range o.Activity {
			if err := tx.Set(Ref{Activity, a.ID}, a); err != nil {
				return err
			}
		}
		if cleared {
			if err := tx.Delete(deadLetterRef(l.Key)); err != nil {
				return err
			}
		}
		// A task that concerns nobody and is at rest need not be remembered.
		if released && rec.idle() {
			return tx.Delete(l.Key.ref())
		}
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("settle %s: %w", l.Key, err)
	}
	*l = next
	return released, nil
}

// ForgetMapping drops what a task remembers of an employee's event in a calendar
// that is no longer theirs: any epoch but alive. A task whose lease is live is
// marked dirty and left to its holder.
func (s *Store) ForgetMapping(ctx context.Context, task, employee int64, alive string) error {
	key := TaskKey(task)
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := TaskRecord{ID: task}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		m, mapped := rec.Mapping(employee)
		if !mapped || m.Epoch == alive {
			return nil
		}
		if rec.LeaseToken != "" && tx.Now().Before(rec.LeaseUntil) {
			rec.Dirty++
			return tx.Set(key.ref(), &rec)
		}
		rec.DropMapping(employee)
		rec.Employees = slices.DeleteFunc(slices.Clone(rec.Employees), func(id int64) bool { return id == employee && alive == "" })
		rec.concern(rec.Employees)
		rec.holding()
		if rec.idle() {
			return tx.Delete(key.ref())
		}
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return fmt.Errorf("forget the event of employee %d for %s: %w", employee, key, err)
	}
	return nil
}

func (t *TaskRecord) idle() bool {
	return len(t.Mappings) == 0 && len(t.Employees) == 0 && t.Dirty == 0 && t.DueAt.IsZero() && t.Failure == nil
}

// Task reads one task's record.
func (s *Store) Task(ctx context.Context, id int64) (TaskRecord, bool, error) {
	rec := TaskRecord{ID: id}
	found, err := s.b.Get(ctx, TaskKey(id).ref(), &rec)
	if err != nil {
		return rec, false, fmt.Errorf("read %s: %w", TaskKey(id), err)
	}
	return rec, found, nil
}

// TasksOf lists the records of the tasks that concern an employee.
func (s *Store) TasksOf(ctx context.Context, employee int64) ([]TaskRecord, error) {
	recs, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Field: "employees", Op: ContainsAny, Value: []int64{employee}})
	if err != nil {
		return nil, fmt.Errorf("list tasks of employee %d: %w", employee, err)
	}
	return recs, nil
}

// InsertedSince lists the tasks of which an event was announced where there was none,
// at that time or after.
func (s *Store) InsertedSince(ctx context.Context, since time.Time) ([]int64, error) {
	recs, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Field: "inserted_at", Op: AtLeast, Value: since})
	if err != nil {
		return nil, fmt.Errorf("list tasks with events since %s: %w", since.Format(time.RFC3339), err)
	}
	ids := make([]int64, len(recs))
	for i, rec := range recs {
		ids[i] = rec.ID
	}
	return ids, nil
}

// PendingTasks lists the tasks with a change not yet applied, the oldest first.
func (s *Store) PendingTasks(ctx context.Context, limit int) ([]TaskRecord, error) {
	recs, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Field: "pending_since", Op: Exists, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list pending tasks: %w", err)
	}
	return recs, nil
}

// FailedTasks lists the tasks whose last look failed.
func (s *Store) FailedTasks(ctx context.Context, limit int) ([]TaskRecord, error) {
	recs, err := query[TaskRecord](ctx, s.b, Query{Collection: Tasks, Field: "failed", Op: Equal, Value: "yes", Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list failed tasks: %w", err)
	}
	return recs, nil
}

func query[T any](ctx context.Context, b Backend, q Query) ([]T, error) {
	docs, err := b.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(docs))
	for i, d := range docs {
		if err := d.Decode(&out[i]); err != nil {
			return nil, fmt.Errorf("decode %s/%s: %w", q.Collection, d.ID, err)
		}
	}
	return out, nil
}
