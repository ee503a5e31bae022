package userside

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Ways are the questions about UserSide that nobody has proved an answer to, each field
// one of the ways in which an ERP may behave. The zero value of every field is the ERP that
// has been assumed so far; any of them may be set together. The row (E1 to E8) is that of
// shared/userside/README.md and of the names in Server.Met and Ways.Names.
type Ways struct {
	// Parameters says where parameters are read. E1: the wiki allows GET and POST, and
	// every public client puts all into the query.
	Parameters ParameterPlace

	// BadTasks and BadEmployees spoil every answer that includes them, and MaxShow the show
	// of more ids (0: any number), as Spoiled says. E2: PHP's json_encode gives nothing on
	// one bad byte; 500 above a batch size.
	BadTasks, BadEmployees []int64
	MaxShow                int
	Spoiled                Spoiling

	// OddRoles and OddHours replace the role of states and hour_on_doing of types in the
	// catalogues by any JSON value. E3.
	OddRoles, OddHours map[int64]any
	// RolesAsText gives every role in the catalogue as its text. E3: a string in
	// simpleworkernet.
	RolesAsText bool

	// ExecutorsLeftOut leaves the executors out of a task that has none, as
	// Spelling.OmitEmptyStaff does with both maps. E4.
	ExecutorsLeftOut bool
	// UnassignedIgnored makes get_list ignore employee_id=-1. E4.
	UnassignedIgnored bool

	// Dates is a Go layout of every date but the clock, in place of Spelling.DateLayout,
	// and NoDate what stands for none, in place of Spelling.NoDate. E5: PHP's zero date
	// (doctrine/dbal 866), ISO forms.
	Dates, NoDate string

	// Hidden is put behind the first letter of every e-mail address. E6: zero-width
	// characters, soft hyphens (validator.js 940, mail 1173).
	Hidden string
	// Off is how a checkbox that is not ticked ("0") is spelled. E6.
	Off string

	// Events says which of the ERP's events reach the connector's handlers. E7: the list of
	// events is not public, and an ERP that scans its handlers finds none that are registered
	// in a loop. How PHP runs or scans them is scripts/userside/testdata/erp.php.
	Events EventSet

	// ExecutorsUndated leaves date.update as it is when executors or divisions change. E8:
	// nothing is known.
	ExecutorsUndated bool
}

// ParameterPlace is where an ERP reads parameters.
type ParameterPlace string

// The places of parameters.
const (
	ParametersAnywhere ParameterPlace = "" // body before query, as PHP's $_REQUEST
	ParametersInQuery  ParameterPlace = "query"
	ParametersInBody   ParameterPlace = "body"
)

// EventSet is which of the ERP's events reach handlers.
type EventSet string

// The sets of events.
const (
	EventsAll    EventSet = ""
	EventsPublic EventSet = "public" // a task is created, or enters another state
	EventsNone   EventSet = "none"
)

// Spoiling is what a spoiled answer looks like.
type Spoiling string

// The spoiled answers.
const (
	SpoiledEmpty Spoiling = ""     // 200 without a body
	SpoiledCut   Spoiling = "cut"  // half of the JSON
	SpoiledError Spoiling = "500"  // without a body
	SpoiledPage  Spoiling = "page" // PHP's own words about a fatal error, with 200
)

// Names of the ways, as Server.Met counts them and Ways.Names lists them.
const (
	wayQuery     = "E1 query only"
	wayBody      = "E1 body only"
	wayBadRecord = "E2 bad records"
	wayMaxShow   = "E2 show bears few ids"
	wayRoles     = "E3 odd roles"
	wayHours     = "E3 odd hours"
	wayRoleText  = "E3 roles as text"
	wayLeftOut   = "E4 executors left out"
	wayIgnored   = "E4 filter ignored"
	wayDates     = "E5 other dates"
	wayNoDate    = "E5 other zero dates"
	wayHidden    = "E6 hidden characters"
	wayOff       = "E6 other words for off"
	wayPublic    = "E7 public events only"
	waySilent    = "E7 no events"
	wayUndated   = "E8 executors change no date"
)

// Names lists the ways that are set, in the order of their rows.
func (w Ways) Names() []string {
	set := map[string]bool{
		wayQuery: w.Parameters == ParametersInQuery, wayBody: w.Parameters == ParametersInBody,
		wayBadRecord: len(w.BadTasks)+len(w.BadEmployees) > 0, wayMaxShow: w.MaxShow > 0,
		wayRoles: len(w.OddRoles) > 0, wayHours: len(w.OddHours) > 0, wayRoleText: w.RolesAsText,
		wayLeftOut: w.ExecutorsLeftOut, wayIgnored: w.UnassignedIgnored, wayDates: w.Dates != "", wayNoDate: w.NoDate != "",
		wayHidden: w.Hidden != "", wayOff: w.Off != "", wayUndated: w.ExecutorsUndated,
		wayPublic: w.Events == EventsPublic, waySilent: w.Events == EventsNone,
	}
	maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(set))
}

// Only keeps the ways of some rows ("E3"), and leaves the others as assumed.
func (w Ways) Only(rows ...string) Ways {
	var out Ways
	for row, keep := range map[string]func(){
		"E1": func() { out.Parameters = w.Parameters },
		"E2": func() {
			out.BadTasks, out.BadEmployees, out.MaxShow, out.Spoiled = w.BadTasks, w.BadEmployees, w.MaxShow, w.Spoiled
		},
		"E3": func() { out.OddRoles, out.OddHours, out.RolesAsText = w.OddRoles, w.OddHours, w.RolesAsText },
		"E4": func() { out.ExecutorsLeftOut, out.UnassignedIgnored = w.ExecutorsLeftOut, w.UnassignedIgnored },
		"E5": func() { out.Dates, out.NoDate = w.Dates, w.NoDate },
		"E6": func() { out.Hidden, out.Off = w.Hidden, w.Off },
		"E7": func() { out.Events = w.Events },
		"E8": func() { out.ExecutorsUndated = w.ExecutorsUndated },
	} {
		if slices.Contains(rows, row) {
			keep()
		}
	}
	return out
}

// String names the ways that are set, or says that there are none.
func (w Ways) String() string {
	if names := w.Names(); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return "as assumed"
}

// Draw draws ways from a seed. Which records are bad or odd is for the caller to add, who
// knows the ids.
func Draw(r *rand.Rand) Ways {
	one := func(in int) bool { return r.IntN(in) == 0 }
	var w Ways
	if one(3) {
		w.Parameters = []ParameterPlace{ParametersInQuery, ParametersInBody}[r.IntN(2)]
	}
	w.Spoiled = []Spoiling{SpoiledEmpty, SpoiledCut, SpoiledError, SpoiledPage}[r.IntN(4)]
	if one(3) {
		w.MaxShow = []int{10, 25, 60}[r.IntN(3)]
	}
	w.ExecutorsLeftOut, w.UnassignedIgnored = one(2), one(6)
	if one(3) {
		w.Dates = []string{"2006-01-02T15:04:05", "02.01.2006, 15:04", "2006-01-02 15:04:05.000"}[r.IntN(3)]
	}
	if one(3) {
		w.NoDate = []string{"-0001-11-30 00:00:00", "30.11.-0001 00:00", "0000-00-00 00:00:00"}[r.IntN(3)]
	}
	if one(4) {
		w.Hidden = []string{"\u200b", "\u200e", "\u00ad"}[r.IntN(3)]
	}
	if one(4) {
		w.Off = []string{"Нет", "Ні", "N", "0.0"}[r.IntN(4)]
	}
	w.ExecutorsUndated = one(4)
	if one(4) {
		w.Events = []EventSet{EventsPublic, EventsNone}[r.IntN(2)]
	}
	w.RolesAsText = one(6)
	return w
}

// ChangeWays lets an ERP behave otherwise from now on; change is called under the lock.
func (s *Server) ChangeWays(change func(*Ways)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.opt.Ways)
}

// Met counts how often each way showed: one that was set and never met proves nothing.
func (s *Server) Met() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.met)
}

// meet counts a way. The lock is held.
func (s *Server) meet(way string) {
	if s.met == nil {
		s.met = map[string]int{}
	}
	s.met[way]++
}

// place is where parameters are read.
func (s *Server) place() ParameterPlace {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.opt.Ways.Parameters {
	case ParametersInQuery:
		s.meet(wayQuery)
	case ParametersInBody:
		s.meet(wayBody)
	}
	return s.opt.Ways.Parameters
}

// spoils reports whether a call gets a spoiled answer, and which.
func (s *Server) spoils(c call) (Spoiling, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var bad []int64
	switch c.cat + "/" + c.action {
	case "task/show":
		bad = s.opt.Ways.BadTasks
	case "employee/get_data":
		bad = s.opt.Ways.BadEmployees
	default:
		return "", false
	}
	ids, err := c.ids("id")
	if err != nil {
		return "", false
	}
	at := s.opt.Now()
	everybody := c.cat == "employee" && len(ids) == 0
	spoiled := slices.ContainsFunc(bad, func(id int64) bool {
		there := c.cat == "task" && s.visibleTask(id, at) != nil || c.cat == "employee" && s.visibleEmployee(id, at) != nil
		return there && (everybody || slices.Contains(ids, id))
	})
	if spoiled {
		s.meet(wayBadRecord)
	}
	if most := s.opt.Ways.MaxShow; c.cat == "task" && most > 0 && len(ids) > most {
		s.meet(wayMaxShow)
		spoiled = true
	}
	return s.opt.Ways.Spoiled, spoiled
}

func (s *Server) serveSpoiled(w http.ResponseWriter, how Spoiling) {
	switch how {
	case SpoiledError:
		w.WriteHeader(http.StatusInternalServerError)
	case SpoiledPage:
		writeHTML(w, http.StatusOK, "<br />\n<b>Fatal error</b>:  Allowed memory size of 134217728 bytes exhausted")
	case SpoiledCut:
		_, _ = w.Write([]byte(`{"result":"OK","data":{"1":{"id":1,"na`)) // the client may be gone
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// oddRole is the role of a state as its catalogue spells it.
func (w writer) oddRole(st TaskState) any {
	ways := w.s.opt.Ways
	if odd, is := ways.OddRoles[st.ID]; is {
		w.s.meet(wayRoles)
		return odd
	}
	if ways.RolesAsText {
		w.s.meet(wayRoleText)
		return RoleText(st.Role)
	}
	return w.id(st.Role)
}

func (w writer) oddHours(t TaskType) any {
	if odd, is := w.s.opt.Ways.OddHours[t.ID]; is {
		w.s.meet(wayHours)
		return odd
	}
	return w.id(t.HourOnDoing)
}

func (w writer) leavesOutExecutors() bool {
	if w.s.opt.Ways.ExecutorsLeftOut {
		w.s.meet(wayLeftOut)
		return true
	}
	return w.sp.OmitEmptyStaff
}

func (w writer) noDate() any {
	if none := w.s.opt.Ways.NoDate; none != "" {
		w.s.meet(wayNoDate)
		return none
	}
	if w.sp.NoDate == NoDateNull {
		return nil
	}
	return w.sp.NoDate
}

func (w writer) dateLayout() string {
	if layout := w.s.opt.Ways.Dates; layout != "" {
		w.s.meet(wayDates)
		return layout
	}
	return w.sp.DateLayout
}

func (w writer) email(s string) string {
	if hidden := w.s.opt.Ways.Hidden; hidden != "" && s != "" {
		w.s.meet(wayHidden)
		first := []rune(s)[:1]
		s = string(first) + hidden + strings.TrimPrefix(s, string(first))
	}
	return w.text(s)
}

func (w writer) field(v string) string {
	if off := w.s.opt.Ways.Off; off != "" && v == "0" {
		w.s.meet(wayOff)
		v = off
	}
	return w.text(v)
}

// Kinds of events, as far as EventsPublic tells them apart.
const (
	eventCreated = "created"
	eventState   = "state"
	eventOther   = "other"
)

// hears reports whether an event of a kind reaches the connector's handlers.
func (s *Server) hears(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.opt.Ways.Events {
	case EventsPublic:
		if kind == eventCreated || kind == eventState {
			return true
		}
		s.meet(wayPublic)
		return false
	case EventsNone:
		s.meet(waySilent)
		return false
	}
	return true
}

// undated is a task's date.update after a change of its executors or divisions. The lock
// is held.
func (s *Server) undated(before, now time.Time) time.Time {
	if s.opt.Ways.ExecutorsUndated {
		s.meet(wayUndated)
		return before
	}
	return now
}
