package google

import (
	"slices"
	"time"
)

func validZone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// knownZone reports whether this Google takes the name of a zone.
func (s *Server) knownZone(name string) bool {
	if slices.Contains(s.opt.Ways.ZonesRefused, name) {
		s.meet(wayZoneRefused)
		return false
	}
	return validZone(name)
}

// aliased gives a zone as answers spell it.
func (s *Server) aliased(zone string) string {
	if alias := s.opt.Ways.ZonesAliased[zone]; alias != "" {
		s.meet(wayZoneAliased)
		return alias
	}
	return zone
}
