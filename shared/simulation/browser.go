package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/erp-calendar/erp-calendar/shared/fake/inprocess"
)

// The admin's two sites.
const (
	consoleHost = "console.test"
	oauthHost   = "oauth.test"
)

// mostRedirects is how many redirects a browser follows for one page.
const mostRedirects = 20

// errNoAnswer is what a browser shows when an instance died under a request.
var errNoAnswer = errors.New("simulation: the page did not load")

// browser is the admin's: it keeps cookies, follows redirects from one site to
// the other and through Google's consent, and fills in the forms that pages show.
// It can do nothing that a person could not.
type browser struct {
	w     *world
	jar   http.CookieJar
	asked int
}

func newBrowser(w *world) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a browser: %w", err)
	}
	return &browser{w: w, jar: jar}, nil
}

// page is what a browser shows.
type page struct {
	status int
	at     *url.URL
	body   []byte
	root   *html.Node // nil where it is no HTML
	forms  []form
}

// form is a form with what is filled in, at first what the page shows.
type form struct {
	action string
	values url.Values
	// names are all of its controls, boxes the values of its checkboxes.
	names []string
	boxes url.Values
	// within are the ids of the elements that contain it.
	within []string
}

// open shows a page of the console.
func (b *browser) open(path string) (*page, error) {
	return b.load(http.MethodGet, "https://"+consoleHost+path, nil)
}

// press sends a form.
func (b *browser) press(f form) (*page, error) {
	return b.load(http.MethodPost, f.action, f.values)
}

func (b *browser) load(method, address string, values url.Values) (*page, error) {
	for range mostRedirects {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("open a page: %w", err)
		}
		p, to, err := b.call(method, u, values)
		if err != nil || to == "" {
			return p, err
		}
		next, err := u.Parse(to)
		if err != nil {
			return nil, fmt.Errorf("follow a redirect: %w", err)
		}
		method, address, values = http.MethodGet, next.String(), nil
	}
	return nil, errors.New("simulation: redirected without end")
}

// call makes one request; to is where its answer sends the browser.
func (b *browser) call(method string, u *url.URL, values url.Values) (p *page, to string, err error) {
	w := b.w
	function, most := "Console", 30*time.Second
	switch u.Host {
	case oauthHost:
		// It makes several calls to Google.
		function, most = "OAuth", time.Minute
	case googleHost:
		to, err = w.google.Approve(u.String(), consentingAccount(u))
		return nil, to, err
	}
	b.asked++
	name := "admin/" + strconv.Itoa(b.asked)
	ctx := withActor(w.ctx, name)
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		body = strings.NewReader(values.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, "", fmt.Errorf("open a page: %w", err)
	}
	r.RequestURI, r.RemoteAddr = u.RequestURI(), "192.0.2.9:443"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://"+u.Host)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	pause(ctx, w.latency(name, "there"))
	i := w.slot(w.dice.pick(len(w.slots), "admin slot", name))
	began := time.Now()
	answer, answered := i.call(function, r)
	if took := time.Since(began); took > most {
		w.violate("a page answers in time", "%s %s took %v", method, u.Path, took.Round(time.Second))
	}
	if !answered {
		return nil, "", errNoAnswer
	}
	pause(ctx, w.latency(name, "back"))
	res := http.Response{Header: answer.Header()}
	b.jar.SetCookies(u, res.Cookies())
	if code := answer.Status(); code >= 300 && code < 400 {
		return nil, answer.Header().Get("Location"), nil
	}
	p, err = read(answer, u)
	return p, "", err
}

// consentingAccount is the account chosen at Google's consent: the one that the page
// asks for, or else the admin's own.
func consentingAccount(u *url.URL) string {
	if who := u.Query().Get("login_hint"); who != "" {
		return who
	}
	return admin
}

func read(answer *inprocess.Answer, at *url.URL) (*page, error) {
	p := &page{status: answer.Status(), at: at, body: answer.Body()}
	if !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") {
		return p, nil
	}
	var err error
	if p.root, err = html.Parse(bytes.NewReader(p.body)); err != nil {
		return nil, fmt.Errorf("read the page %s: %w", at.Path, err)
	}
	p.collect(p.root, nil)
	return p, nil
}

// collect finds the forms.
func (p *page) collect(n *html.Node, within []string) {
	if id := attribute(n, "id"); id != "" {
		within = append(slices.Clip(within), id)
	}
	if n.Type == html.ElementNode && n.Data == "form" {
		action, err := p.at.Parse(attribute(n, "action"))
		if err == nil {
			f := form{action: action.String(), values: url.Values{}, boxes: url.Values{}, within: within}
			f.controls(n)
			p.forms = append(p.forms, f)
		}
		return
	}
	for c := range n.ChildNodes() {
		p.collect(c, within)
	}
}

// controls reads what a form would send as it is shown.
func (f *form) controls(n *html.Node) {
	for c := range n.Descendants() {
		name := attribute(c, "name")
		if c.Type != html.ElementNode || name == "" {
			continue
		}
		switch c.Data {
		case "input":
			f.names = append(f.names, name)
			value := attribute(c, "value")
			if attribute(c, "type") != "checkbox" {
				f.values.Add(name, value)
				continue
			}
			f.boxes.Add(name, value)
			if has(c, "checked") {
				f.values.Add(name, value)
			}
		case "textarea":
			f.names = append(f.names, name)
			f.values.Add(name, text(c))
		case "select":
			f.names = append(f.names, name)
			for o := range c.Descendants() {
				if o.Data == "option" && has(o, "selected") {
					f.values.Set(name, attribute(o, "value"))
				}
			}
		}
	}
}

// form gives the form that leads to a path of the console.
func (p *page) form(path string) (form, bool) {
	for _, f := range p.forms {
		if f.path() == path {
			return f, true
		}
	}
	return form{}, false
}

func (f form) path() string {
	_, path, _ := strings.Cut(f.action, "://"+consoleHost)
	return path
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func text(n *html.Node) string {
	var out strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			out.WriteString(c.Data)
		}
	}
	return out.String()
}

// find gives the first wanted element of a name inside another, in the page's order; nil
// without one.
func find(n *html.Node, element string, wanted func(*html.Node) bool) *html.Node {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && c.Data == element && wanted(c) {
			return c
		}
	}
	return nil
}

// String is a page's address, status and heading, for a printed history.
func (p *page) String() string {
	if p == nil {
		return "no page"
	}
	title := ""
	if p.root != nil {
		if h := find(p.root, "h1", func(*html.Node) bool { return true }); h != nil {
			title = text(h)
		}
	}
	return fmt.Sprintf("%s%s?%s: %d %s", p.at.Host, p.at.Path, p.at.Query().Encode(), p.status, title)
}

// reloadAfter waits as a person does before trying again.
func (b *browser) reloadAfter(ctx context.Context, try int) {
	pause(ctx, b.w.brief(b.w.dice.between(3*time.Second, 30*time.Second, "press again", strconv.Itoa(b.asked), strconv.Itoa(try))))
}
