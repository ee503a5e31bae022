package store

import (
	"testing"
	"time"
)

// TestWhatEndsWhileItIsListed: rule 2.5, a write that is settled between the two readings of
// a list is met in both, and stands in it once, as it ended.
func TestWhatEndsWhileItIsListed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	record := func(id string, seconds int, result string) ActivityRecord {
		return ActivityRecord{ID: id, At: at.Add(time.Duration(seconds) * time.Second), Result: result}
	}
	ended := []ActivityRecord{record("d", 3, "done"), record("b", 1, "done")}
	open := []ActivityRecord{record("a", 1, ""), record("b", 1, ""), record("c", 2, ""), record("e", 3, "")}
	got := withOpen(ended, open)
	want := []ActivityRecord{record("e", 3, ""), record("d", 3, "done"), record("c", 2, ""), record("b", 1, "done"), record("a", 1, "")}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, got[i], want[i])
		}
	}
}
