package store

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"
	"time"
)

// BudgetRecord is an account's ledger of call slots (rule 6.1). It is
// written once for each batch of calls, so it stays small, and what would be a
// map or a list is packed: Firestore indexes every key and element of those.
type BudgetRecord struct {
	// From is when slot 0 of Reserved starts, Spacing the time from one slot's start to
	// the next one's in microseconds.
	From    time.Time `firestore:"from,omitempty" json:"from,omitzero"`
	Spacing int64     `firestore:"spacing,omitempty" json:"spacing,omitempty"`
	// Reserved has a bit for each slot, 1 if it is; the lowest bit of a byte first.
	Reserved []byte `firestore:"taken,omitempty" json:"taken,omitempty"`
	// Writes holds the last two slots of each calendar written to of late, in three
	// times 8 bytes: the calendar's hash and two Unix times in microseconds, the
	// later one last.
	Writes []byte `firestore:"writes,omitempty" json:"writes,omitempty"`
	// Given counts the slots that were ever given.
	Given int64 `firestore:"given,omitempty" json:"given,omitempty"`
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
	// it many instances reserve what becomes free one by one, and lose their time
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
	// Free is how long after At the first slot starts that is not reserved yet.
	Free time.Duration
}

// ReserveSlots reserves slots of an account's budget: for each call the first free
// one at which its calendar may be written to, and none where that would start
// later than r.Ahead from now. Both rules hold over all instances, in one
// transaction on one document. Slots that nobody uses lapse: made again after an error
// it reserves others.
func (s *Store) ReserveSlots(ctx context.Context, r SlotRequest) (Reservation, error) {
	var res Reservation
	err := change(ctx, s, "reserve slots of the budget", budgetRef(r.Account), func(b *BudgetRecord, _ bool, now time.Time) effect {
		var given bool
		if res, given = b.reserve(r, now); given {
			return set
		}
		return nothing
	})
	if err != nil {
		return Reservation{}, err
	}
	return res, nil
}

func budgetRef(account string) Ref { return Ref{Budgets, account} }

// reserve reserves slots at the time now; given reports whether any was.
func (b *BudgetRecord) reserve(r SlotRequest, now time.Time) (res Reservation, given bool) {
	spacing, window := wholeMicros(r.Spacing), wholeMicros(r.Window)
	b.advance(now, spacing)
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
			b.mark(n)
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
	b.Given += int64(count)
	b.setWrites(writes)
	return res, count > 0
}

// advance drops the slots before now. Where none is reserved from now on, the
// next one can start at once.
func (b *BudgetRecord) advance(now time.Time, spacing time.Duration) {
	was := time.Duration(b.Spacing) * time.Microsecond
	end := b.From.Add(time.Duration(b.slots()) * was)
	switch {
	case !end.After(now):
		b.From, b.Reserved = now, nil
	case was != spacing:
		// The limit was changed: what was given by the old one stays.
		b.From, b.Reserved = end, nil
	case b.From.Before(now):
		past := int((now.Sub(b.From) + spacing - 1) / spacing)
		b.From = b.From.Add(time.Duration(past) * spacing)
		b.Reserved = shifted(b.Reserved, past)
	}
	b.Spacing = spacing.Microseconds()
}

// slots is the number of slots up to the last one reserved.
func (b *BudgetRecord) slots() int {
	for n := 8 * len(b.Reserved); n > 0; n-- {
		if b.reserved(n - 1) {
			return n
		}
	}
	return 0
}

func (b *BudgetRecord) reserved(n int) bool {
	return n/8 < len(b.Reserved) && b.Reserved[n/8]&(1<<(n%8)) != 0
}

func (b *BudgetRecord) mark(n int) {
	for len(b.Reserved) <= n/8 {
		b.Reserved = append(b.Reserved, 0)
	}
	b.Reserved[n/8] |= 1 << (n % 8)
}

// first finds the first free slot that starts at or after a time.
func (b *BudgetRecord) first(at time.Time, spacing time.Duration) (n int, start time.Time) {
	if at.After(b.From) {
		n = int((at.Sub(b.From) + spacing - 1) / spacing)
	}
	for b.reserved(n) {
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
