package simulation

import (
	"slices"
	"strings"
	"time"
)

// wayWaiting is a moment of which rule 5.8 is about, as Met counts it: an employee's former
// address reads a calendar that is kept up to date, long after a new mail domain.
const wayWaiting = "R5.8 a former address reads on while it waits"

// many draws whether a history is one of a larger company, in which a new mail domain changes
// more addresses than Google allows new calendars in an hour (rule 5.8).
func (d dice) many() bool { return d.chance(50, "many people") }

// Many reports whether a seed's histories are of a larger company.
func Many(seed uint64) bool { return dice(seed).many() }

// rowsOf are the rows that a seed's histories draw. Where Google limits creations, or locks all
// writes, which teaches a limit, a larger company would not be at rest within the days that
// histories have.
func rowsOf(seed uint64) []string {
	return slices.DeleteFunc(DrawnRows(), func(row string) bool { return row == "G9" && Many(seed) })
}

// larger makes a company a larger one.
func (s *setup) larger(d dice) {
	s.Employees, s.CalendarsPerHour = 12+d.pick(9, "many employees"), 4
	s.RequestsPerMinute = max(s.RequestsPerMinute, 60)
	s.Google.RequestsPerMinute = s.RequestsPerMinute
}

// newDomainIn has a larger company get its calendars first, and a new mail domain midway.
func newDomainIn(steps []Step) {
	if len(steps) < 10 {
		return
	}
	steps[0].Kind, steps[0].After = Wait, 6*time.Hour
	steps[len(steps)/3].Kind = PersonsMove
	next := &steps[len(steps)/3+1]
	next.Kind, next.After = Wait, 40*time.Minute
}

// noteWaiting counts those whose address changed in a new mail domain at least ten minutes ago,
// and whose former one still reads their calendar.
func (w *world) noteWaiting() {
	if w.movedAt.IsZero() || time.Since(w.movedAt) < 10*time.Minute {
		return
	}
	now := map[string]string{}
	for _, e := range w.erp.Employees() {
		local, _, _ := strings.Cut(e.Email, "@")
		now[local] = e.Email
	}
	waiting := 0
	for _, c := range w.calendars() {
		for _, r := range c.Rules {
			local, _, _ := strings.Cut(r.Value, "@")
			if address := now[local]; r.Role == "reader" && address != "" && !strings.EqualFold(address, r.Value) {
				waiting++
			}
		}
	}
	w.waited += waiting
}

// executorsOf draws, of thousand, how often an employee of a company is a task's executor.
func (s setup) executorsOf() int { return min(600, 600*4/max(s.Employees, 1)) }
