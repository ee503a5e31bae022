// Package i18n has every text that a person reads, in English, Ukrainian and Russian: of the
// console and the guide, of calendars and events, of reasons and cures. A text is a message of
// go-i18n under texts/<area>.<language>.toml; those of alerts' mails are beside them in JSON,
// which is what Terraform reads (terraform/alerts.tf), and are in no function. The package must
// never decide what to say, only how it is said.
package i18n

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// Default is the language of whoever chose none.
const Default = "en"

//go:embed texts/*.toml
var files embed.FS

// Languages lists the languages that every text exists in, the default first.
func Languages() []string { return []string{Default, "uk", "ru"} }

// Catalogue is all texts; it does not change once it is loaded.
type Catalogue struct{ texts map[string]Texts }

// loaded reads the texts when they are first asked for, once a process: half a megabyte is to be parsed,
// it never changes, and the tests start thousands of instances.
var loaded = sync.OnceValues(read)

// Load gives the embedded texts. An error means that a file is malformed.
func Load() (*Catalogue, error) { return loaded() }

func read() (*Catalogue, error) {
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	names, err := fs.Glob(files, "texts/*.toml")
	if err != nil {
		return nil, fmt.Errorf("list the texts: %w", err)
	}
	for _, name := range names {
		if _, err := bundle.LoadMessageFileFS(files, name); err != nil {
			return nil, fmt.Errorf("read the texts of %s: %w", name, err)
		}
	}
	c := &Catalogue{texts: map[string]Texts{}}
	for _, l := range Languages() {
		c.texts[l] = Texts{Language: l, localizer: i18n.NewLocalizer(bundle, l)}
	}
	return c, nil
}

// For gives the texts in a language of Languages, and the default's for any other.
func (c *Catalogue) For(lang string) Texts {
	if t, found := c.texts[lang]; found {
		return t
	}
	return c.texts[Default]
}

// Match gives the language of Languages that suits an Accept-Language header best.
func Match(header string) string {
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(wanted) == 0 {
		return Default
	}
	var have []language.Tag
	for _, l := range Languages() {
		have = append(have, language.Make(l))
	}
	_, index, _ := language.NewMatcher(have).Match(wanted...)
	return Languages()[index]
}

// Texts are the texts in one language.
type Texts struct {
	Language  string
	localizer *i18n.Localizer
}

// T gives a text by its key. Values are names and values in turn: T("people.found", "Query", q)
// fills in {{.Query}}. A value of type int is a count, and is written as Figure does; a number
// that only names something, as an id does, is an int64 or a string. A key that does not exist is
// shown as it is: no test lets it go so far.
func (t Texts) T(key string, values ...any) string {
	return t.localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: t.pairs(values)})
}

// N gives a text in the plural form of a count, which it knows as {{.N}}.
func (t Texts) N(key string, count int, values ...any) string {
	data := t.pairs(values)
	data["N"] = t.Figure(count)
	return t.localize(&i18n.LocalizeConfig{MessageID: key, PluralCount: count, TemplateData: data})
}

// Has reports whether a key exists in this language, for keys that are made from what others
// report: a reason, a kind of drift.
func (t Texts) Has(key string) bool {
	_, tag, err := t.localizer.LocalizeWithTag(&i18n.LocalizeConfig{MessageID: key, TemplateData: map[string]any{"N": 1}})
	return err == nil && tag.String() == t.Language
}

func (t Texts) localize(c *i18n.LocalizeConfig) string {
	text, err := t.localizer.Localize(c)
	if err != nil && text == "" {
		return c.MessageID
	}
	return text
}

func (t Texts) pairs(values []any) map[string]any {
	data := map[string]any{}
	for i := 0; i+1 < len(values); i += 2 {
		name, ok := values[i].(string)
		if !ok {
			continue
		}
		data[name] = values[i+1]
		if count, ok := values[i+1].(int); ok {
			data[name] = t.Figure(count)
		}
	}
	return data
}

// Figure writes a count with its thousands apart, as the language does.
func (t Texts) Figure(count int) string {
	apart := "\u00a0"
	if t.Language == Default {
		apart = ","
	}
	digits, sign := strconv.Itoa(count), ""
	if count < 0 {
		digits, sign = digits[1:], "-"
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + apart + digits[at:]
	}
	return sign + digits
}

// Age puts a duration into words, rounded down.
func (t Texts) Age(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())
	switch {
	case d < time.Minute:
		return t.T("time.seconds", "S", max(0, int(d.Seconds())))
	case d < time.Hour:
		return t.T("time.minutes", "M", minutes)
	case d < 10*time.Hour && minutes%60 > 0:
		return t.T("time.hours-minutes", "H", hours, "M", minutes%60)
	case d < 48*time.Hour:
		return t.T("time.hours", "H", hours)
	default:
		return t.N("time.days", hours/24)
	}
}
