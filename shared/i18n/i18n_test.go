package i18n_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

func load(t *testing.T) *i18n.Catalogue {
	t.Helper()
	c, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// forms are CLDR's plural forms of whole numbers, per language.
func forms() map[string][]string {
	return map[string][]string{"en": {"one", "other"}, "uk": {"few", "many", "one", "other"}, "ru": {"few", "many", "one", "other"}}
}

// texts reads the files of a language: every form of every key.
func texts(t *testing.T, lang string) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	names, err := filepath.Glob("texts/*." + lang + ".*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no texts in %s: %v", lang, err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		decode := toml.Unmarshal
		if filepath.Ext(name) == ".json" {
			decode = json.Unmarshal
		}
		var tree map[string]any
		if err := decode(body, &tree); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		flatten(t, out, name, "", tree)
	}
	return out
}

func flatten(t *testing.T, out map[string]map[string]string, file, key string, node any) {
	t.Helper()
	add := func(key string, forms map[string]string) {
		if out[key] != nil {
			t.Errorf("%s: %s stands twice", file, key)
		}
		out[key] = forms
	}
	switch node := node.(type) {
	case string:
		add(key, map[string]string{"": node})
	case map[string]any:
		if _, plural := node["other"]; plural {
			set := map[string]string{}
			for form, text := range node {
				set[form], _ = text.(string)
			}
			add(key, set)
			return
		}
		for name, child := range node {
			flatten(t, out, file, strings.TrimPrefix(key+"."+name, "."), child)
		}
	default:
		t.Errorf("%s: %s is neither a text nor a table", file, key)
	}
}

var value = regexp.MustCompile(`\{\{[^}]*\}\}`)

// TestEveryTextInEveryLanguage: no key is missing, no plural form, and no value that the
// English text fills in.
func TestEveryTextInEveryLanguage(t *testing.T) {
	english := texts(t, "en")
	for lang, needed := range forms() {
		have := texts(t, lang)
		for key := range have {
			if english[key] == nil {
				t.Errorf("%s has %s, English has not", lang, key)
			}
		}
		for key, en := range english {
			got := have[key]
			if got == nil {
				t.Errorf("%s lacks %s", lang, key)
				continue
			}
			if _, single := en[""]; single {
				if w, g := values(en[""]), values(got[""]); !slices.Equal(w, g) {
					t.Errorf("%s: %s fills in %v, English %v", lang, key, g, w)
				}
				continue
			}
			if g := slices.Sorted(maps.Keys(got)); !slices.Equal(g, needed) {
				t.Errorf("%s: %s has the forms %v, wanted %v", lang, key, g, needed)
			}
		}
	}
}

func values(text string) []string {
	found := value.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// TestNoTextIsEnglishByAccident: Ukrainian and Russian texts are written in their own letters.
func TestNoTextIsEnglishByAccident(t *testing.T) {
	cyrillic, foreign := regexp.MustCompile(`[а-яіїєґ]`), map[string]*regexp.Regexp{"uk": regexp.MustCompile(`[ыэъё]`), "ru": regexp.MustCompile(`[іїєґ]`)}
	word := regexp.MustCompile(`[a-z]{2,}`)
	for lang, other := range foreign {
		for key, forms := range texts(t, lang) {
			for _, text := range forms {
				plain := strings.ToLower(value.ReplaceAllString(text, ""))
				if word.MatchString(plain) && !cyrillic.MatchString(plain) {
					t.Errorf("%s: %s is %q", lang, key, text)
				}
				if found := other.FindString(plain); found != "" {
					t.Errorf("%s: %s has %q, a letter of another language: %q", lang, key, found, text)
				}
			}
		}
	}
}

// TestEveryKeyIsUsedAndExists: pages and code name only keys that exist, and no text is left over.
// A key that ends with a dot in the code is the beginning of keys made from what others report.
func TestEveryKeyIsUsedAndExists(t *testing.T) {
	english := texts(t, "en")
	call := regexp.MustCompile(`(?:\.(?:T|N|Has)\(|[{( ](?:t|n) )"([a-z0-9_.-]+)"`)
	used, starts := map[string]bool{}, map[string]bool{}
	for _, root := range []string{"../../functions", "../../shared", "../../scripts"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if ext := filepath.Ext(path); ext != ".go" && ext != ".html" {
				return nil
			}
			body, err := os.ReadFile(path)
			for _, m := range call.FindAllStringSubmatch(string(body), -1) {
				key := m[1]
				switch {
				case !strings.Contains(key, "."): // no text: a key has its area in front
				case strings.HasSuffix(key, "."):
					starts[key] = true
				case english[key] == nil:
					t.Errorf("%s names %s, which does not exist", path, key)
				default:
					used[key] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range alarmTexts(t) {
		used[key] = true
	}
	for key := range english {
		begun := slices.ContainsFunc(slices.Collect(maps.Keys(starts)), func(s string) bool { return strings.HasPrefix(key, s) })
		if !used[key] && !begun {
			t.Errorf("nothing says %s", key)
		}
	}
}

// alarmTexts are the keys of what the mails of Terraform's alerts say; that each alert has
// them and none is without one is terraform/tests/alerts.tftest.hcl's to see.
func alarmTexts(t *testing.T) []string {
	t.Helper()
	alerts, err := os.ReadFile("../../terraform/alerts.tf")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range texts(t, "en") {
		area, name, _ := strings.Cut(key, ".")
		alarm, _, _ := strings.Cut(name, ".")
		if area == "alarm-mail" && strings.Contains(string(alerts), "alarm-mail."+name) ||
			area == "alarm" && regexp.MustCompile(`\b`+alarm+`\b`).Match(alerts) {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestAlarmMailsAreAsGoogleTakesThem: Cloud Monitoring cuts a mail's subject at 255 bytes and
// takes 8 KiB of text, and expands ${…} in both.
func TestAlarmMailsAreAsGoogleTakesThem(t *testing.T) {
	for lang := range forms() {
		all := texts(t, lang)
		for _, key := range alarmTexts(t) {
			text := all[key][""]
			if strings.HasSuffix(key, ".title") && (len("erp-calendar: "+text) > 255 || strings.HasSuffix(text, ".")) {
				t.Errorf("%s: %s is no subject: %q", lang, key, text)
			}
			if len(text) > 2048 || strings.ContainsAny(text, "$*`[]<>") {
				t.Errorf("%s: %s has a sign that Monitoring reads as more than text, or is long: %q", lang, key, text)
			}
		}
	}
}

func TestPlurals(t *testing.T) {
	c := load(t)
	for _, row := range []struct {
		lang string
		n    int
		want string
	}{
		{"en", 1, "1 task"}, {"en", 12, "12 tasks"},
		{"uk", 1, "1 задача"}, {"uk", 3, "3 задачі"}, {"uk", 12, "12 задач"}, {"uk", 21, "21 задача"}, {"uk", 0, "0 задач"},
		{"ru", 1, "1 задача"}, {"ru", 3, "3 задачи"}, {"ru", 12, "12 задач"}, {"ru", 22, "22 задачи"},
		{"xx", 2, "2 tasks"},
	} {
		if got := c.For(row.lang).N("count.tasks", row.n); got != row.want {
			t.Errorf("%s %d: %q, wanted %q", row.lang, row.n, got, row.want)
		}
	}
}

func TestMatch(t *testing.T) {
	for header, want := range map[string]string{"": "en", "uk-UA,uk;q=0.9,en;q=0.8": "uk", "ru": "ru", "de-DE,de": "en", "be,ru;q=0.8": "ru", ";;": "en"} {
		if got := i18n.Match(header); got != want {
			t.Errorf("%q: %s, wanted %s", header, got, want)
		}
	}
}

func TestHas(t *testing.T) {
	c := load(t)
	if !c.For("uk").Has("count.tasks") || !c.For("en").Has("frame.overview") || c.For("uk").Has("count.no-such-thing") {
		t.Error("Has does not tell what exists")
	}
	if got := c.For("ru").T("count.no-such-thing"); got != "count.no-such-thing" {
		t.Errorf("an unknown key gives %q", got)
	}
}
