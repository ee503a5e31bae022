# Seven variables are required; the four secrets come from the environment (TF_VAR_...)
# and are kept nowhere. Copy terraform.tfvars.example to terraform.tfvars.

# --- required ---------------------------------------------------------------------

variable "project_id" {
  description = "Id of the Google Cloud project (not its name or number), best one of its own, with billing."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the project's id, such as \"acme-calendars\": 6 to 30 lower-case letters, digits and hyphens. `gcloud projects list` shows it in the column PROJECT_ID."
  }
}

variable "region" {
  description = "Cloud Run region for everything, such as europe-west1. A new project may build only in us-central1, us-west2, europe-west1, asia-east1, australia-southeast1 and southamerica-east1 (Cloud Build's quota); of those choose the one nearest to the ERP. It cannot be changed later: the database's region is fixed once it is made."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region must be a region such as \"europe-west1\", not a zone (europe-west1-b) nor a multi-region (eur3). `gcloud run regions list` shows them."
  }
}

variable "erp_url" {
  description = "Base URL of the ERP, without the API's path. https, unless allow_http_erp."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^?#@\\s]*)?$", var.erp_url))
    error_message = "erp_url must be the ERP's base URL, such as \"https://erp.example.com\", without user name, query (?) or fragment (#)."
  }
  validation {
    condition     = startswith(var.erp_url, "https://") || var.allow_http_erp
    error_message = "erp_url is plain http, which shows the API key to everybody on the way. Use https, or set allow_http_erp = true if the way to the ERP is private."
  }
}

variable "time_zone" {
  description = "IANA time zone of the ERP's clock, such as Europe/Kyiv: of the nightly run and, until an admin saves another, of the events."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z][A-Za-z_+-]*[0-9]*)+)$", var.time_zone))
    error_message = "time_zone must be an IANA name such as \"Europe/Kyiv\" or \"UTC\", not an offset or an abbreviation: only a name knows when clocks change."
  }
}

variable "admin_emails" {
  description = "Google accounts that may sign in at the console. Alerts go to them as well, unless alert_emails names others."
  type        = list(string)
  nullable    = false
  validation {
    condition     = length(var.admin_emails) > 0
    error_message = "admin_emails must name at least one Google account: nobody could sign in at the console otherwise."
  }
  validation {
    condition     = alltrue([for e in var.admin_emails : can(regex("^[^@\\s,\"<>]+@[^@\\s,\"<>]+\\.[^@\\s,\"<>]+$", e))])
    error_message = "admin_emails must hold bare addresses such as [\"ann@example.com\"], one per element."
  }
}

variable "integration_account" {
  description = "Address of the central Google account: it will own the calendars, and no other can be connected."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[^@\\s,\"<>]+@[^@\\s,\"<>]+\\.[^@\\s,\"<>]+$", var.integration_account)) && !endswith(lower(var.integration_account), ".gserviceaccount.com")
    error_message = "integration_account must be the address of one Google account of a person or of Workspace, such as \"calendars@example.com\"; a service account cannot own the calendars."
  }
}

variable "oauth_client_id" {
  description = "Client id of the OAuth web client (README, step 4). Never swap it: the calendars made with it are out of reach of another."
  type        = string
  nullable    = false
  validation {
    condition     = can(regex("^[0-9]+-[a-z0-9]+\\.apps\\.googleusercontent\\.com$", var.oauth_client_id))
    error_message = "oauth_client_id must look like 123456789012-abc123.apps.googleusercontent.com; the Google Cloud console shows it under Google Auth Platform, Clients. It is not the client's name, and not its secret."
  }
}

# --- secrets: given once, kept by Secret Manager only ------------------------------
# Ephemeral: in no state and in no plan. Each is needed when its version is stored for
# the first time or raised; at any other time it may be left out.

variable "erp_api_key" {
  description = "API key of the ERP (TF_VAR_erp_api_key)."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
  validation {
    condition     = var.erp_api_key == null || can(regex("^\\S+$", var.erp_api_key))
    error_message = "erp_api_key must be one word without spaces or line breaks, as the ERP's settings show it."
  }
}

variable "oauth_client_secret" {
  description = "Secret of the OAuth web client (TF_VAR_oauth_client_secret)."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
  validation {
    condition     = var.oauth_client_secret == null || can(regex("^\\S{8,}$", var.oauth_client_secret))
    error_message = "oauth_client_secret must be the client's secret, such as GOCSPX-..., without spaces or line breaks; it is shown once, when the client or a new secret of it is made."
  }
}

variable "session_key" {
  description = "32 random bytes in base64 that sign the console's sessions (TF_VAR_session_key); ./scripts/deploy makes it."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
  validation {
    condition     = var.session_key == null || can(regex("^[A-Za-z0-9+/_-]{43}=?$", var.session_key))
    error_message = "session_key must be 32 bytes in base64, as `openssl rand -base64 32` prints them."
  }
}

variable "notify_secrets" {
  description = "Webhook secrets valid at once, whsec_ and base64 of at least 24 bytes, separated by spaces (TF_VAR_notify_secrets); ./scripts/deploy makes the first."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
  validation {
    condition     = var.notify_secrets == null || can(regex("^whsec_[A-Za-z0-9+/_-]{32,}={0,2}( whsec_[A-Za-z0-9+/_-]{32,}={0,2})*$", var.notify_secrets))
    error_message = "notify_secrets must be one or more secrets of the form whsec_... with at least 24 bytes in base64, separated by single spaces: printf 'whsec_%s' \"$(openssl rand -base64 32)\"."
  }
}

variable "erp_api_key_version" {
  description = "Raise by one to store erp_api_key anew."
  type        = number
  default     = 1
  nullable    = false
  validation {
    condition     = var.erp_api_key_version >= 1 && floor(var.erp_api_key_version) == var.erp_api_key_version
    error_message = "erp_api_key_version must be a whole number from 1 on; raise it by one with each new value."
  }
}

variable "oauth_client_secret_version" {
  description = "Raise by one to store oauth_client_secret anew."
  type        = number
  default     = 1
  nullable    = false
  validation {
    condition     = var.oauth_client_secret_version >= 1 && floor(var.oauth_client_secret_version) == var.oauth_client_secret_version
    error_message = "oauth_client_secret_version must be a whole number from 1 on; raise it by one with each new value."
  }
}

variable "session_key_version" {
  description = "Raise by one to store session_key anew; every admin signs in again then."
  type        = number
  default     = 1
  nullable    = false
  validation {
    condition     = var.session_key_version >= 1 && floor(var.session_key_version) == var.session_key_version
    error_message = "session_key_version must be a whole number from 1 on; raise it by one with each new value."
  }
}

variable "notify_secrets_version" {
  description = "Raise by one to store notify_secrets anew."
  type        = number
  default     = 1
  nullable    = false
  validation {
    condition     = var.notify_secrets_version >= 1 && floor(var.notify_secrets_version) == var.notify_secrets_version
    error_message = "notify_secrets_version must be a whole number from 1 on; raise it by one with each new value."
  }
}

# --- optional ---------------------------------------------------------------------

variable "erp_key_in_query" {
  description = "Send the API key in the URL, for an ERP that insists."
  type        = bool
  default     = false
  nullable    = false
}

variable "allow_http_erp" {
  description = "Accept a plain http erp_url. Only where the way to the ERP is private."
  type        = bool
  default     = false
  nullable    = false
}

variable "default_settings" {
  description = "JSON object of settings in force until an admin saves others at the console, e.g. {\"shown_roles\":[1,2]}. time_zone is added. Its language (en, uk or ru) is also that of the alerts' mails."
  type        = string
  default     = "{}"
  nullable    = false
  validation {
    condition     = can(keys(jsondecode(var.default_settings)))
    error_message = "default_settings must be a JSON object, such as {\"shown_roles\": [1, 2], \"language\": \"uk\"}."
  }
  validation {
    condition     = contains(keys(local.alarm_texts), try(jsondecode(var.default_settings).language, "en"))
    error_message = "language of default_settings must be one of those that alerts' mails are written in: ${join(", ", sort(keys(local.alarm_texts)))}."
  }
}

variable "calendar_requests_per_minute" {
  description = "Calendar API requests a minute that the project's quota \"per minute per user\" allows."
  type        = number
  default     = 600
  nullable    = false
  validation {
    condition     = var.calendar_requests_per_minute >= 1 && var.calendar_requests_per_minute <= 1000000 && floor(var.calendar_requests_per_minute) == var.calendar_requests_per_minute
    error_message = "calendar_requests_per_minute must be a whole number from 1 to 1000000; Google's own limit is 600 unless your quota page shows another."
  }
}

variable "calendars_per_hour" {
  description = "How many calendars may be made in an hour. Google stops accounts at about 60 in a short time."
  type        = number
  default     = 20
  nullable    = false
  validation {
    condition     = var.calendars_per_hour >= 1 && var.calendars_per_hour <= 60 && floor(var.calendars_per_hour) == var.calendars_per_hour
    error_message = "calendars_per_hour must be a whole number from 1 to 60: beyond about 60 Google makes the account read-only for hours."
  }
}

variable "calendars_per_day" {
  description = "How many calendars may be made in any 24 hours. Google names no number; older texts say 25. A refusal teaches the product a lower one by itself."
  type        = number
  default     = 50
  nullable    = false
  validation {
    condition     = var.calendars_per_day >= 1 && var.calendars_per_day <= 1000 && floor(var.calendars_per_day) == var.calendars_per_day
    error_message = "calendars_per_day must be a whole number from 1 to 1000."
  }
}

variable "shares_per_day" {
  description = "How many shares, each of them an invitation, may be made in any 24 hours. Older texts of Google's say 75."
  type        = number
  default     = 70
  nullable    = false
  validation {
    condition     = var.shares_per_day >= 1 && var.shares_per_day <= 1000 && floor(var.shares_per_day) == var.shares_per_day
    error_message = "shares_per_day must be a whole number from 1 to 1000."
  }
}

variable "reconcile_at" {
  description = "When the nightly full run starts, HH:MM in time_zone. Not in an hour that clock changes skip or repeat."
  type        = string
  default     = "04:30"
  nullable    = false
  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.reconcile_at))
    error_message = "reconcile_at must be a time of day such as \"04:30\", in the zone of time_zone."
  }
}

variable "notify_min_instances" {
  description = "Instances of Notify kept warm. 1 spares the ERP the cold start of about a second, for the price in the README."
  type        = number
  default     = 0
  nullable    = false
  validation {
    condition     = contains([0, 1, 2], var.notify_min_instances)
    error_message = "notify_min_instances must be 0, 1 or 2."
  }
}

variable "fixed_egress_address" {
  description = "Give calls to the ERP one fixed IPv4 address, for an ERP that lists addresses. It costs extra (README)."
  type        = bool
  default     = false
  nullable    = false
}

variable "keep_egress_network" {
  description = "The first of two steps of taking fixed_egress_address back: the functions leave the network, which can be deleted only an hour or two later (README)."
  type        = bool
  default     = false
  nullable    = false
}

variable "allow_all_users" {
  description = "Grant allUsers the right to call notify, oauth and console. Set false where your organization's policy refuses that and will not be changed: the README says what to do instead."
  type        = bool
  default     = true
  nullable    = false
}

variable "console_url" {
  description = "Address of the console under a domain of your own, such as https://calendars.example.com (README); null: the function's own address."
  type        = string
  default     = null
  validation {
    condition     = var.console_url == null || can(regex("^https://[a-z0-9.-]+\\.[a-z]{2,}$", var.console_url))
    error_message = "console_url must be https and a host name alone, without a path and a slash at its end: the console's cookies are those of a whole host."
  }
  validation {
    condition     = var.console_url == null || var.console_url != var.oauth_url
    error_message = "console_url and oauth_url must be two hosts: a hole in one must not reach the other's cookies."
  }
}

variable "oauth_url" {
  description = "Address of the sign-in under a domain of your own, another than console_url's; null: the function's own address. The client's redirect URI is this and /callback."
  type        = string
  default     = null
  validation {
    condition     = var.oauth_url == null || can(regex("^https://[a-z0-9.-]+\\.[a-z]{2,}$", var.oauth_url))
    error_message = "oauth_url must be https and a host name alone, without a path and a slash at its end: the sign-in's cookies are those of a whole host."
  }
}

variable "firestore_database" {
  description = "Name of the Firestore database. Changed only after a restore (README)."
  type        = string
  default     = "erp-calendar"
  nullable    = false
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore_database))
    error_message = "firestore_database must be 4 to 63 lower-case letters, digits and hyphens, such as \"erp-calendar\". The database (default) is left to others: it may be there already."
  }
}

variable "deletion_protection" {
  description = "Keep Terraform and Google from deleting the database. Set false only to remove the installation."
  type        = bool
  default     = true
  nullable    = false
}

variable "alert_emails" {
  description = "Addresses that alerts go to; null: admin_emails."
  type        = list(string)
  default     = null
  validation {
    condition     = var.alert_emails == null || (try(length(var.alert_emails), 0) > 0 && alltrue([for e in coalesce(var.alert_emails, []) : can(regex("^[^@\\s,\"<>]+@[^@\\s,\"<>]+\\.[^@\\s,\"<>]+$", e))]))
    error_message = "alert_emails must hold at least one bare address, such as [\"oncall@example.com\"]; leave it out to alert the admins."
  }
}

variable "billing_account" {
  description = "Billing account id, for the budget alert; null: none. Whoever applies needs the role Billing Account Costs Manager on it."
  type        = string
  default     = null
  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account must look like 012345-6789AB-CDEF01; `gcloud billing accounts list` shows it."
  }
}

variable "monthly_budget" {
  description = "Whole units of the billing account's currency a month; an alert comes at 50, 90 and 100 %."
  type        = number
  default     = 30
  nullable    = false
  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "monthly_budget must be a whole number from 1 on, in the billing account's currency."
  }
}

variable "runbook_url" {
  description = "Where the alerts' runbook (this folder's README) can be read."
  type        = string
  default     = "https://github.com/erp-calendar/erp-calendar/blob/main/terraform/README.md"
  nullable    = false
  validation {
    condition     = can(regex("^https://[^#\\s]+$", var.runbook_url))
    error_message = "runbook_url must be an https address without a fragment (#): each alert appends its own section."
  }
}
