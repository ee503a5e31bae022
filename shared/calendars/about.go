package calendars

import (
	"context"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/googlecalendar"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// about is what the description of a calendar ought to say to people; "" for nothing.
func (p *employeePass) about() string {
	if p.About == nil {
		return ""
	}
	return p.About.In(p.settings.Language)
}

// describedMark is the mark with what stands before it.
func (p *employeePass) describedMark(c store.CalendarRecord) calendarsync.CalendarMark {
	mark := p.mark(c)
	mark.About = p.about()
	return mark
}

// withoutAbout gives a calendar without what its description says to people, in whatever
// language and as it was last written.
func (p *employeePass) withoutAbout(have googlecalendar.Calendar, c store.CalendarRecord) googlecalendar.Calendar {
	texts := []string{c.About}
	if p.About != nil {
		texts = append(texts, p.About.Every()...)
	}
	have.Description = calendarsync.WithoutTexts(have.Description, texts...)
	return have
}

// renewsAbout reports whether the description says something else to people than it ought
// to. Only a full run writes that, once: it is worth no write of its own before, and what
// the account's owner made of it since is theirs.
func (p *employeePass) renewsAbout() bool {
	return p.run != nil && p.rec().Calendar.About != p.about()
}

// learnAbout notes that a description says what it ought to, though nobody remembers
// having written it.
func (p *employeePass) learnAbout(ctx context.Context, head googlecalendar.Calendar) error {
	c := p.rec().Calendar
	if c.About != "" || !p.renewsAbout() || !calendarsync.HasText(head.Description, p.about()) {
		return nil
	}
	about := p.about()
	return p.save(ctx, ofCalendar(func(c *store.CalendarRecord) { c.About = about }))
}
