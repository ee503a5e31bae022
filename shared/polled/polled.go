// Package polled tells workers what the last poll has listed: its next list is compared
// with that one, so that what a worker found there need not be recorded for it
// (rule 8.2). It must never say that something was listed where that is not certain: what
// is recorded needlessly costs a read, what is not may be missed.
package polled

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// rememberedFor is how long it is not asked again what Poll listed. Another poll may
	// come meanwhile: the one after it looks once more at what that one found otherwise.
	rememberedFor = time.Minute
	// believedFor is how old a list of tasks may be. Beyond, a task may have left it so
	// long ago that no list of changes names it any more.
	believedFor = 10 * time.Minute
)

// Store gives what Poll remembers.
type Store interface {
	TaskPoll(ctx context.Context) (rec store.TaskPollRecord, found bool, err error)
	EmployeePoll(ctx context.Context) (rec store.EmployeePollRecord, found bool, err error)
}

// Lists are Poll's lists as this process last read them. Safe for concurrent use; nil
// lists nothing.
type Lists struct {
	store Store
	now   func() time.Time
	log   *slog.Logger
	tasks atomic.Pointer[read[tasks]]
	cards atomic.Pointer[read[map[string]string]]
}

// tasks are the ids of those that Poll listed, ascending, and the database's time before
// it did.
type tasks struct {
	ids    []int64
	before time.Time
}

// read is what was read at a time of this instance's clock.
type read[T any] struct {
	at    time.Time
	lists T
}

// New makes Lists.
func New(s Store, now func() time.Time, log *slog.Logger) *Lists {
	return &Lists{store: s, now: now, log: log}
}

// Task reports whether the last poll before a time of the database listed a task among
// those in shown states, so that it will miss it if it vanishes.
func (l *Lists) Task(ctx context.Context, id calendarsync.TaskID, at time.Time) bool {
	if l == nil {
		return false
	}
	have := current(ctx, l, &l.tasks, func() (t tasks, err error) {
		rec, _, err := l.store.TaskPoll(ctx)
		// During a mass change it is not remembered which of its tasks were listed.
		if err != nil || len(rec.Flood) > 0 {
			return t, err
		}
		t.before = rec.Before
		t.ids, err = store.UnpackIDs(rec.Shown)
		return t, err
	})
	_, listed := slices.BinarySearch(have.ids, int64(id))
	return listed && !have.before.IsZero() && at.Before(have.before.Add(believedFor))
}

// Card reports whether the last poll listed an employee's card with a digest.
func (l *Lists) Card(ctx context.Context, id calendarsync.EmployeeID, digest string) bool {
	if l == nil || digest == calendarsync.NoCard {
		return false
	}
	have := current(ctx, l, &l.cards, func() (map[string]string, error) {
		rec, _, err := l.store.EmployeePoll(ctx)
		return rec.Hashes, err
	})
	return have[strconv.FormatInt(int64(id), 10)] == digest
}

// current gives lists that were read of late; where they cannot be read, none.
func current[T any](ctx context.Context, l *Lists, known *atomic.Pointer[read[T]], fresh func() (T, error)) T {
	now := l.now()
	if k := known.Load(); k != nil && !now.Before(k.at) && now.Before(k.at.Add(rememberedFor)) {
		return k.lists
	}
	lists, err := fresh()
	if err != nil {
		l.log.WarnContext(ctx, "what the last poll listed cannot be read", "error", err)
		var none T
		return none
	}
	known.Store(&read[T]{now, lists})
	return lists
}
