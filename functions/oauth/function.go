package oauth

import (
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"github.com/erp-calendar/erp-calendar/shared/serve"
)

func init() {
	functions.HTTP("OAuth", serve.OnFirstRequest("OAuth", FromEnvironment))
}
