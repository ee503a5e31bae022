package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserDeadline bounds everything that one test does in its browser, so that a
// page that never gets ready fails the test instead of hanging it. It is far more than
// any test takes: a busy machine is no failure.
const browserDeadline = 5 * time.Minute

// The widths that every page must be usable at, in CSS pixels.
const (
	Desktop = 1280
	Phone   = 390
)

// Chromium returns the path of a Chromium or Chrome.
func Chromium(t testing.TB) string {
	t.Helper()
	leftOut(t, "Chromium")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "no Chromium or Chrome is installed", "`apt-get install chromium` (Debian), or https://www.google.com/chrome")
	return ""
}

// Browser starts a headless Chromium with an empty profile and returns the chromedp
// context of its first tab. It is closed at the end of the test, and all that is
// done in it ends five minutes from now.
func Browser(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(startBrowser(t), browserDeadline)
	t.Cleanup(cancel)
	return ctx
}

// Profiles starts one headless Chromium and returns what gives a test a tab in it, with an
// empty profile, as Browser does: for tests beside each other, of which each would otherwise
// wait for a Chromium of its own. The Chromium is closed at the end of the test t.
func Profiles(t testing.TB) func(t testing.TB) context.Context {
	t.Helper()
	browser := startBrowser(t)
	return func(t testing.TB) context.Context {
		t.Helper()
		ctx, cancelTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
		t.Cleanup(cancelTab)
		ctx, cancelDeadline := context.WithTimeout(ctx, browserDeadline)
		t.Cleanup(cancelDeadline)
		return ctx
	}
}

// startBrowser starts a Chromium for the time of a test.
func startBrowser(t testing.TB) context.Context {
	t.Helper()
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(Chromium(t)),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.DisableGPU,
		chromedp.WindowSize(Desktop, 900),
		chromedp.WSURLReadTimeout(browserDeadline),
		// Nothing of its own on the network: a test's page is all it loads.
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter"),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("use-mock-keychain", true),
		chromedp.Flag("hide-scrollbars", true),
		// Containers give /dev/shm 64 MB, on which Chromium crashes.
		chromedp.Flag("disable-dev-shm-usage", true),
	}
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	// A test's own context ends before its cleanups, and then nobody could close
	// the browser in good order; so not t.Context().
	ctx, cancelAllocator := chromedp.NewExecAllocator(context.Background(), flags...) // makes, and removes, a fresh profile
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	// The first run starts the browser, whose life is that of the context given:
	// hence no deadline on it, and a timer that ends the start instead.
	late := time.AfterFunc(browserDeadline, cancelTab)
	err := chromedp.Do(ctx)
	late.Stop()
	if err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	t.Cleanup(func() {
		// Waits for the process's end and the removal of its profile.
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing Chromium: %v", err)
		}
	})
	return ctx
}

// Screenshot shows the page at the given width (see [Desktop], [Phone]), fails the
// test where the page is wider than that (a phone's user would have to scroll
// sideways), and, where the environment's SCREENSHOTS names a folder, saves the whole
// page there as <name>-<width>.png.
func Screenshot(ctx context.Context, t testing.TB, name string, width int64) {
	t.Helper()
	var mobile []chromedp.EmulateViewportOption
	if width <= Phone {
		mobile = append(mobile, chromedp.EmulateMobile)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900, mobile...)); err != nil {
		t.Fatalf("showing %s at %d px: %v", name, width, err)
	}
	content, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)`))
	if err != nil {
		t.Fatalf("measuring %s at %d px: %v", name, width, err)
	}
	if content > width {
		t.Errorf("%s is %d px wide at a width of %d", name, content, width)
	}
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("picture of %s at %d px: %v", name, width, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatalf("saving pictures: %v", err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width))
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatalf("saving pictures: %v", err)
	}
}
