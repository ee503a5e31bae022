package events

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// taskPass is one held task under way: what is known and what was done.
type taskPass struct {
	s     *Syncer
	order Order
	id    calendarsync.TaskID
	lease store.TaskLease
	term  pass.Term
	basis basis
	// early: a pass under this lease found nothing new, or left something to be done.
	early bool

	// What the present pass came to; begin clears it, and notes in early what was left.
	Report
	result    pass.Result
	mappings  map[int64]*store.Mapping // to be recorded; nil: to be forgotten
	doubles   []store.Double           // that remain; nil: as they were
	concerned []int64
	updated   string
	activity  []store.ActivityRecord
}

func (t *taskPass) begin() {
	t.early = t.early || t.result.Err != nil || !t.result.RetryAt.IsZero()
	t.Report, t.result, t.updated = Report{Unlisted: 1}, pass.Result{}, ""
	t.mappings, t.doubles, t.concerned, t.activity = map[int64]*store.Mapping{}, nil, nil, nil
}

// acquiredAt is when the lease was acquired, by the database's clock.
func (t *taskPass) acquiredAt() time.Time { return t.term.AcquiredAt() }

// fail records a failure; the first one stays.
func (t *taskPass) fail(err error) { t.result.Fail(err, t.acquiredAt(), t.lease.Record.Failure) }

// vouched reports whether a signed notification said that the task was deleted.
func (t *taskPass) vouched() bool { return t.lease.Record.Vouched || t.order.Deleted }

func (t *taskPass) reading() calendarsync.TaskReading { return t.basis.readings[t.id] }

// stateID is the task's state as read; 0 where it was not said.
func (t *taskPass) stateID() int64 {
	if task := t.reading().Task; task != nil {
		return int64(task.State.Or(0))
	}
	return 0
}

// run makes each of the task's events right, once. calls ends safely before the
// lease does.
func (t *taskPass) run(calls context.Context) {
	reading := t.reading()
	if reading.Task == nil && reading.Absent == 0 && reading.Invalid == nil {
		t.fail(failure.New(failure.SourceInvalid, "read task "+strconv.FormatInt(int64(t.id), 10), "the ERP's answer lacks it"))
		return
	}
	if reading.Task != nil {
		t.updated = reading.Task.Updated
	}
	parties, err := t.gather(calls)
	if err != nil {
		t.fail(err)
		return
	}
	t.Unlisted = 0
	todo := t.guard(calls, t.plan(calls, parties))
	if len(todo) > 0 {
		t.act(calls, todo)
	}
	// Whatever becomes of the doubles, which are none of the ERP's.
	t.lookAgain(len(todo) > 0)
	t.removeDoubles(calls, parties)
	if reading.Invalid != nil {
		// Recorded on its key and shown, while the other tasks go on.
		t.fail(reading.Invalid)
	}
}

// plan finds out what is to be done about the event of each party.
func (t *taskPass) plan(calls context.Context, parties []party) []write {
	t.concerned = []int64{}
	var todo []write
	for i := range parties {
		p := &parties[i]
		t.dropFormer(p)
		var j judgement
		if p.active {
			j = t.judgeParty(calls, p)
		}
		if p.mapped || j.concerned {
			t.concerned = append(t.concerned, p.id)
		}
		if j.action != calendarsync.Nothing {
			todo = append(todo, write{party: p, judgement: j})
		}
	}
	return todo
}

// judgeParty observes and judges the event of a party with an active calendar, and
// notes what follows from the judgement. Where nothing can be told yet, the task still
// concerns them.
func (t *taskPass) judgeParty(calls context.Context, p *party) judgement {
	t.adopt(p)
	if until := p.mapping.Deadline.Add(pass.IntentGrace(t.s.waits.Lease)); p.mapping.Open() && t.acquiredAt().Before(until) {
		// An announced write whose end nobody recorded: its call may still be on its
		// way, so it is left alone until it cannot be any more (rule 2.4).
		t.result.Wait(until)
		return judgement{concerned: true}
	}
	if err := t.observe(calls, p); err != nil {
		t.fail(err)
		return judgement{concerned: true}
	}
	p.gone = p.lost() && t.goneForSure(calls, p, p.mapping.EventID, p.mapping.GoneSince)
	j := judge(known{
		party: *p, decision: t.basis.rules.Decide(t.reading(), recipient(p.record, via(p)), t.vouched()),
		stateID: t.stateID(), listed: p.record.Calendar.Listed || t.listed(p),
		acquiredAt: t.acquiredAt(), readAt: t.term.At(t.basis.at), absence: t.s.waits.Absence,
		applied: t.basis.rules.Settings.Applied,
	})
	if j.failure != nil {
		t.fail(j.failure)
	}
	if j.relist && t.basis.unreadable.Stops(t.acquiredAt()) {
		j.relist, j.again = false, t.acquiredAt().Add(unreadableAgain) // a list would show nothing (rule 3.14)
	}
	if !j.again.IsZero() {
		t.result.Again(j.again)
	}
	if j.relist {
		t.Relist = append(t.Relist, p.id)
	}
	p.settled = j.settled
	switch {
	case j.forget:
		t.mappings[p.id], p.mapped = nil, false
	case j.remember != nil:
		t.mappings[p.id] = j.remember
	}
	return j
}

// guard lets deletions that nobody may have meant go only as far as the rolling
// day has room for them (rule 4.3); the others are held and wait for an admin. A
// hold stops those events only (rule 4.4).
func (t *taskPass) guard(ctx context.Context, todo []write) []write {
	asked := 0
	for _, w := range todo {
		if asksGuard(w) {
			asked++
		}
	}
	granted := 0
	if asked > 0 {
		var err error
		if granted, err = pass.Permit(ctx, t.s.Store, t.s.Log, store.GuardedEvents, asked, t.basis.rules.Settings.DeleteGuardPercent); err != nil {
			t.fail(err)
		}
	}
	return slices.DeleteFunc(todo, func(w write) bool {
		m := w.party.mapping
		switch {
		case !w.counted || m.State == store.MappingDeleting || pass.Allowed(m.HeldSince, m.AllowedAt, t.acquiredAt()):
			return false
		case asksGuard(w) && granted > 0:
			granted--
			return false
		}
		t.hold(ctx, w)
		return true
	})
}

// asksGuard reports whether a write has to be permitted now: it is counted, and
// neither held nor let through by an earlier pass whose end is not known.
func asksGuard(w write) bool {
	m := w.party.mapping
	return w.counted && m.HeldSince.IsZero() && m.State != store.MappingDeleting
}

func (t *taskPass) hold(ctx context.Context, w write) {
	w.party.settled = true
	m := w.asItIs
	m.AbsentSince, m.AbsentFor = w.absentSince, w.absentFor
	if m.HeldSince.IsZero() {
		m.HeldSince, m.HeldFor = t.acquiredAt(), string(w.decision.Reason)
		m.HeldTitle, m.HeldStart = t.describe(ctx, w)
		t.s.Log.WarnContext(ctx, "deletion held", "task", t.id, "employee", w.party.id, "reason", m.HeldFor)
	}
	t.mappings[w.party.id] = &m
}

// describe reads what a held event says, for the admin who decides about it. Where that
// fails the admin sees the task's number.
func (t *taskPass) describe(ctx context.Context, w write) (title, start string) {
	ev, err := t.s.Google.Event(ctx, w.party.record.Calendar.ID, w.asItIs.EventID)
	if err != nil {
		t.s.Log.InfoContext(ctx, "a held event could not be read", "task", t.id, "employee", w.party.id, "kind", failure.KindOf(err))
		return "", ""
	}
	start = ev.Fields.Start.Date
	if start == "" {
		start = ev.Fields.Start.Instant.UTC().Format(time.RFC3339)
	}
	return ev.Fields.Title, start
}

// lookAgain asks for another pass where this one may have come too early: the
// notification may have overtaken the ERP's own commit (rule 8.1). That is so where
// nothing new was found, and where what was found may have been left by the pass before.
func (t *taskPass) lookAgain(changed bool) {
	t.early = t.early || !changed && t.updated == t.lease.Record.Updated && t.updated != ""
	if t.result.Err != nil {
		return
	}
	told := t.order.Cause == queue.CauseNotify || t.lease.Pass > 1
	owed := t.lease.Record.Owed && (t.order.Cause != queue.CauseRetry || t.lease.Pass > 1)
	// So is one that still found what was said to be deleted: no list of changes would
	// tell of it later.
	there := t.vouched() && t.reading().Task != nil && (t.order.Cause != queue.CauseRetry || t.lease.Dirty > 1)
	if t.early && told || owed || there {
		t.result.Again(t.acquiredAt())
	}
}

// settle records the pass and releases the task unless it became dirty.
func (t *taskPass) settle(ctx context.Context) (released bool, err error) {
	if err := t.result.Err; err != nil {
		t.s.Log.WarnContext(ctx, "task not right yet", "task", t.id, "cause", t.order.Cause, "kind", failure.KindOf(err), "error", err.Error(), "again", t.result.RetryAt)
	}
	return t.s.Store.SettleTask(ctx, &t.lease, store.TaskOutcome{
		Result: t.result.Recorded(), Mappings: t.mappings, Doubles: t.doubles, Concerned: t.concerned, Updated: t.updated, Activity: t.activity,
	})
}
