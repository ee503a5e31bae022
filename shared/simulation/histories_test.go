package simulation_test

import (
	"embed"
	"flag"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	often  = flag.String("often", "", "kinds of steps to come more often, as \"poll=25,kill=3\"")
	defect = flag.String("defect", "", "plant only the defects of this name")
	rows   = flag.String("rows", "", "draw the answers of these rows only, as \"G3,E5\"; \"none\" for none")
	loud   = flag.Bool("loud", false, "show the product's log of the history of -seed")
)

func runner(t *testing.T) *simulation.Runner {
	t.Helper()
	// A history makes little garbage: collecting it less often saves a tenth of the time.
	t.Cleanup(func() { debug.SetGCPercent(100) })
	debug.SetGCPercent(800)
	r, err := simulation.NewRunner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inParallel runs do for each of n numbers on all processors.
func inParallel(t *testing.T, n int, do func(t *testing.T, i int)) {
	t.Helper()
	var next atomic.Int64
	t.Run("group", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
					do(t, i-1)
				}
			})
		}
	})
}

// TestHistories runs seeded histories and has each one judged. A failing one is shortened
// and printed; -seed replays it.
func TestHistories(t *testing.T) {
	r := runner(t)
	if *seed != 0 {
		replay(t, r)
		return
	}
	began := time.Now()
	var took, kills, calls, failed atomic.Int64
	var met ways
	inParallel(t, *seeds, func(t *testing.T, i int) {
		h := generate(t, *first+uint64(i))
		result := r.Run(t, h, simulation.Defect{})
		took.Add(int64(result.Took))
		kills.Add(int64(result.Kills))
		calls.Add(int64(result.Calls))
		met.add(result.Met)
		if !result.Failed() {
			return
		}
		t.Errorf("seed %d: %v", h.Seed, result.Violations)
		if failed.Add(1) <= 2 {
			short := r.Shrink(t, result, simulation.Defect{}, *shrink)
			t.Logf("shortest: %s", short)
		}
	})
	t.Logf("%d histories of %d steps in %v: %v of their own time, %d kills, %d Calendar calls, %d failed", *seeds, *steps,
		time.Since(began).Round(time.Second), time.Duration(took.Load()).Round(time.Hour), kills.Load(), calls.Load(), failed.Load())
	t.Logf("ways met, and in how many histories:\n%s", &met)
}

// ways adds up how often each was met, and in how many histories.
type ways struct {
	mu        sync.Mutex
	met, once simulation.Met
}

func (w *ways) add(met simulation.Met) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.met == nil {
		w.met, w.once = simulation.Met{}, simulation.Met{}
	}
	for way, n := range met {
		w.met[way] += n
		w.once[way]++
	}
}

func (w *ways) String() string {
	lines := strings.Split(w.met.String(), "\n")
	for i, line := range lines {
		if _, way, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			lines[i] += " (" + strconv.Itoa(w.once[way]) + ")"
		}
	}
	return strings.Join(lines, "\n")
}

// generate draws a history as the flags say.
func generate(t *testing.T, seed uint64) simulation.History {
	t.Helper()
	h := simulation.GenerateWith(seed, *steps, oftener(t))
	switch *rows {
	case "":
	case "none":
		h.Rows = nil
	default:
		h.Rows = strings.Split(*rows, ",")
	}
	return h
}

//go:embed testdata
var failedOnce embed.FS

// TestHistoriesThatFailedOnce runs the histories in which campaigns found a defect of the
// product that was then mended. They are kept as text, because what a seed gives changes
// with every kind of step that is added.
func TestHistoriesThatFailedOnce(t *testing.T) {
	r := runner(t)
	for name, file := range map[string]string{
		"readings that lack different things proved an absence":                "absence",
		"calls that waited for a token went out together":                      "token",
		"slots of a small budget were used too late":                           "slots",
		"a call that had its slot waited for another's reading of the account": "account",
		"an event under a taken id that could not be read was forgotten":       "taken-id",
		"what was kept could not be reopened beside a former calendar":         "kept",
		"a double whose deletion met a 412 was forgotten":                      "double",
		"a slip in a role's text took all events of its state":                 "role-text",
		"a purge gave calendars up because Google showed no marks any more":    "blank",
	} {
		t.Run(name, func(t *testing.T) {
			text, err := failedOnce.ReadFile("testdata/" + file + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			h, err := simulation.ParseHistory(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if result := r.Run(t, h, simulation.Defect{}); result.Failed() {
				t.Errorf("%s", result)
			}
		})
	}
}

// TestABlindReaderIsMet: rule 5.7, a share that says reader and shows busy times only is met in the
// end, when whoever is outside looks, and all is judged right with it as it is: the product can see
// nothing of that, writes nothing for it and calls it nothing.
func TestABlindReaderIsMet(t *testing.T) {
	const way = "G6 outside shares blind"
	r := runner(t)
	met, histories := 0, 0
	for seed := uint64(1); histories < 4; seed++ {
		if !simulation.Draws(seed, way) {
			continue
		}
		histories++
		h := simulation.Generate(seed, 10)
		h.Rows = []string{"G6"}
		result := r.Run(t, h, simulation.Defect{})
		if met += result.Met[way]; result.Failed() {
			t.Errorf("%s", result)
		}
	}
	if met == 0 {
		t.Errorf("%q is drawn, and nobody met it", way)
	}
}

func TestAPrintedHistoryIsReadAgain(t *testing.T) {
	t.Parallel()
	want := simulation.Generate(7, 300)
	got, err := simulation.ParseHistory(want.String())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("read %v: %v", got, err)
	}
	text := simulation.Generate(7, 2).String()
	for name, bad := range map[string]string{
		"nothing": "", "a step less": text[:strings.LastIndex(strings.TrimSpace(text), "\n")+1], "a line more": text + "\n",
		"another kind": strings.Replace(text, string(want.Steps[0].Kind), "task.paint", 1), "no duration": strings.Replace(text, "then ", "then a", 1),
		"more on a line": strings.Replace(text, "then ", "then  ", 1), "no seed": strings.Replace(text, "seed 7", "seed x", 1),
	} {
		if _, err := simulation.ParseHistory(bad); err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}

// oftener reads the flag of that name.
func oftener(t *testing.T) map[simulation.Kind]int {
	t.Helper()
	out := map[simulation.Kind]int{}
	for part := range strings.SplitSeq(*often, ",") {
		if kind, n, ok := strings.Cut(part, "="); ok {
			times, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			out[simulation.Kind(kind)] = times
		}
	}
	return out
}

func replay(t *testing.T, r *simulation.Runner) {
	t.Helper()
	result := r.Run(t, generate(t, *seed), simulation.Defect{})
	result = r.Shrink(t, result, simulation.Defect{}, *shrink)
	if *loud {
		r.Log = os.Stderr
		result = r.Run(t, result.History, simulation.Defect{})
	}
	t.Logf("%s", result)
	if result.Failed() {
		t.Fail()
	}
}
