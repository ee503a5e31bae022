package calendars_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

const cardField = 12

// cardRefusals are the ways in which an ERP does not take what is written into a card.
func cardRefusals() map[string]fakeerp.Rule {
	refused := func(f fakeerp.Fault) fakeerp.Rule {
		return fakeerp.Rule{Action: "change_value", Count: -1, Fault: f}
	}
	lost := refused(fakeerp.Drop())
	lost.AfterEffect = true
	return map[string]fakeerp.Rule{
		"unknown field":          refused(fakeerp.ErrorResult("Unknown field_id", http.StatusNotFound)),
		"an error with 200":      refused(fakeerp.ErrorResult("no", http.StatusOK)),
		"no permission":          refused(fakeerp.Status(http.StatusForbidden)),
		"a page":                 refused(fakeerp.HTMLPage(http.StatusOK)),
		"a page with 500":        refused(fakeerp.HTMLPage(http.StatusInternalServerError)),
		"a redirect to a log-in": refused(fakeerp.RedirectToLogin()),
		"half an answer":         refused(fakeerp.Truncated()),
		"written, answer lost":   lost,
	}
}

// cardBench is a bench whose cards are to hold the calendars' ids, and the ERP does not take them.
func cardBench(t *testing.T, rule fakeerp.Rule) (b *bench, mended func()) {
	b = newBench(t)
	b.erp.AddEmployeeField(fakeerp.Field{ID: cardField, Caption: "Calendar", Kind: fakeerp.FieldText})
	b.use(map[string]any{"calendar_id_field": cardField})
	return b, b.erp.Inject(rule)
}

func (b *bench) onCard(employee int64) string {
	b.t.Helper()
	e, ok := b.erp.Employee(employee)
	if !ok {
		b.t.Fatalf("no employee %d", employee)
	}
	return e.Fields[cardField]
}

// tries counts the writes to cards that the ERP was asked for.
func (b *bench) tries() int { return len(b.erp.Requests(fakeerp.Writes)) }

// pass lets time pass, with a poll every five minutes.
func (i *instance) pass(d time.Duration) {
	for end := i.b.clock.Now().Add(d); i.b.clock.Now().Before(end); i.b.clock.advance(5 * time.Minute) {
		for range 20 {
			if !i.due() {
				break
			}
		}
	}
}

// Rule 5.9: what the ERP does not write into a card costs the card only. The calendar is made,
// filled, renamed, replaced and deleted as ever; the card is tried seldom, says why, and heals
// by itself.
func TestACardThatTheERPDoesNotTakeCostsItselfOnly(t *testing.T) {
	t.Parallel()
	for name, rule := range cardRefusals() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, mended := cardBench(t, rule)
				i := b.start(0)
				who := b.hire("Olena")
				start := b.hour(9).AddDate(0, 0, 14)
				b.addTask(start, who)
				i.employee(queue.CauseNotify, who)
				atRest := func(when string, state store.EmployeeState, reason calendarsync.Reason) {
					t.Helper()
					rec := b.record(who)
					if rec.State != state || rec.Reason != string(reason) || rec.Failure != nil || rec.Dirty != 0 || !rec.PendingSince.IsZero() || len(rec.Retiring) > 0 {
						t.Errorf("%s: %s (%q), dirty %d, failure %+v, %d retiring", when, rec.State, rec.Reason, rec.Dirty, rec.Failure, len(rec.Retiring))
					}
				}
				atRest("made", store.StateActive, "")
				b.want(who, start)
				if f := b.record(who).CardFailure; f == nil || f.Message == "" {
					t.Fatalf("it is not recorded why the card lacks the id: %+v", f)
				}

				// Of a day most of the tries are in the first hour, and later there is one a day.
				i.pass(48 * time.Hour)
				before := b.tries()
				i.pass(48 * time.Hour)
				if late := b.tries() - before; late > 3 {
					t.Errorf("%d tries in two days long after", late)
				}
				if rec := b.record(who); (rec.CardFailure == nil) != rec.CardSince.IsZero() || rec.CardFailure != nil && rec.CardFailure.At.Sub(rec.CardSince) < 48*time.Hour {
					t.Errorf("refused %+v, and that since %v", rec.CardFailure, rec.CardSince)
				}

				must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Name = "Olena Koval" }))
				i.employee(queue.CauseNotify, who)
				atRest("renamed", store.StateActive, "")
				if name := b.live(who)[0].Summary; name != "Olena Koval" {
					t.Errorf("the calendar is called %q", name)
				}
				former := b.calendar(who)
				must(t, b.erp.UpdateEmployee(who, func(e *fakeerp.Employee) { e.Email = "olena.koval@provider.example" }))
				i.employee(queue.CauseNotify, who)
				i.pass(time.Hour)
				atRest("another address", store.StateActive, "")
				if now := b.calendar(who); now == former || b.shares("olena.koval@provider.example") != 1 {
					t.Errorf("calendar %q, before %q", now, former)
				}
				must(t, b.erp.SetField(who, binding, ""))
				i.employee(queue.CauseNotify, who)
				i.pass(time.Hour)
				atRest("unbound", store.StateNone, calendarsync.ReasonUnbound)
				must(t, b.erp.SetField(who, binding, "1"))
				i.employee(queue.CauseNotify, who)
				i.pass(time.Hour)
				atRest("bound again", store.StateActive, "")
				b.want(who, start)

				mended()
				i.pass(25 * time.Hour)
				if rec := b.record(who); b.onCard(who) != b.calendar(who) || rec.CardFailure != nil || !rec.CardSince.IsZero() || !rec.DueAt.IsZero() {
					t.Errorf("mended: the card has %q, the calendar is %q, %+v, due %v", b.onCard(who), b.calendar(who), rec.CardFailure, rec.DueAt)
				}
				before = b.tries()
				must(t, b.erp.SetField(who, binding, ""))
				i.employee(queue.CauseNotify, who)
				i.pass(time.Hour)
				if b.onCard(who) != "" || b.tries() != before+1 {
					t.Errorf("unbound: the card has %q after %d writes", b.onCard(who), b.tries()-before)
				}
			})
		})
	}
}

// What was tried, and may have been written, is taken off the card again.
func TestACardWhoseWriteIsUnknownIsSettled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lost := cardRefusals()["written, answer lost"]
		b, mended := cardBench(t, lost)
		i := b.start(0)
		who := b.hire("Olena")
		i.employee(queue.CauseNotify, who)
		if b.onCard(who) == "" {
			t.Fatal("it was not written")
		}
		mended()
		must(t, b.erp.SetField(who, binding, ""))
		i.employee(queue.CauseNotify, who)
		i.pass(time.Hour)
		if got := b.onCard(who); got != "" {
			t.Errorf("the card still names %q", got)
		}
	})
}

// A purge ends although the ERP takes no card.
func TestARefusedCardStopsNoPurge(t *testing.T) {
	t.Parallel()
	for name, rule := range cardRefusals() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, _ := cardBench(t, rule)
				_, staff := b.staffedWithout("Olena", "Petro")
				startPurge(b)
				i := b.start(0)
				i.employee(queue.CauseConsole, staff...)
				b.clock.advance(10 * time.Minute)
				i.due()
				if ended, err := b.store.FinishPurge(t.Context()); err != nil || len(b.live(staff[0]))+len(b.live(staff[1])) > 0 {
					t.Errorf("ended %v, %v", ended, err)
				}
				in, err := b.store.Installation(t.Context())
				must(t, err)
				if in.Purge.Open() {
					t.Error("the purge has not ended")
				}
			})
		})
	}
}

// staffedWithout is staffed without coming to rest: a refused card stays due.
func (b *bench) staffedWithout(names ...string) (*instance, []int64) {
	b.t.Helper()
	i := b.start(0)
	var ids []int64
	for _, n := range names {
		ids = append(ids, b.hire(n))
	}
	i.employee(queue.CauseNotify, ids...)
	for _, id := range ids {
		if b.calendar(id) == "" {
			b.t.Fatalf("employee %d has no calendar", id)
		}
	}
	return i, ids
}

// An admin who asks for an employee has their card tried at once.
func TestAnAdminHasARefusedCardTriedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, mended := cardBench(t, cardRefusals()["unknown field"])
		i, ids := b.staffedWithout("Olena")
		i.pass(24 * time.Hour)
		mended()
		for _, cause := range []queue.Cause{queue.CauseNotify, queue.CauseReconcile} {
			before := b.tries()
			i.employee(cause, ids...)
			if b.tries() != before {
				t.Errorf("%s has it tried", cause)
			}
		}
		i.employee(queue.CauseConsole, ids...)
		if b.onCard(ids[0]) != b.calendar(ids[0]) {
			t.Error("not tried")
		}
	})
}

// Whether the ERP takes nobody's card is known from the first ones.
func TestWhetherNobodysCardIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, mended := cardBench(t, cardRefusals()["unknown field"])
		want := func(when string, everybody bool) {
			t.Helper()
			rec, is, err := b.store.RefusedCards(t.Context())
			must(t, err)
			if is != everybody || everybody != (rec.Why != "") {
				t.Errorf("%s: %v, %+v", when, is, rec)
			}
		}
		want("nobody", false)
		i, ids := b.staffedWithout("Olena", "Petro", "Ivan", "Maria")
		want("all of four", true)
		i.pass(3 * time.Hour)
		mended()
		i.employee(queue.CauseConsole, ids[0])
		want("one is taken", false)
	})
}
