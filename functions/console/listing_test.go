package console

import (
	"net/url"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
)

func TestPager(t *testing.T) {
	catalogue, err := i18n.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		query string
		total int
		want  pager
	}{
		{"", 0, pager{}},
		{"", 50, pager{Text: "1–50 of 50"}},
		{"q=a", 51, pager{Text: "1–50 of 51", Next: "/people?page=2&q=a"}},
		{"q=a&page=2", 753, pager{Text: "51–100 of 753", Previous: "/people?q=a", Next: "/people?page=3&q=a"}},
		{"page=3", 101, pager{Text: "101–101 of 101", Previous: "/people?page=2"}},
		{"page=99", 60, pager{Text: "51–60 of 60", Previous: "/people"}},
		{"page=-1", 60, pager{Text: "1–50 of 60", Next: "/people?page=2"}},
	} {
		q, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := (listing{"/people", q}).pager(catalogue.For("en"), row.total); got != row.want {
			t.Errorf("%q of %d: %+v, want %+v", row.query, row.total, got, row.want)
		}
	}
}

func TestAFilterBeginsAtTheFirstPageAndKeepsTheRest(t *testing.T) {
	l := listing{"/people", url.Values{"q": {"a"}, "state": {"error"}, "page": {"7"}}}
	if got := l.chip("held", "Held", 3); got.Link != "/people?q=a&state=held" || got.Here {
		t.Errorf("another filter: %+v", got)
	}
	if got := l.chip("error", "Errors", 3); !got.Here {
		t.Errorf("the present filter: %+v", got)
	}
	if got := l.chip("", "All", 9); got.Link != "/people?q=a" {
		t.Errorf("no filter: %+v", got)
	}
}
