package google

import (
	"fmt"
	"net/http"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// length counts a text as its limits do.
func (s *Server) length(text string) int {
	if s.opt.Ways.UTF16 {
		n := 0
		for _, r := range text {
			n += utf16.RuneLen(r)
		}
		if n > utf8.RuneCountInString(text) {
			s.meet(wayUTF16)
		}
		return n
	}
	return utf8.RuneCountInString(text)
}

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
	if !s.takesWrite(c) {
		return over(" per calendar")
	}
	if s.opt.RequestsPerMinute > 0 || s.opt.ProjectRequestsPerMinute > 0 {
		c.acc.units[c.tok.client] = append(c.acc.units[c.tok.client], usage{c.now, c.entry.Units})
	}
	return nil
}

// LimitCalendarWrites has each calendar take so many writes in any second from now on,
// and refuse others with rateLimitExceeded; 0 is no limit. Google documents none.
func (s *Server) LimitCalendarWrites(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calendarWrites, s.written = perSecond, map[string][]time.Time{}
}

// takesWrite counts a write against the limit of its calendar.
func (s *Server) takesWrite(c *call) bool {
	id := c.path["calendarId"]
	if s.calendarWrites == 0 || !c.entry.Write || id == "" {
		return true
	}
	made := s.written[id]
	for len(made) > 0 && !made[0].After(c.now.Add(-time.Second)) {
		made = made[1:]
	}
	if len(made) >= s.calendarWrites {
		return false
	}
	s.written[id] = append(made, c.now)
	return true
}

// Kinds of the anti-abuse limits.
const (
	kindCalendars = "calendars"
	kindEvents    = "events"
	kindShares    = "shares"
)

// window is a limit of creations within a length of time.
type window struct {
	limit  int
	length time.Duration
	way    string
}

// windows are the limits of creations of one kind; a limit of 0 is none.
func (s *Server) windows(kind string) []window {
	o, w := s.opt, s.opt.Ways
	const day = 24 * time.Hour
	switch kind {
	case kindCalendars:
		return []window{{o.CalendarsPerPeriod, o.Period, ""}, {w.CalendarsPerHour, time.Hour, wayHourly}, {w.CalendarsPerDay, day, wayDaily}}
	case kindShares:
		return []window{{o.SharesPerPeriod, o.Period, ""}, {w.SharesPerDay, day, wayDaily}}
	}
	return []window{{o.EventsPerPeriod, o.Period, ""}}
}

// create counts one creation against the anti-abuse limits of its kind, or trips
// one: 403 quotaExceeded, for hours.
func (c *call) create(kind string) *apiError {
	s, a := c.s, c.acc
	if t, ok := a.lockedTil["creating"]; ok && c.now.Before(t) && kind != kindEvents {
		return locked()
	}
	var longest time.Duration
	for _, w := range s.windows(kind) {
		if w.limit <= 0 {
			continue
		}
		longest = max(longest, w.length)
		made := 0
		for _, at := range a.created[kind] {
			if at.After(c.now.Add(-w.length)) {
				made++
			}
		}
		if made < w.limit {
			continue
		}
		lock := "creating"
		if kind == kindEvents || s.opt.QuotaLocksAll || s.opt.Ways.CreationLocksAll {
			lock = "writes"
		}
		if s.opt.Ways.CreationLocksAll && kind != kindEvents {
			s.meet(wayLocksAll)
		}
		if w.way != "" {
			s.meet(w.way)
		}
		a.lockedTil[lock] = c.now.Add(s.opt.QuotaLock)
		return locked()
	}
	if longest == 0 {
		return nil
	}
	list := a.created[kind]
	for len(list) > 0 && !list[0].After(c.now.Add(-longest)) {
		list = list[1:]
	}
	a.created[kind] = append(list, c.now)
	return nil
}

func locked() *apiError {
	return usageLimit(http.StatusForbidden, "quotaExceeded", "Calendar usage limits exceeded.")
}

// mayWrite refuses a write while all writes of the account are locked.
func (c *call) mayWrite() *apiError {
	if t, ok := c.acc.lockedTil["writes"]; ok && c.now.Before(t) && c.entry.Write {
		return locked()
	}
	return nil
}

// LockWrites answers every write of an account with 403 quotaExceeded for a while
// (G9), as a limit does that locks all; UnlockQuota ends it.
func (s *Server) LockWrites(account string, lasts time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return fmt.Errorf("locking the writes: account %s: %w", account, ErrNotThere)
	}
	acc.lockedTil["writes"] = s.now().Add(lasts)
	return nil
}
