package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// Ids of the events of the scratch calendar.
const (
	foldedEvent = "erpprobe0001"
	longEvent   = "erpprobe0002"
	doomedEvent = "erpprobe0003"
	laterEvent  = "erpprobe0004" // cancelled early and looked at once more at the end
)

// updates is how many writes with an If-Match look for a stray 412.
const updates = 12

func quiet() url.Values { return url.Values{"sendUpdates": {"none"}} }

func (p *probe) event(id, title string) object {
	start := p.now().UTC().Truncate(time.Hour).AddDate(0, 0, 1)
	zone := p.scratchZone()
	at := func(t time.Time) object {
		if loc, err := time.LoadLocation(zone); err == nil {
			t = t.In(loc)
		}
		return object{"dateTime": t.Format(time.RFC3339), "timeZone": zone}
	}
	return object{"id": id, "summary": title, "start": at(start), "end": at(start.Add(time.Hour)), "sequence": 0, "status": "confirmed",
		"extendedProperties": object{"private": object{"probe": "1"}}}
}

func (p *probe) insertEvent(ctx context.Context, e object) (object, error) {
	made, err := p.existing(ctx, request{method: http.MethodPost, path: parts("calendars", p.scratch.id, "events"), query: quiet(), body: e})
	if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusConflict {
		// An attempt before this one took effect unheard.
		return p.getEvent(ctx, text(e, "id"))
	}
	return made, err
}

func (p *probe) getEvent(ctx context.Context, id string) (object, error) {
	return p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "events", id)})
}

func (p *probe) deleteEvent(ctx context.Context, id string) error {
	_, err := p.existing(ctx, request{method: http.MethodDelete, path: parts("calendars", p.scratch.id, "events", id), query: quiet()})
	if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusGone {
		return nil
	}
	return err
}

func (p *probe) events(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.textsOfEvents, p.longTexts, p.preconditions, p.cancelled} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// textsOfEvents writes texts that might be folded, and reads them in all ways.
func (p *probe) textsOfEvents(ctx context.Context) error {
	sent := p.event(foldedEvent, "  "+decomposed+"  "+runOfBlanks+" end ")
	sent["location"] = sent["summary"]
	made, err := p.insertEvent(ctx, sent)
	if err != nil {
		return err
	}
	got, err := p.getEvent(ctx, foldedEvent)
	if err != nil {
		return err
	}
	listed, err := p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "events")})
	if err != nil {
		return err
	}
	var inList object
	for _, e := range items(listed) {
		if text(e, "id") == foldedEvent {
			inList = e
		}
	}
	p.compareZones(text(inner(sent, "start"), "timeZone"), made, got, inList)
	atOnce := "The answer itself gives them as sent."
	if text(made, "summary") != text(sent, "summary") {
		atOnce = "In the answer itself " + foldedHow(text(sent, "summary"), text(made, "summary")) + "."
	}
	for where, e := range map[string]object{"events.get": got, "events.list": inList} {
		for _, name := range []string{"summary", "location"} {
			if text(e, name) != text(made, name) {
				p.answer("texts-of-events", "otherwise than answered", "%s In %s of %s %s.", atOnce, name, where, foldedHow(text(made, name), text(e, name)))
				return nil
			}
		}
	}
	p.answer("texts-of-events", "as answered", "%s", atOnce)
	return nil
}

func (p *probe) compareZones(sent string, shown ...object) {
	for _, e := range shown {
		for _, end := range []string{"start", "end"} {
			if got := text(inner(e, end), "timeZone"); got != sent {
				p.answer("zone-of-events", "renamed", "%s became %s", sent, got)
				return
			}
		}
	}
	p.answer("zone-of-events", asSent, "%s", sent)
}

// longTexts writes what the product writes at most, in characters that are two units
// of UTF-16 and one code point each.
func (p *probe) longTexts(ctx context.Context) error {
	const wide = "\U0001F527"
	limits := map[string]int{"summary": calendarsync.MaxTitle, "location": calendarsync.MaxLocation, "description": calendarsync.MaxDescription}
	sent := p.event(longEvent, "")
	for name, n := range limits {
		sent[name] = strings.Repeat(wide, n/2)
	}
	_, err := p.insertEvent(ctx, sent)
	if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusBadRequest {
		p.answer("length", "refused", "a description of %d characters, which are %d UTF-16 units: %s", calendarsync.MaxDescription/2, calendarsync.MaxDescription, said)
		return nil
	}
	if err != nil {
		return err
	}
	got, err := p.getEvent(ctx, longEvent)
	if err != nil {
		return err
	}
	for name, n := range limits {
		if back := utf8.RuneCountInString(text(got, name)); back != n/2 {
			p.answer("length", "cut", "%s: %d of %d characters came back", name, back, n/2)
			return nil
		}
	}
	p.answer("length", "yes", "a description of %d characters, which are %d UTF-16 units, came back whole", calendarsync.MaxDescription/2, calendarsync.MaxDescription)
	return nil
}

// preconditions writes an event again and again with the ETag that it has.
func (p *probe) preconditions(ctx context.Context) error {
	now, err := p.insertEvent(ctx, p.event(doomedEvent, "Probe"))
	if err != nil {
		return err
	}
	stray := 0
	for n := range updates {
		next := p.event(doomedEvent, fmt.Sprintf("Probe %d", n))
		next["sequence"] = now["sequence"]
		written, err := p.existing(ctx, request{method: http.MethodPut, path: parts("calendars", p.scratch.id, "events", doomedEvent),
			query: quiet(), body: next, ifMatch: text(now, "etag")})
		if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusPreconditionFailed {
			if written, err = p.getEvent(ctx, doomedEvent); err == nil && text(written, "etag") == text(now, "etag") {
				stray++
			}
		}
		if err != nil {
			return err
		}
		now = written
	}
	if stray > 0 {
		p.answer("precondition", "met", "%d of %d writes with the ETag just read; nothing had changed", stray, updates)
	} else {
		p.answer("precondition", noneMet, "in %d writes", updates)
	}
	return nil
}

// cancelled deletes events, looks at what is left, and writes one again.
func (p *probe) cancelled(ctx context.Context) error {
	if _, err := p.insertEvent(ctx, p.event(laterEvent, "Probe later")); err != nil {
		return err
	}
	for _, id := range []string{laterEvent, doomedEvent} {
		if err := p.deleteEvent(ctx, id); err != nil {
			return err
		}
	}
	got, err := p.getEvent(ctx, doomedEvent)
	if err != nil {
		return p.lookAtCancelled(nil, err, "at once")
	}
	if err := p.lookAtCancelled(got, nil, "at once"); err != nil {
		return err
	}
	again := p.event(doomedEvent, "Probe again")
	again["sequence"] = got["sequence"]
	if again["sequence"] == nil {
		again["sequence"] = 0
	}
	back, err := p.google.do(ctx, request{method: http.MethodPut, path: parts("calendars", p.scratch.id, "events", doomedEvent), query: quiet(), body: again})
	said, is := errors.AsType[*apiError](err)
	switch {
	case err == nil && text(back, "status") == "confirmed":
		p.answer("revival", "yes", "by events.update with status confirmed")
	case err == nil:
		p.answer("revival", "refused otherwise", "the answer is no error, and says %s", text(back, "status"))
	case is && (said.status == http.StatusForbidden && said.reason != "quotaExceeded" || said.status == http.StatusNotFound || said.status == http.StatusGone):
		p.answer("revival", "refused", "%s; the product goes on with another id", said)
	case is && said.status == http.StatusBadRequest:
		p.answer("revival", "refused otherwise", "%s", said)
	default:
		return err
	}
	return nil
}

// lookAtCancelled says what is left of a cancelled event.
func (p *probe) lookAtCancelled(got object, err error, when string) error {
	said, is := errors.AsType[*apiError](err)
	switch {
	case is && (said.status == http.StatusNotFound || said.status == http.StatusGone):
		p.answer("cancelled", "nothing", "%s, events.get says %d", when, said.status)
	case err != nil:
		return err
	case text(got, "summary") == "" && inner(got, "extendedProperties") == nil:
		p.answer("cancelled", "its id", "%s, events.get gives neither title nor properties nor times", when)
	case p.finding("cancelled").Answer == "":
		p.answer("cancelled", "its fields", "%s, events.get gives title and properties; when it disappears, the probe does not wait for", when)
	}
	return nil
}

// cancelledLater looks a minute later at the one that was not written again.
func (p *probe) cancelledLater(ctx context.Context) error {
	if err := p.pause(ctx, time.Minute); err != nil {
		return err
	}
	// Not as what exists: 404 is an answer here.
	got, err := p.google.do(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "events", laterEvent)})
	if p.finding("cancelled").Answer == "nothing" {
		return nil
	}
	return p.lookAtCancelled(got, err, "a minute later")
}
