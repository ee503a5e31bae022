package poll

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// record keeps how the poll went, for the console and for monitoring.
func (p *poll) record(ctx context.Context) error {
	result := store.PollResult{Paused: p.sum.Paused, ERP: p.fault, RunMissed: p.runMissed, Unreadable: p.unreadableNow, SameAddress: p.sameAddress, Unreached: p.unreached}
	if apart, wrong, compared := p.apart(); compared {
		result.Clock = &store.ClockResult{Apart: apart, Wrong: wrong}
	}
	return p.Store.RecordPoll(ctx, result)
}

// fold has what was written counted by the hour.
func (p *poll) fold(ctx context.Context) error {
	if p.unknown != nil {
		return p.unknown
	}
	return p.Store.Fold(ctx, p.account.Sub, p.now, func(cause string) bool {
		return !slices.Contains([]queue.Cause{queue.CauseFill, queue.CauseReconcile}, queue.Cause(cause))
	})
}

// apart is how far the ERP's clock is from the setting time_zone; compared is false where
// either is not known.
func (p *poll) apart() (apart time.Duration, wrong, compared bool) {
	zone, err := time.LoadLocation(p.settings.TimeZone)
	if p.clock == nil || err != nil {
		return 0, false, false
	}
	apart = calendarsync.Apart(zone, p.clock.Unix, p.clock.Offset)
	return apart, apart > calendarsync.MaxApart, true
}

// sharing finds those who are to have a calendar and have one address.
func sharing(s calendarsync.Settings, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) []store.SharedAddress {
	at := map[string][]int64{}
	for id, r := range readings {
		if v, _ := calendarsync.DecideEmployee(s, r, false); v != calendarsync.Keep {
			continue
		}
		address, _ := r.Employee.Email.Get()
		address = calendarsync.NormalAddress(address)
		at[address] = append(at[address], int64(id))
	}
	out := []store.SharedAddress{}
	for _, ids := range at {
		if len(ids) > 1 {
			out = append(out, store.SharedAddress{Employees: slices.Sorted(slices.Values(ids))})
		}
	}
	slices.SortFunc(out, func(a, b store.SharedAddress) int { return cmp.Compare(a.Employees[0], b.Employees[0]) })
	return out[:min(len(out), mostShared)]
}

// mostShared bounds what one poll remembers of addresses that several share.
const mostShared = 50
