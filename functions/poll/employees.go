package poll

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/queue"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// employees publishes whoever changed, came or went since the last poll. The first
// poll only remembers: what was there before is the fill's business.
func (p *pass) employees(ctx context.Context) error {
	rec, found, err := p.remembered(ctx, RecordEmployees)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	erpCtx, cancel := context.WithTimeout(ctx, erpDeadline)
	defer cancel()
	readings, err := p.ERP.AllEmployees(erpCtx)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	next := store.PollRecord{Hashes: make(map[string]string, len(readings))}
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
	for name := range rec.Hashes {
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			continue
		}
		if _, there := readings[calendarsync.EmployeeID(id)]; !there {
			changed = append(changed, id)
		}
	}
	if found {
		slices.Sort(changed)
		if err := p.publish(ctx, p.cfg.EmployeeTopic, queue.CausePoll, queue.LaneBulk, changed); err != nil {
			return err
		}
		p.sum.Employees = len(changed)
	}
	if err := p.remember(ctx, RecordEmployees, next); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
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
