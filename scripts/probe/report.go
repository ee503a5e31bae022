package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// verdict is how the product does with an answer.
type verdict string

const (
	right verdict = "right"
	wrong verdict = "wrong"
	// open: not asked, or not to be seen with one account and what was given.
	open verdict = "open"
	// failed: it was asked, and something kept the answer from being found.
	failed verdict = "failed"
)

// finding is a question with its answer.
type finding struct {
	ID       string `json:"id"`
	Row      string `json:"row"`
	Question string `json:"question"`
	// Answer is one of the words of product.go, "" where there is none.
	Answer string `json:"answer,omitempty"`
	// Detail is what was seen, or why nothing was.
	Detail  string `json:"detail,omitempty"`
	StandIn string `json:"stand_in"`
	// Product is right, wrong, open or failed; Does is what it does about the answer,
	// Harm what it does wrong.
	Product verdict `json:"product"`
	Does    string  `json:"does,omitempty"`
	Harm    string  `json:"harm,omitempty"`
}

// report is everything that was found; its JSON is what -json prints.
type report struct {
	// Probe is the version of this form.
	Probe int       `json:"probe"`
	At    time.Time `json:"at"`
	// OK: every answer that was found is one with which the product is right, and
	// nothing failed.
	OK       bool            `json:"ok"`
	Counts   map[verdict]int `json:"counts"`
	Calls    int             `json:"calls"`
	Findings []finding       `json:"findings"`
	// LeftBehind names what the probe made and could not remove.
	LeftBehind []string `json:"left_behind"`
}

// answer records what was found out about a question.
func (p *probe) answer(id, word, format string, args ...any) {
	f := p.finding(id)
	f.Answer, f.Detail = word, fmt.Sprintf(format, args...)
	for _, q := range p.questions {
		if q.id != id {
			continue
		}
		made, known := q.answers[word]
		switch {
		case !known && !q.others:
			f.Product, f.Does, f.Harm = wrong, "", "nobody thought of this answer"
		case made.harm != "":
			f.Product, f.Does, f.Harm = wrong, "", made.harm
		default:
			f.Product, f.Does, f.Harm = right, made.does, ""
		}
	}
}

// cannot records why a question stays open.
func (p *probe) cannot(id, format string, args ...any) {
	f := p.finding(id)
	f.Product, f.Detail = open, fmt.Sprintf(format, args...)
}

// fails records what kept the answers to questions from being found, where there are
// none yet.
func (p *probe) fails(err error, ids ...string) {
	for _, id := range ids {
		if f := p.finding(id); f.Answer == "" && f.Product != open {
			f.Product, f.Detail = failed, err.Error()
		}
	}
}

func (p *probe) finding(id string) *finding {
	i := slices.IndexFunc(p.findings, func(f finding) bool { return f.ID == id })
	if i < 0 {
		// Only an id that product.go lacks, which the tests would show.
		p.findings = append(p.findings, finding{ID: id})
		i = len(p.findings) - 1
	}
	return &p.findings[i]
}

func (r *report) count() {
	r.Counts = map[verdict]int{right: 0, wrong: 0, open: 0, failed: 0}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Detail = printable(f.Detail)
		r.Counts[f.Product]++
	}
	r.OK = r.Counts[wrong] == 0 && r.Counts[failed] == 0 && len(r.LeftBehind) == 0
}

// status is the exit status.
func (r *report) status() int {
	switch {
	case r.Counts[wrong] > 0:
		return 1
	case !r.OK:
		return 2
	}
	return 0
}

func (r *report) forMachines(w io.Writer, _ bool) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// forPeople writes each question with its answer beside what the stand-in says.
func (r *report) forPeople(out io.Writer, terminal bool) error {
	w := bufio.NewWriter(out)
	for _, f := range r.Findings {
		word, color := f.word()
		_, _ = fmt.Fprintf(w, "%-4s %s %s\n", f.Row, emphasis(fmt.Sprintf("%-9s", word), color, terminal), f.Question)
		indent := strings.Repeat(" ", 15)
		if f.Answer != "" {
			same := "as the stand-in"
			if f.Answer != f.StandIn {
				same = "the stand-in: " + f.StandIn
			}
			_, _ = fmt.Fprintf(w, "%s%s (%s)\n", indent, f.Answer, same)
		}
		for _, line := range []string{f.Detail, f.Does, f.Harm} {
			if line != "" {
				_, _ = io.WriteString(w, wrapped(line, indent))
			}
		}
	}
	_, _ = fmt.Fprintf(w, "\n%d right, %d wrong, %d open, %d not found out; %d calls.\n", r.Counts[right], r.Counts[wrong], r.Counts[open], r.Counts[failed], r.Calls)
	if len(r.LeftBehind) == 0 {
		_, _ = fmt.Fprintln(w, "What the probe made is removed.")
	}
	for _, what := range r.LeftBehind {
		_, _ = fmt.Fprintf(w, "Left behind, to be removed by hand: %s\n", what)
	}
	return w.Flush()
}

func (f finding) word() (word, color string) {
	switch f.Product {
	case right:
		return "right", "32"
	case wrong:
		return "WRONG", "31;1"
	case failed:
		return "not found", "33"
	default:
		return "open", "2"
	}
}

func emphasis(s, color string, terminal bool) string {
	if !terminal {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

const lineWidth = 100

// wrapped breaks a sentence at lineWidth.
func wrapped(text, indent string) string {
	var b strings.Builder
	at := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
			b.WriteString(indent)
			at = len(indent)
		case at+1+n > lineWidth:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
	return b.String()
}

// printable takes out of what Google says whatever would steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
