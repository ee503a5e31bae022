package calendars

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	// recordTimeout bounds the recording of a full run that could not begin.
	recordTimeout = 10 * time.Second
	// countEvery is how often at most the progress of one message is written.
	countEvery = 5 * time.Second
)

// StartFullRun publishes messages of up to 50 employees, everybody the ERP or the state
// knows (rule 8.3). A full run that cannot begin because of the ERP or Google is
// recorded for Poll to start again, so that no delivery attempts are burnt (rule 7.2).
// The same id again is the same full run.
func (s *Syncer) StartFullRun(ctx context.Context, cause queue.Cause, id string) error {
	err := s.startFullRun(ctx, cause, id)
	if _, theirs := errors.AsType[*failure.Error](err); !theirs {
		return err
	}
	// The ERP may have used up the time of the message.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if in, readErr := s.Store.Installation(record); readErr != nil || in.Purge.Open() {
		// Poll, which a purge finds paused, would not start it again.
		return errors.Join(err, readErr)
	}
	due, recordErr := s.Store.PutOffRun(record, string(cause), string(failure.KindOf(err)))
	if recordErr != nil {
		return errors.Join(err, recordErr)
	}
	s.Log.WarnContext(ctx, "full run put off", "cause", cause, "kind", failure.KindOf(err), "error", err.Error(), "again", due)
	return nil
}

func (s *Syncer) startFullRun(ctx context.Context, cause queue.Cause, id string) error {
	ids, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	var messages []queue.Message
	if len(ids) > 0 {
		messages = queue.Split(queue.Message{IDs: ids, Cause: cause, Lane: queue.LaneBulk})
	}
	if err := s.Store.RunBegan(ctx); err != nil {
		return err
	}
	sizes := make([]int, len(messages))
	for i, m := range messages {
		sizes[i] = len(m.IDs)
	}
	parts, err := s.Store.StartRun(ctx, id, string(cause), sizes)
	if err != nil || len(messages) == 0 {
		return err
	}
	for i := range messages {
		messages[i].Run = parts[i]
	}
	s.Log.InfoContext(ctx, "full run started", "cause", cause, "run", id, "employees", len(ids), "messages", len(messages))
	return s.Queue.Publish(ctx, s.Topic, messages...)
}

// everybody lists whom a full run takes in, ascending: whom the state knows, whom the
// ERP has, and whose calendars are found at Google. A purge concerns what there is,
// whatever the ERP says.
func (s *Syncer) everybody(ctx context.Context) ([]int64, error) {
	stop, err := s.stopped(ctx)
	if err == nil && stop.BadSettings {
		err = stop.Err
	}
	if err != nil {
		return nil, err
	}
	in, err := s.Store.Installation(ctx)
	if err != nil {
		return nil, err
	}
	purge := in.Purge.Open()
	if stop.Err == nil || purge || in.TakingOver != "" {
		// A purge too has to know whose calendars are to go, after a lost database; and what an
		// admin decided to take over is recorded even while nothing may be written.
		if in.Tenant, err = s.learnTenant(ctx, true); err != nil && !pass.NeedsPerson(err) {
			return nil, err
		}
		stop.Err = cmp.Or(stop.Err, err)
	} else {
		s.reportFound(ctx, in)
	}
	if purge {
		if err := s.adoptForPurge(ctx, in.Tenant); err != nil && !pass.NeedsPerson(err) {
			return nil, err
		}
	}
	known, err := s.Store.Employees(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(known))
	for _, e := range known {
		ids = append(ids, e.ID)
	}
	if !purge {
		found, err := s.unknown(ctx, known, stop.Err == nil)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// reportFound has an admin know what is found in the account of a new database, also
// while the settings let nothing be written yet.
func (s *Syncer) reportFound(ctx context.Context, in store.InstallationRecord) {
	if in.Tenant != "" || in.TakingOver != "" {
		return
	}
	if _, _, err := s.askAboutFound(ctx, in); err != nil && !pass.NeedsPerson(err) {
		s.Log.WarnContext(ctx, "the account's calendars could not be looked through", "error", err)
	}
}

// unknown lists whom the ERP has and, where calendars may be taken in, those of whom only
// one is found.
func (s *Syncer) unknown(ctx context.Context, known []store.EmployeeRecord, takeIn bool) ([]int64, error) {
	whom := make([]calendarsync.EmployeeID, len(known))
	for i, e := range known {
		whom[i] = calendarsync.EmployeeID(e.ID)
	}
	readings, err := s.ERP.AllEmployees(ctx, whom)
	// With nobody to be missed the ERP is new, and Poll finds who comes.
	if isNew := errors.Is(err, userside.ErrNobody) && len(known) == 0; err != nil && !isNew {
		return nil, err
	}
	ids := calendarsync.IDs[int64](slices.Collect(maps.Keys(readings)))
	if !takeIn {
		return ids, nil
	}
	whose, err := s.findExtras(ctx, known)
	if err != nil {
		// The full run is worth more than what few of them need; the next one tries again.
		s.Log.WarnContext(ctx, "the account's calendars could not be listed", "error", err)
	}
	return append(ids, whose...), nil
}

// progress counts the employees of one message of a full run, in few writes. A nil one
// counts nothing: most messages belong to no full run.
type progress struct {
	*Syncer
	part string
	// over: the full run was superseded meanwhile, as far as is known.
	over atomic.Bool

	// writing guards the rest; held while the store is written to, so that who waits for
	// it keeps to a deadline.
	writing *semaphore.Weighted
	results []store.RunResult
	written time.Time
}

// joinRun gives the progress of the order's part of a full run and those of ids who
// have not been counted yet: a message that comes again does not begin anew, and one
// whose full run was superseded has nobody left to do.
func (s *Syncer) joinRun(ctx context.Context, o Order, ids []calendarsync.EmployeeID) (*progress, []calendarsync.EmployeeID, error) {
	if o.Run == "" {
		return nil, ids, nil
	}
	done, over, err := s.Store.RunPart(ctx, o.Run)
	if err != nil {
		return nil, nil, err
	}
	if over {
		s.Log.InfoContext(ctx, "full run is over", "part", o.Run, "employees", len(ids))
		return nil, nil, nil
	}
	ids = slices.DeleteFunc(ids, func(id calendarsync.EmployeeID) bool {
		_, counted := slices.BinarySearch(done, int64(id))
		return counted
	})
	return &progress{Syncer: s, part: o.Run, written: s.Now(), writing: semaphore.NewWeighted(1)}, ids, nil
}

// count notes what came of employees, and writes it from time to time; flush: at once.
func (p *progress) count(ctx context.Context, flush bool, results ...store.RunResult) error {
	if p == nil {
		return nil
	}
	if err := p.writing.Acquire(ctx, 1); err != nil {
		return failure.Wrap(failure.Transient, "count the progress of a full run", err)
	}
	defer p.writing.Release(1)
	p.results = append(p.results, results...)
	if len(p.results) == 0 || !flush && p.Now().Before(p.written.Add(countEvery)) {
		return nil
	}
	over, err := p.Store.AdvanceRun(ctx, p.part, p.results...)
	if err != nil {
		return err
	}
	p.over.Store(over)
	p.results, p.written = nil, p.Now()
	return nil
}

// runResult is what the passes under this lease came to.
func (p *employeePass) runResult() store.RunResult {
	r := store.RunResult{Employee: int64(p.id), Failed: p.Err != nil || p.stalled, Repaired: int64(p.repaired), Drift: p.drift, Fields: p.fields}
	if p.unfinished {
		r.Unfinished = p.lease.Token
	}
	return r
}
