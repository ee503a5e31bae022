package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
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
	// floodOverlap is the same for what a full run was started for: that run reads
	// what is committed by then, whatever its date.
	floodOverlap = time.Minute
	// sampled is how many of many missing ones are read by id: one call.
	sampled = 50
	// floodAgain is how soon around a zone change the same tasks get another full run.
	floodAgain = 30 * time.Minute
	// maxShown is how many changed tasks are read to skip the unchanged ones. Beyond,
	// after a long pause, a full run costs less than as many passes over single tasks.
	maxShown = 2000

	wallFormat = "2006-01-02 15:04:05"
)

// tasks publishes the tasks that changed since the watermark and those that
// vanished, then remembers how far it got.
func (p *poll) tasks(ctx context.Context) error {
	rec, found, err := remembered(ctx, p.Store.TaskPoll)
	if err != nil {
		return err
	}
	erpCtx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	// Before the list: a change made while it is read belongs to the next poll.
	clock, err := p.ERP.Clock(erpCtx)
	if err != nil {
		return err
	}
	p.clock = &clock
	next := store.TaskPollRecord{Watermark: clock.Local.Wall.Format(wallFormat), Offset: int(clock.Offset / time.Second), Before: p.now}
	if p.unknown != nil {
		next.Before = rec.Before
	}
	watermark, err := time.Parse(wallFormat, rec.Watermark)
	first := !found || err != nil
	if first {
		if rec.Shown, err = p.mapped(ctx); err != nil {
			return err
		}
	}
	inList := map[int64]bool{}
	if !first {
		ids, err := p.listChanged(erpCtx, rec, &next, watermark, clock, inList)
		if err != nil {
			return err
		}
		if next.Changed, err = p.changed(ctx, erpCtx, ids, rec.Changed, &next, clock); err != nil {
			return err
		}
	}
	since := watermark.Add(-p.overlap(rec, clock))
	gone, trouble := p.vanished(erpCtx, rec, &next, inList, since)
	if trouble != nil {
		// The changes are published all the same and need not be so again.
		uncompared(rec, &next, since)
	}
	if p.sum.Missing, err = p.publishTasks(ctx, gone, nil); err != nil {
		return errors.Join(trouble, err)
	}
	return errors.Join(trouble, remember(ctx, p.Store.SaveTaskPoll, next))
}

// mapped gives the set of the tasks that have events, which the first poll compares
// with: the fill may have read a task before it vanished.
func (p *poll) mapped(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	people, err := p.Store.Employees(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([][]int64, len(people))
	reads, readCtx := errgroup.WithContext(ctx)
	reads.SetLimit(16)
	for i, e := range people {
		if e.Calendar == nil {
			continue
		}
		reads.Go(func() error {
			tasks, err := p.Store.TasksOf(readCtx, e.ID)
			for _, t := range tasks {
				if m, there := t.Mapping(e.ID); there && m.State != store.MappingTombstone {
					ids[i] = append(ids[i], t.ID)
				}
			}
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return store.PackIDs(distinct(slices.Concat(ids...)))
}

// listChanged lists what changed since the watermark, less the overlap. inList
// gets all of it; what a full run was started for is given only if it changed
// since that moment.
func (p *poll) listChanged(ctx context.Context, rec store.TaskPollRecord, next *store.TaskPollRecord, watermark time.Time, clock userside.Clock, inList map[int64]bool) ([]calendarsync.TaskID, error) {
	list := func(from time.Time) ([]calendarsync.TaskID, error) {
		ids, err := p.ERP.ListTasks(ctx, userside.TaskFilter{ChangedFrom: calendarsync.LocalTime{Wall: from}})
		if err != nil {
			return nil, fmt.Errorf("list changes: %w", err)
		}
		for _, id := range ids {
			inList[int64(id)] = true
		}
		return ids, nil
	}
	behind := p.overlap(rec, clock)
	ids, err := list(watermark.Add(-behind))
	if err != nil {
		return nil, err
	}
	flood, err := store.UnpackIDs(rec.Flood)
	if err != nil {
		// What is listed of it gets another full run.
		p.Log.WarnContext(ctx, "the remembered mass change cannot be read", "error", err)
		flood = nil
	}
	there := func(id calendarsync.TaskID) bool { _, ok := slices.BinarySearch(flood, int64(id)); return ok }
	if !slices.ContainsFunc(ids, there) {
		return ids, nil // the overlap has moved past them
	}
	// As the wall clock shows that moment today: it may have jumped since.
	flooded := clock.Local.Wall.Add(-clock.Unix.Sub(rec.FloodedAt))
	since, err := list(flooded.Add(-floodOverlap))
	if err != nil {
		return nil, err
	}
	next.Flood, next.FloodedAt = rec.Flood, rec.FloodedAt
	isNew := func(id calendarsync.TaskID) bool { return !there(id) }
	if behind > overlap && len(since) > maxShown && !slices.ContainsFunc(since, isNew) && clock.Unix.Sub(rec.FloodedAt) < floodAgain {
		// Changed before, in an hour that the wall clock shows twice; or after it, and
		// then a later run finds them, the overlap being the long one.
		since = nil
	}
	return distinct(append(slices.DeleteFunc(ids, there), since...)), nil
}

// overlap is the long one when the ERP's offset has changed since the last poll,
// or the zone of the settings changes within that time of now.
func (p *poll) overlap(rec store.TaskPollRecord, clock userside.Clock) time.Duration {
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
// poll, and gives those to compare with at the next. erpCtx bounds the reading.
func (p *poll) changed(ctx, erpCtx context.Context, ids []calendarsync.TaskID, before map[string]string, next *store.TaskPollRecord, clock userside.Clock) (map[string]string, error) {
	updated := map[string]string{}
	if len(ids) > maxShown {
		// The overlap lists them at the next polls, too, and one full run is enough.
		all, err := store.UnpackIDs(next.Flood)
		if err != nil {
			return nil, err
		}
		if next.Flood, err = store.PackIDs(distinct(append(all, calendarsync.IDs[int64](ids)...))); err != nil {
			return nil, err
		}
		next.FloodedAt = clock.Unix.UTC()
		return updated, p.everybody(ctx, queue.CauseFill)
	}
	if len(ids) == 0 {
		return updated, nil
	}
	readings, err := p.ERP.Tasks(erpCtx, ids)
	if err != nil {
		return nil, fmt.Errorf("read %d changed tasks: %w", len(ids), err)
	}
	var out []int64
	for _, id := range ids {
		name := strconv.FormatInt(int64(id), 10)
		at := ""
		if t := readings[id].Task; t != nil {
			at = t.Updated
		}
		if at == "" || before[name] != at {
			out = append(out, int64(id))
		}
		if at != "" {
			updated[name] = seenAs(at, before[name], clock.Local.Wall)
		}
	}
	p.sum.Changed, err = p.publishTasks(ctx, out, readings)
	return updated, err
}

// publishTasks publishes those not yet sent in this poll: on the live lane as far as
// the poll's share of it goes, the rest by the employees they concern. It gives how
// many tasks that were.
func (p *poll) publishTasks(ctx context.Context, ids []int64, readings map[calendarsync.TaskID]calendarsync.TaskReading) (int, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return p.sent[id] })
	if len(ids) > maxShown {
		// To learn whom they concern would take as many readings of single records.
		return len(ids), p.everybody(ctx, queue.CauseFill)
	}
	live := max(0, min(len(ids), maxLive-len(p.sent)))
	if err := p.publish(ctx, p.cfg.TaskTopic, queue.CausePoll, queue.LaneLive, ids[:live]); err != nil {
		return 0, err
	}
	concerned, err := p.concerned(ctx, ids[live:], readings)
	if err != nil {
		return 0, err
	}
	// Not cause poll, which asks for the card to be read: these calendars are to be
	// compared with the tasks.
	if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CauseFill, queue.LaneBulk, concerned); err != nil {
		return 0, err
	}
	for _, id := range ids {
		p.sent[id] = true
	}
	return len(ids), nil
}

// concerned lists, ascending, the employees that have or ought to have an event of
// any of the tasks: those on record, and those that the readings name.
func (p *poll) concerned(ctx context.Context, tasks []int64, readings map[calendarsync.TaskID]calendarsync.TaskReading) ([]int64, error) {
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
		return nil, err
	}
	out := slices.Concat(recorded...)
	var divisions []int64
	for _, id := range tasks {
		if t := readings[calendarsync.TaskID(id)].Task; t != nil {
			out = append(out, calendarsync.IDs[int64](t.Executors.Or(nil))...)
			divisions = append(divisions, calendarsync.IDs[int64](t.Divisions.Or(nil))...)
		}
	}
	if p.settings.IncludeDepartments && len(divisions) > 0 {
		ctx, cancel := context.WithTimeout(ctx, storeDeadline)
		defer cancel()
		members, err := p.Store.EmployeesOfDivisions(ctx, distinct(divisions))
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			out = append(out, m.ID)
		}
	}
	return slices.DeleteFunc(distinct(out), func(id int64) bool { return id <= 0 }), nil
}

// unsure stands before a date.update of no known form that was seen for the first time.
const unsure = "?"

// seenAs is what is remembered of a date.update, for the next poll to compare with. Only
// once it is settled it is the date itself, so that an equal one means no change: the
// moment it names, as finely as it is written, must be over by the ERP's own clock. How
// finely one of no known form is written nobody can tell; it is settled when two polls saw
// it.
func seenAs(updated, before string, now time.Time) string {
	at, unit, known := dated(updated)
	switch {
	case known && at.Add(unit).After(now):
		return ""
	case known, before == updated, before == unsure+updated:
		return updated
	}
	return unsure + updated
}

// dated reads a date.update: its beginning, and how finely it is written; known is false
// for a form that is none of the ERP's.
func dated(updated string) (at time.Time, unit time.Duration, known bool) {
	for _, day := range []string{time.DateOnly, "02.01.2006"} {
		for clock, unit := range map[string]time.Duration{
			" 15:04:05": time.Second, "T15:04:05": time.Second, ", 15:04:05": time.Second,
			" 15:04": time.Minute, "T15:04": time.Minute, ", 15:04": time.Minute, "": 24 * time.Hour,
		} {
			if at, err := time.Parse(day+clock, updated); err == nil {
				return at, unit, true
			}
		}
	}
	return time.Time{}, 0, false
}

// vanished compares the ids of all tasks in shown states with those of the last
// poll. An id must be missing in two polls, because a task moves through the ERP's
// lists while they are read; one that is listed as changed when it is first missing
// was published as changed. since is from when on changes were listed.
func (p *poll) vanished(ctx context.Context, rec store.TaskPollRecord, next *store.TaskPollRecord, inList map[int64]bool, since time.Time) ([]int64, error) {
	catalogue, err := p.ERP.States(ctx)
	if saysOfERP(err) && ctx.Err() == nil {
		// A catalogue that cannot be read for long is told (rule 4.13), and stops nothing else.
		p.Log.WarnContext(ctx, "the catalogue of states cannot be read: vanished tasks are not looked for", "error", p.noted(err))
		uncompared(rec, next, since)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	states := catalogue.StatesWithRoles(p.settings.ShownRoles)
	if len(states) == 0 {
		// Without states the ERP would list every task there is. What a role that is gone
		// from the catalogue means, the workers decide (rule 4.1).
		p.Log.WarnContext(ctx, "no state of the catalogue has a shown role: vanished tasks are not looked for")
		uncompared(rec, next, since)
		return nil, nil
	}
	listed, err := p.ERP.ListTasks(ctx, userside.TaskFilter{States: states})
	if err != nil {
		return nil, fmt.Errorf("list tasks in shown states: %w", err)
	}
	now := calendarsync.IDs[int64](listed)
	slices.Sort(now)
	if next.Shown, err = store.PackIDs(now); err != nil {
		return nil, err
	}
	before, err := store.UnpackIDs(rec.Shown)
	if err != nil {
		// Damaged or of another version: begin again from what is there now.
		p.Log.WarnContext(ctx, "the remembered set of shown tasks cannot be read", "error", err)
		before = nil
	}
	before = append(before, listedStill(rec.Changed, since)...)
	if !rec.Before.IsZero() {
		// No poll has listed what was created, got its events and vanished between two.
		inserted, err := p.inserted(ctx, rec.Before)
		if err != nil {
			return nil, err
		}
		before = append(before, inserted...)
	}
	before = distinct(before)
	there := func(id int64) bool { _, ok := slices.BinarySearch(now, id); return ok }
	gone := slices.DeleteFunc(slices.Clone(rec.Missing), there)
	for _, id := range before {
		if !there(id) && !inList[id] {
			next.Missing = append(next.Missing, id)
		}
	}
	if len(gone) > suspicious {
		shown, err := mostShown(ctx, gone, p.ERP.Tasks, func(r calendarsync.TaskReading) bool {
			return r.Task != nil && slices.Contains(states, r.Task.State.Or(0))
		})
		if err != nil {
			return nil, err
		}
		if shown {
			p.Log.WarnContext(ctx, "the ERP's list lacks tasks that it shows: they are not taken for vanished", "missing", len(gone))
			next.Missing = append(next.Missing, gone...)
			slices.Sort(next.Missing)
			return nil, nil
		}
	}
	return gone, nil
}

// uncompared keeps what the next poll needs where this one could not compare the lists.
func uncompared(rec store.TaskPollRecord, next *store.TaskPollRecord, since time.Time) {
	next.Shown, next.Missing, next.Before = rec.Shown, rec.Missing, rec.Before
	for _, id := range listedStill(rec.Changed, since) {
		name := strconv.FormatInt(id, 10)
		if _, there := next.Changed[name]; !there {
			next.Changed[name] = rec.Changed[name]
		}
	}
}

// listedStill gives those of the tasks that the last poll saw in the list of changes which
// that list must name still. One that is in neither list was deleted, after it had left
// the shown states: a worker that knew of no later poll has then recorded nothing of it
// (package polled).
func listedStill(changed map[string]string, since time.Time) []int64 {
	var ids []int64
	for name, updated := range changed {
		id, err := strconv.ParseInt(name, 10, 64)
		at, _, known := dated(updated)
		if recent := updated == "" || strings.HasPrefix(updated, unsure); err == nil && (recent || known && !at.Before(since)) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *poll) inserted(ctx context.Context, before time.Time) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return p.Store.InsertedSince(ctx, before.Add(-lateRecord))
}

// distinct is ids in ascending order, each once.
func distinct[ID ~int64](ids []ID) []ID { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// sample takes at most n of ids, evenly spread.
func sample(ids []int64, n int) []int64 {
	if len(ids) <= n {
		return ids
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = ids[i*len(ids)/n]
	}
	return out
}

// mostShown reads some of many missing ones by id and reports whether the ERP shows most
// of them as it was asked to list them: then nothing follows from its list, and
// publishing all of them would only be a flood.
func mostShown[ID ~int64, R any](
	ctx context.Context, missing []int64, read func(context.Context, []ID) (map[ID]R, error), shown func(R) bool,
) (bool, error) {
	some := calendarsync.IDs[ID](sample(missing, sampled))
	readings, err := read(ctx, some)
	if err != nil {
		return false, fmt.Errorf("read %d of the missing: %w", len(some), err)
	}
	there := 0
	for _, id := range some {
		if shown(readings[id]) {
			there++
		}
	}
	return 2*there > len(some), nil
}
