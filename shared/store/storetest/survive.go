package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

// call is one call of a method of Store that writes, ready to be made.
type call struct {
	do func() (any, error)
	// lease is the one that the call is given, if any.
	lease func() any
}

// method is a method of Store in one situation.
type method struct {
	name string
	// prepare brings the situation about.
	prepare func(r *rig) call
	// What differs when the call was committed, its answer lost and the call made
	// again; by default nothing: same state, same result.
	lostState func(s *state)
	lostErr   error
	// lostResult tells that the second call says something else, as the comment on
	// the row explains.
	lostResult any
}

// survives makes every writing call in every situation under every fault, and wants
// the database to end as it does without one.
func survives(t *testing.T, open func(t *testing.T) store.Backend) {
	for _, m := range append(methods(), adminMethods()...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			calm := newRig(t, open(t))
			calm.b.trial = false
			c := m.prepare(calm)
			result, err := c.do()
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			final := calm.state()
			lost := calm.state()
			if m.lostState != nil {
				m.lostState(&lost)
			}
			if m.lostResult == nil {
				m.lostResult = result
			}

			t.Run("run again", func(t *testing.T) {
				r := newRig(t, open(t))
				got, err := m.prepare(r).do()
				r.must(err)
				equal(r, "result", got, result)
				equal(r, "state", r.state(), final)
			})
			t.Run("refused", func(t *testing.T) {
				r := newRig(t, open(t))
				c := m.prepare(r)
				before, lease := r.state(), c.held()
				r.b.inject(refused)
				_, err := c.do()
				r.is(err, errInjected)
				equal(r, "state after the error", r.state(), before)
				equal(r, "lease after the error", c.held(), lease)
				got, err := c.do()
				r.must(err)
				equal(r, "result of the retry", got, result)
				equal(r, "state after the retry", r.state(), final)
			})
			t.Run("answer lost", func(t *testing.T) {
				r := newRig(t, open(t))
				c := m.prepare(r)
				lease := c.held()
				r.b.inject(answerLost)
				_, err := c.do()
				r.is(err, errInjected)
				equal(r, "state after the error", r.state(), final)
				equal(r, "lease after the error", c.held(), lease)
				got, err := c.do()
				m.again(r, got, err)
				equal(r, "state after the retry", r.state(), lost)
			})
			t.Run("committed and run again", func(t *testing.T) {
				r := newRig(t, open(t))
				c := m.prepare(r)
				r.b.inject(ranAgain)
				got, err := c.do()
				m.again(r, got, err)
				equal(r, "state", r.state(), lost)
			})
		})
	}
}

// again judges the answer to what was committed before.
func (m method) again(r *rig, got any, err error) {
	r.Helper()
	if m.lostErr != nil {
		r.is(err, m.lostErr)
		return
	}
	r.must(err)
	equal(r, "result after the commit", got, m.lostResult)
}

func (c call) held() any {
	if c.lease == nil {
		return nil
	}
	return c.lease()
}

// taken is the result of a claim.
type taken struct {
	Lease   any
	Outcome store.Outcome
}

// consumed is the result of taking what can be taken once.
type consumed struct {
	Record any
	Found  bool
}

func methods() []method {
	// Counters that only call for another pass may count a lost answer twice.
	dirtier := func(s *state) {
		for i := range s.Tasks {
			s.Tasks[i].Dirty++
		}
		for i := range s.Employees {
			s.Employees[i].Dirty++
		}
	}
	onTask := func(message string) func(r *rig) call {
		return func(r *rig) call {
			return call{do: func() (any, error) {
				l, outcome, err := r.s.AcquireTask(r.ctx, 70, store.Claim{Message: message, TTL: ttl, Token: "mine"})
				if outcome != store.Acquired {
					return taken{l.Lease, outcome}, err
				}
				return taken{l, outcome}, err
			}}
		}
	}
	onEmployee := func(message string) func(r *rig) call {
		return func(r *rig) call {
			return call{do: func() (any, error) {
				l, outcome, err := r.s.AcquireEmployee(r.ctx, 7, store.Claim{Message: message, TTL: ttl, Token: "mine"})
				if outcome != store.Acquired {
					return taken{l.Lease, outcome}, err
				}
				return taken{l, outcome}, err
			}}
		}
	}
	after := func(given func(r *rig), prepare func(r *rig) call) func(r *rig) call {
		return func(r *rig) call {
			given(r)
			return prepare(r)
		}
	}
	heldTask := func(r *rig) { r.take(store.Tasks, 70, "m1") }
	heldEmployee := func(r *rig) { r.take(store.Employees, 7, "m1") }
	settleTask := func(given func(r *rig, h held), o store.TaskOutcome) func(r *rig) call {
		return func(r *rig) call {
			h := r.take(store.Tasks, 70, "m1")
			given(r, h)
			return call{
				do: func() (any, error) {
					released, err := r.s.SettleTask(r.ctx, h.task, o)
					return released, err
				},
				lease: func() any { return *h.task },
			}
		}
	}
	nothing := func(*rig, held) {}
	notified := func(r *rig, h held) { r.acquire(h.lease().Key.Collection, h.lease().Key.ID, r.claim("m2")) }
	gaveUp := func(c store.Collection, id int64) func(r *rig) {
		return func(r *rig) { r.must(r.s.RecordDeadLetter(r.ctx, key(c, id), "notify", 100)) }
	}
	settleEmployee := func(given func(r *rig, h held), result store.Result) func(r *rig) call {
		return func(r *rig) call {
			h := r.take(store.Employees, 7, "m1")
			given(r, h)
			return call{
				do: func() (any, error) {
					released, err := r.s.SettleEmployee(r.ctx, h.employee, result)
					return released, err
				},
				lease: func() any { return *h.employee },
			}
		}
	}
	began := time.Date(2041, 5, 6, 7, 8, 9, 0, time.UTC)
	live := store.Mapping{Epoch: "now", EventID: "e", State: store.MappingLive, Sequence: 1, ETag: "x"}
	activity := store.ActivityRecord{ID: "a", At: began, Action: "event.update", Result: "done", ExpiresAt: began.Add(time.Hour)}
	fails := store.Result{Err: errors.New("x"), RetryAt: began.Add(time.Hour)}
	cal := store.CalendarRecord{ID: "c", Epoch: "now", From: began}
	simple := func(do func(r *rig) (any, error)) func(r *rig) call {
		return func(r *rig) call { return call{do: func() (any, error) { return do(r) }} }
	}
	grant := func(r *rig) { r.connected("a", "client", false) }
	suspect := func(r *rig) {
		grant(r)
		r.refuse("a", 1, false)
		r.b.advance(time.Minute)
	}
	started := func(r *rig) { r.start("run", "reconcile", 2, 1) }
	ticket := store.TicketRecord{ID: "t", Sub: "s", Email: "e", Purpose: "connect", Console: "c"}

	open := func(r *rig) {
		grant(r)
		r.must(r.s.RaiseIncident(r.ctx, "a", shutOut()))
		r.b.advance(time.Minute)
	}
	pausedOnce := func(r *rig) {
		grant(r)
		r.pause("a", time.Time{})
		_, err := r.s.PauseCreations(r.ctx, "a", "quotaExceeded")
		r.must(err)
		r.b.advance(time.Hour)
	}
	return []method{
		{name: "AcquireTask", prepare: onTask("m")},
		{name: "AcquireTask, busy", prepare: after(heldTask, onTask("m2")), lostState: dirtier},
		{name: "AcquireTask, redelivered", prepare: after(heldTask, onTask("m1"))},
		{name: "AcquireTask, expired", prepare: after(func(r *rig) { heldTask(r); r.b.advance(ttl) }, onTask("m1"))},
		{name: "AcquireEmployee", prepare: onEmployee("m")},
		{name: "AcquireEmployee, busy", prepare: after(heldEmployee, onEmployee("m2")), lostState: dirtier},
		{name: "AcquireEmployee, redelivered", prepare: after(heldEmployee, onEmployee("m1"))},
		{name: "AcquireEmployee, expired", prepare: after(func(r *rig) { heldEmployee(r); r.b.advance(ttl) }, onEmployee("m1"))},
		{name: "Extend", prepare: func(r *rig) call {
			h := r.take(store.Tasks, 70, "m1")
			r.b.advance(time.Second)
			return call{
				do:    func() (any, error) { err := r.s.Extend(r.ctx, h.lease(), ttl); return *h.lease(), err },
				lease: func() any { return *h.lease() },
			}
		}},
		{name: "MarkDirty", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.MarkDirty(r.ctx, store.EmployeeKey(7), began.Add(time.Minute))
		}), lostState: dirtier},
		{name: "IntendTask", prepare: func(r *rig) call {
			r.active(1, "now")
			r.active(2, "other")
			h := r.take(store.Tasks, 70, "m1")
			return call{
				do: func() (any, error) {
					refused, err := r.s.IntendTask(r.ctx, h.task, []store.Intent{r.intent(1, "now"), r.intent(2, "now")})
					return refused, err
				},
				lease: func() any { return *h.task },
			}
		}},
		// What was released before the answer was lost is no longer the caller's:
		// "lost" is the truth, and whoever hears it touches nothing more.
		{name: "SettleTask", lostErr: store.ErrLeaseLost, prepare: settleTask(nothing, store.TaskOutcome{
			Mappings: map[int64]*store.Mapping{1: &live}, Concerned: []int64{2}, Activity: []store.ActivityRecord{activity},
		})},
		{name: "SettleTask, failed", lostErr: store.ErrLeaseLost, prepare: settleTask(nothing, store.TaskOutcome{Result: fails, Concerned: []int64{2}})},
		{name: "SettleTask, idle", lostErr: store.ErrLeaseLost, prepare: settleTask(nothing, store.TaskOutcome{Concerned: []int64{}})},
		{name: "SettleTask, dead letter", lostErr: store.ErrLeaseLost, prepare: after(gaveUp(store.Tasks, 70), settleTask(nothing, store.TaskOutcome{Concerned: []int64{2}}))},
		{name: "SettleTask, notified meanwhile", prepare: settleTask(notified, store.TaskOutcome{
			Mappings: map[int64]*store.Mapping{1: &live}, Concerned: []int64{2}, Activity: []store.ActivityRecord{activity},
		})},
		{name: "SaveEmployee", prepare: func(r *rig) call {
			h := r.take(store.Employees, 7, "m1")
			return call{
				do: func() (any, error) {
					err := r.s.SaveEmployee(r.ctx, h.employee, func(e *store.EmployeeRecord) { e.Calendar, e.Name = &cal, "Olena" }, activity)
					return *h.employee, err
				},
				lease: func() any { return *h.employee },
			}
		}},
		{name: "SettleEmployee", lostErr: store.ErrLeaseLost, prepare: settleEmployee(nothing, store.Result{RetryAt: began.Add(time.Hour)})},
		{name: "SettleEmployee, failed", lostErr: store.ErrLeaseLost, prepare: settleEmployee(nothing, fails)},
		{name: "SettleEmployee, dead letter", lostErr: store.ErrLeaseLost, prepare: after(gaveUp(store.Employees, 7), settleEmployee(nothing, store.Result{}))},
		{name: "SettleEmployee, notified meanwhile", prepare: settleEmployee(notified, store.Result{})},
		{name: "ForgetEmployee", lostErr: store.ErrLeaseLost, prepare: after(gaveUp(store.Employees, 7), func(r *rig) call {
			h := r.take(store.Employees, 7, "m1")
			return call{
				do:    func() (any, error) { return nil, r.s.ForgetEmployee(r.ctx, h.employee) },
				lease: func() any { return *h.employee },
			}
		})},
		// Adopted already: nothing more to do, and the answer is only logged.
		{name: "AdoptCalendar", lostResult: false, prepare: simple(func(r *rig) (any, error) {
			adopted, err := r.s.AdoptCalendar(r.ctx, 7, cal)
			return adopted, err
		})},
		// Versions only ever grow; another one for the same grant does no harm, but
		// the caller must use the one it is told.
		{name: "Connect", prepare: simple(func(r *rig) (any, error) { a, err := r.connect("a", "client", true); a.Version = 0; return a, err }),
			lostState: func(s *state) { s.Accounts[0].Version++ }},
		{name: "SetTenant", prepare: simple(func(r *rig) (any, error) { tenant, err := r.s.SetTenant(r.ctx, "t"); return tenant, err })},
		{name: "GrantRefused, once", prepare: after(grant, simple(func(r *rig) (any, error) {
			gone, err := r.s.GrantRefused(r.ctx, "a", 1, "invalid_grant", 30*time.Second)
			return gone, err
		}))},
		// Disconnected, but not by the second call.
		{name: "GrantRefused, repeated", lostResult: false, prepare: after(suspect, simple(func(r *rig) (any, error) {
			gone, err := r.s.GrantRefused(r.ctx, "a", 1, "invalid_grant", 30*time.Second)
			return gone, err
		}))},
		{name: "GrantWorks", prepare: after(suspect, simple(func(r *rig) (any, error) { return nil, r.s.GrantWorks(r.ctx, "a", 1) }))},
		{name: "GrantAlarmed", prepare: after(grant, simple(func(r *rig) (any, error) { return nil, r.s.GrantAlarmed(r.ctx, "a", 1) }))},
		{name: "RaiseIncident", prepare: after(grant, simple(func(r *rig) (any, error) { return nil, r.s.RaiseIncident(r.ctx, "a", shutOut()) }))},
		{name: "SuspectToken", prepare: after(grant, simple(func(r *rig) (any, error) { return r.s.SuspectToken(r.ctx, "a", shutOut(), 30*time.Second) }))},
		{name: "SuspectIncident", prepare: after(grant, simple(func(r *rig) (any, error) { return r.s.SuspectIncident(r.ctx, "a", alike(), "c/e", false) }))},
		// The probe nobody heard of is made in a minute.
		{name: "ProbeIncident", lostResult: false, prepare: after(open, simple(func(r *rig) (any, error) {
			granted, _, err := r.s.ProbeIncident(r.ctx, "a", time.Minute)
			return granted, err
		}))},
		{name: "EndIncident", prepare: after(open, simple(func(r *rig) (any, error) { return nil, r.s.EndIncident(r.ctx, "a", "events.insert") }))},
		// Once is enough: during a pause the end stays.
		{name: "PauseWrites", prepare: after(grant, simple(func(r *rig) (any, error) { return r.s.PauseWrites(r.ctx, "a", "quotaExceeded") }))},
		{name: "PauseCreations", prepare: after(grant, simple(func(r *rig) (any, error) { return r.s.PauseCreations(r.ctx, "a", "quotaExceeded") }))},
		{name: "CreationRefused", prepare: after(grant, simple(func(r *rig) (any, error) {
			return nil, r.s.CreationRefused(r.ctx, "a", store.CreatingCalendars, true)
		}))},
		{name: "WritesWork", prepare: after(pausedOnce, simple(func(r *rig) (any, error) { return nil, r.s.WritesWork(r.ctx, "a") }))},
		{name: "CreationsWork", prepare: after(pausedOnce, simple(func(r *rig) (any, error) { return nil, r.s.CreationsWork(r.ctx, "a") }))},
		{name: "SlowCalendar", prepare: simple(func(r *rig) (any, error) { return nil, r.s.SlowCalendar(r.ctx, "a", "c") })},
		// Slots nobody heard of lapse unused.
		{name: "ReserveSlots", lostResult: given(10*time.Second, 0, 3*time.Second, 4*time.Second, 5*time.Second), prepare: simple(func(r *rig) (any, error) {
			return r.reserve(10*time.Second, "", "", "")
		}), lostState: func(s *state) { s.Budgets[0].Reserved, s.Budgets[0].Given = []byte{0b111111}, 6 }},
		{name: "ReserveCreation", prepare: func(r *rig) call {
			h := r.take(store.Employees, 7, "m1")
			return call{
				do:    func() (any, error) { return r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1)) },
				lease: func() any { return *h.employee },
			}
		}},
		{name: "ReserveCreation, not yet", prepare: after(func(r *rig) { r.granted(1, 1) }, func(r *rig) call {
			h := r.take(store.Employees, 7, "m1")
			return call{
				do:    func() (any, error) { return r.s.ReserveCreation(r.ctx, h.employee, r.creation(7, 1)) },
				lease: func() any { return *h.employee },
			}
		})},
		{name: "DequeueCreation", prepare: after(func(r *rig) { r.granted(1, 1); r.queued(2, 1, time.Hour, 0) }, func(r *rig) call {
			h := r.queued(7, 1, 2*time.Hour, 1)
			return call{
				do:    func() (any, error) { return nil, r.s.DequeueCreation(r.ctx, h.employee) },
				lease: func() any { return *h.employee },
			}
		})},
		{name: "SaveSettings", prepare: simple(func(r *rig) (any, error) { return nil, r.s.SaveSettings(r.ctx, "{}", "olena", 0) })},
		{name: "PutTicket", prepare: simple(func(r *rig) (any, error) { return nil, r.s.PutTicket(r.ctx, ticket, time.Minute) })},
		// Never twice is worth more than once: the person signs in again.
		{name: "FinishSignIn", lostResult: false, prepare: simple(func(r *rig) (any, error) { return r.s.FinishSignIn(r.ctx, "s", time.Minute) })},
		{name: "TakeTicket", lostResult: consumed{store.TicketRecord{}, false}, prepare: after(
			func(r *rig) { r.must(r.s.PutTicket(r.ctx, ticket, time.Minute)) },
			simple(func(r *rig) (any, error) {
				rec, found, err := r.s.TakeTicket(r.ctx, "t")
				return consumed{rec, found}, err
			}))},
		{name: "PinAdmin", prepare: simple(func(r *rig) (any, error) { return r.s.PinAdmin(r.ctx, "address", "sub") })},
		{name: "EndSession", prepare: simple(func(r *rig) (any, error) { return nil, r.s.EndSession(r.ctx, "session", time.Hour) })},
		{name: "RecordDeadLetter", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.RecordDeadLetter(r.ctx, store.TaskKey(70), "notify", 100)
		}), lostState: dirtier},
		{name: "SaveTaskPoll", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.SaveTaskPoll(r.ctx, store.TaskPollRecord{Watermark: "w", Missing: []int64{1}})
		})},
		{name: "SaveEmployeePoll", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.SaveEmployeePoll(r.ctx, store.EmployeePollRecord{Hashes: map[string]string{"5": "h"}})
		})},
		{name: "RecordPoll", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.RecordPoll(r.ctx, store.PollResult{ERP: errors.New("down"), RunMissed: true})
		})},
		{name: "Fold", prepare: after(func(r *rig) {
			r.must(r.s.Fold(r.ctx, "a", r.b.now(), func(string) bool { return true }))
			_, err := r.reserve(10*time.Second, "", "")
			r.must(err)
		}, simple(func(r *rig) (any, error) {
			return nil, r.s.Fold(r.ctx, "a", r.b.now(), func(string) bool { return true })
		}))},
		{name: "SaveAlarms", prepare: simple(func(r *rig) (any, error) {
			return nil, r.s.SaveAlarms(r.ctx, map[string]string{"quota": "id"})
		})},
		// Put off twice: a minute more does no harm.
		{name: "PutOffRun", lostResult: began.Add(2 * time.Minute), prepare: simple(func(r *rig) (any, error) {
			due, err := r.s.PutOffRun(r.ctx, "console", "source")
			return due, err
		})},
		{name: "StartRun", prepare: simple(func(r *rig) (any, error) {
			parts, err := r.s.StartRun(r.ctx, "run", "reconcile", []int{2, 1})
			return parts, err
		})},
		{name: "StartRun, superseding", prepare: after(started, simple(func(r *rig) (any, error) {
			parts, err := r.s.StartRun(r.ctx, "next", "console", []int{1})
			return parts, err
		}))},
		// However often it is told, an employee counts once.
		{name: "AdvanceRun", prepare: after(started, simple(func(r *rig) (any, error) {
			over, err := r.s.AdvanceRun(r.ctx, "run-0000", result(1), result(2))
			return over, err
		}))},
		{name: "AdvanceRun, the last", prepare: after(func(r *rig) { started(r); r.advanceRun("run-0000", result(1), result(2)) }, simple(func(r *rig) (any, error) {
			over, err := r.s.AdvanceRun(r.ctx, "run-0001", result(3))
			return over, err
		}))},
	}
}
