package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// What the story promises (the README states it).
const (
	storyMedian = time.Second
	storyP95    = 3 * time.Second
	// patience is how long one change may take before the story gives up on it.
	patience = 30 * time.Second
)

// teller plays the story and keeps what it measured.
type teller struct {
	app   *app
	out   io.Writer
	judge deployment.Judge
	took  []time.Duration
	names map[int64]string
}

// playStory connects the account, binds employees, creates, moves, reassigns,
// closes and reopens tasks, and judges every calendar after each step. Its error
// says what was not right.
func playStory(ctx context.Context, a *app, out io.Writer) error {
	if a.google == nil || a.erp == nil {
		return errors.New("-story plays with the stand-ins: unset ERP_* and OAUTH_CLIENT_*")
	}
	t := &teller{app: a, out: out, names: map[int64]string{}}
	for _, e := range a.erp.Employees() {
		t.names[e.ID] = e.Name
	}
	t.judge = judgeOf(a, time.Time{})
	if err := t.connect(ctx); err != nil {
		return err
	}
	if err := t.day(ctx); err != nil {
		return err
	}
	return t.conclude(ctx)
}

func (t *teller) say(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format+"\n", args...) }

func (t *teller) connect(ctx context.Context) error {
	b, err := deployment.NewBrowser(t.app.google)
	if err != nil {
		return err
	}
	base := t.app.opts.BaseURL
	status, body, err := b.Visit(ctx, base+"/Console/", standInAdmin)
	if err != nil {
		return fmt.Errorf("sign in to the console: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("sign in to the console: status %d: %s", status, firstLine(body))
	}
	t.say("The admin %s signs in to the console and connects %s.", standInAdmin, standInAccount)
	began := time.Now()
	status, body, err = b.Visit(ctx, base+"/Console/connect", standInAccount)
	if err != nil {
		return fmt.Errorf("connect the account: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("connect the account: status %d: %s", status, firstLine(body))
	}
	// A calendar begins backfill_hours before its own creation, as its mark says.
	t.judge.Since = began.Add(-24 * time.Hour)
	if err := t.until(ctx, 2*time.Minute); err != nil {
		return fmt.Errorf("first fill: %w", err)
	}
	calendars, err := t.judge.Calendars()
	if err != nil {
		return err
	}
	events := 0
	for _, c := range calendars {
		shown, err := t.judge.Shown(c.ID)
		if err != nil {
			return err
		}
		events += len(shown)
	}
	t.say("%d calendars created, shared and filled with %d events in %.1f s.\n", len(calendars), events, time.Since(began).Seconds())
	return nil
}

// judgeOf is a judge of the stand-ins of a local run.
func judgeOf(a *app, since time.Time) deployment.Judge {
	return deployment.Judge{ERP: a.erp, Google: a.google, BindingField: fakeerp.SampleBindingField, Since: since}
}

// until waits until every calendar is right.
func (t *teller) until(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		wrong := t.judge.Differences()
		if len(wrong) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s still: %s", most, strings.Join(wrong, "; "))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// step makes one change in the ERP and measures until the calendars are right.
func (t *teller) step(ctx context.Context, what string, change func() error) error {
	calls := len(t.app.google.Requests(fakegoogle.Filter{Method: "calendar.*"}))
	began := time.Now()
	if err := change(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := t.until(ctx, patience); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := time.Since(began)
	t.took = append(t.took, took)
	t.say("  %6.0f ms  %d call(s)  %s", float64(took.Microseconds())/1000,
		len(t.app.google.Requests(fakegoogle.Filter{Method: "calendar.*"}))-calls, what)
	return nil
}

func (t *teller) day(ctx context.Context) error {
	zone, err := time.LoadLocation(standInZone)
	if err != nil {
		return err
	}
	now := time.Now().In(zone)
	at := func(days, hour, minute int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+days, hour, minute, 0, 0, zone)
	}
	erp := t.app.erp
	var bound []int64
	for id := range t.judge.Wanted() {
		bound = append(bound, id)
	}
	slices.Sort(bound)
	if len(bound) < 3 {
		return errors.New("the sample company binds fewer than three employees")
	}
	one, two, three := bound[0], bound[1], bound[2]

	t.say("The dispatcher's day (times from the ERP's change to the events):")
	var created []int64
	for i := range 8 {
		who := bound[i%len(bound)]
		if err := t.step(ctx, fmt.Sprintf("new task for %s", t.names[who]), func() error {
			created = append(created, erp.AddTask(fakeerp.Task{
				TypeID: erp.Types()[i%len(erp.Types())].ID, StateID: firstState(erp), Todo: at(1+i%3, 9+i, 0),
				Address: fakeerp.Address{Text: fmt.Sprintf("Sadova St, %d", 10+i)}, Description: "Call before coming", Executors: []int64{who},
			}))
			return nil
		}); err != nil {
			return err
		}
	}
	for i, id := range created {
		if err := t.step(ctx, fmt.Sprintf("task %d moved to another hour", id), func() error {
			return erp.MoveTask(id, at(2+i%2, 10+i%6, 30))
		}); err != nil {
			return err
		}
	}
	var many []int64
	for _, w := range t.judge.Wanted() {
		for id := range w {
			if len(many) < 20 && !slices.Contains(many, id) && !slices.Contains(created, id) {
				many = append(many, id)
			}
		}
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{fmt.Sprintf("task %d reassigned from %s to %s", created[0], t.names[one], t.names[two]), func() error {
			return erp.Reassign(created[0], fakeerp.Reassignment{AddExecutors: []int64{two}, RemoveExecutors: []int64{one}})
		}},
		{fmt.Sprintf("%s joins task %d", t.names[three], created[0]), func() error {
			return erp.Reassign(created[0], fakeerp.Reassignment{AddExecutors: []int64{three}})
		}},
		{fmt.Sprintf("task %d of two executors moved", created[0]), func() error { return erp.MoveTask(created[0], at(1, 16, 0)) }},
		{fmt.Sprintf("task %d closed", created[1]), func() error { return erp.CloseTask(created[1]) }},
		{fmt.Sprintf("task %d reopened", created[1]), func() error { return erp.ReopenTask(created[1]) }},
		{fmt.Sprintf("task %d given back to %s", created[0], t.names[one]), func() error {
			return erp.Reassign(created[0], fakeerp.Reassignment{AddExecutors: []int64{one}, RemoveExecutors: []int64{two, three}})
		}},
		{fmt.Sprintf("task %d edited: address and duration", created[2]), func() error {
			return erp.UpdateTask(created[2], func(k *fakeerp.Task) { k.Address.Text, k.RuntimeHours = "Nova St, 5", 3 })
		}},
		{fmt.Sprintf("task %d deleted", created[3]), func() error { return erp.DeleteTask(created[3]) }},
		{fmt.Sprintf("task %d loses its date", created[4]), func() error { return erp.MoveTask(created[4], time.Time{}) }},
		{fmt.Sprintf("task %d gets a date again", created[4]), func() error { return erp.MoveTask(created[4], at(2, 12, 0)) }},
		{fmt.Sprintf("%d tasks moved at once", len(many)), func() error {
			for _, id := range many {
				k, _ := erp.Task(id)
				if err := erp.MoveTask(id, k.Todo.Add(45*time.Minute)); err != nil {
					return err
				}
			}
			return nil
		}},
		{fmt.Sprintf("%s is bound: a new calendar", t.names[fakeerp.SampleUnbound]), func() error {
			return erp.SetField(fakeerp.SampleUnbound, fakeerp.SampleBindingField, "1")
		}},
		{fmt.Sprintf("%s is unbound: the calendar goes", t.names[fakeerp.SampleUnbound]), func() error {
			return erp.SetField(fakeerp.SampleUnbound, fakeerp.SampleBindingField, "0")
		}},
	}
	for _, s := range steps {
		if err := t.step(ctx, s.what, s.do); err != nil {
			return err
		}
	}
	return nil
}

func firstState(erp *fakeerp.Server) int64 {
	for _, s := range erp.States() {
		if s.Role == fakeerp.RoleNotCompleted {
			return s.ID
		}
	}
	return 0
}

// conclude shows each calendar and the figures, and says what was not right.
func (t *teller) conclude(ctx context.Context) error {
	idle, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := t.app.deployment.PubSub.Idle(idle); err != nil {
		return fmt.Errorf("wait for the queue: %w", err)
	}
	calendars, err := t.judge.Calendars()
	if err != nil {
		return err
	}
	t.say("\nIn the calendars now:")
	for _, e := range t.app.erp.Employees() {
		if c, there := calendars[e.ID]; there {
			shown, err := t.judge.Shown(c.ID)
			if err != nil {
				return err
			}
			t.say("  %-28s %3d events  %s", e.Name, len(shown), c.ID)
		}
	}
	if wrong := t.judge.Differences(); len(wrong) > 0 {
		return fmt.Errorf("not right at the end: %s", strings.Join(wrong, "; "))
	}
	shares := map[string]int{}
	for _, m := range t.app.google.Mails() {
		if m.Kind != "share" {
			return fmt.Errorf("a mail of kind %s was sent to %s", m.Kind, m.To)
		}
		shares[m.CalendarID]++
	}
	for id, n := range shares {
		if n > 1 {
			return fmt.Errorf("calendar %s was shared by %d invitations", id, n)
		}
	}
	sorted := slices.Clone(t.took)
	slices.Sort(sorted)
	median, p95 := sorted[len(sorted)/2], sorted[(len(sorted)*95+99)/100-1]
	t.say("\n%d changes, Google answering after %s: median %.0f ms, p95 %.0f ms, slowest %.0f ms.", len(sorted), t.app.opts.Latency,
		ms(median), ms(p95), ms(sorted[len(sorted)-1]))
	if median >= storyMedian || p95 >= storyP95 {
		return fmt.Errorf("too slow: the median is to be under %s and p95 under %s", storyMedian, storyP95)
	}
	t.say("Every calendar is right.")
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
