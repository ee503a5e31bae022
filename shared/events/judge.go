package events

import (
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// known is all that the judgement on one event of an active calendar rests on.
type known struct {
	party
	decision calendarsync.Decision
	stateID  int64 // the task's state as read; 0: not said
	// listed: the calendar was listed completely since its record was made, so that
	// no mapping means no event (rule 3.4).
	listed bool
	// acquiredAt and readAt are when the lease was acquired and when at the latest
	// the ERP was read, by the database's clock.
	acquiredAt, readAt time.Time
	absence            time.Duration // between two readings that let an absent event go
	// applied is what an admin saw of the settings in force before applying them.
	applied *calendarsync.Applied
}

// judgement is what to do about one event, and what to remember of it.
type judgement struct {
	action   calendarsync.Action
	decision calendarsync.Decision // what is to be written, and for what reason
	// counted: a deletion that nobody may have meant, for the delete guard.
	counted bool
	// reason is why the event goes, "" where it does not.
	reason calendarsync.Reason
	// absentSince is when a reading first lacked what this one lacks, and absentFor the
	// reason; zero without an absence.
	absentSince time.Time
	absentFor   string
	// remember is the mapping of an event that is left as it is; nil where it is
	// remembered so already. asItIs is the same for one that is to be written, should
	// it come to nothing.
	remember *store.Mapping
	asItIs   store.Mapping
	forget   bool // the mapping need not be remembered any more
	relist   bool // the calendar has to be listed before anything is inserted
	// concerned: the task still has to do with the employee.
	concerned bool
	// settled: the event is as it ought to be, or none of the party's is to be there.
	settled bool
	failure error     // to be recorded
	again   time.Time // when another pass is due; zero: never
}

// judge says what is to be done about one event. It calls nobody.
func judge(k known) judgement {
	j := judgement{decision: k.decision, asItIs: k.asItIs()}
	switch {
	case k.decision.Verdict == calendarsync.Unknown && troubles(k.decision, k.actual):
		j.failure = k.decision.Err
	case k.decision.Verdict == calendarsync.Absent && k.actual.Presence == calendarsync.Live:
		j.absentSince, j.absentFor = k.absentSince(), string(k.decision.Reason)
		if second := j.absentSince.Add(k.absence); k.acquiredAt.Before(second) {
			j.again = second
		} else {
			// The second complete reading, far enough from the first (rule 4.2).
			j.decision.Verdict = calendarsync.Remove
		}
	}
	j.action = calendarsync.Step(j.decision, k.actual)
	if j.action == calendarsync.Delete {
		j.reason = j.decision.Reason
		if k.planned() {
			j.reason = calendarsync.ReasonSettings
		}
		j.counted = !j.absentSince.IsZero() || k.roleChanged() && j.reason != calendarsync.ReasonSettings
	}
	switch {
	case j.action == calendarsync.Nothing && k.inDoubt():
		m := k.mapping
		if m.GoneSince.IsZero() {
			m.GoneSince = k.readAt
			j.remember = &m
		}
		j.again = doubtedAgain(m.GoneSince, k.acquiredAt, k.absence)
	case j.action == calendarsync.Nothing:
		j.forget = k.mapped && j.asItIs.Expired(k.acquiredAt)
		if k.mapped && !j.forget {
			j.remember = k.remember(j)
		}
	case j.action == calendarsync.Insert && !k.listed:
		// An event may be there that nobody remembers (rule 3.4). A calendar that could not be
		// listed rests (rule 7.2), and its next list has all its tasks looked at.
		j.action, j.relist, j.again = calendarsync.Nothing, true, k.acquiredAt
		if rest := k.record.DueAt; k.record.Failure != nil && rest.After(k.acquiredAt) {
			j.relist, j.again = false, rest
		}
	}
	j.settled = j.action == calendarsync.Nothing && (k.actual.Presence == calendarsync.Live || k.mapping.State == store.MappingTombstone ||
		j.decision.Verdict != calendarsync.Unknown && j.decision.Verdict != calendarsync.Keep)
	j.concerned = k.mapped && !j.forget || j.action != calendarsync.Nothing || !over(k.decision)
	return j
}

// absentSince is when a reading first lacked what the present one lacks.
func (k known) absentSince() time.Time {
	if !k.mapping.AbsentSince.IsZero() && k.mapping.AbsentFor == string(k.decision.Reason) {
		return k.mapping.AbsentSince
	}
	// From the reading, not from the lease: the ERP may have been slow, and the
	// second reading has to be that much later (rule 4.2).
	return k.readAt
}

// inDoubt reports whether Google does not find an event that was to be deleted, and that is
// not gone for sure (rule 3.9).
func (k known) inDoubt() bool { return k.lost() && !k.gone }

// roleChanged reports whether the task goes although its state is that with which
// the event was right: the catalogue changed, and not the task (rule 4.3).
func (k known) roleChanged() bool {
	return k.decision.Reason == calendarsync.ReasonState && k.mapping.StateID != 0 && k.mapping.StateID == k.stateID
}

// planned reports whether the event goes because of settings that an admin applied after a
// plan that said so (rule 4.14).
func (k known) planned() bool {
	switch k.decision.Reason {
	case calendarsync.ReasonState:
		return k.mapping.StateID == k.stateID && k.applied.Hides(calendarsync.StateID(k.stateID), k.acquiredAt)
	case calendarsync.ReasonReassigned:
		return k.mapping.Via == calendarsync.ViaDivision && k.applied.HidesDivisions(k.acquiredAt)
	}
	return false
}

// asItIs is the mapping of an event that is left as it is: what was remembered or,
// where Google was asked, what Google said. An intent whose maker died may have
// taken effect, so what was remembered before it must not outlive it.
func (k known) asItIs() store.Mapping {
	m := k.mapping
	m.State, m.Owner, m.Deadline, m.GoneSince = store.MappingTombstone, "", time.Time{}, time.Time{}
	switch {
	case k.actual.Presence == calendarsync.Live:
		m.State, m.GoneAt = store.MappingLive, time.Time{}
	case m.GoneAt.IsZero():
		m.GoneAt = k.acquiredAt
	}
	if k.asked {
		m.Sequence, m.ETag, m.Sent, m.Returned = k.sequence, k.etag, k.actual.Sent, k.actual.Returned
	}
	return m
}

// remember is the mapping of an event about which nothing is done; nil where it is
// remembered so already.
func (k known) remember(j judgement) *store.Mapping {
	m := j.asItIs
	m.AbsentSince, m.AbsentFor = j.absentSince, j.absentFor
	if k.decision.Verdict != calendarsync.Unknown && j.absentSince.IsZero() {
		// The source recovered, or gives reasons of its own: nothing is held.
		m.Release()
	}
	if k.decision.Verdict == calendarsync.Keep {
		m.Via, m.StateID = k.decision.Via, k.stateID
		if k.asked {
			// It is as it ought to be, so what Google gives back is what to expect.
			m.Returned = k.actual.Observed.Hash()
		}
	}
	if m == k.mapping && !k.adopted {
		return nil
	}
	return &m
}

// over reports whether a task has nothing more to do with an employee: without an
// event it need not be remembered, or every task ever closed would be for ever.
func over(d calendarsync.Decision) bool {
	switch d.Reason {
	case calendarsync.ReasonState, calendarsync.ReasonDeleted, calendarsync.ReasonReassigned:
		return d.Verdict == calendarsync.Remove
	}
	return false
}

// troubles reports whether a decision to leave things as they are has to be
// recorded: a task that is missing, or in a state that was not shown when states could be
// read last, and has no event, troubles nobody.
func troubles(d calendarsync.Decision, a calendarsync.Actual) bool {
	quiet := d.Reason == calendarsync.ReasonMissing || d.Reason == calendarsync.ReasonState
	return d.Err != nil && (!quiet || a.Presence == calendarsync.Live)
}

// Differs reports whether a task deserves a pass: whether one employee's calendar,
// as just listed, is not what it ought to be, or something about it is unfinished.
// It decides nothing for good; Sync reads again under the task's lease.
func Differs(rules *calendarsync.Rules, reading calendarsync.TaskReading, rec store.TaskRecord, e store.EmployeeRecord, listed *Listing) bool {
	m, mapped := rec.Mapping(e.ID)
	shown := listed.Events[calendarsync.TaskID(rec.ID)]
	actual := calendarsync.Actual{Sent: m.Sent, Returned: m.Returned}
	switch {
	case mapped && (e.Calendar == nil || m.Epoch != e.Calendar.Epoch), mapped && m.Open(), !m.HeldSince.IsZero(), !m.AbsentSince.IsZero():
		// What is unfinished, held or absent deserves a pass, if only to clear it.
		return true
	case mapped && m.State == store.MappingLive:
		older := listed.olderThan(m) && (len(shown) == 0 || len(shown) == 1 && shown[0].ID == m.EventID)
		if !older && (len(shown) != 1 || shown[0].ID != m.EventID || shown[0].Fields.SpelledAs(m.Returned, rules.Settings.TimeZone).Hash() != m.Returned) {
			return true
		}
		actual.Presence = calendarsync.Live
	case len(shown) > 0:
		return true
	case mapped:
		actual.Presence = calendarsync.Cancelled
	}
	d := rules.Decide(reading, recipient(e, m.Via), rec.Vouched)
	switch d.Verdict {
	case calendarsync.Unknown:
		return troubles(d, actual)
	case calendarsync.Absent:
		return actual.Presence == calendarsync.Live
	}
	return calendarsync.Step(d, actual) != calendarsync.Nothing
}
