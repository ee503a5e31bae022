package google

import (
	"html"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Folding is what Google makes of a text that was written: what is stored stays as
// it was sent, and snapshots show that; answers show it folded.
type Folding struct {
	// NFC composes characters, so that й written as и with a breve becomes one.
	NFC bool
	// Blanks makes one blank of a run of white space.
	Blanks bool
	// Trim takes white space off both ends.
	Trim bool
	// AtOnce folds in the write's own answer too, not only in what is read later.
	AtOnce bool
}

func (f Folding) any() bool { return f.NFC || f.Blanks || f.Trim }

func (f Folding) apply(text string) string {
	if f.NFC {
		text = norm.NFC.String(text)
	}
	if f.Blanks {
		text = blanks(text)
	}
	if f.Trim {
		text = strings.TrimSpace(text)
	}
	return text
}

// blanks makes one blank of each run of white space, also at the ends.
func blanks(text string) string {
	var b strings.Builder
	blank := false
	for _, r := range text {
		is := strings.ContainsRune(" \t\n\u00a0", r)
		switch {
		case !is:
			b.WriteRune(r)
		case !blank:
			b.WriteByte(' ')
		}
		blank = is
	}
	return b.String()
}

// folded gives a text as an answer shows it; written says that the answer is that
// of a write.
func (s *Server) folded(text string, written bool) string {
	f := s.opt.Ways.Texts
	if text == "" || !f.any() || written && !f.AtOnce {
		return text
	}
	out := f.apply(text)
	if out != text {
		if f.AtOnce {
			s.meet(wayTextAtOnce)
		} else {
			s.meet(wayTextFolded)
		}
	}
	return out
}

// DescriptionForm is what Google makes of the description of a calendar.
type DescriptionForm struct {
	// Breaks is what becomes of a line break.
	Breaks Breaks
	// Escaped gives & < > and quotation marks as HTML entities.
	Escaped bool
	// Lost gives none at all.
	Lost bool
	// Answers and Lists say where: in those of calendars.insert, get, update and
	// patch; in calendarList and at the head of events.list.
	Answers, Lists bool
}

// Breaks is what becomes of the line breaks of a description.
type Breaks string

// What becomes of line breaks.
const (
	BreaksKept    Breaks = ""
	BreaksToBlank Breaks = "blank"
	BreaksToCRLF  Breaks = "CRLF"
)

func (d DescriptionForm) shows() bool { return d.Answers || d.Lists }

// described gives a calendar's description as an answer, or a list, shows it.
func (s *Server) described(text string, list bool) string {
	d := s.opt.Ways.Descriptions
	if list && !d.Lists || !list && !d.Answers {
		return text
	}
	if d.Lost && text != "" {
		s.meet(wayDescriptionLost)
		return ""
	}
	out := text
	switch d.Breaks {
	case BreaksToBlank:
		out = strings.ReplaceAll(out, "\n", " ")
	case BreaksToCRLF:
		out = strings.ReplaceAll(out, "\n", "\r\n")
	}
	if out != text {
		s.meet(wayDescription)
	}
	if d.Escaped {
		escaped := html.EscapeString(out)
		if escaped != out {
			s.meet(wayEscaped)
		}
		out = escaped
	}
	return out
}

// showCalendar puts what clients wrote into a calendar into an answer.
func (s *Server) showCalendar(cal *calendarState, out obj, list, written bool) {
	for k, v := range cal.data {
		text, _ := v.(string)
		switch k {
		case "summary", "location":
			out[k] = s.folded(text, written)
		case "description":
			out[k] = s.described(text, list)
		case "timeZone":
			out[k] = s.aliased(text)
		default:
			out[k] = v
		}
	}
}
