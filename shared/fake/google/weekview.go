package google

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	slotMinutes = 5
	maxLanes    = 8
	maxShown    = 8 // calendars shown at once unless chosen
	palette     = 10
)

// viewState is what the page's address says.
type viewState struct {
	day             time.Time // the day shown, or any of the week shown; midnight UTC as a plain date
	byCalendar      bool      // one day, a column per calendar
	cals            []string  // chosen calendars; empty: all
	calendar, event string    // what is shown in detail
}

func (v viewState) query() url.Values {
	q := url.Values{}
	if !v.day.IsZero() {
		q.Set("day", v.day.Format(time.DateOnly))
	}
	if v.byCalendar {
		q.Set("view", "day")
	}
	for _, c := range v.cals {
		q.Add("cal", c)
	}
	if v.calendar != "" {
		q.Set("calendar", v.calendar)
	}
	if v.event != "" {
		q.Set("event", v.event)
	}
	return q
}

type block struct {
	Title, Time, Location, URL, Calendar, Class string
	start, end                                  int // minutes of the day
	sortKey                                     string
}

type column struct {
	Title, Sub, URL string
	Today           bool
	AllDay, Timed   []block
}

type dayList struct {
	Title  string
	Today  bool
	Blocks []block
}

type chip struct {
	ID, Name, Class, ToggleURL, DetailURL string
	On                                    bool
	Live                                  int
}

type pageDetail struct {
	CalendarID, Calendar, Zone, Owner, Back, CloseURL string
	// of an event
	EventID, Title, When, Location, Start, StartType, Updated string
	Sequence                                                  int64
	Text                                                      []textPart
	Props                                                     [][2]string
	// of a calendar
	Description, AddURL string
	Rules               []RuleSnapshot
	Live, Cancelled     int
}

type textPart struct {
	Text, Link string
}

type requestRow struct {
	Time, Method, Status, Class, Note string
}

type mailRow struct {
	Time, Text string
	Warn       bool
}

type pageData struct {
	Base, Heading, Range                        string
	PrevURL, NextURL, TodayURL, WeekURL, DayURL string
	ByCalendar                                  bool
	Chips                                       []chip
	More                                        int
	Columns                                     []column
	Hours                                       []block
	HoursClass, NowClass                        string
	Days                                        []dayList
	AnyAllDay                                   bool
	Requests                                    []requestRow
	Mails                                       []mailRow
	MailCount, RequestCount                     int
	Detail                                      *pageDetail
	ColumnsClass                                string
}

// weekPage builds the page for an address.
func (s *Server) weekPage(q url.Values) pageData {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := viewState{byCalendar: q.Get("view") == "day", cals: q["cal"], calendar: q.Get("calendar"), event: q.Get("event")}
	shown, chips := s.chosen(st)
	zone := time.UTC
	if len(shown) > 0 {
		zone = shown[0].zone()
	}
	n := s.now().In(zone)
	today := plain(n)
	if d, err := time.Parse(time.DateOnly, q.Get("day")); err == nil {
		st.day = d
	} else {
		st.day = today
	}
	link := func(change func(*viewState)) string {
		v := st
		v.cals = slices.Clone(st.cals)
		v.calendar, v.event = "", ""
		change(&v)
		return s.basePath + "/?" + v.query().Encode()
	}
	p := pageData{Base: s.basePath, ByCalendar: st.byCalendar, Heading: "Calendar", Chips: chips}
	step := 7
	if st.byCalendar {
		step = 1
	}
	p.PrevURL = link(func(v *viewState) { v.day = v.day.AddDate(0, 0, -step) })
	p.NextURL = link(func(v *viewState) { v.day = v.day.AddDate(0, 0, step) })
	p.TodayURL = link(func(v *viewState) { v.day = time.Time{} })
	p.WeekURL = link(func(v *viewState) { v.byCalendar = false })
	p.DayURL = link(func(v *viewState) { v.byCalendar = true })

	monday := st.day.AddDate(0, 0, -(int(st.day.Weekday())+6)%7)
	if st.day.Equal(today) && st.day.Sub(monday) >= 4*24*time.Hour {
		// Near its end the week that matters is mostly the next one: seven days from
		// yesterday on.
		monday = st.day.AddDate(0, 0, -1)
	}
	first, last := 8, 18 // hours shown at least
	if st.byCalendar {
		p.Range = st.day.Format("Monday, 2 January 2006")
		for _, cal := range shown {
			c := column{Title: cal.summary(), Sub: str(cal.data, "timeZone"), Today: st.day.Equal(today)}
			s.fill(&c, []*calendarState{cal}, st.day, st, link)
			p.Columns = append(p.Columns, c)
		}
		all := column{}
		s.fill(&all, shown, st.day, st, link)
		p.Days = []dayList{{Title: p.Range, Today: st.day.Equal(today), Blocks: append(slices.Clone(all.AllDay), all.Timed...)}}
	} else {
		p.Range = weekRange(monday, monday.AddDate(0, 0, 6))
		for i := range 7 {
			d := monday.AddDate(0, 0, i)
			c := column{Title: d.Format("Mon"), Sub: d.Format("2"), Today: d.Equal(today), URL: link(func(v *viewState) { v.day, v.byCalendar = d, true })}
			s.fill(&c, shown, d, st, link)
			p.Columns = append(p.Columns, c)
			p.Days = append(p.Days, dayList{Title: d.Format("Monday, 2 January"), Today: c.Today, Blocks: append(slices.Clone(c.AllDay), c.Timed...)})
		}
	}
	for _, c := range p.Columns {
		p.AnyAllDay = p.AnyAllDay || len(c.AllDay) > 0
		for _, b := range c.Timed {
			first, last = min(first, b.start/60), max(last, (b.end+59)/60)
		}
	}
	for i := range p.Columns {
		layOut(p.Columns[i].Timed, first)
	}
	for h := first; h < last; h++ {
		p.Hours = append(p.Hours, block{Title: fmt.Sprintf("%02d:00", h), Class: fmt.Sprintf("t%d", (h-first)*60/slotMinutes)})
	}
	p.HoursClass = fmt.Sprintf("hours%d", last-first)
	p.ColumnsClass = fmt.Sprintf("cols%d", max(1, min(len(p.Columns), maxShown)))
	if m := n.Hour()*60 + n.Minute(); m >= first*60 && m < last*60 {
		p.NowClass = fmt.Sprintf("t%d", (m-first*60)/slotMinutes)
	}
	s.panel(&p, zone)
	p.Detail = s.detail(st, link)
	return p
}

// weekRange names a week as briefly as a phone's width wants.
func weekRange(first, last time.Time) string {
	switch {
	case first.Year() != last.Year():
		return first.Format("2 Jan 2006") + " – " + last.Format("2 Jan 2006")
	case first.Month() != last.Month():
		return first.Format("2 Jan") + " – " + last.Format("2 Jan 2006")
	}
	return first.Format("2") + " – " + last.Format("2 January 2006")
}

func plain(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// chosen gives the calendars to show and a chip for each there is. Primary
// calendars are left out while they are empty.
func (s *Server) chosen(st viewState) (shown []*calendarState, chips []chip) {
	i := 0
	for _, cal := range s.calOrder {
		live := 0
		for _, ev := range cal.eventOrder {
			if !ev.cancelled() {
				live++
			}
		}
		if cal.deleted || cal.primary && live == 0 {
			continue
		}
		on := slices.Contains(st.cals, cal.id) || len(st.cals) == 0 && i < maxShown
		v := st
		v.calendar, v.event = "", ""
		v.cals = slices.DeleteFunc(slices.Clone(st.cals), func(id string) bool { return id == cal.id })
		if !slices.Contains(st.cals, cal.id) {
			v.cals = append(v.cals, cal.id)
		}
		d := st
		d.calendar, d.event = cal.id, ""
		chips = append(chips, chip{ID: cal.id, Name: cal.summary(), Class: s.calendarClass(cal), On: on, Live: live,
			ToggleURL: s.basePath + "/?" + v.query().Encode(), DetailURL: s.basePath + "/?" + d.query().Encode() + "#detail"})
		if on {
			shown = append(shown, cal)
		}
		i++
	}
	return shown, chips
}

func (s *Server) calendarClass(cal *calendarState) string {
	return fmt.Sprintf("k%d", slices.Index(s.calOrder, cal)%palette)
}

// fill puts the events of cals on the date d, each in its calendar's zone.
func (s *Server) fill(c *column, cals []*calendarState, d time.Time, st viewState, link func(func(*viewState)) string) {
	for _, cal := range cals {
		for _, ev := range cal.eventOrder {
			b, allDay, on := s.block(cal, ev, d)
			if !on {
				continue
			}
			if ev.id == st.event && cal.id == st.calendar {
				b.Class += " chosen"
			}
			b.URL = link(func(v *viewState) { v.calendar, v.event = cal.id, ev.id }) + "#detail"
			if allDay {
				c.AllDay = append(c.AllDay, b)
			} else {
				c.Timed = append(c.Timed, b)
			}
		}
	}
	sort.SliceStable(c.AllDay, func(i, j int) bool { return c.AllDay[i].Title < c.AllDay[j].Title })
	sort.SliceStable(c.Timed, func(i, j int) bool { return c.Timed[i].sortKey < c.Timed[j].sortKey })
}

// block shows an event on the date d of its calendar's zone; on is false if it is
// not there on that day.
func (s *Server) block(cal *calendarState, ev *event, d time.Time) (b block, allDay, on bool) {
	zone := cal.zone()
	from := time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone)
	to := time.Date(d.Year(), d.Month(), d.Day()+1, 0, 0, 0, 0, zone)
	begin, _ := ev.data["start"].(obj)
	allDay = str(begin, "date") != ""
	start, end := ev.start, ev.end
	if allDay {
		// Dates mean the calendar's days whatever the zone was when written.
		start, end = dateIn(ev.data["start"], zone), dateIn(ev.data["end"], zone)
	}
	if ev.cancelled() || !start.Before(to) || !end.After(from) {
		return block{}, allDay, false
	}
	b = block{Title: cmp.Or(str(ev.data, "summary"), "(no title)"), Location: str(ev.data, "location"), Calendar: cal.summary(), Class: s.calendarClass(cal)}
	if id := str(ev.data, "colorId"); id != "" {
		b.Class += " v" + id
	}
	if allDay {
		b.Time = "all day"
		return b, allDay, true
	}
	b.Time = start.In(zone).Format("15:04") + " – " + end.In(zone).Format("15:04")
	b.start, b.end = 0, 24*60
	if ls := start.In(zone); !start.Before(from) {
		b.start = ls.Hour()*60 + ls.Minute()
	}
	if le := end.In(zone); end.Before(to) {
		b.end = le.Hour()*60 + le.Minute()
	}
	b.end = max(b.end, b.start+slotMinutes)
	b.sortKey = fmt.Sprintf("%04d %04d %s", b.start, 9999-b.end, b.Title)
	return b, allDay, true
}

func dateIn(v any, zone *time.Location) time.Time {
	o, _ := v.(obj)
	t, err := time.ParseInLocation(time.DateOnly, str(o, "date"), zone)
	if err != nil {
		return time.Time{}
	}
	return t
}

// layOut puts overlapping blocks side by side. blocks are sorted by start.
func layOut(blocks []block, firstHour int) {
	const shortest = 30 // minutes a block is high at least, so that its title can be read
	for i := 0; i < len(blocks); {
		// A cluster is a run in which each overlaps one before it.
		var lanes []int // end of the last block in each lane
		lane := make([]int, 0, 4)
		j, until := i, 0
		for ; j < len(blocks) && (j == i || blocks[j].start < until); j++ {
			end := max(blocks[j].end, blocks[j].start+shortest)
			k := slices.IndexFunc(lanes, func(e int) bool { return e <= blocks[j].start })
			if k < 0 {
				lanes = append(lanes, 0)
				k = len(lanes) - 1
			}
			lanes[k] = end
			lane = append(lane, k)
			until = max(until, end)
		}
		width := min(len(lanes), maxLanes)
		for n := i; n < j; n++ {
			b := &blocks[n]
			height := max(b.end-b.start, shortest)
			b.Class += fmt.Sprintf(" t%d h%d w%d-%d", (b.start-firstHour*60)/slotMinutes, height/slotMinutes, width, min(lane[n-i], maxLanes-1))
			if width > 2 {
				b.Class += " narrow"
			}
			if height < 45 {
				b.Class += " short"
			}
		}
		i = j
	}
}

// gridCSS has a class for each place in the grid, so that the page needs no
// inline style, which its policy forbids.
func gridCSS() []byte {
	var b strings.Builder
	const px = 4 // pixels per slot of five minutes
	for i := range 24*60/slotMinutes + 1 {
		fmt.Fprintf(&b, ".t%d{top:%dpx}.h%d{height:%dpx}\n", i, i*px, i, max(i*px-2, 2))
	}
	for h := 1; h <= 24; h++ {
		fmt.Fprintf(&b, ".hours%d{height:%dpx}\n", h, h*60/slotMinutes*px)
	}
	for n := 1; n <= maxLanes; n++ {
		for k := range n {
			fmt.Fprintf(&b, ".w%d-%d{left:%.3f%%;width:calc(%.3f%% - 3px)}\n", n, k, float64(k)*100/float64(n), 100/float64(n))
		}
		fmt.Fprintf(&b, ".cols%d{grid-template-columns:56px repeat(%d,minmax(0,1fr))}\n", n, n)
	}
	for i, c := range eventColors {
		fmt.Fprintf(&b, ".v%d{border-left-color:%s}\n", i+1, c)
	}
	return []byte(b.String())
}

func (s *Server) panel(p *pageData, zone *time.Location) {
	for i := len(s.log) - 1; i >= 0 && len(p.Requests) < 14; i-- {
		e := s.log[i]
		if !strings.HasPrefix(e.Method, "calendar.") {
			continue
		}
		r := requestRow{Time: e.Time.In(zone).Format("15:04:05"), Method: strings.TrimPrefix(e.Method, "calendar."), Status: fmt.Sprint(e.Status), Class: "ok", Note: e.Reason}
		switch {
		case e.Status == 0:
			r.Status, r.Class = "…", "wait"
		case e.Status >= 400:
			r.Class = "bad"
		}
		if e.Fault != "" {
			r.Note = strings.TrimSpace(r.Note + " · " + e.Fault)
		}
		p.Requests = append(p.Requests, r)
	}
	for _, e := range s.log {
		if strings.HasPrefix(e.Method, "calendar.") {
			p.RequestCount++
		}
	}
	p.MailCount = len(s.mails)
	for i := len(s.mails) - 1; i >= 0 && len(p.Mails) < 10; i-- {
		m := s.mails[i]
		row := mailRow{Time: m.Time.In(zone).Format("2 Jan 15:04")}
		switch m.Kind {
		case "share":
			row.Text = "Invitation to " + m.To + ": " + m.Summary + " (" + m.Role + ")"
		case "unaddressed":
			row.Text, row.Warn = "A write without sendUpdates=none: "+m.Summary, true
		default:
			row.Text, row.Warn = "Event "+m.Kind+" to "+m.To+": "+m.Summary, true
		}
		p.Mails = append(p.Mails, row)
	}
}

func (s *Server) detail(st viewState, link func(func(*viewState)) string) *pageDetail {
	cal := s.cals[st.calendar]
	if st.calendar == "" && st.event != "" {
		// htmlLink names the event only.
		for _, c := range s.calOrder {
			if c.events[st.event] != nil && !c.deleted {
				cal = c
			}
		}
	}
	if cal == nil || cal.deleted {
		return nil
	}
	d := &pageDetail{CalendarID: cal.id, Calendar: cal.summary(), Zone: str(cal.data, "timeZone"), Owner: cal.owner.Email,
		Back: st.query().Encode(), CloseURL: link(func(*viewState) {})}
	if ev := cal.events[st.event]; ev != nil && !ev.cancelled() {
		d.ofEvent(cal, ev)
		return d
	}
	d.Description = str(cal.data, "description")
	d.AddURL = "https://calendar.google.com/calendar/r?cid=" + base64.RawStdEncoding.EncodeToString([]byte(cal.id))
	for _, r := range cal.ruleOrder {
		if r.role != "none" {
			d.Rules = append(d.Rules, r.snapshot())
		}
	}
	d.Live, d.Cancelled = cal.counts()
	return d
}

func (d *pageDetail) ofEvent(cal *calendarState, ev *event) {
	zone := cal.zone()
	d.EventID, d.Title, d.Location, d.Sequence = ev.id, str(ev.data, "summary"), str(ev.data, "location"), ev.sequence
	d.Text, d.Updated = linkify(plainText(str(ev.data, "description"))), ev.updated.In(zone).Format("2 Jan 15:04:05")
	if begin, _ := ev.data["start"].(obj); str(begin, "date") != "" {
		first, last := dateIn(ev.data["start"], zone), dateIn(ev.data["end"], zone).AddDate(0, 0, -1)
		d.StartType, d.Start, d.When = "date", first.Format(time.DateOnly), first.Format("Monday, 2 January 2006")+", all day"
		if last.After(first) {
			d.When = first.Format("2 January") + " – " + last.Format("2 January 2006") + ", all day"
		}
	} else {
		d.StartType, d.Start = "datetime-local", ev.start.In(zone).Format("2006-01-02T15:04")
		d.When = ev.start.In(zone).Format("Monday, 2 January 2006, 15:04") + " – " + ev.end.In(zone).Format("15:04")
	}
	ext, _ := ev.data["extendedProperties"].(obj)
	private, _ := ext["private"].(obj)
	for _, k := range sortedKeys(private) {
		v, _ := private[k].(string)
		d.Props = append(d.Props, [2]string{k, v})
	}
}

var (
	breaks = regexp.MustCompile(`(?i)<br\s*/?>|</p>|</li>|</div>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// plainText reads a description's HTML as text: the page shows nobody's markup.
func plainText(s string) string {
	return html.UnescapeString(tags.ReplaceAllString(breaks.ReplaceAllString(s, "\n"), ""))
}

func linkify(s string) []textPart {
	var out []textPart
	for _, line := range strings.SplitAfter(s, "\n") {
		for _, word := range strings.SplitAfter(line, " ") {
			if w := strings.TrimSpace(word); strings.HasPrefix(w, "https://") || strings.HasPrefix(w, "http://") {
				out = append(out, textPart{Text: w, Link: w}, textPart{Text: word[len(w):]})
			} else {
				out = append(out, textPart{Text: word})
			}
		}
	}
	return out
}
