package reconcile

import (
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/erp-calendar/erp-calendar/shared/serve"
)

func init() {
	functions.HTTP("Reconcile", serve.OnFirstRequest("Reconcile", FromEnvironment))
}
