package events

import (
	"errors"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// TestJudge holds each branch of the judgement to what it does and remembers.
func TestJudge(t *testing.T) {
	t.Parallel()
	const (
		wait     = 10 * time.Minute
		acquired = 100 * time.Minute // after the epoch of this test
		read     = acquired + time.Minute
	)
	at := func(d time.Duration) time.Time { return time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(d) }
	content := calendarsync.Event{Title: "Repair", Start: calendarsync.EventTime{Date: "2026-03-04"}, End: calendarsync.EventTime{Date: "2026-03-05"}}
	fields := calendarsync.Fields{Title: content.Title, Start: content.Start, End: content.End}
	edited := fields
	edited.Title = "Mine"

	mapping := func(change func(*store.Mapping)) store.Mapping {
		m := store.Mapping{
			Epoch: "epoch", EventID: "e1", State: store.MappingLive, Sequence: 3, ETag: "tag", Sent: content.Hash(),
			Returned: fields.Hash(), Via: calendarsync.ViaExecutor, StateID: 1,
		}
		if change != nil {
			change(&m)
		}
		return m
	}
	tombstone := mapping(func(m *store.Mapping) {
		m.State, m.ETag, m.Sent, m.Returned, m.GoneAt = store.MappingTombstone, "", "", "", at(0)
	})
	// live and gone are an event that was not asked for, and is as remembered.
	live := func(m store.Mapping) known {
		return known{party: party{mapping: m, mapped: true, observation: observation{
			actual: calendarsync.Actual{Presence: calendarsync.Live, Sent: m.Sent, Returned: m.Returned}, sequence: m.Sequence, etag: m.ETag}}}
	}
	gone := func(m store.Mapping) known {
		return known{party: party{mapping: m, mapped: true, observation: observation{actual: calendarsync.Actual{Presence: calendarsync.Cancelled}}}}
	}
	// asked is an event of which Google was asked.
	asked := func(m store.Mapping, a calendarsync.Actual) known {
		return known{party: party{mapping: m, mapped: true, observation: observation{actual: a, asked: true, sequence: 7, etag: "new"}}}
	}
	none := known{}

	keep := calendarsync.Decision{Verdict: calendarsync.Keep, Event: content, Via: calendarsync.ViaExecutor}
	other := keep
	other.Event.Title = "Another"
	remove := func(r calendarsync.Reason) calendarsync.Decision {
		return calendarsync.Decision{Verdict: calendarsync.Remove, Reason: r}
	}
	absent := calendarsync.Decision{Verdict: calendarsync.Absent, Reason: calendarsync.ReasonStaffMissing}
	trouble := failure.New(failure.SourceInvalid, "test", "")
	unknown := func(r calendarsync.Reason) calendarsync.Decision {
		return calendarsync.Decision{Verdict: calendarsync.Unknown, Reason: r, Err: trouble}
	}
	lacking := func(since time.Duration, reason calendarsync.Reason) func(*store.Mapping) {
		return func(m *store.Mapping) { m.AbsentSince, m.AbsentFor = at(since), string(reason) }
	}
	held := func(m *store.Mapping) { m.HeldSince, m.HeldFor, m.AllowedAt = at(time.Hour), "state", at(time.Hour) }

	type want struct {
		action   calendarsync.Action
		counted  bool
		absent   time.Time
		remember *store.Mapping
		forget   bool
		relist   bool
		over     bool // not concerned
		failed   bool
		again    time.Time
	}
	remembered := func(m store.Mapping, change func(*store.Mapping)) *store.Mapping {
		change(&m)
		return &m
	}
	rows := []struct {
		name     string
		known    known
		decision calendarsync.Decision
		unlisted bool
		stateID  int64
		want     want
	}{
		// To be there.
		{name: "as it ought to be", known: live(mapping(nil)), decision: keep},
		{name: "not there", known: none, decision: keep, want: want{action: calendarsync.Insert}},
		// Rule 3.4: no mapping means no event only in a calendar that was listed.
		{name: "not there, in a calendar never listed", known: none, decision: keep, unlisted: true, want: want{relist: true, again: at(acquired)}},
		{name: "deleted by us", known: gone(tombstone), decision: keep, want: want{action: calendarsync.Revive}},
		{name: "deleted by us, in a calendar never listed", known: gone(tombstone), decision: keep, unlisted: true, want: want{action: calendarsync.Revive}},
		{name: "an announced insert that was never made", known: asked(mapping(func(m *store.Mapping) { m.State = store.MappingIntended }), calendarsync.Actual{}),
			decision: keep, want: want{action: calendarsync.Insert}},
		{name: "other content", known: live(mapping(nil)), decision: other, want: want{action: calendarsync.Update}},
		// Rule 2.3: drift is what somebody changed of what Google returned.
		{name: "changed at Google", known: asked(mapping(nil), calendarsync.Actual{Presence: calendarsync.Live, Sent: content.Hash(), Returned: fields.Hash(), Observed: &edited}),
			decision: keep, want: want{action: calendarsync.Update}},
		{name: "by another way than remembered", known: live(mapping(func(m *store.Mapping) { m.Via, m.StateID = "", 0 })), decision: keep,
			want: want{remember: remembered(mapping(nil), func(*store.Mapping) {})}},
		// Rule 2.4: what was remembered before a lost write does not outlive it.
		{name: "a lost update that arrived", known: asked(mapping(func(m *store.Mapping) {
			m.State, m.Owner, m.Deadline, m.Sent, m.Returned = store.MappingIntended, "other", at(0), "old", "old"
		}), calendarsync.Actual{Presence: calendarsync.Live, Sent: content.Hash(), Observed: &fields}), decision: keep,
			want: want{remember: remembered(mapping(nil), func(m *store.Mapping) { m.Sequence, m.ETag = 7, "new" })}},
		{name: "adopted from the listing", known: func() known {
			k := live(mapping(nil))
			k.adopted = true
			return k
		}(), decision: keep, want: want{remember: remembered(mapping(nil), func(*store.Mapping) {})}},
		// Rule 4.5: a source that recovered holds nothing any more, nor is it absent.
		{name: "recovered", known: live(mapping(func(m *store.Mapping) {
			held(m)
			lacking(0, absent.Reason)(m)
		})), decision: keep, want: want{remember: remembered(mapping(nil), func(*store.Mapping) {})}},

		// Not to be there (rule 4.1).
		{name: "closed", known: live(mapping(nil)), decision: remove(calendarsync.ReasonState), stateID: 2, want: want{action: calendarsync.Delete}},
		{name: "undated", known: live(mapping(nil)), decision: remove(calendarsync.ReasonUndated), want: want{action: calendarsync.Delete}},
		// Rule 4.3: the same state with another role is a change of the catalogue.
		{name: "closed by the catalogue", known: live(mapping(nil)), decision: remove(calendarsync.ReasonState), want: want{action: calendarsync.Delete, counted: true}},
		{name: "closed, with no memory of its state", known: live(mapping(func(m *store.Mapping) { m.StateID = 0 })), decision: remove(calendarsync.ReasonState),
			want: want{action: calendarsync.Delete}},
		{name: "closed, never there", known: none, decision: remove(calendarsync.ReasonState), want: want{over: true}},
		{name: "reassigned, never there", known: none, decision: remove(calendarsync.ReasonReassigned), want: want{over: true}},
		{name: "deleted in the ERP, never there", known: none, decision: remove(calendarsync.ReasonDeleted), want: want{over: true}},
		{name: "undated, never there", known: none, decision: remove(calendarsync.ReasonUndated)},
		{name: "closed and deleted", known: gone(tombstone), decision: remove(calendarsync.ReasonState)},
		{name: "closed and deleted by somebody", known: asked(mapping(nil), calendarsync.Actual{Presence: calendarsync.Cancelled}), decision: remove(calendarsync.ReasonState),
			want: want{remember: remembered(tombstone, func(m *store.Mapping) { m.Sequence, m.ETag, m.GoneAt = 7, "new", at(acquired) })}},
		// Rule 2.7: a tombstone ends after 30 days, but for a later generation.
		{name: "closed and deleted long ago", known: gone(func() store.Mapping {
			m := tombstone
			m.GoneAt = at(acquired - 31*24*time.Hour)
			return m
		}()), decision: remove(calendarsync.ReasonState), want: want{forget: true, over: true}},
		{name: "a later generation deleted long ago", known: gone(func() store.Mapping {
			m := tombstone
			m.GoneAt, m.Generation = at(acquired-31*24*time.Hour), 1
			return m
		}()), decision: remove(calendarsync.ReasonState)},

		// Perhaps not to be there (rule 4.2).
		{name: "absent for the first time", known: live(mapping(nil)), decision: absent,
			want: want{absent: at(read), again: at(read + wait), remember: remembered(mapping(nil), lacking(read, absent.Reason))}},
		{name: "absent, too early for the second reading", known: live(mapping(lacking(acquired-wait+1, absent.Reason))), decision: absent,
			want: want{absent: at(acquired - wait + 1), again: at(acquired + 1)}},
		{name: "absent in a second reading", known: live(mapping(lacking(acquired-wait, absent.Reason))), decision: absent,
			want: want{action: calendarsync.Delete, counted: true, absent: at(acquired - wait)}},
		{name: "lacking something else before", known: live(mapping(lacking(0, calendarsync.ReasonMissing))), decision: absent,
			want: want{absent: at(read), again: at(read + wait), remember: remembered(mapping(nil), lacking(read, absent.Reason))}},
		{name: "absent, and never there", known: none, decision: absent},
		{name: "absent, and deleted", known: gone(tombstone), decision: absent},
		{name: "held and absent", known: live(mapping(func(m *store.Mapping) {
			held(m)
			lacking(acquired-time.Minute, absent.Reason)(m)
		})), decision: absent, want: want{absent: at(acquired - time.Minute), again: at(acquired - time.Minute + wait)}},

		// Nobody can tell.
		{name: "unreadable, and there", known: live(mapping(nil)), decision: unknown(calendarsync.ReasonInvalid), want: want{failed: true}},
		{name: "unreadable, and held", known: live(mapping(held)), decision: unknown(calendarsync.ReasonInvalid), want: want{failed: true}},
		{name: "unreadable, and absent before", known: live(mapping(lacking(0, absent.Reason))), decision: unknown(calendarsync.ReasonInvalid),
			want: want{failed: true, remember: remembered(mapping(nil), func(*store.Mapping) {})}},
		{name: "an ERP without tasks, and there", known: live(mapping(nil)), decision: unknown(calendarsync.ReasonMissing), want: want{failed: true}},
		{name: "an ERP without tasks, and not there", known: none, decision: unknown(calendarsync.ReasonMissing)},
		{name: "unreadable, and not there", known: none, decision: unknown(calendarsync.ReasonInvalid), want: want{failed: true}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			k := row.known
			k.decision, k.listed, k.stateID = row.decision, !row.unlisted, 1
			if row.stateID != 0 {
				k.stateID = row.stateID
			}
			k.acquiredAt, k.readAt, k.absence = at(acquired), at(read), wait
			j := judge(k)
			got := want{action: j.action, counted: j.counted, absent: j.absentSince, forget: j.forget, relist: j.relist,
				over: !j.concerned, failed: j.failure != nil, again: j.again}
			remember := row.want.remember
			row.want.remember = nil
			if got != row.want {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
			switch {
			case (j.remember == nil) != (remember == nil):
				t.Errorf("remembers %+v, want %+v", j.remember, remember)
			case remember != nil && *j.remember != *remember:
				t.Errorf("remembers\n%+v, want\n%+v", *j.remember, *remember)
			}
			if j.failure != nil && !errors.Is(j.failure, trouble) {
				t.Errorf("failed with %v", j.failure)
			}
			if j.action == calendarsync.Delete && j.decision.Verdict != calendarsync.Remove {
				t.Errorf("deletes by verdict %v", j.decision.Verdict)
			}
		})
	}
}

// TestGuardAsksForWhatIsNeitherHeldNorLetThrough: rules 4.3 and 4.8, what was let
// through by a pass whose end is not known is not asked for again.
func TestGuardAsksForWhatIsNeitherHeldNorLetThrough(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		counted bool
		mapping store.Mapping
		want    bool
	}{
		"counted":                  {true, store.Mapping{State: store.MappingLive}, true},
		"not counted":              {false, store.Mapping{State: store.MappingLive}, false},
		"held":                     {true, store.Mapping{State: store.MappingLive, HeldSince: time.Now()}, false},
		"let through before":       {true, store.Mapping{State: store.MappingDeleting}, false},
		"an update of unknown end": {true, store.Mapping{State: store.MappingIntended}, true},
		"let through, not counted": {false, store.Mapping{State: store.MappingDeleting}, false},
	} {
		if got := asksGuard(write{party: &party{mapping: row.mapping}, judgement: judgement{counted: row.counted}}); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

// TestAdopt: rule 3.3, of several own events that a listing shows the highest
// generation stays, unless a higher one is remembered.
func TestAdopt(t *testing.T) {
	t.Parallel()
	const who, epoch = 4, "epoch"
	event := func(generation int) googlecalendar.Event {
		return googlecalendar.Event{ID: calendarsync.EventID("t", 7, who, generation), Sequence: 2, ETag: "tag",
			Mark: calendarsync.Mark{Tenant: "t", Task: 7, Employee: who, Generation: generation, Hash: "sent"}}
	}
	mapping := func(generation int, state store.MappingState) *store.Mapping {
		return &store.Mapping{Epoch: epoch, EventID: event(generation).ID, Generation: generation, State: state, Returned: "returned"}
	}
	for name, row := range map[string]struct {
		before     *store.Mapping
		shown      []googlecalendar.Event
		generation int // of the mapping afterwards; -1: none
		state      store.MappingState
		adopted    bool
		restored   bool
		extras     int
	}{
		"nothing shown":                 {before: nil, generation: -1},
		"nothing shown, one remembered": {before: mapping(0, store.MappingLive), state: store.MappingLive},
		"unknown":                       {shown: []googlecalendar.Event{event(0)}, state: store.MappingLive, adopted: true},
		"two unknown":                   {shown: []googlecalendar.Event{event(2), event(0)}, generation: 2, state: store.MappingLive, adopted: true, extras: 1},
		"a higher one than remembered":  {before: mapping(0, store.MappingLive), shown: []googlecalendar.Event{event(1), event(0)}, generation: 1, state: store.MappingLive, adopted: true, extras: 1},
		"a lower one than remembered":   {before: mapping(1, store.MappingLive), shown: []googlecalendar.Event{event(0)}, generation: 1, state: store.MappingLive, extras: 1},
		"the one remembered":            {before: mapping(1, store.MappingLive), shown: []googlecalendar.Event{event(1)}, generation: 1, state: store.MappingLive},
		"one deleted by us":             {before: mapping(0, store.MappingTombstone), shown: []googlecalendar.Event{event(0)}, state: store.MappingLive, restored: true},
		"a lower one than deleted":      {before: mapping(1, store.MappingTombstone), shown: []googlecalendar.Event{event(0)}, generation: 1, state: store.MappingTombstone, extras: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pass := &taskPass{id: 7, mappings: map[int64]*store.Mapping{}, order: Order{Listed: &Listing{
				Employee: who, Epoch: epoch, Events: map[calendarsync.TaskID][]googlecalendar.Event{7: row.shown}}}}
			p := &party{id: who, record: store.EmployeeRecord{ID: who, Calendar: &store.CalendarRecord{ID: "c", Epoch: epoch}}}
			if row.before != nil {
				p.mapping, p.mapped = *row.before, true
			}
			pass.adopt(p)
			if p.mapped != (row.generation >= 0) || p.adopted != row.adopted || p.restored != row.restored || len(p.extras) != row.extras {
				t.Errorf("mapped %v, adopted %v, restored %v, %d extras", p.mapped, p.adopted, p.restored, len(p.extras))
			}
			if p.mapped && (p.mapping.Generation != row.generation || p.mapping.State != row.state || p.mapping.Epoch != epoch) {
				t.Errorf("mapping %+v", p.mapping)
			}
			if noted := pass.mappings[who]; (noted != nil) != row.adopted {
				t.Errorf("noted %+v", noted)
			}
		})
	}
}
