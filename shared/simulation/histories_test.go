package simulation_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/simulation"
)

var (
	seeds  = flag.Int("seeds", 500, "how many histories TestHistories runs")
	steps  = flag.Int("steps", 100, "of how many steps each")
	seed   = flag.Uint64("seed", 0, "run the history of this seed only, and print what happens in it")
	first  = flag.Uint64("first", 1, "the first of the seeds")
	shrink = flag.Duration("shrink", 30*time.Second, "how long to look for a shorter history that fails alike")
	loud   = flag.Bool("loud", false, "show the product's log of a history replayed by -seed")
)

func runner(t *testing.T) *simulation.Runner {
	t.Helper()
	r, err := simulation.NewRunner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHistories(t *testing.T) {
	r := runner(t)
	if *seed != 0 {
		h := simulation.Generate(*seed, *steps)
		result := r.Run(t, h, simulation.Plant{})
		result = r.Shrink(t, result, simulation.Plant{}, *shrink)
		if *loud {
			r.Log = os.Stderr
			result = r.Run(t, result.History, simulation.Plant{})
		}
		t.Log(result.History)
		for _, line := range result.Trace {
			t.Log(line)
		}
		t.Logf("took %v, %d polls, %d kills, %d calls", result.Took, result.Polls, result.Kills, result.Calls)
		for _, v := range result.Violations {
			t.Error(v)
		}
		return
	}
	for n := range *seeds {
		s := *first + uint64(n)
		h := simulation.Generate(s, *steps)
		result := r.Run(t, h, simulation.Plant{})
		if result.Failed() {
			t.Errorf("seed %d: %v (took %v)", s, result.Violations, result.Took)
		}
	}
}
