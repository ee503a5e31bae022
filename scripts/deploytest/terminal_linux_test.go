package deploytest_test

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// At a terminal (util-linux's script makes one) the two secrets are asked for, do not
// show, and the plan is applied only after a yes.
func TestAtATerminalSecretsAreAskedForWithoutEcho(t *testing.T) {
	t.Parallel()
	for answer, status := range map[string]int{"yes": 0, "y": 1} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			d := atTerminal(t, "", []reply{
				{"erp_api_key (not shown):", erpKey}, {"oauth_client_secret (not shown):", clientSecret},
				{`Only "yes" does:`, answer},
			})
			d.wantStatus(status)
			if got := d.got("plan"); got["erp_api_key"] != erpKey || got["oauth_client_secret"] != clientSecret {
				t.Errorf("planned with %v", got)
			}
			if applied := d.got("apply") != nil; applied != (answer == "yes") {
				t.Errorf("applied after %q: %v", answer, applied)
			}
			d.keepsSecret(erpKey, clientSecret)
		})
	}
}

// What standard input is does not matter: the terminal is asked. There is nobody to say
// yes to the plan, as in CI.
func TestTheTerminalIsAskedWhateverStandardInputIs(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"</dev/null", "<<<oauth_client_secret=" + clientSecret} {
		t.Run(input, func(t *testing.T) {
			t.Parallel()
			replies := []reply{{"erp_api_key (not shown):", erpKey}}
			if input == "</dev/null" {
				replies = append(replies, reply{"oauth_client_secret (not shown):", clientSecret})
			}
			d := atTerminal(t, input, replies)
			d.wantStatus(0)
			if got := d.got("apply"); got["erp_api_key"] != erpKey || got["oauth_client_secret"] != clientSecret {
				t.Errorf("applied with %v", got)
			}
			d.keepsSecret(erpKey, clientSecret)
		})
	}
}

// reply is typed once the prompt is there.
type reply struct{ prompt, text string }

func atTerminal(t *testing.T, input string, replies []reply) deployed {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		t.Fatalf("needs script: %v; to get it: apt-get install bsdutils", err)
	}
	return finish(t, ready(), nil, func(cmd *exec.Cmd) ([]byte, error) {
		deploy := cmd.Path
		cmd.Path, cmd.Args = script, []string{"script", "-q", "-e", "-c", "bash -c '" + deploy + " -apply " + input + "'", "/dev/null"}
		stdin, err := cmd.StdinPipe()
		must(t, err)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		overdue := time.AfterFunc(50*time.Second, func() { _ = stdin.Close() })
		defer overdue.Stop()
		var output bytes.Buffer
		part := make([]byte, 4096)
		for {
			n, err := stdout.Read(part)
			output.Write(part[:n])
			if len(replies) > 0 && strings.Contains(output.String(), replies[0].prompt) {
				if _, err := io.WriteString(stdin, replies[0].text+"\n"); err != nil {
					t.Error(err)
				}
				replies = replies[1:]
			}
			if err != nil {
				break
			}
		}
		err = cmd.Wait()
		return output.Bytes(), err
	})
}
