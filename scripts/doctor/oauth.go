package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
	"github.com/erp-calendar/erp-calendar/shared/incidents"
	"github.com/erp-calendar/erp-calendar/shared/signin"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// provider is what Google's discovery document says.
type provider struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	Revoke    string `json:"revocation_endpoint"`
	Keys      string `json:"jwks_uri"`
}

const (
	callTime   = 15 * time.Second
	clientPage = "https://console.cloud.google.com/auth/clients"
	// maxPage is how much of Google's error page is looked through.
	maxPage = 256 << 10
)

func (d *doctor) oauthChecks() []check {
	return []check{
		{ID: "oauth.discovery", Group: groupOAuth, Title: "discovery", Needs: []string{"env.google"}, Within: callTime, Run: d.checkDiscovery},
		{ID: "oauth.client_id", Group: groupOAuth, Title: "client id", Needs: []string{"env.client"}, Run: d.checkClientID},
		{ID: "oauth.client_secret", Group: groupOAuth, Title: "client secret", Needs: []string{"oauth.client_id", "oauth.discovery"}, After: []string{"env.sites"}, Within: callTime, Run: d.checkClientSecret},
		{ID: "oauth.redirect_uri", Group: groupOAuth, Title: "redirect URI", Needs: []string{"env.sites"}, Run: d.checkRedirectURI},
		{ID: "oauth.registered", Group: groupOAuth, Title: "URI registered", Needs: []string{"oauth.redirect_uri", "oauth.client_id", "oauth.discovery"}, Within: callTime, Run: d.checkRegistered},
	}
}

// client asks Google; redirects are looked at and not followed.
func (d *doctor) client() *http.Client {
	return &http.Client{Transport: d.transport, Timeout: callTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (d *doctor) checkDiscovery(ctx context.Context) verdict {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, d.client()), d.env.google.Issuer)
	if mismatch, is := errors.AsType[*oidc.IssuerMismatchError](err); is {
		return bad("Set GOOGLE_ISSUER to exactly what the document says, or unset it for Google's own.",
			"the discovery document of %s names the issuer %s, so no sign-in is believed", mismatch.Provided, mismatch.Discovered)
	}
	if _, is := errors.AsType[*url.Error](err); is {
		why, cure := checkup.Unreached(d.Texts, err)
		return bad(cure+" The functions reach Google without anything being opened, so this concerns this machine first.", "%s could not be reached: %s", d.env.google.Issuer, why)
	}
	var p provider
	if err == nil {
		err = found.Claims(&p)
	}
	if err != nil {
		return bad("Unset GOOGLE_ISSUER, unless this is a test. If it is Google's own, a proxy on the way answers in Google's place.",
			"%s has no OpenID discovery document", d.env.google.Issuer)
	}
	for name, endpoint := range map[string]string{"authorization_endpoint": p.Authorize, "token_endpoint": p.Token, "jwks_uri": p.Keys, "revocation_endpoint": p.Revoke} {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Hostname()) {
			return bad("Unset GOOGLE_ISSUER, unless this is a test.", "the discovery document's %s is missing or not https", name)
		}
	}
	d.provider = p
	return ok("%s, and it says so itself", p.Issuer)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (d *doctor) checkClientID(context.Context) verdict {
	if !strings.HasSuffix(d.env.client.ID, ".apps.googleusercontent.com") {
		return bad("Copy the client id of the OAuth client of type “Web application” from "+clientPage+" into OAUTH_CLIENT_ID.",
			"OAUTH_CLIENT_ID is no client id of Google's: those end with .apps.googleusercontent.com")
	}
	return ok("has the form of one")
}

const secretCure = "Copy id and secret of the same OAuth client of type “Web application” from " + clientPage + " into OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET. A secret that was lost or deleted there is replaced by a new one."

// checkClientSecret exchanges a code that nobody was given: Google checks the
// client before the code, and a code that does not exist leaves nothing behind.
func (d *doctor) checkClientSecret(ctx context.Context) verdict {
	cfg := oauth2.Config{ClientID: d.env.client.ID, ClientSecret: d.env.client.Secret.Text(),
		Endpoint: oauth2.Endpoint{TokenURL: d.provider.Token, AuthStyle: oauth2.AuthStyleInParams}}
	if d.env.sites.OAuthURL != "" {
		cfg.RedirectURL = d.env.sites.OAuthURL + "/callback"
	}
	_, err := cfg.Exchange(context.WithValue(ctx, oauth2.HTTPClient, d.client()), "4/0Adoctor-"+signin.Random())
	said, answered := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case err == nil:
		return bad("See what GOOGLE_ISSUER points to.", "the token endpoint gives tokens for a made-up code, so it is not Google's")
	case !answered:
		why, cure := checkup.Unreached(d.Texts, err)
		return bad(cure, "the token endpoint could not be reached: %s", why)
	}
	switch said.ErrorCode {
	case "invalid_grant", "redirect_uri_mismatch":
		return ok("accepted, as far as a made-up code can show")
	case "invalid_client", "unauthorized_client":
		return bad(secretCure, "Google does not accept the client (%s): id and secret do not belong together, or the client was deleted", said.ErrorCode)
	case "deleted_client", "disabled_client":
		return bad(incidents.Cure(d.Texts, store.Refusal{At: store.AtToken, Reason: said.ErrorCode}), "Google does not accept the client (%s)", said.ErrorCode)
	}
	status := 0
	if said.Response != nil {
		status = said.Response.StatusCode
	}
	return notChecked("Run the doctor again in a few minutes.", "the token endpoint answered neither yes nor no (status %d)", status)
}

func (d *doctor) checkRedirectURI(context.Context) verdict {
	site, err := signin.NewSite(d.env.sites.OAuthURL)
	if err != nil {
		return bad("Set OAUTH_URL to the public address of the function OAuth.", "OAUTH_URL is no base address")
	}
	uri := site.URL("/callback", nil)
	d.redirectURI = uri
	u, err := url.Parse(uri)
	if err != nil {
		return bad("Set OAUTH_URL to the public address of the function OAuth.", "OAUTH_URL is no base address")
	}
	host := u.Hostname()
	_, notIP := netip.ParseAddr(host)
	v := ok("%s", uri)
	switch {
	case loopback(host):
	case u.Scheme != "https":
		v = bad("Set OAUTH_URL to the https address of the function OAuth. Google takes plain http on localhost only.", "%s is not https", uri)
	case notIP == nil:
		v = bad("Set OAUTH_URL to an address with a host name; Google takes no IP addresses but 127.0.0.1.", "%s has an IP address for a host", uri)
	case !strings.Contains(host, "."), slices.ContainsFunc([]string{".local", ".internal", ".lan", ".home", ".test", ".invalid", ".example"}, func(end string) bool { return strings.HasSuffix(host, end) }):
		v = bad("Set OAUTH_URL to an address whose host ends in a public top-level domain; Google registers no other.", "%s has a host that is not public", uri)
	case strings.ContainsAny(uri, "*\\"), strings.Contains(u.Path, "/.."), strings.Contains(u.Path, "//"):
		v = bad("Set OAUTH_URL to a plain address; Google takes no wildcards, “..” and doubled slashes in a redirect URI.", "%s has a form that Google does not register", uri)
	}
	if v.State == isOK {
		v.Details = []string{"to be registered exactly so, without a slash at its end: " + clientPage + ", the web client, “Authorized redirect URIs”"}
	}
	v.Data = map[string]any{"redirect_uri": uri}
	return v
}

// checkRegistered begins an authorization as a browser without any session would,
// and looks at where Google would send it. prompt=none forbids Google to ask
// anybody anything, so nothing is begun that somebody could finish. How Google
// answers is documented only for what a person sees; hence best effort.
func (d *doctor) checkRegistered(ctx context.Context) verdict {
	cfg := oauth2.Config{ClientID: d.env.client.ID, RedirectURL: d.redirectURI, Scopes: []string{"openid", "email"},
		Endpoint: oauth2.Endpoint{AuthURL: d.provider.Authorize}}
	address := cfg.AuthCodeURL(signin.Random(), oauth2.SetAuthURLParam("prompt", "none"), oauth2.SetAuthURLParam("nonce", signin.Random()), oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return notChecked("", "no request could be made of the authorization endpoint")
	}
	resp, err := d.client().Do(req)
	if err != nil {
		why, cure := checkup.Unreached(d.Texts, err)
		return bad(cure, "the authorization endpoint could not be reached: %s", why)
	}
	defer func() { _ = resp.Body.Close() }()
	page, _ := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	location := resp.Header.Get("Location")
	if resp.StatusCode/100 == 3 && (location == d.redirectURI || strings.HasPrefix(location, d.redirectURI+"?") || strings.HasPrefix(location, d.redirectURI+"#")) {
		return ok("Google would come back to it")
	}
	said := errorPage(location, page)
	has := func(codes ...string) bool {
		return slices.ContainsFunc(codes, func(code string) bool { return strings.Contains(said, code) })
	}
	switch {
	case has("redirect_uri_mismatch"):
		return bad("Register exactly this at the OAuth client ("+clientPage+", the client, “Authorized redirect URIs”), without a slash at its end: "+d.redirectURI+
			"\nIt takes Google five minutes and more to know it. The client must be of the type “Web application”.",
			"redirect_uri_mismatch: the OAuth client does not know the redirect URI, so nobody can sign in or connect")
	case has("invalid_client", "deleted_client", "disabled_client"):
		return bad(secretCure, "Google does not know the OAuth client, or it was deleted or disabled")
	case has("admin_policy_enforced", "org_internal", "access_denied"):
		return warn("Let the Workspace admin trust the client id (Admin console, Security, API controls); for an Internal consent screen, use accounts of the organisation.",
			"Google's answer speaks of a policy that keeps accounts out")
	case resp.StatusCode/100 == 3 || resp.StatusCode == http.StatusOK:
		return ok("Google goes on to its sign-in page, which it does only for a registered one")
	}
	return notChecked("Press Connect in the console: a wrong redirect URI shows as redirect_uri_mismatch.", "Google's answer (status %d) does not tell", resp.StatusCode)
}

// errorPage is what an error page or the way to it says: Google carries the error
// in the parameter authError, in base64.
func errorPage(location string, page []byte) string {
	said := string(page) + "\n" + location
	if u, err := url.Parse(location); err == nil {
		coded := strings.TrimRight(u.Query().Get("authError"), "=")
		for _, form := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
			if text, err := form.DecodeString(coded); err == nil {
				said += "\n" + string(text)
				break
			}
		}
	}
	return said
}
