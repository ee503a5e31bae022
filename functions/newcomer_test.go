package functions_test

import (
	"strings"
	"testing"

	"github.com/erp-calendar/erp-calendar/shared/fake/world"
	"github.com/erp-calendar/erp-calendar/shared/queue"
)

// Every function runs on a brand-new installation, whose settings nobody has confirmed and
// which has no account: nothing fails, nothing is refused, nobody is alarmed, and Google is
// not asked. What came meanwhile follows once there is an account (rules 4.7 and 7.5).
func TestEveryFunctionRunsOnABrandNewInstallation(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"confirmed": "", "not confirmed": `{"confirmed":false}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, world.Options{Disconnected: true, Settings: settings}, func(t *testing.T, w *world.World) {
				w.Poll()
				w.Reconcile()
				who := w.Employee("Olena")
				task := w.Task(w.Tomorrow(9), who)
				w.Idle()
				for _, topic := range []string{"employee-changes", "task-changes"} {
					id := map[string]int64{"employee-changes": who, "task-changes": task}[topic]
					for _, cause := range []queue.Cause{queue.CauseConsole, queue.CauseRetry} {
						must(t, w.Deployment.Publisher.Publish(t.Context(), topic, queue.Message{IDs: []int64{id}, Cause: cause, Lane: queue.LaneLive}))
					}
				}
				must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
				w.Idle()
				for range 3 {
					w.Poll()
				}
				w.Reconcile()
				if n := refusals(t, w); n != 0 {
					t.Errorf("%d refused deliveries", n)
				}
				for _, line := range strings.Split(w.Log.String(), "\n") {

					if strings.Contains(line, `"severity":"ERROR"`) || strings.Contains(line, `"alarm"`) {
						t.Errorf("logged: %s", line)
					}
				}
				if calls := w.Calls(); len(calls) > 0 {
					t.Errorf("asked Google: %s", calls[0].Method)
				}
				if settings != "" {
					return
				}
				w.Connect()
				must(t, w.Deployment.Publisher.Publish(t.Context(), "employee-changes", queue.Message{All: true, Cause: queue.CauseConsole, Lane: queue.LaneBulk}))
				w.Idle()
				w.Poll()
				w.WantStarts(who, w.Tomorrow(9))
			})
		})
	}
}
