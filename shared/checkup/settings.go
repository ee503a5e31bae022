package checkup

import (
	"context"
	"strings"
)

// SettingsChecks are those of the settings.
func (s *Subject) SettingsChecks() []Check {
	return []Check{
		s.check("settings.read", "settings", s.checkSettings),
		s.check("settings.confirmed", "settings", func(context.Context) Verdict {
			if !s.Settings.Confirmed {
				return s.warn("settings.confirmed.waiting")
			}
			return s.good("settings.confirmed.good")
		}).needs("settings.read"),
		s.check("settings.enabled", "settings", func(context.Context) Verdict {
			if !s.Settings.Enabled {
				return s.warn("settings.enabled.off")
			}
			return s.good("settings.enabled.good")
		}).needs("settings.read"),
	}
}

func (s *Subject) checkSettings(ctx context.Context) Verdict {
	saved, recorded, err := s.Saved(ctx)
	if err != nil {
		return s.failed("settings.read.unread", err)
	}
	whose := s.Texts.T("doctor.settings.read.saved", "Version", saved.Version)
	if saved.Version == 0 {
		whose = s.Texts.T("doctor.settings.read.default")
	}
	switch {
	case len(saved.Faults) > 0:
		v := s.bad("settings.read.faulty", "Whose", whose)
		for _, f := range saved.Faults {
			v.Details = append(v.Details, strings.TrimPrefix(f.Field+": "+f.Problem, ": "))
		}
		return v
	case len(saved.Missing) > 0:
		// Judged all the same: what is there is used where it suffices.
		s.Settings = saved.Settings
		return s.bad("settings.read.missing", "Missing", strings.Join(saved.Missing, ", "))
	}
	s.Settings, s.Complete = saved.Settings, true
	if !recorded {
		return s.warn("settings.read.blind")
	}
	return s.good("settings.read.good", "Whose", whose)
}
