package google

import (
	"strings"
)

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndex(address, "@")+1:])
}

// outside reports whether an address is no one of the owner's organisation.
func (c *calendarState) outside(address string) bool {
	domain := domainOf(address)
	return domain != domainOf(c.owner.Email) && (c.owner.HostedDomain == "" || domain != strings.ToLower(c.owner.HostedDomain))
}

// lowered gives the role that the policy leaves of one that somebody gives.
func (s *Server) lowered(cal *calendarState, kind, value, role string) string {
	if s.opt.Ways.Outside == OutsideLowered && (kind == "user" || kind == "group") && cal.outside(value) && roleRank[role] > roleRank["freeBusyReader"] {
		s.meet(wayOutsideLowered)
		return "freeBusyReader"
	}
	return role
}

// sees gives what a rule lets acc see, which its role may not tell.
func (s *Server) sees(cal *calendarState, r *rule, acc *account) string {
	if s.opt.Ways.Outside == OutsideBlind && cal.outside(acc.Email) && roleRank[r.role] > roleRank["freeBusyReader"] {
		s.meet(wayOutsideBlind)
		return "freeBusyReader"
	}
	return r.role
}

// spelled gives a scope as Google answers it, which is what its rule's id is made of.
func (s *Server) spelled(kind, value string) (string, string) {
	value = strings.ToLower(value)
	if kind != "user" {
		return kind, value
	}
	w := s.opt.Ways
	if w.GmailSpelling {
		if local, domain, ok := strings.Cut(value, "@"); ok && (domain == "gmail.com" || domain == "googlemail.com") {
			plain := strings.ReplaceAll(local, ".", "") + "@gmail.com"
			if plain != value {
				s.meet(wayGmail)
			}
			value = plain
		}
	}
	if w.GroupsOneIn > 0 && s.accounts[value] == nil && share(value, uint64(w.GroupsOneIn)) == 0 {
		s.meet(wayGroup)
		kind = "group"
	}
	return kind, value
}

// hides reports whether a new share is kept out of sight until it is accepted.
func (s *Server) hides(r *rule) bool {
	if r.kind != "user" && r.kind != "group" {
		return false
	}
	if s.opt.Ways.InvitationsHidden {
		s.meet(wayHidden)
		return true
	}
	return r.kind == "user" && s.opt.InviteHidden != nil && s.opt.InviteHidden(r.value)
}

// addDefaultRules gives a new calendar the rules that nobody asked for.
func (s *Server) addDefaultRules(cal *calendarState) {
	for _, d := range s.opt.Ways.DefaultRules {
		r := s.setRule(cal, d.Type, d.Value, d.Role)
		r.inborn = true
		s.meet(wayDefaultRules)
		s.tellRule(cal, r)
	}
}
