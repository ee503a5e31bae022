package userside

import (
	"context"
	"errors"
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
// once and never repeated; an error that IsAmbiguous may have written it. Only where the ERP
// turns out to read nothing but the query (E1), so that it cannot have been written, it is
// sent once more, in the query. The ERP's own event handlers are told to stay quiet
// (shared/userside/README.md: loop guard).
func (c *Client) SetEmployeeField(ctx context.Context, employee calendarsync.EmployeeID, field calendarsync.FieldID, value string) error {
	op := fmt.Sprintf("userside: write field %d of employee %d", field, employee)
	if employee <= 0 || field <= 0 {
		return failure.New(failure.Invalid, op, "an id is not above 0")
	}
	return c.write(ctx, call{op: op, cat: "additional_data", action: "change_value", timeout: usualTimeout, write: true,
		params: url.Values{
			"cat_id":            {employeeCategory},
			"field_id":          {strconv.FormatInt(int64(field), 10)},
			"object_id":         {strconv.FormatInt(int64(employee), 10)},
			"value":             {value},
			"skip_internal_api": {"1"},
		}})
}

// write sends a write in the body, as no server's log is to have what is written (rule 10.1),
// or in the query where the ERP was seen to read nothing else.
func (c *Client) write(ctx context.Context, q call) error {
	if c.readsQueryOnly() {
		q.place = placeQuery
		_, err := c.do(ctx, q)
		if err != nil {
			c.setQueryOnly(false) // the ERP may be another one by now
		}
		return err
	}
	_, err := c.do(ctx, q)
	if answered, ok := errors.AsType[*failure.Error](err); !ok || answered.Status == 0 {
		return err
	}
	places, probeErr := c.Places(ctx, "system", "get_system_info")
	if probeErr != nil || places.Body || !places.Query {
		return err
	}
	q.place = placeQuery
	if _, err := c.do(ctx, q); err != nil {
		return err
	}
	c.setQueryOnly(true)
	return nil
}

func (c *Client) readsQueryOnly() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queryOnly
}

func (c *Client) setQueryOnly(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queryOnly = is
}
