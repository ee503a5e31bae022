package console

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// What the path paints is the code, module by module, within the margin that readers need.
func TestAQRCodeIsPaintedAsItIs(t *testing.T) {
	const address = "https://calendar.google.com/calendar/r?cid=YzQyMDEyMzQ1Njc4OWFiY2RlZjAxMjM0"
	code, err := qr.Encode(address, qr.M, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	got := qrOf(address)
	painted := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(got.Path, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		if m[3] != m[4] {
			t.Fatalf("%s is no square", m[0])
		}
		for i := range n {
			painted[[2]int{x + i, y}] = true
		}
	}
	side := code.Bounds().Dx()
	if got.Size != side+8 {
		t.Errorf("%d modules in a square of %d", side, got.Size)
	}
	for y := range got.Size {
		for x := range got.Size {
			inside := x >= 4 && y >= 4 && x < side+4 && y < side+4
			if want := inside && dark(code.At(x-4, y-4)); painted[[2]int{x, y}] != want {
				t.Fatalf("module %d, %d: %t", x, y, painted[[2]int{x, y}])
			}
		}
	}
	if none := qrOf(strings.Repeat("x", 5000)); none.Size != 0 {
		t.Errorf("what fits into no code gives %d", none.Size)
	}
}
