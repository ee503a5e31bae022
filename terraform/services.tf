# The Google APIs that the installation uses. They stay on when it is removed: another
# thing in the project could need them by then.
locals {
  services = toset(concat([
    "artifactregistry.googleapis.com",
    "calendar-json.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
    ],
    local.egress == 1 ? ["compute.googleapis.com"] : [],
    var.billing_account == null ? [] : ["billingbudgets.googleapis.com"],
  ))
}

resource "google_project_service" "this" {
  for_each           = local.services
  service            = each.value
  disable_on_destroy = false
}

# An API answers "not enabled" for a minute or so after it is.
resource "time_sleep" "services" {
  create_duration = "90s"
  triggers        = { services = join(",", sort(local.services)) }
  depends_on      = [google_project_service.this]
}
