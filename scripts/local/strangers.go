package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ownPagesOnly refuses what the pages of other origins may make a browser send, also
// under a name of their own that leads to this machine (rule 10.16).
func ownPagesOnly(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownHost(r) {
			http.Error(w, "this local run is reached as localhost or by its IP address", http.StatusMisdirectedRequest)
			return
		}
		guard.ServeHTTP(w, r)
	})
}

// ownHost reports whether a request names localhost or an IP address, with our port: a
// name of somebody else's may be made to lead here after its page was loaded.
func ownHost(r *http.Request) bool {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = strings.Trim(r.Host, "[]"), "80" // browsers leave the usual one out
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && port != portOf(local) {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}

func portOf(a *net.TCPAddr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// warnOfStrangers warns where others than this machine reach the run: its pages ask for
// no password, and Google may be real.
func warnOfStrangers(log *slog.Logger, addr net.Addr) {
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("everybody who reaches this address can use the local run, and no connection is encrypted: listen on localhost unless the network is your own",
			"addr", addr.String())
	}
}
