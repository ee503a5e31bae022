package kms_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"net"
	"testing"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/seal/kms"
)

const keyName = "projects/p/locations/europe/keyRings/r/cryptoKeys/token"

// server is a KMS of one key. spoil changes an answer before it goes out, refuse
// answers with a code instead.
type server struct {
	kmspb.UnimplementedKeyManagementServiceServer
	key          *seal.Local
	refuse       codes.Code
	spoilEncrypt func(*kmspb.EncryptResponse)
	spoilDecrypt func(*kmspb.DecryptResponse)
}

func crc(b []byte) int64 { return int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))) }

// part is a request's field with its checksum.
type part struct {
	data []byte
	sum  *wrapperspb.Int64Value
}

func (s *server) check(name string, parts ...part) error {
	if s.refuse != codes.OK {
		return status.Error(s.refuse, "refused")
	}
	if name != keyName {
		return status.Error(codes.NotFound, "no such key")
	}
	for _, p := range parts {
		if p.sum == nil || p.sum.GetValue() != crc(p.data) {
			return status.Error(codes.InvalidArgument, "checksum")
		}
	}
	return nil
}

func (s *server) Encrypt(ctx context.Context, r *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	if err := s.check(r.Name, part{r.Plaintext, r.PlaintextCrc32C}, part{r.AdditionalAuthenticatedData, r.AdditionalAuthenticatedDataCrc32C}); err != nil {
		return nil, err
	}
	sealed, err := s.key.Seal(ctx, r.Plaintext, r.AdditionalAuthenticatedData)
	if err != nil {
		return nil, err
	}
	answer := &kmspb.EncryptResponse{
		Name: keyName + "/cryptoKeyVersions/1", Ciphertext: sealed, CiphertextCrc32C: wrapperspb.Int64(crc(sealed)),
		VerifiedPlaintextCrc32C: true, VerifiedAdditionalAuthenticatedDataCrc32C: true,
	}
	if s.spoilEncrypt != nil {
		s.spoilEncrypt(answer)
	}
	return answer, nil
}

func (s *server) Decrypt(ctx context.Context, r *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	if err := s.check(r.Name, part{r.Ciphertext, r.CiphertextCrc32C}, part{r.AdditionalAuthenticatedData, r.AdditionalAuthenticatedDataCrc32C}); err != nil {
		return nil, err
	}
	plain, err := s.key.Open(ctx, r.Ciphertext, r.AdditionalAuthenticatedData)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "decryption failed")
	}
	answer := &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: wrapperspb.Int64(crc(plain)), UsedPrimary: true}
	if s.spoilDecrypt != nil {
		s.spoilDecrypt(answer)
	}
	return answer, nil
}

func start(t *testing.T, s *server, name string) *kms.Cipher {
	t.Helper()
	var err error
	if s.key, err = seal.NewLocal(make([]byte, seal.KeyBytes)); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(g, s)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	c, err := kms.New(t.Context(), name, option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSealAndOpen(t *testing.T) {
	c := start(t, &server{}, keyName)
	place := seal.Additional("accounts/1", "1")
	sealed, err := c.Seal(t.Context(), []byte("1//refresh"), place)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("refresh")) {
		t.Error("the plaintext shows")
	}
	if plain, err := c.Open(t.Context(), sealed, place); err != nil || string(plain) != "1//refresh" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := c.Open(t.Context(), sealed, seal.Additional("accounts/2", "1")); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opened for another place: %v", err)
	}
	if _, err := c.Seal(t.Context(), make([]byte, seal.MaxPlaintext+1), place); !failure.Is(err, failure.Invalid) {
		t.Errorf("more than 64 KiB: %v", err)
	}
}

func TestDamageOnTheWayIsNoticed(t *testing.T) {
	for name, s := range map[string]*server{
		"ciphertext":        {spoilEncrypt: func(a *kmspb.EncryptResponse) { a.Ciphertext[3] ^= 1 }},
		"no checksum":       {spoilEncrypt: func(a *kmspb.EncryptResponse) { a.CiphertextCrc32C = nil }},
		"plaintext unread":  {spoilEncrypt: func(a *kmspb.EncryptResponse) { a.VerifiedPlaintextCrc32C = false }},
		"additional unread": {spoilEncrypt: func(a *kmspb.EncryptResponse) { a.VerifiedAdditionalAuthenticatedDataCrc32C = false }},
	} {
		if _, err := start(t, s, keyName).Seal(t.Context(), []byte("x"), nil); !failure.Is(err, failure.Transient) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := &server{spoilDecrypt: func(a *kmspb.DecryptResponse) { a.Plaintext[0] ^= 1 }}
	c := start(t, s, keyName)
	sealed, err := c.Seal(t.Context(), []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Open(t.Context(), sealed, nil); !failure.Is(err, failure.Transient) {
		t.Errorf("a damaged plaintext was given: %q, %v", got, err)
	}
}

func TestKindsOfFailure(t *testing.T) {
	for code, kind := range map[codes.Code]failure.Kind{
		codes.PermissionDenied:   failure.Misconfigured,
		codes.FailedPrecondition: failure.Misconfigured, // the key version is disabled
		codes.ResourceExhausted:  failure.RateLimited,
		codes.Internal:           failure.Transient,
	} {
		c := start(t, &server{refuse: code}, keyName)
		if _, err := c.Seal(t.Context(), []byte("x"), nil); !failure.Is(err, kind) {
			t.Errorf("%s on sealing: %v, want %s", code, err, kind)
		}
		if _, err := c.Open(t.Context(), []byte("x"), nil); !failure.Is(err, kind) {
			t.Errorf("%s on opening: %v, want %s", code, err, kind)
		}
	}
	if _, err := start(t, &server{}, keyName+"x").Open(t.Context(), []byte("x"), nil); !failure.Is(err, failure.Misconfigured) {
		t.Errorf("an unknown key: %v", err)
	}
}
