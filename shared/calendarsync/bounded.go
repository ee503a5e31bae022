package calendarsync

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// What one run of a template may cost, whatever the data (rule 10.17): an admin's session
// may be in a stranger's hands, and what a template does with one task no sample shows.
const (
	// maxRendered bounds what a template writes, before it is cut.
	maxRendered = 64 << 10
	// maxMade bounds what its functions make and read of texts besides, added up.
	maxMade = 512 << 10
	// maxResult bounds what one function makes. fmt and the escapers make it before anybody
	// can look at it, so that it is estimated from the arguments.
	maxResult = 1 << 20
	// maxWidth is the most that a format may ask for as a width or a precision.
	maxWidth = 1000
	// maxSteps bounds how much is done: {{range 1000000000}}{{end}} writes nothing and would
	// run for minutes. A step is a node of the template, or so many characters of one.
	maxSteps       = 10_000
	stepCharacters = 16
	// maxExecutors is how many names of a task's executors a template sees.
	maxExecutors = 200
	// maxFields is how many additional fields, each under two names.
	maxFields = 200
)

var (
	errTooLong      = errors.New("gives more than 64 KiB of text")
	errTooManySteps = errors.New("loops too often, or does too much in a loop")
	errTooMuch      = errors.New("makes more than 512 KiB of text on the way")
	errWidth        = fmt.Errorf("asks printf for a width or precision over %d, or for one that the arguments give", maxWidth)
	errArgument     = errors.New("asks printf for an argument by its number, such as %[1]s")
)

// run executes a template under the bounds.
func run(t *template.Template, d TemplateData) (string, error) {
	// The functions count for this run alone; the parsed text is shared.
	t, err := t.Clone()
	if err != nil {
		return "", err
	}
	m := &meter{steps: maxSteps, made: maxMade}
	if err := t.Funcs(m.functions()).Execute(m, cutData(d)); err != nil {
		return "", err
	}
	return m.written.String(), nil
}

// cutData cuts the texts of a template's data to what an event can hold.
func cutData(d TemplateData) TemplateData {
	t := &d.Task
	for _, text := range []*string{&d.Employee.Name, &t.Type, &t.State, &t.Customer, &t.Address, &t.Description, &t.URL, &t.Phone, &t.Comment, &t.Division} {
		*text = cut(*text, MaxDescription)
	}
	if t.Fields != nil {
		fields := make(map[string]string, min(len(t.Fields), maxFields))
		for _, name := range slices.Sorted(maps.Keys(t.Fields))[:min(len(t.Fields), maxFields)] {
			fields[cut(name, MaxName)] = cut(t.Fields[name], MaxDescription)
		}
		t.Fields = fields
	}
	executors := t.Executors
	t.Executors = nil
	for _, name := range executors[:min(len(executors), maxExecutors)] {
		t.Executors = append(t.Executors, cut(name, MaxName))
	}
	return d
}

// meter counts what a run costs. It is the run's writer.
type meter struct {
	written     bytes.Buffer
	steps, made int
}

// Write takes a part of the result. An empty one is a step: see countSteps.
func (m *meter) Write(p []byte) (int, error) {
	if m.written.Len()+len(p) > maxRendered {
		return 0, errTooLong
	}
	if m.steps--; m.steps < 0 {
		return 0, errTooManySteps
	}
	return m.written.Write(p)
}

func (m *meter) charge(n int) error {
	if m.made -= n; m.made < 0 {
		return errTooMuch
	}
	return nil
}

// functions replace those of text/template whose results grow with their arguments.
func (m *meter) functions() template.FuncMap {
	return template.FuncMap{
		"print":    m.limited(2, fmt.Sprint),
		"println":  m.limited(2, fmt.Sprintln),
		"html":     m.limited(6, template.HTMLEscaper),
		"js":       m.limited(6, template.JSEscaper),
		"urlquery": m.limited(3, template.URLQueryEscaper),
		"printf":   m.printf,
	}
}

// limited bounds a function whose result is at most grows times its arguments.
func (m *meter) limited(grows int, f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		size, err := m.size(args)
		if err != nil {
			return "", err
		}
		return m.result(grows*size, func() string { return f(args...) })
	}
}

func (m *meter) printf(format string, args ...any) (string, error) {
	asked, err := widths(format)
	if err != nil {
		return "", err
	}
	size, err := m.size(args)
	if err != nil {
		return "", err
	}
	// %q writes up to ten characters for four bytes, "% #x" five for one. A number, or the
	// complaint about a wrong verb, takes less than 400.
	return m.result(len(format)+asked+6*size+400*len(args), func() string { return fmt.Sprintf(format, args...) })
}

func (m *meter) result(most int, made func() string) (string, error) {
	if most > maxResult {
		return "", errTooMuch
	}
	text := made()
	return text, m.charge(len(text))
}

// size adds up how long the arguments are as texts, and charges for it.
func (m *meter) size(args []any) (int, error) {
	total := 0
	for _, a := range args {
		n := 20
		switch a := a.(type) {
		case string:
			n += len(a)
		case int, int64, float64, bool, nil, TaskID, EmployeeID:
		default:
			n += len(fmt.Sprintf("%#v", a))
		}
		if err := m.charge(n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// widths adds up the widths and precisions of a format.
func widths(format string) (total int, err error) {
	for {
		_, verb, found := strings.Cut(format, "%")
		if !found {
			return total, nil
		}
		verb = strings.TrimLeft(verb, "+-# 0")
		number := 0
		for number <= maxWidth && verb != "" && (verb[0] == '.' || '0' <= verb[0] && verb[0] <= '9') {
			if verb[0] == '.' {
				total += number
				number = 0
			} else {
				number = 10*number + int(verb[0]-'0')
			}
			verb = verb[1:]
		}
		switch {
		case number > maxWidth, strings.HasPrefix(verb, "*"):
			return 0, errWidth
		case strings.HasPrefix(verb, "["):
			return 0, errArgument
		}
		total += number
		format = strings.TrimPrefix(verb, "%")
	}
}

// countSteps makes each node write empty texts before it is executed, one and one more for
// every stepCharacters of what it evaluates, and each list one for itself: the meter counts
// what is written.
func countSteps(list *parse.ListNode) {
	if list == nil {
		return
	}
	// The list's own is in front: a {{continue}} must not jump over it.
	nodes := []parse.Node{step(list.Pos)}
	for _, n := range list.Nodes {
		evaluated := ""
		switch n := n.(type) {
		case *parse.ActionNode:
			evaluated = n.String()
		case *parse.TemplateNode:
			evaluated = n.String()
		case *parse.IfNode:
			evaluated = n.Pipe.String()
			countSteps(n.List)
			countSteps(n.ElseList)
		case *parse.WithNode:
			evaluated = n.Pipe.String()
			countSteps(n.List)
			countSteps(n.ElseList)
		case *parse.RangeNode:
			evaluated = n.Pipe.String()
			countSteps(n.List)
			countSteps(n.ElseList)
		}
		if evaluated != "" {
			for range 1 + len(evaluated)/stepCharacters {
				nodes = append(nodes, step(n.Position()))
			}
		}
		nodes = append(nodes, n)
	}
	list.Nodes = nodes
}

func step(at parse.Pos) parse.Node { return &parse.TextNode{NodeType: parse.NodeText, Pos: at} }
