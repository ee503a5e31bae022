package calendarsync_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Explicit evidence removes, an absence alone does not, and a reading that cannot be
// trusted changes nothing (rule 4.1).
func TestTaskIsJudgedByEvidence(t *testing.T) {
	withDepartments := func(s *Settings) { s.IncludeDepartments = true }
	inNorth := func(e *Recipient) { e.Divisions = []DivisionID{north} }
	byDivision := func(e *Recipient) { e.Divisions, e.Via = []DivisionID{north}, ViaDivision }
	nobody := func(t *Task) { t.Executors = Say([]EmployeeID{}) }
	unlisted := func(t *Task) { t.Executors = Given[[]EmployeeID]{} }
	forNorth := func(t *Task) { t.Divisions = Say([]DivisionID{south, north}) }
	noDivisions := func(t *Task) { t.Divisions = Given[[]DivisionID]{} }
	change := func(changes ...func(*Task)) TaskReading { return read(task(changes...)) }

	for _, row := range []struct {
		name     string
		settings func(*Settings)
		reading  TaskReading
		employee func(*Recipient)
		vouched  bool
		verdict  Verdict
		reason   Reason
		via      string
		err      failure.Kind
	}{
		{name: "executor of an open task has it", reading: change(), verdict: Keep, via: ViaExecutor},
		{name: "second shown role counts too", reading: change(func(t *Task) { t.State = Say(stateOnSite) }), verdict: Keep, via: ViaExecutor},
		{name: "a notification of deletion does not outweigh a task that is there", reading: change(), vouched: true, verdict: Keep, via: ViaExecutor},

		{name: "missing from a complete reading is absence", reading: TaskReading{Absent: ProofKnownID}, verdict: Absent, reason: ReasonMissing},
		{name: "missing and vouched for is evidence", reading: TaskReading{Absent: ProofKnownID}, vouched: true, verdict: Remove, reason: ReasonDeleted},
		{name: "an ERP without any task proves nothing", reading: TaskReading{Absent: ProofEmptyList}, verdict: Unknown, reason: ReasonMissing, err: failure.SourceInvalid},
		{name: "an ERP without any task confirms a signed deletion", reading: TaskReading{Absent: ProofEmptyList}, vouched: true, verdict: Remove, reason: ReasonDeleted},
		{name: "no reading at all leaves everything", reading: TaskReading{}, verdict: Unknown, reason: ReasonMissing, err: failure.Source},
		{name: "no reading at all does not confirm a deletion", reading: TaskReading{}, vouched: true, verdict: Unknown, reason: ReasonMissing, err: failure.Source},
		{name: "untrusted data changes nothing", reading: TaskReading{Invalid: failure.New(failure.SourceInvalid, "read task 123", "no id")}, verdict: Unknown, reason: ReasonInvalid, err: failure.SourceInvalid},
		{name: "untrusted data does not confirm a deletion", reading: TaskReading{Invalid: failure.New(failure.SourceInvalid, "read task 123", "no id")}, vouched: true, verdict: Unknown, reason: ReasonInvalid, err: failure.SourceInvalid},

		{name: "a state with another role is evidence", reading: change(func(t *Task) { t.State = Say(stateDone) }), verdict: Remove, reason: ReasonState},
		{name: "a state that the task does not say is absence", reading: change(func(t *Task) { t.State = Given[StateID]{} }), verdict: Absent, reason: ReasonStateMissing},
		{name: "a state that the catalogue lacks is absence", reading: change(func(t *Task) { t.State = Say(StateID(99)) }), verdict: Absent, reason: ReasonUnknownState},
		{name: "a shown role gone from the catalogue makes other roles absence",
			settings: func(s *Settings) { s.ShownRoles = []RoleID{roleOpen, 77} },
			reading:  change(func(t *Task) { t.State = Say(stateDone) }), verdict: Absent, reason: ReasonCatalogue},
		{name: "a shown role gone from the catalogue takes nothing from the others",
			settings: func(s *Settings) { s.ShownRoles = []RoleID{roleOpen, 77} }, reading: change(), verdict: Keep, via: ViaExecutor},
		{name: "the catalogue says the role, not the name that the task gives its state",
			reading: change(func(t *Task) { t.StateName = "Done" }), verdict: Keep, via: ViaExecutor},

		{name: "no date, said, is evidence", reading: change(func(t *Task) { t.Start = Say(LocalTime{}) }), verdict: Remove, reason: ReasonUndated},
		{name: "no word of a date is absence", reading: change(func(t *Task) { t.Start = Given[LocalTime]{} }), verdict: Absent, reason: ReasonDateMissing},

		{name: "executors without the employee are evidence", reading: change(func(t *Task) { t.Executors = Say([]EmployeeID{petro}) }), verdict: Remove, reason: ReasonReassigned},
		{name: "executors said to be nobody are evidence", reading: change(nobody), verdict: Remove, reason: ReasonReassigned},
		{name: "no word of executors is absence", reading: change(unlisted), verdict: Absent, reason: ReasonStaffMissing},
		{name: "one executor among several has it", reading: change(func(t *Task) { t.Executors = Say([]EmployeeID{petro, olena}) }), verdict: Keep, via: ViaExecutor},

		{name: "a member of the task's department has it", settings: withDepartments, reading: change(nobody, forNorth), employee: inNorth, verdict: Keep, via: ViaDivision},
		{name: "a department's member needs no word of executors", settings: withDepartments, reading: change(unlisted, forNorth), employee: inNorth, verdict: Keep, via: ViaDivision},
		{name: "executor and member at once is the executor", settings: withDepartments, reading: change(forNorth), employee: inNorth, verdict: Keep, via: ViaExecutor},
		{name: "departments count only where the setting is on", reading: change(nobody, forNorth), employee: inNorth, verdict: Remove, reason: ReasonReassigned},
		{name: "members of other departments do not have it", settings: withDepartments, reading: change(nobody, forNorth),
			employee: func(e *Recipient) { e.Divisions = []DivisionID{9} }, verdict: Remove, reason: ReasonReassigned},
		{name: "departments said to be none are evidence", settings: withDepartments, reading: change(nobody), employee: byDivision, verdict: Remove, reason: ReasonReassigned},
		{name: "no word of departments is absence for who had it by one", settings: withDepartments, reading: change(nobody, noDivisions), employee: byDivision, verdict: Absent, reason: ReasonStaffMissing},
		{name: "no word of departments does not matter to a former executor", settings: withDepartments, reading: change(nobody, noDivisions),
			employee: func(e *Recipient) { e.Via = ViaExecutor }, verdict: Remove, reason: ReasonReassigned},
		{name: "no word of departments does not matter where the setting is off", reading: change(nobody, noDivisions), employee: byDivision, verdict: Remove, reason: ReasonReassigned},
		{name: "no word of executors nor departments is absence", settings: withDepartments, reading: change(unlisted, noDivisions), employee: byDivision, verdict: Absent, reason: ReasonStaffMissing},

		{name: "what starts before the calendar's tasks is not in it",
			reading: change(), employee: func(e *Recipient) { e.From = time.Date(2026, 12, 10, 7, 30, 1, 0, time.UTC) }, verdict: Remove, reason: ReasonBefore},
		{name: "what starts with the calendar's tasks is in it",
			reading: change(), employee: func(e *Recipient) { e.From = time.Date(2026, 12, 10, 7, 30, 0, 0, time.UTC) }, verdict: Keep, via: ViaExecutor},
		{name: "a template that fails on the task leaves its event",
			settings: func(s *Settings) { s.EventTitle = `{{slice .Task.Customer 0 99}}` }, reading: change(), verdict: Unknown, reason: ReasonRefusedContent, err: failure.Invalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := settings()
			if row.settings != nil {
				row.settings(&s)
			}
			e := recipient()
			if row.employee != nil {
				row.employee(&e)
			}
			d := rulesOf(t, s).Decide(row.reading, e, row.vouched)
			if d.Verdict != row.verdict || d.Reason != row.reason || d.Via != row.via {
				t.Errorf("verdict %v, reason %q, via %q; want %v, %q, %q", d.Verdict, d.Reason, d.Via, row.verdict, row.reason, row.via)
			}
			if (d.Err != nil) != (row.verdict == Unknown) || failure.KindOf(d.Err) != row.err {
				t.Errorf("error %v, want kind %q", d.Err, row.err)
			}
			if (d.Event != Event{}) != (row.verdict == Keep) {
				t.Errorf("event %+v with verdict %v", d.Event, d.Verdict)
			}
		})
	}
}

// rule 3.5: a task enters by its end if all-day, by its start otherwise.
func TestFromBoundsAllDayByEndAndTimedByStart(t *testing.T) {
	// Kyiv is at +02:00 in December.
	for _, row := range []struct {
		name, start, from string
		hours             int64
		verdict           Verdict
	}{
		{"timed, started a second before", "2026-12-10 09:30", "2026-12-10T07:30:01Z", 8, Remove},
		{"timed, starts just then", "2026-12-10 09:30", "2026-12-10T07:30:00Z", 8, Keep},
		{"all-day, over just then", "2026-12-10", "2026-12-10T22:00:00Z", 0, Remove},
		{"all-day, over a second later", "2026-12-10", "2026-12-10T21:59:59Z", 0, Keep},
		{"all-day over two days, on the second", "2026-12-10", "2026-12-11T12:00:00Z", 25, Keep},
		{"all-day over two days, after both", "2026-12-10", "2026-12-11T22:00:00Z", 25, Remove},
		{"all-day before summer time ends a day of 25 hours", "2026-10-25", "2026-10-25T21:59:59Z", 0, Keep},
		{"all-day after summer time began, a day of 23 hours", "2026-03-29", "2026-03-29T21:00:00Z", 0, Remove},
	} {
		t.Run(row.name, func(t *testing.T) {
			task := task(func(x *Task) { x.Start, x.RuntimeHours = Say(wall(t, row.start)), row.hours })
			d := rulesOf(t, settings()).Decide(read(task), recipient(func(e *Recipient) { e.From = instant(t, row.from) }), false)
			if d.Verdict != row.verdict {
				t.Errorf("verdict %v for %q, want %v", d.Verdict, d.Reason, row.verdict)
			}
		})
	}
}

// Rule 4.13: an entry that cannot be read says nothing of its state's tasks, and what it
// says of no other state it does not say either.
func TestATaskInAStateThatCannotBeReadStays(t *testing.T) {
	odd := failure.New(failure.SourceInvalid, "read state 13", "unreadable field system_role")
	in := func(id StateID) TaskReading { return read(task(func(x *Task) { x.State = Say(id) })) }
	for _, row := range []struct {
		name    string
		spoil   func(*Catalogue)
		state   StateID
		verdict Verdict
	}{
		{"of the odd state", func(c *Catalogue) { c.OddStates = map[StateID]error{13: odd} }, 13, Unknown},
		{"of a sound one", func(c *Catalogue) { c.OddStates = map[StateID]error{13: odd} }, stateNew, Keep},
		{"of a sound one with another role", func(c *Catalogue) { c.OddStates = map[StateID]error{13: odd} }, stateDone, Remove},
		{"of one that nobody knows", func(c *Catalogue) { c.OddStates = map[StateID]error{13: odd} }, 14, Absent},
		{"of one that an entry without an id may be", func(c *Catalogue) { c.Incomplete = true }, 14, Unknown},
		{"of a sound one beside an entry without an id", func(c *Catalogue) { c.Incomplete = true }, stateDone, Remove},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := catalogue()
			row.spoil(&c)
			rules, err := NewRules(settings(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			d := rules.Decide(in(row.state), recipient(), false)
			if d.Verdict != row.verdict || (d.Err != nil) != (row.verdict == Unknown) {
				t.Errorf("verdict %v for %q (%v), want %v", d.Verdict, d.Reason, d.Err, row.verdict)
			}
		})
	}
}

// Rule 4.16: a state whose role is spelled otherwise than a shown one that no state has is not known not
// to be shown; where it is spelled alike, a shown role that is gone is an absence (rule 4.1).
func TestRolesSpelledOtherwiseAreNoEvidence(t *testing.T) {
	text := func(r RoleID) RoleID { return FirstTextRole + r }
	for _, row := range []struct {
		name            string
		shown, has      func(RoleID) RoleID
		numberOf        StateID // spelled by number all the same
		verdict, anyway Verdict
	}{
		{"texts, shown are numbers", nil, text, 0, Unknown, Unknown},
		{"numbers, shown are texts", text, nil, 0, Unknown, Unknown},
		{"texts, shown are texts", text, text, 0, Remove, Keep},
		{"texts and a number, shown are numbers", nil, text, stateDone, Absent, Unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, c := settings(), catalogue()
			for i, r := range s.ShownRoles {
				if row.shown != nil {
					s.ShownRoles[i] = row.shown(r)
				}
			}
			for id, state := range c.States {
				if row.has != nil && id != row.numberOf {
					state.Role = row.has(state.Role)
					c.States[id] = state
				}
			}
			rules, err := NewRules(s, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			for state, want := range map[StateID]Verdict{stateDone: row.verdict, stateNew: row.anyway} {
				d := rules.Decide(read(task(func(x *Task) { x.State = Say(state) })), recipient(), false)
				if d.Verdict != want || (d.Err != nil) != (want == Unknown) {
					t.Errorf("state %d: verdict %v for %q (%v), want %v", state, d.Verdict, d.Reason, d.Err, want)
				}
			}
		})
	}
}

// Rule 4.15: states of an earlier reading show tasks and are no evidence against any; where types
// or divisions are not known at all, only what needs them is unknown.
func TestWhatNeedsAnUnreadableCatalogueIsUnknown(t *testing.T) {
	unread := failure.New(failure.Source, "read the catalogue", "it cannot be read now")
	states := func(r *Rules) { r.Catalogue.StatesUnread = unread }
	types := func(r *Rules) { r.Catalogue.Types, r.Catalogue.TypesUnread = nil, unread }
	divisions := func(r *Rules) { r.DivisionNames, r.DivisionsUnread = nil, unread }
	shows := func(s *Settings) { s.EventTitle = "{{.Task.Division}}" }
	inState := func(id StateID) func(*Task) { return func(x *Task) { x.State = Say(id) } }
	for _, row := range []struct {
		name     string
		spoil    func(*Rules)
		settings func(*Settings)
		task     func(*Task)
		verdict  Verdict
	}{
		{"states: a shown one", states, nil, inState(stateNew), Keep},
		{"states: one that is not shown", states, nil, inState(stateDone), Unknown},
		{"states: one that nobody knows", states, nil, inState(14), Unknown},
		{"states: another executor", states, nil, func(x *Task) { x.Executors, x.Divisions = Say([]EmployeeID{petro}), Say([]DivisionID{}) }, Remove},
		{"states: no date", states, nil, func(x *Task) { x.Start = Say(LocalTime{}) }, Remove},
		{"types: hours of its own", types, nil, func(x *Task) { x.Type, x.RuntimeHours, x.TypeName = 4, 2, "Repair" }, Keep},
		{"types: as long as its type", types, nil, func(x *Task) { x.Type, x.RuntimeHours, x.TypeName = 4, 0, "Repair" }, Unknown},
		{"types: a whole day", types, nil, func(x *Task) {
			x.Type, x.RuntimeHours, x.TypeName = 4, 0, "Repair"
			start := x.Start.Or(LocalTime{})
			start.DateOnly = true
			x.Start = Say(start)
		}, Keep},
		{"types: named by its type only", types, nil, func(x *Task) { x.Type, x.RuntimeHours, x.TypeName = 4, 2, "" }, Unknown},
		{"types: of none", types, nil, func(x *Task) { x.Type, x.RuntimeHours, x.TypeName = 0, 0, "" }, Keep},
		{"types: closed", types, nil, func(x *Task) { x.Type, x.State = 4, Say[StateID](stateDone) }, Remove},
		{"divisions: shown", divisions, shows, func(x *Task) { x.Divisions = Say([]DivisionID{north}) }, Unknown},
		{"divisions: not shown", divisions, nil, func(x *Task) { x.Divisions = Say([]DivisionID{north}) }, Keep},
		{"divisions: of none", divisions, shows, func(x *Task) { x.Divisions = Say([]DivisionID{}) }, Keep},
	} {
		t.Run(row.name, func(t *testing.T) {
			change := row.settings
			if change == nil {
				change = func(*Settings) {}
			}
			rules := rulesOf(t, settings(change))
			row.spoil(rules)
			d := rules.Decide(read(task(row.task)), recipient(), false)
			if d.Verdict != row.verdict || (d.Err != nil) != (row.verdict == Unknown) {
				t.Errorf("verdict %v for %q (%v), want %v", d.Verdict, d.Reason, d.Err, row.verdict)
			}
		})
	}
	// A signed deletion needs no catalogue.
	rules := rulesOf(t, settings())
	states(rules)
	if d := rules.Decide(TaskReading{Absent: ProofKnownID}, recipient(), true); d.Verdict != Remove {
		t.Errorf("signed: %v", d.Verdict)
	}
}

func TestTargetsNameEachOnce(t *testing.T) {
	x := task(func(t *Task) {
		t.Executors = Say([]EmployeeID{petro, olena, petro})
		t.Divisions = Say([]DivisionID{south, north, south, north})
	})
	on := rulesOf(t, settings(func(s *Settings) { s.IncludeDepartments = true }))
	executors, divisions := on.Targets(x)
	if !slices.Equal(executors, []EmployeeID{olena, petro}) || !slices.Equal(divisions, []DivisionID{north, south}) {
		t.Errorf("targets %v, %v", executors, divisions)
	}
	if given, _ := x.Executors.Get(); !slices.Equal(given, []EmployeeID{petro, olena, petro}) {
		t.Errorf("the task's own list became %v", given)
	}
	if _, divisions = rulesOf(t, settings()).Targets(x); len(divisions) != 0 {
		t.Errorf("divisions %v although the setting is off", divisions)
	}
	executors, divisions = on.Targets(Task{ID: 1})
	if len(executors) != 0 || len(divisions) != 0 {
		t.Errorf("a task that says nothing concerns %v, %v", executors, divisions)
	}
}

// Executor and member of two of the task's departments at once: one decision,
// one id, so one event.
func TestDepartmentMembershipCountsOnce(t *testing.T) {
	r := rulesOf(t, settings(func(s *Settings) { s.IncludeDepartments = true }))
	x := task(func(t *Task) { t.Divisions = Say([]DivisionID{north, south}) })
	e := recipient(func(e *Recipient) { e.Divisions = []DivisionID{south, north} })
	decisions := map[string]Decision{}
	executors, divisions := r.Targets(x)
	for range len(executors) + len(divisions) {
		decisions[EventID("t", x.ID, e.ID, 0)] = r.Decide(read(x), e, false)
	}
	if len(decisions) != 1 {
		t.Errorf("%d events, want one", len(decisions))
	}
	for _, d := range decisions {
		if got := Step(d, Actual{}); got != Insert {
			t.Errorf("%v, want an insert", got)
		}
	}
}

func TestRulesRefuseSettingsThatCannotWork(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Settings)
		field  string
	}{
		{"no zone", func(s *Settings) { s.TimeZone = "" }, "time_zone"},
		{"a zone that is none", func(s *Settings) { s.TimeZone = "Europe/Atlantis" }, "time_zone"},
		{"the machine's own zone", func(s *Settings) { s.TimeZone = "Local" }, "time_zone"},
		{"no shown roles", func(s *Settings) { s.ShownRoles = nil }, "shown_roles"},
		{"a broken name", func(s *Settings) { s.CalendarName = "{{" }, "calendar_name"},
		{"a broken title", func(s *Settings) { s.EventTitle = "{{if}}" }, "event_title"},
		{"a broken description", func(s *Settings) { s.EventDescription = "{{nosuch}}" }, "event_description"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := NewRules(settings(row.change), catalogue(), nil)
			if r != nil || !failure.Is(err, failure.Misconfigured) || !names(err, row.field) {
				t.Errorf("got %v, %v; want a fault of %s", r, err, row.field)
			}
		})
	}
	if _, err := NewRules(settings(), Catalogue{}, nil); err != nil {
		t.Errorf("an empty catalogue is no fault of the settings: %v", err)
	}
}

func TestStatesWithRolesAscend(t *testing.T) {
	c := catalogue()
	c.States[3] = State{ID: 3, Role: roleOpen}
	if got := c.StatesWithRoles([]RoleID{roleStarted, roleOpen, roleOpen}); !slices.Equal(got, []StateID{3, stateNew, stateOnSite}) {
		t.Errorf("states %v", got)
	}
	if got := c.StatesWithRoles([]RoleID{77}); len(got) != 0 {
		t.Errorf("states %v of a role that there is not", got)
	}
}

func TestGivenKeepsSaidAndUnsaidApart(t *testing.T) {
	said, unsaid := Say(0), Given[int]{}
	if v, ok := said.Get(); v != 0 || !ok || said.Or(5) != 0 {
		t.Error("a zero that was said is lost")
	}
	if _, ok := unsaid.Get(); ok || unsaid.Or(5) != 5 {
		t.Error("what was not said is there")
	}
}

// The cause of a template's failure can be found without reading its text.
func TestRefusedContentKeepsItsCause(t *testing.T) {
	s := settings(func(s *Settings) { s.EventTitle = `{{slice .Task.Customer 0 99}}` })
	d := rulesOf(t, s).Decide(read(task()), recipient(), false)
	e, ok := errors.AsType[*failure.Error](d.Err)
	if !ok || e.Err == nil || !names(e.Err, "event_title") {
		t.Errorf("error %v does not name the field", d.Err)
	}
}
