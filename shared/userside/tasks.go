package userside

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// batch is how many tasks one show is asked for.
const batch = 100

// Tasks reads tasks. Either every asked id has a reading or the whole call is an
// error. An id is Absent only if a task asked for in the same request came back,
// or if the ERP says that it has no task at all (rule 4.2).
func (c *Client) Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	ids = distinct(ids)
	if len(ids) > 0 && ids[0] <= 0 {
		return nil, failure.New(failure.Invalid, "userside: read tasks", "an id is not above 0")
	}
	out := make(map[calendarsync.TaskID]calendarsync.TaskReading, len(ids))
	for part := range slices.Chunk(ids, batch) {
		if err := c.readTasks(ctx, part, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readTasks puts a reading of each id into out.
func (c *Client) readTasks(ctx context.Context, ids []calendarsync.TaskID, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	shown, err := c.show(ctx, ids)
	if err != nil {
		return err
	}
	rest := shown.take(ids, out)
	if len(rest) == 0 {
		return nil
	}
	if shown.complete {
		declareAbsent(rest, calendarsync.ProofKnownID, out)
		return nil
	}
	// One place is left for the known id.
	for part := range slices.Chunk(rest, batch-1) {
		if err := c.readWithKnown(ctx, part, out); err != nil {
			return err
		}
	}
	return nil
}

// readWithKnown asks for ids together with a task that is known to be there.
func (c *Client) readWithKnown(ctx context.Context, ids []calendarsync.TaskID, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	known := c.remembered()
	for {
		listed := known == 0
		if listed {
			// Which way date_add sorts is not documented; any task will do.
			some, err := c.ListTasks(ctx, TaskFilter{Limit: 1, byCreation: true})
			if err != nil {
				return err
			}
			if len(some) == 0 {
				declareAbsent(ids, calendarsync.ProofEmptyList, out)
				return nil
			}
			known = some[0]
		}
		// Last, so that an ERP that reads only the first id of a list can not make it
		// come back.
		ask := append(slices.DeleteFunc(slices.Clone(ids), func(id calendarsync.TaskID) bool { return id == known }), known)
		shown, err := c.show(ctx, ask)
		if err != nil {
			return err
		}
		rest := shown.take(ids, out)
		switch {
		case len(rest) == 0:
			return nil
		case shown.complete:
			declareAbsent(rest, calendarsync.ProofKnownID, out)
			return nil
		}
		c.forget(known)
		known = 0
		if listed && len(rest) == len(ids) {
			op := "userside: show " + describe("task", ids)
			if shown.refused {
				return &failure.Error{Kind: failure.Source, Op: op, Reason: "ERROR", Detail: "the ERP answered with an error, for a task that it lists too"}
			}
			return distrust(op, "a task that the ERP lists did not come back")
		}
		ids = rest
	}
}

func declareAbsent(ids []calendarsync.TaskID, proof calendarsync.Proof, out map[calendarsync.TaskID]calendarsync.TaskReading) {
	for _, id := range ids {
		out[id] = calendarsync.TaskReading{Absent: proof}
	}
}

// shownTasks is what one show said of the ids it was asked for.
type shownTasks struct {
	readings map[calendarsync.TaskID]calendarsync.TaskReading
	// complete: the ERP has read the whole list of ids and a task came back, so
	// that what is missing is missing from the ERP.
	complete bool
	refused  bool // a well-formed ERROR
}

// take moves the readings of ids to out and gives the ids without one.
func (s shownTasks) take(ids []calendarsync.TaskID, out map[calendarsync.TaskID]calendarsync.TaskReading) []calendarsync.TaskID {
	var rest []calendarsync.TaskID
	for _, id := range ids {
		if r, ok := s.readings[id]; ok {
			out[id] = r
		} else {
			rest = append(rest, id)
		}
	}
	return rest
}

// show asks for tasks and reads either shape of answer, whatever was asked.
func (c *Client) show(ctx context.Context, ids []calendarsync.TaskID) (shownTasks, error) {
	op := "userside: show " + describe("task", ids)
	rep, err := c.do(ctx, call{op: op, cat: "task", action: "show", timeout: timeoutFor(len(ids)), tolerate: true,
		params: url.Values{"id": {joined(ids)}, "is_without_comments": {"1"}}})
	if err != nil {
		return shownTasks{}, err
	}
	if rep.refused {
		return shownTasks{refused: true}, nil
	}
	shown := shownTasks{readings: map[calendarsync.TaskID]calendarsync.TaskReading{}}
	read := func(id calendarsync.TaskID, v any) {
		if s, isText := v.(string); isText && strings.EqualFold(strings.TrimSpace(s), "error") {
			return // documented: an unknown id among several
		}
		shown.readings[id] = readTask(id, v)
	}
	single := false
	switch data := rep.data().(type) {
	case nil, string, bool:
		// How "no such task" is told for one id is not documented; that nothing came
		// back proves nothing either way.
	case object:
		inner, isTask := data["id"]
		if !isTask {
			for k, v := range data {
				if id, ok := identifier(k); ok && slices.Contains(ids, calendarsync.TaskID(id)) {
					if _, twice := shown.readings[calendarsync.TaskID(id)]; twice {
						return shownTasks{}, distrust(op, "the ERP answered twice about one task")
					}
					read(calendarsync.TaskID(id), v)
				}
			}
			break
		}
		single = true
		if id, ok := identifier(inner); ok && slices.Contains(ids, calendarsync.TaskID(id)) {
			read(calendarsync.TaskID(id), data)
		} else if len(ids) == 1 {
			read(ids[0], data) // an unreadable or wrong id: an Invalid reading
		}
	case []any:
		members, ok := collection(data)
		if !ok {
			return shownTasks{}, distrust(op, "a task of the answer has no id")
		}
		for _, m := range members {
			if slices.Contains(ids, calendarsync.TaskID(m.id)) {
				read(calendarsync.TaskID(m.id), m.value)
			}
		}
	default:
		return shownTasks{}, distrust(op, "the answer's data is no task")
	}
	for id, r := range shown.readings {
		if r.Task == nil {
			continue
		}
		c.remember(id)
		// A single task as the answer to several ids: only if it is the last one asked
		// for is it sure that the ERP did not just take the first of the list.
		shown.complete = shown.complete || !single || id == ids[len(ids)-1]
	}
	return shown, nil
}

func (c *Client) remembered() calendarsync.TaskID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// remember keeps a task that came back, the newest of several: it is the least
// likely to be deleted soon.
func (c *Client) remember(id calendarsync.TaskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = max(c.known, id)
}

func (c *Client) forget(id calendarsync.TaskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == id {
		c.known = 0
	}
}

// TaskFilter chooses tasks for ListTasks; what is zero does not filter. Times
// are on the ERP's wall clock and inclusive as far as the ERP is (undocumented).
type TaskFilter struct {
	Employee calendarsync.EmployeeID // executor
	Division calendarsync.DivisionID
	// States are the states to list; none lists every state.
	States                 []calendarsync.StateID
	ChangedFrom, ChangedTo calendarsync.LocalTime
	DoFrom, DoTo           calendarsync.LocalTime
	Limit                  int

	byCreation bool
}

// ListTasks lists the ids of tasks, each once, in the ERP's order. Without a
// Limit the list is complete or an error of kind source-invalid.
func (c *Client) ListTasks(ctx context.Context, f TaskFilter) ([]calendarsync.TaskID, error) {
	const op = "userside: list tasks"
	p := url.Values{}
	if f.Employee != 0 {
		// staff_id is the old name; an ERP that knows one ignores the other, and one
		// that knew neither would list too much, never too little (shared/userside/README.md).
		p.Set("employee_id", strconv.FormatInt(int64(f.Employee), 10))
		p.Set("staff_id", strconv.FormatInt(int64(f.Employee), 10))
	}
	if f.Division != 0 {
		p.Set("division_id", strconv.FormatInt(int64(f.Division), 10))
	}
	if len(f.States) > 0 {
		p.Set("state_id", joined(f.States))
	}
	for name, at := range map[string]calendarsync.LocalTime{
		"date_change_from": f.ChangedFrom, "date_change_to": f.ChangedTo, "date_do_from": f.DoFrom, "date_do_to": f.DoTo,
	} {
		if !at.IsZero() {
			p.Set(name, dateParameter(at))
		}
	}
	timeout := longTimeout
	if f.Limit > 0 {
		p.Set("limit", strconv.Itoa(f.Limit))
		timeout = timeoutFor(f.Limit)
	}
	if f.byCreation {
		p.Set("order_by", "date_add")
	}
	rep, err := c.do(ctx, call{op: op, cat: "task", action: "get_list", params: p, timeout: timeout})
	if err != nil {
		return nil, err
	}
	return readList(op, rep, f.Limit)
}

// readList checks the list against the count the ERP sends with it: that is the
// only sign of half a list.
func readList(op string, rep reply, limit int) ([]calendarsync.TaskID, error) {
	o := rep.top
	if !rep.has("list") {
		in, ok := rep.data().(object)
		if !ok {
			return nil, distrust(op, "the answer has no list")
		}
		o = object{"list": first(in, "list", "List"), "count": first(in, "count", "Count")}
		if o["count"] == nil {
			o["count"] = rep.top["count"]
		}
	}
	var raw []any
	switch list := o["list"].(type) {
	case string:
		if strings.TrimSpace(list) != "" {
			for s := range strings.SplitSeq(list, ",") {
				raw = append(raw, s)
			}
		}
	case []any:
		raw = list
	case nil:
		return nil, distrust(op, "the answer has no list")
	default:
		raw = []any{list}
	}
	count, ok := integer(o["count"])
	if !ok || count < 0 {
		return nil, distrust(op, "the answer has no count")
	}
	most := count
	if limit > 0 {
		most = min(count, int64(limit))
	}
	// With a limit the count may be that of all matches; more ids than the limit is
	// an ERP that ignores it and harms nobody.
	if n := int64(len(raw)); n < most || n > count {
		return nil, distrust(op, "half a list: %d ids, count %d", n, count)
	}
	ids := make([]calendarsync.TaskID, 0, len(raw))
	seen := make(map[calendarsync.TaskID]bool, len(raw))
	for _, v := range raw {
		n, ok := identifier(v)
		if !ok {
			return nil, distrust(op, "the list holds something that is no id")
		}
		if id := calendarsync.TaskID(n); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// timeoutFor is one attempt's time-out for an answer about n things.
func timeoutFor(n int) time.Duration {
	if n > manyIDs {
		return longTimeout
	}
	return usualTimeout
}

// describe names what is asked for in an error: the id, or how many.
func describe[T ~int64](what string, ids []T) string {
	if len(ids) == 1 {
		return fmt.Sprintf("%s %d", what, ids[0])
	}
	return fmt.Sprintf("%d %ss", len(ids), what)
}
