package google

import (
	"cmp"
	"encoding/base64"
	"math/rand/v2"
	"slices"
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

func TestRulesOfWhichCalendars(t *testing.T) {
	for _, row := range []struct {
		rules                   Rules
		own, primary, otherLast string
		met                     string
	}{
		{RulesOfAll, "", "", "404 notFound", ""},
		{RulesOfOwn, "", "404 notFound", "404 notFound", wayRulesOwn},
		{RulesOfDeleted, "", "", "", wayRulesDeleted},
	} {
		t.Run(string(row.rules), func(t *testing.T) {
			w := ways(t, Ways{Rules: row.rules})
			svc := w.api(owner)
			kept, deleted := w.newCal(svc), w.newCal(svc)
			w.ok(svc.Calendars.Delete(deleted).Do())
			for id, want := range map[string]string{kept: row.own, "primary": row.primary, deleted: row.otherLast} {
				_, err := svc.Acl.List(id).Do()
				w.want(err, want)
			}
			_, err := svc.Calendars.Get(deleted).Do()
			w.want(err, "404 notFound")
			_, err = svc.Calendars.Get("primary").Do()
			w.want(err, "404 notFound")
			_, err = svc.Acl.Insert(deleted, user("a@b.example", "reader")).Do()
			w.want(err, "404 notFound")
			if row.met != "" {
				w.hasMet(row.met)
			} else if met := w.Met(); len(met) > 0 {
				t.Errorf("met %v", met)
			}
			_, err = w.api(owner, "calendar").Acl.List("primary").Do()
			w.ok(err) // a client of more than calendar.acls
		})
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
