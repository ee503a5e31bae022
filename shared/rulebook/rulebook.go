// Package rulebook keeps the settings in force and the ERP's catalogue at hand for
// decisions, so that a pass over a task costs no extra call to the ERP. It must
// never give half a catalogue: what cannot be read of one is in it as that, an entry
// (rule 4.13) or all of it (rule 4.15).
package rulebook

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// cacheFor is how old catalogue and names may get: a change in the ERP or of the
// settings is in force within a minute (functions/README.md, Settings).
const cacheFor = 30 * time.Second

// SettingsSource gives the settings in force.
type SettingsSource interface {
	Settings(ctx context.Context) (calendarsync.Settings, error)
}

// ERP reads the ERP's states, types, divisions and clock; userside.Client does.
type ERP interface {
	States(ctx context.Context) (calendarsync.Catalogue, error)
	Types(ctx context.Context) (types map[calendarsync.TypeID]calendarsync.TaskType, odd []error, err error)
	Divisions(ctx context.Context) (map[calendarsync.DivisionID]string, error)
	Clock(ctx context.Context) (userside.Clock, error)
}

// Store knows the employees, and keeps what cannot be read of the catalogues, and what could be
// read of them last.
type Store interface {
	Employees(ctx context.Context) ([]store.EmployeeRecord, error)
	SaveCatalogueFaults(ctx context.Context, what []string) error
	KnownCatalogue(ctx context.Context) (store.KnownCatalogue, error)
	SaveKnownCatalogue(ctx context.Context, read store.KnownCatalogue) error
}

// Source is safe for concurrent use.
type Source struct {
	settings SettingsSource
	erp      ERP
	store    Store
	now      func() time.Time
	log      *slog.Logger

	// lock is held by the one who reads; it guards the rest. A semaphore, because who
	// waits for another's call must not wait beyond a deadline of their own.
	lock  *semaphore.Weighted
	rules *calendarsync.Rules
	// readAgain is when the catalogues are to be read again.
	readAgain time.Time
	// faults are those of the catalogues as recorded last; nil before.
	faults []string
	// known is what was read of each catalogue last, loaded once another process's was asked for,
	// savedAt when it was stored last.
	known   store.KnownCatalogue
	loaded  bool
	savedAt time.Time
}

// New makes a Source.
func New(settings SettingsSource, erp ERP, s Store, now func() time.Time, log *slog.Logger) *Source {
	return &Source{settings: settings, erp: erp, store: s, now: now, log: log, lock: semaphore.NewWeighted(1)}
}

// Settings gives the settings in force.
func (s *Source) Settings(ctx context.Context) (calendarsync.Settings, error) {
	return s.settings.Settings(ctx)
}

// Rules gives the rules in force. Errors are of kind misconfigured (settings) or
// source (the ERP could not be read, or its clock is not that of time_zone: rule 9.4, every
// event would be at a wrong hour). Where it is the catalogue, and it could not be read lately
// either, they are calendarsync.ErrCatalogueUnread.
func (s *Source) Rules(ctx context.Context) (*calendarsync.Rules, error) {
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return nil, failure.Wrap(failure.Transient, "wait for the rules", err)
	}
	defer s.lock.Release(1)
	return s.rulesLocked(ctx, false)
}

// Knowing is Rules, but reads the catalogue again if it lacks one of the states: the
// ERP's admin may just have added it, and an unknown state must not count as absence
// only because our copy is old.
func (s *Source) Knowing(ctx context.Context, states []calendarsync.StateID) (*calendarsync.Rules, error) {
	if err := s.lock.Acquire(ctx, 1); err != nil {
		return nil, failure.Wrap(failure.Transient, "wait for the rules", err)
	}
	defer s.lock.Release(1)
	rules, err := s.rulesLocked(ctx, false)
	if err != nil {
		return nil, err
	}
	lacks := func(id calendarsync.StateID) bool { return !rules.Catalogue.Knows(id) }
	// What could not be read a moment ago is not asked for by each message.
	if rules.Catalogue.StatesUnread == nil && slices.ContainsFunc(states, lacks) {
		return s.rulesLocked(ctx, true)
	}
	return rules, nil
}

func (s *Source) rulesLocked(ctx context.Context, fresh bool) (*calendarsync.Rules, error) {
	inForce, err := s.settings.Settings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	old := fresh || s.rules == nil || s.now().After(s.readAgain)
	if !old && reflect.DeepEqual(inForce, s.rules.Settings) {
		return s.rules, nil
	}
	r, names, err := s.readOrKeep(ctx, old)
	if err != nil {
		return nil, err
	}
	rules, err := calendarsync.NewRules(inForce, r.catalogue, names)
	if err != nil {
		return nil, err
	}
	if rules.Texts.NeedsDivisions {
		if err := s.nameDivisions(ctx, rules, old, r); err != nil {
			return nil, fmt.Errorf("read the divisions' names: %w", err)
		}
	}
	if old {
		s.recordFaults(ctx, r.faults)
		s.keep(ctx, r.read)
	}
	if old || inForce.TimeZone != s.rules.Settings.TimeZone {
		if err := s.checkClock(ctx, rules.Zone); err != nil {
			return nil, err
		}
	}
	if err := s.nameExecutors(ctx, rules); err != nil {
		return nil, err
	}
	s.rules = rules
	if old {
		s.readAgain = s.now().Add(cacheFor)
		if r.unread {
			s.readAgain = s.now().Add(unreadAgain)
		}
	}
	return rules, nil
}

// readOrKeep reads the catalogue where what there is is too old, and otherwise keeps that, with
// the executors' names.
func (s *Source) readOrKeep(ctx context.Context, old bool) (*reading, map[calendarsync.EmployeeID]string, error) {
	names := map[calendarsync.EmployeeID]string{}
	if !old {
		// A copy: the rules given before are in use and must not change.
		maps.Copy(names, s.rules.Names)
		return &reading{catalogue: s.rules.Catalogue}, names, nil
	}
	r := &reading{}
	switch err := s.readCatalogue(ctx, r); {
	case err == nil:
		return r, names, nil
	case tells(ctx, err):
		s.recordFaults(ctx, r.faults)
		return nil, nil, fmt.Errorf("%w: %w", calendarsync.ErrCatalogueUnread, err)
	default:
		return nil, nil, fmt.Errorf("read the ERP's catalogue: %w", err)
	}
}

// nameExecutors gives rules the executors' names where a template shows them.
func (s *Source) nameExecutors(ctx context.Context, rules *calendarsync.Rules) error {
	if !rules.Texts.NeedsExecutors {
		return nil
	}
	known, err := s.store.Employees(ctx)
	if err != nil {
		return fmt.Errorf("read the executors' names: %w", err)
	}
	for _, e := range known {
		rules.Names[calendarsync.EmployeeID(e.ID)] = e.Name
	}
	return nil
}

// recordFaults records what cannot be read of the catalogues, where that is new: Poll alarms
// of it (rule 4.13). It stops nobody.
func (s *Source) recordFaults(ctx context.Context, found []error) {
	faults := make([]string, 0, len(found))
	for _, fault := range found {
		faults = append(faults, store.FailureOf(fault, nil, s.now()).Message)
	}
	if s.faults != nil && slices.Equal(faults, s.faults) {
		return
	}
	if len(faults) > 0 {
		s.log.WarnContext(ctx, "the ERP's catalogues cannot be read in full", "what", faults)
	}
	if err := s.store.SaveCatalogueFaults(ctx, faults); err != nil {
		s.log.WarnContext(ctx, "the catalogue's faults were not recorded", "error", err)
		return
	}
	s.faults = faults
}

// checkClock refuses to go on while the ERP's clock is not that of the zone.
func (s *Source) checkClock(ctx context.Context, zone *time.Location) error {
	clock, err := s.erp.Clock(ctx)
	if err != nil {
		return fmt.Errorf("read the ERP's clock: %w", err)
	}
	if apart := calendarsync.Apart(zone, clock.Unix, clock.Offset); apart > calendarsync.MaxApart {
		return failure.New(failure.Source, "read the ERP's clock",
			fmt.Sprintf("it is %s off time_zone %s: nothing is written until they agree", apart, zone))
	}
	return nil
}
