package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// step is one write to one event.
type step struct {
	party    *party
	action   calendarsync.Action
	decision calendarsync.Decision
	intent   store.Mapping
	activity store.ActivityRecord
	// counted: a deletion that nobody may have meant, for the delete guard.
	counted bool
	absent  time.Time
	// taken: an insert was refused because something is under its id.
	taken bool
}

// maxGenerations bounds how often one look moves to a new event id.
const maxGenerations = 3

// act announces the writes in one transaction and makes them one by one.
func (l *taskPass) act(ctx context.Context, todo []step) {
	for i := range todo {
		l.prepare(&todo[i])
	}
	refused, err := l.announce(ctx, todo)
	if err != nil {
		l.fail(err)
		return
	}
	for i := range todo {
		s := &todo[i]
		if slices.Contains(refused, s.party.id) {
			// The calendar went away since it was read; its own look settles it.
			continue
		}
		l.finish(ctx, s, l.write(ctx, s))
	}
}

func (l *taskPass) prepare(s *step) {
	p := s.party
	m := p.mapping
	if !p.mapped {
		m = store.Mapping{
			Epoch:   p.record.Calendar.Epoch,
			EventID: calendarsync.EventID(l.tenant, l.id, calendarsync.EmployeeID(p.id), 0),
		}
	}
	m.State = store.MappingIntended
	if s.action == calendarsync.Delete {
		m.State = store.MappingDeleting
	}
	// The database's clock is not read again: the lease's end bounds every call.
	m.Deadline = l.term.IntentDeadline()
	s.intent = m
	now := l.w.Deps.Now().UTC()
	s.activity = store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d-%d", l.lease.Token, p.id, l.lease.Look), At: now, Action: s.action.String(),
		Task: int64(l.id), Employee: p.id, Calendar: p.record.Calendar.ID, Event: m.EventID, Cause: string(l.order.Cause),
		Before: p.actual.Sent, ExpiresAt: now.Add(store.ActivityKept),
	}
	if s.action != calendarsync.Delete {
		s.activity.After = s.decision.Event.Hash()
	}
}

func (l *taskPass) announce(ctx context.Context, todo []step) ([]int64, error) {
	intents := make([]store.Intent, len(todo))
	for i, s := range todo {
		intents[i] = store.Intent{Employee: s.party.id, Mapping: s.intent, Activity: s.activity}
	}
	return l.w.Deps.Store.IntendTask(ctx, &l.lease, intents)
}

// written is what a write came to.
type written struct {
	event googlecalendar.Event // as Google has it now, when not gone
	gone  bool                 // deleted
	err   error
}

func (l *taskPass) write(ctx context.Context, s *step) written {
	if l.tenant == "" {
		return written{err: failure.New(failure.Misconfigured, "write an event", "the installation has no tenant yet")}
	}
	if until := l.w.pause.Heard(); !until.IsZero() {
		return written{err: failure.New(failure.Transient, "write an event", "Google refuses writes until "+until.Format(time.RFC3339))}
	}
	switch s.action {
	case calendarsync.Insert:
		return l.insert(ctx, s, 1)
	case calendarsync.Update:
		return l.update(ctx, s, s.party.sequence, s.party.etag, 1)
	case calendarsync.Revive:
		return l.examine(ctx, s, 1, false)
	case calendarsync.Delete:
		return l.delete(ctx, s)
	}
	return written{}
}

func (l *taskPass) draft(s *step, sequence int64, etag string) googlecalendar.Draft {
	return googlecalendar.Draft{
		ID:      s.intent.EventID,
		Content: s.decision.Event,
		Mark: calendarsync.Mark{
			Tenant: l.tenant, Task: l.id, Employee: calendarsync.EmployeeID(s.party.id),
			Generation: s.intent.Generation, Hash: s.decision.Event.Hash(),
		},
		Sequence: sequence, ETag: etag,
	}
}

func (l *taskPass) insert(ctx context.Context, s *step, try int) written {
	l.writes++
	ev, err := l.w.Google.InsertEvent(ctx, s.party.record.Calendar.ID, l.draft(s, 0, ""))
	if failure.Is(err, failure.Conflict) {
		s.taken = true
		return l.examine(ctx, s, try, true)
	}
	return written{event: ev, err: err}
}

// examine reads the event under the intent's id and goes on from what is there:
// nothing, a cancelled event, ours, or somebody's. taken tells that an insert was
// refused because the id is taken.
func (l *taskPass) examine(ctx context.Context, s *step, try int, taken bool) written {
	ev, err := l.w.Google.Event(ctx, s.party.record.Calendar.ID, s.intent.EventID)
	switch {
	case failure.Is(err, failure.Gone) && taken:
		// Taken and not to be found: deleted for good, its id with it.
		return l.nextGeneration(ctx, s, try, err)
	case failure.Is(err, failure.Gone) && try == 1:
		return l.insert(ctx, s, try+1)
	case err != nil:
		return written{err: err}
	case ev.Cancelled:
		l.writes++
		back, err := l.w.Google.UpdateEvent(ctx, s.party.record.Calendar.ID, l.draft(s, ev.Sequence, ev.ETag))
		switch failure.KindOf(err) {
		case failure.Forbidden, failure.Gone:
			// Deleted in the web UI, an event may refuse to live again (shared/googlecalendar/README.md).
			return l.nextGeneration(ctx, s, try, err)
		}
		return written{event: back, err: err}
	case !ev.Ours(l.tenant, l.id, calendarsync.EmployeeID(s.party.id)):
		// Events without our mark are never touched, whatever their id.
		return l.nextGeneration(ctx, s, try, failure.New(failure.Forbidden, "write "+ev.String(), "its mark is not ours"))
	case ev.Mark.Hash == s.decision.Event.Hash() && !(calendarsync.Actual{Observed: &ev.Fields}).Drifted(s.decision.Event):
		// An earlier try did arrive, though its answer did not.
		return written{event: ev}
	default:
		return l.update(ctx, s, ev.Sequence, ev.ETag, try+1)
	}
}

// nextGeneration announces the next id before it is used (rule 3.3).
func (l *taskPass) nextGeneration(ctx context.Context, s *step, try int, why error) written {
	if try > maxGenerations {
		return written{err: why}
	}
	before := s.intent
	// What was tried under the id before keeps a record of its own: if its answer was
	// lost, that id too was written to.
	l.activity = append(l.activity, pass.Outcome(s.activity, why))
	s.taken = false
	s.intent.Generation++
	s.activity.ID = fmt.Sprintf("%s-%d-%d-g%d", l.lease.Token, s.party.id, l.lease.Look, s.intent.Generation)
	s.intent.EventID = calendarsync.EventID(l.tenant, l.id, calendarsync.EmployeeID(s.party.id), s.intent.Generation)
	s.activity.Event = s.intent.EventID
	refused, err := l.announce(ctx, []step{*s})
	if err != nil {
		return written{err: err}
	}
	if len(refused) > 0 {
		s.intent = before
		return written{err: failure.New(failure.Gone, "write an event", "the calendar went away")}
	}
	return l.insert(ctx, s, try+1)
}

func (l *taskPass) update(ctx context.Context, s *step, sequence int64, etag string, try int) written {
	l.writes++
	ev, err := l.w.Google.UpdateEvent(ctx, s.party.record.Calendar.ID, l.draft(s, sequence, etag))
	switch failure.KindOf(err) {
	case failure.Conflict, failure.Invalid, failure.Gone:
		// Changed since (412), a stale sequence (400), or no longer there: what is
		// there decides (rule 2.2). A second refusal is final.
		if try == 1 {
			return l.examine(ctx, s, try, false)
		}
	}
	return written{event: ev, err: err}
}

func (l *taskPass) delete(ctx context.Context, s *step) written {
	calendar := s.party.record.Calendar.ID
	l.writes++
	err := l.w.Google.DeleteEvent(ctx, calendar, s.intent.EventID, s.party.etag)
	if failure.Is(err, failure.Conflict) {
		ev, readErr := l.w.Google.Event(ctx, calendar, s.intent.EventID)
		switch {
		case failure.Is(readErr, failure.Gone), readErr == nil && ev.Cancelled:
			return written{gone: true}
		case readErr != nil:
			return written{err: readErr}
		case !ev.Ours(l.tenant, l.id, calendarsync.EmployeeID(s.party.id)):
			// Somebody took the mark away: the event is theirs now and stays.
			l.w.Log.WarnContext(ctx, "event left alone, its mark is not ours", "task", l.id, "employee", s.party.id, "event", ev.ID)
			return written{gone: true}
		}
		l.writes++
		err = l.w.Google.DeleteEvent(ctx, calendar, s.intent.EventID, ev.ETag)
	}
	if failure.Is(err, failure.Gone) {
		err = nil
	}
	return written{gone: err == nil, err: err}
}

// finish turns the outcome of a write into the mapping to record.
func (l *taskPass) finish(ctx context.Context, s *step, w written) {
	m := s.intent
	m.Owner, m.Deadline, m.AbsentSince, m.AbsentFor, m.StateID = "", time.Time{}, time.Time{}, "", l.state
	m.Release()
	s.activity = pass.Outcome(s.activity, w.err)
	switch {
	case w.err != nil:
		l.fail(w.err)
		l.afterFailure(ctx, s, w.err)
	case w.gone:
		m.State, m.ETag, m.Returned, m.Sent, m.Via = store.MappingTombstone, "", "", "", ""
		m.GoneAt = l.taken()
		l.mappings[s.party.id] = &m
	default:
		l.w.pause.Accepted(ctx)
		m.GoneAt = time.Time{}
		m.State, m.Sequence, m.ETag = store.MappingLive, w.event.Sequence, w.event.ETag
		m.Sent, m.Returned, m.Via = s.decision.Event.Hash(), w.event.Fields.Hash(), s.decision.Via
		l.mappings[s.party.id] = &m
	}
	l.activity = append(l.activity, s.activity)
	l.w.Log.InfoContext(ctx, "event written", "action", s.action.String(), "task", l.id, "employee", s.party.id,
		"event", m.EventID, "cause", l.order.Cause, "result", s.activity.Result)
}

// afterFailure closes the intent where it is certain that nothing happened;
// otherwise the intent stays open and the event is read before the next write.
func (l *taskPass) afterFailure(ctx context.Context, s *step, err error) {
	// What is under a taken id may be ours, from an earlier try whose answer was lost,
	// however the call after it failed (found by the simulation).
	if failure.IsAmbiguous(err) || errors.Is(err, context.DeadlineExceeded) || s.taken {
		m := s.intent
		m.Owner = l.lease.Token
		l.mappings[s.party.id] = &m
		l.result.Again(m.Deadline.Add(pass.IntentGrace(l.w.waits.Lease)))
		return
	}
	p := s.party
	if p.mapped {
		m := l.found(p)
		l.mappings[p.id] = &m
	} else {
		l.mappings[p.id] = nil
	}
	switch failure.KindOf(err) {
	case failure.Gone:
		// The event's calendar may be gone: the employee's own look finds out.
		l.audit = append(l.audit, p.id)
	case failure.Exhausted:
		l.w.pause.Refused(ctx)
	}
}

// removeExtras deletes further owned events of the same task and employee: of
// several the highest generation stays (rule 3.3).
func (l *taskPass) removeExtras(ctx context.Context, parties []party) {
	if l.result.Err != nil {
		// The one that is to stay may not be there.
		return
	}
	for i := range parties {
		p := &parties[i]
		for _, e := range p.extras {
			if !e.Ours(l.tenant, l.id, calendarsync.EmployeeID(p.id)) || e.ID == p.mapping.EventID {
				continue
			}
			l.removeExtra(ctx, p, e)
		}
	}
}

// removeExtra deletes one event that no mapping tells of, announced like every
// other write: whoever makes it may die behind it.
func (l *taskPass) removeExtra(ctx context.Context, p *party, e googlecalendar.Event) {
	now := l.w.Deps.Now().UTC()
	a := store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d-%d-%d", l.lease.Token, p.id, l.lease.Look, e.Mark.Generation), At: now,
		Action: "event.delete-double", Task: int64(l.id), Employee: p.id, Calendar: p.record.Calendar.ID,
		Event: e.ID, Cause: string(l.order.Cause), Before: e.Mark.Hash, ExpiresAt: now.Add(store.ActivityKept),
	}
	refused, err := l.w.Deps.Store.IntendTask(ctx, &l.lease, []store.Intent{{
		Employee: p.id, Mapping: store.Mapping{Epoch: p.record.Calendar.Epoch}, Activity: a, Unmapped: true,
	}})
	if err != nil {
		l.fail(err)
		return
	}
	if len(refused) > 0 {
		// The calendar went away since it was read; its own look settles it.
		return
	}
	l.writes++
	a.Result = "done"
	if err := l.w.Google.DeleteEvent(ctx, p.record.Calendar.ID, e.ID, e.ETag); err != nil && !failure.Is(err, failure.Gone) {
		a.Result = string(failure.KindOf(err))
		l.fail(err)
		if failure.Is(err, failure.Exhausted) {
			l.w.pause.Refused(ctx)
		}
	} else {
		l.notice(DriftDoubled)
	}
	l.activity = append(l.activity, a)
}
