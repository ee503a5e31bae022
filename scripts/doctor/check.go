package main

import (
	"fmt"

	"github.com/erp-calendar/erp-calendar/shared/checkup"
)

// The doctor speaks English: those of its checks that the console does not have, too, write
// their sentences where they are made.
type (
	state   = checkup.State
	verdict = checkup.Verdict
	check   = checkup.Check
	finding = checkup.Finding
)

const (
	isOK      = checkup.OK
	warning   = checkup.Warning
	fault     = checkup.Fault
	unchecked = checkup.NotChecked
)

func ok(format string, args ...any) verdict {
	return verdict{State: isOK, Text: fmt.Sprintf(format, args...)}
}

func warn(cure, format string, args ...any) verdict {
	return verdict{State: warning, Text: fmt.Sprintf(format, args...), Cure: cure}
}

func bad(cure, format string, args ...any) verdict {
	return verdict{State: fault, Text: fmt.Sprintf(format, args...), Cure: cure}
}

func notChecked(cure, format string, args ...any) verdict {
	return verdict{State: unchecked, Text: fmt.Sprintf(format, args...), Cure: cure}
}
