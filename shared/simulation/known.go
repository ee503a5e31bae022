package simulation

import "strings"

// known is a fault of the product that was found here, was reported, and is being
// mended.
type known struct {
	rule   string
	detail string // a part of the violation's text
}

// allKnown are left out of the verdict, so that they hide nothing else, each with
// what it is in a comment. The list is empty when all is well.
func allKnown() []known { return nil }

func isKnown(rule, detail string) bool {
	for _, k := range allKnown() {
		if k.rule == rule && strings.Contains(detail, k.detail) {
			return true
		}
	}
	return false
}

// knownLie gives the method that "not found" is said of instead of a calendar or
// its rules: the product believes it, and nobody looks for the calendar again.
func knownLie(string) string { return "calendar.events.get" }
