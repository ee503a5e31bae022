package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// EmployeeState is what an employee's calendar is doing, as the card shows it
// (functions/README.md, Card).
type EmployeeState string

// The states of the card.
const (
	StateNone     EmployeeState = "none"     // gets no calendar; Reason says why
	StatePending  EmployeeState = "pending"  // is to get one
	StateActive   EmployeeState = "active"   // has one
	StateHeld     EmployeeState = "held"     // its deletion waits for an admin
	StateDeleting EmployeeState = "deleting" // is losing it
	StateError    EmployeeState = "error"    // could not get one; Failure says why
)

// CalendarRecord is one calendar of one employee, from the intent to its end.
type CalendarRecord struct {
	// ID is Google's; empty while only the intent exists (rule 3.6).
	ID string `firestore:"id,omitempty" json:"id,omitempty"`
	// Epoch is the random name of this calendar's life, written in its mark.
	Epoch string `firestore:"epoch" json:"epoch"`
	// From bounds the calendar's tasks; frozen for its life (rule 3.5).
	From time.Time `firestore:"from" json:"from"`
	Name string    `firestore:"name,omitempty" json:"name,omitempty"`
	// Zone is the calendar's own time zone as last written; "" is not known.
	Zone string `firestore:"zone,omitempty" json:"zone,omitempty"`
	// Address is whom it is shared with, as the ERP has it, trimmed.
	Address string `firestore:"address,omitempty" json:"address,omitempty"`
	// AddressDigest is what the mark of an adopted calendar says of the address that it
	// is shared with, until Address is known (calendarsync.AddressDigest).
	AddressDigest string `firestore:"address_digest,omitempty" json:"address_digest,omitempty"`
	// Account is the id of the Google account that owns it.
	Account string `firestore:"account,omitempty" json:"account,omitempty"`
	// Deadline is the end of the creating call; an intent without an id is not
	// retried before Deadline + INTENT_SECONDS.
	Deadline time.Time `firestore:"deadline,omitempty" json:"deadline,omitzero"`
	// Searches counts the complete calendar lists that lacked an open intent.
	Searches int `firestore:"searches,omitempty" json:"searches,omitempty"`
	// Listed is set once the events were listed completely: only then does "no
	// mapping" mean "no event" (rule 3.4). New calendars are born empty.
	Listed bool `firestore:"listed,omitempty" json:"listed,omitempty"`
	// RuleID is the ACL rule's id from Google's reply; SharedAt when it was made.
	RuleID   string    `firestore:"rule_id,omitempty" json:"rule_id,omitempty"`
	SharedAt time.Time `firestore:"shared_at,omitempty" json:"shared_at,omitzero"`
	// RuleSeen is set once acl.list has shown the rule (rule 5.3).
	RuleSeen bool `firestore:"rule_seen,omitempty" json:"rule_seen,omitempty"`
	// Filled is when the calendar first held all its tasks.
	Filled time.Time `firestore:"filled,omitempty" json:"filled,omitzero"`
	// Permitted is set once the delete guard let this calendar go, at PermittedAt.
	Permitted   bool      `firestore:"permitted,omitempty" json:"permitted,omitempty"`
	PermittedAt time.Time `firestore:"permitted_at,omitempty" json:"permitted_at,omitzero"`
	// Extra is a further calendar of the employee, found by its mark: it goes only
	// if every event in it is the product's own (rule 3.6).
	Extra bool `firestore:"extra,omitempty" json:"extra,omitempty"`
	// Cleared is when a purge took the product's events out of a calendar that stays
	// because of what others have in it.
	Cleared time.Time `firestore:"cleared,omitempty" json:"cleared,omitzero"`
	// Unseen is when acl.list first lacked the rule that was made; zero once shown.
	Unseen time.Time `firestore:"unseen,omitempty" json:"unseen,omitzero"`
	// InviteAsked is when an admin asked to send the invitation again.
	InviteAsked time.Time `firestore:"invite_asked,omitempty" json:"invite_asked,omitzero"`
}

// EmployeeRecord is what is known of one employee and their calendar.
type EmployeeRecord struct {
	ID        int64         `firestore:"id" json:"id"`
	Name      string        `firestore:"name,omitempty" json:"name,omitempty"`
	Address   string        `firestore:"address,omitempty" json:"address,omitempty"`
	Divisions []int64       `firestore:"divisions,omitempty" json:"divisions,omitempty"`
	State     EmployeeState `firestore:"state" json:"state"`
	// Reason says in one word why the state is none or held, e.g. "no-address".
	Reason string `firestore:"reason,omitempty" json:"reason,omitempty"`
	// Seen is the digest of the card at the last look, and SeenAt when a look found it
	// otherwise than the one before; indexed.
	Seen   string    `firestore:"seen,omitempty" json:"seen,omitempty"`
	SeenAt time.Time `firestore:"seen_at,omitempty" json:"seen_at,omitzero"`
	// Calendar is the present one, or the intent of one.
	Calendar *CalendarRecord `firestore:"calendar,omitempty" json:"calendar,omitempty"`
	// Retiring are calendars that are being taken down.
	Retiring []CalendarRecord `firestore:"leaving,omitempty" json:"leaving,omitempty"`
	// AbsentSince is when a complete reading first lacked a reason for the calendar.
	AbsentSince time.Time `firestore:"absent_since,omitempty" json:"absent_since,omitzero"`
	// KeptFrom is the from of a calendar deleted by hand until another with the
	// same from has taken its place (rule 3.5).
	KeptFrom time.Time `firestore:"kept_from,omitempty" json:"kept_from,omitzero"`
	// Creation is the place in the queue for new calendars, from the first asking
	// until the calendar is made or no longer wanted (rule 6.5).
	Creation *CreationRequest `firestore:"creation,omitempty" json:"creation,omitempty"`
	// Card is what was last written into the ERP's card: "field=calendar id".
	Card string `firestore:"card,omitempty" json:"card,omitempty"`
	// Held is HeldWaiting while the deletion of a calendar is held by the delete
	// guard, HeldDropped after an admin decided that it stays; indexed. AllowedAt is
	// when an admin confirmed it.
	Held      string    `firestore:"held,omitempty" json:"held,omitempty"`
	AllowedAt time.Time `firestore:"allowed_at,omitempty" json:"allowed_at,omitzero"`
	// RebuildAsked is when an admin asked to empty the calendar and fill it again;
	// zero once it is empty.
	RebuildAsked time.Time `firestore:"rebuild_asked,omitempty" json:"rebuild_asked,omitzero"`
	Work
}

// heldCalendars counts the calendars whose deletion is held.
func (e *EmployeeRecord) heldCalendars() int {
	n := 0
	for _, c := range e.Retiring {
		if !c.Permitted {
			n++
		}
	}
	if e.heldPresent() {
		n++
	}
	return n
}

// heldPresent reports whether the present calendar's own deletion is held: nobody
// said that its employee is gone, so it goes on meanwhile (rule 4.4).
func (e *EmployeeRecord) heldPresent() bool {
	return e.Held != "" && e.Calendar != nil && !e.AbsentSince.IsZero()
}

// CardState is the state that the card and the console show.
func (e *EmployeeRecord) CardState() EmployeeState {
	if e.heldPresent() && e.Held == HeldWaiting {
		return StateHeld
	}
	return e.State
}

func (e *EmployeeRecord) work() *Work { return &e.Work }

// Receives reports whether events of a calendar epoch may be written
// (rule 1.6).
func (e *EmployeeRecord) Receives(epoch string) bool {
	return e.State == StateActive && e.Calendar != nil && e.Calendar.ID != "" && e.Calendar.Epoch == epoch
}

// EmployeeLease is a held lease on an employee with the record as it is stored.
type EmployeeLease struct {
	Lease
	Record EmployeeRecord
}

// AcquireEmployee takes the lease of an employee, or marks them dirty for its holder.
func (s *Store) AcquireEmployee(ctx context.Context, id int64, c Claim) (EmployeeLease, Outcome, error) {
	key := EmployeeKey(id)
	var lease EmployeeLease
	var outcome Outcome
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := EmployeeRecord{ID: id, State: StateNone}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		// See AcquireTask.
		if rec.LeaseToken == c.Token && tx.Now().Before(rec.LeaseUntil) {
			lease = EmployeeLease{Lease{key, c.Token, rec.LeaseUntil, rec.Dirty, 1}, rec}
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
		return EmployeeLease{}, 0, fmt.Errorf("take lease of %s: %w", key, err)
	}
	return lease, outcome, nil
}

// SaveEmployee changes a held employee's record: change is applied to the record
// as stored and may be run several times. The activity, if any, is recorded in
// the same transaction.
func (s *Store) SaveEmployee(ctx context.Context, l *EmployeeLease, change func(*EmployeeRecord), activity ...ActivityRecord) error {
	var record EmployeeRecord
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := EmployeeRecord{ID: l.Key.ID, State: StateNone}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		work := rec.Work
		if work.Failure != nil {
			f := *work.Failure
			work.Failure = &f
		}
		change(&rec)
		rec.Work = work
		record = rec
		for _, a := range activity {
			if err := tx.Set(Ref{Activity, a.ID}, a); err != nil {
				return err
			}
		}
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return fmt.Errorf("save %s: %w", l.Key, err)
	}
	l.Record = record
	return nil
}

// SeenSince gives the digests of the cards that a look found otherwise than the look
// before, at that time or after, by employee.
func (s *Store) SeenSince(ctx context.Context, since time.Time) (map[int64]string, error) {
	recs, err := query[EmployeeRecord](ctx, s.b, Query{Collection: Employees, Field: "seen_at", Op: AtLeast, Value: since})
	if err != nil {
		return nil, fmt.Errorf("list employees seen since %s: %w", since.Format(time.RFC3339), err)
	}
	seen := make(map[int64]string, len(recs))
	for _, rec := range recs {
		seen[rec.ID] = rec.Seen
	}
	return seen, nil
}

// SettleEmployee ends a look at an employee like SettleTask.
func (s *Store) SettleEmployee(ctx context.Context, l *EmployeeLease, r Result) (released bool, err error) {
	next := *l
	err = s.b.Transact(ctx, func(tx Tx) error {
		next = *l
		rec := EmployeeRecord{ID: l.Key.ID, State: StateNone}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) {
			return ErrLeaseLost
		}
		released = rec.settle(&next.Lease, r, tx.Now())
		cleared := released && rec.DeadLetter && r.Err == nil
		if cleared {
			rec.DeadLetter = false
		}
		next.Record = rec
		if cleared {
			if err := tx.Delete(deadLetterRef(l.Key)); err != nil {
				return err
			}
		}
		return tx.Set(l.Key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("settle %s: %w", l.Key, err)
	}
	*l = next
	return released, nil
}

// ForgetEmployee removes the record of an employee who has no calendar and is
// not in the ERP, releasing the lease.
func (s *Store) ForgetEmployee(ctx context.Context, l *EmployeeLease) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		rec := EmployeeRecord{ID: l.Key.ID, State: StateNone}
		if _, err := tx.Get(l.Key.ref(), &rec); err != nil {
			return err
		}
		if !rec.holds(l.Lease, tx.Now()) || rec.Dirty != l.Dirty || rec.Calendar != nil || len(rec.Retiring) > 0 {
			return ErrLeaseLost
		}
		if rec.DeadLetter {
			if err := tx.Delete(deadLetterRef(l.Key)); err != nil {
				return err
			}
		}
		return tx.Delete(l.Key.ref())
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", l.Key, err)
	}
	return nil
}

// AdoptCalendar records a calendar found by its mark after the database was
// lost: active, but not listed, so that it is audited before anything is
// inserted (rule 3.4). A record that has a calendar already stays, and a
// calendar that is being taken down does not come back.
func (s *Store) AdoptCalendar(ctx context.Context, employee int64, cal CalendarRecord) (adopted bool, err error) {
	key := EmployeeKey(employee)
	err = s.b.Transact(ctx, func(tx Tx) error {
		adopted = false
		rec := EmployeeRecord{ID: employee, State: StateNone}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		leaving := func(c CalendarRecord) bool { return c.ID == cal.ID }
		if rec.Calendar != nil || slices.ContainsFunc(rec.Retiring, leaving) {
			return nil
		}
		rec.State, rec.Calendar = StateActive, &cal
		adopted = true
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("adopt calendar of %s: %w", key, err)
	}
	return adopted, nil
}

// NoteExtra records a further calendar of an employee, found by its mark, among
// those that are taken down. One that is known stays what it is, and what an open
// intent may have made is found by the intent (rule 3.6).
func (s *Store) NoteExtra(ctx context.Context, employee int64, cal CalendarRecord) (noted bool, err error) {
	key := EmployeeKey(employee)
	err = s.b.Transact(ctx, func(tx Tx) error {
		noted = false
		rec := EmployeeRecord{ID: employee, State: StateNone}
		if _, err := tx.Get(key.ref(), &rec); err != nil {
			return err
		}
		if rec.Calendar == nil || rec.owns(cal.ID, cal.Epoch) {
			return nil
		}
		cal.Extra, cal.Address = true, rec.Address
		rec.Retiring = append(rec.Retiring, cal)
		noted = true
		return tx.Set(key.ref(), &rec)
	})
	if err != nil {
		return false, fmt.Errorf("note a further calendar of %s: %w", key, err)
	}
	return noted, nil
}

// Employee reads one employee's record.
func (s *Store) Employee(ctx context.Context, id int64) (EmployeeRecord, bool, error) {
	rec := EmployeeRecord{ID: id, State: StateNone}
	found, err := s.b.Get(ctx, EmployeeKey(id).ref(), &rec)
	if err != nil {
		return rec, false, fmt.Errorf("read %s: %w", EmployeeKey(id), err)
	}
	return rec, found, nil
}

// Employees lists all employees' records by id.
func (s *Store) Employees(ctx context.Context) ([]EmployeeRecord, error) {
	recs, err := query[EmployeeRecord](ctx, s.b, Query{Collection: Employees, Op: Every})
	if err != nil {
		return nil, fmt.Errorf("list employees: %w", err)
	}
	return recs, nil
}

// EmployeesOfDivisions lists the records of the employees that belong to any of
// the divisions.
func (s *Store) EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]EmployeeRecord, error) {
	var out []EmployeeRecord
	seen := map[int64]bool{}
	// Firestore takes at most 30 values in one array-contains-any.
	const most = 30
	for len(divisions) > 0 {
		n := min(most, len(divisions))
		recs, err := query[EmployeeRecord](ctx, s.b, Query{Collection: Employees, Field: "divisions", Op: ContainsAny, Value: divisions[:n]})
		if err != nil {
			return nil, fmt.Errorf("list employees of divisions %v: %w", divisions[:n], err)
		}
		for _, r := range recs {
			if !seen[r.ID] {
				seen[r.ID] = true
				out = append(out, r)
			}
		}
		divisions = divisions[n:]
	}
	return out, nil
}
