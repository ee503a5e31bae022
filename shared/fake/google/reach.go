package google

import (
	"fmt"
	"net/http"
)

// LoseReach puts the calendars that OAuth clients made in an account so far out of
// their reach, though they exist, until RegainReach (G13): where calendar.app.created
// admits a call it answers as Ways.ReachLost says, 404 if that says nothing. Sharing
// and the calendar list, which have scopes of their own, go on.
func (s *Server) LoseReach(account string) error { return s.setReach(account, false) }

// RegainReach ends LoseReach.
func (s *Server) RegainReach(account string) error { return s.setReach(account, true) }

func (s *Server) setReach(account string, within bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := s.account(account)
	if acc == nil {
		return fmt.Errorf("changing a client's reach: account %s: %w", account, ErrNotThere)
	}
	for _, cal := range s.calOrder {
		if cal.owner == acc && cal.clientID != "" {
			cal.outOfReach = !within
		}
	}
	return nil
}

// loseReach is what becomes of the calendars of a client whose grant ended ("" = of
// all clients).
func (s *Server) loseReach(acc *account, client string) {
	if s.opt.Ways.ReachLost == 0 {
		return
	}
	for _, cal := range s.calOrder {
		if cal.owner == acc && cal.clientID != "" && (client == "" || cal.clientID == client) {
			cal.outOfReach = true
		}
	}
}

// outOfReach is the error of a calendar that this client lost.
func (c *call) outOfReach(cal *calendarState) *apiError {
	if !c.appOnly || !cal.outOfReach {
		return nil
	}
	c.s.meet(wayReach)
	if c.s.opt.Ways.ReachLost == http.StatusForbidden {
		return errorf(http.StatusForbidden, "forbidden", "Forbidden")
	}
	return notFound()
}
