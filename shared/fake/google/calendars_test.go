package google

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/calendar/v3"
)

func user(address, role string) *calendar.AclRule {
	return &calendar.AclRule{Role: role, Scope: &calendar.AclRuleScope{Type: "user", Value: address}}
}

func TestCalendarLife(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal, err := svc.Calendars.Insert(&calendar.Calendar{Summary: "Olena ", Description: "line\n\n", TimeZone: "Europe/Kyiv"}).Do()
	w.ok(err)
	if !strings.HasSuffix(cal.Id, "@group.calendar.google.com") || cal.Summary != "Olena" || cal.Description != "line" || cal.DataOwner != owner {
		t.Fatalf("made %s", jsonText(cal))
	}
	_, err = svc.Calendars.Insert(&calendar.Calendar{}).Do()
	w.want(err, "400 required")
	_, err = svc.Calendars.Insert(&calendar.Calendar{Summary: "x", TimeZone: "Mars/Base"}).Do()
	w.want(err, "400 invalid")
	patched, err := svc.Calendars.Patch(cal.Id, &calendar.Calendar{Summary: "Olena K."}).Do()
	w.ok(err)
	if patched.Summary != "Olena K." || patched.Description != "line" || patched.TimeZone != "Europe/Kyiv" {
		t.Fatalf("patched %s", jsonText(patched))
	}
	put, err := svc.Calendars.Update(cal.Id, &calendar.Calendar{Summary: "O"}).Do()
	w.ok(err)
	if put.Description != "" || put.TimeZone != "Europe/Kyiv" {
		t.Fatalf("put %s", jsonText(put))
	}
	w.ok(svc.Calendars.Delete(cal.Id).Do())
	_, err = svc.Calendars.Get(cal.Id).Do()
	w.want(err, "404 notFound")
	w.want(svc.Calendars.Delete(cal.Id).Do(), "404 notFound")
	_, err = svc.Events.Insert(cal.Id, sample("task0001", 0)).SendUpdates("none").Do()
	w.want(err, "404 notFound")
	w.want(w.api(owner, "calendar").Calendars.Delete("primary").Do(), "403 forbidden")
}

func TestAppCreatedSeesOnlyItsOwnCalendars(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MoreClients = []Client{{ID: "client-2", Secret: "s2"}} })
	byHand, err := w.CreateCalendar(owner, "Private matters", "UTC")
	w.ok(err)
	svc := w.api(owner)
	mine := w.newCal(svc)
	_, err = svc.Calendars.Get(byHand).Do()
	w.want(err, "404 notFound")
	_, err = svc.Events.List("primary").Do()
	w.want(err, "404 notFound")
	// acl and calendarList have scopes of their own that see all.
	_, err = svc.Acl.List(byHand).Do()
	w.ok(err)
	list, err := svc.CalendarList.List().MinAccessRole("owner").ShowHidden(true).Do()
	w.ok(err)
	if len(list.Items) != 3 {
		t.Fatalf("calendar list has %d entries, want primary, by hand, mine", len(list.Items))
	}
	other := w.TokenFor("client-2", owner, "calendar.app.created")
	status, _, _ := w.raw(&http.Client{Transport: w.Transport()}, "GET", "/calendar/v3/calendars/"+mine, "", "Authorization", "Bearer "+other)
	if status != http.StatusNotFound {
		t.Fatalf("another client's app.created token got %d", status)
	}
}

func TestScopesPerMethod(t *testing.T) {
	w := newWorld(t)
	cal := w.newCal(w.api(owner))
	rows := []struct {
		scope string
		do    func(*calendar.Service) error
		want  string
	}{
		{"calendar.app.created", func(s *calendar.Service) error { _, err := s.CalendarList.List().Do(); return err }, "403 insufficientPermissions"},
		{"calendar.app.created", func(s *calendar.Service) error { _, err := s.Acl.List(cal).Do(); return err }, "403 insufficientPermissions"},
		{"calendar.acls", func(s *calendar.Service) error { _, err := s.Acl.List(cal).Do(); return err }, ""},
		{"calendar.acls", func(s *calendar.Service) error { _, err := s.Events.List(cal).Do(); return err }, "403 insufficientPermissions"},
		{"calendar.acls.readonly", func(s *calendar.Service) error { _, err := s.Acl.Insert(cal, user(reader, "reader")).Do(); return err }, "403 insufficientPermissions"},
		{"calendar.calendarlist.readonly", func(s *calendar.Service) error { _, err := s.CalendarList.List().Do(); return err }, ""},
		{"calendar.calendarlist.readonly", func(s *calendar.Service) error {
			_, err := s.Calendars.Insert(&calendar.Calendar{Summary: "x"}).Do()
			return err
		}, "403 insufficientPermissions"},
		{"calendar.events.readonly", func(s *calendar.Service) error { return s.Events.Delete(cal, "task0001").Do() }, "403 insufficientPermissions"},
		{"calendar.events.freebusy", func(s *calendar.Service) error { _, err := s.Events.List(cal).Do(); return err }, ""},
	}
	for _, r := range rows {
		if got := reason(r.do(w.api(owner, r.scope))); got != r.want {
			t.Errorf("%s: %q, want %q", r.scope, got, r.want)
		}
	}
	_, body, h := w.raw(w.Client(owner, "openid"), "GET", "/calendar/v3/calendars/"+cal, "")
	if !strings.Contains(jsonText(body), "ACCESS_TOKEN_SCOPE_INSUFFICIENT") || !strings.Contains(h.Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("Google's body and header are missing: %v %v", body, h)
	}
}

func TestAclRules(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	r, err := svc.Acl.Insert(cal, user("Olena@Firm.example", "reader")).Do()
	w.ok(err)
	if r.Id != "user:"+reader || r.Role != "reader" {
		t.Fatalf("rule %s", jsonText(r))
	}
	if m := w.Mails(); len(m) != 1 || m[0].Kind != "share" || m[0].To != reader || m[0].CalendarID != cal {
		t.Fatalf("sharing must send a mail: %v", m)
	}
	_, err = svc.Acl.Insert(cal, user(reader, "writer")).SendNotifications(false).Do()
	w.ok(err)
	if len(w.Mails()) != 1 {
		t.Fatal("sendNotifications=false sent a mail")
	}
	roles := func(c *calendar.AclListCall) string {
		t.Helper()
		l, err := c.Do()
		w.ok(err)
		var out []string
		for _, x := range l.Items {
			out = append(out, x.Id+"="+x.Role)
		}
		return strings.Join(out, " ")
	}
	if got := roles(svc.Acl.List(cal)); got != "user:"+owner+"=owner user:"+reader+"=writer" {
		t.Fatalf("inserting an address again must change its rule: %s", got)
	}
	_, err = svc.Acl.Patch(cal, r.Id, &calendar.AclRule{Role: "reader"}).SendNotifications(false).Do()
	w.ok(err)
	_, err = svc.Acl.Update(cal, r.Id, user(reader, "freeBusyReader")).SendNotifications(false).Do()
	w.ok(err)
	got, err := svc.Acl.Get(cal, r.Id).Do()
	w.ok(err)
	if got.Role != "freeBusyReader" {
		t.Fatalf("role %s", got.Role)
	}
	w.ok(svc.Acl.Delete(cal, r.Id).Do())
	w.want(svc.Acl.Delete(cal, r.Id).Do(), "404 notFound")
	if got := roles(svc.Acl.List(cal)); strings.Contains(got, reader) {
		t.Fatalf("a deleted rule is listed: %s", got)
	}
	if got := roles(svc.Acl.List(cal).ShowDeleted(true)); !strings.HasSuffix(got, reader+"=none") {
		t.Fatalf("showDeleted must show role none: %s", got)
	}
	for name, row := range map[string]struct {
		rule *calendar.AclRule
		want string
	}{
		"own address":  {user(owner, "reader"), "403 cannotChangeOwnAcl"},
		"no address":   {user("nobody", "reader"), "400 invalid"},
		"unknown role": {user(reader, "boss"), "400 invalid"},
		"no role":      {user(reader, ""), "400 required"},
		"no scope":     {&calendar.AclRule{Role: "reader"}, "400 required"},
	} {
		if _, err := svc.Acl.Insert(cal, row.rule).Do(); reason(err) != row.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSharingPolicyAndHiddenInvitation(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.ShareAllowed = func(a string) bool { return strings.HasSuffix(a, "@firm.example") }
		o.InviteHidden = func(a string) bool { return a == reader }
	})
	svc := w.api(owner)
	cal := w.newCal(svc)
	_, err := svc.Acl.Insert(cal, user("x@elsewhere.example", "reader")).Do()
	w.want(err, "403 forbidden")
	_, err = svc.Acl.Insert(cal, user(reader, "reader")).Do()
	w.ok(err)
	count := func() int {
		l, err := svc.Acl.List(cal).Do()
		w.ok(err)
		return len(l.Items)
	}
	if n := count(); n != 1 {
		t.Fatalf("%d rules before acceptance, want the owner's only", n)
	}
	w.ok(w.AcceptShare(cal, reader))
	if n := count(); n != 2 {
		t.Fatalf("%d rules after acceptance", n)
	}
	if _, err := w.api(reader, "calendar.readonly").CalendarList.Get(cal).Do(); err != nil {
		t.Fatalf("an accepted calendar is in the reader's list: %v", err)
	}
}

func TestCalendarListEntries(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.CalendarListDelay = time.Minute })
	svc := w.api(owner, "calendar")
	cal := w.newCal(svc)
	names := func(c *calendar.CalendarListListCall) []string {
		l, err := c.Do()
		w.ok(err)
		var out []string
		for _, e := range l.Items {
			out = append(out, e.Id)
		}
		slices.Sort(out)
		return out
	}
	if got := names(svc.CalendarList.List()); slices.Contains(got, cal) {
		t.Fatal("a new calendar shows before CalendarListDelay")
	}
	w.clock.advance(time.Minute)
	if got := names(svc.CalendarList.List()); !slices.Contains(got, cal) {
		t.Fatalf("list is %v", got)
	}
	e, err := svc.CalendarList.Patch(cal, &calendar.CalendarListEntry{Hidden: true, SummaryOverride: "Mine"}).Do()
	w.ok(err)
	if !e.Hidden || e.SummaryOverride != "Mine" || e.AccessRole != "owner" {
		t.Fatalf("entry %s", jsonText(e))
	}
	if slices.Contains(names(svc.CalendarList.List()), cal) || !slices.Contains(names(svc.CalendarList.List().ShowHidden(true)), cal) {
		t.Fatal("hidden entries show with showHidden only")
	}
	theirs := w.api(reader, "calendar")
	_, err = theirs.CalendarList.Insert(&calendar.CalendarListEntry{Id: cal}).Do()
	w.want(err, "404 notFound")
	w.ok(w.SetShare(cal, reader, "reader"))
	_, err = theirs.CalendarList.Insert(&calendar.CalendarListEntry{Id: cal}).Do()
	w.ok(err)
	w.clock.advance(time.Minute)
	if got := names(theirs.CalendarList.List()); !slices.Equal(got, []string{cal, reader}) {
		t.Fatalf("reader's list %v", got)
	}
	if got := names(theirs.CalendarList.List().MinAccessRole("owner")); !slices.Equal(got, []string{reader}) {
		t.Fatalf("reader's own %v", got)
	}
	w.ok(theirs.CalendarList.Delete(cal).Do())
	w.want(svc.CalendarList.Delete(cal).Do(), "403 cannotUnsubscribe")
	w.ok(w.DeleteCalendar(cal))
	if slices.Contains(names(svc.CalendarList.List().ShowHidden(true)), cal) {
		t.Fatal("a deleted calendar is listed")
	}
}

func TestCalendarListPages(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	want := []string{owner}
	for range 5 {
		want = append(want, w.newCal(svc))
	}
	var got []string
	err := svc.CalendarList.List().MaxResults(2).Pages(t.Context(), func(l *calendar.CalendarList) error {
		for _, e := range l.Items {
			got = append(got, e.Id)
		}
		return nil
	})
	w.ok(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("pages gave %v, want %v", got, want)
	}
}

func TestWriterWithoutPrivateAccess(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	closed := sample("private0", 0)
	closed.Visibility = "private"
	for _, e := range []*calendar.Event{sample("open0000", 0), closed} {
		_, err := svc.Events.Insert(cal, e).SendUpdates("none").Do()
		w.ok(err)
	}
	w.ok(w.SetShare(cal, reader, "writerWithoutPrivateAccess"))
	theirs := w.api(reader, "calendar")
	w.want(theirs.Events.Delete(cal, "private0").SendUpdates("none").Do(), "403 requiredAccessLevel")
	w.ok(theirs.Events.Delete(cal, "open0000").SendUpdates("none").Do())
}

func TestColors(t *testing.T) {
	w := newWorld(t)
	c, err := w.api(owner).Colors.Get().Do()
	w.ok(err)
	if len(c.Event) != 11 || len(c.Calendar) != 24 {
		t.Fatalf("%d event colours, %d calendar colours", len(c.Event), len(c.Calendar))
	}
}

func TestOwnerActions(t *testing.T) {
	w := newWorld(t)
	svc := w.api(owner)
	cal := w.newCal(svc)
	in := sample("task0001", 0)
	in.ExtendedProperties = &calendar.EventExtendedProperties{Private: map[string]string{"mark": "1"}}
	first, err := svc.Events.Insert(cal, in).SendUpdates("none").Do()
	w.ok(err)
	w.ok(w.EditEvent(cal, "task0001", func(e *calendar.Event) { e.Summary = "By hand" }))
	w.ok(w.MoveEvent(cal, "task0001", time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)))
	ev := w.Events(cal)[0]
	if ev.Summary != "By hand" || ev.Start.DateTime != "2026-11-24T10:00:00+02:00" || ev.End.DateTime != "2026-11-24T11:00:00+02:00" || ev.Etag == first.Etag || ev.Sequence != 1 || ev.ICalUID != first.ICalUID {
		t.Fatalf("after editing and moving: %s", jsonText(ev))
	}
	copied, err := w.CopyEvent(cal, "task0001", cal)
	w.ok(err)
	got, err := svc.Events.Get(cal, copied).Do()
	w.ok(err)
	if got.ExtendedProperties.Private["mark"] != "1" || got.ICalUID == first.ICalUID {
		t.Fatalf("copy: %s", jsonText(got))
	}
	own, err := w.CreateEvent(cal, &calendar.Event{Summary: "Lunch", Start: &calendar.EventDateTime{Date: "2026-11-24"}, End: &calendar.EventDateTime{Date: "2026-11-26"}})
	w.ok(err)
	w.ok(w.MoveEvent(cal, own, time.Date(2027, 3, 27, 9, 0, 0, 0, time.UTC))) // over the change to summer time
	got, err = svc.Events.Get(cal, own).Do()
	w.ok(err)
	if got.Start.Date != "2027-03-27" || got.End.Date != "2027-03-29" {
		t.Fatalf("all-day moved: %s", jsonText(got))
	}
	w.ok(w.DeleteEvent(cal, own))
	w.ok(w.RestoreEvent(cal, own))
	other := w.newCal(svc)
	w.ok(w.MoveEventTo(cal, own, other))
	if got := w.Events(other); len(got) != 1 || got[0].Id != own {
		t.Fatalf("other calendar: %s", jsonText(got))
	}
	w.ok(w.EditCalendar(cal, func(c *calendar.Calendar) { c.Description = "wiped" }))
	w.ok(w.SetShare(cal, reader, "owner"))
	for _, c := range w.Calendars() {
		if c.ID == cal && (c.Description != "wiped" || c.Role(reader) != "owner" || c.Role("x@y") != "none" || c.ClientID != clientID || c.Live != 2) {
			t.Fatalf("snapshot %s", jsonText(c))
		}
	}
	w.ok(w.RemoveShare(cal, reader))
	if err := w.RemoveShare(cal, reader); err == nil {
		t.Fatal("removing a removed share must fail")
	}
	if n := len(w.Requests(Filter{Since: w.clock.now()})); n != 5 {
		t.Fatalf("the owner's actions are no requests: %d in the log, want the 5 by API", n)
	}
}
