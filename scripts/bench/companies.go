package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// employeesTasks is the size of a company.
type employeesTasks struct{ employees, tasks int }

// mostEmployees are those of the largest of the small companies, whose fill lasts long
// enough to change something beside it.
const mostEmployees = 50

// companies fills small companies at Google's own limit, with the instances of
// production: what a limit that is raised hides.
func (b *bench) companies(ctx context.Context) error {
	sizes := []employeesTasks{{1, 205}, {5, 150}, {20, 400}, {mostEmployees, 500}}
	if b.bySingle {
		sizes = []employeesTasks{{2, 16}}
	}
	for _, size := range sizes {
		if err := b.apart(ctx, size, b.companyFilled); err != nil {
			return fmt.Errorf("a company of %d: %w", size.employees, err)
		}
	}
	b.say("")
	return nil
}

// apart runs f on stand-ins and a store of its own at Google's own limit.
func (b *bench) apart(ctx context.Context, size employeesTasks, f func(ctx context.Context, own *bench) error) error {
	own := &bench{options: b.options, dir: filepath.Join(b.dir, fmt.Sprintf("company-%d-%d", size.employees, len(b.goals))), began: time.Now()}
	own.employees, own.tasks, own.scale, own.profile = size.employees, size.tasks, 1, ""
	if err := os.MkdirAll(own.dir, 0o700); err != nil {
		return err
	}
	stop, err := own.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	err = f(ctx, own)
	b.broken, b.goals = append(b.broken, own.broken...), append(b.goals, own.goals...)
	return err
}

// companyFilled fills a company and tells how much of the limit that used. With five
// calendars and more there is enough to do to use all of it.
func (b *bench) companyFilled(ctx context.Context, own *bench) error {
	p, err := own.process(ctx, perMinute, taskPushes, employeePushes, deployment.Notify, deployment.SyncTask, deployment.SyncEmployee, deployment.Poll)
	if err != nil {
		return err
	}
	events := 0
	for _, o := range own.own {
		events += o.wanted
	}
	began := own.begin()
	var done calls
	c := &changer{b: own, moving: map[int64]bool{}}
	live, _, err := own.beside(ctx, p, c, time.Second, func() error {
		if err := p.publish(ctx, command{Employees: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}); err != nil {
			return err
		}
		for !c.refresh() {
			if time.Since(began) > patience {
				return fmt.Errorf("the fill is not done after %s", patience)
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
		done = own.callsSince(began)
		return nil
	})
	if err == nil {
		_, err = p.rest(ctx, patience)
	}
	if err != nil {
		return errors.Join(err, p.end())
	}
	own.say("A company of %d with %d events, at Google's own %d/min: filled in %.0f s; %d Google calls, %d ERP calls; budget used %.1f %%",
		own.employees, events, perMinute, done.took.Seconds(), total(done.google), total(done.erp), 100*done.used(perMinute))
	own.sayLatency("it", live)
	own.holds(done.refused == 0, "Google refused %d calls for its limits", done.refused)
	own.holds(mostIn(done.arrivals, time.Minute) <= perMinute, "more than %d calls in a minute", perMinute)
	own.right(fmt.Sprintf("after the fill of a company of %d", own.employees))
	switch {
	case own.employees == 1:
		own.atMost(fmt.Sprintf("One calendar of %d events, filled", events), done.took.Seconds(), 45, "s")
	case !own.bySingle:
		if own.employees == mostEmployees {
			own.atMost(fmt.Sprintf("A live change beside a fill at %d/min, p95", perMinute), float64(live.at(0.95).Milliseconds()), 1500, "ms")
		}
		own.atLeast(fmt.Sprintf("A company of %d: share of %d/min used in its fill", own.employees, perMinute), 100*done.used(perMinute), 95, "%")
	}
	return p.end()
}
