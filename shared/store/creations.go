package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// CreationRequest is an employee's own side of the queue for new calendars.
type CreationRequest struct {
	Account string `firestore:"account" json:"account"`
	// Asked is when the calendar was first asked for, which is the order of the
	// queue; it stays through every retry.
	Asked time.Time `firestore:"asked" json:"asked"`
	// Granted is when a creation was reserved ahead, to replace a calendar that is still
	// there; zero: none, or it was used.
	Granted time.Time `firestore:"granted,omitempty" json:"granted,omitzero"`
}

// CreationsRecord is the bucket of calendar creations of one account and the
// queue before it (rule 6.5).
type CreationsRecord struct {
	// Full is when the bucket will be full again if nothing is granted: each
	// creation moves it by an hour's PerHour-th part. Zero is a full bucket.
	Full    time.Time `firestore:"full,omitempty" json:"full,omitzero"`
	PerHour int       `firestore:"per_hour" json:"per_hour"`
	// Caps are those that the latest creation or share kept to.
	Caps Caps `firestore:"caps,omitzero" json:"caps,omitzero"`
	// Calendars and Shares count what was made in the last day.
	Calendars []Made `firestore:"calendars,omitempty" json:"calendars,omitempty"`
	Shares    []Made `firestore:"shares,omitempty" json:"shares,omitempty"`
	// Waiting are those who asked for a calendar and have to wait, Sharing those who asked
	// for a share, in the order of asking.
	Waiting []CreationWait `firestore:"waiting,omitempty" json:"waiting,omitempty"`
	Sharing []CreationWait `firestore:"sharing,omitempty" json:"sharing,omitempty"`
	// Replacing are those whose address changed within replacingTogether.
	Replacing []Replacement `firestore:"replacing,omitempty" json:"replacing,omitempty"`
}

// Replacement is a calendar to be replaced because of another address.
type Replacement struct {
	Employee int64     `firestore:"employee" json:"employee"`
	At       time.Time `firestore:"at" json:"at"`
}

// replacingTogether is within what time two changes of addresses are not alone.
const replacingTogether = time.Hour

// Caps bound what is made of an account in any day or hour, not only in those of a
// calendar; 0 is no bound.
type Caps struct {
	CalendarsPerDay int `firestore:"calendars_per_day,omitempty" json:"calendars_per_day,omitempty"`
	SharesPerDay    int `firestore:"shares_per_day,omitempty" json:"shares_per_day,omitempty"`
	// CalendarsPerHour is what a refusal has taught of the hour, beside the bucket's own
	// capacity and refill.
	CalendarsPerHour int `firestore:"calendars_per_hour,omitempty" json:"calendars_per_hour,omitempty"`
}

// Made counts what was made in the ten minutes from a moment on.
type Made struct {
	At time.Time `firestore:"at" json:"at"`
	N  int       `firestore:"n" json:"n"`
}

const (
	day = 24 * time.Hour
	// madeGrain is how finely it is remembered when something was made; what was made
	// counts until the last of those minutes is over.
	madeGrain = 10 * time.Minute
)

// withMade counts one more, and forgets what is older than a day.
func withMade(made []Made, at time.Time) []Made {
	made = slices.DeleteFunc(slices.Clone(made), func(m Made) bool { return !m.At.Add(madeGrain + day).After(at) })
	if last := len(made) - 1; last >= 0 && !made[last].At.Before(at.Truncate(madeGrain)) {
		made[last].N++
		return made
	}
	return append(made, Made{At: at.Truncate(madeGrain), N: 1})
}

// withoutLast counts the latest one out.
func withoutLast(made []Made) []Made {
	made = slices.Clone(made)
	last := len(made) - 1
	if last < 0 {
		return nil
	}
	if made[last].N--; made[last].N == 0 {
		made = made[:last]
	}
	return made
}

// notMade counts the latest calendar or share out, which Google refused. A calendar's place
// in the bucket is given back with it.
func (q *CreationsRecord) notMade(what Creation, now time.Time) {
	if what == SharingCalendars {
		q.Shares = withoutLast(q.Shares)
		return
	}
	q.Calendars = withoutLast(q.Calendars)
	if q.Full.After(now) {
		q.Full = q.Full.Add(-q.interval())
	}
}

// madeWithin counts what was made within a time before now.
func madeWithin(made []Made, within time.Duration, now time.Time) (n int) {
	for _, m := range made {
		if m.At.Add(madeGrain + within).After(now) {
			n += m.N
		}
	}
	return n
}

// room is when one more may be made under a cap within a time; not before at.
func room(made []Made, limit int, within time.Duration, at time.Time) time.Time {
	if limit <= 0 {
		return at
	}
	newer := 0
	for _, m := range slices.Backward(made) {
		if newer += m.N; newer >= limit {
			return later(at, m.At.Add(madeGrain+within))
		}
	}
	return at
}

// CreationWait is one place in a queue.
type CreationWait struct {
	Employee int64     `firestore:"employee" json:"employee"`
	Asked    time.Time `firestore:"asked" json:"asked"`
	// Told is when the employee was told to come again.
	Told time.Time `firestore:"told" json:"told"`
	// Shares is how many shares of the day are kept from those behind: one, and one more for
	// one whom Google refused, also while it is tried again. A learned cap rises with time,
	// and what it leaves room for may be one too many. That one would be theirs each day,
	// while others come back for another invitation.
	Shares int `firestore:"shares,omitempty" json:"shares,omitempty"`
}

func creationsRef(account string) Ref { return Ref{Creations, account} }

// creationPatience is how long after the time told somebody may stay away before
// the place no longer counts. Who is still wanted comes with the next poll, and
// even later finds the old place again; this is only for what died half-way.
const creationPatience = time.Hour

// NewCreation is a calendar to be made.
type NewCreation struct {
	// Intent is written as the employee's calendar when the creation is granted.
	Intent CalendarRecord
	// PerHour is the bucket's capacity and hourly refill, Caps what else is kept to.
	PerHour int
	Caps    Caps
	// NotBefore is the end of Google's pause; zero for none. Until then everybody
	// waits, but keeps the place.
	NotBefore time.Time
	// Activity is recorded together with the intent.
	Activity ActivityRecord
}

// QueuePosition reports whether a calendar may be made now. Its zero value tells that there
// is one: it was adopted meanwhile (EmployeeLease.Record has it).
type QueuePosition struct {
	Granted bool
	// Before is how many are ahead, and At about when the calendar may be made.
	Before int
	At     time.Time
}

// ReserveCreation reserves one calendar creation of the account's bucket and
// writes the intent, or keeps the employee's place in the queue: first asked,
// first served, over all instances. It is one transaction, so a creation counts
// exactly when its intent is there. Who is granted one and does not get the
// calendar made finds the same place when asking again.
func (s *Store) ReserveCreation(ctx context.Context, l *EmployeeLease, c NewCreation) (QueuePosition, error) {
	var position QueuePosition
	err := s.withEmployee(ctx, "reserve a calendar creation for", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		position = QueuePosition{}
		rec, now := &held.Record, tx.Now()
		if rec.Calendar != nil {
			// Written already, and the answer was lost; or adopted meanwhile.
			if rec.Calendar.Epoch == c.Intent.Epoch {
				position = QueuePosition{Granted: true, At: now}
			}
			return nothing, nil
		}
		var q CreationsRecord
		if _, err := tx.Get(creationsRef(c.Intent.Account), &q); err != nil {
			return nothing, err
		}
		if rec.Creation == nil || rec.Creation.Account != c.Intent.Account {
			rec.Creation = &CreationRequest{Account: c.Intent.Account, Asked: now}
		}
		q.PerHour, q.Caps = max(c.PerHour, 1), c.Caps
		switch ahead := rec.Creation.Granted; {
		case !ahead.IsZero() && now.Before(ahead.Add(creationPatience)):
			position = QueuePosition{Granted: true, At: now}
		case !ahead.IsZero():
			q.notMade(CreatingCalendars, now) // it has lapsed
			fallthrough
		default:
			position = q.ask(CreationWait{Employee: rec.ID, Asked: rec.Creation.Asked}, c.NotBefore, now)
		}
		rec.Creation.Granted = time.Time{}
		rec.State, rec.Reason = StatePending, ""
		if position.Granted {
			intent := c.Intent
			rec.Calendar = &intent
			if err := recordActivity(tx, c.Activity); err != nil {
				return nothing, err
			}
		}
		// Both are written even where only one changed: a document that is read and
		// not written has to be locked at the commit, which costs more.
		return set, tx.Set(creationsRef(c.Intent.Account), &q)
	})
	if err != nil {
		return QueuePosition{}, err
	}
	return position, nil
}

// ReserveReplacement asks, for an employee whose calendar is to be replaced because of
// another address, for a creation ahead, which the next ReserveCreation then finds; if there
// is none yet the place in the queue is kept. alone tells that nobody else's address changed
// lately: then no place is asked for, and none is waited for (rule 5.8).
func (s *Store) ReserveReplacement(ctx context.Context, l *EmployeeLease, account string, perHour int, caps Caps, notBefore time.Time) (position QueuePosition, alone bool, err error) {
	err = s.withEmployee(ctx, "reserve a calendar's replacement for", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		position, alone = QueuePosition{}, false
		rec, now := &held.Record, tx.Now()
		var q CreationsRecord
		if _, err := tx.Get(creationsRef(account), &q); err != nil {
			return nothing, err
		}
		if rec.Creation == nil || rec.Creation.Account != account {
			rec.Creation = &CreationRequest{Account: account, Asked: now}
		} else {
			again := *rec.Creation
			rec.Creation = &again
		}
		q.PerHour, q.Caps = max(perHour, 1), caps
		others := q.replace(rec.ID, now)
		waited := rec.Calendar != nil && !rec.Calendar.FormerSince.IsZero()
		switch {
		case !rec.Creation.Granted.IsZero():
			position = QueuePosition{Granted: true, At: now} // the answer was lost
		case !others && !waited:
			alone, rec.Creation = true, nil
		default:
			position = q.ask(CreationWait{Employee: rec.ID, Asked: rec.Creation.Asked}, notBefore, now)
			if position.Granted {
				rec.Creation.Granted = now
			}
		}
		return set, tx.Set(creationsRef(account), &q)
	})
	return position, alone, err
}

// replace notes that an employee's calendar is to be replaced, and reports whether others'
// are too.
func (q *CreationsRecord) replace(employee int64, now time.Time) (others bool) {
	q.Replacing = slices.DeleteFunc(slices.Clone(q.Replacing), func(r Replacement) bool {
		return r.Employee == employee || now.After(r.At.Add(replacingTogether))
	})
	others = len(q.Replacing) > 0
	q.Replacing = append(q.Replacing, Replacement{Employee: employee, At: now})
	return others
}

// DequeueCreation gives up an employee's place in the queue, so that nobody waits
// for one who wants no calendar any more.
func (s *Store) DequeueCreation(ctx context.Context, l *EmployeeLease) error {
	return s.withEmployee(ctx, "remove from the queue for calendars", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		rec := &held.Record
		if rec.Creation == nil {
			return nothing, nil
		}
		ref := creationsRef(rec.Creation.Account)
		var q CreationsRecord
		if _, err := tx.Get(ref, &q); err != nil {
			return nothing, err
		}
		place, ahead := q.place(rec.ID), !rec.Creation.Granted.IsZero()
		if place >= 0 {
			q.Waiting = slices.Delete(q.Waiting, place, place+1)
		}
		if ahead {
			q.notMade(CreatingCalendars, tx.Now())
		}
		if place >= 0 || ahead {
			if err := tx.Set(ref, &q); err != nil {
				return nothing, err
			}
		}
		rec.Creation = nil
		return set, nil
	})
}

// QueuedCreation is one who waits for a calendar to be made.
type QueuedCreation struct {
	Employee int64
	Asked    time.Time
	Before   int
	// At is about when the calendar may be made; not after now: at the next poll.
	At time.Time
}

// CreationQueue lists who waits for a new calendar on an account, in order, and
// about when each may be made, seen from now. notBefore is the end of Google's pause, if any.
func (s *Store) CreationQueue(ctx context.Context, account string, now, notBefore time.Time) ([]QueuedCreation, error) {
	q, _, err := get[CreationsRecord](ctx, s, "read the queue for calendars", creationsRef(account))
	if err != nil {
		return nil, err
	}
	out := make([]QueuedCreation, len(q.Waiting))
	times := q.times(len(q.Waiting), notBefore, now)
	for i, w := range q.Waiting {
		out[i] = QueuedCreation{Employee: w.Employee, Asked: w.Asked, Before: i, At: times[i]}
	}
	return out, nil
}

// ReserveShare counts one share of the account's calendars, each of which Google mails
// about, or tells when one may be made: granted is false then, and the place is kept for as
// long as the calendar is not shared, whatever Google refuses: first asked, first served.
func (s *Store) ReserveShare(ctx context.Context, l *EmployeeLease, account string, caps Caps) (at time.Time, granted bool, err error) {
	err = s.withEmployee(ctx, "reserve a share of the calendar of", l, func(tx Tx, held *EmployeeLease) (effect, error) {
		var q CreationsRecord
		if _, err := tx.Get(creationsRef(account), &q); err != nil {
			return nothing, err
		}
		rec, now := &held.Record, tx.Now()
		var c CalendarRecord
		if rec.Calendar != nil {
			c = *rec.Calendar
		}
		if c.ShareAsked.IsZero() {
			c.ShareAsked = now
		}
		q.Caps = caps
		at, granted = q.askShare(CreationWait{Employee: rec.ID, Asked: c.ShareAsked, Shares: 1 + min(c.ShareTries, 1)}, now)
		if granted {
			c.ShareTries++
		}
		if rec.Calendar != nil {
			rec.Calendar = &c
		}
		return set, tx.Set(creationsRef(account), &q)
	})
	return at, granted && err == nil, err
}

// interval is how long the bucket takes to be refilled by one.
func (q *CreationsRecord) interval() time.Duration {
	return wholeMicros(time.Hour / time.Duration(max(q.PerHour, 1)))
}

// ready is when the bucket holds one for somebody with so many before them, if it
// is full again at full.
func (q *CreationsRecord) ready(before int, full time.Time) time.Time {
	capacity := time.Duration(max(q.PerHour, 1)) * q.interval()
	return full.Add(time.Duration(before+1)*q.interval() - capacity)
}

func (q *CreationsRecord) place(employee int64) int {
	return slices.IndexFunc(q.Waiting, func(w CreationWait) bool { return w.Employee == employee })
}

// present are those who wait without those who stayed away.
func present(waiting []CreationWait, now time.Time) []CreationWait {
	return slices.DeleteFunc(slices.Clone(waiting), func(w CreationWait) bool { return now.After(w.Told.Add(creationPatience)) })
}

// join finds the place of one who asks among those who wait.
func join(waiting []CreationWait, w CreationWait, now time.Time) (others []CreationWait, place int) {
	others = slices.DeleteFunc(present(waiting, now), func(o CreationWait) bool { return o.Employee == w.Employee })
	place, _ = slices.BinarySearchFunc(others, w, func(a, b CreationWait) int {
		return cmp.Or(a.Asked.Compare(b.Asked), cmp.Compare(a.Employee, b.Employee))
	})
	return others, place
}

// ask serves one who asks. They are granted one when the bucket holds one for each of
// those before them too: so nobody is kept from what is there by one who has not
// come yet, and nobody is overtaken either.
func (q *CreationsRecord) ask(w CreationWait, notBefore, now time.Time) QueuePosition {
	var place int
	q.Waiting, place = join(q.Waiting, w, now)
	q.Sharing = present(q.Sharing, now)
	position := QueuePosition{Before: place, At: q.times(place+1, notBefore, now)[place]}
	if position.Granted = !position.At.After(now); position.Granted {
		q.Full = later(now, q.Full).Add(q.interval())
		q.Calendars = withMade(q.Calendars, now)
		return position
	}
	w.Told = position.At
	q.Waiting = slices.Insert(q.Waiting, place, w)
	return position
}

// askShare is ask for a share of a day's.
func (q *CreationsRecord) askShare(w CreationWait, now time.Time) (_ time.Time, granted bool) {
	var place int
	q.Sharing, place = join(q.Sharing, w, now)
	shares, at := q.afterSharing(place, now)
	at = room(shares, q.Caps.SharesPerDay, day, at)
	if granted = !at.After(now); granted {
		q.Shares = withMade(q.Shares, now)
		w.Shares--
	}
	if w.Told = at; w.Shares > 0 {
		q.Sharing = slices.Insert(q.Sharing, place, w)
	}
	return at, granted
}

// afterSharing is what will have been shared within a day, and when, once the first so many
// who wait have been served.
func (q *CreationsRecord) afterSharing(waiting int, now time.Time) (shares []Made, at time.Time) {
	shares, at = q.Shares, now
	for _, w := range q.Sharing[:waiting] {
		for range w.Shares {
			at = room(shares, q.Caps.SharesPerDay, day, at)
			shares = withMade(shares, at)
		}
	}
	return shares, at
}

// times are when the next calendars may be made, one after the other: each as soon as
// the bucket holds one for it and for those before it, and the caps leave room for it and
// for its share, after those that are asked for already.
func (q *CreationsRecord) times(n int, notBefore, now time.Time) []time.Time {
	full, calendars := later(now, q.Full), q.Calendars
	shares, at := q.afterSharing(len(q.Sharing), now)
	at = later(at, notBefore)
	out := make([]time.Time, n)
	for i := range out {
		at = later(at, q.ready(i, full))
		at = room(calendars, q.Caps.CalendarsPerHour, time.Hour, at)
		at = room(calendars, q.Caps.CalendarsPerDay, day, at)
		at = room(shares, q.Caps.SharesPerDay, day, at)
		calendars, shares = withMade(calendars, at), withMade(shares, at)
		out[i] = at
	}
	return out
}
