package google

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
)

func TestNotFoundSpells(t *testing.T) {
	for _, row := range []struct {
		form        BodyForm
		contentType string
		has, hasNot string
	}{
		{BodyWithStatus, "application/json", `"status": "NOT_FOUND"`, "html"},
		{BodyWithoutStatus, "application/json", `"reason": "notFound"`, `"status"`},
		{BodyHTML, "text/html", "<!DOCTYPE html>", "notFound"},
		{BodyEmpty, "text/html", "", "o"},
	} {
		t.Run(string(row.form), func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.StatusErrors = row.form == BodyWithoutStatus })
			svc := w.api(owner)
			cal, other := w.newCal(svc), w.newCal(svc)
			spell := NotFoundSpell(row.form)
			spell.CalendarID, spell.After, spell.For = cal, time.Minute, time.Hour
			spelt := w.Begin(spell)
			get := func(path string) (int, string, string) {
				req := w.Client(owner, productScopes...)
				resp, err := req.Get(w.opt.BaseURL + "/calendar/v3/" + path)
				w.ok(err)
				defer resp.Body.Close()
				var b strings.Builder
				buf := make([]byte, 4096)
				n, _ := resp.Body.Read(buf)
				b.Write(buf[:n])
				return resp.StatusCode, resp.Header.Get("Content-Type"), b.String()
			}
			if status, _, _ := get("calendars/" + cal); status != 200 {
				t.Fatalf("before its time: %d", status)
			}
			w.clock.advance(time.Minute)
			for _, path := range []string{"calendars/" + cal, "calendars/" + cal + "/events", "calendars/" + cal + "/acl"} {
				status, kind, body := get(path)
				if status != 404 || !strings.HasPrefix(kind, row.contentType) || !strings.Contains(body, row.has) || strings.Contains(body, row.hasNot) {
					t.Errorf("%s: %d %s %q", path, status, kind, body)
				}
			}
			if status, _, _ := get("calendars/" + other); status != 200 {
				t.Errorf("another calendar: %d", status)
			}
			if w.listed(cal) == nil {
				t.Error("the list does not name it")
			}
			_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
			if err == nil || len(w.Events(cal)) != 0 {
				t.Errorf("a write went through: %v", err)
			}
			w.clock.advance(time.Hour)
			_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
			w.ok(err) // healed
			if spelt.Hits() == 0 || w.Met()[spell.Name] != spelt.Hits() {
				t.Errorf("hits %d, met %v", spelt.Hits(), w.Met())
			}
		})
	}
}

func TestASpellOfChosenMethodsAndCalendars(t *testing.T) {
	spell := NotFoundSpell(BodyDefault, "calendar.calendars.get", "calendar.events.list")
	spell.OneCalendarIn = 3
	w := newWorld(t, func(o *Options) { o.Ways.Spells = []Spell{spell} })
	svc := w.api(owner)
	lost := 0
	for range 30 {
		cal := w.newCal(svc)
		_, err := svc.Calendars.Get(cal).Do()
		_, listErr := svc.Events.List(cal).Do()
		if (err == nil) != (listErr == nil) {
			t.Errorf("get says %v, list says %v", err, listErr)
		}
		if err != nil {
			w.want(err, "404 notFound")
			lost++
		}
		_, err = svc.Acl.List(cal).Do()
		w.ok(err)
	}
	w.Begin(NotFoundSpell(BodyEmpty, "calendar.calendarList.list"))
	if _, err := svc.CalendarList.List().Do(); err == nil {
		t.Error("the account's list answers")
	}
	if lost < 3 || lost > 20 {
		t.Errorf("%d of 30 calendars, want about 10", lost)
	}
	w.ClearFaults()
	_, err := svc.Calendars.Get(w.newCal(svc)).Do()
	w.ok(err)
}

func TestAccountRefusals(t *testing.T) {
	for reasonSaid, domain := range map[string]string{"accessNotConfigured": "usageLimits", "notACalendarUser": "calendar", "dailyLimitExceeded": "usageLimits", "somethingNew": "global"} {
		w := newWorld(t)
		svc := w.api(owner)
		cal := w.newCal(svc)
		spelt := w.Begin(AccountRefusal(reasonSaid))
		_, err := svc.CalendarList.List().Do()
		w.want(err, "403 "+reasonSaid)
		_, err = svc.Calendars.Insert(&calendar.Calendar{Summary: "x"}).Do()
		w.want(err, "403 "+reasonSaid)
		status, body, _ := w.raw(w.Client(owner, productScopes...), "GET", "/calendar/v3/calendars/"+cal, "")
		text := jsonText(body)
		if status != 403 || !strings.Contains(text, `"domain":"`+domain+`"`) || strings.Contains(text, "SERVICE_DISABLED") != (reasonSaid == "accessNotConfigured") {
			t.Errorf("%s: %d %s", reasonSaid, status, text)
		}
		spelt.Remove()
		_, err = svc.Calendars.Get(cal).Do()
		w.ok(err)
	}
	w := newWorld(t)
	spell := AccountRefusal("accessNotConfigured")
	spell.Body = BodyDetailsOnly
	w.Begin(spell)
	_, body, _ := w.raw(w.Client(owner, productScopes...), "GET", "/calendar/v3/users/me/calendarList", "")
	if text := jsonText(body); strings.Contains(text, "accessNotConfigured") || !strings.Contains(text, "SERVICE_DISABLED") {
		t.Errorf("details only: %s", text)
	}
}

func TestTokenRefusals(t *testing.T) {
	for code, want := range map[string]string{
		"deleted_client": "401 deleted_client", "disabled_client": "401 disabled_client", "admin_policy_enforced": "400 admin_policy_enforced",
		"org_internal": "400 org_internal", "access_denied": "400 access_denied", "rapt_required": "400 rapt_required",
	} {
		w := newWorld(t)
		token := w.RefreshToken(owner, productScopes...)
		spell := TokenRefusal(code)
		spell.For = time.Hour
		w.Begin(spell)
		if got := w.refreshWith(token); got != want {
			t.Errorf("%s: %s", code, got)
		}
		w.clock.advance(time.Hour)
		if got := w.refreshWith(token); got != "200" {
			t.Errorf("%s: afterwards %s", code, got)
		}
		if w.Met()["G10 token "+code] != 1 {
			t.Errorf("%s: met %v", code, w.Met())
		}
	}
}

func TestWritesLockedAndPreconditionSpells(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	e, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	spelt := w.Begin(WritesLocked())
	w.want(svc.Events.Delete(cal, e.Id).SendUpdates("none").Do(), "403 quotaExceeded")
	_, err = svc.Events.Get(cal, e.Id).Do()
	w.ok(err)
	spelt.Remove()

	spelt = w.Begin(PreconditionSpell())
	call := svc.Events.Update(cal, e.Id, e).SendUpdates("none")
	call.Header().Set("If-Match", e.Etag)
	_, err = call.Do()
	w.want(err, "412 conditionNotMet")
	_, err = svc.Events.Update(cal, e.Id, e).SendUpdates("none").Do()
	w.ok(err)
	if spelt.Hits() != 1 {
		t.Errorf("%d hits", spelt.Hits())
	}
}
