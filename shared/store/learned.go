package store

import (
	"context"
	"time"
)

// Creation is what Google may refuse to make more of.
type Creation string

// What the caps bound.
const (
	CreatingCalendars Creation = "calendars"
	SharingCalendars  Creation = "shares"
)

// LearnedCap is how much was made in a window when Google refused more.
type LearnedCap struct {
	Cap int       `firestore:"cap" json:"cap"`
	At  time.Time `firestore:"at" json:"at"`
}

// unlearned is a learned cap that has grown to be none.
const unlearned = 1_000_000

// In gives the cap in force: what was learned and a tenth of it more for each day since,
// at least one, up to what is configured; 0 is no bound.
func (c LearnedCap) In(configured int, now time.Time) int {
	if c.Cap <= 0 {
		return configured
	}
	most := configured
	if most <= 0 {
		most = unlearned
	}
	grown := c.Cap
	for days := int(now.Sub(c.At) / day); days > 0 && grown < most; days-- {
		grown += max(1, grown/10)
	}
	if grown >= most {
		return configured
	}
	return grown
}

// LearnedCaps are the caps that refusals have taught (rule 6.5).
type LearnedCaps struct {
	CalendarsPerHour LearnedCap `firestore:"calendars_per_hour,omitzero" json:"calendars_per_hour,omitzero"`
	CalendarsPerDay  LearnedCap `firestore:"calendars_per_day,omitzero" json:"calendars_per_day,omitzero"`
	SharesPerDay     LearnedCap `firestore:"shares_per_day,omitzero" json:"shares_per_day,omitzero"`
	// RefusedAt is the first of the latest refusals in a row, Refused of what, and MadeThen
	// how many calendars had been made in the day before it.
	RefusedAt time.Time `firestore:"refused_at,omitempty" json:"refused_at,omitzero"`
	Refused   Creation  `firestore:"refused,omitempty" json:"refused,omitempty"`
	MadeThen  int       `firestore:"made_then,omitempty" json:"made_then,omitempty"`
}

// In gives the caps in force at a time, of those configured. An hour's is given only
// where it is less than the bucket of creations gives anyway.
func (l *LearnedCaps) In(configured Caps, now time.Time) Caps {
	if l == nil {
		l = &LearnedCaps{}
	}
	hour := l.CalendarsPerHour.In(configured.CalendarsPerHour, now)
	if hour >= configured.CalendarsPerHour {
		hour = 0
	}
	return Caps{
		CalendarsPerHour: hour,
		CalendarsPerDay:  l.CalendarsPerDay.In(configured.CalendarsPerDay, now),
		SharesPerDay:     l.SharesPerDay.In(configured.SharesPerDay, now),
	}
}

// learn makes of a refusal what it teaches: how many calendars had been made in the last
// hour and day, or how many shares in the last day. What refuses all that was made within
// the last hour is taken for a limit of the hour, and for one of the day where it lasts.
// again: Google has not taken a creation since the refusal before; calls that were refused
// side by side count one another out. One limit keeps both from being made, and what was
// refused first says which it was; of calls side by side it was that of calendars.
func (l *LearnedCaps) learn(what Creation, again bool, hour, today, shares int, now time.Time) {
	lower := func(c *LearnedCap, made int) {
		if made = max(made, 1); !again || c.Cap == 0 || made < c.Cap {
			*c = LearnedCap{Cap: made, At: now}
		}
	}
	if again && what == CreatingCalendars && l.Refused == SharingCalendars && now.Sub(l.RefusedAt) < madeGrain {
		again, l.SharesPerDay = false, LearnedCap{}
	}
	if !again {
		l.RefusedAt, l.Refused, l.MadeThen = now, what, today
	}
	if what != l.Refused {
		return
	}
	sinceFirst := now.Sub(l.RefusedAt)
	if sinceFirst < madeGrain {
		l.MadeThen = min(l.MadeThen, today)
	}
	switch {
	case what == SharingCalendars:
		lower(&l.SharesPerDay, shares)
	case sinceFirst >= time.Hour:
		if l.MadeThen > 0 {
			l.CalendarsPerDay = LearnedCap{Cap: l.MadeThen, At: now}
		}
	case sinceFirst >= madeGrain:
	case hour < today:
		lower(&l.CalendarsPerDay, today)
	default:
		lower(&l.CalendarsPerHour, hour)
	}
}

// sameLock is how long after the first refusal of all writes that of a creation counts as
// what brought it about: passes run side by side.
const sameLock = 5 * time.Minute

// CreationRefused counts a calendar or share that Google refused out again: it was not made,
// and what is asked for again and again would use up what others are to get. limit: Google
// refused it because too many had been made, and what that teaches is recorded, before the
// pause that follows. Such a refusal long after all writes were refused teaches nothing:
// that began for another reason. Made again it counts another one out.
func (s *Store) CreationRefused(ctx context.Context, sub string, what Creation, limit bool) error {
	return s.transact(ctx, "record a refused creation", func(tx Tx) error {
		var a AccountRecord
		if found, err := tx.Get(accountRef(sub), &a); err != nil || !found {
			return err
		}
		var q CreationsRecord
		if _, err := tx.Get(creationsRef(sub), &q); err != nil {
			return err
		}
		now := tx.Now()
		q.notMade(what, now)
		if err := tx.Set(creationsRef(sub), &q); err != nil {
			return err
		}
		began := a.PausedUntil.Add(-time.Duration(a.PauseSeconds) * time.Second)
		if !limit || a.PauseSeconds > 0 && now.Sub(began) > sameLock {
			return nil
		}
		learned := LearnedCaps{}
		if a.Learned != nil {
			learned = *a.Learned
		}
		again := a.CreationsPauseSeconds > 0 && !learned.RefusedAt.IsZero() || now.Sub(learned.RefusedAt) < madeGrain
		learned.learn(what, again, madeWithin(q.Calendars, time.Hour, now), madeWithin(q.Calendars, day, now), madeWithin(q.Shares, day, now), now)
		a.Learned = &learned
		return tx.Set(accountRef(sub), &a)
	})
}
