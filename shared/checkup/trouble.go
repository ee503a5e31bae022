package checkup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/erp-calendar/erp-calendar/shared/failure"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// Unreached says by an error's type why no answer came, and what to do. Texts of errors are
// never passed on: they may quote an address or what was sent.
func Unreached(t i18n.Texts, err error) (why, cure string) {
	kind := unreachedFor(err)
	return t.T("doctor.unreached." + kind + ".why"), t.T("doctor.unreached." + kind + ".cure")
}

func unreachedFor(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var late net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "name"
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &host):
		return "host"
	case errors.As(err, &unknown):
		return "authority"
	case errors.As(err, &certificate):
		return "certificate"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "scheme"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "port"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "late"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "broken"
	}
	return "failed"
}

// KindWords tell a failure without its text.
func KindWords(err error) string {
	f, known := errors.AsType[*failure.Error](err)
	if !known {
		return "an unexpected failure"
	}
	words := string(f.Kind)
	if f.Status != 0 {
		words += ", status " + strconv.Itoa(f.Status)
	}
	if f.Reason != "" {
		words += ", " + f.Reason
	}
	return words
}

// DetailOf is the adapter's own sentence, which never quotes an answer.
func DetailOf(err error) string {
	if f, known := errors.AsType[*failure.Error](err); known && f.Detail != "" {
		return f.Detail
	}
	return KindWords(err)
}
