package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// reserve reserves slots of a second; a calendar may be written to twice in three.
func (r *rig) reserve(ahead time.Duration, calls ...string) (store.Reservation, error) {
	return r.slots(store.SlotRequest{Account: "a", Calls: calls, Spacing: time.Second, Window: 3 * time.Second, Ahead: ahead})
}

// slots reserves slots, wants the answer to say when that was, and leaves that out.
func (r *rig) slots(q store.SlotRequest) (store.Reservation, error) {
	r.Helper()
	res, err := r.s.ReserveSlots(r.ctx, q)
	if err == nil {
		equal(r, "at", res.At, r.b.now())
	}
	res.At = time.Time{}
	return res, err
}

// given is the answer to calls that are no writes, which start at these times;
// those that start too late were not given.
func given(ahead, free time.Duration, starts ...time.Duration) store.Reservation {
	res := store.Reservation{}
	for _, in := range starts {
		res.Slots = append(res.Slots, store.Slot{Given: in <= ahead, In: in, Again: in})
		if in <= ahead {
			free = in + time.Second
		}
	}
	res.Free = free
	return res
}

func slots(r *rig) {
	const spacing = 100 * time.Millisecond
	ms := func(n ...int) (out []time.Duration) {
		for _, n := range n {
			out = append(out, time.Duration(n)*time.Millisecond)
		}
		return out
	}
	for i, c := range []struct {
		what    string
		advance time.Duration
		k       int
		ahead   time.Duration
		in      []time.Duration // of those given
		free    int             // ms
	}{
		{"the first", 0, 3, 5 * time.Second, ms(0, 100, 200), 300},
		{"behind them", 0, 2, 5 * time.Second, ms(300, 400), 500},
		{"no further ahead than allowed", 0, 10, time.Second, ms(500, 600, 700, 800, 900, 1000), 1100},
		{"none so early", 0, 3, time.Second, nil, 1100},
		{"the first that starts late enough", 0, 1, 1100 * time.Millisecond, ms(1100), 1200},
		{"time passes", 700 * time.Millisecond, 1, time.Second, ms(500), 600},
		{"between two", 550 * time.Millisecond, 2, time.Second, ms(50, 150), 250},
		{"during the last", 170 * time.Millisecond, 1, time.Second, ms(80), 180},
		{"unused slots lapse", time.Minute, 10, 250 * time.Millisecond, ms(0, 100, 200), 300},
		{"at the moment of the last", 300 * time.Millisecond, 1, 0, ms(0), 100},
		{"only asked", 30 * time.Millisecond, 0, time.Second, nil, 70},
	} {
		r.b.advance(c.advance)
		res, err := r.slots(store.SlotRequest{Account: "a", Calls: make([]string, c.k), Spacing: spacing, Window: time.Second, Ahead: c.ahead})
		r.must(err)
		var in []time.Duration
		for _, s := range res.Slots {
			if s.Given {
				in = append(in, s.In)
			} else if s.In <= c.ahead || s.In != res.Free {
				r.Errorf("%d, %s: none, although one starts in %v", i, c.what, s.In)
			}
		}
		if !slices.Equal(in, c.in) || res.Free != time.Duration(c.free)*time.Millisecond || len(res.Slots) != c.k {
			r.Errorf("%d, %s: slots in %v, free in %v, want %v and %d ms", i, c.what, in, res.Free, c.in, c.free)
		}
	}
	res, err := r.slots(store.SlotRequest{Account: "b", Calls: []string{""}, Spacing: spacing})
	r.must(err)
	equal(r, "another account's own", res, store.Reservation{Slots: []store.Slot{{Given: true}}, Free: spacing})
}

func calendarSlots(r *rig) {
	for i, c := range []struct {
		what    string
		advance time.Duration
		ahead   time.Duration
		calls   []string
		want    []string // given at, or + how far ahead the first is that could be had
	}{
		{"two at once, the third three seconds after the first", 0, 10 * time.Second, []string{"c", "c", "c", "c"}, []string{"0s", "1s", "3s", "4s"}},
		{"what was left between them is for others", 0, 10 * time.Second, []string{"", "d", ""}, []string{"2s", "5s", "6s"}},
		{"no further ahead than allowed", 0, 4 * time.Second, []string{"c", ""}, []string{"+7s", "+7s"}},
		{"remembered as time passes", 5 * time.Second, 10 * time.Second, []string{"c", "d", "d"}, []string{"2s", "3s", "4s"}},
		{"a turn held up by nothing but the calendar", 3 * time.Second, 2 * time.Second, []string{"d", "", "c"}, []string{"+3s", "2s", "+3s"}},
		{"forgotten when past", 10 * time.Second, time.Second, []string{"c", "d"}, []string{"0s", "1s"}},
	} {
		r.b.advance(c.advance)
		res, err := r.reserve(c.ahead, c.calls...)
		r.must(err)
		var got []string
		for _, s := range res.Slots {
			in := s.In.String()
			if !s.Given {
				in = "+" + in
			}
			got = append(got, in)
		}
		equal(r, fmt.Sprintf("%d, %s", i, c.what), got, c.want)
	}
	res, err := r.reserve(time.Minute, "e", "e")
	r.must(err)
	if a, b := res.Slots[0], res.Slots[1]; a.Again != 0 || b.Again != a.In+3*time.Second {
		r.Errorf("again in %v after the first and %v after the second, want 0s and %v", a.Again, b.Again, a.In+3*time.Second)
	}
	r.b.advance(time.Hour)
	r.must1(r.reserve(0, ""))
	if ledger := all[store.BudgetRecord](r, store.Budgets)[0]; len(ledger.Writes) > 0 || len(ledger.Reserved) > 1 {
		r.Errorf("the ledger still holds what is past: %+v", ledger)
	}
}

// calendarPaces: what a calendar's window comes down to while slots are given, and after
// a refusal (rule 6.4).
func calendarPaces(r *rig) {
	reserve := func(n int) []time.Duration {
		r.Helper()
		calls := make([]string, n)
		for i := range calls {
			calls[i] = "c"
		}
		res, err := r.slots(store.SlotRequest{Account: "a", Calls: calls, Spacing: time.Millisecond, Window: 9 * time.Second, Shortest: 3 * time.Second, Ahead: time.Hour})
		r.must(err)
		var windows []time.Duration
		for _, s := range res.Slots {
			windows = append(windows, s.Window)
		}
		return windows
	}
	const s = time.Second
	equal(r, "a third less after each three", reserve(10), []time.Duration{9 * s, 9 * s, 6 * s, 6 * s, 6 * s, 4 * s, 4 * s, 4 * s, 3 * s, 3 * s})
	equal(r, "of another one", func() time.Duration {
		res, err := r.slots(store.SlotRequest{Account: "a", Calls: []string{"d"}, Spacing: time.Millisecond, Window: 9 * s, Shortest: 3 * s, Ahead: time.Hour})
		r.must(err)
		return res.Slots[0].Window
	}(), 9*s)
	r.must(r.s.SlowCalendar(r.ctx, "a", "c"))
	equal(r, "after a refusal", reserve(5), []time.Duration{9 * s, 9 * s, 9 * s, 9 * s, 9 * s})
	r.b.advance(23 * time.Hour)
	equal(r, "a day later", reserve(5), []time.Duration{9 * s, 9 * s, 9 * s, 9 * s, 9 * s})
	r.b.advance(2 * time.Hour)
	equal(r, "the day after", reserve(4)[3], 6*s)
	r.b.advance(time.Hour)
	equal(r, "after a rest", reserve(1)[0], 9*s)
	for i := range 300 {
		r.must(r.s.SlowCalendar(r.ctx, "a", fmt.Sprint(i)))
		r.b.advance(time.Second)
	}
	if ledger := all[store.BudgetRecord](r, store.Budgets)[0]; len(ledger.Paces) > 24*201 {
		r.Errorf("%d bytes of refusals", len(ledger.Paces))
	}
}

// Few slots far ahead are left for later, when there are more of them; those that
// come soon are not.
func fewSlots(r *rig) {
	ask := func(what string, least int, want store.Reservation) {
		r.Helper()
		res, err := r.slots(store.SlotRequest{
			Account: "a", Calls: []string{"", "", ""}, Spacing: time.Second, Ahead: 8 * time.Second, Least: least,
		})
		r.must(err)
		equal(r, what, res, want)
	}
	none := func(in ...time.Duration) store.Reservation {
		res := store.Reservation{Free: in[0]}
		for _, in := range in {
			res.Slots = append(res.Slots, store.Slot{In: in, Again: in})
		}
		return res
	}
	r.must1(r.reserve(time.Minute, make([]string, 7)...))
	const s = time.Second
	r.unchanged("two of three, far ahead", func() { ask("two of three, far ahead", 3, none(7*s, 8*s, 9*s)) })
	r.b.advance(s)
	ask("enough", 3, given(8*s, 0, 6*s, 7*s, 8*s))
	r.b.advance(s)
	r.unchanged("one of three", func() { ask("one of three", 2, none(8*s, 9*s, 9*s)) })
	ask("one is enough", 1, given(8*s, 0, 8*s, 9*s, 9*s))
	r.b.advance(5 * s)
	r.must1(r.reserve(time.Minute, make([]string, 2)...))
	ask("three soon", 3, given(8*s, 0, 6*s, 7*s, 8*s))
	r.b.advance(5 * s)
	ask("far ahead, but enough", 3, given(8*s, 0, 4*s, 5*s, 6*s))
	ask("few, but soon enough", 9, none(7*s, 8*s, 9*s))
	r.b.advance(3 * s)
	ask("few, and soon", 9, given(8*s, 0, 4*s, 5*s, 6*s))
}

// What was given out by the old limit stays what it is.
func changedLimit(r *rig) {
	r.must1(r.reserve(time.Minute, "", "", ""))
	r.b.advance(500 * time.Millisecond)
	for _, want := range []time.Duration{2500 * time.Millisecond, 2750 * time.Millisecond} {
		res, err := r.slots(store.SlotRequest{Account: "a", Calls: []string{""}, Spacing: 250 * time.Millisecond, Ahead: time.Minute})
		r.must(err)
		equal(r, "by the new limit", res.Slots[0].In, want)
	}
	res, err := r.reserve(time.Minute, "")
	r.must(err)
	equal(r, "by the old limit again", res.Slots[0].In, 3*time.Second)
}

func slotsApart(r *rig) {
	const (
		spacing = 100 * time.Millisecond
		window  = time.Second
		ahead   = 4950 * time.Millisecond
		most    = 50 // slots that start up to 4.95 s ahead: at 0, 100 ... 4900 ms
	)
	// The clock stands, so that a slot's start is its wait.
	var mu sync.Mutex
	var taken []time.Duration
	writes := map[string][]time.Duration{}
	r.together(func(i int) {
		calls := make([]string, 1+i%5) // 60 slots are asked for
		if i%2 == 0 {
			calls[0] = []string{"c", "d"}[i/2%2]
		}
		res, err := r.slots(store.SlotRequest{Account: "a", Calls: calls, Spacing: spacing, Window: window, Ahead: ahead})
		if err != nil {
			r.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for n, s := range res.Slots {
			if s.Given {
				taken = append(taken, s.In)
				writes[calls[n]] = append(writes[calls[n]], s.In)
			} else if s.In <= ahead {
				r.Errorf("no slot, although one starts in %v", s.In)
			}
		}
	})
	slices.Sort(taken)
	for i, start := range taken {
		if i > 0 && start < taken[i-1]+spacing {
			r.Errorf("slots overlap: one starts at %v, the next at %v", taken[i-1], start)
		}
		if start > ahead {
			r.Errorf("a slot starts %v ahead, more than %v", start, ahead)
		}
	}
	if len(taken) < most-5 {
		r.Errorf("%d slots were given, want nearly all %d", len(taken), most)
	}
	for _, calendar := range []string{"c", "d"} {
		at := writes[calendar]
		slices.Sort(at)
		for i := 2; i < len(at); i++ {
			if at[i] < at[i-2]+window {
				r.Errorf("calendar %s: written to at %v, %v and %v", calendar, at[i-2], at[i-1], at[i])
			}
		}
		if len(at) < 2 {
			r.Errorf("calendar %s: %d writes", calendar, len(at))
		}
	}
}
