package plan

import (
	"slices"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Count is what the records of tasks come to for a plan. It is added up in parts where there
// are too many for one look, and kept as JSON in between.
type Count struct {
	// States and Divisions are whose events are shown no more.
	States    []calendarsync.StateID `json:"states,omitempty"`
	Divisions bool                   `json:"divisions,omitempty"`
	// Live are the events that there are, by employee, and Hidden those shown no more, by
	// employee and calendar.
	Live   map[int64]int  `json:"live,omitempty"`
	Hidden map[string]int `json:"hidden,omitempty"`
}

// NewCount begins to count what a plan concerns.
func (p Plan) NewCount() *Count {
	return &Count{States: p.States, Divisions: p.Divisions}
}

// Add counts some more tasks; none may be added twice.
func (c *Count) Add(tasks []store.TaskRecord) {
	if c.Live == nil {
		c.Live = map[int64]int{}
	}
	if c.Hidden == nil {
		c.Hidden = map[string]int{}
	}
	for _, t := range tasks {
		for _, id := range t.Mapped() {
			m, _ := t.Mapping(id)
			if m.State != store.MappingLive {
				continue
			}
			c.Live[id]++
			if slices.Contains(c.States, calendarsync.StateID(m.StateID)) || c.Divisions && m.Via == calendarsync.ViaDivision {
				c.Hidden[inCalendar(id, m.Epoch)]++
			}
		}
	}
}

func inCalendar(employee int64, epoch string) string {
	return strconv.FormatInt(employee, 10) + " " + epoch
}
