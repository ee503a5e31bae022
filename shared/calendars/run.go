package calendars

import (
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The kinds of drift that are found at calendars and their rules; events.Drift has
// those at events.
const (
	DriftCalendarRenamed  = "calendar.renamed"
	DriftCalendarZone     = "calendar.zone"
	DriftCalendarUnmarked = "calendar.unmarked"
	DriftCalendarDeleted  = "calendar.deleted"
	DriftCalendarEmptied  = "calendar.emptied"
	// DriftCalendarExtra is a further calendar of one employee.
	DriftCalendarExtra = "calendar.extra"
	DriftShareMissing  = "share.missing"
	DriftShareWidened  = "share.widened"
	// DriftShareForeign is a rule that is not the product's: reported, left alone.
	DriftShareForeign = "share.foreign"
)

// countEvery is how often at most the progress of one message is written.
const countEvery = 5 * time.Second

// progress counts the employees of one message of a full run, in few writes. A nil
// one counts nothing: most messages belong to no run.
type progress struct {
	k    *Syncer
	part string

	// turn guards the rest; a channel, since it is held while the store is written to,
	// and a synctest bubble's clock stands while a goroutine waits for a mutex.
	turn    chan struct{}
	results []store.RunResult
	written time.Time
	over    bool
}

// follow gives the progress of the order's part of a run and those of ids who have
// not been counted yet: a message that comes again does not begin anew, and one
// whose run was superseded has nobody left.
func (k *Syncer) follow(ctx context.Context, o Order, ids []calendarsync.EmployeeID) (*progress, []calendarsync.EmployeeID, error) {
	if o.Run == "" {
		return nil, ids, nil
	}
	done, over, err := k.Store.RunPart(ctx, o.Run)
	if err != nil {
		return nil, nil, err
	}
	if over {
		k.Log.InfoContext(ctx, "full run is over", "part", o.Run, "employees", len(ids))
		return nil, nil, nil
	}
	left := slices.DeleteFunc(ids, func(id calendarsync.EmployeeID) bool {
		_, known := slices.BinarySearch(done, int64(id))
		return known
	})
	return &progress{k: k, part: o.Run, written: k.Deps.Now(), turn: make(chan struct{}, 1)}, left, nil
}

// take waits for the turn.
func (p *progress) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return failure.Wrap(failure.Transient, "count the progress of a run", ctx.Err())
	}
}

// done notes what came of one employee.
func (p *progress) done(ctx context.Context, r store.RunResult) error {
	if p == nil {
		return nil
	}
	if err := p.take(ctx); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	p.results = append(p.results, r)
	if p.k.Deps.Now().Before(p.written.Add(countEvery)) {
		return nil
	}
	return p.write(ctx)
}

// gaveUp notes that nothing could be done for any of them: their keys are dirty.
func (p *progress) gaveUp(ctx context.Context, ids []calendarsync.EmployeeID) error {
	if p == nil {
		return nil
	}
	for _, id := range ids {
		if err := p.done(ctx, store.RunResult{Employee: int64(id), Failed: true}); err != nil {
			return err
		}
	}
	return p.flush(ctx)
}

// flush writes what was noted since the last time.
func (p *progress) flush(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.take(ctx); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	return p.write(ctx)
}

func (p *progress) write(ctx context.Context) error {
	if len(p.results) == 0 {
		return nil
	}
	over, err := p.k.Store.AdvanceRun(ctx, p.part, p.results...)
	if err != nil {
		return err
	}
	p.over = over
	p.results, p.written = nil, p.k.Deps.Now()
	return nil
}

// isOver reports whether the run was superseded meanwhile, as far as is known.
func (p *progress) isOver() bool {
	if p == nil {
		return false
	}
	p.turn <- struct{}{} // its holder's call to the store has a deadline
	defer func() { <-p.turn }()
	return p.over
}

// notice counts one thing found otherwise than it had been left.
func (l *employeePass) notice(kind string) {
	if l.drift == nil {
		l.drift = map[string]int64{}
	}
	l.drift[kind]++
}

// found says how many things of a kind there are: what is only reported is met
// again by every look.
func (l *employeePass) found(kind string, n int64) {
	if n == 0 {
		delete(l.drift, kind)
		return
	}
	if l.drift == nil {
		l.drift = map[string]int64{}
	}
	l.drift[kind] = n
}

// result is what the looks under this lease came to.
func (l *employeePass) result() store.RunResult {
	r := store.RunResult{Employee: int64(l.id), Failed: l.failed != nil, Repaired: int64(l.repaired), Drift: l.drift, Fields: l.fields}
	if l.unfinished {
		r.Unfinished = l.lease.Token
	}
	return r
}
