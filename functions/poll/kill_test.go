package poll_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/functions/poll"
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// mortal is an instance that dies at its at-th effect: each message that is
// published and each thing that is remembered is one.
type mortal struct {
	*store.Store
	w     *world
	at, n int
}

var errKilled = errors.New("the instance was killed")

func (m *mortal) effect() error {
	m.n++
	if m.at > 0 && m.n >= m.at {
		return errKilled
	}
	return nil
}

func (m *mortal) SaveTaskPoll(ctx context.Context, rec store.TaskPollRecord) error {
	if err := m.effect(); err != nil {
		return err
	}
	return m.Store.SaveTaskPoll(ctx, rec)
}

func (m *mortal) SaveEmployeePoll(ctx context.Context, rec store.EmployeePollRecord) error {
	if err := m.effect(); err != nil {
		return err
	}
	return m.Store.SaveEmployeePoll(ctx, rec)
}

func (m *mortal) SaveAlarms(ctx context.Context, alarms map[string]string) error {
	if err := m.effect(); err != nil {
		return err
	}
	return m.Store.SaveAlarms(ctx, alarms)
}

func (m *mortal) RunSent(ctx context.Context, due time.Time) error {
	if err := m.effect(); err != nil {
		return err
	}
	return m.Store.RunSent(ctx, due)
}

// Publish may accept some of the messages before it fails, as Pub/Sub may.
func (m *mortal) Publish(ctx context.Context, topic string, messages ...queue.Message) error {
	for _, one := range messages {
		if err := m.effect(); err != nil {
			return err
		}
		if err := m.w.Publish(ctx, topic, one); err != nil {
			return err
		}
	}
	return nil
}

// Whenever a poll is killed or Pub/Sub fails, what it had found is published by it
// or by the next two.
func TestNothingIsLostByAKillBetweenAnyTwoEffects(t *testing.T) {
	effects := 0
	for at := 0; at <= effects; at++ {
		w := newWorld(t)
		for id := range calendarsync.TaskID(130) {
			w.change(id+1, time.Hour, open)
			w.tasks[id+1].executors = []calendarsync.EmployeeID{calendarsync.EmployeeID(id%7 + 1)}
		}
		for id := range calendarsync.EmployeeID(3) {
			w.people[id+1] = person("A", "a@example.com", nil)
		}
		w.must("first", nil)
		// Task 130 has an event of employee 60.
		lease, _, err := w.store.AcquireTask(t.Context(), 130, store.Claim{TTL: time.Minute, Token: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.SettleTask(t.Context(), &lease, store.TaskOutcome{Concerned: []int64{60}}); err != nil {
			t.Fatal(err)
		}
		delete(w.tasks, 130) // missing once, and the second time in the poll that dies
		w.must("missing once", nil)
		for id := range calendarsync.TaskID(120) {
			w.change(id+1, -time.Minute, open)
		}
		w.people[2] = person("B", "b@example.com", nil)
		for _, key := range []store.Key{store.TaskKey(125), store.EmployeeKey(3)} {
			if err := w.store.MarkDirty(t.Context(), key, w.now); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.store.PutOffRun(t.Context(), "console", "source"); err != nil {
			t.Fatal(err)
		}
		dying := &mortal{Store: w.store, w: w, at: at}
		w.published = sent{}
		w.now = w.now.Add(5 * time.Minute)
		answer := httptest.NewRecorder()
		poll.New(poll.Config{TaskTopic: "tasks", EmployeeTopic: "employees"},
			poll.Deps{ERP: w, Settings: w, Store: dying, Publisher: dying, Log: slog.New(slog.DiscardHandler)}).
			ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		if at == 0 {
			effects = dying.n
		} else if answer.Code != http.StatusServiceUnavailable {
			t.Errorf("killed at effect %d: answered %d", at, answer.Code)
		}
		all := map[string][]int64{}
		runs := 0
		gather := func() {
			for topic, messages := range w.published {
				for _, m := range messages {
					all[topic] = append(all[topic], m.IDs...)
					if m.All {
						runs++
					}
				}
			}
		}
		gather()
		for range 2 {
			if code, _ := w.poll(); code != http.StatusOK {
				t.Fatalf("killed at effect %d: the next poll answered %d", at, code)
			}
			gather()
		}
		for _, id := range []int64{1, 50, 98, 125} {
			if !slices.Contains(all["tasks"], id) {
				t.Errorf("killed at effect %d of %d: task %d was never published", at, effects, id)
			}
		}
		// Tasks beyond the live share go by whom they concern: 119 by 7, 120 by 1, 130
		// by 60. 2 has changed, 3 is due.
		for _, id := range []int64{1, 2, 3, 7, 60} {
			if !slices.Contains(all["employees"], id) {
				t.Errorf("killed at effect %d of %d: employee %d was never published", at, effects, id)
			}
		}
		if runs == 0 {
			t.Errorf("killed at effect %d of %d: the full run was never published", at, effects)
		}
		w.must("at rest", sent{"tasks": {message(queue.CauseRetry, queue.LaneLive, 125)}, "employees": {message(queue.CauseRetry, queue.LaneBulk, 3)}})
	}
	t.Logf("a poll of %d effects was killed at each", effects)
}
