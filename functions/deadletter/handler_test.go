package deadletter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/erp-calendar/erp-calendar/functions/deadletter"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/bolt"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "db"), time.Now, bolt.NoSync())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return store.New(b)
}

func push(t *testing.T, data string, attributes map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"message":      map[string]any{"data": []byte(data), "attributes": attributes, "messageId": "m9"},
		"subscription": "projects/p/subscriptions/dead-letters",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func take(s deadletter.Store, body string) (status int, log string) {
	var out bytes.Buffer
	w := httptest.NewRecorder()
	deadletter.New(deadletter.Config{TaskTopic: "projects/p/topics/work-a", EmployeeTopic: "work-b"}, deadletter.Deps{Store: s, Log: logging.New(&out, "p")}).
		ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	return w.Code, out.String()
}

func TestEveryKeyIsRecorded(t *testing.T) {
	const data = `{"ids":[3,7],"cause":"poll"}`
	const sub, count = "CloudPubSubDeadLetterSourceSubscription", "CloudPubSubDeadLetterSourceDeliveryCount"
	for name, c := range map[string]struct {
		attributes map[string]string
		collection string
		attempts   int
	}{
		"tasks by the topic":               {map[string]string{"topic": "work-a", sub: "x", count: "100", "lane": "bulk"}, "tasks", 100},
		"employees by the topic":           {map[string]string{"topic": "work-b", sub: "task", count: "5"}, "employees", 5},
		"tasks by the topic's name":        {map[string]string{sub: "work-a-push"}, "tasks", 0},
		"employees by the topic's name":    {map[string]string{sub: "projects/p/subscriptions/work-b-push"}, "employees", 0},
		"tasks by the subscription's word": {map[string]string{sub: "sync-task"}, "tasks", 0},
		"employees by its word":            {map[string]string{sub: "employee-changes-push"}, "employees", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if status, log := take(s, push(t, data, c.attributes)); status != 204 || strings.Contains(log, `"alarm"`) || strings.Count(log, "\n") != 1 {
				t.Fatalf("answered %d, logged %s", status, log)
			}
			got, err := s.DeadLetters(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			want := []store.DeadLetterRecord{
				{Collection: c.collection, Key: 3, Cause: "poll", Attempts: c.attempts},
				{Collection: c.collection, Key: 7, Cause: "poll", Attempts: c.attempts},
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.DeadLetterRecord{}, "ID", "At"),
				cmpopts.SortSlices(func(a, b store.DeadLetterRecord) bool { return a.Key < b.Key })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatPointsToNoKeyIsAnAlarm(t *testing.T) {
	for name, body := range map[string]string{
		"no envelope":      `nonsense`,
		"data unreadable":  push(t, `{"ids":["MARKER"]}`, map[string]string{"topic": "work-a"}),
		"a full run":       push(t, `{"all":true,"cause":"reconcile"}`, map[string]string{"topic": "work-b"}),
		"no topic":         push(t, `{"ids":[1],"cause":"poll"}`, nil),
		"an unclear topic": push(t, `{"ids":[1],"cause":"poll"}`, map[string]string{"CloudPubSubDeadLetterSourceSubscription": "task-or-employee"}),
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			status, log := take(s, body)
			if status != 204 {
				t.Errorf("answered %d: it would come back for ever", status)
			}
			var entry map[string]any
			if err := json.Unmarshal([]byte(log), &entry); err != nil {
				t.Fatal(err)
			}
			if entry["severity"] != "ERROR" || entry["alarm"] != string(logging.DeadLetterUnreadable) || entry["incident"] == "" || entry["incident"] == nil {
				t.Errorf("logged %s", log)
			}
			if strings.Contains(log, "MARKER") {
				t.Errorf("the data is in the log: %s", log)
			}
			if got, err := s.DeadLetters(t.Context(), 1); err != nil || len(got) > 0 {
				t.Errorf("recorded %v, %v", got, err)
			}
		})
	}
}

type down struct{}

func (down) RecordDeadLetter(context.Context, store.Key, string, int) error {
	return errors.New("down")
}

func (down) AdvanceRun(context.Context, string, ...store.RunResult) (bool, error) {
	return false, errors.New("down")
}

func TestAFullRunEndsThoughAMessageOfItGaveUp(t *testing.T) {
	s := open(t)
	parts, err := s.StartRun(t.Context(), "night", "reconcile", []int{2})
	if err != nil {
		t.Fatal(err)
	}
	m := push(t, `{"ids":[3,7],"cause":"reconcile"}`, map[string]string{"topic": "work-b", "run": parts[0]})
	for range 2 { // Pub/Sub may send a dead letter twice
		if status, log := take(s, m); status != 204 {
			t.Fatalf("answered %d, logged %s", status, log)
		}
	}
	run, _, err := s.LastRun(t.Context(), "reconcile")
	if err != nil || run.Ended.IsZero() || run.Done != 2 || run.Failed != 2 {
		t.Errorf("run %+v, %v", run, err)
	}
}

func TestAStoreThatIsDownGetsItAgain(t *testing.T) {
	status, _ := take(down{}, push(t, `{"ids":[1],"cause":"poll"}`, map[string]string{queue.AttributeTopic: "work-a"}))
	if status != 503 {
		t.Errorf("answered %d", status)
	}
}
