package google

import (
	"crypto/rsa"
	"time"
)

// Options say what kind of Google to be. The zero value of every field is usable.
type Options struct {
	// BaseURL is the public URL at which the server is mounted, without a
	// trailing slash; it is the OpenID issuer. Default "http://google.test".
	BaseURL string
	// Now is the only clock. Default time.Now.
	Now func() time.Time
	// ClientID, ClientSecret and RedirectURIs describe the OAuth web client.
	ClientID, ClientSecret string
	RedirectURIs           []string
	// MoreClients are further OAuth clients, for instance one that was swapped in.
	MoreClients []Client
	// Accounts are the Google accounts that exist; others can be added later.
	Accounts []Account
	// AutoApprove makes the authorization endpoint consent to everything at once
	// for the account in login_hint (e-mail or sub), or the first account.
	AutoApprove bool
	// Latency is how long a request takes: half before its effect, half after.
	Latency time.Duration

	// RequestsPerMinute and ProjectRequestsPerMinute limit quota units in any
	// 60 s, per account and client and per client. 0: no limit.
	RequestsPerMinute, ProjectRequestsPerMinute int
	// RateLimitStatus is the status of rateLimitExceeded: 403 (default) or 429.
	RateLimitStatus int
	// CalendarsPerPeriod, EventsPerPeriod and SharesPerPeriod are the anti-abuse
	// limits of creations per account within Period (default 24 h). 0: no limit.
	CalendarsPerPeriod, EventsPerPeriod, SharesPerPeriod int
	Period                                               time.Duration
	// QuotaLock is how long quotaExceeded lasts once tripped (default 4 h). What
	// is locked: after too many calendars or shares, creating and sharing; after
	// too many events, all writes; with QuotaLocksAll, all writes in any case.
	QuotaLock     time.Duration
	QuotaLocksAll bool

	// RefreshTokenLifetime ends refresh tokens that long after their issue: 7
	// days for a consent screen in Testing. 0: no fixed end (but 6 months unused).
	RefreshTokenLifetime time.Duration
	// SyncTokenLifetime is after what time a sync token answers 410. Default 28 days.
	SyncTokenLifetime time.Duration
	// StatusErrors chooses the newer of the two documented error bodies, the one
	// with "status".
	StatusErrors bool
	// WebDeletionForbidsRevival answers 403 to reviving an event deleted in the
	// web UI, as users have reported.
	WebDeletionForbidsRevival bool
	// CalendarListDelay is how long a new calendar is missing from calendarList.list.
	CalendarListDelay time.Duration
	// ZoneAliases renames time zones in answers, as Google does with some:
	// {"Europe/Kyiv": "Europe/Kiev"}.
	ZoneAliases map[string]string
	// ShareAllowed refuses, by giving false, sharing with an address: a Workspace
	// policy. nil allows all.
	ShareAllowed func(address string) bool
	// InviteHidden hides a new share from acl.list until AcceptShare, by giving
	// true for its address. nil hides none.
	InviteHidden func(address string) bool

	// Ways are the unproved questions; the zero value is the Google assumed so far.
	Ways Ways

	// Seed makes ids and tokens repeatable; 0 takes them from crypto/rand.
	Seed uint64
	// SigningKey signs id_tokens (RS256). nil: made when first needed.
	SigningKey *rsa.PrivateKey
	// KeepRequests bounds the request log; the oldest go first. Default 200,000.
	KeepRequests int
}

// Client is one OAuth web client.
type Client struct {
	ID, Secret   string
	RedirectURIs []string
}

// Account is one Google account.
type Account struct {
	Sub, Email, Name string
	// HostedDomain is the Workspace domain (claim hd); empty for a consumer account.
	HostedDomain string
	// EmailUnverified makes id_tokens say email_verified=false.
	EmailUnverified bool
}

func (o *Options) defaults() {
	if o.BaseURL == "" {
		o.BaseURL = "http://google.test"
	}
	for len(o.BaseURL) > 0 && o.BaseURL[len(o.BaseURL)-1] == '/' {
		o.BaseURL = o.BaseURL[:len(o.BaseURL)-1]
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RateLimitStatus == 0 {
		o.RateLimitStatus = 403
	}
	setDuration(&o.Period, 24*time.Hour)
	setDuration(&o.QuotaLock, 4*time.Hour)
	setDuration(&o.SyncTokenLifetime, 28*24*time.Hour)
	if o.KeepRequests == 0 {
		o.KeepRequests = 200_000
	}
}

func setDuration(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}
