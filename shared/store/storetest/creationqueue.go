package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

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
