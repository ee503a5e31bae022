package simulation_test

import (
	"flag"
	"strconv"
	"sync"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/simulation"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

var (
	emulated = flag.Int("emulated", 50, "how many histories run against the Firestore emulator")
	together = flag.Int("together", 20, "how many of them at a time")
)

// TestHistoriesOnFirestore runs histories against Google's emulator: what the
// simulated store only imitates, contention and lost transactions, is real here.
func TestHistoriesOnFirestore(t *testing.T) {
	fs := testenv.Firestore(t)
	r := runner(t)
	var running sync.WaitGroup
	for worker := range *together {
		running.Go(func() {
			for n := worker; n < *emulated; n += *together {
				one(t, r, fs, n)
			}
		})
	}
	running.Wait()
}

func one(t *testing.T, r *simulation.Runner, fs testenv.Emulator, n int) {
	t.Helper()
	// A project of its own is an empty database.
	backend, err := firestore.New(t.Context(), fs.Project+"-"+strconv.Itoa(n), "(default)", fs.ClientOptions(t)...)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = backend.Close() }()
	result := r.RunOutside(t, simulation.Generate(*first+uint64(n), *steps), backend)
	if result.Failed() {
		t.Errorf("%s", result)
	}
	t.Logf("seed %d took %v, %d kills, %d polls, %d calls", result.History.Seed, result.Took, result.Kills, result.Polls, result.Calls)
}
