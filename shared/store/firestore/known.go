package firestore

import (
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/store/document"
)

const (
	// knownFor is how long a transaction may begin from what this process last saw of a
	// document. The commit proves that nobody has written it since; so the bound is only
	// there because the database's clock is reckoned from that time.
	knownFor = 20 * time.Second
	// mostKnown bounds the memory that it takes.
	mostKnown = 500
)

// sighting is a document as this process last saw or wrote it.
type sighting struct {
	doc *pb.Document // nil: there was none
	// at is the database's time of that, sent this instance's before it was asked.
	at, sent time.Time
}

// now reckons the database's clock: not before it, and later than it by no more than the
// call took that saw the document. ok is false for one that was seen too long ago, also
// by the wall clock: an instance may have slept.
func (s sighting) now() (now time.Time, ok bool) {
	here := time.Now()
	since, byWall := here.Sub(s.sent), here.Round(0).Sub(s.sent.Round(0))
	return document.Time(s.at.Add(since)), since < knownFor && byWall >= 0 && byWall < knownFor
}

// sightings are the latest ones, by resource name. Safe for concurrent use.
type sightings struct {
	mu sync.Mutex
	of map[string]sighting
}

func (s *sightings) note(name string, seen sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || len(s.of) >= mostKnown {
		s.of = map[string]sighting{}
	}
	if before, there := s.of[name]; !there || !seen.at.Before(before.at) {
		s.of[name] = seen
	}
}

func (s *sightings) get(name string) (seen sighting, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, ok = s.of[name]
	return seen, ok
}

func (s *sightings) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, name)
}

// known gives a document as this process last saw it; where it did not of late, or the
// transaction is run again, it reads.
func (t *tx) known(ref store.Ref, op string) (document.Tree, time.Time, error) {
	name := t.b.name(ref)
	_, read := t.seen[name]
	seen, there := t.b.seen.get(name)
	now, recent := seen.now()
	if t.again || t.rerun || read || !there || !recent {
		return t.read(ref, op)
	}
	t.seen[name], t.trusted = seen.doc, true
	if t.at != nil {
		now = document.Time(t.at.AsTime())
	}
	return treeOf(seen.doc), now, nil
}

// remember keeps what a commit made of the documents that were read for it: these are
// what the next transaction of this process begins from.
func (t *tx) remember(req *pb.CommitRequest, res *pb.CommitResponse, sent time.Time) {
	for i, w := range req.Writes {
		doc := w.GetUpdate()
		if doc == nil || i >= len(res.GetWriteResults()) {
			t.b.seen.forget(w.GetDelete())
			continue
		}
		if _, read := t.seen[doc.Name]; read {
			seen := &pb.Document{Name: doc.Name, Fields: doc.Fields, UpdateTime: res.WriteResults[i].UpdateTime}
			t.b.seen.note(doc.Name, sighting{seen, document.Time(res.CommitTime.AsTime()), sent})
		}
	}
}

// forget drops what turned out not to hold, or whose outcome is unknown.
func (t *tx) forget() {
	for name := range t.seen {
		t.b.seen.forget(name)
	}
}
