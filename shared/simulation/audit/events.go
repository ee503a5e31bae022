package audit

import (
	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	fakegoogle "github.com/erp-calendar/erp-calendar/shared/fake/google"
)

func (a *Auditor) eventChanged(c *trackedCalendar, now fakegoogle.EventChange, by *fakegoogle.Request) {
	e := c.events[now.ID]
	if e == nil {
		e = &trackedEvent{id: now.ID}
		c.events[now.ID] = e
	}
	before := *e
	mark, marked := calendarsync.ReadMark(now.Private)
	e.live, e.mark, e.owned = !now.Cancelled, mark, marked && mark.Owns(now.ID)
	if e.live && !before.live {
		e.byHand, e.since = by == nil, a.w.Now()
	} else if before.live && !e.live {
		e.ended = a.w.Now()
	}
	wasOurs, isOurs := before.live && c.owns(&before), e.live && c.owns(e)
	if isOurs && !wasOurs {
		a.owned++
		a.most = max(a.most, a.owned)
	} else if wasOurs && !isOurs {
		a.owned--
	}
	if by == nil {
		return
	}
	v := Violation{Calendar: c.id, Event: now.ID, Task: int64(mark.Task), Employee: int64(c.mark.Employee)}
	w := write{at: a.w.Now(), kind: "event.write", calendar: c.id, event: now.ID, task: v.Task, employee: v.Employee}
	if !e.live {
		w.kind = "event.delete"
	}
	a.checkPaused(v, by.Method)
	if by.Method == madeEvent {
		a.checkLost(madeEvent, v)
	}
	switch {
	case !c.ours():
		v.Rule = RuleForeign
		a.report(v, "an event was written in a calendar that is not the product's")
	case before.live && !e.live && c.misplaced(&before):
		// It was moved here, and is made again where it belongs.
	case before.live && !wasOurs:
		v.Rule = RuleForeign
		a.report(v, "%s touched an event without the product's mark", by.Method)
	case wasOurs && !e.live:
		a.deletedEvent(c, before, v)
	case !e.live:
		// It was cancelled already.
	case !isOurs:
		v.Rule = RuleMark
		a.report(v, "%s wrote an event whose mark and id do not belong together, or to the calendar", by.Method)
	default:
		if !before.live {
			a.checkDouble(c, e, v)
		}
		if why := a.unfounded(v.Task, v.Employee, c, now.Start, now.AllDay); why != "" {
			v.Rule = RuleUnfounded
			a.report(v, "%s: %s", by.Method, why)
		}
	}
	a.writes = append(a.writes, w)
}

// twin is another live owned event of the same task in a calendar.
func (c *trackedCalendar) twin(e trackedEvent, wanted func(*trackedEvent) bool) *trackedEvent {
	for _, other := range c.events {
		if other.id != e.id && other.live && c.owns(other) && other.mark.Task == e.mark.Task && wanted(other) {
			return other
		}
	}
	return nil
}

func (a *Auditor) checkDouble(c *trackedCalendar, e *trackedEvent, v Violation) {
	// That its owner restored one is not the product's doing, and of one that a fault
	// said was gone it cannot know.
	if other := c.twin(*e, func(o *trackedEvent) bool { return !o.byHand && !a.within(o.falselyGone, a.taskPassAge()) }); other != nil {
		v.Rule = RuleDouble
		a.report(v, "the task has event %s in this calendar already", other.id)
	}
}

func (a *Auditor) deletedEvent(c *trackedCalendar, before trackedEvent, v Violation) {
	if a.purging() || a.rebuilds(v.Employee) || before.byHand && a.cleared(c) {
		return
	}
	twin := c.twin(before, func(*trackedEvent) bool { return true })
	if twin != nil && twin.mark.Generation > before.mark.Generation {
		return // of several, the one with the highest generation stays (rule 3.3)
	}
	g, why := a.taskGrounds(v.Task, v.Employee, c)
	if g == none && twin != nil {
		v.Rule = RuleDouble
		a.report(v, "of two events the one with the lower generation was kept")
		return
	}
	if g == none {
		v.Rule = RuleEvidence
		a.report(v, "the event was deleted: %s", why)
	}
	if g == counted {
		a.checkKept(v, keyOf("tasks", v.Task))
	}
	a.count(RuleExtra, g == counted, v, keyOf("tasks", v.Task))
}
