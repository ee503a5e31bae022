package userside

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// keyed asks for a collection that is keyed by id.
func (c *Client) keyed(ctx context.Context, op, cat, action string) ([]catalogueEntry, error) {
	rep, err := c.do(ctx, call{op: op, cat: cat, action: action, timeout: usualTimeout})
	if err != nil {
		return nil, err
	}
	entries, ok := catalogueEntries(rep.data())
	if !ok {
		return nil, distrust(op, "the answer is not keyed by id")
	}
	return entries, nil
}

// catalogueEntry is one entry of a catalogue, read as far as it can be.
type catalogueEntry struct {
	id     int64 // 0: it does not say
	fields object
	name   string
	odd    string // the first field that cannot be read; "" where all can
}

// catalogueEntries reads an object keyed by id, or a list whose members have their id.
// Unlike a collection, each entry stands by itself: who asks about one needs no other.
func catalogueEntries(v any) ([]catalogueEntry, bool) {
	var out []catalogueEntry
	add := func(id int64, hasID bool, value any) {
		e := catalogueEntry{id: id}
		var ok bool
		if e.fields, ok = value.(object); !ok {
			e.odd = "(the entry itself)"
		}
		if inner := e.fields["id"]; inner != nil {
			if n, ok := integer(inner); !ok || hasID && n != id {
				e.odd = "id"
			} else {
				e.id, hasID = n, true
			}
		}
		if !hasID {
			e.id, e.odd = 0, "id"
		}
		name, ok := scalar(e.fields["name"])
		if e.name = plainLine(name); !ok && e.odd == "" {
			e.odd = "name"
		}
		out = append(out, e)
	}
	switch v := v.(type) {
	case object:
		for k, member := range v {
			id, ok := integer(k)
			add(id, ok, member)
		}
	case []any:
		for _, member := range v {
			add(0, false, member)
		}
	default:
		return nil, false
	}
	slices.SortStableFunc(out, func(a, b catalogueEntry) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(out); i++ {
		// "5" and "05", or a list that names one id twice: neither counts.
		if out[i].id != 0 && out[i].id == out[i-1].id {
			out[i].odd, out[i-1].odd = "id", "id"
		}
	}
	return out, true
}

// Catalogue reads the task states and task types. Each entry is read by itself
// (rule 4.13): one that cannot be read is in Odd, and an odd type has no usual duration. An
// error of kind source-invalid means that the answer is no catalogue, or that it is empty,
// or that no state's role can be read. A state whose role the ERP leaves out is not in it,
// so that to the rules it is an unknown state (absence) and not one that changed its role
// (evidence).
func (c *Client) Catalogue(ctx context.Context) (calendarsync.Catalogue, error) {
	out, err := c.States(ctx)
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	types, odd, err := c.Types(ctx)
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	out.Types, out.Odd = types, append(out.Odd, odd...)
	return out, nil
}

// Types reads the catalogue's types alone, in one call, and says which entries are odd.
func (c *Client) Types(ctx context.Context) (types map[calendarsync.TypeID]calendarsync.TaskType, odd []error, err error) {
	const typeOp = "userside: read the catalogue of types"
	types = map[calendarsync.TypeID]calendarsync.TaskType{}
	entries, err := c.keyed(ctx, typeOp, "task", "get_catalog_type")
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		hours := 0.0
		if e.odd == "" {
			f := &fieldReader{}
			if v := f.sub(e.fields, "timescale")["hour_on_doing"]; !empty(v) {
				var ok bool
				hours, ok = decimal(v)
				f.check(ok && hours >= 0 && hours <= maxHours, "timescale.hour_on_doing")
			}
			e.odd = f.bad
		}
		if e.odd != "" {
			hours = 0
			odd = append(odd, unreadable("task type", e.id, e.odd))
		}
		// Of an odd entry the name may still be right; a task that tells its own is not asked.
		if id := calendarsync.TypeID(e.id); id != 0 && e.odd != "id" {
			types[id] = calendarsync.TaskType{ID: id, Name: e.name, HourOnDoing: hours}
		}
	}
	if len(types) == 0 {
		return nil, nil, distrust(typeOp, "the ERP shows no task type")
	}
	return types, odd, nil
}

// States reads the catalogue's states alone, in one call: Catalogue without Types.
func (c *Client) States(ctx context.Context) (calendarsync.Catalogue, error) {
	const stateOp = "userside: read the catalogue of states"
	out := calendarsync.Catalogue{States: map[calendarsync.StateID]calendarsync.State{}}
	read := catalogueRoles{at: c.now()}
	states, err := c.keyed(ctx, stateOp, "task", "get_catalog_state")
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	read.states, read.roles = make([]calendarsync.StateID, len(states)), make([]role, len(states))
	for i, e := range states {
		if e.odd == "" {
			read.states[i], read.roles[i] = calendarsync.StateID(e.id), readRole(e.fields)
		}
	}
	roles, err := c.understand(ctx, read)
	if err != nil {
		return calendarsync.Catalogue{}, err
	}
	for i, e := range states {
		id := calendarsync.StateID(e.id)
		if e.odd == "" && read.roles[i].unsaid {
			continue
		}
		is, ok := roles[i]
		if e.odd == "" && !ok {
			e.odd = "system_role"
		}
		switch {
		case e.odd == "":
			out.States[id] = calendarsync.State{ID: id, Name: e.name, Role: is, RoleName: read.roles[i].name}
			continue
		case e.id == 0:
			out.Incomplete = true
		default:
			if out.OddStates == nil {
				out.OddStates = map[calendarsync.StateID]error{}
			}
			out.OddStates[id] = unreadable("state", e.id, e.odd)
		}
		out.Odd = append(out.Odd, unreadable("state", e.id, e.odd))
	}
	switch {
	case len(out.States) > 0:
		return out, nil
	case len(out.Odd) > 0:
		return calendarsync.Catalogue{}, out.Odd[0]
	default:
		return calendarsync.Catalogue{}, distrust(stateOp, "the ERP shows no state with a role")
	}
}

// Divisions reads the divisions' names. A company may have none. One whose entry cannot be
// read has no name.
func (c *Client) Divisions(ctx context.Context) (map[calendarsync.DivisionID]string, error) {
	entries, err := c.keyed(ctx, "userside: read the divisions", "employee", "get_division_list")
	if err != nil {
		return nil, err
	}
	out := make(map[calendarsync.DivisionID]string, len(entries))
	for _, e := range entries {
		if e.odd == "" {
			out[calendarsync.DivisionID(e.id)] = e.name
		}
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
	local, ok := parseClock(s)
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
