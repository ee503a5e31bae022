package google

import (
	"strings"
	"testing"

	"google.golang.org/api/calendar/v3"
)

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
