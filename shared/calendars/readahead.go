package calendars

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// readAhead is what the ERP said of all employees of a message, when the first of them
// who was at rest asked for it:
// read in hundreds, each task once (rule 8.3). It is older than most leases, so nothing
// is ever written from it: it shows where nothing differs, and whatever differs is read
// again (rule 1.2). A nil one knows nothing.
type readAhead struct {
	employees map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	states    []calendarsync.StateID
	extras    calendarsync.Extras // what was read of tasks
	// open are the lists of open tasks of employees and of divisions.
	open  map[list][]calendarsync.TaskID
	tasks map[calendarsync.TaskID]calendarsync.TaskReading
}

// list names a list of tasks of the ERP: an employee's or a division's.
type list struct {
	employee calendarsync.EmployeeID
	division calendarsync.DivisionID
}

func (l list) filter(states []calendarsync.StateID) userside.TaskFilter {
	return userside.TaskFilter{Employee: l.employee, Division: l.division, States: states}
}

// openLists are the lists of the ERP that hold an employee's open tasks. They have no
// lower bound of the date: an open task stays however old it gets.
func openLists(s calendarsync.Settings, id calendarsync.EmployeeID, divisions []calendarsync.DivisionID) []list {
	lists := []list{{employee: id}}
	if s.IncludeDepartments {
		// Whether a filter by employee covers tasks of their divisions is not documented
		// (shared/userside/README.md), so each division is asked for.
		for _, d := range divisions {
			lists = append(lists, list{division: d})
		}
	}
	return lists
}

const (
	// readAheadTimeout bounds the reading ahead of one message.
	readAheadTimeout = time.Minute
	// maxAhead bounds how many tasks are read ahead: a worker has 256 MiB for the
	// messages that it works on at the same time.
	maxAhead = 5000
)

// errOlder stops a pass that would write from what was read before its lease.
var errOlder = errors.New("calendars: the reading is older than the lease")

// readAhead reads for a message what its employees have in common. Where that fails,
// each of them is read alone, and the failure recorded on their key.
func (m *message) readAhead(ctx context.Context, ids []calendarsync.EmployeeID) *readAhead {
	if len(ids) < 2 || !comparesCalendar(m.order.Cause) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readAheadTimeout)
	defer cancel()
	a := &readAhead{open: map[list][]calendarsync.TaskID{}, tasks: map[calendarsync.TaskID]calendarsync.TaskReading{}}
	var err error
	if a.employees, err = m.ERP.Employees(ctx, ids); err == nil {
		err = a.readTasks(ctx, m.Deps, ids)
	}
	if err != nil {
		m.Log.WarnContext(ctx, "the ERP could not be read ahead", "employees", len(ids), "error", err)
		return nil
	}
	return a
}

func (a *readAhead) readTasks(ctx context.Context, d Deps, ids []calendarsync.EmployeeID) error {
	rules, err := d.Rules.Rules(ctx)
	if err != nil {
		return err
	}
	a.extras = rules.Texts.Extras
	if a.states = rules.Catalogue.StatesWithRoles(rules.Settings.ShownRoles); len(a.states) == 0 {
		return nil
	}
	if err := a.readLists(ctx, d.ERP, a.lists(rules.Settings, ids)); err != nil {
		return err
	}
	all := slices.Concat(slices.Collect(maps.Values(a.open))...)
	slices.Sort(all)
	all = slices.Compact(all)
	for part := range slices.Chunk(all[:min(len(all), maxAhead)], readSize) {
		readings, err := d.ERP.TasksWith(ctx, part, a.extras)
		if err != nil {
			return err
		}
		maps.Copy(a.tasks, readings)
	}
	return nil
}

// lists are those of everybody who is to have a calendar.
func (a *readAhead) lists(settings calendarsync.Settings, ids []calendarsync.EmployeeID) map[list]bool {
	lists := map[list]bool{}
	for _, id := range ids {
		reading := a.employees[id]
		if verdict, _ := calendarsync.DecideEmployee(settings, reading, false); verdict != calendarsync.Keep {
			continue
		}
		for _, l := range openLists(settings, id, reading.Employee.Divisions.Or(nil)) {
			lists[l] = true
		}
	}
	return lists
}

func (a *readAhead) readLists(ctx context.Context, erp ERP, lists map[list]bool) error {
	var mu sync.Mutex
	return pass.Each(slices.Collect(maps.Keys(lists)), atOnce, func(_ int, l list) error {
		tasks, err := erp.ListTasks(ctx, l.filter(a.states))
		mu.Lock()
		defer mu.Unlock()
		a.open[l] = tasks
		return err
	})
}

// readTasks gives what the ERP says of tasks: as they were read ahead or as it says now.
func (p *employeePass) readTasks(ctx context.Context, ids []calendarsync.TaskID, extras calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	readings, ahead := map[calendarsync.TaskID]calendarsync.TaskReading{}, cmp.Or(p.ahead, &readAhead{})
	var rest []calendarsync.TaskID
	for _, id := range ids {
		if r, read := ahead.tasks[id]; read && ahead.extras.Cover(extras) {
			readings[id] = r
		} else {
			rest = append(rest, id)
		}
	}
	for part := range slices.Chunk(rest, readSize) {
		if err := p.extend(ctx); err != nil {
			return nil, err
		}
		more, err := p.ERP.TasksWith(p.calls(ctx), part, extras)
		if err != nil {
			return nil, err
		}
		maps.Copy(readings, more)
	}
	return readings, nil
}

// listTasks gives the open tasks of a list, as they were read ahead or as the ERP says
// now. Without states the ERP would list every task there is.
func (p *employeePass) listTasks(ctx context.Context, l list, states []calendarsync.StateID) ([]calendarsync.TaskID, error) {
	if len(states) == 0 {
		return nil, nil
	}
	if a := p.ahead; a != nil && slices.Equal(a.states, states) {
		if tasks, read := a.open[l]; read {
			return tasks, nil
		}
	}
	return p.ERP.ListTasks(p.calls(ctx), l.filter(states))
}

// asReadAhead gives the reading of an employee at rest that was made ahead, if it says
// nothing but what is remembered, so that nothing is to be done for what it says; else nil.
func (p *employeePass) asReadAhead() *calendarsync.Employee {
	if p.ahead == nil {
		return nil
	}
	reading, rec := p.ahead.employees[p.id], p.rec()
	if verdict, _ := calendarsync.DecideEmployee(p.settings, reading, false); verdict != calendarsync.Keep {
		return nil
	}
	name, address, divisions := learned(*rec, *reading.Employee)
	if reading.Employee.Digest(p.settings.BindingField) != rec.Seen || name != rec.Name || address != rec.Address || !slices.Equal(divisions, rec.Divisions) ||
		calendarsync.NormalAddress(rec.Calendar.Address) != calendarsync.NormalAddress(address) {
		return nil
	}
	return reading.Employee
}

// atRest reports whether an employee has a calendar about which nothing is under way,
// held or absent.
func atRest(r store.EmployeeRecord) bool {
	c := r.Calendar
	return c != nil && c.ID != "" && c.Listed && !c.Filled.IsZero() && c.GoneSince.IsZero() && c.RuleMissingSince.IsZero() && r.State == store.StateActive &&
		len(r.Retiring) == 0 && r.Held == "" && r.KeptFor == "" && !r.Vouched && r.AbsentSince.IsZero() && r.RebuildAsked.IsZero()
}
