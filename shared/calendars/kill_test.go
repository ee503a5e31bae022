package calendars_test

import (
	"fmt"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// story is one change, the messages that tell of it, and what must be so in the end.
type story struct {
	name string
	// prepare makes the world before; it returns the messages of the change.
	prepare func(b *bench, s *scene)
	change  func(b *bench, s *scene) []delivery
	check   func(b *bench, s *scene)
}

type scene struct {
	staff   []int64
	tasks   []int64
	foreign map[string]string // calendar: id of an event that is not ours
	first   map[int64]string  // the calendars before
}

func staffedWith(names ...string) func(*bench, *scene) {
	return func(b *bench, s *scene) {
		i, ids := b.staffed(names...)
		s.staff = ids
		s.tasks = []int64{b.addTask(b.hour(9), ids[0]), b.addTask(b.hour(12), ids[0])}
		i.task(s.tasks...)
		i.rest()
		for _, id := range ids {
			c := b.calendar(id)
			s.first[id] = c
			event, err := b.google.CreateEvent(c, holiday())
			must(b.t, err)
			s.foreign[c] = event
		}
	}
}

func stories() []story {
	tasks := func(s *scene, i ...int) []delivery {
		var ids []int64
		for _, n := range i {
			ids = append(ids, s.tasks[n])
		}
		return []delivery{{tasks: ids, cause: queue.CauseNotify}}
	}
	people := func(s *scene, cause queue.Cause) []delivery {
		return []delivery{{employees: s.staff[:1], cause: cause}}
	}
	return []story{
		{"an insert", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			s.tasks = append(s.tasks, b.addTask(b.hour(15), s.staff[0]))
			return tasks(s, 2)
		}, func(b *bench, s *scene) { b.want(s.staff[0], b.hour(9), b.hour(12), b.hour(15)) }},
		{"an update", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.MoveTask(s.tasks[0], b.hour(10)))
			return tasks(s, 0)
		}, func(b *bench, s *scene) { b.want(s.staff[0], b.hour(10), b.hour(12)) }},
		{"a deletion", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.CloseTask(s.tasks[0]))
			return tasks(s, 0)
		}, func(b *bench, s *scene) { b.want(s.staff[0], b.hour(12)) }},
		{"a revival", func(b *bench, s *scene) {
			staffedWith("Olena")(b, s)
			must(b.t, b.erp.CloseTask(s.tasks[0]))
			i := b.start(0)
			i.task(s.tasks[0])
			i.rest()
		}, func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.ReopenTask(s.tasks[0]))
			return tasks(s, 0)
		}, func(b *bench, s *scene) { b.want(s.staff[0], b.hour(9), b.hour(12)) }},
		{"a reassignment", staffedWith("Olena", "Petro"), func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.Reassign(s.tasks[0], fakeerp.Reassignment{AddExecutors: s.staff[1:], RemoveExecutors: s.staff[:1]}))
			return tasks(s, 0)
		}, func(b *bench, s *scene) { b.want(s.staff[0], b.hour(12)); b.want(s.staff[1], b.hour(9)) }},
		{"a new employee", func(*bench, *scene) {}, func(b *bench, s *scene) []delivery {
			s.staff = []int64{b.hire("Olena")}
			s.tasks = []int64{b.addTask(b.hour(9), s.staff...), b.addTask(b.hour(12), s.staff...)}
			return people(s, queue.CauseNotify)
		}, func(b *bench, s *scene) {
			b.want(s.staff[0], b.hour(9), b.hour(12))
			wantShares(b, "olena@provider.example", 1)
		}},
		{"a new address", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.UpdateEmployee(s.staff[0], func(e *fakeerp.Employee) { e.Email = "new@provider.example" }))
			return people(s, queue.CausePoll)
		}, func(b *bench, s *scene) {
			b.want(s.staff[0], b.hour(9), b.hour(12))
			if c := b.calendar(s.staff[0]); c == s.first[s.staff[0]] {
				b.t.Fatal("the old calendar is still in use")
			}
			wantShares(b, "olena@provider.example", 1)
			wantShares(b, "new@provider.example", 1)
		}},
		{"an unbinding", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			must(b.t, b.erp.SetField(s.staff[0], binding, ""))
			return people(s, queue.CausePoll)
		}, func(b *bench, s *scene) {
			if c := b.calendar(s.staff[0]); c != "" {
				b.t.Fatalf("calendar %s is still there", c)
			}
			rec := b.record(s.staff[0])
			if rec.Calendar != nil || len(rec.Retiring) > 0 || rec.State != "none" {
				b.t.Fatalf("record %+v", rec)
			}
			if recs, err := b.store.TasksOf(b.t.Context(), s.staff[0]); err != nil || len(recs) > 0 {
				b.t.Fatalf("tasks are still remembered: %+v, %v", recs, err)
			}
		}},
		{"a calendar deleted by hand", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			must(b.t, b.google.DeleteCalendar(s.first[s.staff[0]]))
			return people(s, queue.CauseReconcile)
		}, func(b *bench, s *scene) {
			b.want(s.staff[0], b.hour(9), b.hour(12))
			wantShares(b, "olena@provider.example", 2)
		}},
		{"a rebuild", staffedWith("Olena"), func(b *bench, s *scene) []delivery {
			asked, err := b.store.AskRebuild(b.t.Context(), s.staff[0])
			must(b.t, err)
			if !asked {
				b.t.Fatal("not asked")
			}
			b.google.ResetRequests()
			return people(s, queue.CauseConsole)
		}, func(b *bench, s *scene) {
			b.want(s.staff[0], b.hour(9), b.hour(12))
			if b.calendar(s.staff[0]) != s.first[s.staff[0]] {
				b.t.Fatal("the calendar is another")
			}
			if n := len(b.google.Requests(fakegoogle.Filter{Method: "calendar.events.delete", Committed: true})); n < 2 {
				b.t.Fatalf("%d events were deleted, want both", n)
			}
			wantShares(b, "olena@provider.example", 1)
		}},
		{"a purge", staffedWith("Olena", "Petro"), func(b *bench, s *scene) []delivery {
			// Petro's calendar has nothing of others in it and goes; Olena's stays.
			c := s.first[s.staff[1]]
			must(b.t, b.google.DeleteEvent(c, s.foreign[c]))
			delete(s.foreign, c)
			startPurge(b)
			return []delivery{{employees: s.staff, cause: queue.CauseConsole}}
		}, purged},
		{"a mass dismissal", staffedWith("Anna", "Bohdan", "Daria", "Fedir", "Halyna"), func(b *bench, s *scene) []delivery {
			b.undecided = true
			for _, id := range s.staff {
				must(b.t, b.erp.DismissEmployee(id))
			}
			return []delivery{{employees: s.staff, cause: queue.CauseNotify}}
		}, massHeld},
	}
}

func startPurge(b *bench) {
	b.t.Helper()
	b.use(map[string]any{"enabled": false})
	saved, _, err := b.store.SavedSettings(b.t.Context())
	must(b.t, err)
	must(b.t, b.store.StartPurge(b.t.Context(), store.PurgeRecord{ID: b.newID(), By: account, Calendars: 2, Events: 2}, b.set, saved.Version))
}

// purged requires that nothing of ours is left, and that syncing makes everything
// anew once it is switched on again.
func purged(b *bench, s *scene) {
	b.t.Helper()
	b.clock.advance(time.Minute)
	_, err := b.store.FinishPurge(b.t.Context()) // as Poll does, if it was too early before
	must(b.t, err)
	in, err := b.store.Installation(b.t.Context())
	must(b.t, err)
	if in.Purge.Open() || in.Purge.Stopped || in.Purge.Kept != 1 {
		b.t.Fatalf("purge %+v", in.Purge)
	}
	for n, id := range s.staff {
		if l := b.live(id); len(l) > 0 {
			b.t.Fatalf("employee %d still has %+v", id, l)
		}
		rec := b.record(id)
		if rec.Calendar != nil || len(rec.Retiring) > 0 || rec.State != store.StateNone {
			b.t.Fatalf("record %+v", rec)
		}
		if recs, err := b.store.TasksOf(b.t.Context(), id); err != nil || len(recs) > 0 {
			b.t.Fatalf("tasks are still remembered: %+v, %v", recs, err)
		}
		if stays := n == 0; b.isLive(s.first[id]) != stays {
			b.t.Fatalf("calendar %d stays: %v, want %v", n, !stays, stays)
		}
		for _, e := range b.google.Events(s.first[id]) {
			if b.isLive(s.first[id]) && e.Status != "cancelled" {
				b.t.Fatalf("event %s is left", e.Id)
			}
		}
	}
	b.use(map[string]any{})
	must(b.t, b.store.SaveSettings(b.t.Context(), b.set, account, 1))
	i := b.start(0)
	i.employee(queue.CauseConsole, s.staff...)
	i.rest()
	b.want(s.staff[0], b.hour(9), b.hour(12))
	if b.calendar(s.staff[1]) == "" {
		b.t.Fatal("no calendar after syncing was switched on again")
	}
}

// massHeld requires that three calendars went at most and the others are held,
// shared with nobody, until an admin lets them go.
func massHeld(b *bench, s *scene) {
	b.t.Helper()
	left := 0
	for _, c := range b.google.Calendars() {
		if c.Deleted || c.Primary {
			continue
		}
		left++
		for _, r := range c.Rules {
			if r.Role == "reader" {
				b.t.Fatalf("calendar %s is still shared with somebody who was dismissed", c.ID)
			}
		}
	}
	plan, err := b.store.Held(b.t.Context())
	must(b.t, err)
	if left < 2 || plan.Calendars != left {
		b.t.Fatalf("%d calendars are left, %d are held; want both the same, and at least two", left, plan.Calendars)
	}
	if plan.Since.IsZero() {
		b.t.Fatal("nobody is told of the hold")
	}
	for _, k := range plan.Keys {
		must(b.t, b.store.Allow(b.t.Context(), k.Key))
	}
	i := b.start(0)
	i.rest()
	for _, id := range s.staff {
		if len(b.live(id)) > 0 {
			b.t.Fatalf("the calendar of employee %d is still there after it was let go", id)
		}
	}
}

func wantShares(b *bench, address string, most int) {
	b.t.Helper()
	if n := b.shares(address); n != most {
		b.t.Fatalf("%s was invited %d times, want %d", address, n, most)
	}
}

// TestKilledBetweenAnyTwoEffects kills an instance at its n-th effect (a
// transaction, or a write to Google), for every n of each story; another takes
// up the same message and what is due (rule 2.1).
func TestKilledBetweenAnyTwoEffects(t *testing.T) {
	t.Parallel()
	for _, st := range stories() {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				survived := false
				ok := t.Run(fmt.Sprintf("at effect %d", n), func(t *testing.T) { survived = killAt(t, st, n) })
				if !ok {
					t.FailNow()
				}
				if survived {
					if n < 4 {
						t.Errorf("only %d effects", n-1)
					}
					return
				}
			}
		})
	}
}

func killAt(t *testing.T, st story, n int) (survived bool) {
	b := newBench(t)
	s := &scene{foreign: map[string]string{}, first: map[int64]string{}}
	st.prepare(b, s)
	b.clock.advance(time.Hour)
	mortal := b.start(n)
	messages := st.change(b, s)
	for i := range messages {
		messages[i].id = b.newID()
		mortal.deliver(messages[i])
	}
	survived = mortal.death.state() == nil
	// Google's side of the story may go on while nobody looks; then Pub/Sub
	// delivers again, and Poll runs.
	heir := b.start(0)
	for _, m := range messages {
		for tries := 0; !heir.deliver(m); tries++ {
			if tries > 10 {
				t.Fatal("the message is nacked for ever")
			}
			b.clock.advance(20 * time.Second)
		}
	}
	heir.rest()
	for c, e := range s.foreign {
		for _, have := range b.google.Events(c) {
			if have.Id == e {
				if have.Status == "cancelled" && b.isLive(c) {
					t.Fatal("a foreign event was deleted")
				}
				if b.isLive(c) {
					must(t, b.google.DeleteEvent(c, e)) // out of the way of the comparison
				}
			}
		}
	}
	st.check(b, s)
	b.wantQuiet(s.staff...)
	return survived
}

func (b *bench) isLive(calendar string) bool {
	for _, c := range b.google.Calendars() {
		if c.ID == calendar {
			return !c.Deleted
		}
	}
	return false
}
