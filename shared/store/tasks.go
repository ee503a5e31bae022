package store

import (
	"cmp"
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
	Owner string `firestore:"owner,omitempty" json:"owner,omitempty"`
	// AnnouncedAt is when the latest write was announced: a list of the calendar that began
	// before cannot tell anything of it.
	AnnouncedAt time.Time `firestore:"announced_at,omitempty" json:"announced_at,omitzero"`
	Deadline    time.Time `firestore:"deadline,omitempty" json:"deadline,omitzero"`
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
	// HeldTitle and HeldStart are what the held event says, so that an admin sees what
	// they decide about; remembered only while it is held (rule 10.3). HeldStart is a date
	// or a time as Google writes it.
	HeldTitle string    `firestore:"held_title,omitempty" json:"held_title,omitempty"`
	HeldStart string    `firestore:"held_start,omitempty" json:"held_start,omitempty"`
	AllowedAt time.Time `firestore:"allowed_at,omitempty" json:"allowed_at,omitzero"`
	DroppedAt time.Time `firestore:"dropped_at,omitempty" json:"dropped_at,omitzero"`
	// GoneSince is when Google first said of an event that was to be deleted, or whose id is
	// taken, that it does not exist; of an open intent (rule 3.9).
	GoneSince time.Time `firestore:"gone_since,omitempty" json:"gone_since,omitzero"`
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
	m.HeldTitle, m.HeldStart = "", ""
}

// Open reports whether a write was announced and not confirmed.
func (m Mapping) Open() bool { return m.State == MappingIntended || m.State == MappingDeleting }

// Double is an own event beside the one of an employee's mapping, which only a list of the
// calendar showed.
type Double struct {
	Employee   int64  `firestore:"employee" json:"employee"`
	Epoch      string `firestore:"epoch" json:"epoch"`
	Generation int    `firestore:"generation,omitempty" json:"generation,omitempty"`
	// GoneSince is when Google first said that it does not exist (rule 3.9).
	GoneSince time.Time `firestore:"gone_since,omitempty" json:"gone_since,omitzero"`
}

// TaskRecord is what is known of one task: its mappings by employee and its work.
type TaskRecord struct {
	ID int64 `firestore:"id" json:"id"`
	// Employees lists whom the task concerns (those of the mappings and those of
	// the last reading), for queries by employee.
	Employees []int64            `firestore:"employees,omitempty" json:"employees,omitempty"`
	Mappings  map[string]Mapping `firestore:"mappings,omitempty" json:"mappings,omitempty"`
	// Doubles are further own events that are still to be deleted (rule 3.3).
	Doubles []Double `firestore:"doubles,omitempty" json:"doubles,omitempty"`
	// Announced are the records of writes whose pass is not settled, kept apart from the
	// mappings so that none goes with one of them, and AnnouncedAt since when there are any;
	// indexed (rule 2.5).
	Announced   []ActivityRecord `firestore:"announced,omitempty" json:"announced,omitempty"`
	AnnouncedAt time.Time        `firestore:"announced_at,omitempty" json:"announced_at,omitzero"`
	// Updated is the task's date.update at the last pass, the ERP's spelling.
	Updated string `firestore:"updated,omitempty" json:"updated,omitempty"`
	// InsertedAt is when an event of the task was announced last where there was none, and
	// Poll had not listed the task; indexed.
	InsertedAt time.Time `firestore:"inserted_at,omitempty" json:"inserted_at,omitzero"`
	// Held is HeldWaiting while the deletion of an event is held, HeldDropped while
	// an admin has decided that all such events stay; indexed.
	Held string `firestore:"held,omitempty" json:"held,omitempty"`
	// HeldSince is since when the deletion of the first of those events is held; indexed.
	HeldSince time.Time `firestore:"held_since,omitempty" json:"held_since,omitzero"`
	Work
}

func (t *TaskRecord) work() *Work { return &t.Work }

func (t *TaskRecord) watch() (changed func(now time.Time)) { return func(time.Time) {} }

func newTask(id int64) *TaskRecord { return &TaskRecord{ID: id} }

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

// holding renews Held and HeldSince from the mappings.
func (t *TaskRecord) holding() {
	t.Held, t.HeldSince = "", time.Time{}
	for _, m := range t.Mappings {
		switch {
		case m.HeldSince.IsZero():
		case m.DroppedAt.IsZero():
			t.Held, t.HeldSince = HeldWaiting, earlier(t.HeldSince, m.HeldSince)
		default:
			t.Held = cmp.Or(t.Held, HeldDropped)
		}
	}
}

// idle reports whether a task concerns nobody and is at rest, so that it need not be
// remembered.
func (t *TaskRecord) idle() bool {
	return len(t.Mappings) == 0 && len(t.Doubles) == 0 && len(t.Employees) == 0 && t.Dirty == 0 && t.DueAt.IsZero() && t.Failure == nil
}

// Intent announces one write to one event.
type Intent struct {
	Employee int64
	Mapping  Mapping
	Activity ActivityRecord
	// Unmapped announces a write to an event that no mapping tells of: only the
	// Mapping's epoch is checked, and only the activity recorded.
	Unmapped bool
	// Retiring: the event goes with a calendar that is no longer the employee's.
	Retiring bool
	// Polled: Poll has listed the task and misses it by itself, should it vanish.
	Polled bool
}

// IntendTask announces writes before they are made (rules 1.6 and 2.1): for each it
// requires that the employee is active with the mapping's epoch, or that the calendar
// of that epoch retires. The employees of those that do not are given as rejected;
// nothing is announced for them.
func (s *Store) IntendTask(ctx context.Context, l *TaskLease, intents []Intent) (rejected []int64, err error) {
	err = s.withTask(ctx, "announce writes for", l, func(tx Tx, held *TaskLease) (effect, error) {
		accepted, no, err := judge(tx, intents)
		if err != nil {
			return nothing, err
		}
		rejected = no
		for _, in := range accepted {
			held.Record.announce(in, l.Token, tx.Now())
		}
		held.Record.concern(held.Record.Employees)
		return set, nil
	})
	if err != nil {
		return nil, err
	}
	return rejected, nil
}

// judge tells the intents whose calendars receive events, or retire, from the others.
func judge(tx Tx, intents []Intent) (accepted []Intent, rejected []int64, err error) {
	for _, in := range intents {
		var e EmployeeRecord
		if _, err := tx.Known(EmployeeKey(in.Employee).ref(), &e); err != nil {
			return nil, nil, err
		}
		may := e.Receives(in.Mapping.Epoch)
		if in.Retiring {
			may = slices.ContainsFunc(e.Retiring, func(c CalendarRecord) bool { return c.Epoch == in.Mapping.Epoch })
		}
		if may {
			accepted = append(accepted, in)
		} else {
			rejected = append(rejected, in.Employee)
		}
	}
	return accepted, rejected, nil
}

// announce records the activity of an intent, and its mapping under the holder's token.
func (t *TaskRecord) announce(in Intent, token string, now time.Time) {
	// Made again after an answer that was lost, it finds its own.
	same := func(a ActivityRecord) bool { return a.ID == in.Activity.ID }
	t.Announced = append(slices.DeleteFunc(t.Announced, same), in.Activity)
	if t.AnnouncedAt.IsZero() {
		t.AnnouncedAt = now
	}
	if in.Unmapped {
		return
	}
	before, there := t.Mapping(in.Employee)
	if in.Mapping.State == MappingIntended && !in.Polled && (!there || before.State == MappingTombstone) {
		t.InsertedAt = now
	}
	in.Mapping.Owner, in.Mapping.AnnouncedAt = token, now
	t.SetMapping(in.Employee, in.Mapping)
}

// TaskOutcome is what a pass over a task found and did.
type TaskOutcome struct {
	Result
	// Mappings are the confirmed ones to record; nil values are forgotten.
	Mappings map[int64]*Mapping
	// Doubles are the further events that remain; nil leaves them as they were.
	Doubles []Double
	// Concerned are the employees of the reading; nil leaves the list as it was.
	Concerned []int64
	// Updated is the task's date.update as read; "" leaves it.
	Updated  string
	Activity []ActivityRecord
}

// SettleTask confirms what was done and releases the task, unless it became dirty
// since the pass began: then it stays held, released is false, and the holder makes
// another pass (rule 1.3). A task that concerns nobody and is at rest is forgotten.
func (s *Store) SettleTask(ctx context.Context, l *TaskLease, o TaskOutcome) (released bool, err error) {
	err = s.withTask(ctx, "settle", l, func(tx Tx, held *TaskLease) (_ effect, err error) {
		rec := &held.Record
		known := rec.PendingSince
		rec.confirm(o)
		if released, err = settle(tx, &held.Lease, &rec.Work, o.Result); err != nil {
			return nothing, err
		}
		if err := recordActivity(tx, rec.ended(o.Activity, known, tx.Now())...); err != nil {
			return nothing, err
		}
		if released && rec.idle() {
			return remove, nil
		}
		return set, nil
	})
	return released && err == nil, err
}

// ended gives the records of writes that ended in a pass or before it: those of the pass
// with their results, and as they were announced those of whoever died before they could
// say how theirs ended (rule 2.5).
func (t *TaskRecord) ended(results []ActivityRecord, known, now time.Time) []ActivityRecord {
	var out []ActivityRecord
	for _, a := range t.Announced {
		if !slices.ContainsFunc(results, func(r ActivityRecord) bool { return r.ID == a.ID }) {
			out = append(out, a)
		}
	}
	for _, a := range results {
		a.Known, a.Ended = known, now
		out = append(out, a)
	}
	t.Announced, t.AnnouncedAt = nil, time.Time{}
	return out
}

// confirm records what a pass found and did.
func (t *TaskRecord) confirm(o TaskOutcome) {
	for employee, m := range o.Mappings {
		if m == nil {
			t.DropMapping(employee)
		} else {
			t.SetMapping(employee, *m)
		}
	}
	if o.Doubles != nil {
		t.Doubles = o.Doubles
	}
	concerned := o.Concerned
	if concerned == nil {
		concerned = t.Employees
	}
	// Renewed in any case: mappings may have come by adoption, without an intent.
	t.concern(concerned)
	if o.Updated != "" {
		t.Updated = o.Updated
	}
	t.holding()
}

// ForgetMapping drops what a task remembers of an employee's event in a calendar
// that is no longer theirs: any epoch but alive. A task whose lease is live is
// marked dirty and left to its holder. It needs no lease.
func (s *Store) ForgetMapping(ctx context.Context, task, employee int64, alive string) error {
	doing := fmt.Sprintf("forget the event of employee %d for", employee)
	return changeKey(ctx, s, doing, TaskKey(task), Tx.Get, newTask, func(tx Tx, rec *TaskRecord) (effect, error) {
		m, mapped := rec.Mapping(employee)
		if !mapped || m.Epoch == alive {
			return nothing, nil
		}
		if rec.leased(tx.Now()) {
			rec.Dirty++
			return set, nil
		}
		rec.DropMapping(employee)
		rec.Doubles = slices.DeleteFunc(slices.Clone(rec.Doubles), func(d Double) bool { return d.Employee == employee && d.Epoch != alive })
		rec.Employees = slices.DeleteFunc(slices.Clone(rec.Employees), func(id int64) bool { return id == employee && alive == "" })
		rec.concern(rec.Employees)
		rec.holding()
		if rec.idle() {
			return remove, nil
		}
		return set, nil
	})
}

// Task reads one task's record.
func (s *Store) Task(ctx context.Context, id int64) (TaskRecord, bool, error) {
	rec := newTask(id)
	found, err := s.b.Get(ctx, TaskKey(id).ref(), rec)
	return *rec, found, wrapped("read "+TaskKey(id).String(), err)
}

// TasksOf lists the records of the tasks that concern an employee.
func (s *Store) TasksOf(ctx context.Context, employee int64) ([]TaskRecord, error) {
	return query[TaskRecord](ctx, s, fmt.Sprintf("list tasks of employee %d", employee),
		Query{Collection: Tasks, Field: "employees", Op: ContainsAny, Value: []int64{employee}})
}

// AllTasks lists all tasks' records by id: every document of the collection.
func (s *Store) AllTasks(ctx context.Context) ([]TaskRecord, error) {
	return query[TaskRecord](ctx, s, "list all tasks", Query{Collection: Tasks, Op: Every})
}

// TasksAfter lists the records of the tasks behind an id (0: from the first), by id, and at
// most limit of them; none means that there are no more.
func (s *Store) TasksAfter(ctx context.Context, id int64, limit int) ([]TaskRecord, error) {
	q := Query{Collection: Tasks, Op: Every, Limit: limit}
	if id > 0 {
		q.After = TaskKey(id).ref().ID
	}
	return query[TaskRecord](ctx, s, fmt.Sprintf("list tasks after %d", id), q)
}

// CountTasks counts the tasks on record, without reading them.
func (s *Store) CountTasks(ctx context.Context) (int, error) {
	n, err := s.b.Count(ctx, Query{Collection: Tasks, Op: Every})
	return n, wrapped("count the tasks", err)
}

// InsertedSince lists the tasks of which an event was announced where there was none,
// at that time or after, and that Poll had not listed.
func (s *Store) InsertedSince(ctx context.Context, since time.Time) ([]int64, error) {
	recs, err := query[TaskRecord](ctx, s, "list tasks with events since "+since.Format(time.RFC3339),
		Query{Collection: Tasks, Field: "inserted_at", Op: AtLeast, Value: since})
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(recs))
	for i, rec := range recs {
		ids[i] = rec.ID
	}
	return ids, nil
}

// PendingTasks lists the tasks with a change not yet applied, the oldest first;
// limit 0 means all.
func (s *Store) PendingTasks(ctx context.Context, limit int) ([]TaskRecord, error) {
	return query[TaskRecord](ctx, s, "list pending tasks", Query{Collection: Tasks, Field: "pending_since", Op: Exists, Limit: limit})
}

// FailedTasks lists the tasks whose last pass failed, by id, those dismissed last; limit 0
// means all.
func (s *Store) FailedTasks(ctx context.Context, limit int) ([]TaskRecord, error) {
	return queryFailed[TaskRecord](ctx, s, "list failed tasks", Tasks, limit)
}

// queryFailed lists what failed of a collection.
func queryFailed[T any](ctx context.Context, s *Store, doing string, c Collection, limit int) ([]T, error) {
	var out []T
	for _, failed := range []string{FailedOpen, FailedDismissed} {
		rest := limit - len(out)
		if limit > 0 && rest <= 0 {
			break
		}
		some, err := query[T](ctx, s, doing, Query{Collection: c, Field: "failed", Op: Equal, Value: failed, Limit: max(0, rest)})
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}
