package calendars

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// batch is what the ERP said at the beginning of a message of all of its employees:
// read in hundreds, each task once (rule 8.3). It is older than the leases,
// so nothing is ever written from it: it tells where nothing differs, and whatever
// differs is read again (rule 1.2). A nil batch knows nothing.
type batch struct {
	employees map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	states    []calendarsync.StateID
	own       map[calendarsync.EmployeeID][]calendarsync.TaskID
	divisions map[calendarsync.DivisionID][]calendarsync.TaskID
	tasks     map[calendarsync.TaskID]calendarsync.TaskReading
}

const (
	// batchTimeout bounds the reading ahead of one message.
	batchTimeout = time.Minute
	// maxAhead bounds how many tasks are read ahead: a worker has 256 MiB for the
	// messages that it works on at the same time.
	maxAhead = 5000
)

// errOlder stops a look that would write from what was read before its lease.
var errOlder = errors.New("calendars: the reading is older than the lease")

// ahead reads for a message what its employees have in common. Where that fails,
// each of them is read by itself, and the failure recorded on their key.
func (k *Syncer) ahead(ctx context.Context, o Order, ids []calendarsync.EmployeeID) *batch {
	if len(ids) < 2 || !audits(o.Cause) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	b := &batch{
		own: map[calendarsync.EmployeeID][]calendarsync.TaskID{}, divisions: map[calendarsync.DivisionID][]calendarsync.TaskID{},
		tasks: map[calendarsync.TaskID]calendarsync.TaskReading{},
	}
	var err error
	if b.employees, err = k.ERP.Employees(ctx, ids); err == nil {
		err = b.readTasks(ctx, k, ids)
	}
	if err != nil {
		k.Log.WarnContext(ctx, "the ERP could not be read ahead", "employees", len(ids), "error", err)
		return nil
	}
	return b
}

func (b *batch) readTasks(ctx context.Context, k *Syncer, ids []calendarsync.EmployeeID) error {
	rules, err := k.Rules.Rules(ctx)
	if err != nil {
		return err
	}
	if b.states = rules.Catalogue.StatesWithRoles(rules.Settings.ShownRoles); len(b.states) == 0 {
		return nil
	}
	var mu sync.Mutex
	var listing errgroup.Group
	listing.SetLimit(atOnce)
	for _, id := range ids {
		reading := b.employees[id]
		if verdict, _ := calendarsync.DecideEmployee(rules.Settings, reading, false); verdict != calendarsync.Keep {
			continue
		}
		listing.Go(func() error {
			list, err := k.ERP.ListTasks(ctx, userside.TaskFilter{Employee: id, States: b.states})
			mu.Lock()
			defer mu.Unlock()
			b.own[id] = list
			return err
		})
		if !rules.Settings.IncludeDepartments {
			continue
		}
		for _, d := range reading.Employee.Divisions.Or(nil) {
			mu.Lock()
			_, asked := b.divisions[d]
			b.divisions[d] = nil
			mu.Unlock()
			if asked {
				continue
			}
			listing.Go(func() error {
				list, err := k.ERP.ListTasks(ctx, userside.TaskFilter{Division: d, States: b.states})
				mu.Lock()
				defer mu.Unlock()
				b.divisions[d] = list
				return err
			})
		}
	}
	if err := listing.Wait(); err != nil {
		return err
	}
	var all []calendarsync.TaskID
	for _, list := range b.own {
		all = append(all, list...)
	}
	for _, list := range b.divisions {
		all = append(all, list...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for part := range slices.Chunk(all[:min(len(all), maxAhead)], readSize) {
		readings, err := k.ERP.Tasks(ctx, part)
		if err != nil {
			return err
		}
		for id, r := range readings {
			b.tasks[id] = r
		}
	}
	return nil
}

// audits reports whether a cause by itself asks for a complete look at a calendar.
func audits(c queue.Cause) bool { return c != queue.CauseNotify && c != queue.CausePoll }

// quiet gives the reading of the employee, if there is one and it says nothing
// but what is remembered, so that nothing is to be done for what it says.
func (l *employeePass) quiet() (*calendarsync.Employee, bool) {
	if l.batch == nil {
		return nil, false
	}
	reading, rec := l.batch.employees[l.id], l.rec()
	c := rec.Calendar
	switch {
	case l.stopped != nil, reading.Employee == nil, reading.Invalid != nil, rec.Vouched, l.order.Deleted, c == nil:
		return nil, false
	case c.ID == "", !c.Listed, c.Filled.IsZero(), rec.State != store.StateActive, len(rec.Retiring) > 0, rec.Held != "", !rec.AbsentSince.IsZero(), !rec.RebuildAsked.IsZero():
		return nil, false
	}
	if verdict, _ := calendarsync.DecideEmployee(l.settings, reading, false); verdict != calendarsync.Keep {
		return nil, false
	}
	name, address, divisions := learned(*rec, *reading.Employee)
	if reading.Employee.Digest(l.settings.BindingField) != rec.Seen || name != rec.Name || address != rec.Address || !slices.Equal(divisions, rec.Divisions) ||
		calendarsync.NormalAddress(c.Address) != calendarsync.NormalAddress(address) {
		return nil, false
	}
	return reading.Employee, true
}

// fresh is asked before whatever follows from the employee's reading is written:
// it must have been made under the lease.
func (l *employeePass) fresh() error {
	if l.older {
		return errOlder
	}
	return nil
}

// listTasks gives the open tasks of the filter, as the message's batch has them or
// as the ERP says now.
func (l *employeePass) listTasks(ctx context.Context, f userside.TaskFilter) ([]calendarsync.TaskID, error) {
	if b := l.batch; b != nil && slices.Equal(b.states, f.States) {
		list, there := b.own[f.Employee]
		if f.Division != 0 {
			list, there = b.divisions[f.Division]
		}
		if there {
			return list, nil
		}
	}
	return l.k.ERP.ListTasks(ctx, f)
}

// readAhead splits ids into those that the batch has readings of and the rest.
func (l *employeePass) readAhead(ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, []calendarsync.TaskID) {
	readings := map[calendarsync.TaskID]calendarsync.TaskReading{}
	if l.batch == nil {
		return readings, ids
	}
	var rest []calendarsync.TaskID
	for _, id := range ids {
		if r, there := l.batch.tasks[id]; there {
			readings[id] = r
		} else {
			rest = append(rest, id)
		}
	}
	return readings, rest
}
