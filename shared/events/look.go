package events

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// taskPass is one held task: what is known, what was decided, what was done.
type taskPass struct {
	w      *Syncer
	order  Order
	id     calendarsync.TaskID
	lease  store.TaskLease
	term   pass.Term
	rules  *calendarsync.Rules
	tenant string
	// readAt is the latest moment at which the ERP was read, by the database's clock.
	readAt time.Time

	// What the present look found; begin() clears it.
	result    pass.Result
	mappings  map[int64]*store.Mapping
	concerned []int64
	updated   string
	state     int64 // the task's state as read; 0: not said
	activity  []store.ActivityRecord
	audit     []int64
	unseen    bool // what there is to see was not looked at

	// Over all looks: calls that changed something, and what was found drifted.
	writes        int
	drift, fields pass.Tally
}

// party is one employee of a task under decision.
type party struct {
	id       int64
	record   store.EmployeeRecord
	active   bool // has a calendar that may be written
	mapping  store.Mapping
	mapped   bool
	open     bool // an intent of somebody else, read before writing
	asked    bool // Google was asked for the event: actual is what it said
	actual   calendarsync.Actual
	sequence int64
	etag     string
	restored bool                   // remembered as deleted, and shown all the same
	extras   []googlecalendar.Event // further owned events of the same task
	decision calendarsync.Decision
}

func (l *taskPass) begin() {
	l.result, l.updated = pass.Result{}, ""
	l.mappings, l.concerned, l.activity, l.audit = map[int64]*store.Mapping{}, nil, nil, nil
	l.unseen = true
}

// taken is when the lease was taken, by the database's clock.
func (l *taskPass) taken() time.Time { return l.term.AcquiredAt() }

// fail records a failure; the first one stays.
func (l *taskPass) fail(err error) { l.result.Fail(err, l.taken(), l.lease.Record.Failure) }

// run looks at the task once and makes each of its events right. calls ends
// safely before the lease does.
func (l *taskPass) run(calls context.Context, reading calendarsync.TaskReading) {
	l.begin()
	if reading.Task == nil && reading.Absent == 0 && reading.Invalid == nil {
		l.fail(failure.New(failure.SourceInvalid, "read task "+strconv.FormatInt(int64(l.id), 10), "the ERP's answer lacks it"))
		return
	}
	l.state = 0
	if reading.Task != nil {
		l.updated = reading.Task.Updated
		l.state = int64(reading.Task.State.Or(0))
	}
	parties, err := l.gather(calls, reading)
	if err != nil {
		l.fail(err)
		return
	}
	l.unseen = false
	var todo []step
	for i := range parties {
		p := &parties[i]
		s, ok := l.decide(calls, reading, p)
		if ok {
			todo = append(todo, s)
		}
		// After the decision: a mapping into a calendar that is gone concerns nobody.
		if p.mapped || (p.active && (ok || !over(p.decision))) {
			l.concerned = append(l.concerned, p.id)
		}
	}
	if l.concerned == nil {
		l.concerned = []int64{}
	}
	todo = l.guard(calls, todo)
	changed := len(todo) > 0
	if changed {
		l.act(calls, todo)
	}
	l.removeExtras(calls, parties)
	if reading.Invalid != nil {
		// Recorded on its key and shown, while the other tasks go on.
		l.fail(reading.Invalid)
	}
	// The notification may have overtaken the ERP's own commit: a look that found
	// nothing new is repeated at the next poll (rule 8.1).
	if !changed && l.result.Err == nil && l.order.Cause == queue.CauseNotify && l.updated == l.lease.Record.Updated && l.lease.Record.Updated != "" {
		l.result.Again(l.taken())
	}
	// So is one that still found what was said to be deleted: no list of changes would
	// tell of it later.
	if vouched := l.lease.Record.Vouched || l.order.Deleted; vouched && reading.Task != nil && l.result.Err == nil && (l.order.Cause != queue.CauseRetry || l.lease.Dirty > 1) {
		l.result.Again(l.taken())
	}
}

// over reports whether a task has nothing more to do with an employee: without an event
// it need not be remembered, or every task ever closed would be for ever.
func over(d calendarsync.Decision) bool {
	switch d.Reason {
	case calendarsync.ReasonState, calendarsync.ReasonDeleted, calendarsync.ReasonReassigned:
		return d.Verdict == calendarsync.Remove
	}
	return false
}

// gather finds everybody whom the task concerns or once concerned.
func (l *taskPass) gather(ctx context.Context, reading calendarsync.TaskReading) ([]party, error) {
	found := map[int64]*party{}
	for _, id := range l.lease.Record.Mapped() {
		m, _ := l.lease.Record.Mapping(id)
		found[id] = &party{id: id, mapping: m, mapped: true}
	}
	records := map[int64]store.EmployeeRecord{}
	if reading.Task != nil {
		executors, divisions := l.rules.Targets(*reading.Task)
		for _, id := range executors {
			if found[int64(id)] == nil {
				found[int64(id)] = &party{id: int64(id)}
			}
		}
		if len(divisions) > 0 {
			ids := make([]int64, len(divisions))
			for i, d := range divisions {
				ids[i] = int64(d)
			}
			members, err := l.w.Deps.Store.EmployeesOfDivisions(ctx, ids)
			if err != nil {
				return nil, err
			}
			for _, m := range members {
				records[m.ID] = m
				if found[m.ID] == nil {
					found[m.ID] = &party{id: m.ID}
				}
			}
		}
	}
	if l.order.Listed != nil && len(l.order.Listed.Events[l.id]) > 0 {
		if id := int64(l.order.Listed.Employee); found[id] == nil {
			found[id] = &party{id: id}
		}
	}
	var out []party
	for _, id := range slices.Sorted(maps.Keys(found)) {
		p := found[id]
		rec, known := records[id]
		if !known {
			var err error
			if rec, known, err = l.w.Deps.Store.Employee(ctx, id); err != nil {
				return nil, err
			}
		}
		if known {
			p.record = rec
			p.active = rec.Calendar != nil && rec.Receives(rec.Calendar.Epoch)
		}
		out = append(out, *p)
	}
	return out, nil
}

// decide judges one party and says what to do, if anything.
func (l *taskPass) decide(ctx context.Context, reading calendarsync.TaskReading, p *party) (step, bool) {
	if p.mapped && (p.record.Calendar == nil || p.mapping.Epoch != p.record.Calendar.Epoch) {
		// The calendar that held the event is gone or going with all it held.
		l.mappings[p.id] = nil
		p.mapped, p.mapping = false, store.Mapping{}
	}
	if !p.active {
		return step{}, false
	}
	if err := l.observe(ctx, p); err != nil {
		l.fail(err)
		return step{}, false
	}
	if p.open {
		return step{}, false
	}
	via := ""
	if p.actual.Presence == calendarsync.Live {
		if via = p.mapping.Via; via == "" {
			// An adopted event tells not why it is there; it may have come by a
			// division, so that divisions left out are no evidence (rule 4.1).
			via = calendarsync.ViaDivision
		}
	}
	p.decision = l.rules.Decide(reading, recipient(p.record, via), l.lease.Record.Vouched || l.order.Deleted)
	d := p.decision
	absent := time.Time{}
	switch d.Verdict {
	case calendarsync.Unknown:
		if troubles(d, p.actual) {
			l.fail(d.Err)
		}
	case calendarsync.Absent:
		if p.actual.Presence != calendarsync.Live {
			break
		}
		absent = p.mapping.AbsentSince
		if absent.IsZero() || p.mapping.AbsentFor != string(d.Reason) {
			// From the reading, not from the lease: the ERP may have been slow, and the
			// second reading has to be that much later (rule 4.2).
			absent = l.readAt
		}
		if second := absent.Add(l.w.waits.Absence); l.taken().Before(second) {
			l.result.Again(second)
		} else {
			// The second complete reading, far enough from the first (rule 4.2).
			d.Verdict = calendarsync.Remove
		}
	}
	counted := d.Verdict == calendarsync.Remove && (!absent.IsZero() ||
		d.Reason == calendarsync.ReasonState && p.mapping.StateID != 0 && p.mapping.StateID == l.state)
	action := calendarsync.Step(d, p.actual)
	if action == calendarsync.Nothing {
		if m := l.found(p); p.mapped && m.Expired(l.taken()) {
			// Nothing is there, nothing is to be there, and so it was for long: "no
			// mapping" says the same.
			l.mappings[p.id], p.mapped = nil, false
		} else if p.mapped {
			m.AbsentSince, m.AbsentFor = absent, absentFor(absent, d.Reason)
			if d.Verdict != calendarsync.Unknown && absent.IsZero() {
				// The source recovered, or gives reasons of its own: nothing is held.
				m.Release()
			}
			if d.Verdict == calendarsync.Keep {
				m.Via, m.StateID = d.Via, l.state
				if p.asked {
					// It is as it ought to be, so what Google gives back is what to expect.
					m.Returned = p.actual.Observed.Hash()
				}
			}
			if m != p.mapping || l.mappings[p.id] != nil {
				l.mappings[p.id] = &m
			}
		}
		return step{}, false
	}
	if action == calendarsync.Insert && !p.record.Calendar.Listed && !l.seen(p) {
		// An event may be there that nobody remembers (rule 3.4).
		l.audit = append(l.audit, p.id)
		l.result.Again(l.taken())
		return step{}, false
	}
	return step{party: p, action: action, decision: d, counted: counted, absent: absent}, true
}

// absentFor is what a reading lacked; "" where there is no doubt.
func absentFor(since time.Time, reason calendarsync.Reason) string {
	if since.IsZero() {
		return ""
	}
	return string(reason)
}

// troubles reports whether a decision to leave things as they are has to be
// recorded: a task that is missing, and has no event, troubles nobody.
func troubles(d calendarsync.Decision, a calendarsync.Actual) bool {
	return d.Err != nil && (d.Reason != calendarsync.ReasonMissing || a.Presence == calendarsync.Live)
}

// found is the mapping of an event that is left as it is: what was remembered or,
// where Google was asked, what Google said. An intent whose maker died may have
// taken effect, so what was remembered before it must not outlive it.
func (l *taskPass) found(p *party) store.Mapping {
	m := p.mapping
	m.State, m.Owner, m.Deadline = l.stateOf(p), "", time.Time{}
	switch {
	case m.State != store.MappingTombstone:
		m.GoneAt = time.Time{}
	case m.GoneAt.IsZero():
		m.GoneAt = l.taken()
	}
	if p.asked {
		m.Sequence, m.ETag, m.Sent, m.Returned = p.sequence, p.etag, p.actual.Sent, p.actual.Returned
	}
	return m
}

func (l *taskPass) stateOf(p *party) store.MappingState {
	if p.actual.Presence == calendarsync.Live {
		return store.MappingLive
	}
	return store.MappingTombstone
}

func recipient(rec store.EmployeeRecord, via string) calendarsync.Recipient {
	r := calendarsync.Recipient{ID: calendarsync.EmployeeID(rec.ID), Name: rec.Name, Via: via}
	if rec.Calendar != nil {
		r.From = rec.Calendar.From
	}
	for _, d := range rec.Divisions {
		r.Divisions = append(r.Divisions, calendarsync.DivisionID(d))
	}
	return r
}

// seen reports whether the party's calendar was just listed completely.
func (l *taskPass) seen(p *party) bool {
	s := l.order.Listed
	return s != nil && int64(s.Employee) == p.id && p.record.Calendar != nil && s.Epoch == p.record.Calendar.Epoch
}

// observe finds out what is at Google, from the mapping, from the list just
// made, and where those are not enough from Google itself.
func (l *taskPass) observe(ctx context.Context, p *party) error {
	if l.seen(p) {
		l.adopt(p)
	}
	if !p.mapped {
		return nil
	}
	p.sequence, p.etag = p.mapping.Sequence, p.mapping.ETag
	p.actual = calendarsync.Actual{Sent: p.mapping.Sent, Returned: p.mapping.Returned}
	switch p.mapping.State {
	case store.MappingLive:
		p.actual.Presence = calendarsync.Live
		if l.seen(p) && l.suspicious(p) {
			if err := l.read(ctx, p); err != nil {
				return err
			}
			l.noticeDrift(p)
		}
	case store.MappingTombstone:
		p.actual.Presence = calendarsync.Cancelled
	default:
		// An announced write whose end nobody recorded. Its call may still be on
		// its way, so it is left until it cannot be any more (rule 2.4).
		if until := p.mapping.Deadline.Add(pass.IntentGrace(l.w.waits.Lease)); l.taken().Before(until) {
			p.open = true
			l.result.Wait(until)
			return nil
		}
		return l.read(ctx, p)
	}
	return nil
}

// suspicious reports whether the list shows the event otherwise than remembered.
// The list may be older than a write made since, so Google is asked before
// anything follows from it.
func (l *taskPass) suspicious(p *party) bool {
	for _, e := range l.order.Listed.Events[l.id] {
		if e.ID == p.mapping.EventID {
			return p.mapping.Returned == "" || e.Fields.Hash() != p.mapping.Returned
		}
	}
	return true
}

// read asks Google for the mapped event and believes what it says.
func (l *taskPass) read(ctx context.Context, p *party) error {
	ev, err := l.w.Google.Event(ctx, p.record.Calendar.ID, p.mapping.EventID)
	switch {
	case failure.Is(err, failure.Gone):
		// Never used, as by an announced insert that was never made; or deleted for
		// good, which the insert finds out.
		p.asked = true
		p.actual = calendarsync.Actual{Presence: calendarsync.Never}
		p.sequence, p.etag = 0, ""
		return nil
	case err != nil:
		return err
	}
	p.asked = true
	p.sequence, p.etag = ev.Sequence, ev.ETag
	if ev.Cancelled || !ev.Ours(l.tenant, l.id, calendarsync.EmployeeID(p.id)) {
		// Either way the id is taken and nothing of ours is under it. An event
		// without our mark is never touched (rule 3.2).
		p.actual = calendarsync.Actual{Presence: calendarsync.Cancelled}
		return nil
	}
	p.actual.Presence = calendarsync.Live
	p.actual.Observed = &ev.Fields
	p.actual.Sent = ev.Mark.Hash
	if p.mapping.Open() {
		// What Google returned for the lost write is not known.
		p.actual.Returned = ""
	}
	return nil
}

// adopt makes a mapping of the owned event with the highest generation that the
// list shows, where none is remembered or a lower one (rule 3.3).
func (l *taskPass) adopt(p *party) {
	shown := l.order.Listed.Events[l.id]
	if len(shown) == 0 {
		return
	}
	best := shown[0]
	if p.mapped && p.mapping.Generation >= best.Mark.Generation {
		p.extras = slices.DeleteFunc(slices.Clone(shown), func(e googlecalendar.Event) bool { return e.ID == p.mapping.EventID })
		if p.mapping.State == store.MappingTombstone && p.mapping.EventID == best.ID {
			// Deleted by us and there again: somebody restored it, or the list is
			// older than the deletion; Google is asked.
			p.mapping.State, p.restored = store.MappingLive, true
			p.mapping.Returned = ""
		}
		return
	}
	p.extras = shown[1:]
	p.mapped = true
	p.mapping = store.Mapping{
		Epoch: p.record.Calendar.Epoch, EventID: best.ID, Generation: best.Mark.Generation,
		State: store.MappingLive, Sequence: best.Sequence, ETag: best.ETag, Sent: best.Mark.Hash,
	}
	m := p.mapping
	l.mappings[p.id] = &m
}

// settle records the look and releases the task unless it became dirty.
func (l *taskPass) settle(ctx context.Context) (bool, error) {
	o := store.TaskOutcome{
		Result:    l.result.Result,
		Mappings:  l.mappings,
		Concerned: l.concerned,
		Updated:   l.updated,
		Activity:  l.activity,
	}
	if l.result.Err != nil {
		l.w.Log.WarnContext(ctx, "task not right yet", "task", l.id, "cause", l.order.Cause, "kind", failure.KindOf(l.result.Err), "error", l.result.Err.Error(), "again", l.result.RetryAt)
	}
	return l.w.Deps.Store.SettleTask(ctx, &l.lease, o)
}
