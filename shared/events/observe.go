package events

import (
	"context"
	"maps"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// party is an employee whom a task concerns or once concerned.
type party struct {
	id     int64
	record store.EmployeeRecord
	active bool // has a calendar that may be written
	// mapping is what is remembered of the event, or what the listing gives to
	// remember (adopt); mapped is false without either.
	mapping store.Mapping
	mapped  bool
	// settled: the event is as it ought to be, or none of the party's is to be there.
	settled bool
	observation
}

// observation is what is known of a party's event at Google.
type observation struct {
	actual calendarsync.Actual
	// asked: Google was asked for the event, and actual, sequence and etag are what
	// it said.
	asked    bool
	sequence int64
	etag     string
	// gone: what Google does not find is gone for sure (rule 3.9).
	gone bool
	// adopted: the mapping comes from the listing.
	adopted bool
	// restored: the event is remembered as deleted, and shown all the same.
	restored bool
	// extras are further own events of the same task and employee.
	extras []googlecalendar.Event
}

// Records gives the records of the employees whom a task concerns.
type Records interface {
	// Employee gives one employee's record; found is false where there is none.
	Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error)
	// EmployeesOfDivisions lists the employees that any of the divisions has.
	EmployeesOfDivisions(ctx context.Context, divisions []int64) ([]store.EmployeeRecord, error)
}

// readBeside gives the records that were read beside the ERP, and reads others.
type readBeside struct {
	Records
	employees map[int64]*store.EmployeeRecord
}

// Employee gives one employee's record.
func (r readBeside) Employee(ctx context.Context, id int64) (rec store.EmployeeRecord, found bool, err error) {
	if e := r.employees[id]; e != nil {
		return *e, true, nil
	}
	return r.Records.Employee(ctx, id)
}

// gather finds everybody whom the task concerns or once concerned: those with an
// event, the executors and division members of the reading, and the employee whose
// listed calendar shows the task. They come by ascending id.
func (t *taskPass) gather(ctx context.Context) ([]party, error) {
	ids := map[int64]bool{}
	if l := t.order.Listed; l != nil && len(l.Events[t.id]) > 0 {
		ids[int64(l.Employee)] = true
	}
	return gather(ctx, readBeside{t.s.Store, t.basis.employees}, t.basis.rules, t.reading(), t.lease.Record, ids)
}

// gather finds everybody whom a task concerns or once concerned, and those of ids.
func gather(ctx context.Context, s Records, rules *calendarsync.Rules, reading calendarsync.TaskReading, rec store.TaskRecord, ids map[int64]bool) ([]party, error) {
	for _, id := range rec.Mapped() {
		ids[id] = true
	}
	for _, d := range rec.Doubles {
		ids[d.Employee] = true
	}
	records, err := targets(ctx, s, rules, reading, ids)
	if err != nil {
		return nil, err
	}
	parties := make([]party, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		e, known := records[id]
		if !known {
			if e, known, err = s.Employee(ctx, id); err != nil {
				return nil, err
			}
		}
		p := party{id: id}
		p.mapping, p.mapped = rec.Mapping(id)
		if known {
			p.record = e
			p.active = e.Calendar != nil && e.Receives(e.Calendar.Epoch)
		}
		parties = append(parties, p)
	}
	return parties, nil
}

// targets adds to ids whom the reading names, and gives the records of those whom
// it names by their division.
func targets(ctx context.Context, s Records, rules *calendarsync.Rules, reading calendarsync.TaskReading, ids map[int64]bool) (map[int64]store.EmployeeRecord, error) {
	if reading.Task == nil {
		return nil, nil
	}
	executors, divisions := rules.Targets(*reading.Task)
	for _, id := range executors {
		ids[int64(id)] = true
	}
	if len(divisions) == 0 {
		return nil, nil
	}
	members, err := s.EmployeesOfDivisions(ctx, calendarsync.IDs[int64](divisions))
	if err != nil {
		return nil, err
	}
	records := map[int64]store.EmployeeRecord{}
	for _, m := range members {
		records[m.ID], ids[m.ID] = m, true
	}
	return records, nil
}

// dropFormer forgets an event whose calendar is gone, or going with all it holds.
func (t *taskPass) dropFormer(p *party) {
	if p.mapped && (p.record.Calendar == nil || p.mapping.Epoch != p.record.Calendar.Epoch) {
		t.mappings[p.id] = nil
		p.mapped, p.mapping = false, store.Mapping{}
	}
}

// listed reports whether the party's calendar was just listed completely.
func (t *taskPass) listed(p *party) bool {
	l := t.order.Listed
	return l != nil && int64(l.Employee) == p.id && p.record.Calendar != nil && l.Epoch == p.record.Calendar.Epoch
}

// adopt makes a mapping of the own event with the highest generation that the
// listing shows, where none is remembered or a lower one (rule 3.3).
func (t *taskPass) adopt(p *party) {
	if !t.listed(p) || len(t.order.Listed.Events[t.id]) == 0 {
		return
	}
	shown := t.order.Listed.Events[t.id]
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
	p.mapped, p.adopted = true, true
	p.mapping = store.Mapping{
		Epoch: p.record.Calendar.Epoch, EventID: best.ID, Generation: best.Mark.Generation,
		State: store.MappingLive, Sequence: best.Sequence, ETag: best.ETag, Sent: best.Mark.Hash,
	}
	m := p.mapping
	t.mappings[p.id] = &m
}

// lost reports whether Google does not find an event that was to be deleted.
func (p *party) lost() bool {
	return p.mapping.State == store.MappingDeleting && p.asked && p.actual.Presence == calendarsync.Never
}

// observe finds out what is at Google: from the mapping where that is enough, else
// from Google itself, which is asked about an intent that was left open and about
// an event that the listing shows otherwise than remembered.
func (t *taskPass) observe(ctx context.Context, p *party) error {
	if !p.mapped {
		return nil
	}
	p.sequence, p.etag = p.mapping.Sequence, p.mapping.ETag
	p.actual = calendarsync.Actual{Presence: calendarsync.Live, Sent: p.mapping.Sent, Returned: p.mapping.Returned}
	switch {
	case p.mapping.State == store.MappingTombstone:
		p.actual.Presence = calendarsync.Cancelled
		return nil
	case p.mapping.Open():
		return t.ask(ctx, p)
	case !t.listed(p) || t.shownAsRemembered(p):
		return nil
	case t.order.Listed.olderThan(p.mapping) && !p.restored:
		// Written since the list was begun, most often in the pass over another executor's
		// calendar: how Google confirmed that write is newer than anything the list shows.
		return nil
	}
	if err := t.ask(ctx, p); err != nil {
		return err
	}
	t.reportDrift(p)
	return nil
}

// shownAsRemembered reports whether the listing shows the event as it was left. If
// it does not, nothing follows yet: the list may be older than a write made since.
func (t *taskPass) shownAsRemembered(p *party) bool {
	return slices.ContainsFunc(t.order.Listed.Events[t.id], func(e googlecalendar.Event) bool {
		return e.ID == p.mapping.EventID && p.mapping.Returned != "" && t.asRemembered(e.Fields, p).Hash() == p.mapping.Returned
	})
}

// asRemembered gives fields with their zone spelled as what is remembered has it.
func (t *taskPass) asRemembered(f calendarsync.Fields, p *party) calendarsync.Fields {
	return f.SpelledAs(p.mapping.Returned, t.basis.rules.Settings.TimeZone)
}

// ask asks Google for the mapped event and believes what it says.
func (t *taskPass) ask(ctx context.Context, p *party) error {
	ev, err := t.s.Google.Event(ctx, p.record.Calendar.ID, p.mapping.EventID)
	if err != nil && !failure.Is(err, failure.Gone) {
		return err
	}
	if err == nil && !ev.Cancelled && !t.marked(ev, p) {
		if err := t.judgeUnmarked(ctx, ev, p); err != nil {
			return err
		}
	}
	if err == nil {
		t.s.witnesses.add(p.record.Calendar.ID, ev)
	}
	p.asked = true
	p.sequence, p.etag = ev.Sequence, ev.ETag
	switch {
	case err != nil:
		// Never used, as by an announced insert that was never made; or deleted for
		// good, which the insert finds out.
		p.actual = calendarsync.Actual{Presence: calendarsync.Never}
	case ev.Cancelled || !t.ours(ev, p):
		// Either way the id is taken and nothing of ours is under it. An event
		// without our mark is never touched (rule 3.2).
		p.actual = calendarsync.Actual{Presence: calendarsync.Cancelled}
	default:
		p.actual.Presence = calendarsync.Live
		p.actual.Observed = &ev.Fields
		if ev.Marked {
			p.actual.Sent = ev.Mark.Hash
		}
		if p.mapping.Open() {
			// What Google returned for the lost write is not known.
			p.actual.Returned = ""
		}
	}
	return nil
}

// The kinds of drift found at events: what is otherwise at Google than it had been
// left (rule 8.4).
const (
	// DriftMoved: start or end was changed, whatever else was.
	DriftMoved    = "event.moved"
	DriftEdited   = "event.edited"
	DriftDeleted  = "event.deleted"
	DriftRestored = "event.restored"
	// DriftDoubled: a further event of the same task and employee, removed.
	DriftDoubled = "event.doubled"
	// DriftMisplaced: an own event of one employee in another's calendar, deleted there.
	DriftMisplaced = "event.misplaced"
	// DriftCopied: a marked event under an id that is not its own, left alone.
	DriftCopied = "event.copied"
)

// reportDrift compares what Google said of an event that the listing had shown
// otherwise than remembered with what it had been left as (rule 2.3).
func (t *taskPass) reportDrift(p *party) {
	live := p.actual.Presence == calendarsync.Live
	switch {
	case p.restored && live:
		t.Drift.Add(DriftRestored, 1)
	case p.restored:
		// The list was older than our own deletion.
	case !live:
		t.Drift.Add(DriftDeleted, 1)
	case p.mapping.Returned == "" || t.asRemembered(*p.actual.Observed, p).Hash() == p.mapping.Returned:
		// Just adopted, with no memory of it; or the list was older than a write.
	default:
		fields := t.asRemembered(*p.actual.Observed, p).Changed(p.mapping.Returned)
		for _, f := range fields {
			t.Fields.Add(f, 1)
		}
		kind := DriftEdited
		if slices.Contains(fields, calendarsync.FieldStart) || slices.Contains(fields, calendarsync.FieldEnd) {
			kind = DriftMoved
		}
		t.Drift.Add(kind, 1)
	}
}

// via is how the party has the event. An adopted event does not say why it is
// there; it may have come by a division, so that divisions left out are no evidence
// (rule 4.1).
func via(p *party) string {
	switch {
	case p.actual.Presence != calendarsync.Live:
		return ""
	case p.mapping.Via == "":
		return calendarsync.ViaDivision
	}
	return p.mapping.Via
}

// recipient is an employee as decisions need them; via is how they have the event.
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
