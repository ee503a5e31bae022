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
// no time in a bubble and on Firestore only where the test fails. It tries ever more seldom, up
// to once a second: what takes a minute, in a bubble too, would else be polled for a thousand times.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	for rest := 50 * time.Millisecond; !holds(); rest = min(rest*5/4, time.Second) {
		select {
		case <-deadline.C:
			t.Fatal("did not come true within five minutes")
		case <-time.After(rest):
		}
	}
}
