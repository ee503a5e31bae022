package userside

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// plainText makes text of what the ERP stores as HTML-escaped text with some
// tags in it (shared/userside/README.md): tags dropped, line breaks kept, entities decoded,
// control characters removed, trimmed.
//
// Entities are decoded twice, because texts that were escaped both when stored and when
// shown are common, and people who mean the five characters "&amp;" are not. A third
// round would change what a person really wrote. Tags are dropped in the first round
// only: what becomes a tag in the second was typed by a person ("if x<y and z>5"), so
// only line breaks count there. The result is text, not HTML: whoever shows it as HTML
// escapes it.
func plainText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.ContainsAny(s, "<&") {
		s = dropTags(s)
	}
	if strings.ContainsAny(s, "<&") {
		s = lateBreak.ReplaceAllString(html.UnescapeString(s), "\n")
	}
	return tidy(s)
}

// plainLine is plainText on one line, for names and addresses.
func plainLine(s string) string { return strings.Join(strings.Fields(plainText(s)), " ") }

// lateBreak is a line break that was escaped as text, with the newline that PHP's nl2br
// writes after it.
var lateBreak = regexp.MustCompile(`(?i)<br\s*/?>(\r?\n)?|</?(p|div)>`)

// hidden are the elements whose content is no text.
var hidden = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Iframe: true, atom.Noembed: true, atom.Noframes: true, atom.Noscript: true,
}

// block are the elements that begin and end a line.
var block = map[atom.Atom]bool{
	atom.P: true, atom.Div: true, atom.Li: true, atom.Ul: true, atom.Ol: true, atom.Tr: true, atom.Table: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true,
	atom.Blockquote: true, atom.Pre: true, atom.Hr: true, atom.Section: true, atom.Article: true,
	atom.Dl: true, atom.Dt: true, atom.Dd: true,
}

// dropTags tokenizes: text with entities decoded once, breaks as newlines.
func dropTags(s string) string {
	var out strings.Builder
	var skip atom.Atom // inside this hidden element
	afterBreak := false
	line := func() {
		if t := out.String(); t != "" && !strings.HasSuffix(t, "\n") {
			out.WriteByte('\n')
		}
	}
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return out.String()
		}
		tok := z.Token()
		switch kind {
		case html.TextToken:
			if skip != 0 {
				continue
			}
			if afterBreak { // nl2br's "<br />\n" is one line break
				tok.Data = strings.TrimPrefix(strings.TrimPrefix(tok.Data, "\r"), "\n")
			}
			afterBreak = false
			out.WriteString(tok.Data)
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			afterBreak = false
			switch {
			case hidden[tok.DataAtom]:
				// The tokenizer reads these as raw text up to their end tag, even where
				// the start tag pretends to close itself.
				skip = tok.DataAtom
				if kind == html.EndTagToken {
					skip = 0
				}
			case tok.DataAtom == atom.Br:
				out.WriteByte('\n')
				afterBreak = true
			case block[tok.DataAtom]:
				line()
			}
		}
	}
}

// tidy removes control characters, spaces at the ends of lines and more than one
// empty line in a row.
func tidy(s string) string {
	if strings.ContainsAny(s, "\r\u2028\u2029") {
		// A replacer builds its tables anew at each call, and hardly any text needs one.
		s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(s)
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t', r == '\u00A0':
			return ' '
		case unicode.IsControl(r), r == '\uFEFF',
			// Marks that turn the direction of what follows, event and calendar included.
			r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSpace(line)
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}
