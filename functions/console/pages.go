package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"

	"github.com/erp-calendar/erp-calendar/shared/signin"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// assets are the page templates and the files that pages load, each with a hash
// in its address, so that browsers may keep it for good.
type assets struct {
	pages  *template.Template
	bodies map[string][]byte
	hashes map[string]string
}

func contentTypes() map[string]string {
	return map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
}

func loadAssets() (assets, error) {
	a := assets{bodies: map[string][]byte{}, hashes: map[string]string{}}
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
	a.pages, err = template.ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return a, fmt.Errorf("read the embedded pages: %w", err)
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

// view is what the layout shows.
type view struct {
	Page, Title string
	Session     *signin.Session
	CSRF        string
	Home        *homeView
	Settings    *settingsView
	Ask         *askView
	Message     *message

	Base, Style, Script, Icon string
}

// show renders a page. Only a page that was made completely is sent.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, v view) {
	asset := func(name string) string {
		return h.console.Path("/static/" + name + "?v=" + h.assets.hashes[name])
	}
	v.Base = h.console.Path("")
	v.Style, v.Script, v.Icon = asset("app.css"), asset("app.js"), asset("icon.svg")
	if v.Session != nil {
		v.CSRF = h.sessions.CSRF(*v.Session)
	}
	var body bytes.Buffer
	if err := h.assets.pages.ExecuteTemplate(&body, "layout.html", v); err != nil {
		h.Log.ErrorContext(r.Context(), "page could not be made", "page", v.Page, "error", err)
		http.Error(w, "This page could not be made; the log says more.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that has gone needs no page
}

func (h *handler) message(w http.ResponseWriter, r *http.Request, status int, m message) {
	h.show(w, r, status, view{Page: "message", Title: m.Title, Message: &m})
}
