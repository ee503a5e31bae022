package functions_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// The ERP as it is: what a dispatcher or a script can spoil in it, on the whole system.

// Rule 8.9: a task that spoils every answer that it is in, and an ERP that shows only so many at
// once, stop no other task, no new calendar, no poll and no full run.
func TestOneBadTaskStopsNothingElse(t *testing.T) {
	t.Parallel()
	for _, spoiled := range []fakeerp.Spoiling{fakeerp.SpoiledEmpty, fakeerp.SpoiledCut, fakeerp.SpoiledError, fakeerp.SpoiledPage} {
		for name, spoil := range map[string]func(ways *fakeerp.Ways, bad int64){
			"one is bad":                   func(ways *fakeerp.Ways, bad int64) { ways.BadTasks = []int64{bad} },
			"too many at once":             func(ways *fakeerp.Ways, _ int64) { ways.MaxShow = 25 },
			"one is bad among few at once": func(ways *fakeerp.Ways, bad int64) { ways.BadTasks, ways.MaxShow = []int64{bad}, 25 },
		} {
			t.Run(fmt.Sprintf("%q, %s", spoiled, name), func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{Quiet: true}, func(t *testing.T, w *world.World) {
					anna := w.Employee("Anna")
					w.Reconcile()
					w.Poll() // the first only remembers
					bad := w.Task(w.Tomorrow(9), anna)
					w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.Spoiled = spoiled; spoil(ways, bad) })
					ways := func() (ways fakeerp.Ways) {
						w.ERP.ChangeWays(func(now *fakeerp.Ways) { ways = *now })
						return ways
					}()
					var want []time.Time
					for n := range 40 {
						at := w.Tomorrow(10).Add(time.Duration(n) * time.Minute)
						w.Task(at, anna)
						want = append(want, at)
					}
					if len(ways.BadTasks) == 0 {
						want = append([]time.Time{w.Tomorrow(9)}, want...)
					}
					w.Poll()
					w.WantStarts(anna, want...)

					bohdan := w.Employee("Bohdan")
					must(t, w.ERP.UpdateTask(bad, func(t *fakeerp.Task) { t.Executors = append(t.Executors, bohdan) }))
					w.Task(w.Tomorrow(18), bohdan)
					w.Poll()
					w.Reconcile()
					if got := w.Starts(bohdan); len(got) == 0 || !got[len(got)-1].Equal(w.Tomorrow(18)) {
						t.Errorf("a new calendar holds %v", got)
					}
					if run, found, err := w.Store.LastRun(t.Context(), "reconcile"); err != nil || !found || run.Ended.IsZero() {
						t.Errorf("the full run: %+v, %v", run, err)
					}
					rec, _, err := w.Store.Task(t.Context(), bad)
					if must(t, err); len(ways.BadTasks) > 0 && (rec.Failure == nil || rec.Failure.Kind != failure.SourceInvalid) {
						t.Errorf("the bad one: %+v", rec.Failure)
					}
					w.ERP.ChangeWays(func(ways *fakeerp.Ways) { *ways = fakeerp.Ways{} })
					<-time.After(7 * time.Hour)
					w.Poll()
					w.Poll()
					if got := w.Starts(bohdan); len(got) != 2 {
						t.Errorf("mended, the calendar holds %v", got)
					}
				})
			})
		}
	}
}

// Rule 4.13: an unused type or state that cannot be read stops nobody, and is recorded.
func TestAnUnusedOddEntryStopsNobody(t *testing.T) {
	t.Parallel()
	const unused = 77
	for _, odd := range []any{"1,5", "-1", -1, "1:30", false, true, []any{}, map[string]any{}, "NaN", "abc", nil} {
		for which, spoil := range map[string]func(w *world.World){
			"hours": func(w *world.World) {
				w.ERP.AddType(fakeerp.TaskType{ID: unused, Name: "Unused"})
				w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.OddHours = map[int64]any{unused: odd} })
			},
			"role": func(w *world.World) {
				w.ERP.AddState(fakeerp.TaskState{ID: unused, Name: "Unused", Role: fakeerp.RoleCompleted})
				w.ERP.ChangeWays(func(ways *fakeerp.Ways) { ways.OddRoles = map[int64]any{unused: odd} })
			},
		} {
			t.Run(fmt.Sprintf("%s %v", which, odd), func(t *testing.T) {
				t.Parallel()
				inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
					spoil(w)
					anna := w.Employee("Anna")
					first, second := w.Task(w.Tomorrow(9), anna), w.Task(w.Tomorrow(10), anna)
					w.Idle()
					w.WantStarts(anna, w.Tomorrow(9), w.Tomorrow(10))
					must(t, w.ERP.CloseTask(first))
					must(t, w.ERP.MoveTask(second, w.Tomorrow(11)))
					w.Idle()
					w.WantStarts(anna, w.Tomorrow(11))
					w.Reconcile()
					w.Poll()
					w.WantStarts(anna, w.Tomorrow(11))
				})
			})
		}
	}
}

// Whatever the ERP's spelling of a date is, an event is at its hour, and goes with a date that is
// none (rule 4.1).
func TestDatesOfEverySpelling(t *testing.T) {
	t.Parallel()
	none := []any{
		nil, "", " ", "-", "--", "0000-00-00 00:00:00", "0000-00-00", "00.00.0000", "00.00.0000 00:00", "-0001-11-30 00:00:00", "-0001-11-30",
		"30.11.-0001 00:00", "30.11.-0001", "-0001-11-30T00:00:00", "-0001-11-30T00:00:00+02:02", "-0001-11-30 00:00:00.000000",
	}
	at := func(layout string, shift time.Duration) func(time.Time) string {
		return func(at time.Time) string { return at.Add(shift).Format(layout) }
	}
	utc := func(layout string) func(time.Time) string {
		return func(at time.Time) string { return at.UTC().Format(layout) }
	}
	spelled := []func(time.Time) string{
		at("2006-01-02 15:04:05", 0), at("2006-01-02 15:04", 0), at("02.01.2006 15:04:05", 0), at("02.01.2006 15:04", 0), at("02.01.2006, 15:04", 0),
		at("02.01.2006,15:04", 0), at("2006-01-02T15:04:05", 0), at("2006-01-02T15:04", 0), at("2006-01-02 15:04:05.000", 0), at("  2006-01-02   15:04 ", 0),
		at("2006-01-02T15:04:05Z07:00", 0), at("2006-01-02T15:04:05-0700", 0), at("2006-01-02 15:04:05 -07", 0), at("2006-01-02T15:04:05.000-07:00", 0),
		utc("2006-01-02T15:04:05Z"), utc("2006-01-02 15:04Z"), utc("2006-01-02T15:04:05.123Z"), utc("2006-01-02T15:04:05+00:00"),
	}
	endOf := func(layout, hour string) func(time.Time) string {
		return func(at time.Time) string { return at.AddDate(0, 0, -1).Format(layout) + hour }
	}
	midnight := []func(time.Time) string{
		endOf("2006-01-02", " 24:00"), endOf("2006-01-02", " 24:00:00"), endOf("02.01.2006", ", 24:00"), endOf("2006-01-02", "T24:00:00"),
	}
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		anna := w.Employee("Anna")
		task := w.Task(w.Tomorrow(9), anna)
		w.Idle()
		w.WantStarts(anna, w.Tomorrow(9))
		tell := func(value any, want ...time.Time) {
			t.Helper()
			said := w.ERP.Inject(fakeerp.Rule{Action: "show", Count: -1, Fault: fakeerp.Replace("date.todo", value)})
			defer said()
			w.Notify("task.changed", task)
			w.Idle()
			got := w.Starts(anna)
			if len(got) != len(want) || len(want) == 1 && !got[0].Equal(want[0]) {
				t.Fatalf("%q: events at %v, want %v", value, got, want)
			}
		}
		for i, spell := range append(spelled, midnight...) {
			hour := 10 + i%8
			if i >= len(spelled) {
				hour = 0
			}
			tell(spell(w.Tomorrow(hour)), w.Tomorrow(hour))
			tell(none[i%len(none)])
		}
	})
}

// Rule 5.1: an address that changes to itself with a character that nobody sees costs nothing.
func TestAnAddressWithWhatNobodySeesIsTheSame(t *testing.T) {
	t.Parallel()
	hidden := []rune{0xAD, 0x34F, 0x61C, 0x115F, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E,
		0x2060, 0x2061, 0x2064, 0x2066, 0x2069, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xE0001, 0xE0100}
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		before := w.Calendar(who)
		for _, r := range hidden {
			c := string(r)
			for _, address := range []string{
				c + "olena@provider.example", "ole" + c + "na@provider.example", "olena" + c + "@provider.example", "olena@" + c + "provider.example",
				"olena@provider.ex" + c + c + "ample", "olena@provider.example" + c, " " + c + " Olena@provider.example" + c + " ",
			} {
				setAddress(t, w, who, address)
				w.Idle()
				if got := w.Calendar(who); got != before {
					t.Fatalf("U+%04X, %q: the calendar is %q", r, address, got)
				}
				wantReaders(t, w, before, "olena@provider.example")
			}
		}
		<-time.After(30 * time.Minute)
		w.Poll()
		w.Reconcile()
		for _, c := range w.Calls() {
			if strings.HasPrefix(c.Method, "calendar.calendars.") && c.Method != "calendar.calendars.get" || strings.HasPrefix(c.Method, "calendar.acl.") && c.Method != "calendar.acl.list" {
				t.Errorf("%s", c.Method)
			}
		}
	})
}

// Rule 4.1: a checkbox that is not ticked is off in every spelling, in the three languages in which
// the ERP is sold; ticked it is on in every spelling.
func TestACheckboxIsOffInEverySpelling(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{}, func(t *testing.T, w *world.World) {
		who := withCalendars(t, w, "Olena")[0]
		for _, on := range []string{"1", "Так", "так ", "Да", "yes", "Y", "true", "on", "1.0", "+", "увімкнено", "Включено"} {
			for _, off := range []string{
				"", " ", "0", "0.0", "0,00", "00", "-0", "false", "False", "no", "N", "n", "off", "Disabled",
				"Ні", "НІ ", "ні", "Н", "Вимк", "вимкнено", "Відключено", "Нет", "нет", "н", "Выкл", "Выключено", "отключено", "Н\u200bет",
			} {
				if off != "0" && on != "1" {
					continue // each of either once
				}
				must(t, w.ERP.SetField(who, world.Binding, off))
				w.Idle()
				if got := w.Calendar(who); got != "" {
					t.Fatalf("%q: calendar %q", off, got)
				}
				must(t, w.ERP.SetField(who, world.Binding, on))
				w.Idle()
				if got := w.Calendar(who); got == "" {
					t.Fatalf("%q after %q: no calendar", on, off)
				}
				wantReason(t, w, who, store.StateActive, "")
				<-time.After(25 * time.Hour) // the delete guard lets three go in a day
			}
		}
	})
}
