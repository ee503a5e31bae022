package google

import (
	crand "crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"
)

// obj is a JSON object as the Calendar API sends it.
type obj = map[string]any

// Server is the stand-in. All methods are safe for concurrent use. Every request
// takes effect at one instant, under one lock.
type Server struct {
	opt      Options
	basePath string
	table    *table
	tableErr error

	mu       sync.Mutex
	rng      *rand.ChaCha8
	key      *rsa.PrivateKey
	clients  map[string]Client
	accounts map[string]*account // by lower-case e-mail
	order    []*account
	cals     map[string]*calendarState
	calOrder []*calendarState

	// calendarWrites is how many writes a second one calendar takes, 0 for any number;
	// written are those of the last second.
	calendarWrites int
	written        map[string][]time.Time

	codes    map[string]*authCode
	access   map[string]*accessToken
	refresh  map[string]*refreshToken
	consents map[string]bool // account + client: consent was given and not revoked

	rev      int64 // grows with every change of calendars, events and rules
	lastETag int64
	seq      int // request numbers
	log      []*Request
	mails    []Mail
	faults   []*Fault
	syncFrom int64         // sync tokens of earlier revisions are expired
	changed  chan struct{} // closed at the next change; nil while nobody waits
	observer Observer
	current  *Request // what takes effect now; nil for a person
	met      map[string]int
	matches  int // writes whose If-Match was right
}

// account is a Google account with its calendar list and its use of quotas.
type account struct {
	Account
	units     map[string][]usage // by client, the last 60 s
	created   map[string][]time.Time
	lockedTil map[string]time.Time
	list      map[string]*listEntry
}

type usage struct {
	at    time.Time
	units int
}

// New makes a stand-in of Google with the accounts of o, each with its primary
// calendar (id = e-mail address), and nothing else.
func New(o Options) *Server {
	o.defaults()
	s := &Server{
		opt: o, key: o.SigningKey,
		clients: map[string]Client{}, accounts: map[string]*account{}, cals: map[string]*calendarState{},
		codes: map[string]*authCode{}, access: map[string]*accessToken{}, refresh: map[string]*refreshToken{},
		consents: map[string]bool{}, met: map[string]int{},
	}
	if u, err := url.Parse(o.BaseURL); err == nil {
		s.basePath = u.Path
	}
	var seed [32]byte
	if o.Seed != 0 {
		binary.LittleEndian.PutUint64(seed[:], o.Seed)
	} else {
		// crypto/rand.Read never fails since Go 1.24.
		_, _ = crand.Read(seed[:])
	}
	s.rng = rand.NewChaCha8(seed)
	s.table, s.tableErr = loadTable(discoveryJSON)
	if o.ClientID != "" {
		s.clients[o.ClientID] = Client{ID: o.ClientID, Secret: o.ClientSecret, RedirectURIs: o.RedirectURIs}
	}
	for _, c := range o.MoreClients {
		s.clients[c.ID] = c
	}
	for _, a := range o.Accounts {
		s.AddAccount(a)
	}
	for _, spell := range o.Ways.Spells {
		s.Begin(spell)
	}
	return s
}

// AddAccount makes one more Google account exist, with its primary calendar. An
// account with that address keeps what it has and gets the new name and sub.
func (s *Server) AddAccount(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Sub == "" {
		a.Sub = s.digits(21)
	}
	if acc := s.accounts[strings.ToLower(a.Email)]; acc != nil {
		acc.Account = a
		return
	}
	acc := &account{Account: a, units: map[string][]usage{}, created: map[string][]time.Time{},
		lockedTil: map[string]time.Time{}, list: map[string]*listEntry{}}
	s.accounts[strings.ToLower(a.Email)] = acc
	s.order = append(s.order, acc)
	cal := s.newCalendar(acc, a.Email, "")
	cal.data["summary"] = a.Email
	cal.primary = true
	s.tellCalendar(cal)
}

// ServeHTTP answers for every Google host at once; see the package comment.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.tableErr != nil {
		http.Error(w, s.tableErr.Error(), http.StatusInternalServerError)
		return
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/calendar/v3/"); ok {
		s.serveCalendar(w, r, rest)
		return
	}
	switch path {
	case "/.well-known/openid-configuration":
		s.serveOAuth(w, r, "oauth2.discovery", s.discovery)
	case "/oauth2/v3/certs":
		s.serveOAuth(w, r, "oauth2.certs", s.certs)
	case "/token":
		s.serveOAuth(w, r, "oauth2.token", s.token)
	case "/revoke":
		s.serveOAuth(w, r, "oauth2.revoke", s.revoke)
	case "/v1/userinfo":
		s.serveOAuth(w, r, "oauth2.userinfo", s.userinfo)
	case "/o/oauth2/v2/auth":
		s.serveAuthorize(w, r)
	default:
		s.servePage(w, r, path)
	}
}

// now is the stand-in's time, in UTC.
func (s *Server) now() time.Time { return s.opt.Now().UTC() }

// touch records a change of the world and wakes the pages that watch it.
func (s *Server) touch() int64 {
	s.rev++
	s.wake()
	return s.rev
}

func (s *Server) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// watch gives a channel that closes at the next change. It is made by the
// watcher's goroutine, so that in a synctest bubble it belongs to the bubble.
func (s *Server) watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// etag gives a fresh ETag: twice the time in microseconds as Google's, but never
// the same one again while the clock stands.
func (s *Server) etag() int64 {
	s.lastETag = max(s.lastETag+2, s.now().UnixMicro()*2)
	return s.lastETag
}

func (s *Server) random(n int) []byte {
	b := make([]byte, n)
	// ChaCha8's Read never fails.
	_, _ = s.rng.Read(b)
	return b
}

func (s *Server) hex(n int) string { return hex.EncodeToString(s.random(n)) }

func (s *Server) digits(n int) string {
	b := s.random(n)
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	b[0] = '1'
	return string(b)
}

// eventID gives an id such as Google makes: 26 characters of 0-9a-v.
func (s *Server) eventID() string {
	const alphabet = "0123456789abcdefghijklmnopqrstuv"
	b := s.random(26)
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b)
}

func (s *Server) account(emailOrSub string) *account {
	if a := s.accounts[strings.ToLower(strings.TrimSpace(emailOrSub))]; a != nil {
		return a
	}
	for _, a := range s.order {
		if a.Sub == emailOrSub && emailOrSub != "" {
			return a
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
