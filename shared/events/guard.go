package events

import (
	"context"

	"github.com/erp-calendar/erp-calendar/shared/pass"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// guard lets deletions that nobody may have meant go only as far as the rolling
// day has room for them (rule 4.3); the others are held and wait for an admin. A
// hold stops those events only (rule 4.4).
func (t *taskPass) guard(ctx context.Context, todo []write) []write {
	asked := 0
	for _, w := range todo {
		if asksGuard(w) {
			asked++
		}
	}
	granted := 0
	if asked > 0 {
		var err error
		if granted, err = pass.Permit(ctx, t.s.Store, t.s.Log, store.GuardedEvents, asked, t.basis.rules.Settings.DeleteGuardPercent); err != nil {
			t.fail(err)
		}
	}
	out := todo[:0]
	for _, w := range todo {
		m := w.party.mapping
		switch {
		case !w.counted || m.State == store.MappingDeleting || pass.Allowed(m.HeldSince, m.AllowedAt, t.acquiredAt()):
			out = append(out, w)
		case asksGuard(w) && granted > 0:
			granted--
			out = append(out, w)
		default:
			t.hold(ctx, w)
		}
	}
	return out
}

// asksGuard reports whether a write has to be permitted now: it is counted, and
// neither held nor let through by an earlier pass whose end is not known.
func asksGuard(w write) bool {
	m := w.party.mapping
	return w.counted && m.HeldSince.IsZero() && m.State != store.MappingDeleting
}

func (t *taskPass) hold(ctx context.Context, w write) {
	m := w.asItIs
	m.AbsentSince, m.AbsentFor = absence(w.judgement)
	if m.HeldSince.IsZero() {
		m.HeldSince, m.HeldFor = t.acquiredAt(), string(w.decision.Reason)
		t.s.Log.WarnContext(ctx, "deletion held", "task", t.id, "employee", w.party.id, "reason", m.HeldFor)
	}
	t.mappings[w.party.id] = &m
}
