package deployment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/fake/google"
)

// Browser walks the pages as a person's browser would, with cookies and redirects; at
// the consent page of Google's stand-in, which is served at /google/, it presses Allow.
type Browser struct {
	google *google.Server
	client *http.Client
}

// NewBrowser makes a browser without cookies.
func NewBrowser(google *google.Server) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &Browser{google: google, client: &http.Client{
		Jar: localJar{jar}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// localJar sends Secure cookies to http://localhost, as browsers do.
type localJar struct{ http.CookieJar }

func secure(u *url.URL) *url.URL {
	c := *u
	c.Scheme = "https"
	return &c
}

func (j localJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secure(u), cookies)
}

func (j localJar) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secure(u)) }

// Visit follows an address to the page it ends at, consenting as account where
// Google asks.
func (b *Browser) Visit(ctx context.Context, address, account string) (status int, body string, err error) {
	for range 15 {
		u, err := url.Parse(address)
		if err != nil {
			return 0, "", err
		}
		if strings.HasPrefix(u.Path, "/google/o/oauth2/") {
			if address, err = b.google.Approve(address, account); err != nil {
				return 0, "", fmt.Errorf("consent: %w", err)
			}
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return 0, "", err
		}
		res, err := b.client.Do(req)
		if err != nil {
			return 0, "", err
		}
		text, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
		_ = res.Body.Close()
		if err != nil {
			return 0, "", err
		}
		if res.StatusCode/100 != 3 {
			return res.StatusCode, string(text), nil
		}
		next, err := res.Location()
		if err != nil {
			return 0, "", fmt.Errorf("redirect of %s: %w", u.Path, err)
		}
		address = next.String()
	}
	return 0, "", errors.New("too many redirects")
}
