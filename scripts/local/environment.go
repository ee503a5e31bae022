package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	fakeerp "github.com/erp-calendar/erp-calendar/shared/fake/userside"
)

// Whom the stand-ins know.
const (
	standInAdmin   = "admin@provider.example"
	standInAccount = "calendars@provider.example"
	standInClient  = "local.apps.googleusercontent.com"
	standInZone    = "Europe/Kyiv"
)

// sides tells which of the two outside systems are real: those of which the
// environment names anything.
type sides struct{ realERP, realGoogle bool }

func sidesOf(lookup func(string) (string, bool)) sides {
	anyOf := func(names ...string) bool {
		for _, n := range names {
			if v, ok := lookup(n); ok && v != "" {
				return true
			}
		}
		return false
	}
	return sides{
		realERP:    anyOf("ERP_URL", "ERP_API_KEY"),
		realGoogle: anyOf("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "INTEGRATION_ACCOUNT"),
	}
}

// keys are the secrets a local run makes for itself.
type keys struct {
	Session string `json:"session_key"`
	Token   string `json:"token_key"`
	Notify  string `json:"notify_secret"`
	ERP     string `json:"erp_api_key"`
	Client  string `json:"oauth_client_secret"`
}

func newKeys() keys {
	random := func() string {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		return base64.StdEncoding.EncodeToString(b)
	}
	return keys{Session: random(), Token: "local:" + random(), Notify: "whsec_" + random(), ERP: random(), Client: random()}
}

// keptKeys reads the keys kept beside the state, so that a grant sealed in an
// earlier run can be opened; it makes them the first time.
func keptKeys(path string) (keys, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator's own path
	if errors.Is(err, fs.ErrNotExist) {
		k := newKeys()
		if data, err = json.MarshalIndent(k, "", "  "); err != nil { //nolint:gosec // keeping them is the point: a file only its owner may read
			return keys{}, err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return keys{}, err
		}
		return k, os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return keys{}, err
	}
	var k keys
	if err := json.Unmarshal(data, &k); err != nil {
		return keys{}, fmt.Errorf("read %s: %w", path, err)
	}
	return k, nil
}

// environment is what the functions see: the real environment first, then what a
// local run supplies. What a real side needs is never made up, so that a missing
// variable is named.
func environment(lookup func(string) (string, bool), base string, s sides, k keys) func(string) (string, bool) {
	supplied := map[string]string{
		"GOOGLE_CLOUD_PROJECT": "local-run",
		"OAUTH_URL":            base + "/OAuth",
		"CONSOLE_URL":          base + "/Console",
		"SESSION_KEY":          k.Session,
		"TOKEN_KEY":            k.Token,
		"NOTIFY_SECRETS":       k.Notify,
	}
	if !s.realERP {
		supplied["ERP_URL"] = base + "/erp"
		supplied["ERP_API_KEY"] = k.ERP
		supplied["ALLOW_HTTP_ERP"] = "true"
		supplied["DEFAULT_SETTINGS"] = fmt.Sprintf(
			`{"enabled":true,"confirmed":true,"time_zone":%q,"shown_roles":[%d,%d],"binding_field":%d,"calendar_id_field":%d}`,
			standInZone, fakeerp.RoleNotCompleted, fakeerp.RoleInProgress, fakeerp.SampleBindingField, fakeerp.SampleCalendarField)
	}
	if !s.realGoogle {
		supplied["OAUTH_CLIENT_ID"] = standInClient
		supplied["OAUTH_CLIENT_SECRET"] = k.Client
		supplied["INTEGRATION_ACCOUNT"] = standInAccount
		supplied["ADMIN_EMAILS"] = standInAdmin
		supplied["GOOGLE_ISSUER"] = base + "/google"
		supplied["CALENDAR_ENDPOINT"] = base + "/google/calendar/v3/"
	}
	return func(name string) (string, bool) {
		if v, ok := lookup(name); ok && strings.TrimSpace(v) != "" {
			return v, true
		}
		v, ok := supplied[name]
		return v, ok
	}
}
