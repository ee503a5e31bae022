package poll_test

import (
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// Rule 3.14: Poll tells once of a mark that does not come back, and of its end.
func TestAMarkThatCannotBeReadIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.must("first", nil)
	want := func(what string, begun, ended int) {
		t.Helper()
		all := strings.Count(w.log.String(), "alarm=mark-unreadable incident=mark-2")
		if over := strings.Count(w.log.String(), "ended=true"); over != ended || all-over != begun {
			t.Fatalf("%s: %d begun and %d ended, want %d and %d: %s", what, all-over, over, begun, ended, w.log.String())
		}
	}
	noted := store.UnreadableMark{Employee: 7, Calendar: "c7", Event: "e1"}
	if err := w.store.NoteUnreadable(t.Context(), noted); err != nil {
		t.Fatal(err)
	}
	w.pollNow()
	want("told", 1, 0)
	if log := w.log.String(); !strings.Contains(log, "employee=7 calendar=c7 event=e1") {
		t.Errorf("it does not say of what: %s", log)
	}
	w.set.Enabled = false
	w.poll()
	want("told once, while syncing is off too", 1, 0)
	if err := w.store.NoteReadable(t.Context(), noted); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.poll()
		want("over", 1, 1)
	}
}
