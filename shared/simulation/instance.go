package simulation

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/erp-calendar/erp-calendar/shared/fake/deployment"
	"github.com/erp-calendar/erp-calendar/shared/fake/inprocess"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// errKilled is what a dead instance gets for every effect. It wraps context.Canceled:
// whether the last call was made is unknown.
var errKilled = fmt.Errorf("simulation: the instance was killed: %w", context.Canceled)

// instance is one process of the product: all functions, with caches and a skewed clock
// of their own, and a gate before and after every effect on the outside world.
type instance struct {
	w    *world
	name string
	skew time.Duration

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	dead    bool
	effects int
	// killAt is the number of the effect at which it dies; 0 for none.
	killAt    int
	killAfter bool // after the effect instead of before it
	ids       int

	functions map[string]http.Handler
	store     *store.Store
	publisher *publisher
}

// boot starts an instance in a slot.
func (w *world) boot(slot int) (*instance, error) {
	w.boots++
	i := &instance{w: w, name: fmt.Sprintf("instance-%d-%d", slot, w.boots)}
	i.skew = w.dice.between(-90*time.Second, 90*time.Second, "skew", i.name)
	i.ctx, i.cancel = context.WithCancel(w.ctx)
	i.store = store.New(w.defect.backend(&instanceStore{inner: w.memory, i: i}))
	i.publisher = &publisher{i: i}
	cfg := w.config
	// A budget so small that a history can come near it.
	cfg.RequestsPerMinute, cfg.CalendarsPerHour = w.setup.RequestsPerMinute, w.setup.CalendarsPerHour
	var err error
	i.functions, _, err = deployment.Functions(i.ctx, cfg.Config, deployment.Deps{
		Store: i.store, Cipher: w.cipher, Publisher: w.defect.publisher(i.publisher), Transport: w.defect.transport(&transport{i: i}),
		NewID: i.newID, Now: i.now, Log: w.log,
	})
	return i, err
}

// now is the instance's clock, which is off by its skew.
func (i *instance) now() time.Time { return time.Now().Add(i.skew) }

// newID gives random ids that are the same in every replay.
func (i *instance) newID() string {
	i.mu.Lock()
	i.ids++
	n := strconv.Itoa(i.ids)
	i.mu.Unlock()
	var id uuid.UUID
	high, low := i.w.dice.draw("id", i.name, n, "high"), i.w.dice.draw("id", i.name, n, "low")
	for b := range 8 {
		id[b], id[8+b] = byte(high>>(8*b)), byte(low>>(8*b))
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// before is the gate that each effect passes first.
func (i *instance) before() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dead {
		return errKilled
	}
	i.effects++
	if i.killAt == i.effects && !i.killAfter {
		i.dieLocked()
		return errKilled
	}
	return nil
}

// after is the gate that each answer passes. An instance that died meanwhile, or dies
// just after this effect, never gets it.
func (i *instance) after() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.dead && i.killAt > 0 && i.effects >= i.killAt && i.killAfter {
		i.dieLocked()
	}
	if i.dead {
		return errKilled
	}
	return nil
}

func (i *instance) dieLocked() {
	i.dead = true
	i.cancel()
	i.w.auditor.Killed()
	i.w.note("%s dies at its effect %d", i.name, i.effects)
}

// kill arranges the instance's death at its nth effect from now.
func (i *instance) kill(n int, after bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.killAt, i.killAfter = i.effects+max(n, 1), after
}

// die ends the instance at once.
func (i *instance) die() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.dead {
		i.dieLocked()
	}
}

func (i *instance) alive() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.dead
}

// call serves a request in the instance. answered is false where it died: then
// there is no answer at all.
func (i *instance) call(function string, r *http.Request) (answer *inprocess.Answer, answered bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(i.ctx, cancel)
	defer stop()
	answer = inprocess.Ask(i.functions[function], r.WithContext(ctx))
	return answer, !answer.Broken && i.alive()
}
