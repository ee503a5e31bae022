package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// organisation is the domain of the account's owner and of most employees.
const organisation = "provider.example"

// DrawnRows are the rows of the unproved questions (G1 to G15, E1 to E8) whose answers
// Generate has drawn for each history.
func DrawnRows() []string {
	return []string{"G1", "G3", "G4", "G5", "G7", "G10", "G11", "G12", "G14", "G15"}
}

// timeless are the rows that may be drawn on the real clock: none of them makes anybody
// wait for longer than a call.
func timeless() []string {
	return []string{"G4", "G5", "G7", "G11", "G12", "G14", "E3", "E4", "E5", "E6", "E8"}
}

// drawGoogle draws which Google a history meets.
func drawGoogle(d dice, rows []string) fakegoogle.Ways {
	w := fakegoogle.Draw(rand.New(rand.NewPCG(d.draw("google"), 1)), 0, zoneName, organisation).Only(rows...)
	w.Spells = nil // they are steps
	if !slices.Contains(rows, zoneRefusedRow) {
		w.ZonesRefused = nil
	}
	return w
}

// zoneRefusedRow stands among a history's rows where Google may refuse the zone.
const zoneRefusedRow = "G3-refused"

// drawERP draws which ERP it meets.
func drawERP(d dice, rows []string) fakeerp.Ways {
	return fakeerp.Draw(rand.New(rand.NewPCG(d.draw("erp"), 1))).Only(rows...)
}

// spell is one that befalls Google from a step on; of the history's rows.
func (w *world) spell(s Step) (fakegoogle.Spell, bool) {
	n := s.N[0]*1_000_000 + s.N[1]*1000 + s.N[2]
	spell := fakegoogle.DrawSpell(rand.New(rand.NewPCG(uint64(n), 2)))
	row, _, _ := strings.Cut(spell.Name, " ")
	return spell, slices.Contains(w.rows, row)
}

// newAddress is the address of somebody new. Some are outside the organisation, and some
// are spelled in a way that Google may not keep.
func (w *world) newAddress(name string) string {
	among := []string{"%s@" + organisation}
	if slices.Contains(w.rows, "G6") {
		among = append(among, "%s@elsewhere.example")
	}
	if slices.Contains(w.rows, "G8") {
		among = append(among, "New.%s@gmail.com", "%s.new@googlemail.com")
	}
	return fmt.Sprintf(among[w.dice.pick(len(among), "domain", name)], name)
}

// written spells a text as people type it, in which Google may fold characters and blanks.
func (w *world) written(text string) string {
	if !slices.Contains(w.rows, "G4") {
		return text
	}
	return strings.NewReplacer("Lisova", "Лісоваи\u0306  вул.\u00a0", "Sadova", "Киі\u0306вська  вул.").Replace(text) + " "
}

// longText is one near the limits of what Google takes, in characters of two UTF-16 units.
func longText(n int) string { return strings.Repeat("🛠", 900+n%3000) }

// Met counts how often each way showed in a history's answers, those included that were
// set and never did.
type Met map[string]int

// met gives what the stand-ins have counted.
func (w *world) met() Met {
	out := Met(w.google.Met())
	maps.Copy(out, w.erp.Met())
	for _, way := range append(w.setup.Google.Ways.Names(), w.setup.ERP.Names()...) {
		out[way] += 0 // one that was set and never met is shown, too
	}
	return out
}

// String lists the ways, one a line.
func (m Met) String() string {
	var out strings.Builder
	for _, way := range slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		rowA, _, _ := strings.Cut(a, " ")
		rowB, _, _ := strings.Cut(b, " ")
		if rowA[0] != rowB[0] || len(rowA) == len(rowB) {
			return strings.Compare(a, b)
		}
		return len(rowA) - len(rowB)
	}) {
		fmt.Fprintf(&out, "%8s  %s\n", strconv.Itoa(m[way]), way)
	}
	return out.String()
}
