// Package checkup examines an installation for the doctor: the command scripts/doctor, and the
// console's page of connections. It has what both need: how checks run, and those of the ERP, of
// its employees, of the settings and of what is on record of the central account. It must never
// change anything, never call Google, and never give a secret, a token or anything of a person:
// its sentences are those of the catalogue of texts, with counts and ids of settings in them.
package checkup

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// State is what became of a check.
type State string

// The states. A Fault is to be mended, a Warning to be looked at.
const (
	OK         State = "ok"
	Warning    State = "warning"
	Fault      State = "fault"
	NotChecked State = "not-checked"
)

// Verdict is what a check came to.
type Verdict struct {
	State State
	// Text is one sentence; Cure is what to do, a step on each line, "" where nothing has to be done.
	Text, Cure string
	Details    []string
	// Data is the finding for machines, where there is more than a sentence.
	Data any
}

// Check is one thing to examine.
type Check struct {
	// ID is stable: machines know the check by it.
	ID, Group, Title string
	// Needs are the checks without whose success (OK or Warning) this one makes no sense; After
	// are those whose findings it uses where there are any.
	Needs, After []string
	// Within bounds the check's calls; 0 is usualTime.
	Within time.Duration
	Run    func(ctx context.Context) Verdict
}

// usualTime is how long a check may take: three attempts at the ERP of 10 s.
const usualTime = 35 * time.Second

// Finding is a check with what became of it.
type Finding struct {
	ID      string   `json:"id"`
	Group   string   `json:"group"`
	Title   string   `json:"title"`
	State   State    `json:"state"`
	Text    string   `json:"text"`
	Cure    string   `json:"cure,omitempty"`
	Because string   `json:"because,omitempty"`
	Details []string `json:"details,omitempty"`
	Data    any      `json:"data,omitempty"`

	Milliseconds int64 `json:"milliseconds"`
}

// Run runs checks, each as soon as those it waits for are done, and gives their findings in the
// list's order. What a check waits for has to be in the list.
func Run(ctx context.Context, checks []Check, t i18n.Texts, now func() time.Time) []Finding {
	found := make([]Finding, len(checks))
	done := make([]chan struct{}, len(checks))
	place := make(map[string]int, len(checks))
	for i, c := range checks {
		done[i] = make(chan struct{})
		place[c.ID] = i
	}
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			defer close(done[i])
			for _, before := range slices.Concat(c.Needs, c.After) {
				<-done[place[before]]
			}
			f := &found[i]
			f.ID, f.Group, f.Title = c.ID, c.Group, c.Title
			for _, need := range c.Needs {
				if n := found[place[need]]; n.State == Fault || n.State == NotChecked {
					// The first cause is shown, not the last link of a chain.
					root := n
					if n.Because != "" {
						root = found[place[n.Because]]
					}
					f.State, f.Because = NotChecked, root.ID
					f.Text = t.T("doctor.waits", "Title", root.Title, "Group", root.Group)
					return
				}
			}
			start := now()
			limit := c.Within
			if limit == 0 {
				limit = usualTime
			}
			bounded, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			v := c.Run(bounded)
			f.State, f.Text, f.Cure, f.Details, f.Data = v.State, v.Text, v.Cure, v.Details, v.Data
			f.Milliseconds = now().Sub(start).Milliseconds()
		})
	}
	all.Wait()
	return found
}
