package signin_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/signin"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func sessions(t *testing.T, k []byte, now func() time.Time) *signin.Sessions {
	t.Helper()
	s, err := signin.NewSessions(k, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessionsAreGoodForEightHours(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := sessions(t, key(1), func() time.Time { return now })
	issued, cookie, err := s.Issue("100", "olena@example.com", 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {8*time.Hour - time.Second, true}, {8 * time.Hour, false}, {30 * 24 * time.Hour, false}} {
		now = issued.Issued.Add(row.after)
		got, err := s.Read(cookie)
		if (err == nil) != row.good {
			t.Errorf("after %v: %v", row.after, err)
		}
		if row.good && got != issued {
			t.Errorf("after %v: %+v, want %+v", row.after, got, issued)
		}
	}
}

func TestForgedSessionsAreRefused(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }
	s := sessions(t, key(1), now)
	session, cookie, err := s.Issue("100", "olena@example.com", 3)
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := sessions(t, key(2), now).Issue("100", "olena@example.com", 3)
	if err != nil {
		t.Fatal(err)
	}
	text, sum, _ := strings.Cut(cookie, ".")
	for name, value := range map[string]string{
		"empty": "", "no signature": text, "empty signature": text + ".", "another key": foreign,
		"changed text": "A" + text[1:] + "." + sum, "changed signature": text + ".A" + sum[1:],
		"more parts": cookie + ".x", "the CSRF token as signature": text + "." + s.CSRF(session),
		"only a dot": ".",
	} {
		if _, err := s.Read(value); !errors.Is(err, signin.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCSRFTokensBelongToOneSession(t *testing.T) {
	s := sessions(t, key(1), time.Now)
	a, _, err := s.Issue("100", "olena@example.com", 3)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := s.Issue("100", "olena@example.com", 3)
	if err != nil {
		t.Fatal(err)
	}
	if !s.ValidCSRF(a, s.CSRF(a)) {
		t.Error("the session's own token is refused")
	}
	for name, token := range map[string]string{"none": "", "another session's": s.CSRF(b), "another key's": sessions(t, key(2), time.Now).CSRF(a)} {
		if s.ValidCSRF(a, token) {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestSessionKeysHave32Bytes(t *testing.T) {
	for _, k := range [][]byte{nil, key(1)[:16], append(key(1), 1)} {
		if _, err := signin.NewSessions(k, time.Now); err == nil {
			t.Errorf("a key of %d bytes is taken", len(k))
		}
	}
}

func TestSites(t *testing.T) {
	for _, row := range []struct{ base, link, path, cookiePath, origin string }{
		{"https://r-p.cloudfunctions.net/console", "https://r-p.cloudfunctions.net/console/settings", "/console/settings", "/console", "https://r-p.cloudfunctions.net"},
		{"https://console-abc.run.app", "https://console-abc.run.app/settings", "/settings", "/", "https://console-abc.run.app"},
		{"https://console-abc.run.app/", "https://console-abc.run.app/settings", "/settings", "/", "https://console-abc.run.app"},
		{"http://localhost:8080/Console", "http://localhost:8080/Console/settings", "/Console/settings", "/Console", "http://localhost:8080"},
	} {
		s, err := signin.NewSite(row.base)
		if err != nil {
			t.Errorf("%s: %v", row.base, err)
			continue
		}
		c := s.Cookie("name", "value", time.Hour)
		if s.URL("/settings", nil) != row.link || s.Path("/settings") != row.path || c.Path != row.cookiePath || s.Origin() != row.origin {
			t.Errorf("%s: link %s, path %s, cookie path %s, origin %s", row.base, s.URL("/settings", nil), s.Path("/settings"), c.Path, s.Origin())
		}
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.MaxAge != 3600 {
			t.Errorf("%s: cookie %+v", row.base, c)
		}
		if gone := s.Cookie("name", "value", 0); gone.MaxAge >= 0 || gone.Value != "" {
			t.Errorf("%s: removal %+v", row.base, gone)
		}
	}
	for _, base := range []string{"", "console", "ftp://x", "https://", "https://u@x/", "https://x/?a=b", "https://x/#f"} {
		if _, err := signin.NewSite(base); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
}

func TestAllowList(t *testing.T) {
	list := signin.NewAllowList([]string{" Olena@Example.com ", "", "nonsense", "b@example.com"})
	for address, want := range map[string]bool{
		"olena@example.com": true, "OLENA@EXAMPLE.COM": true, " b@example.com\n": true,
		"": false, "nonsense": false, "olena@example.com.evil.net": false, "xolena@example.com": false, "olena@example.co": false,
	} {
		if got := list.Allows(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	if signin.SameAddress("", "") || !signin.SameAddress("A@x.org ", "a@X.org") {
		t.Error("addresses are compared wrongly")
	}
}

func TestRandomValues(t *testing.T) {
	a, b := signin.Random(), signin.Random()
	if a == b || !signin.WellFormed(a) || !signin.WellFormed(signin.Hash(a)) {
		t.Errorf("%q and %q", a, b)
	}
	if !signin.Matches(a, signin.Hash(a)) || signin.Matches(b, signin.Hash(a)) || signin.Matches("", "") {
		t.Error("values are compared wrongly")
	}
	for _, bad := range []string{"", a[1:], a + "A", a[:42] + "=", a[:42] + "/", "../" + a[3:]} {
		if signin.WellFormed(bad) {
			t.Errorf("%q is well-formed", bad)
		}
	}
}

// U+212A, the Kelvin sign, becomes k in lower case (rule 10.10).
func TestAddressesAreASCII(t *testing.T) {
	for _, odd := range []string{"\u212aate@example.com", "kate@e\u0445ample.com", "k\u0430te@example.com", "kate@example.com\u200b", "ｋate@example.com"} {
		if signin.NewAllowList([]string{"kate@example.com"}).Allows(odd) || signin.SameAddress(odd, "kate@example.com") || signin.SameAddress(odd, odd) {
			t.Errorf("%+q is let in", odd)
		}
		if list := signin.NewAllowList([]string{odd}); list.Allows("kate@example.com") || list.Allows(odd) {
			t.Errorf("%+q on the list lets somebody in", odd)
		}
	}
}

// A neighbour under the same domain can plant a cookie, but not one that is named __Host-
// (rule 10.15).
func TestCookiesAreHostOnlyByTheirNames(t *testing.T) {
	for base, want := range map[string]string{
		"https://console-123.europe-west1.run.app": "__Host-x", "https://calendars.example.com/": "__Host-x",
		// Sites that share a host keep apart by their paths, which __Host- forbids.
		"https://example.com/console": "x", "http://localhost:8080/Console": "x", "http://localhost:8080": "x",
	} {
		site, err := signin.NewSite(base)
		if err != nil {
			t.Fatal(err)
		}
		c := site.Cookie("x", "v", time.Minute)
		if c.Name != want || c.Name != site.CookieName("x") || !c.Secure || !c.HttpOnly || c.Domain != "" || (want != "x" && c.Path != "/") {
			t.Errorf("%s: %s", base, c)
		}
	}
}
