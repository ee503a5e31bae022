package simulation_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/simulation"
	"github.com/erp-calendar/erp-calendar/shared/simulation/audit"
	"github.com/erp-calendar/erp-calendar/shared/store/firestore"
	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

var (
	emulated = flag.Int("emulated", 50, "how many histories run against the Firestore emulator")
	together = flag.Int("together", 25, "how many of them at a time")
)

// TestHistoriesOnFirestore runs histories against Google's emulator: what the
// simulated store only imitates, contention and lost transactions, is real here.
func TestHistoriesOnFirestore(t *testing.T) {
	fs := testenv.Firestore(t)
	r, oftener := runner(t), oftener(t)
	var running sync.WaitGroup
	for worker := range *together {
		running.Go(func() {
			for n := worker; n < *emulated; n += *together {
				h := simulation.GenerateWith(*first+uint64(n), *steps, oftener)
				result, ok := onRealClock(t, r, fs, h, simulation.Defect{})
				if result.Failed() {
					t.Errorf("%s", result)
				}
				if ok {
					t.Logf("seed %d took %v, %d kills, %d polls, %d calls", h.Seed, result.Took, result.Kills, result.Polls, result.Calls)
				}
			}
		})
	}
	running.Wait()
}

// TestADefectIsCaughtOnFirestore proves that these histories can fail: they soon do if
// instances overlook the slots that others reserved. Other defects show in fewer of
// them: of ten histories an intent that was not written failed two or three, and a guard
// that counts nothing one.
func TestADefectIsCaughtOnFirestore(t *testing.T) {
	fs := testenv.Firestore(t)
	r := runner(t)
	const atOnce, most = 5, 15
	for from := uint64(0); from < most; from += atOnce {
		results := make([]simulation.Result, atOnce)
		var running sync.WaitGroup
		for n := range results {
			running.Go(func() {
				// Many tasks make many writes to one calendar.
				h := simulation.GenerateWith(*first+from+uint64(n), *steps, map[simulation.Kind]int{simulation.TaskAdd: 3})
				results[n], _ = onRealClock(t, r, fs, h, reservationLost())
			})
		}
		running.Wait()
		for _, result := range results {
			if slices.ContainsFunc(result.Rules(), func(rule string) bool { return rule == string(audit.RulePace) }) {
				t.Logf("caught by seed %d: %s", result.History.Seed, result.Violations[0])
				return
			}
		}
	}
	t.Errorf("not caught by %d histories", most)
}

// onRealClock runs a history in a project of its own, which is an empty database; ok is
// false where there was none.
func onRealClock(t *testing.T, r *simulation.Runner, fs testenv.Emulator, h simulation.History, planted simulation.Defect) (result simulation.Result, ok bool) {
	t.Helper()
	project := fs.Project + "-" + strconv.FormatUint(h.Seed, 10)
	backend, err := firestore.New(t.Context(), project, "(default)", fs.ClientOptions(t)...)
	if err != nil {
		t.Error(err)
		return result, false
	}
	defer func() { _ = backend.Close() }()
	return r.RunOnRealClock(t, h, simulation.Database{
		Backend: backend,
		Empty: func(ctx context.Context) error {
			return empty(ctx, "http://"+fs.Host+"/emulator/v1/projects/"+project+"/databases/(default)/documents")
		},
	}, planted), true
}

// empty deletes every document by the emulator's own call.
func empty(ctx context.Context, documents string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, documents, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("empty the emulator's database: %s", res.Status)
	}
	return nil
}
