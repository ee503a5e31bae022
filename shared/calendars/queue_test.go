package calendars_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// made lists those who have a calendar, in the order in which they got it.
type made struct {
	b   *bench
	who []int64
	at  []time.Time
}

func (m *made) note(employees []int64) {
	for _, id := range employees {
		if !slices.Contains(m.who, id) && m.b.calendar(id) != "" {
			m.who, m.at = append(m.who, id), append(m.at, m.b.clock.Now())
		}
	}
}

// poll lets time pass for so long, and every five minutes what is due come up one
// by one, the last asked first, each at the next of the instances.
func (m *made) poll(employees []int64, instances []*instance, span time.Duration) {
	b := m.b
	for end := b.clock.Now().Add(span); b.clock.Now().Before(end); b.clock.advance(5 * time.Minute) {
		due, err := b.store.DueKeys(b.t.Context(), store.Employees, b.clock.Now(), 100)
		must(b.t, err)
		for n, id := range slices.Backward(due) {
			instances[n%len(instances)].employee(queue.CauseRetry, id)
			m.note(employees)
		}
	}
}

func (b *bench) waiting() (who []int64, last time.Time) {
	b.t.Helper()
	q, err := b.store.CreationQueue(b.t.Context(), sub, b.clock.Now(), time.Time{})
	must(b.t, err)
	for _, c := range q {
		who, last = append(who, c.Employee), c.At
	}
	return who, last
}

// First asked, first served, whichever instance somebody asks and whoever comes
// first when the bucket is filled again; and as many an hour as it holds (rule 6.5).
func TestCalendarsAreMadeInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.perHour = 2
	instances := []*instance{b.start(0), b.start(0)}
	var asked []int64
	for _, name := range []string{"Olena", "Petro", "Iryna", "Taras", "Maria", "Ivan", "Oksana", "Stepan"} {
		asked = append(asked, b.hire(name))
	}
	asked[2], asked[7] = asked[7], asked[2] // not the order of ids
	began := b.clock.Now()
	m := &made{b: b}
	for n, id := range asked {
		instances[n%2].employee(queue.CauseNotify, id)
		m.note(asked)
		b.clock.advance(time.Second)
	}
	if !slices.Equal(m.who, asked[:2]) {
		t.Fatalf("%v have a calendar at once, want %v", m.who, asked[:2])
	}
	who, last := b.waiting()
	if want := began.Add(3 * time.Hour); !slices.Equal(who, asked[2:]) || last.Sub(want).Abs() > time.Minute {
		t.Errorf("%v wait until %v, want %v until %v", who, last, asked[2:], want)
	}
	for _, id := range asked[2:] {
		if rec := b.record(id); rec.State != store.StatePending || rec.Failure != nil || rec.DueAt.IsZero() || rec.Dirty == 0 {
			t.Errorf("employee %d waits as %s, %+v", id, rec.State, rec.Work)
		}
	}
	// One gives up wanting one: nobody waits for them.
	must(t, b.erp.SetField(asked[3], binding, "0"))
	instances[0].employee(queue.CauseNotify, asked[3])
	want := slices.Delete(slices.Clone(asked), 3, 4)
	if who, _ := b.waiting(); !slices.Equal(who, want[2:]) {
		t.Errorf("%v wait, want %v", who, want[2:])
	}
	// A new process knows as much as the old ones.
	instances = append(instances, b.start(0))
	m.poll(asked, instances, 4*time.Hour)
	if !slices.Equal(m.who, want) {
		t.Errorf("made in the order %v, asked in the order %v", m.who, want)
	}
	for i, at := range m.at {
		due := began.Add(max(0, time.Duration(i-1)*30*time.Minute))
		if late := at.Sub(due); late < -time.Second || late > 36*time.Minute {
			t.Errorf("calendar %d made at %v, its turn was at %v", i, at, due)
		}
		if i >= 3 && at.Sub(m.at[i-3]) < 30*time.Minute {
			t.Errorf("three calendars made from %v to %v", m.at[i-3], at)
		}
	}
	if who, _ := b.waiting(); len(who) > 0 {
		t.Errorf("%v still wait", who)
	}
	instances[2].rest()
	b.wantQuiet(asked...)
}

// Google's refusal costs nobody the place.
func TestAPausedCreationKeepsItsPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.perHour = 1
	instances := []*instance{b.start(0), b.start(0)}
	asked := []int64{b.hire("Olena"), b.hire("Petro"), b.hire("Iryna")}
	slices.Reverse(asked)
	fault := b.google.Inject(fakegoogle.Fault{Method: "calendar.calendars.insert", Status: http.StatusForbidden, Reason: "quotaExceeded", Count: 2})
	for n, id := range asked {
		instances[n%2].employee(queue.CauseNotify, id)
		b.clock.advance(time.Second)
	}
	m := &made{b: b}
	m.poll(asked, instances, 12*time.Hour)
	if fault.Hits() != 2 || !slices.Equal(m.who, asked) {
		t.Errorf("after %d refusals made in the order %v, asked in the order %v", fault.Hits(), m.who, asked)
	}
	for _, id := range asked {
		if rec := b.record(id); rec.Creation != nil {
			t.Errorf("employee %d still asks: %+v", id, rec.Creation)
		}
	}
	b.wantQuiet(asked...)
}

// The length of a pause is the account's: a process just started goes on
// doubling, and a success ends it for all.
func TestAFreshInstanceGoesOnDoublingThePause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method string
		until  func(store.AccountRecord) time.Time
	}{
		"writes":    {"calendar.events.insert", func(a store.AccountRecord) time.Time { return a.PausedUntil }},
		"creations": {"calendar.calendars.insert", func(a store.AccountRecord) time.Time { return a.CreationsPausedUntil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, ids := b.staffed("Olena")
			b.clock.advance(25 * time.Hour) // what a refusal teaches of the day is nothing here
			refuse := func() *fakegoogle.Injected {
				return b.google.Inject(fakegoogle.Fault{Method: c.method, Status: http.StatusForbidden, Reason: "quotaExceeded", Count: -1})
			}
			var newcomer int64
			act := func() {
				t.Helper()
				i := b.start(0) // knows nothing of what others heard
				if name == "writes" {
					i.task(b.addTask(b.hour(9), ids[0]))
				} else {
					if newcomer == 0 { // the refusal teaches a cap of one, which is the first one's
						newcomer = b.hire("Petro")
					}
					i.employee(queue.CauseNotify, newcomer)
				}
			}
			left := func() time.Duration {
				t.Helper()
				a, err := b.store.Account(t.Context())
				must(t, err)
				return max(0, c.until(a).Sub(b.clock.Now()))
			}
			fault := refuse()
			for n, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 6 * time.Hour} {
				act()
				if got := left(); got != want {
					t.Fatalf("pause %d is %v, want %v", n+1, got, want)
				}
				hits := fault.Hits()
				b.clock.advance(want - time.Second)
				act()
				if fault.Hits() != hits {
					t.Fatalf("called %d times during pause %d", fault.Hits()-hits, n+1)
				}
				b.clock.advance(time.Second)
			}
			fault.Remove()
			act()
			if got := left(); got != 0 {
				t.Fatalf("still paused for %v", got)
			}
			newcomer = 0
			b.clock.advance(25 * time.Hour)
			fault = refuse()
			act()
			if got := left(); got != 15*time.Minute {
				t.Errorf("the pause after a success is %v", got)
			}
			fault.Remove()
		})
	}
}
