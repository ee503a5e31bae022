package signin

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SessionLasts is how long a session is good for.
const SessionLasts = 8 * time.Hour

// Session is who is signed in to the console.
type Session struct {
	// ID is random; the CSRF token and the binding of a connection hang on it.
	ID string `json:"id"`
	// Generation is how often all sessions had been ended when it was issued.
	Generation int64     `json:"gen,omitempty"`
	Sub        string    `json:"sub"`
	Email      string    `json:"email"`
	Issued     time.Time `json:"iat"`
	Expires    time.Time `json:"exp"`
}

// ErrNoSession means that a cookie holds no session that is good now.
var ErrNoSession = errors.New("signin: no valid session")

// Sessions signs and checks sessions. They live in the browser's cookie only; which of
// them were ended before their time is the store's to tell (rule 10.13).
type Sessions struct {
	sign, csrf []byte
	now        func() time.Time
}

// NewSessions makes Sessions from SESSION_KEY, 32 bytes.
func NewSessions(key []byte, now func() time.Time) (*Sessions, error) {
	if len(key) != sha256.Size {
		return nil, fmt.Errorf("session key has %d bytes, want %d", len(key), sha256.Size)
	}
	// One key per use, so that a CSRF token can never serve as a signature.
	sign, err := hkdf.Key(sha256.New, key, nil, "erp-calendar session signature v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the session key: %w", err)
	}
	csrf, err := hkdf.Key(sha256.New, key, nil, "erp-calendar csrf token v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the CSRF key: %w", err)
	}
	return &Sessions{sign: sign, csrf: csrf, now: now}, nil
}

// Issue makes a fresh session of a generation and its cookie's value.
func (s *Sessions) Issue(sub, email string, generation int64) (Session, string, error) {
	now := s.now().UTC().Truncate(time.Second)
	session := Session{ID: Random(), Generation: generation, Sub: sub, Email: email, Issued: now, Expires: now.Add(SessionLasts)}
	body, err := json.Marshal(session)
	if err != nil {
		return Session{}, "", fmt.Errorf("encode the session: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	return session, text + "." + mac(s.sign, text), nil
}

// Read checks a cookie's value: signature first, in constant time, then the term.
func (s *Sessions) Read(value string) (Session, error) {
	text, sum, ok := strings.Cut(value, ".")
	if !ok || !hmac.Equal([]byte(sum), []byte(mac(s.sign, text))) {
		return Session{}, ErrNoSession
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Session{}, ErrNoSession
	}
	var session Session
	if err := json.Unmarshal(body, &session); err != nil {
		return Session{}, ErrNoSession
	}
	if session.ID == "" || session.Sub == "" || !s.now().Before(session.Expires) {
		return Session{}, ErrNoSession
	}
	return session, nil
}

// CSRF gives the token that every form of a session carries.
func (s *Sessions) CSRF(session Session) string { return mac(s.csrf, session.ID) }

// ValidCSRF compares a form's token in constant time.
func (s *Sessions) ValidCSRF(session Session, token string) bool {
	return hmac.Equal([]byte(token), []byte(s.CSRF(session)))
}

func mac(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
