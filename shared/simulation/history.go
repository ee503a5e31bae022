package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a step does.
type Kind string

// The kinds of steps. Each chooses what it acts on by its numbers, modulo how many there are.
const (
	// The dispatcher, in the ERP.
	TaskAdd         Kind = "task.add"
	TaskMove        Kind = "task.move"
	TaskWall        Kind = "task.wall"
	TaskLength      Kind = "task.length"
	TaskReassign    Kind = "task.reassign"
	TaskDivisions   Kind = "task.divisions"
	TaskState       Kind = "task.state"
	TaskText        Kind = "task.text"
	TaskType        Kind = "task.type"
	TaskPriority    Kind = "task.priority"
	TaskUndate      Kind = "task.undate"
	TaskDelete      Kind = "task.delete"
	PersonAdd       Kind = "person.add"
	PersonAddress   Kind = "person.address"
	PersonBind      Kind = "person.bind"
	PersonDismiss   Kind = "person.dismiss"
	PersonRename    Kind = "person.rename"
	PersonDivision  Kind = "person.division"
	PersonDelete    Kind = "person.delete"
	CatalogueRole   Kind = "catalogue.role"
	CatalogueType   Kind = "catalogue.type"
	CatalogueState  Kind = "catalogue.state"
	ERPCommitsLater Kind = "erp.commits-later"
	PersonsMove     Kind = "person.new-domain" // everybody's address changes at once
	// An update of the ERP: its catalogue gives roles as texts instead of numbers, or numbers again.
	ERPRespelled Kind = "erp.respelled-roles"
	// What a dispatcher or a script can spoil.
	ERPBadRecord Kind = "erp.bad-record"
	CatalogueOdd Kind = "catalogue.odd-entry"
	// The admin, in the console.
	AdminSettings Kind = "admin.settings"
	AdminPause    Kind = "admin.pause"
	AdminConfirm  Kind = "admin.confirm-held"
	AdminAgain    Kind = "admin.look-at-held"
	AdminSync     Kind = "admin.look"
	AdminRun      Kind = "admin.run"
	AdminConnect  Kind = "admin.connect"
	AdminDrop     Kind = "admin.keep-held"
	AdminReopen   Kind = "admin.reopen-held"
	AdminDead     Kind = "admin.dead-letter"
	AdminInvite   Kind = "admin.invite"
	AdminRebuild  Kind = "admin.rebuild"
	AdminPurge    Kind = "admin.purge"
	AdminReplace  Kind = "admin.replace" // a calendar that Google denies
	// The account's owner, at Google.
	OwnerEdit     Kind = "owner.edit"
	OwnerMove     Kind = "owner.move"
	OwnerDelete   Kind = "owner.delete"
	OwnerCopy     Kind = "owner.copy"
	OwnerMoveTo   Kind = "owner.move-to-calendar"
	OwnerRestore  Kind = "owner.restore"
	OwnerEmptyBin Kind = "owner.empty-bin"
	OwnerForeign  Kind = "owner.foreign-event"
	OwnerUnshare  Kind = "owner.unshare"
	OwnerWiden    Kind = "owner.widen-share"
	OwnerShare    Kind = "owner.foreign-share"
	OwnerRename   Kind = "owner.rename-calendar"
	OwnerClear    Kind = "owner.clear-calendar"
	OwnerRemove   Kind = "owner.delete-calendar"
	OwnerRevoke   Kind = "owner.revoke-grant"
	// Time and what Scheduler does.
	Wait      Kind = "wait"
	Poll      Kind = "poll"
	Reconcile Kind = "reconcile"
	// Faults.
	FaultGoogle Kind = "fault.google"
	FaultERP    Kind = "fault.erp"
	FaultStore  Kind = "fault.store"
	FaultQueue  Kind = "fault.queue"
	FaultSpell  Kind = "fault.spell"  // befalls Google for a while
	GoogleMarks Kind = "google.marks" // from now on it gives marks back
	Kill        Kind = "kill"
	Wipe        Kind = "wipe-database"
)

// Step is one thing that happens in a history.
type Step struct {
	// ID is the step's place in the history as generated; draws are named by it,
	// so that the rest of a shortened history goes on as before.
	ID   int
	Kind Kind
	// N chooses what the step acts on and how.
	N [3]int
	// After is how long the next step is away.
	After time.Duration
}

// String is a line of a printed history, which ParseHistory reads.
func (s Step) String() string {
	return fmt.Sprintf("%4d  %-22s %4d %4d %4d  then %s", s.ID, s.Kind, s.N[0], s.N[1], s.N[2], s.After)
}

// History is a seed and what was drawn with it.
type History struct {
	Seed uint64
	// Rows are those of the unproved questions ("G3", "E5") whose answers follow from the
	// seed; those of the others are as assumed.
	Rows  []string
	Steps []Step
}

// String prints a history.
func (h History) String() string {
	var out strings.Builder
	out.WriteString(h.head() + "\n")
	for _, s := range h.Steps {
		out.WriteString(s.String() + "\n")
	}
	return out.String()
}

// head is the first line of a printed history.
func (h History) head() string {
	rows := ""
	if len(h.Rows) > 0 {
		rows = ", drawn: " + strings.Join(h.Rows, " ")
	}
	return fmt.Sprintf("history of seed %d, %d steps%s:", h.Seed, len(h.Steps), rows)
}

// ParseHistory reads what History.String prints, and nothing else. So a history that once
// failed is kept, whatever Generate draws later.
func ParseHistory(text string) (History, error) {
	head, rest, _ := strings.Cut(text, "\n")
	var h History
	var count int
	if _, err := fmt.Sscanf(head, "history of seed %d, %d steps", &h.Seed, &count); err != nil {
		return h, fmt.Errorf("read the history's first line %q: %w", head, err)
	}
	if _, rows, drawn := strings.Cut(strings.TrimSuffix(head, ":"), ", drawn: "); drawn {
		h.Rows = strings.Fields(rows)
	}
	for line := range strings.Lines(rest) {
		s, err := parseStep(line)
		if err != nil {
			return h, err
		}
		h.Steps = append(h.Steps, s)
	}
	if h.String() != text {
		return h, fmt.Errorf("the history of seed %d with %d steps is not written as it is printed", h.Seed, len(h.Steps))
	}
	return h, nil
}

func parseStep(line string) (Step, error) {
	var s Step
	var after string
	if _, err := fmt.Sscanf(line, "%d %s %d %d %d then %s", &s.ID, &s.Kind, &s.N[0], &s.N[1], &s.N[2], &after); err != nil {
		return s, fmt.Errorf("read the step %q: %w", line, err)
	}
	var err error
	if s.After, err = time.ParseDuration(after); err != nil {
		return s, fmt.Errorf("read the step %q: %w", line, err)
	}
	if !slices.ContainsFunc(weights(), func(w weight) bool { return w.kind == s.Kind }) {
		return s, fmt.Errorf("read the step %q: there is no such kind", line)
	}
	return s, nil
}

// weight is how often a kind of step is drawn, relative to the sum of all weights.
type weight struct {
	kind Kind
	n    int
}

func weights() []weight {
	return []weight{
		{TaskAdd, 60}, {TaskMove, 80}, {TaskWall, 10}, {TaskLength, 20}, {TaskReassign, 60}, {TaskDivisions, 20}, {TaskState, 60},
		{TaskText, 30}, {TaskType, 15}, {TaskPriority, 15}, {TaskUndate, 15}, {TaskDelete, 25},
		{PersonAdd, 8}, {PersonAddress, 25}, {PersonBind, 20}, {PersonDismiss, 15}, {PersonRename, 15}, {PersonDivision, 20}, {PersonDelete, 4},
		{CatalogueRole, 4}, {CatalogueType, 6}, {CatalogueState, 4}, {ERPCommitsLater, 8}, {ERPRespelled, 6},
		{PersonsMove, 2}, {ERPBadRecord, 15}, {CatalogueOdd, 10},
		{AdminSettings, 15}, {AdminPause, 6}, {AdminConfirm, 6}, {AdminAgain, 4}, {AdminSync, 15}, {AdminRun, 6}, {AdminConnect, 3},
		{AdminDrop, 4}, {AdminReopen, 3}, {AdminDead, 3}, {AdminInvite, 5}, {AdminRebuild, 6}, {AdminPurge, 2}, {AdminReplace, 8},
		{OwnerEdit, 15}, {OwnerMove, 12}, {OwnerDelete, 15}, {OwnerCopy, 8}, {OwnerMoveTo, 8}, {OwnerRestore, 8}, {OwnerEmptyBin, 5}, {OwnerForeign, 8},
		{OwnerUnshare, 8}, {OwnerWiden, 6}, {OwnerShare, 5}, {OwnerRename, 6}, {OwnerClear, 4}, {OwnerRemove, 6}, {OwnerRevoke, 5},
		{Wait, 60}, {Poll, 10}, {Reconcile, 15},
		{FaultGoogle, 100}, {FaultERP, 50}, {FaultStore, 40}, {FaultQueue, 20}, {FaultSpell, 25}, {GoogleMarks, 12}, {Kill, 50}, {Wipe, 2},
	}
}

// aided reports whether a kind of step may need a reconcile or a full run, or is one and
// would hide that it was needed.
func aided(k Kind) bool {
	what, _, _ := strings.Cut(string(k), ".")
	switch k {
	case Reconcile, Wipe, GoogleMarks, FaultERP, ERPBadRecord, AdminSettings, AdminPause, AdminConfirm, AdminAgain, AdminRun, AdminConnect,
		AdminDrop, AdminReopen, AdminRebuild, AdminPurge, AdminReplace:
		return true
	}
	return what == "owner" || what == "catalogue"
}

// Generate draws a history.
func Generate(seed uint64, steps int) History { return GenerateWith(seed, steps, nil) }

// GenerateWith draws a history in which some kinds of steps come more often, by a factor.
func GenerateWith(seed uint64, steps int, often map[Kind]int) History {
	d := dice(seed)
	all := 0
	var kinds []weight
	for _, w := range weights() {
		if d.unaided() && aided(w.kind) {
			continue
		}
		w.n *= max(often[w.kind], 1)
		kinds = append(kinds, w)
		all += w.n
	}
	h := History{Seed: seed, Rows: rowsOf(seed), Steps: make([]Step, steps)}
	for id := range steps {
		name := strconv.Itoa(id)
		s := Step{ID: id}
		n := d.pick(all, "kind", name)
		for _, w := range kinds {
			if n < w.n {
				s.Kind = w.kind
				break
			}
			n -= w.n
		}
		for i := range s.N {
			s.N[i] = d.pick(1000, "n", name, strconv.Itoa(i))
		}
		s.After = after(d, s.Kind, name)
		h.Steps[id] = s
	}
	if d.many() {
		newDomainIn(h.Steps)
	}
	return h
}

// after draws how long after a step the next one comes: mostly moments, so that their
// effects overlap.
func after(d dice, k Kind, name string) time.Duration {
	switch {
	case strings.HasPrefix(string(k), "fault."), k == Kill:
		// Its effect is on what comes next.
		return d.between(0, 200*time.Millisecond, "after", name)
	case k == Wait:
		long := []time.Duration{time.Minute, 6 * time.Minute, 12 * time.Minute, 12 * time.Minute, 40 * time.Minute, 3 * time.Hour}
		if d.chance(40, "a day", name) {
			return d.between(12*time.Hour, 26*time.Hour, "after", name)
		}
		return d.between(time.Second, long[d.pick(len(long), "long", name)], "after", name)
	}
	short := []time.Duration{200 * time.Millisecond, 2 * time.Second, 2 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute}
	return d.between(time.Millisecond, short[d.pick(len(short), "short", name)], "after", name)
}
