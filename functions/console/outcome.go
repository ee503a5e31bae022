package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/store"
)

const (
	// askedField is the query value that says since when the outcome of an action is waited for.
	askedField = "asked"
	// askedLasts is how long an outcome is of interest.
	askedLasts = time.Hour
	// mostWrites is how many writes an outcome names.
	mostWrites = 5
)

// outcome is what came of an action on one employee or task, in place: the page shows it
// until something else is asked.
type outcome struct {
	Level string // "wait", "good" or "bad"
	cause
	Writes []string
	More   int // writes that are not named
	Next   string
	Live   string // "soon" while it may still change; the page refreshes it
}

// askedAt is when the action was asked for whose outcome a page shows; zero where none was.
func askedAt(r *http.Request, now time.Time) time.Time {
	n, err := strconv.ParseInt(r.URL.Query().Get(askedField), 10, 64)
	if err != nil {
		return time.Time{}
	}
	asked := time.Unix(n, 0)
	if asked.After(now) || now.Sub(asked) > askedLasts {
		return time.Time{}
	}
	return asked
}

// outcomeOf says what came of what was asked of a key at a time. activity are its latest
// writes, the latest first; standstill is why nothing is written for anybody, if so.
func outcomeOf(c locale, asked time.Time, w store.Work, activity []store.ActivityRecord, standstill *cause) *outcome {
	if asked.IsZero() {
		return nil
	}
	o := &outcome{}
	for i := len(activity) - 1; i >= 0; i-- {
		a := activity[i]
		switch {
		case a.At.Before(asked), a.By != "": // before it, or what an admin asked for
		case len(o.Writes) == mostWrites:
			o.More++
		default:
			o.Writes = append(o.Writes, c.written(a))
		}
	}
	switch {
	case w.Failure != nil && !w.Failure.At.Before(asked):
		o.cause, o.Next, o.Level = failureCause(c.Texts, w.Failure), c.next(w), "wait"
		if o.Person {
			o.Level = "bad"
		}
	case w.Dirty > 0 && standstill != nil:
		o.Level, o.What, o.Do = "wait", c.T("outcome.kept"), standstill.What
	case w.Dirty > 0:
		o.Level, o.Live, o.What = "wait", "soon", c.T("outcome.asked")
		if w.LeaseUntil.After(c.now) {
			o.What = c.T("outcome.looking")
		} else if w.DueAt.After(c.now) {
			o.What, o.Next = c.T("outcome.waiting"), c.next(w)
		}
	case len(o.Writes) == 0:
		o.Level, o.What = "good", c.T("outcome.right")
	default:
		o.Level, o.What = "good", c.T("outcome.written")
	}
	return o
}

// written says in a line what a write was.
func (c locale) written(a store.ActivityRecord) string {
	line := actionWords(c, a.Action)
	if a.Task > 0 {
		line += " · " + c.T("activity.task", "ID", a.Task)
	}
	if row := activityOf(c, a, nil); row.Level == "warn" {
		line += " – " + row.Result
	}
	return line
}
