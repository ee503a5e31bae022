package userside

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed assets templates
var files embed.FS

// boardPolicy lets the pages use their own style sheet and script and nothing else.
const boardPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// board serves the dispatcher's pages of a Server.
type board struct {
	s    *Server
	tmpl *template.Template
}

func (s *Server) boardRoutes() http.Handler {
	tmpl, err := template.ParseFS(files, "templates/*.html")
	if err != nil {
		return brokenBoard(err)
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return brokenBoard(err)
	}
	b := &board{s: s, tmpl: tmpl}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	mux.HandleFunc("GET /{$}", b.index)
	mux.HandleFunc("GET /employees", b.people)
	mux.HandleFunc("GET /task/{id}", func(w http.ResponseWriter, r *http.Request) { b.task(w, r, r.PathValue("id")) })
	mux.HandleFunc("GET /oper/{$}", b.oper)
	mux.HandleFunc("POST /tasks/add", b.post(b.addTask))
	mux.HandleFunc("POST /tasks/{id}/{what}", b.post(b.changeTask))
	mux.HandleFunc("POST /employees/add", b.post(b.addPerson))
	mux.HandleFunc("POST /employees/{id}/{what}", b.post(b.changePerson))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b.problem(w, r, http.StatusNotFound, "There is no such page.")
	})
	return headers(http.NewCrossOriginProtection().Handler(mux))
}

// brokenBoard answers every page with the fault; api.php works without the board.
func brokenBoard(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the board's templates: "+err.Error(), http.StatusInternalServerError)
	})
}

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", boardPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if !strings.HasPrefix(r.URL.Path, "/assets/") {
			h.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

// page is what every template gets.
type page struct {
	Root  string // the relative way to the mounted root
	Title string
	Tab   string
	Clock string
	Zone  string
	Back  string // where a form returns to, relative to the root
}

// Link is a path under the root as a relative link.
func (p page) Link(path string) string { return p.Root + path }

func (b *board) page(r *http.Request, title, tab string) page {
	return page{
		Root: rootOf(r), Title: title, Tab: tab,
		Clock: b.s.now().Format("Mon 2 Jan 2006, 15:04"), Zone: b.s.loc.String(),
	}
}

// rootOf is the relative way from a request's path to the mounted root.
func rootOf(r *http.Request) string {
	if up := strings.Count(r.URL.Path, "/") - 1; up > 0 {
		return strings.Repeat("../", up)
	}
	return "./"
}

func (b *board) render(w http.ResponseWriter, status int, name string, data any) {
	var buf bytes.Buffer
	if err := b.tmpl.ExecuteTemplate(&buf, name, data); err != nil {
		http.Error(w, "render "+name+": "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w) // the browser may be gone; nobody can be told
}

func (b *board) problem(w http.ResponseWriter, r *http.Request, status int, text string) {
	b.render(w, status, "problem.html", struct {
		page
		Text string
	}{b.page(r, http.StatusText(status), ""), text})
}

// oper serves the older UI's link to a task: ?core_section=task&action=show&id=N.
func (b *board) oper(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("core_section") != "task" || q.Get("action") != "show" {
		b.problem(w, r, http.StatusNotFound, "This stand-in knows tasks only.")
		return
	}
	b.task(w, r, q.Get("id"))
}

func (b *board) task(w http.ResponseWriter, r *http.Request, rawID string) {
	id, err := strconv.ParseInt(rawID, 10, 64)
	var t Task
	ok := false
	if err == nil {
		t, ok = b.s.Task(id)
	}
	if !ok {
		b.problem(w, r, http.StatusNotFound, "There is no task "+rawID+".")
		return
	}
	c := b.catalogue()
	p := struct {
		page
		catalogue
		T        Task
		Card     card
		Text     string
		Comments []line
		History  []line
		Staff    []choice
		Depts    []choice
	}{page: b.page(r, fmt.Sprintf("Task %d", id), "board"), catalogue: c, T: t, Card: c.card(b.s, &t), Text: t.plain()}
	p.Back = "task/" + key(id)
	p.Card.Back = p.Back
	for _, m := range t.Comments {
		p.Comments = append(p.Comments, line{b.s.wall(m.Added), c.person(m.EmployeeID), m.Text})
	}
	for i := len(t.History) - 1; i >= 0 && len(p.History) < 20; i-- {
		h := t.History[i]
		l := line{When: b.s.wall(h.Time), Text: h.Kind}
		if h.EmployeeID != 0 {
			l.Who = c.person(h.EmployeeID)
		}
		p.History = append(p.History, l)
	}
	p.Staff, p.Depts = c.choices(&t)
	b.render(w, http.StatusOK, "task.html", p)
}

// line is a dated entry on a task's page.
type line struct{ When, Who, Text string }

// choice is a box to tick.
type choice struct {
	ID      int64
	Name    string
	Note    string
	Checked bool
}

// view is what the board is asked to show; it travels in the query.
type view struct {
	Mode     string // "days" or "people"
	From     time.Time
	Days     int
	Division int64
	Closed   bool
}

func (b *board) view(q url.Values) view {
	v := view{Mode: "days", Days: 7, Closed: q.Get("closed") == "1"}
	if q.Get("view") == "people" {
		v.Mode = "people"
	}
	if n, err := strconv.Atoi(q.Get("days")); err == nil && n >= 1 && n <= 31 {
		v.Days = n
	}
	v.Division, _ = strconv.ParseInt(q.Get("division"), 10, 64) // wrong: 0, all departments
	if d, err := time.Parse(time.DateOnly, q.Get("from")); err == nil {
		v.From = d
	} else {
		v.From = dayOf(b.s.now())
	}
	return v
}

// dayOf is the calendar day as UTC midnight, so that counting days knows no DST.
func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// Query writes the view as a relative link.
func (v view) Query() string {
	q := url.Values{"view": {v.Mode}, "from": {v.From.Format(time.DateOnly)}, "days": {strconv.Itoa(v.Days)}}
	if v.Division != 0 {
		q.Set("division", key(v.Division))
	}
	if v.Closed {
		q.Set("closed", "1")
	}
	return "?" + q.Encode()
}

func (v view) moved(days int) string {
	v.From = v.From.AddDate(0, 0, days)
	return v.Query()
}

func (v view) mode(m string) string {
	v.Mode = m
	return v.Query()
}

// column is one day of the board.
type column struct {
	Date, Weekday, Day string
	Today, Weekend     bool
	Cards              []card
}

// row is one employee of the board; Cells run beside Columns.
type row struct {
	ID             int64
	Name, Note     string
	Cells          []column
	Count          int
	Loose, Unknown bool // no executor; not a working employee
}

type boardPage struct {
	page
	catalogue
	V                                 view
	Prev, Next, Today, ByDay, ByStaff string
	Columns                           []column
	Undated                           []card
	Rows                              []row
	Open, Shut                        int
	DefaultTodo                       string
}

func (b *board) index(w http.ResponseWriter, r *http.Request) {
	v := b.view(r.URL.Query())
	c := b.catalogue()
	p := boardPage{page: b.page(r, "Board", "board"), catalogue: c, V: v}
	p.Back = v.Query()
	p.Prev, p.Next = p.Link(v.moved(-v.Days)), p.Link(v.moved(v.Days))
	p.ByDay, p.ByStaff = p.Link(v.mode("days")), p.Link(v.mode("people"))
	today := v
	today.From = dayOf(b.s.now())
	p.Today = p.Link(today.Query())
	p.DefaultTodo = v.From.Format(time.DateOnly) + "T09:00"
	for i := range v.Days {
		d := v.From.AddDate(0, 0, i)
		p.Columns = append(p.Columns, column{
			Date: d.Format(time.DateOnly), Weekday: d.Format("Mon"), Day: d.Format("2 Jan"),
			Today: d.Equal(today.From), Weekend: d.Weekday() == time.Saturday || d.Weekday() == time.Sunday,
		})
	}
	b.fill(&p)
	b.render(w, http.StatusOK, "board.html", p)
}

// fill puts the tasks where they belong.
func (b *board) fill(p *boardPage) {
	rows := p.peopleRows()
	for _, t := range b.s.byTime() {
		c := p.card(b.s, &t)
		c.Back = p.Back
		if p.V.Division != 0 && !p.inDivision(&t, p.V.Division) {
			continue
		}
		if t.TodoWall == "" {
			if !c.Closed {
				p.Undated = append(p.Undated, c)
			}
			continue
		}
		day := p.dayIndex(t.TodoWall)
		if day < 0 {
			continue
		}
		if c.Closed {
			p.Shut++
			if !p.V.Closed {
				continue
			}
		} else {
			p.Open++
		}
		p.Columns[day].Cards = append(p.Columns[day].Cards, c)
		who := t.Executors
		if len(who) == 0 {
			who = []int64{0}
		}
		for _, id := range who {
			c.From = id
			rows.add(p, id, day, c)
		}
	}
	if p.V.Mode == "people" {
		p.Rows = rows.list
	}
}

func (p *boardPage) dayIndex(wall string) int {
	d, err := time.Parse(time.DateOnly, wall[:len(time.DateOnly)])
	if err != nil {
		return -1
	}
	n := int(d.Sub(p.V.From) / (24 * time.Hour))
	if d.Before(p.V.From) || n >= len(p.Columns) {
		return -1
	}
	return n
}

// staffRows are the rows of the employee view, in order of appearance.
type staffRows struct {
	list []row
	at   map[int64]int
}

// peopleRows starts with everybody who works here, in the chosen department.
func (p *boardPage) peopleRows() *staffRows {
	rows := &staffRows{at: map[int64]int{}}
	rows.open(p, row{Name: "No executor", Loose: true})
	for _, e := range p.Employees {
		if !e.Dismissed && (p.V.Division == 0 || e.isMember(p.V.Division)) {
			rows.open(p, row{ID: e.ID, Name: e.Name, Note: e.Position})
		}
	}
	return rows
}

func (rs *staffRows) open(p *boardPage, r row) {
	rs.at[r.ID] = len(rs.list)
	r.Cells = make([]column, len(p.Columns))
	copy(r.Cells, p.Columns)
	for i := range r.Cells {
		r.Cells[i].Cards = nil
	}
	rs.list = append(rs.list, r)
}

func (rs *staffRows) add(p *boardPage, id int64, day int, c card) {
	if _, ok := rs.at[id]; !ok {
		rs.open(p, row{ID: id, Name: p.person(id), Note: "not working here or in another department", Unknown: true})
	}
	r := &rs.list[rs.at[id]]
	r.Cells[day].Cards = append(r.Cells[day].Cards, c)
	r.Count++
}

// DayChoices are the lengths of the board offered in its filter.
func (p boardPage) DayChoices() []int {
	days := []int{1, 3, 5, 7, 14}
	if !slices.Contains(days, p.V.Days) {
		days = append(days, p.V.Days)
		slices.Sort(days)
	}
	return days
}

// cardView is a card with what its forms need of the page.
type cardView struct {
	P cardPage
	C card
}

// cardPage is the part of a page the card templates use.
type cardPage interface {
	Link(string) string
	Working() []Employee
}

// With pairs a card with the page, for the card templates.
func (p boardPage) With(c card) cardView { return cardView{p, c} }
