package poll

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/logging"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

const (
	// overlap is how far behind the watermark changes are listed again: the ERP may
	// commit a change later than it dates it.
	overlap = 15 * time.Minute
	// overlapAtZoneChange covers the hour that the wall clock jumps or repeats.
	overlapAtZoneChange = 75 * time.Minute
	// maxShown is how many changed tasks are read to skip the unchanged ones. Beyond,
	// after a long pause, a full run costs less than so many single looks.
	maxShown = 2000

	wallFormat = "2006-01-02 15:04:05"
)

// tasks publishes the tasks that changed since the watermark and those that
// vanished, then remembers how far it came.
func (p *pass) tasks(ctx context.Context) error {
	rec, found, err := p.remembered(ctx, RecordTasks)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	erpCtx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	// Before the list: a change made while it is read belongs to the next poll.
	clock, err := p.ERP.Clock(erpCtx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	next := store.PollRecord{Watermark: clock.Local.Wall.Format(wallFormat), Offset: int(clock.Offset / time.Second)}
	next.ClockWrong = p.checkClock(ctx, rec.ClockWrong, clock)
	watermark, err := time.Parse(wallFormat, rec.Watermark)
	first := !found || err != nil
	inList := map[int64]bool{}
	if !first {
		from := watermark.Add(-p.overlap(rec, clock))
		ids, err := p.ERP.ListTasks(erpCtx, userside.TaskFilter{ChangedFrom: calendarsync.LocalTime{Wall: from}})
		if err != nil {
			return fmt.Errorf("poll: list changes: %w", err)
		}
		for _, id := range ids {
			inList[int64(id)] = true
		}
		if next.Changed, err = p.changed(ctx, erpCtx, ids, rec.Changed, clock); err != nil {
			return err
		}
	}
	gone, err := p.vanished(erpCtx, rec, &next, inList)
	if err != nil {
		return err
	}
	if p.sum.Missing, err = p.publishTasks(ctx, gone, nil); err != nil {
		return err
	}
	if err := p.remember(ctx, RecordTasks, next); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

// overlap is the long one when the ERP's offset has changed since the last poll,
// or the zone of the settings changes within that time of now.
func (p *pass) overlap(rec store.PollRecord, clock userside.Clock) time.Duration {
	if int(clock.Offset/time.Second) != rec.Offset {
		return overlapAtZoneChange
	}
	zone, err := time.LoadLocation(p.settings.TimeZone)
	if err != nil {
		return overlapAtZoneChange // not known: the more careful one
	}
	_, before := clock.Unix.Add(-overlapAtZoneChange).In(zone).Zone()
	_, after := clock.Unix.Add(overlapAtZoneChange).In(zone).Zone()
	if before != after {
		return overlapAtZoneChange
	}
	return overlap
}

// changed publishes the listed tasks whose date.update is another than at the last
// poll, and gives the marks to compare with at the next. erpCtx bounds the reading.
func (p *pass) changed(ctx, erpCtx context.Context, ids []calendarsync.TaskID, before map[string]string, clock userside.Clock) (map[string]string, error) {
	marks := map[string]string{}
	if len(ids) > maxShown {
		p.sum.Everybody = true
		return marks, p.send(ctx, p.cfg.EmployeeTopic, queue.Message{All: true, Cause: queue.CausePoll, Lane: queue.LaneBulk})
	}
	if len(ids) == 0 {
		return marks, nil
	}
	readings, err := p.ERP.Tasks(erpCtx, ids)
	if err != nil {
		return nil, fmt.Errorf("poll: read %d changed tasks: %w", len(ids), err)
	}
	var out []int64
	for _, id := range ids {
		name := strconv.FormatInt(int64(id), 10)
		mark := ""
		if t := readings[id].Task; t != nil {
			mark = t.Updated
		}
		if mark == "" || before[name] != mark {
			out = append(out, int64(id))
		}
		if mark != "" && settled(mark, clock.Local.Wall) {
			marks[name] = mark
		}
	}
	p.sum.Changed, err = p.publishTasks(ctx, out, readings)
	return marks, err
}

// publishTasks publishes those not yet sent in this run: live as long as the run's
// share of the live lane lasts, the rest by the employees they concern. It gives
// how many tasks that were.
func (p *pass) publishTasks(ctx context.Context, ids []int64, readings map[calendarsync.TaskID]calendarsync.TaskReading) (int, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return p.sent[id] })
	live := max(0, min(len(ids), maxLive-len(p.sent)))
	if err := p.publish(ctx, p.cfg.TaskTopic, queue.CausePoll, queue.LaneLive, ids[:live]); err != nil {
		return 0, err
	}
	concerned, err := p.concerned(ctx, ids[live:], readings)
	if err != nil {
		return 0, err
	}
	if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CausePoll, queue.LaneBulk, concerned); err != nil {
		return 0, err
	}
	for _, id := range ids {
		p.sent[id] = true
	}
	return len(ids), nil
}

// concerned lists, ascending, the employees that have or ought to have an event of
// any of the tasks: those on record, and those that the readings name.
func (p *pass) concerned(ctx context.Context, tasks []int64, readings map[calendarsync.TaskID]calendarsync.TaskReading) ([]int64, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	recorded := make([][]int64, len(tasks))
	reads, readCtx := errgroup.WithContext(ctx)
	reads.SetLimit(16)
	for i, id := range tasks {
		reads.Go(func() error {
			ctx, cancel := context.WithTimeout(readCtx, storeDeadline)
			defer cancel()
			rec, _, err := p.Store.Task(ctx, id)
			recorded[i] = rec.Employees
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	out := slices.Concat(recorded...)
	var divisions []int64
	for _, id := range tasks {
		t := readings[calendarsync.TaskID(id)].Task
		if t == nil {
			continue
		}
		for _, e := range t.Executors.Or(nil) {
			out = append(out, int64(e))
		}
		for _, d := range t.Divisions.Or(nil) {
			divisions = append(divisions, int64(d))
		}
	}
	if p.settings.IncludeDepartments && len(divisions) > 0 {
		slices.Sort(divisions)
		ctx, cancel := context.WithTimeout(ctx, storeDeadline)
		defer cancel()
		members, err := p.Store.EmployeesOfDivisions(ctx, slices.Compact(divisions))
		if err != nil {
			return nil, fmt.Errorf("poll: %w", err)
		}
		for _, m := range members {
			out = append(out, m.ID)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(id int64) bool { return id <= 0 }), nil
}

// settled tells whether no later change can bear the same date.update: the moment
// it names, as finely as it is spelled, must be over by the ERP's own clock. A
// spelling that is not known is taken at its word.
func settled(mark string, now time.Time) bool {
	for layout, unit := range map[string]time.Duration{
		wallFormat:            time.Second,
		"2006-01-02 15:04":    time.Minute,
		"02.01.2006 15:04:05": time.Second,
		"02.01.2006 15:04":    time.Minute,
		"2006-01-02":          24 * time.Hour,
		"02.01.2006":          24 * time.Hour,
	} {
		if at, err := time.Parse(layout, mark); err == nil {
			return !at.Add(unit).After(now)
		}
	}
	return true
}

// vanished compares the ids of all tasks in shown states with those of the last
// poll. An id must be missing in two polls, because a task moves through the ERP's
// lists while they are read; one that is listed as changed when it is first missed
// was published as such.
func (p *pass) vanished(ctx context.Context, rec store.PollRecord, next *store.PollRecord, inList map[int64]bool) ([]int64, error) {
	catalogue, err := p.ERP.Catalogue(ctx)
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	states := catalogue.StatesWithRoles(p.settings.ShownRoles)
	if len(states) == 0 {
		// Without states the ERP would list every task there is. A role that is gone
		// from the catalogue is for the workers to judge (protocol.md §4.1).
		p.Log.WarnContext(ctx, "no state of the catalogue has a shown role: vanished tasks are not looked for")
		next.Shown, next.Missing = rec.Shown, rec.Missing
		return nil, nil
	}
	listed, err := p.ERP.ListTasks(ctx, userside.TaskFilter{States: states})
	if err != nil {
		return nil, fmt.Errorf("poll: list tasks in shown states: %w", err)
	}
	now := make([]int64, len(listed))
	for i, id := range listed {
		now[i] = int64(id)
	}
	slices.Sort(now)
	if next.Shown, err = pack(now); err != nil {
		return nil, err
	}
	before, err := unpack(rec.Shown)
	if err != nil {
		// Damaged or of another version: begin again from what is there now.
		p.Log.WarnContext(ctx, "the remembered set of shown tasks cannot be read", "error", err)
		before = nil
	}
	there := func(id int64) bool { _, ok := slices.BinarySearch(now, id); return ok }
	var gone []int64
	for _, id := range rec.Missing {
		if !there(id) {
			gone = append(gone, id)
		}
	}
	for _, id := range before {
		if !there(id) && !inList[id] {
			next.Missing = append(next.Missing, id)
		}
	}
	return gone, nil
}

// checkClock raises one alarm while the ERP's clock is not that of the settings'
// zone, and ends it; the workers themselves refuse to write (protocol.md §9). It
// gives since when it is wrong.
func (p *pass) checkClock(ctx context.Context, since time.Time, clock userside.Clock) time.Time {
	zone, err := time.LoadLocation(p.settings.TimeZone)
	if err != nil {
		return since
	}
	apart := calendarsync.Apart(zone, clock.Unix, clock.Offset)
	wrong := apart > calendarsync.MaxApart
	switch {
	case wrong && since.IsZero():
		since = clock.Unix.UTC()
		logging.Alarm(ctx, p.Log, "clock-wrong", "clock-"+since.Format(time.RFC3339),
			"The ERP's clock is not that of time_zone: nothing is written until they agree", "apart_minutes", int(apart.Minutes()))
	case !wrong && !since.IsZero():
		logging.AlarmEnded(ctx, p.Log, "clock-wrong", "clock-"+since.UTC().Format(time.RFC3339), "The ERP's clock agrees with time_zone again")
		since = time.Time{}
	}
	return since
}
