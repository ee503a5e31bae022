package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

// TestMain lets the bench's processes of the product be this test program.
func TestMain(m *testing.M) {
	if os.Getenv(childSwitch) != "" {
		if err := serveChild(context.Background(), os.Stdin, os.Stdout); err != nil {
			_, _ = os.Stderr.WriteString("bench: " + err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The quick form keeps its promises (it ends with an error otherwise) and prints
// every figure.
func TestQuick(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	err := run(ctx, []string{"-quick", "-employees", "20", "-tasks", "160", "-latency", "20ms"}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, figure := range []string{
		"First fill: 20 calendars with ", "Google calls / ideal", "ERP calls / ideal", "budget used", "live change beside it",
		"store operations / event", "store operations / change", "store operations / employee", "store operations / poll",
		"at Google's own limit", "Nightly run without drift", "Peak memory", "SyncEmployee  ", "SyncTask  ", "Poll  ", "Notify  ", "Reconcile  ", "Console and OAuth", "DeadLetter  ", "store operations / page",
		"All 20 calendars are right at the end", "Notify's handler alone", "Firestore round trips", "A company of 2 with ", "Goals", "Reads of a poll right after a fill",
	} {
		if !strings.Contains(out.String(), figure) {
			t.Errorf("the figure %q is not printed", figure)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("%s is left behind", e.Name())
	}
	t.Logf("\n%s", &out)
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-employees", "1"}, {"-tasks", "3"}, {"-scale", "0"}, {"more"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// The judge must see every fault there can be.
func TestJudgeSeesFaults(t *testing.T) {
	now := time.Now().Truncate(time.Hour)
	erp := fakeerp.New(fakeerp.Options{})
	erp.Load(company(2, 4, now))
	google := fakegoogle.New(fakegoogle.Options{Accounts: []fakegoogle.Account{{Sub: accountSub, Email: accountEmail}}})
	j := deployment.Judge{ERP: erp, Google: google, BindingField: bindingField, Since: now.Add(-24 * time.Hour)}
	if wrong := j.Differences(); len(wrong) != 2 || !strings.Contains(wrong[0], "has no calendar") {
		t.Errorf("without calendars: %q; want one fault for each of two employees", wrong)
	}
	if all := (&changer{b: &bench{judge: j, own: map[int64]own{10: {wanted: 1}}}}).refresh(); all {
		t.Error("an employee without a calendar counts as complete")
	}
}

func TestCountsAsFirestoreBills(t *testing.T) {
	backend, err := bolt.Open(t.TempDir()+"/state.db", time.Now, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	c := &counting{Backend: backend}
	ref := func(id string) store.Ref { return store.Ref{Collection: store.Runs, ID: id} }
	type document struct {
		Name string `firestore:"name" json:"name"`
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var into document
	must(c.Transact(t.Context(), func(tx store.Tx) error {
		_, err := tx.Get(ref("a"), &into)
		return errors.Join(err, tx.Set(ref("a"), document{"a"}), tx.Set(ref("b"), document{"b"}), tx.Delete(ref("c")))
	}))
	_, err = c.Get(t.Context(), ref("a"), &into)
	must(err)
	_, err = c.Query(t.Context(), store.Query{Collection: store.Runs})
	must(err)
	_, err = c.Query(t.Context(), store.Query{Collection: store.Activity}) // nothing there: billed all the same
	must(err)
	_, err = c.Now(t.Context())
	must(err)
	want := operations{Reads: 1 + 1 + 2 + 1 + 1, Writes: 2, Deletes: 1, Transactions: 1, Gets: 1, Queries: 2, Clocks: 1}
	if got := c.operations(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestMostInAWindow(t *testing.T) {
	at := func(seconds ...float64) []time.Time {
		var out []time.Time
		for _, s := range seconds {
			out = append(out, time.Unix(0, int64(s*1e9)))
		}
		return out
	}
	for _, row := range []struct {
		at   []time.Time
		want int
	}{{nil, 0}, {at(1), 1}, {at(0, 1, 2, 3), 2}, {at(0, 5, 5.5, 6, 6.9, 9), 4}} {
		if got := mostIn(row.at, 2*time.Second); got != row.want {
			t.Errorf("%v: %d, want %d", row.at, got, row.want)
		}
	}
}

func TestShareOfTheBudget(t *testing.T) {
	var c calls
	for i := range 1000 {
		c.arrivals = append(c.arrivals, time.Unix(0, 0).Add(time.Duration(i)*100*time.Millisecond))
	}
	if got := c.used(600); got < 0.99 || got > 1.01 {
		t.Errorf("ten a second are %.3f of 600 a minute, want 1", got)
	}
}

func TestTripsInSequence(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	for _, row := range []struct {
		made []trip
		want string
	}{
		{nil, ""},
		{[]trip{{"a", at(0), at(10)}, {"b", at(10), at(20)}, {"c", at(21), at(30)}}, "a b c"},
		// b is beside a, and c began only when a had ended.
		{[]trip{{"b", at(1), at(12)}, {"a", at(0), at(10)}, {"c", at(11), at(20)}}, "a c"},
		{[]trip{{"long", at(0), at(100)}, {"a", at(0), at(10)}, {"b", at(20), at(30)}}, "a b"},
	} {
		if got := strings.Join(inSequence(row.made), " "); got != row.want {
			t.Errorf("%v: %q, want %q", row.made, got, row.want)
		}
	}
}
