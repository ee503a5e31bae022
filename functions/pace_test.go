package functions_test

import (
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// TestACalendarIsFilledAsFastAsGoogleLetsIt shows rule 6.4 from outside: a calendar gets
// up to five writes a second, and where Google refuses that, it is filled all the same,
// after a refusal or two at the pace of the beginning.
func TestACalendarIsFilledAsFastAsGoogleLetsIt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		perSecond        int // that Google takes into one calendar; 0: any number
		most             time.Duration
		mostRefused, few int
	}{
		"any number":   {0, 20 * time.Second, 0, 0},
		"two a second": {2, 55 * time.Second, 8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
				const many = 80
				w.SetQuiet(true)
				who := w.Employee("Olena")
				for i := range many {
					w.Task(w.Tomorrow(8).Add(time.Duration(i)*time.Minute), who)
				}
				w.Google.LimitCalendarWrites(row.perSecond)
				began := time.Now()
				w.Reconcile()
				took := time.Since(began)
				refused := 0
				for _, r := range w.Google.Requests(fakegoogle.Filter{Failed: true}) {
					if r.Reason == "rateLimitExceeded" {
						refused++
					}
				}
				t.Logf("%d events in %s, %d writes refused", len(w.Starts(who)), took, refused)
				if n := len(w.Starts(who)); n != many {
					t.Errorf("%d of %d events", n, many)
				}
				if took > row.most {
					t.Errorf("filled in %s, want at most %s", took, row.most)
				}
				if refused > row.mostRefused || refused < row.few {
					t.Errorf("%d writes were refused, want %d to %d", refused, row.few, row.mostRefused)
				}
			})
		})
	}
}
