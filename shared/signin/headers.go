package signin

import "net/http"

// SetHeaders sets what every answer of both sites carries. csp is the page's
// Content-Security-Policy, referrer its Referrer-Policy: "no-referrer" where the
// address holds a ticket, a state or a code.
func SetHeaders(h http.Header, csp, referrer string) {
	h.Set("Content-Security-Policy", csp)
	h.Set("Referrer-Policy", referrer)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
}
