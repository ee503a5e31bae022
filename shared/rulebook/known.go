package rulebook

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// How long an earlier reading stands in for a catalogue that cannot be read (rule 4.15), how
// soon that is asked for again, how long the asking may take where there is one, and how often
// what is known is stored.
const (
	knownFor    = 24 * time.Hour
	unreadAgain = 2 * time.Minute
	unreadTime  = 20 * time.Second
	knownEvery  = time.Hour
)

// reading is one reading of the catalogues.
type reading struct {
	catalogue calendarsync.Catalogue
	// read is what could be read, faults what could not, an entry or all of a catalogue; unread:
	// all of one.
	read   store.KnownCatalogue
	faults []error
	unread bool
}

// readCatalogue reads states and types. What cannot be read is as it was read last, where that
// is not too long ago.
func (s *Source) readCatalogue(ctx context.Context, r *reading) error {
	asking := ctx
	if s.isKnown(s.known.StatesAt) {
		// Nobody is to wait for a catalogue as long as for the tasks that need it.
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, unreadTime)
		defer cancel()
	}
	states, err := s.erp.States(asking)
	if err != nil {
		if err := s.failed(ctx, r, err); err != nil {
			return err
		}
		if !s.isKnown(s.known.StatesAt) {
			return err
		}
		states = calendarsync.Catalogue{States: statesOf(s.known.States), StatesUnread: unreadError("states", err)}
	} else {
		r.read.States, r.read.StatesAt = knownStates(states.States), s.now()
	}
	r.catalogue = states
	types, odd, err := s.erp.Types(asking)
	r.faults = append(append(r.faults, states.Odd...), odd...)
	r.catalogue.Odd = slices.Concat(states.Odd, odd)
	if err == nil {
		r.catalogue.Types = types
		r.read.Types, r.read.TypesAt = knownTypes(types), s.now()
		return nil
	}
	if err := s.failed(ctx, r, err); err != nil {
		return err
	}
	if s.isKnown(s.known.TypesAt) {
		r.catalogue.Types = typesOf(s.known.Types)
	} else {
		r.catalogue.TypesUnread = unreadError("types", err)
	}
	return nil
}

// nameDivisions gives rules the names of the divisions, as old as the catalogue is.
func (s *Source) nameDivisions(ctx context.Context, rules *calendarsync.Rules, old bool, r *reading) error {
	if !old && s.rules.DivisionNames != nil {
		rules.DivisionNames = s.rules.DivisionNames
		return nil
	}
	names, err := s.erp.Divisions(ctx)
	if err == nil {
		rules.DivisionNames = names
		r.read.Divisions, r.read.DivisionsAt = knownDivisions(names), s.now()
		return nil
	}
	if err := s.failed(ctx, r, err); err != nil {
		return err
	}
	if s.isKnown(s.known.DivisionsAt) {
		rules.DivisionNames = divisionsOf(s.known.Divisions)
	} else {
		rules.DivisionsUnread = unreadError("divisions", err)
	}
	return nil
}

// failed notes that a catalogue cannot be read, and sees to it that what is known of it is at
// hand. It gives the failure back where the ERP was not asked to the end.
func (s *Source) failed(ctx context.Context, r *reading, err error) error {
	if !tells(ctx, err) {
		return err
	}
	r.faults, r.unread = append(r.faults, err), true
	if !s.loaded {
		// Another process may have read it.
		known, loadErr := s.store.KnownCatalogue(ctx)
		if loadErr != nil {
			s.log.WarnContext(ctx, "what is known of the ERP's catalogues was not read", "error", loadErr)
			return nil
		}
		s.loaded = true
		s.learn(known)
	}
	return nil
}

// tells reports whether a failure says something of the ERP: that it could not be read, or
// refuses the key, and not that it was not asked to the end.
func tells(ctx context.Context, err error) bool {
	switch failure.KindOf(err) {
	case failure.Source, failure.SourceInvalid, failure.Misconfigured:
		return ctx.Err() == nil
	}
	return false
}

// keep keeps what was read, for this process and, now and then, for others.
func (s *Source) keep(ctx context.Context, read store.KnownCatalogue) {
	changed := s.learn(read)
	if !changed && s.now().Before(s.savedAt.Add(knownEvery)) {
		return
	}
	if err := s.store.SaveKnownCatalogue(ctx, read); err != nil {
		s.log.WarnContext(ctx, "what is known of the ERP's catalogues was not stored", "error", err)
		return
	}
	s.savedAt = s.now()
}

// learn takes over each catalogue that was read later than what is known of it.
func (s *Source) learn(read store.KnownCatalogue) (changed bool) {
	k := &s.known
	if read.StatesAt.After(k.StatesAt) {
		changed = changed || !slices.Equal(k.States, read.States)
		k.States, k.StatesAt = read.States, read.StatesAt
	}
	if read.TypesAt.After(k.TypesAt) {
		changed = changed || !slices.Equal(k.Types, read.Types)
		k.Types, k.TypesAt = read.Types, read.TypesAt
	}
	if read.DivisionsAt.After(k.DivisionsAt) {
		changed = changed || !slices.Equal(k.Divisions, read.Divisions)
		k.Divisions, k.DivisionsAt = read.Divisions, read.DivisionsAt
	}
	return changed
}

// isKnown reports whether what was read at a time may stand in for what cannot be read now.
func (s *Source) isKnown(at time.Time) bool {
	return !at.IsZero() && s.now().Sub(at) <= knownFor
}

// unreadError is the failure of a task that needs what cannot be read. It is no fault of the
// task, and passes.
func unreadError(what string, why error) error {
	return &failure.Error{Kind: failure.Source, Op: "read the catalogue of " + what, Detail: "it cannot be read now", Err: why}
}

func knownStates(states map[calendarsync.StateID]calendarsync.State) []store.KnownState {
	return byID(states, func(e calendarsync.State) store.KnownState {
		return store.KnownState{ID: int64(e.ID), Name: e.Name, Role: int64(e.Role), RoleName: e.RoleName}
	})
}

func statesOf(known []store.KnownState) map[calendarsync.StateID]calendarsync.State {
	out := make(map[calendarsync.StateID]calendarsync.State, len(known))
	for _, k := range known {
		id := calendarsync.StateID(k.ID)
		out[id] = calendarsync.State{ID: id, Name: k.Name, Role: calendarsync.RoleID(k.Role), RoleName: k.RoleName}
	}
	return out
}

func knownTypes(types map[calendarsync.TypeID]calendarsync.TaskType) []store.KnownType {
	return byID(types, func(e calendarsync.TaskType) store.KnownType {
		return store.KnownType{ID: int64(e.ID), Name: e.Name, Hours: e.HourOnDoing}
	})
}

func typesOf(known []store.KnownType) map[calendarsync.TypeID]calendarsync.TaskType {
	out := make(map[calendarsync.TypeID]calendarsync.TaskType, len(known))
	for _, k := range known {
		id := calendarsync.TypeID(k.ID)
		out[id] = calendarsync.TaskType{ID: id, Name: k.Name, HourOnDoing: k.Hours}
	}
	return out
}

func knownDivisions(names map[calendarsync.DivisionID]string) []store.KnownDivision {
	out := make([]store.KnownDivision, 0, len(names))
	for id, name := range names {
		out = append(out, store.KnownDivision{ID: int64(id), Name: name})
	}
	slices.SortFunc(out, func(a, b store.KnownDivision) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func divisionsOf(known []store.KnownDivision) map[calendarsync.DivisionID]string {
	out := make(map[calendarsync.DivisionID]string, len(known))
	for _, k := range known {
		out[calendarsync.DivisionID(k.ID)] = k.Name
	}
	return out
}

// byID gives the entries of a catalogue in the order of their ids.
func byID[ID ~int64, E, K any](entries map[ID]E, known func(E) K) []K {
	out := make([]K, 0, len(entries))
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		out = append(out, known(entries[id]))
	}
	return out
}
