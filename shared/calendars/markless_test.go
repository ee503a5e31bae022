package calendars_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/calendar/v3"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// Rule 3.14: while Google gives no descriptions back, an empty database meets its calendars
// without their marks. What this OAuth client made is asked about, and nothing is begun beside
// it; once the marks are back, they are taken over as they are.
func TestCalendarsWithoutTheirMarksAreAskedAbout(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]func(b *bench){
		"": func(*bench) {},
		"in a spell of 404 after the first look": func(b *bench) {
			spell := fakegoogle.NotFoundSpell(fakegoogle.BodyDefault, "calendar.calendars.get")
			spell.For = 2 * time.Hour
			b.google.Begin(spell)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena", "Petro")
			i.task(b.addTask(b.hour(9), ids...))
			unchanged, before := b.lives(ids), b.world()
			untouched := func(doing string) {
				t.Helper()
				if diff := cmp.Diff(before, b.world()); diff != "" {
					t.Errorf("%s: %s", doing, diff)
				}
			}
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
			b.freshStore()
			b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.get", Status: http.StatusForbidden, Reason: "forbidden", Count: 1})
			b.start(0).fullRun()
			if f := b.found(); len(f.Calendars) != 0 || len(f.Blank) != 2 {
				t.Fatalf("asked about %+v", f)
			}
			row(b)
			for range 3 {
				b.start(0).fullRun()
				b.clock.advance(time.Hour)
			}
			untouched("undecided")
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
			b.start(0).fullRun()
			f := b.found()
			if len(f.Calendars) != 2 || len(f.Blank) != 0 {
				t.Fatalf("asked about %+v", f)
			}
			must(t, b.store.TakeOver(t.Context(), f.Hash, f.Calendars[0].Tenant))
			// Lost again before what was decided is done.
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
			b.start(0).employee(queue.CauseReconcile, ids...)
			untouched("lost again")
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
			i = b.start(0)
			i.fullRun()
			i.rest()
			unchanged()
			b.wantQuiet(ids...)
		})
	}
}

// Rule 3.14: nor may a spell of refusals at the very first look let them pass for what another
// client made (seed 910066).
func TestCalendarsWithoutTheirMarksAreAskedAboutInASpellToo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		denied      []string // none: everything
		dead, blank int
	}{
		"of everything":       {nil, 2, 0},
		"of the calendars":    {[]string{"calendar.calendars.get"}, 0, 2},
		"of all but events":   {[]string{"calendar.calendars.get", "calendar.acl.*"}, 0, 2},
		"of events and rules": {[]string{"calendar.events.list", "calendar.acl.*"}, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			i, ids := b.staffed("Olena", "Petro")
			i.task(b.addTask(b.hour(9), ids...))
			unchanged, before := b.lives(ids), b.world()
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
			spell := b.google.Begin(fakegoogle.NotFoundSpell(fakegoogle.BodyDefault, row.denied...))
			b.freshStore()
			b.start(0).fullRun()
			if f := b.found(); len(f.Calendars) != 0 || f.Dead != row.dead || len(f.Blank) != row.blank {
				t.Fatalf("asked about %+v", f)
			}
			spell.Remove()
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = fakegoogle.DescriptionForm{} })
			b.start(0).fullRun()
			f := b.found()
			if len(f.Calendars) != 2 || f.Dead != 0 || len(f.Blank) != 0 {
				t.Fatalf("asked about %+v", f)
			}
			if diff := cmp.Diff(before, b.world()); diff != "" {
				t.Error(diff)
			}
			must(t, b.store.TakeOver(t.Context(), f.Hash, f.Calendars[0].Tenant))
			i = b.start(0)
			i.fullRun()
			i.rest()
			unchanged()
			b.wantQuiet(ids...)
		})
	}
}

// Rule 3.14: calendars that say something of themselves without a mark, those that another
// client made, and the account's own, are nobody's question.
func TestOtherCalendarsAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, ids := b.staffed("Olena")
	must(t, b.google.EditCalendar(b.calendar(ids[0]), func(c *calendar.Calendar) { c.Description = "Mine by now" }))
	_, err := b.google.CreateCalendar(account, "Family", "Europe/Kyiv")
	must(t, err)
	b.freshStore()
	i := b.start(0)
	i.fullRun()
	in, err := b.store.Installation(t.Context())
	must(t, err)
	if in.Undecided() || in.Tenant == "" {
		t.Errorf("the installation is %+v", in)
	}
}

// Rule 3.14: a row that an admin is asked about because its calendar does not answer is no
// less asked about once its mark does not come back either (seed 730149).
func TestARowThatDoesNotAnswerIsAskedAboutWithoutItsMarkToo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, _ = b.staffed("Olena")
	spell := fakegoogle.NotFoundSpell(fakegoogle.BodyDefault, "calendar.calendars.get", "calendar.events.list")
	spell.For = 5 * time.Hour
	b.google.Begin(spell)
	b.freshStore()
	b.start(0).fullRun()
	for night := range 3 {
		if f := b.found(); f.Dead != 1 || len(f.Blank) != 0 || len(f.Calendars) != 0 {
			t.Fatalf("look %d: asked about %+v", night, f)
		}
		b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Descriptions = descriptionsLost })
		b.clock.advance(time.Hour)
		b.start(0).fullRun()
	}
}
