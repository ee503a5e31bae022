package userside

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// What one reading of many may spend on parts of what gave no answer as a whole (rule 8.9).
const (
	divideCalls = 64
	divideTime  = time.Minute
	partTimeout = 5 * time.Second // one attempt of a part
	// leastLearned is the smallest batch that is taken for what the ERP can bear; what
	// fails below fails because of a record.
	leastLearned = 10
	// aliveSamples is how many listed tasks are asked for to see whether the ERP shows any.
	aliveSamples = 3
	// maxSuspects bounds how many ids are asked for apart.
	maxSuspects = 200
)

// spoiledError is a failure that one bad record or too many ids can cause: an answer that
// is empty, cut, a page, too large or a 5xx, or none in time.
type spoiledError struct{ err *failure.Error }

func (e *spoiledError) Error() string { return e.err.Error() }

// Unwrap gives the failure.
func (e *spoiledError) Unwrap() error { return e.err }

func spoiled(err error) bool {
	_, ok := errors.AsType[*spoiledError](err)
	return ok
}

// division is what one reading has spent on parts.
type division struct {
	calls int
	alive bool // the ERP shows tasks, if not these
}

// divideTasks reads in halves what gave no answer as a whole. Of what fails alone, or is
// not reached within the bounds, the reading is Invalid.
func (c *Client) divideTasks(ctx context.Context, d *division, whole part, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	if !d.alive {
		// Where no task is shown at all the ERP is down, and no record is to blame.
		var err error
		if d.alive = shown(out); !d.alive {
			d.alive, err = c.showsAny(ctx)
		}
		if err != nil {
			return err
		}
		if !d.alive {
			return whole.why
		}
	}
	limit := divideTime
	if deadline, ok := ctx.Deadline(); ok {
		// The others' readings are to be acted upon within the same deadline.
		limit = min(limit, time.Until(deadline)/2)
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Level by level, so that what is sound is read before the last bad record is found.
	failed := []part{whole}
	for len(failed) > 0 {
		var next []part
		for _, whole := range failed {
			smaller, err := c.readHalves(ctx, bounded, d, whole, out)
			if err != nil {
				return err
			}
			next = append(next, smaller...)
		}
		failed = next
	}
	return nil
}

// shown reports whether a task was read already.
func shown(out map[calendarsync.TaskID]calendarsync.TaskReading) bool {
	for _, r := range out {
		if r.Task != nil {
			return true
		}
	}
	return false
}

// showsAny reports whether the ERP shows any of the tasks that it lists, each asked for by
// itself: one of them may be the bad record.
func (c *Client) showsAny(ctx context.Context) (bool, error) {
	listed, err := c.listTasks(ctx, TaskFilter{Limit: aliveSamples, byCreation: true}, true)
	if err != nil {
		return false, nil //nolint:nilerr // the failure to be told is that of the reading
	}
	for _, id := range listed[:min(len(listed), aliveSamples)] {
		switch answer, err := c.show(ctx, []calendarsync.TaskID{id}, true); {
		case err == nil && len(answer.readings) > 0:
			return true, nil
		case err != nil && !mayBeSpoiled(err):
			return false, err
		}
	}
	return false, nil
}

// part are ids that gave no answer together, and why.
type part struct {
	ids []calendarsync.TaskID
	why error
}

// readSuspect reads a part that gave no answer before.
func (c *Client) readSuspect(ctx context.Context, d *division, ids []calendarsync.TaskID, out map[calendarsync.TaskID]calendarsync.TaskReading) error {
	if d.calls >= divideCalls {
		c.setApart(part{ids, failure.New(failure.Source, "userside: read tasks", "too many give no answer")}, out)
		return nil
	}
	d.calls++
	err := c.readTasks(ctx, ids, true, out)
	if mayBeSpoiled(err) && ctx.Err() == nil {
		return c.divideTasks(ctx, d, part{ids, err}, out)
	}
	return err
}

// readHalves reads a part in halves and gives those that failed. One that cannot be
// halved, or not within the bounds, is set apart.
func (c *Client) readHalves(ctx, bounded context.Context, d *division, whole part, out map[calendarsync.TaskID]calendarsync.TaskReading) ([]part, error) {
	half := (len(whole.ids) + 1) / 2
	var failed []part
	for ids := range slices.Chunk(whole.ids, half) {
		if len(whole.ids) < 2 || d.calls >= divideCalls || bounded.Err() != nil {
			c.setApart(whole, out)
			return nil, nil
		}
		d.calls++
		switch err := c.readTasks(bounded, ids, true, out); {
		case err == nil:
		case ctx.Err() == nil && (mayBeSpoiled(err) || bounded.Err() != nil):
			failed = append(failed, part{ids, err})
		default:
			return nil, err
		}
	}
	if len(failed) == 0 {
		c.learn(half)
	}
	return failed, nil
}

// mayBeSpoiled also takes an answer that cannot be trusted for the work of a bad record:
// where the whole was spoiled, it is.
func mayBeSpoiled(err error) bool { return spoiled(err) || failure.Is(err, failure.SourceInvalid) }

// setApart gives each id of a part that has no reading an Invalid one. Next time they are
// asked for in smaller parts.
func (c *Client) setApart(whole part, out map[calendarsync.TaskID]calendarsync.TaskReading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range whole.ids {
		if _, read := out[id]; read {
			continue
		}
		out[id] = calendarsync.TaskReading{Invalid: &failure.Error{Kind: failure.SourceInvalid,
			Op: fmt.Sprintf("userside: read task %d", id), Detail: "the ERP gives no usable answer that includes it", Err: whole.why}}
		if _, there := c.suspects[id]; there || len(c.suspects) < maxSuspects {
			c.suspects[id] = max(len(whole.ids)/2, 1)
		}
	}
}

// learn remembers, for the life of the process, how many ids the ERP can bear.
func (c *Client) learn(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bearable = min(c.bearable, max(n, leastLearned))
}

// bears is how many ids the ERP can bear, as far as is known.
func (c *Client) bears() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bearable
}

// batches cuts ids into what is asked for at once, and gives besides the parts of those
// that gave no answer before. Who is first among these changes, so that each is asked for
// although there may be too many.
func (c *Client) batches(ids []calendarsync.TaskID) (sound, suspect [][]calendarsync.TaskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var whole []calendarsync.TaskID
	bySize := map[int][]calendarsync.TaskID{}
	for _, id := range ids {
		if size := c.suspects[id]; size > 0 {
			bySize[size] = append(bySize[size], id)
		} else {
			whole = append(whole, id)
		}
	}
	for _, size := range slices.Sorted(maps.Keys(bySize)) {
		suspect = slices.AppendSeq(suspect, slices.Chunk(bySize[size], size))
	}
	if n := len(suspect); n > 0 {
		c.readings++
		first := c.readings % n
		suspect = slices.Concat(suspect[first:], suspect[:first])
	}
	return slices.Collect(slices.Chunk(whole, c.bearable)), suspect
}

// cleared takes away the suspicion of what came back.
func (c *Client) cleared(ids []calendarsync.TaskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.suspects, id)
	}
}
