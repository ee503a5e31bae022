package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// busy gives the world three days of changes: some each hour of the day, each known for
// some seconds before its event was right.
func (w *world) busy() {
	w.t.Helper()
	// fold counts what was written, as Poll does.
	fold := func() {
		if err := w.store.Fold(w.t.Context(), "200", w.clock(), func(cause string) bool { return cause == "notify" }); err != nil {
			w.t.Fatal(err)
		}
	}
	fold()
	task := int64(1000)
	for hour := range 72 {
		for n := range 1 + hour%12 {
			task++
			if err := w.store.MarkDirty(w.t.Context(), store.TaskKey(task), w.clock()); err != nil {
				w.t.Fatal(err)
			}
			w.wait(time.Duration(1+n*n) * time.Second)
			w.writeFor(task, 42)
		}
		if _, err := w.store.ReserveSlots(w.t.Context(), store.SlotRequest{Account: "200", Calls: make([]string, 10+hour), Spacing: time.Millisecond, Window: time.Second, Ahead: time.Minute}); err != nil {
			w.t.Fatal(err)
		}
		w.wait(time.Hour)
		fold()
	}
}

// writeFor records one event written for a notification.
func (w *world) writeFor(task, employee int64) {
	w.t.Helper()
	l, _, err := w.store.AcquireTask(w.t.Context(), task, store.Claim{TTL: time.Minute, Token: fmt.Sprint("write ", task)})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.SettleTask(w.t.Context(), &l, store.TaskOutcome{Concerned: []int64{employee}, Activity: []store.ActivityRecord{{
		ID: fmt.Sprint("a", task), At: w.clock(), Action: "event.update", Task: task, Employee: employee, Cause: "notify", Result: "done", ExpiresAt: w.clock().Add(store.ActivityKept)}}}); err != nil {
		w.t.Fatal(err)
	}
}

// TestTwoWeeksInPicturesAndFigures: the pictures and the tables come from what Poll counted,
// in the installation's zone, and one day's hours can be looked at.
func TestTwoWeeksInPicturesAndFigures(t *testing.T) {
	w := newWorld(t)
	if body := w.signedIn().get("/figures").body; !strings.Contains(body, "Nothing is counted yet.") {
		t.Error("a new installation's page does not say that there is nothing")
	}
	w.busy()
	b := w.signedIn()
	body := b.get("/figures").body
	for _, want := range []string{"<svg", `class="median"`, `class="slow"`, "Google allows 36,000 an hour.", "By day", "2026-11-25 by the hour", "/figures?day=2026-11-23"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(body, "<rect"); n < 100 {
		t.Errorf("%d bars for 72 hours of changes and calls", n)
	}
	if strings.Contains(body, "style=") || strings.Contains(body, "NaN") || strings.Contains(body, "Inf") {
		t.Error("the page has styles of its own, or a point that is no number")
	}
	// The hour from 10:00 UTC of the first day: 1 change, known for a second.
	day := b.get("/figures?day=2026-11-22").body
	if !strings.Contains(day, "2026-11-22 by the hour") || !strings.Contains(day, `<th scope="row">12:00</th><td class="number" data-label="Changes"><span>1</span>`) {
		t.Error("the day's hours are not those of the installation's zone, or not counted")
	}
	// Thousands, tenths and dates as the language writes them.
	for lang, words := range map[string][3]string{"uk": {"Google дозволяє 36\u00a0000 за годину.", ">1,0 с<", ">24.11<"}, "ru": {"Google разрешает 36\u00a0000 в час.", ">1,0 с<", ">24.11<"}, "en": {"36,000", ">1.0 s<", ">11-24<"}} {
		b.post("/language", url.Values{"to": {lang}, "back": {"/"}})
		wantIn(t, b.get("/figures").body, words[0], words[1], words[2])
	}
}
