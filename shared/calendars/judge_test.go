package calendars

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	tenant  = "tenant"
	olena   = "olena@provider.example"
	former  = "olena.old@provider.example"
	boss    = "boss@provider.example"
	account = "calendars@provider.example"
)

func day(n int) time.Time { return time.Date(2026, 3, n, 8, 0, 0, 0, time.UTC) }

// TestJudgeRetiring: rules 3.6 and 4.10, what may become of a calendar on its way out.
func TestJudgeRetiring(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		found inspection
		// want where others are not spared, and where they are.
		want, spared fate
	}{
		"deleted by its owner":     {inspection{}, notThere, notThere},
		"marked":                   {inspection{exists: true, marked: true}, deletable, deletable},
		"marked, with others'":     {inspection{exists: true, marked: true, others: true}, deletable, holdsOthers},
		"without its mark":         {inspection{exists: true}, unmarked, madeTheirs},
		"unmarked and with others": {inspection{exists: true, others: true}, unmarked, madeTheirs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, spared := judgeRetiring(row.found, false), judgeRetiring(row.found, true); got != row.want || spared != row.spared {
				t.Errorf("%d and %d, want %d and %d", got, spared, row.want, row.spared)
			}
		})
	}
}

// TestOnlyWhatIsSeenWithItsMarkIsDeletable: rule 3.6, whatever else is so.
func TestOnlyWhatIsSeenWithItsMarkIsDeletable(t *testing.T) {
	t.Parallel()
	for n := range 16 {
		on := func(bit int) bool { return n>>bit&1 == 1 }
		found, spareOthers := inspection{exists: on(0), marked: on(1), others: on(2)}, on(3)
		want := found.exists && found.marked && !(spareOthers && found.others)
		if got := judgeRetiring(found, spareOthers) == deletable; got != want {
			t.Errorf("deletable: %v, %+v, others spared: %v", got, found, spareOthers)
		}
	}
}

// TestJudgeShare: rule 5.3, only what is missing is inserted, and a share that was never
// shown is not repeated by itself.
func TestJudgeShare(t *testing.T) {
	t.Parallel()
	rule := googlecalendar.Rule{ID: "user:" + olena, Type: "user", Address: olena, Role: "reader"}
	for name, row := range map[string]struct {
		calendar store.CalendarRecord
		state    store.EmployeeState
		listed   bool
		want     shareVerdict
	}{
		"lowered, and not shown":          {store.CalendarRecord{RuleID: rule.ID, LoweredRole: "freeBusyReader"}, store.StateError, false, ruleLowered},
		"lowered, and asked for anew":     {store.CalendarRecord{RuleID: rule.ID, LoweredRole: "freeBusyReader", InviteAsked: day(2)}, store.StateError, false, ruleWanted},
		"lowered, and taken away":         {store.CalendarRecord{RuleID: rule.ID, LoweredRole: "freeBusyReader", RuleSeen: true}, store.StateError, false, ruleMissing},
		"lowered, and reader again":       {store.CalendarRecord{RuleID: rule.ID, LoweredRole: "freeBusyReader", RuleSeen: true}, store.StateError, true, ruleShown},
		"as recorded":                     {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true}, store.StateActive, true, ruleSettled},
		"shown, and not active yet":       {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true}, store.StatePending, true, ruleShown},
		"shown for the first time":        {store.CalendarRecord{RuleID: rule.ID}, store.StateActive, true, ruleShown},
		"shown, and its answer was lost":  {store.CalendarRecord{}, store.StatePending, true, ruleShown},
		"shown under another id":          {store.CalendarRecord{RuleID: "user:other", RuleSeen: true}, store.StateActive, true, ruleShown},
		"never invited":                   {store.CalendarRecord{}, store.StatePending, false, ruleWanted},
		"taken away":                      {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true}, store.StateActive, false, ruleMissing},
		"taken away a moment ago":         {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true, RuleMissingSince: day(3).Add(-time.Minute)}, store.StateActive, false, ruleMissing},
		"taken away for certain":          {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true, RuleMissingSince: day(2)}, store.StateActive, false, ruleWanted},
		"there after all":                 {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true, RuleMissingSince: day(2)}, store.StateActive, true, ruleShown},
		"invited, and not shown":          {store.CalendarRecord{RuleID: rule.ID}, store.StateActive, false, ruleHidden},
		"not shown, as recorded":          {store.CalendarRecord{RuleID: rule.ID, Unseen: day(1)}, store.StateActive, false, ruleSettled},
		"not shown, and asked for anew":   {store.CalendarRecord{RuleID: rule.ID, Unseen: day(1), InviteAsked: day(2)}, store.StateActive, false, ruleWanted},
		"shown while it was asked for":    {store.CalendarRecord{RuleID: rule.ID, Unseen: day(1), InviteAsked: day(2)}, store.StateActive, true, ruleShown},
		"given back, and not shown":       {store.CalendarRecord{RuleID: rule.ID, Unseen: day(1), ShareAgain: true}, store.StatePending, false, ruleWanted},
		"given back, and shown":           {store.CalendarRecord{RuleID: rule.ID, ShareAgain: true}, store.StatePending, true, ruleShown},
		"invited by a maker who died":     {store.CalendarRecord{RuleID: rule.ID}, store.StatePending, false, ruleHidden},
		"asked for, and taken away since": {store.CalendarRecord{RuleID: rule.ID, RuleSeen: true, InviteAsked: day(2)}, store.StateActive, false, ruleWanted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown := rule
			if !row.listed {
				shown = googlecalendar.Rule{}
			}
			if got := judgeShare(store.EmployeeRecord{State: row.state, Calendar: &row.calendar}, shown, row.listed, day(3), time.Hour); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
}

// TestReinstate: rules 4.5 and 4.11, which calendar an employee gets back, and what is believed of
// its share (rule 5.2).
func TestReinstate(t *testing.T) {
	t.Parallel()
	held := func(id string) store.CalendarRecord { return store.CalendarRecord{ID: id, Listed: true} }
	granted, extra, cleared := held("granted"), held("extra"), held("cleared")
	granted.Permitted, extra.Extra, cleared.Cleared = true, true, day(1)
	doubted := held("doubted")
	doubted.GoneSince = day(1)
	for name, row := range map[string]struct {
		retiring []store.CalendarRecord
		want     int
	}{
		"none":                                    {nil, -1},
		"the one that was held":                   {[]store.CalendarRecord{held("a")}, 0},
		"the last of two":                         {[]store.CalendarRecord{held("a"), held("b")}, 1},
		"not one granted, nor after it":           {[]store.CalendarRecord{held("a"), granted}, 0},
		"one that Google denied once":             {[]store.CalendarRecord{held("a"), doubted}, 1},
		"no extra, and none that a purge emptied": {[]store.CalendarRecord{extra, cleared, granted}, -1},
	} {
		if got := reinstatable(row.retiring); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
	for name, row := range map[string]struct{ before, want store.CalendarRecord }{
		"its share is gone":            {store.CalendarRecord{Listed: true}, store.CalendarRecord{Address: olena}},
		"its share was denied once":    {store.CalendarRecord{Address: olena, UnshareGoneSince: day(1)}, store.CalendarRecord{Address: olena}},
		"shared as it is to be":        {store.CalendarRecord{Address: "Olena@Provider.example", RuleID: "r", RuleSeen: true}, store.CalendarRecord{Address: olena, RuleID: "r", ShareAgain: true}},
		"a former address still reads": {store.CalendarRecord{Address: former, RuleID: "r", RuleSeen: true}, store.CalendarRecord{Address: former, RuleID: "r", RuleSeen: true}},
		"adopted":                      {store.CalendarRecord{Address: olena, AddressDigest: "d", RuleID: "r"}, store.CalendarRecord{AddressDigest: "d"}},
	} {
		if got := reinstated(row.before, olena); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}

// TestSharedWith: rule 5.2, whom an adopted calendar was shared with.
func TestSharedWith(t *testing.T) {
	t.Parallel()
	own := googlecalendar.Rule{ID: "user:" + account, Type: "user", Address: account, Role: "owner"}
	reads := func(address string) googlecalendar.Rule {
		return googlecalendar.Rule{ID: "user:" + address, Type: "user", Address: address, Role: "reader"}
	}
	widened := reads(former)
	widened.Role = "writer"
	marked := func(address string) string { return calendarsync.AddressDigest(tenant, address) }
	for name, row := range map[string]struct {
		digest string
		rules  []googlecalendar.Rule
		want   string
		hidden bool
	}{
		"the mark names the present address":                              {marked(olena), []googlecalendar.Rule{own, reads(olena)}, olena, false},
		"the mark names a former one":                                     {marked(former), []googlecalendar.Rule{own, reads(boss), reads(former)}, former, false},
		"the mark names a former one, widened by somebody":                {marked(former), []googlecalendar.Rule{own, widened}, former, false},
		"the mark names a former one that is not shown":                   {marked(former), []googlecalendar.Rule{own, reads(boss)}, olena, true},
		"the mark names one that is not shown, and the present one reads": {marked(former), []googlecalendar.Rule{own, reads(olena)}, olena, false},
		"the mark names the present one, which is not shown":              {marked(olena), []googlecalendar.Rule{own, reads(boss)}, olena, false},
		"no mark says, and the present address reads":                     {"", []googlecalendar.Rule{own, reads(boss), reads(olena)}, olena, false},
		"no mark says, and another address reads":                         {"", []googlecalendar.Rule{own, reads(former)}, former, false},
		"no mark says, and nobody reads":                                  {"", []googlecalendar.Rule{own}, olena, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, hidden := sharedWith(row.rules, store.CalendarRecord{AddressDigest: row.digest}, olena, tenant, store.AccountRecord{Email: account})
			if got != row.want || hidden != row.hidden {
				t.Errorf("%s, hidden %v; want %s, %v", got, hidden, row.want, row.hidden)
			}
		})
	}
}

// TestOwn: rule 5.3, nobody changes the central account's own rule, however Google
// spells its address.
func TestOwn(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]bool{
		"user:the.calendars@googlemail.com": true, "USER:thecalendars@gmail.com": true, "user:calendars@gmail.com": false,
		"group:thecalendars@gmail.com": false, "domain:gmail.com": false, "default": false, "": false,
	} {
		if got := own(rule, store.AccountRecord{Email: " The.Calendars@gmail.com"}); got != want {
			t.Errorf("%q: %v", rule, got)
		}
	}
}

// TestForeignRules: rule 5.3, what others were given is counted, and nobody else's.
func TestForeignRules(t *testing.T) {
	t.Parallel()
	rules := []googlecalendar.Rule{
		{ID: "user:" + account, Address: account}, {ID: "user:Olena@provider.example", Address: olena},
		{ID: "user:c@group", Address: "c@group"}, {ID: "user:" + boss, Address: boss}, {ID: "default"},
		{ID: "domain:provider.example", Type: "domain"},
	}
	c := store.CalendarRecord{ID: "C@group"}
	if n := foreignRules(rules, "user:"+olena, c, store.AccountRecord{Email: account}); n != 3 {
		t.Errorf("%d foreign rules, want 3", n)
	}
	c.BornRules = []string{"domain:provider.example"}
	if n := foreignRules(rules, "user:"+olena, c, store.AccountRecord{Email: account}); n != 2 {
		t.Errorf("%d foreign rules beside the one that Google made, want 2", n)
	}
}

// TestDifferences: rule 8.4, what somebody changed of a calendar.
func TestDifferences(t *testing.T) {
	t.Parallel()
	mark := calendarsync.CalendarMark{Tenant: tenant, Employee: 7, Epoch: "e", From: day(1)}
	good := googlecalendar.Calendar{Name: "Olena ", TimeZone: "Europe/Kyiv", Marked: true, Mark: mark}
	for name, row := range map[string]struct {
		change func(have *googlecalendar.Calendar, c *store.CalendarRecord)
		want   []string
	}{
		"nothing":                   {func(*googlecalendar.Calendar, *store.CalendarRecord) {}, nil},
		"the name":                  {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.Name = "Mine" }, []string{DriftCalendarRenamed}},
		"the zone":                  {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.TimeZone = "UTC" }, []string{DriftCalendarZone}},
		"another name for the zone": {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.TimeZone = "Europe/Kiev" }, nil},
		"Google's form of the name": {func(have *googlecalendar.Calendar, c *store.CalendarRecord) { have.Name, c.ReturnedName = "O.", "O." }, nil},
		"Google's form of the zone": {func(have *googlecalendar.Calendar, c *store.CalendarRecord) {
			have.TimeZone, c.ReturnedZone = "UTC", "UTC"
		}, nil},
		"a zone that is not known as ours":  {func(have *googlecalendar.Calendar, c *store.CalendarRecord) { have.TimeZone, c.Zone = "UTC", "" }, nil},
		"the mark":                          {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.Marked = false }, []string{DriftCalendarUnmarked}},
		"the mark's life":                   {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.Mark.Epoch = "other" }, []string{DriftCalendarUnmarked}},
		"for whom it is, which is no drift": {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { have.Mark.For = "digest" }, nil},
		"all of it": {func(have *googlecalendar.Calendar, _ *store.CalendarRecord) { *have = googlecalendar.Calendar{} },
			[]string{DriftCalendarRenamed, DriftCalendarZone, DriftCalendarUnmarked}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have, c := good, store.CalendarRecord{Zone: "Europe/Kyiv"}
			row.change(&have, &c)
			if got := differences(have, c, "Olena", "Europe/Kyiv", mark); !slices.Equal(got, row.want) {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

// TestSortRemembered: rule 3.4, which of the remembered events are read again.
func TestSortRemembered(t *testing.T) {
	t.Parallel()
	gone := store.Mapping{Epoch: "e", State: store.MappingTombstone, GoneAt: day(1)}
	with := func(change func(*store.Mapping)) store.Mapping {
		m := gone
		change(&m)
		return m
	}
	for name, row := range map[string]struct {
		mapping       store.Mapping
		open, expired bool
		live          int
	}{
		"live":                     {with(func(m *store.Mapping) { m.State = store.MappingLive }), true, false, 1},
		"live in another life":     {with(func(m *store.Mapping) { m.State, m.Epoch = store.MappingLive, "old" }), true, false, 0},
		"announced":                {with(func(m *store.Mapping) { m.State = store.MappingIntended }), true, false, 0},
		"being deleted":            {with(func(m *store.Mapping) { m.State = store.MappingDeleting }), true, false, 0},
		"deleted long ago":         {gone, false, true, 0},
		"deleted of late":          {with(func(m *store.Mapping) { m.GoneAt = day(28) }), false, false, 0},
		"deleted in another life":  {with(func(m *store.Mapping) { m.Epoch = "old" }), true, false, 0},
		"deleted, and held":        {with(func(m *store.Mapping) { m.HeldSince = day(2) }), true, false, 0},
		"deleted, and absent once": {with(func(m *store.Mapping) { m.AbsentSince = day(2) }), true, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := store.TaskRecord{ID: 5, Mappings: map[string]store.Mapping{"7": row.mapping}}
			open, expired, live := sortRemembered([]store.TaskRecord{rec}, 7, "e", day(29).AddDate(0, 0, 10))
			if slices.Contains(open, 5) != row.open || slices.Contains(expired, 5) != row.expired || live != row.live {
				t.Errorf("open %v, expired %v, %d live", open, expired, live)
			}
			if open, expired, live := sortRemembered([]store.TaskRecord{rec}, 8, "e", day(29)); len(open)+len(expired)+live > 0 {
				t.Errorf("of another employee: %v, %v, %d", open, expired, live)
			}
		})
	}
}

// TestOfTenant: rules 3.1 and 3.6, which calendars are the product's, and in which order
// they are preferred.
func TestOfTenant(t *testing.T) {
	t.Parallel()
	made := func(id, tenant string, from time.Time) googlecalendar.Calendar {
		return googlecalendar.Calendar{ID: id, Marked: true, Mark: calendarsync.CalendarMark{Tenant: tenant, Employee: 7, From: from}}
	}
	list := []googlecalendar.Calendar{
		made("c", tenant, day(1)), made("b", tenant, day(2)), {ID: "holidays"}, made("z", "another", day(3)), made("a", tenant, day(2)), made("y", "another", day(3)),
	}
	var ids []string
	for _, c := range ofTenant(list, tenant) {
		ids = append(ids, c.ID)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(ids, want) {
		t.Errorf("%v, want %v", ids, want)
	}
}

// TestOwnEvents: rules 3.2 and 3.11, which events in a calendar are the product's to touch.
func TestOwnEvents(t *testing.T) {
	t.Parallel()
	event := func(id string, owned, marked bool, tenant string, employee calendarsync.EmployeeID) googlecalendar.Event {
		return googlecalendar.Event{ID: id, Owned: owned, Marked: marked, Mark: calendarsync.Mark{Tenant: tenant, Employee: employee}}
	}
	ours, misplaced, copies := ownEvents([]googlecalendar.Event{
		event("own", true, true, tenant, 7), event("copy", false, true, tenant, 7), event("neighbour's", true, true, tenant, 8),
		event("another installation's", true, true, "another", 7), event("owner's", false, false, "", 0),
	}, tenant, 7)
	if len(ours) != 1 || ours[0].ID != "own" || len(misplaced) != 1 || misplaced[0].ID != "neighbour's" || copies != 2 {
		t.Errorf("%+v, misplaced %+v, %d copies", ours, misplaced, copies)
	}
}

// TestAtRest: rule 1.2, whose reading ahead is enough: of nobody about whom anything is
// open.
func TestAtRest(t *testing.T) {
	t.Parallel()
	settled := func() store.EmployeeRecord {
		return store.EmployeeRecord{State: store.StateActive, Calendar: &store.CalendarRecord{ID: "c", Listed: true, Filled: day(1)}}
	}
	if !atRest(settled()) {
		t.Fatal("nobody is at rest")
	}
	for name, change := range map[string]func(r *store.EmployeeRecord){
		"no calendar":   func(r *store.EmployeeRecord) { r.Calendar = nil },
		"not made yet":  func(r *store.EmployeeRecord) { r.Calendar.ID = "" },
		"not listed":    func(r *store.EmployeeRecord) { r.Calendar.Listed = false },
		"not filled":    func(r *store.EmployeeRecord) { r.Calendar.Filled = time.Time{} },
		"not active":    func(r *store.EmployeeRecord) { r.State = store.StatePending },
		"retiring ones": func(r *store.EmployeeRecord) { r.Retiring = []store.CalendarRecord{{ID: "old"}} },
		"held":          func(r *store.EmployeeRecord) { r.Held = store.HeldWaiting },
		"vouched":       func(r *store.EmployeeRecord) { r.Vouched = true },
		"absent once":   func(r *store.EmployeeRecord) { r.AbsentSince = day(1) },
		"to be rebuilt": func(r *store.EmployeeRecord) { r.RebuildAsked = day(1) },
	} {
		r := settled()
		if change(&r); atRest(r) {
			t.Errorf("%s: at rest", name)
		}
	}
}
