package calendarsync_test

import (
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// Rule 5.7: whoever is outside the account's Workspace may see busy times only.
func TestOutsideOf(t *testing.T) {
	for _, row := range []struct{ account, address, want string }{
		{"calendars@example.com", "olena@example.com", ""},
		{"calendars@example.com", " Olena@Example.COM ", ""},
		{"calendars@Example.com", "olena@gmail.com", "example.com"},
		{"calendars@example.com", "olena@sub.example.com", "example.com"},
		{"calendars@gmail.com", "olena@example.com", ""},
		{"calendars@googlemail.com", "olena@example.com", ""},
		{"calendars@example.com", "", ""},
	} {
		if got := calendarsync.OutsideOf(row.account, row.address); got != row.want {
			t.Errorf("%s and %s: %q, want %q", row.account, row.address, got, row.want)
		}
	}
}
