package google

import (
	"cmp"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
)

// ways makes a world in which Google plays some ways.
func ways(t *testing.T, w Ways) *world {
	t.Helper()
	return newWorld(t, func(o *Options) { o.Ways = w })
}

// met fails unless the way showed.
func (w *world) hasMet(way string) {
	w.t.Helper()
	if w.Met()[way] == 0 {
		w.t.Errorf("%q was never met: %v", way, w.Met())
	}
}

func (w *world) insert(body *calendar.Calendar) *calendar.Calendar {
	w.t.Helper()
	made, err := w.api(owner).Calendars.Insert(body).Do()
	w.ok(err)
	return made
}

func (w *world) listed(id string) *calendar.CalendarListEntry {
	w.t.Helper()
	list, err := w.api(owner).CalendarList.List().MinAccessRole("owner").Do()
	w.ok(err)
	for _, e := range list.Items {
		if e.Id == id {
			return e
		}
	}
	return nil
}

func TestNothingIsMetWhereNoWayIsSet(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Acl.Insert(cal, user("Out.Side@gmail.com", "reader")).Do()
	w.ok(err)
	if met := w.Met(); len(met) > 0 {
		t.Errorf("met %v", met)
	}
	if got := (Ways{}).String(); got != "as assumed" {
		t.Errorf("the zero value is %q", got)
	}
}

func TestStaleRows(t *testing.T) {
	for name, row := range map[string]struct {
		lasts      time.Duration
		soon, late bool
	}{"for ever": {-1, true, true}, "for an hour": {time.Hour, true, false}, "never": {0, false, false}} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, Ways{StaleRows: row.lasts})
			svc := w.api(owner)
			cal := w.newCal(svc)
			w.ok(svc.Calendars.Delete(cal).Do())
			_, err := svc.Calendars.Get(cal).Do()
			w.want(err, "404 notFound")
			if e := w.listed(cal); (e != nil) != row.soon || e != nil && (e.Deleted || e.Summary != "Olena") {
				t.Errorf("the row is %+v", e)
			}
			w.clock.advance(25 * time.Hour)
			if e := w.listed(cal); (e != nil) != row.late {
				t.Errorf("a day later the row is %+v", e)
			}
			if row.soon {
				w.hasMet(wayStaleRows)
			}
		})
	}
}

func TestZonesAliasedEverywhere(t *testing.T) {
	w := ways(t, Ways{ZonesAliased: map[string]string{"Europe/Kyiv": "Europe/Kiev"}})
	svc := w.api(owner)
	made := w.insert(&calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kyiv"})
	e := sample("task0001", 0)
	e.Start.TimeZone, e.End.TimeZone = "Europe/Kyiv", "Europe/Kyiv"
	event, err := svc.Events.Insert(made.Id, e).SendUpdates("none").Do()
	w.ok(err)
	got, err := svc.Calendars.Get(made.Id).Do()
	w.ok(err)
	list, err := svc.Events.List(made.Id).Do()
	w.ok(err)
	for where, zone := range map[string]string{"insert": made.TimeZone, "get": got.TimeZone, "calendarList": w.listed(made.Id).TimeZone,
		"events.list": list.TimeZone, "event": event.Start.TimeZone, "listed event": list.Items[0].End.TimeZone} {
		if zone != "Europe/Kiev" {
			t.Errorf("%s says %q", where, zone)
		}
	}
	if snap := w.Calendars()[2]; snap.TimeZone != "Europe/Kyiv" || w.Events(made.Id)[0].Start.TimeZone != "Europe/Kyiv" {
		t.Errorf("snapshots show what was written: %+v", snap)
	}
	w.hasMet(wayZoneAliased)
}

func TestZonesRefusedEverywhere(t *testing.T) {
	w := ways(t, Ways{ZonesRefused: []string{"Europe/Kyiv"}})
	svc := w.api(owner)
	_, err := svc.Calendars.Insert(&calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kyiv"}).Do()
	w.want(err, "400 invalid")
	if !strings.Contains(err.Error(), "Invalid time zone definition") {
		t.Errorf("it says %v", err)
	}
	made := w.insert(&calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kiev"})
	_, err = svc.Calendars.Update(made.Id, &calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kyiv"}).Do()
	w.want(err, "400 invalid")
	e := sample("task0001", 0)
	e.Start.TimeZone, e.End.TimeZone = "Europe/Kyiv", "Europe/Kyiv"
	_, err = svc.Events.Insert(made.Id, e).SendUpdates("none").Do()
	w.want(err, "400 invalid")
	e.Start.TimeZone, e.End.TimeZone = "Europe/Kiev", "Europe/Kiev"
	_, err = svc.Events.Insert(made.Id, e).SendUpdates("none").Do()
	w.ok(err)
	e.Start.TimeZone = "Europe/Kyiv"
	_, err = svc.Events.Update(made.Id, e.Id, e).SendUpdates("none").Do()
	w.want(err, "400 invalid")
	w.hasMet(wayZoneRefused)
}

func TestTextsFolded(t *testing.T) {
	const written, folded = "  Сусі\u0438\u0306  \t дім", "Сусі\u0439 дім"
	for name, atOnce := range map[string]bool{"later": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, Ways{Texts: Folding{NFC: true, Blanks: true, Trim: true, AtOnce: atOnce}})
			svc := w.api(owner)
			cal := w.insert(&calendar.Calendar{Summary: written})
			e := sample("task0001", 0)
			e.Summary, e.Location = written, written
			event, err := svc.Events.Insert(cal.Id, e).SendUpdates("none").Do()
			w.ok(err)
			own := written
			if atOnce {
				own = folded
			}
			if cal.Summary != own || event.Summary != own || event.Location != own {
				t.Errorf("the writes' own answers say %q, %q, %q", cal.Summary, event.Summary, event.Location)
			}
			got, err := svc.Events.Get(cal.Id, e.Id).Do()
			w.ok(err)
			list, err := svc.Events.List(cal.Id).Do()
			w.ok(err)
			read, err := svc.Calendars.Get(cal.Id).Do()
			w.ok(err)
			for where, text := range map[string]string{"get": got.Summary, "place": got.Location, "list": list.Items[0].Summary,
				"head": list.Summary, "calendars.get": read.Summary, "calendarList": w.listed(cal.Id).Summary} {
				if text != folded {
					t.Errorf("%s says %q", where, text)
				}
			}
			if w.Events(cal.Id)[0].Summary != written {
				t.Errorf("the snapshot says %q", w.Events(cal.Id)[0].Summary)
			}
			w.hasMet(map[bool]string{false: wayTextFolded, true: wayTextAtOnce}[atOnce])
		})
	}
}

func TestDescriptionsOfCalendars(t *testing.T) {
	const written = "For <Olena> & others\nmark:1"
	for name, row := range map[string]struct {
		form          DescriptionForm
		answer, lists string
	}{
		"blanks everywhere": {DescriptionForm{Breaks: BreaksToBlank, Answers: true, Lists: true}, "For <Olena> & others mark:1", "For <Olena> & others mark:1"},
		"CRLF in lists":     {DescriptionForm{Breaks: BreaksToCRLF, Lists: true}, written, "For <Olena> & others\r\nmark:1"},
		"escaped in answers": {DescriptionForm{Escaped: true, Answers: true},
			"For &lt;Olena&gt; &amp; others\nmark:1", written},
		"as sent": {DescriptionForm{}, written, written},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, Ways{Descriptions: row.form})
			cal := w.insert(&calendar.Calendar{Summary: "Olena", Description: written})
			read, err := w.api(owner).Calendars.Get(cal.Id).Do()
			w.ok(err)
			head, err := w.api(owner).Events.List(cal.Id).Do()
			w.ok(err)
			if cal.Description != row.answer || read.Description != row.answer {
				t.Errorf("answers say %q and %q", cal.Description, read.Description)
			}
			if listed := w.listed(cal.Id).Description; listed != row.lists || head.Description != row.lists {
				t.Errorf("lists say %q and %q", listed, head.Description)
			}
			if row.form.Breaks != "" {
				w.hasMet(wayDescription)
			}
			if row.form.Escaped {
				w.hasMet(wayEscaped)
			}
		})
	}
}

func TestOutsideAddresses(t *testing.T) {
	const outsider = "ivan@elsewhere.example"
	for name, row := range map[string]struct {
		outside         Outside
		answer, err     string
		sees            string // the role of the reader's own list
		metWay          string
		raised, listing string
	}{
		"as asked": {OutsideAsAsked, "reader", "", "reader", "", "reader", "reader"},
		"refused":  {OutsideRefused, "", "403 forbidden", "", wayOutsideRefused, "", ""},
		"lowered":  {OutsideLowered, "freeBusyReader", "", "freeBusyReader", wayOutsideLowered, "freeBusyReader", "freeBusyReader"},
		"blind":    {OutsideBlind, "reader", "", "freeBusyReader", wayOutsideBlind, "reader", "reader"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, Ways{Outside: row.outside})
			w.AddAccount(Account{Email: outsider, Name: "Ivan"})
			svc := w.api(owner)
			cal := w.newCal(svc)
			_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
			w.ok(err)
			_, err = svc.Acl.Insert(cal, user(reader, "reader")).Do() // of the firm: as asked in any case
			w.ok(err)
			rule, err := svc.Acl.Insert(cal, user(outsider, "reader")).Do()
			w.want(err, row.err)
			if row.metWay != "" {
				defer w.hasMet(row.metWay)
			}
			if err != nil {
				return
			}
			if rule.Role != row.answer {
				t.Errorf("the answer says %s", rule.Role)
			}
			rule, err = svc.Acl.Update(cal, rule.Id, user(outsider, "reader")).Do()
			w.ok(err)
			if rule.Role != row.raised {
				t.Errorf("raised to %s", rule.Role)
			}
			rule, err = svc.Acl.Get(cal, rule.Id).Do()
			w.ok(err)
			if rule.Role != row.listing {
				t.Errorf("read as %s", rule.Role)
			}
			w.ok(w.AcceptShare(cal, outsider))
			theirs, err := w.api(outsider, "calendar.readonly").Events.List(cal).Do()
			w.ok(err)
			if blind := theirs.Items[0].Summary == ""; theirs.AccessRole != row.sees || blind != (row.sees == "freeBusyReader") {
				t.Errorf("they see %q as %s", theirs.Items[0].Summary, theirs.AccessRole)
			}
			w.ok(svc.Acl.Delete(cal, rule.Id).Do())
		})
	}
}

func TestDefaultRules(t *testing.T) {
	w := ways(t, Ways{DefaultRules: []DefaultRule{{Type: "domain", Value: "firm.example", Role: "reader"}}})
	svc := w.api(owner)
	cal := w.newCal(svc)
	list, err := svc.Acl.List(cal).Do()
	w.ok(err)
	var got []string
	for _, r := range list.Items {
		got = append(got, r.Id+" "+r.Role)
	}
	if want := []string{"user:" + owner + " owner", "domain:firm.example reader"}; !slices.Equal(got, want) {
		t.Errorf("rules %q, want %q", got, want)
	}
	if rules := w.Calendars()[2].Rules; rules[0].Default || !rules[1].Default {
		t.Errorf("snapshot %+v", rules)
	}
	if rules := w.Calendars()[0].Rules; len(rules) != 1 {
		t.Errorf("the primary calendar has %+v", rules)
	}
	if len(w.Mails()) > 0 {
		t.Errorf("mails %+v", w.Mails())
	}
	if _, err := w.api(reader, "calendar.readonly").Events.List(cal).Do(); err != nil {
		t.Errorf("somebody of the domain reads it: %v", err)
	}
	w.hasMet(wayDefaultRules)
}

func TestRespelledAddresses(t *testing.T) {
	for name, row := range map[string]struct {
		ways     Ways
		sent, id string
		way      string
	}{
		"dots":             {Ways{GmailSpelling: true}, "Ivan.P.Petrov@gmail.com", "user:ivanppetrov@gmail.com", wayGmail},
		"googlemail":       {Ways{GmailSpelling: true}, "ivan.petrov@googlemail.com", "user:ivanpetrov@gmail.com", wayGmail},
		"elsewhere":        {Ways{GmailSpelling: true}, "ivan.petrov@firm.example", "user:ivan.petrov@firm.example", ""},
		"only in capitals": {Ways{}, "Ivan.Petrov@gmail.com", "user:ivan.petrov@gmail.com", ""},
		"a group":          {Ways{GroupsOneIn: 1}, "crew@firm.example", "group:crew@firm.example", wayGroup},
		"a person":         {Ways{GroupsOneIn: 1}, reader, "user:" + reader, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ways(t, row.ways)
			svc := w.api(owner)
			cal := w.newCal(svc)
			rule, err := svc.Acl.Insert(cal, user(row.sent, "reader")).Do()
			w.ok(err)
			if rule.Id != row.id || rule.Scope.Type+":"+rule.Scope.Value != row.id {
				t.Errorf("answered %s, %+v", rule.Id, rule.Scope)
			}
			if role := w.Calendars()[2].Role(row.sent); role != "reader" {
				t.Errorf("the snapshot says %s of the address as sent", role)
			}
			again, err := svc.Acl.Insert(cal, user(row.sent, "reader")).Do()
			w.ok(err)
			list, err := svc.Acl.List(cal).Do()
			w.ok(err)
			if again.Id != row.id || len(list.Items) != 2 {
				t.Errorf("inserted again: %s of %d rules", again.Id, len(list.Items))
			}
			_, err = svc.Acl.Update(cal, rule.Id, user(row.sent, "writer")).Do()
			w.ok(err)
			if sent := "user:" + strings.ToLower(row.sent); sent != row.id {
				_, err = svc.Acl.Get(cal, sent).Do()
				w.want(err, "404 notFound")
			}
			w.ok(svc.Acl.Delete(cal, rule.Id).Do())
			if role := w.Calendars()[2].Role(row.sent); role != "none" {
				t.Errorf("removed, the snapshot says %s", role)
			}
			if row.way != "" {
				w.hasMet(row.way)
			}
		})
	}
}

func TestHiddenInvitationsCanBeRemoved(t *testing.T) {
	w := ways(t, Ways{InvitationsHidden: true})
	svc := w.api(owner)
	cal := w.newCal(svc)
	rule, err := svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	list, err := svc.Acl.List(cal).Do()
	w.ok(err)
	if len(list.Items) != 1 {
		t.Fatalf("%d rules", len(list.Items))
	}
	_, err = svc.Acl.Get(cal, rule.Id).Do()
	w.want(err, "404 notFound")
	w.ok(svc.Acl.Delete(cal, rule.Id).Do())
	if role := w.Calendars()[2].Role(reader); role != "none" {
		t.Errorf("the share is still %s", role)
	}
	if err := w.AcceptShare(cal, reader); err == nil {
		t.Error("what was removed could be accepted")
	}
	w.hasMet(wayHidden)
}

func TestCreationLimits(t *testing.T) {
	make5 := func(w *world) (made int) {
		for range 5 {
			if _, err := w.api(owner).Calendars.Insert(&calendar.Calendar{Summary: "x"}).Do(); err == nil {
				made++
			} else {
				w.want(err, "403 quotaExceeded")
			}
		}
		return made
	}
	w := ways(t, Ways{CalendarsPerHour: 2, CalendarsPerDay: 3})
	for i, want := range []int{2, 1, 0} {
		if got := make5(w); got != want {
			t.Errorf("stretch %d: %d made, want %d", i, got, want)
		}
		w.clock.advance(5 * time.Hour) // longer than the lock
	}
	w.clock.advance(24 * time.Hour)
	if got := make5(w); got != 2 {
		t.Errorf("a day later: %d made", got)
	}
	w.hasMet(wayHourly)
	w.hasMet(wayDaily)

	w = ways(t, Ways{SharesPerDay: 1, CreationLocksAll: true})
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	_, err = svc.Acl.Insert(cal, user("b@firm.example", "reader")).Do()
	w.want(err, "403 quotaExceeded")
	_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.want(err, "403 quotaExceeded") // the whole account
	w.hasMet(wayLocksAll)
	w.UnlockQuota()
	_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	w.ok(w.LockWrites(owner, time.Hour))
	w.want(svc.Events.Delete(cal, "task0001").SendUpdates("none").Do(), "403 quotaExceeded")
	_, err = svc.Events.List(cal).Do()
	w.ok(err)
	w.clock.advance(time.Hour)
	w.ok(svc.Events.Delete(cal, "task0001").SendUpdates("none").Do())
}

func TestStrayPreconditions(t *testing.T) {
	w := ways(t, Ways{PreconditionsOneIn: 3})
	svc := w.api(owner)
	cal := w.newCal(svc)
	e, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	var got []string
	for range 6 {
		call := svc.Events.Update(cal, e.Id, e).SendUpdates("none")
		call.Header().Set("If-Match", e.Etag)
		next, err := call.Do()
		got = append(got, reason(err))
		if err == nil {
			e = next
		}
	}
	if want := []string{"", "", "412 conditionNotMet", "", "", "412 conditionNotMet"}; !slices.Equal(got, want) {
		t.Errorf("answers %q", got)
	}
	_, err = svc.Events.Update(cal, e.Id, e).SendUpdates("none").Do()
	w.ok(err) // without If-Match never
	w.hasMet(wayPrecondition)
}

func TestCancelledEventsLoseTheirFieldsAndDisappear(t *testing.T) {
	w := ways(t, Ways{CancelledBare: true, CancelledGoneAfter: time.Hour})
	svc := w.api(owner)
	cal := w.newCal(svc)
	for _, id := range []string{"task0001", "task0002"} {
		e := sample(id, 0)
		e.Sequence, e.ExtendedProperties = 4, &calendar.EventExtendedProperties{Private: map[string]string{"k": "v"}}
		_, err := svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.ok(err)
		w.ok(svc.Events.Delete(cal, id).SendUpdates("none").Do())
	}
	got, err := svc.Events.Get(cal, "task0001").Do()
	w.ok(err)
	if got.Status != "cancelled" || got.Summary != "" || got.Start != nil || got.Sequence != 0 || got.ExtendedProperties != nil {
		t.Errorf("it is still %s", jsonText(got))
	}
	list, err := svc.Events.List(cal).ShowDeleted(true).Do()
	w.ok(err)
	if len(list.Items) != 2 || list.Items[0].Summary != "" {
		t.Errorf("listed: %s", jsonText(list.Items))
	}
	list, err = svc.Events.List(cal).ShowDeleted(true).PrivateExtendedProperty("k=v").Do()
	w.ok(err)
	if len(list.Items) != 0 {
		t.Errorf("found by what it lost: %s", jsonText(list.Items))
	}
	again := sample("task0001", 1)
	again.Status = "confirmed"
	_, err = svc.Events.Update(cal, "task0001", again).SendUpdates("none").Do()
	w.ok(err) // no sequence is known, and none asked for
	w.clock.advance(2 * time.Hour)
	_, err = svc.Events.Get(cal, "task0001").Do()
	w.ok(err) // revived
	_, err = svc.Events.Get(cal, "task0002").Do()
	w.want(err, "404 notFound")
	list, err = svc.Events.List(cal).ShowDeleted(true).Do()
	w.ok(err)
	if len(list.Items) != 1 {
		t.Errorf("listed later: %s", jsonText(list.Items))
	}
	_, err = svc.Events.Insert(cal, sample("task0002", 0)).SendUpdates("none").Do()
	w.want(err, "409 duplicate")
	w.hasMet(wayBare)
	w.hasMet(wayVanished)
}

func TestReachLost(t *testing.T) {
	for status, want := range map[int]string{404: "404 notFound", 403: "403 forbidden", 0: ""} {
		w := ways(t, Ways{ReachLost: status})
		svc := w.api(owner)
		cal := w.newCal(svc)
		w.ok(w.RevokeGrant(owner))
		_, err := svc.Calendars.Get(cal).Do()
		w.want(err, want)
		_, err = svc.Events.List(cal).Do()
		w.want(err, want)
		if w.listed(cal) == nil {
			t.Errorf("%d: it left the list", status)
		}
		if got := w.Calendars()[2]; got.Deleted {
			t.Errorf("%d: it was deleted", status)
		}
		_, err = svc.Acl.List(cal).Do() // a scope of its own
		w.ok(err)
		_, err = svc.Calendars.Get(w.newCal(svc)).Do()
		w.ok(err) // what is made from then on
		w.ok(w.RegainReach(owner))
		_, err = svc.Calendars.Get(cal).Do()
		w.ok(err)
		if status != 0 {
			w.hasMet(wayReach)
		}
		w.ok(w.LoseReach(owner))
		_, err = svc.Calendars.Get(cal).Do()
		w.want(err, map[bool]string{true: want, false: "404 notFound"}[status != 0])
	}
}

func TestTextLimits(t *testing.T) {
	wide := strings.Repeat("\U0001F527", 600) // 600 code points, 1,200 UTF-16 units
	for utf16, want := range map[bool]string{false: "", true: "400 invalid"} {
		w := ways(t, Ways{UTF16: utf16})
		svc := w.api(owner)
		cal := w.newCal(svc)
		e := sample("task0001", 0)
		e.Summary = wide
		_, err := svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.want(err, want)
		e.Id, e.Summary, e.Location = "task0004", "x", wide
		_, err = svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.want(err, want)
		e.Location, e.Description = "", strings.Repeat("\U0001F527", 4097)
		e.Id = "task0002"
		_, err = svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.want(err, want)
		e.Id, e.Description = "task0003", strings.Repeat("\U0001F527", 4096) // exactly at the limit
		_, err = svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.ok(err)
		_, err = svc.Calendars.Insert(&calendar.Calendar{Summary: wide}).Do()
		w.want(err, want)
		if utf16 {
			w.hasMet(wayUTF16)
		}
	}
}

func TestLateLists(t *testing.T) {
	w := ways(t, Ways{ListDelayUpTo: 24 * time.Hour})
	svc := w.api(owner)
	var made []string
	for range 12 {
		made = append(made, w.newCal(svc))
	}
	there := func() (n int) {
		for _, id := range made {
			if w.listed(id) != nil {
				n++
			}
		}
		return n
	}
	seen := []int{there()}
	for range 2 {
		w.clock.advance(12 * time.Hour)
		seen = append(seen, there())
	}
	if seen[0] != 0 || seen[1] == 0 || seen[1] == 12 || seen[2] != 12 {
		t.Errorf("listed at once, after half a day, after a day: %v", seen)
	}
	w.hasMet(wayListDelay)
}

func TestWaysChangeInTheMiddle(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.insert(&calendar.Calendar{Summary: "Olena", TimeZone: "Europe/Kyiv"})
	for _, alias := range []string{"Europe/Kiev", ""} {
		w.ChangeWays(func(ways *Ways) { ways.ZonesAliased = map[string]string{"Europe/Kyiv": alias} })
		got, err := svc.Calendars.Get(cal.Id).Do()
		w.ok(err)
		if want := cmp.Or(alias, "Europe/Kyiv"); got.TimeZone != want {
			t.Errorf("it says %s, want %s", got.TimeZone, want)
		}
	}
}

func TestDraw(t *testing.T) {
	drawn := map[string]int{}
	var first string
	for seed := range uint64(400) {
		w := Draw(rand.New(rand.NewPCG(seed, 1)), time.Hour, "Europe/Kyiv", "firm.example")
		again := Draw(rand.New(rand.NewPCG(seed, 1)), time.Hour, "Europe/Kyiv", "firm.example")
		if w.String() != again.String() {
			t.Fatalf("seed %d: %s, then %s", seed, w, again)
		}
		if seed == 0 {
			first = w.String()
		}
		for _, name := range w.Names() {
			drawn[name]++
		}
		for _, spell := range w.Spells {
			if spell.For <= 0 || spell.After < 0 || spell.After >= time.Hour || spell.Name == "" {
				t.Fatalf("seed %d: spell %+v", seed, spell)
			}
		}
	}
	for _, way := range []string{
		wayStaleRows, wayZoneAliased, wayZoneRefused, wayTextFolded, wayTextAtOnce, wayDescription, wayEscaped, wayOutsideRefused, wayOutsideLowered,
		wayOutsideBlind, wayDefaultRules, wayGmail, wayGroup, wayHidden, wayHourly, wayDaily, wayLocksAll, wayPrecondition, wayBare, wayVanished, wayReach,
		wayUTF16, wayListDelay, "G1 404 html", "G1 404 empty", "G1 404 json", "G1 404 json without status", "G9 all writes locked", "G10 accessNotConfigured",
		"G10 notACalendarUser", "G10 dailyLimitExceeded", "G10 token deleted_client", "G10 token org_internal", "G10 token rapt_required", "G11 412 spell",
	} {
		if drawn[way] == 0 {
			t.Errorf("%q was never drawn", way)
		}
	}
	if t.Failed() {
		t.Log(drawn, base64.StdEncoding.EncodeToString([]byte(first)))
	}
}
