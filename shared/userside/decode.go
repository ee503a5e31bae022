package userside

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
)

// The bounds of one answer (rule 8.8). An answer is decoded while it is read, so that one
// that breaks a bound never is in memory as a whole: 30 KiB of gzip can become gigabytes.
const (
	maxBody  = 32 << 20 // bytes, decompressed
	maxToken = 8 << 20  // bytes of one text or number
	maxCost  = 64 << 20 // bytes of memory that all values take, by costs below
	maxDepth = 64       // objects and lists inside one another
)

// What values take in memory, about.
const (
	costValue  = 16     // its place in a list, or a number's or text's head
	costObject = 48     // an object without members
	costFirst  = 36 * 8 // an object's first member: room is made for eight
	costMember = 36 * 2 // each further one, past those eight: maps grow by doubling
	firstRoom  = 8
)

var (
	errTooLarge = errors.New("the answer is larger than 32 MiB or has more values than any ERP's")
	errTooDeep  = errors.New("the answer's values are deeper than any ERP's")
	errTrailing = errors.New("something follows the JSON")
)

// The members that grow without end: one that nobody asks for, and one that few do.
const (
	memberHistory  = "history"
	memberComments = "comments"
)

// boundedBody gives at most maxBody bytes, and no token longer than maxToken.
type boundedBody struct {
	body  io.Reader
	read  int64 // bytes given
	token int64 // up to where tokens are complete
	err   error // the body's own failure: not io.EOF
	over  bool  // a bound was broken
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.read > maxBody || b.read-b.token > maxToken {
		b.over = true
		return 0, errTooLarge
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// decoder reads one JSON value from a stream.
type decoder struct {
	json  *json.Decoder
	body  *boundedBody
	cost  int
	depth int
	// comments says that they are kept.
	comments bool
}

// unread reports whether a member is passed over.
func (d *decoder) unread(name string) bool {
	return name == memberHistory || name == memberComments && !d.comments
}

// decodeJSON reads one value, and that nothing follows it. Numbers are json.Number, and
// what is unread is left out.
func decodeJSON(body *boundedBody, r io.Reader, comments bool) (any, error) {
	d := &decoder{json: json.NewDecoder(r), body: body, comments: comments}
	d.json.UseNumber()
	v, err := d.value(true)
	if err != nil {
		return nil, err
	}
	if _, more := d.json.Token(); !errors.Is(more, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}

func (d *decoder) token() (json.Token, error) {
	t, err := d.json.Token()
	d.body.token = d.json.InputOffset()
	return t, err
}

// charge counts what a value takes.
func (d *decoder) charge(cost int) error {
	if d.cost += cost; d.cost > maxCost {
		d.body.over = true
		return errTooLarge
	}
	return nil
}

// value reads a value; unless keep, only over it.
func (d *decoder) value(keep bool) (any, error) {
	t, err := d.token()
	if err != nil {
		return nil, err
	}
	if !keep {
		return nil, d.rest(t)
	}
	switch t := t.(type) {
	case json.Delim:
		if d.depth++; d.depth > maxDepth {
			d.body.over = true
			return nil, errTooDeep
		}
		defer func() { d.depth-- }()
		if t == '{' {
			return d.object()
		}
		return d.list()
	case string:
		return t, d.charge(costValue + len(t))
	case json.Number:
		return t, d.charge(costValue + len(t))
	}
	return t, d.charge(costValue) // true, false and null
}

func (d *decoder) object() (object, error) {
	o := object{}
	if err := d.charge(costObject); err != nil {
		return nil, err
	}
	for d.json.More() {
		t, err := d.token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder lets nothing else stand there
		v, err := d.value(!d.unread(key))
		if err != nil {
			return nil, err
		}
		if d.unread(key) {
			continue
		}
		cost := len(key)
		switch n := len(o); {
		case n == 0:
			cost += costFirst
		case n >= firstRoom:
			cost += costMember
		}
		if err := d.charge(cost); err != nil {
			return nil, err
		}
		o[key] = v
	}
	_, err := d.token()
	return o, err
}

func (d *decoder) list() ([]any, error) {
	list := []any{}
	for d.json.More() {
		// A list that grows a quarter at a time has been copied five times when it ends.
		if err := d.charge(6 * costValue); err != nil {
			return nil, err
		}
		v, err := d.value(true)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.token()
	return list, err
}

// rest reads to the end of the value that begins with a token.
func (d *decoder) rest(t json.Token) error {
	for open := 0; ; {
		if delim, ok := t.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				open++
			} else {
				open--
			}
		}
		if open > maxDepth {
			d.body.over = true
			return errTooDeep
		}
		if open == 0 {
			return nil
		}
		var err error
		if t, err = d.token(); err != nil {
			return err
		}
	}
}

// afterSpace skips white space and the mark that some editors put before a file, and gives
// the first byte of what follows; 0 where nothing does.
func afterSpace(r *bufio.Reader) byte {
	for {
		switch b, err := r.ReadByte(); {
		case err != nil:
			return 0
		case b == ' ', b == '\t', b == '\n', b == '\r', b == '\v', b == '\f':
		case b == 0xEF:
			if mark, err := r.Peek(2); err != nil || mark[0] != 0xBB || mark[1] != 0xBF {
				return b // and no JSON begins with it
			}
			_, _ = r.Discard(2) // what was peeked at
		default:
			_ = r.UnreadByte() // it was just read
			return b
		}
	}
}
