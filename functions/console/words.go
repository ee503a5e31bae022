package console

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// locale is how a page speaks to its reader: in which language, at what time, in which zone.
type locale struct {
	i18n.Texts
	now  time.Time
	zone *time.Location
	// still: nothing is written for anybody just now, so that nothing is promised.
	still bool
}

// locale gives that of a request; zone is the installation's.
func (h *handler) locale(r *http.Request, zone string) locale {
	loc, known := location(zone)
	if !known {
		loc = time.UTC
	}
	return locale{Texts: h.texts(r), now: h.Now(), zone: loc}
}

// location is the zone of a name; known is false where it is none.
func location(zone string) (at *time.Location, known bool) {
	at, err := time.LoadLocation(zone)
	return at, err == nil && zone != "" && !strings.EqualFold(zone, "local")
}

func (c locale) stamp(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	return stamp{Ago: c.age(c.now.Sub(t)), Full: c.moment(t), Machine: t.UTC().Format(time.RFC3339)}
}

// moment gives a time as the language writes it, in the installation's zone.
func (c locale) moment(t time.Time) string { return t.In(c.zone).Format(c.day() + " 15:04") }

// day is the form of a date.
func (c locale) day() string {
	if c.Language == i18n.Default {
		return time.DateOnly
	}
	return "02.01.2006"
}

// age puts a duration into words, rounded down.
func (c locale) age(d time.Duration) string { return c.Age(d) }

// about puts a time to come into words: the hour, and the day if it is another.
func (c locale) about(t time.Time) string {
	if !t.After(c.now) {
		return c.T("time.now")
	}
	t = t.In(c.zone)
	form := c.day() + " 15:04"
	if day := time.DateOnly; t.Format(day) == c.now.In(c.zone).Format(day) {
		form = "15:04"
	}
	return c.T("time.about", "At", t.Format(form))
}

// promise gives a text that says that something is done by itself; "" while nothing is.
func (c locale) promise(text string) string {
	if c.still {
		return ""
	}
	return text
}

var storedKey = regexp.MustCompile(`\b(tasks|employees)/(\d+)\b`)

// keyWords writes keys in a text, which are recorded as "tasks/12", as the reader knows them.
func keyWords(t i18n.Texts, text string) string {
	return storedKey.ReplaceAllStringFunc(text, func(key string) string {
		if id, is := strings.CutPrefix(key, string(store.Tasks)+"/"); is {
			return t.T("activity.task", "ID", id)
		}
		_, id, _ := strings.Cut(key, "/")
		return t.T("people.unnamed", "ID", id)
	})
}

// causeWords says what made a pass: a notification, the poll, the nightly check.
func causeWords(c locale, cause string) string {
	if cause == "" || !c.Has("cause."+cause) {
		return cause
	}
	return c.T("cause." + cause)
}

// actionWords reads actions such as "event.update". One of an earlier version that is not
// known any more is shown as it is.
func actionWords(c locale, action string) string {
	if !c.Has("action." + action) {
		return action
	}
	return c.T("action." + action)
}
