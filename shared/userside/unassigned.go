package userside

import (
	"context"
	"slices"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// confirmUnassigned asks the list of tasks without executors about those whose executors
// show leaves out. What is on it has none, explicitly (rule 4.1); a map that is missing is
// no evidence, and neither is a list that fails or lacks the task.
func (c *Client) confirmUnassigned(ctx context.Context, readings map[calendarsync.TaskID]calendarsync.TaskReading) {
	var silent []calendarsync.TaskID
	var states []calendarsync.StateID
	for id, r := range readings {
		if r.Task == nil {
			continue
		}
		if _, said := r.Task.Executors.Get(); said {
			continue
		}
		// The list is asked for by the task's state, or it would be as long as the ERP is old.
		if state, said := r.Task.State.Get(); said {
			silent = append(silent, id)
			states = append(states, state)
		}
	}
	if len(silent) == 0 {
		return
	}
	unassigned, err := c.ListTasks(ctx, TaskFilter{Unassigned: true, States: distinct(states)})
	if err != nil || !c.tellsUnassigned(ctx, unassigned, distinct(states)) {
		return
	}
	for _, id := range silent {
		if slices.Contains(unassigned, id) {
			readings[id].Task.Executors = calendarsync.Say([]calendarsync.EmployeeID{})
		}
	}
}

// tellsUnassigned reports whether the ERP heeds the filter for tasks without executors: one
// that ignored it would list every task. Seen once, that holds while the process lives.
func (c *Client) tellsUnassigned(ctx context.Context, unassigned []calendarsync.TaskID, states []calendarsync.StateID) bool {
	c.mu.Lock()
	known := c.unassigned
	c.mu.Unlock()
	if known || len(unassigned) == 0 {
		return known
	}
	all, err := c.ListTasks(ctx, TaskFilter{States: states})
	if err != nil || len(all) <= len(unassigned) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unassigned = true
	return true
}
