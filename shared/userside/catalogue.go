package userside

import (
	"context"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// keyed asks for a collection that is keyed by id.
func (c *Client) keyed(ctx context.Context, op, cat, action string) ([]entry, error) {
	rep, err := c.do(ctx, call{op: op, cat: cat, action: action, timeout: usualTimeout})
	if err != nil {
		return nil, err
	}
	members, ok := collection(rep.data())
	if !ok {
		return nil, distrust(op, "the answer is not keyed by id")
	}
	return members, nil
}

// Catalogue reads the task states and task types. It is complete or an error of kind
// source-invalid: one that is empty, or has an entry that cannot be read, is an error. A
// state whose role the ERP leaves out is not in it, so that to the rules it is an unknown
// state (absence) and not one that changed its role (evidence).
func (c *Client) Catalogue(ctx context.Context) (calendarsync.Catalogue, error) {
	const typeOp = "userside: read the catalogue of types"
	out, err := c.States(ctx)
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	out.Types = map[calendarsync.TypeID]calendarsync.TaskType{}
	types, err := c.keyed(ctx, typeOp, "task", "get_catalog_type")
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	for _, m := range types {
		o, name, ok := catalogueEntry(m)
		if !ok {
			return calendarsync.Catalogue{}, unreadable("task type", m.id, "id or name")
		}
		f := &fieldReader{}
		hours := 0.0
		if v := f.sub(o, "timescale")["hour_on_doing"]; !empty(v) {
			hours, ok = decimal(v)
			f.check(ok && hours >= 0 && hours <= maxHours, "timescale.hour_on_doing")
		}
		if f.bad != "" {
			return calendarsync.Catalogue{}, unreadable("task type", m.id, f.bad)
		}
		id := calendarsync.TypeID(m.id)
		out.Types[id] = calendarsync.TaskType{ID: id, Name: name, HourOnDoing: hours}
	}
	if len(out.Types) == 0 {
		return calendarsync.Catalogue{}, distrust(typeOp, "the ERP shows no task type")
	}
	return out, nil
}

// States reads the catalogue's states alone, in one call: Catalogue without Types.
func (c *Client) States(ctx context.Context) (calendarsync.Catalogue, error) {
	const stateOp = "userside: read the catalogue of states"
	out := calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{}}
	states, err := c.keyed(ctx, stateOp, "task", "get_catalog_state")
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	for _, m := range states {
		o, name, ok := catalogueEntry(m)
		if !ok {
			return calendarsync.Catalogue{}, unreadable("state", m.id, "id or name")
		}
		role := first(o, "system_role", "systemRole", "sysrole")
		if in, ok := role.(object); ok {
			role = in["id"]
		}
		if empty(role) {
			continue
		}
		n, ok := integer(role)
		if !ok {
			return calendarsync.Catalogue{}, unreadable("state", m.id, "system_role")
		}
		id := calendarsync.StateID(m.id)
		out.States[id] = calendarsync.State{ID: id, Name: name, Role: calendarsync.RoleID(n)}
	}
	if len(out.States) == 0 {
		return calendarsync.Catalogue{}, distrust(stateOp, "the ERP shows no state with a role")
	}
	return out, nil
}

// catalogueEntry checks that an entry is an object with the id of its key.
func catalogueEntry(m entry) (object, string, bool) {
	o, ok := m.value.(object)
	if !ok {
		return nil, "", false
	}
	if v := o["id"]; v != nil {
		if id, ok := integer(v); !ok || id != m.id {
			return nil, "", false
		}
	}
	name, ok := scalar(o["name"])
	return o, plainLine(name), ok
}

// Divisions reads the divisions' names. A company may have none.
func (c *Client) Divisions(ctx context.Context) (map[calendarsync.DivisionID]string, error) {
	members, err := c.keyed(ctx, "userside: read the divisions", "employee", "get_division_list")
	if err != nil {
		return nil, err
	}
	out := make(map[calendarsync.DivisionID]string, len(members))
	for _, m := range members {
		_, name, ok := catalogueEntry(m)
		if !ok {
			return nil, unreadable("division", m.id, "id or name")
		}
		out[calendarsync.DivisionID(m.id)] = name
	}
	return out, nil
}

// Clock is the ERP's version and time.
type Clock struct {
	// Version is the ERP's version; "" where it does not say.
	Version string
	// Unix is the ERP's present instant, in UTC and whole seconds.
	Unix time.Time
	// Local is the same on the ERP's wall clock.
	Local calendarsync.LocalTime
	// Offset is the wall clock's distance from UTC (east is positive), to the minute.
	Offset time.Duration
}

// Clock asks for the ERP's version and time.
func (c *Client) Clock(ctx context.Context) (Clock, error) {
	const op = "userside: read the ERP's clock"
	rep, err := c.do(ctx, call{op: op, cat: "system", action: "get_system_info", timeout: usualTimeout})
	if err != nil {
		return Clock{}, err
	}
	o, ok := rep.data().(object)
	if !ok {
		o = rep.top // shared/userside/README.md does not say where the fields stand
	}
	unix, ok := identifier(o["date_time_unix"])
	// The year 9999 in seconds: beyond, a date has no four-digit year.
	if !ok || unix > 253402300799 {
		return Clock{}, distrust(op, "unreadable field date_time_unix")
	}
	s, isText := o["date_time_string"].(string)
	local, ok := parseDate(s)
	if !isText || !ok || local.IsZero() || local.DateOnly {
		return Clock{}, distrust(op, "unreadable field date_time_string")
	}
	version, ok := scalar(first(o, "erp_version", "userside_version"))
	if !ok {
		version = ""
	}
	at := time.Unix(unix, 0).UTC()
	// The ERP reads the two clocks a moment apart, and one spelling has no seconds.
	offset := local.Wall.Sub(at).Round(time.Minute)
	if offset > 15*time.Hour || offset < -15*time.Hour {
		return Clock{}, distrust(op, "the ERP's two clocks differ by more than any time zone")
	}
	return Clock{Version: plainLine(version), Unix: at, Local: local, Offset: offset}, nil
}
