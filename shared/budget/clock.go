package budget

import "time"

// clock translates the database's time into the process' own. A slot's start
// reckoned from the moment of an answer would be late by what that answer took,
// each by something else: three writes whose slots keep their distance could
// come within a second. But the database's time lies between the asking and the
// answer, so each answer bounds the difference of the clocks on both sides, the
// quickest ones best; and where the clocks drift, or one of them was set, the
// bounds leave the difference behind.
type clock struct {
	known bool
	// offset is what the own clock is ahead of the database's; rather too much.
	offset time.Duration
}

// when gives the own time of a moment of the database's clock, which answered with it
// at the own time answered when it was asked at the time asked. It is never after
// answered.
func (p *Pacer) when(at, asked, answered time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.clock
	most := answered.Sub(at)
	least := most - answered.Sub(asked)
	if !c.known {
		*c = clock{known: true, offset: most}
	}
	c.offset = max(least, min(most, c.offset))
	return answered.Add(c.offset - most)
}
