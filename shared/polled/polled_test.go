package polled_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/polled"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// remembered is what a test has Poll remember.
type remembered struct {
	tasks     store.TaskPollRecord
	employees store.EmployeePollRecord
	err       error
	reads     int
}

func (r *remembered) TaskPoll(context.Context) (store.TaskPollRecord, bool, error) {
	r.reads++
	return r.tasks, r.err == nil, r.err
}

func (r *remembered) EmployeePoll(context.Context) (store.EmployeePollRecord, bool, error) {
	r.reads++
	return r.employees, r.err == nil, r.err
}

// Rule 8.2: what is not certain to be in Poll's list counts as not listed.
func TestWhatCountsAsListed(t *testing.T) {
	began := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	shown, err := store.PackIDs([]int64{7, 9})
	if err != nil {
		t.Fatal(err)
	}
	good := func() *remembered {
		return &remembered{
			tasks:     store.TaskPollRecord{Shown: shown, Before: began},
			employees: store.EmployeePollRecord{Hashes: map[string]string{"7": "digest"}},
		}
	}
	for name, c := range map[string]struct {
		id   int64
		bend func(*remembered)
		at   time.Duration // since the list
		task bool
		card bool
	}{
		"listed":                       {id: 7, at: time.Minute, task: true, card: true},
		"not listed":                   {id: 8, at: time.Minute},
		"listed too long ago":          {id: 7, at: 10 * time.Minute, card: true},
		"before the first poll":        {id: 7, bend: func(r *remembered) { *r = remembered{} }},
		"the time of it is not known":  {id: 7, bend: func(r *remembered) { r.tasks.Before = time.Time{} }, card: true},
		"during a mass change":         {id: 7, bend: func(r *remembered) { r.tasks.Flood = shown }, card: true},
		"it cannot be read":            {id: 7, bend: func(r *remembered) { r.err = errors.New("away") }},
		"what is remembered is damage": {id: 7, bend: func(r *remembered) { r.tasks.Shown = []byte{9, 9} }, card: true},
		"the card was otherwise":       {id: 7, bend: func(r *remembered) { r.employees.Hashes["7"] = "another" }, task: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			if c.bend != nil {
				c.bend(r)
			}
			at := began.Add(c.at)
			l := polled.New(r, func() time.Time { return at }, slog.New(slog.DiscardHandler))
			if got := l.Task(t.Context(), calendarsync.TaskID(c.id), at); got != c.task {
				t.Errorf("the task: %v", got)
			}
			if got := l.Card(t.Context(), calendarsync.EmployeeID(c.id), "digest"); got != c.card {
				t.Errorf("the card: %v", got)
			}
		})
	}
}

// A fill asks for each of its tasks, and the lists are read once a minute.
func TestTheListsAreReadOnceAMinute(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r := &remembered{}
	l := polled.New(r, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	for _, want := range []int{1, 1, 2} {
		for id := range calendarsync.TaskID(100) {
			l.Task(t.Context(), id, now)
		}
		if r.reads != want {
			t.Errorf("read %d times, want %d", r.reads, want)
		}
		now = now.Add(30 * time.Second)
	}
}
