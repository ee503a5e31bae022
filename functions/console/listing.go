package console

import (
	"maps"
	"net/url"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

// pageRows is how many rows a list shows at once.
const pageRows = 50

// listing is a list's address: path, and a query that says what of the list is shown, by
// "q", "state", "sort" and "page".
type listing struct {
	path  string
	query url.Values
}

// link is the list with some values of its query changed, given as names and values; a value
// of "" leaves that name out. Whatever changes, the list begins at its first page again.
func (l listing) link(changes ...string) string {
	q := maps.Clone(l.query)
	if q == nil {
		q = url.Values{}
	}
	q.Del("page")
	for i := 0; i+1 < len(changes); i += 2 {
		if q.Del(changes[i]); changes[i+1] != "" {
			q.Set(changes[i], changes[i+1])
		}
	}
	if len(q) == 0 {
		return l.path
	}
	return l.path + "?" + q.Encode()
}

// number is the page asked for, from 1; what is no number means the first.
func (l listing) number() int {
	n, err := strconv.Atoi(l.query.Get("page"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// paged are the rows of the page asked for; the last page where there are fewer.
func paged[T any](l listing, rows []T) []T {
	at := max(0, min(l.number(), (len(rows)+pageRows-1)/pageRows)-1) * pageRows
	return rows[at:min(at+pageRows, len(rows))]
}

// pager leads through the pages of a list; the template "pager" shows it.
type pager struct {
	Text           string // "51–100 of 753"
	Previous, Next string // "" where there is none
}

// pager makes the way through a list of so many rows.
func (l listing) pager(t i18n.Texts, total int) pager {
	if total == 0 {
		return pager{}
	}
	at, last := l.number(), (total+pageRows-1)/pageRows
	at = min(at, last)
	p := pager{Text: t.T("list.range", "From", (at-1)*pageRows+1, "To", min(at*pageRows, total), "Total", total)}
	if at > 1 {
		page := ""
		if at > 2 {
			page = strconv.Itoa(at - 1)
		}
		p.Previous = l.link("page", page)
	}
	if at < last {
		p.Next = l.link("page", strconv.Itoa(at+1))
	}
	return p
}

// chip is a filter with the count of rows that it lets through; the template "chips" shows a
// list of them.
type chip struct {
	Text, Link string
	Count      int
	Level      string // "bad" where the rows need a person, and there are some
	Here       bool
}

// chip makes the filter by a state; "" is that of all rows.
func (l listing) chip(state, text string, count int) chip {
	return chip{Text: text, Link: l.link("state", state), Count: count, Here: l.query.Get("state") == state}
}

// empty is what stands in place of a list without rows; the template "empty" shows it.
type empty struct{ Title, Text, Link, LinkText string }
