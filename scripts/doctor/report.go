package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// report is all findings; its JSON is what -json prints.
type report struct {
	// Doctor is the version of this form.
	Doctor int       `json:"doctor"`
	At     time.Time `json:"at"`
	// OK: there is no fault.
	OK bool `json:"ok"`
	// RedirectURI is what must be registered at the OAuth client, "" if unknown.
	RedirectURI string    `json:"redirect_uri"`
	Counts      counts    `json:"counts"`
	Checks      []finding `json:"checks"`
}

type counts struct {
	OK         int `json:"ok"`
	Warning    int `json:"warning"`
	Fault      int `json:"fault"`
	NotChecked int `json:"not_checked"`
}

func (r *report) count() {
	r.Counts = counts{}
	for i := range r.Checks {
		clean(&r.Checks[i])
		switch r.Checks[i].State {
		case isOK:
			r.Counts.OK++
		case warning:
			r.Counts.Warning++
		case fault:
			r.Counts.Fault++
		default:
			r.Counts.NotChecked++
		}
	}
	r.OK = r.Counts.Fault == 0
}

// clean takes out of what the ERP's catalogue says whatever would steer a terminal.
func clean(f *finding) {
	f.Text, f.Cure = printable(f.Text), printable(f.Cure)
	for i, line := range f.Details {
		f.Details[i] = printable(line)
	}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || !unicode.IsPrint(r) && !unicode.IsSpace(r)) {
			return -1
		}
		return r
	}, s)
}

func (r *report) forMachines(w io.Writer, _ bool) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

const (
	lineWidth = 100
	// textColumn is where sentences begin: two spaces, the state's word, the title.
	stateWidth, titleWidth = 11, 22
	textColumn             = 2 + stateWidth + 1 + titleWidth + 1
)

// forPeople writes the findings by group, then what has to be done first.
func (r *report) forPeople(out io.Writer, terminal bool) error {
	w := bufio.NewWriter(out)
	group := ""
	for _, f := range r.Checks {
		if f.Group != group {
			if group != "" {
				_, _ = fmt.Fprintln(w)
			}
			group = f.Group
			_, _ = fmt.Fprintln(w, emphasis(group, "1", terminal))
		}
		word, color := word(f.State)
		_, _ = fmt.Fprintf(w, "  %s %s ", emphasis(padded(word, stateWidth), color, terminal), padded(f.Title, titleWidth))
		wrapped(w, f.Text, textColumn, textColumn)
		for _, line := range f.Details {
			_, _ = fmt.Fprint(w, strings.Repeat(" ", textColumn)+"· ")
			wrapped(w, line, textColumn+2, textColumn+2)
		}
		if f.Cure != "" {
			for line := range strings.SplitSeq(f.Cure, "\n") {
				_, _ = fmt.Fprint(w, strings.Repeat(" ", textColumn)+"→ ")
				wrapped(w, line, textColumn+2, textColumn+2)
			}
		}
	}
	_, _ = fmt.Fprintf(w, "\n%s\n", r.summary())
	return w.Flush()
}

func (r *report) summary() string {
	parts := []string{plural(r.Counts.OK, "check", "checks") + " ok"}
	for _, p := range []struct {
		n         int
		one, many string
	}{{r.Counts.Warning, "warning", "warnings"}, {r.Counts.Fault, "fault", "faults"}} {
		if p.n > 0 {
			parts = append(parts, plural(p.n, p.one, p.many))
		}
	}
	if r.Counts.NotChecked > 0 {
		parts = append(parts, fmt.Sprintf("%d not checked", r.Counts.NotChecked))
	}
	text := strings.Join(parts, ", ") + "."
	for _, f := range r.Checks {
		if f.State == fault {
			return text + "\nBegin with “" + f.Title + "” (" + f.Group + "): what comes after it may be its consequence."
		}
	}
	return text + " Nothing was changed."
}

func word(s state) (word, color string) {
	switch s {
	case isOK:
		return "ok", "32"
	case warning:
		return "warning", "33"
	case fault:
		return "FAULT", "31;1"
	default:
		return "not checked", "2"
	}
}

func emphasis(s, color string, terminal bool) string {
	if !terminal {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// wrapped writes words from column at on, breaking at lineWidth with an indent. A
// word that is longer, a URL, is not broken, so that it can be copied.
func wrapped(w io.Writer, text string, at, indent int) {
	first := true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case first:
		case at+1+n > lineWidth:
			_, _ = io.WriteString(w, "\n"+strings.Repeat(" ", indent))
			at = indent
		default:
			_, _ = io.WriteString(w, " ")
			at++
		}
		_, _ = io.WriteString(w, word)
		at += n
		first = false
	}
	_, _ = io.WriteString(w, "\n")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
