package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/settings"
	"github.com/erp-calendar/erp-calendar/shared/webhook"
)

const localPrefix = "local:"

// rule says what a variable must be. check gives the value in the one form the
// rest of the program relies on, or a problem that ends the sentence begun by the
// variable's name.
type rule struct {
	required bool
	fallback string
	meaning  string
	check    func(text string, env environment) (value, problem string)
}

// rules is the table of functions/README.md.
func rules() map[string]rule {
	optional := func(fallback string, check func(string, environment) (string, string)) rule {
		return rule{fallback: fallback, check: check}
	}
	required := func(meaning string, check func(string, environment) (string, string)) rule {
		return rule{required: true, meaning: meaning, check: check}
	}
	return map[string]rule{
		"GOOGLE_CLOUD_PROJECT": required("the id of the Google Cloud project", matching(projectForm, "is not a project id")),
		"FIRESTORE_DATABASE":   optional("(default)", matching(databaseForm, `is neither "(default)" nor the id of a Firestore database`)),

		"ERP_URL":          required("the ERP's base URL, such as https://erp.example.com", erpURL),
		"ERP_API_KEY":      required("the API key that the ERP's configuration holds for this integration", word),
		"ERP_KEY_IN_QUERY": optional("false", boolean),
		"ALLOW_HTTP_ERP":   optional("false", boolean),

		"OAUTH_CLIENT_ID":     required("the id of the OAuth web client", word),
		"OAUTH_CLIENT_SECRET": required("the secret of the OAuth web client", word),
		"OAUTH_URL":           required("the public base URL of the OAuth function", siteURL),
		"CONSOLE_URL":         required("the public base URL of the Console function", siteURL),

		"ADMIN_EMAILS":        required("the addresses that may sign in, separated by commas", emails),
		"ALERT_EMAILS":        optional("", emails),
		"INTEGRATION_ACCOUNT": required("the address of the only Google account that may be connected", email),
		"SESSION_KEY":         required("32 random bytes in base64 (openssl rand -base64 32)", key32),
		"NOTIFY_SECRETS":      required("one or more secrets whsec_... that notifications are signed with, separated by spaces", notifySecrets),
		"TOKEN_KEY":           required("the name of a KMS key, or local: and 32 bytes in base64 outside the cloud", tokenKey),

		"TASK_TOPIC":     optional("task-changes", matching(topicForm, "is not the name of a Pub/Sub topic")),
		"EMPLOYEE_TOPIC": optional("employee-changes", matching(topicForm, "is not the name of a Pub/Sub topic")),

		"CALENDAR_REQUESTS_PER_MINUTE": optional("600", number(1_000_000, "")),
		"CALENDARS_PER_HOUR":           optional("20", number(10_000, "")),
		"CALENDARS_PER_DAY":            optional("50", number(10_000, "")),
		"SHARES_PER_DAY":               optional("70", number(10_000, "")),
		"LEASE_SECONDS":                optional("90", number(3600, "s")),
		"INTENT_SECONDS":               optional("600", number(24*3600, "s")),
		"ABSENCE_SECONDS":              optional("600", number(24*3600, "s")),

		"GOOGLE_ISSUER":     optional("https://accounts.google.com", googleURL("")),
		"CALENDAR_ENDPOINT": optional("https://www.googleapis.com/calendar/v3/", googleURL("/")),
		"DEFAULT_SETTINGS":  optional("", defaultSettings),
	}
}

// The forms are generous where emulators and old projects are: the point is to
// catch a URL, a sentence or a placeholder, not to repeat Google's own checks.
var (
	projectForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_-]*$`)
	databaseForm = regexp.MustCompile(`^(\(default\)|[A-Za-z0-9][A-Za-z0-9_-]*)$`)
	topicForm    = regexp.MustCompile(`^(projects/[^/\s]+/topics/)?[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)
	kmsForm      = regexp.MustCompile(`^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$`)
)

func matching(form *regexp.Regexp, problem string) func(string, environment) (string, string) {
	return func(text string, _ environment) (string, string) {
		if !form.MatchString(text) {
			return "", problem
		}
		return text, ""
	}
}

// word is any text in one piece.
func word(text string, _ environment) (string, string) {
	for _, r := range text {
		if r <= ' ' || r == 0x7f {
			return "", "holds a space, a line break or a control character"
		}
	}
	return text, ""
}

func boolean(text string, _ environment) (string, string) {
	if text != "true" && text != "false" {
		return "", "is neither true nor false"
	}
	return text, ""
}

func number(most int, unit string) func(string, environment) (string, string) {
	return func(text string, _ environment) (string, string) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return "", fmt.Sprintf("is not a whole number from 1 to %d", most)
		}
		return strconv.Itoa(n) + unit, ""
	}
}

// parseURL reads an absolute http(s) URL that paths can be appended to, without
// its trailing slashes. The text is never repeated: it could hold a password.
func parseURL(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, "is not an absolute http(s) URL"
	case u.User != nil:
		return nil, "holds a user name or password, which a URL must not"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, "has a query or a fragment, where a base URL is wanted"
	}
	return u, ""
}

func trimmed(u *url.URL) string { return strings.TrimRight(u.String(), "/") }

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func erpURL(text string, env environment) (string, string) {
	u, problem := parseURL(text)
	if problem != "" {
		return "", problem
	}
	if u.Scheme == "http" && !env.isTrue("ALLOW_HTTP_ERP") {
		return "", "is plain http, which shows the API key to the network: use https, or set ALLOW_HTTP_ERP=true if the way to the ERP is private"
	}
	return trimmed(u), ""
}

func siteURL(text string, _ environment) (string, string) {
	u, problem := parseURL(text)
	if problem != "" {
		return "", problem
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return "", "is plain http, which only localhost may be: cookies and tickets pass through it"
	}
	return trimmed(u), ""
}

// googleURL is Google's own or a stand-in's; in the cloud a token must not go out
// in the clear. ending is what the URL ends with.
func googleURL(ending string) func(string, environment) (string, string) {
	return func(text string, env environment) (string, string) {
		u, problem := parseURL(text)
		if problem != "" {
			return "", problem
		}
		if u.Scheme == "http" && env.inCloud() {
			return "", "is plain http, which is refused in the cloud"
		}
		return trimmed(u) + ending, ""
	}
}

func email(text string, _ environment) (string, string) {
	if a, err := mail.ParseAddress(text); err != nil || a.Name != "" || a.Address != text || !strings.Contains(text[strings.LastIndex(text, "@"):], ".") {
		return "", "is not an e-mail address"
	}
	// Lower case would make others of them ASCII, such as the Kelvin sign a k (rule 10.10).
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", "is not an e-mail address"
	}
	// ADMIN_EMAILS is a list; a comma can only be in a quoted local part.
	if strings.ContainsAny(text, `,"`) {
		return "", "is not an e-mail address"
	}
	return strings.ToLower(text), ""
}

func emails(text string, env environment) (string, string) {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		address, problem := email(part, env)
		if problem != "" {
			return "", fmt.Sprintf("holds %q, which is not an e-mail address", part)
		}
		list = append(list, address)
	}
	if len(list) == 0 {
		return "", "holds no e-mail address"
	}
	return strings.Join(list, ","), ""
}

// decode32 reads 32 bytes of base64 in any of its four spellings.
func decode32(text string) ([]byte, error) {
	bare := strings.TrimRight(text, "=")
	b, err := base64.RawStdEncoding.DecodeString(bare)
	if err != nil {
		b, err = base64.RawURLEncoding.DecodeString(bare)
	}
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(b) != 32 {
		return nil, fmt.Errorf("stands for %d bytes, where 32 are wanted (openssl rand -base64 32)", len(b))
	}
	return b, nil
}

func key32(text string, _ environment) (string, string) {
	b, err := decode32(text)
	if err != nil {
		return "", err.Error()
	}
	return base64.StdEncoding.EncodeToString(b), ""
}

func notifySecrets(text string, _ environment) (string, string) {
	list := strings.Fields(text)
	for i, one := range list {
		if _, err := webhook.ParseKey(one); err != nil {
			return "", fmt.Sprintf("is wrong in secret %d of %d: %v", i+1, len(list), err)
		}
	}
	return strings.Join(list, " "), ""
}

func tokenKey(text string, env environment) (string, string) {
	encoded, local := strings.CutPrefix(text, localPrefix)
	if !local {
		if !kmsForm.MatchString(text) {
			return "", "is neither projects/P/locations/L/keyRings/R/cryptoKeys/K nor local: and a key"
		}
		return text, ""
	}
	if env.inCloud() {
		// rule 10.6: a key in the environment of a cloud function is no secret.
		return "", "is a local: key, which is refused in the cloud: name a KMS key"
	}
	b, err := decode32(encoded)
	if err != nil {
		return "", "is wrong behind local: " + err.Error()
	}
	return localPrefix + base64.StdEncoding.EncodeToString(b), ""
}

func defaultSettings(text string, _ environment) (string, string) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return "", fmt.Sprintf("is not a JSON object: it breaks at character %d", syntax.Offset)
		}
		return "", "is not a JSON object"
	}
	if _, err := settings.Parse([]byte(text), calendarsync.DefaultSettings()); err != nil {
		return "", "cannot be used: " + err.Error()
	}
	return text, ""
}
