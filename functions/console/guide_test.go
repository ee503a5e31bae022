package console_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

// The guide is for whoever has its address: it needs no session, and there is nothing in it
// that is anybody's.
func TestTheGuideNeedsNoSession(t *testing.T) {
	w := newWorld(t)
	w.populate()
	for lang, says := range map[string]string{"en": "Whom to ask", "uk": "Кого питати", "ru": "Кого спрашивать"} {
		b := w.browser()
		p := b.get("/guide/" + lang)
		if p.status != http.StatusOK || p.at.Path != "/console/guide/"+lang || !strings.Contains(p.body, says) || !strings.Contains(p.body, `<html lang="`+lang+`"`) {
			t.Fatalf("%s: %d at %s:\n%s", lang, p.status, p.at, p.body)
		}
		for _, other := range i18n.Languages() {
			if !strings.Contains(p.body, `href="/console/guide/`+other+`"`) {
				t.Errorf("the guide in %s does not lead to that in %s", lang, other)
			}
		}
		for _, private := range []string{admin, integration, "erp.example", "Olena Kovalenko"} {
			if strings.Contains(p.body, private) {
				t.Errorf("the guide in %s says %q", lang, private)
			}
		}
		if got := p.header.Get("Cache-Control"); got != "public, max-age=3600" {
			t.Errorf("the guide's Cache-Control is %q", got)
		}
		if got := p.header.Values("Set-Cookie"); got != nil {
			t.Errorf("the guide sets %q", got)
		}
		again := b.request(http.MethodGet, "/guide/"+lang, nil)
		again.Header.Set("If-None-Match", p.header.Get("ETag"))
		if p := b.do(again); p.status != http.StatusNotModified || p.body != "" {
			t.Errorf("asked for again, the guide is answered %d", p.status)
		}
	}
}

func TestTheGuideIsFoundInTheBrowsersLanguage(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{"/guide": "/console/guide/uk", "/guide/de": "/console/guide/uk"} {
		b := w.browser()
		r := b.request(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", "uk-UA,uk;q=0.9,en;q=0.8")
		if p := b.do(r); p.status != http.StatusOK || p.at.Path != want {
			t.Errorf("%s: %d at %s", path, p.status, p.at.Path)
		}
	}
}

var pdfPage = regexp.MustCompile(`/Type\s*/Page\b[^s]`)

// It is hung up in offices: each language fits on one sheet of paper, and anybody can use it
// on a screen.
func TestEverybodyCanUseTheGuide(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, w := inBrowser(t)
	for _, lang := range i18n.Languages() {
		do(ctx, t, lang, chromedp.Navigate(w.base+"/console/guide/"+lang), chromedp.WaitVisible(chromedp.CSS("#ask")))
		evaluate[string](ctx, t, string(axe)+`;""`)
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{testenv.Desktop, testenv.Phone} {
				do(ctx, t, theme, inTheme(theme))
				testenv.Screenshot(ctx, t, "guide-"+lang+"-"+theme, width)
				for _, found := range findings(ctx, t) {
					t.Errorf("%s %s %d: %s", lang, theme, width, found)
				}
			}
		}
		pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize(), chromedp.PDFPrintBackground()))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(pdfPage.FindAll(pdf, -1)); n != 1 {
			t.Errorf("the guide in %s is printed on %d pages", lang, n)
		}
	}
}
