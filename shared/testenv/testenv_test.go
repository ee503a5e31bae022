package testenv_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/chromedp/chromedp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/erp-calendar/erp-calendar/shared/testenv"
)

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestFirestoreProjectsAreSeparate(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	open := func() *firestore.Client {
		e := testenv.Firestore(t)
		c, err := firestore.NewClient(ctx, e.Project, e.ClientOptions(t)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	a, b := open(), open()
	if _, err := a.Doc("task/1").Set(ctx, map[string]any{"dirty": 1}); err != nil {
		t.Fatal(err)
	}
	got, err := a.Doc("task/1").Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.Data()["dirty"] != int64(1) {
		t.Errorf("read %v back, want what was written", got.Data())
	}
	if _, err := b.Doc("task/1").Get(ctx); status.Code(err) != codes.NotFound {
		t.Errorf("another project's document = %v, want not found", err)
	}
}

func TestPubSubProjectsAreSeparate(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	open := func() *pubsub.Client {
		e := testenv.PubSub(t)
		c, err := pubsub.NewClient(ctx, e.Project, e.ClientOptions(t)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	a, b := open(), open()
	topic := "projects/" + a.Project() + "/topics/task-changes"
	if _, err := a.TopicAdminClient.CreateTopic(ctx, &pb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Publisher(topic).Publish(ctx, &pubsub.Message{Data: []byte("x")}).Get(ctx); err != nil {
		t.Errorf("publishing: %v", err)
	}
	if _, err := b.Publisher("task-changes").Publish(ctx, &pubsub.Message{Data: []byte("x")}).Get(ctx); status.Code(err) != codes.NotFound {
		t.Errorf("publishing to the same topic of another project = %v, want not found", err)
	}
}

func TestScreenshotShowsThePageAtItsWidth(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SCREENSHOTS", dir)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `<!doctype html><meta name=viewport content="width=device-width"><title>t</title><div style="min-width:%spx">x</div>`, r.URL.Query().Get("min"))
	}))
	defer page.Close()
	ctx := testenv.Browser(t)

	if err := chromedp.Do(ctx, chromedp.Navigate(page.URL+"/?min=100")); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{testenv.Desktop, testenv.Phone} {
		testenv.Screenshot(ctx, t, "page", width)
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("page-%d.png", width)))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if int64(picture.Width) != width {
			t.Errorf("the picture is %d px wide, want %d", picture.Width, width)
		}
	}

	if err := chromedp.Do(ctx, chromedp.Navigate(page.URL+"/?min=700")); err != nil {
		t.Fatal(err)
	}
	spy := &recorder{TB: t}
	testenv.Screenshot(ctx, spy, "wide", testenv.Phone)
	if !strings.Contains(spy.said, "wide at a width of 390") {
		t.Errorf("a page too wide for a phone was let through (said %q)", spy.said)
	}
}

func TestWhatIsMissingIsSkippedButNeverInCI(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("TESTS_QUICK", "")
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	t.Setenv("PUBSUB_EMULATOR_HOST", "")
	for name, part := range parts {
		for ci, want := range map[string]string{"": "skip", "true": "fatal"} {
			t.Setenv("CI", ci)
			spy := &recorder{TB: t}
			spy.run(part)
			if spy.ended != want {
				t.Errorf("%s missing with CI=%q: %q, want %q", name, ci, spy.ended, want)
			}
			if !strings.Contains(spy.said, name) || !strings.Contains(spy.said, "to get it:") || strings.Contains(spy.said, "\n") {
				t.Errorf("%s missing is told as %q, want one line with the cure", name, spy.said)
			}
		}
	}
}

// parts are what a test may ask for, under the names it is missed by.
var parts = map[string]func(testing.TB){
	"Firestore": func(tb testing.TB) { testenv.Firestore(tb) },
	"Pub/Sub":   func(tb testing.TB) { testenv.PubSub(tb) },
	"Chromium":  func(tb testing.TB) { testenv.Chromium(tb) },
	"PHP":       func(tb testing.TB) { testenv.PHP(tb) },
	"PHP-FPM":   func(tb testing.TB) { testenv.PHPFPM(tb) },
	"Terraform": func(tb testing.TB) { testenv.Terraform(tb) },
}

func TestTheQuickTestUsesNothingButGo(t *testing.T) {
	t.Setenv("TESTS_QUICK", "true")
	for name, part := range parts {
		spy := &recorder{TB: t}
		spy.run(part)
		if spy.ended != "skip" || !strings.Contains(spy.said, name) || !strings.Contains(spy.said, "to get it:") || strings.Contains(spy.said, "\n") {
			t.Errorf("%s: %q, told as %q, want one line with the cure", name, spy.ended, spy.said)
		}
	}
}

// recorder is a test of its own that notes how it ended.
type recorder struct {
	testing.TB
	ended, said string
}

// run calls part as package testing would: what ends the test ends its goroutine.
func (r *recorder) run(part func(testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		part(r)
	}()
	<-done
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.said = fmt.Sprintf(format, args...) }

func (r *recorder) Skipf(format string, args ...any) {
	r.end("skip", fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.end("fatal", fmt.Sprintf(format, args...))
}

func (r *recorder) end(how, said string) {
	r.ended, r.said = how, said
	runtime.Goexit()
}
