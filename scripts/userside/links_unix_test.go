//go:build unix

package userside_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// somebody is the web server's user where the tests run as root.
const somebody = 65534

// owned gives the spool to the web server's user; false where this is not root.
func (s *site) owned() bool {
	s.t.Helper()
	if os.Geteuid() != 0 {
		s.t.Log("not root: nothing to see")
		return false
	}
	for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		s.chmod(dir, 0o711) // as /var/spool lets everybody through
	}
	if err := os.Chown(s.spool(), somebody, somebody); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chown(s.config(), 0, somebody); err != nil {
		s.t.Fatal(err)
	}
	s.chmod(s.config(), 0o640)
	return true
}

// runAsOwner runs a script as the web server's user.
func (s *site) runAsOwner(args ...string) (out string, code int) {
	s.t.Helper()
	copied := s.dir + "/connector"
	if _, err := os.Stat(copied); err != nil {
		if err := os.CopyFS(copied, os.DirFS(".")); err != nil {
			s.t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(s.t.Context(), s.php, append(slices.Clone(s.flags), args...)...)
	cmd.Env, cmd.Dir = s.environment(), copied
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	_, _ = s.said.Write(b)
	return string(b), cmd.ProcessState.ExitCode()
}

func owner(t *testing.T, info os.FileInfo) (uid, gid int) {
	t.Helper()
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no owner of %s", info.Name())
	}
	return int(stat.Uid), int(stat.Gid)
}

// A script that root runs leaves files that the web server can write.
func TestScriptOfRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	if !s.owned() {
		return
	}
	s.run("-r", `include "legacy.php"; erp_calendar_api_function("task_state_change", 6);`)
	entries, err := os.ReadDir(s.spool())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if uid, gid := owner(t, info); uid != somebody || gid != somebody {
			t.Errorf("%s belongs to %d:%d", e.Name(), uid, gid)
		}
		names = append(names, e.Name())
	}
	if want := []string{"events", "pause", "spool", "state"}; !slices.Equal(names, want) {
		t.Errorf("the spool holds %v, want %v", names, want)
	}
	for _, script := range []string{"deliver.php", "check.php"} {
		out, code := s.run(script)
		if code != 1 || !strings.Contains(out, "own") && !strings.Contains(out, "belongs to") {
			t.Errorf("%s of another user ended with %d and said\n%s", script, code, out)
		}
	}
}

// The web server's user has put links into the spool, and a script that root runs inside
// the ERP fires an event: nothing elsewhere is made, changed or given away. check.php finds
// the links, and never says to change the owner of one.
func TestLinksInTheSpool(t *testing.T) {
	t.Parallel()
	kinds := map[string]struct {
		link     func(to, at string) error
		dangling bool
		owner    int
	}{
		"link to root's":            {os.Symlink, false, 0},
		"hard link to root's":       {os.Link, false, 0},
		"link to nothing":           {os.Symlink, true, 0},
		"link to their own":         {os.Symlink, false, somebody},
		"hard link to their own":    {os.Link, false, somebody},
		"link to nothing of theirs": {os.Symlink, true, somebody},
	}
	for _, name := range []string{"spool", "state", "events", "pause", "deliver", "corrupt"} {
		for kind, c := range kinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nobody(t), sockets())
				if !s.owned() {
					return
				}
				elsewhere := filepath.Join(s.dir, "elsewhere")
				s.mkdir(elsewhere)
				victim := filepath.Join(elsewhere, "victim")
				const text = "of something else\n"
				if !c.dangling {
					s.write(victim, text)
					if err := os.Chown(victim, c.owner, c.owner); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chown(elsewhere, c.owner, c.owner); err != nil {
					t.Fatal(err)
				}
				if err := c.link(victim, filepath.Join(s.spool(), name)); err != nil {
					t.Fatal(err)
				}
				s.run("-r", `include "events-v2.php"; erp_calendar_event("TASK_CREATED", ["task_id" => 6]);`)
				b, err := os.ReadFile(victim)
				switch {
				case c.dangling:
					if !os.IsNotExist(err) {
						t.Errorf("%s was made through the link: %q, %v", victim, b, err)
					}
				case err != nil || string(b) != text:
					t.Errorf("the file elsewhere is now %q, %v", b, err)
				default:
					info, err := os.Stat(victim)
					if err != nil {
						t.Fatal(err)
					}
					if uid, _ := owner(t, info); uid != c.owner || info.Mode().Perm() != 0o600 {
						t.Errorf("the file elsewhere belongs to %d, mode %v", uid, info.Mode())
					}
				}
				for who, check := range map[string]func(...string) (string, int){"root": s.run, "the owner": s.runAsOwner} {
					out, code := check("check.php")
					found := false
					lines := strings.Split(out, "\n")
					for i, line := range lines {
						if strings.HasPrefix(line, "BAD   spool: "+s.spool()+"/"+name+" ") {
							found = found || strings.Contains(lines[i+1], "rm '"+s.spool()+"/"+name+"'")
						}
					}
					if code != 1 || !found || strings.Contains(out, "chown") {
						t.Errorf("check.php of %s ended with %d and said\n%s", who, code, out)
					}
				}
			})
		}
	}
}

// The directory itself is none that a link leads to.
func TestTheSpoolIsALink(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), sockets())
	elsewhere := filepath.Join(s.dir, "elsewhere")
	s.mkdir(elsewhere)
	s.remove(s.spool())
	if err := os.Symlink(elsewhere, s.spool()); err != nil {
		t.Fatal(err)
	}
	s.run("-r", `include "events-v2.php"; erp_calendar_event("TASK_CREATED", ["task_id" => 6]);`)
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
	if out, code := s.run("check.php"); code != 1 || !strings.Contains(out, "spool is a link\n      -> name the directory itself") || strings.Contains(out, "chown") {
		t.Errorf("check.php ended with %d and said\n%s", code, out)
	}
}

// Without PHP's posix extension a script of root's cannot act as the spool's owner: it
// writes nothing, and check.php and deliver.php of another user say so.
func TestRootWithoutThePosixExtension(t *testing.T) {
	t.Parallel()
	s := newSite(t, nobody(t), transport{"no posix", sockets().php, []string{
		"-d", "disable_functions=curl_init,posix_geteuid,posix_getegid,posix_seteuid,posix_setegid,posix_getpwuid",
	}})
	if !s.owned() {
		return
	}
	s.run("-r", `include "events-v2.php"; erp_calendar_event("TASK_CREATED", ["task_id" => 6]);`)
	if entries, err := os.ReadDir(s.spool()); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
	out, code := s.run("check.php")
	if code != 1 || !strings.Contains(out, "warn  PHP has no posix extension") || !strings.Contains(out, "/spool belongs to #65534, and this check runs as somebody else\n      -> sudo -u '#65534' php ") {
		t.Errorf("check.php ended with %d and said\n%s", code, out)
	}
	if out, code := s.run("deliver.php"); code != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, "cannot be written by this user") {
		t.Errorf("deliver.php ended with %d and said\n%s", code, out)
	}
	if out, code := s.runAsOwner("deliver.php"); code != 0 || out != "" {
		t.Errorf("deliver.php of the owner ended with %d and said\n%s", code, out)
	}
}
