package google

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// Ways are the questions about Google that nobody has proved an answer to, each
// field one of the ways in which Google may behave. The zero value of every field is
// the Google that has been assumed so far; any of them may be set together. The row
// (G1 to G16) is that of Server.Met and Ways.Names, and of the report of
// scripts/probe. What befalls Google only for a while is a [Spell].
type Ways struct {
	// StaleRows keeps the row of a deleted calendar in its owner's
	// calendarList.list for so long (negative: for ever), while calendars.get says
	// 404. G2: a live test of the project gogcli (PR 780) found that.
	StaleRows time.Duration

	// ZonesAliased renames time zones in every answer, those that speak of
	// calendars too, which Options.ZoneAliases leaves alone: {"Europe/Kyiv":
	// "Europe/Kiev"}. G3: google-api-nodejs-client 3212.
	ZonesAliased map[string]string
	// ZonesRefused are names of zones that answer 400 "Invalid time zone definition"
	// wherever they are sent. G3: OutlookGoogleCalendarSync 1525, 1528 and 1530.
	ZonesRefused []string

	// Texts is what becomes of titles, places and names of calendars. G4: nobody has
	// measured it; endless rewriting elsewhere (OutlookGoogleCalendarSync 349 and
	// 657) speaks for it.
	Texts Folding

	// Descriptions is what becomes of the descriptions of calendars, which is where
	// a client may keep a mark. G5: nothing is known.
	Descriptions DescriptionForm
	// PropertiesLost gives events without their private extended properties, which is
	// where a client may keep the marks of events. G5: nothing speaks for it.
	PropertiesLost bool

	// Outside is what a Workspace policy makes of a share with an address outside
	// the owner's domain. G6: support.google.com/a/answer/60765 says that outsiders
	// "will only see events as busy", and not what the API answers.
	Outside Outside

	// DefaultRules stand in the ACL of every new calendar though nobody asked for
	// them. G7: an acl.list of mondoohq/mql 4271.
	DefaultRules []DefaultRule

	// GmailSpelling gives addresses of gmail.com and googlemail.com back without the
	// dots of the local part and with the domain gmail.com. The id of a rule follows.
	// G8: logto PR 9333.
	GmailSpelling bool
	// GroupsOneIn makes one in so many addresses that of a group: inserted as
	// "user", answered as "group". 0: none; 1: all. G8: GAMADV-X 43.
	GroupsOneIn int
	// InvitationsHidden hides every new share from acl.list, get and update until
	// AcceptShare, as Options.InviteHidden does for chosen addresses; it can be
	// deleted. G8.
	InvitationsHidden bool

	// CalendarsPerHour, CalendarsPerDay and SharesPerDay limit creations of an
	// account beside Options.CalendarsPerPeriod and SharesPerPeriod. 0: no limit. G9:
	// support.google.com/a/answer/2905486 and older texts (25 calendars, 75 shares).
	CalendarsPerHour, CalendarsPerDay, SharesPerDay int
	// CreationLocksAll makes a limit of creations lock all writes of the account, as
	// Options.QuotaLocksAll does. G9: "read-only for several hours".
	CreationLocksAll bool

	// PreconditionsOneIn answers every n-th write that has a matching If-Match with
	// 412 all the same; repeated, it goes through. 0 and 1: never. G11:
	// OutlookGoogleCalendarSync 206, google-api-dotnet-client 222.
	PreconditionsOneIn int

	// CancelledBare leaves nothing of a cancelled event but its id, ETag and status;
	// its sequence is forgotten too. G12: the documentation promises the id only.
	CancelledBare bool
	// CancelledGoneAfter is how long after its cancellation an event cannot be found
	// any more: get answers 404, lists leave it out, its id stays taken. 0: never.
	// G12: they "eventually disappear".
	CancelledGoneAfter time.Duration

	// ReachLost is the status, 404 or 403, with which calendars answer that a client
	// made before its grant was revoked, when it comes back with a new consent and
	// calendar.app.created admits it. 0: they are within reach. G13: nothing is known.
	ReachLost int

	// UTF16 counts the limits of texts in UTF-16 units, not in code points. G14:
	// nothing is known.
	UTF16 bool

	// ListDelayUpTo keeps each new calendar out of calendarList.list for a time of
	// its own between none and that. G15: nothing is known.
	ListDelayUpTo time.Duration

	// Rules is of which calendars acl.list answers a client that may do no more than
	// calendar.app.created and calendar.acls. G16: nothing is known; calendar.acls is
	// said to be for the "calendars you own". Draw leaves it as assumed.
	Rules Rules

	// Spells begin with the Server: each when it is due, and lasts as long as it says.
	Spells []Spell
}

// Outside is what becomes of a share with an outside address.
type Outside string

// The ways of a Workspace policy.
const (
	// OutsideAsAsked shares as asked.
	OutsideAsAsked Outside = ""
	// OutsideRefused answers 403.
	OutsideRefused Outside = "refused"
	// OutsideLowered answers, and keeps, freeBusyReader.
	OutsideLowered Outside = "lowered"
	// OutsideBlind answers reader, and shows the reader no more than busy times.
	OutsideBlind Outside = "blind"
)

// DefaultRule is a rule that new calendars carry by themselves.
type DefaultRule struct{ Type, Value, Role string }

// Names of the ways, as Server.Met counts them and Ways.Names lists them.
const (
	wayStaleRows       = "G2 stale rows"
	wayZoneAliased     = "G3 zone aliased"
	wayZoneRefused     = "G3 zone refused"
	wayTextFolded      = "G4 texts folded later"
	wayTextAtOnce      = "G4 texts folded at once"
	wayDescription     = "G5 calendar descriptions folded"
	wayEscaped         = "G5 calendar descriptions escaped"
	wayDescriptionLost = "G5 calendar descriptions lost"
	wayPropertiesLost  = "G5 private properties lost"
	wayOutsideRefused  = "G6 outside shares refused"
	wayOutsideLowered  = "G6 outside shares lowered"
	wayOutsideBlind    = "G6 outside shares blind"
	wayDefaultRules    = "G7 default rules"
	wayGmail           = "G8 gmail respelled"
	wayGroup           = "G8 user answered as group"
	wayHidden          = "G8 invitations hidden"
	wayHourly          = "G9 calendars limited by the hour"
	wayDaily           = "G9 creations limited by the day"
	wayLocksAll        = "G9 creation locks all writes"
	wayPrecondition    = "G11 stray 412"
	wayBare            = "G12 cancelled events lose their fields"
	wayVanished        = "G12 cancelled events disappear"
	wayReach           = "G13 reach lost"
	wayUTF16           = "G14 limits in UTF-16 units"
	wayListDelay       = "G15 late lists"
	wayRulesOwn        = "G16 rules of own calendars only"
	wayRulesDeleted    = "G16 rules of deleted calendars"
)

// Names lists the ways that are set, in the order of their rows, spells included.
func (w Ways) Names() []string {
	set := map[string]bool{
		wayStaleRows: w.StaleRows != 0, wayZoneAliased: len(w.ZonesAliased) > 0, wayZoneRefused: len(w.ZonesRefused) > 0,
		wayTextFolded: w.Texts.any() && !w.Texts.AtOnce, wayTextAtOnce: w.Texts.any() && w.Texts.AtOnce,
		wayDescription: w.Descriptions.shows() && w.Descriptions.Breaks != "", wayEscaped: w.Descriptions.shows() && w.Descriptions.Escaped,
		wayDescriptionLost: w.Descriptions.shows() && w.Descriptions.Lost, wayPropertiesLost: w.PropertiesLost,
		wayOutsideRefused: w.Outside == OutsideRefused, wayOutsideLowered: w.Outside == OutsideLowered, wayOutsideBlind: w.Outside == OutsideBlind,
		wayDefaultRules: len(w.DefaultRules) > 0, wayGmail: w.GmailSpelling, wayGroup: w.GroupsOneIn > 0, wayHidden: w.InvitationsHidden,
		wayHourly: w.CalendarsPerHour > 0, wayDaily: w.CalendarsPerDay > 0 || w.SharesPerDay > 0, wayLocksAll: w.CreationLocksAll,
		wayPrecondition: w.PreconditionsOneIn > 1, wayBare: w.CancelledBare, wayVanished: w.CancelledGoneAfter > 0,
		wayReach: w.ReachLost != 0, wayUTF16: w.UTF16, wayListDelay: w.ListDelayUpTo > 0,
		wayRulesOwn: w.Rules == RulesOfOwn, wayRulesDeleted: w.Rules == RulesOfDeleted,
	}
	for _, spell := range w.Spells {
		set[spell.Name] = spell.Name != ""
	}
	maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
	return slices.SortedFunc(maps.Keys(set), byRow)
}

// Only keeps the ways of some rows ("G3"), and leaves the others as assumed.
func (w Ways) Only(rows ...string) Ways {
	in := func(row string) bool { return slices.Contains(rows, row) }
	out := Ways{Spells: slices.DeleteFunc(slices.Clone(w.Spells), func(spell Spell) bool { return !in(rowOf(spell.Name)) })}
	for row, keep := range map[string]func(){
		"G2": func() { out.StaleRows = w.StaleRows },
		"G3": func() { out.ZonesAliased, out.ZonesRefused = w.ZonesAliased, w.ZonesRefused },
		"G4": func() { out.Texts = w.Texts },
		"G5": func() { out.Descriptions, out.PropertiesLost = w.Descriptions, w.PropertiesLost },
		"G6": func() { out.Outside = w.Outside },
		"G7": func() { out.DefaultRules = w.DefaultRules },
		"G8": func() {
			out.GmailSpelling, out.GroupsOneIn, out.InvitationsHidden = w.GmailSpelling, w.GroupsOneIn, w.InvitationsHidden
		},
		"G9": func() {
			out.CalendarsPerHour, out.CalendarsPerDay, out.SharesPerDay = w.CalendarsPerHour, w.CalendarsPerDay, w.SharesPerDay
			out.CreationLocksAll = w.CreationLocksAll
		},
		"G11": func() { out.PreconditionsOneIn = w.PreconditionsOneIn },
		"G12": func() { out.CancelledBare, out.CancelledGoneAfter = w.CancelledBare, w.CancelledGoneAfter },
		"G13": func() { out.ReachLost = w.ReachLost },
		"G14": func() { out.UTF16 = w.UTF16 },
		"G15": func() { out.ListDelayUpTo = w.ListDelayUpTo },
		"G16": func() { out.Rules = w.Rules },
	} {
		if in(row) {
			keep()
		}
	}
	return out
}

// rowOf is the row that a name begins with.
func rowOf(name string) string {
	row, _, _ := strings.Cut(name, " ")
	return row
}

// byRow orders names by their row: G2 before G10.
func byRow(a, b string) int {
	rowA, rowB := rowOf(a), rowOf(b)
	if len(rowA) != len(rowB) {
		return len(rowA) - len(rowB)
	}
	return strings.Compare(a, b)
}

// String names the ways that are set, or says that there are none.
func (w Ways) String() string {
	names := w.Names()
	if len(names) == 0 {
		return "as assumed"
	}
	return strings.Join(names, ", ")
}

// ChangeWays lets a Google behave otherwise from now on; change is called under the
// lock. Spells that it adds are not begun: see Begin.
func (s *Server) ChangeWays(change func(*Ways)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.opt.Ways)
}

// Met counts how often each way and named fault showed in answers: a way that was set
// and never met proves nothing.
func (s *Server) Met() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.met)
}

func (s *Server) meet(way string) {
	if s.current != nil { // a person's own look counts for nothing
		s.met[way]++
	}
}

// share gives a number below n that stays the same for a name.
func share(name string, n uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	// FNV leaves little in the low bits of short names that differ in their last byte.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x % n
}
