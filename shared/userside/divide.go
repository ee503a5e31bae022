package userside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// What one reading of many may spend on parts of what gave no answer as a whole (rule 8.9).
const (
	divideCalls = 64
	divideTime  = time.Minute
	partTimeout = 5 * time.Second // one attempt of a part
	// leastLearned is the smallest batch that is taken for what the ERP can bear; what
	// fails below fails because of a record.
	leastLearned = 10
	// maxSuspects bounds how many ids are asked for apart.
	maxSuspects = 200
)

// spoiledError is a failure that one bad record or too many ids can cause: an answer that
// is empty, cut, a page, too large or a 5xx, or none in time.
type spoiledError struct{ err *failure.Error }

func (e *spoiledError) Error() string { return e.err.Error() }

// Unwrap gives the failure.
func (e *spoiledError) Unwrap() error { return e.err }

func spoiled(err error) bool {
	_, ok := errors.AsType[*spoiledError](err)
	return ok
}

// bearing is what a client has learned, while it lives, of how much of one kind the ERP
// can be asked for at once.
type bearing[ID ~int64] struct {
	mu sync.Mutex
	// bearable is how many ids of one call the ERP was seen to bear, and apart are those
	// that gave no answer.
	bearable int
	apart    map[ID]suspicion
	asked    int // numbers the times that suspects were asked for
	silent   int // counts the times that the ERP showed none of those sampled
}

// suspicion is how an id that gave no answer is asked for next.
type suspicion struct {
	together int // with how many others of the kind, itself among them
	turn     int // who was asked for longest ago is the first
}

func newBearing[ID ~int64]() *bearing[ID] {
	return &bearing[ID]{bearable: batch, apart: map[ID]suspicion{}}
}

// divider reads things of one kind by id, and in parts what gives no answer as a whole
// (rule 8.9). It is made for one reading.
type divider[ID ~int64, R any] struct {
	*bearing[ID]
	kind string // "task" or "employee", for errors
	// read asks for ids and puts the readings into out; once: without repeating.
	read func(ctx context.Context, ids []ID, once bool) error
	// shows asks whether the ERP shows anything of the kind, if not these.
	shows func(ctx context.Context, asked []ID) (bool, error)
	// isShown reports whether a reading is one of a thing that is there.
	isShown func(R) bool
	// invalid is the reading of a thing that gives no answer.
	invalid func(error) R
	// mayBe reports whether the ERP may not have an id at all; nil: none.
	mayBe func(ID) bool
	out   map[ID]R
	// until is when parts are no longer asked for; zero: none was yet.
	until time.Time

	calls int  // spent on parts
	alive bool // the ERP shows some
}

// part are ids that gave no answer together, and why.
type part[ID ~int64] struct {
	ids []ID
	why error
}

// readAll reads ids; once: without repeating, and only while there is time for parts, as
// these are parts of something themselves.
func (d *divider[ID, R]) readAll(ctx context.Context, ids []ID, once bool) error {
	sound, suspect := d.batches(ids)
	for _, batch := range sound {
		// What was learned from the batch before holds for this one.
		for ids := range slices.Chunk(batch, d.bears()) {
			if once && d.late() {
				d.setApart(part[ID]{ids, d.tooMany()})
				continue
			}
			err := d.read(ctx, ids, once)
			if spoiled(err) && ctx.Err() == nil {
				err = d.divide(ctx, part[ID]{ids, err})
			}
			if err != nil {
				return err
			}
		}
	}
	for _, ids := range suspect {
		if err := d.readSuspect(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// divide reads in halves what gave no answer as a whole. Of what fails alone, or is not
// reached within the bounds, the reading is Invalid.
func (d *divider[ID, R]) divide(ctx context.Context, whole part[ID]) error {
	alive, err := d.isAlive(ctx, whole.ids)
	if err != nil {
		return err
	}
	if !alive {
		return whole.why
	}
	d.beginParts(ctx)
	bounded, cancel := context.WithDeadline(ctx, d.until)
	defer cancel()
	// Level by level, so that what is sound is read before the last bad record is found.
	failed := []part[ID]{whole}
	for len(failed) > 0 {
		var next []part[ID]
		for _, whole := range failed {
			smaller, err := d.readHalves(ctx, bounded, whole)
			if err != nil {
				return err
			}
			next = append(next, smaller...)
		}
		failed = next
	}
	return nil
}

// beginParts limits the time for the parts of this reading, all together: the others'
// readings are to be acted upon within the same deadline.
func (d *divider[ID, R]) beginParts(ctx context.Context) {
	if !d.until.IsZero() {
		return
	}
	limit := divideTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	d.until = time.Now().Add(limit)
}

// late reports whether the time for parts is over, and spent whether that or their number
// is.
func (d *divider[ID, R]) late() bool { return !d.until.IsZero() && !time.Now().Before(d.until) }

func (d *divider[ID, R]) spent() bool { return d.calls >= divideCalls || d.late() }

func (d *divider[ID, R]) tooMany() error {
	return failure.New(failure.Source, "userside: read "+d.kind+"s", "too many give no answer")
}

// isAlive reports whether the ERP shows anything of the kind. Where it shows nothing it is
// down, and no record is to blame.
func (d *divider[ID, R]) isAlive(ctx context.Context, asked []ID) (bool, error) {
	for _, r := range d.out {
		d.alive = d.alive || d.isShown(r)
	}
	if d.alive {
		return true, nil
	}
	var err error
	d.alive, err = d.shows(ctx, asked)
	return d.alive, err
}

// readSuspect reads a part that gave no answer before.
func (d *divider[ID, R]) readSuspect(ctx context.Context, ids []ID) error {
	d.beginParts(ctx)
	if d.spent() {
		d.setApart(part[ID]{ids, d.tooMany()})
		return nil
	}
	d.calls++
	d.takeTurn(ids)
	err := d.read(ctx, ids, true)
	if mayBeSpoiled(err) && ctx.Err() == nil {
		return d.divide(ctx, part[ID]{ids, err})
	}
	return err
}

// readHalves reads a part in halves and gives those that failed. One that cannot be
// halved, or not within the bounds, is set apart.
func (d *divider[ID, R]) readHalves(ctx, bounded context.Context, whole part[ID]) ([]part[ID], error) {
	half := (len(whole.ids) + 1) / 2
	var failed []part[ID]
	for ids := range slices.Chunk(whole.ids, half) {
		if len(whole.ids) < 2 || d.spent() || bounded.Err() != nil {
			d.setApart(whole)
			return nil, nil
		}
		d.calls++
		switch err := d.read(bounded, ids, true); {
		case err == nil:
		case ctx.Err() == nil && (mayBeSpoiled(err) || bounded.Err() != nil):
			failed = append(failed, part[ID]{ids, err})
		default:
			return nil, err
		}
	}
	if len(failed) == 0 {
		d.learn(half)
	}
	return failed, nil
}

// mayBeSpoiled also takes an answer that cannot be trusted for the work of a bad record:
// where the whole was spoiled, it is.
func mayBeSpoiled(err error) bool { return spoiled(err) || failure.Is(err, failure.SourceInvalid) }

// setApart gives each id of a part that has no reading an Invalid one. Next time they are
// asked for in smaller parts.
func (d *divider[ID, R]) setApart(whole part[ID]) {
	for _, id := range whole.ids {
		_, read := d.out[id]
		if read || len(whole.ids) > 1 && d.mayBe != nil && d.mayBe(id) {
			continue
		}
		d.out[id] = d.invalid(&failure.Error{Kind: failure.SourceInvalid,
			Op: fmt.Sprintf("userside: read %s %d", d.kind, id), Detail: "the ERP gives no usable answer that includes it", Err: whole.why})
		d.suspect(id, len(whole.ids))
	}
}

// suspect remembers an id that gave no answer together with others. Who is new among the
// suspects was asked for just now.
func (b *bearing[ID]) suspect(id ID, together int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, there := b.apart[id]
	if !there {
		if len(b.apart) >= maxSuspects {
			return
		}
		s.turn = b.asked
	}
	s.together = max(together/2, 1)
	b.apart[id] = s
}

// takeTurn notes that suspects are asked for now.
func (b *bearing[ID]) takeTurn(ids []ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	for _, id := range ids {
		if s, there := b.apart[id]; there {
			s.turn = b.asked
			b.apart[id] = s
		}
	}
}

// isSuspect reports whether an id gave no answer before and has not come back.
func (b *bearing[ID]) isSuspect(id ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, is := b.apart[id]
	return is
}

// unsuspected is the first of some ids that is no suspect, or the first where all are.
func (b *bearing[ID]) unsuspected(some []ID) ID {
	for _, id := range some {
		if !b.isSuspect(id) {
			return id
		}
	}
	return some[0]
}

// learn remembers, for the life of the process, how many ids the ERP can bear.
func (b *bearing[ID]) learn(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bearable = min(b.bearable, max(n, leastLearned))
}

// bears is how many ids the ERP can bear, as far as is known.
func (b *bearing[ID]) bears() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bearable
}

// suspects reports whether something gave no answer before and has not come back.
func (b *bearing[ID]) suspects() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.apart) > 0
}

// batches cuts ids into what is asked for at once, and gives besides the parts of those
// that gave no answer before: first who was asked for longest ago, so that each has its turn
// although there may be too many for one reading.
func (b *bearing[ID]) batches(ids []ID) (sound, suspect [][]ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var whole []ID
	alike := map[suspicion][]ID{}
	for _, id := range ids {
		if s, there := b.apart[id]; there {
			alike[s] = append(alike[s], id)
		} else {
			whole = append(whole, id)
		}
	}
	order := slices.SortedFunc(maps.Keys(alike), func(x, y suspicion) int {
		return cmp.Or(cmp.Compare(x.turn, y.turn), cmp.Compare(x.together, y.together))
	})
	for _, s := range order {
		suspect = slices.AppendSeq(suspect, slices.Chunk(alike[s], s.together))
	}
	return slices.Collect(slices.Chunk(whole, b.bearable)), suspect
}

// aliveSamples is how many are asked for to see whether the ERP shows any, and fewEnough how
// many are all asked for.
const (
	aliveSamples = 3
	fewEnough    = neighbours
)

// samples gives some of ids to see whether the ERP shows any: others each time that it showed
// none of them, because it may be just these that are bad.
func (b *bearing[ID]) samples(ids []ID) []ID {
	n := len(ids)
	if n <= fewEnough {
		return ids
	}
	out := make([]ID, aliveSamples)
	for i := range out {
		out[i] = ids[(i*n/aliveSamples+b.turns())%n]
	}
	return out
}

func (b *bearing[ID]) turns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.silent
}

// shownNone notes that the ERP showed none of those sampled.
func (b *bearing[ID]) shownNone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent++
}

// cleared takes away the suspicion of what came back.
func (b *bearing[ID]) cleared(ids []ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.apart, id)
	}
}

// clear takes away every suspicion.
func (b *bearing[ID]) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.apart)
}
