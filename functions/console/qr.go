package console

import (
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// qrQuiet is the margin that a QR code needs around it, in modules.
const qrQuiet = 4

// qrCode is a QR code as the path of an SVG: squares of a side of 1 in a square of Size.
type qrCode struct {
	Size int
	Path string
}

// qrOf makes the QR code of an address; none where it is too long for one.
func qrOf(address string) qrCode {
	code, err := qr.Encode(address, qr.M, qr.Auto)
	if err != nil {
		return qrCode{}
	}
	b := code.Bounds()
	var path strings.Builder
	for y := b.Min.Y; y < b.Max.Y; y++ {
		run := 0
		for x := b.Min.X; x <= b.Max.X; x++ {
			if x < b.Max.X && dark(code.At(x, y)) {
				run++
				continue
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x-run-b.Min.X+qrQuiet, y-b.Min.Y+qrQuiet, run, run)
			}
			run = 0
		}
	}
	return qrCode{Size: b.Dx() + 2*qrQuiet, Path: path.String()}
}

func dark(c color.Color) bool {
	r, g, b, _ := c.RGBA()
	return r+g+b == 0
}
