package simulation

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// organisation is the domain of the account's owner and of most employees.
const organisation = "provider.example"

// DrawnRows are the rows of the unproved questions (G1 to G15, E1 to E8) whose answers
// Generate has drawn for each history.
func DrawnRows() []string {
	return []string{
		"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "G11", "G12", "G13", "G14", "G15",
		"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8",
	}
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
	return w
}

// drawERP draws which ERP it meets.
func drawERP(d dice, rows []string) fakeerp.Ways {
	w := fakeerp.Draw(rand.New(rand.NewPCG(d.draw("erp"), 1))).Only(rows...)
	if w.MaxShow > 0 {
		w.MaxShow = 2 + w.MaxShow/25 // histories have few tasks; an absence takes two to prove (rule 4.2)
	}
	return w
}

// Undated reports whether a seed's ERP, if it is drawn, keeps the date of a task of which
// only the executors change: no poll finds such a change (E8).
func Undated(seed uint64) bool { return drawERP(dice(seed), []string{"E8"}).ExecutorsUndated }

// Draws reports whether a seed's Google behaves in a way ("G13 reach lost"), if it is drawn.
func Draws(seed uint64, way string) bool {
	return slices.Contains(setupOf(dice(seed), rowsOf(seed)).Google.Ways.Names(), way)
}

// spell is one that befalls Google from a step on; of the history's rows.
func (w *world) spell(s Step) (fakegoogle.Spell, bool) {
	n := s.N[0]*1_000_000 + s.N[1]*1000 + s.N[2]
	spell := fakegoogle.DrawSpell(rand.New(rand.NewPCG(uint64(n), 2)))
	row, _, _ := strings.Cut(spell.Name, " ")
	return spell, w.draws(row)
}

// draws reports whether the answers of a row are drawn.
func (w *world) draws(row string) bool { return slices.Contains(w.rows, row) }

// spoil makes a task or an employee one that spoils each answer that includes it, or ends
// that.
func (w *world) spoil(s Step) error {
	tasks, people := w.erp.Tasks(), w.erp.Employees()
	if !w.draws("E2") || len(tasks) == 0 || len(people) == 0 {
		return errNothingToDo
	}
	task, person := tasks[s.N[1]%len(tasks)].ID, people[s.N[1]%len(people)].ID
	w.erp.ChangeWays(func(to *fakeerp.Ways) {
		switch s.N[0] % 5 {
		case 0, 1:
			to.BadTasks = append(slices.Clone(to.BadTasks), task)
		case 2:
			to.BadEmployees = append(slices.Clone(to.BadEmployees), person)
		default:
			to.BadTasks, to.BadEmployees = nil, nil
		}
		w.note("the ERP's bad records: tasks %v, employees %v", to.BadTasks, to.BadEmployees)
	})
	return nil
}

// oddEntry spells an entry of a catalogue so that it cannot be read, or ends that.
func (w *world) oddEntry(s Step) error {
	if !w.draws("E3") {
		return errNothingToDo
	}
	odd := []any{"-", "abc", []any{}, "1,5", "-1", "1:30", false}[s.N[1]%7]
	known := w.roleTextsAreKnown()
	w.erp.ChangeWays(func(to *fakeerp.Ways) {
		if to.RolesAsText && !known && odd == "abc" {
			odd = "-" // where a first text would be, it would be taken for it (rule 4.16)
		}
		switch s.N[0] % 6 {
		case 0, 1:
			to.OddHours = map[int64]any{[]int64{typeRepair, typeInstall}[s.N[2]%2]: odd}
		case 2:
			to.OddRoles = map[int64]any{statePostponed: odd} // no task in it is shown
		case 3:
			to.OddRoles = map[int64]any{[]int64{stateOpen, stateWorking, stateDone, stateAgreed}[s.N[2]%4]: odd}
		default:
			to.OddHours, to.OddRoles = nil, nil
		}
		w.note("the ERP's odd roles %v, hours %v", to.OddRoles, to.OddHours)
	})
	return nil
}

// allowOutside has the organisation's admin allow people outside to see events, where the
// product can see that they do not (G6). Where it cannot, all has to be right with it as it is.
func (w *world) allowOutside() {
	w.google.ChangeWays(func(to *fakegoogle.Ways) {
		if to.Outside != fakegoogle.OutsideBlind {
			to.Outside = fakegoogle.OutsideAsAsked
		}
	})
}

// inviteOutside has everybody invited again whom the organisation kept from seeing events.
func (w *world) inviteOutside() {
	switch w.setup.Google.Ways.Outside {
	case fakegoogle.OutsideAsAsked, fakegoogle.OutsideBlind:
		return
	case fakegoogle.OutsideRefused, fakegoogle.OutsideLowered:
	}
	for n := range w.erp.Employees() {
		if err := w.invite(n); err != nil && !errors.Is(err, errNothingToDo) {
			w.fail(err)
		}
	}
}

// giveReachBack ends it in some histories that a client's calendars are out of its reach: for
// one that is refused with 403, which nobody can help, in all.
func (w *world) giveReachBack() {
	if lost := w.setup.Google.Ways.ReachLost; lost == http.StatusForbidden || lost != 0 && w.dice.chance(500, "reach") {
		w.fail(w.google.RegainReach(account))
	}
}

// replaceUnreachable has every calendar replaced that Google keeps out of the product's reach.
func (w *world) replaceUnreachable() {
	if w.setup.Google.Ways.ReachLost == 0 {
		return
	}
	for n := range w.erp.Employees() {
		if err := w.replace(n); err != nil && !errors.Is(err, errNothingToDo) {
			w.fail(err)
		}
	}
}

// marksLost reports whether Google gives no marks back, those of calendars or of events (G5).
func (w *world) marksLost() (calendars, events bool) {
	w.google.ChangeWays(func(now *fakegoogle.Ways) { calendars, events = now.Descriptions.Lost, now.PropertiesLost })
	return calendars, events
}

// changeMarks has Google give marks back from now on, or, where it gave none at first, none
// again.
func (w *world) changeMarks() error {
	if w.giveMarksBack() == nil {
		return nil
	}
	first := w.setup.Google.Ways
	if !first.Descriptions.Lost && !first.PropertiesLost {
		return errNothingToDo
	}
	w.note("Google gives no marks back any more")
	w.google.ChangeWays(func(to *fakegoogle.Ways) {
		to.Descriptions.Lost, to.PropertiesLost = first.Descriptions.Lost, first.PropertiesLost
	})
	w.auditor.MarksLost(w.marksLost())
	return nil
}

// giveMarksBack has Google give marks back from now on.
func (w *world) giveMarksBack() error {
	if calendars, events := w.marksLost(); !calendars && !events {
		return errNothingToDo
	}
	w.note("Google gives marks back")
	w.google.ChangeWays(func(to *fakegoogle.Ways) { to.Descriptions.Lost, to.PropertiesLost = false, false })
	w.auditor.MarksLost(w.marksLost())
	return nil
}

// bringWithinReach has the owner delete the calendars that are out of the product's reach:
// without a database it is not connected before that, and its page says so (rule 3.7). Rows
// that stay are no calendars.
func (w *world) bringWithinReach() error {
	for _, c := range w.calendars() {
		if c.OutOfReach {
			if err := w.google.DeleteCalendar(c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// mendAllButTasks ends what somebody spoiled in the ERP, but for tasks: those may stay
// unreadable while everything else is right. One stays readable, since an ERP that shows none of
// its tasks counts as down (rule 8.9), and then nobody's calendar can be filled.
func (w *world) mendAllButTasks() {
	bad, tasks := w.badTasks(), w.erp.Tasks()
	w.erp.ChangeWays(func(to *fakeerp.Ways) {
		to.BadEmployees, to.OddHours, to.OddRoles = nil, nil, nil
		if len(bad) == len(tasks) && len(bad) > 0 {
			to.BadTasks = bad[1:]
		}
	})
}

func (w *world) mendTasks() {
	w.erp.ChangeWays(func(to *fakeerp.Ways) { to.BadTasks = nil })
}

// badTasks are those of which the ERP gives no answer. A deleted one spoils none: that it is
// gone can be read.
func (w *world) badTasks() (ids []int64) {
	w.erp.ChangeWays(func(now *fakeerp.Ways) { ids = slices.Clone(now.BadTasks) })
	slices.Sort(ids)
	ids = slices.Compact(ids) // one may be spoiled twice
	there := w.erp.Tasks()
	return slices.DeleteFunc(ids, func(id int64) bool {
		return !slices.ContainsFunc(there, func(t fakeerp.Task) bool { return t.ID == id })
	})
}

// newDomain gives everybody an address under another domain.
func (w *world) newDomain(all []fakeerp.Employee, s Step) error {
	w.note("%s", s.Kind)
	w.movedAt = time.Now()
	for _, e := range all {
		local, _, ok := strings.Cut(e.Email, "@")
		if !ok {
			continue
		}
		if err := w.erp.UpdateEmployee(e.ID, func(e *fakeerp.Employee) { e.Email = fmt.Sprintf("%s@new%d.%s", local, s.N[0]%2, organisation) }); err != nil {
			return err
		}
	}
	return nil
}

// hidden puts a character that nobody sees into an address, as copying does.
func hidden(address string, n int) string {
	if address == "" {
		return ""
	}
	runes := []rune(address)
	return string(slices.Insert(runes, n%len(runes), []rune{'\u200b', '\u200e', '\u00ad'}[n%3]))
}

// newAddress is the address of somebody new. Some are outside the organisation, and some
// are spelled in a way that Google may not keep.
func (w *world) newAddress(name string) string {
	among := []string{"%s@" + organisation}
	if w.draws("G6") {
		among = append(among, "%s@elsewhere.example")
	}
	if w.draws("G8") {
		among = append(among, "New.%s@gmail.com", "%s.new@googlemail.com")
	}
	return fmt.Sprintf(among[w.dice.pick(len(among), "domain", name)], name)
}

// written spells a text as people type it, in which Google may fold characters and blanks.
func (w *world) written(text string) string {
	if !w.draws("G4") {
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
	if w.waited > 0 {
		out[wayWaiting] = w.waited
	}
	if w.markless > 0 {
		out["G5 database lost while marks are"] = w.markless
	}
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
