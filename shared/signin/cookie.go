package signin

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Site is a public base URL (OAUTH_URL, CONSOLE_URL), of which every link and
// every cookie's path is made: handlers see paths without the function's name in
// front, browsers see them with it (functions/README.md).
type Site struct {
	base string
	path string
	// origin is scheme://host[:port].
	origin string
}

// NewSite reads a base URL; a trailing slash does not matter.
func NewSite(base string) (Site, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil {
		return Site{}, fmt.Errorf("public URL: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Site{}, fmt.Errorf("public URL %q: want https://host/path", base)
	}
	return Site{base: u.Scheme + "://" + u.Host + u.EscapedPath(), path: u.EscapedPath(), origin: u.Scheme + "://" + u.Host}, nil
}

// URL gives the public address of a path such as "/callback", with a query.
func (s Site) URL(path string, query url.Values) string {
	if len(query) > 0 {
		return s.base + path + "?" + query.Encode()
	}
	return s.base + path
}

// Path gives the path that a browser sees for a handler's path.
func (s Site) Path(path string) string { return s.path + path }

// Origin gives scheme://host[:port].
func (s Site) Origin() string { return s.origin }

// CookieName is what the browser calls a cookie: with the prefix __Host- where the site
// has an origin of its own, so that no neighbour under the same domain can plant one.
func (s Site) CookieName(name string) string {
	if s.path == "" && strings.HasPrefix(s.base, "https://") {
		return "__Host-" + name
	}
	return name
}

// Cookie makes a cookie of this site: Secure, HttpOnly, SameSite=Lax, host-only
// (functions/README.md). Its path is the site's: outside the cloud several share one host.
// Browsers accept Secure on localhost too. lasts 0 removes the cookie.
func (s Site) Cookie(name, value string, lasts time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: s.CookieName(name), Value: value, Path: cmp.Or(s.path, "/"), MaxAge: int(lasts / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if lasts <= 0 {
		c.Value, c.MaxAge = "", -1
	}
	return c
}
