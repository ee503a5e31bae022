package google

import (
	"net/http"
	"time"
)

// charge counts the call's quota units in the sliding minute. Refused calls are
// not counted.
func (s *Server) charge(c *call) *apiError {
	since := c.now.Add(-time.Minute)
	total := func(a *account) int {
		n, list := 0, a.units[c.tok.client]
		for len(list) > 0 && !list[0].at.After(since) {
			list = list[1:]
		}
		a.units[c.tok.client] = list
		for _, u := range list {
			n += u.units
		}
		return n
	}
	over := func(what string) *apiError {
		return usageLimit(s.opt.RateLimitStatus, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute"+what+"' of service 'calendar-json.googleapis.com'.")
	}
	if n := s.opt.RequestsPerMinute; n > 0 && total(c.acc)+c.entry.Units > n {
		return over(" per user")
	}
	if n := s.opt.ProjectRequestsPerMinute; n > 0 {
		sum := 0
		for _, a := range s.order {
			sum += total(a)
		}
		if sum+c.entry.Units > n {
			return over("")
		}
	}
	if s.opt.RequestsPerMinute > 0 || s.opt.ProjectRequestsPerMinute > 0 {
		c.acc.units[c.tok.client] = append(c.acc.units[c.tok.client], usage{c.now, c.entry.Units})
	}
	return nil
}

// Kinds of the anti-abuse limits.
const (
	kindCalendars = "calendars"
	kindEvents    = "events"
	kindShares    = "shares"
)

// create counts one creation against the anti-abuse limit of its kind, or trips
// it: 403 quotaExceeded, for hours.
func (c *call) create(kind string) *apiError {
	s, a := c.s, c.acc
	exceeded := usageLimit(http.StatusForbidden, "quotaExceeded", "Calendar usage limits exceeded.")
	lock := "creating"
	if kind == kindEvents || s.opt.QuotaLocksAll {
		lock = "writes"
	}
	if kind != kindEvents {
		if t, ok := a.lockedTil["creating"]; ok && c.now.Before(t) {
			return exceeded
		}
	}
	limit := map[string]int{kindCalendars: s.opt.CalendarsPerPeriod, kindEvents: s.opt.EventsPerPeriod, kindShares: s.opt.SharesPerPeriod}[kind]
	if limit <= 0 {
		return nil
	}
	list := a.created[kind]
	for len(list) > 0 && !list[0].After(c.now.Add(-s.opt.Period)) {
		list = list[1:]
	}
	if len(list) >= limit {
		a.created[kind] = list
		a.lockedTil[lock] = c.now.Add(s.opt.QuotaLock)
		return exceeded
	}
	a.created[kind] = append(list, c.now)
	return nil
}
