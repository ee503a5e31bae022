package calendars_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func ways(w fakegoogle.Ways) option { return func(o *fakegoogle.Options) { o.Ways = w } }

// hireAt adds an employee of an address of their own.
func (b *bench) hireAt(address string) int64 {
	return b.erp.AddEmployee(fakeerp.Employee{Name: "Olena", Email: address, Fields: map[int64]string{binding: "1"}})
}

// wantLowered requires that an employee is shown the Workspace's setting.
func (b *bench) wantLowered(employee int64) {
	b.t.Helper()
	rec := b.record(employee)
	if rec.State != store.StateError || rec.Reason != string(calendarsync.ReasonShareLowered) || rec.Calendar == nil {
		b.t.Fatalf("state %s, reason %q", rec.State, rec.Reason)
	}
	if rec.Failure == nil || !strings.Contains(rec.Failure.Message, "External sharing options") {
		b.t.Fatalf("recorded: %+v", rec.Failure)
	}
}

// wantNoWrites lets days pass, with a full run each night, and requires that nothing is
// written.
func (b *bench) wantNoWrites(i *instance, days int, employees ...int64) {
	b.t.Helper()
	b.google.ResetRequests()
	for range days {
		i.employee(queue.CauseReconcile, employees...)
		for range 4 {
			b.clock.advance(6 * time.Hour)
			i.due()
		}
	}
	if wrote := b.writes(); len(wrote) > 0 {
		b.t.Fatalf("%d days cost %v", days, wrote)
	}
}

// Rule 5.7: a role that Google lowered is never raised; the employee's state says which
// setting of the Workspace does it.
func TestALoweredShareIsAnErrorThatIsNeverRaised(t *testing.T) {
	t.Parallel()
	const outside = "olena@partner.example"
	for name, row := range map[string]struct {
		ways fakegoogle.Ways
		// lower lowers it later on.
		lower func(b *bench, calendar string) error
	}{
		"in the answer":                   {fakegoogle.Ways{Outside: fakegoogle.OutsideLowered}, nil},
		"and under another spelling":      {fakegoogle.Ways{Outside: fakegoogle.OutsideLowered, GroupsOneIn: 1}, nil},
		"and never listed":                {fakegoogle.Ways{Outside: fakegoogle.OutsideLowered, InvitationsHidden: true}, nil},
		"by the policy, from some day on": {fakegoogle.Ways{}, func(b *bench, c string) error { return b.google.SetShare(c, outside, "freeBusyReader") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(row.ways))
			i := b.start(0)
			who := b.hireAt(outside)
			b.addTask(b.hour(9), who)
			i.employee(queue.CauseNotify, who)
			if row.lower != nil {
				i.rest()
				b.want(who, b.hour(9))
				must(t, row.lower(b, b.calendar(who)))
				i.employee(queue.CauseReconcile, who)
			}
			b.wantLowered(who)
			b.wantNoWrites(i, 7, who)
			b.wantLowered(who)
			wantShares(b, outside, 1)
			if role := b.live(who)[0].Role(outside); role != "freeBusyReader" {
				t.Errorf("the role is %s", role)
			}
		})
	}
}

// Rule 5.7: once the role is reader again, whoever made it so, the calendar is filled
// with what came meanwhile; an admin may send the invitation again, once a day.
func TestALoweredShareThatIsMendedFillsTheCalendar(t *testing.T) {
	t.Parallel()
	const outside = "olena@partner.example"
	for name, mend := range map[string]func(b *bench, i *instance, who int64) (invited int){
		"by Google": func(b *bench, _ *instance, who int64) int {
			must(b.t, b.google.SetShare(b.calendar(who), outside, "reader"))
			return 1
		},
		"by an invitation that an admin sends again": func(b *bench, i *instance, who int64) int {
			asked, err := b.store.AskInvitation(b.t.Context(), who)
			must(b.t, err)
			if !asked {
				b.t.Fatal("an admin may not send the invitation again")
			}
			i.due()
			if again, err := b.store.AskInvitation(b.t.Context(), who); err != nil || again {
				b.t.Fatalf("asked again at once: %v, %v", again, err)
			}
			return 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ways(fakegoogle.Ways{Outside: fakegoogle.OutsideLowered}))
			i := b.start(0)
			who := b.hireAt(outside)
			i.employee(queue.CauseNotify, who)
			b.wantLowered(who)
			i.task(b.addTask(b.hour(9), who))
			b.clock.advance(25 * time.Hour)
			b.google.ChangeWays(func(w *fakegoogle.Ways) { w.Outside = fakegoogle.OutsideAsAsked })
			invited := mend(b, i, who)
			i.employee(queue.CauseNotify, who)
			i.rest()
			if rec := b.record(who); rec.State != store.StateActive || rec.Reason != "" || rec.Failure != nil {
				t.Fatalf("state %s, reason %q, failure %+v", rec.State, rec.Reason, rec.Failure)
			}
			b.want(who, b.hour(9))
			wantShares(b, outside, invited)
			b.wantQuiet(who)
		})
	}
}

// Rule 5.3: a rule is the employee's however Google spells its address and whatever
// type it gives it, also where nobody remembers its id.
func TestARuleIsFoundHoweverGoogleSpellsIt(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]fakegoogle.Ways{
		"gmail's dots": {GmailSpelling: true},
		"a group":      {GroupsOneIn: 1},
		"both":         {GmailSpelling: true, GroupsOneIn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const address = "O.Lena@googlemail.com"
			b := newBench(t, ways(w))
			i := b.start(0)
			who := b.hireAt(address)
			b.addTask(b.hour(9), who)
			i.employee(queue.CauseNotify, who)
			i.rest()
			c := b.calendar(who)
			i.employee(queue.CauseReconcile, who)

			// The answer to the share was lost, or the database.
			b.change(who, func(r *store.EmployeeRecord) {
				cal := *r.Calendar
				cal.RuleID, cal.RuleSeen, cal.SharedAt = "", false, time.Time{}
				r.Calendar, r.State = &cal, store.StatePending
			})
			i.employee(queue.CauseReconcile, who)
			i.rest()
			i = b.takenOver()
			i.employee(queue.CauseConsole, who)
			i.rest()
			if got := b.calendar(who); got != c {
				t.Errorf("another calendar, %s", got)
			}
			b.wantQuiet(who)
			wantRole(t, b, c, address, "reader")
			if n := len(shareMails(b)); n != 1 {
				t.Errorf("%d invitations", n)
			}

			// The same mailbox in other letters is no new address.
			must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "olena@gmail.com" }))
			i.employee(queue.CauseNotify, who)
			i.rest()
			if got := b.calendar(who); got != c || len(shareMails(b)) != 1 {
				t.Errorf("calendar %s, %d invitations", got, len(shareMails(b)))
			}
			// Another address ends the access of the former one.
			must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "olena@provider.example" }))
			i.employee(queue.CauseNotify, who)
			wantRole(t, b, c, address, "none")
		})
	}
}

func wantRole(t *testing.T, b *bench, calendar, address, want string) {
	t.Helper()
	for _, c := range b.google.Calendars() {
		if c.ID == calendar && c.Role(address) != want {
			t.Errorf("%s is %s of %s, want %s", address, c.Role(address), calendar, want)
		}
	}
}

func shareMails(b *bench) []fakegoogle.Mail {
	return slices.DeleteFunc(b.google.Mails(), func(m fakegoogle.Mail) bool { return m.Kind != "share" })
}
