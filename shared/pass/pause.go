package pass

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// unrecorded is how long Google's pause lasts where it could not be recorded.
const unrecorded = 15 * time.Minute

// Account gives the account whose calendars are written; an error of kind revoked
// or misconfigured where it cannot be used. What it gives may be some seconds old.
type Account interface {
	Account(ctx context.Context) (store.AccountRecord, error)
}

// WritesStore keeps Google's pause of all writes on the account's record.
type WritesStore interface {
	// PauseWrites begins or continues the pause and gives its end.
	PauseWrites(ctx context.Context, sub, reason string) (until time.Time, err error)
	// WritesWork ends it: the next one begins short again.
	WritesWork(ctx context.Context, sub string) error
}

// CreationsStore keeps Google's pause of creating and sharing calendars.
type CreationsStore interface {
	// PauseCreations begins or continues the pause and gives its end.
	PauseCreations(ctx context.Context, sub, reason string) (until time.Time, err error)
	// CreationsWork ends it: the next one begins short again.
	CreationsWork(ctx context.Context, sub string) error
}

// Pause is for how long Google wants no more of something, after quotaExceeded
// (rule 6.6). The account's record knows it for every instance, and how long the
// next one is to be; this process remembers it besides, since what it reads of the
// account may be some seconds old. It is safe for concurrent use.
type Pause struct {
	what     string
	account  Account
	begin    func(ctx context.Context, sub, reason string) (time.Time, error)
	end      func(ctx context.Context, sub string) error
	recorded func(store.AccountRecord) (until time.Time, counting bool)
	now      func() time.Time
	log      *slog.Logger

	mu    sync.Mutex // guards until
	until time.Time  // as this process heard of it
	// unproven: the account's record counts pauses that no success has ended yet.
	unproven atomic.Bool
}

// NewWritesPause makes the pause of all writes.
func NewWritesPause(s WritesStore, account Account, now func() time.Time, log *slog.Logger) *Pause {
	return &Pause{
		what: "all writes", account: account, begin: s.PauseWrites, end: s.WritesWork, now: now, log: log,
		recorded: func(a store.AccountRecord) (time.Time, bool) { return a.PausedUntil, a.PauseSeconds > 0 },
	}
}

// NewCreationsPause makes the pause of creating and sharing calendars; one of all
// writes pauses those too.
func NewCreationsPause(s CreationsStore, account Account, now func() time.Time, log *slog.Logger) *Pause {
	return &Pause{
		what: "creating and sharing", account: account, begin: s.PauseCreations, end: s.CreationsWork, now: now, log: log,
		recorded: func(a store.AccountRecord) (time.Time, bool) {
			return a.CreationsResume(), a.CreationsPauseSeconds > 0
		},
	}
}

// Refused records that Google refused for a limit, and gives until when it pauses.
func (p *Pause) Refused(ctx context.Context, refusal error) (until time.Time) {
	reason := failure.ReasonOf(refusal)
	a, err := p.account.Account(ctx)
	if err == nil {
		until, err = p.begin(ctx, a.Sub, reason)
	}
	if err != nil {
		p.log.WarnContext(ctx, "could not record Google's pause", "of", p.what, "error", err)
		until = p.now().Add(unrecorded)
	}
	p.log.WarnContext(ctx, "Google pauses writing", "of", p.what, "reason", reason, "until", until)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = until
	return until
}

// Accepted records, once after each pause, that Google accepted again.
func (p *Pause) Accepted(ctx context.Context) {
	if !p.unproven.Swap(false) {
		return
	}
	a, err := p.account.Account(ctx)
	if err == nil {
		err = p.end(ctx, a.Sub)
	}
	if err != nil {
		p.log.WarnContext(ctx, "could not record the end of Google's pause", "of", p.what, "error", err)
		p.unproven.Store(true)
	}
}

// Until is when the pause ends, as the account's record or this process knows;
// zero while there is none.
func (p *Pause) Until(a store.AccountRecord) time.Time {
	until, counting := p.recorded(a)
	if counting {
		p.unproven.Store(true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until = Later(until, p.until); p.now().Before(until) {
		return until
	}
	return time.Time{}
}

// Heard is Until as far as this process heard of a pause, without the account.
func (p *Pause) Heard() time.Time { return p.Until(store.AccountRecord{}) }

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
