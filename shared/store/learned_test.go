package store_test

import (
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 6.5: what a refusal taught is forgotten by a tenth a day up to what is configured,
// where nothing is configured too, and however the clock goes.
func TestALearnedCapIsForgottenSlowly(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		cap, configured int
		since           time.Duration
		want            int
	}{
		"nothing learned":               {0, 50, 0, 50},
		"just learned":                  {10, 50, 0, 10},
		"a day later":                   {10, 50, 24 * time.Hour, 11},
		"at least by one":               {1, 50, 48 * time.Hour, 3},
		"not beyond what is configured": {10, 12, 100 * 24 * time.Hour, 12},
		"configured lower since":        {10, 5, 0, 5},
		"learned of no bound":           {10, 0, 24 * time.Hour, 11},
		"forgotten of no bound":         {10, 0, 1000 * 24 * time.Hour, 0},
		"a clock that went back":        {10, 50, -72 * time.Hour, 10},
		"negative is no bound":          {10, -1, 1000 * 24 * time.Hour, -1},
	} {
		if got := (store.LearnedCap{Cap: row.cap, At: at}).In(row.configured, at.Add(row.since)); got != row.want {
			t.Errorf("%s: %d, want %d", name, got, row.want)
		}
	}
}
