package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/erp-calendar/erp-calendar/shared/config"
)

// everything uses each variable of functions/README.md.
type everything struct {
	config.Store
	config.ERP
	config.OAuthClient
	config.Sites
	config.Admins
	config.SessionKey
	config.NotifySecrets
	config.TokenKey
	config.Topics
	config.Budget
	config.Waits
	config.Google
	config.DefaultSettings
}

const (
	key32  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	kmsKey = "projects/p/locations/europe-west1/keyRings/erp/cryptoKeys/token"
)

// least sets only what has no default.
func least() map[string]string {
	return map[string]string{
		"GOOGLE_CLOUD_PROJECT": "erp-calendar-1",
		"ERP_URL":              "https://erp.example.com/", "ERP_API_KEY": "ERPKEYMARKER",
		"OAUTH_CLIENT_ID": "1-a.apps.googleusercontent.com", "OAUTH_CLIENT_SECRET": "CLIENTMARKER",
		"OAUTH_URL": "https://x.cloudfunctions.net/oauth/", "CONSOLE_URL": "https://x.cloudfunctions.net/console",
		"ADMIN_EMAILS": "Admin@Example.com, second@example.com", "INTEGRATION_ACCOUNT": "calendars@example.com",
		"SESSION_KEY": key32, "NOTIFY_SECRETS": secret, "TOKEN_KEY": "local:" + key32,
	}
}

func lookup(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestDefaultsAndForms(t *testing.T) {
	got, err := config.Load[everything](t.Context(), lookup(least()))
	if err != nil {
		t.Fatal(err)
	}
	want := everything{
		Store:       config.Store{Project: "erp-calendar-1", Database: "(default)"},
		ERP:         config.ERP{URL: "https://erp.example.com", APIKey: config.NewSecret("ERPKEYMARKER")},
		OAuthClient: config.OAuthClient{ID: "1-a.apps.googleusercontent.com", Secret: config.NewSecret("CLIENTMARKER")},
		Sites:       config.Sites{OAuthURL: "https://x.cloudfunctions.net/oauth", ConsoleURL: "https://x.cloudfunctions.net/console"},
		Admins:      config.Admins{Emails: []string{"admin@example.com", "second@example.com"}, IntegrationAccount: "calendars@example.com"},
		SessionKey:  config.SessionKey{Key: config.NewSecret(key32)}, NotifySecrets: config.NotifySecrets{Secrets: config.NewSecret(secret)},
		TokenKey: config.TokenKey{Value: config.NewSecret("local:" + key32)},
		Topics:   config.Topics{Task: "task-changes", Employee: "employee-changes"},
		Budget:   config.Budget{RequestsPerMinute: 600, CalendarsPerHour: 20, CalendarsPerDay: 50, SharesPerDay: 70},
		Waits:    config.Waits{Lease: 90 * time.Second, Intent: 10 * time.Minute, Absence: 10 * time.Minute},
		Google:   config.Google{Issuer: "https://accounts.google.com", CalendarEndpoint: "https://www.googleapis.com/calendar/v3/"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(config.Secret{})); diff != "" {
		t.Error(diff)
	}
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	if !bytes.Equal(got.SessionKey.Key.Bytes(), key) {
		t.Errorf("session key %x", got.SessionKey.Key.Bytes())
	}
	if local, ok := got.Local(); !ok || !bytes.Equal(local, key) {
		t.Errorf("local token key %x", local)
	}
	if name, ok := got.KMS(); ok {
		t.Errorf("a local key is taken for the KMS key %q", name)
	}
	if keys, err := got.Keys(); err != nil || len(keys) != 1 || keys[0].Text() != secret {
		t.Errorf("%d webhook keys, %v", len(keys), err)
	}
}

func TestEachVariable(t *testing.T) {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = 0xfb // makes + and / in standard, - and _ in URL base64
	}
	type vars = map[string]string
	for _, c := range []struct {
		name   string
		set    vars
		faulty []string // the variables named; none: accepted
	}{
		{"required left empty", vars{"ERP_API_KEY": " ", "SESSION_KEY": ""}, []string{"ERP_API_KEY", "SESSION_KEY"}},
		{"newline after a secret", vars{"ERP_API_KEY": "abc\n"}, nil},
		{"newline inside a secret", vars{"ERP_API_KEY": "a\nbc"}, []string{"ERP_API_KEY"}},
		{"project", vars{"GOOGLE_CLOUD_PROJECT": "projects/x"}, []string{"GOOGLE_CLOUD_PROJECT"}},
		{"database", vars{"FIRESTORE_DATABASE": "erp calendar"}, []string{"FIRESTORE_DATABASE"}},
		{"database named", vars{"FIRESTORE_DATABASE": "erp-calendar"}, nil},
		{"http ERP", vars{"ERP_URL": "http://erp.local"}, []string{"ERP_URL"}},
		{"http ERP on localhost", vars{"ERP_URL": "http://127.0.0.1:8080"}, []string{"ERP_URL"}},
		{"http ERP allowed", vars{"ERP_URL": "http://erp.local", "ALLOW_HTTP_ERP": "true"}, nil},
		{"ERP without scheme", vars{"ERP_URL": "erp.example.com"}, []string{"ERP_URL"}},
		{"ERP by ftp", vars{"ERP_URL": "ftp://erp.example.com"}, []string{"ERP_URL"}},
		{"ERP with a password", vars{"ERP_URL": "https://u:PWMARKER@erp.example.com"}, []string{"ERP_URL"}},
		{"ERP with a query", vars{"ERP_URL": "https://erp.example.com/?key=1"}, []string{"ERP_URL"}},
		{"booleans are strict", vars{"ALLOW_HTTP_ERP": "yes", "ERP_KEY_IN_QUERY": "1"}, []string{"ALLOW_HTTP_ERP", "ERP_KEY_IN_QUERY"}},
		{"http sites on localhost", vars{"OAUTH_URL": "http://localhost:8080/OAuth", "CONSOLE_URL": "http://127.0.0.1:8080/Console"}, nil},
		{"http sites elsewhere", vars{"OAUTH_URL": "http://10.0.0.1", "CONSOLE_URL": "http://localhost.example.com"}, []string{"CONSOLE_URL", "OAUTH_URL"}},
		{"admins", vars{"ADMIN_EMAILS": "a@example.com,b"}, []string{"ADMIN_EMAILS"}},
		{"an admin with a Kelvin sign", vars{"ADMIN_EMAILS": "\u212aate@example.com"}, []string{"ADMIN_EMAILS"}},
		{"no admins", vars{"ADMIN_EMAILS": " , "}, []string{"ADMIN_EMAILS"}},
		{"account with a name", vars{"INTEGRATION_ACCOUNT": "Cal <cal@example.com>"}, []string{"INTEGRATION_ACCOUNT"}},
		{"session key URL base64", vars{"SESSION_KEY": base64.RawURLEncoding.EncodeToString(raw)}, nil},
		{"session key unpadded", vars{"SESSION_KEY": base64.RawStdEncoding.EncodeToString(raw)}, nil},
		{"session key short", vars{"SESSION_KEY": base64.StdEncoding.EncodeToString(raw[:31])}, []string{"SESSION_KEY"}},
		{"session key hex", vars{"SESSION_KEY": fmt.Sprintf("%x", raw)}, []string{"SESSION_KEY"}},
		{"two secrets", vars{"NOTIFY_SECRETS": secret + "  " + "whsec_" + key32}, nil},
		{"secret too short", vars{"NOTIFY_SECRETS": secret + " whsec_AAAA"}, []string{"NOTIFY_SECRETS"}},
		{"secret without prefix", vars{"NOTIFY_SECRETS": key32}, []string{"NOTIFY_SECRETS"}},
		{"KMS key", vars{"TOKEN_KEY": kmsKey}, nil},
		{"KMS key in the cloud", vars{"TOKEN_KEY": kmsKey, "K_SERVICE": "oauth"}, nil},
		{"KMS key version", vars{"TOKEN_KEY": kmsKey + "/cryptoKeyVersions/1"}, []string{"TOKEN_KEY"}},
		{"local key in the cloud", vars{"K_SERVICE": "oauth"}, []string{"TOKEN_KEY"}},
		{"local key short", vars{"TOKEN_KEY": "local:AAAA"}, []string{"TOKEN_KEY"}},
		{"topics", vars{"TASK_TOPIC": "projects/p/topics/tasks", "EMPLOYEE_TOPIC": "-"}, []string{"EMPLOYEE_TOPIC"}},
		{"numbers", vars{"CALENDAR_REQUESTS_PER_MINUTE": "0", "CALENDARS_PER_HOUR": "twenty", "CALENDARS_PER_DAY": "0", "SHARES_PER_DAY": "10001", "LEASE_SECONDS": "-1", "INTENT_SECONDS": "1.5", "ABSENCE_SECONDS": "99999999999999999999"},
			[]string{"ABSENCE_SECONDS", "CALENDARS_PER_DAY", "CALENDARS_PER_HOUR", "CALENDAR_REQUESTS_PER_MINUTE", "INTENT_SECONDS", "LEASE_SECONDS", "SHARES_PER_DAY"}},
		{"short waits", vars{"LEASE_SECONDS": "3", "INTENT_SECONDS": "1", "ABSENCE_SECONDS": "1"}, nil},
		{"stand-ins", vars{"GOOGLE_ISSUER": "http://127.0.0.1:9000/", "CALENDAR_ENDPOINT": "http://127.0.0.1:9000/calendar/v3"}, nil},
		{"plain http to Google in the cloud", vars{"TOKEN_KEY": kmsKey, "K_SERVICE": "x", "GOOGLE_ISSUER": "http://fake", "CALENDAR_ENDPOINT": "http://fake"}, []string{"CALENDAR_ENDPOINT", "GOOGLE_ISSUER"}},
		{"settings", vars{"DEFAULT_SETTINGS": `{"time_zone":"Europe/Kyiv"}`}, nil},
		{"settings broken", vars{"DEFAULT_SETTINGS": `{"time_zone":`}, []string{"DEFAULT_SETTINGS"}},
		{"settings a list", vars{"DEFAULT_SETTINGS": `[]`}, []string{"DEFAULT_SETTINGS"}},
		{"settings null", vars{"DEFAULT_SETTINGS": `null`}, []string{"DEFAULT_SETTINGS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := least()
			maps.Copy(env, c.set)
			got, err := config.Load[everything](t.Context(), lookup(env))
			if len(c.faulty) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			faults, ok := errors.AsType[*config.Faults](err)
			if !ok {
				t.Fatalf("got %v, want faults", err)
			}
			var named []string
			for _, f := range faults.List {
				named = append(named, f.Variable)
				if !strings.Contains(err.Error(), f.Variable+" "+f.Problem) || len(f.Problem) < 10 {
					t.Errorf("the text does not tell %v", f)
				}
			}
			if !slices.Equal(named, c.faulty) {
				t.Errorf("named %v, want %v: %v", named, c.faulty, err)
			}
			for _, name := range []string{"SESSION_KEY", "NOTIFY_SECRETS", "TOKEN_KEY", "ERP_API_KEY", "ERP_URL"} {
				if v := env[name]; len(v) > 3 && strings.Contains(err.Error(), v) {
					t.Errorf("the error tells %s: %v", name, err)
				}
			}
			if strings.Contains(err.Error(), "PWMARKER") {
				t.Errorf("the error tells a password: %v", err)
			}
			if diff := cmp.Diff(everything{}, got, cmpopts.EquateComparable(config.Secret{})); diff != "" {
				t.Errorf("a faulty configuration was given out: %s", diff)
			}
		})
	}
}

func TestNothingSetNamesEveryRequiredVariable(t *testing.T) {
	_, err := config.Load[everything](t.Context(), lookup(nil))
	for name := range least() {
		if !strings.Contains(err.Error(), name+" is not set: ") {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestOnlyWhatIsUsedIsChecked(t *testing.T) {
	type small struct{ config.Topics }
	got, err := config.Load[small](t.Context(), lookup(map[string]string{"ERP_URL": "nonsense"}))
	if err != nil || got.Task != "task-changes" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUnknownVariableOfAStructIsAFault(t *testing.T) {
	type odd struct {
		X string `env:"NOT_IN_THE_TABLE"`
	}
	if _, err := config.Load[odd](t.Context(), lookup(nil)); err == nil || !strings.Contains(err.Error(), "NOT_IN_THE_TABLE") {
		t.Errorf("got %v", err)
	}
}

func TestURLForms(t *testing.T) {
	env := least()
	env["ERP_URL"], env["CALENDAR_ENDPOINT"], env["GOOGLE_ISSUER"] = "https://erp.example.com/userside//", "http://127.0.0.1:1/calendar/v3", "http://127.0.0.1:1/"
	got, err := config.Load[everything](t.Context(), lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	if got.ERP.URL != "https://erp.example.com/userside" || got.CalendarEndpoint != "http://127.0.0.1:1/calendar/v3/" || got.Issuer != "http://127.0.0.1:1" {
		t.Errorf("%q %q %q", got.ERP.URL, got.CalendarEndpoint, got.Issuer)
	}
}

// TestSecretsAreNotPrinted shows rule 10.6.
func TestSecretsAreNotPrinted(t *testing.T) {
	got, err := config.Load[everything](t.Context(), lookup(least()))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", got, "secret", got.APIKey)
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{log.String(), string(encoded), fmt.Sprint(got), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got), fmt.Sprintf("%x %q", got.APIKey, got.APIKey)} {
		if !strings.Contains(s, "[redacted]") {
			t.Errorf("no mark of redaction in %s", s)
		}
		for _, marker := range []string{"ERPKEYMARKER", "CLIENTMARKER", key32[:20], secret[6:], fmt.Sprintf("%x", "ERPKEYMARKER")} {
			if strings.Contains(s, marker) {
				t.Errorf("%q shows in %s", marker, s)
			}
		}
	}
}
