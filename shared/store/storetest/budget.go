package storetest

import (
	"cmp"
	"context"
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

// pausing is one of the two pauses.
type pausing struct {
	pause func(s *store.Store, ctx context.Context, sub, reason string) (time.Time, error)
	works func(s *store.Store, ctx context.Context, sub string) error
	until func(a store.AccountRecord) time.Time
	other func(a store.AccountRecord) time.Time
}

func writesPause() pausing {
	return pausing{(*store.Store).PauseWrites, (*store.Store).WritesWork,
		func(a store.AccountRecord) time.Time { return a.PausedUntil }, func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }}
}

func creationsPause() pausing {
	return pausing{(*store.Store).PauseCreations, (*store.Store).CreationsWork,
		func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }, func(a store.AccountRecord) time.Time { return a.PausedUntil }}
}

// pause pauses writes and wants the end, if given, to be so.
func (r *rig) pause(sub string, want time.Time) time.Time {
	r.Helper()
	until, err := r.s.PauseWrites(r.ctx, sub, "quotaExceeded")
	r.must(err)
	if !want.IsZero() {
		equal(r, "paused until", until, want)
	}
	return until
}

// The doubling is the account's: each step is by another instance, as it were, for
// none of them keeps anything.
func pauses(r *rig, p pausing) {
	r.connected("a", "client", false)
	refused := func(what string, want time.Duration) {
		r.Helper()
		until, err := p.pause(r.s, r.ctx, "a", "quotaExceeded")
		r.must(err)
		equal(r, what, until.Sub(r.b.now()), want)
		equal(r, what+", stored", p.until(r.account()), until)
	}
	works := func() { r.Helper(); r.must(p.works(r.s, r.ctx, "a")) }
	refused("first refusal", 15*time.Minute)
	r.b.advance(time.Minute)
	refused("a call that was on its way", 14*time.Minute)
	r.unchanged("a success that was on its way", works)
	r.b.advance(14 * time.Minute)
	for _, want := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 6 * time.Hour} {
		refused("refused again", want)
		r.b.advance(want)
	}
	r.connected("a", "client", true)
	refused("connected anew", 6*time.Hour)
	r.b.advance(7 * time.Hour)
	works()
	equal(r, "not paused", p.until(r.account()), time.Time{})
	r.unchanged("works as before", works)
	refused("after a success", 15*time.Minute)
	equal(r, "the other pause", p.other(r.account()), time.Time{})
}

// The day's limit ends with Google's day, at midnight Pacific time, and the next day begins
// with a short pause again.
func dailyLimit(r *rig, p pausing) {
	const limit = "dailyLimitExceeded"
	r.connected("a", "client", false)
	refused := func(what string, want time.Time) {
		r.Helper()
		until, err := p.pause(r.s, r.ctx, "a", limit)
		r.must(err)
		equal(r, what, until.UTC(), want.UTC())
		equal(r, what+", why", r.account().PausedFor(r.b.now()), limit)
	}
	r.b.advance(time.Date(2041, 5, 7, 1, 0, 0, 0, time.UTC).Sub(r.b.now())) // six in the evening there
	for _, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		refused("during the day", r.b.now().Add(want))
		r.b.advance(want)
	}
	midnight := time.Date(2041, 5, 7, 7, 0, 0, 0, time.UTC) // in summer
	refused("not beyond the day", midnight)
	r.b.advance(midnight.Sub(r.b.now()))
	equal(r, "over", r.account().PausedFor(r.b.now()), "")
	r.must(p.works(r.s, r.ctx, "a"))
	r.b.advance(time.Date(2041, 12, 1, 7, 50, 0, 0, time.UTC).Sub(r.b.now()))
	refused("in winter", time.Date(2041, 12, 1, 8, 0, 0, 0, time.UTC))
	r.b.advance(10 * time.Minute)
	refused("on the next day", r.b.now().Add(20*time.Minute))
	r.connected("a", "client", true)
	equal(r, "connected anew", r.account().PausedFor(r.b.now()), limit)
	r.b.advance(20 * time.Minute)
	r.must(p.works(r.s, r.ctx, "a"))
	equal(r, "the end", [2]string{r.account().PauseReason, r.account().CreationsPauseReason}, [2]string{})
}

func onePause(r *rig) {
	r.connected("a", "client", false)
	var ends counts[time.Time]
	r.together(func(int) {
		until, err := r.s.PauseWrites(r.ctx, "a", "quotaExceeded")
		if err != nil {
			r.Error(err)
		}
		ends.add(until)
	})
	equal(r, "ends told", ends.n, map[time.Time]int{r.began.Add(15 * time.Minute): callers})
}

// creation is a calendar to be made.
func (r *rig) creation(employee int64, perHour int) store.NewCreation {
	return store.NewCreation{
		Intent:   store.CalendarRecord{Epoch: fmt.Sprint("e", employee), From: r.began, Account: "a"},
		PerHour:  perHour,
		Activity: store.ActivityRecord{ID: fmt.Sprint("a", employee), At: r.began, Action: "calendar.create", Employee: employee},
	}
}

// ask asks for a calendar in a lease of its own and gives it back.
func (r *rig) ask(employee int64, c store.NewCreation) store.QueuePosition {
	r.Helper()
	h := r.take(store.Employees, employee, "")
	turn, err := r.s.ReserveCreation(r.ctx, h.employee, c)
	r.must(err)
	if have := h.employee.Record.Calendar != nil; have != turn.Granted || h.employee.Record.State != store.StatePending {
		r.Errorf("employee %d: granted %v, record %+v", employee, turn.Granted, h.employee.Record)
	}
	r.release(h, store.Result{Waiting: true, RetryAt: turn.At})
	return turn
}

func (r *rig) granted(employee int64, perHour int) {
	r.Helper()
	if turn := r.ask(employee, r.creation(employee, perHour)); !turn.Granted {
		r.Errorf("employee %d waits: %+v", employee, turn)
	}
}

// queued wants an employee to wait so long behind so many, and gives the lease.
func (r *rig) queued(employee int64, perHour int, wait time.Duration, before int) held {
	r.Helper()
	h := r.take(store.Employees, employee, "")
	turn, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(employee, perHour))
	r.must(err)
	equal(r, fmt.Sprintf("turn of employee %d", employee), turn, store.QueuePosition{Before: before, At: r.b.now().Add(wait)})
	if h.employee.Record.Calendar != nil || h.employee.Record.State != store.StatePending {
		r.Errorf("employee %d waits, record %+v", employee, h.employee.Record)
	}
	return h
}

func (r *rig) waits(employee int64, perHour int, wait time.Duration, before int) {
	r.Helper()
	r.release(r.queued(employee, perHour, wait, before), store.Result{Waiting: true, RetryAt: r.b.now().Add(wait)})
}

func (r *rig) queue(notBefore time.Time) (out []int64) {
	r.Helper()
	q, err := r.s.CreationQueue(r.ctx, "a", r.b.now(), notBefore)
	r.must(err)
	for i, c := range q {
		if c.Before != i || (i > 0 && c.At.Before(q[i-1].At)) || c.Asked.IsZero() || c.At.Before(notBefore) {
			r.Errorf("the queue is %+v", q)
		}
		out = append(out, c.Employee)
	}
	return out
}

func creations(r *rig) {
	for id := range int64(3) {
		r.granted(id+1, 3)
	}
	r.waits(4, 3, 20*time.Minute, 0)
	r.b.advance(5 * time.Minute)
	r.waits(4, 3, 15*time.Minute, 0)
	r.b.advance(15 * time.Minute)
	r.granted(4, 3)
	r.waits(5, 3, 20*time.Minute, 0)
	r.b.advance(100 * time.Hour)
	for id := range int64(3) {
		r.granted(id+11, 3) // never more than an hour's; who stayed away for good does not count
	}
	r.waits(14, 3, 20*time.Minute, 0)
	c := r.creation(15, 3)
	c.Intent.Account = "b"
	if turn := r.ask(15, c); !turn.Granted {
		r.Errorf("another account waits: %+v", turn)
	}
	r.must1(r.reserve(time.Minute, "", ""))
	r.waits(14, 3, 20*time.Minute, 0)
	r.waits(14, 6, 10*time.Minute, 0)
}

func creationQueue(r *rig) {
	r.granted(1, 2)
	r.granted(2, 2)
	for i, id := range []int64{30, 10, 20, 5} {
		r.waits(id, 2, time.Duration(i+1)*30*time.Minute-time.Duration(i)*time.Second, i)
		r.b.advance(time.Second)
	}
	equal(r, "the queue", r.queue(time.Time{}), []int64{30, 10, 20, 5})
	// Nobody is overtaken, however early others come.
	r.b.advance(30*time.Minute - 4*time.Second)
	r.waits(20, 2, time.Hour, 2)
	r.waits(5, 2, 90*time.Minute, 3)
	r.granted(30, 2)
	// Nor kept waiting by one who has not come yet, once there is one for both.
	r.b.advance(time.Hour)
	r.granted(20, 2)
	r.granted(10, 2)
	// Who got a turn and no calendar keeps the place.
	h := r.take(store.Employees, 10, "")
	r.must(r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Calendar = nil }))
	turn, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(10, 2))
	r.must(err)
	equal(r, "the turn after a failure", turn, store.QueuePosition{At: r.b.now().Add(30 * time.Minute)})
	equal(r, "the queue", r.queue(time.Time{}), []int64{10, 5})
	in, err := r.s.CreationQueue(r.ctx, "a", r.b.now(), time.Time{})
	r.must(err)
	equal(r, "when the last one's turn comes", in[1].At, r.b.now().Add(time.Hour))
}

func creationsHeld(r *rig) {
	end := r.began.Add(5 * time.Hour)
	for _, id := range []int64{3, 2, 1} {
		c := r.creation(id, 2)
		c.NotBefore = end
		turn := r.ask(id, c)
		equal(r, "turn during the pause", turn, store.QueuePosition{Before: int(3 - id), At: end})
		r.b.advance(time.Second)
	}
	equal(r, "the queue", r.queue(end), []int64{3, 2, 1})
	r.b.advance(end.Sub(r.b.now()))
	// First asked, first served, whoever comes first after the pause.
	r.waits(1, 2, 30*time.Minute, 2)
	r.granted(2, 2)
	r.granted(3, 2)
	r.waits(1, 2, 30*time.Minute, 0)
}

func creationsLeft(r *rig) {
	r.granted(1, 1)
	r.waits(2, 1, time.Hour, 0)
	r.waits(3, 1, 2*time.Hour, 1)
	h := r.take(store.Employees, 2, "")
	r.must(r.s.DequeueCreation(r.ctx, h.employee))
	if h.employee.Record.Creation != nil {
		r.Errorf("still asks: %+v", h.employee.Record)
	}
	r.unchanged("left before", func() { r.must(r.s.DequeueCreation(r.ctx, h.employee)) })
	r.release(h, store.Result{})
	r.waits(3, 1, time.Hour, 0)
	// Wanted again: behind those who asked meanwhile.
	r.b.advance(time.Second)
	r.waits(2, 1, 2*time.Hour-time.Second, 1)
	// Employee 3 dies half-way: an hour after the turn nobody waits for them any more.
	r.b.advance(2*time.Hour - time.Second)
	equal(r, "the queue", r.queue(time.Time{}), []int64{3, 2})
	r.waits(2, 1, time.Hour, 1)
	r.b.advance(time.Second)
	r.granted(2, 1)
	// And when they come after all, they are the first.
	r.waits(4, 1, time.Hour, 0)
	r.waits(3, 1, time.Hour, 0)
	equal(r, "the queue", r.queue(time.Time{}), []int64{3, 4})
}

func creationRefused(r *rig) {
	h := r.take(store.Employees, 7, "m1")
	r.b.advance(ttl)
	r.unchanged("without the lease", func() {
		_, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1))
		r.is(err, store.ErrLeaseLost)
		r.is(r.s.DequeueCreation(r.ctx, h.employee), store.ErrLeaseLost)
	})
	h = r.take(store.Employees, 7, "m2")
	found := store.CalendarRecord{ID: "c", Epoch: "other", From: r.began}
	_, err := r.s.AdoptCalendar(r.ctx, 7, found)
	r.must(err)
	r.unchanged("a calendar was adopted", func() {
		turn, err := r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1))
		r.must(err)
		equal(r, "turn", turn, store.QueuePosition{})
		equal(r, "the record told", *h.employee.Record.Calendar, found)
	})
}

func creationsCounted(r *rig) {
	const perHour = 7
	leases := make([]held, callers)
	for i := range leases {
		leases[i] = r.take(store.Employees, int64(i+1), "")
	}
	var granted counts[bool]
	var mu sync.Mutex
	var turns []store.QueuePosition
	r.together(func(i int) {
		turn, err := r.s.ReserveCreation(r.ctx, leases[i].employee, r.creation(int64(i+1), perHour))
		if err != nil {
			r.Error(err)
		}
		granted.add(turn.Granted)
		mu.Lock()
		defer mu.Unlock()
		turns = append(turns, turn)
	})
	equal(r, "who has to wait", granted.n, map[bool]int{true: perHour, false: callers - perHour})
	slices.SortFunc(turns, func(a, b store.QueuePosition) int { return cmp.Compare(a.Before, b.Before) })
	equal(r, "the last one waits for all", len(r.queue(time.Time{})), callers-perHour)
}

// replacementAhead shows that one change of an address alone waits for nothing, that of
// several each waits for a creation, and that one reserved ahead is used once.
func replacementAhead(r *rig) {
	reserve := func(h held) (store.QueuePosition, bool) {
		r.Helper()
		position, alone, err := r.s.ReserveReplacement(r.ctx, h.employee, "a", 1, store.Caps{}, time.Time{})
		r.must(err)
		return position, alone
	}
	r.granted(9, 1) // the bucket is empty
	first, second := r.take(store.Employees, 1, ""), r.take(store.Employees, 2, "")
	if position, alone := reserve(first); !alone || position.Granted || first.employee.Record.Creation != nil {
		r.Errorf("the first: %+v, alone %v, %+v", position, alone, first.employee.Record.Creation)
	}
	position, alone := reserve(second)
	equal(r, "the second", position, store.QueuePosition{At: r.b.now().Add(time.Hour)})
	equal(r, "the second is alone", alone, false)
	r.release(second, store.Result{RetryAt: position.At})
	r.release(first, store.Result{})

	r.b.advance(59 * time.Minute)
	third := r.take(store.Employees, 3, "")
	if position, alone := reserve(third); alone || position.Before != 1 {
		r.Errorf("the third: %+v, alone %v", position, alone)
	}
	r.release(third, store.Result{})
	r.b.advance(time.Minute)
	second = r.take(store.Employees, 2, "")
	for range 2 { // the first answer may have been lost
		if position, alone := reserve(second); alone || !position.Granted {
			r.Errorf("the second an hour later: %+v, alone %v", position, alone)
		}
	}
	granted, err := r.s.ReserveCreation(r.ctx, second.employee, r.creation(2, 1))
	r.must(err)
	if !granted.Granted || !second.employee.Record.Creation.Granted.IsZero() {
		r.Errorf("reserved ahead: %+v, %+v", granted, second.employee.Record.Creation)
	}
	r.release(second, store.Result{})
}

// replacementUnused shows that a creation reserved ahead that is given up, or lapses, leaves
// its room to others (rule 6.5).
func replacementUnused(r *rig) {
	caps := store.Caps{CalendarsPerDay: 1}
	reserve := func(h held) store.QueuePosition {
		r.Helper()
		position, _, err := r.s.ReserveReplacement(r.ctx, h.employee, "a", 100, caps, time.Time{})
		r.must(err)
		return position
	}
	other := r.take(store.Employees, 1, "")
	reserve(other) // two addresses change at once
	r.release(other, store.Result{})
	create := func(h held) bool {
		r.Helper()
		c := r.creation(h.employee.Record.ID, 100)
		c.Caps = caps
		position, err := r.s.ReserveCreation(r.ctx, h.employee, c)
		r.must(err)
		return position.Granted
	}
	second := r.take(store.Employees, 2, "")
	if !reserve(second).Granted {
		r.Fatal("nothing was reserved ahead")
	}
	third := r.take(store.Employees, 3, "")
	if create(third) {
		r.Fatal("what was reserved is given to another")
	}
	r.must(r.s.DequeueCreation(r.ctx, second.employee))
	if !create(third) {
		r.Error("what was given up is given to nobody")
	}
	r.release(second, store.Result{})
	r.release(third, store.Result{})

	r.b.advance(25 * time.Hour)
	other = r.take(store.Employees, 4, "")
	reserve(other)
	r.release(other, store.Result{})
	second = r.take(store.Employees, 5, "")
	if !reserve(second).Granted {
		r.Fatal("nothing was reserved ahead a day later")
	}
	r.release(second, store.Result{})
	r.b.advance(2 * time.Hour)
	second = r.take(store.Employees, 5, "")
	if !create(second) {
		r.Error("what lapsed is in its own way")
	}
	r.release(second, store.Result{})
}
