// Package seal encrypts the few secrets that the store keeps (the refresh token),
// bound to the place they belong to: what was sealed for one document and account
// cannot be opened as another's. The cloud's key is seal/kms; Local is for runs
// outside the cloud. It must never log what it seals.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

// Cipher seals small plaintexts (at most 64 KiB, the limit of KMS). The same
// additional data must be given to open what was sealed with it.
type Cipher interface {
	Seal(ctx context.Context, plaintext, additional []byte) ([]byte, error)
	Open(ctx context.Context, sealed, additional []byte) ([]byte, error)
}

// ErrOpen means that the text was not sealed by this key with this additional
// data, or was damaged since. Trying again cannot help.
var ErrOpen = errors.New("seal: not sealed by this key for this place")

// MaxPlaintext is the most bytes that one Seal takes: KMS's limit, kept by every
// Cipher so that what works locally works in the cloud.
const MaxPlaintext = 64 << 10

// KeyBytes is the length of a local key.
const KeyBytes = 32

// version1 is AES-256-GCM with a 12-byte random nonce in front of the ciphertext.
const version1 = 1

// Local seals with a key of its own.
type Local struct{ aead cipher.AEAD }

// NewLocal makes a Local of a key of KeyBytes random bytes.
func NewLocal(key []byte) (*Local, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("seal: a local key has %d bytes, this one %d", KeyBytes, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: make the cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal: make the cipher: %w", err)
	}
	return &Local{aead}, nil
}

// Seal encrypts; equal plaintexts give different results.
func (l *Local) Seal(_ context.Context, plaintext, additional []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, fmt.Errorf("seal: %d bytes are more than %d", len(plaintext), MaxPlaintext)
	}
	return l.aead.Seal([]byte{version1}, nil, plaintext, additional), nil //nolint:gosec // nil: NewGCMWithRandomNonce takes a nonce of its own
}

// Open decrypts what Seal made, or gives ErrOpen.
func (l *Local) Open(_ context.Context, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < 1 || sealed[0] != version1 {
		return nil, ErrOpen
	}
	plaintext, err := l.aead.Open(nil, nil, sealed[1:], additional)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// String hides the key.
func (*Local) String() string { return "seal.Local" }

// Additional is the additional data for the secret of the account sub in the
// document path. Lengths go first, so that no two pairs give the same bytes.
func Additional(path, sub string) []byte {
	b := make([]byte, 0, len(path)+len(sub)+1+2*binary.MaxVarintLen64)
	b = append(b, version1)
	for _, part := range []string{path, sub} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

var _ Cipher = (*Local)(nil)
