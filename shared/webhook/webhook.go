// Package webhook checks and makes Standard Webhooks signatures
// (functions/README.md, Notification), for the ERP's notifications and for the
// calendar card. It must never log or print a key, and never read a clock but
// the one it was given.
package webhook

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// Tolerance is how far a timestamp may be from our clock, either way.
	Tolerance = 5 * time.Minute
	// MinKeyBytes is the shortest key: under 24 bytes is a configuration fault
	// (rule 10.6).
	MinKeyBytes = 24
	// Prefix begins the text form of every secret.
	Prefix = "whsec_"
)

// The headers of a signed request.
const (
	HeaderID        = standardwebhooks.HeaderWebhookID
	HeaderTimestamp = standardwebhooks.HeaderWebhookTimestamp
	HeaderSignature = standardwebhooks.HeaderWebhookSignature
)

// Key is one shared secret. It prints as [redacted] in every format.
type Key struct{ bytes []byte }

// ParseKey reads the text form: whsec_ and base64 of at least MinKeyBytes bytes.
// Its errors never hold the secret.
func ParseKey(text string) (Key, error) {
	encoded, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return Key{}, errors.New("a secret begins with " + Prefix)
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		// Some generators leave the padding out.
		b, err = base64.RawStdEncoding.DecodeString(encoded)
	}
	if err != nil {
		return Key{}, errors.New("what follows " + Prefix + " is not base64")
	}
	if len(b) < MinKeyBytes {
		return Key{}, fmt.Errorf("a secret holds at least %d bytes, this one %d", MinKeyBytes, len(b))
	}
	return Key{b}, nil
}

// Text gives the whsec_ form; for the place that hands the secret to a sender.
func (k Key) Text() string { return Prefix + base64.StdEncoding.EncodeToString(k.bytes) }

// String hides the key.
func (Key) String() string { return "[redacted]" }

// Format hides the key from every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue hides the key from slog.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON hides the key from JSON.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// Kind says why a request was not believed.
type Kind string

// The kinds of refusal.
const (
	Missing   Kind = "missing"   // a header is not there
	Malformed Kind = "malformed" // the timestamp is no number of seconds
	Stale     Kind = "stale"     // older than Tolerance
	Future    Kind = "future"    // further ahead than Tolerance
	Wrong     Kind = "wrong"     // no signature fits any key
)

// Error is a refusal; Header names the header at fault.
type Error struct {
	Kind   Kind
	Header string
}

// Error gives one sentence without the header's value.
func (e *Error) Error() string {
	switch e.Kind {
	case Missing:
		return "the header " + e.Header + " is missing"
	case Malformed:
		return "the header " + e.Header + " is not a number of seconds since 1970"
	case Stale:
		return "the header " + e.Header + " is more than 5 minutes ago"
	case Future:
		return "the header " + e.Header + " is more than 5 minutes ahead"
	default:
		return "the header " + e.Header + " has no signature that fits"
	}
}

// Verifier checks requests against several keys that are valid at once.
type Verifier struct {
	hooks []*standardwebhooks.Webhook
	now   func() time.Time
}

// NewVerifier makes a Verifier. A zero Key (ParseKey makes none) matches nothing, and
// without keys every request fails.
func NewVerifier(keys []Key, now func() time.Time) *Verifier {
	v := &Verifier{now: now}
	for _, k := range keys {
		// An empty key would accept signatures that anybody can make.
		if len(k.bytes) < MinKeyBytes {
			continue
		}
		if h, err := standardwebhooks.NewWebhookRaw(slices.Clone(k.bytes)); err == nil {
			v.hooks = append(v.hooks, h)
		}
	}
	return v
}

// Verify checks that payload was signed with one of the keys within the tolerance;
// otherwise the error is an *Error.
func (v *Verifier) Verify(headers http.Header, payload []byte) error {
	if err := v.VerifyHeaders(headers); err != nil {
		return err
	}
	for _, h := range v.hooks {
		if h.VerifyIgnoringTimestamp(payload, headers) == nil {
			return nil
		}
	}
	return &Error{Wrong, HeaderSignature}
}

// VerifyHeaders refuses what no payload could make good: a header that is missing, a
// timestamp out of tolerance, a signature that is none. The error is an *Error.
func (v *Verifier) VerifyHeaders(headers http.Header) error {
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if headers.Get(name) == "" {
			return &Error{Missing, name}
		}
	}
	seconds, err := strconv.ParseInt(headers.Get(HeaderTimestamp), 10, 64)
	if err != nil {
		return &Error{Malformed, HeaderTimestamp}
	}
	// The library's own tolerance reads time.Now, which neither the simulation nor
	// a test controls: the timestamp is judged here instead. Far ones are told
	// apart as whole seconds, because they would overflow a time.Time.
	now := v.now()
	const far = int64(2 * Tolerance / time.Second)
	switch {
	case seconds < now.Unix()-far:
		return &Error{Stale, HeaderTimestamp}
	case seconds > now.Unix()+far:
		return &Error{Future, HeaderTimestamp}
	}
	switch age := now.Sub(time.Unix(seconds, 0)); {
	case age > Tolerance:
		return &Error{Stale, HeaderTimestamp}
	case age < -Tolerance:
		return &Error{Future, HeaderTimestamp}
	}
	for signature := range strings.FieldsSeq(headers.Get(HeaderSignature)) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if sum, err := base64.StdEncoding.DecodeString(encoded); ok && err == nil && len(sum) == sha256.Size {
			return nil
		}
	}
	return &Error{Wrong, HeaderSignature}
}

// Sign makes the three headers of a request, for clients and tests.
func Sign(key Key, id string, at time.Time, payload []byte) (http.Header, error) {
	hook, err := standardwebhooks.NewWebhookRaw(key.bytes)
	if err != nil {
		return nil, fmt.Errorf("webhook: sign %q: the key is unusable", id)
	}
	signature, err := hook.Sign(id, at, payload)
	if err != nil {
		return nil, fmt.Errorf("webhook: sign %q: %w", id, err)
	}
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(HeaderSignature, signature)
	return h, nil
}
