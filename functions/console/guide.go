package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// guideKept is how long browsers keep the guide without asking again.
const guideKept = "public, max-age=3600"

// guideView is the guide for technicians. There is nobody's data in it, so it needs no
// session and is the same for everybody.
type guideView struct {
	Lang              string
	Languages         []option
	Base, Style, Icon string
	Account, Apple    linked
}

// linked is a text with a link in the middle.
type linked struct{ Before, Shown, Address, After string }

// link makes the link of a text whose place for it was filled with linkMark.
func link(text, shown string) linked {
	before, after, _ := strings.Cut(text, linkMark)
	return linked{Before: before, Shown: shown, Address: "https://" + shown, After: after}
}

const linkMark = "\x00"

// guidePage is one language's page, made once.
type guidePage struct {
	body []byte
	tag  string // its ETag
}

// makeGuides renders the guide in every language. base is the path that all of the
// console's addresses begin with.
func makeGuides(a assets, translations *i18n.Catalogue, base string) (map[string]guidePage, error) {
	guides := map[string]guidePage{}
	for _, l := range i18n.Languages() {
		t := translations.For(l)
		var body bytes.Buffer
		err := a.pages[l].ExecuteTemplate(&body, "page-guide", guideView{
			Lang: l, Languages: languages(l), Base: base, Style: a.address(base, "guide.css"), Icon: a.address(base, "icon.svg"),
			Account: link(t.T("guide.account", "Link", linkMark), "accounts.google.com/signup"),
			Apple:   link(t.T("guide.apple.select", "Link", linkMark), "calendar.google.com/calendar/syncselect"),
		})
		if err != nil {
			return nil, fmt.Errorf("make the guide in %s: %w", l, err)
		}
		sum := sha256.Sum256(body.Bytes())
		guides[l] = guidePage{body: body.Bytes(), tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return guides, nil
}

// address is a file's with its hash, so that browsers may keep it.
func (a assets) address(base, file string) string {
	return base + "/static/" + file + "?v=" + a.hashes[file]
}

// guide serves the guide in the language of its path. It must never ask for a session, the
// store or the ERP: calendars' descriptions link to it.
func (h *handler) guide(w http.ResponseWriter, r *http.Request) {
	g, found := h.guides[r.PathValue("language")]
	if !found {
		h.anyGuide(w, r)
		return
	}
	w.Header().Set("Cache-Control", guideKept)
	w.Header().Set("ETag", g.tag)
	if r.Header.Get("If-None-Match") == g.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(g.body) // a browser that has gone needs no page
}

// anyGuide leads to the guide in the language that the browser asks for.
func (h *handler) anyGuide(w http.ResponseWriter, r *http.Request) {
	h.redirect(w, h.console.URL("/guide/"+i18n.Match(r.Header.Get("Accept-Language")), nil))
}
