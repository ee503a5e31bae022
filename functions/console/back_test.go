package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestAnActionComesBackToWhereItWasSent: to the page with its filters, and nowhere else.
func TestAnActionComesBackToWhereItWasSent(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn().stay()
	for _, row := range []struct{ back, want string }{
		{"", "/?queued=all"},
		{"/settings", "/settings?queued=all"},
		{"/people?q=O'Neil&page=3", "/people?page=3&q=O%27Neil&queued=all"},
		{"/people?queued=task&id=7&connected=1&state=error", "/people?queued=all&state=error"},
		{"/#employee-42", "/?queued=all#employee-42"},
		{"//evil.example/", "/?queued=all"},
		{"https://evil.example/", "/?queued=all"},
		{"/\\evil.example", "/?queued=all"},
		{"/..//evil.example", "/?queued=all"},
		{"/%2f%2fevil.example", "/?queued=all"},
		{"javascript:alert(1)", "/?queued=all"},
		{"/people\r\nX: y", "/?queued=all"},
	} {
		p := b.post("/run", url.Values{"back": {row.back}})
		if at := p.header.Get("Location"); p.status != http.StatusSeeOther || at != w.base+"/console"+row.want {
			t.Errorf("%q: %d to %q, want %q", row.back, p.status, at, row.want)
		}
	}
}

// TestThePageRemembersItsFilters: choosing a language keeps the query, and not what was said once.
func TestThePageRemembersItsFilters(t *testing.T) {
	w := newWorld(t)
	b := w.signedIn()
	if body := b.get("/?state=error&queued=all").body; !strings.Contains(body, `name="back" value="/?state=error"`) || !strings.Contains(body, "A check of all calendars is queued.") {
		t.Errorf("the page does not name itself:\n%.900s", body)
	}
	if p := b.post("/language", url.Values{"to": {"uk"}, "back": {"/settings?state=error"}}); p.at.RequestURI() != "/console/settings?state=error" || !strings.Contains(p.body, `lang="uk"`) {
		t.Errorf("choosing a language ends at %s", p.at)
	}
}
