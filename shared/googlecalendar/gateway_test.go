package googlecalendar_test

import (
	"context"
	"fmt"
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

// shared/googlecalendar/README.md: the least that does the whole job, and nothing wider
// (rule 10.7).
func TestScopesAreTheLeast(t *testing.T) {
	const prefix = "https://www.googleapis.com/auth/"
	want := []string{prefix + "calendar.app.created", prefix + "calendar.acls", prefix + "calendar.calendarlist.readonly"}
	if got := googlecalendar.Scopes(); !slices.Equal(got, want) {
		t.Fatalf("scopes %v, want %v", got, want)
	}
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		w.insert(c.ID, draft())
		w.ok(w.SetShare(c.ID, "mark-1@people.example", "writer"))
		list := methods()
		// What the rest needs is there; the insert is made under another id.
		list[0].do = nil
		d := draft()
		d.Mark.Task = 18
		d.ID = calendarsync.EventID(tenant, 18, 42, 0)
		if _, err := w.gateway.InsertEvent(t.Context(), c.ID, d); err != nil {
			t.Errorf("InsertEvent: %v", err)
		}
		// In an order in which each finds what it needs: deletions last.
		slices.SortStableFunc(list, func(a, b method) int {
			last := func(m method) int {
				return slices.Index([]string{"DeleteEvent", "Unshare", "DeleteCalendar"}, m.name)
			}
			return last(a) - last(b)
		})
		for _, m := range list {
			if m.do == nil {
				continue
			}
			if err := m.do(t.Context(), w.gateway, c); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	})
	for i, missing := range want {
		t.Run("without "+strings.TrimPrefix(missing, prefix), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				g := w.gatewayWith(slices.Delete(slices.Clone(want), i, i+1)...)
				refused := 0
				for _, m := range methods() {
					if err := m.do(t.Context(), g, c); failure.Is(err, failure.Forbidden) {
						refused++
					}
				}
				if refused == 0 {
					t.Error("no method needs it")
				}
			})
		})
	}
}

func TestListsReadAllPages(t *testing.T) {
	for name, short := range map[string]int{"one item a page": 1, "two items a page": 2} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ctx, g := t.Context(), w.gateway
				c := w.newCalendar()
				var events, addresses, calendars []string
				for i := range 5 {
					d := draft()
					d.Mark.Task = calendarsync.TaskID(100 + i)
					d.ID = calendarsync.EventID(tenant, d.Mark.Task, 42, 0)
					w.insert(c.ID, d)
					events = append(events, d.ID)
					address := fmt.Sprintf("person%d@firm.example", i)
					_, err := g.Share(ctx, c.ID, address)
					w.ok(err)
					addresses = append(addresses, address)
					more, err := g.CreateCalendar(ctx, "More", zoneName, mark())
					w.ok(err)
					calendars = append(calendars, more.ID)
				}
				w.Inject(google.Fault{Match: isList, ShortPage: -1, Nth: 2}) // Google allows itself an empty page, too
				w.Inject(google.Fault{Match: isList, ShortPage: short, Count: -1})

				var got []string
				_, list, err := g.Events(ctx, c.ID)
				w.ok(err)
				for _, e := range list {
					got = append(got, e.ID)
				}
				wantSame(t, "events", got, events)

				got = nil
				rules, err := g.Rules(ctx, c.ID)
				w.ok(err)
				for _, r := range rules {
					got = append(got, r.Address)
				}
				wantSame(t, "rules", got, append(addresses, owner))

				got = nil
				all, err := g.Calendars(ctx)
				w.ok(err)
				for _, c := range all {
					got = append(got, c.ID)
				}
				wantSame(t, "calendars", got, append(calendars, c.ID, owner))
			})
		})
	}
}

func isList(r google.Request) bool { return strings.HasSuffix(r.Method, ".list") }

func wantSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAPageThatFailsGivesNoHalfList(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCalendar()
		for i := range 3 {
			d := draft()
			d.Mark.Generation = i
			d.ID = calendarsync.EventID(tenant, 17, 42, i)
			w.insert(c.ID, d)
			_, err := w.gateway.Share(t.Context(), c.ID, fmt.Sprintf("person%d@firm.example", i))
			w.ok(err)
		}
		w.Inject(google.Fault{Match: isList, Nth: 1, ShortPage: 1})
		w.Inject(google.Fault{Match: isList, Status: 403, Count: -1})
		if _, list, err := w.gateway.Events(t.Context(), c.ID); !failure.Is(err, failure.Forbidden) || list != nil {
			t.Errorf("events %+v, %v; want none and the failure of the second page", list, err)
		}
		w.ClearFaults()
		w.Inject(google.Fault{Match: isList, Nth: 1, ShortPage: 1})
		w.Inject(google.Fault{Match: isList, Status: 403, Count: -1})
		if list, err := w.gateway.Rules(t.Context(), c.ID); !failure.Is(err, failure.Forbidden) || list != nil {
			t.Errorf("rules %+v, %v; want none and the failure of the second page", list, err)
		}
	})
}

// rule 3.6: what must be found again to be adopted.
func TestCalendarsFindsHiddenOnesAndOnlyOwn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hidden, shown := w.newCalendar(), w.newCalendar()
		svc := w.byHand()
		_, err := svc.CalendarList.Update(hidden.ID, &calendar.CalendarListEntry{Hidden: true}).Do()
		w.ok(err)
		foreign, err := w.CreateCalendar(employee, "Private", zoneName)
		w.ok(err)
		w.ok(w.SetShare(foreign, owner, "writer"))
		w.ok(w.AcceptShare(foreign, owner))
		gone := w.newCalendar()
		w.ok(w.gateway.DeleteCalendar(t.Context(), gone.ID))

		list, err := w.gateway.Calendars(t.Context())
		w.ok(err)
		var got []string
		for _, c := range list {
			got = append(got, c.ID)
			if c.ID != owner && (!c.Marked || c.Mark != mark() || c.Name != "Olena" || c.TimeZone != zoneName) {
				t.Errorf("listed as %+v, want its mark, name and zone", c)
			}
			if c.ID == owner && c.Marked {
				t.Error("the account's own calendar counts as marked")
			}
		}
		wantSame(t, "calendars", got, []string{hidden.ID, shown.ID, owner})
	})
}

func TestCalendarsMarkRoundTrip(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		made := w.newCalendar()
		read, err := w.gateway.Calendar(t.Context(), made.ID)
		w.ok(err)
		for _, c := range []googlecalendar.Calendar{made, read} {
			if c.ID == "" || c.Name != "Olena" || c.TimeZone != zoneName || !c.Marked || c.Mark != mark() || c.ETag == "" {
				t.Errorf("calendar %+v", c)
			}
		}
		if _, err := w.gateway.Calendar(t.Context(), "c_none@group.calendar.google.com"); !failure.Is(err, failure.Gone) {
			t.Errorf("a calendar that is not there: %v, want kind gone", err)
		}
	})
}

// A mark whose time had fractions of a second never equalled the one written, and
// each update added one more line, until Google took no more.
func TestUpdatingACalendarKeepsOneMark(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, g := t.Context(), w.gateway
		c := w.newCalendar()
		own := "Ours: do not touch!\n" + mark().Line() + "\nAsk Petro."
		w.ok(w.EditCalendar(c.ID, func(c *calendar.Calendar) { c.Description = own }))
		wanted := mark()
		wanted.From = wanted.From.Add(123456 * time.Microsecond)
		for range 3 {
			read, err := g.Calendar(ctx, c.ID)
			w.ok(err)
			w.ok(g.UpdateCalendar(ctx, read, "Olha", "Europe/Warsaw", wanted))
		}
		read, err := g.Calendar(ctx, c.ID)
		w.ok(err)
		if read.Name != "Olha" || read.TimeZone != "Europe/Warsaw" || read.Description != own {
			t.Errorf("updated to %+v, want the new name and zone, and the description as it was", read)
		}

		other := mark()
		other.Epoch = "epoch-2"
		w.ok(g.UpdateCalendar(ctx, read, "Olha", zoneName, other))
		read, err = g.Calendar(ctx, c.ID)
		w.ok(err)
		if want := "Ours: do not touch!\nAsk Petro.\n" + other.Line(); read.Description != want || read.Mark != other {
			t.Errorf("description %q, want %q", read.Description, want)
		}
		w.ok(w.EditCalendar(c.ID, func(c *calendar.Calendar) { c.Description = "wiped" }))
		read, err = g.Calendar(ctx, c.ID)
		w.ok(err)
		w.ok(g.UpdateCalendar(ctx, read, "Olha", zoneName, other))
		if read, err = g.Calendar(ctx, c.ID); err != nil || read.Description != "wiped\n"+other.Line() {
			t.Errorf("description %q, %v; want a lost mark written again", read.Description, err)
		}
	})
}

func TestSharing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, g, c := t.Context(), w.gateway, w.newCalendar()
		rule, err := g.Share(ctx, c.ID, employee)
		if err != nil || rule.ID != "user:"+employee || rule.Role != "reader" || rule.Type != "user" || rule.Address != employee {
			t.Fatalf("shared as %+v, %v", rule, err)
		}
		if mails := w.Mails(); len(mails) != 1 || mails[0].To != employee || mails[0].Role != "reader" {
			t.Errorf("mails %+v, want one invitation to read", mails)
		}
		w.ok(w.SetShare(c.ID, employee, "owner"))
		rules, err := g.Rules(ctx, c.ID)
		w.ok(err)
		i := slices.IndexFunc(rules, func(r googlecalendar.Rule) bool { return r.Address == employee })
		if len(rules) != 2 || i < 0 || rules[i].Role != "owner" {
			t.Fatalf("rules %+v, want the widened one", rules)
		}
		w.ok(g.ForceReader(ctx, c.ID, rules[i]))
		if role := w.role(c.ID, employee); role != "reader" {
			t.Errorf("role %s, want reader", role)
		}
		w.ok(g.Unshare(ctx, c.ID, rule.ID))
		if err := g.Unshare(ctx, c.ID, rule.ID); !failure.Is(err, failure.Gone) {
			t.Errorf("removed twice: %v, want gone", err)
		}
		if role := w.role(c.ID, employee); role != "none" {
			t.Errorf("role %s, want none", role)
		}
		if rules, err := g.Rules(ctx, c.ID); err != nil || len(rules) != 1 || rules[0].Address != owner {
			t.Errorf("rules %+v, %v; want the removed one left out", rules, err)
		}
		if mails := w.Mails(); len(mails) != 1 {
			t.Errorf("mails %+v, want no more than the invitation", mails)
		}
		w.ok(g.DeleteCalendar(ctx, c.ID))
		if err := g.DeleteCalendar(ctx, c.ID); !failure.Is(err, failure.Gone) {
			t.Errorf("deleted twice: %v, want gone", err)
		}
	})
}

func (w *world) role(calendarID, address string) string {
	for _, c := range w.Server.Calendars() {
		if c.ID == calendarID {
			return c.Role(address)
		}
	}
	return ""
}

func TestRefusedShares(t *testing.T) {
	for name, row := range map[string]struct {
		address string
		kind    failure.Kind
	}{
		"the account's own address": {owner, failure.Forbidden},
		"no address":                {"Olena", failure.Invalid},
		"against the policy":        {"olena@gmail.example", failure.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.newCalendar()
				_, err := w.gateway.Share(t.Context(), c.ID, row.address)
				if !failure.Is(err, row.kind) || strings.Contains(err.Error(), row.address) {
					t.Errorf("error %v, want kind %s without the address", err, row.kind)
				}
			}, func(o *google.Options) {
				o.ShareAllowed = func(address string) bool { return strings.HasSuffix(address, "@firm.example") }
			})
		})
	}
}

// TestACalendarSaysWhatItIs: above the mark stand words for its reader, which no later update takes
// away, and which a calendar gets that was made before there were any.
func TestACalendarSaysWhatItIs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.newCalendar()
		const words = "Your tasks from the ERP.\nHow to see it on your phone: https://console.example/guide/en"
		g := w.gateway.Describing(func(context.Context) string { return words })
		made, err := g.CreateCalendar(t.Context(), "Ivan", zoneName, mark())
		w.ok(err)
		if made.Description != words+"\n\n"+mark().Line() || made.Mark != mark() {
			t.Errorf("made with %q", made.Description)
		}
		for _, c := range []googlecalendar.Calendar{made, old} {
			w.ok(g.UpdateCalendar(t.Context(), c, "Petro", zoneName, mark()))
			read, err := g.Calendar(t.Context(), c.ID)
			w.ok(err)
			if read.Description != words+"\n\n"+mark().Line() || read.Mark != mark() {
				t.Errorf("after an update: %q", read.Description)
			}
		}
	})
}
