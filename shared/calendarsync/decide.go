package calendarsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// Verdict is what ought to become of one task in one employee's calendar, or of
// one employee's calendar.
type Verdict int

const (
	// Keep: the ERP says that it ought to be there; the decision says how.
	Keep Verdict = iota + 1
	// Remove: the ERP says explicitly that it ought not to be there (rule 4.1).
	Remove
	// Absent: a complete reading does not say that it ought to be there, without
	// explicit evidence that it ought not. It goes only after two such readings far
	// enough apart (rule 4.2).
	Absent
	// Unknown: the reading says nothing that can be trusted. What is there stays.
	Unknown
)

// Reason says in one word what a verdict rests on; values are stored and shown.
type Reason string

// The reasons for events.
const (
	ReasonNone           Reason = ""
	ReasonDeleted        Reason = "deleted"         // vouched for by the ERP's signature
	ReasonMissing        Reason = "missing"         // not in a complete reading
	ReasonInvalid        Reason = "invalid"         // the ERP's data cannot be trusted
	ReasonState          Reason = "state"           // a state with a role not shown
	ReasonUnknownState   Reason = "unknown-state"   // a state the catalogue lacks
	ReasonCatalogue      Reason = "catalogue"       // a shown role is gone from the catalogue
	ReasonStateMissing   Reason = "state-missing"   // the task says no state
	ReasonUndated        Reason = "undated"         // date.todo present and null
	ReasonDateMissing    Reason = "date-missing"    // the key is not there
	ReasonBefore         Reason = "before-backfill" // scheduled before the calendar's from
	ReasonReassigned     Reason = "reassigned"      // executors present and without the employee
	ReasonStaffMissing   Reason = "staff-missing"   // the executors or divisions are not there
	ReasonRefusedContent Reason = "refused-content" // a template failed on this task
	ReasonSettings       Reason = "settings"        // an admin applied settings after a plan that named it (rule 4.14)
)

// The ways by which an employee has a task, stored in its mapping.
const (
	ViaExecutor = "executor"
	ViaDivision = "division"
)

// Decision is the verdict on one task for one employee.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Event   Event  // when Keep
	Via     string // when Keep
	Err     error  // when Unknown: what to record
}

// Recipient is an employee with an active calendar, as the decision needs them.
type Recipient struct {
	ID        EmployeeID
	Name      string
	Divisions []DivisionID
	// From bounds the calendar's tasks (rule 3.5).
	From time.Time
	// Via is how the employee has the event now, "" where there is none.
	Via string
}

// Rules are settings made ready for deciding: zone, texts and catalogue.
type Rules struct {
	Settings  Settings
	Zone      *time.Location
	Texts     *Texts
	Catalogue Catalogue
	// Names are the employees' names, for .Task.Executors.
	Names map[EmployeeID]string
	// DivisionNames are the divisions' names, for .Task.Division.
	DivisionNames map[DivisionID]string
	// DivisionsUnread is why they are not known, not even earlier ones.
	DivisionsUnread error
	shown           map[RoleID]bool
	// lacking are the kinds of those shown roles that no state has, true for texts and false for
	// numbers: then a state's role proves nothing, and one of the other kind may be the same.
	lacking map[bool]bool
}

// NewRules prepares settings; a fault is of kind misconfigured and names the field.
func NewRules(s Settings, c Catalogue, names map[EmployeeID]string) (*Rules, error) {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		return nil, failure.New(failure.Misconfigured, "read settings", "time_zone is no IANA zone")
	}
	texts, err := NewTexts(s)
	if err != nil {
		return nil, failure.Wrap(failure.Misconfigured, "read settings", err)
	}
	if len(s.ShownRoles) == 0 {
		return nil, failure.New(failure.Misconfigured, "read settings", "shown_roles is empty")
	}
	r := &Rules{Settings: s, Zone: zone, Texts: texts, Catalogue: c, Names: names, shown: map[RoleID]bool{}, lacking: map[bool]bool{}}
	for _, role := range s.ShownRoles {
		r.shown[role] = true
		if len(c.StatesWithRoles([]RoleID{role})) == 0 {
			r.lacking[role.IsText()] = true
		}
	}
	return r, nil
}

// Targets lists, ascending, the employees whom a task concerns directly, and the
// divisions whose members it concerns besides (none where the setting is off).
func (r *Rules) Targets(t Task) (executors []EmployeeID, divisions []DivisionID) {
	executors = slices.Clone(t.Executors.Or(nil))
	sortIDs(executors)
	if r.Settings.IncludeDepartments {
		divisions = slices.Clone(t.Divisions.Or(nil))
		sortIDs(divisions)
	}
	return slices.Compact(executors), slices.Compact(divisions)
}

// Decide judges one task for one recipient. vouched is whether a signed notification
// said that the task was deleted.
func (r *Rules) Decide(reading TaskReading, e Recipient, vouched bool) Decision {
	switch {
	case reading.Invalid != nil:
		return Decision{Verdict: Unknown, Reason: ReasonInvalid, Err: reading.Invalid}
	case reading.Task == nil:
		if reading.Absent == 0 {
			// No reading at all, as a map gives for an id that it lacks, proves nothing.
			return Decision{Verdict: Unknown, Reason: ReasonMissing,
				Err: failure.New(failure.Source, "read the task", "the reading says nothing of it")}
		}
		if vouched {
			return Decision{Verdict: Remove, Reason: ReasonDeleted}
		}
		if reading.Absent == ProofEmptyList {
			// That an ERP has no task at all may be a false answer; by itself it never
			// deletes.
			return Decision{Verdict: Unknown, Reason: ReasonMissing,
				Err: failure.New(failure.SourceInvalid, "read the task", "the ERP says that it has no tasks at all")}
		}
		return Decision{Verdict: Absent, Reason: ReasonMissing}
	}
	t := *reading.Task
	if d, final := r.decideState(t); final {
		return d
	}
	start, said := t.Start.Get()
	switch {
	case !said:
		return Decision{Verdict: Absent, Reason: ReasonDateMissing}
	case start.IsZero():
		return Decision{Verdict: Remove, Reason: ReasonUndated}
	}
	via, d, final := r.decideStaff(t, e)
	if final {
		return d
	}
	if err := r.unread(t, start); err != nil {
		return Decision{Verdict: Unknown, Reason: ReasonInvalid, Err: err}
	}
	ev, err := r.render(t, start, e)
	if err != nil {
		return Decision{Verdict: Unknown, Reason: ReasonRefusedContent,
			Err: &failure.Error{Kind: failure.Invalid, Op: "render task " + strconv.FormatInt(int64(t.ID), 10), Detail: "a template failed on this task", Err: err}}
	}
	if r.before(ev, e.From) {
		return Decision{Verdict: Remove, Reason: ReasonBefore}
	}
	return Decision{Verdict: Keep, Event: ev, Via: via}
}

func (r *Rules) decideState(t Task) (Decision, bool) {
	id, said := t.State.Get()
	if !said {
		return Decision{Verdict: Absent, Reason: ReasonStateMissing}, true
	}
	state, known := r.Catalogue.States[id]
	odd := r.Catalogue.OddStates[id]
	if odd == nil && !known && r.Catalogue.Incomplete {
		odd = failure.New(failure.SourceInvalid, fmt.Sprintf("read state %d", id), "an entry of the catalogue has no id")
	}
	switch {
	case odd == nil && !known && r.Catalogue.StatesUnread != nil:
		return Decision{Verdict: Unknown, Reason: ReasonInvalid, Err: r.Catalogue.StatesUnread}, true
	case odd != nil:
		// Rule 4.13: nothing is known of the state, not even that it is unknown.
		return Decision{Verdict: Unknown, Reason: ReasonInvalid, Err: odd}, true
	case !known:
		return Decision{Verdict: Absent, Reason: ReasonUnknownState}, true
	case r.shown[state.Role]:
		return Decision{}, false
	case r.Catalogue.StatesUnread != nil:
		return Decision{Verdict: Unknown, Reason: ReasonState, Err: r.Catalogue.StatesUnread}, true
	case r.lacking[!state.Role.IsText()]:
		// Rule 4.16: another spelling is no other role.
		return Decision{Verdict: Unknown, Reason: ReasonCatalogue, Err: failure.New(failure.SourceInvalid, fmt.Sprintf("read state %d", id),
			"its role is spelled otherwise than one of shown_roles that no state has, and nobody knows whether it is the same")}, true
	case len(r.lacking) > 0:
		return Decision{Verdict: Absent, Reason: ReasonCatalogue}, true
	default:
		return Decision{Verdict: Remove, Reason: ReasonState}, true
	}
}

// unread is why an event of the task cannot be said to the end: it shows or lasts as
// something of the catalogues does that is not known (rule 4.15).
func (r *Rules) unread(t Task, start LocalTime) error {
	lasts := t.RuntimeHours <= 0 && !start.DateOnly
	if err := r.Catalogue.TypesUnread; err != nil && t.Type != 0 && (lasts || t.TypeName == "") {
		return err
	}
	if r.Texts.NeedsDivisions && len(t.Divisions.Or(nil)) > 0 {
		return r.DivisionsUnread
	}
	return nil
}

// decideStaff finds why the employee has the task, or that they have not.
func (r *Rules) decideStaff(t Task, e Recipient) (via string, d Decision, final bool) {
	executors, said := t.Executors.Get()
	if slices.Contains(executors, e.ID) {
		return ViaExecutor, Decision{}, false
	}
	divisions, divisionsSaid := t.Divisions.Get()
	if r.Settings.IncludeDepartments {
		for _, d := range divisions {
			if slices.Contains(e.Divisions, d) {
				return ViaDivision, Decision{}, false
			}
		}
	}
	// Whether an event still comes by a division cannot be decided without the divisions;
	// for one that came by the executors they are enough.
	needDivisions := r.Settings.IncludeDepartments && e.Via == ViaDivision
	if !said || (needDivisions && !divisionsSaid) {
		return "", Decision{Verdict: Absent, Reason: ReasonStaffMissing}, true
	}
	return "", Decision{Verdict: Remove, Reason: ReasonReassigned}, true
}

// before reports whether an event lies before a calendar's tasks: by its end if
// all-day, by its start otherwise (rule 3.5).
func (r *Rules) before(ev Event, from time.Time) bool {
	if ev.Start.Date == "" {
		return ev.Start.Instant.Before(from)
	}
	end, err := time.Parse(time.DateOnly, ev.End.Date)
	if err != nil {
		return false
	}
	return !Resolve(end, r.Zone).After(from)
}

func (r *Rules) render(t Task, start LocalTime, e Recipient) (Event, error) {
	typ := r.Catalogue.Types[t.Type]
	data := TemplateData{
		Employee: TemplateEmployee{ID: e.ID, Name: clean(e.Name)},
		Task: TemplateTask{
			ID: t.ID, Type: bounded(t.TypeName), State: bounded(t.StateName), Customer: bounded(t.Customer),
			Address: bounded(t.Address), Description: bounded(t.Description), Priority: t.Priority,
			URL: r.Texts.TaskURL(t.ID),
		},
	}
	if data.Task.Type == "" {
		data.Task.Type = clean(typ.Name)
	}
	if id, ok := t.State.Get(); ok && data.Task.State == "" {
		data.Task.State = clean(r.Catalogue.States[id].Name)
	}
	if r.Texts.NeedsExecutors {
		executors, _ := r.Targets(t)
		for _, id := range executors {
			name := r.Names[id]
			if name == "" {
				name = fmt.Sprintf("#%d", id)
			}
			data.Task.Executors = append(data.Task.Executors, clean(name))
		}
	}
	r.addExtras(&data.Task, t)
	title, err := r.Texts.eventTitle(data)
	if err != nil {
		return Event{}, err
	}
	description, err := r.Texts.eventDescription(data)
	if err != nil {
		return Event{}, err
	}
	ev := Event{Title: title, Location: cut(oneLine(t.Address), MaxLocation), Description: description}
	if c := r.color(t); c > 0 {
		ev.Color = strconv.Itoa(c)
	}
	ev.Start, ev.End = span(t, start, typ, r.Settings, r.Zone)
	return ev, nil
}

// addExtras adds what only some templates show.
func (r *Rules) addExtras(data *TemplateTask, t Task) {
	extras := r.Texts.Extras
	if extras.Fields {
		data.Fields = make(map[string]string, 2*len(t.Fields))
		for _, f := range t.Fields {
			if f.Caption != "" {
				data.Fields[f.Caption] = bounded(f.Value)
			}
		}
	}
	for _, f := range t.Fields {
		if extras.Fields { // a number is nobody else's name
			data.Fields[strconv.FormatInt(int64(f.ID), 10)] = bounded(f.Value)
		}
		if f.ID == extras.Field {
			data.Phone = phoneText(bounded(f.Value))
		}
	}
	if extras.Comment {
		data.Comment = bounded(t.Comment)
	}
	if r.Texts.NeedsDivisions {
		var names []string
		for _, id := range t.Divisions.Or(nil) {
			if name := clean(r.DivisionNames[id]); name != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		data.Division = strings.Join(names, ", ")
	}
}

// color is the colour that the settings have for a task; 0: the calendar's own.
func (r *Rules) color(t Task) int {
	if len(r.Settings.Colors) == 0 {
		return 0
	}
	keys := []string{ColorOfPriority + strconv.FormatInt(t.Priority, 10)}
	if id, said := t.State.Get(); said {
		keys = append(keys, ColorOfState+strconv.FormatInt(int64(id), 10))
	}
	for _, key := range append(keys, strconv.FormatInt(int64(t.Type), 10)) {
		if c := r.Settings.Colors[key]; c > 0 {
			return c
		}
	}
	return 0
}

// The beginnings of the keys of colours that are not a task type's.
const (
	ColorOfState    = "state:"
	ColorOfPriority = "priority:"
)

// bounded is a text of the ERP as templates see it. It is cut to what an event can hold
// before the template runs: a long text must be shown cut, not fail as more than a
// template may give.
func bounded(s string) string { return cut(clean(s), MaxDescription) }

// NormalAddress is an address as compared: trimmed, without case, without characters
// that nobody sees, and, at Gmail, without the dots that Gmail does not see (rule 5.1).
func NormalAddress(s string) string {
	s = strings.ToLower(strings.TrimSpace(Visible(s)))
	if local, domain, ok := strings.Cut(s, "@"); ok && (domain == "gmail.com" || domain == "googlemail.com") {
		return strings.ReplaceAll(local, ".", "") + "@gmail.com"
	}
	return s
}

// Visible drops the characters that have no shape of their own: zero-width ones, soft
// hyphens, direction marks and the like. They come along when text is copied from a page
// or a letter, and who looks at the field cannot see them.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, s)
}
