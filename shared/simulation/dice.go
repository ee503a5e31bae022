package simulation

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// dice makes all random choices of a history. A draw depends on the seed and on the
// names of what it is for, never on how many came before: goroutines draw in no fixed
// order, and the rest of a shortened history draws as before.
type dice uint64

// draw gives 64 bits for a purpose.
func (d dice) draw(names ...string) uint64 {
	h := uint64(14695981039346656037) ^ uint64(d)
	for _, name := range names {
		for i := range len(name) {
			h = (h ^ uint64(name[i])) * 1099511628211 // FNV-1a
		}
		h = (h ^ 0xff) * 1099511628211
	}
	// FNV gives similar names similar hashes; SplitMix64's finalizer spreads them.
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9
	h = (h ^ (h >> 27)) * 0x94d049bb133111eb
	return h ^ (h >> 31)
}

// pick gives a number from 0 to n-1.
func (d dice) pick(n int, names ...string) int { return int(d.draw(names...) % uint64(max(n, 1))) }

// chance reports whether something of so many per thousand happens.
func (d dice) chance(perThousand int, names ...string) bool {
	return d.pick(1000, names...) < perThousand
}

// between gives a time from low to high, to the nanosecond, so that two things hardly
// ever happen at the same instant.
func (d dice) between(low, high time.Duration, names ...string) time.Duration {
	return low + time.Duration(d.draw(names...)%uint64(high-low+1))
}

// actor is one thread of the history: a push, a poll, a notification. It counts what it
// does, so that each of its draws has a name of its own.
type actor struct {
	name string

	mu   sync.Mutex
	seen map[string]int
}

type actorKey struct{}

func withActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, &actor{name: name, seen: map[string]int{}})
}

// drawName names what the context's actor does next, for its draws.
func drawName(ctx context.Context, what string) string {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return what
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[what]++
	return a.name + "/" + what + "/" + strconv.Itoa(a.seen[what])
}

// pause waits d of the bubble's time and reports whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
