package functions_test

import (
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// Rule 2.8: whatever form Google gives things back in, it is nobody's change.
func TestASecondFullRunWritesNothingWhateverFormGoogleGivesBack(t *testing.T) {
	t.Parallel()
	folded := func(f fakegoogle.Folding) fakegoogle.Ways { return fakegoogle.Ways{Texts: f} }
	described := func(d fakegoogle.DescriptionForm) fakegoogle.Ways { return fakegoogle.Ways{Descriptions: d} }
	for name, ways := range map[string]fakegoogle.Ways{
		"zones renamed":             {ZonesAliased: map[string]string{world.Zone: "Europe/Kiev"}},
		"composed later":            folded(fakegoogle.Folding{NFC: true}),
		"composed at once":          folded(fakegoogle.Folding{NFC: true, AtOnce: true}),
		"one blank later":           folded(fakegoogle.Folding{Blanks: true}),
		"one blank at once":         folded(fakegoogle.Folding{Blanks: true, AtOnce: true}),
		"trimmed later":             folded(fakegoogle.Folding{Trim: true}),
		"trimmed at once":           folded(fakegoogle.Folding{Trim: true, AtOnce: true}),
		"all of it later":           folded(fakegoogle.Folding{NFC: true, Blanks: true, Trim: true}),
		"line breaks to blanks":     described(fakegoogle.DescriptionForm{Breaks: fakegoogle.BreaksToBlank, Answers: true, Lists: true}),
		"CRLF":                      described(fakegoogle.DescriptionForm{Breaks: fakegoogle.BreaksToCRLF, Answers: true, Lists: true}),
		"escaped":                   described(fakegoogle.DescriptionForm{Escaped: true, Answers: true, Lists: true}),
		"blanks and escaped, lists": described(fakegoogle.DescriptionForm{Breaks: fakegoogle.BreaksToBlank, Escaped: true, Lists: true}),
		"CRLF in answers":           described(fakegoogle.DescriptionForm{Breaks: fakegoogle.BreaksToCRLF, Answers: true}),
	} {
		// Google may have been so from the beginning, or become so.
		for when, late := range map[string]bool{"": false, ", from some day on": true} {
			t.Run(name+when, func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
					if !late {
						w.Google.ChangeWays(func(to *fakegoogle.Ways) { *to = ways })
					}
					who := w.ERP.AddEmployee(fakeerp.Employee{
						Name: "Андріи\u0306  Коваль\u00a0 (1)", Email: "andrii@provider.example", Fields: map[int64]string{world.Binding: "1"},
					})
					w.ERP.AddTask(fakeerp.Task{
						TypeID: world.Type, StateID: world.Open, Todo: w.Tomorrow(9), Executors: []int64{who},
						Address: fakeerp.Address{Text: "Киі\u0306в  вул.\u00a0 Садова & 1 "}, Description: "Двері\u0306  зліва",
					})
					w.Idle()
					if late {
						w.Google.ChangeWays(func(to *fakegoogle.Ways) { *to = ways })
					}
					w.Reconcile()
					w.Google.ResetRequests()
					w.Reconcile()
					for _, r := range w.Google.Requests(fakegoogle.Filter{Writes: true}) {
						t.Errorf("a second full run made a write: %+v", r)
					}
					if len(w.Events(who)) != 1 {
						t.Errorf("%d events", len(w.Events(who)))
					}
				})
			})
		}
	}
}

// Rule 5.3: what Google made a calendar with is nobody's doing; what came later is
// reported.
func TestRulesThatACalendarIsBornWithAreNoDrift(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string][]fakegoogle.DefaultRule{
		"a domain's":           {{Type: "domain", Value: "provider.example", Role: "freeBusyReader"}},
		"everybody's":          {{Type: "default", Role: "freeBusyReader"}},
		"a domain's, readable": {{Type: "domain", Value: "provider.example", Role: "reader"}, {Type: "default", Role: "freeBusyReader"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				w.Google.ChangeWays(func(to *fakegoogle.Ways) { to.DefaultRules = rules })
				ids := withCalendars(t, w, "Olena", "Petro")
				wantDrift(t, night(t, w), nil, nil)
				wantDrift(t, night(t, w), nil, nil)
				must(t, w.Google.SetShare(w.Calendar(ids[0]), "boss@provider.example", "reader"))
				wantDrift(t, night(t, w), map[string]int64{"share.foreign": 1}, nil)
			})
		})
	}
}

// Rule 2.9: where Google does not take the name of the zone, everything is written by
// its other name, and a second full run writes nothing.
func TestAZoneThatGoogleRefusesIsSentByItsOtherName(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"from the beginning": false, "from some day on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				refuse := func() {
					w.Google.ChangeWays(func(to *fakegoogle.Ways) { to.ZonesRefused = []string{world.Zone} })
				}
				if !late {
					refuse()
				}
				who := withCalendars(t, w, "Olena", "Petro")
				task := w.Task(w.Tomorrow(9), who...)
				w.Idle()
				refuse()
				must(t, w.ERP.MoveTask(task, w.Tomorrow(11)))
				newcomer := w.Employee("Roman")
				w.Idle()
				wantDrift(t, night(t, w), nil, nil)
				w.Google.ResetRequests()
				wantDrift(t, night(t, w), nil, nil)
				if n := writesOf(w); n != 0 {
					t.Errorf("a second full run made %d writes", n)
				}
				for _, id := range who {
					w.WantStarts(id, w.Tomorrow(11))
				}
				if w.Calendar(newcomer) == "" {
					t.Error("the newcomer has no calendar")
				}
				in, err := w.Store.Installation(t.Context())
				must(t, err)
				if in.GoogleZones[world.Zone] != "Europe/Kiev" {
					t.Errorf("remembered: %v", in.GoogleZones)
				}
				if n := alarms(w, "account-refused"); n != 0 {
					t.Errorf("%d alarms", n)
				}
			})
		})
	}
}

// Whichever way Google is, a second full run writes nothing: each way by itself, in a
// world with an address outside, one at Gmail, an event that is cancelled and one that is
// not. Rules 2.2 and 2.8.
func TestASecondFullRunWritesNothingWhicheverWayGoogleIs(t *testing.T) {
	t.Parallel()
	for name, ways := range map[string]fakegoogle.Ways{
		"stale rows":              {StaleRows: -1},
		"zone refused":            {ZonesRefused: []string{world.Zone}},
		"outside refused":         {Outside: fakegoogle.OutsideRefused},
		"outside lowered":         {Outside: fakegoogle.OutsideLowered},
		"outside blind":           {Outside: fakegoogle.OutsideBlind},
		"inborn rule":             {DefaultRules: []fakegoogle.DefaultRule{{Type: "domain", Value: "provider.example", Role: "reader"}}},
		"inborn busy times":       {DefaultRules: []fakegoogle.DefaultRule{{Type: "domain", Value: "provider.example", Role: "freeBusyReader"}}},
		"gmail respelled":         {GmailSpelling: true},
		"groups":                  {GroupsOneIn: 1},
		"invitations hidden":      {InvitationsHidden: true},
		"two calendars an hour":   {CalendarsPerHour: 2},
		"two calendars a day":     {CalendarsPerDay: 2},
		"two shares a day":        {SharesPerDay: 2},
		"all writes locked":       {CalendarsPerDay: 2, CreationLocksAll: true},
		"stray 412":               {PreconditionsOneIn: 2},
		"cancelled bare":          {CancelledBare: true},
		"cancelled and forgotten": {CancelledGoneAfter: time.Minute},
		"reach lost":              {ReachLost: 404},
		"UTF-16":                  {UTF16: true},
		"late lists":              {ListDelayUpTo: 24 * time.Hour},
		"rules of own calendars":  {Rules: fakegoogle.RulesOfOwn},
		"rules of deleted ones":   {Rules: fakegoogle.RulesOfDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				w.Google.ChangeWays(func(to *fakegoogle.Ways) { *to = ways })
				ids := []int64{w.Employee("Olena")}
				for _, address := range []string{"pe.tro@gmail.com", "ivan@elsewhere.example"} {
					ids = append(ids, w.ERP.AddEmployee(fakeerp.Employee{Name: address, Email: address, Fields: map[int64]string{world.Binding: "1"}}))
				}
				w.Idle()
				w.Task(w.Tomorrow(9), ids...)
				closed := w.Task(w.Tomorrow(10), ids...)
				moved := w.Task(w.Tomorrow(11), ids...)
				w.Idle()
				must(t, w.ERP.CloseTask(closed))
				first, second := w.Tomorrow(9), w.Tomorrow(12)
				must(t, w.ERP.MoveTask(moved, second))
				// What Google allows only so many of a day may take days.
				for range 4 {
					w.Idle()
					<-time.After(18 * time.Hour)
					w.Poll()
					w.Reconcile()
				}
				w.Idle()
				w.Google.ResetRequests()
				w.Reconcile()
				// What Google refuses may be tried once a night: so it heals when that ends.
				for _, r := range w.Google.Requests(fakegoogle.Filter{Writes: true, Committed: true}) {
					t.Errorf("a second full run made a write: %s %d %s", r.Method, r.Status, r.Reason)
				}
				for _, id := range ids {
					if id != ids[0] && (ways.Outside == fakegoogle.OutsideRefused || ways.Outside == fakegoogle.OutsideLowered) {
						continue // outside, where nobody may see it
					}
					w.WantStarts(id, first, second)
				}
			})
		})
	}
}
