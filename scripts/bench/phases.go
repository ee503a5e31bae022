package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// patience is how long a phase may take.
const patience = 20 * time.Minute

// pollEvery is Scheduler's five minutes, scaled as the limit is, but not below the
// time that a notification's change settles in.
func (b *bench) pollEvery() time.Duration {
	return max(5*time.Minute/time.Duration(b.scale), 10*time.Second)
}

// beside polls and plays the dispatcher while f runs, and gives the latencies and
// the number of polls.
func (b *bench) beside(ctx context.Context, p *process, c *changer, every time.Duration, f func() error) (latencies, int, error) {
	until, enough := context.WithCancel(ctx)
	defer enough()
	var l latencies
	var polls int
	var others sync.WaitGroup
	others.Go(func() { l = c.play(ctx, until, every) })
	others.Go(func() {
		for pause(until, b.pollEvery()) == nil {
			if err := p.run(ctx, deployment.Poll); err != nil && ctx.Err() == nil {
				b.say("  a poll failed: %v", err)
			}
			polls++
		}
	})
	others.Go(func() {
		for pause(until, time.Second) == nil {
			c.refresh()
		}
	})
	err := f()
	enough()
	others.Wait()
	return l, polls, err
}

// whole is the product in one process: the first fill, a nightly run with live
// changes, and single changes in the quiet.
func (b *bench) whole(ctx context.Context) error {
	limit := perMinute * b.scale
	b.say("erp-calendar bench: %d employees, %d open tasks, Google answers after %s; %d CPUs, other work on the machine counts in",
		b.employees, b.tasks, b.latency, runtime.NumCPU())
	b.say("Limit: %d requests/min = %d × Google's default %d; instances × %d too; 2 to 5 writes/s per calendar as ever.", limit, b.scale, perMinute, b.scale)
	b.say("The store is the embedded one without fsync; its operations are counted as Firestore bills them: a query counts its documents.\n")
	p, err := b.process(ctx, limit, taskPushes*b.scale, employeePushes*b.scale, deployment.Notify, deployment.SyncTask, deployment.SyncEmployee, deployment.Reconcile, deployment.Poll)
	if err != nil {
		return err
	}
	c := &changer{b: b, moving: map[int64]bool{}}
	phases := []func(context.Context, *process, *changer) error{b.fill, b.night, b.single}
	if b.fillOnly {
		phases = []func(context.Context, *process, *changer) error{b.fill, b.single}
	}
	for _, f := range phases {
		if err := f(ctx, p, c); err != nil {
			return errors.Join(err, p.end())
		}
	}
	return b.finish(ctx, p, "all of them, scaled")
}

func (b *bench) fill(ctx context.Context, p *process, c *changer) error {
	// The first poll is the watermark's moment, before anything happens.
	if err := p.run(ctx, deployment.Poll); err != nil {
		return err
	}
	want := b.fillIdeal()
	began := b.begin()
	var profiled sync.WaitGroup
	if b.profile != "" {
		profiled.Go(func() {
			if err := p.profile(ctx, 60, b.profile); err != nil {
				b.say("  no profile: %v", err)
			}
		})
	}
	defer profiled.Wait()
	order := command{Employees: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}
	if b.bySingle {
		order.IDs, order.Size = b.employeeIDs(), 1
	}
	var took time.Duration
	var done calls
	var after status
	live, polls, err := b.beside(ctx, p, c, b.every, func() error {
		if err := p.publish(ctx, order); err != nil {
			return err
		}
		for !c.refresh() {
			if time.Since(began) > patience {
				wrong := b.judge.Differences()
				return fmt.Errorf("the first fill is not done after %s: %d faults: %s", patience, len(wrong), strings.Join(wrong[:min(len(wrong), 3)], "; "))
			}
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return err
			}
		}
		took = time.Since(began)
		done = b.callsSince(began)
		var err error
		after, err = p.status(ctx)
		return err
	})
	if err != nil {
		return err
	}
	rested, err := p.rest(ctx, patience)
	if err != nil {
		return err
	}
	if b.allocations != "" {
		if err := p.save(ctx, "/bench/allocations", b.allocations); err != nil {
			return err
		}
	}
	events := want.google - 4*b.employees
	if err := b.pollAfterFill(ctx, p, rested); err != nil {
		return err
	}
	b.say("First fill: %d calendars with %d events", b.employees, events)
	b.say("  took                      %.1f s (%.0f calls/s)", took.Seconds(), float64(len(done.arrivals))/took.Seconds())
	changes := done.google["events.update"]
	want.google += changes
	want.erp += changes + 5*polls
	b.say("  beside it                 %d live changes (1 Google and 1 ERP call each) and %d polls (5 ERP calls each) are in the ideal", changes, polls)
	b.sayCalls(done, want.google, want.erp)
	b.sayBudget(done, limitOf(b))
	b.sayLatency("it", live)
	b.sayOperations(after.Operations, events, "event")
	b.say("  allocated                 %.2f GB, %.0f KB an event", float64(after.Allocated)/1e9, float64(after.Allocated)/1e3/float64(events))
	b.atMost("Calendar calls of a first fill / ideal", float64(total(done.google))/float64(want.google), 1.01, "")
	b.atMost("ERP calls of a first fill / ideal", float64(total(done.erp))/float64(want.erp), 1.2, "")
	b.atMost("Allocation of a fill, an event", float64(after.Allocated)/1e3/float64(events), allocationGoal, "KB")
	atLimit := float64(total(done.google)) / (perMinute * 0.97)
	b.say("  at Google's own limit     %.0f min for the calls; %d calendars at 20 an hour take %.0f h", atLimit, b.employees, max(0, float64(b.employees-20)/20))
	b.right("after the first fill")
	// The quick form's calendars may all be complete at once, and nothing be left to
	// move beside the fill.
	b.holds((len(live.took) > 0 || b.bySingle) && live.lost == 0, "of %d live changes beside the fill %d were not made", len(live.took), live.lost)
	b.say("")
	return nil
}

// allocationGoal is half of what an event of a first fill allocated, in KB, when this
// was first measured.
const allocationGoal = 325

// pollAfterFill is the poll that comes first after a fill.
func (b *bench) pollAfterFill(ctx context.Context, p *process, before status) error {
	if err := p.run(ctx, deployment.Poll); err != nil {
		return err
	}
	after, err := p.status(ctx)
	if err != nil {
		return err
	}
	b.atMost("Reads of a poll right after a fill", float64(after.Operations.Reads-before.Operations.Reads), 200, "documents")
	_, err = p.rest(ctx, patience)
	return err
}

func limitOf(b *bench) int { return perMinute * b.scale }

func (b *bench) night(ctx context.Context, p *process, c *changer) error {
	want := b.nightIdeal()
	began := b.begin()
	before, err := p.status(ctx)
	if err != nil {
		return err
	}
	var done calls
	var after status
	live, polls, err := b.beside(ctx, p, c, b.every, func() error {
		if err := p.run(ctx, deployment.Reconcile); err != nil {
			return err
		}
		// Live changes are messages, too: it is done when each calendar was listed.
		for b.meter.listed() < b.employees {
			if time.Since(began) > patience {
				return fmt.Errorf("the nightly run is not done after %s", patience)
			}
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return err
			}
		}
		done = b.callsSince(began)
		var err error
		after, err = p.status(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := p.rest(ctx, patience); err != nil {
		return err
	}
	changes := done.google["events.update"]
	b.say("Nightly run with live changes beside it")
	b.say("  took                      %.1f s (%.0f calls/s)", done.took.Seconds(), float64(len(done.arrivals))/done.took.Seconds())
	b.sayCalls(done, want.google+changes, want.erp+changes+5*polls)
	b.sayBudget(done, limitOf(b))
	b.sayLatency("it", live)
	b.sayOperations(after.Operations.minus(before.Operations), b.employees, "employee")
	b.say("  at Google's own limit     %.1f min", float64(total(done.google))/(perMinute*0.97))
	b.holds(live.lost == 0, "of %d live changes beside the nightly run %d were not made", len(live.took), live.lost)
	b.say("")
	return nil
}

// single makes changes one after another while nothing else happens.
func (b *bench) single(ctx context.Context, p *process, c *changer) error {
	const n = 30
	c.refresh()
	before, err := p.rest(ctx, patience)
	if err != nil {
		return err
	}
	began := b.begin()
	var l latencies
	var each []operations
	last := before
	for range n {
		took, ok := c.move(ctx)
		if !ok || took >= lost {
			l.lost++
			continue
		}
		l.took = append(l.took, took)
		now, err := p.rest(ctx, time.Minute)
		if err != nil {
			return err
		}
		each, last = append(each, now.Operations.minus(last.Operations)), now
	}
	done := b.callsSince(began)
	after, err := p.status(ctx)
	if err != nil {
		return err
	}
	b.say("Single changes in the quiet (a task with one executor is moved)")
	b.sayCalls(done, n, n)
	b.sayOperations(after.Operations.minus(before.Operations), n, "change")
	// Of the usual one: some instances read or note something every ten seconds, or every
	// minute, while there is anything to do.
	b.atMost("Firestore reads a change", usual(each, func(o operations) int64 { return o.Reads }), 4, "")
	b.atMost("Firestore writes a change", usual(each, func(o operations) int64 { return o.Writes }), 4, "")
	b.atMost("Firestore transactions a change", usual(each, func(o operations) int64 { return o.Transactions }), 3, "")
	b.sayLatency("nothing", l)
	b.holds(total(done.google) == n, "%d single changes took %d Google calls", n, total(done.google))
	b.say("")
	return nil
}

// usual is the median of one kind of operations.
func usual(each []operations, of func(operations) int64) float64 {
	counts := make([]int64, len(each))
	for i, o := range each {
		counts[i] = of(o)
	}
	slices.Sort(counts)
	if len(counts) == 0 {
		return 0
	}
	return float64(counts[len(counts)/2])
}

// realLimit reconciles some calendars at Google's own limit, unscaled, with live changes
// beside it.
func (b *bench) realLimit(ctx context.Context) error {
	n := min(b.employees, int(b.real.Seconds()*perMinute/60*0.97/2))
	if n == 0 {
		return nil
	}
	p, err := b.process(ctx, perMinute, taskPushes, employeePushes, deployment.Notify, deployment.SyncTask, deployment.SyncEmployee, deployment.Poll)
	if err != nil {
		return err
	}
	c := &changer{b: b, moving: map[int64]bool{}, moves: 10000}
	c.refresh()
	began := b.begin()
	var done calls
	live, _, err := b.beside(ctx, p, c, time.Second, func() error {
		if err := p.publish(ctx, command{Employees: true, IDs: b.employeeIDs()[:n], Size: messageSize, Cause: queue.CauseReconcile, Lane: queue.LaneBulk}); err != nil {
			return err
		}
		for b.meter.listed() < n {
			if time.Since(began) > patience {
				return fmt.Errorf("the reconcile of %d calendars is not done after %s", n, patience)
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
		done = b.callsSince(began)
		return nil
	})
	if err == nil {
		_, err = p.rest(ctx, patience)
	}
	if err != nil {
		return errors.Join(err, p.end())
	}
	b.say("Unscaled, at Google's own %d/min and with 2 + 10 instances: %d calendars reconciled", perMinute, n)
	b.say("  took                      %.1f s; budget used %.1f %%", done.took.Seconds(), 100*done.used(perMinute))
	b.sayLatency("it", live)
	b.say("")
	return b.finish(ctx, p, "all of them, unscaled")
}

// nightly is the nightly run alone, in one instance of SyncEmployee.
func (b *bench) nightly(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), taskConcurrency, employeeConcurent, deployment.SyncEmployee)
	if err != nil {
		return err
	}
	before, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.end())
	}
	want := b.nightIdeal()
	began := b.begin()
	err = p.publish(ctx, command{Employees: true, Cause: queue.CauseReconcile, Lane: queue.LaneBulk})
	after := before
	if err == nil {
		after, err = p.rest(ctx, patience)
	}
	if err != nil {
		return errors.Join(err, p.end())
	}
	done := b.callsSince(began)
	b.say("Nightly run without drift, one instance of SyncEmployee alone")
	b.say("  took                      %.1f s", done.took.Seconds())
	b.sayCalls(done, want.google, want.erp)
	b.sayOperations(after.Operations.minus(before.Operations), b.employees, "employee")
	b.holds(done.writes() == 0, "a nightly run without drift wrote %d times", done.writes())
	b.say("")
	return b.finish(ctx, p, deployment.SyncEmployee)
}

// polls are Poll alone: idle ones, then one that finds many changes.
func (b *bench) polls(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), 1, 1, deployment.Poll)
	if err != nil {
		return err
	}
	// This poll brings the changes of the last phases.
	if err := p.run(ctx, deployment.Poll); err != nil {
		return errors.Join(err, p.end())
	}
	recent := 0
	for _, t := range b.erp.Tasks() {
		if !t.Updated.Before(b.began) {
			recent++
		}
	}
	const n = 5
	before, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.end())
	}
	began := b.begin()
	for range n {
		if err := p.run(ctx, deployment.Poll); err != nil {
			return errors.Join(err, p.end())
		}
	}
	done := b.callsSince(began)
	after, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.end())
	}
	b.say("Poll, %d times with nothing new (%d tasks changed in the last 15 minutes are read again, in hundreds)", n, recent)
	b.sayCalls(done, 0, n*(5+ceil(recent, 100)))
	b.sayOperations(after.Operations.minus(before.Operations), n, "poll")
	b.say("  took                      %s each", short(done.took/n))
	b.holds(total(done.erp) <= n*(5+ceil(recent, 100)), "an idle poll takes %d ERP calls", total(done.erp)/n)
	if err := b.edit(min(1900-recent, b.tasks/2)); err != nil {
		return errors.Join(err, p.end())
	}
	began = b.begin()
	if err := p.run(ctx, deployment.Poll); err != nil {
		return errors.Join(err, p.end())
	}
	done = b.callsSince(began)
	b.say("  a poll that finds %-7d %s", min(1900-recent, b.tasks/2), short(done.took))
	b.say("")
	return b.finish(ctx, p, deployment.Poll)
}

// edit changes tasks without a notification and without an effect on their events.
func (b *bench) edit(n int) error {
	for _, t := range b.erp.Tasks()[:max(0, n)] {
		if err := b.erp.UpdateTask(t.ID, func(t *fakeerp.Task) { t.DeadlineHours++ }); err != nil {
			return err
		}
	}
	return nil
}

// burst is one instance of SyncTask that has to make many changes.
func (b *bench) burst(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), taskConcurrency, employeeConcurent, deployment.SyncTask)
	if err != nil {
		return err
	}
	var ids []int64
	events := 0
	for _, t := range b.erp.Tasks() {
		if len(ids) == min(1000, b.tasks/4) {
			break
		}
		if t.Todo.Before(b.judge.Since) {
			continue
		}
		if err := b.erp.MoveTask(t.ID, t.Todo.Add(30*time.Minute)); err != nil {
			return errors.Join(err, p.end())
		}
		ids = append(ids, t.ID)
		events += len(t.Executors)
	}
	before, err := p.status(ctx)
	if err != nil {
		return errors.Join(err, p.end())
	}
	began := b.begin()
	err = p.publish(ctx, command{IDs: ids, Size: messageSize, Cause: queue.CauseNotify, Lane: queue.LaneLive})
	after := before
	if err == nil {
		after, err = p.rest(ctx, patience)
	}
	if err != nil {
		return errors.Join(err, p.end())
	}
	done := b.callsSince(began)
	b.say("%d tasks moved at once, one instance of SyncTask alone", len(ids))
	b.say("  took                      %.1f s; budget used %.1f %%; nacked messages %d", done.took.Seconds(), 100*done.used(limitOf(b)), after.Nacked-before.Nacked)
	b.sayCalls(done, events, ceil(len(ids), 10))
	b.sayOperations(after.Operations.minus(before.Operations), len(ids), "change")
	b.say("")
	return b.finish(ctx, p, deployment.SyncTask)
}

// small are the functions that only pass on.
func (b *bench) small(ctx context.Context) error {
	p, err := b.process(ctx, limitOf(b), 1, 1, deployment.Notify)
	if err != nil {
		return err
	}
	b.tell(nil)
	ids := make([]int64, 1000)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	var sending sync.WaitGroup
	var mu sync.Mutex
	for range 20 {
		sending.Go(func() {
			for range 10 {
				if e := b.send(ctx, p, fakeerp.TaskChanged, ids); e != nil {
					mu.Lock()
					err = errors.Join(err, e)
					mu.Unlock()
				}
			}
		})
	}
	sending.Wait()
	if err != nil {
		return errors.Join(err, p.end())
	}
	if err := b.finish(ctx, p, deployment.Notify); err != nil {
		return err
	}
	if p, err = b.process(ctx, limitOf(b), 1, 1, deployment.Reconcile); err != nil {
		return err
	}
	for range 20 {
		if err := p.run(ctx, deployment.Reconcile); err != nil {
			return errors.Join(err, p.end())
		}
	}
	return b.finish(ctx, p, deployment.Reconcile)
}

// end judges the calendars and the memory.
func (b *bench) end(context.Context) error {
	b.say("Peak memory (limit %d MiB; the processes hold the embedded store and a Pub/Sub of their own besides)", memoryLimit>>20)
	for _, p := range b.peaks {
		b.say("  %-24s resident %.0f MiB, without mapped files %.0f MiB, Go heap %.0f MiB: %.2f of the limit", p.what,
			mib(p.HWM), mib(p.Anonymous), mib(p.Heap), float64(p.HWM)/memoryLimit)
		b.holds(p.HWM < memoryLimit, "%s took %.0f MiB", p.what, mib(p.HWM))
	}
	if b.right("at the end") {
		b.say("All %d calendars are right at the end. %.0f s in all.", b.employees, time.Since(b.began).Seconds())
	}
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
