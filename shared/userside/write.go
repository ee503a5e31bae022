package userside

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/failure"
)

// employeeCategory is the cat_id of employees' additional fields. The public
// client busy4beaver/simpleworkernet lists it among the API's categories; the
// wiki pages that shared/userside/README.md was gathered from do not.
const employeeCategory = "999"

// SetEmployeeField writes an additional field of an employee's card. It is sent
// once and never repeated; an error that IsAmbiguous may have written it. The
// ERP's own event handlers are told to stay quiet (shared/userside/README.md: loop guard).
func (c *Client) SetEmployeeField(ctx context.Context, employee calendarsync.EmployeeID, field calendarsync.FieldID, value string) error {
	op := fmt.Sprintf("userside: write field %d of employee %d", field, employee)
	if employee <= 0 || field <= 0 {
		return failure.New(failure.Invalid, op, "an id is not above 0")
	}
	_, err := c.do(ctx, call{op: op, cat: "additional_data", action: "change_value", timeout: usualTimeout, write: true,
		params: url.Values{
			"cat_id":            {employeeCategory},
			"field_id":          {strconv.FormatInt(int64(field), 10)},
			"object_id":         {strconv.FormatInt(int64(employee), 10)},
			"value":             {value},
			"skip_internal_api": {"1"},
		}})
	return err
}
