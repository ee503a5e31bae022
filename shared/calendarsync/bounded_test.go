package calendarsync_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/erp-calendar/erp-calendar/shared/calendarsync" //nolint:revive // the package under test, seen from outside
)

// hostile are texts that an admin may save: each costs nothing on the sample, whose id is
// 123, and a great deal elsewhere.
func hostile() map[string]string {
	doubled := func(how string) string {
		return `x{{if ne .Task.ID 123}}{{$x := .Task.Description}}{{range 40}}{{$x = ` + how + `}}{{end}}{{end}}`
	}
	return map[string]string{
		"wide numbers":              `x{{if ne .Task.ID 123}}{{$x := printf "` + strings.Repeat(`%999999d`, 20) + `"` + strings.Repeat(" 1", 20) + `}}{{range 200}}{{$x = printf "%s%s%s" $x $x $x}}{{end}}{{end}}`,
		"a width":                   `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "%999999d" 1)}}{{end}}{{end}}`,
		"a width that is given":     `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "%*d" 999999 1)}}{{end}}{{end}}`,
		"a precision":               `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "%.999999f" 1.5)}}{{end}}{{end}}`,
		"a precision that is given": `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "%.*f" 999999 1.5)}}{{end}}{{end}}`,
		"a format that is made":     `x{{if ne .Task.ID 123}}{{$f := printf "%s%s" "%99" "9999d"}}{{range 9000}}{{len (printf $f 1)}}{{end}}{{end}}`,
		"one argument many times":   `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "` + strings.Repeat("%[1]s", 500) + `" .Task.Description)}}{{end}}{{end}}`,
		"printf doubles":            doubled(`printf "%s%s" $x $x`),
		"print doubles":             doubled(`print $x $x`),
		"println doubles":           doubled(`println $x $x`),
		"a quoted text":             doubled(`printf "%q" $x`),
		"html grows":                doubled(`html $x $x "<>&"`),
		"js grows":                  doubled(`js $x $x "<>&"`),
		"urlquery grows":            doubled(`urlquery $x $x "<>&"`),
		"everything, again":         `x{{if ne .Task.ID 123}}{{range 9000}}{{len (print $)}}{{end}}{{end}}`,
		"everything, printed":       `x{{if ne .Task.ID 123}}{{range 9000}}{{len (printf "%#v" $)}}{{end}}{{end}}`,
		"html of much":              `x{{if ne .Task.ID 123}}{{range 9000}}{{len (html .Task.Description)}}{{end}}{{end}}`,
		"comparisons":               `x{{if ne .Task.ID 123}}{{range 9000}}{{if eq` + strings.Repeat(" $.Task.Description", 300) + `}}{{end}}{{end}}{{end}}`,
		"long pipelines":            `x{{if ne .Task.ID 123}}{{range 9000}}{{if and` + strings.Repeat(" (not (not 1))", 500) + `}}{{end}}{{end}}{{end}}`,
		"loops in loops":            `x{{if ne .Task.ID 123}}{{range 9000}}{{range 9000}}{{end}}{{end}}{{end}}`,
		"many nodes in a loop":      `x{{if ne .Task.ID 123}}{{range 9000}}` + strings.Repeat("{{if 0}}{{end}}", 500) + `{{end}}{{end}}`,
		"the address, thousandfold": `{{range 9000}}{{$.Task.Address}}{{$.Task.Description}}{{end}}`,
	}
}

// What one run of a template makes and takes is bounded whatever the data, and also where
// the check did not see it (rule 10.17).
func TestATemplateIsBoundedWhateverTheData(t *testing.T) {
	long := strings.Repeat("<'Ї", 1<<14)
	bulky := read(task(func(x *Task) {
		x.ID, x.Priority = 7, 2_000_000_000
		x.TypeName, x.Customer, x.Address, x.Description = long, long, long, long
	}))
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, settings(func(s *Settings) { s.EventTitle, s.EventDescription = text, text }))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			d := r.Decide(bulky, recipient(), false)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if d.Verdict != Unknown || d.Reason != ReasonRefusedContent {
				t.Errorf("nothing stopped it: verdict %v, %q", d.Verdict, d.Reason)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 32<<20 {
				t.Errorf("it made %d MiB", made>>20)
			}
			if took > 5*time.Second { // milliseconds, but for a machine that is busy
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Texts of any length are no reason to leave a task out.
func TestLongTextsAreCutBeforeTheyAreUsed(t *testing.T) {
	long := strings.Repeat("Ї", 1<<20)
	r := rulesOf(t, settings())
	d := r.Decide(read(task(func(x *Task) { x.Customer, x.Description, x.Address, x.TypeName = long, long, long, long })), recipient(), false)
	if d.Verdict != Keep {
		t.Fatalf("verdict %v, %q: %v", d.Verdict, d.Reason, d.Err)
	}
	checkEvent(t, d.Event, "https://erp.example/task/123")
}

// What admins do write works.
func TestOrdinaryFormatsWork(t *testing.T) {
	s := settings(func(s *Settings) {
		s.EventTitle = `{{printf "%s, %-6s|%5d|%05.1f|%q|%x|%v|%%" .Task.Type .Task.State .Task.ID 1.25 .Task.Customer "ab" .Task.Priority}} {{print 1 2}} {{html "<"}} {{urlquery "a b"}} {{js "'"}} {{len (println "x")}}`
	})
	if err := CheckTemplates(s); err != nil {
		t.Fatal(err)
	}
	d := rulesOf(t, s).Decide(read(task(func(x *Task) { x.TypeName, x.Customer, x.Priority = "Repair", "Ivan", 2 })), recipient(), false)
	// A title is one line without runs of blanks.
	if want := `Repair, New | 123|001.2|"Ivan"|6162|2|% 1 2 &lt; a+b \' 2`; d.Verdict != Keep || d.Event.Title != want {
		t.Errorf("verdict %v, %q, title %q, want %q", d.Verdict, d.Reason, d.Event.Title, want)
	}
}
