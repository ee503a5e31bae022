package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
)

// Texts that Google might fold: й of two code points, and a run of blanks.
const (
	decomposed  = "Сусі\u0438\u0306"
	runOfBlanks = "two  blanks"
)

// description is that of the scratch calendar: a sentence for people, and lines like
// those of the product's mark. They begin otherwise, so that no installation takes
// the calendar for its own.
func description() string {
	mark := calendarsync.CalendarMark{Tenant: "probe", Employee: 1, Epoch: "probe", From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), For: "0123456789abcdef"}
	return "Made by the probe of erp-calendar, <which> removes it & \"nothing\" else.\n" + disguised(mark.Text())
}

const realMark, probeMark = "erp-calendar/1 ", "erp-calendar-probe/1 "

func disguised(mark string) string { return strings.ReplaceAll(mark, realMark, probeMark) }

// markFound reads what came back as the product reads its descriptions.
func markFound(description string) bool {
	mark, ok := calendarsync.ReadCalendarMark(strings.ReplaceAll(description, probeMark, realMark))
	return ok && mark.Tenant == "probe" && mark.For != ""
}

// create makes the scratch calendar: with the zone of the installation, or the name
// that Google takes in its place.
func (p *probe) create(ctx context.Context) error {
	p.scratch.name = newName()
	for i, zone := range []string{p.zone, calendarsync.LinkName(p.zone), "UTC"} {
		if zone == "" {
			continue
		}
		made, err := p.insert(ctx, zone)
		if said, is := errors.AsType[*apiError](err); is && said.status == http.StatusBadRequest && i < 2 {
			p.zoneRefused(zone, said)
			continue
		}
		if ambiguous(err) {
			// It may have been made: by its name it is found, and goes on as a calendar
			// whose insert's answer nobody saw.
			if p.find(ctx); p.scratch.id != "" {
				made, err = p.google.do(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id)})
			}
		}
		if err != nil {
			return err
		}
		p.scratch.id, p.scratch.made = text(made, "id"), p.now()
		p.zoneTaken(zone, i == 2)
		p.answer("creation", "yes", "one calendar was made; how many may be made in an hour or a day is not tried")
		p.compareCalendar("in the answer to its making", made, zone)
		return nil
	}
	return errors.New("no time zone was taken")
}

func (p *probe) insert(ctx context.Context, zone string) (object, error) {
	p.scratch.tried = true
	made, err := p.google.do(ctx, request{method: http.MethodPost, path: "calendars", once: true, body: object{
		"summary": p.scratch.name + " " + decomposed + " " + runOfBlanks, "description": description(), "timeZone": zone,
	}})
	if err != nil && !ambiguous(err) {
		p.scratch.tried = false
	}
	return made, err
}

func (p *probe) zoneRefused(zone string, said *apiError) {
	if said.saysZone {
		p.answer("zone-taken", "refused", "%s: %s", zone, said)
	} else {
		p.answer("zone-taken", "refused in other words", "%s: %s, without the words “invalid time zone”", zone, said)
	}
}

// zoneTaken says which zone was taken in the end; inTheEnd is UTC, which is no name of
// the installation's zone.
func (p *probe) zoneTaken(zone string, inTheEnd bool) {
	f := p.finding("zone-taken")
	before := f.Answer
	switch {
	case before == "":
		p.answer("zone-taken", "taken", "%s", zone)
	case before == "refused" && inTheEnd:
		p.answer("zone-taken", "refused by every name", "%s; UTC is taken", f.Detail)
	default:
		f.Detail += "; " + zone + " is taken"
	}
}

// seenCalendar is how the scratch calendar came back in one kind of answer.
type seenCalendar struct {
	where, name, description, zone string
	list                           bool
}

// compareCalendar judges one answer that shows the scratch calendar; the first that
// shows something other than what was sent decides.
func (p *probe) compareCalendar(where string, o object, sentZone string) {
	p.compare(seenCalendar{where: where, name: text(o, "summary"), description: text(o, "description"), zone: text(o, "timeZone")}, sentZone)
}

func (p *probe) compare(c seenCalendar, sentZone string) {
	if f := p.finding("zone-of-calendars"); f.Answer == "" || f.Answer == asSent {
		if c.zone == sentZone {
			p.answer("zone-of-calendars", asSent, "%s", sentZone)
		} else {
			p.answer("zone-of-calendars", "renamed", "%s became %s %s", sentZone, c.zone, c.where)
		}
	}
	if f := p.finding("name-of-calendars"); f.Answer == "" || f.Answer == asSent {
		sent := p.scratch.name + " " + decomposed + " " + runOfBlanks
		if strings.TrimSpace(c.name) == sent {
			p.answer("name-of-calendars", asSent, "also й of two code points, and runs of blanks")
		} else {
			p.answer("name-of-calendars", "folded", "%s %s", c.where, foldedHow(sent, c.name))
		}
	}
	p.compareMark(c)
}

func (p *probe) compareMark(c seenCalendar) {
	f := p.finding("mark")
	before := f.Answer
	if markFound(c.description) {
		if before == "" {
			p.answer("mark", "found", "the description comes back%s", describedHow(c.description))
		}
		return
	}
	word := "lost in answers"
	if c.list {
		word = "lost in lists"
	}
	if before != "" && before != "found" && before != word {
		word = "lost everywhere"
	}
	p.answer("mark", word, "%s it comes back%s", c.where, describedHow(c.description))
}

func describedHow(got string) string {
	sent := description()
	var how []string
	switch {
	case got == sent:
		return " as sent"
	case strings.Contains(got, "\r\n"):
		how = append(how, "with CRLF for line breaks")
	case !strings.Contains(got, "\n"):
		how = append(how, "without line breaks")
	}
	if strings.Contains(got, "&lt;") || strings.Contains(got, "&amp;") {
		how = append(how, "escaped as HTML")
	}
	if len(how) == 0 {
		how = append(how, "otherwise than sent")
	}
	return " " + strings.Join(how, ", ")
}

// readBack looks at the scratch calendar in every answer that shows it.
func (p *probe) readBack(ctx context.Context) error {
	sent := p.scratchZone()
	got, err := p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id)})
	if err != nil {
		return err
	}
	p.compareCalendar("in calendars.get", got, sent)
	head, err := p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "events")})
	if err != nil {
		return err
	}
	p.compare(seenCalendar{where: "at the head of events.list", name: text(head, "summary"), description: text(head, "description"), zone: text(head, "timeZone"), list: true}, sent)
	rules, err := p.existing(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id, "acl")})
	if err != nil {
		return err
	}
	var foreign []string
	word := "some"
	for _, r := range items(rules) {
		scope := inner(r, "scope")
		// The owner's, which Google may spell otherwise, and the calendar's own, which it
		// lists among its owners.
		if text(r, "role") != "owner" {
			kind := text(scope, "type")
			foreign = append(foreign, kind+" as "+text(r, "role"))
			if kind != "domain" && kind != "default" {
				word = "for somebody"
			}
		}
	}
	if len(foreign) == 0 {
		p.answer("default-rules", "none", "only the owner's")
	} else {
		p.answer("default-rules", word, "%s", sorted(foreign))
	}
	return nil
}

// scratchZone is the zone that the scratch calendar was made with.
func (p *probe) scratchZone() string {
	if p.finding("zone-taken").Answer == "taken" {
		return p.zone
	}
	if link := calendarsync.LinkName(p.zone); link != "" && strings.Contains(p.finding("zone-taken").Detail, link+" is taken") {
		return link
	}
	return "UTC"
}

// row finds the scratch calendar's row in the list.
func (p *probe) row(ctx context.Context) (object, error) {
	rows, err := p.google.all(ctx, "users/me/calendarList", url.Values{"minAccessRole": {"owner"}, "showHidden": {"true"}, "maxResults": {"250"}})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(rows, func(r object) bool { return text(r, "id") == p.scratch.id })
	if i < 0 {
		return nil, nil
	}
	return rows[i], nil
}

// until asks about the row again and again, until is says that it is as hoped or the
// patience is over; it gives how long after since that was.
func (p *probe) until(ctx context.Context, since time.Time, is func(row object) bool) (row object, after time.Duration, ok bool, err error) {
	for {
		row, err := p.row(ctx)
		after := p.now().Sub(since).Round(time.Second)
		if err != nil || is(row) {
			return row, after, err == nil, err
		}
		if after >= p.patience {
			return row, after, false, nil
		}
		if err := p.pause(ctx, 15*time.Second); err != nil {
			return nil, after, false, err
		}
	}
}

func (p *probe) waitForRow(ctx context.Context) error {
	row, after, ok, err := p.until(ctx, p.scratch.made, func(row object) bool { return row != nil })
	switch {
	case err != nil:
		return err
	case !ok && p.patience < soonEnough*time.Second:
		p.cannot("listed", "not within %s; the product looks for twelve minutes: give the probe -patience 15m", after)
		return nil
	case !ok:
		p.answer("listed", "not within the time", "not within %s", after)
		return nil
	case after < 30*time.Second:
		p.answer("listed", "at once", "the first look found it, %s after its creation", after)
	case after <= 2*time.Minute:
		p.answer("listed", "soon", "after %s", after)
	case after <= soonEnough*time.Second:
		p.answer("listed", "late", "after %s", after)
	default:
		p.answer("listed", "not within the time", "only after %s; the product looks for twelve minutes", after)
	}
	p.compare(seenCalendar{where: "in the list of calendars", name: text(row, "summary"), description: text(row, "description"), zone: text(row, "timeZone"), list: true}, p.scratchZone())
	return nil
}

// deletion deletes the scratch calendar and looks at its row.
func (p *probe) deletion(ctx context.Context) error {
	if _, err := p.existing(ctx, request{method: http.MethodDelete, path: parts("calendars", p.scratch.id)}); err != nil {
		return err
	}
	deleted := p.now()
	p.scratch.deleting = true
	said, err := p.untilGone(ctx)
	if err != nil {
		return err
	}
	if said == nil {
		p.cannot("stale-row", "the deletion was accepted, and the calendar answers all the same")
		return nil
	}
	p.scratch.gone = true
	_, after, dropped, err := p.until(ctx, deleted, func(row object) bool { return row == nil })
	switch {
	case err != nil:
		return err
	case !dropped:
		p.answer("stale-row", "not within the time", "still listed %s after the deletion, while calendars.get says %d", after, said.status)
	case after < 15*time.Second:
		if p.finding("listed").Answer == "not within the time" {
			p.cannot("stale-row", "the list never named the calendar")
			return nil
		}
		p.answer("stale-row", "dropped at once", "calendars.get says %d", said.status)
	default:
		p.answer("stale-row", "dropped later", "after %s, while calendars.get says %d", after, said.status)
	}
	return nil
}

// untilGone asks for the deleted calendar until it is not there, for a minute; nil is
// one that still answers.
func (p *probe) untilGone(ctx context.Context) (*apiError, error) {
	for range 6 {
		_, err := p.google.do(ctx, request{method: http.MethodGet, path: parts("calendars", p.scratch.id)})
		said, is := errors.AsType[*apiError](err)
		switch {
		case is && (said.status == http.StatusNotFound || said.status == http.StatusGone):
			return said, nil
		case err != nil:
			return nil, err
		}
		if err := p.pause(ctx, 10*time.Second); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// foldedHow says in words what became of a text.
func foldedHow(sent, got string) string {
	var how []string
	if !strings.Contains(got, decomposed) {
		how = append(how, "й is composed")
	}
	if strings.Contains(sent, runOfBlanks) && !strings.Contains(got, runOfBlanks) {
		how = append(how, "runs of blanks are one")
	}
	if len(strings.TrimRight(sent, " ")) < len(sent) && strings.TrimRight(got, " ") == got {
		how = append(how, "blanks at the end are gone")
	}
	if len(strings.TrimLeft(sent, " ")) < len(sent) && strings.TrimLeft(got, " ") == got {
		how = append(how, "blanks at the beginning are gone")
	}
	if len(how) == 0 {
		return fmt.Sprintf("it is another text of %d characters, not of %d", len([]rune(got)), len([]rune(sent)))
	}
	return strings.Join(how, ", ")
}

func sorted(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
