package store

import (
	"context"
	"time"
)

// PollOutcome is how the last poll went, for people and for monitoring: whether Poll runs,
// whether the ERP can be read, and whether its clock is right. It is written by every poll,
// whatever failed in it.
type PollOutcome struct {
	RanAt time.Time `firestore:"ran_at" json:"ran_at"`
	// Paused: the settings were off or incomplete, so that the ERP was not read.
	Paused bool `firestore:"paused,omitempty" json:"paused,omitempty"`
	// ReadAt is when the ERP was last read without a fault. Failing is what has kept it from
	// that since FailingSince; nil for nothing.
	ReadAt       time.Time `firestore:"read_at,omitempty" json:"read_at,omitzero"`
	Failing      *Failure  `firestore:"failing,omitempty" json:"failing,omitempty"`
	FailingSince time.Time `firestore:"failing_since,omitempty" json:"failing_since,omitzero"`
	// ClockAt is when the ERP's clock was last compared with the setting time_zone, and Apart
	// how many seconds they were apart then; ApartSince since when more than is allowed.
	ClockAt    time.Time `firestore:"clock_at,omitempty" json:"clock_at,omitzero"`
	Apart      int64     `firestore:"apart,omitempty" json:"apart,omitempty"`
	ApartSince time.Time `firestore:"apart_since,omitempty" json:"apart_since,omitzero"`
	// RunMissedSince is since when no full run has passed over everybody in time; zero: one has.
	RunMissedSince time.Time `firestore:"run_missed_since,omitempty" json:"run_missed_since,omitzero"`
	// Unreached is how many calendars Google keeps from the client though they exist, since
	// UnreachedSince; 0 where that may be a fault of one calendar (rule 3.9).
	Unreached      int       `firestore:"unreached,omitempty" json:"unreached,omitempty"`
	UnreachedSince time.Time `firestore:"unreached_since,omitempty" json:"unreached_since,omitzero"`
	// Unreadable is what of the ERP has been unreadable for an hour (rule 4.13), the first of it,
	// and UnreadableSince since when that is so; empty for nothing.
	Unreadable      []string  `firestore:"unreadable,omitempty" json:"unreadable,omitempty"`
	UnreadableSince time.Time `firestore:"unreadable_since,omitempty" json:"unreadable_since,omitzero"`
	// SameAddress are those who are to have a calendar and share one address with others, a
	// list for each address (rule 5.1), and SameAddressSince since when there are any.
	SameAddress      []SharedAddress `firestore:"same_address,omitempty" json:"same_address,omitempty"`
	SameAddressSince time.Time       `firestore:"same_address_since,omitempty" json:"same_address_since,omitzero"`
}

// SharedAddress are employees with one address.
type SharedAddress struct {
	Employees []int64 `firestore:"employees" json:"employees"`
}

// PollResult is what one poll found out; what it could not look at stays as it was.
type PollResult struct {
	Paused bool
	// ERP is nil where the ERP was read without a fault, or what kept it from that.
	ERP error
	// Clock is set where the clocks were compared: how far they are apart, and whether that is
	// more than allowed.
	Clock *ClockResult
	// SameAddress is set where all employees were read.
	SameAddress *[]SharedAddress
	// Unreadable is set where it was looked for: what of the ERP has been unreadable for an hour.
	Unreadable *[]string
	// RunMissed reports whether no full run has passed over everybody in time.
	RunMissed bool
	// Unreached is set where it was counted how many calendars are out of reach.
	Unreached *int
}

// ClockResult is a comparison of the ERP's clock with the setting time_zone.
type ClockResult struct {
	Apart time.Duration
	Wrong bool
}

func outcomeRef() Ref { return Ref{Polls, "outcome"} }

// PollOutcome reads how the last poll went; found is false before the first.
func (s *Store) PollOutcome(ctx context.Context) (rec PollOutcome, found bool, err error) {
	return get[PollOutcome](ctx, s, "read how the last poll went", outcomeRef())
}

// RecordPoll records how a poll went, dated by the database's clock.
func (s *Store) RecordPoll(ctx context.Context, r PollResult) error {
	return change(ctx, s, "record how the poll went", outcomeRef(), func(o *PollOutcome, _ bool, now time.Time) effect {
		o.record(r, now)
		return set
	})
}

func (o *PollOutcome) record(r PollResult, now time.Time) {
	o.RanAt, o.Paused = now, r.Paused
	switch {
	case r.Paused:
	case r.ERP == nil:
		o.ReadAt, o.Failing, o.FailingSince = now, nil, time.Time{}
	default:
		o.Failing = FailureOf(r.ERP, nil, now)
		o.FailingSince = since(o.FailingSince, true, now)
	}
	if c := r.Clock; c != nil {
		o.ClockAt, o.Apart = now, int64(c.Apart/time.Second)
		o.ApartSince = since(o.ApartSince, c.Wrong, now)
	}
	if r.SameAddress != nil {
		o.SameAddressSince = turned(o.SameAddressSince, len(o.SameAddress) > 0, len(*r.SameAddress) > 0, now)
		o.SameAddress = *r.SameAddress
	}
	if u := r.Unreadable; u != nil {
		o.Unreadable, o.UnreadableSince = *u, since(o.UnreadableSince, len(*u) > 0, now)
	}
	o.RunMissedSince = since(o.RunMissedSince, r.RunMissed, now)
	if r.Unreached != nil {
		o.Unreached = *r.Unreached
		o.UnreachedSince = since(o.UnreachedSince, o.Unreached > 0, now)
	}
}

// since is since when something is so: before, if it was so already.
func since(before time.Time, is bool, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}
