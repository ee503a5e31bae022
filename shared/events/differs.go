package events

import (
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
		if len(shown) != 1 || shown[0].ID != m.EventID || shown[0].Fields.Hash() != m.Returned {
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
