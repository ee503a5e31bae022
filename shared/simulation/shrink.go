package simulation

import (
	"slices"
	"testing"
	"time"
)

// Shrink looks for a shorter history that breaks the same rule: it leaves out rows whose
// answers are drawn, then steps, many
// at a time and then fewer, as long as the rule is still broken (delta debugging). It
// stops when no single step can be left out, or after limit of real time.
func (r *Runner) Shrink(t *testing.T, found Result, defect Defect, limit time.Duration) Result {
	t.Helper()
	if !found.Failed() {
		return found
	}
	rule := found.Violations[0].Rule
	began := time.Now()
	best := found
	// What came after the violation does not matter.
	best.History.Steps = slices.Clone(found.History.Steps[:min(found.Done, len(found.History.Steps))])
	for _, row := range found.History.Rows {
		h := best.History
		h.Rows = slices.DeleteFunc(slices.Clone(h.Rows), func(r string) bool { return r == row })
		if try := r.Run(t, h, defect); slices.Contains(try.Rules(), rule) {
			h.Steps = h.Steps[:min(try.Done, len(h.Steps))]
			try.History, best = h, try
		}
	}
	for size := max(len(best.History.Steps)/2, 1); ; {
		shorter := false
		for at := 0; at < len(best.History.Steps); {
			if time.Since(began) > limit {
				return best
			}
			steps := slices.Delete(slices.Clone(best.History.Steps), at, min(at+size, len(best.History.Steps)))
			try := r.Run(t, History{Seed: best.History.Seed, Rows: best.History.Rows, Steps: steps}, defect)
			if slices.Contains(try.Rules(), rule) {
				try.History.Steps = steps[:min(try.Done, len(steps))]
				best, shorter = try, true
				continue // the next ones have moved here
			}
			at += size
		}
		if size == 1 && !shorter {
			return best
		}
		size = max(size/2, 1)
	}
}
