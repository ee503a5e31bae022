package functions_test

import (
	"strconv"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// eventually tries a condition until it holds or five minutes have passed, which take
// no time in a bubble and on Firestore only where the test fails.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatal("did not come true within five minutes")
		case <-pace.C:
		}
	}
}
