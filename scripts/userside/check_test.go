package userside_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// alive lets cron have run.
func (s *site) alive() {
	s.t.Helper()
	s.deliver(0)
}

func TestCheckAllIsWell(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		s := newSite(t, n.URL+"/", tr)
		s.alive()
		out, code := s.run("check.php")
		if code != 0 || strings.Contains(out, "BAD") || !strings.HasSuffix(out, "All is well.\n") || !strings.Contains(out, "ok    Notify: the signature is accepted") {
			t.Errorf("ended with %d and said\n%s", code, out)
		}
		n.want(t, nil)
		if kept := s.read("spool"); kept != "" {
			t.Errorf("the check has spooled %q", kept)
		}
	})
}

// Each fault is told in plain words, with the cure in the next line.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(s *site, n *notifier)
		want  string
		cure  string
	}{
		"no configuration": {func(s *site, _ *notifier) { s.remove(s.config()) }, "is not there", "config.example.php"},
		"syntax":           {func(s *site, _ *notifier) { s.write(s.config(), "<?php\nreturn ["+secret+";") }, "is not sound PHP (line 2)", "config.example.php"},
		"unknown name":     {func(s *site, _ *notifier) { s.configure(secret, "1") }, "holds a name that is none of url, secret", "config.example.php"},
		"example":          {func(s *site, _ *notifier) { s.configure("secret", "'whsec_...'") }, "what follows whsec_ is not base64", "config.example.php"},
		"no http":          {func(s *site, _ *notifier) { s.configure("allow_http", "false") }, "url does not begin with https://", "config.example.php"},
		"open to all":      {func(s *site, _ *notifier) { s.chmod(s.config(), 0o644) }, "everybody on this machine may read", "chmod 0640"},
		"group may write":  {func(s *site, _ *notifier) { s.chmod(s.config(), 0o660) }, "its group may write it", "chmod 0640"},
		"no spool":         {func(s *site, _ *notifier) { s.remove(s.spool()) }, "is not there", "install -d -m 0700"},
		"open spool":       {func(s *site, _ *notifier) { s.chmod(s.spool(), 0o755) }, "is open to others (mode 0755)", "chmod 0700"},
		"open spool file": {func(s *site, _ *notifier) {
			s.write(s.spool()+"/spool", "")
			s.chmod(s.spool()+"/spool", 0o644)
			s.later(func() { s.chmod(s.spool()+"/spool", 0o600) })
		}, "spool/spool is open to others", "chmod 0600"},
		"spool is a folder": {func(s *site, _ *notifier) { s.mkdir(s.spool() + "/spool") }, "cannot be read and written", "chown -h --reference"},
		"cron is dead":      {func(s *site, _ *notifier) { s.remove(s.spool() + "/state") }, "deliver.php has never run", "/etc/cron.d/erp-calendar"},
		"cron died": {func(s *site, _ *notifier) {
			s.write(s.spool()+"/state", fmt.Sprintf(`{"delivering_at":%d}`, time.Now().Add(-3*time.Hour).Unix()))
		}, "deliver.php last ran 3 h ago", "/etc/cron.d/erp-calendar"},
		"something waits": {func(s *site, _ *notifier) {
			s.write(s.spool()+"/spool", entry(t, time.Now().Add(-26*time.Hour), 1, 2)+entry(t, time.Now(), 3))
		}, "2 notifications (3 ids) wait, the oldest for 26 h", "cron job"},
		"nearly full": {func(s *site, _ *notifier) {
			s.configure("spool_max_bytes", "4096")
			s.write(s.spool()+"/spool", entry(t, time.Now(), upTo(1000)...))
		}, "of at most 4096 bytes are taken", "spool_max_bytes"},
		"wrong secret":        {func(s *site, _ *notifier) { s.configure("secret", fmt.Sprintf("%q", otherSecret)) }, "the signature is refused (Not believed: the header webhook-signature has no signature that fits.)", "NOTIFY_SECRETS"},
		"clock":               {func(_ *site, n *notifier) { n.setSkew(-20 * time.Minute) }, "s ahead of that of Notify", "timedatectl set-ntp true"},
		"nothing there":       {func(s *site, _ *notifier) { s.configure("url", fmt.Sprintf("%q", nobody(t))) }, "Notify: no connection", "firewall"},
		"another path":        {func(s *site, n *notifier) { s.configure("url", fmt.Sprintf("%q", n.URL+"/elsewhere")) }, "something else answers there, with status 404", "look at url"},
		"another server":      {func(_ *site, n *notifier) { n.setFault(says(http.StatusOK, "text/html")) }, "something else answers there, with status 200", "look at url"},
		"one that likes all":  {func(_ *site, n *notifier) { n.setFault(says(http.StatusOK, "application/json")) }, "something else answers there, with status 200", "look at url"},
		"closed to strangers": {func(_ *site, n *notifier) { n.setFault(says(http.StatusForbidden, "text/html")) }, "something else answers there, with status 403", "unauthenticated"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, tr := range transports() {
				n := newNotifier(t)
				s := newSite(t, n.URL, tr)
				s.alive()
				c.spoil(s, n)
				out, code := s.run("check.php")
				lines := strings.Split(out, "\n")
				found := false
				for i, line := range lines {
					if strings.HasPrefix(line, "BAD") && strings.Contains(line, c.want) {
						found = strings.HasPrefix(lines[i+1], "      -> ") && strings.Contains(lines[i+1], c.cure)
					}
				}
				if code != 1 || !found {
					t.Errorf("%s: ended with %d, want 1 and %q with %q; it said\n%s", tr.name, code, c.want, c.cure, out)
				}
				s.finish()
			}
		})
	}
}

func says(status int, kind string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte("{}"))
		return true
	}
}

func (s *site) chmod(path string, mode os.FileMode) {
	s.t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		s.t.Fatal(err)
	}
}

// later is done by finish: what judge() must not see.
func (s *site) later(f func()) { s.undo = append(s.undo, f) }

func (s *site) finish() {
	for _, f := range s.undo {
		f()
	}
}

// Where Notify cannot read its store the signature is proven all the same.
func TestCheckWithNotifysStoreDown(t *testing.T) {
	t.Parallel()
	n := newNotifier(t)
	s := newSite(t, n.URL, sockets())
	s.alive()
	n.setFault(says(http.StatusServiceUnavailable, "application/problem+json"))
	out, code := s.run("check.php")
	if code != 0 || !strings.Contains(out, "warn  Notify: the signature is accepted, but its store could not be read") {
		t.Errorf("ended with %d and said\n%s", code, out)
	}
}

// Notify may be mounted under a path, as in the local run.
func TestNotifyUnderAPath(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, tr transport) {
		n := newNotifier(t)
		n.handler = http.StripPrefix("/Notify", n.handler)
		s := newSite(t, n.URL+"/Notify", tr)
		e := s.start()
		e.fire("TASK_CHANGED", 1)
		e.settle()
		s.deliver(0)
		n.want(t, map[string][]int64{"tasks": {1}})
		if out, code := s.run("check.php"); code != 0 {
			t.Errorf("check.php ended with %d and said\n%s", code, out)
		}
	})
}

// A deliverer of the wrong user would leave files that the web server cannot write.
func TestDelivererSaysWhatIsWrongOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *site)
		want  string
	}{
		"no configuration": {func(s *site) { s.remove(s.config()) }, "is not there"},
		"no spool":         {func(s *site) { s.remove(s.spool()) }, "cannot be written by this user"},
		"closed spool":     {func(s *site) { s.mkdir(s.spool() + "/spool"); s.write(s.spool()+"/spool/x", "") }, "cannot be read and written by this user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nobody(t), sockets())
			c.spoil(s)
			out, code := s.run("deliver.php", "--for=3")
			if code != 1 || strings.Count(out, "\n") != 1 || !strings.Contains(out, c.want) || !strings.Contains(out, "see: php check.php") {
				t.Errorf("ended with %d and said %q", code, out)
			}
		})
	}
}
