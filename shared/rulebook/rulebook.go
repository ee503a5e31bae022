// Package rulebook keeps the settings in force and the ERP's catalogue ready for
// deciding, so that a look at a task costs no extra call to the ERP. It must
// never hand out a catalogue of which only a part was read.
package rulebook

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// kept is how old catalogue and names may get: a change in the ERP or of the
// settings is in force within a minute (functions/README.md, Settings).
const kept = 30 * time.Second

// SettingsSource gives the settings in force.
type SettingsSource interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
}

// ERP reads the ERP's states, types and clock; userside.Client does.
type ERP interface {
	Catalogue(ctx context.Context) (calendarsync.Catalogue, error)
	Clock(ctx context.Context) (userside.Clock, error)
}

// NameSource lists the employees that are known.
type NameSource interface {
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
}

// Source is safe for concurrent use.
type Source struct {
	settings SettingsSource
	erp      ERP
	names    NameSource
	now      func() time.Time

	// turn is held by the one who reads; it guards the rest. A channel, because who
	// waits for another's call must not wait beyond a deadline of their own.
	turn   chan struct{}
	rules  *calendarsync.Rules
	readAt time.Time
}

// New makes a Book.
func New(settings SettingsSource, erp ERP, names NameSource, now func() time.Time) *Source {
	return &Source{settings: settings, erp: erp, names: names, now: now, turn: make(chan struct{}, 1)}
}

// take waits for the turn; release gives it up.
func (b *Source) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return failure.Wrap(failure.Transient, "wait for the rules", ctx.Err())
	}
}

func (b *Source) release() { <-b.turn }

// Settings gives the settings in force.
func (b *Source) Settings(ctx context.Context) (calendarsync.Settings, error) {
	return b.settings.Settings(ctx)
}

// Rules gives the rules in force. Errors are of kind misconfigured (settings) or
// source (the ERP could not be read, or its clock is not that of time_zone:
// rule 9.4, every event would be at a wrong hour).
func (b *Source) Rules(ctx context.Context) (*calendarsync.Rules, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.release()
	return b.rulesLocked(ctx, false)
}

// Knowing gives rules whose catalogue was read after the call began if it does
// not know a state: the ERP's admin may just have made it, and an unknown state
// must not count as absence only because our copy is old.
func (b *Source) Knowing(ctx context.Context, states []calendarsync.StateID) (*calendarsync.Rules, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.release()
	rules, err := b.rulesLocked(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, id := range states {
		if _, ok := rules.Catalogue.States[id]; !ok {
			return b.rulesLocked(ctx, true)
		}
	}
	return rules, nil
}

func (b *Source) rulesLocked(ctx context.Context, fresh bool) (*calendarsync.Rules, error) {
	s, err := b.settings.Settings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	old := fresh || b.rules == nil || b.now().Sub(b.readAt) > kept
	if !old && reflect.DeepEqual(s, b.rules.Settings) {
		return b.rules, nil
	}
	var catalogue calendarsync.Catalogue
	names := map[calendarsync.EmployeeID]string{}
	if old {
		if catalogue, err = b.erp.Catalogue(ctx); err != nil {
			return nil, fmt.Errorf("read the ERP's catalogue: %w", err)
		}
	} else {
		// A copy: rules handed out before are in use and must not change beneath.
		catalogue = b.rules.Catalogue
		maps.Copy(names, b.rules.Names)
	}
	rules, err := calendarsync.NewRules(s, catalogue, names)
	if err != nil {
		return nil, err
	}
	if old || s.TimeZone != b.rules.Settings.TimeZone {
		if err := b.checkClock(ctx, rules.Zone); err != nil {
			return nil, err
		}
	}
	if rules.Texts.NeedsExecutors {
		known, err := b.names.Employees(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the executors' names: %w", err)
		}
		for _, e := range known {
			names[calendarsync.EmployeeID(e.ID)] = e.Name
		}
	}
	b.rules = rules
	if old {
		b.readAt = b.now()
	}
	return rules, nil
}

// checkClock refuses to go on while the ERP's clock is not that of the zone.
func (b *Source) checkClock(ctx context.Context, zone *time.Location) error {
	clock, err := b.erp.Clock(ctx)
	if err != nil {
		return fmt.Errorf("read the ERP's clock: %w", err)
	}
	if apart := calendarsync.Apart(zone, clock.Unix, clock.Offset); apart > calendarsync.MaxApart {
		return failure.New(failure.Source, "read the ERP's clock",
			fmt.Sprintf("it is %s off time_zone %s: nothing is written until they agree", apart, zone))
	}
	return nil
}
