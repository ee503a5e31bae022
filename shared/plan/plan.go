// Package plan says what saving settings would do, before they are saved (rule 4.14): whose
// calendars are made and deleted, which are renamed, how many events go, come or are written
// anew, and what would be overwritten on employees' cards. It compares what there is with what
// ought to be under the new settings, by the decisions that the workers make. It is pure: it
// must never read, write or save anything, so that each row of a plan can be tested.
package plan

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Basis is what a plan rests on, read just before.
type Basis struct {
	// Before are the settings by which calendars were written last, nil where none ever were;
	// InForce those that are saved now, and Next those to be saved.
	Before        *calendarsync.Settings
	InForce, Next calendarsync.Settings
	Catalogue     calendarsync.Catalogue
	// Cards are the ERP's employees. Where the ERP was not asked, ByStore is set: what depends
	// on cards is then left out.
	Cards   map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	ByStore bool
	// Employees and Tasks are the records: of all tasks where NeedsTasks says so, else at least
	// of those whose calendar goes. Counted, where it is set, is what they came to, in their
	// place. TaskCount is how many tasks there are on record.
	Employees []store.EmployeeRecord
	Tasks     []store.TaskRecord
	Counted   *Count
	TaskCount int
}

// Person is an employee whom a plan names.
type Person struct {
	ID   calendarsync.EmployeeID
	Name string
	// Address is that of the card; "" where none is readable.
	Address string
	// Events are those of theirs that go.
	Events int
	// Reason is why the calendar goes, or why there is to be none.
	Reason calendarsync.Reason
	// From and To are a calendar's name before and after, or what a card's field holds and
	// what would be written over it ("" until the calendar is made).
	From, To string
}

// Plan is what saving would do. Lists are by name.
type Plan struct {
	// Pauses and Resumes: the save stops everything, or lets it begin or go on.
	Pauses, Resumes bool
	// Made get a calendar and an invitation; Without would get none, told for the first save
	// and for whoever asks why.
	Made, Without []Person
	// Unreadable are those of whom the ERP gives no usable answer: what they have stays.
	Unreadable []Person
	// Deleted lose their calendar because of these settings; Leaving lose it because of what
	// the ERP says, which the save only lets happen: those the delete guard counts.
	Deleted, Leaving []Person
	// Emptied lose the events of states or divisions that are shown no more.
	Emptied []Person
	// States are the states whose tasks leave, and Divisions tells that those of divisions do.
	States    []calendarsync.StateID
	Divisions bool
	Renamed   []Person
	Rezoned   int
	// Rewritten is how many tasks' events may get another content, at most.
	Rewritten int
	// NewStates are states whose tasks join; NewDivisions: those of divisions join.
	NewStates    []calendarsync.StateID
	NewDivisions bool
	// Written counts the cards that get the calendar's id; Overwritten are those whose field
	// holds something else.
	Written     int
	Overwritten []Person
}

// Changes reports whether anything that exists, or is made, is another after the save. A pause
// changes nothing, and has to be possible at once.
func (p Plan) Changes() bool {
	return p.Resumes || p.NewDivisions || p.Rezoned+p.Rewritten+p.Written > 0 ||
		len(p.Made)+len(p.Deleted)+len(p.Leaving)+len(p.Emptied)+len(p.Renamed)+len(p.NewStates)+len(p.Overwritten) > 0
}

// EventsDeleted counts the events that go, with their calendars or out of them.
func (p Plan) EventsDeleted() (n int) {
	for _, list := range [][]Person{p.Deleted, p.Leaving, p.Emptied} {
		for _, one := range list {
			n += one.Events
		}
	}
	return n
}

// Hash names exactly what cannot be taken back: who gets and who loses a calendar, of which
// states and people events go, and on whose cards something is overwritten. How many events
// each has changes by the minute, and is no part of it.
func (p Plan) Hash() string {
	var list []byte
	add := func(what string, people []Person) {
		ids := make([]int64, len(people))
		for i, one := range people {
			ids[i] = int64(one.ID)
		}
		slices.Sort(ids)
		list = fmt.Appendf(list, "%s %v\n", what, ids)
	}
	add("made", p.Made)
	add("deleted", p.Deleted)
	add("leaving", p.Leaving)
	add("overwritten", p.Overwritten)
	list = fmt.Appendf(list, "states %v %v divisions %t %t runs %t %t\n", p.States, p.NewStates, p.Divisions, p.NewDivisions, p.Pauses, p.Resumes)
	sum := sha256.Sum256(list)
	return hex.EncodeToString(sum[:8])
}

// Applied is what an admin who applies the plan has seen, for the workers: none of it is held.
func (p Plan) Applied() calendarsync.Applied {
	a := calendarsync.Applied{States: p.States, Divisions: p.Divisions}
	for _, one := range p.Deleted {
		a.Employees = append(a.Employees, one.ID)
	}
	slices.Sort(a.Employees)
	return a
}

// Make makes the plan. The error is that the next settings cannot be used.
func Make(b Basis) (Plan, error) {
	rules, err := calendarsync.NewRules(b.Next, b.Catalogue, nil)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Pauses: b.InForce.Acts() && !b.Next.Acts(), Resumes: !b.InForce.Acts() && b.Next.Acts()}
	if !b.Next.Acts() {
		return p, nil
	}
	m := maker{Basis: b, rules: rules, records: recordsOf(b.Employees), staying: map[int64]store.EmployeeRecord{}}
	for _, id := range m.everybody() {
		m.person(&p, id)
	}
	m.states(&p)
	m.events(&p)
	for _, list := range []*[]Person{&p.Made, &p.Without, &p.Unreadable, &p.Deleted, &p.Leaving, &p.Emptied, &p.Renamed, &p.Overwritten} {
		slices.SortFunc(*list, func(a, b Person) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	}
	return p, nil
}

// NeedsTasks reports whether a plan has to know all tasks' records: where it depends on each
// task's state or on how an employee has it. That is a read of every record, and rare.
func NeedsTasks(before *calendarsync.Settings, next calendarsync.Settings) bool {
	return before != nil && next.Acts() && (before.IncludeDepartments && !next.IncludeDepartments ||
		slices.ContainsFunc(before.ShownRoles, func(r calendarsync.RoleID) bool { return !slices.Contains(next.ShownRoles, r) }))
}

// NeedsCards reports whether a plan has to know the ERP's cards.
func NeedsCards(inForce, next calendarsync.Settings) bool {
	return next.Acts() && (!inForce.Acts() || inForce.BindingField != next.BindingField || inForce.CalendarIDField != next.CalendarIDField || inForce.CalendarName != next.CalendarName)
}

// maker is a plan under way.
type maker struct {
	Basis
	rules   *calendarsync.Rules
	records map[calendarsync.EmployeeID]store.EmployeeRecord
	staying map[int64]store.EmployeeRecord // who keep their calendar
}

// everybody lists whom the ERP or the records know, ascending.
func (m *maker) everybody() []calendarsync.EmployeeID {
	ids := make([]calendarsync.EmployeeID, 0, len(m.records)+len(m.Cards))
	for id := range m.records {
		ids = append(ids, id)
	}
	for id := range m.Cards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// person finds out what becomes of one employee's calendar and card.
func (m *maker) person(p *Plan, id calendarsync.EmployeeID) {
	rec := m.records[id]
	one := Person{ID: id, Name: cmp.Or(rec.Name, "#"+fmt.Sprint(id))}
	has := rec.Calendar != nil
	if m.ByStore {
		if has {
			m.stays(p, one, rec, calendarsync.Employee{})
		}
		return
	}
	reading := m.card(id)
	if reading.Employee != nil {
		one.Name = cmp.Or(reading.Employee.Name, one.Name)
		one.Address, _ = reading.Employee.Email.Get()
	}
	verdict, reason := calendarsync.DecideEmployee(m.Next, reading, rec.Vouched)
	one.Reason = reason
	if reading.Invalid != nil {
		p.Unreadable = append(p.Unreadable, one)
	}
	switch {
	case verdict == calendarsync.Unknown:
		if has {
			m.stays(p, one, rec, calendarsync.Employee{})
		}
	case verdict == calendarsync.Keep && has:
		m.stays(p, one, rec, *reading.Employee)
	case has && reason != calendarsync.ReasonNone && rec.KeptFor == string(reason) && reading.Employee != nil:
		m.stays(p, one, rec, *reading.Employee) // an admin keeps it (rule 4.9)
	case verdict == calendarsync.Keep:
		if !m.isMadeAnyway(reading, rec) {
			p.Made = append(p.Made, one)
		}
		m.writesCard(p, one, *reading.Employee, "")
	case has:
		m.loses(p, one, reading, rec)
	default:
		p.Without = append(p.Without, one)
	}
}

// card is what the ERP says of an employee: whom its complete list lacks, it does not have.
func (m *maker) card(id calendarsync.EmployeeID) calendarsync.EmployeeReading {
	if reading, there := m.Cards[id]; there {
		return reading
	}
	return calendarsync.EmployeeReading{Absent: calendarsync.ProofKnownID}
}

// isMadeAnyway reports whether an employee without a calendar gets one whether or not the
// settings are saved.
func (m *maker) isMadeAnyway(reading calendarsync.EmployeeReading, rec store.EmployeeRecord) bool {
	verdict, _ := calendarsync.DecideEmployee(m.InForce, reading, rec.Vouched)
	return m.InForce.Acts() && verdict == calendarsync.Keep
}

// loses sorts one who has a calendar and is to have none by what takes it: these settings, or
// the ERP.
func (m *maker) loses(p *Plan, one Person, reading calendarsync.EmployeeReading, rec store.EmployeeRecord) {
	unbound := one.Reason == calendarsync.ReasonUnbound || one.Reason == calendarsync.ReasonBindingMissing
	if m.Before != nil {
		verdict, _ := calendarsync.DecideEmployee(*m.Before, reading, rec.Vouched)
		unbound = unbound && verdict == calendarsync.Keep
	}
	switch {
	case unbound:
		p.Deleted = append(p.Deleted, one)
	case !m.InForce.Acts():
		p.Leaving = append(p.Leaving, one)
	}
	// Otherwise it goes, or is held, whether or not the settings are saved.
}

// stays notes whose calendar remains, under which name and zone.
func (m *maker) stays(p *Plan, one Person, rec store.EmployeeRecord, card calendarsync.Employee) {
	c := rec.Calendar
	m.staying[rec.ID] = rec
	if c.ID == "" {
		return // not made yet
	}
	name, err := m.rules.Texts.CalendarName(calendarsync.TemplateEmployee{ID: one.ID, Name: cmp.Or(card.Name, rec.Name)})
	if err == nil && c.Name != "" && name != c.Name && (!m.InForce.Acts() || m.InForce.CalendarName != m.Next.CalendarName) {
		p.Renamed = append(p.Renamed, Person{ID: one.ID, Name: one.Name, From: c.Name, To: name})
	}
	if m.InForce.TimeZone != m.Next.TimeZone && c.Zone != m.Next.TimeZone {
		p.Rezoned++
	}
	m.writesCard(p, one, card, c.ID)
}

// writesCard notes a card whose field gets the calendar's id, and what is lost by that.
func (m *maker) writesCard(p *Plan, one Person, card calendarsync.Employee, calendar string) {
	field := m.Next.CalendarIDField
	if field == 0 || m.ByStore || m.InForce.Acts() && field == m.InForce.CalendarIDField {
		return
	}
	held := strings.TrimSpace(card.Fields.Or(nil)[field])
	if calendar != "" && held == calendar {
		return
	}
	p.Written++
	if held != "" && !IsCalendarID(held) {
		p.Overwritten = append(p.Overwritten, Person{ID: one.ID, Name: one.Name, From: held, To: calendar})
	}
}

// IsCalendarID reports whether a text is the id of a calendar, which may be written over.
func IsCalendarID(s string) bool { return strings.HasSuffix(s, "@group.calendar.google.com") }

// states finds the states whose tasks leave or join, and whether those of divisions do.
func (m *maker) states(p *Plan) {
	before := m.Before
	if before == nil {
		return // nothing was shown yet
	}
	for id, s := range m.Catalogue.States {
		was, is := slices.Contains(before.ShownRoles, s.Role), slices.Contains(m.Next.ShownRoles, s.Role)
		switch {
		case was && !is:
			p.States = append(p.States, id)
		case is && !was:
			p.NewStates = append(p.NewStates, id)
		}
	}
	slices.Sort(p.States)
	slices.Sort(p.NewStates)
	p.Divisions = before.IncludeDepartments && !m.Next.IncludeDepartments
	p.NewDivisions = m.Next.IncludeDepartments && !before.IncludeDepartments
}

// events counts what goes and what may be written anew, by the events on record.
func (m *maker) events(p *Plan) {
	if rewrites(m.Before, m.Next) && len(m.staying) > 0 {
		p.Rewritten = m.TaskCount
	}
	counted := m.Counted
	if counted == nil {
		counted = p.NewCount()
		counted.Add(m.Tasks)
	}
	for id, rec := range m.staying {
		if n := counted.Hidden[inCalendar(id, rec.Calendar.Epoch)]; n > 0 {
			p.Emptied = append(p.Emptied, Person{ID: calendarsync.EmployeeID(id), Name: m.name(id), Events: n})
		}
	}
	for _, list := range [][]Person{p.Deleted, p.Leaving} {
		for i := range list {
			list[i].Events = counted.Live[int64(list[i].ID)]
		}
	}
}

func (m *maker) name(id int64) string {
	if e := m.Cards[calendarsync.EmployeeID(id)].Employee; e != nil && e.Name != "" {
		return e.Name
	}
	return cmp.Or(m.records[calendarsync.EmployeeID(id)].Name, fmt.Sprintf("#%d", id))
}

// rewrites reports whether events may get another content. What is not said here to leave it
// as it is counts, so that a new setting is not forgotten.
func rewrites(before *calendarsync.Settings, next calendarsync.Settings) bool {
	if before == nil {
		return false
	}
	a, b := *before, next
	for _, s := range []*calendarsync.Settings{&a, &b} {
		// Decided by themselves, or of no meaning to an event that is there.
		s.Enabled, s.Confirmed, s.ShownRoles, s.IncludeDepartments = false, false, nil, false
		s.BindingField, s.CalendarIDField, s.BackfillHours, s.DeleteGuardPercent, s.CalendarName = 0, 0, 0, 0, ""
		s.Applied = nil
		if len(s.Colors) == 0 {
			s.Colors = nil
		}
	}
	return !equal(a, b)
}

func equal(a, b calendarsync.Settings) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
