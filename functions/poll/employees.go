package poll

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// lateRecord is how long after its reading a pass may record it: a lease, and some
// more.
const lateRecord = 10 * time.Minute

// pollApart is how long a worker may go by the list before the last one (package polled),
// and some more.
const pollApart = 3 * time.Minute

// employees publishes whose card changed or is new since the last poll, who was
// missing in two, and whose card a pass meanwhile read otherwise than it is now. The
// first poll only remembers: there, everybody is the fill's business.
func (p *poll) employees(ctx context.Context) error {
	rec, found, err := remembered(ctx, p.Store.EmployeePoll)
	if err != nil {
		return err
	}
	erpCtx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	readings, err := p.ERP.AllEmployees(erpCtx, listed(rec))
	// In a new installation there may be nobody. Whoever is hired later is published.
	if isNew := errors.Is(err, userside.ErrNobody) && len(rec.Hashes) == 0; err != nil && !isNew {
		return err
	}
	same := sharing(p.settings, readings)
	p.sameAddress = &same
	next := store.EmployeePollRecord{Before: p.now}
	if p.unknown != nil {
		next.Before = rec.Before
	}
	var changed []int64
	next.Hashes, changed = p.compare(rec.Hashes, readings)
	if found {
		next.Changed = slices.Sorted(slices.Values(changed))
	}
	if p.now.Sub(rec.RanAt) < pollApart {
		next.Changed = distinct(append(next.Changed, rec.Changed...))
	}
	gone, trouble := p.gone(erpCtx, rec, &next, readings)
	changed = append(changed, gone...)
	changed = append(changed, unreadable(rec, &next, readings)...)
	if !found {
		changed = nil
	}
	// After the list, so that nobody counts as changed whose card a pass read meanwhile.
	seen, err := p.seen(ctx, rec)
	if err != nil {
		return errors.Join(trouble, err)
	}
	changed = append(changed, p.differing(seen, rec, next, readings, found)...)
	changed = distinct(changed)
	if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CausePoll, queue.LaneBulk, changed); err != nil {
		return errors.Join(trouble, err)
	}
	p.sum.Employees = len(changed)
	if found && len(seen) == 0 && maps.Equal(rec.Hashes, next.Hashes) && slices.Equal(rec.Missing, next.Missing) &&
		slices.Equal(rec.Unreadable, next.Unreadable) && len(rec.Changed) == 0 {
		return trouble // at rest: nothing to write
	}
	return errors.Join(trouble, remember(ctx, p.Store.SaveEmployeePoll, next))
}

// listed are those whom the last poll knew: where they have to be read one by one, nobody of
// them is overlooked.
func listed(rec store.EmployeePollRecord) []calendarsync.EmployeeID {
	ids := calendarsync.IDs[calendarsync.EmployeeID](rec.Unreadable)
	for name := range rec.Hashes {
		if id, err := strconv.ParseInt(name, 10, 64); err == nil {
			ids = append(ids, calendarsync.EmployeeID(id))
		}
	}
	return ids
}

// unreadable gives whose record cannot be read since this poll: a pass over them records it
// and shows it. Of many at once each poll takes some, because it may be the ERP that cannot
// be read.
func unreadable(rec store.EmployeePollRecord, next *store.EmployeePollRecord, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) []int64 {
	var since []int64
	for _, id := range slices.Sorted(maps.Keys(readings)) {
		switch old := slices.Contains(rec.Unreadable, int64(id)); {
		case readings[id].Invalid == nil:
		case old:
			next.Unreadable = append(next.Unreadable, int64(id))
		case len(since) < suspicious:
			since = append(since, int64(id))
			next.Unreadable = append(next.Unreadable, int64(id))
		}
	}
	return since
}

// compare gives the digests of the present cards, and whose differs from the last.
func (p *poll) compare(last map[string]string, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) (hashes map[string]string, changed []int64) {
	hashes = make(map[string]string, len(readings))
	for id, r := range readings {
		name := strconv.FormatInt(int64(id), 10)
		if r.Employee == nil {
			// Shown, but unreadable: nothing is known of a change.
			if old, ok := last[name]; ok {
				hashes[name] = old
			}
			continue
		}
		hashes[name] = r.Employee.Digest(p.settings.BindingField)
		if last[name] != hashes[name] {
			changed = append(changed, int64(id))
		}
	}
	return hashes, changed
}

// seen gives the digests of the cards that passes have read otherwise than before, and
// than the list before, since the last list: by now a card may be as that list had it
// again, without a notification. The first poll gets all, for the fill may have read
// before a change. Beside them it gives those whose card the last list had otherwise than
// the one before: a pass that knew only that one has noted nothing of what it read
// (package polled).
func (p *poll) seen(ctx context.Context, rec store.EmployeePollRecord) (map[int64]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	before := rec.Before
	if !before.IsZero() {
		before = before.Add(-lateRecord)
	}
	seen, err := p.Store.SeenSince(ctx, before)
	if err != nil {
		return nil, err
	}
	rest := slices.DeleteFunc(slices.Clone(rec.Changed), func(id int64) bool { _, there := seen[id]; return there })
	read := make([]store.EmployeeRecord, len(rest))
	reads, readCtx := errgroup.WithContext(ctx)
	reads.SetLimit(16)
	for i, id := range rest {
		reads.Go(func() (err error) {
			read[i], _, err = p.Store.Employee(readCtx, id)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	for _, e := range read {
		if e.Seen != "" {
			seen[e.ID] = e.Seen
		}
	}
	return seen, nil
}

// differing gives whose card in the present list is not as a pass read it last.
func (p *poll) differing(seen map[int64]string, rec, next store.EmployeePollRecord, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading, found bool) []int64 {
	var out []int64
	for id, digest := range seen {
		name := strconv.FormatInt(id, 10)
		_, there := readings[calendarsync.EmployeeID(id)]
		now, readable := next.Hashes[name]
		_, listed := rec.Hashes[name]
		switch {
		case there && readable && now != digest:
			out = append(out, id)
		case !there && !listed && digest != calendarsync.NoCard:
			// Who came and went between two lists is in neither.
			out = append(out, id)
		}
	}
	if !found && len(seen) > 0 {
		// No pass has read who came between the fill and the first poll.
		for id, r := range readings {
			if _, read := seen[int64(id)]; !read && r.Employee != nil {
				out = append(out, int64(id))
			}
		}
	}
	return out
}

// gone gives who is missing for the second time, and keeps what is known of those
// who are missing for the first: one list may lack somebody for a moment, or half
// of everybody.
func (p *poll) gone(ctx context.Context, rec store.EmployeePollRecord, next *store.EmployeePollRecord, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) ([]int64, error) {
	once, twice := missing(rec, readings)
	var err error
	if len(twice) > suspicious {
		var shown bool
		if shown, err = mostShown(ctx, twice, p.ERP.Employees, hasCard); shown || err != nil {
			p.Log.WarnContext(ctx, "the ERP's list lacks employees that it shows: they are not taken for deleted", "missing", len(twice))
			once, twice = append(once, twice...), nil
			slices.Sort(once)
		}
	}
	for _, id := range once {
		name := strconv.FormatInt(id, 10)
		next.Hashes[name] = rec.Hashes[name]
	}
	next.Missing = once
	return twice, err
}

// missing gives, ascending, who is not in the present list for the first time and for
// the second.
func missing(rec store.EmployeePollRecord, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) (once, twice []int64) {
	for name := range rec.Hashes {
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue
		}
		if _, there := readings[calendarsync.EmployeeID(id)]; there {
			continue
		}
		if slices.Contains(rec.Missing, id) {
			twice = append(twice, id)
		} else {
			once = append(once, id)
		}
	}
	slices.Sort(once)
	slices.Sort(twice)
	return once, twice
}

// hasCard reports whether the ERP shows an employee, and their card could be read.
func hasCard(r calendarsync.EmployeeReading) bool { return r.Employee != nil }
