// Package webhook checks and makes Standard Webhooks signatures
// (functions/README.md, Notification): the ERP's notifications, and who asks for a
// calendar's card or for the status. It must never log or print a key, and never read a
// clock but the one it was given.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// Verifier checks requests against several keys that are valid at once. It is safe for
// concurrent use.
type Verifier struct {
	// macs are one pool a key: a MAC that is reset costs a quarter of a new one.
	macs   []*sync.Pool
	base64 *base64.Encoding
	now    func() time.Time
}

// NewVerifier makes a Verifier. A zero Key (ParseKey makes none) matches nothing, and
// without keys every request fails.
func NewVerifier(keys []Key, now func() time.Time) *Verifier {
	v := &Verifier{base64: base64.StdEncoding.Strict(), now: now}
	for _, k := range keys {
		// An empty key would accept signatures that anybody can make.
		if len(k.bytes) < MinKeyBytes {
			continue
		}
		bytes := slices.Clone(k.bytes)
		v.macs = append(v.macs, &sync.Pool{New: func() any { return hmac.New(sha256.New, bytes) }})
	}
	return v
}

// Signature is what a request's headers say.
type Signature struct {
	id      string
	seconds int64
	// sums are the signatures of the version known here; most requests carry one.
	sums [][sha256.Size]byte
}

// Verify checks that payload was signed with one of the keys within the tolerance;
// otherwise the error is an *Error.
func (v *Verifier) Verify(headers http.Header, payload []byte) error {
	s, err := v.Read(headers)
	if err != nil {
		return err
	}
	return v.Check(s, payload)
}

// Check checks that payload is what was signed, with one of the keys; otherwise the
// error is an *Error.
func (v *Verifier) Check(s Signature, payload []byte) error {
	prefix := append(make([]byte, 0, 128), s.id...)
	prefix = strconv.AppendInt(append(prefix, '.'), s.seconds, 10)
	prefix = append(prefix, '.')
	for _, pool := range v.macs {
		mac, ok := pool.Get().(hash.Hash)
		if !ok {
			continue // never: the pool holds nothing else
		}
		mac.Reset()
		mac.Write(prefix)
		mac.Write(payload)
		want := mac.Sum(make([]byte, 0, sha256.Size))
		pool.Put(mac)
		for i := range s.sums {
			if hmac.Equal(s.sums[i][:], want) {
				return nil
			}
		}
	}
	return &Error{Wrong, HeaderSignature}
}

// Read refuses what no payload could make good: a header that is missing, a timestamp
// out of tolerance, a signature that is none. The error is an *Error.
func (v *Verifier) Read(headers http.Header) (Signature, error) {
	id, timestamp, signatures := first(headers, headerID), first(headers, headerTimestamp), first(headers, headerSignature)
	switch "" {
	case id:
		return Signature{}, &Error{Missing, HeaderID}
	case timestamp:
		return Signature{}, &Error{Missing, HeaderTimestamp}
	case signatures:
		return Signature{}, &Error{Missing, HeaderSignature}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return Signature{}, &Error{Malformed, HeaderTimestamp}
	}
	if kind := v.distant(seconds); kind != "" {
		return Signature{}, &Error{kind, HeaderTimestamp}
	}
	s := Signature{id: id, seconds: seconds}
	for signature := range strings.FieldsSeq(signatures) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if !ok || len(encoded) != encodedSum {
			continue
		}
		var sum [sha256.Size + 1]byte // as much as so much base64 may hold
		if n, err := v.base64.Decode(sum[:], []byte(encoded)); err == nil && n == sha256.Size {
			s.sums = append(s.sums, [sha256.Size]byte(sum[:n]))
		}
	}
	if len(s.sums) == 0 {
		return Signature{}, &Error{Wrong, HeaderSignature}
	}
	return s, nil
}

// distant judges a timestamp; "" is within the tolerance.
func (v *Verifier) distant(seconds int64) Kind {
	// Far ones are told apart as whole seconds, because they would overflow a time.Time.
	now := v.now()
	const far = int64(2 * Tolerance / time.Second)
	switch {
	case seconds < now.Unix()-far:
		return Stale
	case seconds > now.Unix()+far:
		return Future
	}
	switch age := now.Sub(time.Unix(seconds, 0)); {
	case age > Tolerance:
		return Stale
	case age < -Tolerance:
		return Future
	}
	return ""
}

// The headers as net/http keeps them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// encodedSum is how long a signature is in base64.
const encodedSum = (sha256.Size + 2) / 3 * 4

func first(headers http.Header, canonical string) string {
	if values := headers[canonical]; len(values) > 0 {
		return values[0]
	}
	return ""
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
