package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// state is what became of a check.
type state string

const (
	isOK      state = "ok"
	warning   state = "warning"
	fault     state = "fault"
	unchecked state = "not-checked"
)

// verdict is what a check came to.
type verdict struct {
	State state
	// Text is one sentence; Cure is what to do, empty where nothing has to be done.
	Text, Cure string
	Details    []string
	// Data is the finding for machines, where there is more than a sentence.
	Data any
}

func ok(format string, args ...any) verdict {
	return verdict{State: isOK, Text: fmt.Sprintf(format, args...)}
}

func warn(cure, format string, args ...any) verdict {
	return verdict{State: warning, Text: fmt.Sprintf(format, args...), Cure: cure}
}

func bad(cure, format string, args ...any) verdict {
	return verdict{State: fault, Text: fmt.Sprintf(format, args...), Cure: cure}
}

func notChecked(cure, format string, args ...any) verdict {
	return verdict{State: unchecked, Text: fmt.Sprintf(format, args...), Cure: cure}
}

// check is one thing to examine.
type check struct {
	// id is stable: machines know the check by it.
	id, group, title string
	// needs are the checks without whose success (ok or warning) this one makes no
	// sense; after are those whose findings it uses where there are any. Both stand
	// before it in the list.
	needs, after []string
	// within bounds the check's calls; 0 is checkTime.
	within time.Duration
	run    func(ctx context.Context) verdict
}

// checkTime is how long a check may take: three attempts at the ERP of 10 s.
const checkTime = 35 * time.Second

// finding is a check with what became of it.
type finding struct {
	ID           string   `json:"id"`
	Group        string   `json:"group"`
	Title        string   `json:"title"`
	State        state    `json:"state"`
	Text         string   `json:"text"`
	Cure         string   `json:"cure,omitempty"`
	Because      string   `json:"because,omitempty"`
	Details      []string `json:"details,omitempty"`
	Data         any      `json:"data,omitempty"`
	Milliseconds int64    `json:"milliseconds"`
}

// examine runs the checks, each as soon as those it waits for are done, and gives
// their findings in the list's order.
func examine(ctx context.Context, checks []check, now func() time.Time) []finding {
	found := make([]finding, len(checks))
	done := make([]chan struct{}, len(checks))
	place := make(map[string]int, len(checks))
	for i, c := range checks {
		done[i] = make(chan struct{})
		place[c.id] = i
	}
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			defer close(done[i])
			for _, before := range slices.Concat(c.needs, c.after) {
				<-done[place[before]]
			}
			f := &found[i]
			f.ID, f.Group, f.Title = c.id, c.group, c.title
			for _, need := range c.needs {
				if n := found[place[need]]; n.State == fault || n.State == unchecked {
					// The first cause is shown, not the last link of a chain.
					root := n
					if n.Because != "" {
						root = found[place[n.Because]]
					}
					f.State, f.Because = unchecked, root.ID
					f.Text = "waits for “" + root.Title + "” (" + root.Group + ")"
					return
				}
			}
			start := now()
			limit := c.within
			if limit == 0 {
				limit = checkTime
			}
			bounded, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			v := c.run(bounded)
			f.State, f.Text, f.Cure, f.Details, f.Data = v.State, v.Text, v.Cure, v.Details, v.Data
			f.Milliseconds = now().Sub(start).Milliseconds()
		})
	}
	all.Wait()
	return found
}
