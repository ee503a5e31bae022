package poll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// lateLook is how long after its reading a look may record it: the lease's time and
// some. What is published twice for it costs one reading of the ERP.
const lateLook = 2 * time.Minute

// employees publishes whoever changed or came since the last poll, and whoever was
// missing in two. The first
// poll only remembers: what was there before is the fill's business.
func (p *pass) employees(ctx context.Context) error {
	rec, found, err := p.remembered(ctx, RecordEmployees)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	erpCtx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	readings, err := p.ERP.AllEmployees(erpCtx)
	if errors.Is(err, userside.ErrNobody) && len(rec.Hashes) == 0 {
		// A new installation. Whoever comes later is published, not taken for the
		// fill's business.
		err = nil
	}
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	next := store.PollRecord{Hashes: make(map[string]string, len(readings)), Before: p.now}
	if p.unknown != nil {
		next.Before = rec.Before
	}
	var changed []int64
	for id, r := range readings {
		name := strconv.FormatInt(int64(id), 10)
		if r.Employee == nil {
			// Shown, but unreadable: nothing is known of a change.
			if old, ok := rec.Hashes[name]; ok {
				next.Hashes[name] = old
			}
			continue
		}
		sum, err := digest(*r.Employee, p.settings.BindingField)
		if err != nil {
			return err
		}
		next.Hashes[name] = sum
		if rec.Hashes[name] != sum {
			changed = append(changed, int64(id))
		}
	}
	gone, trouble := p.left(erpCtx, rec, &next, readings)
	changed = append(changed, gone...)
	if found {
		seen, err := p.seen(ctx, rec.Before)
		if err != nil {
			return errors.Join(trouble, err)
		}
		changed = append(changed, seen...)
		slices.Sort(changed)
		changed = slices.Compact(changed)
		if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CausePoll, queue.LaneBulk, changed); err != nil {
			return errors.Join(trouble, err)
		}
		p.sum.Employees = len(changed)
	}
	if found && len(changed) == 0 && maps.Equal(rec.Hashes, next.Hashes) && slices.Equal(rec.Missing, next.Missing) {
		return trouble // at rest: nothing to write
	}
	if err := p.remember(ctx, RecordEmployees, next); err != nil {
		return errors.Join(trouble, fmt.Errorf("poll: %w", err))
	}
	return trouble
}

// seen gives those whose card somebody found otherwise since the last list: it may be
// again by now as that list had it, and nobody told.
func (p *pass) seen(ctx context.Context, before time.Time) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	ids, err := p.Store.SeenSince(ctx, before.Add(-lateLook))
	if err != nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	return ids, nil
}

// left gives who is missing for the second time, and keeps what is known of those
// who are missing for the first: one list may lack somebody for a moment, or half
// of everybody.
func (p *pass) left(ctx context.Context, rec store.PollRecord, next *store.PollRecord, readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading) ([]int64, error) {
	var missing, gone []int64
	for name := range rec.Hashes {
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue
		}
		if _, there := readings[calendarsync.EmployeeID(id)]; there {
			continue
		}
		missing = append(missing, id)
		if slices.Contains(rec.Missing, id) {
			gone = append(gone, id)
		}
	}
	keep := func(ids []int64) {
		for _, id := range ids {
			name := strconv.FormatInt(id, 10)
			next.Hashes[name] = rec.Hashes[name]
		}
		next.Missing = ids
	}
	slices.Sort(missing)
	slices.Sort(gone)
	if len(gone) > suspicious {
		some := sample(gone, sampled)
		ids := make([]calendarsync.EmployeeID, len(some))
		for i, id := range some {
			ids[i] = calendarsync.EmployeeID(id)
		}
		asked, err := p.ERP.Employees(ctx, ids)
		there := 0
		for _, r := range asked {
			if r.Employee != nil {
				there++
			}
		}
		if err != nil || 2*there > len(ids) {
			p.Log.WarnContext(ctx, "the ERP's list lacks employees that it shows: they are not taken for deleted", "missing", len(gone))
			keep(missing)
			if err != nil {
				err = fmt.Errorf("poll: read %d missing employees: %w", len(ids), err)
			}
			return nil, err
		}
	}
	keep(slices.DeleteFunc(missing, func(id int64) bool { return slices.Contains(gone, id) }))
	return gone, nil
}

// digest is a hash of what matters of a card; a value left out differs from one
// said to be empty (protocol.md §4.1). The field that the calendar's id is written
// into is left out, or each write of ours would look like a change.
func digest(e calendarsync.Employee, binding calendarsync.FieldID) (string, error) {
	type given[T any] struct {
		Value T
		Said  bool
	}
	var matters struct {
		Name      string
		Working   given[bool]
		Email     given[string]
		Fields    bool
		Binding   given[string]
		Divisions given[[]calendarsync.DivisionID]
	}
	matters.Name = e.Name
	matters.Working.Value, matters.Working.Said = e.Working.Get()
	matters.Email.Value, matters.Email.Said = e.Email.Get()
	if binding != 0 {
		fields, said := e.Fields.Get()
		matters.Fields = said
		matters.Binding.Value, matters.Binding.Said = fields[binding]
	}
	divisions, said := e.Divisions.Get()
	divisions = slices.Clone(divisions)
	slices.Sort(divisions)
	matters.Divisions = given[[]calendarsync.DivisionID]{append([]calendarsync.DivisionID{}, divisions...), said}
	encoded, err := json.Marshal(matters)
	if err != nil {
		return "", fmt.Errorf("poll: digest employee %d: %w", e.ID, err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:12]), nil
}
