# What is uploaded, and who builds it.
module "source" {
  source    = "./source"
  functions = keys(local.functions)
}

# Written when a plan is made: apply a saved plan where it was planned.
data "archive_file" "source" {
  for_each         = local.functions
  type             = "zip"
  output_path      = "${path.root}/.terraform/archives/${each.key}.zip"
  output_file_mode = "0644" # the same whatever the umask

  source {
    filename = "function.go"
    content  = module.source.root[each.key]
  }
  dynamic "source" {
    for_each = module.source.files
    content {
      filename = source.value
      content  = file("${path.module}/../${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project_id}-erp-calendar-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # all of it can be made again
  depends_on                  = [time_sleep.services]
}

resource "google_storage_bucket_object" "source" {
  for_each = local.functions
  bucket   = google_storage_bucket.source.name
  name     = "${each.key}-${substr(module.source.hash[each.key], 0, 32)}.zip"
  source   = data.archive_file.source[each.key].output_path
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_artifact_registry_repository" "functions" {
  repository_id = "erp-calendar"
  location      = var.region
  format        = "DOCKER"
  # Without this, images pile up and are paid for.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 3
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "2592000s"
    }
  }
  depends_on = [time_sleep.services]
}

resource "google_service_account" "build" {
  account_id   = "function-build"
  display_name = "Builds the functions"
  depends_on   = [time_sleep.services]
}

locals {
  build_roles = ["roles/logging.logWriter", "roles/storage.objectViewer"]
}

# Cloud Functions copies an upload to a bucket of its own, gcf-v2-sources-..., from
# which the build reads: hence a role on the project, narrowed to that name.
resource "google_project_iam_member" "build" {
  for_each = toset(local.build_roles)
  project  = var.project_id
  role     = each.value
  member   = local.build_member
  dynamic "condition" {
    for_each = each.value == "roles/storage.objectViewer" ? [1] : []
    content {
      title      = "only-function-sources"
      expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-\")"
    }
  }
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = local.build_member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  location   = google_artifact_registry_repository.functions.location
  repository = google_artifact_registry_repository.functions.repository_id
  role       = "roles/artifactregistry.writer"
  member     = local.build_member
}
