package main

import "fmt"

// goal is a figure beside what it is to be. Unlike a promise, one that is missed does
// not fail the bench: figures in seconds depend on the machine, and where a goal cannot
// be reached safely, why says so.
type goal struct {
	what    string
	figure  float64
	want    float64
	atLeast bool // else at most
	unit    string
	// why a goal that is missed cannot be reached safely, as far as is known.
	why string
}

func (g goal) reached() bool {
	if g.atLeast {
		return g.figure >= g.want
	}
	return g.figure <= g.want
}

func (g goal) String() string {
	sign, verdict := "≤", "reached"
	if g.atLeast {
		sign = "≥"
	}
	if !g.reached() {
		verdict = "not reached"
	}
	if !g.reached() && g.why != "" {
		verdict += ": " + g.why
	}
	return fmt.Sprintf("  %-58s %10.4g   goal %s %-6.4g %-10s %s", g.what, g.figure, sign, g.want, g.unit, verdict)
}

// atMost and atLeast note a figure beside its goal.
func (b *bench) atMost(what string, figure, want float64, unit string) {
	b.goals = append(b.goals, goal{what: what, figure: figure, want: want, unit: unit, why: reasons()[what]})
}

// reasons say, by figure, why its goal cannot be reached safely.
func reasons() map[string]string {
	const dies = "the lease, the slot, the announcement and the end are each what others find when the worker dies before the next"
	return map[string]string{
		"Firestore writes a change":       dies + "; the end has its activity beside it (rule 2.5)",
		"Firestore transactions a change": dies + "; with the announcement's, each change would write the ledger of which several share a reservation",
	}
}

func (b *bench) atLeast(what string, figure, want float64, unit string) {
	b.goals = append(b.goals, goal{what: what, figure: figure, want: want, unit: unit, atLeast: true})
}

// sayGoals prints them all.
func (b *bench) sayGoals() {
	b.say("Goals")
	for _, g := range b.goals {
		b.say("%s", g)
	}
	b.say("")
}
