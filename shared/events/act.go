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

// maxGenerations bounds how often one pass moves to a new event id.
const maxGenerations = 3

// write is one write to one event under way.
type write struct {
	party *party
	judgement
	intent   store.Mapping
	activity store.ActivityRecord
	// before is what stays remembered if nothing happened; nil: nothing.
	before *store.Mapping
	// taken: an insert was answered that something is under its id.
	taken bool
	// retiring: the calendar is no longer the employee's.
	retiring bool
}

// written is what a write came to.
type written struct {
	event googlecalendar.Event // as Google has it now, when not gone
	gone  bool                 // deleted
	// doubtful: Google says that it is not found, and that is not certain yet (rule 3.9).
	doubtful bool
	err      error
}

// act announces the writes in one transaction and makes them one by one.
func (t *taskPass) act(ctx context.Context, todo []write) {
	if slices.ContainsFunc(todo, func(w write) bool { return w.action == calendarsync.Insert }) {
		if err := t.needInstallation(ctx); err != nil {
			t.fail(err)
			return
		}
	}
	for i := range todo {
		t.prepare(&todo[i])
	}
	if t.s.Slots != nil && t.basis.tenant != "" && t.s.pause.Heard().IsZero() {
		ctx = t.s.Slots.Reserve(ctx, todo[0].party.record.Calendar.ID)
	}
	rejected, err := t.announce(ctx, todo)
	if err != nil {
		t.fail(err)
		return
	}
	for i := range todo {
		w := &todo[i]
		if slices.Contains(rejected, w.party.id) {
			// The calendar is not to be written any more; its own pass settles it.
			continue
		}
		done := t.carryOut(ctx, w)
		t.learnForm(ctx, w, &done)
		t.record(ctx, w, done)
		w.party.settled = done.err == nil && !done.doubtful
		t.react(ctx, w.party.id, done)
	}
}

// needInstallation reads the installation where the pass began without it.
func (t *taskPass) needInstallation(ctx context.Context) error {
	if t.basis.read {
		return nil
	}
	in, err := t.s.installation(ctx)
	if err == nil && in.Tenant != t.basis.tenant {
		err = failure.New(failure.Transient, "read the installation", "its tenant is not the one that made the events")
	}
	if err != nil {
		return err
	}
	t.basis.unreadable, t.basis.read = in.UnreadableEvent, true
	return nil
}

// prepare makes the intent and the activity of a write.
func (t *taskPass) prepare(w *write) {
	p := w.party
	w.intent = store.Mapping{
		Epoch:   p.record.Calendar.Epoch,
		EventID: calendarsync.EventID(t.basis.tenant, t.id, calendarsync.EmployeeID(p.id), 0),
	}
	if p.mapped {
		w.intent, w.before = p.mapping, &w.asItIs
	}
	w.intent.State = store.MappingIntended
	if w.action == calendarsync.Delete {
		w.intent.State = store.MappingDeleting
	}
	// The database's clock is not read again: the lease's end bounds every call.
	w.intent.Deadline = t.term.IntentDeadline()
	w.activity = t.newActivity(p, w.action.String(), w.intent.EventID, p.actual.Sent)
	w.activity.Reason = string(w.reason)
	if w.action != calendarsync.Delete {
		w.activity.After = w.decision.Event.Hash()
	}
}

// newActivity describes a write to an event of a party that had a content before.
func (t *taskPass) newActivity(p *party, action, event, before string) store.ActivityRecord {
	now := t.s.Now().UTC()
	return store.ActivityRecord{
		ID: fmt.Sprintf("%s-%d-%d", t.lease.Token, p.id, t.lease.Pass), At: now, Action: action,
		Task: int64(t.id), Employee: p.id, Calendar: p.record.Calendar.ID, Event: event, Cause: string(t.order.Cause),
		Before: before, ExpiresAt: now.Add(store.ActivityKept),
	}
}

func (t *taskPass) announce(ctx context.Context, todo []write) (rejected []int64, err error) {
	intents := make([]store.Intent, len(todo))
	for i, w := range todo {
		intents[i] = store.Intent{Employee: w.party.id, Mapping: w.intent, Activity: w.activity, Retiring: w.retiring, Polled: t.polled(ctx, w)}
	}
	rejected, err = t.s.Store.IntendTask(ctx, &t.lease, intents)
	for i := range todo {
		if m, there := t.lease.Record.Mapping(todo[i].party.id); err == nil && there {
			todo[i].intent.AnnouncedAt = m.AnnouncedAt
		}
	}
	return rejected, err
}

// polled reports whether an event is inserted whose task Poll has listed. Only a fill asks:
// it inserts many, of tasks that are mostly older than the last poll, and Poll would read
// the record of each.
func (t *taskPass) polled(ctx context.Context, w write) bool {
	return w.action == calendarsync.Insert && t.order.Listed != nil && t.s.Polled.Task(ctx, t.id, t.term.At(t.s.Now()))
}

// carryOut makes an announced write.
func (t *taskPass) carryOut(ctx context.Context, w *write) written {
	if t.basis.tenant == "" {
		return written{err: failure.New(failure.Misconfigured, "write an event", "the installation has no tenant yet")}
	}
	if until := t.s.pause.Heard(); !until.IsZero() {
		return written{err: failure.New(failure.Transient, "write an event", "Google wants no writes until "+until.Format(time.RFC3339))}
	}
	if w.action == calendarsync.Delete {
		return t.remove(ctx, w)
	}
	return t.place(ctx, w)
}

// learnForm looks once more at an event that was only written back: if Google gives the
// very thing that was taken for somebody's edit, that is its own form of what it was
// sent, and from now on what to expect (rule 2.8).
func (t *taskPass) learnForm(ctx context.Context, w *write, done *written) {
	before := w.party.actual
	if done.err != nil || w.action != calendarsync.Update || before.Observed == nil || before.Sent != w.decision.Event.Hash() {
		return
	}
	// What cannot be read now is looked at again after the next repair.
	now, err := t.s.Google.Event(ctx, w.party.record.Calendar.ID, w.intent.EventID)
	if err != nil || now.Cancelled || now.Mark != done.event.Mark || now.Fields.Hash() != before.Observed.Hash() {
		return
	}
	done.event = now
	t.s.Log.WarnContext(ctx, "Google gives the event back in a form of its own", "task", t.id, "employee", w.party.id, "event", now.ID)
}

// placement is an event on its way to its place: what is under its id, as far as is
// known, and what the latest call said.
type placement struct {
	written
	under underID
	tries int
	// unsure: a write of it may have taken effect, whatever a later call was refused for.
	unsure bool
}

// underID is what is under the id of an event that is to be written.
type underID int

const (
	unread    underID = iota // not known: Google is asked
	vacant                   // nothing: the event is inserted
	ours                     // the event: it is updated
	cancelled                // the event, deleted: it is put back
	unusable                 // never to be used again: the next generation's id takes its place
	settled                  // the event as it ought to be, or a failure
)

// place makes sure that the event is there with its content. What is under its id
// decides, and each call may show that it is something else (rules 2.2, 3.3).
func (t *taskPass) place(ctx context.Context, w *write) written {
	a := placement{tries: 1}
	switch w.action {
	case calendarsync.Insert:
		a.under = vacant
	case calendarsync.Update:
		a.under, a.event = ours, googlecalendar.Event{Sequence: w.party.sequence, ETag: w.party.etag}
	}
	for a.under != settled {
		switch a.under {
		case unread:
			t.readPlace(ctx, w, &a)
		case vacant:
			t.insert(ctx, w, &a)
		case ours, cancelled:
			t.update(ctx, w, &a)
		case unusable:
			t.nextGeneration(ctx, w, &a)
		}
		a.unsure = a.unsure || failure.IsAmbiguous(a.err)
	}
	if a.unsure {
		a.err = failure.Ambiguously(a.err)
	}
	return a.written
}

// readPlace asks Google what is under the id.
func (t *taskPass) readPlace(ctx context.Context, w *write, a *placement) {
	a.event, a.err = t.s.Google.Event(ctx, w.party.record.Calendar.ID, w.intent.EventID)
	gone := failure.Is(a.err, failure.Gone)
	if a.err == nil && !a.event.Cancelled && !t.marked(a.event, w.party) {
		a.err = t.judgeUnmarked(ctx, a.event, w.party)
	}
	switch {
	case gone && w.taken && t.isDeleted(w):
		// Taken and not to be found: deleted for good, its id with it.
		a.under = unusable
	case gone && w.taken:
		a.under, a.written = settled, written{doubtful: true}
	case gone && a.tries == 1:
		a.under = vacant
		a.tries++
	case a.err != nil:
		a.under = settled
	case a.event.Cancelled:
		a.under = cancelled
	case !t.ours(a.event, w.party):
		// Events without our mark are never touched, whatever their id.
		a.under, a.err = unusable, failure.New(failure.Forbidden, "write "+a.event.String(), "its mark is not ours")
	case a.event.Mark.Hash == w.decision.Event.Hash() && !(calendarsync.Actual{Observed: &a.event.Fields}).Drifted(w.decision.Event):
		// An earlier try did arrive, though its answer did not.
		a.under = settled
	default:
		a.under = ours
		a.tries++
	}
}

// isDeleted reports whether it is certain that an event is deleted that Google does not
// find: an earlier pass deleted it, or Google said so before, long enough ago (rule 3.9).
func (t *taskPass) isDeleted(w *write) bool {
	deleted := w.before != nil && w.before.State == store.MappingTombstone && w.before.EventID == w.intent.EventID
	if deleted && w.before.GoneAt.Before(t.acquiredAt()) {
		return true
	}
	return t.saidLongEnough(w.intent.GoneSince)
}

func (t *taskPass) insert(ctx context.Context, w *write, a *placement) {
	a.under = settled
	if a.err = t.needInstallation(ctx); a.err != nil {
		return
	}
	if t.basis.unreadable.Stops(t.acquiredAt()) {
		a.err = failure.New(failure.Transient, "insert event "+w.intent.EventID, "Google does not give marks back: nothing is inserted until it does")
		return
	}
	t.Writes++
	draft := t.draft(w, googlecalendar.Event{})
	a.event, a.err = t.s.Google.InsertEvent(ctx, w.party.record.Calendar.ID, draft)
	switch {
	case failure.Is(a.err, failure.Conflict):
		w.taken, a.under = true, unread
	case a.err == nil:
		t.checkMark(ctx, w, a, draft.Mark)
	}
}

func (t *taskPass) update(ctx context.Context, w *write, a *placement) {
	t.Writes++
	a.event, a.err = t.s.Google.UpdateEvent(ctx, w.party.record.Calendar.ID, t.draft(w, a.event))
	was, kind := a.under, failure.KindOf(a.err)
	a.under = settled
	if a.err == nil {
		t.s.witnesses.add(w.party.record.Calendar.ID, a.event)
	}
	switch {
	case was == cancelled && (kind == failure.Forbidden || kind == failure.Gone):
		// Deleted in the web UI, an event may refuse to live again (shared/googlecalendar/README.md).
		a.under = unusable
	case was == ours && a.tries == 1 && (kind == failure.Conflict || kind == failure.Invalid || kind == failure.Gone):
		// Changed since (412), a stale sequence (400), or no longer there: what is
		// there decides (rule 2.2). A second refusal is final.
		a.under = unread
	}
}

// nextGeneration announces the next id before it is used (rule 3.3). If it cannot
// be, a.err says why the id before could not be used, or why this one may not.
func (t *taskPass) nextGeneration(ctx context.Context, w *write, a *placement) {
	if a.tries > maxGenerations {
		a.under = settled
		return
	}
	a.tries++
	before := w.intent
	// What was tried under the id before keeps a record of its own: if its answer was
	// lost, that id too was written to.
	t.activity = append(t.activity, pass.Outcome(w.activity, a.err))
	w.taken, w.intent.GoneSince = false, time.Time{}
	w.intent.Sequence, w.intent.ETag, w.intent.Sent, w.intent.Returned = 0, "", "", "" // of the id before
	w.intent.Generation++
	w.intent.EventID = calendarsync.EventID(t.basis.tenant, t.id, calendarsync.EmployeeID(w.party.id), w.intent.Generation)
	w.activity.ID = fmt.Sprintf("%s-%d-%d-g%d", t.lease.Token, w.party.id, t.lease.Pass, w.intent.Generation)
	w.activity.Event = w.intent.EventID
	again := []write{*w}
	rejected, err := t.announce(ctx, again)
	w.intent.AnnouncedAt = again[0].intent.AnnouncedAt
	switch {
	case err != nil:
		a.under, a.err = settled, err
	case len(rejected) > 0:
		w.intent = before
		a.under, a.err = settled, failure.New(failure.Gone, "write an event", "the calendar is not to be written any more")
	default:
		a.under = vacant
	}
}

// draft is the event to be written over what Google has.
func (t *taskPass) draft(w *write, over googlecalendar.Event) googlecalendar.Draft {
	return googlecalendar.Draft{
		ID:      w.intent.EventID,
		Content: w.decision.Event,
		Mark: calendarsync.Mark{
			Tenant: t.basis.tenant, Task: t.id, Employee: calendarsync.EmployeeID(w.party.id),
			Generation: w.intent.Generation, Hash: w.decision.Event.Hash(),
		},
		Sequence: over.Sequence, ETag: over.ETag,
	}
}

// remove deletes the event, if it is still ours.
func (t *taskPass) remove(ctx context.Context, w *write) written {
	found, err := t.deleteOwn(ctx, w.party, w.intent.EventID, w.party.etag)
	if err == nil && !found {
		sure := t.goneForSure(ctx, w.party, w.intent.EventID, w.intent.GoneSince)
		return written{gone: sure, doubtful: !sure}
	}
	return written{gone: err == nil, err: err}
}

// deleteOwn deletes an own event. One without an ETag, or that was changed since its ETag
// was read, or of which Google only says so, is read, and deleted if it is still ours; a
// second refusal is final. found is false where Google does not know the event, which may pass.
func (t *taskPass) deleteOwn(ctx context.Context, p *party, event, etag string) (found bool, err error) {
	calendar := p.record.Calendar.ID
	if etag != "" {
		if found, err = t.deleteEvent(ctx, calendar, event, etag); !failure.Is(err, failure.Conflict) {
			return found, err
		}
		if failure.IsAmbiguous(err) {
			defer func() { err = failure.Ambiguously(err) }()
		}
	}
	ev, err := t.s.Google.Event(ctx, calendar, event)
	switch {
	case failure.Is(err, failure.Gone):
		return false, nil
	case err != nil:
		return false, err
	case ev.Cancelled:
		return true, nil
	}
	if !t.marked(ev, p) {
		if err := t.judgeUnmarked(ctx, ev, p); err != nil {
			return false, err
		}
	}
	if !t.ours(ev, p) {
		// Somebody took the mark away: the event is theirs now and stays.
		t.s.Log.WarnContext(ctx, "event left alone, its mark is not ours", "task", t.id, "employee", p.id, "event", ev.ID)
		return true, nil
	}
	return t.deleteEvent(ctx, calendar, event, ev.ETag)
}

// saidLongEnough reports whether Google has not found an event since long enough ago that it
// may be believed; zero: it has not been asked before.
func (t *taskPass) saidLongEnough(since time.Time) bool {
	return !since.IsZero() && !t.acquiredAt().Before(since.Add(t.s.waits.Absence))
}

// goneForSure reports whether an event that Google does not find, and has not since then, is
// gone: long enough, and a list of its calendar lacks it too. A spell of refusals denies the
// calendar as well (rule 3.9).
func (t *taskPass) goneForSure(ctx context.Context, p *party, event string, since time.Time) bool {
	if !t.saidLongEnough(since) {
		return false
	}
	_, all, err := t.s.Google.Events(ctx, p.record.Calendar.ID)
	if err != nil {
		t.s.Log.InfoContext(ctx, "an event is not found, nor its calendar listed", "task", t.id, "employee", p.id, "event", event, "kind", failure.KindOf(err))
	}
	return err == nil && !slices.ContainsFunc(all, func(e googlecalendar.Event) bool { return e.ID == event })
}

// longestDoubt is how long at most an event rests that is not found and not gone for sure.
const longestDoubt = 6 * time.Hour

// doubtedAgain is when an event is looked for again that Google has not found since then: once
// it may be believed, and after that ever less often.
func doubtedAgain(since, now time.Time, absence time.Duration) time.Time {
	if second := since.Add(absence); now.Before(second) {
		return second
	}
	return now.Add(min(now.Sub(since), longestDoubt))
}

// deleteEvent deletes an event; one that is deleted already is no error. found is false
// where Google does not know it, which may pass.
func (t *taskPass) deleteEvent(ctx context.Context, calendar, event, etag string) (found bool, err error) {
	t.Writes++
	err = t.s.Google.DeleteEvent(ctx, calendar, event, etag)
	if failure.Is(err, failure.Gone) {
		return googlecalendar.Deleted(err), nil
	}
	return true, err
}

// record notes what a write came to: the mapping, and the activity.
func (t *taskPass) record(ctx context.Context, w *write, done written) {
	m := w.intent
	m.Owner, m.Deadline, m.AbsentSince, m.AbsentFor, m.StateID = "", time.Time{}, time.Time{}, "", t.stateID()
	m.GoneSince = time.Time{}
	m.Release()
	switch {
	case done.doubtful:
		// The intent stays open, and the event is looked for again (rule 3.9).
		open := w.intent
		open.Owner = t.lease.Token
		if open.GoneSince.IsZero() {
			open.GoneSince = t.term.At(t.s.Now())
		}
		t.mappings[w.party.id] = &open
		t.result.Again(doubtedAgain(open.GoneSince, t.acquiredAt(), t.s.waits.Absence))
	case done.err == nil && done.gone:
		m.State, m.ETag, m.Returned, m.Sent, m.Via = store.MappingTombstone, "", "", "", ""
		m.GoneAt = t.acquiredAt()
		t.mappings[w.party.id] = &m
	case done.err == nil:
		m.GoneAt = time.Time{}
		m.State, m.Sequence, m.ETag = store.MappingLive, done.event.Sequence, done.event.ETag
		m.Sent, m.Returned, m.Via = w.decision.Event.Hash(), done.event.Fields.Hash(), w.decision.Via
		t.mappings[w.party.id] = &m
	case failure.IsAmbiguous(done.err) || errors.Is(done.err, context.DeadlineExceeded) || w.taken:
		// The intent stays open, and the event is read before the next write. What is
		// under a taken id may be ours, from an earlier try whose answer was lost,
		// however the call after it failed (rule 2.6).
		open := w.intent
		open.Owner = t.lease.Token
		t.mappings[w.party.id] = &open
		t.result.Again(open.Deadline.Add(pass.IntentGrace(t.s.waits.Lease)))
	default:
		// It is certain that nothing happened.
		t.mappings[w.party.id] = w.before
	}
	w.activity = pass.Outcome(w.activity, done.err)
	if done.doubtful {
		w.activity.Result = string(failure.Gone)
	}
	t.activity = append(t.activity, w.activity)
	t.s.Log.InfoContext(ctx, "event written", "action", w.activity.Action, "task", t.id, "employee", w.party.id,
		"event", m.EventID, "cause", t.order.Cause, "result", w.activity.Result)
}

// react does what follows from a write for more than its event.
func (t *taskPass) react(ctx context.Context, employee int64, done written) {
	if done.err == nil {
		if !done.gone && !done.doubtful {
			t.s.pause.Accepted(ctx)
		}
		return
	}
	t.fail(done.err)
	switch failure.KindOf(done.err) {
	case failure.Gone:
		// The event's calendar may be gone: the employee's own pass finds out.
		t.Relist = append(t.Relist, employee)
	case failure.Exhausted:
		t.s.pause.Refused(ctx, done.err)
	}
}
