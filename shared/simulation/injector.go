package simulation

import "sync"

// callFault is what goes wrong with a call to the store or the queue.
type callFault int

const (
	faultNone callFault = iota
	// faultUnavailable: nothing is done.
	faultUnavailable
	// faultAborted: nothing is done, after too much contention.
	faultAborted
	// faultLost: it is done, and seems to have failed.
	faultLost
	// faultSlow: it is done after seconds.
	faultSlow
)

// armedFault strikes some of the next matching calls: count of them, from the first-th.
type armedFault struct {
	what, of     string // "store" or "publish"; the operation or topic, "" for any
	fault        callFault
	first, count int
	calls        int // so far
}

// injector injects faults into calls to the store and the queue. The stand-ins of the
// ERP and of Google inject their own.
type injector struct {
	mu    sync.Mutex
	armed []*armedFault
}

func (in *injector) arm(a armedFault) {
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

// next gives the fault of this call, which it counts.
func (in *injector) next(what, of string) callFault {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range in.armed {
		if a.what != what || a.of != "" && a.of != of {
			continue
		}
		a.calls++
		if a.calls >= a.first && a.calls < a.first+a.count {
			return a.fault
		}
	}
	return faultNone
}
