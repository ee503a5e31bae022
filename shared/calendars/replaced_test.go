package calendars_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Both are there: the one that its employee has taken stays (rule 3.10).
func TestAReplacedCalendarThatTurnsUp(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name               string
		oldSeen, presentOf bool // whose share a list has shown
		queued             bool // the new one was not made yet
		oldStays           bool
	}{
		{"neither was seen", false, false, false, false},
		{"the old one was seen", true, false, false, true},
		{"both were seen", true, true, false, false},
		{"there is no new one yet", false, false, true, true},
		{"there is none yet, and no list shows the share", false, false, true, true},
		{"there is none yet, and the old one had only been given back", false, false, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(fakegoogle.Ways{InvitationsHidden: strings.Contains(row.name, "no list shows")}))
			i, ids := b.staffed("Olena")
			who, address := ids[0], "olena@provider.example"
			i.task(b.addTask(b.hour(9), who))
			i.employee(queue.CauseReconcile, who) // the list shows the share
			i.rest()
			old := b.calendar(who)
			b.change(who, func(r *store.EmployeeRecord) { r.Calendar.RuleSeen = row.oldSeen })
			again := 0
			if strings.HasSuffix(row.name, "given back") { // by a purge that was stopped, and that had taken the share off
				again = 1
				must(t, b.google.RemoveShare(old, address))
				b.change(who, func(r *store.EmployeeRecord) { r.Calendar.ShareAgain = true })
			}
			spell := fakegoogle.NotFoundSpell(fakegoogle.BodyDefault)
			spell.CalendarID = old
			in := b.google.Begin(spell)
			i.employee(queue.CauseReconcile, who)
			if row.queued {
				lock := fakegoogle.Fault{Method: "calendar.calendars.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1}
				defer b.google.Inject(lock).Remove()
			}
			_, err := b.store.AskReplacement(t.Context(), who)
			must(t, err)
			i.employee(queue.CauseConsole, who)
			if now := b.record(who).Calendar; !row.queued {
				if now == nil || now.ID == old {
					t.Fatalf("not replaced: %+v", now)
				}
				b.change(who, func(r *store.EmployeeRecord) { r.Calendar.RuleSeen = row.presentOf })
			}
			in.Remove()
			mails := b.shares(address)
			b.clock.advance(time.Hour)
			i.due()
			if row.queued {
				b.google.ClearFaults()
			}
			i.rest()
			if now := b.calendar(who); (now == old) != row.oldStays {
				t.Errorf("calendar %q, the old one was %q", now, old)
			}
			if n := b.shares(address); n != mails+again {
				t.Errorf("%d mails more, want %d", n-mails, again)
			}
			if role := b.live(who)[0].Role(address); role != "reader" {
				t.Errorf("the employee is %q", role)
			}
			b.want(who, b.hour(9))
			b.wantQuiet(who)
			if rec := b.record(who); len(rec.Retiring) > 0 {
				t.Errorf("still retiring: %+v", rec.Retiring)
			}
		})
	}
}

// Rule 3.10: a replaced calendar that turns out to be out of the client's reach loses its share
// once the new one has one (seed 960278): its employee read both, and the old one at the old hours
// for good. Denied for a while only, it goes as soon as it can.
func TestAReplacedCalendarOutOfReachIsReadByNobody(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		way   fakegoogle.Ways
		takes time.Duration // until the new one is made
		back  bool
	}{
		{name: "for good"},
		{name: "for hours", back: true},
		{name: "refused for good", way: fakegoogle.Ways{ReachLost: http.StatusForbidden}},
		{name: "refused for hours", way: fakegoogle.Ways{ReachLost: http.StatusForbidden}, back: true},
		{name: "no list shows invitations", way: fakegoogle.Ways{InvitationsHidden: true}},
		{name: "the new one waits for two days", takes: 48 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(row.way))
			i, ids := b.staffed("Olena")
			who, old, address := ids[0], b.calendar(ids[0]), "olena@provider.example"
			i.task(b.addTask(b.hour(9), who))
			i.rest()
			spell := b.google.Begin(fakegoogle.NotFoundSpell(fakegoogle.BodyDefault))
			i.employee(queue.CauseReconcile, who)
			_, err := b.store.AskReplacement(t.Context(), who)
			must(t, err)
			lock := b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
			if row.takes == 0 {
				lock.Remove()
			}
			must(t, b.google.LoseReach(account)) // which is of the calendars that there are
			i.employee(queue.CauseConsole, who)
			spell.Remove()
			hours := func(until time.Duration) {
				for range until / time.Hour {
					b.clock.advance(time.Hour)
					i.due()
				}
			}
			hours(row.takes)
			lock.Remove()
			hours(8 * time.Hour) // creations may be paused as long
			now := b.record(who).Calendar
			if now == nil || now.ID == "" || now.ID == old {
				t.Fatalf("not replaced: %+v", now)
			}
			for _, c := range b.live(who) {
				if reads := c.Role(address) == "reader"; reads != (c.ID == now.ID) {
					t.Errorf("she reads calendar %s, which is the new one %v: %v", c.ID, c.ID == now.ID, reads)
				}
			}
			if row.back {
				must(t, b.google.RegainReach(account))
			}
			hours(30 * time.Hour)
			if b.isLive(old) == row.back {
				t.Errorf("the old one is there: %v", !row.back)
			}
			refused := row.way.ReachLost != 0 && !row.back // which is shown, and no reason to forget it
			if rec := b.record(who); (len(rec.Retiring) > 0 || rec.Failure != nil) != refused || rec.Calendar.ID != now.ID {
				t.Errorf("not over: %+v, calendar %+v", rec, rec.Calendar)
			}
			if got := len(b.google.Events(now.ID)); got != 1 {
				t.Errorf("%d events in the new one", got)
			}
			if n := b.shares(address); n != 2 {
				t.Errorf("invited %d times, want once to each", n)
			}
		})
	}
}
