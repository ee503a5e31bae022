package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// BudgetRecord is an account's book of call slots (rule 6.1). It is
// written once for each batch of calls, so it stays small, and what would be a
// map or a list is packed: Firestore indexes every key and element of those.
type BudgetRecord struct {
	// From is when slot 0 of Taken starts, Spacing the time from one slot's start to
	// the next one's in microseconds.
	From    time.Time `firestore:"from,omitempty" json:"from,omitzero"`
	Spacing int64     `firestore:"spacing,omitempty" json:"spacing,omitempty"`
	// Taken has a bit for each slot, 1 if it is taken; the lowest bit of a byte first.
	Taken []byte `firestore:"taken,omitempty" json:"taken,omitempty"`
	// Writes holds the last two slots of each calendar written to of late, in three
	// times 8 bytes: the calendar's hash and two Unix times in microseconds, the
	// later one last.
	Writes []byte `firestore:"writes,omitempty" json:"writes,omitempty"`
}

// SlotRequest asks for slots of an account's budget.
type SlotRequest struct {
	Account string
	// Calls has for each call that is to be made the calendar that it writes to, ""
	// for one that is no write. Those in front are served first.
	Calls []string
	// Spacing is the time from one call of the account to the next (rule 6.1);
	// Window the time in which a calendar is written to twice at most (rule 6.4).
	Spacing, Window time.Duration
	// Ahead is how far from now a slot may start.
	Ahead time.Duration
	// Least is for those who can wait: as long as nothing starts before half of Ahead,
	// fewer slots than that are not worth a transaction, and none is given. Without
	// it many instances take what becomes free one by one, and lose their time
	// against each other for the document.
	Least int
}

// Slot is what a call got.
type Slot struct {
	Given bool
	// In is how long after Reservation.At the slot starts; where none was given, that is
	// the first one that the call could have had if it lay less far ahead.
	In time.Duration
	// Again is how long after Reservation.At the call's calendar may be written to
	// next; for calls that are no write, In.
	Again time.Duration
}

// Reservation answers a SlotRequest.
type Reservation struct {
	// At is the moment of the reservation by the database's clock, which need not
	// agree with the caller's.
	At    time.Time
	Slots []Slot // one for each call
	// Free is how long after At the first slot starts that is not taken yet.
	Free time.Duration
}

// ReserveSlots takes slots of an account's budget: for each call the first free
// one at which its calendar may be written to, and none where that would start
// later than r.Ahead from now. Both rules hold over all instances, in one
// transaction on one document. Slots that nobody uses lapse.
func (s *Store) ReserveSlots(ctx context.Context, r SlotRequest) (Reservation, error) {
	var res Reservation
	err := s.b.Transact(ctx, func(tx Tx) error {
		var b BudgetRecord
		if _, err := tx.Get(budgetRef(r.Account), &b); err != nil {
			return err
		}
		var given bool
		if res, given = b.reserve(r, tx.Now()); !given {
			return nil
		}
		return tx.Set(budgetRef(r.Account), &b)
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve the budget: %w", err)
	}
	return res, nil
}

// reserve takes slots of the book at the time now; given reports whether any was.
func (b *BudgetRecord) reserve(r SlotRequest, now time.Time) (res Reservation, given bool) {
	spacing, window := wholeMicros(r.Spacing), wholeMicros(r.Window)
	b.turnTo(now, spacing)
	_, before := b.first(now, spacing)
	soonest, count := r.Ahead, 0
	writes := b.writes(now.Add(-window))
	for _, calendar := range r.Calls {
		at, key := now, calendarKey(calendar)
		last, written := writes[key]
		if written {
			at = later(now, last[0].Add(window))
		}
		n, start := b.first(at, spacing)
		slot := Slot{In: start.Sub(now), Again: start.Sub(now)}
		if slot.In <= r.Ahead {
			slot.Given, count, soonest = true, count+1, min(soonest, slot.In)
			b.take(n)
			if calendar != "" {
				last[0] = start
				if last[1].Before(start) {
					last[0], last[1] = last[1], start
				}
				writes[key] = last
				slot.Again = max(0, last[0].Add(window).Sub(now))
			}
		}
		res.Slots = append(res.Slots, slot)
	}
	_, free := b.first(now, spacing)
	if count < r.Least && soonest > r.Ahead/2 {
		for i, slot := range res.Slots {
			res.Slots[i] = Slot{In: slot.In, Again: slot.In}
		}
		count, free = 0, before
	}
	res.At, res.Free = now, free.Sub(now)
	b.setWrites(writes)
	return res, count > 0
}

// turnTo leaves out the slots before now. Where none is taken from now on, the
// next one can start at once.
func (b *BudgetRecord) turnTo(now time.Time, spacing time.Duration) {
	was := time.Duration(b.Spacing) * time.Microsecond
	end := b.From.Add(time.Duration(b.slots()) * was)
	switch {
	case !end.After(now):
		b.From, b.Taken = now, nil
	case was != spacing:
		// The limit was changed: what was given out by the old one is left alone.
		b.From, b.Taken = end, nil
	case b.From.Before(now):
		past := int((now.Sub(b.From) + spacing - 1) / spacing)
		b.From = b.From.Add(time.Duration(past) * spacing)
		b.Taken = shifted(b.Taken, past)
	}
	b.Spacing = spacing.Microseconds()
}

// slots is the number of slots up to the last one taken.
func (b *BudgetRecord) slots() int {
	for n := 8 * len(b.Taken); n > 0; n-- {
		if b.taken(n - 1) {
			return n
		}
	}
	return 0
}

func (b *BudgetRecord) taken(n int) bool {
	return n/8 < len(b.Taken) && b.Taken[n/8]&(1<<(n%8)) != 0
}

func (b *BudgetRecord) take(n int) {
	for len(b.Taken) <= n/8 {
		b.Taken = append(b.Taken, 0)
	}
	b.Taken[n/8] |= 1 << (n % 8)
}

// first finds the first free slot that starts at or after a time.
func (b *BudgetRecord) first(at time.Time, spacing time.Duration) (n int, start time.Time) {
	if at.After(b.From) {
		n = int((at.Sub(b.From) + spacing - 1) / spacing)
	}
	for b.taken(n) {
		n++
	}
	return n, b.From.Add(time.Duration(n) * spacing)
}

// shifted gives the bits from number n on.
func shifted(bits []byte, n int) []byte {
	if n/8 >= len(bits) {
		return nil
	}
	rest := bits[n/8:]
	out := make([]byte, len(rest))
	for i := range rest {
		both := uint16(rest[i])
		if i+1 < len(rest) {
			both |= uint16(rest[i+1]) << 8
		}
		out[i] = byte(both >> (n % 8))
	}
	return out
}

// writes unpacks those of Writes that reach beyond since.
func (b *BudgetRecord) writes(since time.Time) map[uint64][2]time.Time {
	const size = 3 * 8
	out := map[uint64][2]time.Time{}
	for packed := range slices.Chunk(b.Writes, size) {
		if len(packed) < size {
			break
		}
		number := func(n int) uint64 { return binary.BigEndian.Uint64(packed[8*n:]) }
		last := [2]time.Time{time.UnixMicro(int64(number(1))), time.UnixMicro(int64(number(2)))}
		if last[1].After(since) {
			out[number(0)] = last
		}
	}
	return out
}

func (b *BudgetRecord) setWrites(writes map[uint64][2]time.Time) {
	b.Writes = nil
	for _, key := range slices.Sorted(maps.Keys(writes)) {
		for _, number := range []uint64{key, uint64(writes[key][0].UnixMicro()), uint64(writes[key][1].UnixMicro())} {
			b.Writes = binary.BigEndian.AppendUint64(b.Writes, number)
		}
	}
}

// calendarKey names a calendar shortly. Two with one hash would share their
// pace, which does no harm.
func calendarKey(calendar string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(calendar))
	return h.Sum64()
}

// wholeMicros rounds up to what the database keeps, so that a pace never comes
// out faster than it was asked for.
func wholeMicros(d time.Duration) time.Duration {
	return max((d + time.Microsecond - 1).Truncate(time.Microsecond), time.Microsecond)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// How long Google's `quotaExceeded` pauses what it concerns: doubling with each
// refusal in a row (rule 6.6).
const (
	firstPause   = 15 * time.Minute
	longestPause = 6 * time.Hour
)

// PauseWrites records that Google refused an event for quotaExceeded, and gives
// until when all writes pause. Refusals during a pause, of calls that were on
// their way when it began, do not lengthen it. An account nobody knows does not
// pause: the time is zero.
func (s *Store) PauseWrites(ctx context.Context, sub string) (until time.Time, err error) {
	return s.pause(ctx, sub, func(a *AccountRecord) (*time.Time, *int64) { return &a.PausedUntil, &a.PauseSeconds })
}

// PauseCreations is PauseWrites for a refusal of making or sharing a calendar,
// which pauses only that.
func (s *Store) PauseCreations(ctx context.Context, sub string) (until time.Time, err error) {
	return s.pause(ctx, sub, func(a *AccountRecord) (*time.Time, *int64) {
		return &a.CreationsPausedUntil, &a.CreationsPauseSeconds
	})
}

func (s *Store) pause(ctx context.Context, sub string, which func(*AccountRecord) (*time.Time, *int64)) (end time.Time, err error) {
	err = s.b.Transact(ctx, func(tx Tx) error {
		end = time.Time{}
		var a AccountRecord
		found, err := tx.Get(accountRef(sub), &a)
		if err != nil || !found {
			return err
		}
		until, seconds := which(&a)
		if tx.Now().Before(*until) {
			end = *until
			return nil
		}
		length := min(max(firstPause, 2*time.Duration(*seconds)*time.Second), longestPause)
		*until, *seconds = tx.Now().Add(length), int64(length/time.Second)
		end = *until
		return tx.Set(accountRef(sub), &a)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("record the pause: %w", err)
	}
	return end, nil
}

// WritesWork records that Google took an event's write: the next pause is a
// first one again. During a pause it changes nothing, for then the write was on
// its way before the refusal.
func (s *Store) WritesWork(ctx context.Context, sub string) error {
	return s.works(ctx, sub, func(a *AccountRecord) (*time.Time, *int64) { return &a.PausedUntil, &a.PauseSeconds })
}

// CreationsWork is WritesWork for making and sharing calendars.
func (s *Store) CreationsWork(ctx context.Context, sub string) error {
	return s.works(ctx, sub, func(a *AccountRecord) (*time.Time, *int64) {
		return &a.CreationsPausedUntil, &a.CreationsPauseSeconds
	})
}

func (s *Store) works(ctx context.Context, sub string, which func(*AccountRecord) (*time.Time, *int64)) error {
	err := s.b.Transact(ctx, func(tx Tx) error {
		var a AccountRecord
		found, err := tx.Get(accountRef(sub), &a)
		if err != nil || !found {
			return err
		}
		until, seconds := which(&a)
		if *seconds == 0 || tx.Now().Before(*until) {
			return nil
		}
		*until, *seconds = time.Time{}, 0
		return tx.Set(accountRef(sub), &a)
	})
	if err != nil {
		return fmt.Errorf("record the pause's end: %w", err)
	}
	return nil
}
