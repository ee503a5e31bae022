package google

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

// marker is what page and sync tokens carry; clients see it as opaque.
type marker struct {
	Kind  string `json:"k"` // "page" or "sync"
	List  string `json:"l"` // list and its owner
	Hash  string `json:"h,omitempty"`
	Key   string `json:"a,omitempty"` // page: last item given
	N     int64  `json:"n,omitempty"`
	Rev   int64  `json:"r"`           // world's revision when the listing began
	Since int64  `json:"s,omitempty"` // page of a sync: changes after this
	Sync  bool   `json:"y,omitempty"`
	At    int64  `json:"t"` // Unix s
	Min   string `json:"i,omitempty"`
	Max   string `json:"x,omitempty"`
}

func (m marker) encode() string {
	b, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeMarker(s string) (marker, bool) {
	var m marker
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(b, &m) != nil {
		return m, false
	}
	return m, true
}

type pageItem struct {
	key    string
	n      int64
	render func() obj
}

// pager cuts a listing into pages and hands out page and sync tokens. An item's
// place is (key, n): pages stay right while the world changes between them.
type pager struct {
	c       *call
	list    string
	hash    string
	size    int
	syncing bool
	since   int64
	after   *marker
	rev     int64
	noSync  bool
	min     string
	max     string
	items   []pageItem
}

func fullSync() *apiError {
	return errorf(http.StatusGone, "fullSyncRequired", "Sync token is no longer valid, a full sync is required.")
}

// openPage reads pageToken and syncToken. incompatible are the parameters that
// must not come with a sync token; the list's own query keeps their effect.
func (c *call) openPage(kind, owner string, def, ceiling int, incompatible []string) (*pager, *apiError) {
	p := &pager{c: c, list: kind + "/" + owner, size: c.maxResults(def, ceiling), rev: c.s.rev, hash: queryHash(c.query)}
	for _, name := range incompatible {
		if c.query.Has(name) {
			p.noSync = true
		}
	}
	if tok := c.query.Get("syncToken"); tok != "" {
		if p.noSync {
			return nil, invalidf("badRequest", "Sync token cannot be used with other query restrictions.")
		}
		m, ok := decodeMarker(tok)
		if !ok || m.Kind != "sync" || m.List != p.list {
			return nil, invalidf("invalid", "Invalid sync token value.")
		}
		if c.now.Sub(time.Unix(m.At, 0)) > c.s.opt.SyncTokenLifetime || m.Rev < c.s.syncFrom {
			return nil, fullSync()
		}
		p.syncing, p.since, p.min, p.max = true, m.Rev, m.Min, m.Max
	}
	if tok := c.query.Get("pageToken"); tok != "" {
		m, ok := decodeMarker(tok)
		if !ok || m.Kind != "page" || m.List != p.list || m.Hash != p.hash {
			return nil, invalidf("invalid", "Invalid page token value.")
		}
		p.after, p.rev = &m, m.Rev
		if m.Sync {
			p.syncing, p.since, p.min, p.max = true, m.Since, m.Min, m.Max
		}
	}
	return p, nil
}

// queryHash reports whether two requests ask the same but for the page.
func queryHash(q url.Values) string {
	var parts []string
	for k, v := range q {
		switch k {
		case "pageToken", "maxResults", "fields", "alt", "prettyPrint", "quotaUser", "userIp", "key", "oauth_token":
			continue
		}
		v = slices.Clone(v)
		sort.Strings(v)
		parts = append(parts, k+"="+strings.Join(v, "\x00"))
	}
	sort.Strings(parts)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x01")))
	return hex.EncodeToString(sum[:6])
}

func (p *pager) add(key string, n int64, render func() obj) {
	if p.after != nil && (key < p.after.Key || key == p.after.Key && n <= p.after.N) {
		return
	}
	p.items = append(p.items, pageItem{key, n, render})
}

// close writes items and the token for what comes next into out.
func (p *pager) close(out obj) {
	sort.SliceStable(p.items, func(i, j int) bool {
		a, b := p.items[i], p.items[j]
		return a.key < b.key || a.key == b.key && a.n < b.n
	})
	size := p.size
	if len(p.items) == 0 {
		size = 0
	}
	list := make([]any, 0, min(size, len(p.items)))
	for _, it := range p.items[:min(size, len(p.items))] {
		list = append(list, it.render())
	}
	out["items"] = list
	m := marker{Kind: "page", List: p.list, Hash: p.hash, Rev: p.rev, Since: p.since, Sync: p.syncing, At: p.c.now.Unix(), Min: p.min, Max: p.max}
	if len(p.items) > len(list) {
		if n := len(list); n > 0 {
			m.Key, m.N = p.items[n-1].key, p.items[n-1].n
		} else if p.after != nil {
			m.Key, m.N = p.after.Key, p.after.N
		} else {
			m.N = -1
		}
		out["nextPageToken"] = m.encode()
		return
	}
	if !p.noSync {
		// The revision of the first page: what changed while paging comes again.
		out["nextSyncToken"] = marker{Kind: "sync", List: p.list, Rev: p.rev, At: p.c.now.Unix(), Min: p.min, Max: p.max}.encode()
	}
}

// ExpireSyncTokens makes every sync token given out so far answer 410.
func (s *Server) ExpireSyncTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rev++
	s.syncFrom = s.rev
}
