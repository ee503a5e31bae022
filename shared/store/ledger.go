package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"iter"
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
	// Paces holds what is known of the pace at which calendars may be written to, in
	// three times 8 bytes: the calendar's hash, a number of slots given in a row, or -1
	// for one at which Google refused a write, and the Unix time in microseconds of the
	// last of those slots, or of the refusal.
	Paces []byte `firestore:"paces,omitempty" json:"paces,omitempty"`
}

// SlotRequest asks for slots of an account's budget.
type SlotRequest struct {
	Account string
	// Calls has for each call that is to be made the calendar that it writes to, ""
	// for one that is no write. Those in front are served first.
	Calls []string
	// Leads has for each call how long after now its slot may start at the earliest; nil
	// for at once.
	Leads []time.Duration
	// Spacing is the time from one call of the account to the next (rule 6.1).
	Spacing time.Duration
	// Window is the time in which a calendar is written to twice at most, to begin with
	// and after a refusal; Shortest is what it comes down to while Google refuses none of
	// the calendar's writes (rule 6.4). Zero leaves it as it is.
	Window, Shortest time.Duration
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
	// Window is the time in which the call's calendar is written to twice at most by now;
	// zero for calls that are no write.
	Window time.Duration
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

// SlowCalendar notes that Google refused a write to a calendar for its limits: for a day
// its pace is that of the beginning again (rule 6.4).
func (s *Store) SlowCalendar(ctx context.Context, account, calendar string) error {
	return change(ctx, s, "slow down writes to calendar "+calendar, budgetRef(account), func(b *BudgetRecord, _ bool, now time.Time) effect {
		paces := b.paces(now)
		paces[calendarKey(calendar)] = pace{given: refusedPace, at: now}
		b.setPaces(paces)
		return set
	})
}

func budgetRef(account string) Ref { return Ref{Budgets, account} }

// reserve reserves slots at the time now; given reports whether any was.
func (b *BudgetRecord) reserve(r SlotRequest, now time.Time) (res Reservation, given bool) {
	spacing, window := wholeMicros(r.Spacing), wholeMicros(r.Window)
	b.advance(now, spacing)
	if b.slots() == 0 && len(r.Leads) > 0 {
		b.From = later(b.From, now.Add(r.Leads[0])) // not a whole slot later
	}
	_, before := b.first(now, spacing)
	soonest, count := r.Ahead, 0
	writes, paces := b.writes(now.Add(-window)), b.paces(now)
	for i, calendar := range r.Calls {
		at, key := now, calendarKey(calendar)
		if i < len(r.Leads) {
			at = now.Add(r.Leads[i])
		}
		last, written := writes[key]
		own := paces[key].window(window, wholeMicros(r.Shortest))
		if written {
			at = later(at, mayFollow(last, own, window))
		}
		n, start := b.first(at, spacing)
		slot := Slot{In: start.Sub(now), Again: start.Sub(now)}
		if calendar != "" {
			slot.Window = own
		}
		if slot.In <= r.Ahead {
			slot.Given, count, soonest = true, count+1, min(soonest, slot.In)
			b.mark(n)
			if calendar != "" {
				last[0] = start
				if last[1].Before(start) {
					last[0], last[1] = last[1], start
				}
				writes[key] = last
				paces[key] = paces[key].after(start)
				slot.Window = paces[key].window(window, wholeMicros(r.Shortest))
				slot.Again = max(0, mayFollow(last, slot.Window, window).Sub(now))
			}
		}
		res.Slots = append(res.Slots, slot)
	}
	_, free := b.first(now, spacing)
	if count < r.Least && soonest > r.Ahead/2 {
		for i, slot := range res.Slots {
			res.Slots[i] = Slot{In: slot.In, Again: slot.In, Window: slot.Window}
		}
		count, free = 0, before
	}
	res.At, res.Free = now, free.Sub(now)
	b.Given += int64(count)
	b.setWrites(writes)
	b.setPaces(paces)
	return res, count > 0
}

// mayFollow is when a calendar may be written to after the last two writes to it. Where
// its window is shorter than the first one, writes are spread evenly over it: in pairs
// there would be six in some seconds of five each.
func mayFollow(last [2]time.Time, window, first time.Duration) time.Time {
	next := last[0].Add(window)
	if window < first {
		next = later(next, last[1].Add(window/2))
	}
	return next
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
	out := map[uint64][2]time.Time{}
	for packed := range triples(b.Writes) {
		last := [2]time.Time{time.UnixMicro(int64(packed[1])), time.UnixMicro(int64(packed[2]))}
		if last[1].After(since) {
			out[packed[0]] = last
		}
	}
	return out
}

func (b *BudgetRecord) setWrites(writes map[uint64][2]time.Time) {
	b.Writes = make([]byte, 0, 3*8*len(writes))
	for _, key := range slices.Sorted(maps.Keys(writes)) {
		b.Writes = appendTriple(b.Writes, key, uint64(writes[key][0].UnixMicro()), uint64(writes[key][1].UnixMicro()))
	}
}

// pace is what is known of how fast a calendar may be written to.
type pace struct {
	given int64 // slots in a row, or refusedPace
	at    time.Time
}

const (
	// refusedPace marks a calendar at which Google refused a write.
	refusedPace = -1
	// paceKept is how long after its last slot a calendar keeps its pace: one that is being
	// filled comes back sooner, and the ledger stays small. refusalKept is how long a
	// refusal is remembered.
	paceKept    = 5 * time.Second
	refusalKept = 24 * time.Hour
	// mostRefusals bounds the ledger; the oldest are forgotten.
	mostRefusals = 200
	// step is after how many slots in a row a third of the window goes.
	step = 3
)

// window is the time in which the calendar is written to twice at most.
func (p pace) window(first, shortest time.Duration) time.Duration {
	if p.given == refusedPace || shortest >= first || shortest <= time.Microsecond {
		return first
	}
	for range min(p.given/step, 16) {
		first = first / 3 * 2
	}
	return wholeMicros(max(first, shortest))
}

// after is the pace after another slot.
func (p pace) after(start time.Time) pace {
	if p.given != refusedPace {
		p.given, p.at = p.given+1, later(p.at, start)
	}
	return p
}

// paces unpacks those of Paces that still count.
func (b *BudgetRecord) paces(now time.Time) map[uint64]pace {
	out := map[uint64]pace{}
	for packed := range triples(b.Paces) {
		p := pace{int64(packed[1]), time.UnixMicro(int64(packed[2]))}
		kept := paceKept
		if p.given == refusedPace {
			kept = refusalKept
		}
		if p.at.Add(kept).After(now) {
			out[packed[0]] = p
		}
	}
	return out
}

func (b *BudgetRecord) setPaces(paces map[uint64]pace) {
	keys := slices.SortedFunc(maps.Keys(paces), func(x, y uint64) int {
		return cmp.Or(paces[y].at.Compare(paces[x].at), cmp.Compare(x, y))
	})
	b.Paces = make([]byte, 0, 3*8*len(keys))
	refusals := 0
	for _, key := range keys {
		p := paces[key]
		if p.given == refusedPace {
			if refusals++; refusals > mostRefusals {
				continue
			}
		}
		b.Paces = appendTriple(b.Paces, key, uint64(p.given), uint64(p.at.UnixMicro()))
	}
}

// triples unpacks numbers of 8 bytes, three at a time.
func triples(packed []byte) iter.Seq[[3]uint64] {
	const size = 3 * 8
	return func(yield func([3]uint64) bool) {
		for ; len(packed) >= size; packed = packed[size:] {
			var t [3]uint64
			for i := range t {
				t[i] = binary.BigEndian.Uint64(packed[8*i:])
			}
			if !yield(t) {
				return
			}
		}
	}
}

func appendTriple(to []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		to = binary.BigEndian.AppendUint64(to, n)
	}
	return to
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
