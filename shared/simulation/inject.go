package simulation

import "sync"

// faultOf is what befalls a call to the store or the queue.
type faultOf int

const (
	faultNone faultOf = iota
	// faultUnavailable: nothing is done.
	faultUnavailable
	// faultAborted: nothing is done, after too much contention.
	faultAborted
	// faultLost: it is done, and seems to have failed.
	faultLost
	// faultSlow: it is done after seconds.
	faultSlow
)

// armed is a fault in waiting.
type armed struct {
	what, of     string // "store" or "publish"; collection or topic, "" for any
	fault        faultOf
	first, count int
	seen         int
}

// injector spoils chosen calls to the store and the queue. The ERP's and
// Google's own faults are injected by their stand-ins.
type injector struct {
	mu    sync.Mutex
	armed []*armed
}

func (in *injector) arm(a armed) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.armed = append(in.armed, &a)
}

// clear ends all faults.
func (in *injector) clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.armed = nil
}

// take gives the fault that befalls this call.
func (in *injector) take(what, of string) faultOf {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range in.armed {
		if a.what != what || a.of != "" && a.of != of {
			continue
		}
		a.seen++
		if a.seen >= a.first && a.seen < a.first+a.count {
			return a.fault
		}
	}
	return faultNone
}
