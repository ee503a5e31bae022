package main

import (
	"context"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

func (d *doctor) settingsChecks() []check {
	return []check{
		{id: "settings.read", group: groupSettings, title: "complete", needs: []string{"env.defaults"}, after: []string{"env.erp", "cloud.firestore"}, run: d.checkSettings},
		{id: "settings.confirmed", group: groupSettings, title: "confirmed", needs: []string{"settings.read"}, run: func(context.Context) verdict {
			if !d.settings.Confirmed {
				return warn("Open the console's page /setup and apply the plan that its last step shows.",
					"not confirmed: nothing is created, shared or deleted until an admin has applied the first plan")
			}
			return ok("an admin has applied a plan, or DEFAULT_SETTINGS says so")
		}},
		{id: "settings.enabled", group: groupSettings, title: "enabled", needs: []string{"settings.read"}, run: func(context.Context) verdict {
			if !d.settings.Enabled {
				return warn("Switch “enabled” on at the console's page /settings.", "off: everything is paused, nothing is written or deleted")
			}
			return ok("on")
		}},
	}
}

// noneSaved stands for a store that cannot be read.
type noneSaved struct{}

func (noneSaved) SavedSettings(context.Context) (store.SettingsRecord, bool, error) {
	return store.SettingsRecord{}, false, nil
}

func (noneSaved) ApplySettings(context.Context, store.SettingsRecord, int64) error {
	return errReadOnly
}

func (d *doctor) checkSettings(ctx context.Context) verdict {
	var from settings.Store = noneSaved{}
	if d.state != nil {
		from = d.state
	}
	saved, err := settings.NewSource(from, d.env.defaults.JSON, d.env.erp.URL, d.now).Saved(ctx)
	if err != nil {
		return bad("Run the doctor again.", "the saved settings could not be read (%s)", kindWords(err))
	}
	whose := "saved in the console (version " + itoa(saved.Version) + ")"
	if saved.Version == 0 {
		whose = "from DEFAULT_SETTINGS"
	}
	const cure = "Set them at the console's page /settings, or in DEFAULT_SETTINGS before anybody has saved there."
	switch {
	case len(saved.Faults) > 0:
		v := bad(cure, "the settings %s are faulty", whose)
		for _, f := range saved.Faults {
			v.Details = append(v.Details, strings.TrimPrefix(f.Field+": "+f.Problem, ": "))
		}
		return v
	case len(saved.Missing) > 0:
		v := bad(cure+" The ERP's roles are listed under “state catalogue”, if the ERP can be read.", "%s must be set; nobody can guess it", strings.Join(saved.Missing, " and "))
		// Judged all the same: what is there is used where it suffices.
		d.settings = saved.Settings
		return v
	}
	d.settings, d.settingsSet = saved.Settings, true
	if d.state == nil {
		return warn("Mend the access to Firestore first.", "Firestore cannot be read, so what an admin may have saved is unknown; below, DEFAULT_SETTINGS are judged")
	}
	return ok("%s, nothing missing or wrong", whose)
}
