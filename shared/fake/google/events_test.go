package google

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
)

func TestEventLife(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{"erpTask": "1"}}
	ev, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	if ev.Id != "task0001" || ev.Status != "confirmed" || ev.Sequence != 0 || ev.ICalUID != "task0001@google.com" || ev.Creator.Email != owner ||
		ev.Organizer.Email != cal || ev.Start.DateTime != "2026-11-23T12:00:00+02:00" || ev.Start.TimeZone != "Europe/Kyiv" || ev.Etag == "" || ev.HtmlLink == "" ||
		ev.Created != "2026-11-22T10:00:00.000Z" || ev.Updated == "" || ev.Reminders == nil || !ev.Reminders.UseDefault {
		t.Fatalf("inserted event looks wrong: %s", jsonText(ev))
	}
	_, err = svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.want(err, "409 duplicate")

	w.ok(svc.Events.Delete(cal, ev.Id).SendUpdates("none").Do())
	got, err := svc.Events.Get(cal, ev.Id).Do()
	w.ok(err)
	if got.Status != "cancelled" || got.Sequence != 1 || got.Summary != "Repair" {
		t.Fatalf("a deleted event must be a tombstone with details: %s", jsonText(got))
	}
	w.want(svc.Events.Delete(cal, ev.Id).SendUpdates("none").Do(), "410 deleted")
	w.want(svc.Events.Delete(cal, "never00").SendUpdates("none").Do(), "404 notFound")
	_, err = svc.Events.Get(cal, "never00").Do()
	w.want(err, "404 notFound")
	_, err = svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.want(err, "409 duplicate")

	in.Status, in.Sequence = "confirmed", got.Sequence
	back, err := svc.Events.Update(cal, ev.Id, in).SendUpdates("none").Do()
	w.ok(err)
	if back.Status != "confirmed" || back.Sequence != 2 || back.Etag == got.Etag {
		t.Fatalf("PUT with status confirmed must revive: %s", jsonText(back))
	}
	if n := len(w.Mails()); n != 0 {
		t.Fatalf("%d mails for writes with sendUpdates=none: %v", n, w.Mails())
	}
}

func TestPutOnTombstoneWithoutStatusStaysCancelled(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	w.ok(svc.Events.Delete(cal, "task0001").SendUpdates("none").Do())
	in := sample("task0001", 0)
	in.Sequence = 1
	got, err := svc.Events.Update(cal, "task0001", in).SendUpdates("none").Do()
	w.ok(err)
	if got.Status != "cancelled" {
		t.Fatalf("status is %q", got.Status)
	}
}

func TestRevivalAfterWebDeletion(t *testing.T) {
	for _, forbids := range []bool{false, true} {
		w := newWorld(t, func(o *Options) { o.WebDeletionForbidsRevival = forbids })
		svc := w.api(owner)
		cal := w.newCal(svc)
		_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
		w.ok(err)
		w.ok(w.DeleteEvent(cal, "task0001"))
		in := sample("", 0)
		in.Status, in.Sequence = "confirmed", 1
		_, err = svc.Events.Update(cal, "task0001", in).SendUpdates("none").Do()
		w.want(err, map[bool]string{false: "", true: "403 forbidden"}[forbids])
	}
}

func TestEmptyBinKeepsTheIDTaken(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	w.ok(w.DeleteEvent(cal, "task0001"))
	w.ok(w.EmptyBin(cal))
	_, err = svc.Events.Get(cal, "task0001").Do()
	w.want(err, "404 notFound")
	_, err = svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.want(err, "409 duplicate")
}

func TestSequenceRule(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	steps := []struct {
		name   string
		change func(*calendar.Event)
		want   int64
		err    string
	}{
		{"title only: stays", func(e *calendar.Event) { e.Summary = "Other" }, 0, ""},
		{"start and end: grows", func(e *calendar.Event) { *e = *sample("", 2); e.Summary = "Other" }, 1, ""},
		{"absent counts as 0", func(e *calendar.Event) { e.Sequence = 0 }, 1, "400 invalid"},
		{"location: grows", func(e *calendar.Event) { e.Sequence = 1; e.Location = "Elsewhere" }, 2, ""},
		{"higher is taken", func(e *calendar.Event) { e.Sequence = 9 }, 9, ""},
		{"lower is refused", func(e *calendar.Event) { e.Sequence = 8 }, 9, "400 invalid"},
	}
	in := sample("", 0)
	for _, st := range steps {
		st.change(in)
		_, err := svc.Events.Update(cal, "task0001", in).SendUpdates("none").Do()
		if reason(err) != st.err {
			t.Fatalf("%s: error %q, want %q", st.name, reason(err), st.err)
		}
		if got := w.Events(cal)[0].Sequence; got != st.want {
			t.Fatalf("%s: sequence %d, want %d", st.name, got, st.want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	ev, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	put := svc.Events.Update(cal, ev.Id, sample("", 0)).SendUpdates("none")
	put.Header().Set("If-Match", ev.Etag)
	second, err := put.Do()
	w.ok(err)
	_, err = put.Do()
	w.want(err, "412 conditionNotMet")
	patch := svc.Events.Patch(cal, ev.Id, &calendar.Event{Summary: "x"}).SendUpdates("none")
	patch.Header().Set("If-Match", ev.Etag)
	_, err = patch.Do()
	w.want(err, "412 conditionNotMet")
	del := svc.Events.Delete(cal, ev.Id).SendUpdates("none")
	del.Header().Set("If-Match", ev.Etag)
	w.want(del.Do(), "412 conditionNotMet")
	get := svc.Events.Get(cal, ev.Id).IfNoneMatch(second.Etag)
	if _, err := get.Do(); !googleapi.IsNotModified(err) {
		t.Fatalf("If-None-Match with the present ETag gave %v", err)
	}
	del.Header().Set("If-Match", second.Etag)
	w.ok(del.Do())
}

func TestPatchMergesAndCostsThree(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{"a": "1", "b": "2"}}
	_, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	got, err := svc.Events.Patch(cal, "task0001", &calendar.Event{Summary: "New", ExtendedProperties: &calendar.EventExtendedProperties{Private: map[string]string{"b": "3"}}, NullFields: []string{"Location"}}).SendUpdates("none").Do()
	w.ok(err)
	if got.Summary != "New" || got.Location != "" || got.ExtendedProperties.Private["a"] != "1" || got.ExtendedProperties.Private["b"] != "3" {
		t.Fatalf("patched: %s", jsonText(got))
	}
	if u := w.Requests(Filter{Method: "calendar.events.patch"})[0].Units; u != 3 {
		t.Fatalf("patch cost %d units", u)
	}
}

func TestEventValidation(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	at := func(s string) *calendar.EventDateTime { return &calendar.EventDateTime{DateTime: s} }
	rows := map[string]struct {
		change func(*calendar.Event)
		want   string
	}{
		"id too short":             {func(e *calendar.Event) { e.Id = "ab" }, "400 invalid"},
		"id with a capital":        {func(e *calendar.Event) { e.Id = "Task0001" }, "400 invalid"},
		"id with w":                {func(e *calendar.Event) { e.Id = "tasw0001" }, "400 invalid"},
		"id too long":              {func(e *calendar.Event) { e.Id = strings.Repeat("a", 1025) }, "400 invalid"},
		"id and iCalUID":           {func(e *calendar.Event) { e.ICalUID = "x@y" }, "400 invalid"},
		"no start":                 {func(e *calendar.Event) { e.Start = nil }, "400 required"},
		"no end":                   {func(e *calendar.Event) { e.End = nil }, "400 required"},
		"end at start":             {func(e *calendar.Event) { e.End = e.Start }, "400 timeRangeEmpty"},
		"all-day and timed":        {func(e *calendar.Event) { e.End = &calendar.EventDateTime{Date: "2026-11-25"} }, "400 invalid"},
		"all-day ending at start":  {func(e *calendar.Event) { e.Start = &calendar.EventDateTime{Date: "2026-11-25"}; e.End = e.Start }, "400 timeRangeEmpty"},
		"no such date":             {func(e *calendar.Event) { e.Start = &calendar.EventDateTime{Date: "2026-02-30"}; e.End = e.Start }, "400 invalid"},
		"unknown zone":             {func(e *calendar.Event) { e.Start.TimeZone = "Europe/Nowhere" }, "400 invalid"},
		"no offset and no zone":    {func(e *calendar.Event) { e.Start = at("2026-11-23T10:00:00") }, "400 required"},
		"colour 12":                {func(e *calendar.Event) { e.ColorId = "12" }, "400 invalid"},
		"colour 0":                 {func(e *calendar.Event) { e.ColorId = "0" }, "400 invalid"},
		"unknown status":           {func(e *calendar.Event) { e.Status = "done" }, "400 invalid"},
		"unknown visibility":       {func(e *calendar.Event) { e.Visibility = "hidden" }, "400 invalid"},
		"title too long":           {func(e *calendar.Event) { e.Summary = strings.Repeat("x", 1025) }, "400 invalid"},
		"description too long":     {func(e *calendar.Event) { e.Description = strings.Repeat("x", 8193) }, "400 invalid"},
		"source not http":          {func(e *calendar.Event) { e.Source = &calendar.EventSource{Url: "ftp://x/"} }, "400 invalid"},
		"attendee without address": {func(e *calendar.Event) { e.Attendees = []*calendar.EventAttendee{{Email: "nobody"}} }, "400 invalid"},
		"negative sequence":        {func(e *calendar.Event) { e.Sequence = -1 }, "400 invalid"},
		"reminder default and other": {func(e *calendar.Event) {
			e.Reminders = &calendar.EventReminders{UseDefault: true, Overrides: []*calendar.EventReminder{{Method: "popup", Minutes: 5}}}
		}, "400 cannotUseDefaultRemindersAndSpecifyOverride"},
		"recurrence": {func(e *calendar.Event) { e.Recurrence = []string{"RRULE:FREQ=DAILY"} }, "501 notImplemented"},
		"good, all-day": {func(e *calendar.Event) {
			e.Start = &calendar.EventDateTime{Date: "2026-11-25"}
			e.End = &calendar.EventDateTime{Date: "2026-11-26"}
		}, ""},
		"good, colour 11": {func(e *calendar.Event) { e.Id = "task0002"; e.ColorId = "11" }, ""},
	}
	for name, row := range rows {
		in := sample("task0001", 0)
		row.change(in)
		_, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
		if got := reason(err); got != row.want {
			t.Errorf("%s: %q, want %q (%v)", name, got, row.want, err)
		}
	}
}

func TestLocalTimeWithZone(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.Start = &calendar.EventDateTime{DateTime: "2026-11-23T10:00:00", TimeZone: "America/New_York"}
	in.End = &calendar.EventDateTime{DateTime: "2026-11-23T11:00:00", TimeZone: "America/New_York"}
	ev, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	if ev.Start.DateTime != "2026-11-23T17:00:00+02:00" || ev.Start.TimeZone != "America/New_York" {
		t.Fatalf("start %s", jsonText(ev.Start))
	}
	ev, err = svc.Events.Get(cal, ev.Id).TimeZone("UTC").Do()
	w.ok(err)
	if ev.Start.DateTime != "2026-11-23T15:00:00Z" {
		t.Fatalf("start in UTC %s", jsonText(ev.Start))
	}
}

func TestNormalisation(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.ZoneAliases = map[string]string{"Europe/Kyiv": "Europe/Kiev"} })
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.Summary, in.Description = "Repair \t\n", "<b>Call</b>\r\nfirst\x07  "
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{
		strings.Repeat("k", 44): "kept", strings.Repeat("k", 45): "dropped", "long": strings.Repeat("é", 1025)}}
	ev, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	if ev.Summary != "Repair" || ev.Description != "<b>Call</b>\nfirst" || ev.Start.TimeZone != "Europe/Kiev" {
		t.Fatalf("normalised to %s", jsonText(ev))
	}
	p := ev.ExtendedProperties.Private
	if len(p) != 2 || p[strings.Repeat("k", 44)] != "kept" || p["long"] != strings.Repeat("é", 1024) {
		t.Fatalf("properties became %v", p)
	}
	many := map[string]string{}
	for i := range 301 {
		many[jsonText(i)] = "x"
	}
	in = sample("task0002", 0)
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: many}
	_, err = svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.want(err, "400 invalid")
}

func TestListFiltersAndPaging(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	for i, id := range []string{"aaaaa0", "aaaaa1", "aaaaa2", "aaaaa3", "aaaaa4"} {
		in := sample(id, i)
		in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{"tenant": "t", "n": jsonText(i)}}
		_, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
		w.ok(err)
	}
	w.ok(svc.Events.Delete(cal, "aaaaa4").SendUpdates("none").Do())
	list := func(c *calendar.EventsListCall) string {
		t.Helper()
		got, err := c.Do()
		if err != nil {
			return reason(err)
		}
		return strings.Join(ids(got.Items), " ")
	}
	at := func(h int) string { return time.Date(2026, 11, 23, h, 0, 0, 0, time.UTC).Format(time.RFC3339) }
	rows := []struct{ name, got, want string }{
		{"all live", list(svc.Events.List(cal)), "aaaaa0 aaaaa1 aaaaa2 aaaaa3"},
		{"with deleted", list(svc.Events.List(cal).ShowDeleted(true)), "aaaaa0 aaaaa1 aaaaa2 aaaaa3 aaaaa4"},
		{"one property", list(svc.Events.List(cal).PrivateExtendedProperty("n=2")), "aaaaa2"},
		{"property of deleted", list(svc.Events.List(cal).PrivateExtendedProperty("n=4").ShowDeleted(true)), "aaaaa4"},
		{"timeMin bounds the end, exclusive", list(svc.Events.List(cal).TimeMin(at(11))), "aaaaa1 aaaaa2 aaaaa3"},
		{"timeMax bounds the start, exclusive", list(svc.Events.List(cal).TimeMax(at(11))), "aaaaa0"},
		{"empty range", list(svc.Events.List(cal).TimeMin(at(11)).TimeMax(at(11))), "400 timeRangeEmpty"},
		{"time without offset", list(svc.Events.List(cal).TimeMin("2026-11-23T10:00:00")), "400 badRequest"},
		{"order by start needs singleEvents", list(svc.Events.List(cal).OrderBy("startTime")), "400 badRequest"},
		{"search", list(svc.Events.List(cal).Q("repair main").ICalUID("aaaaa1@google.com")), "aaaaa1"},
	}
	for _, r := range rows {
		if r.got != r.want {
			t.Errorf("%s: %q, want %q", r.name, r.got, r.want)
		}
	}
	var seen []string
	pages := 0
	err := svc.Events.List(cal).MaxResults(3).Pages(t.Context(), func(p *calendar.Events) error {
		pages++
		if (p.NextPageToken == "") != (p.NextSyncToken != "") {
			t.Errorf("page %d: the sync token belongs on the last page only", pages)
		}
		seen = append(seen, ids(p.Items)...)
		if pages == 1 { // an event that comes between the pages is found on the next
			if _, err := svc.Events.Insert(cal, sample("bbbbb0", 1)).SendUpdates("none").Do(); err != nil {
				return err
			}
		}
		return nil
	})
	w.ok(err)
	if pages != 2 || !slices.Equal(seen, []string{"aaaaa0", "aaaaa1", "aaaaa2", "aaaaa3", "bbbbb0"}) {
		t.Fatalf("%d pages: %v", pages, seen)
	}
	first, err := svc.Events.List(cal).MaxResults(1).Do()
	w.ok(err)
	_, err = svc.Events.List(cal).MaxResults(1).ShowDeleted(true).PageToken(first.NextPageToken).Do()
	w.want(err, "400 invalid")
}

func TestSyncToken(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	for i, id := range []string{"aaaaa0", "aaaaa1", "aaaaa2"} {
		_, err := svc.Events.Insert(cal, sample(id, i)).SendUpdates("none").Do()
		w.ok(err)
	}
	full, err := svc.Events.List(cal).Do()
	w.ok(err)
	w.ok(svc.Events.Delete(cal, "aaaaa1").SendUpdates("none").Do())
	_, err = svc.Events.Update(cal, "aaaaa2", sample("", 5)).SendUpdates("none").Do()
	w.ok(err)
	diff, err := svc.Events.List(cal).SyncToken(full.NextSyncToken).Do()
	w.ok(err)
	if got := ids(diff.Items); !slices.Equal(got, []string{"aaaaa1", "aaaaa2"}) {
		t.Fatalf("changed: %v", got)
	}
	for _, e := range diff.Items {
		if e.Id == "aaaaa1" && (e.Status != "cancelled" || e.Summary != "") {
			t.Fatalf("an incremental sync tells a deletion without details: %s", jsonText(e))
		}
	}
	if d, err := svc.Events.List(cal).SyncToken(diff.NextSyncToken).Do(); err != nil || len(d.Items) != 0 {
		t.Fatalf("nothing changed since: %v %v", d, err)
	}
	for name, c := range map[string]*calendar.EventsListCall{
		"property":    svc.Events.List(cal).PrivateExtendedProperty("a=b"),
		"timeMin":     svc.Events.List(cal).TimeMin("2026-11-23T10:00:00Z"),
		"q":           svc.Events.List(cal).Q("x"),
		"orderBy":     svc.Events.List(cal).OrderBy("updated"),
		"showDeleted": svc.Events.List(cal).ShowDeleted(false),
	} {
		if _, err := c.SyncToken(full.NextSyncToken).Do(); reason(err) != "400 badRequest" {
			t.Errorf("%s with a sync token: %v", name, err)
		}
	}
	w.clock.advance(29 * 24 * time.Hour)
	_, err = svc.Events.List(cal).SyncToken(diff.NextSyncToken).Do()
	w.want(err, "410 fullSyncRequired")
	fresh, err := svc.Events.List(cal).Do()
	w.ok(err)
	w.ExpireSyncTokens()
	_, err = svc.Events.List(cal).SyncToken(fresh.NextSyncToken).Do()
	w.want(err, "410 fullSyncRequired")
}

// A change of what an earlier page already showed must come with the sync token
// of the last page.
func TestSyncTokenCoversChangesWhilePaging(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	for i, id := range []string{"aaaaa0", "aaaaa1"} {
		_, err := svc.Events.Insert(cal, sample(id, i)).SendUpdates("none").Do()
		w.ok(err)
	}
	first, err := svc.Events.List(cal).MaxResults(1).Do()
	w.ok(err)
	_, err = svc.Events.Update(cal, "aaaaa0", sample("", 4)).SendUpdates("none").Do()
	w.ok(err)
	last, err := svc.Events.List(cal).MaxResults(1).PageToken(first.NextPageToken).Do()
	w.ok(err)
	diff, err := svc.Events.List(cal).SyncToken(last.NextSyncToken).Do()
	w.ok(err)
	if got := ids(diff.Items); !slices.Contains(got, "aaaaa0") {
		t.Fatalf("the change between the pages is lost: %v", got)
	}
}

func TestWhatReadersSee(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	open := sample("public0", 0)
	open.Source = &calendar.EventSource{Url: "https://erp.example/task/1", Title: "t"}
	open.Reminders = &calendar.EventReminders{Overrides: []*calendar.EventReminder{{Method: "popup", Minutes: 7}}, ForceSendFields: []string{"UseDefault"}}
	closed := sample("private0", 1)
	closed.Visibility = "private"
	for _, e := range []*calendar.Event{open, closed} {
		_, err := svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.ok(err)
	}
	theirs := w.api(reader, "calendar.readonly")
	_, err := theirs.Events.List(cal).Do()
	w.want(err, "404 notFound")
	_, err = svc.Acl.Insert(cal, &calendar.AclRule{Role: "reader", Scope: &calendar.AclRuleScope{Type: "user", Value: reader}}).Do()
	w.ok(err)
	got, err := theirs.Events.List(cal).Do()
	w.ok(err)
	if len(got.Items) != 2 || got.AccessRole != "reader" {
		t.Fatalf("the reader sees %s", jsonText(got))
	}
	a, b := got.Items[0], got.Items[1]
	if a.Summary != "Repair" || a.Source != nil || len(a.Reminders.Overrides) != 0 {
		t.Errorf("a reader sees neither source nor reminders: %s", jsonText(a))
	}
	if b.Summary != "" || b.Location != "" || b.Start == nil || b.Visibility != "private" {
		t.Errorf("a reader sees no details of a private event: %s", jsonText(b))
	}
	_, err = w.api(reader, "calendar").Events.Insert(cal, sample("nope00", 0)).SendUpdates("none").Do()
	w.want(err, "403 requiredAccessLevel")
	w.ok(svc.Acl.Delete(cal, "user:"+reader).Do())
	_, err = theirs.Events.List(cal).Do()
	w.want(err, "404 notFound")
}

func TestMailsOfEvents(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	guest := sample("guest000", 0)
	guest.Attendees = []*calendar.EventAttendee{{Email: reader}}
	rows := []struct {
		name string
		do   func() error
		want []string
	}{
		{"insert without sendUpdates", func() error { _, err := svc.Events.Insert(cal, guest).Do(); return err }, []string{"invitation " + reader}},
		{"update, all", func() error {
			_, err := svc.Events.Update(cal, guest.Id, guest).SendUpdates("all").Do()
			return err
		}, []string{"update " + reader}},
		{"update, none", func() error {
			_, err := svc.Events.Update(cal, guest.Id, guest).SendUpdates("none").Do()
			return err
		}, nil},
		{"delete without sendUpdates", func() error { return svc.Events.Delete(cal, guest.Id).Do() }, []string{"cancellation " + reader}},
		{"no attendees, no sendUpdates", func() error { _, err := svc.Events.Insert(cal, sample("alone0", 0)).Do(); return err }, []string{"unaddressed "}},
		{"refused write", func() error { _, _ = svc.Events.Insert(cal, sample("alone0", 0)).Do(); return nil }, nil},
	}
	for _, r := range rows {
		w.ResetMails()
		w.ok(r.do())
		var got []string
		for _, m := range w.Mails() {
			got = append(got, m.Kind+" "+m.To)
		}
		if !slices.Equal(got, r.want) {
			t.Errorf("%s: mails %v, want %v", r.name, got, r.want)
		}
	}
}

func TestImportAndMove(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner, "calendar")
	a, b := w.newCal(svc), w.newCal(svc)
	in := sample("", 0)
	in.ICalUID = "abc@example"
	ev, err := svc.Events.Import(a, in).Do()
	w.ok(err)
	in.Summary = "Changed"
	again, err := svc.Events.Import(a, in).Do()
	w.ok(err)
	if again.Id != ev.Id || again.Summary != "Changed" {
		t.Fatalf("importing again must update: %s", jsonText(again))
	}
	moved, err := svc.Events.Move(a, ev.Id, b).SendUpdates("none").Do()
	w.ok(err)
	if moved.Organizer.Email != b || len(w.Events(b)) != 1 || w.Events(a)[0].Status != "cancelled" {
		t.Fatalf("moved: %s", jsonText(moved))
	}
	_, err = w.api(owner).Events.Move(b, ev.Id, a).Do()
	w.want(err, "403 insufficientPermissions")
}

func TestPartialResponse(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Events.Insert(cal, sample("task0001", 0)).SendUpdates("none").Do()
	w.ok(err)
	got, err := svc.Events.List(cal).Fields("nextPageToken,items(id,start/dateTime)").Do()
	w.ok(err)
	if e := got.Items[0]; e.Id != "task0001" || e.Start.DateTime == "" || e.Start.TimeZone != "" || e.Summary != "" || got.NextSyncToken != "" {
		t.Fatalf("masked: %s", jsonText(got))
	}
	_, err = svc.Events.List(cal).Fields("items(id,topic)").Do()
	w.want(err, "400 invalidParameter")
}

func TestSnapshotsAreCopies(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{"a": "1"}}
	_, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	before, err := json.Marshal(w.Events(cal))
	w.ok(err)
	w.Events(cal)[0].ExtendedProperties.Private["a"] = "2"
	w.Events(cal)[0].Summary = "spoilt"
	if after := jsonText(w.Events(cal)); after != string(before) {
		t.Fatalf("a snapshot reached into the server: %s", after)
	}
}
