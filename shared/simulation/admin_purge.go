package simulation

import (
	"fmt"
	"net/http"
	"time"

	"golang.org/x/net/html"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/store"
)

// purge has the admin delete everything, stop that halfway or wait for its end, and
// switch syncing on again.
func (w *world) purge(s Step) error {
	if s.N[0]%3 == 0 {
		w.mistype()
	}
	began := false
	w.act("delete everything", func(b *browser) (bool, *page, error) {
		p, err := b.open("/purge")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		if p.at.Path != "/purge" {
			_, began = p.form("/purge/stop") // the answer was lost
			return began, p, nil
		}
		f, ok := p.form("/purge")
		if !ok {
			return false, p, nil
		}
		if phrase(p) == "delete 0 calendars" {
			return true, p, nil // there is nothing to delete
		}
		f.values.Set("typed", phrase(p))
		w.note("the admin types %q", phrase(p))
		w.auditor.Purge()
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		began = p.at.Query().Get("queued") == "purge"
		return began, p, nil
	})
	in, err := store.New(w.memory).Installation(w.ctx)
	if err != nil {
		return fmt.Errorf("read the installation: %w", err)
	}
	if !in.Purge.Open() {
		if began {
			w.violate("a purge that was begun is under way", "%+v", in.Purge)
		}
		w.auditor.PurgeStopped()
		return w.readSettings()
	}
	if err := w.readSettings(); err != nil {
		return err
	}
	if s.N[1]%2 == 0 {
		w.advance(time.Duration(s.N[2]) * 200 * time.Millisecond)
		return w.afterPurge(true)
	}
	for range 12 {
		w.advance(w.pollEvery)
		if !w.purging() {
			break
		}
	}
	return w.afterPurge(false)
}

// mistype has the admin type something other than is asked for: nothing may happen.
func (w *world) mistype() {
	w.act("mistype", func(b *browser) (bool, *page, error) {
		p, err := b.open("/purge")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		f, ok := p.form("/purge")
		if !ok {
			return p.at.Path == "/", p, nil
		}
		f.values.Set("typed", phrase(p)+"!")
		if p, err = b.press(f); err != nil {
			return false, p, err
		}
		return p.status == http.StatusUnprocessableEntity, p, nil
	})
}

// phrase is what the page asks the admin to type.
func phrase(p *page) string {
	label := find(p.root, "label", func(n *html.Node) bool { return attribute(n, "for") == "typed" })
	if label == nil {
		return ""
	}
	if strong := find(label, "strong", func(*html.Node) bool { return true }); strong != nil {
		return text(strong)
	}
	return ""
}

// purging reports whether the overview shows a purge under way.
func (w *world) purging() bool {
	under := false
	w.act("see how far the deletion is", func(b *browser) (bool, *page, error) {
		p, err := b.open("/")
		if err != nil || p.status != http.StatusOK {
			return false, p, err
		}
		_, under = p.form("/purge/stop")
		return true, p, nil
	})
	return under
}

// afterPurge switches syncing on again after a purge that is over, and with stop after
// stopping one that is not. Without stop a purge under way continues.
func (w *world) afterPurge(stop bool) error {
	in, err := store.New(w.memory).Installation(w.ctx)
	if err != nil {
		return fmt.Errorf("read the installation: %w", err)
	}
	switch {
	case !in.Purge.Open() && w.settings.Enabled:
		return nil
	case !in.Purge.Open():
		w.note("everything is deleted")
		w.auditor.Purged()
	case !stop:
		return nil
	default:
		_ = w.onOverview("stop the deletion", func(p *page) (form, bool) { return p.form("/purge/stop") })
		w.note("the deletion is stopped")
		if in, err = store.New(w.memory).Installation(w.ctx); err != nil || in.Purge.Open() {
			return err
		}
		w.auditor.PurgeStopped()
	}
	return w.configure(func(c *calendarsync.Settings) { c.Enabled = true })
}
