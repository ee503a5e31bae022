package main

import (
	"errors"

	"github.com/erp-calendar/erp-calendar/shared/failure"
)

func reasonOf(err error) string {
	for {
		f, known := errors.AsType[*failure.Error](err)
		if !known {
			return ""
		}
		if f.Reason != "" || f.Err == nil {
			return f.Reason
		}
		err = f.Err
	}
}
