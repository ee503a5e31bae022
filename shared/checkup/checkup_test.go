package checkup

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

func english(t *testing.T) i18n.Texts {
	t.Helper()
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	return texts.For("en")
}

func TestWhatWaitsForAFaultIsNotChecked(t *testing.T) {
	says := func(v Verdict) func(context.Context) Verdict { return func(context.Context) Verdict { return v } }
	must := func(context.Context) Verdict { t.Error("ran without its premise"); return Verdict{} }
	found := Run(t.Context(), []Check{
		{ID: "b", Title: "B", Group: "G", Needs: []string{"a"}, Run: must},
		{ID: "a", Title: "A", Group: "G", Run: says(Verdict{State: Fault, Text: "broken"})},
		{ID: "c", Title: "C", Group: "G", Needs: []string{"b"}, Run: must},
		{ID: "d", Title: "D", Group: "G", After: []string{"a", "c"}, Run: says(Verdict{State: OK, Text: "fine"})},
		{ID: "e", Title: "E", Group: "G", Needs: []string{"f"}, Run: says(Verdict{State: OK, Text: "fine"})},
		{ID: "f", Title: "F", Group: "G", Run: says(Verdict{State: Warning, Text: "odd"})},
	}, english(t), time.Now)
	var got []string
	for _, f := range found {
		got = append(got, f.ID+" "+string(f.State)+" "+f.Because)
	}
	want := []string{"b not-checked a", "a fault ", "c not-checked a", "d ok ", "e ok ", "f warning "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if found[2].Text != "waits for “A” (G)" {
		t.Errorf("%q does not name the first cause", found[2].Text)
	}
}

// TestChecksRunAtOnceAndEnd: each check here ends only when the other has begun or
// its time is up.
func TestChecksRunAtOnceAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := make(chan struct{}), make(chan struct{})
		meet := func(mine, theirs chan struct{}) func(context.Context) Verdict {
			return func(ctx context.Context) Verdict {
				close(mine)
				select {
				case <-theirs:
					return Verdict{State: OK}
				case <-ctx.Done():
					return Verdict{State: Fault}
				}
			}
		}
		start := time.Now()
		found := Run(t.Context(), []Check{
			{ID: "1", Run: meet(one, other)}, {ID: "2", Run: meet(other, one)},
			{ID: "3", Within: time.Second, Run: func(ctx context.Context) Verdict { <-ctx.Done(); return Verdict{State: Fault} }},
			{ID: "4", Run: func(ctx context.Context) Verdict { <-ctx.Done(); return Verdict{State: Fault} }},
		}, english(t), time.Now)
		if found[0].State != OK || found[1].State != OK || found[2].Milliseconds != 1000 {
			t.Errorf("%+v", found)
		}
		if took := time.Since(start); took != usualTime {
			t.Errorf("a check without a limit of its own ended after %v", took)
		}
	})
}
