// Package signin holds what the two sites of a sign-in share (functions/README.md,
// Sign-in hand-over): random values and their hashes, cookies, the console's
// signed session with its CSRF token, the allow-list, and the headers of every
// page. It must never keep state: single use is the store's business.
package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/mail"
	"slices"
	"strings"
	"unicode"
)

// Purpose says what a sign-in or a ticket is for; neither is accepted for the other.
type Purpose string

// The purposes.
const (
	SignIn  Purpose = "signin"
	Connect Purpose = "connect"
)

// randomBytes is the length of every random value: 256 bits.
const randomBytes = 32

// Random makes a fresh unguessable value, 43 characters of base64url.
func Random() string {
	b := make([]byte, randomBytes)
	// crypto/rand.Read never fails since Go 1.24.
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Hash is H of functions/README.md: SHA-256 in base64url, 43 characters.
func Hash(value string) string {
	h := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// WellFormed reports whether a value has the form of Random's and Hash's results,
// so that nothing else reaches the store as a key.
func WellFormed(value string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return err == nil && len(b) == sha256.Size
}

// Matches reports, in constant time, whether hash is that of value.
func Matches(value, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(Hash(value)), []byte(hash)) == 1
}

// AllowList are the addresses that may sign in.
type AllowList []string

// NewAllowList takes ADMIN_EMAILS' entries, trimmed; empty ones are dropped.
func NewAllowList(addresses []string) AllowList {
	var list AllowList
	for _, a := range addresses {
		if a = normal(a); a != "" {
			list = append(list, a)
		}
	}
	return list
}

// Allows reports whether an address is on the list, without regard to case.
func (l AllowList) Allows(address string) bool {
	address = normal(address)
	return address != "" && slices.Contains(l, address)
}

// SameAddress compares two e-mail addresses trimmed and without case.
func SameAddress(a, b string) bool { return normal(a) == normal(b) && normal(a) != "" }

// Authoritative reports whether Google itself can say whose a verified address is: it is
// of Gmail, or of the domain of the Workspace hosted that owns the account ("" for none).
// Any other address was only shown to be the account's once, and may have changed hands
// since (rule 10.10).
func Authoritative(address, hosted string) bool {
	_, domain, found := strings.Cut(normal(address), "@")
	return found && (domain == "gmail.com" || ascii(hosted) && domain == strings.ToLower(hosted))
}

// AddressHash names an address where it must not be read.
func AddressHash(address string) string { return Hash(normal(address)) }

// normal gives an address the one form in which it is compared, "" for none. Addresses
// are ASCII: others have letters that only look like, or in lower case become, other
// ones (U+212A, the Kelvin sign, becomes k).
func normal(address string) string {
	address = strings.TrimSpace(address)
	if !ascii(address) {
		return ""
	}
	address = strings.ToLower(address)
	if _, err := mail.ParseAddress(address); err != nil {
		return ""
	}
	return address
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}
