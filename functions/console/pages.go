package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"sync"

	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/signin"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// assets are the page templates, a set for each language, and the files that pages load,
// each with a hash in its address, so that browsers may keep it for good.
type assets struct {
	pages  map[string]*template.Template
	bodies map[string][]byte
	hashes map[string]string
}

func contentTypes() map[string]string {
	return map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
}

// pages are what every instance of one base has in common. They do not change once they are made.
type pages struct {
	assets assets
	guides map[string]guidePage // by language
}

// made keeps the pages of each base, of which an installation has one: parsing them takes a
// start's time, and the tests start thousands of instances.
//
//nolint:gochecknoglobals // see above
var made struct {
	sync.Mutex
	pages map[string]pages
}

// pagesOf makes the pages when they are first asked for, once a process.
func pagesOf(base string) (pages, error) {
	made.Lock()
	defer made.Unlock()
	if p, found := made.pages[base]; found {
		return p, nil
	}
	texts, err := i18n.Load()
	if err != nil {
		return pages{}, err
	}
	files, err := loadAssets(texts, base)
	if err != nil {
		return pages{}, err
	}
	guides, err := makeGuides(files, texts, base)
	if err != nil {
		return pages{}, err
	}
	if made.pages == nil {
		made.pages = map[string]pages{}
	}
	made.pages[base] = pages{assets: files, guides: guides}
	return made.pages[base], nil
}

// loadAssets reads the embedded files; base is the console's path as a browser sees it.
func loadAssets(texts *i18n.Catalogue, base string) (assets, error) {
	a := assets{pages: map[string]*template.Template{}, bodies: map[string][]byte{}, hashes: map[string]string{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return a, fmt.Errorf("read the embedded files: %w", err)
	}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return a, fmt.Errorf("read the embedded files: %w", err)
		}
		sum := sha256.Sum256(body)
		a.bodies[e.Name()], a.hashes[e.Name()] = body, hex.EncodeToString(sum[:8])
	}
	// Pages write {{t "frame.skip"}} for a text, {{n "count.tasks" 3}} and {{figure 3}} for a count with
	// and without its word, and {{base}} before a path, where a part has only its own data. They are parsed once, with any language's functions,
	// and copied for each.
	functions := func(language string) template.FuncMap {
		t := texts.For(language)
		return template.FuncMap{"t": t.T, "n": t.N, "figure": t.Figure, "base": func() string { return base }}
	}
	parsed, err := template.New("").Funcs(functions(i18n.Default)).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return a, fmt.Errorf("read the embedded pages: %w", err)
	}
	for _, l := range i18n.Languages() {
		page, err := parsed.Clone()
		if err != nil {
			return a, fmt.Errorf("copy the embedded pages: %w", err)
		}
		a.pages[l] = page.Funcs(functions(l))
	}
	return a, nil
}

// static serves the files that pages load. They hold nothing of anybody's, so
// they need no session; the pages of the sign-in load them, too.
func (h *handler) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	body, found := h.assets.bodies[name]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentTypes()[path.Ext(name)])
	if r.URL.Query().Get("v") == h.assets.hashes[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(body) // a browser that has gone needs no file
}

// message is a page that says one thing.
type message struct {
	Title, Text, Link, LinkText string
}

// view is a page: what its frame shows, and the Body, which only the page itself knows.
// The template "page-" + Page shows it, between "top" and "bottom".
type view struct {
	Page, Title string
	Menu        string // the entry of the main menu; "" is that of Page
	Session     *signin.Session
	Body        any
	Again       bool // the page loads itself again until it is another

	// Set by show.
	Flash                     *notice // what came of an action, said once
	CSRF                      string
	Lang                      string
	Languages                 []option
	Nav                       []navLink
	Here                      string // the page's own path and query, for forms to come back to
	Base, Style, Script, Icon string
}

// navLink is an entry of the main menu.
type navLink struct {
	Page, Path, Text string
	Here             bool
}

// navigation is the main menu, in the order of use. A page that belongs to another one, as a
// person belongs to People, names that one's Page in its view's Menu.
func navigation(t i18n.Texts, page string) []navLink {
	links := []navLink{
		{Page: "overview", Path: "/", Text: t.T("frame.overview")},
		{Page: "people", Path: peoplePath, Text: t.T("frame.people")},
		{Page: "task", Path: tasksPath, Text: t.T("frame.task")},
		{Page: "held", Path: "/held", Text: t.T("frame.held")},
		{Page: "failures", Path: "/failures", Text: t.T("frame.failures")},
		{Page: "activity", Path: "/activity", Text: t.T("frame.activity")},
		{Page: "connections", Path: "/connections", Text: t.T("frame.connections")},
		{Page: "settings", Path: "/settings", Text: t.T("frame.settings")},
	}
	for i := range links {
		links[i].Here = links[i].Page == page
	}
	return links
}

// show renders a page. Only a page that was made completely is sent.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	asset := func(name string) string {
		return h.console.Path("/static/" + name + "?v=" + h.assets.hashes[name])
	}
	t := h.texts(r)
	v.Base, v.Here, v.Lang, v.Languages = h.console.Path(""), here(r), t.Language, languages(t.Language)
	v.Style, v.Script, v.Icon = asset("app.css"), asset("app.js"), asset("icon.svg")
	if v.Session != nil {
		v.CSRF, v.Nav, v.Flash = h.sessions.CSRF(*v.Session), navigation(t, cmp.Or(v.Menu, v.Page)), flash(t, r.URL.Query())
	}
	var body bytes.Buffer
	if err := h.assets.pages[t.Language].ExecuteTemplate(&body, "page-"+v.Page, v); err != nil {
		h.Log.ErrorContext(r.Context(), "page could not be made", "page", v.Page, "error", err)
		http.Error(w, "This page could not be made; the log says more.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that has gone needs no page
}

// say shows the message of a key (message.<key>.title, .text and .link), with a link to a path.
func (h *handler) say(w http.ResponseWriter, r *http.Request, status int, key, to string) {
	t := h.texts(r)
	h.message(w, r, status, message{Title: t.T("message." + key + ".title"), Text: t.T("message." + key + ".text"),
		Link: h.console.URL(to, nil), LinkText: t.T("message." + key + ".link")})
}

func (h *handler) message(w http.ResponseWriter, r *http.Request, status int, m message) {
	h.show(w, r, status, view{Page: "message", Title: m.Title, Body: m})
}
