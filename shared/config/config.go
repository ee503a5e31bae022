// Package config reads the environment of functions/README.md, Configuration: groups of
// variables that each function embeds in its own struct, checked all at once, so
// that an operator sees every fault in one log entry. It must never put a secret's
// value into an error or a log.
package config

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

// Store says where the state is kept.
type Store struct {
	Project  string `env:"GOOGLE_CLOUD_PROJECT"`
	Database string `env:"FIRESTORE_DATABASE"`
}

// ERP says where the ERP is and how it wants to be asked. URL has no trailing slash.
type ERP struct {
	URL        string `env:"ERP_URL"`
	APIKey     Secret `env:"ERP_API_KEY"`
	KeyInQuery bool   `env:"ERP_KEY_IN_QUERY"`
	AllowHTTP  bool   `env:"ALLOW_HTTP_ERP"`
}

// OAuthClient is the web client at Google.
type OAuthClient struct {
	ID     string `env:"OAUTH_CLIENT_ID"`
	Secret Secret `env:"OAUTH_CLIENT_SECRET"`
}

// Sites are the public base URLs of the two functions a browser visits, without
// trailing slashes. The redirect URI is OAuthURL + "/callback".
type Sites struct {
	OAuthURL   string `env:"OAUTH_URL"`
	ConsoleURL string `env:"CONSOLE_URL"`
}

// Admins are the people who may sign in and the only account that may be
// connected; addresses in lower case.
type Admins struct {
	Emails             []string `env:"ADMIN_EMAILS"`
	IntegrationAccount string   `env:"INTEGRATION_ACCOUNT"`
}

// Guide says where the guide for employees is: on the console.
type Guide struct {
	GuideOn string `env:"CONSOLE_URL"`
}

// Alerts says whom the alerts of Terraform mail; addresses in lower case.
type Alerts struct {
	Mailed []string `env:"ALERT_EMAILS"`
}

// SessionKey holds the 32 bytes that sign the console's sessions.
type SessionKey struct {
	Key Secret `env:"SESSION_KEY"`
}

// NotifySecrets are the webhook secrets valid at once.
type NotifySecrets struct {
	Secrets Secret `env:"NOTIFY_SECRETS"`
}

// Keys gives the secrets as the webhook package wants them; they were checked by Load.
func (n NotifySecrets) Keys() ([]webhook.Key, error) {
	var keys []webhook.Key
	for text := range strings.FieldsSeq(n.Secrets.Text()) {
		k, err := webhook.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("config: NOTIFY_SECRETS: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// TokenKey is what seals the refresh token: exactly one of KMS and Local is set.
type TokenKey struct {
	Value Secret `env:"TOKEN_KEY"`
}

// KMS gives the full name of the KMS crypto key, if it is one.
func (t TokenKey) KMS() (name string, ok bool) {
	text := t.Value.Text()
	return text, text != "" && !strings.HasPrefix(text, localPrefix)
}

// Local gives the 32 bytes of a local key, if it is one.
func (t TokenKey) Local() (key []byte, ok bool) {
	encoded, ok := strings.CutPrefix(t.Value.Text(), localPrefix)
	if !ok {
		return nil, false
	}
	key, err := decode32(encoded)
	return key, err == nil
}

// Topics are the names of the two topics that workers listen to.
type Topics struct {
	Task     string `env:"TASK_TOPIC"`
	Employee string `env:"EMPLOYEE_TOPIC"`
}

// Budget is what Google allows the central account.
type Budget struct {
	RequestsPerMinute int `env:"CALENDAR_REQUESTS_PER_MINUTE"`
	CalendarsPerHour  int `env:"CALENDARS_PER_HOUR"`
	CalendarsPerDay   int `env:"CALENDARS_PER_DAY"`
	SharesPerDay      int `env:"SHARES_PER_DAY"`
}

// Waits are those of rules 1.5, 3.6 and 4.2.
type Waits struct {
	Lease   time.Duration `env:"LEASE_SECONDS"`
	Intent  time.Duration `env:"INTENT_SECONDS"`
	Absence time.Duration `env:"ABSENCE_SECONDS"`
}

// Google says where Google is. Issuer has no trailing slash, CalendarEndpoint has
// one, because the Calendar client appends paths to it.
type Google struct {
	Issuer           string `env:"GOOGLE_ISSUER"`
	CalendarEndpoint string `env:"CALENDAR_ENDPOINT"`
}

// DefaultSettings is the JSON text of the settings in force until an admin saves
// others; empty if not set. Here it is known only to be a JSON object;
// shared/settings reads it.
type DefaultSettings struct {
	JSON string `env:"DEFAULT_SETTINGS"`
}

// Fault is one variable and what is wrong with it.
type Fault struct {
	Variable string
	Problem  string
}

// Faults are all faults of a configuration, by variable.
type Faults struct{ List []Fault }

// Error names every variable with its problem, and no secret's value.
func (f *Faults) Error() string {
	parts := make([]string, len(f.List))
	for i, one := range f.List {
		parts[i] = one.Variable + " " + one.Problem
	}
	return "configuration: " + strings.Join(parts, "; ")
}

// Load reads the struct T, made of the groups above, from lookup (os.LookupEnv).
// A variable that is set to nothing but spaces counts as not set. If anything is
// wrong the error is *Faults with all of it.
func Load[T any](ctx context.Context, lookup func(string) (string, bool)) (T, error) {
	var target T
	r := &reader{lookup: lookup, done: map[string]bool{}}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &target, Lookuper: r})
	if len(r.faults) > 0 {
		slices.SortFunc(r.faults, func(a, b Fault) int { return strings.Compare(a.Variable, b.Variable) })
		var none T
		return none, &Faults{r.faults}
	}
	if err != nil {
		// Only a fault of T itself: values were brought into readable form before. Its
		// text could quote a value, so the type alone is named.
		var none T
		return none, fmt.Errorf("config: %s cannot be read from the environment", reflect.TypeFor[T]())
	}
	return target, nil
}

// reader hands envconfig only values that are right and in canonical form, and
// collects the faults of the others: envconfig itself stops at the first.
type reader struct {
	lookup func(string) (string, bool)
	done   map[string]bool
	faults []Fault
}

func (r *reader) Lookup(name string) (string, bool) {
	rule, known := rules()[name]
	if !known {
		r.fault(name, "is not in the table of variables")
		return "", false
	}
	text, set := r.text(name)
	if !set {
		if rule.required {
			r.fault(name, "is not set: "+rule.meaning)
			return "", false
		}
		if rule.fallback == "" {
			return "", false
		}
		text = rule.fallback
	}
	value, problem := rule.check(text, environment{r})
	if problem != "" {
		r.fault(name, problem)
		return "", false
	}
	return value, true
}

func (r *reader) text(name string) (string, bool) {
	text, set := r.lookup(name)
	// Secret Manager's values often end in a newline, and Terraform sets "".
	text = strings.TrimSpace(text)
	return text, set && text != ""
}

func (r *reader) fault(name, problem string) {
	if !r.done[name] {
		r.done[name] = true
		r.faults = append(r.faults, Fault{Variable: name, Problem: problem})
	}
}

// environment lets a rule look at other variables.
type environment struct{ r *reader }

// inCloud reports whether this runs on Cloud Run, which sets K_SERVICE.
func (e environment) inCloud() bool { _, set := e.r.text("K_SERVICE"); return set }

func (e environment) isTrue(name string) bool { text, _ := e.r.text(name); return text == "true" }
