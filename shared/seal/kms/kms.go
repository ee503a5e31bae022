// Package kms seals with a key that never leaves Google's Cloud KMS. It must
// never be used where the project's service account lacks the encrypter or
// decrypter role it needs: each function has only the one it uses (shared/googlecalendar/README.md).
package kms

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	kmsapi "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/seal"
)

// timeout bounds one call; KMS answers within tens of milliseconds.
const timeout = 10 * time.Second

// Cipher is a seal.Cipher on one KMS crypto key.
type Cipher struct {
	client *kmsapi.KeyManagementClient
	name   string
}

var _ seal.Cipher = (*Cipher)(nil)

// New makes a Cipher of a crypto key's full name
// (projects/P/locations/L/keyRings/R/cryptoKeys/K). It connects on first use.
func New(ctx context.Context, name string, opts ...option.ClientOption) (*Cipher, error) {
	client, err := kmsapi.NewKeyManagementClient(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the KMS client for %s: %w", name, err)
	}
	return &Cipher{client, name}, nil
}

// Close ends the connections.
func (c *Cipher) Close() error { return c.client.Close() }

// Seal encrypts with the key's primary version. The checksums tell damage on the
// way apart from success: without them a flipped bit would be kept for good.
func (c *Cipher) Seal(ctx context.Context, plaintext, additional []byte) ([]byte, error) {
	const op = "encrypt with the KMS key"
	if len(plaintext) > seal.MaxPlaintext {
		return nil, failure.New(failure.Invalid, op, fmt.Sprintf("%d bytes are more than %d", len(plaintext), seal.MaxPlaintext))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.client.Encrypt(ctx, &kmspb.EncryptRequest{
		Name:                              c.name,
		Plaintext:                         plaintext,
		PlaintextCrc32C:                   checksum(plaintext),
		AdditionalAuthenticatedData:       additional,
		AdditionalAuthenticatedDataCrc32C: checksum(additional),
	})
	if err != nil {
		return nil, fault(op, err)
	}
	if !answer.GetVerifiedPlaintextCrc32C() || !answer.GetVerifiedAdditionalAuthenticatedDataCrc32C() ||
		!matches(answer.GetCiphertext(), answer.GetCiphertextCrc32C()) {
		return nil, failure.New(failure.Transient, op, "the data was damaged on its way")
	}
	return answer.GetCiphertext(), nil
}

// Open decrypts; what this key did not seal for this place is seal.ErrOpen.
func (c *Cipher) Open(ctx context.Context, sealed, additional []byte) ([]byte, error) {
	const op = "decrypt with the KMS key"
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := c.client.Decrypt(ctx, &kmspb.DecryptRequest{
		Name:                              c.name,
		Ciphertext:                        sealed,
		CiphertextCrc32C:                  checksum(sealed),
		AdditionalAuthenticatedData:       additional,
		AdditionalAuthenticatedDataCrc32C: checksum(additional),
	})
	if status.Code(err) == codes.InvalidArgument {
		// KMS answers so to a wrong checksum, too: a single ErrOpen proves nothing, and
		// the caller tries again.
		return nil, fmt.Errorf("%s: %w", op, seal.ErrOpen)
	}
	if err != nil {
		return nil, fault(op, err)
	}
	if !matches(answer.GetPlaintext(), answer.GetPlaintextCrc32C()) {
		return nil, failure.New(failure.Transient, op, "the data was damaged on its way")
	}
	return answer.GetPlaintext(), nil
}

// fault gives a gRPC error its kind. The status text is dropped: it is Google's,
// and only the code decides anything.
func fault(op string, err error) error {
	code := status.Code(err)
	f := &failure.Error{Kind: failure.Transient, Op: op, Reason: code.String()}
	switch code {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition, codes.InvalidArgument:
		f.Kind = failure.Misconfigured
		f.Detail = "TOKEN_KEY names a key that is missing, disabled or not this service account's to use"
	case codes.ResourceExhausted:
		f.Kind = failure.RateLimited
	}
	return f
}

// crc is what KMS calls crc32c. MakeTable builds Castagnoli's table only once.
func crc(b []byte) int64 { return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) }

func checksum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(crc(b))
}

func matches(b []byte, sum *wrapperspb.Int64Value) bool {
	return sum != nil && sum.GetValue() == crc(b)
}
