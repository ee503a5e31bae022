package budget

import "time"

// clock translates the database's time into the process' own. A slot's start
// reckoned from the moment of an answer would be late by what that answer took,
// each by something else: three writes whose slots keep their distance could
// come within a second. The quickest answers tell the difference of the clocks
// best.
type clock struct {
	known bool
	// own and database are moments of the first answer.
	own, database time.Time
	// behind is the least that answers took besides, as it looks of late.
	behind time.Duration
}

// stray is how much slower than the quickest an answer may be before the clocks
// are looked at anew: one of them was set.
const stray = time.Second

// when gives the own time of a moment of the database's clock, of which an answer
// told at the own time now. It is never after now.
func (p *Pacer) when(at, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.clock
	if !c.known {
		*c = clock{known: true, own: now, database: at}
	}
	took := now.Sub(c.own) - at.Sub(c.database)
	switch {
	case took < c.behind || took-c.behind > stray:
		c.behind = took
	default:
		// Clocks drift: what was the least long ago need not be so now.
		c.behind += (took - c.behind) / 64
	}
	return c.own.Add(at.Sub(c.database) + c.behind)
}
