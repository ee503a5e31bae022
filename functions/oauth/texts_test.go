package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// Every refusal says in every language what it is, why, and what to do.
func TestEveryRefusalSpeaksEveryLanguage(t *testing.T) {
	texts, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, m := range regexp.MustCompile(`(?:text: |text = |text = code, |text = http\.\w+, |r\.values = )"([a-z-]*[a-z])"`).FindAllStringSubmatch(string(source), -1) {
			keys = append(keys, m[1])
		}
		for _, m := range regexp.MustCompile(`startAgain\("[^"]+", "([a-z-]+)"\)`).FindAllStringSubmatch(string(source), -1) {
			keys = append(keys, "again-"+m[1])
		}
		for _, key := range keys {
			found++
			for _, l := range i18n.Languages() {
				for _, part := range []string{".title", ".cause", ".cures"} {
					if !texts.For(l).Has("oauth." + key + part) {
						t.Errorf("%s: %s lacks oauth.%s%s", file, l, key, part)
					}
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("%d refusals found", found)
	}
}

// A page of a refusal is in the language that the browser asks for.
func TestARefusalIsInTheBrowsersLanguage(t *testing.T) {
	w := newWorld(t)
	for header, want := range map[string]string{"uk-UA,uk;q=0.9": "Такої сторінки немає", "ru": "Такой страницы нет", "de": "There is no such page"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, oauthURL+"/nowhere", nil)
		r.Header.Set("Accept-Language", header)
		rec := httptest.NewRecorder()
		w.site.ServeHTTP(rec, r)
		body := rec.Body.String()
		if !strings.Contains(body, want) || !strings.Contains(body, `<html lang="`+i18n.Match(header)+`">`) {
			t.Errorf("%s: the page lacks %q", header, want)
		}
	}
}
