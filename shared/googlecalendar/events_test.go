package googlecalendar_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
)

func TestEventsLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, g, c, d := t.Context(), w.gateway, w.newCalendar(), draft()
		made := w.insert(c.ID, d)
		if made.ID != d.ID || made.ETag == "" || made.Cancelled || made.Sequence != 0 {
			t.Fatalf("inserted %+v", made)
		}
		if _, err := g.InsertEvent(ctx, c.ID, d); !failure.Is(err, failure.Conflict) {
			t.Errorf("a second insert: %v, want kind conflict", err)
		}

		d.ETag, d.Sequence, d.Content.Title = made.ETag, made.Sequence, "Repair, Side St 2"
		changed, err := g.UpdateEvent(ctx, c.ID, d)
		w.ok(err)
		if changed.Fields.Title != d.Content.Title || changed.ETag == made.ETag {
			t.Errorf("updated %+v", changed)
		}
		// Written on what is there no more: refused, and nothing changed.
		stale := d
		stale.Content.Title = "stale"
		if _, err := g.UpdateEvent(ctx, c.ID, stale); !failure.Is(err, failure.Conflict) {
			t.Errorf("an update with an old ETag: %v, want kind conflict", err)
		}
		if err := g.DeleteEvent(ctx, c.ID, d.ID, made.ETag); !failure.Is(err, failure.Conflict) {
			t.Errorf("a deletion with an old ETag: %v, want kind conflict", err)
		}
		if read, err := g.Event(ctx, c.ID, d.ID); err != nil || read.ETag != changed.ETag || read.Fields.Title != d.Content.Title {
			t.Errorf("read %+v, %v; want it as updated", read, err)
		}

		w.ok(g.DeleteEvent(ctx, c.ID, d.ID, changed.ETag))
		if err := g.DeleteEvent(ctx, c.ID, d.ID, ""); !failure.Is(err, failure.Gone) {
			t.Errorf("a second deletion: %v, want kind gone", err)
		}
		if err := g.DeleteEvent(ctx, c.ID, "never1", ""); !failure.Is(err, failure.Gone) {
			t.Errorf("deleting what never was: %v, want kind gone", err)
		}
		if _, err := g.Event(ctx, c.ID, "never1"); !failure.Is(err, failure.Gone) {
			t.Errorf("reading what never was: %v, want kind gone", err)
		}
		gone, err := g.Event(ctx, c.ID, d.ID)
		if err != nil || !gone.Cancelled || !gone.Owned {
			t.Fatalf("the cancelled event is %+v, %v", gone, err)
		}
		if _, list, err := g.Events(ctx, c.ID); err != nil || len(list) != 0 {
			t.Errorf("listed %+v, %v; want no cancelled event", list, err)
		}
		if _, err := g.InsertEvent(ctx, c.ID, draft()); !failure.Is(err, failure.Conflict) {
			t.Errorf("an insert under a cancelled id: %v, want kind conflict", err)
		}

		d.ETag, d.Sequence = gone.ETag, gone.Sequence-1
		if _, err := g.UpdateEvent(ctx, c.ID, d); gone.Sequence > 0 && !failure.Is(err, failure.Invalid) {
			t.Errorf("an update with an old sequence: %v, want kind invalid", err)
		}
		d.Sequence = gone.Sequence
		back, err := g.UpdateEvent(ctx, c.ID, d)
		if err != nil || back.Cancelled {
			t.Errorf("revived %+v, %v", back, err)
		}
		if head, list, err := g.Events(ctx, c.ID); err != nil || len(list) != 1 || list[0].ID != d.ID || head.Name != c.Name || head.TimeZone != c.TimeZone || head.Mark != c.Mark {
			t.Errorf("listed %+v, %v; want the revived event", list, err)
		}
	})
}

// shared/googlecalendar/README.md, Writes (rule 10.8).
func TestEveryEventWriteIsQuietAndWhole(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, g, c, d := t.Context(), w.gateway, w.newCalendar(), draft()
		made := w.insert(c.ID, d)
		_, err := g.UpdateEvent(ctx, c.ID, d) // sequence 0, no ETag
		w.ok(err)
		now, err := g.Event(ctx, c.ID, d.ID)
		w.ok(err)
		d.ETag, d.Sequence = now.ETag, 3
		now, err = g.UpdateEvent(ctx, c.ID, d)
		w.ok(err)
		w.ok(g.DeleteEvent(ctx, c.ID, d.ID, now.ETag))
		if made.Sequence != 0 || now.Sequence != 3 {
			t.Errorf("sequences %d and %d, want 0 and 3", made.Sequence, now.Sequence)
		}

		writes := w.Requests(google.Filter{Method: "calendar.events.*", Writes: true})
		var ifMatch []string
		for _, r := range writes {
			ifMatch = append(ifMatch, r.IfMatch)
			if r.Query.Get("sendUpdates") != "none" {
				t.Errorf("%s goes out with %v, not sendUpdates=none", r.Method, r.Query)
			}
			if r.HTTPMethod == http.MethodPatch || r.Units != 1 {
				t.Errorf("%s costs %d units", r.HTTPMethod, r.Units)
			}
			if r.Method == "calendar.events.delete" {
				continue
			}
			var body map[string]any
			w.ok(json.Unmarshal(r.Body, &body))
			for _, want := range []string{"sequence", "status", "summary", "location", "description", "colorId", "start", "end", "extendedProperties"} {
				if _, said := body[want]; !said {
					t.Errorf("%s does not say %s: %s", r.Method, want, r.Body)
				}
			}
			for _, never := range []string{"attendees", "reminders", "conferenceData", "source", "recurrence"} {
				if _, said := body[never]; said {
					t.Errorf("%s says %s: %s", r.Method, never, r.Body)
				}
			}
			if body["status"] != "confirmed" {
				t.Errorf("%s says status %v", r.Method, body["status"])
			}
		}
		if want := []string{"", "", d.ETag, now.ETag}; !slices.Equal(ifMatch, want) {
			t.Errorf("If-Match of the four writes: %q, want %q", ifMatch, want)
		}
		if mails := w.Mails(); len(mails) != 0 {
			t.Errorf("mails %+v, want none", mails)
		}
	})
}

func TestEmptyFieldsEmptyWhatWasThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, d := w.newCalendar(), draft()
		w.insert(c.ID, d)
		d.Content.Location, d.Content.Description, d.Content.Color = "", "", ""
		got, err := w.gateway.UpdateEvent(t.Context(), c.ID, d)
		if err != nil || got.Fields.Location != "" || got.Fields.Description != "" || got.Fields.Color != "" {
			t.Errorf("updated to %+v, %v; want the fields emptied", got.Fields, err)
		}
	})
}

func TestMarksRoundTrip(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, d := w.newCalendar(), draft()
		w.insert(c.ID, d)
		copied, err := w.CopyEvent(c.ID, d.ID, c.ID)
		w.ok(err)
		byHand, err := w.CreateEvent(c.ID, &calendar.Event{Summary: "Dentist",
			Start: &calendar.EventDateTime{Date: "2026-11-24"}, End: &calendar.EventDateTime{Date: "2026-11-25"}})
		w.ok(err)
		_, list, err := w.gateway.Events(t.Context(), c.ID)
		if err != nil || len(list) != 3 {
			t.Fatalf("listed %+v, %v; want three", list, err)
		}
		for _, e := range list {
			switch e.ID {
			case d.ID:
				if !e.Marked || !e.Owned || e.Mark != d.Mark {
					t.Errorf("ours is read as %+v, want mark %+v", e, d.Mark)
				}
				if !e.Ours(tenant, 17, 42) || e.Ours("another", 17, 42) || e.Ours(tenant, 18, 42) || e.Ours(tenant, 17, 43) {
					t.Error("ours is not told from others'")
				}
			case copied:
				if e.Owned || e.Ours(tenant, 17, 42) {
					t.Errorf("a copy counts as owned: %+v", e)
				}
			case byHand:
				if e.Marked || e.Owned {
					t.Errorf("an event made by hand counts as marked: %+v", e)
				}
			}
		}
	})
}

func TestLogFormOfAnEventHasNoContent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.insert(w.newCalendar().ID, draft())
		if got := e.String(); got != "event "+e.ID+" seq 0" {
			t.Errorf("%q", got)
		}
	})
}

// rule 2.3: Google's normalising must never look like a change.
func TestHashIsStableUnderNormalising(t *testing.T) {
	at := time.Date(2026, 7, 1, 6, 30, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		change  func(*calendarsync.Event)
		options func(*google.Options)
	}{
		"as it is":           {func(*calendarsync.Event) {}, nil},
		"space at the end":   {func(e *calendarsync.Event) { e.Title, e.Description, e.Location = "Repair  ", "Text\n\n", "Main \t" }, nil},
		"foreign line ends":  {func(e *calendarsync.Event) { e.Description = "one\r\ntwo\r\n" }, nil},
		"control characters": {func(e *calendarsync.Event) { e.Description = "one\x00\x1btwo" }, nil},
		"empty fields":       {func(e *calendarsync.Event) { e.Location, e.Description, e.Color = "", "", "" }, nil},
		"other scripts":      {func(e *calendarsync.Event) { e.Title = "Ремонт 修理 👷‍♀️" }, nil},
		"all-day": {func(e *calendarsync.Event) {
			e.Start, e.End = calendarsync.EventTime{Date: "2026-11-23"}, calendarsync.EventTime{Date: "2026-11-25"}
		}, nil},
		"summer time": {func(e *calendarsync.Event) {
			e.Start.Instant, e.End.Instant = at, at.Add(90*time.Minute)
		}, nil},
		"fractions of a second": {func(e *calendarsync.Event) { e.Start.Instant = e.Start.Instant.Add(999 * time.Millisecond) }, nil},
		"another zone than the calendar's": {func(e *calendarsync.Event) {
			e.Start.Zone, e.End.Zone = "America/New_York", "America/New_York"
		}, nil},
		"a renamed zone": {func(*calendarsync.Event) {}, func(o *google.Options) { o.ZoneAliases = map[string]string{zoneName: "Europe/Kiev"} }},
	} {
		t.Run(name, func(t *testing.T) {
			change := row.options
			if change == nil {
				change = func(*google.Options) {}
			}
			inWorld(t, func(t *testing.T, w *world) {
				ctx, c, d := t.Context(), w.newCalendar(), draft()
				row.change(&d.Content)
				inserted := w.insert(c.ID, d)
				want := inserted.Fields.Hash()
				check := func(when string) {
					t.Helper()
					read, err := w.gateway.Event(ctx, c.ID, d.ID)
					w.ok(err)
					_, list, err := w.gateway.Events(ctx, c.ID)
					if err != nil || len(list) != 1 {
						t.Fatalf("%s: listed %+v, %v", when, list, err)
					}
					if read.Fields.Hash() != want || list[0].Fields.Hash() != want {
						t.Errorf("%s: read as %+v, listed as %+v, inserted as %+v", when, read.Fields, list[0].Fields, inserted.Fields)
					}
					if read.ETag != list[0].ETag || read.Sequence != list[0].Sequence {
						t.Errorf("%s: ETag %s and %s, sequence %d and %d", when, read.ETag, list[0].ETag, read.Sequence, list[0].Sequence)
					}
				}
				check("at once")
				d.Sequence, d.ETag = inserted.Sequence, inserted.ETag
				written, err := w.gateway.UpdateEvent(ctx, c.ID, d)
				w.ok(err)
				if written.Fields.Hash() != want {
					t.Errorf("written again as %+v, before as %+v", written.Fields, inserted.Fields)
				}
				// Times are then rendered with another offset.
				w.ok(w.EditCalendar(c.ID, func(c *calendar.Calendar) { c.TimeZone = "Asia/Tokyo" }))
				// What an owner may set for themselves is nobody's drift.
				w.ok(w.EditEvent(c.ID, d.ID, func(e *calendar.Event) {
					e.Reminders = &calendar.EventReminders{Overrides: []*calendar.EventReminder{{Method: "popup", Minutes: 5}}, ForceSendFields: []string{"UseDefault"}}
				}))
				check("in another zone")
			}, change)
		})
	}
}

func TestDriftIsSeen(t *testing.T) {
	rows := map[string]func(*calendar.Event){
		"title":             func(e *calendar.Event) { e.Summary += "!" },
		"title's case":      func(e *calendar.Event) { e.Summary = strings.ToUpper(e.Summary) },
		"location":          func(e *calendar.Event) { e.Location = "Side St 2" },
		"location emptied":  func(e *calendar.Event) { e.Location = "" },
		"description":       func(e *calendar.Event) { e.Description = "by hand" },
		"colour":            func(e *calendar.Event) { e.ColorId = "11" },
		"colour taken away": func(e *calendar.Event) { e.ColorId = "" },
		"start":             func(e *calendar.Event) { e.Start.DateTime = "2026-11-23T10:30:00+02:00" },
		"end":               func(e *calendar.Event) { e.End.DateTime = "2026-11-23T13:30:00+02:00" },
		"zone": func(e *calendar.Event) {
			e.Start.TimeZone, e.End.TimeZone = "Europe/Warsaw", "Europe/Warsaw"
		},
		"made all-day": func(e *calendar.Event) {
			e.Start, e.End = &calendar.EventDateTime{Date: "2026-11-23"}, &calendar.EventDateTime{Date: "2026-11-24"}
		},
		"visibility private": func(e *calendar.Event) { e.Visibility = "private" },
		"visibility public":  func(e *calendar.Event) { e.Visibility = "public" },
		"transparency":       func(e *calendar.Event) { e.Transparency = "transparent" },
		"status":             func(e *calendar.Event) { e.Status = "tentative" },
		"attendees":          func(e *calendar.Event) { e.Attendees = []*calendar.EventAttendee{{Email: employee}} },
	}
	check := func(t *testing.T, w *world, c googlecalendar.Calendar, before googlecalendar.Event) {
		t.Helper()
		_, list, err := w.gateway.Events(t.Context(), c.ID)
		if err != nil || len(list) != 1 {
			t.Fatalf("listed %+v, %v", list, err)
		}
		read, err := w.gateway.Event(t.Context(), c.ID, before.ID)
		w.ok(err)
		if list[0].Fields.Hash() == before.Fields.Hash() || read.Fields.Hash() == before.Fields.Hash() {
			t.Errorf("not seen: listed %+v, inserted %+v", list[0].Fields, before.Fields)
		}
		// A hash is not all: without a memory the content itself is compared.
		if actual := (calendarsync.Actual{Presence: calendarsync.Live, Observed: &list[0].Fields}); !actual.Drifted(draft().Content) && !sameInstants(list[0].Fields) {
			t.Errorf("not seen without a memory: %+v", list[0].Fields)
		}
		if actual := (calendarsync.Actual{Presence: calendarsync.Live, Returned: before.Fields.Hash(), Observed: &list[0].Fields}); !actual.Drifted(draft().Content) {
			t.Errorf("not seen by the domain: %+v", list[0].Fields)
		}
	}
	for name, edit := range rows {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				before := w.insert(c.ID, draft())
				w.ok(w.EditEvent(c.ID, before.ID, edit))
				check(t, w, c, before)
			})
		})
	}
	// The stand-in does no recurring events: Google's answer is made of its own.
	t.Run("recurrence", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			c := w.newCalendar()
			before := w.insert(c.ID, draft())
			w.answer = replacing(`"status"`, `"recurrence":["RRULE:FREQ=WEEKLY"],"status"`)
			check(t, w, c, before)
		})
	})
}

// sameInstants reports whether only the zone's name differs, which matters to
// nobody who reads the event.
func sameInstants(f calendarsync.Fields) bool {
	want := draft().Content
	return f.Start.Zone != zoneName && f.Start.Instant.Equal(want.Start.Instant) && f.End.Instant.Equal(want.End.Instant)
}

// replacing changes a text in the answers' bodies.
func replacing(from, to string) func(*http.Request, *http.Response, error) (*http.Response, error) {
	return func(_ *http.Request, res *http.Response, err error) (*http.Response, error) {
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte(from), []byte(to))))
		return res, nil
	}
}

func TestInstancesOfASeriesAreNotListed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		w.insert(c.ID, draft())
		w.answer = replacing(`"status"`, `"recurringEventId":"other1","status"`)
		if _, list, err := w.gateway.Events(t.Context(), c.ID); err != nil || len(list) != 0 {
			t.Errorf("listed %+v, %v; an instance inherits its mark and is not ours", list, err)
		}
	})
}

func TestTimesAsGoogleGivesThem(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, d := w.newCalendar(), draft()
		got := w.insert(c.ID, d)
		if got.Fields.Start != d.Content.Start || got.Fields.End != d.Content.End {
			t.Errorf("times %+v to %+v, want %+v to %+v", got.Fields.Start, got.Fields.End, d.Content.Start, d.Content.End)
		}
		var body struct {
			Start struct{ DateTime, TimeZone string }
		}
		w.ok(json.Unmarshal(w.Requests(google.Filter{Method: "calendar.events.insert"})[0].Body, &body))
		if body.Start.DateTime != "2026-11-23T12:00:00+02:00" || body.Start.TimeZone != zoneName {
			t.Errorf("sent %+v, want the wall clock of the zone with its name", body.Start)
		}
	})
}
