# The four secrets. Values are write-only: they go from the environment to Secret
# Manager and into no state, plan or log. A version variable tells when to store anew.
locals {
  secrets = {
    ERP_API_KEY         = { id = "erp-api-key", variable = "erp_api_key", version = var.erp_api_key_version }
    OAUTH_CLIENT_SECRET = { id = "oauth-client-secret", variable = "oauth_client_secret", version = var.oauth_client_secret_version }
    SESSION_KEY         = { id = "session-key", variable = "session_key", version = var.session_key_version }
    NOTIFY_SECRETS      = { id = "notify-secrets", variable = "notify_secrets", version = var.notify_secrets_version }
  }

  secret_values = {
    ERP_API_KEY         = var.erp_api_key
    OAUTH_CLIENT_SECRET = var.oauth_client_secret
    SESSION_KEY         = var.session_key
    NOTIFY_SECRETS      = var.notify_secrets
  }

  # What fails where a value is needed and was not given; Terraform shows the command.
  refuse = { for key, s in local.secrets : key => "test \"$GIVEN\" = yes || { : 'The secret ${s.id} is about to be stored: set TF_VAR_${s.variable} in the environment (terraform/README.md, Secrets).'; exit 1; }" }
}

resource "google_secret_manager_secret" "this" {
  for_each  = local.secrets
  secret_id = each.value.id
  replication {
    auto {}
  }
  depends_on = [time_sleep.services]
}

# Made anew exactly when a value is about to be stored: then it must have been given.
# A precondition could not tell that moment, and Terraform knows no value of old.
resource "terraform_data" "value_given" {
  for_each         = local.secrets
  triggers_replace = [each.value.version]

  provisioner "local-exec" {
    command     = local.refuse[each.key]
    interpreter = ["/bin/sh", "-c"]
    environment = { GIVEN = local.secret_values[each.key] == null ? "no" : "yes" }
  }
}

resource "google_secret_manager_secret_version" "this" {
  for_each = local.secrets
  secret   = google_secret_manager_secret.this[each.key].id
  # The provider wants some value at every plan, and uses it only when the version is
  # stored.
  secret_data_wo         = local.secret_values[each.key] == null ? "not given" : local.secret_values[each.key]
  secret_data_wo_version = tostring(each.value.version)
  # What is replaced is disabled, not destroyed: an old revision can be gone back to
  # until an admin destroys it (README, Rotation).
  deletion_policy = "DISABLE"

  lifecycle {
    create_before_destroy = true
    # Stored anew whenever the value was demanded, and never without.
    replace_triggered_by = [terraform_data.value_given[each.key]]
  }

  # value_given asks when a version is raised. This asks whenever one was made, whatever
  # for: after an apply that ended between the two, or in place of one that somebody
  # destroyed. It marks the version as tainted, so that the apply ends here, before any
  # function is given it, and the next one asks again.
  provisioner "local-exec" {
    command     = local.refuse[each.key]
    interpreter = ["/bin/sh", "-c"]
    environment = { GIVEN = local.secret_values[each.key] == null ? "no" : "yes" }
  }
  depends_on = [terraform_data.value_given]
}

# Every reading of a secret, and every use of the key that seals the refresh token, is on
# record; alerts.tf tells when it was not by a function.
resource "google_project_iam_audit_config" "secrets" {
  for_each = toset(["cloudkms.googleapis.com", "secretmanager.googleapis.com"])
  project  = var.project_id
  service  = each.value
  audit_log_config {
    log_type = "DATA_READ"
  }
}
