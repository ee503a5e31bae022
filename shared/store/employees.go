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
	// ReturnedName and ReturnedZone are what Google gave back for Name and Zone where
	// that differs; "" where it does not, or is not known.
	ReturnedName string `firestore:"returned_name,omitempty" json:"returned_name,omitempty"`
	ReturnedZone string `firestore:"returned_zone,omitempty" json:"returned_zone,omitempty"`
	// Address is whom it is shared with, as the ERP has it, trimmed.
	Address string `firestore:"address,omitempty" json:"address,omitempty"`
	// AddressDigest is what the mark of an adopted calendar says of the address that it
	// is shared with, until Address is known (calendarsync.AddressDigest).
	AddressDigest string `firestore:"address_digest,omitempty" json:"address_digest,omitempty"`
	// FormerSince is since when Address is a former one whose calendar waits for its
	// replacement (rule 5.8).
	FormerSince time.Time `firestore:"former_since,omitempty" json:"former_since,omitzero"`
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
	// ShareAgain: whether the rule is there is not known, because the employee got the calendar
	// back (rule 4.11) or because no answer to the share has come; RuleID is then what it was or
	// most likely is. It is given again unless a list shows it.
	ShareAgain bool `firestore:"share_again,omitempty" json:"share_again,omitempty"`
	// Filled is when the calendar first held all its tasks.
	Filled time.Time `firestore:"filled,omitempty" json:"filled,omitzero"`
	// Permitted is set once the delete guard granted the deletion, at PermittedAt.
	Permitted   bool      `firestore:"permitted,omitempty" json:"permitted,omitempty"`
	PermittedAt time.Time `firestore:"permitted_at,omitempty" json:"permitted_at,omitzero"`
	// Extra is a further calendar of the employee, found by its mark: it goes only
	// if every event in it is the product's own (rule 3.6).
	Extra bool `firestore:"extra,omitempty" json:"extra,omitempty"`
	// Cleared is when a purge took the product's events out of a calendar that stays
	// because of what others have in it.
	Cleared time.Time `firestore:"cleared,omitempty" json:"cleared,omitzero"`
	// MarkLost is set once its mark did not come back from Google (rule 3.14).
	MarkLost bool `firestore:"mark_lost,omitempty" json:"mark_lost,omitempty"`
	// GoneSince is when Google first said of this calendar, in a complete look, that it
	// does not exist, and nothing since said otherwise (rule 3.9).
	GoneSince time.Time `firestore:"gone_since,omitempty" json:"gone_since,omitzero"`
	// ReplaceAsked is when an admin asked for a new one in the place of one that is gone.
	ReplaceAsked time.Time `firestore:"replace_asked,omitempty" json:"replace_asked,omitzero"`
	// ReplacedAt is when a new one was asked for in the place of this one, which was gone:
	// should it turn up after all, one of the two stays.
	ReplacedAt time.Time `firestore:"replaced_at,omitempty" json:"replaced_at,omitzero"`
	// UnshareGoneSince is when Google first answered that this retiring calendar, or its
	// rule, does not exist where the rule was to be deleted (rule 3.9).
	UnshareGoneSince time.Time `firestore:"unshare_gone_since,omitempty" json:"unshare_gone_since,omitzero"`
	// LoweredRole is the role that Google gave the employee where it is less than reader;
	// "" where it is not (rule 5.7).
	LoweredRole string `firestore:"lowered_role,omitempty" json:"lowered_role,omitempty"`
	// BornRules are the ids of rules for a domain or for everybody that the calendar had
	// before anything was shared: Google made it with them (rule 5.3).
	BornRules []string `firestore:"born_rules,omitempty" json:"born_rules,omitempty"`
	// Unseen is when acl.list first lacked the rule that was made; zero once shown.
	Unseen time.Time `firestore:"unseen,omitempty" json:"unseen,omitzero"`
	// RuleMissingSince is when acl.list first lacked a rule that it had shown.
	RuleMissingSince time.Time `firestore:"rule_missing_since,omitempty" json:"rule_missing_since,omitzero"`
	// Events is how many events the calendar still had when it retired or was held: its
	// mappings are forgotten before an admin decides about it.
	Events int `firestore:"events,omitempty" json:"events,omitempty"`
	// ShareAsked is when a share of the day's was first asked for, which is the order of those
	// who wait for one; it stays through every retry, until the calendar is shared.
	// ShareTries counts those that were granted meanwhile: Google refused them.
	ShareAsked time.Time `firestore:"share_asked,omitempty" json:"share_asked,omitzero"`
	ShareTries int       `firestore:"share_tries,omitempty" json:"share_tries,omitempty"`
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
	// ErrorSince is since when the state is error; indexed.
	ErrorSince time.Time `firestore:"error_since,omitempty" json:"error_since,omitzero"`
	// Reason says in one word why the state is none or held, e.g. "no-address", or why nothing
	// is written; indexed.
	Reason string `firestore:"reason,omitempty" json:"reason,omitempty"`
	// Seen is the digest of the card at the last pass, and SeenAt when a pass found it
	// otherwise than the one before; indexed.
	Seen   string    `firestore:"seen,omitempty" json:"seen,omitempty"`
	SeenAt time.Time `firestore:"seen_at,omitempty" json:"seen_at,omitzero"`
	// Calendar is the present one, or the intent of one.
	Calendar *CalendarRecord `firestore:"calendar,omitempty" json:"calendar,omitempty"`
	// Lost is a creation whose answer was lost and that two lists of the account's calendars have
	// lacked; its Deadline is the time of the last one. Gone once there is another calendar.
	Lost *CalendarRecord `firestore:"lost,omitempty" json:"lost,omitempty"`
	// Retiring are calendars on their way out.
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
	// CardFailure is why the ERP did not take what was to be written into its card last,
	// CardTried, and CardAgain when that is tried again (rule 5.9).
	CardFailure *Failure `firestore:"card_failure,omitempty" json:"card_failure,omitempty"`
	// CardSince is since when it did not take that.
	CardSince time.Time `firestore:"card_since,omitempty" json:"card_since,omitzero"`
	CardTried string    `firestore:"card_tried,omitempty" json:"card_tried,omitempty"`
	CardAgain time.Time `firestore:"card_again,omitempty" json:"card_again,omitzero"`
	// Held is HeldWaiting while the deletion of a calendar is held by the delete
	// guard, HeldDropped after an admin decided that it stays; indexed. AllowedAt is
	// when an admin confirmed it.
	Held string `firestore:"held,omitempty" json:"held,omitempty"`
	// HeldSince is since when Held is HeldWaiting; indexed.
	HeldSince time.Time `firestore:"held_since,omitempty" json:"held_since,omitzero"`
	AllowedAt time.Time `firestore:"allowed_at,omitempty" json:"allowed_at,omitzero"`
	// KeptFor is the reason for which the calendar was to go, and an admin decided that it
	// stays: it is kept for as long as the ERP gives just this reason (rule 4.9); indexed.
	KeptFor string `firestore:"kept_for,omitempty" json:"kept_for,omitempty"`
	// RebuildAsked is when an admin asked to empty the calendar and fill it again;
	// zero once it is empty.
	RebuildAsked time.Time `firestore:"rebuild_asked,omitempty" json:"rebuild_asked,omitzero"`
	Work
}

// heldPresent reports whether the present calendar's own deletion is held: nobody
// said that its employee is gone, so it is kept up to date meanwhile (rule 4.4); or its
// replacement is, by another, because Google says that it is gone (rule 3.9).
func (e *EmployeeRecord) heldPresent() bool {
	return e.Held != "" && e.Calendar != nil && !(e.AbsentSince.IsZero() && e.Calendar.GoneSince.IsZero())
}

// heldReplacement reports whether only the replacement of a calendar that is gone is held,
// which is not for what the ERP says (rule 3.9).
func (e *EmployeeRecord) heldReplacement() bool {
	return e.heldPresent() && e.AbsentSince.IsZero()
}

// CardState is the state that the card and the console show.
func (e *EmployeeRecord) CardState() EmployeeState {
	if e.heldPresent() && e.Held == HeldWaiting {
		return StateHeld
	}
	return e.State
}

func (e *EmployeeRecord) work() *Work { return &e.Work }

func (e *EmployeeRecord) watch() (changed func(now time.Time)) {
	state, held := e.State, e.Held
	return func(now time.Time) {
		e.ErrorSince = turned(e.ErrorSince, state == StateError, e.State == StateError, now)
		e.HeldSince = turned(e.HeldSince, held == HeldWaiting, e.Held == HeldWaiting, now)
	}
}

func newEmployee(id int64) *EmployeeRecord { return &EmployeeRecord{ID: id, State: StateNone} }

// Receives reports whether events of a calendar epoch may be written
// (rule 1.6).
func (e *EmployeeRecord) Receives(epoch string) bool {
	return e.State == StateActive && e.Calendar != nil && e.Calendar.ID != "" && e.Calendar.Epoch == epoch
}

// SaveEmployee changes a held employee's record: change is applied to the record
// as stored, whose Work it cannot change, and may be run several times. The activity,
// if any, is recorded in the same transaction.
func (s *Store) SaveEmployee(ctx context.Context, l *EmployeeLease, change func(*EmployeeRecord), activity ...ActivityRecord) error {
	return s.withEmployee(ctx, "save", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		work := held.Record.Work
		if work.Failure != nil {
			f := *work.Failure
			work.Failure = &f
		}
		change(&held.Record)
		held.Record.Work = work
		return set, recordActivity(tx, activity...)
	})
}

// SettleEmployee ends a pass over an employee like SettleTask.
func (s *Store) SettleEmployee(ctx context.Context, l *EmployeeLease, r Result) (released bool, err error) {
	err = s.withEmployee(ctx, "settle", l, func(tx Tx, held *EmployeeLease) (_ effect, err error) {
		released, err = settle(tx, &held.Lease, &held.Record.Work, r)
		return set, err
	})
	return released && err == nil, err
}

// ForgetEmployee removes the record of an employee who has no calendar and is not in
// the ERP, and with it the lease. Where there is a calendar after all, or a
// notification came meanwhile, it gives ErrLeaseLost and the record stays.
func (s *Store) ForgetEmployee(ctx context.Context, l *EmployeeLease) error {
	return s.withEmployee(ctx, "forget", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		rec := &held.Record
		if rec.Dirty != l.Dirty || rec.Calendar != nil || len(rec.Retiring) > 0 {
			return nothing, ErrLeaseLost
		}
		if rec.DeadLetter {
			if err := tx.Delete(deadLetterRef(l.Key)); err != nil {
				return nothing, err
			}
		}
		return remove, nil
	})
}

// AdoptCalendar records a calendar found by its mark after the database was lost:
// active, but not listed, so that it is listed completely before anything is inserted
// (rule 3.4). A record that has a calendar already stays, and a retiring calendar does
// not come back: adopted is false. It needs no lease.
func (s *Store) AdoptCalendar(ctx context.Context, employee int64, cal CalendarRecord) (adopted bool, err error) {
	return s.changeEmployee(ctx, "adopt a calendar of", employee, func(e *EmployeeRecord, _ time.Time) bool {
		if e.Calendar != nil || e.retiring(cal.ID) >= 0 {
			return false
		}
		e.State, e.Calendar = StateActive, &cal
		return true
	})
}

// NoteExtra records a further calendar of an employee, found by its mark, as retiring.
// One that is known stays what it is, and what an open intent may have made is found
// by the intent (rule 3.6): noted is false. It needs no lease.
func (s *Store) NoteExtra(ctx context.Context, employee int64, cal CalendarRecord) (noted bool, err error) {
	return s.changeEmployee(ctx, "note a further calendar of", employee, func(e *EmployeeRecord, _ time.Time) bool {
		if e.Calendar == nil || e.owns(cal.ID, cal.Epoch) {
			return false
		}
		extra := cal
		extra.Extra, extra.Address = true, e.Address
		e.Retiring = append(e.Retiring, extra)
		return true
	})
}

// AddRetiring records as retiring a calendar found by its mark that the state did not
// know. One that is known stays what it is. It needs no lease.
func (s *Store) AddRetiring(ctx context.Context, employee int64, cal CalendarRecord) error {
	_, err := s.changeEmployee(ctx, "record calendar "+cal.ID+" of", employee, func(e *EmployeeRecord, _ time.Time) bool {
		if e.owns(cal.ID, cal.Epoch) {
			return false
		}
		e.Retiring = append(e.Retiring, cal)
		return true
	})
	return err
}

// AskRebuild asks that an employee's calendar be emptied and filled again; asked is
// false for one who has none. It needs no lease.
func (s *Store) AskRebuild(ctx context.Context, employee int64) (asked bool, err error) {
	return s.askEmployee(ctx, employee, "ask to rebuild the calendar of", func(e *EmployeeRecord, now time.Time) bool {
		if e.State != StateActive || e.Calendar == nil || e.Calendar.ID == "" {
			return false
		}
		if e.RebuildAsked.IsZero() {
			e.RebuildAsked = now
		}
		return true
	})
}

// MayReplace reports whether an admin may have a calendar that is gone replaced now.
func (e *EmployeeRecord) MayReplace() bool {
	return e.Calendar != nil && !e.Calendar.GoneSince.IsZero() && e.Calendar.ReplaceAsked.IsZero()
}

// AskReplacement asks that a calendar of which Google says that it is gone be replaced
// without further waiting; asked is false where Google does not say so. It needs no
// lease.
func (s *Store) AskReplacement(ctx context.Context, employee int64) (asked bool, err error) {
	return s.askEmployee(ctx, employee, "ask to replace the calendar of", func(e *EmployeeRecord, now time.Time) bool {
		if !e.MayReplace() {
			return false
		}
		c := *e.Calendar
		c.ReplaceAsked = now
		e.Calendar = &c
		return true
	})
}

// InviteEvery is how often an invitation is sent again at most (rule 5.3).
const InviteEvery = 24 * time.Hour

// AskInvitation asks that the invitation to an employee's calendar be sent again;
// asked is false where Google has shown the share as it is to be, or the last one was
// sent within a day. It needs no lease.
func (s *Store) AskInvitation(ctx context.Context, employee int64) (asked bool, err error) {
	return s.askEmployee(ctx, employee, "ask for another invitation of", func(e *EmployeeRecord, now time.Time) bool {
		if !e.MayInvite(now) {
			return false
		}
		c := *e.Calendar
		c.InviteAsked = now
		e.Calendar = &c
		return true
	})
}

// MayInvite reports whether an admin may have the invitation sent again at a time. One to a
// former address never is (rule 5.8).
func (e *EmployeeRecord) MayInvite(now time.Time) bool {
	c := e.Calendar
	if c == nil || !c.FormerSince.IsZero() {
		return false
	}
	unseen := e.State == StateActive && !c.RuleSeen
	return (unseen || e.State == StateError && e.ShareLowered()) && c.RuleID != "" && !now.Before(c.SharedAt.Add(InviteEvery))
}

// ShareLowered reports whether Google lets the employee see less of their calendar than
// was shared with them.
func (e *EmployeeRecord) ShareLowered() bool {
	return e.Calendar != nil && e.Calendar.LoweredRole != ""
}

// askEmployee changes a record for an admin and marks it dirty, due at once: should
// the message that follows get lost, Poll brings it up.
func (s *Store) askEmployee(ctx context.Context, employee int64, doing string, change func(e *EmployeeRecord, now time.Time) bool) (asked bool, err error) {
	return s.changeEmployee(ctx, doing, employee, func(e *EmployeeRecord, now time.Time) bool {
		if !change(e, now) {
			return false
		}
		e.markDirty(now)
		if e.DueAt.IsZero() || now.Before(e.DueAt) && !now.Before(e.LeaseUntil) {
			e.DueAt = now
		}
		return true
	})
}

// changeEmployee changes an employee's record without their lease, if change says
// that it did.
func (s *Store) changeEmployee(ctx context.Context, doing string, id int64, change func(e *EmployeeRecord, now time.Time) bool) (changed bool, err error) {
	err = changeKey(ctx, s, doing, EmployeeKey(id), Tx.Get, newEmployee, func(tx Tx, e *EmployeeRecord) (effect, error) {
		if changed = change(e, tx.Now()); changed {
			return set, nil
		}
		return nothing, nil
	})
	return changed && err == nil, err
}

// owns reports whether a calendar is on the record, or may be the one of an intent.
func (e *EmployeeRecord) owns(id, epoch string) bool {
	c := e.Calendar
	return c != nil && (c.ID == id || (c.ID == "" && c.Epoch == epoch)) || e.retiring(id) >= 0
}

// retiring finds a retiring calendar; -1 if it is not on the record (any more).
func (e *EmployeeRecord) retiring(id string) int {
	return slices.IndexFunc(e.Retiring, func(c CalendarRecord) bool { return c.ID == id })
}

// removeRetiring takes a retiring calendar off the record; false if it is not on it.
func (e *EmployeeRecord) removeRetiring(id string) bool {
	i := e.retiring(id)
	if i >= 0 {
		e.Retiring = slices.Delete(slices.Clone(e.Retiring), i, i+1)
	}
	return i >= 0
}

// Employee reads one employee's record.
func (s *Store) Employee(ctx context.Context, id int64) (EmployeeRecord, bool, error) {
	rec := newEmployee(id)
	found, err := s.b.Get(ctx, EmployeeKey(id).ref(), rec)
	return *rec, found, wrapped("read "+EmployeeKey(id).String(), err)
}

// Employees lists all employees' records by id.
func (s *Store) Employees(ctx context.Context) ([]EmployeeRecord, error) {
	return query[EmployeeRecord](ctx, s, "list employees", Query{Collection: Employees, Op: Every})
}

// EmployeesOfDivisions lists the records of the employees that belong to any of the
// divisions, each once. More than 30 divisions take several reads.
func (s *Store) EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]EmployeeRecord, error) {
	var out []EmployeeRecord
	seen := map[int64]bool{}
	// Firestore takes at most 30 values in one array-contains-any.
	for some := range slices.Chunk(divisions, 30) {
		recs, err := query[EmployeeRecord](ctx, s, fmt.Sprintf("list employees of divisions %v", some),
			Query{Collection: Employees, Field: "divisions", Op: ContainsAny, Value: some})
		if err != nil {
			return nil, err
		}
		for _, r := range recs {
			if !seen[r.ID] {
				seen[r.ID] = true
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// SeenSince gives the digests of the cards that a pass found otherwise than the pass
// before, at that time or after, by employee.
func (s *Store) SeenSince(ctx context.Context, since time.Time) (map[int64]string, error) {
	recs, err := query[EmployeeRecord](ctx, s, "list employees seen since "+since.Format(time.RFC3339),
		Query{Collection: Employees, Field: "seen_at", Op: AtLeast, Value: since})
	if err != nil {
		return nil, err
	}
	seen := make(map[int64]string, len(recs))
	for _, rec := range recs {
		seen[rec.ID] = rec.Seen
	}
	return seen, nil
}

// FailedEmployees lists the employees whose last pass failed, by id, those dismissed last;
// limit 0 means all.
func (s *Store) FailedEmployees(ctx context.Context, limit int) ([]EmployeeRecord, error) {
	return queryFailed[EmployeeRecord](ctx, s, "list failed employees", Employees, limit)
}
