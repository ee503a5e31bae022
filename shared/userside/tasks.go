package userside

import (
	"context"
	"fmt"
	"net/http"
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
// or if the ERP says that it has no task at all (rule 4.2). What gives no answer together
// is asked for in halves; what gives none alone is Invalid, and the others go on
// (rule 8.9). Executors that the ERP leaves out are said and empty where it lists the task
// among those without any.
func (c *Client) Tasks(ctx context.Context, ids []calendarsync.TaskID) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	return c.TasksWith(ctx, ids, calendarsync.Extras{})
}

// TasksWith is Tasks, with what templates show besides.
func (c *Client) TasksWith(ctx context.Context, ids []calendarsync.TaskID, extras calendarsync.Extras) (map[calendarsync.TaskID]calendarsync.TaskReading, error) {
	ids = distinct(ids)
	if len(ids) > 0 && ids[0] <= 0 {
		return nil, failure.New(failure.Invalid, "userside: read tasks", "an id is not above 0")
	}
	out := make(map[calendarsync.TaskID]calendarsync.TaskReading, len(ids))
	d := &divider[calendarsync.TaskID, calendarsync.TaskReading]{
		bearing: c.tasks, kind: "task", out: out, shows: c.showsAny,
		read: func(ctx context.Context, ids []calendarsync.TaskID, once bool) error {
			return c.readTasks(ctx, ids, asking{once, extras}, out)
		},
		isShown: func(r calendarsync.TaskReading) bool { return r.Task != nil },
		invalid: func(err error) calendarsync.TaskReading { return calendarsync.TaskReading{Invalid: err} },
	}
	if err := d.readAll(ctx, ids, false); err != nil {
		return nil, err
	}
	c.confirmUnassigned(ctx, out)
	return out, nil
}

// mostListed bounds the list of which some are sampled.
const mostListed = 100

// showsAny reports whether the ERP shows any task: one that came back lately, or some of those
// that it lists, each asked for by itself, as one of them may be the bad record. Where it showed
// none, the next look takes others, of more.
func (c *Client) showsAny(ctx context.Context, _ []calendarsync.TaskID) (bool, error) {
	limit := min(manyIDs*(1+c.tasks.turns()), mostListed)
	listed, err := c.listTasks(ctx, TaskFilter{Limit: limit, byCreation: true}, true)
	if err != nil {
		return false, nil //nolint:nilerr // the failure to be told is that of the reading
	}
	samples := c.tasks.samples(listed[:min(len(listed), limit)])
	if known := c.remembered(); known != 0 && !slices.Contains(samples, known) {
		samples = append([]calendarsync.TaskID{known}, samples...)
	}
	for _, id := range samples {
		switch answer, err := c.show(ctx, []calendarsync.TaskID{id}, asking{once: true}); {
		case err == nil && len(answer.readings) > 0:
			return true, nil
		case err != nil && !mayBeSpoiled(err):
			return false, err
		}
	}
	c.tasks.shownNone()
	return false, nil
}

// asking is how tasks are asked for.
type asking struct {
	once   bool // without repeating
	extras calendarsync.Extras
}

// readTasks puts a reading of each id into out.
func (c *Client) readTasks(ctx context.Context, ids []calendarsync.TaskID, how asking, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	shown, err := c.show(ctx, ids, how)
	if err != nil {
		return err
	}
	rest := shown.moveTo(ids, out)
	if len(rest) == 0 {
		return nil
	}
	if shown.complete {
		declareAbsent(rest, calendarsync.ProofKnownID, out)
		return nil
	}
	// One place is left for the known id.
	for part := range slices.Chunk(rest, max(c.tasks.bears()-1, 1)) {
		if err := c.readWithKnown(ctx, part, how, out); err != nil {
			return err
		}
	}
	return nil
}

// readWithKnown asks for ids together with a task that is known to be there.
func (c *Client) readWithKnown(ctx context.Context, ids []calendarsync.TaskID, how asking, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	known, samples := c.remembered(), 1
	for {
		listed := known == 0
		if listed {
			// In which direction date_add sorts is not documented; any task will do.
			some, err := c.listTasks(ctx, TaskFilter{Limit: samples, byCreation: true}, how.once)
			if err != nil {
				return err
			}
			if len(some) == 0 {
				declareAbsent(ids, calendarsync.ProofEmptyList, out)
				return nil
			}
			known = c.tasks.unsuspected(some)
		}
		// Last, so that it does not come back from an ERP that reads only the first id.
		ask := append(slices.DeleteFunc(slices.Clone(ids), func(id calendarsync.TaskID) bool { return id == known }), known)
		shown, err := c.show(ctx, ask, how)
		if spoiled(err) && ctx.Err() == nil && !c.tasks.isSuspect(known) {
			// Without it they gave an answer: it is the known one that is the bad record.
			c.tasks.suspect(known, 1)
			c.forget(known)
			known, samples = 0, aliveSamples
			continue
		}
		if err != nil {
			return err
		}
		rest := shown.moveTo(ids, out)
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
			if shown.isError {
				return &failure.Error{Kind: failure.Source, Op: op, Reason: "ERROR", Detail: "the ERP answered with an error, for a task that it lists too"}
			}
			err := distrust(op, "a task that the ERP lists did not come back")
			if len(ids) > 1 {
				return &spoiledError{err} // one of them may be why nothing came
			}
			return err
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
	// complete: a task came back and the ERP read the whole list of ids, so that what is
	// missing from the answer is missing from the ERP.
	complete bool
	isError  bool // a well-formed ERROR
	extras   calendarsync.Extras
}

// moveTo moves the readings of ids to out and gives the ids without one.
func (s shownTasks) moveTo(ids []calendarsync.TaskID, out map[calendarsync.TaskID]calendarsync.TaskReading) []calendarsync.TaskID {
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
func (c *Client) show(ctx context.Context, ids []calendarsync.TaskID, how asking) (shownTasks, error) {
	op := "userside: show " + describe("task", ids)
	timeout := timeoutFor(len(ids))
	if how.once {
		timeout = partTimeout
	}
	params := url.Values{"id": {joined(ids)}, "is_without_comments": {"1"}}
	if how.extras.Comment {
		params.Set("is_without_comments", "0")
	}
	rep, err := c.do(ctx, call{op: op, cat: "task", action: "show", timeout: timeout, tolerate: true, once: how.once, divisible: len(ids) > 1,
		params: params, comments: how.extras.Comment})
	if err != nil {
		return shownTasks{}, err
	}
	if rep.isError && rep.status >= http.StatusInternalServerError {
		return shownTasks{}, &spoiledError{&failure.Error{Kind: failure.Source, Op: op, Status: rep.status, Reason: "ERROR", Detail: "the ERP answered with an error"}}
	}
	if rep.isError {
		return shownTasks{isError: true}, nil
	}
	shown, err := readShown(op, ids, rep.data(), how.extras)
	if err != nil {
		return shownTasks{}, err
	}
	c.tasks.cleared(ids)
	for id, r := range shown.readings {
		if r.Task != nil {
			c.remember(id)
		}
	}
	return shown, nil
}

// readShown reads the payload of a show: one task, or several by id or in a list.
func readShown(op string, ids []calendarsync.TaskID, payload any, extras calendarsync.Extras) (shownTasks, error) {
	shown := shownTasks{readings: map[calendarsync.TaskID]calendarsync.TaskReading{}, extras: extras}
	switch data := payload.(type) {
	case nil, string, bool:
		// What the ERP answers about one unknown id is not documented; that nothing came
		// back proves nothing either way.
		return shown, nil
	case object:
		if id, isTask := data["id"]; isTask {
			shown.readSingle(ids, id, data)
			return shown, nil
		}
		if !shown.readByID(ids, data) {
			return shownTasks{}, distrust(op, "the ERP answered twice about one task")
		}
	case []any:
		members, ok := collection(data)
		if !ok {
			return shownTasks{}, distrust(op, "a task of the answer has no id")
		}
		for _, m := range members {
			if slices.Contains(ids, calendarsync.TaskID(m.id)) {
				shown.read(calendarsync.TaskID(m.id), m.value)
			}
		}
	default:
		return shownTasks{}, distrust(op, "the answer's data is no task")
	}
	for _, r := range shown.readings {
		shown.complete = shown.complete || r.Task != nil
	}
	return shown, nil
}

// readSingle reads an answer that is one task, with its id.
func (s *shownTasks) readSingle(ids []calendarsync.TaskID, id any, task object) {
	of, ok := identifier(id)
	switch {
	case ok && slices.Contains(ids, calendarsync.TaskID(of)):
		s.read(calendarsync.TaskID(of), task)
	case len(ids) == 1:
		s.read(ids[0], task) // an unreadable or wrong id: an Invalid reading
	}
	// As the answer to several ids, only the last of them proves that the ERP did not
	// just read the first of the list.
	if len(ids) > 0 {
		s.complete = s.readings[ids[len(ids)-1]].Task != nil
	}
}

// readByID reads the members of an object that is keyed by id; not ok where two keys
// are the same id.
func (s *shownTasks) readByID(ids []calendarsync.TaskID, tasks object) (ok bool) {
	for k, v := range tasks {
		id, isID := identifier(k)
		if !isID || !slices.Contains(ids, calendarsync.TaskID(id)) {
			continue
		}
		if _, twice := s.readings[calendarsync.TaskID(id)]; twice {
			return false
		}
		s.read(calendarsync.TaskID(id), v)
	}
	return true
}

// read adds the reading of one entry, unless it is the documented "error" of an unknown
// id among several.
func (s *shownTasks) read(id calendarsync.TaskID, entry any) {
	if text, isText := entry.(string); isText && strings.EqualFold(strings.TrimSpace(text), "error") {
		return
	}
	s.readings[id] = readTask(id, entry, s.extras)
}

func (c *Client) remembered() calendarsync.TaskID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

// remember keeps the newest task that came back: it is the least likely to be deleted
// soon.
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
	// Unassigned lists the tasks without executors; Employee is to be 0.
	Unassigned bool
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
	return c.listTasks(ctx, f, false)
}

func (c *Client) listTasks(ctx context.Context, f TaskFilter, once bool) ([]calendarsync.TaskID, error) {
	const op = "userside: list tasks"
	p := url.Values{}
	if f.Unassigned {
		f.Employee = -1
	}
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
	rep, err := c.do(ctx, call{op: op, cat: "task", action: "get_list", params: p, timeout: timeout, once: once})
	if err != nil {
		return nil, err
	}
	return readList(op, rep, f.Limit)
}

// readList reads a list of ids and checks it against the count that the ERP sends with
// it: only that shows that half of the list is missing.
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
	raw, ok := listMembers(o["list"])
	if !ok {
		return nil, distrust(op, "the answer has no list")
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

// listMembers are the members of a list: an array, or a text with commas between them.
func listMembers(v any) (members []any, ok bool) {
	switch list := v.(type) {
	case nil:
		return nil, false
	case []any:
		return list, true
	case string:
		if strings.TrimSpace(list) != "" {
			for s := range strings.SplitSeq(list, ",") {
				members = append(members, s)
			}
		}
		return members, true
	}
	return []any{v}, true
}

// timeoutFor is the time-out of one attempt for an answer about n things.
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
