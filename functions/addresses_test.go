package functions_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/world"
)

// readBy lists, for each employee, the addresses that read a living calendar of theirs with
// so many events in it.
func readBy(w *world.World, ids []int64, events int) map[int64][]string {
	out := map[int64][]string{}
	for _, c := range w.Google.Calendars() {
		for _, id := range ids {
			if c.Deleted || !strings.Contains(c.Description, " employee="+strconv.FormatInt(id, 10)+" ") || len(w.Google.Events(c.ID)) < events {
				continue
			}
			for _, r := range c.Rules {
				if r.Role == "reader" {
					out[id] = append(out[id], strings.ToLower(r.Value))
				}
			}
		}
	}
	return out
}

// staff hires people whose calendars may be made so many an hour, each with a task.
func staff(t *testing.T, w *world.World, n int) (ids []int64) {
	t.Helper()
	for i := range n {
		ids = append(ids, w.Employee(fmt.Sprintf("Employee%d", i)))
		w.Task(w.Tomorrow(9), ids[i])
	}
	w.Idle()
	for range 40 {
		if len(readBy(w, ids, 1)) == n {
			break
		}
		<-time.After(10 * time.Minute)
		w.Poll()
	}
	<-time.After(3 * time.Hour) // the bucket is full again
	w.Poll()
	return ids
}

func newDomain(t *testing.T, w *world.World, ids []int64) {
	t.Helper()
	w.SetQuiet(true)
	for _, id := range ids {
		setAddress(t, w, id, fmt.Sprintf("e%d@new.example", id))
	}
	w.Poll()
	w.SetQuiet(false)
}

// Rule 5.8: where a new mail domain changes everybody's address, each keeps the old calendar,
// up to date, until the new one gets its turn.
func TestManyNewAddressesAtOnceWaitForTheirTurns(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"CALENDARS_PER_HOUR": "20"}}, func(t *testing.T, w *world.World) {
		ids := staff(t, w, 30)
		newDomain(t, w, ids)
		moved := func() (n int) {
			t.Helper()
			for id, readers := range readBy(w, ids, 1) {
				if len(readers) != 1 {
					t.Errorf("employee %d: read by %v", id, readers)
				}
				if strings.HasSuffix(readers[0], "@new.example") {
					n++
				}
			}
			if blind := len(ids) - len(readBy(w, ids, 1)); blind > 0 {
				t.Errorf("%d people see nothing", blind)
			}
			return n
		}
		if n := moved(); n != 20 {
			t.Errorf("%d of 30 have moved, and 20 may at once", n)
		}
		// Who waits sees what changes meanwhile.
		w.Task(w.Tomorrow(11), ids...)
		w.Idle()
		if n := len(readBy(w, ids, 2)); n != 30 {
			t.Errorf("%d of 30 see the new task", n)
		}
		for range 9 {
			<-time.After(5 * time.Minute)
			w.Poll()
			moved()
		}
		if n := moved(); n != 30 {
			t.Errorf("%d of 30 have moved after three quarters of an hour", n)
		}
	})
}

// However long the queue is, a former address reads for a day at most.
func TestAFormerAddressReadsForADayAtMost(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"CALENDARS_PER_HOUR": "30"}}, func(t *testing.T, w *world.World) {
		ids := staff(t, w, 12)
		w = w.Again(world.Options{Backend: w.Backend(), Env: map[string]string{"CALENDARS_PER_HOUR": "1"}})
		newDomain(t, w, ids[:1])
		newDomain(t, w, ids[1:])
		former := func() (n int) {
			for _, readers := range readBy(w, ids, 0) {
				for _, r := range readers {
					if !strings.HasSuffix(r, "@new.example") {
						n++
					}
				}
			}
			return n
		}
		if n := former(); n < 8 {
			t.Errorf("%d former addresses read, and the others' turns are hours away", n)
		}
		_, err := w.Store.PauseCreations(t.Context(), world.Sub, "quotaExceeded")
		must(t, err)
		for range 26 {
			<-time.After(time.Hour)
			w.Poll()
		}
		if n := former(); n != 0 {
			t.Errorf("%d former addresses read after a day", n)
		}
	})
}

// One change alone costs the former address its access at once, however long the queue is.
func TestANewAddressAloneWaitsForNoTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, world.Options{Env: map[string]string{"CALENDARS_PER_HOUR": "4"}}, func(t *testing.T, w *world.World) {
		ids := staff(t, w, 4)
		for i := range 8 {
			w.Employee(fmt.Sprintf("Hired%d", i))
		}
		w.Idle()
		newDomain(t, w, ids[:1])
		if readers := readBy(w, ids[:1], 0)[ids[0]]; len(readers) != 0 {
			t.Errorf("read by %v", readers)
		}
	})
}
