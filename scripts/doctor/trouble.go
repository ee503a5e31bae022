package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// unreached says by an error's type why no answer came, and what to do. Texts of
// errors are never passed on: they may quote an address or what was sent.
func unreached(err error) (why, cure string) {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var late net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "its host name is not known to DNS", "Check the host name for a slip; a name that only the company's own DNS knows is out of reach for Cloud functions."
	case errors.As(err, &dns):
		return "the DNS did not answer", "Check this machine's network, then try again."
	case errors.As(err, &host):
		return "its TLS certificate is for another host name", "Use the name that the certificate is for, or give the server a certificate for this name."
	case errors.As(err, &unknown):
		return "its TLS certificate is signed by nobody this machine trusts", "Give the server a certificate of a public authority (Let's Encrypt is free), with its intermediate certificates."
	case errors.As(err, &certificate):
		return "its TLS certificate is not accepted (expired, or wrong in another way)", "Renew the server's certificate."
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "it does not speak https on that port", "Check the port; for a server on a private way that knows only plain http, see ALLOW_HTTP_ERP."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at its address and port", "Check host and port, and that the server is running."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "it did not answer in time", "A firewall may drop the connection: let this machine's and the functions' address in. Otherwise the server is overloaded."
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it broke the connection off", "Look into the server's log, and at what stands in front of it (a proxy or firewall)."
	}
	return "the connection failed", "Check the address and the network on the way to it."
}

// kindWords tell a failure without its text.
func kindWords(err error) string {
	f, known := errors.AsType[*failure.Error](err)
	if !known {
		return "an unexpected failure"
	}
	words := string(f.Kind)
	switch {
	case f.Status != 0 && f.Reason != "":
		return words + ", status " + itoa(f.Status) + ", " + f.Reason
	case f.Status != 0:
		return words + ", status " + itoa(f.Status)
	case f.Reason != "":
		return words + ", " + f.Reason
	}
	return words
}

// detailOf is the adapter's own sentence, which never quotes an answer.
func detailOf(err error) string {
	if f, known := errors.AsType[*failure.Error](err); known && f.Detail != "" {
		return f.Detail
	}
	return kindWords(err)
}

func reasonOf(err error) string {
	for {
		f, known := errors.AsType[*failure.Error](err)
		if !known {
			return ""
		}
		if f.Reason != "" || f.Err == nil {
			return f.Reason
		}
		err = f.Err
	}
}
