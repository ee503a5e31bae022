package config

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value that prints as [redacted] in every format; Text and Bytes
// give it to the one who uses it.
type Secret struct{ text string }

// NewSecret hides a text; for tests and for the local run, which make their own.
func NewSecret(text string) Secret { return Secret{text} }

// Text gives the secret itself.
func (s Secret) Text() string { return s.text }

// Bytes gives what a base64 secret stands for (SESSION_KEY), or nil if it is none.
func (s Secret) Bytes() []byte {
	b, err := decode32(s.text)
	if err != nil {
		return nil
	}
	return b
}

// EnvDecode takes the variable's text.
func (s *Secret) EnvDecode(text string) error {
	s.text = text
	return nil
}

// String hides the secret.
func (Secret) String() string { return redacted }

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the secret from JSON.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
