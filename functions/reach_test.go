package functions_test

import (
	"net/http"
	"testing"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// Rule 3.9: a client that reaches none of its calendars after a revoke and a new consent makes
// no second ones and takes nobody's share. It is told once, with its end, however many they are;
// once within reach again all is caught up on.
func TestAClientThatLostItsCalendarsIsOneAlarm(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][]string{
		"four employees": {"Olena", "Petro", "Ivan", "Roman"},
		"a single one":   {"Olena"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Env: short()}, func(t *testing.T, w *world.World) {
				w.Google.ChangeWays(func(to *fakegoogle.Ways) { to.ReachLost = http.StatusNotFound })
				who := withCalendars(t, w, names...)
				tasks := morning(w, who, 4)
				w.Idle()
				w.Reconcile()
				must(t, w.Google.RevokeGrant(world.Account))
				must(t, w.ERP.MoveTask(tasks[0], w.Tomorrow(12)))
				eventually(t, func() bool {
					w.Notify("task.changed", tasks[0])
					w.Idle()
					a, err := w.Store.Account(t.Context())
					must(t, err)
					return !a.Connected
				})
				mails := len(w.Google.Mails())
				admin := newVisitor(t, w)
				wantText(t, "the overview", admin.visit("/Console/", world.Admin), "The connection to Google is lost.")
				wantText(t, "the page after the consent", admin.visit("/Console/connect", world.Account), "The account is connected.")
				w.Idle()
				moveToAfternoon(t, w, tasks)
				polls(w, 3)
				wantText(t, "the overview at once", admin.visit("/Console/", world.Admin), "from this connection.", "They still exist and stay shared")
				if n := alarms(w, "calendars-out-of-reach"); n != 0 {
					t.Errorf("told %d times before an hour was over", n)
				}
				polls(w, 24)
				w.Reconcile()
				polls(w, 24)
				if n := alarms(w, "calendars-out-of-reach"); n != 1 {
					t.Errorf("told %d times, want once", n)
				}
				wantCalendars(t, w, len(who))
				must(t, w.Google.RegainReach(world.Account))
				polls(w, 15)
				wantAfternoon(w, who, len(tasks))
				wantCalendars(t, w, len(who))
				if n := alarms(w, "calendars-out-of-reach"); n != 2 {
					t.Errorf("told %d times, its end too", n)
				}
				if n := len(w.Google.Mails()); n != mails {
					t.Errorf("%d mails more", n-mails)
				}
				for _, kind := range []string{"account-refused", "deletions-held"} {
					if n := alarms(w, kind); n != 0 {
						t.Errorf("%s was told besides, %d times", kind, n)
					}
				}
			})
		})
	}
}
