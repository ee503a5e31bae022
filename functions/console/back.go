package console

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
)

// ownPath is a path of the console, without anything that a browser could read as another
// site's address.
var ownPath = regexp.MustCompile(`^/(?:[A-Za-z0-9_-]+/?)*$`)

// outcomes are the query values that say once what came of an action. They are fixed words
// and ids (see flash): free text never comes from a link. static/app.js drops the same ones.
func outcomes() []string { return []string{"queued", "id", "connected", "saved"} }

// back is where a form was sent from: a page of the console with its filters, without the
// outcome of an earlier action; otherwise where none, or no own page, is named.
func back(r *http.Request, otherwise string) *url.URL {
	return ownAddress(r.PostFormValue("back"), otherwise)
}

// ownAddress reads the address of a page of the console; otherwise where it is none.
func ownAddress(address, otherwise string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !ownPath.MatchString(u.Path) {
		return &url.URL{Path: otherwise}
	}
	return &url.URL{Path: u.Path, RawQuery: lasting(u.Query()).Encode(), Fragment: u.Fragment}
}

// lasting is a page's query without what was said once.
func lasting(q url.Values) url.Values {
	out := url.Values{}
	for name, values := range q {
		if !slices.Contains(outcomes(), name) {
			out[name] = values
		}
	}
	return out
}

// here is the page that a request shows, for the forms on it to come back to.
func here(r *http.Request) string {
	if r.Method == http.MethodPost {
		return back(r, r.URL.Path).String()
	}
	return (&url.URL{Path: r.URL.Path, RawQuery: lasting(r.URL.Query()).Encode()}).String()
}

// goBack ends an action: the browser comes back to the page it was sent from, which says the
// outcome, given in names and values of outcomes.
func (h *handler) goBack(w http.ResponseWriter, r *http.Request, outcome ...string) {
	h.goBackOr(w, r, "/", outcome...)
}

// goBackOr is goBack for a form that has a page of its own, to go to where none is named.
func (h *handler) goBackOr(w http.ResponseWriter, r *http.Request, otherwise string, outcome ...string) {
	u := back(r, otherwise)
	q := u.Query()
	for i := 0; i+1 < len(outcome); i += 2 {
		q.Set(outcome[i], outcome[i+1])
	}
	u.RawQuery = q.Encode()
	h.redirect(w, h.console.URL(u.String(), nil))
}
