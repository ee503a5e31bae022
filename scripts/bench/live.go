package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// lost is after what time a live change counts as lost; the poll would bring it.
const lost = 60 * time.Second

// latencies are of live changes: from the ERP's change to Google's answer.
type latencies struct {
	took []time.Duration
	lost int
}

// at gives a quantile; 0 without any.
func (l latencies) at(q float64) time.Duration {
	if len(l.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.took))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// changer plays the dispatcher: it moves tasks of calendars that are complete, and
// measures until the event is written at its new time.
type changer struct {
	b *bench

	mu       sync.Mutex
	complete []subject
	moves    int
	moving   map[int64]bool
}

// subject is a complete calendar with the tasks that are in no other.
type subject struct {
	calendar string
	tasks    []int64
}

// refresh finds the complete calendars and reports whether all are.
func (c *changer) refresh() (all bool) {
	of, err := c.b.judge.Calendars()
	all = err == nil
	var complete []subject
	for id, own := range c.b.own {
		e, ok := of[id]
		if !ok || e.Live != own.wanted || e.Role(own.address) != "reader" {
			all = false
		} else if len(own.tasks) > 0 {
			complete = append(complete, subject{e.ID, own.tasks})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete = complete
	return all
}

// move moves one task to a minute of its own and waits for the event. ok is false
// where there is nothing to move.
func (c *changer) move(ctx context.Context) (took time.Duration, ok bool) {
	c.mu.Lock()
	if len(c.complete) == 0 {
		c.mu.Unlock()
		return 0, false
	}
	s := c.complete[rand.IntN(len(c.complete))] //nolint:gosec // a choice, no secret
	task := s.tasks[rand.IntN(len(s.tasks))]    //nolint:gosec // a choice, no secret
	if c.moving[task] {
		c.mu.Unlock()
		return 0, false
	}
	c.moving[task] = true
	if c.moves++; c.moves%60 == 0 {
		c.moves++ // full hours are the company's
	}
	to := c.b.began.Truncate(time.Hour).Add(48*time.Hour + time.Duration(c.moves)*time.Minute)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.moving, task)
	}()
	written, forget := c.b.meter.expect(s.calendar, to)
	defer forget()
	began := time.Now()
	if err := c.b.erp.MoveTask(task, to); err != nil {
		return 0, false
	}
	t := time.NewTimer(lost)
	defer t.Stop()
	select {
	case at := <-written:
		return at.Sub(began), true
	case <-t.C:
	case <-ctx.Done():
		// Not its fault: nobody waited long enough.
		if time.Since(began) < lost {
			return 0, false
		}
	}
	return lost, true
}

// play moves tasks one every interval, whether or not those before have arrived,
// until until ends, and waits for the last.
func (c *changer) play(ctx, until context.Context, every time.Duration) latencies {
	var out latencies
	var mu sync.Mutex
	var moving sync.WaitGroup
	for pause(until, every) == nil {
		moving.Go(func() {
			took, ok := c.move(ctx)
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if took >= lost {
				out.lost++
			}
			out.took = append(out.took, took)
		})
	}
	moving.Wait()
	return out
}
